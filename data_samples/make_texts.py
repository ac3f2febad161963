"""The texts and the tokenizer of the shipped models, from public corpora (data_samples/models/*/README.md name them).

    python data_samples/make_texts.py CORPORA OUTPUT

CORPORA holds text files, one paragraph per line; a mixture takes of them what it names, and the sample corpus; the
one called ``talk`` takes ``smalltalk.txt``, too: books and encyclopaedias rarely say what the weather is like.
OUTPUT gets a folder for every mixture, ``heldout/`` (the last 2,000 lines of the wiki sentences) and ``tokenizer/``.
Lines that share twelve ideographs in a row with held-out text are left out, and of equal lines all but the first. The
shipped teacher's first part was made before that rule: ``unlike/`` has the held-out lines that no text of it repeats.
benchmarks/results/mixtures.jsonl has what a teacher knows after eight minutes on each mixture (grown from nothing by
``minirbt pretrain --minutes 8`` on one core, one seed): the everyday one fills the most everyday gaps, the technical
one, of which the wiki sentences are the largest part, the most wiki words.
Needs ``pip install opencc-python-reimplemented``, for the traditional characters.
"""

import argparse
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import BertWordPieceTokenizer
from transformers import BertTokenizer

HERE = Path(__file__).parent
SAMPLE = HERE / "corpus"
SMALL_TALK = "smalltalk"  # everyday sentences written for the course; the rest is in CORPORA
WIKI, HELD_OUT = "commonvoice_wiki", 2000
MANUALS = ("d2l_zh", "javaguide", "tf", "paddle", "react", "oiwiki", "pingcap")
OLD_NOVELS = ("pg_lateqing", "pg_classics", "huanzhu_wuxia")
LITERATURE = (
    "laoshe", "laoshe_2", "xiaohong", "yudafu", "zhuziqing", "zhouzuoren", "linhuiyin", "xuzhimo", "xudishan",
    "republican_misc", "cuore_xia", "luxun", "lijieren",
)  # fmt: skip
LONG_NOVELS = ("zhanghenshui", "zhanghenshui_2", "republican_fiction", "luyin_shipingmei", "shakespeare_zhu")
SPEECHES = ("archive_tw_1", "archive_tw_2", "archive_tw_3")
# How often a corpus is read, and how many of its characters are read at all (None: all).
Mixture = dict[str, tuple[int, int | None]]
EVERYDAY: Mixture = {
    WIKI: (5, None), "tatoeba": (3, None), "wikipedia_shards": (3, None), "commonvoice_tw": (3, None),
    "taiwan_md": (2, None), "taiwan_nature_travel": (2, None), "guides": (3, None), "republican_essays": (1, None),
    **dict.fromkeys(LITERATURE, (1, None)), **dict.fromkeys(LONG_NOVELS, (1, 700_000)),
    **dict.fromkeys(SPEECHES, (1, 1_200_000)), **dict.fromkeys(OLD_NOVELS, (1, 150_000)),
    "gov_reports": (1, 400_000), "law": (1, 200_000), "lctt": (1, 900_000), "fcc": (1, None),
    **dict.fromkeys(MANUALS, (1, 60_000)),
}  # fmt: skip
MIXTURES: dict[str, Mixture] = {
    "everyday": EVERYDAY,
    "wiki": EVERYDAY | {
        WIKI: (8, None), "wikipedia_shards": (6, None), "taiwan_md": (3, None),
        **dict.fromkeys(LONG_NOVELS, (1, 250_000)), **dict.fromkeys(SPEECHES, (1, 400_000)),
    },
    "sentences": EVERYDAY | {
        WIKI: (8, None), "tatoeba": (8, None), "wikipedia_shards": (4, None), "commonvoice_tw": (6, None),
        "guides": (6, None), **dict.fromkeys(LONG_NOVELS, (1, 100_000)), **dict.fromkeys(SPEECHES, (1, 150_000)),
        **dict.fromkeys(OLD_NOVELS, (1, 30_000)),
    },
    "technical": {
        WIKI: (5, None), "luxun": (2, None), "lctt": (1, 2_500_000), "law": (1, 600_000), "fcc": (1, None),
        **dict.fromkeys(MANUALS, (1, 150_000)),
    },
}  # fmt: skip
MIXTURES["talk"] = MIXTURES["sentences"] | {SMALL_TALK: (100, None)}
PUBLIC = "public domain in China"  # the author's life and 50 years
# What a corpus is and under which licence.
SOURCES: dict[str, tuple[str, str]] = {
    SMALL_TALK: ("Everyday sentences of this course, more than half of them about the weather", "CC0"),
    WIKI: ("Common Voice, wiki sentences (mozilla)", "CC0"),
    "commonvoice_tw": ("Common Voice, other sentences (mozilla)", "CC0"),
    "tatoeba": ("Tatoeba", "CC BY 2.0 FR"),
    "wikipedia_shards": ("Chinese Wikipedia, three parts", "CC BY-SA 3.0"),
    "taiwan_md": ("taiwan-md, in part written with AI", "CC BY-SA 4.0"),
    "taiwan_nature_travel": ("Taipei Zoo, sights of Taipei and Kaohsiung", "Open Government Data License Taiwan 1.0"),
    "guides": (
        "HowToCook, HowToLiveLonger, Saarland survival guide, opensource.guide, chatterbot-corpus",
        "Unlicense, MIT, CC BY 4.0, BSD-3-Clause",
    ),
    "republican_essays": ("Essays by Hu Shi, Feng Zikai and others who died before 1976", PUBLIC),
    **dict.fromkeys(LITERATURE, ("Lao She, Xiao Hong, Zhu Ziqing and others who died before 1968", PUBLIC)),
    "luxun": ("Lu Xun, collected works", PUBLIC),
    **dict.fromkeys(
        LONG_NOVELS, ("Zhang Henshui, Shi Pingmei and others who died before 1971, Shakespeare by Zhu Shenghao", PUBLIC)
    ),
    **dict.fromkeys(SPEECHES, ("archive.tw, transcripts of meetings", "CC0")),
    **dict.fromkeys(OLD_NOVELS, ("Novels before 1912 (Project Gutenberg), Huanzhu Louzhu", PUBLIC)),
    "gov_reports": ("Government reports (lawtext/gov)", "outside copyright"),
    "law": ("Chinese statutes (LawRefBook/Laws)", "outside copyright"),
    "lctt": ("LCTT translations (LCTT/TranslateProject)", "Apache-2.0 repository"),
    "fcc": ("freeCodeCamp news translations", "CC BY-SA 4.0"),
    **dict.fromkeys(("d2l_zh", "javaguide", "tf", "paddle"), ("d2l-zh, JavaGuide, TensorFlow, Paddle", "Apache-2.0")),
    "react": ("React docs", "CC BY 4.0"),
    "oiwiki": ("OI-wiki", "CC BY-SA 4.0"),
    "pingcap": ("PingCAP docs", "CC BY-SA 3.0"),
}
SAMPLE_TIMES = 6
TOKENIZER_TEXTS = (WIKI, "luxun", "lctt", "law", "fcc", *MANUALS)
SHARED = 12  # ideographs in a row that make a line a near duplicate of a held-out one
SIMPLIFIED, TRADITIONAL, VOCABULARY = 4200, 1700, 7000
SIGNS = "「」『』〈〉《》【】（），。、；：？！…—～·•／｜％＋－＝＂０１２３４５６７８９"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")


