"""Exercises of notebook 07: count a whole model, its arithmetic, its speed-up, and what is kept above the floor."""

from statistics import fmean

import torch
from torch import Tensor

from .exercise import Shelf
from .samples import normal

shelf = Shelf("07_comparing_models", "Comparing the models")
FULL = (21128, 512)  # entries and positions of the published models


@shelf.exercise(
    title="All parameters of a masked language model",
    difficulty=2,
    minutes=15,
    use="the first column of every table of models",
    cases=lambda: [
        (1, 1, 1, 1, 1),
        (1, 2, 3, 5, 4),
        (2, 4, 8, 10, 6),
        (3, 8, 32, 100, 16),
        (6, 256, 1024, *FULL),
        (12, 768, 3072, *FULL),
    ],
    hints=(
        "Three parts: embeddings, layers, head. The head has a large matrix that is counted already. Which one?",
        "Embeddings: (vocabulary + positions + 2) · hidden and a LayerNorm. Head: one dense matrix with "
        "bias, a LayerNorm, and"
        " one bias per entry. Its last matrix is the table of word embeddings.",
    ),
    remark="The last matrix of the head is the embedding table, read the other way: it exists once. Its bias is extra.",
    slips=[
        (
            "The last matrix of the head is the table of word embeddings. Count it once.",
            lambda n, h, f, v, p: model_parameters(n, h, f, v, p) + v * h,
        ),
        (
            "The head's bias, one number per entry, is missing.",
            lambda n, h, f, v, p: model_parameters(n, h, f, v, p) - v,
        ),
        (
            "The head's dense matrix with its bias is missing.",
            lambda n, h, f, v, p: model_parameters(n, h, f, v, p) - h * h - h,
        ),
        ("The position embeddings are missing.", lambda n, h, f, v, p: model_parameters(n, h, f, v, p) - p * h),
        (
            "2 · hidden numbers are missing: the table of segments, or the LayerNorm of embeddings or head.",
            lambda n, h, f, v, p: model_parameters(n, h, f, v, p) - 2 * h,
        ),
        (
            "The two LayerNorms outside the layers are missing.",
            lambda n, h, f, v, p: model_parameters(n, h, f, v, p) - 4 * h,
        ),
        ("The head is missing.", lambda n, h, f, v, p: model_parameters(n, h, f, v, p) - h * h - 3 * h - v),
        (
            "There is no pooler in a masked language model.",
            lambda n, h, f, v, p: model_parameters(n, h, f, v, p) + h * h + h,
        ),
        ("You count one layer only.", lambda n, h, f, v, p: model_parameters(1, h, f, v, p)),
    ],
)
def model_parameters(layers: int, hidden: int, ffn: int, vocabulary: int, positions: int) -> int:
    """Write `model_parameters`: how many numbers does a BERT with an MLM head hold? It has

    - embeddings: a table for the vocabulary, one for the positions, one for 2 segments, all `hidden` wide, and a
      LayerNorm,
    - layers: each with four square matrices, two of the FFN, a bias for each of the six, and two LayerNorms,
    - the head: a square matrix with a bias, a LayerNorm, and a last matrix to the vocabulary with a bias. This last
      matrix is *tied*: it is the table of the vocabulary itself.

    A LayerNorm holds 2 · `hidden` numbers. Each number that exists once counts once.

    `model_parameters(1, 2, 3, 5, 4)` gives `90`.
    """
    embeddings = (vocabulary + positions + 2) * hidden + 2 * hidden
    attention = 4 * (hidden * hidden + hidden)
    feed_forward = hidden * ffn + ffn + ffn * hidden + hidden
    layer = attention + feed_forward + 2 * 2 * hidden
    head = hidden * hidden + hidden + 2 * hidden + vocabulary
    return embeddings + layers * layer + head


