"""Any ASE calculator as a potential: ``ase:package.module:factory``, so that who has MACE, MatterSim, ORB or UMA uses theirs.

The factory is called without arguments, once in each process, and gives a calculator with energy, forces and stress. What it needs
(a device, a file of weights) is its own to say: write a module of one function where the packaged one asks for arguments.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np

from symjax.crystals.io.convert import to_ase
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.stability.potential import Evaluation, unfit

PREFIX = "ase:"


class AseCalculator:
    """A calculator of ASE with energy, forces and stress.

    Args:
        name: how rows and files call it.
        version: of package, weights and parameters; part of every cache key.
        make: gives the calculator, in each process once; must be picklable.

    Attributes:
        name, version: see there.
        batch: 1; crystals go one by one.
    """

    batch = 1

    def __init__(self, name: str, version: str, make: Callable[[], Any]) -> None:
        self.name, self.version, self._make = name, version, make
        self._calculator: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_calculator": None}

    def evaluate(self, cells: Sequence[AtomicStructure], *, forces: bool = True) -> Evaluation:
        """See `symjax.evaluate.stability.potential.Potential`."""
        found = [self._one(cell, forces) for cell in cells]
        return Evaluation(
            np.array([item[0] for item in found]),
            [item[1] for item in found],
            np.array([item[2] for item in found]).reshape(-1, 3, 3),
            [item[3] for item in found],
        )

    def _one(self, cell: AtomicStructure, forces: bool) -> tuple[float, np.ndarray, np.ndarray, str | None]:
        nothing = np.nan, np.zeros((0, 3)), np.full((3, 3), np.nan)
        reason = unfit(cell)
        if reason is not None:
            return *nothing, reason
        atoms = to_ase(_right_handed(cell))
        atoms.calc = self._loaded()
        try:
            energy = float(atoms.get_potential_energy())
            force = np.asarray(atoms.get_forces(), float) if forces else nothing[1]
            stress = np.asarray(atoms.get_stress(voigt=False), float) if forces else nothing[2]
        except (
            Exception
        ) as error:  # calculators fail on odd cells and unknown elements in their own ways: the reason is counted
            return *nothing, f"{self.name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not np.isfinite(energy) or (forces and not (np.isfinite(force).all() and np.isfinite(stress).all())):
            return *nothing, f"{self.name}: energy, forces or stress are not finite"
        return energy, force, stress, None

    def _loaded(self) -> Any:
        if self._calculator is None:
            self._calculator = self._make()
        return self._calculator


def from_path(path: str) -> AseCalculator:
    """The calculator of an import path.

    Its version is that of the module's distribution with the calculator's class and parameters. A file of weights that is exchanged
    under the same name is not seen: give it another.

    Args:
        path: ``package.module:factory``, or with the prefix ``ase:``.

    Raises:
        InputError: the path is not of that form, the module or factory is not there, or it gives no calculator with energy, forces
            and stress.
    """
    path = path.removeprefix(PREFIX)
    made = _calculator(path)
    found = AseCalculator(PREFIX + path, _version(path, made), partial(_calculator, path))
    found._calculator = made
    return found


def _right_handed(cell: AtomicStructure) -> AtomicStructure:
    """The cell in a right-handed basis of the same lattice, atoms where they are: some calculators divide by a signed volume."""
    if np.linalg.det(cell.L) > 0:
        return cell
    return AtomicStructure(-cell.L, cell.z, -cell.x)


def _calculator(path: str) -> Any:
    module, colon, factory = path.partition(":")
    if not (module and colon and factory):
        raise InputError(
            f"--potential {PREFIX}{path}: give {PREFIX}package.module:factory, a function that gives an ASE calculator"
        )
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"--potential {PREFIX}{path}: {module} cannot be imported ({error})") from error
    for part in factory.split("."):
        if not hasattr(found, part):
            raise InputError(f"--potential {PREFIX}{path}: {module} has no {factory}")
        found = getattr(found, part)
    try:
        made = found()
    except Exception as error:  # a user's own code may fail in any way; the reason is told
        raise InputError(
            f"--potential {PREFIX}{path}: the factory failed without arguments ({type(error).__name__}: {error})"
        ) from error
    missing = {"energy", "forces", "stress"} - set(getattr(made, "implemented_properties", ()))
    if missing:
        raise InputError(f"--potential {PREFIX}{path}: gives no ASE calculator with {', '.join(sorted(missing))}")
    return made


def _version(path: str, calculator: Any) -> str:
    """Version of the distribution, class, and a hash of the parameters."""
    package = path.split(":")[0].split(".")[0]
    names = metadata.packages_distributions().get(package, ())
    version = metadata.version(names[0]) if names else "unknown"
    parameters = repr(sorted((str(k), str(v)) for k, v in dict(getattr(calculator, "parameters", None) or {}).items()))
    return f"{version}-{type(calculator).__name__}-{hashlib.sha256(parameters.encode()).hexdigest()[:8]}"
