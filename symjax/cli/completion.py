"""`symjax completion SHELL`: a script by which bash or zsh completes commands, options and their choices.

    source <(symjax completion bash)        # in ~/.bashrc
    source <(symjax completion zsh)         # in ~/.zshrc
    symjax completion fish | source         # in ~/.config/fish/config.fish

The script is made from the parsers and asks nothing while you type.
"""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NamedTuple

SHELLS = ("bash", "zsh", "fish")


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes commands in a shell",
        epilog="in ~/.bashrc or ~/.zshrc: source <(symjax completion bash) or zsh; fish: symjax completion fish | source",
    )
    parser.add_argument("shell", choices=SHELLS)


class Words(NamedTuple):
    """What may follow a command.

    Attributes:
        options: its flags.
        choices: flag -> values.
        actions: names of its own subcommands.
    """

    options: list[str]
    choices: dict[str, list[str]]
    actions: list[str]


def words_of(parser: argparse.ArgumentParser) -> Words:
    """The flags of a parser and of its subcommands, and the values of those that have a choice."""
    options: list[str] = []
    choices: dict[str, list[str]] = {}
    actions: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                actions.append(name)
                below = words_of(inner)
                options += below.options
                choices |= below.choices
            continue
        flags = [flag for flag in action.option_strings if flag.startswith("--")]
        options += flags
        if action.choices and flags:
            choices |= {flag: [str(value) for value in action.choices] for flag in flags}
    return Words(sorted(set(options)), choices, actions)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from symjax.cli.main import build_parser

    found = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    every = {name: words_of(parser) for name, parser in found.choices.items()}
    print({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](every))
    return 0


def bash(every: dict[str, Words]) -> str:
    """For bash; files are completed where nothing else is known."""
    cases = []
    for name, words in every.items():
        inner = [
            f'      {flag}) COMPREPLY=($(compgen -W {shlex.quote(" ".join(values))} -- "$word")); return;;'
            for flag, values in sorted(words.choices.items())
        ]
        body = "\n".join(['    case "$before" in', *inner, "    esac"]) if inner else "    :"
        known = shlex.quote(" ".join([*words.actions, *words.options]))
        cases.append(f'  {name})\n{body}\n    COMPREPLY=($(compgen -W {known} -- "$word"));;')
    names = shlex.quote(" ".join([*every, "--help", "--version"]))
    return "\n".join(
        [
            "_symjax() {",
            '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]}"',
            "  COMPREPLY=()",
            f'  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W {names} -- "$word")); return; fi',
            '  case "$command" in',
            *cases,
            "  esac",
            "}",
            "complete -o default -o bashdefault -F _symjax symjax",
        ]
    )


def zsh(every: dict[str, Words]) -> str:
    """For zsh, which runs bash's."""
    return "autoload -Uz compinit bashcompinit\ncompinit -i\nbashcompinit\n" + bash(every)


def fish(every: dict[str, Words]) -> str:
    """For fish."""
    lines = [f"complete -c symjax -n __fish_use_subcommand -a {shlex.quote(' '.join(every))}"]
    for name, words in every.items():
        under = f"-n '__fish_seen_subcommand_from {name}'"
        if words.actions:
            lines.append(f"complete -c symjax {under} -a {shlex.quote(' '.join(words.actions))}")
        for flag in words.options:
            values = words.choices.get(flag)
            given = f" -x -a {shlex.quote(' '.join(values))}" if values else ""
            lines.append(f"complete -c symjax {under} -l {flag.removeprefix('--')}{given}")
    return "\n".join(lines)
