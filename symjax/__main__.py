"""`python -m symjax`: the command line where its script is not on the path."""

from symjax.cli.main import program

if __name__ == "__main__":
    program()
