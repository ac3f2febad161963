"""Exercises of notebook 05: floors, intervals, leaks, answers from two scores, and the distance to a teacher."""

from collections import Counter
from itertools import takewhile
from math import log, sqrt
from statistics import fmean, pstdev, stdev, variance

import torch
from torch import Tensor

from .exercise import Shelf

shelf = Shelf("05_finetuning", "Fine-tuning")


@shelf.exercise(
    title="The majority floor",
    difficulty=1,
    minutes=5,
    use="the first line of every table of scores",
    cases=lambda: [
        ([1, 1, 0], [1]),
        ([1, 1, 0], [0]),
        ([0, 0, 0, 1, 1], [1, 1, 1, 0]),
        ([2, 2, 0, 1, 2, 1], [0, 1, 2, 2]),
        ([3, 3, 3, 1, 1, 0], [1, 1, 1, 1, 3]),
        ([1, 0, 0], [1, 1, 1]),
    ],
    hints=(
        "Where is the label chosen, and where is the score taken?",
        "`Counter(train).most_common(1)[0][0]` is the label. Its share in `dev` is the floor.",
    ),
    remark=(
        "The majority class of the dev rows themselves is not known to a model that has learned from the train rows."
    ),
    slips=[
        (
            "You choose the label on the dev rows. That is peeking: choose it on the train rows.",
            lambda train, dev: max(map(dev.count, dev)) / len(dev),
        ),
        ("You measure on the train rows.", lambda train, dev: max(map(train.count, train)) / len(train)),
        (
            "This would be chance among the labels. The most frequent label of the train rows is given always.",
            lambda train, dev: 1 / len(set(train)),
        ),
        ("A share is asked for, and you return a count.", lambda train, dev: majority_floor(train, dev) * len(dev)),
        ("You give the rarest label.", lambda train, dev: dev.count(min(train, key=train.count)) / len(dev)),
        ("You return the label itself.", lambda train, dev: max(train, key=train.count)),
    ],
    helpers=("minirbt_helpers.tasks.floors._favourite",),
)
def majority_floor(train: list[int], dev: list[int]) -> float:
    """`train` and `dev` are the labels of a task's two files. A model without a thought gives every dev row the label
    that is most frequent in the train rows. Write `majority_floor`: the share of dev rows on which it is right.

    `majority_floor([1, 1, 0], [0, 1, 0, 0])` gives `0.25`.
    """
    label = Counter(train).most_common(1)[0][0]
    return dev.count(label) / len(dev)


@shelf.exercise(
    title="A difference and its interval",
    difficulty=2,
    minutes=12,
    use="the rule that decides in this course what counts as a result",
    cases=lambda: [
        ([0.5, 0.5], [0.4, 0.2], 1.0),
        ([0.5, 0.7], [0.4, 0.5], 12.71),
        ([0.3, 0.5, 0.4], [0.2, 0.4, 0.31], 4.303),
        ([0.31, 0.37, 0.28], [0.17, 0.18, 0.14], 4.303),
        ([0.71, 0.69, 0.74, 0.72], [0.73, 0.68, 0.77, 0.75], 3.182),
    ],
    hints=(
        "Both runs of a pair have the same seed. What scatters from pair to pair?",
        "Take the differences seed by seed: `one - other`. Their mean is the first number. The second one is `factor`"
        " times their `stdev`, divided by the square root of their number.",
    ),
    remark="The error belongs to the differences. What moves both scores of a pair alike does not count.",
    slips=[
        (
            "The sign is wrong: `ours` less `theirs`.",
            lambda *given: (-paired_interval(*given)[0], paired_interval(*given)[1]),
        ),
        ("The factor is missing.", lambda ours, theirs, factor: paired_interval(ours, theirs, 1.0)),
        (
            "You divide by n in the variance. Of a sample it is n − 1 (`statistics.stdev`).",
            lambda ours, theirs, factor: _interval(ours, theirs, factor, pstdev),
        ),
        (
            "This is the scatter of single differences. The error of their mean is smaller by √n.",
            lambda ours, theirs, factor: paired_interval(ours, theirs, factor * sqrt(len(ours))),
        ),
        (
            "Divide by the square root of the number of seeds, not by the number.",
            lambda ours, theirs, factor: paired_interval(ours, theirs, factor / sqrt(len(ours))),
        ),
        (
            "The runs are pairs: take the error of the differences, not that of each side.",
            lambda ours, theirs, factor: (
                fmean(ours) - fmean(theirs),
                factor * sqrt((variance(ours) + variance(theirs)) / len(ours)),
            ),
        ),
    ],
    helpers=("minirbt_helpers.verdict.compare",),
)
def paired_interval(ours: list[float], theirs: list[float], factor: float) -> tuple[float, float]:
    """`ours` and `theirs` are the scores of two models, seed by seed: the first of each list have the same seed. Write
    `paired_interval`: the mean of the differences `ours` − `theirs`, and half the width of its interval. The half
    width is `factor` times the standard error of the mean difference, which is the standard deviation of the
    differences (with n − 1) divided by √n. If the half width is smaller than the absolute value of the mean
    difference, the difference is a result. `factor` is Student's t, 4.303 with three seeds. The example's 2.0 is made
    up.

    `paired_interval([0.5, 0.7], [0.4, 0.4], 2.0)` gives `(0.2, 0.2)`.
    """
    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    return fmean(differences), factor * stdev(differences) / sqrt(len(differences))


