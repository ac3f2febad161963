"""Laws of the distillation engine: TextBrewer's mathematics, on any number of processes, and never lost."""

import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from copy import deepcopy
from itertools import chain
from pathlib import Path

import pytest
import torch
from conftest import minirbt
from safetensors.torch import load_file
from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig
from torch.utils._python_dispatch import TorchDispatchMode

from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import ARCHITECTURES, find_architecture
from minirbt_helpers.models.attention import DroppedAttention, fast_on_cpu, survivors
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.text import WholeWordCollator
from minirbt_helpers.training import Distiller, distill, hidden_matches
from minirbt_helpers.training.batches import Batches, ready
from minirbt_helpers.training.checkpoints import checkpoints
from minirbt_helpers.training.distillation import PREDICTIONS, Pupil
from minirbt_helpers.training.loop import Steps, learning_rate, shared_batches
from minirbt_helpers.training.machine import World
from minirbt_helpers.training.matches import maps_loss, match_names

pytestmark = pytest.mark.slow  # processes, training or notebooks

ALONE = World(0, 1, torch.device("cpu"))
PUBLISHED = {name: getattr(load_recipe("full"), name) for name in ("temperature_squared", "hard_label_weight",
             "project_equal_widths", "optimizer")}  # fmt: skip
ATTENTION = [
    {"layer_T": 11, "layer_S": 5, "feature": "attention", "loss": "attention_mse_sum", "weight": 0.5},
    {"layer_T": 12, "layer_S": 6, "feature": "hidden", "loss": "cos", "weight": 2.0, "proj": ["relu", 64, 192]},
    {"layer_T": [3, 4], "layer_S": [1, 2], "feature": "hidden", "loss": "nst", "weight": 1.0},
]


def random_student(vocabulary: int, **settings):
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} | settings
    return ARCHITECTURES["MiniRBT-H256"].random_model("sample", vocabulary, 0, **quiet)


def masked_batch(blocks, tokenizer, count: int = 8) -> dict:
    return WholeWordCollator(tokenizer)([blocks[number] for number in range(count)])


def textbrewer(teacher, student, recipe, projections, folder=".") -> GeneralDistiller:
    """TextBrewer as it comes: full logits, and a mask."""

    def adapt(batch, outputs):
        states = {"hidden": outputs.hidden_states, "attention": outputs.attentions, "losses": outputs.loss}
        return states | {"logits": outputs.logits, "logits_mask": batch["labels"] != -100}

    config = DistillationConfig(
        temperature=recipe.temperature,
        kd_loss_weight=recipe.kd_weight * (recipe.temperature**2 if recipe.temperature_squared else 1),
        hard_label_weight=recipe.hard_label_weight,
        intermediate_matches=deepcopy(recipe.matches) or hidden_matches(teacher.config, student.config, recipe),
    )
    training = TrainingConfig(device="cpu", output_dir=str(folder), ckpt_steps=10**9)
    stock = GeneralDistiller(training, config, teacher, student, adapt, adapt)
    for theirs, ours in zip(filter(None, stock.projs), projections, strict=True):
        theirs.load_state_dict(ours.state_dict())
    return stock


def assert_equal(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float, name: str) -> None:
    gap = (ours - theirs).norm() / theirs.norm().clamp(min=1e-30)
    assert gap <= tolerance, f"{name}: off by {gap:.1e}"


