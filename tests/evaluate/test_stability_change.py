"""Change of symmetry by relaxation, heat map, phase diagrams and their pictures."""

import dataclasses
import json

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.stability import (
    Entry,
    Hull,
    Operations,
    draw_phase_diagram,
    group_change,
    heat_map,
    operations_of,
    phase_diagram,
    relaxation_change,
    subgroup_distance,
)
from symjax.evaluate.stability.change import farthest_move
from symjax.evaluate.stability.relax import GPA, RelaxOptions, advance, prepare, result
from symjax.groups import standard_setting
from tests.evaluate.test_stability_relax import rock_salt


def operations(number):
    ops = standard_setting(number)
    return Operations(np.asarray(ops.W, np.int64), np.asarray(ops.w, np.float64) / 24)


def test_farthest_move():
    """A shift of all atoms, also over the edge of the cell, is no move; one atom of eight that goes 0.4 goes 7/8 of it."""
    cell = rock_salt()
    shifted = AtomicStructure(cell.L, cell.z, (cell.x + 0.5) % 1)
    assert farthest_move(cell, shifted) == pytest.approx(0, abs=1e-9)
    x = shifted.x.copy()
    x[3] += np.array([0.4, 0, 0]) @ np.linalg.inv(cell.L)
    assert farthest_move(cell, AtomicStructure(cell.L, cell.z, x)) == pytest.approx(0.4 * 7 / 8)


def test_pressure_of_the_start():
    """Minus a third of the trace of the first stress, in GPa: positive where the crystal wants to grow."""
    options = RelaxOptions(primitive=False)
    prepared, state = prepare(rock_salt(), options)
    forces = np.zeros((len(state.cell.z), 3))
    state = advance(prepared, state, -1.0, forces, -0.02 * np.eye(3), options=options)
    state = advance(prepared, state, -1.1, forces, 0.5 * np.eye(3), options=options)
    assert result(prepared, state, 0.0)["pressure_initial"] == pytest.approx(0.02 * GPA)


def test_heat_map_by_hand():
    found = heat_map([225, 225, 225, 62, 62, 14], [225, 166, 0, 62, 14, 0])
    assert found.groups.tolist() == [14, 62, 225]
    assert found.systems == ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
    assert found.counts.tolist() == [[0] * 7, [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 1]]
    assert found.failed.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.preserved, [0, 0.5, 1 / 3])
    assert found.overall == pytest.approx(2 / 6) and found.same_group == pytest.approx(2 / 6)


def test_systems_change_at_the_published_numbers():
    edges = [1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230]
    found = heat_map(edges, edges)
    assert found.counts.argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6] and found.overall == 1.0


@pytest.mark.parametrize(("a", "b"), [([1, 2], [1]), ([0], [1]), ([231], [1]), ([1], [-1]), ([[1]], [[1]])])
def test_heat_map_refuses(a, b):
    with pytest.raises(InputError):
        heat_map(a, b)


def test_group_change():
    found = group_change([225, 62, 1, 0, 14], [225, 14, 2, 5, 0])
    assert (found["num"], found["missing"]) == (3, 2)
    assert found["same_group"] == pytest.approx(1 / 3) and found["same_system"] == pytest.approx(2 / 3)
    assert (
        found["lower"] == pytest.approx(1 / 3) and found["higher"] == 0 and found["p1_before"] == pytest.approx(1 / 3)
    )
    assert np.isnan(group_change([], [])["same_group"]) and heat_map([], []).counts.shape == (0, 7)


@pytest.mark.parametrize(
    ("first", "second", "common", "distance"),
    [
        (225, 225, 192, 0.0),
        (225, 216, 96, 1.0),
        (221, 200, 24, 1.0),
        (225, 221, 48, 2.0),
        (2, 6, 1, 2.0),
        (225, 1, 1, np.log2(192)),
    ],
)
def test_subgroup_distance_of_known_groups(first, second, common, distance):
    found = subgroup_distance(operations(first), operations(second), np.eye(3) * 5)
    assert found.common == common and found.distance == pytest.approx(distance)
    assert found.lost == len(operations(first).W) - common
    back = subgroup_distance(operations(second), operations(first), np.eye(3) * 5)
    assert back.distance == pytest.approx(distance) and back.lost == found.gained


def test_translations_are_compared_in_angstrom():
    first = operations(4)
    near = Operations(first.W, (first.t + [[0, 0, 0], [0.01, 0, 0]]) % 1)
    assert subgroup_distance(first, near, 5 * np.eye(3), tolerance=0.1).distance == 0
    assert subgroup_distance(first, near, 50 * np.eye(3), tolerance=0.1).distance == 2


def test_change_of_a_crystal():
    cell = rock_salt()
    assert relaxation_change(cell, cell) == (192, 192, 192, 0.0)
    stretched = dataclasses.replace(cell, L=cell.L @ np.diag([1, 1, 1.1]))
    found = relaxation_change(cell, stretched)
    assert (found.after, found.common, found.gained) == (64, 64, 0) and found.distance == pytest.approx(np.log2(3))
    frac = cell.x + np.where(cell.z[:, None] == 17, [0, 0, 0.05], 0)
    polar = relaxation_change(cell, dataclasses.replace(stretched, x=frac))
    assert polar.after == polar.common == 32
    same = dataclasses.replace(cell, z=np.full(8, 11))  # a simple cubic lattice of half the edge
    risen = relaxation_change(cell, same)
    assert risen.common == 192 and risen.gained == 8 * 48 - 192 and risen.distance == pytest.approx(1.0)
    assert relaxation_change(cell, dataclasses.replace(cell, x=np.zeros((8, 3)))) is None


