"""Grid functions at one time or several, evaluated between nodes and times, in the finest patch at hand."""

from __future__ import annotations

import numpy as np

from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation


class Slices:
    """Values on a grid, at no particular time or at several.

    Parameters
    ----------
    grid : Grid
    values : ndarray (M, total)
        On all patches of the grid.
    time : ndarray (M,), optional
        Ascending; left out for one stationary slice. Between the times a cubic runs through the nearest four.
    """

    def __init__(self, grid: Grid, values: np.ndarray, time: np.ndarray | None = None) -> None:
        self.grid, self.values, self.time = grid, values, time
        self._tables = [Interpolation(patch) for patch in grid.patches]

    def at(self, t: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values (points,) and gradients (points, n) at one time and states (points, n) in the box."""
        if self.time is None:
            return self._between(0, x)
        return self._among(np.arange(len(self.time)), t, x)

    def gap(self, t: float, x: np.ndarray) -> np.ndarray:
        """Return by how much values (points,) change if every other time is left out, the ends kept."""
        if self.time is None:
            return np.zeros(len(x))
        last, value = len(self.time) - 1, self.at(t, x)[0]
        halves = [np.unique([0, *range(first, last, 2), last]) for first in (1, 2)]
        return np.max([np.abs(self._among(half, t, x)[0] - value) for half in halves], axis=0)

    def _among(self, numbers: np.ndarray, t: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate a cubic through those four of the slices of these numbers that are nearest."""
        assert self.time is not None
        value, gradient = np.zeros(len(x)), np.zeros(x.shape)
        time, count = self.time[numbers], min(4, len(numbers))
        first = int(np.clip(np.searchsorted(time, t) - count // 2, 0, len(time) - count))
        nodes = time[first : first + count]
        for k in range(count):
            others = np.delete(nodes, k)
            weight = float(np.prod((t - others) / (nodes[k] - others)))
            if weight != 0.0:
                v, p = self._between(int(numbers[first + k]), x)
                value += weight * v
                gradient += weight * p
        return value, gradient

    def _between(self, number: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = np.full(len(x), np.nan), np.full(x.shape, np.nan)
        for table, slot in zip(self._tables, self.grid.slots, strict=True):
            inside = np.flatnonzero(table.grid.contains(x))  # smaller boxes come later
            if len(inside):
                value[inside], gradient[inside] = table(self.values[number][slot], x[inside])
        return value, gradient
