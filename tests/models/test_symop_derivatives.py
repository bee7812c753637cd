"""The walk kept below or above a group: exact probabilities, and derivatives of a crystal that have what they claim."""

import dataclasses
import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.cli.main import main
from symjax.cli.parent import LENGTH_RULE, parent_of
from symjax.crystals.io import write_cif
from symjax.crystals.types import AtomicStructure
from symjax.data.structure_types import dataset_from_types
from symjax.errors import InputError
from symjax.evaluate.symmetry import detected_number, find_symmetry
from symjax.groups.sets import make_opset
from symjax.groups.tables import standard_frame, standard_setting, vocabulary
from symjax.models.symop import sample as walk_sample
from symjax.models.symop.derive import derivatives as module
from symjax.models.symop.derive.derivatives import candidates, derivatives
from symjax.models.symop.derive.reductions import attainable, cell_atoms, free_parameters, reduce, standard, types_of
from symjax.models.symop.geometry.sample import GeometrySampling, reverse_diffusion
from symjax.models.symop.network import OperationsNet, options_from_config
from symjax.models.symop.sample import class_log_probabilities, step_log_probabilities
from symjax.models.symop.sites.balance import balance_rows
from symjax.models.symop.sites.network import operation_inputs, site_nll, site_table
from symjax.models.symop.species import species_nll
from symjax.models.symop.walk.exact import walk_distribution
from symjax.models.symop.walk.likelihood import type_likelihood
from symjax.models.symop.walk.set_lattice import INSIDE, lattice_above, lattice_below
from symjax.models.symop.walk.states import states
from symjax.models.symop.weights import load_weights
from symjax.navigate.translationengleiche import t_subgroups

VOCAB = vocabulary()
BARIUM_TITANATE = (56, 22, 8)
QUICK = {"sampler": GeometrySampling(num_steps=6), "batch_size": 12}


@cache
def weights():
    return load_weights()


@cache
def net():
    return OperationsNet(options_from_config(weights().operations_config["model"]["operations"]))


def indices(number):
    return VOCAB.indices(standard_setting(number), standard_frame(number))


@cache
def perovskite(shift=0.0, stretch=0.0):
    """Cubic BaTiO3, or with titanium and one oxygen moved along c and c stretched."""
    L = np.diag([4.0, 4.0, 4.0 * (1 + stretch)])
    x = np.array(
        [[0, 0, 0], [0.5, 0.5, 0.5 + shift], [0.5, 0.5, -1.5 * shift], [0.5, 0, 0.5 - shift], [0, 0.5, 0.5 - shift]]
    )
    return parent_of(AtomicStructure(L=L, z=np.array([56, 22, 8, 8, 8]), x=x)).crystal


@cache
def rocksalt():
    half = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    x = np.concatenate([half, half + [0.5, 0.5, 0.5]])
    return parent_of(AtomicStructure(L=5.64 * np.eye(3), z=np.array([11] * 4 + [17] * 4), x=x)).crystal


def closure(row):
    """Closure of a set `(v,)` bool of the vocabulary by repeated products."""
    index = np.flatnonzero(row)
    while True:
        reached = np.unique(VOCAB.product[np.ix_(index, index)])
        if len(reached) == len(index):
            found = np.zeros(VOCAB.size, bool)
            found[reached] = True
            return found
        index = reached


def in_vocabulary(lattice, members):
    row = np.zeros(VOCAB.size, bool)
    row[lattice.operations[members]] = True
    return row


# the closed sets


