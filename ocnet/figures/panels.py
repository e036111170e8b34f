"""Panels: how the figures of :mod:`ocnet.plot` are put together from variables, axes, curves and bounds."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ocnet.errors import ProblemError
from ocnet.horizon import Discounted, Steps
from ocnet.solution import Solution
from ocnet.trajectory import Interpolant, Trajectory, split

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours without yellow, too pale for a line: told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "0.45"
UNIT = "(dimensionless)"
LEGEND_LINES = 10  # more curves than this are coloured by their index
MOST_LINES = 400  # more curves than this are thinned out
LONG_NAME = 6  # longer names of variables are left out of legends: the axis says them
MOST_DOTS = 60  # more steps than this are drawn without dots
POINTS = 600  # on a curve, at least


# ---------------------------------------------------------------------- what is drawn


Kind = Literal["state", "costate", "control"]


@dataclass(frozen=True)
class Item:
    """Components of one variable, drawn in one panel; `components` are flat indices in C order."""

    kind: Kind
    name: str
    shape: tuple[int, ...]
    components: tuple[int, ...]

    @property
    def title(self) -> str:
        """What the axis is called, on two lines; one or two components that were picked are named."""
        picked = len(self.components) <= 2 and len(self.components) < np.prod(self.shape)
        name = ", ".join(self.label(i) for i in range(len(self.components))) if picked else self.name
        what = f"{'costate of' if self.kind == 'costate' else self.kind} {name}"
        return f"{textwrap.fill(what, 26)}\n{UNIT}"

    def label(self, i: int, *, short: bool = False) -> str:
        """Name of the i-th component that is drawn, such as ``W[0, 1]``; a long name may be left out."""
        index = ", ".join(str(k) for k in np.unravel_index(self.components[i], self.shape))
        name = "" if short and len(self.name) > LONG_NAME else self.name
        return self.name if self.shape == (1,) else f"{name}[{index}]"

    def thinned(self) -> Item:
        """Return an item of at most MOST_LINES components, evenly chosen."""
        total = len(self.components)
        chosen = np.linspace(0, total - 1, min(total, MOST_LINES)).round().astype(int)
        return replace(self, components=tuple(self.components[i] for i in chosen))


def expect(thing: Any, kind: type, where: str, made_by: str) -> None:
    """Refuse what is not of a kind; `made_by` says where one comes from."""
    if not isinstance(thing, kind):
        raise ProblemError(
            f"plot.{where}: got {type(thing).__name__}; expected a {kind.__name__}, which {made_by} returns."
        )


def checked(solution: Any, where: str) -> Trajectory:
    """Return what is a Solution or Trajectory, and refuse everything else."""
    if not isinstance(solution, Trajectory):
        got = f"got {type(solution).__name__}; expected a Solution or Trajectory"
        raise ProblemError(f"plot.{where}: {got}, as solve and simulate return them.")
    return solution


def items(solution: Any, names: str | Sequence[str] | None, where: str) -> list[Item]:
    """Read names of variables and components; the costates of the states that were named come last."""
    trajectory = checked(solution, where)
    owner = f"plot.{where}: '{trajectory.problem_name}'"
    known: dict[str, tuple[Kind, tuple[int, ...]]] = {}
    known |= {name: ("state", tuple(shape)) for name, shape in trajectory.state_layout}
    known |= {name: ("control", tuple(shape)) for name, shape in trajectory.control_layout}
    wanted: dict[str, tuple[int, ...]] = {}
    for name in known if names is None else [names] if isinstance(names, str) else names:
        part = re.fullmatch(r"(.+?)\s*\[\s*(\d+(?:\s*,\s*\d+)*)\s*\]", str(name))
        if name in known:
            wanted[name] = tuple(range(int(np.prod(known[name][1]))))
        elif part and part[1] in known:
            index, shape = tuple(int(i) for i in part[2].split(",")), known[part[1]][1]
            if len(index) != len(shape) or any(i >= n for i, n in zip(index, shape, strict=True)):
                raise ProblemError(f"{owner} has no {name!r}; '{part[1]}' has shape {shape}, counted from 0.")
            chosen = (*wanted.get(part[1], ()), int(np.ravel_multi_index(index, shape)))
            wanted[part[1]] = tuple(dict.fromkeys(chosen))
        else:
            raise ProblemError(f"{owner} has no state or control {name!r}; it has {list(known)}.")
    if not wanted:
        raise ProblemError(f"{owner}: the list of names is empty; there are {list(known)}.")
    found = [Item(known[name][0], name, known[name][1], chosen) for name, chosen in wanted.items()]
    with_costates = isinstance(trajectory, Solution) and trajectory.p is not None
    return found + [replace(item, kind="costate") for item in found if with_costates and item.kind == "state"]


def arranged(found: Sequence[Item]) -> list[list[Item]]:
    """Arrange items in columns: states, costates, controls."""
    columns = [[item for item in found if item.kind == kind] for kind in ("state", "costate", "control")]
    return [column for column in columns if column]


def interpolant(trajectory: Any, item: Item) -> Interpolant:
    """Return what an item is part of."""
    return {"state": trajectory.x, "control": trajectory.u}.get(item.kind) or trajectory.p


def curve_times(f: Interpolant) -> np.ndarray:
    """Return times that show each polynomial on its whole interval, with both limits at the breaks."""
    if f.discrete:
        return f.time
    degree = int(f.count.max()) - 1
    points = max(degree + 2, -(-POINTS // len(f.count))) if degree else 2
    t = f.breaks[:-1, None] + np.diff(f.breaks)[:, None] * np.linspace(0.0, 1.0, points)
    t[:, -1] = np.append(np.nextafter(f.breaks[1:-1], -np.inf), f.breaks[-1])
    return t.ravel()


def values(trajectory: Trajectory, item: Item, t: np.ndarray) -> np.ndarray:
    """Evaluate the components of an item at t (T,) -> (T, components)."""
    if len(item.components) > MOST_LINES:  # a large matrix at a few times
        return getattr(trajectory, item.kind)(item.name, t).reshape(len(t), -1)[:, list(item.components)]
    layout = trajectory.control_layout if item.kind == "control" else trajectory.state_layout
    numbers = split(np.arange(sum(int(np.prod(shape)) for _, shape in layout)), layout)[item.name]
    columns = numbers.reshape(-1)[list(item.components)]
    return interpolant(trajectory, item).components(columns)(t)


def curves(trajectory: Trajectory, item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate an item where its curves are drawn: times (T,) and values (T, components)."""
    t = curve_times(interpolant(trajectory, item))
    found = values(trajectory, item, t)
    twice = np.flatnonzero(np.diff(t) <= 2 * np.spacing(np.abs(t[1:])))  # the two limits at a break
    jump = np.abs(found[twice + 1] - found[twice]).max(axis=1) > 1e-9 * np.abs(found).max()
    once = np.delete(np.arange(len(t)), twice[~jump])
    return t[once], found[once]


