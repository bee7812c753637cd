"""SevenNet: the checkpoints that the `sevenn` wheel carries (0.13.0: MIT licence, 43 MB).

Source: Park, Kim, Hwang, Han, *Scalable parallel algorithm for graph neural network interatomic potentials in molecular dynamics
simulations*, J. Chem. Theory Comput. 20 (2024) 4857. `sevennet` is l3i5 (messages up to degree 3, five layers; MPtrj), the most
accurate one in the wheel that needs no choice of a level of theory. The multi-fidelity `7net-mf-0` is in the wheel too, and needs
such a choice; `7net-mf-ompa`, `7net-omat` and `7net-omni` are not in it: the package downloads them where they are asked for. For
these write a factory of one line and give it as ``ase:module:factory``.

Energies are total energies as the network gives them: nothing is added to mix levels of theory. So a hull must be made with the
same potential (`symjax evaluate hull build --potential sevennet`), as with every other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.stability.ase_calculator import AseCalculator
from symjax.evaluate.stability.potential import Evaluation, one_thread, torch_device
from symjax.versions import install_hint

CHECKPOINTS = {"sevennet": "7net-l3i5", "sevennet-l3i5": "7net-l3i5", "sevennet-0": "7net-0"}
"""Names of the command line -> names of the package; those that its wheel carries."""
INSTALL_SEVENNET = install_hint("sevennet")


class SevenNet(AseCalculator):
    """One checkpoint; on a CPU on one thread, as workers share the cores.

    Args:
        checkpoint: the package's name of it.
        version: see `AseCalculator`.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, checkpoint: str, version: str, device: str) -> None:
        super().__init__(f"sevennet-{checkpoint.removeprefix('7net-')}", version, partial(_make, checkpoint, device))
        self.device = device

    def evaluate(self, cells: Sequence[AtomicStructure], *, forces: bool = True) -> Evaluation:
        """See `symjax.evaluate.stability.potential.Potential`."""
        with one_thread(self.device == "cpu"):
            return super().evaluate(cells, forces=forces)


def load_sevennet(name: str, device: str | None = None) -> SevenNet:
    """A checkpoint by its name, one of `CHECKPOINTS`.

    The version is that of the package with the first digits of the checkpoint's SHA-256.

    Raises:
        InputError: the packages are not installed, the installed one lacks the checkpoint, or the device does not exist.
    """
    try:
        import torch
        from sevenn.calculator import SevenNetCalculator
        from sevenn.util import pretrained_name_to_path
    except ImportError as error:
        raise InputError(
            f"the potential {name} needs the packages sevenn and torch ({error}); get them by: {INSTALL_SEVENNET}"
        ) from error
    del SevenNetCalculator  # imported so that what it needs and is not there is said now
    checkpoint = CHECKPOINTS[name]
    try:
        content = Path(pretrained_name_to_path(checkpoint)).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"the installed sevenn has no checkpoint {checkpoint} ({error}); 0.13.0 carries it") from error
    version = f"{metadata.version('sevenn')}-{hashlib.sha256(content).hexdigest()[:8]}"
    return SevenNet(checkpoint, version, torch_device(device, torch.cuda.is_available()))


def _make(checkpoint: str, device: str) -> Any:
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(checkpoint, device=device)
