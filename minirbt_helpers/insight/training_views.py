"""Pictures of how a smaller model starts (notebook 03) and how it is distilled (notebook 04)."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import PercentFormatter
from torch import Tensor
from transformers import BertConfig, PreTrainedTokenizerBase

from ..models import Architecture
from ..models.architectures import Scale
from ..workspace import headless
from .figures import PALETTE

Rows = Sequence[Mapping[str, float]]  # metrics of a run, one row per step
Result = Mapping[str, float]  # what training.held_out returns
PLOTTED = {"loss": "total loss", "kd": "KD loss", "mlm": "MLM loss", "top1": "held-out top-1"}
HELD_OUT = {"kd": "kd_loss", "mlm": "mlm_loss", "top1": "top1"}  # the held-out counterpart of a training loss
MATCH = re.compile(r"(.+?) \[?\d.*-\[?(\d+).*")  # "hidden 4-2": the teacher's 4, the student's 2


def colour_of(name: str) -> str:
    """The palette's colour for a name that begins with one of its keys (``"student, live"``); else grey."""
    return next((colour for key, colour in PALETTE.items() if name.startswith(key)), PALETTE["other"])


def standard_error(share: float, count: float) -> float:
    """Binomial standard error of a share measured on ``count`` independent questions (both as shares of 1)."""
    return math.sqrt(share * (1 - share) / count)


def _shares_and_errors(results: Iterable[Result]) -> tuple[list[float], list[float]]:
    shares = [(result["top1"], result["masked"]) for result in results]
    return [share for share, _ in shares], [standard_error(*share) for share in shares]


def difference(results: Mapping[str, Result], first: str, second: str) -> str:
    """Two of the results compared in one sentence, with the sampling error of their difference (notebook 03).

    Args:
        results: :func:`~minirbt_helpers.training.held_out` of each model, by name.
        first, second: the two names.
    """
    one, two = results[first], results[second]
    gap = one["top1"] - two["top1"]
    error = math.hypot(*_shares_and_errors((one, two))[1])
    verdict = "more than sampling explains" if abs(gap) > 2 * error else "no more than sampling can explain"
    return (
        f"{first} {one['top1']:.1%}, {second} {two['top1']:.1%} on {one['masked']:,} masked tokens: "
        f"{gap * 100:+.1f} points, with a standard error of {error * 100:.1f}; that is {verdict}"
    )


def accuracy_bars(results: Mapping[str, Result], title: str = "", axis: Axes | None = None) -> Figure:
    """Top-1 accuracy of several models as bars, with one standard error each way (notebooks 03 and 04).

    Args:
        results: :func:`~minirbt_helpers.training.held_out` of each model, by name; a name that begins
            with a key of the palette takes its colour. The last one is drawn at the bottom.
        title: above the bars; the number of masked tokens is added.
        axis: where to draw; None: in a new figure.
    """
    axis = axis or plt.subplots(figsize=(8, 0.6 + 0.36 * len(results)))[1]
    shares, errors = _shares_and_errors(results.values())
    places = range(len(results))
    axis.barh(places, shares, xerr=errors, height=0.68, color=[*map(colour_of, results)], ecolor="#444444", capsize=3)
    for place, share, error in zip(places, shares, errors, strict=True):
        axis.annotate(f"{share:.1%}", (share + error, place), (5, 0), textcoords="offset points", va="center")
    axis.set_yticks(places, results)
    axis.invert_yaxis()
    axis.set_xlim(0, max(map(sum, zip(shares, errors, strict=True))) * 1.12 or 1)
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    masked = sorted({int(result["masked"]) for result in results.values()})
    asked = f"{masked[0]:,}" if len(masked) == 1 else f"{masked[0]:,} to {masked[-1]:,}"
    axis.set_title(f"{title} ({asked} masked tokens, ± 1 standard error)".strip())
    return axis.figure


