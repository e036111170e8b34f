"""Dynamics derived from a Lagrangian in numbers: does E fall, do fixed points stay, how stiff are they."""

from __future__ import annotations

from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from ocnet.errors import DataError, ProblemError, ShapeError
from ocnet.lagrangian import Lagrangian
from ocnet.trajectory import Trajectory


class Descent(NamedTuple):
    """An objective along a path: times (M,), values of E (M,), and dE/dt (M,) per unit of time."""

    time: np.ndarray
    energy: np.ndarray
    rate: np.ndarray


class EigenvalueRange(NamedTuple):
    """Least and largest eigenvalue of −∂q̇/∂q over a domain (per unit of time), and their ratio.

    The ratio is infinite if the least one is not positive.
    """

    least: float
    largest: float

    @property
    def ratio(self) -> float:
        """Largest divided by least eigenvalue."""
        return self.largest / self.least if self.least > 0 else float("inf")


def descent(lagrangian: Lagrangian, path: Trajectory) -> Descent:
    """Return the objective and its rate of change along a simulation of the greedy dynamics.

    Parameters
    ----------
    lagrangian : Lagrangian
        Made by :meth:`~ocnet.lagrangian.Lagrangian.from_cost`.
    path : Trajectory
        What :func:`ocnet.simulate` returned for `lagrangian.greedy()` with the Lagrangian's own parameters.

    Raises
    ------
    ProblemError
        If the Lagrangian has no objective, or the path no state of its name.
    """
    energy, _ = lagrangian.parts
    name = lagrangian.q.name()
    if name not in path.states:
        raise ProblemError(f"descent: the path has the states {list(path.states)}; expected '{name}'.")
    q = np.asarray(path.states[name], dtype=float).reshape(len(path.time), -1)
    slope = ca.dot(ca.gradient(energy, lagrangian.q), lagrangian.greedy_velocity)
    both = lagrangian.function(energy, slope).map(len(q))
    values, rates = both(q.T, np.zeros(q.T.shape))
    return Descent(np.asarray(path.time), values.full()[0], rates.full()[0])


def fixed_point_shift(lagrangian: Lagrangian, points: Any) -> float:
    """Return the largest |∂K/∂q̇| at q̇ = 0 over points (m, n).

    It is 0 if every stationary point of E is a fixed point of the greedy dynamics: with K strictly convex in
    q̇, ∂K/∂q̇ = 0 exactly at q̇ = 0 (equation 6 of Mjolsness and Miranker, NIPS 1990).
    """
    _, movement = lagrangian.parts
    q = _points(lagrangian, points)
    slope = lagrangian.function(ca.densify(ca.gradient(movement, lagrangian.qdot)))
    return float(np.abs(slope.map(len(q))(q.T, np.zeros(q.T.shape)).full()).max())


def eigenvalue_range(lagrangian: Lagrangian, points: Any, **by_point: Any) -> EigenvalueRange:
    """Return the extreme eigenvalues of the linearised greedy dynamics over a domain.

    Parameters
    ----------
    lagrangian : Lagrangian
    points : array_like (m, n)
        Where −∂q̇/∂q is taken; least and largest are sought separately over all of them.
    **by_point : array_like (m, *shape)
        Values of parameters that change from point to point, by name; the Lagrangian's own elsewhere.

    Returns
    -------
    EigenvalueRange
        Of the real parts.

    Raises
    ------
    ShapeError, DataError, ProblemError
        For points or values of another shape, that are not finite, or unknown names.
    """
    q = _points(lagrangian, points)
    symbols = [s for s, _ in lagrangian.parameters]
    names = [s.name() for s in symbols]
    for name in by_point:
        if name not in names:
            raise ProblemError(f"eigenvalue_range: got values for '{name}'; the parameters are {names}.")
    matrix = -ca.jacobian(lagrangian.greedy_velocity, lagrangian.q)
    function = ca.Function("jacobian", [lagrangian.q, *symbols], [ca.densify(matrix)])
    least, largest = np.inf, -np.inf
    for k, point in enumerate(q):
        data = [
            np.asarray(by_point[s.name()][k], dtype=float) if s.name() in by_point else value
            for s, value in lagrangian.parameters
        ]
        jacobian = function(point, *data).full()
        if not np.isfinite(jacobian).all():
            raise DataError(f"eigenvalue_range: the linearisation at point {k} is not finite.")
        found = np.linalg.eigvals(jacobian).real
        least, largest = min(least, float(found.min())), max(largest, float(found.max()))
    return EigenvalueRange(least, largest)


def _points(lagrangian: Lagrangian, points: Any) -> np.ndarray:
    q = np.atleast_2d(np.asarray(points, dtype=float))
    if q.ndim != 2 or q.shape[1] != lagrangian.q.shape[0] or not len(q):
        raise ShapeError(f"points have shape {q.shape}; expected (m, {lagrangian.q.shape[0]}).")
    if not np.isfinite(q).all():
        raise DataError("points contain NaN or infinities; expected finite numbers.")
    return q
