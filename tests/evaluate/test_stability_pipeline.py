"""Samples through a potential without torch: relaxed, set against a hull, judged; and the figures made from the arrays by hand."""

import io
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.cache import Cache
from symjax.evaluate.metrics import stability
from symjax.evaluate.run import Options, evaluate
from symjax.evaluate.sources import from_cells
from symjax.evaluate.stability import Hull, RelaxOptions
from symjax.evaluate.stability.hull import Entry
from symjax.evaluate.stability.pipeline import StabilityRun
from tests.evaluate.stability_fakes import Pair
from tests.evaluate.test_stability_relax import rock_salt


def hull(*, potential="pair-1"):
    """Elements at -1 eV/atom, NaCl at -2."""
    entries = [Entry(((z, 1),), -1.0, f"element-{z}") for z in (11, 17, 19)]
    return Hull((*entries, Entry(((11, 1), (17, 1)), -2.0, "salt")), potential)


def run_of(**more):
    given = {"hull": hull(), "potential": Pair(fail=(79,)), "calibrate": 0, "options": RelaxOptions(steps=3)} | more
    return StabilityRun(**given)


def judged(cells, run, names=None, train=None, cache=None, metrics="stability"):
    real = from_cells([rock_salt()], "real", ["known"])
    options = Options(metrics=metrics, processes=1, draws=3, stability=run)
    return evaluate(
        from_cells(cells, "made", names), real, real if train is None else from_cells(train), options, cache
    )


def test_every_sample_has_a_distance_or_a_reason():
    nothing = AtomicStructure(np.zeros((3, 3)), [11], [[0, 0, 0]])
    cells = [rock_salt(), rock_salt(numbers=(79, 17)), rock_salt(numbers=(3, 17)), nothing]
    found = judged(cells, run_of(), ["salt", "gold", "lithium", "nothing"])
    rows = found.report["samples"]["failed_stages"]
    told = {row["name"]: row["reason"] for row in rows if row["stage"] == "stability"}
    assert "does not know" in told["gold"]
    assert "no elemental reference for Li" in told["lithium"] or "steps" in told["lithium"]
    assert "nothing" not in told  # it is among the rows that could not be used
    assert [row["name"] for row in found.report["samples"]["unusable"]] == ["nothing"]
    assert np.isfinite(found.study.stability["e_hull"]).tolist() == [True, False, False, False]
    assert found["stability.covered"].value == 0.25
    assert found["stability.covered"].num == 4
    assert found["stability.stable_0.08"].num == 1
    assert found["lemat.stable"].num == 4
    energy = found.study.stability["energy"][0]
    assert found.study.stability["e_hull"][0] == pytest.approx(energy + 2.0)
    assert found.study.stability["formation_energy"][0] == pytest.approx(energy + 1.0)


def test_the_hull_and_its_calibration_stand_with_every_figure():
    found = judged([rock_salt()], run_of(calibrate=5))
    for key in ("stability.stable_0.08", "stability.covered", "lemat.metastable"):
        assert "pair-1" in found[key].note
        assert "calibration: of 1 real crystals" in found[key].note
    assert found["stability.stable_0.08"].value == found["stability.stable_0.08"].reference
    assert "not calibrated" in judged([rock_salt()], run_of())["stability.stable_0.08"].note
    foreign = judged([rock_salt()], run_of(hull=hull(potential="DFT")))
    assert "do not compare" in foreign["stability.stable_0.08"].note


def test_formation_energies_of_both_sides_come_from_the_potential():
    found = judged([rock_salt()], run_of(calibrate=1), metrics="symmcd,stability")
    figure = found["symmcd.wasserstein_formation_energy"]
    assert figure.value == pytest.approx(0, abs=1e-9)
    assert "potential of the hull" in figure.definition