def _interval(ours, theirs, factor, spread):
    """The interval with another measure of spread."""
    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    return fmean(differences), factor * spread(differences) / sqrt(len(differences))


@shelf.exercise(
    title="What a leak adds",
    difficulty=1,
    minutes=8,
    use="whoever reads a table of scores on public files",
    cases=lambda: [
        ([True, False], ["好", "差"], ["好"]),
        ([True, True, False], ["好", "差", "坏"], ["新"]),
        ([True, False, True, False], ["好", "差", "坏", "新"], ["坏", "好", "好"]),
        ([False, True, True], ["好", "差", "很差"], ["好"]),
        ([True, False, False, True], ["好", "差", "坏", "新"], ["很好", "好书", "差"]),
        ([True, True, False, True, False, False], ["甲", "乙", "丙", "丁", "戊", "己"], ["甲", "丁", "己", "庚"]),
        ([True, False, True, False], ["好", "好", "差", "坏"], ["坏"]),
    ],
    hints=(
        "Two accuracies: one over all dev rows, and one over some of them. Which ones are new?",
        "`new = [one for one, text in zip(right, dev) if text not in set(train)]`. Take the mean of `right`, less the"
        " mean of `new`.",
    ),
    remark="The text must be the same as a whole: 好 is not leaked because 很好 stands in train.",
    slips=[
        (
            "A text that stands twice in `dev` is two rows, each with its own answer.",
            lambda right, dev, train: fmean(right) - fmean(right[dev.index(text)] for text in set(dev) - set(train)),
        ),
        (
            "The sign is wrong: the score on all rows, less the score on the new ones.",
            lambda *given: -leak_gain(*given),
        ),
        (
            "This is the score on the new rows. How much higher is the score on all rows?",
            lambda right, dev, train: fmean(_new(right, dev, train)),
        ),
        (
            "You compare the leaked rows with the new ones. A report gives the score on *all* rows.",
            lambda right, dev, train: (
                fmean(_new(right, dev, train, leaked=True) or [0]) - fmean(_new(right, dev, train))
            ),
        ),
        (
            "You subtract the score on the leaked rows. Subtract that on the new ones.",
            lambda right, dev, train: fmean(right) - fmean(_new(right, dev, train, leaked=True) or [0]),
        ),
        (
            "Divide the right answers among the new rows by the number of the *new* rows.",
            lambda right, dev, train: fmean(right) - sum(_new(right, dev, train)) / len(dev),
        ),
        (
            "A dev text is leaked if it is a train text. You look for it inside longer ones, too.",
            lambda right, dev, train: (
                fmean(right)
                - fmean([one for one, text in zip(right, dev, strict=True) if text not in "\n".join(train)] or [0])
            ),
        ),
        (
            "Shares are asked for, and you return counts.",
            lambda right, dev, train: sum(right) - sum(_new(right, dev, train)),
        ),
    ],
    helpers=("minirbt_helpers.tasks.overlaps.overlap",),
)
def leak_gain(right: list[bool], dev: list[str], train: list[str]) -> float:
    """`dev` and `train` are the texts of two files, and `right` says for each dev text whether a model labels it
    right. Some dev texts may stand in `train`, too. Write `leak_gain`: the accuracy on all dev rows, less the accuracy
    on those whose text is not in `train`. At least one dev text is new.

    `leak_gain([True, True, False], ["a", "b", "c"], ["a", "d"])` gives `0.1666…`.
    """
    known = set(train)
    new = [one for one, text in zip(right, dev, strict=True) if text not in known]
    return fmean(right) - fmean(new)


