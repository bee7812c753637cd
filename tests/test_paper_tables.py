"""Tables of published and measured rows: the numbers against the arithmetic of their sources, and how they are printed."""

import ast
import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

import symjax
from experiments import shipped, tables
from experiments.published import SYSTEMS, TABLES, owner
from experiments.published.render import FORMS, Cell, escaped
from symjax.errors import InputError


def rows(key, system, source=""):
    found = [row for row in TABLES[key].rows if row.system == system and source in row.source]
    assert found, f"{key} has no row {system}"
    return found


def value(key, system, column, source=""):
    (found,) = {row.values[column] for row in rows(key, system, source) if column in row.values}
    return found


def figure(key, number, **more):
    return {
        "key": key,
        "name": key,
        "value": number,
        "num": 900,
        "definition": "d",
        "source": "s",
        "tolerance": "",
        "interval": None,
        "floor": None,
        "reference": None,
        **more,
    }


def report(**more):
    return {
        "symjax": "0.3.0",
        "samples": {
            "source": "runs/crystals",
            "num": 1000,
            "num_usable": 998,
            "sha256": "aa",
            "unusable": [{"name": "a.cif", "reason": "empty"}, {"name": "b.cif", "reason": "NaN"}],
        },
        "reference": {"source": "data/test.npz", "num": 7342, "sha256": "bb"},
        "train": {"source": "data/train.npz", "num": 10796, "sha256": "cc"},
        "hardware": {"cpu": "two cores", "gpu": None},
        "versions": {},
        "seconds": 12.3,
        "options": {"metrics": ["symmcd", "lemat"]},
        "skipped": [
            {"metric": "symmcd.coverage_recall", "reason": "needs matminer"},
            {"metric": "stability", "reason": "needs the extra"},
        ],
        "figures": [
            figure("symmcd.structural_validity", 0.9531, num=1000, interval=[0.94, 0.966], reference=1.0),
            figure(
                "symmcd.d_sg", 0.183, tolerance="0.1", floor={"mean": 0.102, "sd": 0.004, "num": 900}, reference=0.0
            ),
            figure("symmcd.composition_validity", None, num=0),
            figure("symop.closed", 1.0, num=1000),
        ],
        **more,
    }


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "report.json"
    place.write_text(json.dumps(report()))
    return place


def run(capsys, *argv):
    code = tables.main([str(part) for part in argv])
    found = capsys.readouterr()
    return code, found.out, found.err


# --- the published numbers


@pytest.mark.parametrize("key", TABLES)
def test_every_number_has_a_column_and_a_source(key):
    table = TABLES[key]
    assert table.key == key
    assert table.title and table.paper and table.caveats and table.columns and table.systems
    keys = [column.key for column in table.columns]
    assert len(set(keys)) == len(keys)
    assert set(table.systems) <= set(SYSTEMS)
    for row in table.rows:
        assert row.kind == "reported" and row.system
        assert len(row.source) > 10, f"{row.system}: no source"
        assert set(row.values) <= set(keys)
        assert set(row.spread) <= set(row.values), "a spread needs its value"
        assert bool(row.values) != (row.provenance in tables.ABSENT), f"{row.system}: {row.provenance} and values"
        assert row.note or row.provenance != "inferred", f"{row.system}: an inferred number needs its arithmetic"


@pytest.mark.parametrize("key", TABLES)
def test_numbers_print_as_they_are_published(key):
    for row in TABLES[key].rows:
        for column, number in row.values.items():
            text = Cell(number, sd=row.spread.get(column), exact=True).text().split(" ± ")
            assert float(text[0]) == number
            assert len(text) == 1 or float(text[1]) == row.spread[column]


@pytest.mark.parametrize("key", TABLES)
def test_percentages_and_distances_are_in_range(key):
    for row in TABLES[key].rows:
        for column, number in row.values.items():
            assert number >= 0
            if TABLES[key].column(column).unit == "%":
                assert number <= 100
            if column == "d_sg":
                assert number <= 0.8326, "a Jensen-Shannon distance in nats"


def test_metric_keys_have_a_family_and_rates_are_scaled():
    for table in TABLES.values():
        for column in table.columns:
            assert not column.metric or re.fullmatch(r"[a-z_]+\.[a-z0-9_.]+", column.metric)
            assert column.scale == (100.0 if column.unit == "%" and column.metric else 1.0), (table.key, column.key)