def accuracy_by_depth(curves: Mapping[str, Mapping[int, Result]], marked: int | None = None) -> Figure:
    """Top-1 accuracy against the number of layers kept, a line per way of choosing them (notebook 03).

    Args:
        curves: for each name, :func:`~minirbt_helpers.training.held_out` by number of layers.
        marked: a number of layers to mark with a vertical line.
    """
    figure, axis = plt.subplots(figsize=(8, 3.4))
    for name, curve in curves.items():
        line = {"color": colour_of(name), "label": name, "marker": "o", "markersize": 4, "capsize": 3}
        axis.errorbar(list(curve), *_shares_and_errors(curve.values()), **line)
    if marked is not None:
        axis.axvline(marked, color=PALETTE["accent"], linestyle=":", label=f"{marked} layers kept")
    axis.set(xlabel="layers kept", ylabel="top-1 on masked tokens", ylim=(0, None))
    axis.set_title("Untrained copies, ± 1 standard error")
    axis.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.legend()
    return figure


def parameter_bars(architectures: Iterable[Architecture], scale: Scale, vocabulary: int) -> Figure:
    """Where a masked language model's parameters are: embeddings, or layers and head (notebook 03).

    Args:
        architectures: values of :data:`~minirbt_helpers.models.ARCHITECTURES`.
        scale: ``"sample"`` or ``"full"``.
        vocabulary: number of entries.
    """
    family = list(architectures)
    within = [one.count(embeddings=False, scale=scale, vocabulary=vocabulary) / 1e6 for one in family]
    totals = [one.count(scale=scale, vocabulary=vocabulary) / 1e6 for one in family]
    figure, axis = plt.subplots(figsize=(8, 3))
    places = range(len(family))
    axis.barh(places, within, color=PALETTE["teacher"], height=0.68, label="layers and MLM head")
    rest = [total - part for total, part in zip(totals, within, strict=True)]
    axis.barh(places, rest, left=within, color=PALETTE["assistant"], height=0.68, label="embeddings")
    for place, total, share in zip(places, totals, rest, strict=True):
        note = f"{total:.1f}M, embeddings {share / total:.0%}"
        axis.annotate(note, (total, place), (5, 0), textcoords="offset points", va="center")
    axis.set_yticks(places, [one.name for one in family])
    axis.invert_yaxis()
    axis.set(xlabel="million parameters", title=f"Parameters at {scale} scale", xlim=(0, max(totals) * 1.35))
    axis.legend(loc="lower right")
    return figure


@dataclass(frozen=True)
class Tower:
    """A model to draw: its name (which gives the colour), a label per box from the bottom, its width."""

    name: str
    boxes: tuple[str, ...]
    width: int

    @classmethod
    def of_states(cls, name: str, config: BertConfig) -> "Tower":
        """Its hidden states: 0 is the embeddings' output, n what layer n hands on (notebook 04)."""
        return cls(name, tuple(map(str, range(config.num_hidden_layers + 1))), config.hidden_size)

    @classmethod
    def of_layers(cls, name: str, config: BertConfig) -> "Tower":
        """What is copied: embeddings, layers counted from 0, MLM head (notebook 03)."""
        layers = map(str, range(config.num_hidden_layers))
        return cls(name, ("embeddings", *layers, "MLM head"), config.hidden_size)