# --- the same mathematics -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, PUBLISHED, {"matches": ATTENTION}], ids=["sample", "published", "attention"])
def test_losses_and_all_gradients_are_textbrewers_to_a_millionth(teacher, tokenizer, blocks, settings):
    recipe, teacher = load_recipe("sample", **settings), deepcopy(teacher)
    student = random_student(len(tokenizer)).train()
    twin, batch = deepcopy(student), masked_batch(blocks, tokenizer)
    distiller = Distiller(teacher, student, recipe)
    attentions = recipe.matches is not None
    if attentions:
        twin.set_attn_implementation("eager")
    stock = textbrewer(teacher, twin, recipe, distiller.projections)
    with fast_on_cpu(teacher, student):
        total, parts = distiller.losses(batch)
    stock_total, stock_parts = stock.train_on_batch(
        batch, {"output_hidden_states": True, "output_attentions": attentions}
    )
    assert_equal(total, stock_total, 1e-6, "total")
    matched = iter(match_names(recipe.matches or hidden_matches(teacher.config, student.config, recipe)))
    theirs = {PREDICTIONS.get(name) or next(matched): loss for name, loss in stock_parts.items()}
    assert parts.keys() <= theirs.keys()
    for name, loss in parts.items():
        assert_equal(loss, theirs[name], 1e-6, name)
    total.backward()
    stock_total.backward()
    whole = torch.stack([weight.grad.norm() for weight in twin.parameters()]).norm()
    for (name, ours), theirs in zip(student.named_parameters(), twin.parameters(), strict=True):
        if name.endswith("key.bias"):  # softmax does not feel it: its gradient is 0 but for rounding
            assert max(ours.grad.norm(), theirs.grad.norm()) < 1e-9 * whole
        else:
            assert_equal(ours.grad, theirs.grad, 1e-6, name)
    for ours, theirs in zip(distiller.projections, filter(None, stock.projs), strict=True):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert_equal(mine.grad, other.grad, 1e-6, "projection")


def test_matches_of_one_name_are_told_apart_and_the_parts_add_up(teacher, tokenizer, blocks):
    """TextBrewer returns the last of them only; the total is right either way."""
    twice = {"layer_T": 2, "layer_S": 1, "feature": "hidden", "loss": "hidden_mse", "proj": ["linear", 64, 192]}
    matches = [twice | {"weight": 1.0}, ATTENTION[2], twice | {"weight": 3.0, "proj": ["relu", 64, 192]}]
    recipe = load_recipe("sample", matches=matches, kd_weight=2.0, hard_label_weight=0.5, temperature_squared=False)
    total, parts = Distiller(teacher, random_student(len(tokenizer)), recipe).losses(masked_batch(blocks, tokenizer))
    assert list(parts) == ["kd", "mlm", "hidden 2-1", "hidden nst 3-4-1-2", "hidden 2-1 #2"]
    assert parts["hidden 2-1"] != parts["hidden 2-1 #2"]
    weights = {"kd": 2.0, "mlm": 0.5, "hidden 2-1": 1.0, "hidden nst 3-4-1-2": 1.0, "hidden 2-1 #2": 3.0}
    assert_equal(total, sum(weights[name] * part for name, part in parts.items()), 1e-6, "total")


@pytest.mark.parametrize("loss", ["attention_ce", "attention_ce_mean"])
def test_cross_entropy_of_attention_tells_a_copy_from_a_stranger(loss):
    """A copy costs the teacher's entropy and has no gradient; softmax of softmax hardly sees a difference."""
    torch.manual_seed(0)
    looks = torch.randn(2, 4, 128, 128) * 4  # [batch, heads, length, length], before the softmax
    looks[..., 120:] = -torch.inf  # padding
    teacher, mean = looks.softmax(-1), loss == "attention_ce_mean"
    copy, other = (logits.clone().requires_grad_() for logits in (looks, torch.randn_like(looks)))
    at_copy, at_other = (maps_loss(logits.softmax(-1), teacher, mean) for logits in (copy, other))
    target = teacher.mean(1) if mean else teacher
    assert_equal(at_copy, torch.special.entr(target).sum(-1).mean(), 1e-5, "entropy")
    assert at_other > 1.2 * at_copy
    at_copy.backward(), at_other.backward()
    assert copy.grad.norm() < 1e-4 * other.grad.norm() and other.grad.isfinite().all()
    assert maps_loss(torch.dropout(teacher, 0.5, True), teacher, mean).isfinite()


