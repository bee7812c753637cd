"""From representations to crystals: requests, realisers and their failures, weights, the command."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from configs.wyckoff_transformer import get_config
from symjax.cli.main import main
from symjax.errors import InputError, SymjaxError, WeightsError
from symjax.generate import loop
from symjax.generate.groups import draw_groups
from symjax.generate.loop import FORCED
from symjax.generate.representations import representations
from symjax.generate.request import Request, parse_formula
from symjax.generate.system import Realised, Settings
from symjax.groups.tables import wyckoff_letters
from symjax.models.wyckoff_transformer.network import init_params
from symjax.models.wyckoff_transformer.task import WyckoffTask, options_from_config, statistics
from symjax.models.wyckoff_transformer.tokens import fits, tokenize
from symjax.models.wyckoff_transformer.weights import load_weights
from symjax.systems import system
from symjax.train.weights import load_params, save_params, shipped_weights

STOPS = 4.0  # added to the logit of STOP, so that untrained weights give few sites


@pytest.fixture(scope="module")
def config():
    config = get_config("tiny")
    config.model.wyckoff_transformer.num_layers = 1
    return config


@pytest.fixture(scope="module")
def params(config, prototype_dataset):
    """Random numbers of the right shapes with statistics of the prototypes."""
    options = options_from_config(config.model.wyckoff_transformer)
    rng, names = np.random.default_rng(1), options.tokens
    shapes = jax.eval_shape(lambda key: init_params(options.network, key), jax.random.key(0))
    random = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape, scale=0.2).astype(np.float32), shapes)
    random["params"]["head_element"]["layer_2"]["bias"][names.stop[0]] += STOPS
    data = prototype_dataset.subset(np.flatnonzero(fits(prototype_dataset, names)))
    return random | {"stats": statistics(tokenize(data, names), names)}


@pytest.fixture(scope="module")
def folder(params, config, tmp_path_factory):
    return save_params(tmp_path_factory.mktemp("weights") / "wyckoff_transformer", params, config)


@pytest.fixture(scope="module")
def weights(folder):
    return load_weights(folder)


def generate(weights, num, *, seed=0, request=None, realise=None, **options):
    settings = Settings(seed, options=options)
    return loop.generate(
        system("wyckoff_transformer"), weights, num, request=request, settings=settings, realise=realise
    )


class Half:
    """A realiser that fails for every second crystal of its first call, or for the first one of every call."""

    def __init__(self, first_always=False):
        self.calls, self.first_always = [], first_always

    def __call__(self, types, key):
        num = len(types.z)
        bad = np.arange(num) == 0 if self.first_always else (np.arange(num) % 2 == 1) & (not self.calls)
        self.calls.append((num, jax.random.key_data(key).tolist()))
        x = np.where(
            types.orbit_mask[..., None], np.asarray(types.sets.pos_x0)[types.set_index[:, None], types.pos], 0.0
        )
        return Realised(
            np.zeros((num, 6)), x, ["no luck" if b else "" for b in bad], {"min_ratio": np.arange(num, dtype=float)}
        )


@pytest.mark.slow
def test_representations_only(weights):
    made = generate(weights, 12, seed=2, request=Request(groups=(221, 62)))
    assert made.dataset is None and not made.unrealised and made.missing == 0
    assert set(made.failed) <= {FORCED} and made.attempts == 12 + sum(made.failed.values())
    assert {one["space_group"] for one in representations(made.types)} <= {221, 62}
    assert (made.types.orbit_mask.sum(axis=1) >= 1).all()
    again = generate(weights, 12, seed=2, request=Request(groups=(221, 62)))
    np.testing.assert_array_equal(again.types.pos, made.types.pos)
    np.testing.assert_array_equal(again.types.z, made.types.z)


def test_what_cannot_be_realised_is_listed_and_drawn_again(weights):
    half = Half()
    made = generate(weights, 8, seed=1, realise=half)
    assert [num for num, _ in half.calls] == [8, 4] and half.calls[0][1] != half.calls[1][1]
    assert made.attempts == 12 and len(made.unrealised) == 4 and made.missing == 0 and len(made.dataset) == 8
    assert {reason for _, reason in made.unrealised} == {"no luck"}
    assert all(one["space_group"] and one["orbits"] for one, _ in made.unrealised)
    np.testing.assert_array_equal(made.dataset.properties["draws"], [1, 2] * 4)
    np.testing.assert_array_equal(made.dataset.num_orbits, made.types.orbit_mask.sum(axis=1))


def test_crystals_that_fail_every_time_are_missing(weights):
    made = generate(weights, 4, seed=1, realise=Half(first_always=True))
    assert made.missing == 1 and len(made.dataset) == 3 and made.attempts == 11 and len(made.unrealised) == 8
    assert made.dataset.ids.tolist() == [f"wyckoff_transformer-{i:05d}" for i in range(3)]
    np.testing.assert_array_equal(made.dataset.num_orbits, made.types.orbit_mask.sum(axis=1))

    def never(types, key):
        return Realised(np.zeros((len(types.z), 6)), np.zeros((*types.z.shape, 3)), ["never"] * len(types.z), {})

    with pytest.raises(SymjaxError, match=r"none of 2 crystals.*never: 16"):
        generate(weights, 2, realise=never)


@pytest.mark.slow
def test_unmasked_samples_are_drawn_until_valid(weights):
    likely = jax.tree.map(np.copy, weights.params)
    for head, token in (("site", weights.vocabulary.sites.index("1")), ("enum", 0)):  # the general position
        likely["params"][f"head_{head}"]["layer_2"]["bias"][token] += 5.0
    weights = dataclasses.replace(weights, params=likely)
    made = generate(weights, 10, seed=0, unmasked=True)
    assert made.attempts == 10 - made.missing + sum(made.failed.values()) and sum(made.failed.values()) > 0


def test_requests_in_names(weights):
    made = generate(
        weights, 10, seed=3, request=Request(groups=(225,), elements=("Na", "Cl"), sites=(("Na", "4a"),), orbits=3)
    )
    z = made.types.z
    assert (made.types.orbit_mask.sum(axis=1) == 3).all() and (z[:, 0] == 11).all() and set(z[z > 0]) == {11, 17}
    assert {wyckoff_letters(225)[p] for p in made.types.pos[:, 0]} == {"a"}
    one = representations(made.types)[0]
    assert (
        one["space_group"] == 225
        and one["orbits"][0] == {"element": "Na", "position": "4a", "site_symmetry": "m-3m"}
        and one["num_atoms"] >= 12
    )


def test_a_formula_is_met_exactly(weights):
    """Untrained weights: by counting, in every group that has room, given orbits included."""
    content = {"Sr": 1, "Ti": 1, "O": 3}
    made = generate(weights, 6, seed=4, request=Request(groups=(99, 123, 221, 225), formula=content))
    assert all(parse_formula(one["formula"]) == content for one in representations(made.types)) and made.attempts == 6
    asked = Request(groups=(221,), formula=content, sites=(("Ti", "1b"),), orbits=3)
    made = generate(weights, 6, seed=4, request=asked)
    assert all(parse_formula(one["formula"]) == content for one in representations(made.types))
    assert (made.types.z[:, 0] == 22).all() and (made.types.orbit_mask.sum(axis=1) == 3).all()


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"groups": (225, 230)}, "space group 230 is not among the 177"),
        ({"elements": ("Ra",)}, "element Ra: in no crystal"),
        ({"include": ("Ra",)}, "element Ra: in no crystal"),
        ({"groups": (225,), "sites": (("Na", "4a"), ("Cl", "4a"))}, "position 4a"),
        ({"orbits": 21}, "within 1 to 20"),
        ({"formula": {"Na": 7, "Cl": 999}, "groups": (225,)}, "no group that meets"),
        ({"formula": {"Na": 1, "Cl": 5}, "groups": (225,), "orbits": 2}, "with 2 to 2 orbits"),
        ({"temperature": -1.0}, "temperature"),
        ({"unmasked": True, "elements": ("Na",)}, "unmasked"),
        ({"unmasked": True, "formula": {"Na": 1, "Cl": 1}}, "unmasked"),
        ({"steepness": 1.0}, "wyckoff_transformer has no option steepness; it has temperature, unmasked"),
    ],
)
def test_requests_that_cannot_be_met(weights, asked, words):
    options = {name: asked.pop(name) for name in ("temperature", "unmasked", "steepness") if name in asked}
    with pytest.raises(InputError, match=words):
        generate(weights, 2, request=Request(**asked), **options)
    with pytest.raises(InputError, match="at least 1"):
        generate(weights, 0)


def test_groups_by_frequency():
    counts = np.zeros(231)
    counts[[2, 14, 225]] = 10, 30, 60
    rng = np.random.default_rng(0)
    drawn = np.bincount(draw_groups(counts, (), 4000, rng), minlength=231) / 4000
    np.testing.assert_allclose(drawn[[2, 14, 225]], [0.1, 0.3, 0.6], atol=0.04)
    drawn = np.bincount(draw_groups(counts, (14, 2), 4000, rng), minlength=231) / 4000
    np.testing.assert_allclose(drawn[[2, 14, 225]], [0.25, 0.75, 0], atol=0.04)
    assert set(draw_groups(counts, (48, 49), 50, rng).tolist()) == {48, 49}  # of no training crystal: evenly


def test_weights_are_checked(params, config, folder, tmp_path):
    stats = params["stats"]
    assert load_weights(folder).group_counts.sum() > 100
    for words, wrong in (
        (
            "tokens",
            {"stats": stats | {"version": np.frombuffer(b"wyckoff-tokens-0:0123", np.uint8).astype(np.float32)}},
        ),
        ("lack group", {"stats": {name: value for name, value in stats.items() if name != "group"}}),
        ("another preset", {"params": params["params"] | {"mixer": {"kernel": np.zeros((3, 3), np.float32)}}}),
    ):
        save_params(tmp_path / "wrong", params | wrong, config)
        with pytest.raises(WeightsError, match=words):
            load_weights(tmp_path / "wrong")
    other = get_config("tiny")
    other.model.name = "symmcd"
    save_params(tmp_path / "other", params, other)
    with pytest.raises(WeightsError, match="symmcd"):
        load_weights(tmp_path / "other")
    (tmp_path / "operations").mkdir()
    with pytest.raises(WeightsError, match="two parts of symop"):
        load_weights(tmp_path)
    with pytest.raises(WeightsError, match="no weights"):
        load_weights(tmp_path / "nowhere")


def test_trained_weights_have_the_same_form(config, prototype_dataset, params):
    task = WyckoffTask(config, prototype_dataset, None)
    fresh = jax.eval_shape(lambda key: task.init(key, None), jax.random.key(0))
    shapes = jax.tree.map(lambda leaf: leaf.shape, params)
    assert jax.tree.map(lambda leaf: leaf.shape, fresh) == shapes


def test_the_diffusion_realiser_refuses_large_cells(monkeypatch):
    """Only what fits the network is handed to it."""
    from symjax.data.structure_types import StructureTypes
    from symjax.groups.tables import standard_setting
    from symjax.models.symop.geometry import realise
    from symjax.models.symop.weights import load_geometry
    from symjax.wyckoff.set_table import build_set_table

    letters = wyckoff_letters(225)
    pos = np.array([[letters.index("a"), letters.index("b")], [letters.index("l"), 0]])
    types = StructureTypes(
        build_set_table([standard_setting(225)]), np.zeros(2, int), np.array([[11, 17], [8, 0]]), pos
    )
    seen = []

    def draw(weights, types, key, **options):
        seen.append(types.num_atoms().tolist())
        return np.ones((1, 6)), np.zeros((1, 2, 3)), np.ones(1), np.ones(1)

    monkeypatch.setattr(realise, "draw_geometry", draw)
    found = realise.Diffusion(load_geometry())(types, jax.random.key(0))
    assert seen == [[8]] and found.reason[0] == "" and "more than 96 atoms" in found.reason[1]
    assert (found.k[0] == 1).all() and (found.k[1] == 0).all()


def run(folder, out, *options):
    given = [
        "generate",
        "--model",
        "wyckoff_transformer",
        "--weights",
        str(folder),
        "--out",
        str(out),
        *map(str, options),
    ]
    return main(given)


def test_command_representations(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        run(
            folder,
            out,
            "--num",
            5,
            "--realise",
            "none",
            "--space-group",
            "Fm-3m",
            "--prefix",
            "Na:4a",
            "--include",
            "Cl",
        )
        == 0
    )
    shown = capsys.readouterr().out
    assert "0 of 5 draws gave nothing" in shown and "5 representations in genes.jsonl" in shown
    assert sorted(file.name for file in out.iterdir()) == ["genes.jsonl", "index.json"]
    genes = [json.loads(line) for line in (out / "genes.jsonl").read_text().splitlines()]
    assert len(genes) == 5 and all(one["orbits"][0]["position"] == "4a" for one in genes)
    assert all("Cl" in {orbit["element"] for orbit in one["orbits"]} for one in genes)
    index = json.loads((out / "index.json").read_text())
    assert (index["draws"], index["failed_draws"], index["unrealised"], index["missing"]) == (5, {}, [], 0)
    assert index["options"]["prefix"] == "Na:4a" and index["options"]["space_group"] == "Fm-3m"
    assert index["crystals"] == [] and index["files"] == ["genes.jsonl", "index.json"]


def test_command_random_crystals(folder, tmp_path, capsys):
    pytest.importorskip("pyxtal")
    out = tmp_path / "out"
    options = ("--space-group", "225,221", "--elements", "Na,Cl", "--orbits", 2, "--no-picture")
    code = run(folder, out, "--num", 3, "--realise", "pyxtal", "--attempts", 20, "--seconds", 10, *options)
    shown = capsys.readouterr().out
    index = json.loads((out / "index.json").read_text())
    assert code == (3 if index["missing"] else 0) and len(index["crystals"]) == 3 - index["missing"]
    assert index["draws"] == len(index["crystals"]) + len(index["unrealised"]) and index["failed_draws"] == {}
    realised = f"{len(index['crystals'])} of {index['draws']} representations realised"
    assert (realised in shown) == bool(index["unrealised"])
    assert len(list(out.glob("*.cif"))) == len(index["crystals"])
    for entry in index["crystals"]:
        assert entry["group"]["number"] in (221, 225) and entry["group_found_in_atoms"]["has_all_operations"]


def test_command_relaxes_under_the_symmetry(folder, tmp_path, capsys, monkeypatch):
    """With a pair potential in place of CHGNet: energies fall, the group stays, what was relaxed reads back."""
    pytest.importorskip("pyxtal")
    from symjax.crystals.io import read_structure
    from symjax.evaluate import stability
    from tests.evaluate.stability_fakes import Pair

    monkeypatch.setenv("SYMJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stability, "load_potential", lambda name="chgnet", device=None: Pair())
    out = tmp_path / "out"
    options = ("--space-group", 139, "--elements", "Na,Cl", "--orbits", 2, "--prefix", "Na:2a", "--no-picture")
    assert run(folder, out, "--num", 2, "--realise", "pyxtal", "--relax", *options) == 0
    assert "converged to 0.05 eV/Å within 500 steps" in " ".join(capsys.readouterr().out.split())
    for entry in json.loads((out / "index.json").read_text())["crystals"]:
        done = entry["relaxed"]
        if done["file"] is None:
            assert done["reason"]
            continue
        assert (
            done["energy_eV_per_atom"] <= done["energy_unrelaxed_eV_per_atom"]
            and len(read_structure(out / done["file"]).z) == entry["num_atoms"]
        )
        assert done["group_found"] in (139, 123, 221, 225, 229)  # its own or one above


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--realise", "none", "--relax"], "--relax needs crystals"),
        (["--space-group", "231"], "231"),
        (["--elements", "Na,Xq"], "Xq"),
        (["--space-group", "225", "--prefix", "Na:4a,Cl:4a"], "position 4a of space group 225 has no free coordinate"),
        (["--space-group", "225", "--prefix", "Na4a"], "cannot read 'Na4a'"),
        (["--prefix", "Na:4a"], "one space group"),
        (["--temperature", "0"], "temperature"),
        (["--formula", "Na7Cl999", "--space-group", "225"], "no group that meets"),
        (["--chiral", "--polar", "--centrosymmetric"], "no space group meets"),
        (["--parent", "x.cif"], "--parent cannot be asked of wyckoff_transformer: it draws in a group"),
        (["--attempts", "3"], "--attempts needs --realise pyxtal"),
        (["--realise", "pyxtal", "--seconds", "0"], "must be positive"),
        (["--realise", "none", "--steps", "5"], "--steps"),
        (["--unmasked", "--elements", "Na"], "unmasked"),
        (["--orbits", "30"], "within 1 to 20"),
    ],
)
def test_command_refuses_in_one_line(folder, tmp_path, capsys, options, words):
    code = run(folder, tmp_path / "o", "--num", 2, "--quiet", *options)
    err = capsys.readouterr().err
    assert code == 2 and words in err and "Traceback" not in err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("option", ["--unmasked", "--temperature=2"])
def test_other_models_do_not_take_its_options(tmp_path, capsys, option):
    assert main(["generate", "--num", "2", "--out", str(tmp_path / "o"), option]) == 2
    assert f"{option.split('=')[0]} belongs to --model wyckoff_transformer" in capsys.readouterr().err


def test_what_did_not_come_out_is_said_and_the_rest_written(folder, tmp_path, capsys, monkeypatch):
    """Exit code 3: the crystals that came out are there, what is missing stands in the index and on the screen."""
    from symjax import systems

    monkeypatch.setattr(systems, "realiser", lambda *_, **__: Half(first_always=True))
    out = tmp_path / "out"
    assert run(folder, out, "--num", 4, "--no-picture", "--min-ratio", 0) == 3
    shown = capsys.readouterr()
    index = json.loads((out / "index.json").read_text())
    assert "1 of 4 crystals are missing" in shown.err and "3 of 11 representations realised (no luck: 8)" in shown.out
    assert index["missing"] == 1 and len(index["crystals"]) == 3 == len(list(out.glob("*.cif")))
    assert len((out / "genes.jsonl").read_text().splitlines()) == 3 and "not realised: " in shown.out
    assert index["draws"] == 11 and {one["reason"] for one in index["unrealised"]} == {"no luck"}


@pytest.mark.slow
def test_command_diffusion(folder, tmp_path):
    """The default way to coordinates: the flagship's shipped third stage."""
    out = tmp_path / "out"
    assert run(folder, out, "--num", 4, "--space-group", 225, "--orbits", 2, "--steps", 4, "--quiet") == 0
    index = json.loads((out / "index.json").read_text())
    assert len(index["crystals"]) == 4 and all(entry["group"]["number"] == 225 for entry in index["crystals"])


def test_shipped_weights_are_small_and_whole():
    folder = shipped_weights("wyckoff_transformer")
    weights = load_weights()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3_000_000
    assert weights.group_counts.argmax() == 225
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights.params))
    assert "/" not in load_params(folder)[1].data.train
