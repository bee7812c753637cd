"""Sampling Wyckoff representations: always valid when masked, the network's own distribution, requests met, no recompilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.errors import InputError
from symjax.models.wyckoff_transformer import sample as sampling
from symjax.models.wyckoff_transformer.conditions import Conditions, element_mask, prefix_tokens
from symjax.models.wyckoff_transformer.likelihood import log_likelihood
from symjax.models.wyckoff_transformer.network import Context, NetworkOptions, WyckoffNet, init_params
from symjax.models.wyckoff_transformer.sample import sample
from symjax.models.wyckoff_transformer.tokens import MAX_SITES, tables
from symjax.models.wyckoff_transformer.vocabulary import vocabulary

NAMES = vocabulary("mp20")
OPTIONS = NetworkOptions(
    vocabulary=NAMES.sizes,
    start=len(NAMES.columns),
    embedding=(4, 4, 2),
    num_layers=1,
    num_heads=2,
    feed_forward=8,
    dropout=0.0,
)
ALL = np.arange(1, 231)
FIRST_HEAD = jax.jit(lambda params, context: WyckoffNet(OPTIONS).apply(params, context, head=0))
SMALL = sampling.BATCH - 1  # rows of a request that compiles one program only


@pytest.fixture(scope="module")
def params():
    """Random numbers of the right shapes (drawing them as training does would be compiled for seconds)."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: init_params(OPTIONS, key), jax.random.key(0))
    random = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape, scale=0.25), jnp.float32), shapes)
    return random | {"stats": {"start": jnp.asarray(NAMES.start_features())}}


def biased(params, by=30.0, **tokens):
    """Params whose heads prefer some tokens; by 30 so much that they are (nearly) all that is drawn."""
    out = jax.tree.map(lambda a: a, params)
    for name, preferred in tokens.items():
        layer = out["params"][f"head_{name}"]["layer_2"]
        out["params"][f"head_{name}"]["layer_2"] = layer | {"bias": layer["bias"].at[np.array(preferred)].add(by)}
    return out


def draw(params, number, seed=0, **options):
    return sample(params, OPTIONS, jax.random.key(seed), np.asarray(number), vocabulary=NAMES, **options)


def symbols_of(sampled, row):
    return [
        NAMES.elements[t] for t, real in zip(sampled.tokens.element[row], sampled.tokens.mask[row], strict=True) if real
    ]


def test_masked_samples_of_every_group_are_valid(params):
    """Untrained, so nothing but the masks can make them so; STOP is made likely enough that lengths vary."""
    often = biased(params, by=2.5, element=[NAMES.stop[0]])
    for heat in (1.0, 30.0):
        drawn = draw(often, ALL, temperature=heat)
        decoded = drawn.decode()
        assert decoded.valid.all() and drawn.stopped.all()
        length = drawn.tokens.mask.sum(axis=1)
        assert length.min() == 1 and length.max() <= MAX_SITES
        assert (drawn.tokens.pos[drawn.tokens.mask] >= 0).all()
        known = tables(NAMES)
        for row, number in enumerate(ALL):
            real = drawn.tokens.mask[row]
            site, enum = drawn.tokens.site[row][real], drawn.tokens.enum[row][real]
            assert known.enum_ok[number, site, enum].all()
            fixed = drawn.tokens.pos[row][real][known.freedom[number, site, enum] == 0]
            assert len(set(fixed.tolist())) == len(fixed)


@pytest.mark.slow
def test_unmasked_samples_are_counted_by_reason(params):
    drawn = draw(params, ALL, masked=False)
    decoded = drawn.decode()
    counts = decoded.counts()
    assert sum(counts.values()) == 230 and counts["valid"] < 60 and counts["no such position in the space group"] > 20
    assert not drawn.stopped.all()  # without a STOP all slots are filled
    assert drawn.tokens.mask[~drawn.stopped].all()


@pytest.mark.slow
def test_the_network_s_own_distribution(params):
    """Whole sequences, STOP included, occur as often as the exact likelihood says."""
    few = biased(params, element=[3, 87, NAMES.stop[0]], site=[60, 61], enum=[0, 1])
    many = [draw(few, np.full(SMALL, 225), masked=False, seed=seed) for seed in range(8)]
    tokens = jax.tree.map(lambda *parts: np.concatenate(parts), *(drawn.tokens for drawn in many))
    stopped = np.concatenate([drawn.stopped for drawn in many])
    text = np.concatenate([tokens.element, tokens.site, tokens.enum], axis=1)
    _, rows, count = np.unique(text, axis=0, return_index=True, return_counts=True)
    rows, count = rows[count >= 20], count[count >= 20]
    assert len(rows) > 5
    tokens = tokens.take(rows)
    assert stopped[rows].all()
    # likelihoods count a STOP in all three fields; sampling ends at the first, and no other field is likely to end it here
    mask = jnp.tile(jnp.array(NAMES.mask, jnp.int32), (len(rows), 1))
    start = jnp.asarray(NAMES.start_features())[tokens.number]
    logits = FIRST_HEAD(few, Context(start, tokens.element, tokens.site, tokens.enum, tokens.mask, mask))
    stop = np.asarray(jax.nn.log_softmax(logits), np.float64)[:, NAMES.stop[0]]
    p = np.exp(log_likelihood(few, OPTIONS, tokens, stopped=np.zeros(len(rows), bool)) + stop)
    np.testing.assert_array_less(np.abs(count / len(text) - p), 4.5 * np.sqrt(p * (1 - p) / len(text)))


