"""The shipped weights give, seed for seed, the crystals that they gave before: formulas, groups, positions, operations, volumes.

The values were made by the samplers that each model had of its own, before they shared `symjax.generate`. A change that moves them
on purpose prints them anew by `python tests/generate/test_golden.py`, and every figure in README that hangs on them too.
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
            "15 O4AsY: Y 4e, As 4e, O 8f, O 8f",
            "221 CeHo: Ce 1b, Ho 1a",
            "63 Se3CsDyHg: Cs 4c, Dy 4b, Hg 4c, Se 4c, Se 8f",
            "152 AlCaAs3: Ca 3a, Al 3a, As 3b, As 6c",
            "62 GeTmIr: Tm 4c, Ge 4c, Ir 4c",
            "2 O10Zn2Zr5Sb2: Zr 1a, Zr 2i, Zr 2i, Zn 2i, Sb 2i, O 2i, O 2i, O 2i, O 2i, O 2i",
        ],
        "volumes": [336.5, 61.47, 834.48, 334.99, 233.65, 283.53],
        "hash": "29cbc2c864bb37e1",
        "draws": (6, 0),
    },
    "symop, formula": {
        "crystals": [
            "140 O3TiSr: Sr 4b, Ti 4c, O 4a, O 8h",
            "71 O3TiSr: Sr 4i, Ti 4h, O 4j, O 8l",
            "63 O3TiSr: Sr 4c, Ti 4a, O 4c, O 8f",
            "63 O3TiSr: Sr 4c, Ti 4a, O 4c, O 8f",
        ],
        "volumes": [249.93, 273.37, 280.02, 250.31],
        "hash": "a010e4a593df42c6",
        "draws": (4, 0),
    },
    "symmcd": {
        "crystals": [
            "160 HO5VCrFe3Yb: O 3a, V 3a, Cr 3a, Yb 3a, Fe 9b, O 3a, O 9b, H 3a",
            "62 C2NGeRhI: N 4c, Rh 4c, Ge 4c, C 8d, I 4c",
            "5 O11CuRbTl: Cu 2b, O 4c, O 2b, Tl 2a, Rb 2b, O 4c, O 4c, O 4c, O 4c",
            "2 LiO5Cl2V2Cu2Sr2Y2I2: O 2i, Li 1e, Cu 2i, I 2i, Sr 2i, V 2i, O 2i, Cl 2i, O 1c, Y 2i",
        ],
        "volumes": [490.55, 498.89, 467.79, 347.84],
        "hash": "8e3fe6ede52b2bad",
        "draws": (4, 0),
    },
    "wyckoff_transformer": {
        "crystals": [
            "160 FeGa5Dy: Ga 9b, Ga 3a, Dy 3a, Ga 9b, Fe 3a, Ga 9b, Fe 3a, Dy 3a",
            "62 BScSr: B 4c, Sr 4c, Sc 4c",
            "5 S6Cu4Ta: Cu 2b, Cu 2a, S 4c, Ta 2a, S 4c, Cu 2a, S 4c, Cu 2a",
            "2 O4FAl: O 2i, O 2i, F 2i, Al 2i, O 2i, O 2i",
            "194 Ge2YGd: Gd 2b, Y 2a, Ge 4f",
            "225 NaScAu2: Na 4a, Au 8c, Sc 4b",
        ],
        "volumes": [763.51, 279.68, 436.87, 194.23, 197.68, 318.32],
        "hash": "3b40d01dcdeebeb3",
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


@pytest.mark.parametrize("name", DRAWS)
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
