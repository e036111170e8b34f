"""Figures of landscapes: where the states of an autonomous problem go, and what they go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import ProblemError, ShapeError
from ocnet.figures import panels
from ocnet.landscapes.cycles import LimitCycle
from ocnet.landscapes.equilibria import Kind, Landscape
from ocnet.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ocnet.networks import Energy

__all__ = ["landscape"]

FINE = 161  # points along each axis of the flow and of the energy
ARROWS = 21  # along each axis of a map
LEVELS = 14
PATH, ACTIVE, CYCLE = "#222222", "#E69F00", "#009E73"
LOOKS: dict[Kind, dict[str, Any]] = {
    "sink": {"marker": "o", "markerfacecolor": "#C8171D", "markeredgecolor": "white", "markersize": 9},
    "source": {"marker": "o", "markerfacecolor": "#0F5FB5", "markeredgecolor": "white", "markersize": 9},
    "saddle": {"marker": "D", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 6},
    "center": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 8},
    "degenerate": {"marker": "X", "markerfacecolor": "black", "markeredgecolor": "white", "markersize": 9},
}


def landscape(
    found: Landscape | Mapping[str, Landscape],
    trajectories: Trajectory | Sequence[Trajectory] = (),
    *,
    cycles: Sequence[LimitCycle] | Mapping[str, Sequence[LimitCycle]] = (),
    energy: Energy | None = None,
    axes: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    active: float = 0.02,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the vector field in a plane of states, with sinks red, sources blue and saddles as white diamonds.

    A map is drawn by arrows to the next state. Trajectories run from an open circle to a square; where their
    controls act, the line is on a broad band of orange.

    Parameters
    ----------
    found : Landscape or mapping of str to Landscape
        Several are drawn side by side on the same axes, under their labels: the same problem under A and
        under A + ξ.
    trajectories : Trajectory or sequence of them
        Over the same states, drawn in every panel.
    cycles : sequence of LimitCycle, or mapping of label to such sequences
        Closed paths, dashed if they are unstable.
    energy : Energy, optional
        Whose contours are drawn, as a function of the activations.
    axes : (int, int)
        The two flat states that vary.
    at : array_like (n,), optional
        The other states of the plane; 0 if left out. Equilibria and paths outside the plane are projected.
    active : float
        Controls act where one of them exceeds this fraction of the largest value on all trajectories.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError, ShapeError
        For things that are no landscapes, trajectories or cycles, fewer than two states, axes that do not
        exist, unknown labels, or states that do not fit.
    """
    named = dict(found) if isinstance(found, Mapping) else {"": found}
    wrong = [type(each).__name__ for each in named.values() if not isinstance(each, Landscape)]
    if wrong or not named:
        raise ProblemError(
            f"plot.landscape: got {wrong[0] if wrong else 'an empty dict'}; expected a Landscape, which "
            "ocnet.landscape returns, or a dict of them by label."
        )
    first = next(iter(named.values()))
    n, base = first.field.n, _plane(first, axes, at)
    paths = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    for path in paths:
        if panels.checked(path, "landscape").x.values.shape[1] != n:
            raise ShapeError(
                f"plot.landscape: '{path.problem_name}' has {path.x.values.shape[1]} states; expected {n}."
            )
    rings = dict(cycles) if isinstance(cycles, Mapping) else {label: list(cycles) for label in named}
    if foreign := [label for label in rings if label not in named]:
        raise ProblemError(f"plot.landscape: cycles for {foreign}; the landscapes are {list(named)}.")
    default = (0.6 + 4.3 * len(named) + (1.0 if energy else 0.0), 4.9)
    figure = panels.blank(figsize, default, first.field.problem.name)
    row: list[Axes] = list(figure.subplots(1, len(named), sharex=True, sharey=True, squeeze=False)[0])
    shown: dict[str, Any] = {}
    for panel, (label, each) in zip(row, named.items(), strict=True):
        if each.field.n != n:
            raise ShapeError(f"plot.landscape: '{label}' has {each.field.n} states; expected {n}.")
        panels.bare(panel).set_title(label, fontsize="medium")
        if energy is not None:
            _draw_energy(panel, each, energy, base, axes, last=panel is row[-1])
        _draw_flow(panel, each, base, axes)
        for ring in rings.get(label, ()):
            shown |= _draw_cycle(panel, ring, axes)
        shown |= _draw_paths(panel, paths, axes, active)
        shown |= _draw_equilibria(panel, each, axes)
        panel.set_xlim(each.lower[axes[0]], each.upper[axes[0]])
        panel.set_ylim(each.lower[axes[1]], each.upper[axes[1]])
        panel.set_xlabel(f"state {each.field.labels[axes[0]]} {panels.UNIT}", fontsize="small")
    row[0].set_ylabel(f"state {first.field.labels[axes[1]]} {panels.UNIT}", fontsize="small")
    if shown:
        panels.legend_below(figure, list(shown.values()), list(shown), most=3 * len(named))
    return figure


