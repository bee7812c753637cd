"""The systems that there are, one row each: what trains, what generates, which configuration, which published tables.

To add a system inside this package, write a row here; in another package, export a `Row` by an entry point of the group
`symjax.systems`:

    [project.entry-points."symjax.systems"]
    mine = "my_package.row:ROW"

and it trains by `config.model.name`, generates by `symjax generate --model NAME`, and is evaluated and tabulated like the others.
Rows import their models inside functions, so that reading the table costs nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from symjax.errors import ConfigError, InputError, SymjaxError
from symjax.generate.system import Progress, Realiser, Settings, System

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.generate.likelihood import Scores
    from symjax.generate.loop import Generated
    from symjax.generate.request import Request
    from symjax.train.interface import Task

GROUP = "symjax.systems"
"""Group of the entry points by which other packages add rows."""
REALISERS = ("diffusion", "pyxtal", "none")
"""What gives lattice and coordinates to structure types: symop's diffusion, PyXtal at random, or nothing."""

Builder = Callable[[Any, Any, Any], "Task"]
"""`(resolved config, training data, validation data or None) -> Task`."""


class Entry(NamedTuple):
    """What trains under one `config.model.name`.

    Attributes:
        build: the builder of the task.
        needs_data: whether `config.data.train` must name a prepared data set; without it the builder gets None.
    """

    build: Builder
    needs_data: bool = True


@dataclasses.dataclass(frozen=True)
class Row:
    """One system.

    Attributes:
        name: as in `--model NAME`.
        tasks: `config.model.name` -> what trains.
        system: makes what generates; None for a model that only trains.
        config: file of `configs/` (or of the other package) that its training starts from.
        published: key of the system in `experiments.published`; "" where no published table has it.
    """

    name: str
    tasks: Mapping[str, Entry]
    system: Callable[[], System] | None = None
    config: str = ""
    published: str = ""


def _symop() -> System:
    from symjax.models.symop.system import Symop

    return Symop()


