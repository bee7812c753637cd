"""Coverage, diversity and moment discrepancy of two sets of fingerprints: pure functions over arrays (float64).

Distances are Euclidean. Composition fingerprints must be standardised first (`standardise`); structure fingerprints are used
as they are. Rows are crystals; a crystal without a fingerprint has no row, and is counted in the number of generated crystals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np

from symjax.errors import InputError

CUTOFFS = {"mp20": (0.4, 10.0), "carbon": (0.2, 4.0), "perovskite": (0.2, 4.0)}
"""(structure, composition) cutoffs by family of data (CDVAE, scripts/compute_metrics.py)."""

_BLOCK = 512


@dataclass(frozen=True)
class Coverage:
    """How two sets of crystals cover each other.

    A row is covered if its nearest structure fingerprint and its nearest composition fingerprint on the other side are both
    within their cutoffs; the two may belong to different crystals (trap of the published rule). The joint shares ask for one
    crystal within both.

    Attributes:
        recall: share of the reference covered by the generated crystals; denominator ``num_reference``.
        precision: share of the generated crystals covered by the reference; denominator ``num_generated``, failed ones included.
        recall_structure, recall_composition: the same with one of the two conditions.
        precision_structure, precision_composition: the same with one of the two conditions.
        recall_joint, precision_joint: the same, one partner for both conditions.
        amsd_recall, amsd_precision: mean smallest structure distance, over reference rows and over generated rows.
        amcd_recall, amcd_precision: mean smallest composition distance, over reference rows and over generated rows.
        num_generated: generated crystals, with those that have no fingerprint.
        num_reference: reference crystals, with those that have no fingerprint.
        structure_cutoff, composition_cutoff: the cutoffs; a distance equal to one passes.
        covered_reference: (m,) bool, reference rows behind ``recall``.
        covered_generated: (n,) bool, generated rows behind ``precision``.
    """

    recall: float
    precision: float
    recall_structure: float
    recall_composition: float
    precision_structure: float
    precision_composition: float
    recall_joint: float
    precision_joint: float
    amsd_recall: float
    amsd_precision: float
    amcd_recall: float
    amcd_precision: float
    num_generated: int
    num_reference: int
    structure_cutoff: float
    composition_cutoff: float
    covered_reference: np.ndarray = field(repr=False, compare=False)
    covered_generated: np.ndarray = field(repr=False, compare=False)


def coverage(
    structure_gen: np.ndarray,
    composition_gen: np.ndarray,
    structure_ref: np.ndarray,
    composition_ref: np.ndarray,
    *,
    num_generated: int,
    num_reference: int | None = None,
    structure_cutoff: float = 0.4,
    composition_cutoff: float = 10.0,
) -> Coverage:
    """Coverage of two sets (COV-R and COV-P, AMSD and AMCD of CDVAE).

    Args:
        structure_gen: (n, d) structure fingerprints of the generated crystals that have one.
        composition_gen: (n, e) their standardised composition fingerprints.
        structure_ref: (m, d) the same of the reference.
        composition_ref: (m, e) the same of the reference.
        num_generated: all generated crystals, at least n.
        num_reference: all reference crystals, at least m; None for m.
        structure_cutoff: largest structure distance that counts.
        composition_cutoff: largest composition distance that counts.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, no reference, or fewer crystals than rows.

    Source: CDVAE (arXiv 2110.06197), section 5.2, scripts/eval_utils.py.
    """
    (sg, cg), (sr, cr) = _rows(structure_gen, composition_gen), _rows(structure_ref, composition_ref)
    all_ref = len(sr) if num_reference is None else num_reference
    if len(sr) == 0 or (len(sg) and (sg.shape[1], cg.shape[1]) != (sr.shape[1], cr.shape[1])):
        raise InputError(
            f"generated fingerprints {sg.shape}, {cg.shape} do not fit the reference's {sr.shape}, {cr.shape}"
        )
    if num_generated < len(sg) or all_ref < len(sr):
        raise InputError(
            f"{num_generated} generated and {all_ref} reference crystals for {len(sg)} and {len(sr)} fingerprints"
        )
    near, joint_gen, joint_ref = _nearest(sg, cg, sr, cr, (structure_cutoff, composition_cutoff))
    s_gen, c_gen, s_ref, c_ref = near
    in_s_gen, in_c_gen = s_gen <= structure_cutoff, c_gen <= composition_cutoff
    in_s_ref, in_c_ref = s_ref <= structure_cutoff, c_ref <= composition_cutoff
    return Coverage(
        recall=_share(in_s_ref & in_c_ref, all_ref),
        precision=_share(in_s_gen & in_c_gen, num_generated),
        recall_structure=_share(in_s_ref, all_ref),
        recall_composition=_share(in_c_ref, all_ref),
        precision_structure=_share(in_s_gen, num_generated),
        precision_composition=_share(in_c_gen, num_generated),
        recall_joint=_share(joint_ref, all_ref),
        precision_joint=_share(joint_gen, num_generated),
        amsd_recall=_mean(s_ref),
        amsd_precision=_mean(s_gen),
        amcd_recall=_mean(c_ref),
        amcd_precision=_mean(c_gen),
        num_generated=num_generated,
        num_reference=all_ref,
        structure_cutoff=structure_cutoff,
        composition_cutoff=composition_cutoff,
        covered_reference=in_s_ref & in_c_ref,
        covered_generated=in_s_gen & in_c_gen,
    )


class Neighbours:
    """Which of p pooled crystals are within the cutoffs of which: what tests of coverage split again and again.

    Args:
        structure: (p, 61) structure fingerprints, samples first.
        composition: (p, 132) standardised composition fingerprints.
        cutoffs: of structure and composition.

    Bits take p^2 / 4 bytes. Distances are worked out by products of matrices, so one that equals a cutoff to rounding may fall on
    either side.
    """

    def __init__(self, structure: np.ndarray, composition: np.ndarray, cutoffs: tuple[float, float]):
        self.bits = tuple(_near_bits(values, cutoff) for values, cutoff in zip((structure, composition), cutoffs))

    def covered(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(k,) bool: of the rows (k,), those with one of the other rows near in structure and one near in composition."""
        marked = np.zeros(self.bits[0].shape[0], bool)
        marked[others] = True
        mask = np.packbits(marked)
        return np.logical_and.reduce([(bits[rows] & mask).any(axis=1) for bits in self.bits])


