"""Masking whole words (notebook 01).

Source: Devlin et al., "BERT" (2019) for the 80/10/10 rule; Cui et al., "Pre-Training with Whole
Word Masking for Chinese BERT" (2021) for words.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError
from ..hub import vocabulary_size

IGNORED = -100  # the label of a position that is not to be predicted
KEEP, RANDOM = 0.1, 0.1  # of the chosen tokens; the other 80% become [MASK]
TICKETS = 2**20  # words are drawn in the order of random numbers below this

Column = Sequence | NDArray | Tensor  # [batch, length], or rows of different lengths


class WholeWordCollator:
    """Turns blocks into a masked batch; a word is masked whole or not at all.

    Args:
        tokenizer: gives [MASK], [PAD], the special ids and the size of the vocabulary.
        mask_unit: ``"word"`` draws whole words, ``"token"`` single tokens (BERT's first way), ``"both"`` whole words
            in about half of the blocks and single tokens in the others.
        probability: share of the tokens to choose.
        budget: what becomes of a word that is larger than what is left of the share. ``"published"`` passes
            over it, so that the tokens chosen in a block never exceed its rounded share (or one where that is 0);
            in blocks of 32 tokens that hides a word of four characters a third as often as a
            single character. ``"fair"`` takes the first such word with the probability left / size, and stops: the
            share is exact on average, and every word has nearly the same chance.
        seed: of the collator's own random numbers; see :attr:`generator`.
        rank: of this process among those that train together; None: as torchrun says.

    Calling it with a list of blocks ``{"input_ids", "continues"}``, or with one such mapping whose
    columns hold all rows (faster), gives, each of shape [batch, length], ``input_ids`` (int64,
    masked), ``attention_mask`` (int64) and ``labels`` (int64, -100 where nothing is to be
    predicted). With a ``seed`` the batch is masked by that, whatever came before; without one, by the
    generator.

    Attributes:
        generator: gives each batch its seed, so its state is all there is to save. It starts from seed and rank;
            in a worker of a DataLoader also from the worker's own seed, which torch
            draws anew each epoch.

    Raises:
        CourseError: a tokenizer without [MASK], an unknown unit or budget, an impossible probability.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        mask_unit: Literal["word", "token", "both"] = "word",
        probability: float = 0.15,
        seed: int = 0,
        rank: int | None = None,
        budget: Literal["published", "fair"] = "published",
    ):
        if tokenizer.mask_token_id is None:
            raise CourseError("the tokenizer has no [MASK]", fix="use a BERT tokenizer")
        if mask_unit not in ("word", "token", "both"):
            raise CourseError("unknown mask_unit {unit!r}", fix="'word', 'token' or 'both'", unit=mask_unit)
        if budget not in ("published", "fair"):
            raise CourseError("unknown budget {budget!r}", fix="'published' or 'fair'", budget=budget)
        if not 0 < probability < 1:
            raise CourseError(
                "a masking probability of {probability}",
                fix="a share between 0 and 1, such as 0.15",
                probability=probability,
            )
        self.mask_id, self.pad_id = tokenizer.mask_token_id, tokenizer.pad_token_id or 0
        self.vocabulary = vocabulary_size(tokenizer)
        self._text = np.ones(self.vocabulary, bool)  # by id: may it be masked?
        self._text[list(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})] = False
        self.mask_unit, self.probability, self.budget = mask_unit, probability, budget
        self.seed, self.rank = seed, int(os.environ.get("RANK", 0)) if rank is None else rank
        self.generator = torch.Generator().manual_seed(_mix(seed, self.rank))
        self._worker: int | None = None

    def __call__(self, blocks: Sequence[Mapping] | Mapping[str, Column], seed: int | None = None) -> dict[str, Tensor]:
        many = not isinstance(blocks, Mapping)
        ids, sizes = _pad([row["input_ids"] for row in blocks] if many else blocks["input_ids"], self.pad_id)
        continues, _ = _pad([row["continues"] for row in blocks] if many else blocks["continues"], False)
        continues = continues.astype(bool)
        inside = np.arange(ids.shape[1]) < sizes[:, None]  # [batch, length]: no padding
        random = np.random.Generator(np.random.SFC64(self._next_seed() if seed is None else seed))
        tickets = random.integers(TICKETS, size=ids.shape, dtype=np.uint32)
        luck = random.random(len(ids)) if self.budget == "fair" else None
        if self.mask_unit == "both":  # in half of the rows every token is a word
            continues[random.random(len(ids)) < 0.5] = False
        chosen = self.choose(ids, continues, inside, tickets, luck)
        labels, places = np.full(ids.shape, IGNORED, np.int64), np.flatnonzero(chosen)
        asked = ids.ravel()[places]
        labels.ravel()[places], ids.ravel()[places] = asked, self.replace(asked, random)
        batch = {"input_ids": ids, "attention_mask": inside.astype(np.int64), "labels": labels}
        return {name: torch.from_numpy(column) for name, column in batch.items()}

    def choose(
        self, ids: NDArray, continues: NDArray, inside: NDArray, tickets: NDArray, luck: NDArray | None = None
    ) -> NDArray[np.bool_]:
        """Which tokens are to be predicted: [batch, length], whole words only.

        Words are taken in the order of their tickets as long as they fit into what is left of the budget.

        Args:
            ids, continues, inside: [batch, length]; ``inside`` is False on padding.
            tickets: a number below :data:`TICKETS` for every place, [batch, length]; a word's is
                that of its first place, and of equal ones the left comes first.
            luck: numbers from 0 to 1, [batch], which decide on the word that crosses a fair budget; None for a
                published one.
        """
        sizes = self.words(ids, continues, inside)
        order = _order(np.where(sizes > 0, tickets, TICKETS - 1))  # [batch, rank]: places
        share = sizes.sum(1) * self.probability  # [batch]
        take = _pass_over if self.budget == "published" else partial(_up_to, luck=luck)
        length = ids.shape[1]
        for ranks in (2 * int(share.max(initial=0)) + 2, length):  # the first words fill it, but for the rarest of rows
            taken, full = take(np.take_along_axis(sizes, order[:, :ranks], 1), share)
            if full.all():
                break
        rows, ranks = np.nonzero(taken)
        firsts = rows * length + order[rows, ranks]
        steps = np.zeros(ids.size + 1, np.int8)  # up where a word begins, down where it has ended
        steps[firsts] += 1
        steps[firsts + sizes.ravel()[firsts]] -= 1
        return steps[:-1].cumsum(dtype=np.int8).astype(bool).reshape(ids.shape)

    def words(self, ids: NDArray, continues: NDArray, inside: NDArray) -> NDArray[np.int64]:
        """How many tokens the word has that begins at each place; 0 where none does: [batch, length]."""
        text = self._text[ids] & inside  # [batch, length]
        begins = text.copy()
        if self.mask_unit != "token":
            begins[:, 1:] &= ~(continues[:, 1:] & text[:, :-1])
        # With the rows end to end, a word reaches to the next place that begins one or is no text, or begins a row.
        borders = np.flatnonzero(begins | ~text)
        sizes = np.zeros(ids.size, np.int64)
        sizes[borders] = np.diff(borders, append=ids.size)
        return sizes.reshape(ids.shape) * begins

    def replace(self, ids: NDArray, random: np.random.Generator) -> NDArray:
        """What a model sees of the chosen tokens, [chosen]: 80% [MASK], 10% a random token, 10% as they were."""
        dice = random.random(ids.shape)
        drawn = random.integers(self.vocabulary, size=ids.shape)
        return np.where(dice < 1 - KEEP - RANDOM, self.mask_id, np.where(dice < 1 - KEEP, drawn, ids))

    def _next_seed(self) -> int:
        """The seed of the next batch; in a DataLoader's worker the generator first becomes that worker's own."""
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker:
            self._worker = worker.seed
            self.generator.manual_seed(_mix(self.seed, self.rank, worker.seed))
        return int(torch.randint(2**62, (), generator=self.generator))


