"""What is asked for in symop's terms: targets of the walk, room for formulas, given sites; the crystals meet it exactly."""

import json
import shutil
from collections import Counter

import jax
import numpy as np
import pytest

from symjax.elements import NUM_ELEMENTS, SYMBOLS
from symjax.errors import InputError, WeightsError
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.generate.system import Settings
from symjax.groups.identify import identify
from symjax.groups.kinds import operation_kinds
from symjax.groups.sets import OpSet
from symjax.groups.tables import enantiomorph, standard_setting, wyckoff_letters
from symjax.models.symop.demands import demands_of
from symjax.models.symop.sample import sample_structure_types
from symjax.models.symop.walk.states import states
from symjax.systems import generate, system
from symjax.train.weights import shipped_weights


def compiled(**demand):
    return demands_of(Request(**demand), max_orbits=20, max_atoms=96)


@pytest.mark.parametrize(
    "demand", [{"polar": True}, {"groups": (14,)}, {"groups": (14, 225, 2)}, {"chiral": True}, {"orbits": 3}]
)
def test_demands_on_operations_are_targets(demand):
    """A walk may end at every class whose type meets the demand, and at no other; handedness is chosen among the allowed."""
    found, table = compiled(**demand), states()
    groups = masks_of(Request(**demand)).groups
    meets = np.ones(231, bool) if groups is None else groups
    both = meets | meets[[0, *(enantiomorph(n) for n in range(1, 231))]]
    assert np.array_equal(found.targets, both[table.number]) and found.start == 0
    drawn = found.hand(table.number[found.targets], seed=0)
    assert meets[drawn].all()


def test_above_and_below_a_set():
    table = states()
    below = compiled(below=standard_setting(221)).targets
    assert (table.order[below] <= 48).all() and below.sum() > 5
    above = compiled(above=standard_setting(16))
    assert table.number[above.start] == 16 and above.targets.any()
    assert (table.reach[above.start] & above.targets).any() and not above.targets[: above.start].any()


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        ({"formula": {"Si": 97, "O": 1}}, "at most 96"),
        ({"formula": {"Si": 1, "O": 1, "Al": 1, "Na": 1}, "groups": (230,)}, "no group"),
        ({"formula": {"Sr": 1, "Ti": 1, "O": 3}, "groups": (225,), "orbits": 3}, "no group"),
        ({"orbits": 21}, "1 to 20 orbits, got 21"),
        ({"include": tuple(SYMBOLS[1:22])}, "21 elements need as many orbits"),
        ({"groups": (225,), "sites": (("Na", "4a"), ("Cl", "4a"))}, "position 4a"),
    ],
)
def test_wrong_demands_are_named(demand, words):
    with pytest.raises(InputError, match=words):
        compiled(**demand)


@pytest.fixture(scope="module")
def weights():
    return system("symop").load(None)


def drawn(weights, num=6, seed=0, **demand):
    return generate("symop", num, weights=weights, seed=seed, steps=6, request=Request(**demand)).dataset


@pytest.mark.slow
def test_free_draws_have_known_elements_only(weights):
    """Elements without a training crystal (Po, Rn, Am) are drawn by nobody, asked for or not: here all but two are unknown."""
    known = np.zeros(NUM_ELEMENTS, bool)
    known[[8, 22]] = True
    key = jax.random.key(0)
    found = sample_structure_types(weights.operations, weights.operations_config, key, 40, known=known, max_atoms=96)
    assert set(found.z[found.z > 0].tolist()) == {8, 22}
    assert not weights.geometry.known_elements[[84, 86, 95]].any()


@pytest.mark.slow
def test_formula_group_and_kind_are_met_exactly(weights):
    samples = drawn(weights, formula={"Sr": 1, "Ti": 1, "O": 3}, require=("mirror",), crystal_system="tetragonal")
    for cell in samples.all_atoms():
        assert cell.reduced == ((8, 3), (22, 1), (38, 1))
        opset = OpSet(W=cell.W.astype(np.int32), w=cell.w.astype(np.int32), mask=np.ones(len(cell.W), bool))
        assert "mirror" in operation_kinds(opset)
        assert 75 <= identify(opset).number <= 142


@pytest.mark.slow
def test_equal_seeds_give_equal_crystals_with_at_least_the_generated_group(weights):
    from symjax.evaluate.distances import shortest
    from symjax.evaluate.symmetry import find_symmetry

    first, again, other = drawn(weights), drawn(weights), drawn(weights, seed=1)
    np.testing.assert_array_equal(first.orbit_x, again.orbit_x)
    np.testing.assert_array_equal(first.k, again.k)
    assert list(first.formula) != list(other.formula)
    assert (first.properties["log_operations"] < 0).all()
    for cell in first.all_atoms():
        assert (
            find_symmetry(cell).contains or shortest(cell).distance < 0.3
        )  # spglib gives up where atoms fall together


def test_given_orbits_are_placed_and_orbits_counted(weights):
    """Two orbits given of one element: both there, among as many as were asked for, whatever order they are drawn in."""
    asked = Request(groups=(62,), sites=(("O", "4c"), ("O", "8d"), ("Ca", "4b")), include=("Ti",), orbits=5)
    made = generate("symop", 6, weights=weights, request=asked, realise="none")
    letters = wyckoff_letters(62)
    assert (made.types.orbit_mask.sum(1) == 5).all() and made.missing == 0
    for z, pos in zip(made.types.z, made.types.pos, strict=True):
        found = Counter((SYMBOLS[e], letters[p]) for e, p in zip(z.tolist(), pos.tolist(), strict=True) if e)
        assert found[("O", "c")] and found[("O", "d")] and found[("Ca", "b")] and 22 in z


def test_an_element_of_no_training_crystal_is_refused(weights):
    with pytest.raises(InputError, match="element At: in no crystal"):
        system("symop").sampler(weights, Request(include=("At",)), 2, Settings())


def test_weights_of_an_older_walk_are_refused(tmp_path):
    """Their configuration has other fields; the message names the folder and what to do."""
    folder = shipped_weights("symop")
    shutil.copytree(folder / "operations", tmp_path / "operations")
    (tmp_path / "geometry").symlink_to(folder / "geometry")
    config = json.loads((tmp_path / "operations" / "config.json").read_text())
    del config["model"]["operations"]["quotient_dim"]
    config["model"]["operations"] |= {"walk_layers": 2, "membership": 1.0}
    (tmp_path / "operations" / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"another version of symop.*train them again"):
        system("symop").load(tmp_path)
