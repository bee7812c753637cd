"""SymmCD's projection and replication: against pyxtal, against brute force, and on real crystals."""

import warnings
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.crystals.io import to_pymatgen
from symjax.errors import InputError
from symjax.groups.tables import standard_setting, wyckoff_letters
from symjax.models.symmcd.projection import (
    Projected,
    hamming_log_prob,
    nearest_point,
    project,
    projection_tables,
    replicate,
)
from symjax.models.symmcd.representation import lattice_from_k, lattice_masks, represent
from symjax.testing import shared_data
from symjax.wyckoff.positions import wyckoff_positions
from symjax.wyckoff.types import positions_of_type

PROJECT = jax.jit(project, static_argnames="distinct")


@pytest.fixture(scope="module")
def tables():
    return projection_tables(range(1, 231))


def random_lattices(numbers, seed=0):
    mask, constant = lattice_masks()
    k = np.random.default_rng(seed).normal(size=(len(numbers), 6)) * 0.1 + [0, 0, 0, 0, 0, 1.9]
    return np.asarray(lattice_from_k(mask[numbers] * k + constant[numbers]))


@cache
def on_positions():
    """number (1731,), position and a random point of a random copy of every position."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(1, 231):
        opset = standard_setting(number)
        positions = wyckoff_positions(opset)
        for p in range(len(positions)):
            u = rng.random(int(positions.dof[p]))
            g = rng.integers(len(opset.W))
            x = positions.x0[p] + positions.basis[p, :, : len(u)] @ u
            rows.append((number, p, opset.W[g] @ x + opset.w[g] / opset.den))
    number, position, x = zip(*rows, strict=True)
    return np.array(number), np.array(position), np.mod(np.array(x), 1.0)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_points_near_every_one_of_the_1731_positions_find_it(tables, noise):
    number, position, x = on_positions()
    L = random_lattices(number)
    noisy = x + noise * np.random.default_rng(1).uniform(-1, 1, x.shape)
    site = np.array([positions_of_type(n).site[p] for n, p in zip(number, position, strict=True)])
    real = np.ones((len(x), 1), bool)
    found = PROJECT(tables, number, L, noisy[:, None], site_log_prob=hamming_log_prob(site)[:, None], mask=real)
    pos = np.asarray(found.pos)[:, 0]
    chosen = np.array([positions_of_type(n).site[p] for n, p in zip(number, pos, strict=True)])
    assert (chosen == site).all() and np.asarray(found.site_cost).max() == 0
    away = np.linalg.norm((noisy - x)[:, None, :] @ L, axis=-1)[:, 0]
    assert (np.asarray(found.moved)[:, 0] <= away + 1e-4).all()  # the true point is a candidate
    assert (pos == position).sum() >= 1725  # else a point that lies nearer to another position of the same symmetry
    done = replicate(number, L, np.ones((len(x), 1), int), found, mask=real)
    made = [c for c in done.crystals if c is not None]
    assert len(made) >= 1725 and set(done.failures) <= {"coinciding atoms"}  # random points on more special positions
    for crystal in made[::17]:
        assert len(crystal.atoms().z) == crystal.num_atoms


def brute_force(number, x, L, allowed):
    """The smallest distance over all copies of the positions and 125 shifts, with pseudo-inverses; float64."""
    opset = standard_setting(number)
    positions = wyckoff_positions(opset)
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    best = np.inf
    for p in np.flatnonzero(allowed[: len(positions)]):
        B0 = positions.basis[p, :, : positions.dof[p]]
        for g in positions.images[p, : positions.multiplicity[p]]:
            t, B = opset.W[g] @ positions.x0[p] + opset.w[g] / opset.den, opset.W[g] @ B0
            delta = (x - t - np.rint(x - t) - shifts) @ L
            D = L.T @ B  # directions in angstrom
            off = delta - delta @ (D @ np.linalg.pinv(D)).T if B.shape[1] else delta
            best = min(best, np.linalg.norm(off, axis=1).min())
    return best


NEAREST = jax.jit(nearest_point)


@settings(max_examples=40)
@given(st.integers(1, 230), st.integers(0, 2**31))
def test_no_point_of_the_position_is_nearer(tables, number, seed):
    rng = np.random.default_rng(seed)
    count = len(wyckoff_letters(number))
    allowed = np.zeros(tables.site.shape[1], bool)
    allowed[rng.integers(count)] = allowed[rng.integers(count)] = True
    x, L = rng.random(3), random_lattices([number], seed)[0]
    flat, point, moved = NEAREST(tables, number, L, jnp.asarray(x, jnp.float32), allowed=allowed)
    assert float(moved) == pytest.approx(brute_force(number, x, L, allowed), abs=2e-4)
    row = tables.row[number]
    assert allowed[tables.flat_pos[row, int(flat)]]
    again = NEAREST(tables, number, L, point, allowed=allowed)
    assert float(again[2]) < 1e-3  # the point found lies on it


def test_pyxtals_search_agrees_where_its_point_lies_on_the_position(tables):
    """For every operation of a position pyxtal gives a point; the nearest of them, in fractional coordinates.

    Where that point is on the position at all, ours is the same or nearer, and mostly the same.
    """
    from pyxtal.symmetry import Group, search_cloest_wp

    rng = np.random.default_rng(0)
    same = nearer = off = 0
    for number in rng.permutation(np.arange(3, 231))[:30]:
        letters = wyckoff_letters(int(number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            group = Group(int(number))
        positions = [p for p in group.Wyckoff_positions if p.get_dof() in (1, 2)]
        for position in [positions[i] for i in rng.integers(len(positions), size=min(len(positions), 2))]:
            allowed = np.zeros(tables.site.shape[1], bool)
            allowed[letters.index(position.letter)] = True
            op = position.ops[rng.integers(len(position.ops))]
            x = np.mod(op.operate(rng.random(3)) + 0.01 * rng.normal(size=3), 1.0)
            points = [search_cloest_wp(group, position, one, x.copy()) for one in position.ops]
            distances = [np.linalg.norm(np.minimum((c - x) % 1, (x - c) % 1)) for c in points]
            theirs = points[int(np.argmin(distances))]
            eye, x32 = np.eye(3, dtype=np.float32), jnp.asarray(x, jnp.float32)
            _, point, moved = NEAREST(tables, int(number), eye, x32, allowed=allowed)
            _, _, outside = NEAREST(tables, int(number), eye, jnp.asarray(theirs % 1, jnp.float32), allowed=allowed)
            if float(outside) > 1e-4:
                off += 1  # a midpoint on another position, or none at all
                continue
            assert float(moved) <= min(distances) + 1e-4, (number, position.letter)
            gap = np.asarray(point) - theirs
            agrees = np.abs(gap - np.rint(gap)).max() < 1e-4
            same, nearer = same + agrees, nearer + (not agrees)
    print(f"pyxtal's search: the same point {same}, a farther one {nearer}, none of the position {off}")
    assert same + nearer + off > 40 and same > 3 * nearer and same > off


def test_the_examples_that_the_published_replication_gets_wrong(tables):
    """A representative on another copy of its position than the first one keeps its orbit."""
    for number, letter, x in (
        (221, "f", (0.5, 0.5, 0.27)),
        (225, "e", (0.5, 0.5, 0.74)),
        (12, "i", (0.62, 0.5, 0.31)),
        (62, "c", (0.4, 0.75, 0.6)),
        (139, "e", (0.5, 0.5, 0.64)),
    ):
        position = wyckoff_letters(number).index(letter)
        scores = hamming_log_prob(positions_of_type(number).site[position])[None, None]
        L, real = random_lattices([number]), np.ones((1, 1), bool)
        found = PROJECT(tables, np.array([number]), L, np.array([[x]]), site_log_prob=scores, mask=real)
        crystal = replicate([number], L, [[6]], found, mask=real).crystals[0]
        atoms = crystal.atoms().x
        assert len(atoms) == wyckoff_positions(standard_setting(number)).multiplicity[position]
        gap = atoms - np.array(x)
        assert np.abs(gap - np.rint(gap)).max(axis=1).min() < 1e-6, (number, letter)


@pytest.mark.slow
def test_fixed_positions_are_used_once(tables):
    """Three orbits that all ask for 4a of Fm-3m at the origin: published, they fall on each other."""
    L, real = 6.0 * np.eye(3)[None], np.array([[True, True, True, False]])
    letters = wyckoff_letters(225)
    scores = np.broadcast_to(hamming_log_prob(positions_of_type(225).site[letters.index("a")]), (1, 4, 15, 13))
    x = np.full((1, 4, 3), 0.02)
    once = PROJECT(tables, [225], L, x, site_log_prob=scores, mask=real)
    assert {letters[p] for p in np.asarray(once.pos)[0, :2]} == {"a", "b"}
    third = int(np.asarray(once.pos)[0, 2])
    assert letters[third] not in "ab" and float(once.site_cost[0, 2]) > 0
    assert np.asarray(once.pos)[0, 3] == -1 and not np.asarray(once.x)[0, 3].any()
    z = np.array([[11, 17, 8, 0]])
    assert replicate([225], L, z, once, mask=real).reasons == [""]
    many = PROJECT(tables, [225], L, x, site_log_prob=scores, mask=real, distinct=False)
    assert {letters[p] for p in np.asarray(many.pos)[0, :3]} == {"a"}
    assert replicate([225], L, z, many, mask=real).failures == {"coinciding atoms": 1}


def test_site_symmetry_by_probability_and_by_hamming_distance(tables):
    """The class of one direction spoiled: probabilities still tell the position, and ties by Hamming distance stay open."""
    letters = wyckoff_letters(225)
    site = positions_of_type(225).site[letters.index("e")].copy()
    scores = np.full((15, 13), np.log(0.01))
    scores[np.arange(15), site] = np.log(0.88)
    scores[0, 0] = np.log(0.9)  # most likely alone, but no position of the group has it with the rest
    found = PROJECT(
        tables,
        [225],
        6.0 * np.eye(3)[None],
        np.array([[[0.5, 0.5, 0.3]]]),
        site_log_prob=scores[None, None],
        mask=np.ones((1, 1), bool),
    )
    assert letters[int(found.pos[0, 0])] == "e"
    assert float(found.site_cost[0, 0]) == pytest.approx(np.log(0.9 / 0.88), abs=1e-3)
    assert np.asarray(hamming_log_prob(site))[0].tolist() == [0.0 if i == site[0] else -1.0 for i in range(13)]


def test_random_samples_have_at_least_the_group_asked_for(tables):
    """Anything the network could say becomes a crystal that the operations map onto itself."""
    rng = np.random.default_rng(5)
    number = rng.integers(1, 231, size=40)
    L, x = random_lattices(number), rng.random((40, 4, 3))
    mask = np.arange(4) < rng.integers(1, 5, size=40)[:, None]
    scores = np.log(rng.dirichlet(np.ones(13), size=(40, 4, 15)))
    z = np.where(mask, rng.integers(1, 90, size=(40, 4)), 0)
    found = PROJECT(tables, number, L, x, site_log_prob=scores, mask=mask)
    done = replicate(number, L, z, found, mask=mask)
    made = [(n, c) for n, c in zip(number, done.crystals, strict=True) if c is not None]
    assert len(made) >= 36
    for n, crystal in made:
        atoms = crystal.atoms()
        opset = standard_setting(int(n))
        for W, w in zip(opset.W[:: max(1, len(opset.W) // 6)], opset.w[:: max(1, len(opset.W) // 6)], strict=True):
            gap = (atoms.x @ W.T + w / 24)[:, None] - atoms.x[None]
            gap -= np.rint(gap)
            hit = np.abs(gap).max(axis=-1).argmin(axis=1)
            assert np.abs(gap[np.arange(len(hit)), hit]).max() < 1e-9 and (atoms.z[hit] == atoms.z).all()
            np.testing.assert_allclose(W.T @ crystal.L @ crystal.L.T @ W, crystal.L @ crystal.L.T, atol=1e-8)


def test_padding_and_garbage_in_it_change_nothing_and_nothing_is_compiled_again(tables):
    rng = np.random.default_rng(2)
    number, x = np.array([62, 194, 2]), rng.random((3, 5, 3))
    L, mask = random_lattices(number), np.arange(5) < np.array([5, 2, 3])[:, None]
    scores = np.log(rng.dirichlet(np.ones(13), size=(3, 5, 15)))
    first = PROJECT(tables, number, L, x, site_log_prob=scores, mask=mask)
    compiled = PROJECT._cache_size()
    x2, scores2 = np.where(mask[..., None], x, 0.7), np.where(mask[..., None, None], scores, 3.0)
    second = PROJECT(tables, number, L, x2, site_log_prob=scores2, mask=mask)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    PROJECT(tables, number[::-1].copy(), L[::-1].copy(), x, site_log_prob=scores, mask=np.ones_like(mask))
    assert PROJECT._cache_size() == compiled


def test_what_is_no_crystal_is_refused_with_its_reason(tables):
    real, x = np.ones((1, 1), bool), np.array([[[0.1, 0.2, 0.3]]])
    empty = Projected(*(np.zeros((1, 1), int), np.zeros((1, 1), int), x, np.zeros((1, 1)), np.zeros((1, 1))))
    nan = replicate([1], np.full((1, 3, 3), np.nan), [[6]], empty, mask=real)
    flat = replicate([1], 1e-3 * np.eye(3)[None], [[6]], empty, mask=real)
    none = replicate([1], np.eye(3)[None], [[6]], empty, mask=~real)
    assert (nan.reasons, flat.reasons, none.reasons) == (["not finite"], ["a cell without volume"], ["no orbits"])
    assert nan.failures == {"not finite": 1} and nan.crystals == [None]
    with pytest.raises(InputError, match="from 1 to 230"):
        projection_tables([0, 5])


def decoded(data):
    rep = represent(data)
    L = np.asarray(lattice_from_k(rep.k))
    found = PROJECT(
        projection_tables(rep.number), rep.number, L, rep.x, site_log_prob=hamming_log_prob(rep.site), mask=rep.mask
    )
    assert (np.asarray(found.pos) == rep.pos)[rep.mask].all()
    done = replicate(rep.number, L, rep.z, found, mask=rep.mask)
    assert not done.failures
    return [to_pymatgen(c.primitive()) for c in done.crystals if c is not None]


def test_prototypes_come_back(prototype_dataset):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from symjax.data.prototypes import prototype_rows
    from symjax.data.rows import parse_row

    part = prototype_dataset.subset(np.arange(0, len(prototype_dataset), 6))
    rows, matcher = prototype_rows(), StructureMatcher()
    for row, made in zip(part.row, decoded(part), strict=True):
        assert matcher.fit(to_pymatgen(parse_row(rows[row])), made), rows[row].id


@pytest.mark.slow
def test_every_row_of_real_data_comes_back(tmp_path):
    """All 1,000 rows of mp20_open/val, against the structures of the source (about a minute and a half)."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from symjax.data.prepare import prepare
    from symjax.data.readers import read_source
    from symjax.data.rows import parse_row

    path = shared_data("mp20_open/val.csv.gz")
    if path is None:
        pytest.skip("needs the shared data set mp20_open")
    data = prepare(path, tmp_path / "val.npz", progress=False).dataset
    rows, matcher = read_source(path), StructureMatcher()
    assert len(data) == len(rows) == 1000
    hits = [matcher.fit(to_pymatgen(parse_row(rows[r])), made) for r, made in zip(data.row, decoded(data), strict=True)]
    print(f"encode and decode of mp20_open/val: {sum(hits)} of {len(hits)} restored by StructureMatcher")
    assert all(hits), [rows[i].id for i in np.flatnonzero(~np.array(hits))][:10]


def test_few_shapes_of_tables():
    """Programs are compiled for shapes: single groups share them, as formulas asked for one after another need."""
    shapes = {(one.site.shape, one.flat_pos.shape) for one in (projection_tables([n]) for n in range(2, 230, 6))}
    assert len(shapes) <= 16
    for number in (2, 62, 225):
        table = projection_tables([number, 1])
        assert table.site.shape[0] == 2 and table.row[number] >= 0 and not table.pos_mask[0, 1:].any()
