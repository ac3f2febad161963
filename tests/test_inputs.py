"""Laws of the files that people really have: each kind is read, or refused by name; nothing is lost in silence."""

import csv
import gzip
import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file

from minirbt_helpers.errors import CourseError, CourseWarning
from minirbt_helpers.hub import vocabulary_size
from minirbt_helpers.lines import read_lines, require_text
from minirbt_helpers.models import load_model, load_tokenizer
from minirbt_helpers.recipe import recipe_from_notebook
from minirbt_helpers.tasks import TASKS, Layout, own_task
from minirbt_helpers.tasks.answering import LONGEST, longest_answer, windows
from minirbt_helpers.tasks.formats import question_row, read_questions
from minirbt_helpers.text import build_blocks, load_segmenter, read_words, references
from minirbt_helpers.text.references import CJK_RANGES
from minirbt_helpers.text.segmentation import OwnWords, _is_whole_avro
from minirbt_helpers.text.tokens import ALONE, code_points, encoder
from minirbt_helpers.training import held_out

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
PAGE = b"\n<!DOCTYPE html>\n<title>404</title>\n"
MOODS = Layout("review", label="mood")
GLAD, SAD = {"text": "真开心", "label": 0}, {"text": "真难过", "label": 1}


@pytest.fixture
def read(tmp_path):
    """Reads the rows of a file of reviews with moods, as training rows or as rows to predict."""

    def rows(content: str | bytes, name: str = "rows.tsv", labelled: bool = True) -> list[dict]:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return MOODS.read(file, ("glad", "sad"), labelled=labelled)

    return rows


@pytest.fixture
def labels(tmp_path):
    """The labels of a file of reviews with moods."""

    def found(content: str, name: str = "rows.tsv") -> tuple[str, ...]:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return MOODS.labels(tmp_path / name)

    return found


def refused(what, *arguments, **settings) -> str:
    with pytest.raises(CourseError) as caught:
        what(*arguments, **settings)
    assert caught.value.where and caught.value.fix
    return str(caught.value)


# --- rows in every form ---------------------------------------------------------------------------------------------

TABLE = [["review", "mood"], ["真开心", "glad"], ["真难过", "sad"]]


def table(between: str = "\t", end: str = "\n", rows: list | None = None, **way) -> str:
    """A table as a spreadsheet writes it."""

    class File(list):
        write = list.append

    file = File()
    csv.writer(file, delimiter=between, lineterminator=end, **way).writerows(rows or TABLE)
    return "".join(file)


