"""Makes symjax/wyckoff/normalizers.npz: how the normalizers of the 230 space groups permute their Wyckoff positions.

Run: python scripts/make_normalizers.py [--out PATH]. Deterministic, from operations alone (see symjax.wyckoff.normalizer), so
the same code gives the same bytes everywhere; about ten seconds.

  start         (232,) first row of each group
  M             (v, 3, 3) int8 and t (v, 3) int8 in 24ths: one affine map for each distinct permutation, the identity first
  permutations  (v, 27) int8, -1 past the positions of the group
"""

from __future__ import annotations

import numpy as np
from make_tables import write_table

from symjax.groups.tables import NUM_TYPES
from symjax.wyckoff.normalizer import derive_normalizer
from symjax.wyckoff.types import MAX_POSITIONS


def build() -> dict[str, np.ndarray]:
    """All arrays."""
    found = [derive_normalizer(number) for number in range(1, NUM_TYPES + 1)]
    width = MAX_POSITIONS
    rows = [np.pad(f.permutations, ((0, 0), (0, width - f.permutations.shape[1])), constant_values=-1) for f in found]
    return {
        "start": np.cumsum([0, 0, *map(len, found)]).astype(np.int32),
        "M": np.concatenate([f.M for f in found]).astype(np.int8),
        "t": np.concatenate([f.t for f in found]).astype(np.int8),
        "permutations": np.concatenate(rows).astype(np.int8),
    }


if __name__ == "__main__":
    write_table(
        "wyckoff/normalizers",
        __doc__,
        build,
        lambda a: f"{len(a['M'])} permutations, {len(a['start']) - 2} space groups",
    )
