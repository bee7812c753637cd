"""The operation flow: a generative model over variable-sized sets of affine operations and the lattice they act on."""
