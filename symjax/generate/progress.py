"""A progress bar for generation, which works in named stages."""

from __future__ import annotations

import sys
from typing import Any


class StageBar:
    """A progress bar for work in named stages; called with (stage, crystals finished since the last call).

    Args:
        num: crystals of a stage.
        show: whether to draw anything.
        stream: where to; None for stderr.
    """

    def __init__(self, num: int, show: bool, stream: Any = None):
        self.num, self.show, self.stream = num, show, stream or sys.stderr
        self.stage: str | None = None
        self.bar: Any = None

    def __enter__(self) -> StageBar:
        """Nothing is drawn before the first call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bar of the last stage."""
        self._close()

    def __call__(self, stage: str, done: int) -> None:
        """Advance, and start a new bar when the stage changes."""
        if not self.show:
            return
        if stage != self.stage:
            self._close()
            from tqdm import tqdm

            self.stage = stage
            self.bar = tqdm(total=self.num, desc=f"{stage:<24}", file=self.stream, unit="crystal", dynamic_ncols=True)
        self.bar.update(min(done, self.bar.total - self.bar.n))

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
