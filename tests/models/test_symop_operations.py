"""The discrete half of symop with untrained weights: equivariance, closed sets, exact likelihoods, neutral compositions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import symop
from symjax.elements import NUM_ELEMENTS
from symjax.errors import DataError
from symjax.evaluate.composition import is_valid_composition
from symjax.groups.tables import standard_frame, standard_setting, vocabulary
from symjax.models.symop import task as operations
from symjax.models.symop.network import OperationsNet, OperationsOptions
from symjax.models.symop.sample import log_bounds, sample_structure_types
from symjax.models.symop.sites.balance import MAX_BALANCE, balance_row
from symjax.models.symop.species import MAX_ORBITS, STOP, canonical_slots, element_rank
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import build_chain_bank, close_members, pair_classes
from symjax.models.symop.walk.exact import walk_distribution
from symjax.models.symop.walk.set_lattice import lattice_below
from symjax.wyckoff.set_table import merge_sets, table_of_members

SIZES = {"species_dim": 16, "walk_dim": 16, "walk_layers": 1, "walk_heads": 2, "sites_dim": 16, "chains": 4}
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
    state = operations.draw_slots(batch, constants.bank, jax.random.key(0))
    shapes = jax.eval_shape(lambda key: NET.init(key, batch, state, constants, False), jax.random.key(0))
    return jax.tree.map(jnp.asarray, random_params(shapes))


@pytest.fixture(scope="module")
def walker(params):
    """The walk's network as a compiled function of operations, pair classes, members, frame and species."""
    return jax.jit(lambda *inputs: NET.apply(params, *inputs, method="walk_output"))


def states():
    """Closed sets of both frames, from the identity to the largest group, with species."""
    members = np.stack([members_of(n) for n in (1, 2, 62, 194, 166, 225)]).astype(np.float32)
    frame = np.array([0, 0, 0, 1, 1, 0], np.int32)
    z = np.random.default_rng(0).integers(1, 60, (6, 5)).astype(np.int32)
    z[:3, 3:] = 0
    return members, frame, z


def as_jax(ops):
    return jax.tree.map(jnp.asarray, ops)


def largest_change(first, second):
    """Largest difference of the logits that are not masked, over their standard deviation."""
    worst = 0.0
    for a, b in zip(first, second, strict=True):
        real = np.asarray(a) > walk.MASKED / 2
        assert np.array_equal(real, np.asarray(b) > walk.MASKED / 2)
        worst = max(worst, float(np.abs(np.asarray(a) - np.asarray(b))[real].max() / np.asarray(a)[real].std()))
    return worst


@pytest.mark.parametrize("improper", [False, True])
def test_logits_do_not_feel_a_rigid_motion_of_the_frame(walker, improper):
    """Conjugating operations, candidates and frame by (Q, s), another one per frame, changes no logit (float32, 2e-3)."""
    ops, pair, (members, frame, z) = walk.operation_inputs(), pair_classes().pair, states()
    rng = np.random.default_rng(3)
    Q = np.stack([np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2)])
    Q *= np.sign(np.linalg.det(Q))[:, None, None] * (-1 if improper else 1)
    s = rng.normal(size=(2, 3))
    R = Q[ops.frame] @ ops.R @ np.swapaxes(Q[ops.frame], -1, -2)
    t = np.einsum("vij,vj->vi", Q[ops.frame], ops.t) + s[ops.frame] - np.einsum("vij,vj->vi", R, s[ops.frame])
    moved = ops._replace(
        R=R.astype(np.float32), t=t.astype(np.float32), A=(Q @ ops.A).astype(np.float32), o=s.astype(np.float32)
    )
    before = walker(as_jax(ops), pair, members, frame, z)
    assert largest_change(before, walker(as_jax(moved), pair, members, frame, z)) < 2e-3
    left_behind = ops._replace(R=moved.R, t=moved.t)  # the frame stays: now the network must notice
    assert largest_change(before, walker(as_jax(left_behind), pair, members, frame, z)) > 0.1


def test_logits_follow_a_permutation_of_the_operations(walker):
    ops, pair, (members, frame, z) = walk.operation_inputs(), pair_classes().pair, states()
    order = np.random.default_rng(0).permutation(VOCAB.size)
    shuffled = ops._replace(R=ops.R[order], t=ops.t[order], frame=ops.frame[order], kind=ops.kind[order])
    before = walker(as_jax(ops), pair, members, frame, z)
    after = walker(as_jax(shuffled), pair[np.ix_(order, order)], members[:, order], frame, z)
    expected = before._replace(candidate=before.candidate[:, order], member=before.member[:, order])
    assert largest_change(expected, after) < 1e-3


def test_logits_do_not_depend_on_the_order_of_species(walker):
    ops, pair, (members, frame, z) = as_jax(walk.operation_inputs()), pair_classes().pair, states()
    assert largest_change(walker(ops, pair, members, frame, z), walker(ops, pair, members, frame, z[:, ::-1])) < 1e-4
    other = np.where(z > 0, (z + 7) % 60 + 1, 0)
    assert largest_change(walker(ops, pair, members, frame, z), walker(ops, pair, members, frame, other)) > 1e-2


