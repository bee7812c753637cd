"""Figures of merit of generated crystals, whoever generated them.

Owns the definitions (each function states its own), not the models. pymatgen, spglib, smact and matplotlib are imported
inside the functions that need them. The types: `cells.Cell` is one crystal with every atom of its cell written out.
"""