LINES = '{"review": "真开心", "mood": "glad"}\n{"review": "真难过", "mood": "sad"}\n'
FORMS = {
    "TSV": (table(), "rows.tsv"),
    "TSV without an end": (table().rstrip(), "rows.tsv"),
    "TSV of Windows": (table(end="\r\n"), "rows.txt"),
    "TSV with a byte order mark": ("\ufeff" + table(), "rows.tsv"),
    "all quoted": (table(quoting=csv.QUOTE_ALL), "rows.tsv"),
    "CSV": (table(","), "rows.csv"),
    "CSV under a TSV's name": (table(","), "rows.tsv"),
    "blank lines": (table().replace("\n", "\n\n") + "\n\n", "rows.tsv"),
    "lines of spaces": (table().replace("\n", "\n \u3000\n"), "rows.tsv"),
    "empty columns": (table(rows=[[*row, "", ""] for row in TABLE]), "rows.tsv"),
    "capitals": (table().replace("review\tmood", "Review\tMOOD"), "rows.tsv"),
    "blanks around names": (table().replace("review\tmood", " review \tmood\u200b"), "rows.tsv"),
    "header again": (table() + "\ufeffreview\tmood\n", "rows.tsv"),
    "JSON lines": (LINES, "rows.jsonl"),
    "JSON lines under a TSV's name": (LINES, "rows.tsv"),
    "JSON lines with blank lines": (LINES.replace("\n", "\n\n"), "rows.json"),
    "JSON lines with byte order marks": ("\ufeff" + LINES.replace("}\n", "}\n\ufeff"), "rows.json"),
    "a JSON list": (json.dumps([json.loads(line) for line in LINES.splitlines()], indent=1), "rows.json"),
    "a JSON list under another name": ("[" + LINES.replace("}\n{", "},{") + "]", "rows.txt"),
    "TSV under a JSON's name": (table(), "rows.json"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_told_by_what_the_file_holds(read, form):
    content, name = FORMS[form]
    assert read(content, name) == [GLAD, SAD]
    assert read(content, name, labelled=False) == [GLAD, SAD]


def test_quoted_cells_are_unquoted_where_a_writer_quoted_them(read):
    odd = [["review", "mood"], ['他说"好"', "glad"], ["两行\n一段\t话", "sad"]]
    for way in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        assert [row["text"] for row in read(table(rows=odd, quoting=way))] == ['他说"好"', "两行\n一段\t话"]
    stray = 'review\tmood\n"好"得很\tglad\n"此处没有完\tsad\n"好"\tglad\n'  # as official files have them
    assert [row["text"] for row in read(stray)] == ['"好"得很', '"此处没有完', '"好"']


PAIRS = [("河上有桥吗", "河上有没有桥", "1"), ("早", "晚", "0")]
HEADERS = {
    "text_a\ttext_b\tlabel": (0, 1, 2), "label\tsentence1\tsentence2": (2, 0, 1), "qid\tQ1\tQ2\tLabel": (3, 0, 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("name", ["lcqmc", "bq"])
def test_a_header_is_recognised_where_official_files_have_none(tmp_path, name, header):
    order = HEADERS[header]
    rows = ["\t".join((*pair, str(number))[place] for place in order) for number, pair in enumerate(PAIRS)]
    (tmp_path / "rows.tsv").write_text("\n".join([header, *rows]), encoding="utf-8")
    plain = tmp_path / "plain.tsv"
    plain.write_text("\n".join(map("\t".join, PAIRS)), encoding="utf-8")
    for labelled in (True, False):
        expected, found = (TASKS[name].read(file, labelled=labelled) for file in (plain, tmp_path / "rows.tsv"))
        assert expected["label"] == [1, 0]
        assert found.select_columns(expected.column_names).to_list() == expected.to_list()


@pytest.mark.parametrize("header", ["一号句\t二号句\t标签", "first\tsecond", "句子1\t句子2", "left\tright\tsame"])
def test_another_header_is_named(tmp_path, header):
    rows = [pair[: header.count("\t") + 1] for pair in PAIRS]
    (tmp_path / "rows.tsv").write_text("\n".join([header, *map("\t".join, rows)]), encoding="utf-8")
    if header.startswith("一号句"):  # its label is none: that is enough, in a small file
        assert "line 1: unknown label '标签'" in refused(TASKS["lcqmc"].read, tmp_path / "rows.tsv")
    else:
        assert "line 1 looks like a header" in refused(TASKS["lcqmc"].read, tmp_path / "rows.tsv", labelled=False)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("review\tmood\tmood\n好\tglad\tsad\n", "line 1: two columns are called mood"),
        ("真开心\tglad\n真难过\tsad\n", "line 1: the header has no review and no mood"),
        ("review;mood\n真开心;glad\n", "line 1: the header has no review and no mood"),
        (table().replace("\n", "\r"), "old Macs"),
        ('{"data": [{"paragraphs": []}]}', "read without --text-column"),
        ('{\n "review": "好",\n "mood": "glad"\n}', "line 1: not a row of this task"),
        ("[" * 9999, "line 1: the header has no review"),
        ('"review","mood"\n"真开心,"glad"\n', "no CSV"),
    ],
)
def test_a_table_of_another_form_is_named(read, content, what):
    assert what in refused(read, content, "rows.csv" if "," in content and content[0] == '"' else "rows.tsv")


def test_a_row_of_letters_is_no_header(tmp_path):
    (tmp_path / "rows.tsv").write_text("ok\tOK\t1\n早\t晚\t0\n", encoding="utf-8")
    assert TASKS["lcqmc"].read(tmp_path / "rows.tsv")["text"] == ["ok", "早"]


# --- odd rows -------------------------------------------------------------------------------------------------------

ODD = {
    "no text": ('{"review": "", "mood": "sad"}', "without text"),
    "nothing": ('{"review": null, "mood": "sad"}', "without text"),
    "not a number": ('{"review": NaN, "mood": "sad"}', "without text"),
    "invisible": ('{"review": "\u200b\ufeff\u3000", "mood": "sad"}', "without text"),
    "no label": ('{"review": "好", "mood": null}', "without label"),
    "a blank label": ('{"review": "好", "mood": " "}', "without label"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_row_is_left_out_and_named_or_keeps_its_place(read, odd):
    line, why = ODD[odd]
    first, second = LINES.splitlines()
    content = "\n".join([first, line, second])
    with pytest.warns(CourseWarning, match=rf"rows\.jsonl: 1 row {why} \(line 2\) left out"):
        assert read(content, "rows.jsonl") == [GLAD, SAD]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        rows = read(content, "rows.jsonl", labelled=False)
    assert rows[::2] == [GLAD, SAD] and len(rows) == 3
    assert ["(line 2) kept" in str(one.message) for one in said] == [True] * ("text" in why)


def test_a_file_that_is_odd_as_a_whole_is_refused(read):
    assert "3 rows without text (line 2, line 3, line 4), and 2 rows to use" in refused(
        read, "review\tmood\n\tglad\n\tsad\n\tsad\n好\tglad\n坏\tsad\n"
    )
    assert "line 3: unknown label 'mad'" in refused(read, "review\tmood\n好\tglad\n坏\tmad\n")


def test_one_broken_row_in_a_hundred_is_no_reason_to_refuse(read):
    lines = ["review\tmood", *["真开心\tglad", "真难过\tsad"] * 100]
    for broken in ("好", "好\tmad", "好\tglad\tsad"):
        lines[7] = broken
        with pytest.warns(CourseWarning, match=r"1 row that cannot be read \(line 8: "):
            assert len(read("\n".join(lines))) == 199
    lines[7] = "好"
    with pytest.warns(CourseWarning, match=r"\(line 8: .*\) kept in place"):
        rows = read("\n".join(lines), labelled=False)
    assert len(rows) == 200 and rows[6] == {"text": "", "label": None} and rows[7] == SAD
    lines[9] = lines[11] = "坏"
    assert "line 8: 1 fields instead of 2" in refused(read, "\n".join(lines))


def test_numbers_are_their_text(read):
    rows = read('{"review": 2008, "mood": "glad"}\n{"review": 4.50, "mood": "sad"}\n', "rows.jsonl")
    assert [row["text"] for row in rows] == ["2008", "4.50"]


def test_a_label_that_is_none_is_predicted_and_not_scored(tmp_path):
    (tmp_path / "rows.tsv").write_text("label\ttext_a\n1\t好\n?\t坏\n-1\t差\n\t行\n", encoding="utf-8")
    with pytest.warns(CourseWarning, match=r"2 rows with a label that the task does not have, .* \(line 3, line 4\)"):
        assert TASKS["chnsenticorp"].read(tmp_path / "rows.tsv", labelled=False)["label"] == [1, None, None, None]


# --- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mood", [" glad", "glad\u3000", "\u200bglad", "\ufeffglad", "glad\u00a0", "\u200eglad\u200f", "gl\u00adad"]
)
def test_labels_that_look_the_same_are_one(labels, read, mood):
    assert labels(table() + f"好\t{mood}\n") == ("glad", "sad")
    assert read(table() + f"好\t{mood}\n")[2]["label"] == 0


@pytest.mark.parametrize(
    ("first", "second"), [("Good", "good"), ("１", "1"), ("ｇｏｏｄ", "good"), ('"good"', "good"), ("“good”", "good")]
)
def test_labels_that_look_nearly_the_same_are_named(labels, first, second):
    message = refused(labels, f"review\tmood\n好\t{first}\n坏\tsad\n行\t{second}\n")
    assert "look the same" in message and "(line 2)" in message and "(line 4)" in message


@pytest.mark.parametrize("mood", ["[]", '["glad"]', '{"glad": 1}', "true", "false"])
def test_what_is_no_label_is_named(labels, read, mood):
    content = LINES + f'{{"review": "好", "mood": {mood}}}\n'
    assert "line 3: " in (message := refused(labels, content, "rows.jsonl")) and "is no label" in message
    assert "line 3: " in refused(read, content, "rows.jsonl")


@pytest.mark.parametrize("score", ["3.2", "0.5", "-1.25"])
def test_scores_are_no_classes(labels, score):
    assert f"line 3: {score} is a score" in refused(labels, f"review\tmood\n好\t1\n坏\t{score}\n")
    lines = f'{{"review": "好", "mood": 1.0}}\n{{"review": "坏", "mood": {score}}}\n'
    assert f"line 2: {score} is a score" in refused(labels, lines, "rows.jsonl")


def test_whole_numbers_are_one_class_however_written(labels):
    lines = "".join(f'{{"review": "好", "mood": {one}}}\n' for one in ("1", "1.0", '"1"', '"1.0 "', "0"))
    assert labels(lines, "rows.jsonl") == ("0", "1")


def test_a_column_of_texts_is_no_column_of_labels(labels):
    lines = "".join(f"好\t第{number}条\n" for number in range(60))
    assert "60 labels in 60 rows" in refused(labels, "review\tmood\n" + lines)


# --- encodings and disguises ----------------------------------------------------------------------------------------

TEXT = "我们的河边有一座木桥，桥下是不是有鱼。\n" * 30
DISGUISES = {
    "UTF-16": (TEXT.encode("utf-16"), "UTF-16", "iconv -f UTF-16 "),
    "UTF-16, big end first": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16", "iconv -f UTF-16 "),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), "not UTF-8", "iconv -f UTF-16LE "),
    "UTF-16 without a mark, big end first": (TEXT.encode("utf-16-be"), "not UTF-8", "iconv -f UTF-16BE "),
    "UTF-16 of letters": ("a river\n".encode("utf-16-le"), "UTF-16", "iconv -f UTF-16LE "),
    "UTF-32": (TEXT.encode("utf-32"), "UTF-32", "iconv -f UTF-32 "),
    "GB18030": (TEXT.encode("gb18030"), "not UTF-8", "iconv -f GB18030 "),
    "Big5": ("我們的河邊有一座木橋，橋下是不是有魚。\n".encode("big5"), "not UTF-8", "iconv -f BIG5 "),
    "one broken byte": (TEXT.encode() + b"\xff\n" + TEXT.encode(), "line 31: not UTF-8 at byte 1", "few bytes are"),
    "a pointer": (POINTER, "a Git LFS pointer", "download"),
    "a web page": (PAGE, "a web page", "download"),
    "gzip": (gzip.compress(TEXT.encode()), "gzip", "gunzip"),
    "Excel": (b"PK\x03\x04" + b"x" * 99, "ZIP archive (Excel", "save it as plain text"),
    "old Excel": (b"\xd0\xcf\x11\xe0" + b"x" * 99, "old file of Excel", "save it as plain text"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\n", "a PDF", "pdftotext"),
    "Parquet": (b"PAR1" + b"x" * 99, "Parquet", "JSON lines"),
}  # fmt: skip


@pytest.mark.parametrize("disguise", DISGUISES)
def test_what_is_no_text_is_named_wherever_it_is_read(tmp_path, read, disguise):
    content, what, fix = DISGUISES[disguise]
    file = tmp_path / "file"
    file.write_bytes(content)
    for message in (
        refused(lambda: list(read_lines(file))),
        refused(lambda: read_questions(file)),
        refused(lambda: read_words(file)),
        refused(read, content),
    ):
        assert what in message and fix in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"text": "河边有桥。"}\n{"text": "桥下有鱼。"}\n', "JSON lines"),
        ('{"id": 1, "title": "河", "text": "河边有桥。"}', "JSON lines"),
        ('<doc id="12" url="?curid=12" title="河">\n河\n\n河边有桥。\n</doc>\n', "tags"),
        ('<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">\n<page>\n', "tags"),
        ("河边有桥。\r桥下有鱼。\r鱼很小。\r", "old Macs"),
        (" \n\n", "no text"),
    ],
)
def test_text_in_wrappings_is_refused(tmp_path, tokenizer, segmenter, content, what):
    file = tmp_path / "part.txt"
    file.write_bytes(content.encode())
    assert what in refused(build_blocks, file, tokenizer, tmp_path / "blocks", length=16, segmenter=segmenter)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("line", ["{}花括号", "<文件> 是标记", "[1, 2]", "3", "{“引号”}"])
def test_text_that_begins_oddly_is_text(tmp_path, line):
    (tmp_path / "text.txt").write_text(line + "\n" + TEXT, encoding="utf-8")
    require_text(tmp_path / "text.txt")


# --- questions ------------------------------------------------------------------------------------------------------

CONTEXT = "门票每张4.50元，五月一日卖了120张。"


def asked(*questions: dict, context: object = CONTEXT) -> str:
    filled = [{"id": f"Q{number}", "question": "多少？"} | one for number, one in enumerate(questions, 1)]
    return json.dumps({"data": [{"paragraphs": [{"id": "P", "context": context, "qas": filled}]}]}, ensure_ascii=False)


@pytest.fixture
def ask(tmp_path):
    def rows(content: str, labelled: bool = True, name: str = "asked.json") -> list[dict]:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return read_questions(tmp_path / name, labelled=labelled)

    return rows


GOOD = {"answers": [{"text": "120张", "answer_start": 16}]}


def test_answers_that_are_numbers_are_their_text(ask):
    content = asked({"answers": [{"text": 120, "answer_start": "16"}, {"text": 43952, "answer_start": 9}]}, GOOD)
    content = content.replace("43952", "4.50")
    first, _ = ask(content)
    assert first["answers"] == {"text": ["120", "4.50"], "answer_start": [16, 4]}
    first_form = [{"context_id": "P", "context_text": CONTEXT, "qas": [
        {"query_id": "Q1", "query_text": 7, "answers": [120, "120张", 43952]}]}]  # fmt: skip
    (row,) = ask(json.dumps(first_form))
    assert row["answers"] == {"text": ["120", "120张", "43952"], "answer_start": [16, 16, -1]}
    assert row["question"] == "7"


@pytest.mark.parametrize("question", ["", " ", "\u3000", "\u200b", None])
def test_an_empty_question_costs_no_other(ask, question):
    content = asked(GOOD, GOOD | {"question": question}, GOOD)
    with pytest.warns(CourseWarning, match=r"1 question without text \(passage P, question Q2\) left out"):
        assert [row["id"] for row in ask(content)] == ["Q1", "Q3"]
    with pytest.warns(CourseWarning, match="kept in place"):
        assert [row["id"] for row in ask(content, labelled=False)] == ["Q1", "Q2", "Q3"]


PLACEHOLDERS = [
    [{"text": "FAKE", "answer_start": -1}] * 3,
    [{"text": "", "answer_start": -1}],
    [{"text": "", "answer_start": 0}],
    {"text": [""], "answer_start": [-1]},
    {"text": [], "answer_start": []},
    [None],
    [],
]


@pytest.mark.parametrize("answers", PLACEHOLDERS)
def test_placeholders_are_no_answers(ask, answers):
    content = asked(GOOD, {"answers": answers})
    for labelled, done in ((True, "neither learned nor scored"), (False, "predicted, and not scored")):
        with pytest.warns(CourseWarning, match=rf"1 question without an answer .*question Q2\): {done}"):
            good, none = ask(content, labelled)
        assert none["answers"] == {"text": [], "answer_start": []} and good["answers"]["text"] == ["120张"]
    assert "no question has an answer" in refused(ask, asked({"answers": answers}))


def test_an_answer_that_is_said_to_stand_somewhere_is_scored(ask):
    """As the official script does: the passage may spell it otherwise."""
    (row,) = ask(asked({"answers": [{"text": "一百二十张", "answer_start": 3}]}))
    assert row["answers"] == {"text": ["一百二十张"], "answer_start": [-1]}


def test_questions_may_be_rows_of_their_own(ask):
    flat = [{"id": f"Q{number}", "context": CONTEXT, "question": "多少？", **GOOD} for number in (1, 2)]
    expected = ask(asked(GOOD, GOOD))
    assert ask("\n".join(map(json.dumps, flat)), name="asked.jsonl") == expected == ask(json.dumps(flat))
    assert ask(json.dumps({"data": flat})) == expected and ask(json.dumps(flat[0])) == expected[:1]


def test_answers_longer_than_the_limit_can_be_predicted_once_taught(tokenizer):
    passage = "河边有一座木桥，桥下有很多小鱼。" * 10
    rows = [question_row(n, passage, "有什么？", [passage[3 : 3 + size]]) for n, size in enumerate((5, 90))]
    cut = windows(Dataset.from_list(rows), tokenizer, 256)
    assert longest_answer(cut.select([0])) == LONGEST < 80 < longest_answer(cut) <= 90


# --- a hub's copies -------------------------------------------------------------------------------------------------

COPIES = {
    "lcqmc": [({"sentence1": "早", "sentence2": "晚", "label": 1}, 1), ({"q1": "早", "q2": "晚", "score": 0.0}, 0)],
    "bq": [({"text_a": "早", "text_b": "晚", "label": "0"}, 0)],
    "chnsenticorp": [({"text_a": "好", "label": 1}, 1), ({"review": "好", "label": 0}, 0)],
    "tnews": [({"sentence": "股市", "label": "104"}, 4), ({"text": "股市", "label": 104}, 4)],
    "ocnli": [({"sentence1": "早", "sentence2": "晚", "label": "neutral"}, 1)],
}


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in COPIES for number in range(len(COPIES[name]))])
def test_another_copy_is_read_by_the_names_it_has(tmp_path, monkeypatch, name, number):
    from minirbt_helpers.tasks import hub

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    row, label = COPIES[name][number]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "train.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    before = hub.open_dataset
    monkeypatch.setattr(hub, "open_dataset", lambda _, *rest: before(str(tmp_path / "copy"), *rest))
    assert TASKS[name].load("someone/copy", "train")["label"] == [label]


