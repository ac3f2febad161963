"""The file formats of the tasks, each as its publisher hands it out (notebook 05).

Sources: ChnSentiCorp (Tan, 2006); LCQMC (Liu et al., 2018); BQ Corpus (Chen et al., 2018); OCNLI (Hu et al.,
2020) and TNEWS (Xu et al., 2020) as in CLUE; CMRC 2018 (Cui et al., 2019); DRCD (Shao et al., 2018).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CourseError
from ..lines import read_lines

Labels = tuple[str, ...]  # as the files spell them, in the order of their indices
Row = dict[str, object]
JSON = (".json", ".jsonl")  # how the names of files of JSON lines end; all others are TSV
Numbered = Iterator[tuple[int, dict[str, object]]]  # line number and fields


@dataclass(frozen=True)
class Layout:
    """Where a labelled file keeps its texts: the names of TSV columns or of JSON fields.

    Attributes:
        text, pair, label: names; ``pair`` is None for single texts.
        columns: of a TSV without header, in order (LCQMC, BQ Corpus); None: the first line names them.
        skipped: a label whose rows are left out (OCNLI's ``-``: the annotators did not agree).
    """

    text: str
    pair: str | None = None
    label: str = "label"
    columns: tuple[str, ...] | None = None
    skipped: str | None = None

    def read(self, file: Path, labels: Labels, *, labelled: bool = True) -> Iterator[Row]:
        """Rows of a file: TSV, or JSON lines where its name ends in ``.json`` or ``.jsonl``.

        Args:
            file: UTF-8.
            labels: the labels that may stand there.
            labelled: False: a file without labels is welcome, too (a test file), and no row is left out.

        Yields:
            ``text``, for pairs ``text_pair``, and, where the file has it, ``label`` (an index; None where it is the
            skipped one).

        Raises:
            CourseError: a missing column, a broken row, an empty text or an unknown label (file and line).
        """
        places = ((f"{file}, line {number}", fields) for number, fields in self._lines(file, labelled))
        return self.rows(places, labels, labelled=labelled)

    def rows(
        self, placed: Iterable[tuple[str, Mapping[str, object]]], labels: Labels, *, labelled: bool = True
    ) -> Iterator[Row]:
        """Rows of named fields, each given with its place (for errors): a file's lines, or a hub's table."""
        for where, fields in placed:
            row: Row = {"id": fields["id"]} if "id" in fields else {}
            for ours, theirs in (("text", self.text), ("text_pair", self.pair)):
                if theirs:
                    row[ours] = _text(fields, theirs, where)
            if labelled or fields.get(self.label) not in (None, ""):
                label = _field(fields, self.label, where)
                skipped = self.skipped is not None and label == self.skipped
                if skipped and labelled:
                    continue
                row["label"] = None if skipped else _label(label, labels, where)
            yield row

    def labels(self, file: Path) -> Labels:
        """Every label that stands in a file, in alphabetical order.

        Raises:
            CourseError: as :meth:`read`, and a row without one (file and line).
        """
        found = set()
        for number, fields in self._lines(file, labelled=True):
            label = _field(fields, self.label, where := f"{file}, line {number}")
            if label is None or not str(label).strip():
                raise CourseError(f"no label: {label!r}", where=where, fix=f"a {self.label}, or leave the row out")
            found.add(_spelled(label))
        return tuple(sorted(found - {self.skipped}))

    def _lines(self, file: Path, labelled: bool) -> Numbered:
        if file.suffix in JSON:
            return _objects(file)
        needed = [name for name in (self.text, self.pair) if name]
        return _table(file, self.columns, needed, self.label if labelled else None)


def read_questions(file: Path, *, labelled: bool = True) -> Iterator[Row]:
    """Questions of CMRC 2018 or DRCD, one row each.

    Both of CMRC's forms are read: the SQuAD-like one, which is DRCD's too, and the first one
    (``context_text``, ``query_text``, answers without places). ``answers`` may also be the two lists in which the
    library datasets keeps them.

    Args:
        file: UTF-8 JSON.
        labelled: False: questions without ``answers`` are welcome, too (a test file).

    Yields:
        ``id``, ``context``, ``question``, ``answers`` (``text`` and ``answer_start``, two lists), and
        ``repaired``: how many answers did not stand where the file says and were found elsewhere (the
        nearest place counts). An answer that is nowhere in the passage has ``answer_start`` -1: it
        cannot be learned as a span, but it is scored, as by the official script.

    Raises:
        CourseError: not JSON, a field that is missing or of another kind (passage and question are named), or a
            passage or question without text.
    """
    for number, passage in enumerate(_passages(file), 1):
        first_form = isinstance(passage, dict) and "context_text" in passage
        names = ("query_id", "query_text") if first_form else ("id", "question")
        where = place = f"{file}, passage {_name(passage, 'id', 'context_id') or number}"
        try:
            context = _words(passage["context_text" if first_form else "context"])
            for count, one in enumerate(passage["qas"], 1):
                place = f"{where}, question {_name(one, names[0]) or count}"
                answers = one["answers"] if labelled else one.get("answers") or []
                name, question = (one[key] for key in names)
                yield question_row(name, context, question, answers)
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise CourseError(
                f"not a passage with questions ({type(problem).__name__}: {problem})",
                where=place,
                fix='"context" and "qas", each with "id", "question" and "answers"',
            ) from None


def _name(content: object, *names: str) -> str:
    """What a passage or question is called, for errors; what is none stands for itself."""
    found = next(filter(None, map(content.get, names)), "") if isinstance(content, dict) else content
    return str(found)[:40]


def question_row(name: object, context: object, question: object, answers: object) -> Row:
    """A question as a row, every answer at its place in the passage (see :func:`read_questions`).

    Args:
        name: the question's id.
        context, question: the texts.
        answers: a list of texts or of objects with ``text`` and ``answer_start``; or one object with both as lists.

    Raises:
        KeyError, TypeError, ValueError: of another form, or no text.
    """
    context, question = _words(context), _words(question)
    texts, said = _answers(answers)
    found = [_place(context, text, start) for text, start in zip(texts, said, strict=True)]
    repaired = sum(now >= 0 and then is not None and now != then for now, then in zip(found, said, strict=True))
    answers = {"text": texts, "answer_start": found}
    return {"id": str(name), "context": context, "question": question, "answers": answers, "repaired": repaired}


def _words(text: object) -> str:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"no text: {text!r}")
    return text


def _answers(answers: object) -> tuple[list[str], list[int | None]]:
    """Texts, and where they are said to stand; see :func:`question_row`."""
    if isinstance(answers, dict):
        texts, said = answers["text"], answers["answer_start"]
    elif isinstance(answers, list):
        texts = [answer["text"] if isinstance(answer, dict) else answer for answer in answers]
        said = [answer["answer_start"] if isinstance(answer, dict) else None for answer in answers]
    else:
        texts, said = answers, None
    if not (isinstance(texts, list) and isinstance(said, list) and all(isinstance(text, str) for text in texts)):
        raise TypeError(f"the answers are no list of texts: {answers!r}"[:120])
    if not all(start is None or isinstance(start, int) for start in said):
        raise TypeError(f"an answer_start is no number: {said!r}"[:120])
    return texts, said


def _passages(file: Path) -> Iterator[dict]:
    text = "\n".join(read_lines(file))
    try:
        content = json.loads(text)
    except ValueError as problem:
        raise CourseError(
            f"not JSON ({problem})",
            where=f"{file}, line {getattr(problem, 'lineno', 1)}",
            fix="download it again; or, if these are rows with labels, name their column with --text-column",
        ) from None
    articles = content.get("data") if isinstance(content, dict) else content
    if not isinstance(articles, list):
        raise CourseError(
            'no "data" with a list in the file', where=file, fix="a file in the form of CMRC 2018 or DRCD"
        )
    for number, article in enumerate(articles, 1):
        passages = article["paragraphs"] if isinstance(article, dict) and "paragraphs" in article else [article]
        if not isinstance(passages, list):
            raise CourseError('"paragraphs" is no list', where=f"{file}, article {number}", fix="a list of passages")
        yield from passages


def _place(context: str, text: str, start: int | None) -> int:
    """Where the text stands that is said to stand at ``start``: there, or at the nearest place, or nowhere (-1)."""
    if start is not None and start >= 0 and context.startswith(text, start):
        return start
    places = [match.start() for match in re.finditer(f"(?={re.escape(text)})", context)] if text else []
    return min(places, key=lambda place: abs(place - (start or 0)), default=-1)


def _table(file: Path, columns: tuple[str, ...] | None, needed: list[str], label: str | None) -> Numbered:
    """Lines of a TSV as fields by name; a test file may lack the label column."""
    lines = enumerate(read_lines(file), 1)
    names = columns
    if names is None:
        names = tuple(next(lines, (1, ""))[1].split("\t"))
        missing = [name for name in (*needed, label) if name and name not in names]
        if missing:
            raise CourseError(
                f"the header has no {' and no '.join(missing)}: {', '.join(names)}",
                where=f"{file}, line 1",
                fix="name the columns in the first line, with tabs between them",
            )
    for number, line in lines:
        fields = line.split("\t")
        if columns and label is None and len(fields) == len(needed):
            yield number, dict(zip(needed, fields, strict=True))
        elif len(fields) != len(names):
            raise CourseError(
                f"{len(fields)} fields instead of {len(names)}: {line[:60]!r}",
                where=f"{file}, line {number}",
                fix="with tabs between them: " + ", ".join(names),
            )
        else:
            yield number, dict(zip(names, fields, strict=True))


def _objects(file: Path) -> Numbered:
    for number, line in enumerate(read_lines(file), 1):
        try:
            row = json.loads(line)
        except ValueError as problem:
            row, why = None, f" ({problem})"
        else:
            why = ""
        if not isinstance(row, dict):
            raise CourseError(
                f"not a row of this task{why}: {line[:60]!r}",
                where=f"{file}, line {number}",
                fix="one JSON object a line",
            )
        yield number, row


def _field(fields: Mapping[str, object], name: str, where: str) -> object:
    if name not in fields:
        raise CourseError(f"no {name} in the row", where=where, fix=f"it has {', '.join(fields)}")
    return fields[name]


def _label(label: object, labels: Labels, where: str) -> int:
    if _spelled(label) not in labels:
        raise CourseError(f"unknown label {label!r}", where=where, fix=f"one of {', '.join(labels)}")
    return labels.index(_spelled(label))


def _spelled(label: object) -> str:
    """A label as text: JSON's 1 and a hub's 1.0 are the label "1"."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _text(fields: Mapping[str, object], name: str, where: str) -> str:
    text = _field(fields, name, where)
    if not isinstance(text, str) or not text.strip():
        raise CourseError(f"no text: {text!r}", where=where, fix=f"a {name} that is not empty")
    return text
