"""Memory and time of commands on very many crystals: sources far larger than a test's, made here.

Run: python -m benchmarks.many_crystals prepare [--rows 100000] [--workers 1]
     python -m benchmarks.many_crystals evaluate [--rows 50000] [--workers 1] [--metrics symmcd,lemat]

`prepare` treats a CSV of CIF texts with two atoms each, `evaluate` judges JSON lines with three atoms each, all different, against
the first 256 of them. The command runs as a user runs it, with nothing in a cache; its largest memory and that of its largest
worker are the system's own record (VmHWM), looked at ten times a second.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from symjax.elements import symbol

CIF = """data_{i}
_cell_length_a {a:.4f}
_cell_length_b {b:.4f}
_cell_length_c {c:.4f}
_cell_angle_alpha 90
_cell_angle_beta {beta:.3f}
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
A {first} 0 0 0
B {second} 0.5 0.5 0.5
"""


def make_csv(path: Path, num: int) -> None:
    """A CSV of different crystals of two elements."""
    rng = np.random.default_rng(0)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "formation_energy_per_atom", "cif"])
        for i in range(num):
            a, b, c = rng.uniform(4.5, 8.0, 3)
            first, second = (symbol(int(z)) for z in rng.choice(np.arange(3, 84), 2, replace=False))
            text = CIF.format(i=i, a=a, b=b, c=c, beta=rng.uniform(92, 110), first=first, second=second)
            writer.writerow([f"made-{i}", f"{rng.normal():.4f}", text])


def make_lines(path: Path, num: int) -> None:
    """JSON lines of different crystals of three elements."""
    rng = np.random.default_rng(1)
    places = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]
    with open(path, "w", encoding="utf-8") as stream:
        for _ in range(num):
            species = [symbol(int(z)) for z in rng.choice(np.arange(3, 84), 3, replace=False)]
            sites = [{"species": [{"element": e}], "abc": place} for e, place in zip(species, places, strict=True)]
            lattice = np.diag(rng.uniform(4.5, 8.0, 3).round(4)).tolist()
            stream.write(json.dumps({"lattice": {"matrix": lattice}, "sites": sites}) + "\n")


def run(command: list[str], folder: Path) -> dict[str, float]:
    """Run the command; seconds, seconds of all processors, and MiB of the largest of its processes and of their children."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([sys.executable, "-m", "symjax.cli.main", *command], cwd=folder)
    own = workers = 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            own = max(own, _most(process.pid))
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                for pid in (thread / "children").read_text().split():
                    workers = max(workers, _most(int(pid)))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"the command ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu_seconds": cpu, "own_mib": own / 1024, "worker_mib": workers / 1024}


def _most(pid: int) -> int:
    """Most KiB that a process has held so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def main() -> None:
    """Make the source, run the command, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("prepare", "evaluate"))
    parser.add_argument("--rows", type=int, help="default: 100000 to prepare, 50000 to evaluate")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--metrics", default="symmcd,lemat", help="of evaluate")
    parser.add_argument("--folder", type=Path, help="where to work, and to go on after a stop (a temporary folder)")
    args = parser.parse_args()
    workers = ["--workers", str(args.workers), "--quiet"]
    with tempfile.TemporaryDirectory() if args.folder is None else contextlib.nullcontext(args.folder) as place:
        folder = Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        if args.command == "prepare":
            make_csv(folder / "in.csv", rows := args.rows or 100_000)
            found = run(["data", "prepare", "in.csv", "--out", "out.npz", *workers], folder)
            report = json.loads((folder / "out.report.json").read_text())
            found |= {"accepted": report["accepted"], "source_mib": (folder / "in.csv").stat().st_size / 2**20}
        else:
            make_lines(folder / "in.jsonl", rows := args.rows or 50_000)
            with open(folder / "in.jsonl", encoding="utf-8") as stream:
                (folder / "real.jsonl").write_text("".join(stream.readline() for _ in range(256)))
            judged = ["in.jsonl", "-r", "real.jsonl", f"--metrics={args.metrics}", "--no-cache", "--out", "report"]
            found = run(["evaluate", *judged, *workers], folder)
            report = json.loads((folder / "report" / "report.json").read_text())
            found |= {"accepted": report["samples"]["num_usable"], "figures": len(report["figures"])}
    said = {"command": args.command, "rows": rows, "workers": args.workers, "cores": os.cpu_count()}
    print(json.dumps(said | {name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
