"""Metrics of operations: is the predicted set a group, does the lattice allow it, do the atoms have it, does relaxation keep it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics.common import Findings, Skipped, Study, mean_of
from symjax.evaluate.stages import column
from symjax.evaluate.statistics import group_distance, group_shares, jensen_shannon
from symjax.evaluate.symmetry import LADDER

SOURCE = "symjax"
LATTICE_TOLERANCE = 1e-6


def figures(study: Study) -> Findings:
    """Defects of sets, agreement of lattice and atoms with them, distribution of the generated groups, distances."""
    found, skipped = _sets(study)
    found += _distances(study)
    return Findings(found, skipped)


def _sets(study: Study) -> tuple[list[Figure], list[Skipped]]:
    samples = study.samples
    owned = np.array([cell is not None and len(cell.W) > 0 for cell in samples.cells], bool)
    raw = study.inputs.get("operations")
    found, skipped = [], []
    if raw is not None:
        found += _defect_figures("symop.raw", "raw sets: ", *raw)
    else:
        skipped.append(
            Skipped("symop.raw_closed", "no raw predicted sets given (--operations FILE.npz with W, w, mask)")
        )
    if not owned.any() or samples.operations is None:
        skipped.append(
            Skipped(
                "symop.closed",
                "the samples carry no operations (CIF text has none; prepared files and `symjax generate` do)",
            )
        )
        return found, skipped
    cells = [cell for cell, own in zip(samples.cells, owned) if own and cell is not None]
    W, w, mask, den = stack(cells)
    found += _defect_figures("symop", "", W, w, mask, den)
    defects = column(samples.operations, "lattice_defect", np.inf)[owned]
    found.append(
        study.share(
            "symop.lattice_compatible",
            "lattices compatible",
            defects < LATTICE_TOLERANCE,
            "|WᵀGW - G| < 1e-6 of the largest entry of the metric G for every operation",
            source=SOURCE,
            better="higher",
        )
    )
    found += _ladder(study, owned)
    found += _generated_groups(study, owned)
    return found, skipped


def _defect_figures(
    prefix: str, title: str, W: np.ndarray, w: np.ndarray, mask: np.ndarray, den: int = 24
) -> list[Figure]:
    """Shares of sets that are closed, hold all inverses, hold the identity; and mean shares of missing products and inverses."""
    closed, inverse, identity = set_defects(W, w, mask, den)
    num = len(closed)
    join = "_" if "raw" in prefix else "."
    said = "exact integers, translations modulo the lattice of the cell"
    more: dict[str, Any] = {"source": SOURCE, "better": "higher"}
    return [
        Figure(
            f"{prefix}{join}closed",
            f"{title}sets closed",
            mean_of(closed == 0),
            num,
            f"all products of two operations are in the set; {said}",
            **more,
        ),
        Figure(
            f"{prefix}{join}inverse",
            f"{title}sets with all inverses",
            mean_of(inverse == 0),
            num,
            f"the inverse of each operation is in the set; {said}",
            **more,
        ),
        Figure(
            f"{prefix}{join}identity",
            f"{title}sets with the identity",
            mean_of(identity),
            num,
            f"the identity is in the set; {said}",
            **more,
        ),
        Figure(
            f"{prefix}{join}missing_products",
            f"{title}missing products",
            mean_of(closed),
            num,
            f"mean share of products of two operations that are not in the set; {said}",
            source=SOURCE,
            better="lower",
        ),
        Figure(
            f"{prefix}{join}missing_inverses",
            f"{title}missing inverses",
            mean_of(inverse),
            num,
            f"mean share of operations whose inverse is not in the set; {said}",
            source=SOURCE,
            better="lower",
        ),
    ]


def _ladder(study: Study, owned: np.ndarray) -> list[Figure]:
    rows = [row for row, own in zip(study.samples.operations or (), owned) if own]
    found = []
    for i, tolerance in enumerate(LADDER):
        for key, title, definition in (
            (
                "contains",
                "holds the generated group",
                "spglib (own angle rule) finds every generated operation in the atoms",
            ),
            ("equals", "has exactly the generated group", "it finds those and no other"),
        ):
            flags = np.array([row is not None and "error" not in row and row[key][i] for row in rows], bool)
            found.append(
                study.share(
                    f"symop.{key}_{tolerance:g}",
                    f"{title}, {tolerance:g} Å",
                    flags,
                    definition + "; over samples with operations",
                    source=SOURCE,
                    tolerance=f"{tolerance:g} Å",
                    better="higher",
                )
            )
    return found


def _generated_groups(study: Study, owned: np.ndarray) -> list[Figure]:
    samples = study.samples
    numbers, real = samples.generated_number[owned], reference_numbers(study)
    rule = "Jensen-Shannon distance (natural logarithm) of groups read off the operations, no search in the atoms"
    found = [
        study.compare(
            "symop.js_groups",
            "space groups, JS distance",
            group_distance,
            numbers,
            real,
            rule,
            source=SOURCE,
            note="the reference's groups are read off its operations if it has any, else found at 0.1 Å",
        )
    ]
    if study.train is not None and study.train.usable.any():
        known = study.train.generated_number if study.train.generated_number.any() else study.train.number
        known = known[study.train.usable]
        score = _draws_against(known, real, len(numbers), study)
        found.append(
            Figure(
                "symop.js_groups_train",
                "the same of draws from train",
                score,
                len(numbers),
                f"what as many crystals drawn from train score against the reference, mean of {study.draws} draws",
                source=SOURCE,
                better="lower",
            )
        )
    found += [
        study.share(
            "symop.p1",
            "P1",
            numbers == 1,
            "the generated set is the identity alone",
            source=SOURCE,
            reference=mean_of(real == 1),
        ),
        Figure(
            "symop.groups",
            "different space groups",
            float(len(np.unique(numbers))),
            len(numbers),
            "read off the operations",
            source=SOURCE,
            reference=float(len(np.unique(real))),
            note="grows with the number of samples",
        ),
    ]
    return found


def reference_numbers(study: Study) -> np.ndarray:
    """Groups of the usable reference rows: read off their operations if they have any, else found at 0.1 angstrom."""
    reference = study.reference
    numbers = np.where(reference.generated_number > 0, reference.generated_number, reference.number)
    return numbers[reference.usable]


def _draws_against(source: np.ndarray, target: np.ndarray, num: int, study: Study) -> float:
    generator = np.random.default_rng(study.seed)
    share, wanted = group_shares(source), group_shares(target)
    return float(np.mean([jensen_shannon(generator.multinomial(num, share) / num, wanted) for _ in range(study.draws)]))


def _distances(study: Study) -> list[Figure]:
    samples, reference = study.samples, study.reference
    where = "all atoms and periodic images, own images included; over all rows"
    found = [
        study.share(
            "symop.distance_0.5",
            "no two atoms under 0.5 Å",
            np.nan_to_num(samples.distance) >= 0.5,
            where,
            source=SOURCE,
            better="higher",
            reference=mean_of(np.nan_to_num(reference.distance) >= 0.5),
        )
    ]
    for bound in (0.6, 0.8):
        found.append(
            study.share(
                f"symop.ratio_{bound}",
                f"none under {bound} of covalent radii",
                np.nan_to_num(samples.ratio) >= bound,
                f"no distance below {bound} of the sum of covalent radii (Cordero 2008); {where}",
                source=SOURCE,
                better="higher",
                reference=mean_of(np.nan_to_num(reference.ratio) >= bound),
            )
        )
    for key, name, ours, theirs in (
        ("sites", "orbits", samples.sites[samples.sites > 0], reference.sites[reference.sites > 0]),
        (
            "atoms",
            "atoms in the primitive cell",
            samples.primitive_atoms[np.isfinite(samples.primitive_atoms)],
            reference.primitive_atoms[np.isfinite(reference.primitive_atoms)],
        ),
    ):
        found.append(
            Figure(
                f"symop.mean_{key}",
                f"mean number of {name}",
                mean_of(ours),
                len(ours),
                f"mean over crystals; {name}",
                source=SOURCE,
                reference=mean_of(theirs),
            )
        )
    return found


def lattice_defect(cell: AtomicStructure) -> float:
    """Largest entry of |W^T G W - G| over the operations, relative to the largest entry of the metric G."""
    metric = cell.L @ cell.L.T
    moved = np.einsum("gji,jk,gkl->gil", cell.W, metric, cell.W)
    return float(np.abs(moved - metric).max(initial=0.0) / np.abs(metric).max())


def stack(cells: Sequence[AtomicStructure]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The sets of some cells as padded arrays: W (n, m, 3, 3), w (n, m, 3), mask (n, m), and their denominator."""
    size, den = max(len(cell.W) for cell in cells), cells[0].den
    W = np.tile(np.eye(3, dtype=np.int64), (len(cells), size, 1, 1))
    w, mask = np.zeros((len(cells), size, 3), np.int64), np.zeros((len(cells), size), bool)
    for i, cell in enumerate(cells):
        if cell.den != den:
            raise InputError(f"sets with denominators {den} and {cell.den} cannot be put together")
        W[i, : len(cell.W)], w[i, : len(cell.W)], mask[i, : len(cell.W)] = cell.W, cell.w, True
    return W, w, mask, den


