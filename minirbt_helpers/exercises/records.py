"""What a reader has done: a small file in the reader's workspace. Nothing of it leaves the machine."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from ..errors import CourseError
from ..workspace import atomic_file, default_runs

FILE = "exercises.json"
KINDS = ("exercises", "questions")
Record = dict[str, dict[str, object]]  # by kind: name to when it was solved, or to whether the first answer was right


def record_file() -> Path:
    """Where the record lies."""
    return default_runs() / FILE


def read_record() -> Record:
    """What is done: the exercises with the time of success, the questions with whether the first answer was right.

    A file that cannot be read is put aside under another name, and a new record begins.
    """
    file = record_file()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {kind: dict(content[kind]) for kind in KINDS}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, KeyError):
        try:
            file.replace(file.with_suffix(".damaged.json"))
        except OSError as problem:
            raise CourseError(
                "the record of what you have done cannot be read ({reason})",
                where=file,
                fix="move the file away",
                reason=problem.strerror,
            ) from problem
    return {kind: {} for kind in KINDS}


def note_success(name: str) -> None:
    """Write down that an exercise is solved; the first time counts.

    Raises:
        CourseError: the record cannot be read or written.
    """
    record = read_record()
    if name not in record["exercises"]:
        record["exercises"][name] = datetime.now().astimezone().isoformat(timespec="seconds")
        _write(record)


def note_answer(name: str, right: bool) -> bool:
    """Write down whether a question was answered rightly, and say whether it was the first answer: only that counts.

    Raises:
        CourseError: the record cannot be read or written.
    """
    record = read_record()
    if first := name not in record["questions"]:
        record["questions"][name] = right
        _write(record)
    return first


def _write(record: Mapping) -> None:
    with atomic_file(record_file()) as file:
        json.dump(record, file, ensure_ascii=False, indent=2, sort_keys=True)
        file.write("\n")
