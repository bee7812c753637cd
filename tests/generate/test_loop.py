"""The loop that every system shares, with a made-up one: what fails is drawn again, the best is kept, all is counted."""

import dataclasses

import jax
import numpy as np
import pytest

from symjax.data.structure_types import StructureTypes
from symjax.errors import InputError, SymjaxError
from symjax.generate.loop import ROUNDS, Redraw, check_request, generate
from symjax.generate.request import Request
from symjax.generate.system import Draws, Option, Realised, Settings, System
from symjax.groups.tables import standard_setting
from symjax.wyckoff.set_table import build_set_table

SALT = build_set_table([standard_setting(225)])
BOTH = build_set_table([standard_setting(1), standard_setting(225)])


@dataclasses.dataclass
class Made:
    """A system and its sampler in one: row i is element i + 1 alone in Fm-3m, with what a test says of each attempt.

    `ratio[attempt][row]`: of that draw; NaN where it is nothing. Row 1 has two orbits from the second attempt on, in another table
    of sets.
    """

    ratio: list
    draws_coordinates: bool = True
    final: bool = False
    name: str = "made"
    about: str = "made up"
    without_meaning: dict = dataclasses.field(
        default_factory=lambda: {"polar": "there is no polar one", "steps": "it is done at once"}
    )
    options: tuple = (Option("fast", "quickly", bool),)

    def load(self, folder):
        return None

    def sampler(self, weights, request, num, settings):
        self.calls = []
        return self

    def realise_key(self, attempt):
        return jax.random.key(attempt)

    def draw(self, rows, attempt):
        self.calls.append(rows.tolist())
        wide = attempt > 0
        width = 2 if wide else 1
        ratio = np.array([self.ratio[min(attempt, len(self.ratio) - 1)][row] for row in rows], float)
        z, pos = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), np.int32)
        z[:, 0] = rows + 1
        if wide:
            z[:, 1], pos[:, 1] = np.where(rows == 1, 8, 0), np.where(rows == 1, 1, 0)
        sets = BOTH if wide else SALT
        types = StructureTypes(sets, np.full(len(rows), len(sets) - 1), z, pos)
        lost = np.isnan(ratio)
        geometry = (np.full((len(rows), 6), 0.1 * attempt), np.zeros((len(rows), width, 3)), np.nan_to_num(ratio))
        k, x, ratio = geometry if self.draws_coordinates else (None, None, None)
        reason = ["nothing there" if one else "" for one in lost]
        return Draws(types, reason, k, x, ratio, {"try": np.full(len(rows), float(attempt))}, final=self.final)


def elements(dataset):
    return [dataset.orbit_z[start] for start in dataset.orbit_start[:-1]]


NAN = float("nan")


def test_everything_at_once():
    made = Made([[0.9, 0.8, 0.7]])
    assert isinstance(made, System)
    found = generate(made, None, 3, settings=Settings(7))
    assert made.calls == [[0, 1, 2]] and found.attempts == 3 and not found.failed and found.missing == 0
    assert elements(found.dataset) == [1, 2, 3] and found.dataset.ids.tolist() == [f"made-{i:05d}" for i in range(3)]
    assert found.dataset.meta["model"] == "made" and found.dataset.meta["seed"] == 7
    np.testing.assert_array_equal(found.dataset.properties["min_ratio"], [0.9, 0.8, 0.7])


def test_failures_are_drawn_again_in_their_place():
    made = Made([[0.9, NAN, 0.7, NAN], [NAN, 0.5, NAN, NAN], [NAN, NAN, NAN, 0.4]])
    found = generate(made, None, 4)
    assert made.calls == [[0, 1, 2, 3], [1, 3], [3]] and found.attempts == 7
    assert found.failed == {"nothing there": 3} and elements(found.dataset) == [1, 2, 3, 4]
    np.testing.assert_array_equal(found.dataset.properties["draws"], [1, 2, 1, 3])
    np.testing.assert_array_equal(found.dataset.properties["try"], [0, 1, 0, 2])
    np.testing.assert_array_equal(found.dataset.num_orbits, [1, 2, 1, 1])  # of another width, in another table
    assert (found.dataset.num_ops == 192).all()
    np.testing.assert_allclose(found.dataset.k[:, 0], [0, 0.1, 0, 0.2])


def test_what_sites_force_every_time_is_said():
    """Asked for P m -3 m, and drawn on 4a of F m -3 m whenever tried."""
    words = r"32 draws \(the chosen sites force .*: 32\): all 32 choices of sites that were drawn have .* of Fm-3m \(no. 225\)"
    with pytest.raises(SymjaxError, match=words):
        generate(Made([[0.9]]), None, 1, request=Request(groups=(221,)))


