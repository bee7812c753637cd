"""Merge `pip freeze` lists of clean environments into constraints.txt: python scripts/make_constraints.py 3.11=A 3.12=B.

A package with the same version everywhere is written once; any other gets a line per Python version. Only names and versions
are written, so the file says nothing about where packages came from.
"""

import sys
from pathlib import Path

HEADER = """\
# Versions that were tested together, on Python {versions}. Use: pip install -c constraints.txt -e '.[test]'
# Made by scripts/make_constraints.py from pip freeze of clean environments.
"""


def main(arguments: list[str]) -> None:
    """Read the lists and print the merged file."""
    frozen: dict[str, dict[str, str]] = {}
    versions = []
    for argument in arguments:
        python, path = argument.split("=", 1)
        versions.append(python)
        for line in Path(path).read_text().splitlines():
            if "==" in line and not line.startswith(("#", "-e")):
                name, version = line.strip().split("==", 1)
                frozen.setdefault(name, {})[python] = version
    print(HEADER.format(versions=" and ".join(versions)), end="")
    for name in sorted(frozen, key=str.lower):
        found = frozen[name]
        if len(found) == len(versions) and len(set(found.values())) == 1:
            print(f"{name}=={found[versions[0]]}")
        else:
            for python, version in found.items():
                print(f'{name}=={version} ; python_version {">=" if python == versions[-1] else "=="} "{python}"')


if __name__ == "__main__":
    main(sys.argv[1:])
