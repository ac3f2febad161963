"""Text files, line by line: a line ends at a newline and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

from .errors import CourseError


def read_lines(file: str | Path) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 file without their ends (``\n`` or ``\r\n``).

    U+2028 and the like do not end a line, so that line numbers mean the same to every tool.

    Raises:
        CourseError: no such file, or bytes that are not UTF-8 (file, line and byte named).
    """
    try:
        with open(file, "rb") as stream:
            for number, raw in enumerate(stream, 1):
                yield _decode(raw, file, number)
    except OSError as problem:
        raise CourseError(
            f"cannot read the file ({problem.strerror})", where=file, fix="check the path; text files are UTF-8"
        ) from problem


def _decode(raw: bytes, file: str | Path, number: int) -> str:
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is not text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise CourseError(
            f"not UTF-8 at byte {problem.start + 1} of the line",
            where=f"{file}, line {number}",
            fix="convert the file first, for example: iconv -f GB18030 -t UTF-8",
        ) from problem


def count_lines(file: str | Path) -> int:
    """Number of lines of a file.

    Raises:
        CourseError: no such file, or one without text.
    """
    total, text = 0, False
    for line in read_lines(file):
        total += 1
        text = text or bool(line.strip())
    if not text:
        raise CourseError("the file holds no text", where=file, fix="one paragraph or sentence per line, UTF-8")
    return total
