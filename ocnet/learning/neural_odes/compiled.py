"""How the loops of this package are compiled, and what is run before they are.

Compiling them takes seconds once on a machine (numba keeps the result on disk), which is too long for
somebody who wants a few gradients. So the first gradients are computed by the same functions in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.extending import overload

# Without _nrt nothing may be allocated inside and reference counts are left alone: half the compilation time.
_OPTIONS: dict[str, Any] = {
    "nogil": True, "_nrt": False, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"},
    "no_cfunc_wrapper": True,
}  # fmt: skip
_njit: Any = njit  # whose annotations leave out some of its options
_F = TypeVar("_F", bound=Callable[..., Any])

kernel: Any = _njit(cache=True, **_OPTIONS)
"""Compile a function that is called from Python; its `py_func` is the same in plain Python."""


def loops_of(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Name the loops that kernels run in place of a function of whole arrays; in Python it stays as it is."""

    def name(loops: Callable[..., Any]) -> Callable[..., Any]:
        options = {**_OPTIONS, "no_cpython_wrapper": True}
        overload(function, jit_options=options, strict=False)(lambda *arguments: loops)  # pyright: ignore
        return loops

    return name


def part(function: _F) -> _F:
    """Let kernels call a function, which in Python stays as it is."""
    loops_of(function)(function)
    return function


@cache
def on_disk(function: Any) -> bool:
    """Whether an earlier process compiled a kernel (as its source is now) and numba kept it."""
    source = Path(function.py_func.__code__.co_filename)
    pattern = f"{source.stem}.{function.__name__}-*.nbc"
    return any(
        file.stat().st_mtime > source.stat().st_mtime
        for file in Path(function.stats.cache_path).glob(pattern)
    )


class Meanwhile:
    """Plain Python until so much time went into it that compiling is worth its while.

    Compiling takes four to six seconds. Whoever needs few gradients never waits for it, and whoever needs
    many loses `limit` at most. Loops that numba finds on the disk are used at once.

    Attributes
    ----------
    limit : float
        Seconds to spend in plain Python; 0 compiles at once. Plain Python and compiled loops differ in
        rounding: with 0, equal calls give equal bits whatever was called or compiled before.
    spent : float
        Seconds spent by this process, estimated from the number of instructions and not measured, so that
        every run changes over at the same call.
    """

    def __init__(self, limit: float) -> None:
        self.limit, self.spent = limit, 0.0

    def suffices(self, seconds: float, *kernels: Any) -> bool:
        """Whether plain Python may spend so many seconds for want of compiled kernels."""
        return self.spent + seconds < self.limit and not any(k.signatures or on_disk(k) for k in kernels)


meanwhile = Meanwhile(limit=1.0)
