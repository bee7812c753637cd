"""Paths between two phases through a common subgroup.

Owns `Transition` and `find_transitions`. A candidate is a lattice correspondence (`navigate.correspondence`) and a mapping of
the atoms of the common cell (translation and assignment, alternating). The common subgroup is then found exactly: operations of A
are pairs (W, permutation) in the common cell, and those whose image under the mapping is an operation of B form a group. The
image at s has positions x_A + s u and the lattice stretched by exp(s ln U), F = R U; both keep the common subgroup, because u and U
are invariant under it.

Displacements u are in angstrom, about the common centroid (the best rigid origin), in the lattice halfway; strains are principal
logarithmic strains from A to B. Candidates are sorted by cost = sqrt(rms displacement^2 + (|strain| d)^2) in angstrom, |strain| the
root of the sum of squared principal strains and d the cube root of the volume per atom: the strain as a displacement of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.elements import symbol as element_symbol
from symjax.errors import DataError, InputError
from symjax.groups.identify import Identified, identify
from symjax.groups.setting import Setting, find_setting
from symjax.navigate.correspondence import Correspondence, correspondences
from symjax.navigate.motions import Distortion, Motions
from symjax.navigate.placing import crystal_in_setting, relation_below
from symjax.navigate.pseudosymmetry import centred, divide, exact_motions, near_motions, symmetrize
from symjax.navigate.relation import Relation

_EXACT = 1e-5  # angstrom: both ends are symmetrized, so operations hold to rounding
_ROUNDS = 20


@dataclass(frozen=True)
class Phase:
    """One end: a structure symmetrized by its own group.

    Attributes:
        number, symbol: its group.
        cell: a reduced primitive cell about the centroid.
        motions: the group there.
    """

    number: int
    symbol: str
    cell: AtomicStructure
    motions: Motions


@dataclass(frozen=True)
class Transition(Distortion):
    """A path from phase A to phase B.

    Attributes:
        number, symbol: of the common subgroup K.
        cells: primitive cells of A and of B in the common cell.
        S, V: (3, 3) int64 common cell as columns in the primitive bases of A and of B.
        first: A in the common cell about the centroid.
        second: B there, atom i of `first` going to atom i, without rotation of the lattice.
        motions: K in the common cell.
        indices_first, indices_second: t and k index of K in A's group and in B's.
        displacement: (n, 3) Cartesian, angstrom, in the lattice halfway.
        strain: (3,) principal logarithmic strains.
        cost: angstrom, see the module.
        origin_in_B: (n,) atom of B's primitive cell at the end of each atom's way.
        broken: common operations that were given up because some atoms have two ways of equal length.
    """

    number: int
    symbol: str
    cells: tuple[int, int]
    S: np.ndarray
    V: np.ndarray
    first: AtomicStructure
    second: AtomicStructure
    motions: Motions
    indices_first: tuple[int, int]
    indices_second: tuple[int, int]
    displacement: np.ndarray
    strain: np.ndarray
    cost: float
    origin_in_B: np.ndarray
    broken: int

    @cached_property
    def setting(self) -> Setting:
        """From the common cell, about the centroid, to the standard setting of K."""
        half = self.image(0.5).L
        return find_setting(self.motions.opset(), metric=half @ half.T)

    def image(self, s: float) -> AtomicStructure:
        """The arrangement at s, 0 for A and 1 for B."""
        x = self.first.x + s * (self.second.x - self.first.x)
        return AtomicStructure(L=_between(self.first.L, self.second.L, s), z=self.first.z, x=x)

    def crystal(self, s: float) -> Crystal:
        """The same as a crystal in the standard setting of K (one cell and origin for all s).

        Along polar directions, where the setting leaves the origin free, it lies at the heaviest atom of A.
        """
        return crystal_in_setting(self.image(s), self.motions, self.setting, origin=self.origin)

    @cached_property
    def origin(self) -> np.ndarray:
        """(3,) that of `crystal`, in the common cell."""
        free = self.motions.W.mean(axis=0)  # projects on what all operations keep
        anchor = self.first.x[int(self.first.z.argmax())]
        return self.setting.origin + free @ (anchor - self.setting.origin)

    def ways(self, A: Phase, B: Phase) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """(P, p) from the primitive cell of each end to the cell of `crystal`: y = P x + p."""
        found = []
        for phase, columns, x, atom in (
            (A, self.S, self.first.x, 0),
            (B, self.V, self.second.x, int(self.origin_in_B[0])),
        ):
            p = phase.cell.x[atom] + columns @ (self.origin - x[0])
            found.append((columns @ self.setting.matrix, p))
        return found[0], found[1]

    def detected(self, s: float, symprec: float = 1e-3) -> Identified:
        """The whole group of the image at a tolerance in angstrom: K, or a supergroup of it."""
        return identify(phase_of(self.image(s), symprec).motions.opset())

    def relations(self, A: Phase, B: Phase) -> tuple[Relation, Relation]:
        """K below the group of A and below that of B, each in the standard setting of that group."""
        return _relation(A, self.S, self), _relation(B, self.V, self, at_end=True)


def standard_of(phase: Phase) -> Setting:
    """From the primitive cell of an end to the standard setting of its group, which `Transition.relations` start from."""
    return find_setting(phase.motions.opset(), metric=phase.cell.metric)


def _relation(phase: Phase, columns: np.ndarray, path: Transition, *, at_end: bool = False) -> Relation:
    """K below the group of one end."""
    inverse = np.linalg.inv(columns)
    place, atom = (path.second.x[0], path.origin_in_B[0]) if at_end else (path.first.x[0], 0)
    return relation_below(standard_of(phase), path.motions, inverse, place - inverse @ phase.cell.x[atom])


def _stretch(L_from: np.ndarray, L_to: np.ndarray) -> np.ndarray:
    """(3, 3) symmetric logarithm ln U of the stretch that takes one lattice to the metric of the other."""
    back = np.linalg.inv(L_from.T)
    values, vectors = np.linalg.eigh(back.T @ (L_to @ L_to.T) @ back)
    return 0.5 * (vectors * np.log(values)) @ vectors.T


def _between(L_from: np.ndarray, L_to: np.ndarray, s: float) -> np.ndarray:
    """Lattice rows at s of the way by a stretch without rotation."""
    values, vectors = np.linalg.eigh(_stretch(L_from, L_to))
    return ((vectors * np.exp(s * values)) @ vectors.T @ L_from.T).T


def phase_of(structure: AtomicStructure, symprec: float = 1e-2) -> Phase:
    """A structure in its primitive cell, symmetrized by the group found at a tolerance in angstrom.

    Raises:
        InputError: a tolerance that cannot be meant.
    """
    if not (np.isfinite(symprec) and symprec > 0):
        raise InputError(f"the tolerance must be a positive number, got {symprec}")
    cell = centred(structure)
    pure = exact_motions(cell, symprec, translations=True)
    cell, _, _, _ = divide(symmetrize(cell, pure), pure)
    motions, before = exact_motions(cell, symprec), 0
    while len(motions) > before:  # a supercell shows only the rotations that keep it: look again in the primitive cell
        cell, motions, _, _ = divide(symmetrize(cell, motions), motions)
        before, motions = len(motions), exact_motions(cell, symprec)
    named = identify(motions.opset())
    return Phase(named.number, named.symbol, cell, motions)


def common_sizes(A: Phase, B: Phase, max_cell: int, names: tuple[str, str] = ("A", "B")) -> list[tuple[int, int]]:
    """Pairs of numbers of primitive cells for which both phases have the same atoms, up to ``max_cell`` each.

    Raises:
        DataError: different compositions, or no pair within ``max_cell``; the message tells both.
    """
    counts = [_composition(p.cell.z) for p in (A, B)]
    units = [math.gcd(*c.values()) for c in counts]
    reduced = [{z: n // unit for z, n in c.items()} for c, unit in zip(counts, units, strict=True)]
    if reduced[0] != reduced[1]:
        texts = ["".join(f"{element_symbol(z)}{n if n > 1 else ''}" for z, n in r.items()) for r in reduced]
        raise DataError(
            f"{names[0]} is {texts[0]} and {names[1]} is {texts[1]}: a path needs two phases of one composition"
        )
    common = math.lcm(*units)
    pairs = [(k * common // units[0], k * common // units[1]) for k in range(1, max_cell + 1)]
    within = [pair for pair in pairs if max(pair) <= max_cell]
    if not within:
        raise DataError(
            f"the primitive cells hold {len(A.cell.z)} and {len(B.cell.z)} atoms: a common cell needs {pairs[0][0]} and "
            f"{pairs[0][1]} of them, more than the {max_cell} allowed; raise the limit to {max(pairs[0])}"
        )
    return within


def _composition(z: np.ndarray) -> dict[int, int]:
    return {int(s): int((z == s).sum()) for s in np.unique(z)}


def find_transitions(
    A: Phase,
    B: Phase,
    *,
    max_cell: int = 4,
    max_strain: float = 0.3,
    num: int = 5,
    max_tried: int = 400,
    names: tuple[str, str] = ("A", "B"),
    progress: Callable[[int, int], None] | None = None,
) -> list[Transition]:
    """The best paths between two phases, least cost first.

    Args:
        A, B: the ends, from `phase_of`.
        max_cell: primitive cells of either phase in the common cell.
        max_strain: bound of the principal logarithmic strains.
        num: how many paths.
        max_tried: lattice correspondences for which atoms are mapped, least strained first.
        names: how errors call the phases.
        progress: called with the numbers of correspondences tried and known; fewer are tried where the rest is strained too much to
            cost less than what was found.

    Raises:
        DataError: compositions differ, the common cell would be too large, or no correspondence is within the strain bound.
    """
    sizes = common_sizes(A, B, max_cell, names)
    options = [
        (pair, c)
        for pair in sizes
        for c in correspondences(A.cell.L, B.cell.L, pair, max_strain, W_A=A.motions.W, W_B=B.motions.W)
    ]
    if not options:
        raise DataError(
            f"no lattice of {names[0]} and {names[1]} in cells of up to {max_cell} primitive cells agree within a strain of "
            f"{max_strain:.0%}; raise the strain or the size of the cell"
        )
    scale = np.cbrt(abs(np.linalg.det(A.cell.L)) / len(A.cell.z))
    options.sort(key=lambda o: (round(float((o[1].strain ** 2).sum()), 9), o[0]))
    best: list[Transition] = []
    known: dict[bytes, Motions] = {}
    for tried, (pair, option) in enumerate(options[:max_tried]):
        bound = best[num - 1].cost if len(best) >= num else math.inf
        if scale * np.sqrt((option.strain**2).sum()) > bound:
            break
        for found in _mapped((A, B), pair, option, scale, bound=bound, known=known):
            if not any(_alike(found, other) for other in best):
                best = sorted([*best, found], key=lambda t: (round(t.cost, 6), sum(t.cells), -len(t.motions)))[:num]
        if progress is not None:
            progress(tried + 1, len(options))
    return best


def _alike(one: Transition, other: Transition) -> bool:
    """Whether two paths are the same but for a symmetry of the phases, as far as their figures tell."""
    return (
        one.number == other.number
        and abs(one.cost - other.cost) < 1e-5
        and abs(one.max_displacement - other.max_displacement) < 1e-4
        and np.abs(one.strain - other.strain).max() < 1e-6
    )


def supercell(cell: AtomicStructure, S: np.ndarray) -> tuple[AtomicStructure, np.ndarray]:
    """A primitive arrangement repeated in the cell of integer columns S, about the centroid; and the old atom of each new one."""
    inverse = np.linalg.inv(S)
    det = int(round(abs(np.linalg.det(S))))
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3) @ S.T
    ranges = [np.arange(corners[:, i].min(), corners[:, i].max() + 1) for i in range(3)]
    points = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    inside = points @ inverse.T
    points = points[((inside > -1e-9) & (inside < 1 - 1e-9)).all(axis=1)]
    if len(points) != det:
        raise InputError(f"a cell of determinant {det} holds {len(points)} lattice points")
    x = ((cell.x[:, None] + points[None]).reshape(-1, 3)) @ inverse.T
    atom = np.repeat(np.arange(len(cell.z)), det)
    return AtomicStructure(L=S.T @ cell.L, z=cell.z[atom], x=x - x.mean(axis=0)), atom


def _mapped(
    ends: tuple[Phase, Phase],
    cells: tuple[int, int],
    option: Correspondence,
    scale: float,
    *,
    bound: float,
    known: dict,
) -> Iterator[Transition]:
    """Transitions of one lattice correspondence that cost less than a bound: the best mappings with their common subgroup.

    ``known`` keeps the motions of A in the common cells seen so far.
    """
    A, B = ends
    first, _ = supercell(A.cell, option.S)
    last, origin_in_B = supercell(B.cell, option.V)
    half = _between(first.L, last.L, 0.5)
    strain = float((option.strain**2).sum()) * scale**2
    for perm, u in _mappings(first, last, origin_in_B, half)[:2]:
        middle = (u - u.mean(axis=0)) @ half
        cost = float(np.sqrt((middle**2).sum(axis=1).mean() + strain))
        if cost > bound:
            break
        end = AtomicStructure(L=_between(first.L, last.L, 1.0), z=first.z, x=first.x + u - u.mean(axis=0))
        at = option.S.tobytes()
        if at not in known:
            known[at] = _motions_in(A, first, option.S)
        motions, broken = _common(known[at], first, end)
        if int((motions.W == np.eye(3, dtype=np.int64)).all(axis=(1, 2)).sum()) > 1:
            continue  # a smaller common cell holds the same path, and with it the rotations that this one is too large to show
        named, rotations = identify(motions.opset()), len(motions)
        yield Transition(
            number=named.number,
            symbol=named.symbol,
            cells=cells,
            S=option.S,
            V=option.V,
            first=first,
            second=end,
            motions=motions,
            indices_first=(len(A.motions) // rotations, cells[0]),
            indices_second=(len(B.motions) // rotations, cells[1]),
            displacement=middle,
            strain=option.strain,
            cost=cost,
            origin_in_B=origin_in_B[perm],
            broken=broken,
        )


def _mappings(
    first: AtomicStructure, last: AtomicStructure, origin: np.ndarray, L: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(perm, u) of the mappings found, shortest first: atom i of ``first`` goes by u[i] to an image of atom perm[i] of ``last``.

    One atom of the rarest species is put on each atom of B's primitive cell of that species; assignment and translation alternate.
    """
    z, counts = first.z, np.bincount(first.z)
    rare = np.flatnonzero(z == min(set(z.tolist()), key=lambda s: (counts[s], s)))
    targets = np.flatnonzero(last.z == z[rare[0]])
    targets = targets[np.unique(origin[targets], return_index=True)[1]]
    everything = np.arange(len(z))
    found: dict[bytes, tuple[float, np.ndarray, np.ndarray]] = {}
    for target in targets:
        shift = first.x[rare[0]] - last.x[target]
        for rows in ([rare] if len(rare) > 1 else []) + [everything]:
            perm, u, shift = _assigned(first, last, shift, rows=rows, L=L)
        length = float((((u - u.mean(axis=0)) @ L) ** 2).sum())
        found.setdefault(perm.tobytes(), (length, perm, u))
    ordered = sorted(found.values(), key=lambda f: f[0])
    return [(perm, u) for _, perm, u in ordered]


