"""Equivalent Wyckoff representations: the same crystal with another choice of origin and axes.

Owns `Variants` (tables for jitted augmentation), `draw_variants`, `all_variants` and the canonical form of a representation. The
permutations of positions come from `symjax.wyckoff.normalizer`.

A permutation moves positions, and the site symmetry AND the enumeration follow from the new position. The published code keeps the
old site symmetry and changes the enumeration alone, which is wrong where a permutation takes a position to one of another oriented
symbol (26 orthorhombic groups; in nine of them the result is an inequivalent representation). ``faithful=True`` does as published.
Source: WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text; later arXiv 2503.02407), section 3.1.

The permutations of a group are a group themselves, so a permutation drawn uniformly gives each distinct representation of a crystal
with equal probability (orbit and stabilizer): nothing needs to be made distinct before drawing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from symjax.errors import InputError
from symjax.models.wyckoff_transformer.tokens import Tokens, tables
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
from symjax.wyckoff.normalizer import MAX_PERMUTATIONS, permutation_table

Array = Any  # numpy or jax array

_CHUNK = 4096


@flax.struct.dataclass
class Variants:
    """Equivalent positions of all groups, and what tokens they have in one vocabulary; rows = space-group number.

    Attributes:
        permutation: (231, 48, 27) int8, position i goes to permutation[number, v, i]; the identity for v = 0 and where padded.
        count: (231,) int32 distinct permutations.
        site: (231, 27) int32 and enum: (231, 27) int32, tokens of each position.
    """

    permutation: Array
    count: Array
    site: Array
    enum: Array


def variants(vocabulary: Vocabulary) -> Variants:
    """The tables of a vocabulary; host arrays, to be given to jitted functions as data."""
    known = tables(vocabulary)
    permutation, count = permutation_table()
    return Variants(permutation=permutation, count=count, site=known.site, enum=known.enum)


def apply_variant(variants: Variants, tokens: Tokens, index: Array, *, faithful: bool = False) -> Tokens:
    """Tokens with the positions of each crystal permuted; jit-able.

    Args:
        variants: tables of the tokens' vocabulary.
        tokens: c crystals.
        index: (c,) which permutation of its group, 0 to count - 1; 0 changes nothing.
        faithful: keep the old site symmetry, as published (static).
    """
    xp = np if isinstance(tokens.pos, np.ndarray) and isinstance(index, np.ndarray) else jnp
    table = {name: xp.asarray(getattr(variants, name)) for name in ("permutation", "site", "enum")}
    old = xp.maximum(tokens.pos, 0)
    number = tokens.number[:, None]
    new = table["permutation"][number, index[:, None], old]
    return replace(
        tokens,
        pos=xp.where(tokens.mask, new, -1).astype(xp.int16),
        site=tokens.site if faithful else xp.where(tokens.mask, table["site"][number, new], tokens.site),
        enum=xp.where(tokens.mask, table["enum"][number, new], tokens.enum),
    )


def draw_variants(variants: Variants, key: Array, tokens: Tokens, *, faithful: bool = False) -> Tokens:
    """One equivalent representation of each crystal, all equally likely; jit-able, arguments as `apply_variant`."""
    count = jnp.asarray(variants.count)[tokens.number]
    index = jnp.floor(jax.random.uniform(key, count.shape) * count).astype(jnp.int32)
    return apply_variant(variants, tokens, jnp.minimum(index, count - 1), faithful=faithful)


def all_variants(tokens: Tokens, row: int, vocabulary: Vocabulary, *, faithful: bool = False) -> Tokens:
    """All distinct representations of one crystal with its sites in their order, the given one first (host).

    Args:
        tokens: host arrays.
        row: which crystal.
        vocabulary: the tokens' vocabulary.
        faithful: as published, see `apply_variant`.

    Returns:
        Tokens of v crystals. Distinct sequences: two that differ by the order of equal elements are the same multiset twice.

    Raises:
        InputError: no such row.
    """
    if not 0 <= row < len(tokens):
        raise InputError(f"row {row} of tokens of {len(tokens)} crystals")
    known = variants(vocabulary)
    count = int(known.count[tokens.number[row]])
    found = apply_variant(known, tokens.take(np.full(count, row)), np.arange(count), faithful=faithful)
    _, first = np.unique(np.concatenate([found.site, found.enum], axis=1), axis=0, return_index=True)
    return found.take(np.sort(first))


def count_variants(tokens: Tokens) -> np.ndarray:
    """(c,) int32 distinct sequences of positions of each crystal under its normalizer (host)."""
    permutation, count = permutation_table()
    out = np.zeros(len(tokens), np.int32)
    for rows in _chunks(len(tokens)):
        images = _images(np.asarray(tokens.number)[rows], np.asarray(tokens.pos)[rows], permutation)
        kept = (
            (images == images[:, :1]).all(axis=2).sum(axis=1)
        )  # permutations that change nothing, the padding among them
        total = count[np.asarray(tokens.number)[rows]]
        out[rows] = total // (kept - (MAX_PERMUTATIONS - total))
    return out


def canonical(number: Array, z: Array, pos: Array, *, normalize: bool = True) -> np.ndarray:
    """One form for all equivalent representations, whatever their order of sites (host).

    Args:
        number: (c,) space groups.
        z: (c, m) atomic numbers, 0 = no site.
        pos: (c, m) positions.
        normalize: least over the normalizer; otherwise sorted only.

    Returns:
        (c, m) int16: the codes 32 z + pos of the sites, descending, of that equivalent representation for which they are least. Two
        crystals of one group have equal rows exactly if they are the same multiset of (element, position) up to the normalizer.
    """
    number, z, pos = (np.asarray(a, np.int64) for a in (number, z, pos))
    permutation, count = permutation_table()
    out = np.zeros(z.shape, np.int16)
    for rows in _chunks(len(z)):
        size = int(count[number[rows]].max()) if normalize else 1
        images = _images(number[rows], np.where(z[rows] > 0, pos[rows], -1), permutation[:, :size])
        codes = np.where(z[rows, None] > 0, 32 * z[rows, None] + images, 0).astype(np.int16)
        codes = -np.sort(-codes, axis=2)
        alive = np.ones(codes.shape[:2], bool)
        for column in range(codes.shape[2]):  # lexicographic minimum, column by column
            least = np.where(alive, codes[:, :, column], np.iinfo(np.int16).max).min(axis=1, keepdims=True)
            alive &= codes[:, :, column] == least
        out[rows] = codes[np.arange(len(codes)), alive.argmax(axis=1)]
    return out


def fingerprints(number: Array, z: Array, pos: Array) -> list[bytes]:
    """Hashable canonical form of each crystal: equal exactly for equivalent Wyckoff representations; arguments as `canonical`."""
    rows = canonical(number, z, pos)
    lengths = (rows > 0).sum(axis=1)
    return [
        int(n).to_bytes(2, "little") + row[:length].tobytes()
        for n, row, length in zip(np.asarray(number).tolist(), rows, lengths.tolist(), strict=True)
    ]


def _chunks(num: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, num)) for start in range(0, num, _CHUNK)]


def _images(number: np.ndarray, pos: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """(c, v, m) int16 positions under every permutation, -1 where there is no site."""
    moved = permutation[
        number[:, None, None], np.arange(permutation.shape[1])[None, :, None], np.maximum(pos, 0)[:, None, :]
    ]
    return np.where(pos[:, None, :] < 0, -1, moved).astype(np.int16)
