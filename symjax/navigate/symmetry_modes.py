"""Symmetry-mode analysis: a distorted structure as displacements of its parent, told apart by irreps of the parent's group.

Owns `ModeAnalysis`, `analyse`, `way_from_low` and `phase_of_crystal`. The displacement field u of the common cell (a primitive cell
of the distorted structure, S in a primitive basis of the parent) is a sum of Bloch fields c_k exp(2 pi i k.R); each is projected on
the small irreps of its k by their characters, P = d / |G_k| sum chi(g)* T(g). Lengths are those of the undistorted parent lattice,
as AMPLIMODES takes them (u as fractions of the cell times the parent's cell vectors), about the common centroid of all atoms.

Amplitudes. A is the root of the sum of |u|^2 over the atoms of a primitive cell of the distorted structure: the convention of
AMPLIMODES (Orobengoa, Capillas, Aroyo, Perez-Mato, J. Appl. Cryst. 42, 820, 2009; Perez-Mato, Orobengoa, Aroyo, Acta Cryst. A66,
558, 2010) and A_s of ISODISTORT; A_p = A sqrt(V_p / V_s), V_p and V_s the primitive cells of parent and distorted structure, is the
parent-normalised amplitude A_p of ISODISTORT (Campbell, Stokes, Tanner, Hatch, J. Appl. Cryst. 39, 607, 2006). A mode's sign: its
vector is taken with its first largest component positive, in the Cartesian frame of the parent's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.errors import DataError, SymjaxError
from symjax.groups.identify import identify
from symjax.groups.order_parameter import RealIrrep
from symjax.groups.primitive import PrimitiveForm, primitive_form
from symjax.groups.sets import OpSet
from symjax.groups.setting import find_setting
from symjax.groups.tables import standard_setting
from symjax.lattice.log import K_BASIS
from symjax.lattice.reduction import reduced_basis
from symjax.navigate.irreps import IrrepPart, k_vectors, real_irreps_of
from symjax.navigate.motions import Motions
from symjax.navigate.placing import way_from_file
from symjax.navigate.relation import Relation
from symjax.navigate.transition import Phase, Transition, common_sizes, find_transitions

_NEAR = 1e-4


@dataclass(frozen=True)
class Mode:
    """One symmetry mode of one orbit of the parent.

    Attributes:
        orbit: of the parent crystal.
        vector: (N, 3) displacements of the atoms of the common cell, Cartesian, normalised to sum of squares 1.
        amplitude: signed, angstrom (the convention A of the module).
    """

    orbit: int
    vector: np.ndarray
    amplitude: float


@dataclass(frozen=True)
class IrrepAmplitude:
    """What a distortion has of one irrep.

    Attributes:
        part: the irrep, direction and isotropy subgroup.
        modes: its modes, orbit by orbit.
        strain: (s,) amplitudes of the strains of that irrep, logarithmic, Frobenius-normalised.
        field: (N, 3) displacements of this irrep, angstrom.
    """

    part: IrrepPart
    modes: tuple[Mode, ...]
    strain: np.ndarray
    field: np.ndarray

    @property
    def amplitude(self) -> float:
        """A of all its modes, angstrom."""
        return float(np.sqrt(sum(mode.amplitude**2 for mode in self.modes)))


@dataclass(frozen=True)
class ModeAnalysis:
    """A distorted structure over its parent.

    Attributes:
        parent: the parent in the standard setting of G.
        relation: G and H, the group of the distorted structure; (P, p) from the standard setting of G to that of H.
        transition: the mapping of lattices and atoms.
        atoms: (N,) orbit of the parent of each atom of the common cell, and
        places: (N, 3) its place in the parent, coordinates of the standard setting of G.
        z: (N,) atomic numbers.
        displacement: (N, 3) angstrom.
        strain: (3, 3) logarithmic strain in the frame of the parent's lattice.
        cells: primitive cells of the parent in the common cell.
        irreps: parts with modes or strains, primary ones first.
    """

    parent: Crystal
    relation: Relation
    transition: Transition
    atoms: np.ndarray
    places: np.ndarray
    z: np.ndarray
    displacement: np.ndarray
    strain: np.ndarray
    cells: int
    irreps: tuple[IrrepAmplitude, ...]

    @property
    def total(self) -> float:
        """A of the whole distortion, angstrom."""
        return float(np.sqrt((self.displacement**2).sum()))

    def parent_normalised(self, amplitude: float) -> float:
        """A_p of an amplitude A."""
        return amplitude / np.sqrt(self.cells)


def way_from_low(found: ModeAnalysis, low: Phase, file: AtomicStructure) -> tuple[np.ndarray, np.ndarray]:
    """Where the standard setting of the distorted structure's group lies in the axes of the file that the structure came from.

    Args:
        found: the analysis; it is the setting that its relation leads to, which need not be that of another search of the file.
        low: the distorted structure as analysed, made of
        file: that structure.

    Returns:
        (P, p): x_file = P x_standard + p, of equivalent origins the one nearest to zero.
    """
    path, setting = found.transition, found.relation.setting
    C, o = way_from_file(file, low.cell)
    common = path.first.L @ np.linalg.inv(found.parent.L)  # rows: the common cell in the parent's conventional basis
    P = C @ path.V @ np.linalg.inv(common.T) @ setting.matrix
    steps = found.displacement @ np.linalg.inv(found.parent.L)
    x = np.linalg.solve(setting.matrix, found.places[0] + steps[0] - setting.origin)
    p = C @ low.cell.x[path.origin_in_B[0]] + o - P @ x
    inner = C @ path.V  # p modulo the translations of the structure
    inner = np.eye(3) if abs(abs(np.linalg.det(inner)) - 1) < 1e-6 else inner
    p = p - inner @ np.rint(np.linalg.solve(inner, p) - 1e-9)
    return P, np.where(np.abs(p) < 5e-6, 0.0, p)


@dataclass(frozen=True)
class Cell:
    """The primitive cell of a crystal and how its group acts there.

    Attributes:
        basis: (3, 3) int64 columns in the conventional basis, in units of 1/unit; reduced.
        unit: its denominator.
        inner: (3, 3) int64 the same columns in the basis of `form`.
        y: (n, 3) coordinates in that basis, z: (n,) atomic numbers, orbit: (n,) orbits of the crystal.
        L: (3, 3) lattice rows.
        form: the group.
    """

    basis: np.ndarray
    unit: int
    inner: np.ndarray
    y: np.ndarray
    z: np.ndarray
    orbit: np.ndarray
    L: np.ndarray
    form: PrimitiveForm

    def action(self, W: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image (m, n) and lattice step (m, n, 3) of each atom under operations (m, 3, 3), (m, 3) in this basis.

        Raises:
            SymjaxError: an image is no atom.
        """
        moved = np.einsum("mij,nj->mni", W, self.y) + w[:, None]
        gap = moved[:, :, None] - self.y[None, None]
        whole = np.rint(gap)
        close = (np.abs(gap - whole) < _NEAR).all(axis=-1) & (self.z[:, None] == self.z[None])
        if not (close.sum(axis=-1) == 1).all():
            raise SymjaxError("an operation of the parent's group maps an atom on no atom")
        image = close.argmax(axis=-1)
        steps = np.take_along_axis(whole, image[:, :, None, None], axis=2)[:, :, 0]
        return image, steps.astype(np.int64)

    def inwards(self, W: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Operations of the conventional basis (m, 3, 3), (m, 3) floats in this one."""
        B = self.basis / self.unit
        back = np.linalg.inv(B)
        return np.rint(back @ W @ B), w @ back.T


def primitive_cell(crystal: Crystal) -> Cell:
    """The primitive cell of a crystal with its operations."""
    opset = OpSet(
        W=crystal.W.astype(np.int32), w=crystal.w.astype(np.int32), mask=np.ones(len(crystal.W), bool), den=crystal.den
    )
    form = primitive_form(opset)
    inner = reduced_basis(form.columns.T / form.source_den @ crystal.L).astype(np.int64)
    basis = form.columns @ inner
    atoms = crystal.atoms()
    orbit = np.repeat(np.arange(len(crystal.z)), crystal.multiplicity)
    y = atoms.x @ np.linalg.inv(basis / form.source_den).T
    kept: list[int] = []
    for i in range(len(y)):
        gap = y[kept] - y[i] if kept else np.ones((1, 3)) / 2
        same = (np.abs(gap - np.rint(gap)) < _NEAR).all(axis=1) if kept else np.zeros(1, bool)
        if not (same & (orbit[kept] == orbit[i]) if kept else same).any():
            kept.append(i)
    y = y[kept] - np.floor(y[kept] + 1e-9)
    L = basis.T / form.source_den @ crystal.L
    return Cell(basis, form.source_den, inner, y, atoms.z[kept], orbit[kept], L, form)


def phase_of_crystal(crystal: Crystal) -> tuple[Phase, Cell]:
    """A crystal with exactly its own operations as one end of a path, and its cell."""
    cell = primitive_cell(crystal)
    inner = cell.inner
    back = np.rint(np.linalg.inv(inner)).astype(np.int64)
    W = back @ cell.form.W @ inner
    image, steps = cell.action(W, cell.form.w / cell.form.den @ back.T)
    motions = Motions(W, image, -(steps - steps[:, :1]))
    centre = cell.y.mean(axis=0)
    named = identify(motions.opset())
    return Phase(named.number, named.symbol, AtomicStructure(L=cell.L, z=cell.z, x=cell.y - centre), motions), cell


def analyse(
    parent: Crystal,
    distorted: Phase,
    *,
    max_cell: int = 8,
    max_strain: float = 0.15,
    names: tuple[str, str] = ("A", "B"),
) -> ModeAnalysis:
    """The modes that a distorted structure has over a parent.

    Args:
        parent: in the standard setting of its group.
        distorted: from `symjax.navigate.transition.phase_of`.
        max_cell: primitive cells of the parent in one of the distorted structure, at most.
        max_strain: bound of the principal strains between them.
        names: how errors call the two.

    Raises:
        DataError: compositions differ, no mapping is found, or the group of the distorted structure is no subgroup of the parent's
            by any mapping found.
    """
    upper, cell = phase_of_crystal(parent)
    size, other = common_sizes(upper, distorted, max_cell, names)[0]
    if other != 1:
        raise DataError(
            f"a primitive cell of {names[1]} ({len(distorted.cell.z)} atoms) is no whole number of those of {names[0]} "
            f"({len(upper.cell.z)} atoms): its group {distorted.symbol} cannot be a subgroup of {upper.symbol}"
        )
    paths = find_transitions(upper, distorted, max_cell=size, max_strain=max_strain, num=3, max_tried=60, names=names)
    whole = [p for p in paths if p.indices_second == (1, 1)]
    if not whole:
        best = f"; the closest mapping shares {paths[0].symbol} ({paths[0].number}) with both" if paths else ""
        raise DataError(
            f"the group {distorted.symbol} ({distorted.number}) of {names[1]} is no subgroup of {upper.symbol} ({upper.number}) of "
            f"{names[0]} in any mapping of the atoms found{best}"
        )
    return _analysed(parent, cell, whole[0], upper.number)


def _analysed(parent: Crystal, cell: Cell, path: Transition, number: int) -> ModeAnalysis:
    S = path.S
    det = int(round(abs(np.linalg.det(S))))
    atom = np.repeat(np.arange(len(cell.z)), det)
    absolute = path.first.x @ S.T
    absolute = absolute + (cell.y[atom[0]] - absolute[0])
    R = np.rint(absolute - cell.y[atom]).astype(np.int64)
    u = (path.second.x - path.first.x) @ path.first.L
    rows, steps = _operations(cell, path, absolute)
    relation = _relation(cell, path, rows, steps, number)
    H_W, H_w, den = _conventional(cell, rows, steps)
    box = cell.basis @ S
    invariant = _columns(_mean_action(cell, path))
    group = IrrepAction(parent, cell, number)
    stretch = log_stretch(path.first.L, path.second.L)
    found = []
    for named in k_vectors(number, cell.inner @ S):
        for irrep in real_irreps_of(number, named.name if named.standard else named.irreps.k.text[1:-1]):
            projector = irrep.fixed_by(H_W, H_w, den, box, cell.unit)
            if np.trace(projector) < 0.5:
                continue
            moved = group.project(irrep, invariant, R, S)
            modes = _modes(moved, cell.orbit[atom], u)
            strain = group.strain(irrep, stretch) if named.name == "GM" else np.zeros(0)
            if modes or len(strain):
                field = sum((m.amplitude * m.vector for m in modes), np.zeros_like(u))
                found.append(IrrepAmplitude(IrrepPart(irrep, projector), modes, strain, field))
    found.sort(key=lambda one: (one.part.trivial, -round(one.amplitude, 9)))
    places = absolute @ (cell.basis / cell.unit).T
    return ModeAnalysis(parent, relation, path, cell.orbit[atom], places, path.first.z, u, stretch, det, tuple(found))


def log_stretch(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(3, 3) logarithm of the stretch from one lattice (rows) to the metric of another, in the frame of the first."""
    back = np.linalg.inv(first.T)
    values, vectors = np.linalg.eigh(back.T @ (second @ second.T) @ back)
    return 0.5 * (vectors * np.log(values)) @ vectors.T


def _operations(cell: Cell, path: Transition, absolute: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """H as rows of the parent's primitive form and lattice steps (h, 3) in the basis of the cell.

    Raises:
        SymjaxError: an operation is none of the parent's.
    """
    S, back = path.S, np.rint(np.linalg.inv(cell.inner)).astype(np.int64)
    own = back @ cell.form.W @ cell.inner
    index = {np.ascontiguousarray(W).tobytes(): i for i, W in enumerate(own)}
    W = np.rint(S @ path.motions.W @ np.linalg.inv(S)).astype(np.int64)
    w = absolute[path.motions.perm[:, 0]] - W @ absolute[0]
    rows = np.array([index.get(np.ascontiguousarray(one).tobytes(), -1) for one in W])
    if (rows < 0).any():
        raise SymjaxError("an operation of the distorted structure is none of the parent's")
    steps = w - cell.form.w[rows] / cell.form.den @ back.T
    whole = np.rint(steps)
    if np.abs(steps - whole).max() > 1e-3:
        raise SymjaxError("a translation of the distorted structure's group is none of the parent's")
    return rows, whole.astype(np.int64)


def _conventional(cell: Cell, rows: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The same operations in the parent's conventional basis: W, w in units of 1/den."""
    C, unit, form = cell.form.columns, cell.unit, cell.form
    inverse = np.linalg.inv(C)
    W = np.rint(C @ form.W[rows] @ inverse).astype(np.int64)
    w = (form.w[rows] + form.den * steps @ cell.inner.T) @ C.T
    return W, w, form.den * unit


def _relation(cell: Cell, path: Transition, rows: np.ndarray, steps: np.ndarray, number: int) -> Relation:
    """H below G."""
    S, form = path.S, cell.form
    det = int(round(np.linalg.det(S)))
    adjugate = np.rint(np.linalg.inv(S) * det).astype(np.int64)
    back = np.rint(np.linalg.inv(cell.inner)).astype(np.int64)
    w = (form.w[rows] @ back.T + form.den * steps) @ adjugate.T
    opset = OpSet(
        W=path.motions.W.astype(np.int32), w=w % (form.den * det), mask=np.ones(len(rows), bool), den=form.den * det
    )
    L = path.first.L
    conventional = np.linalg.inv((cell.basis @ S / cell.unit).T) @ L
    setting = find_setting(opset, metric=conventional @ conventional.T, reference=(cell.basis @ S, cell.unit))
    return Relation(standard_setting(number), setting, len(form.W) // len(rows), det, 0)


def _mean_action(cell: Cell, path: Transition) -> np.ndarray:
    """(3 N, 3 N) projector on the fields of the common cell that H keeps."""
    N = len(path.first.z)
    out = np.zeros((N, 3, N, 3))
    frame = path.first.L.T
    for W, perm in zip(path.motions.W, path.motions.perm, strict=True):
        turn = frame @ W @ np.linalg.inv(frame)
        out[perm, :, np.arange(N), :] += turn
    return out.reshape(3 * N, 3 * N) / len(path.motions.W)


def _columns(projector: np.ndarray) -> np.ndarray:
    """(m, r) orthonormal columns of a projector's range."""
    values, vectors = np.linalg.eigh(0.5 * (projector + projector.T))
    return vectors[:, values > 0.5]


class IrrepAction:
    """How the parent's group acts on Bloch fields."""

    def __init__(self, parent: Crystal, cell: Cell, number: int):
        irreps = real_irreps_of(number, "GM")[0].named.irreps
        W, w = cell.inwards(irreps.W, irreps.w / irreps.den)
        self.cell = cell
        self.image, self.steps = cell.action(W, w)
        frame = parent.L.T
        self.turn = frame @ irreps.W @ np.linalg.inv(frame)

    def project(self, irrep: RealIrrep, fields: np.ndarray, R: np.ndarray, S: np.ndarray) -> np.ndarray:
        """(N, 3, r) projections on an irrep of fields (3 N, r) of the common cell S; R (N, 3) the cell of each atom."""
        irreps = irrep.named.irreps
        n, r, det = len(self.cell.z), fields.shape[1], len(R) // len(self.cell.z)
        u = fields.reshape(n, det, 3, r)
        cells = R.reshape(n, det, 3)
        B = self.cell.basis
        out = np.zeros(u.shape, complex)
        both = {irrep.irrep}
        conjugate = irreps.conjugate(irrep.irrep)
        if irrep.reality == 0 and conjugate is not None:
            both.add(conjugate)
        at = np.arange(n)
        size = float(irreps.k.den * self.cell.unit)
        for arm, k in enumerate(irreps.arms):
            k_cell = k @ B / size
            if np.abs(k_cell @ S - np.rint(k_cell @ S)).max() > 1e-6:
                continue  # an arm that is no wave of the common cell
            wave = np.exp(2j * np.pi * (cells @ k_cell))
            c = np.einsum("nr,nrax->nax", wave.conj(), u) / det
            back = np.zeros(c.shape, complex)
            for one in both:
                rows, chi = irreps.arm_characters(one, arm)
                dim = irreps.small[one].dim
                for row, value in zip(rows, chi, strict=True):
                    moved = np.einsum("ab,nbx->nax", self.turn[row], c)
                    factor = np.exp(-2j * np.pi * (self.steps[row] @ k_cell)) * value.conj() * dim / len(rows)
                    np.add.at(back, self.image[row][at], moved * factor[:, None, None])
            out += wave[:, :, None, None] * back[:, None]
        real = out.real if irreps.minus_in_star else 2 * out.real
        return real.reshape(n * det, 3, r)

    def strain_projector(self, irrep: RealIrrep) -> np.ndarray:
        """(6, 6) projector of symmetric tensors (coefficients of `K_BASIS`) on an irrep at GM."""
        irreps = irrep.named.irreps
        chi = irreps.small[irrep.irrep].characters
        chi = 2 * chi.real if irrep.reality == 0 else chi.real
        dim = irreps.small[irrep.irrep].dim
        moved = np.einsum("aij,gik,bkl,gjl->gab", K_BASIS, self.turn, K_BASIS, self.turn, optimize=True)
        return np.einsum("g,gab->ab", chi * dim, moved) / len(self.turn)

    def strain(self, irrep: RealIrrep, stretch: np.ndarray) -> np.ndarray:
        """(1,) size of a strain's part of an irrep, none where no strain belongs to it."""
        projector = self.strain_projector(irrep)
        if np.trace(projector) < 0.5:
            return np.zeros(0)
        return np.array([np.linalg.norm(projector @ np.einsum("aij,ij->a", K_BASIS, stretch))])


def _modes(moved: np.ndarray, orbit: np.ndarray, u: np.ndarray) -> tuple[Mode, ...]:
    """Modes of one irrep, orbit by orbit, from the projections (N, 3, r) of an orthonormal basis of Fix(H)."""
    found = []
    for one in np.unique(orbit):
        mine = orbit == one
        X = moved[mine].reshape(-1, moved.shape[2])
        left = X @ X.T
        for _ in range(round(float(np.trace(left)))):
            diagonal = np.diag(left)
            pivot = int(np.argmax(diagonal > diagonal.max() - 1e-7))
            column = left[:, pivot] / np.sqrt(left[pivot, pivot])
            column /= np.linalg.norm(column)
            left = left - np.outer(column, column)
            largest = int(np.argmax(np.abs(column) > np.abs(column).max() - 1e-7))
            vector = np.zeros_like(u)
            vector[mine] = (column * np.sign(column[largest])).reshape(-1, 3)
            found.append(Mode(int(one), vector, float((vector * u).sum())))
    return tuple(found)
