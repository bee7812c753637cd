"""CIF writing with the crystal's own symmetry operations and asymmetric unit, in full precision.

Owns the CIF text. Nothing is looked up: the operations written are those of the crystal's set, whatever its setting,
and each orbit is one site. A symbol is written only when the caller read it off the set; the number also when the set
is one of the 530 tabulated settings (ASE reads no file without one of the two). The keys are those that pymatgen, ASE,
gemmi and spglib-based tools all understand; coordinates carry 12 digits, so that special positions survive any reader's
merging of images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from symjax.crystals.io.symmetry import tabulated_type
from symjax.crystals.types import Crystal
from symjax.elements import symbol as element_symbol
from symjax.errors import InputError
from symjax.groups.sets import make_opset
from symjax.lattice import lattice_parameters, volume
from symjax.ops import Op
from symjax.ops.symbols import format_xyz

_CELL_KEYS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


def format_cif(
    crystal: Crystal, *, name: str | None = None, symbol: str | None = None, number: int | None = None
) -> str:
    """The crystal as CIF text.

    Args:
        crystal: what to write.
        name: of the data block; the formula by default.
        symbol: Hermann-Mauguin symbol of the set in this very setting, such as ``F m -3 m``.
        number: space-group number of the set; looked up when left out.
    """
    number = tabulated_number(crystal) if number is None else number
    counts = formula_counts(crystal)
    reduced = np.gcd.reduce(list(counts.values()))
    formula = "".join(f"{e}{n // reduced if n != reduced else ''}" for e, n in counts.items())
    cell = lattice_parameters(crystal.L)
    lines = ["# written by symjax: operations and asymmetric unit as generated", f"data_{_block_name(name or formula)}"]
    if symbol is not None:
        lines.append(f"_symmetry_space_group_name_H-M   '{symbol}'")
    if number is not None:
        lines.append(f"_symmetry_Int_Tables_number   {int(number)}")
    lines += [f"_cell_{key}   {value:.10f}" for key, value in zip(_CELL_KEYS, cell, strict=True)]
    lines.append(f"_cell_volume   {float(volume(crystal.L)):.8f}")
    lines.append(f"_cell_formula_units_Z   {reduced}")
    lines.append(f"_chemical_formula_structural   {formula}")
    lines.append("_chemical_formula_sum   '" + " ".join(f"{e}{n}" for e, n in counts.items()) + "'")
    lines += ["loop_", " _symmetry_equiv_pos_site_id", " _symmetry_equiv_pos_as_xyz"]
    triplets = format_xyz(Op(crystal.W.astype(np.int32), crystal.w.astype(np.int32)), crystal.den)
    lines += [f"  {i + 1}  '{text.replace(',', ', ')}'" for i, text in enumerate(triplets)]
    lines += ["loop_"] + [
        f" _atom_site_{key}"
        for key in ("type_symbol", "label", "symmetry_multiplicity", "fract_x", "fract_y", "fract_z", "occupancy")
    ]
    for i, (z, multiplicity, x) in enumerate(zip(crystal.z, crystal.multiplicity, crystal.x, strict=True)):
        element = element_symbol(z)
        place = "  ".join(f"{value:.12f}" for value in x)
        lines.append(f"  {element}  {element}{i}  {multiplicity}  {place}  1")
    return "\n".join(lines) + "\n"


def tabulated_number(crystal: Crystal) -> int | None:
    """Space-group number of a set that is one of the 530 tabulated settings as it stands, else None."""
    return tabulated_type(make_opset(crystal.W, crystal.w, den=crystal.den)) or None


def formula_counts(crystal: Crystal) -> dict[str, int]:
    """Element -> atoms in the conventional cell, alphabetical."""
    counts: dict[str, int] = {}
    for z, multiplicity in zip(crystal.z, crystal.multiplicity, strict=True):
        counts[element_symbol(z)] = counts.get(element_symbol(z), 0) + int(multiplicity)
    return dict(sorted(counts.items()))


def _block_name(name: str) -> str:
    """A data block's name without blanks or control characters."""
    clean = "".join(c if c.isprintable() and not c.isspace() else "_" for c in name)
    if not clean:
        raise InputError("the name of a CIF data block must not be empty")
    return clean[:70]


def write_cif(path: str | Path, crystal: Crystal, *, symbol: str | None = None, number: int | None = None) -> None:
    """Write `format_cif` to a file.

    Raises:
        InputError: the file cannot be written.
    """
    text = format_cif(crystal, name=Path(path).stem, symbol=symbol, number=number)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
