"""One training loop for pre-training and distillation: resumable, shared by many GPUs, and seen (notebook 04)."""

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..errors import CourseError, Interrupted, some
from ..language import _
from ..recipe import Recipe
from ..workspace import atomic_file, progress_bar
from .batches import Batches, derive_seed
from .checkpoints import checkpoints, load_checkpoint, save_checkpoint
from .machine import World, keep_freed_memory
from .optimizers import make_optimizers

Losses = tuple[Tensor, dict[str, Tensor]]  # the loss to minimise, and its parts by name
Watch = Callable[[list[dict]], None]  # looks at the rows of metrics while they grow
FETCH_EVERY = {"cuda": 20, "cpu": 1}  # steps between two looks at the losses: a GPU has to stop for each
SHOWN = ("loss", "kd", "mlm")


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up over the first ``recipe.warmup`` of the steps, linear decay to 0 over the last ``recipe.decay``.

    Between the two it stays at its highest; with a decay of 1 (as published) it falls as soon as it has risen.
    """
    rise = math.ceil(recipe.steps * recipe.warmup)
    fall = min(recipe.steps - rise, math.ceil(recipe.steps * recipe.decay))
    if step < rise:
        return recipe.learning_rate * (step + 1) / rise
    return recipe.learning_rate * min(1.0, (recipe.steps - step) / max(1, fall))


def train(
    recipe: Recipe,
    learner: nn.Module,
    batches: Batches,
    folder: Path,
    evaluate: Callable[[], dict[str, float]],
    world: World,
    *,
    title: str,
    progress: bool = True,
    watch: Watch | None = None,
) -> list[dict]:
    """Take ``recipe.steps`` optimiser steps, from the last checkpoint in ``folder`` if there is one.

    A step depends on the recipe and its own number alone: on how many processes share it, or
    whether the run was broken off before, it makes no difference.

    Args:
        recipe: batch, schedule, optimiser, number format and seed.
        learner: maps a micro-batch to the loss to minimise and its parts; what is trained are its children.
        batches: gives the micro-batches.
        folder: keeps checkpoints and ``metrics.jsonl``.
        evaluate: called every ``recipe.evaluate_every`` steps, before the first and after the last.
        world: the processes that share the work.
        title: of the progress bar.
        progress: show the bar.
        watch: called with all rows at every evaluation.

    Returns:
        The rows of ``metrics.jsonl``: one per step with every loss, ``step`` counted from 1, and the
        held-out figures in the rows of evaluated steps (step 0 has these alone).

    Raises:
        CourseError: no blocks, a batch that cannot be shared, nothing masked, or a loss or a
            gradient that is not finite (the last checkpoint stays).
        Interrupted: after Ctrl-C, once the step is finished and saved.
    """
    check_batch_size(recipe, batches, world)
    if world.device.type == "cpu":
        keep_freed_memory()
    steps = Steps(recipe, learner, world)
    done = load_checkpoint(folder, steps.modules, steps.optimizers, steps.scaler)
    log = Log(folder, done, world.first, recipe.tensorboard)
    looks = Looks(log, evaluate, watch, world)
    if not done:
        looks.look({"step": 0})
    fetch_every = FETCH_EVERY[world.device.type]
    with (
        torch.random.fork_rng(devices=[]),
        interruption_between_steps() as interrupted,
        progress_bar(
            show=progress and world.first, total=recipe.steps, initial=done, desc=title, unit=_("step"), smoothing=0.1
        ) as bar,
    ):
        pending = Pending(recipe, batches, world, folder)
        for step, parts in enumerate(shared_batches(recipe, batches, world, done), done + 1):
            rate = learning_rate(recipe, step - 1)
            pending.add(step, rate, steps.take(step, parts, rate))
            last = step == recipe.steps
            due = last or step % recipe.evaluate_every == 0
            save = last or step % recipe.checkpoint_every == 0
            if not (due or save or step % fetch_every == 0):
                continue
            rows, stop = pending.fetch(interrupted.is_set())
            for row in rows[:-1]:
                log.add(row)
            looks.look(rows[-1]) if due else log.add(rows[-1])
            _show(bar, rows)
            if world.first and (save or stop):
                save_checkpoint(folder, step, steps.modules, steps.optimizers, steps.scaler, batches.position(step))
            if stop and not last:
                raise Interrupted(
                    "stopped after step {step}", where=folder, fix="saved: run it again to go on", step=step
                )
            pending.restart_clock()
    log.close()
    return log.rows


def check_batch_size(recipe: Recipe, batches: Batches, world: World) -> None:
    """Refuse a batch that cannot be cut into micro-batches of one size for all processes."""
    if not len(batches.blocks):
        raise CourseError("no blocks to train on", fix="give a text with at least one non-blank line")
    at_once = recipe.micro_batch * world.size
    if recipe.batch_size % at_once:
        times = f"({world.size} x {recipe.micro_batch})" if world.size > 1 else f"{recipe.micro_batch}"
        raise CourseError(
            "a batch of {batch} cannot be cut into micro-batches of {part} on {processes} processes: "
            "{batch} / {times} = {quotient:.2f}"
            if world.size > 1
            else "a batch of {batch} cannot be cut into micro-batches of {part}: {batch} / {times} = {quotient:.2f}",
            fix="a batch_size that is a multiple of {at_once}, or a smaller micro_batch",
            batch=recipe.batch_size,
            part=recipe.micro_batch,
            processes=world.size,
            times=times,
            quotient=recipe.batch_size / at_once,
            at_once=at_once,
        )


def shared_batches(recipe: Recipe, batches: Batches, world: World, done: int) -> Iterator[list[dict[str, Tensor]]]:
    """For every step still to take, this process's micro-batches.

    The micro-batches of a step are numbered through; each process takes its share of the numbers.
    """
    share = batches.parts // world.size
    numbers = (
        step * batches.parts + world.rank * share + part for step in range(done, recipe.steps) for part in range(share)
    )
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=recipe.workers,
        # A step begins when all its micro-batches are there, so those of the next are made while it lasts.
        prefetch_factor=max(2, -(-share // recipe.workers)) if recipe.workers else None,
        pin_memory=world.device.type == "cuda",
        generator=torch.Generator(),  # its own, so that it takes nothing from torch's random state
    )
    stream = iter(loader)
    for _step in range(done, recipe.steps):
        yield [next(stream) for _part in range(share)]


class Steps:
    """Optimiser steps: forward and backward over micro-batches, clipping, update.

    Attributes:
        modules: what is trained, by name.
        optimizers: over all of it.
        scaler: of the gradients at fp16; idle otherwise.
    """

    def __init__(self, recipe: Recipe, learner: nn.Module, world: World):
        self.recipe, self.world = recipe, world
        self.modules = dict(learner.named_children())
        self.weights = [weight for weight in learner.parameters() if weight.requires_grad]
        self.optimizers = make_optimizers(recipe, self.modules)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=recipe.precision == "fp16")
        self.learner = world.wrap(learner, unused=not learner.predicts)

    def take(self, step: int, batches: list[dict[str, Tensor]], rate: float) -> dict[str, Tensor]:
        """One step over this process's micro-batches; returns their mean losses and the norm of the ``gradient``.

        All are still on the device. A gradient that is not finite turns weights into NaN a step before a loss shows it.
        """
        per_masked = self._per_masked(step, batches)
        totals: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            torch.manual_seed(derive_seed(self.recipe.seed, "dropout", step, self.world.rank * len(batches) + number))
            batch = {name: tensor.to(self.world.device, non_blocking=True) for name, tensor in batch.items()}
            with self._without_exchange(number + 1 < len(batches)):
                loss, parts = self.learner(batch, per_masked)
                self.scaler.scale(loss / len(batches)).backward()
            for name, value in {"loss": loss, **parts}.items():
                totals[name] = totals.get(name, 0) + value.detach() / len(batches)
        return totals | {"gradient": self._update(rate)}

    def _per_masked(self, step: int, batches: list[dict[str, Tensor]]) -> Tensor | float:
        """The weight of a masked position, such that the mean over micro-batches is the mean over all positions."""
        masked = sum(len(batch["positions"]) for batch in batches)
        parts = len(batches) * self.world.size
        everywhere = masked
        if self.world.size > 1:
            everywhere = self.world.sum(torch.full((), float(masked), device=self.world.device))  # no copy, no wait
        if not masked and not float(everywhere):
            raise CourseError(
                "no position is masked in the batch of step {step}",
                fix="longer blocks or a larger mask_probability; where words are longer than the budget, "
                "mask_budget fair or mask_unit token",
                step=step,
            )
        return parts / everywhere

    def _without_exchange(self, more: bool):
        """Gradients are shared between processes after the last micro-batch only."""
        return self.learner.no_sync() if more and self.world.size > 1 else nullcontext()

    def _update(self, rate: float) -> Tensor:
        """Clip and step; returns the gradient's norm: 0 where it is not finite and the fp16 scaler skips the step."""
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            self.scaler.step(optimizer)
            optimizer.zero_grad()
        self.scaler.update()
        return norm.nan_to_num(0, 0, 0) if self.scaler.is_enabled() else norm


