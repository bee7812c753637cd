"""Write symjax/groups/irrep_labels.npz: names of special k-vectors and of their irreps: python scripts/make_irrep_labels.py [FILE].

Needs the PyPI package irreptables (tables of the Bilbao Crystallographic Server, Elcoro et al., J. Appl. Cryst. 50, 1457, 2017),
read here for one thing: which name (Cracknell, Davies, Miller, Love 1979) an irrep has. The irreps themselves are worked out by
`symjax.groups.irreps`; one is found again by its characters, and only its name is kept, in the order of `Irreps.small`. A line of
the text is: number, name of k, k, names of the irreps.
"""

import sys
from importlib import resources
from pathlib import Path

import numpy as np

from symjax.groups.irreps import KVector, irreps_at
from symjax.groups.tables import standard_setting

FILE = Path(__file__).resolve().parents[1] / "symjax" / "groups" / "irrep_labels.npz"


def read(number):
    """Operations [(W, t)] and [(name, k, rows, [(label, characters)])] of one group."""
    operations, found = [], []
    text = resources.files("irreptables").joinpath(f"data/tables/irreps-SG={number}-scal.dat").read_text()
    for line in text.splitlines():
        parts = line.split()
        if parts and parts[0] == "kpoint":
            _, k, rows = line.split(":")
            found.append((parts[1], [float(v) for v in k.split()], [int(v) - 1 for v in rows.split()], []))
        elif found and len(parts) > 2:
            m, values = len(found[-1][2]), np.array([float(v) for v in parts[2:]])
            phase = values[m : 2 * m] if len(values) > m else np.zeros(m)
            found[-1][3].append((parts[0], values[:m] * np.exp(1j * np.pi * phase)))
        elif not found and len(parts) == 12:
            values = np.array([float(v) for v in parts])
            operations.append((np.rint(values[:9]).astype(int).reshape(3, 3), values[9:]))
    return operations, found


def lines_of(number):
    """The lines of one group.

    Raises:
        SystemExit: an irrep of the table is none of ours, or the reverse.
    """
    operations, found = read(number)
    opset = standard_setting(number)
    for name, k, rows, irreps in found:
        ours = irreps_at(opset, KVector.of([round(v * 24) / 24 for v in k]))
        places, phases = [], []
        for W, t in (operations[row] for row in rows):
            row = next(int(r) for r in ours.rows if (ours.W[r] == W).all())
            places.append(ours.place[row])
            phases.append(ours.phase(0, np.rint(t * 24).astype(int) - ours.w[row] * 24 // ours.den, 24))
        names = [None] * len(ours.small)
        for label, chi in irreps:  # the table represents a translation by exp(+2 pi i k.t): conjugate
            for i, small in enumerate(ours.small):
                if np.abs(np.array(phases) * small.characters[places] - chi.conj()).max() < 2e-3:
                    names[i] = label
        if None in names or len(set(names)) != len(names):
            raise SystemExit(f"group {number}, {name}: irreps without a name: {names}")
        yield f"{number} {name} {ours.k.text[1:-1]} {' '.join(names)}"


def main(arguments):
    """Write the file."""
    text = "\n".join(line for number in range(1, 231) for line in lines_of(number))
    target = Path(arguments[0]) if arguments else FILE
    np.savez_compressed(target, text=np.frombuffer(text.encode(), np.uint8))
    print(f"{target}: {len(text.splitlines())} k-vectors, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
