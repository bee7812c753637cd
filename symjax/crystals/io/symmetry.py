"""Which operations a CIF means: decided here, never left to a library's default.

Owns `decide`. In order of precedence: the list of operations (every one parsed, the set checked to be a group), the Hall symbol,
the Hermann-Mauguin symbol in any spelling, the number. Whatever is left open (origin, axes, kind of rhombohedral cell) is
decided by the cell, then by the atoms, then by convention, and noted. Statements that contradict each other are noted where a
list of operations stands above them and refused where none does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from symjax.crystals.io.report import Note, UnusableCrystal
from symjax.errors import InputError, SymjaxError
from symjax.groups.axioms import check_group
from symjax.groups.hall import parse_hall
from symjax.groups.sets import OpSet, canonical_unique, make_opset
from symjax.groups.setting_names import Setting, settings_named, settings_numbered
from symjax.groups.tables import hall_to_number, setting_symbols, tabulated_hall
from symjax.ops.symbols import parse_xyz

LISTS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
MAGNETIC = ("_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_centering_xyz")
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
HERMANN_MAUGUIN = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m_ref",
)
NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
CODE = "_space_group_it_coordinate_system_code"
FITS = 0.02  # largest relative misfit of a cell and its operations
EXACT = 2e-3  # below it there is nothing to say
_DENOMINATORS = (24, 48, 120, 168)
MAX_LISTED = 2000  # operations; a conventional cell has 192, ten such cells 1,920, and all their products are looked at

Values = Mapping[str, Sequence[str]]


class Symmetry(NamedTuple):
    """The operations of a block, where they came from, and what was assumed."""

    opset: OpSet
    how: str
    notes: list[Note]


class _Stated(NamedTuple):
    """What the symbols of a block say: settings of the Hermann-Mauguin symbol, the number, and their texts."""

    symbol: str
    settings: tuple[Setting, ...]
    number: int
    hall: str
    hall_set: OpSet | None
    notes: list[Note]


def decide(values: Values, metric: np.ndarray, judge: Callable[[OpSet], tuple[bool, bool]]) -> Symmetry:
    """The operations of a CIF block.

    Args:
        values: tag (lower case, dots as underscores) -> values, unknown ones left out.
        metric: (3, 3) of the cell.
        judge: whether the atoms that a set makes have the stated composition, and keep their distance; asked only where
            several settings fit.

    Raises:
        UnusableCrystal: the list does not parse or is no group, a symbol is unknown, or statements contradict each other or
            the cell.
    """
    magnetic = [str(v) for v in values.get(MAGNETIC[0], ())]
    listed = next(([str(v) for v in values[tag]] for tag in LISTS if values.get(tag)), None)
    stated = _stated(values)
    if listed or magnetic:
        return _from_list(values, listed, magnetic, metric, stated)
    if stated.hall_set is not None:
        return _from_hall(stated, metric)
    if stated.symbol and not stated.settings and not stated.number:
        raise UnusableCrystal("symmetry conflict", f"unknown space-group symbol {stated.symbol!r}, and no operations")
    if stated.settings:
        if stated.number and all(s.number != stated.number for s in stated.settings):
            _contradiction(f"symbol {stated.symbol!r} ({stated.settings[0].number})", f"number {stated.number}")
        candidates = [s for s in stated.settings if stated.number in (0, s.number)]
        return _choose(candidates, f"symbol {stated.symbol!r}", metric, stated.notes, judge, values.get(CODE, ()))
    if stated.number:
        notes = [*stated.notes]
        if stated.symbol:
            notes.append(
                Note("symmetry assumed", f"unknown symbol {stated.symbol!r}; the number {stated.number} is used")
            )
        candidates = list(settings_numbered(stated.number))
        return _choose(candidates, f"number {stated.number}", metric, notes, judge, values.get(CODE, ()))
    note = Note("symmetry assumed", "no operations, symbol or number: the atoms are taken as all of the cell (P 1)")
    return Symmetry(
        make_opset(np.eye(3, dtype=int)[None], np.zeros((1, 3), int)), "nothing stated: P 1", [*stated.notes, note]
    )


def _stated(values: Values) -> _Stated:
    """Read the symbols; those that mean nothing are noted."""
    notes: list[Note] = []
    symbols = [
        str(values[tag][0]).strip() for tag in HERMANN_MAUGUIN if values.get(tag) and str(values[tag][0]).strip()
    ]
    symbol = symbols[0] if symbols else ""
    settings: tuple[Setting, ...] = ()
    for text in symbols:
        settings = settings_named(text)
        if settings:
            symbol = text
            break
    hall = next((str(values[tag][0]).strip() for tag in HALL if values.get(tag)), "")
    hall_set = None
    if hall:
        try:
            hall_set = parse_hall(hall)
        except InputError as error:
            notes.append(Note("symmetry assumed", f"the Hall symbol is left aside: {error}"))
    number = 0
    text = next((str(values[tag][0]).strip() for tag in NUMBER if values.get(tag)), "")
    if text:
        if re.fullmatch(r"\d+", text) and 1 <= int(text) <= 230:
            number = int(text)
        else:
            notes.append(Note("symmetry assumed", f"{text!r} is no space-group number and is left aside"))
    return _Stated(symbol, settings, number, hall, hall_set, notes)


def _from_list(
    values: Values, listed: list[str] | None, magnetic: list[str], metric: np.ndarray, stated: _Stated
) -> Symmetry:
    """The set of a list of operations, compared with all that else is stated."""
    notes = [*stated.notes]
    if magnetic:
        notes.append(Note("moments dropped", "a magnetic structure: moments and time reversal are left out"))
        opset, repeated = _magnetic_set(tuple(magnetic), tuple(str(v) for v in values.get(MAGNETIC[1], ())))
    else:
        opset, repeated = _listed_set(tuple(listed or ()))
    if repeated and not magnetic:
        notes.append(Note("symmetry conflict", f"{repeated} operations are listed more than once"))
    misfit = cell_misfit(opset, metric)
    if misfit > FITS:
        raise UnusableCrystal(
            "symmetry conflict", f"the cell does not have the symmetry of the operations listed (misfit {misfit:.1%})"
        )
    if misfit > EXACT:
        notes.append(Note("cell and operations", f"the cell fits the operations listed only to {misfit:.2%}"))
    if magnetic:
        return Symmetry(opset, f"{len(opset.W)} listed magnetic operations", notes)
    number = type_number(opset)
    said = {s.number for s in stated.settings} | ({stated.number} if stated.number else set())
    if stated.hall_set is not None:
        said.add(type_number(stated.hall_set))
    if number and said and said != {number}:
        texts = [t for t in (stated.symbol, f"number {stated.number}" if stated.number else "", stated.hall) if t]
        notes.append(
            Note(
                "symmetry conflict",
                f"the operations listed make a group of type {number}, the file says {', '.join(texts)}; the list is used",
            )
        )
    elif stated.symbol and not stated.settings:
        notes.append(Note("symmetry conflict", f"unknown symbol {stated.symbol!r}; the operations listed are used"))
    return Symmetry(opset, f"{len(opset.W)} listed operations", notes)


@lru_cache(maxsize=1024)
def _listed_set(texts: tuple[str, ...]) -> tuple[OpSet, int]:
    """The checked set of a list, and how many entries repeat an earlier one."""
    op, den = _parse(texts)
    keep = canonical_unique(op[0], op[1], den)
    opset = make_opset(op[0][keep], op[1][keep], den=den)
    _check(opset)
    return opset, len(texts) - len(keep)


@lru_cache(maxsize=64)
def _magnetic_set(texts: tuple[str, ...], centerings: tuple[str, ...]) -> tuple[OpSet, int]:
    """The set of the space parts of magnetic operations and centerings."""
    (W, w), den = _parse(tuple(",".join(text.split(",")[:3]) for text in texts))
    if centerings:
        (_, shifts), other = _parse(tuple(",".join(text.split(",")[:3]) for text in centerings))
        _check_count(len(W) * len(shifts))
        den, factors = int(np.lcm(den, other)), (int(np.lcm(den, other)) // den, int(np.lcm(den, other)) // other)
        w = (w[:, None] * factors[0] + shifts[None] * factors[1]).reshape(-1, 3)
        W = np.repeat(W, len(shifts), axis=0)
    keep = canonical_unique(W, w % den, den)
    opset = make_opset(W[keep], (w % den)[keep], den=den)
    _check(opset)
    return opset, 0


def _parse(texts: tuple[str, ...]) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Rotation parts, translations and their denominator."""
    _check_count(len(texts))
    clean = [text.strip().strip("'\"") for text in texts]
    problem: SymjaxError | None = None
    for den in _DENOMINATORS:
        try:
            op = parse_xyz(clean, den)
            return (np.asarray(op.W), np.asarray(op.w)), den
        except SymjaxError as error:
            problem = problem or error
    raise UnusableCrystal("operations", f"the list of operations cannot be read: {problem}")


