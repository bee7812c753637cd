"""`symjax train`: says how training is started.

Training has its own program, because its options are those of a configuration file (absl and ml_collections flags).
"""

from __future__ import annotations

import argparse
from typing import Any

USAGE = """\
Training runs from a clone of the repository, as a module:

  python -m experiments.train --config configs/symop.py:small --config.train.steps=2000 --workdir runs/first

`symjax data prepare` makes the data file it reads; README.md has the whole way from a CSV file to new weights."""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser("train", help="how to train a model")
    parser.set_defaults(command="train")


def run(args: argparse.Namespace) -> int:
    """Print how training is started."""
    del args
    print(USAGE)
    return 0
