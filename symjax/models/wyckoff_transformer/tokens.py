"""Crystals as Wyckoff representations: a space group and a multiset of (element, site symmetry, enumeration).

Owns `Tokens`, `tokenize` (from a prepared data set), `decode` (back to elements and positions, with the reason where a sample is
no representation) and `Tables` (which token goes with which in each group). The names of tokens are in `vocabulary.py`, equivalent
representations in `variants.py`.

Conventions. Positions are indexed as in `symjax.wyckoff.positions.wyckoff_positions(standard_setting(number))`. Arrays over
groups have 231 rows, row = space-group number, row 0 empty. Data hold no STOP and no MASK; slots past the last site hold PAD.
Source: WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text; later arXiv 2503.02407), sections 3.1 and 4.1, and the
public code for the order in which samples are rejected.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import flax.struct
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.elements import symbol
from symjax.errors import InputError
from symjax.groups.tables import NUM_TYPES
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary, vocabulary
from symjax.wyckoff.set_table import standard_numbers
from symjax.wyckoff.types import MAX_POSITIONS, type_positions

__all__ = [
    "MAX_SITES",
    "REASONS",
    "Decoded",
    "Tables",
    "Tokens",
    "Vocabulary",
    "decode",
    "fits",
    "tables",
    "tokenize",
    "vocabulary",
]

Array = Any  # numpy or jax array

MAX_SITES = 20
"""Sites of the largest crystal of MP-20; a sampler has one more slot, for STOP."""

OK, HAS_PAD, HAS_MASK, NO_POSITION, OCCUPIED_TWICE, EMPTY = range(6)
REASONS = (
    "valid",
    "PAD before STOP",
    "MASK before STOP",
    "no such position in the space group",
    "position without free coordinates occupied twice",
    "no site",
)
"""Why a sample is no representation, by the codes of `decode`."""


@flax.struct.dataclass
class Tokens:
    """c crystals of at most m sites.

    Attributes:
        number: (c,) int32 space group, 1 to 230.
        element, site, enum: (c, m) int32 tokens of the vocabulary; PAD where padded.
        mask: (c, m) bool real sites; they come first.
        pos: (c, m) int16 index of the position, -1 where padded.
    """

    number: Array
    element: Array
    site: Array
    enum: Array
    mask: Array
    pos: Array

    def __len__(self) -> int:
        """Crystals."""
        return len(self.number)

    def take(self, index: Any) -> Tokens:
        """The crystals at an index (integers, slice or boolean mask)."""
        fields = ("number", "element", "site", "enum", "mask", "pos")
        return Tokens(**{name: getattr(self, name)[index] for name in fields})


@dataclass(frozen=True)
class Tables:
    """Which tokens go together in each group, for S site and E enumeration tokens (service tokens included, never allowed).

    Attributes:
        site_ok: (231, S) bool, the group has a position of this site symmetry.
        enum_ok: (231, S, E) bool, and one of this enumeration.
        position: (231, S, E) int16 that position, -1 if none.
        freedom: (231, S, E) int8 its free coordinates, 0 if none.
        multiplicity: (231, S, E) int16 its points in the conventional cell, 0 if none.
        site: (231, 27) int32 and enum: (231, 27) int32, the tokens of each position; PAD where the group has no such position or
            the vocabulary no such symbol.
        num_positions: (231,) int32.
    """

    site_ok: np.ndarray
    enum_ok: np.ndarray
    position: np.ndarray
    freedom: np.ndarray
    multiplicity: np.ndarray
    site: np.ndarray
    enum: np.ndarray
    num_positions: np.ndarray


@cache
def tables(vocabulary: Vocabulary) -> Tables:
    """The tables of a vocabulary (host arrays, built once; do not write into them)."""
    _, num_sites, num_enum = vocabulary.sizes
    shape = (NUM_TYPES + 1, num_sites, num_enum)
    out = Tables(
        site_ok=np.zeros(shape[:2], bool),
        enum_ok=np.zeros(shape, bool),
        position=np.full(shape, -1, np.int16),
        freedom=np.zeros(shape, np.int8),
        multiplicity=np.zeros(shape, np.int16),
        site=np.full((NUM_TYPES + 1, MAX_POSITIONS), vocabulary.pad[1], np.int32),
        enum=np.full((NUM_TYPES + 1, MAX_POSITIONS), vocabulary.pad[2], np.int32),
        num_positions=np.zeros(NUM_TYPES + 1, np.int32),
    )
    known = type_positions()
    site = np.where(known.mask, vocabulary.site_tokens[known.symbol], -1)
    number, pos = np.nonzero((site >= 0) & (known.enumeration < vocabulary.num_enum))
    at = (number, site[number, pos], known.enumeration[number, pos])
    out.site_ok[at[:2]] = True
    out.enum_ok[at] = True
    out.position[at] = pos
    out.freedom[at], out.multiplicity[at] = known.dof[number, pos], known.multiplicity[number, pos]
    out.site[number, pos], out.enum[number, pos] = at[1:]
    out.num_positions[:] = known.mask.sum(axis=1)
    return out


def fits(data: CrystalDataset, vocabulary: Vocabulary, max_sites: int = MAX_SITES) -> np.ndarray:
    """(c,) bool crystals that `tokenize` takes: standard setting, known elements and positions, few enough sites."""
    number = standard_numbers(data.sets)[data.set_index]
    crystal = data.orbit_crystal
    site = tables(vocabulary).site[number[crystal], data.orbit_pos]
    wrong = (vocabulary.element_tokens[data.orbit_z] < 0) | (site == vocabulary.pad[1])
    return (
        (number > 0) & (data.num_orbits <= max_sites) & (np.bincount(crystal, weights=wrong, minlength=len(data)) == 0)
    )


def tokenize(data: CrystalDataset, vocabulary: Vocabulary, max_sites: int = MAX_SITES) -> Tokens:
    """Wyckoff representations of a prepared data set (host arrays, (c, max_sites)).

    Sites stand in the order of the data set's orbits, which means nothing.

    Raises:
        InputError: a crystal is in no standard setting, has more sites, or has an element or a position that the vocabulary lacks
            (it is named; `fits` finds the crystals that can be used).
    """
    number = standard_numbers(data.sets)[data.set_index]
    crystal = data.orbit_crystal
    element = vocabulary.element_tokens[data.orbit_z]
    known = tables(vocabulary)
    site, enum = (table[number[crystal], data.orbit_pos] for table in (known.site, known.enum))
    _refuse(
        data, number == 0, "its set of operations is no standard setting; prepare the data with `symjax data prepare`"
    )
    _refuse(data, data.num_orbits > max_sites, f"it has more than {max_sites} sites")
    _refuse(data, _any_of(element < 0, crystal, len(data)), _lacks(data, vocabulary, element < 0))
    _refuse(
        data,
        _any_of(site == vocabulary.pad[1], crystal, len(data)),
        f"it occupies a position whose site symmetry the vocabulary {vocabulary.name!r} lacks; use the vocabulary 'all'",
    )
    slot = np.arange(len(crystal)) - data.orbit_start[crystal]
    shape = (len(data), max_sites)
    out = [np.full(shape, pad, np.int32) for pad in vocabulary.pad]
    for array, values in zip(out, (element, site, enum), strict=True):
        array[crystal, slot] = values
    pos, mask = np.full(shape, -1, np.int16), np.zeros(shape, bool)
    pos[crystal, slot], mask[crystal, slot] = data.orbit_pos, True
    return Tokens(number=number.astype(np.int32), element=out[0], site=out[1], enum=out[2], mask=mask, pos=pos)


def _any_of(wrong: np.ndarray, crystal: np.ndarray, num: int) -> np.ndarray:
    """(c,) bool crystals with an orbit of which something is wrong."""
    return np.bincount(crystal, weights=wrong, minlength=num) > 0


def _lacks(data: CrystalDataset, vocabulary: Vocabulary, wrong: np.ndarray) -> str:
    names = ", ".join(symbol(z) for z in np.unique(data.orbit_z[wrong]))
    return f"elements outside the vocabulary {vocabulary.name!r} of {len(vocabulary.elements)}: {names}"


def _refuse(data: CrystalDataset, wrong: np.ndarray, why: str) -> None:
    """Names the first crystal of which something is wrong."""
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(
            f"crystal {str(data.ids[first])!r} (row {int(data.row[first])}): {why} ({int(wrong.sum())} such crystals)"
        )


@dataclass(frozen=True)
class Decoded:
    """b sampled sequences as elements at positions.

    Attributes:
        number: (b,) int32 space group.
        z: (b, t) int32 atomic numbers, 0 = no site; all 0 in a rejected row.
        pos: (b, t) int32 index of the position, 0 where there is no site.
        reason: (b,) int8 code of `REASONS`; 0 is valid.
        stopped: (b,) bool, a STOP was drawn (sequences without one are taken as they are).
    """

    number: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    reason: np.ndarray
    stopped: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(b,) bool."""
        return self.reason == OK

    def counts(self) -> dict[str, int]:
        """How many sequences were valid, or rejected for which reason; the sum is all that were attempted."""
        return {name: int((self.reason == code).sum()) for code, name in enumerate(REASONS)}


