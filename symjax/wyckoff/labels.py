"""Labels of protostructures in the style of AFLOW, both ways: ``A2BC4_cF56_227_c_b_e:Al-Mg-O``.

Owns `label`, `parse_label`, `prototype_label` and `same_but_cell`. A label is formula, Pearson symbol, space group, letters of each
element, and the elements: elements by symbol, amounts without a common factor, atoms of the conventional cell (rhombohedral groups
in hexagonal axes), A- and B-centred cells written C, letters rising, with the number of orbits before a letter that holds several.

One crystal has several descriptions (`symjax.wyckoff.normalizer`); the label is that of the one whose letters have the least sum
of alphabet ranks, ties by the text, as in pymatgen's prototypes module, whose labels these are (tests/wyckoff/test_labels.py).
Letter A of group 47 ranks 0 and stands before the others. Monoclinic and triclinic crystals have further descriptions by another
choice of the cell, which no label sees: `same_but_cell` compares without the letters there.

Source: Mehl et al., Comput. Mater. Sci. 136, S1 (2017), for the labels; pymatgen for the choice among descriptions.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from symjax.elements import ATOMIC_NUMBERS, SYMBOLS
from symjax.errors import InputError
from symjax.groups.symbols import short_symbol
from symjax.groups.tables import NUM_TYPES, wyckoff_letters
from symjax.wyckoff.normalizer import normalizer
from symjax.wyckoff.types import LETTERS, positions_of_type

_FAMILIES = ((2, "a"), (15, "m"), (74, "o"), (142, "t"), (194, "h"), (NUM_TYPES, "c"))
_LAST_OBLIQUE = 15
"""Last group whose cell the symmetry leaves a choice of."""
_LABEL = re.compile(r"([A-Z0-9]+)_([amothc][PCIFR]\d+)_(\d+)_([A-Za-z0-9_]+):([A-Za-z-]+)")


class Sites(NamedTuple):
    """What a label says.

    Attributes:
        number: space group.
        z: (m,) int64 atomic number of each orbit, elements by symbol.
        pos: (m,) int64 index of its position, letters rising.
    """

    number: int
    z: np.ndarray
    pos: np.ndarray


def label(number: int, z: np.ndarray, pos: np.ndarray) -> str:
    """The canonical label of orbits.

    Args:
        number: space group.
        z: (m,) atomic numbers; 0 is no orbit.
        pos: (m,) positions, as in `symjax.wyckoff.types.positions_of_type`.

    Raises:
        InputError: no orbit, or a position that the group does not have.
    """
    orbits = _orbits(number, z, pos)
    names = sorted({name for name, _ in orbits})
    letters = _canonical(number, {name: [p for one, p in orbits if one == name] for name in names}, [names])
    return f"{_prefix(number, orbits, names)}_{letters}:{'-'.join(names)}"


def prototype_label(number: int, z: np.ndarray, pos: np.ndarray) -> str:
    """The label without elements: A, B, C by rising amount, of all such orders the canonical one; otherwise as `label`."""
    orbits = _orbits(number, z, pos)
    amounts = _amounts(number, orbits)
    ranked = sorted(amounts, key=lambda name: (amounts[name], name))
    groups = [list(group) for _, group in itertools.groupby(ranked, key=amounts.__getitem__)]
    orders = [
        list(itertools.chain(*order)) for order in itertools.product(*(itertools.permutations(g) for g in groups))
    ]
    letters = _canonical(number, {name: [p for one, p in orbits if one == name] for name in ranked}, orders)
    return f"{_prefix(number, orbits, ranked)}_{letters}"


def parse_label(text: str) -> Sites:
    """Orbits of a label, canonical or not.

    Raises:
        InputError: naming what cannot be read, or what contradicts the rest: elements, formula, Pearson symbol, a letter that the
            group lacks, two orbits on a position without free coordinates.
    """
    match = _LABEL.fullmatch(text.strip())
    if match is None:
        raise InputError(f"label {text!r}: cannot be read; labels look like A2BC4_cF56_227_c_b_e:Al-Mg-O")
    formula, pearson, digits, letters, elements = match.groups()
    number, names, parts = int(digits), elements.split("-"), letters.split("_")
    if not 1 <= number <= NUM_TYPES:
        raise InputError(f"label {text!r}: space group {number} is not one of 1 to {NUM_TYPES}")
    if wrong := [name for name in names if name not in ATOMIC_NUMBERS]:
        raise InputError(f"label {text!r}: unknown element {wrong[0]!r}")
    if names != sorted(set(names)) or len(names) != len(parts):
        raise InputError(
            f"label {text!r}: {len(parts)} lists of letters for the elements {', '.join(names)}, which must rise by symbol"
        )
    known, own = positions_of_type(number), wyckoff_letters(number)
    orbits: list[tuple[str, int]] = []
    for name, part in zip(names, parts, strict=True):
        if not re.fullmatch(r"(\d*[a-zA])+", part):
            raise InputError(f"label {text!r}: cannot read the letters {part!r} of {name}")
        for count, letter in re.findall(r"(\d*)([a-zA])", part):
            if letter not in own or count == "0":
                raise InputError(
                    f"label {text!r}: space group {number} has the letters {''.join(sorted(own))}, not {count}{letter}"
                )
            orbits += [(name, own.index(letter))] * int(count or 1)
    for p, count in Counter(p for _, p in orbits).items():
        if count > 1 and known.dof[p] == 0:
            raise InputError(
                f"label {text!r}: position {known.label[p]} has no free coordinate and holds one orbit, not {count}"
            )
    expected = _prefix(number, orbits, names)
    if f"{formula}_{pearson}_{digits}" != expected:
        raise InputError(f"label {text!r}: these orbits are {expected}, not {formula}_{pearson}_{digits}")
    return Sites(number, np.array([ATOMIC_NUMBERS[name] for name, _ in orbits]), np.array([p for _, p in orbits]))


def same_but_cell(one: str, other: str) -> bool:
    """Whether labels are equal; in triclinic and monoclinic groups, equal up to which position of one kind holds an orbit.

    There another choice of the cell gives the same crystal other letters. Positions of one kind have the same number of points, of
    free coordinates and the same site symmetry. Errors as `parse_label`.
    """
    if one == other:
        return True
    a, b = parse_label(one), parse_label(other)
    if a.number != b.number or a.number > _LAST_OBLIQUE:
        return False
    known = positions_of_type(a.number)

    def kinds(sites: Sites) -> Counter:
        of = zip(
            sites.z.tolist(),
            *(np.asarray(v)[sites.pos].tolist() for v in (known.multiplicity, known.dof, known.symbol)),
            strict=True,
        )
        return Counter(of)

    return kinds(a) == kinds(b)


def _orbits(number: int, z: np.ndarray, pos: np.ndarray) -> list[tuple[str, int]]:
    """Symbol and position of each orbit."""
    real = np.asarray(z) > 0
    z, pos = np.asarray(z)[real], np.asarray(pos)[real]
    if not len(z):
        raise InputError("an empty crystal has no label")
    if pos.min() < 0 or pos.max() >= len(wyckoff_letters(number)):
        raise InputError(f"space group {number} has {len(wyckoff_letters(number))} positions, not {int(pos.max()) + 1}")
    return [(SYMBOLS[e], p) for e, p in zip(z.tolist(), pos.tolist(), strict=True)]


def _amounts(number: int, orbits: list[tuple[str, int]]) -> dict[str, int]:
    """Atoms of each element in the conventional cell."""
    out: dict[str, int] = {}
    for name, p in orbits:
        out[name] = out.get(name, 0) + int(positions_of_type(number).multiplicity[p])
    return out


def _prefix(number: int, orbits: list[tuple[str, int]], names: list[str]) -> str:
    """Formula with letters, Pearson symbol, space group."""
    amounts = _amounts(number, orbits)
    divisor = int(np.gcd.reduce(list(amounts.values())))
    shares = [amounts[name] // divisor for name in names]
    formula = "".join(f"{chr(65 + i)}{n if n > 1 else ''}" for i, n in enumerate(shares))
    centring = short_symbol(number)[0]
    family = next(letter for last, letter in _FAMILIES if number <= last)
    return f"{formula}_{family}{'C' if centring in 'AB' else centring}{sum(amounts.values())}_{number}"


def _canonical(number: int, positions: dict[str, list[int]], orders: list[list[str]]) -> str:
    """Letters of each element, of that description and order for which sum of ranks, then text, are least."""
    own, best = wyckoff_letters(number), None
    for permutation in normalizer(number).permutations.tolist():
        words, score = {}, 0
        for name, held in positions.items():
            count = Counter(own[permutation[p]] for p in held)
            words[name] = "".join(f"{n if n > 1 else ''}{letter}" for letter, n in sorted(count.items()))
            score += sum(0 if letter == LETTERS[-1] else ord(letter) - 96 for letter in count)
        for order in orders:
            found = score, "_".join(words[name] for name in order)
            best = found if best is None or found < best else best
    assert best is not None
    return best[1]
