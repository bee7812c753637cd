"""A data set of crystals as plain arrays, in one file; numpy only.

Owns the array layout that training, sampling and evaluation read. Crystals are stored as (set of operations, log-lattice
coefficients, orbits): the sets of all crystals stand once in a `symjax.wyckoff.set_table.SetTable`, and each orbit names a
position (a conjugacy class of stabilizers) of its crystal's set and a point lying exactly on that position's flat. Loading a
file imports none of pymatgen, spglib, pyxtal and ase.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.data.files import hash_arrays, load_arrays, save_arrays
from symjax.errors import SymjaxError
from symjax.lattice import lattice_from_log
from symjax.wyckoff.set_table import SetTable, concatenate

FORMAT = 1
_COLUMNS: dict[str, tuple[type, str]] = {  # name -> (dtype, what its first axis counts)
    "set_index": (np.int32, "crystals"),
    "k": (np.float64, "crystals"),
    "orbit_start": (np.int64, "crystals + 1"),
    "orbit_z": (np.int16, "orbits"),
    "orbit_pos": (np.int16, "orbits"),
    "orbit_x": (np.float64, "orbits"),
    "row": (np.int64, "crystals"),
}


@dataclass(frozen=True)
class CrystalDataset:
    """c crystals with o orbits in all, over s sets of operations.

    Attributes:
        sets: the distinct sets of operations and their positions.
        set_index: (c,) int32 into ``sets``.
        k: (c, 6) float64 log-lattice coefficients in the set's frame (see `symjax.lattice`).
        orbit_start: (c + 1,) int64; crystal i owns orbits ``orbit_start[i]:orbit_start[i + 1]``.
        orbit_z: (o,) int16 atomic number.
        orbit_pos: (o,) int16 position of the crystal's set.
        orbit_x: (o, 3) float64 fractional representative, on the position's representative flat.
        ids: (c,) str, as in the source.
        formula: (c,) str, reduced formula.
        row: (c,) int64, zero-based row of the source.
        properties: name -> (c,) float64, NaN where the source has none.
        derived: name -> (o, ...) what follows from the other arrays for each orbit and is kept so as not to be made again (see
            `symjax.data.derived`); may be empty and is not part of the hash.
        meta: what made the file (JSON): source, options, versions, counts, hash.
    """

    sets: SetTable
    set_index: np.ndarray
    k: np.ndarray
    orbit_start: np.ndarray
    orbit_z: np.ndarray
    orbit_pos: np.ndarray
    orbit_x: np.ndarray
    ids: np.ndarray
    formula: np.ndarray
    row: np.ndarray
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    derived: dict[str, np.ndarray] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shapes and ranges, so that a damaged or foreign file is refused at once."""
        num = len(self.set_index)
        orbits = len(self.orbit_z)
        shapes = {
            "k": (num, 6),
            "orbit_start": (num + 1,),
            "orbit_pos": (orbits,),
            "orbit_x": (orbits, 3),
            "ids": (num,),
            "formula": (num,),
            "row": (num,),
        }
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise SymjaxError(
                    f"data set field {name!r} has shape {np.shape(getattr(self, name))}, expected {shape}"
                )
        for name, values in self.properties.items():
            if np.shape(values) != (num,):
                raise SymjaxError(f"property {name!r} has shape {np.shape(values)}, expected {(num,)}")
        for name, values in self.derived.items():
            if np.shape(values)[:1] != (orbits,):
                raise SymjaxError(f"derived array {name!r} has {np.shape(values)[:1]} rows, expected {(orbits,)}")
        if num and (
            self.orbit_start[0] != 0 or self.orbit_start[-1] != orbits or (np.diff(self.orbit_start) < 1).any()
        ):
            raise SymjaxError(
                "data set field 'orbit_start' must rise from 0 to the number of orbits, one orbit at least each"
            )
        if num and not (0 <= self.set_index.min() and self.set_index.max() < self.sets.W.shape[0]):
            raise SymjaxError(f"data set field 'set_index' leaves the table of {self.sets.W.shape[0]} sets")
        if orbits:
            allowed = self.sets.pos_mask.sum(axis=1)[self.orbit_set]
            if (self.orbit_pos < 0).any() or (self.orbit_pos >= allowed).any():
                raise SymjaxError("data set field 'orbit_pos' names a position its set does not have")

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.set_index)

    def __getitem__(self, index: int) -> Crystal:
        """Crystal ``index``, as `crystal`; from the end where it is negative.

        Raises:
            IndexError: there is none of that number (which also ends a loop over the data set).
            TypeError: not a whole number; several crystals are `subset`.
        """
        if isinstance(index, slice | list | tuple | np.ndarray):
            raise TypeError("one crystal is data[3]; several are data.subset([3, 5]), or data.subset(mask)")
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"crystal {place} of a data set of {len(self)}")
        return self.crystal(place)

    def __iter__(self) -> Iterator[Crystal]:
        """The crystals in order."""
        return (self.crystal(index) for index in range(len(self)))

    @property
    def num_orbits(self) -> np.ndarray:
        """(c,) orbits of each crystal."""
        return np.diff(self.orbit_start)

    @property
    def orbit_crystal(self) -> np.ndarray:
        """(o,) the crystal each orbit belongs to."""
        return np.repeat(np.arange(len(self)), self.num_orbits)

    @property
    def orbit_set(self) -> np.ndarray:
        """(o,) the set of operations each orbit belongs to."""
        return np.repeat(self.set_index, self.num_orbits)

    @property
    def num_atoms(self) -> np.ndarray:
        """(c,) atoms in the conventional cell."""
        multiplicity = self.sets.pos_mult[self.orbit_set, self.orbit_pos]
        return np.add.reduceat(multiplicity, self.orbit_start[:-1]) if len(self) else np.zeros(0, int)

    @property
    def num_ops(self) -> np.ndarray:
        """(c,) operations of each crystal."""
        return self.sets.mask.sum(axis=1)[self.set_index]

    def lattices(self) -> np.ndarray:
        """(c, 3, 3) lattices with rows a, b, c, angstrom."""
        return lattice_from_log(self.k, np.asarray(self.sets.frame)[self.set_index])

    def subset(self, indices: Sequence[int] | np.ndarray) -> CrystalDataset:
        """The crystals at ``indices`` (integers or a boolean mask), in that order; the table of sets stays whole."""
        index = _as_indices(indices, len(self))
        counts = self.num_orbits[index]
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        orbit = np.repeat(self.orbit_start[index] - start[:-1], counts) + np.arange(start[-1])
        return replace(
            self,
            set_index=self.set_index[index],
            k=self.k[index],
            orbit_start=start,
            orbit_z=self.orbit_z[orbit],
            orbit_pos=self.orbit_pos[orbit],
            orbit_x=self.orbit_x[orbit],
            ids=self.ids[index],
            formula=self.formula[index],
            row=self.row[index],
            properties={name: values[index] for name, values in self.properties.items()},
            derived={name: values[orbit] for name, values in self.derived.items()},
        )

    def crystal(self, index: int) -> Crystal:
        """Crystal ``index``: its set of operations, lattice and orbits with stabilizers."""
        orbits = self._orbits(index)
        row, table = int(self.set_index[index]), self.sets
        n = int(np.asarray(table.mask[row]).sum())
        return Crystal(
            W=np.asarray(table.W[row])[:n],
            w=np.asarray(table.w[row])[:n],
            L=lattice_from_log(np.asarray(self.k[index]), int(table.frame[row])),
            z=self.orbit_z[orbits],
            x=self.orbit_x[orbits],
            stab=np.asarray(table.pos_stab[row])[self.orbit_pos[orbits], :n],
        )

    def atoms(self, index: int) -> AtomicStructure:
        """All atoms of crystal ``index``, orbit by orbit (`symjax.crystals.types.Crystal.atoms`, with the images of the table)."""
        images = np.asarray(self.sets.pos_images[self.set_index[index]])[self.orbit_pos[self._orbits(index)]]
        return self.crystal(index).atoms(images)

    def all_atoms(self) -> list[AtomicStructure]:
        """The atoms of every crystal."""
        return [self.atoms(index) for index in range(len(self))]

    def _orbits(self, index: int) -> slice:
        """Where the orbits of one crystal stand."""
        index = int(_as_indices([index], len(self))[0])
        return slice(int(self.orbit_start[index]), int(self.orbit_start[index + 1]))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat name -> array, what the file holds besides ``meta``."""
        arrays = {f"sets/{name}": np.asarray(values) for name, values in self.sets.to_arrays().items()}
        arrays |= {name: np.asarray(getattr(self, name), dtype) for name, (dtype, _) in _COLUMNS.items()}
        arrays |= {"ids": np.asarray(self.ids, dtype=np.str_), "formula": np.asarray(self.formula, dtype=np.str_)}
        return arrays | {f"properties/{name}": np.asarray(v, np.float64) for name, v in self.properties.items()}

    def data_hash(self) -> str:
        """SHA-256 of the arrays (not of ``meta``): names the data a model was trained on."""
        return hash_arrays(self.to_arrays())

    def save(self, path: str | Path) -> None:
        """Write one ``.npz`` atomically; the same data set gives the same bytes every time."""
        arrays = self.to_arrays()
        meta = dict(self.meta) | {"format": FORMAT, "data_hash": hash_arrays(arrays)}
        text = json.dumps(meta, sort_keys=True, ensure_ascii=False)
        arrays |= {f"derived/{name}": np.asarray(values) for name, values in self.derived.items()}
        arrays["meta"] = np.frombuffer(text.encode("utf-8"), np.uint8)
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> CrystalDataset:
        """Read a file made by `save`.

        Raises:
            SymjaxError: missing, damaged, or not a prepared data set of this format.
        """
        return _from_arrays(load_arrays(path), path)


def load(path: str | Path) -> CrystalDataset:
    """Read a prepared data set; see `CrystalDataset.load`."""
    return CrystalDataset.load(path)


def joined(parts: Sequence[CrystalDataset]) -> CrystalDataset:
    """Data sets one after another.

    Args:
        parts: at least one. Properties that not all of them have are left out, derived arrays too; `meta` is the first one's.

    Raises:
        SymjaxError: there is none.
    """
    if not parts:
        raise SymjaxError("there is no data set to join")
    if len(parts) == 1:
        return parts[0]
    sets = np.cumsum([0] + [len(part.sets) for part in parts[:-1]])
    orbits = np.cumsum([0] + [len(part.orbit_z) for part in parts[:-1]])
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("k", "orbit_z", "orbit_pos", "orbit_x", "ids", "formula", "row")
    }
    shared = [name for name in parts[0].properties if all(name in part.properties for part in parts)]
    return replace(
        parts[0],
        sets=concatenate([part.sets for part in parts]),
        set_index=np.concatenate([part.set_index + shift for part, shift in zip(parts, sets)]).astype(np.int32),
        orbit_start=np.concatenate(
            [part.orbit_start[:-1] + shift for part, shift in zip(parts, orbits)]
            + [[sum(len(p.orbit_z) for p in parts)]]
        ).astype(np.int64),
        **columns,
        properties={name: np.concatenate([part.properties[name] for part in parts]) for name in shared},
        derived={},
    )


def _from_arrays(arrays: Mapping[str, np.ndarray], path: str | Path) -> CrystalDataset:
    """Assemble a data set from the flat arrays of a file, naming what is missing."""
    missing = sorted({*_COLUMNS, "ids", "formula", "meta"} - set(arrays))
    if missing:
        raise SymjaxError(
            f"{path}: not a prepared data set, arrays {missing} are missing (make one with `symjax data prepare`)"
        )
    try:
        meta = json.loads(arrays["meta"].tobytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SymjaxError(f"{path}: field 'meta' is not JSON ({error})") from error
    if not isinstance(meta, dict):
        raise SymjaxError(f"{path}: field 'meta' is no dictionary")
    if meta.get("format") != FORMAT:
        raise SymjaxError(
            f"{path}: format {meta.get('format')!r}, this version reads format {FORMAT}; prepare the data again"
        )

    def group(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}

    try:
        columns: dict[str, Any] = {
            name: arrays[name].astype(dtype, copy=False) for name, (dtype, _) in _COLUMNS.items()
        }
        return CrystalDataset(
            sets=SetTable.from_arrays(group("sets/")),
            ids=arrays["ids"],
            formula=arrays["formula"],
            properties=group("properties/"),
            derived=group("derived/"),
            meta=meta,
            **columns,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SymjaxError(f"{path}: not a prepared data set of this version ({error})") from error


def _as_indices(indices: Sequence[int] | np.ndarray, num: int) -> np.ndarray:
    """Integer indices from integers or a mask, with a clear error when they leave the data set."""
    index = np.asarray(indices)
    if index.dtype == bool:
        if index.shape != (num,):
            raise SymjaxError(f"a mask over {num} crystals must have shape ({num},), got {index.shape}")
        return np.flatnonzero(index)
    index = index.reshape(-1).astype(np.int64)
    if index.size and not (-num <= index.min() and index.max() < num):
        raise SymjaxError(f"crystal index out of range: {index.min()} .. {index.max()} in a data set of {num}")
    return np.where(index < 0, index + num, index)
