"""Limit cycles: closed paths by Newton's method on the return map, confirmed by their Floquet multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from ocnet.errors import DataError, OptionError, ShapeError, SolveError
from ocnet.horizon import Finite
from ocnet.landscapes.field import Field, Values
from ocnet.pointwise import Pointwise
from ocnet.problem import Problem
from ocnet.simulate import simulate
from ocnet.trajectory import Trajectory

Stability = Literal["stable", "unstable", "neutral"]

STAGES = 6  # in which a path is followed, each twice as long as the one before
REST = 1e-9  # a velocity below this, relative to 1 + |x|, is rest
FAR = 1e8  # states beyond it have left for good
RECURS = 1e-3  # a return this close, relative to the size of the path, is worth Newton's method
CLOSED = 1e-9  # the gap, relative to 1 + |x|, up to which a path is closed
SMALL = 1e-6  # cycles below this size, relative to 1 + |x|, are equilibria
NEUTRAL = 1e-6  # a multiplier whose modulus is this close to 1 decides nothing
SINGULAR = 1e-9  # singular values below it, relatively, are of directions along a family of cycles
LONGEST_CYCLE = 64  # steps (or crossings of the section) in one period
DENSE = 2001  # points at which a cycle is looked at
EXACT: dict[str, Any] = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-13}


@dataclass(frozen=True, repr=False)
class LimitCycle:
    """A closed path.

    Attributes
    ----------
    x : ndarray (n,)
        A state on it, in the order and the units of the problem's states.
    period : float
        In the unit of time; a whole number of steps for a map.
    multipliers : ndarray of complex (n − 1,)
        Floquet multipliers, largest first, without the trivial one that belongs to the direction of motion.
        For a map all n of them: the eigenvalues of the linearised period.
    trivial_error : float
        |M ẋ − ẋ|/|ẋ|, which is 0 in exact arithmetic: M, the linearised period, maps the velocity to itself.
        It says how accurate the multipliers are. NaN for a map, which has no trivial multiplier.
    residual : float
        max |x(period) − x(0)|.
    extent : ndarray (n,)
        Difference of the largest and the smallest value of each state.
    trajectory : Trajectory
        One period, from `x`.
    """

    x: np.ndarray
    period: float
    multipliers: np.ndarray
    trivial_error: float
    residual: float
    extent: np.ndarray
    trajectory: Trajectory

    @property
    def kind(self) -> Stability:
        """By the largest multiplier: inside the unit circle, outside, or (within 1e-6) on it."""
        largest = float(np.abs(self.multipliers).max(initial=0.0))
        if abs(largest - 1) <= NEUTRAL:
            return "neutral"
        return "stable" if largest < 1 else "unstable"

    @property
    def stable(self) -> bool:
        """Whether every path that starts near enough tends to it."""
        return self.kind == "stable"

    def __str__(self) -> str:
        shown = ", ".join(
            f"{m.real:.4g}" if abs(m.imag) <= 1e-12 * abs(m) else f"{m.real:.4g}{m.imag:+.4g}i"
            for m in self.multipliers[:4].tolist()
        )
        more = f", … ({len(self.multipliers)})" if len(self.multipliers) > 4 else ""
        known = np.isfinite(self.trivial_error)
        check = f" (the trivial one is right to {self.trivial_error:.0e})" if known else ""
        unit = "steps" if self.trajectory.discrete else "units of time"
        return (
            f"Limit cycle of '{self.trajectory.problem_name}': {self.kind}, period {self.period:.10g} {unit},"
            f" closed to {self.residual:.0e}\n  multipliers {shown or 'none'}{more}{check}\n  largest swing "
            f"{float(self.extent.max()):.4g}"
        )

    __repr__ = __str__


def limit_cycle(
    problem: Problem,
    start: ArrayLike,
    *,
    period: float | None = None,
    controls: Values = None,
    parameters: Values = None,
    unknowns: Values = None,
    tf: float = 1000.0,
) -> LimitCycle:
    """Find the limit cycle to which a path tends, or the one near a state and a period.

    The path is followed until it comes back to where it was on a section through it, and Newton's method on
    the return map, with the linearised flow of one period, closes it.

    Parameters
    ----------
    problem : Problem
        Autonomous; it needs no cost.
    start : array_like (n,)
        All states, flattened in the order of their statement.
    period : float, optional
        A guess. Given, the path is not followed but closed at once: this finds unstable cycles too.
    controls, parameters, unknowns : mapping, optional
        As for :func:`ocnet.landscape`.
    tf : float
        How long the path is followed at most, in the unit of time (steps for a map).

    Returns
    -------
    LimitCycle

    Raises
    ------
    SolveError
        If there is no cycle to be found: the path comes to rest (it says where), runs away, does not come
        back within `tf`, or Newton's method does not close it.
    ProblemError, ShapeError, DataError, OptionError
        For dynamics that contain time, values of the wrong shape or not finite, and times that are not
        positive.

    Notes
    -----
    With M the linearised flow of one period T from x, a Newton step solves

        (M − 1) δx + ẋ(T) δT = x − x(T),   ẋ·δx = 0,

    with tolerances of 1e-12 of the integrator. The eigenvalues of M are 1, for the direction of motion, and
    the multipliers: stable if all are inside the unit circle. M is integrated over one period in one piece:
    cycles with a multiplier beyond 1e7 or so are out of reach. A path on a torus has no cycle to tend to, and
    is reported as one that does not come back.

    Examples
    --------
    >>> import ocnet as oc
    >>> turning = oc.networks.hopfield([[2.0, -2.0], [2.0, 2.0]])
    >>> found = oc.limit_cycle(turning, [1.0, 0.0])
    >>> found.kind, round(found.period, 6), found.trivial_error < 1e-9
    ('stable', 6.837634, True)
    """
    where = f"limit_cycle of '{problem.name}'"
    field = Field(problem, controls=controls, parameters=parameters, unknowns=unknowns, where="limit_cycle")
    x = field.checked(start)
    if x.ndim != 1:
        raise ShapeError(f"{where}: start has shape {x.shape}; expected ({field.n},).")
    if not np.isfinite(x).all():
        raise DataError(f"{where}: start holds {x[~np.isfinite(x)][0]}; expected finite numbers.")
    for name, value in (("period", period), ("tf", tf)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise OptionError(f"{where}: {name} is {value}; expected a positive finite number.")
    if field.discrete and period is not None and period != round(period):
        raise OptionError(f"{where}: period is {period}; expected a whole number of steps.")
    search = _MapSearch(field, where) if field.discrete else _FlowSearch(field, where)
    orbit = search.follow(x, tf) if period is None else search.close(x, float(period))
    if orbit is None:
        raise SolveError(
            f"{where}: Newton's method does not close a path from this start with a period near {period}; "
            "start nearer to the cycle, or leave period out to follow the path."
        )
    return _confirmed(field, problem, orbit, controls, parameters, unknowns)


class _Orbit(NamedTuple):
    """A closed path: a state, its period, the linearised period (n, n) and the gap that is left."""

    x: np.ndarray
    period: float
    matrix: np.ndarray
    gap: float


class _FlowSearch:
    """Cycles in continuous time."""

    def __init__(self, field: Field, where: str) -> None:
        self.n, self.where, self.labels = field.n, where, field.labels
        self._f, self._J = Pointwise(field.velocity, 1), Pointwise(field.slope, 1)

    def rate(self, t: float, x: np.ndarray) -> np.ndarray:
        return self._f(x)[0][0].copy()

    def variational(self, t: float, y: np.ndarray) -> np.ndarray:
        n = self.n
        J = self._J(y[:n])[0].reshape(n, n).T
        return np.concatenate([self.rate(t, y[:n]), (J @ y[n:].reshape(n, n)).reshape(-1)])

    def follow(self, x: np.ndarray, tf: float) -> _Orbit:
        """Follow a path in ever longer stages until it can be closed; SolveError says why it cannot."""
        for stage in range(STAGES):
            span = tf * 2**stage / (2**STAGES - 1)
            normal, origin = self.rate(0.0, x), x

            def section(t: float, y: np.ndarray, normal: Any = normal, origin: Any = origin) -> float:
                return float(normal @ (y - origin))

            def gone(t: float, y: np.ndarray) -> float:
                return FAR - float(np.abs(y).max())

            section.direction, gone.terminal = 1, True  # pyright: ignore[reportFunctionMemberAccess]
            options: dict[str, Any] = {"method": "DOP853", "rtol": 1e-9, "atol": 1e-12}
            with np.errstate(all="ignore"):
                found = solve_ivp(self.rate, (0.0, span), x, events=[section, gone], **options)
            x = found.y[:, -1]
            if found.status == 1 or not found.success or not np.isfinite(x).all():
                raise SolveError(f"{self.where}: no cycle: the path runs away, |x| is {np.abs(x).max():.3g}.")
            refuse_rest(self.where, x, np.abs(self.rate(0.0, x)).max())
            late = found.y[:, found.t >= span / 2]
            size = float(np.ptp(late, axis=1).max())
            times, points = found.t_events[0], np.array(found.y_events[0]).reshape(-1, self.n)
            for m in range(1, min(len(times) - 1, LONGEST_CYCLE) + 1):
                if np.abs(points[-1] - points[-1 - m]).max() <= RECURS * size:
                    orbit = self.close(points[-1], float(times[-1] - times[-1 - m]))
                    if orbit is not None and attracts(orbit, points[-1], size):
                        return orbit
                    break
        raise SolveError(
            f"{self.where}: no cycle: the path neither rests nor comes back within {tf:.6g} units of time; "
            "it may need longer (tf=...), or move on a torus or without any pattern."
        )

    def around(self, x: np.ndarray, period: float) -> Any:
        """Integrate the flow and its linearisation over a period; None if that fails."""
        y = np.concatenate([x, np.eye(self.n).reshape(-1)])
        with np.errstate(all="ignore"):
            found = solve_ivp(self.variational, (0.0, period), y, dense_output=True, **EXACT)
        return found if found.success and np.isfinite(found.y).all() else None

    def close(self, x: np.ndarray, period: float) -> _Orbit | None:
        """Close a path by Newton's method from a state and a period; None if it does not converge."""
        n, guess, best = self.n, period, None
        for _ in range(20):
            found = self.around(x, period)
            if found is None:
                break
            end, M = found.y[:n, -1], found.y[n:, -1].reshape(n, n)
            gap = float(np.abs(end - x).max())
            path = found.sol(np.linspace(0, period, 200))[:n]
            size, scale = float(np.ptp(path, axis=1).max()), 1 + float(np.abs(x).max())
            if size <= SMALL * scale:
                return None  # an equilibrium is no cycle
            if best is not None and gap >= 0.5 * best.gap and best.gap <= CLOSED * scale:
                break  # rounding
            if best is None or gap < best.gap:
                best = _Orbit(x, period, M, gap)
            matrix = np.zeros((n + 1, n + 1))
            matrix[:n, :n], matrix[:n, n], matrix[n, :n] = M - np.eye(n), self.rate(0, end), self.rate(0, x)
            step = np.linalg.lstsq(matrix, np.append(x - end, 0.0), rcond=SINGULAR)[0]
            step = step / max(1.0, np.abs(step[:n]).max() / (0.3 * size), abs(step[n]) / (0.2 * period))
            x, period = x + step[:n], period + float(step[n])
            if not guess / 4 < period < 4 * guess:
                break
        if best is None or best.gap > CLOSED * (1 + float(np.abs(best.x).max())):
            return None
        return self._prime(best)

    def _prime(self, orbit: _Orbit) -> _Orbit:
        """Return the orbit with its shortest period."""
        path = self.around(orbit.x, orbit.period).sol
        size = float(np.ptp(path(np.linspace(0, orbit.period, 200))[: self.n], axis=1).max())
        for m in range(LONGEST_CYCLE, 1, -1):
            if np.abs(path(orbit.period / m)[: self.n] - orbit.x).max() <= 1e-6 * size:
                return self.close(orbit.x, orbit.period / m) or orbit
        return orbit


