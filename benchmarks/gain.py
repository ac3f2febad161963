"""What distillation is worth at sample scale: the same student after as many steps of plain MLM training.

Both begin with the same weights and see the same masked blocks in the same order; only the losses
differ. Whole-word accuracy on all held-out text, several seeds (start, order and masking change with
the seed). Runs are kept in --output, so that a broken-off comparison goes on. Leaves JSON in
benchmarks/results.

    python benchmarks/gain.py                                            # as the shipped student began: short blocks
    python benchmarks/gain.py --start data_samples/models/student --length 128 --batch-size 16 --learning-rate 1e-3
"""

import argparse
import json
import statistics
from pathlib import Path

from minirbt_helpers.course import Lesson
from minirbt_helpers.models import find_architecture, load_model
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.training import distill, held_out, pretrain
from minirbt_helpers.training.distillation import newborn
from minirbt_helpers.workspace import versions

RESULTS = Path(__file__).parent / "results"
TEACHER = "data_samples/models/assistant"
QUESTIONS = 5  # how often the held-out text is masked anew; a look asks for 15% of its tokens
METHODS = {  # what is learned from
    "plain MLM": None,
    "distillation, published losses": {"hard_label_weight": 0.0, "temperature_squared": False},
    "distillation, sample recipe": {},
}


def student_of(recipe: Recipe, start: str):
    """The student both kinds of training begin with."""
    if start != "random":
        return load_model(start)
    return newborn(recipe, find_architecture(recipe.student), load_model(TEACHER))


def run(method: str, recipe: Recipe, start: str, output: Path) -> dict:
    """Train by one method with one seed; what the student then knows about held-out text."""
    changes, lesson = METHODS[method], Lesson(recipe)
    folder = output / f"{method} {recipe.seed}"
    arguments = {"blocks": lesson.blocks, "heldout": lesson.heldout, "output": folder, "progress": False}
    if changes is None:
        done = pretrain(recipe, student_of(recipe, start), **arguments)
    else:
        done = distill(
            recipe.model_copy(update=changes),
            "student",
            teacher=TEACHER,
            student=student_of(recipe, start),
            **arguments,
        )
    looks = [held_out(done.model, lesson.heldout, lesson.tokenizer, limit=None, seed=seed) for seed in range(QUESTIONS)]
    return {name: statistics.mean(look[name] for look in looks) for name in looks[0]}


def summary(results: dict[str, list[dict]]) -> dict:
    """Mean and spread of each method, and of its lead over plain MLM training, seed by seed."""
    table = {}
    base = [result["top1"] for result in results["plain MLM"]]
    for method, measured in results.items():
        top1 = [result["top1"] for result in measured]
        leads = [one - other for one, other in zip(top1, base, strict=True)]
        table[method] = {
            "top1": top1,
            "mean": statistics.mean(top1),
            "standard_deviation": statistics.stdev(top1) if len(top1) > 1 else None,
            "lead": leads,
            "mean_lead": statistics.mean(leads),
            "mlm_loss": [result["mlm_loss"] for result in measured],
            "masked": measured[0]["masked"],
        }
    return table


def main() -> None:
    """Run, print, and keep the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--start", default="random", help="random, or a folder")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--only", help="run this method with this seed and stop there: 'plain MLM 0'")
    parser.add_argument("--output", type=Path, default=Path("runs/gain"))
    options = parser.parse_args()
    settings = {
        name: getattr(options, name) for name in ("steps", "length", "batch_size", "learning_rate", "precision")
    }
    settings |= {"micro_batch": options.batch_size, "evaluate_every": options.steps, "checkpoint_every": 100}
    recipes = [load_recipe("sample", seed=seed, **settings) for seed in range(options.seeds)]
    if options.only:
        method, _, seed = options.only.rpartition(" ")
        print(options.only, json.dumps(run(method, recipes[int(seed)], options.start, options.output)))
        return
    results = {method: [run(method, recipe, options.start, options.output) for recipe in recipes] for method in METHODS}
    table = {"scale": "sample", "start": options.start, **settings, "teacher": TEACHER, "versions": versions()}
    table["results"] = summary(results)
    print(json.dumps(table, indent=2))
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"gain-{'random' if options.start == 'random' else 'warm'}-start.json"
    file.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
