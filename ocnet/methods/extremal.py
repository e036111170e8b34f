"""An extremal as functions of time, its cost, and how far it is from the flow between the nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ocnet.errors import DataError, SolveError
from ocnet.methods.canonical import Canonical, HermiteSimpson, Recursion
from ocnet.methods.scheme import probe, quadrature
from ocnet.trajectory import Interpolant

_NODES = np.array([0.0, (1 - 5**-0.5) / 2, (1 + 5**-0.5) / 2, 1.0])  # of the cubic on each interval
_PROBE, _WEIGHTS, _RUNNING = probe(1)
_SINGLE_RULE = quadrature(_PROBE)


@dataclass
class Errors:
    """Estimates by interval (K,): states and costates relative to 1 + |x| and 1 + |p|, and of the cost."""

    states: np.ndarray
    costates: np.ndarray
    cost: np.ndarray

    @property
    def worst(self) -> np.ndarray:
        """The larger one of the errors of states and costates (K,)."""
        return np.fmax(self.states, self.costates)


@dataclass
class Path:
    """States and costates as cubic functions of time, with the cost along them.

    `cost` leaves out the terminal cost. It is ∫ e^{−ρt} (ℓ + p·(f − ẋ)) dt: the second term vanishes on exact
    states, and otherwise takes away the error of first order, so that what remains is a product of errors of
    states and costates. `last_rate` is the stage cost at the last Gauss point.
    """

    x: Interpolant
    p: Interpolant
    cost: float
    errors: Errors
    last_rate: float


def path(system: Canonical, x: np.ndarray, p: np.ndarray) -> Path:
    """Make functions of time out of nodal states and costates (K + 1, n), with their cost and errors.

    Where the flow is not finite at the nodes they are linear, without a cost.
    """
    if isinstance(system, Recursion):
        return _sequence(system, x, p)
    assert isinstance(system, HermiteSimpson)
    try:
        return _cubic(system, x, p)
    except (DataError, SolveError):
        t, K = system.times, len(x) - 1
        X, P = (Interpolant(t, y, t, np.arange(K), np.full(K, 2)) for y in (x, p))
        unknown = np.full(K, np.inf)
        return Path(X, P, np.nan, Errors(unknown, unknown, unknown), np.nan)


def _sequence(system: Recursion, x: np.ndarray, p: np.ndarray) -> Path:
    """Discrete time has no errors of a mesh."""
    k, ahead, none = system.times[:-1], np.exp(-system.rate) * p[1:], np.zeros(len(x) - 1)
    try:
        stages = system.hamiltonian.value(k, x[:-1], ahead) - _dot(ahead, x[1:])
        cost, last = float(np.exp(-system.rate * (k - k[0])) @ stages), float(stages[-1])
    except (DataError, SolveError):
        cost = last = np.nan
    X, P = (Interpolant.sequence(system.times, y) for y in (x, p))
    return Path(X, P, cost, Errors(none, none, none), last)


def _cubic(system: HermiteSimpson, x: np.ndarray, p: np.ndarray) -> Path:
    """Estimate the errors of cubic states and costates.

    States and costates: the flow along the cubics is integrated, with three Gauss points on each half of an
    interval, from the start of each interval, and compared with the cubics.
    Cost: the products of these errors with the residuals of the other equation, and the difference of two
    quadratures.
    """
    dx, dp = system.flow(system.times, x, p)
    X, P = (hermite(system.times, *pair) for pair in ((x, dx), (p, dp)))
    h, H = system.lengths, system.hamiltonian
    times = system.times[:-1, None] + h * _PROBE
    flat = times.reshape(-1)
    at = X(flat), P(flat)
    dx, dp = system.flow(flat, *at)
    rate = H.value(flat, *at) - _dot(at[1], dx)
    gap_x, gap_p = dx - X(flat, derivative=True), dp - P(flat, derivative=True)
    off_x, off_p = (_integrated(gap, h) for gap in (gap_x, gap_p))
    states, costates = (
        (np.abs(off) / (1 + np.abs(y).max(axis=0))).max(axis=(1, 2)) for off, y in ((off_x, x), (off_p, p))
    )
    weight = np.exp(-system.rate * (flat - system.times[0]))
    second = sum(
        _dot(np.abs(gap), np.abs(off[:, :-1].reshape(gap.shape)))
        for gap, off in ((gap_x, off_p), (gap_p, off_x))
    )
    density = (weight * (rate + _dot(at[1], gap_x))).reshape(times.shape)
    shares = density @ _WEIGHTS * h[:, 0]
    unsure = np.abs(shares - density @ _SINGLE_RULE * h[:, 0])
    unsure += (weight * second).reshape(times.shape) @ _WEIGHTS * h[:, 0]
    return Path(X, P, float(shares.sum()), Errors(states, costates, unsure), float(rate[-1]))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Scalar products of the rows of two arrays."""
    return np.einsum("ij,ij->i", a, b)


def _integrated(gap: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Integrals (K, 7, n) from the start of each interval to its points, and to its end, of values there."""
    return np.einsum("ij,kjn->kin", _RUNNING, gap.reshape(len(h), len(_PROBE), -1)) * h[:, :, None]


def hermite(times: np.ndarray, y: np.ndarray, slope: np.ndarray) -> Interpolant:
    """Return the cubic Hermite interpolant of values and slopes (K + 1, n) at the times."""
    h, s = np.diff(times)[:, None, None], _NODES[1:3, None]
    left, right, f_left, f_right = y[:-1, None], y[1:, None], slope[:-1, None], slope[1:, None]
    inner = (
        (1 + 2 * s) * (1 - s) ** 2 * left + s**2 * (3 - 2 * s) * right
        + h * s * (1 - s) * ((1 - s) * f_left - s * f_right)
    )  # fmt: skip
    values = np.concatenate([left, inner], axis=1).reshape(-1, y.shape[1])
    moments = (times[:-1, None] + np.diff(times)[:, None] * _NODES[:3]).reshape(-1)
    K = len(times) - 1
    return Interpolant(
        np.append(moments, times[-1]), np.vstack([values, y[-1:]]), times, 3 * np.arange(K), np.full(K, 4)
    )
