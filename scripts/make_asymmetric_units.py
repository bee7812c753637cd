"""Makes symjax/wyckoff/asymmetric_units.npz: exact asymmetric units of the 230 space groups and the shapes of their positions.

Run: python scripts/make_asymmetric_units.py --cctbx PYTHON [--out PATH], where PYTHON is an interpreter that has cctbx (tested with
cctbx-base 2025.11: `python -m venv build && build/bin/pip install cctbx-base`); nothing else of symjax needs it. Deterministic.

Arrays (units of 1/24; rows over groups and positions in the order of `wyckoff_positions(standard_setting(number))`):
  node, node_start      rules of the faces (symjax.wyckoff.asymmetric.AsymmetricUnit.nodes), by space group
  num_faces             (231,) how many of them are faces
  corner, corner_start  vertices of the units
  shape_start           (1732,) rows of a position's shapes
  polygon               (2039,) class of a polygon, -1 for others
  vertex, vertex_start  vertices of the shapes
Before anything is written: every group tiles on the grid of 1/24, volumes are 1 over the order, there are 1,731 positions and 2,039
shapes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from make_tables import write_npz
from scipy.spatial import ConvexHull

from symjax.groups.tables import standard_setting
from symjax.ops.types import DEN
from symjax.wyckoff import asymmetric
from symjax.wyckoff.asymmetric import AND, CLOSED, CONDITIONAL, OPEN, OR, POLYGONS, SHIFTS, AsymmetricUnit, type_wyckoff

Point = tuple[int, int, int]
PLANES = slice(1, 4)


def unit_of(number: int, exported: dict[str, Any]) -> AsymmetricUnit:
    """Faces first, then the nodes of their rules."""
    nodes: list[list[int]] = [[0] * 7 for _ in exported["faces"]]

    def fill(row: int, cut: list) -> None:
        if isinstance(cut[0], str):
            nodes[row] = [AND if cut[0] == "&" else OR, 0, 0, 0, 0, add(cut[1]), add(cut[2])]
        elif isinstance(cut[4], bool):
            nodes[row] = [CLOSED if cut[4] else OPEN, *cut[:4], 0, 0]
        else:
            nodes[row] = [CONDITIONAL, *cut[:4], add(cut[4]), 0]

    def add(cut: list) -> int:
        nodes.append([0] * 7)
        row = len(nodes) - 1
        fill(row, cut)
        return row

    for row, face in enumerate(exported["faces"]):
        fill(row, face)
    return AsymmetricUnit(
        number, np.array(nodes, np.int16), len(exported["faces"]), np.array(exported["vertices"], np.int16)
    )


def check_unit(unit: AsymmetricUnit) -> None:
    """Tiling on the grid of 1/24 (every point of the cell is the image of exactly one grid point of the unit), and the volume."""
    opset = standard_setting(unit.number)
    box = np.arange(-DEN // 2, DEN + 1)
    grid = np.stack(np.meshgrid(box, box, box, indexing="ij"), axis=-1).reshape(-1, 3)
    own = grid[unit.contains(grid)]
    images = np.mod(np.einsum("gij,kj->kgi", opset.W.astype(np.int64), own) + opset.w, DEN) @ np.array(
        [DEN * DEN, DEN, 1]
    )
    images.sort(axis=1)
    first = np.concatenate([np.ones((len(own), 1), bool), images[:, 1:] != images[:, :-1]], axis=1)
    if (np.bincount(images[first], minlength=DEN**3) != 1).any():
        raise ValueError(f"group {unit.number} does not tile")
    if abs(ConvexHull(unit.vertices / DEN).volume * len(opset.W) - 1) > 1e-9:
        raise ValueError(f"group {unit.number}: volume")


def flats(number: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Base points (m, 3) in 1/24 and directions (m, dof, 3) of the images of a position's flat."""
    opset, positions = standard_setting(number), type_wyckoff(number)
    ops = positions.images[position, : positions.multiplicity[position]]
    W = opset.W[ops].astype(np.int64)
    x0 = np.rint(positions.x0[position] * DEN).astype(np.int64)
    assert np.allclose(x0, positions.x0[position] * DEN)
    directions = np.rint(positions.basis[position, :, : positions.dof[position]].T).astype(np.int64)
    return W @ x0 + opset.w[ops], np.einsum("gij,fj->gfi", W, directions)


