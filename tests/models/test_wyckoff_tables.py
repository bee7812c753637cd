"""Tables of raw Wyckoff representations: what is counted, novelty up to the normalizer, corrected columns, rows and files."""

import json

import numpy as np
import pytest

from experiments import tables
from experiments import wyckoff_figures as figs
from experiments import wyckoff_tables as program
from experiments.published.wyckoff_transformer import TABLE_1, TABLE_2
from symjax.evaluate import words
from symjax.groups.tables import wyckoff_letters
from symjax.models.wyckoff_transformer.sample import NUM_SLOTS, Sampled
from symjax.models.wyckoff_transformer.tokens import Tokens, fits, tokenize
from symjax.models.wyckoff_transformer.variants import all_variants, fingerprints
from symjax.models.wyckoff_transformer.vocabulary import vocabulary

VOCAB = vocabulary("all")
MAKER = figs.Maker(draws=5)


def representation(number, *sites):
    """Measured representations of one crystal of (Z, letter) sites."""
    letters = wyckoff_letters(number)
    return figs.measure([number], [[z for z, _ in sites]], [[letters.index(letter) for _, letter in sites]])


@pytest.fixture(scope="module")
def real(prototype_dataset):
    """The prototypes that fit, and their tokens."""
    data = prototype_dataset.subset(fits(prototype_dataset, VOCAB))
    return data, tokenize(data, VOCAB)


@pytest.fixture(scope="module")
def measured(real):
    return figs.measure_tokens(real[1], VOCAB)


def test_what_is_counted(real, measured):
    """Against the data set's own positions."""
    data, _ = real
    assert (measured.sites == data.num_orbits).all()
    np.testing.assert_array_equal(measured.atoms.sum(axis=1), data.num_atoms)
    freedom = np.add.reduceat(data.sets.pos_dof[data.orbit_set, data.orbit_pos], data.orbit_start[:-1])
    np.testing.assert_array_equal(measured.freedom, freedom)
    species = [len(set(data.orbit_z[a:b].tolist())) for a, b in zip(data.orbit_start, data.orbit_start[1:])]
    np.testing.assert_array_equal(measured.species, species)
    np.testing.assert_allclose(measured.shares.sum(axis=1), 1)
    assert set(measured.few_elements().species.tolist()) == {2, 3}


def test_rock_salt():
    salt = representation(225, (11, "a"), (17, "b"))
    assert (salt.sites[0], salt.species[0], salt.freedom[0], salt.atoms[0, 11], salt.atoms[0, 17]) == (2, 2, 0, 4, 4)
    assert salt.neutral().tolist() == [True]
    assert representation(225, (11, "a"), (17, "e")).neutral().tolist() == [False]  # Na4 Cl24


def test_fingerprints_part_as_the_genes_of_evaluation_do(real):
    """Every pair of prototypes and of their equivalent representations: equal fingerprint exactly if equal gene."""
    _, tokens = real
    rows = []
    for row in range(0, len(tokens), 3):
        found = all_variants(tokens, row, VOCAB)
        rows += [found.take(slice(i, i + 1)) for i in {0, len(found) - 1}]
    number = np.concatenate([t.number for t in rows])
    z = np.concatenate([np.where(t.mask, VOCAB.atomic_numbers[t.element], 0) for t in rows])
    pos = np.concatenate([t.pos for t in rows])
    prints = fingerprints(number, z, np.maximum(pos, 0))
    genes = [
        words.gene(int(n), [(int(e), wyckoff_letters(int(n))[p]) for e, p in zip(a, b) if e])
        for n, a, b in zip(number, z, pos)
    ]
    assert len(set(prints)) == len(set(genes)) == len(set(zip(prints, genes)))
    assert len(set(genes)) < len(genes)  # there are equivalent ones


def test_novelty_is_up_to_the_normalizer():
    known = representation(225, (11, "a"), (17, "b"))
    swapped = representation(225, (17, "a"), (11, "b"))
    other = representation(225, (11, "a"), (19, "b"))
    both = program.joined([swapped, other])
    found = {
        f.key.split(".")[1]: f
        for f in figs.figures_of(both, both, known, valid=np.array([1, 1, 0, 0], bool), maker=MAKER)
    }
    assert found["formal_validity"].value == 0.5 and found["formal_validity"].num == 4
    assert found["novelty"].value == found["novelty_published"].value == 0.5
    assert found["p1"].num == 1  # lines are over the novel one


