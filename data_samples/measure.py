"""Measure the sample texts: the figures and the picture of DATA_CARD.md, and what the tests hold them to.

python data_samples/measure.py                 # prints the tables, draws data_samples/statistics.png
python data_samples/measure.py other.txt …     # the same figures for other texts, beside ours
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from minirbt_helpers.lines import read_lines
from minirbt_helpers.tasks import TASKS
from minirbt_helpers.text import is_chinese

HERE = Path(__file__).parent
SENTENCE = re.compile(r"[^。！？!?；…]+[。！？!?；…]*[”’」』）)]*")


def corpus(part: str = "*") -> dict[str, list[str]]:
    """The corpus by topic: ``part`` is ``train``, ``heldout``, or ``*`` for both."""
    topics: dict[str, list[str]] = {}
    for file in sorted(HERE.glob(f"corpus/{part}/*.txt")):
        topics.setdefault(file.stem, []).extend(read_lines(file))
    return topics


def sentences(lines: Iterable[str]) -> list[str]:
    """Sentences, without the blanks around them."""
    return [sentence.strip() for line in lines for sentence in SENTENCE.findall(line) if sentence.strip()]


def is_traditional(character: str) -> bool:
    """Whether a character is used in traditional text alone: it is in Big5, and not in GB 2312."""
    return is_chinese(character) and _in(character, "big5") and not _in(character, "gb2312")


def is_simplified(character: str) -> bool:
    """Whether a character is used in simplified text alone: it is in GB 2312, and not in Big5."""
    return is_chinese(character) and _in(character, "gb2312") and not _in(character, "big5")


def _in(character: str, encoding: str) -> bool:
    try:
        return bool(character.encode(encoding))
    except UnicodeEncodeError:
        return False


def of_length(lines: Sequence[str], characters: int, seed: int = 0) -> list[str]:
    """Lines drawn at random until they hold so many Chinese characters: variety is compared at equal length."""
    order = random.Random(seed).sample(range(len(lines)), len(lines))
    drawn: list[str] = []
    held = 0
    for place in order:
        if held >= characters:
            break
        drawn.append(lines[place])
        held += sum(map(is_chinese, lines[place]))
    return drawn


def statistics(lines: Sequence[str]) -> dict[str, float]:
    """What a text is made of.

    Returns:
        Counts of paragraphs, Chinese characters and their types, and shares from 0 to 1:
        ``distinct 4-grams`` (of all runs of four Chinese characters), ``repeated sentences`` (of
        those with eight characters or more, how many were there before), ``ten openings`` (paragraphs
        that begin with one of the ten most frequent pairs of characters), ``traditional``, ``Latin``
        and ``digits`` (of all characters but blanks), and ``sentence length`` with its ``spread``
        (mean and standard deviation, in characters).
    """
    text = [character for line in lines for character in line if not character.isspace()]
    chinese = list(filter(is_chinese, text))
    grams = [run[at : at + 4] for line in lines for run in chinese_runs(line) for at in range(len(run) - 3)]
    parts = sentences(lines)
    lengths = [len(sentence) for sentence in parts]
    long = [sentence for sentence in parts if len(sentence) >= 8]
    mean = sum(lengths) / len(lengths)
    openings = Counter(line[:2] for line in lines)
    return {
        "paragraphs": len(lines),
        "Chinese characters": len(chinese),
        "types": len(set(chinese)),
        "distinct 4-grams": len(set(grams)) / len(grams),
        "repeated sentences": 1 - len(set(long)) / len(long),
        "ten openings": sum(count for _, count in openings.most_common(10)) / len(lines),
        "sentence length": mean,
        "spread": (sum((length - mean) ** 2 for length in lengths) / len(lengths)) ** 0.5,
        "traditional": sum(map(is_traditional, chinese)) / len(chinese),
        "Latin": sum(character.isascii() and character.isalpha() for character in text) / len(text),
        "digits": sum(character.isascii() and character.isdigit() for character in text) / len(text),
    }


def chinese_runs(line: str) -> list[str]:
    """The runs of Chinese characters between everything else."""
    return "".join(character if is_chinese(character) else " " for character in line).split()


def overlap(first: str, second: str) -> float:
    """The characters two texts share, as a share of all that occur in them (Jaccard)."""
    return len(set(first) & set(second)) / len(set(first) | set(second))


def bag_of_characters(train: tuple[list[str], list[int]], dev: tuple[list[str], list[int]]) -> float:
    """Accuracy on dev rows of a logistic regression that sees which characters occur, and no order."""
    model = make_pipeline(CountVectorizer(analyzer="char", min_df=2), LogisticRegression(C=0.3, max_iter=2000))
    return model.fit(*train).score(*dev)


def by_number(train: tuple[list[float], list[int]], dev: tuple[list[float], list[int]]) -> float:
    """Accuracy on dev rows of a logistic regression that sees one number of each row, such as its length."""
    (seen, labels), (asked, truth) = (([[value] for value in values], labels) for values, labels in (train, dev))
    return LogisticRegression(max_iter=2000).fit(seen, labels).score(asked, truth)


def guesses(task: str) -> dict[str, float]:
    """How far shortcuts get on the dev rows of a task that asks for a label, as accuracies.

    Returns:
        ``chance``; ``length``, knowing only how long a row is; ``characters``, knowing which
        occur; and for pairs ``second sentence``, its characters alone, and ``overlap``, the share of
        characters both have.
    """
    rows = {split: TASKS[task].load(HERE / "tasks", split) for split in ("train", "dev")}

    def score(measure: Callable, feature: Callable) -> float:
        return measure(*(([*map(feature, part)], list(part["label"])) for part in rows.values()))

    found = {
        "chance": 1 / len(TASKS[task].answers),
        "length": score(by_number, lambda row: len(both(row))),
        "characters": score(bag_of_characters, both),
    }
    if "text_pair" in rows["dev"].column_names:
        found["second sentence"] = score(bag_of_characters, lambda row: row["text_pair"])
        found["overlap"] = score(by_number, lambda row: overlap(row["text"], row["text_pair"]))
    return found


def both(row: dict) -> str:
    """The text of a row, with its second sentence where it has one."""
    return "\n".join(row[name] for name in ("text", "text_pair") if name in row)


def draw(file: Path) -> None:
    """The picture of the card: what the corpus holds, and how far shortcuts get on the tasks."""
    import matplotlib.pyplot as plt

    from minirbt_helpers.insight.drawn.theme import PALETTE, prepare_figures

    prepare_figures()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 5), width_ratios=(1.1, 1, 1.2))
    parts = {part: corpus(part) for part in ("train", "heldout")}
    topics = sorted(parts["train"], key=lambda topic: -sum(map(len, parts["train"][topic])))
    base = [0.0] * len(topics)
    for part, colour in (("train", "teacher"), ("heldout", "student")):
        counts = [sum(is_chinese(mark) for line in parts[part][topic] for mark in line) / 1000 for topic in topics]
        left.barh(topics, counts, left=base, color=PALETTE[colour], height=0.7, label=part)
        base = [before + count for before, count in zip(base, counts, strict=True)]
    left.invert_yaxis()
    left.set(title="Corpus: topics", xlabel="thousand Chinese characters", xlim=(0, max(base) * 1.5))
    left.legend(loc="center right")

    lengths = [len(line) for lines in corpus().values() for line in lines]
    middle.hist(lengths, bins=40, color=PALETTE["teacher"])
    middle.set(title="Corpus: length of a paragraph", xlabel="characters", ylabel="paragraphs")

    tasks = [name for name in TASKS if TASKS[name].answers]
    found = {name: guesses(name) for name in tasks}
    kinds = ("length", "characters", "second sentence", "overlap")
    for kind, colour in zip(kinds, ("other", "teacher", "assistant", "accent"), strict=True):
        places = [(found[name][kind], row) for row, name in enumerate(tasks) if kind in found[name]]
        right.scatter(*zip(*places, strict=True), s=70, color=PALETTE[colour], label=kind, zorder=3)
    for row, name in enumerate(tasks):
        right.vlines(found[name]["chance"], row - 0.3, row + 0.3, color="#444444", linestyle="--")
    right.set(title="Tasks: what a shortcut gets right (dashed: chance)", xlim=(0, 1), xlabel="accuracy on dev rows")
    right.set_yticks(range(len(tasks)), tasks)
    right.invert_yaxis()
    right.xaxis.set_major_formatter("{x:.0%}")
    right.legend(loc="center left", bbox_to_anchor=(0.82, 0.62))
    figure.savefig(file, dpi=110)


def table(columns: dict[str, dict[str, float]]) -> str:
    """Figures as a table in Markdown, a column per text."""
    rows = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for name, first in next(iter(columns.values())).items():
        form = ",.0f" if name in ("paragraphs", "Chinese characters", "types") else ".1f"
        form = ".2%" if first < 1 else form
        rows.append(f"| {name} | " + " | ".join(format(column[name], form) for column in columns.values()) + " |")
    return "\n".join(rows)


def main(others: Sequence[str]) -> None:
    """Print the card's tables and draw its picture."""
    ours = [line for lines in corpus().values() for line in lines]
    columns = {"the sample": statistics(ours)}
    for other in others:
        lines = [line for line in read_lines(other) if line.strip()]
        columns[Path(other).stem] = statistics(of_length(lines, int(columns["the sample"]["Chinese characters"])))
    print(table(columns), "\n")
    print(table({name: statistics(task_texts(name)) for name in TASKS}), "\n")
    for name in TASKS:
        if TASKS[name].answers:
            print(f"{name}: " + ", ".join(f"{kind} {share:.0%}" for kind, share in guesses(name).items()))
    draw(HERE / "statistics.png")


def task_texts(task: str) -> list[str]:
    """Every text of a task's rows, once."""
    fields = ("text", "text_pair", "context", "question")
    rows = [row for split in ("train", "dev") for row in TASKS[task].load(HERE / "tasks", split)]
    return list(dict.fromkeys(row[field] for row in rows for field in fields if row.get(field)))


if __name__ == "__main__":
    main(sys.argv[1:])
