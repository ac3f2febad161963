"""The command line: ``minirbt`` (= ``python -m minirbt_helpers``)."""

import inspect
import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from .errors import CourseError, Interrupted
from .recipe import SCALES, Recipe, load_recipe

SAMPLE = SCALES["sample"]
TEXT = (
    "text files, folders of *.txt, a data.json as the original's, or a dataset on a hub: "
    "hf://datasets/owner/name@revision?config=…&split=train&column=text"
)

app = typer.Typer(
    help="From text to a fine-tuned MiniRBT: the steps of the course, one command each.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def with_recipe(command: Callable) -> Callable:
    """Give a command one option per field of the recipe, and the recipe itself as its first argument."""

    @wraps(command)
    def run(**options):
        settings = {name: options.pop(name) for name in Recipe.model_fields}
        return command(load_recipe(settings.pop("scale") or "sample", **settings), **options)

    own = list(inspect.signature(command).parameters.values())[1:]
    fields = [_option(name, field) for name, field in Recipe.model_fields.items()]
    run.__signature__ = inspect.Signature([*own, *fields])
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *fields]}
    return run


def _option(name: str, field) -> inspect.Parameter:
    types = get_args(field.annotation) or (field.annotation,)  # `float | None` is a float; a Literal is text
    kind = next((kind for kind in types if kind in (int, float, bool)), str)
    annotation = Annotated[
        kind | None, typer.Option(help=field.description, rich_help_panel="Recipe (default: the scale's own)")
    ]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


@app.command()
def course(
    output: Annotated[Path | None, typer.Option(help="where executed notebooks go; default runs/<scale>")] = None,
    scale: Annotated[str, typer.Option(help="sample or full")] = "sample",
    only: Annotated[str, typer.Option(help="run the notebooks whose name begins so, such as 04")] = "",
) -> None:
    """Run the notebooks with papermill and leave them, executed, beside an index.html."""
    from .course import run_course

    print(f"done: {run_course(scale, output, only)}")


@app.command(hidden=True)
def refresh() -> None:
    """Run the notebooks and keep their outputs (for the maintainers)."""
    from .course import refresh as run

    run()


@app.command()
def references(
    text: Annotated[Path, typer.Argument(help="text file, one paragraph per line, UTF-8; or a folder of *.txt")],
    output: Annotated[Path, typer.Argument(help="the reference file to write, one JSON list per line; or a folder")],
    teacher: Annotated[str, typer.Option(help="whose tokenizer: a folder or a hub id")] = SAMPLE["teacher"],
    segmenter: Annotated[str, typer.Option(help="LTP: a folder or a hub id")] = SAMPLE["segmenter"],
    words: Annotated[
        Path | None,
        typer.Option(
            help="file of your own words, one per line, to keep together; the fewest words win that make up a line, "
            "frequency does not count, and a neighbour may be torn"
        ),
    ] = None,
    match: Annotated[str, typer.Option(help="segmentation, or original (greedy, as the public code)")] = "segmentation",
    processes: Annotated[int | None, typer.Option(help="default: as the size of the text asks", min=1)] = None,
) -> None:
    """Write which tokens of a text continue a Chinese word."""
    from .models import load_tokenizer
    from .text import load_segmenter, read_words, text_files, write_references

    own = read_words(words) if words else []
    cutter, tokenizer = load_segmenter(segmenter, words=own), load_tokenizer(teacher)
    for file in text_files(text):
        target = output / f"{file.stem}.ref" if text.is_dir() else output
        write_references(file, target, cutter, tokenizer, match, processes=processes)
        print(f"references of {file}: {target}")


@app.command()
def pack(
    text: Annotated[list[str], typer.Argument(help=TEXT)],
    output: Annotated[Path, typer.Option(help="folder for the blocks (Arrow)")],
    references: Annotated[
        list[Path] | None, typer.Option(help="reference files, one per text file, in order; or a folder of *.ref")
    ] = None,
    length: Annotated[int, typer.Option(help="tokens per block")] = SAMPLE["length"],
    teacher: Annotated[str, typer.Option(help="whose tokenizer: a folder or a hub id")] = SAMPLE["teacher"],
    segmenter: Annotated[str, typer.Option(help="LTP, where no references are given")] = SAMPLE["segmenter"],
    processes: Annotated[int | None, typer.Option(help="default: as the size of the text asks", min=1)] = None,
) -> None:
    """Cut text into blocks of one length, references carried along."""
    from .models import load_tokenizer
    from .text import build_blocks, load_segmenter, reference_files

    if not references:
        references = [file for path in text if path.endswith(".json") for file in reference_files(path)] or None
    cutter = None if references else load_segmenter(segmenter)
    blocks = build_blocks(
        text,
        load_tokenizer(teacher),
        output,
        length=length,
        segmenter=cutter,
        references=references,
        processes=processes,
    )
    print(f"{len(blocks):,} blocks of {length} tokens: {output}")


