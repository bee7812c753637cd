"""A closed set modulo its own translation lattice: one operation per rotation part, exactly, in a primitive basis (host).

Owns `PrimitiveForm`, which identification and properties share, the exact closure test that comes with it, and the solution
of origin shifts. Numpy only, no compilation, so a single set costs about a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from symjax.errors import NotAGroupError, SymjaxError
from symjax.groups.integer import as_rows, hermite, solve_torus
from symjax.groups.sets import OpSet
from symjax.ops import exact, symbols

_STABILIZER_BOUND = 48


@dataclass(frozen=True)
class PrimitiveForm:
    """G modulo all its translations, in a basis of them.

    Attributes:
        W: (m, 3, 3) int64, every rotation part once, the identity first; m is the order of the point group.
        w: (m, 3) int64 in units of 1/den, in [0, den).
        den: their denominator, in lowest terms.
        columns: (3, 3) int64, the primitive basis vectors as columns in units of 1/source_den of the old basis.
        source_den: denominator of the set that was given.
        num_translations: translations of the lattice in one old cell.
    """

    W: np.ndarray
    w: np.ndarray
    den: int
    columns: np.ndarray
    source_den: int
    num_translations: int

    @cached_property
    def index(self) -> dict[bytes, int]:
        """Row of each rotation part."""
        return {W.tobytes(): i for i, W in enumerate(self.W)}


def primitive_form(opset: OpSet, *, name: str = "the set of operations") -> PrimitiveForm:
    """Checks exactly that one set is a group and divides it by its translations.

    Args:
        opset: one set; padding is dropped.
        name: how an error calls it.

    Raises:
        NotAGroupError: the set is no group; names the first failing pair.
        SymjaxError: a batch, or a set without members.
    """
    mask = np.asarray(opset.mask)
    if mask.ndim != 1 or not mask.any():
        raise SymjaxError(f"{name}: one set with at least one operation is needed, got a mask of shape {mask.shape}")
    W, w = np.asarray(opset.W)[mask].astype(np.int64), np.asarray(opset.w)[mask].astype(np.int64) % opset.den
    form = _form(W.tobytes(), w.tobytes(), opset.den)
    if form is None:
        raise _not_a_group(W, w, opset.den, name)
    return form


@lru_cache(maxsize=256)
def _form(W: bytes, w: bytes, den: int) -> PrimitiveForm | None:
    """The form of a set given by its bytes (walks ask for the same ones over and over); None if it is no group."""
    form = _divide(np.frombuffer(W, np.int64).reshape(-1, 3, 3), np.frombuffer(w, np.int64).reshape(-1, 3), den)
    if form is None or not _closes(form):
        return None
    for array in (form.W, form.w, form.columns):
        array.setflags(write=False)
    return form


def _not_a_group(W: np.ndarray, w: np.ndarray, den: int, name: str) -> NotAGroupError:
    """The error that names what fails, found by forming all products on the host (no compilation)."""

    def describe(i: int) -> str:
        return f"operation {i} ({symbols.format_xyz(exact.Op(W[i], w[i]), den=den)})"

    rows = np.concatenate([W.reshape(-1, 9), w], axis=-1)
    index: dict[bytes, int] = {}
    for i, row in enumerate(rows):
        if (first := index.setdefault(row.tobytes(), i)) != i:
            return NotAGroupError(f"{name} is not a group: {describe(i)} repeats operation {first}")
    for i in range(len(W)):
        product = exact.compose(exact.Op(W[i], w[i]), exact.Op(W, w), den)
        for j, row in enumerate(np.concatenate([product.W.reshape(-1, 9), product.w], axis=-1)):
            if row.tobytes() not in index:
                result = symbols.format_xyz(exact.Op(product.W[j], product.w[j]), den=den)
                return NotAGroupError(
                    f"{name} is not a group: {describe(i)} after {describe(j)} gives {result}, which is no member"
                )
    return NotAGroupError(f"{name} is not a group of at most {_STABILIZER_BOUND} rotation parts")


def _divide(W: np.ndarray, w: np.ndarray, den: int) -> PrimitiveForm | None:
    """The primitive form if the set consists of whole cosets of its translations, all in place; else None."""
    if (np.abs(exact.determinant(W)) != 1).any():
        return None
    pure = (W == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    lattice = hermite(as_rows(np.concatenate([w[pure], den * np.eye(3, dtype=np.int64)])))
    columns = lattice.T.copy()
    volume = int(np.prod(np.diag(lattice)))
    num = den**3 // volume
    if not pure.any() or int(pure.sum()) != num or len(W) % num or len(_distinct(w[pure])[0]) != num:
        return None
    adjugate = exact.cofactors(columns).T  # volume * columns^-1
    scaled = exact.matmul(adjugate[None], exact.matmul(W, columns[None]))
    if (scaled % volume).any():
        return None  # a rotation does not keep the translations
    W_new, w_new = scaled // volume, exact.matvec(adjugate[None], w) % volume
    moved = np.concatenate([W_new.reshape(-1, 9), w_new], axis=-1)
    first, counts = _distinct(moved)
    rows = moved[first]
    if (counts != num).any() or len(_distinct(rows[:, :9])[0]) != len(rows) or len(rows) > _STABILIZER_BOUND:
        return None
    if len(_distinct(np.concatenate([W.reshape(-1, 9), w], axis=-1))[0]) != len(W):
        return None
    is_identity = (rows[:, :9] == np.eye(3, dtype=np.int64).ravel()).all(axis=-1)
    rows = np.concatenate([rows[is_identity], rows[~is_identity]])
    common = int(np.gcd.reduce(np.append(rows[:, 9:].ravel(), volume)))
    return PrimitiveForm(
        W=rows[:, :9].reshape(-1, 3, 3),
        w=rows[:, 9:] // common,
        den=volume // common,
        columns=columns,
        source_den=den,
        num_translations=num,
    )


_HASH = np.random.default_rng(0).integers(-(2**62), 2**62, 12)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct row of integers (n, up to 12) comes first, ascending, and how often it comes."""
    _, first, inverse, counts = np.unique(
        rows @ _HASH[: rows.shape[1]], return_index=True, return_inverse=True, return_counts=True
    )
    if (rows[first][inverse] != rows).any():  # two rows with one hash
        _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    return first[order], counts[order]