def test_published_fingerprint_differs_where_the_oriented_symbol_changes(real, measured):
    """Group 16: x and y axes exchanged. The public code keeps 2.. and so finds two different representations."""
    one, same = representation(16, (11, "i"), (17, "a")), representation(16, (11, "m"), (17, "a"))
    assert fingerprints(one.number, one.z, one.pos) == fingerprints(same.number, same.z, same.pos)
    assert figs.published_fingerprints(one) != figs.published_fingerprints(same)
    plain = fingerprints(measured.number, measured.z, measured.pos)
    published = figs.published_fingerprints(measured)
    lettered = np.isin(measured.number, list(figs.LETTERED))
    assert [a == b for a, b in zip(plain, published)] == (~lettered).tolist()


def test_real_against_itself(measured):
    """All statistics vanish, no split is closer; the corrected chi-squared is below the floor by the floor."""
    empty = measured.take(np.zeros(0, int))
    first, _ = figs.first_and_new(fingerprints(measured.number, measured.z, measured.pos), ())
    unique = measured.take(first)
    found = {f.key.split(".")[1]: f for f in figs.figures_of(unique, unique, empty, maker=MAKER)}
    for key in ("ks_sites", "ks_elements", "ks_dof", "chi2_groups", "chi2_elements"):
        assert found[key].value == pytest.approx(0, abs=1e-12)
        assert found[key].floor.mean > 0 and found[key].floor.num == len(unique) and found[key].p == 1
    for key in ("chi2_groups", "chi2_elements"):
        assert found[f"{key}_excess"].value == pytest.approx(-found[key].floor.mean)
    assert found["charge_neutral"].value == found["charge_neutral"].reference
    assert found["uniqueness"].value == found["novelty"].value == 1
    assert "formal_validity" not in found


def test_chi_squared_floor_is_that_of_theory():
    """(K - 1) (1 / n + 1 / m) over K equally likely groups."""
    rng = np.random.default_rng(0)
    number = np.repeat(np.arange(195, 215), 50)
    data = figs.measure(number, rng.integers(1, 95, (1000, 1)), np.zeros((1000, 1)))
    sides = figs.Rows(number[rng.permutation(1000)[:100]]), figs.Rows(number)
    figure = figs.Maker(draws=60).compare("c", "c", figs.group_chi_squared, *sides, definition="")
    assert figure.floor.mean == pytest.approx(19 * (1 / 100 + 1 / 1000), rel=0.1)
    assert len(data) == 1000


def test_tables_are_extended_beside_what_they_correct():
    keys = [c.key for c in program.extended(TABLE_1).columns]
    for new, old in program.AFTER.items():
        assert keys.index(new) == keys.index(old) + 1
    assert [c.key for c in program.extended(TABLE_2).columns][: len(TABLE_2.columns)] == [
        c.key for c in TABLE_2.columns
    ]


class FakeWeights:
    """Weights whose samples and likelihoods are set by the test."""

    vocabulary = VOCAB

    class options:
        class network:
            vocabulary = VOCAB.sizes


def as_samples(tokens):
    """Crystals as if they had been drawn; the first one holds MASK."""
    width = NUM_SLOTS - tokens.mask.shape[1]
    wide = lambda a, fill: np.pad(a, ((0, 0), (0, width)), constant_values=fill)
    fields = [wide(a, pad) for a, pad in zip((tokens.element, tokens.site, tokens.enum), VOCAB.pad)]
    fields[1][0, 0] = VOCAB.mask[1]
    t = Tokens(
        number=tokens.number,
        element=fields[0],
        site=fields[1],
        enum=fields[2],
        mask=wide(tokens.mask, False),
        pos=wide(tokens.pos, -1),
    )
    return Sampled(t, np.ones(len(t), bool), VOCAB)


