"""`symjax generate --parent FILE`: derivatives of a given crystal, below or above it in the subgroup lattice.

Part of the command `generate` (not a command of its own): its options, drawing, and the table of subgroups with their learned
probabilities. Files are written by `symjax.cli.generate`.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.cli.parent import Parent
    from symjax.crystals.types import AtomicStructure
    from symjax.generate.system import System
    from symjax.models.symop.derive.derivatives import Candidate, Derivatives

ROWS_ON_SCREEN = 15
_EXACT = 0.001  # angstrom
MAX_CELL = 4
DEFAULTS: dict[str, Any] = {
    "direction": "below",
    "measure": None,
    "strength": None,
    "symprec": None,
    "tolerance": 0.3,
    "strain": 5.0,
    "keep_parent": False,
    "max_cell": 1,
}


def add_options(group: Any) -> None:
    """Register the options; their defaults are filled in by `check` so that stray ones can be told."""
    group.add_argument("--parent", metavar="FILE", help="CIF, POSCAR or extxyz; its elements and sites are kept")
    group.add_argument(
        "--direction",
        choices=("below", "above"),
        help="below: fewer operations; above: more, which it nearly has (default below)",
    )
    group.add_argument(
        "--strength",
        type=float,
        metavar="T",
        help="diffusion time (0, 1] the geometry is noised to (default 0.3; above: 0, averaged only)",
    )
    group.add_argument(
        "--measure",
        choices=("both", "type", "walk"),
        help="type: how likely the model draws the atoms so described; walk: only the walk among the parent's "
        "operations; both: their geometric mean (default; type with --direction above or --max-cell)",
    )
    group.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="symmetry search of the parent, Å (0.01; where that leaves P1, that at which the group jumps)",
    )
    group.add_argument("--tolerance", type=float, metavar="A", help="above: largest move of an atom, Å (default 0.3)")
    group.add_argument(
        "--strain", type=float, metavar="PCT", help="above: largest change of an edge, percent (default 5)"
    )
    group.add_argument(
        "--max-cell",
        type=int,
        metavar="N",
        help="below: subgroups whose primitive cell is up to N times the parent's, 1 to 4 (default 1; tilts need 2 to 4)",
    )
    group.add_argument(
        "--keep-parent", action="store_true", default=None, help="the parent's own group may be drawn too"
    )


def check(args: argparse.Namespace, asked: list[str]) -> None:
    """Fill in the defaults.

    Args:
        args: the command line.
        asked: options of what is asked for that were given.

    Raises:
        InputError: options that do not go together or numbers that cannot be meant.
    """
    given = [name for name in DEFAULTS if getattr(args, name) is not None]
    if args.parent is None:
        if given:
            raise InputError(f"--{given[0].replace('_', '-')} needs --parent FILE")
        return
    if asked:
        raise InputError(f"{asked[0]} does not go with --parent, which takes elements and operations from the file")
    for name, value in DEFAULTS.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.direction == "below" and ("tolerance" in given or "strain" in given):
        raise InputError("--tolerance and --strain belong to --direction above; below, the parent's atoms are kept")
    if not 1 <= args.max_cell <= MAX_CELL:
        raise InputError(f"--max-cell {args.max_cell}: the primitive cell can be enlarged 1 to {MAX_CELL} times")
    if args.max_cell > 1 and (args.direction != "below" or args.measure not in (None, "type")):
        raise InputError("--max-cell belongs to --direction below and --measure type")
    if not 0 < args.tolerance < 3:
        raise InputError(f"--tolerance {args.tolerance:g}: a length above 0 and below 3 angstrom is needed")
    if not 0 < args.strain < 50:
        raise InputError(f"--strain {args.strain:g}: a share above 0 and below 50 percent is needed")


def draw(args: argparse.Namespace, chosen: System) -> tuple[Parent, Derivatives]:
    """Read the parent and draw.

    Raises:
        InputError: as `symjax.cli.parent.read_parent` and `symjax.models.symop.derive.derivatives.derivatives`.
    """
    from symjax.cli.parent import read_parent
    from symjax.generate.progress import StageBar

    parent = read_parent(args.parent, args.symprec)
    parent.warn()
    with StageBar(args.num, show=not args.quiet) as bar:
        found = chosen.derive(  # type: ignore[attr-defined]  # `check` made sure of it
            chosen.load(args.weights),
            parent.crystal,
            args.num,
            direction=args.direction,
            measure=args.measure,
            strength=args.strength,
            seed=args.seed,
            tolerance=args.tolerance,
            strain=args.strain / 100,
            keep_parent=args.keep_parent,
            max_cell=args.max_cell,
            steps=args.steps,
            min_ratio=args.min_ratio,
            batch_size=args.batch,
            progress=bar,
        )
    return parent, found


def for_index(parent: Parent, found: Derivatives) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the index says about the parent and all subgroups, and about each crystal."""
    import numpy as np

    rows = found.candidates.rows
    drawn = np.bincount(found.chosen, minlength=len(rows))
    about = {
        "parent": {
            "group": {"number": parent.number, "symbol": parent.symbol},
            **parent.transformation,
            "symmetry_ladder": {f"{tolerance:g}": number for tolerance, number in parent.ladder.items()},
            "share_of_its_own_group": float(np.exp(found.candidates.log_parent)),
        },
        "subgroups": [{**_row(row), "drawn": int(count)} for row, count in zip(rows, drawn, strict=True)],
    }
    each = [
        {"subgroup": int(i), "index_in_parent": rows[i].index, "free_parameters": rows[i].free} for i in found.chosen
    ]
    return about, each


