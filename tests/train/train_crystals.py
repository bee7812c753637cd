"""A small data set made from nothing: six simple structure types, decorated at random, with a volume that follows the radii.

There is something to learn at every stage: anions never meet anions, each structure type has its group and sites, and the volume
is that of touching spheres.
"""

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.elements import COVALENT_RADII
from symjax.groups.tables import standard_setting
from symjax.lattice import log_from_lattice
from symjax.wyckoff.set_table import build_set_table

CATIONS, ANIONS, BIG = (3, 11, 12, 20, 22, 26, 30, 40), (8, 9, 16, 17, 34, 35), (37, 38, 55, 56)
# group, axial ratio c/a (None: cubic), orbits as (role, representative)
KINDS = (
    (225, None, (("cation", (0, 0, 0)), ("anion", (0.5, 0.5, 0.5)))),
    (221, None, (("cation", (0, 0, 0)), ("anion", (0.5, 0.5, 0.5)))),
    (216, None, (("cation", (0, 0, 0)), ("anion", (0.25, 0.25, 0.25)))),
    (221, None, (("big", (0.5, 0.5, 0.5)), ("cation", (0, 0, 0)), ("anion", (0.5, 0, 0)))),
    (186, 1.63, (("cation", (1 / 3, 2 / 3, 0.0)), ("anion", (1 / 3, 2 / 3, 0.38)))),
    (136, 0.65, (("cation", (0, 0, 0)), ("anion", (0.305, 0.305, 0)))),
)


def _locate(table, index, point):
    """Position of a point among a set's positions, and an equivalent point on the representative flat."""
    mask = table.mask[index]
    W, w = table.W[index][mask], table.w[index][mask] / 24
    orbit = np.einsum("nij,j->ni", W, point) + w
    for p in np.nonzero(table.pos_mask[index])[0]:
        stab = table.pos_stab[index, p][mask]
        for x in orbit:
            for shift in np.ndindex(3, 3, 3):
                y = x % 1 + np.asarray(shift) - 1
                free = table.pos_basis[index, p][:, : table.pos_dof[index, p]]
                u = np.linalg.lstsq(free, y - table.pos_x0[index, p], rcond=None)[0] if free.size else np.zeros(0)
                flat = table.pos_x0[index, p] + (free @ u if free.size else 0)
                fixed = (np.abs(np.einsum("nij,j->ni", W[stab], y) + w[stab] - y) < 1e-9).all()
                if np.abs(flat - y).max() < 1e-9 and fixed:
                    return p, y
    raise AssertionError(f"no position for {point}")


def crystals(num, seed=0):
    """A data set of `num` crystals."""
    rng = np.random.default_rng(seed)
    numbers = sorted({kind[0] for kind in KINDS})
    table = build_set_table([standard_setting(n) for n in numbers])
    places = [[_locate(table, numbers.index(g), np.asarray(x, float)) for _, x in orbits] for g, _, orbits in KINDS]
    roles = {"cation": CATIONS, "anion": ANIONS, "big": BIG}
    fields = {name: [] for name in ("set_index", "k", "orbit_z", "orbit_pos", "orbit_x", "counts", "formula")}
    for _ in range(num):
        kind = rng.integers(len(KINDS))
        group, ratio, orbits = KINDS[kind]
        index = numbers.index(group)
        elements = [int(rng.choice(roles[role])) for role, _ in orbits]
        multiplicity = [int(table.pos_mult[index, p]) for p, _ in places[kind]]
        volume = 9.0 * sum(m * COVALENT_RADII[z] ** 3 for m, z in zip(multiplicity, elements)) * rng.uniform(0.97, 1.03)
        if ratio is None:
            lattice = np.eye(3) * volume ** (1 / 3)
        else:
            hexagonal = table.frame[index] == 1
            a = (volume / ratio / (np.sqrt(0.75) if hexagonal else 1.0)) ** (1 / 3)
            second = [-a / 2, a * np.sqrt(0.75), 0] if hexagonal else [0, a, 0]
            lattice = np.array([[a, 0, 0], second, [0, 0, ratio * a]])
        fields["set_index"].append(index)
        fields["k"].append(np.asarray(log_from_lattice(lattice, table.frame[index])))
        fields["orbit_z"] += elements
        fields["orbit_pos"] += [p for p, _ in places[kind]]
        fields["orbit_x"] += [x for _, x in places[kind]]
        fields["counts"].append(len(orbits))
        fields["formula"].append("-".join(map(str, elements)))
    start = np.concatenate([[0], np.cumsum(fields["counts"])]).astype(np.int64)
    return CrystalDataset(
        sets=table,
        set_index=np.asarray(fields["set_index"], np.int32),
        k=np.asarray(fields["k"]),
        orbit_start=start,
        orbit_z=np.asarray(fields["orbit_z"], np.int16),
        orbit_pos=np.asarray(fields["orbit_pos"], np.int16),
        orbit_x=np.asarray(fields["orbit_x"]),
        ids=np.asarray([str(i) for i in range(num)]),
        formula=np.asarray(fields["formula"]),
        row=np.arange(num),
    )
