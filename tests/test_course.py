"""The course as a reader meets it: notebooks, parameters, packaging, the house's order."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from conftest import ROOT, minirbt, stored
from planted_bugs import BUGS

from minirbt_helpers.course import Lesson, notebooks, run_course
from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import load_model
from minirbt_helpers.recipe import LIVE, SCALES, Recipe, live_recipe, load_recipe, recipe_from_notebook

NAMES = [path.stem for path in notebooks()]
BOTH = [*notebooks("en"), *notebooks("zh")]
HELDOUT = "data_samples/corpus/heldout/weather.txt"
IN_COLAB = "https://colab.research.google.com/github/minirbt-course/minirbt-course/blob/main/notebooks/"


# --- notebooks ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_notebook_runs_on_its_own(name, few_rows, tmp_path):
    """In a fresh runs folder, from the notebooks' own folder, with knobs changed; few steps, rows and lines."""
    output = tmp_path / f"{name}.ipynb"
    knobs = {
        "SCALE": "sample",
        "SEED": 1,
        "OUTPUT_DIR": str(tmp_path / "runs"),
        "HELDOUT": str(ROOT / "data_samples" / "corpus" / "heldout" / "weather.txt"),
        "STEPS": 6,
        "EPOCHS": 1,
        "TASK_ROWS": 12,
        "TASK_DIR": str(few_rows),
    }
    papermill.execute_notebook(
        str(ROOT / "notebooks" / f"{name}.ipynb"), str(output), parameters=knobs, progress_bar=False,
        cwd=str(ROOT / "notebooks"), kernel_name="python3",
    )  # fmt: skip
    assert nbformat.read(output, as_version=4)


def notebook(file: Path, *cells: str) -> Path:
    """Write a notebook of code cells, the first of which has the parameters."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=kernel)
    content.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(content, file)
    return file


@pytest.mark.slow
def test_the_course_leaves_executed_notebooks_and_a_site(tmp_path, monkeypatch, small_course):
    """Two small notebooks stand for the course's, which are run above; the second one fails."""
    good = notebook(tmp_path / "00_good.ipynb", "SCALE = None", "print('here', SCALE)")
    good_book = nbformat.read(good, as_version=4)
    good_book.cells.insert(0, nbformat.v4.new_markdown_cell("# A good one"))
    nbformat.write(good_book, good)
    bad = notebook(tmp_path / "01_bad.ipynb", "SCALE = None", "1 / 0", "print('not reached')")
    monkeypatch.setattr("minirbt_helpers.course.notebooks", lambda: [good, bad])
    output = tmp_path / "out"
    index = run_course("sample", output, only="00").read_text(encoding="utf-8")
    assert index.count('href="notebooks/00_good.html"') >= 1 and "1 notebooks at sample scale" in index
    assert not (output / "01_bad.ipynb").exists()
    assert "here sample" in (output / "site" / "notebooks" / "00_good.html").read_text(encoding="utf-8")
    assert nbformat.read(output / "00_good.ipynb", as_version=4).cells[-1].outputs[0].text == "here sample\n"
    with pytest.raises(CourseError, match="cell 3 failed: ZeroDivisionError") as caught:  # papermill puts one in
        run_course("sample", output)
    assert caught.value.where == str(output / "01_bad.ipynb") and (output / "01_bad.ipynb").exists()
    with pytest.raises(CourseError, match="no notebook begins with '99'"):
        run_course("sample", output, only="99")
    with pytest.raises(CourseError, match="take the place of the course's own"):
        run_course("sample", tmp_path / "out" / "..", only="00")
    assert nbformat.read(good, as_version=4) == good_book
    with pytest.raises(CourseError, match="unknown SCALE 'smaple'"):
        run_course("smaple", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("path", BOTH, ids=lambda path: str(path.relative_to(ROOT / "notebooks")))
def test_committed_notebooks_are_clean(path):
    content = stored(path)
    code = [cell for cell in content.cells if cell.cell_type == "code" and cell.source.strip()]
    assert max(len(line) for cell in code for line in cell.source.splitlines()) <= 100, "code cells do not scroll"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "make refresh"
    assert not [
        out for cell in code for out in cell.outputs if out.output_type == "error" or out.get("name") == "stderr"
    ]
    assert "widgets" not in content.metadata and path.stat().st_size < 1.5e6
    assert str(ROOT) not in path.read_text(encoding="utf-8"), "no path of the machine that ran it"
    knobs = {
        target.id
        for cell in code
        if "parameters" in cell.metadata.get("tags", [])
        for node in ast.parse(cell.source).body
        for target in node.targets
    }
    assert "SCALE" in knobs and knobs <= {"LANGUAGE"} | {field.upper() for field in Recipe.model_fields}
    assert code[0].metadata.get("tags") == ["parameters"]


def test_links_between_notebooks_lead_somewhere():
    for path in BOTH:
        for cell in stored(path).cells:
            for link in re.findall(r"\]\(([^)#]+\.(?:ipynb|md))\)", cell.source):
                target = ROOT / "notebooks" / link.removeprefix(IN_COLAB) if IN_COLAB in link else path.parent / link
                assert target.exists(), f"{path}: {link}"


def test_every_notebook_links_to_itself_in_colab():
    for path in BOTH:
        first = stored(path).cells[0].source
        said = "在 Colab 中打开" if path.parent.name == "zh" else "Open in Colab"
        assert f"[{said}]({IN_COLAB}{path.relative_to(ROOT / 'notebooks')})" in first, path


# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"SCALE": "huge"}, "unknown SCALE 'huge'"),
        ({"SCALE": "sample", "STEPZ": 3}, "unknown parameter STEPZ"),
        ({"SCALE": "sample", "STEPS": "20"}, "STEPS = '20' (str)"),
        ({"SCALE": "sample", "TEMPERATURE_SQUARED": "true"}, "TEMPERATURE_SQUARED = 'true' (str)"),
        ({"SCALE": "sample", "STEPS": True}, "STEPS = True (bool)"),
        ({"SCALE": "sample", "STEPS": 0}, "STEPS = 0 (int)"),
        ({"SCALE": "sample", "BATCH_SIZE": 10, "MICRO_BATCH": 4}, "does not divide"),
        ({"STEPS": 3}, "no SCALE"),
    ],
)
def test_bad_parameters_are_refused_with_what_exists(knobs, message):
    with pytest.raises(CourseError, match=re.escape(message)) as caught:
        recipe_from_notebook({"_i": "x", "In": [], "draw": print, **knobs})
    assert caught.value.fix


