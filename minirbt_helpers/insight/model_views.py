"""The models in pictures: the family, what they fill in, what they score (notebooks 00 and 05)."""

import html
from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..models import ARCHITECTURES, Architecture, Shape
from ..models.architectures import FULL_VOCABULARY, Scale
from .figures import PALETTE

Candidates = list[list[tuple[str, float]]]  # per [MASK]: (token, probability), best first

# Left to right as in the picture; who teaches whom follows the README of iflytek/MiniRBT.
FAMILY = {
    "RBT4-H312": "one-stage",
    "RBT3": "other",
    "RoBERTa-wwm-ext": "teacher",
    "RBT6": "assistant",
    "MiniRBT-H288": "student",
    "MiniRBT-H256": "student",
}
LESSONS = (  # teacher, learner, what happens, and where that is written: right of the learner's middle, height
    ("RoBERTa-wwm-ext", "RBT6", "first 6 layers copied,\nthen distilled", (0.06, 10.0)),
    ("RBT6", "MiniRBT-H288", "distilled", (-0.1, 8.1)),
    ("RBT6", "MiniRBT-H256", "distilled", (0.03, 7.6)),
    ("RoBERTa-wwm-ext", "RBT3", "3 layers copied,\nthen trained on", (0.05, 4.6)),
    ("RoBERTa-wwm-ext", "RBT4-H312", "distilled directly", (-0.2, 9.8)),
)


@torch.no_grad()
def fill_mask(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase, text: str, top: int = 5) -> Candidates:
    """What a model would write in every ``[MASK]`` of a text (notebook 00).

    Every place is filled on its own: the candidates of the second ``[MASK]`` do not know which one
    is chosen for the first.

    Args:
        text: at least one ``[MASK]``; what lies beyond the model's longest input is cut off.
        top: how many candidates.

    Returns:
        For every ``[MASK]``, in reading order, ``top`` pairs (token, probability), best first.

    Raises:
        CourseError: no ``[MASK]`` in the text.
    """
    longest = model.config.max_position_embeddings
    encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest).to(model.device)
    asked = encoded["input_ids"][0] == tokenizer.mask_token_id  # [tokens]
    if not asked.any():
        fix = f"write {tokenizer.mask_token} for each character to guess"
        raise CourseError(f"no {tokenizer.mask_token} in {text!r}", fix=fix)
    shares = model(**encoded).logits[0, asked].float().softmax(-1)  # [masks, vocabulary]
    best = shares.topk(top)
    return [
        list(zip(tokenizer.convert_ids_to_tokens(ids), probabilities, strict=True))
        for ids, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def candidates_view(text: str, answers: Mapping[str, Candidates], truth: str = "") -> HTML:
    """The candidates of several models for one text as a table, a column per model and ``[MASK]``.

    Args:
        text: the text with its ``[MASK]``s.
        answers: per model's name, what :func:`fill_mask` returns; names in :data:`PALETTE` get its colour.
        truth: what a person would write, one character per ``[MASK]``; candidates that agree are ticked.
    """
    first = next(iter(answers.values()))
    head, rows = "", [""] * len(first[0])
    for name, places in answers.items():
        colour = PALETTE.get(name, PALETTE["other"])
        style = f"text-align:left;color:{colour};padding:.15em .6em"
        head += f'<th colspan="{len(first)}" style="{style}">{html.escape(name)}</th>'
        for place, candidates in enumerate(places):
            for rank, (token, probability) in enumerate(candidates):
                rows[rank] += _candidate(token, probability, colour, truth[place : place + 1])
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return HTML(f'<div style="margin:.6em .6em .2em;font-size:1.25em">{_gap(text)}</div>' + _table(head, body))


def cloze_view(questions: Sequence[Mapping[str, str]], answers: Mapping[str, Sequence[Candidates]]) -> HTML:
    """Many sentences with one gap each as one table: a row per sentence, a column per model (notebook 00).

    Args:
        questions: ``text`` with one ``[MASK]``, its ``answer``, and ``pinyin``, ``english`` and ``kind``.
        answers: per model's name, what :func:`fill_mask` returns for every question; the right token is
            set off, and the last row counts how often it came first, and came at all.
    """
    cell = "text-align:left;vertical-align:top;padding:.3em .8em"
    head = f'<th style="{cell}">sentence</th>'
    body = [
        f'<td style="{cell}"><span style="font-size:1.15em">{_gap(question["text"])}</span><br>'
        f'<i>{html.escape(question["pinyin"])}</i><br><span style="opacity:.75">{html.escape(question["english"])} '
        f"({html.escape(question['kind'])})</span></td>"
        for question in questions
    ]
    sums = f'<td style="{cell}"><b>right: first, among all</b></td>'
    for name, filled in answers.items():
        colour = PALETTE.get(name, PALETTE["other"])
        head += f'<th style="{cell};color:{colour}">{html.escape(name)}</th>'
        tokens = [[token for token, _ in candidates] for (candidates,) in filled]
        for number, (question, said) in enumerate(zip(questions, tokens, strict=True)):
            shown = " ".join(_said(token, token == question["answer"], colour) for token in said)
            body[number] += f'<td style="{cell};white-space:nowrap;font-size:1.15em">{shown}</td>'
        first = sum(said[0] == question["answer"] for question, said in zip(questions, tokens, strict=True))
        found = sum(question["answer"] in said for question, said in zip(questions, tokens, strict=True))
        sums += f'<td style="{cell}"><b>{first}, {found} of {len(questions)}</b></td>'
    return HTML(_table(head, "".join(f"<tr>{row}</tr>" for row in (*body, sums))))


def _said(token: str, right: bool, colour: str) -> str:
    style = f"background:{_tint(colour)};border-radius:4px;padding:0 .3em;font-weight:bold" if right else "opacity:.8"
    return f'<span style="{style}">{html.escape(token)}</span>'


def _gap(text: str) -> str:
    mask = '<b style="color:inherit;background:rgba(128,128,128,.25);border-radius:4px;padding:0 .5em">?</b>'
    return html.escape(text).replace("[MASK]", mask)


def _tint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},.35)"


