"""benchmarks/navigation.py runs, agrees with moyopy and pyxtal where it says so, and names what is missing."""

import importlib
import importlib.util

import pytest


@pytest.fixture(scope="module")
def benchmark(repository):
    spec = importlib.util.spec_from_file_location("navigation_benchmark", repository / "benchmarks" / "navigation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missing_library_is_named(benchmark, monkeypatch):
    real = importlib.import_module

    def without(name, *rest):
        if name == "moyopy":
            raise ImportError("no such library", name="moyopy")
        return real(name, *rest)

    monkeypatch.setattr(benchmark.importlib, "import_module", without)
    with pytest.raises(SystemExit, match="moyopy is not installed"):
        benchmark.libraries()


def test_atoms_of_a_cell(benchmark):
    number, _, _, sites = benchmark.CRYSTALS["TiO2, P4_2/mnm to Pnnm"]
    z, x = benchmark.atoms_of(number, sites)
    assert sorted(z.tolist()) == [8, 8, 8, 8, 22, 22] and x.shape == (6, 3)


@pytest.mark.slow
def test_quick_run_agrees(benchmark, capsys):
    rows = benchmark.main(["--quick"])
    text = capsys.readouterr().out
    assert all(row["ours"] > 0 and ("moyopy" in row or "pyxtal" in row) for row in rows)
    assert "differs" not in text and text.count("results agree") == 5
    assert "pyxtal's table lacks: 97 to 22\n" in text
    assert "20 of 20 looked at have exactly no. 14" in text and "20 of 20 looked at have exactly no. 58" in text
