"""Wyckoff words: which positions of which group a crystal occupies, free of the arbitrary choice of origin.

A *template* is a space-group number with the multiset of Wyckoff letters, one for each orbit; a *gene* carries the element of each
orbit too. Letters depend on the origin and axes chosen: operations of the normalizer permute them. The canonical word is the least
of its images under those permutations (`symjax.wyckoff.normalizer`), so one crystal has one word. Two orbits on one letter
are two entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from symjax.errors import InputError
from symjax.groups.tables import wyckoff_letters
from symjax.wyckoff.normalizer import normalizer
from symjax.wyckoff.types import positions_of_type


class Position(NamedTuple):
    """A Wyckoff position: multiplicity in the conventional cell, free coordinates."""

    multiplicity: int
    freedom: int


@cache
def positions(number: int) -> dict[str, Position]:
    """Letter -> position, of a space group in its standard setting."""
    known = positions_of_type(number)
    columns = (known.multiplicity.tolist(), known.dof.tolist())
    return {letter: Position(n, dof) for letter, n, dof in zip(wyckoff_letters(number), *columns, strict=True)}


@cache
def relabellings(number: int) -> tuple[dict[str, str], ...]:
    """The permutations of letters under the normalizer, the identity first."""
    letters = wyckoff_letters(number)
    return tuple(
        {letter: letters[image] for letter, image in zip(letters, permutation, strict=True)}
        for permutation in normalizer(number).permutations.tolist()
    )


def template(number: int, orbits: Sequence[Sequence[Any]], *, canonical: bool = True) -> tuple[Any, ...]:
    """(number, sorted letters), the elements left out.

    Args:
        number: space-group number; 0 (search failed) gives an empty word.
        orbits: (atomic number, letter) of each orbit.
        canonical: least word over the normalizer; otherwise the letters as they are, as the published code has it.
    """
    return _word(number, tuple(("", str(letter)) for _, letter in orbits), canonical)


def gene(number: int, orbits: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """(number, sorted (element, letter)): the canonical word with elements."""
    return _word(number, tuple((f"{int(z):03d}", str(letter)) for z, letter in orbits), True)


def freedoms(number: int, orbits: Sequence[Sequence[Any]]) -> list[int]:
    """Free coordinates of each orbit (the dimension of its Wyckoff position, 0 to 3).

    Raises:
        InputError: a letter that the group does not have.
    """
    if number == 0:
        return []
    table = positions(number)
    unknown = [letter for _, letter in orbits if letter not in table]
    if unknown:
        raise InputError(
            f"space group {number} has no Wyckoff position {unknown[0]!r}; it has {', '.join(sorted(table))}"
        )
    return [table[letter].freedom for _, letter in orbits]


@cache
def _word(number: int, orbits: tuple[tuple[str, str], ...], canonical: bool) -> tuple[Any, ...]:
    if number == 0:
        return (0,)
    maps = relabellings(number) if canonical else ({},)
    return (
        number,
        *min(tuple(sorted((element, move.get(letter, letter)) for element, letter in orbits)) for move in maps),
    )