def test_crystals_as_they_were_generated():
    """SymmCD's first column of table 3: energies before relaxation; and what relaxation takes off them."""
    stretched = replace(rock_salt(), L=1.1 * rock_salt().L)
    found = judged([rock_salt(), stretched], run_of(calibrate=1))
    arrays = found.study.stability
    expected = [Pair().evaluate([cell]).energies[0] / len(cell.z) + 2.0 for cell in (rock_salt(), stretched)]
    assert arrays["e_hull_initial"] == pytest.approx(expected, abs=1e-6)
    assert found["symmcd.initial_stable"].value == np.mean(np.array(expected) < 0)
    assert found["symmcd.initial_stable"].num == 2 and found["symmcd.initial_stable"].num_reference == 1
    assert arrays["energy_drop"] == pytest.approx(arrays["e_hull_initial"] - arrays["e_hull"], abs=1e-6)
    assert found["stability.energy_drop"].value == pytest.approx(np.median(arrays["energy_drop"]))
    assert arrays["energy_drop"][1] > arrays["energy_drop"][0] >= 0


def test_symmetry_after_relaxation():
    """Rock salt keeps its group; the same atoms out of place, as a crystal that claims the group, do not hold it."""
    found = judged([rock_salt()], run_of())
    assert found["symop.relax_group_kept"].value == 1
    assert found.study.stability["group_after"].tolist() == [225]
    assert found["symop.relax_converged"].num == 1


def test_a_second_run_relaxes_nothing(tmp_path):
    first, second = Pair(), Pair()
    with Cache(tmp_path / "c.sqlite") as cache:
        one = judged([rock_salt()], run_of(potential=first), cache=cache)
        two = judged([rock_salt()], run_of(potential=second), cache=cache)
    assert first.calls > 0 == second.calls
    assert one.study.stability["e_hull"].tolist() == two.study.stability["e_hull"].tolist()


def test_a_phase_diagram_of_a_system():
    cells = [rock_salt(), rock_salt(numbers=(19, 17))]
    found = judged(cells, run_of(systems=((11, 17),)))
    (data,) = found.report["phase_diagrams"]
    assert data["system"] == "Na-Cl"
    assert len(data["png_base64"]) > 1000
    assert data["counts"]["in_system"] == 1
    assert found["adaptor.phases_found_composition_na_cl"].value == 1
    assert found["adaptor.phases_found_composition_na_cl"].num == 1


def test_numeric_conditions_are_held_against_the_potential():
    """Off by what the fake potential says, the better the longer the bond; samples of another system do not count as hits."""
    cells = [replace(rock_salt(), L=scale * rock_salt().L) for scale in (1.0, 1.05, 1.1)] + [
        rock_salt(numbers=(19, 17))
    ]
    asked = np.array([0.0, 0.1, 0.2, 0.0])
    samples = replace(from_cells(cells), properties={"requested_e_above_hull": asked})
    options = replace(
        Options(metrics="adaptor,stability", processes=1, draws=3), stability=run_of(), inputs={"systems": ((11, 17),)}
    )
    found = evaluate(samples, from_cells([rock_salt()]), None, options)
    e_hull = found.study.stability["e_hull"]
    known = np.isfinite(e_hull)
    assert found["adaptor.e_above_hull_error"].value == pytest.approx(np.abs(e_hull - asked)[known].mean())
    assert found["adaptor.e_above_hull_mean"].value == pytest.approx(e_hull[known].mean())
    low, high = found["adaptor.e_above_hull_mean"].interval
    assert low <= e_hull[known].mean() <= high
    assert -1 <= found["adaptor.e_above_hull_rank"].value <= 1
    assert found["adaptor.system_na_cl"].value == 0.75
    without = evaluate(samples, from_cells([rock_salt()]), None, replace(options, metrics="adaptor", stability=None))
    reasons = {row["metric"]: row["reason"] for row in without.report["skipped"]}
    assert "--metrics stability" in reasons["adaptor.e_above_hull_error"]


def test_without_the_extra_the_rest_still_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "chgnet", None)
    found = judged([rock_salt()], run_of(potential="chgnet"), metrics="lemat,stability")
    reasons = {row["metric"]: row["reason"] for row in found.report["skipped"]}
    assert "pip install" in reasons["lemat.stable"] and "[stability]'" in reasons["lemat.stable"]
    assert found["lemat.validity"].num == 1


def test_wrong_options():
    with pytest.raises(InputError, match="calibration"):
        run_of(calibrate=-1)


