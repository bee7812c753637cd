"""`symjax csp DATA`: structure prediction, crystals from their formula alone against the true ones; element substitution beside.

What is given of each crystal of DATA is its reduced formula, and in further rows its space group or its operations; what comes out
is compared with the crystal by the rule of `symjax.evaluate.metrics.prediction`. Every system predicts by its common generation
(`symjax.systems.generate`) with a `Request`; what has no meaning for a system is refused in its words.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from symjax import systems
from symjax.cli.csp_records import GIVEN, SUBSTITUTION, Records
from symjax.cli.generate import add_own, add_realise, own_options
from symjax.cli.numbers import count, ratio, seed
from symjax.errors import InputError, SymjaxError

if TYPE_CHECKING:
    import numpy as np

    from symjax.crystals.types import AtomicStructure
    from symjax.data.dataset import CrystalDataset
    from symjax.data.substitution import Parents, Reduced
    from symjax.generate.request import Request
    from symjax.generate.system import System

BENCHMARKS = ("perov-5", "carbon-24", "mp-20", "mpts-52")
EPILOG = """\
The folder OUT gets report.json (all figures), structures.csv, and a JSON line a crystal in formula.jsonl and the like, written as
each is finished: the same command goes on after an interruption, and with a larger --num does the others.

Exit codes: 0 done, 2 wrong input, 130 interrupted.

examples:
  symjax csp test.npz --train train.npz --out csp --num 100
  symjax csp test.npz --train train.npz --out csp-symmcd --model symmcd --tries 20 --given formula group"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "csp",
        help="structure prediction: match rate and RMSE, formula given",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Predict the crystals of a prepared data set from their formulas; match rate and RMSE beside those of element "
        "substitution and published ones.",
    )
    every = [systems.system(name) for name in systems.system_names()]
    parser.add_argument("data", metavar="DATA", help="prepared crystals to predict (.npz of `symjax data prepare`)")
    parser.add_argument(
        "--train", required=True, metavar="NPZ", help="prepared training crystals, for element substitution"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder of results; an unfinished run goes on"
    )
    parser.add_argument(
        "--model",
        choices=[*(one.name for one in every), SUBSTITUTION],
        default="symop",
        help="what predicts; substitution: element substitution alone (symop)",
    )
    parser.add_argument("--weights", metavar="DIR", help="trained weights (default: those in the package)")
    parser.add_argument("--tries", type=count, default=1, metavar="T", help="predictions of each; the best counts (1)")
    parser.add_argument(
        "--given", nargs="+", choices=tuple(GIVEN), default=["formula"], help="what is told, a row each (formula)"
    )
    parser.add_argument("--num", type=count, metavar="N", help="crystals of DATA, drawn at random by the seed (all)")
    parser.add_argument("--benchmark", choices=(*BENCHMARKS, "none"), default="mp-20", help="published rows (mp-20)")
    parser.add_argument("--seed", type=seed, default=0, help="equal seeds give equal predictions (0)")
    parser.add_argument("--steps", type=count, metavar="N", help="diffusion steps (default: the model's own)")
    parser.add_argument("--batch", type=count, default=64, metavar="N", help="tries at a time (64)")
    parser.add_argument(
        "--min-ratio",
        type=ratio,
        default=0.6,
        metavar="R",
        help="as in generate: too close atoms are drawn again (0.6)",
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar and no table")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_realise(
        parser.add_argument_group("lattice and coordinates", "for the elements and positions a model has drawn")
    )
    for one in every:
        add_own(parser, one)


Told = tuple["np.ndarray", Callable[["Target"], int]]
"""A number of every training crystal, and which it must be for a crystal that is predicted."""


class Target(NamedTuple):
    """A crystal to be predicted.

    Attributes:
        row: of the data set.
        name: its id.
        formula: its reduced formula as text.
        cell: the primitive cell.
        reduced: (atomic number, atoms) of the reduced formula.
        group: number of its space group.
    """

    row: int
    name: str
    formula: str
    cell: AtomicStructure
    reduced: Reduced
    group: int

    def about(self) -> dict[str, Any]:
        """JSON values that name it."""
        return {
            "row": self.row,
            "id": self.name,
            "formula": self.formula,
            "reduced": [list(pair) for pair in self.reduced],
            "atoms": len(self.cell.z),
            "group": self.group,
        }


def request_of(target: Target, given: str) -> Request:
    """What a system is told of a crystal."""
    from symjax.elements import symbol
    from symjax.generate.request import Request
    from symjax.groups.tables import standard_setting

    formula = {symbol(z): n for z, n in target.reduced}
    if given == "formula":
        return Request(formula=formula)
    if given == "atoms":
        return Request(formula=formula, atoms=len(target.cell.z))
    if given == "group":
        return Request(formula=formula, groups=(target.group,))
    opset = standard_setting(target.group)
    return Request(formula=formula, groups=(target.group,), below=opset, above=opset)


