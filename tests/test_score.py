"""Likelihoods by one door: what is refused and why, and that a crystal's value does not depend on the order of its orbits."""

import dataclasses
import json

import numpy as np
import pytest

from symjax import systems
from symjax.cli.main import main
from symjax.errors import InputError
from symjax.generate.likelihood import Scoring, scattered

SCORING = ("symop", "wyckoff_transformer", "wyckoffaugen")


def test_systems_without_a_likelihood_say_why(prototype_dataset):
    assert [name for name in systems.system_names() if isinstance(systems.system(name), Scoring)] == list(SCORING)
    for name in ("symmcd", "wyckoffdiff"):
        with pytest.raises(InputError, match=f"{name} has no likelihood: its diffusion .*symop, wyckoff_transformer"):
            systems.log_likelihood(name, prototype_dataset.subset([0]))
    with pytest.raises(InputError, match="say which by model="):
        systems.log_likelihood("folder", prototype_dataset)
    with pytest.raises(InputError, match="weights of no system"):
        systems.log_likelihood(3.0, prototype_dataset)


def test_rows_without_a_value_have_a_reason():
    found = scattered(
        3, np.array([2]), {"a": np.array([-1.0]), "b": np.array([-2.0])}, "too large", kind="exact", of="x"
    )
    assert np.isnan(found.value[:2]).all() and found.value[2] == -3.0
    assert found.reason == ["too large", "too large", ""]


def test_wrong_output(tmp_path, capsys):
    assert main(["score", "x.npz", "--model", "symop", "--out", str(tmp_path / "a.txt")]) == 2
    assert "must end in .csv or .json" in capsys.readouterr().err


def reversed_orbits(data):
    """The same crystals with their orbits in the opposite order."""
    order = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(data.orbit_start[:-1], data.orbit_start[1:], strict=True)]
    )
    return dataclasses.replace(
        data, orbit_z=data.orbit_z[order], orbit_pos=data.orbit_pos[order], orbit_x=data.orbit_x[order], derived={}
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORING)
def test_order_of_orbits_does_not_matter(name, prototype_dataset):
    rows = np.flatnonzero((prototype_dataset.num_orbits > 1) & (prototype_dataset.num_orbits < 6))[:4]
    data = prototype_dataset.subset(rows)
    weights = systems.system(name).load(None)
    one = systems.log_likelihood(weights, data, orders=400 if name == "wyckoff_transformer" else 2)
    two = systems.log_likelihood(weights, reversed_orbits(data), orders=400 if name == "wyckoff_transformer" else 2)
    live = np.isfinite(one.value)
    assert live.any() and (one.value[live] > -1e4).all()
    np.testing.assert_allclose(one.value[live], two.value[live], atol=0.3 if name == "wyckoff_transformer" else 1e-2)
    np.testing.assert_allclose(sum(one.terms.values())[live], one.value[live])


@pytest.mark.slow
def test_score_command(repository, tmp_path, capsys):
    files = [str(repository / "docs" / "examples" / f"BaTiO3{end}.cif") for end in ("", "-tetragonal")]
    assert main(["score", *files, "--model", "symop", "--out", str(tmp_path / "s.json"), "--workers", "1"]) == 0
    rows = json.loads((tmp_path / "s.json").read_text())["crystals"]
    assert {row["space_group_number"] for row in rows} == {221, 99}
    assert all(
        row["log_likelihood_nats"]
        == pytest.approx(sum(row[f"{n}_nats"] for n in ("species", "walk", "sites")), abs=1e-4)
        for row in rows
    )
    assert "exact, of elements" in capsys.readouterr().out
