"""Supergroups of a distorted structure within a tolerance, with the symmetrized parents and what it takes to reach them.

Owns the walk up. One step from a group H adds one motion that the atoms nearly have and closes; of the groups made so the minimal
ones are kept. By Hermann's theorem a minimal supergroup is translationengleich (its rotation parts are integer in the primitive
basis of H) or klassengleich (H and translations), so that every step finds its motions in the primitive cell at hand, and
supergroups with much larger point groups and smaller cells come out as chains of steps. Averaging along a chain is averaging over
the last group, and root-mean-square displacements grow along it; so a walk that stops at the tolerance misses nothing within it, as
long as the tolerance is well below the distance of neighbours of one species (beyond, only the best assignment found is tried).

Displacements are those from the parent to the given atoms in angstrom, about the common centroid (the best rigid origin), measured
in the parent's lattice; strains are principal logarithmic strains from the parent's lattice to the given one. The parent's lattice
is the average of the logarithm of the metric, which keeps the volume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.groups.identify import identify
from symjax.groups.setting import Setting, find_setting
from symjax.navigate.motions import Distortion, Motions, closure, compose
from symjax.navigate.placing import nearest_origin, way_from_file
from symjax.navigate.pseudosymmetry import (
    centred,
    divide,
    exact_motions,
    has_more,
    left_cosets,
    log_strain,
    near_motions,
    near_rotations,
    symmetrize,
    symmetrized_lattice,
)

EXACT = 1e-5
"""Tolerance in angstrom at which a symmetrized structure is asked for its whole group."""
MAX_STRAIN = 0.3
"""A larger strain tolerance would match any lattice with any other."""
_SAME = 1e-6


@dataclass(frozen=True)
class Supergroup(Distortion):
    """A group G over the group H of the given structure, and the parent that has it.

    Attributes:
        number: space-group number of G.
        symbol: short international symbol.
        t_index: factor by which the point group grows from H to G.
        k_index: factor by which the primitive cell shrinks.
        minimal: whether no other group lies between H and G.
        cell: the symmetrized structure, in a reduced primitive cell of G about the centroid of its atoms.
        motions: G, one motion for each rotation part, in that cell.
        columns: (3, 3) that cell's basis as columns in the reduced primitive cell of H, and
        origin: (3,) its origin there.
        atom: (n,) which atom of the parent each of the n atoms in H's primitive cell is an image of.
        displacement: (n, 3) from the parent to the given atoms, Cartesian, angstrom.
        strain: (3,) principal logarithmic strains from the parent's lattice to the given one.
        num_equivalent: supergroups of this type with the same figures (conjugate under the normalizer of H), this one included.
        chain: one way up from H by steps: numbers of the groups, H first, G last.
    """

    number: int
    symbol: str
    t_index: int
    k_index: int
    minimal: bool
    cell: AtomicStructure
    motions: Motions
    columns: np.ndarray
    origin: np.ndarray
    atom: np.ndarray
    displacement: np.ndarray
    strain: np.ndarray
    num_equivalent: int = 1
    chain: tuple[int, ...] = ()

    @property
    def parent(self) -> AtomicStructure:
        """The symmetrized structure for other programs."""
        return self.cell.wrapped()

    @property
    def index(self) -> int:
        """[G : H]."""
        return self.t_index * self.k_index

    @property
    def amplitude(self) -> float:
        """Of all order-parameter displacements together, angstrom in the primitive cell of H."""
        return float(np.sqrt((self.displacement**2).sum()))

    def amplitude_of(self, z: np.ndarray) -> dict[int, float]:
        """The same by atomic number; z (n,) of the atoms in the primitive cell of H."""
        square = (self.displacement**2).sum(axis=1)
        return {int(s): float(np.sqrt(square[z == s].sum())) for s in np.unique(z)}


@dataclass(frozen=True)
class Search:
    """What was found over a structure.

    Attributes:
        number: space-group number of H, the group of the structure itself.
        symbol: its symbol.
        cell: the structure in a reduced primitive cell of H, as given (not averaged), about the centroid.
        motions: H in that cell.
        supergroups: by index, then displacement; equivalent ones as one.
        complete: False where the walk was cut short at ``max_groups``.
        way: (C, o) that cell in the axes of the structure as given, x = C y + o (`symjax.navigate.placing.way_from_file`).
    """

    number: int
    symbol: str
    cell: AtomicStructure
    motions: Motions
    supergroups: list[Supergroup]
    complete: bool
    way: tuple[np.ndarray, np.ndarray]

    def setting_of(self, found: Supergroup) -> Setting:
        """From a supergroup's own cell to its standard setting, the origin simple in the axes of the structure as given."""
        C, o = self.way
        setting = find_setting(found.motions.opset(), metric=found.cell.metric)
        return nearest_origin(setting, C @ found.columns, o + C @ found.origin)


