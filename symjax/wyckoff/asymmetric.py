"""Exact asymmetric units of the 230 space groups, and the Wyckoff positions cut by them into shapes (host, numpy).

Owns `AsymmetricUnit` (half-spaces with rules for their boundaries: every orbit has exactly one point in it), `Shapes` (what it
cuts out of each position: points, segments, convex polygons, or the interior; 2,039 in all) and `into_unit`, which moves the
representatives of orbits onto the shapes.

Conventions. Standard settings and positions as in `wyckoff_positions(standard_setting(number))`. Stored coordinates are integers in
1/24 of a cell edge. The table asymmetric_units.npz is made by scripts/make_asymmetric_units.py from the units of cctbx
(Grosse-Kunstleve, Wong, Mustyakimov, Adams, Acta Cryst. A 67, 269, 2011); tests check it without cctbx. Shapes: Chang et al.,
Crystal generative modeling with explicit autoregressive conditional likelihoods and nontrivial space group stabilizers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.errors import SymjaxError
from symjax.groups.packaged import NUM_TYPES, arrays, check_number, rows_of
from symjax.groups.tables import standard_setting
from symjax.ops.types import DEN
from symjax.wyckoff.positions import WyckoffPositions, wyckoff_positions
from symjax.wyckoff.types import MAX_POSITIONS

NUM_SHAPES = 2039
MAX_SHAPES = 4
"""Most shapes of one position."""
MAX_VERTICES = 10
"""Most vertices of a shape: those of an interior; polygons have 5 at most."""
MAX_FACES = 9
OPEN, CLOSED, CONDITIONAL, AND, OR = range(5)
"""Kinds of nodes of a rule: a plane whose points are out, in, or decided by node `left`; both, or one, of two nodes hold."""
POLYGONS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0, 0), (1, 0), (0, 1)),
    ((0, 0), (1, 0), (1, 1), (0, 1)),
    ((0, 0), (1, 0), (0.5, 1.5), (0, 1)),
    ((0, 0), (1, 0), (1, 0.5), (0, 1)),
    ((0, 0), (1, 0), (2, 1), (1, 1.5), (0, 1)),
)
"""The five affine classes of polygons, in the basis of the edges at the first vertex: triangles, parallelograms, two kinds of
quadrilaterals, pentagons."""
SHIFTS = np.stack(np.meshgrid(*[(0, -1, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""Lattice translations among which the image in a unit is found, for points in [0, 1); units reach from -1/2 to 1."""


@dataclass(frozen=True)
class AsymmetricUnit:
    """One unit: the points where all its faces say in.

    Attributes:
        number: space group.
        nodes: (k, 7) int16 kind, n1, n2, n3, c, left, right. Planes (kinds 0 to 2): 24 n.x + c is positive inside. The first
            `num_faces` are the faces, the others parts of their rules.
        num_faces: half-spaces, 4 to 9.
        vertices: (v, 3) int16 of the polytope, in 1/24.
    """

    number: int
    nodes: np.ndarray
    num_faces: int
    vertices: np.ndarray

    @property
    def planes(self) -> np.ndarray:
        """(f, 4) float64 n and c of the faces, with n.x + c at least 0 inside; boundaries included."""
        return self.nodes[: self.num_faces, 1:5] / np.array([1, 1, 1, DEN])

    def contains(self, points: np.ndarray, den: int = DEN) -> np.ndarray:
        """Which points are in the unit, exactly, its boundary rules applied.

        Args:
            points: (..., 3) integers, in 1/den of a cell edge.
            den: any positive integer.

        Returns:
            (...) bool.
        """
        points = np.asarray(points, np.int64)
        inside = np.ones(points.shape[:-1], bool)
        for face in range(self.num_faces):
            inside &= self._holds(face, points, den)
        return inside

    def _holds(self, node: int, points: np.ndarray, den: int) -> np.ndarray:
        kind, n1, n2, n3, c, left, right = (int(v) for v in self.nodes[node])
        if kind == AND:
            return self._holds(left, points, den) & self._holds(right, points, den)
        if kind == OR:
            return self._holds(left, points, den) | self._holds(right, points, den)
        value = DEN * (points @ np.array([n1, n2, n3])) + c * den
        if kind == CONDITIONAL:
            return (value > 0) | ((value == 0) & self._holds(left, points, den))
        return value >= 0 if kind == CLOSED else value > 0


