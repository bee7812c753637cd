"""Subgroups in enlarged cells: tilts of perovskites, against navigation and by the operations themselves."""

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.data.standardize import standardize, to_crystal
from symjax.data.structure_types import atoms_of
from symjax.errors import InputError
from symjax.groups.integer import sublattices
from symjax.groups.primitive import primitive_form
from symjax.groups.sets import OpSet
from symjax.models.symop.derive.reductions import types_of
from symjax.models.symop.derive.supercells import enlarged_subgroups, operations_modulo
from symjax.navigate.relation import k_relations


def perovskite(a, z):
    x = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return to_crystal(standardize(AtomicStructure(L=a * np.eye(3), z=np.array([*z, 8, 8, 8]), x=x)))


def opset_of(crystal):
    mask = np.ones(len(crystal.W), bool)
    return OpSet(W=crystal.W.astype(np.int32), w=crystal.w.astype(np.int32), mask=mask, den=crystal.den)


@pytest.fixture(scope="module")
def strontium():
    return enlarged_subgroups(perovskite(3.905, (38, 22)), 2)


def test_tilts_of_strontium_titanate_exist_in_doubled_cells(strontium):
    """Howard and Stokes (1998): out of phase about one, two and three axes; in phase about one."""
    found = {(one.reduction.setting.symbol, one.index) for one in strontium}
    assert {("I4/mcm", 6), ("Imma", 12), ("R-3c", 8), ("P4/mbm", 6)} <= found
    elements = [8, 8, 22, 38]
    tilts = [one for one in strontium if one.reduction.setting.symbol == "I4/mcm" and one.index == 6]
    tilts = [one for one in tilts if sorted(one.reduction.z.tolist()) == elements]
    assert tilts and all(one.cell == 2 and one.reduction.num_atoms == 20 for one in tilts)
    # I-centred: four parent cells, two lattice points
    assert abs(abs(np.linalg.det(tilts[0].reduction.setting.matrix)) - 4) < 1e-9


def test_klassengleiche_ones_are_those_of_navigation(strontium):
    """Of index 2 with all rotation parts: among the classes that navigation finds."""
    own = {one.reduction.setting.number for one in strontium if one.index == 2}
    parent = opset_of(perovskite(3.905, (38, 22)))
    assert own and own <= {r.number for r in k_relations(parent, 2, maximal=False)}


def test_described_parents_are_the_parent(strontium):
    """Every description holds the parent's atoms at its density."""
    part = strontium[:40]
    types, k, x = types_of([one.reduction for one in part])
    for row in range(len(k)):
        cell = atoms_of(types, row, k[row], x[row])
        assert abs(abs(np.linalg.det(cell.L)) / len(cell.z) - 3.905**3 / 5) < 1e-6
        counts = {z: int((cell.z == z).sum()) for z in (38, 22, 8)}
        assert counts[8] == 3 * counts[38] == 3 * counts[22]


@pytest.mark.slow
def test_calcium_titanate_is_below_its_cubic_parent_in_a_fourfold_cell():
    found = enlarged_subgroups(perovskite(3.85, (20, 22)), 4)
    pnma = [one for one in found if one.reduction.setting.symbol == "Pnma" and one.index == 24]
    assert any(one.cell == 4 and sorted(one.reduction.z.tolist()) == [8, 8, 20, 22] for one in pnma)


@pytest.mark.parametrize("number", [2, 4])
def test_operations_modulo_a_sublattice_are_a_group(number):
    form = primitive_form(opset_of(perovskite(4.0, (56, 22))))
    for B in sublattices(number)[::5]:
        W, w, den = operations_modulo(form, B)
        names = {(a.tobytes(), b.tobytes()) for a, b in zip(W, w, strict=True)}
        assert len(names) == len(W) and len(W) % number == 0
        for i in np.random.default_rng(0).choice(len(W), 12):
            for j in (0, len(W) // 2, len(W) - 1):
                assert ((W[i] @ W[j]).tobytes(), np.mod(W[i] @ w[j] + w[i], den).tobytes()) in names


def test_cells_beyond_four_are_refused():
    with pytest.raises(InputError, match="1 to 4"):
        enlarged_subgroups(perovskite(4.0, (56, 22)), 5)