def figure_patterns():
    """Patterns of the string literals in `symjax.evaluate.metrics` that can be keys of figures; anything may stand for a field."""
    for path in (Path(symjax.__file__).parent / "evaluate" / "metrics").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node] if isinstance(node, ast.Constant) else []
            fixed = [
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else None for part in parts
            ]
            written = "".join(part or "" for part in fixed)
            if len(written) >= 6 and " " not in written:
                yield re.compile("".join(".*" if part is None else re.escape(part) for part in fixed))


def test_every_measured_column_names_a_figure_that_evaluation_makes():
    known = list(figure_patterns())
    metrics = {(table.key, column.metric) for table in TABLES.values() for column in table.columns if column.metric}
    metrics = {pair for pair in metrics if not pair[1].startswith("adaptor.preserved_")}  # made here from the heat map
    assert not [pair for pair in metrics if not any(pattern.fullmatch(pair[1]) for pattern in known)]


@pytest.mark.parametrize("system", ["CDVAE", "DiffCSP", "DiffCSP++", "FlowMM", "SymmCD"])
def test_new_templates_are_unique_templates_not_in_train(system):
    unique, share, new = (value("symmcd-1", system, c) for c in ("unique", "in_train", "new"))
    assert abs(unique * (1 - share / 100) - new) <= 0.0005 * unique + 0.5  # the share is rounded to 0.1 points


def test_template_arithmetic_of_the_notes():
    assert round(2794 * (1 - 0.408)) == 1654 == value("symmcd-1", "SymmCD", "new")
    diffcsp = {c: value("symmcd-1", "DiffCSP", c) for c in ("unique", "in_train", "new")}
    assert diffcsp["in_train"] == pytest.approx(100 * (1347 - 764) / 1347, abs=0.1)
    assert (diffcsp["unique"], diffcsp["new"]) == (1347, 764)


def test_mpts52_templates():
    (found,) = [row for row in rows("symmcd-mpts52", "SymmCD") if "unique" in row.values]
    assert 100 * (1 - found.values["new"] / found.values["unique"]) == pytest.approx(found.values["in_train"], abs=0.05)


def test_two_sources_of_the_same_baselines_agree():
    pairs = {
        "CDVAE": "CDVAE",
        "DiffCSP": "DiffCSP",
        "FlowMM": "FlowMM",
        "SymmCD (all groups)": "SymmCD",
        "DiffCSP++": "DiffCSP++ (empirical templates)",
    }
    for ours, theirs in pairs.items():
        for column in ("struct", "comp", "recall", "precision", "d_rho", "d_elem"):
            assert value("symmcd-2", ours, column, "ICLR") == value("mp20-models", theirs, column)
        for column, name in (("relaxed_stable", "stable"), ("relaxed_sun", "sun")):
            assert value("symmcd-3", ours, column, "ICLR") == value("mp20-models", theirs, name)


@pytest.mark.parametrize(
    ("system", "good", "total"),
    [
        ("WyckoffTransformer, MP-20", 392, 999),
        ("WyckoffTransformer + DiffCSP++, MP-20", 367, 1000),
        ("DiffCSP, MP-20", 574, 1000),
        ("WyckoffTransformer, binary and ternary", 387, 999),
        ("WyckoffTransformer, binary and ternary, relaxed", 384, 999),
        ("WyCryst, binary and ternary", 365, 994),
    ],
)
def test_stable_unique_novel_are_counts_over_samples(system, good, total):
    assert value("wyckoff_transformer-1", system, "sun") == pytest.approx(100 * good / total, abs=0.005)


def test_unique_shares_of_wyckoff_transformer():
    assert value("wyckoff_transformer-1", "WyckoffTransformer, binary and ternary", "unique") == 100 * 9822 / 10000
    assert value("wyckoff_transformer-1", "DiffCSP, MP-20", "unique") == 100 * 996 / 1000


def test_kl_is_averaged_less_own_order():
    for system in ("WyckoffTransformer, temperature 1, equations 3 and 4", "published checkpoint, temperature 1"):
        own, averaged, kl = (value("wyckoff_transformer-2", system, c) for c in ("own", "averaged", "kl"))
        assert averaged - own == pytest.approx(kl, abs=1e-9)


