"""What is asked for on the command line of `symjax generate`: the fields of `symjax.generate.request.Request` as options.

Part of the command `generate` (not a command of its own).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from symjax.cli.numbers import count
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.generate.request import Request


class Asked(NamedTuple):
    """How a field of `Request` stands on the command line.

    Attributes:
        option: its flag.
        field: of `Request`.
        reads: name of the function of `symjax.generate.request` that reads the text; "" to take it as it is.
        settings: of `add_argument`.
    """

    option: str
    field: str
    reads: str
    settings: Mapping[str, Any]

    @property
    def dest(self) -> str:
        """Name among the parsed options and in the index: the flag's own; both flags of an inversion set one."""
        return self.field if self.field == "centrosymmetric" else self.option.strip("-").replace("-", "_")


def _switch(help: str, value: bool = True) -> dict[str, Any]:
    return {"action": "store_const", "const": value, "help": help}


ASKED: tuple[Asked, ...] = (
    Asked(
        "--formula",
        "formula",
        "parse_formula",
        {"help": "exact formula of the cell's content, up to a common factor: SrTiO3"},
    ),
    Asked("--elements", "elements", "parse_elements", {"metavar": "A,B", "help": "exactly these elements: Li,O"}),
    Asked("--allow", "allow", "parse_elements", {"metavar": "A,B", "help": "no other elements than these"}),
    Asked("--include", "include", "parse_elements", {"metavar": "A,B", "help": "at least these elements"}),
    Asked("--neutral", "neutral", "", _switch("charges in common oxidation states add up to zero; alloys pass")),
    Asked(
        "--space-group",
        "groups",
        "parse_space_groups",
        {"metavar": "N,..", "help": "one of these: numbers 1..230 or symbols, as in 225 or 2,Fm-3m"},
    ),
    Asked("--atoms", "atoms", "", {"metavar": "N", "help": "atoms in the primitive cell"}),
    Asked("--units", "units", "", {"metavar": "Z", "help": "formula units in the conventional cell; needs --formula"}),
    Asked("--orbits", "orbits", "", {"metavar": "M", "help": "number of orbits"}),
    Asked("--point-group", "point_group", "", {"metavar": "SYMBOL", "help": "as in m-3m, 4/mmm, 222"}),
    Asked("--crystal-system", "crystal_system", "", {"metavar": "NAME", "help": "triclinic .. cubic"}),
    Asked("--centrosymmetric", "centrosymmetric", "", _switch("with an inversion")),
    Asked("--no-inversion", "centrosymmetric", "", _switch("without one", value=False)),
    Asked("--polar", "polar", "", _switch("with a direction that all operations keep")),
    Asked("--chiral", "chiral", "", _switch("rotations and screws only")),
    Asked(
        "--require",
        "require",
        "",
        {"action": "append", "metavar": "KIND", "help": "with such an operation (repeatable)"},
    ),
    Asked("--forbid", "forbid", "", {"action": "append", "metavar": "KIND", "help": "without any (repeatable)"}),
    Asked(
        "--prefix",
        "sites",
        "parse_sites",
        {"metavar": "E:P,..", "help": "given orbits to go on from, as in Na:4a,O:24e; needs one --space-group"},
    ),
)


def add_options(group: Any) -> None:
    """Register the options."""
    inversion = group.add_mutually_exclusive_group()
    for one in ASKED:
        where = inversion if one.field == "centrosymmetric" else group
        number = {"type": count} if one.field in ("orbits", "atoms", "units") else {}
        where.add_argument(one.option, dest=one.dest, default=None, **number, **one.settings)


def given(args: argparse.Namespace) -> list[str]:
    """Flags of what is asked for, as far as they were given."""
    given = [(one, getattr(args, one.dest)) for one in ASKED if getattr(args, one.dest) is not None]
    return [one.option for one, value in given if one.settings.get("const", value) == value]


def request_from(args: argparse.Namespace) -> Request:
    """The request of a command line.

    Raises:
        InputError: a name or number cannot be read; the message says which and what would do.
    """
    from symjax.generate import request as module

    values: dict[str, Any] = {}
    for one in ASKED:
        given = getattr(args, one.dest)
        if given is not None:
            read = getattr(module, one.reads) if one.reads else (lambda value: value)
            values[one.field] = tuple(given) if isinstance(given, list) else read(given)
    return module.Request(**values)


def check_setting(args: argparse.Namespace, groups: Sequence[int] | None) -> None:
    """`--setting` names a setting of a type that is asked for; a type asked for in other axes than the standard ones is said.

    Raises:
        InputError: no such setting, none of the types asked for, or nothing that would be written in it.
    """
    from symjax.cli.output import note_other_axes
    from symjax.groups.symbols import parse_setting, short_symbol
    from symjax.groups.tables import hall_to_number

    if args.setting is not None:
        if args.realise == "none":
            raise InputError("--setting is of files of crystals, and --realise none makes none")
        number = hall_to_number(parse_setting(args.setting))
        if groups and number not in groups:
            listed = ", ".join(f"{short_symbol(n)} ({n})" for n in groups)
            raise InputError(
                f"--setting {args.setting} is one of {short_symbol(number)} ({number}); --space-group asks for {listed}"
            )
        return
    for text in (args.space_group or "").split(","):
        if text.strip():
            note_other_axes(text.strip())
