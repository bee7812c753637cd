"""`symjax generate --model symmcd`: what of the command's options this model takes, drawing, and what it has to say afterwards.

Part of the command `generate` (not a command of its own). Files are written by `symjax.cli.generate`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symjax.cli.generate import Drawn
    from symjax.models.symmcd.generate import Generated

ABOUT = "diffusion in a given space group"
TAKES: tuple[str, ...] = ("space_group", "orbits", "elements", "formula")


def check(args: argparse.Namespace) -> None:
    """Nothing to check before the weights are loaded."""


def crystals(args: argparse.Namespace) -> Drawn:
    """Load the weights and draw.

    Raises:
        InputError: what is asked for cannot be read or met.
        WeightsError: weights of another model or preset.
    """
    from symjax.cli.generate import Drawn

    made = draw(args)
    return Drawn(made.dataset, for_index(made), for_entries(made), after=lambda: show(made))


def draw(args: argparse.Namespace) -> Generated:
    """Load the weights and draw.

    Raises:
        InputError: what is asked for cannot be read or met.
        WeightsError: weights of another model or preset.
    """
    from symjax.cli.generate import parse_elements, parse_formula, parse_space_group
    from symjax.evaluate.samples import StageBar
    from symjax.models.symmcd.generate import Request, generate
    from symjax.models.symmcd.sample import SamplerOptions
    from symjax.models.symmcd.weights import load_weights

    groups = [] if args.space_group is None else [parse_space_group(part) for part in args.space_group.split(",")]
    request = Request(
        groups=tuple(dict.fromkeys(groups)),
        orbits=args.orbits,
        elements=() if args.elements is None else parse_elements(args.elements),
        formula=None if args.formula is None else parse_formula(args.formula),
    )
    weights = load_weights(args.weights)
    with StageBar(args.num, show=not args.quiet) as bar:
        return generate(
            weights,
            args.num,
            seed=args.seed,
            request=request,
            sampler=SamplerOptions(num_steps=args.steps),
            min_ratio=args.min_ratio,
            batch_size=min(args.batch, args.num),
            progress=bar,
        )


def for_index(found: Generated) -> dict[str, Any]:
    """What the index says about drawing."""
    return {"draws": found.attempts, "failed_draws": found.failed}


def for_entries(found: Generated) -> list[dict[str, Any]] | None:
    """What the index says about each crystal: the space group asked for, where it is only a condition (unit-cell weights)."""
    asked = found.dataset.properties.get("requested_group")
    return None if asked is None else [{"requested_group": int(number)} for number in asked]


def show(found: Generated) -> None:
    """Say how many draws gave no crystal, and why."""
    if "requested_group" in found.dataset.properties:
        print(
            "unit-cell weights: the space group is only a condition; crystals are in P1, with requested_group in the index"
        )
    lost = sum(found.failed.values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(found.failed.items()))
    print(f"{lost} of {found.attempts} draws gave no crystal{f' ({reasons})' if lost else ''}")
