"""What a way of making a model is worth at sample scale: several ways, the same number of steps, seed by seed.

Every way of a comparison has the same batches, masked alike; start, order and masking change with the
seed. Measured is all held-out text, whole words masked, in all and for words of two tokens and more, and once more
with single tokens masked (``token_…``); the KD loss is that against the 12-layer teacher, whoever taught, for losses
against different teachers do not compare. Rows are appended to --output, and those that are there already are not
made again; a table of this teacher's rows, means and standard deviations, goes beside it.

    python benchmarks/students.py gain temperature units stages shape start --text T --heldout H --precision bf16
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from transformers import BertForMaskedLM

from minirbt_helpers.course import Lesson
from minirbt_helpers.models import find_architecture, load_model, take_layers
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.tasks import as_markdown
from minirbt_helpers.training import STAGES, distill, held_out, pretrain
from minirbt_helpers.training.distillation import newborn
from minirbt_helpers.training.runs import identity
from minirbt_helpers.verdict import compare

RESULTS = Path(__file__).parent / "results" / "students.jsonl"
MODELS = Path(__file__).parents[1] / "data_samples" / "models"
MEASURED = ("words_top1", "words_top5", "top1", "top5", "token_words_top1", "token_top1", "mlm_loss", "kd_loss")
JUDGED = ("words_top1", "top1", "token_top1")


@dataclass(frozen=True)
class Way:
    """A way of making a model.

    Attributes:
        stage: of the distillation; None: plain MLM training.
        taught_by: folder of the shipped model that teaches, or whose embeddings a student inherits.
        architecture: of what is made.
        layers: the teacher's layers it starts from; None: a new student.
        changes: of the recipe.
    """

    stage: str | None
    taught_by: str
    architecture: str = "MiniRBT-H256"
    layers: tuple[int, ...] | None = None
    changes: dict = field(default_factory=dict)


WAYS = {
    "plain MLM": Way(None, "assistant"),
    "distilled, published losses": Way(
        "student", "assistant", changes={"hard_label_weight": 0.0, "temperature": 8.0, "temperature_squared": False}
    ),
    "two stages": Way("student", "assistant"),
    "two stages, T = 2": Way("student", "assistant", changes={"temperature": 2.0}),
    "two stages, T = 4": Way("student", "assistant", changes={"temperature": 4.0}),
    "two stages, T = 8": Way("student", "assistant", changes={"temperature": 8.0}),
    "two stages, words and tokens": Way("student", "assistant", changes={"mask_unit": "both"}),
    "one stage": Way("one-stage", "teacher"),
    "one stage, H312": Way("one-stage", "teacher", "RBT4-H312"),
    "RBT6 from the first six layers": Way("assistant", "teacher", "RBT6", tuple(range(6))),
    "RBT6 from every second layer": Way("assistant", "teacher", "RBT6", tuple(range(0, 12, 2))),
    "RBT6 from random layers": Way("assistant", "teacher", "RBT6"),
}
COMPARISONS = {
    "gain": ("plain MLM", "distilled, published losses", "two stages"),
    "temperature": ("two stages", "two stages, T = 2", "two stages, T = 4", "two stages, T = 8"),
    "units": ("two stages", "two stages, words and tokens"),
    "stages": ("two stages", "one stage"),
    "shape": ("one stage", "one stage, H312"),
    "start": ("RBT6 from the first six layers", "RBT6 from every second layer", "RBT6 from random layers"),
}


def main() -> None:
    """Make what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", nargs="+", choices=COMPARISONS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--text")
    parser.add_argument("--heldout")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    names = ("steps", "length", "batch_size", "learning_rate", "precision", "text", "heldout")
    settings = {name: getattr(asked, name) for name in names}
    settings |= {"micro_batch": asked.batch_size, "evaluate_every": asked.steps, "checkpoint_every": asked.steps}
    teacher = load_model(asked.models / "teacher")
    ways = dict.fromkeys(way for name in asked.comparison for way in COMPARISONS[name])
    for seed in range(asked.seeds):
        recipe = load_recipe("sample", seed=seed, teacher=str(asked.models / "teacher"), **settings)
        for name in ways:
            key = key_of(name, recipe, identity(teacher))
            if not is_there(key, asked.output):
                append(key | measure(make(WAYS[name], recipe, asked.models), recipe, teacher), asked.output)
    table = markdown([row for row in read(asked.output) if row["teacher"] == identity(teacher)])
    asked.output.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table)


