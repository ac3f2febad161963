"""Exercises of notebook 05: an answer from two scores, how answers are scored, and the floors below a score."""

from collections import Counter
from itertools import takewhile
from math import log

from .exercise import Shelf

shelf = Shelf("05_finetuning", "Fine-tuning")


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

    `best_span([0.0, 1.0, 3.0], [9.0, 4.0, 2.0], 1, 2)` gives `(1, 1)`.
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


def _bare(text, dropped):
    return "".join(letter for letter in text.lower() if letter not in dropped)


@shelf.exercise(
    title="Exact match",
    difficulty=1,
    minutes=6,
    use="the strictest score of an answer",
    cases=lambda: [
        ("书店", ["书店"], "。"),
        ("书店", ["北京"], "。"),
        ("书店。", ["书店"], "。"),
        ("《书店》", ["书店"], "《》"),
        ("书店", ["《书店》"], "《》"),
        ("书店", ["一家书店", "书店"], "。"),
        ("书店", ["书店", "北京"], "。"),
        ("iPhone", ["iphone"], "。"),
        ("北京的书店", ["书店"], "。"),
        ("IPHONE。", ["手机", "iPhone，"], "，。"),
        ("书店", ["一家书店"], "。"),
        ("书，店", ["书店"], "，。"),
    ],
    hints=(
        "Bring prediction and answers into the same bare form, then compare. How many of the answers must agree?",
        "Bare: lower case, and without the characters of `dropped`. One agreeing answer is enough: `any(…)`.",
    ),
    remark="What is dropped from one side must be dropped from the other. And one of several right answers is enough.",
    slips=[
        (
            "Upper and lower case are the same here.",
            lambda prediction, answers, dropped: any(
                "".join(one for one in prediction if one not in dropped)
                == "".join(one for one in answer if one not in dropped)
                for answer in answers
            ),
        ),
        (
            "Drop the punctuation first, on both sides.",
            lambda prediction, answers, dropped: any(prediction.lower() == answer.lower() for answer in answers),
        ),
        (
            "The punctuation goes from the answers, too. You drop it from the prediction only.",
            lambda prediction, answers, dropped: _bare(prediction, dropped) in [answer.lower() for answer in answers],
        ),
        (
            "One of the answers is enough. You ask for all of them.",
            lambda prediction, answers, dropped: all(
                _bare(prediction, dropped) == _bare(answer, dropped) for answer in answers
            ),
        ),
        (
            "The whole answer must be given. You accept a part of it.",
            lambda prediction, answers, dropped: any(
                _bare(prediction, dropped) in _bare(answer, dropped) for answer in answers
            ),
        ),
        (
            "Punctuation is dropped everywhere, also inside an answer. You drop it at the ends only.",
            lambda prediction, answers, dropped: (
                prediction.lower().strip(dropped) in [answer.lower().strip(dropped) for answer in answers]
            ),
        ),
        (
            "Each character of `dropped` is dropped for itself, wherever it stands.",
            lambda prediction, answers, dropped: (
                prediction.lower().replace(dropped, "") in [answer.lower().replace(dropped, "") for answer in answers]
            ),
        ),
        (
            "You look at the first answer only.",
            lambda prediction, answers, dropped: _bare(prediction, dropped) == _bare(answers[0], dropped),
        ),
        (
            "The prediction must be the whole answer. You accept one that merely holds it.",
            lambda prediction, answers, dropped: any(
                _bare(answer, dropped) in _bare(prediction, dropped) for answer in answers
            ),
        ),
    ],
    helpers=("minirbt_helpers.tasks.metrics.exact_match",),
)
def exact(prediction: str, answers: list[str], dropped: str) -> bool:
    """Several `answers` are right. Write `exact`: whether the prediction equals one of them, if upper and lower case
    are the same and all characters in `dropped` (punctuation) are left out on both sides.

    `exact("The END.", ["stop", "the end"], ".,")` gives `True`.
    """

    def bare(text):
        return "".join(letter for letter in text.lower() if letter not in dropped)

    return any(bare(prediction) == bare(answer) for answer in answers)


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
    helpers=("minirbt_helpers.tasks.report.majority_of", "minirbt_helpers.tasks.report.majority"),
)
def majority_floor(train: list[int], dev: list[int]) -> float:
    """`train` and `dev` are the labels of a task's two files. A model without a thought gives every dev row the label
    that is most frequent in the train rows. Write `majority_floor`: the share of dev rows on which it is right.

    `majority_floor([1, 1, 0], [0, 1, 0, 0])` gives `0.25`.
    """
    label = Counter(train).most_common(1)[0][0]
    return dev.count(label) / len(dev)


