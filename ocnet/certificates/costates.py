"""Costates of a solution: do they obey their equation, and the conditions at free ends."""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np
from scipy.sparse import dia_matrix

from ocnet.certificates.optimality import GAUSS, MARGIN, Principle
from ocnet.certificates.subject import PLACES, Subject, integrate_all, touches
from ocnet.horizon import Discounted, FreeTime, Steps
from ocnet.pointwise import Pointwise, evaluate


def costate_residual(principle: Principle) -> float:
    """Return the largest relative difference of p from its own equation, integrated backwards."""
    s, stored = principle.subject, principle.p.values
    jumps = costate_jumps(s)
    if s.discrete:
        k, x = s.x.time[:-1], s.x.values[:-1]
        next_ = np.exp(-s.rate) * stored[1:]
        again = evaluate(principle.adjoint, k, x, s.controls(k), next_, *principle.constants())[0]
        for i, jump in jumps.items():
            if i < len(again):
                again[i] += jump
        error = np.abs(again - stored[:-1]) / (1 + np.abs(stored[:-1]))
    else:
        error = _interval_residuals(principle, jumps)
    skipped = active(s)
    if skipped.any():
        kind = "steps" if s.discrete else "intervals"
        s.notes.append(
            f"The costate equation was not checked on {int(skipped.sum())} of {len(skipped)} {kind}, where "
            "a bound of a state or a path constraint is active (its multiplier enters the equation)."
        )
    starts = s.x.time[:-1] if s.discrete else s.breaks[:-1]
    skipped |= ~s.counts(starts)
    error = error[~skipped]
    if not error.size:
        return float("nan")
    worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
    s.attained("costate_residual", s.functions.labels("state")[worst[1]], starts[~skipped][worst[0]])
    return float(error[worst])


def _interval_residuals(principle: Principle, jumps: dict[int, np.ndarray]) -> np.ndarray:
    """Relative errors (K, nx) of p at the start of each interval, integrated from its end."""
    s, P = principle.subject, principle.P
    adjoint = Pointwise(principle.adjoint, s.K, {4: s.q, 5: s.parameters})
    h, size = s.h[:, None], s.K * s.functions.nx

    def backwards(place: float, p: np.ndarray) -> np.ndarray:
        here = 1 - place
        return h * (adjoint(s.times(here), s.X(here), s.U(here), p)[0] - s.rate * p)

    def jacobian(place: float, _: np.ndarray) -> Any:
        here = 1 - place
        diagonal = np.repeat(s.h * s.rate, s.functions.nx)
        return (
            s.block_jacobian(here, s.X(here), transposed=True)
            - dia_matrix((diagonal, 0), (size, size)).tocsc()
        )

    end, start = P(1.0), P(0.0)
    at_start, at_end = np.zeros_like(start), np.zeros_like(end)
    for (
        i,
        jump,
    ) in jumps.items():  # p before a sample = p after it + jump; the path may hold either at a break
        if i < s.K:
            at_start[i] = jump
        if i > 0:
            at_end[i - 1] = jump
    errors = []
    for first in (end, end + at_end) if jumps else (end,):
        again = integrate_all(s, backwards, first, np.ones(1), jacobian)
        if again is None:
            s.notes.append("Integrating the costates backwards over an interval failed.")
            return np.full(start.shape, np.inf)
        for p in (start, start - at_start) if jumps else (start,):
            errors.append(np.abs(again[0] - p) / (1 + np.abs(p)))
    best = np.argmin([error.max(axis=1) for error in errors], axis=0)
    return np.array(errors)[best, np.arange(s.K)]


def costate_jumps(subject: Subject) -> dict[int, np.ndarray]:
    """Return by how much data terms lift the costate: number of the break (of the step) -> gradient (nx,)."""
    s, result = subject, dict[int, np.ndarray]()
    times = s.x.time if s.discrete else s.breaks
    for sample, function in zip(s.problem.samples, s.functions.samples, strict=True):
        i = int(np.argmin(np.abs(times - sample.time)))
        if abs(times[i] - sample.time) > 1e-9 * max(1.0, abs(sample.time)):
            s.notes.append(
                f"The data term at {sample.time:.6g} is inside an interval, where the costate jumps."
            )
            continue
        gradient = _gradient(s, function, 1, sample.time, s.x(sample.time))
        result[i] = result.get(i, 0) + gradient * np.exp(s.rate * (sample.time - s.t0))
    return result


def _gradient(subject: Subject, function: ca.Function, argument: int, t: float, x: np.ndarray) -> np.ndarray:
    """Gradient of a scalar cost at one moment by its argument of that number (0: t, 1: x, 4: q)."""
    symbols = [ca.MX.sym(f"a{i}", function.size1_in(i)) for i in range(6)]
    gradient = ca.Function(
        "gradient", symbols, [ca.densify(ca.gradient(function(*symbols), symbols[argument]))]
    )
    return np.array(gradient(*subject.everything(t, x))).reshape(-1)


def active(subject: Subject) -> np.ndarray:
    """Return whether a bound of a state or a path constraint is active somewhere in each interval (step)."""
    s, path = subject, subject.functions.path
    if s.discrete:
        k = s.x.time[:-1]
        samples = [(k, s.x.values[:-1], s.controls(k))]
    else:
        samples = [(s.times(place), s.X(place), s.U(place)) for place in PLACES]
    result = np.zeros(len(samples[0][0]), dtype=bool)
    for t, x, u in samples:
        result |= _near(x, s.bounds.x_lower, s.bounds.x_upper).any(axis=1)
        if path.nnz_out(0):
            dx = evaluate(s.running, t, x, u, s.q, s.parameters)[0] - (x if s.discrete else 0)
            values = evaluate(path, t, x, dx, u, s.q, s.parameters)[0]
            result |= _near(values, *s.bounds.constraints["path"]).any(axis=1)
    return result


