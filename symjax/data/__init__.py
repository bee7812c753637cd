"""Data sets of crystals: array files (`dataset`), and making them from sources (`prepare`, `convert`, `prototypes`).

Only `dataset` and `files` are needed to read what was prepared; they import none of pymatgen, spglib, pyxtal and ase.
"""
