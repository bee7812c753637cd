"""The page of pictures: what must be on it."""

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.draw.page import draw_page, grid_order, pretty_formula, symbol_of
from symjax.draw.render import render, with_boundary


def test_boundary_atoms_are_repeated():
    """An atom on a corner is drawn on all eight corners, one inside once."""
    frac, numbers = with_boundary(AtomicStructure(np.eye(3) * 4, [11, 17], [[0, 0, 1e-9], [0.5, 0.5, 0.5]]))
    assert sorted(numbers) == [11] * 8 + [17]
    assert len({tuple(np.round(point)) for point, z in zip(frac, numbers) if z == 11}) == 8


@pytest.mark.parametrize(
    "lattice", [np.eye(3) * 4, [[4, 0, 0], [-2, 3.46, 0], [0, 0, 7]], [[3, 0, 0.1], [1, 4, 0], [-1, 1, 9]]]
)
def test_render_shows_the_atoms(lattice):
    """The nearest atom's colour is in the picture; what is not drawn is transparent."""
    image = render(AtomicStructure(lattice, [8, 11], [[0, 0, 0], [0.5, 0.5, 0.5]]), size=120)
    assert image.shape == (120, 120, 4)
    assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1
    drawn = image[..., 3] > 0.99
    assert 0.02 < drawn.mean() < 0.95
    red = drawn & (image[..., 0] > 0.5) & (image[..., 1] < 0.3) & (image[..., 2] < 0.3)
    assert red.sum() > 20


def test_page_is_a_picture(tmp_path):
    cells = [AtomicStructure(np.eye(3) * 4, [29], [[0, 0, 0]])] * 3
    draw_page(cells, ["Cu"] * 3, [221, 1, 0], tmp_path / "page.png", heading="three")
    assert (tmp_path / "page.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_labels():
    assert pretty_formula("Sr2TiO4") == "Sr$_{2}$TiO$_{4}$"
    assert symbol_of(225) == r"$Fm\bar{3}m$"


def test_every_group_comes_before_any_comes_twice():
    order = grid_order([225, 225, 225, 62, 1], [3, 2, 1, 1, 1], 4)
    assert order.tolist() == [4, 3, 0, 1]
