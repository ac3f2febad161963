"""The fine-tuning tasks and their file formats (notebook 05).

Sources: ChnSentiCorp (Tan, 2006), a TSV with the header ``label, text_a``; OCNLI (Hu et al., 2020),
JSON lines as in CLUE.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets import Dataset

from ..errors import CourseError
from ..lines import read_lines
from ..workspace import resolve

Row = dict[str, str | int]  # "text", for pairs "text_pair", and "label" as an index
Reader = Callable[[Path, tuple[str, ...]], Iterator[Row]]


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: also the name of its folder.
        title: what is asked, in a few words.
        labels: as the files spell them, in the order of their indices.
        meanings: the labels in plain English.
        files: the file names a split may have, the first that exists is read.
        read: yields the rows of a file.
        learning_rates: the published best ones, for the teacher and for the small models.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    meanings: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    read: Reader
    learning_rates: tuple[float, float]

    def learning_rate(self, hidden: int, teacher_hidden: int) -> float:
        """The published best learning rate for a model as wide as the teacher, or for a smaller one."""
        return self.learning_rates[hidden < teacher_hidden]

    def load(self, folder: str | Path, split: Literal["train", "dev"]) -> Dataset:
        """The rows of a split: columns ``text``, for pairs ``text_pair``, and ``label`` (int).

        Args:
            folder: the folder with one sub-folder per task.
            split: ``"train"`` or ``"dev"``.

        Raises:
            CourseError: a missing file, or a broken row (file and line named).
        """
        home = resolve(folder) / self.name
        names = self.files[split]
        file = next((home / name for name in names if (home / name).is_file()), None)
        if file is None:
            raise CourseError(f"no {split} file for {self.name}", where=home, fix=f"put {' or '.join(names)} there")
        rows = list(self.read(file, self.labels))
        if not rows:
            raise CourseError("the file holds no rows", where=file)
        return Dataset.from_list(rows)


def read_labelled_tsv(file: Path, labels: tuple[str, ...]) -> Iterator[Row]:
    """Rows of a TSV with the header ``label, text_a``."""
    lines = enumerate(read_lines(file), 1)
    header = next(lines, (1, ""))[1].split("\t")
    if header != ["label", "text_a"]:
        raise CourseError(
            f"the header is {header}", where=f"{file}, line 1", fix="label and text_a, with a tab between them"
        )
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != 2:
            raise CourseError(
                f"{len(fields)} fields instead of 2: {line[:60]!r}",
                where=f"{file}, line {number}",
                fix="label, a tab, the text",
            )
        yield {"text": _text(fields[1], file, number), "label": _label(fields[0], labels, file, number)}


def read_pair_json(file: Path, labels: tuple[str, ...]) -> Iterator[Row]:
    """Rows of JSON lines with ``sentence1``, ``sentence2``, ``label``; those labelled ``-`` are left out."""
    for number, line in enumerate(read_lines(file), 1):
        try:
            row = json.loads(line)
            first, second, label = row["sentence1"], row["sentence2"], row["label"]
        except (ValueError, TypeError, KeyError) as problem:
            raise CourseError(
                f"not a row of this task ({type(problem).__name__}: {problem}): {line[:60]!r}",
                where=f"{file}, line {number}",
                fix='one JSON object a line, with "sentence1", "sentence2" and "label"',
            ) from None
        if label != "-":
            yield {
                "text": _text(first, file, number),
                "text_pair": _text(second, file, number),
                "label": _label(label, labels, file, number),
            }


def _label(label: object, labels: tuple[str, ...], file: Path, number: int) -> int:
    if label not in labels:
        raise CourseError(f"unknown label {label!r}", where=f"{file}, line {number}", fix=f"one of {', '.join(labels)}")
    return labels.index(label)


def _text(text: object, file: Path, number: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise CourseError(f"no text: {text!r}", where=f"{file}, line {number}", fix="a text that is not empty")
    return text


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "chnsenticorp",
            "is a customer's review favourable?",
            labels=("0", "1"),
            meanings=("negative", "positive"),
            files={"train": ("train.tsv",), "dev": ("dev.tsv",)},
            read=read_labelled_tsv,
            learning_rates=(2e-5, 1e-4),
        ),
        Task(
            "ocnli",
            "does the second sentence follow from the first?",
            labels=("entailment", "neutral", "contradiction"),
            meanings=("follows", "may be", "cannot be"),
            files={"train": ("train.50k.json", "train.json", "train.10k.json"), "dev": ("dev.json",)},
            read=read_pair_json,
            learning_rates=(2e-5, 5e-5),
        ),
    )
}


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        CourseError: with the names that exist.
    """
    if name not in TASKS:
        raise CourseError(f"unknown task {name!r}", fix=f"one of {', '.join(TASKS)}")
    return TASKS[name]
