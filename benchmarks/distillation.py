"""A distillation step at full size: this engine beside TextBrewer as it comes, in one run.

On a CPU: teacher to MiniRBT-H256, length 512, batch 4. On a GPU: both stages of the recipe at length
512, each at the best of several batch sizes, and from that the GPU-hours of the published recipe.
Every variant runs in a process of its own, through the real training loop (masking, losses,
clipping, optimiser, log), on the same blocks and random weights; the share of peak is against the
largest matrix product measured in the same run. Leaves JSON in benchmarks/results.

    python benchmarks/distillation.py            # CPU, or one GPU
    python benchmarks/distillation.py --tiny     # seconds: does it run?
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from datasets import Dataset
from transformers import BertForMaskedLM, BertTokenizer

from minirbt_helpers.models import ARCHITECTURES
from minirbt_helpers.models.architectures import FULL_VOCABULARY
from minirbt_helpers.models.attention import fast_on_cpu
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.text import WholeWordCollator
from minirbt_helpers.training.batches import Batches
from minirbt_helpers.training.costs import distillation_operations
from minirbt_helpers.training.distillation import Distiller, Pupil, frozen
from minirbt_helpers.training.loop import train
from minirbt_helpers.training.machine import DTYPES, autocast, join_world
from minirbt_helpers.workspace import versions

RESULTS = Path(__file__).parent / "results"
PUBLISHED_TOKENS = 100_000 * 4096 * 512  # of each stage
VARIANTS = ("TextBrewer fp32", "TextBrewer bf16 autocast", "engine fp32", "engine bf16", "engine bf16 compiled")
GPU_BATCHES = (32, 64, 128, 256, 512)


def tokenizer(entries: int) -> BertTokenizer:
    """A tokenizer with as many entries as the published one: BERT's special tokens, then characters."""
    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    rest = (number for number in range(entries) if number not in special.values())
    return BertTokenizer(vocab=special | {chr(0x4E00 + number): number for number in rest})


def random_blocks(count: int, length: int, entries: int) -> Dataset:
    """Blocks of random tokens, in words of one or two."""
    draws = torch.Generator().manual_seed(0)
    ids = torch.randint(104, entries, (count, length), generator=draws)
    ids[:, 0], ids[:, -1] = 101, 102
    continues = torch.rand(count, length, generator=draws) < 0.4
    return Dataset.from_dict({"input_ids": ids.tolist(), "continues": continues.tolist()})


def models(case: dict) -> tuple[BertForMaskedLM, BertForMaskedLM]:
    """Teacher and student of a case, with random weights."""
    scale = case["scale"]
    longest = {"max_position_embeddings": max(512, case["length"])}
    return tuple(
        ARCHITECTURES[case[role]].random_model(scale, case["vocabulary"], **longest) for role in ("teacher", "student")
    )


def recipe_of(case: dict, variant: str) -> Recipe:
    """The published recipe, with the batch and number format of the case."""
    return load_recipe(
        "full",
        batch_size=case["batch"],
        micro_batch=case["batch"],
        steps=case["steps"],
        precision="bf16" if "bf16" in variant else "fp32",
        compile="compiled" in variant,
        workers=0 if not torch.cuda.is_available() else 4,
    )


def run_engine(case: dict, variant: str) -> list[float]:
    """Seconds of every step of this engine."""
    recipe, world = recipe_of(case, variant), join_world()
    teacher, student = models(case)
    student.to(world.device).train()
    teacher = frozen(teacher, False, recipe, world.device)
    if recipe.compile:
        teacher.bert.compile()
        student.bert.compile()
    pupil = Pupil(Distiller(teacher, student, recipe), student)
    entries = tokenizer(case["vocabulary"])
    batches = Batches(
        recipe, random_blocks(case["batch"], case["length"], case["vocabulary"]), WholeWordCollator(entries)
    )
    with tempfile.TemporaryDirectory() as folder, fast_on_cpu(teacher, student):
        rows = train(recipe, pupil, batches, Path(folder), dict, world, title=variant, progress=False)
    return [case["batch"] * case["length"] / row["tokens_per_second"] for row in rows[1:]]


