"""Figures of value functions: surfaces, contours with optimal paths, the feedback's flow, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import ProblemError
from ocnet.panels import COLOURS
from ocnet.value_function import ValueFunction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["contours", "section"]

LEVELS = 24
FLOW = "0.85"
FINE = 241  # points along each axis of a figure
RIDGE = 0.05  # jump of the gradient over the span of the picture that counts as a ridge, relative to its size


def section(
    value: ValueFunction, axes: tuple[int, int] = (0, 1), at: ArrayLike | None = None, points: int = FINE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nodes of a plane through the box and all of its states.

    Parameters
    ----------
    value : ValueFunction
        With at least two states.
    axes : (int, int)
        The states that vary.
    at : array_like (n,), optional
        The others; 0 if left out.
    points : int
        Along each axis.

    Returns
    -------
    first, second : ndarray (points,)
    x : ndarray (points², n)
        In C order, the first varying slowest.

    Raises
    ------
    ProblemError
        For fewer than two states, or axes that do not exist.
    """
    n = value.dimension
    if n < 2 or len(set(axes)) != 2 or not all(0 <= d < n for d in axes):
        raise ProblemError(f"A section of '{value.name}': axes are {axes}; expected two of its {n} states.")
    first, second = (np.linspace(value.grid.lower[d], value.grid.upper[d], points) for d in axes)
    x = np.tile(np.zeros(n) if at is None else np.asarray(at, dtype=float), (points * points, 1))
    x[:, axes[0]], x[:, axes[1]] = np.repeat(first, points), np.tile(second, points)
    return first, second, x


def contours(
    value: ValueFunction,
    starts: ArrayLike | None = None,
    *,
    axes: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    tf: float = 60.0,
    figsize: tuple[float, float] = (6.4, 5.6),
) -> Figure:
    """Draw the value over a plane of states: contours, ridges, the optimal flow, paths and their ends.

    Ridges, where the gradient jumps because two ways cost the same (Skiba sets) or the value has a cusp, are
    red. Light stream lines are the flow under the feedback in the plane.

    Parameters
    ----------
    value : ValueFunction
        Stationary, in continuous time, with two states or more.
    starts : array_like (points, n), optional
        States from which optimal paths are drawn.
    axes, at
        As for :func:`section`.
    tf : float
        How long paths are followed.
    figsize : (float, float)

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        As for :func:`section`.
    """
    if not isinstance(value, ValueFunction):
        raise ProblemError(
            f"plot.contours: got {type(value).__name__}; expected a ValueFunction, which ocnet.solve_hjb "
            "returns."
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained")
    draw(figure.add_subplot(), value, starts, axes=axes, at=at, tf=tf)
    return figure


def draw(
    panel: Axes,
    value: ValueFunction,
    starts: ArrayLike | None = None,
    *,
    axes: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    tf: float = 60.0,
) -> None:
    """Draw what :func:`contours` shows into axes that exist."""
    first, second, x = section(value, axes, at)
    shape = (len(first), len(second))
    v, p = value(x).reshape(shape), value.gradient(x)
    filled = panel.contourf(first, second, v.T, LEVELS, cmap="viridis", alpha=0.85)
    assert panel.figure is not None
    panel.figure.colorbar(filled, ax=panel, label="optimal cost v")
    drift = value.hamiltonian.gradient(0.0, x, p)[1]
    flow: list[Any] = [drift[:, d].reshape(shape).T for d in axes]
    panel.streamplot(first, second, *flow, color=FLOW, linewidth=0.5, arrowsize=0.6, density=1.1)
    jumps = ridges(p[:, list(axes)].reshape(*shape, 2))
    panel.contourf(first, second, jumps.T, [1.0, np.inf], colors="crimson")
    if starts is not None:
        points = np.atleast_2d(np.asarray(starts, dtype=float))
        loop = value.closed_loop(points, tf)
        for k in range(len(points)):
            line = loop.x[:, k, list(axes)].T
            panel.plot(*line, color=COLOURS[4], linewidth=1.3)
            panel.plot(*line[:, 0], "o", color=COLOURS[4], markersize=4)
            panel.plot(*line[:, -1], "*", color="white", markeredgecolor="black", markersize=10)
    names = [f"x[{d}]" for d in range(value.dimension)]
    if value.problem is not None:
        names = value.problem.functions.labels("state")
    panel.set(xlabel=names[axes[0]], ylabel=names[axes[1]])


def ridges(gradient: np.ndarray) -> np.ndarray:
    """Return by how much gradients (a, b, 2) jump between neighbours, in units of what counts as a ridge."""
    size = np.quantile(np.abs(gradient), 0.9) + 1e-300
    jump = np.zeros(gradient.shape[:2])
    for axis in (0, 1):
        step = np.abs(np.diff(gradient, axis=axis)).max(axis=2)
        inside = [slice(None), slice(None)]
        inside[axis] = slice(0, -1)
        jump[tuple(inside)] = np.maximum(jump[tuple(inside)], step)
    return jump / (RIDGE * size * 4)
