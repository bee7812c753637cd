"""The report for people: what must be on the page, in the table and in the plots, whatever is missing or hostile."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError, SymjaxError
from symjax.evaluate.report import show
from symjax.evaluate.report.canvas import DARK, encode, new_figure
from symjax.evaluate.report.elements import log_ratios
from symjax.evaluate.report.html import example_png, formula_html, render_html, symbol_html, write_html
from symjax.evaluate.report.plots import PLOTS, draw_all
from symjax.evaluate.report.reading import (
    by_family,
    clean,
    key_figures,
    like_real,
    write_floor,
    write_interval,
    write_number,
    write_p,
    write_value,
)

EVIL = '<script>alert("1")</script>&\'[red]\x1b[31m\u202e$x$'
CELL = AtomicStructure(np.eye(3) * 4.2, [55, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
SYSTEM_NAMES = ["triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic"]


def figure(key, value, **more):
    row = {
        "key": key,
        "name": key.split(".")[1].replace("_", " "),
        "value": value,
        "num": 90,
        "definition": f"what {key} counts",
        "source": "a paper, table 1",
        "tolerance": "",
        "unit": "",
        "better": "",
        "interval": None,
        "floor": None,
        "reference": None,
        "note": "",
    }
    return row | more


@pytest.fixture(scope="module")
def full():
    """A report with every part, from numbers drawn at random."""
    rng = np.random.default_rng(0)

    def counts(values):
        found, many = np.unique(values, return_counts=True)
        return {str(value): int(count) for value, count in zip(found, many)}

    def distribution(draw, **more):
        return {"kind": "counts", "title": "t", "xlabel": "a label", **more} | {
            role: counts(draw(size)) for role, size in (("samples", 90), ("reference", 100), ("train", 200))
        }

    def values(unit, draw):
        return {"kind": "values", "title": "t", "xlabel": "a quantity", "unit": unit} | {
            role: [float(v) for v in draw(size)] for role, size in (("samples", 90), ("reference", 100))
        }

    floor = {"mean": 0.14, "sd": 0.01, "num": 90}
    return {
        "program": "symjax evaluate",
        "symjax": "0.2",
        "created": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
        "hardware": {"cpu": "x", "cores": 2, "gpu": None},
        "versions": {"numpy": "2.1"},
        "command": "symjax evaluate a -r b",
        "samples": {
            "source": "folder",
            "num": 92,
            "num_usable": 90,
            "sha256": "ab" * 32,
            "unusable": [{"name": "first.cif", "reason": "zero volume"}, {"name": "second.cif", "reason": "empty"}],
            "failed_stages": [{"name": "third.cif", "stage": "symmetry", "reason": "no group"}],
            "notes_by_kind": {"formula differs": 1},
            "notes": [{"name": "sixth.cif", "kind": "formula differs", "text": "the formula says A"}],
            "duplicates": [{"name": "fifth.cif", "same_as": "fourth.cif"}],
        },
        "reference": {"source": "test.npz", "num": 100, "num_usable": 100, "sha256": "cd" * 32, "unusable": []},
        "train": {"source": "train.npz", "num": 200, "num_usable": 200, "sha256": "ef" * 32, "unusable": []},
        "options": {"metrics": ["symmcd"], "seed": 0},
        "skipped": [{"metric": "stability", "reason": "no potential here"}],
        "families": [{"key": "other", "title": "Other"}, {"key": "symmcd", "title": "SymmCD, tables 1 to 3"}],
        "figures": [
            figure("symmcd.structural_validity", 0.95, better="higher", interval=[0.9, 0.99], reference=1.0),
            figure("symmcd.d_sg", 0.151, better="lower", floor=floor, interval=[0.14, 0.19], p=0.31, num_reference=400),
            figure("symmcd.wasserstein_density", 0.9, better="lower", floor=floor, unit="g/cm³", p=0.0004),
            figure("other.novelty", 0.5, interval=[0.4, 0.6]),
            figure("other.nothing", None, num=0),
        ],
        "distributions": {
            "space groups": distribution(lambda n: rng.choice([1, 2, 14, 62, 139, 166, 194, 221, 225, 230], n)),
            "crystal systems": distribution(lambda n: rng.choice(SYSTEM_NAMES, n)),
            "elements": distribution(lambda n: rng.choice(["H", "Li", "O", "Fe", "La", "U", "Xe"], n)),
            "sites": distribution(lambda n: rng.integers(1, 9, n)),
            "atoms": distribution(lambda n: rng.integers(1, 130, n)),
            "free coordinates": distribution(lambda n: rng.poisson(4, n)),
            "density": values("g/cm³", lambda n: rng.gamma(4, 1.5, n)),
            "minimum distance": values("Å", lambda n: rng.normal(2.4, 0.3, n)),
            "volume per atom": values("Å³", lambda n: rng.gamma(9, 2, n)),
            "energy above hull": values("eV/atom", lambda n: rng.normal(0.05, 0.1, n)),
        },
        "heat_map": {
            "rows": [225, 62, 1],
            "columns": SYSTEM_NAMES,
            "counts": [[0, 0, 1, 0, 0, 0, 9], [0, 2, 8, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0]],
            "preserved": [0.9, 0.8, 1.0],
            "overall": 0.88,
            "when": "after relaxation",
        },
        "ladder": {"tolerances": [1e-4, 1e-2, 0.1], "contains": [0.5, 1.0, 1.0], "equals": [0.5, 1.0, 0.8]},
        "phase_diagrams": [
            {
                "title": "Li-O",
                "png_base64": base64.b64encode(example_png(CELL)).decode(),
                "counts": {"known": 3, "found_by_composition": 2},
            }
        ],
    }


@pytest.fixture(scope="module")
def page(full):
    return render_html(full, [CELL, CELL], ["CsCl", "Cs2Cl2"], [221, 2])


@pytest.fixture(scope="module")
def light(full):
    """The same with one plot only: plots take most of the time."""
    keep = {key: value for key, value in full.items() if key not in ("heat_map", "ladder")}
    figures = [row for row in full["figures"] if row["floor"] is None]
    return keep | {"distributions": {"density": full["distributions"]["density"]}, "figures": figures}


class Page(HTMLParser):
    """Tags of a page; complains about what is opened and not closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.said, self.ids = [], [], [], set()
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert len(found) == len(attributes), f"an attribute twice: {attributes}"
        self.tags.append((tag, found))
        if "id" in found:
            assert found["id"] not in self.ids, found["id"]
            self.ids.add(found["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.said.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.said).split())

    def of(self, tag):
        return [found for name, found in self.tags if name == tag]


def printed(report, width=120):
    from rich.console import Console

    out = io.StringIO()
    show(report, Console(file=out, width=width))
    return out.getvalue()


# ---------------------------------------------------------------------------------------------------------------- the page


def test_page_holds_everything(page, full):
    found = Page(page)
    for row in full["figures"]:
        assert row["name"] in found.text and row["definition"] in found.text
    for said in (
        "ab" * 32,
        "cd" * 32,
        "first.cif",
        "zero volume",
        "third.cif",
        "symmetry: no group",
        "fourth.cif",
        "rows: formula differs 1",
        "sixth.cif",
        "formula differs: the formula says A",
        "stability",
        "no potential here",
        "symjax evaluate a -r b",
        "90 of 92",
        "[0.1400, 0.1900]",
        "0.1400 ± 0.010",
        "like real data",
        "p 0.310",
        "< 0.001",
        "n = 90 against 400",
        "Chosen by group and size",
        "0.9000 g/cm³",
        "2 of 3 known phases",
    ):
        assert said in found.text, said
    assert len(found.of("h1")) == 1
    assert len(found.of("caption")) == len(found.of("table")) > 3
    assert all(image.get("alt") for image in found.of("img"))
    # Every link of the list of sections leads somewhere.
    links = [link["href"] for link in found.of("a")]
    assert links and all(link.startswith("#") and link[1:] in found.ids for link in links)
    # One picture of each plot for light pages and one for dark ones, two crystals and a phase diagram.
    assert len(found.of("img")) == 2 * len(PLOTS) + 3


def test_page_asks_for_nothing(page):
    found = Page(page)
    for tag, attributes in found.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            target = attributes.get(name, "")
            assert target.startswith(("data:image/", "#")) or not target, (tag, name, target[:60])
        assert not any(name.startswith("on") for name in attributes), attributes
    assert not found.of("link") and not found.of("iframe") and not found.of("base")
    assert "@import" not in page and "url(" not in page
    for picture in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page):
        text = base64.b64decode(picture).decode()
        for target in re.findall(r"href=\"([^\"]*)\"", text):
            assert target.startswith(("#", "data:")), target


def test_page_is_small(page):
    # The plots take most of it; 24 crystals of a few tens of kilobytes fit into 3 MB beside them.
    assert len(page.encode()) < 2_400_000
    assert 24 * len(example_png(CELL)) * 4 / 3 < 600_000


def test_page_is_the_same_twice(light):
    first, again = (render_html(json.loads(json.dumps(light)), [CELL], ["CsCl"], [221]) for _ in range(2))
    assert first == again and "svg" in first


def test_written_page_is_utf8_and_replaces_the_old_one(tmp_path, light):
    path = tmp_path / "report.html"
    path.write_text("old")
    odd = light | {"samples": light["samples"] | {"source": "odd \udce9 name"}, "distributions": {}}
    write_html(path, odd)
    assert "odd \N{REPLACEMENT CHARACTER} name" in path.read_text("utf-8")
    with pytest.raises(SymjaxError, match="cannot write"):
        write_html(tmp_path / "absent" / "report.html", odd)


def test_hostile_names_stay_text(full):
    """Names are from users' files: none may become markup, styling of the terminal, or mathematics in a plot."""
    report = json.loads(json.dumps(full))
    report["samples"] |= {
        "source": EVIL,
        "sha256": EVIL,
        "unusable": [{"name": EVIL, "reason": EVIL}],
        "duplicates": [{"name": EVIL, "same_as": EVIL}],
        "notes_by_kind": {EVIL: 1},
        "notes": [{"name": EVIL, "kind": EVIL, "text": EVIL}],
    }
    report["skipped"] = [{"metric": EVIL, "reason": EVIL}]
    report["families"][1]["title"] = report["command"] = report["created"] = EVIL
    report["versions"] = report["options"] = report["hardware"] = {EVIL: EVIL}
    report["figures"] = [
        figure(
            f"symmcd.{EVIL}",
            1.0,
            unit=EVIL,
            definition=EVIL,
            source=EVIL,
            note=EVIL,
            tolerance=EVIL,
            better="lower",
            floor={"mean": 0.5, "sd": 0.1, "num": 3},
        )
    ]
    report["distributions"] = {key: report["distributions"][key] for key in ("sites", "density")}
    for found in report["distributions"].values():
        found |= {"title": EVIL, "xlabel": EVIL}
    report["heat_map"] |= {"columns": [EVIL] * 7, "rows": [EVIL, 62, 1], "when": EVIL}
    report["phase_diagrams"][0]["title"] = EVIL
    page = render_html(report, [CELL], [EVIL], [221])
    found = Page(page)
    assert len(found.of("script")) == 1 and "alert(" not in page.split("<script>")[1].split("</script>")[0]
    assert "<script>alert" not in page and 'alert("' not in page
    assert clean(EVIL) in found.text
    assert "\x1b" not in page and "\u202e" not in page
    text = printed(report)
    assert "\x1b" not in text and "[red]" in text.replace("\n", "")


@pytest.mark.parametrize(
    "key",
    [
        "figures",
        "distributions",
        "samples",
        "reference",
        "train",
        "families",
        "heat_map",
        "skipped",
        "phase_diagrams",
        "options",
        "hardware",
        "versions",
        "command",
        "seconds",
    ],
)
def test_any_part_may_be_missing(light, key):
    rest = {k: v for k, v in (light | {"distributions": {}}).items() if k != key}
    for report in (rest, rest | {key: None}):
        assert Page(render_html(report)).ids
        assert printed(report)


def test_empty_report():
    found = Page(render_html({}))
    assert "No figure could be computed" in found.text and not found.of("img")
    assert "no figure could be computed" in printed({})


def test_no_samples_and_no_values(full):
    """An empty set of samples: denominators of zero, distributions of the reference alone."""
    report = json.loads(json.dumps(full))
    report["samples"] |= {"num": 0, "num_usable": 0, "unusable": []}
    report["distributions"] = {key: report["distributions"][key] for key in ("density", "elements", "space groups")}
    for found in report["distributions"].values():
        found["samples"] = [] if found["kind"] == "values" else {}
    for row in report["figures"]:
        row |= {
            "value": float("nan"),
            "num": 0,
            "interval": [None, None],
            "floor": {"mean": None, "sd": None, "num": 0},
        }
    found = Page(render_html(report))
    assert "nan" not in found.text.lower() and "like real data" not in found.text
    assert "nan" not in printed(report).lower()
    assert not key_figures(report)
    drawn = {picture.key for picture in draw_all(report)}
    assert "density" in drawn and "space-groups" in drawn and not {"element-table", "floors"} & drawn


def test_crystal_that_cannot_be_drawn(full):
    bad = AtomicStructure(np.zeros((3, 3)), [250], [[0, 0, 0]])
    found = Page(render_html({}, [bad, CELL], ["Cs"], []))
    assert "could not be drawn" in found.text and len(found.of("img")) == 1 and "no group found" in found.text


def test_phase_diagram_must_be_a_png():
    for wrong in ("x' onerror='alert(1)", base64.b64encode(b"<svg onload=alert(1)>").decode(), None, 3):
        assert not Page(render_html({"phase_diagrams": [{"title": "t", "png_base64": wrong}]})).of("img")


def test_symbols_and_formulas():
    assert symbol_html(225) == 'Fm<span class="bar">3</span>m (225)'
    assert symbol_html(14) == "P2<sub>1</sub>/c (14)"
    assert symbol_html(0) == symbol_html(231) == "no group found"
    assert formula_html("Sr2(TiO4)10") == "Sr<sub>2</sub>(TiO<sub>4</sub>)<sub>10</sub>"
    assert formula_html("<b>2") == "&lt;b&gt;<sub>2</sub>"


# --------------------------------------------------------------------------------------------------------------- the plots


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot[0])
def test_each_plot_is_a_picture(full, plot):
    """A PNG that decodes and is not empty, an SVG that parses, the same bytes twice, nothing without data."""
    from PIL import Image

    draw = plot[-1]
    png, svg = draw(full, kind="png"), draw(full)
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 150 and pixels.std() > 3
    tree = ET.fromstring(svg)
    assert tree.tag.endswith("svg") and len(list(tree.iter())) > 20
    assert b"date" not in svg.lower() and b"matplotlib.org" not in svg
    assert draw(full) == svg
    assert draw({}) is None and draw({"distributions": None, "figures": None, "heat_map": None, "ladder": None}) is None


