"""Crystals of the flagship for its own report, raw: nothing is redrawn and nothing is filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset


def draw_samples(
    num: int, *, seed: int = 0, weights: str | None = None, steps: int | None = None, progress: bool = False
) -> CrystalDataset:
    """Draw ``num`` crystals from nothing.

    Args:
        num: how many.
        seed: equal seeds give equal crystals.
        weights: folder with the weights; None for those in the package.
        steps: diffusion steps; None for the sampler's own.
        progress: whether to show a progress bar on stderr.
    """
    from symjax.generate.progress import StageBar
    from symjax.systems import generate

    with StageBar(num, progress) as bar:
        found = generate("symop", num, weights=weights, seed=seed, steps=steps, batch_size=128, progress=bar).dataset
    assert found is not None
    return found


def draw_geometry(
    dataset: CrystalDataset,
    *,
    seed: int = 0,
    weights: str | None = None,
    steps: int | None = None,
    progress: bool = False,
) -> CrystalDataset:
    """Draw lattice and coordinates anew for crystals whose operations, species and sites are kept.

    Returns:
        The drawn crystals, in the order of ``dataset``.
    """
    import jax

    from symjax.data.structure_types import dataset_from_types, types_from_dataset
    from symjax.generate.progress import StageBar
    from symjax.models.symop.geometry.sample import GeometrySampling, sample_geometry
    from symjax.models.symop.weights import load_geometry

    loaded = load_geometry(weights)
    types, _ = types_from_dataset(dataset)
    with StageBar(len(dataset), progress) as bar:
        k, x = sample_geometry(
            loaded.params,
            loaded.options,
            jax.random.key(seed),
            types,
            sampler=GeometrySampling() if steps is None else GeometrySampling(num_steps=steps),
            progress=lambda done: bar("lattice and coordinates", done),
        )
    return dataset_from_types(types, k, x, properties={}, meta={"model": "symop", "seed": seed})
