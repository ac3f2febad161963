"""Pictures that compare models: speed, where the time goes, quality against size (notebook 07)."""

import statistics
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter, ScalarFormatter
from matplotlib.transforms import Bbox

from ..models import ARCHITECTURES
from .comparison import TEACHER, Scores, SpeedCase
from .figures import PALETTE
from .model_views import FAMILY
from .speed import PARTS, WHOLE, Timings, seconds_of, speed_ups
from .training_views import colour_of

PART_COLOURS = dict(zip(PARTS, (PALETTE[name] for name in ("other", "teacher", "assistant", "one-stage")), strict=True))
REST = "#C4C9D0"
NAME_SPOTS = [  # where a name may stand beside its dot: points right and up, and which side of the name that is
    ((0, 6), "center", "bottom"), ((0, -6), "center", "top"), ((7, 0), "left", "center"), ((-7, 0), "right", "center"),
    ((5, 5), "left", "bottom"), ((-5, 5), "right", "bottom"), ((5, -5), "left", "top"), ((-5, -5), "right", "top"),
    ((0, 15), "center", "bottom"), ((0, -15), "center", "top"), ((0, 24), "center", "bottom"),
]  # fmt: skip


def model_colour(name: str) -> str:
    """The colour of a model's part in the family, by its name or by its role."""
    return PALETTE[FAMILY[name]] if name in FAMILY else colour_of(name)


def speed_figure(cases: Sequence[SpeedCase], head: bool = False) -> Figure:
    """Speed-ups over the 12-layer model, a panel per number format, a line per model; published ones dashed.

    Args:
        cases: what :func:`~minirbt_helpers.insight.read_speed` gives.
        head: with the MLM head, or the encoder alone.
    """
    formats = list(dict.fromkeys(case.precision for case in cases))
    figure, axes = plt.subplots(1, len(formats), figsize=(5.6 * len(formats), 4.2), sharey=True, squeeze=False)
    for axis, precision in zip(axes[0], formats, strict=True):
        chosen = [case for case in cases if case.precision == precision]
        ups = [speed_ups(case.family, TEACHER, head) for case in chosen]
        for number, name in enumerate(one for one in ARCHITECTURES if one != TEACHER):
            places = [place + (number - 2) * 0.07 for place in range(len(chosen))]
            spreads = [one[name] for one in ups]
            middles = [spread.median for spread in spreads]
            errors = list(zip(*((one.median - one.low, one.high - one.median) for one in spreads), strict=True))
            looks = {"color": model_colour(name), "markersize": 5, "marker": "s" if name == "MiniRBT-H288" else "o"}
            axis.errorbar(places, middles, errors, capsize=2, linewidth=1.2, label=name, **looks)
            axis.axhline(ARCHITECTURES[name].speed_up, color=model_colour(name), linestyle=":", linewidth=1)
        axis.set_xticks(range(len(chosen)), [f"{case.batch} × {case.length}" for case in chosen])
        axis.set(title=precision, xlabel="texts × tokens", yscale="log")
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.set_yticks([1.5, 2, 3, 4, 6, 8, 12, 16])
        axis.minorticks_off()
    axes[0][0].set_ylabel("times as fast as 12 × 768")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, title="dotted: published")
    return figure


def parts_figure(timings: Timings, title: str = "") -> Figure:
    """Where the time goes: a bar per model, its parts as shares of the whole, the milliseconds beside it.

    Args:
        timings: what :func:`~minirbt_helpers.insight.time_models` gives.
        title: above the picture.
    """
    figure, axis = plt.subplots(figsize=(9, 0.9 + 0.42 * len(timings)))
    for place, rounds in enumerate(timings.values()):
        medians = {part: statistics.median(rounds[part]) for part in (*PARTS, WHOLE)}
        left = 0.0
        for part in PARTS:
            share = medians[part] / medians[WHOLE]
            axis.barh(place, share, left=left, height=0.7, color=PART_COLOURS[part], label=part if not place else None)
            if share > 0.06:
                axis.text(left + share / 2, place, f"{share:.0%}", ha="center", va="center", color="white", fontsize=8)
            left += share
        axis.barh(place, max(0.0, 1 - left), left=left, height=0.7, color=REST, label=None if place else "rest")
        axis.annotate(f"{1000 * medians[WHOLE]:,.3g} ms", (1, place), (6, 0), textcoords="offset points", va="center")
    axis.set_yticks(range(len(timings)), timings)
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), title=title)
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.legend(loc="center left", bbox_to_anchor=(1.12, 0.5), fontsize=9)
    return figure