def test_dark_plots_have_no_dark_ink(full):
    for picture in draw_all({"distributions": {"density": full["distributions"]["density"]}, "ladder": full["ladder"]}):
        ET.fromstring(picture.dark)
        assert picture.dark != picture.light
        assert not any(color.encode() in picture.dark for color in DARK)


def test_plots_ignore_the_users_style(full):
    import matplotlib

    plot = {entry[0]: entry[-1] for entry in PLOTS}["density"]
    before = plot(full)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        assert plot(full) == before
        assert matplotlib.rcParams["font.size"] == 30
    with pytest.raises(InputError, match="svg or png"):
        encode(lambda: new_figure(1, 1), kind="gif")


def test_odd_data_leave_plots_whole(full):
    """Values that are not finite, one value only, categories that are no numbers, tables of the wrong shape."""
    plots = {entry[0]: entry[-1] for entry in PLOTS}

    def values(samples, reference):
        return {"distributions": {"density": {"kind": "values", "samples": samples, "reference": reference}}}

    assert plots["density"](values([float("nan"), None, "x"], [])) is None
    assert plots["density"](values([3.0], [3.0, 3.0]))
    assert plots["density"](values([1e300, 1.0, 2.0, float("inf")], [1.0, 2.0, 3.0]))
    for name, key in (
        ("space groups", "space-groups"),
        ("sites", "sites"),
        ("elements", "element-bars"),
        ("crystal systems", "crystal-systems"),
    ):
        odd = {"kind": "counts", "samples": {"nonsense": 3, "nan": 1, "-4": 2, "2.5": 1}, "reference": {"1000": 0}}
        assert plots[key]({"distributions": {name: odd}}) is None, name
        assert plots[key]({"distributions": {name: {"kind": "other"}}}) is None
    assert plots["heat-map"]({"heat_map": full["heat_map"] | {"counts": [[1, 2], [3]]}}) is None
    assert plots["heat-map"]({"heat_map": full["heat_map"] | {"counts": np.zeros((3, 7)).tolist()}}) is None
    assert plots["ladder"]({"ladder": {"tolerances": [0.1], "contains": [], "equals": [None]}}) is None
    # Orbits may also come as plain values.
    assert plots["sites"]({"distributions": {"sites": {"kind": "values", "samples": [1, 2, 2], "reference": [1]}}})


