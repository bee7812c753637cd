"""The operation flow without its networks: representation, couplings, snapping, regularisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.groups.identify import identify
from symjax.groups.primitive import primitive_form
from symjax.groups.setting import find_setting
from symjax.groups.tables import standard_setting
from symjax.models.symop.flow import process as p
from symjax.models.symop.flow.regularisers import rotation_defects, translation_defects
from symjax.models.symop.flow.representation import (
    ORDERS,
    lattice_coordinates,
    niggli,
    opset_of,
    proper_alphabet,
    relabellings,
)
from symjax.models.symop.flow.snap import snap
from symjax.ops import exact
from symjax.ops.types import DEN

SAMPLE = (
    1,
    2,
    5,
    9,
    14,
    15,
    19,
    33,
    62,
    70,
    88,
    96,
    122,
    136,
    141,
    146,
    148,
    152,
    161,
    166,
    167,
    176,
    190,
    194,
    198,
    206,
    214,
    220,
    225,
    227,
    230,
)


def reduced(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(W, w, metric) of a type in the Niggli basis of a random lattice that has it."""
    form = primitive_form(standard_setting(number))
    A = np.random.default_rng([seed, number]).normal(size=(3, 3)) + 2 * np.eye(3)
    G = A.T @ A
    G = (np.swapaxes(form.W, 1, 2) @ G @ form.W).mean(0)
    G /= np.cbrt(np.linalg.det(G))
    P = niggli(G[None])[0]
    inverse = exact.inverse_matrix(P)
    return inverse @ form.W @ P, form.w @ inverse.T * DEN // form.den % DEN, P.T @ G @ P


def broken(W: np.ndarray, w: np.ndarray, rng: np.random.Generator, num: int) -> tuple[np.ndarray, np.ndarray]:
    """The set with another origin and some operations spoilt: repeated, or moved anywhere."""
    shift = rng.integers(0, DEN, 3)
    W, w = W.copy(), (w + (W - np.eye(3, dtype=int)) @ shift) % DEN
    for row in rng.choice(len(W), num, replace=False):
        if rng.random() < 0.5:
            w[row] = rng.integers(0, DEN, 3)
        else:
            W[row] = W[rng.integers(len(W))]
    return W, w


def round_trip(number: int) -> None:
    W, w, G = reduced(number)
    assert np.abs(W).max() == 1
    opset = opset_of(W, w)
    setting = find_setting(opset, metric=G)
    assert setting.number == number
    standard = setting.matrix.T @ G @ setting.matrix
    for g in np.asarray(standard_setting(number).W):
        np.testing.assert_allclose(g.T @ standard @ g, standard, atol=1e-8)


@pytest.mark.parametrize("number", SAMPLE[::3])
def test_round_trip_to_the_standard_setting(number):
    round_trip(number)


@pytest.mark.slow
def test_round_trip_of_every_type():
    for number in range(1, 231):
        round_trip(number)


def test_niggli_cell_is_unique_and_reduced():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(200, 3, 3))
    A[:60] = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]  # face-centred: many reduced bases, one Niggli cell
    G = np.swapaxes(A, 1, 2) @ A
    shear = np.array([[1, 2, -1], [0, 1, 3], [0, 0, 1]])
    other = shear.T @ G @ shear
    cells = [np.swapaxes(niggli(M), 1, 2) @ M @ niggli(M) for M in (G, other)]
    np.testing.assert_allclose(cells[0], cells[1], atol=1e-8 * np.abs(G).max())
    lengths = np.diagonal(cells[0], axis1=1, axis2=2)
    assert (np.diff(lengths, axis=1) >= -1e-4 * lengths[:, 1:]).all()
    assert (2 * np.abs(cells[0][:, 0, 1]) <= lengths[:, 0] * (1 + 1e-3)).all()
    assert (np.linalg.det(niggli(G)) > 0).all()


def test_alphabet_holds_every_rotation_of_finite_order_with_small_entries():
    W = proper_alphabet()
    assert len(W) == 792 and (W[0] == np.eye(3)).all()  # 1,584 with the improper ones
    assert (exact.determinant(W.astype(np.int64)) == 1).all()
    assert (np.linalg.matrix_power(W.astype(np.int64), 12) == np.eye(3)).all()


