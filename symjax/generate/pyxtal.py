"""Random crystals of Wyckoff representations by PyXtal: in parallel processes, with attempts and time limited, failures as reasons.

PyXtal guesses a volume and a lattice and draws points on the given positions until no two atoms are too close. Source:
WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text), section 3.3, and its public code for tolerances and attempts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from symjax.data.structure_types import StructureTypes, closest_ratios
from symjax.elements import SYMBOLS
from symjax.errors import InputError
from symjax.generate.system import Progress, Realised
from symjax.lattice import log_from_lattice
from symjax.parallel import Processes, imap_items
from symjax.wyckoff.set_table import SetTable, standard_numbers
from symjax.wyckoff.types import positions_of_type

_ON_FLAT = (
    1e-3  # fractional; PyXtal's points are good to rounding, other representatives of special points are 1/48 apart
)


class _Job(NamedTuple):
    """One representation for a worker: orbits are (symbol, position as of `4a`, multiplicity)."""

    number: int
    orbits: tuple[tuple[str, str, int], ...]
    attempts: int
    seconds: float
    factor: float
    seed: int


class _TimeUp(BaseException):
    """Raised by the alarm; not an Exception, so that no handler of PyXtal takes it for one of its own."""


@dataclasses.dataclass(frozen=True)
class Pyxtal:
    """A `symjax.generate.system.Realiser` of random coordinates.

    Attributes:
        attempts: PyXtal's own number of lattices it tries for a representation (published: 30).
        seconds: processor time for one representation, in its process; PyXtal can take for ever.
        factor: least distances in sums of covalent radii, as PyXtal's tolerance matrix counts them (published: 1.3).
        processes: worker processes; None for one a core. Few representations are realised in this process.
        progress: called with a stage name and a number of representations finished.

    Raises:
        InputError: a limit is not positive.
    """

    attempts: int = 30
    seconds: float = 20.0
    factor: float = 1.3
    processes: Processes = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        if self.attempts < 1 or not self.seconds > 0 or not self.factor > 0:
            raise InputError(f"PyXtal: attempts, seconds and factor must be positive, got {self}")

    def __call__(self, types: StructureTypes, key: jax.Array) -> Realised:
        """Try all of them; a representation's crystal depends on the key and its row only (and on the time limit)."""
        seed = int(jax.random.key_data(key).ravel()[-1])
        number = standard_numbers(types.sets)[types.set_index]
        num, known = len(number), np.flatnonzero(number)
        jobs = [self._job(types, i, int(number[i]), seed) for i in known.tolist()]
        k, x, ratio = np.zeros((num, 6)), np.zeros((*types.z.shape, 3)), np.zeros(num)
        reason, good = (
            ["" if one else "operations of no standard setting, which PyXtal does not know" for one in number],
            [],
        )
        for i, result in zip(known.tolist(), imap_items(_realise, jobs, processes=self.processes, lost=_lost)):
            if self.progress is not None:
                self.progress("random coordinates", 1)
            if isinstance(result, str):
                reason[i] = result
                continue
            good.append(i)
            lattice, points = result
            k[i] = _coefficients(types.sets, int(types.set_index[i]), lattice)
            for m, images in enumerate(points):
                x[i, m] = _on_flat(types.sets, int(types.set_index[i]), int(types.pos[i, m]), images)
        if good:
            ratio[good] = closest_ratios(types.take(np.array(good)), k[good], x[good])
        return Realised(k, x, reason, {"min_ratio": ratio})

    def _job(self, types: StructureTypes, row: int, number: int, seed: int) -> _Job:
        known = positions_of_type(number)
        orbits = tuple(
            (SYMBOLS[z], str(known.label[p]), int(known.multiplicity[p]))
            for z, p in zip(types.z[row].tolist(), types.pos[row].tolist(), strict=True)
            if z
        )
        return _Job(number, orbits, self.attempts, self.seconds, self.factor, (seed * 1_000_003 + row) % 2**32)


def _coefficients(sets: SetTable, index: int, lattice: np.ndarray) -> np.ndarray:
    """`(6,)` log-lattice coefficients without components that the operations forbid."""
    return np.asarray(sets.k_projector)[index] @ np.asarray(log_from_lattice(lattice, np.asarray(sets.frame)[index]))


def _on_flat(sets: SetTable, index: int, pos: int, images: np.ndarray) -> np.ndarray:
    """The point of an orbit `(n, 3)` that lies on the position's representative flat, exactly."""
    from symjax.data.standardize import nearest_on_flat, wrap_on_flat

    x0, basis, dof = (np.asarray(a)[index, pos] for a in (sets.pos_x0, sets.pos_basis, sets.pos_dof))
    near = [nearest_on_flat(x0, basis, int(dof), y) for y in images]
    away = [np.abs((y - point) - np.rint(y - point)).max() for y, point in zip(images, near, strict=True)]
    best = int(np.argmin(away))
    assert away[best] < _ON_FLAT, "PyXtal's positions are those of the standard setting"
    return np.asarray(wrap_on_flat(x0, basis, int(dof), near[best]))


def _lost(job: _Job, reason: str) -> str:
    return f"PyXtal: {reason}"


def _realise(job: _Job) -> tuple[np.ndarray, list[np.ndarray]] | str:
    """Lattice `(3, 3)` and the points of each orbit, or the reason why there are none (in a worker)."""
    try:
        with _time_limit(job.seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a search whose outcome is checked below, and given a reason
            crystal = _from_random(job)
            if not crystal.valid:
                return f"PyXtal found no coordinates in {job.attempts} attempts"
            return _points(crystal, job)
    except _TimeUp:
        return f"PyXtal took more than {job.seconds:g} s"
    except MemoryError:
        raise
    except Exception as error:
        if "long time to generate structure" in str(error):  # what it says when its attempts are used up
            return f"PyXtal found no coordinates in {job.attempts} attempts"
        return f"PyXtal failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _from_random(job: _Job) -> Any:
    from pyxtal import pyxtal
    from pyxtal.tolerance import Tol_matrix

    species = list(dict.fromkeys(symbol for symbol, _, _ in job.orbits))
    sites = [[position for symbol, position, _ in job.orbits if symbol == one] for one in species]
    counts = [sum(atoms for symbol, _, atoms in job.orbits if symbol == one) for one in species]
    crystal = pyxtal()
    crystal.from_random(
        dim=3,
        group=job.number,
        species=species,
        numIons=counts,
        sites=sites,
        max_count=job.attempts,
        random_state=job.seed,
        tm=Tol_matrix(prototype="atomic", factor=job.factor),
    )
    return crystal


def _points(crystal: Any, job: _Job) -> tuple[np.ndarray, list[np.ndarray]]:
    """Lattice and points in the order of the job's orbits (orbits of one element at one position are alike)."""
    left = [(str(site.specie), site.wp.get_label(), np.asarray(site.coords, float)) for site in crystal.atom_sites]
    points = []
    for symbol, position, _ in job.orbits:
        found = next(i for i, (name, label, _) in enumerate(left) if (name, label) == (symbol, position))
        points.append(left.pop(found)[2])
    return np.asarray(crystal.lattice.matrix, float), points


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `_TimeUp` in this thread after so much processor time; no effect in other threads and on Windows, without alarms."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
