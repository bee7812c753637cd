"""# Navigation of BaTiO3

Cubic barium titanate becomes tetragonal, orthorhombic and rhombohedral as it cools. All of it can be read off the operations of the
cubic crystal; no table is asked.
"""

# %% The parent
import symjax
from symjax.cli.main import main

parent = symjax.read("docs/examples/BaTiO3.cif")
print(symjax.symmetry(parent), parent.counts)

# %% Polar subgroups
# Which subgroups have a polar direction: the candidates for ferroelectric phases.
main(["subgroups", "docs/examples/BaTiO3.cif", "--polar"])

# %% What the tetragonal phase is made of
# The distortion of the tetragonal phase in symmetry modes of the cubic parent.
main(["modes", "docs/examples/BaTiO3.cif", "docs/examples/BaTiO3-tetragonal.cif"])

# %% From one phase to another
# The tetragonal and the rhombohedral phase share subgroups; a path keeps one of them.
main(["path", "docs/examples/BaTiO3-tetragonal.cif", "docs/examples/BaTiO3-rhombohedral.cif", "--quiet"])
