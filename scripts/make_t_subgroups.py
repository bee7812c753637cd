"""Write symjax/navigate/t_subgroups.npz, translationengleiche subgroups of the 230 settings: python scripts/make_t_subgroups.py.

All of it is worked out by `symjax.navigate.translationengleiche`; the file saves the time. Conjugates are bits over the rotation
parts in the order of the primitive form of the standard setting. Arrays: `start` (232,) first class of each type; `number`, `index`
(c,) of each class; `first` (c + 1,) its first conjugate; `bits` (s,) uint64 of each conjugate.
"""

import sys
from pathlib import Path

import numpy as np

from symjax.groups.primitive import primitive_form
from symjax.groups.tables import standard_setting
from symjax.navigate.translationengleiche import rows_of_parts, worked_out

FILE = Path(__file__).resolve().parents[1] / "symjax" / "navigate" / "t_subgroups.npz"


def classes_of(number):
    """(number, index, bits of the conjugates) of every class of one type, in the order of `t_subgroups`."""
    opset = standard_setting(number)
    row = np.array(rows_of_parts(opset, primitive_form(opset)))
    found = []
    for one in worked_out(opset):
        bits = [sum(1 << int(r) for r in set(row[mask].tolist())) for mask in one.masks]
        found.append((one.number, one.index, bits))
    return found


def main(arguments):
    """Write the file."""
    start, number, index, first, bits = [0, 0], [], [], [0], []
    for group in range(1, 231):
        for own, size, conjugates in classes_of(group):
            number.append(own)
            index.append(size)
            bits += conjugates
            first.append(len(bits))
        start.append(len(number))
    target = Path(arguments[0]) if arguments else FILE
    np.savez_compressed(
        target,
        start=np.array(start, np.int32),
        number=np.array(number, np.uint8),
        index=np.array(index, np.uint8),
        first=np.array(first, np.int32),
        bits=np.array(bits, np.uint64),
    )
    print(f"{target}: {len(number)} classes, {len(bits)} subgroups, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
