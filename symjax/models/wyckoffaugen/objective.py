"""Log-likelihood of a crystal, term by term, and the training objective made of it.

log p = log 1/2 [p(C|G) p(G) + p(G|C) p(C)] + cell + for each atom (go on, position, element, shape, coordinate) + end. One order
of the atoms gives a lower bound (sites of equal letter and element may stand in any order, drawn at random). All in nats;
coordinates are relative to the uniform density on their shape, cell parameters are probabilities of bins.

Training draws one prefix and one free cell parameter a crystal; the gradient is an unbiased estimate of that of the whole sum, with
noise on what is conditioned on, targets clean. Source: Chang et al. (WyckoffAUGen), equation 1 and the appendix on training.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from symjax.lattice import lattice_from_parameters
from symjax.models.wyckoffaugen import densities, lattice
from symjax.models.wyckoffaugen.graph import inverse3
from symjax.models.wyckoffaugen.layers import Params, pick, running_sum
from symjax.models.wyckoffaugen.network import (
    Constants,
    Embeddings,
    NetworkOptions,
    Partial,
    composition_log_prob,
    element_log_prob,
    embeddings,
    encode,
    group_log_prob,
    letter_log_prob,
    mixtures,
    room,
    shape_log_prob,
    stop_log_prob,
)
from symjax.models.wyckoffaugen.representation import NUM_Z, Crystals

TERMS = ("group_composition", "lattice", "stop", "letter", "element", "shape", "coordinate")
REBALANCED = ("lattice", "stop", "letter", "element")
"""Terms whose gradient is scaled down in training."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How training departs from the plain likelihood; every field stands in `configs/wyckoffaugen.py` with its meaning."""

    noise_x: float
    noise_length: float
    noise_angle: float
    rebalance: float
    mixture_prior: float
    z_loss: float


class Site(NamedTuple):
    """The atom that comes next (one crystal), fields of `Crystals`; `real` () bool: there is one, else the crystal ends."""

    letter: Array
    z: Array
    slot: Array
    shape: Array
    y: Array
    log_det: Array
    real: Array


def composition_space(crystal: Crystals) -> Array:
    """(101,) 1.0 for the elements of one crystal."""
    there = jax.nn.one_hot(jnp.where(crystal.mask, crystal.z, 0), NUM_Z)
    return jnp.minimum(there.sum(axis=0).at[0].set(0.0), 1.0)


def coordinate_log_prob(
    consts: Constants,
    raw: tuple[Array, Array, Array],
    number: Array,
    shape: Array,
    dim: Array,
    y: Array,
    log_det: Array,
    num_ops: int,
) -> Array:
    """() log density of a coordinate on its shape, relative to the uniform one; 0 for points.

    Args:
        consts: tables.
        raw: of the three kinds of mixtures.
        number, shape, dim: () group, shape and its dimension.
        y: (3,) coordinates of the shape; log_det: () of a polygon's map.
        num_ops: operations of the largest group among those whose general positions occur.
    """
    del shape
    ops = consts.R[number, :num_ops], consts.t[number, :num_ops], consts.op_mask[number, :num_ops]
    return jnp.select(
        [dim == 1, dim == 2, dim == 3],
        [
            densities.beta_mixture(raw[0], y[0]),
            densities.dirichlet_mixture(raw[1], y[:2]) - log_det,
            densities.wrapped_von_mises(raw[2], y, *ops),
        ],
        0.0,
    )