def run(args: argparse.Namespace) -> int:
    """Predict what is not done yet, then print and write the figures."""
    from symjax.cli import csp_report
    from symjax.cli.output import check_folder
    from symjax.data.dataset import load
    from symjax.data.files import locked
    from symjax.data.substitution import Parents

    args.given = list(dict.fromkeys(args.given))
    chosen, own = check(args)
    folder = check_folder(args.out)
    data, train = _load(args.data, load), _load(args.train, load)
    settings = settings_of(args, own, data, train)
    order = _order(len(data), args)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", str(folder)):
        records = Records(folder, settings)
        predictor = None if chosen is None else Predictor(args, chosen, own)
        parents = Parents(train)
        for given in args.given:
            done = records.read(given)
            open_rows = [row for row in order if row not in done]
            if not open_rows:
                continue
            same = _told(train, given)
            with _bar(len(order), len(order) - len(open_rows), given, args) as bar:
                for target in _targets(data, open_rows):
                    results = {SUBSTITUTION: substitute(parents, same, target, args.tries)}
                    if predictor is not None:
                        results[args.model] = predictor.result(target, given)
                    records.add(given, target.about() | {"results": results})
                    bar.update(1)
        parts = {given: [records.read(given)[row] for row in order] for given in args.given}
    csp_report.finish(args, folder, settings, parts, parents.known)
    return 0


def check(args: argparse.Namespace) -> tuple[System | None, dict[str, Any]]:
    """The system (None: element substitution alone) and values of its own options, checked before anything is read.

    Raises:
        InputError: something has no meaning for it; the message says why.
    """
    if args.model == SUBSTITUTION:
        names = ("weights", "steps", "realise", "attempts", "seconds")
        given = [name for name in names if getattr(args, name) is not None]
        if given:
            raise InputError(f"--{given[0]} has no meaning for element substitution, which has no model")
        return None, {}
    chosen = systems.system(args.model)
    own = own_options(args, chosen)
    from symjax.generate.loop import check_request
    from symjax.generate.request import Request
    from symjax.generate.system import Settings
    from symjax.groups.tables import standard_setting

    steps = args.steps if args.realise is None else None  # else they are the realiser's
    opset = standard_setting(1)
    asked = {
        "formula": Request(formula={"Na": 1, "Cl": 1}),
        "atoms": Request(formula={"Na": 1, "Cl": 1}, atoms=2),
        "group": Request(formula={"Na": 1, "Cl": 1}, groups=(1,)),
        "operations": Request(formula={"Na": 1, "Cl": 1}, groups=(1,), below=opset, above=opset),
    }
    for given in args.given:
        try:
            check_request(chosen, asked[given], Settings(steps=steps, options=own), None)
        except InputError as error:
            raise InputError(f"--given {given}: {error}") from None
    if args.realise == "none":
        raise InputError("--realise none gives no coordinates, and without them nothing can be compared")
    if args.realise is not None:
        systems.check_realise(chosen, args.realise, own)
    for name in ("attempts", "seconds"):
        if getattr(args, name) is not None and args.realise != "pyxtal":
            raise InputError(f"--{name} needs --realise pyxtal")
    if args.realise == "pyxtal" and args.steps is not None:
        raise InputError("--steps are diffusion steps and do not go with --realise pyxtal")
    return chosen, own


def settings_of(
    args: argparse.Namespace, own: dict[str, Any], data: CrystalDataset, train: CrystalDataset
) -> dict[str, Any]:
    """What decides the results: the key by which a run may go on."""
    from symjax import __version__

    names = ("model", "tries", "seed", "steps", "min_ratio", "realise", "attempts", "seconds")
    return {
        "program": "symjax csp",
        "version": __version__,
        **{name: getattr(args, name) for name in names},
        "weights": _weights_hash(args.weights),
        "options": {name: str(value) for name, value in own.items()},
        "data": data.data_hash(),
        "train": train.data_hash(),
    }


