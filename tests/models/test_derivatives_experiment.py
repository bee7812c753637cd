"""experiments/derivatives.py prints its three figures."""

import json

import pytest


@pytest.mark.slow
def test_figures(prototype_dataset, repository, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(repository))
    few = ["--num", "5", "--search", "5", "--seed", "1"]
    monkeypatch.setattr("sys.argv", ["derivatives", "--data", str(tmp_path / "data.npz"), *few])
    from experiments import derivatives

    prototype_dataset.save(tmp_path / "data.npz")
    derivatives.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["parents"]["crystals"] + figures["parents"]["left out"] == 5
    for measure in ("both", "type", "walk"):
        assert 0 < figures["parents"][measure]["mean"] <= 1
    assert figures["distorted"]["of"] == 5
    assert len(figures["BaTiO3"]) == 10 and "P4mm (99)" in figures["BaTiO3"]
