"""The same program on one device, on eight, and in two processes; and what a signal does to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from jax.sharding import AbstractMesh
from train_helpers import ROOT, digests, finish, run, start

from symjax.train.mesh import DIVIDED_FROM, MODEL, divided
from symjax.train.metrics import read
from symjax.train.state import STOPPED, read_state


def losses(workdir, split="train"):
    return np.asarray([row["loss"] for row in read(workdir / "metrics.jsonl", split)])


@pytest.mark.slow
def test_one_and_eight_devices_and_moving_between_them(tmp_path):
    processes = [start(tmp_path / str(n), devices=n) for n in (1, 8)]
    for process in processes:
        code, _, err = finish(process)
        assert code == 0, err
    np.testing.assert_allclose(losses(tmp_path / "1"), losses(tmp_path / "8"), rtol=1e-4)
    np.testing.assert_allclose(losses(tmp_path / "1", "val"), losses(tmp_path / "8", "val"), rtol=1e-4)
    assert json.loads((tmp_path / "8" / "versions.json").read_text())["devices"].startswith("8 x")
    # what eight devices wrote goes on on one, and the other way round
    moved = [start(tmp_path / str(8 // n), "train.steps=60", devices=n) for n in (1, 8)]
    for process in moved:
        code, _, err = finish(process)
        assert code == 0 and "resumed from step 40" in err, err
    np.testing.assert_allclose(losses(tmp_path / "1"), losses(tmp_path / "8"), rtol=1e-4)
    assert len(losses(tmp_path / "1")) == 6


def test_signal_saves_and_the_rest_is_exact(tmp_path, capsys):
    """A program that is stopped; what goes on from there, in this process, is what an unbroken run gives."""
    many = ("train.steps=4000000", "train.log_every=10")
    process = start(tmp_path / "run", *many)
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(6000):  # ten minutes at most on a busy machine
        if metrics.exists() and metrics.stat().st_size:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == STOPPED and "Traceback" not in err, err
    assert "saved at step" in err
    assert read_state(tmp_path / "run")["state"] == "stopped" and read_state(tmp_path / "run")["reason"] == "SIGTERM"
    stopped = max(digests(tmp_path / "run"))
    assert f"saved at step {stopped}" in err and stopped % 10 == 0
    assert (tmp_path / "run" / "weights" / "params.npz").exists()
    run(tmp_path / "run", train__steps=stopped + 20)
    assert f"resumed from step {stopped}" in capsys.readouterr().err
    run(tmp_path / "whole", train__steps=stopped + 20)
    assert read_state(tmp_path / "run")["state"] == "finished"
    assert digests(tmp_path / "run")[stopped + 20] == digests(tmp_path / "whole")[stopped + 20]


@pytest.mark.slow
def test_two_processes_make_one_run(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = lambda i: (f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={i}")
    processes = [start(tmp_path / "two", devices=2, flags=flags(i)) for i in range(2)]
    ends = [finish(p) for p in processes]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert "toy: step 40" in ends[0][1] and "toy" not in ends[1][1]
    code, _, err = finish(start(tmp_path / "one"))
    assert code == 0, err
    np.testing.assert_allclose(losses(tmp_path / "one"), losses(tmp_path / "two"), rtol=1e-4)
    assert json.loads((tmp_path / "two" / "versions.json").read_text())["processes"] == 2
    code, _, err = finish(start(tmp_path / "two", "train.steps=60"))
    assert code == 0 and "resumed from step 40" in err, err


def test_what_is_divided_over_the_model_axis():
    mesh = AbstractMesh((2, 4), ("data", MODEL))
    shape = lambda *lengths: SimpleNamespace(shape=lengths)
    wide = DIVIDED_FROM
    shapes = {
        "wide": shape(3, wide),
        "long": shape(2 * wide, wide),
        "equal": shape(wide, wide),
        "odd": shape(wide + 1, 4),
        "none": shape(wide + 1, 3),
        "small": shape(4, 4),
        "scalar": shape(),
    }
    specs = {name: tuple(sharding.spec) for name, sharding in divided(shapes, mesh).items()}
    assert specs == {
        "wide": (None, MODEL),
        "long": (MODEL,),
        "equal": (MODEL,),
        "odd": (None, MODEL),
        "none": (),
        "small": (),
        "scalar": (),
    }
    assert all(tuple(s.spec) == () for s in divided(shapes, AbstractMesh((8, 1), ("data", MODEL))).values())


def test_examples_that_stay_on_the_hosts_give_the_same_run(tmp_path):
    run(tmp_path / "devices")
    run(tmp_path / "hosts", train__examples_on="hosts")
    for split in ("train", "val"):
        np.testing.assert_allclose(
            losses(tmp_path / "devices", split), losses(tmp_path / "hosts", split), rtol=1e-6, err_msg=split
        )


DIVIDED = """
import sys
from pathlib import Path
import jax, numpy as np
from symjax.train import mesh as meshes
meshes.DIVIDED_FROM = 32  # the toy is small
from train_helpers import digests, run
from symjax.train.metrics import read