def resting_time(trajectory: Trajectory) -> float:
    """Return when a time axis may end: on an infinite horizon, after the states have visibly come to rest."""
    horizon = trajectory.problem.horizon if isinstance(trajectory, Solution) and trajectory.problem else None
    t = curve_times(trajectory.x)
    if isinstance(horizon, Discounted) or (isinstance(horizon, Steps) and horizon.n is None):
        away = np.abs(trajectory.x(t) - trajectory.x(t[-1])).max(axis=1)
        moving = np.flatnonzero(away[:-1] > 0.005 * away.max())
        return min(1.5 * t[moving[-1] + 1], t[-1]) if len(moving) else t[-1]
    return t[-1]


def telling_times(trajectory: Trajectory, item: Item, number: int) -> np.ndarray:
    """Return times from start to end that share out both the time and the movement of an item evenly."""
    t, found = curves(trajectory, item.thinned())
    t = t[t <= resting_time(trajectory)]
    steps = np.linalg.norm(np.diff(np.nan_to_num(found[: len(t)]), axis=0), axis=1)
    moved = np.append(0.0, np.cumsum(steps))
    progress = moved / (moved[-1] or 1.0) + (t - t[0]) / (t[-1] - t[0] or 1.0)
    times = np.interp(np.linspace(0.0, progress[-1], number), progress, t)
    return np.rint(times) if trajectory.discrete else times


# ---------------------------------------------------------------------- how it is drawn


