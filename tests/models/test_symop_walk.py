"""The walk of symop with untrained weights: classes of conjugate sets, equivariance, chains, exact likelihood, sampling."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import symop
from symjax.errors import DataError
from symjax.generate.masks import setting_members
from symjax.generate.request import Request
from symjax.groups.identify import identify
from symjax.groups.packaged import arrays
from symjax.groups.tables import ENANTIOMORPHS, vocabulary
from symjax.models.symop import task
from symjax.models.symop.demands import demands_of
from symjax.models.symop.network import OperationsNet, OperationsOptions
from symjax.models.symop.sample import class_log_probabilities, draw_walks
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import build_chain_bank, rows_of_sets
from symjax.models.symop.walk.classes import holohedry
from symjax.models.symop.walk.contexts import contexts_of_members, set_key
from symjax.models.symop.walk.set_lattice import lattice_below
from symjax.models.symop.walk.states import SetContexts, nested_sets, packaged_classes, states
from symjax.wyckoff.set_table import table_of_members

SIZES = {"species_dim": 16, "walk_dim": 16, "quotient_dim": 8, "sites_dim": 16, "chains": 4}
NET = OperationsNet(OperationsOptions(**{**symop.operations(), **SIZES}))
VOCAB = vocabulary()
SPECIES = np.array([[56, 22, 8, 8], [11, 17, 0, 0], [0, 0, 0, 0]], np.int32)


@cache
def params():
    """Random values everywhere, so that parameters that start at zero take part."""
    inputs = jax.tree.map(jnp.asarray, walk.walk_inputs())
    z = jnp.zeros((1, 20), jnp.int32)
    shapes = jax.eval_shape(
        lambda key: NET.init(key, inputs, jnp.zeros(1, jnp.int32), z, method="walk_output"), jax.random.key(0)
    )
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        size = 0.3 if len(leaf.shape) < 2 else 1.0 / np.sqrt(leaf.shape[0])
        return ((path[-1].key == "scale") + size * rng.normal(size=leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@cache
def inputs():
    return jax.tree.map(jnp.asarray, walk.walk_inputs())


@cache
def _walker():
    return jax.jit(lambda inputs, state, z: NET.apply(params(), inputs, state, z, method="walk_output"))


def output(state, z, given=None):
    """The walk's network on b states, in one compiled shape."""
    state = np.asarray(state)
    size = 1024
    rows = np.minimum(np.arange(size), len(state) - 1)
    out = _walker()(inputs() if given is None else given, state[rows], z[np.minimum(rows, len(z) - 1)])
    return walk.WalkOutput(*(leaf[: len(state)] for leaf in out))


def species(rows):
    return np.pad(np.asarray(rows, np.int32), ((0, 0), (0, 20 - np.shape(rows)[1])))