def main() -> None:
    """Write the texts and the tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    wiki, sample = lines_of(asked.corpora / f"{WIKI}.txt"), lines_in(SAMPLE / "train")
    held_out = wiki[-HELD_OUT:]
    write(asked.output / "heldout" / "wiki.txt", held_out)
    not_to_be_read = [*held_out, *lines_in(SAMPLE / "heldout")]
    to_traditional = converter()
    traditional = [to_traditional(line) for line in [*Unseen(not_to_be_read)(wiki[:-HELD_OUT]), *sample]]
    for mixture, corpora in MIXTURES.items():
        unseen = Unseen(not_to_be_read)
        for name, (times, most) in corpora.items():
            folder = HERE if name == SMALL_TALK else asked.corpora
            lines = wiki[:-HELD_OUT] if name == WIKI else lines_of(folder / f"{name}.txt")
            kept = list(first_characters(unseen(lines), most))
            write(asked.output / mixture / f"{name}.txt", kept * times)
            print(f"{mixture}: {name}: {len(kept):,} of {len(lines):,} lines, {times} times", flush=True)
        write(asked.output / mixture / "sample.txt", sample * SAMPLE_TIMES)
        write(asked.output / mixture / "traditional.txt", traditional)

    texts = {name: lines_of(asked.corpora / f"{name}.txt") for name in TOKENIZER_TEXTS} | {WIKI: wiki[:-HELD_OUT]}
    converted = [to_traditional(line) for name in (WIKI, "luxun") for line in texts[name]]
    everything = [*(line for lines in texts.values() for line in lines), *sample]
    write(asked.output / "unlike" / "wiki.txt", list(Unseen(everything)(held_out)))
    make_tokenizer(everything, converted).save_pretrained(asked.output / "tokenizer")


class Unseen:
    """Keeps lines that were not kept before and share no :data:`SHARED` ideographs in a row with certain others."""

    def __init__(self, others: list[str]):
        self.runs = {run for line in others for run in runs_of(line)}
        self.lines = set(others)

    def __call__(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if line in self.lines or any(run in self.runs for run in runs_of(line)):
                continue
            self.lines.add(line)
            yield line


def runs_of(line: str) -> Iterator[str]:
    """Every :data:`SHARED` ideographs in a row, all other characters left out."""
    text = "".join(IDEOGRAPH.findall(line))
    return (text[place : place + SHARED] for place in range(len(text) - SHARED + 1))


def lines_in(folder: Path) -> list[str]:
    """The lines of all text files of a folder."""
    return [line for file in sorted(folder.glob("*.txt")) for line in lines_of(file)]


def lines_of(file: Path) -> list[str]:
    """The lines of a file that are not blank."""
    return [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]


def first_characters(lines: Iterable[str], most: int | None) -> Iterator[str]:
    """Lines until their ideographs come to ``most``; None: all lines."""
    count = 0
    for line in lines:
        if most is not None and count > most:
            return
        count += len(IDEOGRAPH.findall(line))
        yield line


def write(file: Path, lines: list[str]) -> None:
    """Write lines to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def converter():
    """From simplified to traditional characters, as Taiwan writes them."""
    from opencc import OpenCC

    return OpenCC("s2tw").convert