class Pending:
    """Losses of the last steps, left on the device until somebody looks: a look makes a GPU wait."""

    def __init__(self, recipe: Recipe, batches: Batches, world: World, folder: Path):
        self.batches, self.world, self.folder, self.recipe = batches, world, folder, recipe
        self.steps: list[tuple[int, float]] = []
        self.values: list[Tensor] = []
        self.names: list[str] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        """Count the time from now: an evaluation or a checkpoint is no part of the speed."""
        self.started = time.perf_counter()

    def add(self, step: int, rate: float, losses: dict[str, Tensor]) -> None:
        """Note a step's losses."""
        self.names = list(losses)
        self.steps.append((step, rate))
        self.values.append(torch.stack([value.float() for value in losses.values()]))

    def fetch(self, stop: bool) -> tuple[list[dict], bool]:
        """The rows of the steps noted, averaged over all processes, and whether any of these is to stop."""
        table = torch.stack(self.values)  # [steps, losses]
        flag = table.new_full((1, table.shape[1]), float(stop))
        *losses, stops = (self.world.sum(torch.cat([table, flag])) / self.world.size).tolist()
        seconds = (time.perf_counter() - self.started) / len(losses)
        tokens = self.recipe.batch_size * self.batches.length
        rows = []
        for (step, rate), values in zip(self.steps, losses, strict=True):
            means = dict(zip(self.names, values, strict=True))
            if not all(map(math.isfinite, values)):
                self._refuse(step, means)
            rows.append({"step": step, "learning_rate": rate, **means, "tokens_per_second": tokens / seconds})
        self.steps, self.values = [], []
        return rows, stops[0] > 0

    def _refuse(self, step: int, means: dict[str, float]) -> None:
        kept = checkpoints(self.folder)
        blocks = self.batches.blocks_of(step)
        ways = [_("try a lower learning rate"), _("a longer warm-up")]
        ways += [_("precision bf16 or fp32")] * (self.recipe.precision == "fp16")
        last = (
            _("the last good checkpoint is {name}").format(name=kept[-1].name) if kept else _("nothing was saved yet")
        )
        raise CourseError(
            "the gradient is not finite at step {step}: {means}; its batch is made of the blocks {blocks}"
            if math.isfinite(means["loss"])
            else "the loss is not finite at step {step}: {means}; its batch is made of the blocks {blocks}",
            where=self.folder,
            fix="{ways}; {last}",
            ways=_(", ").join(ways),
            last=last,
            step=step,
            means=means,
            blocks=some(blocks, 8),
        )


