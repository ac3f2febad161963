"""Wrong answers to the exercises of notebook 07."""

import statistics

import torch

from . import Wrong


def counted(
    layers, hidden, ffn, vocabulary, positions, segments=2, norms=2, tied=True, dense=True, bias=True, pooler=False
):
    total = (vocabulary + positions + segments) * hidden
    total += layers * (4 * hidden * (hidden + 1) + 2 * hidden * ffn + ffn + hidden + 4 * hidden)
    total += norms * 2 * hidden + vocabulary * bias
    total += (hidden * hidden + hidden) * (dense + pooler)
    return total + (0 if tied else vocabulary * hidden)


def work(hidden, ffn, length, projections=4, over_tokens=2, feed_forward=2, each=2):
    return each * (projections * hidden**2 + over_tokens * length * hidden + feed_forward * hidden * ffn)


def ratios(scores, teacher, floors, every=False, lowest=None):
    tasks = [task for task in scores if every or teacher[task] > floors[task]]
    found = [(scores[task] - floors[task]) / (teacher[task] - floors[task]) for task in tasks]
    return [max(lowest, one) for one in found] if lowest is not None else found


def steps(weights, most=127, rounded=torch.round, row=True):
    rows = weights if row else weights.reshape(1, -1)
    step = rows.abs().max(1, keepdim=True).values / most
    step[step == 0] = 1
    return (rounded(rows / step) * step).reshape(weights.shape)


WRONG = {
    "model_parameters": [
        Wrong("not tied", lambda *g: counted(*g, tied=False), "Count it once"),
        Wrong("no bias of the head", lambda *g: counted(*g, bias=False), "one number per entry"),
        Wrong("no dense matrix", lambda *g: counted(*g, dense=False), "dense matrix"),
        Wrong("no positions", lambda n, h, f, v, p: counted(n, h, f, v, 0), "position embeddings"),
        Wrong("one LayerNorm less", lambda *g: counted(*g, norms=1), "the LayerNorm of embeddings or head"),
        Wrong("a pooler", lambda *g: counted(*g, pooler=True), "no pooler"),
        Wrong("one layer", lambda n, h, f, v, p: counted(1, h, f, v, p), "one layer only"),
        Wrong("segments forgotten", lambda *g: counted(*g, segments=0), "table of segments"),
    ],
    "layer_work": [
        Wrong("one operation for two", lambda *g: work(*g, each=1), "are two operations"),
        Wrong("matrices alone", lambda *g: work(*g, over_tokens=0), "comparison with all tokens"),
        Wrong("no mixing", lambda *g: work(*g, over_tokens=1), "one of the two"),
        Wrong("three projections", lambda *g: work(*g, projections=3), "four projections"),
        Wrong("FFN up only", lambda *g: work(*g, feed_forward=1), "up and down"),
        Wrong("the whole text", lambda h, f, n: n * work(h, f, n), "the whole text"),
    ],
    "whole_speed_up": [
        Wrong("mean of speed-ups", lambda c, r: c * 1 + (1 - c) * r, "average the speed-ups"),
        Wrong("the time", lambda c, r: c + (1 - c) / r, "This is the time"),
        Wrong("exchanged", lambda c, r: r / (c + (1 - c) * r), "You exchange"),
        Wrong("nothing constant", lambda c, r: r, "does not shrink"),
        Wrong("too much", lambda c, r: r / (c * r + 1), "without the constant part"),
        Wrong("the rest alone", lambda c, r: r / (1 - c), "constant part is missing"),
    ],
    "above_floor": [
        Wrong(
            "a teacher at its floor counts",
            lambda s, t, f: statistics.fmean((s[o] - f[o]) / (t[o] - f[o]) for o in s if t[o] >= f[o]),
            "there is nothing to keep",
        ),
        Wrong(
            "no floor",
            lambda s, t, f: statistics.fmean(s[one] / t[one] for one in s if t[one] > f[one]),
            "floor is missing",
        ),
        Wrong(
            "floor on one side",
            lambda s, t, f: statistics.fmean((s[one] - f[one]) / t[one] for one in s if t[one] > f[one]),
            "from the teacher's score",
        ),
        Wrong(
            "ratio of sums",
            lambda s, t, f: sum(s[o] - f[o] for o in s if t[o] > f[o]) / sum(t[o] - f[o] for o in s if t[o] > f[o]),
            "divide two sums",
        ),
        Wrong("never below 0", lambda *g: statistics.fmean(ratios(*g, lowest=0)), "may be negative"),
        Wrong("every task", lambda *g: statistics.fmean(ratios(*g, every=True)), "nothing to keep"),
        Wrong("per cent", lambda *g: 100 * statistics.fmean(ratios(*g)), "per cent"),
        Wrong("over all tasks", lambda s, *g: sum(ratios(s, *g)) / len(s), "number of the tasks"),
    ],
    "eight_bits": [
        Wrong("one step for all", lambda w: steps(w, row=False), "one for the whole table"),
        Wrong("cuts off", lambda w: steps(w, rounded=torch.trunc), "cut the rest off"),
        Wrong("off by one: 128", lambda w: steps(w, most=128), "not ±128"),
        Wrong("whole numbers", lambda w: (w / (w.abs().amax(1, True) + 1e-20) * 127).round(), "Multiply by the step"),
        Wrong("wrong axis", lambda w: steps(w.T.contiguous()).T, "one per column"),
        Wrong(
            "0/0",
            lambda w: (w / (w.abs().amax(1, True) / 127)).round() * (w.abs().amax(1, True) / 127),
            "A row of zeros",
        ),
        Wrong("unchanged", lambda w: w, "Nothing is rounded"),
    ],
}
