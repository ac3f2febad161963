"""Cutting Chinese text into words with LTP (notebook 02).

Source: Che et al., "N-LTP: An Open-source Neural Language Technology Platform for Chinese"
(EMNLP 2021 demo), and the library `ltp` 4.2 that goes with it.
"""

import inspect
import json
import pickle
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from ..errors import CourseError, line_of, some
from ..hub import fetch_model
from ..lines import read_lines
from ..sniffing import AGAIN, require_weights, require_whole
from .tokens import code_points

# An LTP folder's config names the Python callables it wants built: modules of these packages, and this function.
TRUSTED_PACKAGES = ("ltp_core.", "transformers.")
TRUSTED_FUNCTION = "ltp_core.models.utils.transformer.load_transformers"
NEURAL_TOKENS = 510  # LTP's limit is 512 with [CLS] and [SEP]; what is beyond it is cut off without a word
NEURAL_BATCH = 32
AVRO, MARK = b"Obj\x01", 16  # how an Avro file begins, and the bytes of the mark between its blocks
OWN = 2  # LTP's frequency of a word of one's own; any would do
CUTS = ("。！？；…!?;\n", "，、：,:", " \t\u3000")  # where a long line may be cut, the best places first

Cutter = Callable[[list[str]], list[list[str]]]  # texts to their words


def load_segmenter(name_or_path: str | Path, *, words: Sequence[str] = ()) -> "Segmenter":
    """Load an LTP word segmenter from a folder or the hub.

    Args:
        name_or_path: a folder with LTP's ``config.json``, or a hub id such as ``LTP/small``
            (``LTP/small@revision`` for a fixed revision). The config says whether it is the neural
            model, which runs on a GPU where there is one, or the perceptron.
        words: words of your own to keep together. LTP then takes the fewest words that make up a line, out of its own
            cut and yours: a word of yours may tear its neighbour (今天天 before 气 tears 天气, *tiānqì*, weather), is
            not used where the model's longer words are fewer, and frequencies do not count.

    Returns:
        A :class:`Segmenter`.

    Raises:
        CourseError: no such folder or model, a folder without a segmentation model, files that are no model, a config
            that wants to run code outside ``ltp_core`` and ``transformers``, weights that hold code, or a word with a
            blank in it.
    """
    folder, own = fetch_model(name_or_path), OwnWords(words) if words else None
    config_file = folder / "config.json"
    try:
        if config_file.is_file():
            require_whole(config_file)
        config = json.loads(config_file.read_text(encoding="utf-8"))
        neural = config.get("nerual", True)  # LTP's own spelling
    except (OSError, ValueError, AttributeError) as problem:
        raise CourseError(
            "not an LTP model ({problem})",
            where=config_file,
            fix="name a folder with LTP's config.json, or a hub id such as LTP/small",
            problem=problem,
        ) from problem
    refuse_foreign_code(config, config_file)
    cut, pieces = (_neural if neural else _perceptron)(folder, config)
    return Segmenter(cut, pieces, own, several_processes=not neural, origin=(folder, tuple(words)))


def read_words(file: str | Path) -> list[str]:
    """Words of your own, one a line.

    Raises:
        CourseError: no such file, or a line of several words (file and line named).
    """
    found = []
    for number, line in enumerate(read_lines(file), 1):
        if word := _trimmed(line):
            _require_word(word, line_of(file, number))
            found.append(word)
    return found


def _require_word(word: str, where: str = "") -> None:
    if word.split() != [word]:
        raise CourseError(
            "not one word: {word!r}",
            where=where,
            fix="one word a line, without its frequency or part of speech: a blank ends a word",
            word=word[:40],
        )
    code_points(word)  # refuses half a character


class OwnWords:
    """Words of one's own, put into those that a model has cut.

    LTP's own way with them trips over blanks and over characters that its tokenizer drops, and may end the process.
    Here its extension gets stretches without blanks alone, with the words that make up just these.

    Args:
        words: to keep together.

    Raises:
        CourseError: one with a blank in it.
    """

    def __init__(self, words: Sequence[str]):
        from ltp_extension.algorithms import Hook

        self._hook = Hook()
        for word in filter(None, map(_trimmed, words)):
            _require_word(word)
            self._hook.add_word(word, OWN)

    def __call__(self, text: str, words: Sequence[str]) -> list[str]:
        """The words of a text with those of one's own; ``words`` joined give the text without its blanks."""
        ends = set(accumulate(len(stretch) for stretch in text.split()))
        found, at, first = [], 0, 0
        for number, word in enumerate(words, 1):
            at += len(word)
            if at in ends:  # a blank follows, or the end
                stretch = list(words[first:number])
                found += self._hook.hook("".join(stretch), stretch)
                first = number
        return found


