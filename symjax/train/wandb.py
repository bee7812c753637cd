"""Metrics to Weights & Biases beside the files, where a project is named (extra `wandb`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from symjax.errors import SymjaxError
from symjax.versions import install_hint


class Wandb:
    """One run of a project; resumed under the id that the work folder keeps.

    Args:
        project: its name; empty for none.
        folder: the work folder.
        config: the resolved configuration, flat.
        active: False in processes that write nothing.

    Raises:
        SymjaxError: the package is not installed, or no run can be started.
    """

    FILE = "wandb.id"

    def __init__(self, project: str, folder: Path, config: Mapping[str, Any], *, active: bool):
        self._run: Any = None
        if not project or not active:
            return
        try:
            import wandb
        except ImportError as error:
            raise SymjaxError(
                f"config.train.wandb = {project!r} needs the package wandb: {install_hint('wandb')}"
            ) from error
        kept = folder / self.FILE
        known = kept.read_text(encoding="utf-8").strip() if kept.is_file() else None
        try:
            self._run = wandb.init(
                project=project, dir=str(folder), config=dict(config), id=known, resume="allow", name=folder.name
            )
        except Exception as error:  # its own types are many
            raise SymjaxError(f"config.train.wandb = {project!r}: no run can be started ({error})") from error
        kept.write_text(f"{self._run.id}\n", encoding="utf-8")

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """One line of metrics; what is not finite is left out."""
        if self._run is not None:
            finite = {f"{split}/{name}": float(value) for name, value in values.items() if math.isfinite(value)}
            self._run.log(finite, step=step)

    def close(self) -> None:
        """End the run."""
        if self._run is not None:
            self._run.finish()
