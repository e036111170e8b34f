"""ValueFunction: the optimal cost from every state of a grid, its feedback, and how far to trust both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.basins import feedback_paths
from ocnet.methods.hjb.closed_loop import Paths, paths
from ocnet.methods.hjb.domain import Domain
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation
from ocnet.methods.hjb.slices import Slices

if TYPE_CHECKING:
    from ocnet.problem import Problem
    from ocnet.trajectory import Trajectory

SAMPLES = 50  # closed-loop costs that judge a value function
ROUNDING = 1e-12  # of the values, after thousands of additions
TRACE = 1e-3  # share of the faces on which active walls do not matter
SETTLED = 1e-5  # discount at which a closed loop is cut; the value function stands for the rest


class ValueFunction:
    """The value function of a problem on a grid, made by :func:`ocnet.solve_hjb`.

    ``value(x)`` evaluates it by piecewise cubic polynomials, at one state (n,) or many (points, n); beside
    concave kinks of up to three states by those of one branch, where branches can be told apart.
    ``value.policy`` is the feedback that it implies, for ``oc.simulate(problem, policy=value.policy, ...)``.

    Attributes
    ----------
    problem : Problem or None
        None when it was loaded without one: there is no policy then.
    name : str
    grid : Grid
    values, monotone : ndarray (size,)
        Values at the nodes in C order, and those of the monotone scheme (order 1, safe).
    settled : bool
        False if the correction to higher order did not settle on the finest grid: `values` are then those of
        order 1, extrapolated. Schemes without a correction (value iteration, discrete time, finite horizons)
        have nothing to settle, and say True.
    residual : float
        Largest change by the last step of the iteration that made `values`, in units of the cost.
    error_grid : Grid
    errors : ndarray (total of `error_grid`,)
        Estimated errors at its nodes; on a finite horizon at its start.
    later : ndarray (K, total of `error_grid`) or None
        On a finite horizon those at every other of the times, without what lies between the times.
    domain : Domain or None
        Whether the box holds its paths.
    history : ndarray (iterations, 4)
        Level, phase (0 monotone, 1 accurate), iteration, change.
    stats : dict
        Scheme, seconds (CPU, of all threads), threads, bytes (about what was held at the peak), mirrored
        (whether half of the nodes were enough), leak (speed through the walls).
    """

    def __init__(
        self,
        problem: Problem | None,
        name: str,
        slices: Slices,
        *,
        monotone: np.ndarray,
        error_grid: Grid,
        errors: np.ndarray,
        settled: bool,
        residual: float,
        history: np.ndarray,
        domain: Domain | None,
        stats: dict[str, Any],
        discrete: bool = False,
        rate: float = 0.0,
        hamiltonian: Hamiltonian | None = None,
        later: np.ndarray | None = None,
    ) -> None:
        self.problem, self.name, self.slices, self.grid = problem, name, slices, slices.grid
        self.monotone, self.error_grid, self.errors, self.later = monotone, error_grid, errors, later
        self.settled, self.residual, self.history = settled, residual, history
        self.domain, self.stats, self.discrete, self.rate = domain, stats, discrete, rate
        self._given = hamiltonian

    @property
    def values(self) -> np.ndarray:
        """Values at the nodes (size,); on a finite horizon at its start."""
        return self.slices.values[0][: self.grid.size]

    @property
    def time(self) -> np.ndarray | None:
        """Times of the stored slices of a finite horizon (M,), None for a stationary value function."""
        return self.slices.time

    @property
    def dimension(self) -> int:
        """Number of states."""
        return self.grid.dimension

    # ------------------------------------------------------------------ evaluation

    def __call__(self, x: ArrayLike, t: float | None = None) -> Any:
        """Return the optimal cost from states x (n,) or (points, n) -> float or ndarray (points,).

        Parameters
        ----------
        x : array_like
        t : float, optional
            On a finite horizon; its start if left out.

        Raises
        ------
        ShapeError, DataError
            For other shapes, values that are not finite, and states or times outside.
        """
        points, one = self._points(x)
        values = self.slices.at(self._moment(t), points)[0]
        return float(values[0]) if one else values

    def gradient(self, x: ArrayLike, t: float | None = None) -> np.ndarray:
        """Return ∇v, the current-value costate, (n,) or (points, n); arguments as for the value."""
        points, one = self._points(x)
        p = self.slices.at(self._moment(t), points)[1]
        return p[0] if one else p

    def policy(self, t: float, x: ArrayLike) -> np.ndarray:
        """Return the control that is best at states x (n,) or (points, n) -> (nu,) or (points, nu).

        Raises
        ------
        ProblemError
            If the value function was loaded without its problem.
        ShapeError, DataError
            As for the value.
        """
        points, one = self._points(x)
        u = self.hamiltonian.control(t, points, self._costate(float(t), points))
        return u[0] if one else u

    def error_at(self, x: ArrayLike, closed_loop: bool = False, t: float | None = None) -> Any:
        """Return the estimated error of the value at x, a float or (points,), in units of the cost.

        It compares nested grids (and schemes, where there is one grid only) around x, and adds what the
        iteration left. On a finite horizon it also adds how much the value changes if every other of the
        stored times is left out.

        Parameters
        ----------
        x : array_like
        closed_loop : bool
            Whether the estimate is at least |J − v|, the distance to the cost of the closed loop from x (see
            :meth:`upper_bound`), which takes longer and needs no other grid.
        t : float, optional
            On a finite horizon; its start if left out.

        Raises
        ------
        OptionError
            For the closed loop from a later time: it begins at the start.
        ShapeError, DataError
            As for the value.
        """
        points, one = self._points(x)
        moment = self._moment(t)
        if closed_loop and self.time is not None and moment > self.time[0]:
            raise OptionError(
                f"{self._where}: closed_loop with t = {t}; expected the start, {self.time[0]:g}, which is "
                "where the closed loop begins. Leave one of the two out."
            )
        e = np.maximum(self._errors(self._errors_at(moment), points), 0.0) + self.slices.gap(moment, points)
        e = e + self.residual + ROUNDING * (1 + np.abs(self.values).max())
        if closed_loop:
            e = np.maximum(e, np.abs(self.upper_bound(points) - self(points)))
        return float(e[0]) if one else e

    def _errors_at(self, t: float) -> np.ndarray:
        if self.time is None or self.later is None:
            return self.errors
        times = self.time[::2]
        k = int(np.clip(np.searchsorted(times, t) - 1, 0, len(times) - 2))
        s = (t - times[k]) / (times[k + 1] - times[k])
        return (1 - s) * self.later[k] + s * self.later[k + 1]

    @cached_property
    def _errors(self) -> Any:
        from scipy.interpolate import RegularGridInterpolator

        def linear(errors: np.ndarray, x: np.ndarray) -> np.ndarray:
            result, grid = np.zeros(len(x)), self.error_grid
            for patch, slot in zip(grid.patches, grid.slots, strict=True):
                inside = np.flatnonzero(patch.contains(x))
                if len(inside):
                    table = RegularGridInterpolator(patch.axes, errors[slot].reshape(patch.shape))
                    with np.errstate(invalid="ignore"):  # of infinite errors
                        found = table(np.clip(x[inside], patch.lower, patch.upper))
                    result[inside] = np.nan_to_num(found, nan=np.inf, posinf=np.inf)
            return result

        return linear

    # ------------------------------------------------------------------ trust

    @cached_property
    def error_estimate(self) -> float:
        """The error that 95 % of the nodes of the grid do not exceed, by nested grids (units of the cost).

        `error_at` says it from place to place: kinks and cones hold the largest.
        """
        own = np.sort(self.errors[: self.error_grid.size])
        return float(own[int(np.ceil(0.95 * (len(own) - 1)))])

    def closed_loop(self, x: ArrayLike, tf: float | None = None, at: Any = None) -> Paths:
        """Follow the feedback from states x (points, n), with the cost that it runs up.

        Parameters
        ----------
        x : array_like (points, n) or (n,)
        tf : float, optional
            The end of a finite horizon, else the time at which the discount is 1e-5.
        at : array_like, optional
            Times at which to store.

        Raises
        ------
        ProblemError
            In discrete time, or without the problem.
        SolveError
            If a path leaves the grid.
        """
        if self.discrete:
            raise ProblemError(f"{self._where}: closed_loop is for continuous time; use oc.simulate.")
        points, _ = self._points(x)
        start = 0.0 if self.time is None else float(self.time[0])
        end = (
            tf
            if tf is not None
            else (-np.log(SETTLED) / self.rate if self.time is None else float(self.time[-1]))
        )
        result = paths(self.hamiltonian, self._clipped_costate, points, (start, float(end)), at)
        outside = ~self.grid.contains(result.x.reshape(-1, self.dimension)).reshape(result.x.shape[:2])
        slack = 1e-6 * (np.array(self.grid.upper) - np.array(self.grid.lower))
        low, high = np.array(self.grid.lower) - slack, np.array(self.grid.upper) + slack
        gone = outside & ((result.x < low) | (result.x > high)).any(axis=2)
        if gone.any():
            k, i = np.argwhere(gone)[0]
            raise SolveError(
                f"{self._where}: the feedback leaves the grid at t = {result.time[k]:.4g}, "
                f"x = {np.array2string(result.x[k, i], precision=4)}, from "
                f"{np.array2string(points[i], precision=4)}. Take a larger box; value.domain says which one "
                "holds all paths."
            )
        return result

    def upper_bound(self, x: ArrayLike) -> Any:
        """Return the cost J of the closed loop from x, a float or (points,).

        It bounds the optimal cost from above, within the error of the integration. The feedback is followed
        until the discount is 1e-5; the value function stands for the rest. J − v is of second order in the
        error of the feedback: the cheapest honest check of v.
        """
        points, one = self._points(x)
        loop = self.closed_loop(points)
        end = np.clip(loop.x[-1], self.grid.lower, self.grid.upper)
        discount = np.exp(-self.rate * (loop.time[-1] - loop.time[0]))
        last = float(loop.time[-1])
        cost = loop.cost[-1] + discount * self.slices.at(last, end)[0]
        return float(cost[0]) if one else cost

    def starts(self, problem: Problem, parameters: Mapping[str, Any] | None = None) -> list[Trajectory]:
        """Return guesses for :func:`ocnet.solve`: the feedback's path, and one into each other basin nearby.

        Parameters
        ----------
        problem : Problem
            With the same states and controls.
        parameters : mapping, optional
            Values by name, for the initial state.

        Raises
        ------
        ProblemError
            If a component of the initial state is free, or in discrete time.
        """
        return list(feedback_paths(self, problem, parameters))

    def gaps(self, points: int = SAMPLES, rng: np.random.Generator | int | None = 0) -> np.ndarray:
        """Return J − v (points,) at random states of the inner half of the box; see :meth:`upper_bound`."""
        generator = np.random.default_rng(rng)
        low, high = np.array(self.grid.lower), np.array(self.grid.upper)
        x = 0.5 * (low + high) + 0.5 * (high - low) * generator.uniform(-0.5, 0.5, (points, self.dimension))
        return self.upper_bound(x) - self(x)

    def dynamic_programming_gap(self, x: ArrayLike, t: ArrayLike) -> np.ndarray:
        """Return ∫_0^t ℓ e^{−ρs} ds + e^{−ρt} v(x(t)) − v(x(0)) along the closed loop: 0 for the exact v.

        Parameters
        ----------
        x : array_like (points, n)
        t : array_like (M,)
            Ascending times after the start.

        Returns
        -------
        ndarray (M, points)
        """
        points, _ = self._points(x)
        moments = np.atleast_1d(np.asarray(t, dtype=float))
        start = 0.0 if self.time is None else float(self.time[0])
        loop = self.closed_loop(points, float(moments[-1]), at=moments)
        rows: list[np.ndarray] = []
        for k, moment in enumerate(moments.tolist()):
            here = np.clip(loop.x[k], self.grid.lower, self.grid.upper)
            rows.append(
                loop.cost[k] + np.exp(-self.rate * (moment - start)) * self.slices.at(moment, here)[0]
            )
        return np.array(rows) - self.slices.at(start, points)[0]

    @property
    def hamiltonian(self) -> Hamiltonian:
        """The Hamiltonian that turns gradients into controls; ProblemError without the problem."""
        if self._given is not None:
            return self._given
        if self.problem is None:
            raise ProblemError(
                f"{self._where}: it was loaded without its problem; load it with oc.load(path, problem)."
            )
        return self.problem.hamiltonian

    # ------------------------------------------------------------------ storage and text

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF file that ``ValueFunction.load`` (or any netCDF reader) reads.

        OSError where it cannot be written; an existing file is replaced.
        """
        from ocnet.value_storage import write

        write(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str], problem: Problem | None = None) -> ValueFunction:
        """Read what :meth:`save` wrote; without its problem there is no policy.

        Raises
        ------
        StorageError
            If the file is missing, damaged, not ocnet's, or belongs to another problem.
        """
        from ocnet.value_storage import read

        return read(path, problem)

    def __str__(self) -> str:
        box = " × ".join(f"[{a:g}, {b:g}]" for a, b in zip(self.grid.lower, self.grid.upper, strict=True))
        scheme = str(self.stats.get("scheme", ""))
        if scheme == "policy-iteration" and not self.discrete:
            scheme += "; correction " + ("settled" if self.settled else "did not settle: values of order 1")
        own = self.errors[: self.error_grid.size]
        shape = " × ".join(map(str, self.grid.shape))
        lines = [
            f"Value function of '{self.name}' on {shape} nodes of {box}",
            *(f"  zoom              {zoom.boxes} boxes about {zoom.centre}" for zoom in self.grid.zooms),
            f"  scheme            {scheme}",
            f"  values            {self.values.min():.6g} to {self.values.max():.6g}",
            f"  residual          {self.residual:.1e}",
            f"  error estimate    {self.error_estimate:.1e} at 95 % of the nodes, "
            f"{np.median(own):.1e} at half, {own.max():.1e} at most",
        ]
        if self.domain is not None:
            lines.append(
                f"  walls             active on {100 * self.domain.active:.1f} % of the faces, "
                + (
                    "and hold all paths"
                    if self.domain.leak == 0
                    else f"but leak (speed {self.domain.leak:.2g})"
                )
            )
            if self.domain.active > TRACE:
                lines.append(
                    "  note              the walls change the values, which no estimate counts: take a "
                    "larger box if paths may leave it"
                )
        if self.discrete and (leak := float(self.stats.get("leak", 0.0))) > 0:
            lines.append(
                f"  walls             next states leave the box by up to {leak:.2g} and are moved to it, "
                "which no estimate counts: take a larger box"
            )
        effort = f"{self.stats.get('seconds', float('nan')):.2f} s CPU"
        if "threads" in self.stats:
            threads = self.stats["threads"]
            effort += f" on {threads} thread{'s' if threads > 1 else ''}, "
            effort += f"about {self.stats['bytes'] / 1e6:.3g} MB"
        lines.append(f"  effort            {effort}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ValueFunction of '{self.name}' on {self.grid.shape}, error {self.error_estimate:.1e}>"

    # ------------------------------------------------------------------ inside

    @property
    def _where(self) -> str:
        return f"Value function of '{self.name}'"

    def _points(self, x: ArrayLike) -> tuple[np.ndarray, bool]:
        points = np.asarray(x, dtype=float)
        n = self.dimension
        one = points.ndim == 1 and points.shape == (n,)
        if not one and (points.ndim != 2 or points.shape[1] != n):
            raise ShapeError(
                f"{self._where}: got states of shape {points.shape}; expected ({n},) or (points, {n})."
            )
        points = np.ascontiguousarray(np.atleast_2d(points))
        inside = self.grid.contains(points)  # NaN is not inside
        if not inside.all():
            k = int(np.flatnonzero(~inside)[0])
            raise DataError(
                f"{self._where}: the state {np.array2string(points[k], precision=6)} is outside the grid "
                f"from {self.grid.lower} to {self.grid.upper}. Take a larger box, or states inside it."
            )
        return points, one

    def _moment(self, t: float | None) -> float:
        if self.time is None:
            return 0.0
        first, last = float(self.time[0]), float(self.time[-1])
        moment = first if t is None else float(t)
        slack = 1e-9 * (last - first)
        if not first - slack <= moment <= last + slack:
            raise DataError(f"{self._where}: t is {t}; expected a time in [{first:g}, {last:g}].")
        return min(max(moment, first), last)

    def _costate(self, t: float, points: np.ndarray) -> np.ndarray:
        """Return what the Hamiltonian wants for p at these states."""
        if not self.discrete:
            return self.slices.at(self._moment(t), points)[1]
        from ocnet.methods.hjb.discrete import best_costate

        return best_costate(self.hamiltonian, Interpolation(self.grid), self.values, points)

    def _clipped_costate(self, t: float, x: np.ndarray) -> np.ndarray:
        inside = np.clip(x, self.grid.lower, self.grid.upper)
        return self.slices.at(self._moment(t), inside)[1]
