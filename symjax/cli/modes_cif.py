"""The `_iso_` items of a CIF: amplitudes of symmetry modes and how coordinates follow from them, as ISODISTORT's files have them.

No dictionary of these items is published; the names and their meaning are those that readers of such files rely on (GSAS-II's CIF
reader: coordinates = formula, deltas = matrix times (norm times mode values)). One variable stands for each free coordinate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from symjax.crystals.types import Crystal
    from symjax.navigate.irreps import IrrepPart


def iso_items(
    crystal: Crystal, modes: Sequence[tuple[str, np.ndarray, float]], strains: Sequence[tuple[str, float]]
) -> str:
    """The loops for one file.

    Args:
        crystal: the distorted structure as the file has it, atoms called as `symjax.crystals.io.cif.format_cif` does.
        modes: of each mode the name (`mode_name`), the displacements (m, 3) of the representatives for an amplitude of 1, as
            fractions of the file's cell, and the amplitude.
        strains: name (`strain_name`) and size of each strain mode.
    """
    from symjax.elements import symbol

    labels = [f"{symbol(int(z))}{i}" for i, z in enumerate(crystal.z)]
    free = [_free(crystal, i) for i in range(len(labels))]
    variables = [(i, axis) for i, rows in enumerate(free) for axis, _ in rows]
    delta = sum((amplitude * step for _, step, amplitude in modes), np.zeros((len(labels), 3)))
    loops = [
        _loop(
            ("_iso_displacivemode_ID", "_iso_displacivemode_label", "_iso_displacivemode_value"),
            [f"{n} '{name}' {amplitude:.6f}" for n, (name, _, amplitude) in enumerate(modes, 1)],
        ),
        _loop(
            ("_iso_displacivemodenorm_ID", "_iso_displacivemodenorm_value"),
            [f"{n} 1.000000" for n in range(1, len(modes) + 1)],
        ),
        _loop(
            ("_iso_deltacoordinate_ID", "_iso_deltacoordinate_label", "_iso_deltacoordinate_value"),
            [f"{n} {labels[i]}_d{'xyz'[axis]} {delta[i, axis]:.8f}" for n, (i, axis) in enumerate(variables, 1)],
        ),
        _loop(("_iso_coordinate_label", "_iso_coordinate_formula"), _formulas(crystal, labels, free, delta)),
        _loop(
            ("_iso_displacivemodematrix_row", "_iso_displacivemodematrix_col", "_iso_displacivemodematrix_value"),
            [
                f"{row} {column} {step[i, axis]:.8f}"
                for row, (i, axis) in enumerate(variables, 1)
                for column, (_, step, _) in enumerate(modes, 1)
                if abs(step[i, axis]) > 1e-9
            ],
        ),
        _loop(
            ("_iso_strainmode_ID", "_iso_strainmode_label", "_iso_strainmode_value"),
            [f"{n} '{name}' {value:.8f}" for n, (name, value) in enumerate(strains, 1)],
        ),
    ]
    return "\n\n".join(loop for loop in loops if loop) + "\n"


def mode_name(symbol: str, part: IrrepPart, element: str, letter: str) -> str:
    """A displacement mode as ISODISTORT calls it: ``Pm-3m[1/2,1/2,0]M3+(a;0;0)[O:3d:dsp]``."""
    return f"{symbol}{_irrep(part)}[{element}:{letter}:dsp]"


def strain_name(symbol: str, part: IrrepPart) -> str:
    """A strain mode: ``Pm-3m[0,0,0]GM5+(a,0,0)[strain]``."""
    return f"{symbol}{_irrep(part)}[strain]"


def _irrep(part: IrrepPart) -> str:
    return f"[{part.irrep.named.irreps.k.text[1:-1]}]{part.irrep.label}{part.plain}"


def _free(crystal: Crystal, orbit: int) -> list[tuple[int, np.ndarray]]:
    """For each free parameter of an orbit the coordinate that it is called after and the step (3,) of all three."""
    from symjax.groups.order_parameter import reduced_rows

    kept = crystal.W[crystal.stab[orbit]].mean(axis=0)  # projects on what the stabilizer keeps
    return [(int(np.argmax(np.abs(row) > 1e-6)), row) for row in reduced_rows(kept.T)]


def _formulas(
    crystal: Crystal, labels: list[str], free: list[list[tuple[int, np.ndarray]]], delta: np.ndarray
) -> list[str]:
    """Each coordinate as the undistorted value and its variables."""
    from symjax.navigate.notation import fraction_texts

    lines = []
    for i, label in enumerate(labels):
        for axis, start in enumerate(fraction_texts(crystal.x[i] - delta[i])):
            text = start
            for pivot, row in free[i]:
                if abs(row[axis]) > 1e-6:
                    size = "" if abs(abs(row[axis]) - 1) < 1e-6 else f"{fraction_texts([abs(row[axis])])[0]}*"
                    text += f" {'-' if row[axis] < 0 else '+'} {size}{label}_d{'xyz'[pivot]}"
            lines.append(f'{label}_{"xyz"[axis]} "{text}"')
    return lines


def _loop(names: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join(["loop_", *names, *(f" {row}" for row in rows)]) if rows else ""
