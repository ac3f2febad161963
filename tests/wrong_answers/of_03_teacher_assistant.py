"""Wrong answers to the exercises of notebook 03."""

import math
from collections import Counter

from . import Wrong


def copied(state, layers, find=lambda layer: f".layer.{layer}.", into=lambda place, layer: place, rest=True):
    small = {}
    for name, tensor in state.items():
        if ".layer." not in name and rest:
            small[name] = tensor
    for place, layer in enumerate(layers):
        for name, tensor in state.items():
            if find(layer) in name:
                small[name.replace(find(layer), f".layer.{into(place, layer)}.")] = tensor
    return small


def begins_alike(state, layers):
    """Takes layer 10 for layer 1, and loses nothing else."""
    small = copied(state, layers)
    for place, layer in enumerate(layers):
        for name, tensor in state.items():
            if f".layer.{layer}" in name:
                small[f"bert.layer.{place}." + name.split(".", 3)[-1]] = tensor
    return small


def error(share, count):
    return math.sqrt(share * (1 - share) / count)


def without(tokens, special):
    return [token for token in tokens if token not in special]


def most_frequent(tokens):
    return Counter(tokens).most_common(1)[0][0]


def pooled(p, n, q, m):
    both = (p * n + q * m) / (n + m)
    return (q - p) / math.hypot(error(both, n), error(both, m))


WRONG = {
    "layer_parameters": [
        Wrong("no biases", lambda h, f: 4 * h * h + 2 * h * f + 4 * h, "biases are missing"),
        Wrong("no LayerNorms", lambda h, f: 4 * (h * h + h) + h * f + f + f * h + h, "LayerNorms are missing"),
        Wrong("one LayerNorm", lambda h, f: 4 * (h * h + h) + h * f + f + f * h + h + 2 * h, "two LayerNorms"),
        Wrong("three matrices", lambda h, f: 3 * (h * h + h) + h * f + f + f * h + h + 4 * h, "output is one of them"),
        Wrong("FFN up only", lambda h, f: 4 * (h * h + h) + h * f + f + 4 * h, "up and down"),
        Wrong("the bias of the way up", lambda h, f: 4 * h * (h + 1) + 2 * h * (f + 1) + 4 * h, "has ffn numbers"),
        Wrong("matrices alone", lambda h, f: 4 * h * h + 2 * h * f, "Biases and LayerNorms are missing"),
    ],
    "copy_layers": [
        Wrong("old numbers", lambda s, n: copied(s, n, into=lambda place, layer: layer), "numbered anew"),
        Wrong("nothing but layers", lambda s, n: copied(s, n, rest=False), "outside the layers"),
        Wrong("sorted", lambda s, n: copied(s, sorted(n)), "need not ascend"),
        Wrong("the first layers", lambda s, n: copied(s, range(len(n))), "list says which"),
        Wrong("each layer once", lambda s, n: copied(s, sorted(set(n), key=n.index)), "more than once"),
        Wrong("layer 1 is 11, too", begins_alike, "Compare the whole number"),
        Wrong(
            "a number in every name",
            lambda s, n: {name: s[name] for name in s if int(name.split(".")[2]) in n},
            "hold no number of a layer",
        ),
        Wrong("the whole teacher", lambda s, n: dict(s), "whole teacher"),
    ],
    "errors_apart": [
        Wrong("no sign", lambda p, n, q, m: abs(q - p) / math.hypot(error(p, n), error(q, m)), "sign is lost"),
        Wrong("errors added", lambda p, n, q, m: (q - p) / (error(p, n) + error(q, m)), "their squares do"),
        Wrong("one error", lambda p, n, q, m: (q - p) / error(p, n), "first model alone"),
        Wrong("variance", lambda p, n, q, m: (q - p) / (error(p, n) ** 2 + error(q, m) ** 2), "root is missing"),
        Wrong("p - q", lambda p, n, q, m: (p - q) / math.hypot(error(p, n), error(q, m)), "other way round"),
        Wrong("one common share", pooled, "common share"),
        Wrong("n forgotten", lambda p, n, q, m: (q - p) / math.hypot(error(p, 1), error(q, 1)), "numbers of questions"),
        Wrong("the difference", lambda p, n, q, m: q - p, "in standard errors"),
    ],
    "constant_floor": [
        Wrong("peeking", lambda t, a, s: a.count(most_frequent(a)) / len(a), "peeking"),
        Wrong("special tokens count", lambda t, a, s: a.count(most_frequent(t)) / len(a), "nobody's answer"),
        Wrong(
            "measured on the training text",
            lambda t, a, s: Counter(o for o in t if o not in s).most_common(1)[0][1] / len(without(t, s)),
            "measure on the training tokens",
        ),
        Wrong("a count", lambda t, a, s: a.count(most_frequent(without(t, s))), "return a count"),
        Wrong("a token", lambda t, a, s: most_frequent(without(t, s)), "You return the token"),
        Wrong(
            "over all training tokens",
            lambda t, a, s: t.count(most_frequent(without(t, s))) / len(t),
            "divide by all training tokens",
        ),
    ],
}