def test_pair_classes_are_invariants_of_the_quotient():
    """g h^-1 = e exactly for g = h, and conjugate quotients share a class."""
    classes = pair_classes()
    identity = classes.single[VOCAB.identity[0]]
    same = classes.pair == identity
    assert np.array_equal(np.nonzero(same)[0], np.nonzero(same)[1])
    assert (classes.pair[:694, 694:] == classes.num - 1).all()
    index = np.nonzero(members_of(225))[0]
    a, b, g = (np.random.default_rng(0).choice(index, 200) for _ in range(3))
    product = VOCAB.product
    assert np.array_equal(classes.pair[a, b], classes.pair[product[g, a], product[g, b]])  # g (a b^-1) g^-1
    assert np.array_equal(classes.pair[a, b], classes.pair[product[a, g], product[b, g]])  # a g (b g)^-1


@pytest.mark.slow
def test_untrained_samples_are_closed_groups_with_valid_positions(params):
    config = {"model": {"operations": SECTION}}
    drawn = sample_structure_types(params, config, jax.random.key(5), 60, batch_size=32, max_atoms=192)
    assert len(drawn.z) == 60 and np.isfinite(drawn.log_bound).all()
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


def test_chains_are_subgroup_chains_and_reject_what_is_not_closed():
    indices = np.full((len(NUMBERS), 192), VOCAB.size)
    for i, number in enumerate(NUMBERS):
        found = np.nonzero(members_of(number))[0]
        indices[i, : len(found)] = found
    bank = build_chain_bank(indices, num_chains=3, seed=1)
    sets = np.unpackbits(bank.packed, axis=-1)[:, : VOCAB.size].astype(bool)
    for i, number in enumerate(NUMBERS):
        for chain, length in zip(bank.chain[i], bank.length[i], strict=True):
            steps = sets[chain[:length]]
            assert steps[0].sum() == 1 and np.array_equal(steps[-1], members_of(number))
            for small, large in itertools.pairwise(steps):
                assert (small <= large).all() and large.sum() > small.sum()
                assert np.array_equal(close_members(large, VOCAB), large)
    broken = indices[-1:].copy()
    broken[0, 5] = VOCAB.size
    with pytest.raises(DataError, match="closed"):
        build_chain_bank(broken, num_chains=1)


def test_bound_is_below_the_exact_likelihood(params, walker):
    """P 2/m has four operations: the sum over all ways to add them is short enough to write out."""
    target = members_of(10)
    z = np.array([[22, 8, 8]], np.int32)
    ops, pair = as_jax(walk.operation_inputs()), pair_classes().pair

    def log_next(members):
        out = walker(ops, pair, members[None].astype(np.float32), np.zeros(1, np.int32), z)
        return np.asarray(jax.nn.log_softmax(jnp.append(out.candidate[0], out.stop[0]))), out

    def log_reach(members):
        logp, _ = log_next(members)
        if np.array_equal(members, target):
            return logp[-1]
        ways = []
        for g in np.nonzero(target & ~members)[0]:
            grown = members.copy()
            grown[g] = True
            ways.append(logp[g] + log_reach(close_members(grown, VOCAB)))
        return np.logaddexp.reduce(ways)

    start = members_of(1)
    exact = log_reach(start) + float(jax.nn.log_softmax(log_next(start)[1].frame[0])[0])
    # three chains lead to P 2/m, through its three subgroups of order two, each with probability 1/3
    drawn = [log_bounds(NET, params, target[None], z, chains=1, batch=16, seed=s)[0] for s in range(20)]
    ways = np.unique(np.round(drawn, 3))
    assert len(ways) == 3
    assert exact - 1 < ways.mean() < exact
    many = log_bounds(NET, params, target[None], z, chains=200, batch=16)[0]
    assert abs(many - ways.mean()) < 4 * ways.std() / np.sqrt(200) + 1e-3
    lattice = lattice_below(np.flatnonzero(target))
    found = walk_distribution(NET, params, lattice, z[0])
    assert np.isclose(found.free[-1] + found.frame, exact, atol=1e-4)


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


def test_consistency_losses_vanish_on_groups_and_see_a_missing_operation():
    numbers = (62, 194, 225)
    table = table_of_members(np.stack([members_of(n) for n in numbers]))
    constants = jax.tree.map(jnp.asarray, operations.make_constants(table, chains=1))
    truth = np.stack([members_of(n) for n in numbers]).astype(np.float32)
    frame = np.asarray(table.frame)
    k = np.einsum("sij,j->si", table.k_projector, np.array([0.3, -0.2, 0.1, 0.4, -0.3, 1.2])).astype(np.float32)
    given = {
        "frame": frame,
        "allowed": VOCAB.frame[None] == frame[:, None],
        "k": k,
        "key": jax.random.key(0),
        "options": OPTIONS,
    }
    right = {n: float(v) for n, v in operations.consistency(truth, constants, **given).items()}
    assert right["inverse"] == right["identity"] == 0 and right["closure"] < 1e-6 and right["lattice"] < 1e-3
    broken = truth.copy()
    broken[np.arange(3), truth.argmax(-1)] = 0.0  # the identity
    for row in range(3):
        broken[row, np.nonzero(truth[row])[0][-1]] = 0.0
    wrong = {n: float(v) for n, v in operations.consistency(broken, constants, **given).items()}
    assert wrong["identity"] == 1 and wrong["closure"] > 0.01
    sheared = {**given, "k": k + np.array([0.2, 0, 0, 0, 0, 0], np.float32)}
    assert float(operations.consistency(truth, constants, **sheared)["lattice"]) > 0.05


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
