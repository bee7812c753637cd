"""How many real crystals come back from SymmCD's representation: ours, and the published code's replication and lattice.

    python -m benchmarks.symmcd_decode val.npz --num 200 [--noise 0.01]

Each crystal of a prepared data set is encoded (space group, k, atom nearest to the centre, site symmetries) and decoded with these
perfect values (with --noise, coordinates carry Gaussian noise of that size, in fractions of the cell); StructureMatcher with its
defaults compares with the crystal encoded. "close" is the share with atoms nearer than 0.5 angstrom. Rows of the table:

  ours        exact k, nearest point of the positions with that site symmetry, replication by the general position
  replication k exact, but points and orbits as in the published code: pyxtal's search_cloest_wp for every operation of every
              position with that site symmetry, the nearest by fractional distance, then the position's own operations from there on
  lattice     points as ours, but k from the logarithm of the non-symmetric matrix (c along z, a in the xz plane), masked
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np

from benchmarks.timing import watched
from symjax.crystals.io import to_pymatgen
from symjax.crystals.types import Crystal
from symjax.data.dataset import CrystalDataset, load
from symjax.groups.tables import wyckoff_letters
from symjax.lattice import lattice_parameters
from symjax.models.symmcd import projection
from symjax.models.symmcd.representation import (
    B_NORMS,
    Representation,
    k_from_lattice,
    lattice_from_k,
    lattice_masks,
    represent,
)
from symjax.wyckoff.types import positions_of_type

FAMILIES = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal/hexagonal", "cubic")
_EDGES = (3, 16, 75, 143, 195)


@cache
def pyxtal_group(number: int) -> Any:
    """pyxtal's group (its tables are read once)."""
    from pyxtal.symmetry import Group

    return Group(number)


def published_k(L: np.ndarray) -> np.ndarray:
    """(6,) coefficients as the published code makes them, masked."""
    from pymatgen.core import Lattice
    from scipy.linalg import logm

    S = np.real(logm(Lattice.from_parameters(*lattice_parameters(L)).matrix))
    basis = np.zeros((6, 3, 3))
    for index, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        basis[index, i, j] = basis[index, j, i] = 1
    basis[3], basis[4], basis[5] = np.diag([1, -1, 0]), np.diag([1, 1, -2]), np.eye(3)
    return np.einsum("jk,ijk->i", S, basis) / B_NORMS**2


