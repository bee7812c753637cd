"""The picture of the curves."""

import json

import pytest

from experiments.plot_curves import main


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    rows = [{"step": s, "split": split, "seconds": 1.0, "loss": 1 / s} for s in (10, 20) for split in ("train", "val")]
    rows.append({"step": 30, "split": "train", "seconds": 2.0, "loss": None})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def test_picture(run, tmp_path):
    assert main([str(run), str(run / "metrics.jsonl"), "--out", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes(run, tmp_path, capsys):
    for arguments, message in [
        ([str(tmp_path / "nowhere")], "no metrics.jsonl there"),
        ([str(run), "--metric", "lost"], "no metric lost in these runs; there are loss"),
        ([str(run), "--out", str(tmp_path / "no" / "a.png")], "cannot write"),
    ]:
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
