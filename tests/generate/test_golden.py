"""The shipped weights give, seed for seed, the crystals that they gave before: formulas, groups, positions, operations, volumes.

A change that moves values on purpose prints them anew by `python tests/generate/test_golden.py`, and every figure in README that
hangs on them too.
"""

import hashlib

import numpy as np
import pytest

from symjax.generate.representations import representations
from symjax.generate.request import Request
from symjax.groups.identify import identify
from symjax.systems import generate

DRAWS = {
    "symop": ("symop", 6, {"seed": 0, "steps": 4, "batch_size": 128}),
    "symop, formula": (
        "symop",
        4,
        {
            "seed": 1,
            "steps": 4,
            "batch_size": 128,
            "min_ratio": 0.6,
            "request": Request(formula={"Sr": 1, "Ti": 1, "O": 3}),
        },
    ),
    "symmcd": ("symmcd", 4, {"seed": 0, "steps": 8, "batch_size": 128}),
    "wyckoff_transformer": ("wyckoff_transformer", 6, {"seed": 0, "steps": 4, "min_ratio": 0.6}),
}
STORED = {
    "symop": {
        "crystals": [
            "123 AsYPd5: Y 1d, As 1a, Pd 1b, Pd 4i",
            "221 CeHo: Ce 1b, Ho 1a",
            "38 RbCs2: Cs 2a, Cs 2b, Rb 2a",
            "139 V3As4: V 2b, V 4d, As 4e, As 4e",
            "62 GeTmIr: Tm 4c, Ge 4c, Ir 4c",
            "6 O10ZnZr3Sb2: Zr 1a, Zr 1b, Zr 1b, Zn 1a, Sb 2c, O 1a, O 1a, O 1a, O 1a, O 1b, O 1b, O 2c, O 2c",
        ],
        "volumes": [123.92, 61.57, 551.14, 237.54, 251.89, 241.6],
        "hash": "8f034fbce229552a",
        "draws": (6, 0),
    },
    "symop, formula": {
        "crystals": [
            "33 O3TiSr: Sr 4a, Sr 4a, Ti 4a, Ti 4a, O 4a, O 4a, O 4a, O 4a, O 4a, O 4a",
            "63 O3TiSr: Sr 8g, Ti 4c, Ti 4c, O 4c, O 4c, O 16h",
            "221 O3TiSr: Sr 3d, Sr 3c, Ti 6e, O 6e, O 12j",
            "139 O3TiSr: Sr 4e, Ti 2a, Ti 2b, O 4c, O 4d, O 4e",
        ],
        "volumes": [516.21, 554.38, 426.29, 260.91],
        "hash": "fdda26128dff359d",
        "draws": (4, 0),
    },
    "symmcd": {
        "crystals": [
            "225 Co2Ge6Ag: Ag 4b, Co 8c, Ge 24e",
            "63 B2ZnIn2: In 8e, Zn 4c, B 8f",
            "187 Ni3Zn2NdTh: Zn 2h, Th 1a, Ni 3k, Nd 1c",
            "12 GaGeRuPdTe: Pd 4i, Ga 4i, Ge 4i, Te 4i, Ru 4i",
        ],
        "volumes": [753.29, 321.04, 179.64, 483.07],
        "hash": "b839da3ba26561f7",
        "draws": (4, 0),
    },
    "wyckoff_transformer": {
        "crystals": [
            "160 O9FMnBa4: O 9b, F 3a, Ba 3a, O 9b, Ba 3a, Mn 3a, Ba 3a, Ba 3a, O 9b",
            "62 AgSnCe: Ce 4c, Ag 4c, Sn 4c",
            "5 Cl10Cr2Cu: Cl 4c, Cr 4c, Cl 4c, Cl 4c, Cl 4c, Cu 2b, Cl 4c",
            "2 B18O10Ca3: Ca 1a, O 2i, O 2i, B 2i, B 2i, Ca 2i, B 2i, B 2i, O 2i, B 2i, B 2i, B 2i, O 2i, O 2i, B 2i, B 2i",
            "194 PEuPt: P 2d, Eu 2c, Pt 2a",
            "225 Cd2InPa: Cd 8c, Pa 4b, In 4a",
        ],
        "volumes": [696.44, 313.95, 722.18, 286.5, 122.78, 388.26],
        "hash": "b4facf7e01082a81",
        "draws": (6, 0),
    },
}


def discrete(dataset):
    """A hash of elements, positions and operations, as arrays."""
    found = hashlib.sha256()
    for values in (dataset.orbit_start, dataset.orbit_z, dataset.orbit_pos):
        found.update(str(np.asarray(values).tolist()).encode())
    for index in np.asarray(dataset.set_index):
        real = np.asarray(dataset.sets.mask[index])
        for values in (dataset.sets.W[index], dataset.sets.w[index]):
            found.update(np.asarray(values)[real].astype(np.int64).tobytes())
    return found.hexdigest()[:16]


def crystals(made):
    """`group formula: element position, ..` and volume of each crystal."""
    named = [
        f"{identify(made.dataset.sets.opset(int(index))).number} {one['formula']}: "
        + ", ".join(f"{orbit['element']} {orbit['position']}" for orbit in one["orbits"])
        for one, index in zip(representations(made.types), made.dataset.set_index, strict=True)
    ]
    return named, [round(float(abs(np.linalg.det(L))), 2) for L in made.dataset.lattices()]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "symop, formula" else name for name in DRAWS]
)
def test_shipped_weights_give_the_same_crystals(name):
    system, num, options = DRAWS[name]
    made = generate(system, num, **options)
    named, volumes = crystals(made)
    assert named == STORED[name]["crystals"]
    np.testing.assert_allclose(volumes, STORED[name]["volumes"], rtol=1e-3)
    assert discrete(made.dataset) == STORED[name]["hash"]
    assert (made.attempts, sum(made.failed.values())) == STORED[name]["draws"]


if __name__ == "__main__":
    for name, (system, num, options) in DRAWS.items():
        made = generate(system, num, **options)
        named, volumes = crystals(made)
        draws = (made.attempts, sum(made.failed.values()))
        stored = {"crystals": named, "volumes": volumes, "hash": discrete(made.dataset), "draws": draws}
        print(f"    {name!r}: {stored},")
