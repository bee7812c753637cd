"""Noise processes of named variables, forwards and backwards: what every diffusion model is made of.

Nothing here knows about crystals or networks: every function takes arrays (and projectors or lattices of a torus) and the
network enters as numbers it predicted. `process` says what a process is and makes data noisy, `reverse` is the one loop that takes
noise away, `guidance` changes what the network says on the way. The processes: `gaussian` for vectors in a linear subspace (the
log-lattice coefficients), `wrapped` for points of a flat torus (coordinates), `discrete` for classes with a marginal; `schedules`
makes noise levels.
"""

from symjax.diffusion import discrete, gaussian, guidance, process, schedules, wrapped

__all__ = ["discrete", "gaussian", "guidance", "process", "schedules", "wrapped"]
