"""Masking whole words (notebook 01).

Source: Devlin et al., "BERT" (2019) for the 80/10/10 rule; Cui et al., "Pre-Training with Whole
Word Masking for Chinese BERT" (2021) for words.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError

IGNORED = -100  # the label of a position that is not to be predicted
KEEP, RANDOM = 0.1, 0.1  # of the chosen tokens; the other 80% become [MASK]


class WholeWordCollator:
    """Turns blocks into a masked batch; a word is masked whole or not at all.

    Args:
        tokenizer: gives [MASK], [PAD], the special ids and the size of the vocabulary.
        mask_unit: ``"word"`` draws whole words, ``"token"`` single tokens (BERT's first way).
        probability: share of the tokens to choose. It is a budget: the tokens chosen in a block
            never exceed its rounded share, or one where that is 0.
        seed: of the collator's own random numbers. Its state is in :attr:`generator`.

    Calling it with a list of blocks ``{"input_ids", "continues"}`` gives, each of shape [batch, length],
    ``input_ids`` (int64, masked), ``attention_mask`` (int64) and ``labels`` (int64, -100 where
    nothing is to be predicted).

    Raises:
        CourseError: a tokenizer without [MASK], an unknown unit, an impossible probability.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        mask_unit: Literal["word", "token"] = "word",
        probability: float = 0.15,
        seed: int = 0,
    ):
        if tokenizer.mask_token_id is None:
            raise CourseError("the tokenizer has no [MASK]", fix="use a BERT tokenizer")
        if mask_unit not in ("word", "token"):
            raise CourseError(f"unknown mask_unit {mask_unit!r}", fix="'word' or 'token'")
        if not 0 < probability < 1:
            raise CourseError(f"a masking probability of {probability}", fix="a share between 0 and 1, such as 0.15")
        self.mask_id, self.pad_id = tokenizer.mask_token_id, tokenizer.pad_token_id
        self.special = torch.tensor(sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}))
        self.vocabulary = len(tokenizer)
        self.mask_unit, self.probability = mask_unit, probability
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, blocks: Sequence[dict]) -> dict[str, Tensor]:
        ids = _pad([block["input_ids"] for block in blocks], self.pad_id, torch.long)
        continues = _pad([block["continues"] for block in blocks], False, torch.bool)
        attention = _pad([[1] * len(block["input_ids"]) for block in blocks], 0, torch.long)
        chosen = self.choose(ids, continues)
        return {
            "input_ids": self.replace(ids, chosen),
            "attention_mask": attention,
            "labels": ids.masked_fill(~chosen, IGNORED),
        }

    def choose(self, ids: Tensor, continues: Tensor) -> Tensor:
        """Which tokens are to be predicted: bool, shape [batch, length], whole words only.

        Words are taken in random order as long as they fit into what is left of the budget.
        """
        maskable = ~torch.isin(ids, self.special)  # [batch, length]
        starts = maskable if self.mask_unit == "token" else maskable & ~(continues & _shift(maskable))
        # Every token gets the number of its word; word 0 collects what is not maskable.
        word = torch.where(maskable, starts.cumsum(1), 0)  # [batch, length]
        size = torch.zeros_like(word).scatter_add_(1, word, torch.ones_like(word))  # [batch, word]
        size[:, 0] = 0
        budget = (maskable.sum(1) * self.probability).round().long().clamp(min=1)  # [batch]
        order = torch.rand(size.shape, generator=self.generator).masked_fill(size == 0, 2.0).argsort(1)
        taken = _fit(size.gather(1, order), budget)  # [batch, rank]
        chosen_words = torch.zeros_like(taken).scatter_(1, order, taken)
        return chosen_words.gather(1, word)

    def replace(self, ids: Tensor, chosen: Tensor) -> Tensor:
        """The input a model sees: 80% of the chosen tokens [MASK], 10% a random token, 10% as they were."""
        dice = torch.rand(ids.shape, generator=self.generator)
        random_ids = torch.randint(self.vocabulary, ids.shape, generator=self.generator)
        masked = torch.where(dice < 1 - KEEP - RANDOM, self.mask_id, random_ids)
        return torch.where(chosen & (dice < 1 - KEEP), masked, ids)


def _pad(rows: Sequence[Sequence], value: object, dtype: torch.dtype) -> Tensor:
    tensors = [torch.as_tensor(row, dtype=dtype) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)


def _shift(flags: Tensor) -> Tensor:
    """Each position's left neighbour; False in the first place."""
    return torch.nn.functional.pad(flags[:, :-1], (1, 0))


def _fit(sizes: Tensor, budget: Tensor) -> Tensor:
    """Take items in order while they fit: each pass takes all up to the first that is too big, and skips that."""
    left, waiting = budget[:, None], sizes > 0
    taken = torch.zeros_like(waiting)
    while True:
        waiting &= sizes <= left
        if not waiting.any():
            return taken
        fits = waiting & ((sizes * waiting).cumsum(1) <= left)
        taken |= fits
        waiting &= ~fits
        left = left - (sizes * fits).sum(1, keepdim=True)
