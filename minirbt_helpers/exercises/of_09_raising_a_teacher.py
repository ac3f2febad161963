"""Exercises of notebook 09: the loss, the counts, the heads that look aside, the growing."""

import numpy as np
import torch
from torch import Tensor

from .exercise import Shelf
from .samples import normal, whole

shelf = Shelf("09_raising_a_teacher", "Raising a teacher")


def _labels(*labels: int) -> Tensor:
    return torch.tensor(labels)


@shelf.exercise(
    title="The MLM loss by hand",
    difficulty=2,
    minutes=12,
    use="the number that falls in every pre-training",
    cases=lambda: [
        (torch.zeros(1, 2), _labels(0)),
        (normal(1, 1, 3), _labels(2)),
        (normal(2, 2, 3), _labels(1, -100)),
        (normal(3, 3, 4), _labels(-100, 3, 0)),
        (normal(4, 5, 7, scale=3.0), _labels(-100, 6, -100, 0, 2)),
        (normal(5, 3, 6, scale=300.0), _labels(0, 5, -100)),
    ],
    hints=(
        "First choose the rows that have a label. Then: how surprised is the model by each right token?",
        "`log_softmax(-1)` makes log-probabilities. Take from each chosen row the one at its label, change "
        "the sign, average.",
    ),
    remark="-100 is no place in the vocabulary: as an index it means “from the end”, and nothing would complain.",
    slips=[
        (
            "You average over all positions. Only those with a label count.",
            lambda logits, labels: mlm_loss(logits, labels) * (labels != -100).sum() / len(labels),
        ),
        (
            "You add up. The mean is asked for.",
            lambda logits, labels: mlm_loss(logits, labels) * (labels != -100).sum(),
        ),
        (
            "The sign is wrong: a loss is smaller where the right token is likelier.",
            lambda logits, labels: -mlm_loss(logits, labels),
        ),
        (
            "This is the mean probability of the right token. The loss takes its logarithm.",
            lambda logits, labels: logits[labels != -100].softmax(-1).gather(1, labels[labels != -100][:, None]).mean(),
        ),
        (
            "The softmax has to run over the vocabulary. Yours runs over the positions.",
            lambda logits, labels: (
                -logits[labels != -100].log_softmax(0).gather(1, labels[labels != -100][:, None]).mean()
            ),
        ),
        (
            "The logits have to become log-probabilities first.",
            lambda logits, labels: -logits[labels != -100].gather(1, labels[labels != -100][:, None]).mean(),
        ),
    ],
    signs=[
        (
            "Large logits overflow in a bare exponential: use log_softmax.",
            lambda answer, logits, labels: logits.abs().max() > 90,
        ),
        (
            "A label of -100 means that the position is not asked for. Leave it out.",
            lambda answer, logits, labels: bool((labels == -100).any()),
        ),
    ],
    helpers=("torch.nn.functional.cross_entropy", "torch.nn.functional.nll_loss"),
)
def mlm_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """`logits` is [positions, vocabulary], and `labels` [positions] holds the right token's id where a token was
    hidden and -100 everywhere else. Write `mlm_loss`: the mean over the hidden positions of −log p, where p is the
    probability that the model gives to the right token. Do it without PyTorch's `cross_entropy`.

    `mlm_loss(tensor([[0.0, 0.0], [3.0, 1.0]]), tensor([1, -100]))` gives `0.693…`.
    """
    asked = labels != -100  # [positions]
    log_shares = logits[asked].log_softmax(-1)  # [asked, vocabulary]
    return -log_shares.gather(1, labels[asked][:, None]).mean()


def _counted(ids, size, window, ignored, both=True, low=1, high=0, skip=False):
    table = torch.zeros(size, size)
    ids = [one for one in ids if one not in ignored] if skip else ids
    for place, one in enumerate(ids):
        for other in ids[place + low : place + window + 1 + high]:
            if one not in ignored and other not in ignored:
                table[one, other] += 1
                if both:
                    table[other, one] += 1
    return table