def test_share_beyond_the_axis_is_written(full):
    """A tail is cut, and the plot says how much of it: read off the text objects of the drawing."""
    from symjax.evaluate.report import plots

    data = {"samples": np.concatenate([np.linspace(1, 2, 95), np.full(5, 1e6)]), "reference": np.linspace(1, 2, 100)}
    axes = plots._histogram(data, "x", (1.5,)).axes[0]
    said = "\n".join(text.get_text() for text in axes.texts)
    assert "beyond the axis: samples 5 %" in said
    assert "at or below 1.5: samples 48 %, reference 50 %" in said
    assert axes.get_xlim()[1] < 20
    # Nothing is cut where the reference has no spread, and marks are always on the axis.
    axes = plots._histogram({"samples": np.array([1.0, 5.0]), "reference": np.full(9, 3.0)}, "x", (-2.0,)).axes[0]
    assert axes.get_xlim()[0] < -2 and axes.get_xlim()[1] > 5
    assert not any("beyond" in text.get_text() for text in axes.texts)


def test_labels_of_long_ranges_do_not_touch(full):
    """Forty numbers on half a page: fewer labels, the tail's among them."""
    from symjax.evaluate.report import plots

    labels = [f"{2 * i}–{2 * i + 1}" for i in range(20)] + ["40+"]
    keys = [str(i) for i in range(21)]
    axes = plots._grouped({"samples": {"0": 3.0, "20": 1.0}}, keys, "x", labels).axes[0]
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert shown[-1] == "40+" and 4 < len(shown) and sum(map(len, shown)) + len(shown) <= plots.LABEL_ROOM + 6


