"""Exact compositions of SymmCD: groups and numbers of orbits that can hold them; sampled crystals have the formula."""

import json
import math
from collections import Counter

import jax
import numpy as np
import pytest

from configs.symmcd import get_config
from symjax.cli.main import main
from symjax.elements import SYMBOLS
from symjax.errors import InputError
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.groups.identify import identify
from symjax.models.symmcd import draw as drawing
from symjax.models.symmcd import sample as sampling
from symjax.models.symmcd.network import NUM_TYPES, Nodes, SymmcdNet
from symjax.models.symmcd.representation import Counts
from symjax.models.symmcd.requests import draw_requests
from symjax.models.symmcd.task import options_from_config
from symjax.models.symmcd.weights import load_weights
from symjax.systems import generate
from symjax.train.weights import save_params

SIZES = {
    "model.symmcd.width": 16,
    "model.symmcd.num_layers": 1,
    "model.symmcd.num_frequencies": 2,
    "model.symmcd.latent": 8,
    "model.symmcd.group_hidden": 8,
}
FEW = {"steps": 4, "batch_size": 8}


@pytest.fixture(autouse=True)
def plain_steps(monkeypatch):
    """No corrector: few programs, soon compiled."""
    options = sampling.SymmcdSampling
    monkeypatch.setattr(drawing, "SymmcdSampling", lambda num_steps: options(num_steps=num_steps, corrector_step=0.0))


@pytest.fixture(scope="module", params=["orbits", pytest.param("cell", marks=pytest.mark.slow)])
def folder(request, tmp_path_factory):
    """Untrained weights of a very small network, of both variants; what is counted on data is that of the shipped weights."""
    config = get_config(f"tiny,atoms={request.param}")
    config.update_from_flattened_dict(SIZES | {"model.symmcd.buckets": (8,)})
    options = options_from_config(config.model.symmcd)
    nodes = Nodes(
        *(
            np.zeros(shape, kind)
            for shape, kind in (
                ((1, 397), np.float32),
                ((1, 6), np.float32),
                ((1, 1), np.int32),
                ((1, 1, 15), np.int32),
                ((1, 1, 3), np.float32),
                ((1, 1), bool),
            )
        )
    )
    shapes = jax.eval_shape(SymmcdNet(options.network).init, jax.random.key(0), nodes, np.ones(1, np.float32))
    rng = np.random.default_rng(0)
    net = jax.tree.map(lambda leaf: 0.2 * rng.normal(size=leaf.shape).astype(np.float32), shapes)
    params = {"net": net, "stats": load_weights().params["stats"]}
    return save_params(tmp_path_factory.mktemp("weights") / "symmcd", params, config)


@pytest.fixture(scope="module")
def weights(folder):
    return load_weights(folder)


def contents(dataset):
    """Symbol -> atoms of the conventional cell, of each crystal."""
    mult = dataset.sets.pos_mult[dataset.orbit_set, dataset.orbit_pos]
    found = [Counter() for _ in range(len(dataset))]
    for crystal, z, size in zip(dataset.orbit_crystal, dataset.orbit_z, mult, strict=True):
        found[crystal][SYMBOLS[z]] += int(size)
    return found


