"""Pictures of several generators from their reports: what is in them, and what is refused."""

import json

import pytest

from experiments.model_figures import main, segments


def report(path, groups, reference="a", energies=()):
    distributions = {
        "space groups": {"samples": groups, "reference": {"225": 6, "2": 4}},
        "atoms": {"samples": {"2": 3, "8": 1}, "reference": {"2": 2, "10": 2}},
        "sites": {"samples": {"1": 3}, "reference": {"2": 3}},
    }
    if energies:
        distributions["energy above hull"] = {"samples": list(energies), "reference": [0.0, 0.01]}
    path.write_text(json.dumps({"reference": {"sha256": reference}, "distributions": distributions}))
    return path


def test_pictures(tmp_path, capsys):
    """One picture for each distribution that a report has; a name that is missing is no picture."""
    one = report(tmp_path / "one.json", {"1": 2, "225": 2})
    two = report(tmp_path / "two.json", {"62": 1, "14": 3}, energies=(-0.5, 0.02, 3.0))
    assert main([f"first={one}", f"second={two}", "--out", str(tmp_path / "out")]) == 0
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["symmcd-figure-4.png", "symmcd-figure-5.png", "wyckoff-figures-6-9.png", "wyckoff-figures-7-10.png"]
    assert capsys.readouterr().out.count("\n") == 4


def test_segments():
    """Shares add up to one; the paper's groups come first, then the largest; those without a place are the rest."""
    rows = {"data": {"225": 6, "2": 4}, "ours": {"1": 1, "62": 3, **{str(n): 1 for n in range(75, 120)}}}
    order, shares = segments(rows)
    assert order[:3] == [1, 225, 2] and 62 in order
    assert all(sum(values) == pytest.approx(1) for values in shares.values())
    assert shares["data"][1] == pytest.approx(0.6) and shares["data"][-1] == pytest.approx(0)
    assert shares["ours"][-1] > 0


@pytest.mark.parametrize("kind", ["no name", "no file", "no report", "other reference"])
def test_refused(tmp_path, capsys, kind):
    one = report(tmp_path / "one.json", {"1": 2})
    (tmp_path / "text.json").write_text("[]")
    items = {
        "no name": [str(one)],
        "no file": ["a=absent.json"],
        "no report": [f"a={tmp_path / 'text.json'}"],
        "other reference": [f"a={one}", f"b={report(tmp_path / 'two.json', {'1': 2}, reference='b')}"],
    }[kind]
    assert main([*items, "--out", str(tmp_path / "out")]) == 2
    assert "experiments.model_figures:" in capsys.readouterr().err
