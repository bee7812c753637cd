"""A small software renderer for crystals: shaded spheres and cylinders with a depth buffer, in numpy.

matplotlib has no depth order between patches that cross, so cell edges and bonds would be drawn through atoms. Here every
pixel keeps the nearest surface. The projection is parallel: lengths along one direction stay comparable.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from symjax.crystals.types import AtomicStructure

LIGHT = np.array([-0.45, 0.65, 0.61])
EDGE_COLOR = np.array([0.42, 0.45, 0.50])
ATOM_SCALE = 0.46
"""Drawn radius as a share of the covalent radius."""
BOND_RATIO = 1.15
"""Atoms closer than this times the sum of their covalent radii are joined."""
MAX_ATOMS = 600


@dataclass
class Canvas:
    """Pixels under construction: colour (h, w, 3), depth towards the viewer (h, w), and the camera.

    Attributes:
        color: linear colours in [0, 1].
        depth: height of the nearest surface in angstrom, -inf where nothing was drawn.
        origin: (2,) image-plane coordinates of the lower left corner, angstrom.
        scale: pixels per angstrom.
    """

    color: np.ndarray
    depth: np.ndarray
    origin: np.ndarray
    scale: float


def render(cell: AtomicStructure, size: int = 360, supersample: int = 2) -> np.ndarray:
    """Draw a crystal's cell.

    Args:
        cell: the crystal.
        size: width and height in pixels.
        supersample: samples per pixel and direction.

    Returns:
        (size, size, 4) float RGBA in [0, 1], transparent where nothing is drawn.
    """
    from ase.data import covalent_radii
    from ase.data.colors import jmol_colors

    view = _camera(cell.L)
    x, z = with_boundary(cell)
    points = (x @ cell.L) @ view.T
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    frame = (corners @ cell.L) @ view.T
    radii = ATOM_SCALE * covalent_radii[z]
    colors = jmol_colors[z]
    everything = np.concatenate([frame[:, :2], points[:, :2] - radii[:, None], points[:, :2] + radii[:, None]])
    low, high = everything.min(axis=0), everything.max(axis=0)
    span = max(float((high - low).max()) * 1.04, 1e-3)
    pixels = size * supersample
    canvas = Canvas(
        color=np.ones((pixels, pixels, 3)),
        depth=np.full((pixels, pixels), -np.inf),
        origin=(low + high - span) / 2,
        scale=pixels / span,
    )
    thin = 0.006 * span
    for i, j in itertools.combinations(range(8), 2):
        if np.abs(corners[i] - corners[j]).sum() == 1:
            _draw_cylinder(canvas, frame[i], frame[j], thin, EDGE_COLOR)
    for i, j in bonds(points, covalent_radii[z]):
        middle = (points[i] + points[j]) / 2
        width = 0.22 * min(radii[i], radii[j])
        _draw_cylinder(canvas, points[i], middle, width, colors[i])
        _draw_cylinder(canvas, middle, points[j], width, colors[j])
    for point, radius, color in zip(points, radii, colors):
        _draw_sphere(canvas, point, float(radius), color)
    return _finish(canvas, supersample)


def with_boundary(cell: AtomicStructure, tolerance: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of the closed cell: those on a face, edge or corner are repeated on the opposite ones.

    Returns:
        (n, 3) fractional coordinates and (n,) atomic numbers.
    """
    x, z = cell.x - np.floor(cell.x + tolerance), cell.z
    for axis in range(3):
        on_face = np.abs(x[:, axis]) < tolerance
        copies = x[on_face].copy()
        copies[:, axis] += 1.0
        x, z = np.concatenate([x, copies]), np.concatenate([z, z[on_face]])
    return x[:MAX_ATOMS], z[:MAX_ATOMS]


def _camera(lattice: np.ndarray) -> np.ndarray:
    """(3, 3) rows: right, up, towards the viewer. c points up, the viewer stands in front of a and a little above."""
    up = lattice[2] / np.linalg.norm(lattice[2])
    ahead = lattice[0] - (lattice[0] @ up) * up
    ahead /= np.linalg.norm(ahead)
    side = np.cross(up, ahead)
    if side @ lattice[1] < 0:  # left-handed cell: keep b to the right
        side = -side
    towards = np.cos(np.radians(16)) * (np.cos(np.radians(24)) * ahead + np.sin(np.radians(24)) * side)
    towards = towards + np.sin(np.radians(16)) * up
    right = np.cross(up, towards)
    right /= np.linalg.norm(right)
    if right @ side < 0:
        right = -right
    return np.stack([right, up - (up @ towards) * towards, towards]) / np.array(
        [[1.0], [np.cos(np.radians(16))], [1.0]]
    )


