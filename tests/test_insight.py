"""Laws of the look inside: each measure against a definition computed another way, each picture against its numbers."""

import itertools
import math
import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import Widget, interactive
from scipy.spatial.distance import jensenshannon
from torch import nn

from minirbt_helpers import insight
from minirbt_helpers.errors import CourseError
from minirbt_helpers.insight.controls import VIEWS
from minirbt_helpers.insight.drawn.attention import MOST_CELLS
from minirbt_helpers.insight.drawn.canvas import Box, Cells, Dot, Drawing, Line, Text, shelf, text_width
from minirbt_helpers.insight.drawn.theme import THEMES, chinese_face
from minirbt_helpers.insight.measured.attention import Attention
from minirbt_helpers.insight.measured.reading import check_tokenizers
from minirbt_helpers.models import ARCHITECTURES, load_model
from minirbt_helpers.text import is_chinese
from minirbt_helpers.training import layer_pairs

TEXT = "今天天气很好，我们去北京大学看书。"
THIRTY = "记得高中做单摆实验，我和同桌为了一个数据争得面红耳赤，谁也不"
PAIRS = layer_pairs(12, 6)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def student():
    return load_model("data_samples/models/student")


@pytest.fixture(scope="module")
def parsed(tokenizer, segmenter):
    lines = [
        "我们明天去公园。如果下雨，就在家里看书！",
        "老师说，学习要慢慢来；孩子们都笑了。",
        "北京的冬天很冷，可是屋里很暖和。",
    ]
    return insight.sentences(lines, tokenizer, segmenter, fewest=6)


@pytest.fixture(scope="module")
def readings(teacher, student, parsed):
    return {
        "teacher": insight.readings(teacher, parsed, "teacher"),
        "student": insight.readings(student, parsed, "student"),
    }


@pytest.fixture(scope="module")
def pair(teacher, student, tokenizer, segmenter):
    sentence = insight.Sentence.of(TEXT, tokenizer, segmenter)
    return insight.Reading.of(teacher, sentence, "teacher"), insight.Reading.of(student, sentence, "student")


