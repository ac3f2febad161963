"""Fine-tuned models: ``minirbt finetune``, ``predict``, ``export``, ``sweep``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CourseError
from ..recipe import Recipe
from .options import app, named, with_recipe


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
    result = run(recipe, task, *_start(recipe, model), teacher=teacher)
    print(json.dumps(result.result(), ensure_ascii=False), flush=True)  # even if it cannot be saved
    if output:
        result.save(output)


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(help="what `minirbt finetune --output` wrote")],
    rows: Annotated[Path, typer.Argument(help="a file of the task's form, with or without labels")],
    output: Annotated[Path, typer.Argument(help="the predictions, as the task's publisher wants them")],
) -> None:
    """Predict the rows of a file with a fine-tuned model, and score them if they have labels."""
    from ..tasks import Finetuned

    tuned = Finetuned.load(folder)
    table = tuned.task.read(rows, labelled=False)
    tuned.write_predictions(output, table)
    print(f"{len(table):,} predictions: {output}")
    if tuned.can_measure(table):
        print(json.dumps(tuned.measure(table)))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="what `minirbt finetune --output` wrote")],
    output: Annotated[Path, typer.Argument(help="the ONNX file to write")],
    int8: Annotated[bool, typer.Option(help="with 8-bit weights, from the same export")] = False,
) -> None:
    """Write a fine-tuned model as ONNX, for onnxruntime."""
    from ..tasks import Finetuned, export_onnx, quantize_onnx

    file = export_onnx(Finetuned.load(folder).model, output)
    if int8:
        quantize_onnx(file, file)
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
    reference: Annotated[str | None, typer.Option(help="the model the second table is relative to")] = None,
) -> None:
    """Fine-tune models on tasks by the published protocol; run it again to go on after an interruption."""
    from ..tasks import read_results, write_report
    from ..tasks import sweep as run
    from ..tasks.protocol import EPOCHS, TASKS, identity

    starts = dict(named(one, "--model name=folder") for one in model)
    if len(starts) < len(model):
        raise CourseError("two models of one name", fix="each --model needs a name of its own")
    if output.suffix == ".md":
        raise CourseError("the tables go into the .md", where=output, fix="name the results ….jsonl")
    if reference and reference not in {*starts, *(row["model"] for row in read_results(output))}:
        raise CourseError(f"--reference {reference}: no such model", fix=f"one of {', '.join(starts)}")
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
    done = run(
        recipe,
        {name: _start(recipe, one) for name, one in starts.items()},
        output,
        rates=rates,
        teacher=taught_by,
        **chosen,
    )
    asked = {identity(row) for row in done}  # made now or long ago, they count as the latest
    rows = [row for row in read_results(output) if identity(row) not in asked] + done
    write_report(output.with_suffix(".md"), rows, reference, recipe.scale)
    print(output.with_suffix(".md").read_text(encoding="utf-8"))


def _start(recipe: Recipe, model: str) -> tuple:
    """Model and tokenizer of a folder, a hub id, or ``random:<architecture>``."""
    from ..hub import vocabulary_size
    from ..models import find_architecture, load_model, load_tokenizer

    kind, _, architecture = model.partition(":")
    if kind != "random":
        return load_model(model), load_tokenizer(model)
    tokenizer = load_tokenizer(recipe.teacher)
    size = vocabulary_size(tokenizer)
    return find_architecture(architecture).random_model(recipe.scale, size, recipe.seed), tokenizer


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CourseError(f"{text!r} is no number", fix="for example --rate 1e-4 or --rate student=1e-4") from None
