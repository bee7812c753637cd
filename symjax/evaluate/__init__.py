"""Judging crystals, whoever generated them.

Owns the definitions (each states its own and its source), not the models. The way through:

- `sources` reads anybody's crystals; a row that is none stays, with its reason. One crystal is a
  `symjax.crystals.types.AtomicStructure`, with its operations where they are known.
- `stages` works out what belongs to one crystal (`distances`, `composition`, `sets`, `symmetry`, `words`, `fingerprints`), on all
  cores, kept by content (`cache`); `measured` gives it as arrays over rows.
- `statistics` and `coverage` compare arrays; `matching` tells equal crystals.
- `metrics` has a module for each paper's tables, which makes `figure.Figure`s; `run.evaluate` goes all the way to a report.
- `report` shows it on screen and as a page (pictures: `symjax.draw`); `describe` puts one crystal into words.
- `stability` relaxes with a universal potential and builds hulls (an extra).

pymatgen, spglib, smact, matminer, matplotlib and torch are imported inside the functions that need them.
"""
