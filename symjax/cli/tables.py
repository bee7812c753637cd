"""`symjax tables`: the tables of the papers with measured rows; the program is `experiments/tables.py`, which the wheel carries."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from symjax.cli.forward import add_forwarding


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    add_forwarding(subparsers, "tables", "print the tables of the papers, with rows of your reports")


def run(args: argparse.Namespace) -> int:
    """Print tables."""
    program = importlib.import_module("symjax.experiments.tables")
    return int(program.main(args.arguments, name="symjax tables"))
