"""Subgroups by irreps: isotropy subgroups of order parameters, and the irreps by which a crystal goes from a group to a subgroup.

Owns `isotropy_relation`, `isotropy_subgroups`, `k_vectors`, `IrrepPart`, `irreps_of` and `primary_irreps`. G is in its standard
setting. An irrep takes part in G -> H if H keeps a vector of it; it is primary if what H keeps of it is kept by H and no more, so
that this order parameter alone leads from G to H. Where none is, the smallest sets that are together are given.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property

import numpy as np

from symjax.errors import InputError
from symjax.groups.integer import as_rows, hermite
from symjax.groups.irrep_names import NamedK, named_k
from symjax.groups.irreps import KVector
from symjax.groups.order_parameter import (
    Direction,
    RealIrrep,
    direction_text,
    directions,
    real_irreps,
    simplest_image,
    stabilizer,
)
from symjax.groups.primitive import primitive_form
from symjax.groups.sets import OpSet
from symjax.groups.setting import find_setting
from symjax.groups.tables import standard_setting
from symjax.navigate.relation import Relation
from symjax.ops import exact

_LARGEST_SET = 3


def isotropy_relation(
    number: int, pairs: list[tuple[RealIrrep, np.ndarray]], *, count: int = 0, metric: np.ndarray | None = None
) -> Relation:
    """The isotropy subgroup of order parameters, as a relation of the standard setting.

    Args:
        number: type of G.
        pairs: representations with a vector each; all must be kept.
        count: conjugates, where known (0: not asked).
        metric: by which the cell is chosen (see `find_setting`).

    Raises:
        InputError: too many operations to go through.
    """
    rows, steps, columns = stabilizer(pairs)
    irreps = pairs[0][0].named.irreps
    parent = standard_setting(number)
    C, unit = irreps.lattice, irreps.lattice_den  # primitive basis: columns C / unit in the conventional one
    basis = C @ columns  # of H's lattice, in units of 1/unit
    det = int(exact.determinant(basis))
    if det < 0:
        columns = columns[:, ::-1].copy()
        basis, det = C @ columns, -det
    adjugate = exact.cofactors(basis).T
    W = adjugate @ irreps.W[rows] @ basis // det
    w = irreps.w[rows] * unit + steps @ C.T * irreps.den  # in units of 1/(den unit), conventional basis
    den = irreps.den * det
    w = w @ adjugate.T  # in units of 1/den: basis^-1 = adjugate unit / det
    common = int(np.gcd.reduce(np.append(w.ravel() % den, den)))
    inner = OpSet(W=W.astype(np.int32), w=w % den // common, mask=np.ones(len(W), bool), den=den // common)
    setting = find_setting(inner, metric=metric, reference=(basis, unit))
    k_index = int(round(abs(np.linalg.det(columns))))
    return Relation(parent, setting, len(irreps.W) // len(rows), k_index, count)


def isotropy_subgroups(number: int, irrep: RealIrrep) -> list[tuple[Direction, Relation]]:
    """Every class of isotropy subgroups of an irrep, with its direction; few free components first.

    Raises:
        InputError: the image of the group in the irrep is too large to be listed.
    """
    return [(one, isotropy_relation(number, [(irrep, one.generic)], count=one.count)) for one in directions(irrep)]


def lattice_of(relation: Relation) -> np.ndarray:
    """(3, 3) int64 columns: a basis of H's lattice in the primitive basis of G."""
    parent, own = primitive_form(relation.parent), primitive_form(relation.subgroup)
    s = relation.setting
    columns = s.P @ own.columns  # in units of 1/(P_den source_den)
    unit = s.P_den * own.source_den
    det = int(exact.determinant(parent.columns))
    return exact.cofactors(parent.columns).T @ columns * parent.source_den // (det * unit)


def k_vectors(number: int, columns: np.ndarray) -> list[NamedK]:
    """The stars of all k-vectors that are 1 on a sublattice, GM first.

    Args:
        number: type of G in its standard setting.
        columns: (3, 3) int64 basis of the sublattice in the primitive basis of G.
    """
    form = primitive_form(standard_setting(number))
    found: dict[str, NamedK] = {}
    for k in dual_points(columns, form.columns, form.source_den):
        named = named_k(number, k)
        found.setdefault(named.text, named)
    return sorted(found.values(), key=lambda one: (one.name != "GM", not one.standard, one.name))


