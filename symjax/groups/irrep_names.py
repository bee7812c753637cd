"""Standard names of special k-vectors and of their irreps.

Owns `NamedK`, `special_k`, `named_k`, `characters_text` and `parse_irrep`. Names are those of Cracknell, Davies, Miller &
Love, Kronecker Product Tables (1979), as the Bilbao Crystallographic Server gives them for the standard settings (Aroyo et
al., Acta Cryst. A62, 115, 2006; Elcoro et al., J. Appl. Cryst. 50, 1457, 2017): GM, X, M, R, ... and GM4-, R4+, with the
sign of the inversion where k keeps it. Only names are packaged (groups/irrep_labels.npz, made by
scripts/make_irrep_labels.py); irreps are worked out. Names exist for the 1,350 special k-vectors of maximal symmetry; any
other k (on a line, on a plane, in general position) is named by its coordinates and its irreps are numbered by dimension,
then characters: such a number is ours and no convention (`NamedK.standard` is False), so what is printed goes with the
characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.errors import InputError
from symjax.groups.irreps import Irreps, KVector, irreps_at
from symjax.groups.packaged import arrays, check_number
from symjax.groups.symbols import short_symbol
from symjax.groups.tables import standard_setting
from symjax.ops.symbols import format_xyz
from symjax.ops.types import Op


@dataclass(frozen=True)
class NamedK:
    """A k-vector of a type in its standard setting, with its irreps and their names.

    Attributes:
        number: space-group number.
        name: GM, X, ...; the coordinates such as ``k(0,0,1/3)`` where no name is standard.
        irreps: at the arm that the names belong to.
        labels: of the small irreps, in their order.
        standard: whether name and labels are those of the tables.
    """

    number: int
    name: str
    irreps: Irreps
    labels: tuple[str, ...]
    standard: bool

    @property
    def text(self) -> str:
        """Such as ``R (1/2,1/2,1/2)``."""
        return f"{self.name} {self.irreps.k.text}" if self.standard else self.name


@cache
def _table() -> dict[int, list[tuple[str, str, tuple[str, ...]]]]:
    found: dict[int, list[tuple[str, str, tuple[str, ...]]]] = {}
    for line in arrays("groups/irrep_labels")["text"].tobytes().decode().splitlines():
        number, name, k, *labels = line.split()
        found.setdefault(int(number), []).append((name, k, tuple(labels)))
    return found


@cache
def special_k(number: int) -> tuple[tuple[str, KVector], ...]:
    """Names and first arms of the special k-vectors of a type, GM first.

    Raises:
        InputError: no space-group number.
    """
    rows = _table()[check_number(number)]
    return tuple(
        (name, KVector.of(k.split(","))) for name, k, _ in sorted(rows, key=lambda row: (row[0] != "GM", row[0]))
    )


@cache
def _at(number: int, k: str) -> Irreps:
    return irreps_at(standard_setting(number), KVector.of(k.split(",")))


def named_k(number: int, k: KVector | str) -> NamedK:
    """The irreps of a k-vector of a type in its standard setting, under their standard names where there are any.

    Args:
        number: space-group number.
        k: a k-vector, any arm of the star of k or -k; or the name of a special one.

    Raises:
        InputError: an unknown name; tells the known ones.
    """
    rows = _table()[check_number(number)]
    if isinstance(k, str):
        for name, text, labels in rows:
            if name.upper() == k.upper() or (k.upper() in ("G", "GAMMA") and name == "GM"):
                return NamedK(number, name, _at(number, text), labels, True)
        known = ", ".join(name for name, _ in special_k(number))
        raise InputError(
            f"{short_symbol(number)} ({number}) has no special k-vector {k!r}; named ones are {known}; any other is given as "
            "three fractions, such as 0,0,1/3"
        )
    for name, text, labels in rows:
        special = KVector.of(text.split(","))
        den = int(np.lcm(special.den, k.den))
        irreps = _at(number, text)
        for arm in irreps.arms:
            for sign in (1, -1):
                gap = arm * (den // special.den) - sign * k.k * (den // k.den)
                if not ((gap @ irreps.lattice) % (den * irreps.lattice_den)).any():
                    return NamedK(number, name, irreps, labels, True)
    irreps = _at(number, k.text[1:-1])
    name = f"k{k.text}"
    return NamedK(number, name, irreps, tuple(f"{name}[{i + 1}]" for i in range(len(irreps.small))), False)


def characters_text(named: NamedK, irrep: int) -> str:
    """What an irrep without a standard name is: k, and the characters of the small irrep.

    Such as ``characters of the little group of k (0,0,1/3): 1 of x,y,z -x,-y,z; -1 of -y,x,z y,-x,z``; one operation of each
    rotation part, in the standard setting.
    """
    irreps = named.irreps
    chi = irreps.small[irrep].characters
    texts = format_xyz(Op(irreps.W[irreps.rows].astype(np.int32), irreps.w[irreps.rows].astype(np.int32)), irreps.den)
    by_value: dict[str, list[str]] = {}
    for value, text in zip(chi, texts, strict=True):
        by_value.setdefault(_number(complex(value)), []).append(str(text))
    parts = [f"{value} of {' '.join(ops)}" for value, ops in sorted(by_value.items(), key=lambda one: one[0] == "0")]
    return f"characters of the little group of k {irreps.k.text}: {'; '.join(parts)}"


def _number(value: complex) -> str:
    """Such as ``-1``, ``i`` or ``-0.5+0.866i``."""
    real, imaginary = round(value.real, 3) + 0.0, round(value.imag, 3) + 0.0
    if not imaginary:
        return f"{real:g}"
    size = "" if abs(imaginary) == 1 else f"{abs(imaginary):g}"
    sign = "-" if imaginary < 0 else "+" if real else ""
    return f"{f'{real:g}' if real else ''}{sign}{size}i"


def parse_irrep(number: int, text: str) -> tuple[NamedK, int]:
    """An irrep by its label, such as ``R4+``, ``GM4-`` or ``k(0,0,1/3)[2]``.

    Raises:
        InputError: no such irrep; tells those of the k-vector, or the k-vectors.
    """
    plain = text.strip().replace(" ", "")
    other = re.fullmatch(r"k?\(?([-\d/.,]+)\)?\[(\d+)\]", plain)
    if other:
        found, place = named_k(number, KVector.of(other.group(1).split(","))), int(other.group(2)) - 1
        if 0 <= place < len(found.labels):
            return found, place
        raise InputError(f"{found.text} has irreps {', '.join(found.labels)}; there is no {text!r}")
    match = re.match(r"(GAMMA|[A-Z]+)(?=\d)", plain.upper())
    if match is None:
        raise InputError(f"an irrep is given as R4+, GM4- or (0,0,1/3)[2], got {text!r}")
    found = named_k(number, match.group(1))
    label = found.name + plain[match.end() :]
    for i, one in enumerate(found.labels):
        if one == label:
            return found, i
    raise InputError(
        f"{short_symbol(number)} ({number}) has at {found.text} the irreps {', '.join(sorted(found.labels))}; there is no {text!r}"
    )
