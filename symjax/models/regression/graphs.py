"""Crystals as graphs of their orbits, for invariant networks: the full periodic multigraph, or the asymmetric unit alone.

Nodes are orbits. In an invariant network all atoms of an orbit carry the same features at every layer, so the multigraph over all
atoms of a cell is computed on one atom of each orbit, exactly: edges start at the orbit of the neighbour, and the mean over atoms
is the mean over orbits weighted by their multiplicities. Neighbours of one orbit at one distance are one edge with a count.

`multigraph`: neighbours within `cutoff`, the nearest `num_neighbours` of them; a smooth envelope vanishes at the cutoff, or at the
distance of the last neighbour where there are more, so that a shell cut in two breaks no symmetry. (The published table takes
CrystalNN's bonds.) `asymmetric`, as published: all ordered pairs of different representatives (the atoms nearest to the centre of
the cell) without periodic images, so distances depend on the choice of the cell and are not the shortest; the mean is over
representatives, so multiplicities are not seen; a crystal with one orbit, which has no pair, keeps its multigraph.

Source: SymmCD (Levy et al., arXiv 2502.03638), ICLR version, table 8, and the public code. Distances in angstrom. Host, numpy.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, NamedTuple

import numpy as np

from symjax.data.asymmetric_units import AsymmetricUnits, asymmetric_units
from symjax.data.dataset import CrystalDataset
from symjax.wyckoff.representatives import move

KINDS = ("multigraph", "asymmetric")
_SAME = 1e-4  # distances that agree to this many angstrom are one
_MAX_REACH = 12  # cells searched along one axis at most; only a degenerate cell needs more


@dataclasses.dataclass(frozen=True)
class GraphOptions:
    """Which graph; every field stands in `configs/formation_energy.py` with its meaning."""

    graph: str
    cutoff: float
    num_neighbours: int


class Graphs(NamedTuple):
    """Padded graphs of b crystals, m orbits, e edges into each orbit.

    Attributes:
        z: (b, m) int32 atomic numbers, 0 where padded.
        share: (b, m) float32 weight of each node in the mean over the crystal; sums to one.
        site: (b, m, 15) int32 site-symmetry classes (`symjax.wyckoff.oriented.SITE_CLASSES`).
        sender: (b, m, e) int32 node that an edge starts from.
        distance: (b, m, e) float32 angstrom.
        weight: (b, m, e) float32 number of neighbours times envelope, 0 where padded.
    """

    z: Any
    share: Any
    site: Any
    sender: Any
    distance: Any
    weight: Any


class Edges(NamedTuple):
    """Edges of one crystal, sorted by receiver, sender and distance: four arrays (n,)."""

    receiver: np.ndarray
    sender: np.ndarray
    distance: np.ndarray
    weight: np.ndarray


@dataclasses.dataclass(frozen=True)
class CrystalGraphs:
    """Graphs of c crystals, not padded yet.

    Attributes:
        nodes: the representatives.
        share: (c, m) weights of the mean.
        edges: of each crystal.
    """

    nodes: AsymmetricUnits
    share: np.ndarray
    edges: list[Edges]

    @property
    def num_orbits(self) -> np.ndarray:
        """(c,) nodes of each crystal."""
        return np.asarray(self.nodes.num_orbits)

    @property
    def num_edges(self) -> np.ndarray:
        """(c,) largest number of edges into one node."""
        return np.array([np.bincount(e.receiver, minlength=1).max() for e in self.edges], int)

    def pad(self, rows: np.ndarray, num_orbits: int, num_edges: int) -> Graphs:
        """Crystals `rows` with so many nodes, and so many edges into each (they must suffice)."""
        part = self.nodes.take(rows, num_orbits)
        shape = (len(rows), num_orbits, num_edges)
        sender, distance, weight = np.zeros(shape, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for i, row in enumerate(rows):
            e = self.edges[row]
            counts = np.bincount(e.receiver, minlength=num_orbits)
            at = (i, e.receiver, np.arange(len(e.receiver)) - (np.cumsum(counts) - counts)[e.receiver])
            sender[at], distance[at], weight[at] = e.sender, e.distance, e.weight
        share = np.zeros((len(rows), num_orbits), np.float32)
        width = min(num_orbits, self.share.shape[1])
        share[:, :width] = self.share[rows, :width]
        return Graphs(part.z, share, part.site.astype(np.int32), sender, distance, weight)


def build_graphs(data: CrystalDataset, options: GraphOptions) -> CrystalGraphs:
    """Graphs of a prepared data set.

    Raises:
        InputError: what `symjax.data.asymmetric_units.asymmetric_units` refuses.
    """
    nodes = asymmetric_units(data)
    mask = np.asarray(nodes.mask)
    asymmetric = options.graph == "asymmetric"
    mult = np.zeros(mask.shape)
    mult[mask] = 1 if asymmetric else data.sets.pos_mult[data.orbit_set, data.orbit_pos]
    lattices, num_orbits = data.lattices(), data.num_orbits
    edges = []
    for i, lattice in enumerate(lattices):
        if asymmetric and num_orbits[i] > 1:
            edges.append(_pairs(lattice, nodes.x[i, mask[i]]))
            continue
        orbits = slice(data.orbit_start[i], data.orbit_start[i + 1])
        atoms, owner = _atoms(data, int(data.set_index[i]), orbits)
        edges.append(neighbours(lattice, data.orbit_x[orbits], atoms, owner, options=options))
    return CrystalGraphs(nodes, mult / np.maximum(mult.sum(axis=1, keepdims=True), 1), edges)


def _atoms(data: CrystalDataset, index: int, orbits: slice) -> tuple[np.ndarray, np.ndarray]:
    """Fractional coordinates (a, 3) of all atoms of a cell, and the orbit (a,) each belongs to."""
    images = np.asarray(data.sets.pos_images[index])[data.orbit_pos[orbits]]
    owner, slot = np.nonzero(images >= 0)
    points = data.orbit_x[orbits][owner]
    return move(data.sets, np.full(len(owner), index), images[owner, slot], points), owner


def _pairs(lattice: np.ndarray, x: np.ndarray) -> Edges:
    """All ordered pairs of different points, as they lie in the cell."""
    receiver, sender = np.nonzero(~np.eye(len(x), dtype=bool))
    distance = np.linalg.norm((x[sender] - x[receiver]) @ lattice, axis=-1)
    return Edges(receiver, sender, distance, np.ones(len(distance)))


def neighbours(
    lattice: np.ndarray, points: np.ndarray, atoms: np.ndarray, owner: np.ndarray, *, options: GraphOptions
) -> Edges:
    """Edges of the periodic multigraph into some points, exact for every cell.

    Args:
        lattice: (3, 3) rows a, b, c in angstrom.
        points: (m, 3) fractional; each is an atom.
        atoms: (a, 3) fractional, all atoms of the cell.
        owner: (a,) node that each atom belongs to.
        options: cutoff and number of neighbours.
    """
    difference = atoms[None] - points[:, None]
    difference -= np.round(difference)
    # an image n cells off lies at least n - 1/2 plane spacings away
    reach = np.floor(options.cutoff * np.linalg.norm(np.linalg.inv(lattice), axis=0) + 0.5).astype(int)
    cells = np.array(list(itertools.product(*(range(-r, r + 1) for r in np.minimum(reach, _MAX_REACH)))), float)
    vectors = (difference @ lattice)[:, :, None] + cells @ lattice
    distance = np.sqrt((vectors**2).sum(axis=-1))
    found = []
    for i, row in enumerate(distance):
        atom, cell = np.nonzero((row < options.cutoff) & (row > _SAME))
        length = row[atom, cell]
        end = options.cutoff
        if len(length) >= options.num_neighbours:
            end = np.partition(length, options.num_neighbours - 1)[options.num_neighbours - 1]
        inside = length < end - _SAME
        # neighbours of one orbit in one bin of distance are one edge
        keys, counts = np.unique(
            np.stack([owner[atom[inside]], np.rint(length[inside] / _SAME).astype(int)], axis=1),
            axis=0,
            return_counts=True,
        )
        mean = keys[:, 1] * _SAME
        weight = counts * (1.0 - (mean / end) ** 4) ** 2
        found.append((np.full(len(keys), i), keys[:, 0], mean, weight))
    return Edges(*(np.concatenate(column) for column in zip(*found)))
