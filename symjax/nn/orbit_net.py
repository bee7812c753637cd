"""Message passing between orbit representatives through their symmetry images (e3nn, flax linen).

Only representatives carry features.  The neighbour of representative `a` is an image `g x_b + n`, whose features are
`D(R_g) h_b`: messages cost representatives times neighbours, and the output is equivariant under the space group because the
environment of every image is the rotated environment of its representative.  The neighbour list keeps the nearest `K` images; the
envelope vanishes at the distance of the K-th, so ties in a shell cannot break the symmetry and the output is continuous.

Euclidean quantities are in angstrom.  The class of rotations is that of the reference frame: lattices are `expm(S) A` with `S`
commuting with every rotation of the group, so the Cartesian rotations do not depend on the lattice.
"""

from typing import NamedTuple

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from symjax.nn.partition import by_row


class Neighbours(NamedTuple):
    """Edges of `b` crystals, `m` representatives, `K` neighbours each."""

    atom: Array  # (b, m, K) int32 index of the image among the atoms of the cell
    orbit: Array  # (b, m, K) int32 orbit of that atom
    unit: Array  # (b, m, K, 3) unit vector from representative to image
    distance: Array  # (b, m, K) angstrom
    envelope: Array  # (b, m, K) in [0, 1], zero for padding and at the K-th distance


def find_neighbours(
    rep: Array,
    atom: Array,
    *,
    lattice: Array,
    atom_mask: Array,
    atom_orbit: Array,
    home: Array,
    offsets: Array,
    num: int,
) -> Neighbours:
    """Nearest periodic images of each representative.

    Args:
        rep: `(b, m, 3)` fractional coordinates of the representatives.
        atom: `(b, a, 3)` fractional coordinates of all atoms of the cell.
        lattice: `(b, 3, 3)` columns a, b, c in angstrom.
        atom_mask: `(b, a)` True for real atoms.
        atom_orbit: `(b, a)` orbit of each atom.
        home: `(b, m)` index of the atom that is the representative itself.
        offsets: `(o, 3)` integer cells around the nearest image that are searched; contains (0, 0, 0) first.
        num: number K of neighbours kept.
    """
    b, m, _ = rep.shape
    a, o = atom.shape[1], offsets.shape[0]
    diff = atom[:, None, :, :] - rep[:, :, None, :]
    diff = diff - jnp.round(diff)
    near = jnp.einsum("bij,bmaj->bmai", lattice, diff)
    shift = jnp.einsum("bij,oj->boi", lattice, offsets.astype(lattice.dtype))
    vectors = near[:, :, :, None, :] + shift[:, None, None, :, :]
    square = jnp.sum(vectors**2, axis=-1)
    itself = (jnp.arange(a)[None, None, :] == home[:, :, None])[..., None] & (jnp.arange(o) == 0)
    square = jnp.where(itself | ~atom_mask[:, None, :, None], 1e8, square)
    flat = square.reshape(b, m, a * o)
    negative, index = by_row(lambda rows: jax.lax.top_k(rows, num), -flat)
    picked = index // o
    vector = jnp.take_along_axis(vectors.reshape(b, m, a * o, 3), index[..., None], axis=2)
    real = negative > -1e7
    distance = jnp.sqrt(jnp.where(real, -negative, 1.0) + 1e-12)
    farthest = jnp.max(jnp.where(real, distance, 0.0), axis=-1, keepdims=True)
    ratio = jnp.clip(distance / jnp.maximum(farthest, 1e-6), 0.0, 1.0)
    envelope = jnp.where(real, (1.0 - ratio**4) ** 2, 0.0)
    unit = jnp.where(real[..., None], vector / jnp.maximum(distance, 1e-3)[..., None], 0.0)
    orbit = jnp.take_along_axis(jnp.broadcast_to(atom_orbit[:, None, :], (b, m, a)), picked, axis=2)
    return Neighbours(picked, orbit, unit, distance, envelope)


def gaussian_basis(value: Array, start: float, stop: float, num: int) -> Array:
    """`(..., num)` Gaussians centred evenly on [start, stop]."""
    centres = jnp.linspace(start, stop, num, dtype=value.dtype)
    width = (stop - start) / (num - 1)
    return jnp.exp(-0.5 * ((value[..., None] - centres) / width) ** 2)


def gather(values: Array, index: Array) -> Array:
    """`values[b, index[b, ...]]` for values `(b, n, d)` and indices `(b, ...)`: `(b, ..., d)`."""
    return jax.vmap(lambda v, i: v[i])(values, index)