def _closes(form: PrimitiveForm) -> bool:
    """Whether the product of any two operations is one of them modulo the lattice."""
    target = rows_among(form.W, exact.matmul(form.W[:, None], form.W[None]).reshape(-1, 3, 3))
    if target is None:
        return False
    moved = (exact.matvec(form.W[:, None], form.w[None]) + form.w[:, None]).reshape(-1, 3)
    return bool(((moved - form.w[target]) % form.den == 0).all())


_KEYS = np.array([1, 3, 9, 27, 81, 243, 729, 2187, 6561], np.int64) * 1_000_003 + np.arange(9) ** 5


def rows_among(W: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Rows (b,) of distinct matrices (m, 3, 3) at which the matrices (b, 3, 3) stand; None if one is not among them."""
    keys, asked = W.reshape(-1, 9) @ _KEYS, wanted.reshape(-1, 9) @ _KEYS  # found by a hash, then compared
    order = np.argsort(keys, kind="stable")
    if (np.diff(keys[order]) == 0).any():  # two matrices with one hash
        index = {one.tobytes(): i for i, one in enumerate(np.ascontiguousarray(W, np.int64))}
        found = np.array([index.get(one.tobytes(), -1) for one in np.ascontiguousarray(wanted, np.int64)], np.int64)
        return None if (found < 0).any() else found
    at = order[np.minimum(np.searchsorted(keys[order], asked), len(keys) - 1)]
    return at if (W[at] == wanted).all() else None


def solve_origin(W: np.ndarray, difference: np.ndarray, den: int) -> tuple[np.ndarray, int] | None:
    """An origin shift p with (W - I) p = difference modulo Z^3 for all operations, or None: of all, the simplest.

    Arguments as `origin_solutions`; returns p (3,) int64 and its denominator.
    """
    solved = origin_solutions(W, difference, den)
    if solved is None:
        return None
    points, modulus = solved
    best = min(points.tolist(), key=lambda p: (sum(v != 0 for v in p), sum(p), p))
    return np.array(best, np.int64), modulus


def origin_solutions(W: np.ndarray, difference: np.ndarray, den: int) -> tuple[np.ndarray, int] | None:
    """All origin shifts p with (W - I) p = difference modulo Z^3, one of each connected family, or None.

    Args:
        W: (m, 3, 3) integers: a point group, or generators of one.
        difference: (m, 3) integers in units of 1/den.

    Returns:
        (k, 3) int64 in [0, 1) and their denominator.
    """
    rows = as_rows((W - np.eye(3, dtype=np.int64)).reshape(-1, 3))
    reduced: dict[tuple[int, ...], int] = {}  # equal rows must agree, and many repeat: keep one of each
    for row, value in zip(rows, (difference % den).reshape(-1).tolist(), strict=True):
        if reduced.setdefault(row, value) != value:
            return None
    reduced.pop((0, 0, 0), None)
    if any(not any(row) and value for row, value in zip(rows, (difference % den).reshape(-1).tolist(), strict=True)):
        return None
    if not reduced:
        return np.zeros((1, 3), np.int64), 1
    modulus = den * _STABILIZER_BOUND
    rhs = np.array([list(reduced.values())], np.int64) * _STABILIZER_BOUND
    try:
        _, points, _ = solve_torus(tuple(reduced), rhs, modulus)
    except ArithmeticError:  # a solution outside the denominators that a group can have: not a cocycle
        return None
    return (points, modulus) if len(points) else None
