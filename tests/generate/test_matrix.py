"""Every system with every option of what is asked for: the result meets it, or one message says why it has no meaning.

Structure types suffice: where a system draws no coordinates nothing realises them, and others draw in three steps. Everything is
asked through the command line's own reader, so that an option that stands nowhere, or reads wrongly, is found too.
"""

import argparse
import dataclasses
import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest

from symjax import systems
from symjax.cli.generate import add_parser
from symjax.cli.generate_asked import ASKED, request_from
from symjax.elements import COMMON_STATES, SYMBOLS
from symjax.errors import InputError, SymjaxError
from symjax.generate.loop import check_request
from symjax.generate.request import Request
from symjax.generate.symmetry import forced_groups
from symjax.generate.system import Settings
from symjax.groups.identify import identify
from symjax.groups.kinds import operation_kinds
from symjax.groups.properties import properties
from symjax.groups.tables import standard_setting, wyckoff_letters

NUM = 3


@dataclasses.dataclass(frozen=True)
class Found:
    """A structure type as its own arrays say: operations and the group that these are, atoms by element and by position."""

    opset: object
    number: int
    atoms: Counter
    positions: Counter

    @property
    def centrings(self):
        return sum((W == np.eye(3)).all() for W in np.asarray(self.opset.W))

    @property
    def orbits(self):
        return sum(self.positions.values())

    @property
    def reduced(self):
        divisor = math.gcd(*self.atoms.values())
        return {name: count // divisor for name, count in self.atoms.items()}


def found(types):
    """Of each structure type by its own operations, and once more by those that its atoms have whatever the free parameters are."""
    forced = forced_groups(types)
    for row, index in enumerate(types.set_index.tolist()):
        opset, real = types.sets.opset(index), types.z[row] > 0
        number = int(identify(opset).number)
        names = [SYMBOLS[z] for z in types.z[row][real].tolist()]
        pos = types.pos[row][real]
        atoms = Counter()
        for name, size in zip(names, np.asarray(types.sets.pos_mult)[index, pos].tolist(), strict=True):
            atoms[name] += size
        letters = [wyckoff_letters(number)[p] for p in pos.tolist()]
        positions = Counter(zip(names, letters, strict=True))
        yield Found(opset, number, atoms, positions)
        yield Found(standard_setting(int(forced[row])), int(forced[row]), atoms, positions)


CASES = {  # a command line -> what holds of every structure type
    "--formula SrTiO3": lambda one: one.reduced == {"Sr": 1, "Ti": 1, "O": 3},
    "--elements Mg,O": lambda one: set(one.atoms) == {"Mg", "O"},
    "--allow Mg,O,Si": lambda one: set(one.atoms) <= {"Mg", "O", "Si"},
    "--include O": lambda one: "O" in one.atoms,
    "--space-group 62,Fm-3m,P6_3mc": lambda one: one.number in (62, 225, 186),
    "--neutral --include O": lambda one: "O" in one.atoms and balanced(one.reduced),
    "--atoms 10 --formula SrTiO3": lambda one: sum(one.atoms.values()) == 10 * one.centrings,
    "--units 2 --formula MgO": lambda one: sum(one.atoms.values()) == 4,
    "--orbits 3": lambda one: one.orbits == 3,
    "--point-group m-3m": lambda one: properties(one.opset).point_group == "m-3m",
    "--crystal-system hexagonal": lambda one: properties(one.opset).crystal_system == "hexagonal",
    "--centrosymmetric": lambda one: properties(one.opset).centrosymmetric,
    "--no-inversion": lambda one: "inversion" not in operation_kinds(one.opset),
    "--polar": lambda one: properties(one.opset).polar,
    "--chiral": lambda one: properties(one.opset).sohncke,
    "--require glide --require mirror": lambda one: {"glide", "mirror"} <= operation_kinds(one.opset),
    "--forbid mirror": lambda one: "mirror" not in operation_kinds(one.opset),
    "--prefix Na:4a,O:24e --space-group 225": lambda one: (
        one.number == 225 and {("Na", "a"), ("O", "e")} <= set(one.positions)
    ),
    "--formula SrTiO3 --polar --no-inversion --space-group 38,99,123,221 --orbits 4": lambda one: (
        one.number in (38, 99) and one.reduced == {"Sr": 1, "Ti": 1, "O": 3} and one.orbits == 4
    ),
    "--prefix Ti:b --formula SrTiO3 --space-group 221": lambda one: (
        ("Ti", "b") in one.positions and one.reduced == {"Sr": 1, "Ti": 1, "O": 3}
    ),
}


def balanced(formula):
    """By enumeration: one common state, or two neighbouring ones, for each element; an element alone has no charge."""
    if len(formula) == 1:
        return True
    choices = []
    for name, count in formula.items():
        states = sorted(COMMON_STATES[SYMBOLS.index(name)])
        pairs = [(low, high) for low, high in itertools.pairwise(states)] or [(state, state) for state in states]
        choices.append({low * part + high * (count - part) for low, high in pairs for part in range(count + 1)})
    return any(sum(one) == 0 for one in itertools.product(*choices))


REFUSED = {("symmcd", "--prefix"): "given orbits cannot be asked of symmcd: it draws site symmetries"}


def quick(chosen):
    """How a system draws with little work."""
    if not chosen.draws_coordinates:
        return {"realise": "none"}
    return {"batch_size": 8} if "steps" in chosen.without_meaning else {"batch_size": 8, "steps": 3}


def words(case):
    """Flags of a case."""
    return [word for word in case.split() if word.startswith("--")]


@pytest.fixture(scope="module")
def parser():
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser


@pytest.fixture(scope="module")
def weights():
    """Of every system; some with one bucket, so that one program serves all requests."""
    loaded = {name: systems.system(name).load(None) for name in systems.system_names()}
    for name in ("symmcd", "wyckoffdiff"):
        options = loaded[name].options
        one = dataclasses.replace(options, buckets=options.buckets[-1:])
        loaded[name] = dataclasses.replace(loaded[name], options=one)
    return loaded


def test_every_option_is_asked():
    """An option of the command without a case here fails."""
    assert {one.option for one in ASKED} == {word for case in CASES for word in words(case)}
    assert set(systems.system_names()) >= {"symop", "symmcd", "wyckoff_transformer"}


def every_case():
    """Systems whose programs take long to compile, and what is drawn again many times, only where slow tests are wanted."""
    for name in systems.system_names():
        for case in CASES:
            late = name not in ("symop", "wyckoff_transformer")
            late |= name == "wyckoff_transformer" and case.startswith(("--atoms", "--units"))
            yield pytest.param(name, case, marks=pytest.mark.slow) if late else (name, case)


@pytest.mark.parametrize("name, case", list(every_case()))
def test_what_is_asked_for_is_met_or_refused(name, case, parser, weights):
    asked = request_from(parser.parse_args(["generate", "--num", "1", "--out", "o", *case.split()]))
    reason = next((REFUSED[(name, word)] for word in words(case) if (name, word) in REFUSED), None)
    if reason is not None:
        with pytest.raises(InputError, match=reason):
            systems.generate(name, NUM, weights=weights[name], request=asked)
        return
    chosen = systems.system(name)
    made = systems.generate(name, NUM, weights=weights[name], request=asked, seed=3, **quick(chosen))
    crystals = list(found(made.types))
    assert len(made.types.z) == NUM - made.missing and made.missing < NUM and made.attempts >= NUM
    assert all(CASES[case](one) for one in crystals), [(one.number, dict(one.positions)) for one in crystals]


@pytest.mark.parametrize("name", systems.system_names())
def test_refusals_are_parts_of_a_request_with_a_reason(name):
    """Only fields that there are, each with a sentence; what has a meaning passes."""
    chosen = systems.system(name)
    fields = {field.name for field in dataclasses.fields(Request)} | {"parent", "steps", "realise"}
    assert set(chosen.without_meaning) <= fields
    assert all(len(why.split()) > 4 for why in chosen.without_meaning.values())
    assert {one.field for one in ASKED} & set(chosen.without_meaning) == {
        one.field for one in ASKED if (name, one.option) in REFUSED
    }
    check_request(chosen, Request(), Settings(), None)


def test_elements_that_were_never_seen_are_refused_by_all(weights):
    for name in systems.system_names():
        with pytest.raises(InputError, match="element At: in no crystal of the data"):
            systems.generate(name, NUM, weights=weights[name], request=Request(include=("At",)))


@pytest.mark.slow
@pytest.mark.parametrize("name", systems.system_names())
def test_random_requests_are_met(name, weights, parser):
    """Pairs of options at random: they hold together, or what they leave is said to be nothing."""
    rng, met = random.Random(5), 0
    for _ in range(25):
        pair = [case for case in rng.sample(list(CASES), 2) if not any((name, word) in REFUSED for word in words(case))]
        asked = request_from(parser.parse_args(["generate", "--num", "1", "--out", "o", *" ".join(pair).split()]))
        try:
            made = systems.generate(name, NUM, weights=weights[name], request=asked, **quick(systems.system(name)))
        except SymjaxError as error:
            assert len(str(error)) > 20
            continue
        met += 1
        for case in pair:
            if len({word for one in pair for word in words(one)}) == sum(len(set(words(one))) for one in pair):
                assert all(CASES[case](one) for one in found(made.types)), pair
    assert met > 5
