"""One-sided differences of any odd order on the nodes of a grid, and the residual that they leave."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from ocnet.methods.hjb.grid import Grid

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


class Differences:
    """First derivatives of grid functions from stencils that lean to one side.

    Forward differences of order q use the nodes i − (q−1)/2 … i + (q+1)/2, backward ones their mirror
    image; near the ends of an axis the stencil is moved inside. Weights follow from the nodes, so that
    graded axes keep the order. Order 1 is the monotone scheme.

    Parameters
    ----------
    grid : Grid
    order : {1, 3, 5}

    Attributes
    ----------
    plain : ndarray of bool (size,)
        Nodes at which differences have order 1 nevertheless; none at first.
    """

    def __init__(self, grid: Grid, order: int) -> None:
        self.grid = grid
        self.order = order = min(order, min(grid.shape) - 1)
        self.plain = np.zeros(grid.size, dtype=np.bool_)
        # Tuples have lengths that the compiler knows: loops over axes and stencils are unrolled.
        strides = tuple(int(np.prod(grid.shape[d + 1 :])) for d in range(grid.dimension))
        lengths = ((0,) * 2, (0,) * (order + 1))
        self._tables = (strides, *lengths, *_tables(grid, 1), *_tables(grid, order))

    @cached_property
    def shape(self) -> np.ndarray:
        """Nodes along each axis (n,)."""
        return np.array(self.grid.shape, dtype=np.int64)

    def sides(self, values: np.ndarray, first: int, last: int, walls: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return backward and forward differences (last − first, n) at nodes first … last − 1.

        Parameters
        ----------
        values : ndarray (size,)
        first, last : int
        walls : bool
            Whether the differences out of the box are −∞ (backward) and ∞ (forward).
        """
        return _sides(values, self.shape, self.plain, *self._tables, first, last, walls)

    def residual(
        self, values: np.ndarray, drift: np.ndarray, stage: np.ndarray, rate: float, first: int = 0
    ) -> np.ndarray:
        """Return stage + drift·p − rate·v (count,), p from the side of the drift, from node `first` on."""
        return _residual(values, self.shape, self.plain, *self._tables, drift, stage, rate, first)


def _tables(grid: Grid, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where stencils start (2, n, most) and their weights (2, n, most, order + 1): back, forth."""
    n, most = grid.dimension, max(grid.shape)
    starts = np.zeros((2, n, most), dtype=np.int64)
    weights = np.zeros((2, n, most, order + 1))
    for d, nodes in enumerate(grid.axes):
        i = np.arange(len(nodes))
        for side, first in enumerate((i - (order + 1) // 2, i - (order - 1) // 2)):
            start = np.clip(first, 0, len(nodes) - order - 1)
            starts[side, d, i] = start
            stencil = nodes[start[:, None] + np.arange(order + 1)]
            weights[side, d, i] = derivative_weights(stencil, i - start)
    return starts, weights


def derivative_weights(nodes: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the weights (points, m) of the derivative at node number at (points,) of nodes (points, m)."""
    rows, m = np.arange(len(nodes)), nodes.shape[1]
    x = nodes[rows, at]
    weights = np.zeros_like(nodes)
    for j in range(m):
        value = np.ones(len(nodes))
        for k in range(m):
            if k != j:
                value *= np.where(k == at, 1.0, x - nodes[:, k]) / (nodes[:, j] - nodes[:, k])
        weights[:, j] = np.where(j == at, 0.0, value)
    weights[rows, at] = -weights.sum(axis=1)
    return weights


@_compiled
def _index(k: int, shape: np.ndarray) -> np.ndarray:
    index = np.empty(shape.size, dtype=np.int64)
    for d in range(shape.size - 1, -1, -1):
        index[d] = k % shape[d]
        k //= shape[d]
    return index


@_compiled
def strides_of(shape: np.ndarray) -> np.ndarray:
    """Return the steps of the flat index along each axis (n,)."""
    result = np.ones(shape.size, dtype=np.int64)
    for d in range(shape.size - 2, -1, -1):
        result[d] = result[d + 1] * shape[d + 1]
    return result


@_compiled
def _advance(index: np.ndarray, shape: np.ndarray) -> None:
    d = shape.size - 1
    index[d] += 1
    while d > 0 and index[d] == shape[d]:
        index[d] = 0
        d -= 1
        index[d] += 1


@_compiled
def _derivative(
    values: np.ndarray,
    k: int,
    i: int,
    stride: int,
    d: int,
    side: int,
    starts: np.ndarray,
    weights: np.ndarray,
    stencil: tuple[int, ...],
) -> float:
    total, here, j = 0.0, values[k], k + (starts[side, d, i] - i) * stride
    for m in range(len(stencil)):
        total += weights[side, d, i, m] * (values[j] - here)
        j += stride
    return total


@_compiled
def _sides(
    values: np.ndarray,
    shape: np.ndarray,
    plain: np.ndarray,
    strides: tuple[int, ...],
    stencil_1: tuple[int, ...],
    stencil: tuple[int, ...],
    starts_1: np.ndarray,
    weights_1: np.ndarray,
    starts: np.ndarray,
    weights: np.ndarray,
    first: int,
    last: int,
    walls: bool,
) -> tuple[np.ndarray, np.ndarray]:
    n, index = len(strides), _index(first, shape)
    minus, plus = np.empty((last - first, n)), np.empty((last - first, n))
    for k in range(first, last):
        for d in range(n):
            i = index[d]
            for side in range(2):
                if plain[k]:
                    p = _derivative(values, k, i, strides[d], d, side, starts_1, weights_1, stencil_1)
                else:
                    p = _derivative(values, k, i, strides[d], d, side, starts, weights, stencil)
                if side == 0:
                    minus[k - first, d] = p
                else:
                    plus[k - first, d] = p
            if walls and i == 0:
                minus[k - first, d] = -np.inf
            if walls and i == shape[d] - 1:
                plus[k - first, d] = np.inf
        _advance(index, shape)
    return minus, plus


@_compiled
def _residual(
    values: np.ndarray,
    shape: np.ndarray,
    plain: np.ndarray,
    strides: tuple[int, ...],
    stencil_1: tuple[int, ...],
    stencil: tuple[int, ...],
    starts_1: np.ndarray,
    weights_1: np.ndarray,
    starts: np.ndarray,
    weights: np.ndarray,
    drift: np.ndarray,
    stage: np.ndarray,
    rate: float,
    first: int,
) -> np.ndarray:
    n, index = len(strides), _index(first, shape)
    result = np.empty(len(stage))
    for k in range(first, first + len(stage)):
        total = stage[k - first] - rate * values[k]
        for d in range(n):
            f = drift[k - first, d]
            if f != 0.0:
                i, side = index[d], 1 if f > 0.0 else 0
                if plain[k]:
                    p = _derivative(values, k, i, strides[d], d, side, starts_1, weights_1, stencil_1)
                else:
                    p = _derivative(values, k, i, strides[d], d, side, starts, weights, stencil)
                total += f * p
        result[k - first] = total
        _advance(index, shape)
    return result
