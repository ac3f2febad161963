"""Text to blocks: token ids and continuation flags, packed to a fixed length, in Arrow on disk (notebook 02)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple
from uuid import uuid4

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError, line_of
from ..hub import vocabulary_size
from ..language import _
from ..lines import byte_size, read_batches
from ..workspace import atomic_folder, check_folder, clear_disk_errors, progress_bar, resolve, write_json
from .processes import in_step, useful_processes
from .references import IS_CJK, Match, continued_words, read_references
from .segmentation import Segmenter, load_segmenter
from .sources import Files, Paths, reference_files, text_source
from .tokens import Tokens, encoder

if TYPE_CHECKING:
    from datasets import Dataset, Features

FORMAT = 2  # of cached blocks; another number, and old caches are left alone
DATA, CARD = "data-00000-of-00001.arrow", "blocks.json"
STATE = {  # what Dataset.load_from_disk asks for, beside the files
    "_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": None,
}  # fmt: skip
Stream = tuple[NDArray[np.uint16], NDArray[np.bool_]]  # running text: token ids and whether each continues a word
Referenced = tuple[str, list[int]]  # a line, and the positions of its tokens that continue a word


@cache
def features() -> Features:
    """What a block is on disk. (The library is loaded when it is asked for: not everybody who trains has it.)"""
    from datasets import Features, List, Value

    return Features({"input_ids": List(Value("uint16")), "continues": List(Value("bool"))})


class Batch(NamedTuple):
    """Some lines of a text file, with their references if these were made before."""

    lines: list[str]
    rows: list[list[int]] | None = None
    references: str = ""  # the file of the references
    first: int = 1  # the number of the first line


@dataclass
class BlockText:
    """Lines to running text: ids and flags, a [SEP] after every line; travels to other processes.

    ``continues`` is True where a token continues the word of the token before it: by its
    reference if the word is Chinese, by WordPiece's own ``##`` if it is not.
    """

    tokenizer: PreTrainedTokenizerBase
    segmenter: Segmenter | None = None
    match: Match = "segmentation"

    def __call__(self, batch: Batch) -> Stream:
        code = encoder(self.tokenizer)
        tokens = code(batch.lines)
        if batch.rows is None:
            words = self.segmenter(batch.lines)
            flags = continued_words(batch.lines, words, tokens, self.tokenizer, self.match)
        else:
            flags = _referenced(batch, tokens)
        sizes = np.diff(tokens.borders)
        ends = tokens.borders[1:][sizes > 0]  # a [SEP] after every line that has tokens
        ids = np.insert(tokens.ids.astype(np.uint16), ends, self.tokenizer.sep_token_id)
        return ids, np.insert(flags | code.is_piece[tokens.ids], ends, False)


def _referenced(batch: Batch, tokens: Tokens) -> NDArray:
    """References as a flag per token: [tokens]; refused if they cannot belong to these lines."""
    sizes = np.fromiter(map(len, batch.rows), np.int64, len(batch.rows))
    positions = np.fromiter(chain.from_iterable(batch.rows), np.int64, int(sizes.sum()))
    beyond = positions > np.repeat(np.diff(tokens.borders), sizes)
    places = np.where(beyond, 0, np.repeat(tokens.borders[:-1], sizes) + positions - 1)
    chinese = IS_CJK[tokens.codes[tokens.starts]] if len(tokens.ids) else np.zeros(1, bool)
    wrong = beyond | (positions < 2) | ~chinese[places] | ~chinese[places - 1]
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        line = int(np.searchsorted(sizes.cumsum(), at, side="right"))
        raise CourseError(
            "position {position} continues no Chinese word of {text!r}",
            where=line_of(batch.references, batch.first + line),
            fix="these references are another text's (or tokenizer's): make them again with `minirbt references`",
            position=positions[at],
            text=batch.lines[line][:30],
        )
    flags = np.zeros(len(tokens.ids), bool)
    flags[places] = True
    return flags


class Packer:
    """Cuts running text into blocks: [CLS], ``length - 2`` tokens, [SEP]; keeps what does not fill one yet."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int):
        if length < 4:
            raise CourseError("a block of {length} tokens holds no text", fix="a length of at least 4", length=length)
        if (size := vocabulary_size(tokenizer)) > 2**16:
            raise CourseError("a vocabulary of {size} does not fit 16-bit ids", size=size)
        self.length, self._frame = length, (tokenizer.cls_token_id, tokenizer.sep_token_id)
        self._rest: Stream = np.zeros(0, np.uint16), np.zeros(0, bool)

    def add(self, stream: Stream) -> Stream:
        """The blocks that are full now: two arrays of [blocks, length]."""
        ids, flags = (np.concatenate(pair) for pair in zip(self._rest, stream, strict=True))
        body = self.length - 2
        full = len(ids) // body * body
        self._rest = ids[full:], flags[full:]
        return self._framed(ids[:full].reshape(-1, body), flags[:full].reshape(-1, body))

    def rest(self) -> Stream:
        """The last block, shorter than the others: two arrays of [1 or 0, its length]."""
        ids, flags = self._rest
        return self._framed(ids[None][: len(ids)], flags[None][: len(ids)])

    def _framed(self, ids: NDArray, flags: NDArray) -> Stream:
        framed = np.pad(ids, ((0, 0), (1, 1)))
        framed[:, 0], framed[:, -1] = self._frame
        return framed, np.pad(flags, ((0, 0), (1, 1)))


