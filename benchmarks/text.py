"""How fast the text room is, as ratios and rates of one run; prints JSON.

    python benchmarks/text.py                          # all but memory, on the course's own text
    python benchmarks/text.py --text my.txt --save benchmarks/results/text.json
    python benchmarks/text.py memory --megabytes 500   # memory of all processes over a big text

The text is repeated to the size each measurement needs. Short text repeated flatters the cache of
:mod:`minirbt_helpers.text.tokens`, so give real text for figures you want to quote.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from minirbt_helpers.lines import read_batches
from minirbt_helpers.models import load_tokenizer
from minirbt_helpers.text import (
    WholeWordCollator,
    build_blocks,
    load_blocks,
    load_segmenter,
    references,
    text_files,
    write_references,
)

TEACHER, SEGMENTER = "data_samples/models/teacher", "data_samples/models/segmenter"
BATCH, LENGTH, REPEATS = 64, 512, 9


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def side_by_side(repeats: int = REPEATS, **actions: Callable[[], object]) -> dict[str, float]:
    """The median time of each action, taken turn and turn about."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats + 1):
        for name, action in actions.items():
            times[name].append(seconds(action))
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}  # the first turn warms up


# --- the collator ---------------------------------------------------------------------------------------------------


def per_token(blocks: list[dict], names: list[str], mask_id: int, probability: float = 0.15) -> list[tuple]:
    """Whole-word masking as the original's collator does it: token by token, words told by ``##`` in front of names."""
    rows = []
    for block in blocks:
        tokens = [names[token] for token in block["input_ids"]]
        for place in range(len(tokens)):
            if place in block["chinese_ref"]:  # a list
                tokens[place] = "##" + tokens[place]
        words: list[list[int]] = []
        for place, token in enumerate(tokens):
            if token in ("[CLS]", "[SEP]"):
                continue
            if words and token.startswith("##"):
                words[-1].append(place)
            else:
                words.append([place])
        rows.append(_masked(block["input_ids"], words, len(names), mask_id, probability))
    return rows


def per_token_lean(blocks: list[dict], names: list[str], mask_id: int, probability: float = 0.15) -> list[tuple]:
    """The same from flags instead of names and lists: about as good as token by token gets in Python."""
    rows = []
    for block in blocks:
        words: list[list[int]] = []
        for place, continues in enumerate(block["continues"][1:-1], 1):
            if continues and words:
                words[-1].append(place)
            else:
                words.append([place])
        rows.append(_masked(block["input_ids"], words, len(names), mask_id, probability))
    return rows


def _masked(ids: list[int], words: list[list[int]], vocabulary: int, mask_id: int, probability: float) -> tuple:
    random.shuffle(words)
    budget, chosen = max(1, round(len(ids) * probability)), set()
    for word in words:
        if len(chosen) + len(word) <= budget:
            chosen.update(word)
    ids, labels = list(ids), [-100] * len(ids)
    for place in chosen:
        labels[place] = ids[place]
        dice = random.random()
        if dice < 0.9:
            ids[place] = mask_id if dice < 0.8 else random.randrange(vocabulary)
    return ids, labels


def collator(text: Path, folder: Path) -> dict:
    """A batch of 64 x 512 tokens, masked."""
    tokenizer = load_tokenizer(TEACHER)
    small = repeated(text, 2, folder / "small.txt")
    build_blocks(small, tokenizer, folder / "small", length=LENGTH, segmenter=load_segmenter(SEGMENTER), progress=False)
    blocks = load_blocks(folder / "small")
    picked = random.Random(0).sample(range(len(blocks) - 1), BATCH)
    rows, columns = [blocks[place] for place in picked], blocks.with_format("numpy")[picked]
    for row in rows:
        row["chinese_ref"] = [place for place, flag in enumerate(row["continues"]) if flag]
    names, collate = tokenizer.convert_ids_to_tokens(range(len(tokenizer))), WholeWordCollator(tokenizer)
    took = side_by_side(
        as_the_original=lambda: per_token(rows, names, tokenizer.mask_token_id),
        lean=lambda: per_token_lean(rows, names, tokenizer.mask_token_id),
        lists=lambda: collate(rows),
        columns=lambda: collate(columns),
    )
    return {
        "milliseconds": {name: round(1000 * value, 3) for name, value in took.items()},
        "ratio": round(took["as_the_original"] / took["columns"], 1),
        "ratio_from_lists": round(took["as_the_original"] / took["lists"], 1),
        "ratio_to_lean": round(took["lean"] / took["columns"], 1),
    }


# --- references -----------------------------------------------------------------------------------------------------


def reference_ratio(text: Path, folder: Path) -> dict:
    """Segmentation alone against segmentation and references, the same lines, in one process."""
    tokenizer, segmenter = load_tokenizer(TEACHER), load_segmenter(SEGMENTER)
    batches = list(read_batches(repeated(text, 8, folder / "ratio.txt")))
    characters = sum(len(line) for lines in batches for line in lines)
    took = side_by_side(
        5,
        segmentation=lambda: [segmenter(lines) for lines in batches],
        references=lambda: [references(lines, segmenter(lines), tokenizer) for lines in batches],
    )
    rates = {name: round(characters / value) for name, value in took.items()}
    return {"characters_per_second": rates, "ratio": round(took["references"] / took["segmentation"], 3)}


