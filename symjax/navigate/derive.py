"""Symmetry-reduced structures: a parent crystal in the setting of a subgroup, displaced and strained along what becomes free.

Owns `Plan`, `make_plan`, `derive_batch`, `derive_structures` and what they return. The host works out once, exactly, where the
orbits lie and along which modes they may move; drawing and moving any number of structures at once is compiled code of padded
shapes, so that another key, amplitude, crystal or relation of the same padded shape compiles nothing. It computes in double
precision whatever the process uses elsewhere.

**Amplitude** (angstrom): the largest displacement of an atom from its place in the parent, measured in the unstrained lattice.
Each structure has exactly that one. **Strain** (percent): the largest principal strain, in absolute value, of the symmetric
strain along the freed strains; the lattice rows become L (1 + e), fractions held. The coefficients of the orthonormal modes are
normal numbers. Of `CANDIDATES` draws the one is taken that is furthest from every larger group, because a draw can by chance lie
so close to one that no search at a finite tolerance tells them apart.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from symjax._later import jax, jit, jnp, pytree
from symjax.crystals.distances import shortest_images
from symjax.crystals.types import Crystal
from symjax.errors import InputError
from symjax.lattice.reduction import reduced_basis
from symjax.navigate.modes import Modes, ModeSpace, modes_of, realized_group
from symjax.navigate.relation import Relation
from symjax.navigate.splitcrystal import split_crystal
from symjax.navigate.splitting import standard_positions

Array = Any

CANDIDATES = 8
"""Draws of which the one furthest from every larger group is taken."""
MIN_SHARE = 0.7
"""Atoms nearer than this share of the parent's shortest distance count as colliding, unless a distance is given."""
_MEGABYTES = 32
_ENTRIES = 8_000_000


@pytree
class Plan:
    """What a compiled call needs: m orbits, q atoms of an orbit, k modes, 6 strains, b larger groups, all padded.

    Attributes:
        L: (3, 3) lattice rows of H's conventional cell, angstrom.
        x0: (m, 3) and basis: (m, 3, 3) flats of the orbits' positions; v0: (m, 3) their free coordinates, undistorted.
        free: (k, m, 3) the modes in free coordinates.
        modes: (k, m, 3) the same in angstrom, Cartesian.
        mode_mask: (k,) bool.
        strain: (6, 3, 3) and strain_mask: (6,) bool.
        W: (m, q, 3, 3) and w: (m, q, 3) the operations that give an orbit's atoms; atom_mask: (m, q) bool.
        breaks: (b, k, k) and breaks_strain: (b, 6, 6) projectors on what each larger group forbids; break_mask: (b,) bool.
        reduced: (3, 3) integer columns of a reduced basis of the lattice; unreduced: (3, 3) its inverse.
        length: mean edge of the cell, angstrom: what turns a strain into a length.
    """

    L: Array
    x0: Array
    basis: Array
    v0: Array
    free: Array
    modes: Array
    mode_mask: Array
    strain: Array
    strain_mask: Array
    W: Array
    w: Array
    atom_mask: Array
    breaks: Array
    breaks_strain: Array
    break_mask: Array
    reduced: Array
    unreduced: Array
    length: Array


@pytree
class Batch:
    """b structures along one relation, still padded.

    Attributes:
        x: (b, m, 3) representatives in H's standard setting, on their flats.
        L: (b, 3, 3) lattice rows, angstrom.
        amplitude: (b,) largest displacement, angstrom.
        strain: (b,) largest principal strain, percent.
        shortest: (b,) shortest distance between two atoms, angstrom.
        margin: (b,) distance from the nearest larger group: root-mean-square displacement or strained edge, angstrom.
    """

    x: Array
    L: Array
    amplitude: Array
    strain: Array
    shortest: Array
    margin: Array


@dataclass(frozen=True)
class Derived:
    """Structures along one relation.

    Attributes:
        relation: G and H.
        modes: the freedoms.
        crystals: in H's standard setting, colliding ones left out.
        amplitude, strain, shortest: (n,) of each crystal: angstrom, percent, angstrom.
        skipped: structures left out because atoms collide.
        closest: shortest distance among those left out, angstrom; infinity where there is none.
        min_distance: what counts as colliding, angstrom.
    """

    relation: Relation
    modes: Modes
    crystals: list[Crystal]
    amplitude: np.ndarray
    strain: np.ndarray
    shortest: np.ndarray
    skipped: int
    closest: float
    min_distance: float