def _check_count(num: int) -> None:
    if num > MAX_LISTED:
        raise UnusableCrystal("operations", f"{num} operations are listed, more than the {MAX_LISTED} that are read")


def _check(opset: OpSet) -> None:
    try:
        check_group(opset, name="the list of operations")
    except SymjaxError as error:
        raise UnusableCrystal("operations", str(error)) from error


def _from_hall(stated: _Stated, metric: np.ndarray) -> Symmetry:
    """The set of the Hall symbol; the other symbols must name the same type."""
    assert stated.hall_set is not None
    number = type_number(stated.hall_set)
    if stated.settings and number and all(s.number != number for s in stated.settings):
        _contradiction(
            f"Hall symbol {stated.hall!r} ({number})", f"symbol {stated.symbol!r} ({stated.settings[0].number})"
        )
    if stated.number and number and stated.number != number:
        _contradiction(f"Hall symbol {stated.hall!r} ({number})", f"number {stated.number}")
    misfit = cell_misfit(stated.hall_set, metric)
    if misfit > FITS:
        raise UnusableCrystal(
            "symmetry conflict",
            f"the cell does not have the symmetry of Hall symbol {stated.hall!r} (misfit {misfit:.1%})",
        )
    notes = [*stated.notes]
    if misfit > EXACT:
        notes.append(Note("cell and operations", f"the cell fits Hall symbol {stated.hall!r} only to {misfit:.2%}"))
    if stated.symbol and not stated.settings:
        notes.append(Note("symmetry conflict", f"unknown symbol {stated.symbol!r}; the Hall symbol is used"))
    return Symmetry(stated.hall_set, f"Hall symbol {stated.hall!r}", notes)


