"""Pre-training from nothing on a small budget: shallow and short first, then deeper and longer (notebook 09).

Most of what a young model learns - which tokens are frequent, which stand beside which - it learns as
well with three layers on short blocks, in a small part of the time. New layers that
do nothing at first are then put between those it has, and all are trained on.

Sources: Gong et al., "Efficient Training of BERT by Progressively Stacking" (ICML 2019); Geiping and Goldstein,
"Cramming" (2022), for short blocks, no dropout and a budget in time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..hub import vocabulary_size
from ..language import _
from ..models import Architecture, check_length, start_from_counts, take_layers
from ..models.attention import fast_on_cpu
from ..recipe import Recipe
from ..workspace import atomic_file
from .batches import Batches
from .distillation import Distilled
from .loop import Steps, Watch, learning_rate, shared_batches
from .machine import World, compile_encoder, join_world, timed
from .pretraining import FillIn, pretrain
from .runs import FINE_TUNING, NOT_THE_RESULT, read_from, run_folder

if TYPE_CHECKING:
    from datasets import Dataset

Texts = Callable[[int], tuple["Dataset", "Dataset"]]  # from a length to blocks of that length, and held-out ones
WARM_UP, TIMED = 3, 8  # steps before a measurement of the speed, and in it
SHAPE = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")  # make it slow
COUNTED_BLOCKS = 200_000  # blocks that the first embeddings are counted on


@dataclass(frozen=True)
class Phase:
    """A part of the growth; sizes are shares of what is to come out at the end.

    Attributes:
        depth: layers, as a share of the architecture's.
        length: tokens per block, as a share of the recipe's; a batch has the same number of tokens always.
        budget: share of the minutes, or of the steps.
        rate: highest learning rate, as a multiple of the recipe's.
        decay: share of the phase's steps in which it falls to 0.
        mask_unit: what is masked as one.
    """

    depth: float
    length: float
    budget: float
    rate: float
    decay: float
    mask_unit: str


GROWTH = (
    Phase(depth=1 / 4, length=1 / 4, budget=0.25, rate=2.0, decay=0.0, mask_unit="token"),
    Phase(depth=1 / 2, length=1 / 2, budget=0.25, rate=1.5, decay=0.0, mask_unit="token"),
    Phase(depth=1, length=1, budget=0.5, rate=1.0, decay=1.0, mask_unit="word"),
)


def grow(
    recipe: Recipe,
    architecture: Architecture,
    *,
    texts: Texts,
    tokenizer: PreTrainedTokenizerBase,
    output: str | Path | None = None,
    minutes: float | None = None,
    phases: tuple[Phase, ...] = GROWTH,
    progress: bool = True,
    watch: Watch | None = None,
) -> Distilled:
    """Pre-train an architecture from nothing, phase by phase.

    A phase is a run of :func:`pretrain` with a folder of its own, so that all of it resumes: what
    is finished is loaded, what was broken off goes on.

    Args:
        recipe: steps of all phases together, batch, optimiser and seed.
        architecture: what comes out.
        texts: gives the blocks of a length.
        tokenizer: whose vocabulary the model gets.
        output: folder of the result; None: ``runs/<scale>/pretrained``. The earlier phases lie beside it.
        minutes: budget of the training itself; None: the recipe's steps. How many steps that is is
            measured when a phase first begins, and noted.
        phases: what to do; by default :data:`GROWTH`.
        progress: show progress bars.
        watch: called with all rows of metrics of the phase at every evaluation.

    Returns:
        The model (eval mode), its folder, and the rows of all phases, ``phase`` counted from 1.
    """
    world = join_world()
    check_length(architecture.config(recipe.scale, vocabulary_size(tokenizer)), recipe.length)
    folder = Path(output) if output else run_folder(recipe, "pretrained")
    grown = folder.parent / f"{folder.name}-growth"
    model, rows, shared = None, [], shared_steps(recipe.steps, phases)
    rule = f"{architecture.name}, {depth_of(phases[0], architecture)} layers, from counts"
    for number, phase in enumerate(phases, 1):
        with world.first_before_others():
            blocks, heldout = texts(length_of(phase, recipe))
        settings = settings_of(phase, recipe).model_copy(update={"steps": shared[number - 1]})
        if model is None:
            model = seedling(settings, architecture, tokenizer, blocks, depth_of(phase, architecture))
        else:
            model = deepen(model, depth_of(phase, architecture))
        if minutes:
            plan = grown / f"phase-{number}.json"
            steps = planned_steps(plan, settings, model, blocks, tokenizer, minutes * phase.budget, world)
            settings = settings.model_copy(update={"steps": steps})
        last = number == len(phases)
        done = pretrain(
            settings,
            model,
            blocks=blocks,
            heldout=heldout,
            tokenizer=tokenizer,
            output=folder if last else grown / f"phase-{number}",
            start=rule if number == 1 else "",
            title=_("{count} layers").format(count=depth_of(phase, architecture)),
            progress=progress,
            watch=watch,
        )
        model, rows = done.model, rows + [{"phase": number, **row} for row in done.metrics]
    return Distilled(model, folder, rows)


def length_of(phase: Phase, recipe: Recipe) -> int:
    """Tokens per block in a phase."""
    return max(4, int(recipe.length * phase.length))


def depth_of(phase: Phase, architecture: Architecture) -> int:
    """Layers in a phase."""
    return max(1, int(architecture.full.layers * phase.depth))


def shared_steps(steps: int, phases: tuple[Phase, ...]) -> list[int]:
    """The steps of every phase: one at least, and together as many as there are, if these are enough."""
    *shares, _last = (max(1, round(steps * phase.budget)) for phase in phases)
    return [*shares, max(1, steps - sum(shares))]


def settings_of(phase: Phase, recipe: Recipe) -> Recipe:
    """The recipe of a phase, its steps aside: as many tokens per batch and micro-batch as the whole one's."""
    length = length_of(phase, recipe)
    micro = recipe.micro_batch * recipe.length // length
    return recipe.model_copy(
        update={
            "length": length,
            "micro_batch": micro,
            "batch_size": recipe.batch_size // recipe.micro_batch * micro,
            "learning_rate": recipe.learning_rate * phase.rate,
            "decay": phase.decay,
            "mask_unit": phase.mask_unit,
        }
    )


