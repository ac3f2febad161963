"""Fine-tuned models: ``minirbt finetune``, ``predict``, ``export``, ``sweep``."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CourseError
from ..language import _
from ..names import shown_name
from ..recipe import Recipe
from .options import KnownMarks, app, named, named_models, with_recipe

if TYPE_CHECKING:
    from ..tasks import Finetuned


@app.command()
@with_recipe
def finetune(
    recipe: Recipe,
    task: Annotated[str, typer.Argument(help="one of the seven tasks, or a name of your own with --train and --dev")],
    model: Annotated[str, typer.Option(help="a folder, a hub id, or random:<architecture>")],
    train: Annotated[Path | None, typer.Option(help="your own rows: TSV, JSON lines, or SQuAD-like JSON")] = None,
    dev: Annotated[Path | None, typer.Option(help="your own rows to score")] = None,
    text_column: Annotated[
        str | None, typer.Option(help="their column with the text; none: they are questions")
    ] = None,
    pair_column: Annotated[str | None, typer.Option(help="their column with the second text")] = None,
    label_column: Annotated[str, typer.Option(help="their column with the label")] = "label",
    taught_by: Annotated[Path | None, typer.Option(help="a fine-tuned model of the task that teaches this one")] = None,
    output: Annotated[Path | None, typer.Option(help="folder for the fine-tuned model and result.json")] = None,
    known_marks: KnownMarks = False,
) -> None:
    """Fine-tune a model on a task and print its scores on the dev rows."""
    from ..tasks import Finetuned, Layout, own_task
    from ..tasks import finetune as run
    from ..tasks.finetuned import check_output

    if output:
        check_output(output)
    if (text_column or pair_column) and not train:
        raise CourseError("--text-column and --pair-column are for your own rows", fix="name them: --train and --dev")
    if bool(train) != bool(dev):
        raise CourseError("--train without --dev, or the other way round", fix="name both files")
    if train and dev:
        task = own_task(task, train, dev, Layout(text_column, pair_column, label_column) if text_column else None)
    teacher = Finetuned.load(taught_by) if taught_by else None
    start, tokenizer = _start(recipe, model, known_marks)
    result = run(recipe, task, start, tokenizer, teacher=teacher)
    print(json.dumps(result.result(), ensure_ascii=False), flush=True)  # even if it cannot be saved
    if output:
        result.save(output)
    _warn_of_overlap(recipe, result)


def _warn_of_overlap(recipe: Recipe, tuned: "Finetuned") -> None:
    """Say how many dev rows stand in the train rows, if any do, and what the score is without them."""
    from ..tasks import overlap
    from ..tasks.finetuning import used_rows
    from ..tasks.metrics import mean_score

    found = overlap(*used_rows(recipe, tuned.task))
    if len(found.unseen) == found.rows:
        return
    scores = tuned.by_row[tuned.task.metric]
    rest = mean_score(scores[row] for row in found.unseen)
    without = _("; {measure} without them: {score:.1%}").format(measure=_(tuned.task.metric), score=rest)
    typer.echo(str(found) if math.isnan(rest) else f"{found}{without}", err=True)


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(help="what `minirbt finetune --output` wrote")],
    rows: Annotated[Path, typer.Argument(help="a file of the task's form, with or without labels")],
    output: Annotated[Path, typer.Argument(help="the predictions, as the task's publisher wants them")],
) -> None:
    """Predict the rows of a file with a fine-tuned model, and score them if they have labels."""
    from ..tasks import Finetuned

    if output.resolve() == rows.resolve():
        raise CourseError("the predictions would take the place of the rows", where=output, fix="name another file")
    tuned = Finetuned.load(folder)
    table = tuned.task.read(rows, labelled=False)
    guesses = tuned.write_predictions(output, table)
    print(_("{count:,} predictions: {file}").format(count=len(table), file=output))
    if tuned.can_measure(table):
        print(json.dumps(tuned.measure(table, guesses)))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="what `minirbt finetune --output` wrote")],
    output: Annotated[Path, typer.Argument(help="the ONNX file to write")],
    int8: Annotated[bool, typer.Option(help="with 8-bit weights, from the same export")] = False,
    prune_vocabulary: Annotated[
        bool,
        typer.Option(
            "--prune-vocabulary",
            help="without the entries that no text can give; the tokenizer with their new numbers is written beside it",
        ),
    ] = False,
) -> None:
    """Write a fine-tuned model as ONNX, for onnxruntime; where OUTPUT does not end in .onnx, as a folder for torch."""
    from ..models import prune_vocabulary as prune
    from ..tasks import Finetuned, export_onnx, quantize_onnx

    tuned = Finetuned.load(folder)
    if output.suffix != ".onnx" and (int8 or not prune_vocabulary):
        raise CourseError("not the name of an ONNX file", where=output, fix="name it ….onnx")
    if prune_vocabulary:
        before = len(tuned.tokenizer)
        model, tokenizer = prune(tuned.model, tuned.tokenizer)
        tuned = replace(tuned, model=model, tokenizer=tokenizer)
        said = _("{kept:,} of {count:,} entries of the vocabulary are kept")
        print(said.format(kept=len(tokenizer), count=before))
    if output.suffix != ".onnx":
        tuned.save(output)
        print(f"{(output / 'model.safetensors').stat().st_size / 1e6:.1f} MB: {output}")
        return
    file = export_onnx(tuned.model, output)
    if int8:
        quantize_onnx(file, file)
    if prune_vocabulary:
        words = output.with_suffix(".tokenizer.json")
        tuned.tokenizer.backend_tokenizer.save(str(words))
        print(_("its tokenizer: {file}").format(file=words))
    print(f"{file.stat().st_size / 1e6:.1f} MB: {file}")


@app.command()
@with_recipe
def sweep(
    recipe: Recipe,
    output: Annotated[Path, typer.Argument(help="results, a JSON line per run; the tables go beside it, as .md")],
    model: Annotated[list[str], typer.Option(help="name=folder, name=hub id or name=random:<architecture>; repeat")],
    task: Annotated[list[str] | None, typer.Option(help="a task; repeat; default: all seven")] = None,
    rate: Annotated[
        list[str] | None, typer.Option(help="learning rate to try, or model=rate; repeat; default: as published")
    ] = None,
    try_epochs: Annotated[
        list[int] | None, typer.Option(min=1, help="epochs to try; repeat; default: 2, 3, 5, 10")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="seeds per setting")] = 3,
    taught_by: Annotated[str | None, typer.Option(help="the model that teaches the others on every task")] = None,
    try_temperatures: Annotated[
        list[float] | None, typer.Option(min=1e-3, help="temperature of teaching to try; repeat; default: the recipe's")
    ] = None,
    search: Annotated[
        bool, typer.Option(help="find every model's rate on each task first, on a part of the train rows")
    ] = False,
    reference: Annotated[str | None, typer.Option(help="the model that shares and verdicts are relative to")] = None,
) -> None:
    """Fine-tune models on tasks by the published protocol; run it again to go on after an interruption."""
    from ..tasks import read_results, search_rates, write_report
    from ..tasks import sweep as run
    from ..tasks.protocol import EPOCHS, TASKS, identity
    from ..tasks.report import name_of

    starts = named_models(model)
    if output.suffix == ".md":
        raise CourseError("the tables go into the .md", where=output, fix="name the results ….jsonl")
    asked = [{"model": name, "teacher": taught_by or ""} for name in starts if name != taught_by]
    names = dict.fromkeys(map(name_of, [*asked, *read_results(output)]))
    if reference and reference not in names:
        raise CourseError(
            "--reference {reference}: no such model",
            fix="one of {names}",
            reference=reference,
            names=", ".join(map(repr, names)),
        )
    if search and rate:
        raise CourseError("--search and --rate", fix="name rates, or let them be searched")
    rates: dict[str, list[float]] = {}
    for one in rate or ():
        name, value = named(one, "--rate model=1e-4") if "=" in one else ("", one)
        for who in [name] if name else starts:
            rates.setdefault(who, []).append(_number(value))
    chosen = {
        "tasks": task or tuple(TASKS),
        "epochs": try_epochs or EPOCHS,
        "seeds": range(recipe.seed, recipe.seed + seeds),
    }
    models = {name: _start(recipe, one) for name, one in starts.items()}
    if search:
        found = search_rates(recipe, models, output.with_suffix(".search.jsonl"), tasks=chosen["tasks"])
        for name, by_task in found.items():
            for where, one in by_task.items():
                place = _("{model} on {task}").format(model=shown_name(name), task=where)
                print(f"{place}: {one}")
        rates = {name: {where: [one.rate] for where, one in by_task.items()} for name, by_task in found.items()}
    done = run(recipe, models, output, rates=rates, teacher=taught_by, temperatures=try_temperatures, **chosen)
    found = {identity(row) for row in done}  # made now or long ago, they count as the latest
    rows = [row for row in read_results(output) if identity(row) not in found] + done
    write_report(output.with_suffix(".md"), rows, reference, recipe.scale)
    print(output.with_suffix(".md").read_text(encoding="utf-8"))


def _start(recipe: Recipe, model: str, known_marks: bool = False) -> tuple:
    """Model and tokenizer of a folder, a hub id, or ``random:<architecture>``."""
    from ..hub import vocabulary_size
    from ..models import find_architecture, load_model, load_tokenizer

    kind, _, architecture = model.partition(":")
    if kind != "random":
        return load_model(model), load_tokenizer(model, known_marks)
    tokenizer = load_tokenizer(recipe.teacher, known_marks)
    size = vocabulary_size(tokenizer)
    return find_architecture(architecture).random_model(recipe.scale, size, recipe.seed), tokenizer


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CourseError(
            "{text!r} is no number", fix="for example --rate 1e-4 or --rate student=1e-4", text=text
        ) from None
