"""Formats that list every atom: extxyz, POSCAR, serialized pymatgen structures, and plain JSON.

Owns `read_extxyz`, `read_poscar`, `read_pymatgen` and `read_plain`. Only the lattice, the elements and the coordinates are read;
nothing in a file is ever decoded into an object or imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symjax.crystals.io.files import load_json
from symjax.crystals.io.report import Note, Reading, UnusableCrystal
from symjax.crystals.types import AtomicStructure
from symjax.elements import atomic_number
from symjax.errors import DataError
from symjax.lattice import lattice_from_parameters

_ITEM = re.compile(r"""(?<![\w-])([A-Za-z_][\w-]*)\s*=\s*("[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|[^\s"']+)""")
_LONGEST_COMMENT = 100_000  # characters; looking for its items may take the square of them
_LONGEST_LITERAL = 2**21  # characters, some 7,000 sites; Python takes 250 bytes for each
_MOMENTS = ("magmom", "spin", "moment")


def _structure(kind: str, L: Any, z: Sequence[int], x: Any) -> AtomicStructure:
    """A structure of checked shapes and finite numbers."""
    L, x = np.asarray(L, float), np.asarray(x, float).reshape(-1, 3)
    if not (np.isfinite(L).all() and np.isfinite(x).all()):
        raise UnusableCrystal("not finite", f"{kind}: the lattice or a coordinate is not a finite number")
    return AtomicStructure(L=L, z=np.array(z), x=x)


def _inverse(L: np.ndarray, why: str) -> np.ndarray:
    if L.shape != (3, 3) or not np.isfinite(L).all() or abs(np.linalg.det(L)) < 1e-6:
        raise UnusableCrystal("zero volume", why)
    return np.linalg.inv(L)


def _numbers(words: Sequence[str], kind: str, where: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise UnusableCrystal(kind, f"{where}: {error}") from error


def _not_periodic(flags: Sequence[bool]) -> list[Note]:
    if all(flags):
        return []
    return [Note("not periodic", "not periodic in all three directions; it is read as a crystal")]


def atom_count(line: str) -> int | None:
    """The number of atoms that the first line of an extxyz frame announces; None for anything else."""
    return int(line) if re.fullmatch(r"\s*[0-9]{1,18}\s*", line) else None


def read_extxyz(text: str) -> Reading:
    """One frame of an extxyz file, which must carry its lattice; columns in any order.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    lines = text.splitlines()
    count = atom_count(lines[0]) if lines else None
    if count is None:
        raise UnusableCrystal("unreadable xyz", "the first line must hold the number of atoms")
    if count == 0:
        raise UnusableCrystal("empty", "no atoms")
    rows = [line.split() for line in lines[2 : 2 + count]]
    if len(rows) < count:
        raise UnusableCrystal("unreadable xyz", f"truncated frame: {count} atoms announced, {len(rows)} found")
    if len(lines[1]) > _LONGEST_COMMENT:
        raise UnusableCrystal("unreadable xyz", f"the comment line has {len(lines[1])} characters")
    info = {key.lower(): value.strip("\"'{}[]") for key, value in _ITEM.findall(lines[1])}
    columns, width = _columns(info.get("properties", "species:S:1:pos:R:3"))
    z = []
    for i, row in enumerate(rows):
        if len(row) < width:
            raise UnusableCrystal("unreadable xyz", f"atom {i + 1}: {len(row)} columns where {width} are announced")
        name = row[columns["species"] if "species" in columns else columns["z"]]
        number = int(name) if re.fullmatch("[0-9]{1,3}", name) else atomic_number(name)
        if number is None:
            raise UnusableCrystal("unknown element", f"atom {i + 1}: unknown element {name[:20]!r}")
        z.append(number)
    at = columns["pos"]
    places = np.array([_numbers(row[at : at + 3], "unreadable xyz", f"atom {i + 1}") for i, row in enumerate(rows)])
    words = info.get("lattice", "").replace(",", " ").split()
    L = np.array(_numbers(words, "unreadable xyz", "Lattice")) if len(words) == 9 else np.zeros(9)
    inverse = _inverse(
        L.reshape(3, 3), 'the frame has no Lattice="..." entry of nine numbers, or a cell of zero volume'
    )
    notes = _not_periodic(
        [word.lower() in ("t", "true", "1") for word in info.get("pbc", "T T T").replace(",", " ").split()]
    )
    if any(word in name for name in [*columns, *info] for word in _MOMENTS):
        notes.append(Note("moments dropped", "magnetic moments are left out"))
    return Reading(_structure("extxyz", L.reshape(3, 3), z, places @ inverse), tuple(notes))


def _columns(text: str) -> tuple[dict[str, int], int]:
    """First column of each property, and how many columns there are."""
    parts = text.split(":")
    found: dict[str, int] = {}
    at = 0
    for name, _, size in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        key = {"numbers": "z", "positions": "pos", "element": "species"}.get(name.lower(), name.lower())
        if not re.fullmatch("[1-9][0-9]{0,2}", size) or (key == "pos" and size != "3"):
            raise UnusableCrystal("unreadable xyz", f"Properties={text[:80]} cannot be read")
        found[key] = at
        at += int(size)
    if "pos" not in found or not ("species" in found or "z" in found):
        raise UnusableCrystal("unreadable xyz", f"Properties={text[:80]} names no pos, or no species")
    return found, at


def read_poscar(text: str) -> Reading:
    """A POSCAR; elements missing in a file of VASP 4 are taken from its first line or from the ends of its lines, if they fit.

    Raises:
        UnusableCrystal: not readable, or without element names.
    """
    lines = text.splitlines()
    if len(lines) < 8:
        raise UnusableCrystal("unreadable poscar", f"not readable as POSCAR: {len(lines)} lines")
    notes: list[Note] = []
    scales = np.array(
        _numbers(lines[1].split()[:3] if _is_three(lines[1]) else lines[1].split()[:1], "unreadable poscar", "line 2")
    )
    rows = [_numbers(line.split()[:3], "unreadable poscar", f"line {i + 3}") for i, line in enumerate(lines[2:5])]
    if (
        scales.size == 0
        or any(len(row) != 3 for row in rows)
        or not (np.isfinite(scales).all() and np.isfinite(rows).all())
    ):
        raise UnusableCrystal(
            "unreadable poscar", "not readable as POSCAR: lines 2 to 5 must hold a scale and the lattice"
        )
    bare = np.array(rows)
    if scales.size == 1 and scales[0] < 0:
        scales = (np.full(1, -scales[0]) / max(abs(np.linalg.det(bare)), 1e-12)) ** (1 / 3)
    L = bare * scales
    inverse = _inverse(L, "the cell has no volume")
    names = lines[5].split()
    old = bool(names) and all(re.fullmatch(r"\d+", name) for name in names)
    at = 6 if old else 7
    counts = [int(word) for word in lines[at - 1].split() if re.fullmatch(r"\d{1,7}", word)]
    if len(counts) != len(lines[at - 1].split()) or not counts or sum(counts) == 0:
        raise UnusableCrystal("unreadable poscar", f"not readable as POSCAR: line {at} must hold the numbers of atoms")
    if lines[at : at + 1] and lines[at].strip()[:1] in ("s", "S"):
        at += 1
    mode = lines[at].strip()[:1].lower() if at < len(lines) else ""
    body = [line.split() for line in lines[at + 1 : at + 1 + sum(counts)]]
    if mode not in ("d", "c", "k") or len(body) < sum(counts) or any(len(row) < 3 for row in body):
        raise UnusableCrystal(
            "unreadable poscar", f"not readable as POSCAR: {sum(counts)} atoms announced, {len(body)} found"
        )
    x = np.array([_numbers(row[:3], "unreadable poscar", f"atom {i + 1}") for i, row in enumerate(body)])
    x = x if mode == "d" else (x * scales) @ inverse
    z = _old_elements(lines[0], counts, body, notes) if old else _named_elements(names, counts)
    return Reading(_structure("POSCAR", L, z, x), tuple(notes))


def _is_three(line: str) -> bool:
    """Whether the scale is given for each axis."""
    words = line.split()[:3]
    return len(words) == 3 and all(re.fullmatch(r"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", word) for word in words)


def _named_elements(names: list[str], counts: list[int]) -> list[int]:
    """Elements of VASP 5's line (``Fe_pv`` is iron)."""
    if len(names) != len(counts):
        raise UnusableCrystal("unreadable poscar", f"{len(names)} elements and {len(counts)} numbers of atoms")
    z: list[int] = []
    for name, count in zip(names, counts, strict=True):
        number = atomic_number(re.split(r"[_/.\d+-]", name)[0])
        if number is None:
            raise UnusableCrystal("unknown element", f"unknown element {name!r}")
        z += [number] * count
    return z


def _old_elements(title: str, counts: list[int], body: list[list[str]], notes: list[Note]) -> list[int]:
    """Elements of a file without their line: from the first line, else from the last word of each atom's line."""
    words = title.split()
    numbers = [atomic_number(word) for word in words[: len(counts) + 1]]
    if len(numbers) >= len(counts) and all(numbers[: len(counts)]) and not any(numbers[len(counts) :]):
        notes.append(
            Note(
                "element assumed", f"no line of elements (VASP 4): {' '.join(words[: len(counts)])} from the first line"
            )
        )
        return [int(n or 0) for n, count in zip(numbers, counts, strict=False) for _ in range(count)]
    formula = re.findall(r"([A-Z][a-z]?)(\d+)", title) if re.fullmatch(r"\s*(?:[A-Z][a-z]?\d+\s*)+", title) else []
    amounts = [int(n) for _, n in formula]
    parts = [atomic_number(name) for name, _ in formula]
    if len(parts) == len(counts) and all(parts) and len({a / c for a, c in zip(amounts, counts, strict=True)}) == 1:
        notes.append(Note("element assumed", f"no line of elements (VASP 4): {title.strip()} from the first line"))
        return [int(n or 0) for n, count in zip(parts, counts, strict=True) for _ in range(count)]
    labels = [atomic_number(row[-1]) if len(row) > 3 else None for row in body]
    if all(labels):
        return [int(n or 0) for n in labels]
    raise UnusableCrystal(
        "unknown element",
        f"no line of elements (VASP 4), and the first line {title.strip()[:40]!r} does not name {len(counts)} of them; "
        "write them in a line above the numbers of atoms",
    )


def read_pymatgen(text: str) -> Reading:
    """A serialized pymatgen Structure: the JSON of ``Structure.as_dict()``, or that dictionary as Python prints it.

    Lattice, species and coordinates are read; ``@module``, ``@class`` and properties are never looked at.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    return structure_of_dict(_value(text))


def _value(text: str) -> Any:
    """JSON, or a Python literal (never evaluated)."""
    try:
        return load_json(text, "structure")
    except DataError as error:
        if not text.lstrip().startswith("{'") or len(text) > _LONGEST_LITERAL:
            raise UnusableCrystal("unreadable json", str(error)) from error
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise UnusableCrystal(
            "unreadable json", f"neither JSON nor a printed dictionary ({type(error).__name__})"
        ) from error


def structure_of_dict(value: Any) -> Reading:
    """As `read_pymatgen`, of the dictionary itself.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    try:
        lattice, sites = value["lattice"], value["sites"]
        if lattice.get("matrix") is not None:
            L = np.array(lattice["matrix"], float)
        else:
            keys = ("a", "b", "c", "alpha", "beta", "gamma")
            L = np.asarray(lattice_from_parameters(np.array([float(lattice[key]) for key in keys])))
        notes = _not_periodic([bool(flag) for flag in lattice.get("pbc") or (True,)])
        z, x, moments = [], [], False
        for i, site in enumerate(sites):
            z.append(_site_element(site["species"], i))
            if site.get("abc") is not None:
                x.append(np.array(site["abc"], float).reshape(3))
            else:
                x.append(np.array(site["xyz"], float).reshape(3) @ _inverse(L, "zero volume: the lattice"))
            properties = site.get("properties")
            moments |= isinstance(properties, Mapping) and any(m in str(k) for k in properties for m in _MOMENTS)
    except UnusableCrystal:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        said = f"not a serialized pymatgen Structure: {type(error).__name__} {str(error)[:100]}"
        raise UnusableCrystal("unreadable json", said) from error
    if not z:
        raise UnusableCrystal("empty", "no atoms")
    if moments:
        notes.append(Note("moments dropped", "magnetic moments are left out"))
    if L.shape != (3, 3):
        raise UnusableCrystal("unreadable json", f"a lattice has three rows of three numbers, got shape {L.shape}")
    return Reading(_structure("structure", L, z, x), tuple(notes))


def _site_element(species: Any, i: int) -> int:
    """Atomic number of a site that one full species occupies."""
    if len(species) != 1 or abs(float(species[0].get("occu", 1)) - 1) > 1e-6:
        held = ", ".join(f"{str(s.get('element'))[:8]} {s.get('occu')}" for s in species[:4])
        raise UnusableCrystal("occupancy", f"partial occupancy: site {i + 1} holds {held}")
    name = str(species[0]["element"])
    match = re.match(r"[A-Za-z]+", name)
    number = atomic_number(match.group()) if match else None
    if number is None:
        raise UnusableCrystal("unknown element", f"site {i + 1} holds no element ({name[:20]!r})")
    return number


def read_plain(text: str) -> Reading:
    """The JSON of ``{"L": rows of the lattice, "z": atomic numbers, "x": fractional coordinates}``.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    try:
        value = load_json(text, "structure")
        z = [int(number) for number in value["z"]]
        if z != list(value["z"]):
            raise ValueError("z must be whole numbers")
        return Reading(_structure("structure", value["L"], z, value["x"]))
    except UnusableCrystal:
        raise
    except (DataError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnusableCrystal("unreadable json", f"not a structure of L, z and x: {str(error)[:100]}") from error
