"""How the Wyckoff positions of a group split in a subgroup, exactly, from the operations alone.

Owns `Splitter`, `PositionSplitting`, `SplitOrbit` and `split_coordinates`. A position of G is a flat x0 + B u. Its images under G
modulo the conventional cell of H are affine maps of u; two images are one atom exactly if the maps are equal modulo that cell, and
they are one orbit of H exactly if an operation of H takes one map to the other. Each orbit is put on the Wyckoff position of H that
holds it for generic u. No table is used, so every relation has an answer: any group, any subgroup, maximal or not.

Coordinates of the subgroup are those of its standard setting: x_H = P^-1 (W x + w - p), (W, w) an operation of G (conventions of
`symjax.navigate.relation`). Source: orbits of H on G / S_G; International Tables for Crystallography A1, chapter 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from symjax.errors import InputError, SymjaxError
from symjax.groups.integer import as_rows, right_inverse
from symjax.groups.properties import point_group
from symjax.groups.sets import OpSet
from symjax.groups.tables import standard_setting
from symjax.navigate.cosets import Cosets, cosets_of
from symjax.navigate.relation import Relation
from symjax.ops import exact
from symjax.wyckoff.positions import WyckoffPositions, wyckoff_positions

Array = Any  # numpy or jax array


@dataclass(frozen=True)
class SplitOrbit:
    """One orbit of H that an orbit of G splits into.

    Attributes:
        position: index of its Wyckoff position in `wyckoff_positions(relation.subgroup)`.
        multiplicity: atoms in the conventional cell of H's standard setting.
        site_order: order of its site-symmetry group in H.
        site_symmetry: point-group symbol of it.
        dof: free coordinates of the position.
        gained: those that the parent's free coordinates do not span (when this orbit is looked at alone).
        W: (3, 3) int64 and w: (3,) int64 in units of 1/den: the operation of G, in the parent's basis, whose image of the parent's
            representative is this orbit's representative.
        den: denominator of w.
        A: (3, 3) and c: (3,) float64: x_H = A x + c of the parent's representative x.
        v0: (3,) and V: (3, 3) float64: free coordinates on the position, x_H = x0_H + B_H (v0 + V u), zero where there is none.
        element: the coset (see `Cosets`) of the operation modulo H's cell.
        shift: (3,) int64, the translation of that very operation in the primitive basis, units of 1/unit.
    """

    position: int
    multiplicity: int
    site_order: int
    site_symmetry: str
    dof: int
    gained: int
    W: np.ndarray
    w: np.ndarray
    den: int
    A: np.ndarray
    c: np.ndarray
    v0: np.ndarray
    V: np.ndarray
    element: int
    shift: np.ndarray


@dataclass(frozen=True)
class PositionSplitting:
    """How one Wyckoff position of G splits.

    Attributes:
        position: its index in `wyckoff_positions(relation.parent)`.
        multiplicity: its atoms in the parent's cell.
        dof: its free coordinates.
        orbits: what it splits into, by position in H.
        image_of: (n,) for each coset Z_H g the image g x of the representative, numbered; n and order of `Cosets`.
        orbit_of: (i,) orbit of each image.
        op_of: (i,) operation of H (row of its standard setting) that takes that orbit's representative to it, modulo H's cell.
    """

    position: int
    multiplicity: int
    dof: int
    orbits: tuple[SplitOrbit, ...]
    image_of: np.ndarray
    orbit_of: np.ndarray
    op_of: np.ndarray


@cache
def standard_positions(number: int) -> WyckoffPositions:
    """Wyckoff positions of the standard setting of a type (cached per process)."""
    return wyckoff_positions(standard_setting(number))


@cache
def _site_symbols(number: int) -> tuple[str, ...]:
    """Point-group symbol of the site symmetry of each position."""
    W = np.asarray(standard_setting(number).W, np.int64)
    return tuple(point_group(W[stab])[0] for stab in standard_positions(number).stab)


def parent_positions(parent: OpSet) -> WyckoffPositions:
    """Wyckoff positions of a set, cached by its content (a parent is asked for many times)."""
    return _positions_by_content(
        np.asarray(parent.W, np.int32).tobytes(),
        np.asarray(parent.w, np.int32).tobytes(),
        np.asarray(parent.mask, bool).tobytes(),
        parent.den,
    )


@cache
def _positions_by_content(W: bytes, w: bytes, mask: bytes, den: int) -> WyckoffPositions:
    return wyckoff_positions(
        OpSet(
            W=np.frombuffer(W, np.int32).reshape(-1, 3, 3),
            w=np.frombuffer(w, np.int32).reshape(-1, 3),
            mask=np.frombuffer(mask, bool),
            den=den,
        )
    )


class Splitter:
    """Splits the positions of a relation's parent; what all positions share is worked out once.

    Args:
        relation: G and H.

    Raises:
        SymjaxError: the relation does not hold.
    """

    def __init__(self, relation: Relation):
        self.relation = relation
        self.parent = parent_positions(relation.parent)
        self.child = standard_positions(relation.number)
        self._known: dict[int, PositionSplitting] = {}

    @cached_property
    def cosets(self) -> Cosets:
        """G modulo the cell of H."""
        return cosets_of(self.relation.parent, self.relation.setting)

    def split(self, position: int) -> PositionSplitting:
        """How the parent's position of that index splits (kept).

        Raises:
            InputError: there is no such position.
        """
        if not 0 <= position < len(self.parent):
            raise InputError(f"the parent has positions 0 to {len(self.parent) - 1}, not {position}")
        if position not in self._known:
            self._known[position] = self._split(position)
        return self._known[position]

    def split_all(self) -> list[PositionSplitting]:
        """How every position of the parent splits."""
        return [self.split(i) for i in range(len(self.parent))]

    def _flat(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Point (3,) in units of 1/unit and directions (3, f), in the primitive basis, of the parent's flat."""
        s = self.cosets
        adjugate, det = exact.cofactors(s.C).T, int(exact.determinant(s.C))
        x0 = self.parent.x0[position] * s.unit
        start = np.rint(x0).astype(np.int64)
        if np.abs(x0 - start).max() > 1e-6:
            raise SymjaxError("a position's point is off the common denominator")
        B = np.rint(self.parent.basis[position][:, : int(self.parent.dof[position])]).astype(np.int64)
        return adjugate @ start * s.C_den // det, adjugate @ B * s.C_den // det

    def _split(self, position: int) -> PositionSplitting:
        s = self.cosets
        y0, D = self._flat(position)
        first, image_of = _distinct(s.reduce(s.W @ y0 + s.w), s.W @ D)
        # H on the images: (W_h, w_h) after the representative of each image
        count = len(first)
        orbits: list[SplitOrbit] = []
        orbit_of, op_of = np.full(count, -1, np.int64), np.zeros(count, np.int64)
        for image in range(count):
            if orbit_of[image] < 0:
                mine, element, shift = self._place(int(first[image]), image_of, y0, D)
                moved = self._after(element, shift)
                images = image_of[moved]
                hit, op = np.unique(images, return_index=True)
                orbit_of[hit], op_of[hit] = len(orbits), op
                orbits.append(self._orbit(mine, len(hit), element, shift, y0=y0, D=D))
        order = sorted(range(len(orbits)), key=lambda i: (orbits[i].position, i))
        rank = np.argsort(np.array(order))
        return PositionSplitting(
            position,
            int(self.parent.multiplicity[position]),
            D.shape[1],
            tuple(orbits[i] for i in order),
            image_of,
            rank[orbit_of],
            op_of,
        )

    def _after(self, element: int, shift: np.ndarray) -> np.ndarray:
        """(h,) cosets of the products (operation of H)(element with translation `shift`)."""
        s = self.cosets
        W = s.form.W[s.H_row]
        return s.index_of(s.product[s.H_row, s.row[element]], s.H_w + exact.matvec(W, shift))

    def _place(self, element: int, image_of: np.ndarray, y0: np.ndarray, D: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Position in H of the orbit through (element)(flat), and the member of the orbit on the position's own flat.

        Returns:
            the position, the coset and the translation (3,) of the operation, in units of 1/unit.
        """
        s, child = self.cosets, self.child
        unit = s.unit * s.volume  # of coordinates in H's basis
        cosets = self._after(element, s.w[element])
        members = cosets[np.unique(image_of[cosets], return_index=True)[1]]
        W, w = s.form.W[s.row[members]], s.w[members]
        z0 = (W @ y0 + w - s.q) @ s.adjugate.T
        E = s.adjugate @ (W @ D)
        for p in np.flatnonzero(child.multiplicity == len(members)):
            dof = int(child.dof[p])
            Q = np.rint(child.annihilator[p, : 3 - dof]).astype(np.int64)
            offset = (z0 - np.rint(child.x0[p] * unit).astype(np.int64)) @ Q.T
            on = np.flatnonzero((offset % unit == 0).all(axis=-1) & ((Q @ E) == 0).all(axis=(1, 2)))
            if len(on):
                one = int(on[0])
                cells = -right_inverse(as_rows(Q)) @ (offset[one] // unit)  # whole cells of H back to the flat itself
                v = np.linalg.inv(child.completion[p])[:dof] @ (z0[one] / unit + cells - child.x0[p])
                cells = cells - np.rint(child.basis[p][:, :dof]).astype(np.int64) @ np.floor(v + 1e-9).astype(np.int64)
                return int(p), int(members[one]), w[one] + s.M @ cells * s.unit
        name = self.relation.symbol
        raise SymjaxError(f"no position of {name} holds an orbit of {len(members)} atoms: the relation does not hold")

    def _orbit(
        self, position: int, multiplicity: int, element: int, shift: np.ndarray, *, y0: np.ndarray, D: np.ndarray
    ) -> SplitOrbit:
        s, child = self.cosets, self.child
        W, w, den = s.to_parent(int(s.row[element]), shift)
        inverse = np.linalg.inv(self.relation.setting.matrix)
        dof = int(child.dof[position])
        unit = s.unit * s.volume
        z0 = s.adjugate @ (s.form.W[s.row[element]] @ y0 + shift - s.q) / unit
        E = s.adjugate @ s.form.W[s.row[element]] @ D / s.volume
        to_free = np.linalg.inv(child.completion[position])[:dof]
        v0, V = np.zeros(3), np.zeros((3, 3))
        v0[:dof], V[:dof, : D.shape[1]] = to_free @ (z0 - child.x0[position]), to_free @ E
        return SplitOrbit(
            position=position,
            multiplicity=multiplicity,
            site_order=len(s.H) // multiplicity,
            site_symmetry=_site_symbols(self.relation.number)[position],
            dof=dof,
            gained=dof - D.shape[1],
            W=W,
            w=w,
            den=den,
            A=inverse @ W,
            c=inverse @ (w / den - self.relation.setting.origin),
            v0=v0,
            V=V,
            element=element,
            shift=shift,
        )


def _distinct(offsets: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First index and number of each distinct affine map, by offset (n, 3) and directions (n, 3, f)."""
    rows = np.ascontiguousarray(np.concatenate([offsets, directions.reshape(len(offsets), -1)], axis=1))
    packed = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return first, inverse.ravel()


def split_orbits(relation: Relation, positions: Sequence[int] | None = None) -> list[PositionSplitting]:
    """How positions of the parent split along one relation.

    Args:
        relation: G and H.
        positions: indices into `wyckoff_positions(relation.parent)`; all when left out.

    Raises:
        InputError: no such position.
        SymjaxError: the relation does not hold.
    """
    splitter = Splitter(relation)
    return splitter.split_all() if positions is None else [splitter.split(int(p)) for p in positions]


def split_coordinates(splitting: PositionSplitting | Sequence[SplitOrbit], x: Array) -> Array:
    """Coordinates in H of the representatives that a parent's representative splits into; numpy or jax, jit- and vmap-able.

    Args:
        splitting: of one position, or its orbits.
        x: (..., 3) representatives on the parent's flat, fractional in the parent's cell.

    Returns:
        (..., k, 3) one representative for each orbit, on the flat of its position in H (modulo nothing: the operation's own image).
    """
    orbits = splitting.orbits if isinstance(splitting, PositionSplitting) else splitting
    A, c = np.stack([o.A for o in orbits]), np.stack([o.c for o in orbits])
    if isinstance(x, np.ndarray):
        return np.einsum("kij,...j->...ki", A, x) + c
    import jax.numpy as jnp

    return jnp.einsum("kij,...j->...ki", jnp.asarray(A, x.dtype), x, precision="highest") + jnp.asarray(c, x.dtype)
