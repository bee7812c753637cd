"""WyckoffDiff (arXiv 2502.06485) and its Adaptor: discrete diffusion over the elements on the Wyckoff positions of a group."""
