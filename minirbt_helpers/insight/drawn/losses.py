"""How models learn: soft targets, and the losses of a distillation (KD, MLM, matches), as curves (notebooks 04, 06)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ...errors import CourseError
from ...language import N_, _, labelled
from ...names import shown_name
from ..measured.losses import Curve, Rows, loss_curve, match_curves, matched_layer
from .axes import BASELINE, from_to, in_percent, listed, plot
from .canvas import SMALL, Dot, Drawing, Line, Text, finished, shelf, titled
from .theme import PALETTE, colour_of, role_of

ACCURACIES = {"top1": N_("held-out top-1"), "words_top1": N_("words of two and more")}
PLOTTED = {"loss": N_("total loss"), "kd": N_("KD loss"), "mlm": N_("MLM loss")} | ACCURACIES
# The held-out counterpart of a training loss.
HELD_OUT = {"kd": "kd_loss", "mlm": "mlm_loss"} | {name: name for name in ACCURACIES}


def draw_temperatures(
    logits: Tensor,
    tokenizer: PreTrainedTokenizerBase,
    temperatures: Sequence[float] = (1, 2, 4, 8),
    answer: str = "",
    top: int = 10,
) -> Figure:
    """A prediction at several temperatures: the likeliest candidates, one line each (notebook 04).

    The axis is logarithmic. A dotted line is where all entries of the vocabulary would be equally likely.

    Args:
        logits: of one position, shape [vocabulary].
        tokenizer: names the candidates.
        temperatures: one line each.
        answer: the token that stood there; its dots are drawn in the student's colour if it is shown.
        top: how many candidates are shown.
    """
    best = logits.topk(top).indices  # [top]; the same order at every temperature
    names = tokenizer.convert_ids_to_tokens(best.tolist())
    shares = {temperature: (logits / temperature).softmax(-1)[best].tolist() for temperature in temperatures}
    lists = _(". ").join(
        labelled(f"T = {temperature:g}", listed(dict(zip(names, of, strict=True))))
        for temperature, of in shares.items()
    )
    alt = _("Probabilities by temperature. {shares}").format(shares=lists)
    figure = plot((8, 3.8), alt)
    axes = figure.subplots()
    for place, (temperature, heights) in enumerate(shares.items()):
        axes.plot(range(top), heights, "o-", color=PALETTE["teacher"], alpha=max(0.3, 1 - 0.22 * place), lw=1.2)
        beside = {"xytext": (-9, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(f"T = {temperature:g}", (0, heights[0]), **beside)
    if answer in names:
        found = names.index(answer)
        dots = [heights[found] for heights in shares.values()]
        label = _("{answer}: the right answer").format(answer=answer)
        axes.plot([found] * len(dots), dots, "o", color=PALETTE["student"], label=label)
    axes.axhline(1 / len(logits), **BASELINE | {"linestyle": ":"}, label=_("all entries equally likely"))
    axes.set(yscale="log", ylabel=_("probability"), xlim=(-1.2, top - 0.5))
    axes.set_xticks(range(top), names)
    in_percent(axes.yaxis)
    axes.legend()
    return figure


def draw_losses(runs: Mapping[str, Rows], floor: float | None = None) -> Figure:
    """Every loss of one or several distillations, step by step, with the held-out figures as dots (notebook 04).

    The first row holds total, KD and MLM loss and the held-out accuracy, in all and for words of two tokens and more;
    the second the matches, one panel for each kind and layer of the student, whichever of the teacher's layers it is
    matched with.

    Args:
        runs: ``Distilled.metrics`` by name; a name that begins with a key of the palette takes its colour.
        floor: the share of right answers of a constant guess, a dashed line in the panel of held-out accuracy.
    """
    matches = sorted({matched_layer(match) for rows in runs.values() for match in match_curves(rows)})
    one_kind = len({kind for kind, _ in matches}) == 1  # then all have one scale
    figure = plot((13, 6.6 if matches else 3.3), _losses_in_words(runs))
    upper, *lower = figure.subfigures(1 + bool(matches), 1, squeeze=False)[:, 0]
    above = dict(zip(PLOTTED, upper.subplots(1, len(PLOTTED)), strict=True))
    below = lower[0].subplots(1, len(matches), sharey=one_kind, squeeze=False)[0] if matches else []
    for name, rows in runs.items():
        for key, axes in above.items():
            _loss(axes, rows, key, name)
        for match, curve in match_curves(rows).items():
            _line(below[matches.index(matched_layer(match))], curve, name)
    for key, axes in above.items():
        axes.set(title=_(PLOTTED[key]), xlabel=_("step"))
        if key in ACCURACIES:
            in_percent(axes.yaxis)
    if floor is not None:
        above["top1"].axhline(floor, label=_("always the same token"), **BASELINE)
        above["top1"].legend(handles=above["top1"].lines[-1:], fontsize=8)
    above["loss"].legend()
    for key in ("kd", "mlm"):  # the total adds squared differences to them
        above[key].set_ylabel(_("nats"))
    if matches:
        below[0].set_ylabel(_("loss of the match"))
    for axes, (kind, layer) in zip(below, matches, strict=True):
        place = _("layer {layer}").format(layer=layer)
        place = _("embeddings") if (kind, layer) == ("hidden", 0) else place
        title = _("{kind}, {place}").format(kind=_(kind), place=place)
        axes.set_title(title, fontsize=9.5)  # seven in a row are narrow
        axes.set(xlabel=_("step"), ylim=(0, None))
    for axes in (*above.values(), *below):
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    return figure


def _losses_in_words(runs: Mapping[str, Rows]) -> str:
    """Where every loss of each run begins and ends."""
    found = []
    for name, rows in runs.items():
        curves = {title: loss_curve(rows, key) for key, title in PLOTTED.items()}
        ways = [_way(_(title), of, ".3g") for title, of in curves.items() if of]
        found.append(labelled(shown_name(name), _(", ").join(ways)))
    return _("Losses step by step, first to last. {losses}").format(losses=_(". ").join(found))


def _way(title: str, curve: Curve, digits: str) -> str:
    """Where a curve begins and ends."""
    return from_to(title, curve[0][1], curve[-1][1], digits)


def _loss(axes: Axes, rows: Rows, key: str, name: str) -> None:
    """A loss as a line; where held-out text was measured, that is the clear line with dots, and batches are pale."""
    seen = HELD_OUT.get(key, "")
    measured = loss_curve(rows, seen)
    _line(axes, [] if key == seen else loss_curve(rows, key), name, pale=bool(measured))
    axes.plot(*_columns(measured), "o-", color=colour_of(name), markersize=4, markeredgecolor="white")


def _line(axes: Axes, curve: Curve, name: str, *, pale: bool = False) -> None:
    looks = {"alpha": 0.3, "lw": 1} if pale else {"lw": 1.4}
    axes.plot(*_columns(curve), color=colour_of(name), label=shown_name(name), **looks)


def _columns(curve: Curve) -> tuple[list[float], list[float]]:
    return [step for step, _ in curve], [value for _, value in curve]


def draw_match_losses(rows: Rows, name: str = "student", width: float = 118) -> Drawing:
    """How the loss of each hidden match fell, a panel each, all with one scale (notebook 06).

    Args:
        rows: ``Distilled.metrics``; keys such as ``"hidden 2-1"`` (the teacher's state, the student's).
        name: of the student.
        width: of a panel.

    Raises:
        CourseError: no hidden match among the rows.
    """
    curves = {match: curve for match, curve in match_curves(rows).items() if matched_layer(match)[0] == "hidden"}
    if not curves:
        raise CourseError("no hidden match was trained", fix="give a run with hidden_weight above 0")
    alt = _(", ").join(_way(match, curve, ".2f") for match, curve in curves.items())
    top = max(value for curve in curves.values() for _, value in curve)
    drawn = [
        _match_panel(curve, match.removeprefix("hidden ").replace("-", " → "), top, role_of(name), width)
        for match, curve in curves.items()
    ]
    title = _("{student}: the loss of each match, step by step").format(student=shown_name(name))
    words = _("teacher's state → student's; mean squared error, 0 to {top:.2f}; below, the first and last three steps")
    words = words.format(top=top)
    return finished(titled(shelf(drawn, "", 14), title, name), (words,), title, alt)


def _match_panel(curve: Curve, title: str, top: float, colour: str, width: float) -> Drawing:
    height, high = 96.0, 22.0
    picture = Drawing(width, high + height + 40, "")
    picture.add(Text(width / 2, 9, title, 12))
    first, last = curve[0][0], max(curve[-1][0], curve[0][0] + 1)
    points = [(width * (step - first) / (last - first), high + height * (1 - loss / top)) for step, loss in curve]
    picture.add(Line([(0, high + height), (width, high + height)], "line"), Line(points, colour, 1.8))
    for place in np.unique(np.linspace(0, len(curve) - 1, 24).round().astype(int)):
        step, loss = curve[place]
        picture.add(Dot(*points[place], 2, colour, tip=_("step {step:g}: {loss:.4f}").format(step=step, loss=loss)))
    start, end = np.mean([loss for _, loss in curve[:3]]), np.mean([loss for _, loss in curve[-3:]])
    picture.add(Text(width / 2, high + height + 12, f"{start:.2f} → {end:.2f}", SMALL, "text"))
    picture.add(Text(width / 2, high + height + 27, f"{end / start - 1:+.0%}".replace("-", "−"), SMALL, "faint"))
    return picture