@app.command()
def shard(
    text: Annotated[list[str], typer.Argument(help=TEXT)],
    output: Annotated[Path, typer.Option(help="folder that all machines share: text/, blocks/ and logs/")],
    step: Annotated[
        Literal["references", "blocks", "all"],
        typer.Option(help="one of the two, or both (waiting in between until all machines have their references)"),
    ] = "all",
    tasks: Annotated[int | None, typer.Option(help="shards; default: one per file, or per 64 MiB", min=1)] = None,
    workers: Annotated[int, typer.Option(help="shards at a time (with Ray: in one job)", min=1)] = 1,
    machine: Annotated[int, typer.Option(help="which of the machines this is, from 0 ($SLURM_PROCID)")] = 0,
    machines: Annotated[int, typer.Option(help="how many machines work at it ($SLURM_NTASKS)", min=1)] = 1,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="processes of this machine, or a Ray cluster ($RAY_ADDRESS)")
    ] = "local",
    length: Annotated[int, typer.Option(help="tokens per block")] = SAMPLE["length"],
    teacher: Annotated[str, typer.Option(help="whose tokenizer: a folder or a hub id")] = SAMPLE["teacher"],
    segmenter: Annotated[str, typer.Option(help="LTP: a folder or a hub id")] = SAMPLE["segmenter"],
    match: Annotated[str, typer.Option(help="segmentation, or original (greedy, as the public code)")] = "segmentation",
) -> None:
    """References and blocks of a big corpus, on several processes and machines (extra: full); run again to go on."""
    from .models import load_tokenizer

    try:
        from .text.pipeline import ShardedCorpus
    except ModuleNotFoundError as problem:
        raise CourseError(f"{problem.name} is not installed", fix="pip install 'minirbt-helpers[full]'") from problem
    settings = {"length": length, "match": match, "tasks": tasks}
    corpus = ShardedCorpus(text, output, load_tokenizer(teacher), segmenter, **settings)
    share = {"workers": workers, "machine": machine, "machines": machines}
    blocks = corpus.run(step, executor=executor, **share)
    if blocks is None:
        print(f"this share is done ({step}); other shards or steps of {output} are not, yet")
    else:
        print(f"{len(blocks):,} blocks of {length} tokens: {corpus.blocks}")


