"""Every kind of text in the corpus: read right with its notes, or refused with its reason; hostile input decodes nothing."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.crystals.io import UnusableCrystal, read_cif
from symjax.crystals.io.parse import READERS
from symjax.elements import symbol
from tests.corpus import EXTXYZ, GOOD, OTHER, OTHER_REFUSED, POSCAR, READ, REFUSED


def check(reading, elements, kinds):
    assert " ".join(dict.fromkeys(symbol(z) for z in reading.structure.z)) == elements
    assert ", ".join(note.kind for note in reading.notes) == kinds, reading.notes


@pytest.mark.parametrize("case", READ)
def test_cif(case):
    text, elements, kinds = READ[case]
    reading = read_cif(text)
    check(reading, elements, kinds)
    cell = np.sqrt(np.diag(reading.structure.L @ reading.structure.L.T))
    np.testing.assert_allclose(cell, [5.1, 6.2, 7.3], atol=1e-9)


@pytest.mark.parametrize("case", REFUSED)
def test_cif_refused(case):
    text, kind, words = REFUSED[case]
    with pytest.raises(UnusableCrystal) as error:
        read_cif(text)
    assert error.value.kind == kind and words in str(error.value)


@pytest.mark.parametrize("case", OTHER)
def test_other_formats(case):
    kind, text, elements, kinds = OTHER[case]
    reading = READERS[kind](text)
    check(reading, elements, kinds)
    np.testing.assert_allclose(reading.structure.L, 4 * np.eye(3), atol=1e-9)
    np.testing.assert_allclose(np.sort(reading.structure.x, axis=0), [[0, 0, 0], [0.5, 0.5, 0.5]], atol=1e-9)


@pytest.mark.parametrize("case", OTHER_REFUSED)
def test_other_formats_refused(case):
    kind, text, reason = OTHER_REFUSED[case]
    with pytest.raises(UnusableCrystal) as error:
        READERS[kind](text)
    assert error.value.kind == reason, error.value


@pytest.fixture
def serialized():
    from pymatgen.core import Lattice, Structure

    properties = {"magmom": [1.0, -1.0]}
    return Structure(Lattice.cubic(4), ["Na+", "Cl-"], [[0, 0, 0], [0.5] * 3], site_properties=properties).as_dict()


def test_pymatgen_dictionaries(serialized):
    for text in (json.dumps(serialized), str(serialized)):
        check(READERS["pymatgen"](text), "Na Cl", "moments dropped")
    del serialized["lattice"]["matrix"], serialized["sites"][0]["abc"]
    check(READERS["pymatgen"](json.dumps(serialized)), "Na Cl", "moments dropped")
    serialized["sites"][1]["species"][0]["occu"] = 0.5
    with pytest.raises(UnusableCrystal, match="partial occupancy: site 2"):
        READERS["pymatgen"](json.dumps(serialized))


def test_json_builds_no_objects(serialized, tmp_path, monkeypatch):
    """Classes named in a file are neither imported nor made, wherever they stand, in structures and in hulls."""
    from symjax.evaluate.stability.references import load_hull

    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    evil = {"@module": "this", "@class": "x"}
    serialized |= {"properties": {"a": evil}, "@module": "this"}
    serialized["sites"][0]["properties"] = {"magmom": evil}
    serialized["lattice"] |= evil
    check(READERS["pymatgen"](json.dumps(serialized)), "Na Cl", "moments dropped")
    rows = [{"composition": {"Li": 2.0}, "energy": -4.0, "entry_id": "a", "data": evil} | evil]
    (tmp_path / "hull.json").write_text(json.dumps([*rows, {"composition": evil, "energy": 1}]))
    hull = load_hull(tmp_path / "hull.json")
    assert [entry.energy for entry in hull.entries] == [-2.0] and len(hull.failed) == 1
    assert "this" not in sys.modules and [file.name for file in tmp_path.iterdir()] == ["hull.json"]


TEXTS = {
    "cif": GOOD,
    "extxyz": EXTXYZ,
    "poscar": POSCAR,
    "pymatgen": '{"lattice": {"matrix": [[1,0,0],[0,1,0],[0,0,1]]}, "sites": []}',
}


@settings(max_examples=60)
@given(st.sampled_from(sorted(TEXTS)), st.data())
def test_damaged_texts_are_read_or_refused(kind, data):
    """Bytes cut, doubled or replaced: a structure or `UnusableCrystal`, never another error."""
    text = TEXTS[kind]
    for _ in range(data.draw(st.integers(1, 4))):
        i = data.draw(st.integers(0, len(text)))
        j = data.draw(st.integers(i, min(len(text), i + 20)))
        text = text[:i] + data.draw(st.text(st.sampled_from("0159.-+'\";_ \n\x00eaN{}[]:é"), max_size=6)) + text[j:]
    try:
        structure = READERS[kind](text).structure
    except UnusableCrystal:
        return
    assert structure.x.shape == (len(structure.z), 3)


def test_readers_silence_no_warnings():
    """What a library warns of while a file is read would be lost; the symmetry search is no reader, and says why it does."""
    import symjax

    root = Path(symjax.__file__).parent
    files = [
        *(root / "crystals" / "io").glob("*.py"),
        *(root / "data" / f"{name}.py" for name in ("readers", "rows", "files")),
    ]
    silent = [
        file.name
        for file in files
        if re.search("simplefilter|filterwarnings|catch_warnings|without_notice", file.read_text())
    ]
    assert silent == ["search.py"]
