"""What needs no network: floors that a model's score is held against (notebook 05).

The majority class alone is too low a floor: on TNEWS a count of letters is ahead of every small model of the
published table. All rules here learn from the same train rows as a model, in seconds.

Sources: Rennie et al., "Tackling the poor assumptions of naive Bayes text classifiers" (2003); Gururangan et al.,
"Annotation artifacts in natural language inference data" (2018), for the second text alone.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from datasets import Dataset

from ..language import N_
from .answering import span_rows
from .metrics import mean_score
from .registry import Task

RowScores = Mapping[str, Sequence[float]]  # per measure, the score of every dev row
Floors = dict[str, dict[str, float]]  # by the rule's name, per measure
SENTENCE = re.compile(r"[^。！？!?\n]+[。！？!?\n]*")
HELD_BACK = 5  # every fifth train row chooses between two ways to weigh letters
LEAVES = 8  # of the tree over shared characters


def floors(task: Task, train: Dataset, dev: Dataset) -> Floors:
    """The scores of all rules that suit a task, from 0 to 1, learned from the train rows and scored on the dev rows.

    Single texts: ``"majority"`` and ``"letters"``. Pairs: ``"majority"``, ``"second text alone"`` (its letters) and
    ``"shared characters"``. Questions: ``"sentence with most shared characters"``, whose ``"hits"`` say how often the
    answer stands in that sentence.
    """
    return mean_floors(floor_rows(task, train, dev), range(len(dev)))


def floor_rows(task: Task, train: Dataset, dev: Dataset) -> dict[str, RowScores]:
    """As :func:`floors`, with the score of every dev row."""
    if not task.layout:
        return {N_("sentence with most shared characters"): _sentences(dev)}
    labels, truth = np.array(train["label"]), np.array(dev["label"])
    rules: dict[str, Callable[[], Iterable]] = {N_("majority"): lambda: np.full(len(dev), _favourite(labels))}
    if task.layout.pair:
        rules[N_("second text alone")] = lambda: _letters(train["text_pair"], labels, dev["text_pair"])
        rules[N_("shared characters")] = lambda: _shared(train, labels, dev)
    else:
        rules[N_("letters")] = lambda: _letters(train["text"], labels, dev["text"])
    if len(set(train["label"])) < 2:  # nothing to tell apart
        rules = {"majority": rules["majority"]}
    return {name: {"accuracy": (rule() == truth).astype(float).tolist()} for name, rule in rules.items()}


def mean_floors(rows: Mapping[str, RowScores], chosen: Sequence[int]) -> Floors:
    """The means over some of the rows."""
    return {
        name: {measure: mean_score(scores[row] for row in chosen) for measure, scores in measured.items()}
        for name, measured in rows.items()
    }


def highest(floors: Mapping[str, Mapping[str, float]], measure: str) -> tuple[str, float]:
    """The best rule by a measure, and its score; ``("", 0.0)`` where none is known."""
    scores = {name: measured[measure] for name, measured in floors.items() if measure in measured}
    return max(scores.items(), key=lambda item: item[1], default=("", 0.0))


def _favourite(labels: np.ndarray) -> int:
    return Counter(labels.tolist()).most_common(1)[0][0]


def _letters(train: Sequence[str], labels: np.ndarray, dev: Sequence[str]) -> np.ndarray:
    """Labels by characters and pairs of characters: naive Bayes or logistic regression, by a fifth of the train rows.

    A rule that is the better one on rows that it did not learn from then learns from all.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import SGDClassifier
    from sklearn.naive_bayes import ComplementNB
    from sklearn.pipeline import make_pipeline

    counter = CountVectorizer(analyzer="char", ngram_range=(1, 2), lowercase=False, binary=True)
    known, asked = counter.fit_transform(train), counter.transform(dev)
    regression = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=20, tol=None, random_state=0)
    rules = ComplementNB(), make_pipeline(TfidfTransformer(), regression)
    back = np.arange(len(labels)) % HELD_BACK == 0
    if len(set(labels[~back])) < 2:
        return rules[0].fit(known, labels).predict(asked)
    right = [(rule.fit(known[~back], labels[~back]).predict(known[back]) == labels[back]).mean() for rule in rules]
    return rules[int(np.argmax(right))].fit(known, labels).predict(asked)


def _shared(train: Dataset, labels: np.ndarray, dev: Dataset) -> np.ndarray:
    """Labels by how many characters two texts share: a decision tree of a few thresholds."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, random_state=0)
    return tree.fit(_shares(train), labels).predict(_shares(dev))


def _shares(rows: Dataset) -> list[tuple[float, float, float]]:
    """Different characters that both texts have, as a share of the first's, of the second's and of either's."""
    pairs = ((set(one), set(two)) for one, two in zip(rows["text"], rows["text_pair"], strict=True))
    return [tuple(len(one & two) / len(whole) for whole in (one, two, one | two)) for one, two in pairs]


class Sentence(NamedTuple):
    """A sentence and the place of its first character in the passage."""

    text: str
    start: int


def closest_sentence(question: str, passage: str) -> Sentence:
    """The sentence of a passage that has the most different characters in common with a question; the first of equals.

    >>> closest_sentence("谁写了这首诗？", "天很冷。这首诗是他写的。")
    Sentence(text='这首诗是他写的。', start=4)
    """
    found = [Sentence(match[0], match.start()) for match in SENTENCE.finditer(passage)] or [Sentence(passage, 0)]
    return max(found, key=lambda one: len(set(question) & set(one.text)))


def _sentences(dev: Dataset) -> RowScores:
    best = [closest_sentence(*texts) for texts in zip(dev["question"], dev["context"], strict=True)]
    hits = [_stands_in(*pair) for pair in zip(best, dev["answers"], strict=True)]
    return span_rows((one.text for one in best), dev) | {"hits": hits}


def _stands_in(sentence: Sentence, answers: Mapping[str, Sequence]) -> float:
    """1.0 if the first answer that has a place stands there wholly within the sentence; nan without an answer."""
    if not answers["text"]:
        return math.nan
    placed = ((text, start) for text, start in zip(answers["text"], answers["answer_start"], strict=True) if start >= 0)
    text, start = next(placed, ("", -1))
    return float(sentence.start <= start and start + len(text) <= sentence.start + len(sentence.text))
