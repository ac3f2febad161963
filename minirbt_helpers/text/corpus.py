"""Text to blocks: token ids and continuation flags, packed to a fixed length, in Arrow on disk (notebook 02)."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from datasets import Dataset, Features, List, Value, disable_progress_bars, enable_progress_bars, load_from_disk
from datasets.exceptions import DatasetGenerationError
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError
from ..lines import count_lines, read_lines
from ..workspace import atomic_folder, progress_bar, resolve
from .references import Match, read_references, segmented_references
from .segmentation import Segmenter, load_segmenter

FEATURES = Features({"input_ids": List(Value("uint16")), "continues": List(Value("bool"))})
Referenced = tuple[str, list[int]]  # a line, and the positions of its tokens that continue a word


def text_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The text files that one or several paths name; a folder stands for its ``*.txt`` files, sorted.

    Raises:
        CourseError: a path that does not exist, or a folder without text files.
    """
    files: list[Path] = []
    for path in map(resolve, [paths] if isinstance(paths, str | Path) else paths):
        found = sorted(path.glob("*.txt")) if path.is_dir() else [path] * path.is_file()
        if not found:
            raise CourseError("no such text file, nor a folder with *.txt", where=path, fix="check the path")
        files += found
    return files


def pack(
    lines: Iterable[Referenced], tokenizer: PreTrainedTokenizerBase, length: int, batch: int = 512
) -> Iterator[dict[str, list]]:
    """Pack lines into blocks: [CLS], ``length - 2`` tokens of running text, [SEP].

    Every line's tokens come in order and end in a [SEP] of their own, so that no block says two
    lines were one. Only the last block may be shorter. No token is lost, none comes twice.

    Args:
        lines: lines with their references, as :func:`segmented_references` yields them.
        tokenizer: a BERT tokenizer; ids must fit 16 bits.
        length: tokens in a block, [CLS] and [SEP] included.

    Yields:
        ``{"input_ids": list[int], "continues": list[bool]}``, both as long as the block.
        ``continues`` is True where a token continues the word of the token before it: by its
        reference if the word is Chinese, by WordPiece's own ``##`` if it is not. A
        word cut by a block's border goes on with True in the next block's first place.
    """
    if length < 4:
        raise CourseError(f"a block of {length} tokens holds no text", fix="a length of at least 4")
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    body = length - 2
    ids: list[int] = []
    flags: list[bool] = []

    def block(end: int) -> dict[str, list]:
        return {"input_ids": [first, *ids[:end], last], "continues": [False, *flags[:end], False]}

    pieces = {index for token, index in tokenizer.get_vocab().items() if token.startswith("##")}
    lines = iter(lines)
    while chunk := list(islice(lines, batch)):
        encoded = tokenizer([text for text, _ in chunk], add_special_tokens=False, verbose=False)["input_ids"]
        for tokens, (text, positions) in zip(encoded, chunk, strict=True):
            if positions and positions[-1] > len(tokens):
                raise CourseError(
                    f"reference position {positions[-1]} lies beyond the {len(tokens)} tokens of {text[:30]!r}",
                    fix="make the references again from this very text, with this tokenizer",
                )
            if tokens:
                marked = set(positions)
                ids += [*tokens, last]
                flags += [*(place in marked or token in pieces for place, token in enumerate(tokens, 1)), False]
            while len(ids) >= body:
                yield block(body)
                del ids[:body], flags[:body]
    if ids:
        yield block(len(ids))


def referenced_lines(text_file: Path, reference_file: Path) -> Iterator[Referenced]:
    """Lines of a text file with the references of another, in step.

    Raises:
        CourseError: the two files do not have the same number of lines.
    """
    rows = read_references(reference_file)
    for number, text in enumerate(read_lines(text_file), 1):
        positions = next(rows, None)
        if positions is None:
            raise CourseError(
                f"the references end after {number - 1} lines, and {text_file} goes on",
                where=f"{reference_file}, line {number}",
                fix="make them again from this text: minirbt references",
            )
        yield text, positions
    if next(rows, None) is not None:
        raise CourseError(
            f"more references than {text_file} has lines ({number})",
            where=f"{reference_file}, line {number + 1}",
            fix="make them again from this text: minirbt references",
        )