def test_masked_first_site_is_the_restricted_distribution(params):
    few = biased(params, element=[3, 40, 87, NAMES.stop[0], NAMES.pad[0]])
    first = np.concatenate([draw(few, np.full(SMALL, 221), seed=seed).tokens.element[:, 0] for seed in range(4)])
    none = jnp.zeros((1, 1), jnp.int32)
    context = Context(
        jnp.asarray(NAMES.start_features())[jnp.array([221])],
        none,
        none,
        none,
        none > 0,
        jnp.array([NAMES.mask], jnp.int32),
    )
    logits = np.array(FIRST_HEAD(few, context)[0], np.float64)
    logits[NAMES.names[0] :] = -np.inf
    p = np.exp(logits - logits.max())
    p /= p.sum()
    seen = np.bincount(first, minlength=len(p)) / len(first)
    np.testing.assert_array_less(np.abs(seen - p), 4.5 * np.sqrt(p * (1 - p) / len(first)) + 1e-3)
    assert (p[[3, 40, 87]] > 0.02).all()


def test_one_set_of_programs_serves_all_groups_and_requests(params):
    sampling.draw_site.clear_cache()
    draw(params, [225, 1], temperature=1.0)
    for number in (2, 47, 123, 230):
        draw(params, np.full(30, number), temperature=0.5 + number / 100)
    given = prefix_tokens([("Na", "4a")], 225, NAMES)
    draw(params, [225] * 3, conditions=Conditions(prefix=given, required=element_mask(["Cl"], NAMES), max_sites=3))
    draw(params, [7], conditions=Conditions(allowed=element_mask(["O", "Ti"], NAMES), min_sites=2))
    assert sampling.draw_site._cache_size() == 1
    draw(params, [225], masked=False)
    assert sampling.draw_site._cache_size() == 2


def test_a_row_does_not_depend_on_the_others(params):
    whole = draw(params, ALL, seed=3)
    part = draw(params, ALL[:70], seed=3)
    np.testing.assert_array_equal(whole.tokens.element[:70], part.tokens.element)
    np.testing.assert_array_equal(whole.tokens.pos[:70], part.tokens.pos)
    other = draw(params, ALL, seed=4)
    assert (other.tokens.element != whole.tokens.element).any()


def test_batches_hold_every_row_once():
    for num, slot, many in (
        (5, 0, False),
        (700, 2, True),
        (700, 2, False),
        (513, 15, True),
        (64, 20, False),
        (1300, 4, True),
    ):
        rows = np.arange(num) * 3
        parts = sampling.plan_batches(rows, slot, many=many)
        np.testing.assert_array_equal(np.concatenate([real for real, _, _ in parts]), rows)
        for real, padded, width in parts:
            assert width >= slot and set(padded) == set(real)
            shape = (len(padded), width)
            assert shape == sampling.REST or (many and shape in [(sampling.BATCH, w) for w in sampling.WIDTHS])


POOL = ("Na", "Cl", "O", "Ti", "Fe")


@settings(max_examples=25)
@given(
    number=st.integers(1, 230),
    asked=st.lists(st.sampled_from(POOL), unique=True),
    more=st.lists(st.sampled_from(POOL), unique=True),
    low=st.integers(1, 4),
    extra=st.integers(0, 3),
    heat=st.sampled_from([0.2, 1.0, 5.0]),
)
def test_requests_are_met(params, number, asked, more, low, extra, heat):
    most = max(low, len(asked)) + extra
    allowed = sorted(set(asked) | set(more)) or list(POOL)
    wanted = Conditions(
        allowed=element_mask(allowed, NAMES),
        required=element_mask(asked, NAMES) if asked else None,
        min_sites=low,
        max_sites=most,
    )
    drawn = draw(params, [number] * 8, conditions=wanted, temperature=heat)
    assert drawn.decode().valid.all()
    for row in range(8):
        present = symbols_of(drawn, row)
        assert low <= len(present) <= most and set(asked) <= set(present) <= set(allowed)
        assert set(present[: len(asked)]) == set(asked), (
            "required elements first, so that no crystal grows while it waits for them"
        )


