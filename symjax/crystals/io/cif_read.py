"""CIF text to structures: gemmi cuts the text into tags and values, everything they mean is decided here.

Owns `split_cif` (blocks, those without atoms told apart) and `read_cif_block`. Cell, elements, occupancies and coordinates are
checked one by one; operations come from `symjax.crystals.io.symmetry`, orbits from `symjax.crystals.io.sites`. Nothing is
guessed in silence: a value that is assumed becomes a note, anything else that is missing a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symjax.crystals.io.report import Note, Reading, UnusableCrystal
from symjax.crystals.io.sites import expand_sites
from symjax.crystals.io.symmetry import MAGNETIC, decide
from symjax.crystals.types import AtomicStructure
from symjax.elements import atomic_number
from symjax.elements import symbol as element_symbol
from symjax.groups.sets import OpSet

CELL_KEYS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_NUMBER = re.compile(r"^\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(?:\(\d*\)?)?\s*$")
_ABSENT = ("?", ".", "")
_NAMES = {"wat": 8, "oh": 8, "oh2": 8, "h2o": 8, "o-h": 8, "o-h2": 8}  # water and hydroxyl written as one site
_THIRDS = (1 / 3, 2 / 3)
MIN_SEPARATION = 0.5  # angstrom; of two settings the one whose atoms come closer is wrong


@dataclass(frozen=True)
class CifBlock:
    """One data block: its name, tag (lower case, dots as underscores) -> values, and its text."""

    name: str
    values: dict[str, list[str]]
    text: str

    def column(self, tag: str) -> list[str]:
        """The values of a tag, none if it is absent."""
        return self.values.get(tag, [])

    @property
    def has_atoms(self) -> bool:
        """Whether it lists sites."""
        return "_atom_site_fract_x" in self.values

    @property
    def has_cell(self) -> bool:
        """Whether it says anything of a cell or of sites."""
        return self.has_atoms or any(f"_cell_{key}" in self.values for key in CELL_KEYS)


def split_cif(text: str) -> list[CifBlock]:
    """The data blocks of a CIF.

    Raises:
        UnusableCrystal: empty, no CIF at all, or broken beyond telling tags from values.
    """
    from gemmi import cif

    clean = text.removeprefix("\ufeff").replace("\x00", "?")
    if not clean.strip():
        raise UnusableCrystal("empty", "empty CIF text")
    clean = clean.encode("ascii", "replace").decode(
        "ascii"
    )  # names and remarks may hold anything; numbers and symbols do not
    if not re.search(r"(?im)^[ \t]*(data_|_cell[_.]length_a|loop_)", clean):
        raise UnusableCrystal("unreadable cif", f"not CIF text: it starts with {text.strip()[:40]!r}")
    lines = clean.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"(?i)\s*data_", line)), None)
    first = next(i for i, line in enumerate(lines) if re.match(r"(?i)\s*(data_|_|loop_)", line))
    body = "\n".join(lines[first:]) if start == first else "data_\n" + "\n".join(lines[first:])
    try:
        document = cif.read_string(body + "\n", 0)
    except Exception as error:  # gemmi raises several types on broken text
        said = " ".join(str(error).split()).removeprefix("string:")
        kind = "truncated cif" if "Wrong number of values" in said or "end of file" in said else "unreadable cif"
        raise UnusableCrystal(kind, f"not readable as CIF: {said[:200]}") from error
    return [CifBlock(block.name, _values(block), block.as_string()) for block in document]


def _values(block: Any) -> dict[str, list[str]]:
    """Tags and their plain values; the first of tags that are given twice."""
    from gemmi import cif

    found: dict[str, list[str]] = {}
    for item in block:
        if item.pair is not None:
            tag, value = item.pair
            found.setdefault(_folded(tag), [cif.as_string(value) if value not in _ABSENT else value])
        elif item.loop is not None:
            tags, values = item.loop.tags, item.loop.values
            for i, tag in enumerate(tags):
                column = [cif.as_string(v) if v not in _ABSENT else v for v in values[i :: len(tags)]]
                found.setdefault(_folded(tag), column)
    return found


def _folded(tag: str) -> str:
    return tag.lower().replace(".", "_")


def read_cif_block(block: CifBlock, *, overlapping: bool = False) -> Reading:
    """All atoms of the cell of one block, with notes; ``overlapping`` as in `expand_sites`.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    L = _lattice(block)
    if not block.has_atoms:
        raise UnusableCrystal("truncated cif", "truncated CIF: no atom sites (_atom_site_fract_x is missing)")
    notes: list[Note] = []
    formula = parse_formula(" ".join(block.column("_chemical_formula_sum")[:1]))
    z, x, names = _sites(block, formula, notes)
    known = {tag: values for tag, values in block.values.items() if values and values[0] not in _ABSENT}

    def judge(opset: OpSet) -> tuple[bool, bool]:
        """Whether the atoms of a set have the stated composition, and none come too close."""
        try:
            numbers, places, _ = expand_sites(*_real(opset), L, z, x, names)
        except UnusableCrystal:
            return False, False
        fits = bool(formula) and not _differences(formula, numbers)
        return fits, _shortest(L, places) >= MIN_SEPARATION

    symmetry = decide(known, L @ L.T, judge)
    numbers, places, moved = expand_sites(*_real(symmetry.opset), L, z, x, names, overlapping=overlapping)
    notes += [*symmetry.notes, *moved]
    if any(tag.startswith("_atom_site_moment") for tag in block.values) and MAGNETIC[0] not in known:
        notes.append(Note("moments dropped", "magnetic moments are left out"))
    notes += _compare_formula(block, formula, numbers)
    return Reading(AtomicStructure(L=L, z=numbers, x=places), tuple(notes), symmetry.how)


