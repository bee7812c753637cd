"""Site-symmetry symbols and normalizers of the 230 standard settings against pyxtal and against the operations themselves."""

import warnings
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest

from symjax.errors import InputError
from symjax.groups.tables import standard_setting, wyckoff_letters
from symjax.ops.types import DEN
from symjax.wyckoff import site_symbols
from symjax.wyckoff.normalizer import derive_normalizer, normalizer
from symjax.wyckoff.positions import wyckoff_positions
from symjax.wyckoff.types import LETTERS, find_position, positions_of_type, type_positions

ALL = range(1, 231)


@cache
def pyxtal_groups():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyxtal.symmetry import Group

        return {number: Group(number) for number in ALL}


@cache
def positions_of_pyxtal(number):
    """Letter -> (symbol, enumeration, free coordinates, multiplicity), numbered by walking the letters from a."""
    out, seen = {}, Counter()
    for one in reversed(pyxtal_groups()[number].Wyckoff_positions):
        one.get_site_symmetry()
        out[one.letter] = (one.site_symm, seen[one.site_symm], int(one.get_dof()), int(one.multiplicity))
        seen[one.site_symm] += 1
    return out


@pytest.mark.slow
def test_all_positions_are_pyxtals():
    """1,731 positions, letter for letter, and the sums over all 230 groups."""
    rows = []
    for number in ALL:
        columns = (
            (site_symbols.symbols()[i] for i in positions_of_type(number).symbol),
            positions_of_type(number).enumeration.tolist(),
            positions_of_type(number).dof.tolist(),
            positions_of_type(number).multiplicity.tolist(),
        )
        ours = dict(zip(wyckoff_letters(number), zip(*columns, strict=True), strict=True))
        assert ours == positions_of_pyxtal(number), number
        rows += [(number, *row) for row in ours.values()]
    assert len(rows) == 1731 and len({row[:2] for row in rows}) == 1146 and len({row[1] for row in rows}) == 78
    assert sum(row[2] for row in rows) == 890 and max(row[2] for row in rows) == 7
    assert {row[0] for row in rows if row[2] == 7} == {2, 10, 16, 47}
    assert sum(row[4] for row in rows) == 14433 and max(row[4] for row in rows) == 192
    assert Counter(row[3] for row in rows) == {0: 616, 1: 718, 2: 167, 3: 230}


def test_symbols_follow_from_operations():
    """In one group, positions whose operations have equal classes along all directions have one symbol, and of one symbol the
    classes agree but for their directions (..2 of group 98 is along [110] or along [1-10])."""
    for number in ALL:
        of_classes, of_symbol = defaultdict(set), defaultdict(set)
        known = positions_of_type(number)
        for symbol, classes in zip(known.symbol.tolist(), known.site, strict=True):
            of_classes[classes.tobytes()].add(symbol)
            of_symbol[symbol].add(np.sort(classes).tobytes())
        assert all(len(one) == 1 for one in (*of_classes.values(), *of_symbol.values())), number


def test_rock_salt_group():
    letters, names = wyckoff_letters(225), site_symbols.symbols()
    found = {
        letter: (names[s], int(e))
        for letter, s, e in zip(letters, positions_of_type(225).symbol, positions_of_type(225).enumeration, strict=True)
    }
    assert found == {
        "a": ("m-3m", 0),
        "b": ("m-3m", 1),
        "c": ("-43m", 0),
        "d": ("m.mm", 0),
        "e": ("4m.m", 0),
        "f": (".3m", 0),
        "g": ("2.mm", 0),
        "h": ("m.m2", 0),
        "i": ("m.m2", 1),
        "j": ("m..", 0),
        "k": ("..m", 0),
        "l": ("1", 0),
    }


def test_group_matrices_are_pyxtals():
    matrices = site_symbols.group_matrices()
    assert matrices.shape == (231, 277) and not matrices[0].any() and len(np.unique(matrices[1:], axis=0)) == 230
    for number in range(1, 231, 3):
        theirs = pyxtal_groups()[number].get_spg_symmetry_object().to_matrix_representation()
        assert (matrices[number, :270] == np.asarray(theirs).ravel()).all()
    assert {"PABCIRF"[row.argmax()] for row in matrices[1:, 270:]} == set("PACIRF") and (
        matrices[1:, 270:].sum(1) == 1
    ).all()
    ones = {n: int(matrices[n, :270].sum()) for n in (1, 2, 14, 62, 139, 166, 194, 216, 221, 225, 227, 230)}
    expected = (15, 30, 32, 36, 42, 37, 43, 31, 58, 58, 58, 58)
    assert tuple(ones.values()) == expected


def test_normalizers_permute_as_pyxtals_alternatives():
    """All 230 groups: the same sets of permutations, from operations here and from tables there."""
    sizes = Counter()
    for number, group in pyxtal_groups().items():
        letters = wyckoff_letters(number)
        words = [text.split() for text in group.get_alternatives()["Transformed WP"]]
        theirs = {
            tuple(letters.index(dict(zip(words[0], word, strict=True))[one]) for one in letters) for word in words
        }
        ours = normalizer(number).permutations
        assert {tuple(row) for row in ours.tolist()} == theirs and len(ours) == len(theirs), number
        assert (ours[0] == np.arange(len(letters))).all()
        sizes[len(ours)] += 1
    assert sizes == {1: 66, 2: 94, 4: 34, 6: 6, 8: 19, 12: 5, 24: 2, 48: 4}


