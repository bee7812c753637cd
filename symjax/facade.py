"""The names at the top of the package, `symjax.close` and the like: one function for each everyday task, each with an example.

Every example is run as a test. A group is an `OpSet` (`symjax.groups`), or the number or symbol of a space-group type, which means
its standard setting. What these functions do not show has its own module, named in each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.errors import InputError
from symjax.groups.sets import OpSet

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.generate.likelihood import Scores
    from symjax.groups.identify import Identified
    from symjax.navigate.translationengleiche import TSubgroup

Group = OpSet | int | str

NAMES = (
    "close",
    "generate",
    "identify",
    "load",
    "log_likelihood",
    "orbit",
    "parse",
    "read",
    "relax",
    "site_symmetry",
    "space_group",
    "subgroups",
    "symmetry",
    "to_ase",
    "to_pymatgen",
    "write",
    "wyckoff_positions",
)
"""What `symjax.NAME` finds here."""


class Position(NamedTuple):
    """A Wyckoff position.

    Attributes:
        name: multiplicity and letter, such as ``4a``.
        site_symmetry: symbol of the site symmetry, oriented as in International Tables.
        coordinates: a point of it, such as ``0,0,0``; what may change is in `free`.
        free: the free coordinates, such as ``x``; empty where there are none.
    """

    name: str
    site_symmetry: str
    coordinates: str
    free: str


class Relaxed(NamedTuple):
    """A relaxed crystal.

    Attributes:
        cell: its atoms, in the cell that was given; None where relaxation failed.
        energy: eV/atom; None where there is none.
        converged: whether all forces ended below `fmax`.
        reason: why not; None where it did.
    """

    cell: AtomicStructure | None
    energy: float | None
    converged: bool
    reason: str | None


def space_group(name: int | str) -> OpSet:
    """Operations of the standard setting of a space-group type.

    Args:
        name: number from 1 to 230, or symbol.

    Raises:
        InputError: there is no such type.

    >>> import symjax
    >>> symjax.space_group(225).W.shape
    (192, 3, 3)
    >>> symjax.identify(symjax.space_group("P2_1/c")).number
    14
    """
    from symjax.groups.symbols import parse_space_group
    from symjax.groups.tables import standard_setting

    return standard_setting(parse_space_group(str(name)))


def _opset(group: Group) -> OpSet:
    return group if isinstance(group, OpSet) else space_group(group)


def parse(text: str | Sequence[str]) -> OpSet:
    """Operations from triplets, exact; more: `symjax.ops.symbols`.

    Args:
        text: a list of triplets, or one text with semicolons between them.

    Raises:
        ParseError: naming the place that cannot be read.

    >>> import symjax
    >>> ops = symjax.parse("-x,-y,z+1/2; x,-y,z")
    >>> ops.w.tolist()  # in 1/24
    [[0, 0, 12], [0, 0, 0]]
    """
    from symjax.groups.sets import make_opset
    from symjax.ops.symbols import parse_xyz

    parts = [part.strip() for part in text.split(";")] if isinstance(text, str) else list(text)
    found = parse_xyz([part for part in parts if part])
    return make_opset(found.W, found.w)


def close(generators: OpSet | str | Sequence[str]) -> OpSet:
    """The group that operations generate, lattice translations left out; more: `symjax.groups.close`.

    Args:
        generators: operations, or triplets as `parse` reads them.

    Raises:
        InputError: they generate more than 192 operations.

    >>> import symjax
    >>> group = symjax.close("-x,-y,z+1/2; x,-y,z")
    >>> len(group.W), symjax.identify(group).symbol
    (4, 'Pmc2_1')
    """
    from symjax.groups.closure import close as close_set
    from symjax.groups.sets import members

    given = generators if isinstance(generators, OpSet) else parse(generators)
    found = close_set(given)
    if bool(np.any(np.asarray(found.overflow))):
        raise InputError(f"these operations generate more than {found.opset.capacity} operations, or infinitely many")
    return members(found.opset)


def identify(group: OpSet) -> Identified:
    """The space-group type of a closed set of operations, in any setting; more: `symjax.groups.identify`.

    Raises:
        NotAGroupError: the set is not closed.

    >>> import symjax
    >>> found = symjax.identify(symjax.close(["-x,-y,-z", "-x,y+1/2,-z+1/2"]))
    >>> found.number, found.symbol, found.point_group
    (14, 'P2_1/c', '2/m')
    """
    from symjax.groups.identify import identify as identify_set

    return identify_set(group)


def subgroups(group: Group, *, maximal: bool = True) -> list[TSubgroup]:
    """Translationengleiche subgroups, one of each conjugacy class; with larger cells: `symjax.navigate`.

    Args:
        group: a closed set, or a type.
        maximal: only those with none between them and the group.

    >>> import symjax
    >>> sorted((one.symbol, one.index) for one in symjax.subgroups(99))
    [('Cmm2', 2), ('P4', 2), ('Pmm2', 2)]
    """
    from symjax.navigate.translationengleiche import maximal_t_subgroups, t_subgroups

    return (maximal_t_subgroups if maximal else t_subgroups)(_opset(group))


def wyckoff_positions(number: int | str) -> list[Position]:
    """Wyckoff positions of a type in the order of International Tables: a, b, c and so on.

    Of any set of operations, without letters: `symjax.wyckoff.wyckoff_positions`.

    Args:
        number: number or symbol of the type.

    >>> import symjax
    >>> positions = symjax.wyckoff_positions(225)
    >>> "".join(one.name[-1] for one in positions)
    'abcdefghijkl'
    >>> positions[0].name, positions[0].site_symmetry, positions[0].coordinates
    ('4a', 'm-3m', '0,0,0')
    >>> positions[4].name, positions[4].free
    ('24e', 'x')
    """
    from symjax.groups.symbols import parse_space_group
    from symjax.groups.tables import wyckoff_letters
    from symjax.navigate.notation import coordinate_text, free_text
    from symjax.navigate.splitting import standard_positions
    from symjax.wyckoff.site_symbols import oriented_symbols

    chosen = parse_space_group(str(number))
    known, letters, sites = standard_positions(chosen), wyckoff_letters(chosen), oriented_symbols(chosen)
    order = sorted(range(len(letters)), key=lambda i: (letters[i].isupper(), letters[i]))
    return [
        Position(
            f"{int(known.multiplicity[i])}{letters[i]}",
            str(sites[i]),
            coordinate_text(known.x0[i]),
            free_text(np.asarray(known.basis[i])[:, : int(known.dof[i])].astype(int)),
        )
        for i in order
    ]


def orbit(group: Group, point: Sequence[float]) -> np.ndarray:
    """(m, 3) the different points that operations make of one, in [0, 1); more: `symjax.groups.orbit`.

    Args:
        group: a closed set, or a type.
        point: (3,) fractional coordinates.

    >>> import symjax
    >>> symjax.orbit(225, [0.5, 0.5, 0.5]).tolist()
    [[0.5, 0.5, 0.5], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]]
    """
    from symjax.groups.orbits import orbit_points

    return orbit_points(_opset(group), np.asarray(point, float))


def site_symmetry(group: Group, point: Sequence[float]) -> OpSet:
    """Operations that leave a point where it is, up to lattice translations; more: `symjax.groups.stabilizer`.

    >>> import symjax
    >>> len(symjax.site_symmetry(225, [0, 0, 0]).W), len(symjax.site_symmetry(225, [0.11, 0.23, 0.37]).W)
    (48, 1)
    """
    from symjax.groups.orbits import stabilizer
    from symjax.groups.sets import take

    opset = _opset(group)
    return take(opset, np.flatnonzero(np.asarray(stabilizer(opset, np.asarray(point, float)))))


def read(path: str | Path) -> AtomicStructure:
    """The first structure of a CIF, POSCAR or extxyz file; what reading assumed: `symjax.crystals.io.read_file`.

    Raises:
        InputError: no such file, or none of these kinds.
        UnusableCrystal: no sound crystal.

    >>> import symjax
    >>> symjax.read("docs/examples/BaTiO3.cif").counts
    {8: 3, 22: 1, 56: 1}
    """
    from symjax.crystals.io import read_structure

    return read_structure(path)


def write(path: str | Path, crystal: Crystal) -> None:
    """A crystal as CIF, in its own setting; other kinds of files: `symjax.crystals.io`.

    >>> import symjax, tempfile, pathlib
    >>> crystal = symjax.load("prototypes")[0]
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "one.cif"
    >>> symjax.write(file, crystal)
    >>> len(symjax.read(file).z) == crystal.num_atoms
    True
    """
    from symjax.crystals.io import write_cif

    write_cif(path, crystal)


def symmetry(structure: AtomicStructure, symprec: float = 0.01) -> int:
    """Number of the space-group type found in atoms; more: `symjax analyze`, `symjax.evaluate.symmetry`.

    Args:
        structure: the atoms.
        symprec: tolerance, Å.

    >>> import symjax
    >>> symjax.symmetry(symjax.read("docs/examples/BaTiO3.cif"))
    221
    """
    from symjax.evaluate.symmetry import detected_number

    return detected_number(structure, symprec, -1.0)


def load(path: str | Path) -> CrystalDataset:
    """A data set of `symjax data prepare`, or the AFLOW prototypes by the word ``prototypes``.

    Data sets can be indexed, iterated and cut (`symjax.data.dataset.CrystalDataset`).

    >>> import symjax
    >>> data = symjax.load("prototypes")
    >>> len(data), len(data.subset(data.num_atoms < 4)) < len(data)
    (288, True)
    >>> sum(crystal.num_atoms for crystal in data) == int(data.num_atoms.sum())
    True
    """
    from symjax.data.dataset import load as load_file

    if str(path) != "prototypes":
        return load_file(path)
    from symjax.data.prepare import assemble, treat_rows
    from symjax.data.prototypes import prototype_rows
    from symjax.data.rows import RowOptions

    return assemble(treat_rows(prototype_rows(), RowOptions(), workers=1), RowOptions(), source="prototypes").dataset


def generate(num: int, model: str = "symop", *, seed: int = 0, weights: Any = None, **asked: Any) -> CrystalDataset:
    """Crystals of any system; what came to nothing, and other ways of asking: `symjax.systems.generate`.

    Args:
        num: how many.
        model: name of the system.
        seed: equal seeds give equal crystals.
        weights: folder; None for the shipped ones.
        **asked: fields of `symjax.generate.request.Request` (texts are read as on the command line: ``formula="SrTiO3"``,
            ``elements="Li,O"``), and of `symjax.generate.system.Settings`.

    Raises:
        InputError: what is asked for cannot be met.

    >>> import symjax
    >>> crystals = symjax.generate(2, formula="NaCl", groups=225, steps=4)
    >>> len(crystals), set(crystals.formula) <= {"NaCl", "Na1Cl1"}
    (2, True)
    """
    import dataclasses

    from symjax import systems
    from symjax.generate import request as requests
    from symjax.generate.system import Settings

    fields = {field.name for field in dataclasses.fields(requests.Request)}
    settings = {name: asked.pop(name) for name in list(asked) if name in {f.name for f in dataclasses.fields(Settings)}}
    if unknown := sorted(set(asked) - fields):
        raise InputError(f"nothing called {unknown[0]!r} can be asked for; there are {', '.join(sorted(fields))}")
    readers = {"formula": requests.parse_formula, "groups": requests.parse_space_groups, "sites": requests.parse_sites}
    readers |= dict.fromkeys(("elements", "allow", "include"), requests.parse_elements)
    for name, read_text in readers.items():
        if isinstance(asked.get(name), int | str):
            asked[name] = read_text(str(asked[name]))
    made = systems.generate(
        model,
        num,
        weights=weights,
        request=requests.Request(**asked),
        settings=Settings(seed=seed, **settings),
        min_ratio=0.6,
    )
    assert made.dataset is not None
    return made.dataset


def log_likelihood(weights: Any, dataset: CrystalDataset, **more: Any) -> Scores:
    """How likely crystals are, in nats: `value`, its `terms`, what it is `of`; see `symjax.systems.log_likelihood`.

    Args:
        weights: name of a system, loaded weights, or a folder with ``model=``.
        dataset: prepared crystals.
        **more: ``model``, ``orders``, ``seed``.

    Raises:
        InputError: the system has no likelihood.

    >>> import symjax
    >>> data = symjax.load("prototypes").subset([0, 1])
    >>> scores = symjax.log_likelihood("wyckoff_transformer", data, orders=2)
    >>> scores.kind, bool((scores.value < 0).all())
    ('lower bound', True)
    """
    from symjax import systems

    return systems.log_likelihood(weights, dataset, **more)


def relax(
    crystal: Crystal | AtomicStructure, potential: Any = "chgnet", *, fmax: float = 0.05, keep_symmetry: bool = True
) -> Relaxed:
    """A crystal relaxed by a potential, under its own symmetry unless told otherwise; more: `symjax.evaluate.stability`.

    Args:
        crystal: with its operations, or atoms (operations are searched then).
        potential: ``chgnet`` (needs an extra), ``ase:package.module:factory``, or a `Potential`.
        fmax: largest force left, eV/Å.
        keep_symmetry: whether the operations stay.

    Raises:
        InputError: the potential is not installed.

    >>> import symjax, numpy
    >>> from symjax.crystals.types import AtomicStructure
    >>> copper = AtomicStructure(3.5 * (numpy.ones((3, 3)) - numpy.eye(3)) / 2, [29], [[0, 0, 0]])
    >>> found = symjax.relax(copper, "ase:ase.calculators.emt:EMT")
    >>> found.converged, abs((4 * found.cell.volume) ** (1 / 3) - 3.59) < 0.02  # lattice constant, Å
    (True, True)
    """
    from symjax.evaluate.stability import RelaxOptions, load_potential, relax_many, relaxed_cell

    cell = crystal.atoms() if isinstance(crystal, Crystal) else crystal
    chosen = load_potential(potential) if isinstance(potential, str) else potential
    (outcome,) = relax_many([cell], chosen, RelaxOptions(fmax=fmax, symmetric=keep_symmetry), processes=1)
    return Relaxed(relaxed_cell(cell, outcome), outcome["energy_final"], outcome["converged"], outcome["reason"])


def to_pymatgen(crystal: Crystal | AtomicStructure) -> Any:
    """As a pymatgen Structure; back: `symjax.crystals.io.from_pymatgen`.

    >>> import symjax
    >>> symjax.to_pymatgen(symjax.read("docs/examples/BaTiO3.cif")).composition.reduced_formula
    'BaTiO3'
    """
    from symjax.crystals.io import to_pymatgen as convert

    return convert(crystal)


def to_ase(crystal: Crystal | AtomicStructure) -> Any:
    """As ASE Atoms; back: `symjax.crystals.io.from_ase`.

    >>> import symjax
    >>> len(symjax.to_ase(symjax.read("docs/examples/BaTiO3.cif")))
    5
    """
    from symjax.crystals.io.convert import to_ase as convert

    return convert(crystal)
