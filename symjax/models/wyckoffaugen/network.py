"""WyckoffAUGen's network: group, composition space, the embedding of an incomplete crystal, and the heads of the next atom.

Pure functions of nested dicts of parameters, for one crystal; callers batch them by `jax.vmap`. The five entries of the parameters
(group, composition, lattice, gnn, atoms) train at rates of their own. Source: Chang et al. (WyckoffAUGen), section 3 and appendix,
equations 4 to 11; what is not in print is named in docs/decisions/wyckoffaugen.md.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.elements import BLOCK, COVALENT_RADII, ELECTRONEGATIVITY, GROUP, PERIOD
from symjax.lattice import lattice_from_parameters
from symjax.models.wyckoffaugen import densities
from symjax.models.wyckoffaugen.graph import find_edges
from symjax.models.wyckoffaugen.lattice import cell_features
from symjax.models.wyckoffaugen.layers import (
    Mlp,
    Params,
    fourier,
    init,
    masked_log_softmax,
    mlp,
    running_sum,
    shapes_of,
)
from symjax.models.wyckoffaugen.representation import NUM_Z
from symjax.models.wyckoffaugen.tables import NUM_GROUP_FEATURES, NUM_POSITION_FEATURES, tables

STOP = 0
"""Class of the composition that ends it; the others are atomic numbers."""
PARTS = ("group", "composition", "lattice", "gnn", "atoms")


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Sizes; every field stands in `configs/wyckoffaugen.py` with its meaning."""

    width: int
    edge_width: int
    num_layers: int
    num_radial: int
    radial_range: float
    num_frequencies: int
    fourier_scales: tuple[float, float, float]
    num_bins: int
    num_beta: int
    num_dirichlet: int
    num_von_mises: int
    max_sites: int
    max_atoms: int
    max_elements: int


class Constants(NamedTuple):
    """Tables on the device, see `symjax.models.wyckoffaugen.tables.Tables`; elements (101, f) features of the elements."""

    group: Array
    family: Array
    row: Array
    mask: Array
    R: Array
    t: Array
    op_mask: Array
    position: Array
    dim: Array
    multiplicity: Array
    primitive: Array
    shape: Array
    vertices: Array
    vertex_mask: Array
    polygon: Array
    basis: Array
    elements: Array


@flax.struct.dataclass
class Partial:
    """An incomplete crystal: what the next atom is conditioned on. Fields of one crystal; n sites, p images.

    Attributes:
        number: () int32 space group.
        elements: (101,) float32 composition space.
        cell: (6,) cell parameters; reduced: (3, 3), see `symjax.models.wyckoffaugen.representation.Crystals`.
        letter, z, shape: (n,) int32.
        x: (n, 3) fractional coordinates.
        mask: (n,) bool sites that are there.
        image_site, image_op: (p,) int32; image_mask: (p,) bool.
    """

    number: Array
    elements: Array
    cell: Array
    reduced: Array
    letter: Array
    z: Array
    shape: Array
    x: Array
    mask: Array
    image_site: Array
    image_op: Array
    image_mask: Array


@cache
def element_features() -> np.ndarray:
    """(101, f) float32: one-hot atomic number, period, group and block; electronegativity and covalent radius. Row 0 is zero."""
    blocks = sorted(set(BLOCK) - {""})
    z = np.arange(NUM_Z)
    parts = [
        z[:, None] == np.arange(1, NUM_Z),
        np.asarray(PERIOD)[:NUM_Z, None] == np.arange(1, 8),
        np.asarray(GROUP)[:NUM_Z, None] == np.arange(1, 19),
        np.array([[name == block for block in blocks] for name in BLOCK[:NUM_Z]]),
        np.nan_to_num(np.asarray(ELECTRONEGATIVITY, float)[:NUM_Z, None]) / 4,
        np.nan_to_num(np.asarray(COVALENT_RADII, float)[:NUM_Z, None]) / 2.5,
    ]
    out = np.concatenate(parts, axis=1).astype(np.float32)
    out[0] = 0
    return out


