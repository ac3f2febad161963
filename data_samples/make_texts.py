"""The texts and the tokenizer of the shipped models, from public corpora (data_samples/models/*/README.md name them).

    python data_samples/make_texts.py CORPORA OUTPUT

CORPORA holds text files, one paragraph per line; those named in MIXTURE are used, the sample corpus is
added. OUTPUT gets ``train/``, ``heldout/`` (the last 2,000 lines of the wiki sentences) and ``tokenizer/``.
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

SAMPLE = Path(__file__).parent / "corpus" / "train"
WIKI, HELD_OUT = "commonvoice_wiki", 2000
# How often a corpus is read, and how many of its characters are read at all.
MIXTURE = {
    WIKI: (5, None), "luxun": (2, None), "lctt": (1, 2_500_000), "law": (1, 600_000), "fcc": (1, None),
    "d2l_zh": (1, 150_000), "javaguide": (1, 150_000), "tf": (1, 150_000), "paddle": (1, 150_000),
    "react": (1, 150_000), "oiwiki": (1, 150_000), "pingcap": (1, 150_000),
}  # fmt: skip
SAMPLE_TIMES = 6
SIMPLIFIED, TRADITIONAL, VOCABULARY = 4200, 1700, 7000
SIGNS = "「」『』〈〉《》【】（），。、；：？！…—～·•／｜％＋－＝＂０１２３４５６７８９"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")


def main() -> None:
    """Write the texts and the tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("output", type=Path)
    places = parser.parse_args()
    wiki = lines_of(places.corpora / f"{WIKI}.txt")
    texts = {name: lines_of(places.corpora / f"{name}.txt") for name in MIXTURE} | {WIKI: wiki[:-HELD_OUT]}
    sample = [line for file in sorted(SAMPLE.glob("*.txt")) for line in lines_of(file)]
    to_traditional = converter()

    train = places.output / "train"
    for name, (times, most) in MIXTURE.items():
        write(train / f"{name}.txt", list(first_characters(texts[name], most)) * times)
    write(train / "sample.txt", sample * SAMPLE_TIMES)
    write(train / "traditional.txt", [to_traditional(line) for line in [*texts[WIKI], *sample]])
    write(places.output / "heldout" / "wiki.txt", wiki[-HELD_OUT:])

    converted = [to_traditional(line) for name in (WIKI, "luxun") for line in texts[name]]
    everything = [*(line for lines in texts.values() for line in lines), *sample]
    make_tokenizer(everything, converted).save_pretrained(places.output / "tokenizer")


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
    pieces = sorted(trainer.get_vocab(), key=trainer.get_vocab().get)
    entries = list(dict.fromkeys([*SPECIAL, *sorted(alphabet), *pieces]))
    return BertTokenizer(vocab={entry: number for number, entry in enumerate(entries)}, do_lower_case=True)


def characters(lines: list[str]) -> Counter:
    """How often each character is written, in lower case."""
    return Counter(character for line in lines for character in unicodedata.normalize("NFC", line.lower()))


if __name__ == "__main__":
    main()