def pack(
    lines: Iterable[Referenced], tokenizer: PreTrainedTokenizerBase, length: int, batch: int = 512
) -> Iterator[dict[str, list]]:
    """Pack lines into blocks: [CLS], ``length - 2`` tokens of running text, [SEP].

    Every line's tokens come in order and end in a [SEP] of their own, so that no block says two
    lines were one. Only the last block may be shorter. No token is lost, none comes twice.

    Args:
        lines: lines with their references.
        tokenizer: a fast BERT tokenizer; ids must fit 16 bits.
        length: tokens in a block, [CLS] and [SEP] included.
        batch: lines to work on at once.

    Yields:
        ``{"input_ids": list[int], "continues": list[bool]}``, both as long as the block; see
        :class:`BlockText` for ``continues``. A word cut by a block's border goes on with True in
        the next block's first place.

    Raises:
        CourseError: too short a length, or references that are not these lines'.
    """
    packer, work, lines, done = Packer(tokenizer, length), BlockText(tokenizer), iter(lines), 0
    while chunk := list(islice(lines, batch)):
        texts, rows = map(list, zip(*chunk, strict=True))
        yield from _as_lists(packer.add(work(Batch(texts, rows, "references", done + 1))))
        done += len(chunk)
    yield from _as_lists(packer.rest())


def _as_lists(blocks: Stream) -> Iterator[dict[str, list]]:
    for ids, flags in zip(*(column.tolist() for column in blocks), strict=True):
        yield {"input_ids": ids, "continues": flags}


