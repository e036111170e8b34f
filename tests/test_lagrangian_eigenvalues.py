"""Eigenvalues of the linearised greedy dynamics over a domain, with parameters that change by point."""

import casadi as ca
import numpy as np
import pytest

from ocnet.errors import DataError, ShapeError
from ocnet.lagrangian import coordinates
from ocnet.lagrangians.descent import hopfield, quadratic, steepest_descent, weighted
from ocnet.lagrangians.dissipation import eigenvalue_range


def fixed_point_ratio(metric, T, points):
    """Eigenvalue range over points each of which is made a fixed point by its own input."""
    n = len(T)
    v, _ = coordinates("v", n)
    h = ca.MX.sym("h", n)
    energy = quadratic(v, T) - ca.dot(h, v)
    made = weighted(energy, v, "tanh", metric, parameters=[(h, np.zeros(n))])
    return eigenvalue_range(made, points, h=points - np.tanh(points) @ T)


def test_eigenvalue_ratio_of_each_metric():
    """Powers of g' as metrics: g' itself is the best; g'(1 + c g') is better still."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    a, b = 1.0, 4.0
    T = -Q @ np.diag([a, 2.0, 3.0, b]) @ Q.T
    points = np.vstack([rng.uniform(-3, 3, (200, 4)), np.zeros((1, 4)), np.full((1, 4), 3.0)])
    ratios = {k: fixed_point_ratio(lambda s, k=k: s**k, T, points).ratio for k in (0, 0.5, 1, 1.5, 2)}
    assert min(ratios, key=ratios.get) == 1
    # at a fixed point −J = I + (−T)g' is similar to I + √g'(−T)√g', between 1 + a·min g' and 1 + b
    assert fixed_point_ratio(lambda s: s, T, points).largest == pytest.approx(1 + b)
    better = fixed_point_ratio(lambda s: s * (1 + 2 * s), T, points)
    assert better.ratio <= (1 + b) / (1 + a) + 1e-9 < ratios[1]


def test_parameters_by_point():
    """Matrices reach the linearisation as they are, one for each point."""
    v, _ = coordinates("v", 2)
    k = ca.MX.sym("k", 2, 2)
    made = steepest_descent(ca.dot(v, ca.mtimes(k, v)) / 2, v, transfer="linear", parameters=[(k, np.eye(2))])
    values = np.array([[[2.0, 1.0], [0.5, 3.0]], [[4.0, -1.0], [2.0, 1.0]]])
    found = eigenvalue_range(made, np.zeros((2, 2)), k=values)
    expected = np.linalg.eigvalsh((values + values.transpose(0, 2, 1)) / 2)
    assert found.least == pytest.approx(expected.min())
    assert found.largest == pytest.approx(expected.max())


@pytest.mark.parametrize(
    ("values", "error", "pattern"),
    [
        (np.zeros((1, 2)), ShapeError, r"'h'.*shape \(1, 2\); expected \(2, 2\), one for each point"),
        (np.zeros((5, 2)), ShapeError, r"'h'.*shape \(5, 2\)"),
        (np.zeros((2, 3)), ShapeError, r"'h'.*shape \(2, 3\)"),
        (np.zeros(2), ShapeError, r"'h'.*shape \(2,\)"),
        (0.0, ShapeError, r"'h'.*shape \(\)"),
        ([[0.0, 0.0], [0.0, np.nan]], DataError, "'h'.*point 1 is not finite"),
        ("x", DataError, "'h': got 'x'; expected numbers"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, error, pattern):
    v, _ = coordinates("v", 2)
    h = ca.MX.sym("h", 2)
    driven = hopfield(-ca.dot(h, v), v, parameters=[(h, np.zeros(2))])
    with pytest.raises(error, match=pattern):
        eigenvalue_range(driven, np.zeros((2, 2)), h=values)
