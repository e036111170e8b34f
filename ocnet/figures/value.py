"""Figures of value functions: surfaces, contours with optimal paths, the feedback's flow, slices, errors.

Ridges, where the gradient jumps because two ways cost the same (Skiba sets), are black; sinks of the closed
loop are red, sources blue, saddles white.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from ocnet.errors import ProblemError, ShapeError
from ocnet.figures import panels
from ocnet.figures.panels import COLOURS, UNIT
from ocnet.value_function import ValueFunction
from ocnet.value_rest import flow, rest_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["contours", "convergence", "section", "slices", "surface"]

LEVELS = 24
FLOW = "0.85"
FINE, COARSE = 241, 101  # points along each axis of a flat figure, and of a surface or slice
RIDGE = 0.1  # fall of a slope across two cells that counts as a ridge, relative to the 90 % quantile
SPECK = 15  # points of a section that are too few for a ridge
MOST_SLICES = 6
LOOKS = {  # marker, face, edge
    "sink": ("o", "#D62728", "white"),
    "source": ("o", "#1F4FD8", "white"),
    "saddle": ("D", "white", "black"),
}


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
        The others, inside the grid; 0 if left out.
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
    ShapeError
        If `at` is no state.
    DataError
        If the plane is outside the grid.
    """
    n = value.dimension
    if n < 2 or len(set(axes)) != 2 or not all(0 <= d < n for d in axes):
        raise ProblemError(f"A section of '{value.name}': axes are {axes}; expected two of its {n} states.")
    rest = np.zeros(n) if at is None else np.asarray(at, dtype=float)
    if rest.shape != (n,):
        raise ShapeError(f"A section of '{value.name}': at has shape {rest.shape}; expected ({n},).")
    first, second = (np.linspace(value.grid.lower[d], value.grid.upper[d], points) for d in axes)
    x = np.tile(rest, (points * points, 1))
    x[:, axes[0]], x[:, axes[1]] = np.repeat(first, points), np.tile(second, points)
    return first, second, x


