"""The file formats of the tasks, each as its publisher hands it out (notebook 05).

Sources: ChnSentiCorp (Tan, 2006); LCQMC (Liu et al., 2018); BQ Corpus (Chen et al., 2018); OCNLI (Hu et al.,
2020) and TNEWS (Xu et al., 2020) as in CLUE; CMRC 2018 (Cui et al., 2019); DRCD (Shao et al., 2018).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CourseError, line_of, note, some
from ..language import N_, _
from ..lines import read_lines
from .odd import SHOWN, UNREADABLE, OddRows, counted
from .tables import Fields, bare, parse_json, read_rows, visible

Labels = tuple[str, ...]  # as the files spell them, in the order of their indices
Row = dict[str, object]
TOO_MANY = 50  # labels; with more of them than half as many as rows, their column holds something else


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

    def read(self, file: Path, labels: Labels, *, labelled: bool = True) -> list[Row]:
        """Rows of a file: TSV, CSV or JSON lines, told from its name and its first line.

        Args:
            file: UTF-8.
            labels: the labels that may stand there.
            labelled: False: a file without labels is welcome, too (a test file), and no row is left out.

        Returns:
            ``text``, for pairs ``text_pair``, and, where the file has it, ``label`` (an index; None where it is the
            skipped one, or none of ``labels``).

        Raises:
            CourseError: a missing column; or as :meth:`rows`.
        """
        return self.rows(str(file), self._placed(file, labels, labelled), labels, labelled=labelled)

    def rows(
        self, source: str, placed: Iterable[tuple[str, Fields | CourseError]], labels: Labels, *, labelled: bool = True
    ) -> list[Row]:
        """Rows of named fields, each given with its place: a file's lines, or a hub's table.

        Numbers count as their text. Where labels are asked for, rows without text or label are left out; otherwise
        every row keeps its place. A :class:`~minirbt_helpers.errors.CourseWarning` counts and names such rows.

        Args:
            source: what they are the rows of.
            placed: ``"line 3"`` and its fields, or what is wrong with it.
            labels: the labels that may stand there.
            labelled: as for :meth:`read`.

        Raises:
            CourseError: more than one row in a hundred is broken (its place named).
        """
        rows: list[Row] = []
        odd = OddRows(source, kept=not labelled)
        for place, fields in placed:
            try:
                row, why = self._row(fields, labels, f"{source}, {place}", labelled)
            except CourseError as problem:
                known = {"id": fields["id"]} if not isinstance(fields, CourseError) and "id" in fields else {}
                row = known | {"text": "", "label": None} | ({"text_pair": ""} if self.pair else {})
                why = UNREADABLE
                odd.errors.append(problem)
            odd.add(why, place)
            if odd.kept or not why:
                rows.append(row)
        odd.report(len(rows))
        return rows

    def _row(self, fields: Fields | CourseError, labels: Labels, where: str, labelled: bool) -> tuple[Row, str]:
        """A row, and what is odd about it ("": nothing)."""
        if isinstance(fields, CourseError):
            raise fields
        row: Row = {"id": fields["id"]} if "id" in fields else {}
        for ours, theirs in (("text", self.text), ("text_pair", self.pair)):
            if theirs:
                row[ours] = _text(fields, theirs, where)
        why = "" if all(visible(row[name]) for name in ("text", "text_pair") if name in row) else N_("without text")
        if not labelled and self.label not in fields:
            return row, why
        label = _field(fields, self.label, where)
        row["label"] = None
        if is_nothing(label):
            return row, why or (N_("without label") if labelled else "")
        if self.skipped is not None and label == self.skipped:
            return row, why or (_("labelled {label!r}").format(label=label) if labelled else "")
        try:
            row["label"] = _index(label, labels, where)
        except CourseError:
            if labelled:
                raise
            return row, why or N_("with a label that the task does not have, and so not scored,")
        return row, why

    def labels(self, file: Path) -> Labels:
        """Every label that stands in a file, in alphabetical order.

        Raises:
            CourseError: as :meth:`read`; labels that look alike, scores in place of classes, nearly as many labels as
                rows (file and lines named).
        """
        lines: dict[str, str] = {}  # the first place of each
        odd, count = OddRows(str(file), kept=False), 0
        for place, fields in self._placed(file, (), True):
            count += 1
            try:
                if isinstance(fields, CourseError):
                    raise fields
                label = _field(fields, self.label, where := f"{file}, {place}")
                if not is_nothing(label):
                    lines.setdefault(spelled(label, where), place)
            except CourseError as problem:
                odd.errors.append(problem)
        odd.refuse_many(count - len(odd.errors))
        lines.pop(self.skipped, None)
        _check_labels(file, self.label, lines, count)
        return tuple(sorted(lines))

    def _placed(self, file: Path, labels: Labels, labelled: bool) -> Iterator[tuple[str, Fields | CourseError]]:
        needed = [name for name in (self.text, self.pair) if name]
        return read_rows(file, self.columns, needed, self.label, labels, labelled)


def read_questions(file: Path, *, labelled: bool = True) -> list[Row]:
    """Questions of CMRC 2018 or DRCD, one row each.

    Both of CMRC's forms are read: the SQuAD-like one, which is DRCD's too, and the first one
    (``context_text``, ``query_text``, answers without places). ``answers`` may also be the two lists in which the
    library datasets keeps them, and a row (or a line of JSON) may be a question with its passage.

    Args:
        file: UTF-8 JSON.
        labelled: False: a file without ``answers`` is welcome, too (a test file), and no question is left out.

    Returns:
        As :func:`question_rows`.

    Raises:
        CourseError: not JSON, or JSON of another form; or as :func:`question_rows`.
    """
    return question_rows(str(file), _asked(file), labelled=labelled)


def question_rows(source: str, placed: Iterable[tuple[str, Fields | CourseError]], *, labelled: bool) -> list[Row]:
    """Questions, each given with its place, as rows; numbers count as their text.

    Args:
        source: what they are the questions of.
        placed: a place and ``id``, ``context``, ``question``, ``answers``, or what is wrong there.
        labelled: True: questions without text are left out; False: they keep their places. A
            :class:`~minirbt_helpers.errors.CourseWarning` counts and names them.

    Returns:
        ``id``, ``context``, ``question``, ``answers`` (``text`` and ``answer_start``, two lists), and ``repaired``;
        see :func:`question_row`.

    Raises:
        CourseError: more than one question in a hundred is broken (passage and question named), or answers are asked
            for, and no question has one.
    """
    rows, odd = [], OddRows(source, kept=not labelled, kind="questions")
    placeholders, without = [], []  # places of questions whose answers are none, and that have none at all
    for number, (place, fields) in enumerate(placed, 1):
        try:
            row = _question(fields, f"{source}, {place}", number)
            why = "" if visible(row["context"]) and visible(row["question"]) else N_("without text")
        except CourseError as problem:
            row, why = _without_answers(fields, number), UNREADABLE
            odd.errors.append(problem)
        odd.add(why, place)
        if odd.kept or not why:
            rows.append(row)
            if not row["answers"]["text"] and not why:
                (placeholders if fields.get("answers") else without).append(place)
    odd.report(len(rows))
    answered = any(row["answers"]["text"] for row in rows)
    if labelled and not answered:
        raise CourseError(
            "no question has an answer",
            where=source,
            fix='"answers" with a "text" each; questions alone can be predicted: minirbt predict',
        )
    if placeholders or (without and answered):
        _note_unanswered(source, placeholders + without, labelled)
    return rows


def _note_unanswered(source: str, places: list[str], labelled: bool) -> None:
    note(
        "{questions} without an answer in the passage ({places}): neither learned nor scored"
        if labelled
        else "{questions} without an answer in the passage ({places}): predicted, and not scored",
        where=source,
        questions=counted(len(places), "questions"),
        places=some(places, SHOWN),
    )


def _asked(file: Path) -> Iterator[tuple[str, Fields | CourseError]]:
    """Every question of a file: its place and its fields, by the names of the SQuAD-like form."""
    for number, passage in enumerate(_passages(file), 1):
        if isinstance(passage, CourseError):
            yield str(passage.where).removeprefix(f"{file}, "), passage
            continue
        first_form = isinstance(passage, dict) and "context_text" in passage
        names = ("query_id", "query_text", "context_text") if first_form else ("id", "question", "context")
        alone = isinstance(passage, dict) and "qas" not in passage and names[1] in passage
        where = _("passage {name}").format(name=_name(passage, "id", "context_id") or number)
        try:
            context = passage[names[2]]
            questions = [passage] if alone else passage["qas"]
            if not visible(_words(context)) and not questions:
                raise ValueError(_("no text: {text}").format(text=repr(context)))
            for count, one in enumerate(questions, 1):
                name = _name(one, names[0]) or count
                place = _("{place}, question {name}").format(place=where, name=name)
                yield place, _fields(one, names, context, f"{file}, {place}")
        except (KeyError, TypeError, ValueError) as problem:
            yield where, _no_question(problem, f"{file}, {where}")


def _fields(one: object, names: tuple[str, ...], context: object, where: str) -> Fields | CourseError:
    if not isinstance(one, dict):
        return _no_question(TypeError(_("no object: {found!r}").format(found=one)[:120]), where)
    if names[1] not in one:
        return _no_question(KeyError(names[1]), where)
    return {"id": one.get(names[0]), "context": context, "question": one[names[1]], "answers": one.get("answers")}


def _no_question(problem: Exception, where: str) -> CourseError:
    return CourseError(
        "not a passage with questions ({kind}: {problem})",
        where=where,
        fix='"context" and "qas", each with "id", "question" and "answers"',
        kind=type(problem).__name__,
        problem=problem,
    )


def _name(content: object, *names: str) -> str:
    """What a passage or question is called, for errors; what is none stands for itself."""
    found = next(filter(None, map(content.get, names)), "") if isinstance(content, dict) else content
    return str(found)[:40]


def _question(fields: Fields | CourseError, where: str, number: int) -> Row:
    if isinstance(fields, CourseError):
        raise fields
    name = number if fields.get("id") is None else fields["id"]
    try:
        return question_row(name, fields["context"], fields["question"], fields.get("answers") or [])
    except (KeyError, TypeError, ValueError) as problem:
        raise _no_question(problem, where) from None


def _without_answers(fields: Fields | CourseError, number: int) -> Row:
    """What is left of a question that cannot be read: its texts, where these can be, and no answer."""
    fields = {} if isinstance(fields, CourseError) else fields
    name = number if fields.get("id") is None else fields["id"]
    try:
        return question_row(name, fields.get("context") or "", fields.get("question") or "", [])
    except (TypeError, ValueError):
        return question_row(name, "", "", [])


def question_row(name: object, context: object, question: object, answers: object) -> Row:
    """A question as a row, every answer at its place in the passage.

    Args:
        name: the question's id.
        context, question: the texts.
        answers: a list of texts or of objects with ``text`` and ``answer_start``; or one object with both as lists.

    Returns:
        ``id``, ``context``, ``question``, ``answers`` (``text`` and ``answer_start``, two lists), and ``repaired``:
        how many answers did not stand where they are said to and were found elsewhere (the nearest place counts). An
        answer that is nowhere in the passage has ``answer_start`` -1: it cannot be learned as a span, but it is scored,
        as by the official script. Where every answer of a question is a placeholder (empty, or said to be at -1 and
        nowhere in the passage), it has none.

    Raises:
        KeyError, TypeError, ValueError: of another form.
    """
    context, question = _words(context), _words(question)
    texts, said = _answers(answers)
    found = [_place(context, text, start) for text, start in zip(texts, said, strict=True)]
    if all(not visible(text) or max(now, then or 0) < 0 for text, now, then in zip(texts, found, said, strict=True)):
        texts, found, said = [], [], []  # placeholders
    repaired = sum(now >= 0 and then is not None and now != then for now, then in zip(found, said, strict=True))
    answers = {"text": texts, "answer_start": found}
    return {"id": str(name), "context": context, "question": question, "answers": answers, "repaired": repaired}


def _words(text: object) -> str:
    """A text, or a number as its text; nothing is an empty one."""
    if text is None or isinstance(text, str):
        return text or ""
    if isinstance(text, bool) or not isinstance(text, int | float):
        raise TypeError(_("no text: {text}").format(text=repr(text))[:120])
    return str(text)


def _answers(answers: object) -> tuple[list[str], list[int | None]]:
    """Texts, and where they are said to stand; see :func:`question_row`."""
    if isinstance(answers, dict):
        texts, said = answers["text"], answers["answer_start"]
    elif isinstance(answers, list):
        texts = [answer["text"] if isinstance(answer, dict) else answer for answer in answers]
        said = [answer.get("answer_start") if isinstance(answer, dict) else None for answer in answers]
    else:
        texts, said = answers, None
    if not (isinstance(texts, list) and isinstance(said, list)):
        raise TypeError(_("the answers are no list of texts: {answers!r}").format(answers=answers)[:120])
    return [_words(text) for text in texts], [_start(start) for start in said]


def _start(start: object) -> int | None:
    if start is None:
        return None
    if isinstance(start, bool) or not re.fullmatch(r"-?\d+(\.0+)?", str(start)):
        raise TypeError(_("an answer_start is no number: {start!r}").format(start=start)[:120])
    return int(str(start).partition(".")[0])


def _passages(file: Path) -> Iterator[object]:
    lines = list(read_lines(file))
    try:
        content = parse_json("\n".join(lines))
    except (ValueError, RecursionError) as problem:
        content = _json_lines(file, lines)
        if not content:
            raise CourseError(
                "not JSON ({problem})",
                where=line_of(file, getattr(problem, "lineno", 1)),
                fix="download it again; or, if these are rows with labels, name their column with --text-column",
                problem=problem,
            ) from None
    articles = content
    if isinstance(content, dict):
        articles = content.get("data", [content] if "question" in content else None)
    if not isinstance(articles, list):
        raise CourseError(
            'no "data" with a list in the file', where=file, fix="a file in the form of CMRC 2018 or DRCD"
        )
    for number, article in enumerate(articles, 1):
        passages = article["paragraphs"] if isinstance(article, dict) and "paragraphs" in article else [article]
        if not isinstance(passages, list):
            raise CourseError(
                '"paragraphs" is no list',
                where=_("{file}, article {number}").format(file=file, number=number),
                fix="a list of passages",
            )
        yield from passages


def _json_lines(file: Path, lines: list[str]) -> list[dict | CourseError]:
    """The objects of JSON lines that hold questions, or what is wrong with one; none if the first is something else."""
    rows: list[dict | CourseError] = []
    for number, line in enumerate(lines, 1):
        if not visible(line):
            continue
        try:
            row = parse_json(line)
            if not isinstance(row, dict) or "question" not in row:
                raise KeyError("question")
            rows.append(row)
        except (KeyError, ValueError, RecursionError) as problem:
            if not rows:
                return []
            rows.append(_no_question(problem, line_of(file, number)))
    return rows


def _place(context: str, text: str, start: int | None) -> int:
    """Where the text stands that is said to stand at ``start``: there, or at the nearest place, or nowhere (-1)."""
    if start is not None and start >= 0 and context.startswith(text, start):
        return start
    places = [match.start() for match in re.finditer(f"(?={re.escape(text)})", context)] if text else []
    return min(places, key=lambda place: abs(place - (start or 0)), default=-1)


def _field(fields: Fields, name: str, where: str) -> object:
    if name not in fields:
        asks = {"data", "paragraphs", "qas", "question"} & {*fields}
        raise CourseError(
            "no {name} in the row",
            where=where,
            fix="it has {fields}; passages with questions are read without --text-column"
            if asks
            else "it has {fields}",
            name=name,
            fields=", ".join(fields),
        )
    return fields[name]


def _text(fields: Fields, name: str, where: str) -> str:
    """A text as it stands; a number counts as its text, and nothing as an empty one."""
    text = _field(fields, name, where)
    if text is None or isinstance(text, str):
        return text or ""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return spelled(text, where)
    raise CourseError("no text: {text}", where=where, fix="a {name} that is one text", text=str(text)[:60], name=name)


def _index(label: object, labels: Labels, where: str) -> int:
    if (text := spelled(label, where)) not in labels:
        raise CourseError(
            "unknown label {label!r}", where=where, fix="one of {names}", label=label, names=", ".join(labels)
        )
    return labels.index(text)


def is_nothing(label: object) -> bool:
    """Whether a label is missing: null, or a text without anything to be seen."""
    return label is None or (isinstance(label, str) and not visible(label))


def spelled(label: object, where: str) -> str:
    """A label as text: JSON's 1, a hub's 1.0 and a spreadsheet's "1.0 " are the label "1".

    Raises:
        CourseError: a list, an object or a truth value.
    """
    if isinstance(label, bool) or not isinstance(label, str | int | float):
        raise CourseError(
            "{label} is no label",
            where=where,
            fix="one label a row, a text or a whole number",
            label=str(label)[:60],
        )
    return re.sub(r"^(-?\d+)\.0+$", r"\1", bare(str(label)))


def _check_labels(file: Path, column: str, lines: Mapping[str, str], count: int) -> None:
    """Refuse labels that are no classes; ``lines`` is where each stands first, ``count`` how many rows there are."""
    alike: dict[str, str] = {}
    for label, place in lines.items():
        if re.fullmatch(r"-?\d+\.\d+", label):
            raise CourseError(
                "{label} is a score, not a class",
                where=f"{file}, {place}",
                fix="tasks have classes: bin the scores",
                label=label,
            )
        first = alike.setdefault(unicodedata.normalize("NFKC", label).casefold().strip("\"'“”"), label)
        if first != label:
            raise CourseError(
                "the labels {first!r} ({line}) and {label!r} ({place}) look the same",
                where=file,
                fix="spell every label one way",
                first=first,
                line=lines[first],
                label=label,
                place=place,
            )
    if len(lines) > max(TOO_MANY, count / 2):
        raise CourseError(
            "{labels:,} labels in {count:,} rows",
            where=file,
            fix="is {column} the column of the labels?",
            labels=len(lines),
            count=count,
            column=column,
        )
