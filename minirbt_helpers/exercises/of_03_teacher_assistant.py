"""Exercises of notebook 03: count a layer and a model, cut an assistant out, and measure it honestly."""

from collections import Counter
from math import sqrt

import torch
from torch import Tensor

from .exercise import Shelf

shelf = Shelf("03_teacher_assistant", "The teacher assistant")


@shelf.exercise(
    title="The parameters of a layer",
    difficulty=1,
    minutes=8,
    use="the size of any Transformer, before anybody builds it",
    cases=lambda: [(1, 1), (2, 3), (8, 32), (64, 256), (256, 1024), (768, 3072)],
    hints=(
        "List the tensors of the layer first: which are matrices, and how long is the bias of each?",
        "The bias is as long as the output. Four matrices lead from hidden to hidden, one from hidden to "
        "ffn, one back.",
    ),
    remark="The two matrices of the FFN have biases of different lengths, and each LayerNorm has two vectors.",
    slips=[
        ("The biases are missing.", lambda hidden, ffn: layer_parameters(hidden, ffn) - 5 * hidden - ffn),
        (
            "These are the matrices alone. Biases and LayerNorms are missing.",
            lambda hidden, ffn: 4 * hidden**2 + 2 * hidden * ffn,
        ),
        ("The LayerNorms are missing.", lambda hidden, ffn: layer_parameters(hidden, ffn) - 4 * hidden),
        (
            "A layer has two LayerNorms, and each has two vectors.",
            lambda hidden, ffn: layer_parameters(hidden, ffn) - 2 * hidden,
        ),
        (
            "Attention has four matrices: the output is one of them.",
            lambda hidden, ffn: layer_parameters(hidden, ffn) - hidden**2 - hidden,
        ),
        (
            "The FFN has two matrices, up and down.",
            lambda hidden, ffn: layer_parameters(hidden, ffn) - hidden * ffn - hidden,
        ),
        (
            "The FFN's way up ends with ffn numbers, and so its bias has ffn numbers, too.",
            lambda hidden, ffn: layer_parameters(hidden, ffn) + hidden - ffn,
        ),
    ],
)
def layer_parameters(hidden: int, ffn: int) -> int:
    """Write `layer_parameters`: how many numbers does one BERT layer hold? It has

    - attention: query, key, value and output, each a matrix from `hidden` to `hidden` numbers with a bias,
    - the FFN: a matrix from `hidden` to `ffn` numbers with a bias, and one back with a bias,
    - two LayerNorms, each with a gain and a bias of `hidden` numbers.

    `layer_parameters(2, 3)` gives `49`.
    """
    attention = 4 * (hidden * hidden + hidden)
    feed_forward = (hidden * ffn + ffn) + (ffn * hidden + hidden)
    return attention + feed_forward + 2 * 2 * hidden


def _numbered(layers: int) -> dict[str, Tensor]:
    """A state dict of small tensors, each filled with numbers of its own."""
    inner = [f"bert.layer.{layer}.{kind}" for layer in range(layers) for kind in ("weight", "bias")]
    names = ["bert.words", *inner, "cls.bias"]
    return {name: torch.tensor([float(number)]) for number, name in enumerate(names)}


def _copied(state, layers, rename=lambda place, layer: place, keep=lambda name: True):
    small = {}
    for name, tensor in state.items():
        before, found, after = name.partition(".layer.")
        if not found:
            small |= {name: tensor} if keep(name) else {}
            continue
        number, _, rest = after.partition(".")
        for place, layer in enumerate(layers):
            if layer == int(number):
                small[f"{before}.layer.{rename(place, layer)}.{rest}"] = tensor
    return small


