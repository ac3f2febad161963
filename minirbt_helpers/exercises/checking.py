"""A reader's function runs on all cases, under a watch, and is judged."""

import copy
import ctypes
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ..language import _
from .comparing import difference, finite, plain, show
from .exercise import Exercise

SECONDS = 1.5  # for all cases together; with what comes around them a check stays below two
PATIENCE = 0.3  # more, for a function to end that was told to
NOTHING = object()  # the answer of a case that was not reached


class Stopped(BaseException):
    """Ends a function that runs too long. It is no ``Exception``, so that ``except Exception`` lets it pass."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        passed: whether all cases are right.
        message: what the reader is told.
        answered: whether there was anything to judge.
    """

    passed: bool
    message: str
    answered: bool = True


@dataclass
class Outcome:
    """What a reader's function did on one case.

    Attributes:
        given: the arguments, as they were before.
        answer: plain; ``NOTHING`` where none came.
        problem: an exception, in words.
        raised: the exception's name.
        changed: the arguments that the function changed.
    """

    given: tuple
    answer: object = NOTHING
    problem: str = ""
    raised: str = ""
    changed: list[str] = field(default_factory=list)


def judge(exercise: Exercise, function: Callable) -> Verdict:
    """Run a function on all cases of an exercise and say how far off it is.

    Whatever the function does is borne: it may raise, return anything, change its arguments or never end.
    """
    name = exercise.name
    if not callable(function):
        said = _("{name}: give the function itself, without brackets: check({name!r}, {name})")
        return Verdict(False, said.format(name=name))
    outcomes, used, finished = _run(exercise, function)
    if used := used or _itself(exercise, function):
        helper = used.rpartition(".")[2]
        said = _("{name}: your function calls {helper}. Here it is your turn: write it yourself.")
        return Verdict(False, said.format(name=name, helper=helper))
    if not finished:
        where = "".join(f"\n    {_shown(exercise, one.given)}" for one in outcomes[-1:])
        said = _("{name}: stopped after {seconds:g} seconds. Your function was still at work on{where}")
        return Verdict(False, said.format(name=name, seconds=SECONDS, where=where))
    if all(one.answer is None for one in outcomes):
        said = _("{name}: nothing is returned yet. Write the body, and run both cells again.")
        return Verdict(False, said.format(name=name), False)
    right = [plain(exercise.solve(*copy.deepcopy(one.given))) for one in outcomes]
    offs = [
        one.problem or difference(truth, one.answer, exercise.tolerance)
        for truth, one in zip(right, outcomes, strict=True)
    ]
    if any(offs):
        return Verdict(False, _report(exercise, outcomes, offs))
    if changed := next((one.changed for one in outcomes if one.changed), None):
        said = _("{name}: the answers are right, but your function changes {what}. Work on a copy.")
        return Verdict(False, said.format(name=name, what=_(" and ").join(changed)))
    return Verdict(True, _("{name}: all {count} cases are right. Well done!").format(name=name, count=len(right)))


def _report(exercise: Exercise, outcomes: list[Outcome], offs: list[str]) -> str:
    """How many cases are right, the first that is not, and what the fault seems to be."""
    first = next(place for place, off in enumerate(offs) if off)
    one, right = outcomes[first], offs.count("")
    said = _("{name}: right in {right} of {count} cases. The first difference:")
    returned = _("you return {answer}: {off}").format(answer=show(one.answer), off=offs[first])
    lines = [said.format(name=exercise.name, right=right, count=len(offs)), f"    {_shown(exercise, one.given)}"]
    lines.append(f"    {offs[first] if one.problem else returned}")
    if fault := _slip(exercise, outcomes, offs) or _sign(exercise, one) or exercise.raises.get(one.raised):
        lines.append(f"  {fault}")
    lines.append("  " + _("More help: hint({name!r})").format(name=exercise.name))
    return "\n".join(lines)


