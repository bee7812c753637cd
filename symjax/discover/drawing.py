"""Crystals drawn in pieces of a fixed number, each kept on disk as soon as it is drawn.

Piece c has a seed of its own (that of the run for the first piece), so which crystals come out depends on the seed and not on
`--num`, nor on where an earlier run was stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from symjax import systems
from symjax.data.dataset import CrystalDataset, joined, load
from symjax.data.files import write_text
from symjax.errors import InputError, SymjaxError
from symjax.generate.request import Request
from symjax.generate.system import Progress, Settings

PIECE = 8
"""Crystals drawn together: what a kill can cost while crystals are drawn (they come out the same when drawn again)."""


@dataclasses.dataclass(frozen=True)
class Source:
    """How crystals are drawn; see `symjax.systems.generate`."""

    model: str = "symop"
    weights: str | None = None
    request: Request = dataclasses.field(default_factory=Request)
    settings: Settings = dataclasses.field(default_factory=Settings)
    realise: str | None = None
    min_ratio: float = 0.6


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What was drawn.

    Attributes:
        dataset: the crystals; ids say which piece and which crystal of it.
        asked: how many were asked for.
        draws: how many draws it took.
        reasons: why draws or pieces gave nothing.
    """

    dataset: CrystalDataset
    asked: int
    draws: int
    reasons: dict[str, int]


def seed_of(seed: int, piece: int) -> int:
    """Seed of a piece; of the first one the run's own, so that it holds what `symjax generate` draws."""
    if piece == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{piece}".encode()).digest()[:8], "little") >> 1


def draw(source: Source, num: int, state: Path, progress: Progress | None = None) -> Drawn:
    """Draw crystals, or read those that an earlier run left.

    Args:
        source: how.
        num: how many.
        state: folder of the pieces.
        progress: told what is finished.

    Raises:
        InputError: the request cannot be met.
        SymjaxError: no piece gave any crystal.
    """
    parts: list[CrystalDataset] = []
    reasons: dict[str, int] = {}
    draws = 0
    weights: Any = None
    for piece in range(-(-num // PIECE)):
        count = min(PIECE, num - piece * PIECE)
        if not (state / _name(piece, "json")).is_file():
            weights = systems.system(source.model).load(source.weights) if weights is None else weights
            _draw_piece(source, piece, state, weights, progress)
        elif progress is not None:
            progress("drawn before", count)
        told = json.loads((state / _name(piece, "json")).read_text(encoding="utf-8"))
        draws += told["draws"]
        for reason, times in told["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + times
        if told["crystals"]:
            part = load(state / _name(piece, "npz"))
            parts.append(part.subset(range(min(count, len(part)))))
    if not parts:
        why = ", ".join(f"{reason}: {times}" for reason, times in reasons.items())
        raise SymjaxError(f"none of {num} crystals came out ({why})")
    return Drawn(joined(parts), num, draws, reasons)


def _draw_piece(
    source: Source, piece: int, state: Path, weights: Any, progress: Callable[[str, int], object] | None
) -> None:
    """Draw one whole piece and write it; the JSON goes last, so a piece that has one is whole."""
    settings = dataclasses.replace(
        source.settings, seed=seed_of(source.settings.seed, piece), batch_size=PIECE, progress=progress
    )
    try:
        made = systems.generate(
            source.model,
            PIECE,
            weights=weights,
            request=source.request,
            settings=settings,
            realise=source.realise,
            min_ratio=source.min_ratio,
        )
    except InputError:
        raise
    except SymjaxError as error:  # nothing in this piece; another may have something
        told: dict[str, Any] = {"crystals": 0, "draws": PIECE, "reasons": {str(error): PIECE}}
    else:
        assert made.dataset is not None  # --realise none is refused
        ids = [f"{source.model}-{piece:04d}-{row}" for row in range(len(made.dataset))]
        dataclasses.replace(made.dataset, ids=np.array(ids)).save(state / _name(piece, "npz"))
        told = {"crystals": len(made.dataset), "draws": made.attempts, "reasons": dict(made.failed)}
    write_text(state / _name(piece, "json"), json.dumps(told) + "\n")


def _name(piece: int, kind: str) -> str:
    return f"drawn-{piece:04d}.{kind}"
