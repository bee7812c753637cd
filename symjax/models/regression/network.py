"""SchNet on graphs of orbits, with or without the orbits' site symmetries.

Why SchNet: it is a standard network that reads a crystal by elements and distances alone, so that the multigraph costs one node an
orbit and neighbours of one orbit at one distance one edge, exactly; and it has no angles, whose triplets are most of the cost of
DimeNet++ (which the published table uses). Errors are therefore to be compared between the four variants, not with the published
numbers one by one.

Continuous-filter convolutions: h_i += V(sum_j w_ij W(d_ij) * (U h_j)), with filters W of a Gaussian basis; the prediction is the
mean over atoms of a network of the last features. Source: Schuett and others, J. Chem. Phys. 148, 241722 (2018).

Site symmetry, as in the published table: the 15 x 13 one-hot matrix goes through one linear map to 8 numbers, which are appended to
the embedding and mixed in by one linear map, without activation (there on edges, after the embedding block; here on nodes).
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from symjax.models.regression.graphs import Graphs
from symjax.nn.element_encoder import ElementEncoder
from symjax.nn.orbit_net import gather, gaussian_basis
from symjax.wyckoff.oriented import SITE_CLASSES


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Sizes; every field stands in `configs/formation_energy.py` with its meaning."""

    width: int
    num_layers: int
    num_radial: int
    radial_range: float
    site_dim: int
    site_symmetry: bool


def shifted_softplus(x: Array) -> Array:
    """SchNet's activation: softplus that is 0 at 0."""
    return nn.softplus(x) - jnp.log(2.0)


class SchNet(nn.Module):
    """One number per crystal."""

    options: NetworkOptions

    @nn.compact
    def __call__(self, graphs: Graphs) -> Array:
        """Mean over atoms, `(b,)`, in units of the training set's standard deviation."""
        o = self.options
        h = ElementEncoder(o.width, name="elements")()[graphs.z]
        if o.site_symmetry:
            sites = jax.nn.one_hot(graphs.site, len(SITE_CLASSES), dtype=h.dtype)
            sites = nn.Dense(o.site_dim, name="sites")(sites.reshape(*graphs.site.shape[:2], -1))
            h = nn.Dense(o.width, name="mix")(jnp.concatenate([h, sites], axis=-1))
        radial = gaussian_basis(graphs.distance, 0.0, o.radial_range, o.num_radial)
        for i in range(o.num_layers):
            hidden = shifted_softplus(nn.Dense(o.width, name=f"filter_{i}_0")(radial))
            filters = nn.Dense(o.width, name=f"filter_{i}_1")(hidden) * graphs.weight[..., None]
            sent = gather(nn.Dense(o.width, use_bias=False, name=f"send_{i}")(h), graphs.sender)
            received = nn.Dense(o.width, name=f"receive_{i}_0")(jnp.sum(filters * sent, axis=2))
            h = h + nn.Dense(o.width, name=f"receive_{i}_1")(shifted_softplus(received))
        values = nn.Dense(1, name="value_1")(shifted_softplus(nn.Dense(o.width // 2, name="value_0")(h)))
        return jnp.sum(graphs.share * values[..., 0], axis=-1)