@pytest.mark.parametrize(("loss", "heads"), [("attention_ce", 12), ("attention_ce_mean", 8)])
def test_attention_is_learned_by_cross_entropy(teacher, tokenizer, blocks, loss, heads):
    match = {"layer_T": 11, "layer_S": 5, "feature": "attention", "loss": loss, "weight": 1.0}
    recipe = load_recipe("sample", matches=[match], kd_weight=0.0, hard_label_weight=0.0)
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    recipe = recipe.model_copy(update={"student": f"6x48x96x{heads}"})
    student = find_architecture(recipe.student).random_model("sample", len(tokenizer), 0, **quiet)
    distiller, batch = Distiller(deepcopy(teacher), student, recipe), masked_batch(blocks, tokenizer)
    optimizer, seen = torch.optim.Adam(student.parameters(), 3e-3), []
    for _ in range(12):
        total, parts = distiller.losses(batch)
        seen.append(float(parts[f"{loss.replace('_', ' ')} 11-5"]))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert seen[-1] < seen[0] - 0.2


def test_a_model_without_dropout_compiles_to_one_graph_on_a_cpu():
    student = random_student(100).train()
    with fast_on_cpu(student):
        found = torch._dynamo.explain(student.bert)(torch.randint(5, 99, (2, 16)), output_hidden_states=True)
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