def _near_bits(values: np.ndarray, cutoff: float) -> np.ndarray:
    """(p, ceil(p / 8)) packed booleans: which rows of (p, d) are within a distance of each row."""
    squares = (values**2).sum(axis=1)
    return np.concatenate(
        [
            np.packbits(squares[block, None] + squares - 2 * values[block] @ values.T <= cutoff**2, axis=1)
            for block in _blocks(len(values))
        ]
    )


def standardise(composition: np.ndarray, means: np.ndarray | None = None, sds: np.ndarray | None = None) -> np.ndarray:
    """Subtract means, divide by standard deviations (those that are zero count as 1), then put 0 where data are missing.

    Args:
        composition: (n, 132) raw Magpie fingerprints, NaN where missing.
        means: (132,) means; None, for both, takes the constants of CDVAE (`published_scaler`).
        sds: (132,) standard deviations.

    Raises:
        InputError: only one of the two given, or shapes that do not fit.
    """
    if (means is None) != (sds is None):
        raise InputError("give both means and standard deviations, or neither")
    if means is None or sds is None:
        means, sds = published_scaler()
    rows = np.asarray(composition, np.float64)
    if rows.ndim != 2 or np.shape(means) != rows.shape[1:] or np.shape(sds) != rows.shape[1:]:
        raise InputError(f"fingerprints {rows.shape} need means and standard deviations ({rows.shape[-1]},)")
    return np.nan_to_num((rows - means) / np.where(np.asarray(sds) == 0, 1.0, sds), nan=0.0)


def published_scaler() -> tuple[np.ndarray, np.ndarray]:
    """(132,) means and (132,) standard deviations with which all published coverage is standardised.

    Source: the numbers of txie-93/cdvae, cdvae/common/constants.py (MIT licence), in the order of matminer's preset "magpie".
    """
    means, sds = _published()
    return means.copy(), sds.copy()


@cache
def _published() -> tuple[np.ndarray, np.ndarray]:
    with resources.files("symjax.evaluate").joinpath("magpie_scaler.npz").open("rb") as handle, np.load(handle) as data:
        return data["means"], data["sds"]