def bucket(size: int, smallest: int = 4, step: int = 2) -> int:
    """The padded size: the first of smallest, smallest step, smallest step^2 and so on that is large enough."""
    padded = smallest
    while padded < size:
        padded *= step
    return padded


def make_plan(modes: Modes) -> Plan:
    """The padded arrays of one crystal along one relation (host, float64)."""
    split = modes.split
    child = standard_positions(split.relation.number)
    inner = split.relation.subgroup
    m, k = len(split.orbits), len(modes.displacement)
    M, K, Q = bucket(m), bucket(k, 8, 4), bucket(int(split.multiplicity.max()), 2)
    plan = _empty(M, K, Q, bucket(min(len(modes.between), max(4, _ENTRIES // K**2))))
    plan["L"][:] = split.L
    for i, o in enumerate(split.orbits):
        dof = o.dof
        plan["x0"][i], plan["basis"][i] = child.x0[o.position], child.basis[o.position]
        plan["v0"][i, :dof] = np.linalg.inv(child.completion[o.position])[:dof] @ (split.x[i] - child.x0[o.position])
        if dof:
            columns = split.L.T @ child.basis[o.position][:, :dof]
            plan["free"][:k, i, :dof] = modes.displacement[:, i] @ np.linalg.pinv(columns).T
        images = child.images[o.position, : o.multiplicity]
        plan["W"][i, : len(images)], plan["w"][i, : len(images)] = inner.W[images], inner.w[images] / inner.den
        plan["atom_mask"][i, : len(images)] = True
    plan["modes"][:k, :m], plan["mode_mask"][:k] = modes.displacement, True
    plan["strain"][: len(modes.strain)], plan["strain_mask"][: len(modes.strain)] = modes.strain, True
    _fill_breaks(plan, modes)
    plan["reduced"][:] = reduced_basis(split.L)
    plan["unreduced"][:] = np.rint(np.linalg.inv(plan["reduced"]))
    plan["length"] = np.asarray(np.linalg.norm(split.L, axis=1).mean())
    return Plan(**plan)


def _empty(M: int, K: int, Q: int, B: int) -> dict[str, np.ndarray]:
    shapes = {
        "L": (3, 3),
        "x0": (M, 3),
        "basis": (M, 3, 3),
        "v0": (M, 3),
        "free": (K, M, 3),
        "modes": (K, M, 3),
        "strain": (6, 3, 3),
        "W": (M, Q, 3, 3),
        "w": (M, Q, 3),
        "breaks": (B, K, K),
        "breaks_strain": (B, 6, 6),
        "reduced": (3, 3),
        "unreduced": (3, 3),
    }
    out = {name: np.zeros(shape) for name, shape in shapes.items()}
    masks = {"mode_mask": (K,), "strain_mask": (6,), "atom_mask": (M, Q), "break_mask": (B,)}
    return out | {name: np.zeros(shape, bool) for name, shape in masks.items()}


def _fill_breaks(plan: dict[str, np.ndarray], modes: Modes) -> None:
    """What each larger group forbids, in the coordinates of the modes and strains.

    Where there are too many for the arrays, those that forbid most are left out: a draw comes near to none of them by chance.
    """
    space = ModeSpace(modes.split)
    a, e = space.coordinates(modes.displacement), space.strain_coordinates(modes.strain)
    k, s = a.shape[1], e.shape[1]
    found = []
    for mask in modes.between:
        moves = np.eye(k) - a.T @ space.projector(mask) @ a
        bends = np.eye(s) - e.T @ space.strain_projector(mask) @ e
        found.append((np.trace(moves) + np.trace(bends), moves, bends))
    found.sort(key=lambda one: round(one[0]))
    for i, (_, moves, bends) in enumerate(found[: len(plan["break_mask"])]):
        plan["breaks"][i, :k, :k], plan["breaks_strain"][i, :s, :s], plan["break_mask"][i] = moves, bends, True


def derive_batch(plan: Plan, key: Array, num: int, amplitude: float, strain: float) -> Batch:
    """Draw structures along one relation, all at once in compiled code.

    Args:
        plan: from `make_plan`.
        key: PRNG key (`jax.random.key`); structure i of a key is the same for any `num`.
        num: how many.
        amplitude: largest displacement of an atom, angstrom; 0 for none.
        strain: largest principal strain, percent; 0 for none.

    Returns:
        host arrays in float64.

    Raises:
        InputError: a number that cannot be meant.
    """
    if num < 1 or not 0 <= amplitude < np.inf or not 0 <= strain < 100:
        raise InputError(
            f"derive needs num of at least 1, an amplitude of at least 0 angstrom and a strain from 0 to 100 percent; got {num}, "
            f"{amplitude}, {strain}"
        )
    with jax.enable_x64(True):
        m, q = plan.atom_mask.shape
        size = min(num, max(1, int(_MEGABYTES * 2**20 / (m * m * q * 27 * 3 * 8))))
        padded = -(-num // size) * size
        normal = _normal(key, num=padded, width=6 + plan.mode_mask.shape[0])
        out = _move(jax.tree.map(jnp.asarray, plan), normal, jnp.float64(amplitude), jnp.float64(strain), size=size)
        return jax.tree.map(lambda a: np.asarray(a)[:num], out)


@jit(static_argnames=("num", "width"))
def _normal(key: Array, *, num: int, width: int) -> Array:
    """(num, CANDIDATES, width) normal numbers; row i depends on the key and i alone."""
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(num, dtype=jnp.uint32))
    return jax.vmap(lambda one: jax.random.normal(one, (CANDIDATES, width), float))(keys)


@jit(static_argnames="size")
def _move(plan: Plan, normal: Array, amplitude: Array, strain: Array, *, size: int) -> Batch:
    """All structures, `size` of them at a time."""
    return jax.lax.map(lambda one: _one(plan, one, amplitude, strain), normal, batch_size=size)


def _one(plan: Plan, normal: Array, amplitude: Array, strain: Array) -> Batch:
    """One structure from its candidates (CANDIDATES, 6 + k): strains first."""
    e, c = normal[:, :6] * plan.strain_mask, normal[:, 6:] * plan.mode_mask
    moves = jnp.einsum("ck,kmi->cmi", c, plan.modes, precision="highest")
    c = c * (amplitude / _positive(jnp.sqrt((moves**2).sum(-1)).max(-1)))[:, None]
    tensors = jnp.einsum("cs,sij->cij", e, plan.strain, precision="highest")
    e = e * (strain / 100 / _positive(jnp.abs(jnp.linalg.eigvalsh(tensors)).max(-1)))[:, None]
    margin = _margin(plan, c, e)
    best = jnp.argmax(margin)
    c, e = c[best], e[best]
    v = plan.v0 + jnp.einsum("k,kmi->mi", c, plan.free, precision="highest")
    x = plan.x0 + jnp.einsum("mij,mj->mi", plan.basis, v - jnp.floor(v), precision="highest")
    deformation = jnp.einsum("s,sij->ij", e, plan.strain, precision="highest")
    L = plan.L + plan.L @ deformation
    moved = jnp.einsum("k,kmi->mi", c, plan.modes, precision="highest")
    return Batch(
        x=x,
        L=L,
        amplitude=jnp.sqrt((moved**2).sum(-1)).max(),
        strain=100 * jnp.abs(jnp.linalg.eigvalsh(deformation)).max(),
        shortest=_shortest(plan, x, L),
        margin=margin[best],
    )


def _positive(values: Array) -> Array:
    """The values, 1 where they are 0 (nothing to scale)."""
    return jnp.where(values > 0, values, 1.0)


def _margin(plan: Plan, c: Array, e: Array) -> Array:
    """(candidates,) how far each draw is from the nearest larger group, angstrom."""
    atoms = jnp.maximum(plan.atom_mask.sum(), 1)
    away = jnp.einsum("ck,bkl,cl->cb", c, plan.breaks, c, precision="highest") / atoms
    bent = jnp.einsum("ck,bkl,cl->cb", e, plan.breaks_strain, e, precision="highest") * plan.length**2
    distance = jnp.sqrt(jnp.maximum(away, 0)) + jnp.sqrt(jnp.maximum(bent, 0))
    return jnp.where(plan.break_mask, distance, jnp.inf).min(-1)


def _shortest(plan: Plan, x: Array, L: Array) -> Array:
    """Shortest distance from a representative to another atom or image, searched in a reduced basis."""
    atoms = jnp.einsum("mqij,mj->mqi", plan.W, x, precision="highest") + plan.w
    rows = plan.reduced.T @ L
    delta = jnp.einsum("ij,mnqj->mnqi", plan.unreduced, atoms[None] - x[:, None, None], precision="highest")
    delta = delta - jnp.round(delta)
    steps = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=3)))
    square = (((delta[..., None, :] + steps) @ rows) ** 2).sum(-1)
    m, q = plan.atom_mask.shape
    first = jnp.arange(q)[None, None] == 0  # the first image of an orbit is its representative (identity first)
    itself = (jnp.arange(m)[:, None] == jnp.arange(m)[None])[..., None] & first
    home = (steps == 0).all(-1)
    live = plan.atom_mask[:, 0][:, None, None] & plan.atom_mask[None]
    square = jnp.where(live[..., None] & ~(itself[..., None] & home), square, jnp.inf)
    return jnp.sqrt(square.min())


def derive_structures(
    crystal: Crystal,
    relation: Relation,
    key: Array,
    *,
    num: int = 20,
    amplitude: float = 0.1,
    strain: float = 1.0,
    min_distance: float | None = None,
) -> Derived:
    """Structures of a crystal that keep a subgroup and no more.

    Args:
        crystal: with the operations of `relation.parent`.
        relation: G and H.
        key: PRNG key.
        num: structures to draw; colliding ones are left out of the result and counted.
        amplitude: largest displacement of an atom, angstrom.
        strain: largest principal strain, percent.
        min_distance: angstrom below which atoms collide; `MIN_SHARE` of the parent's shortest distance when left out.

    Raises:
        InputError: the crystal's atoms cannot have H and no more (by these freedoms); names the group that they do have.
    """
    modes = modes_of(split_crystal(crystal, relation))
    require_realized(modes, displacement=amplitude > 0, strain=strain > 0)
    limit = MIN_SHARE * shortest_distance(crystal) if min_distance is None else float(min_distance)
    return collect(modes, derive_batch(make_plan(modes), key, num, amplitude, strain), limit)


def require_realized(modes: Modes, *, displacement: bool = True, strain: bool = True) -> None:
    """Raises InputError where the freedoms used leave a larger group than H, and says which."""
    larger = (
        modes.realized if displacement and strain else realized_group(modes, displacement=displacement, strain=strain)
    )
    if larger is None:
        return
    relation = modes.split.relation
    used = {
        (True, True): "by any strain and displacement",
        (True, False): "without strain",
        (False, True): "without displacements",
    }
    raise InputError(
        f"this crystal cannot have {relation.symbol} ({relation.number}) of index {relation.index} and no more "
        f"{used.get((displacement, strain), 'without strain and displacements')}: its atoms then keep {larger.symbol} "
        f"({larger.number}), {larger.index} times as many operations"
    )


def collect(modes: Modes, batch: Batch, min_distance: float) -> Derived:
    """Crystals of a batch, colliding ones left out."""
    m = len(modes.split.orbits)
    good = np.flatnonzero(batch.shortest >= min_distance)
    bad = batch.shortest[batch.shortest < min_distance]
    return Derived(
        relation=modes.split.relation,
        modes=modes,
        crystals=[modes.split.crystal(L=batch.L[i], x=batch.x[i, :m]) for i in good],
        amplitude=batch.amplitude[good],
        strain=batch.strain[good],
        shortest=batch.shortest[good],
        skipped=len(bad),
        closest=float(bad.min(initial=np.inf)),
        min_distance=min_distance,
    )


def shortest_distance(crystal: Crystal) -> float:
    """Shortest distance between two atoms of a crystal, angstrom, over all images."""
    atoms = crystal.atoms()
    first = np.concatenate([[0], np.cumsum(crystal.multiplicity)[:-1]])
    return float(shortest_images(atoms.L, atoms.x, first, np.ones((len(first), len(atoms.z)))).min())
