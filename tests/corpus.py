"""Small texts of every kind that files in the wild hold, with what a reader has to make of each. Made here, from no data set."""

KEYS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
EDGES = ("5.1", "6.2", "7.3", "90", "99", "90")
CELL = "".join(f"_cell_{key} {value}\n" for key, value in zip(KEYS, EDGES, strict=True))
SITES = "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
P1 = "_symmetry_space_group_name_H-M 'P 1'\n"
ROWS = "Na1 Na 0 0 0\nCl1 Cl .5 .5 .5\n"
GOOD = f"data_good\n{CELL}{P1}{SITES}{ROWS}"
LOOPED = "loop_\n" + "".join(f"_cell_{key}\n" for key in KEYS) + " ".join(EDGES) + "\n"
OCCUPIED = GOOD.replace("fract_z\n", "fract_z\n_atom_site_occupancy\n")


def occupied(first, second="1"):
    return OCCUPIED.replace("0 0 0\n", f"0 0 0 {first}\n").replace(".5 .5 .5\n", f".5 .5 .5 {second}\n")


def ends(text, first, second):
    """Words behind the two atoms' lines of a POSCAR or extxyz."""
    lines = text.rstrip().splitlines()
    return "\n".join([*lines[:-2], f"{lines[-2]} {first}", f"{lines[-1]} {second}"]) + "\n"


def formula(text):
    return GOOD.replace(SITES, f"_chemical_formula_sum '{text}'\n{SITES}")


def labels(first):
    return GOOD.replace("_atom_site_type_symbol\n", "").replace("Na1 Na", first).replace("Cl1 Cl", "Cl1")


