"""Relaxation of one crystal, as a pure function of its state, and its result as plain data.

FIRE moves the atoms and the cell together. The vector it works on has n + 3 rows: the forces on the atoms in eV/angstrom,
and the three rows of ``-V stress / n`` in eV, whose displacement divided by n is a symmetric strain applied to the cell
with the fractions held. That is the weighting of ASE's ``FrechetCellFilter`` at its default, which CHGNet's own optimizer
uses.

**fmax** is the longest of those n + 3 rows: the largest force on an atom, or the largest row of ``V stress / n``; both
must be at or under the tolerance (default 0.05) for a crystal to count as converged.

A crystal is relaxed in a primitive cell of its own operations (centring translations then hold by construction) and
written back in the cell it was given in. The net force is taken out, so a crystal does not drift.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.stability.fire import Fire, FireState, start, step
from symjax.evaluate.stability.potential import unfit
from symjax.evaluate.stability.symmetric import (
    Projector,
    Reduced,
    enlarged,
    operations_of,
    projector_of,
    reduced,
    reduced_operations,
    symmetrized,
)

VERSION = 1
"""Changes when results do."""


@dataclass(frozen=True)
class RelaxOptions:
    """How to relax.

    Attributes:
        fmax: tolerance, see the module; eV/angstrom.
        steps: FIRE steps at most.
        cell: whether the cell relaxes too.
        symmetric: whether forces, stress and steps are projected on what the crystal's operations allow.
        symprec: angstrom at which operations are searched for a crystal that brings none (symmetric only).
        primitive: relax in a primitive cell of the crystal's own operations.
        max_seconds: time limit of a crystal, wall clock; checked after each step.
        volume_factor: a volume this many times larger or smaller than at the start counts as diverged.
        closest: angstrom; two atoms nearer than this count as diverged.
        energy_rise: eV/atom above the first energy that counts as diverged.
        energy_floor: eV/atom below which an energy counts as diverged: no crystal binds like this.
        fire: constants of the optimizer.
    """

    fmax: float = 0.05
    steps: int = 500
    cell: bool = True
    symmetric: bool = False
    symprec: float = 0.01
    primitive: bool = True
    max_seconds: float = 300.0
    volume_factor: float = 3.0
    closest: float = 0.3
    energy_rise: float = 10.0
    energy_floor: float = -30.0
    fire: Fire = field(default_factory=Fire)

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if not self.fmax > 0:
            raise InputError(f"fmax must be positive (eV/angstrom), got {self.fmax}")
        if self.steps < 0:
            raise InputError(f"steps must be at least 0, got {self.steps}")
        if not self.max_seconds > 0:
            raise InputError(f"max_seconds must be positive, got {self.max_seconds}")
        if not self.volume_factor > 1:
            raise InputError(f"volume_factor must be over 1, got {self.volume_factor}")

    @property
    def hash(self) -> str:
        """Hash of all options, for cache keys."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()[:12]


GPA = 160.21766208
"""GPa in one eV per cubic angstrom."""


class Relaxation(NamedTuple):
    """A relaxation under way; `begin` makes one, `advance` the next.

    Attributes:
        cell: the crystal as it is now, in the cell it is relaxed in; fractions are not wrapped.
        fire: state of the optimizer.
        steps: moves made.
        energies: first and last energy in eV/atom.
        fmaxes: first and last fmax.
        volume: at the start.
        pressure: at the start, GPa; positive where the crystal wants to grow.
        done: whether it is over.
        converged: whether it ended within the tolerance.
        failed: whether it ended without a usable crystal.
        reason: why it is not converged, None while it runs.
    """

    cell: AtomicStructure
    fire: FireState
    steps: int = 0
    energies: tuple[float, float] = (float("nan"), float("nan"))
    fmaxes: tuple[float, float] = (float("nan"), float("nan"))
    volume: float = 1.0
    pressure: float = float("nan")
    done: bool = False
    converged: bool = False
    failed: bool = False
    reason: str | None = None