def _real(opset: OpSet) -> tuple[np.ndarray, np.ndarray]:
    """Rotation parts and translations in floating point."""
    return np.asarray(opset.W, float), np.asarray(opset.w, float) / opset.den


def _shortest(L: np.ndarray, x: np.ndarray) -> float:
    """Shortest distance between different atoms, angstrom (first neighbouring images)."""
    if len(x) < 2:
        return np.inf
    best = np.inf
    for rows in np.array_split(np.arange(len(x)), -(-(len(x) ** 2) // 1_000_000)):
        delta = x[rows, None, :] - x[None]
        delta -= np.rint(delta)
        lengths = np.linalg.norm(delta @ L, axis=-1)
        lengths[np.arange(len(rows)), rows] = np.inf
        best = min(best, float(lengths.min()))
    return best


def number(text: str) -> float | None:
    """A decimal number, with or without a standard uncertainty in brackets; None for anything else."""
    match = _NUMBER.match(text)
    return float(match.group(1)) if match else None


def _lattice(block: CifBlock) -> np.ndarray:
    """(3, 3) rows of the cell; c along z, a in the xz plane."""
    values = []
    for key in CELL_KEYS:
        column = block.column(f"_cell_{key}")
        if not column:
            raise UnusableCrystal("truncated cif", f"truncated CIF: _cell_{key} is missing")
        value = number(column[0])
        if value is None:
            raise UnusableCrystal("truncated cif", f"_cell_{key} is not a number: {column[0]!r}")
        if len({number(v) for v in column}) > 1:
            raise UnusableCrystal("unreadable cif", f"_cell_{key} is given with several values: {column[:3]}")
        if value <= 0 or not np.isfinite(value) or (key.startswith("angle") and value >= 180):
            raise UnusableCrystal("zero volume", f"zero volume: _cell_{key} is {value:g}")
        values.append(value)
    a, b, c = values[:3]
    alpha, beta, gamma = np.radians(values[3:])
    cosines = np.cos([alpha, beta, gamma])
    if 1 - (cosines**2).sum() + 2 * cosines.prod() <= 1e-9:
        raise UnusableCrystal("zero volume", f"zero volume: the cell angles {values[3:]} do not close a cell")
    inner = (np.cos(alpha) * np.cos(beta) - np.cos(gamma)) / (np.sin(alpha) * np.sin(beta))
    star = np.arccos(np.clip(inner, -1, 1))
    return np.array(
        [
            [a * np.sin(beta), 0.0, a * np.cos(beta)],
            [-b * np.sin(alpha) * np.cos(star), b * np.sin(alpha) * np.sin(star), b * np.cos(alpha)],
            [0.0, 0.0, c],
        ]
    )


def _sites(block: CifBlock, formula: dict[int, float], notes: list[Note]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(m,) atomic numbers, (m, 3) coordinates and names of the sites that hold an atom."""
    columns = [block.column(f"_atom_site_fract_{axis}") for axis in "xyz"]
    count = len(columns[0])
    if count == 0 or any(len(column) != count for column in columns):
        raise UnusableCrystal("truncated cif", "truncated CIF: the columns of the atom sites have different lengths")
    types, labels = (block.column(f"_atom_site_{name}") for name in ("type_symbol", "label"))
    typed = len(types) == count
    if not typed and len(labels) != count:
        raise UnusableCrystal("truncated cif", "truncated CIF: the sites have neither type symbols nor labels")
    occupancies, flags = block.column("_atom_site_occupancy"), block.column("_atom_site_calc_flag")
    z, x, names = [], [], []
    unknown = 0
    for i in range(count):
        name = f"site {i + 1}" + (f" ({labels[i]})" if len(labels) == count else "")
        if len(flags) == count and flags[i].lower() == "dum":
            notes.append(Note("element assumed", f"{name} is a dummy atom and was left out"))
            continue
        element = _element(types[i] if typed else labels[i], typed, f"site {i + 1}", formula, notes)
        place = [column[i] for column in columns]
        if element == 1 and all(text in _ABSENT for text in place):
            notes.append(Note("hydrogens missing", f"{name} is a hydrogen without coordinates"))
            continue
        x.append([_coordinate(text, axis, i) for axis, text in zip("xyz", place, strict=True)])
        if len(occupancies) == count:
            unknown += _occupancy(occupancies[i], name, x[-1])
        z.append(element)
        names.append(name)
    if unknown:
        notes.append(
            Note("occupancy unknown", f"{unknown} sites have no occupancy ('?' or '.'); they are taken as full")
        )
    if not z:
        raise UnusableCrystal("empty", "no atoms")
    return np.array(z), np.array(x), names


def _coordinate(text: str, axis: str, i: int) -> float:
    """A coordinate; 1/3 and 2/3 cut to four or more decimals are taken as those."""
    value = number(text)
    if value is None:
        raise UnusableCrystal("truncated cif", f"site {i + 1}: coordinate {axis} is not a number: {text!r}")
    decimals = len(re.split(r"[(eE]", text.strip())[0].partition(".")[2].rstrip("0"))
    unit = 10.0**-decimals if decimals >= 4 else 0.0
    return next((third for third in _THIRDS if abs(value - third) < unit), value)


def _occupancy(text: str, name: str, place: Sequence[float]) -> int:
    """1 for an unknown occupancy, else 0; refuses all but full sites."""
    if text in _ABSENT:
        return 1
    value = number(text)
    if value is None:
        raise UnusableCrystal("occupancy", f"{name}: occupancy is not a number: {text!r}")
    if value <= 0:
        raise UnusableCrystal(
            "occupancy", f"{name}: occupancy is {value:g}; an empty site is no site of an ordered crystal"
        )
    if abs(value - 1) > 2e-3:
        word = "partial occupancy" if value < 1 else "occupancy above 1"
        raise UnusableCrystal("occupancy", f"{word}: {name} at {np.round(place, 4).tolist()} is {value:g}")
    return 0


def _element(text: str, typed: bool, name: str, formula: dict[int, float], notes: list[Note]) -> int:
    """Atomic number of a type symbol (``Fe3+``) or, without types, of a label (``FE1``)."""
    clean = text.strip()
    water = re.match(r"(?i)(wat|o-h2?|oh2?|h2o)(?![a-z])", clean)
    if water:
        notes.append(Note("hydrogens missing", f"{name}: {text!r} is read as oxygen; its hydrogens have no places"))
        return _NAMES[water.group(1).lower()]
    match = re.match(r"^\d*([A-Za-z]+)", clean)
    letters = match.group(1) if match else ""
    candidates = [letters[:2].capitalize(), letters[:1].upper()]
    whole = atomic_number(letters.capitalize())
    if whole is not None and (typed or len(letters) == 1 or not formula or whole in formula):
        return whole
    if not typed:
        known = [n for n in (atomic_number(c) for c in candidates if c) if n is not None]
        declared = [n for n in known if n in formula]
        if known:
            found = (declared or known)[0]
            if len(letters) > 1 and (len(letters) > 2 or found != known[0] or len(set(known)) > 1):
                notes.append(Note("element assumed", f"{name}: label {text!r} is read as {element_symbol(found)}"))
            return found
    elif candidates[0] and len(letters) > 2 and atomic_number(candidates[0]) is not None:
        notes.append(Note("element assumed", f"{name}: {text!r} is read as {candidates[0]}"))
        return int(atomic_number(candidates[0]) or 0)
    raise UnusableCrystal("unknown element", f"{name}: unknown element {text!r}")


def parse_formula(text: str) -> dict[int, float]:
    """Atomic number -> amount of a formula such as ``Na4 Cl4``; empty where it cannot be read."""
    found: dict[int, float] = {}
    for name, amount in re.findall(r"([A-Z][a-z]?)\s*(\d*\.?\d*)", text):
        z = atomic_number(name)
        if z is None:
            return {}
        found[z] = found.get(z, 0.0) + (float(amount) if amount not in ("", ".") else 1.0)
    meant = re.fullmatch(r"[A-Za-z\d.\s]*", text) and all(amount < 1e9 for amount in found.values())
    return found if meant else {}


def _differences(formula: dict[int, float], z: np.ndarray) -> set[int]:
    """Elements whose share in the atoms is not that of the formula, each side scaled to fit on most elements."""
    counts = {int(n): float((z == n).sum()) for n in np.unique(z)}
    shared = [counts[n] / formula[n] for n in counts if formula.get(n)]
    if not shared:
        return set(counts) | set(formula)
    scale = max(set(np.round(shared, 3)), key=lambda s: (np.isclose(shared, s, rtol=5e-3).sum(), s))
    return {
        n
        for n in set(counts) | set(formula)
        if abs(counts.get(n, 0.0) - scale * formula.get(n, 0.0)) > 5e-3 * max(1.0, counts.get(n, 0.0))
    }


def _compare_formula(block: CifBlock, formula: dict[int, float], z: np.ndarray) -> list[Note]:
    """Notes on a stated composition that the atoms do not have."""
    if not formula:
        return []
    different = _differences(formula, z)
    counts = {int(n): int((z == n).sum()) for n in np.unique(z)}
    words = " ".join(f"{element_symbol(n)}{c}" for n, c in sorted(counts.items()))
    stated = block.column("_chemical_formula_sum")[0]
    if different == {1} and 1 in formula:
        few = "missing" if 1 not in counts else "incomplete"
        return [
            Note("hydrogens missing", f"the formula {stated!r} has hydrogen, which is {few} among the atoms ({words})")
        ]
    if different:
        return [Note("formula differs", f"the formula says {stated!r}, the atoms of the cell are {words}")]
    z_units = number((block.column("_cell_formula_units_z") or ["?"])[0])
    total, atoms = sum(formula.values()), len(z)
    divisor = np.gcd.reduce([round(amount) for amount in formula.values()])
    whole_cell = (
        total == atoms and z_units and divisor % z_units == 0
    )  # some write the formula of the cell, and Z beside it
    if z_units and abs(z_units * total - atoms) > 0.5 and not whole_cell:
        return [
            Note(
                "formula differs",
                f"{z_units:g} formula units of {stated!r} make {z_units * total:g} atoms, the cell holds {atoms}",
            )
        ]
    return []


def read_cif(text: str, *, overlapping: bool = False) -> Reading:
    """The first structure of a CIF text; blocks left out and further structures are noted. ``overlapping`` as in `expand_sites`.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    blocks = split_cif(text)
    with_atoms = [block for block in blocks if block.has_atoms]
    chosen = next(iter(with_atoms or [b for b in blocks if b.has_cell] or blocks), None)
    if chosen is None:
        raise UnusableCrystal("truncated cif", "truncated CIF: no data block")
    reading = read_cif_block(chosen, overlapping=overlapping)
    notes = [*block_notes(blocks)]
    if len(with_atoms) > 1:
        notes.append(Note("more structures", f"{len(with_atoms) - 1} further structures of the text are left out"))
    return Reading(reading.structure, (*notes, *reading.notes), reading.symmetry)


def block_notes(blocks: Sequence[CifBlock]) -> list[Note]:
    """One note on the blocks that hold no atoms."""
    empty = [block.name or "(no name)" for block in blocks if not block.has_atoms]
    if not empty or len(empty) == len(blocks):
        return []
    return [Note("block without atoms", f"blocks without atoms were passed over: {', '.join(empty[:5])}")]
