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
            return self._between(self.values[0], x)
        value, gradient = np.zeros(len(x)), np.zeros(x.shape)
        count = min(4, len(self.time))
        first = int(np.clip(np.searchsorted(self.time, t) - count // 2, 0, len(self.time) - count))
        nodes = self.time[first : first + count]
        for k in range(count):
            others = np.delete(nodes, k)
            weight = float(np.prod((t - others) / (nodes[k] - others)))
            if weight != 0.0:
                v, p = self._between(self.values[first + k], x)
                value += weight * v
                gradient += weight * p
        return value, gradient

    def _between(self, values: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slots = self.grid.slots
        value, gradient = self._tables[0](values[slots[0]], x)
        for table, slot in zip(self._tables[1:], slots[1:], strict=True):  # smaller boxes come later
            inside = np.flatnonzero(table.grid.contains(x))
            if len(inside):
                value[inside], gradient[inside] = table(values[slot], x[inside])
        return value, gradient
