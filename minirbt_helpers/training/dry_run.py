"""A dry run: all that a distillation needs, checked and measured before anything long starts (notebook 08)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import BertForMaskedLM

from ..errors import CourseError
from ..language import N_, _, padded
from ..models.attention import fast_on_cpu
from ..names import shown_name
from ..recipe import Recipe
from ..workspace import clear_disk_errors, existing_parent
from .checkpoints import KEPT, load_checkpoint, save_checkpoint
from .distillation import Ready, prepare
from .loop import Steps, check_batch_size, shared_batches
from .machine import free_memory, keep_freed_memory, timed
from .optimizers import is_for_muon
from .runs import identity, run_folder

if TYPE_CHECKING:
    from datasets import Dataset

GIB = 2**30
MOST_STEPS = 20  # timed at a time
LOGITS = 4  # arrays of a batch's logits that live at once while the KD loss is computed, in float32
ROW_BYTES = 28  # of one figure in metrics.jsonl, its name included
COUNTED = {"blocks": N_("{count} blocks"), "checkpoints": N_("{count} checkpoints")}  # what takes room by its number

Sizes = dict[str, float]  # what takes room, by name, in bytes


@dataclass(frozen=True)
class DryRun:
    """What a dry run has found.

    Attributes:
        recipe: the settings.
        stage: of distillation.
        processes: that share the work.
        device: what each computes on.
        blocks, length: of the training text.
        memory, disk: what is needed, in bytes by purpose: on each device, and in the output folder.
        free_memory, free_disk: bytes.
        step, evaluation, checkpoint: seconds that each takes.
        loss: of the first step.
    """

    recipe: Recipe
    stage: str
    processes: int
    device: str
    blocks: int
    length: int
    memory: Sizes
    free_memory: float
    disk: Sizes
    free_disk: float
    step: float
    evaluation: float
    checkpoint: float
    loss: float

    @property
    def tokens(self) -> int:
        """How many tokens the run reads."""
        return self.recipe.steps * self.recipe.batch_size * self.length

    @property
    def hours(self) -> float:
        """Estimated length of the run: steps, evaluations and checkpoints."""
        steps, recipe = self.recipe.steps, self.recipe
        looks = 1 + -(-steps // recipe.evaluate_every)  # before the first step, and after the last
        saves = -(-steps // recipe.checkpoint_every)
        return (steps * self.step + looks * self.evaluation + saves * self.checkpoint) / 3600

    def __str__(self) -> str:
        return "\n".join(f"{padded(name, 11)}{finding}" for name, finding in self._findings().items())

    def _findings(self) -> dict[str, str]:
        """What a reader is told, line by line."""
        recipe = self.recipe
        epochs = recipe.steps * recipe.batch_size / self.blocks
        many = _("{count} processes") if self.processes > 1 else _("{count} process")
        known = {
            "stage": shown_name(self.stage),
            "processes": many.format(count=self.processes),
            "device": _(self.device),
            "precision": recipe.precision,
            "batch": recipe.batch_size,
            "parts": recipe.batch_size // (recipe.micro_batch * self.processes),
            "micro": recipe.micro_batch,
            "steps": recipe.steps,
            "length": self.length,
            "tokens": self.tokens,
            "epochs": epochs,
            "blocks": self.blocks,
            "loss": self.loss,
            "step": self.step,
            "rate": recipe.batch_size * self.length / self.step,
            "time": lasts(self.hours),
            "whole": lasts(self.hours * self.processes),
            "evaluation": self.evaluation,
            "checkpoint": self.checkpoint,
        }
        room = _("{sizes} of {free:,.1f} GiB free")
        findings = {
            _("stage"): _("{stage}, {processes} on {device}, {precision}"),
            _("batch"): _("{batch:,} blocks = {processes} x {parts} micro-batches x {micro} blocks"),
            _("tokens"): _(
                "{steps:,} steps x {batch:,} blocks x {length} = {tokens:,}"
                " ({epochs:,.1f} times the text's {blocks:,} blocks)"
            ),
            _("memory"): room.format(sizes=added_up(self.memory), free=self.free_memory / GIB),
            _("disk"): room.format(sizes=added_up(self.disk), free=self.free_disk / GIB),
            _("trial"): _("loss {loss:.3f}; a checkpoint was written, and read back to the same weights"),
            _("speed"): _("{step:.3f} s a step, {rate:,.0f} tokens/s"),
            _("estimate"): _(
                "{time}, {whole} of all devices together"
                " (with evaluations of {evaluation:.2f} s and checkpoints of {checkpoint:.2f} s)"
            ),
        }
        return {name: finding.format(**known) for name, finding in findings.items()}


def dry_run(
    recipe: Recipe,
    stage: str,
    *,
    blocks: Dataset,
    heldout: Dataset,
    teacher: str | Path | BertForMaskedLM | None = None,
    student: str | Path | BertForMaskedLM | None = None,
    output: str | Path | None = None,
    seconds: float = 20.0,
) -> DryRun:
    """Check and time what :func:`distill` with the same arguments would do, and leave nothing behind.

    Models and text are loaded; batch, disk and memory are added up; then some steps are timed, a
    checkpoint is written where the run's would lie, read back, and gone on from. A step of many
    micro-batches is timed on few of them. Under ``torchrun`` all processes take part.

    Args:
        seconds: about how long to time steps; more makes the estimate steadier.

    Raises:
        CourseError: whatever would stop the run, with the sum that does not come out.
    """
    ready = prepare(recipe, stage, teacher, student)
    if ready.world.device.type == "cpu":
        keep_freed_memory()
    check_batch_size(recipe, ready.batches(recipe, blocks), ready.world)
    folder = Path(output) if output else run_folder(recipe, stage)
    free_disk = float(shutil.disk_usage(existing_parent(folder)).free)
    disk = disk_needed(recipe, ready)
    advice = _("free some space, name another --output-dir, or take fewer steps")
    check_room(_("the disk"), folder, disk, free_disk, advice)
    with torch.random.fork_rng(devices=[]), fast_on_cpu(ready.teacher, ready.student):
        memory = memory_needed(recipe, ready, blocks)
        free = free_memory(ready.world) + memory["teacher"] + memory["student"]  # these two are loaded already
        advice = smaller_micro_batch(recipe, memory, free, ready.world.size)
        check_room(_("the memory"), ready.world.device, memory, free, advice)
        steps = Steps(recipe, ready.pupil, ready.world)
        step, loss = seconds_per_step(recipe, ready, steps, blocks, seconds)
        evaluation = timed(ready.world, lambda: ready.world.first and ready.held_out(recipe, heldout))
        checkpoint = try_checkpoint(folder, ready, steps)
    place = torch.cuda.get_device_name() if ready.world.device.type == "cuda" else N_("a CPU")
    length = len(blocks[0]["input_ids"])
    return DryRun(recipe, stage, ready.world.size, place, len(blocks), length, memory, free, disk, free_disk,
                  step, evaluation, checkpoint, loss)  # fmt: skip


def lasts(hours: float) -> str:
    """A duration in the unit that suits it."""
    if hours >= 1:
        return _("{number:,.1f} hours").format(number=hours)
    if hours * 60 >= 1:
        return _("{number:.1f} minutes").format(number=hours * 60)
    return _("{number:.1f} seconds").format(number=hours * 3600)


def added_up(sizes: Sizes) -> str:
    """Sizes and their sum, in MiB or GiB; each part names its unit, unless all have that of the sum."""
    total = sum(sizes.values())
    alike = {_unit(size) for size in sizes.values()} == {_unit(total)}
    parts = [f"{_purpose(name)} {_in_unit(size, named=not alike)}" for name, size in sizes.items()]
    return f"{' + '.join(parts)} = {_in_unit(total)}"


def _purpose(name: str) -> str:
    """What takes room, as it is shown; a number of things begins with the number."""
    count, blank, things = name.partition(" ")
    return _(COUNTED[things]).format(count=f"{int(count):,}") if blank else _(name)


def _unit(size: float) -> str:
    return "GiB" if size >= GIB else "MiB"


def _in_unit(size: float, named: bool = True) -> str:
    """A size in MiB or GiB, with the unit's name or without it."""
    shown = f"{size / (GIB if size >= GIB else 2**20):,.1f}"
    return f"{shown} {_unit(size)}" if named else shown