def random_start(
    recipe: Recipe, architecture: Architecture, tokenizer: PreTrainedTokenizerBase, depth: int
) -> BertForMaskedLM:
    """A random model of few layers, without dropout."""
    settings = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # no token is read often enough
    whole = architecture.random_model(recipe.scale, vocabulary_size(tokenizer), recipe.seed, **settings)
    return take_layers(whole, range(depth))


def seedling(
    recipe: Recipe, architecture: Architecture, tokenizer: PreTrainedTokenizerBase, blocks: Dataset, depth: int
) -> BertForMaskedLM:
    """A new model of few layers, without dropout, that knows which tokens stand near which."""
    model = random_start(recipe, architecture, tokenizer, depth)
    rows = blocks.with_format("numpy")[:COUNTED_BLOCKS]["input_ids"]
    start_from_counts(model, np.concatenate(list(rows)), ignored=tokenizer.all_special_ids, seed=recipe.seed)
    return model


def deepen(model: BertForMaskedLM, depth: int) -> BertForMaskedLM:
    """The model with new layers behind each of its own, ``depth`` in all, that change next to nothing.

    A new layer is a copy that adds nothing yet: what its attention and its FFN hand on is zero, and only its
    LayerNorms are left. The first takes a token's mean and spread away, the second gives back those that
    the copied layer's output has on average. (A layer that is simply there twice makes a trained post-LN BERT
    forget most of what it knows; one that keeps the copied gains and biases applies them twice.)
    """
    present = model.config.num_hidden_layers
    sources = [place * present // depth for place in range(depth)]
    deep = take_layers(model, sources)
    for place in range(1, depth):
        if sources[place] == sources[place - 1]:
            layer = deep.bert.encoder.layer[place]
            for dense in (layer.attention.output.dense, layer.output.dense):
                nn.init.zeros_(dense.weight)
                nn.init.zeros_(dense.bias)
            layer.attention.output.LayerNorm.reset_parameters()
            gain, bias = layer.output.LayerNorm.weight, layer.output.LayerNorm.bias  # [hidden] each
            spread, mean = (gain.square().mean() + bias.var()).sqrt().item(), bias.mean().item()
            nn.init.constant_(gain, spread)
            nn.init.constant_(bias, mean)
    return deep


def planned_steps(
    plan: Path,
    recipe: Recipe,
    model: BertForMaskedLM,
    blocks: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    minutes: float,
    world: World,
) -> int:
    """How many steps fit into some minutes: as noted in the plan, or measured now and noted.

    Raises:
        CourseError: the plan cannot be written.
    """
    settings = recipe.model_dump(exclude=NOT_THE_RESULT | FINE_TUNING)
    shape = [getattr(model.config, name) for name in SHAPE]
    asked = {"minutes": minutes, "recipe": settings, "shape": shape, **read_from(blocks)}
    if plan.is_file() and (noted := json.loads(plan.read_text(encoding="utf-8")))["asked"] == asked:
        return noted["steps"]
    seconds = seconds_per_step(recipe, deepcopy(model), blocks, tokenizer, world)
    steps = max(1, round(minutes * 60 / seconds))
    if world.first:
        with atomic_file(plan) as file:
            json.dump({"asked": asked, "seconds_per_step": seconds, "steps": steps}, file, ensure_ascii=False, indent=2)
    world.wait()
    return steps


def seconds_per_step(
    recipe: Recipe, model: BertForMaskedLM, blocks: Dataset, tokenizer: PreTrainedTokenizerBase, world: World
) -> float:
    """The time of a training step here, the same number on every process; the model is spoilt."""
    recipe = recipe.model_copy(update={"steps": WARM_UP + TIMED, "workers": 0})
    model.to(world.device).train()
    if recipe.compile:
        compile_encoder(model)
    stream = enumerate(shared_batches(recipe, Batches.of(recipe, blocks, tokenizer), world, 0), 1)
    with torch.random.fork_rng(devices=[]), fast_on_cpu(model):
        steps = Steps(recipe, FillIn(model, recipe), world)

        def take(count: int) -> None:
            for step, parts in islice(stream, count):
                steps.take(step, parts, learning_rate(recipe, step - 1))

        take(WARM_UP)
        return timed(world, lambda: take(TIMED)) / TIMED
