"""The option of every command that relaxes: which potential."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symjax.evaluate.stability import Potential

NAMES = ("chgnet", "sevennet", "sevennet-l3i5", "sevennet-0")
"""As `symjax.evaluate.stability.named.NAMES`, which a parser must not import."""


def add_potential_option(group: Any) -> None:
    """Add the option to a parser or a group of one."""
    group.add_argument(
        "--potential",
        default="chgnet",
        metavar="NAME",
        help=f"universal potential: {', '.join(NAMES)}, or any ASE calculator as ase:package.module:factory (chgnet)",
    )


def potential_of(args: argparse.Namespace) -> Potential:
    """The potential that was asked for.

    Raises:
        InputError: there is none of that name, or its packages are missing.
    """
    from symjax.evaluate.stability import load_potential

    return load_potential(args.potential)