@shelf.exercise(
    title="The arithmetic of a layer",
    difficulty=2,
    minutes=10,
    use="the first estimate of any speed-up, and of any bill",
    cases=lambda: [(1, 1, 1), (2, 3, 5), (8, 32, 16), (256, 1024, 128), (768, 3072, 512)],
    hints=(
        "A product with a matrix of a × b numbers costs a token 2ab operations. Which products are there in a layer?",
        "Four projections, two matrices of the FFN. And in attention: the scores with `length` tokens, "
        "then the mixing of their"
        " values, 2 · length · hidden operations each.",
    ),
    remark="Attention has two products that no parameter stands for: they grow with the length of the text.",
    slips=[
        ("A multiplication and an addition are two operations.", lambda h, f, n: layer_work(h, f, n) / 2),
        (
            "The comparison with all tokens is missing, and the mixing of their values.",
            lambda h, f, n: layer_work(h, f, n) - 4 * n * h,
        ),
        (
            "Scores *and* mixing go over all tokens: you count one of the two.",
            lambda h, f, n: layer_work(h, f, n) - 2 * n * h,
        ),
        ("Attention has four projections: the output is one of them.", lambda h, f, n: layer_work(h, f, n) - 2 * h * h),
        ("The FFN has two matrices, up and down.", lambda h, f, n: layer_work(h, f, n) - 2 * h * f),
        ("One token is asked for. This is the whole text.", lambda h, f, n: layer_work(h, f, n) * n),
    ],
    helpers=("minirbt_helpers.training.costs.operations",),
)
def layer_work(hidden: int, ffn: int, length: int) -> int:
    """Write `layer_work`: how many operations does one BERT layer need for **one token** in a text of `length`
    tokens? Count multiplications and additions of the products only: four projections (query, key, value, output)
    from `hidden` to `hidden` numbers, the inner products of the token's query with all `length` keys, the weighted
    sum of all `length` values, and the two matrices of the FFN. All heads together are `hidden` wide.

    `layer_work(2, 3, 5)` gives `96`.
    """
    projections = 4 * 2 * hidden * hidden
    scores_and_mixing = 2 * 2 * length * hidden
    feed_forward = 2 * 2 * hidden * ffn
    return projections + scores_and_mixing + feed_forward


@shelf.exercise(
    title="What a constant part costs",
    difficulty=1,
    minutes=6,
    use="to see why half the layers do not halve the time",
    cases=lambda: [(0.0, 2.0), (0.5, 2.0), (0.18, 2.0), (0.18, 4.0), (0.05, 18.0), (1.0, 10.0)],
    hints=(
        "Say that the large model takes 1 second. How long does the small one take?",
        "The constant part stays as it is, the rest is divided by the factor. The speed-up is 1 by this time.",
    ),
    remark="Times add up, speed-ups do not: a mean of 1 and the factor promises too much.",
    slips=[
        ("Speed-ups do not add up, times do. You average the speed-ups.", lambda c, r: c + (1 - c) * r),
        ("This is the time. The speed-up is its inverse.", lambda c, r: c + (1 - c) / r),
        ("You exchange the part that shrinks with the part that does not.", lambda c, r: 1 / ((1 - c) + c / r)),
        ("The constant part is missing in the time.", lambda c, r: r / (1 - c)),
        ("The rest is the whole without the constant part.", lambda c, r: 1 / (c + 1 / r)),
        ("The constant part does not shrink.", lambda c, r: r),
    ],
)
def whole_speed_up(constant: float, factor: float) -> float:
    """A model spends the share `constant` of its time on things that no smaller model saves. All the rest becomes
    `factor` times as fast in the smaller model. The share is from 0 to 1, both included. Write `whole_speed_up`: how
    many times as fast is the smaller model in all?

    `whole_speed_up(0.5, 2.0)` gives `1.333…`.
    """
    return 1 / (constant + (1 - constant) / factor)


