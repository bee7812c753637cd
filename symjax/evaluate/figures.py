"""Every figure of a set of generated crystals, with its definition and the number of crystals it is over.

The samples and the references are prepared data sets (`symjax.data.dataset`); nothing is filtered before a figure is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from symjax.errors import InputError
from symjax.evaluate.cells import Cell, cells_of
from symjax.evaluate.composition import is_valid_composition
from symjax.evaluate.distances import shortest
from symjax.evaluate.matching import DEFAULT, LOOSE, match_distances, unique_and_novel
from symjax.evaluate.parallel import map_items
from symjax.evaluate.symmetry import (
    detected_number,
    find_symmetry,
    histogram,
    jensen_shannon,
    sampling_floor,
)

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset

TIGHT = 0.01
"""Tolerance in angstrom at which the generated group must be found again."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: short name.
        value: the figure; NaN where it does not exist.
        num: crystals it is over.
        definition: what exactly was counted.
        aim: what was aimed for, in words; empty where nothing was.
        reference: the same figure of the reference data, NaN where it makes no sense.
    """

    name: str
    value: float
    num: int
    definition: str
    aim: str = ""
    reference: float = float("nan")


class Examined(NamedTuple):
    """What is measured on one crystal: see `distances.Shortest` and `symmetry.Found` for the fields' meaning."""

    distance: float
    ratio: float
    between: float
    volume: float
    number_tight: int
    contains: bool
    number_loose: int


def examine(cell: Cell) -> Examined:
    """Distances and symmetry of one crystal."""
    near, found = shortest(cell), find_symmetry(cell, TIGHT)
    return Examined(
        near.distance, near.ratio, near.between, cell.volume, found.number, found.contains, detected_number(cell)
    )


def examine_all(cells: Sequence[Cell], *, processes: int | None = None, progress: bool = False) -> list[Examined]:
    """`examine` over many crystals on all cores."""
    return map_items(examine, cells, processes=processes, label="distances and symmetry", progress=progress)


def set_numbers(dataset: CrystalDataset) -> np.ndarray:
    """(s,) space-group number of each set of operations that occurs in a data set, read off the operations; 0 elsewhere."""
    from symjax.groups.identify import identify
    from symjax.groups.sets import OpSet

    sets = dataset.sets
    numbers = np.zeros(len(sets.W), np.int64)
    for row in np.unique(dataset.set_index):
        live = np.asarray(sets.mask[row], bool)
        numbers[row] = identify(
            OpSet(W=np.asarray(sets.W[row])[live], w=np.asarray(sets.w[row])[live], mask=live[live])
        ).number
    return numbers


def group_numbers(dataset: CrystalDataset) -> np.ndarray:
    """(c,) space-group number of each crystal, read off its operations."""
    return set_numbers(dataset)[dataset.set_index]


def is_closed(W: np.ndarray, w: np.ndarray, den: int = 24) -> bool:
    """Whether the product of any two operations is among them, all in exact integers; independent of `symjax.groups`.

    A finite set of invertible maps that is closed under composition also holds the identity and every inverse.
    """
    W, w = np.asarray(W, np.int64), np.asarray(w, np.int64)
    members = _codes(W, w % den, den)
    if len(members) and members.min() < 0:
        raise InputError("rotation parts with entries beyond 8 cannot be checked here; use symjax.groups")
    products = np.einsum("aij,bjk->abik", W, W)
    shifts = (np.einsum("aij,bj->abi", W, w) + w[:, None]) % den
    return bool(len(members) > 0 and np.isin(_codes(products, shifts, den), members).all())


def closed_share(dataset: CrystalDataset) -> float:
    """Share of crystals whose set of operations is closed."""
    sets = dataset.sets
    good = np.zeros(len(sets.W), bool)
    for row in np.unique(dataset.set_index):
        live = np.asarray(sets.mask[row], bool)
        good[row] = is_closed(np.asarray(sets.W[row])[live], np.asarray(sets.w[row])[live])
    return float(good[dataset.set_index].mean())


