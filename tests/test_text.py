"""Laws of references."""

import json
from itertools import pairwise

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from minirbt_helpers.errors import CourseError
from minirbt_helpers.text import (
    chinese_reference,
    is_chinese,
    read_lines,
    read_references,
    references,
    word_spans,
    write_references,
)
from minirbt_helpers.workspace import resolve

CHARACTERS = st.sampled_from("今天气很好我们去北京的大学 ABc12.,，。！é👏\u2028\u0000\ufffd\u3000郯Ⅷ１")
LINES = st.text(CHARACTERS, max_size=60) | st.text(max_size=40)


def test_the_weather_example(tokenizer):
    assert chinese_reference("天气很好", ["天气", "很", "好"], tokenizer) == [2]
    assert chinese_reference("今天天气很好", ["今天", "天气", "很好"], tokenizer) == [2, 4, 6]


def test_greedy_matching_joins_what_was_cut_elsewhere(tokenizer):
    text, words = "大学生活在大学生中", ["大学", "生活", "在", "大学生", "中"]
    assert chinese_reference(text, words, tokenizer) == [2, 4, 7, 8]
    assert chinese_reference(text, words, tokenizer, match="original") == [2, 3, 7, 8]


@pytest.mark.slow
@pytest.mark.parametrize("match", ["segmentation", "original"])
def test_golden_references(shared, match):
    tokenizer = BertTokenizer(str(shared / "vocab" / "bert-base-chinese-vocab.txt"))
    rows = list(map(json.loads, read_lines(shared / "golden" / "references.jsonl")))
    assert len(rows) == 200
    for row in rows:
        assert tokenizer(row["text"])["input_ids"] == row["input_ids"]
        assert chinese_reference(row["text"], row["words"], tokenizer, match) == row[f"ref_{match}"], row["text"]


def test_golden_references_all_at_once(shared):
    tokenizer = BertTokenizer(str(shared / "vocab" / "bert-base-chinese-vocab.txt"))
    rows = 7 * list(map(json.loads, read_lines(shared / "golden" / "references.jsonl")))  # more than are done at once
    texts, words = ([row[name] for row in rows] for name in ("text", "words"))
    for match in ("segmentation", "original"):
        assert references(texts, words, tokenizer, match) == [row[f"ref_{match}"] for row in rows]


def plain_reference(text: str, words: list[str], tokenizer) -> list[int]:
    """The definition, word by word and token by token."""
    encoded, at, inside = tokenizer(text, return_offsets_mapping=True), 0, set()
    for word in words:
        at = text.index(word, at)
        if all("\u3400" <= char <= "\u4dbf" or "\u4e00" <= char <= "\u9fff" for char in word):
            inside.update(range(at + 1, at + len(word)))
        at += len(word)
    offsets = enumerate(encoded["offset_mapping"][:-1])
    return [position for position, (start, _) in offsets if position and start in inside]


@st.composite
def cut_lines(draw):
    """A line and any cut of it into words."""
    text = draw(LINES)
    words = []
    for part in text.split():
        borders = sorted(draw(st.sets(st.integers(1, max(1, len(part) - 1)), max_size=6)))
        words += [part[first:last] for first, last in pairwise([0, *borders, len(part)]) if first < last]
    return text, words


@examples(300)
@given(rows=st.lists(cut_lines(), max_size=5))
def test_references_are_what_their_definition_says(tokenizer, rows):
    texts, words = [text for text, _ in rows], [cut for _, cut in rows]
    assert references(texts, words, tokenizer) == [plain_reference(text, cut, tokenizer) for text, cut in rows]


@examples(300)
@given(text=LINES)
def test_every_position_continues_a_chinese_word_of_the_line(tokenizer, segmenter, text):
    words = segmenter([text])[0]
    encoded = tokenizer(text, return_offsets_mapping=True)
    starts = {start for start, _ in word_spans(text, words)}
    for position in chinese_reference(text, words, tokenizer):
        assert 1 < position < len(encoded["input_ids"]) - 1
        start, end = encoded["offset_mapping"][position]
        assert start not in starts and end > start and is_chinese(text[start])


@examples(200)
@given(row=cut_lines())
def test_word_spans_lie_where_the_words_are(row):
    text, words = row
    assert [text[start:end] for start, end in word_spans(text, words)] == words


def test_words_of_another_text_are_refused(tokenizer):
    for match in ("segmentation", "original"):
        with pytest.raises(CourseError, match="do not make up the text"):
            chinese_reference("今天天气很好", ["明天", "天气", "很好"], tokenizer, match)
    with pytest.raises(CourseError, match="unknown match"):
        chinese_reference("今天", ["今天"], tokenizer, match="greedy")


