"""Names of space-group types: crystal systems, Hermann-Mauguin symbols, and numbers read from symbols however they are spelled.

Owns `CRYSTAL_SYSTEMS`, `crystal_system`, `short_symbol`, `parse_space_group`, `parse_setting` and `parse_point_group`. Which
settings a symbol may mean is known to `symjax.groups.setting_names`, for files and commands alike.
"""

from __future__ import annotations

import re

from symjax.errors import InputError
from symjax.groups.hall import parse_hall
from symjax.groups.packaged import NUM_TYPES, arrays, check_number
from symjax.groups.setting_names import Setting, has_choice, old_spelling, setting_at, settings_named, settings_numbered
from symjax.groups.tables import NUM_SETTINGS, default_hall, hall_to_number, setting_symbols, tabulated_hall

CRYSTAL_SYSTEMS = {
    "triclinic": range(1, 3),
    "monoclinic": range(3, 16),
    "orthorhombic": range(16, 75),
    "tetragonal": range(75, 143),
    "trigonal": range(143, 168),
    "hexagonal": range(168, 195),
    "cubic": range(195, 231),
}
"""Crystal systems and the numbers of their space groups."""

_POINT_GROUP_ORIENTATIONS = {
    "-4m2": "-42m",
    "-62m": "-6m2",
    "m2m": "mm2",
    "2mm": "mm2",
    "312": "32",
    "321": "32",
    "31m": "3m",
    "3m1": "3m",
    "-31m": "-3m",
    "-3m1": "-3m",
    "m3": "m-3",
    "m3m": "m-3m",
}


def crystal_system(number: int) -> str:
    """Name of the crystal system of a space-group number.

    Raises:
        InputError: no space-group number.
    """
    return next(name for name, numbers in CRYSTAL_SYSTEMS.items() if check_number(number) in numbers)


def short_symbol(number: int) -> str:
    """The short Hermann-Mauguin symbol of a space-group number, such as ``P2_1/c`` (unique axis b).

    Raises:
        InputError: no space-group number.
    """
    return setting_symbols(default_hall(number))["international"]


def crystal_class(number: int) -> str:
    """Point-group symbol of a space-group number, such as ``m-3m``.

    Raises:
        InputError: no space-group number.
    """
    return setting_symbols(default_hall(number))["point_group"]


def parse_space_group(text: str) -> int:
    r"""Number of a space group given by number or by Hermann-Mauguin symbol, in the spellings that files and papers have.

    By Hall symbol too (``-P 2ybc``), where that is no Hermann-Mauguin symbol. Short or full, of any setting (``P2_1/c``, ``P 1 21/n
    1``, ``P2(1)/n``, ``Pbnm``); with ``-3``, ``\bar{3}`` or an overline, or in cubic groups without (``Fm3m``); with ``:H``, ``:1``
    behind; with the names of 1983 for groups with an e glide (``Cmca``, ``Bmab``).

    Raises:
        InputError: no such group.
    """
    return _candidates(text)[0][0].number


def parse_setting(text: str) -> int:
    """Hall number (1 to 530) of a setting given by number, Hermann-Mauguin or Hall symbol.

    A number, or a symbol that the standard setting has too (``P2_1/c``), is the standard setting; ``Pbnm``, ``P 1 1 2_1/b``,
    ``Fd-3m:1``, ``R-3c:R`` and ``62:cab`` are their own. Where several settings share a name, origin choice 2 goes before 1 and
    spglib's order decides otherwise.

    Raises:
        InputError: no such setting.
    """
    found, choice = _candidates(text)
    number = found[0].number
    if choice is not None:
        fitting = [s for s in found if has_choice(s, choice)] or [
            s for s in settings_numbered(number) if has_choice(s, choice)
        ]
        if not fitting:
            known = sorted({setting_symbols(s.hall)["choice"] for s in settings_numbered(number)} - {""})
            raise InputError(
                f"{short_symbol(number)} ({number}) has no setting {choice!r}; its choices: {', '.join(known) or 'none'}"
            )
        found = fitting
    found = [s for s in found if s.hall]
    if not found:
        raise InputError(
            f"{text!r} is {short_symbol(number)} ({number}) in a larger cell, which is none of the {NUM_SETTINGS} settings; give "
            f"{short_symbol(number)}"
        )
    return min(found, key=lambda s: (not s.standard, s.name.endswith(":1"))).hall


def _candidates(text: str) -> tuple[list[Setting], str | None]:
    """The settings that a number or symbol may mean, never none, and what was given behind a colon.

    Raises:
        InputError: no such group.
    """
    name, _, choice = (part.strip() for part in text.partition(":"))
    if re.fullmatch(r"-?\d+", name):
        number = int(name)
        if not 1 <= number <= NUM_TYPES:
            raise InputError(f"space group {number} is not one of 1 to {NUM_TYPES}")
        every = list(settings_numbered(number))
        return (every, choice.lower()) if choice else (every[:1], None)
    found = list(settings_named(_plain(name))) or _by_hall_symbol(name)
    if not found:
        raise InputError(
            f"space group {text!r} is unknown; give a number from 1 to 230 or a short symbol such as Fm-3m"
        )
    return found, choice.lower() or None


def setting_name(hall: int) -> str:
    """The Hermann-Mauguin symbol of a setting for people, such as ``Pbnm``, ``Fd-3m:1``, ``P 1 1 2_1/b``."""
    number, choice = hall_to_number(hall), setting_symbols(hall)["choice"]
    if number in CRYSTAL_SYSTEMS["monoclinic"]:
        return short_symbol(number) if hall == default_hall(number) else str(arrays("groups/tables")["full"][hall])
    name = setting_symbols(hall)["international"]
    if number in (67, 68) and hall != default_hall(number):  # two of each symbol with e: old names tell
        name = old_spelling(hall, name)
    told = choice[:1] in ("1", "R") or (choice[:1] == "2" and hall != default_hall(number))
    return f"{name}:{choice[0]}" if told else name


def parse_point_group(text: str) -> str:
    """Symbol of a crystal class, whatever the orientation or the age of the name (``-4m2`` is ``-42m``, ``m3m`` is ``m-3m``).

    Raises:
        InputError: no such class.
    """
    symbol = _POINT_GROUP_ORIENTATIONS.get(text, text)
    if symbol not in arrays("groups/tables")["point_group"][1:]:
        raise InputError(f"unknown point group {text!r}; symbols look like m-3m, 4/mmm, 222")
    return symbol


def _by_hall_symbol(text: str) -> list[Setting]:
    """The setting of a Hall symbol, in whatever way it is made of generators; none where the text is no Hall symbol."""
    try:
        hall = tabulated_hall(parse_hall(text))
    except InputError:
        return []
    if not hall:
        raise InputError(f"{text!r} is a Hall symbol of none of the {NUM_SETTINGS} tabulated settings")
    return [setting_at(hall)]


def _plain(text: str) -> str:
    """A symbol without signs of typesetting: subscripts, how a bar is written, brackets and dollar signs."""
    text = text.translate(str.maketrans("₁₂₃₄₅\N{MINUS SIGN}\N{EN DASH}", "12345--"))
    text = re.sub(r"([0-9])[\u0304\u0305]", r"-\1", text)
    text = re.sub(r"\\(?:bar|overline)\s*\{?\s*([0-9])\s*\}?", r"-\1", text)
    return re.sub(r"[{}$'\"]", "", text)
