"""Drawing sets of operations from the operation flow.

`flow` integrates from given noise and commutes with what the noise may undergo: rigid motions (see `from_ambient`), proper
relabellings of the basis, and, in its last stage, shifts of the origin. `sample_operations` draws noise and orders, snaps and
names. Randomness belongs to the crystal: one key each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from symjax.diffusion import rng
from symjax.errors import NotAGroupError
from symjax.groups.identify import identify
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, find_setting
from symjax.groups.tables import standard_frame, standard_setting, vocabulary
from symjax.lattice import K_BASIS
from symjax.models.symop.flow import process as p
from symjax.models.symop.flow.network import FlowNet, options_from_config
from symjax.models.symop.flow.representation import ORDERS, SIZES, lattice_coordinates, relabellings
from symjax.models.symop.flow.snap import mended_cocycle, rotations_close, snap, voted_group
from symjax.ops.types import DEN

Array = Any
BLOCK = {8: 64, 16: 48, 48: 16}
"""Crystals of each padded size that are drawn together."""


@dataclasses.dataclass(frozen=True)
class FlowSampling:
    """How the flow is integrated.

    Attributes:
        lattice, rotation, translation: steps of the three stages.
        agree_from: time of the second and of the third stage from which the tokens are made to agree (see `mode`).
        mode: "free" (each token by itself), "assigned" (tokens go to distinct elements), or "voted" (to distinct elements of
        one closed
            set, that with most votes, and translations follow the majority of all products). The flow goes on from there in
            each case.
    """

    lattice: int = 16
    rotation: int = 20
    translation: int = 24
    agree_from: float = 0.7
    mode: str = "voted"

    @property
    def early(self) -> int:
        """Steps of the rotations before the tokens are made to agree."""
        return round(self.agree_from ** (1 / 1.5) * self.rotation)

    @property
    def late(self) -> int:
        """The same of the translations."""
        return round(self.agree_from**0.5 * self.translation)

    @property
    def rotation_left(self) -> np.ndarray:
        """(rotation + 1,) what is left of the way of the rotations; short steps first, where the class is decided."""
        return 1 - (np.arange(self.rotation + 1) / self.rotation) ** 1.5

    @property
    def translation_left(self) -> np.ndarray:
        """(translation + 1,) what is left of the way of the translations; the same."""
        return 1 - (np.arange(self.translation + 1) / self.translation) ** 2


@flax.struct.dataclass
class FlowNoise:
    """Where the flow starts: k (b, 5), R (b, n, 3, 3) in the frame of the lattice, z (b, n, 3) complex."""

    k: Array
    R: Array
    z: Array


@flax.struct.dataclass
class FlowSets:
    """Where it ends.

    Attributes:
        W: (b, n, 3, 3) int32 and w: (b, n, 3) int32 in 24ths; what stands beyond the order of a set has no meaning.
        k: (b, 5) lattice.
        extra: (b, c, 3, 3) int32 near-isometries of the lattice.
        trace: None, or states over the flow time: k (t, b, 5), R (t, b, n, 3, 3), z (t, b, n, 3).
    """

    W: Array
    w: Array
    k: Array
    extra: Array
    trace: Any = None


def draw_noise(keys: Array, size: int) -> FlowNoise:
    """Noise of sets of `size` tokens, one key (b,) a crystal."""
    b = len(keys)
    k, R, real, imaginary = rng.split(keys, 4)
    return FlowNoise(
        p.SIGMA_K * rng.normal(k, (b, 5)),
        p.SIGMA_R * rng.normal(R, (b, size, 3, 3)),
        p.SIGMA_Z * jax.lax.complex(rng.normal(real, (b, size, 3)), rng.normal(imaginary, (b, size, 3))),
    )


def from_ambient(A: np.ndarray, R: np.ndarray, z: np.ndarray) -> tuple[FlowNoise, np.ndarray]:
    """Noise given in space: lattices A (b, 3, 3) with columns a, b, c of unit volume, right-handed, and tokens R (b, n, 3, 3).

    Returns:
        the same in the frame of the lattices, and the frames U (b, 3, 3), A = U S. A rotation of space turns U and nothing
        else, so what `in_space` returns turns with it.
    """
    G = np.swapaxes(A, 1, 2) @ A
    k = lattice_coordinates(G)
    values, vectors = np.linalg.eigh(G)
    U = A @ (vectors / np.sqrt(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    inner = np.swapaxes(U, 1, 2)[:, None] @ R @ U[:, None]
    return FlowNoise(jnp.asarray(k, jnp.float32), jnp.asarray(inner, jnp.float32), jnp.asarray(z)), U


def in_space(sets: FlowSets, U: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generated lattices and affine maps x -> R x + t in the frames U (b, 3, 3).

    Returns:
        A (b, 3, 3) with the vectors as columns, R (b, n, 3, 3), t (b, n, 3).
    """
    S, inverse = (np.asarray(x) for x in p.stretch(sets.k))
    A = U @ S
    R = A[:, None] @ np.asarray(sets.W) @ (inverse @ np.swapaxes(U, 1, 2))[:, None]
    return A, R, np.einsum("bij,bnj->bni", A, np.asarray(sets.w) / DEN)


