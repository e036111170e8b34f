"""Where a solve starts: rollouts, constants, functions of time, arrays on any grid, earlier solutions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from scipy.integrate import solve_ivp

from ocnet.control_law import ControlLaw
from ocnet.errors import DataError, ProblemError, ShapeError
from ocnet.functions import Bounds, Functions
from ocnet.horizon import FreeTime, Steps
from ocnet.symbols import as_data
from ocnet.trajectory import Interpolant, Trajectory

OfTime = Callable[[np.ndarray], np.ndarray]


@dataclass
class Start:
    """A start: flat states and controls as functions of time, constants, final time, costates where known."""

    x: OfTime
    u: OfTime
    q: np.ndarray
    end: float
    p: OfTime | None = None


def start(
    functions: Functions,
    bounds: Bounds,
    p: np.ndarray,
    span: tuple[float, float],
    guess: Any = None,
    rng: np.random.Generator | None = None,
) -> Start:
    """Make a start from what the user gave, and a rollout for what was not given.

    Parameters
    ----------
    functions, bounds, p
        The problem with its parameters.
    span : (float, float)
        Where the horizon begins and ends (at its guess, if it is free).
    guess : None, Solution, Trajectory or mapping of name to value
        A value is a constant of the variable's shape, a function of time, or a pair (times, values).
        The key "time" sets a free final time.
    rng : numpy.random.Generator, optional
        Draw the controls (and free initial states) that were not given at random.

    Raises
    ------
    ProblemError, ShapeError, DataError
        For unknown names, wrong shapes, and values that are not finite.
    """
    where = f"Problem '{functions.problem.name}', guess"
    if isinstance(guess, Trajectory):
        return _from_trajectory(functions, bounds, guess, span)
    if guess is None:
        guess = {}
    if not isinstance(guess, Mapping):
        raise ProblemError(
            f"{where} is a {type(guess).__name__}; expected a mapping of names, a Solution, a Trajectory, a "
            "ValueFunction or None."
        )
    known = [v.name for v in functions.states + functions.controls + functions.unknowns]
    free = isinstance(functions.problem.horizon, FreeTime)
    strangers = [name for name in guess if name not in known + ["time"] * free]
    if strangers:
        raise ProblemError(f"{where}: {strangers} are not variables of the problem; it has {known}.")
    end = _final_time(functions, guess["time"], f"{where} of the final time") if "time" in guess else span[1]
    span = (span[0], end)
    given = {
        name: _of_time(value, _shape(functions, name), f"{where} of '{name}'", span)
        for name, value in guess.items()
        if name != "time"
    }
    q = [
        given[v.name](np.array([span[0]]))[0] if v.name in given else v.guess.reshape(-1)
        for v in functions.unknowns
    ]
    constants = np.concatenate([np.zeros(0), *q])
    default = _default_controls(bounds, span, rng, isinstance(functions.problem.horizon, Steps))
    u = _combine(functions.controls, given, default)
    if all(v.name in given for v in functions.states):
        return Start(_combine(functions.states, given, None), u, constants, end)
    x = _combine(functions.states, given, _rollout(functions, bounds, p, constants, span, u, rng))
    return Start(x, u, constants, end)


def _shape(functions: Functions, name: str) -> tuple[int, ...]:
    return functions.problem.variables[name].shape


def _final_time(functions: Functions, value: Any, where: str) -> float:
    end, horizon = float(as_data(value, (1,), where)[0]), functions.problem.horizon
    if isinstance(horizon, FreeTime) and not horizon.lower <= end <= horizon.upper:
        raise DataError(f"{where} is {end}; expected a time in [{horizon.lower}, {horizon.upper}].")
    return end


def _from_trajectory(
    functions: Functions, bounds: Bounds, guess: Trajectory, span: tuple[float, float]
) -> Start:
    wanted = [(v.name, v.shape) for v in functions.states]
    controls = [(v.name, v.shape) for v in functions.controls]
    if guess.state_layout != wanted or guess.control_layout != controls:
        raise ShapeError(
            f"Problem '{functions.problem.name}', guess: the trajectory has "
            f"{guess.state_layout + guess.control_layout}; expected {wanted + controls}."
        )
    free = isinstance(functions.problem.horizon, FreeTime)
    end = float(guess.time[-1]) if free else span[1]
    result, p = getattr(guess, "result", None), getattr(guess, "p", None)
    stated = np.concatenate([np.zeros(0), *(v.guess.reshape(-1) for v in functions.unknowns)])
    q = stated if result is None else result.q
    costates = None if p is None else held(p)
    controls_at = held(guess.u) if guess.u is not None else (lambda t: np.zeros((len(t), 0)))
    return Start(held(guess.x), controls_at, q, end, costates)


def held(f: Interpolant | ControlLaw) -> OfTime:
    """Make a function of time that keeps an interpolant's end values outside its range."""
    low, high = (f.time[0], f.time[-1]) if f.discrete else (f.breaks[0], f.breaks[-1])
    return lambda t: f(np.clip(t, low, high))