def point_of(unit: AsymmetricUnit, position: int) -> list[list[Point]]:
    """The one point of a fixed position."""
    base, _ = flats(unit.number, position)
    images = np.unique((np.mod(base, DEN)[:, None] + SHIFTS * DEN).reshape(-1, 3), axis=0)
    (found,) = images[unit.contains(images)].tolist()
    return [[tuple(found)]]


def segments_of(unit: AsymmetricUnit, position: int) -> list[list[Point]]:
    """Segments: each line is clipped, split at every plane of the rules, and pieces are kept by their middle."""
    lines: set[tuple[Point, Point]] = set()
    for base, (direction,) in zip(*flats(unit.number, position), strict=True):
        d = direction if tuple(direction) > (0, 0, 0) else -direction
        axis = int(np.flatnonzero(np.abs(d) == 1)[0])
        start = base - base[axis] * d[axis] * d
        others = [i for i in range(3) if i != axis]
        for i in range(-3, 4):
            for j in range(-3, 4):
                moved = np.mod(start, DEN)
                moved[others] += np.array([i, j]) * DEN
                moved[axis] = 0
                lines.add((tuple(moved.tolist()), tuple(d.tolist())))
        # a shift along the axis moves the other coordinates too: mod 1 and the shifts above hold all of them
    every = [node for node in unit.nodes.tolist() if node[0] in (OPEN, CLOSED, CONDITIONAL)]
    found = []
    for base, direction in sorted(lines):
        low, high = clip(unit, base, direction)
        if low < high:
            found += pieces(unit, base, direction, (low, high), every)
    return sorted(found)


def clip(unit: AsymmetricUnit, base: Point, direction: Point) -> tuple[Fraction, Fraction]:
    """Part of a line, in 1/24 along it, between the faces."""
    low, high = Fraction(-(10**6)), Fraction(10**6)
    for _, *n, c, _, _ in unit.nodes[: unit.num_faces].tolist():
        slope = sum(a * b for a, b in zip(n, direction, strict=True))
        value = sum(a * b for a, b in zip(n, base, strict=True)) + c
        if slope > 0:
            low = max(low, Fraction(-value, slope))
        elif slope < 0:
            high = min(high, Fraction(value, -slope))
        elif value < 0:
            return Fraction(0), Fraction(0)
    return low, high


def pieces(
    unit: AsymmetricUnit, base: Point, direction: Point, ends: tuple[Fraction, Fraction], planes: list[list[int]]
) -> list[list[Point]]:
    """Maximal parts of a clipped line that the boundary rules keep."""
    cuts = set(ends)
    for _, *n, c, _, _ in planes:
        slope = sum(a * b for a, b in zip(n, direction, strict=True))
        if slope:
            t = Fraction(-(sum(a * b for a, b in zip(n, base, strict=True)) + c), slope)
            if ends[0] < t < ends[1]:
                cuts.add(t)
    ordered, kept = sorted(cuts), []
    for low, high in itertools.pairwise(ordered):
        middle = (low + high) / 2
        den = middle.denominator
        point = [b * den + middle.numerator * d for b, d in zip(base, direction, strict=True)]
        if unit.contains(np.array(point), DEN * den):
            if kept and kept[-1][1] == low:
                kept[-1] = (kept[-1][0], high)
            else:
                kept.append((low, high))
    return [[tuple(int(b + t * d) for b, d in zip(base, direction, strict=True)) for t in piece] for piece in kept]


def polygons_of(unit: AsymmetricUnit, position: int) -> list[list[Point]]:
    """Polygons: whole facets of the unit that lie in mirrors of the position."""
    base, directions = flats(unit.number, position)
    normals = np.cross(directions[:, 0], directions[:, 1])
    found = []
    for _, *n, c, _, _ in unit.nodes[: unit.num_faces].tolist():
        corners = unit.vertices[unit.vertices.astype(int) @ np.array(n) + c == 0].astype(np.int64)
        weights = np.array([7, 11, 13, 17, 19, 23])[: len(corners)]
        inside, den = weights @ corners, int(weights.sum())
        offset = np.einsum("gi,gi->g", normals, inside - base * den)
        parallel = (np.cross(normals, np.array(n)) == 0).all(axis=1)
        primitive = np.gcd.reduce(normals, axis=1)
        if (parallel & (offset % (primitive * den * DEN) == 0)).any() and unit.contains(inside, DEN * den):
            found.append(ordered_polygon(corners))
    return sorted(found)


