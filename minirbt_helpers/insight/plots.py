"""Teacher, assistant and student side by side: what they look at and what becomes of a token (notebook 06).

Each function takes numbers and returns one :class:`~minirbt_helpers.insight.drawing.Drawing`, which is the
matplotlib figure, the SVG and the widget's picture alike. Layers and heads are counted from 1 (layer ``n`` makes
hidden state ``n``; state 0 is the embeddings' output).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..errors import CourseError
from .drawing import Box, Cells, Dot, Drawing, Line, Text, shelf, stack, text_width
from .figures import PALETTE, THEMES
from .reading import Reading, word_shares
from .similarity import KINDS, Binding, Match, Projection, gaze, head_distances, match_heads

Unit = Literal["characters", "words"]
Guesses = Sequence[Sequence[tuple[str, float]]]  # per hidden state: (token, probability), best first

MOST_CELLS = 4000  # each with a tip of its own; a table with more has none
LINE = 16  # height of a line of text
SMALL = 11


def role_of(name: str) -> str:
    """The palette's name of a model that begins with it (``"student, live"``); else ``"other"``."""
    return next((role for role in PALETTE if name.startswith(role)), "other")


def ink_of(name: str) -> str:
    """The colour that shades a model's attention."""
    ink = f"{role_of(name)} ink"
    return ink if ink in THEMES["light"] else "ink"


# --- attention ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attention:
    """What the attention pictures show.

    Attributes:
        name: of the model.
        shares: [layers, heads, queries, keys].
        labels: of queries and keys.
        brackets: (first, last) place of each word of two tokens and more.
        notes: what the reader should be told.
    """

    name: str
    shares: np.ndarray
    labels: tuple[str, ...]
    brackets: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]

    @property
    def layers(self) -> int:
        return self.shares.shape[0]

    @property
    def heads(self) -> int:
        return self.shares.shape[1]


def attention_data(reading: Reading, unit: Unit = "characters") -> Attention:
    """The attention of a reading, between tokens or between words (query mean, key sum).

    Raises:
        CourseError: unknown unit.
    """
    if unit not in ("characters", "words"):
        raise CourseError(f"unknown unit {unit!r}", fix="'characters' or 'words'")
    sentence, notes = reading.sentence, (*reading.sentence.notes, *reading.notes)
    if unit == "words":
        labels = tuple("".join(sentence.labels[place] for place in places) for places in sentence.words)
        return Attention(reading.name, word_shares(reading.attention, sentence.words).numpy(), labels, (), notes)
    brackets = tuple((places[0], places[-1]) for places in sentence.words if len(places) > 1)
    return Attention(reading.name, reading.attention.numpy(), sentence.labels, brackets, notes)


def head_picture(reading: Reading, layer: int, head: int, unit: Unit = "characters") -> Drawing:
    """One head: each row a token that looks, each column one it looks at.

    Args:
        reading: from :func:`~minirbt_helpers.insight.read`.
        layer, head: counted from 1.
        unit: ``"characters"``, with the words as brackets, or ``"words"``.

    Raises:
        CourseError: no such layer, head or unit.
    """
    data = attention_data(reading, unit)
    check_place(data, layer, head)
    title = f"{data.name}, layer {layer}, head {head}"
    return _finished(_titled(_table(data, layer, head), title, data.name), data.notes, title)


def layer_picture(reading: Reading, layer: int, unit: Unit = "characters", columns: int = 4) -> Drawing:
    """All heads of one layer as small multiples; hover over a row to read where that token looks."""
    data = attention_data(reading, unit)
    check_place(data, layer, 1)
    cell = min(16.0, max(3.0, 210 / (sum(map(len, data.labels[1:-1])) + 2)))
    panels = [
        _titled(_small(data, layer, head, cell), f"head {head}", data.name, SMALL + 1)
        for head in range(1, data.heads + 1)
    ]
    rows = [shelf(panels[start : start + columns], "", 18) for start in range(0, len(panels), columns)]
    title = f"{data.name}, layer {layer}, all heads"
    return _finished(_titled(stack(rows, "", 10), title, data.name), data.notes, title)