def tensors(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- reading --------------------------------------------------------------------------------------------------------


def test_a_sentence_keeps_every_character_and_every_token_has_one_word(tokenizer, segmenter):
    sentence = insight.Sentence.of("Tom 用iPhone说：今天[MASK][MASK]很好龘。", tokenizer, segmenter)
    assert "".join(sentence.labels[1:-1]) == "Tom用iPhone说：今天[MASK][MASK]很好龘。"
    assert sorted(place for word in sentence.words for place in word) == list(range(len(sentence.ids)))
    words = ["".join(sentence.labels[place] for place in word) for word in sentence.words]
    assert words[0] == "[CLS]" and words[-1] == "[SEP]" and {"iPhone", "今天"} <= set(words)
    assert words.count("[MASK]") == 2


def test_reading_in_batches_is_reading_one_by_one(student, parsed, readings):
    assert len({len(sentence.ids) for sentence in parsed}) > 1  # so that there is padding
    for sentence, together in zip(parsed, readings["student"], strict=True):
        alone = insight.Reading.of(student, sentence)
        assert together.attention.shape[-1] == len(sentence.ids)
        torch.testing.assert_close(together.attention, alone.attention, atol=1e-5, rtol=0)
        torch.testing.assert_close(together.hidden, alone.hidden, atol=1e-4, rtol=0)


def test_a_reading_is_the_models_own_arithmetic(student, parsed):
    reading = insight.Reading.of(student, parsed[0])
    torch.testing.assert_close(reading.attention.sum(-1), torch.ones(reading.attention.shape[:-1]))
    layer = student.bert.encoder.layer[2].attention.self
    query, key = (
        part(reading.hidden[2]).view(-1, 8, 8).transpose(0, 1) for part in (layer.query, layer.key)
    )  # [heads, tokens, 8]
    by_hand = (query @ key.transpose(1, 2) / math.sqrt(8)).softmax(-1)
    torch.testing.assert_close(reading.attention[2], by_hand.detach(), atol=1e-5, rtol=0)


def test_a_model_without_attention_is_read_with_eager_and_left_as_it_was(student, parsed):
    assert student.config._attn_implementation == "sdpa"
    student.train()
    reading = insight.Reading.of(student, parsed[0], "student")
    assert student.training and student.config._attn_implementation == "sdpa"
    student.eval()
    assert "eager" in reading.notes[0] and "sdpa" in reading.notes[0]
    picture = insight.draw_head(reading, 1, 1)
    assert any(isinstance(shape, Text) and "eager" in shape.text for shape in picture.shapes)
    from_folder = insight.Reading.of("data_samples/models/student", parsed[0])
    assert from_folder.notes == ()
    torch.testing.assert_close(from_folder.attention, reading.attention, atol=1e-5, rtol=0)


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_sentence_is_refused(tokenizer, segmenter, text):
    with pytest.raises(CourseError, match="an empty sentence"):
        insight.Sentence.of(text, tokenizer, segmenter)


def test_a_long_sentence_is_cut_and_says_so(student, tokenizer, segmenter):
    sentence = insight.Sentence.of("天气很好。" * 200, tokenizer, segmenter)
    assert len(sentence.ids) == 512 and sentence.ids[-1] == tokenizer.sep_token_id
    assert "1002 tokens" in sentence.notes[0]
    picture = insight.draw_head(insight.Reading.of(student, sentence, "student"), 1, 1)
    assert any(isinstance(shape, Text) and "1002 tokens" in shape.text for shape in picture.shapes)
    assert len(picture._repr_html_().encode()) < 1_000_000


def test_unknown_characters_are_shown_as_they_are_and_named(tokenizer, segmenter):
    sentence = insight.Sentence.of("他姓龘龘。", tokenizer, segmenter)
    assert sentence.labels[3:5] == ("龘", "龘") and sentence.ids[3] == tokenizer.unk_token_id
    assert sentence.notes == ("not in the vocabulary, read as [UNK]: 龘",)


def test_models_of_different_tokenizers_are_refused(student, tokenizer, tmp_path):
    check_tokenizers({"student": student, "folder": "data_samples/models/teacher"}, tokenizer)
    other = ARCHITECTURES["MiniRBT-H256"].random_model("sample", 500)
    with pytest.raises(CourseError, match=r"other reads with another tokenizer \(500 entries"):
        check_tokenizers({"student": student, "other": other}, tokenizer)
    swapped = type(tokenizer).from_pretrained("data_samples/models/teacher")
    file = tmp_path / "vocab.txt"  # as many entries, in another order
    file.write_text("\n".join(sorted(swapped.get_vocab())), encoding="utf-8")
    with pytest.raises(CourseError, match="another tokenizer"):
        check_tokenizers({"student": student, "swapped": tmp_path}, tokenizer)


def test_readings_of_different_sentences_are_refused(readings):
    turned = readings["student"][::-1]
    for measure in (insight.cka_matrix, insight.head_distances):
        with pytest.raises(CourseError, match="different tokens"):
            measure(readings["teacher"], turned)
        with pytest.raises(CourseError, match="sentences against"):
            measure(readings["teacher"], turned[1:])


@given(cuts=st.lists(st.booleans(), min_size=2, max_size=12), seed=st.integers(0, 99))
def test_attention_between_words_is_query_mean_and_key_sum(cuts, seed):
    starts = [0, *(place for place, cut in enumerate(cuts, 1) if cut)]
    words = [list(range(start, end)) for start, end in itertools.pairwise([*starts, len(cuts) + 1])]
    shares = tensors(2, len(cuts) + 1, len(cuts) + 1, seed=seed).softmax(-1)
    got = insight.word_shares(shares, words)
    for (one, queries), (other, keys) in itertools.product(enumerate(words), repeat=2):
        naive = sum(float(shares[1, query, key]) for query in queries for key in keys) / len(queries)
        assert float(got[1, one, other]) == pytest.approx(naive, abs=1e-5)
    torch.testing.assert_close(got.sum(-1), torch.ones(2, len(words)))


def test_the_last_layers_guess_is_the_models_own(student, tokenizer, segmenter):
    text = "今天天[MASK]很好。"
    reading = insight.Reading.of(student, insight.Sentence.of(text, tokenizer, segmenter))
    guesses = insight.layer_guesses(student, reading, tokenizer, top=3)
    assert [len(row) for row in guesses] == [3] * 7
    (own,) = insight.mask_guesses(student, tokenizer, text, top=3)
    assert [token for token, _ in guesses[-1]] == [token for token, _ in own]
    assert [share for _, share in guesses[-1]] == pytest.approx([share for _, share in own], abs=1e-4)
    with pytest.raises(CourseError, match=r"no \[MASK\]"):
        insight.layer_guesses(student, insight.Reading.of(student, insight.Sentence.of("好", tokenizer)), tokenizer)


# --- similarity -----------------------------------------------------------------------------------------------------


def test_cka_is_the_alignment_of_centred_gram_matrices():
    one, other = tensors(40, 7), tensors(40, 5, seed=1) + 3
    other[:, :2] += one[:, :2]
    centring = torch.eye(40, dtype=torch.float64) - 1 / 40

    def hsic(a, b):
        return float(torch.trace(a.double() @ a.double().T @ centring @ b.double() @ b.double().T @ centring))

    expected = hsic(one, other) / math.sqrt(hsic(one, one) * hsic(other, other))
    assert insight.linear_cka(one, other) == pytest.approx(expected, abs=1e-10)
    turned = one.double() @ torch.linalg.qr(tensors(7, 7, seed=2).double()).Q * 3 + 1
    assert insight.linear_cka(one, turned) == pytest.approx(1)
    with pytest.raises(CourseError, match="40 tokens against 39"):
        insight.linear_cka(one, other[1:])


def test_the_cka_matrix_pairs_every_state_with_every_state(readings):
    matrix = insight.cka_matrix(readings["teacher"], readings["student"])
    assert matrix.shape == (13, 7)
    theirs, ours = (torch.cat([reading.hidden[5] for reading in readings[name]]) for name in ("teacher", "student"))
    assert matrix[5, 5] == pytest.approx(insight.linear_cka(theirs, ours))
    itself = insight.cka_matrix(readings["student"], readings["student"])
    assert np.allclose(np.diag(itself), 1) and np.allclose(itself, itself.T)
    inside, outside = insight.matched_means(matrix, PAIRS)
    assert inside == pytest.approx(np.mean([matrix[place] for place in PAIRS]))
    assert outside == pytest.approx((matrix.sum() - 7 * inside) / (13 * 7 - 7))


def test_the_fitted_projection_is_least_squares_with_a_bias():
    student, teacher = tensors(50, 4), tensors(50, 6, seed=1) + 2
    with_ones = np.hstack([student.double().numpy(), np.ones((50, 1))])
    solution = np.linalg.lstsq(with_ones, teacher.double().numpy(), rcond=None)[0]
    projection = insight.best_projection(student, teacher)
    np.testing.assert_allclose(projection.weight.numpy(), solution[:-1], atol=1e-9)
    np.testing.assert_allclose(projection.bias.numpy(), solution[-1], atol=1e-9)
    np.testing.assert_allclose(projection(student).numpy(), with_ones @ solution, atol=1e-9)


def test_projected_cosine_is_the_mean_of_the_angles_cosines():
    student, teacher, linear = tensors(30, 4), tensors(30, 6, seed=1), nn.Linear(4, 6)
    expected = [
        math.fsum(a * b for a, b in zip(ours, theirs, strict=True)) / (math.hypot(*ours) * math.hypot(*theirs))
        for ours, theirs in zip(linear(student).tolist(), teacher.tolist(), strict=True)
    ]
    assert insight.projected_cosine(student, teacher, linear) == pytest.approx(np.mean(expected), abs=1e-6)


def test_hidden_mse_is_textbrewers_loss():
    from textbrewer.losses import hid_mse_loss

    student, teacher, linear = tensors(3, 9, 4), tensors(3, 9, 6, seed=1), nn.Linear(4, 6)
    mask = (torch.arange(9) < torch.tensor([[9], [5], [2]])).long()  # [3, 9]
    with torch.no_grad():
        plain, masked = hid_mse_loss(linear(student), teacher), hid_mse_loss(linear(student), teacher, mask)
    assert insight.hidden_mse(student, teacher, linear) == pytest.approx(float(plain), rel=1e-5)
    assert insight.hidden_mse(student, teacher, linear, mask) == pytest.approx(float(masked), rel=1e-5)
    student[mask == 0] = 1e6  # what stands in the padding plays no part
    assert insight.hidden_mse(student, teacher, linear, mask) == pytest.approx(float(masked), rel=1e-5)


def test_the_distance_of_heads_is_jensen_shannon_as_scipy_has_it(readings):
    distances = insight.head_distances(readings["teacher"], readings["student"])
    assert distances.shape == (144, 48)
    for theirs, ours in ((0, 0), (29, 18), (143, 47)):
        each = [
            jensenshannon(one, other, base=2) ** 2
            for teacher, student in zip(readings["teacher"], readings["student"], strict=True)
            for one, other in zip(
                teacher.attention.flatten(0, 1)[theirs].double().numpy(),
                student.attention.flatten(0, 1)[ours].double().numpy(),
                strict=True,
            )
        ]
        assert distances[theirs, ours] == pytest.approx(np.mean(each), abs=1e-4)
    itself = insight.head_distances(readings["student"], readings["student"])
    assert np.allclose(np.diag(itself), 0, atol=1e-5) and np.allclose(itself, itself.T, atol=1e-5)


@examples(30)
@given(rows=st.integers(2, 5), columns=st.integers(2, 5), seed=st.integers(0, 999))
def test_matched_heads_have_the_least_sum_of_all_pairings(rows, columns, seed):
    distances = np.random.default_rng(seed).random((rows, columns))
    matches = insight.head_matches(distances)
    wide = distances if rows <= columns else distances.T
    best = min(
        sum(wide[row, column] for row, column in enumerate(order))
        for order in itertools.permutations(range(max(rows, columns)), min(rows, columns))
    )
    assert sum(distance for *_, distance in matches) == pytest.approx(best)
    assert [distance for *_, distance in matches] == sorted(distances[a, b] for a, b, _ in matches)
    assert len({a for a, *_ in matches}) == len({b for _, b, _ in matches}) == min(rows, columns)


def words_of(reading):
    return {place: number for number, word in enumerate(reading.sentence.words) for place in word}


def test_word_binding_counts_neighbouring_characters_within_and_across(readings):
    binding = insight.word_binding(readings["teacher"])
    assert binding.inside.shape == (len(readings["teacher"]), 12, 12)
    reading, word = readings["teacher"][1], words_of(readings["teacher"][1])
    found = {True: [], False: []}
    for one, other in itertools.permutations(range(len(word)), 2):
        if (
            abs(one - other) == 1
            and is_chinese(reading.sentence.labels[one])
            and is_chinese(reading.sentence.labels[other])
        ):
            found[word[one] == word[other]].append(float(reading.attention[2, 5, one, other]))
    assert found[True] and found[False]
    assert binding.inside[1, 2, 5] == pytest.approx(np.mean(found[True]), abs=1e-6)
    assert binding.across[1, 2, 5] == pytest.approx(np.mean(found[False]), abs=1e-6)
    gaps = binding.inside - binding.across
    assert binding.error[2, 5] == pytest.approx(gaps[:, 2, 5].std(ddof=1) / math.sqrt(len(gaps)))
    halves = [binding.half(first).inside for first in (True, False)]
    assert sum(map(len, halves)) == len(gaps) and not np.array_equal(halves[0][0], halves[1][0])


def test_a_head_that_knows_no_words_binds_none(parsed, tokenizer):
    random = ARCHITECTURES["MiniRBT-H256"].random_model("sample", len(tokenizer))
    binding = insight.word_binding(insight.readings(random, parsed))
    assert np.abs(binding.difference).max() < 0.002 < insight.word_binding(insight.readings(
        load_model("data_samples/models/teacher"), parsed)).difference.max()  # fmt: skip


def test_word_binding_needs_words(teacher, tokenizer):
    with pytest.raises(CourseError, match="neighbours inside a word"):
        no_words = insight.Sentence.of(TEXT, tokenizer)  # as there is no segmenter
        insight.word_binding([insight.Reading.of(teacher, no_words)])


def test_one_sentence_shows_no_error_and_has_no_halves(readings):
    one, three = (insight.word_binding(readings["student"][:count]) for count in (1, 3))
    assert len(one.inside) == 1 and len(three.inside) == 3 and np.isfinite(one.difference).all()
    assert len(three.half(first=False).inside) == 1
    for asked in (lambda: insight.draw_word_binding({"student": one}), lambda: one.half(first=True),
                  lambda: insight.draw_word_binding({"student": three.half(first=False)})):  # fmt: skip
        with pytest.raises(CourseError, match="a single sentence"):
            asked()


def test_gaze_adds_up_what_each_token_looks_at(readings):
    kinds = insight.gaze(readings["student"])
    sums = {kind: [] for kind in kinds}
    for reading in readings["student"]:
        word, last, shares = words_of(reading), len(reading.sentence.ids) - 1, reading.attention[1, 3].tolist()
        for token in range(1, last):
            for kind, key in zip(kinds, (token, token - 1, token + 1, 0, last), strict=False):
                sums[kind].append(shares[token][key])
        for token in range(last + 1):
            mates = [other for other in word if word[other] == word[token] and other != token]
            if mates:
                sums["rest of its word"].append(sum(shares[token][mate] for mate in mates))
    for kind, values in sums.items():
        assert kinds[kind][1, 3] == pytest.approx(np.mean(values), abs=1e-6), kind


# --- drawings -------------------------------------------------------------------------------------------------------


def all_pictures(pair, model, tokenizer, segmenter):
    """Every picture of the notebook, for the readings of a teacher and a student."""
    teacher, student = pair
    gap = insight.Reading.of(model, insight.Sentence.of("今天天[MASK]很好。", tokenizer, segmenter))
    projections = [insight.best_projection(student.hidden[b], teacher.hidden[a]) for a, b in PAIRS]
    rows = [{"step": step} | {f"hidden {a}-{b}": 1 + a / step for a, b in PAIRS} for step in range(1, 61)]
    return {
        "head": insight.draw_head(teacher, 3, 6),
        "head, words": insight.draw_head(teacher, 3, 6, "words"),
        "layer": insight.draw_layer(teacher, 3),
        "heads": insight.draw_all_heads(teacher),
        "pair": insight.draw_head_pair(teacher, student, 2, 8),
        "cka": insight.draw_cka({"after": insight.cka_matrix([teacher], [student])}, PAIRS, "teacher", "student"),
        "paths": insight.draw_paths(teacher, student, PAIRS, projections),
        "losses": insight.draw_match_losses(rows),
        "guesses": insight.draw_layer_guesses({"student": insight.layer_guesses(model, gap, tokenizer)}, "气"),
        "binding": insight.draw_word_binding({"teacher": insight.word_binding([teacher, teacher])}),
        "words": insight.draw_words({"LTP": ["南京市", "长江"], "other": ["南京", "市长", "江"]}, compare=True).drawing,
    }


@pytest.fixture(scope="module")
def pictures(pair, student, tokenizer, segmenter):
    return all_pictures(pair, student, tokenizer, segmenter)


def test_every_picture_is_sound_svg_that_needs_nothing_from_outside(pictures):
    for name, picture in pictures.items():
        files = [picture.svg("light"), picture.svg("dark")]
        for text in files:
            root = ElementTree.fromstring(text)
            known = {element.get("id") for element in root.iter() if element.get("id")}
            used = {element.get("href") for element in root.iter() if element.get("href")}
            assert all(href[1:] in known or href.startswith("data:image/png;base64,") for href in used), name
            assert "var(" not in text, name
        for text in (picture._repr_html_(), picture.html(), *files):
            bare = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
            assert not re.search(r"https?:|//|<script|@import|<link", re.sub(r"base64,[^\"]*", "", bare)), name
            assert "<text" not in text, f"{name}: a character without an outline"


@pytest.mark.slow
def test_every_picture_is_the_same_in_matplotlib(pictures):
    for name, picture in pictures.items():
        for theme in THEMES:
            figure = picture.figure(theme)
            (axes,) = figure.axes
            assert np.allclose(figure.get_size_inches() * 96, (picture.width, picture.height))
            written = [shape.text for shape in picture.shapes if isinstance(shape, Text)]
            assert [text.get_text() for text in axes.texts] == [text.replace("$", r"\$") for text in written], name
            tables = [shape for shape in picture.shapes if isinstance(shape, Cells)]
            assert len(axes.images) == len(tables)
            for image, cells in zip(axes.images, tables, strict=True):
                assert np.allclose(image.get_array()[..., 3], cells.spread(), atol=1e-6)
            plt.close(figure)


def test_every_picture_lies_within_its_frame(pictures):
    for name, picture in pictures.items():
        for shape in picture.shapes:
            if isinstance(shape, Text):
                start = (
                    shape.x - text_width(shape.text, shape.size) * {"start": 0, "middle": 0.5, "end": 1}[shape.anchor]
                )
                box = (
                    start,
                    shape.y - shape.size / 2,
                    start + text_width(shape.text, shape.size),
                    shape.y + shape.size / 2,
                )
            elif isinstance(shape, Line):
                xs, ys = zip(*shape.points, strict=True)
                box = (min(xs), min(ys), max(xs), max(ys))
            elif isinstance(shape, Dot):
                box = (shape.x, shape.y, shape.x, shape.y)
            else:
                rows, columns = shape.spread().shape if isinstance(shape, Cells) else (1, 1)
                box = (shape.x, shape.y, shape.x + columns * shape.width, shape.y + rows * shape.height)
            assert min(box) > -1 and box[2] < picture.width + 1 and box[3] < picture.height + 1, f"{name}: {shape}"


def test_every_table_of_attention_says_what_its_shades_mean(pictures):
    for name in ("head", "head, words", "heads", "pair"):
        assert "share of attention" in [shape.text for shape in pictures[name].shapes if isinstance(shape, Text)], name


def test_names_of_binding_heads_lie_on_no_dot(readings):
    picture = insight.draw_word_binding({name: insight.word_binding(read) for name, read in readings.items()}, 20)
    names = [shape for shape in picture.shapes if isinstance(shape, Text) and re.fullmatch(r"\d+\.\d+", shape.text)]
    assert names
    for name, dot in itertools.product(names, (shape for shape in picture.shapes if isinstance(shape, Dot))):
        across = name.x - dot.radius < dot.x < name.x + text_width(name.text, name.size) + dot.radius
        assert not (across and abs(dot.y - name.y) < name.size / 2 + dot.radius), name.text


def test_hovering_shows_the_very_shares(pair):
    reading = pair[0]
    for unit in ("characters", "words"):
        data = Attention.of(reading, unit)
        svg = ElementTree.fromstring(insight.draw_head(reading, 3, 6, unit).svg())
        tips = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}title")]
        expected = [
            f"{query} → {key}  {data.shares[2, 5, row, column]:.3f}"
            for row, query in enumerate(data.labels)
            for column, key in enumerate(data.labels)
        ]
        assert tips == expected