def dual_points(columns: np.ndarray, C: np.ndarray, C_den: int) -> list[KVector]:
    """k-vectors, in the conventional dual basis, that are integral on a sublattice; one modulo the reciprocal lattice of G."""
    det = int(round(abs(np.linalg.det(columns))))
    inverse = exact.cofactors(columns).T * int(np.sign(exact.determinant(columns)))  # det N^-1
    lower = hermite(as_rows(columns))  # rows of N span the m that give reciprocal lattice vectors
    box = np.array(list(itertools.product(*(range(int(v)) for v in np.diag(lower)))), np.int64)
    back = exact.cofactors(C).T * C_den  # C^-1 det C
    scale = int(exact.determinant(C))
    found = []
    for m in box:
        k = m @ inverse @ back  # in units of 1/(det scale)
        parts = [Fraction(int(v), det * scale) for v in k]
        den = int(np.lcm.reduce([v.denominator for v in parts]))
        found.append(KVector(np.array([int(v * den) for v in parts], np.int64), den))
    return found


def is_trivial(irrep: RealIrrep) -> bool:
    """Whether an irrep represents every operation by 1."""
    return irrep.named.name == "GM" and irrep.dim == 1 and bool((irrep.matrices > 0.5).all())


@cache
def real_irreps_of(number: int, k: str) -> tuple[RealIrrep, ...]:
    """The physically irreducible representations of a star, by the name or the coordinates of k (cached per process)."""
    named = named_k(number, KVector.of(k.split(",")) if "," in k else k)
    return tuple(real_irreps(named))


@dataclass(frozen=True)
class IrrepPart:
    """What a subgroup keeps of one irrep.

    Attributes:
        irrep: the representation.
        projector: (D, D) on Fix(H).
    """

    irrep: RealIrrep
    projector: np.ndarray

    @cached_property
    def relation(self) -> Relation:
        """G and the isotropy subgroup: the group of all that is kept of the irrep."""
        return isotropy_relation(self.irrep.named.number, [(self.irrep, self.generic)])

    @cached_property
    def index(self) -> int:
        """[G : isotropy subgroup]."""
        return _index([(self.irrep, self.generic)])

    @property
    def trivial(self) -> bool:
        """Whether the whole group keeps it."""
        return is_trivial(self.irrep)

    @property
    def dim(self) -> int:
        """Free components of the order parameter."""
        return round(float(np.trace(self.projector)))

    @property
    def generic(self) -> np.ndarray:
        """(D,) a vector of Fix(H) in general position."""
        return Direction(self.irrep, self.projector, 0).generic

    @property
    def text(self) -> str:
        """The direction in H's own conjugate, such as ``(0,a,a)``."""
        return direction_text(self.irrep, self.projector)

    @property
    def plain(self) -> str:
        """The simplest direction of the class, such as ``(a,a,0)``; as `text` where the class is too large to be looked through."""
        try:
            return direction_text(self.irrep, simplest_image(self.irrep, self.projector)[0])
        except InputError:
            return self.text


def irreps_of(number: int, relation: Relation, *, trivial: bool = False) -> list[IrrepPart]:
    """Every irrep of which a subgroup keeps a vector.

    Args:
        number: type of G.
        relation: of the standard setting of G to H.
        trivial: the one of which it keeps all among them.
    """
    W, w, den = relation.operations()
    s = relation.setting
    found = []
    for named in k_vectors(number, lattice_of(relation)):
        for irrep in real_irreps_of(number, named.name if named.standard else named.irreps.k.text[1:-1]):
            if is_trivial(irrep) and not trivial:
                continue
            projector = irrep.fixed_by(W, w, den, s.P, s.P_den)
            if np.trace(projector) > 0.5:
                found.append(IrrepPart(irrep, projector))
    return found


def primary_irreps(relation: Relation, parts: list[IrrepPart]) -> list[tuple[IrrepPart, ...]]:
    """The smallest sets of irreps (one if possible) whose order parameters together leave H and no more.

    Args:
        relation: G and H.
        parts: from `irreps_of`.
    """
    single: list[tuple[IrrepPart, ...]] = [(part,) for part in parts if part.index == relation.index]
    if single:
        return single
    for size in range(2, _LARGEST_SET + 1):
        found = [
            chosen
            for chosen in itertools.combinations(parts, size)
            if _index([(part.irrep, part.generic) for part in chosen]) == relation.index
        ]
        if found:
            return found
    return [tuple(parts)] if parts else []


def _index(pairs: list[tuple[RealIrrep, np.ndarray]]) -> int:
    """[G : H] of the common stabilizer."""
    rows, _, columns = stabilizer(pairs)
    return len(pairs[0][0].named.irreps.W) // len(rows) * int(round(abs(np.linalg.det(columns))))
