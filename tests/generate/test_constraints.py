"""What is asked of generated crystals is met exactly, and what cannot be met is said."""

import numpy as np
import pytest

from symjax.errors import InputError
from symjax.generate.constraints import OPERATION_KINDS, Constraints, compile_constraints, operation_kinds
from symjax.groups.sets import OpSet
from symjax.groups.tables import standard_setting
from symjax.models.symop.generate import generate
from symjax.models.symop.geometry.sample import GeometrySampling
from symjax.models.symop.weights import load_weights


def compiled(**demand):
    return compile_constraints(Constraints(**demand), max_orbits=20, max_atoms=96)


def test_kinds_of_operations():
    assert operation_kinds(standard_setting(2)) == {"inversion"}
    assert operation_kinds(standard_setting(19)) == {"screw-2"}
    assert operation_kinds(standard_setting(7)) == {"glide"}
    assert {"rotation-6", "mirror", "inversion", "rotoinversion-6"} <= operation_kinds(standard_setting(191))
    assert set().union(*(operation_kinds(standard_setting(n)) for n in range(1, 231))) == set(OPERATION_KINDS)


@pytest.mark.parametrize(
    ("demand", "count"),
    [
        ({"polar": True}, 68),
        ({"chiral": True}, 65),
        ({"centrosymmetric": True}, 92),
        ({"crystal_system": "cubic"}, 36),
        ({"point_group": "m-3m"}, 10),
        ({"space_group": 14}, 1),
    ],
)
def test_targets_are_the_textbook_numbers(demand, count):
    assert len(compiled(**demand).targets) == count


def test_above_and_below_a_set():
    below = compiled(below=standard_setting(221)).targets
    assert (below.sum(1) <= 48).all() and len(below) > 5
    above = compiled(above=standard_setting(16))
    assert (above.start.sum(1) == [4, 0]).all() and above.targets[:, above.start[0]].all()


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        ({"elements": ("Li", "Xx")}, "Xx"),
        ({"space_group": 231}, "231"),
        ({"point_group": "5m"}, "5m"),
        ({"crystal_system": "quasi"}, "quasi"),
        ({"require": ("rotation-5",)}, "rotation-5"),
        ({"polar": True, "centrosymmetric": True}, "no space group"),
        ({"formula": {"Si": 0}}, "positive"),
        ({"formula": {"Si": 2}, "elements": ("Ge",)}, "contradict"),
        ({"formula": {"Si": 97, "O": 1}}, "at most 96"),
        ({"formula": {"Si": 1, "O": 1, "Al": 1, "Na": 1}, "space_group": 230}, "no group"),
    ],
)
def test_wrong_demands_are_named(demand, words):
    with pytest.raises(InputError, match=words):
        compiled(**demand)


@pytest.fixture(scope="module")
def weights():
    return load_weights()


def drawn(weights, num=6, seed=0, **demand):
    sampler = GeometrySampling(num_steps=6)
    return generate(weights, num, seed=seed, constraints=Constraints(**demand), sampler=sampler).dataset


def test_formula_group_and_kind_are_met_exactly(weights):
    from symjax.groups.identify import identify

    samples = drawn(weights, formula={"Sr": 1, "Ti": 1, "O": 3}, require=("mirror",), crystal_system="tetragonal")
    for cell in samples.all_atoms():
        assert cell.reduced == ((8, 3), (22, 1), (38, 1))
        opset = OpSet(W=cell.W.astype(np.int32), w=cell.w.astype(np.int32), mask=np.ones(len(cell.W), bool))
        assert "mirror" in operation_kinds(opset)
        assert 75 <= identify(opset).number <= 142


def test_equal_seeds_give_equal_crystals_with_at_least_the_generated_group(weights):
    from symjax.evaluate.distances import shortest
    from symjax.evaluate.symmetry import find_symmetry

    first, again, other = drawn(weights), drawn(weights), drawn(weights, seed=1)
    np.testing.assert_array_equal(first.orbit_x, again.orbit_x)
    np.testing.assert_array_equal(first.k, again.k)
    assert list(first.formula) != list(other.formula)
    assert (first.properties["log_bound"] < 0).all()
    for cell in first.all_atoms():
        assert (
            find_symmetry(cell).contains or shortest(cell).distance < 0.3
        )  # spglib gives up where atoms fall together
