"""Tasks from the Hugging Face hub or a mirror of it (``HF_ENDPOINT``), read into the same rows as files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from datasets import ClassLabel, Dataset

from ..errors import CourseError
from ..hub import open_dataset
from .formats import Labels, Layout, Row, question_row

SPLITS = {"train": "train", "dev": "validation", "test": "test"}
UNLABELLED = -1  # what the hub holds in place of a label that is secret or missing


@dataclass(frozen=True)
class Hub:
    """A dataset on a hub.

    Attributes:
        name: ``owner/name``, or a folder with the dataset's files.
        config: the part of it, where it has several.
        revision: the commit (or branch) to read; None: the newest.
        columns: the file's column name to the hub's, where they differ.
    """

    name: str
    config: str | None = None
    revision: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}{f' {self.config}' if self.config else ''}@{self.revision or 'main'}"


def read_hub(hub: Hub, split: str, layout: Layout | None, labels: Labels) -> Iterator[Row]:
    """The rows of a split, as the readers of files yield them.

    Args:
        hub: which dataset.
        split: ``"train"``, ``"dev"`` (the hub's ``validation``) or ``"test"``.
        layout: the columns as the task's files name them; None: questions.
        labels: as the files spell them.

    Raises:
        CourseError: no such dataset or split, no network, or a row that does not fit.
    """
    table = open_dataset(hub.name, hub.config, SPLITS[split], hub.revision)
    if layout is None:
        for number, row in enumerate(table):
            try:
                yield question_row(row["id"], row["context"], row["question"], row.get("answers") or [])
            except (KeyError, TypeError, ValueError) as problem:
                raise CourseError(
                    f"not a question ({type(problem).__name__}: {problem})",
                    where=f"{hub}, {split} row {number}, question {row.get('id')}",
                    fix="id, context, question and answers, as in CMRC 2018",
                ) from None
        return
    names = {name: hub.columns.get(name, name) for name in (layout.text, layout.pair, layout.label) if name}
    theirs = replace(layout, text=names[layout.text], pair=names.get(layout.pair), label=names[layout.label])
    spelled = _spelled(table, theirs.label, nothing=None if split == "test" else layout.skipped)
    placed = ((f"{hub}, {split} row {number}", fields) for number, fields in enumerate(spelled))
    yield from theirs.rows(placed, labels, labelled=split != "test")


def _spelled(table: Dataset, label: str, nothing: str | None) -> Iterator[dict]:
    """Rows with labels as words: the hub keeps numbers and, beside them, what they stand for."""
    feature = table.features.get(label)
    for row in table:
        if row.get(label) == UNLABELLED:
            row[label] = nothing
        elif isinstance(feature, ClassLabel):
            row[label] = feature.int2str(row[label])
        yield row
