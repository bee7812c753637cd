"""Equivalent Wyckoff representations of crystals: the same structure by StructureMatcher, the letters by pyxtal's positions."""

import json
import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from symjax.cli.main import main
from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.data.equivalents import equivalent_representations
from symjax.data.standardize import standardize
from symjax.errors import InputError
from symjax.models.wyckoff_transformer.variants import fingerprints

HEUSLER = AtomicStructure(
    L=7.0 * np.eye(3),
    z=[12] * 4 + [69] * 4 + [80] * 8,
    x=[
        *([0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]),
        *([0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]),
        *[[a, b, c] for a in (0.25, 0.75) for b in (0.25, 0.75) for c in (0.25, 0.75)],
    ],
)


def on_position(number, letter, multiplicity, x):
    """Whether pyxtal's Wyckoff position holds a set of points (n, 3): each of its points generates all of them."""
    from pyxtal.symmetry import Group

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        position = next(one for one in Group(number).Wyckoff_positions if one.letter == letter)
    if len(position.ops) != multiplicity or len(x) != multiplicity:
        return False
    for point in x:
        images = np.array([op.operate(point) for op in position.ops])
        offset = images[:, None] - x[None]
        offset -= np.rint(offset)
        if (np.abs(offset).max(-1) < 1e-4).any(1).all() and np.abs(
            (images[0] - point) - np.rint(images[0] - point)
        ).max() < 1e-4:
            return True
    return False


def check(crystal_or_structure, expected=None):
    """Every representation is the same crystal, and its atoms stand on the positions that it names."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    found = equivalent_representations(crystal_or_structure)
    assert expected is None or len(found) == expected
    assert len({one.word for one in found}) == len(found)
    first = to_pymatgen(found[0].structure)
    for one in found:
        assert np.linalg.det(one.structure.L) > 0
        assert StructureMatcher(primitive_cell=True, scale=False).fit(first, to_pymatgen(one.structure))
        start = 0
        for letter, multiplicity in zip(one.letters, one.multiplicities, strict=True):
            assert on_position(one.number, letter, multiplicity, one.structure.x[start : start + multiplicity]), (
                one.word,
                letter,
            )
            start += multiplicity
    return found


def test_example_of_the_paper():
    found = check(HEUSLER, 2)
    assert [one.word for one in found] == ["225: Hg 8c, Mg 4a, Tm 4b", "225: Hg 8c, Mg 4b, Tm 4a"]
    assert found[0].site_symmetries == ("m-3m", "m-3m", "-43m") and found[1].enumerations == (1, 0, 0)


@pytest.mark.parametrize("number", [2, 12, 62, 123, 194, 227])
def test_structures_are_equal_and_on_their_positions(number, prototype_dataset):
    data = prototype_dataset
    numbers = np.array(data.meta["space_group_numbers"])[data.set_index]
    candidates = np.flatnonzero((numbers == number) & (data.num_atoms <= 24))
    check(data.atoms(candidates[0]))


def test_the_canonical_form_is_that_of_the_crystal(prototype_dataset):
    """Described in another basis, orientation and origin a crystal may get other letters, but the same canonical form."""
    rng, changed = np.random.default_rng(0), 0
    few = np.flatnonzero((prototype_dataset.num_atoms <= 16) & (prototype_dataset.num_ops > 1))[::5]
    for i in few:
        structure = prototype_dataset.crystal(i).primitive()
        a, b, c, d = rng.integers(-1, 2, 4)
        basis = np.array([[1, a, b], [0, 1, c], [0, 0, 1]]) @ np.array([[1, 0, 0], [d, 1, 0], [0, 0, 1]])
        turn = Rotation.random(random_state=int(rng.integers(1000))).as_matrix()
        L, x = basis @ structure.L @ turn, (structure.x + rng.random(3)) @ np.linalg.inv(basis)
        found = [standardize(one, 0.1, 5.0) for one in (structure, AtomicStructure(L=L, z=structure.z, x=x % 1.0))]
        forms = [fingerprints([one.number], one.z[None], one.pos[None])[0] for one in found]
        assert forms[0] == forms[1], found
        changed += sorted(zip(found[0].z, found[0].pos, strict=True)) != sorted(
            zip(found[1].z, found[1].pos, strict=True)
        )
    assert len(few) > 20 and changed > 3


def test_mirror_images_are_marked():
    """Group 98 (I4_122): some representations exist for the mirror image only; distances stay the same."""
    from pymatgen.core import Lattice, Structure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = Structure.from_spacegroup(
            "I4_122", Lattice.tetragonal(6.0, 9.5), ["Na", "Cl", "O"], [[0, 0, 0], [0.17, 0.17, 0], [0.1, 0.25, 0.125]]
        )
    found = check(structure)
    assert len(found) == 4 and [one.mirrored for one in found].count(True) == 2 and not found[0].mirrored


def test_command_line(tmp_path, capsys):
    path = tmp_path / "heusler.cif"
    path.write_text(to_pymatgen(HEUSLER).to(fmt="cif"))
    assert main(["analyze", str(path), "--equivalent"]) == 0
    text = capsys.readouterr().out
    assert "equivalent Wyckoff representations: 2" in text and "225: Hg 8c, Mg 4b, Tm 4a" in text
    assert main(["analyze", str(path), "--equivalent", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["equivalent"]
    assert len(report) == 2 and len(report[0]["x"]) == 16 and report[0]["letters"] == ["a", "b", "c"]


def test_what_is_no_structure():
    with pytest.raises(InputError, match="AtomicStructure"):
        equivalent_representations("NaCl")
