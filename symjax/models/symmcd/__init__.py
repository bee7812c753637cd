"""SymmCD: diffusion on asymmetric units with binary site symmetries (seed 001)."""
