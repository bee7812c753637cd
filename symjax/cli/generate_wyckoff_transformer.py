"""`symjax generate --model wyckoff_transformer`: its options, drawing, the file of representations, and what was drawn in vain.

Part of the command `generate` (not a command of its own). Files of crystals are written by `symjax.cli.generate`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.cli.generate import Drawn
    from symjax.evaluate.samples import StageBar
    from symjax.models.wyckoff_transformer.generate import Generated, Realiser, Request

ABOUT = "elements on Wyckoff positions, one after the other"
TAKES: tuple[str, ...] = (
    "space_group",
    "orbits",
    "elements",
    "allow",
    "include",
    "prefix",
    "temperature",
    "unmasked",
    "realise",
    "attempts",
    "seconds",
)
REALISE = ("diffusion", "pyxtal", "none")
GENES = "genes.jsonl"
_LISTED = 10


def add_options(group: Any) -> None:
    """Register the options; defaults are filled in by `check` so that stray ones can be told."""
    group.add_argument("--allow", metavar="A,B", help="no other elements than these")
    group.add_argument("--include", metavar="A,B", help="at least these elements")
    group.add_argument(
        "--prefix", metavar="E:P,..", help="given orbits to go on from, as in Na:4a,O:24e; needs one --space-group"
    )
    group.add_argument(
        "--temperature", type=float, metavar="T", help="above 1: more varied, below 1: more typical (default 1)"
    )
    group.add_argument(
        "--unmasked", action="store_true", help="published sampling: invalid samples occur and are drawn again"
    )
    group.add_argument(
        "--realise",
        choices=REALISE,
        help="lattice and coordinates: by symop's diffusion, random by PyXtal, or representations only "
        "(default diffusion)",
    )
    group.add_argument(
        "--attempts", type=int, metavar="N", help="pyxtal: attempts for each representation (default 30)"
    )
    group.add_argument("--seconds", type=float, metavar="S", help="pyxtal: time for each representation (default 20)")


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is loaded.

    Raises:
        InputError: saying which.
    """
    if args.realise != "pyxtal":
        for name in ("attempts", "seconds"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name} needs --realise pyxtal")
    if args.realise in ("pyxtal", "none") and args.steps is not None:
        raise InputError(f"--steps are diffusion steps and do not go with --realise {args.realise}")


def crystals(args: argparse.Namespace) -> Drawn:
    """Load the weights and draw.

    Raises:
        InputError: what is asked for cannot be read or met.
        WeightsError: weights of another model, preset or table version.
    """
    from symjax.cli.generate import Drawn
    from symjax.evaluate.samples import StageBar
    from symjax.models.wyckoff_transformer.generate import generate
    from symjax.models.wyckoff_transformer.weights import load_weights

    request = _request(args)
    weights = load_weights(args.weights)
    with StageBar(args.num, show=not args.quiet) as bar:
        made = generate(weights, args.num, seed=args.seed, request=request, realise=_realiser(args, bar), progress=bar)
    return Drawn(
        made.dataset, for_index(made), after=lambda: show(made), files=lambda folder: write_genes(folder / GENES, made)
    )


def _request(args: argparse.Namespace) -> Request:
    from symjax.cli.generate import parse_elements, parse_space_group
    from symjax.models.wyckoff_transformer.generate import Request

    groups = [] if args.space_group is None else [parse_space_group(part) for part in args.space_group.split(",")]
    elements, allowed, required = (
        () if text is None else parse_elements(text) for text in (args.elements, args.allow, args.include)
    )
    return Request(
        groups=tuple(dict.fromkeys(groups)),
        elements=elements,
        allowed=allowed,
        required=required,
        prefix=() if args.prefix is None else parse_prefix(args.prefix),
        orbits=args.orbits,
        temperature=1.0 if args.temperature is None else args.temperature,
        masked=not args.unmasked,
    )


def parse_prefix(text: str) -> tuple[tuple[str, str], ...]:
    """Element and position of each orbit of a list such as ``Na:4a,Cl:4b``.

    Raises:
        InputError: naming the part that cannot be read.
    """
    orbits = []
    for part in text.split(","):
        element, colon, position = (piece.strip() for piece in part.partition(":"))
        if not (element and colon and position):
            raise InputError(
                f"prefix {text!r}: cannot read {part!r}; write orbits as element and position, as in Na:4a,Cl:4b"
            )
        orbits.append((element, position))
    return tuple(orbits)


def _realiser(args: argparse.Namespace, bar: StageBar) -> Realiser | None:
    """What gives coordinates."""
    if args.realise == "none":
        return None
    if args.realise == "pyxtal":
        from symjax.generate.pyxtal import Pyxtal

        limits = {name: getattr(args, name) for name in ("attempts", "seconds") if getattr(args, name) is not None}
        return Pyxtal(**limits, progress=bar)
    from symjax.evaluate.samples import sampler_of
    from symjax.models.symop.weights import load_weights
    from symjax.models.wyckoff_transformer.generate import Diffusion

    return Diffusion(
        load_weights(),
        sampler=sampler_of(args.steps),
        min_ratio=args.min_ratio,
        batch_size=min(args.batch, args.num),
        progress=bar,
    )


def for_index(made: Generated) -> dict[str, Any]:
    """What the index says about drawing: how many representations were drawn, were valid, and became crystals."""
    invalid, lost = sum(made.invalid.values()), len(made.unrealised)
    return {
        "representations": {
            "drawn": made.attempts,
            "invalid": made.invalid,
            "valid": made.attempts - invalid,
            "realised": None if made.dataset is None else made.attempts - invalid - lost,
            "missing": made.missing,
        },
        "unrealised": [{**gene, "reason": reason} for gene, reason in made.unrealised],
    }


def write_genes(path: Path, made: Generated) -> None:
    """One JSON object a line, line i for crystal i.

    Each has the space group, formula, atoms of the conventional cell, and element, position and site symmetry of each orbit.
    """
    from symjax.models.wyckoff_transformer.generate import gene

    types = made.types
    genes = [gene(int(number), z, pos) for number, z, pos in zip(made.number, types.z, types.pos, strict=True)]
    path.write_text("".join(json.dumps(one) + "\n" for one in genes))


def show(made: Generated) -> None:
    """Say how many draws gave nothing, and why."""
    invalid, lost = sum(made.invalid.values()), len(made.unrealised)
    print(f"{made.attempts} representations drawn, {made.attempts - invalid} of them valid{_reasons(made.invalid)}")
    if made.dataset is None:
        print(f"{len(made.number)} representations in {GENES}, one a line")
        return
    valid = made.attempts - invalid
    print(
        f"{valid - lost} of {valid} valid representations realised{_reasons(Counter(reason for _, reason in made.unrealised))}"
    )
    for gene, reason in made.unrealised[:_LISTED]:
        orbits = ", ".join(f"{orbit['element']} {orbit['position']}" for orbit in gene["orbits"])
        print(f"  not realised: {gene['formula']} in {gene['space_group']} ({orbits}): {reason}")
    if lost > _LISTED:
        print(f"  ... and {lost - _LISTED} more, all in index.json")
    if made.missing:
        print(f"{made.missing} crystals are missing: every draw for them failed")


def _reasons(counts: dict[str, int]) -> str:
    """Reasons in brackets, the most frequent first."""
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f" ({listed})" if listed else ""