class Prepared(NamedTuple):
    """What stays the same while a crystal relaxes: the crystal as given, in its smaller cell, and the projector (None:
    free).
    """

    given: AtomicStructure
    small: Reduced
    projector: Projector | None


def prepare(cell: AtomicStructure, options: RelaxOptions) -> tuple[Prepared, Relaxation]:
    """What a relaxation starts from. A cell that cannot be relaxed gives one that is over, with the reason."""
    small = Reduced(cell, np.arange(len(cell.z)), np.eye(3))
    projector = None
    reason = unfit(cell)
    if reason is None and not options.symmetric:
        small = reduced(cell) if options.primitive else small
    elif reason is None:
        try:
            operations = operations_of(cell, options.symprec)
            cell = symmetrized(cell, operations)
            small = reduced(cell) if options.primitive else small._replace(cell=cell)
            projector = projector_of(small.cell, reduced_operations(operations, small.basis))
        except (InputError, np.linalg.LinAlgError) as error:
            reason = f"no symmetric relaxation: {error}"
    state = Relaxation(small.cell.plain() if reason is None else cell, start(options.fire), volume=cell.volume)
    if reason is None:
        state = state._replace(volume=small.cell.volume)
        reason = _too_close(state.cell, options)
    return Prepared(cell, small, projector), state if reason is None else failed(state, reason)


def advance(
    prepared: Prepared,
    state: Relaxation,
    energy: float,
    forces: np.ndarray,
    stress: np.ndarray,
    *,
    options: RelaxOptions,
) -> Relaxation:
    """The state after one step.

    Args:
        prepared: from `prepare`.
        state: from `prepare` or the last step.
        energy: eV of ``state.cell``.
        forces: (n, 3) eV/angstrom.
        stress: (3, 3) eV/angstrom^3.
        options: those of `prepare`.
    """
    num = len(state.cell.z)
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
        return failed(state, "diverged: energy, forces or stress are not finite")
    energy = energy / num
    rows = generalized_forces(state.cell, forces, stress, prepared.projector, strain=options.cell)
    fmax = float(np.linalg.norm(rows, axis=1).max())
    first = state.steps == 0
    if first:
        state = state._replace(pressure=-float(np.trace(stress)) / 3 * GPA)
    state = state._replace(
        energies=(energy if first else state.energies[0], energy), fmaxes=(fmax if first else state.fmaxes[0], fmax)
    )
    if energy < options.energy_floor or energy > state.energies[0] + options.energy_rise:
        return failed(state, f"diverged: energy went from {state.energies[0]:.3g} to {energy:.3g} eV/atom")
    if fmax <= options.fmax:
        return state._replace(done=True, converged=True)
    if state.steps >= options.steps:
        return state._replace(
            done=True, reason=f"fmax still over {options.fmax:g} eV/angstrom after {options.steps} steps"
        )
    fire, move = step(state.fire, rows, options.fire)
    state = state._replace(cell=moved(state.cell, move, prepared.projector), fire=fire, steps=state.steps + 1)
    reason = _too_close(state.cell, options)
    ratio = state.cell.volume / state.volume
    if not 1 / options.volume_factor < ratio < options.volume_factor:
        reason = f"diverged: volume changed by a factor {ratio:.3g}"
    return state if reason is None else failed(state, reason)


def generalized_forces(
    cell: AtomicStructure, forces: np.ndarray, stress: np.ndarray, projector: Projector | None, *, strain: bool = True
) -> np.ndarray:
    """(n + 3, 3) rows that FIRE works on (see the module): projected, without a net force; the last three are zero unless
    ``strain``.
    """
    num = len(cell.z)
    forces = forces - forces.mean(axis=0)
    virial = -cell.volume * (stress + stress.T) / 2 / num if strain else np.zeros((3, 3))
    if projector is not None:
        forces, virial = projector.vectors(forces), projector.tensor(virial)
    return np.concatenate([forces, virial])


