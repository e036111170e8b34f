"""Activations: function, inverse, derivative and integral agree with each other, on symbols and on arrays."""

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import quad

import ocnet as oc
from ocnet.errors import DataError, OptionError, UnsupportedError
from ocnet.networks import activation, additive, arctan, custom, recall

SOFTSIGN = custom(
    lambda s: s / (1 + ca.fabs(s)),
    inverse=lambda v: v / (1 - ca.fabs(v)),
    integral=lambda v: -ca.fabs(v) - ca.log(1 - ca.fabs(v)),
    lower=-1.0,
    upper=1.0,
    name="softsign",
)
ALL = [activation("tanh"), activation("logistic"), arctan(0.1), arctan(2.0), SOFTSIGN]
POINTS = np.array([[-3.0, -0.7], [-1e-3, 0.2], [1.1, 2.5]])

each = pytest.mark.parametrize("g", ALL, ids=str)


@each
def test_inverse_undoes_the_function_inside_the_range(g):
    v = g(POINTS)
    assert v.shape == POINTS.shape
    assert np.all((v > g.lower) & (v < g.upper))
    np.testing.assert_allclose(g.inverse(v), POINTS, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(g.function(POINTS), v)


@each
def test_the_range_is_reached_in_the_limit(g):
    assert g(-1e9) == pytest.approx(g.lower, abs=1e-8)
    assert g(1e9) == pytest.approx(g.upper, abs=1e-8)


@each
def test_derivative_is_the_derivative(g):
    h = 1e-6
    np.testing.assert_allclose(
        g.derivative(POINTS), (g(POINTS + h) - g(POINTS - h)) / (2 * h), rtol=1e-7, atol=1e-9
    )


@each
def test_integral_is_that_of_the_inverse_from_the_base(g):
    for v in g(np.array([-1.3, -0.2, 0.4, 1.7])):
        expected, _ = quad(g.inverse, g.base, v, epsabs=1e-12, epsrel=1e-12)
        assert g.integral(v) == pytest.approx(expected, rel=1e-8, abs=1e-10)
    assert g.integral(g.base) == pytest.approx(0.0, abs=1e-15)


@each
def test_symbols_and_arrays_agree(g):
    x = ca.MX.sym("x", *POINTS.shape)
    v = g(POINTS)
    for rule, at in ((g, POINTS), (g.derivative, POINTS), (g.inverse, v), (g.integral, v)):
        value = ca.Function("f", [x], [rule(x)])(at).full()
        np.testing.assert_allclose(value, rule(at), rtol=1e-13, atol=1e-14)


@each
def test_stated_symbols_are_accepted_without_warnings(g, recwarn):
    problem = oc.Problem("one", oc.Finite(1.0))
    u = problem.state("u", 3)
    problem.dynamics(u, g(u) + g.derivative(u))
    assert problem.functions.dynamics(0, [0.1, 0.2, 0.3], 0, [], [], []).shape == (3, 1)
    assert not recwarn.list


def test_scalars_give_scalars():
    for g in ALL:
        assert np.shape(g(0.3)) == np.shape(g.derivative(0.3)) == np.shape(g.inverse(0.3)) == ()


def test_large_arguments_do_not_overflow(recwarn):
    for g in ALL:
        s = np.array([-1e4, 1e4])
        assert np.isfinite(g(s)).all()
        assert np.isfinite(g.derivative(s)).all()
    assert not recwarn.list


def test_the_integral_at_the_ends_of_the_range():
    np.testing.assert_allclose(activation("tanh").integral([-1.0, 1.0]), np.log(2))
    np.testing.assert_allclose(activation("logistic").integral([0.0, 0.5, 1.0]), [0.0, -np.log(2), 0.0])
    np.testing.assert_array_equal(arctan(0.1).integral([0.0, 1.0]), [np.inf, np.inf])


def test_equal_activations_are_equal_and_immutable():
    assert arctan(0.1) == arctan(0.1)
    assert arctan(0.1) != arctan(0.2)
    assert activation("tanh") != activation("logistic")
    assert len({arctan(0.1), arctan(0.1), activation("tanh"), activation("tanh")}) == 2
    with pytest.raises(AttributeError):
        arctan(0.1).width = 1.0


def test_the_name_of_an_arctan_holds_its_width():
    assert [str(arctan(w)) for w in (0.1, 2.0, 1e-5)] == ["arctan(0.1)", "arctan(2)", "arctan(1e-05)"]
    for width in (1 / 3, np.pi, 1e-7 / 3, 123456789.0):
        name = arctan(width).name
        assert float(name[7:-1]) == width
        assert arctan(float(name[7:-1])) == arctan(width)


def test_resolving():
    assert activation(SOFTSIGN) is SOFTSIGN
    for wrong in ("relu", None, np.tanh, 3):
        with pytest.raises(
            OptionError, match=r"expected one of \['logistic', 'tanh'\].*arctan\(width\).*custom"
        ):
            activation(wrong)


@pytest.mark.parametrize("width", [0.0, -1.0, np.nan, np.inf, "wide", None])
def test_arctan_refuses_a_width_that_is_not_positive(width):
    with pytest.raises(OptionError, match="expected a positive"):
        arctan(width)


@each
def test_outputs_outside_the_range_are_refused(g):
    for v in (g.upper, g.lower, g.upper + 0.1, np.nan):
        with pytest.raises(DataError, match=r"inverse: got the output .*expected values in \("):
            g.inverse([g.base, v])
    with pytest.raises(DataError, match=r"integral: got the output .*expected values in \["):
        g.integral(g.upper + 0.1)


def test_custom_with_numpy_functions_and_nothing_else(recwarn):
    g = custom(lambda s: np.tanh(3 * s))
    np.testing.assert_allclose(g(POINTS), np.tanh(3 * POINTS))
    np.testing.assert_allclose(g.derivative(POINTS), 3 - 3 * np.tanh(3 * POINTS) ** 2)
    assert not recwarn.list
    assert g(np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(UnsupportedError, match="add inverse="):
        g.inverse(0.0)
    with pytest.raises(UnsupportedError, match="add integral="):
        g.integral(0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": 3}, "expected a function of one argument"),
        ({"function": lambda s: s / ca.norm_2(s)}, "depends on the others"),
        ({"function": lambda s: ca.sum1(s)}, "expected a componentwise function"),
        ({"function": lambda s: s if s > 0 else 0 * s}, "if_else"),
        ({"function": lambda s: 1 / 0}, "ZeroDivisionError"),
        ({"function": ca.tanh, "lower": 1.0, "upper": -1.0}, "expected lower < upper"),
        ({"function": ca.tanh, "lower": -1.0, "upper": 1.0, "base": 2.0}, "base is 2.0"),
        ({"function": ca.tanh, "lower": 0.0, "upper": 1.0}, "outside the range"),
        ({"function": ca.tanh, "inverse": lambda v: v}, "do not belong together"),
        ({"function": ca.tanh, "inverse": ca.atanh, "integral": lambda v: v}, "derivative of the integral"),
    ],
)
def test_custom_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(OptionError, match=message):
        custom(arguments.pop("function"), **arguments)


def test_right_hand_sides_are_the_same_on_symbols_and_arrays():
    rng = np.random.default_rng(0)
    u, W = rng.normal(size=(3, 2)), rng.normal(size=(3, 3))
    for rule in (additive, recall):
        for g in ALL:
            x, M = ca.MX.sym("x", 3, 2), ca.MX.sym("M", 3, 3)
            symbolic = ca.Function("f", [x, M], [rule(x, M, g)])(u, W).full()
            np.testing.assert_allclose(rule(u, W, g), symbolic, rtol=1e-13, atol=1e-14)
            np.testing.assert_allclose(ca.Function("f", [x], [rule(x, W, g)])(u).full(), symbolic, atol=1e-14)
    np.testing.assert_allclose(additive(u, W, ALL[0]), W @ np.tanh(u) - u)
