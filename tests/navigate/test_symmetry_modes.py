"""Symmetry modes of real distortions against published figures, and isotropy subgroups against published tables."""

import numpy as np
import pytest
from textbook import structure

from symjax.cli.parent import parent_of
from symjax.crystals.types import AtomicStructure
from symjax.errors import DataError
from symjax.groups.irrep_names import parse_irrep
from symjax.groups.order_parameter import parse_direction, real_irrep
from symjax.groups.tables import standard_setting
from symjax.navigate.irreps import irreps_of, isotropy_relation, isotropy_subgroups, primary_irreps
from symjax.navigate.relation import maximal_relations, verify
from symjax.navigate.symmetry_modes import analyse
from symjax.navigate.transition import phase_of

# LaMnO3, Pbnm, cell and displacements of the seven modes as published with FullProf's example LMO_Modes_Pbnm (amplitudes of
# AMPLIMODES; structure of Rodriguez-Carvajal et al., Phys. Rev. B 57, R3189, 1998): displacement in angstrom of each atom's mode.
LMO_CELL = np.array([5.53646, 5.74718, 7.69271])
LMO_ATOMS = {
    (57, (0.0, 0.5, 0.25)): [(0.042779, 0.280571, 0.0)],
    (25, (0.0, 0.0, 0.0)): [],
    (8, (0.75, 0.25, 0.0)): [(0, 0, -0.289988), (0, 0, -0.004496), (0.087993, -0.091342, 0), (-0.224920, -0.233480, 0)],
    (8, (0.5, 0.5, 0.75)): [(-0.417410, 0, 0), (0.006472, 0, 0), (0, 0.073958, 0)],
}
LMO_PUBLISHED = {"R4+": 1.18838, "R5+": 0.08807, "X5+": 0.56271, "M2+": 0.35429, "M3+": 0.90560}
LMO_ORBITS = {("X5+", 57): 0.54412, ("X5+", 8): 0.14343, ("R5+", 57): 0.08612, ("R5+", 8): 0.01843, ("R4+", 8): 1.18838}
PBNM = [
    (np.diag(s), np.array(t))
    for s, t in (
        ((1, 1, 1), (0, 0, 0)),
        ((1, -1, -1), (0.5, 0.5, 0)),
        ((-1, 1, -1), (0.5, 0.5, 0.5)),
        ((-1, -1, 1), (0, 0, 0.5)),
    )
]