def test_the_best_draw_is_kept():
    """Close atoms are drawn again as often as said; a worse draw, or none, changes nothing."""
    made = Made([[0.2, 0.3, 0.9], [0.1, 0.5, NAN], [NAN, 0.4, NAN]])
    found = generate(made, None, 3, redraw=Redraw(0.6, 3))
    assert made.calls == [[0, 1, 2], [0, 1], [0, 1]]
    np.testing.assert_array_equal(found.dataset.properties["min_ratio"], [0.2, 0.5, 0.9])
    np.testing.assert_array_equal(found.dataset.properties["try"], [0, 1, 0])
    np.testing.assert_array_equal(found.dataset.properties["draws"], [3, 3, 1])
    assert found.missing == 0 and elements(found.dataset) == [1, 2, 3]
    assert generate(made, None, 3).dataset.properties["min_ratio"].tolist() == [0.2, 0.3, 0.9]  # nothing asked: raw


def test_what_fails_every_time_is_missing():
    made = Made([[0.9, NAN, 0.7]])
    found = generate(made, None, 3)
    assert len(made.calls) == ROUNDS and found.missing == 1 and elements(found.dataset) == [1, 3]
    assert found.failed == {"nothing there": ROUNDS} and found.attempts == 3 + ROUNDS - 1
    made = Made([[0.9, NAN, 0.7]], final=True)
    assert (
        generate(made, None, 3).missing == 1 and len(made.calls) == 1
    )  # the system says that more draws come to nothing
    with pytest.raises(
        SymjaxError, match=rf"none of 2 crystals succeeded in {ROUNDS} draws \(nothing there: {2 * ROUNDS}\)"
    ):
        generate(Made([[NAN, NAN]]), None, 2)


def test_a_realiser_gives_coordinates_and_its_failures_are_drawn_again():
    keys = []

    def realise(types, key):
        keys.append(int(jax.random.key_data(key)[-1]))
        num = len(types.z)
        lost = np.arange(num) == (0 if len(keys) == 1 else num)
        x = np.zeros((*types.z.shape, 3))
        return Realised(
            np.zeros((num, 6)), x, ["too hot" if one else "" for one in lost], {"heat": np.arange(num) * 1.0}
        )

    made = Made([[0, NAN, 0], [0, 0, 0]], draws_coordinates=False)
    found = generate(made, None, 3, realise=realise)
    assert made.calls == [[0, 1, 2], [0, 1]] and keys == [0, 1] and found.attempts == 5
    assert found.failed == {"nothing there": 1} and [reason for _, reason in found.unrealised] == ["too hot"]
    assert found.unrealised[0][0]["orbits"] == [{"element": "H", "position": "4a", "site_symmetry": "m-3m"}]
    assert elements(found.dataset) == [1, 2, 3] and "min_ratio" not in found.dataset.properties
    np.testing.assert_array_equal(found.dataset.properties["heat"], [0, 1, 1])
    bare = generate(Made([[0, 0]], draws_coordinates=False), None, 2)
    assert bare.dataset is None and bare.types.z.ravel().tolist() == [1, 2]


def test_a_realiser_replaces_coordinates():
    """Those that the system drew, however close their atoms are, go with the properties that tell of them."""

    def realise(types, key):
        num = len(types.z)
        return Realised(np.ones((num, 6)), np.zeros((*types.z.shape, 3)), [""] * num, {"heat": np.zeros(num)})

    made = Made([[0.1, 0.1]])
    found = generate(made, None, 2, realise=realise, redraw=Redraw(min_ratio=0.6))
    assert len(made.calls) == 1 and elements(found.dataset) == [1, 2] and (found.dataset.k[:, 0] == 1).all()
    assert set(found.dataset.properties) == {"heat", "draws"}


def test_what_has_no_meaning_is_refused():
    made = Made([[1.0]])
    for asked, settings, realise, words in (
        (Request(polar=True), Settings(), None, "^polar cannot be asked of made: there is no polar one$"),
        (Request(polar=False), Settings(), None, "^polar cannot be asked of made"),  # asked for as well
        (Request(), Settings(steps=3), None, "^steps cannot be asked of made: it is done at once$"),
        (Request(), Settings(options={"slow": True}), None, "made has no option slow; it has fast"),
    ):
        with pytest.raises(InputError, match=words):
            check_request(made, asked, settings, realise)
    check_request(made, Request(chiral=True), Settings(options={"fast": True}), None)
    check_request(made, Request(), Settings(steps=3), lambda types, key: None)  # steps of the realiser
    made.without_meaning["realise"] = "all comes at once"
    with pytest.raises(InputError, match="a realiser cannot be given to made: all comes at once"):
        check_request(made, Request(), Settings(), lambda types, key: None)
    with pytest.raises(InputError, match="at least 1"):
        generate(made, None, 0)