def _letters(texts, labels, new, prior=True, vocabulary=True):
    """Naive Bayes over characters with one thing forgotten."""
    known, answers = set("".join(texts)), []
    counts = {label: Counter() for label in labels}
    for text, label in zip(texts, labels, strict=True):
        counts[label].update(text)
    for text in new:
        scores = {}
        for label in sorted(counts):
            score = log(labels.count(label)) if prior else 0.0
            total = counts[label].total() + (len(known) if vocabulary else 1)
            letters = [(counts[label][letter] + 1) / total for letter in text if letter in known]
            scores[label] = score + sum(map(log, letters))
        answers.append(max(scores, key=scores.get))
    return answers


TEXTS = ["好吃好玩", "很好", "不好", "差差", "不干净很差", "好"]
LABELS = [1, 1, 0, 0, 0, 1]


@shelf.exercise(
    title="The letter floor",
    difficulty=3,
    minutes=25,
    use="the floor that beats small models on several real tasks",
    cases=lambda: [
        (["好", "差"], [1, 0], ["好"]),
        (["好", "差"], [1, 0], ["差", "好"]),
        (["好", "好", "差"], [1, 1, 0], ["天天天"]),
        (["好", "好", "好", "差好"], [1, 1, 1, 0], ["差"]),
        (["好好好好差", "差"], [1, 0], ["差差", "好差"]),
        (TEXTS, LABELS, ["很好吃", "不", "干净", "差不多好", "好好好不", "天气不好"]),
        (["天气好", "天气差", "差气", "好天好天", "气"], [2, 1, 1, 2, 0], ["天", "气", "差天", "好气气", "天差天好"]),
    ],
    hints=(
        "Count characters by label first. Then each new text gets one score per label, and the best label wins.",
        "Score: log of how many rows have the label, plus, for every known character of the text, the logarithm of"
        " (its count under the label + 1) / (all characters under the label + number of different known characters).",
    ),
    remark="Without the + 1 a character that a label has never seen decides everything: log 0 is −∞.",
    slips=[
        ("The share of the label's rows is missing.", lambda *given: _letters(*given, prior=False)),
        (
            "Every character of the new text counts, also one that stands there twice.",
            lambda texts, labels, new: letter_floor(texts, labels, ["".join(dict.fromkeys(text)) for text in new]),
        ),
        (
            "Add 1 to each count, and the number of different known characters to the total. Your total is too small.",
            lambda *given: _letters(*given, vocabulary=False),
        ),
        (
            "You give every row the most frequent label.",
            lambda texts, labels, new: [max(sorted(set(labels)), key=labels.count)] * len(new),
        ),
    ],
    signs=[
        (
            "A character that no train row has is skipped. With equal scores the frequent label wins.",
            lambda answer, texts, labels, new: not set("".join(new)) <= set("".join(texts)) and len(texts) < 4,
        ),
        (
            "How often a character stands under a label counts, and so does how long the label's texts are.",
            lambda answer, texts, labels, new: len(answer) == len(new),
        ),
    ],
    raises={"ValueError": "The logarithm of 0 is asked for: add 1 to each count, and leave out unknown characters."},
)
def letter_floor(texts: list[str], labels: list[int], new: list[str]) -> list[int]:
    """How far does one get by counting characters? Write `letter_floor`: the labels of the texts in `new`, by *Naive
    Bayes*. The score of a label for a text is log(number of train rows with this label), plus for each character c of
    the text

    log( (count of c in the train texts of this label + 1) / (all characters of these texts + V) )

    where V is the number of different characters in all train texts. A character that no train text has is skipped,
    and one that stands in the text twice counts twice. The label with the highest score wins. `texts` and `labels`
    are the train rows.

    `letter_floor(["aab", "b"], [1, 0], ["a", "b"])` gives `[1, 0]`.
    """
    counts = {label: Counter() for label in sorted(set(labels))}
    for text, label in zip(texts, labels, strict=True):
        counts[label].update(text)
    known = set("".join(texts))

    def score(text, label):
        total = counts[label].total() + len(known)
        letters = [log((counts[label][letter] + 1) / total) for letter in text if letter in known]
        return log(labels.count(label)) + sum(letters)

    return [max(counts, key=lambda label: score(text, label)) for text in new]


shelf.question(
    "fresh_classifier",
    "A fresh classifier for fifteen labels has small random weights. How large is its loss, in nats?",
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