@shelf.exercise(
    title="Copy layers",
    difficulty=2,
    minutes=15,
    use="every model that starts from a part of a larger one",
    cases=lambda: [
        (_numbered(1), [0]),
        (_numbered(2), [0]),
        (_numbered(2), [1]),
        (_numbered(6), [0, 2, 4]),
        (_numbered(4), [3, 1]),
        (_numbered(3), [0, 0, 2]),
        (_numbered(12), [1, 11]),
    ],
    hints=(
        "Go through the chosen layers, not through the names: the layer at place 0 of the list becomes layer 0.",
        "For a name with `.layer.` split it: `before, _, after = name.partition('.layer.')`, and the number is"
        " `after.partition('.')[0]`. Mind that layer 1 and layer 11 begin alike.",
    ),
    remark=(
        "`layer.1` is the beginning of `layer.11`. And the helper clones each tensor, because training a copy that "
        "shares its tensors changes the teacher."
    ),
    slips=[
        (
            "The layers of the small model are numbered anew, from 0. Yours keep the teacher's numbers.",
            lambda state, layers: _copied(state, layers, rename=lambda place, layer: layer),
        ),
        (
            "Everything outside the layers is copied, too.",
            lambda state, layers: _copied(state, layers, keep=lambda name: False),
        ),
        (
            "The head (`cls`) is missing.",
            lambda state, layers: _copied(state, layers, keep=lambda name: name.startswith("bert")),
        ),
        ("The order of the list counts: it need not ascend.", lambda state, layers: _copied(state, sorted(layers))),
        (
            "You take the first layers. The list says which ones.",
            lambda state, layers: _copied(state, range(len(layers))),
        ),
        ("A layer may be copied more than once.", lambda state, layers: _copied(state, list(dict.fromkeys(layers)))),
        (
            "You return the whole teacher.",
            lambda state, layers: {name: tensor for name, tensor in state.items()},
        ),
    ],
    signs=[
        (
            "Layer 1 and layer 11 begin with the same characters. Compare the whole number.",
            lambda answer, state, layers: 11 in layers,
        ),
    ],
    raises=dict.fromkeys(
        ("ValueError", "IndexError"),
        "Some names hold no number of a layer: `bert.words`, `cls.bias`. They stay as they are.",
    ),
    helpers=("minirbt_helpers.models.initialisation.take_layers",),
)
def copy_layers(state: dict[str, Tensor], layers: list[int]) -> dict[str, Tensor]:
    """`state` is a teacher's state dict. Write `copy_layers`: the state dict of a model that has the teacher's
    `layers` in the given order, and everything that belongs to no layer (embeddings, head) under its old name.
    `layers` counts from 0, as the state dict does. A layer may be taken more than once.

    The names of layers hold their number: `bert.layer.2.bias`. With `layers=[0, 2]` this tensor becomes
    `bert.layer.1.bias`, because it belongs to the second layer of the new model.

    `copy_layers({"words": tensor([1.0]), "x.layer.0.bias": tensor([2.0]), "x.layer.1.bias": tensor([3.0])}, [1])`
    gives `{"words": tensor([1.0]), "x.layer.0.bias": tensor([3.0])}`.
    """
    small = {name: tensor for name, tensor in state.items() if ".layer." not in name}
    for place, layer in enumerate(layers):
        for name, tensor in state.items():
            before, _, after = name.partition(".layer.")
            number, _, rest = after.partition(".")
            if number == str(layer):
                small[f"{before}.layer.{place}.{rest}"] = tensor
    return small


def _common(p, n, q, m):
    return (p * n + q * m) / (n + m)


@shelf.exercise(
    title="More than chance?",
    difficulty=2,
    minutes=10,
    use="every sentence that says one model is better than another",
    cases=lambda: [
        (0.5, 100, 0.5, 100),
        (0.6, 100, 0.5, 100),
        (0.5, 100, 0.6, 100),
        (0.30, 1300, 0.32, 1300),
        (0.2, 2367, 0.1, 500),
        (0.9, 150, 0.86, 1200),
    ],
    hints=(
        "A share p from n questions has the standard error √(p(1 − p)/n). What is the error of a difference?",
        "Errors of two independent numbers add up in squares: the root of the sum of the two squared errors.",
    ),
    remark=(
        "The errors are squared, added, and the root is taken. Adding them as they are makes a difference look "
        "too unsure."
    ),
    slips=[
        (
            "The sign is lost: the second model may be the better one.",
            lambda p, n, q, m: abs(errors_apart(p, n, q, m)),
        ),
        (
            "Two standard errors do not simply add up: their squares do.",
            lambda p, n, q, m: (q - p) / (sqrt(p * (1 - p) / n) + sqrt(q * (1 - q) / m)),
        ),
        ("You use the error of the first model alone.", lambda p, n, q, m: (q - p) / sqrt(p * (1 - p) / n)),
        ("The root is missing.", lambda p, n, q, m: (q - p) / (p * (1 - p) / n + q * (1 - q) / m)),
        (
            "The numbers of questions are missing.",
            lambda p, n, q, m: (q - p) / sqrt(p * (1 - p) + q * (1 - q)),
        ),
        (
            "Each share has an error of its own. You use one common share for both.",
            lambda p, n, q, m: (q - p) / sqrt(_common(p, n, q, m) * (1 - _common(p, n, q, m)) * (1 / n + 1 / m)),
        ),
        ("You subtract the other way round.", lambda p, n, q, m: -errors_apart(p, n, q, m)),
        ("The difference is asked for in standard errors: divide by one.", lambda p, n, q, m: q - p),
        (
            "This is the standard error of the difference. Divide the difference by it.",
            lambda p, n, q, m: sqrt(p * (1 - p) / n + q * (1 - q) / m),
        ),
    ],
)
def errors_apart(p: float, n: int, q: float, m: int) -> float:
    """One model is right at a share `p` of `n` questions, another one at a share `q` of `m` other questions. The
    standard error of a share is √(p(1 − p)/n). Write `errors_apart`: the difference `q - p`, in standard errors of
    that difference. Beyond 2 or below −2 it is more than chance explains. The two sets of questions are independent,
    and both shares lie above 0 and below 1.

    `errors_apart(0.5, 100, 0.6, 100)` gives `1.429…`.
    """
    error = sqrt(p * (1 - p) / n + q * (1 - q) / m)
    return (q - p) / error


