"""Figures of attention: where the window was, what it took, and how the objective fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ocnet.attention import Relaxation
from ocnet.errors import ProblemError
from ocnet.figures.panels import COLOURS, expect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["attention", "film"]


def attention(
    runs: Relaxation | Mapping[str, Relaxation], *, figsize: tuple[float, float] = (9.0, 3.2)
) -> Figure:
    """Draw how far E is above its lowest value over connection updates, and the most neurons active.

    Parameters
    ----------
    runs : Relaxation or mapping of str to Relaxation
        By the names that the legend shows, all of one network.
    figsize : (float, float)
        In inches.

    Returns
    -------
    matplotlib.figure.Figure
        Left: E minus the lowest E of all runs, over connection updates. Right: the most virtual neurons that
        were active at a time.

    Raises
    ------
    ProblemError
        If there are no runs, or one was interrupted before its first phase.
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    if not named:
        raise ProblemError("plot.attention: there are no runs; expected at least one Relaxation by name.")
    for name, run in named.items():
        expect(run, Relaxation, "attention", "ocnet.attention.relax")
        if not len(run.history["energy"]):
            which = f"the run '{name}'" if name else "the run"
            raise ProblemError(
                f"plot.attention: {which} has no phase (its status is '{run.status}'); expected one at "
                "least: continue it with relax(network, rule, initial=run)."
            )
    figure = _figure(figsize)
    left, right = figure.subplots(1, 2)
    least = min(float(run.history["energy"].min()) for run in named.values())
    for k, (name, run) in enumerate(named.items()):
        updates, colour = run.history["connection_updates"], COLOURS[k % len(COLOURS)]
        above = np.maximum(run.history["energy"] - least, 0.0)
        left.plot(updates, above, color=colour, label=name)
        right.barh(k, run.counters.peak_active, color=colour)
        right.text(run.counters.peak_active, k, f" {run.counters.peak_active}", va="center", fontsize="small")
    left.set(xlabel="connection updates", ylabel="E − lowest E")
    left.set_yscale("symlog", linthresh=1e-3 * max(1e-9, abs(least)))
    if isinstance(runs, Mapping):
        left.legend(fontsize="small")
    right.set_yticks(range(len(named)), list(named))
    right.set(xlabel="most neurons active at a time")
    right.margins(x=0.2)
    right.invert_yaxis()
    return figure


def film(
    frames: Sequence[np.ndarray],
    places: Sequence[Any] = (),
    window: Sequence[int] | None = None,
    *,
    titles: Sequence[str] = (),
    path: np.ndarray | None = None,
    limits: tuple[float, float] = (-1.0, 1.0),
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw pictures of a lattice side by side, with the window's outline.

    Parameters
    ----------
    frames : sequence of ndarray (rows, columns)
    places : sequence of (row, column) or None
        Middle of the window in each frame, in sites.
    window : (int, int), optional
        Sites of the window along rows and columns.
    titles : sequence of str
        One for each frame.
    path : ndarray (M, 2), optional
        Middles of the window over time, drawn into the last frame without jumps farther than the window.
    limits : (float, float)
        Values of the darkest and the lightest grey.
    figsize : (float, float), optional
        In inches.

    Raises
    ------
    ProblemError
        If there are no frames.
    """
    if not len(frames):
        raise ProblemError("plot.film: there are no frames; expected at least one picture.")
    figure = _figure(figsize or (2.3 * len(frames), 2.6))
    all_axes = np.atleast_1d(figure.subplots(1, len(frames)))
    for k, (axes, frame) in enumerate(zip(all_axes, frames, strict=True)):
        axes.imshow(frame, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
        place = places[k] if k < len(places) else None
        if window is not None and place is not None:
            rows, columns = (float(n) for n in window)
            corner = (float(place[1]) - columns / 2, float(place[0]) - rows / 2)
            axes.add_patch(_outline(corner, columns, rows))
        if k < len(titles):
            axes.set_title(titles[k], fontsize="small")
        axes.set_xticks([])
        axes.set_yticks([])
    if path is not None:
        longest = max(window) if window is not None else np.inf
        jumps = np.flatnonzero(np.abs(np.diff(path, axis=0)).max(axis=1, initial=0.0) > longest) + 1
        broken = np.insert(np.asarray(path, dtype=float), jumps, np.nan, axis=0)
        all_axes[-1].plot(broken[:, 1], broken[:, 0], color=COLOURS[1], linewidth=0.8)
    return figure


def _figure(figsize: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, layout="constrained")


def _outline(corner: tuple[float, float], width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, fill=False, edgecolor=COLOURS[1], linewidth=1.5)
