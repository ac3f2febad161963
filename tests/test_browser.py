"""Notebook 06 and the exercises in a real JupyterLab in a headless Chromium, with the network cut."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, keep_screenshot

from minirbt_helpers.exercises.catalogue import find

NOTEBOOK = "06_looking_inside.ipynb"
LOCAL = re.compile(r"^(https?|wss?)://127\.0\.0\.1:\d+/|^(data|blob|about):")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("jupyterlab"), reason="no JupyterLab (pip install '.[lab]')"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_cells(edition: Path, copy: Path) -> int:
    """Notebook 06 of an edition, without outputs, up to its cell tagged ``explorer``; how many cells it has."""
    notebook = nbformat.read(edition / NOTEBOOK, as_version=4)
    last = next(place for place, cell in enumerate(notebook.cells) if "explorer" in cell.metadata.get("tags", []))
    notebook.cells = notebook.cells[: last + 1]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, copy)
    return len(notebook.cells)


def exercise_cells(folder: Path) -> int:
    """A notebook with a wrong answer, a hint, the right answer, a question and the progress; how many cells it has."""
    sources = [
        "from pathlib import Path\nfrom minirbt_helpers.exercises import check, hint, progress, quiz, records\n"
        "records.default_runs = lambda: Path('runs')",
        "def mean_of_all(words, order, budget):\n    return set(order)\ncheck('whole_words', mean_of_all)",
        "hint('whole_words')",
        find("whole_words").solution + "\ncheck('whole_words', whole_words)",
        "quiz('last_of_the_budget')",
        "progress()",
    ]
    cells = [nbformat.v4.new_markdown_cell("# Exercises"), *map(nbformat.v4.new_code_cell, sources)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "exercises.ipynb")
    return len(cells)


def offline(folder: Path) -> dict[str, str]:
    """The environment of a server that reaches nothing beyond this machine and asks no questions."""
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    own = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    settings = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}
    return {name: value for name, value in os.environ.items() if name != "MINIRBT_HEADLESS"} | nowhere | own | settings


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab over a folder with three notebooks: its address, and how many cells each has."""
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    cells = {
        "look": first_cells(ROOT / "notebooks", folder / "look.ipynb"),
        "look-zh": first_cells(ROOT / "notebooks" / "zh", folder / "look-zh.ipynb"),
        "exercises": exercise_cells(folder),
    }
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}", f"--notebook-dir={folder}"]
    command += ["--no-browser", "--allow-root", "--IdentityProvider.token="]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=offline(folder), cwd=folder)
    try:
        wait_for(f"http://127.0.0.1:{port}/api", server, folder / "log")
        yield f"http://127.0.0.1:{port}/lab/tree", cells
    finally:
        server.terminate()
        server.wait(20)


def wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return opener.open(address, timeout=5).close()
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def opened(browser, lab, name: str):
    """A notebook, opened and run; ``page.strangers`` lists what the page asked of other machines."""
    address, cells = lab
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.strangers = []
    page.on("request", lambda request: LOCAL.match(request.url) or page.strangers.append(request.url))
    page.goto(f"{address}/{name}.ipynb?reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    page.get_by_text("| Idle").first.wait_for(timeout=60_000)  # the kernel is there
    page.locator(".jp-Notebook .jp-MarkdownCell").first.click()
    for _ in range(cells[name]):
        page.keyboard.press("Shift+Enter")
    return page


@pytest.fixture(scope="module")
def page(browser, lab):
    page = opened(browser, lab, "look")
    page.locator(".jupyter-widgets svg").first.wait_for(timeout=90_000)
    yield page
    page.close()


def picture(page) -> str:
    return page.locator(".jupyter-widgets svg").first.evaluate("svg => svg.outerHTML")


def student_head(picture: str) -> tuple[int, int]:
    """Layer and head of the student in a picture."""
    return tuple(map(int, re.search(r"student, layer (\d+), head (\d+)", picture).groups()))


def changed(page, before: str) -> str:
    """The picture, as soon as it is another one."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if (now := picture(page)) != before:
            return now
        time.sleep(0.05)
    pytest.fail("the picture did not change")


def shoot(page, name: str) -> None:
    page.locator(".jupyter-widgets").first.scroll_into_view_if_needed()
    keep_screenshot(page, name)


def test_widgets_and_picture_appear(page):
    shoot(page, "1-widgets")
    assert page.locator(".jupyter-widgets .widget-dropdown").count() == 2
    assert page.locator(".jupyter-widgets .noUi-handle").count() == 2
    outside = "all => all.filter(svg => !svg.closest('.jupyter-widgets')).map(svg => svg.outerHTML)"
    pictures = page.locator(".jp-OutputArea-output .minirbt svg").evaluate_all(outside)
    (static,) = [one for one in pictures if "student, layer" in one]
    assert "teacher, layer" in picture(page) and student_head(picture(page)) == student_head(static)
    box = page.locator(".jupyter-widgets svg").first.bounding_box()
    assert box["width"] > 400 and box["height"] > 300
    assert page.locator(".jp-OutputArea-output .minirbt svg").count() >= 2  # the static one and the widget's


def test_a_slider_moved_changes_the_picture(page):
    before = picture(page)
    layer, head = student_head(before)
    page.locator(".jupyter-widgets .noUi-handle").first.focus()  # of the layer
    page.keyboard.press("ArrowRight" if layer < 6 else "ArrowLeft")
    after = changed(page, before)
    shoot(page, "2-slider")
    assert student_head(after) == (layer + 1 if layer < 6 else layer - 1, head)


def test_a_sentence_typed_in_is_drawn(page):
    before = picture(page)
    box = page.locator(".jupyter-widgets .widget-text input").first
    box.fill("老师和学生都笑了。")
    box.press("Enter")
    after = changed(page, before)
    shoot(page, "3-sentence")
    for character in "老师和学生都笑了":
        assert f'id="g{ord(character):x}"' in after
    assert 'id="g6c14"' not in after  # 气, of the sentence before


def test_words_can_be_chosen_and_an_empty_sentence_is_explained(page):
    before = picture(page)
    page.get_by_role("button", name="words").first.click()
    after = changed(page, before)
    shoot(page, "4-words")
    assert "老师 → 学生" in after
    box = page.locator(".jupyter-widgets .widget-text input").first
    box.fill(" ")
    box.press("Enter")
    page.get_by_text("an empty sentence").first.wait_for(timeout=20_000)


def test_nothing_was_asked_of_another_machine(page):
    assert page.strangers == []


def test_the_chinese_edition_speaks_chinese(browser, lab):
    """Labels, the picture's titles and what is said of bad input; all glyphs are outlines that the picture brings."""
    page = opened(browser, lab, "look-zh")
    page.locator(".jupyter-widgets svg").first.wait_for(timeout=90_000)
    shoot(page, "6-chinese")
    labels = page.locator(".jupyter-widgets .widget-label").all_inner_texts()
    assert {"句子", "视图", "层", "头"} <= {label.strip() for label in labels}, labels
    before = picture(page)
    assert re.search(r"学生，第 \d+ 层，第 \d+ 个头", before) and "layer" not in before
    page.get_by_role("button", name="词", exact=True).first.click()
    assert 'id="g' in changed(page, before)
    box = page.locator(".jupyter-widgets .widget-text input").first
    box.fill(" ")
    box.press("Enter")
    page.get_by_text("这是空句子").first.wait_for(timeout=20_000)
    assert page.strangers == []
    page.close()


def test_an_exercise_is_checked_helped_with_and_recorded(browser, lab):
    """A wrong answer, a hint, the right answer, a question answered with the mouse, the picture of progress."""
    page = opened(browser, lab, "exercises")
    page.locator(".jp-Notebook svg").last.wait_for(timeout=90_000)
    for said in ("The first difference", "When does a word fit?", "1 of 6 exercises of this notebook are done"):
        page.get_by_text(said).first.wait_for(timeout=20_000)
    page.get_by_text("The word of two is passed over").last.click()
    page.get_by_role("button", name="Answer").first.click()
    page.get_by_text("Passing over keeps both laws").last.wait_for(timeout=20_000)
    page.locator(".jp-Notebook .jp-CodeCell", has_text="progress()").last.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")
    page.locator('svg[aria-label*="1 of 6 exercises, 1 of 4 questions"]').first.wait_for(timeout=20_000)
    keep_screenshot(page, "5-exercises", full_page=True)
    assert page.strangers == []
