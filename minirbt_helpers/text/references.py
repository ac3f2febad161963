"""Which tokens continue a Chinese word: LTP references (notebook 02).

BERT cuts 天气 into 天 and 气. A reference lists the positions of tokens that continue a word
(here that of 气), so that masking can treat the two as one. It never changes the model's input.

Source: run_chinese_ref.py of the original repository and Cui et al., "Pre-Training with Whole
Word Masking for Chinese BERT" (2021).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError, line_of
from ..language import _
from ..lines import byte_size, read_batches, read_lines, require_text
from ..workspace import atomic_file, progress_bar
from .processes import in_step, useful_processes
from .segmentation import Segmenter
from .tokens import CODE_POINTS, Tokens, code_points, encoder

Match = Literal["segmentation", "original"]

# The ideographs that the tokenizers library sets apart: unified, extensions A-E, compatibility. Of extension E, BERT's
# own code does so from U+2B820 on; the library, and so everything here, from U+2B920 on.
CJK_RANGES = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
CHINESE = re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in CJK_RANGES) + "]+")
IS_CJK = np.zeros(CODE_POINTS, bool)  # by code point
for low, high in CJK_RANGES:
    IS_CJK[low : high + 1] = True
AT_ONCE = 1024  # lines; more are no faster
LAST_SPACE = 0x3000
IS_SPACE = np.array([chr(code).isspace() for code in range(LAST_SPACE + 2)])


def is_chinese(word: str) -> bool:
    """Whether every character of a non-empty word is a Chinese ideograph: one that the tokenizer sets apart."""
    return CHINESE.fullmatch(word) is not None


def chinese_reference(
    text: str, words: Sequence[str], tokenizer: PreTrainedTokenizerBase, match: Match = "segmentation"
) -> list[int]:
    """Positions of the tokens that continue a Chinese word.

    Args:
        text: one line.
        words: its words, as a :class:`~minirbt_helpers.text.Segmenter` gives them.
        tokenizer: a fast BERT tokenizer (offsets are needed).
        match: ``"segmentation"`` marks exactly what the segmenter cut; ``"original"`` matches
            greedily, longest first, against the *set* of the line's words, as the original's code
            does, which can join what the segmenter cut elsewhere.

    Returns:
        Ascending positions, counted with [CLS] as 0. 天气很好 with the words 天气, 很, 好 gives [2].

    Raises:
        CourseError: the words do not belong to the text, or an unknown ``match``.
    """
    return references([text], [words], tokenizer, match)[0]


def references(
    texts: Sequence[str],
    words: Sequence[Sequence[str]],
    tokenizer: PreTrainedTokenizerBase,
    match: Match = "segmentation",
) -> list[list[int]]:
    """:func:`chinese_reference` for many lines at once, which is much faster."""
    if len(texts) != len(words):
        raise CourseError(
            "{lines} lines and the words of {words}",
            fix="give the words of each line",
            lines=len(texts),
            words=len(words),
        )
    rows: list[list[int]] = []
    for start in range(0, len(texts), AT_ONCE):
        lines, cuts = texts[start : start + AT_ONCE], words[start : start + AT_ONCE]
        tokens = encoder(tokenizer)(lines)
        rows += positions_of(continued_words(lines, cuts, tokens, tokenizer, match), tokens)
    return rows


def check_match(match: str) -> None:
    """Refuse a way of matching that there is not."""
    if match not in ("segmentation", "original"):
        raise CourseError("unknown match {match!r}", fix="'segmentation' or 'original'", match=match)


def continued_words(
    texts: Sequence[str],
    words: Sequence[Sequence[str]],
    tokens: Tokens,
    tokenizer: PreTrainedTokenizerBase,
    match: Match = "segmentation",
) -> NDArray[np.bool_]:
    """Which of the tokens of some lines continue a Chinese word: [tokens].

    Args:
        texts: the lines.
        words: the words of each.
        tokens: the lines' tokens.
        tokenizer: where these come from.
        match: as in :func:`chinese_reference`.

    Raises:
        CourseError: as :func:`chinese_reference`.
    """
    check_match(match)
    # A word with a space in it, as LTP may leave one, is no Chinese word: its letters stand alone.
    letters = [_in_letters(text, line, _bare) for text, line in zip(texts, words, strict=True)]
    if match == "original":
        return _by_matching(words, tokens, encoder(tokenizer).names)
    firsts, sizes, places = _spread(letters, tokens.codes)
    inside = np.zeros(len(tokens.codes), bool)  # characters that continue a Chinese word
    if sizes.size:
        letters = np.repeat(np.logical_and.reduceat(IS_CJK[tokens.codes[places]], firsts), sizes)
        letters[firsts] = False
        inside[places] = letters
    return inside[tokens.starts]


def word_spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in the text, as [start, end) in characters.

    Raises:
        CourseError: the words joined do not give the text, whitespace aside.
    """
    letters = _in_letters(text, words, lambda word: [_bare(word)])
    firsts, sizes, places = _spread([letters], code_points(text))
    return list(zip(places[firsts].tolist(), (places[firsts + sizes - 1] + 1).tolist(), strict=True))