def test_given_orbits_come_first_and_are_not_filled_again(params):
    orbits = [("Na", "4a"), ("Cl", "b"), ("O", "24e")]
    given_tokens = prefix_tokens(orbits, 225, NAMES)
    drawn = draw(params, [225] * 60, conditions=Conditions(prefix=given_tokens), temperature=3.0)
    decoded = drawn.decode()
    assert decoded.valid.all()
    np.testing.assert_array_equal(drawn.tokens.element[:, :3], np.tile(given_tokens[:, 0], (60, 1)))
    assert (decoded.z[:, :3] == [11, 17, 8]).all()
    assert not np.isin(decoded.pos[:, 3:][decoded.z[:, 3:] > 0], decoded.pos[0, :2]).any()
    published = draw(params, [225] * 5, conditions=Conditions(prefix=given_tokens), masked=False)
    assert (published.tokens.element[:, :3] == given_tokens[:, 0]).all()


def test_low_temperature_draws_the_likeliest(params):
    drawn = draw(params, [62] * 6, temperature=1e-6, conditions=Conditions(max_sites=2))
    assert len({tuple(row) for row in drawn.tokens.element.tolist()}) == 1


@pytest.mark.parametrize(
    "orbits, words",
    [
        (
            [("Na", "4a"), ("Cl", "4a")],
            "position 4a of space group 225 has no free coordinate and holds one orbit, but Na, Cl",
        ),
        ([("Na", "a"), ("Na", "4a")], "position 4a of space group 225"),
    ],
)
def test_an_impossible_prefix_is_refused(params, orbits, words):
    with pytest.raises(InputError, match=words):
        draw(params, [225], conditions=Conditions(prefix=prefix_tokens(orbits, 225, NAMES)))


@pytest.mark.parametrize(
    "orbits, words",
    [
        ([("Xx", "4a")], "outside the vocabulary"),
        ([("Ra", "4a")], "outside the vocabulary"),
        ([("Na", "4m")], "has the positions 4a 4b 8c"),
        ([("Na", "8a")], "so it is 4a"),
        ([("Na", "4")], "has the positions"),
        ([("Na", "-4a")], "has the positions"),
    ],
)
def test_a_prefix_that_names_nothing_is_refused(orbits, words):
    with pytest.raises(InputError, match=words):
        prefix_tokens(orbits, 225, NAMES)


def test_a_prefix_outside_the_vocabulary():
    with pytest.raises(InputError, match="no token for the site symmetry of position 2a of space group 211"):
        prefix_tokens([("Na", "2a")], 211, NAMES)


def test_what_cannot_be_met_is_refused(params):
    given_tokens = prefix_tokens([("Na", "4a")], 225, NAMES)
    three = element_mask(["O", "Ti", "Fe"], NAMES)
    for words, number, options in (
        ("space group 231", [231], {}),
        ("space group 0", [0], {}),
        ("integer", [1.5], {}),
        ("at least one", [], {}),
        ("temperature", [1], {"temperature": 0.0}),
        ("temperature", [1], {"temperature": np.ones((3, 2))}),
        ("space group 2 has no position", [2], {"conditions": Conditions(prefix=given_tokens)}),
        ("tokens below", [225], {"conditions": Conditions(prefix=given_tokens + 200)}),
        ("not allowed: O", [1], {"conditions": Conditions(allowed=element_mask(["Ti", "Fe"], NAMES), required=three)}),
        ("elements that are not allowed: Na", [225], {"conditions": Conditions(allowed=three, prefix=given_tokens)}),
        ("3 more elements are required", [1], {"conditions": Conditions(required=three, max_sites=2)}),
        ("no element is allowed", [1], {"conditions": Conditions(allowed=np.zeros(NAMES.sizes[0], bool))}),
        ("bounds within", [1], {"conditions": Conditions(min_sites=3, max_sites=2)}),
        ("bounds within", [225], {"conditions": Conditions(prefix=np.tile(given_tokens, (3, 1)), max_sites=2)}),
        ("unmasked", [1], {"conditions": Conditions(required=three), "masked": False}),
    ):
        with pytest.raises(InputError, match=words):
            draw(params, number, **options)


@pytest.mark.slow
def test_many_rows_use_the_large_programs_and_give_the_same(params):
    """Programs of other padded sizes round differently, so that a few rows in a thousand may take another way."""
    number = np.resize(ALL, 1500)
    many = draw(params, number, seed=5)
    few = draw(params, number[:500], seed=5)
    assert many.decode().valid.all()
    assert (many.tokens.pos[:500] == few.tokens.pos).all(axis=1).mean() > 0.99
