"""Exercises of notebook 00: what a model offers for a gap, how often it is right, how much faster it is."""

from statistics import fmean, median

import torch

from .exercise import Shelf

shelf = Shelf("00_tour", "The tour")


@shelf.exercise(
    title="What a model offers for a gap",
    difficulty=1,
    minutes=8,
    use="every cloze test, every search box that completes words",
    cases=lambda: [
        ([0.0, 1.0], ["好", "天"], 1),
        ([2.0, 0.0, 1.0], ["天", "好", "很"], 2),
        ([-1.0, -3.0, -2.0, -1.5], ["水", "酒", "药", "点"], 3),
        ([5.0, 0.5, 4.0, 1.0, 3.0], ["净", "燥", "了", "的", "脆"], 5),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], ["气", "天", "火", "车", "水", "书"], 2),
    ],
    hints=(
        "Softmax first, over the whole vocabulary. Choose afterwards.",
        "`torch.tensor(logits).softmax(-1)` makes the probabilities, and `topk(top)` finds the best with their places.",
    ),
    remark="Softmax over the chosen few alone makes their probabilities too large: they would add up to 1.",
    slips=[
        (
            "These are the bare numbers of the model. Turn all of them into probabilities first.",
            lambda logits, names, top: [(name, logits[names.index(name)]) for name, _ in fill_gap(logits, names, top)],
        ),
        (
            "Your probabilities add up to 1 among the chosen few. They are shares of the whole vocabulary.",
            lambda logits, names, top: [
                (name, share / sum(other for _, other in fill_gap(logits, names, top)))
                for name, share in fill_gap(logits, names, top)
            ],
        ),
        (
            "The likeliest stands first.",
            lambda logits, names, top: fill_gap(logits, names, top)[::-1],
        ),
        (
            "You list the least likely ones.",
            lambda logits, names, top: fill_gap(logits, names, len(names))[::-1][:top],
        ),
        (
            "There is one entry too many: exactly `top` are asked for.",
            lambda logits, names, top: fill_gap(logits, names, min(top + 1, len(names))),
        ),
        (
            "The exponentials still have to be divided by the sum of all of them.",
            lambda logits, names, top: [
                (name, float(torch.tensor(logits[names.index(name)]).exp())) for name, _ in fill_gap(logits, names, top)
            ],
        ),
    ],
    helpers=("minirbt_helpers.insight.measured.guesses.mask_guesses",),
)
def fill_gap(logits: list[float], names: list[str], top: int) -> list[tuple[str, float]]:
    """At a gap a model gives one number for every entry of its vocabulary, a *logit*. Write `fill_gap`: turn the
    logits into probabilities with softmax, and return the `top` likeliest entries, the likeliest first.

    - `logits[i]` belongs to the token `names[i]`, and `top` is at most the number of names.
    - Each entry of the result is a pair: the token and its probability.

    `fill_gap([0.0, 1.0], ["好", "天"], 1)` gives `[("天", 0.731…)]` (好 *hǎo* “good”, 天 *tiān* “sky”).
    """
    shares = torch.tensor(logits).softmax(-1)  # [vocabulary]
    best = shares.topk(top)
    return [(names[place], float(shares[place])) for place in best.indices]


