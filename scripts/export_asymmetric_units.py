"""Prints the 230 asymmetric units of cctbx as JSON: faces with their boundary rules, and vertices, in integers.

Run by `make_asymmetric_units.py` with an interpreter that has cctbx (`pip install cctbx-base` in its own environment); imports
nothing of symjax. Units of length: 1/24 of a cell edge. A unit is {"faces": [cut, ...], "vertices": [[x, y, z], ...]}, and a cut is
[nx, ny, nz, c, rule]: inside where n.x + c > 0; where it is 0, the rule says: true (in), false (out), or a condition, which is
a cut or ["&" or "|", condition, condition].
"""

import json


def integer(value):
    """24 times a fraction, which must be an integer."""
    scaled = value * 24
    assert int(scaled) == scaled, value
    return int(scaled)


def condition(node):
    """A cut, or two conditions joined."""
    if hasattr(node, "op"):
        return [node.op, condition(node.lhs), condition(node.rhs)]
    rule = condition(node.cut_expr) if node.has_cuts() else bool(node.inclusive)
    return [*(int(n) for n in node.n), integer(node.c), rule]


def main():
    """All units, in the order of the space-group numbers."""
    from cctbx.sgtbx.direct_space_asu.reference_table import get_asu

    units = []
    for number in range(1, 231):
        unit = get_asu(number)
        vertices = sorted([integer(x) for x in vertex] for vertex in unit.shape_vertices())
        units.append({"faces": [condition(cut) for cut in unit.cuts], "vertices": vertices})
    print(json.dumps(units))


if __name__ == "__main__":
    main()
