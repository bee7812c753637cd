"""Arrays that follow from a data set and that one model needs: registered by it, made on demand, kept in the file when asked.

A model registers a name, a function and a version at import. `values` gives the array: the one the data set keeps if its version is
the registered one, else a new one. `keep` puts arrays into a data set, whose `save` then stores them and their versions, so that
they need not be made again. A file that keeps none, or keeps those of another version, is read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError

VERSIONS = "derived"  # field of `CrystalDataset.meta`: name -> version of each array that is kept
_FIRST = 1  # version of arrays in files from before versions were stored


class Derived(NamedTuple):
    """One kind of derived array.

    Attributes:
        make: data set of o orbits -> `(o, ...)` array.
        version: raised whenever `make` gives other numbers for the same data.
    """

    make: Callable[[CrystalDataset], np.ndarray]
    version: int


_KINDS: dict[str, Derived] = {}


def register(name: str, make: Callable[[CrystalDataset], np.ndarray], version: int = _FIRST) -> None:
    """Enter a derived array; done by a model when it is imported.

    Raises:
        InputError: the name is taken by another function or version.
    """
    entry = Derived(make, version)
    if _KINDS.get(name, entry) != entry:
        raise InputError(f"derived array {name!r} is already registered, version {_KINDS[name].version}")
    _KINDS[name] = entry


def names() -> tuple[str, ...]:
    """Names registered so far."""
    return tuple(sorted(_KINDS))


def values(data: CrystalDataset, name: str) -> np.ndarray:
    """`(o, ...)` array of a registered name: kept with the data set, or made now.

    Raises:
        InputError: nothing of that name is registered.
    """
    if name not in _KINDS:
        raise InputError(
            f"no derived array {name!r}; registered are: {', '.join(names()) or 'none'} (import the model)"
        )
    if name in data.derived and data.meta.get(VERSIONS, {}).get(name, _FIRST) == _KINDS[name].version:
        return data.derived[name]
    return np.asarray(_KINDS[name].make(data))


def keep(data: CrystalDataset, wanted: Iterable[str]) -> CrystalDataset:
    """The data set with these arrays, and their versions, kept in it.

    Raises:
        InputError: a name is not registered.
    """
    made = {name: values(data, name) for name in wanted}
    versions = data.meta.get(VERSIONS, {}) | {name: _KINDS[name].version for name in made}
    return replace(data, derived=data.derived | made, meta=data.meta | {VERSIONS: versions})
