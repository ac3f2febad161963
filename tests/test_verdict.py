"""Laws of the verdict: it is wrong in five of a hundred cases, and a choice is scored where it was not made."""

import math
import statistics

import numpy as np
import pytest
from conftest import first

from minirbt_helpers.errors import CourseError
from minirbt_helpers.verdict import compare, fair_scores, judge, mean_bound, share_kept

CASES = 2000
SLACK = 3 * math.sqrt(0.05 * 0.95 / CASES)  # three standard errors of a simulated coverage


def triples(*shape: int, seed: int = 0) -> np.ndarray:
    """Scores that vary with the seed, 2,000 times."""
    return np.random.default_rng(seed).normal(size=(CASES, *shape))


def test_the_interval_of_three_seeds_covers_the_truth_as_often_as_it_says():
    """Not in 82 of 100 cases, as two standard errors do."""
    covered = [abs(statistics.fmean(scores)) <= mean_bound(scores) for scores in triples(3).tolist()]
    assert abs(statistics.fmean(covered) - 0.95) < SLACK
    rough = [abs(statistics.fmean(one)) <= 2 * statistics.stdev(one) / math.sqrt(3) for one in triples(3).tolist()]
    assert abs(statistics.fmean(rough) - 0.82) < 0.03


@pytest.mark.parametrize("paired", first([True, False]))
def test_equal_models_are_told_apart_in_five_of_a_hundred_cases_at_most(paired):
    """Where seeds move both models alike, pairs keep the law exactly; apart, it errs to the careful side."""
    order = 3 * triples(3, seed=1) if paired else 0
    sides = zip((triples(3, seed=2) + order).tolist(), (triples(3, seed=3) + order).tolist(), strict=True)
    wrong = statistics.fmean(compare(one, two, paired=paired).ruling != "not told apart" for one, two in sides)
    assert wrong < 0.05 + SLACK and (not paired or wrong > 0.05 - SLACK)


def test_pairs_see_what_the_order_of_rows_hides():
    one, two = (0.52, 0.61, 0.43), (0.50, 0.59, 0.41)  # 0.02 apart with every seed, 0.09 between seeds
    assert compare(one, two, paired=True).ruling == "higher" and compare(two, one, paired=True).ruling == "lower"
    assert compare(one, two).ruling == "not told apart"


def test_scores_of_unequal_spread_have_welchs_degrees_of_freedom():
    """By hand: variances 1 and 4 over 3 and 5 seeds; the other side hardly counts where one varies alone."""
    one, two = (9.0, 10.0, 11.0), (0.0, 2.0, 2.0, 2.0, 4.0)
    got = compare(one, two)
    error = math.sqrt(1 / 3 + 2 / 5)
    freedom = error**4 / ((1 / 3) ** 2 / 2 + (2 / 5) ** 2 / 4)
    assert (got.difference, got.ruling) == (8.0, "higher") and got.error == pytest.approx(error)
    assert got.bound == judge(8.0, got.error, freedom).bound
    assert compare(one, (2.0, 2.0, 2.0)).bound == pytest.approx(4.3027 * math.sqrt(1 / 3), rel=1e-4)


def test_a_verdict_reads_as_points():
    assert str(judge(0.023, 0.0056)) == "+2.3 ± 1.1 points: higher"
    assert str(compare([0.5], [0.6])) == "-10.0 points: not told apart"  # one seed shows no spread
    assert str(compare([0.5] * 3, 0.5)) == "+0.0 ± 0.0 points: not told apart"
    with pytest.raises(CourseError, match="2 and 3 scores"):
        compare([0.1, 0.2], [0.1, 0.2, 0.3], paired=True)


@pytest.mark.parametrize("other", [0.5, [0.5], []])
@pytest.mark.parametrize("paired", [True, False])
def test_no_scores_are_refused_whatever_they_are_held_against(other, paired):
    with pytest.raises(CourseError, match=r"0 and \d scores"):
        compare([], other, paired=paired)
    with pytest.raises(CourseError, match="0 and 1 scores"):
        mean_bound([])


def test_what_is_no_number_is_not_told_apart():
    nothing = [math.nan] * 3
    found = [judge(math.nan, 0.1), judge(0.1, math.nan), compare(nothing, 0.5), compare([0.5, math.inf], 0.5)]
    found += [compare(one, two, paired=paired) for one, two in ((nothing, [0.1] * 3), ([0.1] * 3, nothing))
              for paired in (True, False)]  # fmt: skip
    assert {verdict.ruling for verdict in found} == {"not told apart"}


# --- choosing -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_best_of_equal_settings_is_not_better_than_they_are():
    """Its own mean is 0.6 of a seed's deviation too high for four settings, 0.9 for twelve."""
    for settings, overstated in ((4, 0.59), (12, 0.94)):
        rows = triples(settings, 3, 1, seed=4)
        best = rows.mean((2, 3)).max(1)
        assert abs(best.mean() - overstated) < 0.05
        fair = [statistics.fmean(fair_scores(one)) for one in rows.tolist()]
        assert abs(statistics.fmean(fair)) < 4 * statistics.stdev(fair) / math.sqrt(CASES)


def test_luck_with_rows_is_not_counted_either():
    """What every seed of a setting gains on one half of the rows, say, by chance: another half does not have it."""
    luck = triples(4, 1, 2, seed=5) + 0 * triples(4, 3, 2)
    best = luck.mean((2, 3)).max(1)
    fair = [statistics.fmean(fair_scores(one)) for one in luck.tolist()]
    assert best.mean() > 0.6 and abs(statistics.fmean(fair)) < 4 * statistics.stdev(fair) / math.sqrt(CASES)


def test_a_choice_that_is_clear_costs_nothing_and_one_setting_is_no_choice():
    poor, good = [[0.1, 0.1], [0.2, 0.1], [0.1, 0.2]], [[0.7, 0.8], [0.8, 0.8], [0.6, 0.7]]
    assert fair_scores([poor, good]) == fair_scores([good]) == pytest.approx([0.75, 0.8, 0.65])
    assert fair_scores([[[0.5]]]) == [0.5]
    assert fair_scores([[[0.9, 0.1]], [[0.2, 0.8]]]) == pytest.approx([0.15])  # one seed: the halves choose
    with pytest.raises(CourseError, match="one seed and one set of rows"):
        fair_scores([[[0.5]], [[0.6]]])


# --- shares ---------------------------------------------------------------------------------------------------------


def test_a_share_is_of_a_reference_that_is_above_the_floor():
    reference, floor = (0.80, 0.81, 0.79), 0.60
    assert share_kept(0.76, reference, floor) == pytest.approx(0.95)
    assert share_kept(0.76, reference, floor, above=True) == pytest.approx(0.8)
    assert share_kept(0.76, (0.62, 0.59, 0.60), floor) is None  # no ratio to what is at the floor
    assert share_kept(0.01, (0.0, 0.01, 0.0)) is None
    assert share_kept(0.76, (0.80,), floor, above=True) == pytest.approx(0.8) and share_kept(0.5, (0.5,), 0.6) is None
