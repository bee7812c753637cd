"""Crystals as (operations, lattice, orbits with stabilizers), their atoms, and files."""

from symjax.crystals.expand import batch_images, coset_images, expand_crystal, expand_positions, primitive_structure
from symjax.crystals.types import AtomicStructure, Crystal, CrystalBatch, stack_crystals, unstack_crystals

__all__ = [
    "AtomicStructure",
    "Crystal",
    "CrystalBatch",
    "batch_images",
    "coset_images",
    "expand_crystal",
    "expand_positions",
    "primitive_structure",
    "stack_crystals",
    "unstack_crystals",
]
