"""What heads look at, as tables of shades, and pairs of heads of two models side by side (notebook 06).

Layers and heads are counted from 1 (layer ``n`` makes hidden state ``n``; state 0 is the embeddings' output).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...errors import CourseError
from ...language import _, labelled
from ...names import shown_name
from ..measured.attention import KINDS, Attention, Binding, Match, Unit, gaze, head_distances, head_matches
from ..measured.reading import Reading
from .canvas import SMALL, Box, Cells, Dot, Drawing, Line, Text, finished, shelf, stack, text_width, titled
from .theme import ink_of, role_of

MOST_CELLS = 4000  # each with a tip of its own; a table with more has none
Extent = tuple[float, float, float, float]  # what a mark covers: left, top, right, bottom
COLUMN = 130.0  # width of a model's heads in a picture of their binding


def draw_head(reading: Reading, layer: int, head: int, unit: Unit = "characters") -> Drawing:
    """One head: each row a token that looks, each column one it looks at.

    Args:
        reading: what a model did with a sentence.
        layer, head: counted from 1.
        unit: ``"characters"``, with the words as brackets, or ``"words"``.

    Raises:
        CourseError: no such layer, head or unit.
    """
    data = Attention.of(reading, unit)
    data.require(layer, head)
    title = _title(data, layer, head)
    return finished(titled(_table(data, layer, head), title, data.name), data.notes, title, _most(data, layer, head))


def _title(data: Attention, layer: int, head: int) -> str:
    return _("{model}, layer {layer}, head {head}").format(model=shown_name(data.name), layer=layer, head=head)


def _most(data: Attention, layer: int, head: int) -> str:
    """What each token of a head looks at most, in words."""
    shares = data.shares[layer - 1, head - 1]
    best = zip(data.labels, shares, shares.argmax(-1), strict=True)
    looks = (f"{label} → {data.labels[key]} {row[key]:.2f}" for label, row, key in best)
    return _("each looks most at: {targets}").format(targets=_(", ").join(looks))


def draw_layer(reading: Reading, layer: int, unit: Unit = "characters", columns: int = 4) -> Drawing:
    """All heads of one layer as small multiples; hover over a row to read where that token looks."""
    data = Attention.of(reading, unit)
    data.require(layer, 1)
    cell = min(16.0, max(3.0, 210 / (sum(map(len, data.labels[1:-1])) + 2)))
    drawn = [
        titled(_small(data, layer, head, cell), _("head {head}").format(head=head), data.name, SMALL + 1)
        for head in range(1, data.heads + 1)
    ]
    rows = [shelf(drawn[start : start + columns], "", 18) for start in range(0, len(drawn), columns)]
    title = _("{model}, layer {layer}, all heads").format(model=shown_name(data.name), layer=layer)
    return finished(titled(stack(rows, "", 10), title, data.name), data.notes, title)


def draw_all_heads(reading: Reading, unit: Unit = "characters") -> Drawing:
    """All layers and heads at a glance; hover over a head to read what it mostly looks at."""
    data, kinds = Attention.of(reading, unit), gaze([reading])
    cell = max(1.0, 62 / len(data.labels))
    side = cell * len(data.labels)
    bottom = 20 + data.layers * (side + 6)
    picture = Drawing(34 + data.heads * (side + 6), bottom + 20, "")
    for head in range(data.heads):
        picture.add(Text(34 + head * (side + 6) + side / 2, 9, str(head + 1), SMALL, "faint"))
    for layer in range(data.layers):
        top = 20 + layer * (side + 6)
        picture.add(Text(26, top + side / 2, str(layer + 1), SMALL, "faint", "end"))
        for head in range(data.heads):
            left = 34 + head * (side + 6)
            tip = _("layer {layer}, head {head}").format(layer=layer + 1, head=head + 1)
            tip = f"{tip}\n{_profile(kinds, layer, head)}"
            picture.add(Cells(left, top, cell, cell, np.sqrt(data.shares[layer, head]), ink_of(data.name)))
            picture.add(Box(left - 1, top - 1, side + 2, side + 2, colour="line", tip=tip))
    _key(picture, 34, bottom + 2, ink_of(data.name))
    title = _("{model}, every head: a row is a layer, a column a head").format(model=shown_name(data.name))
    return finished(titled(picture, title, data.name), data.notes, title)


def _profile(kinds: Mapping[str, np.ndarray], layer: int, head: int) -> str:
    return "\n".join(labelled(_(kind), f"{kinds[kind][layer, head]:.2f}") for kind in KINDS)


def draw_head_pair(
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
        matches: of :func:`~minirbt_helpers.insight.head_matches` on many sentences; None: on this one.

    Raises:
        CourseError: no such layer or head, or readings of different sentences.
    """
    ours, theirs = Attention.of(student, unit), Attention.of(teacher, unit)
    ours.require(layer, head)
    matches = matches or head_matches(head_distances([teacher], [student]))
    mine = (layer - 1) * ours.heads + head - 1
    found = next((match for match in matches if match[1] == mine), None)
    if found is None:
        raise CourseError(
            "head {head} of layer {layer} has no match",
            fix="the teacher has fewer heads: try another",
            head=head,
            layer=layer,
        )
    above, beside = found[0] // theirs.heads + 1, found[0] % theirs.heads + 1
    tables = [
        titled(_table(data, *place, widest=335), _title(data, *place), data.name)
        for data, place in ((theirs, (above, beside)), (ours, (layer, head)))
    ]
    title = _("Matched heads: {one} and {other}").format(one=tables[0].title, other=tables[1].title)
    strip = _distances(matches, mine, (theirs, ours))
    notes = dict.fromkeys((*theirs.notes, *ours.notes))
    alt = _("On the right, {looks}").format(looks=_most(ours, layer, head))
    return finished(stack([shelf(tables, "", 36), strip], "", 14), tuple(notes), title, alt)


