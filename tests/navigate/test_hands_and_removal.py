"""Chiral subgroups of achiral groups in both hands; deleting operations; cells beyond eight; metrics that are none."""

import json

import numpy as np
import pytest

from symjax.cli.main import main
from symjax.errors import InputError
from symjax.groups.setting import find_setting
from symjax.groups.tables import standard_setting
from symjax.navigate.hands import has_both_hands, other_hand
from symjax.navigate.relation import relations_to, verify
from symjax.navigate.removal import element_names, read_operation, without_operations


def test_both_hands():
    """Fd-3m holds three P4_12_12 and three P4_32_12, mirror images of each other in one class."""
    (relation,) = relations_to(standard_setting(227), 92, max_k=1) or relations_to(standard_setting(227), 92, max_k=2)
    assert relation.num_conjugates == 6 and has_both_hands(relation)
    mirrored = other_hand(relation)
    verify(mirrored)
    assert mirrored.number == 96 and mirrored.index == relation.index
    assert other_hand(mirrored).number == 92
    chiral = relations_to(standard_setting(212), 96, max_k=1)
    assert all(not has_both_hands(one) for one in chiral)
    with pytest.raises(InputError, match="all of one hand"):
        other_hand(relations_to(standard_setting(221), 99, max_k=1)[0])


def test_both_hands_are_listed(capsys):
    assert main(["subgroups", "--group", "227", "--chiral", "--all", "--max-cell", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["subgroups"]
    by_number = {one["number"]: one for one in found}
    assert by_number[92]["conjugates"] == 3 and by_number[92]["other_hand"]["number"] == 96
    assert by_number[96]["other_hand"] == {"number": 92, "symbol": "P4_12_12", "conjugates": 3}


@pytest.mark.parametrize(
    ("number", "text", "row"),
    [
        (62, "x,-y+1/2,z", "x,-y+1/2,z"),
        (62, "m x,1/4,z", "x,-y+1/2,z"),
        (62, "0", "x,y,z"),
        (221, "-1 0,0,0", "-x,-y,-z"),
    ],
)
def test_operations_by_name(number, text, row):
    from symjax.ops.symbols import format_xyz
    from symjax.ops.types import Op

    group = standard_setting(number)
    at = read_operation(group, text, number=number)
    assert str(format_xyz(Op(group.W[at], group.w[at]), group.den)) == row


def test_operations_that_are_not_there():
    group = standard_setting(62)
    for text, words in (("m 0,y,z", "it has m x,1/4,z"), ("99", "0 to 7"), ("-y,x,z", "not in the parent")):
        with pytest.raises(InputError, match=words):
            read_operation(group, text, number=62)
    with pytest.raises(InputError, match="translation"):
        without_operations(group, [0])
    assert ("2_1", "x,1/4,1/4") in element_names(group)


@pytest.mark.parametrize("number", [14, 62, 99, 166])
def test_what_is_left_is_largest(number):
    """No subgroup holds the operation, and with any other operation of the parent it would close to one that does, or to G."""
    group = standard_setting(number)
    row = len(group.W) - 1
    found = without_operations(group, [row])
    assert found
    for relation in found:
        verify(relation)
        W, _, _ = relation.operations()
        assert relation.k_index == 1 and len(np.unique(W.reshape(-1, 9), axis=0)) * relation.t_index == len(
            np.unique(np.asarray(group.W).reshape(-1, 9), axis=0)
        )


def test_remove_by_the_command(capsys):
    assert main(["subgroups", "--group", "62", "--remove=-x,-y,-z", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {one["symbol"] for one in report["subgroups"]} == {"Pna2_1", "Pmn2_1", "Pmc2_1", "P2_12_12_1"}
    assert main(["subgroups", "--group", "62", "--remove", "m 0,y,z"]) == 2
    assert "it has m x,1/4,z" in capsys.readouterr().err


def test_nine_cells_for_a_target():
    """221 to P-3 (147) in a cell of nine: refused before, as any cell beyond eight."""
    found = [one for one in relations_to(standard_setting(221), 147, max_k=9) if one.k_index == 9]
    assert found
    for one in found:
        verify(one)
    with pytest.raises(InputError, match="1 to 8"):
        relations_to(standard_setting(221), None, max_k=9)


@pytest.mark.parametrize("metric", [np.full((3, 3), np.nan), np.diag([1.0, -1.0, 1.0]), np.eye(2)])
def test_a_metric_that_is_none(metric):
    with pytest.raises(InputError, match="positive definite"):
        find_setting(standard_setting(62), metric=metric)
