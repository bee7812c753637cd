"""What generation asks of a model: the protocol `System`, and what passes between a system and the common loop.

A system says which parts of a `Request` have no meaning for it and why, which options are its own, how its weights are read, and
draws rows. Everything else (the command, redrawing, realising, counting, files, figures) is common. A system that draws only
structure types leaves lattice and coordinates to a `Realiser`; one that draws them itself gives them with the draws.

To add a system: a class with these members, and a row in `symjax.systems` (or an entry point of the group `symjax.systems` in
another package). Nothing else of symjax changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:  # describing systems must cost nothing: the command line is built from it
    import jax
    import numpy as np

    from symjax.data.structure_types import StructureTypes
    from symjax.generate.request import Request

Progress = Callable[[str, int], object]
"""Called with the name of a stage and the number of crystals finished since the last call."""


GROUP_GIVEN_FIRST: Mapping[str, str] = {
    "below": "it knows the 230 types of groups, not sets of operations in a given setting",
    "above": "it knows the 230 types of groups, not sets of operations in a given setting",
    "parent": "it draws in a group that is given first; the operations of a parent cannot be added to or taken away",
}
"""`System.without_meaning` of systems that draw a crystal in a space group that is given first."""


class Option(NamedTuple):
    """An option of one system, beyond what is asked for.

    Attributes:
        name: with underscores; on the command line `--name`.
        help: a few words.
        type: reads the value from text (ValueError or ArgumentTypeError where it cannot); bool for a switch.
        metavar: how the value is called in the help.
        choices: values that may be given; empty for any.
        own_coordinates: it tells of coordinates, so a realiser, which gives others, does not go with it.
    """

    name: str
    help: str
    type: Callable[[str], Any] = str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    own_coordinates: bool = False


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to draw, whatever is asked for.

    Attributes:
        seed: equal seeds, weights and requests give equal crystals on one kind of device.
        steps: diffusion steps; None for the system's own number.
        batch_size: crystals at a time.
        progress: told what is finished; None for nobody.
        options: values of the system's own options (`System.options`), as far as given.
        accept: structure types -> (n,) bool whether their sites leave the symmetry that is asked for; set by the loop. A system
            that draws structure types by the batch may go on until it has enough that are accepted, and count the others in
            `Draws.refused`; the loop looks at all of them again.
    """

    seed: int = 0
    steps: int | None = None
    batch_size: int = 64
    progress: Progress | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    accept: Callable[[StructureTypes], np.ndarray] | None = None

    def report(self, stage: str) -> Callable[[int], object] | None:
        """What a single stage reports to."""
        told = self.progress
        return None if told is None else (lambda done: told(stage, done))


class Draws(NamedTuple):
    """n raw draws.

    Attributes:
        types: n structure types; a row that is nothing may hold anything.
        reason: (n,) why a row is nothing, in words; empty where it is something.
        k: (n, 6) log-lattice coefficients and x: (n, m, 3) representatives on their flats, of a system that draws them; else None.
        ratio: (n,) smallest distance over the sum of covalent radii, with k and x; else None.
        properties: values of each row, (n,) arrays, kept with its crystal.
        refused: draws beside these that `Settings.accept` refused.
        final: whether drawing the rows that are nothing once more would come to nothing as well.
        history: (n,) objects, of a system that draws operations and was asked to keep them (its option `trace`): the tuple of sets
            (`symjax.groups.sets.OpSet`) that each row went through, in the axes in which they were drawn; else None.
    """

    types: StructureTypes
    reason: list[str]
    k: np.ndarray | None
    x: np.ndarray | None
    ratio: np.ndarray | None
    properties: dict[str, np.ndarray]
    refused: int = 0
    final: bool = False
    history: np.ndarray | None = None


class Sampler(Protocol):
    """Weights with a request: draws rows, again where a draw came to nothing."""

    def draw(self, rows: np.ndarray, attempt: int) -> Draws:
        """Draw rows (n,) of the crystals for the `attempt`-th time, counted from 0."""
        ...

    def realise_key(self, attempt: int) -> jax.Array:
        """Key for the realiser of that attempt's draws (not asked of systems that draw coordinates)."""
        ...


@runtime_checkable
class System(Protocol):
    """A model as the common loop and the command see it.

    Attributes:
        name: as in `--model NAME`.
        about: what it is, in a few words for the help.
        draws_coordinates: whether `Draws` hold lattice and coordinates; else a realiser gives them.
        without_meaning: parts of a `Request` (and "parent", "steps") that have no meaning for it -> why, one sentence.
        options: its own options.
    """

    name: str
    about: str
    draws_coordinates: bool
    without_meaning: Mapping[str, str]
    options: tuple[Option, ...]

    def load(self, folder: str | Path | None) -> Any:
        """Weights of a folder; None for those in the package.

        Raises:
            WeightsError: there are none, they are damaged, or of another model.
        """
        ...

    def sampler(self, weights: Any, request: Request, num: int, settings: Settings) -> Sampler:
        """Bind weights to a request for `num` crystals.

        Raises:
            InputError: the request cannot be met, or an option cannot be meant; the message says why.
        """
        ...


class Realised(NamedTuple):
    """Lattices and coordinates of n structure types.

    Attributes:
        k: (n, 6) log-lattice coefficients and x: (n, m, 3) representatives on their flats.
        reason: why there is none, one text a crystal; empty where there is.
        properties: values of each crystal, (n,) arrays.
    """

    k: np.ndarray
    x: np.ndarray
    reason: list[str]
    properties: dict[str, np.ndarray]


class Realiser(Protocol):
    """Gives lattices and coordinates to structure types; equal keys give equal ones."""

    def __call__(self, types: StructureTypes, key: jax.Array) -> Realised:
        """Try all of them."""
        ...