def lattice_defect(cell: Cell) -> float:
    """Largest entry of |W^T G W - G| over the operations, relative to the largest entry of the metric G."""
    metric = cell.lattice @ cell.lattice.T
    moved = np.einsum("gji,jk,gkl->gil", cell.W, metric, cell.W)
    return float(np.abs(moved - metric).max(initial=0.0) / np.abs(metric).max())


def crystal_figures(
    samples: CrystalDataset,
    test: CrystalDataset,
    train: CrystalDataset,
    *,
    processes: int | None = None,
    progress: bool = False,
) -> tuple[list[Figure], dict[str, Any]]:
    """All figures that need nothing but the samples and the references.

    Args:
        samples: generated crystals.
        test: what the distributions are compared with.
        train: what novelty is against, and whose own distance to ``test`` is the yardstick.
        processes: worker processes; None for one a core.
        progress: whether to show progress bars on stderr.

    Returns:
        The figures, and the distributions behind them: counts by space group, crystal system, orbits and atoms.

    Raises:
        InputError: there are no samples.
    """
    if len(samples) == 0:
        raise InputError("there are no samples to make figures of")
    cells = cells_of(samples)
    examined = examine_all(cells, processes=processes, progress=progress)
    numbers = {name: group_numbers(data) for name, data in (("samples", samples), ("test", test), ("train", train))}
    figures = _construction(samples, cells, examined)
    figures += _groups(numbers, [item.number_loose for item in examined])
    figures += _distances(examined)
    figures += _composition(cells, test)
    figures += _novelty(cells, train, processes, progress)
    figures += _sizes(samples, test)
    return figures, _distributions(samples, test, numbers)


def match_figures(
    predicted: Sequence[Cell],
    truth: Sequence[Cell],
    freedom: Sequence[int],
    *,
    processes: int | None = None,
    progress: bool = False,
) -> list[Figure]:
    """How often the true structure comes out when its operations, species and sites are given.

    Args:
        predicted: one crystal for each of ``truth``.
        truth: the real crystals.
        freedom: free coordinates of each, for the strata: crystals without any inflate every rate.
        processes: worker processes; None for one a core.
        progress: whether to show a progress bar on stderr.
    """
    distances = match_distances(predicted, truth, processes=processes, progress=progress)
    matched, free = np.isfinite(distances), np.asarray(freedom)
    rule = f"StructureMatcher(ltol {LOOSE[0]}, stol {LOOSE[1]}, angle {LOOSE[2]:.0f}); one try each"
    figures = [
        Figure("match rate", _mean(matched), len(matched), rule + ", operations, species and sites given", "0.50"),
        Figure(
            "match RMSE",
            _mean(distances[matched]),
            int(matched.sum()),
            "mean normalised RMS distance of the matched pairs",
        ),
    ]
    for label, low, high in (("0", 0, 0), ("1-4", 1, 4), ("5 or more", 5, 10**6)):
        part = (free >= low) & (free <= high)
        figures.append(Figure(f"match rate, {label} free coordinates", _mean(matched[part]), int(part.sum()), rule))
    return figures


def as_json(figures: Sequence[Figure], distributions: dict[str, Any]) -> dict[str, Any]:
    """Everything as plain JSON values (NaN becomes null)."""
    rows = [{key: _plain(value) for key, value in asdict(figure).items()} for figure in figures]
    return {"figures": rows, "distributions": distributions}


def _construction(samples: CrystalDataset, cells: list[Cell], examined: list[Examined]) -> list[Figure]:
    num = len(cells)
    defect = float(np.mean([lattice_defect(cell) < 1e-6 for cell in cells]))
    return [
        Figure("sets closed", closed_share(samples), num, "all products of two operations are in the set, exact integers", "1.0"),
        Figure("lattices compatible", defect, num, "|W^T G W - G| < 1e-6 of the largest metric entry for every operation", "1.0"),
        Figure(
            f"group found again at {TIGHT} angstrom", _mean([item.contains for item in examined]), num,
            f"spglib (symprec {TIGHT}, own angle rule) finds every generated operation in the atoms", "1.0",
        ),
    ]  # fmt: skip


