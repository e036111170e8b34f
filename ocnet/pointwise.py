"""CasADi functions and interpolants at many points at once, on numpy arrays whose axis 0 is the point."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import casadi as ca
import numpy as np

from ocnet.trajectory import Interpolant

LARGEST = 4_000_000  # numbers that one mapped call may hold; more points are treated in portions


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
        self.points = points
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
                self._buffer.set_arg(i, memoryview(array.reshape(-1)))
        for i, array in enumerate(self._outputs):
            if array.size:
                self._buffer.set_res(i, memoryview(array.reshape(-1)))

    def __call__(self, *arguments: np.ndarray | float) -> list[np.ndarray]:
        """Evaluate.

        Parameters
        ----------
        *arguments : array_like (points, n) or what broadcasts to it
            The inputs that are not constant, in order; one of shape (points,) is taken as (points, 1).

        Returns
        -------
        list of ndarray (points, nonzeros)
            One for each output; overwritten by the next call.
        """
        for i, value in zip(self._free, arguments, strict=True):
            array = np.asarray(value)
            self._inputs[i][:] = (
                array[:, None] if array.ndim == 1 and self._inputs[i].shape[1] == 1 else array
            )
        self._run()
        return self._outputs


def evaluate(function: ca.Function, *arguments: np.ndarray) -> list[np.ndarray]:
    """Evaluate a function at the points of (points, n) arrays -> list of new arrays (points, nonzeros).

    A one-dimensional argument holds for all points, except the first one, which is (points,): the time.
    """
    points = len(arguments[0])
    each = sum(function.nnz_in(i) for i in range(function.n_in()))
    each += sum(function.nnz_out(i) for i in range(function.n_out()))
    portion = int(np.clip(LARGEST // max(each, 1), 1, max(points, 1)))
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


class Pieces:
    """An interpolant seen from the intervals of a mesh: its values at one relative place in all of them.

    Parameters
    ----------
    interpolant : Interpolant
        Polynomials, or a sequence (constant from each of its times to the next).
    breaks : ndarray (K + 1,)
        Ends of the intervals; none of them has an end of the interpolant's own intervals inside.
    """

    def __init__(self, interpolant: Interpolant, breaks: np.ndarray) -> None:
        middle = (breaks[:-1] + breaks[1:]) / 2
        inner = interpolant.breaks[1:-1]
        owner = np.searchsorted(inner, middle, side="right")
        count = interpolant.count[owner]
        self.shape = (len(middle), interpolant.values.shape[1])
        self._groups: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for m in np.unique(count):
            rows = np.flatnonzero(count == m)
            nodes = interpolant.first[owner[rows], None] + np.arange(m)
            places = (interpolant.time[nodes] - breaks[rows, None]) / np.diff(breaks)[rows, None]
            apart = places[:, :, None] - places[:, None, :] + np.eye(m)
            self._groups.append((rows, places, interpolant.values[nodes] / apart.prod(axis=2)[:, :, None]))

    def __call__(self, s: float) -> np.ndarray:
        """Return the values (K, n) at the relative place s in [0, 1] of every interval."""
        if len(self._groups) == 1:
            return np.matmul(_others(s - self._groups[0][1])[:, None, :], self._groups[0][2])[:, 0]
        result = np.empty(self.shape)
        for rows, places, scaled in self._groups:
            result[rows] = np.matmul(_others(s - places)[:, None, :], scaled)[:, 0]
        return result

    def one(self, k: int) -> Callable[[float], np.ndarray]:
        """Return interval k as a function s -> (n,)."""
        rows, places, scaled = next(group for group in self._groups if k in group[0])
        row = int(np.flatnonzero(rows == k)[0])
        nodes, table = places[row : row + 1], scaled[row]
        return lambda s: _others(s - nodes)[0] @ table


def _others(gaps: np.ndarray) -> np.ndarray:
    """Products (r, m) of all entries but one of each row of (r, m)."""
    ones = np.ones((len(gaps), 1))
    before = np.cumprod(np.hstack([ones, gaps[:, :-1]]), axis=1)
    after = np.cumprod(np.hstack([ones, gaps[:, :0:-1]]), axis=1)[:, ::-1]
    return before * after


def joint_breaks(pieces: Sequence[np.ndarray], start: float, end: float) -> np.ndarray:
    """Return the ends of intervals inside which none of several meshes has a break.

    Breaks that differ by rounding are merged; the first and the last are `start` and `end`.
    """
    slack = 1e-12 * max(abs(start), abs(end), end - start)
    inner = np.sort(np.concatenate([np.zeros(0), *pieces]))
    inner = inner[(inner > start + slack) & (inner < end - slack)]
    keep = np.diff(inner, prepend=start) > slack
    return np.concatenate([[start], inner[keep], [end]])
