"""Rows of named fields out of TSV, CSV and JSON, as people really save them (notebook 05)."""

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import CourseError, line_of
from ..language import _
from ..lines import read_lines, refuse_old_line_ends

JSON = (".json", ".jsonl")  # how the names of files of JSON lines end
Fields = Mapping[str, object]
Placed = Iterator[tuple[str, Fields | CourseError]]  # a row's place in its file, and its fields or why it has none
Cells = list[tuple[int, list[str]]]  # line number and cells
# What other sources call the two texts and their label, where the official files have no header.
FIRST = ("sentence1", "text_a", "text1", "query1", "question1", "q1", "s1", "sent1", "sentence_a", "texta")
SECOND = ("sentence2", "text_b", "text2", "query2", "question2", "q2", "s2", "sent2", "sentence_b", "textb")
LABEL = ("label", "labels", "gold_label", "score", "similarity", "is_duplicate", "target", "class")
SINGLE = ("text_a", "text", "sentence", "review", "content")
OTHER = ("", "id", "idx", "index", "qid", "guid", "pairid")
FIRST_OF_TWO = re.compile(r"(\D{2,})(1|一|a)", re.IGNORECASE)  # 句子1 and 句子2, 问题一 and 问题二, text A and text B
SECOND_OF_TWO = re.compile(r"(\D{2,})(2|二|b)", re.IGNORECASE)
NUMBER = re.compile(r"-?\d+(\.\d+)?")
MARK = '"'
NEEDS_MARKS = re.compile(r'["\t\n]')  # inside a cell


def parse_json(text: str) -> object:
    """JSON with fractions as the text that stands there (4.50 stays so), and None where a number is none (NaN)."""
    return json.loads(text, parse_float=str, parse_constant=lambda name: None)


def visible(text: str) -> bool:
    """Whether anything of a text can be seen: blanks, byte order marks and zero-width characters cannot."""
    return any(character.isprintable() and character != " " for character in text)


def bare(text: str) -> str:
    """A short text, such as a label, without invisible characters and without blanks at its ends."""
    return " ".join("".join(character for character in text if unicodedata.category(character) != "Cf").split())


def read_rows(
    file: Path,
    columns: Sequence[str] | None,
    needed: Sequence[str],
    label: str,
    labels: Sequence[str] = (),
    labelled: bool = True,
) -> Placed:
    """The rows of a file in the form that it has: a table with or without a header, JSON lines, or a JSON list.

    Args:
        file: UTF-8.
        columns: of a table without header, in order; None: the first line names them.
        needed: the names that hold texts.
        label: the name of the label.
        labels: those the task knows: they tell a row from a header.
        labelled: False: a file without labels is welcome, too.

    Yields:
        ``"line 3"`` with the row's fields, or with the error that says why it has none. Blank lines are no rows,
        nor is a header that comes again.

    Raises:
        CourseError: a file of another form.
    """
    lines = list(read_lines(file))
    refuse_old_line_ends(file, lines)
    first = next(filter(visible, lines), "").strip().lstrip("\ufeff")
    in_json = file.suffix in JSON and "\t" not in first
    if first.startswith("[") and "\t" not in first and (rows := _listed(file, "\n".join(lines))):
        return iter(rows)
    if in_json or first.startswith("{"):
        return _objects(file, lines)
    if not first:
        return iter(())
    return (
        _bare_table(file, lines, columns, needed, labels, labelled)
        if columns
        else _table(file, lines, needed, label, labelled)
    )


