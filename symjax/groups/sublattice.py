"""Lattices between Z^3 and (1/den) Z^3: the pure translations of a set of operations.

Owns their triangular (Hermite) form over integers modulo den, reduction of vectors, insertion of a vector, and listing
of a coset. Pure functions of one lattice; use `jax.vmap` for batches. All integers are exact for den <= 512.

Conventions: vectors count 1/den of the cell edges, in [0, den). A lattice is a (3, 3) int32 upper triangular matrix
whose rows span it together with den Z^3; diagonal entries divide den; the lattice has den^3 / (d1 d2 d3) vectors
modulo Z^3.
"""

from __future__ import annotations

from typing import Any

from symjax._later import jax, jnp

Array = Any

MAX_DEN = 512  # floor divisions go through float32, which is exact for the products of numbers up to this


def floor_div(x: Array, d: Array) -> Array:
    """floor(x / d) of integers with |x| < 2^19 and 0 < d, vectorised where integer division is not."""
    reciprocal = 1.0 / jnp.asarray(d).astype(jnp.float32)
    return jnp.floor((x.astype(jnp.float32) + 0.5) * reciprocal).astype(jnp.int32)


def floor_mod(x: Array, d: Array) -> Array:
    """x modulo d in [0, d), same range as `floor_div`."""
    return x - floor_div(x, d) * d


def trivial(den: int) -> Array:
    """The lattice Z^3 itself."""
    return den * jnp.eye(3, dtype=jnp.int32)


def size(lattice: Array, den: int) -> Array:
    """Number of lattice vectors modulo Z^3, int32."""
    return (den // lattice[0, 0]) * (den // lattice[1, 1]) * (den // lattice[2, 2])


def reduce(lattice: Array, x: Array, den: int) -> Array:
    """Representatives of vectors (..., 3) modulo the lattice: x_i in [0, d_i); zero exactly for lattice vectors."""
    x0, x1, x2 = x[..., 0], x[..., 1], x[..., 2]
    q = floor_div(x0, lattice[0, 0])
    x0, x1, x2 = x0 - q * lattice[0, 0], x1 - q * lattice[0, 1], x2 - q * lattice[0, 2]
    q = floor_div(x1, lattice[1, 1])
    x1, x2 = x1 - q * lattice[1, 1], x2 - q * lattice[1, 2]
    return jnp.stack([x0, x1, floor_mod(floor_mod(x2, den), lattice[2, 2])], -1)


def _eliminate(row: Array, x: Array, axis: int, den: int) -> tuple[Array, Array]:
    """Euclid's algorithm on one coordinate: the row gets the greatest common divisor, x gets zero there."""

    def body(state: tuple) -> tuple:
        row, x = state
        rest = floor_mod(row - floor_div(row[axis], jnp.maximum(x[axis], 1)) * x, den)
        done = x[axis] == 0
        return jnp.where(done, row, x), jnp.where(done, x, rest)

    return jax.lax.while_loop(lambda state: state[1][axis] != 0, body, (row, x))


def insert(lattice: Array, x: Array, den: int) -> Array:
    """The lattice spanned by a lattice and one more vector (3,) in [0, den), in canonical form."""
    first, second, third = lattice[0], lattice[1], lattice[2, 2]
    first, x = _eliminate(first, x, 0, den)
    folded = floor_mod((den // first[0]) * first, den)  # den e_1 is in the lattice: what it leaves for the other rows
    for vector in (x, folded):
        second, rest = _eliminate(second, vector, 1, den)
        third = jnp.gcd(jnp.gcd(third, rest[2]), floor_mod((den // second[1]) * second[2], den))
    first = first - floor_div(first[1], second[1]) * second
    last = jnp.stack([jnp.zeros_like(third), jnp.zeros_like(third), third])
    first, second = (row - floor_div(row[2], third) * last for row in (first, second))
    return jnp.stack([first, second, last])


def span(x: Array, den: int, start: Array | None = None) -> Array:
    """The lattice spanned by vectors (m, 3) in [0, den), and by a lattice `start`."""

    def outside(lattice: Array) -> Array:
        """A vector that is not in the lattice, reduced and packed into one integer; 0 when there is none.

        A maximum of integers is one quick pass, where finding the place of a vector and fetching it would be several.
        """
        rest = reduce(lattice, x, den)
        return ((rest[..., 0] << 20) | (rest[..., 1] << 10) | rest[..., 2]).max()

    def body(state: tuple) -> tuple:
        lattice, found = state
        vector = jnp.stack([found >> 20, (found >> 10) & 1023, found & 1023])
        lattice = insert(lattice, vector, den)  # at least doubles the lattice
        return lattice, outside(lattice)

    lattice = trivial(den) if start is None else start
    return jax.lax.while_loop(lambda state: state[1] > 0, body, (lattice, outside(lattice)))[0]


def rank_in_coset(lattice: Array, x: Array, den: int) -> Array:
    """(...) position of vectors (..., 3) in [0, den) in the ascending list of their coset, see `list_coset`."""
    i1 = floor_div(x[..., 0], lattice[0, 0])
    i2 = floor_div(x[..., 1], lattice[1, 1])
    i3 = floor_div(x[..., 2], lattice[2, 2])
    return (i1 * (den // lattice[1, 1]) + i2) * (den // lattice[2, 2]) + i3


def list_coset(lattice: Array, base: Array, position: Array, den: int) -> Array:
    """The vectors at `position` (...) in the ascending list of the cosets of `base` (..., 3): (..., 3) in [0, den)."""
    n2, n3 = den // lattice[1, 1], den // lattice[2, 2]
    i1 = floor_div(position, n2 * n3)
    i2 = floor_mod(floor_div(position, n3), n2)
    i3 = floor_mod(position, n3)
    x = floor_mod(base, den)
    x = x - (floor_div(x[..., 0], lattice[0, 0]) - i1)[..., None] * lattice[0]
    x1 = floor_mod(x[..., 1], den)
    x2 = floor_mod(x[..., 2], den)
    q = floor_div(x1, lattice[1, 1]) - i2
    x1, x2 = x1 - q * lattice[1, 1], floor_mod(x2 - q * lattice[1, 2], lattice[2, 2])
    return jnp.stack([x[..., 0], x1, x2 + i3 * lattice[2, 2]], -1)
