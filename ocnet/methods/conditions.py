"""The boundary value problem of Pontryagin's conditions for given parameters of a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np
from scipy.integrate import solve_ivp

from ocnet.control_law import ControlLaw
from ocnet.errors import OcnetError
from ocnet.hamiltonian import Hamiltonian
from ocnet.horizon import Discounted, Finite, FreeTime, Steps, rate
from ocnet.methods.canonical import Canonical, Ends, HermiteSimpson, Recursion
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant

GROWTH = 1.5  # of the intervals far out on an infinite horizon


class Conditions:
    """Hamiltonian, ends, terminal cost and bounds of a problem, and the equations on any mesh.

    Parameters
    ----------
    problem : Problem
    parameters : mapping, optional
        Values by name.
    """

    def __init__(self, problem: Problem, parameters: Mapping[str, Any] | None) -> None:
        f = self.functions = problem.functions
        self.horizon = problem.horizon
        values = problem.parameter_values(parameters)
        self.parameters = f.pack(values, "parameter") if values else np.zeros(0)
        self.bounds = f.bounds(self.parameters)
        self.hamiltonian = _with_parameters(problem.hamiltonian, parameters)
        self.rate, self.n = rate(problem.horizon), f.nx
        self.discrete = isinstance(problem.horizon, Steps)
        self._terminal = _terminal(problem, self.parameters)

    @property
    def first_end(self) -> float:
        """End of the first mesh; an infinite horizon is cut where its discount is 1e-10."""
        horizon = self.horizon
        if isinstance(horizon, Discounted):
            return float(np.log(1e10) / horizon.rate)
        assert isinstance(horizon, Steps) or not isinstance(horizon, FreeTime)
        return float(horizon.n or 0) if isinstance(horizon, Steps) else horizon.tf

    @property
    def near_end(self) -> float | None:
        """On an infinite horizon, where its discount is 1e-2; what comes later matters little before."""
        return float(np.log(1e2) / self.rate) if isinstance(self.horizon, Discounted) else None

    def mesh(self, end: float, intervals: int | None) -> np.ndarray:
        """Return nodes to start from; on an infinite horizon they are dense at first and sparse far out."""
        if isinstance(self.horizon, Steps):
            return np.arange(end + 1)
        if isinstance(self.horizon, Finite):
            return np.linspace(self.horizon.t0, end, (intervals or 8) + 1)
        assert self.near_end is not None
        total = intervals or 13
        near = max(1, round(8 / 13 * total))
        part = np.arange(near + 1) / near
        graded = -np.log1p(-part * -np.expm1(-self.rate * self.near_end / 3)) / (self.rate / 3)
        graded[-1] = self.near_end
        return np.concatenate([graded, beyond(graded, end, total - near)])

    def system(self, times: np.ndarray, extra: float = 0.0) -> Canonical:
        """Equations on a mesh; `extra` is added to the discount rate."""
        ends = Ends(self.bounds.initial, self.bounds.final, self._terminal)
        kind = Recursion if self.discrete else HermiteSimpson
        return kind(self.hamiltonian, times, ends, self.rate + extra)

    def rollout(self, times: np.ndarray, x0: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return states under the controls that minimise the stage cost alone, and costates 0.

        They start from x0, or from the prescribed initial state (0 where that is free). Where the states run
        away they are held.
        """
        b, zero = self.bounds, np.zeros(self.n)
        start = np.where(np.isnan(b.initial), 0.0, b.initial) if x0 is None else x0
        nothing, lost = np.full(self.n, np.nan), list[float]()
        limit = 1e3 * (1 + np.abs(start).max(initial=0.0))

        def flow(t: float, x: np.ndarray) -> np.ndarray:
            if lost:
                return nothing
            try:
                return self.hamiltonian.gradient(t, x, zero)[1]
            except OcnetError:  # no minimum of H there
                lost.append(t)
                return nothing

        def leaves(t: float, x: np.ndarray) -> float:
            return min(limit - np.abs(x).max(), (x - b.x_lower).min(), (b.x_upper - x).min())

        x = np.tile(start, (len(times), 1))
        leaves.terminal = True  # type: ignore[attr-defined]
        with np.errstate(all="ignore"):
            if self.discrete:
                for k in range(len(times) - 1):
                    new = flow(times[k], x[k])
                    x[k + 1] = new if np.isfinite(new).all() and leaves(k, new) > 0 else x[k]
            elif np.isfinite(flow(times[0], start)).all():
                run = solve_ivp(
                    flow, times[[0, -1]], start, t_eval=times, events=leaves, rtol=1e-3, atol=1e-5
                )
                reached = np.array(run.y).reshape(self.n, -1).T
                good = reached[np.isfinite(reached).all(axis=1)] if reached.size else x[:1]
                x[: len(good)], x[len(good) :] = good, good[-1]
        prescribed = ~np.isnan(b.final)
        part = ((times - times[0]) / (times[-1] - times[0]))[:, None]
        x = np.where(prescribed, start + part * (np.where(prescribed, b.final, start) - start), x)
        return x, np.zeros_like(x)

    def costates(self, times: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return costates that go with states (K + 1, n), computed backwards; 0 where they run away."""
        p, H = np.zeros_like(x), self.hamiltonian
        p[-1] = np.where(np.isnan(self.bounds.final), self._terminal(x[-1])[0], 0.0)
        path = Interpolant(times, x, times, np.arange(len(times) - 1), np.full(len(times) - 1, 2))

        def back(s: float, p: np.ndarray) -> np.ndarray:
            return H.gradient(times[-1] - s, path(times[-1] - s), p)[0] - self.rate * p

        def leaves(s: float, p: np.ndarray) -> float:
            return 1e3 * (1 + np.abs(x).max()) - np.abs(p).max()

        leaves.terminal = True  # type: ignore[attr-defined]
        try:
            with np.errstate(all="ignore"):
                if self.discrete:
                    for k in range(len(times) - 2, -1, -1):
                        p[k] = H.gradient(times[k], x[k], np.exp(-self.rate) * p[k + 1])[0]
                else:
                    ends, at = (0.0, times[-1] - times[0]), times[-1] - times[::-1]
                    run = solve_ivp(back, ends, p[-1].copy(), t_eval=at, events=leaves, rtol=1e-3, atol=1e-5)
                    p[-len(run.t) :] = run.y.T[::-1]
        except OcnetError:  # no minimum of H there
            return np.zeros_like(x)
        return p if np.isfinite(p).all() else np.zeros_like(x)

    def law(self, x: Interpolant, p: Interpolant) -> ControlLaw | None:
        """Return the controls along a path; they are computed where they are asked for."""
        if not self.functions.nu:
            return None
        H, limits = self.hamiltonian, (self.bounds.u_lower, self.bounds.u_upper)
        if not self.discrete:
            return ControlLaw(
                lambda t: H.control(t, x(t), p(t)), x.time, x.breaks, x.first, x.count, False, limits
            )
        weight, k = np.exp(-self.rate), x.time[:-1]
        plain = Interpolant.sequence(k, np.zeros((len(k), 1)))
        return ControlLaw(
            lambda t: H.control(t, x(t), weight * p(t + 1)),
            k,
            plain.breaks,
            plain.first,
            plain.count,
            True,
            limits,
        )

    def outside(self, x: Interpolant, tolerance: float) -> str:
        """Say which bound of a state the path misses most; nothing if it misses none."""
        low, high = self.bounds.x_lower, self.bounds.x_upper
        with np.errstate(invalid="ignore"):
            missed = np.fmax(low - x.values, x.values - high) / (1 + np.abs(x.values))
        missed = np.nan_to_num(missed, nan=-np.inf)
        node, i = np.unravel_index(np.argmax(missed), missed.shape)
        if missed[node, i] <= tolerance:
            return ""
        label = self.functions.labels("state")[int(i)]
        return (
            f"the extremal misses a bound of {label} at {x.time[node]:.6g} by {missed[node, i]:.1e}, "
            "which Pontryagin does not hold; use ocnet.Collocation"
        )

    def terminal_cost(self, x: np.ndarray, times: np.ndarray) -> float:
        """Return the terminal cost with its discount, at the last state (n,) of a mesh."""
        f = self.functions
        if f.terminal.nnz_out(0) == 0:
            return 0.0
        value = float(f.terminal(times[-1], x, np.zeros(f.nx), np.zeros(f.nu), np.zeros(0), self.parameters))
        return float(np.exp(-self.rate * (times[-1] - times[0]))) * value


def beyond(times: np.ndarray, end: float, count: int | None = None) -> np.ndarray:
    """Return nodes after the last of a mesh up to a later end, in growing intervals."""
    last, length = times[-1], times[-1] - times[-2]
    if count is None:
        count = int(np.ceil(np.log1p((end - last) / length * (GROWTH - 1) / GROWTH) / np.log(GROWTH)))
    lengths = GROWTH ** np.arange(1, max(1, count) + 1)
    nodes = last + np.cumsum(lengths) * ((end - last) / lengths.sum())
    nodes[-1] = end
    return nodes


def _with_parameters(hamiltonian: Hamiltonian, parameters: Mapping[str, Any] | None) -> Hamiltonian:
    """Return the Hamiltonian for other values of the parameters, if it depends on them."""
    at = getattr(hamiltonian, "at", None)
    return at(parameters) if at is not None and parameters else hamiltonian


def _terminal(problem: Problem, parameters: np.ndarray) -> Any:
    """Return x -> gradient and second derivative of the terminal cost."""
    f = problem.functions
    if f.terminal.nnz_out(0) == 0 or f.terminal.jac_sparsity(0, 1).nnz() == 0:
        zero = np.zeros(f.nx), np.zeros((f.nx, f.nx))
        return lambda x: zero
    horizon = problem.horizon
    end = float(horizon.n or 0) if isinstance(horizon, Steps) else getattr(horizon, "tf", 0.0)
    x = ca.MX.sym("x", f.nx)
    value = f.terminal(end, x, ca.DM.zeros(f.nx), ca.DM.zeros(f.nu), ca.DM.zeros(0), parameters)
    curvature, slope = ca.hessian(value, x)
    function = ca.Function("terminal", [x], [ca.densify(slope), ca.densify(curvature)])

    def evaluate(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope, curvature = function(at)
        return slope.full().ravel(), curvature.full()

    return evaluate
