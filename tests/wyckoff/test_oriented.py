"""Site symmetries and elements by direction: from operations, from pyxtal, and the two against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.errors import InputError
from symjax.groups.packaged import arrays, rows_of
from symjax.groups.sets import OpSet
from symjax.groups.tables import standard_setting, wyckoff_letters
from symjax.wyckoff import oriented
from symjax.wyckoff.oriented import (
    DIRECTIONS,
    ELEMENT_KINDS,
    LATTICE_LETTERS,
    SITE_CLASSES,
    direction_slots,
    first_copies,
    group_elements,
    group_features,
    listed_operations,
    oriented_stabilizer,
    site_symmetry,
)
from symjax.wyckoff.positions import wyckoff_positions
from symjax.wyckoff.types import positions_of_type

NEWER = ("1", "-1", "2", "m", "3", "4", "-4", "2/m", "-3", "6", "-6", "4/m", "6/m")  # pyxtal 1.1.5's order
SLOT_115 = {0: 0, 1: 13, 13: 1, 14: 0}  # hexagonal axes: our slot -> pyxtal 1.1.5's, others unchanged
HOLDS = {name: held for held, name in oriented._HOLDS.items()}
MERGED = 21  # positions with elements along both [100] and [210], which pyxtal 1.1.5 puts into one slot


def names(classes):
    return [SITE_CLASSES[i] for i in classes]


def as_pyxtal(classes):
    """Our classes in pyxtal 1.1.5's slots for hexagonal axes."""
    held = np.array([HOLDS[name] for name in names(classes)])
    out = np.zeros_like(held)
    out[:, 0] = held[:, 0]
    for slot, row in enumerate(held):
        out[SLOT_115.get(slot, slot)] |= row
    for row in out:
        if row[1] and row[2] and not row[0] and not row[3:].any():
            row[1] = 0  # a 2 and an m of different axes: pyxtal keeps the m
    return [oriented._HOLDS[tuple(row)] for row in out.tolist()]


def by_letter(number):
    return {
        letter: names(row) for letter, row in zip(wyckoff_letters(number), positions_of_type(number).site, strict=True)
    }


def from_operations(number):
    """(p, 15) of every position, nothing stored but which copy stands first."""
    opset = standard_setting(number)
    positions, copies = wyckoff_positions(opset), first_copies(number)
    return [site_symmetry(oriented_stabilizer(opset.W, s, g)) for s, g in zip(positions.stab, copies, strict=True)]


def test_all_1731_positions_agree_with_pyxtal_and_with_their_operations():
    total, merged, hexagonal = 0, 0, 0
    for number in range(1, 231):
        stored, derived = positions_of_type(number).site, from_operations(number)
        own = arrays("wyckoff/oriented")["pyxtal"][rows_of("wyckoff/oriented", number)]
        assert len(stored) == len(derived) == len(own) == len(wyckoff_letters(number))
        for ours, made, theirs in zip(stored, derived, own, strict=True):
            assert (ours == made).all(), number
            wanted = [NEWER[i] for i in theirs]
            is_hexagonal = 143 <= number <= 194
            assert (as_pyxtal(ours) if is_hexagonal else names(ours)) == wanted, number
            hexagonal += is_hexagonal
            merged += is_hexagonal and ours[0] > 1 and ours[14] > 1
            total += 1
    assert (total, hexagonal, merged) == (1731, 352, MERGED)


@pytest.mark.parametrize("number", [62, 139, 166, 194, 225])
def test_the_export_is_what_pyxtal_says_now(number):
    from pyxtal.symmetry import Group

    own = dict(
        zip(
            wyckoff_letters(number),
            arrays("wyckoff/oriented")["pyxtal"][rows_of("wyckoff/oriented", number)],
            strict=True,
        )
    )
    for position in Group(number).Wyckoff_positions:
        theirs = position.get_site_symmetry_object().to_one_hot().argmax(axis=1)
        assert (own[position.letter] == theirs).all(), position.letter


@pytest.mark.parametrize(
    ("number", "letter", "expected"),
    [
        (2, "a", "-1 " * 15),
        (62, "c", "1 m" + " 1" * 13),
        (123, "a", "2/m 2/m 4/m -1 -1 -1 -1 2/m 2/m -1 -1 -1 -1 -1 -1"),
        (225, "a", "4/m 4/m 4/m -3 -3 -3 -3 2/m 2/m 2/m 2/m 2/m 2/m -1 -1"),
        (225, "c", "-4 -4 -4 3 3 3 3 m m m m m m 1 1"),
        (225, "e", "4 m m 1 1 1 1 1 1 m m 1 1 1 1"),
        (221, "c", "4/m 2/m 2/m -1 -1 -1 -1 -1 -1 2/m 2/m -1 -1 -1 -1"),
        (191, "a", "2/m 2/m 6/m -1 -1 -1 -1 2/m 2/m -1 -1 -1 -1 2/m 2/m"),
        (150, "a", "2 2 3 1 1 1 1 1 2 1 1 1 1 1 1"),  # 32. along [100], [010], [110]: pyxtal's slots are 0, 13 and 8
    ],
)
def test_known_site_symmetries(number, letter, expected):
    assert by_letter(number)[letter] == expected.split()


