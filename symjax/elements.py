"""The elements: symbols for files, and facts that networks and masks read, as arrays indexed by atomic number (row 0 is padding).

Columns of the table: symbol, period, group, block, Pauling electronegativity (0: none known), covalent radius in
angstrom (Cordero and others, Dalton Trans. 2008, 2832), metal by the list of the SMACT composition rule, common
oxidation states, all oxidation states of the SMACT 2 list ("." for none). Elements 104 and above have a
symbol only: models do not know them.
"""

import numpy as np

from symjax.errors import InputError

_TABLE = """
H 1 1 s 2.2 0.31 0 -1,1 -1,1
He 1 18 p 0 0.28 0 . .
Li 2 1 s 0.98 1.28 1 1 1
Be 2 2 s 1.57 0.96 1 2 1,2
B 2 13 p 2.04 0.84 0 3 1,2,3
C 2 14 p 2.55 0.76 0 -4,-3,-2,-1,0,1,2,3,4 -4,-3,-2,-1,1,2,3,4
N 2 15 p 3.04 0.71 0 -3,3,5 -3,-2,-1,1,2,3,4,5
O 2 16 p 3.44 0.66 0 -2 -2,-1,1,2
F 2 17 p 3.98 0.57 0 -1 -1
Ne 2 18 p 0 0.58 0 . .
Na 3 1 s 0.93 1.66 1 1 -1,1
Mg 3 2 s 1.31 1.41 1 2 1,2
Al 3 13 p 1.61 1.21 1 3 1,2,3
Si 3 14 p 1.9 1.11 0 -4,4 -4,-3,-2,-1,1,2,3,4
P 3 15 p 2.19 1.07 0 -3,3,5 -3,-2,-1,1,2,3,4,5
S 3 16 p 2.58 1.05 0 -2,2,4,6 -2,-1,1,2,3,4,5,6
Cl 3 17 p 3.16 1.02 0 -1,1,3,5,7 -1,1,2,3,4,5,6,7
Ar 3 18 p 0 1.06 0 . .
K 4 1 s 0.82 2.03 1 1 -1,1
Ca 4 2 s 1 1.76 1 2 1,2
Sc 4 3 d 1.36 1.70 1 3 1,2,3
Ti 4 4 d 1.54 1.60 1 4 -1,1,2,3,4
V 4 5 d 1.63 1.53 1 5 -1,1,2,3,4,5
Cr 4 6 d 1.66 1.39 1 3,6 -2,-1,1,2,3,4,5,6
Mn 4 7 d 1.55 1.39 1 2,4,7 -3,-2,-1,1,2,3,4,5,6,7
Fe 4 8 d 1.83 1.32 1 2,3 -2,-1,1,2,3,4,5,6
Co 4 9 d 1.88 1.26 1 2,3 -1,1,2,3,4,5
Ni 4 10 d 1.91 1.24 1 2 -1,1,2,3,4
Cu 4 11 d 1.9 1.32 1 2 1,2,3,4
Zn 4 12 d 1.65 1.22 1 2 1,2
Ga 4 13 p 1.81 1.22 1 3 1,2,3
Ge 4 14 p 2.01 1.20 1 -4,2,4 -4,-3,-2,-1,1,2,3,4
As 4 15 p 2.18 1.19 0 -3,3,5 -3,1,2,3,5
Se 4 16 p 2.55 1.20 0 -2,2,4,6 -2,1,2,4,6
Br 4 17 p 2.96 1.20 0 -1,1,3,5 -1,1,2,3,4,5,7
Kr 4 18 p 3 1.16 0 2 2
Rb 5 1 s 0.82 2.20 1 1 -1,1
Sr 5 2 s 0.95 1.95 1 2 1,2
Y 5 3 d 1.22 1.90 1 3 1,2,3
Zr 5 4 d 1.33 1.75 1 4 1,2,3,4
Nb 5 5 d 1.6 1.64 1 5 -1,1,2,3,4,5
Mo 5 6 d 2.16 1.54 1 4,6 -2,-1,1,2,3,4,5,6
Tc 5 7 d 2.1 1.47 1 4,7 -3,-1,1,2,3,4,5,6,7
Ru 5 8 d 2.2 1.46 1 3,4 -2,1,2,3,4,5,6,7,8
Rh 5 9 d 2.28 1.42 1 3 -1,1,2,3,4,5,6
Pd 5 10 d 2.2 1.39 1 2,4 1,2,4,6
Ag 5 11 d 1.93 1.45 1 1 1,2,3,4
Cd 5 12 d 1.69 1.44 1 2 1,2
In 5 13 p 1.78 1.42 1 3 1,2,3
Sn 5 14 p 1.96 1.39 1 -4,2,4 -4,2,4
Sb 5 15 p 2.05 1.39 1 -3,3,5 -3,3,5
Te 5 16 p 2.1 1.38 0 -2,2,4,6 -2,2,4,5,6
I 5 17 p 2.66 1.39 0 -1,1,3,5,7 -1,1,3,4,5,7
Xe 5 18 p 2.6 1.40 0 2,4,6 1,2,4,6,8
Cs 6 1 s 0.79 2.44 1 1 -1,1
Ba 6 2 s 0.89 2.15 1 2 2
La 6 3 f 1.1 2.07 1 3 2,3
Ce 6 3 f 1.12 2.04 1 3,4 2,3,4
Pr 6 3 f 1.13 2.03 1 3 2,3,4
Nd 6 3 f 1.14 2.01 1 3 2,3,4
Pm 6 3 f 1.13 1.99 0 3 2,3
Sm 6 3 f 1.17 1.98 1 3 2,3
Eu 6 3 f 1.2 1.98 1 2,3 2,3
Gd 6 3 f 1.2 1.96 1 3 1,2,3
Tb 6 3 f 1.2 1.94 1 3 1,2,3,4
Dy 6 3 f 1.22 1.92 1 3 2,3,4
Ho 6 3 f 1.23 1.92 1 3 2,3
Er 6 3 f 1.24 1.89 1 3 2,3
Tm 6 3 f 1.25 1.90 1 3 2,3
Yb 6 3 f 1.1 1.87 1 3 2,3
Lu 6 3 d 1 1.87 1 3 3
Hf 6 4 d 1.3 1.75 1 4 2,3,4
Ta 6 5 d 1.5 1.70 1 5 -1,2,3,4,5
W 6 6 d 1.7 1.62 1 4,6 -2,-1,1,2,3,4,5,6
Re 6 7 d 1.9 1.51 1 4,7 -3,-1,1,2,3,4,5,6,7
Os 6 8 d 2.2 1.44 1 4 -2,-1,1,2,3,4,5,6,7,8
Ir 6 9 d 2.2 1.41 1 3,4 -3,-1,1,2,3,4,5,6,7,8
Pt 6 10 d 2.2 1.36 1 2,4 -2,-1,1,2,3,4,5,6
Au 6 11 d 2.4 1.36 1 3 -1,1,2,3,5
Hg 6 12 d 1.9 1.32 1 1,2 1,2,4
Tl 6 13 p 1.8 1.45 1 1,3 -1,1,3
Pb 6 14 p 1.8 1.46 1 2,4 -4,2,4
Bi 6 15 p 1.9 1.48 1 3 -3,1,3,5,7
Po 6 16 p 2 1.40 1 -2,2,4 -2,2,4,5,6
At 6 17 p 2.2 1.50 0 -1,1 -1,1,3,5,7
Rn 6 18 p 2.2 1.50 0 . 2,6
Fr 7 1 s 0.7 2.60 1 1 1
Ra 7 2 s 0.9 2.21 1 2 2
Ac 7 3 f 1.1 2.15 1 3 2,3
Th 7 3 f 1.3 2.06 1 4 2,3,4
Pa 7 3 f 1.5 2.00 1 5 2,3,4,5
U 7 3 f 1.7 1.96 1 6 2,3,4,5,6
Np 7 3 f 1.3 1.90 1 5 3,4,5,6,7
Pu 7 3 f 1.3 1.87 1 4 2,3,4,5,6,7,8
Am 7 3 f 1.3 1.80 1 3 2,3,4,5,6,7
Cm 7 3 f 1.3 1.69 1 3 2,3,4,6,8
Bk 7 3 f 1.3 2.00 1 3 2,3,4
Cf 7 3 f 1.3 2.00 1 3 2,3,4
Es 7 3 f 1.3 2.00 1 3 2,3,4
Fm 7 3 f 1.3 2.00 1 3 2,3
Md 7 3 f 1.3 2.00 1 3 2,3
No 7 3 f 1.3 2.00 1 3 2,3
Lr 7 3 d 1.3 2.00 0 3 3
"""

