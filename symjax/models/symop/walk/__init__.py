"""Stage 1: the walk up the subgroup lattice."""
