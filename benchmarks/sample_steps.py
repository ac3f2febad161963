"""How fast the sample family trains, this checkout beside an older one, in one run on a CPU.

The phases of ``minirbt pretrain`` and a student's distillation, with the real loader, masking, losses and optimiser.
Every measurement is a process of its own; the two checkouts take turns, so that a machine whose pace drifts is as
fair to both. Leaves JSON in benchmarks/results.

    git worktree add ../older 8490be9
    python benchmarks/sample_steps.py --against ../older
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from full_size import RESULTS, hardware, peak

HERE = Path(__file__).resolve().parents[1]
CASES = {f"pretrain, phase {number}": number for number in (1, 2, 3)} | {"distil a student": 0}
WARM_UP = 3  # steps that do not count


def measure(case: str, steps: int) -> dict:
    """Tokens per second of a case in this process, by the clock on the wall; the median step counts."""
    from minirbt_helpers.course import Lesson
    from minirbt_helpers.recipe import load_recipe
    from minirbt_helpers.training.machine import keep_freed_memory

    recipe = load_recipe("sample", steps=steps + WARM_UP)
    lesson = Lesson(recipe)
    keep_freed_memory()
    take, done, operations = _student(recipe, lesson) if not CASES[case] else _phase(recipe, lesson, CASES[case])
    seconds = []
    with done:
        for _step in range(recipe.steps):
            started = time.perf_counter()
            tokens = take()
            seconds.append(time.perf_counter() - started)
    return {"tokens_per_second": tokens / statistics.median(seconds[WARM_UP:]), "operations_per_token": operations}


def _phase(recipe, lesson, number: int) -> tuple[Callable[[], int], AbstractContextManager, float]:
    """A phase of growth: takes a step and returns its tokens; what is open meanwhile; operations per token."""
    from minirbt_helpers.models import find_architecture
    from minirbt_helpers.models.attention import fast_on_cpu
    from minirbt_helpers.training import GROWTH
    from minirbt_helpers.training.batches import Batches
    from minirbt_helpers.training.costs import BACKWARD, forward_operations
    from minirbt_helpers.training.growing import depth_of, random_start, settings_of
    from minirbt_helpers.training.machine import join_world
    from minirbt_helpers.training.pretraining import FillIn

    phase, architecture = GROWTH[number - 1], find_architecture("RoBERTa-wwm-ext")
    settings = settings_of(phase, recipe).model_copy(update={"steps": recipe.steps})
    blocks, _ = lesson.blocks_of(settings.length)
    model = random_start(settings, architecture, lesson.tokenizer, depth_of(phase, architecture)).train()
    batches = Batches.of(settings, blocks, lesson.tokenizer)
    take = _steps(settings, FillIn(model, settings), batches, join_world())
    return take, fast_on_cpu(model), BACKWARD * forward_operations(model.config, settings.length)


def _student(recipe, lesson) -> tuple[Callable[[], int], AbstractContextManager, float]:
    """The same of the student's distillation by the shipped assistant."""
    from minirbt_helpers.models.attention import fast_on_cpu
    from minirbt_helpers.training.costs import BACKWARD, forward_operations
    from minirbt_helpers.training.distillation import prepare

    ready = prepare(recipe, "student", teacher=HERE / "data_samples" / "models" / "assistant")
    blocks, _ = lesson.blocks_of(recipe.length)
    work = forward_operations(ready.teacher.config, recipe.length)
    work += BACKWARD * forward_operations(ready.student.config, recipe.length)
    take = _steps(recipe, ready.pupil, ready.batches(recipe, blocks), ready.world)
    return take, fast_on_cpu(ready.teacher, ready.student), work


def _steps(recipe, learner, batches, world) -> Callable[[], int]:
    from minirbt_helpers.training.loop import Steps, learning_rate, shared_batches

    steps, stream = Steps(recipe, learner, world), enumerate(shared_batches(recipe, batches, world, 0), 1)

    def take() -> int:
        step, parts = next(stream)
        steps.take(step, parts, learning_rate(recipe, step - 1))
        return recipe.batch_size * recipe.length

    return take


def measured(checkout: Path, case: str, steps: int) -> dict:
    """The same with the package of a checkout."""
    command = [sys.executable, __file__, "--case", case, "--steps", str(steps)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=checkout)
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="a checkout of an older version")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="that count, in each process")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(measure(asked.case, asked.steps)))
        return
    if not asked.against:
        parser.error("--against: which checkout is the yardstick?")
    sides = {"older": asked.against.resolve(), "now": HERE}
    version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=asked.against)
    most = peak(torch.float32, torch.device("cpu"), tiny=False)
    results = {"hardware": hardware(), "older": version.stdout.strip(), "peak_operations_per_second": most, "cases": {}}
    for case in CASES:
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for _round, side in itertools.product(range(asked.rounds), sides):
            found = measured(sides[side], case, asked.steps)
            rates[side].append(found["tokens_per_second"])
        ratios = [now / older for older, now in zip(rates["older"], rates["now"], strict=True)]
        results["cases"][case] = {
            "tokens_per_second": {side: [round(rate) for rate in one] for side, one in rates.items()},
            "times": round(statistics.median(ratios), 3),
            "share_of_peak": {
                side: round(statistics.median(one) * found["operations_per_token"] / most, 3)
                for side, one in rates.items()
            },
        }
        print(case, json.dumps(results["cases"][case]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sample_steps.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
