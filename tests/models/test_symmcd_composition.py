"""Exact compositions of SymmCD: what fits, against another count and against brute force; sampled crystals have the formula."""

import itertools
import json
import math
from collections import Counter

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.symmcd import get_config
from symjax.cli.main import main
from symjax.elements import SYMBOLS
from symjax.errors import InputError
from symjax.groups.identify import identify
from symjax.models.symmcd import composition
from symjax.models.symmcd import generate as generation
from symjax.models.symmcd import sample as sampling
from symjax.models.symmcd.composition import ATOMS, NO_LIMIT, place, possible_orbits, site_classes
from symjax.models.symmcd.network import NUM_TYPES, Nodes, SymmcdNet
from symjax.models.symmcd.representation import Counts
from symjax.models.symmcd.requests import Request, draw_requests
from symjax.models.symmcd.task import options_from_config
from symjax.models.symmcd.weights import load_weights
from symjax.train.weights import save_params
from symjax.wyckoff.occupancy import ANY, FormulaFitter

SIZES = {
    "model.symmcd.width": 16,
    "model.symmcd.num_layers": 1,
    "model.symmcd.num_frequencies": 2,
    "model.symmcd.latent": 8,
    "model.symmcd.group_hidden": 8,
}
FEW = sampling.SamplerOptions(num_steps=4, corrector_step=0.0)  # few programs, soon compiled
FORMULAS = [(1,), (1, 1), (1, 2), (1, 1, 3), (1, 2, 4), (2, 3)]


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


def test_classes_of_known_groups():
    """Pm-3m: a and b alike, c and d alike with one S each where pyxtal lists them; P-1: eight inversions and the rest."""
    cubic = site_classes(221)
    assert sum(cubic.capacity[cubic.capacity < NO_LIMIT]) == 4
    assert sorted(cubic.multiplicity[cubic.capacity < NO_LIMIT])[:1] == [1]
    triclinic = site_classes(2)
    assert triclinic.multiplicity.tolist() in ([1, 2], [2, 1])
    assert dict(zip(triclinic.multiplicity.tolist(), triclinic.capacity.tolist(), strict=True)) == {1: 8, 2: NO_LIMIT}