@shelf.exercise(
    title="How often is it right?",
    difficulty=1,
    minutes=5,
    use="the score of every model that offers a list of guesses",
    cases=lambda: [
        (["天"], [["天", "好"]], 1),
        (["好"], [["天", "好", "很"]], 1),
        (["很"], [["天", "好", "很"]], 1),
        (["好", "水"], [["天", "好"], ["水", "酒"]], 2),
        (["净", "书", "水"], [["燥", "了", "净"], ["书", "报", "的"], ["酒", "药", "了"]], 2),
        (["净", "书", "水"], [["燥", "了", "净"], ["书", "报", "的"], ["酒", "药", "了"]], 3),
        (["车", "气", "书", "水"], [["车", "票"], ["火", "气"], ["报", "书"], ["酒", "药"]], 1),
    ],
    hints=(
        "Ask one question for every gap: is the right token among the first guesses? Then take the share of yes.",
        "`guesses[gap][:top]` are the guesses that count. A sum of True and False counts the True ones.",
    ),
    remark="The share is over gaps and not over guesses: with five guesses per gap 100% must still be possible.",
    slips=[
        (
            "You look at all guesses. Only the first `top` count.",
            lambda answers, guesses, top: right_among(answers, guesses, 99),
        ),
        (
            "You look at the first guess alone.",
            lambda answers, guesses, top: right_among(answers, guesses, 1),
        ),
        (
            "You look at one guess too many.",
            lambda answers, guesses, top: right_among(answers, guesses, top + 1),
        ),
        (
            "You look at one guess too few.",
            lambda answers, guesses, top: right_among(answers, guesses, top - 1),
        ),
        (
            "Divide by the number of gaps. You divide by the number of guesses.",
            lambda answers, guesses, top: right_among(answers, guesses, top) / top,
        ),
        (
            "A share of all gaps is asked for, and you return a count.",
            lambda answers, guesses, top: len(answers) * right_among(answers, guesses, top),
        ),
    ],
)
def right_among(answers: list[str], guesses: list[list[str]], top: int) -> float:
    """A model was asked to fill several gaps. `answers[i]` is the token that belongs into gap i, `guesses[i]` is the
    model's list of guesses for it, the best first. Write `right_among`: the share of the gaps (from 0 to 1) whose
    right token is among the first `top` guesses.

    `right_among(["a", "b"], [["a", "c"], ["c", "b"]], 1)` gives `0.5`.
    """
    right = [answer in found[:top] for answer, found in zip(answers, guesses, strict=True)]
    return sum(right) / len(right)


