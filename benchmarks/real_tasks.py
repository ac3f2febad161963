"""Splits of the real task files that lie in a folder: where a train file is missing, something stands in for it.

python benchmarks/real_tasks.py FOLDER OUTPUT [--rows TRAIN DEV] [--questions TRAIN DEV]

FOLDER holds the official files, one sub-folder per task. What stands in: CMRC 2018's trial part; half of the
passages of DRCD's dev part; OCNLI's train.10k; half of LCQMC's dev rows; for BQ Corpus any TSV of the same form
beside ``dev.tsv``; TNEWS and ChnSentiCorp are whole. The other halves are scored. Rows are drawn with a fixed seed.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from minirbt_helpers.lines import read_lines
from minirbt_helpers.tasks import TASKS

Parts = tuple[list, list]


def questions(file: Path) -> list[dict]:
    """The passages of a SQuAD-like file."""
    content = json.loads("\n".join(read_lines(file)))
    return [passage for article in content["data"] for passage in article["paragraphs"]]


def halves(items: Sequence) -> Parts:
    """The first half to train on, the second to score: no article is in both."""
    middle = len(items) // 2
    return list(items[:middle]), list(items[middle:])


def lines(folder: Path, train: str, dev: str = "dev") -> Parts:
    """The lines of two files, named without or with their ends."""
    return tuple(list(read_lines(next(folder.glob(f"{name}*")))) for name in (train, dev))


SPLITS: dict[str, Callable[[Path], Parts]] = {
    "cmrc2018": lambda folder: tuple(questions(folder / f"cmrc2018_{part}.json") for part in ("trial", "dev")),
    "drcd": lambda folder: halves(questions(folder / "DRCD_dev.json")),
    "ocnli": lambda folder: lines(folder, "train.10k"),
    "lcqmc": lambda folder: halves(list(read_lines(folder / "dev.tsv"))),
    "bq": lambda folder: lines(folder, "train"),
    "tnews": lambda folder: lines(folder, "train"),
    "chnsenticorp": lambda folder: lines(folder, "train"),
}


def drawn(items: list, count: int | None, task: str) -> list:
    """``count`` of the items at random (for questions: passages until they hold so many), or all."""
    if count is None:
        return items
    head = items[:1] if task == "chnsenticorp" else []
    shuffled = random.Random(0).sample(items[len(head) :], len(items) - len(head))
    if TASKS[task].layout:
        return head + shuffled[:count]
    kept = []
    while shuffled and sum(len(passage["qas"]) for passage in kept) < count:
        kept.append(shuffled.pop())
    return kept


def main() -> None:
    """Write the splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rows", type=int, nargs=2, default=(None, None), help="of a sentence task")
    parser.add_argument("--questions", type=int, nargs=2, default=(None, None), help="of a question task")
    options = parser.parse_args()
    for name, split in SPLITS.items():
        home = options.output / name
        home.mkdir(parents=True, exist_ok=True)
        counts = options.rows if TASKS[name].layout else options.questions
        for part, items, count in zip(("train", "dev"), split(options.folder / name), counts, strict=True):
            kept = drawn(items, count, name)
            text = "\n".join(kept) if TASKS[name].layout else json.dumps({"data": [{"paragraphs": kept}]})
            (home / TASKS[name].files[part][0]).write_text(text + "\n", encoding="utf-8")
        print(name, {part: len(TASKS[name].load(options.output, part)) for part in ("train", "dev")})


if __name__ == "__main__":
    main()
