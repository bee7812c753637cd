"""Drawing structure types for a request: symop's `symjax.generate.system.Sampler`."""

from __future__ import annotations

import jax
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.diffusion.rng import seed_key
from symjax.errors import InputError
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.generate.system import Draws, Settings
from symjax.models.symop.flow.draw import flow_operations
from symjax.models.symop.sample import sample_structure_types
from symjax.models.symop.walk.states import nested_sets
from symjax.models.symop.weights import SymopWeights

_BATCHES = 200  # batches of structure types drawn for one request, over all attempts
_FLOW_BATCH = 64  # a set takes the flow a hundred times as long as the walk


class SymopSampler:
    """Draws structure types (see `symjax.generate.system.Sampler`)."""

    def __init__(self, weights: SymopWeights, request: Request, settings: Settings):
        masks_of(request).known_elements(weights.geometry.known_elements)  # named ones that are unknown are refused
        self.weights, self.request, self.settings = weights, request, settings
        self.by_flow = settings.options.get("operations") == "flow"
        if self.by_flow and settings.options.get("trace"):
            raise InputError("--trace shows the steps of the walk; leave out --operations flow")
        self.operations = flow_operations(weights.folder / "flow") if self.by_flow else None
        self.type_key, self.geometry_key = jax.random.split(seed_key(settings.seed))

    def draw(self, rows: np.ndarray, attempt: int) -> Draws:
        """Structure types; rows for which none was found in the batches that a request gets say so."""
        max_orbits, max_atoms = self.weights.geometry.options.buckets[-1]
        drawn = sample_structure_types(
            self.weights.operations,
            self.weights.operations_config,
            self.type_key if attempt == 0 else jax.random.fold_in(self.type_key, attempt),
            len(rows),
            request=self.request,
            known=self.weights.geometry.known_elements,
            max_orbits=max_orbits,
            max_atoms=max_atoms,
            max_rounds=_BATCHES,
            batch_size=_FLOW_BATCH if self.by_flow else 256,
            operations=self.operations,
            accept=self.settings.accept,
            progress=None if attempt else self.settings.report("operations and sites"),
        )
        found, wanted = len(drawn.z), len(rows)
        index = np.resize(np.arange(found), wanted)  # rows without a structure type repeat others; their reason says so
        z = np.where(np.asarray(drawn.orbit_mask), np.asarray(drawn.z), 0)
        types = StructureTypes(drawn.sets, np.asarray(drawn.set_index), z, np.asarray(drawn.pos)).take(index)
        history = None
        if self.settings.options.get("trace") and drawn.passed is not None:
            history = np.empty(wanted, object)
            for i, row in enumerate(index):
                history[i] = nested_sets(drawn.passed[row])
        why = f"nothing that meets the request in {_BATCHES} batches"
        return Draws(
            types,
            ["" if i < found else why for i in range(wanted)],
            None,
            None,
            None,
            {} if drawn.log_operations is None else {"log_operations": drawn.log_operations[index]},
            refused=drawn.rejected,
            final=found < wanted,
            history=history,
        )

    def realise_key(self, attempt: int) -> jax.Array:
        """The key of the first attempt is that of the geometry stage."""
        return self.geometry_key if attempt == 0 else jax.random.fold_in(self.geometry_key, attempt)
