"""What the network reads of groups, positions and shapes: constant arrays of the 230 standard settings (host, numpy).

Positions are numbered within a group by their letter, a first: the order in which atoms are placed. Rows of flat arrays run over
(group, letter). Source: Chang et al. (WyckoffAUGen), section 3 and appendix; where they give only a total (62 features of a group,
231 of a position) the parts are ours: 6 centrings, 6 families, 32 point groups, chirality, inversion, 16 for the place among the
groups that agree in all of these; 62 of the group, 17 multiplicities, 4 dimensions, 78 site symmetries, 70 Fourier features of the
vertices and centres of the shapes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from symjax.groups.packaged import NUM_TYPES, arrays
from symjax.groups.properties import properties
from symjax.groups.tables import standard_setting
from symjax.ops.types import DEN
from symjax.wyckoff.asymmetric import MAX_VERTICES, shapes
from symjax.wyckoff.types import type_positions

NUM_GROUP_FEATURES = 62
NUM_POSITION_FEATURES = 231
NUM_FOURIER = 35
"""Frequencies of the Fourier features of a position."""
MAX_OPERATIONS = 192
MAX_IMAGES = 48
"""Most atoms of one orbit in a primitive cell."""
CENTRINGS = "PACFIR"
FAMILIES = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "hexagonal", "cubic")


class Tables(NamedTuple):
    """Arrays over groups (first axis 231, row 0 empty), positions (1,731 rows), and shapes (2,039 rows of `symjax.wyckoff.shapes`).

    Attributes:
        group: (231, 62) float32 features.
        family: (231,) int32 index into `FAMILIES`.
        row: (231, 27) int32 row of each letter's position, 0 where there is none.
        mask: (231, 27) bool there is such a letter.
        letter: (231, 27) int32 letter of each position in the order of `wyckoff_positions`.
        pos: (231, 27) int32 the inverse: position of each letter.
        R: (231, 192, 3, 3) float32 and t: (231, 192, 3) float32 operations; op_mask: (231, 192) bool.
        position: (1731, 231) float32 features.
        dim: (1731,) int32 free coordinates.
        multiplicity: (1731,) int32 atoms of the conventional cell, and primitive: (1731,) int32 of the primitive cell.
        shape: (1731, 4) int32 rows of the shapes, -1 where there is none.
        vertices: (2039, 10, 3) float32; vertex_mask: (2039, 10) bool.
        polygon: (2039,) int32 class of a polygon, 0 for others.
        basis: (2039, 3, 3) float32 rows along the shape (fractional), zero beyond its dimension: both edges at vertex 0 of a
        polygon. image: (2039, 48) int32 operations that give each atom of the primitive cell once, the identity first; -1 as
        padding. primitive_basis: (231, 3, 3) float64 rows that span the lattice translations, fractional.
    """

    group: np.ndarray
    family: np.ndarray
    row: np.ndarray
    mask: np.ndarray
    letter: np.ndarray
    pos: np.ndarray
    R: np.ndarray
    t: np.ndarray
    op_mask: np.ndarray
    position: np.ndarray
    dim: np.ndarray
    multiplicity: np.ndarray
    primitive: np.ndarray
    shape: np.ndarray
    vertices: np.ndarray
    vertex_mask: np.ndarray
    polygon: np.ndarray
    basis: np.ndarray
    image: np.ndarray
    primitive_basis: np.ndarray


@cache
def tables() -> Tables:
    """All of them; made once a process."""
    types, cut = type_positions(), shapes()
    letter = np.where(types.mask, types.letter, 0).astype(np.int32)
    pos, row = np.zeros_like(letter), np.zeros_like(letter)
    flat: list[tuple[int, int]] = []
    for number in range(1, NUM_TYPES + 1):
        order = np.argsort(np.where(types.mask[number], types.letter[number], 99))
        pos[number] = np.where(types.mask[number], order, 0)
        for slot in range(int(types.mask[number].sum())):
            row[number, slot] = len(flat)
            flat.append((number, int(order[slot])))
    at = tuple(np.array(flat).T)
    group, family = group_features()
    R, t, op_mask, basis_of, centrings = _operations()
    dim, multiplicity = types.dof[at], types.multiplicity[at]
    primitive = multiplicity // centrings[at[0]]
    vertex_mask = np.arange(MAX_VERTICES) < cut.count[:, None]
    return Tables(
        group=group,
        family=family,
        row=row,
        mask=types.mask,
        letter=letter,
        pos=pos,
        R=R.astype(np.float32),
        t=t.astype(np.float32),
        op_mask=op_mask,
        position=_position_features(group, at),
        dim=dim,
        multiplicity=multiplicity,
        primitive=primitive,
        shape=cut.row[at],
        vertices=cut.vertices.astype(np.float32),
        vertex_mask=vertex_mask,
        polygon=np.maximum(cut.polygon, 0),
        basis=_shape_basis(),
        image=_images(R, t, op_mask, basis_of),
        primitive_basis=basis_of,
    )


def group_features() -> tuple[np.ndarray, np.ndarray]:
    """(231, 62) float32 of 0 and 1, row 0 zero, no two rows equal; and (231,) int32 families."""
    letters = arrays("wyckoff/site_symbols")["letter"].tolist()
    known = [properties(standard_setting(number)) for number in range(1, NUM_TYPES + 1)]
    points = sorted({one.point_group for one in known})
    out, family = np.zeros((NUM_TYPES + 1, NUM_GROUP_FEATURES), np.float32), np.zeros(NUM_TYPES + 1, np.int32)
    met: dict[tuple, int] = {}
    for number, one in enumerate(known, start=1):
        centring = CENTRINGS.index({"B": "A", "C": "C"}.get(letters[number], letters[number]))
        system = "hexagonal" if one.crystal_system == "trigonal" else one.crystal_system
        family[number] = FAMILIES.index(system)
        key = (centring, family[number], one.point_group, one.sohncke, one.centrosymmetric)
        met[key] = met.get(key, -1) + 1
        columns = [centring, 6 + family[number], 12 + points.index(one.point_group), 46 + met[key]]
        out[number, columns] = 1
        out[number, 44], out[number, 45] = one.sohncke, one.centrosymmetric
    return out, family


def _operations() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Operations (231, 192, ...), translations float64 in [0, 1), mask, primitive bases and numbers of centring translations."""
    R = np.tile(np.eye(3, dtype=np.int8), (NUM_TYPES + 1, MAX_OPERATIONS, 1, 1))
    t = np.zeros((NUM_TYPES + 1, MAX_OPERATIONS, 3))
    mask, count = np.zeros((NUM_TYPES + 1, MAX_OPERATIONS), bool), np.ones(NUM_TYPES + 1, np.int32)
    basis = np.tile(np.eye(3), (NUM_TYPES + 1, 1, 1))
    for number in range(1, NUM_TYPES + 1):
        opset = standard_setting(number)
        n = len(opset.W)
        R[number, :n], t[number, :n], mask[number, :n] = opset.W, np.mod(opset.w / opset.den, 1.0), True
        pure = (opset.W == np.eye(3, dtype=int)).all(axis=(1, 2))
        vectors = np.mod(opset.w[pure], DEN)
        count[number] = len(vectors)
        basis[number] = _lattice_basis(vectors) / DEN
    return R, t, mask, basis, count