def by_hand(e_hull, train):
    """Figures of four samples (a, a again, b, c) with given distances; b stands in train if asked for."""
    a, b, c = rock_salt(), rock_salt(numbers=(19, 17)), rock_salt(numbers=(3, 9))
    found = judged([a, a, b, c], None, train=[b] if train else [rock_salt(numbers=(37, 53))], metrics="lemat")
    study = replace(found.study, stability={"e_hull": np.array(e_hull, float)}, inputs={"hull": "made by hand"})
    return {figure.key: figure for figure in stability.figures(study).figures}


def test_shares_and_sun_by_hand():
    found = by_hand([-0.01, -0.1, 0.05, 0.09], train=True)
    assert [found[f"stability.stable_{t}"].value for t in ("0", "0.08", "0.1")] == [0.5, 0.75, 1.0]
    assert found["wyckoff_transformer.sun"].value == 0.25  # a; its copy is not unique, b is known, c is too high
    assert found["symmcd.sun"].value == found["lemat.sun"].value == 0.25
    assert found["lemat.msun"].value == 0.5
    low, high = found["wyckoff_transformer.sun"].interval
    assert low < 0.25 < high
    on_hull = by_hand([0.0, 0.2, 0.05, 0.09], train=True)  # a crystal on the hull is stable, and not under the hull
    assert (on_hull["symmcd.sun"].value, on_hull["lemat.sun"].value) == (0.0, 0.25)
    assert (on_hull["symmcd.stable"].value, on_hull["lemat.stable"].value) == (0.0, 0.25)
    assert by_hand([0.0, -0.1, 0.05, 0.09], train=False)["wyckoff_transformer.sun"].value == 0.5


def test_a_missing_energy_leaves_one_denominator_and_not_the_other():
    """WyckoffTransformer's rate is over finite distances, before uniqueness; the raw rate is over all rows."""
    found = by_hand([0.0, math.nan, math.nan, 0.5], train=True)
    assert (found["wyckoff_transformer.sun"].value, found["wyckoff_transformer.sun"].num) == (0.5, 2)
    assert (found["lemat.sun"].value, found["lemat.sun"].num) == (0.25, 4)
    assert found["stability.covered"].value == 0.5
    empty = by_hand([math.nan] * 4, train=True)
    assert math.isnan(empty["wyckoff_transformer.sun"].value)
    assert empty["lemat.sun"].value == 0


def test_two_protocols_side_by_side():
    """Thresholds, the validity of one of them, unique and novel of both; the potential, the hull and published rows are named."""
    found = by_hand([0.0, -0.1, 0.085, 0.2], train=True)  # a, a again, b that is known, c
    shares = {
        key: found[f"protocol_{key}"].value for key in ("seeds.stable", "seeds.metastable", "seeds.sun", "seeds.msun")
    }
    assert list(shares.values()) == [0.25, 0.5, 0.0, 0.25]
    shares = {
        key: found[f"protocol_{key}"].value for key in ("lemat.stable", "lemat.metastable", "lemat.sun", "lemat.msun")
    }
    assert list(shares.values()) == [0.5, 0.75, 0.25, 0.25]
    thin = replace(rock_salt(), L=12 * rock_salt().L)  # under 0.01 g/cm3
    study = judged([rock_salt(), thin], None, metrics="lemat").study
    study = replace(study, stability={"e_hull": np.array([-0.1, -0.1])}, inputs={"hull": "made by hand"})
    found = {figure.key: figure for figure in stability.figures(study).figures}
    assert found["protocol_seeds.stable"].value == 1.0 and found["protocol_lemat.stable"].value == 0.5


def test_the_protocols_in_the_report():
    from rich.console import Console

    from symjax.evaluate.report.text import show

    report = judged([rock_salt()], run_of(), train=[rock_salt(numbers=(37, 53))]).report
    assert [row["key"] for row in report["protocols"]["rows"]][-1] == "msun"
    console = Console(width=140, record=True, file=io.StringIO())
    show(report, console)
    text = console.export_text()
    assert "pair-1" in text and "PLaID++ 30.2" in text and "SymmCD 8.9" in text and "n = 2500" in text
    assert "4 compositions of 4 chemical systems" in text