def draw_layer_pairs(pairs: Iterable[tuple[int, int]], teacher: Tower, student: Tower, axis: Axes) -> None:
    """Draw which box of the teacher feeds which box of the student (notebooks 03 and 04).

    Args:
        pairs: places (teacher, student) counted from the bottom, as ``training.layer_pairs`` gives them.
        teacher, student: the two towers; boxes are as wide as the models, in proportion.
        axis: where to draw.
    """
    tallest, widest = max(len(teacher.boxes), len(student.boxes)), max(teacher.width, student.width)
    widths = {tower: max(1.1, 3 * tower.width / widest) for tower in (teacher, student)}
    centres = {teacher: 0.0, student: 5.0}
    for tower in (teacher, student):
        for place, label in enumerate(tower.boxes):
            _box(axis, centres[tower], _height(place, tower, tallest), widths[tower], label, colour_of(tower.name))
        caption = f"{tower.name}\nwidth {tower.width}"
        axis.text(centres[tower], tallest + 0.1, caption, ha="center", va="bottom", fontsize=9)
    for theirs, ours in pairs:
        start = (centres[teacher] + widths[teacher] / 2, _height(theirs, teacher, tallest))
        end = (centres[student] - widths[student] / 2, _height(ours, student, tallest))
        axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": PALETTE["accent"], "lw": 1.4})
    axis.set(xlim=(-1.8, 6.8), ylim=(-0.7, tallest + 1.5))
    axis.axis("off")


def _height(place: int, tower: Tower, tallest: int) -> float:
    """Towers are spread over the same height, so that even pairs look even."""
    return place * (tallest - 1) / max(1, len(tower.boxes) - 1)


def _box(axis: Axes, x: float, y: float, width: float, label: str, colour: str) -> None:
    corner = (x - width / 2 + 0.1, y - 0.24)
    axis.add_patch(FancyBboxPatch(corner, width - 0.2, 0.48, boxstyle="round,pad=0.1", color=colour, alpha=0.85, lw=0))
    axis.text(x, y - 0.02, label, ha="center", va="center", color="white", fontsize=8)


def temperature_bars(
    logits: Tensor,
    tokenizer: PreTrainedTokenizerBase,
    temperatures: Sequence[float] = (1, 2, 4, 8),
    answer: str = "",
    top: int = 10,
) -> Figure:
    """A prediction at several temperatures: the likeliest candidates as bars, all others in one (notebook 04).

    Args:
        logits: of one position, shape [vocabulary].
        tokenizer: names the candidates.
        temperatures: one panel each.
        answer: the token that stood there; its bar is drawn in the student's colour if it is shown.
        top: how many candidates are shown.
    """
    best = logits.topk(top).indices  # [top]; the same order at every temperature
    names = tokenizer.convert_ids_to_tokens(best.tolist())
    figure, axes = plt.subplots(1, len(temperatures), figsize=(3.1 * len(temperatures), 3.2), squeeze=False)
    for axis, temperature in zip(axes[0], temperatures, strict=True):
        shares = (logits / temperature).softmax(-1)  # [vocabulary]
        heights = shares[best].tolist()
        places = range(top)
        axis.bar(places, heights, color=[PALETTE["student" if name == answer else "teacher"] for name in names])
        axis.set_xticks(places, names)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.set_title(f"T = {temperature:g}\nall {len(logits) - top:,} others: {1 - sum(heights):.1%}")
    axes[0][0].set_ylabel("probability")
    return figure


def loss_curves(runs: Mapping[str, Rows]) -> Figure:
    """Every loss of one or several distillations, step by step, with the held-out figures as dots (notebook 04).

    The first row holds total, KD and MLM loss and the held-out accuracy; the second the matches, one panel for
    each kind and layer of the student, whichever of the teacher's layers it is matched with.

    Args:
        runs: ``Distilled.metrics`` by name; a name that begins with a key of the palette takes its colour.
    """
    matches = sorted({_panel(key) for rows in runs.values() for key in _matches(rows)})
    one_kind = len({kind for kind, _ in matches}) == 1  # then all have one scale
    figure = plt.figure(figsize=(13, 6 if matches else 3), layout="constrained")
    upper, *lower = figure.subfigures(1 + bool(matches), 1, squeeze=False)[:, 0]
    above = upper.subplots(1, len(PLOTTED))
    below = lower[0].subplots(1, len(matches), sharey=one_kind, squeeze=False)[0] if matches else []
    for name, rows in runs.items():
        for axis, key in zip(above, PLOTTED, strict=True):
            _curve(axis, rows, key, colour_of(name), name)
        for key in _matches(rows):
            _curve(below[matches.index(_panel(key))], rows, key, colour_of(name), name)
    for axis, title in zip(above, PLOTTED.values(), strict=True):
        axis.set(title=title, xlabel="step")
    above[-1].yaxis.set_major_formatter(PercentFormatter(1))
    above[0].legend()
    for axis, (kind, layer) in zip(below, matches, strict=True):
        place = "embeddings" if (kind, layer) == ("hidden", 0) else f"layer {layer}"
        axis.set(title=f"{kind}, {place}", xlabel="step", ylim=(0, None))
    return figure


