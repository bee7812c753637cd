"""The array file: bytes, hash, crystals, and what is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest

from symjax.data.dataset import CrystalDataset, load
from symjax.data.files import load_arrays, save_arrays
from symjax.errors import SymjaxError


def test_saving_twice_gives_the_same_bytes_and_loading_the_same_arrays(prototype_dataset, tmp_path):
    prototype_dataset.save(tmp_path / "a.npz")
    loaded = load(tmp_path / "a.npz")
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert loaded.meta["data_hash"] == prototype_dataset.data_hash() == loaded.data_hash()
    before, after = prototype_dataset.to_arrays(), loaded.to_arrays()
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].dtype == after[name].dtype, name
        np.testing.assert_array_equal(before[name], after[name])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]  # no temporary files left


def test_loading_imports_no_crystallography(prototype_dataset, tmp_path):
    """Training from a prepared file needs none of pymatgen, spglib, pyxtal, ase."""
    prototype_dataset.save(tmp_path / "a.npz")
    code = (
        "import sys; from symjax.data.dataset import load; d = load(sys.argv[1]); d.atoms(2); d.subset([1]);"
        "print(len(d), [n for n in ('pymatgen', 'spglib', 'pyxtal', 'ase', 'gemmi', 'moyopy', 'smact') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.npz")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "288 []"


@pytest.mark.parametrize("index", [200, 3, -1])
def test_rows_become_crystals(prototype_dataset, index):
    """Sizes, operations and stabilizers of a row; its atoms from the table's images are those from the stabilizers."""
    data = prototype_dataset
    crystal, atoms = data.crystal(index), data.atoms(index)
    assert len(crystal.W) == data.num_ops[index] and len(crystal.z) == data.num_orbits[index]
    assert crystal.num_atoms == len(atoms.z) == data.num_atoms[index]
    np.testing.assert_allclose(crystal.L, data.lattices()[index], rtol=1e-12)
    again = crystal.atoms()
    for name in ("z", "orbit", "W", "w"):
        np.testing.assert_array_equal(getattr(atoms, name), getattr(again, name))
    np.testing.assert_array_equal(atoms.x, again.x)


def test_subset_equals_the_whole(prototype_dataset):
    data = prototype_dataset
    mask = np.zeros(len(data), bool)
    mask[[5, 70, 71, 287]] = True
    part = data.subset(mask)
    assert len(part) == 4 and part.ids.tolist() == data.ids[mask].tolist()
    for here, there in ((2, 71), (0, 5)):
        one, two = part.crystal(here), data.crystal(there)
        for name in ("W", "w", "L", "z", "x", "stab"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert len(data.subset([])) == 0


@pytest.mark.parametrize("index", [[288], [-289], np.ones(3, bool)])
def test_indices_outside_are_refused(prototype_dataset, index):
    with pytest.raises(SymjaxError, match=r"out of range|mask over"):
        prototype_dataset.subset(index)


def damaged(data, tmp_path, change):
    """The path of a file whose arrays were changed."""
    data.save(tmp_path / "good.npz")
    arrays = load_arrays(tmp_path / "good.npz")
    change(arrays)
    save_arrays(tmp_path / "bad.npz", arrays)
    return tmp_path / "bad.npz"


def test_foreign_and_damaged_files_are_refused(prototype_dataset, tmp_path):
    data = prototype_dataset
    with pytest.raises(SymjaxError, match="no such file"):
        load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(SymjaxError, match="not a readable array archive"):
        load(tmp_path / "text.npz")
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    with pytest.raises(SymjaxError, match=r"not a prepared data set.*missing"):
        load(tmp_path / "foreign.npz")
    data.save(tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SymjaxError, match="not a readable array archive"):
        load(tmp_path / "half.npz")
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(bytes(flipped))
    with pytest.raises(SymjaxError):
        load(tmp_path / "flipped.npz")


def test_wrong_fields_are_named(prototype_dataset, tmp_path):
    cases = {
        "'k' has shape": lambda a: a.update(k=a["k"][:, :5]),
        "orbit_start": lambda a: a.update(orbit_start=a["orbit_start"][::-1].copy()),
        "orbit_pos": lambda a: a["orbit_pos"].__setitem__(0, 99),
        "set_index": lambda a: a["set_index"].__setitem__(0, 999),
        "'meta' is not JSON": lambda a: a.update(meta=np.zeros(3, np.uint8)),
        "format 99": lambda a: a.update(meta=np.frombuffer(json.dumps({"format": 99}).encode(), np.uint8)),
        "pos_stab": lambda a: a.pop("sets/pos_stab"),
    }
    for message, change in cases.items():
        with pytest.raises(SymjaxError, match=message):
            load(damaged(prototype_dataset, tmp_path, change))


def test_writing_where_one_cannot(prototype_dataset, tmp_path):
    with pytest.raises(SymjaxError, match="cannot write"):
        prototype_dataset.save(tmp_path / "none" / "a.npz")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file(prototype_dataset, tmp_path):
    from symjax.data.files import atomic_write

    prototype_dataset.save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "a.npz") as handle:
        handle.write(b"half")
        raise RuntimeError("stopped in the middle")
    assert (tmp_path / "a.npz").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_empty_selection_and_types(prototype_dataset):
    assert isinstance(prototype_dataset, CrystalDataset) and len(prototype_dataset) == 288
    assert prototype_dataset.orbit_x.dtype == np.float64 and prototype_dataset.orbit_z.dtype == np.int16
    assert prototype_dataset.subset([]).all_atoms() == []
