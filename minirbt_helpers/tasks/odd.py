"""Odd rows of a file: left out or kept, but never in silence (notebook 05)."""

from ..errors import CourseError, note, some
from ..language import N_, _

BROKEN = 0.01  # share of rows that may be broken; a file with more of them is refused
SHOWN = 5  # places that a report names
UNREADABLE = N_("that cannot be read")


class OddRows:
    """What is odd in a file: counted and named in one note, or reason enough to refuse it.

    Args:
        source: the file.
        kept: whether odd rows keep their places; otherwise they are left out.
        kind: what its rows are, in the plural.
    """

    def __init__(self, source: str, kept: bool, kind: str = "rows"):
        self.source, self.kept, self.kind = source, kept, kind
        self.places: dict[str, list[str]] = {}  # by what is odd
        self.errors: list[CourseError] = []  # of the rows that cannot be read

    def add(self, why: str, place: str) -> None:
        """Count a row; without a reason it is not odd."""
        if why:
            self.places.setdefault(why, []).append(place)

    def refuse_many(self, good: int) -> None:
        """Refuse a file with more than a few broken rows, or without a good one.

        Raises:
            CourseError: the first of them.
        """
        if self.errors and (not good or len(self.errors) > BROKEN * (good + len(self.errors))):
            first, others = self.errors[0], len(self.errors) - 1
            more = _(" (and {rows} like it)").format(rows=counted(others, self.kind)) if others else ""
            raise CourseError(
                "{first}{more}", where=first.where, fix="{advice}", first=first.what, more=more, advice=first.fix
            )

    def report(self, rows: int) -> None:
        """Say what was found; ``rows`` is how many rows the file gives.

        Raises:
            CourseError: too many of them are broken, or more are left out than are left.
        """
        self.refuse_many(rows - len(self.errors) * self.kept)
        if not self.places:
            return
        parts = [self._part(why, places) for why, places in self.places.items()]
        if not self.kept and sum(map(len, self.places.values())) > rows:
            raise CourseError(
                "{parts}, and {rows} to use",
                where=self.source,
                fix="check the columns, or whether this is the right file",
                parts=_(" and ").join(parts),
                rows=counted(rows, self.kind),
            )
        note(
            "{parts} kept in place" if self.kept else "{parts} left out",
            where=self.source,
            parts=_(" and ").join(parts),
        )

    def _part(self, why: str, places: list[str]) -> str:
        cause = f": {self.errors[0].what[:80]}" if why == UNREADABLE else ""
        rows = counted(len(places), self.kind)
        return _("{rows} {why} ({places})").format(rows=rows, why=_(why), places=some(places, SHOWN) + cause)


def counted(number: int, kind: str) -> str:
    """A number of rows or questions, such as ``1 row`` or ``2 rows``."""
    said = {
        "rows": (N_("{number:,} row"), N_("{number:,} rows")),
        "questions": (N_("{number:,} question"), N_("{number:,} questions")),
    }
    return _(said[kind][number != 1]).format(number=number)