def _lattice_basis(vectors: np.ndarray) -> np.ndarray:
    """(3, 3) rows, in 1/24, of a basis of the lattice of Z^3 and some centring vectors."""
    shifts = np.array([v + DEN * np.array(s) for v in vectors for s in np.ndindex(2, 2, 2)])
    shifts = np.concatenate([shifts, -shifts])
    shifts = shifts[np.argsort((shifts**2).sum(axis=1), kind="stable")]
    shifts = shifts[shifts.any(axis=1)]
    volume = DEN**3 // len(vectors)
    for i, a in enumerate(shifts):
        for j, b in enumerate(shifts[:i]):
            normal = np.cross(a, b)
            if not normal.any():
                continue
            for c in shifts[:j]:
                if abs(int(normal @ c)) == volume:
                    return np.stack([a, b, c])
    raise ValueError("no basis")


def _position_features(group: np.ndarray, at: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    types, cut = type_positions(), shapes()
    sizes = np.unique(types.multiplicity[at])
    parts = [
        group[at[0]],
        types.multiplicity[at][:, None] == sizes,
        types.dof[at][:, None] == np.arange(4),
        types.symbol[at][:, None] == np.arange(types.symbol.max() + 1),
    ]
    frequency = np.random.default_rng(231).normal(size=(NUM_FOURIER, 3))
    mask = np.arange(MAX_VERTICES) < cut.count[:, None]
    centre = (cut.vertices * mask[..., None]).sum(axis=1) / cut.count[:, None]
    points = np.concatenate([cut.vertices, centre[:, None]], axis=1)
    weight = np.concatenate([mask, np.ones((len(mask), 1))], axis=1)
    phase = 2 * np.pi * points @ frequency.T
    waves = np.concatenate([np.sin(phase), np.cos(phase)], axis=-1) * weight[..., None]
    rows = cut.row[at]
    real = (rows >= 0)[..., None]
    summed, number = (
        np.where(real, waves.sum(axis=1)[rows], 0).sum(axis=1),
        np.where(real, weight.sum(axis=1)[rows][..., None], 0),
    )
    return np.concatenate([*parts, summed / number.sum(axis=1)], axis=1).astype(np.float32)


def _shape_basis() -> np.ndarray:
    cut = shapes()
    out = np.zeros((len(cut), 3, 3))
    last = cut.vertices[np.arange(len(cut)), cut.count - 1]
    line, plane = cut.dim == 1, cut.dim == 2
    out[line, 0] = (cut.vertices[:, 1] - cut.vertices[:, 0])[line]
    out[plane, 0] = (cut.vertices[:, 1] - cut.vertices[:, 0])[plane]
    out[plane, 1] = (last - cut.vertices[:, 0])[plane]
    out[cut.dim == 3] = np.eye(3)
    return out.astype(np.float32)


def _images(R: np.ndarray, t: np.ndarray, mask: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """For each shape the operations that give each atom of the primitive cell once, the identity first."""
    cut = shapes()
    rng, out = np.random.default_rng(0), np.full((len(cut), MAX_IMAGES), -1, np.int32)
    weights = rng.dirichlet(np.ones(MAX_VERTICES), len(cut)) * (np.arange(MAX_VERTICES) < cut.count[:, None])
    points = np.einsum("sv,svi->si", weights / weights.sum(axis=1, keepdims=True), cut.vertices)
    for number in range(1, NUM_TYPES + 1):
        rows = np.flatnonzero(cut.number == number)
        n = int(mask[number].sum())
        images = np.einsum("gij,sj->sgi", R[number, :n].astype(float), points[rows]) + t[number, :n]
        identity = int(
            np.flatnonzero((R[number, :n] == np.eye(3)).all(axis=(1, 2)) & (t[number, :n] == 0).all(axis=1))[0]
        )
        order = [identity, *(g for g in range(n) if g != identity)]
        within = images[:, order] @ np.linalg.inv(basis[number])
        key = np.mod(np.rint(within * 1e6).astype(np.int64), 10**6)
        for row, keys in zip(rows, key, strict=True):
            _, first = np.unique(keys, axis=0, return_index=True)
            ops = [order[i] for i in sorted(first.tolist())]
            out[row, : len(ops)] = ops
    return out
