"""Two identities of the value function, as numbers: Bellman's principle, and the final value theorem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import OptionError, ProblemError
from ocnet.horizon import Discounted, Steps, rate
from ocnet.path_cost import path_cost
from ocnet.pointwise import evaluate
from ocnet.problem import Problem
from ocnet.solution import Solution
from ocnet.solve import Method, prepare

Restart = Callable[[float, np.ndarray], Problem]


@dataclass(frozen=True)
class BellmanCheck:
    """V(x₀) against ∫_0^t e^{−λs} ℓ ds + e^{−λt} V(x(t)), V(x(t)) being solved for again.

    Attributes
    ----------
    times : ndarray (n,)
        Mesh points (steps) nearest to those asked for.
    before, after : ndarray (n,)
        The cost up to t, and the discounted optimal cost from there on.
    cost : float
        V(x₀), the cost of the solution.
    """

    times: np.ndarray
    before: np.ndarray
    after: np.ndarray
    cost: float

    @property
    def residuals(self) -> np.ndarray:
        """V(x₀) less the sum (n,): > 0 where a cheaper way on was found than that of the solution."""
        return self.cost - self.before - self.after

    def __str__(self) -> str:
        lines = [f"Dynamic programming: V(x₀) = {self.cost:.10g}"]
        lines.append(f"  {'t':>10}  {'cost up to t':>14}  {'e^(−λt) V(x(t))':>16}  {'residual':>10}")
        rows = zip(self.times, self.before, self.after, self.residuals, strict=True)
        lines += [f"  {t:10.4g}  {a:14.8g}  {b:16.8g}  {r:10.1e}" for t, a, b, r in rows]
        return "\n".join(lines)


def dynamic_programming(
    solution: Solution,
    times: Sequence[float],
    *,
    restart: Restart | None = None,
    method: Method | None = None,
    tolerance: float = 1e-8,
) -> BellmanCheck:
    """Solve again from states on the way, and see whether the rest of the path was optimal.

    Parameters
    ----------
    solution : Solution
        With its problem.
    times : sequence of float
        Moments of the path; the nearest mesh points (steps) are taken.
    restart : callable, optional
        (t, x (nx,)) -> Problem: what is left to be solved at t in the state x, its time beginning anew. By
        default, on an infinite horizon, the problem itself, whose initial state has to be a parameter.
    method : Collocation or Pontryagin, optional
    tolerance : float
        Of each solve.

    Returns
    -------
    BellmanCheck

    Raises
    ------
    ProblemError
        If the solution does not carry its problem, or nothing says how to start from another state.
    SolveError
        If a solve fails.

    Notes
    -----
    Stored paths end; on an infinite horizon the residual holds the cost beyond the end too, see the
    certificate's `tail_bound`.
    """
    where = "dynamic_programming"
    if not isinstance(solution, Solution) or solution.problem is None:
        raise ProblemError(f"{where}: expected a Solution that carries its problem.")
    problem, discount = solution.problem, rate(solution.problem.horizon)
    parameter = _initial_parameter(problem) if restart is None else None
    nodes = solution.time if solution.discrete else solution.x.breaks
    moments = np.array([nodes[np.abs(nodes - t).argmin()] for t in times])
    before, after = np.empty(len(moments)), np.empty(len(moments))
    for i, t in enumerate(moments):
        state = solution.x(t)
        before[i] = path_cost(solution, problem, solution.result.parameters, until=float(t))
        given: dict[str, Any] = {}
        rest = problem if restart is None else restart(float(t), state)
        if parameter is not None:
            given = {**solution.parameters, parameter: state}
        found = prepare(rest, method).solve(
            guess=_shifted(solution, float(t)), parameters=given or None, tolerance=tolerance
        )
        after[i] = np.exp(-discount * (t - nodes[0])) * found.cost
    return BellmanCheck(moments, before, after, solution.cost)


@dataclass(frozen=True)
class FinalValue:
    """λJ for decreasing discount rates λ, and the stage cost late on each path.

    If ℓ(t) tends to a limit for t → ∞, λ∫e^{−λt}ℓ dt tends to it for λ → 0+ (the final value theorem); for
    synaptic control the limit is α|X_∞|² + β|ξ_∞|². Without a limit λJ tends to the mean of ℓ instead.

    Attributes
    ----------
    rates : ndarray (n,)
    costs : ndarray (n,)
        J.
    products : ndarray (n,)
        λJ; in discrete time (1 − e^{−λ})J, which has the same limit.
    late : ndarray (n,)
        ℓ in the middle of the stored path: the cost beyond it hardly counts, and the end is not yet felt.
    """

    rates: np.ndarray
    costs: np.ndarray
    products: np.ndarray
    late: np.ndarray

    def __str__(self) -> str:
        lines = ["Final value theorem", f"  {'λ':>10}  {'J':>14}  {'λJ':>14}  {'ℓ late':>14}"]
        rows = zip(self.rates, self.costs, self.products, self.late, strict=True)
        lines += [f"  {r:10.4g}  {c:14.8g}  {p:14.6g}  {e:14.6g}" for r, c, p, e in rows]
        return "\n".join(lines)


def final_value(
    build: Callable[[float], Problem],
    rates: Sequence[float],
    *,
    method: Method | None = None,
    tolerance: float = 1e-8,
) -> FinalValue:
    """Solve for smaller and smaller rates of discount, each from the path before.

    Parameters
    ----------
    build : callable
        λ -> Problem on an infinite horizon.
    rates : sequence of float
        Decreasing and positive, per unit of time (step).
    method : Collocation or Pontryagin, optional
    tolerance : float
        Of each solve.

    Returns
    -------
    FinalValue

    Raises
    ------
    OptionError
        For rates that do not decrease or are not positive.
    ProblemError
        If `build` gives a problem with another rate or a finite horizon.
    SolveError
        If a solve fails.
    """
    values = np.asarray(rates, dtype=float)
    if values.ndim != 1 or not len(values) or not (values > 0).all() or not (np.diff(values) < 0).all():
        raise OptionError(f"final_value: rates are {rates!r:.60}; expected positive numbers that decrease.")
    (costs, products, late), guess = np.empty((3, len(values))), None
    for i, value in enumerate(values):
        problem = build(float(value))
        if not _infinite(problem) or not np.isclose(rate(problem.horizon), value):
            raise ProblemError(
                f"final_value: for the rate {value:g} the horizon of '{problem.name}' is {problem.horizon}; "
                "expected an infinite one with that rate."
            )
        solution = prepare(problem, method).solve(guess=guess, tolerance=tolerance)
        costs[i], late[i], guess = solution.cost, _late_stage(solution, problem), solution
        products[i] = costs[i] * (1 - np.exp(-value) if solution.discrete else value)
    return FinalValue(values, costs, products, late)


def _late_stage(solution: Solution, problem: Problem) -> float:
    f, x = problem.functions, solution.x
    t = (solution.time[:1] + solution.time[-1:]) / 2
    t = np.floor(t) if solution.discrete else t
    dx = x(t + 1) - x(t) if solution.discrete else x(t, derivative=True)
    u = np.zeros((1, 0)) if solution.u is None else solution.u(t)
    value = evaluate(f.stage, t, x(t), dx, u, solution.result.q, solution.result.parameters)[0]
    return float(value[0, 0]) if value.size else 0.0


def _infinite(problem: Problem) -> bool:
    horizon = problem.horizon
    return isinstance(horizon, Discounted) or (isinstance(horizon, Steps) and horizon.n is None)


def _initial_parameter(problem: Problem) -> str:
    states = problem.functions.states
    if _infinite(problem) and len(states) == 1:
        given = states[0].initial
        if isinstance(given, ca.MX):
            for v in problem.functions.parameters:
                if v.size == states[0].size and ca.is_equal(ca.MX(v.symbol), given, 2):
                    return v.name
    raise ProblemError(
        f"dynamic_programming: '{problem.name}' does not say how to start from another state: give restart=, "
        "a function (t, x) -> Problem, or state the initial value of its only state as a parameter, on an "
        "infinite horizon."
    )


def _shifted(solution: Solution, start: float) -> dict[str, Any]:
    """Return the rest of a path as a guess for the problem that begins at its time `start`."""
    guess: dict[str, Any] = {}
    nodes = solution.time[solution.time >= start]
    for name, _ in solution.state_layout:
        guess[name] = (nodes - start, solution.state(name, nodes))
    control_nodes = solution.control_time[solution.control_time >= start]
    if len(control_nodes) > 1:
        for name, _ in solution.control_layout:
            guess[name] = (control_nodes - start, solution.control(name, control_nodes))
    return guess
