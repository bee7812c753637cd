"""A frozen options class from a section of a configuration, with every mistake told at once.

Fields stand flat in the section. A field whose type is itself an options class takes its values from the same section; a field
with a default may be absent, as it is in configurations from before it existed. Lists become tuples and whole numbers floats where
the class says so, so that a configuration read back from JSON gives equal options.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from symjax.errors import ConfigError

T = TypeVar("T")
_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", tuple: "a tuple"}


def options_of(kind: type[T], section: Mapping[str, Any], where: str) -> T:
    """Options of a model from its section.

    Args:
        kind: frozen dataclass.
        section: `ConfigDict` or mapping, or its JSON form.
        where: name of the section in messages, as 'model.symmcd'.

    Raises:
        ConfigError: fields that are missing, unknown, or of another type; all of them are named.
    """
    given, fields = dict(section.items()), _fields(typing.cast(Any, kind))
    problems = []
    if missing := [name for name, (_, required) in fields.items() if required and name not in given]:
        problems.append(f"lacks {', '.join(missing)}")
    if unknown := sorted(set(given) - set(fields)):
        problems.append(f"has unknown {', '.join(unknown)} (fields are {', '.join(fields)})")
    for name in fields.keys() & given.keys():
        wanted = fields[name][0]
        given[name] = _converted(given[name], wanted)
        if wanted in _WORDS and type(given[name]) is not wanted:
            problems.append(f"has {name} = {given[name]!r}, not {_WORDS[wanted]}")
    if problems:
        raise ConfigError(f"config.{where} {'; '.join(problems)}")
    return _build(kind, given)


@functools.cache
def _fields(kind: type) -> dict[str, tuple[type, bool]]:
    """Names in the section -> (plain type, whether it must be there), options inside options flattened."""
    found: dict[str, tuple[type, bool]] = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        wanted = hints[field.name]
        if dataclasses.is_dataclass(wanted):
            found |= _fields(typing.cast(type, wanted))
        else:
            absent = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            found[field.name] = (typing.get_origin(wanted) or wanted, absent)
    return found


def _build(kind: type[T], given: Mapping[str, Any]) -> T:
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        wanted = hints[field.name]
        if dataclasses.is_dataclass(wanted):
            values[field.name] = _build(typing.cast(type, wanted), given)
        elif field.name in given:
            values[field.name] = given[field.name]
    return kind(**values)


def _converted(value: Any, wanted: type) -> Any:
    """Lists as tuples all the way down, whole numbers as floats, numpy's numbers as Python's; others are left alone."""
    if isinstance(value, list | tuple):
        return tuple(_converted(v, object) for v in value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    return float(value) if wanted is float and type(value) is int else value
