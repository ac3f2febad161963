"""The recipe: every setting of a run, at two scales, as data.

``full`` is the published recipe (README of iflytek/MiniRBT); ``sample`` is the same at a quarter of
every width and with few steps, and names each departure.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import CourseError
from .language import _
from .workspace import default_runs


def _read_matches(given: object) -> object:
    """JSON text, or a file of it, as a command line gives it; anything else as it is."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        return json.loads(given)
    file = Path(given).expanduser()
    if not file.is_file():
        raise ValueError(_("neither a JSON list nor a file that exists"))
    return json.loads(file.read_text(encoding="utf-8"))


Matches = Annotated[list[dict], BeforeValidator(_read_matches)]


class Recipe(BaseModel):
    """All settings of a run. Made by :func:`load_recipe`; frozen, and strict about names and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    scale: Literal["sample", "full"] = Field(description="sample: minutes on a laptop; full: the published recipe")
    seed: int = Field(default=0, ge=0, description="seed of every random choice")
    output_dir: str = Field(description="where runs are kept, as <output_dir>/<scale>/<stage>")

    teacher: str = Field(description="teacher: a folder or a hub id")
    segmenter: str = Field(description="LTP word segmenter: a folder or a hub id")
    text: str = Field(description="training text: a file, a folder of *.txt, of blocks, or hf://datasets/…")
    heldout: str = Field(description="held-out text: a file or a folder of *.txt")
    task_dir: str = Field(description="folder with the fine-tuning tasks, one sub-folder each")
    assistant: str = Field(
        default="RBT6", description="architecture of the teacher assistant, or its shape: 6x768x3072x12"
    )
    student: str = Field(default="MiniRBT-H256", description="architecture of the student, or its shape: 6x256x1024x8")

    length: int = Field(ge=4, description="tokens per block")
    mask_unit: Literal["word", "token", "both"] = Field(
        default="word",
        description="what is masked as one; both: words in half of the blocks, tokens in the others (a new model's "
        "phases have their own)",
    )
    mask_probability: float = Field(default=0.15, gt=0, lt=1, description="share of tokens chosen for prediction")
    mask_budget: Literal["published", "fair"] = Field(
        description="published: passes over words that do not fit; fair: all words have nearly the same chance"
    )

    steps: int = Field(ge=1, description="optimiser steps of a distillation stage")
    batch_size: int = Field(ge=1, description="blocks per optimiser step")
    micro_batch: int = Field(ge=1, description="blocks per forward pass; divides batch_size")
    optimizer: Literal["adamw", "muon"] = Field(
        description="adamw, or muon on the encoder's matrices (fine-tuning: adamw)"
    )
    learning_rate: float = Field(gt=0, description="highest learning rate")
    warmup: float = Field(default=0.1, ge=0, le=1, description="share of the steps in which it rises")
    decay: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the steps in which it falls to 0 (a new model's phases and fine-tuning have their own)",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="none on biases and LayerNorm")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")

    temperature: float = Field(gt=0, description="softens teacher and student in the KD loss")
    kd_weight: float = Field(default=1.0, ge=0, description="weight of the KD loss")
    temperature_squared: bool = Field(description="multiply the KD loss by temperature squared")
    hidden_weight: float = Field(default=1.0, ge=0, description="weight of each hidden-state match")
    hard_label_weight: float = Field(description="weight of the plain MLM loss", ge=0)
    project_equal_widths: bool = Field(description="a projection also where teacher and student are equally wide")
    inherit_embeddings: bool = Field(description="a random student's embeddings start from its teacher's")
    neighbour_heads: bool = Field(description="a random student's first heads look one token back and one ahead")
    matches: Matches | None = Field(
        default=None,
        description="TextBrewer's intermediate_matches, as JSON or a .json file; None: evenly spread hidden states",
    )

    precision: Literal["fp32", "bf16", "fp16"] = Field(
        description="number format of the forward and backward pass (fine-tuning: fp32)"
    )
    compile: bool = Field(default=False, description="torch.compile for the two models; pays in long runs on a GPU")
    workers: int = Field(
        ge=0, description="processes that prepare batches; 0: the training process itself, as fine-tuning always"
    )
    tensorboard: bool = Field(default=False, description="write the metrics for TensorBoard, too")

    evaluate_every: int = Field(ge=1, description="steps between two looks at held-out text")
    checkpoint_every: int = Field(ge=1, description="steps between two checkpoints")

    epochs: int = Field(ge=1, description="fine-tuning epochs")
    task_batch_size: int = Field(default=32, ge=1, description="fine-tuning batch")
    task_length: int = Field(default=128, ge=8, description="most tokens of a fine-tuning example")
    task_learning_rate: float | None = Field(
        default=None, gt=0, description="None: the published one for the model's size"
    )
    task_attention_dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout inside fine-tuning's attention")
    task_rows: int | None = Field(default=None, ge=1, description="train on the first rows only; None: on all")


SCALES: dict[str, dict] = {
    "full": dict(
        teacher="hfl/chinese-roberta-wwm-ext",
        segmenter="LTP/small",
        text="data/text",
        heldout="data/heldout",
        task_dir="data/tasks",
        length=512,
        mask_budget="published",
        steps=100_000,
        batch_size=4096,
        micro_batch=32,
        optimizer="adamw",
        learning_rate=4e-4,
        temperature=8.0,
        temperature_squared=False,
        hard_label_weight=0.0,
        project_equal_widths=True,
        inherit_embeddings=False,
        neighbour_heads=False,
        precision="bf16",
        workers=4,
        evaluate_every=1000,
        checkpoint_every=1000,
        epochs=3,
        task_length=512,
    ),
    "sample": dict(
        teacher="data_samples/models/teacher",
        segmenter="data_samples/models/segmenter",
        text="data_samples/corpus/train",
        heldout="data_samples/corpus/heldout",
        task_dir="data_samples/tasks",
        length=128,
        mask_budget="fair",
        steps=60,
        batch_size=16,
        micro_batch=16,
        optimizer="muon",
        learning_rate=1e-3,
        temperature=1.0,  # benchmarks/results/students.md and live.md compare it with the published 8
        temperature_squared=True,
        hard_label_weight=1.0,
        project_equal_widths=False,
        inherit_embeddings=True,
        neighbour_heads=True,
        precision="fp32",
        workers=0,
        evaluate_every=20,
        checkpoint_every=20,
        epochs=3,
        task_attention_dropout=0.0,  # it takes a CPU a third of its time
    ),
}
# The settings in which the sample scale departs from the published recipe, sizes and steps apart.
DEPARTURES = (
    "mask_budget",
    "optimizer",
    "learning_rate",
    "temperature",
    "temperature_squared",
    "hard_label_weight",
    "project_equal_widths",
    "inherit_embeddings",
    "neighbour_heads",
)
# What notebook 04's live students change at sample scale: few tokens, in many and small steps. The student's first
# guess on held-out sample text, whole words, seed 0: 9.0% after 200 steps of 2 blocks (with AdamW 8.1%); after 120
# steps of 4 blocks it is not told apart from that of the commonest token.
LIVE: dict[str, float] = dict(
    steps=240,
    batch_size=2,
    micro_batch=2,
    learning_rate=3e-3,
    evaluate_every=80,
    checkpoint_every=240,
)


def live_recipe(recipe: Recipe) -> Recipe:
    """The recipe of a distillation that one watches: :data:`LIVE` at sample scale, where no other value was chosen."""
    if recipe.scale != "sample":
        return recipe
    usual = load_recipe("sample")
    chosen = {name for name in LIVE if getattr(recipe, name) != getattr(usual, name)}
    if chosen & {"batch_size", "micro_batch"}:  # the one divides the other
        chosen |= {"batch_size", "micro_batch"}
    return recipe.model_copy(update={name: value for name, value in LIVE.items() if name not in chosen})


def load_recipe(scale: str = "sample", **overrides: object) -> Recipe:
    """The recipe of a scale, with settings of your own.

    Args:
        scale: ``"sample"`` or ``"full"``.
        overrides: fields of :class:`Recipe`; None stands for the scale's own value.

    Raises:
        CourseError: unknown scale, unknown field or a value of the wrong type, each with what exists.
    """
    if scale not in SCALES:
        raise CourseError(
            "unknown SCALE {scale!r}", fix="one of {names}", scale=scale, names=", ".join(map(repr, SCALES))
        )
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        recipe = Recipe(**{"scale": scale, "output_dir": str(default_runs()), **SCALES[scale], **given})
    except ValidationError as problem:
        raise CourseError(_explain(problem), fix=_advice(problem)) from None
    if recipe.batch_size % recipe.micro_batch:
        if "micro_batch" in given:
            raise CourseError(
                "micro_batch {part} does not divide batch_size {whole}: {whole} / {part} = {quotient:.2f}",
                fix="choose a divisor of batch_size",
                part=recipe.micro_batch,
                whole=recipe.batch_size,
                quotient=recipe.batch_size / recipe.micro_batch,
            )
        fitting = max(size for size in range(1, recipe.micro_batch + 1) if recipe.batch_size % size == 0)
        recipe = recipe.model_copy(update={"micro_batch": fitting})
    return recipe


def recipe_from_notebook(namespace: Mapping[str, object]) -> Recipe:
    """The recipe of a notebook: every name in capitals that its parameters cell (or papermill) has set.

    ``STEPS = 20`` sets the field ``steps``; None leaves the scale's own value.

    Args:
        namespace: ``globals()`` of the notebook.

    Raises:
        CourseError: as :func:`load_recipe`, and when ``SCALE`` is missing.
    """
    # Only plain values are knobs: imported modules and tables (F, PALETTE) may stand there when the cell is run again.
    # LANGUAGE is no setting of a run: it changes labels and messages alone (see language.py).
    knobs = {
        name.lower(): value
        for name, value in namespace.items()
        if name.isupper() and name != "LANGUAGE" and not name.startswith("_")
        if isinstance(value, str | int | float | list | None)
    }
    if "scale" not in knobs:
        raise CourseError("no SCALE", fix='run the parameters cell first (SCALE = "sample")')
    return load_recipe(**knobs)


def parameters_table() -> str:
    """Every parameter of the notebooks in Markdown, with its value at both scales (docs/parameters.md)."""
    scales = [load_recipe(scale, output_dir="runs") for scale in ("sample", "full")]
    rows = [f"| {_('parameter')} | sample | full | |", "|---|---|---|---|"]
    for name, field in Recipe.model_fields.items():
        values = " | ".join(f"`{getattr(recipe, name)}`" for recipe in scales)
        rows.append(f"| `{name.upper()}` | {values} | {_(field.description).replace('<', '&lt;')} |")
    return "\n".join(rows)


def _explain(problem: ValidationError) -> str:
    lines = []
    for error in problem.errors():
        name, value = ".".join(map(str, error["loc"])), error["input"]
        if error["type"] == "extra_forbidden":
            lines.append(_("unknown parameter {name} (= {value!r})").format(name=name.upper(), value=value))
        else:
            lines.append(f"{name.upper()} = {value!r} ({type(value).__name__}): {error['msg'].lower()}")
    return "; ".join(lines)


def _advice(problem: ValidationError) -> str:
    """What to do about the first parameter that is wrong."""
    errors = problem.errors()
    if any(error["type"] == "extra_forbidden" for error in errors):
        return _("the parameters are {names}").format(names=", ".join(name.upper() for name in Recipe.model_fields))
    error = errors[0]
    name, given = error["loc"][0].upper(), error["input"]
    number = _as_number(given)
    if error["type"] == "int_type" and number is not None and number.is_integer():
        said = _("a whole number, without point and exponent: {name} = {number}")
        return said.format(name=name, number=int(number))
    if error["type"] == "int_type":
        return _("a whole number, such as {name} = 100").format(name=name)
    if error["type"] == "float_type" and number is not None:
        said = _("YAML takes {given} for text: write it with a decimal point, {name}: {number}")
        return said.format(given=given, name=name, number=_with_point(str(given)))
    if error["type"] == "float_type":
        return _("a number, such as {name} = 0.1").format(name=name)
    if error["type"] == "string_type" and number is not None:
        said = _("a text; papermill's -p makes a number of {given}, and -r keeps it a text: -r {name} {given}")
        return said.format(name=name, given=given)
    if error["type"] == "bool_type":
        return _("a truth value; papermill's -p passes true as text: use -y '{name}: true'").format(name=name)
    return _("see what {name} may be: minirbt distill --help").format(name=name)


def _as_number(given: object) -> float | None:
    try:
        return None if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        return None


def _with_point(number: str) -> str:
    """A number as every YAML reader takes it for one: ``1e-4`` is ``1.0e-4``."""
    digits, letter, power = number.lower().partition("e")
    return f"{digits}{'' if '.' in digits else '.0'}{letter}{power}"
