"""Extremals of a stationary problem that start at given states and end where their costate is ∇v.

An extremal is a path of the optimal flow ẋ = H_p, ṗ = ρp − H_x. From its end y, with p = ∇v(y), it is
followed backwards; Newton's method finds the end whose extremal leads back to the state. Along it
d/dt (e^{−ρt} H) = −ρ e^{−ρt} ℓ, so that the cost of the path follows from H at both ends.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.side_by_side import integrate

RELATIVE, ABSOLUTE = 1e-9, 1e-11  # tolerances of extremals
ROUGH = 1e-5  # of the paths that guesses come from
STEPS, HALVINGS = 10, 4  # of Newton's method
MISSED = 1e-6  # cells by which an extremal may miss its state; its cost is corrected for that
DIFFERENCE = 1e-3  # cells between the ends of extremals that tell a derivative
SINGULAR = 1e14  # condition
ROOM, WIDE = 1e-3, 0.25  # of the box, by which extremals may leave it, and those on the way to them

Slice = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # x (points, n) -> v (points,), ∇v (points, n)


class Shooting:
    """Extremals that end with the gradient of a value function.

    Parameters
    ----------
    hamiltonian : Hamiltonian
        Stationary, with a rate above 0.
    grid : Grid
    at : callable
        v (points,) and ∇v (points, n) at states (points, n) in the grid.
    """

    def __init__(self, hamiltonian: Hamiltonian, grid: Grid, at: Slice) -> None:
        self.hamiltonian, self.grid, self.at = hamiltonian, grid, at
        self.lower, self.upper = np.array(grid.lower), np.array(grid.upper)

    def ends(self, x: np.ndarray, guess: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where extremals end (points, n), and state and costate at their starts (points, 2n).

        The latter are NaN where no extremal inside the grid was found.

        Parameters
        ----------
        x, guess : ndarray (points, n)
            Where extremals start, and about where they end.
        time : ndarray (points,)
            What they take.
        """
        n, cells, end = x.shape[1], self.grid.cells(x), self.inside(guess)
        start = self._back(end, time, WIDE)
        miss = (start[:, :n] - x) / cells
        for _ in range(STEPS):
            size = np.abs(miss).max(axis=1)
            going = np.flatnonzero(size > MISSED)  # not NaN
            if not len(going):
                break
            step = self._step(end[going], time[going], start[going], miss[going], cells[going])
            for length in 0.5 ** np.arange(HALVINGS + 1):
                there = self.inside(end[going] - length * step)
                tried = self._back(there, time[going], WIDE)
                missed = (tried[:, :n] - x[going]) / cells[going]
                good = np.abs(missed).max(axis=1) < size[going]
                now = going[good]
                end[now], start[now], miss[now] = there[good], tried[good], missed[good]
                going, step = going[~good], step[~good]
                if not len(going):
                    break
            miss[going] = np.nan
        met = np.abs(miss).max(axis=1) <= MISSED  # not NaN
        start[~met] = np.nan
        start[met] = self._back(end[met], time[met], ROOM)
        return end, start

    def cost(self, x: np.ndarray, end: np.ndarray, start: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return the costs (points,) of extremals from states, with v at their ends for the rest."""
        n, rate = x.shape[1], self.hamiltonian.rate
        state, costate = (np.ascontiguousarray(part) for part in (start[:, :n], start[:, n:]))
        value, slope = self.at(end)
        fade = np.exp(-rate * time)
        first, last = (self.hamiltonian.value(0.0, *pair) for pair in ((state, costate), (end, slope)))
        return (first - fade * last) / rate + fade * value + np.einsum("ij,ij->i", costate, x - state)

    def spent(self, end: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where extremals with given ends and times start (points, 2n), and what they cost (points,).

        The cost ∫ e^{−ρt} ℓ dt is integrated along them.
        """
        found = self._back(end, time, ROOM, cost=True)
        return found[:, :-1], found[:, -1]

    def followed(self, x: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return about where the feedback leads from states (points, n) after times (points,)."""

        def flow(u: np.ndarray, _: np.ndarray) -> np.ndarray:
            u = self.inside(u)
            return self.hamiltonian.gradient(0.0, u, self.at(u)[1])[1]

        start = self.inside(x)
        found = integrate(flow, start, time, ROUGH, ROUGH)
        return self.inside(np.where(np.isfinite(found), found, start))

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Return the points of the box that are nearest to states (points, n)."""
        return np.clip(x, self.lower, self.upper)

    def _step(
        self, end: np.ndarray, time: np.ndarray, start: np.ndarray, miss: np.ndarray, cells: np.ndarray
    ) -> np.ndarray:
        """Return Newton's steps (points, n), 0 where there is none; from differences of extremals."""
        points, n = end.shape
        small = DIFFERENCE * self.grid.cells(end)
        small = np.where(end + small > self.upper, -small, small)
        ends = end + small * np.eye(n)[:, None]
        moved = self._back(ends.reshape(-1, n), np.tile(time, n), WIDE).reshape(n, points, 2 * n)
        slopes = np.moveaxis((moved - start)[:, :, :n] / cells / small.T[:, :, None], 0, 2)
        fine = np.isfinite(slopes).all(axis=(1, 2))
        fine &= np.linalg.cond(np.where(fine[:, None, None], slopes, np.eye(n))) < SINGULAR
        slopes = np.where(fine[:, None, None], slopes, np.eye(n))
        return np.where(fine[:, None], np.linalg.solve(slopes, miss[:, :, None])[:, :, 0], 0.0)

    def _back(self, end: np.ndarray, time: np.ndarray, room: float, cost: bool = False) -> np.ndarray:
        """Return state and costate (points, 2n) where extremals start; NaN if they leave the box and more.

        With the costs from there on they are (points, 2n + 1).
        """
        n, rate = end.shape[1], self.hamiltonian.rate

        def flow(z: np.ndarray, _: np.ndarray) -> np.ndarray:
            x, p = np.ascontiguousarray(z[:, :n]), np.ascontiguousarray(z[:, n : 2 * n])
            hx, hp = self.hamiltonian.gradient(0.0, x, p)
            if not cost:
                return np.hstack([-hp, hx - rate * p])
            stage = self.hamiltonian.value(0.0, x, p) - np.einsum("ij,ij->i", p, hp)
            return np.hstack([-hp, hx - rate * p, stage[:, None] - rate * z[:, 2 * n :]])

        def valid(z: np.ndarray) -> np.ndarray:
            return np.all((z[:, :n] >= low) & (z[:, :n] <= high), axis=1)

        width = self.upper - self.lower
        low, high = self.lower - room * width, self.upper + room * width
        first = np.hstack([end, self.at(end)[1], *([np.zeros((len(end), 1))] if cost else [])])
        return integrate(flow, first, time, RELATIVE, ABSOLUTE, valid)
