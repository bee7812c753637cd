"""Subcommands that hand the rest of the line to a program of `symjax.experiments`, which has options of its own."""

from __future__ import annotations

from typing import Any

_NO_PREFIX = "\0"  # no argument starts with it, so the parser takes options as they are


def add_forwarding(subparsers: Any, name: str, text: str) -> None:
    """Register a subcommand whose parser only collects `arguments`, `--help` included."""
    parser = subparsers.add_parser(name, help=text, prefix_chars=_NO_PREFIX, add_help=False)
    parser.add_argument("arguments", nargs="*")
    parser.set_defaults(command=name)
