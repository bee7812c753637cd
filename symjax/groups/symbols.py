"""Names of space-group types: crystal systems, Hermann-Mauguin symbols, and numbers read from symbols however they are spelled.

Owns `CRYSTAL_SYSTEMS`, `crystal_system`, `short_symbol`, `parse_space_group` and `parse_point_group`. Symbols are those of the
International Tables A of all 530 settings, as spglib's database has them (groups/tables.npz).
"""

from __future__ import annotations

import re
from functools import cache

from symjax.errors import InputError
from symjax.groups.packaged import NUM_TYPES, arrays, check_number
from symjax.groups.tables import NUM_SETTINGS, default_hall, hall_to_number, setting_symbols

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

# Before 1992 the five groups with an "e" glide were named by one of its two directions.
_BEFORE_E = {39: "Abm2", 41: "Aba2", 64: "Cmca", 67: "Cmma", 68: "Ccca"}
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
    behind; with the names of 1983 for groups with an e glide (``Cmca``).

    Raises:
        InputError: no such group.
    """
    if re.fullmatch(r"\s*-?\d+\s*", text):
        number = int(text)
        if not 1 <= number <= NUM_TYPES:
            raise InputError(f"space group {number} is not one of 1 to {NUM_TYPES}")
        return number
    found = _numbers().get(_plain(text))
    if found is None and _plain_hall(text) in _halls():
        return hall_to_number(_halls()[_plain_hall(text)])
    if found is None:
        raise InputError(
            f"space group {text!r} is unknown; give a number from 1 to 230 or a short symbol such as Fm-3m"
        )
    return found


def parse_setting(text: str) -> int:
    """Hall number (1 to 530) of a setting given by number, Hermann-Mauguin or Hall symbol.

    A number, or a symbol that the standard setting has too (``P2_1/c``), is the standard setting; ``Pbnm``, ``P 1 1 2_1/b``,
    ``Fd-3m:1`` and ``R-3c:R`` are their own. Where several settings share a name the first of spglib's list is taken.

    Raises:
        InputError: no such setting.
    """
    number = parse_space_group(text)
    if re.fullmatch(r"\s*-?\d+\s*", text):
        return default_hall(number)
    found = _settings().get(_plain(text))
    if found is None:  # old names of the groups with an e glide, or a Hall symbol
        hall = _halls().get(_plain_hall(text))
        found = (default_hall(number),) if hall is None else (hall,)
    choice = re.search(r":\s*(\w+)\s*$", text)
    if choice is not None:
        wanted = choice.group(1).upper()
        fitting = [h for h in _of_number(number) if setting_symbols(h)["choice"].upper() == wanted]
        if not fitting:
            known = sorted({setting_symbols(h)["choice"] for h in _of_number(number)} - {""})
            raise InputError(
                f"{short_symbol(number)} ({number}) has no setting {choice.group(1)!r}; its choices: {', '.join(known) or 'none'}"
            )
        return next((h for h in fitting if h in found), fitting[0])
    return default_hall(number) if default_hall(number) in found else found[0]


def setting_name(hall: int) -> str:
    """The Hermann-Mauguin symbol of a setting for people, such as ``Pbnm``, ``Fd-3m:1``, ``P 1 1 2_1/b``."""
    number, choice = hall_to_number(hall), setting_symbols(hall)["choice"]
    if number in CRYSTAL_SYSTEMS["monoclinic"]:
        return short_symbol(number) if hall == default_hall(number) else str(arrays("groups/tables")["full"][hall])
    name = setting_symbols(hall)["international"]
    return (
        f"{name}:{choice}" if choice in ("1", "R") or (choice in ("2", "H") and hall != default_hall(number)) else name
    )


def parse_point_group(text: str) -> str:
    """Symbol of a crystal class, whatever the orientation or the age of the name (``-4m2`` is ``-42m``, ``m3m`` is ``m-3m``).

    Raises:
        InputError: no such class.
    """
    symbol = _POINT_GROUP_ORIENTATIONS.get(text, text)
    if symbol not in arrays("groups/tables")["point_group"][1:]:
        raise InputError(f"unknown point group {text!r}; symbols look like m-3m, 4/mmm, 222")
    return symbol


def _plain(text: str) -> str:
    """A symbol without what spellings differ in: case, spaces, underscores, brackets, how a bar is written, the setting behind."""
    text = text.translate(str.maketrans("₁₂₃₄₅\N{MINUS SIGN}\N{EN DASH}", "12345--"))
    text = re.sub(r"([0-9])[\u0304\u0305]", r"-\1", text)
    text = re.sub(r"\\(?:bar|overline)\s*\{?\s*([0-9])\s*\}?", r"-\1", text)
    text = re.sub(r"\s*:\s*\w+\s*$", "", text)
    return re.sub(r"[\s_(){}$'\"]", "", text).lower()


def _plain_hall(text: str) -> str:
    """A Hall symbol without what spellings differ in: blanks and case."""
    return " ".join(text.replace("_", " ").split()).lower()


@cache
def _halls() -> dict[str, int]:
    """Plain Hall symbol -> Hall number, the first of settings with equal symbols."""
    out: dict[str, int] = {}
    for hall in range(1, NUM_SETTINGS + 1):
        out.setdefault(_plain_hall(setting_symbols(hall)["hall_symbol"]), hall)
    return out


def _of_number(number: int) -> list[int]:
    """Hall numbers of one type."""
    return [hall for hall in range(1, NUM_SETTINGS + 1) if hall_to_number(hall) == number]


@cache
def _settings() -> dict[str, tuple[int, ...]]:
    """Plain spelling -> the settings of that name, in spglib's order."""
    out: dict[str, list[int]] = {}
    for hall in range(1, NUM_SETTINGS + 1):
        number, full = hall_to_number(hall), str(arrays("groups/tables")["full"][hall])
        names = {full, setting_symbols(hall)["international"]}
        if number in CRYSTAL_SYSTEMS["monoclinic"]:
            names = {full, "".join(part for part in full.split() if part != "1")}
        for name in {_plain(one) for one in names}:
            out.setdefault(name, []).append(hall)
            if "m-3" in crystal_class(number):
                out.setdefault(name.replace("-", ""), []).append(hall)
    return {name: tuple(dict.fromkeys(halls)) for name, halls in out.items()}


@cache
def _numbers() -> dict[str, int]:
    """Plain spelling -> type; no spelling is shared by two types (tests/groups/test_symbols.py)."""
    out: dict[str, int] = {}
    for hall in range(1, NUM_SETTINGS + 1):
        number, full = hall_to_number(hall), str(arrays("groups/tables")["full"][hall])
        short = (
            "".join(part for part in full.split() if part != "1") if number in CRYSTAL_SYSTEMS["monoclinic"] else full
        )
        for name in (full, short, setting_symbols(hall)["international"]):
            out[_plain(name)] = number
    out |= {_plain(name): number for number, name in _BEFORE_E.items()}
    for name, number in list(out.items()):
        if "m-3" in crystal_class(number):
            out[name.replace("-", "")] = number
        if name[0] == "r":  # pymatgen writes the axes behind without a colon
            out |= {name + axes: number for axes in "hr"}
    return out
