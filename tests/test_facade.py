"""The names at the top of the package: each has an example, and every example is run."""

import doctest
import subprocess
import sys

import pytest

import symjax
from symjax import facade

HEAVY = ("generate", "log_likelihood")  # draw or score with shipped weights


def examples(name):
    function = getattr(facade, name)
    found = [test for test in doctest.DocTestFinder(recurse=False).find(function, name, globs={}) if test.examples]
    assert found, f"{name} has no example"
    return found


def runs(name, repository, monkeypatch):
    monkeypatch.chdir(repository)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said = []
    for test in examples(name):
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", [name for name in facade.NAMES if name not in HEAVY])
def test_examples(name, repository, monkeypatch):
    runs(name, repository, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_heavy_examples(name, repository, monkeypatch):
    runs(name, repository, monkeypatch)


def test_names():
    assert set(facade.NAMES) == set(symjax.__all__) - {"SymjaxError", "__version__"}
    assert all(callable(getattr(symjax, name)) and name in dir(symjax) for name in facade.NAMES)
    assert all(examples(name) for name in facade.NAMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        symjax.nothing  # noqa: B018
    from symjax.generate.request import Request  # the package is still one

    assert Request().describe() == "nothing"


def test_importing_the_package_imports_none_of_it():
    code = "import symjax, sys; print([m for m in ('jax', 'numpy', 'symjax.facade') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_positions_stand_in_the_order_of_international_tables():
    letters = "abcdefghijklmnopqrstuvwxyzA"
    for number in range(1, 231):
        names = [one.name[-1] for one in symjax.wyckoff_positions(number)]
        assert "".join(names) == letters[: len(names)], number
