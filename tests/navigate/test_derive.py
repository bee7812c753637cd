"""Derived structures: exactly the subgroup at every tolerance, amplitudes as asked for, compiled once, collisions told."""

import json

import jax
import numpy as np
import pytest
import spglib
from textbook import crystal

from symjax.crystals.types import AtomicStructure
from symjax.data.prototypes import prototype_rows
from symjax.data.standardize import standardize, to_crystal
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.lattice import compatibility_defect, metric
from symjax.navigate import derive as module
from symjax.navigate.derive import (
    bucket,
    collect,
    derive_batch,
    derive_structures,
    make_plan,
    require_realized,
    shortest_distance,
)
from symjax.navigate.modes import modes_of
from symjax.navigate.relation import k_relations, relations_to, t_relations
from symjax.navigate.splitcrystal import split_crystal
from symjax.navigate.splitting import standard_positions
from symjax.testing import shared_data

TOLERANCES = (1e-3, 1e-4, 1e-5)


def group(c):
    return OpSet(W=c.W.astype(np.int32), w=c.w.astype(np.int32), mask=np.ones(len(c.W), bool), den=c.den)


def detected(c, tolerance):
    atoms = c.atoms()
    found = spglib.get_symmetry_dataset((atoms.L, atoms.x, atoms.z), symprec=tolerance)
    return 0 if found is None else found.number


def relations(c, number, **options):
    return relations_to(group(c), number, metric=metric(c.L), **options)


def ferroelectric(number=99):
    c = crystal("BaTiO3 cubic")
    return c, relations(c, number, max_k=1)[0]


@pytest.mark.parametrize(
    "name, number, max_k",
    [
        ("BaTiO3 cubic", 99, 1),
        ("BaTiO3 cubic", 38, 1),
        ("BaTiO3 cubic", 160, 1),
        ("SrTiO3 cubic", 140, 2),
        ("CaTiO3 cubic", 62, 4),
        ("quartz beta 180", 154, 1),
        ("quartz beta 181", 152, 1),
        ("La2CuO4 tetragonal", 64, 2),
        ("NiTi B2", 11, 2),
        ("cristobalite 227", 92, 2),
        ("BiVO4 tetragonal", 15, 1),
    ],
)
def test_textbook_parents_have_exactly_their_subgroups(name, number, max_k):
    c = crystal(name)
    done = 0
    for relation in relations(c, number, max_k=max_k):
        modes = modes_of(split_crystal(c, relation))
        if modes.realized is None:
            batch = derive_batch(make_plan(modes), jax.random.key(number), 4, 0.1, 1.0)
            found = [detected(x, t) for x in collect(modes, batch, 0.0).crystals for t in TOLERANCES]
            assert found == [number] * 12, (name, relation.index, found)
            done += 1
        if done == 2:
            break
    assert done


def parents(limit, most_atoms):
    """Real crystals in their standard settings: the prototypes, and unseen ones if they are there."""
    found = []
    for row in prototype_rows():
        data = json.loads(row.text)
        if len(data["z"]) <= most_atoms:
            result = standardize(AtomicStructure(data["L"], data["z"], data["x"]), 0.01)
            c = to_crystal(result)
            if result.symprec and c.num_atoms <= 2 * most_atoms:
                found.append(c)
    order = np.random.default_rng(1).permutation(len(found))
    return [found[i] for i in order[:limit]]


def pool_of(c, most_k, rng):
    """Translationengleiche and klassengleiche subgroups, and in the long surveys a few general ones of one type."""
    found = t_relations(group(c), maximal=False, metric=metric(c.L))
    number = found[int(rng.integers(len(found)))].number if found else 1
    for k in range(2, most_k + 1):
        found += k_relations(group(c), k, maximal=False, metric=metric(c.L))
    if most_k == 2:
        return found
    return found + [r for r in relations(c, number, max_k=2) if r.kind == "general"][:3]


def survey(crystals, per_parent, draws, *, most_k=3, total=None):
    """Detected groups of random draws.

    Returns:
        relations realised, structures drawn, wrong (number, found, tolerance), relations not realised, wrong among those.
    """
    rng = np.random.default_rng(2)
    counts, wrong, larger, wrong_larger = [0, 0], [], 0, []
    for c in crystals:
        pool = pool_of(c, most_k, rng)
        for i in rng.permutation(len(pool))[:per_parent]:
            modes = modes_of(split_crystal(c, pool[i]))
            batch = derive_batch(make_plan(modes), jax.random.key(sum(counts)), draws, 0.1, 1.0)
            made = collect(modes, batch, 0.0).crystals
            expected = pool[i].number if modes.realized is None else modes.realized.number
            bad = [(expected, f, t) for x in made for t in TOLERANCES if (f := detected(x, t)) != expected]
            if modes.realized is None:
                counts[0] += 1
                counts[1] += len(made)
                wrong += bad
            else:
                larger += 1
                wrong_larger += bad
            if total is not None and counts[0] == total:
                return *counts, wrong, larger, wrong_larger
    return *counts, wrong, larger, wrong_larger


