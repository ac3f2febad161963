"""Dev rows that stand in the train rows: a score on them measures memory, too (notebook 05)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from datasets import Dataset

from ..language import _

RUN = 20  # characters: longer than what two people write alike by chance
TEXTS = ("text", "text_pair", "context", "question")


@dataclass(frozen=True)
class Overlap:
    """Which dev rows stand in the train rows; blanks do not count.

    Attributes:
        exact: the whole row does: its text; both texts of a pair, in either order; or passage and question.
        runs: some text of it (a passage, say) shares a run of 20 characters with a text of a train row; rows that
            are in ``exact`` are not counted again.
        rows: how many dev rows there are.
    """

    exact: frozenset[int]
    runs: frozenset[int]
    rows: int

    @property
    def unseen(self) -> list[int]:
        """The rows that are in neither."""
        return [row for row in range(self.rows) if row not in self.exact and row not in self.runs]

    def __str__(self) -> str:
        """The counts in a few words."""
        exact, runs = len(self.exact), len(self.runs)
        return _(
            "{exact:,} of {rows:,} dev rows stand in train ({share:.1%}), "
            "{runs:,} more share a run of {length} characters with it ({more:.1%})"
        ).format(exact=exact, rows=self.rows, share=exact / self.rows, runs=runs, length=RUN, more=runs / self.rows)


def overlap(train: Dataset, dev: Dataset) -> Overlap:
    """Look for the dev rows in the train rows, both as :meth:`~minirbt_helpers.tasks.Task.load` gives them.

    Takes seconds, and the memory of the dev rows' runs alone.
    """
    known = set(_wholes(train))
    exact = {row for row, whole in enumerate(_wholes(dev)) if whole in known}
    texts = {text: set(_runs(text)) for row in _texts(dev) for text in row}
    wanted = set().union(*texts.values())
    met = set()
    for text in {text for row in _texts(train) for text in row}:
        met.update(run for run in _runs(text) if run in wanted)
    shared = {text for text, runs in texts.items() if not met.isdisjoint(runs)}
    runs = {row for row, parts in enumerate(_texts(dev)) if not shared.isdisjoint(parts)}
    return Overlap(frozenset(exact), frozenset(runs - exact), len(dev))


def _texts(rows: Dataset) -> Iterator[tuple[str, ...]]:
    """The texts of every row without blanks."""
    columns = [["".join(text.split()) for text in rows[name]] for name in TEXTS if name in rows.column_names]
    return zip(*columns, strict=True)


def _wholes(rows: Dataset) -> Iterable[tuple[str, ...]]:
    return (tuple(sorted(texts)) for texts in _texts(rows))


def _runs(text: str) -> Iterator[str]:
    """Every run of 20 characters."""
    return (text[begin : begin + RUN] for begin in range(len(text) - RUN + 1))
