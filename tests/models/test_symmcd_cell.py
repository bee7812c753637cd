"""The unit-cell variant of SymmCD: all atoms as pymatgen has them, buckets with bounded pairs, sampling in P1, the command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.symmcd import get_config
from symjax.cli.main import main
from symjax.errors import ConfigError, InputError
from symjax.generate.request import Request
from symjax.models.symmcd.cell import represent_cells
from symjax.models.symmcd.representation import represent
from symjax.models.symmcd.task import SymmcdTask, options_from_config
from symjax.models.symmcd.weights import load_weights
from symjax.systems import generate
from symjax.train.weights import save_params

pytestmark = pytest.mark.slow  # two minutes for a variant of which no weights ship

SIZES = {
    "model.symmcd.width": 16,
    "model.symmcd.num_layers": 1,
    "model.symmcd.num_frequencies": 2,
    "model.symmcd.latent": 8,
    "model.symmcd.group_hidden": 8,
    "model.symmcd.buckets": (4, 8),
    "model.symmcd.max_pairs": 256,
    "train.batch_size": 12,
}
FEW = {"steps": 4, "batch_size": 8}


@pytest.fixture(scope="module")
def task(prototype_dataset):
    config = get_config("tiny,atoms=cell")
    config.update_from_flattened_dict(SIZES)
    return SymmcdTask(config, prototype_dataset, None), config


@pytest.fixture(scope="module")
def folder(task, tmp_path_factory):
    """Untrained weights of a very small network, as training writes them."""
    made, config = task
    params = jax.jit(made.init)(jax.random.key(0), jax.tree.map(lambda a: a[:2], made.buckets()[0].arrays))
    return save_params(tmp_path_factory.mktemp("weights") / "cell", params, config)


def test_atoms_are_those_of_the_expanded_crystals(prototype_dataset):
    data = prototype_dataset.subset(range(0, 200, 9))
    heavy = np.isin(np.arange(len(data)), data.orbit_crystal[data.orbit_z > 94])
    data = data.subset(np.flatnonzero(~heavy))
    cells, orbits = represent_cells(data), represent(data)
    np.testing.assert_array_equal(cells.num_orbits, data.num_atoms)
    np.testing.assert_array_equal(cells.number, orbits.number)
    np.testing.assert_array_equal(cells.k, orbits.k)
    for i in range(len(data)):
        atoms = data.crystal(i).atoms()
        real = cells.mask[i]
        apart = cells.x[i][real][:, None] - np.asarray(atoms.x)
        near = (np.abs(apart - np.round(apart)).max(-1) < 1e-6) & (cells.z[i][real][:, None] == np.asarray(atoms.z))
        assert (near.sum(0) == 1).all() and (near.sum(1) == 1).all()
    with pytest.raises(InputError, match="slots"):
        represent_cells(data, num_atoms=2)


@pytest.mark.slow
def test_task_trains_on_atoms_in_bounded_batches(task, prototype_dataset):
    made, _ = task
    four, eight = made.buckets()
    assert four.arrays.mask.shape[1:] == (4,) and eight.arrays.mask.shape[1:] == (8,)
    assert (four.batch_size, eight.batch_size) == (12, 256 // 64)
    fits = prototype_dataset.num_atoms <= 8
    fits[prototype_dataset.orbit_crystal[prototype_dataset.orbit_z > 94]] = False
    assert len(four.arrays.number) + len(eight.arrays.number) == fits.sum()
    assert four.weight + eight.weight == pytest.approx(1.0)
    batch = jax.tree.map(lambda a: jnp.asarray(a[:4]), eight.arrays)
    params = made.init(jax.random.key(0), batch)
    assert not {"kinds", "sites", "head_axes", "head_kinds"} & set(params["net"]["params"])
    value = jax.value_and_grad(lambda p: made.loss(p, batch, jax.random.key(1), True), has_aux=True)
    (loss, parts), gradient = jax.jit(value)(params)
    assert np.isfinite(loss) and set(parts) == {"lattice", "coordinates", "types"}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient["net"]))


@pytest.mark.slow
def test_crystals_come_in_p1_with_the_group_asked_for_beside(folder):
    weights = load_weights(folder)
    assert weights.options.unit_cell
    request = Request(groups=(225, 216), elements=("Na", "Cl"))
    made = [generate("symmcd", 6, weights=weights, seed=5, request=request, **FEW) for _ in range(2)]
    data = made[0].dataset
    assert data.data_hash() == made[1].dataset.data_hash()
    assert (data.num_ops == 1).all() and set(data.orbit_z) == {11, 17}
    assert set(data.properties["requested_group"]) <= {225, 216} and "moved" not in data.properties
    edges = np.linalg.norm(data.lattices(), axis=-1)
    np.testing.assert_allclose(edges, edges[:, :1].repeat(3, 1), rtol=1e-6)  # the lattice keeps to the family
    counts = weights.counts
    for number, atoms in zip(data.properties["requested_group"].astype(int), data.num_atoms, strict=True):
        assert counts.orbits[number, atoms] > 0
    with pytest.raises(InputError, match="draws atoms, not orbits"):
        generate("symmcd", 2, weights=weights, request=Request(orbits=2), **FEW)


def test_command_with_unit_cell_weights(folder, tmp_path, capsys):
    options = [
        "--model",
        "symmcd",
        "--weights",
        str(folder),
        "--num",
        "3",
        "--steps",
        "4",
        "--min-ratio",
        "0",
        "--no-picture",
    ]
    assert main(["generate", *options, "--space-group", "225", "--out", str(tmp_path / "cells")]) == 0
    assert "only a condition" in capsys.readouterr().out
    index = json.loads((tmp_path / "cells" / "index.json").read_text())
    assert [entry["requested_group"] for entry in index["crystals"]] == [225] * 3
    assert [entry["group"]["number"] for entry in index["crystals"]] == [1] * 3
    assert main(["generate", *options, "--orbits", "2", "--out", str(tmp_path / "none")]) == 2
    assert "draws atoms, not orbits" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_configuration_names_the_variant():
    for size in ("tiny", "small", "paper"):
        options = options_from_config(get_config(f"{size},atoms=cell").model.symmcd)
        assert options.unit_cell and options.max_pairs >= options.buckets[-1] ** 2
    assert not options_from_config(get_config("small").model.symmcd).unit_cell
    with pytest.raises(ConfigError, match="atoms"):
        get_config("small,atoms=primitive")
    section = get_config("tiny,atoms=cell").model.symmcd.copy_and_resolve_references()
    section.max_pairs = -1
    with pytest.raises(ConfigError, match="max_pairs"):
        options_from_config(section)
