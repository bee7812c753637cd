"""Element symbols by atomic number, so that writing files needs no crystallography package."""

from __future__ import annotations

from symjax.errors import InputError

_NAMES = """
X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS: tuple[str, ...] = tuple(_NAMES.split())
_NUMBERS = {symbol: z for z, symbol in enumerate(SYMBOLS) if z}
_NUMBERS |= {"D": 1, "T": 1}  # isotopes of hydrogen as diffraction files name them


def symbol(z: int) -> str:
    """Symbol of an atomic number.

    Raises:
        InputError: not an element.
    """
    if not 1 <= int(z) < len(SYMBOLS):
        raise InputError(f"no element has atomic number {int(z)} (1 to {len(SYMBOLS) - 1})")
    return SYMBOLS[int(z)]


def atomic_number(name: str) -> int | None:
    """Atomic number of a symbol, None if there is no such element."""
    return _NUMBERS.get(name)
