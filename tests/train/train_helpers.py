"""Helpers of the training tests: a small configuration, runs in this process, and runs as programs of their own."""

import os
import subprocess
import sys
from pathlib import Path

import toy_task

from configs import toy
from symjax.train.checkpoints import Checkpoints
from symjax.train.config import apply
from symjax.train.loop import Trainer

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("toy_task.py")
SHORT = {
    "train.steps": 40,
    "train.steps_per_dispatch": 10,
    "train.checkpoint_every": 20,
    "train.eval_every": 20,
    "train.log_every": 10,
}


def config(**values):
    """The toy configuration, shortened; `train__steps=3` sets train.steps."""
    return apply(toy.get_config(), {**SHORT, **{k.replace("__", "."): v for k, v in values.items()}})


def run(workdir, **values):
    c = config(**values)
    return Trainer(toy_task.ToyTask(c), c, workdir).run()


def digests(workdir):
    """Checksum of the state in every checkpoint: equal numbers mean equal bits."""
    with Checkpoints(Path(workdir) / "checkpoints", 9) as checkpoints:
        return {step: checkpoints.record(step)["digest"] for step in checkpoints.steps()}


def start(workdir, *options, devices=1, flags=(), longest_file=0, environ=None):
    """Start the training program on the toy task."""
    environment = (
        os.environ
        | (environ or {})
        | {
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
            "TOY_LONGEST_FILE": str(longest_file),
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}",
        }
    )
    values = [f"--config.{k}={v}" for k, v in SHORT.items()] + [f"--config.{o}" for o in options]
    command = [
        sys.executable,
        str(PROGRAM),
        f"--config={ROOT / 'configs' / 'toy.py'}",
        f"--workdir={workdir}",
        *values,
        *flags,
    ]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process, timeout=600):
    """Exit code, stdout and stderr of a program that was started."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err