@app.command()
@with_recipe
def init(
    recipe: Recipe,
    output: Annotated[Path, typer.Argument(help="folder for the model")],
    layers: Annotated[str, typer.Option(help="which layers of the teacher, such as 0,1,2,3,4,5")] = "0,1,2,3,4,5",
) -> None:
    """Start a teacher assistant from some of the teacher's layers."""
    from .models import load_model, load_tokenizer, take_layers
    from .workspace import atomic_folder

    try:
        chosen = [int(layer) for layer in layers.split(",")]
    except ValueError:
        raise CourseError(f"--layers {layers!r} is not a list of numbers", fix="for example 0,1,2,3,4,5") from None
    model = take_layers(load_model(recipe.teacher), chosen)
    with atomic_folder(output) as folder:
        model.save_pretrained(folder)
        load_tokenizer(recipe.teacher).save_pretrained(folder)
    print(f"layers {chosen} of {recipe.teacher}: {output}")


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
    from .models import find_architecture
    from .training import grow, join_world
    from .training import pretrain as run

    lesson, world = _lesson(recipe), join_world()
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
    from .text import load_blocks
    from .training import distill as run
    from .training import dry_run as try_out
    from .training import join_world

    lesson, world = _lesson(recipe), join_world()
    with world.first_before_others():  # the first process makes the blocks, the others find them
        texts = {
            "blocks": load_blocks(blocks) if blocks else lesson.blocks,
            "heldout": load_blocks(heldout_blocks) if heldout_blocks else lesson.heldout,
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
    from .tasks import Finetuned, Layout, own_task
    from .tasks import finetune as run
    from .tasks.finetuned import check_output

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
    from .tasks import Finetuned

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
    from .tasks import Finetuned, export_onnx, quantize_onnx

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
    from .tasks import read_results, write_report
    from .tasks import sweep as run
    from .tasks.protocol import EPOCHS, TASKS, identity

    starts = dict(_named(one, "--model name=folder") for one in model)
    if len(starts) < len(model):
        raise CourseError("two models of one name", fix="each --model needs a name of its own")
    if output.suffix == ".md":
        raise CourseError("the tables go into the .md", where=output, fix="name the results ….jsonl")
    if reference and reference not in {*starts, *(row["model"] for row in read_results(output))}:
        raise CourseError(f"--reference {reference}: no such model", fix=f"one of {', '.join(starts)}")
    rates: dict[str, list[float]] = {}
    for one in rate or ():
        name, value = _named(one, "--rate model=1e-4") if "=" in one else ("", one)
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
    from .hub import vocabulary_size
    from .models import find_architecture, load_model, load_tokenizer

    kind, _, architecture = model.partition(":")
    if kind != "random":
        return load_model(model), load_tokenizer(model)
    tokenizer = load_tokenizer(recipe.teacher)
    size = vocabulary_size(tokenizer)
    return find_architecture(architecture).random_model(recipe.scale, size, recipe.seed), tokenizer


def _named(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise CourseError(f"{text!r} is not of the form {form}", fix=form)
    return name, value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CourseError(f"{text!r} is no number", fix="for example --rate 1e-4 or --rate student=1e-4") from None


@app.command()
@with_recipe
def evaluate(
    recipe: Recipe,
    model: Annotated[str, typer.Argument(help="a folder or a hub id")],
    unit: Annotated[Literal["word", "token"], typer.Option(help="mask whole words or single tokens")] = "word",
) -> None:
    """Measure how often a model fills in masked words of the held-out text."""
    from .models import load_model
    from .training import held_out

    lesson = _lesson(recipe)
    print(json.dumps(held_out(load_model(model), lesson.heldout, lesson.tokenizer, unit=unit, limit=None)))


@app.command()
@with_recipe
def compare(
    recipe: Recipe,
    model: Annotated[
        list[str] | None, typer.Option(help="name=folder or name=hub id; repeat; default: the family, random weights")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="texts at a time")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="how often each model reads them, in turns")] = 5,
    cpu_threads: Annotated[int, typer.Option(min=1, help="1: the processor's time counts, not the wall's")] = 1,
) -> None:
    """Put models side by side on this machine: size, arithmetic, time; speed-ups are over the first of them."""
    from .insight import comparison_table, hardware, threads
    from .models import ARCHITECTURES, load_model
    from .models.architectures import FULL_VOCABULARY
    from .tasks import as_markdown
    from .training.machine import DTYPES, join_world

    device, dtype = join_world().device, DTYPES[recipe.precision]
    if model:
        chosen = {name: load_model(folder) for name, folder in (_named(one, "--model name=folder") for one in model)}
    else:
        family = ARCHITECTURES.items()
        chosen = {name: one.random_model(recipe.scale, FULL_VOCABULARY, recipe.seed).eval() for name, one in family}
    placed = {name: one.to(device, dtype) for name, one in chosen.items()}
    with threads(cpu_threads):
        table = comparison_table(placed, batch, recipe.length, rounds)
    clock = f", threads: {cpu_threads}" if device.type == "cpu" else ""
    print(f"{hardware(device)}{clock}; {recipe.precision}, {batch} × {recipe.length} tokens; median (quartiles)")
    print(as_markdown(table))


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="what `minirbt distill` left, such as runs/full/student")],
    output: Annotated[Path, typer.Argument(help="the folder to write; then: hf upload owner/name folder")],
    name: Annotated[str, typer.Option(help="of the model: owner/name")],
    license: Annotated[
        str, typer.Option(help="as the hub spells it; teacher and text bind the student")
    ] = "apache-2.0",
    language: Annotated[str, typer.Option(help="of the text")] = "zh",
    data: Annotated[str, typer.Option(help="what the text is, in a sentence")] = "",
    results: Annotated[Path | None, typer.Option(help="of `minirbt sweep`: scores for the card")] = None,
) -> None:
    """Make a folder for a hub: model, tokenizer, and a card filled from the run."""
    from .publishing import publish as run_publish

    print(run_publish(run, output, name=name, license=license, language=language, data=data, results=results))


@app.command()
def doctor() -> None:
    """Print what this machine has, and whether the course can run here."""
    from .course import examine

    for name, finding in examine().items():
        print(f"{name:<14}{finding}")


def _lesson(recipe: Recipe):
    from .course import Lesson

    return Lesson(recipe)


def _report(result) -> None:
    figures = {
        name: value for name, value in result.metrics[-1].items() if name in ("step", "loss", "top1", "top5", "kd_loss")
    }
    print(json.dumps(figures))
    print(f"model: {result.folder}")


def main() -> None:
    """Run the command line; a :class:`CourseError` ends it with one clear message and status 1."""
    try:
        app()
    except CourseError as problem:
        print(f"minirbt: {problem}", file=sys.stderr)
        sys.exit(130 if isinstance(problem, Interrupted) else 1)


if __name__ == "__main__":
    main()
