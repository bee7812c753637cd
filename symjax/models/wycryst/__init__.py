"""WyCryst: a variational autoencoder over the Wyckoff representation of binaries and ternaries (a baseline of seed 004)."""
