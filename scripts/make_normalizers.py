"""Makes symjax/groups/normalizers.npz: how the normalizers of the 230 space groups permute their Wyckoff positions.

Run: python scripts/make_normalizers.py [--out PATH]. Deterministic, from operations alone (see symjax.groups.affine_normalizer), so
the same code gives the same bytes everywhere; about ten seconds.

  start         (232,) first row of each group
  M             (v, 3, 3) int8 and t (v, 3) int8 in 24ths: one affine map for each distinct permutation, the identity first
  permutations  (v, 27) int8, -1 past the positions of the group
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from make_tables import write_npz

from symjax.groups.affine_normalizer import derive_normalizer
from symjax.groups.site_symbols import MAX_POSITIONS
from symjax.groups.tables import NUM_TYPES


def build() -> dict[str, np.ndarray]:
    """All arrays."""
    found = [derive_normalizer(number) for number in range(1, NUM_TYPES + 1)]
    width = MAX_POSITIONS
    rows = [np.pad(f.permutations, ((0, 0), (0, width - f.permutations.shape[1])), constant_values=-1) for f in found]
    return {
        "start": np.cumsum([0, 0, *map(len, found)]).astype(np.int32), "M": np.concatenate([f.M for f in found]).astype(np.int8),
        "t": np.concatenate([f.t for f in found]).astype(np.int8), "permutations": np.concatenate(rows).astype(np.int8),
    }  # fmt: skip


def main() -> None:
    """Writes the table where the package looks for it, or to --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    target = Path(__file__).resolve().parent.parent / "symjax" / "groups" / "normalizers.npz"
    parser.add_argument("--out", type=Path, default=target)
    args = parser.parse_args()
    arrays = build()
    write_npz(args.out, arrays)
    print(f"{args.out}: {len(arrays['M'])} permutations of the positions of {len(arrays['start']) - 2} space groups")


if __name__ == "__main__":
    main()
