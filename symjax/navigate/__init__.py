"""Walking the group-subgroup hierarchy by operations: which operations can be given up or added, and what that does to a crystal.

Everything is worked out from the operations of one set, in exact integers; types are read off afterwards. The commands
`symjax subgroups`, `supergroups`, `derive` and `path` are these functions with files around them:

* subgroups: `t_subgroups`, `k_subgroups` and the maximal ones; `relations_to` a type, `relations_up_to` an index,
  `maximal_relations`; `select` by operations; `minimal_supergroups`, the inverse. A `Relation` is checked by `verify`.
* between two groups: `interval_of`, `chains`; as a graph: `graph_to`, `graph_below`.
* positions and crystals below a group: `split_orbits`, `split_coordinates`, `split_crystal`; what becomes free: `modes_of`.
* derived structures: `derive_structures`; how far a crystal is from a higher symmetry: `decompose`.
* supergroups that a crystal nearly has: `find_supergroups`; paths between two phases: `phase_of`, `find_transitions`.
"""

from symjax.navigate.amplitudes import Decomposition, decompose
from symjax.navigate.derive import Derived, derive_structures
from symjax.navigate.graph import Graph, graph_below, graph_to
from symjax.navigate.interval import Chain, Interval, chains, interval_of
from symjax.navigate.inverse import minimal_supergroups
from symjax.navigate.klassengleiche import KSubgroup, k_subgroups, maximal_k_subgroups
from symjax.navigate.modes import Modes, modes_of
from symjax.navigate.relation import Relation, maximal_relations, relations_to, relations_up_to, verify
from symjax.navigate.selection import Selection, select
from symjax.navigate.splitcrystal import SplitCrystal, split_crystal
from symjax.navigate.splitting import PositionSplitting, SplitOrbit, split_coordinates, split_orbits
from symjax.navigate.supergroups import Search, Supergroup, find_supergroups
from symjax.navigate.transition import Phase, Transition, find_transitions, phase_of
from symjax.navigate.translationengleiche import TSubgroup, maximal_t_subgroups, t_subgroups

__all__ = [
    "Chain",
    "Decomposition",
    "Derived",
    "Graph",
    "Interval",
    "KSubgroup",
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
    "chains",
    "decompose",
    "derive_structures",
    "find_supergroups",
    "find_transitions",
    "graph_below",
    "graph_to",
    "interval_of",
    "k_subgroups",
    "maximal_k_subgroups",
    "maximal_relations",
    "maximal_t_subgroups",
    "minimal_supergroups",
    "modes_of",
    "phase_of",
    "relations_to",
    "relations_up_to",
    "select",
    "split_coordinates",
    "split_crystal",
    "split_orbits",
    "t_subgroups",
    "verify",
]