def _listed(file: Path, text: str) -> list[tuple[str, Fields | CourseError]]:
    """The objects of a JSON list; none if the file is no such list."""
    try:
        content = parse_json(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(content, list):
        return []
    found = [(_("row {number}").format(number=number), row) for number, row in enumerate(content, 1)]
    return [(place, row if isinstance(row, dict) else _no_object(file, place, str(row))) for place, row in found]


def _objects(file: Path, lines: Sequence[str]) -> Placed:
    for number, line in enumerate(lines, 1):
        if not visible(line):
            continue
        place, why = _("line {number}").format(number=number), ""
        try:
            row = parse_json(line.lstrip("\ufeff"))
        except (ValueError, RecursionError) as problem:
            row, why = None, str(problem)
        yield place, row if isinstance(row, dict) else _no_object(file, place, line, why)


def _no_object(file: Path, place: str, text: str, why: str = "") -> CourseError:
    return CourseError(
        "not a row of this task ({why}): {text!r}" if why else "not a row of this task: {text!r}",
        where=f"{file}, {place}",
        fix="one JSON object a line",
        why=why,
        text=text[:60],
    )


# --- tables ---------------------------------------------------------------------------------------------------------


def _table(file: Path, lines: Sequence[str], needed: Sequence[str], label: str, labelled: bool) -> Placed:
    """The rows of a table whose first line names the columns."""
    cells = _cells(file, lines, needed)
    number, head = cells[0][0], [bare(cell) for cell in cells[0][1]]
    ours = {name.casefold(): name for name in (*needed, label)}
    names = [name if name in ours.values() else ours.get(name.casefold(), name) for name in head]
    if missing := [name for name in (*needed, *([label] if labelled else [])) if name not in names]:
        raise CourseError(
            "the header has no {names}: {head}",
            where=line_of(file, number),
            fix="name the columns in the first line, with tabs between them",
            names=_(" and no ").join(missing),
            head=", ".join(head)[:200],
        )
    if twice := [name for name in (*needed, label) if names.count(name) > 1]:
        raise CourseError(
            "two columns are called {name}",
            where=line_of(file, number),
            fix="give each a name of its own",
            name=twice[0],
        )
    return _rows(file, _without(head, cells), names)


def _bare_table(
    file: Path,
    lines: Sequence[str],
    columns: Sequence[str],
    needed: Sequence[str],
    labels: Sequence[str],
    labelled: bool,
) -> Placed:
    """The rows of a table without header; if it has one that we know, its order of columns counts."""
    cells = _cells(file, lines, needed)
    number, head = cells[0][0], [bare(cell) for cell in cells[0][1]]
    if names := _named_otherwise(head, columns):
        return _rows(file, _without(head, cells), names)
    if _is_header(head, needed, labels):
        raise CourseError(
            "line {number} looks like a header: {head}",
            where=line_of(file, number),
            fix="remove it, or name the columns {columns}, with tabs between them",
            number=number,
            head=", ".join(head),
            columns=", ".join(columns),
        )
    return _rows(file, cells, columns, () if labelled else needed)


def _without(head: Sequence[str], cells: Cells) -> Cells:
    """Cells without the header, which comes again where files were put one after another."""
    return [(number, row) for number, row in cells if [bare(cell) for cell in row] != head]


def _rows(file: Path, cells: Cells, names: Sequence[str], without_label: Sequence[str] = ()) -> Placed:
    """Cells as fields; rows that have only the columns ``without_label`` are welcome, too, where there are such."""
    for number, row in cells:
        while len(row) > len(names) and not visible(row[-1]):
            row = row[:-1]  # empty columns of a spreadsheet
        own = without_label if len(row) == len(without_label) else names
        place = _("line {number}").format(number=number)
        if len(row) == len(own):
            yield place, dict(zip(own, row, strict=True))
        else:
            yield (
                place,
                CourseError(
                    "{found} fields instead of {wanted}: {row!r}",
                    where=f"{file}, {place}",
                    fix="with tabs between them: {names}",
                    found=len(row),
                    wanted=len(names),
                    row="\t".join(row)[:60],
                    names=", ".join(names),
                ),
            )


def _named_otherwise(head: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Our names for the columns of a header that names a pair of texts in a way we know; none if it does not."""
    kinds = dict(zip(columns, (FIRST, SECOND, LABEL), strict=False))
    names = [next((ours for ours, theirs in kinds.items() if name.casefold() in theirs), name) for name in head]
    known = all(name in columns or name.casefold() in OTHER for name in names)
    return names if known and len({*names}) == len(names) and {*columns[:2]} <= {*names} else []


def _is_header(head: Sequence[str], needed: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether a first line looks like the names of columns, and like no row."""
    if len(head) < 2 or (len(head) > len(needed) and head[-1] in labels):
        return False
    one, two = FIRST_OF_TWO.fullmatch(head[0]), SECOND_OF_TWO.fullmatch(head[1])
    numbered = one is not None and two is not None and one[1] == two[1]
    return numbered or all(re.fullmatch(r"[A-Za-z_][\w. -]*", name, re.ASCII) for name in head)


def _cells(file: Path, lines: Sequence[str], needed: Sequence[str]) -> Cells:
    """The cells of a table without its blank lines; commas are between them in a CSV, else tabs."""
    first = next(filter(visible, lines), "").lstrip("\ufeff")
    names = {bare(cell).casefold() for cell in first.split(",")}
    commas = file.suffix == ".csv" or ("\t" not in first and len(names) > 1 and {*map(str.casefold, needed)} <= names)
    try:
        cells = _by_csv(lines, ",") if commas else _quoted(lines)
    except csv.Error as problem:
        what, number = problem.args
        where = line_of(file, number)
        raise CourseError("no CSV ({problem})", where=where, fix="save it as TSV, UTF-8", problem=what) from None
    cells = cells or [(number, line.split("\t")) for number, line in enumerate(lines, 1)]
    return [(number, row) for number, row in cells if len(row) > 1 or visible("".join(row))]


def _by_csv(lines: Sequence[str], between: str) -> Cells:
    """Python's csv module: a quoted cell may hold tabs, commas, line ends; a row is where its first line is.

    Raises:
        csv.Error: what is wrong, and the number of the line.
    """
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=between, strict=True)
    cells, number = [], 1
    try:
        for row in reader:
            cells.append((number, row))
            number = reader.line_num + 1
    except csv.Error as problem:
        raise csv.Error(str(problem), reader.line_num) from None
    return cells


def _quoted(lines: Sequence[str]) -> Cells:
    """The cells of a table that Excel, pandas or R wrote with quotation marks; none if this is no such table.

    Official files hold stray marks. Only a file that a writer would have written just so is taken as quoted: with marks
    around every cell, around every cell that is no number, or around those that need them.
    """
    if not any(MARK in line for line in lines):
        return []
    try:
        cells = _by_csv(lines, "\t")
    except csv.Error:
        return []
    ways = (lambda cell: True, lambda cell: not NUMBER.fullmatch(cell), lambda cell: bool(NEEDS_MARKS.search(cell)))
    return cells if any(_written(cells, way) == list(filter(None, lines)) for way in ways) else []


def _written(cells: Cells, marked: Callable[[str], bool]) -> list[str]:
    """The lines of a table whose cells have marks where ``marked`` says so, blank lines aside."""
    double = MARK * 2
    rows = ([MARK + cell.replace(MARK, double) + MARK if marked(cell) else cell for cell in row] for _, row in cells)
    return list(filter(None, "\n".join(map("\t".join, rows)).split("\n")))