def reasons_figure(columns: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """Several speed-ups of the same models beside each other, a group of bars per model (log scale).

    Args:
        columns: by what they are ("arithmetic", "measured" …), the speed-up of each model.
        title: above the picture.
    """
    names = [name for name in ARCHITECTURES if name != TEACHER]
    colours = ("other", "accent", "teacher", "student", "one-stage")
    figure, axis = plt.subplots(figsize=(10, 3.8))
    width = 0.8 / len(columns)
    for number, (title_of, values) in enumerate(columns.items()):
        places = [place + (number - (len(columns) - 1) / 2) * width for place in range(len(names))]
        heights = [values[name] for name in names]
        axis.bar(places, heights, width=width * 0.92, color=PALETTE[colours[number]], label=title_of)
        for place, height in zip(places, heights, strict=True):
            axis.annotate(f"{height:.1f}", (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=8)
    axis.set_xticks(range(len(names)), names)
    axis.set(yscale="log", ylabel="times as fast as 12 × 768", title=title)
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.set_yticks([1, 2, 4, 8, 16])
    axis.minorticks_off()
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    return figure


def rate_by_width_figure(rows: Sequence[Mapping]) -> Figure:
    """How near the products of a layer come to the machine's peak, by the model's width; a panel per number format.

    Args:
        rows: lines of kind ``"products"`` of benchmarks/speed.py.
    """
    figure, axes = plt.subplots(1, len(rows), figsize=(4.6 * len(rows) + 1, 3.6), sharey=True, squeeze=False)
    for axis, row in zip(axes[0], rows, strict=True):
        found = [rate for widths in row["rates"].values() for both in widths.values() for rate in both.values()]
        peak = max(row["peak"], *found)
        for tokens, rates in row["rates"].items():
            widths = sorted(map(int, rates))
            shares = [rates[str(width)]["FFN"] / peak for width in widths]
            axis.plot(widths, shares, marker="o", markersize=4, label=f"{int(tokens):,} tokens at once")
        axis.set(title=f"{row['precision']}, the fastest: {peak / 1e9:,.0f} GFLOP/s", xlabel="width", ylim=(0, 1.05))
        axis.set_xticks(widths, widths, fontsize=8, rotation=60)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
    axes[0][0].set_ylabel("share of peak, FFN product")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    return figure


def quality_figure(
    scores: Scores,
    places: Mapping[str, float],
    unit: str,
    title: str = "",
    baselines: Mapping[str, float] | None = None,
) -> Figure:
    """Scores against size or time, a panel per task: the mean of each model as a dot, every seed as a small one.

    Args:
        scores: by task and model; models without a place are left out, and so are tasks with fewer than two models.
        places: by model, where it stands on the x axis (parameters, milliseconds).
        unit: what the x axis shows.
        title: above the panels.
        baselines: by task, the score of always giving the most frequent answer, a dashed line.
    """
    placed = {task: {name: models[name] for name in models if name in places} for task, models in scores.items()}
    panels = {task: models for task, models in placed.items() if len(models) > 1}
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(3.3 * columns, 3 * rows + 0.4), squeeze=False)
    for axis, (task, models) in zip(grid.flat, panels.items(), strict=False):
        _dots(axis, models, places)
        if baselines and baselines.get(task):
            axis.axhline(baselines[task], color="#444444", linestyle="--", linewidth=1, zorder=1)
        axis.set_title(task)
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, (low + high) / 2 - 0.05), max(high, (low + high) / 2 + 0.05))
        axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))  # whole per cent
        axis.yaxis.set_major_formatter("{x:.0%}")
        axis.tick_params(labelsize=8)
    for axis in list(grid.flat)[len(panels) :]:
        axis.axis("off")
    for axis in grid[-1]:
        axis.set_xlabel(unit, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.draw_without_rendering()
    for axis, models in zip(grid.flat, panels.values(), strict=False):
        _names(axis, models, places)
    return figure


def _dots(axis: Axes, models: Mapping[str, Sequence[float]], places: Mapping[str, float]) -> None:
    """A dot per model where it stands, on a log axis."""
    axis.set_xscale("log")
    axis.margins(x=0.3, y=0.22)
    for name, seeds in models.items():
        colour, mean = model_colour(name), statistics.fmean(seeds)
        face = "white" if name == "no pre-training" else colour
        axis.scatter([places[name]], [mean], s=46, color=face, edgecolor=colour, zorder=3)
        if len(seeds) > 1:
            axis.scatter([places[name]] * len(seeds), seeds, s=8, color=colour, alpha=0.6, zorder=2)
    axis.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("{x:g}")


def _names(axis: Axes, models: Mapping[str, Sequence[float]], places: Mapping[str, float]) -> None:
    """The models' names beside their dots, each in the first spot where it covers no dot and no other name.

    The figure has been laid out: before that, nobody knows where the dots lie.
    """
    dots = {name: (places[name], statistics.fmean(models[name])) for name in models}
    centres = axis.transData.transform(list(dots.values()))  # [models, 2], in pixels
    radius = 4 * axis.figure.dpi / 72
    taken = [Bbox.from_extents(*(centre - radius), *(centre + radius)) for centre in centres]
    for name in sorted(dots, key=dots.get):
        label = axis.annotate(name, dots[name], (0, 0), textcoords="offset points", fontsize=7)
        for shift, across, along in NAME_SPOTS:
            label.xyann = shift
            label.set(ha=across, va=along)
            box = label.get_window_extent()
            inside = axis.bbox.x0 <= box.x0 and box.x1 <= axis.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def kept_figure(kept: Mapping[str, float], places: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """What share of the teacher's scores models keep, against several measures of cost, a panel each.

    Args:
        kept: what :func:`~minirbt_helpers.insight.kept` gives.
        places: by measure ("million parameters", "milliseconds"), where each model stands.
        title: above the panels.
    """
    figure, axes = plt.subplots(1, len(places), figsize=(5.4 * len(places), 3.8), sharey=True, squeeze=False)
    for axis, (unit, where) in zip(axes[0], places.items(), strict=True):
        _dots(axis, {name: [kept[name]] for name in kept if name in where}, where)
        axis.set_xlabel(unit)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
    axes[0][0].set_ylabel("of the teacher's scores, mean over tasks")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.draw_without_rendering()
    for axis, where in zip(axes[0], places.values(), strict=True):
        _names(axis, {name: [kept[name]] for name in kept if name in where}, where)
    return figure


def milliseconds(timings: Timings) -> dict[str, float]:
    """The median time of each encoder, in milliseconds."""
    return {name: 1000 * statistics.median(seconds_of(rounds)) for name, rounds in timings.items()}