def rotate(features: e3nn.IrrepsArray, rotation: Array) -> e3nn.IrrepsArray:
    """`D(R) h` for features `(..., irreps)` and orthogonal matrices `(..., 3, 3)`, proper or improper."""
    chunks: list[Array | None] = []
    for (mul, ir), chunk in zip(features.irreps, features.chunks, strict=True):
        if chunk is None or mul == 0:
            chunks.append(chunk)
        elif ir.l == 0:
            sign = 1.0 if ir.p == 1 else jnp.linalg.det(rotation)[..., None, None]
            chunks.append(chunk * sign)
        elif ir.l == 1 and ir.p == -1:
            chunks.append(jnp.einsum("...ij,...uj->...ui", rotation, chunk))
        else:
            chunks.append(jnp.einsum("...ij,...uj->...ui", ir.D_from_matrix(rotation), chunk))
    return e3nn.from_chunks(features.irreps, chunks, features.shape[:-1], features.dtype)


class Interaction(nn.Module):
    """One round of messages.

    The tensor product with the spherical harmonics of an edge is linear in both, so the weighted sum over edges is taken of
    the outer products first (a small matrix product per receiver) and the Clebsch-Gordan contraction is done once per
    receiver: what e3nn's edge-wise tensor product gives, with one radial weight per channel and pair of degrees, at a
    fraction of the memory traffic.
    """

    irreps: str
    message_irreps: str
    lmax: int
    radial_hidden: int
    num_average: float

    @nn.compact
    def __call__(
        self, h: e3nn.IrrepsArray, edges: Neighbours, radial: Array, *, atom_orbit: Array, atom_rotation: Array
    ) -> e3nn.IrrepsArray:
        """Updated features of the representatives (arguments as in `OrbitNet`)."""
        irreps = e3nn.Irreps(self.irreps)
        sender = e3nn.flax.Linear(e3nn.Irreps(self.message_irreps), name="sender")(h)
        images = rotate(e3nn.IrrepsArray(sender.irreps, gather(sender.array, atom_orbit)), atom_rotation)
        unit = e3nn.IrrepsArray("1o", edges.unit)
        sphere = e3nn.spherical_harmonics(list(range(self.lmax + 1)), unit, normalize=False, normalization="component")
        channels = sum(mul for mul, _ in sender.irreps)
        hidden = nn.silu(nn.Dense(self.radial_hidden, name="radial_0")(radial))
        weights = nn.Dense(channels * (self.lmax + 1), use_bias=False, name="radial_1")(hidden)
        weights = weights * edges.envelope[..., None] / self.num_average
        summed = _sum_products(images, sphere, weights, edges.atom, wanted={ir for _, ir in irreps})
        gates = e3nn.Irreps([(mul, "0e") for mul, ir in irreps if ir.l > 0])
        target = (irreps.filter(keep="0e") + gates + irreps.filter(drop="0e")).regroup()
        mixed = e3nn.flax.Linear(target, name="receiver")(e3nn.concatenate([h, summed]).regroup())
        update = e3nn.gate(mixed, even_act=jax.nn.silu, even_gate_act=jax.nn.sigmoid)
        return h + e3nn.flax.Linear(irreps, name="update", force_irreps_out=True)(update)


def _sum_products(
    images: e3nn.IrrepsArray, sphere: e3nn.IrrepsArray, weights: Array, atom: Array, wanted: set
) -> e3nn.IrrepsArray:
    """`sum_k w_k (h_k x Y_k)` over the edges of each receiver, keeping the irreps in `wanted`."""
    pieces, start = [], 0
    for (mul, ir), chunk in zip(images.irreps, images.chunks, strict=True):
        edge = gather(chunk.reshape(chunk.shape[:-2] + (-1,)), atom).reshape(atom.shape + (mul, ir.dim))
        for (_, ir_sphere), harmonic in zip(sphere.irreps, sphere.chunks, strict=True):
            scaled = edge * weights[..., start : start + mul, None]
            start += mul
            outer = jnp.einsum("bmkui,bmkj->bmuij", scaled, harmonic[..., 0, :])
            for ir_out in ir * ir_sphere:
                if ir_out in wanted:
                    table = e3nn.clebsch_gordan(ir.l, ir_sphere.l, ir_out.l) * ir_out.dim**0.5
                    piece = jnp.einsum("bmuij,ijo->bmuo", outer, jnp.asarray(table, outer.dtype))
                    pieces.append(e3nn.from_chunks([(mul, ir_out)], [piece], piece.shape[:2], piece.dtype))
    return e3nn.concatenate(pieces).regroup()