def test_relabelling_acts_on_lattice_and_operations_alike():
    Q, D = relabellings()
    assert len(np.unique(Q.reshape(24, 9), axis=0)) == 24
    W, w, G = reduced(152)
    k = lattice_coordinates(G[None])[0]
    for q, d in zip(Q, D, strict=True):
        np.testing.assert_allclose(lattice_coordinates((q.T @ G @ q)[None])[0], d @ k, atol=1e-9)
        # proper relabellings keep the hand of a chiral type
        assert identify(opset_of(q.T @ W @ q, w @ q % DEN)).number == 152
    R = np.asarray(p.rotations(jnp.asarray(W[None]), jnp.asarray(k[None], jnp.float32)))[0]
    np.testing.assert_allclose(np.swapaxes(R, 1, 2) @ R, np.broadcast_to(np.eye(3), R.shape), atol=1e-5)


def test_lattice_labels_are_canonical_and_nearest():
    key = jax.random.key(0)
    k0, k1 = (0.3 * jax.random.normal(k, (64, 5)) for k in jax.random.split(key))
    domain = p.relabel_lattice(k0, p.canonical_label(k0))
    for label in (3, 11, 20):
        other = p.relabel_lattice(k0, jnp.full(64, label))
        np.testing.assert_allclose(p.relabel_lattice(other, p.canonical_label(other)), domain, atol=1e-6)
        assert not np.allclose(other, k0, atol=1e-2)
    near = p.relabel_lattice(k1, p.nearest_label(k0, k1))
    every = jnp.stack([p.relabel_lattice(k1, jnp.full(64, label)) for label in range(24)])
    best = jnp.min(jnp.sum((every - k0) ** 2, -1), 0)
    np.testing.assert_allclose(jnp.sum((near - k0) ** 2, -1), best, atol=1e-5)


def test_near_isometries_of_a_lattice_hold_its_whole_group():
    for number in (2, 47, 166, 194, 225, 229):
        W, _, G = reduced(number)
        k = jnp.asarray(lattice_coordinates(G[None]), jnp.float32)
        found, R, defect = p.candidates(k)
        hit = (np.asarray(found)[0][None] == W[:, None]).all((-1, -2))
        assert hit.any(1).all()
        assert np.asarray(defect)[0][hit.any(0)].max() < 1e-4
        gram = np.swapaxes(np.asarray(R), -1, -2) @ np.asarray(R) - np.eye(3)
        np.testing.assert_allclose((gram**2).sum((-1, -2)), defect, atol=1e-3, rtol=1e-3)


