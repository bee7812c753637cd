"""Drawing with WyckoffDiff: demands are met, batches change nothing, groups compile nothing, guidance has its limits; bad input."""

import dataclasses

import jax
import numpy as np
import pytest

from configs.wyckoffdiff import get_config
from symjax.data.structure_types import StructureTypes
from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import InputError, WeightsError
from symjax.generate.loop import generate
from symjax.generate.pyxtal import Pyxtal
from symjax.generate.request import Request
from symjax.generate.system import Settings
from symjax.groups.tables import standard_setting, wyckoff_letters
from symjax.models.wyckoffdiff import sample as sampling
from symjax.models.wyckoffdiff.draw import WyckoffdiffSampler
from symjax.models.wyckoffdiff.occupations import from_structure_types, usable
from symjax.models.wyckoffdiff.realise import labelled
from symjax.models.wyckoffdiff.requests import parse_conditions
from symjax.models.wyckoffdiff.system import Wyckoffdiff
from symjax.models.wyckoffdiff.task import WyckoffdiffTask
from symjax.models.wyckoffdiff.weights import load_weights
from symjax.train.weights import save_params
from symjax.wyckoff.labels import label
from symjax.wyckoff.set_table import build_set_table

# Slow until somebody has seen how long they take: no processor time was left to run them to their end when they were written.
pytestmark = pytest.mark.slow

SIZES = {
    "model.wyckoffdiff.width": 8,
    "model.wyckoffdiff.attention_width": 4,
    "model.wyckoffdiff.message_width": 8,
    "model.wyckoffdiff.head_width": 8,
    "model.wyckoffdiff.num_steps": 12,
    "model.wyckoffdiff.conditions": ("chemical_system", "hull"),
}
EMPTY = (3.0, 9.0)
"""Added to the logits of nothing, so that untrained weights give a few orbits."""


@pytest.fixture(scope="module")
def folder(prototype_dataset, tmp_path_factory):
    """Untrained weights of a very small network that answers to its conditions, as training writes them."""
    data = prototype_dataset.subset(np.flatnonzero(usable(prototype_dataset, 6)))
    data = dataclasses.replace(data, properties={"hull": data.num_atoms / 10.0})
    config = get_config("tiny")
    config.update_from_flattened_dict(SIZES)
    task = WyckoffdiffTask(config, data, None)
    # by numpy, which compiles nothing; not zero where adaptors start at zero
    shapes, rng = jax.eval_shape(lambda key: task.init(key, None), jax.random.key(0)), np.random.default_rng(0)
    draw = lambda leaf: (rng.normal(size=leaf.shape) / leaf.shape[0] ** 0.5).astype(np.float32)
    params = {"net": jax.tree.map(draw, shapes["net"]), "stats": task._stats}
    net = params["net"]["params"]
    fixed, free = (np.array(net[f"head_{part}"]["layer_3"]["bias"]) for part in ("fixed", "free"))
    fixed[0] += EMPTY[0]
    free.reshape(100, -1)[:, 0] += EMPTY[1]
    net["head_fixed"]["layer_3"]["bias"], net["head_free"]["layer_3"]["bias"] = fixed, free
    return save_params(tmp_path_factory.mktemp("weights") / "wyckoffdiff", params, config)


@pytest.fixture(scope="module")
def weights(folder):
    return load_weights(folder)


def draw(weights, num=4, request=None, options=None, **how):
    given = Settings(seed=3, batch_size=8, options=options or {}, **how)
    return generate(Wyckoffdiff(), weights, num, request=request, settings=given)


def words(types):
    orbits = from_structure_types(types)
    return [label(int(n), z, p) for n, z, p in zip(orbits.number, orbits.z, orbits.pos, strict=True)]


def atoms(types, row):
    real = types.z[row] > 0
    sizes = np.asarray(types.sets.pos_mult)[types.set_index[row], types.pos[row][real]]
    return {int(z): int(sizes[types.z[row][real] == z].sum()) for z in np.unique(types.z[row][real])}


def test_formula_orbits_elements_and_given_sites_are_met(weights):
    """Each as it was asked for, together where they are asked together; a group compiles nothing that another has not."""
    number = {ATOMIC_NUMBERS[e]: n for e, n in {"Sr": 1, "Ti": 1, "O": 3}.items()}
    made = draw(weights, request=Request(formula={"Sr": 1, "Ti": 1, "O": 3}, groups=(221, 62), orbits=3))
    for row in range(len(made.types.z)):
        found = atoms(made.types, row)
        unit = found[22]
        assert found == {z: n * unit for z, n in number.items()} and (made.types.z[row] > 0).sum() == 3
    before = sampling.clean_probabilities._cache_size(), sampling.towards._cache_size()
    draw(weights, request=Request(formula={"Na": 1, "Cl": 1}, groups=(225,)))
    assert (sampling.clean_probabilities._cache_size(), sampling.towards._cache_size()) == before

    made = draw(weights, request=Request(elements=("Li", "O"), groups=(225,)))
    assert all(set(atoms(made.types, row)) == {3, 8} for row in range(4)) and made.missing == 0
    scans = sampling.reverse_scan._cache_size()
    draw(weights, request=Request(elements=("Ti", "O"), groups=(139, 12)))
    assert sampling.reverse_scan._cache_size() == scans

    given = Request(sites=(("Na", "4a"), ("O", "24e")), allow=("Na", "O"), groups=(225,))
    made = draw(weights, request=given)
    a, e = (wyckoff_letters(225).index(letter) for letter in "ae")
    for z, pos in zip(made.types.z, made.types.pos, strict=True):
        assert ((z == 11) & (pos == a)).any() and ((z == 8) & (pos == e)).any() and set(z) <= {0, 8, 11}


