"""Stage 3 of symop on random structure types: what holds by construction, with untrained weights."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from symjax.data.structure_types import StructureTypes, dataset_from_types
from symjax.errors import InputError, WeightsError
from symjax.evaluate.distances import shortest
from symjax.evaluate.symmetry import find_symmetry
from symjax.groups.tables import standard_setting
from symjax.lattice import compatibility_defect, lattice_from_log, metric
from symjax.models.symop.geometry import network
from symjax.models.symop.geometry.inputs import GeometryTargets, build_inputs, free_coordinates, search_offsets
from symjax.models.symop.geometry.sample import GeometrySampling, reverse_diffusion, sample_geometry
from symjax.models.symop.geometry.task import diffusion_loss, fit_statistics
from symjax.models.symop.weights import load_weights
from symjax.train.weights import load_params, save_params, shipped_weights
from symjax.wyckoff.set_table import build_set_table

OPTIONS = network.GeometryOptions(
    irreps="8x0e + 4x1o + 2x2e",
    message_irreps="6x0e + 4x1o + 2x2e",
    lmax=2,
    num_layers=1,
    radial_hidden=8,
    num_neighbours=12,
    sigma_min=0.003,
    sigma_max=0.7,
    lattice_power=1.5,
    lattice_weight=1.0,
    buckets=((4, 24), (4, 96)),
)
SAMPLER = GeometrySampling(num_steps=4)  # the same everywhere: a program each
denoise = jax.jit(network.denoise, static_argnums=1)
NUMBERS = (1, 2, 14, 36, 62, 99, 123, 148, 160, 166, 186, 194, 198, 216, 221)


def random_types(seed=0, max_atoms=96):
    """One structure type per group in NUMBERS: up to three orbits on random positions."""
    rng = np.random.default_rng(seed)
    table = build_set_table([standard_setting(n) for n in NUMBERS])
    z, pos = np.zeros((len(NUMBERS), 4), np.int32), np.zeros((len(NUMBERS), 4), np.int32)
    for i in range(len(NUMBERS)):
        places, total = np.nonzero(table.pos_mask[i])[0], 0
        for slot in range(3):
            choice = rng.choice(places)
            if total + table.pos_mult[i, choice] > max_atoms or (slot and table.pos_dof[i, choice] == 0):
                continue
            z[i, slot], pos[i, slot] = rng.integers(3, 60), choice
            total += table.pos_mult[i, choice]
    order = np.argsort(z == 0, axis=1, kind="stable")
    return StructureTypes(
        table, np.arange(len(NUMBERS)), np.take_along_axis(z, order, 1), np.take_along_axis(pos, order, 1)
    )


@pytest.fixture(scope="module")
def scene():
    types = random_types()
    inputs = build_inputs(types, 96)
    stats = network.Statistics(
        jnp.full(network.NUM_ELEMENTS, jnp.log(18.0)), jnp.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.1], jnp.float32)
    )
    params = jax.jit(network.init_params, static_argnums=1)(jax.random.key(0), OPTIONS, inputs, stats)
    return types, inputs, params


def noisy(inputs, seed=1):
    key = jax.random.key(seed)
    k = jnp.einsum("bij,bj->bi", inputs.k_projector, jax.random.normal(key, inputs.k_projector.shape[:2]))
    used = jnp.abs(inputs.basis).sum(-2) > 0
    return k, jax.random.uniform(jax.random.fold_in(key, 1), inputs.z.shape + (3,)) * used


def test_network_output_is_invariant_before_any_projection(scene, monkeypatch):
    """Space-group equivariance: the raw vector of a representative is fixed by its stabilizer.

    Holds to 2e-3 of the largest entry in float32 where the images searched are an invariant set (compact cells, as here).
    """
    types, inputs, params = scene
    k, u = noisy(inputs)
    k = k * 0.3
    monkeypatch.setattr(network, "project_free", lambda inputs, vector: vector)
    raw_denoise = jax.jit(lambda *arguments: network.denoise(params, OPTIONS, *arguments))
    _, raw = raw_denoise(inputs, k, u, jnp.full(len(k), 0.4))
    monkeypatch.undo()
    kept = network.project_free(inputs, raw)
    size = jnp.abs(raw).max(axis=(1, 2))
    error = jnp.where(inputs.orbit_mask[..., None], jnp.abs(raw - kept), 0).max(axis=(1, 2))
    freedom = np.asarray(types.sets.pos_dof)[types.set_index[:, None], types.pos]
    assert (
        np.where(np.asarray(inputs.orbit_mask), freedom, 3) < 3
    ).sum() >= 8  # enough special positions to say something
    np.testing.assert_array_less(error, 2e-3 * size + 1e-5)


def test_outputs_stay_in_what_the_operations_leave_free(scene):
    _, inputs, params = scene
    k, u = noisy(inputs)
    v, score = denoise(params, OPTIONS, inputs, k, u, jnp.full(len(k), 0.4))
    np.testing.assert_allclose(jnp.einsum("bij,bj->bi", inputs.k_projector, v), v, atol=1e-5)
    assert float(jnp.abs(score).max()) > 1e-4
    fixed = np.asarray(inputs.basis == 0).all(axis=(2, 3))
    np.testing.assert_allclose(np.asarray(score)[fixed], 0.0, atol=1e-7)


@pytest.mark.slow
def test_padding_changes_nothing(scene):
    types, _, params = scene
    small = np.nonzero(types.num_atoms() <= 24)[0]
    k, u = noisy(build_inputs(types.take(small), 96))
    results = []
    for orbits, atoms in ((4, 24), (7, 64)):
        inputs = build_inputs(types.take(small, orbits), atoms)
        padded = jnp.pad(u, ((0, 0), (0, orbits - 4), (0, 0)))
        results.append(denoise(params, OPTIONS, inputs, k, padded, jnp.full(len(k), 0.7)))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=2e-5)
    np.testing.assert_allclose(results[0][1], results[1][1][:, :4], atol=2e-5)


def test_generated_lattices_and_orbits_are_compatible(scene):
    types, _, params = scene
    k, x = sample_geometry(params, OPTIONS, jax.random.key(3), types, sampler=SAMPLER, batch_size=16)
    for i, index in enumerate(types.set_index):
        table, mask = types.sets, types.sets.mask[index]
        W, w = table.W[index][mask], table.w[index][mask] / 24.0
        lattice = lattice_from_log(k[i], int(table.frame[index]))
        G = np.asarray(metric(lattice))
        assert float(np.max(compatibility_defect(W, np.ones(len(W), bool), G))) < 1e-9 * np.abs(G).max()
        for orbit in np.nonzero(types.orbit_mask[i])[0]:
            images = x[i, orbit] @ np.swapaxes(W, -1, -2) + w
            wrapped = np.round(np.mod(images + 1e-7, 1.0), 5) % 1.0
            assert len(np.unique(wrapped, axis=0)) == table.pos_mult[index, types.pos[i, orbit]]
    drawn = dataset_from_types(types, k, x, properties={}, meta={})
    cells = drawn.all_atoms()
    apart = [cell for cell in cells if shortest(cell).distance > 0.3]
    assert all(find_symmetry(cell).contains for cell in apart)  # spglib, 0.01 angstrom
    assert len(apart) > len(cells) // 2


def test_sampling_is_deterministic_and_compiles_once_per_bucket(scene):
    types, _, params = scene
    first = sample_geometry(params, OPTIONS, jax.random.key(5), types, sampler=SAMPLER, batch_size=16)
    compiled = reverse_diffusion._cache_size()
    second = sample_geometry(params, OPTIONS, jax.random.key(5), types, sampler=SAMPLER, batch_size=16)
    other = sample_geometry(params, OPTIONS, jax.random.key(6), types, sampler=SAMPLER, batch_size=16)
    assert reverse_diffusion._cache_size() == compiled
    # other numbers of rows of a bucket are padded to one batch, compiled once
    large, sizes = np.nonzero(types.num_atoms() > 24)[0], []
    for num in (2, 3, 4):
        sample_geometry(params, OPTIONS, jax.random.key(5), types.take(large[:num]), sampler=SAMPLER, batch_size=16)
        sizes.append(reverse_diffusion._cache_size())
    assert len(large) >= 4 and len(set(sizes)) == 1 and sizes[0] <= compiled + 1
    assert np.isfinite(first[0]).all() and np.isfinite(first[1]).all()
    np.testing.assert_array_equal(first[1], second[1])
    assert np.abs(first[1] - other[1]).max() > 1e-3


@pytest.mark.slow
def test_loss_is_finite_and_has_gradients_everywhere(scene):
    _, inputs, params = scene
    k, u = noisy(inputs)
    targets = GeometryTargets(k=network.mean_coefficients(params["stats"], inputs) + 0.1 * k, u=u)
    gradient = jax.jit(jax.value_and_grad(diffusion_loss, has_aux=True), static_argnums=1)
    (loss, parts), grads = gradient(params, OPTIONS, inputs, targets, jax.random.key(0))
    assert np.isfinite(loss) and 0.2 < float(parts["coordinates"]) < 3.0 and 0.2 < float(parts["lattice"]) < 5.0
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    assert not any(np.abs(g).max() > 0 for g in jax.tree.leaves(grads["stats"]))


def test_free_coordinates_round_trip(scene):
    _, inputs, _ = scene
    _, u = noisy(inputs)
    x = np.asarray(inputs.x0 + jnp.einsum("bmij,bmj->bmi", inputs.basis, u), np.float64)
    back = free_coordinates(inputs, x)
    np.testing.assert_allclose(back - u - np.round(back - u), 0.0, atol=1e-5)


def test_the_volume_regression_recovers_known_volumes(scene):
    _, inputs, params = scene
    true = jax.random.uniform(jax.random.key(0), (network.NUM_ELEMENTS,), minval=2.0, maxval=3.5)
    stats = {"volume": true, "scale": params["stats"]["scale"]}
    repeated = jax.tree.map(lambda a: np.repeat(np.asarray(a), 20, axis=0), inputs)
    targets = GeometryTargets(k=np.asarray(network.mean_coefficients(stats, repeated)), u=np.zeros(1))
    fitted = fit_statistics([repeated], [targets], ridge=1e-4)
    again = network.mean_coefficients({"volume": fitted.volume, "scale": fitted.scale}, inputs)
    np.testing.assert_allclose(again, targets.k[::20], atol=2e-2)


def test_bad_input_is_named():
    types = random_types()
    with pytest.raises(InputError, match="do not fit the bucket of 4 atoms"):
        build_inputs(types, 4)
    with pytest.raises(InputError, match="num_steps"):
        GeometrySampling(num_steps=0)
    assert (search_offsets(8)[0] == 0).all() and len(search_offsets(48)) == 27


@pytest.mark.parametrize("part, size", [("geometry", "radial_hidden"), ("operations", "walk_dim")])
def test_weights_of_another_form_are_said(tmp_path, part, size):
    """The shipped weights fit in another folder; with an array more, one less, or another shape they do not."""
    for name in ("geometry", "operations"):
        shutil.copytree(shipped_weights("symop") / name, tmp_path / name)
    load_weights(tmp_path)
    params, config = load_params(tmp_path / part)
    outer = "net" if part == "geometry" else "params"
    net = params[outer]
    name = next(iter(net))
    for changed in (net | {"another": net[name]}, net | {name: {}}):
        save_params(tmp_path / part, params | {outer: changed}, config)
        with pytest.raises(WeightsError, match="older or newer form"):
            load_weights(tmp_path)
    wider = json.loads((shipped_weights("symop") / part / "config.json").read_text())
    wider["model"][part][size] += 1
    save_params(tmp_path / part, params, ConfigDict(wider))
    with pytest.raises(WeightsError, match="another preset"):
        load_weights(tmp_path)
