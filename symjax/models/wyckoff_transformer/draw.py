"""Drawing representations for a request, WyckoffTransformer's `symjax.generate.system.Sampler`.

The space group comes from training frequencies, elements on its positions from the model; a realiser gives lattice and coordinates.
Whatever gives no crystal (an invalid sample of unmasked sampling, a representation that cannot be realised) is drawn again in its
space group.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.diffusion.rng import seed_key
from symjax.elements import NUM_ELEMENTS
from symjax.errors import InputError
from symjax.generate.groups import draw_groups
from symjax.generate.masks import Masks, masks_of
from symjax.generate.request import Request
from symjax.generate.system import Draws, Settings
from symjax.groups.tables import standard_setting
from symjax.models.wyckoff_transformer.conditions import Conditions, conditions_of
from symjax.models.wyckoff_transformer.sample import MAX_ATOMS, formula_groups, sample
from symjax.models.wyckoff_transformer.tokens import REASONS
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
from symjax.models.wyckoff_transformer.weights import WyckoffWeights
from symjax.wyckoff.set_table import build_set_table


class WyckoffSampler:
    """Draws structure types (see `symjax.generate.system.Sampler`)."""

    def __init__(self, weights: WyckoffWeights, request: Request, num: int, settings: Settings):
        self.weights, self.settings = weights, settings
        self.type_key, self.geometry_key = jax.random.split(seed_key(settings.seed))
        masks = masks_of(request)
        self.conditions = wyckoff_conditions(masks, weights.vocabulary)
        self.temperature = settings.options.get("temperature", 1.0)
        self.masked = not settings.options.get("unmasked", False)
        rng = np.random.default_rng(settings.seed)
        self.number = draw_groups(weights.group_counts, self._groups(masks), num, rng)
        groups = np.unique(self.number)
        self.sets = build_set_table([standard_setting(int(group)) for group in groups])
        self.set_index = np.searchsorted(groups, self.number)

    def _groups(self, masks: Masks) -> Sequence[int]:
        """Space groups to draw from; all where nothing is asked of the operations."""
        if masks.groups is None and masks.formula is None:
            return ()
        known = np.zeros(len(self.weights.group_counts), bool)
        known[list(self.weights.vocabulary.groups)] = True
        unknown = [group for group in masks.request.groups if not known[group]]
        if unknown:
            raise InputError(
                f"space group {unknown[0]} is not among the {known.sum()} of the vocabulary {self.weights.vocabulary.name!r}, "
                "whose features do not tell it from others; train with the vocabulary 'all' for it"
            )
        numbers = masks.group_numbers(known).tolist()
        if masks.formula is None:
            return numbers
        bounds = (self.conditions.min_sites, self.conditions.max_sites)
        found = formula_groups(masks.formula, numbers, bounds)
        if not found:
            raise InputError(
                f"no group that meets ({masks.text}) has positions for the formula in a conventional cell of at most {MAX_ATOMS} "
                f"atoms with {bounds[0]} to {bounds[1]} orbits; ask for another formula or group"
            )
        return found

    def draw(self, rows: np.ndarray, attempt: int) -> Draws:
        """Draw representations; a row is nothing where an unmasked sample is invalid."""
        decoded = sample(
            self.weights.params,
            self.weights.options.network,
            jax.random.fold_in(self.type_key, attempt),
            self.number[rows],
            vocabulary=self.weights.vocabulary,
            conditions=self.conditions,
            temperature=self.temperature,
            masked=self.masked,
            progress=None if attempt else self.settings.report("Wyckoff positions"),
        ).decode()
        valid = np.asarray(decoded.valid, bool)
        reason = ["" if ok else REASONS[code] for ok, code in zip(valid, decoded.reason, strict=True)]
        z, pos = (np.where(valid[:, None], values, 0) for values in (decoded.z, decoded.pos))
        types = StructureTypes(self.sets, self.set_index[rows], z.astype(np.int32), pos.astype(np.int32))
        return Draws(types, reason, None, None, None, {})

    def realise_key(self, attempt: int) -> jax.Array:
        """One key an attempt."""
        return jax.random.fold_in(self.geometry_key, attempt)


def wyckoff_conditions(masks: Masks, vocabulary: Vocabulary) -> Conditions:
    """A request in tokens.

    Raises:
        InputError: an element that the vocabulary lacks, or a position that there is not.
    """
    known = np.zeros(NUM_ELEMENTS, bool)
    known[vocabulary.atomic_numbers[: len(vocabulary.elements)]] = True
    masks.known_elements(known)
    return conditions_of(masks, vocabulary)
