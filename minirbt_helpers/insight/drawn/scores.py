"""How good models are: masked words, tasks, and quality against cost (notebooks 03, 04, 05 and 07)."""

import itertools
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from matplotlib.transforms import Bbox

from ...language import N_, _, labelled
from ...names import shown_name
from ..measured.scores import Result, Scores, shares_and_errors
from .axes import BASELINE, in_percent, legend_beside, listed, log_ticks, name_rows, note, panels
from .theme import PALETTE, colour_of, own_colour_of

DEV = N_("score on dev rows")
FRESH = N_("no pre-training")
ACROSS, ALONG = ("center", "left", "right"), ("center", "bottom", "top")  # of a name, by the side of its dot: 0, 1, -1
SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))  # right and up
DISTANCES = (7, 15, 24, 34)  # of a name from its dot, in points
NEAR = 7  # points; a name that stands farther off is tied to its dot by a line

Dot = tuple[float, float]  # where it stands on the two axes
Spot = tuple[float, tuple[int, int]]  # of a name: its distance from its dot, and the side


# --- masked words ---------------------------------------------------------------------------------------------------


def draw_accuracies(groups: Mapping[str, Mapping[str, Result]], floor: str | None = None) -> Figure:
    """Top-1 accuracy of several models as bars, with one standard error each way (notebooks 03 and 04).

    Args:
        groups: a title for each panel, :func:`~minirbt_helpers.training.held_out` of each of its models, by name; a
            name that begins with a key of the palette takes its colour. All panels have one scale.
        floor: the name whose share is drawn as a dashed line through its panel, too.
    """
    said = _("{title} ({count} masked tokens, ± 1 standard error)")
    titles = [said.format(title=title, count=_asked(results)) for title, results in groups.items()]
    shares = [{name: result["top1"] for name, result in results.items()} for results in groups.values()]
    lists = _(". ").join(labelled(title, listed(of)) for title, of in zip(groups, shares, strict=True))
    alt = _("Top-1 accuracy. {scores}").format(scores=lists)
    size = (8 if len(groups) == 1 else 6.5, 0.6 + 0.36 * max(map(len, groups.values())))
    figure, grid = panels(titles, size, alt, sharex=True)
    for axes, results in zip(grid, groups.values(), strict=True):
        _bars_with_errors(axes, results)
        if floor in results:
            axes.axvline(results[floor]["top1"], **BASELINE)
    pairs = (shares_and_errors(results.values()) for results in groups.values())
    widest = max(share + error for pair in pairs for share, error in zip(*pair, strict=True))
    grid[0].set_xlim(0, widest * 1.12 or 1)
    return figure


def _asked(results: Mapping[str, Result]) -> str:
    masked = sorted({int(result["masked"]) for result in results.values()})
    if len(masked) == 1:
        return f"{masked[0]:,}"
    return _("{least:,} to {most:,}").format(least=masked[0], most=masked[-1])


def _bars_with_errors(axes: Axes, results: Mapping[str, Result]) -> None:
    shares, errors = shares_and_errors(results.values())
    places, colours = range(len(results)), [colour_of(name) for name in results]
    axes.barh(places, shares, xerr=errors, height=0.68, color=colours, ecolor="#444444", capsize=3)
    for place, share, error in zip(places, shares, errors, strict=True):
        note(axes, f"{share:.1%}", (share + error, place), (5, 0), size=10)
    name_rows(axes, list(results))
    in_percent(axes.xaxis)
    axes.set_xlabel(_("first guess right"))


