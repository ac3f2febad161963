"""What several tests need: the command line, the shipped models, a small recipe, real data where it is at hand."""

import ctypes
import gc
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import HealthCheck, settings

sys.modules["rfc3987_syntax"] = None  # with it jsonschema, and so nbformat, builds 39 parsers: for three seconds
import nbformat  # noqa: E402 (after the line above)

gc.disable()  # until everything is imported: see pytest_collection_finish
os.environ.setdefault("MINIRBT_HEADLESS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is there: several tests run at once, each on one thread
ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
QUICK = "MINIRBT_QUICK" in os.environ  # make check
SHOTS = os.environ.get("MINIRBT_SHOTS")  # a folder for screenshots, for people who want to see what a test saw
# First, so that none of them is left for the end.
LONGEST = tuple(
    f"test_{name}.py"
    for name in ("full_size", "course", "sharding", "engine", "site", "browser", "growing", "training", "corpus")
)


def examples(most: int) -> settings:
    """Try a law on so many examples; on a tenth of them in ``make check``."""
    return settings(max_examples=most // 10 if QUICK else most)


settings.register_profile("patient", examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a busy machine breaks no law


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``make check`` does not even import a file whose tests are all slow; None: pytest decides."""
    if config.getoption("markexpr") == "not slow" and collection_path.suffix == ".py":
        return "\npytestmark = pytest.mark.slow" in collection_path.read_text(encoding="utf-8") or None
    return None


def pytest_collection_finish() -> None:
    """Modules and tests stay until the end: the garbage collector need not look through them again and again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def first(cases: Sequence) -> list:
    """The cases of a law that takes its time; ``make check`` tries the first alone."""
    return [cases[0], *(pytest.param(case, marks=pytest.mark.slow) for case in cases[1:])]


@cache
def stored(path: Path) -> nbformat.NotebookNode:
    """A committed notebook, which no test changes; reading one checks it, and takes a while."""
    return nbformat.read(path, as_version=4)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """What the package shows and says is in this language for a while."""
    from minirbt_helpers.language import set_language

    set_language(language)
    try:
        yield
    finally:
        set_language("en")


def minirbt(*arguments: object) -> CompletedProcess:
    """Run the command line in this process; one of its own would load torch and transformers anew, for seconds."""
    from minirbt_helpers.__main__ import main

    output, errors, status = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, chdir(ROOT), redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["minirbt", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return CompletedProcess(sys.argv, status, output.getvalue(), errors.getvalue())


@pytest.fixture(autouse=True, scope="module")
def memory_given_back() -> Iterator[None]:
    """What a file of tests has freed goes back to the system; glibc keeps it for its threads, over a GiB in the end."""
    yield
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc alone has it
        trim(0)


@pytest.fixture(scope="session")
def few_rows(tmp_path_factory) -> Path:
    """A task folder with the first rows of every shipped task's files."""
    folder = tmp_path_factory.mktemp("tasks")
    for file in (ROOT / "data_samples" / "tasks").glob("*/*.*"):
        copy = folder / file.parent.name / file.name
        copy.parent.mkdir(exist_ok=True)
        text = file.read_text(encoding="utf-8")
        if text.startswith("{\n"):  # passages with questions, not a row a line
            content = json.loads(text)
            enough = content["data"][: 2 if file.parent.name == "drcd" else 1]
            copy.write_text(json.dumps(content | {"data": enough}), encoding="utf-8")
        else:
            copy.write_text("".join(text.splitlines(keepends=True)[:17]), encoding="utf-8")
    return folder


@pytest.fixture
def small_course(tmp_path, monkeypatch) -> Path:
    """A folder that stands for the project's where a site is built: its pages, notebooks of a title alone."""
    root = tmp_path / "course"
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("[1-6]_*.md"))
    for file in (ROOT / "notebooks").rglob("[0-9]*.ipynb"):
        copy = root / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {file.stem}")]), copy)
    monkeypatch.setattr("minirbt_helpers.site.project_root", lambda: root)
    return root


def keep_screenshot(page, name: str, **settings) -> None:
    """Keep what a browser shows, where somebody wants to see it."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", **settings)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that knows no other machine."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install '.[dev]')")
    with sync_api.sync_playwright() as playwright:
        no_names = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", no_names])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data beside the checkout, which is no part of the project."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("no ../shared beside the checkout: nothing real to compare with")
    return SHARED


@pytest.fixture(scope="session")
def tokenizer():
    from minirbt_helpers.models import load_tokenizer

    return load_tokenizer("data_samples/models/teacher")


@pytest.fixture(scope="session")
def segmenter():
    from minirbt_helpers.text import load_segmenter

    return load_segmenter("data_samples/models/segmenter")


@pytest.fixture(scope="session")
def teacher():
    from minirbt_helpers.models import load_model

    return load_model("data_samples/models/teacher")


@pytest.fixture(scope="session")
def blocks(tokenizer, segmenter, tmp_path_factory):
    """The held-out sample text in blocks of 32 tokens."""
    from minirbt_helpers.text import build_blocks

    folder = tmp_path_factory.mktemp("blocks") / "blocks"
    return build_blocks(
        "data_samples/corpus/heldout", tokenizer, folder, length=32, segmenter=segmenter, progress=False
    )


@pytest.fixture
def recipe(tmp_path):
    """A recipe of a few small steps."""
    from minirbt_helpers.recipe import load_recipe

    return load_recipe(
        "sample", steps=6, batch_size=4, micro_batch=2, evaluate_every=3, checkpoint_every=2, output_dir=str(tmp_path)
    )
