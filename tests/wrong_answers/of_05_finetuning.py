"""Wrong answers to the exercises of notebook 05."""

import itertools
import math
from collections import Counter

import numpy as np

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


def gaps(ours, theirs):
    return np.array(ours) - np.array(theirs)


def interval(ours, theirs, factor, root=0.5, ddof=1):
    apart = gaps(ours, theirs)
    return apart.mean(), factor * apart.std(ddof=ddof) / len(apart) ** root


def accuracy(right, places):
    places = list(places)
    return sum(right[place] for place in places) / max(len(places), 1)


def places(dev, train, leaked=False):
    return [place for place, text in enumerate(dev) if (text in train) is leaked]


def shares(logits, temperature):
    return np.exp(logits / temperature) / np.exp(logits / temperature).sum(-1, keepdims=True)


def way(student, teacher, temperature, parts=("even", "loss", "floor"), own=False, both=True):
    student, teacher = student.double().numpy(), teacher.double().numpy()
    p, q = shares(teacher, temperature), shares(student, temperature if both else 1)
    loss = -(p * np.log(q)).sum(-1).mean()
    floor = -((q if own else p) * np.log(q if own else p)).sum(-1).mean()
    even = np.log(p.shape[-1])
    if parts == ("loss",):
        return loss
    if parts == ("distance",):
        return loss - floor
    return (even - loss) / (even - floor) if "floor" in parts else 1 - loss / even


def turned(student, teacher, temperature):
    p, q = (shares(logits.double().numpy(), temperature) for logits in (teacher, student))
    even = np.full_like(p, 1 / p.shape[-1])
    return 1 - (q * np.log(q / p)).sum() / (even * np.log(even / p)).sum()


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
    "majority_floor": [
        Wrong("peeking", lambda t, d: Counter(d).most_common(1)[0][1] / len(d), "peeking"),
        Wrong("the train rows", lambda t, d: Counter(t).most_common(1)[0][1] / len(t), "on the train rows"),
        Wrong("chance", lambda t, d: 1 / len(set(t)), "chance among the labels"),
        Wrong("a count", lambda t, d: d.count(Counter(t).most_common(1)[0][0]), "return a count"),
        Wrong("the rarest", lambda t, d: d.count(Counter(t).most_common()[-1][0]) / len(d), "rarest"),
        Wrong("the label", lambda t, d: Counter(t).most_common(1)[0][0], "label itself"),
    ],
    "paired_interval": [
        Wrong("turned", lambda o, t, f: interval(t, o, f), "less `theirs`"),
        Wrong("no factor", lambda o, t, f: interval(o, t, 1), "factor is missing"),
        Wrong("n in the variance", lambda o, t, f: interval(o, t, f, ddof=0), "n − 1"),
        Wrong("scatter of one", lambda o, t, f: interval(o, t, f, root=0), "smaller by √n"),
        Wrong("divided by n", lambda o, t, f: interval(o, t, f, root=1), "square root of the number"),
        Wrong(
            "not in pairs",
            lambda o, t, f: (gaps(o, t).mean(), f * math.sqrt((np.var(o, ddof=1) + np.var(t, ddof=1)) / len(o))),
            "runs are pairs",
        ),
        Wrong("the mean alone", lambda o, t, f: gaps(o, t).mean(), ""),
    ],
    "leak_gain": [
        Wrong("turned", lambda r, d, t: accuracy(r, places(d, t)) - accuracy(r, range(len(d))), "less the score"),
        Wrong("the new rows", lambda r, d, t: accuracy(r, places(d, t)), "How much higher"),
        Wrong(
            "leaked against new",
            lambda r, d, t: accuracy(r, places(d, t, True)) - accuracy(r, places(d, t)),
            "leaked rows with the new",
        ),
        Wrong(
            "less the leaked",
            lambda r, d, t: accuracy(r, range(len(d))) - accuracy(r, places(d, t, True)),
            "Subtract that on the new",
        ),
        Wrong(
            "by all rows",
            lambda r, d, t: accuracy(r, range(len(d))) - sum(r[place] for place in places(d, t)) / len(d),
            "number of the *new* rows",
        ),
        Wrong(
            "inside longer ones",
            lambda r, d, t: (
                accuracy(r, range(len(d)))
                - accuracy(r, [place for place, text in enumerate(d) if not any(text in one for one in t)])
            ),
            "inside longer ones",
        ),
        Wrong("counts", lambda r, d, t: sum(r) - sum(r[place] for place in places(d, t)), "counts"),
    ],
    "kd_way": [
        Wrong("what is left", lambda s, t, T: 1 - way(s, t, T), "what is left"),
        Wrong("no floor", lambda s, t, T: way(s, t, T, parts=("even", "loss")), "floor is missing"),
        Wrong("no temperature", lambda s, t, T: way(s, t, 1), "temperature is missing"),
        Wrong("teacher only", lambda s, t, T: way(s, t, T, both=False), "for the teacher only"),
        Wrong("student only", lambda s, t, T: way(s / T, t, 1), "for the student only"),
        Wrong("the student's entropy", lambda s, t, T: way(s, t, T, own=True), "You take the student's"),
        Wrong(
            "row by row",
            lambda s, t, T: np.mean([way(one[None], two[None], T) for one, two in zip(s, t, strict=True)]),
            "Average the losses",
        ),
        Wrong("turned", turned, "weigh with the student's"),
        Wrong("the loss", lambda s, t, T: way(s, t, T, parts=("loss",)), "loss itself"),
        Wrong("the distance", lambda s, t, T: way(s, t, T, parts=("distance",)), "distance from the floor"),
        Wrong("cut off at 0", lambda s, t, T: max(0.0, float(way(s, t, T))), "Do not cut it off"),
    ],
}
