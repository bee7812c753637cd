"""From a triangle to the polygons that mirrors cut: mean-value maps, their inverse and their determinants.

A polygon of k vertices is the image of a triangle with k - 3 points inserted in its edges (a degenerate k-gon T_k), under the map
that keeps mean-value coordinates. The map is linear in the polygon's vertices, so one T_k serves all polygons that are affine
images of each other: the five classes of `symjax.wyckoff.asymmetric.POLYGONS`. The inserted points make the map as nearly
area-preserving as they can: they were searched on a grid for the least mean of (1 / det - 1)^2 over the polygon (0.048, 0.012,
0.023 and 0.032).

Units: triangle coordinates y in the right-angled triangle (0, 0), (1, 0), (0, 1), so that y are the last two barycentric
coordinates; polygon coordinates c as in `POLYGONS`. Densities and determinants are relative to the uniform density on either, so
that 1 is uniform. Sources: Chang et al. (WyckoffAUGen), section 3 and appendix; Floater, Mean value coordinates (Comput. Aided
Geom. Des. 20, 19, 2003).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.wyckoff.asymmetric import POLYGONS

Array = Any  # numpy or jax array

MAX_CORNERS = 5
_TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
INSERTED: tuple[tuple[tuple[int, float], ...], ...] = (
    (),
    ((1, 0.49),),
    ((1, 0.5),),
    ((1, 0.66),),
    ((1, 0.26), (2, 0.62)),
)
"""Of each class: edge of the triangle (0 from vertex 0 to 1, and so on) and place on it of each inserted point."""
ROTATION = (0, 0, 3, 1, 1)
"""Of each class: which vertex of T_k goes to the polygon's first."""
MARGIN = 1e-6
"""Triangle coordinates keep this distance from the edges, where mean-value weights divide by zero."""


def _padded(points: Any) -> np.ndarray:
    """Padded by the first point: an edge of no length adds no weight."""
    points = np.asarray(points, np.float64)
    return np.concatenate([points, np.repeat(points[:1], MAX_CORNERS - len(points), axis=0)])


def source_polygon(inserted: tuple[tuple[int, float], ...], rotation: int) -> np.ndarray:
    """(k, 2) vertices of a triangle with points inserted in its edges, from one of them on."""
    corners = []
    for edge in range(3):
        start, end = np.array(_TRIANGLE[edge]), np.array(_TRIANGLE[(edge + 1) % 3])
        corners.append(start)
        corners += [start + t * (end - start) for e, t in inserted if e == edge]
    return np.roll(np.array(corners), -rotation, axis=0)


def area(points: np.ndarray) -> float:
    """Area of a polygon (k, 2)."""
    x, y = points.T
    return 0.5 * abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))


SOURCE = np.stack([_padded(source_polygon(i, r)) for i, r in zip(INSERTED, ROTATION, strict=True)])
"""(5, 5, 2) vertices of T_k."""
TARGET = np.stack([_padded(kind) for kind in POLYGONS])
"""(5, 5, 2) vertices of the polygons."""
AREA_RATIO = np.array([area(np.array(kind)) / 0.5 for kind in POLYGONS])
"""(5,) area of each class over that of the triangle."""


def mean_value_map(y: Array, source: Array, target: Array) -> Array:
    """Image of points in the source polygon, by its mean-value coordinates.

    Args:
        y: (..., 2) inside the source.
        source, target: (..., k, 2) vertices, counter-clockwise; a repeated vertex has no effect.
    """
    d = source - y[..., None, :]
    after = jnp.roll(d, -1, axis=-2)
    length = jnp.sqrt(jnp.sum(d**2, axis=-1))
    cross = d[..., 0] * after[..., 1] - d[..., 1] * after[..., 0]
    dot = jnp.sum(d * after, axis=-1)
    both, wide = length * jnp.roll(length, -1, axis=-1), dot < 0
    # tan(angle / 2) in two forms, each where it does not divide rounding errors
    half = jnp.where(wide, (both - dot) / jnp.where(wide, cross, 1.0), cross / jnp.where(wide, 1.0, both + dot))
    weight = (half + jnp.roll(half, 1, axis=-1)) / length
    return jnp.sum(weight[..., None] * target, axis=-2) / jnp.sum(weight, axis=-1)[..., None]