def published_orbit(number: int, site: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(a, 3) atoms of one orbit as the published code makes them from a representative and its site symmetry."""
    from pyxtal.symmetry import search_cloest_wp

    group, letters = pyxtal_group(number), wyckoff_letters(number)
    best: tuple[float, Any, int, np.ndarray] | None = None
    kept = {letters[p] for p in np.flatnonzero((positions_of_type(number).site == site).all(axis=1))}
    for position in group.Wyckoff_positions:
        if position.letter not in kept:
            continue
        for index, op in enumerate(position.ops):
            point = search_cloest_wp(group, position, op, x.copy())
            distance = float(np.linalg.norm(np.minimum((point - x) % 1, (x - point) % 1)))
            if best is None or distance < best[0]:
                best = (distance, position, index, point)
    assert best is not None
    _, position, first, point = best
    ops = position.ops
    return np.array([ops[(first + i) % len(ops)].operate(point) % 1 for i in range(len(ops))])


def structure(crystal: Crystal) -> Any:
    """pymatgen's structure of the primitive cell."""
    return to_pymatgen(crystal.primitive())


def decode(data: Representation, k: np.ndarray) -> list[Crystal | None]:
    """Our projection and replication of perfect representatives with lattice coefficients k."""
    tables = projection.projection_tables(data.number)
    L = np.asarray(lattice_from_k(k))
    scores = projection.hamming_log_prob(data.site)
    found = jax.jit(projection.project)(tables, data.number, L, data.x, site_log_prob=scores, mask=data.mask)
    done = projection.replicate(data.number, L, data.z, found, mask=data.mask)
    for reason, times in done.failures.items():
        print(f"  refused: {reason}: {times}")
    return done.crystals


def published(data: Representation, i: int) -> Any:
    """pymatgen's structure with the published replication."""
    from pymatgen.core import Structure

    real = data.mask[i]
    orbits = [
        published_orbit(int(data.number[i]), s, x) for s, x in zip(data.site[i][real], data.x[i][real], strict=True)
    ]
    species = np.repeat(data.z[i][real], [len(orbit) for orbit in orbits])
    return Structure(np.asarray(lattice_from_k(data.k[i])), species, np.concatenate(orbits))


def too_close(found: Any) -> bool:
    """Whether two atoms of a structure are nearer than 0.5 angstrom (a structure that is refused counts)."""
    return found is None or not found.is_valid(0.5)


def compare(data: CrystalDataset, noise: float) -> dict[str, np.ndarray]:
    """(c,) bool per row of the table: whether each crystal comes back, and under "close NAME" whether atoms are too close."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    rep = represent(data)
    if noise:
        moved = np.mod(rep.x + noise * np.random.default_rng(0).normal(size=rep.x.shape), 1.0)
        rep = rep.replace(x=np.where(rep.mask[..., None], moved, 0.0))  # type: ignore[attr-defined]
    truth = [structure(data.crystal(i)) for i in range(len(data))]
    mask, constant = lattice_masks()
    wrong_k = np.array([published_k(L) for L in data.lattices()]) * mask[rep.number] + constant[rep.number]
    ours, lattice = decode(rep, rep.k), decode(rep, wrong_k)
    error = lattice_parameters(lattice_from_k(wrong_k)) - lattice_parameters(data.lattices())
    monoclinic = (rep.number >= 3) & (rep.number <= 15)
    edges, angles = np.abs(error[monoclinic, :3]).max(axis=1), np.abs(error[monoclinic, 3:]).max(axis=1)
    if monoclinic.any():
        print(
            f"published k, monoclinic cells: median largest error {np.median(edges):.2f} A, {np.median(angles):.2f} degrees"
        )
    exact = np.abs(lattice_parameters(lattice_from_k(rep.k)) - lattice_parameters(data.lattices())).max()
    print(f"polar k, all cells: largest error {exact:.1e} (A or degrees)")
    assert np.allclose(k_from_lattice(lattice_from_k(rep.k)), rep.k)
    made: dict[str, Callable[[int], Any]] = {
        "ours": lambda i: ours[i] and structure(ours[i]),
        "replication": lambda i: published(rep, i),
        "lattice": lambda i: lattice[i] and structure(lattice[i]),
    }
    matcher, out = StructureMatcher(), {}
    for name, make in made.items():
        start = time.time()
        structures = [make(i) for i in range(len(data))]
        out[name] = np.array(
            [s is not None and bool(matcher.fit(t, s)) for t, s in zip(truth, structures, strict=True)]
        )
        out["close " + name] = np.array([too_close(s) for s in structures])
        print(f"{name}: {out[name].mean():.3f} of {len(data)} restored ({time.time() - start:.0f} s)", file=sys.stderr)
    return out | {"family": np.searchsorted(_EDGES, rep.number, side="right")}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--num", type=int, default=200, help="crystals, drawn with seed 0; 0 for all")
    parser.add_argument("--noise", type=float, default=0.0, help="noise of the coordinates, in fractions of the cell")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    data = load(args.data)
    if args.num and args.num < len(data):
        data = data.subset(np.sort(np.random.default_rng(0).permutation(len(data))[: args.num]))
    found = compare(data, args.noise)
    single = float(np.mean(data.num_orbits == 1))
    print(f"crystals with one orbit, of which the published training keeps every atom: {100 * single:.1f} %")
    print(f"| decoded | all {len(data)} | close | " + " | ".join(FAMILIES) + " |")
    print("| --- " * (len(FAMILIES) + 3) + "|")
    for name in ("ours", "replication", "lattice"):
        shares = [found[name].mean(), found["close " + name].mean()] + [
            found[name][found["family"] == f].mean() for f in range(len(FAMILIES))
        ]
        print(f"| {name} | " + " | ".join(f"{100 * s:.1f} %" for s in shares) + " |")


if __name__ == "__main__":
    watched(main)
