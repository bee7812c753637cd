"""What table 4 and the benchmark count: FLOPs of the published sizes, shares of a batch, padding, the loss of a whole batch."""

import jax
import numpy as np
import pytest

from benchmarks import symmcd as benchmark
from configs.symmcd import get_config
from experiments import symmcd_speed as speed
from symjax.models.symmcd.task import SymmcdTask, options_from_config


def test_flops_are_the_published_ones():
    """7.877 MFLOP a pair and 6.291 a node in each of 8 layers, 6.70 a node in input and heads; the split saves a third."""
    o = options_from_config(get_config("paper").model.symmcd).network
    flops = lambda nodes, pairs, split=False: benchmark.forward_flops(o, nodes, pairs, 0, split=split)
    assert flops(0, 1) / 8 == pytest.approx(7.877e6, rel=1e-3)
    once = 2 * o.width * (o.time_dim + o.latent)  # published for every node, here once a crystal
    assert flops(1, 0) - 8 * 6.291e6 + once == pytest.approx(6.70e6, rel=0.005)
    whole, split = (benchmark.forward_flops(o, 320, 1600, 64, split=s) for s in (False, True))
    assert whole == pytest.approx(119e9, rel=0.01)
    assert split / whole == pytest.approx(0.64, abs=0.01)


def test_padding_by_buckets_costs_under_a_quarter():
    """Orbits of MP-20's kind (quantiles 50, 90 and 99 %: 4, 7, 13)."""
    options = options_from_config(get_config("small").model.symmcd)
    orbits = np.repeat([1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 20], [6, 19, 20, 14, 12, 10, 5, 4, 3, 2, 1, 1])
    assert 0 < benchmark.padding_waste(options, orbits) < 0.25
    assert benchmark.padding_waste(options, np.asarray(options.buckets)) == 0


def test_shares_add_up():
    assert speed.proportional(np.array([0.5, 0.3, 0.2]), 7).tolist() == [4, 2, 1]
    assert speed.proportional(np.array([1e-3, 1.0]), 10).tolist() == [0, 10]


def test_whole_batch_has_the_proportions_and_the_mean_of_its_parts(prototype_dataset):
    config = get_config("tiny")
    config.update_from_flattened_dict(
        {"model.symmcd.width": 8, "model.symmcd.num_layers": 1, "model.symmcd.buckets": (2, 4)}
    )
    whole = speed.WholeBatch(SymmcdTask(config, prototype_dataset, None))
    batch = whole.batch(10, seed=0)
    shares = [part.weight for part in whole.parts]
    assert [len(part.number) for part in batch] == speed.proportional(np.array(shares), 10).tolist()
    whole.task.loss = lambda params, part, key, train: (np.mean(part.number), {})  # any mean over the crystals
    loss, _ = whole.loss({}, batch, jax.random.key(3), True)
    assert float(loss) == pytest.approx(np.mean(np.concatenate([part.number for part in batch])), rel=1e-6)


def test_wrong_input_is_one_line(tmp_path, capsys):
    assert speed.main(["--data", str(tmp_path / "none.npz")]) == 2
    assert speed.main(["--data", "x", "--batch", "0"]) == 2
    err = capsys.readouterr().err
    assert "none.npz" in err and "--batch" in err and "Traceback" not in err


@pytest.mark.slow
def test_peer_has_our_outputs():
    """`torch_step` compares them before anything is timed."""
    pytest.importorskip("torch", reason="torch serves the benchmark only")
    args = type("Args", (), {"batch": 3, "orbits": 4, "repeats": 1, "no_torch": False})
    ours, theirs = benchmark.training(get_config("tiny"), args, 1e9)
    assert ours["flops"] < theirs["flops"] and min(ours["seconds"], theirs["seconds"]) > 0