def test_element_ratios():
    """Equal shares give zero, double share about one, absent in both is NaN; a single crystal moves little."""
    samples, reference = np.zeros(104), np.zeros(104)
    reference[[1, 8, 26]] = [500, 300, 200]
    samples[[1, 8, 26]] = [400, 200, 400]
    ratios = log_ratios(samples, reference)
    assert ratios[26] == pytest.approx(1, abs=0.01) and ratios[8] == pytest.approx(np.log2(2 / 3), abs=0.01)
    assert np.isnan(ratios[2]) and np.isfinite(ratios).sum() == 3
    assert np.allclose(log_ratios(reference * 2, reference)[[1, 8]], 0, atol=0.01)
    one = samples.copy()
    one[54] = 1
    assert 0 < log_ratios(one, reference)[54] < 2
    # Few samples: what they lack is never over-represented, and pale unless they should have shown it.
    few = np.zeros(104)
    few[26] = 12
    many = np.zeros(104)
    many[[1, 8, 26]] = [9, 1800, 7191]
    found = log_ratios(few, many)
    assert -0.1 < found[1] < 0 and found[8] < -2 and found[26] > 0
    assert np.allclose(log_ratios(many, many * 3)[[1, 8, 26]], 0)


# --------------------------------------------------------------------------------------------------------------- the table