def test_twenty_steps_give_textbrewers_weights(teacher, tokenizer, blocks, tmp_path):
    """TextBrewer's own training loop; no clipping, which it does without the projections."""
    recipe = load_recipe("sample", **PUBLISHED, steps=20, batch_size=4, micro_batch=4, clip=1e9)
    student = random_student(len(tokenizer)).train()
    twin = deepcopy(student)
    distiller = Distiller(teacher, student, recipe)
    stock = textbrewer(teacher, twin, recipe, distiller.projections, tmp_path)
    batches = Batches(recipe, blocks, WholeWordCollator(tokenizer))
    with fast_on_cpu(student):
        steps = Steps(recipe, Pupil(distiller, student), ALONE)
        for step in range(20):
            steps.take(step + 1, [batches[step]], learning_rate(recipe, step))
    plain = [weight for name, weight in twin.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    decayed = [weight for weight in twin.parameters() if not any(weight is other for other in plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    full = [{name: value for name, value in batches[step].items() if name != "positions"} for step in range(20)]
    stock.train(
        torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=0.0),
        [batch | {"attention_mask": torch.ones_like(batch["input_ids"])} for batch in full],
        num_steps=20,
        scheduler_class=torch.optim.lr_scheduler.LambdaLR,
        scheduler_args={"lr_lambda": lambda step: learning_rate(recipe, step) / recipe.learning_rate},
        output_hidden_states=True,
    )
    for (name, ours), theirs in zip(student.named_parameters(), twin.parameters(), strict=True):
        if name.endswith("key.bias"):  # stays where it began, 0, but for rounding
            assert (ours - theirs).abs().max() < 1e-5
        else:
            assert_equal(ours, theirs, 1e-5, name)
    for ours, theirs in zip(distiller.projections, filter(None, stock.projs), strict=True):
        assert_equal(ours.weight, theirs.weight, 1e-5, "projection")


def test_micro_batches_add_up_to_the_batch_exactly(teacher, tokenizer, blocks):
    """However the masked positions fall on them: a position weighs the same in each."""
    recipe = load_recipe("sample", batch_size=6, micro_batch=6)
    batch = masked_batch(blocks, tokenizer, 6)
    batch["labels"][0, 8:] = -100  # the first micro-batch has fewer
    grads = []
    for size in (6, 2):
        student = random_student(len(tokenizer))
        pupil = Pupil(Distiller(teacher, student, recipe.model_copy(update={"hidden_weight": 0.0})), student)
        steps = Steps(recipe, pupil, ALONE)
        steps._update = lambda rate: None
        losses = steps.take(1, [ready({n: t[i : i + size] for n, t in batch.items()}) for i in range(0, 6, size)], 0.0)
        grads.append((float(losses["loss"]), [weight.grad.clone() for weight in student.parameters()]))
    assert grads[0][0] == pytest.approx(grads[1][0], rel=1e-6)
    for ours, theirs in zip(grads[0][1], grads[1][1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_clipping_takes_in_the_projections(teacher, tokenizer, blocks):
    recipe = load_recipe("sample", clip=0.5, batch_size=4, micro_batch=4, steps=10)
    student = random_student(len(tokenizer))
    steps = Steps(recipe, Pupil(Distiller(teacher, student, recipe), student), ALONE)
    seen = []
    for optimizer in steps.optimizers:
        optimizer.step = lambda *_, **__: seen.append(1)
        optimizer.zero_grad = lambda: None
    steps.take(1, [ready(masked_batch(blocks, tokenizer, 4))], 1e-3)
    squares = sum(weight.grad.square().sum() for module in steps.modules.values() for weight in module.parameters())
    assert float(squares.sqrt()) == pytest.approx(0.5, rel=1e-4) and len(seen) == 2
    trained = {
        id(weight) for optimizer in steps.optimizers for group in optimizer.param_groups for weight in group["params"]
    }
    assert trained == {id(weight) for module in steps.modules.values() for weight in module.parameters()}


def test_dropped_attention_is_softmax_dropout_product():
    draws = torch.Generator().manual_seed(0)
    ours = [torch.randn(2, 3, 20, 8, generator=draws, dtype=torch.float64).requires_grad_() for _ in range(3)]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    bias = torch.zeros(2, 1, 20, 20, dtype=torch.float64)
    bias[1, :, :, 15:] = torch.finfo(torch.float64).min
    torch.manual_seed(5)
    output = DroppedAttention.apply(*ours, bias, 0.3)
    torch.manual_seed(5)
    kept, share = survivors(torch.Size((2, 3, 20, 20)), 0.3)
    query, key, value = theirs
    by_hand = ((query @ key.mT + bias).softmax(-1) * kept / share) @ value
    torch.testing.assert_close(output, by_hand)
    weight = torch.randn(output.shape, generator=draws, dtype=torch.float64)
    (output * weight).sum().backward()
    (by_hand * weight).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_dropout_keeps_the_share_it_says():
    torch.manual_seed(0)
    kept, share = survivors(torch.Size((1000, 1001)), 0.1)
    assert share == pytest.approx(0.9, abs=1e-4) and set(kept.unique().tolist()) == {0, 1}
    assert float(kept.double().mean()) == pytest.approx(share, abs=0.002)


def test_bf16_halves_the_teacher_alone_and_hardly_changes_the_loss(teacher, tokenizer, blocks, tmp_path):
    rows = {}
    for precision in ("fp32", "bf16"):
        recipe = load_recipe("sample", steps=2, batch_size=4, micro_batch=4, precision=precision)
        done = distill(recipe, "student", blocks=blocks, heldout=blocks.select(range(4)), teacher=teacher,
                       student=random_student(len(tokenizer)), output=tmp_path / precision, progress=False)  # fmt: skip
        rows[precision] = done.metrics[1]
    assert rows["bf16"]["mlm"] != rows["fp32"]["mlm"]
    assert rows["bf16"]["loss"] == pytest.approx(rows["fp32"]["loss"], rel=0.01)
    assert {weight.dtype for weight in teacher.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in load_file(tmp_path / "bf16" / "model.safetensors").values()} == {torch.float32}


class NoWaiting(TorchDispatchMode):
    """Counts the operations for which a GPU would have to be waited for."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert not any(name in str(operation) for name in self.WAITS), f"{operation} makes a GPU wait"
        return operation(*args, **(kwargs or {}))


def test_a_step_never_waits_for_the_device(teacher, tokenizer, blocks):
    recipe = load_recipe("sample", **PUBLISHED, batch_size=4, micro_batch=2)
    student = ARCHITECTURES["MiniRBT-H256"].random_model("sample", len(tokenizer)).train()
    steps = Steps(recipe, Pupil(Distiller(teacher, student, recipe), student), ALONE)
    batches = Batches(recipe, blocks, WholeWordCollator(tokenizer))
    share = [batches[0], batches[1]]
    with NoWaiting():
        steps.take(1, share, 1e-3)
        steps.take(2, share, 1e-3)


def test_what_has_no_weight_is_not_computed(teacher, tokenizer, blocks):
    recipe = load_recipe("sample", kd_weight=0.0, hard_label_weight=0.0)
    student = random_student(len(tokenizer))
    student.cls.forward = teacher.cls.forward = None  # a call would fail
    try:
        _, parts = Distiller(teacher, student, recipe).losses(masked_batch(blocks, tokenizer))
    finally:
        del teacher.cls.forward
    assert parts and all(name.startswith("hidden") for name in parts)


def test_loader_workers_change_nothing(tokenizer, blocks):
    few = {"steps": 3, "batch_size": 4, "micro_batch": 2}
    alone, helped = (
        list(shared_batches(recipe, Batches(recipe, blocks, WholeWordCollator(tokenizer)), ALONE, 1))
        for recipe in (load_recipe("sample", **few), load_recipe("sample", **few, workers=2))
    )
    assert len(alone) == 2 and len(alone[0]) == 2
    for ours, theirs in zip(chain(*alone), chain(*helped), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_processes_share_the_very_batches_of_one(tokenizer, blocks):
    recipe = load_recipe("sample", steps=5, batch_size=8, micro_batch=2)
    batches = Batches(recipe, blocks.select(range(11)), WholeWordCollator(tokenizer))
    whole = list(shared_batches(recipe, batches, ALONE, 0))
    halves = [list(shared_batches(recipe, batches, World(rank, 2, ALONE.device), 0)) for rank in range(2)]
    for step, parts in enumerate(whole):
        shared = halves[0][step] + halves[1][step]
        for ours, theirs in zip(parts, shared, strict=True):
            assert torch.equal(ours["input_ids"], theirs["input_ids"])


# --- many processes, and runs that are killed -----------------------------------------------------------------------

STEPS = 12
COMMAND = ["-m", "minirbt_helpers", "distill", "--stage", "one-stage", "--steps", str(STEPS), "--length", "32",
           "--batch-size", "8", "--micro-batch", "2", "--text", "data_samples/corpus/heldout",
           "--checkpoint-every", "1", "--evaluate-every", "100"]  # fmt: skip
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The result of an unbroken run in one process."""
    home = tmp_path_factory.mktemp("one")
    done = minirbt(*COMMAND[2:], "--output-dir", home)
    assert done.returncode == 0, done.stderr
    return load_file(home / "sample" / "one-stage" / "model.safetensors")


def assert_same_run(folder: Path, truth: dict[str, torch.Tensor]) -> None:
    """Same weights, dropout included; and a row for every step."""
    for name, weight in load_file(folder / "model.safetensors").items():
        if name.endswith("key.bias"):  # softmax does not feel it; AdamW makes small steps out of rounding errors
            assert weight.abs().max() < STEPS * load_recipe("sample").learning_rate
        else:  # but for rounding: with other masks in one step they would be 0.6 apart
            assert_equal(weight, truth[name], 1e-3, name)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(STEPS + 1))


@pytest.mark.skipif(os.name != "posix", reason="torchrun with gloo")
def test_two_processes_are_one_and_a_lost_one_is_replaced(one_process, tmp_path):
    """torchrun on two ranks, one of which is killed on the way, ends as one process with the same batch."""
    command = [sys.executable, *TORCHRUN, *COMMAND, "--output-dir", str(tmp_path)]
    log = tmp_path / "sample" / ".one-stage.working" / "metrics.jsonl"
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)
    try:
        deadline = time.monotonic() + 120
        while not (log.exists() and log.read_text().count("\n") > 3) and time.monotonic() < deadline:
            time.sleep(0.05)
        workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(int(workers[-1]), signal.SIGKILL)
        messages, _ = run.communicate(timeout=180)
    finally:
        run.terminate()  # torchrun ends its processes with it
    assert run.returncode == 0, messages
    assert "closing signal" in messages  # torchrun ended the survivor, and started both again
    assert_same_run(tmp_path / "sample" / "one-stage", one_process)


def agent(address: str, home: Path, log: Path) -> subprocess.Popen:
    """torchrun as on one of two machines, with a process each; a machine that is gone is given up after 3 s."""
    meeting = ["--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3", "--rdzv-backend", "c10d",
               "--rdzv-endpoint", address, "--rdzv-id", "two", "--rdzv-conf", "keep_alive_interval=1"]  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", *meeting, *COMMAND, "--output-dir", str(home)]
    with open(log, "ab") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=ENVIRONMENT)


def answers(address: str) -> bool:
    """Whether somebody listens there."""
    host, _, port = address.partition(":")
    with socket.socket() as door:
        return door.connect_ex((host, int(port))) == 0


def lose(machine: subprocess.Popen) -> None:
    """The agent and its processes are gone, without a word."""
    children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text().split()
    for process in (machine.pid, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    machine.wait()


@pytest.mark.skipif(os.name != "posix", reason="torchrun with gloo")
def test_two_machines_are_one_and_a_lost_one_comes_back(one_process, tmp_path):
    """Two agents of torchrun, one of which is lost on the way and started again, end as one process does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    working = tmp_path / "sample" / ".one-stage.working"
    first = agent(address, tmp_path, tmp_path / "first.log")
    deadline = time.monotonic() + 120
    while not answers(address) and time.monotonic() < deadline:  # it is to keep the meeting place: the other is lost
        time.sleep(0.1)
    second = agent(address, tmp_path, tmp_path / "second.log")
    try:
        while len(checkpoints(working)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        lose(second)
        reached = max(int(place.name[5:]) for place in checkpoints(working))
        second = agent(address, tmp_path, tmp_path / "second.log")
        codes = [machine.wait(timeout=180) for machine in (first, second)]
    finally:
        for machine in (first, second):
            machine.terminate()
    assert codes == [0, 0], (tmp_path / "first.log").read_text() + (tmp_path / "second.log").read_text()
    assert 0 < reached < STEPS
    assert_same_run(tmp_path / "sample" / "one-stage", one_process)


def train_in_child(home: str, texts: list, steps: int) -> None:
    """What a killed process was doing: a whole distillation that writes a checkpoint after every step."""
    from datasets import Dataset

    torch.set_num_threads(1)
    blocks = Dataset.from_list(texts)
    recipe = load_recipe("sample", steps=steps, batch_size=2, micro_batch=1, checkpoint_every=1, evaluate_every=10,
                         output_dir=home)  # fmt: skip
    distill(recipe, "one-stage", blocks=blocks, heldout=blocks.select(range(2)), progress=False)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_run_killed_at_random_moments_ends_in_the_same_weights(blocks, tmp_path):
    """Three kills here; MINIRBT_KILLS=20 makes it twenty, at the start, in a step or while a checkpoint is written."""
    kills = int(os.environ.get("MINIRBT_KILLS", "3"))
    steps, dice = 10 + 5 * kills, random.Random()
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["minirbt_helpers.training", "datasets"])
    texts = [blocks[number] for number in range(40)]
    working, done, while_writing = tmp_path / "broken" / "sample" / ".one-stage.working", [], 0

    def run(home: str) -> multiprocessing.Process:
        child = start.Process(target=train_in_child, args=(str(tmp_path / home), texts, steps))
        child.start()
        return child

    def newest() -> int:
        return max((int(path.name[5:]) for path in checkpoints(working)), default=0)

    whole = run("whole")
    whole.join()
    for number in range(kills):
        before, child = newest(), run("broken")
        while number % 5 != 1 and newest() == before and child.is_alive():  # one in five is killed while it starts
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.3))
        child.kill()
        child.join()
        while_writing += any(working.glob(".step-*"))
        done.append(newest())
    last = run("broken")
    last.join()
    print(f"killed after steps {done} of {steps}, {while_writing} times while a checkpoint was being written")
    assert last.exitcode == whole.exitcode == 0 and 0 < done[-1] < steps
    ours, theirs = (load_file(tmp_path / home / "sample/one-stage/model.safetensors") for home in ("broken", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    rows = (tmp_path / "broken" / "sample" / "one-stage" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == list(range(steps + 1))


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "problem", "advice"),
    [
        ({"layer_T": 13}, "teacher has no hidden 13", "0 to 12"),
        ({"layer_S": -1}, "student has no hidden -1", "0 to 6"),
        ({"feature": "attention", "loss": "attention_mse_sum", "layer_T": 12}, "no attention 12", "0 to 11"),
        ({"proj": ["linear", 192, 64]}, "from 192 to 64", '"linear", 64, 192'),
        ({"proj": None}, "64 wide cannot be compared with one 192 wide", '"linear", 64, 192'),
        ({"loss": "hidden_mes"}, "unknown loss", "hidden_mse"),
        ({"feature": "values"}, "unknown feature", "attention"),
        ({"loss": "fsp"}, "layer_T is 2", "two layers"),
        ({"feature": "attention", "loss": "attention_ce", "proj": None}, "12 heads", "attention_ce_mean"),
        ({"feature": "attention", "loss": "hidden_mse", "proj": None}, "12 heads", "attention_ce_mean"),
        ({"feature": "attention", "loss": "attention_mse_sum"}, "no width to project", "proj"),
        ({"wieght": 2.0}, "unknown: wieght", "weight"),
        ({"weight": "1"}, "the weight is '1'", "a number"),
        ({"weight": -1}, "the weight is -1", "from 0 up"),
        ({"loss": "gram", "layer_T": [2]}, "layer_T is [2]", "two layers"),
        ({"proj": ["linear"]}, "the projection leads from  to ", '"linear", 64, 192'),
        ({"proj": ["linear", 64, 192, {"lr": 1e-3}]}, "settings of its own", "learning rate"),
    ],
)
def test_matches_that_do_not_fit_are_refused(teacher, tokenizer, match, problem, advice):
    good = {"layer_T": 2, "layer_S": 1, "feature": "hidden", "loss": "hidden_mse", "weight": 1.0,
            "proj": ["linear", 64, 192]}  # fmt: skip
    recipe = load_recipe("sample", matches=[good, good | match])
    with pytest.raises(CourseError, match="match 1") as raised:
        Distiller(teacher, random_student(len(tokenizer)), recipe)
    assert problem in raised.value.what and advice in raised.value.fix


def test_matches_come_from_json_too(tmp_path):
    file = tmp_path / "matches.json"
    file.write_text(json.dumps(ATTENTION))
    assert load_recipe("sample", matches=str(file)).matches == ATTENTION
    assert load_recipe("sample", matches=json.dumps(ATTENTION)).matches == ATTENTION
    for bad in ("nowhere.json", "[1", "[1]"):
        with pytest.raises(CourseError, match="MATCHES"):
            load_recipe("sample", matches=bad)


def test_nothing_to_learn_from_is_refused(teacher, tokenizer):
    recipe = load_recipe("sample", kd_weight=0.0, hard_label_weight=0.0, hidden_weight=0.0)
    with pytest.raises(CourseError, match="nothing to learn"):
        Distiller(teacher, random_student(len(tokenizer)), recipe)


def test_a_batch_that_cannot_be_cut_is_refused(teacher, blocks, tmp_path):
    recipe = load_recipe("sample", output_dir=str(tmp_path)).model_copy(update={"batch_size": 6, "micro_batch": 4})
    with pytest.raises(CourseError, match="cannot be cut") as raised:
        distill(recipe, "student", blocks=blocks, heldout=blocks, teacher=teacher)
    assert "multiple of 4" in raised.value.fix


def test_a_batch_with_nothing_masked_is_refused(teacher, tokenizer, blocks, recipe):
    batch = masked_batch(blocks, tokenizer)
    batch["labels"].fill_(-100)
    with pytest.raises(CourseError, match="no position"):
        Distiller(teacher, random_student(len(tokenizer)), recipe).losses(batch)
    empty = blocks.select(range(4)).map(lambda row: {"input_ids": [2] * len(row["input_ids"]), **row} | {
        "input_ids": [tokenizer.cls_token_id] * len(row["input_ids"])})  # fmt: skip
    with pytest.raises(CourseError, match="no position is masked in the batch of step 1"):
        distill(recipe, "student", blocks=empty, heldout=blocks.select(range(4)), teacher=teacher, progress=False)


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint(teacher, blocks, recipe, monkeypatch):
    real, calls = Distiller.losses, iter(range(100))

    def failing(self, *args):
        total, parts = real(self, *args)
        return (total * float("nan") if next(calls) == 6 else total), parts  # in step 4

    monkeypatch.setattr(Distiller, "losses", failing)
    arguments = {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher, "progress": False}
    with pytest.raises(CourseError, match="not finite at step 4") as raised:
        distill(recipe, "student", **arguments)
    order = Batches(recipe, blocks, None).blocks_of(4)
    assert ", ".join(map(str, order)) in raised.value.what and "step-00000002" in raised.value.fix
    assert "learning rate" in raised.value.fix
    monkeypatch.undo()
    assert len(distill(recipe, "student", **arguments).metrics) == recipe.steps + 1


def test_a_step_with_an_endless_gradient_is_never_saved(teacher, blocks, recipe, monkeypatch):
    """Its loss is finite: clipping turns the weights into NaN, and the next loss would tell, after a checkpoint."""
    real, calls = Distiller.losses, iter(range(100))

    def steep(self, *args):
        total, parts = real(self, *args)
        if next(calls) == 6:  # in step 4, at whose end a checkpoint is due
            total.register_hook(lambda gradient: gradient * float("inf"))
        return total, parts

    monkeypatch.setattr(Distiller, "losses", steep)
    arguments = {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher, "progress": False}
    with pytest.raises(CourseError, match="the gradient is not finite at step 4") as raised:
        distill(recipe, "student", **arguments)
    assert "step-00000002" in raised.value.fix
    monkeypatch.undo()
    rows = distill(recipe, "student", **arguments).metrics
    assert all(0 < row["gradient"] < float("inf") for row in rows[1:]) and len(rows) == recipe.steps + 1


def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(teacher, blocks, recipe, monkeypatch, capsys):
    arguments = {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher, "progress": False}
    real, calls = Distiller.losses, iter(range(100))

    def failing(self, *args):
        if next(calls) == 9:  # in step 5
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(Distiller, "losses", failing)
    with pytest.raises(KeyboardInterrupt):
        distill(recipe, "student", **arguments)
    monkeypatch.undo()
    working = Path(recipe.output_dir) / "sample" / ".student.working"
    torn = checkpoints(working)[-1] / "state.safetensors"
    torn.write_bytes(torn.read_bytes()[:1000])
    assert len(distill(recipe, "student", **arguments).metrics) == recipe.steps + 1
    assert "cannot be read" in capsys.readouterr().out


def test_metrics_can_go_to_tensorboard_and_to_whoever_watches(teacher, blocks, recipe):
    seen = []
    run = recipe.model_copy(update={"tensorboard": True})
    arguments = {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher, "progress": False}
    done = distill(run, "student", **arguments, watch=lambda rows: seen.append(rows[-1]["step"]))
    assert seen == [0, 3, 6]
    distill(run, "student", **arguments, watch=lambda rows: seen.append(rows))  # loaded, and shown
    assert seen[3:] == [done.metrics]
    assert any((done.folder / "tensorboard").iterdir())
    assert {"loss", "kd", "tokens_per_second"} <= done.metrics[1].keys() and {"kd_loss", "top1"} <= done.metrics[
        6
    ].keys()
