"""Write symjax/wyckoff/positions.npz, Wyckoff positions of the 230 standard settings: python scripts/make_positions.py.

All of it is worked out by `symjax.wyckoff.positions`; the file saves the time. Arrays: `start` (232,) first position of each type;
`x0` (p, 3) a point in 48ths, `basis` (p, 3, 3) directions as columns, `dof` (p,) how many of them.
"""

import sys
from pathlib import Path

import numpy as np

from symjax.groups.tables import standard_setting
from symjax.wyckoff.positions import worked_out

FILE = Path(__file__).resolve().parents[1] / "symjax" / "wyckoff" / "positions.npz"
UNIT = 48


def main(arguments):
    """Write the file."""
    start, x0, basis, dof = [0, 0], [], [], []
    for number in range(1, 231):
        positions = worked_out(standard_setting(number))
        x0.append(np.rint(positions.x0 * UNIT))
        assert np.abs(positions.x0 * UNIT - x0[-1]).max() < 1e-9
        basis.append(np.rint(positions.basis))
        dof.append(positions.dof)
        start.append(start[-1] + len(positions))
    target = Path(arguments[0]) if arguments else FILE
    np.savez_compressed(
        target,
        start=np.array(start, np.int32),
        x0=np.concatenate(x0).astype(np.uint8),
        basis=np.concatenate(basis).astype(np.int8),
        dof=np.concatenate(dof).astype(np.uint8),
    )
    print(f"{target}: {start[-1]} positions, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
