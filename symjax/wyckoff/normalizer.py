"""The normalizer of a space group: the affine maps that conjugate it into itself, and how they permute its Wyckoff positions.

Owns `AffineNormalizer`, `derive_normalizer` (from operations alone) and `normalizer`, which reads what that gave for the 230
standard settings (normalizers.npz, made by scripts/make_normalizers.py). The choice of origin and axes of a crystal's standard
setting is free up to these maps, so the letters of its Wyckoff positions are free up to these permutations.

How: for each candidate rotation part M the group's operations (W, w) go to (M W M^-1, M w + t - M W M^-1 t), which must be the
group's own operation of that rotation part modulo its lattice. That is linear in t on a torus: all solutions come from the Smith
normal form, one of each connected family (shifts along a polar axis move no position onto another).

Which M: all of the holohedry of the crystal system, in orthorhombic and higher systems all that exist (signed permutations of the
axes, or 6/mmm in hexagonal axes; orthorhombic axes may be exchanged though their lengths differ). Monoclinic and triclinic groups
have infinitely many more, which go with other choices of the cell; they are left out, as in the tables of pyxtal, because a reduced
cell fixes that choice. Source: International Tables for Crystallography A, chapter 3.5 (Euclidean and affine normalizers).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.groups.packaged import arrays, check_number, rows_of
from symjax.groups.primitive import PrimitiveForm, origin_solutions, primitive_form
from symjax.groups.setting import generating_rows, rotation_products
from symjax.groups.tables import NUM_TYPES, standard_frame, standard_setting
from symjax.ops import exact
from symjax.ops.types import DEN
from symjax.wyckoff.orbits import place
from symjax.wyckoff.positions import WyckoffPositions, wyckoff_positions
from symjax.wyckoff.types import MAX_POSITIONS

MAX_PERMUTATIONS = 48

_GENERIC = np.array([0.137035999, 0.271828183, 0.318309886])  # free coordinates on no special flat


@dataclass(frozen=True)
class AffineNormalizer:
    """One map for each distinct permutation of the p Wyckoff positions of a standard setting; the identity first.

    Proper maps are preferred: an improper one stands only where no proper one gives the permutation (some groups without mirror
    operations), and there it takes a crystal to its mirror image.

    Attributes:
        M: (v, 3, 3) int64 of determinant +-1, on fractional coordinates of the conventional cell.
        t: (v, 3) int64 in 24ths: a point x goes to M x + t / 24.
        permutations: (v, p) int64: position i goes to permutations[:, i]. They are a group.
    """

    M: np.ndarray
    t: np.ndarray
    permutations: np.ndarray

    def __len__(self) -> int:
        """Distinct permutations."""
        return len(self.M)


@cache
def _signed_permutations() -> np.ndarray:
    """(48, 3, 3) the holohedry of a cubic lattice, the identity first."""
    one = np.eye(3, dtype=np.int64)
    return np.array(
        [
            one[list(order)] * signs
            for order in itertools.permutations(range(3))
            for signs in itertools.product((1, -1), repeat=3)
        ]
    )


def candidate_rotations(number: int) -> np.ndarray:
    """(m, 3, 3) rotation parts tried, the identity first: the holohedry, or all 48 signed permutations from number 16 on."""
    signed = _signed_permutations()
    if number <= 2:
        return signed[[0, 7]]
    if number <= 15:
        return signed[
            (signed == signed * np.eye(3, dtype=np.int64)).all(axis=(1, 2)) & (signed[:, 0, 0] == signed[:, 2, 2])
        ]
    if standard_frame(number) == 0:
        return signed
    sixfold = np.array([[1, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = [np.linalg.matrix_power(sixfold, n) for n in range(6)]
    mirror, flip = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), np.diag([1, 1, -1])
    one = np.eye(3, dtype=np.int64)
    return np.array([turn @ m @ f for m in (one, mirror) for f in (one, flip) for turn in turned])


def normalizer(number: int) -> AffineNormalizer:
    """Normalizer of a standard setting as stored; equal to `derive_normalizer` (tests/groups/test_site_symbols.py).

    Raises:
        InputError: no space-group number.
    """
    return _normalizer(check_number(number))  # checked first: True would find what is kept for 1


@cache
def _normalizer(number: int) -> AffineNormalizer:
    data, rows = arrays("wyckoff/normalizers"), rows_of("wyckoff/normalizers", number)
    permutations = data["permutations"][rows].astype(np.int64)
    width = int((permutations[0] >= 0).sum())
    return AffineNormalizer(data["M"][rows].astype(np.int64), data["t"][rows].astype(np.int64), permutations[:, :width])


@cache
def permutation_table() -> tuple[np.ndarray, np.ndarray]:
    """Permutations of all groups as one table, for jitted functions (kept; do not write into it).

    Returns:
        (231, 48, 27) int8, position i goes to [number, v, i], the identity for v = 0 and where padded; and (231,) int32 how many
        distinct permutations there are. Row = space-group number.
    """
    permutation = np.tile(np.arange(MAX_POSITIONS, dtype=np.int8), (NUM_TYPES + 1, MAX_PERMUTATIONS, 1))
    count = np.ones(NUM_TYPES + 1, np.int32)
    for number in range(1, NUM_TYPES + 1):
        rows = normalizer(number).permutations
        permutation[number, : len(rows), : rows.shape[1]] = rows
        count[number] = len(rows)
    return permutation, count


def derive_normalizer(number: int) -> AffineNormalizer:
    """Normalizer of a standard setting, divided by the maps that move no position (host; some milliseconds to a second).

    Raises:
        InputError: no space-group number.
    """
    opset = standard_setting(number)
    positions, form = wyckoff_positions(opset), primitive_form(opset)
    generators = list(generating_rows(rotation_products(form.W))[0]) or [0]
    rotations = np.asarray(opset.W, np.int64)
    found: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
    tried: set[bytes] = set()
    candidates = candidate_rotations(number)
    for M in candidates[np.argsort(-exact.determinant(candidates), kind="stable")]:
        if M.tobytes() in tried:
            continue
        tried |= {
            np.ascontiguousarray(image).tobytes() for image in M @ rotations
        }  # differ by an operation of the group
        for t in _shifts(form, generators, M):
            permutation = _permutation(opset.W, opset.w / opset.den, positions, M, t / DEN)
            found.setdefault(permutation, (M, t))
    order = [tuple(range(len(positions))), *sorted(set(found) - {tuple(range(len(positions)))})]
    return AffineNormalizer(
        M=np.array([found[p][0] for p in order]),
        t=np.array([found[p][1] for p in order]),
        permutations=np.array(order, np.int64),
    )


def _shifts(form: PrimitiveForm, generators: list[int], M: np.ndarray) -> list[np.ndarray]:
    """Shifts t (3,) in 24ths with which M conjugates the group into itself, the simplest first."""
    columns, det = form.columns, int(exact.determinant(form.columns))
    scaled = exact.cofactors(columns).T @ M @ columns
    if (scaled % det).any():
        return []  # the lattice is not kept
    inner = scaled // det  # M in the primitive basis
    turned = inner @ form.W[generators] @ exact.inverse_matrix(inner)
    rows = [form.index.get(np.ascontiguousarray(W).tobytes(), -1) for W in turned]
    if min(rows) < 0:
        return []
    difference = form.w[generators] @ inner.T - form.w[rows]
    solved = origin_solutions(turned, difference, form.den)
    if solved is None:
        return []
    points, unit = solved
    shifts = points @ columns.T * DEN
    if (shifts % (unit * form.source_den)).any():
        raise ArithmeticError(f"a shift of the normalizer is no multiple of 1/{DEN}")
    reduced = shifts // (unit * form.source_den) % DEN
    return sorted(reduced, key=lambda t: (int((t != 0).sum()), int(t.sum()), t.tolist()))


def _permutation(
    W: np.ndarray, w: np.ndarray, positions: WyckoffPositions, M: np.ndarray, t: np.ndarray
) -> tuple[int, ...]:
    """Where each position goes: that of the image of a generic point of it."""
    points = positions.x0 + positions.basis @ _GENERIC
    images = points @ M.T + t
    return tuple(
        place(positions, W @ image + w, multiplicity=int(multiplicity))[0]
        for image, multiplicity in zip(images, positions.multiplicity, strict=True)
    )