def _table(head: str, body: str) -> str:
    opening = '<table style="border-collapse:collapse;margin-left:0">'
    return f"{opening}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _candidate(token: str, probability: float, colour: str, truth: str) -> str:
    tick = " ✓" if truth and token == truth else ""
    bar = f"linear-gradient(90deg,{_tint(colour)} {probability:.1%},transparent {probability:.1%})"
    weight = "bold" if tick else "normal"
    share = f'<span style="float:right;opacity:.75;padding-left:1em">{probability:.1%}</span>'
    style = f"background:{bar};width:8.5em;padding:.15em .6em;text-align:left;font-weight:{weight}"
    return f'<td style="{style}">{html.escape(token)}{tick}{share}</td>'


def rows_view(rows: Sequence[Mapping[str, object]]) -> HTML:
    """Rows (one mapping each, the same keys in all) as a table with the keys as its head (notebook 05)."""
    style = "text-align:left;vertical-align:top;padding:.25em .8em"
    head = "".join(f'<th style="{style}">{html.escape(str(name))}</th>' for name in (rows[0] if rows else ()))
    body = "".join(
        "<tr>" + "".join(f'<td style="{style}">{html.escape(str(value))}</td>' for value in row.values()) + "</tr>"
        for row in rows
    )
    return HTML(_table(head, body))


def family_figure(scale: Scale = "full", vocabulary: int = FULL_VOCABULARY) -> Figure:
    """Every model as a stack of layers, width and depth to scale, with arrows for who teaches whom (notebook 00).

    Args:
        scale: ``"full"``, with the parameters as published, or ``"sample"``, with ours counted.
        vocabulary: entries of the vocabulary; counts at sample scale.
    """
    shapes = {name: ARCHITECTURES[name].shape(scale) for name in FAMILY}
    widest = max(shape.hidden for shape in shapes.values())
    figure, axes = plt.subplots(figsize=(11, 5.4))
    middles: dict[str, float] = {}
    right = 0.0
    for name, shape in shapes.items():
        column = max(shape.hidden / widest, 0.62)  # room for the text under a narrow stack
        middles[name] = right + column / 2
        right += column + 0.22
        _stack(axes, name, shape, middles[name], shape.hidden / widest)
        _caption(axes, ARCHITECTURES[name], middles[name], scale, vocabulary)
    for lesson in LESSONS:
        _lesson(axes, middles, shapes, *lesson)
    axes.set(xlim=(-0.1, right), ylim=(-4.4, 13.2))
    axes.axis("off")
    source = "parameters as published" if scale == "full" else f"sample scale, {vocabulary:,} vocabulary entries"
    axes.set_title(f"The family: one bar is one layer, as wide as its hidden states ({source})")
    return figure


def _stack(axes: Axes, name: str, shape: Shape, middle: float, width: float) -> None:
    for layer in range(shape.layers):
        corner = (middle - width / 2, layer + 0.1)
        bar = FancyBboxPatch(corner, width, 0.8, "round,pad=0,rounding_size=0.03", mutation_aspect=8, linewidth=0)
        bar.set(facecolor=PALETTE[FAMILY[name]], alpha=0.85, gid=f"{name} layer {layer}")
        axes.add_patch(bar)
    ground = FancyBboxPatch((middle - width / 2, -0.75), width, 0.6, "square,pad=0", linewidth=0)
    ground.set(facecolor=PALETTE["other"], alpha=0.35, gid=f"{name} embeddings")
    axes.add_patch(ground)


