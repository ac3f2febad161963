"""Wrong answers to the exercises of notebook 05."""

import itertools
import math
from collections import Counter

from . import Wrong


def spans(starts, ends, first, longest, more=0, shift=0):
    best = max(
        ((b, e) for b in range(first, len(starts)) for e in range(b, len(ends)) if e - b + 1 <= longest + more),
        key=lambda span: starts[span[0]] + ends[span[1]],
    )
    return best[0] - shift, best[1] - shift


def argmax(values, first):
    return max(range(first, len(values)), key=values.__getitem__)


def backwards(starts, ends, first, longest):
    places = range(first, len(starts))
    pairs = [(b, e) for b, e in itertools.product(places, places) if e - b < longest]
    return max(pairs, key=lambda pair: starts[pair[0]] + ends[pair[1]])


def run(one, other):
    return max(
        (
            size
            for size in range(1, len(one) + 1)
            for a in range(len(one) - size + 1)
            for b in range(len(other) - size + 1)
            if one[a : a + size] == other[b : b + size]
        ),
        default=0,
    )


def in_order(one, other):
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, j in itertools.product(range(len(one)), range(len(other))):
        same = one[i] == other[j]
        table[i + 1][j + 1] = table[i][j] + 1 if same else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def f1(common, one, other):
    precision, recall = common / len(one), common / len(other)
    return 2 * precision * recall / (precision + recall) if common else 0.0


def bare(text, dropped):
    return text.lower().translate(dict.fromkeys(map(ord, dropped)))


def same_letters(one, other, dropped):
    return [letter for letter in one if letter not in dropped] == [letter for letter in other if letter not in dropped]


def bayes(texts, labels, new, prior=True, plus=1, size=True, once=False, skip=True):
    known = set("".join(texts))
    answers = []
    for text in new:
        scores = []
        for label in sorted(set(labels)):
            letters = Counter("".join(one for one, own in zip(texts, labels, strict=True) if own == label))
            total = letters.total() + (plus * len(known) if size else plus)
            seen = [letter for letter in (set(text) if once else text) if letter in known or not skip]
            score = sum(math.log((letters[letter] + plus) / total) for letter in seen)
            scores.append((score + prior * math.log(labels.count(label)), -label))
        answers.append(-max(scores)[1])
    return answers


WRONG = {
    "best_span": [
        Wrong("each for itself", lambda s, e, first, _: (argmax(s, first), argmax(e, first)), "each for itself"),
        Wrong("ends before it begins", backwards, "not end before it begins"),
        Wrong("no limit", lambda s, e, first, _: spans(s, e, first, 1000), "limit of the length"),
        Wrong("end not included", lambda *g: (spans(*g)[0], spans(*g)[1] + 1), "Both ends are included"),
        Wrong("off by one: too long", lambda *g: spans(*g, more=1), "one token too long"),
        Wrong("the question, too", lambda s, e, first, longest: spans(s, e, 0, longest), "before `first`"),
        Wrong(
            "counted in the passage", lambda s, e, first, n: spans(s, e, first, n, shift=first), "count from `first`"
        ),
    ],
    "overlap_f1": [
        Wrong("a bag", lambda p, a: f1((Counter(p) & Counter(a)).total(), p, a), "*one run*"),
        Wrong("gaps", lambda p, a: f1(in_order(p, a), p, a), "has no gaps"),
        Wrong("precision", lambda p, a: run(p, a) / len(p), "This is the precision"),
        Wrong("recall", lambda p, a: run(p, a) / len(a), "This is the recall"),
        Wrong(
            "from the beginning",
            lambda p, a: f1(
                len([*itertools.takewhile(lambda pair: pair[0] == pair[1], zip(p, a, strict=False))]), p, a
            ),
            "may begin anywhere",
        ),
        Wrong("divides by zero", lambda p, a: 2 / (len(p) / run(p, a) + len(a) / run(p, a)), "ZeroDivisionError"),
        Wrong("characters", lambda p, a: f1(run("".join(p), "".join(a)), "".join(p), "".join(a)), "1997 is one token"),
        Wrong("characters in common", lambda p, a: f1(run("".join(p), "".join(a)), p, a), "1997 is one token"),
        Wrong("no 2", lambda p, a: run(p, a) / (len(p) + len(a)), "factor 2"),
    ],
    "exact": [
        Wrong("case counts", lambda p, a, d: any(same_letters(o, p, d) for o in a), "Upper and lower"),
        Wrong("punctuation counts", lambda p, a, d: p.lower() in [o.lower() for o in a], "Drop the punctuation"),
        Wrong("one side only", lambda p, a, d: bare(p, d) in [o.lower() for o in a], "prediction only"),
        Wrong("all answers", lambda p, a, d: {bare(o, d) for o in a} == {bare(p, d)}, "ask for all of them"),
        Wrong("the first answer", lambda p, a, d: bare(a[0], d) == bare(p, d), "first answer only"),
        Wrong("holds it", lambda p, a, d: any(bare(o, d) in bare(p, d) for o in a), "merely holds it"),
        Wrong("a part", lambda p, a, d: any(bare(p, d) in bare(o, d) for o in a), "accept a part"),
        Wrong(
            "at the ends only",
            lambda p, a, d: any(o.lower().strip(d) == p.lower().strip(d) for o in a),
            "at the ends only",
        ),
        Wrong(
            "all of it at once",
            lambda p, a, d: any(o.lower().replace(d, "") == p.lower().replace(d, "") for o in a),
            "for itself",
        ),
        Wrong("1 for True", lambda p, a, d: float(bare(p, d) in [bare(o, d) for o in a]), "True or False"),
    ],
    "majority_floor": [
        Wrong("peeking", lambda t, d: Counter(d).most_common(1)[0][1] / len(d), "peeking"),
        Wrong("the train rows", lambda t, d: Counter(t).most_common(1)[0][1] / len(t), "on the train rows"),
        Wrong("chance", lambda t, d: 1 / len(set(t)), "chance among the labels"),
        Wrong("a count", lambda t, d: d.count(Counter(t).most_common(1)[0][0]), "return a count"),
        Wrong("the rarest", lambda t, d: d.count(Counter(t).most_common()[-1][0]) / len(d), "rarest"),
        Wrong("the label", lambda t, d: Counter(t).most_common(1)[0][0], "label itself"),
    ],
    "letter_floor": [
        Wrong("no prior", lambda *g: bayes(*g, prior=False), "label's rows is missing"),
        Wrong("each character once", lambda *g: bayes(*g, once=True), "stands there twice"),
        Wrong("no + 1", lambda *g: bayes(*g, plus=0), "add 1 to each count"),
        Wrong("V forgotten", lambda *g: bayes(*g, size=False), "total is too small"),
        Wrong(
            "the majority",
            lambda texts, labels, new: [Counter(sorted(labels)).most_common(1)[0][0] for _ in new],
            "most frequent label",
        ),
        Wrong(
            "characters in common",
            lambda texts, labels, new: [
                labels[max(range(len(texts)), key=lambda row: len(set(texts[row]) & set(text)))] for text in new
            ],
            "counts",
        ),
        Wrong("strangers count", lambda *g: bayes(*g, skip=False), "is skipped"),
    ],
}