def own_scaler(composition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(d,) means and (d,) standard deviations of raw fingerprints (n, d), missing data left out: the scaler of other data."""
    rows = np.asarray(composition, np.float64)
    if rows.ndim != 2 or not len(rows):
        raise InputError(f"a scaler needs fingerprints (n, d) with n >= 1, got {rows.shape}")
    live = np.isfinite(rows)
    count = np.maximum(live.sum(axis=0), 1)
    means = np.where(live, rows, 0.0).sum(axis=0) / count
    return means, np.sqrt((np.where(live, rows - means, 0.0) ** 2).sum(axis=0) / count)


def diversity(fingerprints: np.ndarray) -> float:
    """Mean Euclidean distance of all pairs of rows of (n, d); NaN for fewer than two rows.

    Source: CDVAE, scripts/compute_metrics.py; WyckoffAUGen table 1 (structure raw, composition standardised).
    """
    from scipy.spatial.distance import cdist, pdist

    rows = np.asarray(fingerprints, np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise InputError(f"diversity needs finite fingerprints (n, d), got shape {rows.shape}")
    num, total = len(rows), 0.0
    if num < 2:
        return float("nan")
    for block in _blocks(num):
        total += pdist(rows[block]).sum() + cdist(rows[block], rows[block.stop :]).sum()
    return float(total / (num * (num - 1) / 2))


def distances(fingerprints: np.ndarray) -> np.ndarray:
    """(n, n) Euclidean distances of the rows of (n, d)."""
    from scipy.spatial.distance import cdist

    return cdist(fingerprints, fingerprints)


def central_moment_discrepancy(
    x: np.ndarray, y: np.ndarray, *, moments: int = 50, bounds: tuple[float, float] = (0.0, 1.0)
) -> float:
    """Central moment discrepancy of two samples, features taken one by one.

    ``|E x - E y| / (b - a) + sum over k = 2..moments of |c_k(x) - c_k(y)| / (b - a)^k``, with Euclidean norms over features and
    c_k the k-th central moment of each feature (divided by the number of rows).

    Args:
        x: (n, d) fingerprints.
        y: (m, d) fingerprints.
        moments: largest k, at least 1.
        bounds: a and b; the range of the features (order parameters: 0 to 1).

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, no rows, or bounds in the wrong order.

    Source: Zellinger et al., ICLR 2017 (arXiv 1702.08811), definition 2; WyckoffAUGen table 1 for CrystalNN fingerprints.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not (len(x) and len(y)):
        raise InputError(f"need samples (n, d) and (m, d) with rows, got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and bounds[0] < bounds[1] and moments >= 1):
        raise InputError(f"need finite samples, bounds a < b and moments >= 1; got bounds {bounds}, moments {moments}")
    width = bounds[1] - bounds[0]
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    away_x, away_y = (x - mean_x) / width, (y - mean_y) / width
    total = float(np.linalg.norm(mean_x - mean_y)) / width
    power_x, power_y = away_x.copy(), away_y.copy()
    for _ in range(2, moments + 1):
        power_x *= away_x
        power_y *= away_y
        total += float(np.linalg.norm(power_x.mean(axis=0) - power_y.mean(axis=0)))
    return total


def _rows(structure: np.ndarray, composition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s, c = np.asarray(structure, np.float64), np.asarray(composition, np.float64)
    if s.size == 0 and c.size == 0:
        return s.reshape(0, 0), c.reshape(0, 0)
    if s.ndim != 2 or c.ndim != 2 or len(s) != len(c):
        raise InputError(
            f"need structure and composition fingerprints of the same crystals, got {s.shape} and {c.shape}"
        )
    if not (np.isfinite(s).all() and np.isfinite(c).all()):
        raise InputError(
            "fingerprints must be finite: standardise compositions, and leave out crystals without fingerprints"
        )
    return s, c


def _nearest(
    sg: np.ndarray, cg: np.ndarray, sr: np.ndarray, cr: np.ndarray, cutoffs: tuple[float, float]
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Smallest distances (structure gen, composition gen, structure ref, composition ref), then who has a joint partner."""
    from scipy.spatial.distance import cdist

    s_gen, c_gen = np.full(len(sg), np.inf), np.full(len(sg), np.inf)
    s_ref, c_ref = np.full(len(sr), np.inf), np.full(len(sr), np.inf)
    joint_gen, joint_ref = np.zeros(len(sg), bool), np.zeros(len(sr), bool)
    for block in _blocks(len(sg)):
        s, c = cdist(sg[block], sr), cdist(cg[block], cr)
        s_gen[block], c_gen[block] = s.min(axis=1), c.min(axis=1)
        s_ref, c_ref = np.minimum(s_ref, s.min(axis=0)), np.minimum(c_ref, c.min(axis=0))
        both = (s <= cutoffs[0]) & (c <= cutoffs[1])
        joint_gen[block] = both.any(axis=1)
        joint_ref |= both.any(axis=0)
    return (s_gen, c_gen, s_ref, c_ref), joint_gen, joint_ref


def _blocks(num: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, num)) for start in range(0, num, _BLOCK))


def _share(hits: np.ndarray, num: int) -> float:
    return float(hits.sum() / num) if num else float("nan")


def _mean(values: np.ndarray) -> float:
    """Mean; NaN where there is nothing to be near to."""
    return float(values.mean()) if len(values) and np.isfinite(values).all() else float("nan")