def heads_picture(reading: Reading, unit: Unit = "characters") -> Drawing:
    """All layers and heads at a glance; hover over a head to read what it mostly looks at."""
    data, kinds = attention_data(reading, unit), gaze([reading])
    cell = max(1.0, 62 / len(data.labels))
    side = cell * len(data.labels)
    picture = Drawing(34 + data.heads * (side + 6), 20 + data.layers * (side + 6), "")
    for head in range(data.heads):
        picture.add(Text(34 + head * (side + 6) + side / 2, 9, str(head + 1), SMALL, "faint"))
    for layer in range(data.layers):
        top = 20 + layer * (side + 6)
        picture.add(Text(26, top + side / 2, str(layer + 1), SMALL, "faint", "end"))
        for head in range(data.heads):
            left = 34 + head * (side + 6)
            tip = f"layer {layer + 1}, head {head + 1}\n" + _profile(kinds, layer, head)
            picture.add(Cells(left, top, cell, cell, np.sqrt(data.shares[layer, head]), ink_of(data.name)))
            picture.add(Box(left - 1, top - 1, side + 2, side + 2, colour="line", tip=tip))
    title = f"{data.name}, every head: a row is a layer, a column a head"
    return _finished(_titled(picture, title, data.name), data.notes, title)


def pair_picture(
    teacher: Reading,
    student: Reading,
    layer: int,
    head: int,
    unit: Unit = "characters",
    matches: Sequence[Match] | None = None,
) -> Drawing:
    """A student's head beside the teacher's head it is matched with, and how far apart they are.

    Args:
        teacher, student: both models' readings of one sentence.
        layer, head: of the student, counted from 1.
        unit: ``"characters"`` or ``"words"``.
        matches: of :func:`~minirbt_helpers.insight.match_heads` on many sentences; None: on this one.

    Raises:
        CourseError: no such layer or head, or readings of different sentences.
    """
    ours, theirs = attention_data(student, unit), attention_data(teacher, unit)
    check_place(ours, layer, head)
    matches = matches or match_heads(head_distances([teacher], [student]))
    mine = (layer - 1) * ours.heads + head - 1
    found = next((match for match in matches if match[1] == mine), None)
    if found is None:
        raise CourseError(f"head {head} of layer {layer} has no match", fix="the teacher has fewer heads: try another")
    above, beside = found[0] // theirs.heads + 1, found[0] % theirs.heads + 1
    tables = [
        _titled(_table(data, *place, widest=335), f"{data.name}, layer {place[0]}, head {place[1]}", data.name)
        for data, place in ((theirs, (above, beside)), (ours, (layer, head)))
    ]
    title = f"Matched heads: {tables[0].title} and {tables[1].title}"
    strip = _distances(matches, mine, (theirs, ours))
    notes = dict.fromkeys((*theirs.notes, *ours.notes))
    return _finished(stack([shelf(tables, "", 36), strip], "", 14), tuple(notes), title)


def check_place(data: Attention, layer: int, head: int) -> None:
    """Refuse a layer or head that the model does not have.

    Raises:
        CourseError: with what it has.
    """
    if not (1 <= layer <= data.layers and 1 <= head <= data.heads):
        raise CourseError(
            f"{data.name} has no layer {layer}, head {head}",
            fix=f"layers 1 to {data.layers}, heads 1 to {data.heads}",
        )


def _table(data: Attention, layer: int, head: int, widest: float = 430) -> Drawing:
    shares, count = data.shares[layer - 1, head - 1], len(data.labels)
    characters = sum(map(len, data.labels[1:-1])) + 2
    cell = float(int(min(28, max(4, widest / characters))))
    size = min(15.0, cell * 0.86)
    spans = _spans(data.labels, size, cell)
    left, top = 16 + max(text_width(label, size) for label in data.labels), 16 + size
    right, bottom = left + sum(spans) * cell, top + count * cell
    picture = Drawing(right + 2, bottom + 30, "")
    for place, label in enumerate(data.labels if cell >= 7 else ()):
        picture.add(Text(left - 6, top + (place + 0.5) * cell, label, size, _label_colour(label), "end"))
    _column_labels(picture, data, left, top - 3, cell, size, spans)
    for first, last in data.brackets:
        depth = max(2.0, left - 18 - max(text_width(label, size) for label in data.labels[first : last + 1]))
        _bracket(picture, top + first * cell, top + (last + 1) * cell, depth, upright=True)
    tips = [
        [f"{query} → {key}  {share:.3f}" for key, share in zip(data.labels, row, strict=True)]
        for query, row in zip(data.labels, shares, strict=True)
    ]
    picture.add(Box(left, top, right - left, bottom - top, colour="line"))
    tips = tips if count**2 <= MOST_CELLS else ()
    picture.add(Cells(left, top, cell, cell, np.sqrt(shares), ink_of(data.name), tips, spans))
    _key(picture, left, bottom + 12, ink_of(data.name))
    return picture