def run_textbrewer(case: dict, variant: str) -> list[float]:
    """Seconds of every step of TextBrewer's own loop, set up as the published code does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig
    from transformers import get_linear_schedule_with_warmup

    from minirbt_helpers.training import hidden_matches

    recipe, device = recipe_of(case, variant), join_world().device
    teacher, student = (model.to(device) for model in models(case))
    blocks = random_blocks(case["batch"], case["length"], case["vocabulary"])
    collator = WholeWordCollator(tokenizer(case["vocabulary"]))
    rows = [blocks[number] for number in range(len(blocks))]
    started: list[float] = []

    class Loader:
        def __iter__(self) -> Iterator[dict]:
            if device.type == "cuda":
                torch.cuda.synchronize()
            started.append(time.perf_counter())
            yield collator(rows)

    def adapt(batch: dict, outputs) -> dict:
        mask = batch["labels"] != -100
        return {"logits": outputs.logits, "logits_mask": mask, "hidden": outputs.hidden_states, "losses": outputs.loss}

    plain = ("bias", "LayerNorm")
    named = list(student.named_parameters())
    groups = [
        {"params": [weight for name, weight in named if not any(part in name for part in plain)], "weight_decay": 0.01},
        {"params": [weight for name, weight in named if any(part in name for part in plain)], "weight_decay": 0.0},
    ]
    config = DistillationConfig(
        temperature=recipe.temperature, intermediate_matches=hidden_matches(teacher.config, student.config, recipe)
    )
    with tempfile.TemporaryDirectory() as folder, autocast(recipe, device):
        training = TrainingConfig(device=device, output_dir=folder, log_dir=folder, ckpt_steps=case["steps"])
        distiller = GeneralDistiller(training, config, teacher, student, adapt, adapt)
        with distiller:
            distiller.train(
                torch.optim.AdamW(groups, lr=recipe.learning_rate),
                Loader(),
                num_steps=case["steps"],
                scheduler_class=get_linear_schedule_with_warmup,
                scheduler_args={"num_warmup_steps": 1, "num_training_steps": case["steps"]},
                max_grad_norm=recipe.clip,
                callback=None,
                output_hidden_states=True,
            )
    return [after - before for before, after in itertools.pairwise(started)]


def measure(variant: str, case: dict) -> dict:
    """One variant, in this process: tokens per second and peak memory."""
    seconds = (run_engine if variant.startswith("engine") else run_textbrewer)(case, variant)
    step = statistics.median(seconds[len(seconds) // 2 :])  # the first ones warm up
    cuda = torch.cuda.is_available()
    memory = torch.cuda.max_memory_allocated() if cuda else resident_peak()
    tokens = case["batch"] * case["length"]
    flops = operations(case) * tokens / step
    return {
        "seconds_per_step": step,
        "tokens_per_second": tokens / step,
        "operations_per_second": flops,
        "peak_memory_gib": memory / 2**30,
    }


def resident_peak() -> int:
    """The most memory this process ever had resident, in bytes (``ru_maxrss`` would count its parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def operations(case: dict) -> float:
    """Operations a token needs in matrix products."""
    configs = (ARCHITECTURES[case[role]].config(case["scale"], case["vocabulary"]) for role in ("teacher", "student"))
    return distillation_operations(*configs, case["length"])


def peak(dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of the fastest of several matrix products of this format."""
    best = 0.0
    sizes = (
        ((8192, 8192, 8192), (16384, 8192, 8192)) if device.type == "cuda" else ((2048, 2048, 2048), (2048, 768, 3072))
    )
    for rows, inner, columns in sizes:
        left, right = (torch.randn(shape, device=device).to(dtype) for shape in ((rows, inner), (inner, columns)))
        for _ in range(12):
            if device.type == "cuda":
                torch.cuda.synchronize()
            started = time.perf_counter()
            left @ right
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * rows * inner * columns / (time.perf_counter() - started))
    return best


def hardware() -> str:
    """What this machine computes with."""
    from minirbt_helpers import insight  # not at the top: the measured processes do without its libraries

    if torch.cuda.is_available():
        return insight.hardware("cuda")
    return f"{torch.get_num_threads()} cores of {insight.hardware()}"


def in_own_process(variant: str, case: dict) -> dict:
    """Measure a variant in a fresh process; a failure (no memory) is a result, too."""
    command = [sys.executable, __file__, "--variant", variant, "--case", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def compare(case: dict, variants: list[str], peaks: dict[str, float]) -> dict:
    """All variants of a case beside the first of them."""
    results: dict[str, dict] = {}
    for variant in variants:
        result = in_own_process(variant, case)
        if "failed" not in result:
            result["share_of_peak"] = result["operations_per_second"] / peaks["bf16" if "bf16" in variant else "fp32"]
            base = results.get(variants[0], result)
            if "failed" not in base:
                result["times_textbrewer"] = result["tokens_per_second"] / base["tokens_per_second"]
                result["memory_of_textbrewer"] = result["peak_memory_gib"] / base["peak_memory_gib"]
        results[variant] = result
        print(case["teacher"], "->", case["student"], "batch", case["batch"], variant, json.dumps(result), flush=True)
    return {**case, "operations_per_token": operations(case), "variants": results}


def best_batches(case: dict, variants: list[str], peaks: dict[str, float]) -> dict:
    """On a GPU: every variant at its own best batch size, and the GPU-hours of the published stage.

    The batch grows as long as it pays by two hundredths.
    """
    best: dict[str, dict] = {}
    for variant in variants:
        for batch in (2, 4) if case["tiny"] else GPU_BATCHES:
            result = compare({**case, "batch": batch}, [variant], peaks)["variants"][variant]
            if result.get("tokens_per_second", 0) < 1.02 * best.get(variant, {}).get("tokens_per_second", 0.01):
                break
            hours = PUBLISHED_TOKENS / result["tokens_per_second"] / 3600
            best[variant] = result | {"batch": batch, "published_stage_gpu_hours": hours}
    stock = best.get(variants[0])
    for result in best.values() if stock else ():
        result["times_textbrewer"] = result["tokens_per_second"] / stock["tokens_per_second"]
        del result["memory_of_textbrewer"]  # of another batch size
    return {**case, "operations_per_token": operations(case), "variants": best}


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--compile", action="store_true", help="measure torch.compile, too")
    parser.add_argument("--variant")
    parser.add_argument("--case", type=json.loads)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(measure(options.variant, options.case)))
        return
    device = join_world().device
    cuda = device.type == "cuda"
    peaks = {name: peak(DTYPES[name], device) for name in ("fp32", "bf16")}
    case = {"scale": "full", "vocabulary": FULL_VOCABULARY, "length": 512, "batch": 4, "steps": 40 if cuda else 5}
    if options.tiny:
        case |= {"scale": "sample", "vocabulary": 500, "length": 32, "steps": 3}
    case |= {"tiny": options.tiny} | ({"steps": options.steps} if options.steps else {})
    variants = [name for name in VARIANTS if options.compile or cuda or "compiled" not in name]
    stages = [("RoBERTa-wwm-ext", "RBT6"), ("RBT6", "MiniRBT-H256")] if cuda else [("RoBERTa-wwm-ext", "MiniRBT-H256")]
    run = best_batches if cuda or options.tiny else compare
    results = {
        "hardware": hardware(),
        "versions": versions(),
        "peak_operations_per_second": peaks,
        "cases": [
            run({**case, "teacher": teacher, "student": student}, variants, peaks) for teacher, student in stages
        ],
    }
    if options.tiny:
        return
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"distillation-{'gpu' if cuda else 'cpu'}.json"
    file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"kept in {file}")


if __name__ == "__main__":
    main()