# --- own words and rare characters ----------------------------------------------------------------------------------


def test_what_surrounds_a_line_does_not_change_its_references(tokenizer):
    cutter = load_segmenter("data_samples/models/segmenter", words=["木桥"])
    plain = "河边有一座小木桥"
    lines = [plain] + [f"{one}{plain}" for one in " \t\u3000\u00a0\u200b\ufeff\u2028"]
    lines += [f"{plain}{one}" for one in " \t\u3000\u00a0\u200b\ufeff\u2028"]
    rows = references(lines, cutter(lines), tokenizer)
    assert rows == [rows[0]] * len(lines) and rows[0]


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("小木桥", ["小", "木", "桥"], ["小", "木桥"]),
        ("小木桥", ["小木", "桥"], ["小", "木桥"]),  # a neighbour is torn
        ("小木桥", ["小木桥"], ["小木桥"]),  # the fewest words win
        ("小 木 桥", ["小", "木", "桥"], ["小", "木", "桥"]),  # a blank ends a word
        (" 木桥\u3000\u200b", ["木", "桥", "\u200b"], ["木桥", "\u200b"]),
        ("\u200b", ["\u200b"], ["\u200b"]),
        ("", [], []),
    ],
)
def test_own_words_get_stretches_without_blanks(text, words, found):
    assert OwnWords(["木桥", "\u3000木桥\u200b", ""])(text, words) == found


