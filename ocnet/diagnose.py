"""What went wrong: a failed solve in the user's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ocnet.solution import Solution, Status

if TYPE_CHECKING:
    from ocnet.functions import Functions
    from ocnet.problem import Kind

_ADVICE = {
    Status.INFEASIBLE: "check that the constraints can hold together, loosen the worst one, or give a guess",
    Status.ITERATION_LIMIT: "give a better guess, or (Collocation) raise options={'max_iter': ...}",
    Status.REFINEMENT_LIMIT: "raise max_refinements or max_points (max_intervals), or loosen refine_to",
    Status.DIVERGED: "bound the states and controls, or give a guess",
    Status.NOT_FINITE: "bound the states away from where the dynamics or the cost are not defined",
    Status.INTERRUPTED: "pass the solution as guess to go on",
    Status.NOT_MINIMAL: "give another guess, multistart=..., or use ocnet.Collocation",
    Status.FAILED: "give another guess, multistart=..., or bounds on the controls",
}


def failure_text(solution: Solution) -> str:
    """Return how a solve ended, which constraints are violated most, and what to try, as one sentence each.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    str
    """
    lines = [
        f"Problem '{solution.problem_name}': {solution.status.value} "
        f"({solution.message.split('(')[-1].rstrip(')')})."
    ]
    worst = violations(solution)
    if worst:
        lines.append("Largest violations: " + "; ".join(worst) + ".")
    if solution.status is Status.REFINEMENT_LIMIT:
        lines.append(f"The estimated error of the states is {solution.mesh_error:.2e}.")
    if solution.status in _ADVICE:
        lines.append(f"Try this: {_ADVICE[solution.status]}.")
    return " ".join(lines)


def violations(solution: Solution, most: int = 3, smallest: float = 1e-6) -> list[str]:
    """Describe the largest violations of dynamics, bounds and constraints, worst first.

    Parameters
    ----------
    solution : Solution
        With its problem.
    most : int
        How many.
    smallest : float
        What counts as a violation.

    Returns
    -------
    list of str
        Such as "dynamics of z[0, 3] at t = 0.25: off by 1.2e-01".
    """
    problem = solution.problem
    if problem is None:
        return []
    f, q, p = problem.functions, solution.result.q, solution.result.parameters
    b = f.bounds(p)
    found: list[tuple[float, str]] = []
    missing: list[tuple[float, str]] = []
    sign = "k" if solution.discrete else "t"

    def add(amount: np.ndarray, labels: list[str], times: np.ndarray, what: str) -> None:
        for i, label in enumerate(labels):
            lost = np.flatnonzero(np.isnan(amount[:, i])) if amount.size else []
            if len(lost):
                missing.append(
                    (float(times[lost[0]]), f"{what}{label} at {sign} = {times[lost[0]]:.6g}: not a number")
                )
            if len(lost) < len(amount):
                j = int(np.nanargmax(amount[:, i]))
                if amount[j, i] > smallest:
                    found.append(
                        (amount[j, i], f"{what}{label} at {sign} = {times[j]:.6g}: off by {amount[j, i]:.2e}")
                    )

    x, u = solution.x, solution.u
    bounded: list[tuple[Any, np.ndarray, np.ndarray, Kind]] = [(x, b.x_lower, b.x_upper, "state")]
    if u is not None:
        bounded.append((u, b.u_lower, b.u_upper, "control"))
    for stored, low, high, kind in bounded:
        values, times = stored.values, stored.time
        add(np.fmax(low - values, values - high), f.labels(kind), times, f"bound of {kind} ")
    at = u.time if u is not None else x.time[1:]
    controls = u.values if u is not None else np.zeros((len(at), 0))
    here = x(at)
    flow = _evaluate(f, "dynamics", at, here, controls, q, p)
    moved = x.values[1:] if solution.discrete else x(at, derivative=True)
    add(np.abs(moved - flow) / (1 + np.abs(flow)), f.labels("state"), at, "dynamics of ")
    path = _evaluate(f, "path", at, here, controls, q, p, flow)
    low, high = b.constraints["path"]
    add(np.fmax(low - path, path - high), f.constraint_labels("path"), at, "path constraint ")
    for place, row, value in (("initial", 0, b.initial), ("final", -1, b.final)):
        moment = x.time[[row]]
        gap = np.abs(x.values[[row]] - value)
        add(np.nan_to_num(gap), f.labels("state"), moment, f"{place} value of ")
        low, high = b.constraints[place]
        end = _evaluate(f, place, moment, x.values[[row]], np.zeros((1, f.nu)), q, p)
        add(np.fmax(low - end, end - high), f.constraint_labels(place), moment, f"{place} constraint ")
    first = [text for _, text in sorted(missing)[:1]]
    return (first + [text for _, text in sorted(found, reverse=True)])[:most]


def _evaluate(
    f: Functions,
    name: str,
    t: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
    q: np.ndarray,
    p: np.ndarray,
    dx: object = None,
) -> np.ndarray:
    function = getattr(f, name)
    rows = [
        function(t[i], x[i], 0 if dx is None else np.asarray(dx)[i], u[i], q, p).full().ravel()
        for i in range(len(t))
    ]
    return np.array(rows).reshape(len(t), -1)
