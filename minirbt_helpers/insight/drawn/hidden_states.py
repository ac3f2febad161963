"""A token's way through the layers, and how alike the hidden states of two models are (notebooks 04 and 06)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ...language import _, labelled
from ...names import shown_name
from ..measured.hidden_states import Projection, matched_means, token_paths
from ..measured.reading import Reading
from .axes import panels
from .canvas import SMALL, Box, Cells, Dot, Drawing, Line, Text, finished, shelf, text_width, titled
from .theme import role_of


def draw_cka(
    matrices: Mapping[str, np.ndarray], pairs: Sequence[tuple[int, int]], teacher: str, student: str
) -> Drawing:
    """CKA of each hidden state of a teacher with each of a student's, the distillation's matches outlined.

    Args:
        matrices: a title (``"before"``) for each matrix [teacher's states, student's states].
        pairs: the matches (teacher, student), as :func:`~minirbt_helpers.training.layer_pairs` gives them.
        teacher, student: names.
    """
    drawn, found = [], []
    for title, matrix in matrices.items():
        panel = _numbers(matrix, pairs, teacher, student)
        inside, outside = matched_means(matrix, pairs)
        words = _("matched {inside:.2f}, others {outside:.2f} (means)").format(inside=inside, outside=outside)
        panel.add(Text(34, panel.height + 8, words, 12, "text", "start"))
        panel.height += 18
        drawn.append(titled(panel, title, "", 13))
        found.append(labelled(title, words))
    title = _("CKA of hidden states: {teacher} and {student}")
    title = title.format(teacher=shown_name(teacher), student=shown_name(student))
    note = _("outlined: the matched pairs; the colour grows from 0 (none) to 1 (full)")
    return finished(titled(shelf(drawn, "", 30), title, ""), (note,), title, _("; ").join(found))


def _numbers(matrix: np.ndarray, pairs: Sequence[tuple[int, int]], teacher: str, student: str) -> Drawing:
    width, height, left, top = 42.0, 23.0, 34.0, 56.0
    rows, columns = matrix.shape
    picture = Drawing(left + columns * width + 3, top + rows * height + 6, "")
    theirs, ours = shown_name(teacher), shown_name(student)
    rows_are, columns_are = _("rows: hidden states of {model}"), _("columns: hidden states of {model}")
    picture.add(Text(left, 9, rows_are.format(model=theirs), SMALL, role_of(teacher), "start"))
    picture.add(Text(left, 25, columns_are.format(model=ours), SMALL, role_of(student), "start"))
    for column in range(columns):
        picture.add(Text(left + (column + 0.5) * width, 44, str(column), 12, role_of(student)))
    tips = [
        [f"{theirs} {row}, {ours} {column}: CKA {matrix[row, column]:.3f}" for column in range(columns)]
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


def draw_paths(
    teacher: Reading, student: Reading, pairs: Sequence[tuple[int, int]], projections: Sequence[Projection]
) -> Drawing:
    """The tokens' ways through the layers in two dimensions fitted on the teacher, the student's beside them.

    Both panels have one scale; :func:`~minirbt_helpers.insight.token_paths` says what is taken out.

    Args:
        teacher, student: both models' readings of one sentence.
        pairs: the matched states (teacher, student), one dot of a way each.
        projections: one for each pair.
    """
    paths = token_paths(teacher, student, pairs, projections)
    flat = (paths.teacher, paths.student)
    low, high = (bound(np.concatenate(flat), axis=(0, 1)) for bound in (np.min, np.max))
    drawn = [
        titled(
            _paths(places, reading, (low, high), [pair[side] for pair in pairs]), shown_name(reading.name), reading.name
        )
        for side, (reading, places) in enumerate(zip((teacher, student), flat, strict=True))
    ]
    title = _("Each token's way from state {first} to {last} (dots grow)")
    title = title.format(first=pairs[0][0], last=pairs[-1][0])
    words = _(
        "the two directions hold {held:.0%} of the teacher's variance; "
        "over all directions, {missed:.0%} of it stays unexplained in the {student}"
    ).format(held=paths.kept, missed=paths.missed, student=shown_name(student.name))
    return finished(titled(shelf(drawn, "", 24), title, ""), (words, *teacher.sentence.notes), title)


def _paths(places: np.ndarray, reading: Reading, extent: tuple[np.ndarray, np.ndarray], states: list[int]) -> Drawing:
    side, pad, role = 400.0, 22.0, role_of(reading.name)
    low, high = extent
    scaled = pad + (places - low) / np.maximum(high - low, 1e-9) * (side - 2 * pad)  # [states, tokens, 2]
    picture = Drawing(side, side + 18, "")
    picture.add(Box(0.5, 0.5, side - 1, side - 1, colour="line", radius=4))
    picture.add(Text(side / 2, side + 10, _("direction 1 to the right, direction 2 downwards"), SMALL, "faint"))
    for token, label in enumerate(reading.sentence.labels[1:-1]):
        way = [(float(x), float(y)) for x, y in scaled[:, token]]
        picture.add(Line(way, role, 1.2, opacity=0.4))
        for number, (x, y) in enumerate(way):
            share = (number + 1) / len(way)
            tip = _("{token}, state {state}").format(token=label, state=states[number])
            picture.add(Dot(x, y, 1 + 2.6 * share, role, 0.3 + 0.7 * share, tip))
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


def draw_hidden_match(
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
    missed = _("squared difference, mean {mean:.2f}").format(mean=gap.mean())
    ours, theirs = map(shown_name, names)
    states = {ours: student, _("→ projection →"): projected, theirs: teacher, missed: gap}
    states = {title: values for title, values in states.items() if values is not None}
    widths = [values.shape[1] for values in states.values()]
    alt = _("A hidden match of {count} tokens: {panels}").format(count=len(tokens), panels=_(", ").join(states))
    size, margin = (13 / len(states), 0.28 * len(tokens)), (0, 0.8)
    figure, grid = panels(list(states), size, alt, margin=margin, sharey=True, width_ratios=widths)
    reach = teacher.abs().quantile(0.99).item()
    for axes, (title, values) in zip(grid, states.items(), strict=True):
        signed = title != missed
        shades = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach} if signed else {"cmap": "Greys", "vmax": reach**2}
        axes.imshow(values, aspect="auto", interpolation="nearest", **shades)
        axes.set(xlabel=_("{count} numbers").format(count=values.shape[1]), xticks=[])
    grid[0].set_yticks(range(len(tokens)), tokens)
    words = _("full colour: ±{reach:.1f}; in the last panel {square:.1f}").format(reach=reach, square=reach**2)
    figure.supxlabel(words, fontsize=9)
    return figure