@pytest.mark.parametrize("number", [1, 2, 62, 99, 123, 191, 207, 221])
def test_subgroups_are_those_of_navigation(number):
    """In primitive cells the subgroups modulo the cell are the translationengleiche ones, class by class."""
    lattice = lattice_below(indices(number))
    order = len(lattice.operations)
    found = sorted((order // int(lattice.members[c].sum()), int((lattice.label == c).sum())) for c in lattice.classes)
    classes = t_subgroups(standard_setting(number))
    assert found == sorted([(1, 1), *((c.index, len(c.masks)) for c in classes)])


@pytest.mark.parametrize("number", [5, 23, 38, 146, 70])
def test_centred_groups_by_brute_force(number):
    """Decentred subgroups too: all closures of at most four operations, one by one in the vocabulary."""
    members = indices(number)
    found = {frozenset([int(VOCAB.identity[standard_frame(number)])])}
    for _ in range(5):
        for base in list(found):
            for g in members:
                if int(g) not in base:
                    row = np.zeros(VOCAB.size, bool)
                    row[[*base, int(g)]] = True
                    closed = closure(row)
                    found.add(frozenset(np.flatnonzero(closed).tolist()))
    lattice = lattice_below(members)
    assert {frozenset(lattice.operations[m].tolist()) for m in lattice.members} == found
    assert len(lattice) == len(found)


def test_targets_are_closures():
    lattice = lattice_below(indices(139))
    rng = np.random.default_rng(0)
    for state in rng.choice(len(lattice), 20, replace=False):
        for g in rng.choice(len(lattice.operations), 6):
            row = np.zeros(VOCAB.size, bool)
            row[lattice.operations[lattice.members[state]]] = True
            row[lattice.operations[g]] = True
            reached = lattice.of(closure(row)[lattice.operations])
            assert lattice.target[state, g] == (INSIDE if lattice.members[state, g] else reached)


def test_no_group_is_too_large():
    """Every type's closed sets are enumerated in a moment: at most about a thousand of them."""
    assert len(lattice_below(indices(225))) == 1120
    with pytest.raises(InputError, match="must be a group"):
        lattice_below(indices(221)[:-1])
    with pytest.raises(InputError, match="must be a group"):
        lattice_above(indices(221)[:-1], indices(221))


# exact probabilities


@pytest.mark.parametrize("number", [1, 14, 99, 166, 194, 221, 225, 227])
def test_probabilities_sum_to_one(number):
    lattice = lattice_below(indices(number))
    found = walk_distribution(net(), weights().operations, lattice, np.array(BARIUM_TITANATE))
    assert np.isclose(np.exp(found.kept).sum(), 1, atol=1e-9)
    assert np.isclose(np.exp(found.conditioned).sum(), 1, atol=1e-9)
    assert np.exp(found.free).sum() < 1 + 1e-9  # the free walk also ends elsewhere
    assert np.isclose(np.exp(lattice.total(found.kept)).sum(), 1, atol=1e-9)


@pytest.mark.parametrize("number", [10, 16, 47])
def test_sum_over_all_ways_one_by_one(number):
    """The dynamic programme against a plain recursion over every order of operations, closing in the whole vocabulary."""
    members, z = indices(number), np.zeros((1, 20), np.int32)
    z[0, :2] = (22, 8)
    table = states()
    step, stop = (one[0] for one in step_log_probabilities(net(), weights().operations, z))
    ends = {}

    def ways(row):
        """Operations of the group by the class that they lead to."""
        found = {}
        for g in members:
            if not row[g]:
                grown = row.copy()
                grown[g] = True
                found.setdefault(table.of(closure(grown)), []).append(closure(grown))
        return found

    def walk(row, log_p):
        here, found = table.of(row), ways(row)
        columns = {to: int(np.flatnonzero(table.next[here] == to)[0]) for to in found}
        total = np.log(np.exp(stop[here]) + sum(np.exp(step[here, c]) for c in columns.values()))
        ends.setdefault(row.tobytes(), []).append(log_p + stop[here] - total)
        for to, sets in found.items():
            for one in sets:
                walk(one, log_p + step[here, columns[to]] - np.log(len(sets)) - total)

    start = np.zeros(VOCAB.size, bool)
    start[VOCAB.identity[0]] = True
    walk(start, 0.0)
    lattice = lattice_below(members)
    found = walk_distribution(net(), weights().operations, lattice, np.array([22, 8]))
    assert len(ends) == len(lattice)
    for inside, kept in zip(lattice.members, found.kept, strict=True):
        row = np.zeros(VOCAB.size, bool)
        row[lattice.operations[inside]] = True
        assert np.isclose(np.log(np.exp(ends[row.tobytes()]).sum()), kept, atol=1e-6)


def test_free_probabilities_are_those_of_the_classes():
    """What a group has in common with others does not depend on it: P4mm below Pm-3m and below itself."""
    z = np.array(BARIUM_TITANATE)
    above, own = (walk_distribution(net(), weights().operations, lattice_below(indices(n)), z) for n in (221, 99))
    lattice = lattice_below(indices(221))
    rows = [
        i
        for i, m in enumerate(lattice.members)
        if m.sum() == 8
        and states().of(in_vocabulary(lattice, m)) == states().of(np.isin(np.arange(VOCAB.size), indices(99)))
    ]
    assert len(rows) == 3 and np.isclose(np.logaddexp.reduce(above.free[rows]), own.free[-1], atol=1e-9)


@pytest.mark.slow
def test_type_likelihood_slot_by_slot():
    """Species and sites of cubic BaTiO3 and of its P4mm description, one network call at a time; the walk from its own sum."""
    lattice = lattice_below(indices(221))
    atoms = cell_atoms(perovskite(), lattice.operations)
    reductions = [
        reduce(atoms, lattice.members[lattice.of(np.isin(lattice.operations, indices(n)))]) for n in (221, 99)
    ]
    types, _, _ = types_of(reductions)
    found = type_likelihood(net(), weights().operations, types)
    table = jax.tree.map(jnp.asarray, site_table(types.sets))
    params, ops = weights().operations, jax.tree.map(jnp.asarray, operation_inputs())
    next_species = jax.jit(lambda z, at: net().apply(params, z, at, method="species_logits"))
    next_site = jax.jit(
        lambda index, z, pos, at, balance: net().apply(
            params,
            ops,
            table,
            index,
            z=z,
            pos=pos,
            step=at,
            balance=balance,
            method=lambda m, *a, **k: m.sites(*a, **k),
        )
    )
    for row, one in enumerate(reductions):
        z, pos = types.z[row : row + 1], types.pos[row : row + 1]
        count, index = len(one.z), types.set_index[row : row + 1]
        species = sites = 0.0
        for step in range(count + 1):
            at = np.array([step])
            species -= float(species_nll(next_species(z, at), z, at)[0])
            if step < count:
                placed = np.asarray(table.mult)[index[0]][pos] * (np.arange(z.shape[1]) < step)
                logits = next_site(index, z, pos, at, balance_rows(z, placed, at).astype(np.float32))
                sites -= float(site_nll(logits, pos, at)[0])
        assert np.isclose(species, found.species[row], atol=1e-3) and np.isclose(sites, found.sites[row], atol=1e-3)
        number = (221, 99)[row]
        log_p = class_log_probabilities(net(), params, z)[0][states().of_types(np.array([number]))]
        assert np.isclose(np.logaddexp.reduce(log_p), found.walk[row], atol=1e-6)


# the crystal by its subgroups


@pytest.mark.parametrize("make", [perovskite, rocksalt, lambda: perovskite(0.03, 0.02)])
def test_free_parameters_are_those_of_the_structure_type(make):
    """Characters against Wyckoff positions: free coordinates and lattice of H in its own setting, less the polar origin."""
    crystal = make()
    found = VOCAB.indices(make_opset(crystal.W, crystal.w, den=crystal.den), 0)
    lattice = lattice_below(found)
    atoms = cell_atoms(crystal, lattice.operations)
    free = free_parameters(atoms, lattice.members)
    for state in range(0, len(lattice), 1 if len(lattice) < 50 else 9):
        one = reduce(atoms, lattice.members[state])
        table = standard(one.setting.number).table
        polar = round(np.trace(atoms.atoms.W[lattice.members[state]].mean(0)))
        freedom = table.pos_dof[0, one.pos].sum() + round(np.trace(table.k_projector[0]))
        assert free[state] == freedom - polar
        assert one.displacement < 1e-6
        per_cell = abs(np.linalg.det(one.setting.matrix))
        assert one.num_atoms == round(len(atoms.atoms.z) * per_cell)


def test_attainable_subgroups_are_those_a_distortion_reaches():
    """Random H-symmetric distortions of BaTiO3 have exactly the group H just where isotropy theory says so (spglib)."""
    crystal = perovskite()
    lattice = lattice_below(indices(221))
    atoms = cell_atoms(crystal, lattice.operations)
    reachable = attainable(lattice, free_parameters(atoms, lattice.members))
    reductions = [reduce(atoms, members) for members in lattice.members]
    types, k, x = types_of(reductions)
    rng = np.random.default_rng(0)
    basis = np.asarray(types.sets.pos_basis)[types.set_index[:, None], types.pos] * types.orbit_mask[..., None, None]
    x = x + 0.03 * np.einsum("bmij,bmj->bmi", basis, rng.normal(size=x.shape))
    k = k + 0.03 * np.einsum(
        "bij,bj->bi", np.asarray(types.sets.k_projector)[types.set_index], rng.normal(size=k.shape)
    )
    cells = dataset_from_types(types, k, x, properties={}, meta={}).all_atoms()
    numbers = [detected_number(cell, 1e-4, LENGTH_RULE) for cell in cells]
    exactly = np.array([n == r.setting.number for n, r in zip(numbers, reductions, strict=True)])
    assert (exactly == reachable).all() and 0 < reachable.sum() < len(reachable)


# derivatives


@pytest.fixture(scope="module")
def drawn():
    return derivatives(weights(), perovskite(), 12, seed=2, strength=0.3, **QUICK)


@pytest.mark.slow
def test_every_derivative_has_its_subgroup(drawn):
    cells = drawn.dataset.all_atoms()
    rows = [drawn.candidates.rows[i] for i in drawn.chosen]
    for cell, row in zip(cells, rows, strict=True):
        images = np.einsum("nij,aj->nai", cell.W, cell.x) + cell.w[:, None] / cell.den
        delta = images[:, :, None] - cell.x
        delta -= np.rint(delta)
        assert np.abs(delta).max(-1).min(-1).max() < 1e-9  # the atoms
        metric = cell.L @ cell.L.T
        assert np.abs(np.swapaxes(cell.W, -1, -2) @ metric @ cell.W - metric).max() < 1e-9  # the lattice
        assert len(cell.W) == len(standard_setting(row.number).W)
        found = find_symmetry(cell, 0.01)
        assert found.contains and row.status == "open"
    exactly = [detected_number(cell, 1e-3, LENGTH_RULE) == row.number for cell, row in zip(cells, rows, strict=True)]
    assert np.mean(exactly) > 0.9
    assert set(drawn.dataset.formula) == {"BaTiO3"} or all("Ti" in f for f in drawn.dataset.formula)


@pytest.mark.slow
def test_derivatives_stay_near_the_parent(drawn):
    """The smaller the strength the nearer: volume per atom and the shortest distance go back to the parent's."""
    close = derivatives(weights(), perovskite(), 12, seed=2, strength=0.1, **QUICK)
    assert set(close.chosen.tolist()) <= set(drawn.chosen.tolist())  # the groups drawn do not depend on the strength

    def change(found):
        volume = [abs(np.linalg.det(c.L)) / len(c.z) for c in found.dataset.all_atoms()]
        return np.abs(np.array(volume) / (64 / 5) - 1).mean()

    assert change(close) < change(drawn) < 0.3
    # what comes near to another group is left out, however little is changed
    for found in (close, derivatives(weights(), perovskite(), 12, seed=2, strength=0.02, **QUICK)):
        wanted = [found.candidates.rows[i].number for i in found.chosen]
        assert [detected_number(cell, 0.01, LENGTH_RULE) for cell in found.dataset.all_atoms()] == wanted


@pytest.mark.slow
def test_equal_seeds_equal_crystals_and_one_program(drawn):
    sizes = reverse_diffusion._cache_size(), walk_sample._walk_logs._cache_size()
    again = derivatives(weights(), perovskite(), 12, seed=2, strength=0.3, **QUICK)
    np.testing.assert_array_equal(again.dataset.orbit_x, drawn.dataset.orbit_x)
    np.testing.assert_array_equal(again.dataset.k, drawn.dataset.k)
    derivatives(weights(), perovskite(), 12, seed=2, strength=0.17, **QUICK)
    assert (reverse_diffusion._cache_size(), walk_sample._walk_logs._cache_size()) == sizes
    other = derivatives(weights(), perovskite(), 12, seed=3, strength=0.3, **QUICK)
    assert (other.chosen != drawn.chosen).any()


@pytest.mark.parametrize("measure", ["both", "type", "walk"])
def test_candidates_sum_to_one_and_draws_follow(measure):
    found = candidates(weights(), perovskite(), measure=measure)
    p = found.probability
    assert np.isclose(p.sum(), 1, atol=1e-9) and (np.diff(p) <= 1e-15).all()
    assert np.isclose(np.exp([row.log_walk for row in found.rows]).sum(), 1, atol=1e-9)
    assert all((row.status == "open") == (prob > 0) for row, prob in zip(found.rows, p, strict=True))
    [whole] = [row for row in found.rows if row.status == "parent"]
    assert (whole.number, whole.index) == (221, 1)
    n = 20_000
    counts = np.bincount(module.choose(found, n, seed=5), minlength=len(p))
    assert (np.abs(counts - n * p) <= 4 * np.sqrt(n * p * (1 - p)) + 1).all()


def test_parent_may_be_kept():
    found = candidates(weights(), perovskite(), keep_parent=True)
    assert found.measure == "both"
    assert found.rows[0].number == 221
    assert np.isclose(np.log(found.probability[0]), found.log_parent)


def test_a_structure_type_is_counted_once():
    """Iron: several classes of subgroups give one structure type; together they have its probability."""
    iron = AtomicStructure(L=2.87 * np.eye(3), z=np.array([26, 26]), x=np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    found = candidates(weights(), parent_of(iron).crystal)
    parts = {}
    for row in found.rows:
        if row.reduction is not None and row.log_type is not None:
            key = (row.number, row.reduction.z.tobytes(), row.reduction.pos.tobytes())
            parts.setdefault(key, []).append(row)
    assert max(map(len, parts.values())) > 1
    some = list(parts.values())[::3]
    total = type_likelihood(net(), weights().operations, types_of([rows[0].reduction for rows in some])[0]).total
    np.testing.assert_allclose([np.logaddexp.reduce([row.log_type for row in rows]) for rows in some], total, atol=1e-3)


def test_above_a_distorted_perovskite():
    """P4mm BaTiO3, its polar origin anywhere: the model adds the operations of the cubic phase; atoms are averaged."""
    child = perovskite(0.02, 0.01)
    assert len(child.W) == 8
    found = derivatives(weights(), child, 3, direction="above", tolerance=0.2, strain=0.03)
    numbers = [row.number for row in found.candidates.rows if row.status == "open"]
    assert numbers[0] == 221 and set(numbers) == {221, 123}
    cubic = found.candidates.rows[0]
    assert found.candidates.measure == "type"
    assert cubic.index == 6 and 0 < cubic.reduction.displacement < 0.2
    assert all(detected_number(cell, 1e-4) in numbers for cell in found.dataset.all_atoms())
    with pytest.raises(InputError, match="supergroups"):
        derivatives(weights(), child, 1, direction="above", tolerance=0.001, strain=0.0001)


def test_sets_above_hold_the_start():
    start, allowed = indices(99), indices(221)
    lattice = lattice_above(start, allowed)
    assert lattice.members[:, np.isin(lattice.operations, start)].all()
    assert sorted(lattice.members.sum(1)) == [8, 16, 48]
    found = walk_distribution(net(), weights().operations, lattice, np.array(BARIUM_TITANATE))
    assert np.isclose(np.exp(found.kept).sum(), 1)
    part = lattice_above(start, allowed[:-1])  # an operation whose inverse or closure is missing is not added
    assert len(part) < 3 and (part.target[0] != INSIDE).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num": 0}, "at least 1"),
        ({"direction": "sideways"}, "direction"),
        ({"measure": "weight"}, "measure"),
        ({"strength": 0.0}, "strength"),
        ({"strength": 1.5}, "strength"),
    ],
)
def test_wrong_options_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        derivatives(weights(), perovskite(), **{"num": 1, **arguments})


def test_parents_that_cannot_be():
    crystal = perovskite()
    moved = dataclasses.replace(
        crystal, w=np.mod(crystal.w + np.rint((crystal.W - np.eye(3)) @ [5, 7, 1]).astype(int), 24)
    )
    with pytest.raises(InputError, match="standard setting"):
        candidates(weights(), moved)
    many = {name: np.repeat(getattr(crystal, name), 8, 0) for name in ("z", "x", "stab")}
    with pytest.raises(InputError, match="at most 20"):
        candidates(weights(), dataclasses.replace(crystal, **many))
    cell = np.array([[4, 0, 0], [0.5, 5, 0], [0.7, 0.9, 6]])
    lone = AtomicStructure(L=cell, z=np.array([3, 8, 17]), x=np.eye(3) * [0.1, 0.3, 0.4])
    with pytest.raises(InputError, match="no subgroup"):
        candidates(weights(), parent_of(lone).crystal)
    shifted = dataclasses.replace(crystal, x=crystal.x + [0.01, 0.0, 0.0])
    with pytest.raises(InputError, match="does not have operation"):
        candidates(weights(), shifted)


# the command


@pytest.fixture
def cif(tmp_path):
    write_cif(tmp_path / "parent.cif", perovskite())
    return tmp_path / "parent.cif"


def test_command_writes_a_folder_and_a_table(cif, tmp_path, capsys):
    out = tmp_path / "out"
    same_shapes = [
        "--num",
        "12",
        "--steps",
        "6",
        "--seed",
        "2",
        "--min-ratio",
        "0",
    ]  # as above, so nothing is compiled anew
    code = main(["generate", "--parent", str(cif), "--out", str(out), "--no-picture", *same_shapes])
    text = capsys.readouterr().out
    assert code == 0 and "subgroups of Pm-3m (221)" in text and "found exactly" in text
    index = json.loads((out / "index.json").read_text())
    assert index["parent"]["group"]["number"] == 221 and 0 < index["parent"]["share_of_its_own_group"] < 1
    rows = index["subgroups"]
    assert np.isclose(sum(row["probability"] for row in rows), 1) and sum(row["drawn"] for row in rows) == 12
    for entry in index["crystals"]:
        row = rows[entry["subgroup"]]
        assert (entry["group"]["number"], entry["index_in_parent"]) == (row["number"], row["index"])
        assert np.isclose(np.exp(entry["log_probability"]), row["probability"], rtol=1e-4)
        assert np.isclose(entry["log_likelihood"], row["log_type"], atol=1e-5)
        assert abs(np.linalg.det(row["basis"])) > 0 and (out / entry["file"]).is_file()
        assert entry["group_found_in_atoms"]["has_all_operations"]


def test_command_above(tmp_path, capsys):
    write_cif(tmp_path / "child.cif", perovskite(0.02, 0.01))
    arguments = [
        "--direction",
        "above",
        "--tolerance",
        "0.2",
        "--num",
        "1",
        "--out",
        str(tmp_path / "out"),
        "--no-picture",
    ]
    assert main(["generate", "--parent", str(tmp_path / "child.cif"), *arguments]) == 0
    assert "supergroups of P4mm (99)" in capsys.readouterr().out
    [entry] = json.loads((tmp_path / "out" / "index.json").read_text())["crystals"]
    assert entry["group_found_in_atoms"]["number"] == entry["group"]["number"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--direction", "below"], "needs --parent"),
        (["--keep-parent"], "needs --parent"),
        (["--parent", "parent.cif", "--formula", "SrTiO3"], "--formula does not go with --parent"),
        (["--parent", "parent.cif", "--polar"], "--polar does not go with --parent"),
        (["--parent", "parent.cif", "--strength", "2"], "strength"),
        (["--parent", "parent.cif", "--tolerance", "0.2"], "above"),
        (["--parent", "parent.cif", "--direction", "above", "--strain", "80"], "strain"),
        (["--parent", "parent.cif", "--direction", "above"], "nearly has no further operations"),
        (["--parent", "parent.cif", "--max-cell", "5"], "1 to 4 times"),
        (
            ["--parent", "parent.cif", "--max-cell", "2", "--measure", "walk"],
            "belongs to --direction below and --measure type",
        ),
        (["--parent", "parent.cif", "--operations", "flow"], "--operations has no meaning with --parent"),
        (["--parent", "parent.cif", "--trace"], "--trace has no meaning with --parent"),
        (["--parent", "nothing.cif"], "nothing.cif"),
        (["--parent", "parent.cif", "--symprec", "-1"], "symprec"),
    ],
)
def test_command_refuses(arguments, words, cif, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "--num", "2", "--out", "out", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error and not (tmp_path / "out").exists()