def _of_time(value: Any, shape: tuple[int, ...], where: str, span: tuple[float, float]) -> OfTime:
    size = int(np.prod(shape))
    if callable(value):
        _check_function(value, where)
        as_data(value(span[0]), shape, f"{where} at time {span[0]}")

        def evaluate(t: np.ndarray) -> np.ndarray:
            return np.array([as_data(value(float(s)), shape, f"{where} at time {s}").reshape(-1) for s in t])

        return evaluate
    if _is_pair(value):
        try:
            times, values = np.asarray(value[0], dtype=float), np.asarray(value[1], dtype=float)
        except (TypeError, ValueError):
            raise DataError(f"{where}: got {value!r:.80}; expected (times, values) of numbers.") from None
        if values.shape == times.shape and shape == (1,):
            values = values[:, None]
        if values.shape != (len(times), *shape):
            raise ShapeError(f"{where}: got values of shape {values.shape}; expected {(len(times), *shape)}.")
        if not (np.isfinite(values).all() and np.isfinite(times).all()):
            raise DataError(f"{where}: the arrays contain NaN or infinities; expected finite numbers.")
        if len(times) == 0 or np.any(np.diff(times) <= 0):
            raise DataError(f"{where}: the times must be ascending; got {times[:5]}.")
        flat = values.reshape(len(times), size)
        return lambda t: np.column_stack([np.interp(t, times, flat[:, i]) for i in range(size)])
    constant = as_data(value, shape, where).reshape(-1)
    return lambda t: np.tile(constant, (len(t), 1))


def _is_pair(value: Any) -> bool:
    try:
        return (
            isinstance(value, tuple) and len(value) == 2 and np.ndim(value[0]) == 1 and np.ndim(value[1]) >= 1
        )
    except ValueError:  # ragged
        return False


def _check_function(value: Callable[..., Any], where: str) -> None:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # functions written in C may not tell theirs
        return
    try:
        signature.bind(0.0)
    except TypeError as error:
        raise ProblemError(f"{where}: {error}; expected a function of one argument, the time.") from None


def _combine(group: list[Any], given: Mapping[str, OfTime], default: OfTime | None) -> OfTime:
    def evaluate(t: np.ndarray) -> np.ndarray:
        rest = default(t) if default is not None else np.zeros((len(t), 0))
        parts, start_ = [np.zeros((len(t), 0))], 0
        for v in group:
            parts.append(given[v.name](t) if v.name in given else rest[:, start_ : start_ + v.size])
            start_ += v.size
        return np.concatenate(parts, axis=1)

    return evaluate


def middle(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the middle of finite bounds; otherwise the admissible value nearest to zero."""
    both = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        return np.where(both, np.where(both, (low + high) / 2, 0.0), np.clip(0.0, low, high))


def _default_controls(
    b: Bounds, span: tuple[float, float], rng: np.random.Generator | None, discrete: bool
) -> OfTime:
    centre = middle(b.u_lower, b.u_upper)
    if rng is None:
        return lambda t: np.tile(centre, (len(t), 1))
    width = np.where(np.isfinite(b.u_upper - b.u_lower), (b.u_upper - b.u_lower) / 2, 1.0)
    knots = np.linspace(*span, int(span[1] - span[0]) + 1 if discrete else 6)
    draws = np.clip(centre + width * rng.uniform(-1, 1, (len(knots), len(centre))), b.u_lower, b.u_upper)
    return lambda t: np.column_stack([np.interp(t, knots, d) for d in draws.T] or [np.zeros((len(t), 0))])


def _rollout(
    functions: Functions,
    b: Bounds,
    p: np.ndarray,
    q: np.ndarray,
    span: tuple[float, float],
    u: OfTime,
    rng: np.random.Generator | None,
) -> OfTime:
    """States under the guessed controls, held where they run away; straight lines to prescribed ends."""
    free = np.isnan(b.initial)
    x0 = np.where(free, middle(b.x_lower, b.x_upper), b.initial)
    if rng is not None:
        x0 = np.where(free, np.clip(x0 + rng.standard_normal(len(x0)), b.x_lower, b.x_upper), x0)
    limit = 1e3 * (1 + np.abs(x0).max(initial=0.0))

    def rhs(t: float, x: np.ndarray) -> np.ndarray:
        value = functions.dynamics(t, x, 0, u(np.array([t]))[0], q, p)
        return np.asarray(value.full()).ravel()

    if isinstance(functions.problem.horizon, Steps):
        times, states = np.arange(span[0], span[1] + 1), [x0]
        for k in times[:-1]:
            new = rhs(k, states[-1])
            states.append(new if np.isfinite(new).all() and np.abs(new).max() < limit else states[-1])
        values = np.array(states)
    else:
        times, values = _integrate(rhs, x0, span, limit)
    prescribed = ~np.isnan(b.final)
    if prescribed.any():
        part = ((times - span[0]) / (span[1] - span[0]))[:, None]
        line = x0 + part * (np.where(prescribed, b.final, x0) - x0)
        values = np.where(prescribed, line, values)
    values = np.clip(values, b.x_lower, b.x_upper)
    return lambda t: np.column_stack([np.interp(t, times, column) for column in values.T])


def _integrate(
    rhs: Any, x0: np.ndarray, span: tuple[float, float], limit: float
) -> tuple[np.ndarray, np.ndarray]:
    def leaves(t: float, x: np.ndarray) -> float:
        return limit - np.abs(x).max()

    leaves.terminal = True  # type: ignore[attr-defined]
    times = np.concatenate([[span[0]], span[0] + (span[1] - span[0]) * np.geomspace(1e-4, 1, 200)])
    with np.errstate(all="ignore"):
        run = solve_ivp(
            rhs, span, x0, method="LSODA", t_eval=np.unique(times), events=leaves, rtol=1e-5, atol=1e-7
        )
    good = np.isfinite(run.y).all(axis=0) if run.y.size else np.zeros(0, bool)
    if not good.any():
        return np.array(span), np.tile(x0, (2, 1))
    return run.t[good], run.y.T[good]


def on_points(function: ca.Function, count: int) -> ca.Function:
    """Map a problem function (t, x, dx, u, q, p) over points; q and p are shared."""
    return function.map(f"{function.name()}_on_{count}", "serial", count, [4, 5], [])
