import casadi as ca
import numpy as np
import pytest
from scipy.special import roots_legendre

import ocnet as oc
from ocnet.errors import OptionError
from ocnet.methods.scheme import differentiation, integration, interpolation, probe, quadrature, scheme

DEGREES = range(1, 21)
BOTH = pytest.mark.parametrize("name", ["radau", "gauss"])
EACH = pytest.mark.parametrize("degree", DEGREES)
R = np.sqrt(6)
BUTCHER = {  # Hairer & Wanner, Solving Ordinary Differential Equations II, tables IV.5.5 and IV.5.6; II.7.3
    ("radau", 1): ([1.0], [[1.0]], [1.0]),
    ("radau", 2): ([1 / 3, 1], [[5 / 12, -1 / 12], [3 / 4, 1 / 4]], [3 / 4, 1 / 4]),
    ("radau", 3): (
        [(4 - R) / 10, (4 + R) / 10, 1],
        [
            [(88 - 7 * R) / 360, (296 - 169 * R) / 1800, (-2 + 3 * R) / 225],
            [(296 + 169 * R) / 1800, (88 + 7 * R) / 360, (-2 - 3 * R) / 225],
            [(16 - R) / 36, (16 + R) / 36, 1 / 9],
        ],
        [(16 - R) / 36, (16 + R) / 36, 1 / 9],
    ),
    ("gauss", 1): ([1 / 2], [[1 / 2]], [1.0]),
    ("gauss", 2): (
        [1 / 2 - np.sqrt(3) / 6, 1 / 2 + np.sqrt(3) / 6],
        [[1 / 4, 1 / 4 - np.sqrt(3) / 6], [1 / 4 + np.sqrt(3) / 6, 1 / 4]],
        [1 / 2, 1 / 2],
    ),
}


@pytest.mark.parametrize("key", BUTCHER, ids=str)
def test_tableaus_in_closed_form(key):
    c, a, b = BUTCHER[key]
    s = scheme(*key)
    np.testing.assert_allclose(s.points, c, atol=1e-14)
    np.testing.assert_allclose(s.integrate, a, atol=1e-14)
    np.testing.assert_allclose(s.weights, b, atol=1e-14)
    # the states' polynomial: differentiation at the points inverts the integration
    inner = s.differentiate[:, 1 : len(c) + 1]
    np.testing.assert_allclose(inner @ s.integrate, np.eye(len(c)), atol=1e-13)


@EACH
@BOTH
def test_quadrature_is_exact_to_its_degree_and_no_further(name, degree):
    s = scheme(name, degree)
    highest = 2 * degree - 2 if name == "radau" else 2 * degree - 1
    for k in range(highest + 1):
        assert s.weights @ s.points**k == pytest.approx(1 / (k + 1), abs=1e-13)
    if degree <= 8:  # where the next error is still above rounding
        assert abs(s.weights @ s.points ** (highest + 1) - 1 / (highest + 2)) > 1e-11
    assert (s.weights > 0).all()


@EACH
@BOTH
def test_states_of_the_scheme_s_degree_are_reproduced(name, degree):
    s = scheme(name, degree)
    rng = np.random.default_rng(degree)
    polynomial = np.polynomial.legendre.Legendre(rng.standard_normal(degree + 1), domain=[0, 1])
    size = degree**2  # how much derivatives amplify rounding
    values = polynomial(s.nodes)
    np.testing.assert_allclose(s.evaluate @ values, polynomial(s.points), atol=1e-12)
    np.testing.assert_allclose(s.differentiate @ values, polynomial.deriv()(s.points), atol=1e-12 * size)
    if s.end is not None:
        assert s.end @ values == pytest.approx(0.0, abs=1e-10)


@EACH
@BOTH
def test_running_integrals_are_exact_below_the_degree(name, degree):
    s = scheme(name, degree)
    rng = np.random.default_rng(degree)
    polynomial = np.polynomial.legendre.Legendre(rng.standard_normal(degree), domain=[0, 1])
    integral = polynomial.integ(lbnd=0)
    np.testing.assert_allclose(s.integrate @ polynomial(s.points), integral(s.points), atol=1e-13 * degree)
    assert s.weights @ polynomial(s.points) == pytest.approx(integral(1.0), abs=1e-13 * degree)


@EACH
@BOTH
def test_points_and_nodes(name, degree):
    s = scheme(name, degree)
    assert len(s.points) == degree
    assert (np.diff(s.nodes) > 0).all()
    assert s.nodes[0] == 0
    assert s.nodes[-1] == 1
    if name == "radau":
        assert s.points[-1] == 1
        assert s.end is None
        mirrored = 1 - s.points[::-1]  # 0 and the zeros of the left Radau polynomial P_d + P_(d-1)
        p = np.polynomial.legendre.Legendre([0] * (degree - 1) + [1, 1], domain=[0, 1])
        np.testing.assert_allclose(p(mirrored), 0, atol=1e-12)
    else:
        np.testing.assert_allclose(s.points, (1 + roots_legendre(degree)[0]) / 2)
        np.testing.assert_allclose(s.points, 1 - s.points[::-1], atol=1e-15)
        assert len(s.nodes) == degree + 2


