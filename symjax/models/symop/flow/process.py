"""The path from noise to a set of operations, and what couples the two ends.

One flow time tau in [0, 1] is staged: first the lattice leaves the noise, then the rotations over a lattice that is nearly
known, last the translations over rotations that are integers. Each variable moves on a straight line x = (1 - s) noise + s data
with its own time s.

The couplings take from the noise what the data leave open, so that nothing of it has to be learned: the noise of the lattice
says how the basis is labelled (of the 24 proper relabellings that nearest to it), the noise of the tokens which token becomes
which operation (assignment). Any such rule keeps the marginal of the data, because the data know neither (Klein et al.,
Equivariant flow matching, arXiv 2306.15030). The origin is no coupling: data and noise are each brought to one canonical origin of
their own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.lattice import K_BASIS
from symjax.models.symop.flow.representation import proper_alphabet, relabellings
from symjax.nn.partition import by_row
from symjax.ops.types import DEN

Array = Any
SIGMA_K, SIGMA_R, SIGMA_Z = 0.35, 0.577, 0.707
"""Standard deviation of the noise of k, of an entry of R, of the real and of the imaginary part of a phase."""
LATTICE_END = 0.9
"""Time of the lattice when the rotations start; the rest of its way is theirs."""
NUM_PROPER = 32
"""Near-isometries of determinant 1 that are candidates (a lattice has 24 at most); with their negatives twice as many."""
_CORNER = np.array([0.31, 0.17, 0.07, 0.83, 0.45])  # a direction in general position: picks one of 24 labelled lattices


def stretch(k: Array) -> tuple[Array, Array]:
    """S = exp(sum k_i B_i) and its inverse, (..., 3, 3), of k (..., 5): scaled by 16, Taylor to the sixth power, squared four
    times.

    Exact to float32 up to |k| = 4; shorter than `symjax.lattice.lattice_from_log`, whose every product is compiled by itself.
    """
    X = jnp.einsum("...i,ijk->...jk", k / 16, jnp.asarray(K_BASIS[:5], k.dtype))
    one = jnp.eye(3, dtype=k.dtype)
    square = X @ X
    cube = square @ X
    S = one + X + square / 2 + cube @ (one / 6 + X / 24 + square / 120 + cube / 720)
    for _ in range(4):
        S = S @ S
    a, b, c = S[..., 0, :], S[..., 1, :], S[..., 2, :]  # determinant one: the inverse is the adjugate
    return S, jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], -1)


def rotations(W: Array, k: Array) -> Array:
    """R = S W S^-1 (..., n, 3, 3) of W (..., n, 3, 3) in the frame of lattices k (..., 5)."""
    S, inverse = stretch(k)
    return S[..., None, :, :] @ W.astype(k.dtype) @ inverse[..., None, :, :]


@cache
def relabel_tables() -> tuple[np.ndarray, np.ndarray]:
    """`representation.relabellings` in float32."""
    Q, D = relabellings()
    return Q.astype(np.float32), D.astype(np.float32)


def canonical_label(k0: Array) -> Array:
    """(...) index of the relabelling that brings noise k0 (..., 5) into one fundamental domain.

    The networks only ever see that domain, so the flow commutes with all 24 relabellings whatever the parameters are.
    """
    D = jnp.asarray(relabel_tables()[1])
    return jnp.argmax(jnp.einsum("...a,qba,b->...q", k0, D, jnp.asarray(_CORNER, k0.dtype)), -1)


def nearest_label(k0: Array, k1: Array) -> Array:
    """(...) index of the relabelling that brings data k1 nearest to noise k0, (..., 5) each."""
    D = jnp.asarray(relabel_tables()[1])
    return jnp.argmax(jnp.einsum("...b,qba,...a->...q", k0, D, k1), -1)


def relabel_lattice(k: Array, label: Array) -> Array:
    """k (..., 5) in the basis A Q."""
    return jnp.einsum("...ba,...a->...b", jnp.asarray(relabel_tables()[1])[label], k)


def relabel_matrices(X: Array, label: Array, *, back: bool = False) -> Array:
    """Q^T X Q of matrices X (b, n, 3, 3); with `back` Q X Q^T."""
    Q = jnp.asarray(relabel_tables()[0])[label]
    Q = jnp.swapaxes(Q, -1, -2) if back else Q
    return jnp.einsum("bji,bnjk,bkl->bnil", Q, X.astype(Q.dtype), Q)


def relabel_translations(w: Array, label: Array, *, back: bool = False) -> Array:
    """Q^T w of translations (b, n, 3) in 24ths, in [0, 24); with `back` Q w."""
    Q = jnp.asarray(relabel_tables()[0])[label].astype(jnp.int32)
    Q = jnp.swapaxes(Q, -1, -2) if back else Q
    return jnp.mod(jnp.einsum("bji,bnj->bni", Q, w.astype(jnp.int32)), DEN)


def relabel_phases(z: Array, label: Array) -> Array:
    """Phases (b, n, 3) complex of translations after `relabel_translations`."""
    Q = jnp.asarray(relabel_tables()[0])[label]
    real = jnp.einsum("bji,bnj->bni", jnp.abs(Q), z.real)
    return jax.lax.complex(real, jnp.einsum("bji,bnj->bni", Q, z.imag))


_UPPER = np.array([[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])
_PLACE = ((0, 1, 2), (1, 3, 4), (2, 4, 5))  # where entry (i, j) of a symmetric matrix stands among the six


@cache
def _metric_maps() -> np.ndarray:
    """(6, 6, a) how each rotation part of the alphabet turns the six entries of a metric, G -> W^T G W."""
    W, maps = proper_alphabet().astype(np.float32), []
    for i, j in zip(*_UPPER, strict=True):
        G = np.zeros((3, 3), np.float32)
        G[i, j] = G[j, i] = 1
        maps.append((np.swapaxes(W, 1, 2) @ G @ W)[:, _UPPER[0], _UPPER[1]])
    return np.stack(maps, 0).transpose(2, 0, 1)


def candidates(k: Array) -> tuple[Array, Array, Array]:
    """Near-isometries of lattices k (b, 5), found among the alphabet by how far from orthogonal they are in the lattice.

    Returns:
        W (b, c, 3, 3) int32, R (b, c, 3, 3) and the defect |R^T R - 1|^2 (b, c), c = 2 `NUM_PROPER`; best ones first in each half.
    """
    alphabet, turned = jnp.asarray(proper_alphabet()), jnp.asarray(_metric_maps())
    S, inverse = stretch(k)
    G = S @ S
    H = inverse @ inverse
    # |R^T R - 1|^2 = tr(M M) - 2 tr M + 3 with M = (W^T G W) G^-1: entry by entry, since products of 792 small matrices are slow
    six = G[:, _UPPER[0], _UPPER[1]]
    moved = jnp.einsum("pqa,bq->pba", turned, six)  # six entries of W^T G W
    M = [[sum(moved[_PLACE[i][m]] * H[:, m, j, None] for m in range(3)) for j in range(3)] for i in range(3)]
    square = sum(M[i][j] * M[j][i] for i in range(3) for j in range(3))
    defect = square - 2 * (M[0][0] + M[1][1] + M[2][2]) + 3
    worst, index = by_row(lambda rows: jax.lax.top_k(rows, NUM_PROPER), -defect)
    W = alphabet[index]
    R = S[:, None] @ W.astype(k.dtype) @ inverse[:, None]
    defect = jnp.maximum(-worst, 0.0)
    return jnp.concatenate([W, -W], 1), jnp.concatenate([R, -R], 1), jnp.concatenate([defect, defect], 1)


def greedy_assignment(score: Array, mask: Array) -> Array:
    """(b, n) column of each row by taking the largest score again and again, each row and column once.

    Args:
        score: (b, n, m), m >= n.
        mask: (b, n) rows that count; the others come last and get what is left.
    """
    b, n, m = score.shape
    # scores that are almost equal must not be decided by rounding: rows that do not count lie below all that do
    low = jnp.min(score) - 1.0
    score = jnp.where(mask[:, :, None], score, low)
    rows = jnp.arange(b)

    def take(_: int, state: tuple) -> tuple:
        score, found = state
        at = jnp.argmax(score.reshape(b, -1), -1)
        i, j = at // m, at % m
        score = score.at[rows, i, :].set(-jnp.inf)
        score = score.at[rows, :, j].set(-jnp.inf)
        return score, found.at[rows, i].set(j)

    return jax.lax.fori_loop(0, n, take, (score, jnp.zeros((b, n), jnp.int32)))[1]


def assigned(logits: Array, mask: Array, rounds: int = 4) -> Array:
    """Probabilities (b, n, c) of tokens over candidates, with at most one token in all on each candidate (soft assignment).

    Sinkhorn rounds in which columns are only ever scaled down; rows sum to one.
    """
    p = jax.nn.softmax(logits, -1) * mask[..., None]
    for _ in range(rounds):
        p = p / jnp.maximum(jnp.sum(p, 1, keepdims=True), 1.0)
        p = p / jnp.maximum(jnp.sum(p, -1, keepdims=True), 1e-9)
        p = p * mask[..., None]
    return p


def phases(w: Array) -> Array:
    """exp(2 pi i w / 24) complex64 of translations in 24ths."""
    angle = (2 * np.pi / DEN) * w.astype(jnp.float32)
    return jax.lax.complex(jnp.cos(angle), jnp.sin(angle))


def shifted(W: Array, w: Array, p: Array) -> Array:
    """Translations (b, n, 3) after the origin moves by p (b, 3), all in 24ths: w + (W - 1) p."""
    return jnp.mod(w + jnp.einsum("bnij,bj->bni", W, p) - p[:, None], DEN)


def best_shift(W: Array, c: Array) -> Array:
    """(b, 3) shift p of the origin in 24ths, of all 24^3, for which the real part of sum c exp(2 pi i (W - 1) p / 24) is largest.

    Args:
        W: (b, n, 3, 3) int32 with entries -1, 0, 1.
        c: (b, n, 3) complex, zero in rows that do not count.
    """
    rows = (
        W - jnp.eye(3, dtype=W.dtype) + 2
    )  # entries 0 to 3: few distinct frequencies, so their coefficients are summed first
    place = (rows[..., 0] * 4 + rows[..., 1]) * 4 + rows[..., 2]
    bins = jax.nn.one_hot(place.reshape(len(W), -1), 64, dtype=c.real.dtype)
    total = jnp.einsum("bxf,bx->bf", bins.astype(c.dtype), c.reshape(len(W), -1)).reshape(-1, 4, 4, 4)
    wave = phases(jnp.mod((jnp.arange(4)[:, None] - 2) * jnp.arange(DEN), DEN))
    score = jnp.einsum("bxyz,xp,yq,zr->bpqr", total, wave, wave, wave, optimize=True).real
    best = jnp.argmax(score.reshape(len(W), -1), -1)
    return jnp.stack([best // DEN**2, best // DEN % DEN, best % DEN], -1)


def _any_angle(W: Array) -> Array:
    """(b, n, 3) complex numbers of size one without meaning, a function of the rotation part and the component alone."""
    code = jnp.sum(W.reshape(*W.shape[:-2], 9) * jnp.asarray(7 ** np.arange(9), jnp.int32), -1).astype(jnp.uint32)
    mixed = (code[..., None] + jnp.arange(3, dtype=jnp.uint32) * 40503) * jnp.uint32(2654435761)
    angle = ((mixed ^ (mixed >> 15)) % 4096).astype(jnp.float32) * (2 * np.pi / 4096)
    return jax.lax.complex(jnp.cos(angle), jnp.sin(angle))


def canonical_origin_of_noise(W: Array, z0: Array, mask: Array) -> Array:
    """(b, 3) shift of the origin in 24ths that brings noise z0 (b, n, 3) nearest to fixed phases of its rotations.

    The networks only ever see noise that was shifted so, and what they say is shifted back: the flow commutes with every shift on
    the grid whatever the parameters are.
    """
    return best_shift(W, jnp.where(mask[..., None], z0 * jnp.conj(_any_angle(W)), 0))


def canonical_origin(W: Array, w: Array, mask: Array) -> Array:
    """(b, 3) shift of the origin in 24ths after which translations w (b, n, 3) are as small as they can be.

    Of equal ones those are taken that fixed phases of the rotations prefer: equal sets have equal translations, wherever their
    origin was, so that each class of translations is one target and the elements can decide between them from time zero on.
    """
    return nearest_origin(W, w, 1 + 0.2 * _any_angle(W), mask)


def nearest_origin(W: Array, w: Array, z0: Array, mask: Array) -> Array:
    """(b, 3) shift of the origin in 24ths that brings the phases of translations w (b, n, 3) nearest to noise z0 (b, n, 3)."""
    return best_shift(W, jnp.where(mask[..., None], jnp.conj(z0) * phases(w), 0))


def origin_turn(W: Array, shift: Array) -> Array:
    """(b, n, 3) complex factors of the phases of translations when the origin moves by `shift` (b, 3) in 24ths."""
    return phases(shifted(W, jnp.zeros(W.shape[:-1], W.dtype), shift))


def product_table(W: Array, mask: Array) -> tuple[Array, Array]:
    """For each pair (i, k) the row j with W_i W_j = W_k.

    Args:
        W: (b, n, 3, 3) int32 with entries -1, 0, 1.
        mask: (b, n).

    Returns:
        (b, n, n) int32 j, and whether there is one (b, n, n) bool.
    """
    code = jnp.asarray(7 ** np.arange(9), jnp.int32)
    key = jnp.sum(W.reshape(*W.shape[:2], 9) * code, -1)
    key = jnp.where(mask, key, 10**9)  # no product has this one
    products = jnp.einsum("bxij,byjk->bxyik", W, W)
    keys = jnp.sum(products.reshape(*products.shape[:3], 9) * code, -1)
    keys = jnp.where(mask[:, :, None] & mask[:, None, :], keys, -(10**9))
    hit = keys[:, :, :, None] == key[:, None, None, :]  # (b, i, j, k)
    return jnp.argmax(hit, 2).astype(jnp.int32), hit.any(2)


def votes(U: Array, W: Array, table: tuple[Array, Array], mask: Array) -> Array:
    """What the other tokens say of each translation: mean over i of u_i times u_j turned by W_i, where W_i W_j = W_k.

    Moves with the origin exactly as the phases themselves: (W_k - 1) p.

    Args:
        U: (b, n, 3, m) complex phases or estimates of them, of size one at most.
        W: (b, n, 3, 3) int32.
        table: of `product_table`.
        mask: (b, n).

    Returns:
        (b, n, 3, m) complex.
    """
    j, valid = table
    other = jnp.take_along_axis(U[:, None], j[:, :, :, None, None], 2)  # (b, i, k, 3, m)
    row = W[:, :, None, :, :, None]  # (b, i, 1, c, d, 1)
    turned = other[:, :, :, None]  # (b, i, k, 1, d, m)
    powers = jnp.where(row == 0, 1.0 + 0j, jnp.where(row > 0, turned, jnp.conj(turned)))
    said = U[:, :, None] * powers[..., 0, :] * powers[..., 1, :] * powers[..., 2, :]
    said = jnp.where(valid[..., None, None], said, 0.0)
    return jnp.sum(said, 1) / jnp.maximum(jnp.sum(mask, -1), 1)[:, None, None, None]
