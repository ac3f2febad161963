"""How fast the family is at full size, and why: random weights, for speed does not depend on them.

Each run of a case is a line of benchmarks/results/speed-cpu.jsonl (or speed-gpu.jsonl), and what stands there is
not repeated, so that the whole can be measured in slices. Within a case the models take turns, and every round's
seconds are kept; notebook 07 draws from them. On a CPU one thread computes, and its processor time counts: that
holds on a machine with other work, too. (--threads 2 and more go by the clock on the wall, and want a quiet one.)

    python benchmarks/speed.py                                        # all that is missing
    python benchmarks/speed.py speed --precision bf16 --length 512 --rounds 1    # one slice
    python benchmarks/speed.py --tiny                                 # seconds: does it run?
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from transformers import BertForMaskedLM, BertForSequenceClassification

from minirbt_helpers.insight import hardware, hollow_model, kind_seconds, model_timings, product_rate
from minirbt_helpers.models import ARCHITECTURES
from minirbt_helpers.models.architectures import FULL_VOCABULARY
from minirbt_helpers.workspace import versions

RESULTS = Path(__file__).parent / "results"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Rounds by batch and length: few where one takes more than a minute on a CPU.
ROUNDS = {(1, 32): 30, (1, 128): 20, (1, 512): 10, (32, 32): 6, (32, 128): 4, (32, 512): 2}
EXPORTED = ("RoBERTa-wwm-ext", "RBT3", "MiniRBT-H256")
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")


def cases() -> Iterator[dict]:
    """What there is to measure, one line each."""
    for precision, (batch, length) in itertools.product(DTYPES, ROUNDS):
        yield {
            "kind": "speed",
            "precision": precision,
            "batch": batch,
            "length": length,
            "rounds": ROUNDS[batch, length],
        }
    for precision in DTYPES:
        yield {"kind": "products", "precision": precision}
    for name in ARCHITECTURES:
        yield {"kind": "memory", "model": name}
    for precision, (batch, length) in itertools.product(DTYPES, ((1, 32), (1, 128), (1, 512), (32, 128))):
        yield {"kind": "kinds", "precision": precision, "batch": batch, "length": length}
    if not CUDA:
        for name in EXPORTED:
            yield {"kind": "deployment", "model": name, "batch": 1, "length": 128}


def family(precision: str, scale: str) -> dict[str, BertForMaskedLM]:
    """All models of the family with random weights."""
    models = (one.random_model(scale, FULL_VOCABULARY) for one in ARCHITECTURES.values())
    return {name: model.eval().to(DEVICE, DTYPES[precision]) for name, model in zip(ARCHITECTURES, models, strict=True)}


def measure_speed(case: dict, scale: str) -> dict:
    """Seconds of every round, by model and part; with one text at a time also those of models with nothing to do."""
    models = family(case["precision"], scale)
    if case["batch"] == 1:
        depths = sorted({one.full.layers for one in ARCHITECTURES.values()})
        hollow = {f"hollow, {layers} layers": hollow_model(layers) for layers in depths}
        models |= {name: model.to(DEVICE, DTYPES[case["precision"]]) for name, model in hollow.items()}
    timings = model_timings(models, case["batch"], case["length"], case["rounds"])
    return {
        "seconds": {
            name: {part: [round(one, 7) for one in seconds] for part, seconds in parts.items()}
            for name, parts in timings.items()
        }
    }


def measure_products(case: dict, scale: str) -> dict:
    """Operations per second of the products that make up a layer, by width; the largest product as the peak."""
    settings = {"dtype": DTYPES[case["precision"]], "device": str(DEVICE)}
    size = 256 if scale == "sample" else 8192 if CUDA else 2048
    widths = sorted({(one.full.hidden, one.full.ffn) for one in ARCHITECTURES.values()})
    rates = {
        str(tokens): {
            str(width): {
                "square": product_rate(tokens, width, width, **settings),
                "FFN": product_rate(tokens, width, inner, **settings),
            }
            for width, inner in widths
        }
        for tokens in (32, 128, 512, 4096)
    }
    return {"peak": product_rate(size, size, size, **settings), "rates": rates}


def measure_kinds(case: dict, scale: str) -> dict:
    """Seconds of each encoder by kind of work."""
    models = family(case["precision"], scale)
    rounds = 3 if case["batch"] > 1 else 10
    return {"seconds": {name: kind_seconds(one, case["batch"], case["length"], rounds) for name, one in models.items()}}


def measure_memory(case: dict, scale: str) -> dict:
    """Bytes on disk, and how far memory rises when a process loads the model and reads 1 and 32 texts of 128 tokens."""
    with tempfile.TemporaryDirectory() as folder:
        ARCHITECTURES[case["model"]].random_model(scale, FULL_VOCABULARY).save_pretrained(folder)
        command = [sys.executable, __file__, "--child", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        disk = (Path(folder) / "model.safetensors").stat().st_size
    return {"disk": disk, **json.loads(done.stdout.splitlines()[-1])}


def use_memory(folder: str) -> dict:
    """In a process of its own: the most memory in use, less what was in use before the model was loaded."""
    before = 0 if CUDA else resident("VmRSS")
    model = BertForMaskedLM.from_pretrained(folder).eval().to(DEVICE)
    used = {"loaded": memory() - before}
    for batch in (1, 32):
        ids = torch.zeros(batch, 128, dtype=torch.long, device=DEVICE)
        with torch.inference_mode():
            model.bert(ids)
        used[f"batch {batch}"] = memory() - before
    return used


def memory() -> int:
    """The most memory that was in use so far, in bytes: the GPU's, or the process's."""
    return torch.cuda.max_memory_allocated() if CUDA else resident("VmHWM")


def resident(name: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure_deployment(case: dict, scale: str) -> dict:
    """Bytes on disk and seconds of every round: torch, ONNX, ONNX in int8; in turns."""
    from minirbt_helpers.insight import call_timings
    from minirbt_helpers.tasks import OnnxModel, export_onnx, quantize_onnx

    architecture = ARCHITECTURES[case["model"]]
    model = BertForSequenceClassification(architecture.config(scale, FULL_VOCABULARY)).eval()
    ids = torch.randint(1, FULL_VOCABULARY, (case["batch"], case["length"]))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    with tempfile.TemporaryDirectory() as folder:
        plain = export_onnx(model, Path(folder) / "model.onnx")
        files = {"onnx": plain, "onnx int8": quantize_onnx(plain, Path(folder) / "int8.onnx")}
        runs = {"torch": model} | {name: OnnxModel(file, torch.get_num_threads()) for name, file in files.items()}
        seconds = call_timings({name: lambda run=run: run(**batch) for name, run in runs.items()}, rounds=20)
        sizes = {name: file.stat().st_size for name, file in files.items()}
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return {"seconds": seconds, "disk": {"torch": weights, **sizes}}


def main() -> None:
    """Measure what is asked for and not there yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", nargs="?", choices=("speed", "products", "kinds", "memory", "deployment"))
    for name, kind in {"precision": str, "batch": int, "length": int, "model": str}.items():
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--rounds", type=int, help="at most so many in this run")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU; 1: the clock is the processor's time")
    parser.add_argument("--tiny", action="store_true", help="small models, one round, nothing kept")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    if options["child"]:
        print(json.dumps(use_memory(options["child"])))
        return
    tiny, rounds, count = options.pop("tiny"), options.pop("rounds"), options.pop("threads")
    torch.set_num_threads(count)
    file = RESULTS / f"speed-{'gpu' if CUDA else 'cpu'}.jsonl"
    for case in cases():
        case["threads"] = count
        left = case.pop("rounds", 1) - (0 if tiny else already(file, case))
        asked = all(value is None or case.get(name, value) == value for name, value in options.items())
        if not asked or left < 1:
            continue
        case |= {"rounds": 1 if tiny else min(left, rounds or left)}
        begin = time.monotonic()
        found = globals()[f"measure_{case['kind']}"](case, "sample" if tiny else "full")
        row = {"hardware": hardware(DEVICE), "versions": versions()} | case | found
        row |= {"finished": datetime.now(UTC).isoformat(timespec="seconds")}
        print(json.dumps(case), f"{time.monotonic() - begin:.0f} s", flush=True)
        if not tiny:
            RESULTS.mkdir(exist_ok=True)
            with open(file, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")


def already(file: Path, case: dict) -> int:
    """How many rounds of a case stand in the file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return sum(row["rounds"] for row in map(json.loads, lines) if case.items() <= row.items())


if __name__ == "__main__":
    main()
