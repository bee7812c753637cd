"""Every reader of whole files, given files with bytes cut, doubled and replaced: what was there, or one error that names it."""

import gzip
import io
import json
import os
import tempfile
import time
import zipfile
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
from symjax.evaluate.sources import read_crystals
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


LATTICE = 'Lattice="4 0 0 0 4 0 0 0 4"'
CELL = "".join(
    f"_cell_length_{a} 5\n_cell_angle_{g} 90\n" for a, g in zip("abc", ("alpha", "beta", "gamma"), strict=True)
)
SITE = "loop_\n_atom_site_type_symbol\n" + "".join(f"_atom_site_fract_{axis}\n" for axis in "xyz") + "H 0.1 0.2 0.3\n"
SHIFTS = [f"x+{i % 24}/24,y+{i // 24 % 24}/24,z+{i // 576}/24" for i in range(24**3)]
BIG = "9" * 400


def cif(*operations, formula="H1", length="5"):
    listed = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"'{text}'\n" for text in operations)
    cell = CELL.replace("_a 5", f"_a {length}")
    return f"data_x\n_chemical_formula_sum {formula}\n{cell}{listed if operations else ''}{SITE}"


def plain(z="1", L="4", x="0"):
    return f'[{{"L": [[{L},0,0],[0,4,0],[0,0,4]], "z": [{z}], "x": [[{x},0,0]]}}]'


ODD = {
    "a count that is a digit, but no number": ("a.xyz", f"²\n{LATTICE}\nH 0 0 0\n", "number of atoms"),
    "a count of 5,000 digits": ("a.xyz", f"{'9' * 5000}\n{LATTICE}\nH 0 0 0\n", "number of atoms"),
    "an element that is a digit": ("a.xyz", f"1\n{LATTICE}\n² 0 0 0\n", "unknown element '²'"),
    "an element of 5,000 digits": ("a.xyz", f"1\n{LATTICE}\n{'9' * 5000} 0 0 0\n", "unknown element"),
    "columns that are digits": ("a.xyz", f"1\n{LATTICE} Properties=species:S:²:pos:R:3\nH 0 0 0\n", "cannot be read"),
    "one column of places": ("a.xyz", f"1\n{LATTICE} Properties=species:S:1:pos:R:1\nH 0\n", "cannot be read"),
    "a comment without end": ("a.xyz", f"1\n{'a' * 300_000}\nH 0 0 0\n", "300000 characters"),
    "a million empty lines": ("a.cif", "\n" * 10**6 + "x", "not CIF text"),
    "a length of 60,000 digits and a letter": ("a.cif", cif(length="1" * 60_000 + "x"), "is not a number"),
    "a group of 13,824 translations": ("a.cif", cif(*SHIFTS), "13824 operations"),
    "an operation of 100,000 characters": ("a.cif", cif("x,y," + "z+" * 50_000 + "z"), "too many for x,y,z"),
    "a shear of 10^11": ("a.cif", cif("x,y,z", "x+99999999999y,y,z"), "coefficient"),
    "a Hall symbol that closes nowhere": (
        "a.cif",
        cif().replace("loop_", f"_space_group_name_Hall 'P {'2 ' * 9999}'\nloop_"),
        "",
    ),
    "a formula of infinitely many atoms": ("a.cif", cif(formula=f"H{BIG}"), ""),
    "an atomic number of 10^400": ("a.json", plain(z=BIG), "not a structure"),
    "an atomic number of 1e30": ("a.json", plain(z="1e30"), "not a structure"),
    "half an atomic number": ("a.json", plain(z="1.5"), "whole numbers"),
    "a lattice of 10^400": ("a.json", plain(L=BIG), "too large"),
    "a coordinate of 10^400": ("a.json", plain(x=BIG), "too large"),
    "a matrix of 10^400": ("a.json", json.dumps(ENTRY).replace("4.0", BIG, 1), "too large"),
    "a property of 10^400": ("a.json", f'[{{"structure": {json.dumps(ENTRY)}, "e": {BIG}}}]', ""),
    "a printed dictionary of 12 MB": ("a.csv", f"cif\n\"{{'lattice':[{'1,' * 6_000_000}]}}\"\n", "not valid JSON"),
    "a line of 70 MB": ("a.csv", 'cif\n"data_' + "x" * 70_000_000, "67,108,864 characters"),
    "an unclosed quote before 70 MB": ("a.csv", 'cif\n"data_' + ("x" * 999 + "\n") * 70_000, "field larger"),
}


