"""symjax: crystals generated from symmetry operations, in JAX.

This module owns only the version and the error class; importing it starts no device and reads no file. The parts are
imported by name: `symjax.ops` (one operation), `symjax.groups` (sets of them), `symjax.lattice`, `symjax.crystals`,
`symjax.data`, `symjax.models`, `symjax.train`, `symjax.evaluate`.
"""

from symjax import _beside
from symjax.errors import SymjaxError

__version__ = "0.1.0"
__all__ = ["SymjaxError", "__version__"]

_beside.install()