_ORDER = """
Fr Cs K Rb Ba Ra Na Sr Li Ca Ac La Tb Yb Ce Pm Pr Nd Sm Eu Gd Dy Y Ho Er Tm Lu Pu Am Bk Cf Cm Es Fm Hf Lr Md No Th Mg Zr
Np Sc U Pa Ta Ti Mn Be Nb Al Tl V Zn Cr Cd In Ga Fe Co Cu Re Si Tc Ni Ag Sn Hg Po Ge Bi B Sb Te Mo As P At H Ir Os Pd Rn
Ru Pt Rh Pb W Au C Se S Xe I Br Kr N Cl O F Ar Bh Cn Db Ds Fl He Hs Lv Mc Mt Ne Nh Og Rf Rg Sg Ts
"""  # by electronegativity: Pauling's with Pb(IV) and Tl(III), as pymatgen orders formulas; equal ones by symbol, unknown ones last
_BY_ELECTRONEGATIVITY = {name: place for place, name in enumerate(_ORDER.split())}
_NOT_REDUCED = {name: f"{name}2" for name in ("H", "N", "O", "F", "Cl")} | {
    f"{name}O": f"{name}2O2" for name in ("Li", "Na", "K", "H", "Cs", "Rb")
}

_ROWS = [line.split() for line in _TABLE.split("\n") if line]

