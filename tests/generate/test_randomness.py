"""Randomness belongs to the crystal: number, batch and padding change nothing; seeds of 64 bits are told apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.diffusion import rng
from symjax.systems import generate

FEW = {
    name: {"steps": 4 if name == "symmcd" else 3} for name in ("symop", "symmcd", "wyckoff_transformer", "wyckoffdiff")
}


@pytest.mark.slow
@pytest.mark.parametrize("model", FEW)
def test_a_crystal_is_the_same_whatever_is_drawn_with_it(model):
    """Crystals 0 to 3 of 4 and of 11 drawn in other batches; redraws of some do not shift the others."""
    few = generate(model, 4, seed=5, batch_size=3, min_ratio=0.5, **FEW[model]).dataset
    many = generate(model, 11, seed=5, batch_size=8, min_ratio=0.5, **FEW[model]).dataset
    first = many.subset(range(4))
    assert list(few.formula) == list(first.formula)
    np.testing.assert_array_equal(few.orbit_pos, first.orbit_pos)
    np.testing.assert_allclose(few.k, first.k, atol=1e-3)
    apart = few.orbit_x - first.orbit_x
    assert np.abs(apart - np.rint(apart)).max() < 1e-2  # other batches add up in another order
    for name in set(few.properties) - {"min_ratio", "moved", "site_cost"}:
        np.testing.assert_allclose(few.properties[name], first.properties[name], rtol=1e-3, err_msg=name)


def test_seeds_have_64_bits():
    drawn = [
        generate("wyckoff_transformer", 4, seed=seed, realise="none").types.z.tolist() for seed in (0, 2**32, 2**32 + 1)
    ]
    assert drawn[0] != drawn[1] != drawn[2]
    assert (jax.random.key_data(rng.seed_key(7)) == jax.random.key_data(jax.random.key(7))).all()


def test_numbers_of_a_row_do_not_depend_on_batch_and_padding():
    keys = rng.row_keys(jax.random.key(0), [3, 8, 5])
    other = rng.row_keys(jax.random.key(0), [5])
    for draw in (rng.normal, rng.uniform):
        np.testing.assert_array_equal(draw(keys, (3, 4, 3))[2], draw(other, (1, 6, 3))[0, :4])
        assert draw(jax.random.key(0), (3, 4)).shape == (3, 4)
    logits = jnp.log(jnp.arange(1.0, 8.0)) * jnp.ones((3, 4, 7))
    np.testing.assert_array_equal(rng.categorical(keys, logits)[2], rng.categorical(other, logits[:1])[0])
    np.testing.assert_array_equal(
        jax.random.key_data(rng.split(keys, 2)[1])[0], jax.random.key_data(jax.random.split(keys[0], 2))[1]
    )
    np.testing.assert_array_equal(
        jax.random.key_data(rng.fold_in(keys, 9))[1], jax.random.key_data(jax.random.fold_in(keys[1], 9))
    )
