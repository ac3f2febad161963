"""The results of a sweep as tables: best means, absolute and relative to the teacher (notebook 05)."""

import os
import platform
import shlex
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from ..errors import CourseError
from ..workspace import atomic_file, versions
from .registry import TASKS, Task

Place = tuple[str, str]  # model, task
SETTING = ("learning_rate", "epochs", "batch", "length", "attention_dropout")
NOTHING = "–"
SMALL = "The models are a quarter as wide as the published ones: these are not the published table's numbers."


@dataclass(frozen=True)
class Mean:
    """The best setting of a model on a task, over its seeds.

    Attributes:
        scores: per measure ("accuracy", or "f1" and "em"), the score of every seed, from 0 to 1.
        learning_rate, epochs, batch, length, attention_dropout: the setting.
        tried: how many settings it was chosen from.
    """

    scores: Mapping[str, tuple[float, ...]]
    learning_rate: float
    epochs: int
    batch: int
    length: int
    attention_dropout: float
    tried: int

    def mean(self, measure: str) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.scores[measure])

    def spread(self, measure: str) -> float:
        """Standard deviation over seeds (of the sample); 0 for a single one."""
        return statistics.stdev(self.scores[measure]) if len(self.scores[measure]) > 1 else 0.0


def best_means(rows: Iterable[dict]) -> dict[Place, Mean]:
    """For every model and task the setting with the best mean over seeds, by accuracy or F1.

    Of settings with fewer seeds than others none is chosen: one lucky seed is no better than the mean of three.
    Where the rows of a task or the weights of a model changed between runs, the latest count: no mean goes over two
    models, and no column over two sets of rows.

    Args:
        rows: results of a sweep; a model that had a teacher on the task counts as another ("student, taught by
            teacher").
    """
    rows = list(rows)
    data = {row["task"]: row["data"] for row in rows}  # the latest
    rows = [row for row in rows if row["data"] == data[row["task"]]]
    weights = {(_name(row), row["task"]): (row["weights"], row["rest"]) for row in rows}
    settings: dict[Place, dict[tuple, list[dict]]] = {}
    for row in rows:
        place = (_name(row), row["task"])
        if (row["weights"], row["rest"]) != weights[place]:
            continue
        groups = settings.setdefault(place, {})
        groups.setdefault(tuple(row[name] for name in SETTING), []).append(row)
    return {
        place: max((_mean(setting, runs, len(groups)) for setting, runs in groups.items()), key=_rank)
        for place, groups in settings.items()
    }


def _name(row: Mapping[str, str]) -> str:
    return row["model"] + (f", taught by {row['teacher']}" if row["teacher"] else "")


def _mean(setting: tuple, runs: list[dict], tried: int) -> Mean:
    measures = [name for name in ("accuracy", "f1", "em") if name in runs[0]]
    return Mean({name: tuple(run[name] for run in runs) for name in measures}, *setting, tried)


def _rank(mean: Mean) -> tuple[int, float]:
    return len(_first(mean)), statistics.fmean(_first(mean))


def _first(mean: Mean) -> tuple[float, ...]:
    return next(iter(mean.scores.values()))


def score_table(means: Mapping[Place, Mean]) -> list[dict[str, str]]:
    """Scores in per cent, mean ± spread over seeds, a row per model, a column per task; F1 / EM for questions."""

    def score(mean: Mean, measure: str, task: str) -> str:
        spread = f" ± {100 * mean.spread(measure):.1f}" if len(mean.scores[measure]) > 1 else ""
        return f"{100 * mean.mean(measure):.1f}{spread}"

    return _table(means, score)


def relative_table(means: Mapping[Place, Mean], reference: str) -> list[dict[str, str]]:
    """The same in per cent of one model's scores, as the README's second table has it.

    Raises:
        CourseError: the reference has no results.
    """
    if reference not in {name for name, _ in means}:
        raise CourseError(f"no results of {reference!r}", fix=f"one of {', '.join({name for name, _ in means})}")

    def share(mean: Mean, measure: str, task: str) -> str:
        whole = means[reference, task].mean(measure) if (reference, task) in means else 0
        return f"{100 * mean.mean(measure) / whole:.1f}%" if whole else NOTHING

    return _table(means, share)


def _table(means: Mapping[Place, Mean], cell: Callable[[Mean, str, str], str]) -> list[dict[str, str]]:
    names = dict.fromkeys(name for name, _ in means)  # in the order of the results
    tasks = sorted({task for _, task in means}, key=lambda task: [*TASKS, task].index(task))

    def text(name: str, task: str) -> str:
        mean = means.get((name, task))
        return " / ".join(cell(mean, measure, task) for measure in mean.scores) if mean else NOTHING

    return [{"model": name} | {task: text(name, task) for task in tasks} for name in names]


def as_markdown(table: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown."""
    if not table:
        return ""
    head = [f"| {' | '.join(table[0])} |", "|---" * len(table[0]) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(row.values())} |" for row in table)])


def majority(task: Task, source: str | Path) -> float | None:
    """Accuracy on the dev rows of the label most frequent in the train rows; None for questions."""
    return majority_of(task.load(source, "train"), task.load(source, "dev")) if task.layout else None


def majority_of(train: Dataset, dev: Dataset) -> float:
    """The same, of rows with labels that are loaded already."""
    favourite = Counter(train["label"]).most_common(1)[0][0]
    labels = dev["label"]
    return labels.count(favourite) / len(labels)


def write_report(file: str | Path, rows: Sequence[dict], reference: str | None = None, scale: str = "sample") -> None:
    """Write the tables in Markdown, with the command, the dates, the machine and the rows they come from.

    Args:
        file: ``….md``.
        rows: results of a sweep, at least one.
        reference: the model that the second table is relative to; None: no second table.
        scale: of the models, named in the title.
    """
    means = best_means(rows)
    latest = {row["task"]: row for row in rows}
    sizes = (f"{name} {row['rows']} → {row['dev_rows']}" for name, row in latest.items())
    shares = ((name, row["majority"]) for name, row in latest.items() if row["majority"] is not None)
    settings = [
        {"model": name, "task": task, "learning rate": f"{mean.learning_rate:g}", "epochs": str(mean.epochs)}
        | {"batch": str(mean.batch), "length": str(mean.length), "attention dropout": f"{mean.attention_dropout:g}"}
        | {"settings tried": str(mean.tried), "seeds": str(len(_first(mean)))}
        for (name, task), mean in means.items()
    ]
    dates = sorted(row["finished"] for row in rows)
    parts = [
        f"# Results of a sweep at {scale} scale",
        *([SMALL] if scale == "sample" else []),
        f"`{shlex.join(['minirbt', *sys.argv[1:]])}`",
        f"Runs finished {dates[0]} to {dates[-1]}, {sum(row['seconds'] for row in rows) / 60:.0f} minutes in all, on "
        f"{os.cpu_count()} processors ({platform.machine()}); "
        + ", ".join(f"{name} {number}" for name, number in versions().items()),
        "Rows trained on → rows scored: " + ", ".join(sizes),
        "Per cent, mean ± standard deviation over seeds of the best setting by dev score; F1 / EM for questions",
        as_markdown(score_table(means)),
        "The majority class: " + ", ".join(f"{name} {share:.1%}" for name, share in shares),
    ]
    if reference:
        parts += [f"Relative to {reference}", as_markdown(relative_table(means, reference))]
    parts += ["The settings", as_markdown(settings)]
    with atomic_file(file) as stream:
        stream.write("\n\n".join(parts) + "\n")
