"""Which six layers should an assistant start from, and does the answer belong to how the teacher grew?

Two teachers, with the same minutes, texts, lengths and masking, phase by phase: one that is grown as ``minirbt
pretrain`` grows it, and one that has all its layers from the first step. Assistants start from six layers of each,
untrained and after some steps of distillation from their own teacher, seed by seed, as in students.py. Rows are
appended to --output; what is there already is not made again, and the teachers, in --work, go on where they stopped.

    python benchmarks/layers.py --text T --heldout H --work W --precision bf16
"""

import argparse
from dataclasses import replace
from pathlib import Path

from students import WAYS, append, is_there, key_of, make, markdown, measure, read

from minirbt_helpers.course import Lesson
from minirbt_helpers.models import find_architecture, load_model, take_layers
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.training import GROWTH, grow
from minirbt_helpers.training.runs import identity

RESULTS = Path(__file__).parent / "results" / "layers.jsonl"
TOKENIZER = Path(__file__).parents[1] / "data_samples" / "models" / "teacher"
TEACHERS = {
    "grown from 3 layers": GROWTH,
    "12 layers from the start": tuple(replace(phase, depth=1) for phase in GROWTH),
}
ASSISTANTS = [name for name, way in WAYS.items() if way.architecture == "RBT6"]
TEACHING = {"length": 128, "batch_size": 64, "micro_batch": 32, "learning_rate": 1.2e-3, "mask_probability": 0.2}
LEARNING = {"length": 128, "batch_size": 32, "micro_batch": 32, "learning_rate": 1e-3}


def main() -> None:
    """Make what is missing, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--heldout", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    common = {"teacher": str(TOKENIZER), "precision": asked.precision, "text": asked.text, "heldout": asked.heldout}
    for name in TEACHERS:
        raise_teacher(name, load_recipe("sample", **common, **TEACHING), asked.minutes, asked.work)
    for seed in range(asked.seeds):
        for name in TEACHERS:
            every = {"steps": asked.steps, "evaluate_every": asked.steps, "checkpoint_every": asked.steps}
            recipe = load_recipe("sample", seed=seed, **common, **LEARNING, **every)
            compare_starts(name, recipe, asked.work, {"raised": name, "minutes": asked.minutes}, asked.output)
    tables = [
        f"Teacher: {name}, {asked.minutes:g} minutes\n\n" + markdown([row for row in rows if row["steps"]])
        for name in TEACHERS
        if (rows := [row for row in read(asked.output) if row["raised"] == name])
    ]
    asked.output.with_suffix(".md").write_text("\n".join(tables), encoding="utf-8")
    print("\n".join(tables))


def folder_of(name: str, work: Path) -> Path:
    """Where a teacher lies: alone, as students.py wants it."""
    return work / name.replace(" ", "-") / "teacher"


def raise_teacher(name: str, recipe: Recipe, minutes: float, work: Path) -> None:
    """Train a teacher from nothing."""
    lesson = Lesson(recipe)
    grow(
        recipe,
        find_architecture("RoBERTa-wwm-ext"),
        texts=lesson.blocks_of,
        tokenizer=lesson.tokenizer,
        output=folder_of(name, work),
        minutes=minutes,
        phases=TEACHERS[name],
    )


def compare_starts(name: str, recipe: Recipe, work: Path, about: dict, output: Path) -> None:
    """Measure a teacher, and its assistants untrained (once) and trained."""
    folder = folder_of(name, work)
    teacher = load_model(folder)
    untrained = recipe.model_copy(update={"steps": 0, "seed": 0})
    for way in ("teacher", *ASSISTANTS):
        layers = range(12) if way == "teacher" else WAYS[way].layers
        key = about | key_of(way, untrained, identity(teacher))
        if layers and not is_there(key, output):
            append(key | measure(take_layers(teacher, layers), recipe, teacher), output)
        key = about | key_of(way, recipe, identity(teacher))
        if way in ASSISTANTS and not is_there(key, output):
            append(key | measure(make(WAYS[way], recipe, folder.parent), recipe, teacher), output)


if __name__ == "__main__":
    main()
