"""Noise processes, schedules and reverse steps, one module per kind of variable.

Nothing here knows about crystals or networks: every function takes arrays (and projectors or lattices of a torus) and the
network enters as numbers it predicted.  `gaussian` serves vectors in a linear subspace (the log-lattice coefficients),
`wrapped` serves points of a flat torus (the free coordinates of an orbit), `discrete` classes with a marginal, `schedules` the
noise levels.
"""

from symjax.diffusion import discrete, gaussian, schedules, wrapped

__all__ = ["discrete", "gaussian", "schedules", "wrapped"]
