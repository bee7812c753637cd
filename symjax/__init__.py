"""symjax: crystals generated from symmetry operations, in JAX.

The everyday names stand here and are found on first use (`symjax.facade` documents them, with an example each): `space_group`,
`parse`, `close`, `identify`, `subgroups`, `wyckoff_positions`, `orbit`, `site_symmetry`; `read`, `write`, `symmetry`, `load`,
`to_pymatgen`, `to_ase`; `generate`, `log_likelihood`, `relax`. Importing this module starts no device. The parts are
imported by name: `symjax.ops` (one operation), `symjax.groups` (sets of them), `symjax.lattice`, `symjax.crystals`,
`symjax.data`, `symjax.models`, `symjax.train`, `symjax.evaluate`.
"""

from typing import TYPE_CHECKING, Any

from symjax import _beside, _namesake
from symjax.errors import SymjaxError

if TYPE_CHECKING:
    from symjax.facade import (
        close,
        identify,
        load,
        log_likelihood,
        orbit,
        parse,
        read,
        relax,
        site_symmetry,
        space_group,
        subgroups,
        symmetry,
        to_ase,
        to_pymatgen,
        write,
        wyckoff_positions,
    )

__version__ = "0.1.0"
__all__ = [
    "SymjaxError",
    "__version__",
    "close",
    "generate",
    "identify",
    "load",
    "log_likelihood",
    "orbit",
    "parse",
    "read",
    "relax",
    "site_symmetry",
    "space_group",
    "subgroups",
    "symmetry",
    "to_ase",
    "to_pymatgen",
    "write",
    "wyckoff_positions",
]

_beside.install()
_namesake.warn()


def __getattr__(name: str) -> Any:
    """The names of `symjax.facade`; `generate` is a package that can be called."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module 'symjax' has no attribute {name!r}")
    import importlib

    if name == "generate":
        return importlib.import_module("symjax.generate")
    return getattr(importlib.import_module("symjax.facade"), name)


def __dir__() -> list[str]:
    """What there is."""
    return sorted({*globals(), *__all__})