def test_normalizers_conjugate_the_operations_into_themselves():
    """Exactly, for each of the 878 maps; and the permutations of each group are a group."""
    count = 0
    for number in ALL:
        opset, found = standard_setting(number), normalizer(number)
        W, w = opset.W.astype(np.int64), opset.w.astype(np.int64)
        own = {row.tobytes() for row in np.concatenate([W.reshape(-1, 9), w % DEN], axis=1)}
        for M, t in zip(found.M, found.t, strict=True):
            turned = np.rint(M @ W @ np.linalg.inv(M)).astype(np.int64)
            moved = (w @ M.T + t - turned @ t) % DEN
            assert {row.tobytes() for row in np.concatenate([turned.reshape(-1, 9), moved], axis=1)} == own
            count += 1
        listed = {tuple(row) for row in found.permutations.tolist()}
        assert all(tuple(b[list(a)]) in listed for a in listed for b in found.permutations[:4])
    assert count == 878


@pytest.mark.parametrize("number", [1, 4, 14, 22, 98, 155, 194, 214, 227])
def test_stored_normalizers_are_the_derived_ones(number):
    derived, stored = derive_normalizer(number), normalizer(number)
    assert all((getattr(derived, name) == getattr(stored, name)).all() for name in ("M", "t", "permutations"))


@pytest.mark.slow
def test_all_stored_normalizers_are_the_derived_ones():
    for number in ALL:
        test_stored_normalizers_are_the_derived_ones(number)


def test_permutations_move_flats_as_their_maps_do():
    """A point of a position goes to a point whose site symmetry is that of the new position."""
    free = np.array([0.1371, 0.2718, 0.3183])
    for number in (16, 47, 65, 123, 194, 221, 225):
        opset, positions, found = (
            standard_setting(number),
            wyckoff_positions(standard_setting(number)),
            normalizer(number),
        )
        points = positions.x0 + positions.basis @ free
        for M, t, permutation in zip(found.M, found.t, found.permutations, strict=True):
            images = points @ M.T + t / DEN
            moved = np.einsum("nij,pj->pni", opset.W, images) + opset.w / opset.den - images[:, None]
            fixing = (np.abs(moved - np.rint(moved)) < 1e-6).all(-1).sum(1)
            assert (fixing == positions.stab.sum(1)[permutation]).all()


def test_permutations_that_change_the_symbol():
    """The published augmentation keeps the old symbol: right but in these 26 groups, and in nine the pair means another set."""
    changing, harmful = set(), set()
    for number in ALL:
        symbol, enum = positions_of_type(number).symbol, positions_of_type(number).enumeration
        named = {(s, e): i for i, (s, e) in enumerate(zip(symbol.tolist(), enum.tolist(), strict=True))}
        permutations = normalizer(number).permutations
        images = {tuple(row) for row in permutations.tolist()}
        for row in permutations:
            if (symbol[row] != symbol).any():
                changing.add(number)
                published = tuple(
                    named[pair] for pair in zip(symbol.tolist(), enum[row].tolist(), strict=True)
                )  # always defined
                if published not in images:
                    harmful.add(number)
    assert sorted(changing) == [16, 17, *range(20, 26), 35, 42, 44, 47, 48, 49, 50, 59, *range(65, 75)]
    assert sorted(harmful) == [16, 23, 25, 47, 48, 49, 68, 71, 73]


@pytest.mark.parametrize("number", [0, 231, -1, True])
def test_numbers_that_are_none(number):
    for function in (positions_of_type, normalizer):
        with pytest.raises(InputError, match="from 1 to 230"):
            function(number)


def test_the_table_of_all_types():
    """Padding is marked everywhere, names are found again, and the derived positions of a set are those of the table."""
    every = type_positions()
    assert every.mask.shape == (231, 27) and every.mask.sum() == 1731 and not every.mask[0].any()
    assert every.mask.all(axis=1).sum() == 1 and every.mask[47].all()
    for name, empty in {
        "letter": -1,
        "label": "",
        "multiplicity": 0,
        "dof": 0,
        "symbol": -1,
        "enumeration": -1,
        "site": 0,
    }.items():
        assert (getattr(every, name)[~every.mask] == empty).all(), name
    for number in (1, 47, 166, 225):
        own, derived = positions_of_type(number), wyckoff_positions(standard_setting(number))
        assert own.multiplicity.tolist() == derived.multiplicity.tolist() and own.dof.tolist() == derived.dof.tolist()
        assert [find_position(number, label) for label in own.label.tolist()] == list(range(len(own)))
        assert [find_position(number, LETTERS[letter]) for letter in own.letter] == list(range(len(own)))
    with pytest.raises(InputError, match="has the positions 4a 4b 8c 24d"):
        find_position(225, "m")
    with pytest.raises(InputError, match="position a of space group 225 has 4 points, so it is 4a"):
        find_position(225, "8a")
