"""Weights on disk: a round trip, whole or absent, and clear errors."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_helpers import config

from symjax.errors import WeightsError
from symjax.train.weights import flatten, load_params, save_params, unflatten

PARAMS = {
    "net": {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "deep": {"b": jnp.ones(2, jnp.bfloat16)}},
    "n": np.arange(3),
}

names = st.text(st.characters(codec="ascii", exclude_characters="/\0"), min_size=1, max_size=5)
trees = st.recursive(
    st.integers(0, 9).map(np.float32), lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3)
)


@settings(max_examples=50)
@given(st.dictionaries(names, trees, min_size=1, max_size=4))
def test_flatten_round_trip(tree):
    assert unflatten(flatten(tree)) == tree


def test_round_trip(tmp_path):
    c = config(train__steps=7)
    folder = save_params(tmp_path / "a" / "weights", PARAMS, c, metrics={"step": 7}, data_hash={"train": "12"})
    params, stored = load_params(folder)
    np.testing.assert_array_equal(params["net"]["w"], PARAMS["net"]["w"])
    assert params["net"]["deep"]["b"].dtype == np.float32 and params["n"].dtype.kind == "i"
    assert stored.to_dict() == c.to_dict()
    with pytest.raises(AttributeError):
        stored.train.typo = 1
    about = json.loads((folder / "metrics.json").read_text())
    assert about["step"] == 7 and about["data_hash"] == {"train": "12"} and about["parameters"] == 11
    assert json.loads((folder / "versions.json").read_text())["jax"]


def test_replaces_an_older_version_and_leaves_nothing_else(tmp_path):
    save_params(tmp_path / "weights", PARAMS, config())
    save_params(tmp_path / "weights", {"x": np.zeros(1)}, config())
    assert set(load_params(tmp_path / "weights")[0]) == {"x"}
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]


def test_tuples_come_back_as_tuples(tmp_path):
    save_params(tmp_path / "w", {"x": np.zeros(1)}, {"buckets": ((1, 2), (3, 4)), "none": ()})
    assert load_params(tmp_path / "w")[1].buckets == ((1, 2), (3, 4))


def test_missing_and_damaged(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights in .*nowhere: it does not exist"):
        load_params(tmp_path / "nowhere")
    folder = save_params(tmp_path / "w", PARAMS, config())
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="damaged"):
        load_params(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"has no config.json"):
        load_params(folder)
    folder = save_params(tmp_path / "w", PARAMS, config())
    (folder / "params.npz").write_bytes((folder / "params.npz").read_bytes()[:100])
    with pytest.raises(WeightsError, match="damaged"):
        load_params(folder)


def test_what_cannot_be_stored(tmp_path):
    with pytest.raises(WeightsError, match="slash"):
        save_params(tmp_path / "w", {"a/b": np.zeros(1)}, config())
    with pytest.raises(WeightsError, match="net/name"):
        save_params(tmp_path / "w", {"net": {"name": "text"}}, config())
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot write weights"):
        save_params(tmp_path / "file" / "w", PARAMS, config())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