def draw_accuracy_by_depth(curves: Mapping[str, Mapping[int, Result]], marked: int | None = None) -> Figure:
    """Top-1 accuracy against the number of layers kept, a line per way of choosing them (notebook 03).

    Args:
        curves: for each name, :func:`~minirbt_helpers.training.held_out` by number of layers.
        marked: a number of layers to mark with a vertical line.
    """
    said = _("{count} layers {share:.1%}")
    scores = {
        name: [said.format(count=size, share=one["top1"]) for size, one in curve.items()]
        for name, curve in curves.items()
    }
    lists = _(". ").join(labelled(shown_name(name), _(", ").join(of)) for name, of in scores.items())
    alt = _("Top-1 accuracy by number of layers kept, without further training. {scores}").format(scores=lists)
    figure, (axes,) = panels([_("Copies without further training, ± 1 standard error")], (8, 3.4), alt)
    for name, curve in curves.items():
        looks = {"color": colour_of(name), "label": shown_name(name), "marker": "o", "markersize": 4, "capsize": 3}
        axes.errorbar(list(curve), *shares_and_errors(curve.values()), **looks)
    if marked is not None:
        label = _("{count} layers kept").format(count=marked)
        axes.axvline(marked, color=PALETTE["accent"], linestyle=":", label=label)
    axes.set(xlabel=_("layers kept"), ylabel=_("top-1 on masked tokens"), ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    in_percent(axes.yaxis)
    axes.legend()
    return figure


# --- tasks ----------------------------------------------------------------------------------------------------------


def draw_task_scores(results: Scores, baselines: Mapping[str, float | None], colours: Mapping[str, str]) -> Figure:
    """Scores of several models on tasks, a panel per task: the mean as a bar, every seed as a dot (notebook 05).

    Args:
        results: per task, per model, the score (0 to 1) of every seed.
        baselines: per task, the accuracy of always giving the most frequent answer, a dashed line; None: no line.
        colours: per model, a name of :data:`PALETTE`.
    """
    means = {task: {name: statistics.fmean(of) for name, of in models.items()} for task, models in results.items()}
    lists = _(". ").join(labelled(task, listed(of)) for task, of in means.items())
    alt = _("Mean scores on dev rows. {scores}").format(scores=lists)
    figure, grid = panels(list(results), (3.4, 3.2), alt, margin=(1.6, 0.6), sharey=True)
    for axes, (task, models) in zip(grid, results.items(), strict=True):
        _bars_with_seeds(axes, models, colours)
        if baselines[task] is not None:
            axes.axhline(baselines[task], **BASELINE)
            axes.annotate(
                _("majority"), (1, baselines[task]), (-2, 3), ("axes fraction", "data"), "offset points", ha="right",
                fontsize=8,
            )  # fmt: skip
        axes.set(ylim=(0, 1))
    _label_scores(grid)
    return figure


def _label_scores(grid: Sequence[Axes]) -> None:
    """Scores in per cent, and what they are, beside each row of panels."""
    in_percent(*(axes.yaxis for axes in grid))
    for axes in grid:
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(_(DEV))


def _bars_with_seeds(axes: Axes, models: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> None:
    for place, (name, scores) in enumerate(models.items()):
        mean, colour = statistics.fmean(scores), PALETTE[colours[name]]
        axes.bar(place, mean, width=0.62, color=colour, alpha=0.45)
        spread = [place + (number - (len(scores) - 1) / 2) * 0.14 for number in range(len(scores))]
        axes.scatter(spread, scores, s=26, color=colour, edgecolor="white", zorder=3)
        note(axes, f"{mean:.1%}", (place, max(mean, *scores)), (0, 6))
    names = [name.replace(", ", ",\n").replace(" pre", "\npre") for name in map(shown_name, models)]
    axes.set_xticks(range(len(models)), names, fontsize=8)


def draw_learning_rates(
    curves: Mapping[str, Mapping[float, Sequence[float]]],
    published: Mapping[str, float],
    colours: Mapping[str, str],
    baseline: float | None = None,
    title: str = "",
) -> Figure:
    """Scores against the learning rate, a line per model through the means, a dot per seed (notebook 05).

    Args:
        curves: per model, per learning rate, the score (0 to 1) of every seed.
        published: per model, the published rate of the full-size one; a dotted line.
        colours: per model, a name of :data:`PALETTE`.
        baseline: the majority class; a dashed line.
        title: above the picture.
    """
    lists = _(". ").join(labelled(shown_name(name), _in_words(by_rate)) for name, by_rate in curves.items())
    alt = _("{title} by learning rate. {scores}").format(title=title or _("Scores"), scores=lists)
    figure, (axes,) = panels([title], (8, 3.8), alt)
    for name, by_rate in curves.items():
        colour = PALETTE[colours[name]]
        _curve_with_seeds(axes, by_rate, colour, shown_name(name))
    for rate in dict.fromkeys(published[name] for name in curves):
        names = [name for name in curves if published[name] == rate]
        label = _("published for the full-size {model}").format(model=_(", ").join(map(shown_name, names)))
        colour = PALETTE[colours[names[0]]] if len(names) == 1 else BASELINE["color"]
        axes.axvline(rate, color=colour, linestyle=":", label=label)
    if baseline is not None:
        axes.axhline(baseline, label=_("majority class"), **BASELINE)
    axes.set(xscale="log", xlabel=_("learning rate"), ylim=(0, None))
    _label_scores([axes])
    legend_beside(axes)
    return figure


def draw_epochs(
    curves: Mapping[str, Mapping[int, Sequence[float]]],
    baselines: Mapping[str, float | None],
    rules: Mapping[str, float] | None = None,
    title: str = "",
    colour: str = "student",
) -> Figure:
    """Scores of one model against the epochs of fine-tuning, a panel per task, a dot per seed (notebook 05).

    Args:
        curves: per task, per number of epochs, the score (0 to 1) of every seed.
        baselines: per task, the majority class, a dashed line; None: no line.
        rules: per task, the score of the best rule without a network, a line of dashes and dots.
        title: above the panels.
        colour: a name of :data:`PALETTE`.
    """
    lists = _(". ").join(labelled(task, _in_words(by)) for task, by in curves.items())
    alt = _("Mean scores by epochs. {scores}").format(scores=lists)
    figure, grid = panels(list(curves), (2.2, 2.6), alt, columns=5, margin=(0.4, 0.8), sharey=True)
    for axes, (task, by_epochs) in zip(grid, curves.items(), strict=True):
        _curve_with_seeds(axes, by_epochs, PALETTE[colour], _("mean over seeds"))
        if baselines[task] is not None:
            axes.axhline(baselines[task], label=_("majority class"), **BASELINE)
        if rules:
            looks = {"color": PALETTE["accent"], "linestyle": "-.", "label": _("best rule without a network")}
            axes.axhline(rules[task], linewidth=1.2, **looks)
        axes.set(xlabel=_("epochs"), ylim=(0, 1))
        log_ticks(axes.xaxis, sorted(by_epochs))
    _label_scores(grid)
    figure.suptitle(title)
    lines = {line.get_label(): line for axes in grid for line in axes.lines}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines), fontsize=9)
    return figure