def constants() -> Constants:
    """The tables as jax arrays."""
    own = tables()
    chosen = {name: getattr(own, name) for name in Constants._fields if name != "elements"}
    return Constants(**{k: jnp.asarray(v) for k, v in chosen.items()}, elements=jnp.asarray(element_features()))


def specification(options: NetworkOptions) -> dict[str, Any]:
    """All perceptrons and arrays, by part."""
    d, e, f, g = options.width, options.edge_width, options.num_frequencies, NUM_GROUP_FEATURES
    a = element_features().shape[1]
    layer = {
        "filter_edge": (e, d),
        "filter_site": (d, d),
        "filter_other": (d, d),
        "filter_bias": (d,),
        "norm": (3, d),
        "update": Mlp((d,), d, d),
        "gain": (1,),
    }
    return {
        "group": {"free": (231,), "given": Mlp((NUM_Z,), d, 231)},
        "composition": {"element": Mlp((a,), d, d), "set": Mlp((d, g), d, d), "next": Mlp((d, g), d, NUM_Z)},
        "lattice": {
            "context": Mlp((g, NUM_Z, 12 * f, 12), d, d),
            "length": Mlp((4 * f, d), d, 3),
            "angle": Mlp((4 * f, d), d, 3),
        },
        "gnn": {
            "group": Mlp((g,), d, d),
            "elements": Mlp((NUM_Z,), d, d),
            "cell": Mlp((12 * f, 12), d, d),
            "density": Mlp((3,), d, d),
            "position": Mlp((NUM_POSITION_FEATURES,), d, d),
            "element": Mlp((a,), d, d),
            "node": Mlp((d, d, 2 * f), d, d),
            "edge": Mlp((3, options.num_radial), e, e),
            "layers": {str(k): layer for k in range(options.num_layers)},
            "join": Mlp((d,) * (options.num_layers + 1), d, d),
            "attention": (d, 1),
            "seed": (d,),
            "crystal": Mlp((d,) * 5, d, d),
        },
        "atoms": {
            "shape": Mlp((2 * f,), d, d),
            "stop": Mlp((d,), d, 1),
            "letter": Mlp((d, d), d, 1),
            "element": Mlp((d, d, d), d, 1),
            "choose_shape": Mlp((d,) * 4, d, 1),
            "segment": Mlp((d,) * 4, d, densities.BETA_WIDTH * options.num_beta),
            "polygon": Mlp((d,) * 4, d, densities.DIRICHLET_WIDTH * options.num_dirichlet),
            "interior": Mlp((d,) * 4, d, densities.VON_MISES_WIDTH * options.num_von_mises),
        },
    }