def key_of(way: str, recipe: Recipe, teacher: str) -> dict:
    """What makes a row this one and no other."""
    kept = ("steps", "length", "batch_size", "learning_rate", "precision", "temperature", "neighbour_heads", "seed")
    texts = {"text": Path(recipe.text).name, "heldout": Path(recipe.heldout).name}
    return {"way": way, "teacher": teacher, **texts, **{name: getattr(recipe, name) for name in kept}}


def read(file: Path) -> list[dict]:
    """The rows that are there."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def is_there(key: dict, file: Path) -> bool:
    """Whether a file has a row with these entries."""
    return any(row.items() >= key.items() for row in read(file))


def append(row: dict, file: Path) -> None:
    """Print a row, and keep it."""
    print(json.dumps(row), flush=True)
    with open(file, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def make(way: Way, recipe: Recipe, models: Path) -> BertForMaskedLM:
    """What comes out of a way."""
    lesson, teacher = Lesson(recipe), load_model(models / way.taught_by)
    start = (
        take_layers(teacher, way.layers)
        if way.layers
        else newborn(recipe, find_architecture(way.architecture), teacher)
    )
    recipe = recipe.model_copy(update=way.changes)
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"blocks": lesson.blocks, "heldout": lesson.heldout, "output": Path(folder) / "model"}
        if way.stage is None:
            return pretrain(recipe, start, **arguments).model
        recipe = recipe.model_copy(update={STAGES[way.stage].student: way.architecture})
        return distill(recipe, way.stage, teacher=teacher, student=start, **arguments).model


def measure(model: BertForMaskedLM, recipe: Recipe, teacher: BertForMaskedLM) -> dict:
    """What it knows about all of the held-out text."""
    lesson = Lesson(recipe)
    asked = {"teacher": teacher, "temperature": recipe.temperature, "limit": None}
    figures = held_out(model, lesson.heldout, lesson.tokenizer, **asked)
    of_tokens = held_out(model, lesson.heldout, lesson.tokenizer, unit="token", limit=None)
    figures |= {f"token_{name}": of_tokens[name] for name in ("words_top1", "top1")}
    return {name: round(figures[name], 5) for name in (*MEASURED, "masked")}


def markdown(rows: list[dict]) -> str:
    """Mean and standard deviation over the seeds, a line per way and setting, and verdicts on the ways compared."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        tokens = row["steps"] * row["length"] * row["batch_size"] / 1e6
        heads = ", neighbour heads" if row["neighbour_heads"] and not WAYS[row["way"]].layers else ""
        settings = f"{tokens:.1f}M tokens, {row['learning_rate']:g}, {row['precision']}{heads}"
        groups.setdefault((row["way"], settings), []).append(row)
    lines = [
        {"way": way, "trained on, learning rate": settings}
        | {name: spread([row[name] for row in measured if name in row], "top" in name) for name in MEASURED}
        | {"seeds": str(len(measured))}
        for (way, settings), measured in groups.items()
    ]
    return as_markdown(lines) + "\n\n" + as_markdown(verdicts(groups)) + "\n"


def verdicts(groups: dict[tuple, list[dict]]) -> list[dict[str, str]]:
    """Every way against the first of its comparison, in pairs of one seed, which have the same batches."""
    found = []
    for first, *others in COMPARISONS.values():
        for (way, settings), rows in groups.items():
            if way in others and (first, settings) in groups:
                line = {"way": way, "against": first, "trained on, learning rate": settings}
                pair = rows, groups[first, settings]
                found.append(line | {name: ruling(name, *pair) for name in JUDGED})
    return found


def ruling(name: str, *ways: list[dict]) -> str:
    """The verdict on a figure of two ways; a dash where no seed has it in both."""
    by_seed = [{row["seed"]: row[name] for row in rows if name in row} for rows in ways]
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    return str(compare(*([way[seed] for seed in seeds] for way in by_seed), paired=True)) if seeds else "–"


def spread(values: list[float], percent: bool) -> str:
    """Mean ± standard deviation; a dash for what older rows did not measure."""
    if not values:
        return "–"
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    if percent:
        return f"{statistics.mean(values):.1%} ± {100 * deviation:.1f}"
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


if __name__ == "__main__":
    main()
