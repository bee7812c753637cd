"""Potentials by the names that the command line knows."""

from __future__ import annotations

from symjax.errors import InputError
from symjax.evaluate.stability.ase_calculator import PREFIX, from_path
from symjax.evaluate.stability.potential import INSTALL, Chgnet, Potential, torch_device
from symjax.evaluate.stability.sevennet import CHECKPOINTS, load_sevennet

NAMES = ("chgnet", *CHECKPOINTS)
"""Potentials by name."""


def load_potential(name: str = "chgnet", device: str | None = None) -> Potential:
    """The potential of that name.

    Args:
        name: ``chgnet`` (CHGNet 0.3.0, Deng et al. 2023, weights from the installed wheel), one of
            `symjax.evaluate.stability.sevennet.CHECKPOINTS`, or ``ase:package.module:factory``
            (`symjax.evaluate.stability.ase_calculator`).
        device: ``cpu`` or ``cuda``; None for a GPU where torch sees one.

    Raises:
        InputError: unknown name, the packages are not installed, or the device does not exist.
    """
    if name.startswith(PREFIX):
        return from_path(name)
    if name in CHECKPOINTS:
        return load_sevennet(name, device)
    if name != "chgnet":
        raise InputError(
            f"unknown potential {name!r}; there are {', '.join(NAMES)} and ase:package.module:factory (an ASE calculator)"
        )
    try:
        import chgnet
        import torch
    except ImportError as error:
        raise InputError(
            f"the potential chgnet needs the packages chgnet and torch ({error}); get them by: {INSTALL}"
        ) from error
    del chgnet
    return Chgnet(torch_device(device, torch.cuda.is_available()))