def flow_lattice(net: FlowNet, params: Any, k: Array, cond: Array, steps: int) -> tuple[Array, Array]:
    """First stage: k (b, 5) from its noise to time `LATTICE_END`, and the states on the way (steps, b, 5)."""
    left = (1 - p.LATTICE_END) ** (np.arange(steps + 1) / steps)

    def step(k: Array, ends: Array) -> tuple[Array, Array]:
        estimate = net.apply(params, k, jnp.full(len(k), 1 - ends[0]), cond, method="lattice_estimate")
        k = estimate + (ends[1] / ends[0]) * (k - estimate)
        return k, k

    return jax.lax.scan(step, k, jnp.asarray(np.stack([left[:-1], left[1:]], 1), k.dtype))


def flow_rotations(
    net: FlowNet, params: Any, state: tuple[Array, Array], cond: Array, mask: Array, sampling: FlowSampling
) -> tuple[dict[str, Array], tuple]:
    """Second stage until the tokens are made to agree.

    Returns:
        k (b, 5), R (b, n, 3, 3), W (b, n, 3, 3) what each token would be now, extra (b, c, 3, 3) the near-isometries and mass
        (b, c) the votes for each; and the states on the way.
    """
    left = sampling.rotation_left[: sampling.early + 1]
    free = sampling.mode == "free"

    def step(state: tuple, ends: Array) -> tuple[tuple, tuple]:
        k, R = state
        out = net.apply(params, R, k, jnp.full(len(k), 1 - ends[0]), cond, mask, method="rotation_estimate")
        share = out["free"] if free else out["p"]
        estimate = jnp.einsum("bic,bcjk->bijk", share, out["R"])
        ratio = ends[1] / ends[0]
        state = out["k"] + ratio * (k - out["k"]), estimate + ratio * (R - estimate)
        index = jnp.argmax(share, -1) if free else p.greedy_assignment(out["score"], mask)
        W = jnp.take_along_axis(out["W"], index[..., None, None], 1)
        return state, (*state, W, out["W"], jnp.sum(share * mask[..., None], 1))

    ends = jnp.asarray(np.stack([left[:-1], left[1:]], 1), state[0].dtype)
    (k, R), (ks, Rs, Ws, extras, masses) = jax.lax.scan(step, state, ends)
    return {"k": k, "R": R, "W": Ws[-1], "extra": extras[-1], "mass": masses[-1]}, (ks, Rs)


def flow_agreed(
    net: FlowNet, params: Any, state: tuple, cond: Array, mask: Array, sampling: FlowSampling
) -> tuple[tuple[Array, Array], tuple]:
    """The rest of the second stage, with tokens on the way to elements W: (k, R, W) to (k, W), and the states on the way."""
    left = sampling.rotation_left[sampling.early :]
    k, R, W = state
    # each token to the element it is nearest to, none twice
    inner = jnp.einsum("bijk,bljk->bil", R, p.rotations(W, k))
    W = jnp.take_along_axis(W, p.greedy_assignment(jnp.where(mask[:, None], inner, -100.0), mask)[..., None, None], 1)

    def step(state: tuple, ends: Array) -> tuple[tuple, tuple]:
        k, R = state
        estimate = p.rotations(W, k)
        out = net.apply(params, R, k, jnp.full(len(k), 1 - ends[0]), cond, mask, method="rotation_estimate")
        ratio = ends[1] / ends[0]
        state = out["k"] + ratio * (k - out["k"]), estimate + ratio * (R - estimate)
        return state, state

    ends = jnp.asarray(np.stack([left[:-1], left[1:]], 1), k.dtype)
    (k, _), states = jax.lax.scan(step, (k, R), ends)
    return (k, W), states