def build_blocks(
    paths: str | Path | Sequence[str | Path],
    tokenizer: PreTrainedTokenizerBase,
    output: str | Path,
    *,
    length: int,
    segmenter: Segmenter | None = None,
    references: Sequence[str | Path] | None = None,
    match: Match = "segmentation",
    progress: bool = True,
) -> Dataset:
    """Make the blocks of text files and keep them on disk as Arrow.

    Args:
        paths: text files or folders of them, one paragraph per line.
        tokenizer: a fast BERT tokenizer.
        output: the folder to write, whole or not at all.
        length: tokens per block.
        segmenter: cuts words and makes the references on the way; or
        references: reference files made before, one per text file.
        match: how words become references, when a segmenter is given.

    Returns:
        The blocks, memory-mapped: ``input_ids`` uint16 and ``continues`` bool.

    Raises:
        CourseError: missing, empty or broken files, references out of step, no room on disk.
    """
    files = text_files(paths)
    if len(tokenizer) > 2**16:
        raise CourseError(f"a vocabulary of {len(tokenizer)} does not fit 16-bit ids")
    if references is not None and len(references) != len(files):
        raise CourseError(
            f"{len(references)} reference files for {len(files)} text files", fix="one for each, in order"
        )
    if references is None and segmenter is None:
        raise CourseError("neither a segmenter nor references", fix="give one of the two")
    total = sum(map(count_lines, files))

    def lines() -> Iterator[Referenced]:
        if references is None:
            for file in files:
                yield from segmented_references(read_lines(file), segmenter, tokenizer, match)
        else:
            for file, reference in zip(files, references, strict=True):
                yield from referenced_lines(file, Path(reference))

    def blocks() -> Iterator[dict[str, list]]:
        bar = progress_bar(lines(), show=progress, total=total, desc="blocks", unit="line")
        yield from pack(bar, tokenizer, length)

    with atomic_folder(output) as folder, tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        _save(blocks, cache, folder)
    return load_blocks(output)


def cached_blocks(
    paths: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    home: str | Path,
    *,
    length: int,
    segmenter: str,
    match: Match = "segmentation",
    progress: bool = True,
) -> Dataset:
    """The blocks of a text, made once and kept as ``home/blocks-<fingerprint>``.

    The fingerprint covers the files' content, the vocabulary and the settings: change one of
    them, and new blocks are made beside the old. Arguments as :func:`build_blocks`, but the
    segmenter is named, and loaded only when needed.
    """
    digest = hashlib.sha256(repr((length, segmenter, match, sorted(tokenizer.get_vocab().items()))).encode())
    for file in text_files(paths):
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    folder = Path(home) / f"blocks-{digest.hexdigest()[:12]}"
    if folder.is_dir():
        return load_blocks(folder)
    cutter = load_segmenter(segmenter)
    return build_blocks(paths, tokenizer, folder, length=length, segmenter=cutter, match=match, progress=progress)


def _save(blocks: Callable[[], Iterator[dict]], cache: str, folder: Path) -> None:
    disable_progress_bars()  # ours counts lines, theirs would count blocks beside it
    try:
        made = Dataset.from_generator(blocks, features=FEATURES, cache_dir=cache, fingerprint="blocks")
        made.save_to_disk(folder)
    except DatasetGenerationError as problem:
        raise problem.__cause__ or problem from None
    finally:
        enable_progress_bars()


def load_blocks(folder: str | Path) -> Dataset:
    """Blocks that :func:`build_blocks` left in a folder, as tensors.

    Raises:
        CourseError: no blocks there.
    """
    try:
        blocks = load_from_disk(str(resolve(folder)))
    except (FileNotFoundError, ValueError) as problem:
        raise CourseError("no blocks in this folder", where=folder, fix="make them: minirbt pack") from problem
    if blocks.features != FEATURES:
        raise CourseError(f"not blocks: the columns are {list(blocks.features)}", where=folder, fix="minirbt pack")
    return blocks
