"""Plain masked-language-model training: the baseline of distillation (notebook 04)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..language import N_, _
from ..models import check_length, check_tokenizer, load_model, load_tokenizer
from ..models.attention import fast_on_cpu
from ..recipe import Recipe
from .batches import Batches
from .distillation import Distilled
from .evaluation import MaskedPositions, held_out
from .loop import Losses, Watch, train
from .machine import autocast, compile_encoder, join_world
from .runs import identity, open_run, read_from, run_folder

if TYPE_CHECKING:
    from datasets import Dataset


def pretrain(
    recipe: Recipe,
    model: BertForMaskedLM | str | Path,
    *,
    blocks: Dataset,
    heldout: Dataset,
    tokenizer: PreTrainedTokenizerBase | None = None,
    output: str | Path | None = None,
    start: str = "",
    title: str = N_("pretrain"),
    progress: bool = True,
    watch: Watch | None = None,
) -> Distilled:
    """Train a model to fill in masked words, without a teacher.

    Args:
        recipe: steps, batch, schedule, optimiser, masking and seed.
        model: where to start: a model or a folder. Use the model that comes back: a given one is trained in place, but
            left as it is where the run was finished before.
        blocks, heldout: what to train on and what to measure on.
        tokenizer: None: the one beside the recipe's teacher.
        output: folder of the result; None: ``runs/<scale>/pretrained``.
        start: the rule by which the model was made, for one whose last bits differ from machine to machine; by default
            its weights tell the run from others.
        title: of the progress bar.
        progress: show progress bars.
        watch: called with all rows of metrics at every evaluation, or once for a run that is loaded
            (``insight.LiveLosses``).

    Returns:
        The model (eval mode), its folder, and one row of losses per step; resumes as
        :func:`distill` does.

    Raises:
        CourseError: a tokenizer that is not the model's, or blocks that are too long for it.
    """
    world = join_world()
    tokenizer = tokenizer or load_tokenizer(recipe.teacher)
    model = load_model(model) if isinstance(model, str | Path) else model
    check_tokenizer(model, tokenizer)
    check_length(model.config, recipe.length)
    folder = Path(output) if output else run_folder(recipe, "pretrained")
    details = {"start": start or identity(model)} | read_from(blocks)
    model.to(world.device).train()
    with open_run(folder, recipe, "pretrained", details, world) as run:
        if run.finished:
            metrics = run.metrics()
            if watch and world.first:
                watch(metrics)
            return Distilled(load_model(folder), folder, metrics)
        if recipe.compile:
            compile_encoder(model)
        with fast_on_cpu(model):
            metrics = train(
                recipe,
                FillIn(model, recipe),
                Batches.of(recipe, blocks, tokenizer),
                run.working,
                lambda: held_out(model, heldout, tokenizer),
                world,
                title=_(title),
                progress=progress,
                watch=watch,
            )
        run.finish(model, tokenizer, metrics)
    return Distilled(model.eval(), folder, metrics)


class FillIn(nn.Module):
    """What pre-training trains: a masked language model, and its loss against the right answers."""

    predicts = True

    def __init__(self, model: BertForMaskedLM, recipe: Recipe):
        super().__init__()
        self.model = model
        asking = MaskedPositions(model, hidden=recipe.compile)  # what is compiled is the encoder as it is
        self._recipe, self._masked = recipe, [asking]  # in a list: its weights are registered already

    def forward(self, batch: dict[str, Tensor], per_masked: Tensor | float | None = None) -> Losses:
        """The mean MLM loss of a batch, or its share of a larger batch's (as :meth:`Distiller.losses`)."""
        with autocast(self._recipe, self.model.device):
            answers = self._masked[0](**batch)
        loss = F.cross_entropy(answers["logits"].float(), answers["labels"], reduction="sum")
        loss = loss * (1 / len(answers["labels"]) if per_masked is None else per_masked)
        return loss, {"mlm": loss}
