"""Figures of table 1 of WyckoffTransformer on raw Wyckoff representations: no coordinates, no relaxation, no matcher.

`measure` brings representations into the arrays that the statistics read, `figures_of` makes the figures with their intervals and
sampling floors, under the keys of `symjax evaluate`. Source: WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text),
table 1, as its evaluation code computes it for the column of binaries and ternaries: unique first, then novel, and every line
from charge neutrality on over the novel ones only, against all of the test crystals.

Beside the published figures stand three corrected ones. chi2 less floor: chi-squared minus its mean over splits of the
pooled samples and test crystals, because chi-squared over K categories is near (K - 1) / n for perfect samples. Novelty by the
published fingerprint, which changes only enumerations under the normalizer and so calls equivalent representations of 26
orthorhombic groups different (and some inequivalent ones equal); novelty itself is by positions, as `symjax.evaluate.words.gene`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics.common import compared
from symjax.evaluate.statistics import (
    DRAWS,
    Rows,
    TwoSample,
    group_chi_squared,
    kolmogorov_smirnov,
    share_interval,
    weight_chi_squared,
)
from symjax.models.wyckoff_transformer.tokens import Tokens, tables
from symjax.models.wyckoff_transformer.variants import all_variants, fingerprints
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary, vocabulary
from symjax.wyckoff.types import type_positions

if TYPE_CHECKING:
    from symjax.models.wyckoff_transformer.weights import WyckoffWeights

SOURCE = "WyckoffTransformer table 1"
FAMILY = "wyckoff_transformer"
LETTERED = frozenset((16, 17, *range(20, 26), 35, 42, 44, *range(47, 51), 59, *range(65, 75)))
"""Groups in which a permutation of positions changes the oriented symbol of a site symmetry."""


@dataclass(frozen=True)
class Measured:
    """n representations, with what the statistics read.

    Attributes:
        number: (n,) space groups.
        z, pos: (n, m) atomic numbers, 0 = no site, and positions.
        sites, species, freedom: (n,) occupied positions, distinct elements, free coordinates of all sites.
        atoms: (n, 104) atoms of each element in the conventional cell.
    """

    number: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    sites: np.ndarray
    species: np.ndarray
    freedom: np.ndarray
    atoms: np.ndarray

    def __len__(self) -> int:
        """Representations."""
        return len(self.number)

    def take(self, index: np.ndarray) -> Measured:
        """Some of them."""
        return Measured(*(getattr(self, field.name)[index] for field in fields(self)))

    def few_elements(self) -> Measured:
        """The binaries and ternaries."""
        return self.take((self.species == 2) | (self.species == 3))

    @property
    def shares(self) -> np.ndarray:
        """(n, 104) atomic fractions."""
        return self.atoms / self.atoms.sum(axis=1, keepdims=True)

    def neutral(self) -> np.ndarray:
        """(n,) bool charge neutral by the strict rule (`symjax.evaluate.composition`)."""
        from symjax.evaluate.composition import is_valid_composition

        return np.array(
            [
                is_valid_composition(tuple((int(z), round(row[z])) for z in np.flatnonzero(row)), "strict")
                for row in self.atoms
            ],
            bool,
        )


def measure(number: Any, z: Any, pos: Any) -> Measured:
    """Measure representations; arguments as `symjax.models.wyckoff_transformer.variants.canonical`."""
    number, z, pos = np.asarray(number, np.int64), np.asarray(z, np.int64), np.asarray(pos, np.int64)
    known = type_positions()
    at = (number[:, None], np.where(z > 0, pos, 0))
    atoms = np.zeros((len(number), 104))
    np.add.at(atoms, (np.arange(len(number))[:, None], z), np.where(z > 0, known.multiplicity[at], 0))
    return Measured(
        number,
        z,
        pos,
        (z > 0).sum(axis=1),
        (atoms > 0).sum(axis=1),
        np.where(z > 0, known.dof[at], 0).sum(axis=1),
        atoms,
    )


def measure_tokens(tokens: Tokens, vocab: Vocabulary) -> Measured:
    """Measure tokens of real crystals."""
    mask = np.asarray(tokens.mask)
    return measure(tokens.number, np.where(mask, vocab.atomic_numbers[np.asarray(tokens.element)], 0), tokens.pos)


def published_fingerprints(data: Measured) -> list[Hashable]:
    """Fingerprints of the public code: all multisets that its permutations of enumerations alone give.

    They differ from `fingerprints` in the groups `LETTERED` only; elsewhere those are used.
    """
    plain: list[Hashable] = list(fingerprints(data.number, data.z, data.pos))
    vocab = vocabulary("all")
    known = tables(vocab)
    for row in np.flatnonzero(np.isin(data.number, list(LETTERED))):
        number, mask = data.number[row], data.z[row] > 0
        tokens = Tokens(
            number=number[None].astype(np.int32),
            element=vocab.element_tokens[data.z[row][mask]][None],
            site=known.site[number, data.pos[row][mask]][None],
            enum=known.enum[number, data.pos[row][mask]][None],
            mask=np.ones((1, mask.sum()), bool),
            pos=data.pos[row][mask][None].astype(np.int16),
        )
        found = all_variants(tokens, 0, vocab, faithful=True)
        words = np.stack([np.asarray(found.element), np.asarray(found.site), np.asarray(found.enum)], axis=-1)
        plain[row] = (int(number), frozenset(tuple(sorted(map(tuple, word.tolist()))) for word in words))
    return plain


def first_and_new(labels: Sequence[Hashable], known: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool: no earlier one is equal; none of the known ones is."""
    first: dict[Hashable, int] = {}
    for i, label in enumerate(labels):
        first.setdefault(label, i)
    old = set(known)
    unique = [first[label] == i for i, label in enumerate(labels)]
    return np.array(unique, bool), np.array([label not in old for label in labels], bool)


