"""Figures: one function for each question that is asked of a solution.

Each returns a :class:`matplotlib.figure.Figure` that pyplot does not know: nothing is shown, nothing stays
behind. Save it with ``figure.savefig(path)``; a notebook displays it when it is the value of a cell. Curves
are the polynomials of the solution, evaluated densely on each interval; strokes that rise from the time axis
mark the mesh points. In discrete time values are dots, held until the next step. On an infinite horizon
the time axis ends when the states have come to rest; ``figure.axes[0].set_xlim(...)`` shows more.

Names are those of states and controls ("u"), or of components ("u[0]", "W[0, 1]"). `figsize` is (width,
height) in inches; None lets the number of panels decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from ocnet.errors import ProblemError
from ocnet.figures import panels
from ocnet.figures.attention import attention, film
from ocnet.figures.landscape import landscape
from ocnet.figures.learning import learning, recall
from ocnet.figures.memory import memories, pareto
from ocnet.figures.panels import COLOURS, DASHES, GREY, UNIT, Item
from ocnet.figures.value import contours, convergence, slices, surface
from ocnet.horizon import Steps, rate
from ocnet.solution import Solution
from ocnet.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ocnet.problem import Problem

    Names = str | Sequence[str] | None
    Size = tuple[float, float] | None

__all__ = [
    "attention",
    "compare",
    "contours",
    "convergence",
    "film",
    "hamiltonian",
    "landscape",
    "learning",
    "memories",
    "mesh",
    "pareto",
    "phase",
    "recall",
    "slices",
    "surface",
    "trajectories",
    "weights",
]

MOST_MAPS = 8  # heat maps in one row


def trajectories(solution: Trajectory, names: Names = None, *, figsize: Size = None) -> Figure:
    """Draw how states, costates and controls run: a column for each of the three, a panel for each variable.

    Up to ten components have a legend; more are coloured by their index. Bounds are dashed, in the colour of
    the component if it is alone in having them, else grey; those so far away that they would flatten the
    curves are left out.

    Parameters
    ----------
    solution : Solution or Trajectory
        A Trajectory has no costates, and its bounds are not known.
    names : str or sequence of str, optional
        Everything by default; a state stands for its costate too.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        For names that do not exist, or something that is no solution.
    """
    columns = panels.arranged(panels.items(solution, names, "trajectories"))
    figure = panels.blank(figsize, panels.grid_size(columns), panels.title(solution))
    for axes, item in panels.grid(figure, columns, solution):
        panels.draw(axes, solution, item)
    panels.crop(figure.axes[0], [solution])
    return figure


def compare(solutions: Mapping[str, Trajectory], names: Names = None, *, figsize: Size = None) -> Figure:
    """Lay several solutions over each other: a panel for each variable, a colour for each solution.

    Parameters
    ----------
    solutions : mapping of str to Solution or Trajectory
        By the label that the legend shows; all in continuous time, or all in discrete time.
    names : str or sequence of str, optional
        By default whatever all of them have, in the same shape; costates are drawn if all have them.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        For names that one of them does not have, nothing in common, or something that is no mapping.
    """
    if not isinstance(solutions, Mapping) or not solutions:
        got = type(solutions).__name__ if not isinstance(solutions, Mapping) else "an empty mapping"
        raise ProblemError(f'plot.compare: got {got}; expected {{"label": solution, ...}}.')
    found = list(solutions.values())
    first, *others = [panels.items(s, names, f"compare, {label!r}") for label, s in solutions.items()]
    columns = panels.arranged([item for item in first if all(item in items for items in others)])
    if any(solution.discrete != found[0].discrete for solution in found):
        raise ProblemError(f"plot.compare: some of {list(solutions)} count steps and some do not.")
    if not columns:
        raise ProblemError(f"plot.compare: {list(solutions)} share no variable of the same name and shape.")
    width, height = panels.grid_size(columns)
    title = " and ".join(dict.fromkeys(solution.problem_name for solution in found))
    figure = panels.blank(figsize, (width, height + 0.3), title)
    handles: list[Any] = []
    for axes, item in panels.grid(figure, columns, found[0], strokes=False):
        handles = []
        for i, solution in enumerate(found):
            t, values = panels.curves(solution, item.thinned())
            look = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
            handles += axes.plot(t, values, linewidth=1.4, **look, **panels.steps(solution, t))[:1]
        panels.settle(axes)
    panels.crop(figure.axes[0], found)
    costs = [f": {panels.cost(solution)}" if isinstance(solution, Solution) else "" for solution in found]
    labels = [f"{label}{cost}" for label, cost in zip(solutions, costs, strict=True)]
    panels.legend_below(figure, handles, labels, most=len(columns))
    return figure


def weights(
    solution: Trajectory, name: str, times: Sequence[float] | None = None, *, figsize: Size = None
) -> Figure:
    """Draw a matrix over time: its entries as curves above, heat maps of it at a few times below.

    Parameters
    ----------
    solution : Solution or Trajectory
    name : str
        A control, or a state, with rows and columns.
    times : sequence of float, optional
        When the heat maps are taken, at most eight; by default five from start to end, closer where the
        matrix moves more. Dotted lines mark them among the curves. The maps share one colour scale, symmetric
        about zero.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        For an unknown name, a variable that is no matrix, or times outside the trajectory.
    """
    item = panels.items(solution, [name], "weights")[0]
    if len(item.shape) != 2 or item.name != name:
        raise ProblemError(
            f"plot.weights: '{name}' of '{solution.problem_name}' is no matrix ('{item.name}' has shape "
            f"{item.shape}); plot.trajectories draws vectors and single components."
        )
    moments = panels.telling_times(solution, item, 5) if times is None else np.asarray(times, dtype=float)
    if moments.ndim != 1 or not 1 <= len(moments) <= MOST_MAPS:
        raise ProblemError(f"plot.weights: times has shape {moments.shape}; expected 1 to {MOST_MAPS} times.")
    if solution.discrete:
        moments = np.unique(np.floor(moments))
    matrices = panels.values(solution, item, moments).reshape(-1, *item.shape)
    figure = panels.blank(figsize, (7.5, 5.2), panels.title(solution))
    cells = figure.add_gridspec(2, len(moments), height_ratios=[1.5, 1.0])
    above = panels.over_time(figure.add_subplot(cells[0, :]), solution, item.title)
    panels.draw(above, solution, item)
    panels.crop(above, [solution])
    for moment in moments:
        above.axvline(moment, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    limit = float(np.abs(matrices[np.isfinite(matrices)]).max(initial=0.0)) or 1.0
    maps: list[Axes] = [figure.add_subplot(cells[1, i]) for i in range(len(moments))]
    for axes, moment, matrix in zip(maps, moments, matrices, strict=True):
        axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(f"{'k' if solution.discrete else 't'} = {moment:.4g}", fontsize="small")
        axes.set_xlabel("column", fontsize="small")
        axes.tick_params(labelsize="small", labelleft=axes is maps[0])
        axes.locator_params(nbins=4, integer=True)
    maps[0].set_ylabel("row", fontsize="small")
    panels.colour_bar(figure, maps[0].images[0], maps, item.title, aspect=12.0)
    return figure


def hamiltonian(solution: Solution, *, figsize: Size = None) -> Figure:
    """Draw the Hamiltonian along a solution: H = ℓ + p·f, where f also replaces the derivatives in ℓ.

    At the optimum of a problem without discount, without costs at sample times and whose functions do not
    contain time, H is constant; a second panel then shows how far it strays from its median. In discrete time
    H_k = ℓ_k + e^{−ρ} p_{k+1}·F_k, which need not be constant. Dots mark the nodes of the controls.

    Parameters
    ----------
    solution : Solution
        With costates, and with its problem: ``oc.load(path, problem=...)``.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If the solution has no costates or does not know its problem.
    """
    problem = _problem(solution, "hamiltonian")
    if solution.p is None:
        raise ProblemError(f"plot.hamiltonian: the solution of '{solution.problem_name}' has no costates.")
    states = solution.time[:-1] if solution.discrete else solution.time
    nodes = states if solution.u is None else solution.control_time
    dense = nodes if solution.discrete else panels.curve_times(solution.x)
    at_nodes = _hamiltonian(solution, problem, nodes, None if solution.u is None else solution.u.values)
    between = _hamiltonian(solution, problem, dense)
    rows = {f"Hamiltonian H\n{UNIT}": (at_nodes, between)}
    if _conserves(problem):
        middle = float(np.median(at_nodes[np.isfinite(at_nodes)])) if np.isfinite(at_nodes).any() else 0.0
        floor = np.finfo(float).eps * max(1.0, abs(middle))  # a logarithm cannot show zero
        dots, line = np.abs(at_nodes - middle), np.abs(between - middle)
        rows[f"|H − median|\n{UNIT}"] = (np.where(dots > floor, dots, np.nan), np.maximum(line, floor))
    figure = panels.blank(figsize, (4.8, 1.2 + 1.7 * len(rows)), panels.title(solution))
    for label, axes in panels.stack(figure, solution, rows):
        dots, line = rows[label]
        axes.plot(dense, line, color=COLOURS[0], linewidth=1.2, linestyle=":" if solution.discrete else "-")
        axes.plot(nodes, dots, "o", color=COLOURS[0], markersize=3 if len(nodes) <= panels.MOST_DOTS else 1.5)
        if label.startswith("Hamiltonian"):
            panels.settle(axes)
        else:
            axes.set_yscale("log")
    panels.crop(figure.axes[0], [solution])
    return figure


def mesh(solution: Trajectory, *, figsize: Size = None) -> Figure:
    """Draw the mesh: lengths of the intervals, error estimates where the method gave them, and degrees.

    Parameters
    ----------
    solution : Solution or Trajectory
        In continuous time. The estimates are ``solution.stats["interval_errors"]``, one for each interval.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        In discrete time, which has no mesh, or if the number of estimates is not that of the intervals.
    """
    where = f"plot.mesh: '{panels.checked(solution, 'mesh').problem_name}'"
    if solution.discrete:
        raise ProblemError(f"{where} counts steps; only continuous time has a mesh.")
    lengths = np.diff(solution.x.breaks)
    rows = {f"interval length\n{UNIT}": lengths}
    errors = solution.stats.get("interval_errors") if isinstance(solution, Solution) else None
    if errors is not None:
        if np.shape(errors) != lengths.shape:
            raise ProblemError(
                f"{where} has stats['interval_errors'] of shape {np.shape(errors)}; expected one estimate "
                f"for each of its {len(lengths)} intervals."
            )
        rows["error estimate\n(relative)"] = np.asarray(errors, dtype=float)
    rows["degree\nof the states"] = solution.x.count - 1.0
    title = f"{panels.title(solution)}, intervals: {len(lengths)}"
    figure = panels.blank(figsize, (4.8, 0.8 + 1.6 * len(rows)), title)
    for label, axes in panels.stack(figure, solution, rows):
        values = rows[label]
        axes.stairs(values, solution.x.breaks, baseline=None, color=COLOURS[0], linewidth=1.2)
        positive = values[values > 0]
        if label.startswith("degree"):
            axes.set_ylim(max(0.0, values.min() - 1), values.max() + 1)
            axes.locator_params(axis="y", integer=True)
        elif len(positive) and (label.startswith("error") or positive.max() > 10 * positive.min()):
            axes.set_yscale("log")
        else:
            axes.set_ylim(0.0, 1.15 * (np.nanmax(values) or 1.0))
    return figure


def phase(solution: Trajectory, x: str, y: str, *, field: bool = False, figsize: Size = None) -> Figure:
    """Draw one component against another, from a circle at the start to a square at the end.

    Parameters
    ----------
    solution : Solution or Trajectory
    x, y : str
        Components, or names of scalars.
    field : bool
        Draw the flow without control too: streamlines, or arrows towards the next step. Controls are then
        zero or, where that is not allowed, at the bound nearest to zero; other states are as at the end, time
        as at the start. It needs states as `x` and `y`, and a Solution that knows its problem.
    figsize : (float, float), optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        For unknown names, variables of several components, or a field that cannot be computed.
    """
    pair = [panels.items(solution, [name], "phase")[0] for name in (x, y)]
    for item in pair:
        if len(item.components) != 1:
            wanted = f"one component, such as '{item.label(0)}'"
            raise ProblemError(f"plot.phase: '{item.name}' has shape {item.shape}; expected {wanted}.")
    first = min(pair, key=lambda item: item.kind)  # a control, if there is one
    t, _ = panels.curves(solution, first)
    path = [panels.values(solution, item, t)[:, 0] for item in pair]
    figure = panels.blank(figsize, (4.8, 4.6), panels.title(solution))
    axes = panels.bare(figure.add_subplot())
    axes.set_xlabel(f"{pair[0].kind} {pair[0].label(0)} {UNIT}", fontsize="small")
    axes.set_ylabel(f"{pair[1].kind} {pair[1].label(0)} {UNIT}", fontsize="small")
    if field:
        _draw_field(axes, solution, pair, path)
    width, marker = (0.8, ".") if solution.discrete else (1.6, "")
    axes.plot(*path, color=COLOURS[0], linewidth=width, marker=marker, zorder=3)
    look: dict[str, Any] = {"color": COLOURS[1], "linestyle": "none", "zorder": 4}
    (start,) = axes.plot(*(a[:1] for a in path), marker="o", markersize=9, markerfacecolor="white", **look)
    (end,) = axes.plot(*(a[-1:] for a in path), marker="s", markersize=5, **look)
    panels.legend_below(figure, [start, end], ["start", "end"], most=2)
    return figure


# ---------------------------------------------------------------------- what needs the problem


def _problem(solution: Any, where: str) -> Problem:
    if not isinstance(solution, Solution):
        got = type(solution).__name__
        raise ProblemError(f"plot.{where}: got {got}; expected a Solution, which knows its problem.")
    if solution.problem is None:
        raise ProblemError(f"plot.{where}: a loaded solution needs its problem: oc.load(path, problem=...).")
    return solution.problem


def _at(function: ca.Function, result: Any, t: Any, x: Any, dx: Any, u: Any) -> np.ndarray:
    """Evaluate a function of the problem at T points -> (T, outputs)."""
    constants = [np.tile(c.reshape(-1, 1), len(t)) for c in (result.q, result.parameters)]
    return np.array(function(t[None], x.T, dx.T, u.T, *constants)).T


def _hamiltonian(solution: Any, problem: Problem, times: np.ndarray, controls: Any = None) -> np.ndarray:
    """Evaluate ℓ + p·f at times (T,); `controls` (T, nu) where intervals meet and differ in them."""
    functions, found, start = problem.functions, [], 0
    parts = 1 + len(times) * (functions.nx + functions.nu) // 4_000_000  # of some thirty megabytes
    for t in np.array_split(times, min(parts, len(times))):
        x, u = solution.x(t), solution.u(t) if solution.u else np.zeros((len(t), 0))
        u = u if controls is None else controls[start : start + len(t)]
        start += len(t)
        p = np.exp(-rate(problem.horizon)) * solution.p(t + 1) if solution.discrete else solution.p(t)
        f = _at(functions.dynamics, solution.result, t, x, 0 * x, u)
        stage = _at(functions.stage, solution.result, t, x, f - x if solution.discrete else f, u)
        found.append(stage[:, 0] + np.sum(p * f, axis=1))
    return np.concatenate(found)


def _conserves(problem: Problem) -> bool:
    """Whether theory says that H is constant."""
    if isinstance(problem.horizon, Steps) or problem.samples or rate(problem.horizon):
        return False
    expressions = [problem.stage, *(v.dynamics for v in problem.of_kind("state"))]
    expressions += [c.expression for c in problem.constraints if c.at == "path"]
    return not any(ca.depends_on(e, problem.time) for e in expressions if e is not None)


def _draw_field(axes: Axes, solution: Any, pair: Sequence[Item], path: Sequence[np.ndarray]) -> None:
    """Draw where the dynamics lead without control, a little beyond the path."""
    functions = _problem(solution, "phase with field=True").functions
    if any(item.kind != "state" for item in pair):
        raise ProblemError(
            f"plot.phase: a field needs two states; got {[f'{item.kind} {item.name}' for item in pair]}."
        )
    if not all(np.isfinite(along).any() for along in path):
        raise ProblemError("plot.phase: a field is drawn around the path, which has no finite values.")
    bounds = functions.bounds(solution.result.parameters)
    control = np.clip(np.zeros(functions.nu), bounds.u_lower, bounds.u_upper)
    numbers = functions.unpack(np.arange(functions.nx), "state")
    places = [numbers[item.name].reshape(-1)[item.components[0]] for item in pair]
    sides = []
    for along in path:
        low, high = np.nanmin(along), np.nanmax(along)
        margin = 0.15 * (high - low) or 0.5 * abs(low) or 1.0
        sides.append(np.linspace(low - margin, high + margin, 17 if solution.discrete else 31))
    points = np.meshgrid(*sides)
    x = np.tile(solution.x.values[-1], (points[0].size, 1))
    for place, values in zip(places, points, strict=True):
        x[:, place] = values.ravel()
    t = np.full(len(x), solution.time[0])
    f = _at(functions.dynamics, solution.result, t, x, 0 * x, np.tile(control, (len(x), 1)))
    flow = [((f - x) if solution.discrete else f)[:, place].reshape(points[0].shape) for place in places]
    if solution.discrete:
        axes.quiver(*points, *flow, color="0.7", angles="xy", width=0.003, zorder=1)
    else:
        axes.streamplot(*sides, *flow, color="0.75", density=0.9, linewidth=0.6, arrowsize=0.7, zorder=1)
    axes.set_xlim(*sides[0][[0, -1]])
    axes.set_ylim(*sides[1][[0, -1]])
    note = "grey: flow with controls " + ("at the bounds nearest zero" if control.any() else "at zero")
    rest = ", other states as at the end" if functions.nx > 2 else ""
    axes.set_title(note + rest, fontsize="small")
