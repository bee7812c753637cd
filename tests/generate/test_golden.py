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
            "129 AsSeY: Y 2c, As 2a, Se 2c",
            "221 CeHo3: Ce 1b, Ho 3d",
            "12 Cl6Cs4Gd: Cs 4g, Cs 4i, Gd 2a, Cl 4i, Cl 8j",
            "139 VAs: V 2b, V 4d, As 2a, As 4e",
            "62 GeRuTm: Tm 4c, Ge 4c, Ru 4c",
            "25 ZnZr3Sb3: Zr 1a, Zr 1b, Zr 1c, Zn 1d, Sb 1a, Sb 1b, Sb 1c",
        ],
        "volumes": [158.74, 124.22, 907.64, 187.68, 248.1, 183.96],
        "hash": "78a685baa1a99a16",
        "draws": (6, 0),
    },
    "symop, formula": {
        "crystals": [
            "46 O3TiSr: Sr 4b, Sr 4b, Ti 8c, O 4a, O 4b, O 4b, O 4b, O 8c",
            "129 O3TiSr: Sr 2c, Ti 2c, O 2a, O 4f",
            "221 O3TiSr: Sr 3d, Sr 3c, Ti 6e, O 6e, O 12i",
            "139 O3TiSr: Sr 4e, Ti 4e, O 4c, O 8g",
        ],
        "volumes": [543.72, 173.38, 430.0, 266.45],
        "hash": "1d482edef36d7ff9",
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
            "166 O4BaCe: O 18h, Ce 6c, Ba 3b, O 6c, Ba 3a",
            "62 AgSnCe: Ce 4c, Ag 4c, Sn 4c",
            "2 Cl6Cr: Cl 2i, Cr 2i, Cl 2i, Cl 2i, Cl 2i, Cl 2i, Cl 2i",
            "1 O7PKCa3CuBa: Ca 1a, O 1a, O 1a, O 1a, O 1a, Ca 1a, O 1a, Cu 1a, Ba 1a, Ca 1a, K 1a, P 1a, O 1a, O 1a",
            "221 OBa: Ba 1a, O 1b",
            "225 H14CdPa: Cd 4a, Pa 4b, H 48g, H 8c",
        ],
        "volumes": [569.35, 313.95, 464.36, 218.29, 40.64, 621.15],
        "hash": "1bfc096c19e61add",
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