def _in_words(scores: Mapping[float, Sequence[float]]) -> str:
    return listed({f"{place:g}": statistics.fmean(scores[place]) for place in sorted(scores)})


def _curve_with_seeds(axes: Axes, scores: Mapping[float, Sequence[float]], colour: str, label: str) -> None:
    """A line through the means over seeds, and a dot per seed."""
    places = sorted(scores)
    means = [statistics.fmean(scores[place]) for place in places]
    axes.plot(places, means, color=colour, linewidth=1.8, marker="_", label=label)
    dots = [(place, score) for place in places for score in scores[place]]
    axes.scatter(*zip(*dots, strict=True), s=26, color=colour, edgecolor="white", zorder=3)


# --- quality against cost -------------------------------------------------------------------------------------------


def draw_quality(
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
    shown = {task: models for task, models in placed.items() if len(models) > 1}
    figure, grid = panels(list(shown), (3.3, 3), _quality_in_words(shown, places, unit, title), margin=(0, 0.4))
    for axes, (task, models) in zip(grid, shown.items(), strict=True):
        _dots(axes, models, places)
        if baselines and baselines.get(task):
            axes.axhline(baselines[task], **BASELINE)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, (low + high) / 2 - 0.05), max(high, (low + high) / 2 + 0.05))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    for axes in grid[-4:]:  # those with no panel below
        axes.set_xlabel(_(unit), fontsize=9)
    _name_dots(figure, title, [(axes, models, places) for axes, models in zip(grid, shown.values(), strict=True)])
    return figure