class Predictor:
    """One system with its weights, asked for one crystal after another.

    Args:
        args: the command line.
        chosen: the system.
        own: values of its own options.
    """

    def __init__(self, args: argparse.Namespace, chosen: System, own: dict[str, Any]):
        self.args, self.chosen, self.own = args, chosen, own
        self.weights = chosen.load(args.weights)
        self.compiled = _count_programs()

    def result(self, target: Target, given: str) -> dict[str, Any]:
        """JSON values of one crystal: its tries judged, how long they took, and why there are none."""
        before, started = self.compiled(), time.perf_counter()
        cells, reason = self.predict(target, given)
        seconds = time.perf_counter() - started
        programs = self.compiled() - before
        return {
            "tries": _judged(cells, target.cell),
            "reason": reason,
            "seconds": round(seconds, 4),
            "programs": programs,
        }

    def predict(self, target: Target, given: str) -> tuple[list[AtomicStructure | None], str]:
        """The tries in order, None where one came to nothing, and why there are none where there are none."""
        args = self.args
        limits = {name: getattr(args, name) for name in ("attempts", "seconds") if getattr(args, name) is not None}
        cells: list[AtomicStructure | None] = [None] * args.tries
        try:
            made = systems.generate(
                self.chosen.name,
                args.tries,
                weights=self.weights,
                request=request_of(target, given),
                seed=_seed_of(args.seed, target.row),
                steps=args.steps,
                batch_size=args.batch,
                options=self.own,
                realise=args.realise,
                min_ratio=args.min_ratio,
                limits=limits,
            )
        except (
            SymjaxError
        ) as error:  # an element that the weights never saw, a formula with no room: no match, and counted
            return cells, str(error)
        assert made.dataset is not None and made.rows is not None  # coordinates are asked for
        for i, row in enumerate(made.rows.tolist()):
            cells[row] = made.dataset.atoms(i).primitive()
        return cells, ""


def substitute(parents: Parents, same: Told | None, target: Target, tries: int) -> dict[str, Any]:
    """The same by known crystals with other elements; parents of the same group or number of atoms where that is given."""
    started = time.perf_counter()
    rows = None
    if same is not None:
        values, wanted = same
        rows = [row for row in parents.alike(target.reduced) if values[row] == wanted(target)]
    found = parents.best(target.reduced, tries, rows=rows)
    seconds = time.perf_counter() - started
    cells: list[AtomicStructure | None] = [cell for cell, _ in found]
    return {
        "tries": _judged(cells + [None] * (tries - len(cells)), target.cell),
        "parents": [str(parents.data.ids[row]) for _, row in found],
        "seconds": round(seconds, 4),
    }


def _told(train: CrystalDataset, given: str) -> Told | None:
    """What parents must share with a crystal besides the formula's amounts."""
    import numpy as np

    if given == "formula":
        return None
    if given == "atoms":
        centring = (np.asarray(train.sets.W) == np.eye(3, dtype=int)).all(axis=(2, 3)) & np.asarray(train.sets.mask)
        return train.num_atoms // centring.sum(axis=1)[train.set_index], lambda target: len(target.cell.z)
    return _groups(train), lambda target: target.group


def _judged(cells: list[AtomicStructure | None], truth: AtomicStructure) -> list[dict[str, Any] | None]:
    from symjax.evaluate.metrics.prediction import judge

    there = [cell for cell in cells if cell is not None]
    found = iter(judge(there, truth))
    return [None if cell is None else next(found)._asdict() for cell in cells]


def _load(path: str, load: Callable[[str], CrystalDataset]) -> CrystalDataset:
    if Path(path).suffix != ".npz":
        raise InputError(
            f"{path}: csp reads prepared crystals; make them by `symjax data prepare {path} --out FILE.npz`"
        )
    data = load(path)
    if not len(data):
        raise InputError(f"{path}: no crystals")
    return data


def _order(num: int, args: argparse.Namespace) -> list[int]:
    """Rows to predict: all in order, or some at random; a larger --num adds to those of a smaller one."""
    import numpy as np

    if args.num is None or args.num >= num:
        return list(range(num))
    return np.random.default_rng(args.seed).permutation(num)[: args.num].tolist()


def _targets(data: CrystalDataset, rows: list[int]) -> Any:
    """The crystals of some rows, one after another."""
    groups = _groups(data.subset(rows))
    for row, group in zip(rows, groups.tolist()):
        cell = data.atoms(row).primitive()
        yield Target(row, str(data.ids[row]), str(data.formula[row]), cell, cell.reduced, group)


def _groups(data: CrystalDataset) -> np.ndarray:
    from symjax.evaluate.symmetry import group_numbers

    return group_numbers(data)


def _seed_of(seed: int, row: int) -> int:
    """A seed of its own for every crystal, whatever --num is."""
    import numpy as np

    return int(np.random.default_rng([seed, row]).integers(2**31))


def _weights_hash(folder: str | None) -> str | None:
    """Of all files of a folder of weights; None for the shipped ones."""
    import hashlib

    if folder is None:
        return None
    digest = hashlib.sha256()
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _count_programs() -> Callable[[], int]:
    """How many programs XLA has compiled since (or read from the cache)."""
    import jax.monitoring

    seen = [0]

    def listen(event: str, seconds: float, **more: Any) -> None:
        seen[0] += "backend_compile" in event

    jax.monitoring.register_event_duration_secs_listener(listen)
    return lambda: seen[0]


def _bar(total: int, done: int, given: str, args: argparse.Namespace) -> Any:
    import sys

    from tqdm import tqdm

    show = not args.quiet and sys.stderr.isatty()
    return tqdm(total=total, initial=done, desc=f"{args.model}, {given}", dynamic_ncols=True, disable=not show)
