"""The command line `symjax`; see `symjax.cli.main`."""