def reference_rate(text: Path, folder: Path, megabytes: int = 100) -> dict:
    """Text file to reference file, start of the processes included."""
    tokenizer, segmenter = load_tokenizer(TEACHER), load_segmenter(SEGMENTER)
    file = repeated(text, megabytes, folder / "rate.txt")
    characters = sum(len(line) for lines in read_batches(file) for line in lines)
    rates = {}
    for processes in (1, 2):
        took = seconds(
            lambda count=processes: write_references(
                file, folder / "rate.ref", segmenter, tokenizer, progress=False, processes=count
            )
        )
        rates[f"processes={processes}"] = round(characters / took)
    return {"megabytes": megabytes, "characters_per_second": rates}


# --- packing --------------------------------------------------------------------------------------------------------


def packing(text: Path, folder: Path, sizes: tuple[int, ...] = (1, 3, 10, 30, 100)) -> dict:
    """Text and reference files to blocks of 512 on disk, in one process, over sizes of text."""
    tokenizer, segmenter = load_tokenizer(TEACHER), load_segmenter(SEGMENTER)
    rates = {}
    for megabytes in sizes:
        file = repeated(text, megabytes, folder / "pack.txt")
        made = write_references(file, folder / "pack.ref", segmenter, tokenizer, progress=False)
        took = side_by_side(
            3 if megabytes < 30 else 1,
            pack=lambda file=file, made=made: build_blocks(
                file, tokenizer, folder / "pack", length=LENGTH, references=[made], progress=False, processes=1
            ),
        )
        tokens = len(load_blocks(folder / "pack")) * LENGTH
        rates[f"{megabytes} MB"] = round(tokens / took["pack"])
    spread = max(rates.values()) / min(rates.values())
    return {"tokens_per_second": rates, "fastest_to_slowest": round(spread, 2)}


# --- memory ---------------------------------------------------------------------------------------------------------


def memory(text: Path, folder: Path, megabytes: int) -> dict:
    """The most memory of all processes together while a big text goes through references and packing."""
    file = repeated(text, megabytes, folder / "big.txt")
    command = [sys.executable, "-m", "minirbt_helpers"]
    steps = {
        "references": ["references", str(file), str(folder / "big.ref"), "--processes", "2"],
        "pack": ["pack", str(file), "--references", str(folder / "big.ref"), "--output", str(folder / "big")],
    }
    result: dict = {"megabytes": megabytes, "lines": sum(map(len, read_batches(file)))}
    for name, arguments in steps.items():
        started = time.perf_counter()
        running = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak = 0
        while running.poll() is None:
            peak = max(peak, sum(map(own_memory, family(running.pid))))
            time.sleep(0.2)
        if running.returncode:
            raise SystemExit(f"{name} failed with status {running.returncode}")
        took = round(time.perf_counter() - started, 1)
        result[name] = {"seconds": took, "peak_megabytes": round(peak / 2**20)}
    result["reference_lines"] = sum(map(len, read_batches(folder / "big.ref")))
    result["tokens"] = len(load_blocks(folder / "big")) * 128
    return result


def family(process: int) -> Iterator[int]:
    """A process and all that descend from it (Linux)."""
    yield process
    try:
        children = [
            child
            for thread in Path(f"/proc/{process}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def own_memory(process: int) -> int:
    """Bytes in memory: private pages and a share of those held with other processes."""
    try:
        rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(row.split()[1]) for row in rows if row.startswith("Pss:"))


# --- the run --------------------------------------------------------------------------------------------------------


def repeated(text: Path, megabytes: int, file: Path) -> Path:
    """The lines of a text over and over in a file of so many million bytes."""
    lines = [line + b"\n" for line in text.read_bytes().splitlines()]
    size, at = 0, 0
    with open(file, "wb") as stream:
        while size < megabytes * 1_000_000:
            size += stream.write(lines[at % len(lines)])
            at += 1
    return file


def machine() -> dict:
    """What the figures were measured on."""
    names = [row.split(":")[1].strip() for row in _cpuinfo() if row.startswith("model name")]
    return {"processor": (names or [platform.processor()])[0], "processors": os.cpu_count(), "numpy": np.__version__}


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def main() -> None:
    """Measure what is asked for, print it, keep it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["speed", "memory"], default="speed")
    parser.add_argument("--text", type=Path, help="a text file; default: the course's training text")
    parser.add_argument("--megabytes", type=int, default=500, help="of text, for memory")
    parser.add_argument("--save", type=Path, help="a JSON file for the results, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = options.text or folder / "course.txt"
        if not options.text:
            text.write_bytes(b"".join(file.read_bytes() for file in text_files("data_samples/corpus/train")))
        result = {"machine": machine(), "text_megabytes": round(text.stat().st_size / 1e6, 1)}
        if options.what == "memory":
            result["memory"] = memory(text, folder, options.megabytes)
        else:
            result |= {
                "collator_64x512": collator(text, folder),
                "references_to_segmentation": reference_ratio(text, folder),
                "references": reference_rate(text, folder),
                "packing": packing(text, folder),
            }
    shown = json.dumps(result, indent=2)
    print(shown)
    if options.save:
        options.save.parent.mkdir(parents=True, exist_ok=True)
        options.save.write_text(shown + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
