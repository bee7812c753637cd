"""The whole of `evaluate`: known answers, changed copies that move exactly the figures they should, bad input, the cache."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate import run, stages
from symjax.evaluate.cache import Cache
from symjax.evaluate.distances import shortest
from symjax.evaluate.report import write_report
from symjax.evaluate.run import Options, evaluate
from symjax.evaluate.sources import from_cells, from_dataset
from symjax.testing import shared_data
from tests.evaluate.made_crystals import random_dataset

GROUPS = (1, 2, 2, 5, 14, 14, 15, 33, 62, 62, 62, 99, 123, 139, 148, 166, 166, 194, 221, 221)
OPTIONS = Options(metrics="-coverage,-invariants", draws=5, processes=1)


def salt(a=5.64, numbers=(11, 17)):
    """Rock salt, the conventional cell without operations."""
    half = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    frac = np.concatenate([half, np.array(half) + [0.5, 0, 0]])
    return AtomicStructure(a * np.eye(3), [numbers[0]] * 4 + [numbers[1]] * 4, frac)


@pytest.fixture(scope="module")
def cells():
    """Crystals without operations, atoms apart, no two of one formula; and rock salt."""
    made = [cell.primitive() for cell in random_dataset(GROUPS * 4, 3).all_atoms()]
    made = [c for c in made if len(c.z) <= 32 and shortest(c).distance > 1.0]
    by_formula = {cell.reduced: cell for cell in made}
    assert len(by_formula) >= 18
    return [*by_formula.values(), salt()]


@pytest.fixture(scope="module")
def cache():
    with Cache() as store:
        yield store


@pytest.fixture(scope="module")
def against(cells, cache):
    """Figures of some crystals against the made ones as reference and train."""
    real = from_cells(cells, "real")

    def figures(copies):
        return {f.key: f for f in evaluate(from_cells(copies, "copy"), real, real, OPTIONS, cache).figures}

    return figures


@pytest.fixture(scope="module")
def base(against, cells):
    return against(cells)


def changed(first, second):
    """Keys of figures whose values differ."""
    assert set(first) == set(second)
    same = {
        key
        for key in first
        if math.isclose(first[key].value, second[key].value, abs_tol=1e-9)
        or (math.isnan(first[key].value) and math.isnan(second[key].value))
    }
    return set(first) - same


def shaken(cell, by, seed=0):
    step = np.random.default_rng(seed).normal(size=cell.x.shape) * by
    return AtomicStructure(cell.L, cell.z, cell.x + step @ np.linalg.inv(cell.L))


def test_the_reference_against_itself(base, cells):
    """Nothing is novel, every distance over all rows is zero, every template is known."""
    for key in (
        "symmcd.d_sg_all",
        "symmcd.wasserstein_density_all",
        "symmcd.templates_new",
        "wyckoff_transformer.novelty",
    ):
        assert base[key].value == 0, key
    for key in ("wyckoffaugen.un", "lemat.novel", "lemat.novel_fast", "lemat.new_formula", "lemat.unique_novel"):
        assert base[key].value == 0, key
    for key in (
        "wyckoff_transformer.uniqueness",
        "lemat.unique",
        "symmcd.templates_in_train",
        "wyckoff_transformer.formal_validity",
    ):
        assert base[key].value == 1, key
    for key, figure in base.items():
        assert figure.definition and figure.source, key
        if not math.isnan(figure.reference) and figure.num:  # nothing is novel, so lines over novel samples are empty
            assert figure.value == pytest.approx(figure.reference), key  # shares and means of equal crystals


@pytest.fixture(scope="module")
def displaced(against, cells):
    """Figures with 0.2 angstrom on every atom."""
    return against([shaken(cell, 0.2) for cell in cells])


def test_every_distance_has_its_floor(displaced):
    """Whatever is compared with the reference says what the reference scores against itself."""
    figures = displaced
    for key, figure in figures.items():
        if (
            any(word in key for word in ("d_sg", "wasserstein", "ks_", "chi2", "jsd_", "templates_unique"))
            and figure.num
        ):
            assert figure.floor is not None and figure.p >= 1 / (OPTIONS.draws + 1), key
            disjoint = "templates" in key  # as many as the samples, half of the reference at most
            assert figure.floor.num == (min(figure.num, figure.num_reference // 2) if disjoint else figure.num), key
            assert figure.floor.against == figure.num_reference - (figure.floor.num if disjoint else 0), key
            assert figure.interval is None, key
    assert figures["symmcd.d_sg_divergence"].value == pytest.approx(figures["symmcd.d_sg"].value ** 2)
    assert figures["symmcd.d_sg_base2"].value == pytest.approx(figures["symmcd.d_sg"].value / math.sqrt(math.log(2)))


def test_order_does_not_matter(base, against, cells):
    order = np.random.default_rng(1).permutation(len(cells))
    assert changed(base, against([cells[i] for i in order])) == set()


def test_a_supercell_is_the_same_crystal(base, against, cells):
    doubled = [
        AtomicStructure(
            np.diag([2, 1, 1]) @ c.L,
            np.tile(c.z, 2),
            np.concatenate([c.x * [0.5, 1, 1], c.x * [0.5, 1, 1] + [0.5, 0, 0]]),
        )
        for c in cells
    ]
    longest = max(np.linalg.norm(c.L, axis=1).max() for c in doubled)
    assert longest < 40  # or SymmCD's limit on edges would tell them apart
    moved = changed(base, against(doubled))
    assert moved <= {"symmcd.templates_unique", "symmcd.templates_in_train", "symmcd.templates_new"}


def test_an_origin_shift_moves_only_letters_as_found(base, against, cells):
    """Letters depend on the origin; words over the normalizer do not (trap of the published templates)."""
    shifted = [AtomicStructure(c.L, c.z, c.x + [0.1, 0.2, 0.3]) for c in cells]
    assert changed(base, against(shifted)) <= {
        "symmcd.templates_unique",
        "symmcd.templates_in_train",
        "symmcd.templates_new",
    }


def test_copies_lower_uniqueness_alone(base, against, cells):
    figures = against([c for c in cells for _ in range(2)])
    moved = changed(base, figures)
    assert moved == {"wyckoff_transformer.uniqueness", "lemat.unique", "lemat.unique_fast"}
    assert all(figures[key].value == 0.5 for key in moved)


def test_other_elements_leave_symmetry_alone(base, against, cells):
    """Zr for every transition metal like it: groups, sites and distances stay; compositions, novelty and densities do not."""
    other = [AtomicStructure(c.L, c.z + 1, c.x) for c in cells]
    moved = changed(base, against(other))
    must = {
        "symmcd.wasserstein_density_all",
        "lemat.novel",
        "lemat.novel_fast",
        "lemat.new_formula",
        "wyckoff_transformer.novelty",
    }
    assert must <= moved
    still = {
        "symmcd.structural_validity",
        "symmcd.d_sg_all",
        "symmcd.templates_unique",
        "symmcd.templates_unique_normalizer",
        "symmcd.templates_in_train_normalizer",
        "symmcd.templates_new_normalizer",
        "wyckoffaugen.structural_validity",
        "wyckoff_transformer.formal_validity",
        "wyckoff_transformer.uniqueness",
        "lemat.unique",
        "lemat.unique_fast",
        "symop.mean_sites",
        "symop.mean_atoms",
        "symop.distance_0.5",
    }
    assert not still & moved


def test_random_displacements_break_symmetry_alone(base, displaced):
    """0.2 angstrom on every atom: groups fall to P1, templates are lost; compositions and densities stay."""
    figures = displaced
    moved = changed(base, figures)
    assert {
        "symmcd.d_sg_all",
        "symmcd.templates_new",
        "wyckoff_transformer.novelty",
        "lemat.novel_fast",
        "symop.mean_sites",
    } <= moved
    assert figures["wyckoff_transformer.p1"].value > 0.8
    still = {
        "symmcd.composition_validity",
        "symmcd.composition_validity_icsd24",
        "symmcd.wasserstein_density_all",
        "wyckoffaugen.composition_validity",
        "lemat.valid_charge",
        "lemat.valid_density",
        "lemat.unique",
        "lemat.new_formula",
    }
    assert not still & moved


def test_a_nudge_changes_nothing_but_letters(base, against, cells):
    """1e-4 angstrom is within every tolerance."""
    assert changed(base, against([shaken(cell, 1e-4) for cell in cells])) <= {
        "chemistry.instability",  # a mean of bond lengths
        "symmcd.templates_unique",
        "symmcd.templates_in_train",
        "symmcd.templates_new",
    }


def test_generated_operations_are_judged_by_their_atoms(cache):
    """Crystals with operations hold them at every tolerance; shaken ones lose them from the tight end on."""
    data = random_dataset((2, 14, 62, 99, 139, 194), 5)
    sound = from_dataset(data, "made")
    loose = replace(sound, cells=tuple(replace(c, x=shaken(c, 0.02).x) for c in sound.cells if c is not None))
    first = evaluate(sound, sound, sound, replace(OPTIONS, metrics="operations,adaptor"), cache)
    second = evaluate(loose, sound, sound, replace(OPTIONS, metrics="operations,adaptor"), cache)
    assert (
        first["symop.closed"].value
        == first["symop.lattice_compatible"].value
        == first["symop.contains_0.0001"].value
        == 1
    )
    assert first["symop.js_groups"].value == 0
    assert second["symop.closed"].value == 1
    assert second["symop.contains_0.001"].value == 0 < second["symop.contains_0.2"].value
    ladder = second.report["ladder"]
    assert len(ladder["contains"]) == len(ladder["tolerances"]) == len(stages.LADDER)
    assert first.report["heat_map"]["overall"] == first["adaptor.preserved"].value == 1
    assert sum(map(sum, first.report["heat_map"]["counts"])) == 6


def test_raw_sets_with_defects(cells, cache):
    """A set without one operation, one without its identity, and a group."""
    from symjax.groups import standard_setting

    ops = standard_setting(75)  # P4: the identity, 2, 4 and its inverse
    W, w = np.asarray(ops.W), np.asarray(ops.w)
    quarter = next(i for i in range(4) if np.trace(W[i]) == 1)
    mask = np.ones((3, 4), bool)
    mask[0, quarter], mask[1, (W == np.eye(3)).all(axis=(1, 2)).argmax()] = False, False
    options = replace(
        OPTIONS, metrics="operations", inputs={"operations": (np.stack([W] * 3), np.stack([w] * 3), mask)}
    )
    found = evaluate(from_cells(cells), from_cells(cells), None, options, cache)
    assert found["symop.raw_closed"].value == pytest.approx(1 / 3)
    assert found["symop.raw_identity"].value == pytest.approx(2 / 3)
    assert found["symop.raw_inverse"].value == pytest.approx(2 / 3)
    assert found["symop.raw_missing_inverses"].value == pytest.approx(1 / 9)  # one of three members of the first set
    # {1, 2, 4-}: 4- 4- = 2, 2 2 = 1, but 2 4- and 4- 2 are 4+: 2 of 9; {2, 4+, 4-}: 2 2, 4+ 4-, 4- 4+ are 1: 3 of 9
    assert found["symop.raw_missing_products"].value == pytest.approx(5 / 27)


def test_every_row_is_in_the_denominator(cells, cache):
    """Rows that are no crystal count as invalid, are named with the reason, and never drop out."""
    nothing = AtomicStructure(np.zeros((3, 3)), [11], [[0, 0, 0]])
    broken = replace(salt(), x=np.full((8, 3), np.nan))
    odd = replace(salt(), z=np.full(8, 130))
    overlap = AtomicStructure(4 * np.eye(3), [11, 17], [[0, 0, 0], [0.01, 0, 0]])
    single = AtomicStructure(3 * np.eye(3), [26], [[0, 0, 0]])
    copies = [salt(), nothing, broken, odd, overlap, single]
    names = ["salt", "nothing", "broken", "odd", "overlap", "single"]
    found = evaluate(from_cells(copies, "made", names), from_cells(cells), from_cells(cells), OPTIONS, cache)
    value = {figure.key: figure.value for figure in found.figures}
    assert [row["name"] for row in found.report["samples"]["unusable"]] == ["nothing", "broken", "odd"]
    assert all(row["reason"] for row in found.report["samples"]["unusable"])
    assert found["symmcd.structural_validity"].num == found["lemat.validity"].num == 6
    assert value["symmcd.structural_validity"] == pytest.approx(
        2 / 6
    )  # salt and the single atom; overlapping atoms are not
    assert value["symmcd.composition_validity"] == pytest.approx(3 / 6)
    assert value["wyckoff_transformer.formal_validity"] <= 3 / 6
    assert found.report["samples"]["num"] == 6
    assert found.report["samples"]["num_usable"] == 3


def test_an_element_beyond_the_radii_is_named_not_fatal(cells, cache):
    heavy = AtomicStructure(4 * np.eye(3), [110], [[0, 0, 0]])
    found = evaluate(from_cells([heavy, salt()], "made", ["heavy", "salt"]), from_cells(cells), None, OPTIONS, cache)
    assert {(row["name"], row["stage"]) for row in found.report["samples"]["failed_stages"]} == {
        ("heavy", "geometry"),
        ("heavy", "composition"),
    }
    assert found["symmcd.structural_validity"].value == 0.5


def test_nothing_usable_at_all(cells, cache, tmp_path):
    """All rows invalid: every figure has a value or is null, nothing is raised, and both files are written."""
    nothing = AtomicStructure(np.zeros((3, 3)), [11], [[0, 0, 0]])
    found = evaluate(from_cells([nothing, nothing]), from_cells(cells), from_cells(cells), OPTIONS, cache)
    assert found["symmcd.validity"].value == 0
    assert found["symmcd.validity"].num == 2
    assert math.isnan(found["symmcd.d_sg"].value)
    write_report(tmp_path / "out", found)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {row["key"]: row["value"] for row in report["figures"]}["symmcd.d_sg"] is None
    assert "<html" in (tmp_path / "out" / "report.html").read_text()


def test_a_single_crystal(cells, cache):
    found = evaluate(from_cells([salt()]), from_cells(cells), from_cells(cells), OPTIONS, cache)
    assert found["symmcd.validity"].value == 1
    assert found["symmcd.validity"].num == 1
    json.dumps(found.report, allow_nan=False)


def test_no_samples_and_no_reference(cells, cache):
    nothing = AtomicStructure(np.zeros((3, 3)), [11], [[0, 0, 0]])
    with pytest.raises(InputError, match="no samples"):
        evaluate(from_cells([]), from_cells(cells), None, OPTIONS, cache)
    with pytest.raises(InputError, match="no row is a crystal"):
        evaluate(from_cells(cells), from_cells([nothing]), None, OPTIONS, cache)
    with pytest.raises(InputError, match="fewer than the 100"):
        evaluate(from_cells(cells), from_cells(cells), None, replace(OPTIONS, draw=100), cache)
    for wrong in ("nonsense", "symmcd,,x", "symmcd,-symmcd"):
        with pytest.raises(InputError):
            evaluate(from_cells(cells), from_cells(cells), None, replace(OPTIONS, metrics=wrong), cache)


def test_without_train_the_rest_is_made_and_said(cells, cache):
    found = evaluate(from_cells(cells), from_cells(cells), None, OPTIONS, cache)
    skipped = {row["metric"] for row in found.report["skipped"]}
    assert {"wyckoff_transformer.novelty", "wyckoffaugen.un", "lemat.novel", "symmcd.templates_new"} <= skipped
    assert found["symmcd.d_sg_all"].value == 0
    assert not skipped & {figure.key for figure in found.figures}


def test_the_cache_is_used_and_gives_equal_figures(cells, tmp_path, monkeypatch):
    """A second run works nothing out; a half-filled cache (a kill) gives the same report."""
    path = tmp_path / "cache.sqlite"
    real = from_cells(cells)
    with Cache(path) as store:
        evaluate(from_cells(cells[:7]), real.take(range(3)), None, OPTIONS, store)  # as if killed half-way
    with Cache(path) as store:
        resumed = evaluate(real, real, None, OPTIONS, store)
    fresh = evaluate(real, real, None, OPTIONS)
    assert [f.as_json() for f in resumed.figures] == [f.as_json() for f in fresh.figures]

    def fail(cell):
        raise AssertionError("worked out again")

    for name in ("GEOMETRY", "COMPOSITION", "SYMMETRY"):
        monkeypatch.setattr(stages, name, replace(getattr(stages, name), function=fail))
    with Cache(path) as store:
        again = evaluate(real, real, None, OPTIONS, store)
    assert [f.as_json() for f in again.figures] == [f.as_json() for f in fresh.figures]
    for name in ("GEOMETRY", "COMPOSITION", "SYMMETRY"):  # a new version is not read from old rows
        monkeypatch.setattr(stages, name, replace(getattr(stages, name), version=99))
    with Cache(path) as store:
        failing = evaluate(real, real, None, OPTIONS, store)
    assert len(failing.report["samples"]["failed_stages"]) == 3 * len(cells)


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    wrong = tmp_path / "cache.sqlite"
    wrong.write_text("not a database, and long enough to be read as one " * 30)
    with pytest.raises(InputError, match="--no-cache"):
        Cache(wrong)


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same(cells):
    """Enough crystals that workers really start."""
    many = from_cells([shaken(cell, 0.01 * i, seed=i) for i in range(4) for cell in cells])
    assert len(many) > 64
    one = evaluate(many, many, None, replace(OPTIONS, metrics="symmcd,lemat", processes=1))
    two = evaluate(many, many, None, replace(OPTIONS, metrics="symmcd,lemat", processes=2))
    assert [f.as_json() for f in one.figures] == [f.as_json() for f in two.figures]


def test_drawing_some_samples_is_seeded(cells, cache):
    real = from_cells(cells)
    first, again = (evaluate(real, real, None, replace(OPTIONS, draw=5, metrics="lemat"), cache) for _ in range(2))
    assert first.study.samples.crystals.names == again.study.samples.crystals.names
    assert first["lemat.validity"].num == 5


def test_timing_comes_from_the_source_or_the_user(cells, cache):
    real = replace(from_cells(cells), facts={"seconds": 10.0})
    found = evaluate(real, real, None, replace(OPTIONS, metrics="wyckoffaugen,adaptor"), cache)
    assert found["wyckoffaugen.seconds_per_500"].value == pytest.approx(5000 / len(cells))
    told = evaluate(real, real, None, replace(OPTIONS, metrics="wyckoffaugen", inputs={"seconds": 1.0}), cache)
    assert told["wyckoffaugen.seconds_per_500"].value == pytest.approx(500 / len(cells))


def test_the_report_says_what_it_is_of(base, cells, cache):
    found = evaluate(from_cells([*cells, cells[0]], "mine"), from_cells(cells, "real"), None, OPTIONS, cache)
    report = found.report
    assert report["program"] == run.PROGRAM
    assert report["samples"]["source"] == "mine"
    assert len(report["samples"]["sha256"]) == 64
    assert report["samples"]["sha256"] != report["reference"]["sha256"]
    assert report["samples"]["duplicates"] == [{"name": f"row-{len(cells)}", "same_as": "row-0"}]
    assert {"numpy", "spglib", "pymatgen", "python"} <= set(report["versions"])
    assert sum(report["distributions"]["space groups"]["samples"].values()) == len(cells) + 1
    keys = [row["key"] for row in report["figures"]]
    assert len(keys) == len(set(keys))


def test_coverage_and_diversity_of_fingerprints(cells, cache):
    """Simple crystals cover themselves; molecules of gas far from them cover nothing and are covered by nothing."""
    simple = [salt(), salt(6.3, (19, 17)), AtomicStructure(4.1 * np.eye(3), [55, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])]
    far = [AtomicStructure(9.0 * np.eye(3), [1, 1], [[0, 0, 0], [0.08, 0, 0]])]
    real, options = from_cells(simple), replace(OPTIONS, metrics="coverage")
    own = evaluate(real, real, real, options, cache)
    assert own["symmcd.coverage_recall"].value == own["symmcd.coverage_precision"].value == 1
    assert own["symmcd.coverage_recall_joint"].value == own["symmcd.coverage_recall_own_scaler"].value == 1
    assert own["wyckoffaugen.cmd"].num == 0  # nothing is novel
    fresh = evaluate(real, real, None, options, cache)
    assert fresh["wyckoffaugen.cmd"].value == pytest.approx(0, abs=1e-12)
    assert fresh["wyckoffaugen.diversity_structure"].value == pytest.approx(
        fresh["wyckoffaugen.diversity_structure"].reference
    )
    nothing = AtomicStructure(np.zeros((3, 3)), [11], [[0, 0, 0]])
    mixed = evaluate(from_cells([simple[0], *far, nothing]), real, None, options, cache)
    assert mixed["symmcd.coverage_precision"].value == pytest.approx(1 / 3)  # the row that is no crystal counts
    assert mixed["symmcd.coverage_precision"].num == 3
    none = evaluate(from_cells([nothing]), real, None, options, cache)
    assert none.report["skipped"][0]["reason"] == "no crystal of the samples has fingerprints"


@pytest.mark.slow
def test_two_halves_of_real_data_are_at_the_floor(tmp_path):
    """Random halves of one data set differ by no more than the floors say; anchors of published data hold."""
    from symjax.evaluate.sources import read_crystals

    folder = shared_data("mp20_open")
    if folder is None:
        pytest.skip("needs mp20_open beside the repository")
    whole = read_crystals(folder / "test.csv.gz")
    order = np.random.default_rng(0).permutation(len(whole))
    halves = whole.take(order[: len(order) // 2]), whole.take(order[len(order) // 2 :])
    found = evaluate(*halves, halves[1], Options(metrics="-coverage"))
    for key in (
        "symmcd.d_sg_all",
        "wyckoff_transformer.ks_sites",
        "wyckoff_transformer.ks_dof",
        "wyckoff_transformer.chi2_elements",
        "wyckoff_transformer.chi2_groups",
        "wyckoff_transformer.ks_elements",
        "symmcd.wasserstein_density_all",
    ):
        figure = found[key]
        assert figure.p > 0.005 and figure.value < figure.floor.mean + 5 * figure.floor.sd, key
    assert 0.88 < found["symmcd.composition_validity"].value < 0.93
    assert found["wyckoffaugen.structural_validity"].value > 0.999
    assert 0.005 < found["wyckoff_transformer.p1"].value < 0.025
    assert found["wyckoff_transformer.novelty"].value > 0.9
