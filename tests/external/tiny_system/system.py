"""Generation: a space group by its frequency among those that the request allows, then elements on positions with room."""

import jax
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.errors import InputError
from symjax.generate.masks import masks_of
from symjax.generate.system import Draws, Option
from symjax.groups.tables import standard_setting
from symjax.train.weights import load_model
from symjax.wyckoff.occupancy import FormulaFitter
from symjax.wyckoff.set_table import build_set_table

MAX_ORBITS, MAX_ATOMS = 6, 40


class Tiny:
    name = "tiny"
    about = "frequencies, in a package of its own"
    draws_coordinates = False
    without_meaning = dict.fromkeys(
        ("sites", "below", "above", "parent"), "it draws groups and positions, and starts from nothing that is given"
    )
    options = (Option("sharpness", "of the distributions (default 1)", float, "S"),)

    def load(self, folder):
        params, _ = load_model(folder, self.name, stats=("known",))
        return params

    def sampler(self, weights, request, num, settings):
        return Sampler(weights, request, num, settings)


class Sampler:
    def __init__(self, params, request, num, settings):
        sharp = settings.options.get("sharpness", 1.0)
        if not sharp > 0:
            raise InputError(f"sharpness must be above 0, got {sharp}")
        self.masks, self.seed, self.orbits = masks_of(request), settings.seed, request.orbits
        self.elements = np.flatnonzero(self.masks.known_elements(params["stats"]["known"] > 0))
        self.weight = {name: np.exp(sharp * np.asarray(logits)) for name, logits in params["net"].items()}
        groups = np.array([n for n in self.masks.group_numbers().tolist() if self._has_room(n)])
        if not len(groups):
            raise InputError(f"no group that meets ({self.masks.text}) has room in {MAX_ATOMS} atoms")
        rng = np.random.default_rng(settings.seed)
        self.number = rng.choice(groups, num, p=share(self.weight["group"][groups]))
        self.sets = build_set_table([standard_setting(int(n)) for n in np.unique(self.number)])
        self.set_index = np.searchsorted(np.unique(self.number), self.number)

    def _bounds(self):
        return (self.orbits or 1, self.orbits or MAX_ORBITS)

    def _has_room(self, number):
        if self.masks.formula is None:
            return True
        low, high = self._bounds()
        counts = tuple(self.masks.formula.values())
        possible = FormulaFitter.of_type(number).possible_orbits(counts, max_orbits=high, max_atoms=MAX_ATOMS)
        return possible[low:].any()

    def draw(self, rows, attempt):
        rng = np.random.default_rng((self.seed, attempt))
        z, pos = np.zeros((2, len(rows), MAX_ORBITS), np.int32)
        reason = []
        for i, row in enumerate(rows.tolist()):
            placed = self._placed(rng, int(self.number[row]))
            found = {element for element, _ in placed}
            size = sum(np.asarray(self.sets.pos_mult)[self.set_index[row], p] for _, p in placed)
            met = self.masks.required[list(found)].sum() == self.masks.required.sum() and size <= MAX_ATOMS
            reason.append("" if placed and met else "too large or other elements")
            for slot, (element, position) in enumerate(placed):
                z[i, slot], pos[i, slot] = element, position
        return Draws(StructureTypes(self.sets, self.set_index[rows], z, pos), reason, None, None, None, {})

    def _placed(self, rng, number):
        """(element, position) of each orbit."""
        fitter, formula, placed = FormulaFitter.of_type(number), self.masks.formula, []
        low, high = self._bounds()
        elements = np.array(list(formula)) if formula else self.elements
        size = int(rng.integers(low, min(high, max(low, 3)) + 1))
        while len(placed) < (high if formula else size):
            z, pos = (np.array([one[side] for one in placed], int) for side in (0, 1))
            if formula:
                open_sites = fitter.open_sites(z, pos, formula, max_atoms=MAX_ATOMS, orbits=(low, high))
                room = open_sites.sites
                if open_sites.end:
                    break
            else:
                full = [np.sum(pos == p) >= c for p, c in enumerate(fitter.capacity)]
                room = np.repeat(~np.array(full)[None], len(elements), 0)
            if not room.any():
                return []
            chance = room * self.weight["element"][elements][:, None] / np.array(fitter.multiplicity)
            pick = int(rng.choice(chance.size, p=share(chance.ravel())))
            placed.append((int(elements[pick // room.shape[1]]), pick % room.shape[1]))
        return placed

    def realise_key(self, attempt):
        return jax.random.key(self.seed * 1000 + attempt)


def share(weight):
    return weight / weight.sum()
