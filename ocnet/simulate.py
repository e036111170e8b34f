"""Forward integration under a schedule or a feedback policy: what happens when controls are applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Literal

import casadi as ca
import numpy as np
from scipy.integrate import OdeSolution, solve_ivp

from ocnet.control_law import ControlLaw
from ocnet.errors import OptionError, ProblemError, ShapeError, SimulationError
from ocnet.functions import Functions
from ocnet.horizon import Finite, Steps
from ocnet.pieces import joint_breaks
from ocnet.pointwise import Pointwise
from ocnet.problem import Problem, Variable
from ocnet.schedule import Piece, Schedule, control_vector, read_schedule
from ocnet.symbols import as_data
from ocnet.trajectory import Interpolant, Trajectory

Integrator = Literal["DOP853", "LSODA", "Radau"]
Until = float | Callable[[float, np.ndarray], float]

MOST_STORED = 20_000_000  # numbers of controls that a simulation keeps; more are computed when asked for

# Nodes of one solver step on [0, 1]: enough to reproduce the continuous extension of the integrator.
_NODES = {
    name: (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
    for name, count in (("DOP853", 8), ("LSODA", 8), ("Radau", 4))
}


def simulate(
    problem: Problem,
    *,
    schedule: Trajectory | Mapping[str, Any] | None = None,
    policy: Callable[[float, np.ndarray], Any] | None = None,
    initial: Any,
    tf: float | None = None,
    until: Until | None = None,
    parameters: Mapping[str, Any] | None = None,
    unknowns: Mapping[str, Any] | None = None,
    rtol: float = 1e-10,
    atol: float = 1e-12,
    integrator: Integrator = "DOP853",
) -> Trajectory:
    """Integrate the dynamics of a problem forward in time, or repeat its map when the horizon is Steps.

    The cost, the bounds, the constraints and the prescribed ends of the problem play no part.

    Parameters
    ----------
    problem : Problem
        Whose dynamics hold; it needs no cost.
    schedule : Trajectory, Solution or mapping, optional
        The controls as functions of time. Of a trajectory, the controls that have the names and shapes of the
        problem's. In a mapping, for each control by name: an array of its shape (constant), a function of
        time that returns one, or a pair (times (M,), values (M, *shape)) between which it is linear.
    policy : callable, optional
        (t, x) -> controls, with x (nx,) all states flattened in the order of their statement; returns the
        flat controls (nu,), or arrays by name, or an array of the shape of the only control.
    initial : array_like or mapping
        The first state: an array of its shape if the problem has one state, otherwise arrays by name.
    tf : float, optional
        When to stop; the number of steps for Steps. Left out, it is where the problem's horizon or the
        schedule ends, whichever is first; required if neither has an end.
    until : float or callable, optional
        Stop before tf, where the states come to rest: no component of ẋ (of the last change, for Steps) is
        larger than this number any more. Or where a function (t, x) -> float, with x (nx,), falls to 0.
        What holds at the start already does not stop it: a path that starts at rest is followed to tf.
    parameters : mapping, optional
        Values by name, in place of the problem's own.
    unknowns : mapping, optional
        Values of the problem's unknown constants by name; the guess where left out.
    rtol, atol : float
        Error demands of each step of the integrator; atol in the unit of the states.
    integrator : {"DOP853", "LSODA", "Radau"}
        An explicit method of order 8, a variable-order method that notices stiffness, or an implicit one for
        stiff dynamics. Between the steps of Radau its cubic is kept, which is less accurate than the steps.

    Returns
    -------
    Trajectory
        States and controls; on each step of the integrator a polynomial through 8 points (4 for Radau), which
        is the integrator's own continuous extension. Where the schedule may jump the integrator starts
        afresh, and `control_time` holds the moment twice. The units are the problem's own.

    Raises
    ------
    ProblemError
        For both or neither of schedule and policy, wrong or missing names, a schedule that does not cover the
        time asked for, or a missing tf.
    ShapeError, DataError
        For arrays of the wrong shape, or values that are not finite.
    SimulationError
        If the state or the policy becomes infinite or undefined; it says when and in which component.

    Examples
    --------
    >>> import ocnet as oc
    >>> problem = oc.Problem("decay", horizon=oc.Finite(1.0))
    >>> x = problem.state("x")
    >>> problem.dynamics(x, -x)
    >>> float(oc.simulate(problem, initial=1.0).state("x", 1.0)[0])
    0.36787944...
    """
    functions = problem.functions
    where = f"simulate '{problem.name}'"
    if integrator not in _NODES:
        raise OptionError(f"{where}: integrator is {integrator!r}; expected one of {list(_NODES)}.")
    if schedule is not None and policy is not None:
        raise ProblemError(f"{where}: got both a schedule and a policy; expected one of them.")
    if functions.nu and schedule is None and policy is None:
        names = [v.name for v in functions.controls]
        raise ProblemError(f"{where}: the controls {names} have no values; give schedule=... or policy=...")
    discrete = isinstance(problem.horizon, Steps)
    plan = (
        read_schedule(schedule, functions, discrete, where) if schedule is not None and functions.nu else None
    )
    t0 = problem.horizon.t0 if isinstance(problem.horizon, Finite) else 0.0
    t1 = _end(problem, plan, t0, tf, where)
    x0 = functions.pack(_by_name(initial, functions.states, where, "initial"), "state")
    constants = (
        functions.pack(_with_guesses(unknowns, functions.unknowns, where), "unknown"),
        functions.pack(problem.parameter_values(parameters), "parameter"),
    )
    if (
        until is not None
        and not callable(until)
        and not (isinstance(until, (int, float)) and 0 < until < np.inf)
    ):
        raise OptionError(f"{where}: until is {until!r}; expected a positive number or a function (t, x).")
    run = _Run(functions, constants, policy, where, until)
    if discrete:
        x, u = run.repeat(plan, x0, round(t1))
    else:
        x, u = run.integrate(plan, x0, t0, t1, rtol, atol, integrator)
    layouts = [[(v.name, v.shape) for v in group] for group in (functions.states, functions.controls)]
    return Trajectory(problem.name, str(problem), x, u if functions.nu else None, *layouts)


class _Run:
    """One simulation: the right-hand side with everything but time, state and control filled in."""

    def __init__(
        self,
        functions: Functions,
        constants: tuple[np.ndarray, np.ndarray],
        policy: Any,
        where: str,
        until: Until | None,
    ) -> None:
        self.functions, self.policy, self.where, self.until = functions, policy, where, until
        self.fixed = {2: np.zeros(functions.nx), 4: constants[0], 5: constants[1]}
        self.f = Pointwise(functions.dynamics, 1, self.fixed)
        self.labels = functions.labels("state")
        self.trouble: tuple[float, str] | None = None

    def control(self, t: float, x: np.ndarray, piece: Piece | None) -> np.ndarray:
        """Return the control at a moment: from the schedule's piece, from the policy, or none."""
        if piece is not None:
            return piece(t)
        if self.policy is None:
            return np.zeros(0)
        u = control_vector(self.policy(t, x), self.functions, f"{self.where}, policy at t = {t:.6g}")
        if not np.isfinite(u).all():
            label = self.functions.labels("control")[int(np.flatnonzero(~np.isfinite(u))[0])]
            raise SimulationError(
                f"{self.where}: the policy gives {label} = {u[~np.isfinite(u)][0]} at t = {t:.6g}."
            )
        return u

    def rate(self, t: float, x: np.ndarray, piece: Piece | None) -> np.ndarray:
        """Return the right-hand side; remember where it was last not finite."""
        value = self.f(t, x, self.control(t, x, piece))[0][0].copy()
        if not np.isfinite(value).all():
            i = int(np.flatnonzero(~np.isfinite(value))[0])
            self.trouble = (t, f"the right-hand side of {self.labels[i]} is {value[i]}")
        return value

    def ahead(self, t: float, x: np.ndarray, moved: np.ndarray) -> float:
        """Return what is positive until the run may stop; `moved` is ẋ, or the last change."""
        assert self.until is not None
        if not callable(self.until):
            return float(np.abs(moved).max()) - self.until
        value = float(self.until(t, x))
        if np.isnan(value):
            raise SimulationError(f"{self.where}: until gives NaN at t = {t:.6g}; expected a number.")
        return value

    def repeat(self, plan: Schedule | None, x0: np.ndarray, steps: int) -> tuple[Interpolant, Interpolant]:
        """Repeat the exact recursion over a number of steps."""
        x, u = np.empty((steps + 1, len(x0))), np.empty((steps, self.functions.nu))
        x[0] = x0
        piece = plan.piece(0.0, float(steps)) if plan is not None else None
        ahead = self.ahead(0.0, x0, x0) if callable(self.until) else np.inf
        with np.errstate(all="ignore"):
            for k in range(steps):
                u[k] = self.control(float(k), x[k], piece)
                x[k + 1] = self.rate(float(k), x[k], lambda _, k=k: u[k])
                if not np.isfinite(x[k + 1]).all():
                    i = int(np.flatnonzero(~np.isfinite(x[k + 1]))[0])
                    raise SimulationError(
                        f"{self.where}: {self.labels[i]} becomes {x[k + 1, i]} at step {k + 1} of {steps}."
                    )
                if self.until is not None:
                    before, ahead = ahead, self.ahead(k + 1.0, x[k + 1], x[k + 1] - x[k])
                    if before > 0 >= ahead:
                        steps = k + 1
                        break
        return Interpolant.sequence(np.arange(steps + 1.0), x[: steps + 1]), Interpolant.sequence(
            np.arange(float(steps)), u[:steps]
        )

    def integrate(
        self,
        plan: Schedule | None,
        x0: np.ndarray,
        t0: float,
        t1: float,
        rtol: float,
        atol: float,
        integrator: str,
    ) -> tuple[Interpolant, Interpolant | ControlLaw]:
        """Solve the differential equation piece by piece between the places where the schedule may jump."""
        breaks = joint_breaks([] if plan is None else [plan.breaks], t0, t1)
        options: dict[str, Any] = {"method": integrator, "rtol": rtol, "atol": atol, "dense_output": True}
        record = _Record(len(x0), self.functions.nu, _NODES[integrator])
        x = x0
        for a, b in pairwise(breaks.tolist()):
            piece = plan.piece(a, b) if plan is not None else None
            if integrator != "DOP853" and self.policy is None:
                options["jac"] = self.jacobian(piece)
            if not np.isfinite(self.rate(a, x, piece)).all():
                self.fail(a, x, t1, "")
            with np.errstate(all="ignore"):
                found = solve_ivp(self.rate, (a, b), x, args=(piece,), events=self.event(), **options)
            if not found.success or not np.isfinite(found.y).all():
                good = np.isfinite(found.y).all(axis=0)
                last = int(np.flatnonzero(good)[-1])
                self.fail(found.t[last], found.y[:, last], t1, found.message)
            x = found.y[:, -1]
            record.add(found.sol, found.y, lambda t, x, piece=piece: self.control(t, x, piece))
            if found.status == 1:  # `until` was met
                break
        return record.interpolants()

    def event(self) -> Callable[..., float] | None:
        """Return `until` as solve_ivp wants it."""
        if self.until is None:
            return None

        def event(t: float, x: np.ndarray, piece: Piece | None) -> float:
            return self.ahead(t, x, x if callable(self.until) else self.rate(t, x, piece))

        event.terminal, event.direction = True, -1  # pyright: ignore[reportFunctionMemberAccess]
        return event

    def jacobian(self, piece: Piece | None) -> Callable[..., np.ndarray]:
        """∂f/∂x (nx, nx) as the implicit integrators want it."""
        if not hasattr(self, "_f_x"):
            arguments = self.functions.arguments()
            expression = ca.jacobian(self.functions.dynamics(*arguments), arguments[1])
            derivative = ca.Function("f_x", arguments, [ca.densify(expression)])
            self._f_x = Pointwise(derivative, 1, self.fixed)
        n = self.functions.nx
        return lambda t, x, *_: self._f_x(t, x, self.control(t, x, piece))[0].reshape(n, n).T.copy()

    def fail(self, t: float, x: np.ndarray, t1: float, message: str) -> None:
        """Say when and in which component the integration stopped."""
        i = int(np.argmax(np.abs(x)))
        reason = f"the largest component is {self.labels[i]} = {x[i]:.6g}"
        if self.trouble is not None:
            reason = f"{self.trouble[1]} at t = {self.trouble[0]:.6g}, and {reason}"
        said = f" The integrator says: {message}" if message else ""
        raise SimulationError(
            f"{self.where}: stopped at t = {t:.6g} before tf = {t1:.6g}: {reason}.{said} Check the "
            "dynamics and the controls there; for stiff dynamics try integrator='Radau'."
        )


