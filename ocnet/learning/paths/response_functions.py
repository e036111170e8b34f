"""What the adjoint needs of a Problem: right-hand sides, costs and their derivatives, and the first state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError, ProblemError, UnsupportedError
from ocnet.horizon import Finite, rate
from ocnet.learning.fixed_points.fixed_point import FixedPoint
from ocnet.pointwise import Pointwise
from ocnet.problem import Problem
from ocnet.symbols import as_data


class ResponseFunctions:
    """CasADi functions of (t, x, λ, θ), with θ the unknowns and then the parameters, flat.

    Parameters
    ----------
    problem : Problem
    where : str
        Opens the messages.

    Attributes
    ----------
    nx, m : int
        Numbers of states and of constants.
    t0, tf : float
    moments : list of float
        Times of the samples, ascending.
    """

    def __init__(self, problem: Problem, where: str) -> None:
        self.problem, self.where = problem, where
        horizon = problem.horizon
        if not isinstance(horizon, Finite):
            raise UnsupportedError(
                f"{where}: the horizon is {horizon}; adjoints are integrated on a fixed interval, "
                "oc.Finite(tf)."
            )
        functions = self.functions = problem.functions
        if functions.nu:
            names = [v.name for v in functions.controls]
            raise UnsupportedError(
                f"{where}: it has the controls {names}; expected none. State them as functions of time and "
                "of unknown constants, or solve the problem by oc.solve."
            )
        if not functions.has_cost:
            raise ProblemError(f"{where}: it has no cost; state one with minimize or cost_at.")
        self.variables = [*functions.unknowns, *functions.parameters]
        if not self.variables:
            raise ProblemError(
                f"{where}: it has no unknown and no parameter; a gradient needs constants to vary."
            )
        self.nx, self.m = functions.nx, functions.nq + functions.np
        self.t0, self.tf = float(horizon.t0), float(horizon.tf)
        order = np.argsort([s.time for s in problem.samples], kind="stable")
        self.moments = [problem.samples[i].time for i in order]
        kind: Any = ca.SX
        try:
            functions.dynamics.call(functions.arguments(ca.SX), True, False)
        except RuntimeError:  # a function that CasADi cannot expand
            kind = ca.MX
        t, x, costate = kind.sym("t"), kind.sym("x", self.nx), kind.sym("costate", self.nx)
        theta = kind.sym("theta", self.m)
        q, p = theta[: functions.nq], theta[functions.nq :]
        none = kind(0, 1)

        def at(function: ca.Function, dx: Any) -> Any:
            return ca.densify(function.call([t, x, dx, none, q, p], True, False)[0])

        weight = ca.exp(-rate(horizon) * (t - self.t0))
        f = at(functions.dynamics, kind.zeros(self.nx))
        stage = weight * at(functions.stage, f)
        ends = [at(functions.samples[i], f) for i in order] + [weight * at(functions.terminal, f)]
        pulled = [ca.densify(ca.jtimes(f, s, costate, True) + ca.gradient(stage, s)) for s in (x, theta)]
        self.symbols = (t, x, theta)
        self.expressions = (f, stage, ends)
        arguments, names = [t, x, costate, theta], ["t", "x", "costate", "theta"]

        def function(name: str, *outputs: Any) -> ca.Function:
            return ca.Function(
                name,
                arguments,
                [ca.densify(o) for o in outputs],
                names,
                [f"o{i}" for i in range(len(outputs))],
            )

        self.rate = function("rate", f)
        self.adjoint_rate = function("adjoint_rate", -pulled[0])
        self.integrands = function("integrands", stage, pulled[1])
        self.jacobian = function("jacobian", ca.jacobian(f, x))
        # The Jacobian of (ẋ, λ̇) in (x, λ), for states that are recomputed backwards.
        both = ca.vertcat(f, -pulled[0])
        self.joint_jacobian = function("joint_jacobian", ca.jacobian(both, ca.vertcat(x, costate)))
        self.ends = [
            function(f"end_{i}", e, ca.gradient(e, x), ca.gradient(e, theta)) for i, e in enumerate(ends)
        ]
        self._prepared: tuple[bytes, FixedPoint] | None = None

    def at_point(self, function: ca.Function, theta: np.ndarray) -> Pointwise:
        """Return a function of (t, x, λ) at one point, for these constants."""
        return Pointwise(function, 1, {3: theta})

    def end(
        self, index: int, t: float, x: np.ndarray, theta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return a sample's (or, last, the terminal) cost, its gradient in x (nx,) and in θ (m,)."""
        cost, d_x, d_theta = self.ends[index](t, x, np.zeros(self.nx), theta)
        return float(cost), d_x.full().reshape(-1), d_theta.full().reshape(-1)

    def constants(self, values: Mapping[str, Any] | None) -> np.ndarray:
        """Return θ (m,) from values by name; what is left out keeps its guess or value."""
        if values is not None and not isinstance(values, Mapping):
            raise ProblemError(f"{self.where}: values is {values!r:.60}; expected values by name in a dict.")
        given = dict(values or {})
        known = {v.name: v for v in self.variables}
        for name in given:
            if name not in known:
                raise ProblemError(
                    f"{self.where}: values name '{name}', which is no unknown and no parameter; expected "
                    f"names among {list(known)}."
                )
        parts: list[np.ndarray] = []
        for v in self.variables:
            value = given.get(v.name, v.guess if v.kind == "unknown" else v.value)
            parts.append(as_data(value, v.shape, f"{self.where}, '{v.name}'").reshape(-1))
        return np.concatenate(parts)

    def by_name(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Split (m,) into arrays by name."""
        result: dict[str, np.ndarray] = {}
        start = 0
        for v in self.variables:
            result[v.name] = theta[start : start + v.size].reshape(v.shape)
            start += v.size
        return result

    # ------------------------------------------------------------------ the first state

    def first_state(self, theta: np.ndarray) -> np.ndarray:
        """Return x(t0) (nx,) from the prescribed values and the equations at the beginning."""
        equations = self._equations(theta)
        start = self.functions.bounds(theta[self.functions.nq :]).initial
        guess = np.where(np.isnan(start), 0.0, start)
        return equations.solve({"theta": theta, "costate": np.zeros(self.nx)}, guess)

    def through_first_state(self, x0: np.ndarray, theta: np.ndarray, costate: np.ndarray) -> np.ndarray:
        """Return λ·dx(t0)/dθ (m,) by the adjoint of the equations that give the first state."""
        found = self._equations(theta).gradient(x0, {"theta": theta, "costate": costate})
        return found.gradient["theta"]

    def _equations(self, theta: np.ndarray) -> FixedPoint:
        """r(x0, θ) = 0 as a fixed point with the response λ·x0."""
        functions, problem = self.functions, self.problem
        p = theta[functions.nq :]
        bounds = functions.bounds(p)
        low, high = bounds.constraints["initial"]
        chosen = np.flatnonzero(low == high)
        fixed = np.flatnonzero(~np.isnan(bounds.initial))
        key = chosen.tobytes() + b"|" + fixed.tobytes()
        if self._prepared is not None and self._prepared[0] == key:
            return self._prepared[1]
        if len(chosen) + len(fixed) != self.nx:
            free = [
                label
                for label, v in zip(functions.labels("state"), bounds.initial, strict=True)
                if np.isnan(v)
            ]
            raise ProblemError(
                f"{self.where}: the first state has {self.nx} components, and {len(fixed)} prescribed values "
                f"and {len(chosen)} equations at the beginning (free: {free}); expected as many in all. Give "
                "initial=..., or constrain(..., lower=0, upper=0, at='initial')."
            )
        x, constants, costate = ca.MX.sym("x", self.nx), ca.MX.sym("theta", self.m), ca.MX.sym("l", self.nx)
        q_, p_ = constants[: functions.nq], constants[functions.nq :]
        none, still = ca.MX(0, 1), ca.MX.zeros(self.nx)
        values = functions.bound_function(p_)
        first = 2 * self.nx + 2 * functions.nq  # bounds of states and unknowns come before x(t0), x(tf)
        on_path = sum(int(np.prod(c.shape)) for c in functions.at("path"))
        lower = first + 2 * self.nx + 2 * on_path
        rows = [x[i] - values[first + i] for i in fixed.tolist()]
        if len(chosen):
            c = functions.initial(self.t0, x, still, none, q_, p_)
            rows += [c[i] - values[lower + i] for i in chosen.tolist()]
        system = FixedPoint.from_casadi(
            ca.vertcat(*rows),
            ca.dot(costate, x),
            x,
            {"theta": constants, "costate": costate},
            name=f"first state of '{problem.name}'",
        )
        self._prepared = (key, system)
        return system

    def checked_rate(self, value: np.ndarray, t: float) -> np.ndarray:
        """Return a right-hand side; DataError where it is not finite."""
        if not np.isfinite(value).all():
            i = int(np.flatnonzero(~np.isfinite(value))[0])
            raise DataError(f"{self.where}: the right-hand side {i} is {value[i]} at t = {t:.6g}.")
        return value