def test_every_field_can_be_set_from_a_notebook():
    recipe = load_recipe("sample")
    for name, value in recipe.model_dump().items():
        assert getattr(recipe_from_notebook({"SCALE": "sample", name.upper(): value}), name) == value
    assert recipe_from_notebook({"SCALE": "sample", "STEPS": None}) == recipe


def test_the_set_up_cell_can_be_run_again():
    """After the rest of the notebook, names in capitals that are no plain values are about."""
    assert recipe_from_notebook({"SCALE": "sample", "F": json, "PALETTE": {}, "TASKS": SCALES}) == load_recipe("sample")


def test_full_is_the_published_recipe():
    full = load_recipe("full")
    assert (full.batch_size, full.steps, full.length, full.learning_rate, full.temperature) == (
        4096,
        100_000,
        512,
        4e-4,
        8,
    )
    assert (full.optimizer, full.hard_label_weight, full.temperature_squared) == ("adamw", 0, False)
    assert set(SCALES) == {"sample", "full"}


def test_a_live_run_keeps_what_was_chosen():
    assert live_recipe(load_recipe("full")) == load_recipe("full")
    assert live_recipe(load_recipe("sample")) == load_recipe("sample", **LIVE)
    chosen = live_recipe(load_recipe("sample", steps=6, batch_size=8))
    assert (chosen.steps, chosen.batch_size, chosen.micro_batch) == (6, 8, 8)
    assert chosen.learning_rate == LIVE["learning_rate"]
    assert live_recipe(load_recipe("sample", temperature=8.0)).temperature == 8


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_text_to_finetuned_student_by_the_command_line(tmp_path):
    text, heldout = ROOT / "data_samples/corpus/train/weather.txt", ROOT / "data_samples/corpus/heldout/weather.txt"
    runs = ["--output-dir", tmp_path, "--steps", "3", "--batch-size", "4", "--heldout", heldout]
    blocks = ["--blocks", tmp_path / "blocks"]
    for arguments in (
        ["references", text, tmp_path / "refs.txt"],
        ["pack", text, "--references", tmp_path / "refs.txt", "--output", tmp_path / "blocks"],
        ["init", tmp_path / "start"],
        ["distill", "--stage", "assistant", "--student-weights", tmp_path / "start", *blocks, *runs],
        ["distill", "--stage", "student", *blocks, *runs],
        ["finetune", "chnsenticorp", "--model", tmp_path / "sample/student", "--epochs", "1", "--task-rows", "32"],
        ["evaluate", tmp_path / "sample/student", "--heldout", heldout, "--output-dir", tmp_path],
    ):
        done = minirbt(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
    assert json.loads(done.stdout.splitlines()[-1])["masked"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["references", "nowhere.txt", "refs.txt"], "nowhere.txt: no such text file"),
        (["distill", "--scale", "middle"], "unknown SCALE 'middle'"),
        (["finetune", "sst2", "--model", "data_samples/models/student"], "unknown task 'sst2'"),
        (["finetune", "ocnli", "--model", "random:BERT"], "unknown architecture 'BERT'"),
        (["evaluate", "no/such/folder"], "no such model folder"),
        (["init", "out", "--layers", "a,b"], "not a list of numbers"),
        (["pack", "nowhere.txt", "--output", "out"], "no such text file"),
        (["compare", *["--model", "a=data_samples/models/student"] * 2], "two models of one name"),
    ],
)
def test_bad_commands_end_with_one_clear_message(arguments, message):
    done = minirbt(*arguments)
    assert done.returncode == 1 and message in done.stderr and "->" in done.stderr


