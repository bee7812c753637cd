"""`symjax generate`: crystals from the shipped or given weights into a folder, with an index, a table and a picture."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from symjax.cli import generate_parent, generate_relax, generate_symmcd, generate_symop, generate_wyckoff_transformer
from symjax.cli.generate_files import FORMATS, write
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.crystals.types import AtomicStructure
    from symjax.data.dataset import CrystalDataset

SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
ROWS_ON_SCREEN = 25
EPILOG = """\
KIND is one of: inversion, mirror, glide, rotation-2, rotation-3, rotation-4, rotation-6, screw-2, screw-3, screw-4, screw-6,
rotoinversion-3, rotoinversion-4, rotoinversion-6 (any pitch of a screw counts).

examples:
  symjax generate --num 100 --out crystals
  symjax generate --num 20 --out titanates --formula SrTiO3
  symjax generate --num 20 --out piezo --no-inversion --polar
  symjax generate --num 20 --out phases --parent BaTiO3.cif                       # lower symmetry, learned
  symjax generate --num 5 --out parents --parent tetragonal.cif --direction above
  symjax generate --num 20 --out rocksalt --model symmcd --space-group 225 --orbits 2
  symjax generate --num 20 --out salts --model wyckoff_transformer --space-group 225 --prefix Na:4a --include Cl"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "generate",
        help="generate crystals",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Generate crystals: files, index.json, crystals.npz and a picture in one folder.",
    )
    parser.add_argument("--num", type=_count, required=True, metavar="N", help="how many crystals")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write (made if it is not there)")
    about = "; ".join(f"{name}: {part.ABOUT}" for name, part in PARTS.items())
    parser.add_argument("--model", choices=tuple(PARTS), default="symop", help=f"{about} (default symop)")
    parser.add_argument("--weights", metavar="DIR", help="trained weights (default: those in the package)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal crystals (default 0)")
    parser.add_argument(
        "--format", choices=FORMATS, default="cif", help="cif: a file each; others: one file (default cif)"
    )
    parser.add_argument("--steps", type=_count, metavar="N", help="diffusion steps (default: the model's own)")
    parser.add_argument("--batch", type=_count, default=64, metavar="N", help="crystals at a time (default 64)")
    parser.add_argument(
        "--min-ratio",
        type=_ratio,
        default=0.6,
        metavar="R",
        help="redraw geometry with atoms closer than R covalent radii; 0: never (default 0.6)",
    )
    generate_relax.add_options(parser)
    parser.add_argument("--no-picture", action="store_true", help="write no crystals.png")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no table")
    _add_constraints(parser.add_argument_group("what is asked for", "nothing by default; constraints combine"))
    generate_parent.add_options(
        parser.add_argument_group(
            "from a parent crystal", "its symmetry lowered or raised by the model, with exact probabilities"
        )
    )
    generate_wyckoff_transformer.add_options(
        parser.add_argument_group("wyckoff_transformer", "elements on Wyckoff positions, then coordinates for them")
    )


def _add_constraints(group: Any) -> None:
    group.add_argument("--formula", help="exact formula of the cell's content, up to a common factor: SrTiO3")
    group.add_argument("--elements", metavar="A,B", help="exactly these elements: Li,O")
    group.add_argument(
        "--space-group", metavar="N", help="number 1..230 or symbol, as in Fm-3m; but for symop also several: 2,12"
    )
    group.add_argument(
        "--orbits", type=_count, metavar="M", help="not symop: number of orbits (default: as often as in the data)"
    )
    group.add_argument("--point-group", metavar="SYMBOL", help="as in m-3m, 4/mmm, 222")
    group.add_argument("--crystal-system", choices=SYSTEMS)
    inversion = group.add_mutually_exclusive_group()
    inversion.add_argument("--centrosymmetric", action="store_true", help="with an inversion")
    inversion.add_argument("--no-inversion", action="store_true", help="without one")
    group.add_argument("--polar", action="store_true", help="with a direction that all operations keep")
    group.add_argument("--chiral", action="store_true", help="rotations and screws only")
    group.add_argument(
        "--require", action="append", default=[], metavar="KIND", help="with such an operation (repeatable)"
    )
    group.add_argument("--forbid", action="append", default=[], metavar="KIND", help="without any (repeatable)")


def run(args: argparse.Namespace) -> int:
    """Generate, write, and show what was made."""
    from symjax.cli.output import check_folder, staged_folder

    folder = check_folder(args.out)
    refuse_foreign(args)
    PARTS[args.model].check(args)
    generate_relax.check(args)
    started = time.perf_counter()
    drawn = PARTS[args.model].crystals(args)
    drawing = {"seconds": round(time.perf_counter() - started, 3), "hardware": _hardware()}
    with staged_folder(folder) as stage:
        drawn.files(stage)
        cells, entries = write(stage, drawn.dataset, args, drawing | drawn.about, drawn.each)
    if not args.quiet:
        drawn.before(cells)
        if drawn.dataset is not None:
            show(entries, cells, folder, args)
        drawn.after()
        if args.relax:
            print(generate_relax.summary(entries))
    return 0


class Drawn(NamedTuple):
    """What a way of generating gives.

    Attributes:
        dataset: the crystals; None where there are only representations of crystals.
        about: more values for the index.
        each: more values for the entry of each crystal, or None.
        before: prints what comes before the table of crystals.
        after: prints what comes after it.
        files: writes more files into a folder.
    """

    dataset: CrystalDataset | None
    about: dict[str, Any] = {}
    each: list[dict[str, Any]] | None = None
    before: Callable[[list[AtomicStructure]], None] = lambda cells: None
    after: Callable[[], None] = lambda: None
    files: Callable[[Path], None] = lambda folder: None