def translate(
    net: FlowNet, params: Any, z: Array, state: tuple, sampling: FlowSampling, span: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Steps `span` of the third stage: noisy phases z (b, n, 3), at their canonical origin, over state = (W, k, cond, mask).

    Returns:
        translations (b, n, 3) in 24ths as the last step estimates them, its estimate of the phases, and the phases on the way.
    """
    W, k, cond, mask = state
    left = sampling.translation_left[span[0] : span[1] + 1]
    circle = p.phases(jnp.arange(DEN))

    def step(z: Array, ends: Array) -> tuple[Array, tuple]:
        logits = net.apply(params, z, W, k, jnp.full(len(k), 1 - ends[0]), cond, mask, method="translation_logits")
        estimate = jax.nn.softmax(logits, -1) @ circle
        z = estimate + (ends[1] / ends[0]) * (z - estimate)
        return z, (z, estimate, jnp.argmax(logits, -1).astype(jnp.int32))

    ends = jnp.asarray(np.stack([left[:-1], left[1:]], 1), k.dtype)
    _, (zs, estimates, ws) = jax.lax.scan(step, z, ends)
    return ws[-1], estimates[-1], zs


def flow_translations(
    net: FlowNet, params: Any, z: Array, W: Array, k: Array, cond: Array, mask: Array, sampling: FlowSampling
) -> Array:
    """Third stage without a vote: (b, n, 3) translations in 24ths from noise z (b, n, 3) complex over rotations W."""
    shift = p.canonical_origin_of_noise(W, z, mask)
    state = W, k, cond, mask
    w, _, _ = translate(net, params, z * p.origin_turn(W, shift), state, sampling, (0, sampling.translation))
    return p.shifted(W, w, -shift)


@partial(jax.jit, static_argnames=("net", "sampling"))
def _begin(net: FlowNet, params: Any, noise: FlowNoise, z: Array, order: Array, sampling: FlowSampling) -> tuple:
    """Lattice and rotations until the tokens are made to agree, in the canonical labelling."""
    label = p.canonical_label(noise.k)
    mask = jnp.arange(noise.R.shape[1]) < jnp.asarray(ORDERS)[order][:, None]
    cond = net.apply(params, z, order, method="condition")
    k, ks = flow_lattice(net, params, p.relabel_lattice(noise.k, label), cond, sampling.lattice)
    state = k, p.relabel_matrices(noise.R, label)
    found, (ks2, Rs) = flow_rotations(net, params, state, cond, mask, sampling)
    return found, (jnp.concatenate([ks, ks2]), Rs)


@partial(jax.jit, static_argnames=("net", "sampling"))
def _go_on(
    net: FlowNet, params: Any, noise: FlowNoise, z: Array, order: Array, state: tuple, sampling: FlowSampling
) -> tuple:
    """The rest of the rotations, and the translations until they are made to agree."""
    label, mask, cond = _given(net, params, noise, z, order)
    (k, W), states = flow_agreed(net, params, state, cond, mask, sampling)
    z = p.relabel_phases(noise.z, label)
    shift = p.canonical_origin_of_noise(W, z, mask)
    turn = p.origin_turn(W, shift)
    w, estimate, zs = translate(net, params, z * turn, (W, k, cond, mask), sampling, (0, sampling.late))
    return (k, W, shift, w, zs[-1], estimate), (*states, zs * jnp.conj(turn))


@partial(jax.jit, static_argnames=("net", "sampling"))
def _finish(
    net: FlowNet, params: Any, noise: FlowNoise, z: Array, order: Array, state: tuple, sampling: FlowSampling
) -> tuple:
    """The rest of the translations, and back to the labelling of the noise."""
    label, mask, cond = _given(net, params, noise, z, order)
    k, W, shift, w, phase, estimate = state
    left = float(sampling.translation_left[sampling.late])
    agreed = (1 - left) * p.phases(w) + (phase - (1 - left) * estimate) if sampling.mode == "voted" else phase
    span = sampling.late, sampling.translation
    w, _, zs = translate(net, params, agreed, (W, k, cond, mask), sampling, span)
    w, zs = p.shifted(W, w, -shift), zs * jnp.conj(p.origin_turn(W, shift))
    D = jnp.asarray(p.relabel_tables()[1])[label]  # orthogonal, so its transpose leads back
    W = jnp.rint(p.relabel_matrices(W, label, back=True)).astype(jnp.int32)
    return (W, p.relabel_translations(w, label, back=True), jnp.einsum("bij,bi->bj", D, k)), zs


def _given(net: FlowNet, params: Any, noise: FlowNoise, z: Array, order: Array) -> tuple[Array, Array, Array]:
    """Canonical labelling, mask of the tokens and condition."""
    mask = jnp.arange(noise.R.shape[1]) < jnp.asarray(ORDERS)[order][:, None]
    return p.canonical_label(noise.k), mask, net.apply(params, z, order, method="condition")


def agree(found: dict[str, np.ndarray], orders: np.ndarray) -> np.ndarray:
    """(b, n, 3, 3) int32 what the tokens go to: the closed set with most votes, where there is one of the order (host)."""
    W = np.array(found["W"], np.int32)
    for row, order in enumerate(orders.tolist()):
        if not rotations_close(W[row, :order]):
            group = voted_group(found["extra"][row], found["mass"][row], order)
            if group is not None:
                W[row, :order] = group
    return W


def agree_translations(W: np.ndarray, w: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """(b, n, 3) translations in 24ths that fit all products, nearest to those of the tokens, where such were found (host)."""
    w = np.array(w, np.int32)
    for row, order in enumerate(orders.tolist()):
        mended = mended_cocycle(W[row, :order], w[row, :order])
        if mended is not None:
            w[row, :order] = mended
    return w


def flow(
    net: FlowNet,
    params: Any,
    noise: FlowNoise,
    z: Array,
    order: Array,
    *,
    sampling: FlowSampling = FlowSampling(),
    trace: bool = False,
) -> FlowSets:
    """Sets and lattices from noise.

    Args:
        net, params: the flow.
        noise: of `draw_noise`.
        z: (b, m) elements of the orbits.
        order: (b,) index of `ORDERS`.
        sampling: steps and mode.
        trace: keep the states.
    """
    found, (ks, Rs) = _begin(net, params, noise, z, order, sampling)
    host = jax.device_get(found)
    W = agree(host, np.asarray(ORDERS)[np.asarray(order)]) if sampling.mode == "voted" else host["W"]
    state = found["k"], found["R"], jnp.asarray(W)
    (k, W, shift, w, phase, estimate), (ks2, Rs2, zs) = _go_on(net, params, noise, z, order, state, sampling)
    if sampling.mode == "voted":
        w = jnp.asarray(agree_translations(np.asarray(W), np.asarray(w), np.asarray(ORDERS)[np.asarray(order)]))
    (W, w, k), zs2 = _finish(net, params, noise, z, order, (k, W, shift, w, phase, estimate), sampling)
    kept = None
    if trace:
        parts = {"k": (ks, ks2), "R": (Rs, Rs2), "z": (zs, zs2)}
        kept = {name: np.concatenate([np.asarray(x) for x in some]) for name, some in parts.items()}
    back = np.asarray(relabellings()[0])[np.asarray(p.canonical_label(noise.k))]
    extra = back[:, None] @ host["extra"] @ np.swapaxes(back, 1, 2)[:, None]
    return FlowSets(W, w, k, extra, kept)


@dataclasses.dataclass(frozen=True)
class SampledOperations:
    """A generated set of operations and its lattice.

    Attributes:
        W: (n, 3, 3) and w: (n, 3) in 24ths: as generated.
        k: (5,) lattice coordinates as generated (unit volume, primitive basis).
        opset: the exact group; None where none was found.
        raw: whether the generated set is a group as it stands; rotations: whether its rotation parts are.
        kept: share of its operations in the exact group.
        trace: None, or the states over the flow time (k, R, z) in the canonical labelling of the noise.
    """

    W: np.ndarray
    w: np.ndarray
    k: np.ndarray
    opset: OpSet | None
    raw: bool
    rotations: bool
    kept: float
    trace: Any = None


def draw_orders(net: FlowNet, params: Any, keys: Array, z: Array) -> np.ndarray:
    """(b,) index of `ORDERS` drawn from the head of the order, one key a crystal."""
    logits = jax.jit(partial(net.apply, method="order_logits"))(params, z)
    return np.asarray(rng.categorical(rng.fold_in(keys, 1), logits))


def sample_operations(
    params: Any,
    config: Any,
    key: Array,
    z: np.ndarray,
    *,
    orders: Sequence[int] | None = None,
    rows: np.ndarray | None = None,
    sampling: FlowSampling = FlowSampling(),
    trace: bool = False,
) -> list[SampledOperations]:
    """Sets of operations for crystals with given elements.

    Args:
        params, config: weights of the flow (`symjax.train.weights.load_params`).
        key: of all; crystal i draws from its own, whatever else is drawn.
        z: (c, m) elements of the orbits, one entry an orbit, 0 as padding.
        orders: (c,) numbers of operations; drawn from the model where left out.
        rows: (c,) numbers of the crystals; 0 to c - 1 where left out.
        sampling, trace: see `flow`.
    """
    net = FlowNet(options_from_config(config["model"]["flow"]))
    z = np.asarray(z, np.int32)
    keys = rng.row_keys(key, np.arange(len(z)) if rows is None else rows)
    if orders is None:
        order = np.concatenate(
            [
                draw_orders(net, params, *_block((keys, z), start, 256))[: len(z) - start]
                for start in range(0, len(z), 256)
            ]
        )
    else:
        order = np.searchsorted(ORDERS, orders)
    size = np.asarray(SIZES)[np.searchsorted(SIZES, np.asarray(ORDERS)[order])]
    made: list[SampledOperations | None] = [None] * len(z)
    for n in SIZES:
        where = np.flatnonzero(size == n)
        for start in range(0, len(where), BLOCK[n]):
            part = where[(start + np.arange(BLOCK[n])) % len(where)]  # one shape a size
            sets = jax.device_get(
                flow(net, params, draw_noise(keys[part], n), z[part], order[part], sampling=sampling, trace=trace)
            )
            for row, i in enumerate(where[start : start + BLOCK[n]]):
                made[i] = _snapped(sets, row, ORDERS[order[i]])
    return [one for one in made if one is not None]


def _block(arrays: tuple, start: int, size: int) -> list:
    """Rows from `start` on, as many as `size`, the first ones again at the end."""
    index = (start + np.arange(size)) % len(arrays[1])
    return [a[index] for a in arrays]


def _snapped(sets: FlowSets, row: int, order: int) -> SampledOperations:
    W, w = sets.W[row, :order], sets.w[row, :order]
    found = snap(W, w, extra=sets.extra[row])
    trace = None if sets.trace is None else {name: values[:, row] for name, values in sets.trace.items()}
    return SampledOperations(W, w, sets.k[row], found.opset, found.raw, found.rotations, found.kept, trace)


def standard_sets(drawn: Sequence[SampledOperations]) -> tuple[np.ndarray, np.ndarray]:
    """Generated sets in the standard settings of their types, as the later stages read them.

    Returns:
        (c,) space-group numbers, 0 where no exact group was found, and (c, v) bool members over the vocabulary of operations.
    """
    vocab = vocabulary()
    numbers = np.array([0 if one.opset is None else identify(one.opset).number for one in drawn], np.int32)
    members = np.zeros((len(drawn), vocab.size), bool)
    for row, number in enumerate(numbers.tolist()):
        if number:
            members[row, vocab.indices(standard_setting(number), standard_frame(number))] = True
    return numbers, members


def standard_metric(one: SampledOperations) -> tuple[Setting, np.ndarray]:
    """The way of one generated set into its standard setting, and its lattice there.

    Returns:
        the setting (`symjax.groups.setting.Setting`, from the generated primitive basis), and the metric (3, 3) of the standard
        cell, averaged over the group; the primitive cell has volume one.

    Raises:
        NotAGroupError: no exact group was found for it.
    """
    if one.opset is None:
        raise NotAGroupError("no group was found for this generated set")
    values, vectors = np.linalg.eigh(np.einsum("i,ijk->jk", one.k.astype(float), K_BASIS[:5]))
    G = (vectors * np.exp(2 * values)) @ vectors.T
    W = np.asarray(one.opset.W)
    G = (np.swapaxes(W, 1, 2) @ G @ W).mean(0)
    G /= np.cbrt(np.linalg.det(G))
    setting = find_setting(one.opset, metric=G)
    return setting, setting.matrix.T @ G @ setting.matrix
