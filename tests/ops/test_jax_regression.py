"""jax 0.10.2 on CPU returns wrong values for jitted, vmapped matrix-row products that are then reduced.

Upstream issue jax-ml/jax 39103. It is silent, and it is the very shape of "apply an operation to every atom and sum", so
the version is excluded in pyproject.toml and this test keeps any other version with the fault out. The fault depends on
the row count and on the precision; float64 has to be set before jax starts, so both run in their own process.
"""

import os
import subprocess
import sys

import pytest

ROWS = (16385, 20000, 32768, 32769, 40000)

PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
from symjax.ops import Op, exact

dtype = np.dtype(sys.argv[1])
W = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
one = jax.jit(jax.vmap(lambda matrix, row: jnp.sum((matrix @ row) ** 2), in_axes=(None, 0)))
ours = jax.jit(lambda op, x: jnp.sum(exact.apply(op, x) ** 2, axis=-1))
for rows in map(int, sys.argv[2:]):
    x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(dtype)
    matrix = (W + np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])).astype(dtype)
    got = np.asarray(one(jnp.asarray(matrix), jnp.asarray(x)))
    assert got.dtype == dtype, got.dtype
    expected = np.sum((x @ matrix.T) ** 2, axis=-1)
    wrong = int(np.sum(np.abs(got - expected) > 1e-4 * (1 + np.abs(expected))))
    op = Op(jnp.asarray(W, dtype=jnp.int32), jnp.array([6, 0, 12], dtype=jnp.int32))
    applied = np.asarray(ours(op, jnp.asarray(x)))
    target = np.sum((x @ W.T + np.array([0.25, 0, 0.5])) ** 2, axis=-1)
    wrong_ours = int(np.sum(np.abs(applied - target) > 1e-4 * (1 + np.abs(target))))
    print(jax.__version__, dtype, rows, wrong, wrong_ours)
    if wrong or wrong_ours:
        sys.exit(f"jax {jax.__version__}: {wrong} (vmap form) and {wrong_ours} (symjax) of {rows} {dtype} rows wrong")
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrix_row_then_reduce_is_right_at_the_sizes_where_jax_0_10_2_fails(dtype):
    environment = os.environ | {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "0",
        "XLA_FLAGS": "",
    }  # the fault is one of the optimised program
    environment |= {"JAX_ENABLE_X64": "1" if dtype == "float64" else "0", "JAX_PLATFORMS": "cpu"}
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-c", PROGRAM, dtype, *map(str, ROWS)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(result.stdout.splitlines()) == len(ROWS)
