"""Every reader of whole files, given files with bytes cut, doubled and replaced: what was there, or one error that names it."""

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.data import files
from symjax.data.dataset import load
from symjax.data.files import load_arrays, save_arrays
from symjax.data.readers import read_source
from symjax.data.rows import read_row
from symjax.errors import SymjaxError
from symjax.evaluate.cache import Cache
from symjax.evaluate.stability.references import load_hull
from symjax.train.state import read_state
from symjax.train.weights import load_params
from tests.corpus import EXTXYZ, GOOD, POSCAR

pytestmark = pytest.mark.faults
ENTRY = {"lattice": {"matrix": (4 * np.eye(3)).tolist()}, "sites": [{"species": [{"element": "Na"}], "abc": [0, 0, 0]}]}
QUOTED = GOOD.replace('"', '""')


def archive():
    with tempfile.TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "a.npz", {"k": np.arange(12.0).reshape(3, 4), "ids": np.array(["a", "b"])})
        return (Path(folder) / "a.npz").read_bytes()


FILES = {
    "a.csv": f'material_id,e,cif\nm-1,0.5,"{QUOTED}"\nm-2,,"{QUOTED}"\n'.encode(),
    "a.csv.gz": gzip.compress(f'material_id,e,cif\nm-1,0.5,"{QUOTED}"\n'.encode(), mtime=0),
    "a.cif": (GOOD + GOOD.replace("data_", "data_b")).encode(),
    "POSCAR": POSCAR.encode(),
    "a.extxyz": EXTXYZ.encode() * 2,
    "a.json": json.dumps({"a": ENTRY, "b": {"structure": ENTRY, "e": 1.0}}).encode(),
    "a.jsonl": (json.dumps(ENTRY) + "\n").encode() * 3,
}
OTHERS = {
    "a.npz": (archive(), lambda path: load_arrays(path)),
    "data.npz": (archive(), lambda path: load(path)),
    "hull.json": (json.dumps([{"composition": {"Li": 2.0}, "energy": -4.0}] * 2).encode(), load_hull),
    "state.json": (b'{"state": "running", "step": 3}', lambda path: read_state(path.parent)),
    "params.npz": (archive(), lambda path: load_params(path.parent)),
}
NASTY = [b"", b"\x00", b"\xff\xfe", b"-", b"9" * 30, b'"', b"\n", b"{", b"[" * 50, b"nan", b"1e999", "é".encode()]


def damaged(whole, data):
    """Some bytes replaced, in up to four places; or the end cut off."""
    for _ in range(data.draw(st.integers(1, 4))):
        i = data.draw(st.integers(0, len(whole)))
        j = data.draw(st.one_of(st.integers(i, min(len(whole), i + 30)), st.just(len(whole))))
        whole = whole[:i] + data.draw(st.sampled_from(NASTY) | st.binary(max_size=6)) + whole[j:]
    return whole


@settings(max_examples=80, deadline=2000)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_sources(name, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(damaged(FILES[name], data))
        try:
            rows = read_source(path)
        except SymjaxError as error:
            assert str(path) in str(error)
            return
        assert [row.row for row in rows] == list(range(len(rows)))
        for row in rows:
            try:
                assert row.problem or np.isfinite(read_row(row).structure.x).all()
            except SymjaxError:
                pass


@settings(max_examples=80, deadline=2000)
@given(st.sampled_from(sorted(OTHERS)), st.data())
def test_arrays_hulls_and_states(name, data):
    whole, read = OTHERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(damaged(whole, data))
        try:
            read(path)
        except SymjaxError as error:
            assert folder in str(error)


@settings(max_examples=15, deadline=4000)
@given(st.data())
def test_caches(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.sqlite"
        rows = {f"k{i}": {"number": i} for i in range(40)}
        with Cache(path) as cache:
            cache.put_many("stage", "1", rows.items())
        path.write_bytes(damaged(path.read_bytes(), data))
        try:
            with Cache(path) as cache:
                assert cache.get_many("stage", "1", list(rows)).items() <= rows.items()
        except SymjaxError as error:
            assert str(path) in str(error)


def test_an_archive_that_holds_far_more_than_it_weighs(tmp_path, monkeypatch):
    """Refused by its directory, before anything is unpacked."""
    monkeypatch.setattr(files, "BOMB_FROM", 2**20)
    np.savez_compressed(tmp_path / "a.npz", k=np.zeros(2**22, np.uint8))
    with pytest.raises(SymjaxError, match="4 MiB in"):
        load_arrays(tmp_path / "a.npz")