def decode(number: Any, element: Any, site: Any, enum: Any, *, vocabulary: Vocabulary) -> Decoded:
    """Sampled tokens to elements at positions; the published rules of formal validity.

    A sequence ends at the first slot with STOP in any field. The first site that offends decides, and for each site in this order:
    PAD in any field; MASK in any field; (site symmetry, enumeration) that the group does not have; a position without free
    coordinates that an earlier site of any element occupies. Then sequences without a site.

    Args:
        number: (b,) space groups, 1 to 230.
        element, site, enum: (b, t) tokens.
        vocabulary: whose tokens they are.

    Raises:
        InputError: shapes disagree, a number is no space group, or a token is outside the vocabulary.
    """
    number = np.asarray(number, np.int32)
    fields = [np.asarray(a, np.int64) for a in (element, site, enum)]
    _check_sampled(number, fields, vocabulary)
    stop, pad, mask = (_in_any(fields, row) for row in (vocabulary.stop, vocabulary.pad, vocabulary.mask))
    ended = np.cumsum(stop, axis=1) > 0
    known = tables(vocabulary)
    at = (number[:, None], fields[1], fields[2])
    position, freedom = known.position[at].astype(np.int32), known.freedom[at]
    same = (position[:, :, None] == position[:, None, :]) & ~ended[:, None, :]
    twice = (np.tril(same, -1).any(axis=2)) & (freedom == 0)
    code = np.select([pad, mask, position < 0, twice], [HAS_PAD, HAS_MASK, NO_POSITION, OCCUPIED_TWICE], OK)
    code[ended] = OK
    first = (code != OK).argmax(axis=1)
    reason = code[np.arange(len(code)), first]
    reason[ended[:, 0]] = EMPTY
    real = ~ended & (reason == OK)[:, None]
    return Decoded(
        number=number,
        z=np.where(real, vocabulary.atomic_numbers[fields[0]], 0),
        pos=np.where(real, position, 0),
        reason=reason.astype(np.int8),
        stopped=ended[:, -1],
    )


