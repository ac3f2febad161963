"""The results of a sweep as tables: scores beside floors, shares, and a verdict per comparison (notebook 05)."""

import math
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CourseError
from ..language import N_, _
from ..names import TAUGHT_BY, shown_name, shown_rows, shown_scale
from ..verdict import Verdict, compare, fair_choices, fair_scores, share_kept, spread
from ..workspace import atomic_file, versions
from .floors import Floors, highest
from .protocol import identity
from .registry import TASKS

Place = tuple[str, str]  # model, task
SETTING = ("learning_rate", "epochs", "batch", "length", "attention_dropout", "temperature")
ORDERED_BY = ("batch", "length", "data")  # with the seed, all that the order of the rows depends on
NOTHING = "–"
AT_THE_FLOOR = N_("reference at the floor")
HELD_BACK = (N_("other seeds and rows"), N_("other seeds"), N_("other rows"), N_("the same rows"))
SMALL = N_("The models are a quarter as wide as the published ones: these are not the published table's numbers.")
VERDICTS = N_(
    "Differences in points, ± half the interval that covers the true one in 95 of 100 cases (Student's t over seeds, "
    "in pairs where the seeds share the order of the rows)"
)


@dataclass(frozen=True)
class Mean:
    """The best setting of a model on a task, over its seeds.

    Attributes:
        scores: per measure ("accuracy", or "f1" and "em"), the score of every seed, from 0 to 1.
        fair: the same on seeds and rows that the setting was not chosen on
            (:func:`~minirbt_helpers.verdict.fair_scores`); these count in tables and verdicts.
        learning_rate, epochs, batch, length, attention_dropout, temperature: the setting.
        tried: how many settings it was chosen from.
        chosen_on: what was held back from the choice: "other seeds and rows", "other seeds", "other rows"; "" where
            nothing was chosen; or "the same rows", where the scores are too high.
        seeds: in the order of the scores.
        floors: what rules without a network score on the same rows.
        data: which rows these are.
        fair_at: for each part of the setting, its values behind the fair scores: seeds may choose different ones.
    """

    scores: Mapping[str, tuple[float, ...]]
    fair: Mapping[str, tuple[float, ...]]
    learning_rate: float
    epochs: int
    batch: int
    length: int
    attention_dropout: float
    temperature: float | None
    tried: int
    chosen_on: str
    seeds: tuple[int, ...]
    floors: Floors = field(default_factory=dict)
    data: str = ""
    fair_at: Mapping[str, tuple] = field(default_factory=dict)

    @property
    def measure(self) -> str:
        """The one that counts."""
        return next(iter(self.scores))

    def mean(self, measure: str) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.fair[measure])

    def spread(self, measure: str) -> float:
        """Standard deviation over seeds (of the sample); 0 for a single one, nan where a score is nan."""
        return spread(self.fair[measure]) if len(self.fair[measure]) > 1 else 0.0

    def floor(self, measure: str) -> float:
        """The score of the best rule without a network; 0 where none is known."""
        return highest(self.floors, measure)[1]

    def against(self, other: "Mean | float", measure: str | None = None) -> Verdict:
        """The verdict on this model and another, in pairs where their seeds share the order of the rows.

        Args:
            other: on the same task; or a figure, such as :meth:`floor`.
            measure: None: the one that counts.
        """
        measure = measure or self.measure
        if not isinstance(other, Mean):
            return compare(self.fair[measure], other)
        paired = all(getattr(self, name) == getattr(other, name) for name in ("seeds", *ORDERED_BY))
        return compare(self.fair[measure], other.fair[measure], paired=paired)


def best_means(rows: Iterable[dict]) -> dict[Place, Mean]:
    """For every model and task the setting with the best mean over seeds, by accuracy or F1.

    Of settings with fewer seeds than others none is chosen: one lucky seed is no better than the mean of three.
    Where the rows of a task or the weights of a model changed between runs, the latest count: no mean goes over two
    models, and no column over two sets of rows. A run that stands there twice counts once.

    Args:
        rows: results of a sweep; a model that had a teacher on the task counts as another ("student, taught by
            teacher").
    """
    distinct: dict[tuple, dict] = {}
    for row in rows:
        key = name_of(row), identity(row)
        distinct.pop(key, None)  # the later one counts, and in its place
        distinct[key] = row
    rows = list(distinct.values())
    data = {row["task"]: row["data"] for row in rows}  # the latest
    rows = [row for row in rows if row["data"] == data[row["task"]]]
    weights = {(name_of(row), row["task"]): (row["weights"], row["rest"]) for row in rows}
    settings: dict[Place, dict[tuple, list[dict]]] = {}
    for row in rows:
        place = (name_of(row), row["task"])
        if (row["weights"], row["rest"]) != weights[place]:
            continue
        groups = settings.setdefault(place, {})
        groups.setdefault(_setting(row), []).append(row)
    return {place: _best(groups) for place, groups in settings.items()}


