"""Wrong answers to the exercises of notebook 06."""

import itertools

import torch
from scipy.optimize import linear_sum_assignment

from . import Wrong


def scores(states, query, key):
    return torch.einsum("ah,wh,bg,wg->ab", states, query, states, key)


def ahead(attention, first=1, last=-1, by=1):
    places = range(attention.shape[-1])[first:last]
    return torch.stack([attention[:, place, place + by] for place in places])


def words_of(attention, words, row, column):
    table = torch.zeros(len(words), len(words))
    for i, one in enumerate(words):
        for j, other in enumerate(words):
            table[i, j] = row(torch.stack([column(attention[q, other]) for q in one]))
    return table


def bits(shares):
    return -(shares * (shares + (shares == 0)).log2()).sum(-1)


def aligned(one, two, centred=True):
    if centred:
        one, two = one - one.mean(0), two - two.mean(0)
    k, m = one @ one.T, two @ two.T
    return (k * m).sum(), k.norm() * m.norm()


def by_scipy(distances):
    rows, columns = linear_sum_assignment(distances)
    return [int(row) for _, row in sorted(zip(columns, rows, strict=True))]


def nearest(distances):
    return [min(range(len(distances)), key=lambda row: distances[row][column]) for column in range(len(distances[0]))]


def greedy(distances):
    table, found = torch.tensor(distances), {}
    for _ in distances[0]:
        row, column = divmod(int(table.argmin()), table.shape[1])
        found[column] = row
        table[row], table[:, column] = torch.inf, torch.inf
    return [found[column] for column in sorted(found)]


def in_turn(distances):
    taken = []
    for column in range(len(distances[0])):
        free = [row for row in range(len(distances)) if row not in taken]
        taken.append(min(free, key=lambda row: distances[row][column]))
    return taken


def worst(distances):
    rows, columns = range(len(distances)), range(len(distances[0]))
    return max(
        itertools.permutations(rows, len(columns)),
        key=lambda partners: sum(distances[row][column] for column, row in enumerate(partners)),
    )


WRONG = {
    "head_attention": [
        Wrong("no root", lambda s, q, k: scores(s, q, k).softmax(-1), "root of the width is missing"),
        Wrong("the width", lambda s, q, k: (scores(s, q, k) / q.shape[0]).softmax(-1), "Divide by its root"),
        Wrong("the model's width", lambda s, q, k: (scores(s, q, k) / s.shape[1] ** 0.5).softmax(-1), "own width"),
        Wrong("wrong axis", lambda s, q, k: (scores(s, q, k) / len(q) ** 0.5).softmax(0), "over the tokens"),
        Wrong("exchanged", lambda s, q, k: (scores(s, k, q) / len(q) ** 0.5).softmax(-1), "exchanged query and key"),
        Wrong("scores", lambda s, q, k: scores(s, q, k) / len(q) ** 0.5, "Softmax is missing"),
        Wrong(
            "fused",
            lambda s, q, k: torch.nn.functional.scaled_dot_product_attention(s @ q.T, s @ k.T, torch.eye(len(s))),
            "write it yourself",
        ),
    ],
    "next_share": [
        Wrong("[CLS] asks", lambda a: ahead(a, first=0).mean(0), "let [CLS] ask"),
        Wrong("previous", lambda a: ahead(a, by=-1).mean(0), "previous token"),
        Wrong("itself", lambda a: ahead(a, by=0).mean(0), "token itself"),
        Wrong("a sum", lambda a: ahead(a).sum(0), "You add up"),
        Wrong("wrong axis", lambda a: ahead(a).mean(), "average over the heads"),
        Wrong("off by one at the end", lambda a: ahead(a, last=-2).mean(0), "before [SEP]"),
        Wrong("one per token", lambda a: ahead(a).T, "the shape is"),
    ],
    "between_words": [
        Wrong("mean of means", lambda a, w: words_of(a, w, torch.mean, torch.mean), "not the mean"),
        Wrong("sum of sums", lambda a, w: words_of(a, w, torch.sum, torch.sum), "not the sum"),
        Wrong("wrong axis", lambda a, w: words_of(a, w, torch.sum, torch.mean), "exchanged the two axes"),
        Wrong("transposed", lambda a, w: words_of(a, w, torch.mean, torch.sum).T, "You transpose"),
        Wrong("the largest", lambda a, w: words_of(a, w, torch.mean, torch.max), "largest share"),
        Wrong(
            "first characters", lambda a, w: words_of(a, [[o[0]] for o in w], torch.sum, torch.sum), "first character"
        ),
    ],
    "head_distance": [
        Wrong(
            "nats",
            lambda p, q: (bits((p + q) / 2) - bits(p) / 2 - bits(q) / 2).mean() * 0.6931472,
            "These are nats",
        ),
        Wrong("a sum", lambda p, q: (bits((p + q) / 2) - bits(p) / 2 - bits(q) / 2).sum(), "You add up"),
        Wrong("no half", lambda p, q: (bits((p + q) / 2) - bits(p) - bits(q)).mean(), "subtract them whole"),
        Wrong("p + q", lambda p, q: (bits(p + q) - bits(p) / 2 - bits(q) / 2).mean(), "average the two first"),
        Wrong("KL", lambda p, q: (p * (p / q).log2()).sum(-1).mean(), "KL divergence"),
        Wrong(
            "0 · log 0",
            lambda p, q: sum(
                sign * -(one * one.log2()).sum(-1).mean() for sign, one in ((1, (p + q) / 2), (-0.5, p), (-0.5, q))
            ),
            "adds nothing to an entropy",
        ),
        Wrong(
            "tables averaged first",
            lambda p, q: bits(((p + q) / 2).mean(0)) - bits(p.mean(0)) / 2 - bits(q.mean(0)) / 2,
            "average the tables first",
        ),
    ],
    "cka": [
        Wrong(
            "not centred", lambda a, b: aligned(a, b, centred=False)[0] / aligned(a, b, centred=False)[1], "taken away"
        ),
        Wrong("root of the numerator", lambda a, b: aligned(a, b)[0] ** 0.5 / aligned(a, b)[1], "numerator is missing"),
        Wrong("not normed", lambda a, b: aligned(a, b)[0], "denominator are missing"),
        Wrong(
            "centred along the wrong axis",
            lambda a, b: torch.divide(*aligned(a - a.mean(1, True), b - b.mean(1, True), centred=False)),
            "each token's own numbers",
        ),
        Wrong("root", lambda a, b: torch.divide(*aligned(a, b)) ** 0.5, "root of CKA"),
    ],
    "best_match": [
        Wrong("the nearest", nearest, "two may get the same"),
        Wrong("greedy", greedy, "is greedy"),
        Wrong("in turn", in_turn, "nearest that is left"),
        Wrong("the largest sum", worst, "largest sum"),
        Wrong("SciPy", by_scipy, "write it yourself"),
        Wrong(
            "the teacher's first heads",
            lambda d: min(
                itertools.permutations(range(len(d[0]))),
                key=lambda partners: sum(d[row][column] for column, row in enumerate(partners)),
            ),
            "first heads only",
        ),
        Wrong("pairs", lambda d: [(row, column) for column, row in enumerate(greedy(d))], "one number"),
    ],
}
