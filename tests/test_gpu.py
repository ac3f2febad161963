"""Laws of the measurement of GPUs: it runs where there is none, says what is missing, and its figures are read."""

import json
import multiprocessing
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from test_engine import NoWaiting

from minirbt_helpers.models import ARCHITECTURES
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.training import MaskedPositions, hours_table, machines
from minirbt_helpers.training.distillation import frozen
from minirbt_helpers.training.loop import shared_batches
from minirbt_helpers.training.machine import World, compile_encoder

sys.path.insert(0, str(ROOT / "benchmarks"))
import full_size
import gpu

CPU = torch.device("cpu")


@pytest.fixture
def plan(tmp_path) -> gpu.Plan:
    (tmp_path / "notes.jsonl").touch()
    return gpu.Plan({"tiny": True, "until": time.time() + 600, "found": {}}, tmp_path / "notes.jsonl")


def report_of(plan: gpu.Plan, part: str) -> dict:
    report = gpu.Report(plan.notes.parent / "gpu-tiny.json", {})
    report.add(part, plan.notes)
    return json.loads(report.file.read_text())["parts"][part]


# --- it runs --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_dry_run_finds_the_speed_of_both_ways_and_where_a_step_spends_its_time(plan):
    best: dict[str, int] = {}
    plan.attempt("student", "engine fp32", find=lambda: gpu.engine(plan, "student", 1e12, best))
    plan.attempt("student", "TextBrewer fp32", find=lambda: gpu.stock(plan, "student", "fp32", 1e12))
    found = report_of(plan, "training")["student"]
    for variant in found.values():
        assert variant["micro_batch"] in (2, 4) and 0 < variant["share_of_peak"] < 1 and "failed" not in variant
    assert best["student"] == found["engine fp32"]["micro_batch"]
    kernels = found["engine fp32"]["kernels"]
    assert kernels["kinds"].keys() >= {"matrix products", "optimizer"} and len(kernels["longest"]) == 10


def test_a_real_run_is_planned_from_the_speed_that_was_measured(plan):
    fast = {"micro_batch": 64, "tokens_per_second": 1e6}
    plan.found["training"] = {stage: {"engine fp32": fast} for stage in gpu.STAGES}
    assert gpu.batch_that_ends(plan, 200) == 64
    plan.found["training"]["assistant"] = {"engine fp32": fast | {"tokens_per_second": 300.0}}
    assert gpu.batch_that_ends(plan, 200) == 8


@pytest.mark.slow
def test_what_fails_or_has_no_time_is_said_and_the_rest_goes_on(plan):
    assert not plan.attempt("one", find=lambda: 1 / 0)
    assert plan.attempt("two", find=lambda: {"rate": 2})
    plan.tiny, plan.until = False, time.time()
    assert not plan.attempt("three", find=lambda: {"rate": 3}, seconds=10)
    found = report_of(plan, "training")
    assert found["one"]["failed"].startswith("ZeroDivisionError") and found["two"] == {"rate": 2}
    assert found["three"]["left_out"].endswith("of 10 seconds left")


@pytest.mark.slow
def test_a_search_ends_where_the_memory_ends(plan):
    class Small:
        def seconds(self, micro_batch, parts=1, count=1):
            if micro_batch > 64:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return 1.0

    plan.tiny = False
    assert gpu.best_micro_batch(Small(), plan) == (64, 1.0)
    assert gpu.speed(Small(), plan, "student", 256, 1.0, 1e15)["micro_batch"] == 64


@pytest.mark.slow
def test_it_starts_without_what_others_need():
    """torch and transformers are enough: libraries that are missing are not imported."""
    absent = ("datasets", "pyarrow", "ltp", "ltp_core", "matplotlib", "IPython", "ipywidgets")
    code = f"""import sys
sys.modules.update(dict.fromkeys({absent}))
sys.path.insert(0, "benchmarks")
import full_size, gpu, minirbt_helpers.training
room = full_size.insight()
asked = ("model_timings", "speed_ups", "product_rate", "readings", "sentences", "cka_matrix", "head_matches")
print([name for name in asked if not hasattr(room, name)])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


# --- what a GPU would show ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_teacher_and_student_compile_into_one_graph_each():
    """As on a GPU, with torch's fused attention; a graph break would be an error."""
    recipe, sizes = load_recipe("full", precision="bf16"), full_size.SIZES["tiny"]
    student, teacher = (full_size.random_model("MiniRBT-H256", sizes) for _ in range(2))
    ids = torch.ones(2, 8, dtype=torch.long)
    for model in (student.train(), frozen(teacher, False, recipe, CPU)):
        assert model.config._attn_implementation == "sdpa"
        model.bert.compile = partial(model.bert.compile, backend="eager", fullgraph=True)
        compile_encoder(model)
        MaskedPositions(model, hidden=False)(ids, ids)  # a look at held-out text leaves the graph whole
        seen = model.bert(ids, attention_mask=None, output_hidden_states=True, output_attentions=False)
        assert len(seen.hidden_states) == 7
    torch._dynamo.reset()


