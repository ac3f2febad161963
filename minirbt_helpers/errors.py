"""One family of errors, and one of notes: what was wrong, where, and what to do about it."""

import warnings
from collections.abc import Sequence
from functools import partial

from .language import _, labelled


class CourseError(Exception):
    """An input or a setting the course cannot work with.

    Args:
        what: what was wrong, in one sentence. It is said in the language that is set.
        where: the place, as ``file`` or :func:`line_of` it; left out of the message when empty.
        fix: what the reader can do.
        fields: what stands in the braces of ``what`` and ``fix``, as for ``str.format``; where there are none,
            braces are braces.
    """

    def __init__(self, what: str, /, *, where: object = "", fix: str = "", **fields: object):
        self.what, self.fix = (_(text).format(**fields) if fields else _(text) for text in (what, fix))
        self.where = str(where)
        said = labelled(self.where, self.what) if self.where else self.what
        super().__init__(said + (f"\n  -> {self.fix}" if self.fix else ""))

    def __reduce__(self):
        """An error keeps its parts on its way out of another process."""
        return partial(type(self), where=self.where, fix=self.fix), (self.what,)


class Interrupted(CourseError):
    """A run stopped on request (Ctrl-C); what it had done is saved, whole."""


class CourseWarning(UserWarning):
    """Something a reader should know; the work goes on. It is printed as one plain line, without file and code."""


def line_of(file: object, number: int) -> str:
    """A place for an error: a line of a file, counted from 1."""
    return _("{file}, line {number}").format(file=file, number=number)


def some(things: Sequence[object], most: int = 3) -> str:
    """The first of some things, for an error; dots say that there are more."""
    return _(", ").join(map(str, things[:most])) + " …" * (len(things) > most)


def note(what: str, /, *, where: object = "", fix: str = "", **fields: object) -> None:
    """Tell the reader what was found and done about it, as a :class:`CourseWarning`; arguments as an error's.

    Python says the same note once; ``warnings.filterwarnings`` silences it or makes an error of it.
    """
    warnings.warn(CourseWarning(str(CourseError(what, where=where, fix=fix, **fields))), stacklevel=2)


def _plainly(message, category, filename, lineno, line=None) -> str:
    if issubclass(category, CourseWarning):
        return _("note: {message}").format(message=message) + "\n"
    return _before(message, category, filename, lineno, line)


_before = warnings.formatwarning
warnings.formatwarning = _plainly  # of all other warnings the form stays as it was