def _groups(numbers: dict[str, np.ndarray], loose: list[int]) -> list[Figure]:
    share = {name: histogram(values) for name, values in numbers.items()}
    num, rule = len(loose), "Jensen-Shannon distance (natural log) to the test data, "
    floor, spread = sampling_floor(share["train"], share["test"], num)
    ideal, _ = sampling_floor(share["test"], share["test"], num)
    real = jensen_shannon(share["train"], share["test"])
    return [
        Figure("space groups, JS distance", jensen_shannon(share["samples"], share["test"]), num,
               rule + "groups read off the operations; reference: all of train", "0.17", real),
        Figure("space groups, JS distance, 0.1 angstrom", jensen_shannon(histogram(loose), share["test"]), num,
               rule + "groups found by spglib in the atoms (0.1, 5 degrees)", "", real),
        Figure("same of random draws from train", floor, num, rule + f"mean of 20 draws, standard deviation {spread:.3f}"),
        Figure("same of random draws from test", ideal, num, rule + "the floor that finite samples set"),
        Figure("P1 share", float((numbers["samples"] == 1).mean()), num, "generated set is the identity alone", "",
               float((numbers["test"] == 1).mean())),
        Figure("P1 share, 0.1 angstrom", float(np.mean([n <= 1 for n in loose])), num,
               "spglib in the atoms (0.1, 5 degrees); a failed search counts", "", float((numbers["test"] == 1).mean())),
        Figure("different space groups", float(len(np.unique(numbers["samples"]))), num, "read off the operations", "",
               float(len(np.unique(numbers["test"])))),
    ]  # fmt: skip


def _distances(examined: list[Examined]) -> list[Figure]:
    num = len(examined)
    where = "all atoms and periodic images, self images included"
    ratio = "no distance below {} of the sum of covalent radii (Cordero 2008); " + where
    published = [item.between >= 0.5 and item.volume >= 0.1 for item in examined]
    return [
        Figure("no atoms under 0.5 angstrom", _mean([item.distance >= 0.5 for item in examined]), num, where, "0.995"),
        Figure(
            "structural validity (CDVAE)", _mean(published), num, "no two atoms under 0.5 angstrom, volume at least 0.1"
        ),
        Figure(
            "none under 0.6 of covalent radii",
            _mean([item.ratio >= 0.6 for item in examined]),
            num,
            ratio.format(0.6),
            "0.92",
        ),
        Figure(
            "none under 0.8 of covalent radii", _mean([item.ratio >= 0.8 for item in examined]), num, ratio.format(0.8)
        ),
    ]


def _composition(cells: list[Cell], test: CrystalDataset) -> list[Figure]:
    real = [_reduced(test, index) for index in range(len(test))]
    said = {
        "cdvae": ("SMACT composition validity", "CDVAE's rule, SMACT 2 oxidation states", "0.80"),
        "smact14": ("same, smact package", "smact_validity with the same oxidation states", ""),
        "icsd24": ("same, smact package default", "smact_validity with ICSD-2024 oxidation states", ""),
    }
    return [
        Figure(name, _mean([is_valid_composition(cell.reduced, rule) for cell in cells]), len(cells), definition, aim,
               _mean([is_valid_composition(counts, rule) for counts in real]))
        for rule, (name, definition, aim) in said.items()
    ]  # fmt: skip


def _novelty(cells: list[Cell], train: CrystalDataset, processes: int | None, progress: bool) -> list[Figure]:
    formulas = {cell.reduced for cell in cells}
    from symjax.evaluate.cells import cell_of

    known = [cell_of(train, index) for index in range(len(train)) if _reduced(train, index) in formulas]
    flags = unique_and_novel(cells, known, processes=processes, progress=progress)
    rule = (
        f"StructureMatcher(ltol {DEFAULT[0]}, stol {DEFAULT[1]}, angle {DEFAULT[2]:.0f}) within equal reduced formula"
    )
    fresh = set(formulas) - {_reduced(train, index) for index in range(len(train))}
    return [
        Figure("unique", _mean(flags.unique), len(cells), "equal to no earlier sample; " + rule),
        Figure("new", _mean(flags.novel), len(cells), "equal to no crystal of train; " + rule),
        Figure("unique and new", _mean(flags.both), len(cells), "both"),
        Figure(
            "new reduced formula",
            _mean([cell.reduced in fresh for cell in cells]),
            len(cells),
            "reduced formula not in train",
        ),
    ]


