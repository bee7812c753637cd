"""Sampling SymmCD: a denoiser that knows the answer gives the crystals back; requests, counted failures, weights, the command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.symmcd import get_config
from symjax.cli.main import main
from symjax.diffusion import wrapped
from symjax.errors import InputError, WeightsError
from symjax.evaluate.report.reading import usable
from symjax.evaluate.sources import read_crystals
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.groups.identify import identify
from symjax.models.symmcd import draw as drawing
from symjax.models.symmcd import sample as sampling
from symjax.models.symmcd.network import Predictions
from symjax.models.symmcd.representation import represent
from symjax.models.symmcd.requests import TEN_GROUPS, draw_requests
from symjax.models.symmcd.task import SymmcdTask, examples_of, levels_of
from symjax.models.symmcd.weights import load_weights
from symjax.systems import generate
from symjax.train.weights import load_params, save_params, shipped_weights

SIZES = {
    "model.symmcd.width": 16,
    "model.symmcd.num_layers": 1,
    "model.symmcd.num_frequencies": 2,
    "model.symmcd.latent": 8,
    "model.symmcd.group_hidden": 8,
    "model.symmcd.buckets": (4,),
}
FEW = {"steps": 4, "batch_size": 8}


@pytest.fixture(scope="module")
def data(prototype_dataset):
    """Prototypes of at most four orbits, without elements beyond plutonium."""
    heavy = np.isin(np.arange(len(prototype_dataset)), prototype_dataset.orbit_crystal[prototype_dataset.orbit_z > 94])
    return prototype_dataset.subset(np.flatnonzero((prototype_dataset.num_orbits <= 4) & ~heavy))


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    """Untrained weights of a very small network, as training writes them."""
    config = get_config("tiny")
    config.update_from_flattened_dict(SIZES)
    task = SymmcdTask(config, data, None)
    params = jax.jit(task.init)(jax.random.key(0), jax.tree.map(lambda a: a[:2], task.buckets()[0].arrays))
    return save_params(tmp_path_factory.mktemp("weights") / "symmcd", params, config)


@pytest.fixture(scope="module")
def weights(folder):
    return load_weights(folder)


def know_the_answer(monkeypatch, weights, examples):
    """Replace the network by exact predictions for one known crystal each."""
    levels = levels_of(weights.options)
    stats = weights.params["stats"]
    free = jnp.asarray(stats["k_free"])[examples.number]
    clean = free * (examples.k - stats["k_shift"]) / stats["k_scale"]

    def predict(params, options, nodes, t):
        abar, sigma, scale = (jnp.asarray(table)[t[0].astype(int)] for table in levels)
        state = free * nodes.k
        return Predictions(
            k=(state - jnp.sqrt(abar) * clean) / jnp.sqrt(1 - abar),
            x=-wrapped.cubic_score(nodes.x - examples.x, sigma) / scale,
            types=40.0 * jax.nn.one_hot(examples.types, 94),
            sites=40.0 * jax.nn.one_hot(examples.sites, 13),
        )

    monkeypatch.setattr(sampling, "predict", predict)
    sampling.reverse_diffusion.clear_cache()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [None, 60])
def test_exact_predictions_give_the_crystals_back(monkeypatch, weights, data, steps):
    """All 1,000 steps, and a subsequence; then the projection finds the true positions."""
    truth = represent(data.subset(range(0, len(data), len(data) // 8)[:8]), num_orbits=4)
    examples = jax.tree.map(jnp.asarray, examples_of(truth))
    know_the_answer(monkeypatch, weights, examples)
    try:
        drawn = sampling.reverse_diffusion(
            weights.params,
            jax.random.key(0),
            examples.number,
            examples.mask,
            allowed=jnp.ones(94),
            options=weights.options,
            sampler=sampling.SymmcdSampling(num_steps=steps),
        )
    finally:
        sampling.reverse_diffusion.clear_cache()
    mask = truth.mask
    np.testing.assert_array_equal(np.asarray(drawn.types)[mask], truth.z[mask] - 1)
    np.testing.assert_array_equal(np.asarray(drawn.sites)[mask], truth.site[mask])
    np.testing.assert_allclose(drawn.k, truth.k, atol=0.02)
    error = np.asarray(drawn.x) - truth.x
    # the corrector at the smallest noise moves by sqrt(2e-5); the published last step has no noise
    assert np.abs(error - np.round(error))[mask].max() < 0.02
    known = jax.tree.map(np.asarray, drawn)
    monkeypatch.setattr(drawing, "draw_requests", lambda *_, **__: (truth.number, truth.num_orbits))
    monkeypatch.setattr(drawing, "sample_all", lambda *_, **__: (known, mask))
    made = generate("symmcd", 8, weights=weights)
    assert not made.failed and made.attempts == 8
    again = represent(made.dataset, num_orbits=4)
    np.testing.assert_array_equal(again.pos, truth.pos)
    np.testing.assert_allclose(again.k, truth.k, atol=0.02)


@pytest.mark.slow
def test_every_crystal_has_its_group_even_from_untrained_weights(weights):
    made = generate("symmcd", 6, weights=weights, seed=3, **FEW)
    assert len(made.dataset) == 6 and made.attempts == 6 + sum(made.failed.values()) and made.missing == 0
    assert made.dataset.ids[0] == "symmcd-00000" and {"moved", "site_cost"} <= set(made.dataset.properties)
    for i in range(6):
        index = int(made.dataset.set_index[i])
        number = identify(made.dataset.sets.opset(index)).number
        assert weights.counts.group[number] > 0
    start = made.dataset.orbit_start
    stabilized = made.dataset.sets.pos_stab[made.dataset.orbit_set, made.dataset.orbit_pos]
    W, w = made.dataset.sets.W[made.dataset.orbit_set], made.dataset.sets.w[made.dataset.orbit_set] / 24
    moved = np.einsum("onij,oj->oni", W, made.dataset.orbit_x) + w - made.dataset.orbit_x[:, None]
    assert np.abs(moved - np.round(moved))[stabilized].max() < 1e-9  # exactly on their positions
    assert start[-1] == len(made.dataset.orbit_z)


@pytest.mark.slow
def test_equal_seeds_give_equal_crystals_and_requests_are_kept(weights):
    request = Request(groups=(225, 216), orbits=2, elements=("Na", "Cl"))
    one, two = (generate("symmcd", 5, weights=weights, seed=7, request=request, **FEW).dataset for _ in range(2))
    assert one.data_hash() == two.data_hash()
    assert (one.num_orbits == 2).all() and set(one.orbit_z) == {11, 17}
    other = generate("symmcd", 5, weights=weights, seed=8, request=request, **FEW).dataset
    assert other.data_hash() != one.data_hash()


@pytest.mark.slow
def test_groups_and_orbits_follow_the_training_data(weights, data):
    """Frequencies of 20,000 requests, all and restricted."""
    truth = represent(data)
    rng = np.random.default_rng(0)

    def asked(num, **parts):
        return draw_requests(weights.counts, masks_of(Request(**parts)), num, rng=rng, max_orbits=4)

    number, orbits = asked(20_000)
    for n in np.unique(truth.number):
        assert (number == n).mean() == pytest.approx((truth.number == n).mean(), abs=0.015)
    most = int(np.bincount(truth.number).argmax())
    for m in range(1, 5):
        assert (orbits[number == most] == m).mean() == pytest.approx(
            (truth.num_orbits[truth.number == most] == m).mean(), abs=0.06
        )
    some, _ = asked(200, groups=(225, 186))
    assert set(some) == {186, 225}
    given, count = asked(500, orbits=3)
    assert set(given) <= set(truth.number[truth.num_orbits == 3]) and (count == 3).all()
    cubic, _ = asked(200, crystal_system="cubic", centrosymmetric=True)
    assert set(cubic) <= set(truth.number) and set(cubic) <= set(range(200, 231))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"groups": (3,)}, "space group 3 has no crystal"),
        ({"groups": (225, 3)}, "space group 3 has no crystal"),
        ({"groups": (225,), "orbits": 9}, "1 to 4 orbits, got 9"),
        ({"elements": ("At",)}, "element At: in no crystal"),
        ({"include": ("At",)}, "element At: in no crystal"),
        ({"elements": ("Na", "Cl", "O", "K", "H")}, "5 elements need as many orbits"),
        (
            {"groups": (225,), "sites": (("Na", "4a"),)},
            "given orbits cannot be asked of symmcd: it draws site symmetries",
        ),
    ],
)
def test_requests_that_cannot_be_met_are_refused(weights, asked, words):
    with pytest.raises(InputError, match=words):
        generate("symmcd", 2, weights=weights, request=Request(**asked), **FEW)


def test_no_coordinates_are_given_to_a_system_that_draws_them(weights):
    from symjax.generate.loop import generate as common
    from symjax.generate.pyxtal import Pyxtal
    from symjax.systems import system

    with pytest.raises(InputError, match="a realiser cannot be given to symmcd: lattice, coordinates and site"):
        common(system("symmcd"), weights, 2, realise=Pyxtal())


def test_failures_are_counted_and_drawn_again(monkeypatch, weights):
    """A cell without end in the first round: those crystals are drawn again, the count says so."""
    original, calls = drawing.sample_all, []

    def sometimes(*args, **kwargs):
        drawn, mask = original(*args, **kwargs)
        calls.append(len(drawn.k))
        if len(calls) == 1:
            drawn.k[:3] = np.nan
        return drawn, mask

    monkeypatch.setattr(drawing, "sample_all", sometimes)
    made = generate("symmcd", 5, weights=weights, seed=3, **FEW)
    assert made.failed["no cell"] >= 3 and made.attempts == sum(calls) > 5 and len(made.dataset) == 5
    assert (made.dataset.properties["draws"][:3] >= 2).all() and made.dataset.properties["draws"].sum() == sum(calls)


def test_more_steps_than_trained_are_refused(weights):
    with pytest.raises(InputError, match="1000"):
        sampling.steps_of(weights.options, sampling.SymmcdSampling(num_steps=1001))
    with pytest.raises(InputError, match="num_steps"):
        sampling.SymmcdSampling(num_steps=0)
    assert sampling.steps_of(weights.options, sampling.SymmcdSampling()).tolist() == list(range(1000, -1, -1))


def test_foreign_weights_are_refused(folder, tmp_path):
    params, config = load_params(folder)
    stats = params["stats"] | {"features": params["stats"]["features"][:, ::-1].copy()}
    with pytest.raises(WeightsError, match="another setting"):
        load_weights(save_params(tmp_path / "features", {"net": params["net"], "stats": stats}, config))
    other = config.copy_and_resolve_references().unlock()
    other.model.symmcd.width = 32
    with pytest.raises(WeightsError, match="another preset"):
        load_weights(save_params(tmp_path / "width", params, other))
    other.model.name = "symop_geometry"
    with pytest.raises(WeightsError, match="symop_geometry"):
        load_weights(save_params(tmp_path / "name", params, other))
    stats = {k: v for k, v in params["stats"].items() if k != "site"}
    with pytest.raises(WeightsError, match="lack site"):
        load_weights(save_params(tmp_path / "lack", {"net": params["net"], "stats": stats}, config))


def test_command(folder, tmp_path, capsys):
    out = tmp_path / "crystals"
    options = [
        "--model",
        "symmcd",
        "--weights",
        str(folder),
        "--num",
        "3",
        "--steps",
        "4",
        "--min-ratio",
        "0",
        "--no-picture",
    ]
    code = main(["generate", *options, "--space-group", "Fm-3m", "--orbits", "2", "--out", str(out)])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert "draws gave nothing" in shown.out
    index = json.loads((out / "index.json").read_text())
    assert index["draws"] == 3 + sum(index["failed_draws"].values())
    assert index["unrealised"] == [] and index["missing"] == 0 and "genes.jsonl" not in index["files"]
    assert [entry["group"]["number"] for entry in index["crystals"]] == [225] * 3
    assert len(list(out.glob("*.cif"))) == 3
    source = read_crystals(out).summary()
    lost = sum(index["failed_draws"].values())
    said = usable({"samples": source}, "samples")  # stands beside every metric
    assert said.startswith(f"3 ({lost} of {3 + lost} draws gave no crystal")
    assert source["asked"] == {
        "model": "symmcd",
        "space_group": "Fm-3m",
        "orbits": 2,
        "steps": 4,
        "min_ratio": 0.0,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--model", "symmcd", "--formula", "NaCl", "--space-group", "225", "--orbits", "1"],
            "1 orbit(s) cannot hold 2 elements",
        ),
        (
            ["--model", "symmcd", "--formula", "NaClO5", "--space-group", "225"],
            "NaClO5 does not fit in space group 225",
        ),
        (["--model", "symmcd", "--formula", "NaCl", "--elements", "Na,O"], "contradict"),
        (["--model", "symmcd", "--formula", "NaCl2("], "a bracket is not closed"),
        (["--model", "symmcd", "--chiral", "--centrosymmetric"], "no space group meets"),
        (
            ["--model", "symmcd", "--parent", "x.cif"],
            "--parent cannot be asked of symmcd: it draws in a group that is given first",
        ),
        (["--model", "symmcd", "--space-group", "225", "--prefix", "Na:4a"], "given orbits cannot be asked of symmcd"),
        (["--model", "symmcd", "--realise", "none"], "--realise none cannot be asked of symmcd"),
        (["--model", "symmcd", "--temperature", "2"], "belongs to --model wyckoff_transformer"),
        (["--model", "symmcd", "--space-group", "3"], "space group 3"),
        (["--model", "symmcd", "--space-group", "225,nonsense"], "nonsense"),
        (["--model", "symmcd", "--space-group", "225", "--orbits", "7"], "7"),
        (["--model", "symmcd", "--steps", "2000"], "1000"),
    ],
)
def test_command_refuses_in_one_line(folder, tmp_path, capsys, options, words):
    given = ["--weights", str(folder), "--num", "2", "--out", str(tmp_path / "o"), "--quiet"]
    code = main(["generate", *options, *given])
    err = capsys.readouterr().err
    assert code == 2 and words in err and "Traceback" not in err
    assert not (tmp_path / "o").exists()


def test_weights_of_the_other_model_are_told_apart(tmp_path):
    (tmp_path / "operations").mkdir()
    with pytest.raises(WeightsError, match="two parts of symop"):
        load_weights(tmp_path)
    with pytest.raises(WeightsError, match="no weights"):
        load_weights(tmp_path / "nowhere")


def test_the_ten_groups_of_the_paper():
    assert len(TEN_GROUPS) == 10 and masks_of(Request(groups=TEN_GROUPS)).groups.sum() == 10


def test_shipped_weights_are_small_and_whole():
    folder = shipped_weights("symmcd")
    weights = load_weights()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 6_000_000
    assert weights.counts.group.sum() == pytest.approx(1.0, abs=1e-4) and weights.counts.group[225] > 0.01
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights.params))
    number, orbits = draw_requests(weights.counts, masks_of(Request()), 50, rng=np.random.default_rng(0), max_orbits=20)
    assert number.min() >= 1 and orbits.min() >= 1
    assert "/" not in load_params(folder)[1].data.train
