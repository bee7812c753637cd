"""Klassengleiche subgroups of a given index: those that keep every rotation part and give up translations.

A klassengleiche subgroup H of a space group G has a sublattice T' of G's lattice T that every rotation part maps onto itself, and
for each rotation part one operation of G modulo T', chosen so that the products close. With T' given by integer columns B (in
the primitive basis of G), the choices are translations tau of T modulo T' for a few generators; the rest follows from products,
and what does not close is dropped. All in integers.

H is maximal among all subgroups exactly if no invariant lattice lies strictly between T' and T; for a prime index none can.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from symjax.errors import InputError
from symjax.groups.identify import identify
from symjax.groups.integer import sublattices
from symjax.groups.primitive import PrimitiveForm, primitive_form
from symjax.groups.sets import OpSet
from symjax.groups.setting import generating_rows, rotation_products

MAX_INDEX = 8
"""Larger indices are refused where no type is given: the number of choices grows with a power of it."""
MAX_TARGET_INDEX = 27
"""The same where one type is asked for."""


@dataclass(frozen=True)
class KSubgroup:
    """A conjugacy class of klassengleiche subgroups H of a space group G.

    Attributes:
        index: [G : H] = det of `columns`, the number of primitive cells of G in one of H.
        number: space-group number of H.
        symbol: short international symbol of that type.
        columns: (3, 3) int64, a basis of H's lattice as columns in the primitive basis of G; every conjugate has this lattice,
            because G maps it onto itself.
        translations: (c, m, 3) int64 in units of 1/den, in the primitive basis of G: for each of c conjugates the translation
            parts of its operations modulo its lattice, in the order of `PrimitiveForm.W`. The first is the representative.
        den: denominator of the translations.
        maximal: whether no subgroup lies between H and G.
    """

    index: int
    number: int
    symbol: str
    columns: np.ndarray
    translations: np.ndarray
    den: int
    maximal: bool


def k_subgroups(opset: OpSet, index: int, *, number: int | None = None) -> list[KSubgroup]:
    """All klassengleiche subgroups of one index, one entry for each conjugacy class.

    Args:
        opset: one closed set in any basis, translations of the lattice included.
        index: 2 to `MAX_INDEX`, to `MAX_TARGET_INDEX` where a type is given.
        number: only subgroups of this type, where given.

    Returns:
        classes by type, then lattice, then translations.

    Raises:
        InputError: the index is out of range.
        NotAGroupError: the set is not closed.
    """
    largest = MAX_INDEX if number is None else MAX_TARGET_INDEX
    if not 2 <= index <= largest:
        raise InputError(f"the index of a klassengleiche subgroup must be 2 to {largest}, got {index}")
    form = primitive_form(opset)
    product = rotation_products(form.W)
    found = []
    for B in invariant_lattices(form.W, index):
        sections = _sections(form, product, B)
        maximal = _is_maximal(form.W, B, index)
        for conjugates in _classes(form, product, B, sections):
            named = identify(own_basis(form, B, conjugates[0]))
            if number not in (None, named.number):
                continue
            rows = np.array(conjugates, np.int64)
            found.append(KSubgroup(index, named.number, named.symbol, B, rows, form.den, maximal))
    return sorted(found, key=lambda one: (one.number, one.columns.tolist(), one.translations[0].tolist()))


def maximal_k_subgroups(opset: OpSet, index: int) -> list[KSubgroup]:
    """Those that no subgroup separates from the group. Arguments and order as `k_subgroups`."""
    return [one for one in k_subgroups(opset, index) if one.maximal]


def invariant_lattices(W: np.ndarray, index: int) -> list[np.ndarray]:
    """Sublattices of an index that every rotation part (m, 3, 3) maps onto themselves."""
    return [B for B in sublattices(index) if _inside(B, (W @ B).transpose(0, 2, 1).reshape(-1, 3)).all()]


def _inside(B: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(k,) whether integer vectors (k, 3) lie in the lattice of the columns of B (upper triangular)."""
    return (_reduced(B, vectors) == 0).all(axis=-1)