def _matches(rows: Rows) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row if MATCH.fullmatch(key)))


def _panel(key: str) -> tuple[str, int]:
    """The kind and the student's layer of a match."""
    kind, layer = MATCH.fullmatch(key).groups()
    return kind, int(layer)


def _curve(axis: Axes, rows: Rows, key: str, colour: str, name: str) -> None:
    seen = HELD_OUT.get(key, "")
    trained = [] if key == seen else [row for row in rows if key in row]
    measured = [row for row in rows if seen in row]
    axis.plot([row["step"] for row in trained], [row[key] for row in trained], color=colour, lw=1.4, label=name)
    dots = [row[seen] for row in measured]
    style = "o-" if key == seen else "o"
    axis.plot([row["step"] for row in measured], dots, style, color=colour, markersize=4, markeredgecolor="white")


class LiveCurves:
    """Curves that grow while a run trains, below the cell that started it (notebook 04).

    Hand it to :func:`~minirbt_helpers.training.distill` as ``watch``: it redraws one picture at every
    evaluation. Headless it draws nothing; the finished curves are a matter of :func:`loss_curves`.

    Args:
        name: of the run; begins with a key of the palette to take its colour.
    """

    def __init__(self, name: str):
        self.name, self._shown = name, None

    def __call__(self, rows: Rows) -> None:
        if headless():
            return
        figure = loss_curves({self.name: rows})
        plt.close(figure)  # or the notebook would show it once more
        if self._shown is None:
            self._shown = display(figure, display_id=True)
        else:
            self._shown.update(figure)


def match_figure(
    student: Tensor,
    projected: Tensor | None,
    teacher: Tensor,
    tokens: Sequence[str],
    names: tuple[str, str] = ("student", "teacher"),
) -> Figure:
    """One hidden-state match: what the student thinks, projected, and what the teacher thinks (notebook 04).

    Args:
        student: its states of one text, [tokens, student's width].
        projected: the same after the projection, [tokens, teacher's width]; None: nothing stands between them.
        teacher: the teacher's states, [tokens, teacher's width].
        tokens: names of the rows.
        names: what the two are called.
    """
    gap = ((student if projected is None else projected) - teacher).square()  # [tokens, teacher's width]
    ours, theirs = names
    panels = {
        ours: student,
        "→ projection →": projected,
        theirs: teacher,
        f"squared difference, mean {gap.mean():.2f}": gap,
    }
    panels = {title: states for title, states in panels.items() if states is not None}
    widths = [states.shape[1] for states in panels.values()]
    height = 0.8 + 0.28 * len(tokens)
    figure, axes = plt.subplots(1, len(panels), figsize=(13, height), width_ratios=widths, sharey=True)
    reach = teacher.abs().quantile(0.99).item()
    for axis, (title, states) in zip(axes, panels.items(), strict=True):
        signed = states is not gap
        colours = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach} if signed else {"cmap": "Greys", "vmax": reach**2}
        axis.imshow(states, aspect="auto", interpolation="nearest", **colours)
        axis.set(title=title, xlabel=f"{states.shape[1]} numbers", xticks=[])
    axes[0].set_yticks(range(len(tokens)), tokens)
    figure.supxlabel(f"full colour: ±{reach:.1f}; in the last panel {reach**2:.1f}", fontsize=9)
    return figure