def test_words_stand_as_brackets_over_their_characters(pair):
    data = Attention.of(pair[0])
    named = {"".join(data.labels[first : last + 1]) for first, last in data.brackets}
    assert {"今天", "天气", "我们"} <= named
    assert Attention.of(pair[0], "words").labels[1:3] == ("今天", "天气")


@pytest.mark.slow
def test_thirty_characters_stay_within_300_kilobytes(teacher, student, tokenizer, segmenter):
    sentence = insight.Sentence.of(THIRTY, tokenizer, segmenter)
    assert len(THIRTY) == 30 and len(sentence.ids) == 32
    both = insight.Reading.of(teacher, sentence, "teacher"), insight.Reading.of(student, sentence, "student")
    for name, picture in all_pictures(both, student, tokenizer, segmenter).items():
        for text in (picture.html(), picture.svg()):
            assert len(text.encode()) <= 300_000, name


def luminance(colour):
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_shades_can_be_read_in_grey_and_text_on_its_paper(theme):
    """A shade is one hue mixed into the paper: if its end differs in lightness, every step does."""
    colours = THEMES[theme]
    assert set(colours) == set(THEMES["light"])
    for name, colour in colours.items():
        if name.endswith("ink"):
            assert contrast(colour, colours["paper"]) > 6, name
    assert contrast(colours["text"], colours["paper"]) > 7
    assert contrast(colours["faint"], colours["paper"]) > 3
    assert contrast(colours["outline"], colours["ink"]) > 1.5  # the matched cells stand out from the darkest shade