def _symop_operations(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.symop.task import OperationsTask

    return OperationsTask(config, train, val)


def _symop_geometry(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.symop.geometry.task import GeometryTask

    return GeometryTask(config, train, val)


def _symop_flow(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.symop.flow.task import FlowTask

    return FlowTask(config, train, val)


def _symmcd() -> System:
    from symjax.models.symmcd.system import Symmcd

    return Symmcd()


def _symmcd_task(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.symmcd.task import SymmcdTask

    return SymmcdTask(config, train, val)


def _wyckoff_transformer() -> System:
    from symjax.models.wyckoff_transformer.system import WyckoffTransformer

    return WyckoffTransformer()


def _wyckoff_transformer_task(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.wyckoff_transformer.task import WyckoffTask

    return WyckoffTask(config, train, val)


def _wyckoffdiff() -> System:
    from symjax.models.wyckoffdiff.system import Wyckoffdiff

    return Wyckoffdiff()


def _wyckoffdiff_task(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.wyckoffdiff.task import WyckoffdiffTask

    return WyckoffdiffTask(config, train, val)


def _wyckoffaugen() -> System:
    from symjax.models.wyckoffaugen.system import Wyckoffaugen

    return Wyckoffaugen()


def _wyckoffaugen_task(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.wyckoffaugen.task import AugenTask

    return AugenTask(config, train, val)


def _wycryst_task(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.wycryst.task import WycrystTask

    return WycrystTask(config, train, val)


def _regression_task(config: Any, train: Any, val: Any) -> Task:
    from symjax.models.regression.task import RegressionTask

    return RegressionTask(config, train, val)


ROWS: tuple[Row, ...] = (
    Row(
        "symop",
        {
            "symop_operations": Entry(_symop_operations),
            "symop_geometry": Entry(_symop_geometry),
            "symop_flow": Entry(_symop_flow),
        },
        _symop,
        "configs/symop.py",
        "symop",
    ),
    Row("symmcd", {"symmcd": Entry(_symmcd_task)}, _symmcd, "configs/symmcd.py", "symmcd"),
    Row(
        "wyckoff_transformer",
        {"wyckoff_transformer": Entry(_wyckoff_transformer_task)},
        _wyckoff_transformer,
        "configs/wyckoff_transformer.py",
        "wyckoff_transformer",
    ),
    Row(
        "wyckoffdiff", {"wyckoffdiff": Entry(_wyckoffdiff_task)}, _wyckoffdiff, "configs/wyckoffdiff.py", "wyckoffdiff"
    ),
    Row(
        "wyckoffaugen",
        {"wyckoffaugen": Entry(_wyckoffaugen_task)},
        _wyckoffaugen,
        "configs/wyckoffaugen.py",
        "wyckoffaugen",
    ),
    Row("wycryst", {"wycryst": Entry(_wycryst_task)}, None, "configs/wycryst.py", "wycryst"),
    Row("regression", {"regression": Entry(_regression_task)}, None, "configs/formation_energy.py"),
)

_ADDED: dict[str, Entry] = {}


@cache
def rows() -> tuple[Row, ...]:
    """Rows of this package and of others that are installed beside it.

    Raises:
        SymjaxError: an entry point does not load, or its row takes a name that is taken.
    """
    found = list(ROWS)
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            row = point.load()
        except Exception as error:
            raise SymjaxError(f"entry point {point.name} = {point.value} of {GROUP} does not load: {error}") from error
        if not isinstance(row, Row):
            raise SymjaxError(f"entry point {point.name} = {point.value} of {GROUP} is no symjax.systems.Row")
        taken = {one.name for one in found} | {task for one in found for task in one.tasks}
        if clash := sorted(({row.name} | set(row.tasks)) & taken):
            raise SymjaxError(f"entry point {point.name} = {point.value} of {GROUP}: the name {clash[0]} is taken")
        found.append(row)
    return tuple(found)


def system_names() -> tuple[str, ...]:
    """Names of the systems that generate."""
    return tuple(row.name for row in rows() if row.system is not None)


@cache
def system(name: str) -> System:
    """The system of a name.

    Raises:
        InputError: there is none that generates; the message lists those there are.
    """
    for row in rows():
        if row.name == name and row.system is not None:
            return row.system()
    raise InputError(f"no system {name!r} generates; systems are {', '.join(system_names())}")


def realiser(
    name: str,
    chosen: System,
    weights: Any,
    *,
    steps: int | None = None,
    min_ratio: float = 0.0,
    max_draws: int = 4,
    batch_size: int = 64,
    progress: Progress | None = None,
    limits: Mapping[str, Any] | None = None,
) -> Realiser | None:
    """What gives lattice and coordinates to the structure types of a system.

    Args:
        name: one of `REALISERS`.
        chosen: the system.
        weights: its weights; a system that has a geometry stage of its own (`geometry(weights)`) uses that, others the shipped one.
        steps: diffusion steps; None for the default.
        min_ratio, max_draws, batch_size: of the diffusion (`symjax.models.symop.geometry.realise.Diffusion`).
        progress: told what is finished.
        limits: `attempts`, `seconds` and `processes` of PyXtal.

    Raises:
        InputError: no such realiser.
    """
    if name == "none":
        return None
    if name == "pyxtal":
        from symjax.generate.pyxtal import Pyxtal

        return Pyxtal(**(limits or {}), progress=progress)
    if name != "diffusion":
        raise InputError(f"nothing called {name!r} gives coordinates; one of {', '.join(REALISERS)}")
    from symjax.models.symop.geometry.realise import Diffusion
    from symjax.models.symop.geometry.sample import GeometrySampling
    from symjax.models.symop.weights import load_geometry

    own = getattr(chosen, "geometry", None)
    return Diffusion(
        load_geometry() if own is None else own(weights),
        sampler=GeometrySampling() if steps is None else GeometrySampling(num_steps=steps),
        min_ratio=min_ratio,
        max_draws=max_draws,
        batch_size=batch_size,
        progress=progress,
    )


def check_realise(chosen: System, name: str, options: Collection[str] = ()) -> None:
    """Refuse a realiser that a system, or one of the options given to it, has no use for.

    Raises:
        InputError: saying why.
    """
    why = chosen.without_meaning.get("realise", "")
    if not why and name == "none" and chosen.draws_coordinates:
        why = "it draws lattice and coordinates with the rest, so there is nothing to leave out"
    for option in chosen.options:
        if not why and option.own_coordinates and option.name in options:
            why = f"--{option.name.replace('_', '-')} gives cell and coordinates, which a realiser would replace"
    if why:
        raise InputError(f"--realise {name} cannot be asked of {chosen.name}: {why}")


def generate(
    name: str,
    num: int,
    *,
    weights: str | Path | Any | None = None,
    request: Request | None = None,
    settings: Settings | None = None,
    realise: str | None = None,
    min_ratio: float = 0.0,
    max_draws: int = 4,
    limits: Mapping[str, Any] | None = None,
    **given: Any,
) -> Generated:
    """Generate crystals by a system's name.

    Args:
        name: of `system_names()`.
        num: how many.
        weights: folder, or what `system(name).load` gave; None for those in the package.
        request: what is asked for.
        settings: how to draw; its fields may be given as keywords instead (`seed=1`, `steps=50`).
        realise: what gives coordinates to structure types, one of `REALISERS`; None for the diffusion, or, of systems that draw
            coordinates, their own.
        min_ratio, max_draws: drawn again while two atoms sit closer than this share of the sum of their covalent radii, so many
            draws at most. 0 keeps every first draw (raw rates).
        limits: of the realiser, see `realiser`.
        **given: fields of `Settings`.

    Raises:
        InputError: the request has no meaning for the system or cannot be met.
        WeightsError: no such weights, or of another model.
        SymjaxError: nothing came out.
    """
    from symjax.crystals.io.parse import MIN_DISTANCE
    from symjax.generate.loop import Redraw
    from symjax.generate.loop import generate as generate_with

    chosen = system(name)
    settings = dataclasses.replace(settings or Settings(), **given)
    if realise is not None:
        check_realise(chosen, realise, settings.options)
    loaded = chosen.load(weights) if weights is None or isinstance(weights, str | Path) else weights
    realised = None
    own = realise is None and chosen.draws_coordinates
    if not own:
        realised = realiser(
            realise or "diffusion",
            chosen,
            loaded,
            steps=settings.steps,
            min_ratio=min_ratio,
            max_draws=max_draws,
            batch_size=settings.batch_size,
            progress=settings.progress,
            limits=limits,
        )
    redraw = Redraw(min_ratio if own else 0.0, max_draws, MIN_DISTANCE if min_ratio > 0 else 0.0)
    return generate_with(chosen, loaded, num, request=request, settings=settings, realise=realised, redraw=redraw)


def system_of(weights: Any) -> System:
    """The system whose weights these are, by the model that defines their class.

    Raises:
        InputError: they are of none.
    """
    home = ".".join(type(weights).__module__.split(".")[:-1])
    for name in system_names():
        if type(system(name)).__module__.rpartition(".")[0] == home:
            return system(name)
    raise InputError(f"{type(weights).__name__}: weights of no system; systems are {', '.join(system_names())}")


def log_likelihood(
    weights: str | Path | Any, dataset: CrystalDataset, *, model: str | None = None, orders: int = 10, seed: int = 0
) -> Scores:
    """How likely crystals are under a model.

    Args:
        weights: name of a system (its shipped weights), a folder of weights (with `model`), or what `system(name).load` gave.
        dataset: prepared crystals; those that the model cannot hold get the reason.
        model: name of the system, where `weights` is a folder.
        orders: random orders of the sites that are averaged, for models that have no canonical one.
        seed: of the orders.

    Raises:
        InputError: the system has no likelihood, and why; or nobody knows which system is meant.
        WeightsError: no such weights, or of another model.
    """
    from symjax.generate.likelihood import Scoring

    if model is not None:
        chosen = system(model)
        loaded = chosen.load(weights) if weights is None or isinstance(weights, str | Path) else weights
    elif isinstance(weights, str) and weights in system_names():
        chosen = system(weights)
        loaded = chosen.load(None)
    elif isinstance(weights, str | Path):
        raise InputError(
            f"{weights}: no name of a system ({', '.join(system_names())}); of a folder say which by model="
        )
    else:
        chosen, loaded = system_of(weights), weights
    if not isinstance(chosen, Scoring):
        why = getattr(chosen, "no_likelihood", "it has no method `log_likelihood`")
        scoring = ", ".join(name for name in system_names() if isinstance(system(name), Scoring))
        raise InputError(f"{chosen.name} has no likelihood: {why}; systems that have one: {scoring}")
    return chosen.log_likelihood(loaded, dataset, orders=orders, seed=seed)


def names() -> tuple[str, ...]:
    """Names that `config.model.name` may take."""
    return tuple(sorted({task for row in rows() for task in row.tasks} | set(_ADDED)))


def register(name: str, build: Builder, *, needs_data: bool = True) -> None:
    """Enter a task of your own for this process; call it before training.

    Raises:
        ConfigError: the name is taken by another builder.
    """
    entry = Entry(build, needs_data)
    tasks = {task: one for row in rows() for task, one in row.tasks.items()} | _ADDED
    if tasks.get(name, entry) != entry:
        raise ConfigError(f"model name {name!r} is already taken")
    _ADDED[name] = entry


def entry(name: str) -> Entry:
    """What trains under a name.

    Raises:
        ConfigError: nothing does; the message lists what there is.
    """
    tasks = {task: one for row in rows() for task, one in row.tasks.items()} | _ADDED
    if name not in tasks:
        raise ConfigError(f"config.model.name: unknown model {name!r}; models are {', '.join(names())}")
    return tasks[name]
