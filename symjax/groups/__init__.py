"""Sets of symmetry operations: tables, closure, algebra, orbits, Wyckoff positions, properties, identification."""

from symjax.groups.sets import OpSet, canonicalize, make_opset, members, pad, same_set, stack, take
from symjax.groups.tables import (
    Vocabulary,
    default_hall,
    hall_setting,
    hall_to_number,
    setting_symbols,
    standard_frame,
    standard_setting,
    vocabulary,
)

__all__ = [
    "OpSet",
    "Vocabulary",
    "canonicalize",
    "default_hall",
    "hall_setting",
    "hall_to_number",
    "make_opset",
    "members",
    "pad",
    "same_set",
    "setting_symbols",
    "stack",
    "standard_frame",
    "standard_setting",
    "take",
    "vocabulary",
]