def build_blocks(
    paths: Paths,
    tokenizer: PreTrainedTokenizerBase,
    output: str | Path,
    *,
    length: int,
    segmenter: Segmenter | None = None,
    references: Paths | None = None,
    match: Match = "segmentation",
    progress: bool = True,
    processes: int | None = None,
) -> Dataset:
    """Make the blocks of text files and keep them on disk as Arrow.

    Args:
        paths: text files, folders, lists of them, or a hub's dataset (see :func:`text_source`), one paragraph per line.
        tokenizer: a fast BERT tokenizer.
        output: the folder to write, whole or not at all; earlier blocks there are replaced.
        length: tokens per block.
        segmenter: cuts words and makes the references on the way; or
        references: reference files made before, one per text file (see :func:`reference_files`).
        match: how words become references, when a segmenter is given.
        progress: show a bar (in bytes).
        processes: how many work at it; None: as many as there are processors and work for.

    Returns:
        The blocks, memory-mapped: ``input_ids`` uint16 and ``continues`` bool.

    Raises:
        CourseError: missing, empty or broken files, references out of step or of another text, no room on disk, or
            other files in the output folder.
    """
    beside = "state.json", "dataset_info.json", "cache-*.arrow"  # datasets keeps what was done with the blocks
    check_folder(output, "minirbt pack", (CARD, DATA), beside)  # the blocks of `minirbt shard` have the first alone
    source = text_source(paths)
    made = None if references is None else reference_files(references)
    batches = map(Batch, source.batches()) if made is None else referenced_batches(getattr(source, "files", ()), made)
    if made is None and segmenter is None:
        raise CourseError("neither a segmenter nor references", fix="give one of the two")
    source.require_text()
    size = source.size
    # With references at hand there is little to do but read and write.
    shared_out = made is None and segmenter.several_processes
    processes = processes or (useful_processes(size) if shared_out else 1)
    work, packer = BlockText(tokenizer, None if made else segmenter, match), Packer(tokenizer, length)
    with (
        atomic_folder(output) as folder,
        progress_bar(show=progress, total=size, desc=_("blocks"), unit="B", unit_scale=True) as bar,
    ):
        with open(folder / DATA, "wb") as file, BlockWriter(file) as writer:
            for batch, stream in in_step(work, batches, processes):
                writer.write(packer.add(stream))
                bar.update(byte_size(batch.lines))
            writer.write(packer.rest())
        if not writer.blocks:
            raise CourseError("no text at all", where=source, fix="name a text with words in it")
        describe_blocks(folder, [DATA], writer.blocks, (folder / DATA).stat().st_size, tokenizer)
        bar.update((size or bar.n) - bar.n)  # byte order marks and carriage returns
    return load_blocks(output)


def referenced_batches(files: Sequence[Path], references: Sequence[Path]) -> Iterator[Batch]:
    """The lines of text files with the references of the files beside them.

    Raises:
        CourseError: files and references out of step.
    """
    if len(references) != len(files):
        raise CourseError(
            "{references} reference files for {files} text files",
            fix="one for each, in order",
            references=len(references),
            files=len(files),
        )
    for file, reference in zip(files, references, strict=True):
        rows, done = read_references(reference), 0
        for lines in read_batches(file):
            made = list(islice(rows, len(lines)))
            if len(made) < len(lines):
                end = done + len(made)
                raise _out_of_step("the references end after {lines} lines, and {file} goes on", reference, end, file)
            yield Batch(lines, made, str(reference), done + 1)
            done += len(lines)
        if next(rows, None) is not None:
            raise _out_of_step("more references than {file} has lines ({lines})", reference, done, file)


def _out_of_step(what: str, references: Path, lines: int, file: Path) -> CourseError:
    return CourseError(
        _(what).format(lines=lines, file=file),
        where=line_of(references, lines + 1),
        fix="make them again from this text: minirbt references (the original's script drops blank lines)",
    )


class BlockWriter:
    """Blocks to an Arrow file, as ``Dataset.save_to_disk`` writes it.

    Attributes:
        blocks: how many were written so far.
    """

    def __init__(self, file: IO[bytes]):
        import pyarrow as pa

        self.blocks, self._stream = 0, pa.ipc.new_stream(file, features().arrow_schema)

    def write(self, blocks: Stream) -> None:
        """Add the blocks of two arrays, [blocks, length]."""
        import pyarrow as pa

        if rows := len(blocks[0]):
            ends = pa.array(np.arange(rows + 1, dtype=np.int32) * blocks[0].shape[1])
            columns = [pa.ListArray.from_arrays(ends, pa.array(column.ravel())) for column in blocks]
            self._stream.write_batch(pa.record_batch(columns, schema=features().arrow_schema))
            self.blocks += rows

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        if kind is None:
            self._stream.close()


