"""Random crystals of known space groups, made without any data file."""

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.groups import standard_setting
from symjax.wyckoff.set_table import build_set_table

GROUPS = (1, 2, 14, 62, 99, 139, 166, 194, 216, 225)


def random_dataset(groups, seed):
    """One crystal for each of ``groups``: a random compatible lattice and two random orbits, the general one among them."""
    generator = np.random.default_rng(seed)
    numbers = sorted(set(groups))
    table = build_set_table([standard_setting(number) for number in numbers])
    set_index = np.array([numbers.index(group) for group in groups], np.int32)
    k, z, pos, x = [], [], [], []
    for row in set_index:
        live = np.asarray(table.mask[row])
        wild = 0.15 * generator.normal(size=6) + np.array([0, 0, 0, 0, 0, 3.9])
        k.append(np.asarray(table.k_projector[row]) @ wild)
        general = int(table.pos_mask[row].sum()) - 1
        for position in (general, int(generator.integers(0, general + 1))):
            free = generator.random(3)
            x.append(table.pos_x0[row, position] + table.pos_basis[row, position] @ free)
            pos.append(position)
            z.append(int(generator.integers(3, 80)))
        assert live.any()
    num = len(groups)
    return CrystalDataset(
        sets=table,
        set_index=set_index,
        k=np.array(k),
        orbit_start=np.arange(0, 2 * num + 1, 2, dtype=np.int64),
        orbit_z=np.array(z, np.int16),
        orbit_pos=np.array(pos, np.int16),
        orbit_x=np.array(x),
        ids=np.array([f"c{i}" for i in range(num)]),
        formula=np.array(["?"] * num),
        row=np.arange(num),
        properties={"log_operations": -np.ones(num)},
    )