@shelf.exercise(
    title="Kept above the floor",
    difficulty=2,
    minutes=10,
    use="an honest “per cent of the teacher”",
    cases=lambda: [
        ({"TNEWS": 50.0}, {"TNEWS": 60.0}, {"TNEWS": 40.0}),
        ({"TNEWS": 38.0}, {"TNEWS": 60.0}, {"TNEWS": 40.0}),
        ({"TNEWS": 54.0, "OCNLI": 60.0}, {"TNEWS": 58.0, "OCNLI": 80.0}, {"TNEWS": 50.0, "OCNLI": 40.0}),
        ({"TNEWS": 54.0, "BQ": 70.0}, {"TNEWS": 58.0, "BQ": 68.0}, {"TNEWS": 50.0, "BQ": 69.0}),
        ({"TNEWS": 54.0, "BQ": 70.0}, {"TNEWS": 58.0, "BQ": 69.0}, {"TNEWS": 50.0, "BQ": 69.0}),
        (
            {"TNEWS": 54.5, "OCNLI": 68.7, "DRCD": 86.8, "BQ": 60.0},
            {"TNEWS": 57.7, "OCNLI": 76.6, "DRCD": 94.4, "BQ": 59.0},
            {"TNEWS": 56.9, "OCNLI": 37.0, "DRCD": 16.4, "BQ": 62.0},
        ),
    ],
    hints=(
        "What does the student have above the floor, and what does its teacher have? Of which tasks can "
        "that be said at all?",
        "Per task (score − floor) / (teacher − floor), only where the teacher is above the floor. Then the mean.",
    ),
    remark=(
        "A teacher at or below the floor has nothing to keep: the ratio would be a division by 0, or the sign "
        "would be wrong."
    ),
    slips=[
        (
            "The floor is missing in the ratio: a rule without a network keeps much of it, too.",
            lambda s, t, f: fmean(s[one] / t[one] for one in t if t[one] > f[one]),
        ),
        (
            "The floor has to be subtracted from the teacher's score as well.",
            lambda s, t, f: fmean((s[one] - f[one]) / t[one] for one in t if t[one] > f[one]),
        ),
        (
            "Form one ratio for every task first. You divide two sums.",
            lambda s, t, f: (
                sum(s[one] - f[one] for one in t if t[one] > f[one])
                / sum(t[one] - f[one] for one in t if t[one] > f[one])
            ),
        ),
        (
            "A student below the floor keeps less than nothing: the number may be negative.",
            lambda s, t, f: fmean(max(0.0, (s[one] - f[one]) / (t[one] - f[one])) for one in t if t[one] > f[one]),
        ),
        (
            "You divide the other way round.",
            lambda s, t, f: fmean((t[one] - f[one]) / (s[one] - f[one]) for one in t if t[one] > f[one]),
        ),
        (
            "Divide by the number of the tasks that count, and not by that of all.",
            lambda s, t, f: above_floor(s, t, f) * sum(t[one] > f[one] for one in t) / len(t),
        ),
        ("A share is asked for, and you return per cent.", lambda s, t, f: 100 * above_floor(s, t, f)),
    ],
    signs=[
        (
            "Where the teacher is not above the floor, there is nothing to keep. Leave such a task out.",
            lambda answer, s, t, f: any(t[one] <= f[one] for one in t),
        ),
    ],
    raises={
        "ZeroDivisionError": "Where the teacher is not above the floor, there is nothing to keep: no ratio exists."
    },
)
def above_floor(
    scores: dict[str, float],
    teacher: dict[str, float],
    floors: dict[str, float],
) -> float:
    """`scores` and `teacher` hold the scores of a student and its teacher by task, `floors` what a rule without a
    network reaches on each. Write `above_floor`: what share of the teacher's gain *above the floor* does the student
    have, on average over the tasks? Tasks on which the teacher is not above the floor are left out. 1.0 means as much
    as the teacher, 0 means no more than the rule.

    `above_floor({"A": 50.0, "B": 30.0}, {"A": 60.0, "B": 20.0}, {"A": 40.0, "B": 25.0})` gives `0.5`.
    """
    kept = []
    for task, best in teacher.items():
        if best > floors[task]:
            kept.append((scores[task] - floors[task]) / (best - floors[task]))
    return fmean(kept)


def _in_steps(weights, scale, rounding=torch.round):
    return rounding(weights / scale) * scale


def _scale(weights, steps=127):
    return weights.abs().amax(1, keepdim=True).clamp(min=1e-12) / steps