def test_discrete_time_is_a_scheme_of_differences():
    s = scheme("steps", 1)
    values = np.array([3.0, 5.0])
    assert s.evaluate @ values == 3.0
    assert s.differentiate @ values == 2.0
    assert s.weights == 1.0


def test_an_unknown_scheme_is_refused():
    with pytest.raises(OptionError, match=r"scheme is 'lobatto'; expected one of \['radau', 'gauss'\]"):
        scheme("lobatto", 3)


@pytest.mark.parametrize("degree", [1, 2, 3, 9, 20])
def test_probe_integrates_each_half_separately(degree):
    points, weights, running = probe(degree)
    n = degree + 2
    assert len(points) == 2 * n
    assert (np.diff(points) > 0).all()
    np.testing.assert_allclose((points < 0.5).sum(), n)
    kink = np.maximum(points - 0.5, 0)  # what one rule over the whole interval cannot integrate
    expected = np.append(np.maximum(points - 0.5, 0) ** 2 / 2, 1 / 8)
    np.testing.assert_allclose(running @ kink, expected, atol=1e-14)
    assert weights @ kink == pytest.approx(1 / 8, abs=1e-14)
    for k in range(n):
        np.testing.assert_allclose(running @ points**k, np.append(points, 1) ** (k + 1) / (k + 1), atol=1e-13)
    for k in range(2 * n):  # Gauss: twice as far for the whole integral
        assert weights @ points**k == pytest.approx(1 / (k + 1), abs=1e-13)
    np.testing.assert_allclose(running[-1], weights)


def test_interpolation_differentiation_integration_on_any_nodes():
    nodes, t = np.array([0.0, 0.1, 0.7, 1.0]), np.linspace(-0.2, 1.2, 9)
    values = 1 - 2 * nodes + nodes**3
    np.testing.assert_allclose(interpolation(nodes, t) @ values, 1 - 2 * t + t**3, atol=1e-13)
    np.testing.assert_allclose(differentiation(nodes, t) @ values, -2 + 3 * t**2, atol=1e-13)
    np.testing.assert_allclose(integration(nodes, t) @ values, t - t**2 + t**4 / 4, atol=1e-13)
    np.testing.assert_allclose(interpolation(nodes, nodes), np.eye(4), atol=1e-15)
    assert quadrature(nodes) @ values == pytest.approx(0.25, abs=1e-14)


def fixed(intervals, degree=3, scheme="radau"):
    return oc.Collocation(intervals=intervals, degree=degree, scheme=scheme, refine_to=None)


def smooth():
    """A nonlinear problem without bounds."""
    problem = oc.Problem("smooth", horizon=oc.Finite(1.5))
    x = problem.state("x", 2, initial=[1.0, -0.5])
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[1] + ca.sin(x[0]), -x[0] * x[1] + u * ca.exp(-x[0] / 2)))
    problem.minimize(stage=ca.sumsqr(x) + u**2 + 0.2 * u**4, terminal=ca.sumsqr(x) / 2)
    return problem


@pytest.fixture(scope="module")
def fine():
    return oc.solve(smooth(), fixed(24, 8), tolerance=1e-10)


@pytest.mark.parametrize(
    ("scheme", "degree", "order"), [("radau", 2, 3), ("radau", 3, 5), ("gauss", 2, 4), ("gauss", 3, 6)]
)
def test_orders_of_convergence_at_mesh_points(fine, scheme, degree, order):
    errors = []
    for n in (4, 8, 16):
        s = oc.solve(smooth(), fixed(n, degree, scheme), tolerance=1e-10)
        mesh = np.linspace(0, 1.5, n + 1)
        both = [np.abs(ask(s)(mesh) - ask(fine)(mesh)).max() for ask in (lambda s: s.x, lambda s: s.p)]
        errors.append([*both, abs(s.cost - fine.cost)])
    measured = np.log2(errors[-2]) - np.log2(errors[-1])
    np.testing.assert_allclose(measured[:2], order, atol=0.3)  # states, costates
    assert np.mean(np.log2(errors[0]) - np.log2(errors[-1]), where=[False, False, True]) / 2 > order - 0.4


@pytest.mark.parametrize("intervals", [2, 4, 8, 16, 32])
def test_the_estimated_error_is_that_of_the_states(intervals):
    """With x = tan z the regulator ż = u, min ½∫z² + u² has the solution z = z0 cosh(T − t)/cosh T."""
    problem = oc.Problem("bent regulator", horizon=oc.Finite(2.0))
    x = problem.state("x", initial=np.tan(1.2))
    u = problem.control("u")
    problem.dynamics(x, u * (1 + x**2))
    problem.minimize(stage=(ca.atan(x) ** 2 + u**2) / 2)
    solution = oc.solve(problem, fixed(intervals), tolerance=1e-10)
    t = np.linspace(0, 2, 1001)
    exact = np.tan(1.2 * np.cosh(2 - t) / np.cosh(2))
    error = np.abs(solution.state("x", t)[:, 0] - exact).max() / (1 + exact.max())
    assert error / 10 < solution.mesh_error < error * 10
