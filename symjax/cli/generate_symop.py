"""`symjax generate --model symop`: the flagship's constraints, crystals from nothing or from a parent crystal.

Part of the command `generate` (not a command of its own). Files are written by `symjax.cli.generate`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from symjax.cli import generate_parent

if TYPE_CHECKING:
    from symjax.cli.generate import Drawn
    from symjax.data.dataset import CrystalDataset
    from symjax.generate.constraints import Constraints

ABOUT = "operations first"
TAKES: tuple[str, ...] = (
    "formula",
    "elements",
    "space_group",
    "point_group",
    "crystal_system",
    "centrosymmetric",
    "no_inversion",
    "polar",
    "chiral",
    "require",
    "forbid",
    "parent",
    *generate_parent.DEFAULTS,
)


def check(args: argparse.Namespace) -> None:
    """Check what belongs to a parent crystal.

    Raises:
        InputError: as `symjax.cli.generate_parent.check`.
    """
    generate_parent.check(args)


def crystals(args: argparse.Namespace) -> Drawn:
    """Load the weights and draw.

    Raises:
        InputError: what is asked for cannot be read or met.
        WeightsError: weights of another model or preset.
    """
    from symjax.cli.generate import Drawn

    constraints = constraints_from(args)
    if args.parent is None:
        return Drawn(_generate(args, constraints))
    parent, found = generate_parent.draw(args)
    about, each = generate_parent.for_index(parent, found)
    return Drawn(found.dataset, about, each, before=lambda cells: generate_parent.show(parent, found, cells))


def constraints_from(args: argparse.Namespace) -> Constraints:
    """The constraints of the command line.

    Raises:
        InputError: a name or number cannot be read; the message says which and what would do.
    """
    from symjax.cli.generate import parse_elements, parse_formula, parse_space_group
    from symjax.generate.constraints import Constraints

    yes_no = {(False, False): None, (True, False): True, (False, True): False}
    return Constraints(
        formula=None if args.formula is None else parse_formula(args.formula),
        elements=() if args.elements is None else parse_elements(args.elements),
        space_group=None if args.space_group is None else parse_space_group(args.space_group),
        point_group=args.point_group,
        crystal_system=args.crystal_system,
        centrosymmetric=yes_no[args.centrosymmetric, args.no_inversion],
        polar=True if args.polar else None,
        chiral=True if args.chiral else None,
        require=tuple(args.require),
        forbid=tuple(args.forbid),
    )


def _generate(args: argparse.Namespace, constraints: Constraints) -> CrystalDataset:
    from symjax.evaluate.samples import StageBar, sampler_of
    from symjax.models.symop.generate import generate
    from symjax.models.symop.weights import load_weights

    weights = load_weights(args.weights)
    with StageBar(args.num, show=not args.quiet) as bar:
        return generate(
            weights,
            args.num,
            seed=args.seed,
            constraints=constraints,
            sampler=sampler_of(args.steps),
            min_ratio=args.min_ratio,
            batch_size=min(args.batch, args.num),
            progress=bar,
        ).dataset
