"""From nothing to crystals with WyckoffTransformer: group from training frequencies, representation, then lattice and coordinates.

The model draws only which element sits on which Wyckoff position. A realiser gives a lattice and coordinates to that: `Diffusion`,
the flagship's third stage, which is conditioned on exactly this, or `symjax.generate.pyxtal.Pyxtal`, random ones. Whatever gives
no crystal (an invalid sample of unmasked sampling, a representation that cannot be realised) is drawn again in its space group,
counted, and listed; rates follow from the counts of `Generated`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes, dataset_from_types, reduced_formula
from symjax.elements import SYMBOLS
from symjax.errors import InputError, SymjaxError
from symjax.groups.tables import NUM_TYPES, standard_setting, wyckoff_letters
from symjax.models.symop.generate import draw_geometry, geometry_options
from symjax.models.symop.geometry.sample import SamplerOptions
from symjax.models.symop.weights import SymopWeights
from symjax.models.wyckoff_transformer.conditions import Conditions, element_mask, prefix_tokens
from symjax.models.wyckoff_transformer.sample import sample
from symjax.models.wyckoff_transformer.tokens import MAX_SITES, REASONS
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
from symjax.models.wyckoff_transformer.weights import WyckoffWeights
from symjax.wyckoff.set_table import build_set_table
from symjax.wyckoff.site_symbols import position_multiplicity, position_symbols, symbols

_ROUNDS = 8  # times a crystal is drawn at most


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for; nothing by default.

    Attributes:
        groups: space groups to draw from, by their training frequencies (evenly where no training crystal has any of them); empty
            for all.
        elements: symbols of the elements of every crystal: these and no others, each at least once; empty for any.
        allowed: elements that may occur; empty for all.
        required: elements that must occur.
        prefix: given orbits, (symbol, position) such as ("Na", "4a"); they come first in every crystal. Needs one space group.
        orbits: number of orbits of every crystal, given ones included; None to leave it to the model.
        temperature: divides the logits.
        masked: draw only what gives a valid representation; False for the published sampling (no elements, no number of orbits).
    """

    groups: tuple[int, ...] = ()
    elements: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    prefix: tuple[tuple[str, str], ...] = ()
    orbits: int | None = None
    temperature: float = 1.0
    masked: bool = True

    def conditions(self, vocabulary: Vocabulary) -> Conditions:
        """The same in tokens.

        Raises:
            InputError: an element or a position that there is not, requests that contradict each other, a prefix without one space
                group, or a space group that the vocabulary's features do not tell from others.
        """
        unknown = [group for group in self.groups if 1 <= group <= NUM_TYPES and group not in vocabulary.groups]
        if unknown:
            raise InputError(
                f"space group {unknown[0]} is not among the {len(vocabulary.groups)} of the vocabulary {vocabulary.name!r}, whose "
                "features do not tell it from others; train with the vocabulary 'all' for it"
            )
        if self.elements and self.allowed:
            raise InputError("ask either for exactly some elements or for allowed ones")
        if self.prefix and len(self.groups) != 1:
            raise InputError("given orbits need one space group, whose positions they name")
        allowed, required = self.elements or self.allowed, tuple(dict.fromkeys(self.elements + self.required))
        least, most = (1, MAX_SITES) if self.orbits is None else (self.orbits, self.orbits)
        return Conditions(
            allowed=element_mask(allowed, vocabulary) if allowed else None,
            required=element_mask(required, vocabulary) if required else None,
            prefix=prefix_tokens(self.prefix, self.groups[0], vocabulary) if self.prefix else None,
            min_sites=least,
            max_sites=most,
        )


class Realised(NamedTuple):
    """Lattices and coordinates of structure types.

    Attributes:
        k: `(b, 6)` log-lattice coefficients and x: `(b, m, 3)` representatives on their flats.
        reason: why there is none, one text a crystal; empty where there is.
        properties: values of each crystal, `(b,)` arrays.
    """

    k: np.ndarray
    x: np.ndarray
    reason: list[str]
    properties: dict[str, np.ndarray]


