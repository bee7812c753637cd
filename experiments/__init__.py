"""Programs that train and report; each is run as `python -m experiments.NAME` from the root of the repository."""
