"""The optimizer step as a pure function, and the programs that run many steps, or a validation, in one dispatch.

State = step, params, ema, opt_state, root key. Everything random in step i comes from fold_in(fold_in(root, purpose), i), so
a run is a function of its configuration and data alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array
from jax.sharding import Mesh

from symjax.errors import SymjaxError
from symjax.train.interface import PyTree, Task
from symjax.train.mesh import Meshed, replicated, spread
from symjax.train.parameters import merge, scale_by_rates, split
from symjax.train.plateau import scale_by_plateau

INIT, TRAIN, EVALUATE = 0, 1, 2  # purposes, folded into the root key
LOSS, GRADIENT = "loss", "gradient_norm"


@struct.dataclass
class TrainState:
    """All that training carries from step to step.

    Attributes:
        step: () int32, steps done.
        params: parameters, with the fixed entry `stats` if the model has one.
        ema: their running average, same tree.
        opt_state: of optax, over the parameters that are trained: without `stats` and what is frozen.
        key: () typed root key, never changed.
    """

    step: Array
    params: PyTree
    ema: PyTree
    opt_state: PyTree
    key: Array


def make_schedule(train: Any) -> optax.Schedule:
    """Learning rate of the n-th step (from 0): linear warmup, then what `train.schedule` says."""
    peak, warmup = float(train.learning_rate), int(train.warmup)
    length = max(int(train.steps) - warmup, 1)
    end = peak * float(train.final_rate)
    later = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, length, alpha=float(train.final_rate)),
        "linear": lambda: optax.linear_schedule(peak, end, length),
    }[train.schedule]()
    if warmup:
        later = optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), later], [warmup])
    return lambda count: later(count + 1)  # the first step must not be idle


def make_optimizer(train: Any) -> optax.GradientTransformation:
    """AdamW, or plain gradient descent, with clipping, schedule and rates by path; weight decay on arrays of two and more axes."""
    clip = [optax.clip_by_global_norm(float(train.clip))] if train.clip else []
    scale = optax.scale_by_adam(eps=float(train.epsilon)) if train.optimizer == "adam" else optax.identity()
    matrices = lambda params: jax.tree.map(lambda p: jnp.ndim(p) > 1, params)
    decay = [optax.add_decayed_weights(float(train.weight_decay), mask=matrices)] if train.weight_decay else []
    plateau = [scale_by_plateau()] if train.plateau_factor else []
    rates = (
        [scale_by_rates(train.rates)] if train.rates else []
    )  # absent, not idle: the state's tree is older checkpoints'
    return optax.chain(*clip, scale, *decay, *rates, *plateau, optax.scale_by_learning_rate(make_schedule(train)))


def init_state(
    task: Task, optimizer: optax.GradientTransformation, seed: int, batch: PyTree, *, freeze: Sequence[str] = ()
) -> TrainState:
    """Fresh state; pure, so it can be jitted or only evaluated for shapes."""
    root = jax.random.key(seed)
    params = jax.tree.map(jnp.asarray, dict(task.init(jax.random.fold_in(root, INIT), batch)))
    ema = jax.tree.map(jnp.copy, params)  # a buffer of its own: the state is donated
    return TrainState(jnp.zeros((), jnp.int32), params, ema, optimizer.init(split(params, freeze)[0]), root)


def _precision(dtype: str, matmul: str) -> contextlib.AbstractContextManager:
    """Matrix products with bfloat16 inputs and float32 sums, where asked for and the hardware has them.

    GPUs must be told so by the algorithm's name; TPUs do it by default; CPUs have no such product and stay with float32. Of float32
    products `matmul` says how exact they are: TPUs round inputs to bfloat16, recent GPUs to TF32, unless it is ``highest``.
    """
    if dtype != "bfloat16":
        return contextlib.nullcontext() if matmul == "default" else jax.default_matmul_precision(matmul)
    return jax.default_matmul_precision("BF16_BF16_F32" if jax.default_backend() == "gpu" else "bfloat16")


def _batch(arrays: PyTree, item: PyTree, mesh: Mesh) -> PyTree:
    """Examples of one step, spread over the devices: the rows `item` of what lies there, or `item` itself if `arrays` is None."""
    if arrays is None:  # the hosts sent them (`symjax.train.mesh.send`)
        return jax.lax.with_sharding_constraint(item, spread(mesh))
    index = jax.lax.with_sharding_constraint(item, spread(mesh))
    return jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a[index], spread(mesh)), arrays)


def make_step(
    task: Task, optimizer: optax.GradientTransformation, train: Any
) -> Callable[[TrainState, PyTree], tuple[TrainState, dict[str, Array]]]:
    """One optimizer step: (state, batch) -> (state, metrics)."""
    dtype, decay, freeze = train.dtype, float(train.ema), tuple(train.freeze)
    matmul = train.get("matmul", "default")

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.fold_in(state.key, TRAIN), state.step)
        trained, fixed = split(state.params, freeze)

        def objective(values: dict) -> tuple[Array, dict[str, Array]]:
            with _precision(dtype, matmul):
                loss, metrics = task.loss(merge(values, fixed), batch, key, True)
            return jnp.asarray(loss, jnp.float32), metrics

        (loss, metrics), gradient = jax.value_and_grad(objective, has_aux=True)(trained)
        updates, opt_state = optimizer.update(gradient, state.opt_state, trained)
        params = merge(optax.apply_updates(trained, updates), fixed)
        # early on the average follows closely, so that short runs do not average in the random start
        keep = jnp.minimum(decay, (1.0 + state.step) / (10.0 + state.step)) if decay else 0.0
        ema = jax.tree.map(lambda old, new: new + keep * (old - new), state.ema, params)
        new = TrainState(state.step + 1, params, ema, opt_state, state.key)
        return new, {**metrics, LOSS: loss, GRADIENT: optax.tree.norm(gradient)}

    return step


def make_dispatch(
    task: Task, optimizer: optax.GradientTransformation, train: Any, mesh: Mesh, sharding: PyTree
) -> Callable:
    """Program `(state, arrays, items, num) -> (state, sums, bad)` of `num <= n` steps; the state is donated.

    `items` are indices `(n, batch)` into `arrays`; or, with None for `arrays`, the examples themselves, `(n, batch, ...)`. `sums`
    are metrics summed over the steps, `bad` is the first step with a loss or gradient that is not finite, or -1. `num` is dynamic,
    so a shortened last dispatch compiles nothing new. `sharding` is that of the state (`symjax.train.mesh.divided`).
    """
    step = make_step(task, optimizer, train)

    def dispatch(state: TrainState, arrays: PyTree, items: PyTree, num: Array) -> tuple[TrainState, dict, Array]:
        batch = lambda i: _batch(arrays, jax.tree.map(lambda a: a[i], items), mesh)

        def body(i: Array, carry: tuple) -> tuple:
            state, sums, bad = carry
            number = state.step
            state, metrics = step(state, batch(i))
            state = jax.lax.with_sharding_constraint(state, sharding)
            finite = jnp.isfinite(metrics[LOSS]) & jnp.isfinite(metrics[GRADIENT])
            sums = {k: sums[k] + jnp.asarray(v, jnp.float32) for k, v in metrics.items()}
            return state, sums, jnp.where((bad < 0) & ~finite, number, bad)

        shapes = jax.eval_shape(lambda s: step(s, batch(0))[1], state)
        if any(v.shape for v in shapes.values()):
            raise SymjaxError(f"metrics of {task.name} must be scalars: { {k: v.shape for k, v in shapes.items()} }")
        sums = {k: jnp.zeros((), jnp.float32) for k in shapes}
        return jax.lax.fori_loop(0, num, body, (state, sums, jnp.full((), -1, jnp.int32)))

    placed = sharding, replicated(mesh), replicated(mesh)
    return Meshed(jax.jit(dispatch, donate_argnums=0, out_shardings=placed), mesh)


def make_evaluate(task: Task, train: Any, mesh: Mesh) -> Callable:
    """Program `(params, arrays, items, root key) -> mean metrics`, items as there; batch i always has the same noise."""
    dtype, matmul = train.dtype, train.get("matmul", "default")

    def evaluate(params: PyTree, arrays: PyTree, items: PyTree, root: Array) -> dict[str, Array]:
        def one(_: None, numbered: tuple[Array, PyTree]) -> tuple[None, dict[str, Array]]:
            number, item = numbered
            key = jax.random.fold_in(jax.random.fold_in(root, EVALUATE), number)
            with _precision(dtype, matmul):
                loss, metrics = task.loss(params, _batch(arrays, item, mesh), key, False)
            return None, {k: jnp.asarray(v, jnp.float32) for k, v in {**metrics, LOSS: loss}.items()}

        _, rows = jax.lax.scan(one, None, (jnp.arange(jax.tree.leaves(items)[0].shape[0]), items))
        return {k: jnp.mean(v) for k, v in rows.items()}

    return Meshed(jax.jit(evaluate, out_shardings=replicated(mesh)), mesh)
