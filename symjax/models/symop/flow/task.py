"""The operation flow as a training task ('symop_flow'); see `symjax.train.interface`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import DataError
from symjax.models.symop.flow.network import FlowNet, options_from_config
from symjax.models.symop.flow.objective import flow_loss
from symjax.models.symop.flow.representation import ORDERS, SIZES, reduced_sets
from symjax.train.interface import Bucket, BucketedTask

Array = Any


_LARGE_SHARE = 0.5
"""How often sets of 48 are seen, compared with smaller ones: their steps are the longest, their rotations the easiest."""


def batch_of(arrays: dict[str, np.ndarray], rows: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Rows of `reduced_sets`, sets padded to `size`: z (b, m), order (b,) index of `ORDERS`, k (b, 5), W, w and mask (b, n)."""
    group = arrays["group"][rows]
    order = arrays["order"][rows]
    return {
        "z": arrays["z"][rows],
        "order": np.searchsorted(ORDERS, order).astype(np.int32),
        "k": arrays["k"][rows],
        "W": arrays["W"][group, :size],
        "w": arrays["w"][group, :size],
        "mask": np.arange(size) < order[:, None],
    }


class FlowTask(BucketedTask):
    """What the training loop needs."""

    name = "symop_flow"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None = None):
        """Makes the sets of every crystal in its Niggli basis.

        Raises:
          ConfigError: unknown option.
          DataError: data that the model cannot represent.
        """
        self.options = options_from_config(config.model.flow)
        if len(train) == 0:
            raise DataError("the training data is empty")
        self._train = self._made(train)
        self._val = self._made(val) if val is not None and len(val) else []

    def _made(self, data: CrystalDataset) -> list[Bucket]:
        arrays = reduced_sets(data)
        size = np.asarray(SIZES)[np.searchsorted(SIZES, arrays["order"])]
        everyone = {
            "z": arrays["z"],
            "order": np.searchsorted(ORDERS, arrays["order"]).astype(np.int32),
            "k": arrays["k"],
        }
        shuffled, done, made = np.random.default_rng(0).permutation(len(size)), 0, []
        for n in SIZES:
            rows = np.flatnonzero(size == n)
            if len(rows):
                batch = int(np.clip(self.options.tokens // n, self.options.smallest, self.options.largest))
                batch = min(batch, len(rows))
                others = {name: values[shuffled[done : done + len(rows)]] for name, values in everyone.items()}
                share = len(rows) / batch * (_LARGE_SHARE if n == SIZES[-1] else 1.0)
                made.append(Bucket({**batch_of(arrays, rows, n), "any": others}, share, batch))
                done += len(rows)
        return made

    @property
    def net(self) -> FlowNet:
        """The network."""
        return FlowNet(self.options)

    def init(self, key: Array, example_batch: dict[str, Array]) -> Any:
        """Parameters."""
        return init_params(self.net, key, example_batch["z"][:2], example_batch["mask"][:2])

    def loss(self, params: Any, batch: dict[str, Array], key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """See `symjax.models.symop.flow.objective.flow_loss`."""
        return flow_loss(self.net, params, batch, key, train)


def init_params(net: FlowNet, key: Array, z: Array, mask: Array) -> Any:
    """Fresh parameters; shapes do not depend on the size of the sets."""

    def everything(module: FlowNet) -> None:
        b, n = mask.shape
        module.order_logits(z)
        cond = module.condition(z, jnp.zeros(b, jnp.int32))
        k, tau = jnp.zeros((b, 5)), jnp.full(b, 0.5)
        W = jnp.broadcast_to(jnp.eye(3, dtype=jnp.int32), (b, n, 3, 3))
        module.lattice_estimate(k, tau, cond)
        module.rotation_estimate(W.astype(jnp.float32), k, tau, cond, mask)
        module.translation_logits(jnp.ones((b, n, 3), jnp.complex64), W, k, tau, cond, mask)

    return jax.jit(lambda key: net.init(key, method=everything))(key)
