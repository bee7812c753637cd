"""Raw predicted sets of the shipped weights, and what `symjax evaluate` says of them."""

import numpy as np
import pytest

from experiments.raw_sets import main, raw_sets
from symjax.evaluate.sets import set_defects
from symjax.groups.tables import vocabulary
from symjax.models.symop.walk.chains import close_members
from symjax.models.symop.weights import load_weights
from tests.evaluate.made_crystals import random_dataset


@pytest.fixture(scope="module")
def data():
    return random_dataset((1, 14, 62, 99, 139, 194, 221, 225), 2)


@pytest.fixture(scope="module")
def sets(data):
    return raw_sets(load_weights(), data)


def test_they_hold_the_identity_and_one_frame(data, sets):
    identity = (sets["W"] == np.eye(3)).all(axis=(2, 3)) & (sets["w"] == 0).all(axis=2) & sets["mask"]
    assert (identity.sum(axis=1) == 1).all()
    assert sets["W"].shape == (8, sets["mask"].shape[1], 3, 3)
    sizes = sets["mask"].sum(axis=1)
    assert len(set(sizes.tolist())) > 1
    assert (np.sort(sets["mask"], axis=1)[:, ::-1] == sets["mask"]).all()  # padding at the end


def test_the_defects_are_those_of_the_product_table(sets):
    """Closed by exact matrices if and only if closed by the vocabulary's table."""
    vocab = vocabulary()
    missing = set_defects(sets["W"], sets["w"], sets["mask"])[0]
    for row, share in enumerate(missing):
        live = sets["mask"][row]
        frame = 1 if (np.abs(sets["W"][row][live]).sum(axis=2) > 1).any() else 0
        members = np.zeros(vocab.size, bool)
        members[vocab.lookup(sets["W"][row][live], sets["w"][row][live], frame)] = True
        closed = close_members(members, vocab)
        assert (closed is not None and closed.sum() == live.sum()) == (share == 0)


def test_wrong_numbers_are_refused(data, tmp_path, capsys):
    data.save(tmp_path / "data.npz")
    assert main(["--data", str(tmp_path / "data.npz"), "--num", "9", "--out", str(tmp_path / "raw.npz")]) == 2
    assert "--num must be 1 to 8" in capsys.readouterr().err
    assert not (tmp_path / "raw.npz").exists()