def test_table_holds_everything(full):
    text = printed(full)
    for said in (
        "SymmCD, tables 1 to 3",
        "structural validity",
        "[0.9000, 0.9900]",
        "0.1400 ± 0.010",
        "0.1510 *",
        "0.9000 g/cm³",
        "samples: folder, 90 of 92 crystals",
        "first.cif: zero volume",
        "third.cif: symmetry: no group",
        "fifth.cif = fourth.cif",
        "rows: formula differs 1",
        "sixth.cif: formula differs: the formula says A",
        "stability: no potential here",
    ):
        assert said in text, said
    assert text.index("Other") < text.index("SymmCD")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("width", [60, 120])
def test_long_names_are_folded_not_cut(full, width):
    long = "a-very-long-name" * 12
    report = full | {
        "figures": [figure(f"symmcd.{long}", 0.5, floor={"mean": 0.1, "sd": 0.1, "num": 5}, interval=[0.1, 0.9])]
    }
    text = printed(report, width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    # The pieces of the first column, put together again.
    assert long in "".join(re.findall(r"^ ([a-z-]+)(?: |$)", text, re.MULTILINE))
    assert max(map(len, text.splitlines())) <= width


def test_only_some_of_many_unusable_rows_are_listed(light):
    rows = [{"name": f"row {i}.cif", "reason": "empty"} for i in range(700)]
    report = light | {"samples": light["samples"] | {"unusable": rows}, "distributions": {}}
    text = printed(report)
    assert "row 19.cif" in text and "row 20.cif" not in text and "and 680 more" in text
    page = Page(render_html(report)).text
    assert "empty (700)" in page and "row 499.cif" in page and "row 500.cif" not in page and "and 200 more" in page


def test_default_console(full, capsys):
    show(full)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


# ------------------------------------------------------------------------------------------------------------- the reading


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.99441, "0.9944"),
        (1.0, "1"),
        (0, "0"),
        (12345.6, "12,346"),
        (3.14159, "3.142"),
        (0.00042, "0.0004"),
        (2e-7, "2.00e-07"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (-0.5, "-0.5000"),
        ("text", "–"),
        (1e300, "1e+300"),
        (True, "–"),
    ],
)
def test_numbers(value, said):
    assert write_number(value) == said


