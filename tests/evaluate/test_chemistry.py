"""Rules of chemistry on crystals whose answers are known, and their figures."""

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.evaluate.chemistry import bond_lengths, chemistry, image_distances, oxidation_states
from symjax.evaluate.run import Options, evaluate
from symjax.evaluate.sources import from_cells


def rock_salt(a, numbers):
    half = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return AtomicStructure(
        a * np.eye(3), [numbers[0]] * 4 + [numbers[1]] * 4, np.concatenate([half, half + [0.5, 0, 0]])
    )


def perovskite(a, numbers):
    places = [[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    return AtomicStructure(a * np.eye(3), [numbers[0], numbers[1], 8, 8, 8], places)


MAGNESIA, SALT, TITANATE = rock_salt(4.212, (12, 8)), rock_salt(5.640, (11, 17)), perovskite(3.905, (38, 22))


@pytest.mark.parametrize(
    ("counts", "states"),
    [
        ({11: 1, 17: 1}, {11: 1, 17: -1}),
        ({8: 3, 22: 1, 38: 1}, {8: -2, 22: 4, 38: 2}),
        ({8: 4, 26: 3}, {8: -2, 26: 8 / 3}),  # magnetite: iron in two states
        ({8: 2, 11: 1}, None),  # a superoxide: oxygen is an oxide ion here
        ({9: 3, 12: 1}, None),
        ({8: 1, 10: 1}, None),  # neon has no states
    ],
)
def test_oxidation_states(counts, states):
    found = oxidation_states(tuple(counts.items()))
    assert (found is None) if states is None else found == pytest.approx(states)


@pytest.mark.parametrize("cell", [MAGNESIA, SALT, TITANATE])
def test_known_crystals_are_sound(cell):
    """Bond valence sums of MgO, NaCl and SrTiO3 are near their charges; no anions touch, all cations have anions."""
    found = chemistry(cell)
    assert found["ionic"] and found["neutral"]
    assert found["gii"] < 0.35 and found["bare"] == 0 and found["anions"] > 0.9


def test_distances_are_those_of_the_lattice():
    """O-O in MgO and SrTiO3 is a over the root of two; pairs with own images in one-atom cells are found."""
    assert chemistry(MAGNESIA)["oxygen"] == pytest.approx(4.212 / np.sqrt(2))
    assert chemistry(TITANATE)["oxygen"] == pytest.approx(3.905 / np.sqrt(2))
    assert chemistry(SALT)["oxygen"] is None
    assert chemistry(SALT)["anions"] == pytest.approx(5.64 / np.sqrt(2) / 3.62)
    single = image_distances(AtomicStructure(3.0 * np.eye(3), [8], [[0, 0, 0]]), 3.5)
    assert np.isfinite(single).sum() == 6 and single.min() == pytest.approx(3.0)
    assert image_distances(AtomicStructure(np.diag([0.01, 0.01, 50]), [8] * 9, np.random.rand(9, 3)), 6.0) is None


def test_bond_lengths_are_published_ones():
    """Na-Cl 2.15, Mg-O 1.693, Ti-O 1.815, Sr-O 2.118 angstrom (Brese and O'Keeffe 1991, table 2), to 0.12 of an angstrom."""
    lengths = bond_lengths((8, 11, 12, 17, 22, 38))
    for (i, j), known in {(1, 3): 2.15, (2, 0): 1.693, (4, 0): 1.815, (5, 0): 2.118}.items():
        assert lengths[i, j] == lengths[j, i] == pytest.approx(known, abs=0.12)
    assert bond_lengths((8, 118)) is None


def test_bad_crystals_are_found():
    squeezed = rock_salt(3.0, (12, 8))
    assert (
        chemistry(squeezed)["oxygen"] < 2.2 and chemistry(squeezed)["anions"] < 0.8 and chemistry(squeezed)["gii"] > 1
    )
    blown = rock_salt(7.5, (12, 8))
    assert chemistry(blown)["bare"] == chemistry(blown)["cations"] == 4
    assert chemistry(rock_salt(4.2, (12, 9)))["neutral"] is False  # MgF
    alloy = chemistry(rock_salt(5.0, (29, 79)))
    assert alloy == {"ionic": False} | dict.fromkeys(("neutral", "oxygen", "anions", "gii", "bare", "cations"))


def test_figures_tell_bad_crystals_from_real_ones():
    """Twelve squeezed magnesias and salts without balance against sound crystals: every figure differs and p says so."""
    real = [rock_salt(a, (12, 8)) for a in np.linspace(4.1, 4.3, 12)]
    real += [rock_salt(a, (11, 17)) for a in np.linspace(5.5, 5.8, 12)]
    bad = [rock_salt(a, (12, 8)) for a in np.linspace(2.5, 3.0, 10)] + [rock_salt(4.2, (12, 9))] * 8
    options = Options(metrics="chemistry", draws=99, processes=1)
    found = evaluate(from_cells(bad), from_cells(real), None, options)
    value = {figure.key: (figure.value, figure.num, figure.reference) for figure in found.figures}
    assert value["chemistry.neutral"] == (10 / 18, 18, 1.0)
    assert value["chemistry.oxygen_contacts"] == (1.0, 10, 0.0)
    assert value["chemistry.anion_contacts"][0] == 10 / 18
    assert value["chemistry.bare_cations"] == (0.0, 10, 0.0)
    assert value["chemistry.ionic"] == (1.0, 18, 1.0)
    for key in ("neutral", "oxygen_contacts", "anion_contacts", "instability"):
        assert found[f"chemistry.{key}"].p < 0.02, key
        assert found[f"chemistry.{key}"].floor is not None
    halves = evaluate(from_cells(real[::2]), from_cells(real[1::2]), None, options)
    assert all(not figure.p <= 0.05 for figure in halves.figures)
