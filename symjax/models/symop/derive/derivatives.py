r"""Derivatives of a given crystal: its symmetry lowered or raised by the learned walk, its geometry by the learned diffusion.

Generation and navigation are one mechanism here. The walk of `symop` is kept below (or above) the group G of a parent crystal, so
that its states are the subgroups of G modulo the conventional cell (or the closed sets between G and the operations that the
crystal nearly has); below, subgroups that need a larger cell (up to `max_cell` times the primitive one: tilts, orderings)
stand beside them. There are at most some thousand of them, so nothing is estimated: all probabilities are exact.

The chance of a subgroup H can be measured in two ways, and both are in the table.
- "type": p(H) proportional to p(species) p(H | species) p(sites | H, species), the probability that symop
  draws the parent's atoms described by H, in H's own standard setting and with the elements of H's own orbits. Subgroups that
  give the same structure type share its probability evenly. This does not depend on how H is written.
- "walk": the walk given the parent's orbits, in the parent's own axes and cell, each step renormalised over what stays
  inside the bounds.
- "both" (default below, in the parent's own cell): proportional to the square root of their product. Each says what the other
  cannot, the likelihood of the whole structure and that of the steps in the parent's axes (docs/decisions/symop.md).

What is drawn is this probability, restricted to subgroups that the atoms can tell apart (`reductions.attainable`) and that fit the
model's sizes, and renormalised. Geometry: lattice and atoms of the parent noised to the diffusion time `strength` inside what H
leaves free, and denoised by the network (SDEdit), so every crystal has all operations of H.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from symjax.crystals.types import Crystal
from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes, closest_ratios, dataset_from_types
from symjax.diffusion.rng import seed_key
from symjax.errors import InputError, SymjaxError
from symjax.generate.symmetry import NEAR, near_groups
from symjax.groups.identify import identify
from symjax.groups.sets import OpSet
from symjax.groups.tables import vocabulary
from symjax.lattice import choose_frame
from symjax.models.symop.derive.reductions import (
    CellAtoms,
    Reduction,
    attainable,
    cell_atoms,
    free_parameters,
    reduce,
    types_of,
)
from symjax.models.symop.derive.supercells import Enlarged, enlarged_subgroups
from symjax.models.symop.geometry.realise import draw_geometry
from symjax.models.symop.geometry.sample import GeometrySampling, Start
from symjax.models.symop.network import OperationsNet, options_from_config
from symjax.models.symop.species import MAX_ORBITS, canonical_slots
from symjax.models.symop.walk.exact import walk_distribution
from symjax.models.symop.walk.likelihood import type_likelihood
from symjax.models.symop.walk.set_lattice import SetLattice, lattice_above, lattice_below
from symjax.models.symop.walk.supersets import near_operations
from symjax.models.symop.weights import SymopWeights

DIRECTIONS = ("below", "above")
_ROUNDS = 8  # times a geometry is drawn that comes too near to another group
_AGAIN = 1000  # keys of later rounds are told apart from those of redrawing inside a round
MEASURES = ("both", "type", "walk")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A conjugacy class of subgroups (or one superset) H of the parent's group G.

    Attributes:
        members: (n,) bool, one H of the class among the operations of `Candidates.lattice`; None in an enlarged cell.
        cell: index of H's translations in those of the parent where its cell is enlarged beyond the conventional one, else 1.
        number, symbol: its type.
        index: [G : H], or [H : G] above.
        conjugates: subgroups in the class.
        free: strains and displacements of the parent's atoms that H leaves free.
        status: "open", or why it is not drawn: "parent", "unattainable", "too large", "atoms do not fit".
        log_type: exact log-probability (nats) of the parent's structure type by H; None where it has none.
        log_walk: exact log-probability of the class under the restricted walk; sums to one over the candidates of the parent's own
            cell, -inf for others.
        log_likelihood: exact log-probability of the class under the unrestricted walk, given the parent's species; -inf as before.
        log_probability: of being drawn; -inf unless open. Sums to one.
        reduction: the parent by H; None where it has none.
    """

    members: np.ndarray | None
    cell: int
    number: int
    symbol: str
    index: int
    conjugates: int
    free: int
    status: str
    log_type: float | None
    log_walk: float
    log_likelihood: float
    log_probability: float
    reduction: Reduction | None


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Every H below or above a parent, most probable first.

    Attributes:
        lattice: the closed sets.
        rows: the candidates.
        direction, measure: as asked.
        log_parent: log of the parent's own share before restriction: p(G) over the sum of p of G and of all that can be drawn.
    """

    lattice: SetLattice
    rows: list[Candidate]
    direction: str
    measure: str
    log_parent: float

    @property
    def probability(self) -> np.ndarray:
        """(r,) of each row to be drawn."""
        return np.exp([row.log_probability for row in self.rows])


@dataclasses.dataclass(frozen=True)
class Derivatives:
    """Drawn crystals.

    `dataset` has the properties `log_probability` (of the draw of H), `log_likelihood` (of the structure type, or of H under the
    unrestricted walk for the measure "walk"), `min_ratio` and `draws`, as `symjax.models.symop.geometry.realise` gives them.
    `chosen` (n,) is each crystal's row of `candidates`. Crystals whose every geometry came within `symjax.generate.symmetry.NEAR`
    of another group than the one drawn are left out: n may be less than was asked for.
    """

    dataset: CrystalDataset
    candidates: Candidates
    chosen: np.ndarray


def derivatives(
    weights: SymopWeights,
    parent: Crystal,
    num: int,
    *,
    direction: str = "below",
    measure: str | None = None,
    strength: float | None = None,
    seed: int = 0,
    tolerance: float = 0.3,
    strain: float = 0.05,
    keep_parent: bool = False,
    max_cell: int = 1,
    sampler: GeometrySampling | None = None,
    min_ratio: float = 0.0,
    max_draws: int = 4,
    batch_size: int = 64,
    progress: Callable[[str, int], object] | None = None,
) -> Derivatives:
    """Draw crystals below or above a parent in the subgroup lattice, with exact probabilities of their groups.

    Args:
        weights: from `load_weights`.
        parent: in the standard setting of its group, which it has exactly.
        num: how many, at least 1.
        direction: "below" or "above"; measure: "both", "type" or "walk" (see the module); where left out "both" below in the
            parent's own cell, else "type".
        strength: diffusion time in (0, 1] that the parent's geometry is noised to; 0.3 below where left out. Above, 0 (the
            default there) keeps the averaged parent.
        seed: equal arguments give equal crystals.
        tolerance, strain: above only, what averaging may move an atom by, angstrom, and change an edge by, as a share.
        keep_parent: the parent's own group may be drawn too.
        max_cell: below and by "type" only, how many times the primitive cell may be enlarged, 1 to 4.
        sampler, min_ratio, max_draws, batch_size, progress: as in `symjax.models.symop.geometry.realise.draw_geometry`.

    Raises:
        InputError: a parent outside the model (its setting, its size), a wrong option, or nothing to draw.
    """
    if num < 1:
        raise InputError(f"number of crystals must be at least 1, got {num}")
    strength = {"below": 0.3, "above": 0.0}.get(direction, 0.0) if strength is None else float(strength)
    if not 0 <= strength <= 1 or (direction == "below" and strength == 0):
        raise InputError(f"strength must be above 0 and at most 1 (0 only for direction above), got {strength:g}")
    found = candidates(
        weights,
        parent,
        direction=direction,
        measure=measure,
        tolerance=tolerance,
        strain=strain,
        keep_parent=keep_parent,
        max_cell=max_cell,
    )
    if progress is not None:
        progress("operations and sites", num)
    chosen = choose(found, num, seed=seed)
    reductions = [found.rows[i].reduction for i in chosen]
    types, k, x = types_of([r for r in reductions if r is not None])
    draws, best = np.zeros(num, int), closest_ratios(types, k, x) if strength == 0 else np.zeros(num)
    if strength > 0:
        wanted = np.array([found.rows[i].number for i in chosen])
        draw = partial(
            draw_geometry,
            weights.geometry,
            sampler=sampler or GeometrySampling(num_steps=max(10, round(60 * strength))),
            min_ratio=min_ratio,
            max_draws=max_draws,
            batch_size=batch_size,
        )
        told = None if progress is None else (lambda done: progress("lattice and coordinates", done))
        keep, k, x, best, draws = _exactly(draw, types, Start(k, x, strength), wanted, seed_key(seed), told)
        types, chosen = types.take(keep), chosen[keep]
    rows = [found.rows[i] for i in chosen]
    likelihood = [row.log_likelihood if measure == "walk" or row.log_type is None else row.log_type for row in rows]
    properties = {
        "log_probability": np.array([row.log_probability for row in rows]),
        "log_likelihood": np.array(likelihood),
        "min_ratio": best,
        "draws": draws.astype(float),
    }
    meta = {"model": "symop", "seed": seed, "direction": direction, "measure": found.measure, "strength": strength}
    return Derivatives(dataset_from_types(types, k, x, properties=properties, meta=meta), found, chosen)


def _exactly(
    draw: Callable[..., tuple[np.ndarray, ...]],
    types: StructureTypes,
    start: Start,
    wanted: np.ndarray,
    key: jax.Array,
    progress: Callable[[int], object] | None,
) -> tuple[np.ndarray, ...]:
    """Geometries with exactly the groups `wanted (b,)` and none higher, drawn again where they come near to another.

    Returns:
        rows that succeeded (n,), and of these k (n, 6), x (n, m, 3), the smallest ratio to covalent radii and the number of draws.

    Raises:
        SymjaxError: none did.
    """
    num = len(wanted)
    k, x, best, draws, again = start.k.copy(), start.x.copy(), np.zeros(num), np.zeros(num, int), np.arange(num)
    for attempt in range(_ROUNDS):
        own = key if attempt == 0 else jax.random.fold_in(key, _AGAIN + attempt)
        told = progress if attempt == 0 else None
        new = draw(types.take(again), own, start=start.take(again), progress=told)
        k[again], x[again], best[again] = new[:3]
        draws[again] += new[3]
        again = again[near_groups(types, k, x, again.tolist()) != wanted[again]]
        if not len(again):
            break
    if len(again) == num:
        raise SymjaxError(
            f"every geometry stayed within {NEAR} angstrom of another group than the one drawn, {_ROUNDS} times: ask for a larger "
            "--strength"
        )
    keep = np.setdiff1d(np.arange(num), again)
    return keep, k[keep], x[keep], best[keep], draws[keep]


def choose(found: Candidates, num: int, *, seed: int) -> np.ndarray:
    """(num,) rows drawn from the exact probabilities."""
    p = found.probability
    return np.random.default_rng(seed).choice(len(p), num, p=p / p.sum())


def candidates(
    weights: SymopWeights,
    parent: Crystal,
    *,
    direction: str = "below",
    measure: str | None = None,
    tolerance: float = 0.3,
    strain: float = 0.05,
    keep_parent: bool = False,
    max_cell: int = 1,
) -> Candidates:
    """Every subgroup (or near superset) of a parent's group with its exact probabilities; arguments as `derivatives`.

    Raises:
        InputError: as `derivatives`.
    """
    measure = measure or ("both" if direction == "below" and max_cell == 1 else "type")
    if direction not in DIRECTIONS or measure not in MEASURES:
        raise InputError(
            f"direction is one of {DIRECTIONS} and measure one of {MEASURES}, got {direction!r}, {measure!r}"
        )
    if max_cell != 1 and (direction != "below" or measure != "type"):
        raise InputError("an enlarged cell (max_cell above 1) belongs to direction below and measure type")
    if len(parent.z) > MAX_ORBITS:
        raise InputError(f"the parent has {len(parent.z)} orbits; symop takes at most {MAX_ORBITS}")
    lattice, atoms, own = _bounds(parent, direction, tolerance, strain)
    net = OperationsNet(options_from_config(weights.operations_config["model"]["operations"]))
    free = free_parameters(atoms, lattice.members)
    reachable = attainable(lattice, free) if direction == "below" else np.ones(len(lattice), bool)
    first = lattice.classes
    reductions: list[Reduction | None] = [
        _reduced(atoms, lattice.members[i], tolerance if direction == "above" else None) if reachable[i] else None
        for i in first
    ]
    larger = enlarged_subgroups(parent, max_cell)
    reductions += [one.reduction for one in larger]
    extra = len(larger)
    mine = np.concatenate([first == own, np.zeros(extra, bool)])
    status = _status(
        weights, reductions, np.append(reachable[first], np.ones(extra, bool)), own=mine, keep_parent=keep_parent
    )
    if not any(word == "open" for word in status):
        raise InputError(_nothing(direction, status, tolerance, strain))
    log_type = _type_terms(weights, net, reductions, status)
    walk = walk_distribution(net, weights.operations, lattice, np.asarray(parent.z))
    beyond = np.full(extra, -np.inf)
    log_walk, log_free = (np.append(lattice.total(values), beyond) for values in (walk.kept, walk.free))
    weight = measured(log_type, log_walk, measure)
    drawn = np.where([word == "open" for word in status], weight, -np.inf)
    probability = drawn - np.logaddexp.reduce(drawn)
    facts = [*_in_own_cell(lattice, own, free, reductions), *_in_larger_cells(larger)]
    rows = [
        Candidate(
            **fact,
            status=status[c],
            log_type=float(log_type[c]) if np.isfinite(log_type[c]) else None,
            log_walk=float(log_walk[c]),
            log_likelihood=float(log_free[c]),
            log_probability=float(probability[c]),
            reduction=reductions[c],
        )
        for c, fact in enumerate(facts)
    ]
    rows.sort(key=lambda row: (-row.log_probability, -row.log_walk))
    parents = weight[mine][0]
    others = np.logaddexp.reduce(np.where(mine, -np.inf, drawn))
    return Candidates(lattice, rows, direction, measure, float(parents - np.logaddexp(parents, others)))


def measured(log_type: np.ndarray, log_walk: np.ndarray, measure: str) -> np.ndarray:
    """(c,) what candidates are drawn by, not normalised, of their log-probabilities (c,) by type and by the walk."""
    return {"type": log_type, "walk": log_walk, "both": (log_type + log_walk) / 2}[measure]


def _in_own_cell(
    lattice: SetLattice, own: int, free: np.ndarray, reductions: list[Reduction | None]
) -> Iterator[dict[str, Any]]:
    """What is said of each class of sets of the parent's own cell."""
    for c, i in enumerate(lattice.classes):
        yield {
            "members": lattice.members[i],
            "cell": 1,
            **_named(lattice, i, reductions[c]),
            "index": _index(int(lattice.members[own].sum()), int(lattice.members[i].sum())),
            "conjugates": int((lattice.label == i).sum()),
            "free": int(free[i]),
        }


