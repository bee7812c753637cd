"""Labels of protostructures against pymatgen's, both ways; descriptions of one crystal share one; bad ones are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.elements import ATOMIC_NUMBERS, SYMBOLS
from symjax.errors import InputError
from symjax.groups.tables import wyckoff_letters
from symjax.wyckoff.labels import label, parse_label, prototype_label, same_but_cell
from symjax.wyckoff.normalizer import normalizer
from symjax.wyckoff.types import positions_of_type

SPINEL = "A2BC4_cF56_227_c_b_e:Al-Mg-O"


def sites(number, text):
    """Orbits written as 'Na a, Cl b'."""
    pairs = [one.split() for one in text.split(",")]
    return np.array([ATOMIC_NUMBERS[e] for e, _ in pairs]), np.array(
        [wyckoff_letters(number).index(w) for _, w in pairs]
    )


@st.composite
def orbits(draw):
    """A group and one to six orbits on positions that have room."""
    number = draw(st.integers(1, 230))
    known = positions_of_type(number)
    room = [p for p in range(len(known)) for _ in range(1 if known.dof[p] == 0 else 3)]
    pos = draw(st.lists(st.integers(0, len(room) - 1), min_size=1, max_size=6, unique=True))
    z = draw(st.lists(st.sampled_from([1, 3, 8, 12, 22, 56]), min_size=len(pos), max_size=len(pos)))
    return number, np.array(z), np.array([room[i] for i in pos])


def test_spinel_both_ways():
    """In both descriptions, and corundum in hexagonal axes."""
    for text in ("Mg b, Al c, O e", "Mg a, Al d, O e"):
        assert label(227, *sites(227, text)) == SPINEL
    found = parse_label(SPINEL)
    assert found.number == 227 and label(*found) == SPINEL
    known = positions_of_type(227).label[found.pos]
    assert [f"{SYMBOLS[z]} {p}" for z, p in zip(found.z, known, strict=True)] == ["Al 16c", "Mg 8b", "O 32e"]
    assert label(167, *sites(167, "Al c, O e")) == "A2B3_hR30_167_c_e:Al-O"
    assert prototype_label(227, found.z, found.pos) == "AB2C4_cF56_227_a_d_e"
    assert label(47, *sites(47, "Na a, Cl A")) == label(47, *sites(47, "Na h, Cl A")) == "A8B_oP9_47_A_a:Cl-Na"


@given(case=orbits())
@settings(max_examples=60)
def test_labels_are_pymatgens(case):
    prototypes = pytest.importorskip("pymatgen.analysis.prototypes")
    number, z, pos = case
    known, letters = positions_of_type(number), wyckoff_letters(number)
    listed = [(int(known.multiplicity[p]), SYMBOLS[e], letters[p]) for e, p in zip(z, pos, strict=True)]
    words, amounts = prototypes._get_all_wyckoffs_substring_and_element_dict(listed, number)
    from pymatgen.core import Composition

    formula = prototypes.get_prototype_formula_from_composition(Composition(amounts))
    parts = label(number, z, pos).split(":")[0].split("_")
    assert (parts[0], "_".join(parts[3:])) == (formula, words)
    if known.dof[pos].sum() == 0 or len(set(z)) > 1:
        assert prototypes.count_crystal_sites(label(number, z, pos)) == known.multiplicity[pos].sum()


def test_labels_of_crystals_are_those_of_pymatgens_analysis(prototype_dataset):
    """Pearson symbols too, of real cells in groups whose cell leaves no choice."""
    prototypes = pytest.importorskip("pymatgen.analysis.prototypes")
    from pymatgen.core import Lattice, Structure

    from symjax.models.wyckoffdiff.occupations import orbits_of, usable

    fit = np.flatnonzero(usable(prototype_dataset))[::24]
    found = orbits_of(prototype_dataset.subset(fit))
    compared = 0
    for row, index in enumerate(fit):
        atoms = prototype_dataset.atoms(int(index))
        structure = Structure(Lattice(atoms.L), atoms.z.tolist(), atoms.x)
        theirs = prototypes.get_protostructure_label_from_spglib(structure, init_symprec=0.01)
        ours = label(int(found.number[row]), found.z[row], found.pos[row])
        assert same_but_cell(ours, theirs), (ours, theirs)
        compared += ours == theirs
    assert compared > 0.8 * len(fit)


@given(case=orbits(), choice=st.integers(0, 47))
@settings(max_examples=40)
def test_all_descriptions_of_a_crystal_share_their_labels(case, choice):
    number, z, pos = case
    permutations = normalizer(number).permutations
    moved = permutations[choice % len(permutations)][pos]
    assert label(number, z, moved) == label(number, z, pos)
    again = parse_label(label(number, z, pos))
    assert label(*again) == label(number, z, pos) and sorted(again.z) == sorted(z)
    swapped = np.array([{1: 3, 3: 8, 8: 1}.get(e, e) for e in z])
    assert prototype_label(number, swapped, moved) == prototype_label(number, z, pos)


def test_another_cell_is_told_from_another_crystal():
    """Two inversion centres of P-1 have seven labels; of a cubic group letters count."""
    one, other = (label(2, *sites(2, text)) for text in ("Na a, Cl b, O i", "Na a, Cl g, O i"))
    assert one != other and same_but_cell(one, other)
    assert not same_but_cell(one, label(2, *sites(2, "Na a, Cl b, O c")))
    assert not same_but_cell(label(221, *sites(221, "Na a, Cl c")), label(221, *sites(221, "Na a, Cl d")))


@pytest.mark.parametrize(
    "text, reason",
    [
        ("A2BC4_cF56_227_c_b_e", "cannot be read"),
        ("A2BC4_cF56_231_c_b_e:Al-Mg-O", "space group 231 is not one of"),
        ("A2BC4_cF56_227_c_b_z:Al-Mg-O", "space group 227 has the letters abcdefghi, not z"),
        ("A2BC4_cF56_227_c_b_e:Al-Mg-Xx", "unknown element 'Xx'"),
        ("A2BC4_cF56_227_c_b_e:Mg-Al-O", "must rise by symbol"),
        ("A2BC4_cF56_227_c_b:Al-Mg-O", "2 lists of letters"),
        ("A2BC4_cF56_227_2c_b_e:Al-Mg-O", "position 16c has no free coordinate"),
        ("ABC4_cF56_227_c_b_e:Al-Mg-O", "these orbits are A2BC4_cF56_227, not ABC4_cF56_227"),
        ("A2BC4_cF28_227_c_b_e:Al-Mg-O", "not A2BC4_cF28_227"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(text, reason):
    with pytest.raises(InputError, match=reason):
        parse_label(text)


def test_nothing_has_no_label():
    with pytest.raises(InputError, match="an empty crystal has no label"):
        label(1, np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match="space group 1 has 1 positions, not 2"):
        label(1, np.array([8]), np.array([1]))
