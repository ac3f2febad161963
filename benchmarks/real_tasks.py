"""Splits of the real task files that lie in a folder: where a train file is missing, something stands in for it.

python benchmarks/real_tasks.py FOLDER OUTPUT [--rows TRAIN DEV] [--questions TRAIN DEV]

FOLDER holds the official files, one sub-folder per task. What stands in: for CMRC 2018 the trial part and two thirds
of the dev part, for DRCD two thirds of the dev part, both cut so that no article is in both splits; OCNLI's train.10k;
half of LCQMC's dev rows; for BQ Corpus any TSV of the same form whose name begins with ``train`` beside ``dev.tsv``;
TNEWS and ChnSentiCorp are whole. What is left is scored. Rows are shuffled with a fixed seed, so that the first ones
(``--task-rows``) are drawn at random; questions of an article stay together. Without ``--rows`` and ``--questions`` all
are kept. How many dev rows stand in train is printed.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from minirbt_helpers.lines import read_lines
from minirbt_helpers.tasks import TASKS, overlap

Parts = tuple[list, list]
TRAINED = 2 / 3  # of the questions of a dev part


def articles(file: Path) -> list[dict]:
    """The articles of a SQuAD-like file, without questions that have no text (CMRC's trial part has one)."""
    found = json.loads("\n".join(read_lines(file)))["data"]
    for passage in (passage for article in found for passage in article["paragraphs"]):
        passage["qas"] = [question for question in passage["qas"] if question["question"].strip()]
    return found


def by_article(parts: Iterable[dict], share: float = TRAINED) -> Parts:
    """Articles to train on, with that share of all questions, and the others; those of one title stay together."""
    groups: dict[str, list[dict]] = {}
    for number, article in enumerate(parts):
        groups.setdefault(article.get("title") or f"without title {number}", []).append(article)
    names = random.Random(0).sample(list(groups), len(groups))
    wanted = share * sum(map(count, (article for group in groups.values() for article in group)))
    train: list[dict] = []
    while names and sum(map(count, train)) < wanted:
        train += groups[names.pop()]
    return train, [article for name in names for article in groups[name]]


def count(article: dict) -> int:
    """How many questions are asked about an article."""
    return sum(len(passage["qas"]) for passage in article["paragraphs"])


def cmrc2018(folder: Path) -> Parts:
    """The trial part and two thirds of the dev part to train on; trial articles that are scored are left out."""
    train, dev = by_article(articles(folder / "cmrc2018_dev.json"))
    scored = {article["title"] for article in dev if article.get("title")}
    trial = [one for one in articles(folder / "cmrc2018_trial.json") if one.get("title") not in scored]
    return trial + train, dev


def halves(items: Sequence) -> Parts:
    """The first half to train on, the second to score."""
    middle = len(items) // 2
    return list(items[:middle]), list(items[middle:])


def lines(folder: Path, train: str, dev: str = "dev") -> Parts:
    """The lines of two files, named without or with their ends."""
    found = [sorted(folder.glob(f"{name}*")) for name in (train, dev)]
    if not all(found):
        raise SystemExit(f"{folder}: no {train}* or no {dev}*")
    return tuple(list(read_lines(files[0])) for files in found)


SPLITS: dict[str, Callable[[Path], Parts]] = {
    "cmrc2018": cmrc2018,
    "drcd": lambda folder: by_article(articles(folder / "DRCD_dev.json")),
    "ocnli": lambda folder: lines(folder, "train.10k"),
    "lcqmc": lambda folder: halves(list(read_lines(folder / "dev.tsv"))),
    "bq": lambda folder: lines(folder, "train"),
    "tnews": lambda folder: lines(folder, "train"),
    "chnsenticorp": lambda folder: lines(folder, "train"),
}


def drawn(items: list, wanted: int | None, task: str) -> list:
    """``wanted`` of the items at random (for questions: articles until they hold so many), or all, shuffled."""
    head = items[:1] if task == "chnsenticorp" else []
    shuffled = random.Random(0).sample(items[len(head) :], len(items) - len(head))
    if TASKS[task].layout:
        return head + shuffled[:wanted]
    kept: list[dict] = []
    while shuffled and (wanted is None or sum(map(count, kept)) < wanted):
        kept.append(shuffled.pop())
    return kept


def write(folder: Path, output: Path, rows: Sequence[int | None], questions: Sequence[int | None]) -> None:
    """Write the splits of all tasks, and say how large they are and what they share."""
    for name, split in SPLITS.items():
        task, home = TASKS[name], output / name
        home.mkdir(parents=True, exist_ok=True)
        counts = rows if task.layout else questions
        for part, items, wanted in zip(("train", "dev"), split(folder / name), counts, strict=True):
            kept = drawn(items, wanted, name)
            text = "\n".join(kept) if task.layout else json.dumps({"data": kept}, ensure_ascii=False)
            (home / task.files[part][0]).write_text(text + "\n", encoding="utf-8")
        train, dev = (task.load(output, part) for part in ("train", "dev"))
        print(f"{name}: {len(train):,} to train on, {len(dev):,} to score; {overlap(train, dev)}", flush=True)


def main() -> None:
    """Write the splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rows", type=int, nargs=2, default=(None, None), help="of a sentence task")
    parser.add_argument("--questions", type=int, nargs=2, default=(None, None), help="of a question task")
    options = parser.parse_args()
    write(options.folder, options.output, options.rows, options.questions)


if __name__ == "__main__":
    main()
