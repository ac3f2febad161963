"""Two-stage distillation with TextBrewer (notebook 04).

Source: Yao et al., "MiniRBT" (arXiv:2304.00717), train.py and utils.py of the original repository;
Yang et al., "TextBrewer" (ACL 2020 demo).
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..models import (
    Architecture,
    check_length,
    check_tokenizer,
    find_architecture,
    inherit_embeddings,
    load_model,
    load_tokenizer,
    look_at_neighbours,
    take_layers,
)
from ..models.attention import fast_on_cpu
from ..names import shown_name, shown_scale
from ..recipe import Recipe
from .batches import Batches
from .evaluation import MaskedPositions, held_out
from .loop import Losses, Watch, train
from .machine import DTYPES, World, autocast, compile_encoder, join_world
from .matches import check_matches, hidden_matches, match_loss, match_names
from .runs import identity, open_run, read_from, run_folder

if TYPE_CHECKING:
    from datasets import Dataset

with warnings.catch_warnings():  # TextBrewer compares strings with `is`
    warnings.simplefilter("ignore", SyntaxWarning)
    from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig


@dataclass(frozen=True)
class Stage:
    """A stage of distillation.

    Attributes:
        teacher: ``"teacher"`` for the recipe's teacher, or the stage whose result teaches.
        student: the field of the recipe that names the student's architecture.
        start: ``"first layers"`` of the teacher, or ``"random"``.
    """

    teacher: str
    student: str
    start: str


# What a new student has as its teacher has it: the published one 512 positions and dropout, the sample's no dropout.
FROM_TEACHER = ("max_position_embeddings", "hidden_dropout_prob", "attention_probs_dropout_prob")

# TextBrewer's names of the losses of predictions, and ours
PREDICTIONS = {"unweighted_kd_loss": "kd", "unweighted_hard_label_loss": "mlm"}

STAGES = {
    "assistant": Stage("teacher", "assistant", "first layers"),
    "student": Stage("assistant", "student", "random"),
    "one-stage": Stage("teacher", "student", "random"),
}


@dataclass(frozen=True)
class Distilled:
    """What a distillation leaves.

    Attributes:
        model: the student.
        folder: where it lies.
        metrics: the rows of ``metrics.jsonl``.
        projections: the trained projections, student's width to teacher's, one per match that has one.
    """

    model: BertForMaskedLM
    folder: Path
    metrics: list[dict]
    projections: nn.ModuleList = field(default_factory=nn.ModuleList)


class Distiller(GeneralDistiller):
    """TextBrewer's distiller, with the MLM head on masked positions only.

    The loss is TextBrewer's own: the KD cross-entropy at ``temperature`` over the masked positions,
    plus the matches (``recipe.matches``, or those of ``hidden_matches``), plus the plain MLM loss
    where it has a weight. A loss without a weight is not computed. ``attention_ce`` and ``attention_ce_mean``
    alone are not TextBrewer's (:func:`~minirbt_helpers.training.matches.maps_loss` says why).

    Args:
        teacher, student: masked language models with one vocabulary.
        recipe: weights, temperature, matches and number format.

    Attributes:
        projections: the trained projections of the matches, an ``nn.ModuleList``.

    Raises:
        CourseError: nothing to learn from, or matches that do not fit the models.
    """

    def __init__(self, teacher: BertForMaskedLM, student: BertForMaskedLM, recipe: Recipe):
        matches = recipe.matches
        if matches is None:
            matches = hidden_matches(teacher.config, student.config, recipe)
        check_matches(matches, teacher.config, student.config)
        hard, soft = bool(recipe.hard_label_weight), bool(recipe.kd_weight)
        if not (matches or hard or soft):
            raise CourseError("nothing to learn from: every loss has weight 0", fix="give one of them a weight")
        attentions = any(match["feature"] == "attention" for match in matches)
        if attentions:  # only eager attention hands its matrices on
            for model in (teacher, student):
                model.set_attn_implementation("eager")
        config = DistillationConfig(
            temperature=recipe.temperature,
            kd_loss_weight=recipe.kd_weight * (recipe.temperature**2 if recipe.temperature_squared else 1),
            hard_label_weight=recipe.hard_label_weight,
            intermediate_matches=deepcopy(matches),  # TextBrewer appends to them
        )
        device = student.device
        super().__init__(
            TrainingConfig(device=device, output_dir="."),
            config,
            MaskedPositions(teacher, soft, attentions),
            MaskedPositions(student, soft or hard, attentions),
            adaptor_T=self.teaching if soft else self.states,
            adaptor_S=self.answer,
        )
        self.recipe, self.hard, self.soft = recipe, hard, soft
        self.matches, config.intermediate_matches = matches, []  # TextBrewer has made the projections: the sum is ours
        self.kd_loss = self.soft_loss
        self.projections = nn.ModuleList(projection for projection in self.projs if projection is not None)
        self.per_masked: Tensor | float | None = None

    def losses(self, batch: dict[str, Tensor], per_masked: Tensor | float | None = None) -> Losses:
        """The total loss of a masked batch, and its parts by short names (``kd``, ``hidden 2-1``, ``mlm``).

        Args:
            batch: what the collator makes, on the models' device.
            per_masked: weight of one masked position in ``kd`` and ``mlm``; None: one over their number,
                which makes the loss a mean. A micro-batch gets its share of the whole batch's mean.
        """
        self.per_masked = per_masked
        return self.train_on_batch({"teacher": batch, "student": batch, "teacher_cache": self.teach(batch)}, {})

    @torch.no_grad()
    def teach(self, batch: dict[str, Tensor]) -> dict:
        """The frozen teacher's outputs, in the format its weights have."""
        return self.model_T(**batch)

    def train_on_batch(self, batch: dict, args: dict) -> Losses:
        """TextBrewer's, in the recipe's number format."""
        with autocast(self.recipe, self.t_config.device):
            return super().train_on_batch(batch, args)

    def compute_loss(self, ours: dict, theirs: dict) -> Losses:
        """TextBrewer's losses of predictions, then those of the matches, each under a name of its own.

        TextBrewer's own sum returns two matches of the same layers by the same loss under one name.
        """
        total, found = super().compute_loss(ours, theirs)
        parts = {PREDICTIONS[name]: value for name, value in found.items()}
        for name, match, projection in zip(match_names(self.matches), self.matches, self.projs, strict=True):
            parts[name] = match_loss(match, ours[match["feature"]], theirs[match["feature"]], projection)
            total = total + parts[name] * match["weight"]
        return total, parts

    def states(self, batch: dict[str, Tensor], outputs: dict) -> dict:
        """TextBrewer's adaptor: what the matches need from the outputs of :class:`MaskedPositions`."""
        return {"hidden": outputs["hidden_states"], "attention": outputs["attentions"]}

    def teaching(self, batch: dict[str, Tensor], outputs: dict) -> dict:
        """The adaptor of a teacher whose predictions are learned, too."""
        return self.states(batch, outputs) | {"logits": outputs["logits"]}

    def answer(self, batch: dict[str, Tensor], outputs: dict) -> dict:
        """The student's adaptor: what the losses that have a weight need."""
        picked = self.states(batch, outputs)
        if self.soft:
            picked["logits"] = outputs["logits"]
        if self.hard:
            loss = F.cross_entropy(outputs["logits"].float(), outputs["labels"], reduction="sum")
            picked["losses"] = loss * self.weight_of(outputs["logits"])
        return picked

    def soft_loss(self, student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
        """TextBrewer's ``kd_ce_loss`` of logits [masked, vocabulary], computed in float32."""
        loss = SoftCrossEntropy.apply(student_logits.float(), teacher_logits.float(), temperature)
        return loss * self.weight_of(student_logits)

    def weight_of(self, logits: Tensor) -> Tensor | float:
        """The weight of each masked position of logits [masked, vocabulary]."""
        if self.per_masked is not None:
            return self.per_masked
        if not len(logits):
            raise CourseError("no position of this batch is masked", fix="mask it with a WholeWordCollator")
        return 1 / len(logits)


class SoftCrossEntropy(torch.autograd.Function):
    """Sum over rows of the cross-entropy between teacher's and student's softened predictions.

    Its gradient, ``(q - p) / temperature``, is made in the forward pass, so that one array of the
    logits' size is kept and not four.
    """

    @staticmethod
    def forward(ctx, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        log_q = (student / temperature).log_softmax(-1)  # [rows, vocabulary]
        p = (teacher / temperature).softmax(-1)
        loss = -(p * log_q).sum()
        ctx.save_for_backward(log_q.exp_().sub_(p).div_(temperature))
        return loss

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * gradient, None, None


class Pupil(nn.Module):
    """What a distillation trains, student and projections, in one module, so that DDP sees all of it.

    The teacher is not part of it: it has no gradients to share.
    """

    def __init__(self, distiller: Distiller, student: BertForMaskedLM):
        super().__init__()
        self.student, self.projections = student, distiller.projections
        self.predicts = distiller.soft or distiller.hard  # else the MLM head is not trained
        self._losses = distiller.losses

    def forward(self, batch: dict[str, Tensor], per_masked: Tensor | float | None = None) -> Losses:
        """The losses of a batch, as :meth:`Distiller.losses`."""
        return self._losses(batch, per_masked)


def distill(
    recipe: Recipe,
    stage: str,
    *,
    blocks: Dataset,
    heldout: Dataset,
    teacher: str | Path | BertForMaskedLM | None = None,
    student: str | Path | BertForMaskedLM | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    output: str | Path | None = None,
    progress: bool = True,
    watch: Watch | None = None,
) -> Distilled:
    """Distil one stage.

    A finished run of the same recipe is loaded, not repeated; an unfinished one goes on; one of
    another recipe is moved aside (``student-1``, ``student-2`` …), so nothing is lost. Under
    ``torchrun`` the processes share every batch.

    Args:
        recipe: all settings.
        stage: one of :data:`STAGES`.
        blocks, heldout: what to train on and what to measure on (:func:`minirbt_helpers.text.build_blocks`).
        teacher: a model (it is not changed) or folder; None: the recipe's teacher, or the result of the stage before.
        student: weights to start from; None: as the stage says. Use the model that comes back: a given one is trained
            in place, but left as it is where the run was finished before.
        tokenizer: None: the one beside the recipe's teacher.
        output: folder of the result; None: ``runs/<scale>/<stage>``.
        progress: show progress bars.
        watch: called with all rows of metrics at every evaluation, or once for a run that is loaded
            (``insight.LiveLosses``).

    Returns:
        The student (eval mode), its folder, and one row of losses per step.

    Raises:
        CourseError: unknown stage, a missing teacher, models that do not fit the recipe, the tokenizer or each other.
    """
    ready = prepare(recipe, stage, teacher, student, tokenizer)
    folder = Path(output) if output else run_folder(recipe, stage)
    with open_run(folder, recipe, stage, ready.details | read_from(blocks), ready.world) as run:
        if run.finished:
            metrics = run.metrics()
            if watch and ready.world.first:
                watch(metrics)
            return Distilled(load_model(folder), folder, metrics, run.projections(ready.pupil.projections))
        with fast_on_cpu(ready.teacher, ready.student):
            metrics = train(
                recipe,
                ready.pupil,
                ready.batches(recipe, blocks),
                run.working,
                lambda: ready.held_out(recipe, heldout),
                ready.world,
                title=shown_name(stage),
                progress=progress,
                watch=watch,
            )
        run.finish(ready.student, ready.tokenizer, metrics, ready.pupil.projections)
    return Distilled(ready.student.eval(), folder, metrics, ready.pupil.projections.requires_grad_(False))


@dataclass(frozen=True)
class Ready:
    """A stage made ready to run.

    Attributes:
        world: the processes that share it.
        tokenizer: of teacher and student.
        teacher, student: on the device; the teacher in the recipe's number format.
        pupil: what is trained.
        details: what makes it this run and no other, beside the recipe and the blocks.
    """

    world: World
    tokenizer: PreTrainedTokenizerBase
    teacher: BertForMaskedLM
    student: BertForMaskedLM
    pupil: Pupil
    details: dict[str, str]

    def batches(self, recipe: Recipe, blocks: Dataset) -> Batches:
        """The micro-batches of the run."""
        return Batches.of(recipe, blocks, self.tokenizer)

    def held_out(self, recipe: Recipe, blocks: Dataset) -> dict[str, float]:
        """The student's figures on held-out blocks, beside its teacher."""
        return held_out(self.student, blocks, self.tokenizer, teacher=self.teacher, temperature=recipe.temperature)


def prepare(
    recipe: Recipe,
    stage: str,
    teacher: str | Path | BertForMaskedLM | None = None,
    student: str | Path | BertForMaskedLM | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Ready:
    """Load, check and place what :func:`distill` needs; arguments and errors as there."""
    if stage not in STAGES:
        raise CourseError(
            "unknown stage {stage!r}", fix="one of {names}", stage=stage, names=", ".join(map(repr, STAGES))
        )
    world = join_world()
    tokenizer = tokenizer or load_tokenizer(recipe.teacher)
    teacher_model = _teacher(recipe, STAGES[stage], teacher)
    check_tokenizer(teacher_model, tokenizer)
    architecture = find_architecture(getattr(recipe, STAGES[stage].student))
    student_model = _student(recipe, STAGES[stage], student, teacher_model, architecture)
    for one in (teacher_model, student_model):
        check_length(one.config, recipe.length)
    start = STAGES[stage].start  # of a new student; its last bits differ from machine to machine, and are not the run's
    if student is not None:
        check_tokenizer(student_model, tokenizer)
        start = identity(student_model)
    details = {"architecture": architecture.name, "teacher": identity(teacher_model), "start": start}
    student_model.to(world.device).train()
    teacher_model = frozen(teacher_model, teacher_model is teacher, recipe, world.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # the projections' random start
        pupil = Pupil(Distiller(teacher_model, student_model, recipe), student_model)
    if recipe.compile:
        compile_encoder(teacher_model)
        compile_encoder(student_model)
    return Ready(world, tokenizer, teacher_model, student_model, pupil, details)


def frozen(teacher: BertForMaskedLM, keep: bool, recipe: Recipe, device: torch.device) -> BertForMaskedLM:
    """The teacher as it teaches: without gradients, in the recipe's number format; a given one is copied."""
    teacher = deepcopy(teacher) if keep else teacher
    return teacher.to(device, DTYPES[recipe.precision]).eval().requires_grad_(False)


def _teacher(recipe: Recipe, stage: Stage, given: str | Path | BertForMaskedLM | None) -> BertForMaskedLM:
    if isinstance(given, nn.Module):
        return given
    if given is None and stage.teacher != "teacher":
        given = run_folder(recipe, stage.teacher)
        if not given.is_dir():
            raise CourseError(
                "no {teacher} to learn from",
                where=given,
                fix="distil the stage {teacher!r} first, or name a teacher",
                teacher=stage.teacher,
            )
    return load_model(given or recipe.teacher, teaches=bool(recipe.kd_weight))


def _student(
    recipe: Recipe,
    stage: Stage,
    given: str | Path | BertForMaskedLM | None,
    teacher: BertForMaskedLM,
    architecture: Architecture,
) -> BertForMaskedLM:
    shape = architecture.shape(recipe.scale)
    if given is None and stage.start == "first layers":
        student = take_layers(teacher, range(min(shape.layers, teacher.config.num_hidden_layers)))
    elif given is None:
        student = newborn(recipe, architecture, teacher)
    else:
        student = given if isinstance(given, nn.Module) else load_model(given)
    check_shape(student, architecture, recipe)
    ours, theirs = student.config.vocab_size, teacher.config.vocab_size
    if ours != theirs:
        raise CourseError(
            "the student has {ours} entries in its vocabulary, the teacher {theirs}",
            fix="distillation compares predictions entry by entry: both need the same vocabulary",
            ours=ours,
            theirs=theirs,
        )
    return student


def newborn(recipe: Recipe, architecture: Architecture, teacher: BertForMaskedLM) -> BertForMaskedLM:
    """A student that knows nothing yet, but for the embeddings and the first heads that the recipe may give it."""
    settings = {name: getattr(teacher.config, name) for name in FROM_TEACHER}
    student = architecture.random_model(recipe.scale, teacher.config.vocab_size, recipe.seed, **settings)
    if recipe.inherit_embeddings:
        inherit_embeddings(student, teacher)
    if recipe.neighbour_heads:
        look_at_neighbours(student)
    return student


def check_shape(model: BertForMaskedLM, architecture: Architecture, recipe: Recipe) -> None:
    """Refuse a model that is not of the architecture.

    Raises:
        CourseError: with both shapes.
    """
    shape, config = architecture.shape(recipe.scale), model.config
    wanted = (shape.layers, shape.hidden, shape.ffn, shape.heads)
    found = (config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads)
    if found != wanted:
        raise CourseError(
            "the model does not fit {name} at {scale}: layers, hidden, FFN, heads are {found}, "
            "and the recipe asks for {wanted}",
            where=config.name_or_path,
            fix="name other weights, or another architecture or scale",
            name=architecture.name,
            scale=shown_scale(recipe.scale),
            found=found,
            wanted=wanted,
        )