def _sizes(samples: CrystalDataset, test: CrystalDataset) -> list[Figure]:
    num = len(samples)
    said = "mean over crystals; "
    return [
        Figure(
            "orbits",
            float(samples.num_orbits.mean()),
            num,
            said + "orbits in a crystal",
            "",
            float(test.num_orbits.mean()),
        ),
        Figure(
            "orbits, KS",
            _ks(samples.num_orbits, test.num_orbits),
            num,
            "two-sample Kolmogorov-Smirnov distance to test",
        ),
        Figure(
            "atoms",
            float(_atoms(samples).mean()),
            num,
            said + "atoms in the primitive cell",
            "",
            float(_atoms(test).mean()),
        ),
        Figure("atoms, KS", _ks(_atoms(samples), _atoms(test)), num, "two-sample Kolmogorov-Smirnov distance to test"),
        Figure(
            "elements, KS",
            _ks(_kinds(samples), _kinds(test)),
            num,
            "distinct elements, Kolmogorov-Smirnov distance to test",
        ),
    ]


def _distributions(samples: CrystalDataset, test: CrystalDataset, numbers: dict[str, np.ndarray]) -> dict[str, Any]:
    from symjax.evaluate.picture import crystal_system

    systems = {name: [crystal_system(int(number)) for number in numbers[name]] for name in ("samples", "test")}
    return {
        "space groups": {name: _count(numbers[name]) for name in ("samples", "test")},
        "crystal systems": {name: _count(np.array(values)) for name, values in systems.items()},
        "orbits": {"samples": _count(samples.num_orbits), "test": _count(test.num_orbits)},
        "atoms in the primitive cell": {"samples": _count(_atoms(samples)), "test": _count(_atoms(test))},
    }


def _atoms(dataset: CrystalDataset) -> np.ndarray:
    """(c,) atoms in the primitive cell: those of the conventional cell over the number of centring translations."""
    sets = dataset.sets
    pure = (np.asarray(sets.W) == np.eye(3, dtype=np.int64)).all(axis=(2, 3)) & np.asarray(sets.mask, bool)
    return dataset.num_atoms // np.maximum(pure.sum(axis=1), 1)[dataset.set_index]


def _kinds(dataset: CrystalDataset) -> np.ndarray:
    """(c,) distinct elements of each crystal."""
    return np.array([len(_reduced(dataset, index)) for index in range(len(dataset))])


def _reduced(dataset: CrystalDataset, index: int) -> tuple[tuple[int, int], ...]:
    """Reduced composition of a crystal, without writing out its atoms."""
    part = slice(int(dataset.orbit_start[index]), int(dataset.orbit_start[index + 1]))
    size = np.asarray(dataset.sets.pos_mult[int(dataset.set_index[index])])[dataset.orbit_pos[part]]
    counts: dict[int, int] = {}
    for z, many in zip(dataset.orbit_z[part], size):
        counts[int(z)] = counts.get(int(z), 0) + int(many)
    divisor = int(np.gcd.reduce(list(counts.values())))
    return tuple((z, count // divisor) for z, count in sorted(counts.items()))


def _codes(W: np.ndarray, w: np.ndarray, den: int) -> np.ndarray:
    """One integer for each operation, -1 where a rotation part has an entry beyond 8 (then it is no member of any set)."""
    flat = W.reshape(*W.shape[:-2], 9)
    rotation = (flat + 8) @ (17 ** np.arange(9, dtype=np.int64))
    code = rotation * den**3 + w @ (den ** np.arange(3, dtype=np.int64))
    return np.where((np.abs(flat) <= 8).all(axis=-1), code, -1)


def _count(values: np.ndarray) -> dict[str, int]:
    found, counts = np.unique(values, return_counts=True)
    return {str(value): int(count) for value, count in zip(found, counts)}


def _ks(first: np.ndarray, second: np.ndarray) -> float:
    grid = np.union1d(first, second)
    below = [np.searchsorted(np.sort(values), grid, side="right") / len(values) for values in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def _mean(values: Any) -> float:
    array = np.asarray(values, float)
    return float(array.mean()) if array.size else float("nan")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
