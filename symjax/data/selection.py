"""Part of a prepared data set: by chemical system, space group, size. Arrays only."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import InputError
from symjax.groups.symbols import crystal_system


@dataclasses.dataclass(frozen=True)
class Selection:
    """What crystals must be; None or empty means nothing, all that is given must hold.

    Attributes:
        within: symbols; no other elements occur (a chemical system with its subsystems).
        elements: symbols; exactly these occur.
        include: symbols; at least these occur.
        groups: space-group numbers; one of them.
        crystal_system: such as ``cubic``.
        atoms: least and largest number of atoms in the primitive cell; None for no limit.
        orbits: the same of orbits.
    """

    within: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    crystal_system: str | None = None
    atoms: tuple[int | None, int | None] = (None, None)
    orbits: tuple[int | None, int | None] = (None, None)

    def __post_init__(self) -> None:
        """Refuse what is no element or no range."""
        for name in (*self.within, *self.elements, *self.include):
            if name not in ATOMIC_NUMBERS:
                raise InputError(f"unknown element {name!r}; symbols look like Li, O, Sr")
        for what, (low, high) in (("atoms", self.atoms), ("orbits", self.orbits)):
            if low is not None and high is not None and low > high:
                raise InputError(f"at least {low} and at most {high} {what}: no crystal has both")


def select(dataset: CrystalDataset, wanted: Selection, numbers: np.ndarray | None = None) -> CrystalDataset:
    """The crystals that are wanted, in order.

    Args:
        dataset: prepared crystals.
        wanted: what they must be.
        numbers: (c,) space-group number of each, needed where groups are asked for (`symjax.evaluate.symmetry.group_numbers`).

    Returns:
        the part, with ``selected`` in its `meta`.

    Raises:
        InputError: no crystal is left; the message says which demand left none.
    """
    keep = np.ones(len(dataset), bool)
    for what, mask in _masks(dataset, wanted, numbers):
        if (keep := keep & mask).any():
            continue
        raise InputError(f"no crystal of {len(dataset)} is left: {what} leaves none ({int(mask.sum())} have it alone)")
    part = dataset.subset(keep)
    asked = {k: v for k, v in dataclasses.asdict(wanted).items() if v not in (None, (), (None, None))}
    return dataclasses.replace(part, meta=dict(part.meta) | {"selected": asked, "selected_from": len(dataset)})


def _masks(dataset: CrystalDataset, wanted: Selection, numbers: np.ndarray | None) -> list[tuple[str, np.ndarray]]:
    present = _elements(dataset)
    masks: list[tuple[str, Any]] = []
    z = lambda names: np.array([ATOMIC_NUMBERS[name] for name in names], int)
    for what, names, closed, all_of in (
        ("no elements but", wanted.within, True, False),
        ("exactly the elements", wanted.elements, True, True),
        ("among the elements", wanted.include, False, True),
    ):
        if not names:
            continue
        mask = np.ones(len(dataset), bool)
        if closed:
            mask &= ~np.delete(present, z(names), axis=1).any(axis=1)
        if all_of:
            mask &= present[:, z(names)].all(axis=1)
        masks.append((f"{what} {', '.join(names)}", mask))
    if wanted.groups or wanted.crystal_system:
        if numbers is None:
            raise InputError("groups are asked for: give the space-group number of each crystal")
        if wanted.groups:
            masks.append((f"space group {', '.join(map(str, wanted.groups))}", np.isin(numbers, _list(wanted.groups))))
        if wanted.crystal_system:
            of = np.array([crystal_system(int(n)) if n else "" for n in numbers])
            masks.append((f"crystal system {wanted.crystal_system}", of == wanted.crystal_system))
    centring = np.asarray(dataset.sets.mask & (np.asarray(dataset.sets.W) == np.eye(3, dtype=int)).all(axis=(-1, -2)))
    atoms = dataset.num_atoms // np.maximum(centring.sum(axis=1), 1)[dataset.set_index]
    for what, values, (low, high) in (("atoms", atoms, wanted.atoms), ("orbits", dataset.num_orbits, wanted.orbits)):
        if low is not None:
            masks.append((f"at least {low} {what}", values >= low))
        if high is not None:
            masks.append((f"at most {high} {what}", values <= high))
    return masks


def _elements(dataset: CrystalDataset) -> np.ndarray:
    """(c, 119) bool which elements occur."""
    present = np.zeros((len(dataset), 119), bool)
    present[dataset.orbit_crystal, dataset.orbit_z] = True
    return present


def _list(values: Collection[int]) -> list[int]:
    return [int(value) for value in values]
