"""A finite horizon: the value function marched backwards from the terminal cost.

With τ = tf − t the equation is ∂v/∂τ = min over the controls of stage + f·∇v − ρv. Differences of order 3 to
the side of the drift, and the third-order Runge-Kutta method of Shu and Osher (J. Comput. Phys. 77, 1988)
that preserves stability. On the faces differences lean inwards: paths may leave the box.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ocnet.errors import SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.differences import Differences
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.levels import ORDER, Report
from ocnet.methods.hjb.scheme import Scheme

COURANT = 0.5
SLICES = 41
MOST = 200_000


def march(
    hamiltonian: Hamiltonian,
    grid: Grid,
    span: tuple[float, float],
    terminal: Callable[[np.ndarray], np.ndarray],
    order: int = ORDER,
    report: Report | None = None,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return times (M,), ascending, and values (M, size).

    Parameters
    ----------
    terminal : callable
        Final states (points, n) -> terminal cost (points,).
    order : {1, 3}
        1 is the monotone scheme.
    report : callable, optional
        (step, largest value, 0).
    threads : int
        No result depends on it.

    Raises
    ------
    SolveError
        If values become infinite, or the steps too small.
    """
    scheme = Scheme(hamiltonian, grid, False, order, threads)
    differences = Differences(grid, order)
    t0, tf = span
    times = np.linspace(tf, t0, SLICES)
    values = terminal(scheme.points)
    stored = [values]
    steps = 0

    def slope(v: np.ndarray, t: float) -> tuple[np.ndarray, float]:
        feedback = scheme.policy(v, differences, t, walls=False)
        signed = np.abs(feedback.drift) / scheme.finest
        change = scheme.residual(v, differences, feedback)
        return change, float(signed.sum(axis=1).max())

    t = tf
    for goal in times[1:].tolist():
        while t > goal + 1e-12 * (tf - t0):
            first, speed = slope(values, t)
            h = min(t - goal, COURANT / max(speed, 1e-300))
            if order == 1:
                values = values + h * first
            else:
                one = values + h * first
                two = 0.75 * values + 0.25 * (one + h * slope(one, t - h)[0])
                values = values / 3 + 2 / 3 * (two + h * slope(two, t - 0.5 * h)[0])
            t, steps = t - h, steps + 1
            if not np.isfinite(values).all() or steps > MOST:
                raise SolveError(
                    f"Value function marched backwards: it became infinite or its steps too small at "
                    f"t = {t:.4g} (step {h:.2g}). Bound the controls, or take a smaller box."
                )
        t = goal
        stored.append(values)
        if report is not None:
            report(steps, float(np.abs(values).max()), 0.0)
    return times[::-1].copy(), np.array(stored[::-1])