def _spread(words: Sequence[Sequence[str]], codes: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Lay words along their texts: each word's first letter and size, and each letter's place in the texts.

    A letter is a character that is not a space; letters are counted through all texts. The words hold letters only.
    """
    sizes = np.fromiter(map(len, chain.from_iterable(words)), np.int64)
    sizes = sizes[sizes > 0]
    places = np.flatnonzero(~IS_SPACE[np.minimum(codes, LAST_SPACE + 1)])
    return sizes.cumsum() - sizes, sizes, places


def _in_letters(text: str, words: Sequence[str], spaced: Callable[[str], Iterable[str]]) -> Sequence[str]:
    """The words of a text without spaces: ``spaced`` says what becomes of a word that has some."""
    letters = "".join(text.split())
    if "".join(words) == letters:
        return words
    found = [part for word in words for part in ([word] if word.split() == [word] else spaced(word))]
    if "".join(found) != letters:
        raise CourseError(
            "the words do not make up the text: {words} … for {text!r}",
            fix="segment this very line; words joined must give it back, whitespace aside",
            words=list(words)[:8],
            text=text[:40],
        )
    return found


def _bare(word: str) -> str:
    return "".join(word.split())


def _by_matching(words: Sequence[Sequence[str]], tokens: Tokens, names: Sequence[str]) -> NDArray:
    flags = np.zeros(len(tokens.ids), bool)
    for line, (first, last) in zip(words, pairwise(tokens.borders), strict=True):
        at = np.array(_greedy([names[token] for token in tokens.ids[first:last]], line), np.int64)
        flags[first + at] = True
    return flags


def _greedy(tokens: Sequence[str], words: Sequence[str]) -> list[int]:
    """Which tokens, counted from 0, continue a word when the longest run in the set of words is taken each time."""
    known = {word for word in words if len(word) > 1 and is_chinese(word)}
    longest = max(map(len, known), default=0)
    places, at = [], 0
    while at < len(tokens):
        length = 1
        if is_chinese(tokens[at]):
            sizes = range(min(longest, len(tokens) - at), 1, -1)
            length = next((size for size in sizes if "".join(tokens[at : at + size]) in known), 1)
        places += range(at + 1, at + length)
        at += length
    return places


def positions_of(flags: NDArray, tokens: Tokens) -> list[list[int]]:
    """Flags of tokens as one reference per line: positions, counted with [CLS] as 0."""
    marked = np.flatnonzero(flags)
    ends = np.searchsorted(marked, tokens.borders)  # marks before each line, and in all
    positions = (marked - np.repeat(tokens.borders[:-1], np.diff(ends)) + 1).tolist()
    return [positions[first:last] for first, last in pairwise(ends.tolist())]


@dataclass
class ReferenceMaker:
    """Lines to the lines of a reference file; travels to other processes."""

    segmenter: Segmenter
    tokenizer: PreTrainedTokenizerBase
    match: Match

    def __call__(self, lines: list[str]) -> str:
        rows = references(lines, self.segmenter(lines), self.tokenizer, self.match)
        return "".join(f"{row}\n" for row in rows)  # a list of integers prints as JSON


def write_references(
    text_file: str | Path,
    output: str | Path,
    segmenter: Segmenter,
    tokenizer: PreTrainedTokenizerBase,
    match: Match = "segmentation",
    progress: bool = True,
    processes: int | None = None,
) -> Path:
    """Write the reference file of a text file: one JSON list per line, in step with the text.

    The file is the original's in form, but blank lines keep their (empty) reference. The original
    drops them: its file is too short, and its next script stops. The text goes through piece by
    piece, so that it may be of any size.

    Args:
        text_file: one paragraph per line, UTF-8.
        output: the file to write; whole or not at all.
        segmenter: cuts the words.
        tokenizer: a fast BERT tokenizer.
        match: as in :func:`chinese_reference`.
        progress: show a bar (in bytes).
        processes: how many work at it; None: as many as there are processors and work for.

    Returns:
        ``output``.

    Raises:
        CourseError: missing or empty file, invalid UTF-8 (file, line, byte), no room to write.
    """
    require_text(text_file)
    size = Path(text_file).stat().st_size
    work = ReferenceMaker(segmenter, tokenizer, match)
    processes = processes or (useful_processes(size) if segmenter.several_processes else 1)
    with (
        atomic_file(output) as file,
        progress_bar(show=progress, total=size, desc=_("references"), unit="B", unit_scale=True) as bar,
    ):
        for lines, rows in in_step(work, read_batches(text_file), processes):
            file.write(rows)
            bar.update(byte_size(lines))
        bar.update(size - bar.n)  # a byte order mark and carriage returns
    return Path(output)


def read_references(file: str | Path) -> Iterator[list[int]]:
    """Yield the references of a file, one a line.

    Raises:
        CourseError: a line that is not an ascending JSON list of positions from 1 (file and line named).
    """
    for number, line in enumerate(read_lines(file), 1):
        try:
            positions = json.loads(line)
        except (ValueError, RecursionError):
            positions = None
        good = isinstance(positions, list) and all(type(place) is int and place < 2**31 for place in positions)
        if not good or any(later <= earlier for earlier, later in zip([0, *positions], positions, strict=False)):
            raise CourseError(
                "not a reference: {line!r}",
                where=line_of(file, number),
                fix="one JSON list of ascending positions a line, such as [2, 4]; `minirbt references` writes it",
                line=line[:60],
            )
        yield positions