def test_a_step_at_fp16_does_not_wait_for_its_scaler():
    run = full_size.Engine("RBT6", "student", full_size.SIZES["tiny"], "fp16")
    (step, batches), steps = next(run.stream(1, 1, 1)), run.steps()
    assert steps.scaler.is_enabled() and steps.optimizers[0].defaults["fused"]
    with NoWaiting():
        steps.take(step, batches, 1e-4)


class Counted(torch.utils.data.Dataset):
    """Micro-batches, and how many were made."""

    parts = 12

    def __init__(self):
        self.made = multiprocessing.Value("i")

    def __getitem__(self, number: int) -> dict:
        with self.made.get_lock():
            self.made.value += 1
        return {"number": torch.tensor(number)}


def test_a_whole_step_is_made_ready_while_the_one_before_lasts():
    """A step waits for all its micro-batches, so a GPU would stand still while they are made."""
    recipe, batches = load_recipe("sample", batch_size=12, micro_batch=1, steps=3, workers=2), Counted()
    stream = shared_batches(recipe, batches, World(0, 1, CPU), 0)
    assert [int(batch["number"]) for batch in next(stream)] == list(range(12))
    deadline = time.monotonic() + 20
    while batches.made.value < 24 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert batches.made.value >= 24
    assert [int(batch["number"]) for batch in next(stream)] == list(range(12, 24))


# --- its figures are read -------------------------------------------------------------------------------------------


def measured(folder: Path) -> Path:
    speeds = {"engine bf16": 2e14, "engine bf16 compiled": 3e14, "TextBrewer fp32": 9e14}
    stage = {name: {"operations_per_second": speed} for name, speed in speeds.items()} | {"operations_per_token": 1.0}
    training = {"peak_operations_per_second": {"fp32": 5e13, "bf16": 7.5e14}, "assistant": stage, "student": stage}
    content = {"hardware": "NVIDIA H200", "parts": {"training": training}}
    (folder / "gpu-nvidia-h200.json").write_text(json.dumps(content))
    return folder


def test_hours_are_assumed_until_they_are_measured(tmp_path):
    assert {machine.source for machine in machines(tmp_path)} == {"assumed"}
    one, many = machines(measured(tmp_path))[1:]
    assert one.shares == many.shares == {"assistant": 0.4, "student": 0.4}  # of the engine's fastest variant
    assert (one.source, many.source) == ("measured", "measured on one") and many.hours("student") < one.hours("student")
    assert "| one H200 | 40%, measured |" in hours_table(machines(tmp_path))
    assert machines(tmp_path)[0].source == "assumed"


def test_a_measurement_without_a_stage_counts_for_nothing(tmp_path):
    file = measured(tmp_path) / "gpu-nvidia-h200.json"
    content = json.loads(file.read_text())
    content["parts"]["training"]["student"] = {"engine bf16": {"failed": "no memory"}}
    file.write_text(json.dumps(content))
    assert {machine.source for machine in machines(tmp_path)} == {"assumed"}


def test_the_docs_say_what_is_measured_and_what_assumed(tmp_path):
    page = (ROOT / "docs" / "full_size.md").read_text(encoding="utf-8")
    assert hours_table(machines()) in page, "python benchmarks/gpu.py --docs"
    old = tmp_path / "full_size.md"
    old.write_text(page.replace("40%, assumed", "1%, guessed"), encoding="utf-8")
    gpu.update_docs(old)
    assert old.read_text(encoding="utf-8") == page


def test_every_published_stage_is_measured_with_its_own_models():
    recipe = load_recipe("full")
    assert {stage: learner for stage, (_, learner) in gpu.STAGES.items()} == {
        "assistant": recipe.assistant,
        "student": recipe.student,
    }
    assert all(name in ARCHITECTURES for names in gpu.STAGES.values() for name in names)