def _new(right, dev, train, leaked=False):
    """What a model has right among the new rows, or among the leaked ones."""
    return [one for one, text in zip(right, dev, strict=True) if (text in train) == leaked]


def _spans(starts, ends, first, longest, reach=0, ordered=True):
    """The best span under other rules."""
    size = len(starts)
    pairs = [(begin, end) for begin in range(first, size) for end in range(first, size)]
    pairs = [(b, e) for b, e in pairs if (not ordered or b <= e) and e - b < longest + reach]
    return max(pairs, key=lambda pair: starts[pair[0]] + ends[pair[1]])


@shelf.exercise(
    title="An answer from two scores",
    difficulty=2,
    minutes=12,
    use="every reader that answers with a stretch of its text",
    cases=lambda: [
        ([0.0, 1.0], [0.0, 1.0], 1, 5),
        ([9.0, 1.0, 0.0], [9.0, 0.0, 2.0], 1, 5),
        ([0.0, 0.5, 3.0], [0.0, 4.0, 0.0], 0, 5),
        ([0.0, 5.0, 1.0, 0.0, 2.5], [0.0, 0.0, 1.0, 0.0, 4.0], 1, 2),
        ([0.0, 5.0, 1.0, 0.0, 2.5], [0.0, 0.0, 1.0, 0.0, 4.0], 1, 4),
        ([6.0, 0.2, 2.0, 1.5, 0.1, 0.3], [7.0, 0.0, 0.4, 0.2, 1.0, 2.2], 2, 3),
        ([6.0, 0.2, 2.0, 1.5, 0.1, 0.3], [0.0, 0.1, 0.4, 9.0, 1.0, 2.2], 2, 1),
    ],
    hints=(
        "The best begin and the best end need not make a span. Compare pairs: which pairs are allowed?",
        "Two loops: `begin` from `first` to the end of the list, `end` from `begin` on, at most `longest` "
        "tokens. Keep the"
        " pair with the largest sum of the two scores.",
    ),
    remark="A span from `begin` to `end` has end − begin + 1 tokens. And tokens before `first` belong to the question.",
    slips=[
        (
            "You take the best begin and the best end, each for itself. The best *pair* is asked for.",
            lambda starts, ends, first, longest: (
                max(range(first, len(starts)), key=lambda place: starts[place]),
                max(range(first, len(ends)), key=lambda place: ends[place]),
            ),
        ),
        (
            "A span must not end before it begins.",
            lambda starts, ends, first, longest: _spans(starts, ends, first, longest, ordered=False),
        ),
        (
            "The limit of the length is missing.",
            lambda starts, ends, first, longest: best_span(starts, ends, first, 99),
        ),
        (
            "Both ends are included: `end` is the last token of the answer, and not the one after it.",
            lambda *given: (best_span(*given)[0], best_span(*given)[1] + 1),
        ),
        ("Your spans may be one token too long.", lambda *given: _spans(*given, reach=1)),
        (
            "The tokens before `first` are no part of the passage.",
            lambda starts, ends, first, longest: best_span(starts, ends, 0, longest),
        ),
        (
            "The tokens are counted from the beginning of the lists. You count from `first`.",
            lambda starts, ends, first, longest: tuple(
                place - first for place in best_span(starts, ends, first, longest)
            ),
        ),
    ],
    helpers=("minirbt_helpers.tasks.answering.best_answers",),
)
def best_span(starts: list[float], ends: list[float], first: int, longest: int) -> tuple[int, int]:
    """For every token of question and passage a model says how well an answer could begin there (`starts`) and how
    well it could end there (`ends`). The passage begins at token `first`. Write `best_span`: the pair (begin, end),
    both included, with the largest sum of `starts[begin]` and `ends[end]`. Allowed are spans inside the passage that
    have at least 1 and at most `longest` tokens.

    `best_span([0.0, 1.0, 3.0], [9.0, 4.0, 1.0], 1, 2)` gives `(1, 1)`.
    """
    best, size = None, len(starts)
    for begin in range(first, size):
        for end in range(begin, min(begin + longest, size)):
            score = starts[begin] + ends[end]
            if best is None or score > best[0]:
                best = score, begin, end
    return best[1:]


