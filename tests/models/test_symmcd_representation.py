"""SymmCD's representation: lattice coefficients, masks, representatives, site symmetries, counts, and what is refused."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.data import derived
from symjax.data.asymmetric_units import CENTRE, SITE
from symjax.data.dataset import load
from symjax.errors import InputError
from symjax.groups.tables import standard_setting
from symjax.lattice import compatibility_defect, k_projector, lattice_from_parameters, lattice_parameters
from symjax.models.symmcd.representation import (
    NUM_ELEMENTS,
    check_request,
    count,
    group_features,
    k_from_lattice,
    lattice_from_k,
    lattice_masks,
    represent,
)
from symjax.wyckoff.oriented import SITE_CLASSES, site_symmetry
from symjax.wyckoff.representatives import centre_operations
from symjax.wyckoff.set_table import build_set_table, standard_numbers


@pytest.fixture(scope="module")
def light(prototype_dataset):
    """The prototypes without americium and the like: the model has 94 classes of elements."""
    heavy = np.unique(prototype_dataset.orbit_crystal[prototype_dataset.orbit_z > NUM_ELEMENTS])
    assert 0 < len(heavy) < 10
    return prototype_dataset.subset(np.setdiff1d(np.arange(len(prototype_dataset)), heavy))


@pytest.fixture(scope="module")
def represented(light):
    return represent(light)


# The polar coefficients of these cells, worked out with scipy's sqrtm and logm.
CELLS = [
    ((4, 4, 4, 90, 90, 90), (0, 0, 0, 0, 0, 1.386294)),
    ((4, 4, 6, 90, 90, 120), (-0.274653, 0, 0, 0, -0.159129, 1.473502)),
    ((5, 6, 7, 90, 110, 90), (0, -0.174763, 0, -0.110189, -0.080064, 1.761635)),
    ((10, 4, 6, 90, 110, 90), (0, -0.170432, 0, 0.447771, 0.027920, 1.806145)),
    ((5, 6, 7, 80, 95, 110), (-0.174775, -0.029107, 0.083867, -0.091562, -0.091068, 1.756382)),
]


@pytest.mark.parametrize(("cell", "k"), CELLS)
def test_known_coefficients_and_back(cell, k):
    L = lattice_from_parameters(np.array(cell, float))
    assert k_from_lattice(L) == pytest.approx(np.array(k), abs=1e-6)
    back = lattice_from_k(k_from_lattice(L))
    assert lattice_parameters(back) == pytest.approx(np.array(cell, float), abs=1e-9)
    assert back == pytest.approx(back.T, abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.floats(-0.4, 0.4), min_size=5, max_size=5), st.floats(0.5, 2.5), st.integers(0, 2**31))
def test_coefficients_do_not_depend_on_the_orientation(shape, size, seed):
    k = np.array([*shape, size])
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    assert k_from_lattice(lattice_from_k(k) @ Q) == pytest.approx(k, abs=1e-9)
    assert np.log(abs(np.linalg.det(lattice_from_k(k)))) == pytest.approx(3 * size, abs=1e-9)


def test_lattice_under_jax_and_its_gradient():
    k = np.array([0.05, -0.1, 0.02, 0.1, -0.2, 1.5])
    np.testing.assert_allclose(jax.jit(lattice_from_k)(k), lattice_from_k(k), rtol=1e-5)
    slope = jax.grad(lambda k: lattice_from_k(k).sum())(np.array([0.0, 0, 0, 0, 0, 1.5], np.float32))
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0


@pytest.mark.parametrize("number", range(1, 231, 7))
def test_masked_coefficients_give_lattices_that_the_group_keeps(number):
    mask, constant = lattice_masks()
    k = np.random.default_rng(number).normal(size=6) * 0.2 + [0, 0, 0, 0, 0, 1.8]
    L = lattice_from_k(mask[number] * k + constant[number])
    W = standard_setting(number).W
    assert float(np.max(compatibility_defect(W, None, L @ L.T))) < 1e-9
    frame = int(143 <= number <= 194)
    assert mask[number].sum() == pytest.approx(np.trace(k_projector(W, None, frame)))  # and none is missing


def test_mask_of_every_group_has_as_many_free_coefficients_as_its_metric():
    mask, constant = lattice_masks()
    free = {1: 6, 2: 6, 3: 4, 15: 4, 16: 3, 74: 3, 75: 2, 142: 2, 143: 2, 194: 2, 195: 1, 230: 1}
    assert {n: int(mask[n].sum()) for n in free} == free
    assert set(np.flatnonzero(constant.any(axis=1))) == set(range(143, 195))


def test_real_coefficients_are_their_own_masked_ones(represented):
    mask, constant = lattice_masks()
    np.testing.assert_allclose(
        mask[represented.number] * represented.k + constant[represented.number], represented.k, atol=1e-9
    )


def test_representatives_are_the_atoms_nearest_to_the_centre(light, represented):
    for i in range(0, len(represented), 7):
        crystal = light.crystal(i)
        assert len(crystal.z) == represented.num_orbits[i]  # crystals with one orbit too
        for a in range(len(crystal.z)):
            atoms = np.mod(crystal.W @ crystal.x[a] + crystal.w / 24 + 1e-9, 1.0) - 1e-9
            distance = ((atoms - 0.5) ** 2).sum(axis=1)
            x = represented.x[i, a]
            assert ((x - 0.5) ** 2).sum() == pytest.approx(distance.min(), abs=1e-6)
            assert np.abs(atoms - x).max(axis=1).min() < 1e-6 and (x >= 0).all() and (x < 1).all()
            assert represented.z[i, a] == crystal.z[a]


def test_site_symmetry_is_that_of_the_position_up_to_the_choice_of_the_copy(light, represented):
    """The classes of the atom's own stabilizer are the same, in slots permuted by the group."""
    for i in range(0, len(represented), 7):
        crystal = light.crystal(i)
        for a in range(len(crystal.z)):
            own = site_symmetry(crystal.W[crystal.stab[a]])
            assert sorted(own) == sorted(represented.site[i, a])
    assert represented.site.max() < len(SITE_CLASSES) and not represented.site[~represented.mask].any()


