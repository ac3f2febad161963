"""What commands share: the application, one option per field of the recipe, options that several of them have."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, get_args

import typer

from ..errors import CourseError
from ..language import set_language
from ..recipe import SCALES, Recipe, load_recipe

SAMPLE = SCALES["sample"]
TEXT = (
    "text files, folders of *.txt, a data.json as the original's, or a dataset on a hub: "
    "hf://datasets/owner/name@revision?config=…&split=train&column=text"
)
Teacher = Annotated[str, typer.Option(help="whose tokenizer: a folder or a hub id")]
SegmenterName = Annotated[str, typer.Option(help="LTP: a folder or a hub id")]
Length = Annotated[int, typer.Option(help="tokens per block")]
Match = Annotated[str, typer.Option(help="segmentation, or original (greedy, as the public code)")]
Processes = Annotated[int | None, typer.Option(help="default: as the size of the text asks", min=1)]
KnownMarks = Annotated[
    bool, typer.Option("--known-marks", help="write “ ” ‘ ’ — … as the vocabulary has them, where it lacks them")
]


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def choose(
    language: Annotated[str, typer.Option(help="of labels and messages: en or zh", envvar="MINIRBT_LANGUAGE")] = "en",
) -> None:
    """From text to a fine-tuned MiniRBT: the steps of the course, one command each."""
    set_language(language)


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


def named(text: str, form: str) -> tuple[str, str]:
    """The two sides of ``name=value``.

    Raises:
        CourseError: another form.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise CourseError("{text!r} is not of the form {form}", fix="{form}", text=text, form=form)
    return name, value


def named_models(given: list[str]) -> dict[str, str]:
    """What ``--model name=folder``, given once or more, names.

    Raises:
        CourseError: another form, or two models of one name.
    """
    models = dict(named(one, "--model name=folder") for one in given)
    if len(models) < len(given):
        raise CourseError("two models of one name", fix="each --model needs a name of its own")
    return models
