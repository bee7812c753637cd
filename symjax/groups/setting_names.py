"""Hermann-Mauguin symbols, in the spellings that files use, to settings of space groups.

Owns `Setting`, `setting_at`, `settings_named`, `settings_numbered`, `has_choice`, `old_spelling` and `extended_symbol`. The 530
tabulated settings get their extended symbols from the table (`symjax.groups.tables`): monoclinic ones by rule, because the table
gives the type's short symbol only. A symbol may be short or extended, with or without blanks and underscores, in any case, with
``:1``, ``:2``, ``:H``, ``:R`` or a letter of its axes, with the letters S and Z or H and R that databases append, in old spelling
(``Cmca``, ``Fd3m``, ``H 3``) or in full (``P 21/n 21/m 21/a``). A few settings beyond the table (centred triclinic cells, C and F
cells of tetragonal groups) are known by their Hall symbols. A symbol can name several settings; the cell and the atoms of a file
decide between them (`symjax.crystals.io.symmetry`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np

from symjax.groups.hall import parse_hall
from symjax.groups.packaged import arrays
from symjax.groups.sets import OpSet
from symjax.groups.tables import NUM_SETTINGS, default_hall, hall_setting, hall_to_number, setting_symbols

# extended symbol: (number, Hall symbol); International Tables A, 4.3 (extended symbols) and B, A1.4.2
_BEYOND = {f"{c} 1": (1, f"{c} 1") for c in "ABCFI"} | {f"{c} -1": (2, f"-{c} 1") for c in "ABCFI"}
_BEYOND |= {
    "B 1 2 1": (3, "B 2y"),
    "C 1 1 2": (3, "C 2"),
    "B 1 21 1": (4, "B 2yb"),
    "C 1 1 21": (4, "C 2c"),
    "F 1 2 1": (5, "F 2y"),
    "F 1 m 1": (8, "F -2y"),
    "F 1 2/m 1": (12, "-F 2y"),
    "C 4 2 2": (89, "C 4 2"),
    "C 4 2 21": (90, "C 4a 2"),
    "F 4 2 2": (97, "F 4 2"),
    "C -4 2 m": (115, "C -4 2"),
    "C -4 2 b": (117, "C -4 2ya"),
    "F 4/m m m": (139, "-F 4 2"),
}
_OLD_LETTER = {39: "b", 41: "b", 64: "a", 67: "a", 68: "a"}  # what "e" was in the standard setting before 1992
_ELEMENT = re.compile(r"-?\d(?:_\d)?(?:/[a-z])?|[a-z]")


class Setting(NamedTuple):
    """One setting: extended symbol, space-group number, and its place in the table (0: beyond it)."""

    name: str
    number: int
    hall: int

    @property
    def operations(self) -> OpSet:
        """The closed set."""
        return hall_setting(self.hall) if self.hall else parse_hall(_BEYOND[self.name][1])

    @property
    def standard(self) -> bool:
        """Whether it is the standard setting of its type."""
        return self.hall == default_hall(self.number)


@cache
def extended_symbol(hall: int) -> str:
    """Extended Hermann-Mauguin symbol of a tabulated setting, such as ``P 1 21/c 1``, ``F d -3 m:2`` or ``R 3 2:R``."""
    symbols, number = setting_symbols(hall), hall_to_number(hall)
    choice = symbols["choice"]
    if 3 <= number <= 15:
        return _monoclinic(hall, symbols["hall_symbol"].lstrip("-")[0], choice.strip("-")[0], symbols["international"])
    name = symbols["international"]
    if number == 68:
        name = {"A": "Aeaa", "B": "Bbeb", "C": "Ccce"}[name[0]]  # the table spells one of them in the old way
    elements = [part.replace("_", "") for part in _ELEMENT.findall(name[1:])]
    suffix = f":{choice[0]}" if choice[:1] in tuple("12HR") else ""
    return " ".join([name[0], *elements]) + suffix


def setting_at(hall: int) -> Setting:
    """The tabulated setting of a Hall number (1 to 530)."""
    return Setting(extended_symbol(hall), hall_to_number(hall), hall)


def _monoclinic(hall: int, centring: str, axis: str, standard: str) -> str:
    """Extended symbol of a monoclinic setting: its axis, and the glide of the plane through the origin (or nearest to it)."""
    element = standard[1:].replace("_", "")
    opset, place = hall_setting(hall), "abc".index(axis)
    mirror = np.eye(3, dtype=int)
    mirror[place, place] = -1
    shifts = opset.w[(opset.W == mirror).all(axis=(1, 2))]
    if element[-1] == "c":  # a glide plane
        shift = min(shifts.tolist(), key=lambda w: w[place])
        letters = "".join("abc"[i] for i in range(3) if i != place and shift[i] % 24)
        element = element[:-1] + (letters if len(letters) == 1 else "n")
    return " ".join([centring, *(element if i == place else "1" for i in range(3))])


def old_spelling(hall: int, name: str) -> str:
    """``e`` as the letter that it replaced, carried along with the axes of the setting."""
    letter = _OLD_LETTER.get(hall_to_number(hall))
    if letter is None:
        return name
    axes = setting_symbols(hall)["choice"].lstrip("12").replace("-", "") or "abc"
    return name.replace("e", "abc"[axes.index(letter)])


def _full(hall: int) -> str:
    """The full symbol of the table, such as ``P 21/n 21/m 21/a``."""
    return str(arrays("groups/tables")["full"][hall]).replace("_", "")


def _spellings(setting: Setting) -> set[str]:
    """Every name of a setting, folded: lower case, with and without blanks, without a suffix."""
    plain = setting.name.split(":")[0]
    names = {plain}
    if setting.hall:
        names |= {old_spelling(setting.hall, plain), _full(setting.hall)}
    if setting.hall and 3 <= setting.number <= 15:  # short symbols name tabulated settings only
        names |= {" ".join(part for part in name.split() if part != "1") for name in names}
    if 200 <= setting.number <= 206 or setting.number >= 221:
        names |= {name.replace("-3", "3") for name in names}
    if setting.name.endswith(":H"):
        names |= {name.replace("R", "H") for name in names}
    folded = {name.lower() for name in names}
    return folded | {name.replace(" ", "") for name in folded}


@cache
def _table() -> dict[str, tuple[Setting, ...]]:
    """Folded name -> settings, the standard one first, then in table order."""
    settings = [setting_at(hall) for hall in range(1, NUM_SETTINGS + 1)]
    settings += [Setting(name, number, 0) for name, (number, _) in _BEYOND.items()]
    found: dict[str, list[Setting]] = {}
    for setting in settings:
        for name in _spellings(setting):
            found.setdefault(name, []).append(setting)
    return {name: tuple(sorted(rows, key=lambda s: (s.hall == 0, not s.standard))) for name, rows in found.items()}


def settings_named(symbol: str) -> tuple[Setting, ...]:
    """Settings that a symbol can mean, the most usual first; none for an unknown symbol."""
    text = re.sub(r"(\d)\s*\((\d)\)", r"\1\2", " ".join(symbol.replace("_", " ").split()).lower())
    text, _, suffix = text.partition(":")
    text, suffix = text.strip(), suffix.strip().removeprefix("o").strip("() ")
    candidates = _look_up(text)
    if not candidates and not suffix:  # database endings: "F d -3 m Z", "R -3 c H", "F d -3 m (2)"
        ending = re.fullmatch(r"(.+?)\s*\(?([szhr12])\)?", text)
        if ending:
            candidates = tuple(s for s in _look_up(ending.group(1)) if ":" in s.name)
            suffix = {"s": "1", "z": "2"}.get(ending.group(2), ending.group(2))
    if not suffix:
        return candidates
    return tuple(s for s in candidates if has_choice(s, suffix))


def has_choice(setting: Setting, suffix: str) -> bool:
    """Whether ``1``, ``2``, ``h``, ``r`` or the table's own word (``b1``, ``-cba``, ``2cab``) belongs to a setting."""
    if setting.name.lower().endswith(":" + suffix):
        return True
    if not setting.hall:
        return False
    word = setting_symbols(setting.hall)["choice"].lower()
    return word == suffix or (suffix in ("a", "b", "c") and word.strip("-")[:1] == suffix and setting.number <= 15)


def _look_up(text: str) -> tuple[Setting, ...]:
    """Settings of a folded name, also of a full symbol (``p 4/n 2/n 2/c``)."""
    table = _table()
    found = table.get(text) or table.get(text.replace(" ", ""))
    if found:
        return found
    parts = text.split()
    if len(parts) > 2 and (text.count("/") > 1 or "-3" in parts):
        cubic = "-3" in parts[2:]
        parts = [re.sub(r"^(2\d?|4\d?)/" if cubic or i > 1 else r"^2\d?/", "", part) for i, part in enumerate(parts)]
        return table.get(" ".join(parts), ())
    return ()


@cache
def settings_numbered(number: int) -> tuple[Setting, ...]:
    """The tabulated settings of a space group, the standard one first."""
    halls = [hall for hall in range(1, NUM_SETTINGS + 1) if hall_to_number(hall) == number]
    settings = [setting_at(hall) for hall in halls]
    return tuple(sorted(settings, key=lambda s: not s.standard))