@dataclass(frozen=True)
class Maker:
    """Makes figures: permutations of a test and their seed."""

    seed: int = 0
    draws: int = DRAWS

    def share(self, key: str, name: str, flags: np.ndarray, definition: str, **more: Any) -> Figure:
        """Share of rows that are True."""
        value = float(np.mean(flags)) if len(flags) else float("nan")
        spread = share_interval(int(np.sum(flags)), len(flags))
        return Figure(f"{FAMILY}.{key}", name, value, len(flags), definition, source=SOURCE, interval=spread, **more)

    def compare(
        self, key: str, name: str, statistic: TwoSample, samples: Rows, reference: Rows, *, definition: str
    ) -> Figure:
        """A two-sample statistic with floor and p-value; NaN where one side is empty."""
        return compared(
            f"{FAMILY}.{key}",
            name,
            statistic,
            (samples, reference),
            definition,
            draws=self.draws,
            seed=self.seed,
            source=SOURCE,
            better="lower",
        )


def figures_of(
    samples: Measured,
    reference: Measured,
    known: Measured,
    *,
    valid: np.ndarray | None = None,
    maker: Maker | None = None,
) -> list[Figure]:
    """Figures of table 1.

    Args:
        samples: decoded representations, valid ones only.
        reference: the test crystals.
        known: the crystals of train and val.
        valid: (attempted,) bool, which samples could be decoded; None for crystals that were not sampled.
        maker: how figures are made.
    """
    maker = maker or Maker()
    old = fingerprints(known.number, known.z, known.pos)
    labels = [fingerprints(part.number, part.z, part.pos) for part in (samples, reference)]
    (unique, new), (real, real_new) = (first_and_new(part, old) for part in labels)
    found = []
    if valid is not None:
        rule = "decoded by the published rules; over all attempted"
        found.append(maker.share("formal_validity", "formally valid", valid, rule, better="higher"))
    found.append(
        maker.share("uniqueness", "unique", unique, "first of its representation; over valid", better="higher")
    )
    rule = "no crystal of train and val has the same group and, up to the normalizer, the same elements at the same positions"
    share = float(real_new[real].mean()) if real.any() else float("nan")
    found.append(maker.share("novelty", "novel among unique", new[unique], rule, better="higher", reference=share))
    first, other = first_and_new(published_fingerprints(samples), published_fingerprints(known))
    rule = "the same, with the public code's fingerprint (enumerations alone change under the normalizer)"
    found.append(maker.share("novelty_published", "novel, published fingerprint", other[first], rule, better="higher"))
    places: dict[Hashable, int] = {}
    classes = [np.array([places.setdefault(label, len(places)) for label in part], np.int64) for part in labels]
    sides = (new, classes[0]), (real_new, classes[1])
    return found + _lines(samples, reference, sides, samples.take(unique & new), maker)