def perovskite(a, A, B, X, at_origin="B"):
    """Cubic perovskite with the cation B, or A, at the origin."""
    x = np.array([[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
    return AtomicStructure(L=np.eye(3) * a, z=np.array([A, B, X, X, X]), x=x if at_origin == "B" else x + 0.5)


def lamno3():
    z, x = [], []
    for (number, place), moves in LMO_ATOMS.items():
        point = np.array(place) + sum((np.array(m) for m in moves), np.zeros(3)) / LMO_CELL
        images = []
        for W, t in PBNM:
            for sign in (1, -1):
                image = sign * (W @ point + t) % 1
                if not any(np.abs((image - o) - np.rint(image - o)).max() < 1e-4 for o in images):
                    images.append(image)
        z += [number] * len(images)
        x += images
    return AtomicStructure(L=np.diag(LMO_CELL), z=np.array(z), x=np.array(x))


def amplitudes(found):
    return {one.part.irrep.label: one.amplitude for one in found.irreps if one.modes}


def test_lamno3():
    """The published decomposition to 1e-3 angstrom, irrep by irrep and element by element."""
    parent = parent_of(perovskite(3.9407, 57, 25, 8)).crystal
    found = analyse(parent, phase_of(lamno3()))
    verify(found.relation)
    assert (found.relation.number, found.relation.index, found.cells) == (62, 24, 4)
    got = amplitudes(found)
    assert set(got) == set(LMO_PUBLISHED)
    for label, value in LMO_PUBLISHED.items():
        assert got[label] == pytest.approx(value, abs=1e-3), label
    for (label, z), value in LMO_ORBITS.items():
        one = next(i for i in found.irreps if i.part.irrep.label == label)
        mine = [m.amplitude for m in one.modes if parent.z[m.orbit] == z]
        assert np.linalg.norm(mine) == pytest.approx(value, abs=1e-3)
    assert found.total == pytest.approx(np.sqrt(sum(v**2 for v in got.values())), abs=1e-9)  # irreps are orthogonal
    assert np.abs(sum(one.field for one in found.irreps) - found.displacement).max() < 1e-9
    assert {one.part.irrep.label: one.part.plain for one in found.irreps}["R4+"] == "(a,a,0)"
    assert {one.part.irrep.label for one in found.irreps if len(one.strain)} == {"GM1+", "GM3+", "GM5+"}
    sets = [
        tuple(p.irrep.label for p in chosen)
        for chosen in primary_irreps(found.relation, [i.part for i in found.irreps])
    ]
    assert ("R4+", "M3+") in sets or ("M3+", "R4+") in sets


def tetragonal(c_over_a, shifts, z, a=3.9, cell=(1, 1, 1)):
    x = np.array([[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
    return AtomicStructure(L=np.diag([a, a, a * c_over_a]), z=np.array(z), x=x + np.array(shifts))


@pytest.mark.parametrize("z", [(82, 22, 8, 8, 8), (56, 22, 8, 8, 8)])
def test_ferroelectric_perovskites(z):
    """PbTiO3, BaTiO3 P4mm: GM4- along an axis and nothing else; A is the length about the common centroid."""
    dz = np.array([[0, 0, v] for v in (0.0, 0.04, 0.11, 0.11, 0.12)])
    found = analyse(parent_of(perovskite(3.9, z[0], 22, 8)).crystal, phase_of(tetragonal(1.05, dz, z)))
    got = amplitudes(found)
    assert found.relation.number == 99 and set(got) == {"GM4-"}
    assert next(i.part.plain for i in found.irreps) == "(a,0,0)"
    assert got["GM4-"] == pytest.approx(np.linalg.norm((dz - dz.mean(axis=0)) * 3.9), abs=1e-6)


@pytest.mark.parametrize(("origin", "label"), [("B", "R4+"), ("A", "R5-")])
def test_the_name_of_a_tilt_depends_on_the_origin(origin, label):
    """SrTiO3 I4/mcm: R4+ with Ti at the origin, R5- with Sr there."""
    x, z = [], []
    base = perovskite(3.905, 38, 22, 8)
    for cell in np.ndindex(2, 2, 2):
        for atom, place in zip(base.z, base.x, strict=True):
            y = place + np.array(cell)
            turn = np.zeros(3)
            if atom == 8 and abs(place[2]) < 1e-6:  # in the plane of Ti: turned about c, against the neighbours
                nearest = np.floor(y + 1e-9)
                turn = 0.03 * (-1) ** int(nearest.sum()) * np.cross([0, 0, 1], y - nearest)
            z.append(atom)
            x.append((y + turn) / 2)
    low = AtomicStructure(L=np.eye(3) * 2 * 3.905, z=np.array(z), x=np.array(x))
    found = analyse(parent_of(perovskite(3.905, 38, 22, 8, origin)).crystal, phase_of(low, 1e-3))
    assert (found.relation.number, set(amplitudes(found))) == (140, {label})
    # four O of the primitive cell with two formula units move by 0.03 / 2 cell edges of 3.905
    assert amplitudes(found)[label] == pytest.approx(2 * 0.03 * 0.5 * 3.905, abs=1e-4)


def test_tungsten_trioxide():
    """WO3 over the cubic parent of ReO3 (W at the origin): the tetragonal phase is M3- alone, with R4+ it is P4/ncc.

    Howard, Luca & Knight, J. Phys. Condens. Matter 14, 377 (2002): W off its centre along c, neighbours in the plane against it.
    """
    a, off = 3.75, 0.06
    z, x = [], []
    for i, j in np.ndindex(2, 2):
        z += [74, 8, 8, 8]
        x += [[i, j, off * (-1) ** (i + j)], [i + 0.5, j, 0], [i, j + 0.5, 0], [i, j, 0.5]]
    low = AtomicStructure(L=np.diag([2 * a, 2 * a, a]), z=np.array(z), x=np.array(x) / [2, 2, 1])
    cubic = AtomicStructure(
        L=np.eye(3) * a, z=np.array([74, 8, 8, 8]), x=np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
    )
    found = analyse(parent_of(cubic).crystal, phase_of(low))
    assert (found.relation.symbol, found.relation.index, found.cells) == ("P4/nmm", 6, 2)
    assert amplitudes(found) == {"M3-": pytest.approx(np.sqrt(2) * off * a, abs=1e-6)}
    M, R = (real_irrep(*parse_irrep(221, label)) for label in ("M3-", "R4+"))
    k = next(i for i, arm in enumerate(M.named.irreps.arms) if arm[2] == 0)
    assert isotropy_relation(221, [(M, np.eye(3)[k])]).symbol == "P4/nmm"
    assert isotropy_relation(221, [(M, np.eye(3)[k]), (R, np.array([0.0, 0.0, 1.0]))]).symbol == "P4/ncc"


def test_quartz():
    """High to low quartz: one irrep of GM that the twofold axes along a keep and the sixfold and those between reverse."""
    found = analyse(parent_of(structure("quartz beta 180")).crystal, phase_of(structure("quartz alpha 154")))
    assert (found.relation.number, found.relation.index) == (154, 2)
    primary = next(one for one in found.irreps if not one.part.trivial)
    assert {one.part.irrep.label for one in found.irreps if one.modes} <= {primary.part.irrep.label, "GM1"}
    assert primary.part.relation.number == 154 and primary.part.irrep.named.name == "GM"
    irreps = primary.part.irrep.named.irreps
    chi = irreps.small[primary.part.irrep.irrep].characters.real
    about_a, sixfold = np.diag([1, -1, -1]), np.array([[1, -1, 0], [1, 0, 0], [0, 0, 1]])
    about_a[0, 1] = -1
    assert [chi[[(W == g).all() for W in irreps.W]].item() for g in (about_a, sixfold)] == [1.0, -1.0]
    silicon = [
        m.amplitude for m in primary.modes if found.parent.z[m.orbit] == 14
    ]  # 0.5 - 0.4697 along a, three of them
    assert np.linalg.norm(silicon) == pytest.approx(0.0303 * 4.9977 * np.sqrt(3), abs=2e-3)


def test_a_group_that_is_no_subgroup_is_refused():
    hexagonal = AtomicStructure(
        L=np.diag([3.0, 3.0, 5.0]), z=np.array([56, 22, 8, 8, 8]), x=np.random.default_rng(0).random((5, 3))
    )
    with pytest.raises(DataError, match=r"subgroup|strain"):
        analyse(parent_of(perovskite(4.0, 56, 22, 8)).crystal, phase_of(hexagonal), max_strain=0.02)


# Howard & Stokes, Acta Cryst. B54, 782 (1998), table 1: the fifteen simple tilt systems, as M3+ and R4+ (B at the origin).
TILTS = [
    ("a0a0a0", "(0;0;0)", "(0,0,0)", "Pm-3m"),
    ("a0a0c+", "(a;0;0)", "(0,0,0)", "P4/mbm"),
    ("a0b+b+", "(a;a;0)", "(0,0,0)", "I4/mmm"),
    ("a+a+a+", "(a;a;a)", "(0,0,0)", "Im-3"),
    ("a+b+c+", "(a;b;c)", "(0,0,0)", "Immm"),
    ("a0a0c-", "(0;0;0)", "(0,0,a)", "I4/mcm"),
    ("a0b-b-", "(0;0;0)", "(0,a,a)", "Imma"),
    ("a-a-a-", "(0;0;0)", "(a,a,a)", "R-3c"),
    ("a0b-c-", "(0;0;0)", "(0,a,b)", "C2/m"),
    ("a-b-b-", "(0;0;0)", "(a,b,b)", "C2/c"),
    ("a-b-c-", "(0;0;0)", "(a,b,c)", "P-1"),
    ("a0b+c-", "(z;0;0)", "(0,0,a)", "Cmcm"),
    ("a+b-b-", "(z;0;0)", "(0,a,a)", "Pnma"),
    ("a+b-c-", "(z;0;0)", "(0,a,b)", "P2_1/m"),
    ("a+a+c-", "(z;z;0)", "(0,0,a)", "P4_2/nmc"),
]


def axis_of_arm(named, irrep):
    """For each arm of M the axis about which its octahedra turn: that of k's zero component."""
    return [int(np.flatnonzero(arm % named.irreps.k.den == 0)[0]) for arm in named.irreps.arms]


@pytest.mark.parametrize(("glazer", "in_phase", "out_of_phase", "symbol"), TILTS[1:])
def test_glazer_tilts(glazer, in_phase, out_of_phase, symbol):
    """Every tilt system has the group that Howard & Stokes give it."""
    M, R = (real_irrep(*parse_irrep(221, label)) for label in ("M3+", "R4+"))
    axes = axis_of_arm(M.named, M.irrep)
    values = {"0": 0.0, "a": 1.0, "b": 0.7, "c": 0.4, "z": 1.0}
    plus = [values[v] for v in in_phase.strip("()").split(";")]
    minus = np.array([values[v] for v in out_of_phase.strip("()").split(",")])
    m = np.zeros(3)
    if minus.any() and any(plus):  # mixed systems: the axes of in-phase turns are those without out-of-phase ones
        free = [axis for axis in range(3) if minus[axis] == 0]
        if glazer == "a0b+c-":
            free = free[1:]
        for axis, value in zip(free, [v for v in plus if v], strict=False):
            m[axes.index(axis)] = value
    else:
        m[:] = plus
    pairs = [(real, vector) for real, vector in ((M, m), (R, minus)) if np.any(vector)]
    relation = isotropy_relation(221, pairs)
    assert relation.symbol == symbol, glazer
    # and back: the group tells which tilts lead to it, and in which direction
    W, w, den = relation.operations()
    cell = (relation.setting.P, relation.setting.P_den)
    free = {real.label: round(float(np.trace(real.fixed_by(W, w, den, *cell)))) for real, _ in pairs}
    parts = irreps_of(221, relation)
    assert free.items() <= {one.irrep.label: one.dim for one in parts}.items()
    assert sorted(free) in [sorted(one.irrep.label for one in chosen) for chosen in primary_irreps(relation, parts)]


def test_isotropy_subgroups_of_m3():
    """Howard & Stokes' in-phase tilts with the index that the number of domains asks for."""
    found = isotropy_subgroups(221, real_irrep(*parse_irrep(221, "M3+")))
    for _, relation in found:
        verify(relation)
    assert [(r.symbol, r.index) for _, r in found] == [("P4/mbm", 6), ("I4/mmm", 12), ("Im-3", 8), ("Immm", 24)]


def test_primary_irreps_of_maximal_subgroups():
    """Each maximal subgroup of a cubic group belongs to one irrep, and that irrep's isotropy subgroup is it."""
    found = {}
    for relation in maximal_relations(standard_setting(221), 2):
        sets = primary_irreps(relation, irreps_of(221, relation))
        assert all(len(chosen) == 1 for chosen in sets)
        found[relation.symbol, relation.setting.origin.any()] = {chosen[0].irrep.label for chosen in sets}
        assert sets[0][0].relation.number == relation.number
    assert found["P4/mmm", False] == {"GM3+"} and found["R-3m", False] == {"GM5+"}
    real = real_irrep(*parse_irrep(221, "GM4-"))
    projector = parse_direction(real, "(a,a,0)")
    assert isotropy_relation(221, [(real, projector @ np.array([1.0, 1.0, 0.0]))]).symbol == "Amm2"