def asymmetric_unit(number: int) -> AsymmetricUnit:
    """The unit of a space group in its standard setting.

    Raises:
        InputError: no space-group number.
    """
    return _unit(check_number(number))


@cache
def _unit(number: int) -> AsymmetricUnit:
    table = arrays("wyckoff/asymmetric_units")
    nodes, vertices = (
        table[name][int(table[f"{name}_start"][number]) : int(table[f"{name}_start"][number + 1])].astype(np.int16)
        for name in ("node", "corner")
    )
    return AsymmetricUnit(number, nodes, int(table["num_faces"][number]), vertices)


@dataclass(frozen=True)
class Shapes:
    """The shapes of all positions; do not write into the arrays.

    Attributes:
        row: (231, 27, 4) int32 rows of a position's shapes below, -1 where there is none; first axis = space-group number.
        number, pos: (2039,) int32 space group and position of each shape.
        dim: (2039,) int32 its dimension: that of the position.
        polygon: (2039,) int32 class of a polygon (`POLYGONS`), -1 for others.
        count: (2039,) int32 vertices: 1, 2, 3 to 5, or those of the unit.
        vertices: (2039, 10, 3) float64 fractional; those of a polygon in turn, in the order of its class. Padded by the first.
        planes: (231, 9, 4) float64 faces of the units, padded by (0, 0, 0, 1), which holds everywhere.
    """

    row: np.ndarray
    number: np.ndarray
    pos: np.ndarray
    dim: np.ndarray
    polygon: np.ndarray
    count: np.ndarray
    vertices: np.ndarray
    planes: np.ndarray

    def __len__(self) -> int:
        """Number of shapes."""
        return len(self.dim)


@cache
def shapes() -> Shapes:
    """The shapes of the 1,731 positions of the 230 groups."""
    table, types = arrays("wyckoff/asymmetric_units"), arrays("wyckoff/site_symbols")
    count_of, row = np.diff(table["shape_start"]), np.full((NUM_TYPES + 1, MAX_POSITIONS, MAX_SHAPES), -1, np.int32)
    number, pos, planes = [], [], np.tile([0.0, 0.0, 0.0, 1.0], (NUM_TYPES + 1, MAX_FACES, 1))
    for group in range(1, NUM_TYPES + 1):
        faces = asymmetric_unit(group).planes
        planes[group, : len(faces)] = faces
        for p, position in enumerate(range(*rows_of("wyckoff/site_symbols", group).indices(len(count_of)))):
            first, num = int(table["shape_start"][position]), int(count_of[position])
            row[group, p, :num] = np.arange(first, first + num)
            number += [group] * num
            pos += [p] * num
    dim = np.repeat(types["dof"], count_of).astype(np.int32)
    count = np.diff(table["vertex_start"]).astype(np.int32)
    slot = np.arange(MAX_VERTICES)
    at = np.where(slot < count[:, None], slot, 0) + table["vertex_start"][:-1, None]
    vertices = table["vertex"].astype(np.float64)[at] / DEN
    return Shapes(
        row,
        np.array(number, np.int32),
        np.array(pos, np.int32),
        dim,
        table["polygon"].astype(np.int32),
        count,
        vertices,
        planes,
    )


@cache
def type_wyckoff(number: int) -> WyckoffPositions:
    """`wyckoff_positions(standard_setting(number))`, kept."""
    return wyckoff_positions(standard_setting(number))