def _lines(
    samples: Measured,
    reference: Measured,
    sides: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    kept: Measured,
    maker: Maker,
) -> list[Figure]:
    """Lines over the unique novel ones, ``kept``; ``sides``: of samples and of reference, whether novel, and class."""
    rule = "unique novel representations against all test crystals"
    ks, chi = f"two-sample Kolmogorov-Smirnov; {rule}", f"sum of (g - t)^2 / t on shares; {rule}"
    mean = lambda flags: float(np.mean(flags)) if len(flags) else float("nan")
    found = [
        maker.share(
            "charge_neutral",
            "charge neutral",
            kept.neutral(),
            f"SMACT rule; an unknown electronegativity fails; {rule}",
            better="higher",
            reference=mean(reference.neutral()),
        ),
        maker.share("p1", "P1", kept.number == 1, f"space group 1; {rule}", reference=mean(reference.number == 1)),
    ]
    for key, name in (
        ("sites", "number of sites"),
        ("species", "number of elements"),
        ("freedom", "degrees of freedom"),
    ):
        rows = [Rows(getattr(part, key), *side) for part, side in zip((samples, reference), sides)]
        label = {"sites": "ks_sites", "species": "ks_elements", "freedom": "ks_dof"}[key]
        found.append(maker.compare(label, f"{name}, KS", kolmogorov_smirnov, rows[0], rows[1], definition=ks))
    for key, name, statistic, ours, theirs in (
        ("chi2_groups", "space groups, chi2", group_chi_squared, samples.number, reference.number),
        ("chi2_elements", "elements, chi2", weight_chi_squared, samples.shares, reference.shares),
    ):
        figure = maker.compare(key, name, statistic, Rows(ours, *sides[0]), Rows(theirs, *sides[1]), definition=chi)
        found += [figure, _less_floor(figure)]
    return found


def _less_floor(figure: Figure) -> Figure:
    """Chi-squared without what sampling costs."""
    base = figure.floor.mean if figure.floor is not None else 0.0
    return Figure(
        f"{figure.key}_excess",
        f"{figure.name} less floor",
        figure.value - base,
        figure.num,
        "chi2 minus its mean when samples and test crystals are pooled and split again",
        source=figure.source,
        better="lower",
        p=figure.p,
        num_reference=figure.num_reference,
    )


def order_figures(
    weights: WyckoffWeights, tokens: Tokens, stopped: np.ndarray, *, seed: int, orders: int, drawn: bool
) -> list[Figure]:
    """Figures of table 2: log-likelihoods in their own and in random orders, nats.

    Args:
        weights: of WyckoffTransformer.
        tokens: n crystals, or samples in the order in which they were drawn.
        stopped: (n,) bool, a STOP was drawn.
        seed: of the random orders.
        orders: how many of each.
        drawn: whether they are samples; of data the order means nothing, so they have no KL, and each order comes with a random
            equivalent representation.
    """
    from symjax.evaluate.metrics.wyckoff_transformer import permutation_figures
    from symjax.models.wyckoff_transformer.likelihood import likelihoods, log_likelihood

    network = weights.options.network
    found = likelihoods(
        weights.params,
        network,
        tokens,
        seed=seed,
        num_orders=orders,
        stopped=stopped,
        equivalent=None if drawn else weights.vocabulary,
    )
    rule = "as they were drawn" if drawn else "as stored"
    figures = [
        dataclasses.replace(f, note=rule) if f.key.endswith("_own") else f
        for f in permutation_figures({"own": found.own, "orders": found.orders})
        if drawn or not f.key.endswith("_kl")
    ]
    steps = np.asarray(tokens.mask).sum(axis=1) + stopped
    uniform = float(steps.mean() * sum(math.log(size) for size in network.vocabulary))
    more: dict[str, Any] = {"source": "WyckoffTransformer appendix D, table 2", "unit": "nats"}
    rule = "every token equally likely, same lengths"
    figures.append(Figure(f"{FAMILY}.uniform", "uniform guessing", uniform, len(steps), rule, **more))
    if drawn:
        short, own = ~stopped, found.own.copy()
        if short.any():
            first = replace_mask(tokens.take(short), np.arange(tokens.mask.shape[1]) < 1)
            own[short] = log_likelihood(weights.params, network, first, stopped=np.zeros(short.sum(), bool))
        rule = "minus the mean in the drawn order; samples without STOP count by their first position alone, as in the public code"
        key = f"{FAMILY}.permutation_own_published"
        figures.append(Figure(key, "own order, published rule", -float(own.mean()), len(own), rule, **more))
        figures.append(
            Maker(seed).share("unstopped", "without STOP", short, "samples that fill every slot without STOP")
        )
    return figures


def replace_mask(tokens: Tokens, kept: np.ndarray) -> Tokens:
    """Tokens of which only some slots are real."""
    return dataclasses.replace(tokens, mask=np.asarray(tokens.mask) & kept)
