"""One family of errors: what was wrong, where, and what to do about it."""


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


class Interrupted(CourseError):
    """A run stopped on request (Ctrl-C); what it had done is saved, whole."""
