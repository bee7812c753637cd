"""Drawing crystals for a request, SymmCD's `symjax.generate.system.Sampler`.

Group and number of orbits come from training frequencies, then reverse diffusion and projection. Every crystal has its space group
by construction: representatives are moved onto Wyckoff positions and the orbits are made by the operations of the standard setting.
(Not so in the unit-cell variant, where the group is only a condition and crystals are written in P1.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from scipy.optimize import linear_sum_assignment

from symjax.data.structure_types import StructureTypes, closest_ratios
from symjax.diffusion.rng import row_keys, seed_key
from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import InputError, SymjaxError
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.generate.system import Draws, Settings
from symjax.groups.tables import standard_setting
from symjax.lattice import log_from_lattice
from symjax.models.symmcd.projection import Projected, hamming_log_prob, project, projection_tables, replicate
from symjax.models.symmcd.representation import lattice_from_k
from symjax.models.symmcd.requests import allowed_types, draw_requests, most_atoms
from symjax.models.symmcd.sample import Drawn, Held, SymmcdSampling, sample_all
from symjax.models.symmcd.weights import SymmcdWeights
from symjax.wyckoff.placement import ATOMS, place, site_classes
from symjax.wyckoff.set_table import SetTable, build_set_table

_LARGEST = 6.0  # |k| beyond this is no cell: edges under 0.003 or over 400 angstrom


class SymmcdSampler:
    """Draws crystals (see `symjax.generate.system.Sampler`).

    Properties of each: `moved` (largest distance in angstrom a representative was projected over) and `site_cost` (largest loss of
    log-probability in projecting a site symmetry; 0 where sites were decided on the way).
    """

    def __init__(self, weights: SymmcdWeights, request: Request, num: int, settings: Settings):
        options, counts = weights.options, weights.counts
        self.shapes: set[tuple[int, int]] = set()
        self.weights, self.request, self.settings = weights, request, settings
        self.sampling = SymmcdSampling(num_steps=settings.steps)
        if options.unit_cell and request.orbits is not None:
            raise InputError(
                "a number of orbits cannot be asked of these weights: the unit-cell variant draws atoms, not orbits"
            )
        self.masks = masks_of(request)
        self.allowed, most = allowed_types(counts, self.masks), most_atoms(options)
        self.number, orbits = draw_requests(
            counts,
            self.masks,
            num,
            rng=np.random.default_rng(settings.seed),
            max_orbits=options.buckets[-1],
            max_atoms=most,
            unit_cell=options.unit_cell,
        )
        self.orbits = np.maximum(orbits, len(request.required))
        self.decide = self._decider(most) if request.formula is not None else self._placer()
        self._prepare()

    def _prepare(self) -> None:
        """Operations of the crystals, and what projecting needs."""
        numbers = tuple(int(n) for n in np.unique(self.number))
        self.sets, self.tables = standard_sets(numbers), projection_tables(numbers)
        self.set_index = np.searchsorted(numbers, self.number)

    def realise_key(self, attempt: int) -> jax.Array:
        """There is none.

        Raises:
            SymjaxError: always; coordinates are drawn, and the loop refuses a realiser beforehand.
        """
        raise SymjaxError("symmcd draws lattice and coordinates itself: there is no key for a realiser")

    def draw(self, rows: np.ndarray, attempt: int) -> Draws:
        """Draw and project; a row is nothing where there is no cell, atoms coincide, or elements are missing."""
        drawn, mask = sample_all(
            self.weights.params,
            self.weights.options,
            row_keys(jax.random.fold_in(seed_key(self.settings.seed), attempt), rows),
            self.number[rows],
            self.orbits[rows],
            allowed=self.allowed,
            sampler=self.sampling,
            batch_size=self.settings.batch_size,
            decide=None if self.decide is None else functools.partial(self.decide, rows),
            hold_sites=self.request.formula is not None,
            progress=None if attempt else self.settings.report("diffusion"),
            shapes=self.shapes,
        )
        z = np.where(mask, drawn.types + 1, 0)
        finite = np.isfinite(drawn.k).all(axis=1) & np.isfinite(drawn.x).all(axis=(1, 2))
        usable = finite & (np.abs(drawn.k) < _LARGEST).all(axis=1)
        L = np.asarray(lattice_from_k(np.where(usable[:, None], drawn.k, 0.0).astype(np.float64)))
        placed = self._place(rows, L, z, drawn, mask)
        wanted = np.array(
            [self.masks.required[1:][np.unique(row[row > 0]) - 1].sum() == self.masks.required.sum() for row in z]
        )
        later = np.where(wanted, placed.reasons, [reason or "other elements" for reason in placed.reasons])
        reasons = np.where(usable, later, "no cell")
        good, index = np.flatnonzero(reasons == ""), self.set_index[rows]
        types = StructureTypes(self.sets, index, z, placed.pos)
        k, ratio = log_coefficients(self.sets, index, L), np.zeros(len(rows))
        if len(good):
            ratio[good] = closest_ratios(types.take(good), k[good], placed.x[good])
        return Draws(types, [str(one) for one in reasons], k, placed.x, ratio, self._properties(rows, placed))

    def _place(self, rows: np.ndarray, L: np.ndarray, z: np.ndarray, drawn: Drawn, mask: np.ndarray) -> _Placed:
        """Positions, and points on them."""
        found = self._project(rows, L, drawn, mask)
        made = replicate(self.number[rows], L, z, found, mask=mask)
        x = np.zeros((*mask.shape, 3))
        for i, crystal in enumerate(made.crystals):
            if crystal is not None:
                x[i, mask[i]] = crystal.x
        worst = (np.where(mask, np.asarray(values), 0.0).max(axis=1) for values in (found.moved, found.site_cost))
        return _Placed(np.asarray(made.reasons), np.where(mask, np.asarray(found.pos), 0), x, *worst)

    def _project(self, rows: np.ndarray, L: np.ndarray, drawn: Drawn, mask: np.ndarray) -> Projected:
        """Nearest positions, in batches padded to powers of two so that few programs are compiled."""
        size = max(8, 1 << (len(rows) - 1).bit_length())
        padded = np.resize(np.arange(len(rows)), size)
        scores = drawn.site_log_prob
        if self.request.formula is not None:  # sites were held; what is nearest to them has room
            scores = np.asarray(hamming_log_prob(drawn.sites), np.float32)
        found = _project(
            self.tables,
            self.number[rows][padded],
            L[padded],
            drawn.x[padded],
            site_log_prob=scores[padded],
            mask=mask[padded],
        )
        return Projected(*(np.asarray(values)[: len(rows)] for values in found))

    def _properties(self, rows: np.ndarray, placed: _Placed) -> dict[str, np.ndarray]:
        del rows
        return {"moved": placed.moved, "site_cost": placed.cost}

    def _decider(
        self, max_atoms: int
    ) -> Callable[[np.ndarray, np.ndarray, Drawn, np.ndarray], tuple[Held, np.ndarray]]:
        """What places the exact formula on the orbits, see `symjax.models.symmcd.sample.Decide`.

        Its first argument says which of the crystals are being drawn, its second which of these are in the batch.
        """
        formula, unit_cell = self.request.formula or {}, self.weights.options.unit_cell
        classes_of_types = np.array([ATOMIC_NUMBERS[name] - 1 for name in formula])
        counts = tuple(formula.values())

        def decide(drawn_rows: np.ndarray, rows: np.ndarray, drawn: Drawn, mask: np.ndarray) -> tuple[Held, np.ndarray]:
            types, sites, lost = np.array(drawn.types), np.array(drawn.sites), np.zeros(len(mask))
            assert drawn.type_log_prob is not None
            type_scores = np.asarray(drawn.type_log_prob, np.float64)[..., classes_of_types]
            for i, row in enumerate(drawn_rows[rows]):
                real = mask[i]
                classes = ATOMS if unit_cell else site_classes(int(self.number[row]))
                log_prob = np.asarray(drawn.site_log_prob[i][real], np.float64)  # (m, 15, 13)
                site_scores = np.take_along_axis(log_prob, classes.site.T[None].astype(np.int64), axis=2).sum(axis=1)
                placed = place(classes, counts, type_scores[i][real], site_scores, max_atoms=max_atoms)
                types[i, real] = classes_of_types[placed.element]
                sites[i, real] = classes.site[placed.site_class]
                lost[i] = placed.lost
            return Held(types, sites), lost

        return decide

    def _placer(self) -> Callable[[np.ndarray, np.ndarray, Drawn, np.ndarray], tuple[Held, np.ndarray]] | None:
        """What gives elements that must occur an orbit each, the ones that change the draw's log-probability least; None without
        such elements. Arguments as `_decider`.
        """
        needed = np.flatnonzero(self.masks.required[1:])
        if not len(needed):
            return None

        def decide(drawn_rows: np.ndarray, rows: np.ndarray, drawn: Drawn, mask: np.ndarray) -> tuple[Held, np.ndarray]:
            del drawn_rows, rows
            types, lost = np.array(drawn.types), np.zeros(len(mask))
            scores = np.asarray(drawn.type_log_prob, np.float64)
            for i, real in enumerate(mask):
                own = scores[i, real]
                drawn_types = types[i, real]
                gain = own[:, needed] - np.take_along_axis(own, drawn_types[:, None], 1)
                at, which = linear_sum_assignment(-gain)
                drawn_types[at] = needed[which]
                types[i, real] = drawn_types
                lost[i] = -gain[at, which].sum()
            return Held(types, None), lost

        return decide


class _Placed(NamedTuple):
    """Draws as crystals: why there is none `(b,)`, positions `(b, m)`, points `(b, m, 3)`, and what projecting cost `(b,)`."""

    reasons: np.ndarray
    pos: np.ndarray
    x: np.ndarray
    moved: np.ndarray
    cost: np.ndarray


class CellSampler(SymmcdSampler):
    """The same for the unit-cell variant: atoms stay where they were drawn, in P1; nothing is projected.

    Property of each crystal: `requested_group`.
    """

    def _prepare(self) -> None:
        self.sets = standard_sets((1,))
        self.set_index = np.zeros(len(self.number), np.int64)

    def _place(self, rows: np.ndarray, L: np.ndarray, z: np.ndarray, drawn: Drawn, mask: np.ndarray) -> _Placed:
        free, x = np.zeros(len(rows)), np.where(mask[..., None], drawn.x.astype(np.float64), 0.0)
        return _Placed(np.full(len(rows), ""), np.zeros(mask.shape, np.int32), x, free, free)

    def _properties(self, rows: np.ndarray, placed: _Placed) -> dict[str, np.ndarray]:
        del placed
        return {"requested_group": self.number[rows].astype(np.float64)}


_project = jax.jit(project)


@functools.lru_cache(maxsize=4)
def standard_sets(numbers: tuple[int, ...]) -> SetTable:
    """Table of the standard settings of space groups, in that order."""
    return build_set_table([standard_setting(number) for number in numbers])


def log_coefficients(sets: SetTable, set_index: np.ndarray, L: np.ndarray) -> np.ndarray:
    """`(b, 6)` coefficients of `symjax.lattice` of lattices, with no component the operations forbid."""
    k = log_from_lattice(L, np.asarray(sets.frame)[set_index])
    return np.einsum("bij,bj->bi", np.asarray(sets.k_projector)[set_index], k)
