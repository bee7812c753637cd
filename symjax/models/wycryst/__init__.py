"""WyCryst: a variational autoencoder over the Wyckoff representation of binaries and ternaries (Zhu et al., arXiv 2311.17916)."""
