"""Everything that an accelerator is asked for, in one run of under ten minutes on a bare machine with jax.

    python scripts/accelerator.py --train train.npz --val val.npz --out out                          # nine minutes
    python scripts/accelerator.py --train train.npz --val val.npz --out out --size tiny --minutes 4  # the rehearsal, any machine

Stages in order of worth, each a process of its own with a time limit, so that one that hangs or fails takes no other with it:

- agree: results of the device against its host's CPU: closed sets, losses, a sampled crystal, and the integers that decide a group;
- algebra: sets closed and composed a second;
- models: seconds for so many crystals of each model, first and second call;
- symmcd: SymmCD at its published size: seconds of an epoch of 27,136 crystals, memory at batch 512, largest batch, FLOP/s and bytes
  of a step;
- train: symop's geometry at `base` size with bfloat16 products for the rest of the time; stopped by SIGTERM, so it resumes
  elsewhere from its weights by `--config.train.init_from`.

OUT gets `results.json` (written again after each stage), `log.txt`, and of the training `params.npz`, `config.json`,
`versions.json`, `metrics.jsonl`: six files, each under 16 MiB. The exit code is 1 where a stage failed; the others' results are
there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("jax", "flax", "optax", "orbax.checkpoint", "e3nn_jax", "ml_collections", "numpy", "scipy", "tqdm")
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "patience": 4,  # a CPU compiles slowly
        "crystals": 4,
        "sets": 32,
        "batch": 8,
        "repeats": 1,
        "symmcd": "tiny",
        "train": "tiny",
        "models": ("symop",),
    },
    "base": {
        "patience": 1,
        "crystals": 500,
        "sets": 4096,
        "batch": 512,
        "repeats": 3,
        "symmcd": "paper",
        "train": "base",
        "models": ("symop", "symmcd", "wyckoff_transformer", "wyckoffdiff", "wyckoffaugen"),
    },
}
LIMITS = {"agree": 100, "algebra": 40, "models": 150, "symmcd": 90}
"""Seconds of each stage at most, of ten minutes; scaled to --minutes."""
CLOSING = 25
"""Seconds that the training is given to save when its time is over."""


# --- stages, each in a process of its own ---------------------------------------------------------------------------------------


def agree(args: argparse.Namespace) -> dict[str, Any]:
    """Device against CPU."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from symjax.data.dataset import CrystalDataset
    from symjax.data.structure_types import types_from_dataset
    from symjax.groups import close, pad, stack, standard_setting
    from symjax.models.symop.flow import process
    from symjax.models.symop.geometry.inputs import GeometryInputs
    from symjax.models.symop.geometry.sample import GeometrySampling, sample_geometry
    from symjax.models.symop.geometry.task import GeometryTask, diffusion_loss
    from symjax.models.symop.weights import load_geometry

    device, host = jax.devices()[0], jax.devices("cpu")[0]

    def both(run: Callable[[], Any]) -> tuple[Any, Any]:
        found = []
        for place in (device, host):
            with jax.default_device(place):
                found.append(jax.device_get(run()))
        return found[0], found[1]

    out: dict[str, Any] = {"device": device.device_kind, "host": host.device_kind}
    groups = [standard_setting(n) for n in range(1, 231)][:: 1 if args.size == "base" else 40]
    sets = stack([pad(one, 192) for one in groups])
    one, two = both(lambda: close(jax.tree.map(jnp.asarray, sets), method="tables").opset)
    same = [bool((a == b).all()) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)]
    out["closed sets equal"] = all(same)

    k = np.random.default_rng(0).normal(size=(256, 5)) * 0.3
    (W, _, _), (W2, _, _) = both(lambda: process.candidates(jnp.asarray(k, jnp.float32)))
    # of lattices without symmetry the order of equal defects is rounding; the sets of candidates are compared
    keys = [np.sort(x.reshape(len(x), -1, 9) @ 7 ** np.arange(9), 1) for x in (W, W2)]
    out["candidates of rotations equal"] = float((keys[0] == keys[1]).mean())

    weights = load_geometry()
    data = CrystalDataset.load(args.val).subset(np.arange(64))
    config = weights_config(weights)
    task = GeometryTask(config, data, None)
    part = task.buckets()[0].arrays
    part = jax.tree.map(lambda a: a[:16], part)
    inputs, targets = part
    assert isinstance(inputs, GeometryInputs)

    def loss() -> Any:
        return jax.jit(lambda p: diffusion_loss(p, weights.options, inputs, targets, jax.random.key(0))[0])(
            weights.params
        )

    ours, theirs = both(loss)
    out["loss"] = {
        "device": float(ours),
        "cpu": float(theirs),
        "relative": abs(float(ours - theirs)) / abs(float(theirs)),
    }

    types = types_from_dataset(data.subset(np.arange(8)))[0]
    sampler = GeometrySampling(num_steps=5)
    draw = lambda: sample_geometry(weights.params, weights.options, jax.random.key(1), types, sampler=sampler)
    (k1, x1), (k2, x2) = both(draw)
    away = np.abs((x1 - x2) - np.rint(x1 - x2)).max()
    out["sampled crystal, 5 steps"] = {"lattice": float(np.abs(k1 - k2).max()), "coordinates": float(away)}
    out["agrees"] = bool(
        out["closed sets equal"]
        and out["candidates of rotations equal"] > 0.999
        and out["loss"]["relative"] < 1e-3
        and max(out["sampled crystal, 5 steps"].values()) < 2e-2
    )
    return out