@shelf.exercise(
    title="How many times as fast?",
    difficulty=1,
    minutes=8,
    use="a comparison of speeds on a machine that does other things as well",
    cases=lambda: [
        ([2.0], [1.0]),
        ([3.0, 8.0, 3.0], [1.0, 2.0, 2.0]),
        ([1.0, 1.0, 9.0], [0.5, 0.25, 1.0]),
        ([4.0, 6.0, 5.0, 30.0], [1.0, 2.0, 1.0, 10.0]),
        ([0.3, 0.4, 0.2, 0.9, 0.3], [0.1, 0.1, 0.1, 0.1, 0.2]),
    ],
    hints=(
        "The two models took turns, so a busy moment of the machine slows both of one round. Compare within the round.",
        "One ratio per round, slow by fast. Then the median of these ratios: `statistics.median`.",
    ),
    remark="A mean lets one disturbed round decide. The fastest reading of each model may come from different rounds.",
    slips=[
        (
            "You divide the other way round.",
            lambda slow, fast: times_faster(fast, slow),
        ),
        (
            "You take the mean of the ratios: one disturbed round moves it. Take the median.",
            lambda slow, fast: fmean(one / other for one, other in zip(slow, fast, strict=True)),
        ),
        (
            "You compare two sums or two means. Form one ratio in every round first.",
            lambda slow, fast: sum(slow) / sum(fast),
        ),
        (
            "You compare the best readings of different rounds. Form one ratio in every round first.",
            lambda slow, fast: min(slow) / min(fast),
        ),
        (
            "You divide two medians. Form one ratio in every round first.",
            lambda slow, fast: median(slow) / median(fast),
        ),
        (
            "The median of an even number of values lies between the two in the middle.",
            lambda slow, fast: sorted(one / other for one, other in zip(slow, fast, strict=True))[len(slow) // 2],
        ),
        (
            "The median of an even number of values lies between the two in the middle.",
            lambda slow, fast: sorted(one / other for one, other in zip(slow, fast, strict=True))[(len(slow) - 1) // 2],
        ),
        (
            "The ratios have to be sorted before you take the one in the middle.",
            lambda slow, fast: [one / other for one, other in zip(slow, fast, strict=True)][len(slow) // 2],
        ),
    ],
)
def times_faster(slow: list[float], fast: list[float]) -> float:
    """Two models read the same texts in turns. In round i the large one took `slow[i]` seconds and the small one
    `fast[i]`. Other programs disturb some of the rounds. Write `times_faster`: how many times as fast is the small
    model? Form the ratio within each round, and return the median of the ratios.

    `times_faster([3.0, 8.0, 3.0], [1.0, 2.0, 2.0])` gives `3.0`.
    """
    return median(one / other for one, other in zip(slow, fast, strict=True))


@shelf.exercise(
    title="What a student keeps",
    difficulty=1,
    minutes=8,
    use="the column “per cent of the teacher” of every table of small models",
    cases=lambda: [
        ({"TNEWS": 50.0}, {"TNEWS": 60.0}),
        ({"TNEWS": 54.0, "OCNLI": 66.0}, {"TNEWS": 60.0, "OCNLI": 88.0}),
        ({"OCNLI": 60.0}, {"TNEWS": 57.0, "OCNLI": 75.0}),
        ({"TNEWS": 54.0, "OCNLI": 68.0, "DRCD": 20.0}, {"TNEWS": 57.0, "OCNLI": 76.0, "LCQMC": 89.0, "DRCD": 94.0}),
        ({"TNEWS": 54.0, "CMRC": 78.0, "BQ": 83.0}, {"TNEWS": 57.0, "CMRC": 87.0}),
    ],
    hints=(
        "One ratio per task first. Which tasks can you form a ratio of?",
        "Go through the tasks that are in both dicts, `scores.keys() & teacher.keys()`, and take the mean of "
        "the ratios.",
    ),
    remark=(
        "A ratio of two means lets tasks with high scores weigh more. And mind that a rule without a network keeps "
        "much, too."
    ),
    slips=[
        (
            "You divide one mean by another. Form one ratio for every task first.",
            lambda scores, teacher: (
                sum(scores[task] for task in scores.keys() & teacher.keys())
                / sum(teacher[task] for task in scores.keys() & teacher.keys())
            ),
        ),
        (
            "You divide the other way round.",
            lambda scores, teacher: share_kept(
                {task: teacher[task] for task in scores.keys() & teacher.keys()}, scores
            ),
        ),
        (
            "A share is asked for, 1 for a student as good as the teacher. You return per cent.",
            lambda scores, teacher: 100 * share_kept(scores, teacher),
        ),
        (
            "You count a task that the student was not measured on as 0. Leave it out.",
            lambda scores, teacher: share_kept(scores, teacher) * len(scores.keys() & teacher.keys()) / len(teacher),
        ),
        (
            "You divide by the number of the student's tasks. Some of them the teacher does not have.",
            lambda scores, teacher: share_kept(scores, teacher) * len(scores.keys() & teacher.keys()) / len(scores),
        ),
        (
            "You return the worst task. The mean over the tasks is asked for.",
            lambda scores, teacher: min(scores[task] / teacher[task] for task in scores.keys() & teacher.keys()),
        ),
    ],
    raises={"KeyError": "Some tasks are in one of the two dicts only. Take those that are in both."},
    helpers=("minirbt_helpers.insight.measured.scores.kept_shares",),
)
def share_kept(scores: dict[str, float], teacher: dict[str, float]) -> float:
    """`scores` holds a student's score by task, `teacher` its teacher's. Write `share_kept`: on average over the
    tasks that **both** were measured on, what share of the teacher's score does the student have? 1.0 means as good
    as the teacher. There is at least one such task.

    `share_kept({"A": 45.0, "B": 80.0}, {"A": 50.0, "C": 70.0})` gives `0.9`.
    """
    both = scores.keys() & teacher.keys()
    return fmean(scores[task] / teacher[task] for task in both)


shelf.question(
    "narrow_layer",
    "A layer becomes a third as wide, and its FFN as well. How much is left of its matrices, in per cent?",
    100 / 9,
    "A matrix has width times width numbers, and a third of a third is a ninth, 11.1%.",
    tolerance=0.02,
)
shelf.question(
    "where_parameters_are",
    "More than half of the parameters of MiniRBT-H256 are embeddings. Why is it so much less in the teacher?",
    "The layers grow with the square of the width, the embedding table only with the width",
    "From 768 to 256 the table shrinks to a third, and the layers to a ninth. So the table's share grows.",
    wrong={
        "The teacher has a smaller vocabulary": "Both have the same 21,128 entries.",
        "The teacher has twice as many layers": "That explains a factor of two only, and there is more.",
    },
)
shelf.question(
    "two_gaps",
    "A model fills 我们去[MASK][MASK]。 (wǒmen qù …, “we go to …”). Can its two best characters fail to make a word?",
    "Yes: it fills both gaps at once, and neither knows what the other became",
    "Each gap has its own probabilities, and nothing chooses the two together.",
    wrong={
        "No: it was trained on whole words": "Training hides whole words, but the model still answers gap by gap.",
        "No: it fills the gaps from left to right": "A masked language model fills all gaps in one pass.",
    },
)
