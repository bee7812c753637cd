"""Conditions: missing labels are unknown, dropout hides crystal by crystal, and what is hidden cannot be read."""

import jax
import numpy as np
import pytest

from symjax.errors import DataError
from symjax.nn.conditions import absent, conditions_of, drop

B = 20_000


@pytest.fixture(scope="module")
def conditions():
    energy = np.linspace(0.1, 0.2, B)
    energy[::4] = np.nan
    system = np.ones((B, 3), np.int64)
    system[::5, 1] = -1
    return conditions_of({"energy": energy, "system": system})


def test_missing_labels_are_unknown(conditions):
    energy, system = conditions["energy"], conditions["system"]
    assert energy.value.dtype == np.float32 and system.value.dtype == np.int32
    np.testing.assert_array_equal(energy.known, np.arange(B) % 4 != 0)
    np.testing.assert_array_equal(system.known, np.arange(B) % 5 != 0)
    assert (
        not energy.value[~energy.known].any() and not system.value[~system.known].any() and system.value.shape == (B, 3)
    )
    with pytest.raises(DataError, match="'gap' has no value for any of 4"):
        conditions_of({"gap": np.full(4, np.nan)})


def test_dropout(conditions):
    key = jax.random.key(1)
    seen = jax.jit(lambda k: drop(conditions, k, 0.2))(key)
    for name, condition in seen.items():
        before = conditions[name]
        assert not (condition.known & ~before.known).any()
        assert condition.known[before.known].mean() == pytest.approx(0.8, abs=0.02)
        assert not np.asarray(condition.value)[~condition.known].any()
        np.testing.assert_array_equal(
            np.asarray(condition.value)[condition.known], before.value[np.asarray(condition.known)]
        )
    both = conditions["energy"].known & conditions["system"].known
    hidden = [~np.asarray(seen[name].known)[both] for name in seen]
    assert np.mean(hidden[0] & hidden[1]) == pytest.approx(0.04, abs=0.01)  # independent
    joint = [~np.asarray(c.known)[both] for c in drop(conditions, key, 0.2, together=True).values()]
    np.testing.assert_array_equal(*joint)
    alone = drop({"energy": conditions["energy"]}, key, 0.2)["energy"]
    np.testing.assert_array_equal(alone.known, seen["energy"].known)  # another condition changes nothing
    assert (
        np.asarray(drop(conditions, jax.random.key(2), 0.2)["energy"].known) != np.asarray(seen["energy"].known)
    ).any()


def test_ends(conditions):
    kept, gone = drop(conditions, jax.random.key(0), 0.0), drop(conditions, jax.random.key(0), 1.0)
    jax.tree.map(np.testing.assert_array_equal, kept, conditions)
    jax.tree.map(np.testing.assert_array_equal, gone, absent(conditions))
    assert not any(c.known.any() or c.value.any() for c in absent(conditions).values())
