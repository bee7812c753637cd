"""# The algebra of symmetry

Operations are exact: an integer matrix W and a translation in 1/24. Everything else follows from them.
"""

# %% A group from two of its operations
# A twofold screw along c and a mirror generate four operations; what they are is read off afterwards.
import symjax

group = symjax.close("-x,-y,z+1/2; x,-y,z")
found = symjax.identify(group)
print(len(group.W), "operations:", found.symbol, f"(no. {found.number}), point group {found.point_group}")

# %% What can be given up
# Maximal subgroups with the same lattice, one of each conjugacy class.
for one in symjax.subgroups("P4mm"):
    print(one.symbol, "index", one.index, "in", len(one.masks), "place(s)")

# %% Where atoms can sit
# Wyckoff positions are worked out from the operations; the letters are those of International Tables.
for position in symjax.wyckoff_positions("P4mm"):
    print(position.name, position.site_symmetry, position.coordinates, "free:", position.free or "nothing")

# %% Orbits and site symmetries
# A point and all that the group makes of it; what fixes the point is its site symmetry.
print(symjax.orbit("P4mm", [0.5, 0.0, 0.1]).tolist())
print(len(symjax.site_symmetry("P4mm", [0.5, 0.0, 0.1]).W), "operations keep it")

# %% What the group as a whole is
from symjax.groups import properties

kind = properties(symjax.space_group("P4mm"))
print("polar:", kind.polar, "along", kind.polar_directions.tolist(), "| chiral:", kind.sohncke)
