"""From a request to crystals: what can be asked, drawing, realising, and what every system offers.

The package can be called, `symjax.generate(16, formula="SrTiO3")`: that is `symjax.facade.generate`.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """This package, which shares its name with the function that everybody wants first."""

    def __call__(self, *arguments: Any, **asked: Any) -> Any:
        """See `symjax.facade.generate`."""
        return importlib.import_module("symjax.facade").generate(*arguments, **asked)


sys.modules[__name__].__class__ = _Callable