def test_the_reference_file_is_in_step_with_the_text(tmp_path, tokenizer, segmenter):
    text = tmp_path / "text.txt"
    text.write_bytes("今天天气很好\r\n\n第一行\u2028还是第一行\n   \n北京大学 ABC\n".encode())
    output = write_references(text, tmp_path / "refs.txt", segmenter, tokenizer, progress=False)
    lines, rows = list(read_lines(text)), list(read_references(output))
    assert len(rows) == len(lines) == 5
    assert rows[1] == rows[3] == []
    assert rows == references(lines, segmenter(lines), tokenizer)


@pytest.mark.parametrize(
    "line", ["[2, 2]", "[0]", "[3, 1]", '["2"]', "2", "[1.5]", "", "[true]", f"[{10**30}]", "[" * 99999]
)
def test_a_broken_reference_is_named(tmp_path, line):
    file = tmp_path / "refs.txt"
    file.write_text(f"[2]\n{line}\n")
    with pytest.raises(CourseError, match=r"refs\.txt, line 2: not a reference"):
        list(read_references(file))


def lines_of_every_kind() -> list[str]:
    """Lines that tools stumble over."""
    return [
        "今天天气很好", "", "第一行\u2028还是第一行\u2029\u0085\x0b\x0c\x1c", "   ", "北京大学 ABC",
        "\u0000今天\u0000天气\u0001", "👨‍👩‍👧天气👏🏽", "e\u0301té 天\u0301气", "臺灣的天氣，台湾的天气",
        "\ufffd\ufeff天气", "[MASK]天气[SEP]", "한국어 天气", "\r天气\r气",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_no_line_shifts_whatever_the_lines_are(tmp_path, tokenizer, segmenter, end, monkeypatch):
    monkeypatch.setattr("minirbt_helpers.lines.read_batches.__defaults__", (50, 0, None))  # several batches
    lines = 3 * lines_of_every_kind()
    text = tmp_path / "text.txt"
    text.write_bytes("\ufeff".encode() + end.join(lines).encode())
    output = write_references(text, tmp_path / "refs", segmenter, tokenizer, progress=False)
    assert list(read_lines(text)) == lines
    assert list(read_references(output)) == [references([line], segmenter([line]), tokenizer)[0] for line in lines]
    assert output.read_text().splitlines()[0] == "[2, 4, 6]"


@pytest.mark.slow
def test_a_line_of_a_million_characters(tmp_path, tokenizer, segmenter):
    long = "今天天气很好，我们去公园散步。Hello 1234567890" * 33_000
    assert len(long) > 1_000_000
    lines = ["北京大学", long, "x" * 1_000_000, "天" * 1_000_000, "今天天气很好"]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(lines), encoding="utf-8")
    rows = list(read_references(write_references(text, tmp_path / "refs", segmenter, tokenizer, progress=False)))
    assert len(rows) == 5 and rows[4] == [2, 4, 6] and rows[2] == []
    assert len(rows[1]) > 33_000 * 5 and rows[1][:3] == [2, 4, 6]


@pytest.mark.slow
def test_processes_make_the_very_same_file(tmp_path, tokenizer, segmenter, monkeypatch):
    monkeypatch.setattr("minirbt_helpers.lines.read_batches.__defaults__", (2000, 0, None))
    text = tmp_path / "text.txt"
    lines = [*read_lines(resolve("data_samples/corpus/train/law.txt")), *lines_of_every_kind()]
    text.write_text("\n".join(lines), encoding="utf-8")
    one, two = (
        write_references(text, tmp_path / f"{count}", segmenter, tokenizer, progress=False, processes=count)
        for count in (1, 2)
    )
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("before", [1, 1000])
def test_text_that_is_not_utf8_is_named(tmp_path, tokenizer, segmenter, monkeypatch, before):
    monkeypatch.setattr("minirbt_helpers.lines.read_batches.__defaults__", (100, 0, None))
    file = tmp_path / "text.txt"
    file.write_bytes("好的\n".encode() * before + "天".encode() + b"\xff\n" + "好的\n".encode() * 9)
    with pytest.raises(CourseError, match=rf"text\.txt, line {before + 1}: not UTF-8 at byte 4"):
        write_references(file, tmp_path / "refs.txt", segmenter, tokenizer, progress=False)
    assert not (tmp_path / "refs.txt").exists() and len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow  # starts processes
def test_an_error_in_another_process_arrives_whole(tmp_path, tokenizer, segmenter, monkeypatch):
    monkeypatch.setattr("minirbt_helpers.lines.read_batches.__defaults__", (100, 0, None))
    text = resolve("data_samples/corpus/train/law.txt")
    with pytest.raises(CourseError, match="unknown match 'greedy'"):
        write_references(text, tmp_path / "refs", segmenter, tokenizer, "greedy", progress=False, processes=2)
    assert list(tmp_path.iterdir()) == []
