"""Cell parameters: telescoping conditionals sum to 1 over their bins, constraints and the support of gamma hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.lattice import lattice_from_parameters
from symjax.models.wyckoffaugen import lattice
from symjax.models.wyckoffaugen.layers import Mlp, init
from symjax.models.wyckoffaugen.representation import NUM_Z
from symjax.models.wyckoffaugen.tables import FAMILIES, NUM_GROUP_FEATURES

F, D, BINS = 2, 4, 8


@pytest.fixture(scope="module")
def net():
    spec = {
        "context": Mlp((NUM_GROUP_FEATURES, NUM_Z, 12 * F, 12), D, D),
        "length": Mlp((4 * F, D), D, 3),
        "angle": Mlp((4 * F, D), D, 3),
    }
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a * 3, init(spec, jax.random.key(0)))
    return params, {name: jnp.asarray(rng.normal(size=F), jnp.float32) for name in ("length", "angle", "edge")}


def inputs(num):
    rng = np.random.default_rng(1)
    row = lambda size: jnp.asarray(np.tile((rng.random(size) < 0.1).astype(np.float32), (num, 1)))
    return row(NUM_GROUP_FEATURES), row(NUM_Z)


@pytest.mark.parametrize("which", [0, 4, 5])
def test_a_conditional_sums_to_one(net, which):
    """Over all bins of a triclinic parameter; gamma only where alpha and beta leave a volume."""
    params, stats = net
    num = BINS**2
    value = lattice.LOW[which] + (lattice.HIGH - lattice.LOW)[which] * (np.arange(num) + 0.5) / num
    cell = np.tile([4.0, 5.0, 6.0, 110.0, 75.0, 80.0], (num, 1))
    cell[:, which] = value
    every = [jnp.full(num, v, jnp.int32) for v in (0, which)]
    cell = jnp.asarray(cell, jnp.float32)
    log = lattice.log_prob(params, stats, *inputs(num), every[0], every[1], cell, cell, BINS)
    p = np.exp(np.asarray(log, float))
    assert abs(p.sum() - 1) < 1e-4
    if which == 5:
        width = (lattice.HIGH - lattice.LOW)[5] / num
        allowed = (value > 35 - width) & (value < 175 + width)
        assert (p[~allowed] == 0).all() and (p[allowed] > 0).all()


@pytest.mark.slow
def test_drawn_cells_obey_their_family_and_their_probability(net):
    params, stats = net
    family = jnp.repeat(jnp.arange(len(FAMILIES)), 4)
    group, elements = inputs(len(family))
    keys = jax.random.split(jax.random.key(2), len(family))
    cell, log = lattice.sample(params, stats, keys, group, elements, family, BINS)
    cell64, free = np.asarray(cell, float), lattice.FREE[np.asarray(family)]
    assert np.allclose(np.asarray(lattice.constrain(cell, family)), cell64)
    assert (
        (cell64[4:8, [3, 5]] == 90).all()
        and (cell64[16:20, 5] == 120).all()
        and (cell64[20:, 2] == cell64[20:, 0]).all()
    )
    again = sum(
        np.asarray(lattice.log_prob(params, stats, group, elements, family, jnp.full(len(family), j), cell, cell, BINS))
        for j in range(6)
    )
    assert np.allclose(again, log, atol=1e-4) and free.sum() == 4 * (6 + 4 + 3 + 2 + 2 + 1)
    L = np.asarray(lattice_from_parameters(cell64[4:]))
    assert (np.linalg.det(L) > 0).all()


def test_family_constraints_are_known_before_they_matter():
    """The length of c in a tetragonal cell is conditioned on b, which is a."""
    tetragonal = jnp.int32(FAMILIES.index("tetragonal"))
    assert np.asarray(lattice.known_before(jnp.int32(2), tetragonal)).tolist() == [True, True, False, True, True, True]
    assert np.asarray(lattice.known_before(jnp.int32(0), tetragonal)).tolist() == [
        False,
        False,
        False,
        True,
        True,
        True,
    ]
