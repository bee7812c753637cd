"""DimeNet++ in JAX: one number for each crystal from distances of bonded atoms and angles between adjoining bonds.

Messages live on edges. A message j to i starts from both elements and the distance; in each block it takes up the messages k to j,
weighted by a basis of distance and angle; after each block the messages into an atom are summed to a number of that atom, and the
prediction is the mean over atoms. Weights are kept under the names and in the shapes of the published checkpoints (rows are
outputs).

Source: Gasteiger et al., arXiv 2011.14115 (DimeNet++); Gasteiger, Gross and Günnemann, ICLR 2020, arXiv 2003.03123,
equations 6 to 8 (bases: spherical Bessel functions times Legendre polynomials; envelope with exponent 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.evaluate.energy_model.graphs import CRYSTALS, Batch

CUTOFF = 7.0
"""Angstrom; longer bonds carry nothing."""
SPHERICAL, RADIAL = 7, 6
"""Orders of the angular basis, and radial functions of each."""
ENVELOPE = 6
"""Order of the zero of the envelope's polynomial."""
Weights = Mapping[str, Any]


@cache
def bessel_zeros() -> np.ndarray:
    """(7, 6) first positive zeros of the spherical Bessel functions of order 0 to 6."""
    from scipy.optimize import brentq
    from scipy.special import spherical_jn

    # Zeros of order l lie between those of order l - 1 (interlacing).
    found = [np.arange(1, RADIAL + SPHERICAL + 1) * np.pi]
    for order in range(1, SPHERICAL):
        last = found[-1]
        found.append(np.array([brentq(partial(spherical_jn, order), a, b, xtol=1e-13) for a, b in pairwise(last)]))
    return np.array([zeros[:RADIAL] for zeros in found])


def envelope(d: np.ndarray) -> np.ndarray:
    """1/d at small d, with two derivatives zero at 1 and zero beyond (equation 8, divided by d)."""
    p = ENVELOPE
    a, b, c = -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2
    value: np.ndarray = np.where(d < 1, 1 / d + a * d ** (p - 1) + b * d**p + c * d ** (p + 1), 0.0)
    return value


def radial_bases(distance: np.ndarray, frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(e, 6) radial basis and (e, 7, 6) radial part of the spherical basis, in float64: series of sines cancel in float32.

    Args:
        distance: (e,) angstrom.
        frequency: (6,) of the checkpoint.
    """
    from scipy.special import spherical_jn

    d = (distance / CUTOFF)[:, None]
    smooth = envelope(d)
    orders, zeros = np.arange(SPHERICAL)[:, None], bessel_zeros()
    norm = np.sqrt(2) / np.abs(spherical_jn(orders + 1, zeros))
    return smooth * np.sin(frequency * d), smooth[:, None] * norm * spherical_jn(orders, zeros * d[:, None])


def legendre(cosine: Array) -> Array:
    """(t, 7) spherical harmonics of order m = 0: sqrt((2 l + 1) / 4 pi) P_l(cosine)."""
    values = [jnp.ones_like(cosine), cosine]
    for n in range(1, SPHERICAL - 1):
        values.append(((2 * n + 1) * cosine * values[n] - n * values[n - 1]) / (n + 1))
    scale = np.sqrt((2 * np.arange(SPHERICAL) + 1) / (4 * np.pi)).astype(np.float32)
    return jnp.stack(values, axis=-1) * scale


def predict(weights: Weights, batch: Batch) -> np.ndarray:
    """(`CRYSTALS`,) mean over atoms of each crystal of a batch, in the units of the training; 0 for absent ones.

    Args:
        weights: arrays under the names of the checkpoint, without ``encoder.``.
        batch: padded graphs.
    """
    rbf, sbf = radial_bases(batch.distance, np.asarray(weights["rbf.freq"], float))
    arrays = Batch(*(jnp.asarray(field) for field in batch._replace(distance=batch.distance.astype(np.float32))))
    return np.asarray(_network(weights, arrays, jnp.asarray(rbf, jnp.float32), jnp.asarray(sbf, jnp.float32)))


@jax.jit
def _network(w: Weights, batch: Batch, rbf: Array, sbf: Array) -> Array:
    num_atoms = len(batch.z)
    # (t, 42): the radial part of the earlier edge times the angular part.
    basis = (sbf[batch.before] * legendre(batch.cosine)[:, :, None]).reshape(len(batch.before), -1)
    element = w["emb.emb.weight"][batch.z]
    pair = (element[batch.target], element[batch.source], _dense(w, "emb.lin_rbf", rbf, act=True))
    message = _dense(w, "emb.lin", jnp.concatenate(pair, axis=-1), act=True)
    total = _output(w, "output_blocks.0", message, rbf, batch.target, num_atoms)
    for block in range(_count(w, "interaction_blocks")):
        message = _interaction(w, f"interaction_blocks.{block}", message, rbf, basis, batch)
        total = total + _output(w, f"output_blocks.{block + 1}", message, rbf, batch.target, num_atoms)
    sums = jax.ops.segment_sum(total[:, 0], batch.crystal, CRYSTALS)
    counts = jax.ops.segment_sum(jnp.ones(num_atoms), batch.crystal, CRYSTALS)
    return sums / jnp.maximum(counts, 1.0)


def _interaction(w: Weights, name: str, message: Array, rbf: Array, basis: Array, batch: Batch) -> Array:
    """New messages from the old ones and those that end where each starts."""
    own = _dense(w, f"{name}.lin_ji", message, act=True)
    sent = _dense(w, f"{name}.lin_kj", message, act=True)
    sent = sent * _dense(w, f"{name}.lin_rbf2", _dense(w, f"{name}.lin_rbf1", rbf))
    sent = _dense(w, f"{name}.lin_down", sent, act=True)
    turned = sent[batch.before] * _dense(w, f"{name}.lin_sbf2", _dense(w, f"{name}.lin_sbf1", basis))
    received = jax.ops.segment_sum(turned, batch.after, len(message))
    hidden = own + _dense(w, f"{name}.lin_up", received, act=True)
    hidden = _residuals(w, f"{name}.layers_before_skip", hidden)
    hidden = _dense(w, f"{name}.lin", hidden, act=True) + message
    return _residuals(w, f"{name}.layers_after_skip", hidden)


def _output(w: Weights, name: str, message: Array, rbf: Array, target: Array, num_atoms: int) -> Array:
    """(n, 1) what the messages into each atom say."""
    hidden = jax.ops.segment_sum(message * _dense(w, f"{name}.lin_rbf", rbf), target, num_atoms)
    hidden = _dense(w, f"{name}.lin_up", hidden)
    for layer in range(_count(w, f"{name}.lins")):
        hidden = _dense(w, f"{name}.lins.{layer}", hidden, act=True)
    return _dense(w, f"{name}.lin", hidden)


def _residuals(w: Weights, name: str, hidden: Array) -> Array:
    for layer in range(_count(w, name)):
        inner = _dense(w, f"{name}.{layer}.lin1", hidden, act=True)
        hidden = hidden + _dense(w, f"{name}.{layer}.lin2", inner, act=True)
    return hidden


def _dense(w: Weights, name: str, x: Array, *, act: bool = False) -> Array:
    y: Array = x @ w[f"{name}.weight"].T
    if f"{name}.bias" in w:
        y = y + w[f"{name}.bias"]
    return y * jax.nn.sigmoid(y) if act else y


def _count(w: Weights, name: str) -> int:
    """How many numbered parts there are of a name."""
    return len({key[len(name) + 1 :].split(".")[0] for key in w if key.startswith(f"{name}.")})
