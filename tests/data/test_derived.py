"""Arrays that models register: made once, kept with their version, made again when the version moves."""

import numpy as np
import pytest

from symjax.data import derived
from symjax.data.dataset import CrystalDataset
from symjax.data.prepare import assemble, treat_rows
from symjax.data.prototypes import prototype_rows
from symjax.data.rows import RowOptions
from symjax.errors import InputError


@pytest.fixture(scope="module")
def data():
    options = RowOptions()
    return assemble(treat_rows(prototype_rows(0)[:6], options, workers=1), options, source="prototypes").dataset


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(derived, "_KINDS", {})


def test_made_on_demand_kept_when_asked_and_made_again_for_another_version(data, tmp_path):
    calls = []

    def double(d):
        calls.append(len(d))
        return 2 * d.orbit_z

    derived.register("double", double)
    assert derived.names() == ("double",) and not data.derived
    np.testing.assert_array_equal(derived.values(data, "double"), 2 * data.orbit_z)
    derived.keep(data, ["double"]).save(tmp_path / "a.npz")
    kept = CrystalDataset.load(tmp_path / "a.npz")
    num = len(calls)
    part = kept.subset([3, 1])
    np.testing.assert_array_equal(derived.values(part, "double"), 2 * part.orbit_z)
    assert len(calls) == num == 2 and kept.data_hash() == data.data_hash()

    derived._KINDS.clear()
    derived.register("double", lambda d: 2 * d.orbit_z + 1, version=2)
    np.testing.assert_array_equal(derived.values(part, "double"), 2 * part.orbit_z + 1)
    again = derived.keep(kept, ["double"])
    assert again.meta[derived.VERSIONS] == {"double": 2}
    np.testing.assert_array_equal(again.derived["double"], 2 * data.orbit_z + 1)


def test_names(data):
    with pytest.raises(InputError, match=r"no derived array 'centre'; registered are: none"):
        derived.values(data, "centre")
    derived.register("centre", len)
    derived.register("centre", len)  # the same once more: a module imported twice
    with pytest.raises(InputError, match="already registered"):
        derived.register("centre", len, version=2)
