"""experiments/derivatives.py prints its three figures."""

import json

import pytest


@pytest.mark.slow
def test_figures(prototype_dataset, repository, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(repository))
    few = ["--num", "5", "--search", "5", "--seed", "1", "--cache", str(tmp_path / "cache.sqlite")]
    monkeypatch.setattr("sys.argv", ["derivatives", "--data", str(tmp_path / "data.npz"), *few])
    from experiments import derivatives

    prototype_dataset.save(tmp_path / "data.npz")
    derivatives.main()
    shown = capsys.readouterr()
    figures = json.loads(shown.out)
    assert "parents" in shown.err and "5/5" in shown.err
    assert figures["parents"]["crystals"] + figures["parents"]["left out"] == 5
    for measure in ("both", "type", "walk"):
        assert 0 < figures["parents"][measure]["mean"] <= 1
    assert figures["distorted"]["of"] == 5
    assert len(figures["BaTiO3"]) == 10 and "P4mm (99)" in figures["BaTiO3"]
    monkeypatch.setattr(derivatives, "own_share", None)  # what was measured is not measured again
    monkeypatch.setattr(derivatives, "taken", None)
    derivatives.main()
    again = json.loads(capsys.readouterr().out)
    assert {**again, "cpu_seconds": 0} == {**figures, "cpu_seconds": 0}