def reduced(content):
    divisor = math.gcd(*content.values())
    return {name: count // divisor for name, count in content.items()}


@pytest.mark.slow
def test_every_crystal_has_the_formula(weights):
    """Untrained weights: exact by construction, and the group is kept too."""
    request = Request(groups=(62, 166, 225), formula={"Na": 2, "Cl": 4})  # reduced to 1 : 2
    made = generate("symmcd", 8, weights=weights, seed=1, request=request, **FEW)
    assert all(reduced(content) == {"Na": 1, "Cl": 2} for content in contents(made.dataset))
    assert set(made.dataset.formula) <= {"NaCl2"}
    for i in range(8) if not weights.options.unit_cell else ():
        assert identify(made.dataset.sets.opset(int(made.dataset.set_index[i]))).number in request.groups
    again = generate("symmcd", 8, weights=weights, seed=1, request=request, **FEW)
    assert again.dataset.data_hash() == made.dataset.data_hash()


def counts_of(orbits):
    """Frequencies of made-up data: group -> {number of orbits: share}."""
    group, table = np.zeros(231), np.zeros((231, 6))
    for number, shares in orbits.items():
        group[number] = 1 / len(orbits)
        for m, share in shares.items():
            table[number, m] = share
    return Counts(group=group, orbits=table, elements=np.full(NUM_TYPES, 1 / NUM_TYPES), site=np.zeros((231, 15, 13)))


def test_groups_and_orbits_given_the_formula():
    """Perovskite in Pm-3m on 3 or 4 orbits, never on 2; in Fm-3m on 4 alone; P1 has five atoms an orbit each."""
    counts = counts_of({1: {2: 0.5, 3: 0.5}, 221: {2: 0.5, 3: 0.3, 4: 0.2}, 225: {2: 0.8, 4: 0.2}})
    request = Request(formula={"Sr": 1, "Ti": 1, "O": 3})
    number, orbits = draw_requests(counts, masks_of(request), 4000, rng=np.random.default_rng(0), max_orbits=8)
    found = Counter(zip(number.tolist(), orbits.tolist(), strict=True))
    assert set(found) == {(221, 3), (221, 4), (225, 4)}
    for pair, weight in {(221, 3): 0.3, (221, 4): 0.2, (225, 4): 0.2}.items():
        assert found[pair] / 4000 == pytest.approx(weight / 0.7, abs=0.03)
    asked = Request(
        groups=(1,), formula=request.formula
    )  # no training crystal of P1 has 5 orbits, but the group was asked for
    number, orbits = draw_requests(counts, masks_of(asked), 5, rng=np.random.default_rng(0), max_orbits=8)
    assert set(number) == {1} and set(orbits) == {5}


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        (Request(groups=(225,), formula={"Na": 1, "Cl": 1, "O": 5}), "NaClO5 does not fit in space group 225"),
        (
            Request(groups=(225,), orbits=3, formula={"Sr": 1, "Ti": 1, "O": 3}),
            r"on 3 orbit\(s\) in space group 225; it does on 4",
        ),
        (Request(formula={"Sr": 40, "O": 41}), "any space group of the training data"),
        (Request(formula={"Sr": 1, "Ti": 1, "O": 1, "N": 1, "F": 1, "Cl": 1}), "as well"),
    ],
)
def test_compositions_that_do_not_fit_are_refused(request_of, words):
    counts = counts_of({1: {2: 0.5, 3: 0.5}, 221: {2: 0.5, 3: 0.3, 4: 0.2}, 225: {2: 0.8, 4: 0.2}})
    with pytest.raises(InputError, match=words):
        draw_requests(counts, masks_of(request_of), 3, rng=np.random.default_rng(0), max_orbits=8)


def test_formulas_of_unknown_elements_are_refused(weights):
    with pytest.raises(InputError, match="element At: in no crystal"):
        generate("symmcd", 1, weights=weights, request=Request(formula={"At": 1}), **FEW)


@pytest.mark.slow
def test_elements_that_must_occur_get_an_orbit_each(weights):
    """Even untrained weights, which draw elements evenly, give no crystal with others."""
    made = generate("symmcd", 6, weights=weights, request=Request(include=("O", "Ti")), **FEW)
    assert "other elements" not in made.failed and made.missing < 6
    assert all({8, 22} <= set(z.tolist()) for z in made.types.z)
    only = generate("symmcd", 4, weights=weights, request=Request(elements=("O", "Ti")), **FEW)
    assert "other elements" not in only.failed and all(set(z[z > 0].tolist()) == {8, 22} for z in only.types.z)


@pytest.mark.slow
def test_command(folder, weights, tmp_path, capsys):
    options = [
        "--model",
        "symmcd",
        "--weights",
        str(folder),
        "--num",
        "8",
        "--steps",
        "4",
        "--min-ratio",
        "0",
        "--no-picture",
    ]
    code = main(
        ["generate", *options, "--formula", "CaTiO3", "--space-group", "221", "--out", str(tmp_path / "crystals")]
    )
    assert code == 0, capsys.readouterr().err
    index = json.loads((tmp_path / "crystals" / "index.json").read_text())
    for entry in index["crystals"]:  # the unit-cell variant's crystals are in P1, the group asked for beside
        assert (entry["requested_group"] if weights.options.unit_cell else entry["group"]["number"]) == 221
    assert {entry["formula"] for entry in index["crystals"]} == {"CaTiO3"}
