"""Finished models, side by side or for a hub: ``minirbt compare``, ``publish``."""

from pathlib import Path
from typing import Annotated

import typer

from ..language import _
from ..names import shown_rows
from ..recipe import Recipe
from .options import app, named_models, with_recipe


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
    from ..insight import comparison_table, hardware, threads
    from ..models import ARCHITECTURES, load_model
    from ..models.architectures import FULL_VOCABULARY
    from ..tasks import as_markdown
    from ..training.machine import DTYPES, join_world

    device, dtype = join_world().device, DTYPES[recipe.precision]
    if model:
        chosen = {name: load_model(folder) for name, folder in named_models(model).items()}
    else:
        family = ARCHITECTURES.items()
        chosen = {name: one.random_model(recipe.scale, FULL_VOCABULARY, recipe.seed).eval() for name, one in family}
    placed = {name: one.to(device, dtype) for name, one in chosen.items()}
    with threads(cpu_threads):
        table = comparison_table(placed, batch, recipe.length, rounds)
    clock = _(", threads: {count}").format(count=cpu_threads) if device.type == "cpu" else ""
    said = _("{hardware}; {precision}, {batch} × {length} tokens; median (quartiles)")
    machine = f"{hardware(device)}{clock}"
    print(said.format(hardware=machine, precision=recipe.precision, batch=batch, length=recipe.length))
    print(as_markdown(shown_rows(table)))


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
    from ..publishing import publish as run_publish

    print(run_publish(run, output, name=name, license=license, language=language, data=data, results=results))