def ordered_polygon(corners: np.ndarray) -> list[Point]:
    """Corners in turn, in the order of the class; of several such orders the smallest."""
    middle = corners.mean(axis=0)
    u = corners[0] - middle
    normal = np.cross(u, corners[1] - middle) if len(corners) > 1 else None
    for other in corners[1:]:
        normal = np.cross(u, other - middle)
        if np.abs(normal).max() > 1e-9:
            break
    v = np.cross(normal, u)
    angle = np.arctan2((corners - middle) @ v / (v @ v) ** 0.5, (corners - middle) @ u / (u @ u) ** 0.5)
    turn = corners[np.argsort(angle)]
    options = []
    for direction in (turn, turn[::-1]):
        for start in range(len(turn)):
            points = np.roll(direction, -start, axis=0)
            if class_of(points) is not None:
                options.append([tuple(p) for p in points.tolist()])
    return min(options)


def class_of(points: np.ndarray) -> int | None:
    """Class of a polygon whose vertices stand in the order of the class."""
    found = asymmetric.polygon_coordinates(points / DEN, points / DEN)
    for index, kind in enumerate(POLYGONS):
        if len(kind) == len(points) and np.allclose(found, kind):
            return index
    return None


def shapes_of(unit: AsymmetricUnit, position: int, dof: int) -> list[list[Point]]:
    """Vertices of each shape of a position."""
    if dof == 3:
        return [[tuple(v) for v in unit.vertices.tolist()]]
    return (point_of, segments_of, polygons_of)[dof](unit, position)


def build(exported: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """All arrays."""
    units = [unit_of(number, one) for number, one in enumerate(exported, start=1)]
    shapes: list[list[Point]] = []
    polygon, shape_start = [], [0]
    for unit in units:
        check_unit(unit)
        for position, dof in enumerate(type_wyckoff(unit.number).dof.tolist()):
            own = shapes_of(unit, position, dof)
            shapes += own
            polygon += [class_of(np.array(one)) if dof == 2 else -1 for one in own]
            shape_start.append(len(shapes))
    if len(shape_start) != 1732 or len(shapes) != asymmetric.NUM_SHAPES:
        raise ValueError(f"{len(shape_start) - 1} positions, {len(shapes)} shapes")
    starts = lambda parts: np.array([0, *np.cumsum([len(part) for part in parts])], np.int32)
    by_group = lambda parts: np.concatenate([[0], starts(parts)]).astype(np.int32)
    return {
        "node": np.concatenate([unit.nodes for unit in units]).astype(np.int8),
        "node_start": by_group([unit.nodes for unit in units]),
        "num_faces": np.array([0, *(unit.num_faces for unit in units)], np.int8),
        "corner": np.concatenate([unit.vertices for unit in units]).astype(np.int8),
        "corner_start": by_group([unit.vertices for unit in units]),
        "shape_start": np.array(shape_start, np.int32),
        "polygon": np.array(polygon, np.int8),
        "vertex": np.array([point for shape in shapes for point in shape], np.int8),
        "vertex_start": starts(shapes),
    }


def main() -> None:
    """Export, cut, check, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parent
    parser.add_argument("--cctbx", required=True, help="interpreter that has cctbx")
    parser.add_argument("--out", type=Path, default=here.parent / "symjax/wyckoff/asymmetric_units.npz")
    args = parser.parse_args()
    command = [args.cctbx, str(here / "export_asymmetric_units.py")]
    exported = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    arrays = build(exported)
    write_npz(args.out, arrays)
    sizes = np.bincount(np.diff(arrays["shape_start"]))
    print(f"{args.out}: {len(arrays['polygon'])} shapes; positions by number of shapes: {sizes[1:].tolist()}")


if __name__ == "__main__":
    main()
