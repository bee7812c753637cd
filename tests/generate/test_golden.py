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
    "symop, polar": (
        "symop",
        4,
        {
            "seed": 2,
            "steps": 4,
            "batch_size": 128,
            "request": Request(polar=True, centrosymmetric=False, elements=("Li", "O")),
        },
    ),
    "symmcd, formula": (
        "symmcd",
        3,
        {
            "seed": 1,
            "steps": 8,
            "batch_size": 128,
            "min_ratio": 0.5,
            "request": Request(groups=(221,), formula={"Sr": 1, "Ti": 1, "O": 3}),
        },
    ),
    "wyckoff_transformer": ("wyckoff_transformer", 6, {"seed": 0, "steps": 4, "min_ratio": 0.6}),
}
STORED = {}


def discrete(dataset):
    """Space group, formula and positions of each crystal, and a hash of the arrays and operations they stand for."""
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
