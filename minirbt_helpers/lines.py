"""Text files, line by line: a line ends at a newline and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

from .errors import CourseError

BATCH = 2**18  # bytes of text that go through the text room at once


def read_lines(file: str | Path) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 file without their ends (``\n`` or ``\r\n``).

    U+2028 and the like do not end a line, so that line numbers mean the same to every tool.

    Raises:
        CourseError: no such file, or bytes that are not UTF-8 (file, line and byte named).
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
            f"cannot read the file ({problem.strerror})", where=file, fix="check the path; text files are UTF-8"
        ) from problem


def _split(raw: bytes, file: str | Path, at: int) -> list[str]:
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
            f"not UTF-8 at byte {len(broken) + 1} of the line",
            where=f"{file}, line {done + len(before) + 1}",
            fix="convert the file first, for example: iconv -f GB18030 -t UTF-8",
        ) from problem
    return [line.removesuffix("\r") for line in lines] if b"\r" in raw else lines


def require_text(file: str | Path) -> None:
    """Look for text in a file, no further than its first line that is not blank.

    Raises:
        CourseError: no such file, one that is not UTF-8 up to there, or one without text.
    """
    if not any(map(str.strip, read_lines(file))):
        raise CourseError("the file holds no text", where=file, fix="one paragraph or sentence per line, UTF-8")


def byte_size(lines: list[str]) -> int:
    """How many bytes lines take in a file, their ends included."""
    return sum(map(len, map(str.encode, lines))) + len(lines)
