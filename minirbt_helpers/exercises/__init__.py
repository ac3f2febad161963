"""Exercises that teach: what a learner types to check, to get help and to see what is done.

One file per notebook (``of_01_whole_word_masking.py`` …) holds its exercises, one entry each: the solution is a
function, its docstring the statement, and the decorator names cases, hints and known mistakes. ``check`` runs a
reader's function (``checking.py``), ``cells.py`` makes the notebooks' cells, ``records.py`` keeps what is done.
"""

from collections.abc import Callable

from IPython.display import display

from ..errors import CourseError
from ..language import _
from . import quizzes
from .catalogue import SHELVES, find, find_question
from .checking import judge
from .notes import hint_note, solution_note
from .records import note_success, read_record

__all__ = ["check", "hint", "progress", "quiz", "solution"]


def check(name: str, function: Callable) -> None:
    """Say how far off a reader's function is, and on which smallest input; success is noted.

    Args:
        name: of the exercise.
        function: the reader's.

    Raises:
        CourseError: no such exercise.
    """
    exercise = find(name)
    verdict = judge(exercise, function)
    print(verdict.message + (_noted(name) if verdict.passed else ""))


def hint(name: str, step: int = 1) -> None:
    """Show a hint; the second one says more.

    Raises:
        CourseError: no such exercise or hint.
    """
    exercise = find(name)
    if step not in (1, 2):
        raise CourseError("no hint {step!r}", fix="hint({name!r}) or hint({name!r}, 2)", step=step, name=name)
    display(hint_note(exercise, step))


def solution(name: str) -> None:
    """Show the solution, and what is easy to get wrong.

    Raises:
        CourseError: no such exercise.
    """
    display(solution_note(find(name)))


def progress() -> None:
    """Show which exercises of which notebook are done."""
    from .picture import Progress  # it loads the pictures' whole room

    display(Progress())


def quiz(name: str, answer: str | float | None = None) -> None:
    """Ask a quick question, or answer it: ``quiz("budget", "b")``, ``quiz("budget", 6)``.

    Raises:
        CourseError: no such question, or no such choice.
    """
    question = find_question(name)
    if answer is None:
        quizzes.ask(question)
    else:
        print(quizzes.reply(question, answer))


def _noted(name: str) -> str:
    """Note a success, and say how many of the notebook's exercises are done."""
    try:
        note_success(name)
        done = read_record()["exercises"]
    except CourseError as problem:
        return "\n  " + _("It could not be recorded: {problem}").format(problem=problem)
    shelf = next(one for one in SHELVES if one.notebook == find(name).notebook)
    count = sum(one.name in done for one in shelf.exercises)
    said = _("{count} of {whole} exercises of this notebook are done. Points to note: solution({name!r})")
    return "\n  " + said.format(count=count, whole=len(shelf.exercises), name=name)