def test_random_draws_have_exactly_the_subgroup():
    """Prototypes, random relations; where the atoms keep more, they keep exactly the group that was named."""
    relations_done, drawn, wrong, _, wrong_larger = survey(parents(6, 6), 6, 4, most_k=2)
    assert relations_done >= 20 and drawn == 4 * relations_done
    assert not wrong and not wrong_larger


@pytest.mark.slow
def test_thousand_relations_of_real_crystals(capsys):
    """At least 99.9 % of random draws have exactly the target; the rest would be listed."""
    done, drawn, wrong, larger, wrong_larger = survey(parents(253, 24), 6, 5, total=1000)
    with capsys.disabled():
        share = 1 - len({w[:2] for w in wrong}) / max(drawn, 1)
        print(
            f"\n{drawn} draws along {done} relations, {len(wrong)} of {3 * drawn} searches found another group ({share:.4%}); "
            f"{larger} relations are not realised by the atoms, {len(wrong_larger)} searches there found neither"
        )
        print(wrong[:20], wrong_larger[:20])
    assert done == 1000
    assert len(wrong) <= 0.001 * 3 * drawn and len(wrong_larger) <= 0.001 * 15 * larger


def test_amplitude_and_strain_are_those_asked_for():
    c, relation = ferroelectric()
    for amplitude, strain in ((0.1, 1.0), (0.02, 0.0), (0.3, 3.0), (1e-3, 1e-2)):
        made = derive_structures(
            c, relation, jax.random.key(1), num=4, amplitude=amplitude, strain=strain, min_distance=0.0
        )
        split = made.modes.split
        for x in made.crystals:
            # displacements measured from the crystals themselves, in the unstrained lattice
            delta = x.x - split.x
            delta -= np.rint(delta)
            moved = delta @ split.L
            assert abs(np.linalg.norm(moved, axis=1).max() - amplitude) < 1e-9
            deformation = np.linalg.solve(split.L, x.L) - np.eye(3)
            assert np.allclose(deformation, deformation.T, atol=1e-9)
            assert abs(100 * np.abs(np.linalg.eigvalsh(deformation)).max() - strain) < 1e-7


def test_crystals_are_exactly_on_their_flats_in_a_compatible_lattice():
    c, relation = ferroelectric(38)
    made = derive_structures(c, relation, jax.random.key(2), num=4)
    positions = standard_positions(38)
    for x in made.crystals:
        assert compatibility_defect(x.W, None, metric(x.L)) < 1e-13
        for place, o in zip(x.x, made.modes.split.orbits):
            offset = positions.annihilator[o.position, : 3 - o.dof] @ (place - positions.x0[o.position])
            assert np.abs(offset - np.rint(offset)).max(initial=0) < 1e-13
        assert x.num_atoms == 2 * c.num_atoms


def test_returns_to_the_parent_as_the_amplitude_goes_to_zero():
    c, relation = ferroelectric(160)
    sizes = (1e-1, 1e-2, 1e-7, 0.0)
    modes = modes_of(split_crystal(c, relation))
    plan = make_plan(modes)
    found, gaps = [], []
    for size in sizes:
        batch = derive_batch(plan, jax.random.key(3), 4, size, 10 * size)
        made = collect(modes, batch, 0.0).crystals
        found.append({detected(x, 1e-4) for x in made})
        start = modes.split
        delta = np.array([x.x for x in made]) - start.x
        bent = (np.array([x.L for x in made]) - start.L) / start.L.max()
        gaps.append(max(np.abs(delta - np.rint(delta)).max(), np.abs(bent).max()))
    assert found == [{160}, {160}, {221}, {221}]
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3] and gaps[3] < 1e-14
    assert detected(modes.split.crystal(), 1e-5) == 221


def test_shortest_distances_are_exact():
    for name, number in (("quartz beta 180", 154), ("NiTi B2", 11), ("La2CuO4 tetragonal", 64)):
        c = crystal(name)
        relation = next(r for r in relations(c, number, max_k=2))
        modes = modes_of(split_crystal(c, relation))
        batch = derive_batch(make_plan(modes), jax.random.key(5), 4, 0.4, 4.0)
        for shortest, x in zip(batch.shortest, collect(modes, batch, 0.0).crystals):
            assert abs(shortest_distance(x) - shortest) < 1e-9


