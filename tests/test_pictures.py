"""What every picture owes its reader: a name and a place that can be guessed, words for who cannot see it, a PNG."""

import ast
import base64
import io
import itertools
import typing
from importlib import import_module
from inspect import isfunction
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import ROOT
from IPython.core.formatters import DisplayFormatter
from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

from minirbt_helpers import insight
from minirbt_helpers.insight.drawn.axes import in_percent, log_ticks, panels, plot
from minirbt_helpers.insight.drawn.canvas import Box, Drawing, Text, finished
from minirbt_helpers.insight.drawn.stills import Stills
from minirbt_helpers.insight.measured.speed import PARTS, WHOLE
from minirbt_helpers.models import ARCHITECTURES

ROOM = ROOT / "minirbt_helpers" / "insight"
DRAWS = {"matplotlib", "PIL", "IPython", "ipywidgets", "drawn", "controls"}
PICTURES = (Drawing, HTML, Figure)
OF_NO_MEASURE = {"family", "tables"}  # files of pictures that show what other rooms know


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# --- the house ------------------------------------------------------------------------------------------------------


def imported(file: Path) -> set[str]:
    """The first names of all that a file imports, here or elsewhere."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def files(half: str) -> list[Path]:
    return [file for file in (ROOM / half).glob("*.py") if file.stem != "__init__"]


def test_measuring_imports_nothing_that_draws():
    assert len(files("measured")) > 5
    for file in files("measured"):
        assert not imported(file) & DRAWS, file


def test_drawing_knows_no_controls():
    for file in files("drawn"):
        assert not imported(file) & {"controls", "ipywidgets"}, file


def test_the_first_word_of_a_name_says_what_comes_back():
    functions = {name: thing for name in insight.__all__ if isfunction(thing := getattr(insight, name))}
    assert len(functions) > 60
    for name, function in functions.items():
        half, returned = function.__module__.split(".")[2], typing.get_type_hints(function)["return"]
        drawn = isinstance(returned, type) and issubclass(returned, PICTURES)
        assert drawn == name.startswith("draw_") == (half == "drawn"), name
        assert (half == "controls") == name.startswith("explore"), name
        assert half == "controls" or returned is not type(None), f"{name} gives nothing"


def test_every_picture_is_handed_on_and_lies_in_the_file_of_its_numbers():
    for file in files("drawn"):
        module = import_module(f"minirbt_helpers.insight.drawn.{file.stem}")
        pictures = {name for name, thing in vars(module).items() if isfunction(thing) and name.startswith("draw_")}
        assert pictures <= set(insight.__all__), file
        assert not pictures or file.stem in OF_NO_MEASURE or (ROOM / "measured" / file.name).exists(), file


# --- words and PNG --------------------------------------------------------------------------------------------------


def shown(picture) -> tuple[dict, dict]:
    """What a notebook keeps of a picture, and what it notes beside it."""
    return DisplayFormatter().format(picture)


def test_a_drawing_is_kept_as_html_and_as_a_small_png_with_words():
    drawing = Drawing(120, 40, "", [Box(0, 0, 60, 40, "teacher"), Text(90, 20, "天气")])
    drawing = finished(drawing, ["a note"], "A title", "half of it is blue")
    data, beside = shown(drawing)
    assert {"text/html", "image/png"} <= set(data)
    png = base64.b64decode(data["image/png"])
    picture = Image.open(io.BytesIO(png))
    assert picture.size == (round(drawing.width), round(drawing.height)) and len(png) < 4000
    assert picture.convert("RGB").getpixel((20, 30)) == pytest.approx((0x00, 0x72, 0xB2), abs=4)
    assert beside["image/png"]["alt"] == "A title. half of it is blue. a note"
    assert 'aria-label="A title. half of it is blue. a note"' in data["text/html"]


def test_text_that_flows_has_the_same_beside_it_as_a_picture():
    data, beside = shown(insight.draw_words({"LTP": ["南京市", "长江"]}))
    assert "<svg" not in data["text/html"] and len(base64.b64decode(data["image/png"])) > 500
    assert "南京市 | 长江" in beside["image/png"]["alt"]


def test_stills_are_kept_as_the_first_of_them():
    drawing = finished(Drawing(120, 40, "", [Box(0, 0, 60, 40, "teacher")]), [], "A title", "half of it is blue")
    figure = plot((2, 2), "one number: 3")
    for first in (drawing, insight.draw_words({"LTP": ["南京市", "长江"]}), figure):
        data, beside = shown(Stills("temperature", {1: first, 2: first}))
        assert data["text/html"].count("data-value") == 2 and len(base64.b64decode(data["image/png"])) > 200
        assert beside["image/png"]["alt"] == shown(first)[1]["image/png"]["alt"] != ""


def result(share: float) -> dict:
    return {"top1": share, "masked": 1000}


def test_every_figure_says_its_numbers():
    rows = [{"step": step, "loss": 9 / step, "kd": 8 / step, "hidden 2-1": 1 / step} for step in (1, 2)]
    scores = {"tnews": {"teacher": [0.5], "student": [0.4, 0.425]}}
    colours = {"teacher": "teacher", "student": "student"}
    by_rate = {"student": {1e-3: [0.4, 0.425]}}
    sizes = {"teacher": 6.8, "student": 0.8}
    seconds = {part: [0.1, 0.1] for part in PARTS} | {WHOLE: [0.5, 0.5]}
    case = insight.SpeedCase("fp32", 1, 128, 1, "CPU", dict.fromkeys(ARCHITECTURES, seconds))
    rates = {"128": {"96": {"FFN": 4e8}, "256": {"FFN": 1e9}}}
    figures = {
        "fp32: RBT6 1.0 to 1.0": insight.draw_speed_ups([case]),
        "128 tokens at once 40% to 100%": insight.draw_product_rates(
            [{"precision": "fp32", "peak": 1e9, "rates": rates}]
        ),
        "RBT6 59.8M": insight.draw_parameters(ARCHITECTURES.values(), "full", 21128),
        "teacher 30.0%": insight.draw_accuracies({"Words": {"teacher": result(0.3), "student": result(0.2)}}),
        "6 layers 20.0%": insight.draw_accuracy_by_depth({"first": {6: result(0.2)}}),
        "student 41.2%": insight.draw_task_scores(scores, {"tnews": None}, colours),
        "student: 0.001 41.2%": insight.draw_learning_rates(by_rate, {"student": 1e-3}, colours),
        "tnews: 2 50.0%": insight.draw_epochs({"tnews": {2: [0.5]}}, {"tnews": None}),
        "student (0.8) 41.2%, teacher (6.8) 50.0%": insight.draw_quality(scores, sizes, "million parameters"),
        "student 90.0%": insight.draw_kept_shares({"student": 0.9}, {"M": sizes}),
        "RBT6 from RoBERTa-wwm-ext: first 6 layers copied": insight.draw_family(),
        "teacher RoBERTa-wwm-ext, 12 × 768": insight.draw_two_stages(),
        "KD loss 8 to 4": insight.draw_losses({"student": rows}),
    }
    for words, figure in figures.items():
        assert words in shown(figure)[1]["image/png"]["alt"], words


# --- axes -----------------------------------------------------------------------------------------------------------


def labels(axis) -> list[str]:
    axis.figure.draw_without_rendering()
    return [label.get_text() for label in axis.get_ticklabels()]


def test_no_share_on_an_axis_is_rounded_away():
    _, (axes,) = panels([""], (3, 3), "")
    axes.set_yticks([0.405, 0.41, 0.4125])
    in_percent(axes.yaxis)
    assert labels(axes.yaxis) == ["40.5%", "41%", "41.25%"]


def test_a_logarithmic_axis_has_the_ticks_asked_for_alone():
    _, (axes,) = panels([""], (3, 3), "")
    axes.plot([1, 20], [1, 20])
    log_ticks(axes.xaxis, [1, 2.5, 16])
    assert axes.get_xscale() == "log" and labels(axes.xaxis) == ["1", "2.5", "16"]
    assert not len(axes.xaxis.get_minorticklocs())


@pytest.mark.slow
def test_panels_fill_rows_and_leave_the_rest_empty():
    figure, grid = panels(list("abcde"), (2, 2), "", margin=(1, 0.5))
    assert [axes.get_title() or axes.get_title("left") for axes in grid] == list("abcde")
    assert figure.get_size_inches().tolist() == [9, 4.5]
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False] * 3


def test_tick_labels_of_quality_have_one_size():
    scores = {"tnews": {"teacher": [0.5], "student": [0.4]}}
    (axes,) = insight.draw_quality(scores, {"teacher": 20, "student": 3}, "milliseconds").axes
    labels(axes.xaxis)
    assert {label.get_fontsize() for label in axes.xaxis.get_ticklabels(which="both")} == {8}


def test_names_of_dots_keep_off_seeds_and_baseline():
    names = ("RBT3", "RBT4-H312", "MiniRBT-H288", "MiniRBT-H256")
    scores = {name: [0.50 + 0.01 * number, 0.52 + 0.01 * number] for number, name in enumerate(names)}
    places = {name: 10 + number for number, name in enumerate(names)}
    figure = insight.draw_quality({"bq": scores}, places, "million parameters", baselines={"bq": 0.515})
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    dots = [axes.transData.transform((places[name], seed)) for name in names for seed in scores[name]]
    assert not any(box.contains(*dot) for box in boxes for dot in dots)
    _, baseline = axes.transData.transform((10, 0.515))
    assert not any(box.y0 < baseline < box.y1 for box in boxes)


def test_a_name_is_tied_to_its_dot_or_much_nearer_to_it_than_to_any_other():
    places = {"MiniRBT-H256": 10.4, "RBT4-H312": 11.4, "MiniRBT-H288": 12.3, "RBT6": 60}
    kept = {"MiniRBT-H256": 0.9415, "RBT4-H312": 0.9335, "MiniRBT-H288": 0.944, "RBT6": 0.973}
    (axes,) = insight.draw_kept_shares(kept, {"million parameters": places}).axes
    dots = {name: axes.transData.transform((places[name], kept[name])) for name in places}
    for label in (text for text in axes.texts if text.get_text() and max(map(abs, text.xyann)) <= 7):
        box = label.get_window_extent()
        gaps = {name: np.hypot(*(dot - np.clip(dot, box.min, box.max))) for name, dot in dots.items()}
        mine = gaps.pop(label.get_text())
        assert 2 * mine <= min(gaps.values())


@pytest.mark.slow
def test_no_line_to_a_name_crosses_another_name_and_no_name_the_frame():
    scores = {"h312": [0.181], "student": [0.179], "one-stage": [0.176], "rbt3": [0.219], "h288": [0.186]}
    scores |= {"assistant": [0.323], "teacher": [0.413]}
    for crowd in ((9.3, 15.6, 16.3, 15.1, 16.5), (11.7, 12.0, 12.6, 18.4, 16.1), (12.3, 15.1, 14.5, 15.1, 13.7)):
        places = dict(zip(scores, (*crowd, 30, 60), strict=True))
        (axes,) = insight.draw_quality({"wiki": scores}, places, "milliseconds", baselines={"wiki": 0.173}).axes
        boxes = {text.get_text(): text.get_window_extent() for text in axes.texts if text.get_text()}
        assert all(axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max) for box in boxes.values())
        for name, line in itertools.pairwise(axes.texts):
            if name.get_text() and not line.get_text():
                dot = axes.transData.transform(line.xy)
                points = np.linspace(dot, dot + np.array(line.xyann) * axes.figure.dpi / 72, 20)
                others = [box for other, box in boxes.items() if other != name.get_text()]
                assert not any(box.contains(*point) for box in others for point in points), name


@pytest.mark.slow
def test_a_name_far_from_its_dot_is_tied_to_it():
    near = {"teacher": [0.5], "student": [0.4]}
    (axes,) = insight.draw_quality({"bq": near}, {"teacher": 20, "student": 3}, "milliseconds").axes
    assert [text.get_text() for text in axes.texts] == ["student", "teacher"]
    crowd = {name: [0.5 + 0.001 * number] for number, name in enumerate("abcdefgh")}
    (axes,) = insight.draw_quality({"bq": crowd}, dict.fromkeys(crowd, 10), "milliseconds").axes
    for name, after in zip(axes.texts, [*axes.texts[1:], None], strict=True):
        far = max(map(abs, name.xyann)) > 7
        assert not name.get_text() or far == bool(after and not after.get_text())
    assert any(not text.get_text() and text.arrow_patch for text in axes.texts)
