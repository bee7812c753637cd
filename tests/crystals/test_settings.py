"""Crystals in settings other than the standard one: the same atoms, found again by spglib in that very setting."""

import argparse

import numpy as np
import pytest
import spglib

from symjax.cli.generate_asked import check_setting
from symjax.cli.output import cif_text
from symjax.cli.parent import parent_of
from symjax.crystals.io import parse_cif
from symjax.crystals.setting import crystal_in_setting_of, setting_change
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.describe import in_file_setting
from symjax.groups.symbols import parse_setting
from symjax.groups.tables import hall_setting, standard_setting


def orthorhombic():
    """GdFeO3 type in Pnma."""
    x = [[0, 0, 0.5], [0.05, 0.25, 0.99], [0.48, 0.25, 0.08], [0.29, 0.04, 0.71]]
    opset = standard_setting(62)
    z, places = [], []
    for number, point in zip((22, 20, 8, 8), x, strict=True):
        images = (np.asarray(opset.W) @ np.array(point) + np.asarray(opset.w) / opset.den) % 1 % 1
        images = images[np.sort(np.unique(np.round(images, 6) % 1, axis=0, return_index=True)[1])]
        z += [number] * len(images)
        places += images.tolist()
    return AtomicStructure(L=np.diag([5.44, 7.64, 5.38]), z=np.array(z), x=np.array(places))


@pytest.mark.parametrize(
    ("symbol", "lengths"), [("Pbnm", (5.38, 5.44, 7.64)), ("Pmcn", (7.64, 5.38, 5.44)), ("Pnma", (5.44, 7.64, 5.38))]
)
def test_pnma_in_other_axes(symbol, lengths):
    crystal = parent_of(orthorhombic()).crystal
    hall = parse_setting(symbol)
    moved = crystal_in_setting_of(crystal, hall)
    assert np.allclose(np.linalg.norm(moved.L, axis=1), lengths)
    assert abs(np.linalg.det(moved.L)) == pytest.approx(abs(np.linalg.det(crystal.L)))
    cell = moved.atoms()
    assert len(cell.z) == 20
    found = spglib.get_symmetry_dataset((cell.L, cell.x, cell.z), symprec=1e-4, hall_number=hall)
    assert found.hall_number == hall
    assert np.allclose(found.transformation_matrix, np.eye(3)) or np.allclose(
        np.abs(found.transformation_matrix), np.eye(3)
    )


@pytest.mark.parametrize("symbol", ["R-3c:R", "Fd-3m:1", "P 1 2_1/n 1", "Bbmm", "P4/nmm:1"])
def test_change_is_exact(symbol):
    """By (P, p) the operations of the setting become those of the standard one, one by one."""
    hall = parse_setting(symbol)
    change, given = setting_change(hall), hall_setting(hall)
    back = np.linalg.inv(change.matrix)
    W = np.rint(back @ given.W @ change.matrix).astype(int)
    w = (np.asarray(given.w) / given.den + given.W @ change.origin - change.origin) @ back.T
    standard = standard_setting(change.number)
    own = {
        (a.tobytes(), (b % standard.den).tobytes())
        for a, b in zip(np.asarray(standard.W, np.int64), np.asarray(standard.w, np.int64), strict=True)
    }
    assert {
        (a.astype(np.int64).tobytes(), (np.rint(b * standard.den).astype(np.int64) % standard.den).tobytes())
        for a, b in zip(W, w, strict=True)
    } <= own


def test_a_file_in_another_setting_is_read_again():
    crystal = parent_of(orthorhombic()).crystal
    text = cif_text(crystal, 62, name="x", hall=parse_setting("Pbnm"))
    assert "'P b n m'" in text
    again = parent_of(parse_cif(text))
    assert again.number == 62
    with pytest.raises(InputError, match="is a setting of"):
        crystal_in_setting_of(crystal, parse_setting("Bbmm"))


@pytest.mark.parametrize("asked", ["Pbnm", "Pnma", "Bbmm"])
@pytest.mark.parametrize("own", ["Pnma", "Pmcn"])
def test_where_the_axes_of_a_file_lie_in_the_generated_ones(own, asked):
    """Every atom of the file, brought back by `file_setting`, is one of the crystal's; a setting of another type is left alone."""
    crystal = crystal_in_setting_of(parent_of(orthorhombic()).crystal, parse_setting(own))
    entry: dict = {"group": {"number": 62}}
    moved, symbol = in_file_setting(crystal, entry, parse_setting(asked))
    assert symbol == ("P b n m" if asked == "Pbnm" else "P n m a")
    way = entry.get("file_setting", {"basis": np.eye(3), "origin": np.zeros(3)})
    basis = np.array(way["basis"])
    assert np.allclose(basis.T @ crystal.L, moved.L)
    cells = [one.atoms() for one in (crystal, moved)]
    back = cells[1].x @ basis.T + way["origin"]
    gap = cells[0].x[:, None] - back[None]
    same = (np.abs(gap - np.rint(gap)) < 1e-6).all(-1) & (cells[0].z[:, None] == cells[1].z)
    assert (same.sum(0) == 1).all() and (same.sum(1) == 1).all()


def test_settings_asked_of_generate(capsys):
    """Pbnm without --setting is said to be written as Pnma; a setting of another type, or of no crystals, is refused."""

    def check(setting, space_group, groups, realise=None):
        check_setting(argparse.Namespace(setting=setting, space_group=space_group, realise=realise), groups)
        return capsys.readouterr().err

    assert check("Pbnm", "Pbnm", (62,)) == check(None, "Pnma,225", (62, 225)) == check(None, None, None) == ""
    assert "Pbnm is Pnma in other axes" in check(None, "225,Pbnm", (225, 62))
    with pytest.raises(InputError, match="asks for Fm-3m"):
        check("Pbnm", "225", (225,))
    with pytest.raises(InputError, match="--realise none"):
        check("Pbnm", "Pbnm", (62,), "none")
