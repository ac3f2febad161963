"""A stage's folder: ``runs/<scale>/<stage>``, with the recipe, versions and metrics beside the model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..hub import save_tokenizer
from ..language import _
from ..recipe import Recipe
from ..workspace import atomic_folder, clear_disk_errors, versions, write_json
from .checkpoints import clear_remains
from .machine import World

if TYPE_CHECKING:
    from datasets import Dataset

PROJECTIONS = "projections.safetensors"
PIECES, TOGETHER = 500, 64  # of a text, for its digest: so many pieces of so many blocks
# settings that change no weight
NOT_THE_RESULT = {"output_dir", "evaluate_every", "checkpoint_every", "workers", "tensorboard"}
FINE_TUNING = {name for name in Recipe.model_fields if name == "epochs" or name.startswith("task_")}


def identity(model: BertForMaskedLM) -> str:
    """A short digest of a model's weights: a run that starts from others is another run."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def read_from(blocks: Dataset) -> dict[str, int | str]:
    """What a run's card says of its blocks: their number, and a digest of them (of an even spread, if they are many).

    Another text, another tokenizer or other words give another digest, whatever the files are called.
    """
    import pyarrow.compute as pc

    rows, digest = blocks.with_format("arrow"), hashlib.sha256()
    for first in range(0, len(blocks), max(TOGETHER, len(blocks) // PIECES)):
        for column in rows[first : first + TOGETHER].columns:  # one list per block
            digest.update(pc.list_value_length(column).to_numpy().tobytes())
            digest.update(column.combine_chunks().flatten().to_numpy(zero_copy_only=False).tobytes())
    return {"blocks": len(blocks), "text": digest.hexdigest()[:16]}


def run_folder(recipe: Recipe, stage: str) -> Path:
    """``<output_dir>/<scale>/<stage>``."""
    return Path(recipe.output_dir).expanduser() / recipe.scale / stage


class Run:
    """One run of a stage: unfinished in ``.<stage>.working``, finished in its own folder."""

    def __init__(self, folder: Path, card: dict, world: World):
        self.folder, self.card, self.world = folder, card, world
        self.working = folder.parent / f".{folder.name}.working"

    @property
    def finished(self) -> bool:
        """Whether the folder holds this very run."""
        return _is_the_same(_read_card(self.folder), self.card)

    def prepare(self) -> None:
        """Make room: a finished or unfinished run of another recipe is moved aside, never removed."""
        for place in (self.folder, self.working):
            if place.exists() and not _is_the_same(_read_card(place), self.card):
                aside = next(path for path in _numbered(place) if not path.exists())
                print(_("{name} was made with another recipe: kept as {other}").format(name=place.name, other=aside))
                place.rename(aside)
        if self.finished:
            shutil.rmtree(self.working, ignore_errors=True)  # left when a run was killed at its very end
        elif not self.working.exists():
            with atomic_folder(self.working) as new:
                write_json(new / "recipe.json", self.card)
        clear_remains(self.working)

    def metrics(self) -> list[dict]:
        """The rows of ``metrics.jsonl``."""
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]

    def projections(self, trained: nn.ModuleList) -> nn.ModuleList:
        """The projections that were trained beside the model, read into modules like them; none if none were kept."""
        if not (self.folder / PROJECTIONS).exists():
            return nn.ModuleList()
        trained.load_state_dict(load_file(self.folder / PROJECTIONS))
        return trained

    def finish(
        self,
        model: BertForMaskedLM,
        tokenizer: PreTrainedTokenizerBase,
        metrics: list[dict],
        projections: nn.ModuleList | None = None,
    ) -> None:
        """Write the finished folder, whole, and drop the working one with its checkpoints."""
        if self.world.first:
            self._write(model, tokenizer, metrics, projections)
        self.world.wait()

    def _write(
        self,
        model: BertForMaskedLM,
        tokenizer: PreTrainedTokenizerBase,
        metrics: list[dict],
        projections: nn.ModuleList | None,
    ) -> None:
        with atomic_folder(self.folder) as new:
            model.save_pretrained(new)
            if projections:
                save_file(projections.state_dict(), new / PROJECTIONS)
            save_tokenizer(tokenizer, new)
            write_json(new / "recipe.json", self.card)
            write_json(new / "versions.json", versions())
            if (self.working / "tensorboard").is_dir():
                shutil.copytree(self.working / "tensorboard", new / "tensorboard")
            (new / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics), encoding="utf-8")
        shutil.rmtree(self.working)


@contextmanager
def open_run(folder: Path, recipe: Recipe, stage: str, details: dict, world: World) -> Iterator[Run]:
    """The run of a stage in its folder; disk errors inside become clear ones.

    Args:
        folder: where the result is to be.
        recipe: its settings; a run of other settings is another run.
        stage: its name.
        details: what else makes it this run and no other (JSON values).
        world: the first process makes room, the others wait for it.
    """
    settings = {name: value for name, value in recipe.model_dump().items() if name not in NOT_THE_RESULT}
    run = Run(folder, {"stage": stage, **details, "recipe": settings}, world)
    with clear_disk_errors(folder):
        if world.first:
            run.prepare()
        world.wait()
        yield run


def _numbered(folder: Path) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        yield folder.parent / f"{folder.name.strip('.')}-{number}"


def _is_the_same(noted: dict | None, card: dict) -> bool:
    """Whether two cards name one run: fine-tuning's settings stand in them, and make no other."""

    def compared(one: dict) -> dict:
        recipe = {name: value for name, value in one["recipe"].items() if name not in FINE_TUNING}
        return one | {"recipe": recipe}

    return noted is not None and "recipe" in noted and compared(noted) == compared(card)


def _read_card(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
