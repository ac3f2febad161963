"""Laws of the HTML views of text: nothing lost, nothing invented, nothing fetched."""

import html
import re

import pytest
import torch
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from minirbt_helpers.errors import CourseError
from minirbt_helpers.insight import draw_blocks, draw_masking, draw_words, masking_states, token_words
from minirbt_helpers.models import load_tokenizer
from minirbt_helpers.text import WholeWordCollator, pack

LINES = [("今天天气很好。", [2, 4]), ("Tom说<b>1 & 2</b>", []), ("我们明天再去公园。", [2, 4, 8])]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("data_samples/models/teacher")


@pytest.fixture(scope="module")
def blocks(tokenizer):
    return list(pack(LINES, tokenizer, length=10))


def visible(view) -> str:
    """The text a reader sees, without blanks."""
    return re.sub(r"[\s\u200b]", "", html.unescape(re.sub(r"<[^>]*>", "", view.data)))


def test_states_follow_labels_first_then_what_is_seen():
    states = masking_states([5, 6, 7, 8], [5, 4, 7, 9], [-100, 6, 7, 8], mask_id=4)
    assert states == ["kept", "mask", "unchanged", "random"]


def test_a_mask_token_of_the_text_itself_is_kept():
    assert masking_states([4], [4], [-100], mask_id=4) == ["kept"]


def test_states_refuse_rows_of_different_length():
    with pytest.raises(CourseError, match="2 tokens, 1 masked"):
        masking_states([5, 6], [5], [-100, -100], mask_id=4)


@examples(20)
@given(seed=st.integers(0, 10_000), unit=st.sampled_from(["word", "token"]))
def test_states_count_what_the_collator_chose(tokenizer, blocks, seed, unit):
    batch = WholeWordCollator(tokenizer, unit, probability=0.4, seed=seed)(blocks[:1])
    states = masking_states(blocks[0]["input_ids"], batch["input_ids"][0], batch["labels"][0], tokenizer.mask_token_id)
    chosen = (batch["labels"][0] != -100).tolist()
    assert [state != "kept" for state in states] == chosen
    assert states.count("mask") == (batch["input_ids"][0] == tokenizer.mask_token_id).sum()


@given(flags=st.lists(st.booleans(), min_size=2, max_size=40))
def test_token_words_cover_each_place_once_and_cut_where_the_flag_is_false(flags):
    words = token_words(flags)
    assert [place for word in words for place in word] == list(range(len(flags)))
    assert all(flags[place] for word in words for place in word[1:])
    assert all(not flags[word[0]] for word in words if word[0] > 1)


def test_masking_view_shows_answer_and_input_of_every_token(tokenizer, blocks):
    collator = WholeWordCollator(tokenizer, probability=0.5, seed=3)
    batch = collator(blocks[:1])
    panel = {name: batch[name][0] for name in ("input_ids", "labels")}
    view = draw_masking(blocks[0], {"words": panel}, tokenizer)
    expected = "words"
    pairs = zip(blocks[0]["input_ids"], panel["input_ids"].tolist(), panel["labels"].tolist(), strict=True)
    for before, after, label in pairs:
        expected += tokenizer.convert_ids_to_tokens(after)
        expected += tokenizer.convert_ids_to_tokens(before) if label != -100 else ""
    assert visible(view).startswith(expected.replace(" ", ""))


def test_masking_view_refuses_a_panel_of_another_block(tokenizer, blocks):
    panel = {"input_ids": torch.tensor([1]), "labels": torch.tensor([1])}
    with pytest.raises(CourseError):
        draw_masking(blocks[0], {"words": panel}, tokenizer)


def test_words_view_gives_each_row_back_and_colours_what_differs():
    rows = {"one": ["南京市", "长江", "大桥"], "two": ["南京", "市长", "江", "大桥"]}
    assert visible(draw_words(rows)) == "one南京市长江大桥two南京市长江大桥"
    changed = "#D55E00"
    assert changed not in draw_words(rows).data
    assert changed in draw_words(rows, compare=True).data
    assert changed not in draw_words({"one": rows["one"], "again": rows["one"]}, compare=True).data


def test_block_view_shows_every_flag(tokenizer, blocks):
    shown = visible(draw_blocks(blocks, tokenizer))
    for number, block in enumerate(blocks):
        names = tokenizer.convert_ids_to_tokens(block["input_ids"])
        row = "".join(f"{name}{int(flag)}" for name, flag in zip(names, block["continues"], strict=True))
        assert f"block{number}{row}" in shown


def test_no_blocks_are_an_empty_picture(tokenizer):
    assert visible(draw_blocks([], tokenizer)) == ""


def test_a_word_cut_by_a_border_is_open_on_both_sides_of_it(tokenizer):
    cut = list(pack([("他去公园", [4])], tokenizer, length=5))  # 他去公 | 园
    whole = list(pack([("他去公园", [4])], tokenizer, length=6))
    opened = "#D55E00"
    assert cut[1]["continues"][1]
    assert opened in draw_blocks(cut[1:], tokenizer).data
    assert draw_blocks(cut, tokenizer).data.count(opened) > draw_blocks(cut[1:], tokenizer).data.count(opened)
    assert opened not in draw_blocks(cut[:1], tokenizer).data  # nothing says that more follows
    assert opened not in draw_blocks(whole, tokenizer).data


def test_views_escape_text_and_fetch_nothing(tokenizer, blocks):
    views = [draw_words({"<i>": ["<script>", "&"]}), draw_blocks(blocks, tokenizer)]
    assert views[0].data.count("&lt;") == 2 and views[0].data.count("&amp;") == 1
    for view in views:
        assert "<script" not in view.data and "<b>" not in view.data
        assert not re.search(r"https?:|src=|url\(|@import|<link|<style", view.data)