def _mix(*numbers: int) -> int:
    """One seed out of several numbers; other numbers give an unrelated one."""
    return int(np.random.SeedSequence([number % 2**64 for number in numbers]).generate_state(1, np.uint64)[0] >> 1)


def _pad(rows: Column, value: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows as one new array [batch, length], filled up with a value; and the size of each."""
    if getattr(rows, "ndim", 0) == 2:
        array = np.array(rows, np.int64)
        return array, np.full(len(array), array.shape[1])
    sizes = np.fromiter(map(len, rows), np.int64, len(rows))
    flat = np.concatenate([_array(row) for row in rows]) if len(rows) else np.zeros(0)
    padded = np.full((len(rows), sizes.max(initial=0)), value, np.int64)
    padded[np.arange(padded.shape[1]) < sizes[:, None]] = flat
    return padded, sizes


def _array(row: Sequence | NDArray | Tensor) -> NDArray:
    """A row as an array; truth values in a list go by way of bytes, which is four times as fast."""
    flags = isinstance(row, list) and row and isinstance(row[0], bool)
    return np.frombuffer(bytes(row), np.uint8) if flags else np.asarray(row)


def _order(tickets: NDArray) -> NDArray[np.int64]:
    """The places of each row by ascending ticket: [batch, length].

    Ticket and place make one number: sorting numbers is ten times as fast as sorting places by their numbers.
    """
    length = tickets.shape[1]
    bits = length.bit_length()
    kind = np.uint32 if TICKETS << bits <= 2**32 else np.uint64
    numbers = tickets.astype(kind) << kind(bits) | np.arange(length, dtype=kind)
    return (np.sort(numbers, axis=1) & kind(2**bits - 1)).astype(np.int64)


def _pass_over(sizes: NDArray, share: NDArray) -> tuple[NDArray, NDArray]:
    """Take words in order while they fit: each pass takes all up to the first that is too big, and skips that.

    Args:
        sizes: of the words in the order of their tickets, [batch, rank].
        share: tokens to choose, [batch]; rounded here, to 1 at least.

    Returns:
        Which are taken, [batch, rank], and whether the budget is used up, [batch].
    """
    left, waiting = np.maximum(1, np.rint(share).astype(np.int64))[:, None], sizes > 0
    taken = np.zeros_like(waiting)
    while True:
        waiting &= sizes <= left
        if not waiting.any():
            return taken, left[:, 0] == 0
        fits = waiting & ((sizes * waiting).cumsum(1) <= left)
        taken |= fits
        waiting &= ~fits
        left = left - (sizes * fits).sum(1, keepdims=True)


def _up_to(sizes: NDArray, share: NDArray, luck: NDArray) -> tuple[NDArray, NDArray]:
    """Take words in order; the one that crosses the share with the probability left / size, and none after it.

    Arguments and result as :func:`_pass_over`; ``luck`` holds numbers from 0 to 1, [batch].
    """
    share, luck = share[:, None], luck[:, None]
    reached = sizes.cumsum(1)  # [batch, rank]: tokens with this word
    left = share - (reached - sizes)  # before it
    crosses = (left > 0) & (reached > share)
    return (sizes > 0) & ((reached <= share) | crosses & (luck * sizes < left)), reached[:, -1] >= share[:, 0]
