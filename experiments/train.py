"""Train any model of the package.

    python -m experiments.train --config configs/symop.py:small --config.data.train=train.npz --config.data.val=val.npz \
        --config.train.steps=2000 --workdir runs/first

`symjax train` is the same program, and `--config symop:small` names a file of the package. Every field of the configuration can be
set as --config.a.b=value. The work folder receives checkpoints, metrics.jsonl, TensorBoard events, config.json, versions.json and,
at the end, `weights`; its `state.json` says how the run ended. The same command resumes; SIGTERM and Ctrl-C save first, and the
exit code is then 75. Under SLURM, on a TPU slice, in GKE and by Open MPI start the same line in every process; elsewhere give each
--coordinator=host0:port --num_processes=N --process_id=I. Wrong input exits with code 2.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from symjax._beside import config_file
from symjax.errors import ConfigError, SymjaxError
from symjax.train.state import STOPPED


def define_flags() -> flags.FlagValues:
    """The flags of this program, in a set of their own, so that importing the module defines nothing globally."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "configuration file, as configs/symop.py:small", flag_values=values)
    flags.DEFINE_string("workdir", None, "folder for checkpoints, metrics and weights", flag_values=values)
    flags.DEFINE_string("init", None, "weights to start from (config.train.init_from)", flag_values=values)
    flags.DEFINE_string("coordinator", "", "host:port of process 0, where JAX cannot find it", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "processes in the run; 1 to train alone", flag_values=values)
    flags.DEFINE_integer("process_id", None, "which process this is, from 0", flag_values=values)
    flags.DEFINE_integer("join_seconds", 300, "how long to wait for the other processes", flag_values=values)
    flags.DEFINE_bool("help", False, "show this help", short_name="h", flag_values=values)
    return values


@contextlib.contextmanager
def _arguments(argv: Sequence[str]) -> Iterator[None]:
    """Let ml_collections, which reads sys.argv for overrides, see these arguments."""
    before, sys.argv = sys.argv, list(argv)
    try:
        yield
    finally:
        sys.argv = before


def find_config(name: str) -> Path | None:
    """The file that `symop`, `configs/symop.py` or the name of a system (also of another package) stands for; None if none does."""
    from symjax.systems import rows

    named = [row.config for row in rows() if row.name == name and row.config]
    for place in (name, *named):
        if (file := config_file(place)) is not None:
            return file
    return next((Path(place) for place in named if Path(place).is_file()), None)


def packaged(argv: Sequence[str]) -> list[str]:
    """The command line with `--config symop:small` as the path of that file of the package; a file that exists is left alone."""
    argv = list(argv)
    for i, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if option.lstrip("-") != "config" or not word.startswith("-"):
            continue
        at = i if equals else i + 1
        if at < len(argv):
            name, colon, argument = (value if equals else argv[at]).partition(":")
            if not Path(name).is_file() and (file := find_config(name)) is not None:
                argv[at] = f"{option}={file}{colon}{argument}" if equals else f"{file}{colon}{argument}"
    return argv


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Parse the command line and resolve the configuration.

    Raises:
        ConfigError: unknown flag, file, field or size, or a value of the wrong type.
    """
    values, argv = define_flags(), packaged(argv)
    try:
        with _arguments(argv):
            rest = values(list(argv))
            if values["config"].value is not None:
                values["config"].value.keys()  # a file that could not be loaded is only reported when it is used
    except Exception as error:  # absl and ml_collections raise many types, and a config file is code
        raise _plain_error(error) from error
    if len(rest) > 1:
        raise ConfigError(f"unknown argument {rest[1]!r}; options are written as --name=value (see --help)")
    return values


def _plain_error(error: BaseException) -> SymjaxError:
    """The error that started a chain: ml_collections wraps those of a config file into others that quote its traceback."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 20:
        chain.append(before)
    for link in reversed(chain):
        if isinstance(link, SymjaxError):
            return link
    text = str(error)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":  # a KeyError's text comes quoted and escaped
        text = text[1:-1].replace("\\n", "\n").replace("\\'", "'")
    lines = [line.strip(" :") for line in text.splitlines() if line.strip()]
    return ConfigError(": ".join(dict.fromkeys(lines)) or type(error).__name__)


