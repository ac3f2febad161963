"""Text files, line by line: a line ends at a newline and nowhere else."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from .errors import CourseError, line_of
from .language import N_, _
from .sniffing import HEAD, disguise

BATCH = 2**18  # bytes of text that go through the text room at once
LOOKED_AT = 3  # lines that tell plain text from JSON


def read_lines(file: str | Path) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 file without their ends (``\n`` or ``\r\n``).

    U+2028 and the like do not end a line, so that line numbers mean the same to every tool.

    Raises:
        CourseError: no such file, bytes that are not UTF-8 (file, line and byte named), or a file that is no text:
            a Git LFS pointer, a web page, an archive, UTF-16 …
    """
    for lines in read_batches(file):
        yield from lines


def read_batches(file: str | Path, size: int = BATCH, start: int = 0, end: int | None = None) -> Iterator[list[str]]:
    """The lines of :func:`read_lines`, in lists of about ``size`` bytes together.

    Args:
        file: UTF-8 text.
        size: of a batch.
        start, end: only lines that begin in these bytes; ranges side by side share a file out, line by line.

    Raises:
        CourseError: as :func:`read_lines`.
    """
    try:
        with open(file, "rb") as stream:
            if start:
                stream.seek(start - 1)
                stream.readline()  # the rest of a line that began before
            at = stream.tell()
            while raw := stream.read(size if end is None else max(0, min(size, end - at))):
                raw += b"" if raw.endswith(b"\n") else stream.readline()
                yield _split(raw, file, at)
                at += len(raw)
    except OSError as problem:
        raise CourseError(
            "cannot read the file ({reason})",
            where=file,
            fix="check the path; text files are UTF-8",
            reason=problem.strerror,
        ) from problem


def _split(raw: bytes, file: str | Path, at: int) -> list[str]:
    if not at and (found := disguise(raw[:HEAD])):
        raise CourseError("this is {kind}", where=file, fix="{way}", kind=found[0], way=found[1])
    raw = raw.removesuffix(b"\n")
    if not at:
        raw = raw.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is not text
    try:
        lines = raw.decode("utf-8").split("\n")
    except UnicodeDecodeError as problem:
        *before, broken = raw[: problem.start].split(b"\n")
        with open(file, "rb") as stream:
            done = sum(piece.count(b"\n") for piece in iter(lambda: stream.read(min(BATCH, at - stream.tell())), b""))
        raise CourseError(
            "not UTF-8 at byte {byte} of the line",
            where=line_of(file, done + len(before) + 1),
            fix="{way}",
            way=_conversion(raw),
            byte=len(broken) + 1,
        ) from problem
    return [line.removesuffix("\r") for line in lines] if b"\r" in raw else lines


def _conversion(raw: bytes) -> str:
    """What to do about bytes that are not UTF-8: mend the few that are broken, or convert from a likely encoding."""
    if raw.decode("utf-8", "replace").count("\ufffd") * 100 < len(raw):
        return _("few bytes are broken: mend the line, or leave them out: iconv -c -f UTF-8 -t UTF-8 old >new")
    return _("convert the file first, for example: {command}").format(
        command=f"iconv -f {_encoding(raw)} -t UTF-8 old >new"
    )


def _encoding(raw: bytes) -> str:
    """A guess: of these only UTF-16 has NULs, and what Big5 cannot read, or reads as gibberish, is GB18030."""
    if 0 in raw:
        return "UTF-16LE" if raw.count(b"\n\0") >= raw.count(b"\0\n") else "UTF-16BE"
    try:
        return "BIG5" if any(common in raw.decode("big5") for common in "的是不我") else "GB18030"
    except UnicodeDecodeError:
        return "GB18030"


def require_text(file: str | Path) -> None:
    """Look for plain text in a file, no further than its first lines that are not blank.

    Raises:
        CourseError: no such file, one that is not UTF-8 up to there, one without text, or one whose text stands
            between JSON's braces or WikiExtractor's tags.
    """
    first = list(islice(filter(str.strip, read_lines(file)), LOOKED_AT))
    if not first:
        raise CourseError("the file holds no text", where=file, fix="one paragraph or sentence per line, UTF-8")
    if all(map(_is_json_object, first)):
        raise CourseError(
            "these are JSON lines, not plain text",
            where=file,
            fix="take the text out of the field that holds it, for example: jq -r .text {file} >text.txt",
            file=file,
        )
    if re.match(r"<doc\b[^>]*>\s*$", first[0]) or re.match(r"\s*<(\?xml|mediawiki)\b", first[0]):
        fix = N_("take the tags away first (WikiExtractor's: grep -v -e '^<doc ' -e '^</doc>$')")
        raise CourseError("tags stand around the text: this is no plain text", where=file, fix=fix)
    refuse_old_line_ends(file, first)


def refuse_old_line_ends(file: str | Path, lines: Sequence[str]) -> None:
    r"""Refuse a file of one line with ``\r`` in it, given its lines: these end as on old Macs."""
    if len(lines) == 1 and "\r" in lines[0].strip("\r"):
        fix = N_("convert them: tr '\\r' '\\n' <old >new")
        raise CourseError("the lines end as on old Macs (CR): all are one line here", where=file, fix=fix)


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def byte_size(lines: list[str]) -> int:
    """How many bytes lines take in a file, their ends included."""
    return sum(map(len, map(str.encode, lines))) + len(lines)