def test_sampling_time_ratios_and_stage_sums():
    seconds = {row.system.split(" (")[0]: row.values.get("seconds") for row in TABLES["wyckoffaugen-1"].rows}
    assert seconds["DiffCSP"] / seconds["WyckoffAUGen"] == 77
    assert seconds["DiffCSP++"] / seconds["WyckoffAUGen"] == 242
    stages = rows("adaptor-1", "WyckoffDiff-Adaptor")[0].values
    assert stages["generation"] + stages["realisation"] == stages["total"] == 60
    assert value("adaptor-1", "MatterGen", "total") / stages["total"] == pytest.approx(6.1)


def test_an_inferred_number_follows_from_its_note():
    (found,) = [row for row in rows("sun-models", "SGEquiDiff") if row.provenance == "inferred"]
    points = [float(number) for number in re.findall(r"\d+\.\d+", found.note)]
    assert found.values["sun"] == pytest.approx(points[0] - points[1])


def test_floors_fall_with_n():
    for key, columns in (
        ("symmcd-2", ("d_sg", "d_rho", "d_elem")),
        ("wyckoff_transformer-1", ("chi2_groups", "ks_sites")),
    ):
        for system in {row.system for row in TABLES[key].rows if row.system.startswith("real crystals")}:
            found = sorted((row for row in TABLES[key].rows if row.system == system), key=lambda row: row.n)
            for column in columns:
                series = [row.values[column] for row in found]
                assert all(b <= a + 0.001 for a, b in pairwise(series)), "but for the last digit"


def test_floor_of_chi_squared_is_categories_less_one_over_n():
    (found,) = [row for row in rows("wyckoff_transformer-1", "real crystals") if row.n == 10000]
    assert found.values["chi2_groups"] == pytest.approx(147 / 10000, rel=0.02)


def test_tables_without_published_numbers_say_so():
    for key in ("adaptor-figure-2", "adaptor-figure-3"):
        assert all(row.provenance == "picture" for row in TABLES[key].rows)
        assert any("prints no numbers" in caveat for caveat in TABLES[key].caveats)
    assert not TABLES["symop-1"].rows


# --- printing


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", TABLES)
def test_every_table_in_every_format(key, form, path, capsys):
    code, out, err = run(capsys, key, "--report", path, "--name", "symop", "--format", form)
    assert code == 0 and not err
    table = TABLES[key]
    for row in table.rows:
        assert (escaped(row.system) if form == "latex" else row.system) in out
    assert "measured" in out
    if form == "latex":
        body = out.split("\\midrule")[1].split("\\bottomrule")[0]
        columns = {len(line.split(" & ")) for line in body.strip().splitlines()}
        assert columns == {len(table.columns) + 4} and not re.search(r"(?<!\\)[%_#]", body)
    if form == "json":
        found = json.loads(out)
        assert [column["key"] for column in found["columns"]] == [column.key for column in table.columns]
        assert all(set(row["values"]) == {column.key for column in table.columns} for row in found["rows"])
        for row in found["rows"]:
            assert all(cell["value"] is not None or cell["status"] for cell in row["values"].values()), "a blank"
    if form == "csv":
        found = list(csv.DictReader(io.StringIO(out)))
        assert all(row[column.key] for row in found for column in table.columns), "a blank"
        assert all(row["source"] for row in found)
    if form in ("text", "markdown"):
        assert all(" ".join(caveat.split()) in out for caveat in table.caveats)
        pointers = {int(number) for number in re.findall(r"\[(\d+)\]\s*\|?$", out, re.M)}
        assert pointers == set(range(1, len(pointers) + 1)), "every source has a footnote"


def test_reported_and_measured_rows_are_told_apart(path, capsys):
    _, out, _ = run(capsys, "symmcd-2", "--report", path, "--name", "symop", "--format", "json")
    found = json.loads(out)["rows"]
    reported = [row for row in found if row["kind"] == "reported"]
    assert all(row["provenance"] and row["source"] for row in reported)
    assert len(reported) == sum(row.provenance != "rerun" for row in TABLES["symmcd-2"].rows)
    (measured,) = [row for row in found if row["kind"] == "measured"]
    cells = measured["values"]
    assert measured["system"] == "symop" and measured["n"] == 1000
    assert cells["struct"]["value"] == 95.31 and (cells["struct"]["low"], cells["struct"]["high"]) == (94.0, 96.6)
    assert cells["d_sg"]["value"] == 0.183 and cells["d_sg"]["n"] == 900
    assert cells["comp"]["status"] == "undefined"
    assert cells["recall"]["status"] == cells["precision"]["status"] == cells["d_E"]["status"] == "not computed"
    for part in ("crystals", "test.npz (n 7342)", "train.npz", "two cores", "symjax 0.3.0", "12 s"):
        assert part in measured["source"]
    assert json.loads(out)["measured_as"] == ["struct.: d", "comp.: d", "d_sg: d (0.1)"]
    told = (
        "struct. 94 to 96.6",
        "metrics of the report: symmcd, lemat",
        "COV-R: needs matminer",
        "COV-P: needs matminer",
        "needs the extra",
        "d_sg 900",
        "2 samples unusable",
    )
    for part in told:
        assert part in measured["note"]


