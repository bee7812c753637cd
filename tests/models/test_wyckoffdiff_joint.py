"""Draws of whole occupations given a demand against the enumeration of all of them."""

import itertools

import numpy as np
import pytest

from symjax.models.wyckoffdiff.joint import Demand, Positions, draw_together

SIZES = Positions(np.array([1, 1, 2]), np.array([2, 4]))
NUM = 400


def probabilities(seed, forbid=True):
    rng = np.random.default_rng(seed)
    fixed, free = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(3), (2, 2))
    if forbid:
        fixed[0, 2] = free[1, 0, 1] = 0.0
    return fixed, free


def everything(fixed, free):
    """Every occupation of two elements with its weight, atoms (2,) and orbits."""
    for classes in itertools.product(range(3), repeat=3):
        for counts in itertools.product(range(3), repeat=4):
            table = np.array(counts).reshape(2, 2)
            weight = np.prod([fixed[i, c] for i, c in enumerate(classes)])
            weight *= np.prod([free[r, e, table[r, e]] for r in range(2) for e in range(2)])
            atoms = table.T @ SIZES.free + [
                sum(SIZES.fixed[i] for i, c in enumerate(classes) if c == e + 1) for e in range(2)
            ]
            yield (*classes, *counts), weight, atoms, sum(c > 0 for c in classes) + sum(counts)


DEMANDS = {
    "formula": Demand(formula=(1, 2), max_atoms=12),
    "formula and orbits": Demand(formula=(1, 2), orbits=3, max_atoms=12),
    "orbits": Demand(orbits=3),
    "one element": Demand(required=(1,)),
    "both elements and orbits": Demand(required=(0, 1), orbits=4),
    "one element and orbits": Demand(required=(0,), orbits=2),
    "nothing": Demand(),
}


def meets(demand, atoms, orbits):
    if demand.formula:
        units = [n for n in range(1, 99) if (atoms == n * np.array(demand.formula)).all()]
        if not units or atoms.sum() > demand.max_atoms:
            return False
    return all(atoms[e] > 0 for e in demand.required) and demand.orbits in (None, orbits)


@pytest.mark.parametrize("name", DEMANDS)
def test_draws_have_the_weights_of_an_enumeration(name):
    demand, (fixed, free) = DEMANDS[name], probabilities(1)
    wanted = {
        key: weight for key, weight, atoms, orbits in everything(fixed, free) if weight and meets(demand, atoms, orbits)
    }
    total, rng = sum(wanted.values()), np.random.default_rng(0)
    counts = dict.fromkeys(wanted, 0)
    for _ in range(NUM):
        drawn = draw_together(fixed, free, SIZES, demand, rng)
        counts[(*drawn.fixed.tolist(), *drawn.free.ravel().tolist())] += 1  # a key that is not there is a wrong draw
    expected = np.array([wanted[key] / total for key in wanted])
    found = np.array([counts[key] / NUM for key in wanted])
    # chi squared stands on cells with a few draws each: the rare ones together are one
    rare = NUM * expected < 5
    pooled = [np.append(values[~rare], values[rare].sum()) for values in (found, expected)]
    pooled = [values[pooled[1] > 0] for values in pooled]
    degrees = max(len(pooled[1]) - 1, 1)
    assert NUM * ((pooled[0] - pooled[1]) ** 2 / pooled[1]).sum() < degrees + 6 * np.sqrt(2 * degrees)


def test_what_cannot_be_met_is_nothing():
    fixed, free = probabilities(0)
    assert draw_together(fixed, free, SIZES, Demand(formula=(1, 40)), np.random.default_rng(0)) is None
    assert draw_together(fixed, free, SIZES, Demand(orbits=99), np.random.default_rng(0)) is None
    free[:, 0], fixed[:, 1] = [1.0, 0.0, 0.0], 0.0
    assert draw_together(fixed, free, SIZES, Demand(required=(0,)), np.random.default_rng(0)) is None


def test_what_the_network_thinks_impossible_is_still_met():
    fixed, free = probabilities(0, forbid=False)
    fixed[:], free[:] = [1.0, 1e-30, 1e-30], [1.0, 1e-30, 1e-30]
    drawn = draw_together(fixed, free, SIZES, Demand(formula=(1, 1), orbits=2), np.random.default_rng(0))
    assert drawn is not None and (drawn.fixed > 0).sum() + drawn.free.sum() == 2