def check_room(what: str, where: object, needed: Sizes, free: float, fix: str) -> None:
    """Refuse what does not fit.

    Raises:
        CourseError: with the sum.
    """
    if sum(needed.values()) > free:
        raise CourseError(
            "{what} is too small: {needed} needed, and {free:,.1f} GiB free",
            where=where,
            fix="{advice}",
            what=what,
            needed=added_up(needed),
            free=free / GIB,
            advice=fix,
        )


def disk_needed(recipe: Recipe, ready: Ready) -> Sizes:
    """What the run writes at most at a time: one checkpoint more than are kept, the result, the metrics."""
    modules = dict(ready.pupil.named_children())
    saved = sum(_bytes(module.state_dict().values()) for module in modules.values())
    figures = 12 + len(ready.student.bert.encoder.layer)
    return {
        f"{KEPT + 1} checkpoints": (KEPT + 1) * (saved + moments(recipe, ready)),
        N_("model"): saved,
        N_("metrics"): recipe.steps * figures * ROW_BYTES * 2.0,  # twice: copied to the result before they go
    }


def moments(recipe: Recipe, ready: Ready) -> float:
    """Bytes of the optimisers' state: two numbers for every weight; one where Muon trains it."""
    trained = [weight for weight in ready.pupil.named_parameters() if weight[1].requires_grad]
    muon = [weight for name, weight in trained if is_for_muon(recipe, name, weight)]
    return 2.0 * _bytes(weight for _, weight in trained) - _bytes(muon)


