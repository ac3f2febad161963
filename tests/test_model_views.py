"""Pictures of the models: proportions, candidates and dots are what they claim to be."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.collections import PathCollection
from transformers import BertTokenizer

from minirbt_helpers.errors import CourseError
from minirbt_helpers.insight import (
    draw_cloze,
    draw_epochs,
    draw_family,
    draw_learning_rates,
    draw_mask_guesses,
    draw_table,
    draw_task_scores,
    draw_two_stages,
    mask_guesses,
)
from minirbt_helpers.models import ARCHITECTURES

LETTERS = list("北京是中国的首都。天气很好")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    file = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    file.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]), encoding="utf-8")
    return BertTokenizer(str(file))


@pytest.fixture(scope="module")
def model(tokenizer):
    return ARCHITECTURES["MiniRBT-H256"].random_model("sample", len(tokenizer)).eval()


def test_candidates_are_the_models_own_probabilities(model, tokenizer):
    text = "北京是[MASK]国的首[MASK]。"
    answers = mask_guesses(model, tokenizer, text, top=3)
    assert [len(candidates) for candidates in answers] == [3, 3]
    encoded = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        shares = model(**encoded).logits[0].softmax(-1)  # [tokens, vocabulary]
    for place, candidates in zip([4, 8], answers, strict=True):  # counted with [CLS] as 0
        assert encoded["input_ids"][0, place] == tokenizer.mask_token_id
        tokens, probabilities = zip(*candidates, strict=True)
        assert list(probabilities) == sorted(probabilities, reverse=True)
        assert max(shares[place]) == pytest.approx(probabilities[0], abs=1e-6)
        expected = shares[place][tokenizer.convert_tokens_to_ids(list(tokens))]
        assert torch.allclose(torch.tensor(probabilities), expected, atol=1e-6)


def test_all_candidates_share_probability_one(model, tokenizer):
    (candidates,) = mask_guesses(model, tokenizer, "天[MASK]很好", top=len(tokenizer))
    assert sum(probability for _, probability in candidates) == pytest.approx(1, abs=1e-4)


def test_a_text_without_mask_is_refused(model, tokenizer):
    with pytest.raises(CourseError, match=r"no \[MASK\].*天气很好"):
        mask_guesses(model, tokenizer, "天气很好")


def test_a_gap_beyond_the_longest_input_is_not_passed_over(model, tokenizer):
    long = "天" * model.config.max_position_embeddings
    for text in (f"{long}[MASK]", f"[MASK]{long}[MASK]"):
        with pytest.raises(CourseError, match=r"a \[MASK\] lies beyond"):
            mask_guesses(model, tokenizer, text)
    assert len(mask_guesses(model, tokenizer, f"[MASK]{long}")) == 1


def test_the_table_has_a_column_per_mask_and_ticks_the_truth_alone():
    answers = {"teacher": [[("中", 0.5), ("美", 0.2)], [("国", 0.9), ("中", 0.1)]]}
    table = draw_mask_guesses("[MASK][MASK]<是>", answers, truth="中国").data
    assert table.count("<td") == 4 and table.count("✓") == 2
    assert "中 ✓" in table and "国 ✓" in table
    assert "&lt;是&gt;" in table and "[MASK]" not in table
    assert table.index("gap 1<") < table.index("gap 2<") < table.index("中 ✓")


def test_a_single_gap_has_no_number():
    assert "gap 1" not in draw_mask_guesses("北[MASK]", {"teacher": [[("京", 0.6)]]}).data


def test_a_cloze_table_sets_off_what_was_asked_for_and_counts_it():
    asked = {"pinyin": "p", "english": "e", "kind": "k"}
    questions = [asked | {"text": "天[MASK]<", "answer": "气"}, asked | {"text": "北[MASK]", "answer": "京"}]
    guesses = [[[("气", 0.9), ("天", 0.1)]], [[("国", 0.5), ("京", 0.4)]]]
    answers = {"teacher": guesses, "student": [[[("是", 1.0)]]] * 2}
    table = draw_cloze(questions, answers).data
    assert table.count("<tr>") == 4 and "天<b" in table and "&lt;" in table and "[MASK]" not in table
    assert table.count("font-weight:bold") == 2  # 气 and 京, of the teacher alone
    assert table.index("hidden: 气") < table.index("hidden: 京")
    assert "1, 2 of 2" in table and "0, 0 of 2" in table


def test_rows_are_escaped_and_complete():
    table = draw_table([{"text": "<b>", "label": 1}, {"text": "好", "label": 0}]).data
    assert table.count("<td") == 4 and "&lt;b&gt;" in table
    assert "<td" not in draw_table([]).data


@pytest.mark.parametrize("scale", ["full", "sample"])
def test_the_family_is_drawn_to_scale(scale):
    patches = draw_family(scale, 6400).axes[0].patches
    widths = {}
    for name, architecture in ARCHITECTURES.items():
        layers = [patch for patch in patches if (patch.get_gid() or "").startswith(f"{name} layer ")]
        assert len(layers) == architecture.shape(scale).layers
        widths[name] = layers[0].get_width() / architecture.shape(scale).hidden
    assert max(widths.values()) == pytest.approx(min(widths.values()))
    taught = {patch.get_gid() for patch in patches if " teaches " in (patch.get_gid() or "")}
    assert {"RoBERTa-wwm-ext teaches RBT6", "RBT6 teaches MiniRBT-H256", "RBT6 teaches MiniRBT-H288"} <= taught


def test_the_family_says_published_only_at_full_scale():
    full, sample = (draw_family(scale, 6400).axes[0] for scale in ("full", "sample"))
    assert "published" in full.get_title(loc="left") + full.get_title()
    assert "published" not in sample.get_title(loc="left") + sample.get_title()
    assert any("102.3M" in text.get_text() for text in full.texts)
    assert not any("102.3M" in text.get_text() for text in sample.texts)


def test_every_seed_is_a_dot_and_the_mean_a_bar():
    results = {"sentiment": {"teacher": [0.8], "student": [0.6, 0.7, 0.8]}}
    (axes,) = draw_task_scores(results, {"sentiment": 0.5}, {"teacher": "teacher", "student": "student"}).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.8, 0.7])
    seeds = [collection for collection in axes.collections if isinstance(collection, PathCollection)]
    dots = [float(y) for collection in seeds for _, y in collection.get_offsets()]
    assert sorted(dots) == pytest.approx([0.6, 0.7, 0.8, 0.8])


def test_every_task_has_its_panel_and_only_labels_a_majority():
    results = {task: {"student": [0.5, 0.6]} for task in ("tnews", "bq", "drcd", "cmrc2018", "ocnli")}
    baselines = dict.fromkeys(results, 0.3) | {"drcd": None, "cmrc2018": None}
    axes = draw_task_scores(results, baselines, {"student": "student"}).axes
    assert [panel.get_title() or panel.get_title("left") for panel in axes if panel.axison] == list(results)
    assert [len(panel.lines) for panel in axes[:5]] == [1, 1, 0, 0, 1]


def test_the_rate_figure_draws_means_and_every_seed():
    curves = {"student": {1e-3: [0.2, 0.4], 1e-4: [0.1]}, "teacher": {1e-4: [0.5]}}
    published = {"student": 1e-4, "teacher": 2e-5}
    (axes,) = draw_learning_rates(curves, published, {"student": "student", "teacher": "teacher"}, 0.07).axes
    student = axes.lines[0]
    assert list(student.get_xdata()) == [1e-4, 1e-3] and list(student.get_ydata()) == pytest.approx([0.1, 0.3])
    dots = [tuple(point) for collection in axes.collections for point in collection.get_offsets()]
    assert len(dots) == 4 and axes.get_xscale() == "log"
    (axes,) = draw_learning_rates(curves, dict.fromkeys(curves, 1e-4), dict.fromkeys(curves, "student")).axes
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert said[2:] == ["published for the full-size student, teacher"], "one line where both have one rate"


def test_the_epochs_figure_has_a_panel_a_task_with_every_seed():
    curves = {"ocnli": {2: [0.3, 0.4], 10: [0.5]}, "drcd": {2: [0.1]}}
    figure = draw_epochs(curves, {"ocnli": 0.36, "drcd": None}, title="student at 0.001")
    axes = figure.axes
    assert figure.get_suptitle() == "student at 0.001"
    assert [panel.get_title() or panel.get_title("left") for panel in axes] == list(curves)
    assert [len(panel.lines) for panel in axes] == [2, 1]  # the means, and a majority class where there is one
    assert list(axes[0].lines[0].get_ydata()) == pytest.approx([0.35, 0.5])
    assert sum(len(collection.get_offsets()) for collection in axes[0].collections) == 3
    assert [tick.get_text() for tick in axes[0].get_xticklabels()] == ["2", "10"]
    with_rules = draw_epochs(curves, {"ocnli": 0.36, "drcd": None}, {"ocnli": 0.4, "drcd": 0.2})
    assert [len(panel.lines) for panel in with_rules.axes] == [3, 2]
    said = [text.get_text() for text in with_rules.legends[0].get_texts()]
    assert said == ["mean over seeds", "majority class", "best rule without a network"]


def test_two_stages_match_seven_hidden_states_each():
    axes = draw_two_stages().axes[0]
    assert len([line for line in axes.lines if line.get_linestyle() == ":"]) == 14
    assert len(axes.patches) == 12 + 6 + 6
    assert len({round(layer.get_height(), 9) for layer in axes.patches}) == 1, "layers of one height"
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 2 and all(arrow.xy[0] > arrow.get_position()[0] for arrow in arrows), "teacher to learner"
