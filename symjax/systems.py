"""Names of trainable models: one explicit table from `config.model.name` to the function that builds its `Task`.

To add a model, write a task (`symjax.train.interface`) and a builder, and enter it here or by `register`. Builders import their
model inside, so that reading the table costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from symjax.errors import ConfigError
from symjax.train.interface import Task

# (resolved config, training data, validation data or None) -> Task
Builder = Callable[[Any, Any, Any], Task]


class Entry(NamedTuple):
    """One model of the table.

    Attributes:
        build: the builder.
        needs_data: whether `config.data.train` must name a prepared data set; without it the builder gets None.
    """

    build: Builder
    needs_data: bool = True


def _symop_operations(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.symop.task import OperationsTask

    return OperationsTask(config, train, val)


def _symop_geometry(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.symop.geometry.task import GeometryTask

    return GeometryTask(config, train, val)


def _symmcd(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.symmcd.task import SymmcdTask

    return SymmcdTask(config, train, val)


def _wycryst(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.wycryst.task import WycrystTask

    return WycrystTask(config, train, val)


def _wyckoff_transformer(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.wyckoff_transformer.task import WyckoffTask

    return WyckoffTask(config, train, val)


def _regression(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.regression.task import RegressionTask

    return RegressionTask(config, train, val)


_MODELS: dict[str, Entry] = {
    "symop_operations": Entry(_symop_operations),
    "symop_geometry": Entry(_symop_geometry),
    "symmcd": Entry(_symmcd),
    "wycryst": Entry(_wycryst),
    "wyckoff_transformer": Entry(_wyckoff_transformer),
    "regression": Entry(_regression),
}


def names() -> tuple[str, ...]:
    """Names that `config.model.name` may take."""
    return tuple(sorted(_MODELS))


def register(name: str, build: Builder, *, needs_data: bool = True) -> None:
    """Enter a model of your own; call it before training.

    Raises:
        ConfigError: the name is taken by another builder.
    """
    entry = Entry(build, needs_data)
    if _MODELS.get(name, entry) != entry:
        raise ConfigError(f"model name {name!r} is already taken")
    _MODELS[name] = entry


def entry(name: str) -> Entry:
    """The table's entry of a name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if name not in _MODELS:
        raise ConfigError(f"config.model.name: unknown model {name!r}; models are {', '.join(names())}")
    return _MODELS[name]
