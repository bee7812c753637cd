"""Many sets of operations stacked and padded, with their positions and lattice projectors: what models and data read.

Owns `SetTable`, building one from operation sets (host) and its flat arrays for files. Every set must be orthogonal in one of
the two reference frames (all conventional settings are) and have translations in 24ths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np

from symjax._later import jax, pytree
from symjax.errors import InputError
from symjax.groups.sets import OpSet, members
from symjax.groups.tables import NUM_TYPES, standard_setting, vocabulary
from symjax.lattice import choose_frame, k_projector
from symjax.ops.types import DEN
from symjax.wyckoff.positions import wyckoff_positions

Array = Any  # numpy or jax array


@pytree
class SetTable:
    """s sets of at most n operations and p positions, padded at the end.

    Attributes:
        W: (s, n, 3, 3) int32 rotation parts; identity as padding.
        w: (s, n, 3) int32 translations in 24ths; 0 as padding.
        mask: (s, n) bool members.
        frame: (s,) int32 reference frame of the set, 0 orthonormal and 1 hexagonal.
        vocab: (s, n) int32 vocabulary index of each operation in that frame; 800 for padding and for unknown ones.
        k_projector: (s, 6, 6) float64 onto the log-lattice coefficients that the set leaves free.
        pos_mask: (s, p) bool real positions.
        pos_stab: (s, p, n) bool operations that fix the position's flat.
        pos_x0: (s, p, 3) float64 and pos_basis: (s, p, 3, 3) float64: points x0 + basis @ u, integer columns, first dof used.
        pos_dof: (s, p) int32.
        pos_mult: (s, p) int32 points of the orbit in the cell; 0 as padding.
        pos_images: (s, p, n) int32 operation indices of coset representatives, -1 as padding.
    """

    W: Array
    w: Array
    mask: Array
    frame: Array
    vocab: Array
    k_projector: Array
    pos_mask: Array
    pos_stab: Array
    pos_x0: Array
    pos_basis: Array
    pos_dof: Array
    pos_mult: Array
    pos_images: Array

    def __len__(self) -> int:
        """Number of sets."""
        return len(self.frame)

    @property
    def num_ops(self) -> Array:
        """(s,) operations of each set."""
        return self.mask.sum(axis=-1)

    @property
    def num_centrings(self) -> np.ndarray:
        """(s,) lattice points of the conventional cell: operations whose rotation part is the identity (numpy)."""
        identity = (np.asarray(self.W) == np.eye(3, dtype=np.int32)).all((-2, -1))
        return (identity & np.asarray(self.mask)).sum(-1)

    def opset(self, index: int) -> OpSet:
        """One set, unpadded (numpy)."""
        mask = np.asarray(self.mask[index])
        return OpSet(W=np.asarray(self.W[index])[mask], w=np.asarray(self.w[index])[mask], mask=mask[mask], den=DEN)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat name -> numpy array, for an npz file."""
        return {name: np.asarray(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> SetTable:
        """The inverse of `to_arrays`; other names are ignored.

        Raises:
            InputError: an array is missing or its leading sizes disagree with the rest.
        """
        missing = [name for name in _FIELDS if name not in arrays]
        if missing:
            raise InputError(f"not a table of operation sets: arrays {missing} are missing")
        table = cls(**{name: np.asarray(arrays[name]) for name in _FIELDS})
        s, n, p = (*np.shape(table.mask), np.shape(table.pos_mask)[-1])
        expected = {
            "W": (s, n, 3, 3),
            "w": (s, n, 3),
            "frame": (s,),
            "vocab": (s, n),
            "k_projector": (s, 6, 6),
            "pos_mask": (s, p),
            "pos_stab": (s, p, n),
            "pos_x0": (s, p, 3),
            "pos_basis": (s, p, 3, 3),
            "pos_dof": (s, p),
            "pos_mult": (s, p),
            "pos_images": (s, p, n),
        }
        for name, shape in expected.items():
            if np.shape(getattr(table, name)) != shape:
                raise InputError(
                    f"table of operation sets: {name} has shape {np.shape(getattr(table, name))}, expected {shape}"
                )
        return table


_FIELDS = tuple(f.name for f in fields(SetTable))


def build_set_table(opsets: Sequence[OpSet], num_ops: int | None = None, num_positions: int | None = None) -> SetTable:
    """Stacks closed sets with their positions and projectors (host, deterministic).

    Args:
        opsets: single sets, canonical order (the identity first).
        num_ops: operation slots; default the largest set.
        num_positions: position slots; default the largest count.

    Raises:
        InputError: no sets, a set that is too large for the slots, an identity that is not first, translations not in 24ths.
        SymjaxError: a set is orthogonal in neither reference frame, or not closed.
    """
    if not len(opsets):
        raise InputError("a table of operation sets needs at least one set")
    sets = [_in_24ths(members(opset), index) for index, opset in enumerate(opsets)]
    positions = [wyckoff_positions(opset) for opset in sets]
    n = _slots("operations", [len(s.W) for s in sets], num_ops)
    p = _slots("positions", [len(q) for q in positions], num_positions)
    s = len(sets)
    arrays: dict[str, np.ndarray] = {
        "W": np.broadcast_to(np.eye(3, dtype=np.int32), (s, n, 3, 3)).copy(),
        "w": np.zeros((s, n, 3), np.int32),
        "mask": np.zeros((s, n), bool),
        "frame": np.zeros(s, np.int32),
        "vocab": np.full((s, n), vocabulary().size, np.int32),
        "k_projector": np.zeros((s, 6, 6)),
        "pos_mask": np.zeros((s, p), bool),
        "pos_stab": np.zeros((s, p, n), bool),
        "pos_x0": np.zeros((s, p, 3)),
        "pos_basis": np.zeros((s, p, 3, 3)),
        "pos_dof": np.zeros((s, p), np.int32),
        "pos_mult": np.zeros((s, p), np.int32),
        "pos_images": np.full((s, p, n), -1, np.int32),
    }
    for i, (opset, found) in enumerate(zip(sets, positions, strict=True)):
        order, count = len(opset.W), len(found)
        frame = choose_frame(opset.W)
        arrays["W"][i, :order], arrays["w"][i, :order], arrays["mask"][i, :order] = opset.W, opset.w, True
        arrays["frame"][i] = frame
        arrays["vocab"][i, :order] = vocabulary().indices(opset, frame)
        arrays["k_projector"][i] = k_projector(opset.W, None, frame)
        arrays["pos_mask"][i, :count] = True
        arrays["pos_stab"][i, :count, :order], arrays["pos_images"][i, :count, :order] = found.stab, found.images
        arrays["pos_x0"][i, :count], arrays["pos_basis"][i, :count] = found.x0, found.basis
        arrays["pos_dof"][i, :count], arrays["pos_mult"][i, :count] = found.dof, found.multiplicity
    return SetTable(**arrays)


@cache
def _known_sets() -> dict[bytes, int]:
    """Operations of each standard setting, in its order -> number."""
    out = {}
    for number in range(1, NUM_TYPES + 1):
        opset = standard_setting(number)
        out[_key(opset.W, opset.w)] = number
    return out


def _key(W: np.ndarray, w: np.ndarray) -> bytes:
    return np.concatenate([W.reshape(-1, 9), w], axis=1).astype(np.int32).tobytes()


def standard_numbers(sets: SetTable) -> np.ndarray:
    """(s,) int32 space-group number of each set that is a standard setting, operation by operation; 0 for any other."""
    known = _known_sets()
    found = [
        known.get(_key(*(np.asarray(a[i])[np.asarray(sets.mask[i])] for a in (sets.W, sets.w))), 0)
        for i in range(len(sets))
    ]
    return np.array(found, np.int32)


def _in_24ths(opset: OpSet, index: int) -> OpSet:
    """One set with denominator 24, the identity first."""
    scaled = opset.w.astype(np.int64) * DEN
    if (scaled % opset.den).any():
        raise InputError(f"set {index}: translations with denominator {opset.den} are not in 24ths")
    w = (scaled // opset.den % DEN).astype(np.int32)
    if not len(w) or (opset.W[0] != np.eye(3)).any() or w[0].any():
        raise InputError(f"set {index}: the first operation must be the identity (see symjax.groups.canonicalize)")
    return OpSet(W=opset.W, w=w, mask=opset.mask, den=DEN)


def _slots(what: str, counts: list[int], size: int | None) -> int:
    """Slots to use: the largest count, or the size asked for when everything fits."""
    largest = max(counts)
    if size is None:
        return largest
    if size < largest:
        raise InputError(f"set {counts.index(largest)} has {largest} {what}, more than the {size} slots asked for")
    return size


def pad_table(sets: SetTable, num_ops: int, num_positions: int) -> SetTable:
    """The same table with more room for operations and positions (padding as in `build_set_table`)."""
    n, p = num_ops - sets.mask.shape[1], num_positions - sets.pos_mask.shape[1]

    def grow(array: np.ndarray, value: float, **axes: int) -> np.ndarray:
        width = [(0, axes.get(f"axis{i}", 0)) for i in range(array.ndim)]
        return np.pad(np.asarray(array), width, constant_values=value)

    W = grow(sets.W, 0, axis1=n)
    W[:, sets.mask.shape[1] :] = np.eye(3, dtype=W.dtype)
    positions = ("pos_mask", "pos_x0", "pos_basis", "pos_dof", "pos_mult")
    return dataclasses.replace(
        sets,
        W=W,
        w=grow(sets.w, 0, axis1=n),
        mask=grow(sets.mask, False, axis1=n),
        vocab=grow(sets.vocab, vocabulary().size, axis1=n),
        pos_stab=grow(sets.pos_stab, False, axis1=p, axis2=n),
        pos_images=grow(sets.pos_images, -1, axis1=p, axis2=n),
        **{name: grow(getattr(sets, name), 0, axis1=p) for name in positions},
    )


def concatenate(tables: list[SetTable]) -> SetTable:
    """Tables one after another, padded to the largest of each size."""
    num_ops = max(t.mask.shape[1] for t in tables)
    num_positions = max(t.pos_mask.shape[1] for t in tables)
    padded = [pad_table(t, num_ops, num_positions) for t in tables]
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *padded)


def merge_sets(first: SetTable, second: SetTable) -> tuple[SetTable, np.ndarray]:
    """A table that starts with `first` and holds every set of `second`.

    Returns:
      the table, and (s2,) where each set of `second` stands in it. Positions keep their indices: they are a
      deterministic function of the operations.
    """
    size = vocabulary().size
    known = {tuple(row[row < size]): i for i, row in enumerate(np.asarray(first.vocab))}
    rows = [tuple(row[row < size]) for row in np.asarray(second.vocab)]
    new = [i for i, row in enumerate(rows) if row not in known]
    where = {**known, **{rows[i]: len(first.frame) + j for j, i in enumerate(new)}}
    index = np.array([where[row] for row in rows], np.int64)
    if not new:
        return first, index

    return concatenate([first, jax.tree.map(lambda leaf: np.asarray(leaf)[np.array(new)], second)]), index


_KNOWN: dict[bytes, SetTable] = {}  # one-row tables by packed membership; a process meets a few hundred sets


def table_of_members(members: np.ndarray) -> SetTable:
    """Table of closed sets given as membership rows `(s, v)` bool; sets met before are not built again."""
    vocab = vocabulary()
    keys = [np.packbits(row).tobytes() for row in members]
    for key, row in zip(keys, members, strict=True):
        if key not in _KNOWN:
            _KNOWN[key] = build_set_table([vocab.opset(np.nonzero(row)[0])])
    return concatenate([_KNOWN[key] for key in keys])
