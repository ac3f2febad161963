"""One verdict for every comparison: higher, lower, or not told apart (notebook 05).

A score moves with the seed, and three seeds tell little of how much: the interval "mean ± two standard errors" covers
the truth in 82 of 100 cases then, not in 95. Student's t has the right factor for the seeds at hand (4.3 for the
difference of three pairs). The best of several settings looks better than it is, too: the best of four equal ones by
0.6 of a seed's standard deviation. :func:`fair_scores` reports what a choice does where it was not made.

Sources: Student, "The probable error of a mean" (1908); Welch, "The generalization of Student's problem" (1947);
Cawley and Talbot, "On over-fitting in model selection" (2010).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

from .errors import CourseError
from .language import N_, _

Ruling = Literal["higher", "lower", "not told apart"]
RULINGS = (N_("higher"), N_("lower"), N_("not told apart"))  # marks for the translation; the values stay English
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Verdict:
    """What a comparison says.

    Attributes:
        difference: first mean less second, in the scores' own unit.
        error: its standard error; infinite where one seed cannot show it.
        bound: half the width of the interval that covers the true difference in 95 of 100 cases.
    """

    difference: float
    error: float
    bound: float

    @property
    def ruling(self) -> Ruling:
        """``"higher"`` or ``"lower"`` where 0 lies outside of the interval, else (nan, too) ``"not told apart"``."""
        if not abs(self.difference) > self.bound:
            return "not told apart"
        return "higher" if self.difference > 0 else "lower"

    def __str__(self) -> str:
        """The difference of two shares in points, with half its interval: ``+2.3 ± 1.1 points: higher``."""
        doubt = f" ± {100 * self.bound:.1f}" if math.isfinite(self.bound) else ""
        said = _("{points} points: {ruling}")
        return said.format(points=f"{100 * self.difference:+.1f}{doubt}", ruling=_(self.ruling))


def judge(difference: float, error: float, freedom: float = math.inf) -> Verdict:
    """The verdict on a difference whose standard error is known.

    Args:
        difference, error: in the same unit.
        freedom: degrees of freedom of the error; infinite: it comes from very many independent questions.
    """
    if not math.isfinite(error):
        return Verdict(difference, math.inf, math.inf)
    return Verdict(difference, error, error * _factor(freedom))


def compare(one: Sequence[float], other: Sequence[float] | float, *, paired: bool = False) -> Verdict:
    """Hold the scores of some seeds against others, or against a figure that has no seeds (a floor).

    Args:
        one: a score per seed.
        other: a score per seed; or a single figure.
        paired: seed by seed in the same order: the two share the order of their rows, and what a seed's order does
            to both falls out of the difference. Otherwise Welch's test: each side has a spread of its own.

    Raises:
        CourseError: no scores, or pairs of two lengths.
    """
    single = isinstance(other, int | float)
    count = 1 if single else len(other)
    if 0 in (len(one), count) or (paired and not single and len(one) != count):
        raise CourseError(
            "{one} and {other} scores to compare", fix="a score per seed, for pairs as many", one=len(one), other=count
        )
    if single:
        return _of_pairs([score - other for score in one])
    if paired:
        return _of_pairs([first - second for first, second in zip(one, other, strict=True)])
    difference = statistics.fmean(one) - statistics.fmean(other)
    if min(len(one), len(other)) < 2:
        return judge(difference, math.inf)
    parts = [(statistics.variance(scores) / len(scores), len(scores) - 1) for scores in (one, other)]
    error = math.sqrt(sum(part for part, _ in parts))
    below = sum(part**2 / freedom for part, freedom in parts)
    return judge(difference, error, error**4 / below if below else math.inf)


def spread(scores: Sequence[float]) -> float:
    """Standard deviation of a sample of two scores and more; nan where one of them is not finite."""
    return statistics.stdev(scores) if all(map(math.isfinite, scores)) else math.nan


def mean_bound(scores: Sequence[float]) -> float:
    """Half the width of the interval that covers the true mean of some seeds in 95 of 100 cases; infinite for one.

    Raises:
        CourseError: no scores.
    """
    return compare(scores, 0.0).bound


def fair_choices(settings: Sequence[Sequence[Sequence[float]]]) -> list[list[int]]:
    """Which setting to take for every seed and every part of the rows: the best on the *other* seeds and parts.

    Args:
        settings: [settings][seeds][parts] scores; every setting has the same seeds and parts. With a single seed
            (or part) the choice is fair over parts (or seeds) alone.

    Returns:
        [seeds][parts] places in ``settings``.

    Raises:
        CourseError: several settings with one seed and one part: nothing is left that was not chosen on.
    """
    seeds, parts = len(settings[0]), len(settings[0][0])
    if len(settings) > 1 and seeds == parts == 1:
        raise CourseError("one seed and one set of rows cannot choose and score, too", fix="more seeds")

    def choice(seed: int, part: int) -> int:
        kept = [
            (row, column)
            for row in range(seeds)
            for column in range(parts)
            if (row != seed or seeds == 1) and (column != part or parts == 1)
        ]
        sums = [math.fsum(scores[row][column] for row, column in kept) for scores in settings]
        return sums.index(max(sums))

    return [[choice(seed, part) for part in range(parts)] for seed in range(seeds)]


def fair_scores(
    settings: Sequence[Sequence[Sequence[float]]], choices: Sequence[Sequence[int]] | None = None
) -> list[float]:
    """What the best setting scores on seeds and rows that it was not chosen on, a figure per seed.

    The figures share some of the runs that they were chosen by, so their interval (:func:`mean_bound`) covers a little
    less than it says: 90 to 93 of 100 cases for three seeds, by simulation.

    Args:
        settings: as for :func:`fair_choices`; one setting is no choice, and its scores come back as they are.
        choices: made by another measure; None: by these scores.
    """
    choices = choices or fair_choices(settings)
    return [
        statistics.fmean(settings[choice][seed][part] for part, choice in enumerate(parts))
        for seed, parts in enumerate(choices)
    ]


def share_kept(score: float, reference: Sequence[float], floor: float = 0.0, *, above: bool = False) -> float | None:
    """A score as a share of a reference's mean; None where the reference is not "higher" than the floor.

    Args:
        score: the mean of a model.
        reference: a score per seed, or the only one (published, no spread known).
        floor: what needs no model; questions answered at random, say, have 0.
        above: the share of what the reference has above the floor; otherwise of all that it has.
    """
    whole, low = statistics.fmean(reference), floor if above else 0.0
    seen = compare(reference, floor).ruling == "higher" if len(reference) > 1 else whole > floor
    return (score - low) / (whole - low) if seen else None


def _of_pairs(differences: Sequence[float]) -> Verdict:
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return judge(mean, math.inf)
    return judge(mean, spread(differences) / math.sqrt(len(differences)), len(differences) - 1)


def _factor(freedom: float) -> float:
    """How many standard errors lie between the middle and the end of the interval."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
