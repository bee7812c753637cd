"""Is a set of operations a group? As a fast answer, as counts of what fails, and as an error for people.

Owns `is_group`, `defects`, `cayley_table`, `compose_pairs` and `check_group`. Everything is modulo Z^3 and exact.

`is_group` does not form all products. A finite set S is a group exactly if its rotation parts P form a group, its pure
translations T form a lattice, every rotation carries one coset t_a + T, and t_a + W_a t_b = t_ab modulo T; all members
must be different. `defects` and `cayley_table` do form all products, which says which pairs fail.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from symjax._later import is_tracer, jax, jit, jnp
from symjax.errors import NotAGroupError
from symjax.groups import sublattice
from symjax.groups.closure import check_opset, check_shapes, rotation_name
from symjax.groups.rotations import MAX_ROTATIONS, NUM_ROTATIONS, rotation_index, rotation_tables
from symjax.groups.sets import OpSet
from symjax.ops import exact, symbols

Array = Any


_PRODUCTS = 200_000  # products held at a time


class Defects(NamedTuple):
    """Counts of what keeps a set from being a group (all zero exactly for groups), and where it fails first.

    Attributes:
      closure: (...) int32 ordered pairs (i, j) whose product is no member.
      inverse: (...) int32 members whose inverse is no member.
      identity: (...) int32, 1 when the identity is missing.
      duplicate: (...) int32 members that repeat an earlier one.
      first_pair: (..., 2) int32 the first failing pair (i, j), -1 when there is none.
      first_inverse: (...) int32 the first member without inverse, -1 when there is none.
      first_duplicate: (...) int32 the first member that repeats an earlier one, -1 when there is none.
    """

    closure: Array
    inverse: Array
    identity: Array
    duplicate: Array
    first_pair: Array
    first_inverse: Array
    first_duplicate: Array


def _flat(opset: OpSet) -> tuple[Array, Array, Array]:
    """Batch axes merged into one, padding set to the identity."""
    n = np.shape(opset.mask)[-1]
    mask = jnp.asarray(opset.mask).reshape(-1, n)
    W = jnp.where(mask[..., None, None], jnp.asarray(opset.W).reshape(-1, n, 3, 3), jnp.eye(3, dtype=jnp.int32))
    w = jnp.where(mask[..., None], jnp.asarray(opset.w).reshape(-1, n, 3) % opset.den, 0)
    return W, w, mask


def is_group(opset: OpSet, *, method: str = "auto") -> Array:
    """Whether each set is a group modulo Z^3, its members all different: (...) bool. jit-able.

    Args:
      opset: (..., n) operations with a mask.
      method: "tables" answers for sets whose rotation parts are among the 64 of the tabulated settings and False for
        all others; "any" for every set; "auto" uses tables and, for sets with other rotation parts, "any"; a single
        numpy set is looked at in numpy then, which compiles nothing.

    Raises:
      InputError: shapes that do not fit, or a denominator above 512.
    """
    if method == "auto" and isinstance(opset.mask, np.ndarray) and opset.mask.ndim == 1:
        return np.bool_(not _failures(opset))
    check_opset(opset)
    if method == "auto":
        known = not is_tracer(opset.W) and _all_tabulated(opset)
        method = "tables" if known else "any"
    return _is_group(opset, method)


def _all_tabulated(opset: OpSet) -> bool:
    """Whether all rotation parts of concrete sets are among the 64."""
    return bool(_tabulated(opset.W, opset.mask))


@jit()
def _tabulated(W: Array, mask: Array) -> Array:
    return ((rotation_index(W, jnp) < NUM_ROTATIONS) | ~mask).all()


@jit(static_argnames=("method",))
def _is_group(opset: OpSet, method: str) -> Array:
    one = _is_group_by_tables if method == "tables" else _is_group_of_any
    W, w, mask = _flat(opset)
    return jax.vmap(partial(one, den=opset.den))(W, w, mask).reshape(opset.mask.shape[:-1])


def _fills_cosets(rank: Array, w: Array, lattice: Array, mask: Array, *, num_rotations: Array, den: int) -> Array:
    """Whether members with rotation number `rank` occupy every slot (rotation, lattice vector) exactly once."""
    n = len(mask)
    num_translations = sublattice.size(lattice, den)
    slot = rank * num_translations + sublattice.rank_in_coset(lattice, w, den)
    seen = jnp.zeros(n, bool).at[jnp.where(mask, slot, n)].set(True, mode="drop")
    count = mask.sum()
    return (num_rotations * num_translations == count) & (seen.sum() == count)


def _is_group_by_tables(W: Array, w: Array, mask: Array, *, den: int) -> Array:
    tables = rotation_tables()
    product = jnp.asarray(tables.product)
    rot = jnp.where(mask, rotation_index(W, jnp), NUM_ROTATIONS)
    present = jnp.zeros(NUM_ROTATIONS + 1, bool).at[rot].set(True).at[NUM_ROTATIONS].set(False)
    chain = []
    group = jnp.int32(0)
    group_mask, join = jnp.asarray(tables.group_mask), jnp.asarray(tables.join)
    for _ in range(5):  # no chain of subgroups from 1 to m-3m or 6/mmm has more steps
        missing = present & ~group_mask[group]
        y = jnp.where(missing.any(), jnp.argmax(missing), 0)
        chain.append(y)
        group = join[group, y]
    rotations_close = (present == group_mask[group]).all() & (group < len(tables.group_order) - 1) & present[0]
    rotations_close &= ~(mask & (rot == NUM_ROTATIONS)).any()
    lattice = sublattice.span(jnp.where((mask & (rot == 0))[:, None], w, 0), den)
    reduced = sublattice.reduce(lattice, w, den)
    t = jnp.zeros((NUM_ROTATIONS + 1, 3), jnp.int32).at[rot].set(reduced)
    one_coset = ((t[rot] == reduced).all(-1) | ~mask).all()
    generators = jnp.stack(chain)
    turned = exact.matvec(jnp.asarray(tables.W)[generators][:, None], t[None, :NUM_ROTATIONS]) + t[generators][:, None]
    difference = sublattice.reduce(lattice, (turned - t[product[generators][:, :NUM_ROTATIONS]]) % den, den)
    cocycle = ((difference == 0).all(-1) | ~present[None, :NUM_ROTATIONS]).all()
    moved = exact.matvec(jnp.asarray(tables.W)[generators][:, None], lattice[None]) % den
    invariant = (sublattice.reduce(lattice, moved, den) == 0).all()
    rank = (jnp.cumsum(present) - 1)[rot]
    filled = _fills_cosets(rank, w, lattice, mask, num_rotations=present.sum(), den=den)
    return rotations_close & one_coset & cocycle & invariant & filled


def _is_group_of_any(W: Array, w: Array, mask: Array, *, den: int) -> Array:
    n, size = len(mask), MAX_ROTATIONS
    name = jnp.where(mask, rotation_name(W), -1)
    first = jnp.argmax(name[:, None] == name[None, :], -1)
    names_true = ((W == W[first]).all((-1, -2)) | ~mask).all()  # two rotations of one name: no finite group
    leads = mask & (first == jnp.arange(n))
    num = leads.sum()
    at = jnp.nonzero(leads, size=size, fill_value=n - 1)[0]
    real = jnp.arange(size) < num
    P, P_name = W[at], jnp.where(real, name[at], -2)
    is_identity = (W == jnp.eye(3, dtype=jnp.int32)).all((-1, -2)) & mask
    lattice = sublattice.span(jnp.where(is_identity[:, None], w, 0), den)
    reduced = sublattice.reduce(lattice, w, den)
    one_coset = ((reduced[first] == reduced).all(-1) | ~mask).all()
    t = reduced[at]
    products = exact.matmul(P[:, None], P[None])
    same = rotation_name(products)[..., None] == P_name
    target = jnp.argmax(same, -1)
    pair = real[:, None] & real[None, :]
    closes = (same.any(-1) & (products == P[target]).all((-1, -2))) | ~pair
    difference = (exact.matvec(P[:, None], t[None]) + t[:, None] - t[target]) % den
    cocycle = (sublattice.reduce(lattice, difference, den) == 0).all(-1) | ~pair
    moved = sublattice.reduce(lattice, exact.matvec(P[:, None], lattice[None]) % den, den)
    invariant = (moved == 0).all((-1, -2)) | ~real
    rank = (jnp.cumsum(leads) - 1)[first]
    filled = _fills_cosets(rank, w, lattice, mask, num_rotations=num, den=den)
    good = closes.all() & cocycle.all() & invariant.all() & one_coset & names_true & filled
    return good & is_identity.any() & (num <= size)


@jit()
def cayley_table(opset: OpSet) -> Array:
    """(..., n, n) int32 index of the product "row after column" in the set; n where it is no member (or padding).

    Exact for rotation entries in -4..4 (every sensible basis); larger entries are compared too, but two members that
    agree modulo 2^32 in base 9 may hide each other. Of equal members the first is given.
    """
    W, w, mask = _flat(opset)
    n = mask.shape[-1]
    table = jax.lax.map(lambda row: _cayley(*row, den=opset.den), (W, w, mask))
    return table.reshape(*opset.mask.shape[:-1], n, n)


def _cayley(W: Array, w: Array, mask: Array, *, den: int) -> Array:
    """One table, by a sorted list of keys (rotation number, translation) and binary search."""
    n = len(mask)
    code = exact.rotation_code(W)
    firsts = jnp.argmax((code[:, None] == code[None, :]) & mask[None, :], -1).astype(jnp.int32)  # one number per W
    rot_codes, rot_of = jax.lax.sort_key_val(jnp.where(mask, code, jnp.iinfo(jnp.int32).max), firsts)
    key = jnp.where(mask, firsts * den**3 + exact.translation_code(w, den), jnp.iinfo(jnp.int32).max)
    keys, order = jax.lax.sort_key_val(key, jnp.arange(n, dtype=jnp.int32))
    pair_W = exact.matmul(W[:, None], W[None])
    at = jnp.minimum(jnp.searchsorted(rot_codes, exact.rotation_code(pair_W)), n - 1)
    rot = rot_of[at]
    known = (pair_W == W[rot]).all((-1, -2)) & mask[rot]
    pair_w = (exact.matvec(W[:, None], w[None]) + w[:, None]) % den
    wanted = rot * den**3 + exact.translation_code(pair_w, den)
    at = jnp.minimum(jnp.searchsorted(keys, wanted), n - 1)
    found = known & (keys[at] == wanted) & mask[:, None] & mask[None, :]
    return jnp.where(found, order[at], n)


@jit()
def defects(opset: OpSet) -> Defects:
    """Counts what keeps each set from being a group, by forming all products; see `Defects` and `cayley_table`."""
    W, w, mask = _flat(opset)
    found = jax.lax.map(lambda row: _defects(*row, den=opset.den), (W, w, mask))
    batch = opset.mask.shape[:-1]
    return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), found)


def _first(bad: Array) -> Array:
    return jnp.where(bad.any(), jnp.argmax(bad), -1).astype(jnp.int32)


def _defects(W: Array, w: Array, mask: Array, *, den: int) -> Defects:
    n = len(mask)
    table = _cayley(W, w, mask, den=den)
    pair = mask[:, None] & mask[None, :]
    fails = pair & (table == n)
    is_identity = mask & (W == jnp.eye(3, dtype=jnp.int32)).all((-1, -2)) & (w == 0).all(-1)
    # i j = e; decided on the operations themselves, since e need not be a member
    product_W = exact.matmul(W[:, None], W[None])
    product_w = (exact.matvec(W[:, None], w[None]) + w[:, None]) % den
    is_unit = (product_W == jnp.eye(3, dtype=jnp.int32)).all((-1, -2)) & (product_w == 0).all(-1)
    no_inverse = mask & ~(is_unit & pair).any(-1)
    same = (W[:, None] == W[None]).all((-1, -2)) & (w[:, None] == w[None]).all(-1) & pair
    repeats = (same & (jnp.arange(n)[None, :] < jnp.arange(n)[:, None])).any(-1)
    at = _first(fails.ravel())
    first_pair = jnp.where(at >= 0, jnp.stack([at // n, at % n]), -1).astype(jnp.int32)
    return Defects(
        closure=fails.sum(dtype=jnp.int32),
        inverse=no_inverse.sum(dtype=jnp.int32),
        identity=1 - is_identity.any().astype(jnp.int32),
        duplicate=repeats.sum(dtype=jnp.int32),
        first_pair=first_pair,
        first_inverse=_first(no_inverse),
        first_duplicate=_first(repeats),
    )


def check_group(opset: OpSet, *, name: str = "the set of operations") -> None:
    """Checks on the host that one set is a group; numpy only, so that no compilation delays the answer.

    Args:
      opset: one set, any denominator.
      name: how the message calls it (a file, a row).

    Raises:
      InputError: shapes that do not fit.
      NotAGroupError: saying what fails and naming the first offending operations.
    """
    reasons = _failures(opset)
    if reasons:
        raise NotAGroupError(f"{name} is not a group: " + "; ".join(reasons))


def _failures(opset: OpSet) -> list[str]:
    """What keeps one set from being a group, in words; empty for groups. All products, in numpy, some at a time."""
    check_shapes(opset)
    at = np.flatnonzero(np.asarray(opset.mask))
    op = exact.Op(np.asarray(opset.W)[at].astype(np.int64), np.asarray(opset.w)[at].astype(np.int64) % opset.den)
    n, den = len(at), opset.den
    seen: dict[bytes, int] = {}
    repeats = [i for i, key in enumerate(_row_keys(op)) if seen.setdefault(key, i) != i]
    reasons = []
    if _row_keys(exact.Op(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3), np.int64)))[0] not in seen:
        reasons.append("the identity (x,y,z) is missing")
    if repeats:
        reasons.append(f"{_describe(op, repeats[0], at, den)} repeats an earlier one")
    fails, said = 0, ""
    for rows in np.array_split(np.arange(n), max(-(-(n**2) // _PRODUCTS), 1)):
        product = exact.compose(exact.Op(op.W[rows, None], op.w[rows, None]), exact.Op(op.W[None], op.w[None]), den)
        wrong = [k for k, key in enumerate(_row_keys(product)) if key not in seen]
        if wrong and not fails:
            i, j = divmod(wrong[0], n)
            found = exact.Op(product.W[i, j].astype(np.int32), product.w[i, j].astype(np.int32))
            named = f"{_describe(op, int(rows[i]), at, den)} after {_describe(op, j, at, den)}"
            said = f"{named} gives {symbols.format_xyz(found, den=den)}, which is no member"
        fails += len(wrong)
    if fails:
        reasons.append(f"{said} ({fails} of {n**2} products are not)")
    return reasons


def _row_keys(op: exact.Op) -> list[bytes]:
    """The operations, flattened, as hashable bytes."""
    rows = np.concatenate([op.W.reshape(-1, 9), op.w.reshape(-1, 3)], -1).astype(np.int64)
    return [row.tobytes() for row in np.ascontiguousarray(rows)]


def _describe(op: exact.Op, i: int, at: np.ndarray, den: int) -> str:
    """Operation i for people: its place in the set as given and its x,y,z triplet."""
    one = exact.Op(op.W[i].astype(np.int32), op.w[i].astype(np.int32))
    return f"operation {at[i]} ({symbols.format_xyz(one, den=den)})"