def test_own_words_are_words(tmp_path):
    (tmp_path / "words.txt").write_text("木桥\n\n\u3000小鱼\u200b\n", encoding="utf-8")
    assert read_words(tmp_path / "words.txt") == ["木桥", "小鱼"]
    (tmp_path / "words.txt").write_text("木桥\n小鱼 3 n\n", encoding="utf-8")  # a dictionary of another segmenter
    assert "line 2: not one word: '小鱼 3 n'" in refused(read_words, tmp_path / "words.txt")
    with pytest.raises(CourseError, match="not one word"):
        load_segmenter("data_samples/models/segmenter", words=["小 鱼"])
    with pytest.raises(CourseError, match="half a character"):
        load_segmenter("data_samples/models/segmenter", words=["小\ud800鱼"])


def test_every_ideograph_is_one_to_the_tokenizer(tokenizer):
    """So what `references` writes, `pack` takes."""
    code = encoder(tokenizer)
    for low, high in CJK_RANGES:
        kinds = code._kinds_of(code_points("".join(map(chr, (*range(low, high, 61), high)))))
        assert (kinds == ALONE).all()


def test_references_of_rare_characters_fit_their_text(tmp_path, tokenizer):
    text = "".join(f"A{chr(code)}中路\n" for code in (0x2B81F, 0x2B820, 0x2B91F, 0x2B920, 0x2CEB0, 0x30000))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    words = [["A", line[1:3], "路"] for line in text.splitlines()]
    rows = references(text.splitlines(), words, tokenizer)
    (tmp_path / "text.ref").write_text("".join(f"{row}\n" for row in rows))
    settings = {"length": 64, "references": tmp_path / "text.ref", "progress": False}
    made = build_blocks(tmp_path / "text.txt", tokenizer, tmp_path / "blocks", **settings)
    assert sum(made[0]["continues"]) == 2  # those before U+2B820 and from U+2B920 on