def on_unseen(rows: Iterable[dict]) -> list[dict]:
    """The results on the dev rows that do not stand in the train rows, floors included; all rows where none does."""
    return [row | row.get("unseen", {}) for row in rows]


def name_of(row: Mapping[str, str]) -> str:
    """What tables call the model of a row: "student", or "student, taught by teacher"."""
    return row["model"] + (f"{TAUGHT_BY}{row['teacher']}" if row["teacher"] else "")


def _setting(row: Mapping) -> tuple:
    return tuple(row.get(name) for name in SETTING)


def _best(groups: Mapping[tuple, list[dict]]) -> Mean:
    """The best of some settings, and what it scores where it was not chosen."""
    groups = {setting: sorted(runs, key=lambda run: run["seed"]) for setting, runs in groups.items()}
    measures = [name for name in ("accuracy", "f1", "em") if name in next(iter(groups.values()))[0]]

    def rank(setting: tuple) -> tuple[int, float]:
        runs = groups[setting]
        return len(runs), statistics.fmean(run[measures[0]] for run in runs)

    setting = max(groups, key=rank)
    runs = groups[setting]
    seeds = tuple(run["seed"] for run in runs)
    rivals = {one: some for one, some in groups.items() if tuple(run["seed"] for run in some) == seeds}
    fair, places, chosen_on = _fair([*rivals.values()], measures)
    taken = [list(rivals)[place] for place in places] or [setting]
    fair_at = {name: tuple(dict.fromkeys(one[column] for one in taken)) for column, name in enumerate(SETTING)}
    scores = {name: tuple(run[name] for run in runs) for name in measures}
    known = {"floors": runs[-1]["floors"], "data": runs[-1]["data"], "fair_at": fair_at}
    return Mean(scores, fair or scores, *setting, len(groups), chosen_on, seeds, **known)


def _fair(rivals: Sequence[list[dict]], measures: Sequence[str]) -> tuple[dict[str, tuple[float, ...]], list[int], str]:
    """Scores where the choice was not made, the places of the rivals that gave them, and what was held back.

    No scores and no places of one rival, or where nothing was held back.
    """
    halves = [run.get("halves", {}).get(name, [math.nan]) for runs in rivals for run in runs for name in measures]
    halved = not any(math.isnan(score) for pair in halves for score in pair)  # one row, say, has no halves
    seeds = len(rivals[0]) > 1
    if len(rivals) == 1:
        return {}, [], ""
    if not halved and not seeds:
        return {}, [], HELD_BACK[-1]
    parts = {
        name: [[run["halves"][name] if halved else [run[name]] for run in runs] for runs in rivals] for name in measures
    }
    choices = fair_choices(parts[measures[0]])
    fair = {name: tuple(fair_scores(parts[name], choices)) for name in measures}
    places = [place for of_seed in choices for place in of_seed]
    return fair, places, HELD_BACK[0 if seeds and halved else 1 if seeds else 2]


def score_table(means: Mapping[Place, Mean]) -> list[dict[str, str]]:
    """Scores in per cent, mean ± spread over seeds, a row per model, a column per task; F1 / EM for questions.

    Below the models stand the rules without a network.
    """

    def score(mean: Mean, measure: str, task: str) -> str:
        doubt = f" ± {100 * mean.spread(measure):.1f}" if len(mean.fair[measure]) > 1 else ""
        return f"{100 * mean.mean(measure):.1f}{doubt}"

    return _table(means, score) + floor_table(means)


def floor_table(means: Mapping[Place, Mean]) -> list[dict[str, str]]:
    """The scores of the rules without a network, in per cent, as the lower rows of :func:`score_table`."""
    columns = {task: mean for (_, task), mean in means.items()}
    rules = dict.fromkeys(name for mean in columns.values() for name in mean.floors)

    def cell(rule: str, task: str) -> str:
        mean = columns[task]
        found = {name: score for name, score in mean.floors.get(rule, {}).items() if not math.isnan(score)}
        return " / ".join(f"{100 * found[name]:.1f}" for name in mean.scores if name in found) or NOTHING

    return [{N_("model"): rule} | {task: cell(rule, task) for task in _tasks(means)} for rule in rules]