def _small(data: Attention, layer: int, head: int, cell: float) -> Drawing:
    """A head as a small picture; each row is hovered over as one."""
    shares, count = data.shares[layer - 1, head - 1], len(data.labels)
    size, top = cell * 0.86, 14 + cell * 0.9
    spans = _spans(data.labels, size, cell)
    width = sum(spans) * cell
    picture = Drawing(width + 2, top + count * cell + 2, "")
    _column_labels(picture, data, 0, top - 2, cell, size, spans)
    picture.add(Cells(0, top, cell, cell, np.sqrt(shares), ink_of(data.name), (), spans))
    picture.add(Box(0, top, width, count * cell, colour="line"))
    for place, (label, row) in enumerate(zip(data.labels, shares, strict=True)):
        best = np.argsort(-row)[:4]
        looks = ", ".join(f"{data.labels[key]} {row[key]:.2f}" for key in best)
        picture.add(Box(0, top + place * cell, width, cell, tip=f"{label} → {looks}"))
    return picture


def _spans(labels: Sequence[str], size: float, cell: float) -> list[int]:
    """How many cells wide each column is: as its label needs; [CLS] and [SEP] take one."""
    inner = [max(1, int(np.ceil(text_width(label, size) / cell - 0.05))) for label in labels[1:-1]]
    return [1, *inner, 1]


def _label_colour(label: str) -> str:
    return "faint" if label in ("[CLS]", "[SEP]") else "text"


def _column_labels(
    picture: Drawing, data: Attention, left: float, bottom: float, cell: float, size: float, spans: Sequence[int]
) -> None:
    """The labels upright along the top, with the words' brackets over them."""
    edges = left + np.cumsum([0, *spans]) * cell
    for place, label in enumerate(data.labels if cell >= 5.5 else ()):
        words = label.strip("[]") if _label_colour(label) == "faint" else label
        fitting = min(size, size * (spans[place] * cell + 1) / max(1.0, text_width(words, size)))
        middle = float(edges[place] + edges[place + 1]) / 2
        picture.add(Text(middle, bottom - size * 0.55, words, fitting, _label_colour(label)))
    for first, last in data.brackets:
        _bracket(picture, float(edges[first]), float(edges[last + 1]), bottom - size * 1.1 - 7)


def _bracket(picture: Drawing, start: float, end: float, depth: float, upright: bool = False) -> None:
    """A word's bracket along the top (or, upright, the left) side."""
    points = [(start + 1.5, depth + 4), (start + 1.5, depth), (end - 1.5, depth), (end - 1.5, depth + 4)]
    picture.add(Line([(b, a) for a, b in points] if upright else points, "faint", 1.3))


def _key(picture: Drawing, x: float, y: float, ink: str) -> None:
    """What the shades mean; they grow with the square root, so that small shares are seen."""
    picture.add(Text(x, y + 5, "share of attention", SMALL, "faint", "start"))
    x += text_width("share of attention", SMALL) + 10
    for share in (0.01, 0.1, 0.3, 0.6, 1):
        picture.add(Box(x, y, 12, 10, fill=ink, opacity=share**0.5), Box(x, y, 12, 10, colour="line"))
        picture.add(Text(x + 16, y + 5, f"{share:g}", SMALL, "faint", "start"))
        x += 22 + text_width(f"{share:g}", SMALL)
    picture.width = max(picture.width, x)


def _profile(kinds: Mapping[str, np.ndarray], layer: int, head: int) -> str:
    return "\n".join(f"{kind}: {kinds[kind][layer, head]:.2f}" for kind in KINDS)


