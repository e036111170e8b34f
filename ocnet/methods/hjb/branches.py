"""Grid functions beside concave kinks, from the nodes of one branch.

A value function is the least of several smooth ones, one for each kind of path; where two are equal it has a
concave kink. A polynomial through nodes of both branches is wrong by the size of the kink, and so is its
gradient. Where a kink stands clear, each branch is continued from its own side, by less than a cell, and the
least counts (Harten's subcell resolution). Where branches cannot be told apart the polynomial stays.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from scipy.ndimage import binary_dilation

from ocnet.methods.hjb.differences import Differences, strides_of
from ocnet.methods.hjb.grid import Grid

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})

NODES = 4  # of a cubic along an axis
SHIFTS = np.array([-1, -2, 0, -3, 1])  # of its first node, from the one below a point
MOST_AXES = 3  # on which blocks of nodes are compared; beyond, there are too many
REACH = 2  # nodes around a kink that polynomials around a point would use
CLEAN, CLEAR = 60.0, 5.0  # times smoother than the roughest block: made of one branch, and nearly so
BEND = 1e-7  # of the values, relative to 1 + the largest: bends that are smaller are no kinks


class Branches:
    """Evaluation beside the concave kinks of one grid function.

    Parameters
    ----------
    grid : Grid
    values : ndarray (size,)
    """

    def __init__(self, grid: Grid, values: np.ndarray) -> None:
        self.grid, self.values = grid, values
        self._floor = BEND * (1.0 + float(np.abs(values).max()))

    @cached_property
    def near(self) -> np.ndarray:
        """Which nodes (size,) are near a kink."""
        kinks = Differences(self.grid, 1).kinks(self.values, self._floor, 0, self.grid.size) != 0
        if not kinks.any() or self.grid.dimension > MOST_AXES:
            return np.zeros(self.grid.size, dtype=np.bool_)
        box = np.ones((3,) * self.grid.dimension)
        return binary_dilation(kinks.reshape(self.grid.shape), box, REACH).reshape(-1)

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Shape, nodes (n, most), blocks (choices, n) by their shifts, and the corners of a cell in each.

        Blocks that hold all corners come first: these are the nodes that a polynomial around a point uses.
        """
        n, shape = self.grid.dimension, np.array(self.grid.shape, dtype=np.int64)
        nodes = np.full((n, shape.max()), np.inf)
        for d, axis in enumerate(self.grid.axes):
            nodes[d, : shape[d]] = axis
        choices = np.stack(np.unravel_index(np.arange(len(SHIFTS) ** n), (len(SHIFTS),) * n), axis=1)
        corner = np.stack(np.unravel_index(np.arange(2**n), (2,) * n), axis=1)
        holds = np.stack([SHIFTS <= 0, SHIFTS > 1 - NODES], axis=1)  # the node below, and the one above
        beyond = (SHIFTS > 0) | (SHIFTS <= 1 - NODES)
        choices = choices[np.argsort(beyond[choices].any(axis=1), kind="stable")]
        inside = holds[choices[:, None, :], corner[None]].all(axis=2)
        return shape, nodes, choices, (inside * 2 ** np.arange(2**n, dtype=np.uint64)).sum(axis=1)

    def improve(self, x: np.ndarray, value: np.ndarray, gradient: np.ndarray) -> None:
        """Replace what polynomials gave that know nothing of kinks, in place, where one branch is told.

        Parameters
        ----------
        x : ndarray (points, n)
        value, gradient : ndarray (points,), (points, n)
        """
        pairs = zip(self.grid.axes, x.T, strict=True)
        below = [np.clip(np.searchsorted(a, y, "right") - 1, 0, len(a) - 2) for a, y in pairs]
        chosen = np.flatnonzero(self.near[np.ravel_multi_index(tuple(below), self.grid.shape)])
        if len(chosen):
            points, first = np.ascontiguousarray(x[chosen]), np.stack(below, axis=1)[chosen]
            v, p = value[chosen], gradient[chosen]
            _improve(self.values, *self._tables, SHIFTS, self._floor, points, first, v, p)
            value[chosen], gradient[chosen] = v, p


@_compiled
def _fill(nodes: np.ndarray, x: float, low: float, high: float, weights: np.ndarray) -> None:
    """Fill the weights of a cubic (5, NODES): value and slope at x, third difference, values at two nodes."""
    width = nodes[NODES - 1] - nodes[0]
    for j in range(NODES):
        below, value, slope, left, right = 1.0, 1.0, 0.0, 1.0, 1.0
        for m in range(NODES):
            if m != j:
                below *= nodes[j] - nodes[m]
                slope = slope * (x - nodes[m]) + value
                value *= x - nodes[m]
                left *= low - nodes[m]
                right *= high - nodes[m]
        weights[0, j], weights[1, j], weights[2, j] = value / below, slope / below, width**3 / below
        weights[3, j], weights[4, j] = left / below, right / below


@_compiled
def _roughness(
    values: np.ndarray,
    base: int,
    offsets: np.ndarray,
    steps: np.ndarray,
    weights: np.ndarray,
    choice: np.ndarray,
) -> float:
    """Return the largest third difference along a line of a block of nodes that begins at node `base`."""
    result = 0.0
    for d in range(len(steps)):
        w0, w1, w2, w3 = weights[d, choice[d], 2]
        for m in range(0, len(offsets), NODES * steps[d]):
            for line in range(m, m + steps[d]):
                third = w0 * values[base + offsets[line]] + w1 * values[base + offsets[line + steps[d]]]
                third += w2 * values[base + offsets[line + 2 * steps[d]]]
                third += w3 * values[base + offsets[line + 3 * steps[d]]]
                result = max(result, abs(third))
    return result


