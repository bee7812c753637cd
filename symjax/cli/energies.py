"""Options of every command that relaxes crystals: one name and one default each, and what they mean for `RelaxOptions`."""

from __future__ import annotations

import argparse
from typing import Any

from symjax.cli.numbers import count

FMAX, STEPS, SECONDS = 0.05, 500, 300.0
"""Largest force left in eV/angstrom, steps, and wall-clock seconds of one crystal."""


def add_relaxation(group: Any) -> None:
    """Register the options of a relaxation with a parser or a group of one."""
    group.add_argument(
        "--fmax", type=float, default=FMAX, metavar="F", help=f"largest force after relaxation, eV/Å ({FMAX})"
    )
    group.add_argument(
        "--relax-steps", type=count, default=STEPS, metavar="N", help=f"relaxation steps at most ({STEPS})"
    )
    group.add_argument(
        "--max-seconds", type=float, default=SECONDS, metavar="S", help=f"time limit of one crystal, s ({SECONDS:g})"
    )


def relaxation_of(args: argparse.Namespace, *, symmetric: bool) -> Any:
    """The options as `symjax.evaluate.stability.RelaxOptions`."""
    from symjax.evaluate.stability import RelaxOptions

    return RelaxOptions(fmax=args.fmax, steps=args.relax_steps, max_seconds=args.max_seconds, symmetric=symmetric)
