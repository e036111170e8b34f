"""One-sided differences of any odd order on the nodes of a grid, and the residual that they leave.

Stencils of high order look back: a forward difference uses a node behind. Beside a concave kink, from which
paths part to both sides, that node belongs to the other branch of the value function. There stencils of order
2 can look ahead only, so that no branch feels the other one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from ocnet.methods.hjb.grid import Grid

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})

FULL, AHEAD, PLAIN = 0, 1, 2  # stencils of a node: of full order; of order 2, ahead only; of order 1
SHARP = 4.0  # times the bends two nodes away on both sides: a kink


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
    stencils : ndarray of int8 (size,)
        FULL, AHEAD or PLAIN at each node; FULL everywhere at first.
    """

    def __init__(self, grid: Grid, order: int) -> None:
        self.grid = grid
        self.order = order = min(order, min(grid.shape) - 1)
        self.stencils = np.zeros(grid.size, dtype=np.int8)
        # Tuples have lengths that the compiler knows: loops over axes and stencils are unrolled.
        self._nodes = np.zeros((grid.dimension, max(grid.shape)))
        for d, nodes in enumerate(grid.axes):
            self._nodes[d, : len(nodes)] = nodes
        strides = tuple(int(np.prod(grid.shape[d + 1 :])) for d in range(grid.dimension))
        lengths = ((0,) * 3, (0,) * (order + 1))
        self._tables = (strides, *lengths, *_low_tables(grid), *_tables(grid, order))

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
        return _sides(values, self.shape, self.stencils, *self._tables, first, last, walls)

    def residual(
        self, values: np.ndarray, drift: np.ndarray, stage: np.ndarray, rate: float, first: int = 0
    ) -> np.ndarray:
        """Return stage + drift·p − rate·v (count,), p from the side of the drift, from node `first` on."""
        return _residual(values, self.shape, self.stencils, *self._tables, drift, stage, rate, first)

    def kinks(self, values: np.ndarray, floor: float, first: int, last: int) -> np.ndarray:
        """Return FULL or AHEAD (last − first,): AHEAD beside concave kinks of grid values (size,).

        A kink is a bend that is sharper than those two nodes away on both sides along an axis.

        Parameters
        ----------
        values : ndarray (size,)
        floor : float
            Bends that move values by less than this are none.
        first, last : int
        """
        return _kinks(values, self.shape, self._tables[0], self._nodes, floor, first, last)


def _tables(grid: Grid, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where stencils start (2, n, most) and their weights (2, n, most, order + 1): back, forth.

    Of odd order they use a node behind for every two ahead; of even order they look ahead only.
    """
    n, most = grid.dimension, max(grid.shape)
    starts = np.zeros((2, n, most), dtype=np.int64)
    weights = np.zeros((2, n, most, order + 1))
    for d, nodes in enumerate(grid.axes):
        i = np.arange(len(nodes))
        back = (order + 1) // 2 if order % 2 else order
        for side, first in enumerate((i - back, i + back - order)):
            start = np.clip(first, 0, len(nodes) - order - 1)
            starts[side, d, i] = start
            stencil = nodes[start[:, None] + np.arange(order + 1)]
            weights[side, d, i] = derivative_weights(stencil, i - start)
    return starts, weights


def _low_tables(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the tables of AHEAD and of PLAIN, (2, …) each; of order 1 with a weight of 0 more."""
    ahead, narrow = _tables(grid, 2), _tables(grid, 1)
    starts, weights = narrow[0].copy(), np.zeros((*narrow[1].shape[:-1], 3))
    weights[..., :2] = narrow[1]
    for d, count in enumerate(grid.shape):
        over = starts[:, d] > count - 3  # the third node would lie outside
        weights[:, d][over] = np.roll(weights[:, d][over], 1, axis=-1)
        starts[:, d] -= over
    return np.stack([ahead[0], starts]), np.stack([ahead[1], weights])


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
    stencils: np.ndarray,
    strides: tuple[int, ...],
    stencil_low: tuple[int, ...],
    stencil: tuple[int, ...],
    starts_low: np.ndarray,
    weights_low: np.ndarray,
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
                if stencils[k]:
                    low, w = starts_low[stencils[k] - 1], weights_low[stencils[k] - 1]
                    p = _derivative(values, k, i, strides[d], d, side, low, w, stencil_low)
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
    stencils: np.ndarray,
    strides: tuple[int, ...],
    stencil_low: tuple[int, ...],
    stencil: tuple[int, ...],
    starts_low: np.ndarray,
    weights_low: np.ndarray,
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
                if stencils[k]:
                    low, w = starts_low[stencils[k] - 1], weights_low[stencils[k] - 1]
                    p = _derivative(values, k, i, strides[d], d, side, low, w, stencil_low)
                else:
                    p = _derivative(values, k, i, strides[d], d, side, starts, weights, stencil)
                total += f * p
        result[k - first] = total
        _advance(index, shape)
    return result


@_compiled
def _bend(values: np.ndarray, nodes: np.ndarray, k: int, j: int, stride: int) -> float:
    """Return by how much the slope falls at node j of an axis, which is node k of the grid."""
    before = (values[k] - values[k - stride]) / (nodes[j] - nodes[j - 1])
    return before - (values[k + stride] - values[k]) / (nodes[j + 1] - nodes[j])


@_compiled
def _kinks(
    values: np.ndarray,
    shape: np.ndarray,
    strides: tuple[int, ...],
    nodes: np.ndarray,
    floor: float,
    first: int,
    last: int,
) -> np.ndarray:
    n, index = len(strides), _index(first, shape)
    result = np.zeros(last - first, dtype=np.int8)
    for k in range(first, last):
        for d in range(n):
            for j in range(max(index[d] - 1, 3), min(index[d] + 2, shape[d] - 3)):
                here = k + (j - index[d]) * strides[d]
                bend = _bend(values, nodes[d], here, j, strides[d])
                if bend * (nodes[d, j + 1] - nodes[d, j]) > floor:
                    left = abs(_bend(values, nodes[d], here - 2 * strides[d], j - 2, strides[d]))
                    right = abs(_bend(values, nodes[d], here + 2 * strides[d], j + 2, strides[d]))
                    if bend > SHARP * max(left, right):
                        result[k - first] = AHEAD
        _advance(index, shape)
    return result