@dataclass
class _Node:
    """A group on the way up: its arrangement in its own primitive cell, and the given atoms symmetrized by it."""

    number: int
    symbol: str
    primitive: AtomicStructure
    motions: Motions
    columns: np.ndarray
    origin: np.ndarray
    atom: np.ndarray
    x: np.ndarray  # (n, 3) in H's cell
    L: np.ndarray  # rows of H's cell, symmetrized
    chain: tuple[int, ...]
    above: list[int] = field(default_factory=list)

    @property
    def order(self) -> float:
        """Operations in the volume of H's cell."""
        return len(self.motions) / abs(float(np.linalg.det(self.columns)))

    def same(self, other: _Node) -> bool:
        """Whether two nodes are one structure, and so one group."""
        return (
            self.number == other.number
            and len(self.primitive.z) == len(other.primitive.z)
            and np.allclose(self.L, other.L, atol=1e-5)
            and np.allclose(self.x @ self.L, other.x @ self.L, atol=1e-4)
        )


@dataclass(frozen=True)
class _Limits:
    """Tolerances of one search."""

    tolerance: float
    strain: float
    max_groups: int

    def may_go_on(self, base: AtomicStructure, node: _Node) -> bool:
        """Whether something above a node may still be within the tolerances: what is compared grows along every chain."""
        gap = (base.x - node.x) @ node.L
        strain = log_strain(node.L @ node.L.T, base.metric)
        return bool(
            np.sqrt((gap**2).sum(axis=1).mean()) <= self.tolerance * np.exp(self.strain)  # lattices differ on the way
            and np.sqrt((strain**2).sum()) <= np.sqrt(3) * self.strain + 1e-9
        )

    def within(self, found: Supergroup) -> bool:
        """Whether a supergroup is within both tolerances."""
        return found.max_displacement <= self.tolerance and found.max_strain <= self.strain


def find_supergroups(
    structure: AtomicStructure,
    *,
    tolerance: float = 0.2,
    strain_tolerance: float = 0.05,
    symprec: float = 1e-3,
    max_groups: int = 400,
    progress: Callable[[int, int], None] | None = None,
) -> Search:
    """All supergroups whose symmetrized parent lies within the tolerances of a structure.

    Args:
        structure: atoms as measured or computed, any cell.
        tolerance: largest displacement of an atom from the parent, angstrom.
        strain_tolerance: largest principal logarithmic strain of the lattice from the parent's.
        symprec: tolerance of the structure's own group, angstrom.
        max_groups: how many groups the walk looks at before it stops (`Search.complete` tells).
        progress: called with the numbers of groups done and known.

    Raises:
        InputError: tolerances that cannot be meant.
    """
    for name, value in (("tolerance", tolerance), ("strain tolerance", strain_tolerance), ("symprec", symprec)):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"the {name} must be a positive number, got {value}")
    if tolerance < symprec:
        raise InputError(
            f"the tolerance of supergroups ({tolerance}) must not be below that of the own group ({symprec})"
        )
    if strain_tolerance > MAX_STRAIN:
        raise InputError(f"the strain tolerance must be at most {MAX_STRAIN:.0%}, got {strain_tolerance:.0%}")
    limits = _Limits(tolerance, strain_tolerance, max_groups)
    base, start = _start(structure, symprec)
    nodes, waiting, done = [start], [0], 0
    while waiting and done < max_groups:
        # Largest group first: a walk that is cut short has seen the minimal supergroups and the highest parents.
        here = max(waiting, key=lambda at: (nodes[at].order, -at))
        waiting.remove(here)
        for candidate in _above(base, nodes[here], limits):
            at = next((i for i, known in enumerate(nodes) if candidate.same(known)), len(nodes))
            if at == len(nodes):
                nodes.append(candidate)
                waiting.append(at)
            if at not in nodes[here].above:
                nodes[here].above.append(at)
        done += 1
        if progress is not None:
            progress(done, len(nodes))
    return _collect(base, nodes, limits, complete=not waiting, way=way_from_file(structure, base))


def _start(structure: AtomicStructure, symprec: float) -> tuple[AtomicStructure, _Node]:
    """The structure in its primitive cell, and the node of its own group."""
    base = centred(structure)
    motions = exact_motions(base, symprec, translations=True)
    while (motions.W == np.eye(3, dtype=np.int64)).all(axis=(1, 2)).sum() > 1:
        primitive, _, columns, atom = divide(symmetrize(base, motions), motions)
        first = np.unique(atom, return_index=True)[1]
        # The raw atoms, one of each translation-equivalent set, at the images that the primitive cell uses.
        y = base.x[first] @ np.linalg.inv(columns).T
        base = AtomicStructure(L=columns.T @ base.L, z=primitive.z, x=y - y.mean(axis=0))
        motions = exact_motions(base, symprec)
    motions = exact_motions(base, symprec)
    return base, _node(base, base, motions, chain=())