class _Record:
    """Collects steps of the integrator as polynomials through nodes that neighbours share."""

    def __init__(self, nx: int, nu: int, nodes: np.ndarray) -> None:
        self.nx, self.nu, self.nodes = nx, nu, nodes
        self.time: list[np.ndarray] = []
        self.x: list[np.ndarray] = []
        self.controls: list[Callable[[float, np.ndarray], np.ndarray]] = []
        self.breaks: list[np.ndarray] = []

    def add(
        self, extension: OdeSolution, y: np.ndarray, control: Callable[[float, np.ndarray], np.ndarray]
    ) -> None:
        """Add one smooth piece: the continuous extension, the states (nx, steps + 1) and the controls."""
        edges = np.asarray(extension.ts)
        m = len(self.nodes) - 1
        inner = edges[:-1, None] + self.nodes[None, :-1] * np.diff(edges)[:, None]
        time = np.append(inner.reshape(-1), edges[-1])
        x = extension(time).T
        x[::m] = y.T
        self.time.append(time)
        self.x.append(x)
        self.controls.append(control)
        self.breaks.append(edges)

    def interpolants(self) -> tuple[Interpolant, Interpolant | ControlLaw]:
        """States, with one node where pieces meet, and controls, with two; many controls are not stored."""
        m = len(self.nodes) - 1
        steps = [len(edges) - 1 for edges in self.breaks]
        breaks = np.append(np.concatenate([edges[:-1] for edges in self.breaks]), self.breaks[-1][-1])
        total = sum(steps)
        count = np.full(total, m + 1)
        time = np.append(np.concatenate([t[:-1] for t in self.time]), self.time[-1][-1])
        values = np.vstack([*(x[:-1] for x in self.x), self.x[-1][-1:]])
        first = m * np.arange(total)
        states = Interpolant(time, values, breaks, first, count)
        shifted = first + np.repeat(np.arange(len(steps)), steps)
        moments = np.concatenate(self.time)
        if self.nu * len(moments) > MOST_STORED:
            return states, ControlLaw(self._law(states), moments, breaks, shifted, count)
        u = [
            np.array([control(t, xt) for t, xt in zip(time, x, strict=True)]).reshape(len(time), self.nu)
            for control, time, x in zip(self.controls, self.time, self.x, strict=True)
        ]
        return states, Interpolant(moments, np.vstack(u), breaks, shifted, count)

    def _law(self, states: Interpolant) -> Callable[[np.ndarray], np.ndarray]:
        ends = np.array([edges[-1] for edges in self.breaks[:-1]])

        def law(t: np.ndarray) -> np.ndarray:
            pieces = np.searchsorted(ends, t, side="right")
            rows = [self.controls[i](s, x) for i, s, x in zip(pieces, t.tolist(), states(t), strict=True)]
            return np.array(rows).reshape(len(t), self.nu)

        return law