@pytest.mark.parametrize("name", ODD)
def test_hostile_texts(name, tmp_path):
    """Refused with the reason (or read, where what is odd does not matter), in seconds."""
    file, text, reason = ODD[name]
    (tmp_path / file).write_text(text, encoding="utf-8")
    begun = time.process_time()
    try:
        [row] = read_source(tmp_path / file)
        assert not row.problem and len(read_row(row).structure.z) == 1 and not reason
        assert all(map(np.isfinite, row.properties.values()))
    except SymjaxError as error:
        assert reason and reason in str(error) and len(str(error)) < 1000
    assert time.process_time() - begun < 4


def member(header, data=bytes(8), *, packed=zipfile.ZIP_STORED, flag=0, method=None):
    """An archive of one array with that header."""
    stream = io.BytesIO()
    text = header.encode()
    with zipfile.ZipFile(stream, "w", packed) as archive:
        archive.writestr("k.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)
    whole = bytearray(stream.getvalue())
    for start, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.find(start) + at] |= flag
        if method is not None:
            whole[whole.find(start) + at + 2] = method
    return bytes(whole)


def header(descr="'<f8'", shape="(1,)"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


def cut(archive):
    """The same with two bytes of what is packed turned round."""
    at = archive.find(b"k.npy") + 17
    return archive[:at] + bytes(255 - byte for byte in archive[at : at + 2]) + archive[at + 2 :]


ARCHIVES = {
    "encrypted": member(header(), flag=1),
    "a method that does not exist": member(header(), method=99),
    "damaged LZMA": cut(member(header(), packed=zipfile.ZIP_LZMA)),
    "damaged bzip2": cut(member(header(), packed=zipfile.ZIP_BZIP2)),
    "a header of brackets": member("(" * 5000),
    "a header of signs": member("-" * 9000 + "1"),
    "an open quote": member("'''"),
    "10^11 strings of no length": member(header("'<U0'", "(100000000000,)")),
    "10^11 values of no size": member(header("'|V0'", "(100000000000,)")),
    "two negative lengths": member(header(shape="(-100000,-1000000)")),
    "no numbers, of 10^60 each": member(header(shape=f"(0,{'9' * 60})")),
    "objects in a record": member(header("[('a','|O')]")),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives(name, tmp_path):
    (tmp_path / "a.npz").write_bytes(ARCHIVES[name])
    with pytest.raises(SymjaxError, match=r"a\.npz: not a readable array archive \("):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("text", ["[" * 10**5, "[1]", '"x', "\x00"])
def test_hostile_records(text, tmp_path):
    """What stands beside arrays as JSON: of a data set, of weights, of a folder of generated crystals."""
    arrays = archive_of(meta=np.frombuffer(text.encode(), np.uint8))
    save_arrays(tmp_path / "data.npz", arrays)
    save_arrays(tmp_path / "params.npz", {"k": np.ones(1)})
    for name in ("config.json", "index.json"):
        (tmp_path / name).write_text(text)
    for read in (load, lambda path: load_params(path.parent), lambda path: read_crystals(path.parent, processes=1)):
        with pytest.raises(SymjaxError):
            read(tmp_path / "data.npz")


def archive_of(**arrays):
    """The arrays of a data set, empty but for these."""
    from symjax.data.dataset import _COLUMNS

    return {name: np.zeros(1) for name in (*_COLUMNS, "ids", "formula")} | arrays


@pytest.mark.parametrize("energy", ["NaN", "Infinity", BIG, "[1]"])
def test_an_energy_that_is_none(energy, tmp_path):
    """A hull with it would give every crystal the distance NaN."""
    good = '{"composition": {"Li": 1}, "energy": -1}'
    (tmp_path / "hull.json").write_text(f'[{good}, {{"composition": {{"Li": 1}}, "energy": {energy}}}]')
    hull = load_hull(tmp_path / "hull.json")
    assert [entry.energy for entry in hull.entries] == [-1.0] and hull.failed[0][0] == "entry 1"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_no_source(tmp_path):
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "a.cif")
    with pytest.raises(SymjaxError, match="is a pipe"):
        read_source(tmp_path / "a.cif")
    (tmp_path / "b.cif").write_text(GOOD)
    assert [row.id for row in read_source(tmp_path)] == ["b"]
