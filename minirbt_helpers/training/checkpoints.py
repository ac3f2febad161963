"""Checkpoints: weights and optimiser in safetensors and JSON, written whole or not at all (notebook 04)."""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import CourseError
from ..language import _
from ..workspace import atomic_folder, write_json

Modules = dict[str, nn.Module]  # what is trained, by name: the model, the projections
KEPT = 3  # checkpoints kept, should the last one be broken


def save_checkpoint(
    folder: Path,
    step: int,
    modules: Modules,
    optimizers: list[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None = None,
    position: dict | None = None,
) -> Path:
    """Write ``folder/step-<step>`` and drop all but the last :data:`KEPT`.

    The schedule and the random states (order of the blocks, masking, dropout) need no saving: every
    step derives its own from the recipe's seed and its number, so ``step`` says it all.

    Args:
        folder: the run's working folder.
        step: how many steps are done.
        modules, optimizers, scaler: whose state is kept.
        position: where in the data this is, for the reader of ``state.json``.
    """
    target = folder / f"step-{step:08d}"
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    scalars: dict[str, object] = {}
    for number, optimizer in enumerate(optimizers):
        for place, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                store = tensors if isinstance(value, Tensor) else scalars
                store[f"optimizer{number}/{place}/{key}"] = value
    content = {"step": step, **(position or {}), "scalars": scalars, "scaler": scaler.state_dict() if scaler else {}}
    with atomic_folder(target) as new:
        save_file({name: _copy(value) for name, value in tensors.items()}, new / "state.safetensors")
        write_json(new / "state.json", content)
        for file in new.iterdir():
            _flush(file)  # the contents before the name: a power cut leaves no empty checkpoint
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def _copy(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True).contiguous()  # tied weights share memory, which safetensors refuses


def _flush(file: Path) -> None:
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*"))


def clear_remains(folder: Path) -> None:
    """Remove what a killed run was writing: half a checkpoint under its temporary name."""
    for remains in folder.glob(".step-*"):
        shutil.rmtree(remains, ignore_errors=True)


def load_checkpoint(
    folder: Path,
    modules: Modules,
    optimizers: list[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None = None,
) -> int:
    """Bring modules and optimisers back to a run's last readable checkpoint.

    Returns:
        The number of steps done; 0 if there is no checkpoint.

    Raises:
        CourseError: a checkpoint of other modules than these, or none of them readable.
    """
    kept = checkpoints(folder)
    for place in reversed(kept):
        try:
            tensors = load_file(place / "state.safetensors")
            saved = json.loads((place / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, SafetensorError) as problem:
            said = _("{place}: cannot be read ({problem}); going back to the one before")
            print(said.format(place=place, problem=problem))
            continue
        _restore(place, tensors, saved, modules, optimizers, scaler)
        return saved["step"]
    if kept:
        raise CourseError("no checkpoint can be read", where=folder, fix="remove them to begin anew")
    return 0


def _restore(
    place: Path,
    tensors: dict[str, Tensor],
    saved: dict,
    modules: Modules,
    optimizers: list[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None,
) -> None:
    try:
        for name, module in modules.items():
            module.load_state_dict(_below(tensors, f"{name}/"))
    except RuntimeError as problem:
        raise CourseError(
            "the checkpoint is of another model ({problem})",
            where=place,
            fix="remove it, or name another output folder",
            problem=str(problem).splitlines()[0],
        ) from problem
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict] = {}
        for name, value in _below(tensors | saved["scalars"], f"optimizer{number}/").items():
            weight, _, key = name.partition("/")
            state.setdefault(int(weight), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if scaler and saved["scaler"]:
        scaler.load_state_dict(saved["scaler"])


def _below(items: dict, prefix: str) -> dict:
    return {name.removeprefix(prefix): value for name, value in items.items() if name.startswith(prefix)}