READ = {  # name -> (CIF text, elements, kinds of notes)
    "plain": (GOOD, "Na Cl", ""),
    "no data_ line": (GOOD.removeprefix("data_good\n"), "Na Cl", ""),
    "byte-order mark and a remark": ("\ufeff# é\n" + GOOD, "Na Cl", ""),
    "standard uncertainties": (GOOD.replace("5.1\n", "5.10(2)\n").replace("0 0 0", "0.0(1) 0 0"), "Na Cl", ""),
    "cell in a loop": (GOOD.replace(CELL, LOOPED), "Na Cl", ""),
    "data_ and loop_ inside a text": (
        GOOD.replace(P1, f"{P1}_publ_x\n;\ndata_no\nloop_\n_cell_length_a 99\n;\n"),
        "Na Cl",
        "",
    ),
    "deuterium": (GOOD.replace("Na1 Na", "D1 D"), "H Cl", ""),
    "charges": (GOOD.replace("Na1 Na", "Na1 Na1+").replace("Cl1 Cl", "Cl1 Cl1-"), "Na Cl", ""),
    "labels only": (labels("NA1"), "Na Cl", ""),
    "label told by the formula": (
        labels("CA1").replace(P1, f"{P1}_chemical_formula_sum 'C Cl'\n"),
        "C Cl",
        "element assumed",
    ),
    "water": (GOOD.replace("Na1 Na", "W1 Wat"), "O Cl", "hydrogens missing"),
    "hydroxyl": (labels("O-H(1)"), "O Cl", "hydrogens missing"),
    "hydrogen without a place": (GOOD + "H1 H ? ? ?\n", "Na Cl", "hydrogens missing"),
    "hydrogen declared": (formula("H4 Na Cl"), "Na Cl", "hydrogens missing"),
    "formula differs": (formula("K Cl"), "Na Cl", "formula differs"),
    "formula fits": (formula("Na4 Cl4"), "Na Cl", ""),
    "atoms too few for Z": (
        formula("Na Cl").replace(SITES, f"_cell_formula_units_Z 4\n{SITES}"),
        "Na Cl",
        "formula differs",
    ),
    "occupancy unknown": (occupied("?", "."), "Na Cl", "occupancy unknown"),
    "occupancy rounded": (occupied("0.999"), "Na Cl", ""),
    "moments": (
        GOOD + "loop_\n_atom_site_moment_label\n_atom_site_moment_crystalaxis_x\nNa1 1\n",
        "Na Cl",
        "moments dropped",
    ),
    "magnetic operations": (
        GOOD.replace(P1, "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n-x,-y,-z,-1\n"),
        "Na Cl",
        "moments dropped",
    ),
    "dummy atom": (occupied("d", "dum").replace("site_occupancy", "site_calc_flag"), "Na", "element assumed"),
    "nothing said of symmetry": (GOOD.replace(P1, ""), "Na Cl", "symmetry assumed"),
    "blocks without atoms": (
        f"data_global\n_journal 'x'\n{GOOD}data_powder\nloop_\n_pd_x\n1\n2\n",
        "Na Cl",
        "block without atoms",
    ),
    "a second structure": (GOOD + GOOD.replace("good", "other"), "Na Cl", "more structures"),
}
REFUSED = {  # name -> (CIF text, class of reason, words)
    "occupancy 0": (occupied("0"), "occupancy", "site 1 (Na1): occupancy is 0"),
    "occupancy -1": (occupied("-1"), "occupancy", "occupancy is -1"),
    "occupancy 0.5": (occupied("0.5"), "occupancy", "partial occupancy: site 1 (Na1)"),
    "occupancy 2": (occupied("2"), "occupancy", "occupancy above 1"),
    "one place twice": (
        GOOD + "Na2 Na 0 0 1\n",
        "overlap",
        "site 1 (Na1) and site 3 (Na2) are listed at the same place",
    ),
    "one place, two elements": (GOOD + "K1 K 0 0 0\n", "overlap", "different elements in one place"),
    "no element": (GOOD.replace("Na1 Na", "X1 Xq"), "unknown element", "unknown element 'Xq'"),
    "two cells": (
        GOOD.replace("_cell_length_a 5.1\n", "loop_\n_cell_length_a\n5.1\n5.2\n"),
        "unreadable cif",
        "several values",
    ),
    "cut in a loop": (GOOD[:-5], "truncated cif", "Wrong number of values"),
    "open quote": (GOOD.replace("'P 1'", "'P 1"), "unreadable cif", "unterminated"),
    "powder only": ("data_p\nloop_\n_pd_x\n1\n2\n", "truncated cif", "_cell_length_a is missing"),
}
EXTXYZ = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nNa 0 0 0\nCl 2 2 2\n'
POSCAR = "Na Cl\n4.0\n1 0 0\n0 1 0\n0 0 1\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"
POTENTIALS = POSCAR.replace("Na Cl\n1", "Na_pv Cl\n1").replace("Direct", "Selective\nDirect")
VASP4 = POSCAR.replace("Na Cl\n1 1", "1 1")
OTHER = {  # name -> (kind of text, text, elements, kinds of notes)
    "extxyz": ("extxyz", EXTXYZ, "Na Cl", ""),
    "extxyz, columns turned": (
        "extxyz",
        EXTXYZ.replace("species:S:1:pos:R:3", "pos:R:3:species:S:1").replace("Na 0 0 0\nCl 2 2 2", "0 0 0 Na\n2 2 2 D"),
        "Na H",
        "",
    ),
    "extxyz, numbers": (
        "extxyz",
        EXTXYZ.replace("species:S:1", "Z:I:1").replace("Na", "11").replace("Cl", "17"),
        "Na Cl",
        "",
    ),
    "extxyz, a layer": ("extxyz", EXTXYZ.replace('"T T T"', '"T T F"'), "Na Cl", "not periodic"),
    "extxyz, moments": ("extxyz", ends(EXTXYZ.replace("R:3 ", "R:3:magmoms:R:1 "), 1, 1), "Na Cl", "moments dropped"),
    "POSCAR": ("poscar", POSCAR, "Na Cl", ""),
    "POSCAR, volume and Cartesian": ("poscar", POSCAR.replace("4.0", "-64").replace("Direct", "Cart"), "Na Cl", ""),
    "POSCAR, selective, potentials": ("poscar", ends(POTENTIALS, "T F T", "F F F"), "Na Cl", ""),
    "VASP 4": ("poscar", VASP4, "Na Cl", "element assumed"),
    "VASP 4, formula": ("poscar", VASP4.replace("Na Cl\n4", "Na2 Cl2\n4"), "Na Cl", "element assumed"),
    "VASP 4, labels": ("poscar", ends(VASP4.replace("Na Cl\n4", "salt\n4"), "Na", "Cl"), "Na Cl", ""),
}
OTHER_REFUSED = {  # name -> (kind of text, text, class of reason)
    "extxyz, negative count": ("extxyz", '-2\nLattice="1 0 0 0 1 0 0 0 1"\nH 0 0 0\n', "unreadable xyz"),
    "extxyz, a huge count": ("extxyz", EXTXYZ.replace("2\n", "99999999999\n", 1), "unreadable xyz"),
    "extxyz, no cell": ("extxyz", "1\n\nFe 0 0 0\n", "zero volume"),
    "extxyz, few columns": ("extxyz", EXTXYZ.replace("Cl 2 2 2", "Cl 2 2"), "unreadable xyz"),
    "VASP 4, no elements": ("poscar", VASP4.replace("Na Cl\n4", "salt\n4"), "unknown element"),
    "POSCAR, too few atoms": ("poscar", POSCAR.replace("1 1\n", "1 7\n"), "unreadable poscar"),
    "JSON, no structure": ("pymatgen", '{"lattice": 3, "sites": 5}', "unreadable json"),
    "JSON, nested": ("pymatgen", "[" * 100_000, "unreadable json"),
    "JSON, a number for a cell": ("json", '{"L": 1, "z": [1], "x": [[0, 0, 0]]}', "unreadable json"),
}