def _assigned(
    first: AtomicStructure, last: AtomicStructure, shift: np.ndarray, *, rows: np.ndarray, L: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(perm, u, shift): the best one-to-one assignment of some atoms and the translation of B that goes with it."""
    from scipy.optimize import linear_sum_assignment

    z = first.z[rows]
    candidates = np.flatnonzero(np.isin(last.z, z))
    alike = z[:, None] == last.z[candidates][None]
    at = np.arange(len(rows))
    before: np.ndarray | None = None
    for _ in range(_ROUNDS):
        delta = last.x[candidates][None] + shift - first.x[rows][:, None]
        settled = before is not None
        delta = _shortest(delta, L) if settled else delta - np.rint(delta)
        square = np.where(alike, ((delta @ L) ** 2).sum(axis=-1), 1e9)
        chosen = linear_sum_assignment(square)[1]
        u = delta[at, chosen]
        if settled and (chosen == before).all():
            break
        before = chosen
        shift = shift - u.mean(axis=0)
    return candidates[chosen], u, shift


def _shortest(delta: np.ndarray, L: np.ndarray) -> np.ndarray:
    """The shortest lattice-equivalent of each vector: rounding, and the neighbours of long ones."""
    delta = delta - np.rint(delta)
    steps = np.stack(np.meshgrid(*[[0, -1, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    metric = L @ L.T
    turned = delta @ metric
    # A vector within half the inradius of the reciprocal planes is the shortest of its class already.
    safe = 0.25 / np.linalg.inv(metric).diagonal().max()
    at = np.nonzero((turned * delta).sum(axis=-1) > safe)
    longer = 2 * turned[at] @ steps.T + np.einsum("ki,ij,kj->k", steps, metric, steps)
    longer[:, 0] = -1e-9  # ties stay with what rounding gave
    delta[at] += steps[longer.argmin(axis=1)]
    return delta


def _motions_in(phase: Phase, cell: AtomicStructure, S: np.ndarray) -> Motions:
    """The motions of a phase that keep a supercell of it, translations among them."""
    inner = np.linalg.inv(S) @ phase.motions.W @ S
    whole = (np.abs(inner - np.rint(inner)) < 1e-6).all(axis=(1, 2))
    return near_motions(cell, np.rint(inner[whole]).astype(np.int64), _EXACT)


def _common(motions: Motions, first: AtomicStructure, end: AtomicStructure) -> tuple[Motions, int]:
    """The motions of A in the common cell that are motions of B too, and how many of them the displacements do not keep."""
    moved = np.einsum("mji,jk,mkl->mil", motions.W, end.metric, motions.W)
    kept = np.abs(moved - end.metric).max(axis=(1, 2)) < 1e-7 * np.abs(end.metric).max()
    delta = end.x[motions.perm] - np.einsum("mij,nj->mni", motions.W, end.x)
    gap = delta - delta[:, :1]
    same = (np.linalg.norm((gap - np.rint(gap)) @ end.L, axis=-1) < _EXACT).all(axis=1)
    common = kept & same
    u = end.x - first.x
    turned = u[motions.perm] - np.einsum("mij,nj->mni", motions.W, u)
    steady = (np.linalg.norm((turned - turned.mean(axis=1, keepdims=True)) @ first.L, axis=-1) < 1e-4).all(axis=1)
    return motions[common & steady], int((common & ~steady).sum())