def _in_larger_cells(larger: list[Enlarged]) -> Iterator[dict[str, Any]]:
    """The same of the subgroups of enlarged cells."""
    for one in larger:
        setting = one.reduction.setting
        named = {"members": None, "cell": one.cell, "number": setting.number, "symbol": setting.symbol}
        yield named | {"index": one.index, "conjugates": one.conjugates, "free": one.free}


def _bounds(parent: Crystal, direction: str, tolerance: float, strain: float) -> tuple[SetLattice, CellAtoms, int]:
    """The closed sets, the atoms with their images, and the place of the parent's own group among the sets."""
    frame, own = _own_indices(parent)
    if direction == "below":
        lattice = lattice_below(own)
        return lattice, cell_atoms(parent, lattice.operations), len(lattice) - 1
    moved, near = near_operations(parent, frame, tolerance=tolerance, strain=strain)
    lattice = lattice_above(_own_indices(moved)[1], near)
    return lattice, cell_atoms(moved, lattice.operations, tolerance=2 * tolerance), 0


def _own_indices(parent: Crystal) -> tuple[int, np.ndarray]:
    """Frame and vocabulary indices of a crystal's operations."""
    group = OpSet(
        W=parent.W.astype(np.int32), w=parent.w.astype(np.int32), mask=np.ones(len(parent.W), bool), den=parent.den
    )
    vocab, first = vocabulary(), choose_frame(parent.W)
    for frame in (first, 1 - first):  # a few small sets are in both
        found = vocab.indices(group, frame)
        if (found < vocab.size).all():
            return frame, found
    raise InputError(
        "the parent's operations are in no standard setting; bring it to one first (symjax.data.standardize)"
    )


