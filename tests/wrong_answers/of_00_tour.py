"""Wrong answers to the exercises of notebook 00."""

import math
import statistics

from . import Wrong


def softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def best_first(logits, names):
    return sorted(zip(softmax(logits), names, strict=True), reverse=True)


def softmax_of_the_best(logits, names, top):
    some = sorted(zip(logits, names, strict=True), reverse=True)[:top]
    return [(name, share) for share, (_, name) in zip(softmax([logit for logit, _ in some]), some, strict=True)]


def middle_without_mean(slow, fast):
    ratios = sorted(one / other for one, other in zip(slow, fast, strict=True))
    return ratios[len(ratios) // 2]


def one_number_for_all(scores, teacher):
    both = [task for task in scores if task in teacher]
    return statistics.fmean(scores[task] for task in both) / statistics.fmean(teacher[task] for task in both)


WRONG = {
    "fill_gap": [
        Wrong(
            "logits for probabilities",
            lambda logits, names, top: [
                (name, logit) for logit, name in sorted(zip(logits, names, strict=True), reverse=True)[:top]
            ],
            "bare numbers",
        ),
        Wrong("softmax over the best alone", softmax_of_the_best, "whole vocabulary"),
        Wrong(
            "the worst first",
            lambda logits, names, top: [(name, share) for share, name in best_first(logits, names)[:top]][::-1],
            "likeliest stands first",
        ),
        Wrong(
            "the least likely",
            lambda logits, names, top: [(name, share) for share, name in best_first(logits, names)[::-1][:top]],
            "least likely",
        ),
        Wrong(
            "one too many",
            lambda logits, names, top: [(name, share) for share, name in best_first(logits, names)[: top + 1]],
            "one entry too many",
        ),
        Wrong(
            "exponentials without their sum",
            lambda logits, names, top: [
                (name, math.exp(logit)) for logit, name in sorted(zip(logits, names, strict=True), reverse=True)[:top]
            ],
            "divided by the sum",
        ),
        Wrong(
            "pairs the wrong way round",
            lambda logits, names, top: best_first(logits, names)[:top],
            "a text is asked for",
        ),
    ],
    "right_among": [
        Wrong(
            "all guesses",
            lambda answers, guesses, top: (
                sum(one in some for one, some in zip(answers, guesses, strict=True)) / len(answers)
            ),
            "all guesses",
        ),
        Wrong(
            "the first guess",
            lambda answers, guesses, top: (
                sum(one == some[0] for one, some in zip(answers, guesses, strict=True)) / len(answers)
            ),
            "first guess alone",
        ),
        Wrong(
            "off by one",
            lambda answers, guesses, top: (
                sum(one in some[: top + 1] for one, some in zip(answers, guesses, strict=True)) / len(answers)
            ),
            "one guess too many",
        ),
        Wrong(
            "a count",
            lambda answers, guesses, top: sum(one in some[:top] for one, some in zip(answers, guesses, strict=True)),
            "return a count",
        ),
        Wrong(
            "divided by the guesses",
            lambda answers, guesses, top: (
                sum(one in some[:top] for one, some in zip(answers, guesses, strict=True)) / (len(answers) * top)
            ),
            "number of guesses",
        ),
        Wrong("a list", lambda answers, guesses, top: [0.5 for _ in answers], "one number"),
    ],
    "times_faster": [
        Wrong(
            "upside down",
            lambda slow, fast: statistics.median(b / a for a, b in zip(slow, fast, strict=True)),
            "other way round",
        ),
        Wrong(
            "mean of ratios",
            lambda slow, fast: sum(a / b for a, b in zip(slow, fast, strict=True)) / len(slow),
            "mean of the ratios",
        ),
        Wrong(
            "ratio of means", lambda slow, fast: statistics.fmean(slow) / statistics.fmean(fast), "one ratio in every"
        ),
        Wrong("ratio of minima", lambda slow, fast: min(slow) / min(fast), "best readings"),
        Wrong("ratio of medians", lambda slow, fast: statistics.median(slow) / statistics.median(fast), "two medians"),
        Wrong("no mean in the middle", middle_without_mean, "even number"),
        Wrong(
            "the lower one in the middle",
            lambda slow, fast: statistics.median_low(a / b for a, b in zip(slow, fast, strict=True)),
            "even number",
        ),
    ],
    "share_kept": [
        Wrong(
            "all tasks of the student",
            lambda scores, teacher: statistics.fmean(scores[task] / teacher[task] for task in scores),
            "in both",
        ),
        Wrong("ratio of means", one_number_for_all, "one mean by another"),
        Wrong(
            "upside down",
            lambda scores, teacher: statistics.fmean(
                teacher[task] / scores[task] for task in scores if task in teacher
            ),
            "other way round",
        ),
        Wrong(
            "per cent",
            lambda scores, teacher: statistics.fmean(
                100 * scores[task] / teacher[task] for task in scores if task in teacher
            ),
            "per cent",
        ),
        Wrong(
            "missing tasks are 0",
            lambda scores, teacher: statistics.fmean(scores.get(task, 0) / teacher[task] for task in teacher),
            "not measured on",
        ),
        Wrong(
            "the student's tasks",
            lambda scores, teacher: statistics.fmean(scores[task] / teacher[task] for task in scores),
            "KeyError",
        ),
        Wrong(
            "divided by the student's tasks",
            lambda scores, teacher: (
                sum(scores[task] / teacher[task] for task in scores if task in teacher) / len(scores)
            ),
            "number of the student's tasks",
        ),
    ],
}
