"""Collocation schemes on the unit interval: nodes, points, differentiation matrices, quadrature weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import legendre
from scipy.special import roots_jacobi, roots_legendre

from ocnet.errors import OptionError

SCHEMES = ("radau", "gauss")


@dataclass(frozen=True, eq=False)
class Scheme:
    """One interval of a transcription, mapped to [0, 1].

    Attributes
    ----------
    nodes : ndarray (m + 1,)
        Where the states are unknowns; the first is 0, the last is 1 and is shared with the next interval.
    points : ndarray (d,)
        Where the dynamics hold and the controls live.
    evaluate, differentiate : ndarray (d, m + 1)
        Values and derivatives at the points of the polynomial through the nodes.
    weights : ndarray (d,)
        Quadrature weights of the points.
    integrate : ndarray (d, d)
        Integrals from 0 to each point of the Lagrange polynomials on the points.
    end : ndarray (m + 1,) or None
        Where the last node carries no collocation point: the linear relation end·X = 0 that defines it.
    """

    nodes: np.ndarray
    points: np.ndarray
    evaluate: np.ndarray
    differentiate: np.ndarray
    weights: np.ndarray
    integrate: np.ndarray
    end: np.ndarray | None = None


@cache
def scheme(name: str, degree: int) -> Scheme:
    """Return the scheme "radau" or "gauss" with `degree` collocation points, or "steps" (discrete time).

    The local polynomials have this degree; at the mesh points the order is 2·degree − 1 (Radau) or 2·degree
    (Gauss) where the solution is smooth.
    """
    if name == "steps":
        ends = np.array([0.0, 1.0])
        return Scheme(
            ends, ends[:1], np.array([[1.0, 0.0]]), np.array([[-1.0, 1.0]]), np.ones(1), np.zeros((1, 1))
        )
    if name == "radau":
        inner = roots_jacobi(degree - 1, 1.0, 0.0)[0] if degree > 1 else np.zeros(0)
        points = np.append((1 + inner) / 2, 1.0)
        nodes = np.append(0.0, points)
        return Scheme(
            nodes,
            points,
            interpolation(nodes, points),
            differentiation(nodes, points),
            quadrature(points),
            integration(points, points),
        )
    if name == "gauss":
        points = (1 + roots_legendre(degree)[0]) / 2
        nodes = np.append(0.0, points)
        free = np.zeros((degree, 1))
        return Scheme(
            np.append(nodes, 1.0),
            points,
            np.hstack([interpolation(nodes, points), free]),
            np.hstack([differentiation(nodes, points), free]),
            quadrature(points),
            integration(points, points),
            np.append(-interpolation(nodes, np.ones(1))[0], 1.0),
        )
    raise OptionError(f"scheme is {name!r}; expected one of {list(SCHEMES)}.")


@cache
def probe(degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, weights and running integrals (to each point, and to 1) of Gauss rules on both halves.

    They resolve what a scheme with `degree` points cannot, such as a control that is cut to its bounds.
    """
    half = scheme("gauss", degree + 2)
    points = np.concatenate([half.points / 2, (1 + half.points) / 2])
    n = len(half.points)
    running = np.zeros((2 * n + 1, 2 * n))
    running[:n, :n] = running[n : 2 * n, n:] = half.integrate / 2
    running[n:, :n] = half.weights / 2
    running[-1, n:] = half.weights / 2
    return points, np.tile(half.weights / 2, 2), running


def interpolation(nodes: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Matrix (len(t), len(nodes)) that evaluates at t the polynomial through values at the nodes."""
    gaps = nodes[:, None] - nodes[None, :]
    np.fill_diagonal(gaps, 1.0)
    factors = (t[:, None, None] - nodes[None, None, :]) / gaps[None, :, :]
    factors[:, range(len(nodes)), range(len(nodes))] = 1.0
    return factors.prod(axis=2)


def differentiation(nodes: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Matrix (len(t), len(nodes)) that differentiates at t the polynomial through values at the nodes."""
    inner = np.array([interpolation(nodes, t) * 0.0])[0]
    for j in range(len(nodes)):
        others = np.delete(nodes, j)
        scale = np.prod(nodes[j] - others)
        for i in range(len(others)):
            inner[:, j] += np.prod(t[:, None] - np.delete(others, i)[None, :], axis=1) / scale
    return inner


def quadrature(points: np.ndarray) -> np.ndarray:
    """Weights of the interpolatory quadrature on [0, 1]."""
    return integration(points, np.ones(1))[0]


def integration(points: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Matrix (len(t), len(points)): integrals from 0 to t of the Lagrange polynomials on the points."""
    degree = len(points) - 1
    vandermonde = legendre.legvander(2 * points - 1, degree)
    integrals = np.empty((len(t), degree + 1))
    for k in range(degree + 1):
        antiderivative = legendre.legint(np.eye(degree + 1)[k], lbnd=-1) / 2
        integrals[:, k] = legendre.legval(2 * t - 1, antiderivative)
    return np.linalg.solve(vandermonde.T, integrals.T).T
