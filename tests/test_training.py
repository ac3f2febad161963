"""Laws of distillation, its optimisers, its checkpoints and its runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import minirbt
from datasets import Dataset
from transformers import BertModel, BertTokenizer

from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import ARCHITECTURES, find_architecture, load_model, take_layers
from minirbt_helpers.models.attention import fast_on_cpu
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.text import WholeWordCollator
from minirbt_helpers.training import (
    CLASSES,
    Distiller,
    MaskedPositions,
    distill,
    held_out,
    held_out_questions,
    hidden_matches,
    kd_landmarks,
    layer_pairs,
    optimizers,
    pretrain,
    runs,
)
from minirbt_helpers.training.batches import Batches
from minirbt_helpers.training.checkpoints import checkpoints
from minirbt_helpers.training.distillation import prepare
from minirbt_helpers.training.evaluation import kinds_of_entries, kinds_of_tokens
from minirbt_helpers.training.loop import learning_rate, shared_batches
from minirbt_helpers.training.machine import World
from minirbt_helpers.training.optimizers import Muon, orthogonal
from minirbt_helpers.training.runs import read_from
from minirbt_helpers.workspace import atomic_folder


def random_student(tokenizer, seed: int = 0):
    return ARCHITECTURES["MiniRBT-H256"].random_model("sample", len(tokenizer), seed)


# --- what is learned from what --------------------------------------------------------------------------------------


def test_published_layer_pairs():
    assert layer_pairs(12, 6) == [(0, 0), (2, 1), (4, 2), (6, 3), (8, 4), (10, 5), (12, 6)]
    assert layer_pairs(12, 4) == [(0, 0), (3, 1), (6, 2), (9, 3), (12, 4)]
    assert layer_pairs(6, 6) == [(layer, layer) for layer in range(7)]
    with pytest.raises(CourseError, match="evenly"):
        layer_pairs(12, 5)


def test_full_scale_matches_are_the_published_ones():
    recipe = load_recipe("full")
    roberta, rbt6, h256 = (ARCHITECTURES[name].config("full") for name in ("RoBERTa-wwm-ext", "RBT6", "MiniRBT-H256"))
    one = hidden_matches(roberta, rbt6, recipe)
    assert [match["proj"] for match in one] == [["linear", 768, 768]] * 7
    assert hidden_matches(rbt6, h256, recipe)[2] == {
        "layer_T": 2, "layer_S": 2, "feature": "hidden", "loss": "hidden_mse", "weight": 1.0,
        "proj": ["linear", 256, 768],
    }  # fmt: skip


# --- the loop -------------------------------------------------------------------------------------------------------


def test_schedule_rises_then_falls_to_zero():
    recipe = load_recipe("full", steps=100)
    rates = [learning_rate(recipe, step) for step in range(101)]
    assert max(rates) == pytest.approx(recipe.learning_rate) and rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(recipe.learning_rate / 10) and rates[100] == 0


def test_every_epoch_sees_every_block_once(blocks, tokenizer):
    few = blocks.select(range(12))
    shuffled = Batches(load_recipe("sample", batch_size=4, micro_batch=2), few, WholeWordCollator(tokenizer))
    seen = []
    for batch in map(shuffled.__getitem__, range(12)):
        whole = torch.where(batch["labels"] != -100, batch["labels"], batch["input_ids"])
        seen += [tuple(row[row != 0].tolist()) for row in whole]
    truth = sorted(tuple(row["input_ids"]) for row in few)
    assert sorted(seen[:12]) == sorted(seen[12:]) == truth and seen[:12] != seen[12:]


def test_a_long_run_takes_no_more_room_than_a_short_one(blocks, tokenizer):
    recipe = load_recipe("sample", steps=10**6, batch_size=4, micro_batch=2)
    batches = Batches.of(recipe, blocks, tokenizer)
    tracemalloc.start()
    try:
        next(shared_batches(recipe, batches, World(0, 1, torch.device("cpu")), 0))
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_orthogonal_brings_singular_values_near_one():
    for shape in ((3, 64, 192), (3, 192, 64)):
        matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        matrices[1] *= 100  # each is brought to its own size
        found = orthogonal(matrices)
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.5 and values.max() < 1.5
        torch.testing.assert_close(found, torch.stack([orthogonal(one) for one in matrices]))


def test_muon_updates_each_matrix_as_if_it_were_alone(monkeypatch):
    """However many go together; a matrix without a gradient stays."""
    start = [torch.randn(shape, generator=torch.Generator().manual_seed(7)) for shape in ((8, 8), (8, 32), (8, 8))]
    found = []
    for entries in (1, 2**24):
        monkeypatch.setattr(optimizers, "AT_ONCE", entries)
        weights = [torch.nn.Parameter(one.clone()) for one in [*start, start[0]]]
        muon = Muon(weights, lr=0.1)
        for step in range(3):
            for place, weight in enumerate(weights[:-1]):
                weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(10 * step + place))
            muon.step()
        assert weights[-1].equal(start[0]) and weights[-1] not in muon.state
        found.append(weights)
    for alone, together in zip(*found, strict=True):
        torch.testing.assert_close(alone, together)


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(teacher, tokenizer, blocks, recipe, tmp_path):
    arguments = {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher, "progress": False}
    whole = distill(recipe, "student", **arguments, output=tmp_path / "whole").model
    broken = recipe.model_copy(update={"evaluate_every": 4})  # changes no weight

    class Break(Exception):
        pass

    real = Distiller.losses
    calls = iter(range(100))

    def failing(self, *arguments):
        if next(calls) == 7:  # in the middle of step 4
            raise Break
        return real(self, *arguments)

    Distiller.losses = failing
    try:
        with pytest.raises(Break):
            distill(broken, "student", **arguments, output=tmp_path / "broken")
    finally:
        Distiller.losses = real
    assert [path.name for path in checkpoints(tmp_path / ".broken.working")] == ["step-00000002"]
    done = distill(broken, "student", **arguments, output=tmp_path / "broken")
    for (name, ours), theirs in zip(done.model.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert [row["step"] for row in done.metrics] == list(range(7))


@pytest.mark.slow
def test_a_finished_run_is_not_repeated_and_another_recipe_loses_nothing(teacher, blocks, recipe, tmp_path, capsys):
    arguments = {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher, "progress": False}
    first = distill(recipe, "student", **arguments)
    before = (first.folder / "model.safetensors").stat().st_mtime_ns
    again = distill(recipe, "student", **arguments)
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == before and again.metrics == first.metrics
    distill(recipe.model_copy(update={"epochs": 9, "task_rows": 5}), "student", **arguments)  # fine-tuning's
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(CourseError, match="600 tokens, and the model has 512 positions"):
        distill(recipe.model_copy(update={"length": 600}), "student", **arguments)
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == before
    other = recipe.model_copy(update={"temperature": 2.0})
    distill(other, "student", **arguments)
    kept = first.folder.parent / "student-1"
    assert "kept as" in capsys.readouterr().out
    assert json.loads((kept / "recipe.json").read_text())["recipe"]["temperature"] == recipe.temperature
    distill(other, "student", **arguments | {"teacher": take_layers(teacher)})  # another teacher is another run
    assert (first.folder.parent / "student-2").is_dir()
    assert not list(first.folder.parent.glob(".student*"))


@pytest.mark.slow
def test_the_trained_projections_stay_beside_the_student(teacher, blocks, recipe):
    arguments = {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher, "progress": False}
    first, again = (distill(recipe, "student", **arguments) for _ in range(2))
    untrained = Distiller(teacher, again.model, recipe).projections
    assert [tuple(one.weight.shape) for one in first.projections] == [(192, 64)] * 7
    for trained, kept, fresh in zip(first.projections, again.projections, untrained, strict=True):
        assert torch.equal(trained.weight, kept.weight) and torch.equal(trained.bias, kept.bias)
        assert not torch.equal(kept.weight, fresh.weight)


@pytest.mark.slow
def test_the_student_loads_with_plain_transformers(teacher, tokenizer, blocks, recipe):
    done = distill(recipe, "student", blocks=blocks, heldout=blocks.select(range(4)), teacher=teacher, progress=False)
    loaded = BertModel.from_pretrained(done.folder).eval()
    encoded = BertTokenizer.from_pretrained(done.folder)("今天天气很好", return_tensors="pt")
    assert encoded["input_ids"].tolist()[0] == tokenizer("今天天气很好")["input_ids"]
    with torch.no_grad():
        ours = done.model.bert(**encoded).last_hidden_state
        torch.testing.assert_close(loaded(**encoded).last_hidden_state, ours)


@pytest.mark.slow
def test_both_stages_learn(tokenizer, teacher, blocks, recipe):
    """The KD loss on held-out text falls below that of the start."""
    run = recipe.model_copy(update={"steps": 8, "batch_size": 8, "micro_batch": 8, "evaluate_every": 8})
    texts = {"blocks": blocks, "heldout": blocks.select(range(64)), "progress": False}
    assistant, student = distill(run, "assistant", **texts), distill(run, "student", **texts)
    for done in (assistant, student):
        assert done.metrics[-1]["kd_loss"] < done.metrics[0]["kd_loss"]
    assert student.model.config.hidden_size == 64 and assistant.model.config.num_hidden_layers == 6


@pytest.mark.slow
def test_pretraining_lowers_the_loss(tokenizer, blocks, recipe):
    run = recipe.model_copy(update={"steps": 12, "batch_size": 16, "micro_batch": 16})
    done = pretrain(run, random_student(tokenizer), blocks=blocks, heldout=blocks.select(range(8)), progress=False)
    assert done.metrics[-1]["mlm_loss"] < done.metrics[0]["mlm_loss"]


@pytest.mark.slow
def test_held_out_asks_every_model_the_same(teacher, tokenizer, blocks):
    first = held_out(teacher, blocks, tokenizer, limit=16)
    small = held_out(random_student(tokenizer), blocks, tokenizer, limit=16, teacher=teacher)
    assert first["masked"] == small["masked"] > 0 and first["top5"] >= first["top1"]
    assert held_out(teacher, blocks, tokenizer, limit=16) == first
    itself = held_out(teacher, blocks, tokenizer, limit=16, teacher=teacher)
    assert itself["kd_loss"] < small["kd_loss"]  # cross-entropy is least for the teacher itself


@pytest.mark.slow
def test_the_score_by_class_adds_up_to_the_whole(teacher, tokenizer, blocks):
    found = held_out(teacher, blocks, tokenizer, limit=64)
    numbers = [found[f"{kind}_masked"] for kind in CLASSES]
    assert sum(numbers) == found["masked"] and min(numbers) > 0
    for figure in ("top1", "top5"):
        hits = sum(found[f"{kind}_{figure}"] * number for kind, number in zip(CLASSES, numbers, strict=True))
        assert hits == pytest.approx(found[figure] * found["masked"])


def test_tokens_belong_to_the_class_of_their_word(tokenizer):
    """今天 is a word of two, the comma a mark, 的 the commonest ideograph here, and 我 one of no more than others."""
    ids = tokenizer.convert_tokens_to_ids(["[CLS]", *"的的今天，我", "[SEP]"])
    rare = tokenizer.convert_tokens_to_ids(list("一二三四五六七八九十百千万上下左右东西"))
    kind_of = kinds_of_entries(np.array([*ids, *rare * 2, *ids[1:3]]), tokenizer)
    columns = {"input_ids": [ids], "continues": [[False, False, False, False, True, False, False, False]]}
    (kinds,) = kinds_of_tokens(columns, kind_of, (1, 9))
    names = [CLASSES[kind] for kind in kinds[1:7]]
    assert names == ["common", "common", "words", "words", "punctuation", "single"]


@pytest.mark.slow
def test_the_landmarks_of_a_kd_loss_are_those_of_a_copy_and_of_a_constant_student(teacher, tokenizer, blocks):
    few = blocks.select(range(len(blocks) - 16, len(blocks)))  # the last one is shorter than the others
    assert len(few[-1]["input_ids"]) < len(few[0]["input_ids"])
    asked = {"temperature": 4.0, "limit": None}
    found = kd_landmarks(teacher, few, tokenizer, **asked)
    assert found["floor"] < found["constant"] < found["uniform"] == pytest.approx(np.log(len(tokenizer)))
    copy = held_out(teacher, few, tokenizer, teacher=teacher, **asked)
    assert copy["kd_loss"] == pytest.approx(found["floor"], abs=1e-5)
    with torch.no_grad():
        questions = held_out_questions(few, tokenizer, limit=None)
        mean = torch.cat([MaskedPositions(teacher)(**batch)["logits"] for batch in questions]).mean(0)
        constant = random_student(tokenizer)
        constant.cls.predictions.transform.LayerNorm.weight.zero_()
        constant.cls.predictions.transform.LayerNorm.bias.zero_()
        constant.cls.predictions.bias.copy_(mean)
    says = held_out(constant, few, tokenizer, teacher=teacher, **asked)
    assert says["kd_loss"] == pytest.approx(found["constant"], abs=1e-5)


@pytest.mark.parametrize("quick", [False, True])
def test_the_last_layer_is_needed_at_masked_positions_alone(quick):
    """The same predictions and gradients, with padding and with a text in which nothing is masked, or all of it."""
    model = ARCHITECTURES["RBT3"].random_model("sample", 100).eval()
    draws = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 100, (4, 12), generator=draws)
    masked = torch.rand(ids.shape, generator=draws) < 0.2
    masked[0], masked[1], masked[2, 8:] = False, True, False
    batch = {"input_ids": ids, "labels": ids.where(masked, -100), "attention_mask": torch.ones_like(ids)}
    batch["attention_mask"][2, 8:] = 0
    found = []
    for hidden in (True, False):
        model.zero_grad()
        with fast_on_cpu(model) if quick else nullcontext():
            answers = MaskedPositions(model, hidden=hidden)(**batch)
        torch.nn.functional.cross_entropy(answers["logits"], answers["labels"]).backward()
        found.append([answers["logits"], *(weight.grad for weight in model.parameters())])
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-4)
    nothing = batch | {"labels": torch.full_like(ids, -100)}
    assert MaskedPositions(model, hidden=False)(**nothing)["logits"].shape == (0, 100)
    assert model(ids).logits.shape == (4, 12, 100)  # as before


# --- what makes a run this one --------------------------------------------------------------------------------------


def corrected(blocks, block: int, column: str):
    """The blocks with one entry of one of them changed."""
    rows = blocks.to_dict()
    rows[column][block][5] = rows[column][block][5] != 1 if column == "continues" else rows[column][block][5] ^ 1
    return Dataset.from_dict(rows, features=blocks.features)


@pytest.mark.parametrize("column", ["input_ids", "continues"])
def test_a_run_knows_its_blocks_by_what_they_say(blocks, column, monkeypatch):
    """However they lie on disk; of very many a spread is looked at, and their number."""
    few = blocks.select(range(70))
    known = read_from(few)
    assert known["blocks"] == 70 and read_from(Dataset.from_dict(few.to_dict(), features=few.features)) == known
    for block in (0, 33, 69):
        assert read_from(corrected(few, block, column))["text"] != known["text"]
    assert read_from(few.select(range(69, -1, -1)))["text"] != known["text"]
    monkeypatch.setattr(runs, "PIECES", 7)
    monkeypatch.setattr(runs, "TOGETHER", 2)
    assert read_from(corrected(few, 61, column))["text"] != read_from(few)["text"]
    assert read_from(corrected(few, 62, column)) == read_from(few)


def test_a_run_of_a_corrected_text_is_another_and_a_finished_one_is_shown(tokenizer, blocks, recipe, tmp_path, capsys):
    tiny = find_architecture("1x8x8x2")
    few, seen = blocks.select(range(8)), []
    for text in (few, few, corrected(few, 3, "input_ids")):
        model = tiny.random_model("sample", len(tokenizer))
        one = recipe.model_copy(update={"steps": 1})
        pretrain(one, model, blocks=text, heldout=few, output=tmp_path / "run", progress=False, watch=seen.append)
    assert [len(rows) for rows in seen] == [2] * 5 and seen[2] == seen[1] != seen[4]
    assert (tmp_path / "run-1").is_dir() and capsys.readouterr().out.count("kept as") == 1


def test_a_run_is_the_same_on_another_number_of_threads(tokenizer, recipe):
    """The last bits of a new student are not; weights that are given are known by their content."""
    recipe = recipe.model_copy(update={"student": "2x16x16x2"})
    teacher = find_architecture("2x32x32x2").random_model("sample", len(tokenizer))
    details, threads = [], torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            details.append(prepare(recipe, "student", teacher).details)
    finally:
        torch.set_num_threads(threads)
    assert details[0] == details[1]
    students = [find_architecture("2x16x16x2").random_model("sample", len(tokenizer), seed) for seed in (0, 1)]
    given = [prepare(recipe, "student", teacher, student).details["start"] for student in students]
    assert len({details[0]["start"], *given}) == 3


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_tokenizer_that_is_not_the_models_is_refused(tokenizer, blocks, recipe, tmp_path):
    """As many entries under other numbers, or more than the model has."""
    other = Path(shutil.copytree("data_samples/models/student", tmp_path / "other"))
    content = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    entries = content["model"]["vocab"]
    entries["今"], entries["天"] = entries["天"], entries["今"]
    (other / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    texts = {"blocks": blocks, "heldout": blocks, "output": tmp_path / "run"}
    small = find_architecture("1x8x8x2").random_model("sample", 500)
    for refused in (
        lambda: distill(recipe, "one-stage", **texts, teacher=other),
        lambda: distill(recipe, "one-stage", **texts, student=other),
        lambda: pretrain(recipe, other, **texts),
    ):
        with pytest.raises(CourseError, match=r"another tokenizer lies beside the model: entry \d+ is '.' there"):
            refused()
    with pytest.raises(CourseError, match="the model 500"):
        pretrain(recipe, small, **texts)
    done = minirbt("evaluate", other, "--output-dir", tmp_path / "runs")
    assert done.returncode == 1 and "another tokenizer" in done.stderr and "--teacher" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_student_that_does_not_fit_is_refused(teacher, tokenizer, blocks, recipe, tmp_path):
    arguments = {"blocks": blocks, "heldout": blocks, "teacher": teacher}
    with pytest.raises(CourseError, match="does not fit MiniRBT-H256"):
        distill(recipe, "student", **arguments, student=take_layers(teacher))
    with pytest.raises(CourseError, match="same vocabulary"):
        distill(recipe, "student", **arguments, student=ARCHITECTURES["MiniRBT-H256"].random_model("sample", 500))
    with pytest.raises(CourseError, match="unknown stage"):
        distill(recipe, "third", **arguments)
    with pytest.raises(CourseError, match="no assistant to learn from"):
        distill(recipe, "student", blocks=blocks, heldout=blocks)
    assert not any(tmp_path.rglob("*"))


def test_nothing_to_train_on_is_refused(teacher, blocks, recipe):
    with pytest.raises(CourseError, match="no blocks"):
        distill(recipe, "student", blocks=blocks.select([]), heldout=blocks, teacher=teacher)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_before_the_step(teacher, blocks, tokenizer, recipe, tmp_path):
    student = random_student(tokenizer)
    with torch.no_grad():
        student.cls.predictions.bias.fill_(float("nan"))
    with pytest.raises(CourseError, match="not finite at step 1"):
        distill(recipe, "student", blocks=blocks, heldout=blocks.select([0]), teacher=teacher, student=student)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a file limit of POSIX systems")
def test_no_room_for_the_result_leaves_nothing_half_written(tmp_path):
    code = """
