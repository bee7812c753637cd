"""Makes symjax/groups/tables.npz: the operations of the 530 Hall settings, read from spglib's database, and the Wyckoff letters
of the 230 standard settings, read from pyxtal's tables (letters are a convention: operations do not tell them).

Run: python scripts/make_tables.py [--out PATH]. Deterministic: the same spglib and pyxtal give the same bytes.
The default setting of each type is the standard of the International Tables: unique axis b (cell choice 1), origin
choice 2, hexagonal axes.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import spglib

from symjax.groups.sets import OpSet, canonical_unique, make_opset
from symjax.wyckoff.orbits import place
from symjax.wyckoff.positions import wyckoff_positions

STANDARD_CHOICES = ("", "b", "b1", "2", "H")
NUM_SETTINGS = 530


def build() -> dict[str, np.ndarray]:
    """All arrays of the table; rotations are stored once (64 of them) and addressed by index."""
    rotations: dict[tuple, int] = {}
    rot_index, translations, start, texts = [], [], [0], []
    number, default = [0], np.zeros(231, np.int16)
    for hall in range(1, NUM_SETTINGS + 1):
        found = spglib.get_symmetry_from_database(hall)
        w = np.rint(found["translations"] * 24).astype(int)
        if np.abs(w / 24 - found["translations"]).max() > 1e-9:
            raise ValueError(f"Hall setting {hall} has a translation that is no multiple of 1/24")
        opset = make_opset(found["rotations"], w)
        order = canonical_unique(opset.W, opset.w)
        for i in order:
            rot_index.append(rotations.setdefault(tuple(opset.W[i].ravel().tolist()), len(rotations)))
        translations.append(opset.w[order])
        start.append(start[-1] + len(order))
        kind = spglib.get_spacegroup_type(hall)
        number.append(kind.number)
        names = (kind.international_short, kind.choice, kind.hall_symbol, kind.pointgroup_international)
        texts.append((*names, kind.international_full))
        if default[kind.number] == 0 and kind.choice in STANDARD_CHOICES:
            default[kind.number] = hall
    columns = list(zip(*([("",) * 5] + texts), strict=True))
    standard = []
    for hall in default[1:]:
        rows = slice(start[hall - 1], start[hall])
        W = np.array(list(rotations)).reshape(-1, 3, 3)[rot_index[rows]]
        standard.append(make_opset(W, np.concatenate(translations[hall - 1 : hall])))
    return {
        "rotations": np.array(list(rotations), np.int8).reshape(-1, 3, 3),
        "rot_index": np.array(rot_index, np.uint8),
        "w": np.concatenate(translations).astype(np.int8),
        "start": np.array([0] + start, np.int32),  # rows start[h] to start[h + 1] belong to Hall number h (h = 0: none)
        "number": np.array(number, np.int16),
        "default_hall": default,
        "international": np.array(columns[0]),
        "choice": np.array(columns[1]),
        "hall_symbol": np.array(columns[2]),
        "point_group": np.array(columns[3]),
        "full": np.array(columns[4]),
        "letters": np.array([b"", *(letters(i + 1, opset).encode() for i, opset in enumerate(standard))]),
    }


def letters(number: int, opset: OpSet) -> str:
    """Letter of each of our positions of a standard setting, in their order: whose flat a point of pyxtal's position lies on."""
    from pyxtal.symmetry import Group

    positions = wyckoff_positions(opset)
    free = np.random.default_rng(0).random(3)
    found = [""] * len(positions)
    for position in Group(number).Wyckoff_positions:
        images = opset.W @ position.ops[0].operate(free) + opset.w / opset.den
        found[place(positions, images, multiplicity=int(position.multiplicity))[0]] = position.letter
    if not all(found):
        raise ValueError(f"group {number}: {len(positions)} positions, letters {found}")
    return "".join(found)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An .npz without time stamps, so that the file depends on the arrays alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), compress_type=zipfile.ZIP_DEFLATED)


Arrays = dict[str, np.ndarray]


def write_table(name: str, about: str | None, build: Callable[[], Arrays], say: Callable[[Arrays], str]) -> None:
    """A script's command: builds the arrays, writes them where the package looks for them, or to --out, and says what they hold.

    Args:
        name: of the file in `symjax`, without its ending, such as `groups/tables`.
        about: the script's docstring.
        build: makes the arrays.
        say: what they hold, in words.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "symjax" / f"{name}.npz")
    args = parser.parse_args()
    arrays = build()
    write_npz(args.out, arrays)
    print(f"{args.out}: {say(arrays)}")


if __name__ == "__main__":
    version = spglib.__version__
    write_table(
        "groups/tables",
        __doc__,
        build,
        lambda a: f"{len(a['w'])} operations of {NUM_SETTINGS} settings, spglib {version}",
    )