def _distances(matches: Sequence[Match], mine: int, data: tuple[Attention, Attention]) -> Drawing:
    """All matches as dots along their distance, one of them marked."""
    found = [match[2] for match in matches]
    (own,) = [match[2] for match in matches if match[1] == mine]
    picture, width = Drawing(640, 62, ""), 600
    end = max(0.1, np.ceil(max(found) * 10) / 10)
    words = _(
        "{own:.3f} bits apart (Jensen-Shannon); closest of {count} pairs {least:.3f}, "
        "median {middle:.3f}, farthest {most:.3f}"
    ).format(own=own, count=len(found), least=min(found), middle=np.median(found), most=max(found))
    picture.add(Text(0, 8, words, 12, "text", "start"))
    picture.add(Line([(8, 36), (8 + width, 36)], "line", 1))
    for tick in np.arange(0, end + 0.01, 0.1):
        picture.add(Text(8 + width * tick / end, 53, f"{tick:.1f}", SMALL, "faint"))
        picture.add(Line([(8 + width * tick / end, 36), (8 + width * tick / end, 41)], "line", 1))
    for theirs, ours, distance in sorted(matches, key=lambda match: match[1] == mine):
        names = {"one": _head_name(data[0], theirs), "other": _head_name(data[1], ours)}
        tip = _("{one} and {other}: {distance:.3f} bits").format(**names, distance=distance)
        looks = (7, role_of(data[1].name), 1) if ours == mine else (4.5, "faint", 0.45)
        picture.add(Dot(8 + width * distance / end, 36, *looks, tip))
    return picture


def _head_name(data: Attention, number: int) -> str:
    return f"{shown_name(data.name)} {number // data.heads + 1}.{number % data.heads + 1}"


# --- a head as a table ----------------------------------------------------------------------------------------------


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
        words = label.strip("[]") if _label_colour(label) == "faint" else label
        picture.add(Text(left - 6, top + (place + 0.5) * cell, words, size, _label_colour(label), "end"))
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
        looks = _(", ").join(f"{data.labels[key]} {row[key]:.2f}" for key in best)
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
        room = spans[place] * cell + (1 if words == label else -3)
        fitting = min(size, size * room / max(1.0, text_width(words, size)))
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
    words = _("share of attention")
    picture.add(Text(x, y + 5, words, SMALL, "faint", "start"))
    x += text_width(words, SMALL) + 10
    for share in (0.01, 0.1, 0.3, 0.6, 1):
        picture.add(Box(x, y, 12, 10, fill=ink, opacity=share**0.5), Box(x, y, 12, 10, colour="line"))
        picture.add(Text(x + 16, y + 5, f"{share:g}", SMALL, "faint", "start"))
        x += 22 + text_width(f"{share:g}", SMALL)
    picture.width = max(picture.width, x)


# --- words in attention ---------------------------------------------------------------------------------------------


