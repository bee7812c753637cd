"""Reports of the weights that come with the package: what `symjax tables --shipped` sets a new row beside.

  python -m experiments.shipped report/report.json --model symop --part operations --part geometry

keeps the figures of a report (its distributions stay behind) in `experiments/shipped_reports/MODEL.json`, with the hash of the
weights that it is of. A report of other weights than those in the package says so in its row.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symjax.data.files import hash_file, write_text
from symjax.errors import InputError, SymjaxError
from symjax.train.weights import PARAMS, shipped_weights

from .reports import Report, read

FOLDER = Path(__file__).with_name("shipped_reports")
KEPT = ("program", "symjax", "created", "seconds", "hardware", "options", "figures", "skipped", "heat_map")
SETS = ("samples", "reference", "train")
OF_SETS = ("source", "num", "num_usable", "sha256", "draws", "failed_draws", "asked")
WEIGHTS = "weights"
"""Key of a kept report: files of parameters, relative to the model's folder, and their hashes."""


def paths() -> list[Path]:
    """The reports in the package, by model."""
    return sorted(FOLDER.glob("*.json"))


def hashes(model: str, parts: Sequence[str] = ()) -> dict[str, str]:
    """File of parameters -> SHA-256, of the weights in the package; of some parts of a model, or of all.

    Raises:
        InputError: there are none.
    """
    folder = shipped_weights(model)
    found = [folder / part / PARAMS for part in parts] if parts else sorted(folder.rglob(PARAMS))
    if not found or not all(path.is_file() for path in found):
        raise InputError(f"no such weights in {folder}: {', '.join(parts) or PARAMS}")
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in found}


def outdated(report: dict[str, Any], model: str) -> str:
    """What is to be said of a kept report whose weights are not those in the package; empty if they are."""
    kept = report.get(WEIGHTS)
    folder = shipped_weights(model)
    same = isinstance(kept, dict) and all(
        (folder / name).is_file() and hash_file(folder / name) == value for name, value in kept.items()
    )
    return "" if same else "of earlier weights than those in the package"


def keep(path: str | Path, model: str, parts: Sequence[str] = ()) -> Path:
    """Put a report of the package's weights into the package.

    Raises:
        InputError: it cannot be read, is no report, or there are no such weights.
    """
    if not isinstance(read(path), Report):
        raise InputError(f"{path}: rows of an experiment, not a report of `symjax evaluate`")
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    small = {name: content[name] for name in KEPT if name in content}
    for name in SETS:
        if isinstance(content.get(name), dict):
            small[name] = {key: content[name][key] for key in OF_SETS if key in content[name]}
            small[name]["source"] = "/".join(Path(str(small[name].get("source", ""))).parts[-2:])
    small[WEIGHTS] = hashes(model, parts)
    target = FOLDER / f"{model}.json"
    FOLDER.mkdir(exist_ok=True)
    write_text(target, json.dumps(small, indent=1, sort_keys=True) + "\n")
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Keep a report."""
    parser = argparse.ArgumentParser(prog="experiments.shipped", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("report", metavar="FILE", help="report.json of `symjax evaluate` or `experiments.report`")
    parser.add_argument("--model", required=True, help="folder of symjax/weights that the samples were drawn from")
    parser.add_argument("--part", action="append", default=[], help="part of the model's weights that they used (all)")
    args = parser.parse_args(argv)
    try:
        print(keep(args.report, args.model, args.part))
    except SymjaxError as error:
        print(f"experiments.shipped: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
