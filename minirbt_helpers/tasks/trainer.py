"""transformers' Trainer with its batches made once, of rows of like length, in an order that the seed alone decides."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer

STRETCH = 50  # batches: so many are sorted by length together
EVALUATION_BATCH = 128  # rows that are scored at once
Rows = list[dict[str, np.ndarray | int]]


class Buckets(Sampler[int]):
    """Rows of like length in one batch, and the batches in random order, anew in every epoch.

    The Trainer's ``group_by_length`` hands every stretch of 50 batches out from long to short: a short training begins
    with the longest texts and ends with the shortest. Here the batches of a stretch are shuffled, and nothing but seed
    and epoch decides: models that share rows and seed share the order, so that their scores can be compared in pairs.

    Args:
        lengths: of the rows, in tokens.
        batch: rows of a batch; one that is not full comes last.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int):
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        order, size = random.permutation(len(self.lengths)), self.batch * STRETCH
        full, rest = [], []
        for begin in range(0, len(order), size):
            stretch = sorted(order[begin : begin + size].tolist(), key=self.lengths.__getitem__)
            for place in range(0, len(stretch), self.batch):
                cut = stretch[place : place + self.batch]
                (full if len(cut) == self.batch else rest).append(cut)
        random.shuffle(full)
        for cut in full + rest:
            yield from cut


class Batches:
    """Collates rows of numpy arrays: padded to the longest, with the mask that says what is padding."""

    def __init__(self, padding: int):
        self.padding = padding

    def __call__(self, rows: Sequence[Mapping[str, np.ndarray | int]]) -> dict[str, Tensor]:
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        places = torch.arange(int(lengths.max()))
        batch = {"attention_mask": (places < lengths[:, None]).long()}
        for name in rows[0]:
            if name in ("input_ids", "token_type_ids"):
                table = torch.full((len(rows), len(places)), self.padding if name == "input_ids" else 0)
                for line, row in zip(table, rows, strict=True):
                    line[: len(row[name])] = torch.from_numpy(row[name])
                batch[name] = table
            else:
                batch["labels" if name == "label" else name] = torch.tensor([row[name] for row in rows])
        return batch


class OrderedTrainer(Trainer):
    """Takes training rows from :class:`Buckets`, and dev rows as they come.

    Spans are read out of windows that are looked up by their place, so dev rows keep their order: sort them by length
    (:func:`by_length`), and they need no more padding than shuffled groups do.
    """

    def _get_train_sampler(self, train_dataset: Rows | None = None) -> Sampler:
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        return Buckets(lengths, self.args.train_batch_size, self.args.seed)

    def _get_eval_sampler(self, eval_dataset: Rows) -> Sampler:
        return SequentialSampler(eval_dataset)

    def create_accelerator_and_postprocess(self) -> None:
        """As the Trainer does, without its search for memory to free: a new Trainer has none to find."""
        super().create_accelerator_and_postprocess()
        self.accelerator.free_memory = lambda *objects: objects

    def floating_point_ops(self, inputs: dict) -> int:
        """Not counted: the Trainer walks over all parameters for it, at every step."""
        return 0


def by_length(rows: Dataset) -> tuple[Dataset, list[int]]:
    """Encoded rows, short ones first, and the place that each of them had."""
    lengths = [len(ids) for ids in rows["input_ids"]]
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    return rows.select(order), order


def as_rows(encoded: Dataset) -> Rows:
    """What the model reads of every row, in memory, ready for :class:`Batches`."""
    names = ("input_ids", "token_type_ids", "label", "start_positions", "end_positions")
    columns = {name: encoded[name] for name in names if name in encoded.column_names}
    return [
        {name: np.array(value) if isinstance(value, list) else value for name, value in zip(columns, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]