def _reduced(atoms: CellAtoms, members: np.ndarray, tolerance: float | None) -> Reduction | None:
    """The parent by one set; None where its atoms move further than the tolerance."""
    if tolerance is None:
        return reduce(atoms, members)
    try:
        found = reduce(atoms, members, tolerance=2 * tolerance)
    except SymjaxError:
        return None
    return found if found.displacement <= tolerance else None


def _status(
    weights: SymopWeights,
    reductions: list[Reduction | None],
    reachable: np.ndarray,
    *,
    own: np.ndarray,
    keep_parent: bool,
) -> list[str]:
    """Which sets can be drawn, and why the others cannot."""
    orbits, atoms = weights.geometry.options.buckets[-1]
    words = []
    for i, found in enumerate(reductions):
        if found is None:
            words.append("atoms do not fit" if reachable[i] else "unattainable")
        elif len(found.z) > min(orbits, MAX_ORBITS) or found.num_atoms > atoms:
            words.append("too large")
        else:
            words.append("parent" if own[i] and not keep_parent else "open")
    return words


def _type_terms(
    weights: SymopWeights, net: OperationsNet, reductions: list[Reduction | None], status: list[str]
) -> np.ndarray:
    """(s,) log-probability of each set's structure type, shared among those that have the same; -inf where there is none."""
    result = np.full(len(reductions), -np.inf)
    usable = [i for i, word in enumerate(status) if word in ("open", "parent")]
    parts = [r for i in usable if (r := reductions[i]) is not None]
    types, _, _ = types_of(parts)
    z, pos = canonical_slots(types.z, types.pos)
    types = StructureTypes(types.sets, types.set_index, z, pos)
    keys = [(int(n), a.tobytes(), b.tobytes()) for n, a, b in zip(types.set_index, z, pos, strict=True)]
    shared = np.array([keys.count(key) for key in keys])
    result[usable] = type_likelihood(net, weights.operations, types).total - np.log(shared)
    return result


def _named(lattice: SetLattice, state: int, reduction: Reduction | None) -> dict[str, Any]:
    """Number and symbol of a set."""
    if reduction is not None:
        return {"number": reduction.setting.number, "symbol": reduction.setting.symbol}
    named = identify(vocabulary().opset(lattice.operations[lattice.members[state]]))
    return {"number": named.number, "symbol": named.symbol}


def _index(own: int, other: int) -> int:
    return max(own, other) // min(own, other)


def _nothing(direction: str, status: list[str], tolerance: float, strain: float) -> str:
    """Why there is nothing to draw, and what would help."""
    counts = ", ".join(f"{status.count(word)} {word}" for word in sorted(set(status)))
    if direction == "above":
        return (
            f"the crystal nearly has no further operations in its own conventional cell at {tolerance:g} angstrom and "
            f"{100 * strain:g} % strain ({counts}); raise the tolerance, or use `symjax supergroups` for other cells"
        )
    return f"no subgroup of the parent's group can be drawn ({counts}); the model's cells hold at most 20 orbits and 96 atoms"
