"""Checkpoints that are damaged, foreign, or cannot be written: a clear error, and nothing that was good is lost."""

import json
import shutil

import pytest
from train_helpers import digests, finish, run, start

from symjax.errors import WeightsError
from symjax.train.checkpoints import Checkpoints

pytestmark = pytest.mark.faults


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
    path.write_text(json.dumps(record | {"digest": record["digest"] ^ 1}))


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