def _run(one, other):
    """Length of the longest run in common."""
    best = 0
    for first in range(len(one)):
        for second in range(len(other)):
            pairs = zip(one[first:], other[second:], strict=False)
            best = max(best, len([*takewhile(lambda pair: pair[0] == pair[1], pairs)]))
    return best


def _f1(common, one, other):
    return 2 * common / (len(one) + len(other))


def _in_order(one, other):
    """Length of the longest sequence in common, gaps allowed."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + _in_order(one[1:], other[1:])
    return max(_in_order(one[1:], other), _in_order(one, other[1:]))


@shelf.exercise(
    title="F1 of an answer in Chinese",
    difficulty=2,
    minutes=15,
    use="the score of CMRC 2018 and DRCD",
    cases=lambda: [
        (list("书店"), list("书店")),
        (list("书店"), list("北京")),
        (list("书"), list("书店")),
        (list("在书店"), list("书店")),
        (list("店书"), list("书店")),
        (list("书好店"), list("书店")),
        (["1997", "年", "8", "月"], ["8", "月"]),
        (list("在一家书店工作"), list("一家小书店")),
        (["1997", "年"], ["1997", "月"]),
    ],
    hints=(
        "First find the longest run of tokens that stands in both lists. Then precision, recall, F1.",
        "Compare every pair of places: the run that ends at (i, j) is one longer than the one that ends at "
        "(i − 1, j − 1), if"
        " the two tokens are equal. With c tokens in common, F1 is 2c divided by both lengths together.",
    ),
    remark="The right tokens in another order are no run. If nothing is in common, F1 is 0, and no division must fail.",
    slips=[
        (
            "The tokens in common must form *one run*, in the same order and without a gap. You count them anywhere.",
            lambda prediction, answer: _f1((Counter(prediction) & Counter(answer)).total(), prediction, answer),
        ),
        (
            "A run has no gaps: tokens in the same order are not enough.",
            lambda prediction, answer: _f1(_in_order(prediction, answer), prediction, answer),
        ),
        ("This is the precision.", lambda prediction, answer: _run(prediction, answer) / len(prediction)),
        ("This is the recall.", lambda prediction, answer: _run(prediction, answer) / len(answer)),
        (
            "The factor 2 of F1 is missing.",
            lambda prediction, answer: _f1(_run(prediction, answer), prediction, answer) / 2,
        ),
        (
            "Count tokens, and not characters: 1997 is one token.",
            lambda prediction, answer: _f1(_run("".join(prediction), "".join(answer)), prediction, answer),
        ),
        (
            "Count tokens, and not characters: 1997 is one token.",
            lambda prediction, answer: _f1(
                _run("".join(prediction), "".join(answer)), "".join(prediction), "".join(answer)
            ),
        ),
        (
            "You compare from the first tokens on. The run may begin anywhere in both lists.",
            lambda prediction, answer: _f1(
                len([*takewhile(lambda pair: pair[0] == pair[1], zip(prediction, answer, strict=False))]),
                prediction,
                answer,
            ),
        ),
    ],
    raises={"ZeroDivisionError": "If nothing is in common, F1 is 0, and nothing must be divided by 0."},
    helpers=(
        "minirbt_helpers.tasks.metrics.f1_score",
        "minirbt_helpers.tasks.metrics._f1",
        "minirbt_helpers.tasks.metrics.longest_common_run",
    ),
)
def overlap_f1(prediction: list[str], answer: list[str]) -> float:
    """Both answers are lists of tokens (each Chinese character is one). Count the tokens of the longest *run* that
    stands in both: the same tokens in the same order without a gap. Precision is this count divided by the length of
    the prediction, recall divided by the length of the right answer. Write `overlap_f1`: 2 · precision · recall /
    (precision + recall), or 0 if the two have nothing in common.

    `overlap_f1(["b", "c", "d"], ["a", "b", "c"])` gives `0.667…`.
    """
    common, runs = 0, [0] * (len(answer) + 1)
    for token in prediction:
        grown = [runs[place] + 1 if token == other else 0 for place, other in enumerate(answer)]
        runs = [0, *grown]
        common = max(common, *runs)
    return 2 * common / (len(prediction) + len(answer))


def _logits(seed, rows, labels, noise=1.0):
    """A student's logits and its teacher's, somewhat alike."""
    generator = torch.Generator().manual_seed(seed)
    teacher = 2 * torch.randn(rows, labels, generator=generator)
    return 0.5 * teacher + noise * torch.randn(rows, labels, generator=generator), teacher


def _way(student, teacher, student_temperature, teacher_temperature):
    """The way with a temperature for each side."""
    p, log_q = (teacher / teacher_temperature).softmax(-1), (student / student_temperature).log_softmax(-1)
    start = log(teacher.shape[-1])
    floor, loss = torch.special.entr(p).sum(-1).mean(), -(p * log_q).sum(-1).mean()
    return (start - loss) / (start - floor)


def _row_by_row(student, teacher, temperature):
    ways = [_way(one[None], other[None], temperature, temperature) for one, other in zip(student, teacher, strict=True)]
    return torch.stack(ways).mean()


def _backwards(student, teacher, temperature):
    """The way by KL(q‖p)."""
    log_q, log_p = (student / temperature).log_softmax(-1), (teacher / temperature).log_softmax(-1)
    even = torch.full_like(log_p, 1 / log_p.shape[-1])
    far = (log_q.exp() * (log_q - log_p)).sum(-1).mean()
    return 1 - far / (even * (even.log() - log_p)).sum(-1).mean()


def _loss_and_floors(student, teacher, temperature):
    """The KD loss, its floor, and the entropy of the student."""
    p, q = (teacher / temperature).softmax(-1), (student / temperature).softmax(-1)
    return (
        -(p * (student / temperature).log_softmax(-1)).sum(-1).mean(),
        torch.special.entr(p).sum(-1).mean(),
        torch.special.entr(q).sum(-1).mean(),
    )


def _own_floor(student, teacher, temperature):
    loss, _, own = _loss_and_floors(student, teacher, temperature)
    return (log(student.shape[-1]) - loss) / (log(student.shape[-1]) - own)


@shelf.exercise(
    title="How much of the way has a student gone?",
    difficulty=3,
    minutes=18,
    use="to read a distillation loss whose curve looks flat",
    cases=lambda: [
        (torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]]), 1.0),
        (torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[2.0, 0.0, 1.0]]), 2.0),
        (*_logits(1, 3, 4), 1.0),
        (*_logits(2, 5, 6), 2.0),
        (*_logits(3, 4, 15, noise=0.3), 8.0),
        (torch.tensor([[0.0, 3.0]]), torch.tensor([[3.0, 0.0]]), 1.0),
    ],
    hints=(
        "Three losses, each the mean over the rows: that of even shares, that of the student, and the lowest possible"
        " one. Where between the first and the last does the student stand?",
        "With even shares the loss is log(labels), whatever p is. The floor is the entropy of p, −Σ p · log p. The"
        " way is (even − loss) / (even − floor).",
    ),
    remark="At a high temperature nearly all of the loss is its floor, and it hardly moves. The way goes from 0 to 1.",
    slips=[
        ("This is what is left of the way. How much has been gone?", lambda s, t, T: 1 - kd_way(s, t, T)),
        (
            "The floor is missing: a student that copies its teacher has still a loss.",
            lambda s, t, T: 1 - _loss_and_floors(s, t, T)[0] / log(s.shape[-1]),
        ),
        ("The temperature is missing.", lambda s, t, T: _way(s, t, 1, 1)),
        ("The temperature belongs to both sides. You use it for the teacher only.", lambda s, t, T: _way(s, t, 1, T)),
        ("The temperature belongs to both sides. You use it for the student only.", lambda s, t, T: _way(s, t, T, 1)),
        ("The floor is the entropy of the *teacher's* shares. You take the student's.", _own_floor),
        (
            "Average the losses first, then divide. You take the way of every row, and average those.",
            _row_by_row,
        ),
        ("The teacher's shares p are the weights. You weigh with the student's.", _backwards),
        ("You return the loss itself.", lambda s, t, T: _loss_and_floors(s, t, T)[0]),
        (
            "This is the distance from the floor. What share of the way from even shares is it?",
            lambda s, t, T: _loss_and_floors(s, t, T)[0] - _loss_and_floors(s, t, T)[1],
        ),
    ],
    signs=[
        (
            "A student further from its teacher than even shares has a negative way. Do not cut it off.",
            lambda answer, s, t, T: kd_way(s, t, T) < 0 and answer >= 0,
        ),
    ],
    helpers=(
        "torch.nn.functional.kl_div",
        "torch.nn.functional.cross_entropy",
        "kl_div",
        "textbrewer.losses.kd_ce_loss",
    ),
)
def kd_way(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`student` and `teacher` are logits [rows, labels]. At the temperature the teacher's shares are p and the
    student's are q. The KD loss is −Σ p · log q over the labels, as the mean over the rows. Three losses matter: that
    of the student, that of a student with even shares for all labels, and the floor, which is the loss of a perfect
    copy of the teacher. Write `kd_way`: what share of the way from even shares down to the floor has the student gone?
    0 is a student that knows nothing, 1 a copy of the teacher, and below 0 is worse than knowing nothing.

    `kd_way(tensor([[1.0, 0.0]]), tensor([[3.0, 0.0]]), 1.0)` gives `0.661…`.
    """
    p = (teacher / temperature).softmax(-1)  # [rows, labels]
    log_q = (student / temperature).log_softmax(-1)
    loss = -(p * log_q).sum(-1).mean()
    floor = -(p * p.log()).sum(-1).mean()
    even = log(teacher.shape[-1])
    return (even - loss) / (even - floor)


