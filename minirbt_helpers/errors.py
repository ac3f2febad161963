"""One family of errors, and one of notes: what was wrong, where, and what to do about it."""

import warnings
from functools import partial


class CourseError(Exception):
    """An input or a setting the course cannot work with.

    Args:
        what: what was wrong, in one sentence.
        where: the place, as ``file`` or ``file, line 12``; left out of the message when empty.
        fix: what the reader can do.
    """

    def __init__(self, what: str, *, where: object = "", fix: str = ""):
        self.what, self.where, self.fix = what, str(where), fix
        place = f"{self.where}: " if self.where else ""
        super().__init__(f"{place}{what}" + (f"\n  -> {fix}" if fix else ""))

    def __reduce__(self):
        """An error keeps its parts on its way out of another process."""
        return partial(type(self), where=self.where, fix=self.fix), (self.what,)


class Interrupted(CourseError):
    """A run stopped on request (Ctrl-C); what it had done is saved, whole."""


class CourseWarning(UserWarning):
    """Something a reader should know; the work goes on. It is printed as one plain line, without file and code."""


def note(what: str, *, where: object = "", fix: str = "") -> None:
    """Tell the reader what was found and done about it, as a :class:`CourseWarning`; arguments as an error's.

    Python says the same note once; ``warnings.filterwarnings`` silences it or makes an error of it.
    """
    warnings.warn(CourseWarning(str(CourseError(what, where=where, fix=fix))), stacklevel=2)


def _plainly(message, category, filename, lineno, line=None) -> str:
    if issubclass(category, CourseWarning):
        return f"note: {message}\n"
    return _before(message, category, filename, lineno, line)


_before = warnings.formatwarning
warnings.formatwarning = _plainly  # of all other warnings the form stays as it was
