"""BERT's tokens of many lines at once, as arrays (notebook 02).

The tokenizers library walks through every word of every line. For Chinese nearly all of that walk is
known in advance: an ideograph or a punctuation mark is one token wherever it stands. Those come
from a table, the runs of letters and digits between them from a cache, and what is in neither
is asked of the library, once. The tokens are the library's own (a test compares the two over arbitrary Unicode),
many times as fast (benchmarks/text.py).
"""

import json
import re
import weakref
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError
from ..hub import entries_in_order

CODE_POINTS = 0x110000
UNSEEN, RUN, ALONE, BLANK = range(4)  # what a character is to the tokenizer
KNOWN_RUNS = 100_000  # runs kept in the cache; then it starts anew


class Tokens(NamedTuple):
    r"""The tokens of some lines, one after another, without [CLS] and [SEP].

    Attributes:
        ids: [tokens].
        starts: [tokens], the character of ``"\n".join(lines)`` at which each begins.
        borders: [lines + 1]; the tokens of line ``n`` are ``borders[n]`` to ``borders[n + 1]``.
        codes: [characters], the code points of ``"\n".join(lines)``.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    borders: NDArray[np.int64]
    codes: NDArray[np.uint32]


def encoder(tokenizer: PreTrainedTokenizerBase) -> "Encoder":
    """The :class:`Encoder` of a tokenizer, made once and kept as long as the tokenizer lives.

    Raises:
        CourseError: a tokenizer without offsets (a slow one).
    """
    known = _ENCODERS.get(tokenizer)
    if known is None or known.vocabulary != len(tokenizer):  # tokens were added meanwhile
        known = _ENCODERS[tokenizer] = Encoder(tokenizer)
    return known


class Encoder:
    """Turns lines into :class:`Tokens`; see the head of this file for how."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        if not tokenizer.is_fast:
            raise CourseError("the tokenizer has no offsets", fix="use a fast BERT tokenizer")
        self.vocabulary = len(tokenizer)
        self.names = entries_in_order(tokenizer)
        self.is_piece = np.array([name.startswith("##") for name in self.names])  # [names]
        # A copy: the original's truncation and padding may be set by others.
        self._library = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._library.no_truncation()
        self._library.no_padding()
        self._tabled = _splits_as_bert_does(self._library)
        self._added = re.compile(
            "|".join(sorted(map(re.escape, tokenizer.added_tokens_encoder), key=len, reverse=True))
        )
        self._kinds = np.full(CODE_POINTS, UNSEEN, np.uint8)
        self._ids = np.zeros(CODE_POINTS, np.int32)
        self._letter = self._library.encode("a", add_special_tokens=False).ids
        self._forget()

    def __call__(self, lines: Sequence[str]) -> Tokens:
        text = "\n".join(lines)
        codes = code_points(text)
        heads = np.cumsum([0, *(len(line) + 1 for line in lines)])  # [lines + 1]
        if not self._tabled:
            return self._by_library(lines, heads[:-1], codes)
        kinds = self._kinds_of(codes)
        for match in self._added.finditer(text) if self._added.pattern else ():
            kinds[slice(*match.span())] = RUN  # a special token, written out in the text
        borders = np.flatnonzero(np.diff(kinds == RUN, prepend=False, append=False))
        firsts, lasts = borders[::2], borders[1::2]
        runs = self._runs_of([text[first:last] for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)])
        sizes = self._run_borders[runs + 1] - self._run_borders[runs]

        count = (kinds == ALONE).astype(np.int64)  # tokens that begin a unit at this character
        count[firsts] = sizes
        before = np.concatenate([[0], count.cumsum()])  # [characters + 1]
        ids, starts = np.empty(before[-1], np.int32), np.empty(before[-1], np.int64)
        alone = np.flatnonzero(kinds == ALONE)
        ids[before[alone]], starts[before[alone]] = self._ids[codes[alone]], alone
        to, source = _ranges(before[firsts], sizes), _ranges(self._run_borders[runs], sizes)
        ids[to], starts[to] = self._run_ids[source], np.repeat(firsts, sizes) + self._run_starts[source]
        return Tokens(ids, starts, before[np.minimum(heads, len(codes))], codes)

    def _kinds_of(self, codes: NDArray) -> NDArray:
        """The kind of each character, a new array; characters never seen before are tried between two letters."""
        kinds = self._kinds[codes]
        if (new := np.unique(codes[kinds == UNSEEN])).size:
            tried = self._library.encode_batch([f"a{chr(code)}a" for code in new], add_special_tokens=False)
            for code, found in zip(new, tried, strict=True):
                self._kinds[code], self._ids[code] = self._judge(found.ids, found.offsets)
            kinds = self._kinds[codes]
        return kinds

    def _judge(self, ids: list[int], offsets: list[tuple[int, int]]) -> tuple[int, int]:
        if ids == self._letter * 2 and offsets == [(0, 1), (2, 3)]:
            return BLANK, 0
        if ids[::2] == self._letter * 2 and offsets == [(0, 1), (1, 2), (2, 3)]:
            return ALONE, ids[1]
        return RUN, 0

    def _runs_of(self, runs: list[str]) -> NDArray:
        """The number of each run in the cache."""
        if len(self._numbers) > KNOWN_RUNS:
            self._forget()
        if new := [run for run in dict.fromkeys(runs) if run not in self._numbers]:
            ids, starts, sizes = _flat(self._library.encode_batch(new, add_special_tokens=False))
            self._numbers.update(zip(new, range(len(self._numbers), len(self._numbers) + len(new)), strict=True))
            self._run_borders = np.concatenate([self._run_borders, self._run_borders[-1] + sizes.cumsum()])
            self._run_ids = np.concatenate([self._run_ids, ids])
            self._run_starts = np.concatenate([self._run_starts, starts])
        return np.fromiter(map(self._numbers.__getitem__, runs), np.int64, len(runs))

    def _forget(self) -> None:
        self._numbers: dict[str, int] = {}
        self._run_ids, self._run_starts = np.zeros(0, np.int32), np.zeros(0, np.int64)  # [tokens of all runs]
        self._run_borders = np.zeros(1, np.int64)

    def _by_library(self, lines: Sequence[str], heads: NDArray, codes: NDArray) -> Tokens:
        ids, starts, sizes = _flat(self._library.encode_batch(list(lines), add_special_tokens=False))
        borders = np.concatenate([[0], sizes.cumsum()])
        return Tokens(ids, starts + np.repeat(heads, sizes), borders, codes)


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of a text.

    Raises:
        CourseError: half a character (a lone surrogate), which no file can hold.
    """
    try:
        return np.frombuffer(text.encode("utf-32-le"), np.uint32)
    except UnicodeEncodeError as problem:
        raise CourseError(
            "half a character, {character!r}", fix="read the text from UTF-8", character=text[problem.start]
        ) from problem


_ENCODERS: "weakref.WeakKeyDictionary[PreTrainedTokenizerBase, Encoder]" = weakref.WeakKeyDictionary()


def _splits_as_bert_does(library: Tokenizer) -> bool:
    """Whether words end at blanks, ideographs and punctuation, whatever stands beside them."""
    parts = json.loads(library.to_str())
    *replaced, normalizer = (parts["normalizer"] or {}).get("normalizers", [parts["normalizer"]])
    if any(one["type"] != "Replace" or len(one["pattern"].get("String", "")) != 1 for one in replaced):
        return False
    kinds = [(part or {}).get("type") for part in (normalizer, parts["pre_tokenizer"])]
    plain = all(not token["normalized"] and not token["single_word"] for token in parts["added_tokens"])
    return kinds == ["BertNormalizer", "BertPreTokenizer"] and plain


def _flat(encodings: list) -> tuple[NDArray, NDArray, NDArray]:
    """Ids, first characters and number of tokens of some encodings."""
    sizes = np.fromiter(map(len, encodings), np.int64, len(encodings))
    total = int(sizes.sum())
    ids = np.fromiter(chain.from_iterable(found.ids for found in encodings), np.int32, total)
    starts = (start for found in encodings for start, _ in found.offsets)
    return ids, np.fromiter(starts, np.int64, total), sizes


def _ranges(firsts: NDArray, sizes: NDArray) -> NDArray:
    """``firsts[0]``, ``firsts[0] + 1`` … (``sizes[0]`` numbers), then those from ``firsts[1]``, and so on."""
    return np.repeat(firsts - (sizes.cumsum() - sizes), sizes) + np.arange(sizes.sum())
