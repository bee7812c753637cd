"""Tables 1 and 2 of WyckoffTransformer on raw Wyckoff representations, the published rows beside what these weights give.

    python -m experiments.wyckoff_tables --train train.npz --val val.npz --test test.npz --weights runs/wyckoff/weights
    python -m experiments.wyckoff_tables ... --wycryst runs/wycryst/weights --report crystals/report.json --json reports

Table 1: representations are drawn with space groups of train and val, unmasked (as published) and masked, and WyCryst's around
known compounds (as published) and from its prior; the lines are those of `experiments.wyckoff_figures`, on all crystals and on
binaries and ternaries. Raw stands against raw: the published rows of MP-20 are of relaxed structures, those of the binary and
ternary model are raw. What needs structures (S.U.N., figures after relaxation) comes from reports of `symjax evaluate`, given
by --report. The rows "real" are the training crystals against the test crystals: the best that a model of that training set can
reach.

Table 2: minus log-likelihoods in nats under the order in which a sample was drawn (of data: the stored order) and averaged over
random orders (of data: and equivalent representations). Samples that fill every slot without STOP have the likelihood of what
was drawn; the published code scores one position of them, which is printed beside it.

--json writes each measured row as a report that `experiments.tables` reads too. Wrong input exits with code 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from symjax.errors import InputError, SymjaxError
from symjax.evaluate.figure import Figure

from . import reports, tables
from .published.render import FORMS, render
from .published.types import Column, Table
from .published.wyckoff_transformer import TABLE_1, TABLE_2
from .wyckoff_figures import FAMILY, Maker, Measured, figures_of, measure, measure_tokens, order_figures

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.models.wyckoff_transformer.sample import Sampled
    from symjax.models.wyckoff_transformer.tokens import Tokens
    from symjax.models.wyckoff_transformer.weights import WyckoffWeights

TEMPERATURES = (100.0, 1.0, 0.01)
"""Temperatures of the published table 2."""
SUBSETS = ("all", "binary and ternary")
MORE_1 = (
    Column("novelty_published", "novelty, published fingerprint", "%", "higher", f"{FAMILY}.novelty_published", 100.0),
    Column("chi2_groups_excess", "chi2 groups less floor", "", "lower", f"{FAMILY}.chi2_groups_excess"),
    Column("chi2_elements_excess", "chi2 elements less floor", "", "lower", f"{FAMILY}.chi2_elements_excess"),
)
MORE_2 = (
    Column("own_published", "own order, published rule", "nats", "", f"{FAMILY}.permutation_own_published"),
    Column("unstopped", "without STOP", "%", "", f"{FAMILY}.unstopped", 100.0),
    Column("uniform", "uniform guessing", "nats", "", f"{FAMILY}.uniform"),
)
AFTER = {"novelty_published": "novelty", "chi2_groups_excess": "chi2_groups", "chi2_elements_excess": "chi2_elements"}


def extended(table: Table) -> Table:
    """A published table with the columns of corrected definitions beside those they correct."""
    more = MORE_1 if table is TABLE_1 else MORE_2
    columns = list(table.columns)
    for column in more:
        keys = [c.key for c in columns]
        columns.insert(keys.index(AFTER[column.key]) + 1 if column.key in AFTER else len(columns), column)
    return dataclasses.replace(table, columns=tuple(columns), systems=())


@dataclasses.dataclass(frozen=True)
class Real:
    """Real crystals: tokens of the weights' vocabulary for likelihoods, measured ones for statistics."""

    name: str
    dataset: CrystalDataset
    measured: Measured

    def of(self, subset: str) -> Measured:
        """All, or the binaries and ternaries."""
        return self.measured if subset == SUBSETS[0] else self.measured.few_elements()


def read_real(path: str) -> Real:
    """A prepared data set.

    Raises:
        SymjaxError: it cannot be read.
        InputError: no crystal of it fits.
    """
    from symjax.data.dataset import load
    from symjax.models.wyckoff_transformer.tokens import fits, tokenize, vocabulary

    data, vocab = load(path), vocabulary("all")
    data = data.subset(fits(data, vocab))
    if not len(data):
        raise InputError(f"{path}: no crystal has elements 1 to 94 and at most 20 sites")
    return Real(Path(path).name, data, measure_tokens(tokenize(data, vocab), vocab))


