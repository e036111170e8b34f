"""The last stretch of a path: whether it rests, recurs or does neither."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from ocnet.pointwise import evaluate
from ocnet.solution import Solution

SAMPLES = 2001  # moments of a tail in continuous time


@dataclass(frozen=True)
class Tail:
    """States and controls at moments of a window.

    Attributes
    ----------
    times : ndarray (M,)
        All steps of the window, or evenly spaced moments of it.
    x : ndarray (M, nx)
    u : ndarray (M, nu)
        In discrete time the last one is repeated at the end of the path, which has no control.
    """

    solution: Solution
    times: np.ndarray
    x: np.ndarray
    u: np.ndarray

    @property
    def motion(self) -> float:
        """How far the state strays from where it ends, relative to 1 + |x|."""
        return float(np.abs(self.x - self.x[-1]).max() / (1 + np.abs(self.x[-1]).max()))

    def recurrence(self) -> tuple[float, float]:
        """Return the period after which the states come back, and how well they do.

        Returns
        -------
        period : float
            In units of time (steps); the window holds at least two of them. NaN if nothing comes back.
        error : float
            Largest difference of the states over one period, relative to their extent in the window; NaN too.
        """
        extent = float(np.ptp(self.x, axis=0).max())
        if extent == 0 or len(self.times) < 4:
            return float("nan"), float("nan")
        longest = (len(self.times) - 1) // 2
        errors = np.array([self._missed(shift) for shift in range(1, longest + 1)]) / extent
        if self.solution.discrete:
            best = int(np.argmax(errors <= max(2 * errors.min(), 1e-9)))
            return float(best + 1), float(errors[best])
        left = int(np.argmax(errors > 0.5))  # a path is near to itself after short times too
        after = errors[left:]
        dips = 1 + left + np.flatnonzero((after[1:-1] <= after[:-2]) & (after[1:-1] <= after[2:]))
        if errors[left] <= 0.5 or not len(dips):
            return float("nan"), float("nan")
        good = dips[errors[dips] <= max(3 * errors[dips].min(), 0.01)]
        return self._sharpened(float(good[0] + 1) * (self.times[1] - self.times[0]), extent)

    def _missed(self, shift: int) -> float:
        """Largest difference between the last part of the window and itself some samples before."""
        span = min(len(self.times) - shift, max(2 * shift, 2))
        now = self.x[len(self.x) - span :]
        return float(np.abs(now - self.x[len(self.x) - span - shift : len(self.x) - shift]).max())

    def _sharpened(self, period: float, extent: float) -> tuple[float, float]:
        step, x = self.times[1] - self.times[0], self.solution.x
        times = np.linspace(max(self.times[-1] - period, self.times[0] + 1.01 * period), self.times[-1], 200)

        def missed(shift: float) -> float:
            return float(np.abs(x(times) - x(times - shift)).max())

        found = minimize_scalar(
            missed, bounds=(period - 5 * step, period + 5 * step), options={"xatol": 1e-10 * period}
        )
        return float(found.x), float(found.fun) / extent

    def exponent(self) -> float:
        """Return the largest Lyapunov exponent of the window under its controls, per unit of time (step)."""
        f = self.solution.problem.functions  # pyright: ignore[reportOptionalMemberAccess]
        import casadi as ca

        symbols = ca.SX if f.dynamics.is_a("SXFunction") else ca.MX
        t, x, dx, u, q, p = f.arguments(symbols)
        slope = ca.densify(ca.jacobian(f.dynamics(t, x, dx, u, q, p), x))
        function = ca.Function("slope", [t, x, u, q, p], [slope])
        n, steps = self.x.shape[1], len(self.times) - 1
        at = self.x[:-1] if self.solution.discrete else (self.x[1:] + self.x[:-1]) / 2
        result = self.solution.result
        flat = evaluate(function, self.times[:-1], at, self.u[:-1], result.q, result.parameters)[0]
        J = np.swapaxes(flat.reshape(steps, n, n), 1, 2)
        direction, total = np.ones(n) / np.sqrt(n), 0.0
        h, one = self.times[1] - self.times[0], np.eye(n)
        for k in range(steps):
            if self.solution.discrete:
                direction = J[k] @ direction
            else:  # the implicit midpoint rule
                direction = np.linalg.solve(one - h / 2 * J[k], direction + h / 2 * J[k] @ direction)
            size = float(np.linalg.norm(direction))
            if size == 0:
                return float("-inf")
            total, direction = total + np.log(size), direction / size
        return float(total / (self.times[-1] - self.times[0]))


def tail(solution: Solution, start: float, end: float) -> Tail:
    """Sample a solution between two of its times; see :class:`Tail`."""
    if solution.discrete:
        times = np.arange(np.ceil(start), np.floor(end) + 1)
    else:
        times = np.linspace(start, end, SAMPLES)
    assert solution.u is not None
    known = np.clip(times, solution.control_time[0], solution.control_time[-1])
    return Tail(solution, times, solution.x(times), solution.u(known))
