"""Laws of segmentation, references, blocks and masking."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer

from minirbt_helpers.errors import CourseError
from minirbt_helpers.text import (
    WholeWordCollator,
    build_blocks,
    chinese_reference,
    load_segmenter,
    pack,
    read_lines,
    read_references,
    references,
    word_spans,
    write_references,
)

CHARACTERS = st.sampled_from("今天气很好我们去北京的大学 ABc12.,，。！é👏\u2028\u0000\ufffd\u3000郯Ⅷ１")
LINES = st.text(CHARACTERS, max_size=60) | st.text(max_size=40)


def bare(text: str) -> str:
    return "".join(text.split())


# --- segmentation ---------------------------------------------------------------------------------------------------


def test_segmenter_knows_the_example(segmenter):
    assert segmenter(["今天天气很好"])[0][:2] == ["今天", "天气"]


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(LINES, max_size=4))
def test_words_joined_give_the_line_back(segmenter, texts):
    rows = segmenter(texts)
    assert ["".join(row) for row in rows] == [bare(text) for text in texts]


def test_sample_corpus_comes_back_whole(segmenter):
    lines = [line for name in ("weather", "science") for line in read_lines(f"data_samples/corpus/train/{name}.txt")]
    assert ["".join(words) for words in segmenter(lines)] == [bare(line) for line in lines]


def test_own_words_are_kept_together():
    plain = load_segmenter("data_samples/models/segmenter")(["魑魅魍魉大饭店开张了"])[0]
    own = load_segmenter("data_samples/models/segmenter", words=["魑魅魍魉大饭店"])(["魑魅魍魉大饭店开张了"])[0]
    assert "魑魅魍魉大饭店" in own and "魑魅魍魉大饭店" not in plain


def test_a_config_that_runs_foreign_code_is_refused(tmp_path):
    config = {"nerual": True, "model": {"_ltp_target_": "os.system", "command": "true"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CourseError, match=r"os\.system"):
        load_segmenter(tmp_path)


def test_a_folder_that_is_no_segmenter_is_refused(tmp_path):
    with pytest.raises(CourseError, match="not an LTP model"):
        load_segmenter(tmp_path)
    with pytest.raises(CourseError, match="no such model folder"):
        load_segmenter(tmp_path / "nowhere")


# --- references -----------------------------------------------------------------------------------------------------


def test_the_weather_example(tokenizer):
    assert chinese_reference("天气很好", ["天气", "很", "好"], tokenizer) == [2]
    assert chinese_reference("今天天气很好", ["今天", "天气", "很好"], tokenizer) == [2, 4, 6]


def test_greedy_matching_joins_what_was_cut_elsewhere(tokenizer):
    text, words = "大学生活在大学生中", ["大学", "生活", "在", "大学生", "中"]
    assert chinese_reference(text, words, tokenizer) == [2, 4, 7, 8]
    assert chinese_reference(text, words, tokenizer, match="original") == [2, 3, 7, 8]


@pytest.mark.parametrize("match", ["segmentation", "original"])
def test_golden_references(shared, match):
    tokenizer = BertTokenizer(str(shared / "vocab" / "bert-base-chinese-vocab.txt"))
    rows = list(map(json.loads, read_lines(shared / "golden" / "references.jsonl")))
    assert len(rows) == 200
    for row in rows:
        assert tokenizer(row["text"])["input_ids"] == row["input_ids"]
        assert chinese_reference(row["text"], row["words"], tokenizer, match) == row[f"ref_{match}"], row["text"]


@settings(max_examples=150, deadline=None)
@given(text=LINES)
def test_every_position_continues_a_chinese_word_of_the_line(tokenizer, segmenter, text):
    words = segmenter([text])[0]
    encoded = tokenizer(text, return_offsets_mapping=True)
    starts = {start for start, _ in word_spans(text, words)}
    for position in chinese_reference(text, words, tokenizer):
        assert 1 < position < len(encoded["input_ids"]) - 1
        start, end = encoded["offset_mapping"][position]
        assert start not in starts and end > start and not text[start].isascii()


def test_words_of_another_text_are_refused(tokenizer):
    with pytest.raises(CourseError, match="do not make up the text"):
        chinese_reference("今天天气很好", ["明天", "天气", "很好"], tokenizer)
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


@pytest.mark.parametrize("line", ["[2, 2]", "[0]", "[3, 1]", '["2"]', "2", "[1.5]", "", "[true]"])
def test_a_broken_reference_is_named(tmp_path, line):
    file = tmp_path / "refs.txt"
    file.write_text(f"[2]\n{line}\n")
    with pytest.raises(CourseError, match=r"refs\.txt, line 2: not a reference"):
        list(read_references(file))


def test_text_that_is_not_utf8_is_named(tmp_path, tokenizer, segmenter):
    file = tmp_path / "text.txt"
    file.write_bytes("好的\n天".encode() + b"\xff\n")
    with pytest.raises(CourseError, match=r"text\.txt, line 2: not UTF-8 at byte 4"):
        write_references(file, tmp_path / "refs.txt", segmenter, tokenizer, progress=False)
    assert not (tmp_path / "refs.txt").exists() and len(list(tmp_path.iterdir())) == 1


# --- blocks ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(LINES, max_size=12), length=st.integers(4, 40))
def test_packing_loses_and_repeats_nothing(tokenizer, segmenter, texts, length):
    rows = references(texts, segmenter(texts), tokenizer)
    wanted_ids, wanted_flags = [], []
    for text, positions in zip(texts, rows, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        wanted_ids += [*ids, tokenizer.sep_token_id] if ids else []
        pieces = [token.startswith("##") for token in tokenizer.convert_ids_to_tokens(ids)]
        wanted_flags += [*(piece or place in positions for place, piece in enumerate(pieces, 1)), False] if ids else []
    made = list(pack(zip(texts, rows, strict=True), tokenizer, length))
    assert [token for block in made for token in block["input_ids"][1:-1]] == wanted_ids
    assert [flag for block in made for flag in block["continues"][1:-1]] == wanted_flags
    assert all(len(block["input_ids"]) == length for block in made[:-1])
    assert all(len(block["input_ids"]) == len(block["continues"]) <= length for block in made)


def test_blocks_from_references_equal_blocks_from_the_segmenter(tmp_path, tokenizer, segmenter):
    text = "data_samples/corpus/heldout/weather.txt"
    from minirbt_helpers.workspace import resolve

    file = write_references(resolve(text), tmp_path / "refs", segmenter, tokenizer, progress=False)
    settings = {"length": 32, "progress": False}
    one = build_blocks(text, tokenizer, tmp_path / "one", segmenter=segmenter, **settings)
    two = build_blocks(text, tokenizer, tmp_path / "two", references=[file], **settings)
    assert one[:] == two[:]
    assert one.features["input_ids"].feature.dtype == "uint16"


@pytest.mark.parametrize(("drop", "place"), [(1, "line 3"), (-1, "line 4")])
def test_references_out_of_step_are_refused(tmp_path, tokenizer, drop, place):
    text, refs = tmp_path / "text.txt", tmp_path / "refs.txt"
    text.write_text("今天\n天气\n很好\n", encoding="utf-8")
    refs.write_text("[2]\n" * (3 - drop))
    with pytest.raises(CourseError, match=rf"refs\.txt, {place}"):
        build_blocks(text, tokenizer, tmp_path / "out", length=16, references=[refs], progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["refs.txt", "text.txt"]


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_corpus_is_refused(tmp_path, tokenizer, segmenter, content):
    (tmp_path / "empty.txt").write_text(content)
    with pytest.raises(CourseError, match="holds no text"):
        build_blocks(
            tmp_path / "empty.txt", tokenizer, tmp_path / "out", length=16, segmenter=segmenter, progress=False
        )
    with pytest.raises(CourseError, match="no such text file"):
        build_blocks(tmp_path / "missing.txt", tokenizer, tmp_path / "out", length=16, segmenter=segmenter)
    assert not (tmp_path / "out").exists()


# --- masking --------------------------------------------------------------------------------------------------------


def words_of(block: dict) -> list[list[int]]:
    """The words of a block as lists of positions, the slow and plain way."""
    words: list[list[int]] = []
    for place in range(1, len(block["input_ids"]) - 1):
        if block["input_ids"][place] == 3:  # a [SEP] between lines
            words.append([])
        elif block["continues"][place] and words and words[-1]:
            words[-1].append(place)
        else:
            words.append([place])
    return [word for word in words if word]


BLOCK = st.lists(
    st.tuples(st.integers(1, 40).map(lambda n: n if n != 2 else 5), st.booleans()), min_size=1, max_size=60
)


def as_block(row: list[tuple[int, bool]]) -> dict:
    ids = [3 if token in (3, 4) else max(token, 5) for token, _ in row]
    flags = [flag and token != 3 for (_, flag), token in zip(row, ids, strict=True)]
    return {"input_ids": [2, *ids, 3], "continues": [False, *flags, False]}


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(BLOCK, min_size=1, max_size=4), seed=st.integers(0, 99), unit=st.sampled_from(["word", "token"]))
def test_words_are_masked_whole_within_the_budget(tokenizer, rows, seed, unit):
    made = list(map(as_block, rows))
    batch = WholeWordCollator(tokenizer, unit, seed=seed)(made)
    for block, ids, attention, labels in zip(
        made, batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
    ):
        size = len(block["input_ids"])
        original = torch.tensor(block["input_ids"])
        asked = labels != -100
        assert attention.tolist() == [1] * size + [0] * (len(ids) - size)
        assert not asked[size:].any() and (labels[asked] == original[asked[:size]]).all()
        assert (ids[:size][~asked[:size]] == original[~asked[:size]]).all()
        words = words_of(block)
        maskable = sum(map(len, words))
        assert asked.sum() <= max(1, round(0.15 * maskable + 1e-9))
        assert set(asked.nonzero().flatten().tolist()) <= {place for word in words for place in word}
        if unit == "word":
            assert all(len({bool(asked[place]) for place in word}) == 1 for word in words)


def test_shares_over_many_tokens(tokenizer, segmenter):
    collator, sums = WholeWordCollator(tokenizer), torch.zeros(5)
    lines = [line for name in ("weather", "law") for line in read_lines(f"data_samples/corpus/train/{name}.txt")]
    rows = list(pack(zip(lines, references(lines, segmenter(lines), tokenizer), strict=True), tokenizer, 128))
    for _ in range(5):
        batch = collator(rows)
        asked = batch["labels"] != -100
        maskable = (batch["attention_mask"].bool() & ~torch.isin(batch["input_ids"], torch.tensor([0, 2, 3]))) | asked
        seen, truth = batch["input_ids"][asked], batch["labels"][asked]
        masked, kept = seen == tokenizer.mask_token_id, seen == truth
        sums += torch.stack([asked.sum(), maskable.sum(), masked.sum(), kept.sum(), (~masked & ~kept).sum()])
    share = sums / sums[0]
    assert 0.14 < sums[0] / sums[1] < 0.155
    assert abs(share[2] - 0.8) < 0.02 and abs(share[3] - 0.1) < 0.02 and abs(share[4] - 0.1) < 0.02


def test_the_same_seed_masks_the_same(tokenizer, blocks):
    rows = [blocks[index] for index in range(8)]
    first, second = (WholeWordCollator(tokenizer, seed=3)(rows) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = WholeWordCollator(tokenizer, seed=4)(rows)
    assert not torch.equal(first["labels"], other["labels"])


def test_impossible_masking_is_refused(tokenizer):
    with pytest.raises(CourseError, match="unknown mask_unit"):
        WholeWordCollator(tokenizer, "sentence")
    with pytest.raises(CourseError, match="probability"):
        WholeWordCollator(tokenizer, probability=15)