shelf.question(
    "fresh_classifier",
    "A fresh classifier for fifteen labels has small random weights. "
    "How large is its loss, with the natural logarithm?",
    2.708,
    "Each label gets about 1/15, and −ln(1/15) = ln 15 = 2.71.",
    tolerance=0.01,
)
shelf.question(
    "eighth_month",
    "1997年8月 (“August 1997”) is right, and a model answers 8月. The tokens are 1997, 年, 8, 月. How "
    "large is F1, in per cent?",
    200 / 3,
    "Two tokens in common: precision 1, recall 1/2, F1 = 2/3.",
    tolerance=0.02,
)
shelf.question(
    "two_rows",
    "One model scores 74.0% and another 72.7%, one seed each, on 150 dev rows. What do you say?",
    "Nothing yet: two rows make that difference",
    "One standard error is √(0.74 · 0.26 / 150), that is 3.6 points, and one seed does not show the chance "
    "of training.",
    wrong={
        "The first one is better": "Two rows of 150 would have to turn, and they are equal.",
        "They are equally good": "That is a claim as well, and the figures do not support it either.",
    },
)
shelf.question(
    "best_of_ten",
    "Ten settings are tried, and the best dev score is reported. What is wrong with it?",
    "The best of several scores was partly lucky, and promises too much for new rows",
    "Choose on one set of rows, and report another one that was not looked at before.",
    wrong={
        "Nothing: all ten are honest measurements": "Each one is, but their maximum is not.",
        "The mean of the ten should be reported": "Then bad settings would hide what the model can do.",
    },
)
