"""SymmCD: diffusion on asymmetric units with binary site symmetries (Levy et al., arXiv 2502.03638)."""