def test_change_without_operations_searches_them():
    plain = rock_salt().plain()
    assert relaxation_change(plain, rock_salt()).distance == 0
    assert len(operations_of(plain).W) == 192


LI2O, LIO = ((3, 2), (8, 1)), ((3, 1), (8, 1))


def made_hull():
    return Hull(
        (
            Entry(((3, 1),), -2.0, "Li"),
            Entry(((8, 1),), -5.0, "O"),
            Entry(LI2O, -5.0, "li2o"),
            Entry(LIO, -5.3, "lio"),
            Entry(LIO, -5.0, "lio worse"),
            Entry(((3, 1), (8, 3)), -4.0, "unstable"),
            Entry(((26, 1),), -8.0, "Fe"),
            Entry(((8, 3), (26, 2)), -7.5, "hematite"),
            Entry(((3, 1), (8, 2), (26, 1)), -7.0, "ternary"),
        ),
        "made up",
    )


def salt(edge, shift=0.5):
    return AtomicStructure(edge * np.eye(3), [3, 8], [[0, 0, 0], [shift, shift, shift]])


def test_phase_diagram_by_hand(tmp_path):
    found = phase_diagram(
        made_hull(),
        [8, 3],
        [LIO, LIO, LI2O, ((26, 1),), LI2O, ((3, 3), (8, 1))],
        [-5.4, -5.2, -4.8, -8.0, None, -2.2],
        cells=[salt(3.0), salt(3.1), None, None, None, None],
        reference_cells={"lio": salt(3.05), "li2o": salt(3.0)},
        names=["a", "b", "c", "d", "e", "f"],
    )
    assert found["system"] == "Li-O"
    assert {p["name"] for p in found["reference"] if p["on_reference_hull"]} == {"Li", "O", "li2o", "lio"}
    assert found["counts"] == {
        "in_system": 5,
        "outside": 1,
        "without_energy": 1,
        "known": 2,
        "found_by_composition": 2,
        "found_by_structure": 1,
        "below_reference_hull": 1,
    }
    known = {k["name"]: k for k in found["known_phases"]}
    assert known["lio"]["found_by_structure"] is True and known["lio"]["difference"] == pytest.approx(-0.1)
    assert known["li2o"]["found_by_structure"] is None  # no generated cell of this composition was given
    made = {p["name"]: p for p in found["generated"]}
    assert made["a"]["on_generated_hull"] and not made["b"]["on_generated_hull"] and not made["f"]["on_generated_hull"]
    assert made["a"]["e_hull"] == pytest.approx(-0.1) and made["c"]["e_hull"] == pytest.approx(0.2)
    assert made["c"]["formation_energy"] == pytest.approx(-4.8 + 4 / 3 + 5 / 3)
    assert json.loads(json.dumps(found)) == found
    draw_phase_diagram(found, tmp_path / "binary.png")
    assert (tmp_path / "binary.png").stat().st_size > 5000


def test_phase_without_a_generated_crystal_is_not_found():
    found = phase_diagram(made_hull(), [3, 8], [], [], cells=[], reference_cells={"lio": salt(3.0), "li2o": salt(3.0)})
    assert [k["found_by_structure"] for k in found["known_phases"]] == [False, False]
    assert found["counts"]["found_by_composition"] == 0 and found["generated"] == []


def test_another_structure_of_the_same_composition_is_not_the_phase():
    other = AtomicStructure(np.diag([3.0, 3.0, 6.0]), [3, 8], [[0, 0, 0], [0, 0, 0.25]])
    found = phase_diagram(made_hull(), [3, 8], [LIO], [-5.0], cells=[other], reference_cells={"lio": salt(3.0)})
    lio = next(k for k in found["known_phases"] if k["name"] == "lio")
    assert lio["found_by_composition"] and lio["found_by_structure"] is False


@pytest.mark.parametrize("made", [[], [((3, 1), (8, 2), (26, 1)), LI2O, ((3, 1), (8, 4), (26, 1))]])
def test_ternary_picture(tmp_path, made):
    found = phase_diagram(made_hull(), [3, 8, 26], made, [-6.4, -5.1, -5.0][: len(made)])
    assert {p["name"] for p in found["reference"] if p["on_reference_hull"]} >= {"hematite", "ternary", "lio"}
    draw_phase_diagram(found, tmp_path / "ternary.svg")
    assert "svg" in (tmp_path / "ternary.svg").read_text()[:300]


def test_phase_diagrams_refuse(tmp_path):
    with pytest.raises(InputError, match="at least two"):
        phase_diagram(made_hull(), [3], [], [])
    with pytest.raises(InputError, match="no elemental reference for Na"):
        phase_diagram(made_hull(), [3, 11], [], [])
    with pytest.raises(InputError, match="two or three"):
        draw_phase_diagram({"elements": ["A", "B", "C", "D"], "system": "A-B-C-D", "counts": {}}, tmp_path / "x.png")