def test_floor_and_real_data_stand_beside_the_measured_row(path, capsys):
    _, out, _ = run(capsys, "symmcd-2", "--report", path, "--format", "json")
    found = {row["kind"]: row for row in json.loads(out)["rows"]}
    assert (found["floor"]["values"]["d_sg"]["value"], found["floor"]["values"]["d_sg"]["sd"]) == (0.102, 0.004)
    assert found["real data"]["values"]["struct"]["value"] == 100.0 and found["real data"]["n"] == 7342
    assert found["measured"]["system"] == "crystals", "named by the source of the samples"


def test_reference_against_itself_is_named_real_test_crystals(tmp_path, capsys):
    place = tmp_path / "self.json"
    place.write_text(json.dumps(report(reference={"source": "runs/crystals", "num": 1000, "sha256": "aa"})))
    _, out, _ = run(capsys, "symmcd-2", "--report", place, "--format", "json")
    found = json.loads(out)["rows"]
    assert [row["system"] for row in found if row["kind"] == "measured"] == [tables.REAL]
    assert not [row for row in found if row["kind"] == "real data"], "it would be the same row twice"


def test_heat_map_becomes_shares_by_crystal_system(tmp_path, capsys):
    names = ["triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic"]
    counts = {225: [0, 0, 1, 0, 0, 0, 7], 221: [0, 0, 0, 0, 0, 0, 2], 2: [3, 1, 0, 0, 0, 0, 0]}
    place = tmp_path / "report.json"
    place.write_text(
        json.dumps(report(heat_map={"rows": list(counts), "columns": names, "counts": list(counts.values())}))
    )
    _, out, _ = run(capsys, "adaptor-figure-2", "--report", place, "--format", "json")
    (measured,) = [row for row in json.loads(out)["rows"] if row["kind"] == "measured"]
    cells = measured["values"]
    assert (cells["cubic"]["value"], cells["cubic"]["n"]) == (90.0, 10)
    assert (cells["triclinic"]["value"], cells["triclinic"]["n"]) == (75.0, 4)
    assert cells["hexagonal"]["status"] == "undefined" and cells["preserved"]["status"] == "not computed"
    place.write_text(json.dumps(report(heat_map={"rows": [999], "columns": names, "counts": [[1] * 7]})))
    assert run(capsys, "adaptor-figure-2", "--report", place)[0] == 0


def test_notes_of_figures_are_kept(tmp_path, capsys):
    place = tmp_path / "report.json"
    figures = [figure(key, 0.07, note="hull: of 10,000 crystals") for key in ("symmcd.sun", "symmcd.stable")]
    place.write_text(json.dumps(report(figures=figures, created="2026-02-03T04:05:06+00:00")))
    _, out, _ = run(capsys, "symmcd-3", "--report", place)
    assert "relaxed stable, relaxed S.U.N.: hull: of 10,000 crystals" in out and "2026-02-03" in out


def test_columns_that_nobody_measures(path, capsys):
    _, out, _ = run(capsys, "symmcd-4", "--report", path, "--format", "json")
    (measured,) = [row for row in json.loads(out)["rows"] if row["kind"] == "measured"]
    assert {cell["status"] for cell in measured["values"].values()} == {"n/a"}
    assert "has no such figure" in measured["note"]


def test_systems_without_weights_are_missing_until_they_have_some(tmp_path):
    table, root = TABLES["symmcd-2"], tmp_path / "weights"
    (root / "symmcd").mkdir(parents=True)
    line = tables.absent(table, SYSTEMS["symmcd"], root)
    assert line.kind == "missing" and "no weights yet" in line.note, "an empty folder holds no weights"
    assert {cell.text() for cell in line.cells.values()} == {"missing"}
    (root / "symmcd" / "params.npz").touch()
    line = tables.absent(table, SYSTEMS["symmcd"], root)
    assert line.kind == "not measured" and "--name symmcd" in line.note
    assert tables.absent(table, SYSTEMS["adaptor"], root).kind == "missing"