folder = Path(sys.argv[1])
losses = lambda name, split: np.asarray([row["loss"] for row in read(folder / name / "metrics.jsonl", split)])
run(folder / "whole", model__width=64)
for name, more in {"divided": {}, "hosts": {"train__examples_on": "hosts"}}.items():
    result = run(folder / name, model__width=64, train__model_axis=4, **more)
    weights = [leaf for leaf in jax.tree.leaves(result.state) if leaf.shape == (64, 1)]
    assert len(weights) == 4, len(weights)  # parameters, their average, both of Adam's moments
    for leaf in weights:
        assert leaf.sharding.spec == jax.P("model"), leaf.sharding
        assert {shard.data.shape for shard in leaf.addressable_shards} == {(16, 1)}
    for split in ("train", "val"):
        np.testing.assert_allclose(losses("whole", split), losses(name, split), rtol=1e-5)
# a checkpoint of divided parameters goes on with whole ones, and the other way round
run(folder / "whole", model__width=64, train__steps=60, train__model_axis=2)
run(folder / "divided", model__width=64, train__steps=60)
assert max(digests(folder / "divided")) == 60
np.testing.assert_allclose(losses("whole", "train"), losses("divided", "train"), rtol=1e-5)
try:
    run(folder / "odd", train__model_axis=3)
except Exception as error:
    print(type(error).__name__, error)
"""


def script(text, *arguments, devices):
    """A program on some simulated devices."""
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'train'}"}
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.Popen(
        command, env=os.environ | flags | paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_parameters_divided_over_the_model_axis_train_as_whole_ones(tmp_path):
    """Eight devices as 8 x 1 and as 2 x 4 (data x model): the same losses, and a device holds a fourth."""
    code, out, err = finish(script(DIVIDED, tmp_path, devices=8))
    assert code == 0, err
    assert out.strip().endswith("ConfigError config.train.model_axis = 3: does not divide 8 devices"), out


READS = """
import sys
import jax, numpy as np
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]), initialization_timeout=120)
from symjax.train import mesh as meshes

class Held:
    shape, read = (1000, 3), set()
    rows = np.arange(3000.0).reshape(1000, 3)

    def __getitem__(self, index):
        self.read |= set(np.ravel(index).tolist())
        return self.rows[index]

indices = np.random.default_rng(0).permutation(1000)[:80].reshape(5, 16)
mesh = meshes.make_mesh()
sent = meshes.send({"x": Held()}, indices, mesh)["x"]
np.testing.assert_array_equal(meshes.whole(sent), Held.rows[indices])
print(sorted(Held.read) == sorted(indices[:, 8 * int(sys.argv[2]):][:, :8].ravel().tolist()), len(Held.read))
"""


@pytest.mark.slow
def test_each_host_reads_the_rows_of_its_own_devices():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [script(READS, f"localhost:{port}", i, devices=2) for i in range(2)]
    for code, out, err in [finish(process) for process in processes]:
        assert code == 0, err
        assert out.splitlines()[-1] == "True 40", out  # Gloo prints before


@pytest.mark.slow
def test_two_processes_with_divided_parameters(tmp_path):
    """The model axis over both hosts: a checkpoint and the weights hold whole parameters."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = lambda i: (f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={i}")
    wide = f"model.width={DIVIDED_FROM}"
    more = (wide, "train.model_axis=4", "train.examples_on=hosts")
    for process in [start(tmp_path / "two", *more, devices=2, flags=flags(i)) for i in range(2)]:
        code, _, err = finish(process)
        assert code == 0, err
    assert finish(start(tmp_path / "one", wide))[0] == 0
    np.testing.assert_allclose(losses(tmp_path / "one"), losses(tmp_path / "two"), rtol=1e-4)
    code, _, err = finish(start(tmp_path / "two", wide, "train.steps=60"))
    assert code == 0 and "resumed from step 40" in err, err
