"""Configurations: every preset is valid, every mistake is told, and the program ends with code 2 and no traceback."""

import os
import re

import pytest
from train_helpers import ROOT, config, finish, start

from configs import symop
from experiments import train as program
from symjax import systems as registry
from symjax.errors import ConfigError, SymjaxError
from symjax.train.config import FREE_ON_RESUME, apply, differences, flat, parse_argument, validate
from symjax.train.metrics import read

PRESETS = [f"{size},part={part}" for size in symop.SIZES for part in symop.PARTS]
TOY = f"--config={ROOT / 'configs' / 'toy.py'}"
SYMOP = f"--config={ROOT / 'configs' / 'symop.py'}"


@pytest.mark.parametrize("argument", PRESETS)
def test_presets_are_valid(argument, tmp_path):
    assert len(PRESETS) == 9
    c = symop.get_config(argument)
    assert c.is_locked
    validate(c)
    c.data.train = ""
    with pytest.raises(ConfigError, match=r"^1 problem.*\n  config.data.train is empty"):
        validate(c)
    (tmp_path / "data.npz").write_text("")
    c.data.train = str(tmp_path / "data.npz")
    validate(c)


def test_argument_forms():
    assert symop.get_config("tiny").model.name == "symop_operations"
    assert symop.get_config("size=tiny,part=geometry").model.name == "symop_geometry"
    assert flat(symop.get_config()) == flat(symop.get_config("small,part=operations"))
    allowed = {"size": ("a", "b"), "part": ("c",)}
    assert parse_argument("b", first="size", allowed=allowed) == {"size": "b", "part": "c"}
    for text, message in [
        ("huge", "size='huge': not one of a, b"),
        ("b,depth=3", "no field 'depth'; fields are size, part"),
    ]:
        with pytest.raises(ConfigError, match=re.escape(message)):
            parse_argument(text, first="size", allowed=allowed)


def test_every_problem_is_collected():
    c = config(
        train__steps=0,
        train__learning_rate=float("nan"),
        train__schedule="cosin",
        train__keep=0,
        data__val="nowhere.npz",
    )
    with pytest.raises(ConfigError) as caught:
        validate(c, needs_data=False)
    text = str(caught.value)
    assert text.startswith("5 problem(s)")
    for part in (
        "train.steps = 0: must be at least 1",
        "train.learning_rate = nan",
        "one of constant, cosine, linear",
        "train.keep = 0",
        "data.val = 'nowhere.npz': no such file",
    ):
        assert part in text


@pytest.mark.parametrize(
    "name, value", [("ema", 1.0), ("final_rate", 2.0), ("clip", -1.0), ("batch_size", 0), ("dtype", "float16")]
)
def test_single_values(name, value):
    with pytest.raises(ConfigError, match=f"config.train.{name} = "):
        validate(config(**{f"train__{name}": value}), needs_data=False)


def test_presets_with_typos_are_errors():
    with pytest.raises(ConfigError, match=r"config.train.stepps"):
        apply(config(), {"train.stepps": 3})
    with pytest.raises(ConfigError, match=r"config.train.steps"):
        apply(config(), {"train.steps": "many"})


def test_differences_ignore_what_does_not_matter():
    old = flat(config())
    assert differences(old, {**old, "train.steps": 3, "data.train": "moved.npz"}) == []
    assert differences(old, {**old, "train.ema": 0.5}) == ["config.train.ema: 0.999 -> 0.5"]
    assert differences({"a": (1, (2,))}, {"a": [1, [2]]}) == []
    assert set(FREE_ON_RESUME) <= set(old)


def test_registry():
    assert {"symop_operations", "symop_geometry"} <= set(registry.names())
    with pytest.raises(ConfigError, match="already taken"):
        registry.register("symop_geometry", lambda *_: None)
    with pytest.raises(ConfigError, match=r"unknown model 'symp'; models are .*symop_geometry"):
        registry.entry("symp")


MISTAKES = [
    ([TOY], "--workdir is missing"),
    (["--workdir=x"], "--config is missing"),
    ([TOY, "--workdir=x", "--config.train.stepps=3"], "stepps"),
    ([TOY, "--workdir=x", "--config.train.steps=many"], "many"),
    ([TOY, "--workdir=x", "--config.train.steps=0"], "config.train.steps = 0"),
    ([TOY, "--workdir=x", "--config.model.name=typo"], "unknown model 'typo'"),
    ([TOY, "--workdir=x", "--wrokdir=y"], "wrokdir"),
    ([TOY, "--workdir=x", "extra"], "unknown argument 'extra'"),
    ([TOY, "--workdir=x", "--process_id=1"], "need --coordinator"),
    ([TOY, "--workdir=x", "--num_processes=2", "--process_id=2", "--coordinator=localhost:1"], "--process_id=2"),
    ([f"{SYMOP}:huge", "--workdir=x"], "size='huge': not one of small, tiny, base"),
    ([f"{SYMOP}:tiny,depth=3", "--workdir=x"], "no field 'depth'"),
    ([f"{SYMOP}:tiny", "--workdir=x", "--config.data.train="], "config.data.train is empty"),
    ([f"{SYMOP}:tiny", "--workdir=x", "--config.data.val=prototypes"], "no such file"),
    ([f"{SYMOP}:tiny", "--workdir=x", "--config.data.train=nowhere.npz"], "no such file"),
    (["--config=configs/nothing.py", "--workdir=x"], "nothing.py"),
]


@pytest.mark.parametrize("arguments, message", MISTAKES, ids=lambda v: v if isinstance(v, str) else "")
def test_mistakes_on_the_command_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert program.main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("experiments.train: error: ") and message in err
    assert not out and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_no_data_set(capsys, tmp_path):
    (tmp_path / "data.npz").write_text("not an archive")
    data = f"--config.data.train={tmp_path / 'data.npz'}"
    assert program.main(["train", f"{SYMOP}:tiny", f"--workdir={tmp_path / 'run'}", data]) == 2
    assert "data.npz" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_help(capsys):
    assert program.main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--config.train.steps=2000" in out and "--coordinator" in out


def test_as_a_user_runs_it(tmp_path):
    code, out, err = finish(start(tmp_path / "run"))
    assert code == 0 and "toy: step 40" in out, err
    assert len(read(tmp_path / "run" / "metrics.jsonl", "val")) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SymjaxError, match="cannot"):
        program.train(config(), str(tmp_path / "run"))


def test_configurations_by_name(tmp_path, monkeypatch):
    """A name stands for a file of the package, or of the system of that name; a file that is there is itself."""
    monkeypatch.chdir(tmp_path)
    for name in ("symop", "symop.py", "configs/symop.py"):
        assert program.find_config(name) == ROOT / "configs" / "symop.py"
    assert program.find_config("regression") == ROOT / "configs" / "formation_energy.py"
    assert program.find_config("nothing") is None and program.find_config("other/symop.py") is None
    assert program.packaged(["x", "--config", "toy:a", "--workdir=toy"])[2:] == [
        f"{ROOT / 'configs' / 'toy.py'}:a",
        "--workdir=toy",
    ]
    (tmp_path / "toy").write_text("")
    assert program.packaged(["x", "--config=toy"]) == ["x", "--config=toy"]

    (tmp_path / "mine.py").write_text("")
    row = registry.Row("mine", {}, None, str(tmp_path / "mine.py"))
    monkeypatch.setattr(registry, "rows", lambda: (row,))
    assert program.packaged(["x", "--config=mine:small"]) == ["x", f"--config={tmp_path / 'mine.py'}:small"]