def contours(
    value: ValueFunction,
    starts: ArrayLike | None = None,
    *,
    axes: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    field: bool = True,
    tf: float = 200.0,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the value over a plane of states: contours, ridges, the feedback's flow, paths and rest points.

    Light stream lines are the components of the flow in the plane. Of two states the sinks, sources and
    saddles of the closed loop are marked. Discrete time and finite horizons have contours and ridges only.

    Parameters
    ----------
    value : ValueFunction
        With two states or more; on a finite horizon its start is shown.
    starts : array_like (points, n) or (n,), optional
        States from which optimal paths are drawn.
    axes, at
        As for :func:`section`.
    field : bool
        Draw the flow.
    tf : float
        How long paths are followed.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        As for :func:`section`, for paths in discrete time or on a finite horizon, and for a value function
        without its problem (which has no feedback) unless `field` is False and there are no `starts`.
    ShapeError, DataError
        For `at` or `starts` that are no states of the grid.
    """
    panels.expect(value, ValueFunction, "contours", "ocnet.solve_hjb")
    figure = panels.blank(figsize, (6.4, 6.0), value.name)
    panel = figure.add_subplot()
    draw(panel, value, starts, axes=axes, at=at, field=field, tf=tf)
    handles, labels = panel.get_legend_handles_labels()
    if labels:
        panels.legend_below(figure, handles, labels, most=3)
    return figure


def draw(
    panel: Axes,
    value: ValueFunction,
    starts: ArrayLike | None = None,
    *,
    axes: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    field: bool = True,
    tf: float = 200.0,
) -> None:
    """Draw what :func:`contours` shows into axes that exist; their artists have labels for a legend."""
    moving = not value.discrete and value.time is None
    if starts is not None and not moving:
        raise ProblemError(
            f"plot.contours: '{value.name}' has discrete time or a finite horizon; optimal paths are drawn "
            "on an infinite horizon in continuous time. oc.simulate follows its policy."
        )
    first, second, x = section(value, axes, at)
    shape = (len(first), len(second))
    v, p = value(x).reshape(shape), value.gradient(x)
    filled = panel.contourf(first, second, v.T, LEVELS, cmap="viridis", alpha=0.85)
    panels.colour_bar(panel.figure, filled, panel, f"optimal cost v {UNIT}")
    if field and moving:
        speeds: list[Any] = [flow(value, x)[:, d].reshape(shape).T for d in axes]
        panel.streamplot(first, second, *speeds, color=FLOW, linewidth=0.5, arrowsize=0.6, density=1.1)
    sharpness = ridges(value, p[:, list(axes)].reshape(*shape, 2), axes)
    if (sharpness > 1).any():
        panel.contourf(first, second, sharpness.T, [1.0, np.inf], colors="black")
        panel.plot([], [], color="black", linewidth=3, label="ridge: two ways cost the same")
    if starts is not None:
        points = np.atleast_2d(np.asarray(starts, dtype=float))
        loop = value.closed_loop(points, tf)
        for k in range(len(points)):
            line = loop.x[:, k, list(axes)].T
            label = "optimal path, from its dot" if k == 0 else None
            panel.plot(*line, color=COLOURS[4], linewidth=1.3, label=label)
            panel.plot(*line[:, 0], "o", color=COLOURS[4], markersize=4)
    if field and moving and value.dimension == 2:
        named = set[str]()
        for point in rest_points(value):
            marker, face, edge = LOOKS[point.kind]
            label = None if point.kind in named else point.kind
            look: dict[str, Any] = {"color": face, "markeredgecolor": edge, "markersize": 7, "zorder": 5}
            panel.plot(*point.x[list(axes)], marker, label=label, linestyle="none", **look)
            named.add(point.kind)
    box = np.array([value.grid.lower, value.grid.upper])[:, list(axes)]
    panel.set(xlim=box[:, 0], ylim=box[:, 1])
    names = labels_of(value)
    panel.set_xlabel(f"{names[axes[0]]} {UNIT}", fontsize="small")
    panel.set_ylabel(f"{names[axes[1]]} {UNIT}", fontsize="small")


def surface(
    value: ValueFunction,
    *,
    axes: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    view: tuple[float, float] = (35.0, -60.0),
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the value as a surface over a plane of states, with its contours on the floor.

    Parameters
    ----------
    value : ValueFunction
        With two states or more; on a finite horizon its start is shown.
    axes, at
        As for :func:`section`.
    view : (float, float)
        Elevation and azimuth of the eye, in degrees.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError, ShapeError, DataError
        As for :func:`section`.
    """
    panels.expect(value, ValueFunction, "surface", "ocnet.solve_hjb")
    first, second, x = section(value, axes, at, COARSE)
    v = value(x).reshape(len(first), len(second))
    figure = panels.blank(figsize, (6.4, 5.2), value.name)
    panel: Any = figure.add_subplot(projection="3d")
    floor = float(v.min()) - 0.35 * float(np.ptp(v) or 1.0)
    grid = np.meshgrid(first, second, indexing="ij")
    panel.plot_surface(*grid, v, cmap="viridis", rcount=COARSE, ccount=COARSE, linewidth=0, antialiased=True)
    panel.contour(*grid, v, LEVELS // 2, zdir="z", offset=floor, cmap="viridis", linewidths=0.8)
    panel.set_zlim(floor, float(v.max()))
    panel.set_zticks([tick for tick in panel.get_zticks() if v.min() - 1e-9 <= tick <= v.max()])
    panel.view_init(*view)
    names = labels_of(value)
    panel.set_xlabel(f"{names[axes[0]]} {UNIT}", fontsize="small")
    panel.set_ylabel(f"{names[axes[1]]} {UNIT}", fontsize="small")
    panel.set_zlabel(f"optimal cost v {UNIT}", fontsize="small")
    panel.tick_params(labelsize="small")
    panel.set_box_aspect(None, zoom=0.88)  # the label of the third axis would be cut off
    return figure


def slices(
    value: ValueFunction,
    axis: int = 2,
    positions: Sequence[float] | None = None,
    *,
    at: ArrayLike | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the value over planes through the box, side by side, with one scale of colours.

    Parameters
    ----------
    value : ValueFunction
        With three states or more; on a finite horizon its start is shown.
    axis : int
        The state that differs from plane to plane; the first two of the others span the planes.
    positions : sequence of float, optional
        Its values, at most six; by default four evenly spaced from an eighth to seven eighths of the box.
    at : array_like (n,), optional
        The states that neither vary nor differ; 0 if left out.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        For fewer than three states, an axis that does not exist, or another number of positions.
    ShapeError, DataError
        As for :func:`section`.
    """
    panels.expect(value, ValueFunction, "slices", "ocnet.solve_hjb")
    n = value.dimension
    if n < 3 or not 0 <= axis < n:
        raise ProblemError(
            f"plot.slices: '{value.name}' has {n} states and axis is {axis}; expected at least three states "
            "and one of them. plot.contours draws two states."
        )
    low, high = value.grid.lower[axis], value.grid.upper[axis]
    chosen = np.asarray(
        low + (high - low) * np.array([1, 3, 5, 7]) / 8 if positions is None else positions, dtype=float
    )
    if chosen.ndim != 1 or not 1 <= len(chosen) <= MOST_SLICES:
        raise ProblemError(
            f"plot.slices: positions have shape {chosen.shape}; expected 1 to {MOST_SLICES} numbers."
        )
    others = [d for d in range(n) if d != axis]
    axes, names = (others[0], others[1]), labels_of(value)
    values: list[np.ndarray] = []
    first, second = np.zeros(0), np.zeros(0)
    for position in chosen.tolist():
        rest = np.zeros(n) if at is None else np.array(at, dtype=float)
        if rest.shape == (n,):
            rest[axis] = position
        first, second, x = section(value, axes, rest, COARSE)
        values.append(value(x).reshape(len(first), len(second)))
    levels = np.linspace(np.min(values), np.max(values), LEVELS + 1)
    figure = panels.blank(figsize, (1.2 + 2.6 * len(chosen), 3.2), value.name)
    row: list[Axes] = list(np.atleast_1d(figure.subplots(1, len(chosen), sharex=True, sharey=True)))
    filled: Any = None
    for panel, position, v in zip(row, chosen, values, strict=True):
        filled = panel.contourf(first, second, v.T, levels, cmap="viridis")
        panel.contour(first, second, v.T, levels[::3], colors="white", linewidths=0.4)
        panel.set_title(f"{names[axis]} = {position:.3g}", fontsize="small")
        panel.set_xlabel(f"{names[axes[0]]} {UNIT}", fontsize="small")
        panel.tick_params(labelsize="small")
    row[0].set_ylabel(f"{names[axes[1]]} {UNIT}", fontsize="small")
    panels.colour_bar(figure, filled, row, f"optimal cost v {UNIT}")
    return figure


def convergence(
    values: Sequence[ValueFunction],
    x: ArrayLike,
    exact: ArrayLike | None = None,
    *,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw how the error at some states falls with the nodes of the grid, and with the time of the solve.

    Parameters
    ----------
    values : sequence of ValueFunction
        Of one problem on several grids.
    x : array_like (points, n)
        States inside all grids.
    exact : array_like (points,), optional
        The costs that count as exact, such as those of open-loop solves; if left out, those of the value
        function with the most nodes, which is not drawn then.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure
        Left: largest and median error and the median of the error estimates against the nodes along an axis
        (the number of all nodes to the power 1/n). Right: the same against seconds of CPU.

    Raises
    ------
    ProblemError
        For fewer than two value functions to draw, or of different numbers of states.
    ShapeError, DataError
        For costs that do not fit the states, and states outside a grid.
    """
    given = list(values) if isinstance(values, Sequence) else [values]
    for value in given:
        panels.expect(value, ValueFunction, "convergence", "ocnet.solve_hjb")
    ordered = sorted(given, key=lambda value: value.grid.size)
    drawn = ordered if exact is not None else ordered[:-1]
    if len(drawn) < 2 or len({value.dimension for value in ordered}) != 1:
        raise ProblemError(
            f"plot.convergence: got {len(ordered)} value functions with "
            f"{sorted({value.dimension for value in ordered})} states; expected at least two of one problem, "
            "or three where no exact costs are given."
        )
    points = np.atleast_2d(np.asarray(x, dtype=float))
    reference = ordered[-1](points) if exact is None else np.asarray(exact, dtype=float)
    if reference.shape != (len(points),):
        raise ShapeError(
            f"plot.convergence: exact has shape {reference.shape}; expected ({len(points)},), one cost for "
            "each state."
        )
    errors = np.array([np.abs(value(points) - reference) for value in drawn])
    estimates = np.array([value.error_at(points) for value in drawn])
    rows = {
        "error, largest": (errors.max(axis=1), "o-", COLOURS[1]),
        "error, median": (np.median(errors, axis=1), "s-", COLOURS[0]),
        "its estimate, median": (np.median(estimates, axis=1), "^--", COLOURS[2]),
    }
    n = drawn[0].dimension
    from matplotlib.ticker import LogLocator

    nodes = np.array([value.grid.size for value in drawn]) ** (1 / n)
    seconds = np.array([float(value.stats.get("seconds", np.nan)) for value in drawn])
    figure = panels.blank(figsize, (8.4, 3.6), drawn[0].name)
    left, right = figure.subplots(1, 2, sharey=True)
    for panel, across in ((left, nodes), (right, seconds)):
        for label, (height, style, colour) in rows.items():
            panel.loglog(across, height, style, color=colour, markersize=4, linewidth=1.2, label=label)
        panel.grid(True, alpha=0.3)
        panel.tick_params(labelsize="small")
    left.set_xticks(nodes, [f"{m:.0f}" for m in nodes])
    left.minorticks_off()
    right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter("")
    left.set_xlabel("nodes along an axis", fontsize="small")
    left.set_ylabel(f"error of the cost {UNIT}", fontsize="small")
    right.set_xlabel("CPU time (s)", fontsize="small")
    panels.legend_below(figure, *left.get_legend_handles_labels(), most=3)
    return figure


def ridges(value: ValueFunction, gradient: np.ndarray, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """Return how sharply the value bends down at the nodes of a section, in units of what counts as a ridge.

    Across a ridge the slope falls within two cells of the grid, and not beside it; a value that is curved all
    over does not count, nor do cusps that point down, such as at a source of the flow.

    Parameters
    ----------
    value : ValueFunction
    gradient : ndarray (points, points, 2)
        Of the value, in the two directions of the section.
    axes : (int, int)

    Returns
    -------
    ndarray (points, points)
        More than 1 on a ridge.
    """
    size, points = np.quantile(np.abs(gradient), 0.9) + 1e-300, len(gradient)
    sharpest = np.zeros(gradient.shape[:2])
    for d in (0, 1):
        reach = int(np.ceil(points / value.grid.shape[axes[d]])) + 1  # about a cell of the grid
        slope = np.pad(np.moveaxis(gradient[..., d], d, 0), ((3 * reach, 3 * reach), (0, 0)), mode="edge")
        rise = slope[2 * reach :] - slope[: -2 * reach]  # across two cells, and beside them
        here, beside = rise[2 * reach : -2 * reach], (rise[: -4 * reach], rise[4 * reach :])
        fall = -here - np.maximum(np.abs(beside[0]), np.abs(beside[1]))
        sharpest = np.maximum(sharpest, np.moveaxis(fall, 0, d))
    sharpest /= RIDGE * size
    found: Any = ndimage.label(sharpest > 1, np.ones((3, 3)))
    owner: np.ndarray = found[0]
    specks = np.bincount(owner.reshape(-1)) < SPECK
    return np.where(specks[owner] & (owner > 0), 1.0, sharpest)


def labels_of(value: ValueFunction) -> list[str]:
    """Return the names of the states; x[0], x[1], … of a value function without its problem."""
    if value.problem is None:
        return [f"x[{d}]" for d in range(value.dimension)]
    return value.problem.functions.labels("state")
