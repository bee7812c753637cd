"""Sampling and the exact likelihood agree; requests are met; the likelihood does not depend on how a crystal is written.

Untrained weights of the smallest size: what is tested holds for any.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.wyckoffaugen import get_config
from symjax.crystals.types import AtomicStructure
from symjax.data.convert import dataset_from_structures
from symjax.data.structure_types import dataset_from_types
from symjax.errors import InputError
from symjax.generate.loop import generate
from symjax.generate.request import Request
from symjax.generate.system import Settings
from symjax.models.wyckoffaugen.draw import AugenSampler
from symjax.models.wyckoffaugen.likelihood import descriptions, log_likelihood
from symjax.models.wyckoffaugen.network import fourier_frequencies, init_params
from symjax.models.wyckoffaugen.system import Wyckoffaugen
from symjax.models.wyckoffaugen.task import options_from_config
from symjax.models.wyckoffaugen.weights import AugenWeights
from symjax.wyckoff.asymmetric import type_wyckoff
from symjax.wyckoff.orbits import place

pytestmark = pytest.mark.slow  # programs for all groups take half a minute to compile


@pytest.fixture(scope="module")
def weights():
    options = options_from_config(get_config("tiny").model.wyckoffaugen)
    params = init_params(options.network, jax.random.key(0))
    params["gnn"]["layers"] = jax.tree.map(
        lambda a: a + 0.1, params["gnn"]["layers"]
    )  # gains start at 0: let messages count
    stats = fourier_frequencies(options.network) | {
        "group_count": (np.arange(231) > 0).astype(np.float32),
        "element_count": (np.arange(101) > 0).astype(np.float32),
    }
    return AugenWeights(params | {"stats": {k: jnp.asarray(v) for k, v in stats.items()}}, options)


def drawn(weights, num, request=None, **options):
    sampler = AugenSampler(weights, request or Request(), num, Settings(seed=1, options=options))
    return sampler, sampler.draw(np.arange(num), 0)


def test_atoms_lie_on_their_positions_and_batches_do_not_matter(weights):
    sampler, made = drawn(weights, 12)
    again = sampler.draw(np.arange(5, 9), 0)
    assert np.array_equal(made.types.z[5:9], again.types.z) and np.allclose(made.x[5:9], again.x, atol=1e-4)
    numbers = np.flatnonzero(sampler.groups)[made.types.set_index]
    for i in [i for i, reason in enumerate(made.reason) if not reason]:
        positions, opset = type_wyckoff(int(numbers[i])), made.types.sets.opset(int(made.types.set_index[i]))
        for slot in np.flatnonzero(made.types.z[i]):
            p = int(made.types.pos[i, slot])
            images = opset.W @ made.x[i, slot] + opset.w / opset.den
            assert place(positions, images, multiplicity=int(positions.multiplicity[p]))[0] == p


def test_the_probability_of_a_drawn_crystal_is_its_likelihood(weights):
    """Cell and atoms: what the sampler adds up is what `log_likelihood` finds for the finished crystal."""
    _, made = drawn(weights, 12)
    good = [i for i, reason in enumerate(made.reason) if not reason]
    data = dataset_from_types(made.types.take(np.array(good)), made.k[good], made.x[good], properties={}, meta={})
    found = log_likelihood(weights, data)
    several = [
        len({*zip(z[z > 0], p[z > 0], strict=True)}) < (z > 0).sum()
        for z, p in zip(made.types.z, made.types.pos, strict=True)
    ]
    for row, i in enumerate(good):
        if several[i]:
            continue  # another order of equal sites
        both = found.terms["group_composition"][row]
        rest = sum(values[row] for name, values in found.terms.items() if name != "group_composition")
        # the sampler knows which of the two orders of group and elements it took, the likelihood averages them
        assert made.properties["log_prob"][i] - rest < both + np.log(2) + 0.02
        assert found.value[row] >= found.bound[row] - 1e-3


ROCK = AtomicStructure(
    L=5.64 * np.eye(3),
    z=np.repeat([11, 17], 4),
    x=np.array(
        [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.5, 0.5, 0.5]]
    ),
)
RUTILE = AtomicStructure(
    L=np.diag([4.594, 4.594, 2.959]),
    z=[22, 22, 8, 8, 8, 8],
    x=[[0, 0, 0], [0.5, 0.5, 0.5], [0.305, 0.305, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5], [0.805, 0.195, 0.5]],
)


def rewritten(s):
    """The same crystal: a supercell in another basis, another origin, atoms shuffled."""
    P = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    shifts = np.array([[0, 0, 0], [0, 0, 1]])
    x = (s.x[:, None] + shifts).reshape(-1, 3) @ np.linalg.inv(P) + [0.21, 0.4, 0.13]
    order = np.random.default_rng(0).permutation(len(x))
    return AtomicStructure(L=P @ s.L, z=np.repeat(s.z, 2)[order], x=x[order])


def test_likelihoods_do_not_depend_on_how_a_crystal_is_written(weights):
    data = dataset_from_structures([ROCK, rewritten(ROCK), RUTILE, rewritten(RUTILE)])
    found = log_likelihood(weights, data, orders=2)
    # sodium on 4a or 4b; titanium on 2a or 2b and oxygen on 4f or 4g, as P4_2/mnm is shifted by (1/2, 1/2, 0) and (0, 0, 1/2)
    assert found.descriptions.tolist() == [2, 2, 4, 4]
    assert (
        np.allclose(found.value[[0, 2]], found.value[[1, 3]], atol=0.02) and (found.value >= found.bound - 1e-3).all()
    )
    sites, of = descriptions(data)
    assert of.tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3] and np.isfinite(sites.x).all()


def test_requests(weights):
    asked = Request(formula={"Sr": 1, "Ti": 1, "O": 3}, groups=(221,))
    made = generate(Wyckoffaugen(), weights, 3, request=asked)

    for z, p, s in zip(made.types.z, made.types.pos, made.types.set_index, strict=True):
        mult = np.asarray(made.types.sets.pos_mult)[s, p]
        atoms = [int(mult[z == e].sum()) for e in (38, 22, 8)]
        assert atoms[0] == atoms[1] and atoms[2] == 3 * atoms[0]
    given = Request(groups=(225,), sites=(("Na", "4a"),), orbits=3)
    _, made = drawn(weights, 4, given)
    good = [i for i, reason in enumerate(made.reason) if not reason]
    assert good and all(((made.types.z[i] > 0).sum() == 3) and (made.types.z[i] == 11).any() for i in good)
    with pytest.raises(InputError, match="orbits, got 40"):
        drawn(weights, 1, Request(orbits=40))
    with pytest.raises(InputError, match="at most 8 elements"):
        drawn(weights, 1, Request(elements=("Li", "Na", "K", "Rb", "O", "S", "Se", "Te", "F")))


def test_incomplete_crystals_keep_their_sites(weights, tmp_path):
    path = tmp_path / "part.cif"
    path.write_text(
        "data_one\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4.2\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
        "_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P 4 m m'\nloop_\n_atom_site_label\n_atom_site_type_symbol\n"
        "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nTi1 Ti 0 0 0.3\n"
    )
    _, made = drawn(weights, 6, Request(include=("O",)), complete=str(path))
    good = [i for i, reason in enumerate(made.reason) if not reason]
    assert good
    for i in good:
        titanium = made.x[i][made.types.z[i] == 22]
        assert (np.abs(titanium[:, 2] - 0.3) < 1e-5).any() and (made.types.z[i] == 8).any()
    with pytest.raises(InputError, match="Ce cannot be placed: the given sites leave room for 0 atoms"):
        full = (("Li", "8g"), ("Na", "8g"), ("K", "4f"))
        drawn(weights, 1, Request(groups=(99,), sites=full, include=("Ce",)))
    with pytest.raises(InputError, match="not among those asked for"):
        drawn(weights, 1, Request(groups=(225,)), complete=str(path))