def step_terms(
    params: Params,
    consts: Constants,
    tables: Embeddings,
    options: NetworkOptions,
    h: Array,
    there: Partial,
    site: Site,
    num_ops: int,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Log-likelihood of what comes next after the atoms that are there (one crystal), and the regularising terms.

    Args:
        params, consts, tables, options: of the network.
        h: (d,) embedding of the (noisy) incomplete crystal.
        there: the incomplete crystal itself, for what may come.
        site: the next atom.
        num_ops: see `coordinate_log_prob`.

    Returns:
        terms stop, letter, element, shape, coordinate, and `prior` (sum of log mixture weights) and `z` (squared log-sums).
    """
    left = room(consts, options, there, jnp.bool_(True))
    end, go, logit = stop_log_prob(params, h, left)
    letters, letter_sum = letter_log_prob(params, consts, tables, h, there.number, left)
    row = consts.row[there.number, site.letter]
    elements, element_sum = element_log_prob(params, tables, h, row, left.z[site.letter])
    shapes = shape_log_prob(params, consts, tables, h, row, site.z)
    raw = mixtures(params, tables, h, row, site.z, site.shape)
    dim = consts.dim[row]
    coordinate = coordinate_log_prob(consts, raw, there.number, site.shape, dim, site.y, site.log_det, num_ops)
    real = lambda value: jnp.where(site.real, value, 0.0)
    terms = {
        "stop": jnp.where(site.real, go, end),
        "letter": real(pick(letters, site.letter)),
        "element": real(pick(elements, site.z)),
        "shape": real(pick(shapes, site.slot)),
        "coordinate": real(coordinate),
    }
    widths = densities.BETA_WIDTH, densities.DIRICHLET_WIDTH, densities.VON_MISES_WIDTH
    weights = [densities.mixture_weights(one, width).sum() for one, width in zip(raw, widths, strict=True)]
    prior = real(jnp.select([dim == 1, dim == 2, dim == 3], weights, 0.0))
    return terms, {"prior": prior, "z": real(letter_sum**2 + element_sum**2) + logit**2}


def group_composition(
    params: Params, consts: Constants, options: NetworkOptions, number: Array, elements: Array
) -> tuple[Array, Array]:
    """() log [p(G) p(C|G)] and log [p(C) p(G|C)] of one crystal."""
    every, group = jnp.ones(231, bool), consts.group[number]
    first = group_log_prob(params, None, every)[number] + composition_log_prob(params, consts, elements, group, options)
    second = group_log_prob(params, elements, every)[number]
    return first, second + composition_log_prob(params, consts, elements, jnp.zeros_like(group), options)


def prefix(crystal: Crystals, elements: Array, rank: Array, k: Array) -> tuple[Partial, Site]:
    """One crystal's first k atoms of an order, and the next one (if k is the number of atoms, none)."""
    there = crystal.mask & (rank < k)
    partial = Partial(
        number=crystal.number,
        elements=elements,
        cell=crystal.cell,
        reduced=crystal.reduced,
        letter=crystal.letter,
        z=crystal.z,
        shape=crystal.shape,
        x=crystal.x,
        mask=there,
        image_site=crystal.image_site,
        image_op=crystal.image_op,
        image_mask=crystal.image_mask,
    )
    at = jnp.argmax(crystal.mask & (rank == k))
    take = lambda values: values[at]
    names = ("letter", "z", "slot", "shape", "y", "log_det")
    return partial, Site(**{name: take(getattr(crystal, name)) for name in names}, real=k < crystal.mask.sum())


def random_rank(crystal: Crystals, jitter: Array) -> Array:
    """(n,) place of each site of one crystal in an order by letter, then atomic number, ties by `jitter` (n,) in [0, 1)."""
    code = (crystal.letter * NUM_Z + crystal.z).astype(jnp.float32) + jitter
    code = jnp.where(crystal.mask, code, jnp.inf)
    before = (code < code[:, None]) | (
        (code == code[:, None]) & (jnp.arange(len(code)) < jnp.arange(len(code))[:, None])
    )
    return before.sum(axis=1)


def noisy(consts: Constants, recipe: Recipe, crystal: Crystals, uniform: Array, normal: Array) -> Crystals:
    """One crystal with its cell and its sites moved a little, within the family and along the Wyckoff subspaces.

    Noise of the sites is Gaussian in angstrom. A site that leaves the asymmetric unit stays where it is: nothing but its Fourier
    features would change by taking it back.

    Args:
        consts, recipe: tables and sizes of the noise.
        crystal: one.
        uniform, normal: (6,) in [0, 1) and (n, 3) standard normal numbers.
    """
    size = jnp.array([recipe.noise_length] * 3 + [recipe.noise_angle] * 3)
    cell = lattice.constrain(crystal.cell + size * (uniform - 0.5), consts.family[crystal.number])
    L = lattice_from_parameters(crystal.cell)
    basis = consts.basis[crystal.shape]  # (n, 3, 3), rows along the shape
    along = basis @ L
    used = jnp.any(basis != 0, axis=-1)
    gram = along @ jnp.swapaxes(along, -1, -2) + jnp.where(used, 0.0, 1.0)[..., None] * jnp.eye(3)
    step = jnp.einsum("nij,nj->ni", along, recipe.noise_x * normal)
    moved = jnp.einsum("nij,nj->ni", inverse3(gram), step)
    return dataclasses.replace(crystal, cell=cell, x=crystal.x + jnp.einsum("ni,nij->nj", moved, basis))


def scaled_gradient(value: Array, factor: float) -> Array:
    """The value, with its gradient times a factor."""
    scaled = factor * value
    return scaled + jax.lax.stop_gradient(value - scaled)


def training_terms(
    params: Params,
    consts: Constants,
    options: NetworkOptions,
    recipe: Recipe,
    batch: Crystals,
    key: Array,
    num_edges: int,
    num_ops: int,
) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """For b crystals: terms of the negative log-likelihood (b,), each an estimate of its sum over the crystal, and regularisers
    (b,).

    Terms of atoms come from one prefix and are multiplied by the number of prefixes; those of the cell from one free parameter. The
    third result is the (b,) number of prefixes.
    """
    tables = embeddings(params, consts)

    n = batch.mask.shape[1]
    uniform_key, normal_key = jax.random.split(key)
    uniform = jax.random.uniform(uniform_key, (len(batch.number), 8 + n))
    normal = jax.random.normal(normal_key, (len(batch.number), n, 3))

    def one(
        crystal: Crystals, uniform: Array, normal: Array
    ) -> tuple[dict[str, Array], dict[str, Array], Array, tuple]:
        elements, count = composition_space(crystal), crystal.mask.sum()
        free = jnp.asarray(lattice.FREE)[consts.family[crystal.number]]
        which = jnp.argmax(running_sum(free.astype(jnp.float32)) > uniform[6] * free.sum())
        moved = noisy(consts, recipe, crystal, uniform[:6], normal)
        k = jnp.minimum((uniform[7] * (count + 1)).astype(jnp.int32), count)
        there, site = prefix(crystal, elements, random_rank(crystal, uniform[8:]), k)
        h, _ = encode(
            params, consts, tables, options, dataclasses.replace(there, x=moved.x, cell=moved.cell), num_edges
        )
        terms, extra = step_terms(params, consts, tables, options, h, there, site, num_ops)
        first, second = group_composition(params, consts, options, crystal.number, elements)
        steps = (count + 1).astype(jnp.float32)
        every = {"group_composition": first + second}
        every |= {name: value * steps for name, value in terms.items()}
        return every, {k: v * steps for k, v in extra.items()}, steps, (which, moved.cell, elements)

    every, extra, steps, (which, given, elements) = jax.vmap(one)(batch, uniform, normal)
    family = consts.family[batch.number]
    own = params["lattice"], params["stats"], consts.group[batch.number], elements, family
    cell = lattice.log_prob(*own, which, batch.cell, given, options.num_bins)
    every["lattice"] = cell * jnp.asarray(lattice.FREE)[family].sum(axis=-1)
    return {k: -v for k, v in every.items()}, extra, steps


def log_likelihood_terms(
    params: Params,
    consts: Constants,
    options: NetworkOptions,
    batch: Crystals,
    rank: Array,
    num_edges: int,
    num_ops: int,
) -> dict[str, Array]:
    """(b,) terms of the log-likelihood of whole crystals, atoms in the orders `rank` (b, n): all prefixes, all cell parameters."""
    tables = embeddings(params, consts)

    def ends(crystal: Crystals) -> dict[str, Array]:
        elements = composition_space(crystal)
        first, second = group_composition(params, consts, options, crystal.number, elements)
        return {"group_composition": jnp.logaddexp(first, second) - jnp.log(2.0)}

    def step(crystal: Crystals, rank: Array, k: Array) -> dict[str, Array]:
        there, site = prefix(crystal, composition_space(crystal), rank, k)
        h, _ = encode(params, consts, tables, options, there, num_edges)
        terms, _ = step_terms(params, consts, tables, options, h, there, site, num_ops)
        return {name: jnp.where(k <= crystal.mask.sum(), value, 0.0) for name, value in terms.items()}

    whole = jax.vmap(ends)(batch)
    group, elements = consts.group[batch.number], jax.vmap(composition_space)(batch)
    own = params["lattice"], params["stats"], group, elements, consts.family[batch.number]
    cells = jax.lax.map(
        lambda j: lattice.log_prob(*own, jnp.full(len(group), j), batch.cell, batch.cell, options.num_bins),
        jnp.arange(6),
    )
    whole["lattice"] = cells.sum(axis=0)
    every = jax.lax.map(
        lambda k: jax.vmap(step, in_axes=(0, 0, None))(batch, rank, k), jnp.arange(batch.mask.shape[1] + 1)
    )
    return whole | {name: values.sum(axis=0) for name, values in every.items()}