# --- models ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def teacher_folder(tmp_path) -> Path:
    return Path(shutil.copytree("data_samples/models/teacher", tmp_path / "teacher"))


def edited(folder: Path, change) -> Path:
    """The folder with its vocabulary as vocab.txt alone, changed."""
    vocabulary = load_tokenizer(folder).get_vocab()
    entries = sorted(vocabulary, key=vocabulary.get)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    change(entries)
    (folder / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
    return folder


def twice(entries: list) -> None:
    entries[2000] = entries[1000]


def twice_at_the_end(entries: list) -> None:
    entries[-1] = entries[1000]


def empty_at_the_end(entries: list) -> None:
    entries.append("")


def separator(entries: list) -> None:
    entries[2000] = "\u2028"


@pytest.mark.parametrize("change", [twice, twice_at_the_end, empty_at_the_end, separator])
def test_an_edited_vocabulary_works(teacher_folder, tmp_path, segmenter, change):
    size = len(load_tokenizer(teacher_folder))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        tokenizer = load_tokenizer(edited(teacher_folder, change))
    assert vocabulary_size(tokenizer) == size or change is twice_at_the_end
    assert any("lines 1001 and" in str(one.message) for one in said) == change.__name__.startswith("twice")
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    settings = {"length": 32, "segmenter": segmenter, "progress": False}
    blocks = build_blocks(tmp_path / "text.txt", tokenizer, tmp_path / "blocks", **settings)
    assert held_out(load_model("data_samples/models/student"), blocks, tokenizer)["masked"]


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json", "vocab.txt"]
)
@pytest.mark.parametrize(
    ("content", "what"), [(POINTER, "a Git LFS pointer"), (PAGE, "a web page"), (b"", "the file is empty")]
)
def test_what_stands_in_place_of_a_model_s_file_is_named(teacher_folder, name, content, what):
    if name == "pytorch_model.bin":
        (teacher_folder / "model.safetensors").unlink()
    if name == "vocab.txt":
        (teacher_folder / "tokenizer.json").unlink()
    (teacher_folder / name).write_bytes(content)
    message = refused(load_tokenizer if name in ("tokenizer.json", "vocab.txt") else load_model, teacher_folder)
    assert what in message and name in message and "run code" not in message