def _in_any(fields: list[np.ndarray], service: tuple[int, int, int]) -> np.ndarray:
    """(b, t) bool slots with a service token in any field."""
    found = np.stack([field == token for field, token in zip(fields, service, strict=True)])
    return np.asarray(found.any(axis=0))


def _check_sampled(number: np.ndarray, fields: list[np.ndarray], vocabulary: Vocabulary) -> None:
    shapes = [field.shape for field in fields]
    if number.ndim != 1 or len(set(shapes)) != 1 or len(shapes[0]) != 2 or shapes[0][0] != len(number):
        raise InputError(f"decode needs number (b,) and three arrays (b, t) of tokens; got {number.shape} and {shapes}")
    if number.size and not (1 <= number.min() and number.max() <= NUM_TYPES):
        wrong = number[(number < 1) | (number > NUM_TYPES)][0]
        raise InputError(f"a space-group number is an integer from 1 to {NUM_TYPES}, got {int(wrong)}")
    for name, field, size in zip(("element", "site", "enum"), fields, vocabulary.sizes, strict=True):
        if field.size and not (0 <= field.min() and field.max() < size):
            raise InputError(
                f"{name} tokens run from {int(field.min())} to {int(field.max())}, but the vocabulary {vocabulary.name!r} has "
                f"{size} (0 to {size - 1}): tokens of another table version"
            )
