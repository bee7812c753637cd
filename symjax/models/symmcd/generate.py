"""From nothing to crystals with SymmCD: group and number of orbits from training frequencies, reverse diffusion, projection.

Every crystal has its space group by construction: representatives are moved onto Wyckoff positions and the orbits are made by the
operations of the standard setting. (Not so in the unit-cell variant, where the group is only a condition and crystals are written
in P1.) A sample that gives no crystal (no cell, coinciding atoms) is drawn again, counted, and reported.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes, closest_ratios, dataset_from_types
from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import InputError, SymjaxError
from symjax.groups.tables import standard_setting
from symjax.lattice import log_from_lattice
from symjax.models.symmcd.projection import Projected, hamming_log_prob, project, projection_tables, replicate
from symjax.models.symmcd.representation import lattice_from_k
from symjax.models.symmcd.requests import TEN_GROUPS, Request, allowed_types, draw_requests, most_atoms
from symjax.models.symmcd.sample import Drawn, Held, SamplerOptions, sample_all
from symjax.models.symmcd.weights import SymmcdWeights
from symjax.wyckoff.placement import ATOMS, place, site_classes
from symjax.wyckoff.set_table import SetTable, build_set_table

__all__ = ["TEN_GROUPS", "Generated", "Request", "generate"]

_ROUNDS = 8  # times a failing crystal is drawn at most
_LARGEST = 6.0  # |k| beyond this is no cell: edges under 0.003 or over 400 angstrom


@dataclasses.dataclass(frozen=True)
class Generated:
    """Generated crystals.

    Attributes:
        dataset: the crystals, with the properties `min_ratio` (smallest distance over the sum of covalent radii), `draws` (times a
            crystal was drawn), `moved` (largest distance in angstrom a representative was projected over) and `site_cost` (largest
            loss of log-probability in projecting a site symmetry; 0 where sites were decided on the way). Of the unit-cell variant:
            in P1, every atom an orbit, with the properties `min_ratio`, `draws` and `requested_group`.
        attempts: crystals drawn in all.
        failed: reason -> draws that gave no crystal.
    """

    dataset: CrystalDataset
    attempts: int
    failed: dict[str, int]


def generate(
    weights: SymmcdWeights,
    num: int,
    *,
    seed: int = 0,
    request: Request | None = None,
    sampler: SamplerOptions | None = None,
    min_ratio: float = 0.0,
    max_draws: int = 4,
    batch_size: int = 128,
    progress: Callable[[str, int], object] | None = None,
) -> Generated:
    """Generate crystals.

    Args:
        weights: from `load_weights`.
        num: number of crystals, at least 1.
        seed: equal seeds, weights and arguments give equal crystals on one kind of device.
        request: what is asked for; None for nothing.
        sampler: reverse diffusion options.
        min_ratio: a crystal is drawn again, with its group and number of orbits, while two atoms sit closer than this share of the
            sum of their covalent radii, up to `max_draws` draws; the best is kept. 0 keeps every first draw (raw rates).
        progress: called with a stage name and a number of crystals finished.

    Raises:
        InputError: `num` is not positive or the request cannot be met.
        SymjaxError: crystals kept failing.
    """
    if num < 1:
        raise InputError(f"number of crystals must be at least 1, got {num}")
    request, sampler = request or Request(), sampler or SamplerOptions()
    counts, options = weights.counts, weights.options
    if options.unit_cell and request.orbits is not None:
        raise InputError(
            "a number of orbits cannot be asked of these weights: the unit-cell variant draws atoms, not orbits"
        )
    allowed = allowed_types(counts, request)
    most = most_atoms(options)
    number, orbits = draw_requests(
        counts,
        request,
        num,
        rng=np.random.default_rng(seed),
        max_orbits=options.buckets[-1],
        max_atoms=most,
        unit_cell=options.unit_cell,
    )
    orbits = np.maximum(orbits, len(set(request.elements)))
    decide = None if request.formula is None else _decider(request, number, unit_cell=options.unit_cell, max_atoms=most)
    maker = (_CellMaker if options.unit_cell else _Maker)(number, int(orbits.max()), request)
    rows, attempts = np.arange(num), 0
    for attempt in range(_ROUNDS):
        drawn, mask = sample_all(
            weights.params,
            options,
            jax.random.fold_in(jax.random.key(seed), attempt),
            number[rows],
            orbits[rows],
            allowed=allowed,
            sampler=sampler,
            batch_size=batch_size,
            decide=None if decide is None else functools.partial(decide, rows),
            progress=None if progress is None or attempt else (lambda done: progress("diffusion", done)),
        )
        attempts += len(rows)
        maker.keep_better(rows, drawn, mask)
        short = (maker.ratio < min_ratio) & (attempt + 1 < max_draws)
        rows = np.flatnonzero((maker.ratio < 0) | short)
        if not len(rows):
            break
    if (lost := int((maker.ratio < 0).sum())) > 0:
        raise SymjaxError(
            f"{lost} of {num} crystals failed {_ROUNDS} times ({_listed(maker.failed)}): the weights may be trained too little, or "
            "what is asked for is rare"
        )
    return Generated(maker.dataset({"model": "symmcd", "seed": seed}), attempts, dict(maker.failed))


def _decider(
    request: Request, number: np.ndarray, *, unit_cell: bool, max_atoms: int
) -> Callable[[np.ndarray, np.ndarray, Drawn, np.ndarray], tuple[Held, np.ndarray]]:
    """What places an exact formula on the orbits of crystals of groups `number (c,)`, see `symjax.models.symmcd.sample.Decide`.

    Its first argument says which of the c crystals are being drawn, its second which of these are in the batch.
    """
    assert request.formula is not None
    classes_of_types = np.array([ATOMIC_NUMBERS[name] - 1 for name in request.formula])
    counts = tuple(request.formula.values())

    def decide(drawn_rows: np.ndarray, rows: np.ndarray, drawn: Drawn, mask: np.ndarray) -> tuple[Held, np.ndarray]:
        types, sites, lost = np.array(drawn.types), np.array(drawn.sites), np.zeros(len(mask))
        assert drawn.type_log_prob is not None
        type_scores = np.asarray(drawn.type_log_prob, np.float64)[..., classes_of_types]
        for i, row in enumerate(drawn_rows[rows]):
            real = mask[i]
            classes = ATOMS if unit_cell else site_classes(int(number[row]))
            log_prob = np.asarray(drawn.site_log_prob[i][real], np.float64)  # (m, 15, 13)
            site_scores = np.take_along_axis(log_prob, classes.site.T[None].astype(np.int64), axis=2).sum(axis=1)
            placed = place(classes, counts, type_scores[i][real], site_scores, max_atoms=max_atoms)
            types[i, real] = classes_of_types[placed.element]
            sites[i, real] = classes.site[placed.site_class]
            lost[i] = placed.lost
        return Held(types, sites), lost

    return decide


def _listed(failed: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in failed.most_common())


class _Placed(NamedTuple):
    """Draws as crystals: why there is none `(b,)`, positions `(b, m)`, points `(b, m, 3)`, and what projecting cost `(b,)`."""

    reasons: np.ndarray
    pos: np.ndarray
    x: np.ndarray
    moved: np.ndarray
    cost: np.ndarray


class _Maker:
    """Projects draws and keeps the best one of each crystal."""

    def __init__(self, number: np.ndarray, width: int, request: Request):
        num = len(number)
        self.number, self.request = number, request
        self._prepare()
        self.ratio = np.full(num, -1.0)  # of the kept draw; -1 where there is none yet
        self.draws, self.moved, self.cost = np.zeros(num), np.zeros(num), np.zeros(num)
        self.z, self.pos = np.zeros((num, width), np.int32), np.zeros((num, width), np.int32)
        self.k, self.x = np.zeros((num, 6)), np.zeros((num, width, 3))
        self.failed: Counter[str] = Counter()

    def _prepare(self) -> None:
        """Operations of the crystals, and what projecting needs."""
        self.numbers = tuple(int(n) for n in np.unique(self.number))
        self.sets = standard_sets(self.numbers)
        self.set_index = np.searchsorted(self.numbers, self.number)
        self.tables = projection_tables(self.numbers)

    def keep_better(self, rows: np.ndarray, drawn: Drawn, mask: np.ndarray) -> None:
        """Take over what gives a crystal, where it is better than what was kept."""
        self.draws[rows] += 1
        z = np.where(mask, drawn.types + 1, 0)
        usable = (
            np.isfinite(drawn.k).all(axis=1)
            & np.isfinite(drawn.x).all(axis=(1, 2))
            & (np.abs(drawn.k) < _LARGEST).all(axis=1)
        )
        L = np.asarray(lattice_from_k(np.where(usable[:, None], drawn.k, 0.0).astype(np.float64)))
        placed = self._place(rows, L, z, drawn, mask)
        wanted = np.array([self._has_elements(row) for row in z])
        later = np.where(wanted, placed.reasons, [reason or "other elements" for reason in placed.reasons])
        reasons = np.where(usable, later, "no cell")
        self.failed.update(str(reason) for reason in reasons if reason)
        good = np.flatnonzero(reasons == "")
        if not len(good):
            return
        index, width = self.set_index[rows[good]], mask.shape[1]
        types = StructureTypes(self.sets, index, z[good], placed.pos[good])
        k = log_coefficients(self.sets, index, L[good])
        ratio = closest_ratios(types, k, placed.x[good])
        better = ratio > self.ratio[rows[good]]
        kept, chosen = rows[good][better], good[better]
        self.ratio[kept], self.k[kept] = ratio[better], k[better]
        self.z[kept], self.pos[kept], self.x[kept] = 0, 0, 0.0
        self.z[kept, :width], self.pos[kept, :width], self.x[kept, :width] = (
            z[chosen],
            placed.pos[chosen],
            placed.x[chosen],
        )
        self.moved[kept], self.cost[kept] = placed.moved[chosen], placed.cost[chosen]

    def _place(self, rows: np.ndarray, L: np.ndarray, z: np.ndarray, drawn: Drawn, mask: np.ndarray) -> _Placed:
        """Positions, and points on them."""
        found = self._project(rows, L, drawn, mask)
        made = replicate(self.number[rows], L, z, found, mask=mask)
        x = np.zeros((*mask.shape, 3))
        for i, crystal in enumerate(made.crystals):
            if crystal is not None:
                x[i, mask[i]] = crystal.x
        return _Placed(
            np.asarray(made.reasons),
            np.where(mask, np.asarray(found.pos), 0),
            x,
            *(np.where(mask, np.asarray(values), 0.0).max(axis=1) for values in (found.moved, found.site_cost)),
        )

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

    def _has_elements(self, z: np.ndarray) -> bool:
        """Whether a crystal has each of the elements asked for."""
        return all(ATOMIC_NUMBERS[name] in z for name in self.request.elements)

    def dataset(self, meta: dict[str, Any]) -> CrystalDataset:
        """The kept draws."""
        types = StructureTypes(self.sets, self.set_index, self.z, self.pos)
        properties = {"min_ratio": self.ratio, "draws": self.draws} | self._properties()
        data = dataset_from_types(types, self.k, self.x, properties=properties, meta=meta)
        return dataclasses.replace(data, ids=np.array([f"symmcd-{i:05d}" for i in range(len(data))]))

    def _properties(self) -> dict[str, np.ndarray]:
        return {"moved": self.moved, "site_cost": self.cost}


class _CellMaker(_Maker):
    """The same for the unit-cell variant: atoms stay where they were drawn, in P1; nothing is projected."""

    def _prepare(self) -> None:
        self.sets = standard_sets((1,))
        self.set_index = np.zeros(len(self.number), np.int64)

    def _place(self, rows: np.ndarray, L: np.ndarray, z: np.ndarray, drawn: Drawn, mask: np.ndarray) -> _Placed:
        free, x = np.zeros(len(rows)), np.where(mask[..., None], drawn.x.astype(np.float64), 0.0)
        return _Placed(np.full(len(rows), ""), np.zeros(mask.shape, np.int32), x, free, free)

    def _properties(self) -> dict[str, np.ndarray]:
        return {"requested_group": self.number.astype(np.float64)}


_project = jax.jit(project)


@functools.lru_cache(maxsize=4)
def standard_sets(numbers: tuple[int, ...]) -> SetTable:
    """Table of the standard settings of space groups, in that order."""
    return build_set_table([standard_setting(number) for number in numbers])


def log_coefficients(sets: SetTable, set_index: np.ndarray, L: np.ndarray) -> np.ndarray:
    """`(b, 6)` coefficients of `symjax.lattice` of lattices, with no component the operations forbid."""
    k = log_from_lattice(L, np.asarray(sets.frame)[set_index])
    return np.einsum("bij,bj->bi", np.asarray(sets.k_projector)[set_index], k)
