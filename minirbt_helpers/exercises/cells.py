"""The notebook cells of an exercise and of a question, made from the entry, so that the two cannot drift apart."""

from html import escape

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from ..language import N_, _
from .catalogue import find, find_question
from .exercise import Exercise, Question
from .notes import STARS

MARK = "minirbt"  # the key in a cell's metadata that says which entry the cell belongs to
LEGEND = N_(  # beneath the head of a notebook's first exercise
    "{easy} easy, {medium} medium, {hard} hard. The minutes include reading. "
    '`hint("{name}")` and `solution("{name}")` help; every exercise has its own name.'
)


def exercise_cells(name: str, first: bool = False) -> list[NotebookNode]:
    """Statement, stub, check and folded solution of an exercise; the first of a notebook explains the marks.

    As it comes, the check cell says that nothing is returned yet, and raises nothing.

    Raises:
        CourseError: no such exercise.
    """
    one = find(name)
    check = f'from minirbt_helpers.exercises import check, hint, solution\n\ncheck("{name}", {name})'
    return [
        _cell(new_markdown_cell(_statement(one, first)), name, "statement"),
        _cell(new_code_cell(one.stub), name, "stub"),
        _cell(new_code_cell(check), name, "check"),
        _cell(new_markdown_cell(_folded(one)), name, "solution"),
    ]


def question_cells(name: str) -> list[NotebookNode]:
    """The one cell of a quick question.

    Raises:
        CourseError: no such question.
    """
    question: Question = find_question(name)
    code = f'from minirbt_helpers.exercises import quiz\n\nquiz("{question.name}")'
    return [_cell(new_code_cell(code), name, "question")]


def renew_cells(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the cells of all its exercises and questions made anew, each where its first cell stands.

    A cell of an entry is known by its metadata; all others stay as they are. Outputs are kept where the source is
    still the same.

    Raises:
        CourseError: a cell of an entry that does not exist.
    """
    renewed, seen, first = [], set(), True
    old = {cell.id: cell for cell in notebook.cells if MARK in cell.metadata}
    for cell in notebook.cells:
        entry = cell.metadata.get(MARK)
        if entry is None:
            renewed.append(cell)
        elif entry["entry"] not in seen:
            seen.add(entry["entry"])
            if entry["part"] == "question":
                fresh = question_cells(entry["entry"])
            else:
                fresh, first = exercise_cells(entry["entry"], first), False
            same = [one.id in old and old[one.id].source == one.source for one in fresh]
            renewed += [old[one.id] if kept else one for one, kept in zip(fresh, same, strict=True)]
    return nbformat.from_dict({**notebook, "cells": renewed})


def _cell(cell: NotebookNode, name: str, part: str) -> NotebookNode:
    cell["id"] = f"{name}-{part}".replace("_", "-")
    cell.metadata = nbformat.from_dict({"tags": [f"exercise-{part}"], MARK: {"entry": name, "part": part}})
    return cell


def _statement(one: Exercise, first: bool) -> str:
    head = _("**Exercise: {title}** {stars} ({minutes} minutes) · *{use}*")
    head = head.format(title=one.title, stars=STARS[one.difficulty], minutes=one.minutes, use=one.use)
    legend = _(LEGEND).format(easy=STARS[1], medium=STARS[2], hard=STARS[3], name=one.name)
    return "\n\n".join([head, *[legend] * first, one.statement])


def _folded(one: Exercise) -> str:
    hints = "".join(
        f"<details><summary>{_('Hint {step}').format(step=step)}</summary>\n\n{hint}\n</details>\n"
        for step, hint in enumerate(one.hints, 1)
    )
    title = escape(_("Solution: {title}").format(title=one.title))
    remark = _("Easy to get wrong: {remark}").format(remark=one.remark)
    return f"{hints}<details><summary>{title}</summary>\n\n```python\n{one.solution}\n```\n\n{remark}\n</details>"
