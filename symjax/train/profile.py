"""A window of training steps recorded by `jax.profiler`, for TensorBoard's profile page or Perfetto."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax

from symjax.train.config import window

FOLDER = "profile"


class Profile:
    """Records steps of a window; dispatches are whole, so the first one that reaches it starts it.

    Args:
        text: see `symjax.train.config.window`.
        workdir: the trace goes into its folder `profile`.
        say: told where the trace is.
        active: False in processes that record nothing.
    """

    def __init__(self, text: str, workdir: Path, say: Callable[[str], object], *, active: bool):
        self._window, self._folder, self._say = window(text) if active else None, workdir / FOLDER, say
        self.running = False

    def before(self, step: int, num: int) -> None:
        """Start if the next `num` steps reach into the window."""
        if self._window is not None and not self.running and step + num > self._window[0] and step < self._window[1]:
            jax.profiler.start_trace(str(self._folder))
            self.running = True
            self._first = step

    def after(self, step: int, state: object) -> None:
        """Stop once the window lies behind."""
        if self.running and self._window is not None and step >= self._window[1]:
            self.close(step, state)

    def close(self, step: int, state: object) -> None:
        """Stop, after what runs on the device is done."""
        if not self.running:
            return
        jax.block_until_ready(state)
        jax.profiler.stop_trace()
        self.running, self._window = False, None
        self._say(
            f"steps {self._first} to {step} are recorded in {self._folder}; look at them by: tensorboard --logdir "
            f"{self._folder}"
        )