class OrbitNet(nn.Module):
    """Equivariant denoiser on orbit representatives.

    Returns, per representative, a vector (`1o`), and per crystal a symmetric matrix and a scalar, all before projection on what the
    operations leave free.
    """

    irreps: str
    message_irreps: str
    lmax: int
    num_layers: int
    num_elements: int
    radial_hidden: int
    average_neighbours: float

    @nn.compact
    def __call__(
        self,
        z: Array,
        radii: Array,
        conditions: Array,
        *,
        edges: Neighbours,
        atom_orbit: Array,
        atom_rotation: Array,
        orbit_weight: Array,
        tensor_state: Array,
    ) -> tuple[Array, Array]:
        """Run the network.

        Args:
            z: `(b, m)` atomic numbers, 0 for padding.
            radii: `(b, m)` covalent radii in angstrom.
            conditions: `(b, m, c)` scalars known beforehand (time, multiplicity, freedom, ...).
            edges: neighbours of the representatives.
            atom_orbit: `(b, a)` orbit of each atom of the cell.
            atom_rotation: `(b, a, 3, 3)` Cartesian rotation that takes the representative to each atom.
            orbit_weight: `(b, m)` share of each orbit in the atoms of the cell (zero for padding; sums to 1).
            tensor_state: `(b, 3, 3)` symmetric matrix, the noisy lattice coefficients as a tensor.

        Returns:
            `(b, m, 3)` vectors and `(b, 3, 3)` symmetric matrices.
        """
        irreps = e3nn.Irreps(self.irreps)
        num_scalars = irreps.count("0e")
        reach = edges.distance / (radii[:, :, None] + gather(radii[..., None], edges.orbit)[..., 0] + 1e-3)
        radial = jnp.concatenate(
            [gaussian_basis(edges.distance, 0.0, 8.0, 20), gaussian_basis(reach, 0.2, 2.6, 16)], axis=-1
        )
        scalars = nn.Embed(self.num_elements, num_scalars, name="element")(z)
        scalars = scalars + nn.Dense(num_scalars, name="conditions")(conditions)
        scalars = nn.silu(scalars)
        h = e3nn.IrrepsArray(f"{num_scalars}x0e", scalars)
        h = e3nn.flax.Linear(irreps, name="embed", force_irreps_out=True)(h)
        for layer in range(self.num_layers):
            h = Interaction(
                irreps=self.irreps,
                message_irreps=self.message_irreps,
                lmax=self.lmax,
                radial_hidden=self.radial_hidden,
                num_average=self.average_neighbours,
                name=f"layer_{layer}",
            )(h, edges, radial, atom_orbit=atom_orbit, atom_rotation=atom_rotation)
        return self._read_out(h, radial, edges, orbit_weight, tensor_state)

    def _read_out(
        self, h: e3nn.IrrepsArray, radial: Array, edges: Neighbours, orbit_weight: Array, tensor_state: Array
    ) -> tuple[Array, Array]:
        """Vectors of the representatives and the crystal's matrix, from their features."""
        vectors = h.filter(keep="1o").array.reshape(h.shape[:-1] + (-1, 3))
        num_scalars = h.irreps.count("0e")
        scalars = nn.silu(nn.Dense(num_scalars, name="head_0")(h.filter(keep="0e").array))
        head = nn.Dense(2 * vectors.shape[-2] + 2, name="head_1")(scalars)
        push = head[..., : vectors.shape[-2]]
        outer = head[..., vectors.shape[-2] : -2]
        output = jnp.einsum("bmu,bmui->bmi", push, vectors)
        # a symmetric tensor of the environment: bonds weighted by learned scalars, outer products of vectors, isotropic part
        of_site = nn.Dense(self.radial_hidden, name="bond_1")(scalars)[:, :, None]
        bond = nn.silu(nn.Dense(self.radial_hidden, name="bond_0")(radial) + of_site)
        bond = nn.Dense(1, use_bias=False, name="bond_2")(bond)[..., 0] * edges.envelope
        tensor = jnp.einsum("bmk,bmki,bmkj->bmij", bond, edges.unit, edges.unit) / self.average_neighbours**0.5
        tensor = tensor + jnp.einsum("bmu,bmui,bmuj->bmij", outer, vectors, vectors)
        tensor = tensor + head[..., -2, None, None] * jnp.eye(3)
        pooled = jnp.einsum("bm,bmij->bij", orbit_weight, tensor)
        skip = jnp.einsum("bm,bm->b", orbit_weight, head[..., -1])
        return output, pooled + skip[:, None, None] * tensor_state