@shelf.exercise(
    title="The floor: always the same answer",
    difficulty=1,
    minutes=8,
    use="the line that belongs into every picture of accuracies",
    cases=lambda: [
        ([7, 7, 8, 2], [7], [2]),
        ([7, 7, 8], [8], [0]),
        ([7, 7, 8, 8, 8], [7, 8, 8, 7], [0]),
        ([2, 2, 2, 7, 7, 8, 3, 3, 3, 3], [7, 7, 8, 9], [2, 3]),
        ([5, 6, 6, 6, 5, 5, 5], [6, 6, 6, 5], [6]),
        ([4, 4, 4, 9, 9, 1], [9, 9, 9, 9, 4], [0, 1]),
    ],
    hints=(
        "Two texts, two purposes: on one the answer is chosen, on the other it is measured.",
        "`Counter` counts the training tokens that are not special, `most_common(1)` gives the answer. "
        "Then measure it.",
    ),
    remark="Choosing the answer on the held-out tokens themselves is peeking: the floor comes out too high.",
    slips=[
        (
            "You choose the answer on the tokens that are asked for. That is peeking: choose it on the "
            "training tokens.",
            lambda train, asked, special: max(asked.count(token) for token in asked) / len(asked),
        ),
        (
            "Special tokens are nobody's answer: leave them out when you choose.",
            lambda train, asked, special: constant_floor(train, asked, []),
        ),
        (
            "The share is over the tokens that are asked for. You measure on the training tokens.",
            lambda train, asked, special: constant_floor(train, [one for one in train if one not in special], special),
        ),
        (
            "A share is asked for, and you return a count.",
            lambda train, asked, special: len(asked) * constant_floor(train, asked, special),
        ),
        (
            "You choose the rarest token.",
            lambda train, asked, special: (
                asked.count(
                    min(
                        [one for one in train if one not in special],
                        key=lambda token: train.count(token),
                    )
                )
                / len(asked)
            ),
        ),
        (
            "You return the token. The share of the asked tokens that are this one is meant.",
            lambda train, asked, special: Counter(one for one in train if one not in special).most_common(1)[0][0],
        ),
        (
            "The share is over the tokens that are asked for. You divide by all training tokens.",
            lambda train, asked, special: (
                Counter(one for one in train if one not in special).most_common(1)[0][1] / len(train)
            ),
        ),
    ],
)
def constant_floor(train: list[int], asked: list[int], special: list[int]) -> float:
    """How far does a model get if it always says the same token? Write `constant_floor`: choose the most frequent
    token of the training text `train` that is not in `special`, and return its share among all the held-out tokens
    `asked`.

    `constant_floor([7, 7, 8, 2, 2, 2], [7, 8], [2])` gives `0.5`.
    """
    counts = Counter(token for token in train if token not in special)
    answer = counts.most_common(1)[0][0]
    return asked.count(answer) / len(asked)


shelf.question(
    "half_the_layers",
    "RBT6 has half of the teacher's layers and more than half of its parameters. Why?",
    "The embeddings stay as large as they were",
    "The table of word embeddings does not shrink with the depth: of 102.3M parameters 16.6M are embeddings.",
    wrong={
        "Its layers are wider": "They are the teacher's own layers, copied.",
        "It has a pooler": "Both are counted without a pooler and with the head.",
        "The projections of the distillation belong to it": "They are no part of the model, and are not counted.",
    },
)
shelf.question(
    "narrow_from_wide",
    "Why can MiniRBT-H256 not be cut out of the teacher as RBT6 is?",
    "It is narrower: its matrices have another shape",
    "A whole layer can be left out, and the others still fit. A narrower model needs all its matrices in another "
    "shape, that is, with other numbers.",
    wrong={
        "It has another vocabulary": "It has the teacher's 21,128 entries.",
        "It has more layers": "It has six layers, as many as RBT6.",
    },
)
shelf.question(
    "error_of_thirty",
    "A model is right at 30% of 1,300 masked tokens. How large is the standard error of this share, in points?",
    100 * (0.3 * 0.7 / 1300) ** 0.5,
    "√(0.3 · 0.7 / 1300) = 0.0127, that is about 1.3 points.",
    tolerance=0.05,
)
