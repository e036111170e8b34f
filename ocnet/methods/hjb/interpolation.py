"""Grid functions between the nodes: piecewise cubic along every axis, with a continuous gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from scipy.sparse import csr_matrix

from ocnet.methods.hjb.differences import derivative_weights, strides_of
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.threads import available, each

WIDTH = 6  # nodes that a value along one axis depends on
WORK = 200_000  # values that are read for one portion of points
NOTHING = 1e-14  # weights that are left out
_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


class Interpolation:
    """Tensor products of cubic Hermite polynomials whose slopes are central differences of order 4.

    Values are accurate to order 4, gradients to order 3; both are continuous.

    Parameters
    ----------
    grid : Grid
    threads : int, optional
        For many points; all cores if left out. No result depends on it.
    """

    def __init__(self, grid: Grid, threads: int | None = None) -> None:
        self.grid = grid
        self.threads = available() if threads is None else threads
        self._portion = max(1, WORK // WIDTH**grid.dimension)
        self.shape = np.array(grid.shape, dtype=np.int64)
        n, most = grid.dimension, max(grid.shape)
        self.nodes = np.full((n, most), np.inf)
        self.slopes = np.zeros((n, most, 5))
        for d, nodes in enumerate(grid.axes):
            m = len(nodes)
            self.nodes[d, :m] = nodes
            start = np.clip(np.arange(m) - 2, 0, m - 5)
            stencil = nodes[start[:, None] + np.arange(5)]
            self.slopes[d, :m] = derivative_weights(stencil, np.arange(m) - start)

    def __call__(self, values: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values (points,) and gradients (points, n) at points x (points, n) inside the box."""
        result, gradient = np.empty(len(x)), np.empty((len(x), self.grid.dimension))

        def part(number: int) -> None:
            here = slice(number * self._portion, (number + 1) * self._portion)
            points = np.ascontiguousarray(x[here])
            result[here], gradient[here] = _evaluate(values, self.shape, self.nodes, self.slopes, points)

        each(part, -(-len(x) // self._portion), self.threads)
        return result, gradient

    def onto(self, values: np.ndarray, grid: Grid) -> np.ndarray:
        """Return the values (size,) at the nodes of another grid on the same box."""
        result = values.reshape(self.grid.shape)
        for d, wanted in enumerate(grid.axes):
            first, weights = _weights_at(wanted, self.nodes[d], self.slopes[d], int(self.shape[d]))
            columns = first[:, None] + np.arange(WIDTH)
            rows = np.repeat(np.arange(len(wanted)), WIDTH)
            size = (len(wanted), len(self.grid.axes[d]))
            matrix = csr_matrix((weights.reshape(-1), (rows, columns.reshape(-1))), shape=size)
            moved = np.moveaxis(result, d, 0)
            flat = np.ascontiguousarray(moved).reshape(len(self.grid.axes[d]), -1)
            product = matrix @ flat
            result = np.moveaxis(product.reshape(len(wanted), *moved.shape[1:]), 0, d)
        return np.ascontiguousarray(result).reshape(-1)


class Transfer:
    """The linear map from values at the nodes of one grid to those at nodes of another, inside its box.

    Nodes lie on lines along the axes, so that weights along each axis are enough: nothing is stored for the
    products of weights, up to 6ⁿ at a node.

    Parameters
    ----------
    source : Grid
    target : Grid
    nodes : ndarray of int (m,)
        Flat numbers of the nodes of `target`, all of them inside the box of `source`.
    linear : bool
        Whether to interpolate linearly along each axis, which preserves order; else as
        :class:`Interpolation` does.
    """

    def __init__(self, source: Grid, target: Grid, nodes: np.ndarray, linear: bool) -> None:
        n, most = target.dimension, max(target.shape)
        self.nodes, self.shape = nodes, np.array(target.shape, dtype=np.int64)
        self.size = np.array(source.shape, dtype=np.int64)
        self.first = np.zeros((n, most), dtype=np.int64)
        self.count = np.zeros((n, most), dtype=np.int64)
        self.weights = np.zeros((n, most, 2 if linear else WIDTH))
        table = Interpolation(source)
        for d, x in enumerate(target.axes):
            first, w = (
                _linear_at(x, source.axes[d])
                if linear
                else _weights_at(x, table.nodes[d], table.slopes[d], source.shape[d])
            )
            used = np.abs(w) > NOTHING  # one weight where nodes coincide
            start, end = used.argmax(axis=1), w.shape[1] - used[:, ::-1].argmax(axis=1)
            self.first[d, : len(x)], self.count[d, : len(x)] = first + start, end - start
            for i in range(len(x)):
                self.weights[d, i, : end[i] - start[i]] = w[i, start[i] : end[i]]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return values (m,) from those at all nodes (size,), in their precision, double or single."""
        result = np.empty(len(self.nodes), dtype=values.dtype)
        _transfer(values, self.nodes, self.shape, self.size, self.first, self.count, self.weights, result)
        return result


def _linear_at(x: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
    s = np.clip((x - nodes[first]) / (nodes[first + 1] - nodes[first]), 0.0, 1.0)
    return first, np.stack([1 - s, s], axis=1)


@_compiled
def _weights(
    x: float, nodes: np.ndarray, slopes: np.ndarray, count: int, w: np.ndarray, dw: np.ndarray
) -> int:
    """Fill the weights of the value and of its derivative; return the first node of the stencil."""
    low, high = 0, count - 1
    while high - low > 1:
        middle = (low + high) // 2
        if nodes[middle] <= x:
            low = middle
        else:
            high = middle
    i, h = low, nodes[low + 1] - nodes[low]
    s = min(max((x - nodes[i]) / h, 0.0), 1.0)
    first = min(max(i - 2, 0), count - WIDTH)
    for m in range(WIDTH):
        w[m] = 0.0
        dw[m] = 0.0
    w[i - first] += (1.0 + 2.0 * s) * (1.0 - s) ** 2
    w[i + 1 - first] += s * s * (3.0 - 2.0 * s)
    dw[i - first] -= 6.0 * s * (1.0 - s) / h
    dw[i + 1 - first] += 6.0 * s * (1.0 - s) / h
    left, right = s * (1.0 - s) ** 2 * h, -s * s * (1.0 - s) * h
    dleft, dright = (1.0 - s) * (1.0 - 3.0 * s), s * (3.0 * s - 2.0)
    for side in range(2):
        node = i + side
        start = min(max(node - 2, 0), count - 5) - first
        a, da = (left, dleft) if side == 0 else (right, dright)
        for m in range(5):
            w[start + m] += a * slopes[node, m]
            dw[start + m] += da * slopes[node, m]
    return first


@_compiled
def _weights_at(x: np.ndarray, nodes: np.ndarray, slopes: np.ndarray, count: int) -> Any:
    first, weights = np.empty(len(x), dtype=np.int64), np.empty((len(x), WIDTH))
    unused = np.empty(WIDTH)
    for k in range(len(x)):
        first[k] = _weights(x[k], nodes, slopes, count, weights[k], unused)
    return first, weights


@_compiled
def _evaluate(
    values: np.ndarray, shape: np.ndarray, nodes: np.ndarray, slopes: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    points, n = x.shape
    strides = strides_of(shape)
    result, gradient = np.empty(points), np.empty((points, n))
    w, dw = np.empty((n, WIDTH)), np.empty((n, WIDTH))
    index, value_of = np.zeros(n, dtype=np.int64), np.empty(n + 1)
    slopes_of = np.empty((n + 1, n))
    for k in range(points):
        base = 0
        for d in range(n):
            base += strides[d] * _weights(x[k, d], nodes[d], slopes[d], shape[d], w[d], dw[d])
            index[d] = 0
        # Sums over the last axes first: value_of[d] and slopes_of[d] collect what axes d, d + 1, … give.
        value_of[:] = 0.0
        slopes_of[:] = 0.0
        while index[0] < WIDTH:
            offset = base
            for d in range(n - 1):
                offset += index[d] * strides[d]
            total, slope = 0.0, 0.0
            for m in range(WIDTH):
                total += w[n - 1, m] * values[offset + m]
                slope += dw[n - 1, m] * values[offset + m]
            level = n - 1
            value_of[level] = total
            for e in range(n):
                slopes_of[level, e] = 0.0
            slopes_of[level, n - 1] = slope
            if n == 1:
                break
            while level > 0:
                up, m = level - 1, index[level - 1]
                value_of[up] += w[up, m] * value_of[level]
                for e in range(level, n):
                    slopes_of[up, e] += w[up, m] * slopes_of[level, e]
                slopes_of[up, up] += dw[up, m] * value_of[level]
                value_of[level] = 0.0
                for e in range(n):
                    slopes_of[level, e] = 0.0
                index[up] += 1
                if index[up] < WIDTH or up == 0:
                    break
                index[up] = 0
                level = up
        result[k] = value_of[0]
        for e in range(n):
            gradient[k, e] = slopes_of[0, e]
    return result, gradient


@njit(cache=True, nogil=True, error_model="numpy")
def _transfer(
    values: np.ndarray,
    nodes: np.ndarray,
    shape: np.ndarray,
    size: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
    weights: np.ndarray,
    result: np.ndarray,
) -> None:
    last, strides, own = shape.size - 1, strides_of(size), strides_of(shape)
    # Of the line along the last axis: where its stencils are, and the products of the weights across it.
    offsets = np.zeros(WIDTH**last, dtype=np.int64)
    products = np.ones(WIDTH**last)
    line, terms = -1, 1
    for row in range(len(nodes)):
        k = nodes[row]
        if k // shape[last] != line:
            line, terms, offsets[0], products[0] = k // shape[last], 1, 0, 1.0
            for d in range(last):
                i = (k // own[d]) % shape[d]
                many = count[d, i]
                for c in range(terms - 1, -1, -1):
                    offset, product = offsets[c] + first[d, i] * strides[d], products[c]
                    for m in range(many - 1, -1, -1):
                        offsets[c * many + m] = offset + m * strides[d]
                        products[c * many + m] = product * weights[d, i, m]
                terms *= many
        i = k % shape[last]
        total = result.dtype.type(0)
        for c in range(terms):
            start, product = offsets[c] + first[last, i], products[c]
            for m in range(count[last, i]):
                total += result.dtype.type(product * weights[last, i, m]) * values[start + m]
        result[row] = total
