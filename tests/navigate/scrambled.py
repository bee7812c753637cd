"""The same crystal given otherwise: another basis, origin, orientation and order of atoms."""

import numpy as np

from symjax.crystals.types import AtomicStructure


def scrambled(structure, seed, rotate=True):
    """A structure in a sheared right-handed basis, turned, shifted, its atoms in another order."""
    rng = np.random.default_rng(seed)
    P = np.eye(3, dtype=int)
    for _ in range(4):
        i, j = rng.choice(3, 2, replace=False)
        P[:, i] += rng.choice([-1, 1]) * P[:, j]
    order = rng.permutation(len(structure.z))
    L = P.T @ structure.L
    if rotate:
        Q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        L = L @ (Q * np.sign(np.linalg.det(Q))).T
    x = (structure.x[order] + rng.random(3)) @ np.linalg.inv(P).T
    return AtomicStructure(L=L, z=structure.z[order], x=x)