def relative_table(means: Mapping[Place, Mean], reference: str) -> list[dict[str, str]]:
    """The share of one model's scores that the others keep, and beside it, in brackets, the share above the floor.

    Where the verdict does not find the reference above the floor, there is nothing to have a share of, and no share.

    Raises:
        CourseError: the reference has no results.
    """
    _check_reference(means, reference)

    def share(mean: Mean, measure: str, task: str) -> str:
        theirs = means.get((reference, task))
        if theirs is None:
            return NOTHING
        known = (mean.mean(measure), theirs.fair[measure], theirs.floor(measure))
        plain, above = (share_kept(*known, above=above) for above in (False, True))
        return _(AT_THE_FLOOR) if plain is None else f"{plain:.1%} ({above:.1%})"

    return _table(means, share)


def verdict_table(means: Mapping[Place, Mean], reference: str | None = None) -> list[dict[str, str]]:
    """Every model against a reference; None: against the best rule without a network. By accuracy, or F1.

    Raises:
        CourseError: the reference has no results.
    """
    if reference:
        _check_reference(means, reference)

    def verdict(mean: Mean, measure: str, task: str) -> str:
        other = means.get((reference, task)) if reference else mean.floor(measure)
        if measure != mean.measure or (reference and other is None):
            return ""
        return str(mean.against(other))

    return [row for row in _table(means, verdict) if row["model"] != reference]


def taught_table(rows: Iterable[dict]) -> list[dict[str, str]]:
    """What teaching on the task adds: taught and plain runs that are alike in all else, in pairs of one seed.

    The KL divergence from the teacher, in the first and the last epoch, says whether there was anything to learn: a
    KD loss that does not come nearer to its floor teaches nothing.
    """
    groups: dict[tuple, dict[tuple, dict[int, dict]]] = {}
    for row in rows:
        if math.isnan(row.get("accuracy", row.get("f1"))):
            continue
        alike = (row["task"], row["model"], row["weights"], row["data"])
        plain = (row.get(name) for name in SETTING if name != "temperature")
        by_teacher = groups.setdefault((*alike, *plain), {})
        lesson = row["teacher"], row.get("temperature"), row["rest"]
        by_teacher[lesson] = by_teacher.pop(lesson, {}) | {row["seed"]: row}  # the latest last
    return [
        _gain([plain[seed] for seed in shared], [taught[seed] for seed in shared])
        for by_teacher in groups.values()
        for plain in [next((runs for (who, *_), runs in reversed(by_teacher.items()) if not who), {})]
        for (teacher, *_), taught in by_teacher.items()
        if teacher and (shared := sorted(plain.keys() & taught.keys()))
    ]


def _gain(plain: Sequence[dict], taught: Sequence[dict]) -> dict[str, str]:
    """A line of :func:`taught_table`, of runs with the same seeds."""
    one, two = ([run.get("accuracy", run.get("f1")) for run in runs] for runs in (taught, plain))
    first, gaps = taught[0], [run["kd"] for run in taught if run.get("kd")]
    ends = [f"{statistics.fmean(kd[place]['gap'] for kd in gaps):.3f}" for place in (0, -1)] if gaps else []
    return {
        N_("task"): first["task"],
        N_("student"): first["model"],
        N_("taught by"): first["teacher"],
        N_("temperature"): f"{first['temperature']:g}" if first.get("temperature") else NOTHING,
        N_("learning rate"): f"{first['learning_rate']:g}",
        N_("epochs"): str(first["epochs"]),
        N_("plain"): f"{statistics.fmean(two):.1%}",
        N_("taught"): f"{statistics.fmean(one):.1%}",
        N_("gain"): str(compare(one, two, paired=True)),
        N_("KL from the teacher"): " → ".join(ends) or NOTHING,
        N_("seeds"): str(len(taught)),
    }


def _check_reference(means: Mapping[Place, Mean], reference: str) -> None:
    names = dict.fromkeys(name for name, _ in means)
    if reference not in names:
        raise CourseError(
            "no results of {reference!r}", fix="one of {names}", reference=reference, names=", ".join(names)
        )


def _tasks(means: Mapping[Place, Mean]) -> list[str]:
    """In the README's order."""
    return sorted({task for _, task in means}, key=lambda task: [*TASKS, task].index(task))


def _table(means: Mapping[Place, Mean], cell: Callable[[Mean, str, str], str]) -> list[dict[str, str]]:
    names = dict.fromkeys(name for name, _ in means)  # in the order of the results

    def text(name: str, task: str) -> str:
        mean = means.get((name, task))
        scored = [measure for measure in mean.scores if not math.isnan(mean.mean(measure))] if mean else []
        cells = [cell(mean, measure, task) for measure in scored]
        return " / ".join(filter(None, cells)) or NOTHING

    return [{"model": name} | {task: text(name, task) for task in _tasks(means)} for name in names]


