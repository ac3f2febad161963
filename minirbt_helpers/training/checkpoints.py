"""Checkpoints: weights and optimiser in safetensors and JSON, written whole or not at all (notebook 04)."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import CourseError
from ..workspace import atomic_folder, write_json

Modules = dict[str, nn.Module]  # what is trained, by name: the model, the projections
KEPT = 2  # checkpoints kept; the last one may be the broken one


def save_checkpoint(folder: Path, step: int, modules: Modules, optimizers: list[torch.optim.Optimizer]) -> Path:
    """Write ``folder/step-<step>`` and drop all but the last :data:`KEPT`.

    Random states need no saving: every step seeds its own from the recipe's seed and its number.
    """
    target = folder / f"step-{step:08d}"
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    scalars: dict[str, object] = {}
    for number, optimizer in enumerate(optimizers):
        for place, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                store = tensors if isinstance(value, Tensor) else scalars
                store[f"optimizer{number}/{place}/{key}"] = value
    with atomic_folder(target) as new:
        save_file(
            {name: value.detach().contiguous().clone() for name, value in tensors.items()}, new / "state.safetensors"
        )
        write_json(new / "state.json", {"step": step, "scalars": scalars})
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*"))


def load_checkpoint(folder: Path, modules: Modules, optimizers: list[torch.optim.Optimizer]) -> int:
    """Bring modules and optimisers back to a run's last checkpoint.

    Returns:
        The number of steps done; 0 if there is no checkpoint.

    Raises:
        CourseError: a checkpoint of other modules than these.
    """
    if not (found := checkpoints(folder)):
        return 0
    tensors = load_file(found[-1] / "state.safetensors")
    saved = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
    try:
        for name, module in modules.items():
            module.load_state_dict(_below(tensors, f"{name}/"))
    except RuntimeError as problem:
        raise CourseError(
            f"the checkpoint is of another model ({str(problem).splitlines()[0]})",
            where=found[-1],
            fix="remove it, or name another output folder",
        ) from problem
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict] = {}
        for name, value in _below(tensors | saved["scalars"], f"optimizer{number}/").items():
            place, _, key = name.partition("/")
            state.setdefault(int(place), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return saved["step"]


def _below(items: dict, prefix: str) -> dict:
    return {name.removeprefix(prefix): value for name, value in items.items() if name.startswith(prefix)}
