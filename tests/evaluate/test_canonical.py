"""The same crystals give the same hashes, groups and figures whatever file they come from and however their atoms are listed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symjax.crystals.io.convert import format_extxyz, format_poscar, to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.evaluate.cache import Cache, content_key
from symjax.evaluate.canonical import DECIMALS, canonical
from symjax.evaluate.sources import from_cells, read_crystals
from symjax.evaluate.stages import steadiness, symmetry
from tests.evaluate.made_crystals import random_dataset

GROUPS = (2, 14, 62, 139, 166, 194)


@pytest.fixture(scope="module")
def noisy():
    """Crystals with 0.02 to 0.1 angstrom on every atom, on the edge of having their symmetry."""
    rng = np.random.default_rng(0)
    cells = [cell.primitive() for cell in random_dataset(GROUPS, 3).all_atoms()]
    return [
        AtomicStructure(c.L, c.z, c.x + 0.03 * rng.normal(size=c.x.shape) @ np.linalg.inv(c.L))
        for c in cells
        if len(c.z) < 20
    ]


def turned(seed):
    """A random rotation."""
    found, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return found * np.sign(np.linalg.det(found))


def written(folder, cells):
    """The same crystals in five formats, atoms in an order of each format's own; the names of the files."""
    from pymatgen.io.cif import CifWriter

    rng = np.random.default_rng(1)
    mixed = [c.plain() for c in cells]
    orders = [rng.permutation(len(c.z)) for c in mixed]
    mixed = [AtomicStructure(c.L @ turned(i), c.z[o], c.x[o] + 1) for i, (c, o) in enumerate(zip(mixed, orders))]
    rows = [str(CifWriter(to_pymatgen(c))).replace('"', '""') for c in cells]
    (folder / "cif.csv").write_text("material_id,cif\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(rows)))
    (folder / "list.json").write_text(json.dumps([to_pymatgen(c).as_dict() for c in mixed]))
    printed = [
        str(to_pymatgen(c).as_dict()) for c in reversed(mixed)
    ]  # the published CrystalFormer samples are written so
    (folder / "printed.csv").write_text("cif\n" + "".join(f'"{text}"\n' for text in reversed(printed)))
    (folder / "all.extxyz").write_text("".join(map(format_extxyz, mixed)))
    (folder / "poscars").mkdir()
    for i, cell in enumerate(mixed):
        (folder / "poscars" / f"{i}.vasp").write_text(format_poscar(cell))
    return ["cif.csv", "list.json", "printed.csv", "poscars", "all.extxyz"]


def test_every_format_gives_the_same_rows(noisy, tmp_path):
    cells = [AtomicStructure(c.L, c.z, np.round(c.x, DECIMALS)) for c in noisy]
    expected = from_cells(cells)
    groups = [symmetry(cell) for cell in expected.cells]
    for name in written(tmp_path, cells):
        found = read_crystals(tmp_path / name, processes=1)
        assert found.reasons == ("",) * len(cells), name
        assert [symmetry(cell) for cell in found.cells] == groups, name
        if name != "all.extxyz":  # Cartesian places
            assert found.keys == expected.keys, name
            assert found.sha256 == expected.sha256, name


@given(st.integers(0, 10**6))
def test_orientation_order_and_handedness_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    cell = AtomicStructure(rng.normal(size=(3, 3)) + 4 * np.eye(3), rng.integers(1, 4, 6), rng.random((6, 3)))
    order = rng.permutation(6)
    other = AtomicStructure(-cell.L @ turned(seed), cell.z[order], -cell.x[order] + rng.integers(-2, 3, (6, 3)))
    first, second = canonical(cell), canonical(other)
    assert np.array_equal(first.z, second.z)
    assert np.abs((first.x - second.x + 0.5) % 1 - 0.5).max() <= 10.0**-DECIMALS
    assert np.allclose(first.L, second.L, atol=1e-6) and np.linalg.det(first.L) > 0
    again = canonical(first)
    assert content_key(again) == content_key(first)
    # distances are kept, so it is the crystal and not its image
    d = [np.sort(np.linalg.norm((c.x[:, None] - c.x) @ c.L, axis=-1), axis=None) for c in (first, second)]
    assert len(d[0]) == len(d[1]) == 36
    triple = [np.linalg.det(c.L) * np.sign(np.linalg.det(c.L)) for c in (cell, first)]
    assert triple[0] == pytest.approx(triple[1], rel=1e-6)


def test_a_left_handed_basis_keeps_the_crystal():
    """Screws of one hand as in quartz, the basis inverted: still that group and not its mirror image."""
    L = np.array([[4.913, 0, 0], [-2.4565, 4.254783, 0], [0, 0, 5.405]])
    si, o = np.array([0.4697, 0, 0]), np.array([0.4135, 0.2669, 0.1191])
    third = np.array([0, 0, 1 / 3])
    turn = np.array([[0, -1, 0], [1, -1, 0], [0, 0, 1]])  # -y, x - y, z + 1/3
    flip = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])  # y, x, -z
    places, numbers = [], []
    for z, x in ((14, si), (8, o)):
        for start in (x, flip @ x):
            for step in range(3):
                y = start
                for _ in range(step):
                    y = turn @ y + third
                if not any(np.allclose((y - p + 0.5) % 1, 0.5, atol=1e-4) for p in places):
                    places.append(y)
                    numbers.append(z)
    quartz = AtomicStructure(L, numbers, np.array(places))
    number = symmetry(quartz)["number"]
    assert number in (152, 154)
    left = AtomicStructure(-L, numbers, -np.array(places))
    assert symmetry(canonical(quartz))["number"] == symmetry(canonical(left))["number"] == number


