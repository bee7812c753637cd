"""Draw crystals with the flagship model for evaluation, raw: nothing is redrawn and nothing is filtered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
    from symjax.models.symop.generate import generate
    from symjax.models.symop.weights import load_weights

    with StageBar(num, progress) as bar:
        return generate(load_weights(weights), num, seed=seed, sampler=sampler_of(steps), progress=bar).dataset


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
    from symjax.models.symop.geometry.sample import sample_geometry
    from symjax.models.symop.geometry.task import options_from_config
    from symjax.models.symop.weights import load_weights

    loaded = load_weights(weights)
    options = options_from_config(loaded.geometry_config["model"]["geometry"])
    types, _ = types_from_dataset(dataset)
    with StageBar(len(dataset), progress) as bar:
        k, x = sample_geometry(
            loaded.geometry,
            options,
            jax.random.key(seed),
            types,
            sampler=sampler_of(steps),
            progress=lambda done: bar("lattice and coordinates", done),
        )
    return dataset_from_types(types, k, x, properties={}, meta={"model": "symop", "seed": seed})


def sampler_of(steps: int | None) -> Any:
    """Sampler options with so many steps; None for the default number."""
    from symjax.models.symop.geometry.sample import SamplerOptions

    return SamplerOptions() if steps is None else SamplerOptions(num_steps=steps)


class StageBar:
    """A progress bar for work in named stages; called with (stage, crystals finished since the last call).

    Args:
        num: crystals of a stage.
        show: whether to draw anything.
        stream: where to; None for stderr.
    """

    def __init__(self, num: int, show: bool, stream: Any = None):
        self.num, self.show, self.stream = num, show, stream or sys.stderr
        self.stage: str | None = None
        self.bar: Any = None

    def __enter__(self) -> StageBar:
        """Nothing is drawn before the first call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bar of the last stage."""
        self._close()

    def __call__(self, stage: str, done: int) -> None:
        """Advance, and start a new bar when the stage changes."""
        if not self.show:
            return
        if stage != self.stage:
            self._close()
            from tqdm import tqdm

            self.stage = stage
            self.bar = tqdm(total=self.num, desc=f"{stage:<24}", file=self.stream, unit="crystal", dynamic_ncols=True)
        self.bar.update(min(done, self.bar.total - self.bar.n))

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


Progress = Callable[[str, int], object]