def blank(figsize: tuple[float, float] | None, default: tuple[float, float], title: str) -> Figure:
    """Return an empty figure that pyplot does not know."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=default if figsize is None else figsize, dpi=150, layout="constrained")
    figure.suptitle(textwrap.fill(title, max(20, int(11 * figure.get_figwidth()))), fontsize="medium")
    return figure


def title(solution: Trajectory) -> str:
    """Name of the problem; of a solution the cost too, and what went wrong if it is no success."""
    if not isinstance(solution, Solution):
        return solution.problem_name
    status = "" if solution.success else f" ({solution.status.name.lower().replace('_', ' ')})"
    return f"{solution.problem_name}: {cost(solution)}{status}"


def cost(solution: Solution) -> str:
    """Name the cost, with the minus sign that axes have."""
    return f"cost {solution.cost:.7g}".replace("-", "−")


def over_time(
    axes: Axes, trajectory: Trajectory, label: str, *, last: bool = True, strokes: bool = True
) -> Axes:
    """Dress axes for a quantity over time, with strokes at the mesh points."""
    bare(axes).set_ylabel(label, fontsize="small")
    axes.tick_params(labelbottom=last)
    if last:
        axes.set_xlabel("step k" if trajectory.discrete else f"time t {UNIT}", fontsize="small")
    axes.margins(x=0.05 if trajectory.discrete else 0.0)
    if strokes and not trajectory.discrete:
        rising: dict[str, Any] = {"marker": 2, "markersize": 4, "markeredgewidth": 0.6, "linestyle": "none"}
        breaks = trajectory.x.breaks
        axes.plot(breaks, 0.0 * breaks, color=GREY, transform=axes.get_xaxis_transform(), **rising)
    return axes


def bare(axes: Axes) -> Axes:
    """Dress axes: no frame on the right and above, small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize="small")
    axes.yaxis.get_offset_text().set_fontsize("small")
    axes.xaxis.get_offset_text().set_fontsize("small")
    return axes


def grid(
    figure: Figure, columns: Sequence[Sequence[Item]], trajectory: Trajectory, *, strokes: bool = True
) -> Iterator[tuple[Axes, Item]]:
    """Give axes for each item, one column for each kind, all over the same time."""
    cells, first = figure.add_gridspec(max(map(len, columns)), len(columns)), None
    for i, column in enumerate(columns):
        for j, item in enumerate(column):
            axes = figure.add_subplot(cells[j, i], sharex=first)
            first = first or axes
            last = item is column[-1]
            yield over_time(axes, trajectory, item.title, last=last, strokes=strokes), item
    figure.align_ylabels()


def grid_size(columns: Sequence[Sequence[Item]]) -> tuple[float, float]:
    """Width and height in inches that suit so many columns and rows."""
    return 1.2 + 3.1 * len(columns), 1.0 + 1.9 * max(map(len, columns))


def stack(figure: Figure, trajectory: Trajectory, labels: Collection[str]) -> Iterator[tuple[str, Axes]]:
    """Give axes below each other, one for each label, all over the same time."""
    column = figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, label in zip(column, labels, strict=True):
        yield label, over_time(axes, trajectory, label, last=axes is column[-1])
    figure.align_ylabels()


def steps(trajectory: Trajectory, t: np.ndarray) -> dict[str, Any]:
    """Return line properties: in discrete time values are held, with dots unless they are many."""
    if not trajectory.discrete:
        return {}
    return {"drawstyle": "steps-post", "marker": "o" if len(t) <= MOST_DOTS else "", "markersize": 3.0}