def test_operations_go_with_the_crystal():
    for cell in random_dataset((2, 62, 166, 194), 1).all_atoms():
        found = canonical(cell)
        for W, w in zip(found.W, found.w):
            moved = found.x @ W.T + w / found.den
            gaps = moved[:, None] - found.x
            near = np.linalg.norm((gaps - np.round(gaps)) @ found.L, axis=-1)
            image = near.argmin(axis=1)
            assert near.min(axis=1).max() < 1e-5 and np.array_equal(found.orbit[image], found.orbit)


def test_cells_without_volume_are_left_alone():
    flat = AtomicStructure(np.zeros((3, 3)), [1], [[0.1, 0, 0]])
    assert canonical(flat) is flat


def test_overlapping_atoms_are_a_crystal_in_every_format(tmp_path):
    """Bad crystals are to be measured, so CIF text with two atoms in one place counts as the same in JSON does."""
    from pymatgen.io.cif import CifWriter

    cell = AtomicStructure(4.0 * np.eye(3), [11, 17, 17], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])
    (tmp_path / "a.cif").write_text(str(CifWriter(to_pymatgen(cell))))
    (tmp_path / "a.json").write_text(json.dumps([to_pymatgen(cell).as_dict()]))
    found = [read_crystals(tmp_path / name, processes=1) for name in ("a.cif", "a.json")]
    assert [part.reasons for part in found] == [("",), ("",)]
    assert found[0].keys == found[1].keys


def test_texts_are_read_once(noisy, tmp_path, monkeypatch):
    """A second reading takes the crystals from the cache, notes and reasons too."""
    from symjax.evaluate import sources

    name = written(tmp_path, noisy)[0]
    (tmp_path / name).write_text((tmp_path / name).read_text() + "9,hello\n")
    cache = Cache()
    first = read_crystals(tmp_path / name, processes=1, cache=cache)
    monkeypatch.setattr(sources, "_parse", None)
    second = read_crystals(tmp_path / name, processes=1, cache=cache)
    assert (second.keys, second.reasons, second.notes) == (first.keys, first.reasons, first.notes)
    assert first.reasons[-1] and first.usable.sum() == len(noisy)


def test_steadiness(noisy):
    """Sound crystals keep their group; of noisy ones some change it between 0.09 and 0.11 angstrom."""
    for cell in random_dataset((2, 62, 194), 2).all_atoms():
        assert steadiness(canonical(cell)) == {"reordered": False, "tolerance": False}
    found = [steadiness(canonical(cell)) for cell in noisy]
    assert all(set(row) == {"reordered", "tolerance"} for row in found)
    shifted = [
        AtomicStructure(np.diag([4.0, 4.0, 4.2]), [11, 11], [[0, 0, 0], [0.5, 0.5, 0.5 + by / 4.2]])
        for by in np.arange(0.02, 0.22, 0.01)
    ]
    flags = [steadiness(cell)["tolerance"] for cell in shifted]
    assert any(flags) and not all(flags), "somewhere the centring is lost, within a range of tolerances"