def test_the_shipped_weights_are_found():
    assert tables.has_weights("symop") and tables.is_registered("symop")


def test_every_system_is_listed_once_without_reports(capsys):
    _, out, _ = run(capsys, "symmcd-2", "--format", "json")
    found = [row for row in json.loads(out)["rows"] if row["kind"] in ("missing", "not measured")]
    assert [row["system"] for row in found] == [f"{system.label} (this project)" for system in SYSTEMS.values()]
    assert {row["kind"] for row in found if row["system"].startswith("symop")} == {"not measured"}


def test_a_report_replaces_the_row_of_its_system_only_if_that_has_weights(path, capsys, monkeypatch):
    def ours(name):
        _, out, _ = run(capsys, "symmcd-2", "--report", path, "--name", name, "--format", "json")
        return {row["system"] for row in json.loads(out)["rows"] if row["kind"] in ("missing", "not measured")}

    assert "symop (this project)" not in ours("symop, seed 1")
    monkeypatch.setattr(tables, "has_weights", lambda key, root=None: key == "symop")
    assert "SymmCD (this project)" in ours("SymmCD"), "somebody else's crystals do not make our weights"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("symop_geometry", "symop"),
        ("SymmCD", "symmcd"),
        ("wyckoffdiff", "wyckoffdiff"),
        ("wyckoffdiff_adaptor", "adaptor"),
        ("WyckoffDiff-Adaptor", "adaptor"),
        ("WyFormer", "wyckoff_transformer"),
        ("DiffCSP", None),
        ("", None),
    ],
)
def test_owner_of_a_name(name, key):
    assert owner(name) == key


def test_list_names_every_table(capsys):
    code, out, _ = run(capsys, "--list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == list(TABLES)


def test_all_tables_at_once(path, capsys):
    _, out, _ = run(capsys, "all", "--report", path)
    assert all(table.title in out for table in TABLES.values())
    _, out, _ = run(capsys, "all", "--format", "json")
    assert [found["table"] for found in json.loads(out)] == list(TABLES)


def test_out_replaces_a_file_and_leaves_nothing_else(tmp_path, capsys):
    place = tmp_path / "table.md"
    place.write_text("old")
    code, out, _ = run(capsys, "symmcd-1", "--format", "markdown", "--out", place)
    assert code == 0 and not out
    assert place.read_text().startswith("### Templates") and [p.name for p in tmp_path.iterdir()] == ["table.md"]


# --- wrong input


def wrong(capsys, *argv):
    code, out, err = run(capsys, *argv)
    assert code == 2 and not out and err.startswith("experiments.tables: error: ") and "Traceback" not in err
    return err


def test_unknown_table_names_those_there_are(capsys):
    for argv in (["symmcd-9"], []):
        err = wrong(capsys, *argv)
        assert all(key in err for key in TABLES)


def test_names_must_go_with_reports(path, capsys):
    assert "1 --name for 2 --report" in wrong(capsys, "symmcd-1", "--report", path, "--report", path, "--name", "a")
    assert "--name" in wrong(capsys, "symmcd-1", "--name", "a")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "cannot be read"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "'symjax', 'samples', 'figures'"),
        ("{}", "not a report of `symjax evaluate`"),
        (json.dumps({"figures": [], "distributions": {}}), "no 'symjax', 'samples'"),
        (json.dumps({"symjax": "1", "samples": {}, "figures": {"a": 1}}), "not a list of figures"),
        (json.dumps({"symjax": "1", "samples": {}, "figures": [{"name": "a"}]}), "not a list of figures"),
        (json.dumps({"symjax": "1", "samples": 3, "figures": []}), "not objects"),
        (json.dumps({"symjax": "1", "samples": {}, "figures": [], "program": "symjax generate"}), "'symjax generate'"),
    ],
)
def test_what_is_no_report(text, part, tmp_path, capsys):
    place = tmp_path / "report.json"
    if text is not None:
        place.write_text(text)
    err = wrong(capsys, "symmcd-1", "--report", place)
    assert part in err and "report.json" in err


def test_bytes_and_folders_are_no_report(tmp_path, capsys):
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in wrong(capsys, "symmcd-1", "--report", tmp_path / "bytes.json")
    assert "cannot be read" in wrong(capsys, "symmcd-1", "--report", tmp_path)