def as_markdown(table: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown."""
    if not table:
        return ""
    head = [f"| {' | '.join(table[0])} |", "|---" * len(table[0]) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(row.values())} |" for row in table)])


def write_report(
    file: str | Path,
    rows: Sequence[dict],
    reference: str | None = None,
    scale: str = "sample",
    planned: Iterable[Place] = (),
) -> None:
    """Write the tables in Markdown, with the command, the dates, the machine and the rows they come from.

    Args:
        file: ``….md``.
        rows: results of a sweep, at least one.
        reference: the model that shares and verdicts are relative to; None: no such tables.
        scale: of the models, named in the title.
        planned: models and tasks that shall be there; those that are not are named.
    """
    unseen, everything = best_means(on_unseen(rows)), best_means(rows)
    parts = [
        "# " + _("Results of a sweep at {scale}").format(scale=shown_scale(scale)),
        *([_(SMALL)] if scale == "sample" else []),
        *_circumstances(rows),
        *_missing(everything, planned),
        _(
            "Per cent, mean ± standard deviation over seeds; F1 / EM for questions; "
            "dev rows that stand in train left out"
        ),
        _shown(score_table(unseen)),
    ]
    if any("unseen" in row for row in rows):
        parts += [_("The same with all dev rows"), _shown(score_table(everything))]
    against_rules = _("Against the best rule without a network. {verdicts}").format(verdicts=_(VERDICTS))
    parts += [against_rules, _shown(verdict_table(unseen))]
    if reference:
        name = shown_name(reference)
        parts += [_("Against {model}").format(model=name), _shown(verdict_table(unseen, reference))]
        kept = _("Relative to {model}: the share kept, and in brackets the share kept above the floor")
        parts += [kept.format(model=name), _shown(relative_table(unseen, reference))]
    if gains := taught_table(on_unseen(rows)):
        parts += [_("What teaching on the task adds"), _shown(gains)]
    parts += [_("The settings"), _shown(_settings(unseen))]
    with atomic_file(file) as stream:
        stream.write("\n\n".join(parts) + "\n")


def _shown(table: Sequence[Mapping[str, str]]) -> str:
    return as_markdown(shown_rows(table))


def _circumstances(rows: Sequence[dict]) -> list[str]:
    """Command, dates, machine, versions, and what is known of the rows of every task."""
    latest = {row["task"]: row for row in rows}
    dates = sorted(row["finished"] for row in rows)
    sizes = (f"{name} {row['rows']} → {row['dev_rows']}" for name, row in latest.items())
    shared = [
        f"{name} {row['overlap']['exact']} + {row['overlap']['runs']}"
        for name, row in latest.items()
        if any(row.get("overlap", {}).values())
    ]
    runs = _(
        "Runs finished {first} to {last}, {minutes:.0f} minutes in all, on {count} processors ({machine}); {versions}"
    ).format(
        first=dates[0],
        last=dates[-1],
        minutes=sum(row["seconds"] for row in rows) / 60,
        count=os.cpu_count(),
        machine=platform.machine(),
        versions=_(", ").join(f"{name} {number}" for name, number in versions().items()),
    )
    overlaps = _("Dev rows that stand in train, whole + with a run of 20 characters: {counts}")
    return [
        f"`{shlex.join(['minirbt', *sys.argv[1:]])}`",
        runs,
        _("Rows trained on → rows scored: {counts}").format(counts=_(", ").join(sizes)),
        overlaps.format(counts=_(", ").join(shared) or _("none")),
    ]


def _missing(means: Mapping[Place, Mean], planned: Iterable[Place]) -> list[str]:
    place = _("{model} on {task}")
    absent = [place.format(model=shown_name(name), task=task) for name, task in planned if (name, task) not in means]
    return [_("Not made yet: {runs}").format(runs=_(", ").join(absent))] if absent else []


def _settings(means: Mapping[Place, Mean]) -> list[dict[str, str]]:
    return [
        {"model": name, "task": task, "learning rate": f"{mean.learning_rate:g}", "epochs": str(mean.epochs)}
        | {N_("batch"): str(mean.batch), "length": str(mean.length)}
        | {N_("attention dropout"): f"{mean.attention_dropout:g}"}
        | {"temperature": f"{mean.temperature:g}" if mean.temperature else NOTHING}
        | {N_("settings tried"): str(mean.tried), N_("scored on"): mean.chosen_on or N_("all rows")}
        | {"seeds": str(len(mean.seeds))}
        for (name, task), mean in means.items()
    ]
