"""One training loop for pre-training and distillation: resumable, interruptible, and seen (notebook 04)."""

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor, nn

from ..errors import CourseError, Interrupted
from ..recipe import Recipe
from ..text import WholeWordCollator
from ..workspace import progress_bar
from .checkpoints import Modules, checkpoints, load_checkpoint, save_checkpoint
from .optimizers import make_optimizers

Losses = tuple[Tensor, dict[str, Tensor]]  # the loss to minimise, and its parts by name


def step_seed(seed: int, step: int) -> int:
    """The seed of one step; the same after a resume, so that no random state needs saving."""
    return (seed * 1_000_003 + step) % 2**63


def batches(
    blocks: Dataset, collator: WholeWordCollator, batch_size: int, seed: int, first: int, last: int
) -> Iterator[dict[str, Tensor]]:
    """The masked batches of the steps ``first`` to ``last`` (not included).

    Every epoch goes through the blocks in a new order that depends on the seed alone; the batch of a
    step, masking included, depends on the seed and the step alone.
    """
    total, columns = len(blocks), blocks.with_format("numpy")
    epoch, order = -1, torch.empty(0)
    for step in range(first, last):
        picked = []
        for place in range(step * batch_size, (step + 1) * batch_size):
            if place // total != epoch:
                epoch = place // total
                order = torch.randperm(total, generator=torch.Generator().manual_seed(step_seed(seed, -1 - epoch)))
            picked.append(int(order[place % total]))
        collator.generator.manual_seed(step_seed(seed, step))
        yield collator(columns[picked])


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up over the first ``recipe.warmup`` of the steps, then linear decay to 0."""
    rise = math.ceil(recipe.steps * recipe.warmup)
    if step < rise:
        return recipe.learning_rate * (step + 1) / rise
    return recipe.learning_rate * (recipe.steps - step) / max(1, recipe.steps - rise)


def train(
    recipe: Recipe,
    modules: Modules,
    losses: Callable[[dict[str, Tensor]], Losses],
    blocks: Dataset,
    collator: WholeWordCollator,
    folder: Path,
    evaluate: Callable[[], dict[str, float]],
    title: str,
    progress: bool = True,
) -> list[dict]:
    """Take ``recipe.steps`` optimiser steps, from the last checkpoint in ``folder`` if there is one.

    Args:
        recipe: batch, schedule, optimiser and seed.
        modules: what is trained, by name.
        losses: maps a masked batch to the loss to minimise and its parts.
        blocks: what batches are drawn from.
        collator: masks them.
        folder: keeps checkpoints and ``metrics.jsonl``.
        evaluate: called every ``recipe.evaluate_every`` steps, before the first and after the last.
        title: of the progress bar.
        progress: show the bar.

    Returns:
        The rows of ``metrics.jsonl``: one per step with every loss, ``step`` counted from 1, and the
        held-out figures in the rows of evaluated steps (step 0 has these alone).

    Raises:
        CourseError: no blocks, or a loss that is not finite (the last checkpoint stays).
        Interrupted: after Ctrl-C, once the step is finished and saved.
    """
    if not len(blocks):
        raise CourseError("no blocks to train on", fix="give a text with at least one non-blank line")
    optimizers = make_optimizers(recipe, modules)
    done = load_checkpoint(folder, modules, optimizers)
    log = _Log(folder / "metrics.jsonl", done)
    if not done:
        log.add({"step": 0, **evaluate()})
    device = next(next(iter(modules.values())).parameters()).device
    with (
        interruption_between_steps() as interrupted,
        progress_bar(show=progress, total=recipe.steps, initial=done, desc=title, unit="step") as bar,
    ):
        for step, batch in enumerate(
            batches(blocks, collator, recipe.batch_size, recipe.seed, done, recipe.steps), done + 1
        ):
            started = time.perf_counter()
            rate = learning_rate(recipe, step - 1)
            parts = _step(recipe, modules, losses, optimizers, batch, rate, step, device, folder)
            row = {"step": step, "learning_rate": rate, **parts}
            row["tokens_per_second"] = batch["input_ids"].numel() / (time.perf_counter() - started)
            if step % recipe.evaluate_every == 0 or step == recipe.steps:
                row |= evaluate()
            log.add(row)
            bar.set_postfix(loss=f"{row['loss']:.3f}", tokens_s=f"{row['tokens_per_second']:.0f}", refresh=False)
            bar.update()
            if step % recipe.checkpoint_every == 0 or step == recipe.steps or interrupted.is_set():
                save_checkpoint(folder, step, modules, optimizers)
            if interrupted.is_set() and step < recipe.steps:
                raise Interrupted(f"stopped after step {step}", where=folder, fix="saved: run it again to go on")
    return log.rows


def _step(
    recipe: Recipe,
    modules: Modules,
    losses: Callable[[dict[str, Tensor]], Losses],
    optimizers: list[torch.optim.Optimizer],
    batch: dict[str, Tensor],
    rate: float,
    step: int,
    device: torch.device,
    folder: Path,
) -> dict[str, float]:
    """One optimiser step over a batch, in micro-batches; returns the mean losses."""
    torch.manual_seed(step_seed(recipe.seed, step))  # dropout
    accumulation = recipe.batch_size // recipe.micro_batch
    totals: dict[str, Tensor] = {}
    for part in range(accumulation):
        slices = slice(part * recipe.micro_batch, (part + 1) * recipe.micro_batch)
        loss, parts = losses({name: tensor[slices].to(device) for name, tensor in batch.items()})
        (loss / accumulation).backward()
        for name, value in {"loss": loss, **parts}.items():
            totals[name] = totals.get(name, 0) + value.detach() / accumulation
    means = {name: float(value) for name, value in totals.items()}
    if not math.isfinite(means["loss"]):
        _refuse_step(step, means, folder)
    nn.utils.clip_grad_norm_([weight for module in modules.values() for weight in module.parameters()], recipe.clip)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return means


def _refuse_step(step: int, means: dict[str, float], folder: Path) -> None:
    kept = checkpoints(folder)
    raise CourseError(
        f"the loss is not finite at step {step}: {means}",
        where=folder,
        fix="try a lower learning rate or a longer warm-up; "
        + (f"the last good checkpoint is {kept[-1].name}" if kept else "nothing was saved yet"),
    )


class _Log:
    """``metrics.jsonl``: one JSON object per step, appended; after a resume, rows beyond the checkpoint go."""

    def __init__(self, file: Path, done: int):
        file.parent.mkdir(parents=True, exist_ok=True)
        old = file.read_text(encoding="utf-8").splitlines() if file.exists() and done else []
        self.file = file
        self.rows = [row for row in map(json.loads, old) if row["step"] <= done]
        file.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")

    def add(self, row: dict) -> None:
        self.rows.append(row)
        with open(self.file, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


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
