"""`symjax generate --append`: more crystals beside those of an earlier run into the same folder.

Part of the command `generate` (not a command of its own).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset

SUMS = ("draws", "missing", "seconds")
"""Numbers of an index that add up."""
APPENDED = "appended"
"""Key of an index: the options of later runs, one after another."""


class Earlier(NamedTuple):
    """What lies in the folder.

    Attributes:
        folder: the folder.
        content: its index.
        dataset: its crystals.
    """

    folder: Path
    content: dict[str, Any]
    dataset: CrystalDataset

    @property
    def number(self) -> int:
        """How many crystals there are."""
        return len(self.dataset)


def earlier(folder: Path, args: argparse.Namespace) -> Earlier | None:
    """The run to which this one is added; None where the folder holds none.

    Raises:
        InputError: the folder holds something else, other files than this run would write, or the very same crystals.
    """
    from symjax.cli.output import INDEX
    from symjax.data.dataset import load

    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        good = index.get("program") == "symjax generate" and isinstance(index["crystals"], list)
    except (ValueError, KeyError, AttributeError):
        good = False
    if not good or not (folder / "crystals.npz").is_file():
        raise InputError(f"--append: {folder} holds no crystals of `symjax generate`; give another --out")
    before = [index["options"], *index.get(APPENDED, [])]
    if index["options"].get("format") != args.format:
        raise InputError(
            f"--append: the crystals in {folder} are {index['options'].get('format')}; give --format "
            f"{index['options'].get('format')}"
        )
    free = (
        "num",
        "batch",
        "append",
        "overwrite",
        "no_picture",
        "relax",
        "workers",
        "time_limit",
        "memory_limit",
        "scheduler",
    )
    same = lambda options: {k: v for k, v in options.items() if k not in free}
    now = same(json.loads(json.dumps(asked(args))))
    if any(same(options) == now for options in before):
        raise InputError(f"--append: equal seeds give equal crystals; {folder} has those of --seed {args.seed}")
    return Earlier(folder, index, load(folder / "crystals.npz"))


def asked(args: argparse.Namespace) -> dict[str, Any]:
    """The options as the index keeps them."""
    return {name: value for name, value in vars(args).items() if name not in ("command", "debug", "quiet", "out")}


def renumbered(dataset: CrystalDataset, start: int) -> CrystalDataset:
    """The crystals with ids that go on from `start`."""
    import numpy as np

    names = [str(name).rpartition("-")[0] for name in dataset.ids]
    return dataclasses.replace(dataset, ids=np.array([f"{name}-{start + i:05d}" for i, name in enumerate(names)]))


def merged(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """One index of both runs: options of the first, those of later ones in `appended`, numbers added up."""
    whole = before | {name: now[name] for name in now if name not in ("options", "crystals", "files")}
    whole |= {name: before[name] + now[name] for name in SUMS if name in before and name in now}
    if "failed_draws" in before and "failed_draws" in now:
        reasons = {**before["failed_draws"]}
        for reason, times in now["failed_draws"].items():
            reasons[reason] = reasons.get(reason, 0) + times
        whole["failed_draws"] = reasons
    whole["unrealised"] = [*before.get("unrealised", []), *now.get("unrealised", [])]
    whole["crystals"] = [*before["crystals"], *now["crystals"]]
    whole["files"] = sorted({*before["files"], *now["files"]})
    whole[APPENDED] = [*before.get(APPENDED, []), now["options"]]
    return whole


def prepend(stage: Path, folder: Path, kind: str) -> None:
    """Put what the earlier run wrote into files of many crystals in front of what this one did."""
    for name in ("crystals.extxyz", "genes.jsonl"):
        if (stage / name).is_file() and (folder / name).is_file():
            (stage / name).write_text((folder / name).read_text() + (stage / name).read_text())
    if kind == "json":
        both = [json.loads((place / "crystals.json").read_text()) for place in (folder, stage)]
        (stage / "crystals.json").write_text(json.dumps([*both[0], *both[1]]) + "\n")
