"""Two-stage distillation with TextBrewer (notebook 04).

Source: Yao et al., "MiniRBT" (arXiv:2304.00717), train.py and utils.py of the original repository;
Yang et al., "TextBrewer" (ACL 2020 demo).
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..models import Architecture, find_architecture, inherit_embeddings, load_model, load_tokenizer, take_layers
from ..recipe import Recipe
from ..text import WholeWordCollator
from .evaluation import MaskedPositions, held_out
from .loop import Losses, train
from .matches import hidden_matches
from .runs import identity, open_run, run_folder

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


STAGES = {
    "assistant": Stage("teacher", "assistant", "first layers"),
    "student": Stage("assistant", "student", "random"),
    "one-stage": Stage("teacher", "student", "random"),
}


@dataclass(frozen=True)
class Distilled:
    """What a distillation leaves: the model, its folder and the rows of ``metrics.jsonl``."""

    model: BertForMaskedLM
    folder: Path
    metrics: list[dict]


class Distiller(GeneralDistiller):
    """TextBrewer's distiller, with the MLM head on masked positions only.

    The loss is TextBrewer's own: the KD cross-entropy at ``temperature`` over the masked positions,
    plus the matches of ``hidden_matches``, plus the plain MLM loss where it has a weight.

    Args:
        teacher, student: masked language models with one vocabulary.
        recipe: weights and temperature.

    Attributes:
        projections: the trained projections of the matches, an ``nn.ModuleList``.
    """

    def __init__(self, teacher: BertForMaskedLM, student: BertForMaskedLM, recipe: Recipe):
        config = DistillationConfig(
            temperature=recipe.temperature,
            kd_loss_weight=recipe.kd_weight * (recipe.temperature**2 if recipe.temperature_squared else 1),
            hard_label_weight=recipe.hard_label_weight,
            intermediate_matches=hidden_matches(teacher.config, student.config, recipe),
        )
        device = next(student.parameters()).device
        hard = bool(recipe.hard_label_weight)
        super().__init__(
            TrainingConfig(device=device, output_dir="."),
            config,
            MaskedPositions(teacher),
            MaskedPositions(student),
            adaptor_T=adaptor(hard=False),
            adaptor_S=adaptor(hard=hard),
        )
        self.projections = nn.ModuleList(projection for projection in self.projs if projection is not None)

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """The total loss of a masked batch, and its parts by short names (``kd``, ``hidden 2-1``, ``mlm``)."""
        total, parts = self.train_on_batch(batch, {})
        return total, {short_name(name): value for name, value in parts.items()}


def adaptor(hard: bool):
    """TextBrewer's adaptor: picks what the losses need from the outputs of :class:`MaskedPositions`."""

    def adapt(batch: dict[str, Tensor], outputs: dict) -> dict:
        picked = {"logits": outputs["logits"], "hidden": outputs["hidden_states"]}
        return picked | ({"losses": outputs["loss"]} if hard else {})

    return adapt


def short_name(name: str) -> str:
    """TextBrewer's name of a loss, shortened: ``unweighted_hidden_hidden_mse_1_2`` is ``hidden 2-1``.

    The first number is the teacher's layer, the second the student's, as in the published tables.
    """
    if name.startswith("unweighted_hidden_hidden_mse_"):
        ours, theirs = name.rsplit("_", 2)[1:]
        return f"hidden {theirs}-{ours}"
    return {"unweighted_kd_loss": "kd", "unweighted_hard_label_loss": "mlm"}.get(name, name)


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
) -> Distilled:
    """Distil one stage.

    A finished run of the same recipe is loaded, not repeated; an unfinished one goes on; one of
    another recipe is moved aside (``student-1``, ``student-2`` …), so nothing is lost.

    Args:
        recipe: all settings.
        stage: one of :data:`STAGES`.
        blocks, heldout: what to train on and what to measure on (:func:`minirbt_helpers.text.build_blocks`).
        teacher: a model or folder; None: the recipe's teacher, or the result of the stage before.
        student: weights to start from; None: as the stage says.
        tokenizer: None: the one beside the recipe's teacher.
        output: folder of the result; None: ``runs/<scale>/<stage>``.
        progress: show progress bars.

    Returns:
        The student (eval mode), its folder, and one row of losses per step.

    Raises:
        CourseError: unknown stage, a missing teacher, models that do not fit the recipe or each other.
    """
    if stage not in STAGES:
        raise CourseError(f"unknown stage {stage!r}", fix=f"one of {', '.join(map(repr, STAGES))}")
    tokenizer = tokenizer or load_tokenizer(recipe.teacher)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher_model = _teacher(recipe, STAGES[stage], teacher)
    check_vocabulary(teacher_model, tokenizer)
    architecture = find_architecture(getattr(recipe, STAGES[stage].student))
    student_model = _student(recipe, STAGES[stage], student, teacher_model, architecture)
    teacher_model.to(device).eval().requires_grad_(False)
    student_model.to(device).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # the projections' random start
        distiller = Distiller(teacher_model, student_model, recipe)
    collator = WholeWordCollator(tokenizer, recipe.mask_unit, recipe.mask_probability)
    folder = Path(output) if output else run_folder(recipe, stage)
    details = {"architecture": architecture.name, "teacher": identity(teacher_model), "start": identity(student_model)}
    with open_run(folder, recipe, stage, details | {"blocks": len(blocks)}) as run:
        if run.finished:
            return Distilled(load_model(folder), folder, run.metrics())
        metrics = train(
            recipe,
            {"student": student_model, "projections": distiller.projections},
            distiller.losses,
            blocks,
            collator,
            run.working,
            lambda: held_out(student_model, heldout, tokenizer, teacher=teacher_model, temperature=recipe.temperature),
            title=stage,
            progress=progress,
        )
        run.finish(student_model, tokenizer, metrics)
    return Distilled(student_model.eval(), folder, metrics)


def _teacher(recipe: Recipe, stage: Stage, given: str | Path | BertForMaskedLM | None) -> BertForMaskedLM:
    if isinstance(given, nn.Module):
        return given
    if given is None and stage.teacher != "teacher":
        given = run_folder(recipe, stage.teacher)
        if not given.is_dir():
            raise CourseError(
                f"no {stage.teacher} to learn from",
                where=given,
                fix=f"distil the stage {stage.teacher!r} first, or name a teacher",
            )
    return load_model(given or recipe.teacher)


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
        settings = {"max_position_embeddings": teacher.config.max_position_embeddings}
        student = architecture.random_model(recipe.scale, teacher.config.vocab_size, recipe.seed, **settings)
        if recipe.inherit_embeddings:
            inherit_embeddings(student, teacher)
    else:
        student = given if isinstance(given, nn.Module) else load_model(given)
    check_shape(student, architecture, recipe)
    ours, theirs = student.config.vocab_size, teacher.config.vocab_size
    if ours != theirs:
        raise CourseError(
            f"the student has {ours} entries in its vocabulary, the teacher {theirs}",
            fix="distillation compares predictions entry by entry: both need the same vocabulary",
        )
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
            f"the model does not fit {architecture.name} at {recipe.scale} scale: "
            f"layers, hidden, FFN, heads are {found}, and the recipe asks for {wanted}",
            where=config.name_or_path,
            fix="name other weights, or another architecture or scale",
        )


def check_vocabulary(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer whose entries the model does not have.

    Raises:
        CourseError: with both sizes.
    """
    if len(tokenizer) > model.config.vocab_size:
        raise CourseError(
            f"the tokenizer has {len(tokenizer)} entries, the model {model.config.vocab_size}",
            fix="use the tokenizer that lies beside the model",
        )