def _slip(exercise: Exercise, outcomes: list[Outcome], offs: list[str]) -> str:
    """The known mistake that gives the very same answers.

    Cases whose answer is nan say nothing, unless the first difference is one of them: then nan is the fault.
    """
    sound = [(one, off) for one, off in zip(outcomes, offs, strict=True) if not one.problem and finite(one.answer)]
    first = next(one for one, off in zip(outcomes, offs, strict=True) if off)
    if all(one is not first for one, _ in sound):
        return ""
    for fault, slip in exercise.slips:
        with suppress(Exception):
            made = [plain(slip(*copy.deepcopy(one.given))) for one, _ in sound]
            pairs = zip(made, sound, strict=True)
            if not any(difference(own, one.answer, exercise.tolerance) for own, (one, _) in pairs):
                return fault
    return ""


def _sign(exercise: Exercise, outcome: Outcome) -> str:
    """The known fault that shows in the answer to one case."""
    for fault, sign in exercise.signs:
        with suppress(Exception):
            if not outcome.problem and sign(outcome.answer, *copy.deepcopy(outcome.given)):
                return fault
    return ""


def _shown(exercise: Exercise, given: tuple) -> str:
    return ", ".join(f"{name}={show(value)}" for name, value in zip(exercise.parameters, given, strict=True))


def _itself(exercise: Exercise, function: object) -> str:
    """The helper that a function is, below what it may be wrapped in; empty if it is none."""
    while function is not None:
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
        if name in exercise.helpers:
            return name
        function = getattr(function, "__wrapped__", None) or getattr(function, "func", None)  # wraps, partial
    return ""


# --- the watch ------------------------------------------------------------------------------------------------------


def _run(exercise: Exercise, function: Callable) -> tuple[list[Outcome], str, bool]:
    """The outcomes of all cases, the helper that was called (or none), and whether there was an end."""
    outcomes: list[Outcome] = []
    used: list[str] = []

    def work() -> None:
        sys.setprofile(_watch(exercise.helpers, used))
        try:
            for given in exercise.cases():
                outcomes.append(Outcome(given))
                _answer(exercise, function, outcomes[-1])
        except Stopped:
            pass
        finally:
            sys.setprofile(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join(SECONDS)
    finally:
        finished = not thread.is_alive()
        _stop(thread)
    return outcomes, used[0] if used else "", finished


def _answer(exercise: Exercise, function: Callable, outcome: Outcome) -> None:
    """Call the function on a case, and look at what it returns and at what it changes."""
    own = copy.deepcopy(outcome.given)
    try:
        outcome.answer = plain(function(*own))
    except Stopped:
        raise
    except BaseException as problem:  # SystemExit, too
        outcome.problem, outcome.raised = _in_words(problem), type(problem).__name__
    pairs = zip(exercise.parameters, outcome.given, own, strict=True)
    outcome.changed = [name for name, before, after in pairs if difference(plain(before), plain(after), 0.0)]


def _in_words(problem: BaseException) -> str:
    """An exception in one line, with the line of the reader's code."""
    frames = [one for one in traceback.extract_tb(problem.__traceback__) if "minirbt_helpers" not in one.filename]
    where = ""
    if frames and frames[0].line:
        where = _(" (line {number} of the cell: {line})").format(number=frames[0].lineno, line=frames[0].line)
    raised = f"{type(problem).__name__}: {str(problem)[:200]}{where}"
    return _("your function raises {raised}").format(raised=raised)


def _watch(helpers: tuple[str, ...], used: list[str]) -> Callable:
    """A profiler that notes the first helper that is called, by whatever way."""

    def see(frame, event: str, called) -> None:
        if event == "call":
            name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
        else:
            name = getattr(called, "__name__", "") if event == "c_call" else ""
        if name in helpers:
            used.append(name)

    return see


def _stop(thread: threading.Thread) -> None:
    """End a thread as soon as it is back in Python; one that never is, is left behind."""
    end = time.monotonic() + PATIENCE
    while thread.is_alive() and time.monotonic() < end:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped))
        thread.join(0.02)
