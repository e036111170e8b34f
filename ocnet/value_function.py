"""ValueFunction: the optimal cost from every state of a grid, its feedback, and how far to trust both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.accuracy import linear
from ocnet.methods.hjb.basins import feedback_paths
from ocnet.methods.hjb.characteristics import Characteristics, Refined
from ocnet.methods.hjb.closed_loop import ClosedLoop, Paths
from ocnet.methods.hjb.domain import Domain
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation
from ocnet.methods.hjb.slices import Slices

if TYPE_CHECKING:
    from ocnet.problem import Problem
    from ocnet.trajectory import Trajectory

SAMPLES = 50  # closed-loop costs that judge a value function
ROUNDING = 1e-12  # of the values, after thousands of additions
SETTLED = 1e-5  # discount at which a closed loop is cut; the value function stands for the rest


class ValueFunction:
    """The value function of a problem on a grid, made by :func:`ocnet.solve_hjb`.

    ``value(x)`` evaluates it by piecewise cubic polynomials, at one state (n,) or many (points, n). Beside
    kinks these are less accurate, which `error_at` says; ``value.refined(x)`` is accurate there as well.
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
        e = np.maximum(linear(self._errors_at(moment), self.error_grid, points), 0.0) + self.slices.gap(
            moment, points
        )
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
            The end of a finite horizon or an earlier time, else the time at which the discount is 1e-5.
        at : array_like, optional
            Ascending times at which to store.

        Raises
        ------
        ProblemError
            In discrete time, or without the problem.
        DataError, ShapeError
            For states as for the value; for times that are not ascending, or not on the path.
        SolveError
            If a path leaves the grid, or cannot be followed.
        """
        if self.discrete:
            raise ProblemError(f"{self._where}: closed_loop is for continuous time; use oc.simulate.")
        points, _ = self._points(x)
        result = self._loop.paths(points, tf, at)
        gone = self._loop.outside(result)
        if gone.any():
            k, i = np.argwhere(gone)[0]
            raise SolveError(
                f"{self._where}: the feedback leaves the grid at t = {result.time[k]:.4g}, "
                f"x = {np.array2string(result.x[k, i], precision=4)}, from "
                f"{np.array2string(points[i], precision=4)}. Take a larger box; value.domain says which one "
                "holds all paths."
            )
        return result

    def upper_bound(self, x: ArrayLike, tolerance: float | None = None) -> Any:
        """Return the cost J of the closed loop from x, a float or (points,).

        It bounds the optimal cost from above, within the error of the integration. The feedback is followed
        until the discount is 1e-5; the value function stands for the rest. J − v is of second order in the
        error of the feedback: the cheapest honest check of v.

        Parameters
        ----------
        x : array_like (n,) or (points, n)
        tolerance : float, optional
            As for :meth:`refined`, whose paths are followed where `error_at` exceeds it, and the closed loop
            from their ends: beside kinks ∇v may start the wrong way.

        Raises
        ------
        ProblemError, OptionError, DataError, ShapeError, SolveError
            As for `closed_loop`, and for `refined`.
        """
        points, one = self._points(x)
        if tolerance is None:
            cost = self._loop.total(self.closed_loop(points))
        else:
            tool, demand = self._characteristics(tolerance)
            cost = tool.cost(points, np.full(len(points), demand))
            if np.isinf(cost).any():
                self.closed_loop(points[np.isinf(cost)])  # says where it leaves the grid
        return float(cost[0]) if one else cost

    def refined(self, x: ArrayLike, tolerance: float | None = None) -> Refined:
        """Return values to a tolerance, beside kinks by paths that lead to where the grid is accurate.

        Where `error_at` is within the tolerance, the value itself. Elsewhere an extremal for each branch of
        the value function near x: a path that satisfies Pontryagin's conditions and ends where p = ∇v and the
        error, discounted, is within the tolerance; the least cost counts. Where none is found the closed loop
        from the end of the best one, or from x, stands for the rest, and the error says so.

        Parameters
        ----------
        x : array_like (n,) or (points, n)
        tolerance : float, optional
            In units of the cost; the error that half of the nodes do not exceed if left out.

        Returns
        -------
        Refined
            `value`, `error` and `gradient`: float, float and (n,), or (points,), (points,) and (points, n).

        Raises
        ------
        ProblemError
            In discrete time, on a finite horizon, or without the problem.
        OptionError, ShapeError, DataError, SolveError
            For a tolerance not above 0; for states as for the value; if all paths of one leave the grid.
        """
        if tolerance is None:
            tolerance = float(np.median(self.errors[: self.error_grid.size])) + self.residual + ROUNDING
        tool, demand = self._characteristics(tolerance)
        points, one = self._points(x)
        found = tool.refined(points, np.full(len(points), demand))
        if np.isinf(found.value).any():
            self.closed_loop(points[np.isinf(found.value)])  # says where it leaves the grid
        return Refined(float(found.value[0]), float(found.error[0]), found.gradient[0]) if one else found

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

    def gaps(
        self, points: int = SAMPLES, rng: np.random.Generator | int | None = 0, tolerance: float | None = None
    ) -> np.ndarray:
        """Return J − v (points,), with a tolerance both refined, at random states of the box's inner half."""
        generator = np.random.default_rng(rng)
        low, high = np.array(self.grid.lower), np.array(self.grid.upper)
        x = 0.5 * (low + high) + 0.5 * (high - low) * generator.uniform(-0.5, 0.5, (points, self.dimension))
        values = self(x) if tolerance is None else self.refined(x, tolerance).value
        return self.upper_bound(x, tolerance) - values

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
        loop = self.closed_loop(points, float(moments[-1]) if moments.size else None, at=moments)
        costs = [self._loop.total(loop, k) for k in range(len(moments))]
        return np.array(costs) - self.slices.at(self._moment(None), points)[0]

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
        from ocnet.value_report import describe

        return describe(self)

    def __repr__(self) -> str:
        return f"<ValueFunction of '{self.name}' on {self.grid.shape}, error {self.error_estimate:.1e}>"

    # ------------------------------------------------------------------ inside

    @property
    def _where(self) -> str:
        return f"Value function of '{self.name}'"

    def _points(self, x: ArrayLike) -> tuple[np.ndarray, bool]:
        points, n = np.asarray(x, dtype=float), self.dimension
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

    @property
    def _loop(self) -> ClosedLoop:
        last = -np.log(SETTLED) / self.rate if self.time is None else float(self.time[-1])
        return ClosedLoop(self.hamiltonian, self.slices, (self._moment(None), last))

    def _characteristics(self, tolerance: float) -> tuple[Characteristics, float]:
        """Return what refines values, and the tolerance, checked."""
        if self.discrete or self.time is not None:
            raise ProblemError(
                f"{self._where}: refined values are for continuous time and an infinite horizon; use "
                "value(x), and no tolerance."
            )
        if not isinstance(tolerance, (int, float, np.floating)) or not 0 < tolerance < np.inf:
            raise OptionError(f"{self._where}: tolerance is {tolerance!r:.40}; expected a number above 0.")
        at = partial(self.slices.at, 0.0)
        tool = Characteristics(self.hamiltonian, self.grid, at, self.error_at, self._loop.cost)
        return tool, float(tolerance)

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