NUM_ELEMENTS = len(_ROWS) + 1  # 104: atomic numbers 1 to 103, and 0 for padding
_HEAVIER = ["Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"]
SYMBOLS: tuple[str, ...] = ("X", *(row[0] for row in _ROWS), *_HEAVIER)
ATOMIC_NUMBERS: dict[str, int] = {
    name: z for z, name in enumerate(SYMBOLS[:NUM_ELEMENTS]) if z
}  # those that models know
_NUMBERS = {name: z for z, name in enumerate(SYMBOLS) if z} | {
    "D": 1,
    "T": 1,
}  # isotopes as diffraction files name them


def _column(index: int, dtype: type = float) -> np.ndarray:
    return np.array([0, *(row[index] for row in _ROWS)]).astype(float).astype(dtype)


def _states(index: int) -> tuple[tuple[int, ...], ...]:
    return ((), *(() if row[index] == "." else tuple(int(q) for q in row[index].split(",")) for row in _ROWS))


PERIOD = _column(1, int)
GROUP = _column(2, int)
BLOCK: tuple[str, ...] = ("", *(row[3] for row in _ROWS))
ELECTRONEGATIVITY = _column(4)
COVALENT_RADII = _column(5)  # angstrom
IS_METAL = _column(6, bool)
COMMON_STATES = _states(7)
OXIDATION_STATES = _states(8)


def element_features() -> np.ndarray:
    """`(NUM_ELEMENTS, 21)` float32 chemistry features of order one; the padding row is zero.

    Electronegativity, its absence, covalent radius, metal, block (4), period, group, lowest and highest common state,
    number of common states, lowest and highest state, membership of alkali, alkaline earth, rare earth, chalcogen,
    halogen, noble gas.
    """
    rows = np.zeros((NUM_ELEMENTS, 21), np.float32)
    for z in range(1, NUM_ELEMENTS):
        common, every, group = COMMON_STATES[z] or (0,), OXIDATION_STATES[z] or (0,), GROUP[z]
        rows[z] = [
            (ELECTRONEGATIVITY[z] - 1.8) / 0.7,
            ELECTRONEGATIVITY[z] == 0,
            (COVALENT_RADII[z] - 1.5) / 0.4,
            IS_METAL[z],
            *(BLOCK[z] == b for b in "spdf"),
            (PERIOD[z] - 4.5) / 1.5,
            (group - 9) / 6,
            min(common) / 4,
            max(common) / 4,
            len(common) / 4,
            min(every) / 4,
            max(every) / 4,
            group == 1 and z > 1,
            group == 2,
            BLOCK[z] == "f" or group == 3,
            group == 16,
            group == 17,
            group == 18,
        ]
    return rows


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


def plain_formula(counts: dict[int, int]) -> str:
    """The reduced formula of atoms by atomic number, elements by electronegativity as in ``BaTiO3``; no brackets.

    Diatomic gases and peroxides are not reduced further than they exist (``O2``).
    """
    divisor = int(np.gcd.reduce(list(counts.values())))
    parts = sorted(
        ((symbol(z), n // divisor) for z, n in counts.items()), key=lambda part: _BY_ELECTRONEGATIVITY[part[0]]
    )
    formula = "".join(f"{name}{count if count > 1 else ''}" for name, count in parts)
    return _NOT_REDUCED.get(formula, formula)
