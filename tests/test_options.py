"""Options from configurations: one helper for all models, and what shipped weights say they were trained with."""

import dataclasses
import json
import re

import jax.numpy as jnp
import pytest

from configs import formation_energy, symmcd, symop, wyckoff_transformer, wyckoffaugen, wycryst
from symjax.errors import ConfigError, SymjaxError
from symjax.models.regression import task as regression_task
from symjax.models.symmcd import task as symmcd_task
from symjax.models.symop import network as operations
from symjax.models.symop.geometry import task as geometry
from symjax.models.wyckoff_transformer import task as wyckoff_task
from symjax.models.wyckoffaugen import task as augen_task
from symjax.models.wycryst import task as wycryst_task
from symjax.options import options_of
from symjax.train.config import differences, flat
from symjax.train.interface import weighted_sum
from symjax.train.weights import load_params, shipped_weights, to_json

MODELS = {  # section -> (its configuration, its reader)
    "operations": (symop.get_config("tiny"), operations.options_from_config),
    "geometry": (symop.get_config("tiny,part=geometry"), geometry.options_from_config),
    "symmcd": (symmcd.get_config("tiny"), symmcd_task.options_from_config),
    "wyckoff_transformer": (wyckoff_transformer.get_config("tiny"), wyckoff_task.options_from_config),
    "wyckoffaugen": (wyckoffaugen.get_config("tiny"), augen_task.options_from_config),
    "wycryst": (wycryst.get_config("tiny"), wycryst_task.options_from_config),
    "regression": (formation_energy.get_config("tiny"), regression_task.options_from_config),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_tells_missing_and_unknown_fields_alike(name):
    config, read = MODELS[name]
    section = config.model[name]
    from_json = json.loads(to_json(config))["model"][name]
    assert read(from_json) == read(section) and hash(read(from_json))  # lists of the JSON are tuples again
    with pytest.raises(ConfigError, match=rf"^config\.model\.{name} lacks \w+, \w+"):
        read({})
    first = next(iter(dict(section)))
    without = {k: v for k, v in section.items() if k != first}
    with pytest.raises(
        ConfigError, match=rf"^config\.model\.{name} lacks {first}; has unknown widht \(fields are .*{first}"
    ):
        read(without | {"widht": 3})
    with pytest.raises(ConfigError, match=rf"^config\.model\.{name} has {first} = None, not "):
        read(without | {first: None})


@dataclasses.dataclass(frozen=True)
class Inner:
    width: int
    shape: tuple[tuple[int, int], ...]
    added: bool = False


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    rate: float


def test_conversions_and_defaults():
    made = options_of(Outer, {"rate": 1, "width": 3, "shape": [[1, 2]]}, "model.toy")
    assert made == Outer(Inner(3, ((1, 2),), False), 1.0) and type(made.rate) is float
    assert options_of(Outer, {"rate": 1, "width": 3, "shape": (), "added": True}, "model.toy").inner.added
    for field, value in (("width", 3.0), ("width", True), ("rate", "1"), ("added", 1), ("shape", 3)):
        section = {"rate": 1, "width": 3, "shape": ()} | {field: value}
        with pytest.raises(ConfigError, match=re.escape(f"config.model.toy has {field} = {value!r}, not ")):
            options_of(Outer, section, "model.toy")


SHIPPED = {
    "symop/operations": symop.get_config("small"),
    "symop/geometry": symop.get_config("small,part=geometry"),
    "symop/flow": symop.get_config("small,part=flow"),
    "symmcd": symmcd.get_config("small"),
    "wyckoff_transformer": wyckoff_transformer.get_config("small"),
    "wyckoffaugen": wyckoffaugen.get_config("small"),
}


STAGED = {
    "symop/flow": ("train.learning_rate",),
    "symop/operations": (
        "train.learning_rate",
        "train.warmup",
        "train.freeze",
        "model.operations.dropout",
        "model.operations.conjugates",
    ),
}
"""Trained in several runs, each from the weights of the one before (docs/measurements.md); what the last one had for itself."""


@pytest.mark.parametrize("name", SHIPPED)
def test_presets_are_what_the_shipped_weights_were_trained_with(name):
    """`small` would resume that run: no field differs, the length and cadences included."""
    _, trained = load_params(shipped_weights(name))
    old, new = flat(trained), flat(SHIPPED[name])
    if name in STAGED:
        own = tuple(f"config.{field}:" for field in ("train.init_from", *STAGED[name]))
        assert [line for line in differences(old, new) if not line.startswith(own)] == []
        return
    assert differences(old, new) == []
    for field in old.keys() - {"data.train", "data.val"}:
        assert old[field] == new[field], field
    assert json.loads((shipped_weights(name) / "metrics.json").read_text())["step"] == new["train.steps"]


def test_terms_and_weights_go_together():
    terms = {"a": jnp.asarray(2.0), "b": jnp.asarray(3.0)}
    assert float(weighted_sum(terms, {"a": 1.0, "b": 0.5})) == 3.5
    with pytest.raises(SymjaxError, match=r"terms without weight: \['b'\]; weights without term: \['renamed'\]"):
        weighted_sum(terms, {"a": 1.0, "renamed": 0.5})