def _distances(matches: Sequence[Match], mine: int, data: tuple[Attention, Attention]) -> Drawing:
    """All matches as dots along their distance, one of them marked."""
    found = [match[2] for match in matches]
    (own,) = [match[2] for match in matches if match[1] == mine]
    picture, width = Drawing(640, 62, ""), 600
    end = max(0.1, np.ceil(max(found) * 10) / 10)
    words = f"{own:.3f} bits apart (Jensen-Shannon); closest of {len(found)} pairs {min(found):.3f}, "
    picture.add(Text(0, 8, f"{words}median {np.median(found):.3f}, farthest {max(found):.3f}", 12, "text", "start"))
    picture.add(Line([(8, 36), (8 + width, 36)], "line", 1))
    for tick in np.arange(0, end + 0.01, 0.1):
        picture.add(Text(8 + width * tick / end, 53, f"{tick:.1f}", SMALL, "faint"))
        picture.add(Line([(8 + width * tick / end, 36), (8 + width * tick / end, 41)], "line", 1))
    for theirs, ours, distance in sorted(matches, key=lambda match: match[1] == mine):
        tip = f"{_head_name(data[0], theirs)} and {_head_name(data[1], ours)}: {distance:.3f} bits"
        looks = (7, role_of(data[1].name), 1) if ours == mine else (4.5, "faint", 0.45)
        picture.add(Dot(8 + width * distance / end, 36, *looks, tip))
    return picture


def _head_name(data: Attention, number: int) -> str:
    return f"{data.name} {number // data.heads + 1}.{number % data.heads + 1}"


def _titled(picture: Drawing, title: str, name: str, size: float = 14) -> Drawing:
    whole = Drawing(max(picture.width, text_width(title, size)), picture.height + size * 1.9, title)
    whole.add(Text(0, size * 0.7, title, size, role_of(name) if role_of(name) != "other" else "text", "start"))
    whole.place(picture, 0, size * 1.9)
    return whole


def _finished(picture: Drawing, notes: Sequence[str], title: str, margin: float = 10) -> Drawing:
    """With a margin and what the reader should be told below."""
    width = max(picture.width, *(text_width(note, SMALL) for note in notes), 0) if notes else picture.width
    whole = Drawing(width + 2 * margin, picture.height + 2 * margin + LINE * len(notes), title)
    whole.place(picture, margin, margin)
    for number, note in enumerate(notes):
        whole.add(Text(margin, margin + picture.height + (number + 0.6) * LINE, note, SMALL, "faint", "start"))
    return whole


# --- hidden states --------------------------------------------------------------------------------------------------


def cka_picture(
    matrices: Mapping[str, np.ndarray], pairs: Sequence[tuple[int, int]], teacher: str, student: str
) -> Drawing:
    """CKA of each hidden state of a teacher with each of a student's, the distillation's matches outlined.

    Args:
        matrices: a title (``"before"``) for each matrix [teacher's states, student's states].
        pairs: the matches (teacher, student), as :func:`~minirbt_helpers.training.layer_pairs` gives them.
        teacher, student: names.
    """
    panels = []
    for title, matrix in matrices.items():
        panel = _numbers(matrix, pairs, teacher, student)
        inside, outside = matched_means(matrix, pairs)
        words = f"matched {inside:.2f}, others {outside:.2f} (means)"
        panel.add(Text(34, panel.height + 8, words, 12, "text", "start"))
        panel.height += 18
        panels.append(_titled(panel, title, "", 13))
    title = f"CKA of hidden states: {teacher} (rows) and {student} (columns)"
    return _finished(_titled(shelf(panels, "", 30), title, ""), (), title)


