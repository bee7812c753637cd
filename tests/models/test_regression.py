"""Regression on graphs of orbits: edges against pymatgen, one node an orbit against one node an atom, the published asymmetric
unit, padding, targets, training and the printed table."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.formation_energy import BUCKETS, get_config
from experiments import formation_energy as experiment
from symjax import systems as registry
from symjax.data.dataset import CrystalDataset
from symjax.errors import ConfigError, DataError
from symjax.groups.tables import standard_setting
from symjax.lattice import log_from_lattice
from symjax.models.regression.graphs import GraphOptions, Graphs, build_graphs, neighbours
from symjax.models.regression.network import SchNet
from symjax.models.regression.task import (
    RegressionTask,
    options_from_config,
    padded,
    predict,
    predict_dataset,
    targets_of,
)
from symjax.train.config import apply
from symjax.wyckoff.representatives import move
from symjax.wyckoff.set_table import build_set_table

FULL = GraphOptions("multigraph", cutoff=5.0, num_neighbours=20)
UNIT = GraphOptions("asymmetric", cutoff=5.0, num_neighbours=20)
NAME = "formation_energy_per_atom"


def tiny(**variant):
    argument = ",".join(["tiny", *(f"{k}={v}" for k, v in variant.items())])
    return apply(get_config(argument), {"train.steps": 40, "train.batch_size": 16, "model.regression.width": 16})


@pytest.fixture(scope="module")
def crystals(prototype_dataset):
    """Forty prototypes with invented energies: minus the share of oxygen and a little of the density."""
    data = prototype_dataset
    light = np.ones(len(data), bool)
    light[data.orbit_crystal[data.orbit_z > 94]] = False
    data = data.subset(np.flatnonzero(light & (data.num_atoms <= 24) & (data.num_orbits <= 5))[:40])
    mult = data.sets.pos_mult[data.orbit_set, data.orbit_pos]
    z = np.bincount(data.orbit_crystal, weights=mult * data.orbit_z) / data.num_atoms
    return dataclasses.replace(data, properties={NAME: -z / 20.0 + 0.1 * np.sin(z)})


def as_p1(data, basis):
    """The same crystals with every atom an orbit of its own, in the cell `basis @ lattice` (of determinant one)."""
    z, x, start, k = [], [], [0], []
    for i, lattice in enumerate(data.lattices()):
        for orbit in range(data.orbit_start[i], data.orbit_start[i + 1]):
            images = data.sets.pos_images[data.set_index[i], data.orbit_pos[orbit]]
            images = images[images >= 0]
            index = np.full(len(images), data.set_index[i])
            points = move(data.sets, index, images, np.repeat(data.orbit_x[orbit][None], len(images), 0))
            x.append(np.mod(points @ np.linalg.inv(basis), 1.0))
            z += [int(data.orbit_z[orbit])] * len(images)
        start.append(len(z))
        k.append(log_from_lattice(basis @ lattice, 0))
    num = len(data)
    return CrystalDataset(
        sets=build_set_table([standard_setting(1)]),
        set_index=np.zeros(num, np.int32),
        k=np.array(k),
        orbit_start=np.array(start),
        orbit_z=np.array(z, np.int16),
        orbit_pos=np.zeros(len(z), np.int16),
        orbit_x=np.concatenate(x),
        ids=data.ids,
        formula=data.formula,
        row=data.row,
        properties=data.properties,
    )


def test_edges_are_those_of_pymatgen():
    """A skewed cell: every neighbour within the cutoff, with its count."""
    from pymatgen.core import Lattice, Structure

    lattice = Lattice.from_parameters(3.1, 4.0, 6.5, 65, 100, 50)
    atoms = np.array([[0.1, 0.2, 0.3], [0.7, 0.1, 0.9], [0.45, 0.6, 0.2]])
    structure = Structure(lattice, ["Na", "Cl", "O"], atoms)
    options = GraphOptions("multigraph", cutoff=6.0, num_neighbours=10_000)
    edges = neighbours(lattice.matrix, atoms, atoms, np.array([0, 1, 1]), options=options)
    counts = edges.weight / (1 - (edges.distance / 6.0) ** 4) ** 2
    assert np.abs(counts - np.rint(counts)).max() < 1e-6
    for i, site in enumerate(structure):
        found = structure.get_neighbors(site, 6.0)
        for node, members in enumerate(((0,), (1, 2))):
            want = np.sort([n.nn_distance for n in found if n.index in members])
            mine = (edges.receiver == i) & (edges.sender == node)
            have = np.repeat(edges.distance[mine], np.rint(counts[mine]).astype(int))
            assert have == pytest.approx(want, abs=1e-4)


def test_no_jump_when_a_neighbour_comes_or_goes():
    """Weights go to zero at the cutoff, and at the last neighbour kept."""
    lattice = np.diag([30.0, 30.0, 30.0])

    def weights(*distances, num):
        points = np.array([[0, 0, 0], *([d / 30.0, 0, 0] for d in distances)])
        owner = np.arange(len(points))
        edges = neighbours(lattice, points[:1], points, owner, options=GraphOptions("multigraph", 5.0, num))
        return dict(zip(edges.sender.tolist(), edges.weight.tolist()))

    assert weights(2.0, 4.999, num=9)[2] < 1e-5
    assert set(weights(2.0, 5.001, num=9)) == {1}
    near, far = weights(2.0, 3.0, 3.001, num=3), weights(2.0, 3.0, 3.0, num=3)
    assert near[1] == pytest.approx(far[1], rel=1e-2)
    assert near[2] < 1e-5 and set(far) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("basis", [np.eye(3), [[1, 1, 0], [0, 1, 0], [0, -1, 1]]], ids=["same cell", "another cell"])
def test_one_node_an_orbit_gives_what_one_node_an_atom_gives(crystals, basis):
    """The reduction to orbits is exact, and neither the cell nor the choice of representatives matters."""
    part = crystals.subset(np.flatnonzero(crystals.num_atoms <= 12)[:12])
    whole = as_p1(part, np.array(basis, float))
    graphs = [build_graphs(data, FULL) for data in (part, whole)]
    small, large = (g.pad(np.arange(len(part)), int(g.num_orbits.max()), int(g.num_edges.max())) for g in graphs)
    assert small.z.shape[1] < large.z.shape[1] and np.allclose(large.share.sum(1), 1)
    net = SchNet(options_from_config(tiny(sites="without").model.regression).network)
    params = jax.jit(net.init)(jax.random.key(0), small)
    one, other = (np.asarray(jax.jit(net.apply)(params, g)) for g in (small, large))
    assert np.ptp(one) > 1e-2
    assert one == pytest.approx(other, abs=2e-5)


@pytest.mark.slow
def test_asymmetric_unit_is_the_published_one(crystals):
    """All ordered pairs as they lie in the cell, plain mean; crystals with one orbit keep their multigraph."""
    unit, full = build_graphs(crystals, UNIT), build_graphs(crystals, FULL)
    seen = set()
    for i, m in enumerate(crystals.num_orbits):
        e, x = unit.edges[i], unit.nodes.x[i]
        assert unit.share[i, :m] == pytest.approx(1 / m)
        if m == 1:
            assert all(np.array_equal(a, b) for a, b in zip(e, full.edges[i])) and len(e.sender)
        else:
            assert sorted(zip(e.receiver, e.sender)) == [(a, b) for a in range(m) for b in range(m) if a != b]
            want = np.linalg.norm((x[e.sender] - x[e.receiver]) @ crystals.lattices()[i], axis=1)
            assert e.distance == pytest.approx(want) and (e.weight == 1).all()
        seen.add(min(int(m), 2))
    assert seen == {1, 2}


@pytest.mark.slow
def test_padding_and_site_symmetries(crystals):
    graphs = build_graphs(crystals, FULL)
    rows = np.arange(8)
    small = graphs.pad(rows, 5, 19)
    large = graphs.pad(rows, 9, 24)
    outputs = {}
    for sites in ("with", "without"):
        options = options_from_config(tiny(sites=sites).model.regression)
        net = SchNet(options.network)
        params, apply_net = jax.jit(net.init)(jax.random.key(0), small), jax.jit(net.apply)
        assert ("sites" in params["params"]) == (sites == "with")
        one, other = (np.asarray(apply_net(params, g)) for g in (small, large))
        assert one == pytest.approx(other, abs=1e-5)
        outputs[sites] = np.abs(np.asarray(apply_net(params, small._replace(site=np.zeros_like(small.site)))) - one)
    assert (outputs["with"] > 1e-6).any() and (outputs["without"] == 0).all()


@pytest.mark.slow
def test_training_learns_and_predicts(crystals, tmp_path):
    """The loop fits the invented energies far better than their mean; exported weights predict what the run did."""
    from symjax.train.loop import Trainer
    from symjax.train.weights import load_params

    config = tiny()
    changes = {
        "train.steps": 150,
        "train.learning_rate": 5e-3,
        "model.regression.buckets": ((5, 20),),
        "train.ema": 0.9,
    }
    apply(config, changes)
    task = registry.entry("regression").build(config, crystals, crystals)
    assert isinstance(task, RegressionTask) and len(task.buckets()) == 1
    result = Trainer(task, config, tmp_path).run()
    assert (
        result.metrics["val/mae"] < 0.25 * np.abs(crystals.properties[NAME] - crystals.properties[NAME].mean()).mean()
    )
    params, stored = load_params(result.weights)
    mine = predict_dataset(params, stored, crystals, batch_size=16)
    assert np.abs(mine - crystals.properties[NAME]).mean() == pytest.approx(result.metrics["val/mae"], rel=0.1)
    [(rows, graphs)] = padded(crystals, task.options)
    direct = jax.jit(lambda g: predict(params, task.options, g))(graphs)
    assert mine[rows] == pytest.approx(np.asarray(direct), abs=1e-5)
    apply(stored := tiny(), {"model.regression.buckets": ((1, 20),)})
    few = predict_dataset(params, stored, crystals)
    assert np.isnan(few[crystals.num_orbits > 1]).all()
    assert few[crystals.num_orbits == 1] == pytest.approx(mine[crystals.num_orbits == 1], abs=1e-5)


@pytest.mark.slow
def test_what_has_no_value_or_does_not_fit_is_left_out(crystals, caplog):
    values = crystals.properties[NAME].copy()
    values[[0, 3]] = np.nan
    config = tiny()
    apply(config, {"model.regression.buckets": ((2, 20),)})
    with caplog.at_level(logging.WARNING):
        task = RegressionTask(config, dataclasses.replace(crystals, properties={NAME: values}), None)
    kept = np.isfinite(values) & (crystals.num_orbits <= 2)
    assert f"{(~kept).sum()} of 40 training crystals are left out" in caplog.text
    [bucket] = task.buckets()
    assert sorted(bucket.arrays[1]) == pytest.approx(sorted(values[kept]), rel=1e-6)
    graphs = Graphs(*(jnp.asarray(v[:2]) for v in bucket.arrays[0]))
    stats = jax.jit(task.init)(jax.random.key(0), (graphs, None))["stats"]
    assert float(stats["mean"]) == pytest.approx(values[kept].mean(), rel=1e-5)


@pytest.mark.slow
def test_bad_data_and_configurations(crystals):
    with pytest.raises(DataError, match=f"no property '{NAME}'.*band_gap"):
        targets_of(dataclasses.replace(crystals, properties={"band_gap": np.zeros(40)}), NAME, "training")
    with pytest.raises(DataError, match="no value"):
        targets_of(dataclasses.replace(crystals, properties={NAME: np.full(40, np.nan)}), NAME, "test")
    with pytest.raises(DataError, match="no training crystal fits"):
        RegressionTask(
            apply(tiny(), {"model.regression.buckets": ((1, 1),)}), crystals.subset(crystals.num_orbits > 1), None
        )
    for field, value in (
        ("graph", "crystalnn"),
        ("cutoff", 0.0),
        ("num_neighbours", 1),
        ("width", 1),
        ("num_layers", -1),
        ("buckets", ()),
    ):
        with pytest.raises(ConfigError, match=r"config\.model\.regression"):
            options_from_config(apply(tiny(), {f"model.regression.{field}": value}).model.regression)
    with pytest.raises(ConfigError, match="graph='all'"):
        get_config("graph=all")
    assert get_config("graph=asymmetric").model.regression.buckets == BUCKETS["asymmetric"]


def test_table_has_published_and_measured_rows():
    runs = [
        {
            "graph": graph,
            "sites": sites,
            "seed": 0,
            "size": "small",
            "test_mae": mae,
            "test_error": 0.001,
            "test_num": 7342,
            "test_left_out": 0,
            "val_mae": None,
            "mean_mae": 0.8,
            "train_num": 10796,
            "steps": 3000,
            "batch_size": 64,
            "parameters": 1,
            "edges": 40.0,
            "seconds": None if sites == "with" else 100.0,
            "device": "1 x cpu",
        }
        for graph, sites, mae in (
            ("multigraph", "with", 0.111),
            ("multigraph", "without", 0.122),
            ("asymmetric", "with", 0.133),
            ("asymmetric", "without", 0.144),
        )
    ]
    text = experiment.table_text(runs, "made up")
    rows = [line.split() for line in text.splitlines() if "site symmetry" in line and line.startswith("with")]
    assert [[cell for cell in row if cell.startswith("0.")] for row in rows] == [
        ["0.0214", "0.0711"],
        ["0.0212", "0.049"],
        ["0.122", "0.144"],
        ["0.111", "0.133"],
    ]
    assert "SchNet" in text and text.count("100 s of training") == 2


@pytest.mark.slow
def test_wrong_input_is_one_line(crystals, tmp_path, capsys):
    good, bare = tmp_path / "good.npz", tmp_path / "bare.npz"
    crystals.save(good)
    dataclasses.replace(crystals, properties={}).save(bare)
    common = ["--workdir", str(tmp_path / "runs"), "--train", str(good)]
    for rest, word in (
        (["--test", str(bare)], "no property"),
        (["--test", str(tmp_path / "none.npz")], "none.npz"),
        (["--test", str(good), "--steps", "0"], "--steps"),
        (["--test", str(good), "--seeds", "1", "1"], "--seeds"),
    ):
        assert experiment.main([*common, *rest]) == 2
        out, err = capsys.readouterr()
        assert word in err and err.count("\n") == 1 and not out


@pytest.mark.slow
def test_all_four_variants_run(crystals, tmp_path, capsys):
    """The whole experiment at tiny size; a second call trains nothing again and prints the same table."""
    path = tmp_path / "crystals.npz"
    crystals.save(path)
    argv = ["--train", str(path), "--val", str(path), "--test", str(path), "--workdir", str(tmp_path / "runs")]
    argv += ["--size", "tiny", "--steps", "12", "--json", str(tmp_path / "runs.json")]
    assert experiment.main(argv) == 0
    first = capsys.readouterr().out
    assert len([line for line in first.splitlines() if "measured" in line and line.startswith("with")]) == 2
    assert experiment.main(argv) == 0
    cut = lambda text: [line for line in text.splitlines() if not line.startswith("[")]
    assert cut(capsys.readouterr().out) == cut(first)
