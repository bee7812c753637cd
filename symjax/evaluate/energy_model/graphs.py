"""Crystals as the graphs that CDVAE's property models read: CrystalNN's bonds in both directions, and pairs of adjoining ones.

An edge goes from atom j to atom i with the vector from i to that image of j. A triplet is an edge k to j followed by an edge j to i
with k and i different atoms of the cell (images of one atom count as the same one, as in the published code, so predictions depend
a little on the cell: it is the Niggli-reduced cell of the crystal as given, which is the published choice).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from symjax.crystals.io.convert import from_pymatgen, to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError


class Graph(NamedTuple):
    """One crystal of n atoms, e edges and t triplets.

    Attributes:
        z: (n,) atomic numbers.
        source: (e,) atom j that an edge comes from.
        target: (e,) atom i that it goes to.
        vector: (e, 3) from i to j, angstrom.
        before: (t,) edge k to j of each triplet.
        after: (t,) edge j to i of each triplet.
    """

    z: np.ndarray
    source: np.ndarray
    target: np.ndarray
    vector: np.ndarray
    before: np.ndarray
    after: np.ndarray


def bonds(cell: AtomicStructure) -> dict[str, Any]:
    """The stage: the Niggli-reduced cell and its bonds by CrystalNN.

    Returns:
        ``lattice`` rows, ``z``, ``x``, and ``edges``: [i, j, image of j], each bond once.

    Raises:
        InputError: no structure, or CrystalNN fails.
    """
    from symjax.evaluate.fingerprints import check_size

    structure = to_pymatgen(cell).get_reduced_structure()
    check_size(structure, np.arange(len(structure)))
    found: set[tuple[int, ...]] = set()
    for i in range(len(structure)):
        for j, image in _neighbours(structure, i):
            one, back = (i, j, *image), (j, i, *(-n for n in image))
            found.add(min(one, back))
    reduced = from_pymatgen(structure)
    edges = [list(edge) for edge in sorted(found)]
    return {"lattice": reduced.L.tolist(), "z": reduced.z.tolist(), "x": reduced.x.tolist(), "edges": edges}


def _neighbours(structure: Any, index: int) -> list[tuple[int, tuple[int, ...]]]:
    """Atom and image of the neighbours that CrystalNN counts; the search is widened once where it fails, as published."""
    import warnings

    reason = ""
    for reach in (7, 10):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter(
                "ignore"
            )  # about oxidation states, which the published evaluation does not give either
            try:
                near = _crystal_nn(reach).get_nn_info(structure, index)
            except MemoryError:
                raise
            except Exception as error:  # it fails in several ways
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
                continue
        return [(int(entry["site_index"]), tuple(int(n) for n in entry["image"])) for entry in near]
    raise InputError(f"CrystalNN failed for atom {index}: {reason}")


@cache
def _crystal_nn(reach: int) -> Any:
    from pymatgen.analysis.local_env import CrystalNN

    return CrystalNN(distance_cutoffs=None, x_diff_weight=-1, porous_adjustment=False, search_cutoff=reach)


def graph(row: dict[str, Any]) -> Graph:
    """The graph of a crystal from what `bonds` gave.

    Raises:
        InputError: no atom has a bond.
    """
    L, x = np.array(row["lattice"], float), np.array(row["x"], float)
    edges = np.array(row["edges"], np.int64).reshape(-1, 5)
    if not len(edges):
        raise InputError("CrystalNN found no bond")
    i, j, image = edges[:, 0], edges[:, 1], edges[:, 2:]
    target, source = np.concatenate([i, j]), np.concatenate([j, i])
    away = x[source] - x[target] + np.concatenate([image, -image])
    # Edges into each atom, side by side: for each edge all that end where it starts.
    order = np.argsort(target, kind="stable")
    counts = np.bincount(target, minlength=len(x))
    starts = np.concatenate([[0], np.cumsum(counts)])
    many = counts[source]
    after = np.repeat(np.arange(len(source)), many)
    step = np.arange(len(after)) - np.repeat(np.cumsum(many) - many, many)
    before = order[starts[source[after]] + step]
    keep = source[before] != target[after]
    return Graph(np.array(row["z"], np.int64), source, target, away @ L, before[keep], after[keep])


class Batch(NamedTuple):
    """Several graphs one after the other, padded; see `Graph`. Padded edges end nowhere, padded atoms are in no crystal.

    Attributes:
        z: (n,) atomic numbers.
        crystal: (n,) crystal of each atom.
        source: (e,).
        target: (e,).
        distance: (e,) angstrom.
        cosine: (t,) of the angle between the two vectors of a triplet.
        before: (t,).
        after: (t,).
    """

    z: Any
    crystal: Any
    source: Any
    target: Any
    distance: Any
    cosine: Any
    before: Any
    after: Any


CRYSTALS = 32
"""Crystals of a batch at most."""
ATOMS, EDGES, TRIPLETS = 64, 512, 4096
"""Sizes of the smallest batch; others are 4, 16, ... times as large, so that few programs are compiled."""


def batches(graphs: Sequence[Graph]) -> list[tuple[list[int], Batch]]:
    """Graphs in batches of bounded size, with the places of their members."""
    most = tuple(16 * size for size in (ATOMS, EDGES, TRIPLETS))
    groups: list[list[int]] = []
    total = np.zeros(3, np.int64)
    for place, one in enumerate(graphs):
        sizes = np.array([len(one.z), len(one.source), len(one.before)])
        if not groups or len(groups[-1]) == CRYSTALS or (total + sizes > most).any():
            groups.append([])
            total = np.zeros(3, np.int64)
        groups[-1].append(place)
        total = total + sizes
    return [(group, _joined([graphs[place] for place in group])) for group in groups]


def _joined(graphs: Sequence[Graph]) -> Batch:
    atoms, edges, triplets = (sum(len(one[field]) for one in graphs) for field in (0, 1, 4))
    scale = 1
    while atoms > scale * ATOMS or edges > scale * EDGES or triplets > scale * TRIPLETS:
        scale *= 4
    n, e, t = scale * ATOMS, scale * EDGES, scale * TRIPLETS
    first = np.cumsum([0] + [len(one.z) for one in graphs])
    start = np.cumsum([0] + [len(one.source) for one in graphs])
    vector = np.concatenate([one.vector for one in graphs])
    distance = np.linalg.norm(vector, axis=1)
    before = np.concatenate([one.before + at for one, at in zip(graphs, start)])
    after = np.concatenate([one.after + at for one, at in zip(graphs, start)])
    cosine = (vector[before] * vector[after]).sum(axis=1) / (distance[before] * distance[after])

    def padded(values: np.ndarray, size: int, fill: float, dtype: type) -> np.ndarray:
        return np.concatenate([values, np.full(size - len(values), fill)]).astype(dtype)

    crystal = np.repeat(np.arange(len(graphs)), [len(one.z) for one in graphs])
    return Batch(
        z=padded(np.concatenate([one.z for one in graphs]), n, 0, np.int32),
        crystal=padded(crystal, n, CRYSTALS, np.int32),
        source=padded(np.concatenate([one.source + at for one, at in zip(graphs, first)]), e, 0, np.int32),
        target=padded(np.concatenate([one.target + at for one, at in zip(graphs, first)]), e, n, np.int32),
        distance=padded(distance, e, 1.0, np.float64),
        cosine=padded(np.clip(cosine, -1, 1), t, 0.0, np.float32),
        before=padded(before, t, 0, np.int32),
        after=padded(after, t, e, np.int32),
    )
