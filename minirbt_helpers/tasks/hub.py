"""Tasks from the Hugging Face hub or a mirror of it (``HF_ENDPOINT``), read into the same rows as files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from datasets import ClassLabel, Dataset

from ..errors import CourseError
from ..hub import open_dataset
from ..language import _
from .formats import Labels, Layout, Row, question_rows
from .tables import FIRST, LABEL, SECOND, SINGLE

SPLITS = {"train": "train", "dev": "validation", "test": "test"}
UNLABELLED = (-1, "-1")  # what the hub holds in place of a label that is secret or missing


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


def read_hub(hub: Hub, split: str, layout: Layout | None, labels: Labels) -> list[Row]:
    """The rows of a split, as the readers of files yield them.

    Args:
        hub: which dataset.
        split: ``"train"``, ``"dev"`` (the hub's ``validation``) or ``"test"``.
        layout: the columns as the task's files name them; None: questions.
        labels: as the files spell them.

    Raises:
        CourseError: no such dataset or split, no network, or rows that do not fit.
    """
    table, labelled, source = _open(hub, split), split != "test", str(hub)
    if layout is None:
        place = _("{split} row {number}, question {name}")
        asked = ((place.format(split=split, number=n, name=row.get("id")), row) for n, row in enumerate(table))
        placed = ((place, _whole(row, f"{source}, {place}")) for place, row in asked)
        return question_rows(source, placed, labelled=labelled)
    theirs = replace(
        layout,
        text=_column(table, hub, layout.text, FIRST if layout.pair else SINGLE),
        pair=_column(table, hub, layout.pair, SECOND) if layout.pair else None,
        label=_column(table, hub, layout.label, LABEL),
    )
    spelled = _spelled(table, theirs.label, nothing=layout.skipped if labelled else None)
    place = _("{split} row {number}")
    placed = ((place.format(split=split, number=n), row) for n, row in enumerate(spelled))
    return theirs.rows(source, placed, labels, labelled=labelled)


def _open(hub: Hub, split: str) -> Dataset:
    """The split; a copy of the dataset that has no part of the configuration's name is read without one."""
    try:
        return open_dataset(hub.name, hub.config, SPLITS[split], hub.revision)
    except CourseError as problem:
        if not (hub.config and "BuilderConfig" in problem.what and "not found" in problem.what):
            raise
        return open_dataset(hub.name, None, SPLITS[split], hub.revision)


def _column(table: Dataset, hub: Hub, name: str, others: Sequence[str]) -> str:
    """What a table calls a column: as noted of the dataset, as the official files do, or as others do."""
    names = (hub.columns.get(name, name), name, *others)
    return next((one for one in names if one in table.column_names), names[0])


def _whole(row: dict, where: str) -> dict | CourseError:
    missing = [name for name in ("context", "question") if name not in row]
    if not missing:
        return row
    return CourseError(
        "no {names}",
        where=where,
        fix="id, context, question and answers, as in CMRC 2018",
        names=_(" and no ").join(missing),
    )


def _spelled(table: Dataset, label: str, nothing: str | None) -> Iterator[dict]:
    """Rows with labels as words: the hub keeps numbers and, beside them, what they stand for."""
    feature = table.features.get(label)
    for row in table:
        if row.get(label) in UNLABELLED:
            row[label] = nothing
        elif isinstance(feature, ClassLabel) and row.get(label) is not None:
            row[label] = feature.int2str(row[label])
        yield row
