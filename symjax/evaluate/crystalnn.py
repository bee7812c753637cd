"""Order parameters of an atom and its neighbours, for the kinds and parameters that CrystalNN fingerprints use.

The same numbers as pymatgen's `LocalStructOrderParams` (which remains the reference, and is asked where a result would hang on
rounding), worked out for all pairs and triples of neighbours at once. In each, neighbour j is put at the north pole and neighbour k
on the prime meridian; a third neighbour m then has a polar angle from j and an azimuth from k.

Sources: Peters, J. Chem. Phys. 131 (2009) 244103; Zimmermann and Jain, RSC Advances 10 (2020) 6063; Steinhardt, Nelson and
Ronchetti, Phys. Rev. B 28 (1983) 784 (q2, q4, q6, here by the addition theorem of spherical harmonics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

NO_AXIS = 1e-12
"""A neighbour nearer than this to the pole's axis (sine of the angle) has no azimuth."""
NEAR = 1e-7
"""Angles this near to a jump of an order parameter (rad) are left to the reference."""

_TARGET = frozenset({"tri_plan_max", "tet_max", "pent_plan_max"})
_EQUATOR = frozenset({"T", "tri_pyr", "sq_pyr", "pent_pyr", "hex_pyr"})
_SOUTH = frozenset({"see_saw_rect", "tri_bipyr", "pent_bipyr", "hex_bipyr", "oct_max", "sq_plan_max", "hex_plan_max"})
_WIDEST_SEE_SAW = 0.75 * np.pi

Parameters = Mapping[Any, float]


@dataclass(frozen=True)
class Angles:
    """Angles between the neighbours of one atom.

    Attributes:
        theta: (n, n) angle between neighbours j and k, rad.
        phi: (n, n, n) azimuth of m from k around j, rad, 0 to pi; 0 where it does not exist.
        pairs: (n, n) bool, j and k differ.
        south: (n, n, n) bool, j, k, m differ and k gives a meridian.
        live: (n, n, n) bool, moreover m has an azimuth.
        clear: whether no direction is so near an axis that rounding decides about its azimuth.
    """

    theta: np.ndarray
    phi: np.ndarray
    pairs: np.ndarray
    south: np.ndarray
    live: np.ndarray
    clear: bool


def angles(away: np.ndarray) -> Angles:
    """Angles of the (n, 3) vectors from an atom to its neighbours."""
    unit = away / np.linalg.norm(away, axis=1, keepdims=True)
    cosine = np.clip(unit @ unit.T, -1.0, 1.0)
    across = unit[None] - cosine[:, :, None] * unit[:, None]
    length = np.linalg.norm(across, axis=-1)
    same = np.eye(len(unit), dtype=bool)
    axis = (length >= NO_AXIS) & ~same
    across = np.where(axis[:, :, None], across / np.where(axis, length, 1.0)[:, :, None], 0.0)
    phi = np.arccos(np.clip(across @ across.transpose(0, 2, 1), -1.0, 1.0))
    south = axis[:, :, None] & ~same[:, None] & ~same[None]
    live = south & axis[:, None]
    between = ~same & (length > 0.1 * NO_AXIS) & (length < 1e-6)
    return Angles(np.arccos(cosine), np.where(live, phi, 0.0), ~same, south, live, not between.any())


def order_parameter(kind: str, parameters: Parameters, found: Angles, distances: np.ndarray) -> float | None:
    """One order parameter of an atom, or None where rounding decides or the kind is not known here.

    Args:
        kind: pymatgen's name of the type.
        parameters: its parameters, as pymatgen keeps them.
        found: angles between the neighbours.
        distances: (n,) their distances.
    """
    num = len(distances)
    if kind == "sgl_bd":
        first = np.sort(distances)
        return 1.0 if num == 1 else float(1 - first[0] / first[1])
    if kind in ("q2", "q4", "q6"):
        return _steinhardt(int(kind[1]), found)
    if not found.clear or _at_jump(kind, parameters, found):
        return None
    if kind == "bent":
        return float(_gauss(parameters["IGW_TA"] * (found.theta / np.pi - parameters["TA"]))[found.pairs].mean())
    if kind == "bcc":
        return _bcc(parameters, found)
    if kind == "cuboct_max":
        return _largest(*_cuboctahedron(parameters, found), found)
    if kind in _TARGET or kind in _EQUATOR or kind in _SOUTH:
        return _largest(*_motif(kind, parameters, found), found)
    return None


def bcc_terms(parameters: Parameters, found: Angles) -> np.ndarray:
    """(n, n) terms of the bcc parameter for j at the pole and k on the meridian, where k is not near the south pole."""
    scaled = (found.theta - np.pi / 2) / np.arcsin(1 / 3)
    terms = np.where(found.live, np.cos(3 * found.phi), 0.0) * (scaled * np.exp(0.5 - 0.5 * scaled**2))[:, None]
    return np.where(found.theta > np.pi / 2, 1.0, -1.0) * terms.sum(axis=-1) * (found.theta < parameters["min_SPP"])