def _caption(axes: Axes, architecture: Architecture, middle: float, scale: Scale, vocabulary: int) -> None:
    shape = architecture.shape(scale)
    if scale == "full":
        whole, encoder = (f"{number}M" for number in architecture.published)
    else:
        counts = (architecture.count(embeddings, scale, vocabulary) for embeddings in (True, False))
        whole, encoder = (f"{count / 1e6:.2f}M" for count in counts)
    colour = PALETTE[FAMILY[architecture.name]]
    axes.text(middle, -1.1, architecture.name, ha="center", va="top", fontsize=11, color=colour)
    facts = f"{shape.layers} layers × {shape.hidden}\n{whole}\n({encoder} without\nembeddings)"
    axes.text(middle, -1.85, facts, ha="center", va="top", fontsize=9, linespacing=1.35)


def _lesson(
    axes: Axes,
    middles: Mapping[str, float],
    shapes: Mapping[str, Shape],
    teacher: str,
    learner: str,
    words: str,
    place: tuple[float, float],
) -> None:
    """An arrow from the teacher's side or top to the top of the learner, with what happens on the way."""
    rightward = middles[learner] > middles[teacher]
    half = shapes[teacher].hidden / max(shape.hidden for shape in shapes.values()) / 2
    start = (middles[teacher] + (half if rightward else -half) * 1.04, shapes[teacher].layers - 0.5)
    end = (middles[learner], shapes[learner].layers + 0.25)
    if shapes[teacher].layers - shapes[learner].layers < 2:  # equally deep: a bow over both
        start = (middles[teacher], shapes[teacher].layers + 0.25)
    bend = f"arc3,rad={-0.42 if rightward else 0.42}"
    arrow = FancyArrowPatch(start, end, connectionstyle=bend, arrowstyle="-|>", mutation_scale=14)
    arrow.set(color=PALETTE[FAMILY[learner]], linewidth=1.8, gid=f"{teacher} teaches {learner}")
    axes.add_patch(arrow)
    axes.text(end[0] + place[0], place[1], words, ha="left", va="center", fontsize=9, color=PALETTE[FAMILY[learner]])


def accuracy_figure(
    results: Mapping[str, Mapping[str, Sequence[float]]],
    baselines: Mapping[str, float | None],
    colours: Mapping[str, str],
) -> Figure:
    """Scores of several models on tasks, a panel per task: the mean as a bar, every seed as a dot (notebook 05).

    Args:
        results: per task, per model, the score (0 to 1) of every seed.
        baselines: per task, the accuracy of always giving the most frequent answer, a dashed line; None: no line.
        colours: per model, a name of :data:`PALETTE`.
    """
    figure, panels = _task_panels(results, (3.4, 3.2), (1.6, 0.6), sharey=True)
    for axes, (task, models) in zip(panels, results.items(), strict=True):
        _bars_with_seeds(axes, models, colours)
        if baselines[task] is not None:
            axes.axhline(baselines[task], color="#444444", linestyle="--", linewidth=1.2, zorder=2)
            place = (1, baselines[task])
            axes.annotate(
                "majority", place, (-2, 3), ("axes fraction", "data"), "offset points", ha="right", fontsize=8
            )
        axes.set(ylim=(0, 1))
    return figure