def test_assignment_uses_each_column_once():
    score = jax.random.normal(jax.random.key(0), (5, 6, 9))
    mask = jnp.arange(6) < jnp.array([6, 4, 1, 3, 6])[:, None]
    found = np.asarray(p.greedy_assignment(score, mask))
    assert all(len(set(row)) == 6 for row in found.tolist())
    best = np.asarray(jnp.where(mask[..., None], score, -9)).reshape(5, -1).argmax(1)
    assert (found[np.arange(5), best // 9] == best % 9).all()
    wanted = 2 * score.at[:, :, 0].add(1.0)
    share = np.asarray(p.assigned(wanted, mask))
    assert share.sum(1).max() < 1.35 and np.allclose(share.sum(-1), mask, atol=1e-5)
    alone = np.asarray(jax.nn.softmax(wanted, -1) * mask[..., None]).sum(1).max()
    assert alone > 2  # without the assignment several tokens would share one element


@pytest.mark.parametrize("number", (62,))
def test_origin_shifts(number):
    W, w, _ = reduced(number)
    shift = np.array([[5, 11, 2]])
    jW, jw, mask = jnp.asarray(W[None], jnp.int32), jnp.asarray(w[None], jnp.int32), jnp.ones((1, len(W)), bool)
    moved = p.shifted(jW, jw, jnp.asarray(shift))
    assert (np.asarray(moved) != w).any()
    assert identify(opset_of(W, np.asarray(moved)[0])).number == number
    # noise that is nearly the phases of another origin leads back to it
    near = p.phases(moved) * (1 + 0.05j)
    back = p.shifted(jW, jw, p.nearest_origin(jW, jw, near, mask))
    np.testing.assert_array_equal(back, moved)
    # votes move with the origin as the phases do
    table = p.product_table(jW, mask)
    assert np.asarray(table[1]).all()
    U = 0.9 * p.phases(jax.random.randint(jax.random.key(2), (1, len(W), 3), 0, DEN))[..., None]
    turn = p.phases(p.shifted(jW, jnp.zeros_like(jw), jnp.asarray(shift)))[..., None]
    np.testing.assert_allclose(p.votes(U * turn, jW, table, mask), p.votes(U, jW, table, mask) * turn, atol=1e-5)
    np.testing.assert_allclose(p.votes(p.phases(jw)[..., None], jW, table, mask)[..., 0], p.phases(jw), atol=1e-5)


@pytest.mark.parametrize("number", (8, 62, 227))
def test_noise_and_data_have_one_canonical_origin(number):
    W, w, _ = reduced(number)
    W, w = (jnp.asarray(np.repeat(a[None], 8, 0), jnp.int32) for a in (W, w))
    mask, keys = jnp.ones(W.shape[:2], bool), jax.random.split(jax.random.key(number), 3)
    z = jax.lax.complex(*(jax.random.normal(k, w.shape) for k in keys[:2]))
    shift = jax.random.randint(keys[2], (8, 3), 0, DEN)

    def canonical(z):
        return z * p.origin_turn(W, p.canonical_origin_of_noise(W, z, mask))

    moved = z * p.origin_turn(W, shift)
    assert float(jnp.abs(moved - z).max()) > 0.1
    np.testing.assert_allclose(canonical(moved), canonical(z), atol=1e-4)
    other = p.shifted(W, w, shift)
    one, two = (p.shifted(W, w, p.canonical_origin(W, w, mask)) for w in (w, other))
    np.testing.assert_array_equal(one, two)
    assert (np.asarray(one) == np.asarray(one)[:1]).all()
    # no origin brings the translations nearer to noise than the one that is found
    near = p.shifted(W, w, p.nearest_origin(W, w, z, mask))
    value = lambda w: np.asarray((jnp.conj(z) * p.phases(w)).real.sum((1, 2)))
    for seed in range(20):
        tried = p.shifted(W, w, jax.random.randint(jax.random.key(100 + seed), (8, 3), 0, DEN))
        assert (value(tried) <= value(near) + 1e-4).all()


@pytest.mark.parametrize("number", SAMPLE)
def test_spoilt_sets_snap_to_the_right_type(number):
    rng = np.random.default_rng(number)
    W, w, _ = reduced(number)
    kept = snap(*broken(W, w, rng, 0))
    assert kept.raw and kept.kept == 1 and identify(kept.opset).number == number
    num = len(W) // 6
    if num:
        mended = snap(*broken(W, w, rng, num))
        assert identify(mended.opset).number == number
        assert mended.kept >= 1 - (num + 0.5) / len(W)


def test_what_cannot_be_mended_is_none_or_a_group():
    rng = np.random.default_rng(0)
    for _ in range(6):
        W = proper_alphabet()[rng.choice(792, 6, replace=False)]
        found = snap(W, rng.integers(0, DEN, (6, 3)))
        assert not found.raw
        if found.opset is not None:
            identify(found.opset)  # raises where the set does not close


@pytest.mark.parametrize("number", (167,))
def test_regularisers_are_zero_on_groups_only(number):
    W, w, G = reduced(number)
    k = jnp.asarray(lattice_coordinates(G[None]), jnp.float32)
    mask, rows = jnp.ones((1, len(W)), bool), jnp.arange(min(8, len(W)))
    R, jW = p.rotations(jnp.asarray(W[None]), k), jnp.asarray(W[None], jnp.int32)
    u = p.phases(jnp.asarray(w[None]))
    for name, value in (rotation_defects(R, mask, rows) | translation_defects(u, jW, mask)).items():
        assert float(value[0]) < 1e-4, name
    for name, value in translation_defects(u, jW, mask).items():
        assert float(value[0]) < 1e-4, name
    noise = 0.2 * jax.random.normal(jax.random.key(0), R.shape)

    def total(noise, name):
        return rotation_defects(R + noise, mask, rows)[name][0]

    for name in ("closure", "inverse", "identity", "compatibility"):
        value, slope = jax.value_and_grad(total)(noise, name)
        assert value > 1e-3 and jnp.abs(slope).max() > 1e-4, name
    turned = u * p.phases(jax.random.randint(jax.random.key(1), w[None].shape, 0, DEN))
    for name, value in translation_defects(turned, jW, mask).items():
        assert float(value[0]) > 1e-2, name
    # the lattice term looks at the predicted lattice: with another one the same operations are no isometries
    other = p.rotations(jnp.asarray(W[None]), k + 0.2 * jax.random.normal(jax.random.key(2), k.shape))
    assert float(rotation_defects(other, mask, rows)["compatibility"][0]) > 1e-2


def test_orders_are_those_of_point_groups():
    assert {len(primitive_form(standard_setting(number)).W) for number in range(1, 231)} == set(ORDERS)
