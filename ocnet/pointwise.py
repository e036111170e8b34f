"""CasADi functions at many points at once, on numpy arrays whose axis 0 is the point."""

from __future__ import annotations

from functools import cached_property
from weakref import WeakKeyDictionary

import casadi as ca
import numpy as np

LARGEST = 4_000_000  # numbers that one mapped call may hold; more points are treated in portions
SMALL = 20_000  # numbers in calls that cost more to prepare than to make: they stay prepared
PREPARED = 64  # numbers of points, of each function, for which they do


class Pointwise:
    """A CasADi function evaluated at a fixed number of points in one call, without copies of its own.

    Parameters
    ----------
    function : casadi.Function
        Of dense inputs; each output is given by its structural nonzeros.
    points : int
        How many points each call treats.
    constants : mapping of int to ndarray
        Inputs by position that are the same at every point and in every call.
    """

    def __init__(
        self, function: ca.Function, points: int, constants: dict[int, np.ndarray] | None = None
    ) -> None:
        self.points, self._function, self._constants = points, function, constants
        self._buffer, self._run = function.map(points).buffer()
        sizes = [function.nnz_in(i) for i in range(function.n_in())]
        self._inputs = [np.zeros((points, n)) for n in sizes]
        self._outputs = [np.zeros((points, function.nnz_out(i))) for i in range(function.n_out())]
        for i, value in (constants or {}).items():
            self._inputs[i][:] = value
        fixed = set(constants or {})
        self._free = [i for i in range(len(sizes)) if i not in fixed]
        for i, array in enumerate(self._inputs):
            if array.size:
                self._buffer.set_arg(i, array.reshape(-1).data)  # pyright: ignore[reportCallIssue]
        for i, array in enumerate(self._outputs):
            if array.size:
                self._buffer.set_res(i, array.reshape(-1).data)  # pyright: ignore[reportCallIssue]

    def __call__(self, *arguments: np.ndarray | float) -> list[np.ndarray]:
        """Evaluate.

        Parameters
        ----------
        *arguments : array_like (points, n) or what broadcasts to it
            The inputs that are not constant, in order; one of shape (points,) is taken as (points, 1).

        Returns
        -------
        list of ndarray (points, nonzeros)
            One for each output; overwritten by the next call. NaN at points where CasADi gives up, as it does
            at a singular matrix.
        """
        for i, value in zip(self._free, arguments, strict=True):
            array = np.asarray(value)
            self._inputs[i][:] = (
                array[:, None] if array.ndim == 1 and self._inputs[i].shape[1] == 1 else array
            )
        self._run()
        if self._buffer.ret():  # what is left in the outputs is no answer
            self._one_by_one()
        return self._outputs

    def _one_by_one(self) -> None:
        """Evaluate point by point, so that those where CasADi gives up do not spoil the others."""
        for k in range(self.points):
            if self.points == 1:
                found = [np.nan] * len(self._outputs)
            else:
                found = self._single(*(self._inputs[i][k] for i in self._free))
            for array, value in zip(self._outputs, found, strict=True):
                array[k] = value

    @cached_property
    def _single(self) -> Pointwise:
        return Pointwise(self._function, 1, self._constants)


def scalar_operations(function: ca.Function) -> ca.Function:
    """Expand a function into scalar operations, where CasADi can: they are evaluated faster."""
    try:
        return function.expand()
    except RuntimeError:  # a person's external function, or an interpolant
        return function


def evaluate(function: ca.Function, *arguments: np.ndarray) -> list[np.ndarray]:
    """Evaluate a function at the points of (points, n) arrays -> list of new arrays (points, nonzeros).

    A one-dimensional argument holds for all points, except the first one, which is (points,): the time.
    """
    points, prepared = len(arguments[0]), _prepared.get(function)
    if prepared is None:
        _prepared[function] = prepared = Prepared(function)
    if 0 < points <= prepared.few:
        return prepared(function, points, arguments)
    portion = max(1, min(LARGEST // prepared.size, points))
    results = [np.empty((points, function.nnz_out(i))) for i in range(function.n_out())]
    mapped: Pointwise | None = None
    for start in range(0, points, portion):
        rows = slice(start, min(start + portion, points))
        if mapped is None or mapped.points != rows.stop - start:
            mapped = Pointwise(function, rows.stop - start)
        here = [a[rows] if i == 0 or a.ndim == 2 else a for i, a in enumerate(arguments)]
        for result, part in zip(results, mapped(*here), strict=True):
            result[rows] = part
    return results


class Prepared:
    """What calls of a function at few points leave behind for the next ones.

    Parameters
    ----------
    function : casadi.Function
        Not kept alive.

    Attributes
    ----------
    size : int
        How many numbers a point has.
    few : int
        So many points and fewer.
    """

    def __init__(self, function: ca.Function) -> None:
        inputs = sum(function.nnz_in(i) for i in range(function.n_in()))
        self.size = max(1, inputs + sum(function.nnz_out(i) for i in range(function.n_out())))
        self.few = (SMALL - function.sz_w()) // self.size
        self._ready: dict[int, Pointwise] = {}

    def __call__(
        self, function: ca.Function, points: int, arguments: tuple[np.ndarray, ...]
    ) -> list[np.ndarray]:
        """Evaluate; what is used is taken away meanwhile, as another thread or a callback may come."""
        mapped = self._ready.pop(points, None) or Pointwise(ca.Function(function), points)
        results = [part.copy() for part in mapped(*arguments)]
        if len(self._ready) >= PREPARED:
            self._ready.clear()
        self._ready[points] = mapped
        return results


_prepared: WeakKeyDictionary[ca.Function, Prepared] = WeakKeyDictionary()
