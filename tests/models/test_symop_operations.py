"""The discrete half of symop with untrained weights: closed sets, species and sites, neutral compositions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import symop
from symjax.elements import NUM_ELEMENTS
from symjax.evaluate.composition import is_valid_composition
from symjax.generate.request import Request
from symjax.groups.tables import standard_frame, standard_setting, vocabulary
from symjax.models.symop import task as operations
from symjax.models.symop.network import OperationsNet, OperationsOptions
from symjax.models.symop.sample import sample_structure_types
from symjax.models.symop.sites.balance import MAX_BALANCE, balance_row
from symjax.models.symop.species import MAX_ORBITS, STOP, canonical_slots, element_rank
from symjax.wyckoff.set_table import merge_sets, table_of_members

SIZES = {"species_dim": 16, "walk_dim": 16, "quotient_dim": 8, "sites_dim": 16, "chains": 4}
SECTION = {**symop.operations(), **SIZES}
OPTIONS = OperationsOptions(**SECTION)
NET = OperationsNet(OPTIONS)
VOCAB = vocabulary()
NUMBERS = (1, 2, 14, 62, 99, 166, 194, 216, 225, 227)


def members_of(number):
    mask = np.zeros(VOCAB.size, bool)
    mask[VOCAB.indices(standard_setting(number), standard_frame(number))] = True
    return mask


def random_params(shapes, seed=1):
    """Random values everywhere, so that parameters that start at zero take part; scales stay near one."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        size = 0.3 if len(leaf.shape) < 2 else 1.0 / np.sqrt(leaf.shape[0])
        return ((path[-1].key == "scale") + size * rng.normal(size=leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="module")
def params():
    table = table_of_members(np.stack([members_of(n) for n in NUMBERS]))
    constants = jax.tree.map(jnp.asarray, operations.make_constants(table, chains=OPTIONS.chains))
    z = np.zeros((len(NUMBERS), MAX_ORBITS), np.int32)
    z[:, :3] = (12, 22, 8)
    batch = {
        "set": np.arange(len(NUMBERS)),
        "num": np.full(len(NUMBERS), 3),
        "z": z,
        "pos": np.zeros_like(z),
        "k": np.zeros((len(NUMBERS), 6), np.float32),
        "balance": np.zeros((len(NUMBERS), MAX_ORBITS, MAX_BALANCE // 8), np.uint8),
    }
    state = operations.draw_slots(batch, constants, 0.5, jax.random.key(0))
    shapes = jax.eval_shape(lambda key: NET.init(key, batch, state, constants, False), jax.random.key(0))
    return jax.tree.map(jnp.asarray, random_params(shapes))


@pytest.mark.slow
def test_untrained_samples_are_closed_groups_with_valid_positions(params):
    config = {"model": {"operations": SECTION}}
    drawn = sample_structure_types(params, config, jax.random.key(5), 60, batch_size=32, max_atoms=192)
    assert len(drawn.z) == 60 and np.isfinite(drawn.log_operations).all()
    orders = set()
    for row in range(len(drawn.sets.frame)):
        index = drawn.sets.vocab[row][drawn.sets.mask[row]]
        orders.add(len(index))
        found = VOCAB.product[np.ix_(index, index)]
        assert np.isin(found, index).all(), "a product is missing"
        assert np.isin(VOCAB.identity, index).any()
    assert len(orders) > 3
    for i, s in enumerate(drawn.set_index):
        z, pos = drawn.z[i][drawn.orbit_mask[i]], drawn.pos[i][drawn.orbit_mask[i]]
        assert len(z) and (np.diff(element_rank()[z]) >= 0).all()
        assert drawn.sets.pos_mask[s, pos].all()
        assert drawn.sets.pos_mult[s, pos].sum() <= 192
        single = pos[drawn.sets.pos_dof[s, pos] == 0]
        assert len(set(single)) == len(single), "a position without freedom is used twice"
    again = sample_structure_types(params, config, jax.random.key(5), 60, batch_size=32, max_atoms=192)
    assert np.array_equal(again.z, drawn.z) and np.array_equal(again.pos, drawn.pos)


@pytest.mark.slow
def test_operations_may_be_drawn_by_something_else(params):
    def draw(keys, z, demands):
        numbers = np.where(np.arange(len(z)) % 2, 225, 14)
        return numbers, ~demands.numbers[numbers], None

    config, request = {"model": {"operations": SECTION}}, Request(crystal_system="cubic")
    drawn = sample_structure_types(
        params, config, jax.random.key(0), 10, batch_size=32, max_atoms=96, request=request, operations=draw
    )
    assert len(drawn.z) == 10 and drawn.passed is None and drawn.log_operations is None
    assert (drawn.sets.mask.sum(1) == 192).all(), "the type that does not meet the request came out"
    assert (drawn.sets.pos_mult[drawn.set_index[:, None], drawn.pos] * drawn.orbit_mask).sum(1).max() <= 96


def test_species_sequences_stop_and_keep_their_order(params):
    """The next element is never before the last one, STOP is not first, and nothing but STOP follows the last slot."""
    z = np.zeros((3, MAX_ORBITS), np.int32)
    z[1, :2] = (56, 22)
    z[2] = 8
    step = np.array([0, 2, MAX_ORBITS])
    p = np.asarray(jax.nn.softmax(NET.apply(params, z, step, method="species_logits"), -1))
    assert np.allclose(p.sum(-1), 1, atol=1e-5)
    assert p[0, STOP] == 0 and p[2, STOP] == 1
    assert p[1, 56] == 0 and p[1, 22] > 0 and p[1, 8] > 0 and p[1, STOP] > 0


@given(st.lists(st.tuples(st.integers(1, NUM_ELEMENTS - 1), st.integers(0, 20)), min_size=1, max_size=8), st.randoms())
def test_canonical_slots_do_not_depend_on_the_order_given(orbits, random):
    shuffled = list(orbits)
    random.shuffle(shuffled)
    results = []
    for given_order in (orbits, shuffled):
        pairs = np.array(given_order + [(0, 7)] * 2)
        results.append(canonical_slots(pairs[None, :, 0], pairs[None, :, 1]))
    assert np.array_equal(results[0][0], results[1][0]) and np.array_equal(results[0][1], results[1][1])
    assert (results[0][0][0, : len(orbits)] > 0).all() and (results[0][1][0, len(orbits) :] == 0).all()


def test_balance_agrees_with_the_composition_rule():
    """The charge feature of the sites stage against the rule it stands for, on random compositions."""
    pytest.importorskip("smact")
    rng = np.random.default_rng(0)
    rank = element_rank()
    pool = [3, 8, 9, 11, 12, 13, 14, 16, 17, 20, 22, 25, 26, 29, 31, 38, 39, 47, 50, 56, 57]
    valid = []
    for _ in range(300):
        elements = sorted(rng.choice(pool, rng.integers(2, 4), replace=False).tolist(), key=lambda e: rank[e])
        counts = rng.integers(1, 8, len(elements)).tolist()
        finished = tuple(zip(elements[:-1], counts[:-1], strict=True))
        expected = is_valid_composition(tuple(zip(elements, counts, strict=True)))
        assert balance_row(finished, elements[-1])[counts[-1]] == expected, (elements, counts)
        valid.append(expected)
    assert 30 < sum(valid) < 270


def test_merged_tables_keep_every_set_and_its_positions():
    first = table_of_members(np.stack([members_of(n) for n in (2, 62)]))
    second = table_of_members(np.stack([members_of(n) for n in (225, 62, 194)]))
    both, where = merge_sets(first, second)
    assert where.tolist() == [2, 1, 3]
    for i, s in enumerate(where):
        assert np.array_equal(both.vocab[s][both.mask[s]], second.vocab[i][second.mask[i]])
        count = int(second.pos_mask[i].sum())
        assert np.array_equal(both.pos_mult[s, :count], second.pos_mult[i, :count])
        assert not both.pos_mask[s, count:].any()
