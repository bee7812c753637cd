"""WyckoffTransformer (Kazeev et al., arXiv 2503.02407): a permutation-invariant autoregressive model of Wyckoff representations."""
