"""Vector fields: every operation of the interpreter against CasADi, layers against numpy, bad statements."""

import casadi as ca
import numpy as np
import pytest
from numba import njit

from ocnet.errors import OptionError, ShapeError, SymbolError, UnsupportedError
from ocnet.learning import expression, layers
from ocnet.learning.neural_odes.field import pullback, rate
from ocnet.networks import arctan, custom

BUMP = custom(lambda s: s / (1 + s**2), name="bump")
EVERYTHING = {
    "arithmetic": lambda x, t, q: [x[0] * q[0] - 2 * x[1] / q[1] + t, 1 / x[0] - x[1] + x[0] ** 2 + q[1]],
    "powers": lambda x, t, q: [x[0] ** q[0] + x[1] ** 2.5, ca.sqrt(x[0]) + q[1] ** x[1]],
    "exponentials": lambda x, t, q: [ca.exp(q[0] * x[0]) + ca.expm1(x[1]), ca.log(x[0]) * ca.log1p(q[1] * t)],
    "angles": lambda x, t, q: [
        ca.sin(x[0]) * ca.cos(q[0]) + ca.tan(x[1]) + ca.atan2(x[0], q[1]),
        ca.asin(x[0] / 3) + ca.acos(x[1] / 4) + ca.atan(q[1]),
    ],
    "hyperbolic": lambda x, t, q: [
        ca.sinh(x[0]) + ca.cosh(q[0]) * ca.tanh(x[1]),
        ca.asinh(x[0]) + ca.acosh(1 + x[1]) + ca.atanh(q[1] / 5) + ca.erf(x[0] * t),
    ],
    "choices": lambda x, t, q: [
        ca.if_else(x[0] > q[0], x[1] ** 2, q[1]) + ca.fmin(x[0], q[0]) + ca.fmax(x[1], t) + ca.fabs(-x[0]),
        ca.if_else(ca.logic_or(x[0] <= 0, ca.logic_not(x[1] == 2)), x[0], q[0]) * ca.sign(q[1])
        + ca.floor(x[0]) + ca.ceil(x[1]) + ca.if_else(ca.logic_and(x[0] > 0, q[0] != 3), x[1], t),
    ],
    "composed": lambda x, t, q: [
        ca.sinh(1e-9 * x[0]) + 1e-9 * ca.atanh(1e-9 * q[0]) + ca.acosh(1 + 0.01 * q[0]),
        ca.asinh(-30 * x[0]) + ca.atan(-q[1]) + ca.fabs(x[1]) + ca.fmin(-x[0], q[0]) + ca.tan(t),
    ],
    "constant components": lambda x, t, q: [3.0, t],
}  # fmt: skip


@njit
def compiled_rate(field, V, row):
    rate(field, V, row)


@njit
def compiled_pullback(field, V, row, bars):
    pullback(field, V, row, bars)


def evaluate(field, x, t, theta, w, *, compiled):
    """f, wᵀf_x, wᵀf_θ by the compiled loops or in plain Python."""
    kernel = field.kernel
    n, fixed = kernel.states, kernel.fixed
    V, bars = np.full((2, fixed + kernel.width), np.nan)
    V[:fixed] = [*theta, *field.constants]
    V[fixed : fixed + n + 1] = [*x, t]
    (compiled_rate if compiled else rate)(kernel, V, fixed)
    bars[:] = 0
    np.add.at(bars, kernel.outputs, w)
    (compiled_pullback if compiled else pullback)(kernel, V, fixed, bars)
    return V[kernel.outputs], bars[fixed : fixed + n], bars[: field.parameters]


def exact(field, x, t, theta, w):
    """The same by CasADi."""
    s, time, q = ca.SX.sym("s", field.states), ca.SX.sym("t"), ca.SX.sym("q", field.parameters)
    f = field.rule(s, time, q)
    f = ca.vertcat(*f) if isinstance(f, list) else f
    scalar = ca.dot(f, ca.DM(w))
    F = ca.Function("F", [s, time, q], [f, ca.gradient(scalar, s), ca.gradient(scalar, q)])
    return [v.full().ravel() for v in F(x, t, theta)]


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@pytest.mark.parametrize("what", EVERYTHING)
def test_operations(what, compiled):
    field = expression(EVERYTHING[what], states=2, parameters=2)
    x, t, theta, w = np.array([0.7, 1.3]), 0.4, np.array([0.9, 1.2]), np.array([0.3, -1.7])
    found = evaluate(field, x, t, theta, w, compiled=compiled)
    for mine, true in zip(found, exact(field, x, t, theta, w), strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@pytest.mark.parametrize("activation", ["tanh", "logistic", arctan(0.3), BUMP], ids=str)
@pytest.mark.parametrize("time", [False, True])
def test_layers(activation, time, compiled):
    field = layers((3, 4, 5, 3), activation, time=time)
    rng = np.random.default_rng(0)
    x, theta, w = rng.normal(size=3), field.draw(rng), rng.normal(size=3)
    found = evaluate(field, x, 0.7, theta, w, compiled=compiled)
    for mine, true in zip(found, exact(field, x, 0.7, theta, w), strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-12, atol=1e-14)
    (W, b), *_ = field.matrices(theta)
    assert W.shape == (4, 3 + time)
    assert (b == 0).all()
    assert field.parameters == len(theta)


def test_gradients_of_symbols_may_be_taken_in_a_rule():
    def rule(x, t, q):
        energy = q[0] * x[0] ** 4 + q[1] * x[1] ** 2 / 2
        slope = ca.gradient(energy, x)
        return ca.vertcat(slope[1], -slope[0])

    field = expression(rule, states=2, parameters=2)
    f, *_ = evaluate(field, np.array([2.0, 3.0]), 0.0, np.array([0.5, 4.0]), np.ones(2), compiled=False)
    np.testing.assert_allclose(f, [12.0, -16.0])


def test_bad_statements():
    with pytest.raises(OptionError, match=r"sizes is \(2, 3\)"):
        layers((2, 3))
    with pytest.raises(OptionError, match="sizes is 'ab'"):
        layers("ab")
    with pytest.raises(OptionError, match=r"sizes is \(2, 0, 2\)"):
        layers((2, 0, 2))
    with pytest.raises(OptionError, match="got 'relu'"):
        layers((2, 3, 2), "relu")
    with pytest.raises(OptionError, match="states is 0"):
        expression(lambda x, t, q: x, states=0, parameters=1)
    with pytest.raises(OptionError, match=r"parameters is 1\.5"):
        expression(lambda x, t, q: x, states=1, parameters=1.5)
    with pytest.raises(ShapeError, match=r"shape \(1, 1\); expected \(2, 1\)"):
        expression(lambda x, t, q: x[0], states=2, parameters=1)
    with pytest.raises(SymbolError, match="the rule fails on CasADi symbols"):
        expression(lambda x, t, q: x.sum(), states=2, parameters=1)
    foreign = ca.SX.sym("mass")
    with pytest.raises(SymbolError, match=r"foreign symbols .*mass"):
        expression(lambda x, t, q: foreign * x, states=2, parameters=1)
    with pytest.raises(UnsupportedError, match="'fmod'"):
        expression(lambda x, t, q: ca.fmod(x, 2), states=1, parameters=1)
