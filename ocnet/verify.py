"""How far to trust a solution: checks that share no code with the method that made it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import solve_ivp

from ocnet.certificates.certificate import Certificate
from ocnet.certificates.costates import active, costate_residual, transversality, unknown_stationarity
from ocnet.certificates.feasibility import resimulation, violation, whole_path
from ocnet.certificates.optimality import Principle, control_figures
from ocnet.certificates.subject import Subject
from ocnet.errors import ProblemError, SolveError
from ocnet.horizon import Finite, FreeTime, Steps
from ocnet.pointwise import Pointwise, evaluate

if TYPE_CHECKING:
    from ocnet.solution import Solution

__all__ = ["Certificate", "verify"]

NEGLIGIBLE = 1e-12  # weight of the discounted tail at which its integration stops


def verify(
    solution: Solution, *, rtol: float = 1e-10, value: Callable[[np.ndarray], Any] | None = None
) -> Certificate:
    """Check a solution with nothing but the functions of its problem and an independent integrator.

    Parameters
    ----------
    solution : Solution
        With its problem; one that was loaded needs ``ocnet.load(path, problem=...)``.
    rtol : float
        Error demand of the integrator, relative to 1 + |x|, in (0, 1e-3].
    value : ValueFunction, optional
        Of the same problem (its initial state aside); the cost is compared with it, refined beside kinks.

    Returns
    -------
    Certificate
        Prints as a table. Figures that do not apply are NaN, and a note says why. Nothing is raised for a bad
        solution: it is what the figures are for.

    Raises
    ------
    ProblemError
        If the solution does not carry its problem, `rtol` is out of range, or the initial state is outside
        the grid of the value function.
    """
    if not hasattr(solution, "result"):
        raise ProblemError(f"verify: got a {type(solution).__name__}; expected a Solution.")
    if solution.problem is None:
        raise ProblemError(
            f"verify: the solution of '{solution.problem_name}' does not carry its problem (it was loaded "
            "without); use ocnet.load(path, problem=...)."
        )
    if not 0 < rtol <= 1e-3:
        raise ProblemError(f"verify: rtol is {rtol!r}; expected a number in (0, 1e-3].")
    names = (solution.problem_name, solution.result.method)
    if hasattr(value, "error_at"):
        _check_grid(solution, value)
    parts = [f.values for f in (solution.x, solution.u, solution.p) if f is not None]
    if not all(np.isfinite(part).all() for part in parts):
        return Certificate(
            *names, notes=["The solution holds values that are not finite: nothing was checked."]
        )
    subject = Subject(
        solution.problem, solution.x, solution.u, solution.p, solution.result.q, solution.result.parameters,
        solution.cost, rtol,
    )  # fmt: skip
    figures: dict[str, float | None] = {}
    figures["resimulation_error"] = resimulation(subject)
    figures["path_error"], figures["path_growth"] = whole_path(subject)
    if figures["path_growth"] > 100:
        subject.notes.append(
            f"The path magnifies small errors about {figures['path_growth']:.0e} times: judge the states "
            "by the resimulation error, not by the path error."
        )
    figures["bound_violation"], figures["point_violation"] = violation(subject)
    if subject.functions.has_cost or solution.problem.samples:
        figures["cost_error"] = cost_error(subject)
        figures["tail_bound"] = tail_bound(subject)
        if subject.p is None:
            subject.notes.append("The solution has no costates: nothing was checked that needs them.")
        else:
            figures |= extremal(subject)
        if value is not None:
            best, error = _known(value, subject.end_states()[0])
            figures["value_gap"] = float(solution.cost - best)
            if error is not None:
                subject.notes.append(
                    f"The value function estimates its own error at the initial state as {error:.1e}."
                )
    else:
        subject.notes.append("The problem has no cost: only its states, controls and bounds were checked.")
    return Certificate(*names, **figures, where=subject.where, notes=subject.notes)  # type: ignore[arg-type]


def _known(value: Any, x: np.ndarray) -> tuple[float, float | None]:
    """Return the value at a state and its estimated error, refined where that is possible."""
    if not hasattr(value, "error_at"):
        return float(value(x)), None
    try:
        found = value.refined(x)
    except (ProblemError, SolveError):  # other horizons; no problem, no paths in the grid
        return value(x), value.error_at(x)
    return found.value, found.error


def _check_grid(solution: Solution, value: Any) -> None:
    """Refuse a value function whose grid does not hold the initial state."""
    start = solution.x.values[:1]
    grid, n = value.grid, start.shape[1]
    where = f"verify: the value function of '{value.name}'"
    if grid.dimension != n:
        raise ProblemError(f"{where} has {grid.dimension} states; the solution has {n}.")
    if not grid.contains(start)[0]:
        raise ProblemError(
            f"{where} is known on the box from {grid.lower} to {grid.upper}, and the solution starts at "
            f"{np.array2string(start[0], precision=4)}, outside of it. Solve on a larger grid, or verify "
            "without `value`."
        )


def extremal(subject: Subject) -> dict[str, float | None]:
    """Return the figures that need costates."""
    principle = Principle(subject)
    figures: dict[str, float | None] = {
        "costate_residual": costate_residual(principle),
        "transversality": transversality(principle),
    }
    stationarity = unknown_stationarity(principle) if subject.functions.nq else float("nan")
    if subject.u is not None:
        of_unknowns = subject.where.pop("stationarity", "")
        found = control_figures(principle)
        if of_unknowns and not found["stationarity"] >= stationarity:
            subject.where["stationarity"] = of_unknowns
        stationarity = float(np.fmax(stationarity, found.pop("stationarity")))
        figures |= found
    if _constant_hamiltonian(principle):
        H = principle.values()
        drift = float(np.ptp(H) / (1 + np.abs(H).max()))
        subject.notes.append(
            f"Time does not occur in the problem, so H should be constant: it varies by {drift:.1e}."
        )
    return figures | {"stationarity": stationarity}


def _constant_hamiltonian(principle: Principle) -> bool:
    """Whether H has to be constant: time occurs nowhere, and nothing makes the costates jump."""
    s = principle.subject
    if s.discrete or s.rate > 0 or s.problem.samples or not principle.autonomous:
        return False
    return not active(s).any()


def cost_error(subject: Subject) -> float:
    """Return the difference between stated cost and cost of the path, relative to its parts.

    In continuous time the cost of the stored states is corrected by the residual of the dynamics times the
    costates, and so is that of the true dynamics under these controls, to second order.
    """
    s, f = subject, subject.functions
    if s.discrete:
        k, x = s.x.time[:-1], s.x.values[:-1]
        stages = evaluate(s.running, k, x, s.controls(k), s.q, s.parameters)[1][:, 0] * np.exp(-s.rate * k)
        total, size = float(stages.sum()), float(np.abs(stages).sum())
    else:
        total, size = _integral(s, 1)
        for parts in (2, 4, 8, 16):
            before = total
            total, size = _integral(s, parts)
            if abs(total - before) <= 1e-12 * size:
                break
    terminal = float(f.terminal(*s.everything(s.t1, s.end_states()[1]))) * np.exp(-s.rate * (s.t1 - s.t0))
    values = [terminal]
    for sample, function in zip(s.problem.samples, f.samples, strict=True):
        values.append(float(function(*s.everything(sample.time, s.x(sample.time)))))
    total, size = total + sum(values), size + sum(abs(value) for value in values)
    return abs(total - s.cost) / size if size > 0 else abs(total - s.cost)


def _integral(subject: Subject, parts: int) -> tuple[float, float]:
    """∫ e^{−ρ(t−t0)} ℓ dt and the same of |ℓ|, each interval cut into parts."""
    s, total, size = subject, 0.0, 0.0
    places, weights = np.polynomial.legendre.leggauss(8)
    for part in range(parts):
        for place, weight in zip((part + (1 + places) / 2) / parts, weights / (2 * parts), strict=True):
            t = s.times(place)
            flow, stage = s.rhs(t, s.X(place), s.U(place))
            discount = np.exp(-s.rate * (t - s.t0)) * s.h
            total += weight * float(discount @ stage[:, 0])
            size += weight * float(discount @ np.abs(stage[:, 0]))
            if s.p is not None:
                missed = np.einsum("ij,ij->i", s.p(t), flow - s.x(t, derivative=True))
                total += weight * float(discount @ missed)
    return total, size


# ---------------------------------------------------------------------- beyond the last stored time


def tail_bound(subject: Subject) -> float | None:
    """Return the discounted cost of carrying on from the last state with a plain control.

    The cheapest of the last control held, no control, and the middle of the bounds. None on a finite horizon,
    infinity if none of them keeps the states finite and within their bounds.
    """
    s, b = subject, subject.bounds
    horizon = s.problem.horizon
    if isinstance(horizon, (Finite, FreeTime)) or (isinstance(horizon, Steps) and horizon.n is not None):
        return None
    x = s.end_states()[1]
    last = np.zeros(0)
    if s.u is not None:
        last = s.u.values[-1] if s.discrete else s.U(1.0)[-1]
    candidates = {"the last control held": np.clip(last, b.u_lower, b.u_upper)}
    if len(last):
        candidates["no control"] = np.clip(np.zeros_like(last), b.u_lower, b.u_upper)
        with np.errstate(invalid="ignore"):
            middle = (b.u_lower + b.u_upper) / 2
        candidates["controls in the middle of their bounds"] = np.where(
            np.isfinite(middle), middle, candidates["no control"]
        )
    best, how, negative = float("inf"), "", False
    follow = _tail_steps if s.discrete else _tail_flow
    for name, u in candidates.items():
        cost, low, high, least = follow(s, x, u)
        scale = 1e-6 * (1 + np.abs(x))
        if (
            np.isfinite(cost)
            and np.all(low >= b.x_lower - scale)
            and np.all(high <= b.x_upper + scale)
            and cost < best
        ):
            best, how, negative = cost, name, least < 0
    if not how:
        s.notes.append(
            "No plain control keeps the states finite and within bounds beyond the last time: no tail bound."
        )
        return best
    if negative:
        s.notes.append("The stage cost is negative beyond the last time: the tail bound is an estimate only.")
    s.where["tail_bound"] = how
    return float(np.exp(-s.rate * (s.t1 - s.t0)) * best)


def _tail_flow(s: Subject, x: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Cost from the last time on under a constant control, extremes of the states, least stage cost."""
    point = Pointwise(s.running, 1, {2: u, 3: s.q, 4: s.parameters})
    least = [np.inf]

    def flow(t: float, y: np.ndarray) -> np.ndarray:
        f, stage = point(s.t1 + t, y[:-1])
        least[0] = min(least[0], float(stage[0, 0]))
        return np.append(f[0], np.exp(-s.rate * t) * stage[0, 0])

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LSODA warns where it gives up; the status says so too
        found = solve_ivp(
            flow,
            (0.0, -np.log(NEGLIGIBLE) / s.rate),
            np.append(x, 0.0),
            method="LSODA",
            rtol=1e-8,
            atol=1e-10,
        )
    cost = float(found.y[-1, -1]) if found.success and np.isfinite(found.y).all() else float("inf")
    return cost, found.y[:-1].min(axis=1), found.y[:-1].max(axis=1), least[0]


def _tail_steps(s: Subject, x: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Continue a sequence as :func:`_tail_flow` continues a flow."""
    point = Pointwise(s.running, 1, {2: u, 3: s.q, 4: s.parameters})
    cost, low, high, least = 0.0, x, x, np.inf
    with np.errstate(all="ignore"):
        for k in range(int(np.ceil(-np.log(NEGLIGIBLE) / s.rate))):
            f, stage = point(s.t1 + k, x)
            x = f[0].copy()
            cost += float(np.exp(-s.rate * k) * stage[0, 0])
            low, high, least = np.fmin(low, x), np.fmax(high, x), min(least, float(stage[0, 0]))
            if not np.isfinite(x).all():
                return float("inf"), low, high, least
    return cost, low, high, least
