"""`symjax discover` with drawn crystals and a potential made by hand: ranks, duplicates, resuming, refusal, the page."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from symjax.data.dataset import joined
from symjax.discover import drawing
from symjax.discover.drawing import PIECE, Source, seed_of
from symjax.discover.energies import Reference
from symjax.discover.files import write_all
from symjax.discover.run import Options, discover
from symjax.errors import InputError
from symjax.evaluate.sources import from_cells, from_dataset
from symjax.evaluate.stability import Hull, RelaxOptions
from symjax.evaluate.stability.completeness import completeness
from symjax.evaluate.stability.hull import Entry
from symjax.generate.loop import Generated
from tests.evaluate.stability_fakes import Fixed, Pair

FAST = RelaxOptions(fmax=0.05, steps=3, symmetric=True)


@pytest.fixture
def small(prototype_dataset):
    """Prototypes of two elements and few atoms."""
    rows = np.flatnonzero(prototype_dataset.num_atoms <= 8)
    return prototype_dataset.subset([i for i in rows if len(prototype_dataset.atoms(i).counts) == 2][:12])


@pytest.fixture
def drawn(monkeypatch, small):
    """Every piece gives eight of them, the last one a copy of the first; calls are counted."""
    calls = []

    def generate(name, num, *, settings, **more):
        calls.append(settings.seed)
        rows = [(settings.seed + i) % len(small) for i in range(num - 1)]
        data = small.subset([*rows, rows[0]])
        return Generated(None, dataclasses.replace(data, properties={}), num, {}, [], 0)

    monkeypatch.setattr(drawing.systems, "generate", generate)
    monkeypatch.setattr(drawing, "seed_of", lambda seed, piece: seed + 3 * piece)
    return calls


def options(num=PIECE, potential=None, known=None, **more):
    return Options(Source(), num, Reference(known=known, **more), potential or Fixed(), relaxation=FAST, processes=1)


def run(folder, given, said=None, **more):
    return discover(
        given, folder, say=(said if said is not None else []).append, extras=lambda w, o: write_all(w, o, "a<b"), **more
    )


def test_ranks_duplicates_and_files(tmp_path, drawn, small):
    known = from_dataset(small.subset([0, 1]), "known")
    said = []
    found = run(tmp_path / "out", options(known=known), said)
    own = [row for row in found.rows if row["same_as"] is None]
    above = [row["energy_above_hull_eV_per_atom"] for row in own]
    assert above == sorted(above) and [row["rank"] for row in own] == list(range(1, len(own) + 1))
    assert any(row["same_as"] for row in found.rows)  # the copy
    assert {row["new"] for row in own} == {True, False}
    assert any("elemental reference" in text for text in said)  # told before anything was relaxed
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(result["files"]) == {
        str(p.relative_to(tmp_path / "out"))
        for p in (tmp_path / "out").rglob("*")
        if p.is_file() and ".discover" not in p.parts
    }
    table = list(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    assert [row["formula"] for row in table] == [row["formula"] for row in result["crystals"]]
    assert "energy_above_hull_eV_per_atom" in table[0]
    assert any(one["complete_in_name_only"] for one in result["completeness"])
    assert any("upper bounds" in text for text in said)


def test_the_page_needs_nothing_and_turns(tmp_path, drawn, small):
    run(tmp_path / "out", options())
    page = (tmp_path / "out" / "index.html").read_text()
    assert "a&lt;b" in page and 'src="http' not in page and 'href="http' not in page and "@import" not in page
    block = page.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    data = json.loads(block)
    assert data["cifs"][0].startswith("data_") or "data_" in data["cifs"][0]
    assert all(str(a[3]) in data["elements"] for scene in data["scenes"] for a in scene["atoms"])
    node = shutil.which("node")
    if node is None:
        return
    script = page.split("</script><script>")[1].split("</script>")[0].split("const data =")[0]
    stub = """
let arcs = []; const gradient = { addColorStop() {} };
const context = { clearRect() {}, beginPath() {}, moveTo() {}, lineTo() {}, stroke() {}, fill() {},
  createRadialGradient: () => gradient, arc: (x, y, r) => arcs.push([x, y, r]) };
const on = {}; const canvas = { width: 100, height: 100, getContext: () => context, setPointerCapture() {},
  addEventListener: (name, call) => { on[name] = call; } };
