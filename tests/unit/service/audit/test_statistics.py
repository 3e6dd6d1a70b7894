"""Groups that differ naturally are no findings, others are; lasting changes; kappa."""

import numpy as np
import pytest

from service.audit.statistics.agreement import cross_table, kappa
from service.audit.statistics.changes import Series, find_change, month_spread
from service.audit.statistics.random_effects import NATURAL_SHARE, Groups, compare, share_of, share_scale, spread


def groups(random: np.random.Generator, count: int, tau: float, n: int = 500, parents: int = 1) -> Groups:
    values = random.normal(1.1, tau, count) + random.normal(0, 0.5 / np.sqrt(n), count)
    return Groups(values, np.full(count, 1 / (4 * n)), np.arange(count) % parents, NATURAL_SHARE)


@pytest.mark.parametrize(("count", "tau"), [(5, 0.0), (5, 0.04), (40, 0.0), (40, 0.04), (40, 0.15)])
def test_natural_variation_is_as_improbable_as_it_says(count: int, tau: float) -> None:
    assert improbable(count, tau, 0.01) < 0.014


def test_few_groups_that_vary_far_more_than_assumed_are_improbable_too_often() -> None:
    """The limit of the model, which the documentation states: five hospitals that scatter by twelve points."""
    assert 0.0001 < improbable(5, 0.15, 0.0001) < 0.02


def improbable(count: int, tau: float, alpha: float) -> float:
    random = np.random.default_rng(3)
    found = [compare(groups(random, count, tau)).probability for _ in range(4000 // count)]
    return float(np.mean(np.concatenate(found) < alpha))


def test_a_group_does_not_hide_itself() -> None:
    found = groups(np.random.default_rng(4), 8, 0.03)
    found.values[2] -= 0.35
    probability = compare(found).probability
    assert probability[2] < 1e-4
    assert (np.delete(probability, 2) > 0.01).all()


def test_groups_are_compared_with_those_of_the_same_parent() -> None:
    found = groups(np.random.default_rng(5), 40, 0.02, parents=4)
    found.values[found.parents == 1] -= 0.5  # a site whose operators are all alike
    assert (compare(found).probability > 1e-3).all()
    assert compare(found._replace(parents=np.zeros(40, np.int64))).tau.min() > 0.15  # without parents, they widen it


def test_few_groups_of_a_parent_are_compared_with_all() -> None:
    found = compare(Groups(np.array([1.0, 1.03, 0.98, 1.01, 0.2]), np.full(5, 1e-3), np.array([0, 0, 1, 1, 1]), 0.04))
    assert found.probability[4] < 1e-4


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_groups_are_not_compared(count: int) -> None:
    assert np.isnan(compare(groups(np.random.default_rng(6), count, 0.03)).probability).all()


@pytest.mark.parametrize(("natural", "degrees"), [(0.12, 409), (0.04, 399)])
def test_spread_is_estimated_from_many_groups(natural: float, degrees: int) -> None:
    """An assumption that the groups contradict does not count."""
    tau, df = spread(*groups(np.random.default_rng(7), 400, 0.12)[:3], natural=natural)
    assert tau == pytest.approx(0.12, rel=0.1)
    assert df == degrees


def test_the_scale_of_shares() -> None:
    shares = np.array([0.0, 0.2, 1.0])
    np.testing.assert_allclose(share_of(share_scale(shares)), shares, atol=1e-12)


def months(random: np.random.Generator, step: float = 0.0, first: int = 7) -> Series:
    values = random.normal(0.9, 0.002, 12) + random.normal(0, 0.001, 12)
    values[first:] += step
    return Series(values, np.full(12, 1e-6))


def test_a_lasting_change_and_its_month() -> None:
    random = np.random.default_rng(8)
    others = [months(random) for _ in range(20)]
    tau, df = month_spread(others, 0.002)
    change = find_change(months(random, step=-0.02), tau, df)
    assert change is not None
    assert (change.first, change.probability < 1e-6) == (7, True)
    assert change.difference == pytest.approx(-0.02, abs=0.005)
    improbable = [found.probability for each in others if (found := find_change(each, tau, df))]
    assert min(improbable) > 1e-4


def test_a_single_odd_month_is_no_lasting_change() -> None:
    random = np.random.default_rng(9)
    series = months(random)
    series.values[4] -= 0.01
    change = find_change(series, *month_spread([months(random) for _ in range(20)], 0.002))
    assert change is not None
    assert change.probability > 1e-3


def test_a_change_needs_two_months_on_both_sides() -> None:
    assert find_change(Series(np.array([1.0, 2.0, 3.0]), np.ones(3)), 1.0, 10) is None
    assert find_change(Series(np.array([1.0, 1.0, 3.0, 3.0]), np.ones(4)), 1.0, 10) is not None


def test_kappa_of_a_textbook() -> None:
    """J. L. Fleiss, Statistical Methods for Rates and Proportions, table 13.1: kappa is 0.676."""
    table = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    first, second = (np.repeat(each.ravel(), table.ravel()) for each in np.indices(table.shape))
    found = kappa(first, second, np.arange(100), 3)
    assert (cross_table(first, second, 3) == table).all()
    assert found.value == pytest.approx(0.676, abs=0.001)
    assert found.low == pytest.approx(0.676 - 1.98 * 0.088, abs=0.02)  # Fleiss states a standard error of 0.088


def test_kappa_counts_exams_and_not_frames() -> None:
    random = np.random.default_rng(10)
    first = random.integers(0, 3, 60)
    second = np.where(random.random(60) < 0.8, first, 0)
    alone = kappa(first, second, np.arange(60), 3)
    repeated = kappa(np.repeat(first, 9), np.repeat(second, 9), np.repeat(np.arange(60), 9), 3)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=1e-6)


def test_kappa_without_variety() -> None:
    same = np.zeros(5, np.int64)
    assert np.isnan(kappa(same, same, np.arange(5), 2).value)
    assert np.isnan(kappa(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), 2).value)
