"""Fine-tuning at sample scale: the whole family on the real files of the seven tasks, in one command that goes on.

    python benchmarks/sample_tasks.py FOLDER [--models FOLDER] [--output FILE] [--only STEP …]

FOLDER holds the official files, a sub-folder per task; real_tasks.py says what stands in for a missing train file. The
steps come in the order of what they teach, and each is a whole grid: stop the command at will, and start it again.
First a short search finds every model's learning rate on every task, on a part of the train rows that no figure is
reported on; what the search and the sweep have done is not repeated. After every step the tables are written, and what
is missing is named there.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import real_tasks
import torch

from minirbt_helpers.models import find_architecture, load_model, load_tokenizer
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.tasks import TASKS, as_markdown, read_results, search_rates, sweep, write_report
from minirbt_helpers.tasks.protocol import Models
from minirbt_helpers.tasks.searching import Found

RESULTS = Path(__file__).parent / "results" / "seven_tasks.jsonl"
FOLDERS = Path(__file__).parents[1] / "data_samples" / "models"
SPLITS = Path("runs/splits")
DEEP, NONE = "no pre-training, 12 layers", "no pre-training"
RANDOM = {DEEP: "RoBERTa-wwm-ext", NONE: "MiniRBT-H256"}
FAMILY = ("teacher", "assistant", "student", "rbt3", "h312", "h288", NONE, DEEP)
SENTENCES = tuple(name for name, task in TASKS.items() if task.layout)
QUESTIONS = tuple(name for name in TASKS if name not in SENTENCES)
MOST = 10_000, 2_000  # rows to train on, rows to score, of a sentence task
USED = 3_000  # of the rows to train on


@dataclass(frozen=True)
class Step:
    """A grid.

    Attributes:
        teaches: what one learns from it.
        models: names.
        tasks: names.
        epochs: to try.
        settings: more of what ``sweep`` takes.
        rows: train rows; another number than the usual one has a results file of its own.
    """

    teaches: str
    models: Sequence[str] = FAMILY
    tasks: Sequence[str] = SENTENCES
    epochs: Sequence[int] = (3,)
    settings: dict = field(default_factory=dict)
    rows: int = USED


TAUGHT = {"teacher": "teacher", "temperatures": (1.0, 2.0, 4.0, 8.0)}
STEPS = {
    "pre-training": Step("does pre-training count?", ("teacher", DEEP, "student", NONE)),
    "family": Step("who keeps how much?"),
    **{
        f"{rows} rows": Step("how many rows does it take?", ("teacher", DEEP, "student", NONE), rows=rows)
        for rows in (100, 300, 1_000)
    },
    "taught": Step("does a teacher help?", ("teacher", "student"), settings=TAUGHT),
    "questions": Step("who learns to read from real questions alone?", tasks=QUESTIONS),
    "longer": Step("what do more epochs add?", tasks=tuple(TASKS), epochs=(10,)),
    "published": Step("the published epochs in full", ("teacher", "student"), ("tnews", "cmrc2018"), (2, 3, 5, 10)),
}


def load(folder: Path, names: Sequence[str]) -> Models:
    """The models, those without pre-training included."""
    tokenizer = load_tokenizer(folder / "teacher")
    return {
        name: (find_architecture(RANDOM[name]).random_model("sample", len(tokenizer)), tokenizer)
        if name in RANDOM
        else (load_model(folder / name), load_tokenizer(folder / name))
        for name in names
    }


def make(step: Step, folder: Path, output: Path) -> dict[str, dict[str, Found]]:
    """Search the rates of a step, run it, and write the tables; the rates are returned."""
    models, own = load(folder, step.models), output.with_suffix(".search.jsonl")
    recipe = load_recipe("sample", task_dir=str(SPLITS), task_batch_size=16)
    found = search_rates(recipe, models, own, tasks=step.tasks)
    rates = {name: {task: [one.rate] for task, one in by_task.items()} for name, by_task in found.items()}
    recipe = recipe.model_copy(update={"task_rows": step.rows})
    if step.rows != USED:
        output = output.with_name(f"{output.stem}-{step.rows}{output.suffix}")
    sweep(recipe, models, output, tasks=step.tasks, rates=rates, epochs=step.epochs, **step.settings)
    alike = [one for one in STEPS.values() if one.rows == step.rows]
    planned = [(name, task) for one in alike for name in one.models for task in one.tasks]
    write_report(output.with_suffix(".md"), read_results(output), "teacher", planned=dict.fromkeys(planned))
    return found


def searched(found: dict[str, dict[str, Found]]) -> str:
    """The searched rates as a table."""
    rows = [
        {"model": name, "task": task, "rate": str(one)}
        for name, by_task in found.items()
        for task, one in by_task.items()
    ]
    return as_markdown(rows) + "\n"


def main() -> None:
    """Take the steps one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=FOLDERS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"), help="of the matrix products")
    asked = parser.parse_args()
    real_tasks.write(asked.folder, SPLITS, MOST, (None, None))
    found: dict[str, dict[str, Found]] = {}
    for name in asked.only:
        print(f"{name}: {STEPS[name].teaches}", flush=True)
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False, enabled=asked.precision == "bf16"):
            rates = make(STEPS[name], asked.models, asked.output)
        for model, by_task in rates.items():
            found[model] = found.get(model, {}) | by_task
        asked.output.with_suffix(".search.md").write_text(searched(found), encoding="utf-8")


if __name__ == "__main__":
    main()
