"""Entry point of the command `symjax`: parses, runs one subcommand, and turns wrong input into one line and exit code 2.

Each subcommand is a module of this folder with `add_parser(subparsers)` and `run(args) -> int`. Parsers must be cheap to
build: a module imports what it works with inside `run`.

Exit codes: 0 done, 1 a check the user asked for failed, 2 wrong input or usage, 75 training stopped by a signal and saved (the same
command goes on), 130 interrupted, 143 ended by SIGTERM.
"""

from __future__ import annotations

import _thread
import argparse
import errno
import importlib
import io
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from symjax import __version__
from symjax.cli.compiled import keep_programs
from symjax.errors import SymjaxError

INTERRUPTED, TERMINATED = 130, 128 + signal.SIGTERM
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_last_signal = 0  # that ended the command
COMMANDS = (
    "generate",
    "discover",
    "score",
    "data",
    "analyze",
    "train",
    "sweep",
    "tables",
    "evaluate",
    "hull",
    "subgroups",
    "supergroups",
    "path",
    "derive",
    "modes",
    "related",
    "csp",
    "completion",
)


class _Parser(argparse.ArgumentParser):
    """The parser of the whole line, in which `evaluate hull` is a command of its own, with its own help."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's."""
        return super().parse_known_args(_joined(_one_word(sys.argv[1:] if args is None else args)), namespace)


def _one_word(given: Sequence[str]) -> list[str]:
    """A command line in which the command is one word: `evaluate hull` is `hull`."""
    found = list(given)
    place = next((i for i, word in enumerate(found) if not word.startswith("-")), 0)
    if found[place : place + 2] == ["evaluate", "hull"]:
        del found[place]
    return found


def _joined(given: Sequence[str]) -> list[str]:
    """A command line in which a value such as ``-x,-y,-z`` is no option: ``--remove -x,-y,-z`` is ``--remove=-x,-y,-z``."""
    found: list[str] = []
    for word in given:
        if found and found[-1].startswith("--") and "=" not in found[-1] and re.match(r"-[^-].*,", word):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line as one parser; with fewer commands it is built sooner, and knows only those."""
    parser = _Parser(
        prog="symjax",
        description="Crystals generated from symmetry operations.",
        epilog="`symjax COMMAND --help` tells the options of one command.",
    )
    parser.add_argument("--version", action="version", version=f"symjax {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=argparse.ArgumentParser
    )
    for name in commands:
        importlib.import_module(f"symjax.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        argv: the arguments without the program's name; None for those of the process.
    """
    args = argparse.Namespace(debug=False)  # reading the line may fail: it lists systems, those of other packages too
    try:
        given = _one_word(sys.argv[1:] if argv is None else argv)
        named = [word for word in given if not word.startswith("-")][:1]  # no option before the command has a value
        parser = build_parser(named) if named and named[0] in COMMANDS else build_parser()
        args = parser.parse_args(argv)
        code = importlib.import_module(f"symjax.cli.{args.command}").run(args)
        sys.stdout.flush()
        return int(code)
    except SymjaxError as error:
        if args.debug:
            raise
        return _fail(str(error))
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich ends the program then, with 1
            return 0
        raise
    except BrokenPipeError:
        # The reader (such as `head`) has gone; keep Python from complaining again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if args.debug or (error.filename is None and error.errno not in UNWRITABLE):
            raise
        if error.filename is None:  # what is printed went to a full disk: Python must not try again while it shuts down
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(f"{error.filename or 'cannot write'}: {error.strerror}")
    except KeyboardInterrupt:
        print("symjax: interrupted", file=sys.stderr)
        return TERMINATED if _last_signal == signal.SIGTERM else INTERRUPTED


def program() -> None:
    """Run the command line of the process and end it."""
    keep_programs()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names and tables may hold what an ASCII terminal cannot show
    try:
        with _insistent_interrupts():
            code = main()
    except KeyboardInterrupt:  # between the two, or before the one
        code = TERMINATED if _last_signal == signal.SIGTERM else INTERRUPTED
    if code in (INTERRUPTED, TERMINATED):
        # Compiled programs may still run in threads, and workers in processes. Taking the interpreter down under the first crashes
        # (signal 11), and the second must not stay.
        for child in multiprocessing.active_children():
            child.terminate()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def _insistent_interrupts(every: float = 1.0) -> Iterator[None]:
    """Ctrl-C or SIGTERM once is enough: raised again every so many seconds until it is being handled.

    The interpreter raises KeyboardInterrupt in whatever Python code runs next. That may be a callback of a library, a finalizer
    or a compiler's hook, where an exception is reported and dropped. Nothing is raised into code that handles it already, such
    as what cleans up.
    """
    own, ended, process, thread = [False], [False], os.getpid(), _thread.get_ident()

    def again(number: int) -> None:
        time.sleep(every)
        if not ended[0]:
            own[0] = True
            signal.pthread_kill(thread, number)  # a real one: it ends a wait in the system as well

    def interrupt(number: int, frame: FrameType | None) -> None:
        global _last_signal
        _last_signal = number
        repeated, own[0] = own[0], False
        if os.getpid() == process and not ended[0]:
            _thread.start_new_thread(again, (number,))  # no lock of `threading`, which the interrupted code may hold
        if not (repeated and isinstance(sys.exception(), KeyboardInterrupt)):
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler in (
            signal.default_int_handler,
            signal.SIG_DFL,
        ):  # else it is ignored, as in the background of a shell
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        ended[0] = True
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(message: str) -> int:
    print(f"symjax: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    program()