def _task_panels(
    tasks: Collection[str], panel: tuple[float, float], margin: tuple[float, float], *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with a titled panel per task, at most four in a row, for scores in per cent; sizes in inches."""
    columns = min(4, len(tasks))
    rows = -(-len(tasks) // columns)
    size = panel[0] * columns + margin[0], panel[1] * rows + margin[1]
    figure, grid = plt.subplots(rows, columns, figsize=size, sharey=sharey, squeeze=False)
    panels = list(grid.flat)
    for axes, task in zip(panels, tasks, strict=False):
        axes.set(title=task)
        axes.yaxis.set_major_formatter("{x:.0%}")
    for axes in panels[len(tasks) :]:
        axes.axis("off")
    for row in grid:
        row[0].set_ylabel("score on dev rows")
    return figure, panels[: len(tasks)]


def _bars_with_seeds(axes: Axes, models: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> None:
    for place, (name, scores) in enumerate(models.items()):
        mean = sum(scores) / len(scores)
        axes.bar(place, mean, width=0.62, color=PALETTE[colours[name]], alpha=0.45)
        spread = [place + (number - (len(scores) - 1) / 2) * 0.14 for number in range(len(scores))]
        axes.scatter(spread, scores, s=26, color=PALETTE[colours[name]], edgecolor="white", zorder=3)
        top = (place, max(mean, *scores))
        axes.annotate(f"{mean:.1%}", top, (0, 6), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xticks(
        range(len(models)), [name.replace(", ", ",\n").replace(" pre", "\npre") for name in models], fontsize=8
    )


def rate_figure(
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
    figure, axes = plt.subplots(figsize=(8, 3.8))
    for name, by_rate in curves.items():
        _curve_with_seeds(axes, by_rate, PALETTE[colours[name]], name)
        axes.axvline(
            published[name], color=PALETTE[colours[name]], linestyle=":", label=f"published for the full-size {name}"
        )
    if baseline is not None:
        axes.axhline(baseline, color="#444444", linestyle="--", linewidth=1.2, label="majority class")
    axes.set(xscale="log", xlabel="learning rate", ylabel="score on dev rows", ylim=(0, None), title=title)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    return figure


def epochs_figure(
    curves: Mapping[str, Mapping[int, Sequence[float]]], baselines: Mapping[str, float | None], colour: str = "student"
) -> Figure:
    """Scores of one model against the epochs of fine-tuning, a panel per task, a dot per seed (notebook 05).

    Args:
        curves: per task, per number of epochs, the score (0 to 1) of every seed.
        baselines: per task, the majority class, a dashed line; None: no line.
        colour: a name of :data:`PALETTE`.
    """
    figure, panels = _task_panels(curves, (2.9, 2.7), (0.8, 0.3))
    for axes, (task, by_epochs) in zip(panels, curves.items(), strict=True):
        _curve_with_seeds(axes, by_epochs, PALETTE[colour], task)
        if baselines[task] is not None:
            axes.axhline(baselines[task], color="#444444", linestyle="--", linewidth=1.2)
        axes.set(xscale="log", xlabel="epochs")
        axes.set_xticks(sorted(by_epochs), sorted(by_epochs))
        axes.minorticks_off()
    return figure


def _curve_with_seeds(axes: Axes, scores: Mapping[float, Sequence[float]], colour: str, label: str) -> None:
    """A line through the means over seeds, and a dot per seed."""
    places = sorted(scores)
    means = [sum(scores[place]) / len(scores[place]) for place in places]
    axes.plot(places, means, color=colour, linewidth=1.8, marker="_", label=label)
    dots = [(place, score) for place in places for score in scores[place]]
    axes.scatter(*zip(*dots, strict=True), s=26, color=colour, edgecolor="white", zorder=3)


def two_stage_figure(scale: Scale = "full") -> Figure:
    """The two-stage idea: teacher, assistant and student with the hidden states that are matched (notebook 00)."""
    from ..training import layer_pairs

    chain = [("RoBERTa-wwm-ext", "teacher"), ("RBT6", "assistant"), ("MiniRBT-H256", "student")]
    shapes = [ARCHITECTURES[name].shape(scale) for name, _ in chain]
    figure, axes = plt.subplots(figsize=(9, 3.6))
    for place, ((name, role), shape) in enumerate(zip(chain, shapes, strict=True)):
        width, height = 1.1 * shape.hidden / shapes[0].hidden, 12 / shape.layers
        for layer in range(shape.layers):
            corner = (2.4 * place - width / 2, layer * height + 0.08)
            axes.add_patch(plt.Rectangle(corner, width, height - 0.16, color=PALETTE[role], alpha=0.75, linewidth=0))
        axes.text(2.4 * place, -0.5, f"{role}\n{name}", ha="center", va="top", color=PALETTE[role])
        if place:
            _matches(axes, place, shapes, layer_pairs(shapes[place - 1].layers, shape.layers))
    for place, words in enumerate(("stage 1: half the depth", "stage 2: a third of the width")):
        axes.text(2.4 * place + 1.2, 12.6, words, ha="center", va="bottom")
    axes.set(xlim=(-0.8, 5.4), ylim=(-2.6, 13.8))
    axes.axis("off")
    return figure


def _matches(axes: Axes, place: int, shapes: list[Shape], pairs: list[tuple[int, int]]) -> None:
    """A line for every pair of hidden states, between the stacks ``place - 1`` and ``place``."""
    before, after = shapes[place - 1], shapes[place]
    left = 2.4 * (place - 1) + 0.55 * before.hidden / shapes[0].hidden
    right = 2.4 * place - 0.55 * after.hidden / shapes[0].hidden
    for theirs, ours in pairs:
        heights = [theirs * 12 / before.layers, ours * 12 / after.layers]
        axes.plot([left + 0.04, right - 0.04], heights, color=PALETTE["other"], linewidth=1, linestyle=":")
        axes.plot(right - 0.05, heights[1], marker=">", markersize=4, color=PALETTE["other"])
