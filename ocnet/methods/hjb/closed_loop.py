"""What the feedback of a value function costs when it is applied: an upper bound of the optimal cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from ocnet.errors import DataError, SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.slices import Slices

RELATIVE, ABSOLUTE = 1e-9, 1e-11
SLACK = 1e-6  # of the box, by which paths may leave it
SHORTEST, LONGEST = 0.01, 0.25  # in units of 1/ρ, between samples of costates
DIFFERENCE = 1e-6  # of states and costates, relative, that tells how fast extremals part

Sample = Callable[[float, np.ndarray], np.ndarray]  # (t, x (points, n)) -> p (points, n)


class Paths(NamedTuple):
    """Closed-loop paths of some points side by side.

    Times (M,), states (M, points, n), and the discounted cost so far (M, points).
    """

    time: np.ndarray
    x: np.ndarray
    cost: np.ndarray


class ClosedLoop:
    """The optimal flow ẋ = H_p(x, p) of a value function, with p = ∇v(x) or better costates.

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

    def paths(
        self, x: np.ndarray, end: float | None = None, at: Any = None, sample: Sample | None = None
    ) -> Paths:
        """Follow the flow from states (points, n).

        Parameters
        ----------
        x : ndarray (points, n)
        end : float, optional
            Another one.
        at : array_like, optional
            Times at which to store, ascending; those of the integrator if left out.
        sample : callable, optional
            Better costates, NaN where ∇v will do. It is asked again after at most 1/(4ρ), or when neighbours
            have parted by a factor e; between, ṗ = ρp − H_x.

        Raises
        ------
        DataError
            For times that are not ascending or not in the span.
        SolveError
            If the integration fails.
        """
        t, end = self.span[0], float(self.span[1] if end is None else end)
        if not t < end < np.inf:
            raise DataError(f"Closed loop: got the end {end}; expected a time after {t:g}.")
        times = None if at is None else np.atleast_1d(np.asarray(at, dtype=float))
        if times is not None and not (
            times.size and (np.diff(times) > 0).all() and t <= times[0] and times[-1] <= end
        ):
            raise DataError(
                f"Closed loop: got the times {np.array2string(times, threshold=6)}; expected ascending ones "
                f"in [{t:g}, {end:g}]."
            )
        if not len(x):
            stored = np.array([end]) if times is None else times
            return Paths(stored, np.zeros((len(stored), *x.shape)), np.zeros((len(stored), 0)))
        cost, parts = np.zeros(len(x)), list[Paths]()
        while t < end or not parts:
            p = np.full_like(x, np.nan) if sample is None else sample(t, x)
            until = end if sample is None else min(end, t + self._period(x, p))
            within = None if times is None else np.union1d(times[(times >= t) & (times <= until)], [until])
            parts.append(self._part(x, p, cost, (t, until), within))
            t, x, cost = until, parts[-1].x[-1], parts[-1].cost[-1]
        whole = Paths(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        stored, index = np.unique(whole.time, return_index=True)  # parts meet
        index = index if times is None else index[np.isin(stored, times)]
        return Paths(*(column[index] for column in whole))

    def cost(self, x: np.ndarray) -> np.ndarray:
        """Return the costs (points,) of the flow from states; ∞ where it leaves the box."""
        loop = self.paths(x)
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

    def _part(
        self, x: np.ndarray, p: np.ndarray, cost: np.ndarray, span: tuple[float, float], at: np.ndarray | None
    ) -> Paths:
        """Go on from states, costates (NaN for ∇v) and costs."""
        (points, n), own = x.shape, np.isfinite(p).all(axis=1)
        many = points * (n + 1)

        def flow(t: float, y: np.ndarray) -> np.ndarray:
            u = np.ascontiguousarray(y[:many].reshape(points, n + 1)[:, :n])
            q = self.slices.at(t, self._inside(u))[1]
            q[own] = y[many:].reshape(-1, n)
            slope, f = self.hamiltonian.gradient(t, u, q)
            stage = self.hamiltonian.value(t, u, q) - np.einsum("ij,ij->i", q, f)
            moved = np.hstack([f, np.exp(-self.rate * (t - self.span[0])) * stage[:, None]])
            return np.concatenate([moved.reshape(-1), (self.rate * q - slope)[own].reshape(-1)])

        first = np.concatenate([np.hstack([x, cost[:, None]]).reshape(-1), p[own].reshape(-1)])
        found = solve_ivp(flow, span, first, method="RK45", rtol=RELATIVE, atol=ABSOLUTE, t_eval=at)
        if not found.success:
            raise SolveError(
                f"Closed loop: the integration stopped after t = {span[0]:.4g}. {found.message} Paths "
                "have to stay where the dynamics and the cost are finite: take other states, or a larger box."
            )
        y = found.y.T[:, :many].reshape(-1, points, n + 1)
        return Paths(found.t, y[:, :, :n], y[:, :, n])

    def _period(self, x: np.ndarray, p: np.ndarray) -> float:
        """Return the time in which neighbours of extremals part by a factor e, within limits."""
        z = np.hstack([x, p])[np.isfinite(p).all(axis=1)]
        points, many = z.shape
        n, small = many // 2, DIFFERENCE * (1 + np.abs(z))
        moved = (z + np.vstack([np.zeros((1, many)), np.eye(many)])[:, None] * small).reshape(-1, many)
        u, q = np.ascontiguousarray(moved[:, :n]), np.ascontiguousarray(moved[:, n:])
        slope, f = self.hamiltonian.gradient(0.0, u, q)
        flow = np.hstack([f, self.rate * q - slope]).reshape(many + 1, points, many)
        linear = np.moveaxis((flow[1:] - flow[0]) / small.T[:, :, None], 0, 2)
        linear = linear[np.isfinite(linear).all(axis=(1, 2))]
        fastest = np.linalg.eigvals(linear).real.max(initial=self.rate)
        return float(np.clip(1 / fastest, SHORTEST / self.rate, LONGEST / self.rate))

    def _inside(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, self.lower, self.upper)