def joined(parts: Sequence[Measured]) -> Measured:
    """Several sets as one (all have as many slots)."""
    return Measured(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in dataclasses.fields(Measured)))


class Session:
    """What all rows share: data, options, and the reports made so far."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.maker = args, Maker(args.seed, args.draws)
        self.train = [read_real(path) for path in (args.train, args.val) if path]
        self.known, self.test = joined([part.measured for part in self.train]), read_real(args.test)
        self._shown: set[str] = set()  # subsets whose real data stand in a report already
        self.reports: dict[str, list[tuple[str, dict[str, Any]]]] = {"1": [], "2": []}

    def add(self, which: str, name: str, figures: Sequence[Figure], num: int, *, source: str, **more: Any) -> None:
        """Keep a row."""
        from symjax import __version__
        from symjax.evaluate.run import hardware

        samples = {"source": source, "num": num, **more.pop("samples", {})}
        self.reports[which].append(
            (
                name,
                {
                    "symjax": __version__,
                    "program": reports.PROGRAMS[1],
                    "created": datetime.datetime.now().isoformat(),
                    "samples": samples,
                    "reference": more.pop("reference", {"source": self.test.name, "num": len(self.test.measured)}),
                    "train": {"source": " and ".join(part.name for part in self.train), "num": len(self.known)},
                    "hardware": hardware(),
                    "skipped": [],
                    "figures": [figure.as_json() for figure in figures],
                    **more,
                },
            )
        )

    def add_samples(
        self,
        name: str,
        drawn: Measured,
        valid: np.ndarray,
        reasons: Counter[str],
        *,
        source: str,
        seconds: float = 0.0,
        subsets: Sequence[str] = SUBSETS,
    ) -> None:
        """Rows of table 1 of decoded samples, one for each subset."""
        unusable = [
            {"name": reason, "reason": reason} for reason, count in sorted(reasons.items()) for _ in range(count)
        ]
        for subset in subsets:
            part = drawn if subset == SUBSETS[0] else drawn.few_elements()
            reference = self.test.of(subset)
            figures = figures_of(part, reference, self.known, valid=valid, maker=self.maker)
            if len(part) < len(drawn):
                note = f"over {len(part)} binaries and ternaries of {len(drawn)} valid samples; formal validity over all attempts"
                figures = [dataclasses.replace(f, note=note) if f.key.endswith("uniqueness") else f for f in figures]
            more = {"samples": {"unusable": unusable}, "seconds": seconds, **self._reference(subset)}
            if subset in self._shown:  # once is enough
                figures = [dataclasses.replace(f, reference=math.nan) for f in figures]
            self._shown.add(subset)
            self.add("1", f"{name}, {subset}, raw", figures, len(valid), source=source, **more)

    def _reference(self, subset: str) -> dict[str, Any]:
        """What a row says about the test crystals it is compared with."""
        return {"reference": {"source": f"{self.test.name}, {subset}", "num": len(self.test.of(subset))}}

    def add_real(self) -> None:
        """Rows of table 1 of the training crystals, as if they had been drawn; novelty left out."""
        none = self.known.take(np.zeros(0, int))
        for subset in SUBSETS:
            part = self.known if subset == SUBSETS[0] else self.known.few_elements()
            figures = [
                f for f in figures_of(part, self.test.of(subset), none, maker=self.maker) if "novelty" not in f.key
            ]
            figures = [dataclasses.replace(f, reference=math.nan) for f in figures]
            more = self._reference(subset)
            self.add(
                "1", f"real crystals of train and val, {subset}", figures, len(part), source="real crystals", **more
            )


def trained(folder: Any, model: str) -> str:
    """What weights are, in words: model, step and loss."""
    path = Path(folder) / "metrics.json"
    about = json.loads(path.read_text()) if path.is_file() else {}
    loss = about.get("metrics", {}).get("val/loss")
    step = f"step {about['step']}" if "step" in about else "step unknown"
    return f"{model} weights, {step}" + (f", validation loss {loss:.3f}" if loss is not None else "")


def draw_groups(session: Session, num: int) -> np.ndarray:
    """Space groups of train and val, with replacement."""
    rng = np.random.default_rng(session.args.seed)
    return session.known.number[rng.integers(0, len(session.known), num)].astype(np.int32)


def draw(
    weights: WyckoffWeights, number: np.ndarray, seed: int, *, masked: bool, temperature: float = 1.0
) -> tuple[Sampled, float]:
    """Samples and the seconds they took."""
    from symjax.models.wyckoff_transformer.sample import sample

    began = time.perf_counter()
    drawn = sample(
        weights.params,
        weights.options.network,
        jax.random.key(seed),
        number,
        vocabulary=weights.vocabulary,
        masked=masked,
        temperature=temperature,
    )
    return drawn, time.perf_counter() - began


def table_1(session: Session, weights: WyckoffWeights) -> None:
    """Rows of table 1."""
    args = session.args
    for masked in (False, True):
        drawn, seconds = draw(weights, draw_groups(session, args.num), args.seed, masked=masked)
        found = drawn.decode()
        reasons = Counter({name: count for name, count in found.counts().items() if name != "valid" and count})
        kept = measure(found.number[found.valid], found.z[found.valid], found.pos[found.valid])
        name = f"WyckoffTransformer, this project, {'masked' if masked else 'unmasked'}"
        source = trained(args.weights, "WyckoffTransformer")
        session.add_samples(name, kept, found.valid, reasons, source=source, seconds=seconds)
    if args.wycryst:
        add_wycryst(session)
    session.add_real()


def add_wycryst(session: Session) -> None:
    """Rows of WyCryst: around known compounds, and from the prior."""
    from symjax.models.wycryst.representation import judge
    from symjax.models.wycryst.sample import sample
    from symjax.models.wycryst.task import represent
    from symjax.models.wycryst.weights import load_weights

    args = session.args
    weights, (known, _) = load_weights(args.wycryst), represent(session.train[0].dataset)
    for where, around in (("around known compounds", known), ("from the prior", None)):
        began = time.perf_counter()
        drawn = sample(weights, args.num, seed=args.seed, around=around)
        seconds = time.perf_counter() - began
        verdict = judge(drawn)
        good = verdict.valid
        reasons = Counter(verdict.reasons[~good].tolist())
        kept = measure(verdict.number[good], verdict.z[good], verdict.pos[good])
        strict = 100 * judge(drawn, drop=False).valid.mean()
        source = f"{trained(args.wycryst, 'WyCryst')}, formal validity without dropping sites on absent positions {strict:.1f} %"
        name = f"WyCryst, this project, {where}"
        session.add_samples(name, kept, good, reasons, source=source, subsets=SUBSETS[1:], seconds=seconds)


def table_2(session: Session, weights: WyckoffWeights) -> None:
    """Rows of table 2: samples at each temperature, test and training crystals."""
    from symjax.models.wyckoff_transformer.tokens import fits, tokenize

    args = session.args
    groups = session.test.measured.number
    number = groups[np.random.default_rng(args.seed).integers(0, len(groups), args.likelihoods)]
    source = trained(args.weights, "WyckoffTransformer")
    for temperature in args.temperature or TEMPERATURES:
        drawn, _ = draw(weights, number.astype(np.int32), args.seed + 1, masked=False, temperature=temperature)
        figures = order_figures(weights, drawn.tokens, drawn.stopped, seed=args.seed, orders=20, drawn=True)
        name = f"WyckoffTransformer, this project, temperature {temperature:g}"
        session.add("2", name, figures, len(number), source=source)
    for name, part in (("test crystals", session.test), ("training crystals", session.train[0])):
        for subset in SUBSETS:
            data = part.dataset.subset(fits(part.dataset, weights.vocabulary))
            tokens = tokenize(data, weights.vocabulary)
            if subset == SUBSETS[1]:
                tokens = tokens.take(few_elements(tokens))
            rng = np.random.default_rng(args.seed)
            tokens = tokens.take(np.sort(rng.permutation(len(tokens))[: args.likelihoods]))
            stopped = np.ones(len(tokens), bool)
            figures = order_figures(weights, tokens, stopped, seed=args.seed, orders=10, drawn=False)
            session.add("2", f"{name}, {subset}", figures, len(tokens), source=f"{source}; {part.name}")


def few_elements(tokens: Tokens) -> np.ndarray:
    """(c,) bool binaries and ternaries."""
    num = np.array(
        [len(set(row[mask].tolist())) for row, mask in zip(np.asarray(tokens.element), np.asarray(tokens.mask))]
    )
    return (num == 2) | (num == 3)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="experiments.wyckoff_tables", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", required=True, help="prepared training crystals")
    parser.add_argument("--val", help="prepared validation crystals; novelty is against train and val together")
    parser.add_argument("--test", required=True, help="prepared test crystals")
    parser.add_argument("--table", choices=("1", "2", "both"), default="both")
    parser.add_argument("--weights", help="WyckoffTransformer weights (default: those in the package)")
    parser.add_argument("--wycryst", help="WyCryst weights; none travel with the package")
    parser.add_argument("--num", type=int, default=10_000, help="samples of table 1")
    parser.add_argument("--likelihoods", type=int, default=2_000, help="samples, or crystals, of each row of table 2")
    parser.add_argument(
        "--temperature",
        type=float,
        action="append",
        help="of samples of table 2; may be repeated (default: 100, 1 and 0.01)",
    )
    parser.add_argument("--draws", type=int, default=199, help="permutations of each test against the test crystals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--report", action="append", default=[], metavar="FILE", help="of `symjax evaluate`; may be repeated"
    )
    parser.add_argument("--json", metavar="FOLDER", help="write the report of each measured row there")
    parser.add_argument("--format", choices=tuple(FORMS), default="text")
    parser.add_argument("--out", metavar="FILE", help="write there instead of printing")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> str:
    """The text of the tables.

    Raises:
        InputError: a number that is not positive, or data or weights that cannot be used.
    """
    from symjax.models.wyckoff_transformer.weights import load_weights
    from symjax.train.weights import shipped_weights

    if any(not (math.isfinite(value) and value > 0) for value in args.temperature or ()):
        raise InputError(f"--temperature must be positive and finite, got {args.temperature}")
    if min(args.num, args.likelihoods, args.draws) < 1:
        raise InputError("--num, --likelihoods and --draws must be at least 1")
    if args.format == "csv" and args.table == "both":
        raise InputError("the columns of the tables differ: --format csv takes --table 1 or --table 2")
    args.weights = args.weights or shipped_weights("wyckoff_transformer")
    weights = load_weights(args.weights)
    chosen = ("1", "2") if args.table == "both" else (args.table,)
    session = Session(args)
    if "1" in chosen:
        table_1(session, weights)
    if "2" in chosen:
        table_2(session, weights)
    with tempfile.TemporaryDirectory() as place:
        return "\n\n".join(written(session, which, Path(args.json or place)).rstrip("\n") for which in chosen) + "\n"


def written(session: Session, which: str, place: Path) -> str:
    """One table as text, its rows written as reports."""
    table = extended(TABLE_1 if which == "1" else TABLE_2)
    place.mkdir(parents=True, exist_ok=True)
    reports = []
    for name, report in session.reports[which]:
        plain = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
        path = place / f"table{which}_{plain}.json"
        path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
        reports.append(tables.read(path, name))
    reports += [tables.read(path) for path in session.args.report]
    return render(table, tables.lines_of(table, reports), tables.definitions(table, reports), session.args.format)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; exit code 2 on wrong input."""
    args = parse(argv)
    try:
        tables.emit(run(args), args.out)
    except (SymjaxError, OSError) as error:
        print(f"experiments.wyckoff_tables: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