# ---------------------------------------------------------------------- what the user gave


def _by_name(values: Any, group: list[Variable], where: str, what: str) -> dict[str, np.ndarray]:
    """Arrays by name for all variables of a group, from a mapping or from an array for the only one."""
    names = [v.name for v in group]
    if not isinstance(values, Mapping):
        if len(group) != 1:
            raise ProblemError(f"{where}: {what} is one array; expected a mapping with the names {names}.")
        if values is None:
            raise ProblemError(f"{where}: {what} is None; expected an array of shape {group[0].shape}.")
        values = {names[0]: values}
    missing, foreign = [n for n in names if n not in values], [n for n in values if n not in names]
    if missing or foreign:
        problem = f"lacks {missing}" if missing else f"names {foreign}, which are unknown"
        raise ProblemError(f"{where}: {what} {problem}; expected {names}.")
    return {v.name: _data(values[v.name], v, f"{where}, {what} of '{v.name}'") for v in group}


def _with_guesses(
    values: Mapping[str, Any] | None, group: list[Variable], where: str
) -> dict[str, np.ndarray]:
    complete = {v.name: v.guess for v in group} | dict(values or {})
    return _by_name(complete, group, where, "unknowns") if complete else {}


def _data(value: Any, variable: Variable, where: str) -> np.ndarray:
    array = np.asarray(value, dtype=float) if not isinstance(value, ca.MX) else value
    if isinstance(array, np.ndarray) and array.ndim and array.size == 1 and variable.size != 1:
        raise ShapeError(f"{where}: got an array of shape {array.shape}; expected {variable.shape}.")
    return as_data(array, variable.shape, where)