def _reduced(B: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(..., 3) the representative of each integer vector modulo the lattice of B: entry i in [0, B[i, i])."""
    out = np.array(vectors, np.int64)
    for i in (2, 1, 0):
        out -= (out[..., i] // B[i, i])[..., None] * B[:, i]
    return out


def _is_maximal(W: np.ndarray, B: np.ndarray, index: int) -> bool:
    """Whether no invariant lattice lies strictly between that of B and Z^3."""
    for smaller in range(2, index):
        if index % smaller == 0:
            for middle in invariant_lattices(W, smaller):
                if _inside(middle, B.T).all():
                    return False
    return True


def _sections(form: PrimitiveForm, product: np.ndarray, B: np.ndarray) -> list[np.ndarray]:
    """(m, 3) integer shifts tau for every choice that closes: operation a of H is (W_a, w_a + tau_a) modulo the lattice of B.

    A product (a)(b) of G is (W_ab, w_ab + d_ab) with d_ab in Z^3; closing asks for tau_a + W_a tau_b + d_ab = tau_ab modulo B.
    """
    W, size = form.W, len(product)
    moved = form.w[:, None] + np.einsum("aij,bj->abi", W, form.w) - form.w[product]
    carry = moved // form.den
    if (moved % form.den).any():
        raise AssertionError("a closed set has products that differ by lattice translations")
    chosen, words = generating_rows(product)
    shifts = np.array(list(itertools.product(*(range(int(B[i, i])) for i in range(3)))), np.int64)
    found = []
    for taus in itertools.product(range(len(shifts)), repeat=len(chosen)):
        tau, known = np.zeros((size, 3), np.int64), dict(zip(chosen, taus))
        for new, g, row in words:
            if new in known and row == 0:
                tau[new] = shifts[known[new]]
            else:
                tau[new] = shifts[known[g]] + W[g] @ tau[row] + carry[g, row]
        tau = _reduced(B, tau)
        gap = tau[:, None] + np.einsum("aij,bj->abi", W, tau) + carry - tau[product]
        if _inside(B, gap.reshape(-1, 3)).all():
            found.append(tau)
    return found


def _classes(
    form: PrimitiveForm, product: np.ndarray, B: np.ndarray, sections: list[np.ndarray]
) -> list[list[np.ndarray]]:
    """Sections put together that conjugation by operations of G maps onto each other; as translations in units of 1/den.

    An invariant lattice is kept by every conjugation, so conjugates share it. Conjugating by the translation n adds
    (1 - W_a) n to tau_a; conjugating by the operation g of G takes row a to row g a g^-1.
    """
    W, size, den = form.W, len(product), form.den
    inverse = np.argmax(product == 0, axis=1)
    shifts = np.array(list(itertools.product(*(range(int(B[i, i])) for i in range(3)))), np.int64)
    left = {tau.tobytes(): tau for tau in sections}
    classes = []
    while left:
        start = next(iter(left.values()))
        orbit = {start.tobytes(): start}
        for g in range(size):
            target = product[product[g], inverse[g]]  # row of g a g^-1
            full = form.w + den * start
            w = form.w[g] + full @ W[g].T - np.einsum("aij,j->ai", W[target], form.w[g])
            tau = np.zeros_like(start)
            tau[target] = (w - form.w[target]) // den
            for n in shifts:
                image = _reduced(B, tau + n - W @ n)
                orbit.setdefault(image.tobytes(), image)
        for key in orbit:
            left.pop(key)
        classes.append([form.w + den * tau for _, tau in sorted(orbit.items())])
    return classes


def own_basis(form: PrimitiveForm, B: np.ndarray, w: np.ndarray) -> OpSet:
    """A subgroup with lattice B (columns in the primitive basis of G) and translations w / den, in the basis of that lattice."""
    scale = int(round(abs(np.linalg.det(B))))
    adjugate = np.rint(np.linalg.inv(B) * scale).astype(np.int64)
    W = (adjugate @ form.W @ B) // scale
    den = form.den * scale
    w = (w @ adjugate.T) % den
    common = int(np.gcd.reduce(np.append(w.ravel(), den)))
    return OpSet(W=W.astype(np.int32), w=(w // common).astype(np.int32), mask=np.ones(len(W), bool), den=den // common)