@pytest.mark.slow
def test_collisions_are_left_out_and_counted():
    c, relation = ferroelectric()
    made = derive_structures(c, relation, jax.random.key(0), num=16, amplitude=1.5)
    assert made.skipped > 0 and made.skipped + len(made.crystals) == 16
    assert made.closest < made.min_distance <= made.shortest.min()
    assert abs(made.min_distance - 0.7 * shortest_distance(c)) < 1e-12
    assert derive_structures(c, relation, jax.random.key(0), num=16, amplitude=1.5, min_distance=0.0).skipped == 0


def test_nothing_is_compiled_again():
    """Another key, amplitude, strain, relation or crystal of the same padded shape."""
    c, relation = ferroelectric(99)
    plan = make_plan(modes_of(split_crystal(c, relation)))
    derive_batch(plan, jax.random.key(0), 16, 0.1, 1.0)
    before = module._move._cache_size(), module._normal._cache_size()
    derive_batch(plan, jax.random.key(1), 16, 0.3, 0.0)
    for name, number in (("BaTiO3 cubic", 160), ("SrTiO3 cubic", 99), ("CaTiO3 cubic", 99), ("NiTi B2", 47)):
        other = crystal(name)
        found = relations(other, number, max_k=1)[0]
        same = make_plan(modes_of(split_crystal(other, found)))
        if jax.tree.map(np.shape, same) == jax.tree.map(np.shape, plan):
            derive_batch(same, jax.random.key(2), 16, 0.1, 1.0)
    assert (module._move._cache_size(), module._normal._cache_size()) == before


@pytest.mark.slow
def test_ten_thousand_at_once_and_each_the_same_for_any_number():
    c, relation = ferroelectric(99)
    plan = make_plan(modes_of(split_crystal(c, relation)))
    many = derive_batch(plan, jax.random.key(0), 10_000, 0.1, 1.0)
    few = derive_batch(plan, jax.random.key(0), 4, 0.1, 1.0)
    assert many.x.shape[0] == 10_000 and many.x.dtype == np.float64 == few.L.dtype
    assert np.allclose(many.x[:4], few.x, atol=1e-12) and np.allclose(many.L[:4], few.L, atol=1e-12)
    assert np.abs(many.amplitude - 0.1).max() < 1e-12 and np.abs(many.strain - 1).max() < 1e-10
    assert len(np.unique(np.round(many.x.reshape(10_000, -1), 9), axis=0)) == 10_000
    assert many.margin.min() > 1e-2  # the least that any larger group is missed by, angstrom
    assert not jax.config.jax_enable_x64


def test_what_cannot_be_meant_is_refused():
    c, relation = ferroelectric()
    plan = make_plan(modes_of(split_crystal(c, relation)))
    for num, amplitude, strain in ((0, 0.1, 1), (1, -0.1, 1), (1, np.nan, 1), (1, 0.1, 100)):
        with pytest.raises(InputError, match="amplitude of at least 0"):
            derive_batch(plan, jax.random.key(0), num, amplitude, strain)
    with pytest.raises(InputError, match=r"P4/mmm \(123\)"):
        derive_structures(c, relation, jax.random.key(0), amplitude=0.0)
    with pytest.raises(InputError, match=r"keep Pm-3m \(221\), 2 times"):
        require_realized(modes_of(split_crystal(c, relations(c, 215, max_k=1)[0])))


def test_buckets():
    assert [bucket(n) for n in (0, 1, 4, 5, 8, 9, 100)] == [4, 4, 4, 8, 8, 16, 128]
    assert [bucket(n, 8, 4) for n in (3, 9, 33)] == [8, 32, 128]


@pytest.mark.slow
def test_unseen_crystals(capsys):
    """Test structures of the Materials Project, where they are."""
    path = shared_data("mp20_open/test.csv.gz")
    if path is None:
        pytest.skip("the shared data is not here")
    from symjax.data.readers import read_source
    from symjax.data.rows import parse_row

    rows = read_source(path)
    crystals = []
    for i in np.random.default_rng(0).permutation(len(rows))[:60]:
        result = standardize(parse_row(rows[i]), 0.01)
        if result.symprec and to_crystal(result).num_atoms <= 32:
            crystals.append(to_crystal(result))
    done, drawn, wrong, larger, wrong_larger = survey(crystals, 4, 3, most_k=3)
    with capsys.disabled():
        print(
            f"\n{len(crystals)} crystals, {drawn} draws along {done} relations ({larger} not realised): {wrong} {wrong_larger}"
        )
    assert done >= 60 and not wrong and not wrong_larger