def set_defects(
    W: np.ndarray, w: np.ndarray, mask: np.ndarray, den: int = 24
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far sets of operations are from groups, in exact integers; independent of `symjax.groups`.

    Args:
        W: (n, m, 3, 3) rotation parts.
        w: (n, m, 3) translations in units of 1/den.
        mask: (n, m) which entries are members.
        den: the denominator.

    Returns:
        (n,) share of ordered pairs whose product is missing, (n,) share of members whose inverse is missing, (n,) whether
        the identity is a member. An empty set misses everything.

    Raises:
        InputError: shapes that do not fit, or a rotation part with an entry beyond 8.
    """
    W, w, mask = np.asarray(W, np.int64), np.asarray(w, np.int64), np.asarray(mask, bool)
    if W.shape != (*mask.shape, 3, 3) or w.shape != (*mask.shape, 3):
        raise InputError(f"sets need W (n, m, 3, 3), w (n, m, 3), mask (n, m); got {W.shape}, {w.shape}, {mask.shape}")
    products, inverses, identities = np.ones(len(W)), np.ones(len(W)), np.zeros(len(W), bool)
    seen: dict[bytes, tuple[float, float, bool]] = {}
    for i in range(len(W)):
        live = mask[i]
        if live.any():
            key = W[i][live].tobytes() + w[i][live].tobytes()
            if key not in seen:
                seen[key] = _defects(W[i][live], w[i][live], den)
            products[i], inverses[i], identities[i] = seen[key]
    return products, inverses, identities


def is_closed(W: Any, w: Any, den: int = 24) -> bool:
    """Whether the product of any two operations of one set (m, 3, 3), (m, 3) is among them."""
    W, w = np.asarray(W, np.int64), np.asarray(w, np.int64)
    return bool(len(W) > 0 and set_defects(W[None], w[None], np.ones((1, len(W)), bool), den)[0][0] == 0)


def _defects(W: np.ndarray, w: np.ndarray, den: int) -> tuple[float, float, bool]:
    members = _codes(W, w % den, den)
    if members.min() < 0:
        raise InputError("rotation parts with entries beyond 8 cannot be checked here; use symjax.groups")
    products = _codes(np.einsum("aij,bjk->abik", W, W), (np.einsum("aij,bj->abi", W, w) + w[:, None]) % den, den)
    identity = int(_codes(np.eye(3, dtype=np.int64), np.zeros(3, np.int64), den))
    missing = 1.0 - float(np.isin(products, members).mean())
    return missing, float((~(products == identity).any(axis=1)).mean()), bool((members == identity).any())


def _codes(W: np.ndarray, w: np.ndarray, den: int) -> np.ndarray:
    """One integer for each operation, -1 where a rotation part has an entry beyond 8 (then it is no member of any set)."""
    flat = W.reshape(*W.shape[:-2], 9)
    rotation = (flat + 8) @ (17 ** np.arange(9, dtype=np.int64))
    code = rotation * den**3 + w @ (den ** np.arange(3, dtype=np.int64))
    return np.where((np.abs(flat) <= 8).all(axis=-1), code, -1)
