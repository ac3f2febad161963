"""The seven tasks of the published table (notebook 05)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from datasets import Dataset

from ..errors import CourseError
from ..workspace import resolve
from .formats import Labels, Row, read_labelled_tsv, read_news_json, read_pair_json, read_pair_tsv, read_questions

Split = Literal["train", "dev"]
TEACHER_LAYERS = 12


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: also the name of its folder.
        title: what is asked, in a few words.
        files: the file names a split may have; the first that exists is read.
        read: yields the rows of a file.
        learning_rates: the published best ones, for the teacher and for small models.
        answers: every label as the files spell it, in the order of the indices, with its meaning in
            plain English; empty where the answer is a span of a passage.
    """

    name: str
    title: str
    files: dict[Split, tuple[str, ...]]
    read: Callable[[Path, Labels], Iterator[Row]]
    learning_rates: tuple[float, float]
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """The labels as the files spell them."""
        return tuple(self.answers)

    @property
    def meanings(self) -> Labels:
        """The labels in plain English."""
        return tuple(self.answers.values())

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured, the figure that counts first."""
        return ("accuracy",) if self.answers else ("f1", "em")

    @property
    def metric(self) -> str:
        """The figure that counts: accuracy, or F1."""
        return self.metrics[0]

    def learning_rate(self, layers: int) -> float:
        """The published best learning rate: RoBERTa's for twelve layers, the small models' for fewer.

        The README names RBT3, RBT4-H312 and the two MiniRBT as small; RBT6 is taken as one of them here.
        """
        return self.learning_rates[layers < TEACHER_LAYERS]

    def load(self, folder: str | Path, split: Split) -> Dataset:
        """The rows of a split.

        Args:
            folder: the folder with one sub-folder per task.
            split: ``"train"`` or ``"dev"``.

        Returns:
            Columns ``text``, for pairs ``text_pair``, and ``label`` (int); for questions those of
            :func:`~minirbt_helpers.tasks.formats.read_questions`.

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


TSV: dict[Split, tuple[str, ...]] = {"train": ("train.tsv",), "dev": ("dev.tsv",)}
JSON_LINES: dict[Split, tuple[str, ...]] = {"train": ("train.json",), "dev": ("dev.json",)}
SAME = {"0": "different", "1": "the same"}
INFERENCE = {"entailment": "follows", "neutral": "may be", "contradiction": "cannot be"}
NEWS = {
    "100": "story", "101": "culture", "102": "entertainment", "103": "sports", "104": "finance", "106": "houses",
    "107": "cars", "108": "education", "109": "technology", "110": "military", "112": "travel", "113": "world",
    "114": "stocks", "115": "farming", "116": "games",
}  # fmt: skip

# Published learning rates: README of iflytek/MiniRBT, for RoBERTa and for every small model.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "cmrc2018",
            "which words of the passage answer the question?",
            {"train": ("cmrc2018_train.json",), "dev": ("cmrc2018_dev.json",)},
            read_questions,
            (3e-5, 1e-4),
        ),
        Task(
            "drcd",
            "the same in traditional characters, from Taiwan",
            {"train": ("DRCD_training.json",), "dev": ("DRCD_dev.json",)},
            read_questions,
            (3e-5, 1e-4),
        ),
        Task(
            "ocnli",
            "does the second sentence follow from the first?",
            {"train": ("train.50k.json", "train.json", "train.10k.json"), "dev": ("dev.json",)},
            read_pair_json,
            (2e-5, 5e-5),
            INFERENCE,
        ),
        Task("lcqmc", "do two questions ask the same?", TSV, read_pair_tsv, (2e-5, 1e-4), SAME),
        Task("bq", "do two questions to a bank ask the same?", TSV, read_pair_tsv, (3e-5, 1e-4), SAME),
        Task("tnews", "what is a headline about?", JSON_LINES, read_news_json, (2e-5, 1e-4), NEWS),
        Task(
            "chnsenticorp",
            "is a customer's review favourable?",
            TSV,
            read_labelled_tsv,
            (2e-5, 1e-4),
            {"0": "negative", "1": "positive"},
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