def init_params(options: NetworkOptions, key: Array) -> Params:
    """Fresh parameters, without `stats`."""
    own, key = jax.random.split(key)
    params = init(specification(options), own)
    for k in params["gnn"]["layers"]:
        layer = params["gnn"]["layers"][k]
        layer["norm"] = jnp.stack([jnp.ones(options.width), jnp.ones(options.width), jnp.zeros(options.width)])
        layer["gain"] = jnp.zeros(1)
    # components start apart from each other: means anywhere, concentrations of a few
    atoms = params["atoms"]
    for name, width, low, high in (("segment", 3, 0.0, 2.0), ("polygon", 4, 0.0, 2.0), ("interior", 7, 0.0, 2.0)):
        key, draw = jax.random.split(key)
        bias = jax.random.uniform(draw, (len(atoms[name]["b1"]) // width, width), minval=low, maxval=high)
        bias = bias.at[:, 0].set(0.0)
        if name == "interior":
            bias = bias.at[:, 1:4].set((bias[:, 1:4] - 1) * jnp.pi)
        atoms[name]["b1"] = bias.reshape(-1)
        atoms[name]["w1"] = atoms[name]["w1"] * 0.3
    return params


def fourier_frequencies(options: NetworkOptions) -> dict[str, np.ndarray]:
    """Frequencies of the random Fourier features, constants that travel with the weights (`stats`)."""
    rng, f = np.random.default_rng(17), options.num_frequencies
    length, angle, edge = options.fourier_scales
    return {
        "length": (length * rng.normal(size=f)).astype(np.float32),
        "angle": (angle * rng.normal(size=f)).astype(np.float32),
        "edge": (edge * rng.normal(size=f)).astype(np.float32),
        "point": rng.normal(size=(f, 3)).astype(np.float32),
    }


def count_parameters(options: NetworkOptions) -> int:
    """Number of trained parameters."""
    leaves = jax.tree.leaves(shapes_of(specification(options)), is_leaf=lambda leaf: isinstance(leaf, tuple))
    return sum(int(np.prod(shape)) for shape in leaves)


# ---- group and composition ----


def group_log_prob(params: Params, elements: Array | None, allowed: Array) -> Array:
    """(..., 231) log p(G), or log p(G | C) for composition spaces (..., 101), among the allowed groups (..., 231)."""
    logits = params["group"]["free"] if elements is None else mlp(params["group"]["given"], elements)
    return masked_log_softmax(logits, allowed & (jnp.arange(231) > 0))[0]


def next_element_log_prob(
    params: Params, consts: Constants, chosen: Array, group: Array, options: NetworkOptions, allowed: Array
) -> Array:
    """(..., 101) log probabilities of the next element, or STOP, in the order of atomic numbers.

    Args:
        params, consts, options: of the network.
        chosen: (..., 101) elements so far.
        group: (..., 62) features of the group; zeros where there is none.
        allowed: (..., 101) bool what a request leaves, STOP included; all True for the model itself.
    """
    own = params["composition"]
    table = mlp(own["element"], consts.elements)
    state = mlp(own["set"], chosen @ table, group)
    logits = mlp(own["next"], state, group)
    number = jnp.arange(NUM_Z)
    last = jnp.max(jnp.where(chosen > 0, number, 0), axis=-1, keepdims=True)
    count = jnp.sum(chosen > 0, axis=-1, keepdims=True)
    mask = jnp.where(number == STOP, count > 0, (number > last) & (count < options.max_elements))
    return masked_log_softmax(logits, mask & allowed)[0]


def composition_log_prob(
    params: Params, consts: Constants, elements: Array, group: Array, options: NetworkOptions
) -> Array:
    """() log p(C | G) of a composition space (101,), or log p(C) where the features of the group are zero."""
    number = jnp.arange(NUM_Z)
    order = jnp.where(elements > 0, running_sum((elements > 0).astype(jnp.float32)), 0)  # 1 for the first element
    steps = jnp.arange(options.max_elements + 1)
    chosen = ((order > 0) & (order <= steps[:, None])).astype(elements.dtype)
    count = jnp.sum(elements > 0)
    log = next_element_log_prob(params, consts, chosen, group, options, jnp.ones(NUM_Z, bool))
    target = jnp.where(steps < count, jnp.argmax((order == steps[:, None] + 1) * (number > 0), axis=-1), STOP)
    terms = jnp.take_along_axis(log, target[:, None], axis=-1)[:, 0]
    return jnp.sum(jnp.where(steps <= count, terms, 0.0))


# ---- embedding of an incomplete crystal ----


class Embeddings(NamedTuple):
    """Of all positions (1731, d), elements (101, d) and shapes (2039, d): made once a call, shared by all crystals."""

    position: Array
    element: Array
    shape: Array


def embeddings(params: Params, consts: Constants) -> Embeddings:
    """The tables that crystals look up."""
    waves = fourier(consts.vertices, params["stats"]["point"])
    real = consts.vertex_mask[..., None]
    pooled = jnp.sum(jnp.where(real, waves, 0.0), axis=1) / jnp.sum(real, axis=1)
    return Embeddings(
        mlp(params["gnn"]["position"], consts.position),
        mlp(params["gnn"]["element"], consts.elements),
        mlp(params["atoms"]["shape"], pooled),
    )


def encode(
    params: Params, consts: Constants, tables: Embeddings, options: NetworkOptions, crystal: Partial, num_edges: int
) -> tuple[Array, Array]:
    """(d,) embedding h of an incomplete crystal, and () how many edges did not fit in `num_edges`."""
    gnn, stats = params["gnn"], params["stats"]
    row = consts.row[crystal.number, crystal.letter]
    L = lattice_from_parameters(crystal.cell)
    ops = crystal.number, crystal.image_op
    images = crystal.image_site, consts.R[ops], consts.t[ops], crystal.image_mask
    edges = find_edges(crystal.x, crystal.mask, images, crystal.reduced, L, num_edges)
    multiplicity = jnp.where(crystal.mask, consts.primitive[row], 0).astype(jnp.float32)

    u = mlp(gnn["node"], tables.position[row], tables.element[crystal.z], fourier(crystal.x, stats["point"]))
    distance = jnp.sqrt(jnp.maximum(jnp.sum(edges.vector**2, axis=-1, keepdims=True), 1e-6))
    centres = jnp.linspace(0.0, options.radial_range, options.num_radial)
    width = options.radial_range / options.num_radial
    radial = jnp.exp(-0.5 * ((distance - centres) / width) ** 2)
    e = mlp(gnn["edge"], edges.vector / distance, radial) / jnp.maximum(multiplicity[edges.site], 1.0)[:, None]

    gather = jax.nn.one_hot(jnp.where(edges.mask, edges.site, -1), len(u), dtype=u.dtype)  # (e, n)
    scale = 1 / jnp.sqrt(jnp.maximum(gather.sum(axis=0), 1.0))[:, None]
    share = multiplicity / jnp.maximum(multiplicity.sum(), 1.0)
    layers = [u]
    for k in range(options.num_layers):
        u = _layer(gnn["layers"][str(k)], u, e, edges, gather, scale, share)
        layers.append(u)
    u = mlp(gnn["join"], *layers)
    attention = multiplicity * jax.nn.sigmoid(u @ gnn["attention"])[:, 0]
    pooled = (attention @ u) / jnp.sqrt(jnp.maximum(jnp.sum(attention**2), 1e-12))
    pooled = jnp.where(jnp.any(crystal.mask), pooled, gnn["seed"])

    volume = jnp.abs(_det(crystal.reduced @ L))
    atoms = jnp.sum(multiplicity)
    filled = jnp.stack([atoms / options.max_atoms, jnp.log(volume) / 4 - 1, 10 * atoms / volume])
    waves, values = cell_features(crystal.cell, jnp.ones(6, bool), stats)
    h = mlp(
        gnn["crystal"],
        pooled,
        mlp(gnn["group"], consts.group[crystal.number]),
        mlp(gnn["elements"], crystal.elements),
        mlp(gnn["density"], filled),
        mlp(gnn["cell"], waves, values),
    )
    return h, edges.lost


def _det(a: Array) -> Array:
    return jnp.sum(a[0] * jnp.cross(a[1], a[2]))


def _layer(params: Params, u: Array, e: Array, edges: Any, gather: Array, scale: Array, share: Array) -> Array:
    """One round of messages (equations 6 to 8): filters times the other sites' features, over the root of their number."""
    filters = (
        e @ params["filter_edge"] + (u @ params["filter_site"])[edges.site] + (u @ params["filter_other"])[edges.other]
    )
    message = jax.nn.silu(filters + params["filter_bias"]) * u[edges.other]
    gathered = (gather.T @ message) * scale
    kept, gamma, beta = params["norm"]
    centred = gathered - kept * (share @ gathered)
    normed = centred / jnp.sqrt(share @ centred**2 + 1e-5) * gamma + beta
    return u + params["gain"] * mlp(params["update"], normed)


# ---- heads of the next atom ----


class Room(NamedTuple):
    """What may come next, from what is there (one crystal).

    Attributes:
        letters: (27,) bool positions.
        z: (27, 101) bool elements on each of them.
        stop: () bool the crystal may end here.
        go_on: () bool another atom may come.
    """

    letters: Array
    z: Array
    stop: Array
    go_on: Array


def room(consts: Constants, options: NetworkOptions, crystal: Partial, ordered: Array) -> Room:
    """Positions and elements that are left.

    Fixed positions are filled once; the primitive cell holds `max_atoms`; with `ordered` () the order of letters, then atomic
    numbers, is kept. A crystal may end once all elements of its composition space are there.
    """
    row = consts.row[crystal.number]
    there = crystal.mask
    at = jax.nn.one_hot(jnp.where(there, crystal.letter, -1), 27, dtype=jnp.float32)
    filled = at.sum(axis=0) > 0
    used = jnp.sum(jnp.where(there, consts.primitive[row[crystal.letter]], 0))
    letters = consts.mask[crystal.number] & ~(filled & (consts.dim[row] == 0))
    letters &= consts.primitive[row] <= options.max_atoms - used
    last = jnp.max(jnp.where(there, crystal.letter, -1))
    last_z = jnp.max(jnp.where(there & (crystal.letter == last), crystal.z, 0))
    slot, number = jnp.arange(27), jnp.arange(NUM_Z)
    letters &= ~ordered | (slot >= last)
    z = jnp.broadcast_to(crystal.elements > 0, (27, NUM_Z))
    z &= ~ordered | (slot[:, None] > last) | (number >= last_z)
    present = (jax.nn.one_hot(jnp.where(there, crystal.z, 0), NUM_Z).sum(axis=0) > 0) & (number > 0)
    missing = (crystal.elements > 0) & ~present
    complete = ~missing.any() & there.any()
    count = jnp.sum(there)
    # the missing elements must find room after this one: at least the smallest open position for each
    size = jnp.where(letters & z.any(axis=1), consts.primitive[row], options.max_atoms + 1)
    smallest = jnp.min(jnp.where(slot >= slot[:, None], size, options.max_atoms + 1), axis=1)
    after = missing.sum() - missing
    z &= consts.primitive[row][:, None] + after * smallest[:, None] <= options.max_atoms - used
    z &= after <= options.max_sites - count - 1
    letters &= z.any(axis=1)
    return Room(letters, z & letters[:, None], complete, letters.any() & (count < options.max_sites))


def stop_log_prob(params: Params, h: Array, left: Room) -> tuple[Array, Array, Array]:
    """() log probabilities of ending and of going on, and the logit."""
    logit = mlp(params["atoms"]["stop"], h)[0]
    end = jnp.where(left.stop, jnp.where(left.go_on, jax.nn.log_sigmoid(logit), 0.0), -jnp.inf)
    go = jnp.where(left.go_on, jnp.where(left.stop, jax.nn.log_sigmoid(-logit), 0.0), -jnp.inf)
    return end, go, logit


def letter_log_prob(
    params: Params, consts: Constants, tables: Embeddings, h: Array, number: Array, left: Room
) -> tuple[Array, Array]:
    """(27,) log probabilities of the positions, and the logarithm of their sum before normalising."""
    logits = mlp(params["atoms"]["letter"], h, tables.position[consts.row[number]])[:, 0]
    return masked_log_softmax(logits, left.letters)


def element_log_prob(params: Params, tables: Embeddings, h: Array, row: Array, mask: Array) -> tuple[Array, Array]:
    """(101,) log probabilities of the elements on a position, and the logarithm of their sum before normalising."""
    logits = mlp(params["atoms"]["element"], tables.element, h, tables.position[row])[:, 0]
    return masked_log_softmax(logits, mask)


def shape_log_prob(params: Params, consts: Constants, tables: Embeddings, h: Array, row: Array, z: Array) -> Array:
    """(4,) log probabilities of the shapes of a position."""
    shape = consts.shape[row]
    logits = mlp(params["atoms"]["choose_shape"], tables.shape[shape], h, tables.position[row], tables.element[z])[:, 0]
    return masked_log_softmax(logits, shape >= 0)[0]


def mixtures(
    params: Params, tables: Embeddings, h: Array, row: Array, z: Array, shape: Array
) -> tuple[Array, Array, Array]:
    """Raw numbers of the Beta, Dirichlet and von Mises mixtures of the next atom's coordinate."""
    inputs = h, tables.position[row], tables.element[z], tables.shape[shape]
    return tuple(mlp(params["atoms"][name], *inputs) for name in ("segment", "polygon", "interior"))  # type: ignore[return-value]
