"""Makes symjax/wyckoff/oriented.npz: site symmetries of the 1,731 Wyckoff positions and elements of the 230 space groups.

Run: python scripts/make_site_symmetry.py [--out PATH]. Deterministic: the same pyxtal gives the same bytes. Needs pyxtal 1.1.

What comes from pyxtal (its `symmetry` functions) and what from operations:
  first     operation that takes our flat of each position to the copy that the International Tables list first (pyxtal)
  site      (1731, 15) classes of the first copy, from operations, in the conventions of symjax.wyckoff.oriented
  pyxtal    (1731, 15) the same as pyxtal 1.1.5 gives it: ITS order of classes and ITS slots, kept for comparison
  elements  (231, 390) bits, element kinds as pyxtal names them, at the directions of symjax.wyckoff.oriented
  letter    lattice letter of each group (pyxtal)
  listed    operations of the first block of the International Tables (pyxtal's list without centring copies)
Rows of one group stand in the order of `wyckoff_positions(standard_setting(number))`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from make_tables import write_table

from symjax.groups.sets import OpSet
from symjax.groups.tables import standard_setting
from symjax.ops import geometry
from symjax.wyckoff.orbits import place
from symjax.wyckoff.oriented import ELEMENT_KINDS, direction_slots, oriented_stabilizer, site_symmetry
from symjax.wyckoff.positions import WyckoffPositions, wyckoff_positions

COPIES = {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "R": 3, "F": 4}


def first_copy(opset: OpSet, positions: WyckoffPositions, position: int, point: np.ndarray) -> int:
    """The lowest operation that takes our flat of a position to the copy that holds a generic point of it."""
    dof = int(positions.dof[position])
    W, w = opset.W.astype(float), opset.w / opset.den
    back = np.linalg.solve(W, (point - w)[..., None])[..., 0]
    offset = (back - positions.x0[position]) @ positions.annihilator[position, : 3 - dof].T
    return int(np.flatnonzero((np.abs(offset - np.rint(offset)) < 1e-6).all(axis=-1))[0])


def sites(group: Any, opset: OpSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """first (p,), site (p, 15) and pyxtal's own (p, 15) of one group."""
    positions = wyckoff_positions(opset)
    first, own = np.zeros(len(positions), np.uint8), np.full((len(positions), 15), -1, np.int8)
    free = np.random.default_rng(0).random(3)
    for one in group.Wyckoff_positions:
        point = one.ops[0].operate(free)
        images = opset.W @ point + opset.w / opset.den
        position = place(positions, images, multiplicity=int(one.multiplicity))[0]
        first[position] = first_copy(opset, positions, position, point)
        own[position] = one.get_site_symmetry_object().to_one_hot().argmax(axis=1)
    if (own < 0).any():
        raise ValueError(f"group {group.number}: not every position was found")
    site = [site_symmetry(oriented_stabilizer(opset.W, s, int(g))) for s, g in zip(positions.stab, first)]
    return first, np.array(site), own


def elements(group: Any, opset: OpSet) -> tuple[np.ndarray, np.ndarray]:
    """(15, 26) bool elements by pyxtal's symbols at our directions, and (l,) the operations they belong to."""
    listed = []
    matrices = [op.affine_matrix for op in group.get_wyckoff_position(0).ops]
    for matrix in matrices[: len(matrices) // COPIES[group.symbol[0]]]:
        W, w = np.rint(matrix[:3, :3]).astype(int), np.rint(matrix[:3, 3] * opset.den).astype(int) % opset.den
        found = np.flatnonzero((opset.W == W).all(axis=(1, 2)) & (opset.w % opset.den == w).all(axis=1))
        listed.append(int(found[0]))
    analysed = group.get_spg_symmetry_object().opas
    slots = direction_slots(geometry.axis_data(opset.W[listed].astype(np.int64))[1])
    out = np.zeros((15, 26), bool)
    out[:, 0] = True
    for one, slot in zip(analysed, slots, strict=True):
        if one.type == "inversion":
            out[:, 1] = True
        elif one.type != "identity":
            out[slot, ELEMENT_KINDS.index(one.symbol)] = True
    return out, np.array(listed, np.uint8)


def build() -> dict[str, np.ndarray]:
    """All arrays."""
    from pyxtal.symmetry import Group

    rows, matrices, letters = [], [np.zeros(390, np.uint8)], [""]
    start, listed_start, listed = [0, 0], [0, 0], []
    for number in range(1, 231):
        group, opset = Group(number), standard_setting(number)
        rows.append(sites(group, opset))
        start.append(start[-1] + len(rows[-1][0]))
        matrix, operations = elements(group, opset)
        matrices.append(matrix.ravel().astype(np.uint8))
        listed.append(operations)
        listed_start.append(listed_start[-1] + len(operations))
        letters.append(group.symbol[0])
    first, site, own = (np.concatenate(part) for part in zip(*rows, strict=True))
    return {
        "start": np.array(start, np.int32),
        "first": first,
        "site": site,
        "pyxtal": own,
        "elements": np.packbits(np.array(matrices), axis=1),
        "letter": np.array(letters),
        "listed_start": np.array(listed_start, np.int32),
        "listed": np.concatenate(listed),
    }


if __name__ == "__main__":
    write_table(
        "wyckoff/oriented",
        __doc__,
        build,
        lambda a: f"{len(a['site'])} positions of {len(a['letter']) - 1} space groups",
    )