@pytest.fixture
def files(real, tmp_path):
    """Prepared files of prototypes: train, val and test."""
    data, _ = real
    paths = [tmp_path / f"{name}.npz" for name in ("train", "val", "test")]
    for i, path in enumerate(paths):
        data.subset(np.arange(i, len(data), 3)).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def command(files, real, monkeypatch):
    """The program on those files, with made-up samples and likelihoods."""
    _, tokens = real
    samples = as_samples(tokens.take(np.arange(0, len(tokens), 2)))
    monkeypatch.setattr(program, "draw", lambda *args, **more: (samples, 1.5))
    monkeypatch.setattr("symjax.models.wyckoff_transformer.weights.load_weights", lambda folder: FakeWeights())

    from symjax.models.wyckoff_transformer import likelihood

    class Found:
        def __init__(self, num, orders):
            self.own = np.full(num, -12.0)
            self.orders = np.tile(-14.0 + np.array([-1.0, 1.0] * (orders // 2)), (num, 1))

    FakeWeights.params = None
    monkeypatch.setattr(
        likelihood, "likelihoods", lambda p, o, t, *, num_orders, **more: Found(len(t.number), num_orders)
    )
    train, val, test = files
    return ["--train", train, "--val", val, "--test", test, "--weights", "w", "--draws", "3", "--likelihoods", "20"]


def test_rows_stand_beside_the_published_ones_and_are_reports(command, tmp_path, capsys):
    folder = tmp_path / "reports"
    assert (
        program.main(
            [*command, "--json", str(folder), "--format", "json", "--out", str(tmp_path / "t"), "--table", "1"]
        )
        == 0
    )
    found = json.loads((tmp_path / "t").read_text())
    rows = {row["system"]: row for row in found["rows"]}
    assert rows["WyCryst, binary and ternary"]["kind"] == "reported"
    mine = rows["WyckoffTransformer, this project, unmasked, all, raw"]
    assert mine["kind"] == "measured" and "samples unusable" in mine["note"]
    values = {key: cell["value"] for key, cell in mine["values"].items()}
    assert 98 < values["formal"] < 100
    assert all(values[c.key] is not None for c in program.extended(TABLE_1).columns if c.key != "sun")
    assert mine["values"]["sun"]["status"] == "not computed"
    subset = rows["WyckoffTransformer, this project, masked, binary and ternary, raw"]
    assert "binaries and ternaries of" in subset["note"]
    assert rows["real crystals of train and val, all"]["values"]["novelty"]["status"] == "not computed"
    assert any(row["kind"] == "floor" for row in rows.values())
    evaluated = tmp_path / "evaluated.json"
    figure = {"key": "wyckoff_transformer.sun", "value": 0.25, "num": 40, "definition": "d"}
    evaluated.write_text(json.dumps({"symjax": "1", "samples": {"source": "relaxed", "num": 40}, "figures": [figure]}))
    arguments = ["--format", "json", "--out", str(tmp_path / "u"), "--table", "1", "--report", str(evaluated)]
    assert program.main([*command, *arguments]) == 0
    both = json.loads((tmp_path / "u").read_text())["rows"]
    filled = {
        key
        for row in both
        if row["kind"] == "measured"
        for key, cell in row["values"].items()
        if cell["value"] is not None
    }
    assert filled == {c.key for c in program.extended(TABLE_1).columns}
    files = sorted(folder.glob("table1_*.json"))
    assert tables.main(["wyckoff_transformer-1", *(part for path in files for part in ("--report", str(path)))]) == 0
    out = capsys.readouterr().out
    assert "measured" in out and "floor at n of" in out


def test_table_2(command, tmp_path):
    folder = tmp_path / "reports"
    assert (
        program.main(
            [*command, "--table", "2", "--json", str(folder), "--format", "json", "--out", str(tmp_path / "t")]
        )
        == 0
    )
    rows = {row["system"]: row for row in json.loads((tmp_path / "t").read_text())["rows"]}
    one = {
        key: cell["value"] for key, cell in rows["WyckoffTransformer, this project, temperature 1"]["values"].items()
    }
    assert (
        one["own"] == 12
        and one["averaged"] == 14
        and one["kl"] == 2
        and one["own_published"] == 12
        and one["unstopped"] == 0
    )
    assert one["sigma"] == pytest.approx(np.std([1, -1] * 10, ddof=1))
    data = rows["test crystals, binary and ternary"]["values"]
    assert data["averaged"]["value"] == 14 and data["kl"]["value"] is None
    assert data["uniform"]["value"] > 20
    assert [name for name in rows if name.startswith("WyckoffTransformer, this project")] == [
        f"WyckoffTransformer, this project, temperature {t}" for t in ("100", "1", "0.01")
    ]
    printed = rows["WyckoffTransformer, temperature 100"]["values"]
    corrected = rows["WyckoffTransformer, high temperature, corrected"]["values"]
    assert (round(corrected["spread"]["value"]), corrected["own"]["value"]) == (
        printed["own"]["value"],
        printed["spread"]["value"],
    )
    assert one["spread"] == 0


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--train", "none.npz", "--test", "none.npz", "--table", "1"], "none.npz"),
        (["--train", "a", "--test", "b", "--num", "0"], "at least 1"),
        (["--train", "a", "--test", "b", "--format", "csv"], "--format csv"),
    ],
)
def test_wrong_input_is_one_line(argv, message, capsys):
    assert program.main(argv) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and err.count("\n") == 1