def test_other_files_are_no_weights(teacher_folder):
    weights = teacher_folder / "model.safetensors"
    weights.rename(teacher_folder / "tf_model.h5")
    assert "these are others: tf_model.h5" in refused(load_model, teacher_folder)
    (teacher_folder / "pytorch_model.bin").write_bytes(b"hello")
    assert "no weights of PyTorch" in refused(load_model, teacher_folder)


def test_a_configuration_may_have_its_older_name(teacher_folder):
    (teacher_folder / "config.json").rename(teacher_folder / "bert_config.json")
    assert load_model(teacher_folder).config.num_hidden_layers == 12
    (teacher_folder / "bert_config.json").unlink()
    assert "no config.json" in refused(load_model, teacher_folder)


def test_a_vocabulary_without_special_entries_is_none(teacher_folder):
    folder = edited(teacher_folder, lambda entries: entries.__setitem__(slice(0, 5), list("甲乙丙丁戊")))
    assert "vocab.txt: no vocabulary of a BERT: [PAD], [UNK]" in refused(load_tokenizer, folder)


@pytest.mark.parametrize("content", [POINTER, PAGE, b"", b"hello"])
def test_a_perceptron_that_is_none_never_reaches_the_extension(tmp_path, content):
    folder = Path(shutil.copytree("data_samples/models/segmenter", tmp_path / "segmenter"))
    (folder / "cws_model.bin").write_bytes(content)
    assert "cws_model.bin" in refused(load_segmenter, folder)


