"""A finite horizon: the value function marched backwards from the terminal cost.

With τ = tf − t the equation is ∂v/∂τ = min over the controls of stage + f·∇v − ρv. Differences of order 3 to
the side of the drift, and the third-order Runge-Kutta method of Shu and Osher (J. Comput. Phys. 77, 1988)
that preserves stability. On the faces differences lean inwards: paths may leave the box.

Half as many nodes take half as many steps, so that the difference of two grids holds the error of the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ocnet.errors import SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.differences import Differences
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.levels import ORDER, Report
from ocnet.methods.hjb.scheme import Scheme

COURANT = 0.5
SLICES = 41  # odd: every other one, the ends among them, is a slice of the coarser grid
TRIALS = 161  # times from which those of the slices are found
CROWDED = 4  # power of the spacing of the trial times: the closer to tf, the denser
EVEN = 0.25  # share of the slices that are spaced evenly, whatever v does
FEWEST = 2  # steps between two slices of the finer grid
MOST = 200_000

Terminal = Callable[[np.ndarray], np.ndarray]  # final states (points, n) -> terminal cost (points,)


class March(NamedTuple):
    """Values (M, size) at M ascending times, or (1, size) at the first, and how v bends in time (M − 1,).

    The bend is the largest change of ∂v/∂t between two times over their distance.
    """

    values: np.ndarray
    bend: np.ndarray


def trial_times(span: tuple[float, float]) -> np.ndarray:
    """Return times (TRIALS,), ascending, that are the denser the closer to the end."""
    t0, tf = span
    times = tf - (tf - t0) * np.linspace(1.0, 0.0, TRIALS) ** CROWDED
    times[0] = t0
    return times


def slice_times(times: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Return the times (SLICES,), ascending, at which a march over other times shows that slices are needed.

    A cubic between slices is off by the fourth power of their spacing. They are dense as the fourth root of
    the bend, which makes the error the same everywhere where v settles exponentially.
    """
    gaps = np.diff(times)
    dense = np.nan_to_num(bend, nan=0.0, posinf=0.0) ** 0.25
    if not (total := float((dense * gaps).sum())) > 0:
        dense, total = np.ones_like(gaps), float(gaps.sum())
    share = (1 - EVEN) * dense * gaps / total + EVEN * gaps / gaps.sum()
    reached = np.concatenate([[0.0], np.cumsum(share)])
    found = np.interp(np.linspace(0.0, reached[-1], SLICES), reached, times)
    found[0], found[-1] = times[0], times[-1]
    return found


def march(
    hamiltonian: Hamiltonian,
    grid: Grid,
    times: np.ndarray,
    terminal: Terminal,
    order: int = ORDER,
    report: Report | None = None,
    threads: int = 1,
    fewest: int = FEWEST,
    keep: bool = True,
) -> March:
    """March from the last time to the first.

    Parameters
    ----------
    times : ndarray (M,)
        Ascending. No step goes beyond one.
    terminal : callable
        Final states (points, n) -> terminal cost (points,).
    order : {1, 3}
        1 is the monotone scheme.
    report : callable, optional
        (step, largest value, 0).
    threads : int
        No result depends on it.
    fewest : int
        Steps between two times, at least.
    keep : bool
        Whether to return the values at all times, not at the first one only.

    Raises
    ------
    SolveError
        If values become infinite, or the steps too small.
    """
    scheme = Scheme(hamiltonian, grid, False, order, threads)
    differences = Differences(grid, order)
    values = terminal(scheme.points)
    stored, bend = [values], []
    longest, steps = float(times[-1] - times[0]) / (2 * max(grid.shape)), 0

    def slope(v: np.ndarray, t: float) -> tuple[np.ndarray, float]:
        feedback = scheme.policy(v, differences, t, walls=False)
        signed = np.abs(feedback.drift) / scheme.finest
        change = scheme.residual(v, differences, feedback)
        return change, float(signed.sum(axis=1).max()) + scheme.rate

    def step(v: np.ndarray, t: float, h: float, first: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the values a step before t, and the largest speed on the way."""
        if order == 1:
            return v + h * first, 0.0
        one = v + h * first
        second, fast = slope(one, t - h)
        two = 0.75 * v + 0.25 * (one + h * second)
        third, faster = slope(two, t - 0.5 * h)
        return v / 3 + 2 / 3 * (two + h * third), max(fast, faster)

    first, speed = slope(values, float(times[-1]))
    for t, goal in zip(times[:0:-1].tolist(), times[-2::-1].tolist(), strict=True):
        gap, start = t - goal, first
        left, most = gap, min(longest, gap / fewest)
        while left > 1e-12 * gap:
            h = left / max(1.0, np.ceil(left / min(most, COURANT / max(speed, 1e-300)) - 1e-9))
            following, fastest = step(values, goal + left, h, first)
            while fastest * h > 2 * COURANT:  # the speed rises within the step, as from a flat terminal cost
                h *= 0.5
                following, fastest = step(values, goal + left, h, first)
            values, left, steps = following, left - h, steps + 1
            if not (h > 0 and np.isfinite(values).all()) or steps > MOST:
                raise SolveError(
                    f"Value function marched backwards: it became infinite or its steps too small at "
                    f"t = {goal + left:.4g} (step {h:.2g}). Bound the controls, or take a smaller box."
                )
            first, speed = slope(values, goal + left)
        bend.append(float(np.abs(first - start).max()) / gap)
        stored = [*stored, values] if keep else [values]
        if report is not None:
            report(steps, float(np.abs(values).max()), 0.0)
    return March(np.array(stored[::-1]), np.array(bend[::-1]))