def to_polygon(kind: Array, y: Array) -> Array:
    """(..., 2) polygon coordinates of triangle coordinates y (..., 2) for classes (...)."""
    y = _inside(y)
    return mean_value_map(y, jnp.asarray(SOURCE, y.dtype)[kind], jnp.asarray(TARGET, y.dtype)[kind])


def log_determinant(kind: Array, y: Array) -> Array:
    """(...) log |dc/dy| of `to_polygon`, relative to the ratio of the areas (0 where the map keeps the uniform density)."""
    y = _inside(y)
    jacobian = jax.jacfwd(mean_value_map)
    for _ in range(y.ndim - 1):
        jacobian = jax.vmap(jacobian)
    J = jacobian(y, jnp.asarray(SOURCE, y.dtype)[kind], jnp.asarray(TARGET, y.dtype)[kind])
    det = J[..., 0, 0] * J[..., 1, 1] - J[..., 0, 1] * J[..., 1, 0]
    return jnp.log(jnp.maximum(det, 1e-12)) - jnp.log(jnp.asarray(AREA_RATIO, y.dtype)[kind])


def _inside(y: Array) -> Array:
    """The nearest point at a small distance from the edges."""
    inner = jnp.clip(y, MARGIN, 1.0)
    excess = jnp.maximum(jnp.sum(inner, axis=-1, keepdims=True) - (1 - MARGIN), 0.0)
    return jnp.clip(inner - 0.5 * excess, MARGIN, 1.0)


def from_polygon(kind: np.ndarray, c: np.ndarray, *, steps: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `to_polygon` (host, float64).

    Newton's method from the middle, damped to stay in the triangle.

    Args:
        kind: (k,) classes.
        c: (k, 2) polygon coordinates.
        steps: of Newton's method; 8 reach 1e-12.

    Returns:
        y: (k, 2) triangle coordinates, and (k,) the logarithm of the determinant there (see `log_determinant`).
    """
    kind, c = np.asarray(kind), np.asarray(c, np.float64)
    source, target = SOURCE[kind], TARGET[kind]
    middle = target.mean(axis=1, keepdims=True)
    c = middle[:, 0] + (c - middle[:, 0]) * (1 - 1e-5)  # off the boundary
    y = np.full((len(c), 2), 1 / 3)
    for _ in range(steps):
        value, J = _with_jacobian(y, source, target)
        step = np.linalg.solve(J, (c - value)[..., None])[..., 0]
        left = np.stack([y[:, 0], y[:, 1], 1 - y.sum(axis=1)], axis=1)
        change = np.stack([step[:, 0], step[:, 1], -step.sum(axis=1)], axis=1)
        room = np.where(change < 0, left / np.maximum(-change, 1e-300), np.inf).min(axis=1)
        y = y + step * np.minimum(1.0, 0.9 * room)[:, None]
    _, J = _with_jacobian(y, source, target)
    return y, np.log(np.maximum(np.linalg.det(J), 1e-12)) - np.log(AREA_RATIO[kind])


def _with_jacobian(y: np.ndarray, source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (k, 2) and Jacobians (k, 2, 2) of the mean-value map, with derivatives written out (float64)."""
    d = source - y[:, None]
    after = np.roll(d, -1, axis=1)
    length, length_after = np.linalg.norm(d, axis=-1), np.linalg.norm(after, axis=-1)
    cross = d[..., 0] * after[..., 1] - d[..., 1] * after[..., 0]
    below = length * length_after + (d * after).sum(axis=-1)
    half = cross / below
    # each derivative is along y: d and after both move by -1
    d_length, d_after = -d / length[..., None], -after / length_after[..., None]
    d_cross = np.stack([d[..., 1] - after[..., 1], after[..., 0] - d[..., 0]], axis=-1)
    d_below = d_length * length_after[..., None] + length[..., None] * d_after - d - after
    d_half = (d_cross - half[..., None] * d_below) / below[..., None]
    total = half + np.roll(half, 1, axis=1)
    weight = total / length
    d_weight = (d_half + np.roll(d_half, 1, axis=1) - weight[..., None] * d_length) / length[..., None]
    whole = weight.sum(axis=1)
    value = (weight[..., None] * target).sum(axis=1) / whole[:, None]
    slope = np.einsum("kia,kib->kab", target, d_weight) - value[:, :, None] * d_weight.sum(axis=1)[:, None]
    return value, slope / whole[:, None, None]
