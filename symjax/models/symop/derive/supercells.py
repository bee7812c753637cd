"""Subgroups of a crystal's group that lose translations: its cell enlarged, so that tilts and orderings exist (host, exact).

By Hermann's theorem a subgroup H has a translation lattice T' inside the group's T. For each T' of index 2 to `max_cell`
(one of each class under the point group) the operations that keep T', modulo T', are a finite group; its subgroups without
further translations are the H of that cell. Of these only the ones stay that the atoms can tell from every larger group
(`symjax.models.symop.derive.reductions.attainable`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.errors import InputError
from symjax.groups.integer import as_rows, hermite, sublattices
from symjax.groups.primitive import PrimitiveForm, primitive_form
from symjax.groups.sets import OpSet
from symjax.groups.setting import make_setting
from symjax.models.symop.derive.reductions import CellAtoms, Reduction, attainable, fill, free_parameters, land, reduce
from symjax.models.symop.walk.set_lattice import subgroups
from symjax.ops import exact

MAX_CELL = 4
"""Largest enlargement of the primitive cell."""


@dataclass(frozen=True)
class Enlarged:
    """A conjugacy class of subgroups of one enlarged cell, with the parent described by it.

    Attributes:
        cell: index of its translations in those of the parent.
        index: [G : H].
        conjugates: subgroups in the class.
        free: strains and displacements of the parent's atoms that H leaves free.
        reduction: the parent by H; its setting is given from the parent's own basis.
    """

    cell: int
    index: int
    conjugates: int
    free: int
    reduction: Reduction


def enlarged_subgroups(parent: Crystal, max_cell: int) -> list[Enlarged]:
    """Every class of subgroups with a primitive cell 2 to `max_cell` times the parent's that its conventional cell does not hold.

    Raises:
        InputError: max_cell is not 1 to `MAX_CELL`.
    """
    if not 1 <= max_cell <= MAX_CELL:
        raise InputError(f"the cell can be enlarged 1 to {MAX_CELL} times, got {max_cell}")
    opset = OpSet(
        W=parent.W.astype(np.int32), w=parent.w.astype(np.int32), mask=np.ones(len(parent.W), bool), den=parent.den
    )
    form, atoms = primitive_form(opset), parent.atoms()
    found: list[Enlarged] = []
    for cell in range(2, max_cell + 1):
        for B, same in _lattices(form, cell):
            columns = form.columns @ B  # in units of 1/source_den of the parent's cell
            held = exact.cofactors(columns).T * form.source_den
            if not (held % exact.determinant(columns)).any():
                continue  # the conventional cell's own translations lie in it: a state of the walk in that cell
            found += _of_cell(form, B, atoms, cell=cell, same=same)
    return found


def _lattices(form: PrimitiveForm, index: int) -> list[tuple[np.ndarray, int]]:
    """One sublattice of each class under the point group, as columns in the primitive basis, and the size of the class."""
    found: list[tuple[np.ndarray, int]] = []
    known: set[tuple[int, ...]] = set()
    for B in sublattices(index):
        if _key(B) not in known:
            orbit = {_key(W @ B) for W in form.W}
            known |= orbit
            found.append((B, len(orbit)))
    return found


def _key(B: np.ndarray) -> tuple[int, ...]:
    """What names the lattice of integer columns."""
    return tuple(hermite(as_rows(B.T)).ravel().tolist())


def _of_cell(form: PrimitiveForm, B: np.ndarray, atoms: AtomicStructure, *, cell: int, same: int) -> list[Enlarged]:
    """Classes of one translation lattice B, columns in the primitive basis."""
    W, w, den = operations_modulo(form, B)
    lattice = subgroups(np.arange(len(W)), *_tables(W, w, den))
    columns = form.columns @ B
    C = columns / form.source_den
    x, index = fill(atoms.x, C, np.zeros(3))
    inside = AtomicStructure(L=C.T @ atoms.L, z=atoms.z[index], x=x, W=W, w=w, den=den)
    every = CellAtoms(np.arange(len(W)), inside, land(inside)[0])
    free = free_parameters(every, lattice.members)
    pure = (W == np.eye(3, dtype=W.dtype)).all((1, 2))
    good = attainable(lattice, free) & (lattice.members[:, pure].sum(1) == 1)
    return [
        Enlarged(
            cell=cell,
            index=len(form.W) * cell // int(lattice.members[i].sum()),
            conjugates=same * int((lattice.label == i).sum()),
            free=int(free[i]),
            reduction=_from_parent(reduce(every, lattice.members[i]), columns, form.source_den),
        )
        for i in lattice.classes
        if good[i]
    ]


def operations_modulo(form: PrimitiveForm, B: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Operations of a group that keep the lattice of B (columns in the primitive basis), modulo it and in its basis.

    Returns:
        (n, 3, 3) and (n, 3) int64 in units of the third.
    """
    adjugate, det = exact.cofactors(B).T, int(exact.determinant(B))
    turned = adjugate @ form.W @ B
    keeps = ~(turned % det).any((1, 2))
    shifts = np.stack(np.meshgrid(*[np.arange(n) for n in np.diag(B)], indexing="ij"), -1).reshape(-1, 3)
    w = form.w[keeps][:, None] + form.den * shifts
    W = np.repeat(turned[keeps] // det, len(shifts), axis=0)
    den = form.den * det
    return W, np.mod(w.reshape(-1, 3) @ adjugate.T, den), den


def _tables(W: np.ndarray, w: np.ndarray, den: int) -> tuple[np.ndarray, np.ndarray]:
    """Products `(n + 1, n + 1)` and inverses `(n,)` of a finite group of operations."""
    n = len(W)

    def code(W: np.ndarray, w: np.ndarray) -> np.ndarray:
        return (W.reshape(*W.shape[:-2], 9) + 8) @ 17 ** np.arange(9) * den**3 + np.mod(w, den) @ np.array(
            [1, den, den**2]
        )

    own = code(W, w)
    order = np.argsort(own)
    both = code(np.einsum("aij,bjk->abik", W, W), np.einsum("aij,bj->abi", W, w) + w[:, None])
    product = np.full((n + 1, n + 1), n, np.int32)
    product[:n, :n] = order[np.searchsorted(own[order], both)]
    identity = int(np.flatnonzero((product[:n, :n] == np.arange(n)).all(1))[0])
    return product, (product[:n, :n] == identity).argmax(1)


def _from_parent(found: Reduction, columns: np.ndarray, unit: int) -> Reduction:
    """The same with its setting from the parent's basis, of which the enlarged cell's vectors are columns in units of 1/unit."""
    s = found.setting
    setting = make_setting(s.number, s.symbol, (columns @ s.P, unit * s.P_den), (columns @ s.p, unit * s.p_den))
    return replace(found, setting=setting)