def moved(cell: AtomicStructure, move: np.ndarray, projector: Projector | None) -> AtomicStructure:
    """The cell after a displacement (n + 3, 3) of the rows of `generalized_forces`: a strain at fixed fractions, and
    atoms in angstrom.
    """
    num = len(cell.z)
    atoms, strain = move[:num], move[num:] / num
    strain = (strain + strain.T) / 2
    if projector is not None:
        atoms, strain = projector.vectors(atoms), projector.tensor(strain)
    values, vectors = np.linalg.eigh(strain)
    frac = cell.x + atoms @ np.linalg.inv(cell.L)
    return replace(cell, L=cell.L @ (vectors * np.exp(values)) @ vectors.T, x=frac)


def failed(state: Relaxation, reason: str) -> Relaxation:
    """The state, over, without a usable crystal."""
    return state._replace(done=True, converged=False, failed=True, reason=reason)


def result(prepared: Prepared, state: Relaxation, seconds: float) -> dict[str, Any]:
    """The outcome as JSON values.

    Returns:
        ``energy_initial``, ``energy_final`` (eV/atom), ``pressure_initial`` (GPa), ``fmax_initial``, ``fmax_final``, ``steps``,
        ``converged``,
        ``reason`` (None where converged), ``lattice``, ``frac``, ``numbers`` of the crystal in the cell it was given in,
        ``volume_ratio`` and ``seconds``. A crystal that diverged, ran out of time or met a potential that has no energy
        for it has None for ``energy_final`` and for the geometry; one that used up its steps has the values of its last
        step.
    """
    out: dict[str, Any] = {
        "energy_initial": _number(state.energies[0]),
        "energy_final": None,
        "pressure_initial": _number(state.pressure),
        "fmax_initial": _number(state.fmaxes[0]),
        "fmax_final": _number(state.fmaxes[1]),
        "steps": state.steps,
        "converged": state.converged,
        "reason": state.reason,
        "lattice": None,
        "frac": None,
        "numbers": [int(z) for z in prepared.given.z],
        "volume_ratio": None,
        "seconds": round(seconds, 3),
    }
    if state.done and not state.failed:
        lattice, frac = enlarged(prepared.given, prepared.small, state.cell.L, state.cell.x)
        out |= {
            "energy_final": _number(state.energies[1]),
            "lattice": np.asarray(lattice).tolist(),
            "frac": (frac - np.floor(frac)).tolist(),
            "volume_ratio": state.cell.volume / state.volume,
        }
    return out


def relaxed_cell(cell: AtomicStructure, outcome: dict[str, Any]) -> AtomicStructure | None:
    """The relaxed crystal, in the cell it was given in and with the operations it was given with; None where there is
    none.

    Args:
        cell: the crystal as given.
        outcome: what `result` said of it.
    """
    if outcome.get("lattice") is None:
        return None
    return replace(cell, L=np.asarray(outcome["lattice"], np.float64), x=np.asarray(outcome["frac"], np.float64))


def _too_close(cell: AtomicStructure, options: RelaxOptions) -> str | None:
    """A reason if two atoms are nearer than `RelaxOptions.closest`.

    The nearest image is found by rounding: a vector that short cannot be rounded wrongly unless two lattice planes are
    nearer than twice its length, and then so are an atom and its own image, whose 26 neighbours are looked at.
    """
    shift = cell.x[:, None] - cell.x[None]
    shift -= np.round(shift)
    distance = np.linalg.norm(shift @ cell.L, axis=-1)
    np.fill_diagonal(distance, np.linalg.norm(_NEIGHBOURS @ cell.L, axis=-1).min())
    nearest = float(distance.min())
    return None if nearest >= options.closest else f"diverged: two atoms {nearest:.3g} angstrom apart"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


_NEIGHBOURS = np.array(
    [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) != (0, 0, 0)]
)
