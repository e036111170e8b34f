"""Interval bounds hold for every operation, and are as sharp as they can be."""

import casadi as ca
import numpy as np
import pytest

from ocnet.errors import UnsupportedError
from ocnet.landscapes.intervals import IntervalFunction

X = ca.SX.sym("x", 2)
a, b = X[0], X[1]
SMOOTH = {
    "sum": a + 2 * b - 0.3, "negative": -a, "product": a * b, "square": a**2 * b, "cube": a - b**3,
    "quartic": a**4 / (2 + b), "inverse square": a**-2, "root": ca.sqrt(a + 1) * ca.log(2 + b),
    "power": (a + 2) ** 1.5, "general power": (a + 3) ** b, "exponential": ca.exp(a) - ca.expm1(b),
    "sine": ca.sin(3 * a) * ca.cos(b), "tangent": ca.tan(a / 2), "arcs": ca.arcsin(a / 3) + ca.arccos(b / 3),
    "arctan": ca.arctan(a) * b, "hyperbolic": ca.sinh(a) * ca.cosh(b) - ca.tanh(a * b),
    "areas": ca.arcsinh(a) + ca.arccosh(2 + b) + ca.arctanh(a / 4), "erf": ca.erf(a * b),
    "length": ca.hypot(a, b), "smallest": ca.fmin(a, b) * ca.fmax(a, 0.2) + ca.fabs(b),
    "log1p": ca.log1p(a * a),
}  # fmt: skip
JUMPING = {
    "choice": ca.if_else(a > b, a, ca.fabs(b)), "logic": ca.logic_and(a > 0, ca.logic_not(b <= 0)) + 0 * a,
    "either": ca.if_else(ca.logic_or(a < -1, b >= 0.5), 2.0, a), "equality": ca.if_else(a == b, 1, 2),
    "unequal": ca.if_else(a != b, a, 2), "sign": ca.sign(a) * b, "number": ca.if_else(a, b, 3),
    "numbers": ca.if_else(ca.logic_or(a, b), 1, 2) + ca.if_else(ca.logic_and(a, b), 1, ca.logic_not(a)),
    "rounding": ca.floor(a) - ca.ceil(b),
}  # fmt: skip


def boxes(rng, count=300):
    centre, radius = rng.uniform(-1.5, 1.5, (count, 2)), rng.exponential(0.3, (count, 2))
    radius[::5] = 0.0  # points
    return centre - radius, centre + radius


@pytest.mark.parametrize("name", [*SMOOTH, *JUMPING])
def test_bounds_hold(name):
    function = ca.Function("f", [X], [ca.densify((SMOOTH | JUMPING)[name])])
    lower, upper = boxes(np.random.default_rng(7))
    low, high = IntervalFunction(function)(lower, upper)
    points = lower[:, None] + (upper - lower)[:, None] * np.random.default_rng(8).uniform(size=(300, 100, 2))
    points[:, 0] = np.clip(0.0, lower, upper)  # where conditions change
    values = np.array(function(points.reshape(-1, 2).T)).reshape(300, 100)
    assert not np.any((values < low) | (values > high))  # what is undefined (NaN) is in no interval
    finite = np.isfinite(values).all(axis=1)
    assert finite.sum() > 100
    assert not np.isnan(low).any()
    narrow = finite & (np.ptp(points, axis=1).max(axis=1) == 0)
    assert np.median((high - low)[narrow, 0]) < 1e-12  # at a point nothing is lost but rounding


@pytest.mark.parametrize("name", SMOOTH)
def test_bounds_of_the_derivative_hold(name):
    """The mean-value form: f(x) − f(c) lies in f'([x])·(x − c)."""
    value = ca.densify(SMOOTH[name])
    function = ca.Function("f", [X], [value])
    slope = IntervalFunction(ca.Function("df", [X], [ca.densify(ca.jacobian(value, X))]))
    lower, upper = boxes(np.random.default_rng(9))
    low, high = slope(lower, upper)
    centre = (lower + upper) / 2
    change = np.array(function(upper.T) - function(centre.T)).reshape(-1)
    step = upper - centre
    with np.errstate(invalid="ignore"):
        least, most = np.nansum(low * step, axis=1), np.nansum(high * step, axis=1)
    known = np.isfinite(change)
    assert np.all(least[known] <= change[known] + 1e-12)
    assert np.all(change[known] <= most[known] + 1e-12)


def test_monotone_functions_are_bounded_sharply():
    low, high = IntervalFunction(ca.Function("f", [X], [ca.tanh(a) + ca.exp(b)]))(
        np.array([[-1.0, 0.0]]), np.array([[2.0, 1.0]])
    )
    assert low[0, 0] == pytest.approx(np.tanh(-1) + 1, abs=1e-14)
    assert high[0, 0] == pytest.approx(np.tanh(2) + np.e, abs=1e-14)
    assert low[0, 0] < np.tanh(-1) + 1
    assert high[0, 0] > np.tanh(2) + np.e


def test_poles_and_undefined_values_are_unbounded():
    function = IntervalFunction(
        ca.Function("f", [X], [ca.vertcat(1 / a, ca.tan(a), ca.log(a), (a - 1) ** 0.5)])
    )
    low, high = function(np.array([[-0.5, 0.0]]), np.array([[2.0, 0.0]]))
    assert np.all(low == -np.inf)
    assert np.all(high == np.inf)


@pytest.mark.parametrize("function", [ca.sin, ca.cos, ca.tan])
def test_waves_have_their_zeros_where_they_are(function):
    zeros = np.pi * (np.array([0.0, 1.0, -3.0, 1e5]) + (0.5 if function is ca.cos else 0.0))
    near = 1e-12 * (1 + np.abs(zeros))
    bounds = IntervalFunction(ca.Function("f", [X], [function(a)]))
    ends = np.stack([zeros - near, zeros + near], axis=1)
    low, high = bounds(ends[:, :1].repeat(2, axis=1), ends[:, 1:].repeat(2, axis=1))
    assert np.all((low < 0) & (high > 0))
    low, high = bounds(np.zeros((1, 2)), np.full((1, 2), 0.5))
    assert low[0, 0] <= float(function(0.0)) <= high[0, 0]


def test_waves_of_large_arguments_reach_both_ends():
    low, high = IntervalFunction(ca.Function("f", [X], [ca.sin(a) * ca.cos(b)]))(
        np.array([[1e9, -1e12], [-np.inf, 0.0]]), np.array([[1e9 + 7, 1e12], [np.inf, 0.1]])
    )
    assert np.all((low <= -0.99) & (high >= 0.99))


def test_jumps_are_known():
    assert not any(IntervalFunction(ca.Function("f", [X], [v])).jumps for v in SMOOTH.values())
    assert all(IntervalFunction(ca.Function("f", [X], [ca.densify(v)])).jumps for v in JUMPING.values())


def test_what_cannot_be_bounded_is_refused():
    s = ca.MX.sym("s", 2)
    with pytest.raises(UnsupportedError, match="no function of scalar operations"):
        IntervalFunction(ca.Function("f", [s], [s]))
    with pytest.raises(UnsupportedError, match="has no interval rule"):
        IntervalFunction(ca.Function("f", [X], [ca.fmod(a, 0.3)]))
