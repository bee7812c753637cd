"""Whether a composition can be charge neutral with reasonable electronegativities: three published rules of that name.

A composition is valid if it is one element, or all metals, or if one oxidation state per element exists with total charge
zero and, for every pair of opposite sign, a cation less electronegative than the anion. The variants differ in the list of
oxidation states and in what an unknown electronegativity (He, Ne, Ar, Pm, Rn) means. Pairs are looked at in order of atomic number:

- ``cdvae``: SMACT 2 list, as SMACT 2.5.5 and CDVAE's script. A pair of opposite charges with an unknown value ends the test as
  passed (the script catches its error), any other pair with one as failed; more than 1e7 combinations are invalid. This is the rule
  of the CDVAE, DiffCSP and SymmCD tables.
- ``strict``: the same list; any unknown value fails, as in SMACT 2.6 to 2.8. WyckoffTransformer's tables.
- ``icsd24``: all oxidation states of the ICSD 2024 list, unknown values fail. SMACT 4 by default keeps only those on which several
  sources agree; here nothing is filtered.

Of the smact package only data are used (`smact.Element`, `smact.metals`), so no figure depends on how a version searches.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import prod

import numpy as np

from symjax.errors import InputError

RULES = ("cdvae", "strict", "icsd24")
MAX_COMBINATIONS = 10**7
"""Of the rule ``cdvae``."""


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
    return _balanced(reduced, rule)


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
def _element(z: int, rule: str) -> tuple[str, tuple[int, ...], float | None]:
    """(symbol, oxidation states in the list of a rule, Pauling electronegativity or None)."""
    from ase.data import chemical_symbols
    from smact import Element

    if not 1 <= z < len(chemical_symbols):
        raise InputError(f"atomic number {z} is not an element")
    symbol = chemical_symbols[z]
    try:
        entry = Element(symbol)
    except NameError:  # elements smact has no data for
        return symbol, (), None
    states = entry.oxidation_states_icsd24 if rule == "icsd24" else entry.oxidation_states_smact14
    negativity = entry.pauling_eneg
    return symbol, tuple(states or ()), None if negativity is None else float(negativity)


@cache
def _balanced(reduced: tuple[tuple[int, int], ...], rule: str) -> bool:
    from smact import metals

    entries = [_element(z, rule) for z, _ in reduced]
    if len(reduced) == 1 or all(symbol in metals for symbol, _, _ in entries):
        return True
    states = [entry[1] for entry in entries]
    many = prod(map(len, states))
    if many == 0 or (rule == "cdvae" and many > MAX_COMBINATIONS):
        return False
    negativities = [entry[2] for entry in entries]
    if rule != "cdvae" and None in negativities:
        return False
    counts = [count for _, count in reduced]
    return any(
        sum(c * q for c, q in zip(counts, charges)) == 0 and _ordered(charges, negativities)
        for charges in product(*states)
    )


def _ordered(charges: tuple[int, ...], negativities: list[float | None]) -> bool:
    """Every cation less electronegative than every anion; the first pair with an unknown value decides by its signs."""
    for i in range(len(charges)):
        for j in range(i + 1, len(charges)):
            first, second = negativities[i], negativities[j]
            opposite = charges[i] * charges[j] < 0
            if first is None or second is None:
                return opposite
            if opposite and ((first >= second) if charges[i] > 0 else (first <= second)):
                return False
    return True