def bcc_norm(num: int) -> float:
    """What the sum over pairs of the bcc parameter is divided by."""
    return 0.5 * num * (6 + (num - 2) * (num - 3))


def _bcc(p: Parameters, found: Angles) -> float:
    polar = p["w_SPP"] * _gauss(p["IGW_SPP"] * (found.theta / np.pi - 1)) * (found.theta >= p["min_SPP"])
    num = len(found.theta)
    return float(np.triu(polar + bcc_terms(p, found), 1).sum() / bcc_norm(num)) if num > 3 else 0.0


def _motif(kind: str, p: Parameters, found: Angles) -> tuple[np.ndarray, np.ndarray]:
    """(n, n) sums and weights: a Gaussian of each polar angle times a power of the cosine of each azimuth."""
    theta = found.theta / np.pi
    if kind == "pent_plan_max":
        near = _gauss(p["IGW_TA"] * (theta - np.where(theta <= p["TA"], 0.4, 0.8)))
    elif kind in _TARGET:
        near = _gauss(p["IGW_TA"] * (theta - p["TA"]))
    elif kind == "hex_plan_max":
        near = _gauss(p["IGW_TA"] * (np.abs(theta - 0.5) - p["TA"]))
    else:
        near = _gauss(p["IGW_EP"] * (theta - 0.5))
    first, third = found.pairs, found.live
    if kind in _SOUTH:
        north = found.theta < p["min_SPP"]
        first, third = first & north, third & north[:, :, None] & north[:, None]
        if kind == "see_saw_rect":
            third = third & (found.phi < _WIDEST_SEE_SAW)
    turn = np.cos(p.get("fac_AA", 1.0) * found.phi) ** int(p.get("exp_cos_AA", 2))
    total = np.where(first, near, 0.0) + np.where(third, turn * near[:, None], 0.0).sum(axis=-1)
    weight = first + third.sum(axis=-1)
    if kind in _SOUTH:
        polar = found.south & ~north[:, None]
        total = total + np.where(polar, _gauss(p["IGW_SPP"] * (theta - 1))[:, None], 0.0).sum(axis=-1)
        weight = weight + polar.sum(axis=-1)
    return total, weight


def _cuboctahedron(p: Parameters, found: Angles) -> tuple[np.ndarray, np.ndarray]:
    theta, low, high = found.theta, p[4], p[2]
    polar = found.pairs & (theta >= p["min_SPP"])
    total = np.where(polar, p["w_SPP"] * _gauss(p["IGW_SPP"] * (theta / np.pi - 1)), 0.0)
    belt = (theta > low) & (theta < high)
    tilt = _gauss(0.0556 * (np.sin(found.phi) - 0.81649658))
    value = np.where(
        belt[:, None],
        np.cos(found.phi) ** 2 * _gauss(p[5] * (theta / np.pi - 0.5))[:, None],
        tilt * _gauss(p[6] * (theta / np.pi - np.where(theta < low, 1 / 3, 2 / 3)))[:, None],
    )
    third = found.live & belt[:, :, None] & (theta < p["min_SPP"])[:, None]
    return total + np.where(third, value, 0.0).sum(axis=-1), p["w_SPP"] * polar + third.sum(axis=-1)


def _largest(total: np.ndarray, weight: np.ndarray, found: Angles) -> float:
    """Largest mean over pairs; 0 for fewer than two neighbours."""
    if len(total) < 2:
        return 0.0
    return float(np.where(weight > NO_AXIS, total / np.maximum(weight, NO_AXIS), 0.0)[found.pairs].max())


def _steinhardt(order: int, found: Angles) -> float:
    coefficients = np.zeros(order + 1)
    coefficients[order] = 1.0
    mean = np.polynomial.legendre.legval(np.cos(found.theta), coefficients).mean()
    return float(np.sqrt(max(mean, 0.0)))


def _at_jump(kind: str, p: Parameters, found: Angles) -> bool:
    """Whether an angle is so near a jump that rounding decides."""
    jumps = {
        "bcc": lambda: [p["min_SPP"], np.pi / 2],
        "cuboct_max": lambda: [p["min_SPP"], p[2], p[4]],
        "pent_plan_max": lambda: [p["TA"] * np.pi],
    }.get(kind, lambda: [p["min_SPP"]] if kind in _SOUTH else [])()
    theta = found.theta[found.pairs]
    if any((np.abs(theta - jump) < NEAR).any() for jump in jumps):
        return True
    return kind == "see_saw_rect" and bool((np.abs(found.phi[found.live] - _WIDEST_SEE_SAW) < NEAR).any())


def _gauss(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x * x)