def _node(
    base: AtomicStructure, at: AtomicStructure, group: Motions, *, chain: tuple[int, ...], below: _Node | None = None
) -> _Node:
    """The node of a group given in the primitive cell ``at`` of the node below (of H itself at the start)."""
    n = len(base.z)
    columns = np.eye(3) if below is None else below.columns
    origin = np.zeros(3) if below is None else below.origin
    atom = np.arange(n) if below is None else below.atom
    x = base.x if below is None else below.x
    averaged = symmetrize(at, group)
    # The lattice is averaged from the given one, not from the node below, so that the way taken does not matter.
    averaged = replace(averaged, L=symmetrized_lattice(columns.T @ base.L, group.W))
    x = x + (averaged.x - at.x)[atom] @ columns.T
    if below is None:
        primitive, motions, inner, images = averaged, group, np.eye(3), atom
    else:
        primitive, motions, inner, images = divide(averaged, group)
    origin = origin + columns @ (averaged.x[0] - inner @ primitive.x[0])
    columns = columns @ inner
    named = identify(motions.opset())
    node = _Node(
        number=named.number,
        symbol=named.symbol,
        primitive=primitive,
        motions=motions,
        columns=columns,
        origin=origin,
        atom=images[atom],
        x=x,
        L=np.linalg.inv(columns).T @ primitive.L,
        chain=(*chain, named.number),
    )
    if below is not None and has_more(primitive, motions, EXACT):
        return _node(base, primitive, exact_motions(primitive, EXACT), chain=chain, below=node)
    return node


def _above(base: AtomicStructure, node: _Node, limits: _Limits) -> list[_Node]:
    """The minimal groups over a node that the walk may go on with."""
    at = node.primitive
    # A motion and its products with the group's own generate the same, so one rotation part of each class is enough.
    rotations = left_cosets(near_rotations(at.metric, 2 * limits.strain), node.motions.W)
    near = near_motions(at, rotations, 2 * limits.tolerance)
    groups: dict[frozenset[bytes], Motions] = {}
    passed = set(node.motions.keys)
    for row, key in enumerate(near.keys):
        if key in passed:
            continue
        one = near[row]
        passed |= set(compose(compose(node.motions, one), node.motions).keys)  # they generate the same
        group = closure(node.motions, one, limit=48 * len(at.z))
        if group is not None:
            groups.setdefault(frozenset(group.keys), group)
    found = []
    for keys, group in sorted(groups.items(), key=lambda item: len(item[0])):
        if any(other < keys for other in groups):
            continue
        try:
            above = _node(base, at, group, chain=node.chain, below=node)
        except ValueError:  # motions that close as permutations, but not as motions of a crystal: too wide a tolerance
            continue
        if limits.may_go_on(base, above):
            found.append(above)
    return found


def _collect(
    base: AtomicStructure, nodes: list[_Node], limits: _Limits, *, complete: bool, way: tuple[np.ndarray, np.ndarray]
) -> Search:
    """The nodes as supergroups, equivalent ones put together."""
    start = nodes[0]
    indirect = set()
    for above in start.above:
        frontier = list(nodes[above].above)
        while frontier:
            at = frontier.pop()
            if at not in indirect:
                indirect.add(at)
                frontier += nodes[at].above
    found: list[Supergroup] = []
    for at, node in enumerate(nodes[1:], start=1):
        one = Supergroup(
            number=node.number,
            symbol=node.symbol,
            t_index=len(node.motions) // len(start.motions),
            k_index=int(round(1 / abs(np.linalg.det(node.columns)))),
            minimal=at in start.above and at not in indirect,
            cell=node.primitive,
            motions=node.motions,
            columns=node.columns,
            origin=node.origin,
            atom=node.atom,
            displacement=(base.x - node.x) @ node.L,
            strain=log_strain(node.L @ node.L.T, base.metric),
            chain=node.chain,
        )
        if not limits.within(one):
            continue
        for row, other in enumerate(found):
            if _equivalent(one, other):
                found[row] = replace(
                    other, num_equivalent=other.num_equivalent + 1, minimal=other.minimal or one.minimal
                )
                break
        else:
            found.append(one)
    found.sort(key=lambda g: (g.index, g.rms_displacement, g.number))
    return Search(start.number, start.symbol, base, start.motions, found, complete, way)


def _equivalent(one: Supergroup, other: Supergroup) -> bool:
    """Whether two supergroups differ by an isometry of the structure, as far as their figures tell."""
    figures = [
        np.concatenate([np.sort(np.linalg.norm(g.displacement, axis=1)), np.sort(g.strain)]) for g in (one, other)
    ]
    return (one.number, one.t_index, one.k_index) == (other.number, other.t_index, other.k_index) and bool(
        np.abs(figures[0] - figures[1]).max() < _SAME
    )
