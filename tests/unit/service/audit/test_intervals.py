"""Exact intervals, limits and tails, compared with SciPy's."""

import numpy as np
import pytest
from scipy import stats

from service.audit.statistics.intervals import (
    at_least,
    at_most,
    beta_cdf,
    binomial_limits,
    chance_probability,
    clopper_pearson,
    t_probability,
    t_quantile,
)

RANDOM = np.random.default_rng(1)
N = np.concatenate([[1, 1, 2, 40_000, 40_000, 2_000_000], RANDOM.integers(1, 5000, 200)])
K = np.minimum(N, np.concatenate([[0, 1, 1, 39_999, 31_234, 7], RANDOM.integers(0, 5000, 200)]))
P = np.concatenate([[0.5, 0.5, 0.1, 0.999, 0.78, 1e-6], RANDOM.uniform(0.001, 0.999, 200)])


def test_the_incomplete_beta_function_at_its_ends() -> None:
    assert beta_cdf([0.0, 1.0, 0.5], 2.0, 2.0).tolist() == pytest.approx([0, 1, 0.5])


def test_binomial_tails() -> None:
    np.testing.assert_allclose(at_most(K, N, P), stats.binom.cdf(K, N, P), rtol=1e-7, atol=1e-300)
    np.testing.assert_allclose(at_least(K, N, P), stats.binom.sf(K - 1, N, P), rtol=1e-7, atol=1e-300)
    assert (chance_probability(K, N, P) <= 1).all()


def test_clopper_pearson() -> None:
    low, high = clopper_pearson(K, N)
    found = [stats.binomtest(int(k), int(n)).proportion_ci(0.95, "exact") for k, n in zip(K, N, strict=True)]
    np.testing.assert_allclose(low, [each.low for each in found], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(high, [each.high for each in found], rtol=1e-6, atol=1e-12)


def test_limits_are_the_last_shares_that_chance_explains() -> None:
    n = np.array([5, 20, 300, 7000])
    low, high = binomial_limits(n, 0.8, 0.01)
    for side, step in ((low, -1), (high, 1)):
        counts = np.round(side * n)
        assert (chance_probability(counts, n, 0.8) >= 0.01 - 1e-12).all()
        beyond = counts + step
        inside = (beyond >= 0) & (beyond <= n)
        assert (chance_probability(beyond[inside], n[inside], 0.8) < 0.01).all()


def test_student() -> None:
    t, df = RANDOM.uniform(0, 40, 100), RANDOM.integers(1, 200, 100)
    np.testing.assert_allclose(t_probability(t, df), 2 * stats.t.sf(t, df), rtol=1e-7)
    alpha = 10.0 ** RANDOM.uniform(-6, -0.1, 100)
    np.testing.assert_allclose(t_quantile(alpha, df + 3), stats.t.isf(alpha / 2, df + 3), rtol=1e-5)


def test_intervals_cover_as_often_as_they_say() -> None:
    counts = RANDOM.binomial(60, 0.9, 4000)
    low, high = clopper_pearson(counts, 60)
    assert np.mean((low <= 0.9) & (high >= 0.9)) >= 0.945  # 0.965 by calculation