def draw_word_binding(bindings: Mapping[str, Binding], named: int = 4) -> Drawing:
    """How much each head prefers a neighbour in its word to one across a boundary: a dot per head, a column per model.

    Args:
        bindings: :func:`~minirbt_helpers.insight.word_binding` by model.
        named: how many of each model's strongest heads get their name (layer.head), where there is room.

    Raises:
        CourseError: a binding of a single sentence, which shows no error.
    """
    height, left, top = 300.0, 52.0, 14.0
    ends = [binding.difference + sign * 2 * binding.error for binding in bindings.values() for sign in (-1, 1)]
    low, high = min(-0.02, min(map(np.min, ends)) - 0.01), max(map(np.max, ends)) + 0.02
    picture = Drawing(left + COLUMN * len(bindings), top + height + 40, "")

    def y(share: float) -> float:
        return top + height * (high - share) / (high - low)

    for step_up in range(int(np.ceil(low / 0.05)), int(high / 0.05) + 1):
        tick = step_up * 0.05
        picture.add(Line([(left, y(tick)), (picture.width, y(tick))], "line", 0.7 if step_up else 1.6))
        label = f"{100 * tick:+.0f}".replace("-", "−") if step_up else "0"
        picture.add(Text(left - 8, y(tick), label, SMALL, "faint", "end"))
    for number, (name, binding) in enumerate(bindings.items()):
        middle, layers = left + (number + 0.5) * COLUMN, len(binding.difference)
        _binding_column(picture, binding, name, middle, y, named)
        picture.add(Text(middle, top + height + 14, shown_name(name), 13, role_of(name)))
        words = _("{count} heads, layers 1 → {layers}").format(count=binding.difference.size, layers=layers)
        picture.add(Text(middle, top + height + 31, words, SMALL, "faint"))
    title = _("Binding in points: attention to a neighbour within a word less across a boundary")
    note = _(
        "a point is 1% of a character's attention, a dot is a head, bars are ± 2 standard errors over {count} sentences"
    ).format(count=len(next(iter(bindings.values())).inside))
    highest = {shown_name(name): 100 * binding.difference.max() for name, binding in bindings.items()}
    best = _("; ").join(f"{name} {points:+.1f}" for name, points in highest.items())
    alt = _("strongest head of each model: {heads}").format(heads=best)
    return finished(titled(picture, title, ""), (note,), title, alt)


def _binding_column(
    picture: Drawing, binding: Binding, name: str, middle: float, y: Callable[[float], float], named: int
) -> None:
    layers, heads = binding.difference.shape
    taken: list[Extent] = []  # by the heads, in order, then by the names of some
    for number in range(layers * heads):
        layer, head = divmod(number, heads)
        x = middle + (COLUMN / 2 - 13) * ((number + 0.5) / (layers * heads) * 2 - 1)  # in the order of the layers
        share, error = binding.difference[layer, head], binding.error[layer, head]
        inside, across = binding.inside[:, layer, head].mean(), binding.across[:, layer, head].mean()
        tip = _("{head}: {share:+.1f} ± {error:.1f} points\nwithin {inside:.1%}, across {across:.1%}").format(
            head=f"{shown_name(name)} {layer + 1}.{head + 1}",
            share=100 * share, error=100 * error, inside=inside, across=across,
        )  # fmt: skip
        upper, lower = y(share + 2 * error), y(share - 2 * error)
        picture.add(Line([(x, lower), (x, upper)], role_of(name), 1.2, opacity=0.6))
        picture.add(Dot(x, y(share), 3.2, role_of(name), 0.85, tip))
        taken.append((x - 4, min(upper, y(share) - 4), x + 4, max(lower, y(share) + 4)))
    for number in np.argsort(-binding.difference.ravel())[:named]:
        layer, head = divmod(int(number), heads)
        share, error = binding.difference[layer, head], binding.error[layer, head]
        if share <= max(0.01, 2 * error):
            continue
        label, (left, top, right, _bottom) = f"{layer + 1}.{head + 1}", taken[number]
        width = text_width(label, SMALL)
        places = [(right + 3, y(share)), (left - 3 - width, y(share)), ((left + right - width) / 2, top - SMALL / 2)]
        for start, height in places:  # right of the dot, left of it, above its bar
            room = (start, height - SMALL / 2, start + width, height + SMALL / 2)
            if abs(start + width / 2 - middle) < (COLUMN - width) / 2 and not _covered(room, taken):
                picture.add(Text(start, height, label, SMALL, "text", "start"))
                taken.append(room)
                break


def _covered(room: Extent, taken: Sequence[Extent]) -> bool:
    left, top, right, bottom = room
    return any(left < other[2] and other[0] < right and top < other[3] and other[1] < bottom for other in taken)