def draw(axes: Axes, solution: Trajectory, item: Item) -> None:
    """Draw the curves of an item, with a legend or a colour bar, and its bounds."""
    total, item = len(item.components), item.thinned()
    t, found = curves(solution, item)
    count = len(item.components)
    colours: list[Any] = [GREY] * count
    if count <= LEGEND_LINES:
        colours = [COLOURS[i % len(COLOURS)] for i in range(count)]
        for i, colour in enumerate(colours):
            look = {"color": colour, "linestyle": DASHES[2 * (i // len(COLOURS))], "linewidth": 1.4}
            axes.plot(t, found[:, i], label=item.label(i, short=True), **look, **steps(solution, t))
        if count > 1:
            room = axes.get_window_extent().width / axes.figure.dpi  # inches, nearly
            most = max(1, int(room / (0.4 + 0.06 * len(item.label(count - 1, short=True)))))
            axes.legend(
                loc="lower left",
                bbox_to_anchor=(0.0, 1.0),
                ncols=-(-count // -(-count // most)),  # as few rows as fit, equally full
                fontsize="small",
                frameon=False,
                handlelength=1.4,
                columnspacing=1.0,
                labelspacing=0.2,
                borderaxespad=0.2,
            )
    else:
        shade(axes, t, found, item, total, solution.discrete)
    draw_bounds(axes, solution, item, colours)
    settle(axes)


def shade(axes: Axes, t: np.ndarray, found: np.ndarray, item: Item, total: int, discrete: bool) -> None:
    """Draw many thin curves, coloured by their index."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    if discrete:
        t, found = np.repeat(t, 2)[1:], np.repeat(found, 2, axis=0)[:-1]
    count = found.shape[1]
    segments = np.stack([np.broadcast_to(t, (count, len(t))), found.T], axis=2)
    dark = np.linspace(0.0, 0.93, 256)  # the yellow at the end is too pale for a line
    colours = ListedColormap(colormaps["viridis"](dark))
    look: dict[str, Any] = {"cmap": colours, "linewidths": 0.7, "joinstyle": "round"}  # no spikes at jumps
    lines = LineCollection(list(segments), array=np.arange(count), **look)
    axes.add_collection(lines)
    axes.autoscale_view()
    bar = colour_bar(axes.figure, lines, axes, "" if count == total else f"{count} of {total} components")
    ticks = np.linspace(0, count - 1, 5).round().astype(int)
    bar.set_ticks(ticks, labels=[item.label(i, short=True) for i in ticks])


def colour_bar(figure: Any, source: Any, axes: Any, label: str, aspect: float = 20.0) -> Any:
    """Add a colour bar with a small label."""
    bar = figure.colorbar(source, ax=axes, aspect=aspect, pad=0.02)
    bar.set_label(label, fontsize="small")
    bar.ax.tick_params(labelsize="small")
    return bar


def draw_bounds(axes: Axes, solution: Trajectory, item: Item, colours: Sequence[Any]) -> None:
    """Draw finite bounds as dashed lines, unless they would flatten the curves that the axes hold."""
    low, high = axes.dataLim.intervaly
    if item.kind == "costate" or not isinstance(solution, Solution) or solution.problem is None or low > high:
        return
    functions = solution.problem.functions
    bounds = functions.bounds(solution.result.parameters)
    both = (bounds.x_lower, bounds.x_upper) if item.kind == "state" else (bounds.u_lower, bounds.u_upper)
    reach = max(high - low, abs(low), abs(high))
    lower, upper = (
        functions.unpack(b, item.kind)[item.name].reshape(-1)[list(item.components)] for b in both
    )
    for bound in (lower, upper):
        near = (np.abs(bound - (low + high) / 2) <= 5 * reach) | (reach < 1e-6 * np.abs(bound))
        levels = np.unique(bound[near & np.isfinite(bound) & (lower < upper)])
        for level in levels if len(levels) <= LEGEND_LINES else ():
            owners = np.flatnonzero(bound == level)
            colour = colours[owners[0]] if len(owners) == 1 and len(bound) > 1 else GREY
            axes.axhline(level, color=colour, linestyle=(0, (5, 4)), linewidth=0.8, zorder=1)


def settle(axes: Axes) -> None:
    """Keep rounding errors of a constant from filling the panel."""
    low, high = axes.dataLim.intervaly
    scale = max(abs(low), abs(high))
    if np.isfinite(scale) and high - low < 1e-6 * scale:
        axes.set_ylim(low - 0.1 * scale, high + 0.1 * scale)


def crop(axes: Axes, trajectories: Iterable[Trajectory]) -> None:
    """End the time axis of a finished figure where nothing moves any more; see :func:`resting_time`."""
    ends = [(resting_time(trajectory), trajectory.time[-1]) for trajectory in trajectories]
    if all(rest < last for rest, last in ends):
        axes.set_xlim(right=max(rest for rest, _ in ends))


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str], most: int) -> None:
    """Add a legend below all panels, with at most so many columns."""
    columns = min(len(labels), most)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize="small")