@shelf.exercise(
    title="Eight bits per number",
    difficulty=2,
    minutes=12,
    use="a quarter of the size, with nearly the same answers",
    cases=lambda: [
        (torch.tensor([[1.27, 0.5, -0.304]]),),
        (torch.tensor([[0.0, 0.0], [1.0, -0.3]]),),
        (torch.tensor([[1.27, -0.016, 0.5], [0.0127, 0.005, -0.0024]]),),
        (normal(1, 3, 5),),
        (normal(2, 4, 6) * torch.tensor([[1.0], [10.0], [0.1], [3.0]]),),
    ],
    hints=(
        "Find for each row the step between two neighbouring whole numbers. Its largest number must become ±127.",
        "`step = weights.abs().amax(1, keepdim=True) / 127`. Divide, round, multiply. A row of zeros has the step 0.",
    ),
    remark="A row of zeros has the step 0, and 0/0 is nan. One step for the whole table wastes the small rows.",
    slips=[
        (
            "Each row has a step of its own. You take one for the whole table.",
            lambda w: _in_steps(w, w.abs().max() / 127),
        ),
        (
            "Each row has a step of its own. You take one per column.",
            lambda w: _in_steps(w, w.abs().amax(0, keepdim=True).clamp(min=1e-12) / 127),
        ),
        ("Round to the nearest whole number. You cut the rest off.", lambda w: _in_steps(w, _scale(w), torch.trunc)),
        ("Round to the nearest whole number. You round down.", lambda w: _in_steps(w, _scale(w), torch.floor)),
        ("The largest number becomes ±127, not ±128.", lambda w: _in_steps(w, _scale(w, 128))),
        ("The largest number becomes ±127, not ±255.", lambda w: _in_steps(w, _scale(w, 255))),
        (
            "These are the whole numbers. Multiply by the step again.",
            lambda w: (w / _scale(w)).round(),
        ),
        ("Nothing is rounded.", lambda w: w.clone()),
        (
            "The number of the largest *size* decides, and that number may be negative.",
            lambda w: _in_steps(w, w.amax(1, keepdim=True).clamp(min=1e-12) / 127),
        ),
    ],
    signs=[
        (
            "A row of zeros makes 0/0. It must come out as zeros.",
            lambda answer, w: bool((w == 0).all(1).any()),
        ),
    ],
    helpers=("quantize_per_channel", "fake_quantize_per_channel_affine"),
    tolerance=1e-5,
)
def eight_bits(weights: Tensor) -> Tensor:
    """With eight bits a number is one of −127 to 127, times a step. Write `eight_bits`: what becomes of a matrix
    `weights` [rows, columns] if every row has its own step, such that its number of the largest size becomes 127 or
    −127, and all are rounded to the nearest whole number of steps. Return the numbers after the rounding, in their
    old size. A row of zeros stays a row of zeros.

    `eight_bits(tensor([[1.27, 0.504]]))` gives `tensor([[1.27, 0.5]])`.
    """
    step = weights.abs().amax(1, keepdim=True) / 127  # [rows, 1]
    step = torch.where(step > 0, step, torch.ones_like(step))
    return (weights / step).round() * step


shelf.question(
    "half_the_layers_time",
    "18% of a model's time passes outside its layers. Half of the layers are left out. How many times as fast is it?",
    1 / (0.18 + 0.82 / 2),
    "0.18 + 0.82/2 = 0.59 of the time is left, and 1/0.59 is about 1.7, as published for RBT6.",
    tolerance=0.02,
)
shelf.question(
    "short_and_alone",
    "In the stored benchmark the speed-up of MiniRBT-H256 is smaller when the text is short and alone. Why?",
    "Every operator costs something before it computes anything",
    "Half as many operators halve that cost, while the arithmetic falls to a seventeenth. The shorter the text, "
    "the more it weighs.",
    wrong={
        "Short texts have more padding": "A text alone needs no padding.",
        "The teacher is better at short texts": "Speed does not depend on what the model knows.",
    },
)
shelf.question(
    "same_accuracy_int8",
    "A model in eight bits has the same dev accuracy as before. Are the two the same?",
    "No: as many rows may have turned to wrong as to right",
    "Compare the answers row by row. And 150 rows cannot show a loss of half a point.",
    wrong={
        "Yes: equal accuracy means equal answers": "Equal numbers of right answers can be different answers.",
        "No: eight bits always lose accuracy": "They need not: rounding can turn a wrong answer into a right one, too.",
    },
)
