"""Readers of numbers on the command line, for argparse."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def ratio(text: str) -> float:
    """A share of covalent radii, from 0 to 1.5."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1.5:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1.5")
    return value


def seed(text: str) -> int:
    """A seed of up to 63 bits."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return value
