"""Which tokens continue a Chinese word: LTP references (notebook 02).

BERT cuts 天气 into 天 and 气. A reference lists the positions of tokens that continue a word
(here that of 气), so that masking can treat the two as one. It never changes the model's input.

Source: run_chinese_ref.py of the original repository and Cui et al., "Pre-Training with Whole
Word Masking for Chinese BERT" (2021).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from transformers import PreTrainedTokenizerBase

from ..errors import CourseError
from ..lines import count_lines, read_lines
from ..workspace import atomic_file, progress_bar
from .segmentation import Segmenter

Match = Literal["segmentation", "original"]

# The ideographs that BERT's own tokenizer puts spaces around (unified, extensions A-E, compatibility).
CJK_RANGES = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def is_chinese(word: str) -> bool:
    """Whether every character of a non-empty word is a Chinese ideograph, as BERT defines it."""
    return bool(word) and all(any(low <= ord(char) <= high for low, high in CJK_RANGES) for char in word)


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
    """:func:`chinese_reference` for many lines at once, which the tokenizer does much faster."""
    if match not in ("segmentation", "original"):
        raise CourseError(f"unknown match {match!r}", fix="'segmentation' or 'original'")
    if not texts:
        return []  # the tokenizer cannot take an empty batch
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    if match == "original":
        return [
            _greedy(tokenizer.convert_ids_to_tokens(ids), line)
            for ids, line in zip(encoded["input_ids"], words, strict=True)
        ]
    return [
        _continuations(text, line, offsets)
        for text, line, offsets in zip(texts, words, encoded["offset_mapping"], strict=True)
    ]


def word_spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in the text, as [start, end) in characters.

    Raises:
        CourseError: the words joined do not give the text, whitespace aside.
    """
    places = [place for place, char in enumerate(text) if not char.isspace()]
    letters = ["".join(word.split()) for word in words]
    if "".join(letters) != "".join(text[place] for place in places):
        raise CourseError(
            f"the words do not make up the text: {list(words)[:8]} … for {text[:40]!r}",
            fix="segment this very line; words joined must give it back, whitespace aside",
        )
    spans, done = [], 0
    for word in filter(None, letters):
        spans.append((places[done], places[done + len(word) - 1] + 1))
        done += len(word)
    return spans


def _continuations(text: str, words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[int]:
    inside = set()  # characters of the text that continue a Chinese word
    for word, (start, end) in zip(filter(str.strip, words), word_spans(text, words), strict=True):
        if is_chinese(word):
            inside.update(range(start + 1, end))
    return [position for position, (start, end) in enumerate(offsets, 1) if start in inside and end > start]


def _greedy(tokens: Sequence[str], words: Sequence[str]) -> list[int]:
    known = {word for word in words if len(word) > 1 and is_chinese(word)}
    longest = max(map(len, known), default=0)
    positions, at = [], 0
    while at < len(tokens):
        length = 1
        if is_chinese(tokens[at]):
            sizes = range(min(longest, len(tokens) - at), 1, -1)
            length = next((size for size in sizes if "".join(tokens[at : at + size]) in known), 1)
        positions += range(at + 2, at + 1 + length)
        at += length
    return positions


def segmented_references(
    lines: Iterable[str], segmenter: Segmenter, tokenizer: PreTrainedTokenizerBase, match: Match, batch: int = 512
) -> Iterator[tuple[str, list[int]]]:
    """Yield each line with its reference, in order; blank lines come with an empty one."""
    lines = iter(lines)
    while chunk := list(islice(lines, batch)):
        yield from zip(chunk, references(chunk, segmenter(chunk), tokenizer, match), strict=True)


def write_references(
    text_file: str | Path,
    output: str | Path,
    segmenter: Segmenter,
    tokenizer: PreTrainedTokenizerBase,
    match: Match = "segmentation",
    progress: bool = True,
) -> Path:
    """Write the reference file of a text file: one JSON list per line, in step with the text.

    The file is the original's in form, but blank lines keep their (empty) reference; the original
    drops them, and every later reference is then one line off.

    Returns:
        ``output``; written whole or not at all.

    Raises:
        CourseError: missing or empty file, invalid UTF-8 (file, line, byte), no room to write.
    """
    total = count_lines(text_file)
    with atomic_file(output) as file:
        rows = segmented_references(read_lines(text_file), segmenter, tokenizer, match)
        for _, positions in progress_bar(rows, show=progress, total=total, desc="references", unit="line"):
            file.write(json.dumps(positions) + "\n")
    return Path(output)


def read_references(file: str | Path) -> Iterator[list[int]]:
    """Yield the references of a file, one a line.

    Raises:
        CourseError: a line that is not an ascending JSON list of positions from 1 (file and line named).
    """
    for number, line in enumerate(read_lines(file), 1):
        try:
            positions = json.loads(line)
        except ValueError:
            positions = None
        good = isinstance(positions, list) and all(type(position) is int for position in positions)
        if not good or any(later <= earlier for earlier, later in zip([0, *positions], positions, strict=False)):
            raise CourseError(
                f"not a reference: {line[:60]!r}",
                where=f"{file}, line {number}",
                fix="one JSON list of ascending positions a line, such as [2, 4]; `minirbt references` writes it",
            )
        yield positions
