"""Does a dry run tell the truth? Its hours beside those of the run itself, its memory beside the peak.

Time: the one-stage distillation of the sample scale. Memory: two steps at full size with random
weights, over what was resident when the models were loaded. Each in a process of its own. Leaves
JSON in benchmarks/results.

    python benchmarks/dry_run.py            # 200 steps
    python benchmarks/dry_run.py --steps 5  # does it run?
"""

import argparse
import json
import tempfile
import time

import torch
from full_size import (
    RESULTS,
    SIZES,
    forget_peak,
    hardware,
    last_line,
    random_blocks,
    random_model,
    resident_peak,
    tokenizer,
)

from minirbt_helpers.course import Lesson
from minirbt_helpers.models.architectures import FULL_VOCABULARY
from minirbt_helpers.models.attention import fast_on_cpu
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.training import distill, dry_run
from minirbt_helpers.training.distillation import prepare
from minirbt_helpers.training.dry_run import memory_needed
from minirbt_helpers.training.loop import Steps
from minirbt_helpers.workspace import versions


def planned(recipe: Recipe, texts: dict) -> dict:
    """What the dry run says."""
    found = dry_run(recipe, "one-stage", **texts)
    return {"seconds": found.hours * 3600, "seconds_per_step": found.step}


def real(recipe: Recipe, texts: dict) -> dict:
    """What the run does, models loaded and all."""
    started = time.perf_counter()
    rows = distill(recipe, "one-stage", **texts, progress=False).metrics[1:]
    tokens = recipe.batch_size * recipe.length
    return {
        "seconds": time.perf_counter() - started,
        "seconds_per_step": sum(tokens / row["tokens_per_second"] for row in rows) / len(rows),
    }


def memory(micro_batch: int = 8) -> dict:
    """Planned bytes of a step at full size, and the rise of the resident peak in two steps (Linux)."""
    words = tokenizer(FULL_VOCABULARY)
    teacher = random_model("RoBERTa-wwm-ext", SIZES["full"])
    recipe = load_recipe("full", batch_size=micro_batch, micro_batch=micro_batch)
    ready = prepare(recipe, "one-stage", teacher, tokenizer=words)
    blocks = random_blocks(micro_batch, recipe.length, FULL_VOCABULARY)
    with fast_on_cpu(ready.teacher, ready.student):
        planned = sum(memory_needed(recipe, ready, blocks).values())
        loaded = sum(weight.nbytes for model in (ready.teacher, ready.student) for weight in model.parameters())
        forget_peak(torch.device("cpu"))
        before, steps = resident_peak(), Steps(recipe, ready.pupil, ready.world)
        batch = ready.batches(recipe, blocks)[0]
        for step in (1, 2):
            steps.take(step, [batch], 0.0)
    real = resident_peak() - before + loaded
    return {"micro_batch": micro_batch, "planned_gib": planned / 2**30, "real_gib": real / 2**30}


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--part", choices=("planned", "real", "memory"))
    parser.add_argument("--folder")
    options = parser.parse_args()
    if options.part == "memory":
        print(json.dumps(memory()))
        return
    if options.part:
        recipe = load_recipe("sample", steps=options.steps, output_dir=options.folder)
        lesson = Lesson(recipe)
        texts = {"blocks": lesson.blocks, "heldout": lesson.heldout}
        print(json.dumps({"planned": planned, "real": real}[options.part](recipe, texts)))
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [__file__, "--steps", str(options.steps), "--folder", folder, "--part"]
        results = {part: json.loads(last_line(*command, part)) for part in ("planned", "real", "memory")}
    results["planned_to_real"] = results["planned"]["seconds"] / results["real"]["seconds"]
    results["memory"]["planned_to_real"] = results["memory"]["planned_gib"] / results["memory"]["real_gib"]
    print(json.dumps(results, indent=2))
    if options.steps < 200:
        return
    results = {"hardware": hardware(), "versions": versions(), "steps": options.steps, **results}
    file = RESULTS / f"dry-run-{'gpu' if torch.cuda.is_available() else 'cpu'}.json"
    file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"kept in {file}")


if __name__ == "__main__":
    main()
