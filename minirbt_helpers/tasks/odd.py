"""Odd rows of a file: left out or kept, but never in silence (notebook 05)."""

from ..errors import CourseError, note

BROKEN = 0.01  # share of rows that may be broken; a file with more of them is refused
SHOWN = 5  # places that a report names
UNREADABLE = "that cannot be read"


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
            more = f" (and {counted(others, self.kind)} like it)" if others else ""
            raise CourseError(first.what + more, where=first.where, fix=first.fix)

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
            what = f"{' and '.join(parts)}, and {counted(rows, self.kind)} to use"
            raise CourseError(what, where=self.source, fix="check the columns, or whether this is the right file")
        note(f"{' and '.join(parts)} {'kept in place' if self.kept else 'left out'}", where=self.source)

    def _part(self, why: str, places: list[str]) -> str:
        cause = f": {self.errors[0].what[:80]}" if why == UNREADABLE else ""
        return f"{counted(len(places), self.kind)} {why} ({some(places)}{cause})"


def counted(number: int, kind: str) -> str:
    """A number of things, such as ``1 row`` or ``2 rows``."""
    return f"{number:,} {kind.removesuffix('s') if number == 1 else kind}"


def some(places: list[str]) -> str:
    """The first of some places."""
    return ", ".join(places[:SHOWN]) + " …" * (len(places) > SHOWN)