import resource, signal, sys
from minirbt_helpers.models import load_model, load_tokenizer
from minirbt_helpers.workspace import atomic_folder
model = load_model("data_samples/models/student")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with atomic_folder(sys.argv[1]) as folder:
    model.save_pretrained(folder)
"""
    target = tmp_path / "model"
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True)
    assert "CourseError" in done.stderr and "cannot write here" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_broken_off_between_its_two_names_loses_nothing(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("old")
    rename = Path.rename

    def broken(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("new")
    assert (tmp_path / "model" / "weights").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("new")
    assert (tmp_path / "model" / "weights").read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_a_file_in_the_way_is_refused(teacher, blocks, recipe, tmp_path):
    (tmp_path / "file").write_text("")
    run = recipe.model_copy(update={"output_dir": str(tmp_path / "file")})
    with pytest.raises(CourseError, match="cannot write here"):
        distill(run, "student", blocks=blocks, heldout=blocks.select([0]), teacher=teacher)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
def test_ctrl_c_saves_a_whole_checkpoint_and_the_run_goes_on(tmp_path):
    command = [
        sys.executable, "-m", "minirbt_helpers", "distill", "--stage", "one-stage", "--output-dir", str(tmp_path),
        "--length", "32", "--batch-size", "4", "--text", "data_samples/corpus/heldout", "--checkpoint-every", "1000",
        "--heldout", "data_samples/corpus/heldout/weather.txt",
    ]  # fmt: skip
    process = subprocess.Popen([*command, "--steps", "2000"], stderr=subprocess.PIPE, text=True)
    log = tmp_path / "sample" / ".one-stage.working" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130 and "run it again to go on" in messages
    (saved,) = checkpoints(log.parent)
    step = json.loads((saved / "state.json").read_text())["step"]
    assert json.loads(log.read_text().splitlines()[-1])["step"] == step > 2
    assert load_model("data_samples/models/student").config.hidden_size == 64
