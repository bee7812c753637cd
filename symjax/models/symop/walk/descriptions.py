"""The descriptions of space-group types inside the vocabulary, and the type of any closed set in it (no spglib).

One type has many descriptions as a set of vocabulary operations modulo a conventional cell: other axes, other origins, and
cells that no table has (R3m on the axes of a primitive cube). All closed sets inside the 230 standard settings are packaged
with their types and conjugacy classes (`descriptions.npz`, made by `scripts/make_descriptions.py`). No order or label of
them enters the network, which sees operations only: the list says what may be trained on, and which sets meet a demand.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from symjax.errors import SymjaxError
from symjax.generate.masks import setting_members
from symjax.groups.packaged import NUM_TYPES, arrays
from symjax.groups.properties import point_group
from symjax.groups.setting import find_setting
from symjax.groups.tables import enantiomorph, standard_setting, vocabulary
from symjax.models.symop.walk.contexts import set_key


@cache
def _packaged() -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, int]]:
    """(d, v) bool sets, (d,) types, (d,) classes, and the type by key of one set of each class."""
    data, size = arrays("models/symop/walk/descriptions"), vocabulary().size
    rows = np.unpackbits(data["packed"], axis=-1)[:, :size].astype(bool)
    numbers, classes = data["number"].astype(int), data["class"].astype(int)
    first = np.unique(classes, return_index=True)[1]
    return rows, numbers, classes, {set_key(rows[i]): int(numbers[i]) for i in first}


@cache
def descriptions_of(number: int) -> np.ndarray:
    """(d, v) bool every packaged description of a type, conjugate ones included; the standard setting comes first."""
    rows, numbers, _, _ = _packaged()
    standard = setting_members(number)
    mine = rows[numbers == number]
    return np.concatenate([standard[None], mine[(mine != standard).any(1)]])


def described(members: np.ndarray, *, held_out: int = 0) -> np.ndarray:
    """(d, v) bool descriptions of the type of a set `(v,)` bool: the set as it is, then those of its type that are not
    conjugate to it.

    Args:
      held_out: leave out every how many-th of the others; 0 for none.
    """
    found = {set_key(members): members}
    for row in descriptions_of(type_of(members)):
        key = set_key(row)
        if key not in found and not (held_out and key % held_out == 0):
            found[key] = row
    return np.stack(list(found.values()))


_types: dict[bytes, int] = {}


def type_of(members: np.ndarray) -> int:
    """Space-group number of a closed set `(v,)` bool, from its operations.

    Known up to conjugation, it is looked up by what conjugation leaves alone; handedness, and sets that lie inside no
    standard setting, are settled by the search for a change of basis (`symjax.groups.setting.find_setting`).

    Raises:
        NotAGroupError: the set does not close.
    """
    members = np.array(members, bool)
    vocab = vocabulary()
    if members[vocab.identity].all():  # the identity alone, no frame settled
        return 1
    packed = np.packbits(members).tobytes()
    if packed not in _types:
        found = _packaged()[3].get(set_key(members))
        if found is None:
            opset = vocab.opset(np.flatnonzero(members))
            numbers = _of_point_group(point_group(np.unique(opset.W, axis=0))[0])
            found = find_setting(opset, numbers=numbers).number
        elif enantiomorph(found) != found:
            opset = vocab.opset(np.flatnonzero(members))
            found = find_setting(opset, numbers=(found, enantiomorph(found))).number
        _types[packed] = found
    return _types[packed]


def _of_point_group(symbol: str) -> tuple[int, ...]:
    numbers = tuple(
        n for n in range(1, NUM_TYPES + 1) if point_group(np.unique(standard_setting(n).W, axis=0))[0] == symbol
    )
    if not numbers:
        raise SymjaxError(f"no space group has the point group {symbol}")
    return numbers
