"""JAX in the folders that work without it: imported when it is first used, and pytrees made known to it whenever it is.

Importing JAX costs more than most of what the exact folders do (a second of processor time; a listing of subgroups needs none of
it). So `symjax.ops`, `lattice`, `groups`, `wyckoff`, `crystals`, `data` and `navigate` take ``jax``, ``jnp``, `jit` and `pytree`
from here. Everything above them imports JAX itself.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class _Module(ModuleType):
    """Stands for a module until an attribute is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspection of the namesake, such as by doctest, is no use
            raise AttributeError(name)
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import jax as jax
    import jax.numpy as jnp
else:
    jax, jnp = _Module("jax"), _Module("jax.numpy")


def is_array(value: Any) -> bool:
    """Whether this is a JAX array or a tracer; without JAX nothing is."""
    there = sys.modules.get("jax")
    return there is not None and isinstance(value, there.Array)


def is_tracer(value: Any) -> bool:
    """Whether this is a JAX tracer; without JAX nothing is."""
    there = sys.modules.get("jax")
    return there is not None and isinstance(value, there.core.Tracer)


class _Jitted:
    """A function that `jax.jit` gets at the first call; it has what a compiled function has (``lower``, ``_cache_size``)."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function, self._options = function, options

    @functools.cached_property
    def _compiled(self) -> Any:
        return jax.jit(self._function, **self._options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._compiled, name)


def jit(**options: Any) -> Callable[[F], F]:
    """Decorator: `jax.jit` with these options, applied when the function is first called."""
    return lambda function: _Jitted(function, options)  # type: ignore[return-value]


def static(**options: Any) -> Any:
    """A field of a `pytree` that is part of its structure: hashable, compared when programs are looked up."""
    return dataclasses.field(metadata={"static": True}, **options)


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def pytree(cls: type[T]) -> type[T]:
    """Decorator: a frozen dataclass that is a pytree, its fields the leaves but for `static` ones."""
    made = dataclasses.dataclass(frozen=True)(cls)
    if not hasattr(made, "replace"):
        setattr(made, "replace", dataclasses.replace)  # noqa: B010  (as flax's dataclasses have it; no field of T for mypy)
    _classes.append(made)
    if hasattr(sys.modules.get("jax"), "tree_util"):
        _register(made)
    return made


_classes: list[type] = []


def _register(cls: type) -> None:
    import jax.tree_util

    fields = dataclasses.fields(cls)
    jax.tree_util.register_dataclass(
        cls,
        data_fields=[field.name for field in fields if not field.metadata.get("static")],
        meta_fields=[field.name for field in fields if field.metadata.get("static")],
    )


class _Finder(importlib.abc.MetaPathFinder):
    """Sees JAX being imported, by whomever, and registers the pytrees right after."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "jax":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("jax")
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def and_register(module: ModuleType) -> None:
                execute(module)
                for cls in _classes:
                    _register(cls)

            spec.loader.exec_module = and_register  # type: ignore[method-assign]  # of this one loader
        return spec


if "jax" not in sys.modules:
    sys.meta_path.insert(0, _Finder())