def test_a_sparse_report_is_enough(tmp_path, capsys):
    place = tmp_path / "sparse.json"
    place.write_text(
        json.dumps({"symjax": "1", "samples": {}, "figures": [figure("symmcd.d_sg", "x", interval=[1], floor=3)]})
    )
    code, out, _ = run(capsys, "symmcd-2", "--report", place)
    assert code == 0 and "sparse" in out and "undefined" in out


@pytest.mark.parametrize("junk", [None, 3, "x", [], [1, "a", None], {}, {"a": 1}, True, 1e999])
def test_a_field_of_the_wrong_type_is_no_crash(junk, tmp_path, capsys):
    place = tmp_path / "report.json"
    heat_map = {"rows": [2], "columns": ["triclinic"], "counts": [[1]]}
    whole = report(heat_map=heat_map, created="2026-02-03", program="symjax evaluate")
    inner = [("samples", name) for name in whole["samples"]] + [("reference", name) for name in whole["reference"]]
    inner += [("heat_map", name) for name in whole["heat_map"]] + [("options", "metrics")]
    for first, second in [(name, None) for name in whole] + inner:
        broken = json.loads(json.dumps(whole))
        if second is None:
            broken[first] = junk
        else:
            broken[first][second] = junk
        place.write_text(json.dumps(broken))
        assert run(capsys, "all", "--report", place)[0] in (0, 2), (first, second)
    for name in ("value", "num", "definition", "tolerance", "interval", "floor", "reference", "note"):
        place.write_text(json.dumps(report(figures=[figure("symmcd.d_sg", 0.1) | {name: junk}])))
        assert run(capsys, "symmcd-2", "--report", place)[0] == 0, name


def test_out_that_cannot_be_written(tmp_path, capsys):
    assert "cannot write" in wrong(capsys, "symmcd-1", "--out", tmp_path / "no" / "table.txt")
    (tmp_path / "folder").mkdir()
    assert "cannot write" in wrong(capsys, "symmcd-1", "--out", tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_csv_takes_one_table(capsys):
    assert "one table" in wrong(capsys, "all", "--format", "csv")


def test_unknown_key_of_a_column():
    with pytest.raises(KeyError):
        TABLES["symmcd-1"].column("nothing")


def test_read_raises_the_project_error(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json"):
        tables.read(tmp_path / "nothing.json")


def test_some_columns_only(path, capsys):
    """What fits 80 columns is for the reader to choose."""
    code, out, _ = run(capsys, "symmcd-2", "--report", path, "--name", "symop", "--columns", "d_sg,struct")
    assert code == 0 and "d_sg" in out and "precision" not in out.split("Before comparing")[0].splitlines()[3]
    code, _, err = run(capsys, "symmcd-2", "--columns", "nothing")
    assert code == 2 and "no column 'nothing' in symmcd-2; it has" in err


def test_a_new_row_stands_next_to_the_packages(path, capsys):
    """`--shipped`: rows of the reports in the package, by the system's name; a given report keeps its own."""
    code, out, _ = run(
        capsys,
        "symmcd-2",
        "--report",
        path,
        "--name",
        "mine",
        "--shipped",
        "--columns",
        "d_sg,struct",
        "--format",
        "json",
    )
    assert code == 0
    rows = [row["system"] for row in json.loads(out)["rows"] if row["kind"] == "measured"]
    ours = [SYSTEMS[place.stem].label + " (this project)" for place in shipped.paths()]
    assert rows == [*ours, "mine"] and len(ours) >= 2


def test_kept_reports_name_their_weights(path, tmp_path, monkeypatch):
    """A kept report has the figures and no path of a machine; with other weights its row says so."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "kept")
    place = shipped.keep(path, "symop", ("geometry",))
    kept, given = json.loads(place.read_text()), json.loads(path.read_text())
    assert kept["figures"] == given["figures"] and "distributions" not in kept
    assert not any(str(kept[name]["source"]).startswith("/") for name in ("samples", "reference"))
    assert list(kept["weights"]) == ["geometry/params.npz"] and shipped.outdated(kept, "symop") == ""
    kept["weights"]["geometry/params.npz"] = "0"
    assert "earlier weights" in shipped.outdated(kept, "symop")
    place.write_text(json.dumps(kept))
    (row,) = tables._shipped()
    assert row.note.endswith("of earlier weights than those in the package")
    with pytest.raises(InputError, match="no such weights"):
        shipped.keep(path, "symop", ("nothing",))
    for real in Path(shipped.__file__).with_name("shipped_reports").glob("*.json"):
        assert "/work" not in (text := real.read_text()) and "/tmp" not in text
