"""The file formats of the tasks, each as its publisher hands it out (notebook 05).

Sources: ChnSentiCorp (Tan, 2006); LCQMC (Liu et al., 2018); BQ Corpus (Chen et al., 2018); OCNLI (Hu et al.,
2020) and TNEWS (Xu et al., 2020) as in CLUE; CMRC 2018 (Cui et al., 2019); DRCD (Shao et al., 2018).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import CourseError
from ..lines import read_lines

Labels = tuple[str, ...]  # as the files spell them, in the order of their indices
Row = dict[str, object]


def read_labelled_tsv(file: Path, labels: Labels) -> Iterator[Row]:
    """Rows of a TSV with the header ``label, text_a`` (ChnSentiCorp): ``text``, ``label``."""
    columns = ("label", "text_a")
    header = next(read_lines(file), "").split("\t")
    if header != list(columns):
        raise CourseError(
            f"the header is {header}", where=f"{file}, line 1", fix="label and text_a, with a tab between them"
        )
    for number, (label, text) in _fields(file, columns, skip=1):
        yield {"text": _text(text, file, number), "label": _label(label, labels, file, number)}


def read_pair_tsv(file: Path, labels: Labels) -> Iterator[Row]:
    """Rows of a TSV without header (LCQMC, BQ Corpus): ``text``, ``text_pair``, ``label``."""
    for number, (first, second, label) in _fields(file, ("first sentence", "second sentence", "label")):
        yield {
            "text": _text(first, file, number),
            "text_pair": _text(second, file, number),
            "label": _label(label, labels, file, number),
        }


def read_pair_json(file: Path, labels: Labels) -> Iterator[Row]:
    """Rows of JSON lines (OCNLI): ``text``, ``text_pair``, ``label``; those labelled ``-`` are left out."""
    for number, (first, second, label) in _objects(file, ("sentence1", "sentence2", "label")):
        if label != "-":  # the annotators did not agree
            yield {
                "text": _text(first, file, number),
                "text_pair": _text(second, file, number),
                "label": _label(label, labels, file, number),
            }


def read_news_json(file: Path, labels: Labels) -> Iterator[Row]:
    """Rows of JSON lines (TNEWS): ``text``, ``label``; the keywords are not used, as in the published results."""
    for number, (text, label) in _objects(file, ("sentence", "label")):
        yield {"text": _text(text, file, number), "label": _label(label, labels, file, number)}


def read_questions(file: Path, labels: Labels = ()) -> Iterator[Row]:
    """Questions of CMRC 2018 or DRCD, one row each.

    Both of CMRC's forms are read: the SQuAD-like one, which is DRCD's too, and the first one
    (``context_text``, ``query_text``, answers without places).

    Yields:
        ``id``, ``context``, ``question``, ``answers`` (``text`` and ``answer_start``, two lists), and
        ``repaired``: how many answers did not stand where the file says and were found elsewhere (the
        nearest place counts). An answer that is nowhere in the passage has ``answer_start`` -1: it
        cannot be learned as a span, but it is scored, as by the official script.

    Raises:
        CourseError: not JSON, a field is missing (the passage is named), or a passage without text.
    """
    for passage in _passages(file):
        try:
            first_form = "context_text" in passage
            context = passage["context_text" if first_form else "context"]
            names = ("query_id", "query_text", "answers") if first_form else ("id", "question", "answers")
            questions = [[one[name] for name in names] for one in passage["qas"]]
        except (KeyError, TypeError, AttributeError) as problem:
            name = passage.get("id") or passage.get("context_id") if isinstance(passage, dict) else passage
            raise CourseError(
                f"not a passage with questions ({type(problem).__name__}: {problem})",
                where=f"{file}, passage {str(name)[:40]}",
                fix='"context" and "qas", each with "id", "question" and "answers"',
            ) from None
        for name, question, answers in questions:
            yield {"id": str(name), "context": context, "question": question, **_answers(context, answers)}


def _passages(file: Path) -> Iterator[dict]:
    text = "\n".join(read_lines(file))
    try:
        content = json.loads(text)
        articles = content["data"] if isinstance(content, dict) else content
    except ValueError as problem:
        raise CourseError(
            f"not JSON ({problem})", where=f"{file}, line {getattr(problem, 'lineno', 1)}", fix="download it again"
        ) from None
    except KeyError:
        raise CourseError('no "data" in the file', where=file, fix="a file of CMRC 2018 or DRCD") from None
    for article in articles:
        yield from article["paragraphs"] if isinstance(article, dict) and "paragraphs" in article else [article]


def _answers(context: str, answers: list) -> Row:
    """The answers of a question, each where it stands in the passage."""
    texts = [answer["text"] if isinstance(answer, dict) else answer for answer in answers]
    said = [answer["answer_start"] if isinstance(answer, dict) else None for answer in answers]
    found = [_place(context, text, start) for text, start in zip(texts, said, strict=True)]
    repaired = sum(now >= 0 and then is not None and now != then for now, then in zip(found, said, strict=True))
    return {"answers": {"text": texts, "answer_start": found}, "repaired": repaired}


def _place(context: str, text: str, start: int | None) -> int:
    """Where the text stands that is said to stand at ``start``: there, or at the nearest place, or nowhere (-1)."""
    if start is not None and start >= 0 and context.startswith(text, start):
        return start
    places = [match.start() for match in re.finditer(f"(?={re.escape(text)})", context)] if text else []
    return min(places, key=lambda place: abs(place - (start or 0)), default=-1)


def _fields(file: Path, names: tuple[str, ...], skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(file), 1):
        fields = line.split("\t")
        if len(fields) != len(names):
            raise CourseError(
                f"{len(fields)} fields instead of {len(names)}: {line[:60]!r}",
                where=f"{file}, line {number}",
                fix="with tabs between them: " + ", ".join(names),
            )
        if number > skip:
            yield number, fields


def _objects(file: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list]]:
    for number, line in enumerate(read_lines(file), 1):
        try:
            row = json.loads(line)
            values = [row[name] for name in names]
        except (ValueError, TypeError, KeyError) as problem:
            raise CourseError(
                f"not a row of this task ({type(problem).__name__}: {problem}): {line[:60]!r}",
                where=f"{file}, line {number}",
                fix="one JSON object a line, with " + ", ".join(map(json.dumps, names)),
            ) from None
        yield number, values


def _label(label: object, labels: Labels, file: Path, number: int) -> int:
    if label not in labels:
        raise CourseError(f"unknown label {label!r}", where=f"{file}, line {number}", fix=f"one of {', '.join(labels)}")
    return labels.index(label)


def _text(text: object, file: Path, number: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise CourseError(f"no text: {text!r}", where=f"{file}, line {number}", fix="a text that is not empty")
    return text
