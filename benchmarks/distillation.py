"""A distillation step at full size on a CPU: this engine beside TextBrewer as it comes, in one run.

Teacher to MiniRBT-H256 at length 512, batch 4. Every variant runs in a process of its own, with the real
loader, masking, losses, clipping and optimiser, on the same blocks and random weights; the share of peak is against
the largest matrix product measured in the same run. Leaves JSON in benchmarks/results. (benchmarks/gpu.py is for GPUs.)

    python benchmarks/distillation.py
    python benchmarks/distillation.py --tiny     # seconds: does it run?
"""

import argparse
import json
import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # here a GPU is not looked at

import torch
from full_size import RESULTS, SIZES, Engine, Stock, hardware, last_line, operations, peak, peak_memory

from minirbt_helpers.training.machine import DTYPES
from minirbt_helpers.workspace import versions, write_json

TEACHER, STUDENT, STAGE = "RoBERTa-wwm-ext", "MiniRBT-H256", "one-stage"
VARIANTS = ("TextBrewer fp32", "TextBrewer bf16 autocast", "engine fp32", "engine bf16", "engine bf16 compiled")
CPU = torch.device("cpu")


def measure(variant: str, case: dict) -> dict:
    """One variant, in this process: tokens per second and peak memory."""
    precision = "bf16" if "bf16" in variant else "fp32"
    if variant.startswith("engine"):
        run = Engine(TEACHER, STAGE, case, precision, compiled="compiled" in variant)
    else:
        run = Stock(TEACHER, STAGE, case, precision)
    step = run.seconds(case["batch"], count=case["steps"])
    rate = case["batch"] * case["length"] / step
    return {
        "seconds_per_step": step,
        "tokens_per_second": rate,
        "operations_per_second": operations(TEACHER, STUDENT, case) * rate,
        "peak_memory_gib": peak_memory(CPU),
    }


def compare(case: dict, variants: list[str], peaks: dict[str, float]) -> dict:
    """All variants of a case beside the first of them; a failure is a result, too."""
    results: dict[str, dict] = {}
    for variant in variants:
        try:
            result = json.loads(last_line(__file__, "--variant", variant, "--case", json.dumps(case)))
        except RuntimeError as problem:
            results[variant] = {"failed": str(problem)}
            continue
        base = results.get(variants[0], result)
        result["share_of_peak"] = result["operations_per_second"] / peaks["bf16" if "bf16" in variant else "fp32"]
        if "failed" not in base:
            result["times_textbrewer"] = result["tokens_per_second"] / base["tokens_per_second"]
            result["memory_of_textbrewer"] = result["peak_memory_gib"] / base["peak_memory_gib"]
        results[variant] = result
        print(variant, json.dumps(result), flush=True)
    work = operations(TEACHER, STUDENT, case)
    return {**case, "teacher": TEACHER, "student": STUDENT, "operations_per_token": work, "variants": results}


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--steps", type=int, default=5, help="that count, after two that warm up")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile, too")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(measure(options.variant, options.case)))
        return
    case = SIZES["tiny" if options.tiny else "full"] | {"batch": 4, "steps": options.steps}
    peaks = {name: peak(DTYPES[name], CPU, options.tiny) for name in ("fp32", "bf16")}
    variants = [name for name in VARIANTS if options.compile or "compiled" not in name]
    results = {
        "hardware": hardware(),
        "versions": versions(),
        "peak_operations_per_second": peaks,
        "cases": [compare(case, variants, peaks)],
    }
    if options.tiny:
        return
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / "distillation-cpu.json", results)
    print(f"kept in {RESULTS / 'distillation-cpu.json'}")


if __name__ == "__main__":
    main()
