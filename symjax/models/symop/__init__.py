"""The flagship: species, operations, sites, then lattice and coordinates."""