@_compiled
def _at(
    values: np.ndarray, base: int, offsets: np.ndarray, steps: np.ndarray, weights: np.ndarray,
    choice: np.ndarray, axis: int,
) -> float:  # fmt: skip
    """Return the value of the tensor product of cubics, or its slope along an axis (−1: none)."""
    result: Any = 0.0
    for m in range(len(offsets)):
        weight = 1.0
        for d in range(len(steps)):
            weight *= weights[d, choice[d], 1 if d == axis else 0, (m // steps[d]) % NODES]
        result += weight * values[base + offsets[m]]
    return result


@_compiled
def _nearest(nodes: np.ndarray, below: np.ndarray, x: np.ndarray) -> int:
    """Return the number of the corner of the cell above nodes `below` that is nearest to a point."""
    corner = 0
    for d in range(len(x)):
        i = below[d]
        corner = 2 * corner + (x[d] - nodes[d, i] > nodes[d, i + 1] - x[d])
    return corner


@_compiled
def _told(rough: np.ndarray, corners: np.ndarray, nearest: int) -> bool:
    """Whether all corners of the cell are in blocks of nearly one branch, the nearest one in a clean one."""
    known = clean = np.uint64(0)
    for c in range(len(rough)):
        if rough[c] * CLEAR < rough.max():
            known |= corners[c]
        if rough[c] * CLEAN < rough.max():
            clean |= corners[c]
    return known == corners[0] and (clean >> np.uint64(nearest)) & np.uint64(1) == np.uint64(1)


@_compiled
def _least(
    values: np.ndarray, base: np.ndarray, offsets: np.ndarray, steps: np.ndarray, weights: np.ndarray,
    choices: np.ndarray, rough: np.ndarray, corners: np.ndarray,
) -> int:  # fmt: skip
    """Return the block whose branch is least beyond doubt, −1 if that one is not clean.

    If a clean block holds all corners no kink runs through the cell, and nothing has to be continued.
    """
    most, best = rough.max(), -1
    for c in range(len(choices)):
        if corners[c] == corners[0] and rough[c] * CLEAN < most and (best < 0 or rough[c] < rough[best]):
            best = c
    if best >= 0:
        return best
    best = int(np.argmin(rough))
    least = _at(values, base[best], offsets, steps, weights, choices[best], -1)
    sure = least - rough[best]
    for c in range(len(choices)):
        if rough[c] * CLEAR < most:
            v = _at(values, base[c], offsets, steps, weights, choices[c], -1)
            if v < least and v + rough[c] < sure:
                best, least = c, v
    return best if rough[best] * CLEAN < most else -1


@_compiled
def _above(
    values: np.ndarray, base: int, offsets: np.ndarray, steps: np.ndarray, weights: np.ndarray,
    choice: np.ndarray, cell: int, strides: np.ndarray, slack: float,
) -> bool:  # fmt: skip
    """Whether a branch passes below no corner of the cell from node `cell` on, where another one is least."""
    n = len(steps)
    for corner in range(2**n):
        there, result = cell, 0.0
        for d in range(n):
            there += (corner >> d) % 2 * strides[d]
        for m in range(len(offsets)):
            weight = 1.0
            for d in range(n):
                weight *= weights[d, choice[d], 3 + (corner >> d) % 2, (m // steps[d]) % NODES]
            result += weight * values[base + offsets[m]]
        if result < values[there] - slack:
            return False
    return True


@_compiled
def _improve(
    values: np.ndarray,
    shape: np.ndarray,
    nodes: np.ndarray,
    choices: np.ndarray,
    corners: np.ndarray,
    shifts: np.ndarray,
    floor: float,
    x: np.ndarray,
    below: np.ndarray,
    value: np.ndarray,
    gradient: np.ndarray,
) -> None:
    points, n = x.shape
    strides, steps = strides_of(shape), strides_of(np.full(n, NODES))
    offsets = np.zeros(NODES**n, dtype=np.int64)  # of the nodes of a block, in C order
    for m in range(len(offsets)):
        for d in range(n):
            offsets[m] += (m // steps[d]) % NODES * strides[d]
    first, weights = np.empty((n, len(shifts)), dtype=np.int64), np.empty((n, len(shifts), 5, NODES))
    base, rough = np.empty(len(choices), dtype=np.int64), np.empty(len(choices))
    inner = (corners == corners[0]).sum()
    for k in range(points):
        for d in range(n):
            for s in range(len(shifts)):
                i = first[d, s] = min(max(below[k, d] + shifts[s], 0), shape[d] - NODES)
                low, high = nodes[d, below[k, d]], nodes[d, below[k, d] + 1]
                _fill(nodes[d, i : i + NODES], x[k, d], low, high, weights[d, s])
        for c in range(len(choices)):
            if c == inner and rough[:c].max() <= floor:
                break
            base[c] = 0
            for d in range(n):
                base[c] += first[d, choices[c, d]] * strides[d]
            rough[c] = _roughness(values, base[c], offsets, steps, weights, choices[c])
        if rough[:inner].max() > floor and _told(rough, corners, _nearest(nodes, below[k], x[k])):
            best = _least(values, base, offsets, steps, weights, choices, rough, corners)
            cell, slack = (below[k] * strides).sum(), rough[best]
            if best >= 0 and _above(
                values, base[best], offsets, steps, weights, choices[best], cell, strides, slack
            ):
                value[k] = _at(values, base[best], offsets, steps, weights, choices[best], -1)
                for d in range(n):
                    gradient[k, d] = _at(values, base[best], offsets, steps, weights, choices[best], d)
