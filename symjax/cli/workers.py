"""Options of every command that works on many crystals: how many processes, on which machines, within what limits."""

from __future__ import annotations

import argparse
from typing import Any

from symjax.parallel import Workers


def add_worker_options(parser: Any) -> None:
    """Add the options to a parser or a group of one."""
    parser.add_argument("--workers", type=int, help="processes (all cores)")
    parser.add_argument(
        "--time-limit", type=float, default=300.0, metavar="S", help="seconds for one crystal, which is lost then (300)"
    )
    parser.add_argument(
        "--memory-limit",
        type=float,
        metavar="GIB",
        help="memory of one worker (its share of four fifths of the machine)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="work on the workers of this Dask scheduler (tcp://host:8786, or its JSON file; extra symjax-crystals[dask])",
    )


def workers_of(args: argparse.Namespace) -> Workers:
    """What was asked for.

    Raises:
        InputError: a number that cannot be meant.
    """
    from symjax.errors import InputError

    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers must be at least 1, got {args.workers}")
    if args.workers is not None and args.scheduler is not None:
        raise InputError(
            "--workers are processes of this machine; with --scheduler its workers are used: leave one out"
        )
    for name, value in (("--time-limit", args.time_limit), ("--memory-limit", args.memory_limit)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} must be positive and finite, got {value}")
    memory = None if args.memory_limit is None else int(args.memory_limit * 2**30)
    return Workers(args.workers, args.time_limit, memory, args.scheduler)
