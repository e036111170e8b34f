"""The forward and the backward sweep of the continuous adjoint, with the path stored or recomputed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import BDF, DOP853, LSODA, OdeSolution, Radau, solve_ivp

from ocnet.errors import SimulationError
from ocnet.learning.paths.response_functions import ResponseFunctions
from ocnet.pointwise import evaluate

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
MOST_STEPS = 50_000  # between two samples
_CLASSES: dict[str, Any] = {"DOP853": DOP853, "LSODA": LSODA, "BDF": BDF, "Radau": Radau}

Path = Callable[[np.ndarray], np.ndarray]
Swept = tuple[float, np.ndarray, np.ndarray, float, int]


def stored_sweep(
    functions: ResponseFunctions, x0: np.ndarray, theta: np.ndarray, integrator: str, tolerance: float
) -> Swept:
    """Integrate forward, keep the path, and integrate the adjoint along it.

    Parameters
    ----------
    functions : ResponseFunctions
    x0 : ndarray (nx,)
    theta : ndarray (m,)
    integrator : {"DOP853", "LSODA", "BDF", "Radau"}
    tolerance : float

    Returns
    -------
    cost : float
    costate : ndarray (nx,)
        λ(t0).
    slope : ndarray (m,)
        dC/dθ at a fixed first state.
    drift : float
        0 here.
    evaluations : int

    Raises
    ------
    SimulationError
        If the integrator stops.
    """
    nx = functions.nx
    rate, jacobian = (functions.at_point(f, theta) for f in (functions.rate, functions.jacobian))
    zero = np.zeros(nx)

    def forward(t: float, x: np.ndarray) -> np.ndarray:
        return rate(t, x, zero)[0][0].copy()

    def matrix(t: float, x: np.ndarray) -> np.ndarray:
        return jacobian(t, x, zero)[0].reshape(nx, nx).T.copy()

    functions.checked_rate(forward(functions.t0, x0), functions.t0)
    options: dict[str, Any] = {} if integrator == "DOP853" else {"jac": matrix}
    with np.errstate(all="ignore"):
        found = solve_ivp(
            forward,
            (functions.t0, functions.tf),
            x0,
            method=integrator,
            rtol=tolerance,
            atol=tolerance,
            dense_output=True,
            **options,
        )
    if not found.success or not np.isfinite(found.y).all():
        raise SimulationError(_stopped(functions, "forward", float(found.t[-1]), found.message))
    path: OdeSolution = found.sol
    breaks = np.asarray(path.ts)
    pull = functions.at_point(functions.adjoint_rate, theta)
    count = [found.nfev]

    def backward(t: float, costate: np.ndarray) -> np.ndarray:
        count[0] += 1
        return pull(t, path(t), costate)[0][0].copy()

    def states(t: np.ndarray) -> np.ndarray:
        return path(t).T

    cost = _integral(functions, theta, breaks, states, None)[0]
    cost_at_ends, costate, slope = functions.end(-1, functions.tf, found.y[:, -1], theta)
    cost += cost_at_ends
    moments = functions.moments
    edges = [functions.tf, *reversed(moments), functions.t0]
    for index, (late, early) in enumerate(pairwise(edges)):
        if late > early:
            options = {} if integrator == "DOP853" else {"jac": lambda t, _: -matrix(t, path(t)).T}
            for solver in _steps(functions, backward, late, costate, early, integrator, tolerance, options):
                dense = solver.dense_output()
                inside = breaks[(breaks > solver.t) & (breaks < solver.t_old)]
                parts = np.concatenate([[solver.t], inside, [solver.t_old]])
                slope = slope + _integral(functions, theta, parts, states, dense)[1]
                costate = solver.y
        if index < len(moments):
            which = len(moments) - 1 - index
            extra, jump, more = functions.end(which, early, path(early), theta)
            cost, costate, slope = cost + extra, costate + jump, slope + more
    return cost, costate, slope, 0.0, count[0]


def reversed_sweep(
    functions: ResponseFunctions, x0: np.ndarray, theta: np.ndarray, integrator: str, tolerance: float
) -> Swept:
    """Integrate forward without keeping anything, then states and adjoint together backwards.

    Parameters, results and errors are those of :func:`stored_sweep`, with the drift of x(t0).
    """
    nx = functions.nx
    rate, pull, jacobian, joint = (
        functions.at_point(f, theta)
        for f in (functions.rate, functions.adjoint_rate, functions.jacobian, functions.joint_jacobian)
    )
    zero, count = np.zeros(nx), [0]

    def forward(t: float, x: np.ndarray) -> np.ndarray:
        count[0] += 1
        return rate(t, x, zero)[0][0].copy()

    def backward(t: float, y: np.ndarray) -> np.ndarray:
        count[0] += 1
        return np.concatenate([rate(t, y[:nx], zero)[0][0], pull(t, y[:nx], y[nx:])[0][0]])

    def joint_matrix(t: float, y: np.ndarray) -> np.ndarray:
        return joint(t, y[:nx], y[nx:])[0].reshape(2 * nx, 2 * nx).T.copy()

    functions.checked_rate(forward(functions.t0, x0), functions.t0)
    options: dict[str, Any] = {}
    if integrator != "DOP853":
        options = {"jac": lambda t, x: jacobian(t, x, zero)[0].reshape(nx, nx).T.copy()}
    cost, x = 0.0, x0
    edges = [functions.t0, *functions.moments, functions.tf]
    for index, (early, late) in enumerate(pairwise(edges)):
        if late > early:
            for solver in _steps(functions, forward, early, x, late, integrator, tolerance, options):
                dense, parts = solver.dense_output(), np.array([solver.t_old, solver.t])
                cost += _integral(functions, theta, parts, lambda t, d=dense: d(t).T, None)[0]
                x = solver.y
        which = index if index < len(functions.moments) else -1
        cost += functions.end(which, late, x, theta)[0]
    _, costate, slope = functions.end(-1, functions.tf, x, theta)
    options = {} if integrator == "DOP853" else {"jac": joint_matrix}
    edges = edges[::-1]
    for index, (late, early) in enumerate(pairwise(edges)):
        y = np.concatenate([x, costate])
        if late > early:
            for solver in _steps(functions, backward, late, y, early, integrator, tolerance, options):
                dense, parts = solver.dense_output(), np.array([solver.t, solver.t_old])
                slope = (
                    slope
                    + _integral(
                        functions, theta, parts, lambda t, d=dense: d(t)[:nx].T, lambda t, d=dense: d(t)[nx:]
                    )[1]
                )
                y = solver.y
        x, costate = y[:nx], y[nx:]
        if index < len(functions.moments):
            which = len(functions.moments) - 1 - index
            _, jump, more = functions.end(which, early, x, theta)
            costate, slope = costate + jump, slope + more
    drift = float((np.abs(x - x0) / (1 + np.abs(x0))).max())
    return cost, costate, slope, drift, count[0]


def _steps(
    functions: ResponseFunctions,
    rate: Callable[[float, np.ndarray], np.ndarray],
    start: float,
    y: np.ndarray,
    end: float,
    integrator: str,
    tolerance: float,
    options: dict[str, Any],
) -> Any:
    """Give the integrator after each of its steps."""
    direction = "forward" if end > start else "backward"
    with np.errstate(all="ignore"):
        solver: Any = _CLASSES[integrator](rate, start, y, end, rtol=tolerance, atol=tolerance, **options)
        count = 0
        while solver.status == "running":
            message, count = solver.step(), count + 1
            if count > MOST_STEPS:
                message = f"{MOST_STEPS} steps were not enough"
            if message is not None or not np.isfinite(solver.y).all():
                raise SimulationError(_stopped(functions, direction, float(solver.t), str(message or "")))
            yield solver


def _integral(
    functions: ResponseFunctions, theta: np.ndarray, breaks: np.ndarray, states: Path, costates: Path | None
) -> tuple[float, np.ndarray]:
    """Integrals of the stage cost and of l_θ + f_θᵀλ (m,) over pieces, by Gauss quadrature on each."""
    half = np.diff(breaks) / 2
    t = (breaks[:-1, None] + half[:, None] * (1 + NODES)).reshape(-1)
    weight = (half[:, None] * WEIGHTS).reshape(-1)
    x = states(t)
    costate = np.zeros_like(x) if costates is None else costates(t).T
    stage, slope = evaluate(functions.integrands, t, x, costate, theta)
    return float(weight @ stage[:, 0]), weight @ slope


def _stopped(functions: ResponseFunctions, direction: str, t: float, message: str) -> str:
    said = f" The integrator says: {message}" if message else ""
    advice = (
        "For stiff dynamics take integrator='LSODA', 'BDF' or 'Radau'."
        if direction == "forward"
        else "In mode 'reverse-time' decay becomes growth: take 'stored' or 'checkpointed'; for stiff "
        "dynamics take integrator='LSODA'."
    )
    return f"{functions.where}: the {direction} integration stopped at t = {t:.6g}.{said} {advice}"