class Realiser(Protocol):
    """Gives lattices and coordinates to structure types; equal seeds give equal ones."""

    def __call__(self, types: StructureTypes, seed: int) -> Realised:
        """Try all of them."""
        ...


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """The flagship's diffusion of lattice and coordinates, given elements and positions.

    Attributes:
        weights: of the flagship.
        sampler: reverse diffusion options.
        min_ratio, max_draws: drawn again while atoms sit closer than this share of covalent radii, so many times at most.
        batch_size: crystals at a time.
        progress: called with a stage name and a number of crystals finished.
    """

    weights: SymopWeights
    sampler: SamplerOptions = dataclasses.field(default_factory=SamplerOptions)
    min_ratio: float = 0.0
    max_draws: int = 4
    batch_size: int = 64
    progress: Callable[[str, int], object] | None = None

    def __call__(self, types: StructureTypes, seed: int) -> Realised:
        """Draw; structure types larger than the network's largest bucket are refused, one by one."""
        most_orbits, most_atoms = geometry_options(self.weights).buckets[-1]
        large = (types.num_atoms() > most_atoms) | (types.orbit_mask.sum(1) > most_orbits)
        k, x, ratio, draws = (np.zeros((len(large), *shape)) for shape in ((6,), (types.z.shape[1], 3), (), ()))
        fit = np.flatnonzero(~large)
        if len(fit):
            k[fit], x[fit], ratio[fit], draws[fit] = draw_geometry(
                self.weights,
                types.take(fit),
                jax.random.key(seed),
                sampler=self.sampler,
                min_ratio=self.min_ratio,
                max_draws=self.max_draws,
                batch_size=self.batch_size,
                progress=self.progress,
            )
        why = f"more than {most_atoms} atoms or {most_orbits} orbits, too large for the geometry network"
        return Realised(k, x, [why if one else "" for one in large], {"min_ratio": ratio, "geometry_draws": draws})


@dataclasses.dataclass(frozen=True)
class Generated:
    """What was generated.

    Attributes:
        types: the representations, one for each crystal; of m orbits, z 0 where padded.
        number: `(b,)` their space groups.
        dataset: the crystals, with the properties of the realiser and `draws` (how often the representation was drawn); None
            without a realiser.
        attempts: representations drawn in all.
        invalid: reason -> drawn representations that were formally invalid (unmasked sampling only).
        unrealised: (representation as of `gene`, reason) of those that were valid and gave no crystal.
        missing: crystals that were asked for and failed every time.
    """

    types: StructureTypes
    number: np.ndarray
    dataset: CrystalDataset | None
    attempts: int
    invalid: dict[str, int]
    unrealised: list[tuple[dict[str, Any], str]]
    missing: int


def generate(
    weights: WyckoffWeights,
    num: int,
    *,
    seed: int = 0,
    request: Request | None = None,
    realise: Realiser | None = None,
    progress: Callable[[str, int], object] | None = None,
) -> Generated:
    """Generate representations, and crystals of them.

    Args:
        weights: from `load_weights`.
        num: how many, at least 1.
        seed: equal seeds, weights and arguments give equal crystals on one kind of device.
        request: what is asked for; None for nothing.
        realise: gives lattices and coordinates; None for representations only.
        progress: called with a stage name and a number of representations finished.

    Raises:
        InputError: `num` is not positive or the request cannot be met.
        SymjaxError: nothing at all came out.
    """
    if num < 1:
        raise InputError(f"number of crystals must be at least 1, got {num}")
    request = request or Request()
    conditions = request.conditions(weights.vocabulary)
    number = draw_groups(weights.group_counts, request.groups, num, np.random.default_rng(seed))
    maker = _Maker(number, seed)
    for attempt in range(_ROUNDS):
        rows = np.flatnonzero(~maker.done)
        if not len(rows):
            break
        drawn = sample(
            weights.params,
            weights.options.network,
            jax.random.fold_in(jax.random.key(seed), attempt),
            number[rows],
            vocabulary=weights.vocabulary,
            conditions=conditions,
            temperature=request.temperature,
            masked=request.masked,
            progress=None if progress is None or attempt else (lambda done: progress("Wyckoff positions", done)),
        )
        decoded = drawn.decode()
        maker.invalid.update(REASONS[code] for code in decoded.reason[~decoded.valid])
        maker.draws[rows] += 1
        maker.take(rows[decoded.valid], decoded.z[decoded.valid], decoded.pos[decoded.valid], realise, attempt)
    if not maker.done.any():
        raise SymjaxError(
            f"none of {num} crystals succeeded in {_ROUNDS} draws ({maker.failures()}): ask for something else"
        )
    return maker.generated()