def test_order_of_the_site_group_follows_from_its_matrix():
    """Counting elements by direction gives |stabilizer|: nothing is lost and nothing added, in any of the 230 groups."""
    proper = {"2": 1, "3": 2, "2/m": 1, "4": 3, "-4": 1, "-3": 2, "6": 5, "-6": 2, "4/m": 3, "6/m": 5}
    improper = {"m": 1, "2/m": 1, "-4": 2, "-3": 2, "-6": 3, "4/m": 3, "6/m": 5}
    for number in range(1, 231):
        positions = wyckoff_positions(standard_setting(number))
        for row, stab in zip(positions_of_type(number).site, positions.stab, strict=True):
            found = names(row)
            inversion = any(n in ("-1", "2/m", "-3", "4/m", "6/m") for n in found)
            order = 1 + inversion + sum(proper.get(n, 0) + improper.get(n, 0) for n in found)
            assert order == stab.sum(), number


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 230), st.integers(0, 2**31))
def test_conjugate_copies_have_permuted_classes(number, seed):
    """Another copy of a position has the same classes in other slots, and the slots move as the directions do."""
    opset = standard_setting(number)
    positions = wyckoff_positions(opset)
    rng = np.random.default_rng(seed)
    p, g = rng.integers(len(positions)), rng.integers(len(opset.W))
    base = site_symmetry(opset.W[positions.stab[p]])
    turned = site_symmetry(oriented_stabilizer(opset.W, positions.stab[p], g))
    slots = direction_slots(DIRECTIONS @ opset.W[g].astype(int).T)
    assert (turned[slots[slots >= 0]] == base[slots >= 0]).all()
    assert sorted(turned) == sorted(base)


def test_features_name_every_group():
    features = group_features()
    assert features.shape == (231, 397) and set(np.unique(features)) == {0.0, 1.0}
    assert not features[0].any() and (features[1:, :7].sum(axis=1) == 1).all()
    assert len({row.tobytes() for row in features[1:]}) == 230
    # as pyxtal 1.1.5 gives them, but for 194: 47 there, as the 2 of [100] and that of [210] fall into one slot
    sums = {1: 15, 2: 30, 14: 32, 62: 36, 139: 42, 166: 38, 194: 48, 221: 62, 225: 62, 230: 62}
    assert {n: int(features[n, 7:].sum()) for n in sums} == sums
    letters = {1: "P", 12: "C", 38: "A", 139: "I", 166: "R", 194: "P", 225: "F"}
    assert {n: LATTICE_LETTERS[int(features[n, :7].argmax())] for n in letters} == letters


def test_elements_from_operations_differ_from_pyxtal_where_it_names_glides_by_the_translation_part():
    features, differ = group_features(), {}
    for number in range(1, 231):
        opset, listed = standard_setting(number), listed_operations(number)
        part = OpSet(W=opset.W[listed], w=opset.w[listed], mask=np.ones(len(listed), bool), den=opset.den)
        ours, theirs = group_elements(part), features[number, 7:].reshape(15, 26).astype(bool)
        if (ours != theirs).any():
            differ[number] = {ELEMENT_KINDS[j] for j in np.flatnonzero((ours & ~theirs).any(axis=0))}
            glides = [ELEMENT_KINDS.index(k) for k in ("m", "a", "b", "c", "n", "d")]
            rest = np.setdiff1d(np.arange(26), glides)
            assert (ours[:, rest] == theirs[:, rest]).all()
            assert (ours.any(axis=1) == theirs.any(axis=1)).all()
    assert sorted(differ) == [100, 113, 125, 127, 129, 134, 138, 218, 219, 222, 223, 224, 226, 227, 228]
    assert differ[100] == {"m"}  # P4bm: the diagonal planes are mirrors off the origin
    full = group_elements(standard_setting(12))  # C2/m holds 2 and 2_1, m and a about [010]
    assert {ELEMENT_KINDS[j] for j in np.flatnonzero(full[1])} == {"1", "-1", "2", "2_1", "m", "a"}


def test_other_bases_and_no_groups_are_refused():
    opset = standard_setting(225)
    shear = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    W = np.rint(np.linalg.inv(shear) @ opset.W @ shear).astype(int)
    with pytest.raises(InputError, match="none of the 15 directions"):
        site_symmetry(W)
    with pytest.raises(InputError, match="no group"):
        site_symmetry(np.array([np.eye(3), np.diag([-1, -1, 1]), np.diag([1, 1, -1])], int))  # 2 and m without -1
    with pytest.raises(InputError, match="from 1 to 230"):
        positions_of_type(231)


@pytest.mark.slow
def test_the_stored_tables_are_what_the_script_makes(repository, monkeypatch):
    """scripts/make_site_symmetry.py gives the arrays of the package (about ten seconds)."""
    import runpy

    monkeypatch.syspath_prepend(str(repository / "scripts"))
    made = runpy.run_path(str(repository / "scripts" / "make_site_symmetry.py"))["build"]()
    stored = arrays("wyckoff/oriented")
    assert made.keys() == stored.keys()
    for name, values in made.items():
        np.testing.assert_array_equal(values, stored[name], err_msg=name)
