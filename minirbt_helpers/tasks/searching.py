"""A learning rate for every model and task, found on rows that no figure is reported on (notebook 05)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from ..errors import CourseError
from ..language import _
from ..recipe import Recipe
from .protocol import Models, sweep
from .registry import TASKS, Split, Task, find_task

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
STEP = math.sqrt(10)  # between two rates beyond the given ones
WIDENED = 3  # times at most
SCORED = 5  # every fifth train row (or passage) is scored, the others are trained on
SHORT = 1000  # rows of a search, on either side
PLACES = 2  # digits of a rate


@dataclass(frozen=True)
class Found:
    """The best rate of a model on a task.

    Attributes:
        rate: the learning rate.
        scores: by rate, what it scored in the search.
        at_edge: whether no higher, or no lower, rate was tried: the best one may lie beyond.
    """

    rate: float
    scores: dict[float, float]
    at_edge: bool

    def __str__(self) -> str:
        """The rates tried, and the choice."""
        tried = ", ".join(f"{rate:g}: {score:.1%}" for rate, score in sorted(self.scores.items()))
        said = (
            _("{rate:g} of {tried} (at the edge: the best may lie beyond)")
            if self.at_edge
            else _("{rate:g} of {tried}")
        )
        return said.format(rate=self.rate, tried=tried)


class SearchTask(Task):
    """A task whose dev rows are a fifth of the train rows; its own dev rows are never read."""

    def load(self, source: str | Path, split: Split) -> Dataset:
        """The rows of a split; rows that share a text (questions about a passage) stay on one side."""
        rows = super().load(source, "train")
        texts = rows["text" if self.layout else "context"]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        scored = [numbers[text] % SCORED == SCORED - 1 for text in texts]
        kept = [row for row, one in enumerate(scored) if one == (split != "train")]
        if not kept:
            raise CourseError(
                "{count} different texts are too few to search a rate on",
                where=self.name,
                fix="name the rates: --rate",
                count=len(numbers),
            )
        return rows.select(kept if split == "train" else kept[:SHORT])


def search_rates(
    recipe: Recipe,
    models: Models,
    file: str | Path,
    *,
    tasks: Iterable[str | Task] = tuple(TASKS),
    rates: Sequence[float] = RATES,
    progress: bool = True,
) -> dict[str, dict[str, Found]]:
    """Find a learning rate for every model and task by one short sweep on a part of the train rows.

    Four fifths of the train rows, 1,000 at most, are trained on for the recipe's epochs with one seed, and 1,000 of
    the rest are scored. Where the best rate is the highest or the lowest one, the next is tried, up to three times.

    Args:
        recipe: as for :func:`~minirbt_helpers.tasks.sweep`.
        models: by name, each with its tokenizer.
        file: JSON lines of the search's own; gone on with, as a sweep's.
        tasks: names, or tasks.
        rates: four or more, to begin with.
        progress: show a progress bar.

    Returns:
        By model and task's name; ``{name: {task: [found.rate]}}`` is what ``sweep`` takes.

    Raises:
        CourseError: fewer than four rates, or what ``sweep`` raises.
    """
    if len(set(rates)) < 4:
        raise CourseError(
            "{rates} rates to search", fix="at least four, such as 1e-4 3e-4 1e-3 3e-3", rates=len(set(rates))
        )
    recipe = recipe.model_copy(update={"task_rows": min(recipe.task_rows or SHORT, SHORT)})
    found: dict[str, dict[str, Found]] = {name: {} for name in models}
    for task in tasks:
        task = task if isinstance(task, Task) else find_task(task)
        part = SearchTask(**vars(task))
        for name, model in models.items():
            scores: dict[float, float] = {}
            wanted = list(rates)
            for _turn in range(WIDENED + 1):
                settings = {"rates": wanted, "epochs": (recipe.epochs,), "seeds": (recipe.seed,)}
                rows = sweep(recipe, {name: model}, file, tasks=[part], **settings, progress=progress)
                scores |= {row["learning_rate"]: row[task.metric] for row in rows}
                best = _best(scores)
                if not (beyond := _beyond(best, scores)):
                    break
                wanted = [beyond]
            found[name][task.name] = Found(best, scores, bool(beyond))
    return found


def _best(scores: dict[float, float]) -> float:
    """The rate with the highest score; of several, the one in the middle."""
    equal = sorted(rate for rate, score in scores.items() if score == max(scores.values()))
    return equal[len(equal) // 2]


def _beyond(best: float, scores: dict[float, float]) -> float | None:
    """The next rate where the best one is the highest or the lowest; None where it lies between others."""
    if best not in (min(scores), max(scores)):
        return None
    wanted = best * STEP if best == max(scores) else best / STEP
    return float(f"{wanted:.{PLACES - 1}e}")