def _row(row: Candidate) -> dict[str, Any]:
    """JSON values of one class of subgroups."""
    import numpy as np

    values: dict[str, Any] = {
        "number": row.number,
        "symbol": row.symbol,
        "index": row.index,
        "cell": row.cell,
        "conjugates": row.conjugates,
        "free_parameters": row.free,
        "status": row.status,
        "probability": float(np.exp(row.log_probability)),
        "log_type": row.log_type,
        "log_walk": row.log_walk,
        "log_likelihood": row.log_likelihood,
    }
    if row.reduction is not None:
        setting = row.reduction.setting
        values |= {
            "basis": (setting.P / setting.P_den).tolist(),
            "origin": (setting.p / setting.p_den).tolist(),
            "averaging_moves": round(row.reduction.displacement, 6),
        }
    return {
        name: value if not isinstance(value, float) or np.isfinite(value) else None for name, value in values.items()
    }


def show(parent: Parent, found: Derivatives, cells: list[AtomicStructure]) -> None:
    """Print the subgroups that can be drawn, most probable first."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from symjax.cli.parent import LENGTH_RULE
    from symjax.evaluate.symmetry import detected_number

    candidates, rows = found.candidates, found.candidates.rows
    console = Console(width=None if sys.stdout.isatty() else 120)
    below = candidates.direction == "below"
    table = Table(
        title=f"{'subgroups' if below else 'supergroups'} of {parent.symbol} ({parent.number}), by learned probability",
        title_justify="left",
        row_styles=["", "dim"],
    )
    for name in (
        "group",
        "index",
        "cell",
        "class",
        "free",
        "ln p(type)",
        "ln p(walk)",
        "probability",
        "drawn",
        "found exactly",
    ):
        table.add_column(name, justify="left" if name == "group" else "right")
    drawn = np.bincount(found.chosen, minlength=len(rows))
    # lengths judge the angles too: five degrees would hide a strain
    exactly = [
        detected_number(cell, _EXACT, LENGTH_RULE) == rows[i].number
        for cell, i in zip(cells, found.chosen, strict=True)
    ]
    again = np.bincount(found.chosen, weights=exactly, minlength=len(rows))
    usable = [i for i, row in enumerate(rows) if row.status == "open"]
    for i in usable[:ROWS_ON_SCREEN]:
        row = rows[i]
        table.add_row(
            f"{row.symbol} ({row.number})",
            str(row.index),
            str(row.cell),
            str(row.conjugates),
            str(row.free),
            "-" if row.log_type is None else f"{row.log_type:.2f}",
            f"{row.log_walk:.2f}" if np.isfinite(row.log_walk) else "-",
            f"{np.exp(row.log_probability):.4f}",
            f"{drawn[i] / len(found.chosen):.3f}",
            f"{int(again[i])} of {drawn[i]}" if drawn[i] else "-",
        )
    console.print(table)
    left_out = {
        word: sum(row.status == word for row in rows) for word in ("unattainable", "too large", "atoms do not fit")
    }
    said = {
        "unattainable": "that these atoms cannot tell from a larger group",
        "too large": "too large for the model",
        "atoms do not fit": "that would move atoms too far",
    }
    more = [f"{count} {said[word]}" for word, count in left_out.items() if count]
    console.print(
        f"{len(usable)} {'class' if len(usable) == 1 else 'classes'} of {'subgroups' if below else 'supergroups'} can be drawn"
        + (f"; left out: {', '.join(more)}" if more else "")
        + f"\nfree: strains and displacements left free; the parent's own group has a share of {np.exp(candidates.log_parent):.3f} "
        f"beside them\nfound exactly: the group spglib finds at {_EXACT} Å is this one and no larger"
    )