class _MapSearch:
    """Cycles of a map: states that come back after a number of steps."""

    def __init__(self, field: Field, where: str) -> None:
        self.field, self.where = field, where

    def path(self, x: np.ndarray, steps: int) -> np.ndarray:
        """Return the next states (steps + 1, n), from x on."""
        states = [x]
        for _ in range(steps):
            states.append(states[-1] + self.field(states[-1]))
        return np.array(states)

    def matrix(self, states: np.ndarray) -> np.ndarray:
        """Return the linearised map from the first of states (m + 1, n) to the last."""
        n, product = self.field.n, np.eye(self.field.n)
        for J in self.field.jacobian(states[:-1]):
            product = (J + np.eye(n)) @ product
        return product

    def follow(self, x: np.ndarray, tf: float) -> _Orbit:
        """Repeat the map in ever longer stages until the path can be closed; SolveError says why not."""
        for stage in range(STAGES):
            with np.errstate(all="ignore"):
                states = self.path(x, max(2, round(tf * 2**stage / (2**STAGES - 1))))
            x = states[-1]
            if not np.isfinite(x).all() or np.abs(x).max() > FAR:
                raise SolveError(f"{self.where}: no cycle: the path runs away, |x| is {np.abs(x).max():.3g}.")
            refuse_rest(self.where, x, np.abs(self.field(x)).max())
            size = float(np.ptp(states[len(states) // 2 :], axis=0).max())
            gaps = np.abs(states[-1 - LONGEST_CYCLE : -1] - x).max(axis=1)[::-1]
            for m in np.flatnonzero(gaps <= RECURS * size)[:3] + 1:
                orbit = self.close(x, float(m))
                if orbit is not None and attracts(orbit, x, size):
                    return orbit
        raise SolveError(
            f"{self.where}: no cycle: the path neither rests nor comes back within {tf:.6g} steps, to a "
            f"period of {LONGEST_CYCLE} at most; it may need longer (tf=...), or move without any period."
        )

    def close(self, x: np.ndarray, period: float) -> _Orbit | None:
        """Close a path by Newton's method for F^m(x) = x; None if it does not converge."""
        n, m = self.field.n, round(period)
        for _ in range(30):
            states = self.path(x, m)
            if not np.isfinite(states).all():
                return None
            gap = states[-1] - x
            if np.abs(gap).max() <= 1e-14 * (1 + float(np.abs(x).max())):
                break
            x = x - np.linalg.lstsq(self.matrix(states) - np.eye(n), gap, rcond=SINGULAR)[0]
        states = self.path(x, m)
        gap, scale = float(np.abs(states[-1] - x).max()), 1 + float(np.abs(x).max())
        if not gap <= CLOSED * scale or float(np.ptp(states, axis=0).max()) <= SMALL * scale:
            return None
        for shorter in range(1, m):
            if m % shorter == 0 and np.abs(states[shorter] - x).max() <= 1e-6 * np.ptp(states, axis=0).max():
                return self.close(x, float(shorter))
        return _Orbit(x, float(m), self.matrix(states), gap)


def attracts(orbit: _Orbit, x: np.ndarray, size: float) -> bool:
    """Whether a path of this size that came to x can tend to an orbit: it is near, and not unstable."""
    growth = float(np.abs(np.linalg.eigvals(orbit.matrix)).max())
    return growth <= 1 + NEUTRAL and float(np.abs(orbit.x - x).max()) <= 0.5 * size


def refuse_rest(where: str, x: np.ndarray, speed: float) -> None:
    """Raise a SolveError if a path has come to rest."""
    if speed <= REST * (1 + float(np.abs(x).max())):
        shown = ", ".join(f"{v:.6g}" for v in x[:4]) + (", …" if len(x) > 4 else "")
        raise SolveError(
            f"{where}: no cycle: the path comes to rest at ({shown}), where it moves by {speed:.1e}; "
            "ocnet.landscape finds equilibria."
        )


def _confirmed(
    field: Field, problem: Problem, orbit: _Orbit, controls: Values, parameters: Values, unknowns: Values
) -> LimitCycle:
    """Make the multipliers and the trajectory of a closed path."""
    multipliers = np.linalg.eigvals(orbit.matrix).astype(complex)
    error = float("nan")
    if not field.discrete:
        velocity = field(orbit.x)
        error = float(np.linalg.norm(orbit.matrix @ velocity - velocity) / np.linalg.norm(velocity))
        multipliers = np.delete(multipliers, int(np.argmin(np.abs(multipliers - 1))))
    multipliers = multipliers[np.argsort(-np.abs(multipliers), kind="stable")]
    functions = problem.functions
    start = problem.horizon.t0 if isinstance(problem.horizon, Finite) else 0.0
    trajectory = simulate(
        problem,
        schedule={
            v.name: np.broadcast_to(np.asarray((controls or {})[v.name], dtype=float), v.shape)
            for v in functions.controls
        },
        initial=functions.unpack(orbit.x, "state"),
        tf=start + orbit.period,
        parameters=parameters,
        unknowns=unknowns,
    )
    times = trajectory.time if trajectory.discrete else np.linspace(start, start + orbit.period, DENSE)
    extent = np.ptp(trajectory.x(times), axis=0)
    return LimitCycle(orbit.x, orbit.period, multipliers, error, orbit.gap, extent, trajectory)
