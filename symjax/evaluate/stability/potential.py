"""Potentials: energy, forces and stress of crystals.

Units: energies in eV of the whole cell; forces in eV/angstrom, (n, 3); stress in eV/angstrom^3, (3, 3), with the sign of
ASE and CHGNet: ``stress = (1/V) dE/d(strain)``, so a compressed crystal has negative diagonal entries. A crystal that a
potential cannot handle gets NaN and a reason; nothing is raised for it.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.versions import install_hint

GPA = 160.21766208
"""GPa in one eV/angstrom^3, the constant that CHGNet multiplies by."""

INSTALL = install_hint("stability")

MAX_DENSITY = 1.0
"""Atoms per cubic angstrom above which no potential is asked: neighbour lists of a collapsed cell would fill the memory.
"""

CHGNET_LAST = 94
"""CHGNet knows elements 1 to 94."""


class Evaluation(NamedTuple):
    """What a potential says about m crystals.

    Attributes:
        energies: (m,) eV of each cell, NaN where there is a reason.
        forces: m arrays (n, 3) in eV/angstrom; empty arrays (0, 3) where none were asked for or there is a reason.
        stresses: (m, 3, 3) in eV/angstrom^3, NaN where none were asked for or there is a reason.
        reasons: why a crystal has no energy, or None.
    """

    energies: np.ndarray
    forces: list[np.ndarray]
    stresses: np.ndarray
    reasons: list[str | None]


@runtime_checkable
class Potential(Protocol):
    """Anything that gives energies. Must be picklable (worker processes get a copy) and must not depend on what it is
    asked together.

    Attributes:
        name: such as ``chgnet``.
        version: of the weights; part of every cache key.
        batch: crystals that are best given in one call (1 on a CPU). Above 1, everything runs in one process.
    """

    name: str
    version: str
    batch: int

    def evaluate(self, cells: Sequence[AtomicStructure], *, forces: bool = True) -> Evaluation:
        """Energies, and forces and stresses unless ``forces`` is false, of some crystals."""
        ...


def unfit(cell: AtomicStructure) -> str | None:
    """Why no potential should be asked about this cell: no atoms, NaN, no volume, or far too dense; None where it is
    sound.
    """
    if len(cell.z) == 0:
        return "no atoms"
    if not (np.isfinite(cell.L).all() and np.isfinite(cell.x).all()):
        return "NaN or infinity in the lattice or the coordinates"
    if cell.volume < 0.1:
        return "cell volume under 0.1 cubic angstrom"
    if len(cell.z) / cell.volume > MAX_DENSITY:
        return f"more than {MAX_DENSITY:g} atoms per cubic angstrom"
    return None


def torch_device(device: str | None, gpu: bool) -> str:
    """The device that is meant: a GPU where torch sees one (``gpu``), unless another is asked for.

    Raises:
        InputError: no such device.
    """
    if device is None:
        return "cuda" if gpu else "cpu"
    if device.startswith("cuda") and not gpu:
        raise InputError(f"device {device!r} was asked for, but torch sees no GPU; use device='cpu'")
    if device != "cpu" and not device.startswith("cuda"):
        raise InputError(f"device must be 'cpu' or 'cuda', got {device!r}")
    return device


class Chgnet:
    """CHGNet 0.3.0. The model is loaded at first use, in each process that uses it.

    On a CPU crystals go one by one on one thread: that is faster than batches and makes the result of a crystal
    independent of the others. On a GPU a call is one batch, and sums may differ in the last bits with what else is in it.
    """

    name = "chgnet"
    version = "0.3.0"

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.batch = 1 if device == "cpu" else 256
        self._model: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}

    def evaluate(self, cells: Sequence[AtomicStructure], *, forces: bool = True) -> Evaluation:
        """See `Potential`."""
        num = len(cells)
        energies, stresses = np.full(num, np.nan), np.full((num, 3, 3), np.nan)
        out: list[np.ndarray] = [np.zeros((0, 3))] * num
        reasons: list[str | None] = [None] * num
        with one_thread(self.device == "cpu"), warnings.catch_warnings():
            # chgnet turns a tensor that needs a gradient into a number, and asks for electronegativities of noble gases
            warnings.simplefilter("ignore", UserWarning)
            model = self._loaded()
            graphs = []
            for index, cell in enumerate(cells):
                graph, reasons[index] = _graph(model, cell)
                if graph is not None:
                    graphs.append((index, graph))
            for start in range(0, len(graphs), self.batch):
                part = graphs[start : start + self.batch]
                for (index, _), (energy, force, stress) in zip(
                    part, _predict(model, [g for _, g in part], self.device, forces)
                ):
                    energies[index] = energy
                    if forces:
                        out[index], stresses[index] = force, stress
        return Evaluation(energies, out, stresses, reasons)

    def _loaded(self) -> Any:
        if self._model is None:
            from chgnet.model.model import CHGNet

            with contextlib.redirect_stdout(io.StringIO()):
                self._model = CHGNet.load(model_name=self.version, use_device=self.device, verbose=False)
            self._model.eval()
            self._model.graph_converter.set_isolated_atom_response("error")
        return self._model


@contextlib.contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """Torch on one thread inside: its threads cost more than they give on graphs of this size, and results then do not
    depend on them.
    """
    import torch

    before = torch.get_num_threads()
    if wanted and before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if wanted and before != 1:
            torch.set_num_threads(before)


def _graph(model: Any, cell: AtomicStructure) -> tuple[Any, str | None]:
    """CHGNet's graph of a cell, or why there is none."""
    reason = unfit(cell)
    if reason is not None:
        return None, reason
    if int(cell.z.max()) > CHGNET_LAST or int(cell.z.min()) < 1:
        return None, f"element {int(cell.z.max())} is unknown to CHGNet (1 to {CHGNET_LAST})"
    try:
        return model.graph_converter(to_pymatgen(cell)), None
    except ValueError as error:
        if "isolated" in str(error):
            return None, f"an atom has no neighbour within {model.graph_converter.atom_graph_cutoff:g} angstrom"
        return None, f"no graph: {error}"
    except Exception as error:  # the graph code fails on degenerate cells in several ways: the reason is counted
        return None, f"no graph: {type(error).__name__}: {error}"


