"""What commands that judge crystals share: sources, the cache, chemical systems, whether bars are shown."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from symjax.cli.workers import workers_of

if TYPE_CHECKING:
    from symjax.evaluate.cache import Cache
    from symjax.evaluate.sources import Crystals


def system_of(text: str) -> tuple[int, ...]:
    """Atomic numbers of a chemical system such as Li-O."""
    from symjax.elements import atomic_number
    from symjax.errors import InputError
    from symjax.generate.request import meant_elements

    names = text.replace(",", "-").split("-")
    numbers = [(name, atomic_number(name)) for name in names]
    unknown = [name for name, z in numbers if z is None]
    if unknown or len(set(numbers)) < 2:
        meant = meant_elements(text)
        hint = f"; did you mean {'-'.join(meant)}?" if len(meant) > 1 else ""
        raise InputError(f"--system {text!r}: give at least two different elements joined by -, such as Li-O{hint}")
    return tuple(sorted({z for _, z in numbers if z is not None}))


def read_source(path: str, args: argparse.Namespace, cache: Cache) -> Crystals:
    """Crystals of a source, as the command line says."""
    from symjax.evaluate.sources import read_crystals

    return read_crystals(path, processes=workers_of(args), progress=progress_of(args), cache=cache)


def cache_of(args: argparse.Namespace) -> Cache:
    """The cache that the command line names."""
    from symjax.evaluate.cache import Cache, default_path

    return Cache(None if args.no_cache else (args.cache or default_path()))


def progress_of(args: argparse.Namespace) -> bool:
    """Whether bars are shown."""
    return not args.quiet and sys.stderr.isatty()