def test_letters_are_the_simplified_chinese_ones():
    assert chinese_face().family_name == "Noto Sans CJK SC"
    assert plt.matplotlib.rcParams["font.family"] is not None
    figure = insight.draw_words({"LTP": ["直", "骨"]}).drawing.figure()
    assert figure.axes[0].texts[0].get_fontname() == "Noto Sans CJK SC"


def test_a_character_the_font_lacks_is_left_to_the_readers_own():
    picture = Drawing(100, 30, "one", [Text(50, 15, "好\U0002fa1e\u0378")])
    assert picture.svg().count("<text") >= 1 and "\u0378" in picture.svg()


def test_text_is_escaped():
    tip = Drawing(10, 10, "<&>", [Box(0, 0, 5, 5, tip='<b>"&'), Dot(1, 1, 1, "text", tip="<i>")])
    root = ElementTree.fromstring(tip.svg())
    assert [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")] == ['<b>"&', "<i>"]
    assert root.get("aria-label") == "<&>"


@pytest.mark.slow
def test_a_drawing_is_saved_in_every_kind(tmp_path, pictures):
    for kind in ("svg", "html", "png", "pdf"):
        file = pictures["head"].save(tmp_path / f"head.{kind}")
        assert file.stat().st_size > 5000
    for bad in (tmp_path / "head.docx", tmp_path / "no/such/folder/head.png"):
        with pytest.raises(CourseError, match="cannot write this picture"):
            pictures["head"].save(bad)
    with pytest.raises(CourseError, match="unknown theme 'sepia'"):
        pictures["head"].figure("sepia")


def test_drawings_on_a_shelf_keep_their_shapes_and_distances():
    one = Drawing(30, 20, "", [Dot(5, 6, 1, "text"), Line([(0, 0), (3, 4)]), Box(1, 2, 3, 4)])
    both = shelf([one, one], "two", gap=10)
    assert (both.width, both.height) == (70, 20)
    assert both.shapes[3:] == [Dot(45, 6, 1, "text"), Line([(40, 0), (43, 4)]), Box(41, 2, 3, 4)]


def test_masks_in_colour_show_answer_and_input(tokenizer, blocks):
    from minirbt_helpers.text import WholeWordCollator

    block = blocks[0]
    batch = WholeWordCollator(tokenizer, probability=0.5, seed=3)([block])
    panel = {name: batch[name][0] for name in ("input_ids", "labels")}
    picture = insight.draw_masking(block, {"words": panel}, tokenizer).drawing
    states = insight.masking_states(block["input_ids"], panel["input_ids"], panel["labels"], tokenizer.mask_token_id)
    chips = [shape for shape in picture.shapes if isinstance(shape, Box) and shape.tip]
    assert len(chips) == sum(state != "kept" for state in states)
    colours = {"mask": "teacher", "random": "student", "unchanged": "one-stage"}
    assert [chip.fill for chip in chips] == [colours[state] for state in states if state != "kept"]
    assert len(picture.svg().encode()) < 300_000


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda one, two: insight.draw_head(one, 13, 1), "no layer 13, head 1"),
        (lambda one, two: insight.draw_head(one, 1, 0), "no layer 1, head 0"),
        (lambda one, two: insight.draw_layer(two, 7), "no layer 7"),
        (lambda one, two: insight.draw_head_pair(one, two, 1, 9), "no layer 1, head 9"),
        (lambda one, two: insight.draw_head(one, 1, 1, "letters"), "unknown unit 'letters'"),
        (lambda one, two: insight.draw_match_losses([{"step": 1, "loss": 2.0}]), "no hidden match"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(pair, draw, message):
    with pytest.raises(CourseError, match=message) as caught:
        draw(*pair)
    assert caught.value.fix


# --- the explorer ---------------------------------------------------------------------------------------------------


@pytest.fixture
def explorer(teacher, student, tokenizer, segmenter):
    return insight.AttentionExplorer({"teacher": teacher, "student": student}, tokenizer, segmenter, TEXT)


def test_every_view_of_the_explorer_is_the_picture_itself(explorer, pair):
    teacher, student = pair
    assert explorer.draw(view="one head", layer=2, head=3).svg() == insight.draw_head(student, 2, 3).svg()
    assert explorer.draw(view="one layer", model="teacher").svg() == insight.draw_layer(teacher, 1).svg()
    assert explorer.draw(view="all heads", unit="words").svg() == insight.draw_all_heads(student, "words").svg()
    assert explorer.draw(layer=2, head=8).svg() == insight.draw_head_pair(teacher, student, 2, 8).svg()
    with pytest.raises(CourseError, match="unknown view 'upside down'"):
        explorer.draw(view="upside down")


def test_the_controls_draw_what_they_say(explorer):
    box = explorer.controls(model="student")
    sentence, (view, model, unit), (layer, head) = box.children[0], *(row.children for row in box.children[1:3])
    screen = box.children[3]

    def shown():
        return (
            screen.value
            == explorer.draw(sentence.value, view.value, model.value, layer.value, head.value, unit.value)._repr_html_()
        )

    assert tuple(dict(view.options).values()) == VIEWS and [*dict(model.options)] == ["student", "teacher"] and shown()
    for widget, value in ((layer, 5), (head, 7), (unit, "words"), (view, "one head"), (sentence, "老师笑了。")):
        before = screen.value
        widget.value = value
        assert screen.value != before and shown()
    assert (
        explorer.controls(layer=4, unit="words").children[3].value == explorer.draw(layer=4, unit="words")._repr_html_()
    )
    model.value = "teacher"
    assert (layer.max, head.max) == (12, 12)
    layer.value = 12
    model.value = "student"  # has no layer 12
    assert (layer.max, layer.value) == (6, 6) and shown()
    sentence.value = " "
    assert "an empty sentence" in screen.value
    sentence.value = "好"
    assert shown()


def test_a_text_counts_when_it_is_finished_and_a_refused_one_is_answered_in_a_line(monkeypatch, capsys):
    monkeypatch.setenv("MINIRBT_HEADLESS", "0")
    drawn = []

    def draw(text):
        drawn.append(text)
        if "[MASK]" not in text:
            raise CourseError("no [MASK] in {text!r}", text=text)
        return text

    insight.explore(draw, text="[MASK]")
    (form,) = (
        one for one in Widget.widgets.values() if isinstance(one, interactive) and one.kwargs["text"] == "[MASK]"
    )
    (box,) = form.kwargs_widgets
    assert not box.continuous_update
    box.value = "<b>"
    assert drawn == ["[MASK]", "<b>"] and "Traceback" not in capsys.readouterr().err
    assert "no [MASK] in &#x27;&lt;b&gt;&#x27;" in form.result.data


def test_a_teacher_alone_is_explored_too(teacher, tokenizer, segmenter, pair, capsys):
    alone = insight.AttentionExplorer({"teacher": teacher}, tokenizer, segmenter, TEXT)
    assert alone.draw().svg() == insight.draw_head_pair(pair[0], pair[0], 1, 1).svg()
    alone.show()
    alone.show(model="teacher")
    assert "HeadsToTurn" in capsys.readouterr().out
    assert [*dict(alone.controls().children[1].children[1].options)] == ["teacher"]
    with pytest.raises(CourseError, match="no model 'student' here") as caught:
        alone.draw(model="student")
    assert caught.value.fix == "one of 'teacher'"


def test_the_explorer_refuses_models_of_another_tokenizer(teacher, tokenizer, segmenter):
    other = ARCHITECTURES["MiniRBT-H256"].random_model("sample", 500)
    with pytest.raises(CourseError, match="another tokenizer"):
        insight.AttentionExplorer({"teacher": teacher, "other": other}, tokenizer, segmenter, TEXT)


def test_big_tables_are_one_picture(student, tokenizer, segmenter):
    sentence = insight.Sentence.of("天气很好。" * 20, tokenizer, segmenter)
    assert len(sentence.ids) ** 2 > MOST_CELLS
    svg = insight.draw_head(insight.Reading.of(student, sentence), 1, 1).svg()
    assert "data:image/png" in svg and len(svg) < 100_000
