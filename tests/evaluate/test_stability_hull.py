"""Hulls against pymatgen called directly, files, coverage, shares, formation energies, elemental references."""

import gzip
import json

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.cache import Cache
from symjax.evaluate.stability import (
    Entry,
    Hull,
    RelaxOptions,
    build_hull,
    elemental_references,
    energies_above_hull,
    energy_above_hull,
    formation_energy,
    load_hull,
)
from symjax.evaluate.stability.elements import candidates, lacking
from tests.evaluate.stability_fakes import Fixed, Pair

ELEMENTS = (3, 8, 22, 26)


def random_hull(seed=0, number=60, elements=ELEMENTS):
    rng = np.random.default_rng(seed)
    entries = [Entry(((z, 1),), float(-rng.random() * 5), f"element {z}") for z in elements]
    entries += [Entry(((elements[0], 1),), 3.0, "a worse polymorph")]
    for index in range(number):
        chosen = rng.choice(elements, rng.integers(2, len(elements) + 1), replace=False)
        counts = rng.integers(1, 5, len(chosen))
        divisor = np.gcd.reduce(counts)
        comp = tuple(sorted((int(z), int(c // divisor)) for z, c in zip(chosen, counts)))
        entries.append(Entry(comp, float(-rng.random() * 6), f"compound {index}"))
    return Hull(tuple(entries), "made up")


def pymatgen_distance(hull, composition, energy):
    """pymatgen on the entries of the chemical system, nothing of ours in between."""
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition, Element

    system = {z for z, _ in composition}

    def entry(comp, value):
        formula = Composition({Element.from_Z(z): c for z, c in comp})
        return PDEntry(formula, value * formula.num_atoms)

    inside = [entry(e.composition, e.energy) for e in hull.entries if {z for z, _ in e.composition} <= system]
    return PhaseDiagram(inside).get_e_above_hull(entry(composition, energy), allow_negative=True)


@pytest.mark.parametrize("method", ["linear program", "pymatgen"])
@pytest.mark.parametrize("seed", [0, 1])
def test_distance_is_that_of_pymatgen(seed, method):
    hull = random_hull(seed)
    rng = np.random.default_rng(seed + 10)
    for _ in range(25):
        chosen = rng.choice(ELEMENTS, rng.integers(1, 5), replace=False)
        comp = tuple(sorted((int(z), int(c)) for z, c in zip(chosen, rng.integers(1, 6, len(chosen)))))
        energy = float(-8 * rng.random())
        found = energy_above_hull(hull, comp, energy, method=method)
        assert found.reason is None
        assert found.value == pytest.approx(pymatgen_distance(hull, comp, energy), abs=1e-6)
        assert sum(share for _, share in found.phases) == pytest.approx(1.0)


def test_distance_by_hand():
    hull = Hull(
        (Entry(((3, 1),), -2.0, "Li"), Entry(((8, 1),), -5.0, "O"), Entry(((3, 2), (8, 1)), -5.0, "Li2O")), "hand"
    )
    assert energy_above_hull(hull, {3: 4, 8: 2}, -4.9).value == pytest.approx(0.1)
    assert energy_above_hull(hull, {3: 2, 8: 1}, -5.2).value == pytest.approx(-0.2)
    halfway = energy_above_hull(hull, ((3, 1), (8, 1)), -5.0)  # 3/4 of the atoms in Li2O, 1/4 in O
    assert halfway.value == pytest.approx(-5.0 - (0.75 * -5.0 + 0.25 * -5.0))
    assert dict(halfway.phases) == pytest.approx({"Li2O": 0.75, "O": 0.25})
    assert halfway.competitors == 1 and not halfway.elements_only
    assert formation_energy(hull, {3: 2, 8: 1}, -5.0) == pytest.approx(-5.0 + 2 * 2 / 3 + 5 / 3)
    assert energy_above_hull(hull, {8: 3}, -4.0).value == pytest.approx(1.0)
    assert not energy_above_hull(hull, {8: 3}, -4.0).elements_only


@pytest.mark.parametrize("method", ["linear program", "pymatgen"])
def test_a_crystal_of_the_hull_is_at_zero_exactly(method):
    hull = random_hull(3)
    values = [energy_above_hull(hull, e.composition, e.energy, method=method).value for e in hull.entries]
    assert min(values) == 0.0 and sum(v == 0.0 for v in values) > 5
    assert not any(0 < abs(v) < 1e-7 for v in values)


def test_outside_coverage_is_counted_with_the_reason():
    hull = random_hull()
    lost = energy_above_hull(hull, {3: 1, 11: 1, 12: 2}, -1.0)
    assert np.isnan(lost.value) and lost.reason == "outside coverage: no elemental reference for Na, Mg"
    assert np.isnan(formation_energy(hull, {11: 1}, -1.0))
    assert energy_above_hull(hull, {3: 1}, None).reason == "no energy"
    bare = Hull(tuple(Entry(((z, 1),), -1.0, str(z)) for z in (3, 8)), "elements")
    assert energy_above_hull(bare, {3: 1, 8: 1}, -3.0).elements_only
    found = energies_above_hull(hull, [((3, 1),), ((11, 1),)], [-1.0, np.nan])
    assert [one.reason is None for one in found] == [True, False]


@pytest.mark.parametrize("wrong", [{}, {3: 0}, {0: 1}, {3: -1}])
def test_wrong_compositions(wrong):
    with pytest.raises(InputError, match="composition"):
        energy_above_hull(random_hull(), wrong, -1.0)
    with pytest.raises(InputError, match="method"):
        energy_above_hull(random_hull(), {3: 1}, -1.0, method="guess")


def crystals():
    lattice = 4.0 * np.eye(3)
    cells = [
        AtomicStructure(lattice, [3], [[0, 0, 0]]),
        AtomicStructure(lattice, [8], [[0, 0, 0]]),
        AtomicStructure(lattice, [3, 8], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        AtomicStructure(lattice, [3, 8], [[0, 0, 0], [0.5, 0.5, np.nan]]),
        AtomicStructure(lattice, [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    ]
    return cells, ["Li", "O", "LiO", "broken", "NaCl"]


@pytest.mark.parametrize("ending", ["json", "json.gz"])
def test_build_save_load(tmp_path, ending):
    cells, names = crystals()
    path = tmp_path / "folder" / f"hull.{ending}"
    hull = build_hull(cells, names, Fixed(), Cache(), elements=False, source="five", out=path)
    again = load_hull(path)
    assert again == hull
    assert [e.name for e in again.entries] == ["Li", "O", "LiO", "NaCl"]
    assert again.failed[0][0] == "broken" and "NaN" in again.failed[0][1]
    assert again.potential == "fixed-1" and again.settings["relaxed"] is False
    assert again.missing_references == (11, 17) and "Na, Cl" in again.describe()
    before = path.read_bytes()
    hull.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]  # no partial file left behind
    assert energy_above_hull(again, {3: 1, 8: 1}, hull.entries[2].energy).value == pytest.approx(0, abs=1e-9)


def test_a_hull_limited_to_what_is_needed():
    cells, names = crystals()
    potential = Fixed()
    hull = build_hull(cells, names, potential, elements=False, systems=[{3, 8, 22}])
    assert [e.name for e in hull.entries] == ["Li", "O", "LiO"] and hull.settings["limited"]
    assert potential.calls == 3  # the broken one is not asked about


def test_a_relaxed_hull_lies_lower():
    cells, names = crystals()
    keep = [0, 1, 2]
    cells, names = [cells[i] for i in keep], [names[i] for i in keep]
    single = build_hull(cells, names, Pair(), elements=False)
    relaxed = build_hull(cells, names, Pair(), relax=True, options=RelaxOptions(volume_factor=20), elements=False)
    assert all(b.energy <= a.energy + 1e-9 for a, b in zip(single.entries, relaxed.entries))
    assert relaxed.entries[2].energy < single.entries[2].energy - 1e-3
    assert relaxed.settings["relaxed"] and relaxed.settings["not_converged"] == 0


def test_pymatgen_entries(tmp_path):
    from pymatgen.analysis.phase_diagram import PDEntry
    from pymatgen.core import Composition
    from pymatgen.entries.computed_entries import ComputedEntry

    rows = [
        ComputedEntry("Li2", -4.0, entry_id="a").as_dict(),
        ComputedEntry("O2", -8.0, correction=-2.0, entry_id="b").as_dict(),
        PDEntry(Composition("Li4O2"), -30.0, name="c").as_dict(),
        {"nonsense": 1},
    ]
    path = tmp_path / "entries.json"
    path.write_text(json.dumps(rows))
    hull = load_hull(path)
    assert hull.references == pytest.approx({3: -2.0, 8: -5.0})
    assert energy_above_hull(hull, {3: 2, 8: 1}, -5.0).value == pytest.approx(0.0)
    assert len(hull.failed) == 1 and hull.failed[0][0] == "entry 3"
    assert "pymatgen" in hull.describe()


GZIPPED = gzip.compress(b"x", mtime=0)  # equal in every process: test names must not depend on the second


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"3", b'{"format": "symjax hull 1"}', b'[{"energy": 1}]', GZIPPED, b"\x1f\x8b1"]
)
def test_bad_hull_files(tmp_path, content):
    path = tmp_path / "hull.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"hull\.json"):
        load_hull(path)


def test_missing_file_and_wrong_numbers(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_hull(tmp_path / "none.json")
    with pytest.raises(InputError, match="one name a crystal"):
        build_hull(crystals()[0], ["a"], Fixed())
    with pytest.raises(InputError, match="at least one"):
        build_hull([], [], Fixed())


def test_candidates_of_elements():
    names = [name for name, _ in candidates(26)]
    assert len(names) == 4 and "A_cI2_229_a(W)" in names
    assert all(set(cell.z.tolist()) == {26} for _, cell in candidates(26))
    assert "A_cF8_227_a" in [name for name, _ in candidates(6)]  # diamond, as it is
    with pytest.raises(InputError, match="element 150"):
        candidates(150)


def test_elements_from_prototypes_take_the_lowest():
    cache = Cache()
    options = RelaxOptions(symmetric=True, volume_factor=30, energy_rise=1e3, steps=300)
    entries, failed = elemental_references([26, 29], Pair(), cache, options)
    assert [e.composition for e in entries] == [((26, 1),), ((29, 1),)] and not failed
    from symjax.evaluate.stability import relax_many

    every = relax_many([cell for _, cell in candidates(26)], Pair(), options, cache=cache)
    assert entries[0].energy == min(one["energy_final"] for one in every if one["converged"])
    none, gone = elemental_references([26], Pair(fail=(26,)), None, options)
    assert none == [] and gone[0][0] == "element:Fe"
    assert lacking([Entry(((3, 1), (8, 1)), -1.0, "x"), Entry(((8, 1),), -1.0, "y")]) == [3]


def test_build_fills_in_elements():
    cells, names = crystals()
    hull = build_hull(cells[1:3], names[1:3], Pair())
    assert hull.missing_references == ()
    assert [name.split(":")[1] for name in hull.settings["elements_from_prototypes"]] == ["Li"]
    assert "1 elements from prototypes" in hull.describe()
    more = build_hull(cells[1:3], names[1:3], Pair(), systems=[{3, 8}, {12}])
    assert set(more.references) == {3, 8, 12}  # of the wanted systems, whether in the data or not
