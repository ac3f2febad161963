"""Which blocks make which batch, and how they are masked: a matter of the seed and the step alone (notebook 04)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..recipe import Recipe
from ..text import WholeWordCollator
from .evaluation import masked_positions

if TYPE_CHECKING:
    from datasets import Dataset


def derive_seed(seed: int, purpose: str, *place: int) -> int:
    """A seed of one place in a run (an epoch, a micro-batch of a step) for one purpose.

    The same after a resume and on any number of processes, so that no random state needs saving.
    """
    digest = hashlib.sha256(repr((seed, purpose, place)).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


class Batches(torch.utils.data.Dataset):
    """All micro-batches of a run, numbered through: number ``step * parts + part``, both counted from 0.

    Every epoch goes through the blocks in an order of its own.

    Args:
        recipe: batch, micro-batch and seed.
        blocks: what batches are drawn from.
        collator: masks them.

    Attributes:
        parts: micro-batches in a step, over all processes.
        length: tokens in a block (the last block of a text may be shorter).
    """

    def __init__(self, recipe: Recipe, blocks: Dataset, collator: WholeWordCollator):
        self.blocks = blocks.with_format("numpy")
        self.collator, self.seed = collator, recipe.seed
        self.batch_size, self.micro_batch = recipe.batch_size, recipe.micro_batch
        self.parts = recipe.batch_size // recipe.micro_batch
        self.length = len(blocks[0]["input_ids"]) if len(blocks) else 0
        self._epoch, self._order = -1, torch.empty(0)

    @classmethod
    def of(cls, recipe: Recipe, blocks: Dataset, tokenizer: PreTrainedTokenizerBase) -> Batches:
        """Masked as the recipe says."""
        unit, share, budget = recipe.mask_unit, recipe.mask_probability, recipe.mask_budget
        return cls(recipe, blocks, WholeWordCollator(tokenizer, unit, share, budget=budget))

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """A micro-batch as :class:`MaskedPositions` takes it; masked by its own seed."""
        step, part = divmod(number, self.parts)
        first = step * self.batch_size + part * self.micro_batch
        columns = self.blocks[[self._block(place) for place in range(first, first + self.micro_batch)]]
        return ready(self.collator(columns, derive_seed(self.seed, "masking", number)))

    def blocks_of(self, step: int) -> list[int]:
        """The numbers of the blocks in the batch of a step, counted from 1."""
        return [self._block(place) for place in range((step - 1) * self.batch_size, step * self.batch_size)]

    def position(self, step: int) -> dict[str, int]:
        """Where in the data a run is after so many steps."""
        epoch, place = divmod(step * self.batch_size, len(self.blocks))
        return {"epoch": epoch, "blocks_of_epoch": place}

    def _block(self, place: int) -> int:
        epoch, place = divmod(place, len(self.blocks))
        if epoch != self._epoch:
            draws = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
            self._epoch, self._order = epoch, torch.randperm(len(self.blocks), generator=draws)
        return int(self._order[place])


def ready(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A collator's batch with the masked positions looked up, and without a mask that hides nothing.

    Both are asked of the processor here, so that a GPU need not be waited for.
    """
    batch = batch | {"positions": masked_positions(batch["labels"])}
    if batch["attention_mask"].all():
        del batch["attention_mask"]
    return batch
