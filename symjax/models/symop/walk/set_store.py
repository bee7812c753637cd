"""Sets of operations met while training or sampling: merging tables and building those of new sets once."""

from __future__ import annotations

import dataclasses

import numpy as np

from symjax.groups.tables import vocabulary
from symjax.wyckoff.set_table import SetTable, build_set_table

_KNOWN: dict[bytes, SetTable] = {}  # one-row tables by packed membership; a process meets a few hundred sets


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
    import jax

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
    import jax

    return concatenate([first, jax.tree.map(lambda leaf: np.asarray(leaf)[np.array(new)], second)]), index


def table_of_members(members: np.ndarray) -> SetTable:
    """Table of closed sets given as membership rows `(s, v)` bool; sets met before are not built again."""
    vocab = vocabulary()
    keys = [np.packbits(row).tobytes() for row in members]
    for key, row in zip(keys, members, strict=True):
        if key not in _KNOWN:
            _KNOWN[key] = build_set_table([vocab.opset(np.nonzero(row)[0])])
    return concatenate([_KNOWN[key] for key in keys])
