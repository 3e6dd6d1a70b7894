"""Exact binomial intervals, limits and tails, and those of Student's t, by the regularized incomplete beta function.

NumPy has no such function, and SciPy is a library of the build stage: the continued fraction of Lentz converges in a
few hundred steps for every number of exams (W. H. Press et al., Numerical Recipes, section 6.4). The tests compare
each result with SciPy's.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TINY, _PRECISION = 1e-300, 1e-14
_MAX_STEPS = 20_000
_EMPTY = 1e-9  # stands for a parameter of 0, whose result is replaced
_LARGEST_T = 1e4
_HALVINGS = 45  # of an interval of length 1: to 3e-14

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def beta_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Floats:
    """Return the regularized incomplete beta function I_x(a, b), elementwise; `a` and `b` are positive."""
    at, first, second = (np.asarray(each, np.float64) for each in np.broadcast_arrays(x, a, b))
    inside = np.clip(at, _TINY, 1 - 1e-16)
    front = np.exp(
        _log_gamma(first + second) - _log_gamma(first) - _log_gamma(second)
        + first * np.log(inside) + second * np.log1p(-inside)
    )  # fmt: skip
    mirrored = inside >= (first + 1) / (first + second + 2)
    left, right = np.where(mirrored, second, first), np.where(mirrored, first, second)
    part = front * _fraction(np.where(mirrored, 1 - inside, inside), left, right) / left
    found = np.where(mirrored, 1 - part, part)
    return np.where(at <= 0, 0.0, np.where(at >= 1, 1.0, np.clip(found, 0, 1)))


def _fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    """Return the continued fraction of the incomplete beta function (Numerical Recipes, 6.4.5)."""
    c = np.ones_like(x)
    d = 1 / _nonzero(1 - (a + b) * x / (a + 1))
    result = d.copy()
    for step in range(1, _MAX_STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for term in (even, odd):
            d = 1 / _nonzero(1 + term * d)
            c = _nonzero(1 + term / c)
            result *= d * c
        if np.all(np.abs(d * c - 1) < _PRECISION):
            break
    return result


def _nonzero(values: Floats) -> Floats:
    return np.where(np.abs(values) < _TINY, _TINY, values)


def at_most(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """Return P(X <= k) of binomial X, of `n` trials of probability `p`."""
    counts, trials = np.asarray(k, np.float64), np.asarray(n, np.float64)
    tail = beta_cdf(1 - np.asarray(p, np.float64), np.maximum(trials - counts, _EMPTY), counts + 1)
    return np.asarray(np.where(counts >= trials, 1.0, tail), np.float64)


def at_least(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """Return P(X >= k) of binomial X, of `n` trials of probability `p`."""
    counts, trials = np.asarray(k, np.float64), np.asarray(n, np.float64)
    tail = beta_cdf(p, np.maximum(counts, _EMPTY), np.maximum(trials - counts + 1, _EMPTY))
    return np.asarray(np.where(counts <= 0, 1.0, np.where(counts > trials, 0.0, tail)), np.float64)


def chance_probability(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """Return the exact two-sided probability of a count as far from `n * p`: twice the smaller tail, at most 1."""
    smaller = np.minimum(at_most(k, n, p), at_least(k, n, p))
    return np.asarray(np.minimum(1.0, 2 * smaller), np.float64)


def clopper_pearson(k: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the exact interval of a binomial probability (Clopper and Pearson, Biometrika 1934); 0 and 1 for n = 0."""
    counts, trials = (np.asarray(each, np.float64) for each in np.broadcast_arrays(k, n))
    tail = (1 - level) / 2
    low = _solve(lambda p: at_least(counts, trials, p) > tail, counts.shape)
    high = _solve(lambda p: at_most(counts, trials, p) <= tail, counts.shape)
    return np.where(counts <= 0, 0.0, low), np.where(counts >= trials, 1.0, high)


def binomial_limits(n: ArrayLike, p: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Return the lowest and highest share of `n` trials whose `chance_probability` is at least `alpha`."""
    trials, chance = (np.asarray(each, np.float64) for each in np.broadcast_arrays(n, p))
    low = _first(lambda k: at_most(k, trials, chance) >= alpha / 2, trials)
    high = _first(lambda k: at_least(k + 1, trials, chance) < alpha / 2, trials)
    return low / trials, high / trials


def t_probability(t: ArrayLike, df: ArrayLike) -> Floats:
    """Return the two-sided probability of Student's t with `df` degrees of freedom."""
    degrees = np.asarray(df, np.float64)
    return beta_cdf(degrees / (degrees + np.square(t)), degrees / 2, 0.5)


def t_quantile(alpha: ArrayLike, df: ArrayLike) -> Floats:
    """Return the t whose two-sided probability is `alpha`, elementwise."""
    level, degrees = (np.asarray(each, np.float64) for each in np.broadcast_arrays(alpha, df))
    low, high = np.zeros(level.shape), np.full(level.shape, _LARGEST_T)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = t_probability(middle, degrees) <= level
        low, high = np.where(found, low, middle), np.where(found, middle, high)
    return high


def _solve(reached: Callable[[Floats], NDArray[np.bool_]], shape: tuple[int, ...]) -> Floats:
    """Return the smallest x of [0, 1] for which a monotone condition holds, by bisection."""
    low, high = np.zeros(shape), np.ones(shape)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = reached(middle)
        low, high = np.where(found, low, middle), np.where(found, middle, high)
    return high


def _first(reached: Callable[[Floats], NDArray[np.bool_]], last: Floats) -> Floats:
    """Return the smallest integer of 0..last for which a monotone condition holds."""
    low, high = np.zeros_like(last), last.copy()
    while np.any(low < high):
        middle = np.floor((low + high) / 2)
        found = reached(middle)
        low, high = np.where(found, low, np.minimum(middle + 1, high)), np.where(found, middle, high)
    return low
