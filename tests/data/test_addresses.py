"""Addresses of object stores: what is served by a driver that is there, here a store in memory, and what is refused in words."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem

from experiments import train as program
from symjax.data import addresses
from symjax.data.files import local_path
from symjax.errors import SymjaxError

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))


class Store(MemoryFileSystem):
    """What s3fs would be: a store of objects, in this process."""

    protocol, store, pseudo_dirs, cachable = "s3", {}, [""], False

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("s3://", "memory://"))

    def names(self):
        return sorted(name for name in self.store)


@pytest.fixture
def store(monkeypatch):
    made = Store()
    made.store.clear()
    monkeypatch.setitem(addresses.DRIVERS, "s3", "fsspec")
    monkeypatch.setattr(backend._FileSystemSpecBackend, "fs", lambda self, path: made)
    return made


@pytest.mark.parametrize(
    "address, says",
    [
        ("gs://bucket/run", r"gs://bucket/run: an address of gs needs the package gcsfs, .*pip install gcsfs"),
        ("s3:/bucket/run", "needs the package s3fs"),
        ("ftp://host/run", "an address of ftp; known are gs://, s3://"),
    ],
)
def test_a_missing_driver_is_named(address, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("gcsfs", "s3fs") else found(name))
    with pytest.raises(SymjaxError, match=says):
        addresses.opened(address)
    toy = f"--config={Path(program.__file__).parents[1] / 'configs' / 'toy.py'}"
    assert program.main(["train", toy, f"--workdir={address}"]) == 2
    assert program.main(["train", toy, "--workdir=x", f"--config.data.val={address}"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and err.count("known are" if "ftp" in address else "pip install") == 2
    assert list(tmp_path.iterdir()) == []  # no folder named gs:
    with pytest.raises(SymjaxError, match="only `symjax train` takes"):
        local_path(address)


def test_data_is_fetched(store, tmp_path):
    store.pipe("s3://bucket/data/train.npz", b"arrays")
    with addresses.fetched("s3://bucket/data/train.npz") as local:
        assert local.name == "train.npz" and local.read_bytes() == b"arrays"
    assert not local.exists()
    with addresses.fetched(tmp_path / "here.npz") as local:
        assert local == tmp_path / "here.npz"
    with pytest.raises(SymjaxError, match=r"s3://bucket/none.npz: no such file"):
        with addresses.fetched("s3://bucket/none.npz"):
            pass


def test_a_folder_is_sent_and_fetched(store):
    with addresses.Staged("s3://bucket/run") as run:
        (run.folder / "a" / "b").mkdir(parents=True)
        (run.folder / "a" / "b" / "one").write_text("1")
        (run.folder / "state.json").write_text("{}")
        (run.folder / "run.lock").write_text("me")
        (run.folder / "a" / ".two.tmp").write_text("half")
        run.send()
        assert store.names() == ["/bucket/run/a/b/one", "/bucket/run/state.json"]
        (run.folder / "a" / "b" / "one").unlink()
        (run.folder / "three").write_text("3")
    assert store.names() == ["/bucket/run/state.json", "/bucket/run/three"] and not run.folder.exists()
    with addresses.Staged("s3:/bucket/run") as again:  # as pathlib writes it
        assert (again.folder / "three").read_text() == "3"
        writes = []
        again_open = store.open
        store.open = lambda path, mode="rb", **more: writes.append(mode) or again_open(path, mode=mode, **more)
        again.send()
        assert writes == []  # nothing changed


def test_a_store_that_refuses_is_one_line(store, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Forbidden: 403\nand a page of XML")

    monkeypatch.setattr(store, "open", refuse)
    with pytest.raises(SymjaxError, match=r"^s3://bucket/run: Forbidden: 403; what was not sent lies in /"):
        with addresses.Staged("s3://bucket/run") as run:
            (run.folder / "one").write_text("1")
    assert (run.folder / "one").read_text() == "1"  # nothing is lost
    shutil.rmtree(run.folder)


@pytest.mark.slow
def test_training_in_a_bucket_goes_on_where_it_was(store, capsys, tmp_path):
    """The second run has nothing on this machine: what it goes on from comes from the store, and ends bit for bit the same."""
    import toy_task  # noqa: F401 - registers itself
    from train_helpers import config, digests

    assert program.train(config(), "s3://bucket/run") == 0
    assert "weights in s3://bucket/run/weights" in capsys.readouterr().out
    assert {"/bucket/run/state.json", "/bucket/run/metrics.jsonl", "/bucket/run/weights/params.npz"} <= set(
        store.names()
    )
    assert program.train(config(train__steps=60), "s3://bucket/run") == 0
    assert "resumed from step 40" in capsys.readouterr().err
    assert program.train(config(train__steps=60), str(tmp_path / "local")) == 0
    with addresses.Staged("s3://bucket/run") as staged:
        assert digests(staged.folder)[60] == digests(tmp_path / "local")[60]
