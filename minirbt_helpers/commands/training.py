"""From blocks to models: ``minirbt init``, ``pretrain``, ``distill``, ``evaluate``."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..course import Lesson
from ..errors import CourseError
from ..language import _
from ..recipe import Recipe
from .options import app, with_recipe

LAYERS = "layers.json"  # what `minirbt init` took, and the mark by which its folders are known


@app.command()
@with_recipe
def init(
    recipe: Recipe,
    output: Annotated[Path, typer.Argument(help="folder for the model")],
    layers: Annotated[str, typer.Option(help="which layers of the teacher, such as 0,1,2,3,4,5")] = "0,1,2,3,4,5",
) -> None:
    """Start a teacher assistant from some of the teacher's layers."""
    from ..hub import save_tokenizer
    from ..models import load_model, load_tokenizer, take_layers
    from ..workspace import MODEL_FILES, atomic_folder, check_folder, write_json

    check_folder(output, "minirbt init", [LAYERS], MODEL_FILES)
    try:
        chosen = [int(layer) for layer in layers.split(",")]
    except ValueError:
        raise CourseError(
            "--layers {layers!r} is not a list of numbers", fix="for example 0,1,2,3,4,5", layers=layers
        ) from None
    model = take_layers(load_model(recipe.teacher), chosen)
    with atomic_folder(output) as folder:
        model.save_pretrained(folder)
        save_tokenizer(load_tokenizer(recipe.teacher), folder)
        write_json(folder / LAYERS, {"teacher": recipe.teacher, "layers": chosen})
    said = _("layers {layers} of {teacher}: {folder}")
    print(said.format(layers=chosen, teacher=recipe.teacher, folder=output))


@app.command()
@with_recipe
def pretrain(
    recipe: Recipe,
    model: Annotated[
        str | None, typer.Option(help="a folder or a hub id to train on; default: a new model, grown layer by layer")
    ] = None,
    architecture: Annotated[str, typer.Option(help="of a new model")] = "RoBERTa-wwm-ext",
    minutes: Annotated[
        float | None, typer.Option(help="how long a new model may train; default: --steps", min=0.01)
    ] = None,
    output: Annotated[Path | None, typer.Option(help="folder for the model; default runs/<scale>/pretrained")] = None,
) -> None:
    """Train a model to fill in masked words, without a teacher; run it again to go on after an interruption."""
    from ..models import find_architecture
    from ..training import grow, join_world
    from ..training import pretrain as run

    lesson, world = Lesson(recipe), join_world()
    if model and minutes:
        raise CourseError("--minutes is for a new model", fix="with --model, say how long by --steps")
    if model:
        with world.first_before_others():
            texts = {"blocks": lesson.blocks, "heldout": lesson.heldout}
        done = run(recipe, model, **texts, tokenizer=lesson.tokenizer, output=output)
    else:
        family = find_architecture(architecture)
        done = grow(recipe, family, texts=lesson.blocks_of, tokenizer=lesson.tokenizer, output=output, minutes=minutes)
    if world.first:
        _report(done)


@app.command()
@with_recipe
def distill(
    recipe: Recipe,
    stage: Annotated[str, typer.Option(help="assistant, student or one-stage")] = "assistant",
    blocks: Annotated[Path | None, typer.Option(help="blocks of `minirbt pack`; default: made from --text")] = None,
    heldout_blocks: Annotated[Path | None, typer.Option(help="the same for held-out text")] = None,
    from_teacher: Annotated[str | None, typer.Option(help="teacher of this stage; default: as the stage says")] = None,
    student_weights: Annotated[
        str | None, typer.Option(help="where the student starts; default: as the stage says")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="folder for the student; default runs/<scale>/<stage>")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check all, time some steps, print hours, memory and disk, and stop")
    ] = False,
) -> None:
    """Distil one stage; run it again to go on after an interruption. On many GPUs: torchrun -m minirbt_helpers …"""
    from ..text import load_blocks
    from ..training import distill as run
    from ..training import dry_run as try_out
    from ..training import join_world

    lesson, world = Lesson(recipe), join_world()
    with world.first_before_others():  # the first process makes the blocks, the others find them
        made = recipe.length, lesson.tokenizer  # how blocks must have been packed
        texts = {
            "blocks": load_blocks(blocks, *made) if blocks else lesson.blocks,
            "heldout": load_blocks(heldout_blocks, *made) if heldout_blocks else lesson.heldout,
        }
    arguments = texts | {"teacher": from_teacher, "student": student_weights, "output": output}
    if dry_run:
        found = try_out(recipe, stage, **arguments)
        if world.first:
            print(found)
        return
    done = run(recipe, stage, **arguments)
    if world.first:
        _report(done)


def _report(result) -> None:
    figures = {
        name: value for name, value in result.metrics[-1].items() if name in ("step", "loss", "top1", "top5", "kd_loss")
    }
    print(json.dumps(figures))
    print(_("model: {folder}").format(folder=result.folder))


@app.command()
@with_recipe
def evaluate(
    recipe: Recipe,
    model: Annotated[str, typer.Argument(help="a folder or a hub id")],
    unit: Annotated[Literal["word", "token"], typer.Option(help="mask whole words or single tokens")] = "word",
) -> None:
    """Measure how often a model fills in masked words of the held-out text."""
    from ..models import check_tokenizer, load_model
    from ..training import held_out

    lesson, measured = Lesson(recipe), load_model(model)
    check_tokenizer(measured, lesson.tokenizer)
    print(json.dumps(held_out(measured, lesson.heldout, lesson.tokenizer, unit=unit, limit=None)))