def _predict(model: Any, graphs: list[Any], device: str, forces: bool) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Energy of the cell, forces and stress of each graph.

    One backward pass over positions and strains together. ``CHGNet.predict_graph`` makes two and keeps their graphs for
    training: twice the time (11 atoms on one core: 25 against 50 ms). A test holds both against each other.
    """
    import torch
    from chgnet.model.model import BatchedGraph

    graphs = [graph.to(device) for graph in graphs]
    with torch.set_grad_enabled(forces):
        batch = BatchedGraph.from_graphs(
            graphs,
            bond_basis_expansion=model.bond_basis_expansion,
            angle_basis_expansion=model.angle_basis_expansion,
            compute_stress=forces,
        )
        found = model._compute(batch)
        atoms = found["atoms_per_graph"]
        shift = 0 if model.composition_model is None else model.composition_model(graphs)
        raw = found["e"] * atoms if model.is_intensive else found["e"]
        total = (raw + (shift * atoms if model.is_intensive else shift)).detach().cpu().double().numpy()
        if not forces:
            return [(float(e), np.zeros((0, 3)), np.full((3, 3), np.nan)) for e in total]
        slopes = torch.autograd.grad(raw.sum(), [*batch.atom_positions, *batch.strains])
    out = []
    # CHGNet divides by the signed volume, so its stress has the wrong sign in a left-handed cell (and ASE's relaxation of
    # one runs away).
    volumes = torch.as_tensor(batch.volumes).detach().cpu().double().abs().numpy().reshape(-1)
    for index, energy in enumerate(total):
        force = -slopes[index].detach().cpu().double().numpy()
        stress = slopes[len(graphs) + index].detach().cpu().double().numpy() / volumes[index]
        out.append((float(energy), force, (stress + stress.T) / 2))
    return out