def describe_blocks(
    folder: Path, names: Sequence[str], blocks: int, size: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write what makes Arrow files in a folder a dataset, and a card: how many blocks and bytes, whose ids they are."""
    from datasets import DatasetInfo

    DatasetInfo(features=features()).write_to_directory(folder)
    files = {"_data_files": [{"filename": name} for name in names], "_fingerprint": uuid4().hex[:16]}
    write_json(folder / "state.json", STATE | files)
    write_json(folder / CARD, {"blocks": blocks, "bytes": size, "vocabulary": vocabulary_of(tokenizer)})


def vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """What tells one vocabulary from another: a digest of all entries with their ids."""
    return hashlib.sha256(repr(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()[:12]


def load_blocks(
    folder: str | Path, length: int | None = None, tokenizer: PreTrainedTokenizerBase | None = None
) -> Dataset:
    """Blocks that :func:`build_blocks` left in a folder, memory-mapped.

    Args:
        folder: where they lie.
        length: tokens per block that are asked for (a text too short for one block has one that is shorter); None: any.
        tokenizer: whose ids they are to be; None: anybody's.

    Raises:
        CourseError: no blocks there, damaged ones, or those of another length or another vocabulary.
    """
    from datasets import load_from_disk

    folder = resolve(folder)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CourseError("no blocks in this folder", where=folder, fix="make them: minirbt pack") from problem
    try:
        blocks = load_from_disk(str(folder))
        whole = blocks.features == features() and card["blocks"] == len(blocks)
        whole = whole and card["bytes"] == sum(file.stat().st_size for file in folder.glob("data-*.arrow"))
    except (OSError, ValueError, KeyError, TypeError):  # Arrow's errors are ValueErrors
        whole = False
    if not whole:
        raise CourseError("damaged blocks", where=folder, fix="make them again: minirbt pack")
    if tokenizer and card.get("vocabulary") not in (None, vocabulary_of(tokenizer)):  # older cards name none
        raise CourseError(
            "blocks of another vocabulary than the model's",
            where=folder,
            fix="name the model whose tokenizer packed them (--teacher), or pack anew with this one's",
        )
    made = len(blocks[0]["input_ids"]) if length else None
    if made != length and (len(blocks) > 1 or made > length):
        raise CourseError(
            "blocks of {made} tokens, not {length}",
            where=folder,
            fix="LENGTH = {made}, or pack anew",
            made=made,
            length=length,
        )
    return blocks


def cached_blocks(
    paths: Paths,
    tokenizer: PreTrainedTokenizerBase,
    home: str | Path,
    *,
    length: int,
    segmenter: str,
    match: Match = "segmentation",
    progress: bool = True,
) -> Dataset:
    """The blocks of a text, made once and kept as ``home/blocks-<fingerprint>``.

    The fingerprint covers the content of the files and of the segmenter's folder, the vocabulary and
    the settings: change one of them, and new blocks are made beside the old. Damaged ones are made
    again, with a word about it. Arguments as :func:`build_blocks`, but the segmenter is named, and loaded only when
    needed; and a folder of blocks made before (``minirbt pack`` or ``shard``) stands for itself.
    """
    if isinstance(paths, str | Path) and (resolve(paths) / CARD).is_file():
        return load_blocks(paths, length, tokenizer)
    folder = Path(home) / f"blocks-{_fingerprint(paths, tokenizer, length, segmenter, match)}"
    if folder.is_dir():
        with suppress(CourseError):
            return load_blocks(folder)
    with clear_disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Of notebooks that run side by side one makes the blocks, and the others wait.
        alone = FileLock(folder.with_name(f".{folder.name}.lock")).acquire()
    with alone:
        if folder.is_dir():
            try:
                return load_blocks(folder)  # made by another meanwhile
            except CourseError as problem:
                print(_("{place}: {what}, made again").format(place=problem.where, what=problem.what))
                shutil.rmtree(folder)
        cutter = load_segmenter(segmenter)
        return build_blocks(paths, tokenizer, folder, length=length, segmenter=cutter, match=match, progress=progress)


def _fingerprint(
    paths: Paths,
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    segmenter: str,
    match: Match,
) -> str:
    vocabulary = tokenizer.backend_tokenizer.to_str()
    digest = hashlib.sha256(repr((FORMAT, length, match, vocabulary)).encode())
    cutter = resolve(segmenter)
    own = sorted(file for file in cutter.iterdir() if file.is_file()) if cutter.is_dir() else []
    digest.update(b"" if own else segmenter.encode())  # a hub id names its content, a folder does not
    source = text_source(paths)
    digest.update(b"" if isinstance(source, Files) else str(source).encode())
    for file in [*own, *(source.files if isinstance(source, Files) else ())]:
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