def test_derived_arrays_that_are_kept_are_what_would_be_made(light, tmp_path):
    assert light.derived == {}  # preparation knows no model
    full = derived.keep(light, (CENTRE, SITE))
    full.save(tmp_path / "a.npz")
    kept = load(tmp_path / "a.npz").subset([200, 3, 77])
    bare = light.subset([200, 3, 77])
    for name in ("number", "k", "z", "x", "site", "pos", "mask"):
        np.testing.assert_array_equal(getattr(represent(kept), name), getattr(represent(bare), name))
    again = centre_operations(bare.sets, bare.orbit_set, bare.orbit_pos, bare.orbit_x)
    np.testing.assert_array_equal(kept.derived[CENTRE], again)
    assert full.data_hash() == light.data_hash()  # the hash names the crystals, not what follows from them


def test_files_from_before_versions_keep_the_first(light, tmp_path):
    """Files of the earlier preparation hold `centre_op` and no version: they are read, and what they hold is used."""
    full = derived.keep(light, (CENTRE, SITE)).subset([200, 3, 77])
    replace(full, meta={k: v for k, v in full.meta.items() if k != derived.VERSIONS}).save(tmp_path / "old.npz")
    old = load(tmp_path / "old.npz")
    assert derived.VERSIONS not in old.meta and derived.values(old, CENTRE) is old.derived[CENTRE]
    np.testing.assert_array_equal(represent(old).x, represent(full).x)


