"""Laws of pre-training from nothing: where embeddings start, how a model grows, and that nothing of it is lost."""

import json
import multiprocessing
import time
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from datasets import Dataset

from minirbt_helpers.course import Lesson
from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import ARCHITECTURES, find_architecture, start_from_counts, take_layers
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.text.corpus import features
from minirbt_helpers.training import GROWTH, grow, growing, held_out, join_world
from minirbt_helpers.training.growing import deepen, depth_of, length_of, settings_of, shared_steps
from minirbt_helpers.training.loop import learning_rate

pytestmark = pytest.mark.slow  # processes, training or notebooks

TINY = ARCHITECTURES["RBT3"]


@pytest.fixture
def small(tmp_path) -> Recipe:
    """A growth of some seconds."""
    return load_recipe(
        "sample", text="data_samples/corpus/heldout", heldout="data_samples/corpus/heldout/weather.txt",
        output_dir=str(tmp_path), length=32, batch_size=4, micro_batch=2, steps=16, evaluate_every=50,
        checkpoint_every=2,
    )  # fmt: skip


def run(recipe: Recipe, output: Path, **options):
    lesson = Lesson(recipe)
    return grow(
        recipe, TINY, texts=lesson.blocks_of, tokenizer=lesson.tokenizer, output=output, progress=False, **options
    )


def test_embeddings_start_from_what_stands_beside_what():
    """Tokens 5-9 and 10-14 live in two worlds, 15 is everywhere: those of a world point one way."""
    draws = np.random.default_rng(0)
    worlds = [np.append(draws.integers(5 + 5 * (n % 2), 10 + 5 * (n % 2), 20), 15) for n in range(3000)]
    tokens = np.concatenate(worlds)
    model = ARCHITECTURES["MiniRBT-H256"].random_model("sample", 100)
    before = model.bert.embeddings.word_embeddings.weight.detach().clone()
    start_from_counts(model, tokens, ignored=[15])
    words = model.bert.embeddings.word_embeddings.weight.detach()
    near = torch.nn.functional.cosine_similarity(words[:, None], words[None], dim=-1)
    assert near[5:10, 5:10].min() > 0.9 > 0 > near[5:10, 10:15].max()
    assert torch.equal(words[16:, :-8], before[16:, :-8])  # never read
    assert not words[:, -8:].any()  # left to the positions
    chances = model.cls.predictions.bias.detach().softmax(0)
    assert chances[15] == pytest.approx(3000 / len(tokens), rel=0.01)


@pytest.mark.parametrize("architecture", ["RoBERTa-wwm-ext", "RBT4-H312"])  # heads of 16, and of 13
def test_a_model_from_counts_looks_at_neighbours_before_its_first_step(architecture):
    model = ARCHITECTURES[architecture].random_model("sample", 300).eval()
    model.set_attn_implementation("eager")
    tokens = np.random.default_rng(0).integers(5, 300, 512)
    start_from_counts(model, tokens)
    with torch.no_grad():
        first = model(torch.from_numpy(tokens)[None], output_attentions=True).attentions[0][0]  # [heads, 512, 512]
    half = len(first) // 2
    assert first[:half].diagonal(-1, 1, 2).min() > 0.9 and first[half:].diagonal(1, 1, 2).min() > 0.9


