"""The words of the sample corpus, as the course's segmenter cuts them, for examples/minirbt_from_scratch.py.

    python data_samples/make_words.py

``words/`` gets a file for each file of ``corpus/``, with the same lines and spaces between the words.
"""

from pathlib import Path

from minirbt_helpers.lines import read_lines
from minirbt_helpers.text import load_segmenter

HERE = Path(__file__).parent


def main() -> None:
    """Write all of them anew."""
    segmenter = load_segmenter(HERE / "models" / "segmenter")
    for file in sorted((HERE / "corpus").glob("*/*.txt")):
        target = HERE / "words" / file.relative_to(HERE / "corpus")
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [" ".join(words) + "\n" for words in segmenter(list(read_lines(file)))]
        target.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