def test_parts_of_a_row():
    row = figure("a.b", 0.25, unit="eV", interval=(0.2, 0.3), floor={"mean": 0.2, "sd": 0.03, "num": 4})
    assert (write_value(row), write_interval(row), write_floor(row)) == (
        "0.2500 eV",
        "[0.2000, 0.3000]",
        "0.2000 ± 0.030",
    )
    # Shares of one look like other shares; a count of one does not.
    whole = figure("a.b", 1, interval=[0.975, 1.0], better="higher")
    assert (write_value(whole), write_interval(whole)) == ("1.0000", "[0.9750, 1.0000]")
    assert write_value(figure("a.b", 1)) == "1" and write_value(figure("a.b", 1, unit="s", better="lower")) == "1 s"
    bare = figure("a.b", None, unit="eV")
    assert (write_value(bare), write_interval(bare), write_floor(bare)) == ("–", "", "")


@pytest.mark.parametrize(
    ("p", "like", "said"), [(0.31, True, "0.310"), (0.05, False, "0.050"), (0.0001, False, "< 0.001")]
)
def test_like_real_data(p, like, said):
    """Only a p-value says so; reports without one, from earlier versions, say nothing."""
    row = figure("a.b", 0.3, better="lower", floor={"mean": 0.5, "sd": 0.1, "num": 10}, p=p)
    assert (like_real(row), write_p(row)) == (like, said)
    assert not like_real(row | {"p": None}) and write_p(row | {"p": None}) == "" and not like_real(row | {"p": "x"})


def test_counts_are_whole_numbers():
    row = figure("a.b", 1.0, floor={"mean": 1.5, "sd": 0.5, "num": 10}, count=True)
    assert (write_value(row), write_value(row | {"count": False}), write_floor(row)) == ("1", "1.0000", "1.500 ± 0.50")


def test_families_keep_every_figure(full):
    assert [(f.key, len(f.figures)) for f in by_family(full)] == [("other", 2), ("symmcd", 3)]
    stray = full | {"figures": [*full["figures"], figure("new.one", 1.0), figure("symmcd.two", 1.0, family="coverage")]}
    assert [(f.key, len(f.figures)) for f in by_family(stray)] == [
        ("other", 2),
        ("symmcd", 3),
        ("new", 1),
        ("coverage", 1),
    ]


def test_key_figures(full):
    assert [row["key"] for row in key_figures(full)] == [
        "symmcd.structural_validity",
        "other.novelty",
        "symmcd.d_sg",
        "symmcd.wasserstein_density",
    ]
    named = full | {"key_figures": ["other.novelty", "absent.one"]}
    assert [row["key"] for row in key_figures(named)] == ["other.novelty"]


def test_clean():
    assert clean("a b\u00a0Å–³ µ") == "a b\u00a0Å–³ µ"
    assert clean("\x00\x1b\n\u202e\udc80") == "\N{REPLACEMENT CHARACTER}" * 5