def test_a_deepened_model_keeps_its_layers_and_nearly_all_it_knows(teacher, tokenizer, blocks):
    deep = deepen(teacher, 24)
    for own, theirs in zip(deep.bert.encoder.layer[::2], teacher.bert.encoder.layer, strict=True):
        assert all(torch.equal(weight, theirs.state_dict()[name]) for name, weight in own.state_dict().items())
    before, after = (held_out(model, blocks, tokenizer)["mlm_loss"] for model in (teacher, deep))
    assert after == pytest.approx(before, abs=0.05)
    doubled = take_layers(teacher, [layer // 2 for layer in range(24)])
    assert held_out(doubled, blocks, tokenizer)["mlm_loss"] > after + 1


def test_phases_end_in_the_architecture_itself_and_share_the_whole_budget(small):
    assert sum(phase.budget for phase in GROWTH) == pytest.approx(1)
    assert depth_of(GROWTH[-1], TINY) == TINY.full.layers and length_of(GROWTH[-1], small) == small.length
    tokens = {settings_of(phase, small).length * settings_of(phase, small).batch_size for phase in GROWTH}
    assert tokens == {small.length * small.batch_size}


@pytest.mark.parametrize("steps", [3, 4, 10, 49, 50, 90, 400])
def test_the_phases_take_all_steps_together(steps):
    shared = shared_steps(steps, GROWTH)
    assert sum(shared) == steps and min(shared) > 0


def test_the_learning_rate_stays_up_until_its_decay(small):
    recipe = small.model_copy(update={"steps": 100, "decay": 0.25})
    rates = [learning_rate(recipe, step) / recipe.learning_rate for step in range(101)]
    assert rates[9:76] == [1.0] * 67 and rates[100] == 0 and rates[88] == pytest.approx(0.48)
    flat = small.model_copy(update={"steps": 100, "decay": 0.0})
    assert learning_rate(flat, 99) == flat.learning_rate


def test_growing_learns_and_is_not_repeated(small, tmp_path):
    done = run(small, tmp_path / "grown")
    assert done.model.config.num_hidden_layers == 3
    assert [row["phase"] for row in done.metrics if row["step"] == 0] == [1, 2, 3]
    looks = [row["mlm_loss"] for row in done.metrics if "mlm_loss" in row]
    assert looks[-1] < looks[0] < np.log(done.model.config.vocab_size) - 1  # it starts at the tokens' frequencies
    before = (tmp_path / "grown" / "model.safetensors").stat().st_mtime_ns
    threads = torch.get_num_threads()
    torch.set_num_threads(threads % 2 + 1)  # the last bits of a start from counts are others then
    try:
        assert run(small, tmp_path / "grown").metrics == done.metrics
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "grown" / "model.safetensors").stat().st_mtime_ns == before


def test_a_growth_killed_in_every_phase_ends_in_the_same_weights(small, tmp_path):
    whole = run(small, tmp_path / "whole").model
    output = tmp_path / "broken"
    growth = tmp_path / "broken-growth"
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["minirbt_helpers.training", "minirbt_helpers.course", "datasets"])
    for working in (growth / ".phase-1.working", growth / ".phase-2.working", tmp_path / ".broken.working"):
        child = start.Process(target=run, args=(small, output))
        child.start()
        while child.is_alive() and not list(working.glob("step-*")):
            time.sleep(0.002)
        child.kill()
        child.join()
        assert not output.exists()
    done = run(small, output)
    for (name, ours), theirs in zip(done.model.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


@pytest.fixture
def planned(small, tmp_path, monkeypatch):
    """Plans a minute, half a second a step: from changed settings to the steps, and how often a step was measured."""
    measured = []
    monkeypatch.setattr(growing, "seconds_per_step", lambda *given: measured.append(given) or 0.5)

    def steps(plan: Path = tmp_path / "growth" / "phase-1.json", layers=1, text=1, **changes) -> tuple[int, int]:
        recipe = small.model_copy(update=changes)
        model = find_architecture(f"{layers}x16x32x2").random_model("sample", 9)
        blocks = Dataset.from_dict({"input_ids": [[2, text, 3]], "continues": [[False] * 3]}, features=features())
        return growing.planned_steps(plan, recipe, model, blocks, None, 1.0, join_world()), len(measured)

    return steps


def test_a_plan_holds_for_settings_that_change_no_weight(planned):
    assert planned() == (120, 1)
    assert planned(tensorboard=True, checkpoint_every=7, evaluate_every=9, workers=1, output_dir="other") == (120, 1)
    assert planned(epochs=9, task_rows=5) == (120, 1)
    assert planned(learning_rate=1e-5) == (120, 2)


def test_a_plan_holds_for_one_model_and_one_text(planned):
    """A step of eight layers takes longer than one of a single layer."""
    assert [planned(), planned(layers=8), planned(), planned(text=4)] == [(120, 1), (120, 2), (120, 3), (120, 4)]


def test_a_plan_is_there_whole_or_not_at_all(planned, tmp_path, monkeypatch):
    def broken_off(content: object, file: IO, **settings) -> None:
        file.write("{")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(json, "dump", broken_off)
        with pytest.raises(KeyboardInterrupt):
            planned()
    assert planned() == (120, 2) and planned() == (120, 2)
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    with pytest.raises(CourseError, match=r"notes/phase-1\.json: cannot write here"):
        planned(tmp_path / "notes" / "phase-1.json")


def test_minutes_are_turned_into_steps_once(small, tmp_path):
    done = run(small, tmp_path / "grown", minutes=0.05)
    plans = [tmp_path / "grown-growth" / f"phase-{number}.json" for number in (1, 2, 3)]
    noted = [json.loads(plan.read_text())["steps"] for plan in plans]
    taken = [max(row["step"] for row in done.metrics if row["phase"] == number) for number in (1, 2, 3)]
    assert noted == taken
    again = run(small, tmp_path / "grown", minutes=0.05)
    assert again.metrics == done.metrics and [json.loads(plan.read_text())["steps"] for plan in plans] == noted
