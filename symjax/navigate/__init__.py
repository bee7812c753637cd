"""Walking the group-subgroup hierarchy by operations: which operations can be given up or added, and what that does to a crystal.

Everything is worked out from the operations of one set, in exact integers; types are read off afterwards. The commands
`symjax subgroups`, `supergroups`, `derive` and `path` are these functions with files around them:

* subgroups: `t_subgroups`, `k_subgroups` and the maximal ones; `relations_to` a type, `relations_up_to` an index,
  `maximal_relations`; `select` by operations; `minimal_supergroups`, the inverse. A `Relation` is checked by `verify`.
* between two groups: `interval_of`, `chains`; as a graph: `graph_to`, `graph_below`.
* positions and crystals below a group: `split_orbits`, `split_coordinates`, `split_crystal`; what becomes free: `modes_of`.
* irreps: `isotropy_subgroups`, `isotropy_relation`, `irreps_of` a relation, `primary_irreps`; `analyse`, the symmetry modes of a
  distorted structure over its parent; `modes_of_irrep`. Irreps themselves are `symjax.groups.irreps`.
* operations taken out one by one: `without_operations`; both hands of chiral subgroups: `other_hand`.
* derived structures: `derive_structures`; how far a crystal is from a higher symmetry: `decompose`.
* supergroups that a crystal nearly has: `find_supergroups`; paths between two phases: `phase_of`, `find_transitions`.
"""

from symjax.navigate.amplitudes import Decomposition, decompose
from symjax.navigate.derive import Derived, derive_structures
from symjax.navigate.graph import Graph, graph_below, graph_to
from symjax.navigate.hands import has_both_hands, other_hand
from symjax.navigate.interval import Chain, Interval, chains, interval_of
from symjax.navigate.inverse import minimal_supergroups
from symjax.navigate.irrep_modes import modes_of_irrep
from symjax.navigate.irreps import irreps_of, isotropy_relation, isotropy_subgroups, primary_irreps
from symjax.navigate.klassengleiche import KSubgroup, k_subgroups, maximal_k_subgroups
from symjax.navigate.modes import Modes, modes_of
from symjax.navigate.relation import Relation, maximal_relations, relations_to, relations_up_to, verify
from symjax.navigate.removal import without_operations
from symjax.navigate.selection import Selection, select
from symjax.navigate.splitcrystal import SplitCrystal, split_crystal
from symjax.navigate.splitting import PositionSplitting, SplitOrbit, split_coordinates, split_orbits
from symjax.navigate.supergroups import Search, Supergroup, find_supergroups
from symjax.navigate.symmetry_modes import ModeAnalysis, analyse
from symjax.navigate.transition import Phase, Transition, find_transitions, phase_of
from symjax.navigate.translationengleiche import TSubgroup, maximal_t_subgroups, t_subgroups

__all__ = [
    "Chain",
    "Decomposition",
    "Derived",
    "Graph",
    "Interval",
    "KSubgroup",
    "ModeAnalysis",
    "Modes",
    "Phase",
    "PositionSplitting",
    "Relation",
    "Search",
    "Selection",
    "SplitCrystal",
    "SplitOrbit",
    "Supergroup",
    "TSubgroup",
    "Transition",
    "analyse",
    "chains",
    "decompose",
    "derive_structures",
    "find_supergroups",
    "find_transitions",
    "graph_below",
    "graph_to",
    "has_both_hands",
    "interval_of",
    "irreps_of",
    "isotropy_relation",
    "isotropy_subgroups",
    "k_subgroups",
    "maximal_k_subgroups",
    "maximal_relations",
    "maximal_t_subgroups",
    "minimal_supergroups",
    "modes_of",
    "modes_of_irrep",
    "other_hand",
    "phase_of",
    "primary_irreps",
    "relations_to",
    "relations_up_to",
    "select",
    "split_coordinates",
    "split_crystal",
    "split_orbits",
    "t_subgroups",
    "verify",
    "without_operations",
]
