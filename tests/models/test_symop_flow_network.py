"""The operation flow with its networks: what it commutes with, what it does not depend on, shapes, the shipped weights.

Slow: one program of the flow takes tens of seconds to compile, whatever the width.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.cli.main import main
from symjax.configs.symop import get_config
from symjax.diffusion import rng
from symjax.groups.identify import identify
from symjax.groups.tables import standard_setting
from symjax.models.symop.flow import process as p
from symjax.models.symop.flow import sample as s
from symjax.models.symop.flow.network import FlowNet, options_from_config
from symjax.models.symop.flow.representation import ORDERS, opset_of
from symjax.models.symop.flow.task import init_params
from symjax.models.symop.flow.weights import load_flow
from symjax.ops.types import DEN

pytestmark = pytest.mark.slow
STEPS = s.FlowSampling(3, 4, 4, agree_from=0.5)
Z = np.zeros((4, 20), np.int32)
Z[:, :3] = [[8, 22, 56], [8, 14, 0], [11, 17, 0], [6, 7, 8]]
ORDER = np.searchsorted(ORDERS, [8, 6, 4, 8])


def random_net():
    config = get_config("tiny,part=flow")
    net = FlowNet(options_from_config(config.model.flow))
    params = init_params(net, jax.random.key(0), jnp.asarray(Z[:2]), jnp.ones((2, 8), bool))
    # kernels that start at zero take part as well
    noisy = lambda a: a if a.any() else 0.03 * jax.random.normal(jax.random.key(a.size), a.shape)
    return net, jax.tree.map(noisy, params), config


def shipped_net():
    params, config = load_flow()
    return FlowNet(options_from_config(config["model"]["flow"])), params, config


@pytest.fixture(scope="module", params=[random_net, shipped_net], ids=["random", "shipped"])
def model(request):
    return request.param()


@pytest.fixture(scope="module")
def noise():
    return s.draw_noise(rng.row_keys(jax.random.key(1), np.arange(4)), 8)


@pytest.fixture(scope="module")
def sets(model, noise):
    return s.flow(*model[:2], noise, Z, ORDER, sampling=STEPS)


def members(W, w, row):
    n = ORDERS[ORDER[row]]
    return {
        (tuple(g.ravel().tolist()), tuple(t.tolist()))
        for g, t in zip(np.asarray(W)[row, :n], np.asarray(w)[row, :n], strict=True)
    }


@pytest.mark.parametrize("label", (1, 7, 14, 23))
def test_commutes_with_relabelling(model, noise, sets, label):
    index = jnp.full(4, label)
    other = s.FlowNoise(
        p.relabel_lattice(noise.k, index), p.relabel_matrices(noise.R, index), p.relabel_phases(noise.z, index)
    )
    found = s.flow(*model[:2], other, Z, ORDER, sampling=STEPS)
    W = np.rint(p.relabel_matrices(sets.W, index)).astype(int)
    w = p.relabel_translations(sets.w, index)
    np.testing.assert_allclose(found.k, p.relabel_lattice(sets.k, index), atol=1e-4)
    changed = 0
    for row in range(4):
        assert members(found.W, found.w, row) == members(W, w, row)
        changed += members(found.W, found.w, row) != members(sets.W, sets.w, row)
    assert changed >= 2  # another conjugate came out, not the same set


def test_commutes_with_rigid_motions(model, noise):
    rng_ = np.random.default_rng(0)
    A = rng_.normal(size=(4, 3, 3)) * 0.3 + np.eye(3)
    A /= np.cbrt(np.linalg.det(A))[:, None, None]
    R0 = rng_.normal(size=(4, 8, 3, 3)) * p.SIGMA_R
    V = np.linalg.qr(rng_.normal(size=(3, 3)))[0]
    V *= np.linalg.det(V)
    here, U = s.from_ambient(A, R0, noise.z)
    there, turned = s.from_ambient(V @ A, V @ R0 @ V.T, noise.z)
    first = s.in_space(s.flow(*model[:2], here, Z, ORDER, sampling=STEPS), U)
    second = s.in_space(s.flow(*model[:2], there, Z, ORDER, sampling=STEPS), turned)
    np.testing.assert_allclose(second[0], V @ first[0], atol=1e-3)
    for row in range(4):
        n = ORDERS[ORDER[row]]
        np.testing.assert_allclose(second[1][row, :n], V @ first[1][row, :n] @ V.T, atol=2e-3)
        np.testing.assert_allclose(second[2][row, :n], first[2][row, :n] @ V.T, atol=2e-3)
    assert np.abs(second[1] - first[1]).max() > 0.1


def test_commutes_with_shifts_of_the_origin(model, noise, sets):
    net, params, _ = model
    mask = jnp.arange(8) < jnp.asarray(ORDERS)[ORDER][:, None]
    cond = net.apply(params, Z, ORDER, method="condition")
    W, shift = sets.W, jnp.array([[3, 17, 8], [1, 2, 5], [12, 0, 7], [6, 6, 1]])
    turn = p.phases(p.shifted(W, jnp.zeros_like(sets.w), shift))
    run = jax.jit(lambda z: s.flow_translations(net, params, z, W, sets.k, cond, mask, STEPS))
    w, other = run(noise.z), run(noise.z * turn)
    live = np.asarray(mask)[..., None] & np.ones(3, bool)
    expected = np.asarray(p.shifted(W, w, shift))
    assert (np.asarray(other) == expected)[live].mean() > 0.99  # a tie of two 24ths may fall either way
    assert (np.asarray(other) != np.asarray(w))[live].mean() > 0.2


def test_a_crystal_is_the_same_in_any_batch(model):
    _, params, config = model
    key, sections = jax.random.key(3), {"model": {"flow": dict(config["model"]["flow"])}}
    given = {"orders": [8, 6, 4, 8], "sampling": STEPS}
    every = s.sample_operations(params, sections, key, Z, **given)
    before = [f._cache_size() for f in (s._begin, s._go_on, s._finish)]
    alone = s.sample_operations(params, sections, key, Z[2:3], orders=[4], rows=np.array([2]), sampling=STEPS)[0]
    assert [f._cache_size() for f in (s._begin, s._go_on, s._finish)] == before  # and nothing is compiled again
    np.testing.assert_array_equal(alone.W, every[2].W)
    np.testing.assert_array_equal(alone.w, every[2].w)
    np.testing.assert_allclose(alone.k, every[2].k, atol=1e-6)


def test_trace_ends_at_what_is_returned(model, noise, sets):
    found = s.flow(*model[:2], noise, Z, ORDER, sampling=STEPS, trace=True)
    assert found.trace["k"].shape == (7, 4, 5) and found.trace["R"].shape == (4, 4, 8, 3, 3)
    np.testing.assert_array_equal(found.W, sets.W)
    label = p.canonical_label(noise.k)
    np.testing.assert_allclose(found.trace["k"][-1], p.relabel_lattice(sets.k, label), atol=1e-4)


def test_shipped_weights_generate_groups():
    params, config = load_flow()
    z = np.repeat(Z, 6, axis=0)
    drawn = s.sample_operations(params, config, jax.random.key(0), z, orders=[4, 8] * 12)
    assert np.mean([one.raw for one in drawn]) > 0.5
    valid = [one for one in drawn if one.opset is not None]
    assert len(valid) >= 23
    numbers, chosen = s.standard_sets(drawn)
    assert (chosen.any(1) == (numbers > 0)).all()
    for one in valid[:4]:
        setting, metric = s.standard_metric(one)
        assert setting.number == identify(opset_of(np.asarray(one.opset.W), np.asarray(one.opset.w))).number
        assert np.linalg.eigvalsh(metric).min() > 0 and one.opset.den == DEN


def test_command_draws_operations_by_the_flow(tmp_path, capsys):
    out = tmp_path / "out"
    given = ["generate", "--num", "6", "--out", str(out), "--operations", "flow", "--steps", "3", "--quiet"]
    assert main([*given, "--no-inversion"]) == 0
    index = json.loads((out / "index.json").read_text())
    assert len(index["crystals"]) == 6 and all("log_operations" not in one for one in index["crystals"])
    numbers = [one["group"]["number"] for one in index["crystals"]]
    assert not any((np.asarray(standard_setting(n).W) == -np.eye(3)).all((1, 2)).any() for n in numbers)
    assert main([*given[:3], "--out", str(tmp_path / "no"), *given[5:], "--trace"]) == 2
    assert "--trace shows the steps of the walk" in capsys.readouterr().err
