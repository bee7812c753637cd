"""Wyckoff positions from operations alone, against pyxtal's tables and in any basis; tables of sets; atoms to orbits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from symjax.errors import NotAGroupError, SymjaxError
from symjax.groups import canonicalize, hall_setting, make_opset, standard_setting
from symjax.lattice import choose_frame, k_projector, lattice_from_log, project_k
from symjax.wyckoff import build_set_table, wyckoff_positions
from symjax.wyckoff.orbits import assign_orbits
from symjax.wyckoff.positions import worked_out
from symjax.wyckoff.set_table import SetTable


@pytest.fixture(scope="module")
def all_positions():
    return {number: wyckoff_positions(standard_setting(number)) for number in range(1, 231)}


def stabilizer(opset, x):
    moved = opset.W @ x + opset.w / opset.den - x
    return (np.abs(moved - np.rint(moved)) < 1e-9).all(-1)


def near(a, b):
    return np.abs(a - b - np.rint(a - b)).max(-1) < 1e-9


def test_there_are_1731_positions(all_positions):
    assert sum(len(p) for p in all_positions.values()) == 1731
    assert max(len(p) for p in all_positions.values()) == 27


def test_multiplicity_and_freedom_agree_with_pyxtal(all_positions):
    from pyxtal.symmetry import Group

    for number, ours in all_positions.items():
        theirs = sorted((w.multiplicity, w.get_dof()) for w in Group(number, quick=False).Wyckoff_positions)
        assert sorted(zip(ours.multiplicity.tolist(), ours.dof.tolist(), strict=True)) == theirs, number


def test_every_pyxtal_position_is_one_of_ours(all_positions):
    """A random point of each tabulated position lies, after one of the operations, on exactly the flat of one position."""
    from pyxtal.symmetry import Group

    rng = np.random.default_rng(0)
    for number in range(1, 231, 7):
        opset, ours = standard_setting(number), all_positions[number]
        hit = []
        for position in Group(number, quick=False).Wyckoff_positions:
            x = np.asarray(position[0].operate(rng.random(3)))
            images = opset.W @ x + opset.w / 24
            for p in np.flatnonzero(ours.multiplicity == position.multiplicity):
                offset = (images - ours.x0[p]) @ ours.annihilator[p, : 3 - ours.dof[p]].T
                if (np.abs(offset - np.rint(offset)) < 1e-9).all(-1).any():
                    hit.append(p)
        assert sorted(hit) == list(range(len(ours))), number


def test_generic_points_have_the_stated_stabilizer_and_images(all_positions):
    rng = np.random.default_rng(1)
    for number, positions in all_positions.items():
        opset = standard_setting(number)
        for p in range(len(positions)):
            x = positions.x0[p] + positions.basis[p] @ rng.random(3)
            assert (stabilizer(opset, x) == positions.stab[p]).all(), (number, p)
            images = positions.images[p, : positions.multiplicity[p]]
            assert positions.multiplicity[p] * positions.stab[p].sum() == len(opset.W)
            assert (positions.images[p, len(images) :] == -1).all() and images[0] == 0
            assert (np.diff(images) > 0).all()
            points = opset.W[images] @ x + opset.w[images] / 24
            apart = points[:, None] - points[None]
            same = (np.abs(apart - np.rint(apart)) < 1e-9).all(-1)
            assert (same == np.eye(len(images), dtype=bool)).all(), (number, p)


def test_layout_sorted_general_last_and_primitive(all_positions):
    for number, positions in all_positions.items():
        keys = list(zip(positions.multiplicity.tolist(), positions.dof.tolist(), strict=True))
        assert keys == sorted(keys) and keys[-1][1] == 3, number
        assert ((positions.x0 >= 0) & (positions.x0 < 1)).all()
        for p, dof in enumerate(positions.dof):
            assert not positions.basis[p, :, dof:].any()
            assert abs(round(np.linalg.det(positions.completion[p]))) == 1, (number, p)
            Q = positions.annihilator[p, : 3 - dof]
            assert np.abs(Q @ positions.basis[p]).max(initial=0) == 0
            np.testing.assert_allclose(Q @ positions.completion[p][:, dof:], np.eye(3 - dof), atol=1e-12)


def test_known_positions_of_fm3m(all_positions):
    positions = all_positions[225]
    assert positions.multiplicity.tolist() == [4, 4, 8, 24, 24, 32, 48, 48, 48, 96, 96, 192]
    assert positions.x0[:4].tolist() == [[0, 0, 0], [0, 0, 0.5], [0.25, 0.25, 0.25], [0, 0.25, 0.25]]
    assert positions.basis[5, :, 0].tolist() == [1, 1, 1]


def conjugated(opset, rng, num_shears):
    """The set in a random basis of determinant 1 at a random origin in 24ths."""
    P = np.eye(3, dtype=np.int64)
    for _ in range(num_shears):
        i, j = rng.choice(3, 2, replace=False)
        P[:, i] += rng.choice([-1, 1]) * P[:, j]
    inverse = np.rint(np.linalg.inv(P)).astype(np.int64)
    W, w = opset.W.astype(np.int64), opset.w.astype(np.int64)
    p = rng.integers(0, 24, 3)
    return make_opset(inverse @ W @ P, (w + (W - np.eye(3, dtype=np.int64)) @ p) @ inverse.T)


@given(hall=st.integers(1, 530), seed=st.integers(0, 1000), num_shears=st.integers(0, 8))
@examples(max_examples=60)
def test_any_basis_and_origin_gives_the_same_positions(hall, seed, num_shears):
    opset = hall_setting(hall)
    rng = np.random.default_rng(seed)
    moved = conjugated(opset, rng, num_shears)
    a, b = wyckoff_positions(opset), wyckoff_positions(moved)
    assert a.multiplicity.tolist() == b.multiplicity.tolist() and a.dof.tolist() == b.dof.tolist()
    for p in range(len(b)):
        x = b.x0[p] + b.basis[p] @ rng.random(3)
        assert (stabilizer(moved, x) == b.stab[p]).all()


def same_positions(number):
    found, table = worked_out(standard_setting(number)), wyckoff_positions(standard_setting(number))
    for name in ("stab", "x0", "basis", "dof", "multiplicity", "images"):
        a, b = getattr(found, name), getattr(table, name)
        assert a.dtype == b.dtype and np.array_equal(a, b), (number, name)


@pytest.mark.parametrize("number", [1, 62, 148, 205, 216])
def test_the_table_is_what_the_algorithm_makes(number):
    same_positions(number)


@pytest.mark.slow
def test_the_whole_table():
    for number in range(1, 231):
        same_positions(number)


def test_sets_that_do_not_close_are_refused():
    opset = standard_setting(62)
    w = opset.w.copy()
    w[3, 0] += 5
    with pytest.raises(NotAGroupError):
        wyckoff_positions(make_opset(opset.W, w))


def test_set_table_round_trip_and_content(all_positions):
    numbers = [1, 2, 14, 62, 166, 194, 225]
    table = build_set_table([standard_setting(n) for n in numbers], num_positions=30)
    again = SetTable.from_arrays(table.to_arrays())
    for name, values in table.to_arrays().items():
        assert np.array_equal(values, getattr(again, name)), name
    assert table.W.shape == (7, 192, 3, 3) and table.pos_mask.shape == (7, 30)
    assert table.frame.tolist() == [0, 0, 0, 0, 1, 1, 0]
    for row, number in enumerate(numbers):
        positions = all_positions[number]
        assert np.array_equal(table.opset(row).w, standard_setting(number).w)
        assert table.pos_mult[row, : len(positions)].tolist() == positions.multiplicity.tolist()
        assert table.pos_mask[row].sum() == len(positions) and not table.pos_mult[row, len(positions) :].any()
        assert (table.vocab[row][table.mask[row]] < 800).all() and (table.vocab[row][~table.mask[row]] == 800).all()
        assert round(np.trace(table.k_projector[row])) == [6, 6, 4, 3, 2, 2, 1][row]


def test_set_table_names_what_is_wrong():
    with pytest.raises(SymjaxError, match="set 1 has 8 operations"):
        build_set_table([standard_setting(1), standard_setting(62)], num_ops=4)
    opset = standard_setting(62)
    with pytest.raises(SymjaxError, match=r"set 0.*identity"):
        build_set_table([make_opset(opset.W[::-1], opset.w[::-1])])
    with pytest.raises(SymjaxError, match="24ths"):
        build_set_table([make_opset(opset.W, opset.w * 0 + np.where(np.arange(8) > 0, 1, 0)[:, None], den=7)])
    with pytest.raises(SymjaxError, match="missing"):
        SetTable.from_arrays({"W": opset.W})
    with pytest.raises(SymjaxError):
        build_set_table([])


@given(number=st.integers(1, 230), seed=st.integers(0, 100))
@examples(max_examples=60)
def test_noisy_orbits_are_found_again(number, seed):
    """Two orbits of two species, 0.01 angstrom of noise, cell images and order shuffled: positions and points come back."""
    rng = np.random.default_rng(seed)
    opset, frame = standard_setting(number), None
    positions, frame = wyckoff_positions(opset), choose_frame(opset.W)
    k = np.append(rng.normal(size=5) * 0.1, 5.0)
    lattice = lattice_from_log(project_k(k, k_projector(opset.W, None, frame)), frame)
    wanted, x, z = sorted(rng.integers(len(positions), size=2).tolist()), [], []
    for species, p in enumerate(wanted):
        u = 0.05 + 0.1 * rng.permutation(3) + 0.03 * rng.random(3)  # away from special points of the lattices used here
        images = positions.images[p, : positions.multiplicity[p]]
        x.append(opset.W[images] @ (positions.x0[p] + positions.basis[p] @ u) + opset.w[images] / 24)
        z += [species] * len(images)
    x, z = np.concatenate(x), np.array(z)
    order = rng.permutation(len(z))
    noise = rng.uniform(-0.01, 0.01, x.shape) @ np.linalg.inv(lattice)
    noisy = (x + noise + rng.integers(-2, 3, x.shape))[order]
    found = assign_orbits(opset, positions, noisy, species=z[order], lattice=lattice, tolerance=0.05)
    assert found.position.tolist() == wanted
    assert (found.displacement < 0.05).all()
    for m, p in enumerate(found.position):
        offset = positions.annihilator[p, : 3 - positions.dof[p]] @ (found.x[m] - positions.x0[p])
        assert np.abs(offset).max(initial=0) < 1e-12
        images = positions.images[p, : positions.multiplicity[p]]
        made = opset.W[images] @ found.x[m] + opset.w[images] / 24
        delta = made[:, None] - noisy[found.atom_orbit == m][None]
        distance = np.linalg.norm((delta - np.rint(delta)) @ lattice, axis=-1)
        assert distance.shape[0] == distance.shape[1] and distance.min(0).max() < 0.05 and distance.min(1).max() < 0.05


def test_atoms_that_break_the_symmetry_are_named():
    opset = canonicalize(standard_setting(221))
    with pytest.raises(SymjaxError, match=r"atom 0.*operation"):
        assign_orbits(
            opset, wyckoff_positions(opset), np.array([[0.1, 0.0, 0.0]]), species=np.array([1]), lattice=4 * np.eye(3)
        )
