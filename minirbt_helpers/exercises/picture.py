"""The picture of what is done."""

from html import escape

from ..insight.drawn.canvas import Box, Dot, Drawing, Text, mime_bundle, text_width
from ..language import _
from .catalogue import SHELVES
from .exercise import Shelf
from .records import Record, read_record

ROW, SQUARE, GAP, SIZE = 26, 16, 6, 13  # pixels: height of a row, side of a mark, space after it, size of the text
INDENT = 26  # pixels: where the titles begin, after the numbers


class Progress:
    """What is done, as a picture, with a table for those who do not see it.

    Args:
        record: what is done; None: read from the reader's workspace.
    """

    def __init__(self, record: Record | None = None):
        self.record = read_record() if record is None else record

    def counts(self, shelf: Shelf) -> tuple[int, int, int, int]:
        """Exercises done and in all, questions right at the first answer and in all."""
        solved = sum(one.name in self.record["exercises"] for one in shelf.exercises)
        right = sum(self.record["questions"].get(one.name) is True for one in shelf.questions)
        return solved, len(shelf.exercises), right, len(shelf.questions)

    def lines(self) -> list[str]:
        """A line per notebook."""
        return [
            _("{notebook}: {solved} of {exercises} exercises, {right} of {questions} questions").format(
                notebook=_label(shelf), solved=solved, exercises=exercises, right=right, questions=questions
            )
            for shelf in SHELVES
            for solved, exercises, right, questions in [self.counts(shelf)]
        ]

    def drawing(self) -> Drawing:
        """A row per notebook: a square for each exercise, a dot for each question, filled where done."""
        left = INDENT + max(text_width(_(shelf.title), SIZE) for shelf in SHELVES) + 20
        squares = max(len(shelf.exercises) for shelf in SHELVES)
        dots = left + squares * (SQUARE + GAP) + 2 * GAP
        width = dots + max(len(shelf.questions) for shelf in SHELVES) * (SQUARE + GAP)
        solved, exercises, _right, _questions = map(sum, zip(*map(self.counts, SHELVES), strict=True))
        title = _("{solved} of {exercises} exercises done.").format(solved=solved, exercises=exercises)
        title = " ".join([title, *self.lines()])
        picture = Drawing(max(width, dots + 120), ROW * (len(SHELVES) + 2), title)
        picture.add(Text(left, ROW / 2, _("exercises"), SIZE - 2, "faint", "start"))
        picture.add(Text(dots, ROW / 2, _("questions"), SIZE - 2, "faint", "start"))
        for number, shelf in enumerate(SHELVES, 1):
            self._add_row(picture, shelf, number * ROW, left, dots)
        self._add_key(picture, (len(SHELVES) + 1.5) * ROW, left, dots)
        return picture

    def _add_key(self, picture: Drawing, middle: float, left: float, dots: float) -> None:
        picture.add(Box(left, middle - SQUARE / 2, SQUARE, SQUARE, "one-stage", "one-stage", radius=3))
        picture.add(Text(left + SQUARE + GAP, middle, _("done"), SIZE - 2, "faint", "start"))
        for place, (colour, said) in enumerate({"one-stage": _("right"), "assistant": _("answered")}.items()):
            picture.add(Dot(dots + SQUARE / 2 + place * 48, middle, SQUARE / 2.6, colour))
            picture.add(Text(dots + SQUARE + 3 + place * 48, middle, said, SIZE - 2, "faint", "start"))

    def _add_row(self, picture: Drawing, shelf: Shelf, top: float, left: float, dots: float) -> None:
        middle = top + ROW / 2
        picture.add(Text(0, middle, _number(shelf), SIZE, "text", "start"))
        picture.add(Text(INDENT, middle, _(shelf.title), SIZE, "text", "start"))
        for place, exercise in enumerate(shelf.exercises):
            done = exercise.name in self.record["exercises"]
            tip = f"{exercise.name}: {_(exercise.title)} ({_('done') if done else _('open')})"
            x, y = left + place * (SQUARE + GAP), middle - SQUARE / 2
            fill = "one-stage" if done else ""
            picture.add(Box(x, y, SQUARE, SQUARE, fill, "one-stage" if done else "faint", radius=3, tip=tip))
        for place, question in enumerate(shelf.questions):
            answered = self.record["questions"].get(question.name)
            said = {None: _("open"), True: _("right at the first answer"), False: _("answered")}[answered]
            colour = {None: "line", True: "one-stage", False: "assistant"}[answered]
            x = dots + place * (SQUARE + GAP) + SQUARE / 2
            picture.add(Dot(x, middle, SQUARE / 2.6, colour, tip=f"{question.name}: {said}"))

    def html(self) -> str:
        """The picture, and below it a folded table that says the same in words."""
        rows = ""
        for shelf in SHELVES:
            done = [one.name for one in shelf.exercises if one.name in self.record["exercises"]]
            left = [one.name for one in shelf.exercises if one.name not in self.record["exercises"]]
            cells = (_label(shelf), ", ".join(done) or "–", ", ".join(left) or "–")
            rows += "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in cells) + "</tr>"
        names = (_("notebook"), _("done"), _("still to do"))
        heads = "".join(f'<th style="text-align:left">{name}</th>' for name in names)
        table = f"<table><tr>{heads}</tr>{rows}</table>"
        return f"{self.drawing()._repr_html_()}<details><summary>{_('As a table')}</summary>{table}</details>"

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict]]:
        """HTML where it is shown, a PNG where it is not."""
        return mime_bundle(self.html(), self.drawing())


def _number(shelf: Shelf) -> str:
    """The notebook's number; none for one that has none yet."""
    number = shelf.notebook[:2]
    return number if number.isdigit() else ""


def _label(shelf: Shelf) -> str:
    return f"{_number(shelf)} {_(shelf.title)}".strip()
