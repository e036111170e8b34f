"""Figures of memories: the Pareto front of motion and effort, and what is known after each pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ocnet.figures.panels import COLOURS, GREY, UNIT, bare, blank, expect
from ocnet.memory.sequence import LearningHistory
from ocnet.pareto import ParetoFront

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["memories", "pareto"]

ENDS = ("innovative", "conservative")


def pareto(
    front: ParetoFront, *, ends: tuple[str, str] = ENDS, figsize: tuple[float, float] | None = None
) -> Figure:
    """Draw a Pareto front: the costs against each other, and both over the weight.

    Parameters
    ----------
    front : ParetoFront
    ends : (str, str)
        What the ends with the small and the large weight are called; by default as by F. Cardin et al.,
        arXiv 2305.14360, for motion and effort of control.
    figsize : (float, float), optional
        In inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        For something that is no front.
    """
    expect(front, ParetoFront, "pareto", "ocnet.pareto_front")
    first, second = front.costs.T
    title = f"{front.solutions[0].problem_name.split(' (')[0]}: {len(front.weights)} optima"
    figure = blank(figsize, (8.4, 3.7), title)
    left, right = (bare(axes) for axes in figure.subplots(1, 2))
    breaks = _jumps(front)
    for part in np.split(np.arange(len(first)), breaks):
        left.plot(first[part], second[part], color=GREY, linewidth=1.0, zorder=1)
    left.scatter(first, second, c=COLOURS[0], s=18, zorder=2)
    left.set_xlabel(f"{front.names[0]} $J_1$ {UNIT}", fontsize="small")
    left.set_ylabel(f"{front.names[1]} $J_2$ {UNIT}", fontsize="small")
    for i, place, align in ((0, (8, -2), "left"), (-1, (-2, 8), "right")):
        text = f"{ends[i]}, $\\mu$ = {front.weights[i]:.3g}"
        left.annotate(
            text, (first[i], second[i]), place, textcoords="offset points", fontsize="small", ha=align
        )
    logit = np.log10(front.weights / (1 - front.weights))
    for values, name, colour, marker in (
        (first, front.names[0], COLOURS[1], "o"),
        (second, front.names[1], COLOURS[2], "s"),
    ):
        span = float(np.ptp(values)) or 1.0
        right.plot(
            logit, (values - values.min()) / span, color=colour, marker=marker, markersize=4, linewidth=1.0,
            label=name,
        )  # fmt: skip
    right.set_xlabel(r"$\log_{10}\,\mu/(1-\mu)$", fontsize="small")
    right.set_ylabel("cost, scaled to its range", fontsize="small")
    right.legend(fontsize="small", frameon=False, loc="upper center")
    return figure


def memories(history: LearningHistory, *, figsize: tuple[float, float] | None = None) -> Figure:
    """Draw a sequence of patterns: which memories are recognised after each, and the sum of the changes.

    Parameters
    ----------
    history : LearningHistory
    figsize : (float, float), optional
        In inches.

    Returns
    -------
    matplotlib.figure.Figure
        Above, a filled square where a memory is recognised and an empty one where it is not; before it is
        recorded there is none. Below, the largest |Σξ| relative to its bound K.

    Raises
    ------
    ProblemError
        For something that is no history.
    """
    expect(history, LearningHistory, "memories", "ocnet.memory.learn_sequence")
    table, steps = history.recognised(), np.arange(len(history.steps))
    rows = len(history.memories)
    figure = blank(figsize, (1.6 + 0.55 * len(steps), 2.4 + 0.28 * rows), "Memories after each pattern")
    above, below = (bare(axes) for axes in figure.subplots(2, 1, sharex=True, height_ratios=[rows + 1, 4]))
    for m, since in enumerate(history.since):
        known = steps >= since
        for face, which, label in (
            (COLOURS[0], known & table[:, m], "recognised"),
            ("none", known & ~table[:, m], "forgotten"),
        ):
            above.plot(
                steps[which], np.full(which.sum(), m), "s", color=COLOURS[0], markerfacecolor=face,
                markersize=8, label=label if m == 0 else None,
            )  # fmt: skip
    for k, m, what in history.events():
        if what == "restored":
            above.plot(k, m, "o", color=COLOURS[1], markerfacecolor="none", markersize=15)
    above.plot([], [], "o", color=COLOURS[1], markerfacecolor="none", markersize=11, label="restored")
    above.set_ylim(rows - 0.4, -0.6)
    above.set_yticks(range(rows))
    above.set_ylabel("memory", fontsize="small")
    above.legend(fontsize="small", frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    below.step(steps, [step.load for step in history.steps], where="mid", color=COLOURS[0])
    below.axhline(1.0, color=GREY, linestyle="--", linewidth=0.8)
    below.set_ylabel(r"$|\Sigma\xi|\,/\,K$", fontsize="small")
    below.set_xlabel("pattern shown", fontsize="small")
    below.set_xticks(steps)
    below.set_ylim(0.0, None)
    return figure


def _jumps(front: ParetoFront) -> list[int]:
    """Return the indices of the points that begin a new branch."""
    return [int(np.searchsorted(front.weights, high)) for _, high in front.gaps]