def test_held_out_text_needs_no_training_text(tmp_path):
    lesson = Lesson(load_recipe("sample", text="nowhere.txt", heldout=HELDOUT, output_dir=str(tmp_path), length=32))
    assert len(lesson.heldout) > 3 and len(list(lesson.home.glob("blocks-*"))) == 1
    with pytest.raises(CourseError, match=r"nowhere\.txt: no such text file"):
        lesson.blocks  # noqa: B018


def test_nothing_but_an_earlier_start_gives_way_to_a_start(tmp_path):
    output = tmp_path / "runs"
    (output / "sample").mkdir(parents=True)
    for there in ("sample/diary.txt", "config.json"):  # runs, or a trained model
        (output / there).write_text("mine")
        done = minirbt("init", output, "--layers", "0")
        assert done.returncode == 1 and "they would be lost" in done.stderr
        assert (output / there).read_text() == "mine"
    for layers in ("0", "1,2"):
        done = minirbt("init", tmp_path / "start", "--layers", layers)
        assert done.returncode == 0, done.stderr
    assert load_model(tmp_path / "start").config.num_hidden_layers == 2


def test_doctor_names_this_machine():
    done = minirbt("doctor")
    assert done.returncode == 0 and "transformers" in done.stdout and "memory" in done.stdout


@pytest.mark.slow
def test_the_command_is_a_process_of_its_own():
    """What the other tests run in theirs: status, message and no traceback are those of `python -m`."""
    command = [sys.executable, "-m", "minirbt_helpers", "finetune", "mine", "--model", "none", "--train", "a.tsv"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "minirbt: --train without --dev" in done.stderr and not done.stdout
    assert "Traceback" not in done.stderr


# --- the house ------------------------------------------------------------------------------------------------------


def test_environment_and_constraints_are_in_step():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    (pip,) = [
        entry for entry in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"] if type(entry) is dict
    ]
    named = dict(line.split("==") for line in pip["pip"] if "==" in line)
    assert named and all(pins[name] == number for name, number in named.items())
    direct = re.findall(r'^    "([a-z0-9-]+)[><=]', (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(direct) | {"jupyterlab"} == set(named)
    assert pins["torch"] == "2.13.0"
    ruff, _ = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert ruff["additional_dependencies"] == [f"ruff=={pins['ruff']}"]


ROOMS = {"text", "models", "tasks", "training", "insight", "exercises"}
MAY_USE = {"text": set(), "models": set(), "tasks": {"models"}, "training": {"text", "models"}}
MAY_USE |= {"insight": ROOMS - {"exercises"}, "exercises": ROOMS}


def test_imports_run_downwards():
    package = ROOT / "minirbt_helpers"
    for file in package.rglob("*.py"):
        room, *deeper = file.relative_to(package).parts
        if room not in ROOMS:  # the top floor and the ground floor
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == len(deeper) + 1:  # from outside the room
                other = (node.module or "").split(".")[0]
                assert other not in ROOMS or other in MAY_USE[room], f"{file}: {other}"
                assert other not in ("course", "commands", "doctor", "publishing", "__main__"), f"{file}: {other}"


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, minirbt_helpers; print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


# --- Colab ----------------------------------------------------------------------------------------------------------


def set_up_cell(name: str) -> str:
    cells = stored(ROOT / "notebooks" / f"{name}.ipynb").cells
    (cell,) = [cell.source for cell in cells if cell.cell_type == "code" and "course import start" in cell.source]
    return cell


def test_every_notebook_has_the_same_set_up_cell():
    """test_full_size.py runs it in an environment without the course."""
    (cell,) = {set_up_cell(name) for name in NAMES}
    (_,) = {set_up_cell(f"zh/{name}") for name in NAMES}
    assert cell.count('%pip install -q "minirbt-helpers[colab] @ git+https://') == 1
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    (extra,) = re.findall(r"^colab = \[(.+)\]$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert all(pins[name] == number for name, number in re.findall(r'"([^"=]+)==([^"]+)"', extra))


def test_every_planted_bug_has_its_place():
    """tests/planted_bugs.py takes minutes and is run by hand; code that moves away from under it is seen here."""
    for what, file, old, new, test in BUGS:
        assert (ROOT / "minirbt_helpers" / file).read_text(encoding="utf-8").count(old) == 1 and new != old, what
        name, law = test.split("::")
        assert f"def {law}(" in (ROOT / "tests" / name).read_text(encoding="utf-8"), test
