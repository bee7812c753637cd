"""Metrics of operations: is the predicted set a group, does the lattice allow it, do the atoms have it, does relaxation keep it."""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics.common import Findings, Skipped, Study, mean_of
from symjax.evaluate.sets import set_defects, stack
from symjax.evaluate.stages import NEARBY, column
from symjax.evaluate.statistics import Rows, group_distance, group_shares, jensen_shannon, permutation_test
from symjax.evaluate.symmetry import LADDER

SOURCE = "symjax"
LATTICE_TOLERANCE = 1e-6


def figures(study: Study) -> Findings:
    """Defects of sets, agreement of lattice and atoms with them, distribution of the generated groups, distances."""
    found, skipped = _sets(study)
    found += [*_steadiness(study), *_distances(study)]
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
            (Rows(numbers), Rows(real)),
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
            reference=real == 1,
        ),
        Figure(
            "symop.groups",
            "different space groups",
            float(len(np.unique(numbers))),
            len(numbers),
            "read off the operations",
            source=SOURCE,
            reference=float(len(np.unique(real))),
            num_reference=len(real),
            count=True,
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


def _steadiness(study: Study) -> list[Figure]:
    """Groups that depend on how atoms are listed, or on the second digit of the tolerance."""
    ours, theirs = study.samples.steadiness, study.reference.steadiness
    if ours is None or theirs is None:
        return []
    sides = ((ours, study.samples), (theirs, study.reference))
    found = []
    for key, name, said in (
        ("reordered", "group changes with the order of atoms", "listing the atoms backwards gives another space group"),
        (
            "tolerance",
            "group changes with the tolerance",
            f"at {NEARBY[0]:g} or {NEARBY[1]:g} Å the space group is another",
        ),
    ):
        flags = [column(rows, key, 0.0)[part.usable] > 0 for rows, part in sides]
        found.append(
            study.share(
                f"symop.group_{key}",
                name,
                flags[0],
                f"{said} than at 0.1 Å (5°) in the canonical order; over samples that are crystals",
                source=SOURCE,
                tolerance="0.1 Å / 5°",
                better="lower",
                reference=flags[1],
            )
        )
    return found


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
            reference=np.nan_to_num(reference.distance) >= 0.5,
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
                reference=np.nan_to_num(reference.ratio) >= bound,
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
                num_reference=len(theirs),
                p=permutation_test(
                    lambda drawn, _: float(drawn.mean()),
                    Rows(ours),
                    Rows(theirs),
                    tail="both",
                    draws=study.draws,
                    seed=study.seed,
                ).p,
            )
        )
    return found