def conjugates(number, limit=400):
    """Vocabulary sets conjugate to a standard setting by the frame's holohedry and shifts of the origin by quarters."""
    members = setting_members(number)
    W, w, frame = VOCAB.W[members], VOCAB.w[members], int(VOCAB.frame[members][0])
    grid = np.stack(np.meshgrid(*[(0, 6, 12)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = {}
    for h, shift in itertools.product(holohedry(frame), grid):
        turned = h @ W @ np.rint(np.linalg.inv(h)).astype(int)
        moved = w @ h.T + (np.eye(3, dtype=int) - turned) @ shift
        index = VOCAB.lookup(turned, moved % 24, frame)
        if (index < VOCAB.size).all():
            row = np.zeros(VOCAB.size, bool)
            row[index] = True
            found[row.tobytes()] = row
        if len(found) == limit:
            break
    return list(found.values())


def closure(rows):
    """Closure in the vocabulary by repeated products; None where it leaves it."""
    index = np.flatnonzero(rows)
    while True:
        reached = np.unique(VOCAB.product[np.ix_(index, index)])
        if reached[-1] == VOCAB.size:
            return None
        if len(reached) == len(index):
            row = np.zeros(VOCAB.size, bool)
            row[reached] = True
            return row
        index = reached


# classes


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 27, 62, 88, 116, 166, 180, 198, 224])
def test_conjugate_sets_share_a_class_and_look_the_same(number):
    """Not vacuous: the conjugates are other sets of the vocabulary, and everything that the network reads of them is equal."""
    every = conjugates(number)
    assert len(every) > 1 or number in (166,)
    assert len({set_key(row) for row in every}) == 1 == len({states().of(row) for row in every})
    own, pair, weight, share = contexts_of_members(np.stack(every[:6]))
    for i in range(1, len(own)):
        order = [np.lexsort((share[j], *pair[j].T, own[j])) for j in (0, i)]
        assert all(np.array_equal(a[0][order[0]], a[i][order[1]]) for a in (own, pair, weight, share))


def test_every_affine_type_is_a_class_of_its_own():
    keys = {number: set_key(setting_members(number)) for number in range(1, 231)}
    assert len(set(keys.values())) == 219
    assert all(keys[a] == keys[b] for a, b in ENANTIOMORPHS)
    table = states()
    assert all(number in table.row_number[table.row_class == table.of(setting_members(number))] for number in keys)


def test_the_network_tells_sets_that_are_not_conjugate_apart():
    """Pcc2 and Pba2 have the same operations one by one, and R3m on cubic axes is not R3m on hexagonal ones."""
    cubic = np.flatnonzero((states().number == 160) & ~states().tabulated())
    pairs = [[states().of(setting_members(n)) for n in (27, 32)], [states().of(setting_members(160)), int(cubic[0])]]
    for pair in pairs:
        out = output(pair, species(SPECIES[:1]))
        assert abs(float(out.stop[0] - out.stop[1])) > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_edges_are_closures(seed):
    """Adding an operation of a standard setting to a subgroup of it leads to a class on the list, by closing in the vocabulary."""
    table, rng = states(), np.random.default_rng(seed)
    for _ in range(40):
        goal = setting_members(int(rng.integers(3, 231)))
        inside = np.flatnonzero(~(table.rows & ~goal).any(1))
        row = int(rng.choice(inside[table.rows[inside].sum(1) < goal.sum()]))
        grown = table.rows[row].copy()
        grown[rng.choice(np.flatnonzero(goal & ~grown))] = True
        assert table.of(closure(grown)) in table.next[table.row_class[row]]


def test_packaged_list_is_what_its_script_says():
    """Subgroups of some settings are on it, one by one, types are spglib's, steps are those of the rows."""
    table = states()
    rows = {row.tobytes() for row in table.rows}
    for number in (47, 99, 166, 191):
        lattice = lattice_below(np.flatnonzero(setting_members(number)))
        for inside in lattice.members:
            row = np.zeros(VOCAB.size, bool)
            row[lattice.operations[inside]] = True
            assert row.tobytes() in rows
    for i in np.random.default_rng(0).choice(len(table.rows), 60, replace=False):
        assert identify(VOCAB.opset(np.flatnonzero(table.rows[i]))).number == table.row_number[i]
    for name, values in packaged_classes(table.rows, table.row_class).items():
        assert np.array_equal(values, arrays("models/symop/walk/descriptions")[name]), name
    after = np.where(table.next >= 0, table.next, len(table))
    assert (np.append(table.order, 999)[after] > table.order[:, None]).all()  # what the exact sums stand on


def test_sets_outside_every_standard_setting_have_no_class():
    translations = [VOCAB.lookup(np.eye(3, dtype=int), w, 0) for w in ([12, 0, 0], [0, 12, 12], [12, 12, 12])]
    row = np.zeros(VOCAB.size, bool)
    row[[VOCAB.identity[0], *(t for t in translations if t < VOCAB.size)]] = True
    assert states().of(row) == -1 or closure(row) is not None


# likelihood


def test_probabilities_of_all_classes_sum_to_one():
    log_p = class_log_probabilities(NET, params(), species(SPECIES))
    assert np.allclose(np.exp(log_p).sum(1), 1, atol=1e-9)
    assert np.abs(log_p[0] - log_p[1]).max() > 0.01  # elements matter
    assert np.allclose(log_p[:1], class_log_probabilities(NET, params(), species(SPECIES[:1, ::-1])), atol=1e-6)


@pytest.mark.slow
def test_bound_is_below_the_exact_likelihood():
    """The mean over chains of what training minimises is at least minus the exact log-likelihood, and near where chains are few."""
    table = states()
    exact = class_log_probabilities(NET, params(), species(SPECIES[:1]))[0]
    for number in (1, 3, 10, 62, 99):
        row = rows_of_sets(np.flatnonzero(setting_members(number))[None])[0]
        bank = build_chain_bank(np.array([row]), num_chains=150, seed=1)
        which = np.nonzero(np.arange(bank.chain.shape[2]) < bank.length[0][:, None])
        out = output(bank.chain[0][which], species(SPECIES[:1]))
        nll = np.asarray(walk.step_nll(out, bank.missing[0][which].astype(np.float32)))
        bound, true = -nll.sum() / 150, exact[table.row_class[row]]
        assert bound < true + 0.05 and bound > true - 4, (number, bound, true)
        if number == 1:
            assert abs(bound - true) < 1e-4


def test_chains_are_subgroup_chains():
    table = states()
    targets = rows_of_sets(
        np.stack(
            [
                np.pad(np.flatnonzero(setting_members(n)), (0, 192 - setting_members(n).sum()), constant_values=800)
                for n in (62, 166, 225)
            ]
        )
    )
    bank = build_chain_bank(targets, num_chains=5, seed=2)
    for s, c in np.ndindex(*bank.length.shape):
        chain = bank.chain[s, c, : bank.length[s, c]]
        assert chain[0] == 0 and chain[-1] == table.row_class[targets[s]]
        for k, (low, high) in enumerate(itertools.pairwise(chain)):
            column = int(np.flatnonzero(table.next[low] == high)[0])
            assert bank.missing[s, c, k, column] > 0
            assert bank.missing[s, c, k].sum() == table.order[chain[-1]] - table.order[low]
        assert bank.missing[s, c, len(chain) - 1].sum() == 0
    with pytest.raises(DataError, match="standard setting"):
        rows_of_sets(np.array([[0, 5, 6]]))


def test_the_sampler_draws_the_exact_distribution_and_keeps_to_demands():
    """Free walks end where the exact sum says (4 sigma); under a demand they end nowhere else, with renormalised steps."""
    num = 4000
    z = np.repeat(species(SPECIES[:1]), num, 0)
    demands = demands_of(Request(), max_orbits=20, max_atoms=192)
    final, failed, passed = draw_walks(NET, params(), jax.random.key(0), z, demands)
    p = np.exp(class_log_probabilities(NET, params(), species(SPECIES[:1]))[0])
    counts = np.bincount(final, minlength=len(p))
    assert not failed.any() and (passed[:, 0] == 0).all() and (passed[:, -1] == final).all()
    assert (np.abs(counts - num * p) <= 4 * np.sqrt(num * p * (1 - p)) + 2).all()
    chiral = demands_of(Request(chiral=True), max_orbits=20, max_atoms=192)
    final, failed, _ = draw_walks(NET, params(), jax.random.key(1), z[:256], chiral)
    assert not failed.any() and chiral.targets[final].all() and not chiral.targets.all()
    one = demands_of(Request(groups=(76,)), max_orbits=20, max_atoms=192)
    final, _, _ = draw_walks(NET, params(), jax.random.key(1), z[:16], one)
    assert set(one.hand(states().number[final], seed=0).tolist()) == {76}  # its mirror image P4_3 is the same class


def test_a_trace_is_nested_sets_of_operations():
    z = np.repeat(species(SPECIES[:1]), 32, 0)
    _, _, passed = draw_walks(NET, params(), jax.random.key(3), z, demands_of(Request(), max_orbits=20, max_atoms=192))
    for row in passed:
        sets = nested_sets(row)
        keys = [{(W.tobytes(), w.tobytes()) for W, w in zip(one.W, one.w, strict=True)} for one in sets]
        assert len(keys[0]) == 1 and all(low < high for low, high in itertools.pairwise(keys))
        assert len(sets) == 1 + int((row[1:] != row[:-1]).sum())


# labels


def test_group_labels_in_the_data_change_nothing_that_the_model_sees():
    """Permuting the table of sets, the only place where types have an order, permutes indices and no array that enters the loss."""
    numbers = (2, 62, 166, 225)
    tables = [table_of_members(np.stack([setting_members(n) for n in order])) for order in (numbers, numbers[::-1])]
    made = [task.make_constants(table, chains=3, conjugates=0.5) for table in tables]
    for s in range(4):
        for name in ("chain", "length", "missing"):
            first, second = (getattr(m.bank, name)[m.described[i]] for m, i in zip(made, (s, 3 - s), strict=True))
            width = min(first.shape[2], second.shape[2]) if first.ndim > 2 else None
            assert np.array_equal(
                first[..., :width] if width is None else first[:, :, :width],
                second if width is None else second[:, :, :width],
            )
    assert all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(made[0].walk), jax.tree.leaves(made[1].walk), strict=True)
    )
    # and the walk reads no index of a class: classes in another order give the same logits
    own, order = walk.walk_inputs(), np.random.default_rng(0).permutation(len(states()))
    place = np.argsort(order)
    renamed = own._replace(
        contexts=SetContexts(*(leaf[order] for leaf in own.contexts)),
        next=np.where(own.next >= 0, place[own.next], -1)[order],
    )
    state, z = np.array([0, 40, 300]), species(SPECIES)
    before, after = output(state, z), output(place[state], z, jax.tree.map(jnp.asarray, renamed))
    np.testing.assert_allclose(before.next, after.next, atol=1e-4)
    np.testing.assert_allclose(before.stop, after.stop, atol=1e-4)
