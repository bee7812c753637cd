"""Names of the tokens: elements, site symmetries, enumerations, and the columns of the space-group vector.

Owns `Vocabulary`, the two named ones ("mp20", the published one, and "all") and the version by which weights and tokens match.

Conventions. Each of the three fields counts its names from 0; the service tokens MASK, STOP, PAD come last, in that order. A site
symmetry is one of `symjax.wyckoff.site_symbols.symbols()`. Source: WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text;
later arXiv 2503.02407), section 3.1, and the public code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS, SYMBOLS
from symjax.errors import InputError, WeightsError
from symjax.groups.tables import NUM_TYPES
from symjax.wyckoff import site_symbols

FIELDS = ("element", "site", "enum")
NUM_SERVICE = 3  # MASK, STOP, PAD
FORMAT = "wyckoff-tokens-1"

# pymatgen's order of elements (by electronegativity); stored, because that order depends on the version of pymatgen.
_MP20_ELEMENTS = (
    "Cs K Rb Ba Na Sr Li Ca Ac La Tb Yb Ce Pm Pr Nd Sm Eu Gd Dy Y Ho Er Tm Lu Pu Hf Th Mg Zr Np Sc U Pa Ta Ti Mn Be Nb Al Tl V "
    "Zn Cr Cd In Ga Fe Co Cu Re Si Tc Ni Ag Sn Hg Ge Bi B Sb Te Mo As P H Ir Os Pd Ru Pt Rh Pb W Au C Se S Xe I Br Kr N Cl O F "
    "Ar He Ne"
)
_MP20_LACKS_SITES = ("222..", "42.2", "432", "6..", "6/m..", "622")
_MP20_LACKS_GROUPS = frozenset(
    [
        27,
        32,
        45,
        48,
        50,
        73,
        78,
        80,
        91,
        93,
        94,
        95,
        101,
        103,
        104,
        106,
        110,
        117,
        126,
        133,
        134,
        151,
        158,
        165,
        168,
        169,
        170,
        171,
        172,
        175,
        177,
        178,
        184,
        185,
        192,
        195,
        196,
        197,
        201,
        202,
        203,
        206,
        207,
        208,
        209,
        210,
        211,
        214,
        219,
        222,
        226,
        228,
        230,
    ]
)


@dataclass(frozen=True)
class Vocabulary:
    """What the token numbers of the three fields mean.

    Attributes:
        name: how it is called in configurations.
        elements: symbols; the token of an element is its index.
        sites: site-symmetry symbols; likewise.
        groups: the space groups over which constant columns of the group vector are dropped.
        num_enum: enumerations 0 to num_enum - 1.
    """

    name: str
    elements: tuple[str, ...]
    sites: tuple[str, ...]
    groups: tuple[int, ...]
    num_enum: int = site_symbols.NUM_ENUMERATIONS

    @property
    def names(self) -> tuple[int, int, int]:
        """Proper tokens of each field (element, site, enum); also the number of each field's MASK."""
        return len(self.elements), len(self.sites), self.num_enum

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Tokens of each field with the service tokens: (92, 75, 11) for "mp20"."""
        elements, sites, enum = self.names
        return elements + NUM_SERVICE, sites + NUM_SERVICE, enum + NUM_SERVICE

    @property
    def mask(self) -> tuple[int, int, int]:
        """MASK of each field: what is to be predicted."""
        return self.names

    @property
    def stop(self) -> tuple[int, int, int]:
        """STOP of each field."""
        elements, sites, enum = self.names
        return elements + 1, sites + 1, enum + 1

    @property
    def pad(self) -> tuple[int, int, int]:
        """PAD of each field."""
        elements, sites, enum = self.names
        return elements + 2, sites + 2, enum + 2

    @cached_property
    def atomic_numbers(self) -> np.ndarray:
        """(size,) int32 atomic number of each element token, 0 for service tokens."""
        return np.array([ATOMIC_NUMBERS[name] for name in self.elements] + [0] * NUM_SERVICE, np.int32)

    @cached_property
    def element_tokens(self) -> np.ndarray:
        """(104,) int32 token of each atomic number, -1 for those outside the vocabulary."""
        out = np.full(NUM_ELEMENTS, -1, np.int32)
        out[self.atomic_numbers[: len(self.elements)]] = np.arange(len(self.elements))
        return out

    @cached_property
    def site_tokens(self) -> np.ndarray:
        """(78,) int32 token of each symbol of `site_symbols.symbols()`, -1 for those outside the vocabulary."""
        index = {name: i for i, name in enumerate(self.sites)}
        return np.array([index.get(name, -1) for name in site_symbols.symbols()], np.int32)

    @cached_property
    def version(self) -> str:
        """Name of the token tables: format and a digest of all names and of what each position of each group is called."""
        digest = hashlib.sha256()
        digest.update(json.dumps([FORMAT, self.elements, self.sites, self.groups, self.num_enum]).encode())
        digest.update(site_symbols.digest().encode())
        return f"{FORMAT}:{digest.hexdigest()[:16]}"

    def check_version(self, found: str, where: str = "weights") -> None:
        """Refuses tokens or weights of other tables.

        Raises:
            WeightsError: `found` is not this vocabulary's version.
        """
        if found != self.version:
            raise WeightsError(
                f"{where}: made with token tables {found!r}, but the vocabulary {self.name!r} of this version of symjax is "
                f"{self.version!r}; token numbers differ, so tokenize the data again and train on them, or use the version of "
                "symjax that made them"
            )

    def tokens_of(self, names: list[str] | tuple[str, ...]) -> np.ndarray:
        """(n,) int32 tokens of element symbols.

        Raises:
            InputError: an element that the vocabulary lacks.
        """
        index = {name: i for i, name in enumerate(self.elements)}
        unknown = [name for name in names if name not in index]
        if unknown:
            raise InputError(
                f"elements outside the vocabulary {self.name!r}: {', '.join(map(str, unknown))}; it has {len(self.elements)}: "
                f"{' '.join(sorted(self.elements, key=lambda name: ATOMIC_NUMBERS[name]))}"
            )
        return np.array([index[name] for name in names], np.int32)

    @cached_property
    def columns(self) -> np.ndarray:
        """(f,) columns of `site_symbols.group_matrices` that differ among `groups`: 97 for "mp20", 99 for "all"."""
        rows = site_symbols.group_matrices()[list(self.groups)]
        return np.flatnonzero((rows != rows[:1]).any(axis=0))

    def start_features(self) -> np.ndarray:
        """(231, f) float32 vectors of 0 and 1 of the space groups, row = number, row 0 zero; those of `groups` differ."""
        return np.ascontiguousarray(site_symbols.group_matrices()[:, self.columns])


@cache
def vocabulary(name: str = "all") -> Vocabulary:
    """A named vocabulary.

    "mp20": the published one of MP-20 (89 elements in pymatgen's order, 72 symbols, 97 columns), which published checkpoints need.
    "all": elements 1 to 94 by atomic number, all 78 symbols, all 230 groups (99 columns).

    Raises:
        InputError: another name.
    """
    symbols = site_symbols.symbols()
    if name == "mp20":
        sites = tuple(symbol for symbol in symbols if symbol not in _MP20_LACKS_SITES)
        groups = tuple(n for n in range(1, NUM_TYPES + 1) if n not in _MP20_LACKS_GROUPS)
        return Vocabulary("mp20", tuple(_MP20_ELEMENTS.split()), sites, groups)
    if name == "all":
        return Vocabulary("all", tuple(SYMBOLS[1:95]), symbols, tuple(range(1, NUM_TYPES + 1)))
    raise InputError(
        f"no vocabulary {name!r}; there are 'mp20' (as published) and 'all' (elements 1 to 94, all positions)"
    )
