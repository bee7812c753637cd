"""Stage 3: lattice and coordinates."""
