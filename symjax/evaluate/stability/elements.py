"""Elemental references from prototypes, relaxed with the potential itself.

Data sets of compounds hold few elements (mp20_open/train + val: 28 of 88), and without a reference for each element a
chemical system has no hull. Mixing in energies from elsewhere would shift everything (WyckoffDiff-Adaptor 6.2: elemental
references must use the same energy model). So candidates are taken from the AFLOW prototypes that pymatgen carries: the
element's own structures there, and the common types with the element put in, scaled to touching covalent radii. All are
relaxed with their symmetry kept; the lowest is the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from symjax.crystals.io.convert import from_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.elements import COVALENT_RADII, IS_METAL, SYMBOLS
from symjax.errors import InputError
from symjax.evaluate.cache import Cache
from symjax.evaluate.distances import shortest
from symjax.evaluate.stability.batch import relax_many
from symjax.evaluate.stability.hull import Entry
from symjax.evaluate.stability.potential import Potential
from symjax.evaluate.stability.relax import RelaxOptions
from symjax.parallel import Processes

METALS = (("A_cF4_225_a", 29), ("A_cI2_229_a", 74), ("A_hP2_194_c", 12), ("A_hP4_194_ac", 57))
"""Types tried for metals, by AFLOW label and the element that the prototype is of: copper, tungsten, magnesium, alpha lanthanum."""

OTHERS = (
    ("A_cF8_227_a", 6),
    ("A_hR2_166_c", 33),
    ("A_hP3_152_a", 34),
    ("A_oC8_64_f", 53),
    ("A_oC8_64_f", 15),
    ("A_cP8_205_c", 7),
    ("A_cF4_225_a", 29),
)
"""Types tried for the others: diamond, alpha arsenic, gamma selenium, iodine, black phosphorus, alpha nitrogen, copper."""

MAX_ATOMS = 40
"""Larger prototypes (beta boron, sulfur rings, Hittorf's phosphorus) are left out."""

OPTIONS = RelaxOptions(symmetric=True, volume_factor=8.0, energy_rise=50.0, fmax=0.05)


class Prototype(NamedTuple):
    """An elemental crystal of the library: AFLOW label, atomic number, crystal."""

    label: str
    number: int
    cell: AtomicStructure


@cache
def elemental_prototypes() -> tuple[Prototype, ...]:
    """The elemental crystals among pymatgen's AFLOW prototypes, up to `MAX_ATOMS` atoms."""
    try:
        from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
    except ImportError as error:
        raise InputError(
            f"this pymatgen carries no AFLOW prototype library ({error}); give elements among the reference crystals"
        ) from error
    found = []
    for row in AFLOW_PROTOTYPE_LIBRARY:
        structure = row["snl"].structure
        if len(structure.composition) == 1 and len(structure) <= MAX_ATOMS:
            found.append(
                Prototype(str(row["tags"]["aflow"]), int(structure[0].specie.Z), from_pymatgen(structure).wrapped())
            )
    return tuple(found)


def candidates(number: int) -> list[tuple[str, AtomicStructure]]:
    """(name, crystal) of the structures that are tried for an element: its own ones as they are, the common types scaled."""
    if not 0 < number < len(COVALENT_RADII):
        raise InputError(f"no covalent radius is known for element {number}")
    own = [(one.label, one.cell) for one in elemental_prototypes() if one.number == number]
    types = METALS if IS_METAL[number] else OTHERS
    for one in elemental_prototypes():
        if (one.label, one.number) in types and one.number != number:
            scale = 2 * COVALENT_RADII[number] / shortest(one.cell).distance
            cell = replace(one.cell, L=one.cell.L * scale, z=np.full_like(one.cell.z, number))
            own.append((f"{one.label}({SYMBOLS[one.number]})", cell))
    return own


def elemental_references(
    elements: Iterable[int],
    potential: Potential,
    cache: Cache | None = None,
    options: RelaxOptions = OPTIONS,
    *,
    processes: Processes = None,
    progress: bool = False,
) -> tuple[list[Entry], list[tuple[str, str]]]:
    """The lowest relaxed structure of each element.

    Args:
        elements: atomic numbers.
        potential: as for the compounds.
        cache: see `relax_many`.
        options: of the relaxations.
        processes: see `relax_many`.
        progress: see `relax_many`.

    Returns:
        one entry an element, named ``element:Fe:A_cI2_229_a``, and (name, reason) of the elements none of whose
        candidates gave an energy.
    """
    wanted = sorted(set(elements))
    jobs = [(z, label, cell) for z in wanted for label, cell in candidates(z)]
    found = relax_many(
        [cell for _, _, cell in jobs], potential, options, cache=cache, processes=processes, progress=progress
    )
    best: dict[int, Entry] = {}
    for (z, label, _), one in zip(jobs, found):
        energy = one["energy_final"]
        if energy is not None and one["converged"] and (z not in best or energy < best[z].energy):
            best[z] = Entry(((z, 1),), float(energy), f"element:{SYMBOLS[z]}:{label}")
    failed = [(f"element:{SYMBOLS[z]}", "no candidate structure converged") for z in wanted if z not in best]
    return [best[z] for z in wanted if z in best], failed


def lacking(entries: Sequence[Entry], wanted: Iterable[int] = ()) -> list[int]:
    """Elements that occur in entries, or are wanted besides, and have no elemental entry."""
    have = {entry.composition[0][0] for entry in entries if len(entry.composition) == 1}
    return sorted(({z for entry in entries for z, _ in entry.composition} | set(wanted)) - have)
