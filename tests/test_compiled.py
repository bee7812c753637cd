"""Compiled programs are kept in the user's cache folder, unless the user says otherwise."""

import os

import pytest

from symjax.cli import compiled


@pytest.fixture
def environment(monkeypatch, tmp_path):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE", *compiled.SETTINGS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that what the function sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_on_by_default_in_a_folder_of_this_machine(environment):
    compiled.keep_programs()
    where = os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert where.startswith(str(environment / "symjax" / "compiled")) and os.path.isdir(where)
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"
    assert compiled.folder() == compiled.folder()


@pytest.mark.parametrize(
    "name, value", [("JAX_COMPILATION_CACHE_DIR", "/elsewhere"), ("JAX_ENABLE_COMPILATION_CACHE", "false")]
)
def test_what_the_user_set_stays(environment, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    compiled.keep_programs()
    assert os.environ[name] == value and "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    assert not (environment / "symjax").exists()


def test_other_processors_and_libraries_have_other_folders(environment, monkeypatch):
    here = compiled.folder()
    monkeypatch.setattr(compiled, "version", lambda name: "0.0")
    assert compiled.folder() != here


def test_no_folder_no_cache(environment, monkeypatch):
    (environment / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(environment / "file"))
    compiled.keep_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
