"""Statistics of two sets of crystals: pure functions over arrays, and the noise that finite numbers give them.

A two-sample statistic is a function ``f(samples, reference)`` of two arrays whose first axis is the crystal. Its *floor* is what
the reference scores against itself with as many draws as there are samples; its *interval* comes from drawing the samples
again. Distances never reach zero with finite samples: a Jensen-Shannon distance of space groups is 0.14 at 1,000 perfect draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symjax.errors import InputError
from symjax.evaluate.figure import Floor

DRAWS = 100
"""Bootstrap draws for intervals and floors."""
MAX_NATS = float(np.sqrt(np.log(2.0)))
"""Largest Jensen-Shannon distance, natural logarithm."""

TwoSample = Callable[[np.ndarray, np.ndarray], float]


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon distance of two distributions: the root of the divergence, natural logarithm, at most 0.8326.

    Args:
        p: (k,) shares that sum to one.
        q: (k,) shares that sum to one.
    """
    middle = (p + q) / 2

    def divergence(a: np.ndarray) -> float:
        live = a > 0
        return float((a[live] * np.log(a[live] / middle[live])).sum())

    return float(np.sqrt(max((divergence(p) + divergence(q)) / 2, 0.0)))


def chi_squared(generated: np.ndarray, target: np.ndarray) -> float:
    """Sum of (g - t)^2 / t over the categories present in the target, on shares.

    Categories absent from the target are dropped from the generated side, which is then normalised again.

    Args:
        generated: (k,) counts or weights.
        target: (k,) counts or weights.

    Source: WyckoffTransformer table 1, statistical evaluator of its public code (not its older contingency form).
    """
    live = target > 0
    g, t = generated[live].astype(float), target[live] / target[live].sum()
    if g.sum() == 0:
        return float("nan")
    return float((((g / g.sum()) - t) ** 2 / t).sum())


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance of the two empirical distribution functions."""
    grid = np.union1d(a, b)
    below = [np.searchsorted(np.sort(values), grid, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """First Wasserstein distance of two samples of numbers, in their unit (`scipy.stats.wasserstein_distance`)."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(a, b))


def group_shares(numbers: np.ndarray, bins: int = 230) -> np.ndarray:
    """(bins,) shares of space-group numbers; 0 (search failed) counts as 1; with 229 bins, 229 and 230 share the last.

    Raises:
        InputError: no numbers, or one outside 0..230.
    """
    values = np.asarray(numbers, np.int64)
    if values.size == 0:
        raise InputError("a histogram of space groups needs at least one crystal")
    if values.min() < 0 or values.max() > 230:
        raise InputError(f"space-group numbers must be 0..230, got {values.min()}..{values.max()}")
    return np.bincount(np.clip(values, 1, bins), minlength=bins + 1)[1:] / values.size


def group_distance(samples: np.ndarray, reference: np.ndarray, bins: int = 230) -> float:
    """Jensen-Shannon distance of the space-group numbers of two sets."""
    return jensen_shannon(group_shares(samples, bins), group_shares(reference, bins))


def group_distance_base2(samples: np.ndarray, reference: np.ndarray, bins: int = 230) -> float:
    """`group_distance` with logarithms to base 2 (at most 1)."""
    return group_distance(samples, reference, bins) / MAX_NATS


def group_divergence(samples: np.ndarray, reference: np.ndarray, bins: int = 230) -> float:
    """Jensen-Shannon divergence of space-group numbers, nats: the square of `group_distance`."""
    return group_distance(samples, reference, bins) ** 2


def weight_distance(samples: np.ndarray, reference: np.ndarray) -> float:
    """Jensen-Shannon distance of summed per-crystal weights.

    Args:
        samples: (n, k) weights of each crystal on k categories.
        reference: (m, k) the same of the reference.
    """
    a, b = samples.sum(axis=0), reference.sum(axis=0)
    return jensen_shannon(a / a.sum(), b / b.sum())


def weight_chi_squared(samples: np.ndarray, reference: np.ndarray) -> float:
    """`chi_squared` of summed per-crystal weights, (n, k) against (m, k)."""
    return chi_squared(samples.sum(axis=0), reference.sum(axis=0))


def group_chi_squared(samples: np.ndarray, reference: np.ndarray) -> float:
    """`chi_squared` of space-group numbers; a failed search counts as 1."""
    return chi_squared(group_shares(samples), group_shares(reference))


def floor(statistic: TwoSample, reference: np.ndarray, num: int, *, draws: int = DRAWS, seed: int = 0) -> Floor | None:
    """Score of the reference against itself: ``num`` draws with replacement against all of it, many times over."""
    if num == 0 or len(reference) == 0:
        return None
    generator = np.random.default_rng(seed)
    values = [statistic(reference[generator.integers(0, len(reference), num)], reference) for _ in range(draws)]
    return Floor(float(np.mean(values)), float(np.std(values)), num)


def interval(
    statistic: TwoSample, samples: np.ndarray, reference: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval: the value plus and minus 1.96 standard deviations over samples drawn again with replacement.

    Percentiles would not hold the value: drawing again adds as much noise as the samples have, and these distances grow with noise.
    """
    if len(samples) < 2 or len(reference) == 0:
        return None
    generator = np.random.default_rng(seed)
    values = [statistic(samples[generator.integers(0, len(samples), len(samples))], reference) for _ in range(draws)]
    value, spread = statistic(samples, reference), float(np.std(values))
    return max(value - 1.96 * spread, 0.0), value + 1.96 * spread


def share_interval(hits: int, num: int, *, draws: int = 10_000, seed: int = 0) -> tuple[float, float] | None:
    """95 % bootstrap percentile interval of a share: drawing yes-or-no rows again is drawing from a binomial."""
    if num == 0:
        return None
    values = np.random.default_rng(seed).binomial(num, hits / num, draws) / num
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def permutation_divergence(own: np.ndarray, orders: np.ndarray) -> tuple[float, float]:
    """How far a model is from giving one crystal the same likelihood in every order of its sites.

    Args:
        own: (n,) log-likelihood of each sample in the order in which it was generated, nats.
        orders: (n, k) its log-likelihood in k random orders, nats.

    Returns:
        Mean over samples of [own - mean over orders] (a Kullback-Leibler divergence, nats), and the standard deviation over orders
        (n - 1), averaged over samples.

    Raises:
        InputError: shapes that do not fit, or numbers that are not finite.

    Source: WyckoffTransformer appendix D, table 2.
    """
    own, orders = np.asarray(own, float), np.asarray(orders, float)
    if own.ndim != 1 or orders.ndim != 2 or len(own) != len(orders) or not len(own) or orders.shape[1] < 2:
        raise InputError(f"need own (n,) and orders (n, k) with n >= 1, k >= 2; got {own.shape} and {orders.shape}")
    if not (np.isfinite(own).all() and np.isfinite(orders).all()):
        raise InputError(
            "log-likelihoods must be finite (sequences that never stop have none: leave them out and say so)"
        )
    return float((own - orders.mean(axis=1)).mean()), float(orders.std(axis=1, ddof=1).mean())
