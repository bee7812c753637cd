"""A space group acting on the cosets of a subgroup, exactly: what lies between the two is read off this action.

Owns `Action`. A coset g H is named by one rotation part and one translation modulo the lattice of g H g^-1, so that everything is
integer arithmetic in the primitive basis of G. A group K with H <= K <= G is a union of cosets of H (a block of the action);
here it is a bit mask over the cosets, the coset H itself being bit 0. Unlike `symjax.navigate.cosets`, which divides by the
subgroup's cell in order to move atoms, this divides by the whole subgroup.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symjax.errors import InputError
from symjax.groups.identify import compact_basis, identify
from symjax.groups.integer import as_rows, hermite
from symjax.groups.primitive import PrimitiveForm, primitive_form
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, find_setting, generating_rows, rotation_products
from symjax.groups.tables import standard_setting
from symjax.ops import exact

MAX_COSETS = 400
"""Largest index [G : H] that is looked into."""


@dataclass(frozen=True)
class Action:
    """G on the left cosets of H, in the primitive basis of G.

    An element of G is a row of the primitive form and an integer translation n: (W_row, w_row + n). The coset of g is named by
    g h with the h that makes its row smallest, n reduced modulo the lattice of g H g^-1.

    Attributes:
        form: primitive form of G.
        product: (m, m) rows of products; carry: (m, m, 3) integer translations that products leave.
        rows: (q,) rows of H's rotation parts; shifts: (q, 3) their translations.
        best: (m,) position in `rows` of the h that brings a row to the name of its coset.
        places: (m,) place of the coset of rotation parts among the t of them.
        named: (t,) the row that names each; lattices: (t, 3, 3) Hermite rows of the lattice of g H g^-1.
        lattice: (3, 3) Hermite rows of H's own lattice.
    """

    form: PrimitiveForm
    product: np.ndarray
    carry: np.ndarray
    rows: np.ndarray
    shifts: np.ndarray
    best: np.ndarray
    places: np.ndarray
    named: np.ndarray
    lattices: np.ndarray
    lattice: np.ndarray

    @classmethod
    def of(cls, parent: OpSet, lower: Setting) -> Action:
        """The action of a group on the cosets of a subgroup.

        Args:
            parent: operations of G in any basis, modulo Z^3 of it.
            lower: type of H and (P, p) from that basis to its standard setting.

        Raises:
            InputError: H is not inside G, or its index is larger than `MAX_COSETS`.
            NotAGroupError: the parent's set is not closed.
        """
        form = primitive_form(parent)
        product = rotation_products(form.W)
        moved = form.w[:, None] + np.einsum("aij,bj->abi", form.W, form.w) - form.w[product]
        rows, shifts, basis = _inside(form, lower)
        index = len(form.W) // len(rows) * abs(int(exact.determinant(basis)))
        if index > MAX_COSETS:
            raise InputError(
                f"the subgroup has index {index}; groups in between are looked for up to index {MAX_COSETS}"
            )
        reached = product[:, rows]
        name, best = reached.min(axis=1), reached.argmin(axis=1)
        named, places = np.unique(name, return_inverse=True)
        lattices = np.array([hermite(as_rows((form.W[row] @ basis).T)) for row in named], np.int64)
        return cls(
            form,
            product,
            moved // form.den,
            rows,
            shifts,
            best,
            places.reshape(-1),
            named,
            lattices,
            hermite(as_rows(basis.T)),
        )

    @property
    def k_index(self) -> int:
        """Primitive cells of G in one of H."""
        return int(np.prod(np.diag(self.lattice)))

    @property
    def num(self) -> int:
        """[G : H]."""
        return len(self.named) * self.k_index

    @cached_property
    def elements(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) rows and (n, 3) translations of one element of each coset; the first is the identity."""
        rows, shifts = [], []
        for row, lattice in zip(self.named, self.lattices, strict=True):
            box = np.stack(np.meshgrid(*[np.arange(d) for d in np.diag(lattice)], indexing="ij"), axis=-1).reshape(
                -1, 3
            )
            rows.append(np.full(len(box), row))
            shifts.append(box)
        return np.concatenate(rows), np.concatenate(shifts)

    def times(self, a: tuple, b: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Products of elements given as (rows (...,), translations (..., 3)), a after b."""
        return self.product[a[0], b[0]], a[1] + (self.form.W[a[0]] @ b[1][..., None])[..., 0] + self.carry[a[0], b[0]]

    def inverse(self, a: tuple) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of one element."""
        row = np.asarray(int(np.argmax(self.product[a[0]] == 0)))
        return row, -(self.form.W[row] @ a[1] + self.carry[row, a[0]])

    def locate(self, element: tuple) -> np.ndarray:
        """(n,) positions of the cosets of elements (n,)."""
        h = self.best[element[0]]
        row, n = self.times(element, (self.rows[h], self.shifts[h]))
        place = self.places[row]
        lattice, n = self.lattices[place], np.array(n)
        number = place.copy()
        for i in range(3):
            count = lattice[:, i, i]
            n -= (n[:, i] // count)[:, None] * lattice[:, i]
            number = number * count + n[:, i]
        return number

    def left(self, element: tuple) -> np.ndarray:
        """(n,) where multiplication from the left by one element takes each coset."""
        rows, shifts = self.elements
        a = (np.broadcast_to(element[0], rows.shape), np.broadcast_to(element[1], shifts.shape))
        return self.locate(self.times(a, (rows, shifts)))

    @cached_property
    def generators(self) -> list[list[int]]:
        """Permutations of the cosets by generators of G: its rotation parts (few) and its lattice."""
        zero = np.zeros(3, np.int64)
        rows = [(np.asarray(row), zero) for row in generating_rows(self.product)[0]]
        units = [(np.asarray(0), unit) for unit in np.eye(3, dtype=np.int64)]
        distinct = {tuple(self.left(g).tolist()) for g in rows + units}
        return [list(move) for move in sorted(distinct - {tuple(range(self.num))})]

    def lower_moves(self) -> np.ndarray:
        """(g, n) permutations of the cosets by the operations of H and its lattice vectors."""
        own = [(np.asarray(row), shift) for row, shift in zip(self.rows, self.shifts, strict=True)]
        return np.array([self.left(g) for g in own + [(np.asarray(0), row) for row in self.lattice]])

    def conjugations(self) -> np.ndarray:
        """(s, n) permutations g H -> n g n^-1 H of the cosets, for one n of each coset of H in its normaliser."""
        moves = self.lower_moves()
        fixed = np.flatnonzero((moves == np.arange(self.num)).all(axis=0))
        rows, shifts = self.elements
        found = []
        for i in fixed:
            n = (rows[i], shifts[i])
            row, shift = self.inverse(n)
            right = self.times((rows, shifts), (np.broadcast_to(row, rows.shape), np.broadcast_to(shift, shifts.shape)))
            found.append(
                self.locate(self.times((np.broadcast_to(n[0], rows.shape), np.broadcast_to(n[1], shifts.shape)), right))
            )
        return np.array(found)

    def element(self, W: np.ndarray, w: np.ndarray, den: int) -> tuple[np.ndarray, np.ndarray]:
        """Row and translation of an operation (3, 3), (3,) over den in the parent's basis.

        Raises:
            InputError: it is not in G.
        """
        columns, unit = self.form.columns, self.form.source_den
        det, adjugate = int(exact.determinant(columns)), exact.cofactors(columns).T
        row = self.form.index.get(
            np.ascontiguousarray(adjugate @ np.asarray(W, np.int64) @ columns // det).tobytes(), -1
        )
        # adjugate w unit / (det den) - w_row / form.den, over det den form.den
        shift = adjugate @ np.asarray(w, np.int64) * (unit * self.form.den) - self.form.w[row] * (det * den)
        if row < 0 or (shift % (det * den * self.form.den)).any():
            raise InputError("an operation is not a member of the parent group")
        return np.asarray(row), shift // (det * den * self.form.den)

    def conjugate_setting(self, coset: int) -> Setting:
        """Type and setting of g H g^-1 for a coset g H: an improper g may turn H into the enantiomorphic type."""
        return self._setting(*self._conjugated(self.rows, self.shifts, self.lattice.T, coset))

    def key_of(self, block: int, coset: int = 0) -> bytes:
        """A name for g K g^-1 (g of a coset, K the group of a block): equal exactly for equal groups, whatever H they came from."""
        rows, shifts, columns = self._conjugated(*self._modulo_lattice(block), coset)
        order = np.argsort(rows)
        lattice, n = columns.T, shifts[order].copy()
        for i in range(3):
            n -= (n[:, i] // lattice[i, i])[:, None] * lattice[i]
        return b"".join(np.ascontiguousarray(a, np.int64).tobytes() for a in (lattice, rows[order], n))

    def _conjugated(
        self, rows: np.ndarray, shifts: np.ndarray, columns: np.ndarray, coset: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Elements and lattice (columns) after conjugation by the element of a coset."""
        g = (self.elements[0][coset], self.elements[1][coset])
        back, size = self.inverse(g), len(rows)
        ahead = (np.broadcast_to(g[0], (size,)), np.broadcast_to(g[1], (size, 3)))
        behind = (np.broadcast_to(back[0], (size,)), np.broadcast_to(back[1], (size, 3)))
        rows, shifts = self.times(self.times(ahead, (rows, shifts)), behind)
        return rows, shifts, hermite(as_rows((self.form.W[g[0]] @ columns).T)).T

    def proper(self) -> np.ndarray:
        """(n,) whether some element of the coset keeps handedness: conjugation by it keeps the type."""
        own = exact.determinant(self.form.W[self.rows]) < 0
        return (exact.determinant(self.form.W[self.elements[0]]) > 0) | own.any()

    def inside(self, other: Action) -> np.ndarray:
        """(n,) whether g H g^-1 lies in the subgroup M of another action of the same G: H leaves the coset g^-1 M where it is."""
        own = [(np.asarray(row), shift) for row, shift in zip(self.rows, self.shifts, strict=True)]
        own += [(np.asarray(0), row) for row in self.lattice]
        fixed = np.all([other.left(g) == np.arange(other.num) for g in own], axis=0)
        back = [self.inverse((row, shift)) for row, shift in zip(*self.elements, strict=True)]
        return fixed[other.locate((np.array([b[0] for b in back]), np.array([b[1] for b in back])))]

    def block_of(self, upper: Action) -> int:
        """The block of a group K between H and G, given as the subgroup of an action of the same G."""
        lattice = [(np.asarray(0), row) for row in upper.lattice]
        own = [(np.asarray(row), shift) for row, shift in zip(upper.rows, upper.shifts, strict=True)]
        reached = {0}
        moves = [self.left(g) for g in own + lattice]
        frontier = [0]
        while frontier:
            here = frontier.pop()
            for move in moves:
                if int(move[here]) not in reached:
                    reached.add(int(move[here]))
                    frontier.append(int(move[here]))
        return sum(1 << i for i in reached)

    def indices_of(self, block: int) -> tuple[int, int]:
        """(t, k) index in G of the group that a block stands for."""
        inside = members(block)
        t_index = len(self.named) // len(np.unique(self.elements[0][inside]))
        return t_index, self.num // (len(inside) * t_index)

    def conjugates_of(self, block: int) -> int:
        """Number of conjugates in G of the group K of a block: the index of its normaliser.

        The normaliser of K consists of those g for which K fixes the block g K.
        """
        inside = members(block)
        rows, shifts = self.elements
        blocks = np.full(self.num, -1)
        images: list[int] = []
        for i in range(self.num):
            if blocks[i] < 0:
                image = self.left((rows[i], shifts[i]))[inside]
                blocks[image] = len(images)
                images.append(i)
        fixed = np.ones(len(images), bool)
        for move in (*self.lower_moves(), *(self.left((rows[i], shifts[i])) for i in inside)):
            fixed &= blocks[move[images]] == np.arange(len(images))
        return len(images) // int(fixed.sum())

    def setting_of(self, block: int) -> Setting:
        """Type of the group of a block and the way from the parent's basis into its standard setting."""
        return self._setting(*self._modulo_lattice(block))

    def number_of(self, block: int) -> int:
        """Only the type of the group of a block; an order of magnitude quicker."""
        return identify(self._opset(*self._modulo_lattice(block))).number

    def _modulo_lattice(self, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, translations and lattice (columns) of the group of a block: one element for each rotation part."""
        inside = members(block)
        rows, shifts = self.elements[0][inside], self.elements[1][inside]
        columns = hermite(as_rows(np.concatenate([self.lattice, shifts[rows == 0]]))).T
        _, first = np.unique(rows, return_index=True)
        a, h = np.repeat(first, len(self.rows)), np.tile(np.arange(len(self.rows)), len(first))
        row, n = self.times((rows[a], shifts[a]), (self.rows[h], self.shifts[h]))
        return row, n, columns

    def _opset(self, rows: np.ndarray, shifts: np.ndarray, columns: np.ndarray) -> OpSet:
        """The group with these elements modulo the lattice of the columns (primitive basis of G), in that lattice's basis."""
        det, adjugate = int(exact.determinant(columns)), exact.cofactors(columns).T
        W = (adjugate @ self.form.W[rows] @ columns) // det
        den = self.form.den * det
        w = (self.form.w[rows] + self.form.den * shifts) @ adjugate.T % den
        return OpSet(W=W.astype(np.int32), w=w.astype(np.int32), mask=np.ones(len(W), bool), den=den)

    def _setting(self, rows: np.ndarray, shifts: np.ndarray, columns: np.ndarray) -> Setting:
        opset = self._opset(rows, shifts, columns)
        return find_setting(opset, metric=self.metric, reference=(self.form.columns @ columns, self.form.source_den))

    @cached_property
    def metric(self) -> np.ndarray:
        """(3, 3) an invariant metric of G in the parent's basis: what makes one cell of a subgroup simpler than another."""
        P, G = compact_basis(self.form.W)
        back = np.linalg.inv(self.form.columns @ P / self.form.source_den)
        return back.T @ G @ back


def _inside(form: PrimitiveForm, lower: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (q,) and translations (q, 3) of H's operations in G's primitive form, and H's lattice (columns) in that basis.

    Raises:
        InputError: some operation or translation of H is not in G.
    """
    table = primitive_form(standard_setting(lower.number))
    outside = InputError(f"{lower.symbol} ({lower.number}) in the setting given is not a subgroup of the parent group")
    det = int(exact.determinant(form.columns))
    to_primitive = exact.cofactors(form.columns).T * form.source_den  # over det
    basis, unit = to_primitive @ lower.P @ table.columns, det * lower.P_den * table.source_den
    if (basis % unit).any():
        raise outside
    basis = basis // unit
    volume = int(exact.determinant(basis))
    W = basis @ table.W @ exact.cofactors(basis).T
    if (W % volume).any():
        raise outside
    W = W // volume
    rows = np.array([form.index.get(one.tobytes(), -1) for one in np.ascontiguousarray(W)])
    if (rows < 0).any():
        raise outside
    # w' = B w + (1 - W) p, all in units of 1/common
    p, p_unit = to_primitive @ lower.p, det * lower.p_den
    common = math.lcm(table.den, p_unit, form.den)
    w = (
        table.w @ basis.T * (common // table.den)
        + (p - W @ p) * (common // p_unit)
        - form.w[rows] * (common // form.den)
    )
    if (w % common).any():
        raise outside
    return rows, w // common, basis


def members(block: int) -> np.ndarray:
    """Positions of the bits of a mask, ascending."""
    return np.array([i for i in range(block.bit_length()) if block >> i & 1], np.int64)
