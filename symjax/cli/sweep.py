"""`symjax sweep`: trains over combinations of fields; the program is `experiments/sweep.py`, which the wheel carries."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from symjax.cli.forward import add_forwarding


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    add_forwarding(subparsers, "sweep", "train over combinations of fields, with a table at the end")


def run(args: argparse.Namespace) -> int:
    """Train all, print the table."""
    program = importlib.import_module("symjax.experiments.sweep")
    return int(program.main(args.arguments, name="symjax sweep"))