def test_taking_cuts_and_pads(represented):
    small = np.flatnonzero(represented.num_orbits <= 3)[:5]
    part, wide = represented.take(small, 3), represented.take(small, 30)
    assert part.z.shape == (5, 3) and wide.site.shape == (5, 30, 15) and (wide.pos[:, 3:] == -1).all()
    for name in ("z", "x", "site", "pos", "mask"):
        np.testing.assert_array_equal(getattr(wide, name)[:, :3], getattr(part, name))
    with pytest.raises(InputError, match="more than the 1 slots"):
        represented.take(np.flatnonzero(represented.num_orbits == 3)[:1], 1)


def test_counts_are_frequencies(represented):
    counts = count(represented)
    assert counts.group.sum() == pytest.approx(1) and counts.elements.sum() == pytest.approx(1)
    of_225 = represented.number == 225
    assert counts.group[225] == pytest.approx(of_225.mean())
    assert counts.orbits[225, 2] == pytest.approx((represented.num_orbits[of_225] == 2).mean())
    seen = counts.group > 0
    np.testing.assert_allclose(counts.orbits.sum(axis=1), seen)
    np.testing.assert_allclose(counts.site.sum(axis=-1), 1)
    assert (counts.site[~seen] == 1 / 13).all()
    rows = represented.site[of_225][represented.mask[of_225]]
    for axis in (0, 4, 13):
        np.testing.assert_allclose(counts.site[225, axis], np.bincount(rows[:, axis], minlength=13) / len(rows))
    z = represented.z[represented.mask]
    assert counts.elements[7] == pytest.approx((z == 8).mean())
    assert counts.to_arrays().keys() == {"group", "orbits", "elements", "site"}
    with pytest.raises(InputError, match="no crystals"):
        count(represented.take(np.zeros(0, int)))


def test_bad_input_is_refused(light, represented):
    with pytest.raises(InputError, match="orbits, more than the 2 slots"):
        represent(light, num_orbits=2)
    heavy = replace(light, orbit_z=np.full_like(light.orbit_z, NUM_ELEMENTS + 1))
    with pytest.raises(InputError, match="element outside 1 to 94"):
        represent(heavy)
    site = represented.site[represented.mask]
    turned = site[:, [2, 0, 1, *range(3, 15)]]  # axes renamed: Pnma as Pbnm, say
    with pytest.raises(InputError, match="another setting or order of directions"):
        represent(replace(light, derived={SITE: turned}))
    with pytest.raises(InputError, match="shape"):
        represent(replace(light, derived={SITE: site[:, :13]}))
    opset = standard_setting(62)
    turn = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])  # Pnma with other axes is no standard setting
    from symjax.groups import canonicalize
    from symjax.groups.sets import make_opset

    other = canonicalize(make_opset(turn @ opset.W @ turn.T, opset.w @ turn.T))
    sets = build_set_table([other])
    assert standard_numbers(sets).tolist() == [0]
    one = light.subset(np.flatnonzero(standard_numbers(light.sets)[light.set_index] == 62)[:1])
    foreign = replace(one, sets=sets, set_index=np.zeros(1, np.int32))
    with pytest.raises(InputError, match="no standard setting, to which the directions"):
        represent(foreign)


def test_requests_that_cannot_be_served(represented):
    counts = count(represented)
    check_request(counts, 225, 3, 20)
    check_request(counts, None, None, 20)
    absent = int(np.flatnonzero(counts.group[1:] == 0)[0]) + 1
    with pytest.raises(InputError, match=f"space group {absent} has no crystal in the training data"):
        check_request(counts, absent, None, 20)
    for wrong in (0, 231, 2.5, True):
        with pytest.raises(InputError, match="from 1 to 230"):
            check_request(counts, wrong, None, 20)
    for wrong in (0, 21, -1):
        with pytest.raises(InputError, match="1 to 20 orbits"):
            check_request(counts, None, wrong, 20)


def test_features_of_all_groups():
    assert group_features().shape == (231, 397)
