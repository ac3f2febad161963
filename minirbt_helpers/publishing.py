"""A distilled model made ready for a hub: a clean folder with a card filled from its run (notebook 08)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CourseError
from .hub import entries_in_order, is_hub_id, save_tokenizer, split_revision, vocabulary_size
from .language import N_, _
from .names import shown_rows
from .recipe import load_recipe
from .workspace import MODEL_FILES, atomic_folder, check_folder, versions, write_json

if TYPE_CHECKING:
    from transformers import BertForMaskedLM

SHOWN = (
    "length", "steps", "batch_size", "optimizer", "learning_rate", "warmup", "weight_decay", "mask_unit",
    "mask_probability", "mask_budget", "temperature", "kd_weight", "temperature_squared", "hidden_weight",
    "hard_label_weight", "project_equal_widths", "inherit_embeddings", "neighbour_heads", "precision", "seed",
)  # fmt: skip
SMALL = N_("Sample scale: a quarter of every width and little training. It shows the method, not what it reaches.")
TAUGHT = {  # by stage: what was made, and from whom
    "assistant": N_("the assistant of a two-stage distillation, taught by {teacher}"),
    "student": N_("the student of a two-stage distillation, taught by the assistant of {teacher}"),
    "one-stage": N_("the student of a one-stage distillation, taught by {teacher}"),
}
FIGURES = (
    ("top1", N_("first guess right"), "{:.1%}"),
    ("top5", N_("among the first five"), "{:.1%}"),
    ("mlm_loss", N_("MLM loss (nats)"), "{:.3f}"),
    ("kd_loss", N_("KD loss"), "{:.3f}"),
    ("masked", N_("tokens asked"), "{:,}"),
)
USE = """
```python
from transformers import BertModel, BertTokenizer  # {never}

tokenizer, model = BertTokenizer.from_pretrained("{name}"), BertModel.from_pretrained("{name}")
```
"""


def publish(
    run: str | Path,
    output: str | Path,
    *,
    name: str,
    license: str = "apache-2.0",
    language: str = "zh",
    data: str = "",
    results: str | Path | None = None,
) -> Path:
    """Write a folder that ``push_to_hub`` and ``hf upload`` take: weights, tokenizer, and a card from the run.

    The card says what is in the run's own files: recipe, steps, tokens, held-out figures, versions;
    ``results`` adds the scores of a sweep. No path of this machine is in it. It is written in the language that is set.

    Args:
        run: what ``minirbt distill`` left: model, tokenizer, recipe.json, metrics.jsonl.
        output: the folder to write, whole or not at all; what was published there before is replaced.
        name: of the model, as ``owner/name``.
        license: as the hub spells it; that of the teacher and of the text bind the student.
        language: of the text.
        data: what the text is, in a sentence.
        results: what ``minirbt sweep`` wrote.

    Returns:
        The folder.

    Raises:
        CourseError: not a finished distillation, or other files in the output folder.
    """
    from .models import load_model, load_tokenizer

    check_folder(output, "minirbt publish", ("recipe.json", "README.md"), MODEL_FILES)  # a run has the first alone
    run = Path(run)
    made, rows = _read(run)
    model, tokenizer = load_model(run), load_tokenizer(run)
    card = _card(made, rows, model, name, data, results)
    head = {"language": language, "license": license, "name": name, "teacher": made["recipe"]["teacher"]}
    with atomic_folder(output) as folder:
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
        lines = entries_in_order(tokenizer)[: vocabulary_size(tokenizer)]
        (folder / "vocab.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        write_json(folder / "recipe.json", made | {"recipe": _without_paths(made["recipe"])})
        (folder / "README.md").write_text(_front_matter(head) + card, encoding="utf-8")
    return Path(output)


def _read(run: Path) -> tuple[dict, list[dict]]:
    try:
        made = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        made["recipe"]["teacher"], TAUGHT[made["stage"]], rows[-1]["step"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as problem:
        raise CourseError(
            "not a finished distillation ({kind}: {problem})",
            where=run,
            fix="a folder that `minirbt distill` left, such as runs/full/student",
            kind=type(problem).__name__,
            problem=problem,
        ) from problem
    return made, rows


def _front_matter(head: dict) -> str:
    """What the hub reads: YAML between two lines of dashes."""
    from huggingface_hub import ModelCardData

    teacher = split_revision(head["teacher"])[0]
    data = ModelCardData(
        language=head["language"],
        license=head["license"],
        library_name="transformers",
        pipeline_tag="fill-mask",
        tags=["bert", "distillation", "minirbt"],
        base_model=teacher if is_hub_id(teacher) else None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _card(
    made: dict, rows: list[dict], model: BertForMaskedLM, name: str, data: str, results: str | Path | None
) -> str:
    from .tasks import as_markdown, best_means, read_results, score_table

    recipe, steps = made["recipe"], rows[-1]["step"]
    tokens = steps * recipe["batch_size"] * recipe["length"]
    small = recipe["scale"] == "sample"
    shape = made["architecture"]
    if small:
        shape = _("{shape} at a quarter of its width ({width})").format(shape=shape, width=model.config.hidden_size)
    trained = _("the course's sample teacher") if _ours(recipe, "teacher") else _shown(recipe["teacher"])
    cut = _("the course's sample segmenter") if _ours(recipe, "segmenter") else _shown(recipe["segmenter"])
    about = _(
        "{shape}, {size:.1f}M parameters, {steps:,} steps of the MiniRBT recipe (Yao et al., "
        "[arXiv:2304.00717](https://arxiv.org/abs/2304.00717)): {taught}."
    )
    text = _("{text}: {blocks:,} blocks of {length} tokens, words cut by {segmenter}.")
    size = _("{steps:,} steps of {batch:,} blocks, {tokens:,} tokens.")
    parts = [
        f"# {name.rpartition('/')[2]}",
        about.format(
            shape=shape,
            size=model.num_parameters() / 1e6,
            steps=steps,
            taught=_(TAUGHT[made["stage"]]).format(teacher=trained),
        ),
        *([_(SMALL)] if small else []),
        USE.format(name=name, never=_("never the Roberta classes")).strip(),
        f"## {_('Data')}",
        text.format(
            text=data or _shown(recipe["text"]),
            blocks=made["blocks"],
            length=recipe["length"],
            segmenter=cut,
        ),
        f"## {_('Recipe')}",
        size.format(steps=steps, batch=recipe["batch_size"], tokens=tokens),
        as_markdown(_settings(recipe)),
        f"## {_('Measured')}",
        _("Held-out text, every chosen token masked:"),
        as_markdown(_figures(rows)),
    ]
    if results:
        scores = as_markdown(shown_rows(score_table(best_means(read_results(results)))))
        parts += [_("Fine-tuned, development sets, per cent, best mean ± spread over seeds:"), scores]
    made_with = _(", ").join(f"{library} {number}" for library, number in versions().items())
    return "\n\n".join([*parts, _("Made with {libraries}.").format(libraries=made_with)]) + "\n"


def _settings(recipe: dict) -> list[dict]:
    """The run's settings beside those of the published recipe."""
    published = load_recipe("full").model_dump()
    return [
        {_("setting"): f"`{name}`", _("value"): str(recipe[name]), _("published"): str(published[name])}
        for name in SHOWN
        if name in recipe
    ]


def _figures(rows: list[dict]) -> list[dict]:
    """The held-out figures of the run's first look and its last."""
    looks = [row for row in rows if "top1" in row]
    return [
        {_("figure"): _(name), _("start"): form.format(looks[0][key]), _("end"): form.format(looks[-1][key])}
        for key, name, form in FIGURES
    ]


def _ours(recipe: dict, name: str) -> bool:
    """Whether a run's ``"teacher"`` or ``"segmenter"`` is the one that the course ships."""
    ours = Path(getattr(load_recipe("sample"), name)).parts[-3:]
    return recipe["scale"] == "sample" and Path(recipe[name]).parts[-3:] == ours


def _shown(name: str) -> str:
    """A hub id as it is, of a path the last part alone."""
    return name if is_hub_id(split_revision(name)[0]) else Path(name).name


def _without_paths(recipe: dict) -> dict:
    return {name: _shown(value) if name in ("teacher", "segmenter", "text", "heldout", "task_dir") else value
            for name, value in recipe.items()}  # fmt: skip
