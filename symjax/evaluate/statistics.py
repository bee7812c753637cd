"""Statistics of two sets of crystals: pure functions over arrays, and the noise that finite numbers give them.

A two-sample statistic is a function ``f(samples, reference)`` of two arrays whose first axis is the crystal. Distances never reach
zero with finite samples: a Jensen-Shannon distance of space groups is 0.15 between 1,000 real crystals and 7,140 other real ones.
So each is judged by one test, `permutation_test`: both sides are pooled and split again into as many samples and as many reference
crystals, which is what the statistic would give if both were drawn from one source. Mean and deviation are the *floor*, and the
p-value is exact: real crystals against real ones are called different at the nominal rate, whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from symjax.errors import InputError
from symjax.evaluate.figure import Floor

DRAWS = 199
"""Permutations of a test; the smallest p-value is one over one more, 0.005."""
MAX_NATS = float(np.sqrt(np.log(2.0)))
"""Largest Jensen-Shannon distance, natural logarithm."""
Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

TwoSample = Callable[[np.ndarray, np.ndarray], float]
Tail = Literal["upper", "lower", "both"]
"""Which values speak against one common source: large ones (distances), small ones (coverage), or either (counts)."""


@dataclass(frozen=True)
class Rows:
    """One side of a comparison: all its crystals, and which of them the figure is over.

    A published rule may look at crystals in another way when they are the samples than when they are the reference (valid ones
    against all, 0.1 angstrom against 0.01). A fair test must then use both ways on both sides, so each row carries both.

    Attributes:
        values: (n, ...) what a row counts with among the samples.
        keep: (n,) bool, whether it counts among the samples; None for all.
        classes: (n,) integers, equal for equal crystals of either side; of each class only the first row counts among the samples.
            None where repeated crystals count.
        known: (n, ...) what it counts with in the reference; None for ``values``.
        counted: (n,) bool, whether it counts in the reference; None for all.
    """

    values: np.ndarray
    keep: np.ndarray | None = None
    classes: np.ndarray | None = None
    known: np.ndarray | None = None
    counted: np.ndarray | None = None

    def __len__(self) -> int:
        """Rows, counted or not."""
        return len(self.values)

    def as_samples(self) -> np.ndarray:
        """Values of the rows that count among the samples."""
        return self.values[self.chosen(np.arange(len(self)))]

    def as_reference(self) -> np.ndarray:
        """Values of the rows that count in the reference."""
        known = self.values if self.known is None else self.known
        return known if self.counted is None else known[self.counted]

    def chosen(self, order: np.ndarray) -> np.ndarray:
        """Of rows in an order, those that count among the samples: the first of each class, if it is to be kept."""
        if self.classes is not None:
            order = order[np.sort(np.unique(self.classes[order], return_index=True)[1])]
        return order if self.keep is None else order[self.keep[order]]


class Outcome(NamedTuple):
    """What a test gave: mean and standard deviation of the statistic under one common source, and the p-value (NaN: no test)."""

    mean: float
    sd: float
    p: float


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


def pool(samples: Rows, reference: Rows) -> Rows:
    """Both sides one after the other."""

    def joined(name: str, fill: Callable[[Rows], np.ndarray]) -> np.ndarray | None:
        sides = [getattr(side, name) for side in (samples, reference)]
        if all(side is None for side in sides):
            return None
        return np.concatenate([fill(rows) if side is None else side for rows, side in zip((samples, reference), sides)])

    if (samples.classes is None) != (reference.classes is None):
        raise InputError("classes of equal crystals must be given for both sides or for neither")
    return Rows(
        values=np.concatenate([samples.values, reference.values]),
        keep=joined("keep", lambda rows: np.ones(len(rows), bool)),
        classes=joined("classes", lambda rows: np.arange(len(rows))),
        known=joined("known", lambda rows: rows.values),
        counted=joined("counted", lambda rows: np.ones(len(rows), bool)),
    )


def permutation_test(
    statistic: TwoSample, samples: Rows, reference: Rows, *, tail: Tail = "upper", draws: int = DRAWS, seed: int = 0
) -> Outcome:
    """Whether the samples could have been drawn like the reference: the pooled rows split again, many times over.

    Rows are split before they are selected, so a rule that keeps valid or unique crystals among the samples is applied to each
    split as it was to the samples. Under one common source the p-value is at most ``a`` with probability at most ``a``, exactly.

    Args:
        statistic: of the values that count among the samples and those that count in the reference.
        samples: n rows.
        reference: m rows.
        tail: which values speak against a common source.
        draws: splits.
        seed: of the splits.

    Source: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses (2005), chapter 3; p with the observed split counted.
    """
    both, num = pool(samples, reference), len(samples)
    known = both.values if both.known is None else both.known

    def score(order: np.ndarray) -> float:
        ours, theirs = both.chosen(order[:num]), order[num:]
        theirs = theirs if both.counted is None else theirs[both.counted[theirs]]
        return statistic(both.values[ours], known[theirs]) if len(ours) and len(theirs) else float("nan")

    observed = score(np.arange(len(both)))
    generator = np.random.default_rng(seed)
    drawn = np.array([score(generator.permutation(len(both))) for _ in range(draws)])
    return judged(observed, drawn, tail)


def judged(observed: float, drawn: np.ndarray, tail: Tail) -> Outcome:
    """The test of a value against what the statistic gave under one common source; splits that gave none are left out."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn) or not np.isfinite(observed):
        return Outcome(float("nan"), float("nan"), float("nan"))
    slack = 1e-12 * max(1.0, abs(observed))  # sums in another order
    above = (1 + int((drawn >= observed - slack).sum())) / (1 + len(drawn))
    below = (1 + int((drawn <= observed + slack).sum())) / (1 + len(drawn))
    p = {"upper": above, "lower": below, "both": min(1.0, 2 * min(above, below))}[tail]
    return Outcome(float(drawn.mean()), float(drawn.std()), p)


