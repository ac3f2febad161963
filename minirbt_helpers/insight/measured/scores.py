"""How good models are, and how sure one can be of it (notebooks 03, 04, 05 and 07)."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from ...errors import CourseError
from ...language import _
from ...names import shown_name
from ...verdict import judge, share_kept

Result = Mapping[str, float]  # what training.held_out returns
Scores = Mapping[str, Mapping[str, Sequence[float]]]  # task -> model -> score of every seed, from 0 to 1


def standard_error(share: float, count: float) -> float:
    """Binomial standard error of a share measured on ``count`` independent questions (both as shares of 1)."""
    return math.sqrt(share * (1 - share) / count)


def shares_and_errors(results: Iterable[Result]) -> tuple[list[float], list[float]]:
    """Top-1 accuracy of each result, and its standard error."""
    shares = [(result["top1"], result["masked"]) for result in results]
    return [share for share, _ in shares], [standard_error(*share) for share in shares]


def accuracy_difference(results: Mapping[str, Result], first: str, second: str) -> str:
    """Two of the results compared in one sentence, with the sampling error of their difference (notebook 03).

    Args:
        results: :func:`~minirbt_helpers.training.held_out` of each model, by name.
        first, second: the two names.
    """
    one, two = results[first], results[second]
    gap = one["top1"] - two["top1"]
    error = math.hypot(*shares_and_errors((one, two))[1])
    told = judge(gap, error).ruling != "not told apart"
    return _(
        "{first} {one:.1%}, {second} {two:.1%} on {count:,} masked tokens: "
        "{gap:+.1f} points, with a standard error of {error:.1f}; that is {verdict}"
    ).format(
        first=shown_name(first),
        one=one["top1"],
        second=shown_name(second),
        two=two["top1"],
        count=one["masked"],
        gap=gap * 100,
        error=error * 100,
        verdict=_("more than sampling explains") if told else _("no more than sampling can explain"),
    )


def kept_shares(scores: Scores, reference: str, floors: Mapping[str, float] | None = None) -> dict[str, float]:
    """What share of the reference's scores a model keeps, on average over the tasks that both have.

    Args:
        scores: by task and model.
        reference: a model. Tasks on which the verdict does not find it above the floor are left out.
        floors: by task, what needs no network, from 0 to 1: the share is then that of what lies above.

    Raises:
        CourseError: the reference has no scores, or is at the floor on every task.
    """
    theirs = {task: models[reference] for task, models in scores.items() if reference in models}
    if not theirs:
        raise CourseError("no scores of {reference!r}", fix="name a model of the table", reference=reference)
    found: dict[str, list[float]] = {name: [] for task in theirs for name in scores[task]}
    for task, whole in theirs.items():
        for name, some in scores[task].items():
            low = (floors or {}).get(task, 0.0)
            share = share_kept(statistics.fmean(some), whole, low, above=floors is not None)
            found[name] += [] if share is None else [share]
    if not found[reference]:
        raise CourseError(
            "{reference!r} is at the floor on every task",
            fix="there is nothing to have a share of",
            reference=reference,
        )
    return {name: statistics.fmean(shares) for name, shares in found.items() if shares}
