"""The tables against spglib, pyxtal and gemmi: all 530 settings, the standard setting of all 230 types, vocabulary."""

import gemmi
import jax.numpy as jnp
import numpy as np
import pytest
import spglib
from pyxtal.symmetry import pyxtal_hall_numbers

from symjax.errors import InputError
from symjax.groups import (
    OpSet,
    canonicalize,
    default_hall,
    hall_setting,
    hall_to_number,
    make_opset,
    same_set,
    setting_symbols,
    standard_frame,
    standard_setting,
    vocabulary,
)
from symjax.groups.identify import identify
from symjax.groups.tables import enantiomorph, wyckoff_letters
from symjax.lattice import choose_frame
from symjax.wyckoff import wyckoff_positions

SIZES = {
    1: 1,
    2: 5,
    3: 3,
    4: 26,
    6: 18,
    8: 63,
    9: 1,
    12: 22,
    16: 41,
    18: 4,
    24: 15,
    32: 6,
    36: 2,
    48: 11,
    96: 8,
    192: 4,
}


def test_every_setting_equals_spglib():
    for hall in range(1, 531):
        ours = hall_setting(hall)
        theirs = spglib.get_symmetry_from_database(hall)
        w = np.rint(theirs["translations"] * 24).astype(int)
        assert same_set(ours, make_opset(theirs["rotations"], w)), hall
        kind = spglib.get_spacegroup_type(hall)
        assert hall_to_number(hall) == kind.number
        assert setting_symbols(hall)["international"] == kind.international_short
        assert setting_symbols(hall)["choice"] == kind.choice


def test_settings_are_in_canonical_order():
    for hall in range(1, 531):
        ours = hall_setting(hall)
        sorted_set = canonicalize(ours)
        np.testing.assert_array_equal(sorted_set.W, ours.W)
        np.testing.assert_array_equal(sorted_set.w, ours.w)
        assert (ours.W[0] == np.eye(3)).all() and not ours.w[0].any()


def test_standard_settings_are_those_of_pyxtal_and_have_the_known_sizes():
    assert [default_hall(n) for n in range(1, 231)] == list(pyxtal_hall_numbers)
    sizes = [standard_setting(n).order for n in range(1, 231)]
    assert {size: sizes.count(size) for size in set(sizes)} == SIZES
    assert sum(sizes) == 4425


def test_standard_settings_match_gemmi():
    extension = {1: ":1", 2: ":2"}
    checked = 0
    for number in range(1, 231):
        choice = setting_symbols(default_hall(number))["choice"]
        name = gemmi.find_spacegroup_by_number(number)
        if choice in ("2", "H"):
            suffix = ":H" if choice == "H" else extension[2]
            name = gemmi.find_spacegroup_by_name(name.hm.split(":")[0] + suffix)
        ops = [op.wrap() for op in name.operations()]
        W = np.array([op.rot for op in ops]) // gemmi.Op.DEN
        assert same_set(standard_setting(number), make_opset(W, np.array([op.tran for op in ops]))), number
        checked += 1
    assert checked == 230 and gemmi.Op.DEN == 24


def test_vocabulary_counts_products_and_inverses():
    vocab = vocabulary()
    assert vocab.size == 800
    np.testing.assert_array_equal(vocab.block, [[0, 694], [694, 800]])
    np.testing.assert_array_equal(vocab.identity, [0, 694])
    np.testing.assert_allclose(vocab.R @ vocab.R.swapaxes(1, 2), np.broadcast_to(np.eye(3), (800, 3, 3)), atol=1e-12)
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, 800, (2, 4000))
    W = np.einsum("nab,nbc->nac", vocab.W[i], vocab.W[j])
    w = (np.einsum("nab,nb->na", vocab.W[i], vocab.w[j]) + vocab.w[i]) % 24
    k = vocab.product[i, j].astype(int)
    inside = k < 800
    assert inside.mean() > 0.2
    assert (vocab.frame[i][inside] == vocab.frame[j][inside]).all()
    np.testing.assert_array_equal(vocab.W[k[inside]], W[inside])
    np.testing.assert_array_equal(vocab.w[k[inside]], w[inside])
    known = {(f, a.tobytes(), b.tobytes()) for f, a, b in zip(vocab.frame, vocab.W, vocab.w, strict=True)}
    for n in np.flatnonzero(~inside & (vocab.frame[i] == vocab.frame[j])):
        assert (vocab.frame[i[n]], W[n].astype(np.int32).tobytes(), w[n].astype(np.int32).tobytes()) not in known
    inverse = vocab.inverse[:800].astype(int)
    assert inverse.max() < 800
    np.testing.assert_array_equal(vocab.product[np.arange(800), inverse], vocab.identity[vocab.frame])
    assert (vocab.product[800] == 800).all() and (vocab.product[:, 800] == 800).all()