def _near(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether values (..., n) are at one of their bounds, or beyond."""
    with np.errstate(invalid="ignore"):
        at_low = np.isfinite(low) & (values - low < MARGIN * (1 + np.abs(low)))
        at_high = np.isfinite(high) & (high - values < MARGIN * (1 + np.abs(high)))
    return at_low | at_high


# ---------------------------------------------------------------------- ends


def transversality(principle: Principle) -> float:
    """Return the largest relative violation of the conditions at free ends.

    They are p(t0) = 0, p(T) = ∂φ/∂x, and H(T) = −∂φ/∂t where T is free.

    Components that are prescribed, at a bound, or in a constraint on that end have no condition; nor has the
    end of an infinite horizon.
    """
    s, f, horizon = principle.subject, principle.subject.functions, principle.subject.problem.horizon
    jumps, worst = costate_jumps(s), float("nan")
    labels = f.labels("state")
    infinite = isinstance(horizon, Discounted) or (isinstance(horizon, Steps) and horizon.n is None)
    held = active(s)
    for initial in (True, False) if not infinite else (True,):
        t, x = (s.t0, s.end_states()[0]) if initial else (s.t1, s.end_states()[1])
        prescribed = s.bounds.initial if initial else s.bounds.final
        p = (
            principle.p.values[0 if initial else -1]
            if s.discrete
            else principle.P(0.0 if initial else 1.0)[0 if initial else -1]
        )
        free = np.isnan(prescribed) & ~_near(x, s.bounds.x_lower, s.bounds.x_upper)
        free &= ~touches(f.initial if initial else f.final, 1, f.nx)
        if f.path.nnz_out(0) and held[0 if initial else -1]:
            free &= ~touches(f.path, 1, f.nx)
        wanted = np.zeros(f.nx)
        if not initial:
            wanted = _gradient(s, f.terminal, 1, t, x)
        jump = jumps.get(0 if initial else len(s.x.time) - 1 if s.discrete else s.K, np.zeros(f.nx))
        error = np.fmin(np.abs(p - wanted), np.abs(p - wanted + (jump if initial else -jump))) / (
            1 + np.abs(wanted)
        )
        if free.any():
            i = int(np.argmax(np.where(free, error, -1.0)))
            if not error[i] <= worst:
                worst = float(error[i])
                s.attained("transversality", labels[i], t)
    if isinstance(horizon, FreeTime) and not touches(f.final, 0, 1).any():
        error = _free_time(principle, horizon)
        if np.isfinite(error) and not error <= worst:
            s.where["transversality"] = f"H at the free final time {s.t1:.6g}"
        worst = np.fmax(worst, error)
    return float(worst)


def _free_time(principle: Principle, horizon: FreeTime) -> float:
    """|H(T) + ∂φ/∂t|, relative to 1 + |H|, unless the final time is at one of its bounds."""
    s = principle.subject
    end = np.array([s.t1])
    if _near(end, np.array([horizon.lower]), np.array([horizon.upper])).any():
        s.notes.append("The final time is at one of its bounds: no condition on H there.")
        return float("nan")
    last = [a[-1:] for a in principle.side_by_side(1.0)]
    H = float(evaluate(principle.first, *last, *principle.constants())[0][0, 0])
    slope = float(_gradient(s, s.functions.terminal, 0, s.t1, last[1][0])[0])
    return abs(H + slope) / (1 + abs(H))


def unknown_stationarity(principle: Principle) -> float:
    """Return the largest |dJ/dq| = |∫ e^{−ρ(t−t0)} H_q dt + …| of unknowns strictly inside their bounds.

    Unknowns that occur in constraints are left out; NaN if none remain.
    """
    s, f = principle.subject, principle.subject.functions
    free = ~_near(s.q, s.bounds.q_lower, s.bounds.q_upper)
    for function in (f.path, f.initial, f.final):
        free &= ~touches(function, 4, f.nq)
    if not free.any():
        return float("nan")
    total = np.zeros(f.nq)
    if s.discrete:
        k = s.x.time[:-1]
        slopes = evaluate(
            principle.by_unknown, k, s.x.values[:-1], s.controls(k), np.exp(-s.rate) * principle.p.values[1:],
            *principle.constants(),
        )[0]  # fmt: skip
        total += np.exp(-s.rate * k) @ slopes
    else:
        for weight, place in GAUSS:
            points = principle.side_by_side(place)
            slopes = evaluate(principle.by_unknown, *points, *principle.constants())[0]
            total += weight * (s.h * np.exp(-s.rate * (points[0] - s.t0))) @ slopes
    total += np.exp(-s.rate * (s.t1 - s.t0)) * _gradient(s, f.terminal, 4, s.t1, s.end_states()[1])
    for sample, function in zip(s.problem.samples, f.samples, strict=True):
        total += _gradient(s, function, 4, sample.time, s.x(sample.time))
    i = int(np.argmax(np.where(free, np.abs(total), -1.0)))
    s.where["stationarity"] = f"unknown {f.labels('unknown')[i]}"
    return float(np.abs(total[i]))
