"""How processes of a run find each other, from what their environment says; and what becomes of those that do not fit together."""

import os
import re
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
from train_helpers import ROOT, digests, finish, start

from symjax.errors import SymjaxError
from symjax.train import hosts
from symjax.train.hosts import announced
from symjax.train.metrics import read

SLURM = {"SLURM_JOB_ID": "1234", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
STEP = {"SLURM_STEP_NODELIST": "localhost"}  # what srun adds
SAID = [
    ({}, None),
    (SLURM, ("SLURM", 2)),
    (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, ("SLURM", 1)),
    ({"SLURM_JOB_ID": "1234"}, None),
    ({"OMPI_COMM_WORLD_SIZE": "3"}, ("Open MPI", 3)),
    ({"TPU_WORKER_HOSTNAMES": "a,b,c,d"}, ("TPU", 4)),
    ({"TPU_WORKER_HOSTNAMES": "a,b", "MEGASCALE_NUM_SLICES": "4"}, ("TPU", 8)),
    ({"TPU_WORKER_HOSTNAMES": "localhost"}, ("TPU", 1)),
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}, ("Kubernetes", None)),
]


@pytest.mark.parametrize("environ, found", SAID)
def test_what_the_environment_says(environ, found):
    said = announced(environ)
    assert (said and (said.by, said.num)) == found


@pytest.fixture
def environ(monkeypatch):
    """Set variables in place of all that a scheduler may have set; JAX is not to be joined for good."""

    def set_all(values):
        for name in [
            n for n in os.environ if n.startswith(("SLURM_", "OMPI_", "TPU_", "KUBERNETES_", "JOB_COMPLETION"))
        ]:
            monkeypatch.delenv(name)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize("values", [SLURM, {"OMPI_COMM_WORLD_SIZE": "2"}, {"TPU_WORKER_HOSTNAMES": "a,b"}])
def test_one_of_several_never_trains_alone_in_silence(environ, values):
    """Started without srun, or by an Open MPI that JAX cannot read: an error that says how it is done."""
    environ(values)
    with pytest.raises(SymjaxError, match=r"is one of several .*2|a,b.*--num_processes=1 to train alone"):
        hosts.connect(seconds=1)
    hosts.connect(num_processes=1)  # alone on purpose


def test_alone_where_nobody_else_is(environ):
    environ({})
    hosts.connect()
    environ(SLURM | STEP | {"SLURM_NTASKS": "1"})
    hosts.connect()
    for wrong in ({"num_processes": 2}, {"process_id": 1}):
        environ({})
        with pytest.raises(SymjaxError, match="need --coordinator"):
            hosts.connect(**wrong)


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.mark.slow
def test_two_processes_under_slurm(tmp_path):
    """Started as srun starts them, without an option: one run, with the losses of one process on the same number of devices."""
    job = 4096 * 10 + free_port() % 4096  # JAX takes its port from this number

    def begin(i):
        own = SLURM | STEP | {"SLURM_JOB_ID": str(job), "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}
        return start(tmp_path / "two", devices=2, environ=own)

    ends = [finish(process) for process in [begin(0), begin(1)]]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert finish(start(tmp_path / "one", devices=4))[0] == 0
    one, two = (np.asarray([row["loss"] for row in read(tmp_path / n / "metrics.jsonl")]) for n in ("one", "two"))
    np.testing.assert_allclose(one, two, rtol=1e-4)


def pair(folder, port, options=((), ()), devices=(2, 2), more=()):
    flags = lambda i: (f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={i}", "--join_seconds=60")
    return [start(folder, *options[i], *more, devices=devices[i], flags=flags(i)) for i in range(2)]


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("what", ["devices", "configuration"])
def test_uneven_hosts_are_refused(tmp_path, what):
    """Hosts with other numbers of devices, or with other options: both end in words, and nothing is trained."""
    uneven = {"devices": (1, 3)} if what == "devices" else {"options": ((), ("train.seed=5",))}
    for code, _, err in [finish(process) for process in pair(tmp_path / "run", free_port(), **uneven)]:
        last = err.strip().splitlines()[-1]
        assert code == 2 and "Traceback" not in err, err
        says = (
            r"numbers of devices \(1 on host 0, 3 on host 1\)" if what == "devices" else r"in configuration \(hosts 1\)"
        )
        assert re.search(says, last), err
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.faults
def test_one_host_stands_still_then_is_killed(tmp_path):
    """A host that stops for a while costs time only. One that is killed ends the other; the same command goes on, bit for bit."""
    long = ("train.steps=4000000", "train.checkpoint_every=20")
    both = pair(tmp_path / "run", free_port(), more=long)
    metrics = tmp_path / "run" / "metrics.jsonl"
    wait_for = lambda num: [time.sleep(0.2) for _ in range(3000) if not metrics.exists() or len(read(metrics)) < num]
    wait_for(3)
    both[1].send_signal(signal.SIGSTOP)
    time.sleep(10)
    both[1].send_signal(signal.SIGCONT)
    wait_for(len(read(metrics)) + 5)
    both[1].kill()
    assert finish(both[0])[0] not in (0, 2)
    finish(both[1])
    last = max(digests(tmp_path / "run"))
    for folder in ("run", "whole"):
        again = pair(tmp_path / folder, free_port(), more=(f"train.steps={last + 20}",))
        assert [finish(process)[0] for process in again] == [0, 0]
    assert digests(tmp_path / "run")[last + 20] == digests(tmp_path / "whole")[last + 20]


@pytest.mark.slow
def test_launch_by_slurm(tmp_path):
    """launch/slurm.sh with an srun that starts two processes here: they train together; a signal ends in a requeue."""
    (tmp_path / "bin").mkdir()
    srun = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
for i in 0 1; do
    SLURM_PROCID=$i SLURM_LOCALID=$i SLURM_STEP_NODELIST=localhost "$@" & pids+=($!)
done
echo "${pids[@]}" > "$SCRATCH/steps"
code=0
for pid in "${pids[@]}"; do
    wait "$pid"; c=$?
    ((c > code)) && code=$c
done
exit $code
"""
    for name, text in {"srun": srun, "scontrol": f"#!/usr/bin/env bash\necho $@ >> {tmp_path}/asked\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    toy = f"{os.sys.executable} {ROOT}/tests/train/toy_task.py"
    own = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(4096 * 10 + free_port() % 4096),
        "SLURM_NTASKS": "2",
        "SYMJAX": toy,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "SCRATCH": str(tmp_path),
        "STAGE": str(ROOT / "README.md"),
    }
    options = [f"--config={ROOT}/configs/toy.py", f"--workdir={tmp_path}/run", "--config.train.log_every=10"]
    command = ["bash", str(ROOT / "launch" / "slurm.sh"), *options, "--config.train.steps=4000000"]
    log = open(tmp_path / "log", "w")  # noqa: SIM115 - as long as the process
    process = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log, start_new_session=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(3000):
        if (metrics.exists() and metrics.stat().st_size) or process.poll() is not None:
            break
        time.sleep(0.2)
    for pid in (tmp_path / "steps").read_text().split():  # as SLURM does: the steps get the signal, not the script
        os.kill(int(pid), signal.SIGTERM)
    assert process.wait(600) == 75, (tmp_path / "log").read_text()
    assert (tmp_path / "asked").read_text() == f"requeue {own['SLURM_JOB_ID']}\n"
    assert (tmp_path / f"symjax-{own['SLURM_JOB_ID']}" / "README.md").exists()
