"""`symjax analyze FILE`: operations, closure, group, orbits and lattice freedom of a crystal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `analyze`."""
    parser = subparsers.add_parser("analyze", help="operations, closure, group, orbits and lattice freedom of a crystal")
    parser.add_argument("file", type=Path, help="CIF, POSCAR or extxyz")
    parser.add_argument("--symprec", type=float, default=0.1, help="tolerance of the symmetry search, angstrom (0.1)")
    parser.add_argument("--angle-tolerance", type=float, default=5.0, help="its angle tolerance, degrees (5)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Analyze a file and print what was found."""
    raise NotImplementedError
