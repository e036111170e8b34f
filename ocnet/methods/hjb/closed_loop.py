"""What the feedback of a value function costs when it is applied: an upper bound of the optimal cost."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from ocnet.errors import DataError, SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.slices import Slices

RELATIVE, ABSOLUTE = 1e-9, 1e-11
SLACK = 1e-6  # of the box, by which paths may leave it
ROUNDING = 1e-9  # of the horizon, by which times may be off


class Paths(NamedTuple):
    """Closed-loop paths of some points side by side.

    Times (M,), states (M, points, n), and the discounted cost so far (M, points).
    """

    time: np.ndarray
    x: np.ndarray
    cost: np.ndarray


class ClosedLoop:
    """The optimal flow ẋ = H_p(x, ∇v(x)) of a value function.

    Beyond the box ∇v is that of the nearest point in it.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    slices : Slices
        The value function.
    span : (float, float)
        From when, with discount 1, until when.
    """

    def __init__(self, hamiltonian: Hamiltonian, slices: Slices, span: tuple[float, float]) -> None:
        self.hamiltonian, self.slices, self.span = hamiltonian, slices, span
        self.rate, grid = hamiltonian.rate, slices.grid
        self.lower, self.upper = np.array(grid.lower), np.array(grid.upper)

    def paths(self, x: np.ndarray, end: float | None = None, at: Any = None) -> Paths:
        """Follow the flow from states (points, n).

        Parameters
        ----------
        x : ndarray (points, n)
        end : float, optional
            Another one; on a finite horizon an earlier one.
        at : array_like, optional
            Times at which to store, ascending; those of the integrator if left out.

        Raises
        ------
        DataError
            For an end or times outside of what is known, and times that are not ascending.
        SolveError
            If the integration fails.
        """
        (end, times), (points, n), start = self._checked(end, at), x.shape, self.span[0]
        if not points:
            stored = np.array([end]) if times is None else times
            return Paths(stored, np.zeros((len(stored), 0, n)), np.zeros((len(stored), 0)))

        def flow(t: float, y: np.ndarray) -> np.ndarray:
            u = np.ascontiguousarray(y.reshape(points, n + 1)[:, :n])
            p = self.slices.at(t, self._inside(u))[1]
            f = self.hamiltonian.gradient(t, u, p)[1]
            stage = self.hamiltonian.value(t, u, p) - np.einsum("ij,ij->i", p, f)
            return np.hstack([f, np.exp(-self.rate * (t - start)) * stage[:, None]]).reshape(-1)

        first = np.hstack([x, np.zeros((points, 1))]).reshape(-1)
        found = solve_ivp(
            flow, (start, end), first, method="RK45", rtol=RELATIVE, atol=ABSOLUTE, t_eval=times
        )
        if not found.success:
            for state in x if points > 1 else ():
                self.paths(state[None], end, at)  # says which one
            raise SolveError(
                f"Closed loop: the path from {np.array2string(x[0], precision=4)} cannot be followed until "
                f"t = {end:.4g}: {found.message} Paths have to stay where the dynamics and the cost are "
                "finite: take other states, or a larger box."
            )
        y = found.y.T.reshape(-1, points, n + 1)
        return Paths(found.t, y[:, :, :n], y[:, :, n])

    def cost(self, x: np.ndarray) -> np.ndarray:
        """Return the costs (points,) of the flow from states; ∞ where it leaves the box or breaks off."""
        try:
            loop = self.paths(x)
        except SolveError:
            alone = [self.cost(state[None]) for state in x] if len(x) > 1 else [np.array([np.inf])]
            return np.concatenate(alone)
        return np.where(self.outside(loop).any(axis=0), np.inf, self.total(loop))

    def total(self, loop: Paths, number: int = -1) -> np.ndarray:
        """Return the costs (points,) of paths until one of the times, with the value there for the rest."""
        t = float(loop.time[number])
        rest = self.slices.at(t, self._inside(loop.x[number]))[0]
        return loop.cost[number] + np.exp(-self.rate * (t - self.span[0])) * rest

    def outside(self, loop: Paths) -> np.ndarray:
        """Return where paths are outside of the box (M, points)."""
        slack = SLACK * (self.upper - self.lower)
        return np.any((loop.x < self.lower - slack) | (loop.x > self.upper + slack), axis=2)

    def _checked(self, end: float | None, at: Any) -> tuple[float, np.ndarray | None]:
        """Return the end of a path and the times to store at, within what is known."""
        start, last = self.span
        slack, finite = ROUNDING * (last - start), self.slices.time is not None
        end = last if end is None else float(end)
        if not start < end < np.inf or (finite and end > last + slack):
            expected = f"a time in ({start:g}, {last:g}]" if finite else f"a time after {start:g}"
            raise DataError(f"Closed loop: got the end {end:g}; expected {expected}.")
        end = min(end, last) if finite else end
        if at is None:
            return end, None
        times = np.atleast_1d(np.asarray(at, dtype=float))
        ascending = times.ndim == 1 and times.size > 0 and bool((np.diff(times) > 0).all())
        if not (ascending and start - slack <= times[0] and times[-1] <= end + slack):
            raise DataError(
                f"Closed loop: got the times {np.array2string(times, threshold=6)}; expected ascending ones "
                f"in [{start:g}, {end:g}]."
            )
        return end, np.clip(times, start, end)

    def _inside(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, self.lower, self.upper)