def into_unit(
    number: int, pos: np.ndarray, x: np.ndarray, *, tolerance: float = 1e-6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move representatives of orbits to the images that lie on the shapes of their positions.

    A representative within rounding of a boundary may have several; the one deepest inside its shape counts, and of equal ones the
    first shape.

    Args:
        number: space group.
        pos: (k,) positions of the standard setting.
        x: (k, 3) any atom of each orbit, fractional.
        tolerance: largest distance (in fractional coordinates) to a shape that is put down to rounding.

    Returns:
        shape: (k,) int32 row of `shapes()`; point: (k, 3) float64 on it; off: (k,) float64 how far the image was from it.

    Raises:
        SymjaxError: a point is on no shape of its position.
    """
    table, opset = shapes(), standard_setting(check_number(number))
    W, w = opset.W.astype(np.float64), opset.w / opset.den
    pos, x = np.asarray(pos), np.asarray(x, np.float64)
    shape, point, off = np.full(len(pos), -1, np.int32), np.zeros((len(pos), 3)), np.full(len(pos), np.inf)
    for position in np.unique(pos):
        of_position = np.flatnonzero(pos == position)
        for some in np.array_split(of_position, -(-len(of_position) * len(W) // 20_000)):
            images = np.einsum("gij,kj->kgi", W, x[some]) + w
            images = (images - np.floor(images))[:, :, None] + SHIFTS
            images = images.reshape(len(some), -1, 3)
            best = np.full(len(some), -np.inf)
            for row in table.row[number, position]:
                if row >= 0:
                    depth, moved, far = _inside(table, int(row), images)
                    depth = np.where(far <= tolerance, depth, -np.inf)
                    which = depth.argmax(axis=1)
                    k = np.arange(len(some))
                    better = depth[k, which] > best + 1e-9
                    best = np.where(better, depth[k, which], best)
                    rows, chosen = some[better], which[better]
                    shape[rows], point[rows] = row, moved[k[better], chosen]
                    off[rows] = far[k[better], chosen]
    if (shape < 0).any():
        bad = int(np.argmax(shape < 0))
        raise SymjaxError(
            f"point {np.round(x[bad], 5).tolist()} of space group {number} is on no shape of position {int(pos[bad])}: it is "
            "not on the position, or in another setting"
        )
    return shape, point, off


def _inside(table: Shapes, row: int, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of images (k, i, 3): depth inside a shape (in its own coordinates), the nearest points on it, and their distance."""
    dim, vertices = int(table.dim[row]), table.vertices[row, : table.count[row]]
    if dim == 0:
        far = np.abs(images - vertices[0]).max(axis=-1)
        return -far, np.broadcast_to(vertices[0], images.shape), far
    if dim == 3:
        planes = table.planes[table.number[row]]
        depth = (images @ planes[:, :3].T + planes[:, 3]).min(axis=-1)
        return depth, images, np.maximum(-depth, 0.0)
    if dim == 1:
        edge = vertices[1] - vertices[0]
        u = np.clip((images - vertices[0]) @ edge / (edge @ edge), 0.0, 1.0)
        moved = vertices[0] + u[..., None] * edge
        return np.minimum(u, 1 - u), moved, np.abs(images - moved).max(axis=-1)
    coordinates = polygon_coordinates(vertices, images)
    kind = np.asarray(POLYGONS[int(table.polygon[row])])
    along = np.roll(kind, -1, axis=0) - kind
    depth = np.stack(
        [(coordinates - p)[..., 1] * e[0] - (coordinates - p)[..., 0] * e[1] for p, e in zip(kind, along, strict=True)]
    ).min(axis=0)
    moved = vertices[0] + coordinates @ np.stack([vertices[1] - vertices[0], vertices[-1] - vertices[0]])
    return depth, moved, np.maximum(np.abs(images - moved).max(axis=-1), np.maximum(-depth, 0.0))


def polygon_coordinates(vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(..., 2) coordinates of points in the plane of a polygon (k, 3), in the basis of the edges at its first vertex."""
    basis = np.stack([vertices[1] - vertices[0], vertices[-1] - vertices[0]])
    return (points - vertices[0]) @ np.linalg.pinv(basis)
