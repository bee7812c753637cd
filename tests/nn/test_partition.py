"""The neighbour search over a batch that is divided over eight devices: each searches its own rows, and finds what one finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import re, sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from symjax.nn.orbit_net import find_neighbours
from symjax.nn.partition import DATA

rng = np.random.default_rng(0)
b, m, a = 16, 3, 5
offsets = jnp.asarray([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
given = [rng.random((b, m, 3)), rng.random((b, a, 3)), 4 * np.eye(3) + rng.random((b, 3, 3))]
given = [x.astype(np.float32) for x in given] + [np.ones((b, a), bool), np.zeros((b, a), np.int32), np.zeros((b, m), np.int32)]

def search(rep, atom, lattice, mask, orbit, home):
    found = find_neighbours(
        rep, atom, lattice=lattice, atom_mask=mask, atom_orbit=orbit, home=home, offsets=offsets, num=8
    )
    return found, jnp.sum(found.distance * found.envelope)

step = lambda *x: (search(*x)[0], jax.grad(lambda r: search(r, *x[1:])[1])(x[0]))
alone = jax.jit(step)(*given)
groups, model = int(sys.argv[1]), 8 // int(sys.argv[1])
mesh = jax.make_mesh((groups, model), (DATA, "model"), axis_types=(AxisType.Auto,) * 2)
spread = [jax.device_put(x, NamedSharding(mesh, PartitionSpec(DATA))) for x in given]
with jax.set_mesh(mesh):
    program = jax.jit(step, out_shardings=NamedSharding(mesh, PartitionSpec(DATA))).lower(*spread).compile()
text = program.as_text()
kinds = "all-gather|all-to-all|collective-permute|reduce-scatter|all-reduce"
assert not re.findall(rf"= \\S+ ({kinds})\\(", text), set(re.findall(rf"= \\S+ ({kinds})\\(", text))
for one, eight in zip(jax.tree.leaves(alone), jax.tree.leaves(program(*spread)), strict=True):
    np.testing.assert_allclose(one, eight, rtol=1e-5, atol=1e-6)
without = jax.jit(step, out_shardings=NamedSharding(mesh, PartitionSpec(DATA))).lower(*spread).compile().as_text()
print("gathers without:", len(re.findall(r"= \\S+ all-gather\\(", without)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("groups", [8, 4])  # rows over all devices, or over pairs that share them
def test_neighbours_are_searched_where_their_rows_are(groups):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, str(groups)]
    done = subprocess.run(command, env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split(":")[1]) > 0  # what XLA does by itself
