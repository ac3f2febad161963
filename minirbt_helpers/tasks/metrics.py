"""Exact match and F1 of an answer in Chinese, as the official CMRC 2018 script defines them (notebook 05).

Source: cmrc2018_evaluate.py of ymcui/cmrc2018 (Cui et al., 2019), written anew from its definition. The
same measures serve DRCD.

The script cuts Latin text with NLTK's ``word_tokenize``, which cuts it into sentences first, by a trained model that
has to be downloaded. Here NLTK's rules for sentences do so with :data:`ABBREVIATIONS` in the place of that model, so
that a rarer abbreviation before a blank counts as two tokens, not one:

==========================  ================================  ==========================
text                        official script                   here
==========================  ================================  ==========================
windows xp. service pack    windows · xp · . · service · pack  the same
u.s. army                   u.s. · army                       the same
9 a.m. today                9 · a.m. · today                  the same
sgt. pepper                 sgt · . · pepper                  the same
gov. brown                  gov · . · brown                   the same
adm. nelson                 adm. · nelson                     adm · . · nelson
==========================  ================================  ==========================
"""

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

# What the script drops before it compares. (It lists "……", too, but goes character by character and never meets it.)
PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
HAN = re.compile("[\u4e00-\u9fa5]")
# After these, in small letters, a full stop ends no sentence; ##number## is Punkt's word for any number.
ABBREVIATIONS = frozenset(
    [
        "##number##", "a.d", "a.m", "aug", "ave", "co", "col", "corp", "d.c", "dec", "dr", "feb", "ft", "gen", "inc",
        "jan", "jr", "l.a", "lt", "ltd", "m", "maj", "messrs", "mr", "mrs", "ms", "n.y", "nov", "oct", "p.m", "ph.d",
        "prof", "rep", "sen", "sep", "sept", "sr", "st", "u.k", "u.n", "u.s", "u.s.a", "vs",
    ]
)  # fmt: skip


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if the prediction is one of the answers, case and punctuation aside, else 0.0.

    >>> exact_match("《红楼梦》", ["红楼梦"])
    1.0
    """
    return float(any(_bare(prediction) == _bare(answer) for answer in answers))


def f1_score(prediction: str, answers: Sequence[str]) -> float:
    """F1 of the prediction against the answer it fits best, from 0.0 to 1.0.

    Precision and recall count the tokens of the longest run the two have in common: an answer with
    the right characters in another order is not right.

    >>> f1_score("北京大学", ["北京"])
    0.6666666666666666
    """
    given = tokens(prediction)
    return max((_f1(given, tokens(answer)) for answer in set(answers)), default=0.0)  # annotators mostly agree


def tokens(text: str) -> list[str]:
    """What F1 counts: every Chinese character is a token, and what stands between them goes through NLTK.

    >>> tokens("GPS定位，误差5 m")
    ['gps', '定', '位', '误', '差', '5', 'm']
    """
    return list(_tokens(text.lower().strip()))


def _tokens(text: str) -> Iterator[str]:
    other = ""
    for character in text:
        if character in PUNCTUATION:
            continue
        if HAN.match(character):
            if other:  # mostly nothing stands between two characters, and NLTK takes its time to find nothing
                yield from _words(other)
            yield character
            other = ""
        else:
            other += character
    if other:
        yield from _words(other)


def _words(text: str) -> Iterator[str]:
    sentences_of, words_of = _cutters()
    for sentence in sentences_of(text):
        yield from words_of(sentence)


@functools.cache
def _cutters() -> tuple[Callable[[str], list[str]], Callable[[str], list[str]]]:
    """NLTK's cut into sentences and into words; loaded when first needed, since NLTK brings scikit-learn along."""
    from nltk.tokenize import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    known = PunktParameters()
    known.abbrev_types.update(ABBREVIATIONS)
    return PunktSentenceTokenizer(known).tokenize, NLTKWordTokenizer().tokenize


def _bare(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in PUNCTUATION)


def _f1(prediction: list[str], answer: list[str]) -> float:
    common = longest_common_run(prediction, answer)
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(answer)
    return 2 * precision * recall / (precision + recall)


def longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest run of tokens that both sequences contain."""
    best, row = 0, [0] * (len(second) + 1)
    for token in first:
        row = [0, *(row[place] + 1 if token == other else 0 for place, other in enumerate(second))]
        best = max(best, *row)
    return best


def mean_score(scores: Iterable[float]) -> float:
    """The mean of the scores of some rows; nan, the score of a row without an answer, is left out."""
    known = [score for score in scores if not math.isnan(score)]
    return sum(known) / len(known) if known else math.nan
