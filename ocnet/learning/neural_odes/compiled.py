"""How the loops of this package are compiled, and how the same loops run before they are.

Compiling them takes seconds once on a machine (numba keeps the result on disk), which is too long for
somebody who wants one gradient. So a first gradient is computed by the plain Python of the very same
functions.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from numba import njit

# Without _nrt nothing may be allocated inside and reference counts are left alone: half the compilation time.
_njit: Any = njit  # whose annotations leave out some of its options
compiled: Any = _njit(
    cache=True, nogil=True, _nrt=False, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)

_plain: dict[Any, Callable[..., Any]] = {}


def in_plain_python(function: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Name what runs in place of a function where loops are not compiled: the same on whole arrays."""

    def name(plain: Callable[..., None]) -> Callable[..., None]:
        _plain[function] = plain
        return plain

    return name


def interpreted(function: Any) -> Callable[..., Any]:
    """Return a compiled function, and all compiled functions that it calls, as plain Python."""
    if function not in _plain:
        source = function.py_func
        names = dict(source.__globals__)
        for name in source.__code__.co_names:
            if hasattr(names.get(name), "py_func"):
                names[name] = interpreted(names[name])
        _plain[function] = FunctionType(source.__code__, names, source.__name__)
    return _plain[function]
