"""The errors that wrong input raises.

Every one is a `ValueError`, so callers need not know this module. A message says what was wrong, where (file, row, field
or operation) and what would be right. The command line prints it as `symjax: error: ...` and exits with code 2.
"""


class SymjaxError(ValueError):
    """Wrong input to symjax; the message is written for the person who gave it."""


class InputError(SymjaxError):
    """A file, an argument or an array has the wrong content, shape or type."""


class NotAGroupError(SymjaxError):
    """A set of operations does not close; the message names an offending pair."""


class DataError(SymjaxError):
    """A prepared data set or one row of a source file cannot be used."""


class ConfigError(SymjaxError):
    """A configuration has an unknown field or size, or a value that is not allowed."""


class WeightsError(SymjaxError):
    """Weights or a checkpoint are missing, damaged or made for something else."""