class Segmenter:
    """Maps a list of texts to their words.

    The words of a text joined give the text back, whitespace aside, whatever the text: this is
    checked for every text, since references are positions and one lost character moves them all.

    Args:
        cut: the model behind it; it never sees an empty text.
        pieces: parts of a text that the model may be given; None: it takes texts of any length.
        own: words of one's own, put into what the model cuts.
        several_processes: whether several copies in as many processes are faster than one.
        origin: where :func:`load_segmenter` had it from, so that other processes can load it, too.
    """

    def __init__(
        self,
        cut: Cutter,
        pieces: Callable[[str], Iterator[str]] | None = None,
        own: OwnWords | None = None,
        several_processes: bool = False,
        origin: tuple[Path, tuple[str, ...]] | None = None,
    ):
        self._cut, self._pieces, self._own = cut, pieces or (lambda text: iter([text])), own
        self.several_processes, self._origin = several_processes, origin

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        if isinstance(texts, str):
            raise CourseError("a Segmenter takes a list of texts, and got one text", fix="segmenter([text])[0]")
        parts = [(row, part) for row, text in enumerate(texts) for part in self._pieces(text) if part.strip()]
        seen = [_trimmed(part) for _, part in parts]  # what a model sees: nothing invisible at the ends
        cuts = iter(self._cut(list(filter(None, seen)))) if any(seen) else iter(())
        results: list[list[str]] = [[] for _ in texts]
        for (row, part), middle in zip(parts, seen, strict=True):
            if middle:
                words = _words_of(middle, next(cuts))
                before, after = ("".join(side.split()) for side in part.split(middle, 1))
                words = [*filter(None, (before, *(self._own(middle, words) if self._own else words), after))]
            else:
                words = part.split()
            results[row] += words
        return results

    def __reduce__(self):
        if self._origin is None:
            raise pickle.PicklingError("a Segmenter travels to other processes only if load_segmenter made it")
        return _reload, self._origin


def _reload(folder: Path, words: tuple[str, ...]) -> Segmenter:
    return load_segmenter(folder, words=words)


def _words_of(text: str, words: Sequence[str]) -> list[str]:
    """A model's words for a text, without spaces; letters that it dropped (NUL, say) become words of their own.

    So do invisible characters at a word's ends, which a neural model leaves there: BERT drops them, and a word with one
    would be no Chinese word.
    """
    letters = "".join(text.split())
    if "".join(words) != letters:
        words = [part for word in words for part in word.split()]  # LTP may leave spaces in a word: it ends there
    if "".join(words) == letters:
        return list(words) if letters.isprintable() else [part for word in words for part in _seen(word)]
    found, at = [], 0
    for word in words:
        place = letters.find(word, at)
        if place < 0:
            return text.split()  # not this text's words at all
        found += [letters[at:place], word]
        at = place + len(word)
    return [word for word in [*found, letters[at:]] if word]


def _seen(word: str) -> Iterator[str]:
    """A word without the invisible characters at its ends, and these."""
    if middle := _trimmed(word):
        first = word.index(middle)
        yield from filter(None, (word[:first], middle, word[first + len(middle) :]))
    else:
        yield word


def _trimmed(word: str) -> str:
    """A word without blanks and invisible characters at its ends."""
    shown = [place for place, character in enumerate(word) if character.isprintable() and character != " "]
    return word[shown[0] : shown[-1] + 1] if shown else ""


def split_long(text: str, offsets: Callable[[str], list[tuple[int, int]]], limit: int) -> Iterator[str]:
    """Cut a text into pieces of at most ``limit`` tokens, at sentence ends where there are any.

    Args:
        text: any text.
        offsets: gives the characters [start, end) of each token of a text.
        limit: most tokens of a piece; at least the tokens of a single character.

    Yields:
        Pieces that joined give the text.
    """
    spans = offsets(text)
    first, at = 0, 0  # the next piece's first token and first character
    while len(spans) - first > limit:
        end = _last_cut(text, at, spans[first + limit][0])
        yield from split_long(text[at:end], offsets, limit)  # alone, a piece of a word may have more tokens
        at = end
        while first < len(spans) and spans[first][0] < at:
            first += 1
    yield text[at:]


def _last_cut(text: str, start: int, end: int) -> int:
    """The last place in [start, end) after which a text is best cut; ``end`` if there is none."""
    for marks in CUTS:
        if cut := max((text.rfind(mark, start, end) for mark in marks), default=-1) + 1:
            return cut
    return end


def refuse_foreign_code(config: object, where: Path) -> None:
    """Refuse an LTP config that names a callable it need not have.

    Allowed are the neural modules of :data:`TRUSTED_PACKAGES`, by the package that *defines* them
    (``transformers.file_utils.os.system`` is not transformers'), and :data:`TRUSTED_FUNCTION`.

    Raises:
        CourseError: with the name.
    """
    if isinstance(config, dict):
        target = config.get("_ltp_target_")
        if target is not None and not _trusted(target):
            raise CourseError(
                "the config asks to import and run {target!r}",
                where=where,
                fix="an LTP folder is code: use one from a source you trust, with ltp_core and transformers alone",
                target=target,
            )
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            refuse_foreign_code(part, where)


