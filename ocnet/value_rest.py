"""Where the closed loop of a value function rests: sinks, sources and saddles of its flow."""

from __future__ import annotations

from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import root

from ocnet.errors import ProblemError
from ocnet.value_function import ValueFunction

NODES = (2001, 241, 41)  # of the lattice that is searched, along each axis, by the number of states
APART = 1e-3  # of the box: points that are closer are one
STILL = 1e-7  # speed that counts as none, relative to the largest on the lattice
DIRECTIONS = 24
RADIUS = 2.0  # cells of the grid around a point that say what it is
LASTING = 0.7  # share of the rates that is left at twice that radius; it is 1 in the limit, 1/2 across a jump


class RestPoint(NamedTuple):
    """A state (n,) at which the closed loop rests, what it is, and growth rates (n,) around it, per time."""

    x: np.ndarray
    kind: Literal["sink", "source", "saddle"]
    growth: np.ndarray


def rest_points(value: ValueFunction) -> list[RestPoint]:
    """Return the equilibria of the flow ẋ = H_p(x, ∇v(x)) inside the grid, up to three states.

    Each component of the flow changes its sign in a cell around an equilibrium; from there Newton's method
    finds it. The growth rates are the real parts of the eigenvalues of the linear flow that fits best on a
    circle (a sphere) of two grid cells: at an unstable equilibrium the flow has a kink. Equilibria closer to
    each other than a cell of the search (1/240 of the box for two states, 1/40 for three) may be missed, and
    those within two cells of a ridge.

    Parameters
    ----------
    value : ValueFunction
        Stationary, in continuous time, with its problem.

    Returns
    -------
    list of RestPoint
        Sorted by the first state.

    Raises
    ------
    ProblemError
        In discrete time, on a finite horizon, without the problem, or for more than three states.
    """
    n = value.dimension
    if value.discrete or value.time is not None or n > len(NODES):
        horizon = "a discrete" if value.discrete else "an infinite" if value.time is None else "a finite"
        raise ProblemError(
            f"Rest points of '{value.name}': it has {n} states and {horizon} horizon; expected at most "
            f"{len(NODES)} states, an infinite horizon and continuous time."
        )
    low, high = np.array(value.grid.lower), np.array(value.grid.upper)
    axes = [np.linspace(a, b, NODES[n - 1]) for a, b in zip(low, high, strict=True)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    speeds = flow(value, lattice.reshape(-1, n)).reshape(lattice.shape)
    corners = [tuple(slice(s, s - 1 if s == 0 else None) for s in side) for side in product((0, 1), repeat=n)]
    least = np.min([speeds[c] for c in corners], axis=0)
    most = np.max([speeds[c] for c in corners], axis=0)
    cells = np.argwhere(((least <= 0) & (most >= 0)).all(axis=-1))
    width = (high - low) / (NODES[n - 1] - 1)
    scale, found = float(np.abs(speeds).max()), list[np.ndarray]()
    for cell in cells:
        start = low + (cell + 0.5) * width
        answer = root(lambda x: flow(value, np.clip(x, low, high)[None, :])[0], start, tol=1e-12)
        x = np.asarray(answer.x, dtype=float)
        speed = np.abs(flow(value, np.clip(x, low, high)[None, :])).max()
        near = (np.abs(x - start) <= 1.5 * width).all() and ((x >= low) & (x <= high)).all()
        known = any((np.abs(x - other) <= APART * (high - low)).all() for other in found)
        if near and speed <= STILL * scale and not known:
            found.append(x)
    points = [_classified(value, x) for x in found]
    return sorted((point for point in points if point is not None), key=lambda point: tuple(point.x))


def flow(value: ValueFunction, x: np.ndarray) -> np.ndarray:
    """Return ẋ under the feedback (points, n) at states x (points, n) of the grid."""
    return value.hamiltonian.gradient(0.0, x, value.gradient(x))[1]


def _classified(value: ValueFunction, x: np.ndarray) -> RestPoint | None:
    """Say what a zero of the interpolated flow is; None where the flow jumps through zero, on a ridge."""
    growth, wider = _growth(value, x, RADIUS), _growth(value, x, 2 * RADIUS)
    if np.abs(wider).max() < LASTING * np.abs(growth).max():
        return None
    return RestPoint(x, "sink" if growth[-1] < 0 else "source" if growth[0] > 0 else "saddle", growth)


def _growth(value: ValueFunction, x: np.ndarray, radius: float) -> np.ndarray:
    """Return the growth rates of the linear flow that fits best on a circle of so many cells, ascending."""
    low, high = np.array(value.grid.lower), np.array(value.grid.upper)
    ways = np.random.default_rng(0).normal(size=(DIRECTIONS, len(x)))
    ways = np.vstack([ways, -ways]) / np.tile(np.linalg.norm(ways, axis=1), 2)[:, None]
    around = np.clip(x + radius * (high - low) / (np.array(value.grid.shape) - 1) * ways, low, high)
    linear = np.linalg.lstsq(around - x, flow(value, around), rcond=None)[0].T
    return np.sort(np.linalg.eigvals(linear).real)