class Part(Protocol):
    """What the command asks of a model; the modules `symjax.cli.generate_*` offer it.

    Attributes:
        ABOUT: what the model is, in a few words for the help.
        TAKES: names of the options that not every model takes and this one does.
    """

    ABOUT: str
    TAKES: tuple[str, ...]

    def check(self, args: argparse.Namespace) -> None:
        """Fill in defaults, and raise InputError for what cannot be meant, before anything is loaded."""
        ...

    def crystals(self, args: argparse.Namespace) -> Drawn:
        """Load the weights and draw."""
        ...


PARTS: dict[str, Part] = {
    "symop": generate_symop,
    "symmcd": generate_symmcd,
    "wyckoff_transformer": generate_wyckoff_transformer,
}


def refuse_foreign(args: argparse.Namespace) -> None:
    """Refuse options that the model of the command line does not take.

    Raises:
        InputError: naming the option and the models that take it.
    """
    takes = PARTS[args.model].TAKES
    for name in dict.fromkeys(name for part in PARTS.values() for name in part.TAKES):
        if name not in takes and getattr(args, name):
            owners = " or ".join(model for model, part in PARTS.items() if name in part.TAKES)
            option = option_of(name)
            raise InputError(f"{option} does not go with --model {args.model}: {option} belongs to --model {owners}")


def option_of(name: str) -> str:
    """Option of a name in the parsed command line."""
    return f"--{name.replace('_', '-')}"


def _hardware() -> str:
    """What the crystals were drawn on."""
    import os

    import jax

    devices = jax.devices()
    return f"{len(devices)} {devices[0].device_kind} device(s), {os.cpu_count()} CPU cores"


def parse_formula(text: str) -> dict[str, int]:
    """Element -> count of a formula such as ``SrTiO3`` or ``Ca3(PO4)2``.

    Raises:
        InputError: naming the place that cannot be read.
    """
    stack: list[dict[str, int]] = [{}]
    place = 0
    while place < len(text):
        match = re.compile(r"([A-Z][a-z]?|\(|\))(\d*)").match(text, place)
        token, digits = (match[1], match[2]) if match else ("", "")
        if (
            not token
            or (token == "(" and digits)
            or (token == ")" and len(stack) == 1)
            or (digits and int(digits) == 0)
        ):
            raise InputError(f"formula {text!r}: cannot read {text[place:]!r}; write it as SrTiO3 or Ca3(PO4)2")
        count = int(digits or 1)
        if token == "(":
            stack.append({})
        else:
            inner = stack.pop() if token == ")" else {token: 1}
            for element, number in inner.items():
                stack[-1][element] = stack[-1].get(element, 0) + number * count
        place += len(token) + len(digits)
    if len(stack) != 1 or not stack[0]:
        raise InputError(f"formula {text!r}: {'a bracket is not closed' if len(stack) > 1 else 'it is empty'}")
    return stack[0]


def parse_elements(text: str) -> tuple[str, ...]:
    """Symbols of a list such as ``Li,O``.

    Raises:
        InputError: the list is empty.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError(f"elements {text!r}: give symbols with commas between them, as Li,O")
    return names


def parse_space_group(text: str) -> int:
    """Number of a space group given by number or by short symbol (``Fm-3m``, ``P2_1/c`` or ``P21/c``).

    Raises:
        InputError: no such group.
    """
    from symjax.draw.page import short_symbol

    if re.fullmatch(r"-?\d+", text.strip()):
        number = int(text)
        if not 1 <= number <= 230:
            raise InputError(f"space group {number} is not one of 1 to 230")
        return number
    plain = text.replace("_", "").replace(" ", "")
    for number in range(1, 231):
        if short_symbol(number).replace("_", "") == plain:
            return number
    raise InputError(f"space group {text!r} is unknown; give a number from 1 to 230 or a short symbol such as Fm-3m")


def show(entries: list[dict[str, Any]], cells: list[AtomicStructure], folder: Path, args: argparse.Namespace) -> None:
    """Print the table of crystals and a summary."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"{len(entries)} crystals", title_justify="left", row_styles=["", "dim"])
    for name in ("#", "formula", "group", "operations", "orbits", "atoms", "volume / atom", "shortest", "/ covalent"):
        table.add_column(name, justify="left" if name in ("formula", "group") else "right")
    for index, entry in enumerate(entries[:ROWS_ON_SCREEN]):
        group = entry["group"]
        table.add_row(
            str(index),
            entry["formula"],
            f"{group['symbol']} ({group['number']})",
            str(entry["num_operations"]),
            str(len(entry["orbits"])),
            str(entry["num_atoms"]),
            f"{entry['volume'] / entry['num_atoms']:.1f} Å³",
            f"{entry['shortest_distance']:.2f} Å",
            f"{entry['shortest_over_covalent_radii']:.2f}",
        )
    console.print(table)
    if len(entries) > ROWS_ON_SCREEN:
        console.print(f"... and {len(entries) - ROWS_ON_SCREEN} more, all in {folder / 'index.json'}")
    groups = Counter(entry["group"]["number"] for entry in entries)
    formulas = len({entry["formula"] for entry in entries})
    whole = sum(entry["group_found_in_atoms"]["has_all_operations"] for entry in entries)
    console.print(
        f"{len(groups)} space groups, {formulas} formulas; the generated operations were found again in the atoms of "
        f"{whole} of {len(entries)} (spglib, 0.01 Å)\nwritten to {folder}{'/' if not str(folder).endswith('/') else ''}"
    )


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def _ratio(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1.5:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1.5")
    return value
