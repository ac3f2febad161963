"""Which six layers to start from, for two teachers of the same minutes: one grown, one at full depth from the start.

A grown teacher's layers are of different ages (notebooks 03 and 09), the other's are not. Of both, the first six layers
and every second one are measured as they are, and with the random ones after a distillation as in students.py, seed by
seed. Rows are appended to --output, and those that are there already are not made again; WORK keeps the teachers, and
an unfinished one goes on. A table goes beside the rows.

    python benchmarks/layers.py WORK --text T --heldout H [--minutes 60] [--seeds 3] [--steps 100]
"""

import argparse
from dataclasses import replace
from pathlib import Path

from students import COMPARISONS, WAYS, append, is_there, key_of, make, markdown, measure, read

from minirbt_helpers.course import Lesson
from minirbt_helpers.models import find_architecture, load_model, take_layers
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.training.growing import GROWTH, grow
from minirbt_helpers.training.runs import identity

RESULTS = Path(__file__).parent / "results" / "layers.jsonl"
TEACHERS = {"grown": GROWTH, "full depth": tuple(replace(phase, depth=1) for phase in GROWTH)}
RAISED = {"batch_size": 32, "micro_batch": 16, "learning_rate": 1.2e-3, "mask_probability": 0.2}


def main() -> None:
    """Raise what is missing, measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--text", required=True)
    parser.add_argument("--heldout", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    texts = {"text": asked.text, "heldout": asked.heldout, "output_dir": str(asked.work / "runs")}
    tables = []
    for name, phases in TEACHERS.items():
        models = asked.work / name.replace(" ", "-")
        recipe = load_recipe("sample", evaluate_every=1000, checkpoint_every=200, **texts, **RAISED)
        lesson = Lesson(recipe)
        told = {"texts": lesson.blocks_of, "tokenizer": lesson.tokenizer, "minutes": asked.minutes, "phases": phases}
        grow(recipe, find_architecture("RoBERTa-wwm-ext"), output=models / "teacher", **told)
        teacher = load_model(models / "teacher")
        settings = {"steps": asked.steps, "batch_size": 32, "micro_batch": 32, "evaluate_every": asked.steps}
        settings |= {"teacher": str(models / "teacher"), "checkpoint_every": asked.steps}
        raised = {"grown": name, "minutes": asked.minutes}
        for seed in range(asked.seeds):
            recipe = load_recipe("sample", seed=seed, **settings, **texts)
            for way in COMPARISONS["start"]:
                layers, key = WAYS[way].layers, raised | key_of(way, recipe, identity(teacher))
                untrained = key | {"steps": 0}
                if seed == 0 and layers and not is_there(untrained, asked.output):
                    append(untrained | measure(take_layers(teacher, layers), recipe, teacher), asked.output)
                if not is_there(key, asked.output):
                    append(key | measure(make(WAYS[way], recipe, models), recipe, teacher), asked.output)
        rows = [row for row in read(asked.output) if row["teacher"] == identity(teacher)]
        tables.append(f"## {name}, {asked.minutes:g} minutes\n\n{markdown(rows)}")
    table = "\n".join(tables)
    asked.output.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