class Log:
    """``metrics.jsonl``: one JSON object per step, appended; after a resume, rows beyond the checkpoint go.

    Args:
        folder: where it lies, and ``tensorboard/`` beside it.
        done: steps done.
        write: whether this process writes it; rows are kept in any case.
        tensorboard: write the same for TensorBoard.
    """

    def __init__(self, folder: Path, done: int, write: bool, tensorboard: bool):
        self.file, self.write = folder / "metrics.jsonl", write
        self.rows = [row for row in _rows(self.file) if row["step"] <= done] if done else []
        self.board = None
        if write:
            with atomic_file(self.file) as stream:
                stream.writelines(json.dumps(row) + "\n" for row in self.rows)
        if write and tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)

    def add(self, row: dict) -> None:
        """Append a row."""
        self.rows.append(row)
        if self.write:
            with open(self.file, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
        if self.board:
            for name in row.keys() - {"step"}:
                self.board.add_scalar(name, row[name], row["step"])

    def close(self) -> None:
        """Let TensorBoard's writer finish."""
        if self.board:
            self.board.close()


def _rows(file: Path) -> Iterator[dict]:
    """The whole rows of a file whose last line may be torn."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


class Looks:
    """Evaluations: measured by the first process, logged, and shown to whoever watches."""

    def __init__(self, log: Log, evaluate: Callable[[], dict[str, float]], watch: Watch | None, world: World):
        self.log, self.evaluate, self.watch, self.world = log, evaluate, watch, world

    def look(self, row: dict) -> None:
        """Add a row with the held-out figures in it."""
        if self.world.first:
            row = row | self.evaluate()
        self.log.add(row)
        if self.watch and self.world.first:
            self.watch(self.log.rows)


def _show(bar, rows: list[dict]) -> None:
    last = rows[-1]
    losses = {name: f"{last[name]:.3f}" for name in SHOWN if name in last}
    bar.set_postfix(losses | {_("tokens/s"): f"{last['tokens_per_second']:,.0f}"}, refresh=False)
    bar.update(len(rows))


@contextmanager
def interruption_between_steps() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of breaking into a step half done (a second one breaks)."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(*_) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
