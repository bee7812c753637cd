"""Numbers that others published, with the source of each, and the list of this project's own systems.

`TABLES` maps the name of a table to it; `experiments.tables` prints them. What a row is, and what its provenance means, is in
`experiments.published.types`.
"""

from __future__ import annotations

from . import others, symmcd, wyckoff_transformer
from .types import Column, Row, System, Table

__all__ = ["SYSTEMS", "TABLES", "Column", "Row", "System", "Table", "owner"]

SYSTEMS: dict[str, System] = {
    system.key: system
    for system in (
        System("symop", "symop", "Generative Symmetry in Crystal Modelling"),
        System("symmcd", "SymmCD", "SymmCD"),
        System("wyckoffaugen", "WyckoffAUGen", "WyckoffAUGen"),
        System("wyckoffdiff", "WyckoffDiff", "WyckoffDiff"),
        System("adaptor", "WyckoffDiff-Adaptor", "WyckoffDiff-Adaptor", ("wyckoffdiffadaptor", "wyckoffdiffadapter")),
        System("wyckoff_transformer", "WyckoffTransformer", "WyckoffTransformer", ("wyformer",)),
    )
}
"""Systems of this project, built or not."""

TABLES: dict[str, Table] = {table.key: table for table in (*symmcd.TABLES, *others.TABLES, *wyckoff_transformer.TABLES)}
"""Every table by name."""


def owner(name: str) -> str | None:
    """Key of the system that a model, a weights folder or a row of that name belongs to; None where it is none of ours.

    Case, spaces and punctuation do not matter, and the longest name that fits decides: "wyckoffdiff_adaptor" is the adaptor's.
    """
    fits = [
        (len(_plain(alias)), system.key)
        for system in SYSTEMS.values()
        for alias in (system.key, *system.aliases)
        if _plain(name).startswith(_plain(alias))
    ]
    return max(fits)[1] if fits else None


def _plain(name: str) -> str:
    """Letters and digits in lower case."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
