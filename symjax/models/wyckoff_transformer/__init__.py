"""WyckoffTransformer: an autoregressive, permutation-invariant model of Wyckoff representations (seed 004)."""