def _trusted(target: object) -> bool:
    if target == TRUSTED_FUNCTION:
        return True
    if not isinstance(target, str) or not target.startswith(TRUSTED_PACKAGES):
        return False
    from ltp_core.models.utils.instantiate import find_callable
    from torch.nn import Module

    try:
        found = find_callable(target)
    except (ImportError, AttributeError, ValueError):
        return False
    return inspect.isclass(found) and issubclass(found, Module) and found.__module__.startswith(TRUSTED_PACKAGES)


def _perceptron(folder: Path, config: dict) -> tuple[Cutter, None]:
    from ltp.legacy import LTP

    file = folder / str(config.get("tasks", {}).get("cws", ""))
    if not file.is_file():
        raise CourseError("no segmentation model: {name} is missing", where=folder, name=file.name or "cws")
    require_whole(file)
    if not _is_whole_avro(file.read_bytes()):  # LTP's extension would end the process
        raise CourseError("the segmentation model is damaged, or of another kind", where=file, fix=AGAIN)
    model = LTP(cws=str(file))
    return lambda texts: model.pipeline(texts, tasks=["cws"]).cws, None


def _is_whole_avro(content: bytes) -> bool:
    """Whether the blocks of an Avro file are whole: each is two numbers, data, and the mark that ends the header."""
    mark = content[-MARK:]
    at = content.find(mark) + MARK
    if not content.startswith(AVRO) or at >= len(content):
        return False
    deflated = b"deflate" in content[:at]
    while at < len(content):
        _, at = _number(content, at)  # how many objects the block has
        size, start = _number(content, at)
        at = start + size
        if size < 0 or content[at : at + MARK] != mark:
            return False
        try:
            zlib.decompress(content[start:at] if deflated else b"\x03\x00", -zlib.MAX_WBITS)
        except zlib.error:
            return False
        at += MARK
    return True


def _number(content: bytes, at: int) -> tuple[int, int]:
    """A whole number of Avro's (seven bits a byte, the sign in the lowest one), and where the next one begins."""
    value = shift = 0
    while at < len(content):
        value |= (content[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if content[at - 1] < 128:
            return (value >> 1) ^ -(value & 1), at
    return -1, at


def _neural(folder: Path, config: dict) -> tuple[Cutter, Callable[[str], Iterator[str]]]:
    import torch
    from ltp.nerual import LTP
    from transformers import AutoTokenizer

    try:
        model = LTP(config={**config, "model": _segmentation_alone(config["model"])})
        model.tokenizer = tokenizer = AutoTokenizer.from_pretrained(folder, config=model.model.backbone.config)
        _load_weights(model.model, folder)
    except (KeyError, TypeError, ValueError, OSError, RuntimeError) as problem:
        reason = str(problem).strip().splitlines()[:1]
        raise CourseError(
            "not a neural LTP model ({kind}: {reason})",
            where=folder,
            kind=type(problem).__name__,
            reason=" ".join(reason)[:160],
        ) from problem
    if not hasattr(tokenizer, "batch_encode_plus"):  # gone in transformers 5, still called by LTP 4.2
        tokenizer.batch_encode_plus = tokenizer.__call__
    model.to("cuda" if torch.cuda.is_available() else "cpu")

    def cut(texts: list[str]) -> list[list[str]]:
        rows: list[list[str]] = [[] for _ in texts]
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # little padding
        for start in range(0, len(order), NEURAL_BATCH):
            batch = order[start : start + NEURAL_BATCH]
            for row, found in zip(batch, model.pipeline([texts[row] for row in batch], tasks=["cws"]).cws, strict=True):
                rows[row] = found
        return rows

    def offsets(text: str) -> list[tuple[int, int]]:
        return tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]

    return cut, lambda text: split_long(text, offsets, NEURAL_TOKENS)


def _segmentation_alone(model: dict) -> dict:
    """The part of a neural LTP's config that cuts words: the other five tasks are not built."""
    return {**model, **{part: {"cws": model[part]["cws"]} for part in ("processor", "heads")}}


def _load_weights(model, folder: Path) -> None:
    """Fill a module from ``model.safetensors`` or ``pytorch_model.bin``, never running code of the file's."""
    import torch
    from safetensors.torch import load_file

    require_weights(folder)
    if (folder / "model.safetensors").is_file():
        weights = load_file(folder / "model.safetensors")
    else:
        try:
            weights = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as problem:
            raise CourseError(
                "the weights hold more than tensors, and loading them might run code",
                where=folder / "pytorch_model.bin",
                fix="use a model from a source you trust, or save its state dict as safetensors",
            ) from problem
    if missing := model.load_state_dict(weights, strict=False).missing_keys:  # other tasks' heads are left over
        raise CourseError(
            "weights are missing: {names}",
            where=folder,
            fix="fetch the whole model, or give one that segments words",
            names=some(missing),
        )