def weights_config(weights: Any) -> Any:
    """The configuration of geometry weights, as a task reads it."""
    import dataclasses

    from symjax.configs.symop import get_config

    config = get_config("small,part=geometry")
    config.model.geometry.update(dataclasses.asdict(weights.options))
    return config


def algebra(args: argparse.Namespace) -> dict[str, Any]:
    """Sets closed and composed a second."""
    import jax
    import jax.numpy as jnp

    from symjax.groups import close, compose_pairs, pad, stack, standard_setting

    num = SIZES[args.size]["sets"]
    sets = jax.tree.map(jnp.asarray, stack([pad(standard_setting(1 + i % 230), 192) for i in range(num)]))
    run = {"close": jax.jit(lambda s: close(s, method="tables").opset), "compose all pairs": jax.jit(compose_pairs)}
    return {name: timed(lambda f=f: f(sets), num) for name, f in run.items()}


def models(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds for crystals of each model, from its shipped weights; structure types where another part realises them."""
    from symjax import systems

    size, out = SIZES[args.size], {}
    for name in size["models"]:
        chosen = systems.system(name)
        more = {"steps": 3} if args.size == "tiny" and "steps" not in chosen.without_meaning else {}
        realise = None if chosen.draws_coordinates or name == "symop" else "none"
        seconds = []
        for seed in (0, 1):
            began = time.perf_counter()
            systems.generate(name, size["crystals"], seed=seed, batch_size=256, realise=realise, **more)
            seconds.append(round(time.perf_counter() - began, 3))
        out[name] = {"crystals": size["crystals"], "first, s": seconds[0], "then, s": seconds[1]}
        print(name, out[name], file=sys.stderr, flush=True)
    return out


def symmcd(args: argparse.Namespace) -> dict[str, Any]:
    """SymmCD at its published size."""
    import jax

    from experiments.symmcd_speed import EPOCH, set_up, step_times
    from symjax.data.dataset import CrystalDataset

    size = SIZES[args.size]
    setup = set_up(CrystalDataset.load(args.train), size["symmcd"], "orbits")
    batch, began = size["batch"], time.perf_counter()
    program = setup.compiled(batch)
    out: dict[str, Any] = {"batch": batch, "compiled in, s": time.perf_counter() - began}
    memory, half = setup.memory(batch), setup.memory(batch // 2)
    per = max((memory - half) / (batch - batch // 2), 1.0)
    held = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    out |= {"memory, GB": memory / 1e9, "largest batch": None if held is None else int(batch + (held - memory) / per)}
    seconds = step_times({"orbits": setup}, batch, size["repeats"])["orbits"]
    cost = program.cost_analysis() or {}
    cost = cost[0] if isinstance(cost, list) else cost
    out |= {"step, s": seconds, "epoch, s": EPOCH / batch * seconds, "crystals/s": batch / seconds}
    out |= {"TFLOP/s": cost.get("flops", 0.0) / seconds / 1e12, "GB/s": cost.get("bytes accessed", 0.0) / seconds / 1e9}
    return out


def timed(run: Callable[[], Any], num: int, repeats: int = 5) -> dict[str, float]:
    """First call, and the best of the others."""
    import jax

    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - began)
    return {"first, s": seconds[0], "then, s": min(seconds[1:]), "sets/s": num / min(seconds[1:])}


STAGES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "agree": agree,
    "algebra": algebra,
    "models": models,
    "symmcd": symmcd,
}


# --- the run --------------------------------------------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    """All stages, then the training until the time is over."""
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * args.minutes
    results: dict[str, Any] = {"size": args.size, "minutes": args.minutes, "stages": {}}
    with open(out / "log.txt", "w") as log:
        for name in STAGES:
            limit = min(
                LIMITS[name] * args.minutes / 10 * SIZES[args.size]["patience"],
                deadline - time.monotonic() - 2 * CLOSING,
            )
            results["stages"][name] = stage(name, args, limit, log)
            write(out, results)
        results["stages"]["train"] = train(args, deadline, log)
        write(out, results)
    print(json.dumps(results, indent=1))
    return int(any("failed" in one for one in results["stages"].values()))


def stage(name: str, args: argparse.Namespace, limit: float, log: Any) -> dict[str, Any]:
    """Result of one stage, or why there is none."""
    if limit < 5:
        return {"failed": "no time was left"}
    command = [sys.executable, __file__, "--stage", name, *command_line(args)]
    began = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, timeout=limit, env=environment(), text=True)
    except subprocess.TimeoutExpired:
        return {"failed": f"longer than {limit:.0f} s"}
    took = {"took, s": round(time.monotonic() - began, 1)}
    if done.returncode:
        return {"failed": f"exit code {done.returncode}; see log.txt"} | took
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if found.get("agrees") is False:
        found["failed"] = "device and CPU differ"
    return found | took


def train(args: argparse.Namespace, deadline: float, log: Any) -> dict[str, Any]:
    """Train until the deadline, and collect the weights."""
    limit = deadline - time.monotonic() - CLOSING
    if limit < 10:
        return {"failed": "no time was left"}
    out, work = Path(args.out), Path(args.out) / ".training"
    config = [f"--config={ROOT}/configs/symop.py:{SIZES[args.size]['train']},part=geometry"]
    config += [f"--config.data.train={args.train}", f"--config.data.val={args.val}", "--config.train.dtype=bfloat16"]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.train", *config, "--workdir", str(work)],
        stdout=log,
        stderr=log,
        env=environment(),
    )
    began = time.monotonic()
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(CLOSING)
        except subprocess.TimeoutExpired:
            process.kill()
            return {"failed": f"did not save within {CLOSING} s"}
    kept = [work / "weights" / name for name in ("params.npz", "config.json", "versions.json")] + [
        work / "metrics.jsonl"
    ]
    for path in kept:
        if path.exists():
            shutil.copy(path, out / path.name)
    lines = (work / "metrics.jsonl").read_text().splitlines() if (work / "metrics.jsonl").exists() else []
    shutil.rmtree(work, ignore_errors=True)
    found: dict[str, Any] = {"exit code": code, "took, s": round(time.monotonic() - began, 1)}
    if lines:
        found["last"] = json.loads(lines[-1])
    if code not in (0, 75) or not (out / "params.npz").exists():
        found["failed"] = "no weights; see log.txt"
    return found


def write(out: Path, results: dict[str, Any]) -> None:
    """`results.json`, whole or not at all."""
    part = out / ".results.json"
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(out / "results.json")


def command_line(args: argparse.Namespace) -> list[str]:
    """Options of a stage's process."""
    return ["--train", str(args.train), "--val", str(args.val), "--out", str(args.out), "--size", args.size]


def environment() -> dict[str, str]:
    """With this tree in front, and a CPU beside the accelerator."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def main(argv: list[str] | None = None) -> int:
    """Run; exit code 2 where something is missing before anything starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="prepared training crystals (symjax data prepare)")
    parser.add_argument("--val", required=True, help="prepared validation crystals")
    parser.add_argument("--out", required=True, help="folder for at most eight files")
    parser.add_argument("--size", choices=tuple(SIZES), default="base")
    parser.add_argument("--minutes", type=float, default=9.0, help="of everything (9)")
    parser.add_argument("--stage", choices=tuple(STAGES), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.stage:
        print(json.dumps(STAGES[args.stage](args)))
        return 0
    from importlib.util import find_spec

    if missing := [name for name in NEEDED if find_spec(name.partition(".")[0]) is None]:
        print(f"scripts/accelerator.py: error: these packages are missing: {', '.join(missing)}", file=sys.stderr)
        return 2
    if absent := [path for path in (args.train, args.val) if not Path(path).is_file()]:
        print(
            f"scripts/accelerator.py: error: {absent[0]}: no such file; symjax data prepare makes it", file=sys.stderr
        )
        return 2
    return run(args)


if __name__ == "__main__":
    sys.exit(main())
