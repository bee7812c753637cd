"""Potentials by the names that the command line knows."""

from __future__ import annotations

from symjax.errors import InputError
from symjax.evaluate.stability.ase_calculator import PREFIX, AseCalculator
from symjax.evaluate.stability.potential import INSTALL, Chgnet, Potential


def load_potential(name: str = "chgnet", device: str | None = None) -> Potential:
    """The potential of that name.

    Args:
        name: ``chgnet`` (CHGNet 0.3.0, Deng et al. 2023, weights from the installed wheel), or ``ase:package.module:factory``
            (`symjax.evaluate.stability.ase_calculator`).
        device: ``cpu`` or ``cuda``; None for a GPU where torch sees one.

    Raises:
        InputError: unknown name, the packages are not installed, or the device does not exist.
    """
    if name.startswith(PREFIX):
        return AseCalculator(name)
    if name != "chgnet":
        raise InputError(
            f"unknown potential {name!r}; there are chgnet and ase:package.module:factory (an ASE calculator)"
        )
    try:
        import chgnet
        import torch
    except ImportError as error:
        raise InputError(
            f"the potential chgnet needs the packages chgnet and torch ({error}); get them by: {INSTALL}"
        ) from error
    del chgnet
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {device!r} was asked for, but torch sees no GPU; use device='cpu'")
    if device != "cpu" and not device.startswith("cuda"):
        raise InputError(f"device must be 'cpu' or 'cuda', got {device!r}")
    return Chgnet(device)