def test_a_perceptron_is_checked_block_by_block():
    whole = Path("data_samples/models/segmenter/cws_model.bin").read_bytes()
    assert _is_whole_avro(whole)
    spoilt = whole[:9000] + bytes(99) + whole[9099:]
    assert not any(map(_is_whole_avro, (whole[: len(whole) // 2], whole[:-1], whole[:500], spoilt, b"Obj\x01")))


def test_a_model_without_its_head_teaches_nothing(teacher_folder, recipe):
    from minirbt_helpers.training.distillation import prepare

    weights = load_file(teacher_folder / "model.safetensors")
    body = {name: one for name, one in weights.items() if not name.startswith("cls.")}
    save_file(body, teacher_folder / "model.safetensors", {"format": "pt"})
    assert "without its MLM head" in refused(prepare, recipe, "one-stage", teacher_folder)
    with pytest.warns(CourseWarning, match="no MLM head"):  # hidden states can be learned
        prepare(recipe.model_copy(update={"kd_weight": 0.0}), "one-stage", teacher_folder)
    assert isinstance(next(iter(body.values())), torch.Tensor)


# --- advice ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("LEARNING_RATE", "1e-4", "LEARNING_RATE: 1.0e-4"),
        ("LEARNING_RATE", "5E-5", "LEARNING_RATE: 5.0e-5"),
        ("TEMPERATURE", "8", "TEMPERATURE: 8.0"),
        ("LEARNING_RATE", "fast", "a number, such as"),
        ("STEPS", 1e3, "STEPS = 1000"),
        ("STEPS", "1e3", "STEPS = 1000"),
        ("STEPS", 0.5, "a whole number, such as"),
        ("TEACHER", 7, "-r TEACHER 7"),
        ("COMPILE", "true", "-y 'COMPILE: true'"),
        ("OPTIMIZER", "sgd", "minirbt distill --help"),
    ],
)
def test_advice_fits_the_parameter(name, value, advice):
    with pytest.raises(CourseError) as caught:
        recipe_from_notebook({"SCALE": "sample", name: value})
    assert advice in caught.value.fix and ("truth value" in caught.value.fix) == (name == "COMPILE")


def test_a_hub_id_without_owner_is_completed():
    with pytest.raises(CourseError, match="such as google-bert/bert-base-chinese"):
        load_tokenizer("bert-base-chinese")


def test_a_teacher_of_other_labels_is_named_so(tmp_path):
    from types import SimpleNamespace

    from minirbt_helpers.tasks.finetuning import _check_teacher

    (tmp_path / "rows.tsv").write_text(table(), encoding="utf-8")
    task = own_task("moods", tmp_path / "rows.tsv", tmp_path / "rows.tsv", MOODS)
    other = own_task("moods", tmp_path / "rows.tsv", tmp_path / "rows.tsv", MOODS, {"好": "good", "坏": "bad"})
    with pytest.raises(CourseError, match="the teacher knows the labels 好, 坏, and the rows have glad, sad"):
        _check_teacher(SimpleNamespace(task=other), task, None)


def test_notes_are_one_plain_line():
    note = CourseWarning("rows.tsv: 1 row without text (line 3) left out")
    assert warnings.formatwarning(note, CourseWarning, "here.py", 7) == f"note: {note}\n"
    assert "here.py:7" in warnings.formatwarning("other", UserWarning, "here.py", 7)


def test_help_shows_what_stands_in_brackets():
    from typer.testing import CliRunner

    from minirbt_helpers.__main__ import app

    assert "(extra: full)" in " ".join(CliRunner().invoke(app, ["--help"]).stdout.replace("│", " ").split())


# --- the official files ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("split", "rows", "left_out"), [("dev", 2950, 50), ("train", 9985, 15)])
def test_ocnli_s_rows_without_agreement_are_told(shared, split, rows, left_out):
    with pytest.warns(CourseWarning, match=rf"{left_out} rows labelled '-' \(line \d+, .* …\) left out"):
        assert len(TASKS["ocnli"].load(shared / "tasks", split)) == rows
    file = shared / "tasks" / "ocnli" / {"dev": "dev.json", "train": "train.10k.json"}[split]
    kept = TASKS["ocnli"].read(file, labelled=False)["label"]  # to predict, every line counts
    assert len(kept) == rows + left_out and kept.count(None) == left_out


def test_cmrc_s_trial_set_has_two_empty_questions(shared):
    task = TASKS["cmrc2018"]
    file = shared / "tasks" / "cmrc2018" / "cmrc2018_trial.json"
    with pytest.warns(CourseWarning, match=r"2 questions without text \(.*\) left out"):
        assert len(task.read(file)) == 1000
    with pytest.warns(CourseWarning, match="2 questions without text .* kept in place"):
        assert len(task.read(file, labelled=False)) == task.sizes["test"] == 1002


@pytest.mark.slow
@pytest.mark.parametrize("part", ["dev", "trial"])
def test_cmrc_s_two_forms_give_the_same_questions(shared, tmp_path, part):
    """The first form made of the second."""
    file = shared / "tasks" / "cmrc2018" / f"cmrc2018_{part}.json"
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    first = [
        {
            "context_id": passage["id"],
            "context_text": passage["context"],
            "qas": [
                {
                    "query_id": one["id"],
                    "query_text": one["question"],
                    "answers": [answer["text"] for answer in one["answers"]],
                }
                for one in passage["qas"]
            ],
        }
        for article in articles
        for passage in article["paragraphs"]
    ]
    (tmp_path / "first.json").write_text(json.dumps(first, ensure_ascii=False), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CourseWarning)
        one, two = (read_questions(name, labelled=False) for name in (file, tmp_path / "first.json"))
    assert [(row["id"], row["question"], row["answers"]["text"]) for row in one] == [
        (row["id"], row["question"], row["answers"]["text"]) for row in two
    ]
