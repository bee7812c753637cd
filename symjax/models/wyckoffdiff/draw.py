"""Drawing protostructures for a request, WyckoffDiff's `symjax.generate.system.Sampler`; a realiser gives lattice and coordinates.

The space group comes from training frequencies and is never diffused. A draw without orbits, without an element that was asked for,
or with more orbits or atoms than the training data have is nothing, and is drawn again in its group.
"""

from __future__ import annotations

from collections import Counter

import jax
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.diffusion.rng import row_keys, seed_key
from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS
from symjax.generate.groups import draw_groups
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.generate.sites import position_indices
from symjax.generate.system import Draws, Settings
from symjax.groups.tables import standard_setting
from symjax.models.wyckoffdiff.occupations import structure_types
from symjax.models.wyckoffdiff.requests import MAX_ATOMS, allowed_elements, asked_of, demand_of, groups_of
from symjax.models.wyckoffdiff.sample import Plan, sample, steps_of
from symjax.models.wyckoffdiff.weights import WyckoffdiffWeights
from symjax.wyckoff.set_table import build_set_table

INDEPENDENT = 2
"""Draws in which elements that must occur are left to chance, before they become a demand on the whole crystal."""


class WyckoffdiffSampler:
    """Draws structure types (see `symjax.generate.system.Sampler`)."""

    def __init__(self, weights: WyckoffdiffWeights, request: Request, num: int, settings: Settings):
        self.weights, self.settings = weights, settings
        self.type_key, self.geometry_key = jax.random.split(seed_key(settings.seed))
        self.masks = masks_of(request)
        self.elements = allowed_elements(weights, self.masks)
        groups = groups_of(weights, self.masks)
        self.asked = asked_of(weights, self.masks, settings.options, self.elements)
        self.shapes: set[tuple[int, int]] = set()
        self.num_steps = settings.options.get("reverse_steps")
        steps_of(weights.options, self.num_steps)  # refuses too many before anything is drawn
        self.number = draw_groups(weights.group_counts, groups, num, np.random.default_rng(settings.seed))
        drawn = np.unique(self.number)
        self.sets = build_set_table([standard_setting(int(group)) for group in drawn])
        self.set_index = np.searchsorted(drawn, self.number)

    def draw(self, rows: np.ndarray, attempt: int) -> Draws:
        """Draw protostructures; a row is nothing where it has no orbit, lacks an element, or is too large."""
        demand, used = demand_of(self.masks, self.elements, whole=attempt >= INDEPENDENT)
        orbits, met = sample(
            self.weights.params,
            self.weights.options,
            row_keys(jax.random.fold_in(self.type_key, attempt), rows),
            self.number[rows],
            Plan(self.asked, demand, used, self.num_steps, self.settings.batch_size, self.shapes),
            progress=None if attempt else self.settings.report("protostructures"),
        )
        types = structure_types(orbits, self.sets, self.set_index[rows])
        present = np.zeros((len(rows), NUM_ELEMENTS), bool)
        present[np.arange(len(rows))[:, None], types.z] = True
        most, given = self.weights.max_orbits, self._given(types)
        reasons = np.select(
            [
                ~met,
                ~types.orbit_mask.any(axis=1),
                (self.masks.required & ~present).any(axis=1) | ~given,
                types.orbit_mask.sum(axis=1) > most,
                types.num_atoms() > MAX_ATOMS,
            ],
            [
                "no occupation of the group within the counts of these weights meets the request",
                "no orbit",
                "other elements or orbits",
                f"more than {most} orbits",
                f"more than {MAX_ATOMS} atoms",
            ],
            "",
        )
        return Draws(types, [str(one) for one in reasons], None, None, None, self._requested(len(rows)))

    def _requested(self, num: int) -> dict[str, np.ndarray]:
        """The numeric conditions that each crystal was drawn for, as `symjax evaluate --metrics adaptor` reads them."""
        given = {name: np.asarray(value) for name, value in self.asked.conditions.items()}
        return {f"requested_{name}": np.full(num, float(value)) for name, value in given.items() if value.ndim == 0}

    def _given(self, types: StructureTypes) -> np.ndarray:
        """(n,) bool whether all given orbits are there; the last index of the noise leaves a share of 2e-5 to chance."""
        held = np.ones(len(types.z), bool)
        if sites := self.masks.request.sites:
            positions = position_indices(sites, self.masks.request.groups[0]).tolist()
            needed = Counter((ATOMIC_NUMBERS[name], pos) for (name, _), pos in zip(sites, positions, strict=True))
            for (z, pos), count in needed.items():
                held &= ((types.z == z) & (types.pos == pos)).sum(axis=1) >= count
        return held

    def realise_key(self, attempt: int) -> jax.Array:
        """One key an attempt."""
        return jax.random.fold_in(self.geometry_key, attempt)