const d = JSON.parse(require("fs").readFileSync(0, "utf8"));
spin(canvas, d.scenes[0], d.elements); const first = arcs; arcs = [];
on.pointerdown({ clientX: 0, clientY: 0, pointerId: 1 }); on.pointermove({ clientX: 30, clientY: 10 });
console.log(JSON.stringify([first.length, arcs.length, JSON.stringify(first) !== JSON.stringify(arcs)]));
"""
    done = subprocess.run([node, "-e", script + stub], input=block, capture_output=True, text=True, check=True)
    count, again, turned = json.loads(done.stdout)
    assert count == again == len(data["scenes"][0]["atoms"]) and turned


def test_a_second_run_goes_on_and_another_is_refused(tmp_path, drawn):
    first = Fixed()
    one = run(tmp_path / "out", options(potential=first))
    assert drawn == [0] and first.calls > 0
    again = Fixed()
    two = run(tmp_path / "out", options(potential=again))
    assert drawn == [0] and again.calls == 0 and one.rows == two.rows
    more = run(tmp_path / "out", options(num=PIECE + 2))
    assert drawn == [0, 3] and len(more.rows) == PIECE + 2
    assert {row["id"] for row in one.rows} < {row["id"] for row in more.rows}
    other = dataclasses.replace(options(), source=Source(model="symmcd"))
    with pytest.raises(InputError, match=r"another command \(model: symop there, symmcd now\)"):
        run(tmp_path / "out", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds files already"):
        run(tmp_path / "mine", options())
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    run(tmp_path / "out", other, overwrite=True)
    kept = json.loads((tmp_path / "out" / "results.json").read_text())
    assert kept["model"] == "symmcd" and set(kept["files"]) == {
        p.name for p in (tmp_path / "out").iterdir() if p.is_file()
    }


class Dying(Fixed):
    """Ends the process, as `kill -9` does, at its n-th call."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def evaluate(self, cells, *, forces=True):
        if self.calls >= self.at:
            import os

            os._exit(9)
        return super().evaluate(cells, forces=forces)


def test_a_kill_costs_the_crystal_under_way(tmp_path, drawn):
    """What was relaxed before is in the cache: only what follows is computed again."""
    counting = Fixed()
    whole = run(tmp_path / "whole", options(potential=counting))
    import multiprocessing

    child = multiprocessing.get_context("fork").Process(
        target=run, args=(tmp_path / "out", options(potential=Dying(counting.calls - 3)))
    )
    child.start()
    child.join()
    assert child.exitcode == 9
    rest = Fixed()
    found = run(tmp_path / "out", options(potential=rest))
    assert found.rows == whole.rows
    assert rest.calls == 3  # what had not been asked before the end: the crystal under way, and those after it


def test_without_the_extra(tmp_path, drawn, monkeypatch):
    monkeypatch.setitem(sys.modules, "chgnet", None)
    said = []
    found = run(tmp_path / "out", dataclasses.replace(options(), potential="chgnet"), said)
    assert any("pip install" in text and "[stability]" in text and "set against a hull" in text for text in said)
    assert [row["valid"] for row in found.rows if row["rank"]] == sorted(
        (row["valid"] for row in found.rows if row["rank"]), reverse=True
    )
    assert found.hull is None and all(row["energy_eV_per_atom"] is None for row in found.rows)


def test_completeness_is_said():
    entries = [Entry(((z, 1),), -1.0, str(z)) for z in (3, 15, 16)] + [Entry(((3, 2), (16, 1)), -2.0, "Li2S")]
    hull = Hull(tuple(entries), "pair-1")
    found = completeness(hull, (3, 15, 16))
    assert (found.full, found.partial, found.missing) == (0, 1, ())
    assert str(found).startswith("0 reference compounds hold all three of Li, P, S (1 some of them)")
    assert "upper bounds" in str(found) and found.empty
    assert not completeness(hull, (3, 16)).empty
    assert "no elemental reference for O" in str(completeness(hull, (3, 8)))


def test_pieces_have_their_own_seeds_and_the_first_that_of_the_run():
    seeds = [seed_of(5, piece) for piece in range(50)]
    assert seeds[0] == 5 and len(set(seeds)) == 50 and all(0 <= seed < 2**63 for seed in seeds)


def test_data_sets_are_joined_indexed_and_iterated(prototype_dataset):
    parts = [prototype_dataset.subset([5, 9]), prototype_dataset.subset([200])]
    whole = joined(parts)
    for index, row in enumerate((5, 9, 200)):
        one, two = whole.atoms(index), prototype_dataset.atoms(row)
        np.testing.assert_array_equal(one.z, two.z)
        np.testing.assert_allclose(one.x, two.x)
        np.testing.assert_allclose(one.L, two.L)
    assert len(list(whole)) == 3 and len(whole[-1].z) == len(whole.crystal(2).z)
    with pytest.raises(IndexError):
        whole[3]
    with pytest.raises(TypeError, match="subset"):
        whole[0:2]


def test_stability_alone_needs_no_reference(tmp_path):
    from symjax.evaluate.run import Options as EvaluateOptions
    from symjax.evaluate.run import evaluate
    from symjax.evaluate.stability.pipeline import StabilityRun
    from tests.evaluate.test_stability_pipeline import hull
    from tests.evaluate.test_stability_relax import rock_salt

    run_of = StabilityRun(hull=hull(), potential=Pair(), calibrate=0, options=FAST)
    made = from_cells([rock_salt()], "made", ["salt"])
    report = evaluate(
        made, None, None, EvaluateOptions(metrics="stability", processes=1, draws=3, stability=run_of)
    ).report
    (row,) = report["stability"]["crystals"]
    assert row["id"] == "salt" and row["formula"] == "NaCl" and row["energy_eV_per_atom"] is not None
    assert row["energy_above_hull_eV_per_atom"] == pytest.approx(row["energy_eV_per_atom"] + 2.0)
    assert report["stability"]["completeness"][0]["reference_compounds_with_all_elements"] == 1
    assert report["reference"] is None
    with pytest.raises(InputError, match="lemat: need real crystals"):
        evaluate(made, None, None, EvaluateOptions(metrics="lemat,stability", processes=1, stability=run_of))