def share_test(hits: int, num: int, known: int, total: int) -> float:
    """p-value of two shares, ``hits`` of ``num`` and ``known`` of ``total``: Fisher's exact test, two-sided; NaN without rows."""
    from scipy.stats import fisher_exact

    if not num or not total:
        return float("nan")
    return float(fisher_exact([[hits, num - hits], [known, total - known]])[1])


def share_interval(hits: int, num: int) -> tuple[float, float] | None:
    """95 % interval of the share in the source that ``num`` rows were drawn from (Wilson's score interval); None without rows.

    Holds the true share about as often as it says also near 0 and 1, where the interval of a bootstrap has no width.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209; Brown, Cai and DasGupta, Statistical Science 16 (2001) 101.
    """
    if num == 0:
        return None
    share, z2 = hits / num, Z95**2
    middle = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = Z95 / (1 + z2 / num) * np.sqrt(share * (1 - share) / num + z2 / (4 * num**2))
    low, high = float(middle - half), float(middle + half)
    return (0.0 if hits == 0 else low), (1.0 if hits == num else high)


def halves_floor(
    score: Callable[[np.ndarray, np.ndarray], float], total: int, num: int, *, draws: int, seed: int
) -> Floor | None:
    """What real crystals score as samples: ``num`` rows of the reference (half of it at most) against its other rows.

    Args:
        score: of two arrays of row numbers without a common one: as samples, as reference.
        total: rows of the reference.
        num: samples to be matched.
        draws: how often a part is drawn.
        seed: of the draws.

    Returns:
        None where the reference has fewer than two rows or there are no samples.
    """
    size = min(num, total // 2)
    if size < 1:
        return None
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        order = generator.permutation(total)
        values.append(score(order[:size], order[size:]))
    return Floor(float(np.mean(values)), float(np.std(values)), size, total - size)


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
