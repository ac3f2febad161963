"""Laws of the pictures of notebooks 03 and 04: they show the numbers they were given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch

from minirbt_helpers import insight
from minirbt_helpers.models import ARCHITECTURES
from minirbt_helpers.training import layer_pairs

RESULTS = {
    "teacher": {"top1": 0.3, "masked": 1000},
    "student, live": {"top1": 0.2, "masked": 1000},
    "chance": {"top1": 0.0, "masked": 1000},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


class Letters:
    """The one method of a tokenizer that the pictures need."""

    def convert_ids_to_tokens(self, ids):
        return [chr(ord("a") + number) for number in ids]


def metrics(pairs, steps=3):
    rows = [{"step": 0, "top1": 0.0, "mlm_loss": 9.0, "kd_loss": 8.0, "masked": 10}]
    for step in range(1, steps + 1):
        hidden = {f"hidden {theirs}-{ours}": ours + 1 / step for theirs, ours in pairs}
        rows.append({"step": step, "loss": 10 / step, "kd": 8 / step, "mlm": 9 / step, **hidden})
    rows[-1] |= {"top1": 0.1, "mlm_loss": 3.0, "kd_loss": 2.0, "masked": 10}
    return rows


def test_standard_error_is_the_scatter_of_repeated_measurements():
    repeats = (torch.rand(4000, 500, generator=torch.Generator().manual_seed(0)) < 0.3).float().mean(1)
    assert insight.standard_error(0.3, 500) == pytest.approx(float(repeats.std()), rel=0.05)
    assert insight.standard_error(0.3, 2000) == pytest.approx(insight.standard_error(0.3, 500) / 2)


def test_difference_calls_a_gap_real_only_beyond_two_standard_errors():
    assert "-10.0 points" in insight.accuracy_difference(RESULTS, "student, live", "teacher")
    assert "more than sampling explains" in insight.accuracy_difference(RESULTS, "student, live", "teacher")
    few = {name: {**result, "masked": 50} for name, result in RESULTS.items()}
    assert "no more than sampling can explain" in insight.accuracy_difference(few, "student, live", "teacher")


def test_accuracy_bars_show_shares_errors_colours_and_the_number_of_questions():
    axis = insight.draw_accuracies({"Words": RESULTS}).axes[0]
    bars = axis.containers[-1]
    assert [bar.get_width() for bar in axis.patches] == [0.3, 0.2, 0.0]
    assert [to_hex(bar.get_facecolor()).upper() for bar in axis.patches] == [
        insight.PALETTE["teacher"], insight.PALETTE["student"], insight.PALETTE["other"]
    ]  # fmt: skip
    ends = bars.errorbar.lines[2][0].get_segments()[0]  # of the first bar
    assert (ends[1][0] - ends[0][0]) / 2 == pytest.approx(insight.standard_error(0.3, 1000))
    assert "1,000 masked tokens" in axis.get_title(loc="left") + axis.get_title()
    floored = insight.draw_accuracies({"Words": RESULTS}, floor="student, live").axes[0]
    assert [0.2, 0.2] in [list(line.get_xdata()) for line in floored.lines]


def test_accuracy_by_depth_draws_every_curve_at_its_sizes():
    curve = {size: {"top1": size / 20, "masked": 100} for size in (1, 6, 12)}
    axis = insight.draw_accuracy_by_depth({"first": curve, "spread": curve}, marked=6).axes[0]
    assert len(axis.containers) == 2
    assert axis.containers[0].lines[0].get_xydata().tolist() == [[1, 0.05], [6, 0.3], [12, 0.6]]


def test_parameter_bars_add_up_to_the_count():
    family = list(ARCHITECTURES.values())
    bars = insight.draw_parameters(family, "full", 21128).axes[0].patches
    for place, one in enumerate(family):
        total = bars[place].get_width() + bars[place + len(family)].get_width()
        assert total == pytest.approx(one.count() / 1e6)
        assert bars[place + len(family)].get_x() == pytest.approx(bars[place].get_width())


@pytest.mark.parametrize(("above", "below"), [(12, 6), (6, 6), (12, 4)])
def test_layer_pairs_have_an_arrow_each_and_level_ones_are_level(above, below):
    teacher = insight.Tower("teacher", tuple(map(str, range(above + 1))), 192)
    student = insight.Tower("student", tuple(map(str, range(below + 1))), 64)
    (axis,) = insight.draw_layer_pairs({"pairs": (teacher, student, layer_pairs(above, below))}).axes
    arrows = [text for text in axis.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == below + 1
    assert all(arrow.xy[1] == pytest.approx(arrow.xyann[1]) for arrow in arrows)  # an even spread looks even
    boxes = [patch for patch in axis.patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == above + below + 2
    assert boxes[0].get_width() > boxes[-1].get_width()  # the teacher is wider


def test_towers_of_a_configuration():
    config = ARCHITECTURES["RBT6"].config("sample", 100)
    assert insight.Tower.of_states("assistant", config).boxes == ("0", "1", "2", "3", "4", "5", "6")
    layers = insight.Tower.of_layers("assistant", config)
    assert layers.boxes == ("embeddings", "1", "2", "3", "4", "5", "6", "MLM head")
    assert layers.width == 192


def test_temperature_lines_are_the_softmax_and_keep_the_order():
    logits = torch.tensor([0.0, 4.0, 1.0, 3.0, -2.0])
    (axis,) = insight.draw_temperatures(logits, Letters(), temperatures=(1, 8), answer="d", top=3).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["b", "d", "c"]
    softened = [(logits / temperature).softmax(-1)[[1, 3, 2]].tolist() for temperature in (1, 8)]
    *lines, answer, uniform = axis.lines
    assert [list(line.get_ydata()) for line in lines] == [pytest.approx(shares) for shares in softened]
    assert list(answer.get_xdata()) == [1, 1]
    assert list(answer.get_ydata()) == pytest.approx([shares[1] for shares in softened])
    assert to_hex(answer.get_color()).upper() == insight.PALETTE["student"]
    assert list(uniform.get_ydata()) == pytest.approx([1 / 5] * 2)


def test_loss_curves_show_every_loss_of_every_run():
    runs = {"student": metrics(layer_pairs(6, 6)), "one-stage": metrics(layer_pairs(12, 6))}
    axes = insight.draw_losses(runs).axes
    assert len(axes) == 5 + 7  # total, KD, MLM, accuracy in all and for words; embeddings and six layers
    for axis, key in zip(axes[:3], ("loss", "kd", "mlm"), strict=True):
        lines = [line.get_xydata().tolist() for line in axis.lines if line.get_label() in runs]
        assert lines == [[[row["step"], row[key]] for row in rows[1:]] for rows in runs.values()]
    fifth = [line for line in axes[5 + 5].lines if len(line.get_xdata())]
    assert [line.get_ydata()[-1] for line in fifth] == pytest.approx(
        [5 + 1 / 3] * 2
    )  # both teachers' pairs with layer 5
    assert axes[3].lines[1].get_xydata().tolist() == [[0, 0.0], [3, 0.1]]


def test_a_constant_guess_is_a_line_in_the_panel_of_held_out_accuracy():
    panels = insight.draw_losses({"student": metrics([])}, floor=0.07).axes
    floored = [axis for axis in panels if any(list(line.get_ydata()) == [0.07, 0.07] for line in axis.lines)]
    assert [axis.get_title() for axis in floored] == ["held-out top-1"]


def test_loss_curves_without_hidden_matches_have_one_row():
    assert len(insight.draw_losses({"student": metrics([])}).axes) == 5


def test_loss_curves_show_matches_of_every_kind():
    rows = [{"step": step, "loss": 1.0, "hidden 0-0": 0.5, "attention mse sum 11-5": 30.0} for step in (1, 2)]
    rows = [row | {"hidden nst [8, 8]-[2, 2]": 0.1} for row in rows]
    drawn = {axis.get_title(): axis for axis in insight.draw_losses({"student": rows}).axes[5:]}
    assert list(drawn) == ["attention mse sum, layer 5", "hidden, embeddings", "hidden nst, layer 2"]
    assert drawn["hidden, embeddings"].get_ylim()[1] < 1 < 30 < drawn["attention mse sum, layer 5"].get_ylim()[1]


def test_curves_grow_in_one_place_while_a_run_trains(monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    watch, rows = insight.LiveLosses("student"), metrics([(0, 0), (2, 1)], steps=4)
    monkeypatch.setenv("MINIRBT_HEADLESS", "1")
    with capture_output() as shown:
        watch(rows)
    assert not shown.outputs
    monkeypatch.setenv("MINIRBT_HEADLESS", "0")
    with capture_output() as shown:
        for end in (1, 3, 5):
            watch(rows[:end])
    assert len(shown.outputs) == 3
    assert not plt.get_fignums(), "a figure left open is shown twice"


def test_match_figure_shows_the_states_it_is_given():
    draws = torch.Generator().manual_seed(0)
    student, projected, teacher = (torch.randn(3, width, generator=draws) for width in (4, 6, 6))
    axes = insight.draw_hidden_match(student, projected, teacher, ["a", "b", "c"]).axes
    drawn = [torch.as_tensor(axis.images[0].get_array().data) for axis in axes]
    for shown, truth in zip(drawn, [student, projected, teacher, (projected - teacher) ** 2], strict=True):
        torch.testing.assert_close(shown.float(), truth)
    assert f"{((projected - teacher) ** 2).mean():.2f}" in axes[3].get_title()
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "b", "c"]
    without = insight.draw_hidden_match(projected, None, teacher, ["a", "b", "c"], names=("assistant", "teacher")).axes
    assert [axis.get_title() for axis in without] == ["assistant", "teacher", axes[3].get_title()]