@pytest.mark.parametrize("number", [1, 2, 14, 47, 62, 139, 166, 194, 216, 221, 225, 227, 230])
def test_numbers_of_orbits_agree_with_the_other_count(number):
    """`symop` decides by searching on multiplicities whether given numbers of orbits fit; here all numbers come at once."""
    classes = site_classes(number)
    dof = tuple(int(room == NO_LIMIT) for room in classes.capacity)
    # a class of n positions without freedom is n positions there
    mult = [
        m
        for m, room in zip(classes.multiplicity.tolist(), classes.capacity.tolist(), strict=True)
        for _ in range(1 if room == NO_LIMIT else room)
    ]
    free = [d for d, room in zip(dof, classes.capacity.tolist(), strict=True) for _ in range(1 if d else room)]
    fitter = FormulaFitter(tuple(mult), tuple(free))
    for formula in FORMULAS:
        can = possible_orbits(classes, formula, max_orbits=5, max_atoms=24)
        single = fitter.single(set())
        want = np.zeros(6, bool)
        for shares in itertools.product(range(1, 6), repeat=len(formula)):
            if sum(shares) <= 5 and not want[sum(shares)]:
                want[sum(shares)] = any(
                    fitter.fits(tuple((o, n * c) for o, c in zip(shares, formula, strict=True)), single)
                    for n in range(1, 24 // sum(formula) + 1)
                )
        np.testing.assert_array_equal(can, want, err_msg=f"{number} {formula}")
        wide = possible_orbits(classes, formula, max_orbits=24, max_atoms=24)
        assert wide.any() == any(
            fitter.fits(tuple((ANY, n * c) for c in formula), single) for n in range(1, 24 // sum(formula) + 1)
        )


def brute_force(classes, counts, type_scores, site_scores, max_atoms):
    """Largest summed score over all assignments; -inf where there is none."""
    m, e = type_scores.shape
    best = -np.inf
    choices = list(itertools.product(range(e), range(len(classes.capacity))))
    for assigned in itertools.product(choices, repeat=m):
        used = Counter(kind for _, kind in assigned)
        if any(number > classes.capacity[kind] for kind, number in used.items()):
            continue
        atoms = [sum(int(classes.multiplicity[kind]) for element, kind in assigned if element == i) for i in range(e)]
        units = atoms[0] // counts[0]
        if units < 1 or sum(atoms) > max_atoms or any(a != units * c for a, c in zip(atoms, counts, strict=True)):
            continue
        best = max(best, sum(type_scores[i, el] + site_scores[i, kind] for i, (el, kind) in enumerate(assigned)))
    return best


@settings(max_examples=25, deadline=None)
@given(
    number=st.sampled_from([2, 47, 123, 221, 225]),
    counts=st.sampled_from([(1, 1), (1, 2), (1, 3)]),
    m=st.integers(2, 3),
    seed=st.integers(0, 10**6),
)
def test_the_best_placement_is_that_of_brute_force(number, counts, m, seed):
    rng = np.random.default_rng(seed)
    whole = site_classes(number)
    keep = np.sort(rng.permutation(len(whole.capacity))[:5])
    classes = composition.SiteClasses(*(values[keep] for values in whole))
    type_scores, site_scores = -rng.exponential(3, (m, 2)), -rng.exponential(5, (m, len(keep)))
    best = brute_force(classes, counts, type_scores, site_scores, 24)
    if not np.isfinite(best):
        assert not possible_orbits(classes, counts, max_orbits=m, max_atoms=24)[m]
        with pytest.raises(InputError, match="cannot be placed"):
            place(classes, counts, type_scores, site_scores, max_atoms=24)
        return
    assert possible_orbits(classes, counts, max_orbits=m, max_atoms=24)[m]
    found = place(classes, counts, type_scores, site_scores, max_atoms=24)
    score = type_scores[np.arange(m), found.element].sum() + site_scores[np.arange(m), found.site_class].sum()
    assert score == pytest.approx(best, abs=1e-9)
    assert found.lost == pytest.approx((type_scores.max(1) + site_scores.max(1)).sum() - best, abs=1e-9)


def test_every_crystal_has_the_formula(weights):
    """Untrained weights: exact by construction, and the group is kept too."""
    request = Request(groups=(62, 166, 225), formula={"Na": 2, "Cl": 4})  # reduced to 1 : 2
    made = generation.generate(weights, 8, seed=1, request=request, sampler=FEW, batch_size=8)
    assert all(reduced(content) == {"Na": 1, "Cl": 2} for content in contents(made.dataset))
    assert set(made.dataset.formula) <= {"NaCl2"}
    for i in range(8) if not weights.options.unit_cell else ():
        assert identify(made.dataset.sets.opset(int(made.dataset.set_index[i]))).number in request.groups
    again = generation.generate(weights, 8, seed=1, request=request, sampler=FEW, batch_size=8)
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
    number, orbits = draw_requests(counts, request, 4000, rng=np.random.default_rng(0), max_orbits=8)
    found = Counter(zip(number.tolist(), orbits.tolist(), strict=True))
    assert set(found) == {(221, 3), (221, 4), (225, 4)}
    for pair, weight in {(221, 3): 0.3, (221, 4): 0.2, (225, 4): 0.2}.items():
        assert found[pair] / 4000 == pytest.approx(weight / 0.7, abs=0.03)
    asked = Request(
        groups=(1,), formula=request.formula
    )  # no training crystal of P1 has 5 orbits, but the group was asked for
    number, orbits = draw_requests(counts, asked, 5, rng=np.random.default_rng(0), max_orbits=8)
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
        draw_requests(counts, request_of, 3, rng=np.random.default_rng(0), max_orbits=8)


def test_requests_that_contradict_themselves_are_refused(weights):
    for formula in ({}, {"Na": 0}, {"Na": 1.5}):
        with pytest.raises(InputError, match="positive whole number"):
            Request(formula=formula)
    with pytest.raises(InputError, match="contradict"):
        Request(elements=("Na", "O"), formula={"Na": 1, "Cl": 1})
    for formula, words in (({"Xx": 1}, "unknown"), ({"At": 1}, "does not occur")):
        with pytest.raises(InputError, match=words):
            generation.generate(weights, 1, request=Request(formula=formula), sampler=FEW)


def test_atoms_have_no_positions_to_fill():
    assert np.flatnonzero(possible_orbits(ATOMS, (1, 2), max_orbits=10, max_atoms=10)).tolist() == [3, 6, 9]


def test_command(folder, weights, tmp_path, capsys, monkeypatch):
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
    few = generation.generate
    monkeypatch.setattr(
        generation, "generate", lambda *args, **kinds: few(*args, **kinds | {"sampler": FEW, "batch_size": 8})
    )
    code = main(
        ["generate", *options, "--formula", "CaTiO3", "--space-group", "221", "--out", str(tmp_path / "crystals")]
    )
    assert code == 0, capsys.readouterr().err
    index = json.loads((tmp_path / "crystals" / "index.json").read_text())
    for entry in index["crystals"]:  # the unit-cell variant's crystals are in P1, the group asked for beside
        assert (entry["requested_group"] if weights.options.unit_cell else entry["group"]["number"]) == 221
    assert {entry["formula"] for entry in index["crystals"]} == {"CaTiO3"}