def draw_kept_shares(kept: Mapping[str, float], places: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """What share of the teacher's scores models keep, against several measures of cost, a panel each.

    Args:
        kept: what :func:`~minirbt_helpers.insight.kept_shares` gives.
        places: by measure ("million parameters", "milliseconds"), where each model stands.
        title: above the panels.
    """
    alt = labelled(title or _("Kept"), listed(dict(kept)))
    figure, grid = panels([""] * len(places), (5.4, 3.8), alt, sharey=True)
    shown = []
    for axes, (unit, where) in zip(grid, places.items(), strict=True):
        shown.append((axes, {name: [kept[name]] for name in kept if name in where}, where))
        _dots(*shown[-1])
        axes.set_xlabel(_(unit))
    grid[0].set_ylabel(_("of the teacher's scores, mean over tasks"))
    _name_dots(figure, title, shown)
    return figure


def _quality_in_words(shown: Scores, places: Mapping[str, float], unit: str, title: str) -> str:
    lists = []
    for task, models in shown.items():
        means = {name: statistics.fmean(models[name]) for name in sorted(models, key=places.get)}
        placed = {f"{shown_name(name)} ({places[name]:.3g})": mean for name, mean in means.items()}
        lists.append(labelled(task, listed(placed)))
    said = _("{title}; in brackets {unit}. {scores}")
    return said.format(title=title or _("Scores"), unit=_(unit), scores=_(". ").join(lists))


def _dots(axes: Axes, models: Mapping[str, Sequence[float]], places: Mapping[str, float]) -> None:
    """A dot per model where it stands, on a log axis, and a small one per seed."""
    axes.set_xscale("log")
    axes.margins(x=0.3, y=0.22)
    for name, seeds in models.items():
        colour, mean = own_colour_of(name), statistics.fmean(seeds)
        face = "white" if name.startswith((FRESH, _(FRESH))) else colour
        axes.scatter([places[name]], [mean], s=46, color=face, edgecolor=colour, zorder=3)
        if len(seeds) > 1:
            axes.scatter([places[name]] * len(seeds), seeds, s=8, color=colour, alpha=0.6, zorder=2)
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(which="both", labelsize=8, length=3, pad=3.5)
    in_percent(axes.yaxis)


def _name_dots(figure: Figure, title: str, shown: Sequence[tuple[Axes, Mapping, Mapping]]) -> None:
    """Title the figure, lay it out, and then write the names: before that, nobody knows where the dots lie."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.draw_without_rendering()
    for axes, models, places in shown:
        _names(axes, models, places)


def _names(axes: Axes, models: Mapping[str, Sequence[float]], places: Mapping[str, float]) -> None:
    """The models' names beside their dots, each in the first spot where one sees whose it is.

    There a name covers no dot, no name and no baseline, and is tied to its dot or much nearer to it than to any other.
    Who is named first finds the most room, so several orders are tried.
    """
    means = {name: (places[name], statistics.fmean(models[name])) for name in models}
    seeds = [(places[name], seed) for name in models for seed in models[name] if len(models[name]) > 1]
    sizes = {name: _size(axes, shown_name(name)) for name in means}
    rightwards, upwards = sorted(means, key=means.get), sorted(means, key=lambda name: means[name][1])
    tried = []
    for order in (rightwards, upwards, rightwards[::-1], upwards[::-1]):
        tried.append(_spots(axes, {name: means[name] for name in order}, sizes, seeds))
        if not any(tried[-1][0]):
            break
    _, spots = min(tried, key=lambda one: one[0])
    for name in rightwards:
        distance, side = spots[name]
        looks = {"textcoords": "offset points", "fontsize": 7, "ha": ACROSS[side[0]], "va": ALONG[side[1]]}
        label = axes.annotate(shown_name(name), means[name], _offset(distance, side), **looks)
        if distance > NEAR:
            leader = {"arrowstyle": "-", "color": "#767C85", "linewidth": 0.6}
            axes.annotate("", means[name], label.xyann, textcoords="offset points", arrowprops=leader)


def _spots(
    axes: Axes, means: Mapping[str, Dot], sizes: Mapping[str, np.ndarray], seeds: Sequence[Dot]
) -> tuple[tuple[int, int], dict[str, Spot]]:
    """What is wrong in all (covered or outside; unclear), and a spot for each name, placed in the order of the dots."""
    centres = dict(zip(means, axes.transData.transform(list(means.values())), strict=True))
    taken = _circles(axes, list(means.values()), 4)
    under = [*_circles(axes, seeds, 2), *_baselines(axes)]  # a name may not cover them, the line to its dot may
    spots, wrong = {}, []
    for name, dot in centres.items():
        others = [centre for other, centre in centres.items() if other != name]
        spots[name], faults = _clearest(axes, dot, sizes[name], others, taken, under)
        wrong.append(faults)
        box = _beside(dot, sizes[name], *spots[name], axes.figure.dpi)
        taken.append(box.padded(4))
        if spots[name][0] > NEAR:
            taken += [Bbox.from_extents(*point, *point).padded(1) for point in _leader(dot, box)]
    return tuple(map(sum, zip(*wrong, strict=True))), spots


def _clearest(
    axes: Axes,
    dot: np.ndarray,
    size: np.ndarray,
    others: Sequence[np.ndarray],
    taken: Sequence[Bbox],
    under: Sequence[Bbox],
) -> tuple[Spot, tuple[int, int]]:
    """The first spot of a name with nothing wrong, or else the one with the least, and what is wrong there."""
    inside = axes.bbox.padded(-4)  # off the frame
    faults: dict[Spot, tuple[int, int]] = {}
    for spot in itertools.product(DISTANCES, SIDES):
        box = _beside(dot, size, *spot, axes.figure.dpi)
        doubtful = any(_gap(other, box) < 2 * _gap(dot, box) for other in others)
        outside = not (inside.contains(*box.min) and inside.contains(*box.max))
        covered = sum(box.overlaps(other) for other in (*taken, *under))
        unclear = _crossings(dot, box, taken) if spot[0] > NEAR else int(doubtful)
        faults[spot] = int(covered) + outside, unclear
        if not any(faults[spot]):
            break
    best = min(faults, key=faults.get)
    return best, faults[best]


def _baselines(axes: Axes) -> list[Bbox]:
    """What the lines across a panel cover, in pixels."""
    heights = [axes.transData.transform((1, line.get_ydata()[0]))[1] for line in axes.lines]
    return [Bbox.from_extents(axes.bbox.x0, height - 1, axes.bbox.x1, height + 1) for height in heights]


def _size(axes: Axes, text: str) -> np.ndarray:
    """How wide and how high a name is, in pixels."""
    label = axes.annotate(text, (0.5, 0.5), xycoords="axes fraction", fontsize=7)
    size = label.get_window_extent().size
    label.remove()
    return size


def _offset(distance: float, side: tuple[int, int]) -> tuple[float, float]:
    """From a dot to its name, in points across and along."""
    step = distance if 0 in side else 0.75 * distance
    return step * side[0], step * side[1]


def _beside(dot: np.ndarray, size: np.ndarray, distance: float, side: tuple[int, int], dpi: float) -> Bbox:
    """What a name covers that stands so many points off its dot, on a side of it, in pixels."""
    low = dot + np.array(_offset(distance, side)) * dpi / 72 - size * (1 - np.array(side)) / 2
    return Bbox.from_extents(*low, *(low + size))


def _gap(dot: np.ndarray, box: Bbox) -> float:
    """How far a dot is from a box, in pixels."""
    return float(np.linalg.norm(dot - np.clip(dot, box.min, box.max)))


def _crossings(dot: np.ndarray, box: Bbox, taken: Sequence[Bbox]) -> int:
    """How much of the line from a dot to its name lies in the boxes, those that hold the dot itself apart."""
    line = _leader(dot, box)
    return sum(other.contains(*point) for other in taken if not other.contains(*dot) for point in line)


def _leader(dot: np.ndarray, box: Bbox) -> np.ndarray:
    """Points of the line from a dot to its name, [points, 2]."""
    return np.linspace(dot, np.clip(dot, box.min, box.max), 20)


def _circles(axes: Axes, dots: Sequence[tuple[float, float]], points: float) -> list[Bbox]:
    """What dots of a radius in points cover, in pixels."""
    radius = points * axes.figure.dpi / 72
    centres = axes.transData.transform(dots) if dots else []
    return [Bbox.from_extents(*(centre - radius), *(centre + radius)) for centre in centres]
