"""The table-driven tokens are the tokenizers library's own."""

from itertools import pairwise

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import BertTokenizer, PreTrainedTokenizerFast

from minirbt_helpers.errors import CourseError
from minirbt_helpers.text import read_lines, tokens
from minirbt_helpers.text.tokens import encoder

PARTS = st.sampled_from([
    "天", "气", "豈", "𠮷", "，", "[MASK]", "[SEP]", "[", "ab", "1", "é", "e\u0301", "\u0000", "\u200b", "한", "≠", "…",
    "İ", "\t", "\u2028", "\u3000", "\n",
])  # fmt: skip
LINES = st.lists(PARTS, max_size=15).map("".join) | st.text(max_size=40)


def library(tokenizer, lines: list[str]) -> list[tuple[list[int], list[int]]]:
    """Ids and first characters of each line's tokens, as the library gives them."""
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.no_truncation()  # another test may have set it: a tokenizer keeps its last truncation, and saves it
    found = own.encode_batch(lines, add_special_tokens=False) if lines else []
    return [(one.ids, [start for start, _ in one.offsets]) for one in found]


def ours(tokenizer, lines: list[str]) -> list[tuple[list[int], list[int]]]:
    made, head, rows = encoder(tokenizer)(lines), 0, []
    for line, (first, last) in zip(lines, pairwise(made.borders), strict=True):
        rows.append((made.ids[first:last].tolist(), (made.starts[first:last] - head).tolist()))
        head += len(line) + 1
    return rows


@examples(500)
@given(lines=st.lists(LINES, max_size=6))
def test_tokens_are_the_library_s(tokenizer, lines):
    assert ours(tokenizer, lines) == library(tokenizer, lines)


@pytest.fixture(scope="module")
def variants(tokenizer, tmp_path_factory):
    """Tokenizers that split otherwise: cased, without ideographs set apart, with tokens of one's own."""
    folder = tmp_path_factory.mktemp("variants")
    tokenizer.save_pretrained(folder)
    added = BertTokenizer.from_pretrained(folder)
    added.add_tokens(["天气", "ab"])
    special = BertTokenizer.from_pretrained(folder)
    special.add_special_tokens({"additional_special_tokens": ["<天>", "[S"]})
    cased = BertTokenizer.from_pretrained(folder, do_lower_case=False, strip_accents=False)
    joined = BertTokenizer.from_pretrained(folder, tokenize_chinese_chars=False)
    return [added, special, cased, joined]


@examples(150)
@given(lines=st.lists(LINES, max_size=4))
def test_other_tokenizers_too(variants, lines):
    for tokenizer in variants:
        assert ours(tokenizer, lines) == library(tokenizer, lines)


@pytest.mark.slow
def test_every_character_in_every_company(tokenizer):
    codes = [*range(0xD800), *range(0xE000, 0x10000), *range(0x1F000, 0x20100)]
    characters = list(map(chr, codes))
    lines = ["天{}b1，{}".format(*characters[at : at + 2]) for at in range(0, len(characters), 2)]
    assert ours(tokenizer, lines) == library(tokenizer, lines)


@pytest.mark.slow
def test_real_text(shared):
    tokenizer = BertTokenizer(str(shared / "vocab" / "bert-base-chinese-vocab.txt"))
    for file in sorted((shared / "corpora").glob("*.txt")):
        lines = [line for line, _ in zip(read_lines(file), range(300), strict=False)]
        assert ours(tokenizer, lines) == library(tokenizer, lines), file


def test_a_cache_that_overflows_starts_anew(tokenizer, monkeypatch):
    monkeypatch.setattr(tokens, "KNOWN_RUNS", 3)
    lines = [f"第{number}号 run{number} {number}x" for number in range(50)]
    for at in range(0, 50, 5):
        assert ours(tokenizer, lines[at : at + 5]) == library(tokenizer, lines[at : at + 5])


def test_truncation_set_by_others_does_not_reach_us(tokenizer):
    line = "今天天气很好" * 10
    tokenizer(line, truncation=True, max_length=5)
    assert len(encoder(tokenizer)([line]).ids) == 60


def test_half_a_character_is_refused(tokenizer):
    with pytest.raises(CourseError, match="half a character"):
        encoder(tokenizer)(["天\ud800"])


def test_any_fast_tokenizer_will_do():
    from tokenizers import models, pre_tokenizers

    plain = Tokenizer(models.WordLevel({"天气": 0, "[UNK]": 1, "a": 2}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]")
    lines = ["天气 a b", "", "a\u2028a"]
    assert ours(tokenizer, lines) == library(tokenizer, lines)