def _end(problem: Problem, plan: Schedule | None, t0: float, tf: float | None, where: str) -> float:
    horizon = problem.horizon
    own = horizon.tf if isinstance(horizon, Finite) else horizon.n if isinstance(horizon, Steps) else None
    planned = plan.end if plan is not None else np.inf
    if tf is None:
        end = min(np.inf if own is None else float(own), planned)
        if not np.isfinite(end):
            raise ProblemError(f"{where}: {horizon} and the controls have no end; say how far with tf=...")
    else:
        end = float(tf)
        if not np.isfinite(end):
            raise ProblemError(f"{where}: tf is {tf}; expected a finite number.")
    if isinstance(horizon, Steps) and end != round(end):
        raise ProblemError(f"{where}: tf is {tf}; with Steps it is a whole number of steps.")
    if end <= t0:
        raise ProblemError(f"{where}: the end {end:.6g} is not after the start {t0:.6g}.")
    if plan is not None:
        slack = 1e-9 * max(1.0, abs(end))
        if plan.start > t0 + slack or planned < end - slack:
            raise ProblemError(
                f"{where}: the schedule holds on [{plan.start:.6g}, {planned:.6g}]; it has to cover "
                f"[{t0:.6g}, {end:.6g}]. Choose a smaller tf or a longer schedule."
            )
    return end
