"""Plain value iteration: semi-Lagrangian, monotone, slow; the reference that other schemes are measured by.

    v(x) ← min over u of  h ℓ(x, u) + (1 − ρh) v(x + h f(x, u)),   v multilinear between the nodes,

with the exact minimiser of the Hamiltonian at the one-sided differences of v, and steps h of about a cell.
Values travel a cell in each iteration, and errors fall by the factor 1 − ρh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.differences import strides_of
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.levels import Report
from ocnet.methods.hjb.scheme import Feedback, Scheme

MOST = 100_000  # iterations
REPORTED = 50
_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


def value_iteration(
    hamiltonian: Hamiltonian, grid: Grid, tolerance: float, report: Report | None = None, threads: int = 1
) -> tuple[np.ndarray, list[tuple[int, int, int, float]], float]:
    """Iterate from 0 until the distance to the fixed point is below the tolerance.

    Returns
    -------
    values : ndarray (size,)
    history : list of (0, 0, iteration, change)
    leak : float
        As for the policies of :class:`ocnet.methods.hjb.scheme.Scheme`.
    """
    scheme = Scheme(hamiltonian, grid, False, 1, threads)
    rate, values = hamiltonian.rate, np.zeros(grid.size)
    history: list[tuple[int, int, int, float]] = []
    leak, finest = 0.0, float(scheme.finest.min())
    nodes = _nodes(grid)
    for iteration in range(MOST):
        feedback = scheme.policy(values, scheme.monotone)
        fastest = max(float(np.abs(feedback.drift).max()), 1e-12)
        h = min(finest / fastest, 0.1 / rate)
        following = _advanced(scheme, nodes, values, feedback, h)
        change = float(np.abs(following - values).max())
        values, leak = following, feedback.leak
        history.append((0, 0, iteration, change))
        if report is not None and iteration % REPORTED == 0:
            report(iteration, float(values.max()), change)
        if change * (1 - rate * h) <= tolerance * rate * h * (1 + float(np.abs(values).max())):
            break
    return values, history, leak


def _advanced(
    scheme: Scheme, nodes: np.ndarray, values: np.ndarray, feedback: Feedback, h: float
) -> np.ndarray:
    result = np.empty_like(values)

    def advance(here: slice) -> None:
        drift, stage, x = feedback.drift[here], feedback.stage[here], scheme.points[here]
        result[here] = step(values, drift, stage, x, scheme.shape, nodes, h, scheme.rate)

    scheme.everywhere(advance, scheme.threads)
    return result


def _nodes(grid: Grid) -> np.ndarray:
    nodes = np.full((grid.dimension, max(grid.shape)), np.inf)
    for d, axis in enumerate(grid.axes):
        nodes[d, : len(axis)] = axis
    return nodes


@_compiled
def step(
    values: np.ndarray,
    drift: np.ndarray,
    stage: np.ndarray,
    points: np.ndarray,
    shape: np.ndarray,
    nodes: np.ndarray,
    h: float,
    rate: float,
) -> np.ndarray:
    """Return hℓ + (1 − ρh) v(x + h f) at some points, with v multilinear (and continued at the walls)."""
    n, strides, corners = shape.size, strides_of(shape), 1 << shape.size
    result, weight = np.empty_like(stage), np.empty(n)
    for k in range(stage.size):
        base = 0
        for d in range(n):
            x = points[k, d] + h * drift[k, d]
            low, high = 0, shape[d] - 1
            while high - low > 1:
                middle = (low + high) // 2
                if nodes[d, middle] <= x:
                    low = middle
                else:
                    high = middle
            w = (x - nodes[d, low]) / (nodes[d, low + 1] - nodes[d, low])
            weight[d] = min(max(w, 0.0), 1.0)
            base += low * strides[d]
        total = 0.0
        for corner in range(corners):
            w, j = 1.0, base
            for d in range(n):
                if (corner >> d) & 1:
                    w *= weight[d]
                    j += strides[d]
                else:
                    w *= 1.0 - weight[d]
            total += w * values[j]
        result[k] = h * stage[k] + (1.0 - rate * h) * total
    return result
