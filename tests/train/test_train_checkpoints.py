"""Checkpoints that are damaged, foreign, or cannot be written: a clear error, and nothing that was good is lost."""

import itertools
import json
import os
import shutil
import sys
import time

import pytest
from toy_task import ToyTask
from train_helpers import config, digests, finish, run, start

from symjax.errors import ConfigError, WeightsError
from symjax.train.checkpoints import Checkpoints, _record_sum, digest
from symjax.train.loop import Trainer
from symjax.train.metrics import read

pytestmark = pytest.mark.faults
TIMED = ("seconds", "steps_per_second", "examples_per_second")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run with checkpoints at 20 and 40; copy it before use."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    run(folder)
    return folder


@pytest.fixture
def workdir(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def largest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def truncate(newest):
    for path in (newest / "state").rglob("d/*"):
        path.write_bytes(path.read_bytes()[:20])


def change_digest(newest):
    path = newest / "record" / "metadata"
    record = json.loads(path.read_text())
    record["digest"] ^= 1
    path.write_text(json.dumps(record | {"sum": _record_sum(record)}))


def foreign_record(newest):
    (newest / "record" / "metadata").write_text('{"step": 40}')


def foreign_folder(newest):
    shutil.rmtree(newest)
    newest.mkdir()
    (newest / "notes.txt").write_text("not ours")


DAMAGE = {
    truncate: "",
    change_digest: "its checksum does not fit its content",
    foreign_record: "it was not written by symjax",
    foreign_folder: "",
    lambda newest: shutil.rmtree(newest / "record"): "",
    lambda newest: shutil.rmtree(newest / "state"): "",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_newest_is_told_and_the_one_before_taken(workdir, trained, damage, capfd):
    """One loud line; what the run gives then is what it would have given from there, and nothing is deleted."""
    damage(workdir / "checkpoints" / "40")
    result = run(workdir)
    err = capfd.readouterr().err
    (line,) = [line for line in err.splitlines() if "DAMAGED" in line]
    assert "checkpoints/40 is damaged or foreign" in line and DAMAGE[damage] in line and "damaged/40-0" in line
    assert "resumed from step 20" in err and "Traceback" not in err and "Event loop" not in err
    assert (workdir / "damaged" / "40-0").is_dir()
    assert result.step == 40 and digests(workdir) == digests(trained)


def begun(trainer, workdir):
    """Digest of the state that a run in this folder starts from, and what it says."""
    trainer.workdir, trainer._notes = workdir, []
    with Checkpoints(workdir / "checkpoints", 9) as checkpoints:
        return digest(trainer._start(checkpoints)), trainer._notes


def flip(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 16]) + data[len(data) // 2 + 1 :] if data else b"x"


CUT = {"emptied": lambda data: b"", "cut": lambda data: data[: len(data) // 2], "zeroed": lambda data: bytes(len(data))}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*CUT, "flipped", "removed"])
def test_every_file_damaged_one_by_one(trained, tmp_path, kind):
    """The state of this checkpoint to the bit, or that of the one before with a note; never another, never an error."""
    c = config()
    trainer = Trainer(ToyTask(c), c, tmp_path)
    newest = trained / "checkpoints" / "40"
    whole, before = digests(trained)[40], digests(trained)[20]
    files = sorted(p.relative_to(newest) for p in newest.rglob("*") if p.is_file())
    assert len(files) > 8
    told = 0
    for i, name in enumerate(files):
        workdir = shutil.copytree(trained, tmp_path / str(i))
        path = workdir / "checkpoints" / "40" / name
        if kind == "removed":
            path.unlink()
        else:
            path.write_bytes({**CUT, "flipped": flip}[kind](path.read_bytes()))
        state, notes = begun(trainer, workdir)
        assert (state, len(notes)) in ((whole, 0), (whole, 1), (before, 1)), (name, notes)
        told += len(notes)
    assert told >= 3  # the parameters, the record and what describes them


def pipe(newest):
    os.mkfifo(newest / "state" / "d" / "pipe")


def link_out(newest):
    (newest / "state" / "manifest").symlink_to("/dev/zero")


def whole_is_a_link(newest):
    shutil.move(newest, newest.parent.parent / "elsewhere")
    newest.symlink_to(newest.parent.parent / "elsewhere")


def deep(newest):
    (newest / "record" / "metadata").write_text("[" * 10**5)


def step_of_another(newest):
    shutil.rmtree(newest)
    shutil.copytree(newest.parent / "20", newest)


def changed(**values):
    def change(newest):
        path = newest / "record" / "metadata"
        record = json.loads(path.read_text()) | values
        path.write_text(json.dumps(record | {"sum": _record_sum(record)}))

    change.__name__ = str(values)
    return change


def classes(newest):
    """What orbax writes about the state names classes for its own registry; nothing may be imported by that name."""
    path = newest / "state" / "_METADATA"
    path.write_text(path.read_text().replace('"value_type": "', '"value_type": "unittest.__main__.'))


HOSTILE = [pipe, link_out, whole_is_a_link, deep, step_of_another, classes]
HOSTILE += [
    changed(best=["x", 1]),
    changed(meter="x"),
    changed(meter=[1, [2]]),
    changed(config=[]),
    changed(digest=None),
]


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_hostile_checkpoints(trained, workdir, make):
    """Nothing is followed, waited for or imported; the one before is taken, or what can be read is right."""
    c = config()
    before, made = sorted(sys.modules), Trainer(ToyTask(c), c, workdir)
    make(workdir / "checkpoints" / "40")
    state, notes = begun(made, workdir)
    known = digests(trained)
    assert (
        (state, len(notes)) in ((known[20], 1), (known[40], 0)) if make is classes else (state == known[20] and notes)
    )
    assert "unittest.__main__" not in {*sys.modules} - {*before}


def test_names_that_are_no_steps(workdir):
    for name in ("-1", "60.0", "x60"):
        (workdir / "checkpoints" / name).mkdir()
    (workdir / "checkpoints" / "80").write_text("a file")
    assert run(workdir, train__steps=60).step == 60
    shutil.copytree(workdir / "checkpoints" / "60", workdir / "checkpoints" / ("9" * 40))
    with pytest.raises(WeightsError, match="folders that no run named"):
        run(workdir, train__steps=70)


def test_checkpoints_of_another_model(trained, workdir, tmp_path):
    """Named as such by its record; where the record lies, by the state that does not fit; nothing is lost either way."""
    newest = workdir / "checkpoints" / "40"
    config = json.loads((newest / "record" / "metadata").read_text())["config"]
    changed(config=config | {"model.name": "symmcd"})(newest)
    with pytest.raises(ConfigError, match=r"config\.model\.name: symmcd -> toy"):
        run(workdir)
    run(tmp_path / "wider", model__width=7)
    shutil.rmtree(newest)
    shutil.copytree(tmp_path / "wider" / "checkpoints" / "40", newest)
    with pytest.raises(ConfigError, match=r"config\.model\.width: 7 -> "):
        run(workdir)
    changed(config=config)(newest)  # a lie
    result = run(workdir)
    assert (workdir / "damaged" / "40-0").is_dir() and digests(workdir) == digests(trained) and result.step == 40


def test_a_clock_that_goes_backwards(trained, tmp_path, monkeypatch):
    """The newest checkpoint is the one of most steps, whatever the clock said when it was written."""
    back = itertools.count(1_800_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(back)))
    run(tmp_path / "run", train__steps=20)
    os.utime(tmp_path / "run" / "checkpoints" / "20", (2e9, 2e9))
    run(tmp_path / "run")
    os.utime(tmp_path / "run" / "checkpoints" / "40", (1, 1))
    assert run(tmp_path / "run").step == 40
    assert digests(tmp_path / "run") == digests(trained)
    rows = [{k: v for k, v in row.items() if k not in TIMED} for row in read(tmp_path / "run" / "metrics.jsonl")]
    assert rows == [{k: v for k, v in row.items() if k not in TIMED} for row in read(trained / "metrics.jsonl")]


def test_a_file_of_orbax_that_is_not_needed(workdir):
    (workdir / "checkpoints" / "40" / "_CHECKPOINT_METADATA").unlink()
    assert run(workdir, train__steps=60).step == 60


def test_only_checkpoint_damaged(workdir):
    shutil.rmtree(workdir / "checkpoints" / "20")
    largest(workdir / "checkpoints" / "40" / "state").write_bytes(b"")
    with pytest.raises(WeightsError, match="fresh --workdir"):
        run(workdir, train__steps=60)


def test_unfinished_write_is_ignored(workdir):
    shutil.copytree(workdir / "checkpoints" / "40", workdir / "checkpoints" / "60.orbax-checkpoint-tmp-1")
    with Checkpoints(workdir / "checkpoints", 2) as checkpoints:
        assert checkpoints.steps() == [20, 40]


@pytest.mark.slow
def test_disk_full_keeps_what_was_there(tmp_path, capsys):
    """The program may write no file longer than 64 KiB, as on a full disk; parameters are larger."""
    wide = {"model__width": 20000, "train__keep": 1}
    run(tmp_path / "run", train__steps=20, **wide)
    before = digests(tmp_path / "run")

    more = ("model.width=20000", "train.steps=60", "train.keep=1")
    code, _, err = finish(start(tmp_path / "run", *more, longest_file=65536))
    assert code == 2, err
    # threads of orbax may have printed before; the last line is ours
    err = err.strip().splitlines()[-1]
    assert (
        "error: could not write checkpoint" in err
        and "40: File too large" in err
        and "last good checkpoint: step 20" in err
    )
    assert digests(tmp_path / "run") == before
    assert run(tmp_path / "run", train__steps=60, **wide).step == 60
    assert "resumed from step 20" in capsys.readouterr().err


def test_too_little_space_is_told_before_writing(workdir, monkeypatch):
    before = digests(workdir)
    usage = shutil.disk_usage(workdir)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(
        WeightsError, match=r"checkpoints/60: no space left: 1 MiB needed, 0 free; last good checkpoint: step 40"
    ):
        run(workdir, train__steps=60)
    assert digests(workdir) == before
