"""Drawing crystals: space group, composition space, cell, then atom after atom; three compiled programs for all groups.

Rows are drawn in batches of a fixed size, and only rows that are not finished go on, so no program depends on what is drawn. Each
row has a key of its own (`symjax.diffusion.rng`), so that a crystal is the same whatever batch it is drawn in. What a request asks
is in masks; the log probability of what was chosen, given the masks, comes with each crystal.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from symjax.models.wyckoffaugen import densities, lattice
from symjax.models.wyckoffaugen.layers import Params, pick
from symjax.models.wyckoffaugen.network import (
    STOP,
    Constants,
    Embeddings,
    NetworkOptions,
    Partial,
    element_log_prob,
    embeddings,
    encode,
    group_log_prob,
    letter_log_prob,
    mixtures,
    next_element_log_prob,
    room,
    shape_log_prob,
    stop_log_prob,
)
from symjax.models.wyckoffaugen.objective import coordinate_log_prob
from symjax.models.wyckoffaugen.polygons import log_determinant, to_polygon
from symjax.models.wyckoffaugen.representation import NUM_Z
from symjax.models.wyckoffaugen.tables import MAX_OPERATIONS
from symjax.wyckoff.asymmetric import SHIFTS

PLACED, ENDED, STUCK = 0, 1, 2
"""What became of a row in one step: an atom more, finished, or nowhere to go."""


class Wish(NamedTuple):
    """What is asked of groups and composition spaces.

    Attributes:
        groups: (231,) bool that may be drawn.
        allowed, required: (101,) bool elements that may, must, occur.
        least, most: () int32 numbers of elements.
    """

    groups: Array
    allowed: Array
    required: Array
    least: Array
    most: Array


class Conditions(NamedTuple):
    """Group, composition space and cell of b rows; log probabilities of group and elements, and of the cell."""

    number: Array
    elements: Array
    cell: Array
    log_prob: Array
    log_cell: Array


@functools.partial(jax.jit, static_argnames=("options",))
def draw_conditions(params: Params, consts: Constants, options: NetworkOptions, keys: Array, wish: Wish) -> Conditions:
    """Draw groups, composition spaces and cells.

    Half of the rows draw the group first and the elements given it, the other half the other way round: the two factorisations that
    equation 1 averages. Where everything is allowed the log probability is that of the mixture, else of the branch taken.
    """
    coin, group_key, element_key, cell_key = (
        jax.vmap(lambda key, i=i: jax.random.fold_in(key, i))(keys) for i in range(4)
    )
    first = jax.vmap(lambda key: jax.random.bernoulli(key))(coin)
    free = group_log_prob(params, None, wish.groups)
    guess = jax.vmap(lambda key: jax.random.categorical(key, free))(group_key)
    group = jnp.where(first[:, None], consts.group[guess], 0.0)
    elements, log = _elements(params, consts, options, element_key, group, wish)
    given = group_log_prob(params, elements, wish.groups)
    drawn = jax.vmap(jax.random.categorical)(group_key, given)
    number = jnp.where(first, guess, drawn)
    log = log + jnp.where(first, free[guess], pick(given, drawn))
    own = params["lattice"], params["stats"], cell_key, consts.group[number], elements, consts.family[number]
    cell, of_cell = lattice.sample(*own, options.num_bins)
    return Conditions(number.astype(jnp.int32), elements, cell, log, of_cell)


def _elements(
    params: Params, consts: Constants, options: NetworkOptions, keys: Array, group: Array, wish: Wish
) -> tuple[Array, Array]:
    """Composition spaces (b, 101), element after element, and their log probabilities."""
    number = jnp.arange(NUM_Z)

    def step(i: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        chosen, log, done = state
        count = chosen.sum(axis=-1, keepdims=True)
        missing = wish.required & (chosen == 0)
        next_required = jnp.min(jnp.where(missing, number, NUM_Z), axis=-1, keepdims=True)
        tight = wish.most - count <= missing.sum(axis=-1, keepdims=True)
        allowed = wish.allowed & (number <= next_required) & (~tight | missing) & (count < wish.most)
        # elements that are left after this one must suffice for the least number
        after = jnp.flip(jnp.cumsum(jnp.flip(wish.allowed))) - wish.allowed
        allowed &= count + 1 + after >= wish.least
        end = (missing.sum(axis=-1, keepdims=True) == 0) & (count >= wish.least)
        allowed = jnp.where(number == STOP, end, allowed)
        found = next_element_log_prob(params, consts, chosen, group, options, allowed)
        own = jax.vmap(lambda key: jax.random.fold_in(key, i))(keys)
        drawn = jax.vmap(jax.random.categorical)(own, found)
        more = ~done & (drawn != STOP)
        log = log + jnp.where(done, 0.0, pick(found, drawn))
        return jnp.where(more[:, None], jnp.maximum(chosen, jax.nn.one_hot(drawn, NUM_Z)), chosen), log, ~more

    start = jnp.zeros((len(keys), NUM_Z)), jnp.zeros(len(keys)), jnp.zeros(len(keys), bool)
    chosen, log, _ = jax.lax.fori_loop(0, options.max_elements + 1, step, start)
    return chosen, log


class Next(NamedTuple):
    """One step of b rows: what became of them, the atom, the log probability of what is discrete and of the coordinate."""

    status: Array
    letter: Array
    z: Array
    shape: Array
    x: Array
    log_prob: Array
    log_density: Array


@jax.jit
def make_embeddings(params: Params, consts: Constants) -> Embeddings:
    """The tables that all steps share."""
    return embeddings(params, consts)


@functools.partial(jax.jit, static_argnames=("options", "num_edges"))
def draw_atoms(
    params: Params,
    consts: Constants,
    tables: Embeddings,
    planes: Array,
    options: NetworkOptions,
    rows: Partial,
    keys: Array,
    allowed: Array,
    may_stop: Array,
    num_edges: int,
) -> Next:
    """The next atom of b incomplete crystals, or their end.

    Args:
        params, consts, tables, options: of the network.
        planes: (231, 9, 4) faces of the asymmetric units.
        rows: b incomplete crystals.
        keys: (b,) of this step.
        allowed: (b, 27, 101) bool elements on letters that a request leaves; all True for the model itself.
        may_stop: (b,) bool whether a request lets the crystal end here.
        num_edges: slots for edges.
    """

    def one(crystal: Partial, key: Array, allowed: Array, may_stop: Array) -> Next:
        stop_key, letter_key, element_key, shape_key, x_key = jax.random.split(key, 5)
        h, _ = encode(params, consts, tables, options, crystal, num_edges)
        left = room(consts, options, crystal, jnp.bool_(True))
        z_left = left.z & allowed
        letters_left = left.letters & z_left.any(axis=1)
        left = left._replace(
            letters=letters_left, z=z_left, stop=left.stop & may_stop, go_on=left.go_on & letters_left.any()
        )
        end, go, _ = stop_log_prob(params, h, left)
        ended = jnp.log(jax.random.uniform(stop_key, minval=1e-12)) < end
        letters, _ = letter_log_prob(params, consts, tables, h, crystal.number, left)
        letter = jax.random.categorical(letter_key, letters)
        row = consts.row[crystal.number, letter]
        elements, _ = element_log_prob(params, tables, h, row, left.z[letter])
        z = jax.random.categorical(element_key, elements)
        shapes = shape_log_prob(params, consts, tables, h, row, z)
        slot = jax.random.categorical(shape_key, shapes)
        shape = consts.shape[row, slot]
        raw = mixtures(params, tables, h, row, z, shape)
        x, y, log_det = _coordinate(consts, planes, crystal.number, shape, consts.dim[row], raw, x_key)
        density = coordinate_log_prob(consts, raw, crystal.number, shape, consts.dim[row], y, log_det, MAX_OPERATIONS)
        status = jnp.where(left.go_on | left.stop, jnp.where(ended, ENDED, PLACED), STUCK)
        chosen = go + pick(letters, letter) + pick(elements, z) + pick(shapes, slot)
        return Next(
            status,
            letter.astype(jnp.int32),
            z.astype(jnp.int32),
            shape,
            x,
            jnp.where(status == ENDED, end, chosen),
            jnp.where(status == ENDED, 0.0, density),
        )

    return jax.vmap(one)(rows, keys, allowed, may_stop)


def _coordinate(
    consts: Constants,
    planes: Array,
    number: Array,
    shape: Array,
    dim: Array,
    raw: tuple[Array, Array, Array],
    key: Array,
) -> tuple[Array, Array, Array]:
    """A point on a shape: fractional coordinates (3,), its coordinates on the shape (3,), and a polygon's log-determinant."""
    u = densities.sample_beta(key, raw[0])
    y = densities.sample_dirichlet(key, raw[1])
    cell = densities.sample_von_mises(key, raw[2])
    kind = consts.polygon[shape]
    start, basis = consts.vertices[shape, 0], consts.basis[shape]
    c = to_polygon(kind, y)
    inside = into_interior(consts, planes, number, cell)
    x = jnp.select(
        [dim == 1, dim == 2, dim == 3], [start + u * basis[0], start + c[0] * basis[0] + c[1] * basis[1], inside], start
    )
    pad = lambda values: jnp.concatenate([values, jnp.zeros(3 - len(values))])
    own = jnp.select([dim == 1, dim == 2, dim == 3], [pad(u[None]), pad(y), inside], jnp.zeros(3))
    return x, own, jnp.where(dim == 2, log_determinant(kind, y), 0.0)


def into_interior(consts: Constants, planes: Array, number: Array, x: Array) -> Array:
    """(3,) the image of a general point (3,) in the asymmetric unit."""
    images = jnp.einsum("gij,j->gi", consts.R[number], x) + consts.t[number]
    images = jnp.mod(images, 1.0)[:, None] + SHIFTS
    depth = jnp.min(images @ planes[number, :, :3].T + planes[number, :, 3], axis=-1)
    depth = jnp.where(consts.op_mask[number][:, None], depth, -jnp.inf).reshape(-1)
    return images.reshape(-1, 3)[jnp.argmax(depth)]
