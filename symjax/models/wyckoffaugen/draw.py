"""Drawing crystals for a request, WyckoffAUGen's `symjax.generate.system.Sampler`.

Group, composition space and cell first, then atom after atom until every crystal has ended. Every atom lies on its position by
construction. A row is nothing where no room was left for an element of its composition space, or the cell has no volume.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.structure_types import StructureTypes, closest_ratios
from symjax.diffusion.rng import row_keys, seed_key
from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS, SYMBOLS
from symjax.errors import InputError
from symjax.generate.masks import Masks, masks_of
from symjax.generate.request import Request
from symjax.generate.sites import position_indices
from symjax.generate.system import Draws, Settings
from symjax.groups.tables import standard_setting
from symjax.lattice import lattice_from_parameters, log_from_lattice
from symjax.models.wyckoffaugen.complete import read_incomplete
from symjax.models.wyckoffaugen.given import Ask, GivenSite, check_sites, conventional_limit, open_next, pending
from symjax.models.wyckoffaugen.network import Constants, Partial, constants
from symjax.models.wyckoffaugen.representation import NUM_Z, image_lists, reduced_primitive
from symjax.models.wyckoffaugen.sample import (
    ENDED,
    PLACED,
    Conditions,
    Wish,
    draw_atoms,
    draw_conditions,
    make_embeddings,
)
from symjax.models.wyckoffaugen.tables import tables
from symjax.models.wyckoffaugen.weights import AugenWeights
from symjax.ops.types import DEN
from symjax.wyckoff.asymmetric import shapes, type_wyckoff
from symjax.wyckoff.occupancy import FormulaFitter
from symjax.wyckoff.set_table import SetTable, build_set_table

BATCH = 64
"""Rows of every program."""
NO_ROOM = "no room left for an element"
NO_CELL = "no cell"


@functools.cache
def _device_tables() -> tuple[Constants, jax.Array]:
    return constants(), jnp.asarray(shapes().planes, jnp.float32)


class AugenSampler:
    """Draws crystals (see `symjax.generate.system.Sampler`).

    Property of each: `log_prob`, the log probability of what was drawn given what was asked for, in nats: bins of the cell, and
    densities of coordinates relative to the uniform one on their shape. With nothing asked for it is a lower bound of the
    likelihood: one of the two orders of group and elements, one order of equal sites.
    """

    def __init__(self, weights: AugenWeights, request: Request, num: int, settings: Settings):
        self.weights, self.settings = weights, settings
        del num
        self.params = jax.tree.map(jnp.asarray, weights.params)
        self.options = weights.options.network
        self.key = seed_key(settings.seed)
        masks = masks_of(request)
        partial = settings.options.get("complete")
        self.incomplete = (
            None if partial is None else read_incomplete(partial, self.options.max_sites, self.options.max_atoms)
        )
        self.wish, self.groups = self._wish(masks)
        self.ask = Ask(
            masks.formula, request.orbits, self._given(request), self.options.max_sites, self.options.max_atoms
        )
        self._check_orbits(masks)
        self._check_room(masks)
        self.sets = _standard_sets(tuple(np.flatnonzero(self.groups).tolist()))
        self.index_of = np.cumsum(self.groups) - 1

    # ---- what is asked for ----

    def _wish(self, masks: Masks) -> tuple[Wish, np.ndarray]:
        """Masks of groups and elements."""
        known = np.zeros(NUM_ELEMENTS, bool)
        known[:NUM_Z] = self.weights.element_counts > 0
        allowed, required = (np.array(values[:NUM_Z]) for values in (masks.known_elements(known), masks.required))
        counts = self.weights.group_counts
        if self.incomplete is not None:
            groups = self._incomplete_group(masks)
            given = np.unique([site.z for site in self.incomplete.sites])
            if bad := [int(z) for z in given if not allowed[z]]:
                raise InputError(
                    f"the incomplete crystal has {SYMBOLS[bad[0]]}, which may not occur, or which these weights never saw"
                )
            required[given] = True
        else:
            groups = np.zeros(231, bool)
            groups[masks.group_numbers(counts > 0)] = True
            if masks.formula is not None:
                groups = self._formula_groups(masks, groups)
        most = (
            self.options.max_elements
            if masks.request.orbits is None
            else min(self.options.max_elements, masks.request.orbits)
        )
        least = int(required.sum())
        if least > most:
            raise InputError(
                f"{least} elements are asked for; a crystal of these weights has at most {self.options.max_elements} elements"
                + ("" if masks.request.orbits is None else f", and {masks.request.orbits} orbits hold at most as many")
            )
        if masks.request.elements:
            allowed = allowed & required
        as_int = lambda value: jnp.int32(value)
        wish = Wish(
            jnp.asarray(groups), jnp.asarray(allowed), jnp.asarray(required), as_int(max(least, 1)), as_int(most)
        )
        return wish, groups

    def _incomplete_group(self, masks: Masks) -> np.ndarray:
        assert self.incomplete is not None
        number = self.incomplete.number
        if masks.groups is not None and not masks.groups[number]:
            raise InputError(
                f"the incomplete crystal has space group {number}, which is not among those asked for ({masks.text})"
            )
        groups = np.zeros(231, bool)
        groups[number] = True
        return groups

    def _formula_groups(self, masks: Masks, groups: np.ndarray) -> np.ndarray:
        """Of some groups those that can hold the formula."""
        formula, most = masks.formula or {}, masks.request.orbits or self.options.max_sites
        out = np.zeros_like(groups)
        for number in np.flatnonzero(groups):
            limit = conventional_limit(int(number), self.options.max_atoms)
            possible = FormulaFitter.of_type(int(number)).possible_orbits(
                tuple(sorted(formula.values())), max_orbits=most, max_atoms=limit
            )
            out[number] = possible[masks.request.orbits or 1 :].any()
        if not out.any():
            raise InputError(
                f"no group that meets ({masks.text}) has positions for the formula with at most "
                f"{self.options.max_atoms} atoms in the "
                f"primitive cell and {most} orbits; ask for another formula or group"
            )
        return out

    def _given(self, request: Request) -> tuple[GivenSite, ...]:
        """Given sites in their order."""
        sites: list[GivenSite] = []
        if self.incomplete is not None:
            if request.sites:
                raise InputError("give sites either in the incomplete crystal or as orbits, not both")
            sites = list(self.incomplete.sites)
        elif request.sites:
            number = request.groups[0]
            letters = tables().letter[number, position_indices(request.sites, number)]
            sites = [
                GivenSite(int(letter), ATOMIC_NUMBERS[name])
                for letter, (name, _) in zip(letters, request.sites, strict=True)
            ]
        sites.sort(key=lambda site: (site.letter, site.z))
        if sites:
            number = int(np.flatnonzero(self.groups)[0])
            check_sites(number, tuple(sites), self.options.max_sites, self.options.max_atoms)
        return tuple(sites)

    def _check_orbits(self, masks: Masks) -> None:
        orbits = masks.request.orbits
        if orbits is not None and not 1 <= orbits <= self.options.max_sites:
            raise InputError(f"a crystal of these weights has 1 to {self.options.max_sites} orbits, got {orbits}")
        if orbits is not None and orbits < len(self.ask.sites):
            raise InputError(f"{orbits} orbit(s) cannot hold {len(self.ask.sites)} given sites")

    def _check_room(self, masks: Masks) -> None:
        """Refuse elements that are asked for where the given sites leave no atom to place."""
        if not self.ask.sites:
            return
        own, number = tables(), int(np.flatnonzero(self.groups)[0])
        row = own.row[number]
        taken = {site.letter for site in self.ask.sites}
        left = self.options.max_atoms - sum(int(own.primitive[row[site.letter]]) for site in self.ask.sites)
        here = {site.z for site in self.ask.sites}
        missing = [SYMBOLS[z] for z in np.flatnonzero(masks.required).tolist() if z not in here]
        free = [
            int(own.primitive[row[slot]])
            for slot in np.flatnonzero(own.mask[number])
            if own.dim[row[slot]] > 0 or slot not in taken
        ]
        if missing and (min(free) > left or len(self.ask.sites) >= self.options.max_sites):
            raise InputError(
                f"{', '.join(missing)} cannot be placed: the given sites leave room for {left} atoms in the primitive cell of "
                f"space group {number}, whose open positions have {min(free)} or more"
            )

    # ---- drawing ----

    def realise_key(self, attempt: int) -> jax.Array:
        """One key an attempt."""
        return jax.random.fold_in(jax.random.fold_in(self.key, 2**31), attempt)

    def draw(self, rows: np.ndarray, attempt: int) -> Draws:
        """Draw crystals; a row is nothing where no room was left or there is no cell."""
        keys = row_keys(jax.random.fold_in(self.key, attempt), rows)
        told = None if attempt else self.settings.report("crystals")
        conditions = self._conditions(keys)
        chain = _Chain(self, keys, conditions, told)
        chain.run()
        cell = np.asarray(conditions.cell, np.float64)
        with np.errstate(invalid="ignore"):
            L = np.asarray(lattice_from_parameters(cell))
        usable = np.isfinite(L).all(axis=(1, 2)) & (np.linalg.det(np.nan_to_num(L)) > 1e-3)
        L = np.where(usable[:, None, None], L, 10 * np.eye(3))
        reasons = np.where(usable, np.where(chain.stuck, NO_ROOM, ""), NO_CELL)
        good, index = np.flatnonzero(reasons == ""), self.index_of[chain.number]
        pos = np.where(chain.mask, tables().pos[chain.number[:, None], chain.letter], 0)
        types = StructureTypes(
            self.sets, index, np.where(chain.mask, chain.z, 0).astype(np.int32), pos.astype(np.int32)
        )
        log = np.asarray(conditions.log_prob, np.float64) + conditions.log_cell + chain.log_prob
        properties = {"log_prob": log}
        k = log_from_lattice(L, np.asarray(self.sets.frame)[index])
        k = np.einsum("bij,bj->bi", np.asarray(self.sets.k_projector)[index], k)
        x, ratio = np.zeros((len(rows), *chain.x.shape[1:])), np.zeros(len(rows))
        for i in good:
            x[i] = _representatives(self.sets, int(index[i]), int(chain.number[i]), pos[i], chain.x[i], chain.mask[i])
        if len(good):
            ratio[good] = closest_ratios(types.take(good), k[good], x[good])
        return Draws(types, [str(one) for one in reasons], k, x, ratio, properties)

    def _conditions(self, keys: jax.Array) -> Conditions:
        """Group, elements and cell of all rows."""
        consts, _ = _device_tables()
        parts: list[Conditions] = []
        for own in _batches(keys):
            drawn = draw_conditions(self.params, consts, self.options, own, self.wish)
            if self.incomplete is not None:
                cell = jnp.tile(jnp.asarray(self.incomplete.cell, jnp.float32), (len(own), 1))
                drawn = drawn._replace(cell=cell, log_cell=jnp.zeros(len(own)))
            parts.append(jax.tree.map(np.asarray, drawn))
        return Conditions(*(np.concatenate(values)[: len(keys)] for values in zip(*parts, strict=True)))


def _batches(keys: jax.Array) -> list[jax.Array]:
    """Keys in batches of the fixed size, the last one padded by repetition."""
    num = len(keys)
    order = np.resize(np.arange(num), -(-num // BATCH) * BATCH)
    return [keys[order[i : i + BATCH]] for i in range(0, len(order), BATCH)]


class _Chain:
    """Atoms of b crystals, one after another (host arrays; see `symjax.models.wyckoffaugen.representation.Crystals`)."""

    def __init__(
        self, sampler: AugenSampler, keys: jax.Array, conditions: Conditions, told: Callable[[int], object] | None
    ):
        options, num = sampler.options, len(keys)
        self.sampler, self.keys, self.told = sampler, keys, told
        self.number, self.elements = np.asarray(conditions.number), np.asarray(conditions.elements)
        self.cell = np.asarray(conditions.cell)
        self.letter, self.z, self.shape = (np.zeros((num, options.max_sites), np.int32) for _ in range(3))
        self.x, self.mask = np.zeros((num, options.max_sites, 3), np.float32), np.zeros((num, options.max_sites), bool)
        self.log_prob, self.stuck, self.open = np.zeros(num), np.zeros(num, bool), np.ones(num, bool)
        self.reduced = np.tile(np.eye(3, dtype=np.float32), (num, 1, 1))
        with np.errstate(invalid="ignore"):
            L = np.asarray(lattice_from_parameters(self.cell.astype(np.float64)))
        for i in range(num):
            if np.isfinite(L[i]).all() and np.linalg.det(L[i]) > 1e-3:
                self.reduced[i] = reduced_primitive(int(self.number[i]), L[i])
            else:
                self.open[i] = False

    def run(self) -> None:
        """Draw until all rows have ended."""
        consts, planes = _device_tables()
        sampler = self.sampler
        shared = make_embeddings(sampler.params, consts)
        step = 0
        while self.open.any():
            active = np.flatnonzero(self.open)
            for start in range(0, len(active), BATCH):
                rows = active[start : start + BATCH]
                padded = np.resize(rows, BATCH)
                allowed, may_stop = self._masks(padded)
                found = draw_atoms(
                    sampler.params,
                    consts,
                    shared,
                    planes,
                    sampler.options,
                    self._partial(padded),
                    jax.vmap(lambda key: jax.random.fold_in(key, 16 + step))(self.keys[padded]),  # noqa: B023
                    allowed,
                    may_stop,
                    num_edges=sampler.weights.options.edges[-1],
                )
                self._take(rows, [np.asarray(values)[: len(rows)] for values in found], step)
            step += 1

    def _masks(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a request leaves to rows."""
        allowed, may_stop = np.ones((len(rows), 27, NUM_Z), bool), np.ones(len(rows), bool)
        ask = self.sampler.ask
        if ask.asks:
            done: dict[int, int] = {}
            for i, row in enumerate(rows.tolist()):
                if row in done:
                    allowed[i], may_stop[i] = allowed[done[row]], may_stop[done[row]]
                    continue
                real = self.mask[row]
                allowed[i], may_stop[i] = open_next(
                    ask, int(self.number[row]), self.elements[row], self.letter[row][real], self.z[row][real]
                )
                done[row] = i
        return allowed, may_stop

    def _partial(self, rows: np.ndarray) -> Partial:
        images = image_lists(self.shape[rows], self.mask[rows], self.sampler.options.max_atoms)
        return Partial(
            number=self.number[rows],
            elements=self.elements[rows],
            cell=self.cell[rows],
            reduced=self.reduced[rows],
            letter=self.letter[rows],
            z=self.z[rows],
            shape=self.shape[rows],
            x=self.x[rows],
            mask=self.mask[rows],
            image_site=images[0],
            image_op=images[1],
            image_mask=images[2],
        )

    def _take(self, rows: np.ndarray, found: list[np.ndarray], step: int) -> None:
        """Put what was drawn where it belongs."""
        status, letter, z, shape, x, log_prob, log_density = found
        for i, row in enumerate(rows.tolist()):
            if status[i] != PLACED:
                self.open[row], self.stuck[row] = False, status[i] != ENDED
                self.log_prob[row] += log_prob[i] if status[i] == ENDED else 0.0
                continue
            real = self.mask[row]
            given = next(
                (
                    site
                    for site in pending(self.sampler.ask, self.letter[row][real], self.z[row][real])
                    if (site.letter, site.z) == (letter[i], z[i])
                ),
                None,
            )
            self.letter[row, step], self.z[row, step], self.mask[row, step] = letter[i], z[i], True
            if given is not None and given.x is not None:
                self.shape[row, step], self.x[row, step] = given.shape, given.x
            else:
                self.shape[row, step], self.x[row, step] = shape[i], x[i]
                self.log_prob[row] += log_prob[i] + log_density[i]
        closed = int((~self.open[rows]).sum())
        if self.told is not None and closed:
            self.told(closed)


def _representatives(
    sets: SetTable, index: int, number: int, pos: np.ndarray, x: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """(n, 3) float64: of each site the atom on the flat that its position is stored by; rounding off the flat is dropped."""
    out, positions = np.zeros(x.shape), type_wyckoff(number)
    n = int(np.asarray(sets.mask[index]).sum())
    W, w = np.asarray(sets.W[index])[:n].astype(float), np.asarray(sets.w[index])[:n] / DEN
    for slot in np.flatnonzero(mask):
        p = int(pos[slot])
        dof, x0 = int(positions.dof[p]), positions.x0[p]
        images = W @ x[slot].astype(np.float64) + w
        off = (images - x0) @ positions.annihilator[p, : 3 - dof].T
        best = int(np.abs(off - np.rint(off)).sum(axis=1).argmin())
        along = np.linalg.inv(positions.completion[p]) @ (images[best] - x0)
        out[slot] = x0 + positions.basis[p, :, :dof] @ np.mod(along[:dof], 1.0)
    return out


@functools.lru_cache(maxsize=4)
def _standard_sets(numbers: tuple[int, ...]) -> SetTable:
    """Table of the standard settings of space groups, in that order."""
    return build_set_table([standard_setting(number) for number in numbers])
