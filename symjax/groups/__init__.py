"""Sets of symmetry operations: tables, closure, algebra, orbits, Wyckoff positions, properties, identification."""

from symjax.groups.indexed import (
    ClosedIndices,
    ProductTable,
    close_indices,
    close_mask,
    generate_indices,
    is_closed_mask,
    table_of,
    to_indices,
    to_mask,
    vocabulary_table,
)
from symjax.groups.sets import OpSet, canonicalize, make_opset, members, pad, same_set, stack, take
from symjax.groups.soft import closure_defect, identity_defect, inverse_defect, lattice_defect
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
    "ClosedIndices",
    "OpSet",
    "ProductTable",
    "Vocabulary",
    "canonicalize",
    "close_indices",
    "close_mask",
    "closure_defect",
    "default_hall",
    "generate_indices",
    "hall_setting",
    "hall_to_number",
    "identity_defect",
    "inverse_defect",
    "is_closed_mask",
    "lattice_defect",
    "make_opset",
    "members",
    "pad",
    "same_set",
    "setting_symbols",
    "stack",
    "standard_frame",
    "standard_setting",
    "table_of",
    "take",
    "to_indices",
    "to_mask",
    "vocabulary",
    "vocabulary_table",
]
