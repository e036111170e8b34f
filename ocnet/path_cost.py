"""The cost of a path: in its own problem, in one with other prices, or up to some moment."""

from __future__ import annotations

import numpy as np

from ocnet.horizon import Finite, rate
from ocnet.pointwise import evaluate
from ocnet.problem import Problem
from ocnet.solution import Solution

GAUSS = np.polynomial.legendre.leggauss(8)


def path_cost(
    solution: Solution, problem: Problem, parameters: np.ndarray, until: float | None = None
) -> float:
    """Return the cost that the path of a solution has in a problem of the same variables.

    Parameters
    ----------
    solution : Solution
    problem : Problem
        The solution's own, or one with another cost.
    parameters : ndarray (np,)
        Flat, of that problem.
    until : float, optional
        Stage costs are counted up to here, a time of a mesh point or a step, and nothing else is; by default
        the whole path, with terminal and sample costs.

    Returns
    -------
    float
        Discounted to the start, in the unit of the cost. On an infinite horizon it ends with the stored path.
    """
    f, x, u, q = problem.functions, solution.x, solution.u, solution.result.q
    t0 = problem.horizon.t0 if isinstance(problem.horizon, Finite) else 0.0
    discount, total = rate(problem.horizon), 0.0

    def stage(t: np.ndarray, dx: np.ndarray) -> np.ndarray:
        values = evaluate(f.stage, t, x(t), dx, np.zeros((len(t), 0)) if u is None else u(t), q, parameters)[
            0
        ]
        flat = values[:, 0] if values.shape[1] else np.zeros(len(t))  # a cost that is zero has no entries
        return flat * np.exp(-discount * (t - t0))

    if solution.discrete:
        last = len(x.time) - 1 if until is None else round(until - x.time[0])
        total += float(stage(x.time[:last], np.diff(x.values[: last + 1], axis=0)).sum()) if last else 0.0
    else:
        breaks = x.breaks if until is None else x.breaks[x.breaks <= until + 1e-9 * (1 + abs(until))]
        h = np.diff(breaks)
        for place, part in zip(*GAUSS, strict=True):
            t = breaks[:-1] + h * (1 + place) / 2
            total += float(h @ stage(t, x(t, derivative=True))) * part / 2 if len(h) else 0.0
    if until is not None:
        return total
    none = (np.zeros(f.nx), np.zeros(f.nu), q, parameters)
    end = float((x.time if solution.discrete else x.breaks)[-1])
    total += float(f.terminal(end, x(end), *none)) * float(np.exp(-discount * (end - t0)))
    for sample, function in zip(problem.samples, f.samples, strict=True):
        total += float(function(sample.time, x(sample.time), *none))
    return total
