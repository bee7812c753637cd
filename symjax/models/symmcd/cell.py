"""The unit-cell variant: SymmCD's network on all atoms of the conventional cell, in substance DiffCSP.

Owns `represent_cells` (host, numpy). Same space-group features, lattice coefficients with the family's mask, atom types and
coordinates; no site symmetries in input, output and loss, and nothing is projected: the space group is only a condition, and a
generated crystal has the operations that its atoms happen to have. It is written with the identity as its only operation. Chosen
by `model.symmcd.site_symmetry = False` (`configs/symmcd.py:small,atoms=cell`). Source: SymmCD (Levy et al., arXiv 2502.03638),
table 4.
"""

from __future__ import annotations

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.models.symmcd.representation import Representation, represent
from symjax.wyckoff.representatives import move


def represent_cells(data: CrystalDataset, *, num_atoms: int | None = None) -> Representation:
    """All atoms of the conventional cells, orbit by orbit, in the arrays that `represent` fills with one atom an orbit.

    `site` is 0 and `pos` -1 everywhere: the variant sees neither.

    Args:
        data: crystals in the standard settings.
        num_atoms: slots; default the largest count.

    Raises:
        InputError: a crystal has more atoms than slots, or what `represent` refuses.
    """
    orbits = represent(data)
    images = np.asarray(data.sets.pos_images)[data.orbit_set, data.orbit_pos]
    orbit, column = np.nonzero(images >= 0)
    crystal = data.orbit_crystal[orbit]
    counts = np.bincount(crystal, minlength=len(data))
    slot = np.arange(len(crystal)) - (np.cumsum(counts) - counts)[crystal]
    num, slots = len(data), int(counts.max(initial=1))
    z, x = np.zeros((num, slots), np.int32), np.zeros((num, slots, 3))
    z[crystal, slot] = data.orbit_z[orbit]
    x[crystal, slot] = move(data.sets, data.orbit_set[orbit], images[orbit, column], data.orbit_x[orbit])
    cells = Representation(
        number=orbits.number,
        k=orbits.k,
        z=z,
        x=x,
        site=np.zeros((num, slots, 15), np.int8),
        pos=np.full((num, slots), -1, np.int16),
        mask=np.arange(slots) < counts[:, None],
    )
    return cells.take(np.arange(num), num_atoms)