@shelf.exercise(
    title="Who stands near whom?",
    difficulty=2,
    minutes=12,
    use="the table behind word vectors, and behind the start of a new model",
    cases=lambda: [
        ([0, 1], 2, 1, []),
        ([0, 1, 2], 3, 1, []),
        ([0, 1, 2], 3, 2, []),
        ([1, 1], 2, 1, []),
        ([0, 3, 1, 2], 4, 2, [3]),
        (whole(1, 4, 12).tolist(), 4, 3, []),
        (whole(2, 5, 20).tolist(), 5, 4, [0]),
    ],
    hints=(
        "Go through all pairs of places that are at most `window` apart. Each pair counts in two cells of the table.",
        "For each place look at the next `window` tokens only, and add 1 in both cells: `[one, other]` and "
        "`[other, one]`.",
    ),
    remark="An ignored token keeps its place: it is not counted, but the tokens on its two sides do not come nearer.",
    slips=[
        ("Each pair counts in both directions: the table is symmetric.", lambda *given: _counted(*given, both=False)),
        ("The window is one too small: tokens exactly `window` apart count.", lambda *given: _counted(*given, high=-1)),
        ("The window is one too large.", lambda *given: _counted(*given, high=1)),
        ("A token is not its own neighbour.", lambda *given: _counted(*given, low=0)),
        ("Ignored tokens count for nothing.", lambda ids, size, window, ignored: _counted(ids, size, window, [])),
        ("An ignored token keeps its place. You close the gap.", lambda *given: _counted(*given, skip=True)),
        (
            "How often counts. You say only whether it happens.",
            lambda *given: _counted(*given).clamp(max=1),
        ),
        (
            "Each pair is counted twice as often as it occurs.",
            lambda *given: 2 * _counted(*given),
        ),
    ],
    helpers=("minirbt_helpers.models.initialisation._neighbours",),
)
def neighbour_counts(ids: list[int], size: int, window: int, ignored: list[int]) -> Tensor:
    """Write `neighbour_counts`: a table [size, size] that says how often two tokens stand near each other in the text
    `ids`. Two places are near if they are at most `window` apart. Such a pair of places adds 1 to the cell (one,
    other) and 1 to the cell (other, one). Pairs with an id of `ignored` do not count, but these tokens keep their
    places.

    `neighbour_counts([0, 1, 2], 3, 1, [])` gives `tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])`.
    """
    table = torch.zeros(size, size)
    for place, one in enumerate(ids):
        for other in ids[place + 1 : place + window + 1]:
            if one not in ignored and other not in ignored:
                table[one, other] += 1
                table[other, one] += 1
    return table


def _symmetric(seed: int, size: int) -> Tensor:
    half = whole(seed, 6, size, size).float()
    return half + half.T


def _information(counts: Tensor) -> Tensor:
    """Pointwise mutual information, as the logarithm leaves it."""
    each = counts.sum(0)
    return (counts * counts.sum() / (each[:, None] * each)).log()


def _without(counts: Tensor, chance: Tensor) -> Tensor:
    """PPMI with something else in the place of what chance gives."""
    return (counts / chance).log().nan_to_num(0, posinf=0, neginf=0).clamp(min=0)


