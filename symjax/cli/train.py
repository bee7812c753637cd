"""`symjax train`: trains a model; the program is `experiments/train.py`, which the wheel carries.

Its options are those of a configuration file (absl and ml_collections flags), so the whole rest of the line goes there.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from symjax.cli.forward import add_forwarding


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    add_forwarding(subparsers, "train", "train a model")


def run(args: argparse.Namespace) -> int:
    """Train."""
    program = importlib.import_module("symjax.experiments.train")
    return int(program.main(["symjax train", *args.arguments], name="symjax train"))
