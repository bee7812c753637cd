"""Crystals as (operations, lattice, orbits with stabilizers), their atoms, and files."""

from symjax.crystals.cosets import coset_images
from symjax.crystals.types import AtomicStructure, Crystal

__all__ = ["AtomicStructure", "Crystal", "coset_images"]