def memory_needed(recipe: Recipe, ready: Ready, blocks: Dataset) -> Sizes:
    """What a process holds on its device in the middle of a step.

    What the backward pass needs of a micro-batch is not guessed: it is counted for one block and for two.
    """
    trained = _bytes(weight for weight in ready.pupil.parameters() if weight.requires_grad)
    one, two = (kept_for_backward(recipe, ready, blocks, count) for count in (1, 2))
    masked = recipe.mask_probability * len(blocks[0]["input_ids"])
    logits = LOGITS * 4 * masked * ready.student.config.vocab_size * ready.pupil.predicts
    return {
        N_("teacher"): float(_bytes(ready.teacher.parameters())),
        N_("student"): float(_bytes(ready.pupil.parameters())),
        N_("gradients"): trained * (2.0 if ready.world.size > 1 else 1.0),  # DDP exchanges them in buffers of its own
        N_("optimizer"): moments(recipe, ready),
        f"{recipe.micro_batch} blocks": max(0.0, 2 * one - two) + recipe.micro_batch * (two - one + logits),
    }


def kept_for_backward(recipe: Recipe, ready: Ready, blocks: Dataset, count: int) -> int:
    """Bytes that autograd keeps of a micro-batch of ``count`` blocks, the weights themselves aside."""
    small = recipe.model_copy(update={"batch_size": count, "micro_batch": count})
    batch = {name: tensor.to(ready.world.device) for name, tensor in ready.batches(small, blocks)[0].items()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        graph = ready.pupil(batch, 1.0)  # held until counted, so that no place is used twice
    for weight in (*ready.pupil.parameters(), *ready.teacher.parameters()):
        kept.pop(weight.untyped_storage().data_ptr(), None)
    del graph
    return sum(kept.values())


def smaller_micro_batch(recipe: Recipe, needed: Sizes, free: float, processes: int) -> str:
    """The largest micro-batch that would fit and that cuts a process's share of the batch evenly, as advice."""
    blocks = needed[f"{recipe.micro_batch} blocks"]
    room = free - (sum(needed.values()) - blocks)
    fits = int(recipe.micro_batch * room / blocks)
    if fits < 1:
        return _("a machine with more memory, or smaller models")
    share = recipe.batch_size // processes
    return f"--micro-batch {next(size for size in range(fits, 0, -1) if share % size == 0)}"


def seconds_per_step(recipe: Recipe, ready: Ready, steps: Steps, blocks: Dataset, budget: float) -> tuple[float, float]:
    """How long a step takes, and the loss of the first; no weight changes, for the learning rate is 0.

    A process's share of a step is a number of micro-batches. One step of one of them and one of
    three tell what each adds; if the share is smaller, it is timed as it is.
    """
    share = recipe.batch_size // recipe.micro_batch // ready.world.size
    most = min(share, 3)
    few, loss = _trial(recipe, ready, steps, blocks, 1, budget / 2)
    if most == 1:
        return few, loss
    many, _ = _trial(recipe, ready, steps, blocks, most, budget / 2)
    return many + (share - most) * max(0.0, many - few) / (most - 1), loss


def _trial(
    recipe: Recipe, ready: Ready, steps: Steps, blocks: Dataset, parts: int, budget: float
) -> tuple[float, float]:
    """Seconds of a step of so many micro-batches a process, after one that warms up; and that one's loss."""
    world = ready.world
    size = {"batch_size": parts * recipe.micro_batch * world.size, "steps": 1 + MOST_STEPS}
    small = recipe.model_copy(update=size)
    stream = enumerate(shared_batches(small, ready.batches(small, blocks), world, 0), 1)
    losses: list[Tensor] = []

    def take() -> None:
        losses.append(steps.take(*next(stream), 0.0)["loss"])

    first = timed(world, take)
    count = max(1, min(MOST_STEPS, int(budget / first)))
    return timed(world, lambda: [take() for _ in range(count)]) / count, float(losses[0])


def try_checkpoint(folder: Path, ready: Ready, steps: Steps) -> float:
    """Write a checkpoint beside the run's folder, spoil the weights, read it back; seconds to write it.

    Raises:
        CourseError: it cannot be written, or gives other weights back.
    """
    scratch, world = folder.parent / f".{folder.name}.dry-run", ready.world
    before = identity(ready.student)
    try:
        with clear_disk_errors(folder):
            seconds = timed(world, lambda: world.first and save_checkpoint(scratch, 1, steps.modules, steps.optimizers))
        for weight in ready.pupil.parameters():
            weight.data.zero_()
        done = load_checkpoint(scratch, steps.modules, steps.optimizers)
        if done != 1 or identity(ready.student) != before:
            raise CourseError("a checkpoint gave other weights back", where=scratch, fix="check the disk")
        world.wait()
    finally:
        if world.first:
            shutil.rmtree(scratch, ignore_errors=True)
    return seconds


def _bytes(tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
