"""Dynamics derived from a Lagrangian in numbers: does E fall, do fixed points stay, how stiff are they."""

from __future__ import annotations

from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from ocnet.errors import DataError, ProblemError, ShapeError
from ocnet.lagrangian import Lagrangian
from ocnet.pointwise import evaluate
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

    Notes
    -----
    The rate is NaN where the velocity has no value, as with a singular metric.
    """
    energy, _ = lagrangian.parts
    name = lagrangian.q.name()
    if name not in path.states:
        raise ProblemError(f"descent: the path has the states {list(path.states)}; expected '{name}'.")
    q = np.asarray(path.states[name], dtype=float).reshape(len(path.time), -1)
    slope = ca.dot(ca.gradient(energy, lagrangian.q), lagrangian.greedy_velocity)
    values, rates = (evaluate(lagrangian.function(e), q, np.zeros(q.shape))[0][:, 0] for e in (energy, slope))
    return Descent(np.asarray(path.time), values, rates)


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
    data = [
        _by_point(s, by_point[s.name()], len(q)) if s.name() in by_point else value.reshape(-1, order="F")
        for s, value in lagrangian.parameters
    ]
    n = q.shape[1]
    jacobians = evaluate(function, q, *data)[0].reshape(len(q), n, n)  # transposed: the same eigenvalues
    for k, jacobian in enumerate(jacobians):
        if not np.isfinite(jacobian).all():
            raise DataError(
                f"eigenvalue_range: the linearisation at point {k} is not finite; expected points and "
                "parameters at which the velocity is differentiable."
            )
    found = np.linalg.eigvals(jacobians).real
    return EigenvalueRange(float(found.min()), float(found.max()))


def _by_point(symbol: ca.MX, value: Any, points: int) -> np.ndarray:
    """Return a parameter's values at all points (points, entries), those of a matrix column by column."""
    where = f"eigenvalue_range: '{symbol.name()}'"
    shape = symbol.shape if symbol.shape[1] > 1 else symbol.shape[:1]
    expected = (points, *shape)
    try:
        values = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{where}: got {value!r:.60}; expected numbers of shape {expected}.") from None
    if shape == (1,) and values.ndim == 1:
        values = values[:, None]
    if values.shape != expected:
        raise ShapeError(
            f"{where}: got values of shape {values.shape}; expected {expected}, one for each point."
        )
    if not np.isfinite(values).all():
        k = int(np.argwhere(~np.isfinite(values))[0][0])
        raise DataError(f"{where}: the value at point {k} is not finite; expected finite numbers.")
    return values.swapaxes(1, -1).reshape(points, -1)


def _points(lagrangian: Lagrangian, points: Any) -> np.ndarray:
    q = np.atleast_2d(np.asarray(points, dtype=float))
    if q.ndim != 2 or q.shape[1] != lagrangian.q.shape[0] or not len(q):
        raise ShapeError(f"points have shape {q.shape}; expected (m, {lagrangian.q.shape[0]}).")
    if not np.isfinite(q).all():
        raise DataError("points contain NaN or infinities; expected finite numbers.")
    return q