@shelf.exercise(
    title="Positive pointwise mutual information",
    difficulty=2,
    minutes=12,
    use="the measure that tells a habit from two frequent tokens",
    cases=lambda: [
        (torch.tensor([[0.0, 1.0], [1.0, 0.0]]),),
        (torch.tensor([[4.0, 1.0], [1.0, 4.0]]),),
        (torch.tensor([[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),),
        (_symmetric(3, 3),),
        (_symmetric(4, 5),),
        (_symmetric(5, 8),),
    ],
    hints=(
        "Divide what was counted by what chance would give. Chance: the share of the row times the share "
        "of the column.",
        "With the total N, the row sums and the column sums: `counts * N / (rows * columns)`, then the "
        "logarithm, then no"
        " negative numbers. Empty cells give log 0, and empty rows 0/0: both become 0.",
    ),
    remark="Cells without a count have the logarithm −∞, and rows without any count give nan. Both must end as 0.",
    slips=[
        (
            "Negative numbers become 0: that is the P of PPMI.",
            lambda counts: _information(counts).nan_to_num(0, posinf=0, neginf=0),
        ),
        ("The logarithm is missing.", lambda counts: _information(counts).exp().nan_to_num(0)),
        (
            "The total is missing: chance is the product of two *shares*.",
            lambda counts: _without(counts, counts.sum(0) * counts.sum(0)[:, None]),
        ),
        (
            "You divide by the rows alone. Frequent columns have to be divided by, too.",
            lambda counts: _without(counts, counts.sum(1, keepdim=True) / len(counts)),
        ),
        (
            "The natural logarithm is asked for, not that to base 2.",
            lambda counts: ppmi(counts) / torch.tensor(2.0).log(),
        ),
        (
            "You add 1 to the ratio before the logarithm. Take the logarithm first, then make negative numbers 0.",
            lambda counts: _information(counts).exp().nan_to_num(0).add(1).log(),
        ),
    ],
    signs=[
        (
            "A pair that was never counted has the logarithm of 0, and a token that was never counted has "
            "0/0. Both become 0.",
            lambda answer, counts: not np.isfinite(answer).all(),
        ),
    ],
)
def ppmi(counts: Tensor) -> Tensor:
    """`counts` [size, size] says how often two tokens stood near each other. It is symmetric. Write `ppmi`: the
    *positive pointwise mutual information* of each pair, [size, size]. It compares the share of the pair among all
    counts with the share that chance would give, the product of the two tokens' own shares:

    PMI = ln( share of the pair / (share of the one · share of the other) )

    PPMI is the PMI where it is positive, and 0 everywhere else, also for pairs and tokens that were never counted.

    `ppmi(tensor([[4.0, 1.0], [1.0, 4.0]]))` gives `tensor([[0.47…, 0.0], [0.0, 0.47…]])`.
    """
    each = counts.sum(0)  # [size]
    expected = each[:, None] * each / counts.sum()  # [size, size]
    information = (counts / expected).log()
    return information.nan_to_num(0, posinf=0, neginf=0).clamp(min=0)


SPEEDS = torch.tensor([2.5, 0.9, 0.3])


def _looks(length, speeds, step, sharpness, cosines=True, turned="query", axis=-1):
    angles = torch.arange(length)[:, None] * speeds
    shifted = angles + step * speeds
    waves = [torch.cat([one.sin(), one.cos()] if cosines else [one.sin()], -1) for one in (shifted, angles)]
    query, key = waves if turned == "query" else waves[::-1]
    return (sharpness * query @ key.T).softmax(axis)


@shelf.exercise(
    title="A head that looks at its neighbour",
    difficulty=3,
    minutes=20,
    use="a start that looks beside a gap from the first step",
    cases=lambda: [
        (2, torch.tensor([1.0]), 0, 1.0),
        (3, torch.tensor([1.0]), 1, 4.0),
        (4, torch.tensor([2.0, 0.5]), 1, 3.0),
        (6, SPEEDS, 1, 3.0),
        (6, SPEEDS, -1, 3.0),
        (8, SPEEDS, 2, 2.0),
    ],
    hints=(
        "Make the waves of all places first, and then the waves of all places moved by `step`. One of the "
        "two is the query.",
        "`angles = torch.arange(length)[:, None] * speeds`. The key is the sines and cosines of `angles`, "
        "the query those of"
        " `angles + step * speeds`. Scores are inner products.",
    ),
    remark="The query is turned, not the key. And sines alone cannot tell a step ahead from a step back.",
    slips=[
        (
            "Your heads look in the opposite direction.",
            lambda length, speeds, step, sharp: _looks(length, speeds, -step, sharp),
        ),
        ("The cosines are missing.", lambda *given: _looks(*given, cosines=False)),
        ("The shares of a row add up to 1: softmax runs over the keys.", lambda *given: _looks(*given, axis=0)),
        ("The sharpness is missing.", lambda length, speeds, step, sharp: _looks(length, speeds, step, 1.0)),
        (
            "The step is missing: everybody looks at itself.",
            lambda length, speeds, step, sharp: _looks(length, speeds, 0, sharp),
        ),
        (
            "The query is moved by one token always. The step says by how many.",
            lambda length, speeds, step, sharp: _looks(length, speeds, max(-1, min(step, 1)), sharp),
        ),
    ],
)
def neighbour_head(length: int, speeds: Tensor, step: int, sharpness: float) -> Tensor:
    """At place t a token carries waves: sin(t · s) for each of the `speeds` s, and cos(t · s) for each. These are its
    *key*. Its *query* is made of the waves of the place t + `step`. Write `neighbour_head`: the attention
    [length, length] of a head whose scores are `sharpness` times the inner product of query and key. Row t says how
    much the token at t looks at each place, and adds up to 1. With a step of 1 every token but the last looks at the
    next token most.

    `neighbour_head(3, tensor([1.0]), 1, 1.0)` gives
    `tensor([[0.279…, 0.441…, 0.279…], [0.129…, 0.336…, 0.533…], [0.135…, 0.240…, 0.624…]])`.
    """
    angles = torch.arange(length)[:, None] * speeds  # [length, speeds]
    turned = angles + step * speeds
    key = torch.cat([angles.sin(), angles.cos()], -1)  # [length, 2 * speeds]
    query = torch.cat([turned.sin(), turned.cos()], -1)
    return (sharpness * query @ key.T).softmax(-1)


@shelf.exercise(
    title="Growing",
    difficulty=1,
    minutes=8,
    use="a deep model that begins with what a shallow one has learned",
    cases=lambda: [(1, 1), (1, 2), (2, 4), (3, 6), (6, 12), (3, 12), (2, 6)],
    hints=(
        "How many layers of the deep model does each old layer stand for? The first of them is the old one itself.",
        "With `times = depth // present`, place i belongs to the old layer i // times. It is new unless it "
        "is the first.",
    ),
    remark="New layers stand just after their own old one, and not all together at the end.",
    slips=[
        (
            "The old layers stay in order, and each is followed by its own new ones. You put the new ones at the end.",
            lambda present, depth: [(place % present, place >= present) for place in range(depth)],
        ),
        (
            "The first of its group is the old layer itself, the others are new.",
            lambda present, depth: [(source, not new) for source, new in grown_layers(present, depth)],
        ),
        (
            "All layers are new here. The old ones are still there.",
            lambda present, depth: [(source, True) for source, _ in grown_layers(present, depth)],
        ),
        (
            "Layers are counted from 0.",
            lambda present, depth: [(source + 1, new) for source, new in grown_layers(present, depth)],
        ),
        (
            "New layers stand after their old one, not before it.",
            lambda present, depth: [
                (source, (place + 1) % (depth // present) > 0)
                for place, (source, _) in enumerate(grown_layers(present, depth))
            ],
        ),
        (
            "Nothing is marked as new.",
            lambda present, depth: [(source, False) for source, _ in grown_layers(present, depth)],
        ),
        (
            "The depth need not be twice the old one. Equally many new layers stand after each.",
            lambda present, depth: grown_layers(present, 2 * present),
        ),
    ],
)
def grown_layers(present: int, depth: int) -> list[tuple[int, bool]]:
    """A model of `present` layers is to become one of `depth` layers, a multiple. After every old layer stand new
    ones, equally many after each. A new layer begins as a copy of the old one before it, made to add nothing. Write
    `grown_layers`: for each layer of the deep model the pair of the old layer that it is copied from (counted from
    0), and whether it is new.

    `grown_layers(2, 4)` gives `[(0, False), (0, True), (1, False), (1, True)]`.
    """
    times = depth // present
    return [(place // times, place % times > 0) for place in range(depth)]


shelf.question(
    "uniform_loss",
    "A model finds all 7,000 entries equally likely. How large is its MLM loss, in nats?",
    8.854,
    "−ln(1/7000) = ln 7000 = 8.85. A new model begins near it.",
    tolerance=0.005,
)
shelf.question(
    "why_counts_first",
    "Why does a start from counts help a small model?",
    "It need not find out from gradients what can be counted in a minute",
    "After 300,000 tokens the loss of a random start is still higher: the next picture shows it.",
    wrong={
        "It makes the model larger": "The number of parameters is the same.",
        "It replaces the training": "Counting lowers the loss. The first guesses get no better by it alone.",
    },
)
shelf.question(
    "shallow_first",
    "Why begin with few layers and short blocks?",
    "What a young model learns first, few layers learn too, in a fraction of the time",
    "Frequencies and neighbours need neither depth nor length. Later layers start from there.",
    wrong={
        "Deep models cannot be trained from nothing": "They can. It takes longer until they know the simple things.",
        "Short blocks hold more words": "A batch has the same number of tokens, whatever the length of its blocks.",
    },
)