def load_data(config: ConfigDict, workdir: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Data sets of `config.data` by role (None where there is none), and their sha256.

    The embedded prototypes are prepared into the work folder once.

    Raises:
        SymjaxError: a file is no prepared data set, or the prototypes cannot be made.
    """
    from symjax.data.addresses import fetched
    from symjax.data.files import hash_file
    from symjax.train.config import PROTOTYPES
    from symjax.train.mesh import is_main

    data: dict[str, Any] = {"train": None, "val": None}
    hashes = {}
    for role in data:
        if not config.data[role]:
            continue
        from symjax.data.dataset import CrystalDataset

        path: str | Path = config.data[role]
        if role == "train" and path == PROTOTYPES and not Path(path).exists():
            path = workdir / f"{PROTOTYPES}.npz"
            if not path.exists():
                if not is_main():
                    raise ConfigError(
                        "several hosts cannot make the prototypes: prepare them before, by `symjax data prepare`"
                    )
                from symjax.data.prepare import prepare

                prepare(PROTOTYPES, path)
        with fetched(path) as local:
            data[role] = CrystalDataset.load(local)
            hashes[role] = hash_file(local)
    return data, hashes


def _check_alone(workdir: str) -> None:
    """Refuse an address for a work folder where several processes would each have a copy of their own."""
    import jax

    if jax.process_count() > 1:
        from symjax.data.files import LOCAL_ONLY

        raise SymjaxError(
            f"{workdir}: several processes write parts of one checkpoint in a folder that all see; {LOCAL_ONLY}"
        )


def train(config: ConfigDict, workdir: str) -> int:
    """Build the model's task and train it; returns the exit code."""
    from symjax import systems as registry
    from symjax.data.addresses import Staged
    from symjax.data.files import kind_of_address
    from symjax.train.config import validate
    from symjax.train.loop import Trainer
    from symjax.train.mesh import is_main

    entry = registry.entry(config.get("model", {}).get("name", ""))
    validate(config, needs_data=entry.needs_data)
    with contextlib.ExitStack() as stack:
        send: Callable[[], None] | None = None
        folder = Path(workdir)
        if kind_of_address(workdir):
            _check_alone(workdir)
            staged = stack.enter_context(Staged(workdir))
            folder, send = staged.folder, staged.send
        data, hashes = load_data(config, folder)
        task = entry.build(config, data["train"], data["val"])
        result = Trainer(task, config, folder, data_hash=hashes, after_checkpoint=send).run()
    if is_main():
        shown = ", ".join(f"{k} {result.metrics[k]:.4g}" for k in ("train/loss", "val/loss") if k in result.metrics)
        print(f"{config.model.name}: step {result.step}, {shown}; weights in {workdir}/weights")
    return 0 if result.finished else STOPPED


def main(argv: Sequence[str] | None = None, *, name: str = "experiments.train") -> int:
    """Run the program; wrong input is one line on stderr, after its name, and code 2."""
    argv = list(sys.argv if argv is None else argv)
    try:
        values = parse(argv)
        if values.help:
            print(__doc__)
            print(values.get_help())
            return 0
        for needed in ("config", "workdir"):
            if values[needed].value is None:
                raise ConfigError(f"--{needed} is missing (see --help)")
        if values.init:
            values.config.train.init_from = values.init
        from symjax.data import addresses
        from symjax.train import hosts

        addresses.check(values.workdir)
        joined = values.coordinator, values.num_processes, values.process_id
        hosts.connect(*joined, seconds=values.join_seconds)
        return train(values.config, values.workdir)
    except (
        SymjaxError,
        OSError,
    ) as error:  # an OSError is a disk that filled up while metrics were written, or the like
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the last checkpoint is kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