def bonds(points: np.ndarray, radii: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of atoms that are joined in pictures.

    Args:
        points: (n, 3) angstrom.
        radii: (n,) covalent radii, angstrom.
    """
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    near = (gaps < BOND_RATIO * (radii[:, None] + radii[None])) & (gaps > 0.1)
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(near, 1))]


def _window(canvas: Canvas, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """Pixel slices (rows, columns) around a box of the image plane, with the pixels' coordinates in angstrom."""
    size = canvas.depth.shape[0]
    first = np.clip(np.floor((low - canvas.origin) * canvas.scale).astype(int), 0, size)
    last = np.clip(np.ceil((high - canvas.origin) * canvas.scale).astype(int) + 1, 0, size)
    x = (np.arange(first[0], last[0]) + 0.5) / canvas.scale + canvas.origin[0]
    y = (np.arange(first[1], last[1]) + 0.5) / canvas.scale + canvas.origin[1]
    return slice(first[1], last[1]), slice(first[0], last[0]), *np.meshgrid(x, y)


def _nearer(canvas: Canvas, where: tuple[slice, slice], inside: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Pixels of a window where a surface is inside its outline and nearer than what is already there."""
    return inside & (depth > canvas.depth[where])


def _paint(
    canvas: Canvas,
    where: tuple[slice, slice],
    seen: np.ndarray,
    depth: np.ndarray,
    normal: np.ndarray,
    color: np.ndarray,
) -> None:
    """Shade the `n` pixels `seen` of a window; `depth (n,)` and `normal (n, 3)` are of these alone."""
    light = LIGHT / np.linalg.norm(LIGHT)
    diffuse = np.clip(normal @ light, 0, 1)
    half = light + np.array([0.0, 0.0, 1.0])
    gloss = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 40
    # A darker rim keeps pale atoms apart from a white page and from each other.
    rim = 0.62 + 0.38 * np.clip(normal[..., 2] * 2.2, 0, 1)
    shade = (color * ((0.42 + 0.62 * diffuse) * rim)[..., None]) + 0.38 * gloss[..., None]
    canvas.color[where][seen] = np.clip(shade, 0, 1)
    canvas.depth[where][seen] = depth


def _draw_sphere(canvas: Canvas, center: np.ndarray, radius: float, color: np.ndarray) -> None:
    rows, columns, x, y = _window(canvas, center[:2] - radius, center[:2] + radius)
    dx, dy = (x - center[0]) / radius, (y - center[1]) / radius
    rest = 1 - dx**2 - dy**2
    height = np.sqrt(np.clip(rest, 0, None))
    depth = center[2] + radius * height
    seen = _nearer(canvas, (rows, columns), rest > 0, depth)
    _paint(canvas, (rows, columns), seen, depth[seen], np.stack([dx[seen], dy[seen], height[seen]], axis=-1), color)


def _draw_cylinder(canvas: Canvas, start: np.ndarray, end: np.ndarray, radius: float, color: np.ndarray) -> None:
    """A round bar seen along the depth axis: solve for the nearest point of its mantle at each pixel."""
    axis = end - start
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        return
    axis = axis / length
    low, high = np.minimum(start, end)[:2] - radius, np.maximum(start, end)[:2] + radius
    rows, columns, x, y = _window(canvas, low, high)
    # With p the pixel's offset from the start (in the image plane) and d the view direction, both less their part along the axis:
    # |p + h d|^2 = radius^2 is a h^2 + 2 b h + c = 0.
    a = 1.0 - float(axis[2] ** 2)
    if a < 1e-9:
        return
    dx, dy = x - start[0], y - start[1]
    along_plane = dx * axis[0] + dy * axis[1]
    b, c = -axis[2] * along_plane, dx**2 + dy**2 - along_plane**2 - radius**2
    discriminant = b**2 - a * c
    height = (-b + np.sqrt(np.clip(discriminant, 0, None))) / a
    along = along_plane + axis[2] * height
    inside = (discriminant > 0) & (along >= 0) & (along <= length)
    depth = start[2] + height
    seen = _nearer(canvas, (rows, columns), inside, depth)
    point = np.stack([dx[seen], dy[seen], height[seen]], axis=-1)
    normal = (point - along[seen][:, None] * axis) / radius
    _paint(canvas, (rows, columns), seen, depth[seen], normal, color)


def _finish(canvas: Canvas, supersample: int) -> np.ndarray:
    """Fade what lies far back, average the samples of each pixel, and turn coverage into transparency."""
    drawn = np.isfinite(canvas.depth)
    if drawn.any():
        near, far = canvas.depth[drawn].max(), canvas.depth[drawn].min()
        fog = np.zeros_like(canvas.depth)
        fog[drawn] = 0.38 * (near - canvas.depth[drawn]) / max(near - far, 1e-9)
        canvas.color += (1 - canvas.color) * fog[..., None]
    rgba = np.concatenate([canvas.color * drawn[..., None], drawn[..., None].astype(float)], axis=-1)
    size = rgba.shape[0] // supersample
    rgba = rgba.reshape(size, supersample, size, supersample, 4).mean(axis=(1, 3))
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-9)
    return np.clip(rgba[::-1], 0, 1)
