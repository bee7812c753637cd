"""What can be asked of sampled Wyckoff representations, in tokens, and whether it can be met (host)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symjax.errors import InputError
from symjax.generate.masks import Masks
from symjax.generate.sites import position_indices
from symjax.models.wyckoff_transformer.tokens import MAX_SITES, tables
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
from symjax.wyckoff.types import positions_of_type


@dataclass(frozen=True)
class Conditions:
    """What is asked of every sample, in tokens of a vocabulary.

    Attributes:
        allowed: (V,) bool elements that may be drawn; None for all. Service tokens are never drawn by it.
        required: (V,) bool elements that must occur; None for none.
        prefix: (p, 3) int tokens (element, site, enum) of the sites that are given; they come first in every sample.
        formula: atomic number -> count; the crystal's content is a whole multiple of it. None for any.
        min_sites, max_sites: bounds of the number of sites, given ones included.
    """

    allowed: np.ndarray | None = None
    required: np.ndarray | None = None
    prefix: np.ndarray | None = None
    formula: dict[int, int] | None = None
    min_sites: int = 1
    max_sites: int = MAX_SITES

    @property
    def free(self) -> bool:
        """Whether nothing is asked for that only masked sampling can meet."""
        nothing = (self.allowed, self.required, self.formula)
        return all(one is None for one in nothing) and (self.min_sites, self.max_sites) == (1, MAX_SITES)


def check_conditions(conditions: Conditions, number: np.ndarray, vocabulary: Vocabulary, masked: bool) -> np.ndarray:
    """The given sites `(p, 3)` int32 of conditions that every one of some space groups `(b,)` can meet.

    Raises:
        InputError: what is asked for cannot be met in one of the space groups.
    """
    if not masked and not conditions.free:
        raise InputError(
            "unmasked sampling is the published one and takes no elements and no number of sites; leave masks on"
        )
    given = (
        np.zeros((0, 3), np.int32)
        if conditions.prefix is None
        else np.asarray(conditions.prefix, np.int32).reshape(-1, 3)
    )
    least, most = conditions.min_sites, conditions.max_sites
    if not 1 <= least <= most <= MAX_SITES or len(given) > most:
        raise InputError(
            f"{least} to {most} sites with {len(given)} given: bounds within 1 to {MAX_SITES} that hold the given ones are needed"
        )
    for group in np.unique(number):
        _check_prefix(given, int(group), vocabulary)
    required = (
        np.zeros(vocabulary.sizes[0], bool) if conditions.required is None else np.asarray(conditions.required, bool)
    )
    allowed = np.ones(vocabulary.sizes[0], bool) if conditions.allowed is None else np.asarray(conditions.allowed, bool)
    names = np.array([*vocabulary.elements, "MASK", "STOP", "PAD"])
    if (required & ~allowed).any():
        raise InputError(f"required elements that are not allowed: {', '.join(names[required & ~allowed])}")
    if len(given) and not allowed[given[:, 0]].all():
        raise InputError(
            f"given orbits hold elements that are not allowed: {', '.join(names[given[~allowed[given[:, 0]], 0]])}"
        )
    if not allowed[: vocabulary.names[0]].any():
        raise InputError("no element is allowed")
    needed = len(set(np.flatnonzero(required)) - set(given[:, 0].tolist()))
    if needed > most - len(given):
        raise InputError(
            f"{needed} more elements are required ({', '.join(names[required])}), but only {most - len(given)} more sites are open"
        )
    return given


def _check_prefix(given: np.ndarray, number: int, vocabulary: Vocabulary) -> None:
    """Refuse given sites that no crystal of the group can have."""
    known, sizes = tables(vocabulary), vocabulary.names
    if (given < 0).any() or (given >= np.array(sizes)).any():
        raise InputError(f"given orbits: tokens below {sizes} are needed, got {given.tolist()}")
    position = known.position[number, given[:, 1], given[:, 2]]
    if (position < 0).any():
        wrong = given[int(np.argmax(position < 0))]
        raise InputError(
            f"given orbits: space group {number} has no position of site symmetry {vocabulary.sites[wrong[1]]} with enumeration "
            f"{int(wrong[2])}"
        )
    fixed = known.freedom[number, given[:, 1], given[:, 2]] == 0
    values, count = np.unique(position[fixed], return_counts=True)
    if (count > 1).any():
        twice = int(values[count > 1][0])
        at = position == twice
        name = positions_of_type(number).label[twice]
        atoms = ", ".join(vocabulary.elements[token] for token in given[at][:, 0])
        raise InputError(
            f"given orbits: position {name} of space group {number} has no free coordinate and holds one orbit, but {atoms} are "
            "given there"
        )


def conditions_of(masks: Masks, vocabulary: Vocabulary) -> Conditions:
    """The conditions that a request sets.

    Raises:
        InputError: an element or a site symmetry outside the vocabulary, or a position that the group lacks.
    """
    request = masks.request
    least, most = (1, MAX_SITES) if request.orbits is None else (request.orbits, request.orbits)
    closed = request.elements or request.allow
    required = (*request.elements, *request.include)
    return Conditions(
        allowed=element_mask(closed, vocabulary) if closed else None,
        required=element_mask(required, vocabulary) if required else None,
        prefix=prefix_tokens(request.sites, request.groups[0], vocabulary) if request.sites else None,
        formula=masks.formula,
        min_sites=least,
        max_sites=most,
    )


def element_mask(names: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
    """`(V,)` bool element tokens of symbols.

    Raises:
        InputError: an element outside the vocabulary.
    """
    mask = np.zeros(vocabulary.sizes[0], bool)
    mask[vocabulary.tokens_of(list(names))] = True
    return mask


def prefix_tokens(orbits: Sequence[tuple[str, str]], number: int, vocabulary: Vocabulary) -> np.ndarray:
    """`(p, 3)` tokens of given orbits, each an element's symbol and a Wyckoff position such as ``4a`` or ``a``.

    Raises:
        InputError: an element outside the vocabulary, a letter that the group lacks, another multiplicity than the position's, or a
            position whose site symmetry is outside the vocabulary.
    """
    known = tables(vocabulary)
    element = vocabulary.tokens_of([name for name, _ in orbits])
    positions = position_indices(orbits, number)
    out = np.zeros((len(orbits), 3), np.int32)
    for i, ((name, text), position) in enumerate(zip(orbits, positions, strict=True)):
        site, enum = int(known.site[number, position]), int(known.enum[number, position])
        if site == vocabulary.pad[1]:
            raise InputError(
                f"given orbit {name}:{text}: the vocabulary {vocabulary.name!r} has no token for the site symmetry of position "
                f"{positions_of_type(number).label[position]} of space group {number}"
            )
        out[i] = element[i], site, enum
    return out
