"""Plain masked-language-model training: the baseline of distillation (notebook 04)."""

from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..models import load_model, load_tokenizer
from ..recipe import Recipe
from ..text import WholeWordCollator
from .distillation import Distilled
from .evaluation import MaskedPositions, held_out
from .loop import Losses, train
from .runs import identity, open_run, run_folder


def pretrain(
    recipe: Recipe,
    model: BertForMaskedLM | str | Path,
    *,
    blocks: Dataset,
    heldout: Dataset,
    tokenizer: PreTrainedTokenizerBase | None = None,
    output: str | Path | None = None,
    progress: bool = True,
) -> Distilled:
    """Train a model to fill in masked words, without a teacher.

    Args:
        recipe: steps, batch, schedule, optimiser, masking and seed.
        model: where to start: a model (it is trained in place) or a folder.
        blocks, heldout: what to train on and what to measure on.
        tokenizer: None: the one beside the recipe's teacher.
        output: folder of the result; None: ``runs/<scale>/pretrained``.
        progress: show progress bars.

    Returns:
        The model (eval mode), its folder, and one row of losses per step; resumes as
        :func:`distill` does.
    """
    tokenizer = tokenizer or load_tokenizer(recipe.teacher)
    model = load_model(model) if isinstance(model, str | Path) else model
    model.to("cuda" if torch.cuda.is_available() else "cpu").train()
    fill_in = MaskedPositions(model)

    def losses(batch: dict[str, Tensor]) -> Losses:
        loss = fill_in(**batch)["loss"]
        return loss, {"mlm": loss}

    folder = Path(output) if output else run_folder(recipe, "pretrained")
    details = {"start": identity(model), "blocks": len(blocks)}
    with open_run(folder, recipe, "pretrained", details) as run:
        if run.finished:
            return Distilled(load_model(folder), folder, run.metrics())
        metrics = train(
            recipe,
            {"model": model},
            losses,
            blocks,
            WholeWordCollator(tokenizer, recipe.mask_unit, recipe.mask_probability),
            run.working,
            lambda: held_out(model, heldout, tokenizer),
            title="pretrain",
            progress=progress,
        )
        run.finish(model, tokenizer, metrics)
    return Distilled(model.eval(), folder, metrics)
