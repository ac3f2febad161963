"""How fast the sample family trains, this checkout beside an older one, in one run on a CPU.

The phases of ``minirbt pretrain`` and a student's distillation, with the real loader, masking, losses and optimiser.
Every measurement is a process of its own; the two checkouts take turns, so that a machine whose pace drifts is as
fair to both. One thread computes, and its processor time counts: that holds on a machine with other work, too.
(--threads 2 and more go by the clock on the wall, and want a quiet one.) Leaves JSON in benchmarks/results.

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

from minirbt_helpers.course import Lesson
from minirbt_helpers.models import find_architecture
from minirbt_helpers.models.attention import fast_on_cpu
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.training import GROWTH
from minirbt_helpers.training.batches import Batches
from minirbt_helpers.training.costs import BACKWARD, forward_operations
from minirbt_helpers.training.distillation import prepare
from minirbt_helpers.training.growing import depth_of, random_start, settings_of
from minirbt_helpers.training.loop import Steps, learning_rate, shared_batches
from minirbt_helpers.training.machine import join_world, keep_freed_memory
from minirbt_helpers.training.pretraining import FillIn
from minirbt_helpers.workspace import versions, write_json

HERE = Path(__file__).resolve().parents[1]
CASES = {f"pretrain, phase {number}": number for number in (1, 2, 3)} | {"distil a student": 0}
WARM_UP = 3  # steps that do not count
Case = tuple[Callable[[], object], AbstractContextManager, Callable[[int], float]]


def measure(case: str, steps: int, threads: int) -> dict:
    """Tokens per second of a case in this process; the median step counts."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    recipe = load_recipe("sample", steps=steps + WARM_UP)
    lesson = Lesson(recipe)
    keep_freed_memory()
    take, quick, operations = _phase(recipe, lesson, CASES[case]) if CASES[case] else _student(recipe, lesson)
    seconds, tokens = [], recipe.batch_size * recipe.length
    with quick:
        for _step in range(recipe.steps):
            started = clock()
            take()
            seconds.append(clock() - started)
    step = statistics.median(seconds[WARM_UP:])
    return {"tokens_per_second": tokens / step, "operations_per_second": operations(tokens) / step}


def _phase(recipe, lesson, number: int) -> Case:
    """A phase of growth: what takes a step, what is open meanwhile, and the operations of a step by its tokens."""
    phase, architecture = GROWTH[number - 1], find_architecture("RoBERTa-wwm-ext")
    settings = settings_of(phase, recipe).model_copy(update={"steps": recipe.steps})
    blocks, _ = lesson.blocks_of(settings.length)
    model = random_start(settings, architecture, lesson.tokenizer, depth_of(phase, architecture)).train()
    batches = Batches.of(settings, blocks, lesson.tokenizer)
    steps = Steps(settings, FillIn(model, settings), join_world())
    work = BACKWARD * forward_operations(model.config, settings.length)
    return taking(settings, steps, batches), fast_on_cpu(model), lambda tokens: work * tokens + of_muon(steps)


def _student(recipe, lesson) -> Case:
    """The same of the student's distillation by the shipped assistant."""
    ready = prepare(recipe, "student", teacher=HERE / "data_samples" / "models" / "assistant")
    blocks, _ = lesson.blocks_of(recipe.length)
    steps = Steps(recipe, ready.pupil, ready.world)
    work = forward_operations(ready.teacher.config, recipe.length)
    work += BACKWARD * forward_operations(ready.student.config, recipe.length)
    take = taking(recipe, steps, ready.batches(recipe, blocks))
    return take, fast_on_cpu(ready.teacher, ready.student), lambda tokens: work * tokens + of_muon(steps)


def taking(recipe, steps: Steps, batches) -> Callable[[], object]:
    """A function that takes the next step of a run."""
    stream = enumerate(shared_batches(recipe, batches, steps.world, 0), 1)

    def take() -> None:
        step, parts = next(stream)
        steps.take(step, parts, learning_rate(recipe, step - 1))

    return take


def of_muon(steps: Steps) -> float:
    """Operations of Muon's five iterations over all its matrices, once a step."""
    shapes = [sorted(weight.shape) for one in steps.optimizers[1:] for weight in one.param_groups[0]["params"]]
    return sum(5 * 2 * short**2 * (2 * long + short) for short, long in shapes)


def measured(checkout: Path, case: str, steps: int, threads: int) -> dict:
    """What :func:`measure` finds with the package of a checkout, in a process of its own."""
    command = [sys.executable, __file__, "--case", case, "--steps", str(steps), "--threads", str(threads)]
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
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(measure(asked.case, asked.steps, asked.threads)))
        return
    if not asked.against:
        parser.error("--against: which checkout is the yardstick?")
    sides = {"older": asked.against.resolve(), "now": HERE}
    version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=asked.against)
    torch.set_num_threads(asked.threads)
    results = {"hardware": hardware(), "versions": versions(), "threads": asked.threads}
    results |= {"older": version.stdout.strip(), "cases": {}}
    for case in CASES:
        rates, shares = {side: [] for side in sides}, {side: [] for side in sides}
        for _round, side in itertools.product(range(asked.rounds), sides):
            most = peak(torch.float32, torch.device("cpu"))  # beside every measurement, for the pace drifts
            found = measured(sides[side], case, asked.steps, asked.threads)
            rates[side].append(round(found["tokens_per_second"]))
            shares[side].append(round(found["operations_per_second"] / most, 3))
        ratios = [now / older for older, now in zip(rates["older"], rates["now"], strict=True)]
        results["cases"][case] = {
            "tokens_per_second": rates,
            "times": round(statistics.median(ratios), 3),
            "share_of_peak": {side: statistics.median(one) for side, one in shares.items()},
        }
        print(case, json.dumps(results["cases"][case]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / "sample_steps.json", results)


if __name__ == "__main__":
    main()