def _choose(
    candidates: list[Setting],
    said: str,
    metric: np.ndarray,
    notes: list[Note],
    judge: Callable[[OpSet], tuple[bool, bool]],
    code: Sequence[str] = (),
) -> Symmetry:
    """One of several settings: by the cell, then by the atoms, then the usual one."""
    if code:
        word = str(code[0]).strip().lower()
        candidates = [s for s in candidates if _coded(s, word)] or candidates
    misfits = {setting: cell_misfit(setting.operations, metric) for setting in candidates}
    fitting = [s for s in candidates if misfits[s] <= EXACT] or [s for s in candidates if misfits[s] <= FITS]
    if not fitting:
        best = min(misfits.values())
        raise UnusableCrystal("symmetry conflict", f"the cell does not have the symmetry of {said} (misfit {best:.1%})")
    chosen, notes = fitting[0], [*notes]
    different = [s for i, s in enumerate(fitting) if all(not _same_operations(s, t) for t in fitting[:i])]
    if len(different) > 1:
        verdicts = {s: judge(s.operations) for s in different}
        chosen = max(different, key=lambda s: sum(verdicts[s]))  # the first of the best
        others = [s.name for s in different if s != chosen]
        why = "the atoms fit it best" if sum(verdicts[chosen]) > min(map(sum, verdicts.values())) else "the usual one"
        notes.append(
            Note(
                "symmetry assumed",
                f"{said} fits the cell as {', '.join([chosen.name, *others])}; {chosen.name} is used ({why})",
            )
        )
    if misfits[chosen] > EXACT:
        notes.append(Note("cell and operations", f"the cell fits {chosen.name} only to {misfits[chosen]:.2%}"))
    return Symmetry(chosen.operations, f"{said}: {chosen.name}", notes)


def _coded(setting: Setting, word: str) -> bool:
    """Whether ``_space_group.IT_coordinate_system_code`` names the setting."""
    return setting.name.lower().endswith(":" + word) or (
        setting.hall > 0 and setting_symbols(setting.hall)["choice"].lower() == word
    )


def _same_operations(a: Setting, b: Setting) -> bool:
    one, two = a.operations, b.operations
    return len(one.W) == len(two.W) and bool((one.W == two.W).all() and (one.w == two.w).all())


def _contradiction(one: str, other: str) -> None:
    raise UnusableCrystal(
        "symmetry conflict", f"{one} and {other} contradict each other, and no operations are listed to settle it"
    )


def cell_misfit(opset: OpSet, metric: np.ndarray) -> float:
    """Largest relative change that an operation makes to the metric: 0 for a cell with the symmetry of the set."""
    W = np.unique(np.asarray(opset.W), axis=0)
    if len(W) == 1:
        return 0.0
    edges = np.sqrt(np.diag(metric))
    change = np.einsum("nji,jk,nkl->nil", W, metric, W) - metric
    return float(np.abs(change / np.outer(edges, edges)).max())


def tabulated_type(opset: OpSet) -> int:
    """Space-group number of a set that is one of the 530 tabulated settings as it stands, else 0."""
    hall = tabulated_hall(opset, repeats=True)
    return hall_to_number(hall) if hall else 0


def type_number(opset: OpSet) -> int:
    """Space-group number of a set in any setting; 0 where it cannot be named."""
    from symjax.groups.identify import identify

    if len(opset.W) == 1:
        return 1
    found = tabulated_type(opset)
    if found:
        return found
    try:
        return identify(opset).number
    except SymjaxError:
        return 0
