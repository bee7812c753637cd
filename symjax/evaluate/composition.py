"""Whether a composition can be charge neutral with reasonable electronegativities: three published rules of that name.

A composition is valid if it is one element, or all metals, or if one oxidation state per element exists with total charge
zero and, for every pair of opposite sign, a cation less electronegative than the anion. The variants differ in the list of
oxidation states and in what a missing electronegativity (He, Ne, Ar, Pm, Rn) means:

- ``cdvae``: SMACT 2 default list; a missing value meeting an opposite sign counts as passed; more than 1e7 combinations are
  invalid. This is the rule of the CDVAE, DiffCSP and SymmCD tables.
- ``smact14``: the same list through today's smact package.
- ``icsd24``: today's smact default.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import prod

import numpy as np

from symjax.errors import InputError

RULES = ("cdvae", "smact14", "icsd24")
MAX_COMBINATIONS = 10**7


def is_valid_composition(counts: tuple[tuple[int, int], ...], rule: str = "cdvae") -> bool:
    """Whether a composition passes.

    Args:
        counts: (atomic number, atoms) pairs, as `Cell.reduced` gives them.
        rule: one of `RULES`.

    Raises:
        InputError: unknown rule or atomic number.
    """
    if rule not in RULES:
        raise InputError(f"rule {rule!r} is not one of {', '.join(RULES)}")
    divisor = int(np.gcd.reduce([count for _, count in counts]))
    reduced = tuple(sorted((int(z), int(count) // divisor) for z, count in counts))
    return _cdvae(reduced) if rule == "cdvae" else _smact(reduced, rule)


def formula_of(counts: tuple[tuple[int, int], ...]) -> str:
    """The formula with elements in order of electronegativity, as pymatgen writes reduced formulas."""
    from pymatgen.core import Composition, Element

    return Composition({Element.from_Z(z): count for z, count in counts}).reduced_formula


def plain_formula(formula: str) -> str:
    """A formula without brackets, fit for a file name: ``Lu(GaGe)2`` becomes ``LuGa2Ge2``."""
    from pymatgen.core import Composition

    parts = Composition(formula).formula.split()
    return "".join(part[:-1] if part[-1] == "1" and not part[-2].isdigit() else part for part in parts)


@cache
def _element(z: int) -> tuple[str, tuple[int, ...], float | None]:
    """(symbol, oxidation states of the SMACT 2 list, Pauling electronegativity or None)."""
    from ase.data import chemical_symbols
    from smact import Element

    if not 1 <= z < len(chemical_symbols):
        raise InputError(f"atomic number {z} is not an element")
    symbol = chemical_symbols[z]
    try:
        entry = Element(symbol)
    except NameError:  # elements smact has no data for
        return symbol, (), None
    negativity = entry.pauling_eneg
    return symbol, tuple(entry.oxidation_states_smact14 or ()), None if negativity is None else float(negativity)


@cache
def _cdvae(reduced: tuple[tuple[int, int], ...]) -> bool:
    from smact import metals

    entries = [_element(z) for z, _ in reduced]
    if len(reduced) == 1 or all(symbol in metals for symbol, _, _ in entries):
        return True
    states = [entry[1] for entry in entries]
    if not 0 < prod(map(len, states)) <= MAX_COMBINATIONS:
        return False
    counts = [count for _, count in reduced]
    negativities = [entry[2] for entry in entries]
    return any(
        sum(c * q for c, q in zip(counts, charges)) == 0 and _ordered(charges, negativities)
        for charges in product(*states)
    )


def _ordered(charges: tuple[int, ...], negativities: list[float | None]) -> bool:
    """Every cation less electronegative than every anion; the first comparison with a missing value passes."""
    for i in range(len(charges)):
        for j in range(i + 1, len(charges)):
            if charges[i] * charges[j] < 0:
                first, second = negativities[i], negativities[j]
                if first is None or second is None:
                    return True
                if (first >= second) if charges[i] > 0 else (first <= second):
                    return False
    return True


@cache
def _smact(reduced: tuple[tuple[int, int], ...], rule: str) -> bool:
    from pymatgen.core import Composition, Element
    from smact.screening import smact_validity

    composition = Composition({Element.from_Z(z): count for z, count in reduced})
    return bool(smact_validity(composition, oxidation_states_set="smact14" if rule == "smact14" else None))
