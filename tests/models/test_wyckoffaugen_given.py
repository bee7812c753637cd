"""What a request leaves for the next atom, and incomplete crystals: exact formulas by counting, given sites, bad input."""

import numpy as np
import pytest

from symjax.errors import InputError
from symjax.models.wyckoffaugen.complete import read_incomplete
from symjax.models.wyckoffaugen.given import Ask, GivenSite, check_sites, conventional_limit, open_next
from symjax.models.wyckoffaugen.representation import NUM_Z
from symjax.models.wyckoffaugen.tables import tables


def walk(ask, number, elements, rng):
    """Random choices among what is left, in the model's order, until the crystal may end or nothing is left."""
    own, letter, z = tables(), [], []
    space = np.zeros(NUM_Z)
    space[list(elements)] = 1
    for _ in range(ask.max_sites + 1):
        allowed, end = open_next(ask, number, space, np.array(letter, int), np.array(z, int))
        row = own.row[number]
        used = np.bincount(letter, minlength=27)
        allowed &= (own.mask[number] & ~((used > 0) & (own.dim[row] == 0)))[:, None] & (space > 0)
        allowed &= (own.primitive[row] <= ask.max_atoms - own.primitive[row[letter]].sum())[:, None]
        if letter:
            slot, element = np.arange(27)[:, None], np.arange(NUM_Z)
            allowed &= (slot > letter[-1]) | ((slot == letter[-1]) & (element >= z[-1]))
        options = np.argwhere(allowed)
        if end and (not len(options) or rng.random() < 0.3):
            return letter, z
        if not len(options):
            return None
        one = options[rng.integers(len(options))]
        letter.append(int(one[0]))
        z.append(int(one[1]))
    return None


@pytest.mark.parametrize("number", [221, 62, 2])
def test_exact_formulas_are_met_by_counting(number):
    formula, rng, own = {8: 3, 22: 1, 38: 1}, np.random.default_rng(0), tables()
    ask = Ask(formula, None, (), 20, 20)
    done = [found for found in (walk(ask, number, formula, rng) for _ in range(10)) if found]
    assert len(done) >= 8  # an element that no longer fits behind the last letter is drawn again, rarely
    for letter, z in done:
        atoms = {e: int(own.multiplicity[own.row[number, letter]][np.array(z) == e].sum()) for e in formula}
        assert {e: n * atoms[22] for e, n in formula.items()} == atoms


def test_given_sites_find_their_place_in_the_order():
    """Letters before a given site stay open until it comes, and every walk holds it."""
    rng = np.random.default_rng(1)
    ask = Ask(None, 3, (GivenSite(1, 17), GivenSite(4, 11)), 20, 20)
    seen = set()
    for _ in range(15):
        letter, z = walk(ask, 225, (11, 17), rng) or ([], [])
        if letter:
            pairs = list(zip(letter, z, strict=True))
            assert (1, 17) in pairs and (4, 11) in pairs and len(pairs) == 3 and pairs == sorted(pairs)
            seen |= set(pairs) - {(1, 17), (4, 11)}
    assert {letter for letter, _ in seen} & {0} and {letter for letter, _ in seen} - {0}


def test_bad_given_sites():
    with pytest.raises(InputError, match="it holds one atom"):
        check_sites(225, (GivenSite(0, 11), GivenSite(0, 17)), 20, 20)
    with pytest.raises(InputError, match="hold at most"):
        check_sites(225, (GivenSite(11, 11),), 20, 20)
    assert conventional_limit(225, 20) == 80 and conventional_limit(2, 20) == 20


CIF = """data_one
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{sites}
"""


def write(path, *sites, group="F m -3 m", a=5.6, b=5.6, c=5.6):
    lines = "\n".join(f"{name}{i} {name} {x} {y} {z}" for i, (name, x, y, z) in enumerate(sites))
    path.write_text(CIF.format(a=a, b=b, c=c, group=group, sites=lines))
    return path


def test_an_incomplete_crystal_is_read_in_its_own_group(tmp_path):
    """One atom at a corner looks like an elemental metal, but the group is the one that the file states."""
    found = read_incomplete(write(tmp_path / "one.cif", ("Ti", 0, 0, 0.01), group="P 4 m m", a=4, b=4, c=4.2), 20, 20)
    assert found.number == 99 and np.allclose(found.cell, [4, 4, 4.2, 90, 90, 90])
    (site,) = found.sites
    assert (site.letter, site.z) == (0, 22) and site.x is not None and abs(site.x[2] - 0.01) < 1e-6
    salt = read_incomplete(write(tmp_path / "two.cif", ("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.503)), 20, 20)
    assert [(s.letter, s.z) for s in salt.sites] == [(0, 11), (1, 17)]  # 0.02 angstrom off the position: moved onto it


@pytest.mark.parametrize(
    ("sites", "changes", "message"),
    [
        ([("Na", 0, 0, 0), ("Cl", 0.02, 0.02, 0.02)], {"group": "P m -3 m"}, "on top of each other|contradicts"),
        ([("Na", 0, 0, 0)], {"c": 7.0}, "contradict|space group|cell"),
        ([("Na", 0.11, 0.23, 0.31)], {"a": 20, "b": 20, "c": 20}, "hold at most"),
        ([("Na", 0, 0, 0)], {"a": 200, "b": 200, "c": 200}, "outside what the model knows"),
    ],
)
def test_unsound_incomplete_crystals_are_refused(tmp_path, sites, changes, message):
    with pytest.raises(InputError, match=message):
        read_incomplete(write(tmp_path / "bad.cif", *sites, **changes), 20, 20)


def test_files_without_a_group_are_refused(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text("one\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa\n1\nDirect\n0 0 0\n")
    with pytest.raises(InputError, match="an incomplete crystal is a CIF"):
        read_incomplete(path, 20, 20)
    with pytest.raises(InputError, match=r"(?i)no such|not found|does not exist"):
        read_incomplete(tmp_path / "none.cif", 20, 20)
