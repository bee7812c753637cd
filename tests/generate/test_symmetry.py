"""Constraints hold in the atoms: what sites force and what geometries come near to, against spglib."""

import numpy as np
import pytest

from symjax.data.structure_types import StructureTypes, atoms_of
from symjax.errors import InputError
from symjax.generate.impossible import check_possible
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.generate.symmetry import NEAR, forced_groups, group_of_atoms, near_groups, random_geometry
from symjax.groups.tables import standard_setting, wyckoff_letters
from symjax.systems import generate
from symjax.wyckoff.set_table import build_set_table

ELEMENTS = (11, 17, 8, 22)
ASKED = {
    "chiral": Request(chiral=True),
    "no mirror, glide, inversion": Request(forbid=("mirror", "glide", "inversion")),
    "no inversion": Request(centrosymmetric=False),
    "no inversion, NaCl": Request(centrosymmetric=False, formula={"Na": 1, "Cl": 1}),
    "polar, NaCl": Request(polar=True, formula={"Na": 1, "Cl": 1}),
    "194, Fe": Request(groups=(194,), formula={"Fe": 1}),
    "225, Na and Cl": Request(groups=(225,), include=("Na", "Cl")),
    "cubic with a screw": Request(crystal_system="cubic", require=("screw-4",)),
    "4mm": Request(point_group="4mm"),
}


def spglib_number(atoms, symprec):
    import spglib

    return spglib.get_symmetry_dataset((atoms.L, atoms.x, atoms.z), symprec=symprec).number


def one(number, *sites):
    """A structure type: elements on positions named by their letters."""
    letters = wyckoff_letters(number)
    z, pos = np.array([[z for z, _ in sites]]), np.array([[letters.index(letter) for _, letter in sites]])
    return StructureTypes(build_set_table([standard_setting(number)]), np.zeros(1, int), z, pos)


@pytest.mark.parametrize(
    ("number", "sites", "forced"),
    [
        (209, ((11, "a"), (17, "b")), 225),  # rock salt on F432
        (196, ((11, "a"), (17, "b")), 225),
        (216, ((30, "a"), (16, "c")), 216),  # zincblende has what it is given
        (194, ((26, "a"),), 191),
        (194, ((26, "c"),), 194),  # hexagonal close packing
        (225, ((11, "a"), (11, "b")), 221),  # half the cell
        (1, ((11, "a"),), 2),
        (4, ((8, "a"),), 11),
        (19, ((8, "a"),), 19),
        (75, ((56, "a"), (22, "b")), 99),
    ],
)
def test_what_sites_force(number, sites, forced):
    assert forced_groups(one(number, *sites)).tolist() == [forced]


@pytest.mark.parametrize(
    ("request_", "forced"),
    [
        (Request(groups=(1,), orbits=1), "the only choice of sites forces another symmetry, P-1"),
        (Request(groups=(4,), orbits=1), "P2_1/m"),
        (Request(groups=(209,), orbits=2, sites=(("Na", "4a"), ("Cl", "4b"))), "Fm-3m"),
        (Request(groups=(25, 28), orbits=1, formula={"Na": 1}), "each of the .* choices of sites forces .*Pmmm"),
        (Request(groups=(1,), orbits=2), ""),
        (Request(groups=(209,), orbits=2, formula={"Na": 1, "Cl": 1}), ""),
        (Request(groups=(194,), orbits=1), ""),
        (Request(groups=(209,), sites=(("Na", "4a"), ("Cl", "4b"))), ""),  # more orbits may follow
    ],
)
def test_requests_that_no_sites_can_meet_are_refused_before_drawing(request_, forced):
    if forced:
        with pytest.raises(InputError, match=forced):
            check_possible(masks_of(request_))
    else:
        check_possible(masks_of(request_))


def test_forced_groups_are_those_that_spglib_finds_in_random_geometries():
    rng, seen = np.random.default_rng(0), 0
    for number in rng.choice(np.arange(1, 231), 40, replace=False).tolist():
        letters, many = wyckoff_letters(number), rng.integers(1, 4)
        types = one(number, *((ELEMENTS[rng.integers(3)], letters[rng.integers(len(letters))]) for _ in range(many)))
        if types.num_atoms()[0] > 120:
            continue
        geometry = random_geometry(types, 0, rng)
        points = np.round(geometry.x % 1.0, 6) % 1.0
        if len(np.unique(points, axis=0)) < len(points):
            continue  # two orbits on one position without freedom
        assert forced_groups(types)[0] == spglib_number(geometry, 1e-4), number
        seen += 1
    assert seen > 20


@pytest.mark.parametrize(("shift", "group"), [(0.2 * NEAR, 221), (0.4 * NEAR, 221), (4 * NEAR, 99)])
def test_what_a_geometry_comes_near_to(shift, group):
    """Ti of cubic SrTiO3 moved along z in P4mm, angstrom: its image under the lost mirror is twice as far."""
    types = one(99, (38, "a"), (22, "b"), (8, "b"), (8, "c"))
    k = np.array([0, 0, 0, 0, 0, np.log(3.9) * np.sqrt(3.0)])
    x = np.array([[0, 0, 0], [0.5, 0.5, 0.5 + shift / 3.9], [0.5, 0.5, 0], [0.5, 0, 0.5]], float)
    assert near_groups(types, k[None], x[None], [0]).tolist() == [group]
    assert group_of_atoms(atoms_of(types, 0, k, x), 1e-4) == 99


@pytest.mark.parametrize("model", ["symop", "wyckoff_transformer"])
def test_drawn_sites_leave_the_symmetry_that_is_asked_for(model):
    request = ASKED["no inversion, NaCl"]
    made = generate(model, 12, request=request, realise="none")
    groups = masks_of(request).groups
    for row in range(len(made.types.z)):
        assert groups[spglib_number(random_geometry(made.types, row, np.random.default_rng(row)), 1e-4)]
    assert made.missing == 0


@pytest.mark.slow
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("model", ["symop", "wyckoff_transformer", "symmcd", "wyckoffdiff", "wyckoffaugen"])
def test_no_crystal_violates_a_constraint(model, asked):
    """64 crystals, spglib at 0.01 angstrom."""
    how = {"min_ratio": 0.6, "steps": 50 if model == "symmcd" else 20}
    if model == "wyckoffaugen":
        how = {"min_ratio": 0.3}  # no diffusion, and atoms come out closer
    made = generate(model, 64, request=ASKED[asked], **how)
    groups = masks_of(ASKED[asked]).groups
    found = [spglib_number(made.dataset.atoms(i), 0.01) for i in range(len(made.dataset))]
    assert len(found) + made.missing == 64 and len(found) >= 24  # enough to say something; what is missing is counted
    assert [number for number in found if not groups[number]] == []