def matched_means(matrix: np.ndarray, pairs: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The mean of a matrix over the matched pairs, and over all others."""
    chosen = np.zeros(matrix.shape, bool)
    chosen[tuple(zip(*pairs, strict=True))] = True
    return float(matrix[chosen].mean()), float(matrix[~chosen].mean())


def _numbers(matrix: np.ndarray, pairs: Sequence[tuple[int, int]], teacher: str, student: str) -> Drawing:
    width, height, left, top = 42.0, 23.0, 34.0, 40.0
    rows, columns = matrix.shape
    picture = Drawing(left + columns * width + 3, top + rows * height + 6, "")
    picture.add(Text(left, 9, f"{student}'s hidden states", SMALL, role_of(student), "start"))
    for column in range(columns):
        picture.add(Text(left + (column + 0.5) * width, 28, str(column), 12))
    tips = [
        [f"{teacher} {row}, {student} {column}: CKA {matrix[row, column]:.3f}" for column in range(columns)]
        for row in range(rows)
    ]
    picture.add(Cells(left, top, width, height, np.clip(matrix, 0, 1), "ink", tips))
    for row in range(rows):
        picture.add(Text(left - 8, top + (row + 0.5) * height, str(row), 12, role_of(teacher), "end"))
        for column in range(columns):
            colour = "paper" if matrix[row, column] > 0.5 else "text"
            number = f"{matrix[row, column]:.2f}".lstrip("0")
            picture.add(Text(left + (column + 0.5) * width, top + (row + 0.5) * height, number, SMALL, colour))
    for row, column in pairs:
        corner = (left + column * width + 1, top + row * height + 1)
        picture.add(Box(*corner, width - 2, height - 2, colour="outline", line=3, radius=2))
    return picture


def paths_picture(
    teacher: Reading, student: Reading, pairs: Sequence[tuple[int, int]], projections: Sequence[Projection]
) -> Drawing:
    """The tokens' ways through the layers in two dimensions fitted on the teacher, the student's beside them.

    Of every state the teacher's mean over the tokens is taken out of both models', since a step that all tokens share
    would leave nothing else to be seen. The student's states go through the projection of their match into the
    teacher's space first; both panels have one scale. [CLS] and [SEP] are left out.

    Args:
        teacher, student: both models' readings of one sentence.
        pairs: the matched states (teacher, student), one dot of a way each.
        projections: one for each pair.
    """
    theirs = torch.stack([teacher.hidden[state, 1:-1].double() for state, _ in pairs])  # [pairs, tokens, width]
    ours = torch.stack(
        [project(student.hidden[state, 1:-1]).double() for (_, state), project in zip(pairs, projections, strict=True)]
    ).detach()
    centre = theirs.mean(1, keepdim=True)  # [pairs, 1, width]
    _, values, axes = torch.linalg.svd((theirs - centre).flatten(0, 1), full_matrices=False)
    flat = [((states - centre) @ axes[:2].T).numpy() for states in (theirs, ours)]  # [pairs, tokens, 2] each
    kept = float(values[:2].square().sum() / values.square().sum())
    lost = float((theirs - ours).square().sum() / (theirs - centre).square().sum())
    low, high = (bound(np.concatenate(flat), axis=(0, 1)) for bound in (np.min, np.max))
    panels = [
        _titled(_paths(places, reading, (low, high), [pair[side] for pair in pairs]), reading.name, reading.name)
        for side, (reading, places) in enumerate(zip((teacher, student), flat, strict=True))
    ]
    title = f"Each token's way from state {pairs[0][0]} to {pairs[-1][0]} (dots grow)"
    words = f"the two dimensions hold {kept:.0%} of the teacher's variance; of all of it, the student misses {lost:.0%}"
    return _finished(_titled(shelf(panels, "", 24), title, ""), (words, *teacher.sentence.notes), title)


def _paths(places: np.ndarray, reading: Reading, extent: tuple[np.ndarray, np.ndarray], states: list[int]) -> Drawing:
    side, pad, role = 400.0, 22.0, role_of(reading.name)
    low, high = extent
    scaled = pad + (places - low) / np.maximum(high - low, 1e-9) * (side - 2 * pad)  # [states, tokens, 2]
    picture = Drawing(side, side, "")
    picture.add(Box(0.5, 0.5, side - 1, side - 1, colour="line", radius=4))
    for token, label in enumerate(reading.sentence.labels[1:-1]):
        way = [(float(x), float(y)) for x, y in scaled[:, token]]
        picture.add(Line(way, role, 1.2, opacity=0.4))
        for number, (x, y) in enumerate(way):
            share = (number + 1) / len(way)
            picture.add(Dot(x, y, 1 + 2.6 * share, role, 0.3 + 0.7 * share, f"{label}, state {states[number]}"))
    ends = [(float(x), float(y)) for x, y in scaled[-1]]
    for label, (x, y), (to_x, to_y) in zip(reading.sentence.labels[1:-1], ends, _free_places(ends, side), strict=True):
        if abs(to_x - x) + abs(to_y - y) > 14:
            picture.add(Line([(x, y), (to_x, to_y)], "faint", 0.7))
        picture.add(Box(to_x - 8, to_y - 8, 16, 16, fill="paper", opacity=0.75, radius=3))
        picture.add(Text(to_x, to_y, label, min(15.0, 15 * 30 / max(30, text_width(label, 15)))))
    return picture


def _free_places(dots: Sequence[tuple[float, float]], side: float, room: float = 16) -> list[tuple[float, float]]:
    """A place for each dot's label, as near as it goes without covering a dot or another label."""
    rings = [(radius, turn * np.pi / 8) for radius in range(12, 180, 8) for turn in range(16)]
    taken: list[tuple[float, float]] = []
    for x, y in dots:
        tried = [(x + radius * float(np.cos(turn)), y + radius * float(np.sin(turn))) for radius, turn in rings]
        inside = [place for place in tried if min(place) > room / 2 and max(place) < side - room / 2]
        free = [
            (a, b)
            for a, b in inside
            if all(max(abs(a - c), abs(b - d)) >= room for c, d in taken)
            and all(max(abs(a - c), abs(b - d)) >= room * 0.65 for c, d in dots)
        ]
        taken.append((free or inside or tried)[0])
    return taken


def match_losses_picture(rows: Sequence[Mapping[str, float]], name: str = "student", width: float = 118) -> Drawing:
    """How the loss of each hidden match fell, a panel each, all with one scale.

    Args:
        rows: ``Distilled.metrics``; keys such as ``"hidden 2-1"`` (the teacher's state, the student's).
        name: of the student.
        width: of a panel.

    Raises:
        CourseError: no hidden match among the rows.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for key, value in row.items():
            if key.startswith("hidden "):
                curves.setdefault(key.removeprefix("hidden "), []).append((row["step"], value))
    if not curves:
        raise CourseError("no hidden match was trained", fix="give a run with hidden_weight above 0")
    top = max(value for curve in curves.values() for _, value in curve)
    panels = [_curve(curve, match, top, role_of(name), width) for match, curve in curves.items()]
    title = f"{name}: the loss of each match, step by step"
    words = f"teacher's state → student's; mean squared error, 0 to {top:.2f}; below, the first and last three steps"
    return _finished(_titled(shelf(panels, "", 14), title, name), (words,), title)


def _curve(curve: Sequence[tuple[float, float]], match: str, top: float, colour: str, width: float) -> Drawing:
    height, high = 96.0, 22.0
    picture = Drawing(width, high + height + 40, "")
    theirs, _, ours = match.partition("-")
    picture.add(Text(width / 2, 9, f"{theirs} → {ours}", 12))
    first, last = curve[0][0], max(curve[-1][0], curve[0][0] + 1)
    points = [(width * (step - first) / (last - first), high + height * (1 - loss / top)) for step, loss in curve]
    picture.add(Line([(0, high + height), (width, high + height)], "line"), Line(points, colour, 1.8))
    for place in np.unique(np.linspace(0, len(curve) - 1, 24).round().astype(int)):
        step, loss = curve[place]
        picture.add(Dot(*points[place], 2, colour, tip=f"step {step:g}: {loss:.4f}"))
    start, end = np.mean([loss for _, loss in curve[:3]]), np.mean([loss for _, loss in curve[-3:]])
    picture.add(Text(width / 2, high + height + 12, f"{start:.2f} → {end:.2f}", SMALL, "text"))
    picture.add(Text(width / 2, high + height + 27, f"{end / start - 1:+.0%}".replace("-", "−"), SMALL, "faint"))
    return picture


def guesses_picture(guesses: Mapping[str, Guesses], truth: str = "", text: str = "") -> Drawing:
    """What models would fill into a gap, layer by layer, matched layers in line.

    Args:
        guesses: per model's name, what :func:`~minirbt_helpers.insight.guesses_by_layer` returns.
        truth: what a person would write; outlined where a model names it.
        text: the sentence, for the title.
    """
    deepest = max(len(rows) for rows in guesses.values()) - 1
    panels = []
    for name, rows in guesses.items():
        panel = _guess_table(rows, deepest, name, truth)
        panels.append(_titled(panel, name, name, 13))
    title = f"What fills the gap in {text}" if text else "What fills the gap, layer by layer"
    words = "a row is a hidden state (left: its number) put into the MLM head, which was trained on the last one alone"
    return _finished(_titled(shelf(panels, "", 30), title, ""), (words,), title)


def _guess_table(rows: Guesses, deepest: int, name: str, truth: str) -> Drawing:
    width, height, left = 54.0, 24.0, 26.0
    picture = Drawing(left + width * len(rows[0]), height * (deepest + 1) + 2, "")
    for state, candidates in enumerate(rows):
        y = height * state * deepest / max(1, len(rows) - 1)
        picture.add(Text(left - 8, y + height / 2, str(state), 12, "faint", "end"))
        for rank, (token, share) in enumerate(candidates):
            x, looks = left + rank * width, {"fill": ink_of(name), "opacity": share, "radius": 3}
            picture.add(Box(x + 1, y + 1, width - 3, height - 3, tip=f"{token} {share:.1%}", **looks))
            picture.add(Box(x + 1, y + 1, width - 3, height - 3, colour="line", radius=3))
            if truth and token == truth:
                picture.add(Box(x + 1, y + 1, width - 3, height - 3, colour=role_of(name), line=2.2, radius=3))
            size = min(14.0, 14 * (width - 8) / text_width(token, 14))
            colour = "paper" if share > 0.5 else "text"
            picture.add(Text(x + width / 2 - 1, y + height / 2 - 0.5, token, size, colour))
    return picture


# --- words in attention ---------------------------------------------------------------------------------------------


def binding_picture(bindings: Mapping[str, Binding], named: int = 2) -> Drawing:
    """How much each head prefers a neighbour in its word to one across a boundary: a dot per head, a column per model.

    Args:
        bindings: :func:`~minirbt_helpers.insight.word_binding` by model.
        named: how many of each model's strongest heads get their name (layer.head).
    """
    step, height, left, top = 150.0, 300.0, 52.0, 14.0
    values = np.concatenate([binding.difference.ravel() for binding in bindings.values()])
    low, high = min(-0.02, float(values.min()) - 0.01), float(values.max()) + 0.02
    picture = Drawing(left + step * len(bindings), top + height + 40, "")

    def y(share: float) -> float:
        return top + height * (high - share) / (high - low)

    for step_up in range(int(np.ceil(low / 0.05)), int(high / 0.05) + 1):
        tick = step_up * 0.05
        picture.add(Line([(left, y(tick)), (picture.width, y(tick))], "line", 0.7 if step_up else 1.6))
        label = f"{tick:+.2f}".replace("-", "−") if step_up else "0"
        picture.add(Text(left - 8, y(tick), label, SMALL, "faint", "end"))
    for number, (name, binding) in enumerate(bindings.items()):
        _binding_column(picture, binding, name, left + (number + 0.5) * step, y, named)
        picture.add(Text(left + (number + 0.5) * step, top + height + 14, name, 13, role_of(name)))
        words = f"{binding.difference.size} heads"
        picture.add(Text(left + (number + 0.5) * step, top + height + 31, words, SMALL, "faint"))
    title = "Attention to the neighbour: within a word less across a boundary"
    note = f"a dot is a head, bars are ± 2 standard errors over {len(next(iter(bindings.values())).inside)} sentences"
    return _finished(_titled(picture, title, ""), (note,), title)


def _binding_column(picture: Drawing, binding: Binding, name: str, middle: float, y, named: int) -> None:
    layers, heads = binding.difference.shape
    best = np.argsort(-binding.difference.ravel())[:named]
    written: list[float] = []
    for number in [*best, *sorted({*range(layers * heads)} - {*best})]:
        layer, head = divmod(int(number), heads)
        x = middle + 60 * ((number + 0.5) / (layers * heads) * 2 - 1)  # in the order of the layers
        share, error = binding.difference[layer, head], binding.error[layer, head]
        inside, across = binding.inside[:, layer, head].mean(), binding.across[:, layer, head].mean()
        label = f"{layer + 1}.{head + 1}"
        tip = f"{name} {label}: {share:+.3f} ± {error:.3f}\nwithin {inside:.3f}, across {across:.3f}"
        picture.add(Line([(x, y(share - 2 * error)), (x, y(share + 2 * error))], role_of(name), 1.2, opacity=0.6))
        picture.add(Dot(x, y(share), 3.2, role_of(name), 0.85, tip))
        if number in best and share > max(0.01, 2 * error) and all(abs(y(share) - other) > 24 for other in written):
            picture.add(Text(x + 7, y(share), label, SMALL, "text", "start"))
            written.append(y(share))
