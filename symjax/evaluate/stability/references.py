"""Hulls from reference crystals, and hulls that somebody else made.

Conventions as in `hull`. One file holds the entries with everything needed to say which hull it is: potential, settings,
hash of the data.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from symjax.crystals.io.cif_read import parse_formula
from symjax.crystals.io.files import load_json, read_text
from symjax.crystals.types import AtomicStructure
from symjax.elements import atomic_number
from symjax.errors import DataError, InputError
from symjax.evaluate.cache import Cache, content_key
from symjax.evaluate.stability.batch import relax_many, single_points
from symjax.evaluate.stability.elements import elemental_references, lacking
from symjax.evaluate.stability.hull import FORMAT, Entry, Hull, reduced_composition, subsets
from symjax.evaluate.stability.potential import Potential
from symjax.evaluate.stability.relax import RelaxOptions
from symjax.parallel import Processes


def build_hull(
    cells: Sequence[AtomicStructure],
    names: Sequence[str],
    potential: Potential,
    cache: Cache | None = None,
    *,
    relax: bool = False,
    options: RelaxOptions | None = None,
    elements: bool = True,
    systems: Iterable[Iterable[int]] | None = None,
    source: str = "",
    out: Path | str | None = None,
    processes: Processes = None,
    progress: bool = False,
) -> Hull:
    """Energies of reference crystals, from the same potential as those of the crystals to be compared with them.

    Args:
        cells: reference crystals.
        names: a name for each.
        potential: from `load_potential`.
        cache: finished crystals are taken from here and stored here.
        relax: whether the reference crystals are relaxed first. As given they lie a little above their minimum (10 to 30
            meV/atom
            where the potential and the source of the crystals differ), which puts relaxed crystals below the hull.
        options: of the relaxation.
        elements: whether elements without a reference crystal get one from prototypes, relaxed with the potential (see
            `elements`). Without it few compounds lie inside the coverage.
        systems: sets of atomic numbers; only reference crystals whose elements all lie in one of them are needed and
            kept.
        source: what the crystals are, for the record.
        out: file to write.
        processes: see `relax_many`.
        progress: see `relax_many`.

    Raises:
        InputError: no crystals, or names that do not fit.
    """
    if len(cells) != len(names):
        raise InputError(f"there must be one name a crystal: {len(cells)} crystals, {len(names)} names")
    if not len(cells):
        raise InputError("a hull needs at least one reference crystal")
    options = options or RelaxOptions()
    systems = None if systems is None else sorted({tuple(sorted(set(system))) for system in systems})
    chosen = list(range(len(cells))) if systems is None else _within(cells, systems)
    wanted = [cells[i] for i in chosen]
    if relax:
        found = relax_many(wanted, potential, options, cache=cache, processes=processes, progress=progress)
        energies = [one["energy_final"] for one in found]
    else:
        found = single_points(wanted, potential, cache=cache, processes=processes, progress=progress)
        energies = [one["energy"] for one in found]
    entries, failed = [], []
    for index, energy, one in zip(chosen, energies, found):
        if energy is None:
            failed.append((str(names[index]), str(one["reason"])))
        else:
            entries.append(Entry(cells[index].reduced, float(energy), str(names[index])))
    settings: dict[str, Any] = {"relaxed": relax, "source": source, "limited": systems is not None}
    if relax:
        settings |= {
            "options": options.hash,
            "fmax": options.fmax,
            "steps": options.steps,
            "symmetric": options.symmetric,
            "not_converged": sum(one["energy_final"] is not None and not one["converged"] for one in found),
        }
    if elements:
        also = {z for system in systems or () for z in system}
        added, gone = elemental_references(
            lacking(entries, also), potential, cache, processes=processes, progress=progress
        )
        settings["elements_from_prototypes"] = [entry.name for entry in added]
        entries, failed = entries + added, failed + gone
    data_hash = hashlib.sha256("".join(content_key(cell) for cell in wanted).encode()).hexdigest()
    hull = Hull(tuple(entries), f"{potential.name}-{potential.version}", settings, data_hash, tuple(failed))
    if out is not None:
        hull.save(out)
    return hull


def load_hull(path: Path | str) -> Hull:
    """A hull from a file of `Hull.save`, or from a JSON list of pymatgen entries (``ComputedEntry``, ``PDEntry`` dicts).

    pymatgen entries bring their own energies, corrections included. They belong to whatever code made them: the crystals
    compared with them must have energies of the same kind.

    Raises:
        InputError: the file is missing or neither of the two.
    """
    try:
        text = read_text(path)
        value = load_json(text, "JSON")
    except DataError as error:
        raise InputError(f"{path}: cannot be read as a hull ({error}); expected JSON, or JSON in gzip") from error
    if isinstance(value, dict) and value.get("format") == FORMAT:
        try:
            entries = tuple(
                Entry(reduced_composition(comp), _finite(energy), str(name)) for comp, energy, name in value["entries"]
            )
            failed = tuple((str(name), str(reason)) for name, reason in value["failed"])
            return Hull(entries, str(value["potential"]), dict(value["settings"]), str(value["data_hash"]), failed)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: damaged hull file ({type(error).__name__}: {error}); build it again") from error
    if isinstance(value, dict) and isinstance(value.get("entries"), list):
        value = value["entries"]
    if isinstance(value, list):
        return _from_pymatgen(value, path, hashlib.sha256(text.encode()).hexdigest())
    raise InputError(f"{path}: neither a hull of `symjax evaluate hull build` nor a list of pymatgen entries")


def _within(cells: Sequence[AtomicStructure], systems: Iterable[tuple[int, ...]]) -> list[int]:
    """Indices of the cells whose elements all lie in one of the systems."""
    wanted = {part for system in systems for part in subsets(system)}
    return [i for i, cell in enumerate(cells) if frozenset(int(z) for z in cell.z) in wanted]


def _from_pymatgen(rows: list[Any], path: Path | str, data_hash: str) -> Hull:
    """A hull of pymatgen entries: their compositions and energies are read, no object is made of them."""
    entries, failed = [], []
    for index, row in enumerate(rows):
        try:
            counts = _amounts(row["composition"])
            correction = row["correction"] if "correction" in row else _adjusted(row.get("energy_adjustments") or ())
            energy = _finite(float(row["energy"]) + float(correction or 0.0)) / sum(counts.values())
            name = str(row.get("entry_id") or row.get("name") or f"entry {index}")
            whole = _whole(counts)
            entries.append(Entry(reduced_composition(whole.items()), energy, name))
        except (AttributeError, InputError, TypeError, ValueError, KeyError, ArithmeticError) as error:
            failed.append((f"entry {index}", f"{type(error).__name__}: {error}"))
    if not entries:
        why = f"; the first: {failed[0][1]}" if failed else ""
        raise InputError(f"{path}: no pymatgen entry could be read out of {len(rows)}{why}")
    return Hull(tuple(entries), "pymatgen entries", {"source": str(Path(path).name)}, data_hash, tuple(failed))


def _finite(energy: Any) -> float:
    """An energy; NaN, which JSON may hold, would make every distance from the hull one."""
    if not math.isfinite(value := float(energy)):
        raise ValueError(f"an energy is {value}")
    return value


def _adjusted(parts: Iterable[Any]) -> float:
    """eV of a list of energy adjustments."""
    return sum(float(p["value"] if "value" in p else p["adj_per_atom"] * p["n_atoms"]) for p in parts)


def _amounts(composition: Any) -> dict[int, float]:
    """Atomic number -> amount of ``{"Fe": 2.0, "O2-": 3.0}``, oxidation states dropped, or of a formula such as ``Fe2O3``."""
    if isinstance(composition, str):
        return dict(parse_formula(composition))
    counts: dict[int, float] = {}
    for name, amount in composition.items():
        letters = re.match(r"[A-Za-z]+", str(name))
        z = atomic_number(letters.group()) if letters else None
        if z is None or not 0 <= float(amount) < 1e6:
            raise InputError(f"{name!r}: {amount!r} is no amount of an element")
        counts[z] = counts.get(z, 0.0) + float(amount)
    return counts


def _whole(counts: dict[int, float]) -> dict[int, int]:
    """Amounts as whole numbers, multiplied by up to 100 where they are fractions."""
    smallest = min(counts.values())
    for factor in (1.0, *(n / smallest for n in range(1, 101))):
        scaled = {z: amount * factor for z, amount in counts.items()}
        if all(abs(amount - round(amount)) < 1e-6 for amount in scaled.values()):
            return {z: round(amount) for z, amount in scaled.items()}
    raise InputError(f"amounts must be whole numbers, got {counts}")
