"""Log coordinates of lattices: six coefficients k of a symmetric matrix S, with columns M = expm(S) A.

Owns `K_BASIS`, the maps between k, lattices and metrics, and cell parameters. A is the basis of the reference frame, so the
metric is G = M^T M = A^T expm(2 S) A; a lattice is recovered up to a rotation (the orientation in which M A^-1 is symmetric).
Lattice matrices have ROWS a, b, c in angstrom. k counts natural logarithms: k[5] = ln(volume / volume of A) / sqrt(3). Same idea
as the k coefficients of SymmCD (Levy et al., arXiv 2502.03638, appendix B), in an orthonormal basis and with the frame split off.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from symjax.errors import SymjaxError
from symjax.lattice.frames import FRAMES, FRAMES_INVERSE, to_float
from symjax.ops.types import namespace

Array = Any  # numpy or jax array


def _k_basis() -> np.ndarray:
    """Frobenius-orthonormal basis of the symmetric matrices: xy, xz, yz, two shears of the diagonal, the volume."""
    basis = np.zeros((6, 3, 3))
    for index, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        basis[index, i, j] = basis[index, j, i] = np.sqrt(0.5)
    for index, diagonal in zip((3, 4, 5), ((1, -1, 0), (1, 1, -2), (1, 1, 1)), strict=True):
        basis[index] = np.diag(np.array(diagonal) / np.linalg.norm(diagonal))
    basis.setflags(write=False)
    return basis


K_BASIS = _k_basis()


def lattice_from_log(k: Any, frame: Any) -> Array:
    """Lattices of log coefficients.

    Args:
        k: (..., 6).
        frame: (...) 0 or 1.

    Returns:
        L (..., 3, 3) with rows a, b, c in angstrom, right-handed. Differentiable in k to any order.
    """
    xp = namespace(k, frame)
    k = to_float(k, xp)
    S = xp.einsum("...i,ijk->...jk", k, xp.asarray(K_BASIS, dtype=k.dtype))
    A = xp.asarray(FRAMES, dtype=k.dtype)[xp.asarray(frame)]
    return xp.swapaxes(A, -1, -2) @ _expm(S, xp)


def log_from_lattice(L: Any, frame: Any) -> Array:
    """Log coefficients (..., 6) of lattices L (..., 3, 3) with rows a, b, c; frame (...) 0 or 1.

    Any orientation and handedness: only the metric counts.

    Raises:
        SymjaxError: (host arrays only) a lattice is singular or not finite.
    """
    return log_from_metric(metric(L), frame)


def log_from_metric(G: Any, frame: Any) -> Array:
    """Log coefficients (..., 6) of metric tensors G (..., 3, 3); frame (...) 0 or 1.

    Raises:
        SymjaxError: (host arrays only) a metric is not positive definite or not finite.
    """
    xp = namespace(G, frame)
    G = to_float(G, xp)
    inverse = xp.asarray(FRAMES_INVERSE, dtype=G.dtype)[xp.asarray(frame)]
    stretch = xp.swapaxes(inverse, -1, -2) @ G @ inverse  # expm(2 S)
    if xp is np:
        _require_positive(stretch)
        values, vectors = np.linalg.eigh(stretch)
        log = (vectors * np.log(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    else:
        log = _jax_logm()(stretch)
    return xp.einsum("...jk,ijk->...i", 0.5 * log, xp.asarray(K_BASIS, dtype=G.dtype))


def _require_positive(stretch: np.ndarray) -> None:
    """Raises for matrices that are no metric of a cell, naming the first."""
    bad = ~np.isfinite(stretch).all(axis=(-1, -2))
    values = np.linalg.eigvalsh(np.where(bad[..., None, None], np.eye(3), stretch))
    bad |= values[..., 0] <= 1e-12 * values[..., -1]
    if bad.any():
        first = np.argwhere(np.atleast_1d(bad))[0].tolist()
        raise SymjaxError(
            f"lattice {first} is singular or not finite ({int(bad.sum())} of {bad.size}): the three cell vectors must be finite "
            "and span a volume"
        )


def _expm(S: Array, xp: Any) -> Array:
    """Exponential of symmetric matrices.

    Host: eigenvectors. jax: the trace is split off and the rest is summed by scaling (2^6) and squaring a Taylor polynomial of
    degree 8, exact to rounding for coefficients up to about 10 (axis ratios up to exp(10)); it has no branches and no
    eigenvectors, so gradients are finite at equal eigenvalues, where cubic lattices sit.
    """
    if xp is np:
        values, vectors = np.linalg.eigh(S)
        return (vectors * np.exp(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    eye = xp.eye(3, dtype=S.dtype)
    third = xp.trace(S, axis1=-2, axis2=-1)[..., None, None] / 3
    X = (S - third * eye) / 64
    total = eye + X / 8
    for degree in range(7, 0, -1):  # Horner
        total = eye + X @ total / degree
    for _ in range(6):
        total = total @ total
    return xp.exp(third) * total


@cache
def _jax_logm() -> Any:
    """Logarithm of positive definite matrices under jax, with a derivative that is finite at equal eigenvalues.

    The derivative is the divided-difference formula of Daleckii and Krein; plain eigh has NaN there. First order only.
    """
    import jax
    import jax.numpy as jnp

    def decompose(X: Array) -> tuple[Array, Array]:
        values, vectors = jnp.linalg.eigh(X)
        return jnp.maximum(values, jnp.finfo(X.dtype).tiny), vectors

    @jax.custom_jvp
    def logm(X: Array) -> Array:
        values, vectors = decompose(X)
        return (vectors * jnp.log(values)[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)

    @logm.defjvp
    def logm_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        (X,), (dX,) = primals, tangents
        values, vectors = decompose(X)
        transposed = jnp.swapaxes(vectors, -1, -2)
        a, b = values[..., :, None], values[..., None, :]
        ratio = (a - b) / (a + b)  # (ln a - ln b) / (a - b) = 2 artanh(ratio) / (a - b), smooth at ratio 0
        small = jnp.abs(ratio) < 1e-2
        safe = jnp.where(small, 0.5, ratio)
        factor = jnp.where(small, 1 + ratio**2 / 3 + ratio**4 / 5, jnp.arctanh(safe) / safe)
        divided = 2 * factor / (a + b)
        inner = transposed @ (0.5 * (dX + jnp.swapaxes(dX, -1, -2))) @ vectors
        value = (vectors * jnp.log(values)[..., None, :]) @ transposed
        return value, vectors @ (divided * inner) @ transposed

    return logm


def metric(L: Any) -> Array:
    """Metric tensors G_ij = a_i . a_j (angstrom^2) of lattices L (..., 3, 3) with rows a, b, c."""
    xp = namespace(L)
    L = to_float(L, xp)
    return L @ xp.swapaxes(L, -1, -2)


def volume(L: Any) -> Array:
    """Cell volumes (...) in cubic angstrom (positive) of lattices L (..., 3, 3)."""
    xp = namespace(L)
    return xp.abs(xp.linalg.det(to_float(L, xp)))


def lattice_parameters(L: Any) -> Array:
    """Cell parameters (..., 6): a, b, c in angstrom, then alpha, beta, gamma in degrees, of L (..., 3, 3) with rows a, b, c."""
    xp = namespace(L)
    G = metric(L)
    lengths = xp.sqrt(xp.diagonal(G, axis1=-2, axis2=-1))
    cosines = xp.stack(
        [G[..., i, j] / (lengths[..., i] * lengths[..., j]) for i, j in ((1, 2), (0, 2), (0, 1))], axis=-1
    )
    angles = xp.degrees(xp.arccos(xp.clip(cosines, -1.0, 1.0)))
    return xp.concatenate([lengths, angles], axis=-1)


def lattice_from_parameters(parameters: Any) -> Array:
    """Lattices (..., 3, 3), rows a, b, c, from cell parameters (..., 6) in angstrom and degrees.

    a lies along x and b in the xy plane. Impossible angles give NaN.
    """
    xp = namespace(parameters)
    parameters = to_float(parameters, xp)
    a, b, c = (parameters[..., i] for i in range(3))
    cos = xp.cos(xp.radians(parameters[..., 3:]))
    sin_gamma = xp.sin(xp.radians(parameters[..., 5]))
    zero = xp.zeros_like(a)
    cx = cos[..., 1]
    cy = (cos[..., 0] - cos[..., 1] * cos[..., 2]) / sin_gamma
    square = 1 - cx**2 - cy**2
    cz = xp.where(square > 0, xp.sqrt(xp.where(square > 0, square, 1.0)), xp.nan)
    rows = [[a, zero, zero], [b * cos[..., 2], b * sin_gamma, zero], [c * cx, c * cy, c * cz]]
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
