"""# A new model in 40 lines

A model is a class with five names and two methods. This one exchanges the elements of known structure types; masks, redrawing,
coordinates, files and figures come with it.
"""

# %% The model
import jax
import numpy as np

import symjax
from symjax.data.structure_types import StructureTypes, types_from_dataset
from symjax.evaluate.symmetry import group_numbers
from symjax.generate.masks import masks_of
from symjax.generate.system import GROUP_GIVEN_FIRST, Draws


class Exchange:
    """Known structure types with the elements of others."""

    name, about = "exchange", "known structure types with other elements"
    draws_coordinates, options = False, ()
    without_meaning = dict(
        GROUP_GIVEN_FIRST, formula="elements are exchanged blindly", sites="it starts from whole types"
    )

    def load(self, folder):
        return symjax.load(folder or "prototypes")

    def sampler(self, weights, request, num, settings):
        return Sampler(weights, request, settings.seed)


class Sampler:
    """Types that the request allows, drawn with replacement."""

    def __init__(self, data, request, seed):
        self.types, self.seed = types_from_dataset(data)[0], seed
        allowed = masks_of(request).groups
        self.rows = np.flatnonzero(np.ones(len(data), bool) if allowed is None else allowed[group_numbers(data)])

    def draw(self, rows, attempt):
        rng = [np.random.default_rng((self.seed, attempt, int(row))) for row in rows]
        types = self.types.take(np.array([one.choice(self.rows) for one in rng]))
        z = types.z.copy()
        for one, row in zip(rng, z):  # one element for each that was there
            kinds = np.unique(row[row > 0])
            exchange = dict(zip(kinds, one.choice([3, 8, 11, 12, 16, 17, 22, 26, 38, 56], len(kinds), replace=False)))
            row[row > 0] = [exchange[k] for k in row[row > 0]]
        types = StructureTypes(types.sets, types.set_index, z, types.pos)
        return Draws(types, [""] * len(rows), None, None, None, {})

    def realise_key(self, attempt):
        return jax.random.key(self.seed * 1000 + attempt)


# %% It generates like the others
# The common loop gives it constraints; PyXtal gives coordinates here, `symop`'s diffusion does by default.
from symjax.generate.loop import generate
from symjax.generate.pyxtal import Pyxtal
from symjax.generate.request import Request

made = generate(Exchange(), symjax.load("prototypes"), 3, request=Request(groups=(225,)), realise=Pyxtal(attempts=5))
print(len(made.dataset), "crystals:", list(made.dataset.formula), set(group_numbers(made.dataset).tolist()))

# %% As a system with a name
# A `symjax.systems.Row` and an entry point in your own package, and `symjax generate --model exchange` knows it; see
# [Generate crystals](../generate.md#a-model-of-your-own).
from symjax.systems import Row

print(Row("exchange", {}, Exchange).name)
