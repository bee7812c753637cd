"""Selecting subgroups by operations: against the members of conjugates listed one by one, and known answers."""

import numpy as np
import pytest

from symjax.errors import InputError, SymjaxError
from symjax.groups import standard_setting, take
from symjax.groups.kinds import OPERATION_KINDS, operation_kinds, simplest_kinds
from symjax.groups.properties import properties
from symjax.navigate.relation import relations_to, t_relations, verify
from symjax.navigate.selection import Selection, check_selection, holding, kept_operations, largest, nearest, select
from symjax.navigate.translationengleiche import t_subgroups
from symjax.ops.types import Op


def found(number, selection, max_k=1):
    chosen = select(relations_to(standard_setting(number), selection.number, max_k=max_k), selection)
    return {(one.number, one.index) for one in largest(chosen, selection)}


def test_known_answers():
    """The largest polar subgroups of the cubic perovskite group are those of BaTiO3; taking one kind of operation away."""
    assert found(221, Selection(polar=True)) == {(99, 6), (38, 12), (160, 8)}
    assert found(221, Selection(chiral=True)) == {(207, 2)}
    assert found(227, Selection(chiral=True)) == {(210, 2)}
    assert found(62, Selection(remove=("inversion",))) == {(19, 2), (26, 2), (31, 2), (33, 2)}
    assert found(88, Selection(polar=True, number=78), max_k=2) == {(78, 4)}


@pytest.mark.parametrize("number", [62, 136, 194, 216])
@pytest.mark.parametrize("asked", [{"polar": True}, {"chiral": True}, {"remove": "first"}])
def test_kinds_against_members(number, asked):
    """Each class is chosen exactly if its own operations (not its type) meet the demand."""
    opset = standard_setting(number)
    kinds = simplest_kinds(opset)
    if "remove" in asked:
        asked = {"remove": (sorted(kinds)[0],)}
    selection = Selection(**asked)
    chosen = {(one.number, one.index) for one in select(t_relations(opset, maximal=False), selection)}
    expected = set()
    for one in t_subgroups(opset):
        inner = take(opset, np.flatnonzero(one.masks[0]))
        known = properties(inner)
        meets = (known.polar or not selection.polar) and (known.sohncke or not selection.chiral)
        if meets and not simplest_kinds(inner) & set(selection.remove):
            expected.add((one.number, one.index))
    assert chosen == expected


@pytest.mark.parametrize("number", [55, 129, 166, 221])
def test_kept_operations_against_conjugates(number):
    """A class is chosen exactly if one of its conjugates has the operations; the one given back has them, and is a subgroup."""
    opset = standard_setting(number)
    rng = np.random.default_rng(number)
    by_class = {}
    for one in t_subgroups(opset):
        by_class.setdefault((one.number, one.index), []).append(one.masks)
    every = t_relations(opset, maximal=False)
    lattice = opset.w[(opset.W == np.eye(3)).all(axis=(1, 2))]
    for _ in range(6):
        rows = rng.choice(len(opset.W), size=rng.integers(1, 3), replace=False)
        keep = Op(opset.W[rows], opset.w[rows])
        counts, expected = {}, {}
        for one in every:
            met = holding(one, keep)
            if met is not None:
                verify(met)
                W, w, den = met.operations()
                own = {(*g.ravel(), *(v * opset.den // den % opset.den)) for g, v in zip(W, w, strict=True)}
                for g, v in zip(
                    keep.W, keep.w, strict=True
                ):  # H has the parent's lattice, its list may be of a smaller cell
                    assert any((*g.ravel(), *((v + t) % opset.den)) in own for t in lattice)
                counts[one.number, one.index] = counts.get((one.number, one.index), 0) + 1
        for key, classes in by_class.items():
            if hits := sum(bool(masks[:, rows].all(axis=1).any()) for masks in classes):
                expected[key] = hits
        assert counts == expected


def test_kept_operations_of_larger_cells():
    """In a larger cell an operation is meant as written: the doubled cell has the inversion at one of the two kinds of centre."""
    opset = standard_setting(2)
    chosen = relations_to(opset, 2, max_k=2)
    here, there = (kept_operations(opset, [text], number=2) for text in ("-x,-y,-z", "x,y,z"))
    assert all(holding(one, there) for one in chosen)
    assert 0 < len([one for one in chosen if holding(one, here)]) < len(chosen)


def test_reading_operations():
    opset = standard_setting(194)
    op = kept_operations(opset, ["{m_110|0}", "-x,-y,z+1/2"], number=194)
    assert op is not None and len(op.W) == 2
    assert (op.W[0] == [[0, -1, 0], [-1, 0, 0], [0, 0, 1]]).all() and op.w[1].tolist() == [0, 0, 12]
    assert kept_operations(opset, [], number=194) is None


@pytest.mark.parametrize("text", ["x,y,z+1/2", "{4+_001|0}", "-x,-y,-z+1/3"])
def test_an_operation_that_is_not_there(text):
    """The message names it."""
    with pytest.raises(SymjaxError) as caught:
        kept_operations(standard_setting(62), [text], number=62)
    assert text in str(caught.value) and "Pnma (62)" in str(caught.value)


def test_what_cannot_be_met():
    opset = standard_setting(221)
    with pytest.raises(InputError, match="unknown kind of operation 'swirl'"):
        check_selection(opset, Selection(remove=("swirl",)))
    with pytest.raises(InputError, match="has no glide to remove"):
        check_selection(opset, Selection(remove=("glide",)))
    keep = kept_operations(opset, ["-x,-y,-z"], number=221)
    with pytest.raises(InputError, match="-x,-y,-z is a kind of operation to remove"):
        check_selection(opset, Selection(remove=("inversion",), keep=keep))


def test_nearest_types():
    """Of the same class where there are any, smallest index first; of the whole list each is a subgroup."""
    near = nearest(standard_setting(221), 62)
    assert near[0] in {(47, 6), (65, 6)} and [index for _, index in near] == sorted(index for _, index in near)
    for number, index in near:
        assert index in {one.index for one in relations_to(standard_setting(221), number, max_k=2)}
    assert nearest(standard_setting(1), 2)[0] == (1, 2)


def test_simplest_kinds():
    """A centred cell lists glides and screws beside mirrors and rotations; the simplest kinds are those of the primitive cell."""
    assert "glide" in operation_kinds(standard_setting(38)) and simplest_kinds(standard_setting(38)) == {
        "mirror",
        "rotation-2",
    }
    assert simplest_kinds(standard_setting(5)) == {"rotation-2"}
    assert simplest_kinds(standard_setting(19)) == {"screw-2"} and simplest_kinds(standard_setting(9)) == {"glide"}
    assert simplest_kinds(standard_setting(1)) == frozenset()
    assert set().union(*(simplest_kinds(standard_setting(n)) for n in range(1, 231))) == set(OPERATION_KINDS)
    for number in range(1, 231):
        opset = standard_setting(number)
        assert simplest_kinds(opset) <= operation_kinds(opset)  # a standard cell lists the simplest, too


def test_words():
    assert Selection().empty and Selection().describe() == "any"
    keep = kept_operations(standard_setting(221), ["x,-y,z"], number=221)
    text = Selection(number=99, polar=True, remove=("inversion",), keep=keep).describe()
    assert text == "P4mm (99), polar, without any inversion, with x,-y,z"
