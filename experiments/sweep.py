"""Train over every combination of some fields of a configuration, one after another, with a table at the end.

    symjax sweep --config symop:tiny --workdir runs/sweep --over train.learning_rate=1e-3,3e-4 --over train.ema=0.99,0.999 \
        --config.data.train=train.npz --config.data.val=val.npz

Each combination is a run of its own in `workdir/NAME`, by `symjax train` with the fields as `--config.FIELD=VALUE`; what else is
given goes to every run. The same command goes on where it was stopped: a run that is finished is not made again. The table
(`sweep.json` in the work folder, and on screen) is sorted by the last validation loss, or the training loss without validation.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symjax.data.files import local_path, write_text
from symjax.errors import ConfigError, SymjaxError

TABLE = "sweep.json"


def fields(texts: Sequence[str]) -> dict[str, list[str]]:
    """Values of each field of ``train.learning_rate=1e-3,3e-4``; semicolons part values that hold commas.

    Raises:
        ConfigError: not written so, or a field stands twice.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.removeprefix("config.")
        parts = [part.strip() for part in values.split(";" if ";" in values else ",")]
        if not (name and equals and all(parts)):
            raise ConfigError(f"--over {text!r}: write field and values, as in train.learning_rate=1e-3,3e-4")
        if name in found:
            raise ConfigError(f"--over {name}: stands twice; give all its values in one")
        found[name] = parts
    if not found:
        raise ConfigError("--over is missing: the fields and values to train over (see --help)")
    return found


def runs(over: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Name of the work folder -> field -> value, of every combination in order."""
    made = {}
    for values in itertools.product(*over.values()):
        chosen = dict(zip(over, values, strict=True))
        name = ",".join(f"{field.rpartition('.')[2]}={value}" for field, value in chosen.items())
        made["".join(c if c.isalnum() or c in "=,.+-" else "_" for c in name)] = chosen
    return made


def split_line(argv: Sequence[str]) -> tuple[Path, list[str], list[str]]:
    """The work folder, the values of `--over`, and what goes to every run.

    Raises:
        ConfigError: no work folder, or `--over` without a value.
    """
    workdir, over, rest = None, [], []
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if option in ("--over", "--workdir"):
            given = value if equals else next(words, None)
            if not given:
                raise ConfigError(f"{option} needs a value")
            if option == "--over":
                over.append(given)
            else:
                workdir = local_path(given)
        else:
            rest.append(word)
    if workdir is None:
        raise ConfigError("--workdir is missing (see --help)")
    return workdir, over, rest


def result(folder: Path) -> dict[str, Any]:
    """How a run ended: state, step, last losses."""
    from symjax.train.metrics import METRICS, read

    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"state": "not started", "step": 0, "train_loss": None, "val_loss": None}
    rows = read(folder / METRICS) if (folder / METRICS).is_file() else []
    last = {split: next((r["loss"] for r in reversed(rows) if r["split"] == split), None) for split in ("train", "val")}
    return {
        "state": state.get("state"),
        "step": state.get("step"),
        "train_loss": last["train"],
        "val_loss": last["val"],
    }


def show(rows: Sequence[dict[str, Any]], over: Sequence[str]) -> None:
    """Print the table, the best first."""
    from symjax.cli.screen import Column, show_table, text

    named = [Column(field, [row["fields"][field] for row in rows]) for field in over]
    losses = [
        Column(name.replace("_", " "), [text(row[name], ".5g", "none") for row in rows])
        for name in ("val_loss", "train_loss")
    ]
    rest = [
        Column("step", [str(row["step"]) for row in rows], 1),
        Column("state", [str(row["state"]) for row in rows], 2, True),
    ]
    show_table(f"{len(rows)} runs", [*named, *losses, *rest])


def main(argv: Sequence[str] | None = None, *, name: str = "experiments.sweep") -> int:
    """Run all, print the table; 1 where a run failed, 2 on wrong input, 75 where one was stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or {"--help", "-h"} & set(argv):
        print(__doc__)
        return 0 if argv else 2
    try:
        workdir, texts, rest = split_line(argv)
        over = fields(texts)
        chosen = runs(over)
        code = 0
        for place, (run, values) in enumerate(chosen.items(), 1):
            folder = workdir / run
            if result(folder)["state"] not in ("finished", "ended early"):
                print(f"{name}: run {place} of {len(chosen)}: {run}", file=sys.stderr, flush=True)
                line = [*rest, *(f"--config.{field}={value}" for field, value in values.items()), f"--workdir={folder}"]
                done = subprocess.run([sys.executable, "-m", "symjax.experiments.train", *line], check=False).returncode
                code = max(code, 1 if done not in (0, 75) else done)
                if done in (75, 130):
                    print(f"{name}: stopped; the same command goes on", file=sys.stderr)
                    return done
        rows = [{"run": run, "fields": values, **result(workdir / run)} for run, values in chosen.items()]
        rows.sort(
            key=lambda row: next((v for v in (row["val_loss"], row["train_loss"]) if v is not None), float("inf"))
        )

        if workdir.is_dir():
            write_text(workdir / TABLE, json.dumps(rows, indent=1) + "\n")
        show(rows, list(over))
        return code
    except SymjaxError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