def make_tokenizer(lines: list[str], converted: list[str]) -> BertTokenizer:
    """A lower-case BERT tokenizer of at most :data:`VOCABULARY` entries.

    The most frequent ideographs of the lines, then those of the converted lines, then whatever else
    is written, and pieces of the Latin words.
    """
    count, traditional = characters(lines), characters(converted)
    kept = [character for character, _ in count.most_common() if IDEOGRAPH.match(character)][:SIMPLIFIED]
    known = set(kept)
    kept += [one for one, _ in traditional.most_common() if IDEOGRAPH.match(one) and one not in known][:TRADITIONAL]
    signs = [sign for sign, n in count.items() if n >= 20 and unicodedata.category(sign)[0] in "LNPS"]
    alphabet = {*kept, *SIGNS, *(sign for sign in signs if not IDEOGRAPH.match(sign))}

    trainer = BertWordPieceTokenizer(lowercase=True)
    latin = (IDEOGRAPH.sub(" ", line) for line in lines)
    room = VOCABULARY - len(alphabet) - len(SPECIAL)
    trainer.train_from_iterator(
        latin, vocab_size=room, limit_alphabet=120, min_frequency=5, special_tokens=SPECIAL, show_progress=False
    )
    pieces = sorted(trainer.get_vocab())  # the trainer numbers them anew in every run
    entries = list(dict.fromkeys([*SPECIAL, *sorted(alphabet), *pieces]))
    return BertTokenizer(vocab={entry: number for number, entry in enumerate(entries)}, do_lower_case=True)


def characters(lines: list[str]) -> Counter:
    """How often each character is written, in lower case."""
    return Counter(character for line in lines for character in unicodedata.normalize("NFC", line.lower()))


if __name__ == "__main__":
    main()