def test_a_crystal_does_not_depend_on_batch_and_number(weights):
    few, many = draw(weights, 3), draw(weights, 9)
    assert words(few.types) == words(many.types)[:3]
    assert words(draw(weights, 9).types) == words(many.types)


def test_guidance_of_nothing_and_of_the_condition_itself(weights):
    """Factor 0 is no condition, factor 1 the condition in one pass; a large one is something else."""
    at = {"groups": (225, 62)}
    conditions = parse_conditions("hull=3.5,chemical_system=Li-O")
    free = words(draw(weights, 6, Request(**at)).types)
    forgotten = words(draw(weights, 6, Request(**at), {"condition": conditions, "guidance": 0.0}).types)
    assert free == forgotten
    once = words(draw(weights, 6, Request(**at), {"condition": conditions, "guidance": 1.0}).types)
    twice = words(draw(weights, 6, Request(**at), {"condition": conditions, "guidance": 1.0 + 1e-6}).types)
    assert once == twice and once != free
    assert words(draw(weights, 6, Request(**at), {"condition": conditions, "guidance": 8.0}).types) not in (once, free)


def test_the_elements_of_a_request_are_its_chemical_system(weights):
    sampler = WyckoffdiffSampler(weights, Request(elements=("Li", "O"), groups=(225,)), 2, Settings())
    assert np.flatnonzero(np.asarray(sampler.asked.conditions["chemical_system"])).tolist() == [3, 8]
    assert float(sampler.asked.guidance) == 2.0


def test_labels_of_realised_crystals_are_compared(weights):
    """PyXtal keeps the label of rock salt; zinc blende with all sites fixed is told to be rock salt."""
    sets = build_set_table([standard_setting(225), standard_setting(216)])
    pos = [[wyckoff_letters(n).index(letter) for letter in "ab"] for n in (225, 216)]
    types = StructureTypes(sets, np.array([0, 1]), np.array([[11, 17], [11, 17]]), np.array(pos))
    found = labelled(Pyxtal(attempts=5, processes=1), types, jax.random.key(0))
    assert found.asked == ("AB_cF8_225_a_b:Cl-Na", "AB_cF8_216_a_b:Cl-Na")
    assert found.got == ("AB_cF8_225_a_b:Cl-Na", "AB_cF8_225_a_b:Cl-Na")
    assert found.kept.tolist() == [True, False] and not found.realised.reason[0]
    assert "AB_cF8_225_a_b" in found.realised.reason[1]


@pytest.mark.parametrize(
    "request_, options, reason",
    [
        ({"include": ("At",)}, {}, "element At: in no crystal of the data"),
        ({"include": ("Lr",)}, {}, "element Lr: in no crystal of the data"),
        ({"formula": {"Na": 1, "Cl": 5}, "groups": (225,), "orbits": 2}, {}, "NaCl5 does not fit in space group 225"),
        ({"orbits": 1000}, {}, "1000 orbits: the training crystals of these weights have 1 to"),
        ({"groups": (6,)}, {}, "space group 6 has no crystal in the training data"),
        ({}, {"condition": {"band_gap": "1"}}, "condition 'band_gap': these weights know chemical_system, hull"),
        ({}, {"condition": {"hull": "low"}}, "condition hull=low: a finite number"),
        ({}, {"condition": {"hull": "nan"}}, "condition hull=nan: a finite number"),
        ({}, {"condition": {"chemical_system": "Li-Xx"}}, "unknown element 'Xx'"),
        ({}, {"condition": {"chemical_system": "Li-At"}}, "element At is in no training crystal"),
        ({}, {"guidance": 2.0}, "guidance needs a condition"),
        ({}, {"reverse_steps": 12}, "12 reverse steps: these weights were trained with 11"),
        ({"sites": (("Na", "192l"),) * 9, "groups": (225,)}, {}, "more than 6 of Na on 192l"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_drawing(weights, request_, options, reason):
    with pytest.raises(InputError, match=reason):
        draw(weights, request=Request(**request_), options=options)


def test_a_base_knows_no_conditions_and_other_weights_are_refused(weights, tmp_path):
    base = dataclasses.replace(
        weights,
        options=dataclasses.replace(
            weights.options, network=dataclasses.replace(weights.options.network, conditions=())
        ),
    )
    with pytest.raises(InputError, match="these weights are a base without conditions"):
        draw(base, options={"condition": {"hull": "0"}})
    with pytest.raises(WeightsError, match="no weights in"):
        load_weights(tmp_path)
    with pytest.raises(ValueError, match="cannot read 'hull'"):
        parse_conditions("hull")