def _plane(found: Landscape, axes: tuple[int, int], at: Any) -> np.ndarray:
    """Return a state (n,) of the plane that is drawn."""
    n = found.field.n
    if n < 2 or len(axes) != 2 or axes[0] == axes[1] or not all(0 <= d < n for d in axes):
        raise ProblemError(
            f"plot.landscape: axes are {axes}; expected two different ones of the {n} states of "
            f"'{found.field.problem.name}'."
        )
    if at is None:
        return np.zeros(n)
    point = found.field.checked(at)
    if point.ndim != 1:
        raise ShapeError(f"plot.landscape: at has shape {point.shape}; expected ({n},).")
    return point


def _section(
    found: Landscape, base: np.ndarray, axes: tuple[int, int], points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nodes of both axes and the states (points, points, n), the second axis varying slowest."""
    first, second = (np.linspace(found.lower[d], found.upper[d], points) for d in axes)
    states = np.tile(base, (points, points, 1))
    states[:, :, axes[0]], states[:, :, axes[1]] = first[None, :], second[:, None]
    return first, second, states


def _draw_flow(panel: Axes, found: Landscape, base: np.ndarray, axes: tuple[int, int]) -> None:
    first, second, states = _section(found, base, axes, ARROWS if found.field.discrete else FINE)
    flow = found.field(states)[:, :, list(axes)]
    if found.field.discrete:
        panel.quiver(
            first, second, flow[:, :, 0], flow[:, :, 1], color="0.6", angles="xy", width=0.003, zorder=1
        )
        return
    speed = np.linalg.norm(flow, axis=2)
    width = 0.35 + 0.75 * np.sqrt(speed / (np.nanmax(speed) or 1.0))
    panel.streamplot(
        first,
        second,
        flow[:, :, 0],
        flow[:, :, 1],
        color="0.55",
        linewidth=width,
        arrowsize=0.7,
        density=1.2,
        zorder=1,
    )


def _draw_energy(
    panel: Axes, found: Landscape, energy: Energy, base: np.ndarray, axes: tuple[int, int], *, last: bool
) -> None:
    first, second, states = _section(found, base, axes, FINE)
    values = energy.of_state(states)
    filled = panel.contourf(first, second, values, LEVELS, cmap="YlGnBu_r", alpha=0.55, zorder=0)
    panel.contour(first, second, values, LEVELS, colors="white", linewidths=0.5, linestyles="solid", zorder=0)
    if last:
        panels.colour_bar(panel.figure, filled, panel, f"energy E {panels.UNIT}")


def _draw_cycle(panel: Axes, ring: Any, axes: tuple[int, int]) -> dict[str, Any]:
    if not isinstance(ring, LimitCycle):
        raise ProblemError(
            f"plot.landscape: got {type(ring).__name__} among the cycles; expected what ocnet.limit_cycle "
            "returns."
        )
    x = ring.trajectory.x
    values = x(x.time if x.discrete else np.linspace(x.breaks[0], x.breaks[-1], 601))[:, list(axes)]
    style: dict[str, Any] = {"color": CYCLE, "linewidth": 2.2, "zorder": 3}
    style["linestyle"] = "none" if x.discrete else "-" if ring.stable else "--"
    (line,) = panel.plot(values[:, 0], values[:, 1], marker="." if x.discrete else "", **style)
    return {f"limit cycle ({ring.kind})": line}


def _draw_paths(
    panel: Axes, paths: Sequence[Trajectory], axes: tuple[int, int], active: float
) -> dict[str, Any]:
    """Draw trajectories; those parts on which controls act lie on a broad band."""
    from matplotlib.collections import LineCollection

    shown: dict[str, Any] = {}
    sizes = [_effort(path) for path in paths]
    largest = max((float(size.max(initial=0.0)) for size in sizes), default=0.0)
    for path, size in zip(paths, sizes, strict=True):
        points = path.x(panels.curve_times(path.x))[:, list(axes)]
        acting = size > active * largest
        if acting.any():
            segments = np.stack([points[:-1], points[1:]], axis=1)[acting]
            band = LineCollection(list(segments), colors=ACTIVE, linewidths=5.0, capstyle="round", zorder=3)
            panel.add_collection(band)
            shown[f"control acts (above {active:.0%} of its largest)"] = band
        look: dict[str, Any] = {"marker": "."} if path.discrete else {}
        look |= {"color": PATH, "linewidth": 1.1, "markersize": 4, "zorder": 4}
        (line,) = panel.plot(points[:, 0], points[:, 1], **look)
        ends: dict[str, Any] = {"color": PATH, "linestyle": "none", "zorder": 6}
        (start,) = panel.plot(*points[:1].T, marker="o", markerfacecolor="white", markersize=7, **ends)
        (end,) = panel.plot(*points[-1:].T, marker="s", markersize=4, **ends)
        shown |= {"trajectory": line, "its start": start, "its end": end}
    return shown


def _effort(path: Trajectory) -> np.ndarray:
    """Return the largest |control| on each stretch between the times of a curve."""
    t = panels.curve_times(path.x)
    if path.u is None:
        return np.zeros(len(t) - 1)
    return np.abs(path.u(t[:-1] if path.discrete else (t[:-1] + t[1:]) / 2)).max(axis=1)


def _draw_equilibria(panel: Axes, found: Landscape, axes: tuple[int, int]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for kind, look in LOOKS.items():
        for e in found.of_kind(kind):
            (mark,) = panel.plot(*e.x[list(axes), None], linestyle="none", zorder=5, clip_on=False, **look)
            shown[kind] = mark
    return shown