def test_vocabulary_lookup_in_numpy_and_jax():
    vocab = vocabulary()
    shifted = vocab.w + 24 * np.array([-1, 2, 0])
    np.testing.assert_array_equal(vocab.lookup(vocab.W, shifted, vocab.frame), np.arange(800))
    found = vocab.lookup(jnp.asarray(vocab.W), jnp.asarray(shifted), jnp.asarray(vocab.frame))
    np.testing.assert_array_equal(found, np.arange(800))
    assert vocab.lookup(vocab.W[5], vocab.w[5] + 1, 0) == 800
    assert vocab.lookup(np.array([[1, 2, 0], [0, 1, 0], [0, 0, 1]]), np.zeros(3, int), 0) == 800
    for number in (1, 62, 166, 194, 227):
        setting, frame = standard_setting(number), standard_frame(number)
        assert choose_frame(setting.W) == frame
        indices = vocab.indices(setting, frame)
        assert (np.diff(indices) > 0).all()
        assert same_set(vocab.opset(indices), setting)


@pytest.mark.parametrize(
    "call", [lambda: standard_setting(0), lambda: standard_setting(231), lambda: hall_setting(531)]
)
def test_numbers_out_of_range_say_what_is_right(call):
    with pytest.raises(InputError, match="integer from 1 to"):
        call()


@pytest.mark.parametrize("first", range(1, 231, 46))
def test_wyckoff_letters_are_those_of_pyxtal(first):
    """A generic point of each of our positions lies on the flat of pyxtal's position of that letter, and of no more special one."""
    from pyxtal.symmetry import Group

    rng = np.random.default_rng(first)
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    for number in range(first, first + 46):
        opset, letters = standard_setting(number), wyckoff_letters(number)
        positions = wyckoff_positions(opset)
        theirs = {position.letter: position for position in Group(number).Wyckoff_positions}
        assert sorted(letters) == sorted(theirs)
        for i, letter in enumerate(letters):
            dof = int(positions.dof[i])
            x = positions.x0[i] + positions.basis[i, :, :dof] @ rng.random(dof)
            position = theirs[letter]
            assert (position.multiplicity, position.get_dof()) == (positions.multiplicity[i], dof)
            affine = position.ops[0].affine_matrix
            off = (opset.W @ x + opset.w / opset.den)[:, None] + shifts - affine[:3, 3]
            across = np.eye(3) - affine[:3, :3] @ np.linalg.pinv(affine[:3, :3])
            assert np.abs(off @ across.T).max(axis=-1).min() < 1e-9, (number, letter)


@pytest.mark.parametrize("number", range(1, 231, 7))
def test_the_enantiomorph_is_the_type_of_the_mirror_image(number):
    opset = standard_setting(number)
    mirrored = OpSet(W=opset.W, w=(-opset.w) % opset.den, mask=opset.mask, den=opset.den)  # the inversion at the origin
    assert identify(mirrored).number == enantiomorph(number)


def test_eleven_pairs_of_enantiomorphs():
    mirrored = [n for n in range(1, 231) if enantiomorph(n) != n]
    assert len(mirrored) == 22 and all(enantiomorph(enantiomorph(n)) == n for n in mirrored)
    for number in mirrored:
        opset = standard_setting(number)
        image = OpSet(W=opset.W, w=(-opset.w) % opset.den, mask=opset.mask, den=opset.den)
        assert identify(image).number == enantiomorph(number)
