"""A Solution made of controls that were found elsewhere, so that it can be verified and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import UnsupportedError
from ocnet.horizon import Steps
from ocnet.path_cost import path_cost
from ocnet.pointwise import Pointwise
from ocnet.problem import Problem
from ocnet.simulate import simulate
from ocnet.solution import Result, Solution, Status
from ocnet.trajectory import Interpolant
from ocnet.verify import verify

STATIONARY = 1e-6  # of |u − clip(u − H_u)|, up to which controls count as an optimum of first order


def replay(
    problem: Problem,
    controls: Mapping[str, Any],
    *,
    initial: Any = None,
    parameters: Mapping[str, Any] | None = None,
) -> Solution:
    """Return the path of given controls with its costates: what another program found, as a Solution.

    Parameters
    ----------
    problem : Problem
        In discrete time, with finitely many steps and no constraints but bounds of its controls.
    controls : mapping
        For each control by name its values (n, *shape) at the steps 0 … n − 1.
    initial : array_like or mapping, optional
        The first state; the problem's own if it is left out.
    parameters : mapping, optional
        Values by name, in place of the problem's own.

    Returns
    -------
    Solution
        Its costates come from the adjoint recursion p_k = ∂H_k/∂x. It is a success only if the current-value
        stationarity |u − clip(u − H_u)| is at most 1e-6; otherwise the status says that it is no optimum.

    Raises
    ------
    UnsupportedError
        In continuous time, for infinitely many steps, and for problems with constraints, prescribed final
        states or bounds of their states.
    ProblemError, ShapeError, DataError
        For controls that do not fit; see :func:`ocnet.simulate`.
    """
    f, horizon = problem.functions, problem.horizon
    where = f"replay: '{problem.name}'"
    if not isinstance(horizon, Steps) or horizon.n is None:
        raise UnsupportedError(
            f"{where} has the horizon {horizon}; expected Steps(n) with a number of steps."
        )
    p = f.pack(problem.parameter_values(parameters), "parameter")
    bounds = f.bounds(p)
    free = np.isnan(bounds.final).all() and np.isinf(bounds.x_lower).all() and np.isinf(bounds.x_upper).all()
    if problem.constraints or problem.samples or f.unknowns or not free:
        raise UnsupportedError(
            f"{where} has constraints, sample costs, unknowns, bounds of its states or prescribed final "
            "states; only bounds of the controls can be treated."
        )
    times = np.arange(float(horizon.n))
    schedule = {name: (times, np.asarray(values, dtype=float)) for name, values in controls.items()}
    start = f.unpack(bounds.initial, "state") if initial is None else initial
    path = simulate(problem, schedule=schedule, initial=start, tf=horizon.n, parameters=parameters)
    assert path.u is not None
    costates, gradient = _adjoint(problem, path.x.values, path.u.values, p, horizon)
    u = path.u.values
    missed = float(np.abs(u - np.clip(u - gradient, bounds.u_lower, bounds.u_upper)).max(initial=0.0))
    good = missed <= STATIONARY and bool(np.isfinite(costates).all())
    status = Status.NOT_VERIFIED if good else Status.FAILED
    result = Result(
        status=status, message=f"controls from elsewhere, stationary to {missed:.1e}", cost=float("nan"),
        x=path.x, u=path.u, p=Interpolant.sequence(path.x.time, costates), q=np.zeros(0), parameters=p,
        mesh_error=0.0, method="replay",
    )  # fmt: skip
    solution = Solution(problem, result, certify=verify)
    solution.cost = result.cost = path_cost(solution, problem, p)
    solution.optima = [solution.cost]
    return solution


def _adjoint(
    problem: Problem, x: np.ndarray, u: np.ndarray, p: np.ndarray, horizon: Steps
) -> tuple[np.ndarray, np.ndarray]:
    """Costates (n + 1, nx) and H_u (n, nu), current value, along a path."""
    f = problem.functions
    symbols: Any = ca.SX if f.dynamics.is_a("SXFunction") and f.stage.is_a("SXFunction") else ca.MX
    t, state, _, control, q, parameters = f.arguments(symbols)
    following = symbols.sym("ahead", f.nx)
    value = f.dynamics(t, state, np.zeros(f.nx), control, q, parameters)
    stage = f.stage(t, state, value - state, control, q, parameters)
    H = stage + ca.dot(following, value)
    inputs = [t, state, control, following, parameters, q]
    outputs = [ca.densify(ca.gradient(H, state)), ca.densify(ca.gradient(H, control))]
    point = Pointwise(ca.Function("adjoint", inputs, outputs), 1, {4: p, 5: np.zeros(f.nq)})
    terminal = f.terminal(t, state, np.zeros(f.nx), np.zeros(f.nu), q, parameters)
    end = ca.Function("end", [t, state, q, parameters], [ca.densify(ca.gradient(terminal, state))])
    costates, gradient = np.empty_like(x), np.empty_like(u)
    costates[-1] = np.array(end(float(len(u)), x[-1], np.zeros(f.nq), p)).reshape(-1)
    for k in range(len(u) - 1, -1, -1):
        by_x, by_u = point(float(k), x[k], u[k], np.exp(-horizon.discount) * costates[k + 1])
        costates[k], gradient[k] = by_x[0], by_u[0]
    return costates, gradient
