"""Structures derived from centred parents, written and read again: the group is the one asked for, at 0.05 and 0.3 angstrom."""

import jax
import pytest
from textbook import crystal

from symjax.crystals.io import format_cif, parse_cif
from symjax.errors import InputError
from symjax.evaluate.describe import setting_symbol
from symjax.evaluate.symmetry import detected_number
from symjax.navigate.derive import derive_structures
from symjax.navigate.relation import maximal_relations
from symjax.navigate.tree import crystal_opset

CENTRED = (
    "BaTiO3 orthorhombic",
    "BaTiO3 rhombohedral",
    "SrTiO3",
    "La2CuO4",
    "La2CuO4 tetragonal",
    "Fe bcc",
    "Fe fcc",
    "cristobalite 227",
    "BiVO4 tetragonal",
)


@pytest.mark.slow
@pytest.mark.parametrize("amplitude", [0.05, 0.3])
@pytest.mark.parametrize("name", CENTRED)
def test_centred_parents(name, amplitude):
    """A, C, F, I and R cells: every maximal subgroup that the atoms can have, re-read from CIF."""
    parent, made = crystal(name), 0
    for relation in maximal_relations(crystal_opset(parent), 2):
        try:
            derived = derive_structures(
                parent, relation, jax.random.key(1), num=1, amplitude=amplitude, min_distance=0.3
            )
        except InputError:  # the atoms cannot have it and no more
            continue
        for one in derived.crystals:
            text = format_cif(one, symbol=setting_symbol(relation.number, one.W, one.w), number=relation.number)
            assert detected_number(parse_cif(text), 1e-3, -1.0) == relation.number, (name, relation.symbol)
            made += 1
    assert made or name in ("Fe bcc", "Fe fcc")
