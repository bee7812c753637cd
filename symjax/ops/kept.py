"""Results of functions of single operations, kept by operation: what is asked for again and again is spelled once (host)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from symjax.ops.checks import OperationError
from symjax.ops.types import Op

LIMIT = 1 << 16


class Kept:
    """A memory of at most `LIMIT` operations (emptied when it is full)."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, Hashable], Any] = {}

    def of(self, op: Op, more: Hashable, make: Callable[[Op], list]) -> list:
        """The results for operations (n,), those not known yet made at once.

        Args:
            op: (n, 3, 3) and (n, 3) integers.
            more: what else the results depend on.
            make: from operations (m,) to m results.

        Raises:
            OperationError: from ``make``, about the operations as they were given.
        """
        rows = np.concatenate([op.W.reshape(-1, 9), op.w], axis=1, dtype=np.int64, casting="unsafe")
        keys = [(row.tobytes(), more) for row in rows]
        missing = [i for i, key in enumerate(keys) if key not in self._known]
        if missing:
            if len(self._known) + len(missing) > LIMIT:
                self._known.clear()
                missing = list(range(len(keys)))
            try:
                made = make(Op(op.W[missing], op.w[missing]))
            except OperationError:
                make(op)  # names the operation by its place among those given
                raise
            if len(made) > LIMIT:
                return made
            self._known.update(zip((keys[i] for i in missing), made, strict=True))
        return [self._known[key] for key in keys]