def draw_groups(counts: np.ndarray, groups: Sequence[int], num: int, rng: np.random.Generator) -> np.ndarray:
    """`(num,)` int32 space groups, by the frequencies `counts (231,)` among those that are asked for.

    Raises:
        InputError: a number is no space group.
    """
    wrong = [group for group in groups if not 1 <= group < len(counts)]
    if wrong:
        raise InputError(f"space group {wrong[0]} is not one of 1 to {len(counts) - 1}")
    asked = np.zeros(len(counts), bool)
    asked[list(groups) or slice(1, None)] = True
    weight = np.where(asked, counts, 0.0)
    weight = weight if weight.sum() > 0 else asked.astype(float)
    return rng.choice(len(counts), size=num, p=weight / weight.sum()).astype(np.int32)


class _Maker:
    """Keeps what succeeded and counts what did not."""

    def __init__(self, number: np.ndarray, seed: int):
        num = len(number)
        self.number, self.seed = number, seed
        self.groups = np.unique(number)
        self.sets = build_set_table([standard_setting(int(group)) for group in self.groups])
        self.set_index = np.searchsorted(self.groups, number)
        self.done, self.draws = np.zeros(num, bool), np.zeros(num)
        self.z, self.pos = np.zeros((num, MAX_SITES + 1), np.int32), np.zeros((num, MAX_SITES + 1), np.int32)
        self.k, self.x = np.zeros((num, 6)), np.zeros((num, MAX_SITES + 1, 3))
        self.properties: dict[str, np.ndarray] = {}
        self.realised = False
        self.invalid: Counter[str] = Counter()
        self.unrealised: list[tuple[dict[str, Any], str]] = []

    def take(self, rows: np.ndarray, z: np.ndarray, pos: np.ndarray, realise: Realiser | None, attempt: int) -> None:
        """Realise valid representations `(n, t)` of some rows and keep those that succeed."""
        if not len(rows):
            return
        good = np.ones(len(rows), bool)
        if realise is not None:
            width = int((z > 0).sum(axis=1).max())
            types = StructureTypes(self.sets, self.set_index[rows], z[:, :width], pos[:, :width])
            found = realise(types, self.seed + attempt * 1_000_003)
            good = np.array([not reason for reason in found.reason])
            self.unrealised += [
                (gene(int(self.number[rows[i]]), z[i], pos[i]), found.reason[i]) for i in np.flatnonzero(~good).tolist()
            ]
            self.realised = True
            self.k[rows[good]], self.x[rows[good], :width] = found.k[good], found.x[good]
            for name, values in found.properties.items():
                self.properties.setdefault(name, np.zeros(len(self.number)))[rows[good]] = values[good]
        kept = rows[good]
        self.done[kept], self.z[kept, : z.shape[1]], self.pos[kept, : z.shape[1]] = True, z[good], pos[good]

    def failures(self) -> str:
        """Reasons and how often each was met."""
        return ", ".join(
            f"{reason}: {count}" for reason, count in (self.invalid + Counter(r for _, r in self.unrealised)).items()
        )

    def generated(self) -> Generated:
        """Everything that succeeded, in the order of the rows."""
        kept = np.flatnonzero(self.done)
        width = int((self.z[kept] > 0).sum(axis=1).max())
        types = StructureTypes(self.sets, self.set_index[kept], self.z[kept, :width], self.pos[kept, :width])
        dataset = None
        if self.realised:
            properties = {name: values[kept] for name, values in (self.properties | {"draws": self.draws}).items()}
            meta = {"model": "wyckoff_transformer", "seed": self.seed}
            dataset = dataset_from_types(types, self.k[kept], self.x[kept, :width], properties=properties, meta=meta)
            dataset = dataclasses.replace(
                dataset, ids=np.array([f"wyckoff_transformer-{i:05d}" for i in range(len(dataset))])
            )
        return Generated(
            types,
            self.number[kept],
            dataset,
            int(self.draws.sum()),
            dict(self.invalid),
            self.unrealised,
            missing=len(self.done) - len(kept),
        )


def gene(number: int, z: np.ndarray, pos: np.ndarray) -> dict[str, Any]:
    """A representation for people and files: JSON values.

    Args:
        number: space group.
        z: `(m,)` atomic numbers, 0 where padded.
        pos: `(m,)` positions.
    """
    letters, multiplicity, names = wyckoff_letters(number), position_multiplicity(number), symbols()
    symbol, real = position_symbols(number), z > 0
    return {
        "space_group": number,
        "formula": reduced_formula(z[real], multiplicity[pos[real]]),
        "num_atoms": int(multiplicity[pos[real]].sum()),
        "orbits": [
            {"element": SYMBOLS[e], "position": f"{multiplicity[p]}{letters[p]}", "site_symmetry": names[symbol[p]]}
            for e, p in zip(z[real].tolist(), pos[real].tolist(), strict=True)
        ],
    }
