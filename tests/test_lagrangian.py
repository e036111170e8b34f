"""Dynamics derived from Lagrangians, against textbook right-hand sides, closed forms and bisection."""

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

import ocnet as oc
from ocnet.lagrangian import Lagrangian, coordinates
from ocnet.lagrangians import arc_length
from ocnet.lagrangians.descent import arc_length as descent_in_w
from ocnet.lagrangians.descent import hopfield, quadratic, steepest_descent, weighted
from ocnet.lagrangians.dissipation import descent, eigenvalue_range, fixed_point_shift
from ocnet.networks import activation, arctan

OUTPUTS = {"tanh": np.tanh, "logistic": lambda u: 1 / (1 + np.exp(-u))}
SLOPES = {"tanh": lambda u: 1 / np.cosh(u) ** 2, "logistic": lambda u: 1 / (2 * np.cosh(u / 2)) ** 2}


def network(n, seed, scale=1.0):
    """A random symmetric T and inputs h."""
    rng = np.random.default_rng(seed)
    T = scale * rng.normal(size=(n, n))
    return (T + T.T) / 2, rng.normal(size=n), rng


def velocity(lagrangian, q):
    """The greedy velocity at q as the simulated problem has it."""
    functions = lagrangian.greedy().functions
    zero = np.zeros(functions.nx)
    p = functions.pack(functions.problem.parameter_values(), "parameter")
    return functions.dynamics(0.0, q, zero, [], [], p).full().reshape(-1)


# ---------------------------------------------------------------------- the three ready forms


@pytest.mark.parametrize("g", ["tanh", "logistic"])
@pytest.mark.parametrize("seed", range(5))
def test_hopfield_is_the_additive_network(g, seed):
    T, h, rng = network(6, seed)
    v, _ = coordinates("v", 6)
    u = 2 * rng.normal(size=6)
    expected = T @ OUTPUTS[g](u) + h - u
    np.testing.assert_allclose(velocity(hopfield(quadratic(v, T, h), v, g), u), expected, rtol=0, atol=1e-12)


def test_hopfield_far_in_saturation():
    T, h, _ = network(3, 1)
    v, _ = coordinates("v", 3)
    u = np.array([40.0, -800.0, 25.0])
    np.testing.assert_allclose(
        velocity(hopfield(quadratic(v, T, h), v), u), T @ np.tanh(u) + h - u, rtol=1e-14
    )


@pytest.mark.parametrize("bound", [0.3, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_steepest_descent_is_bounded_by_r(bound, seed):
    T, h, rng = network(5, seed)
    v, _ = coordinates("v", 5)
    x = 3 * rng.normal(size=5)
    expected = bound * np.tanh(bound * (T @ x + h))
    found = velocity(steepest_descent(quadratic(v, T, h), v, bound=bound), x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.abs(found).max() <= bound


def test_linear_transfer_is_gradient_descent():
    T, h, rng = network(4, 3)
    v, _ = coordinates("v", 4)
    x = rng.normal(size=4)
    found = velocity(steepest_descent(quadratic(v, T, h), v, transfer="linear", bound=0.7), x)
    np.testing.assert_allclose(found, 0.49 * (T @ x + h), rtol=0, atol=1e-12)


@pytest.mark.parametrize("g", ["tanh", "logistic"])
@pytest.mark.parametrize("seed", range(5))
def test_descent_in_w(g, seed):
    T, h, rng = network(6, seed)
    v, _ = coordinates("v", 6)
    w = rng.uniform(-1.4, 1.4, 6)
    u = arc_length.from_arc(w, g)
    expected = np.sqrt(SLOPES[g](u)) * (T @ OUTPUTS[g](u) + h - u)
    np.testing.assert_allclose(
        velocity(descent_in_w(quadratic(v, T, h), v, g), w), expected, rtol=0, atol=1e-12
    )


def test_w_and_u_are_one_dynamics():
    T, h, rng = network(4, 2)
    v, _ = coordinates("v", 4)
    u0 = rng.normal(size=4)
    in_u = oc.simulate(hopfield(quadratic(v, T, h), v).greedy(), initial=u0, tf=3.0)
    in_w = oc.simulate(
        descent_in_w(quadratic(v, T, h), v).greedy(), initial=arc_length.arc(u0, "tanh"), tf=3.0
    )
    for t in (0.5, 3.0):
        np.testing.assert_allclose(
            arc_length.from_arc(in_w.state("w", t), "tanh"), in_u.state("u", t), rtol=1e-8, atol=1e-8
        )


# ---------------------------------------------------------------------- the coordinate w


@pytest.mark.parametrize("g", ["tanh", "logistic", arctan(0.3)])
@pytest.mark.parametrize("u", [-3.0, -0.2, 0.0, 0.7, 5.0])
def test_w_is_the_integral_of_the_root_of_the_slope(g, u):
    act = activation(g)
    expected = quad(lambda s: np.sqrt(act.derivative(s)), 0, u, epsabs=1e-13, epsrel=1e-13)[0]
    w = float(arc_length.arc(u, g))
    assert w == pytest.approx(expected, abs=1e-11)
    assert float(arc_length.from_arc(w, g)) == pytest.approx(u, abs=1e-12)
    assert float(arc_length.output(w, g)) == pytest.approx(float(act(u)), abs=1e-14)
    assert float(arc_length.root_slope(w, g)) == pytest.approx(np.sqrt(act.derivative(u)), abs=1e-14)


def test_sine_is_the_output():
    u = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(np.tanh(u), np.sin(arc_length.arc(u, "tanh")), atol=1e-15)
    np.testing.assert_allclose(
        OUTPUTS["logistic"](u), (1 + np.sin(arc_length.arc(u, "logistic"))) / 2, atol=1e-15
    )


# ---------------------------------------------------------------------- a cost of one's own

OWN = {
    "quartic": (lambda r: r**4 / 4, lambda r: r**3),
    "quadratic and quartic": (lambda r: r**2 / 2 + r**4, lambda r: r + 4 * r**3),
    "exponential": (lambda r: ca.exp(r) - r, lambda r: np.exp(r) - 1),
    "bounded": (
        lambda r: ((1 + r) * ca.log(1 + r) + (1 - r) * ca.log(1 - r)) / 2,
        lambda r: np.arctanh(r) if abs(r) < 1 else np.copysign(1e9, r),
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_own_cost_is_solved_to_ten_digits(name):
    cost, slope = OWN[name]
    v, rate = coordinates("v", 7)
    made = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.sum1(cost(rate)), v, rate)
    assert made.road == "separable"
    at = np.array([0.0, 1e-6, -3e-3, 0.2, -0.9, 0.97, -7.0])
    if name == "exponential":
        at[5] = -40.0
    found = velocity(made, at)
    for i, force in enumerate(-at):
        root = brentq(lambda r, force=force: slope(r) - force, -60, 60, xtol=1e-15, rtol=1e-15)
        assert found[i] == pytest.approx(root, rel=1e-10, abs=1e-10)


def test_coupled_cost():
    v, rate = coordinates("v", 4)
    made = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.sumsqr(rate) ** 2 / 4 + ca.sumsqr(rate) / 2, v, rate)
    assert made.road == "coupled"
    at = np.array([0.3, -2.0, 0.01, 5.0])
    # K depends on |v̇| alone: v̇ is parallel to v, with |v̇|³ + |v̇| = |v|
    speed = brentq(lambda s: s**3 + s - np.linalg.norm(at), 0, 10, xtol=1e-15)
    np.testing.assert_allclose(velocity(made, at), -speed * at / np.linalg.norm(at), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(velocity(made, np.zeros(4)), 0.0)


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("square", [0.0, 1.0])
def test_coupled_cost_under_any_force(n, square):
    """|v̇|³ + square·|v̇| = |force| over 26 orders of magnitude."""
    v, rate = coordinates("v", n)
    cost = ca.sumsqr(rate) ** 2 / 4 + square * ca.sumsqr(rate) / 2
    made = Lagrangian.from_cost(ca.sumsqr(v) / 2, cost, v, rate)
    function = made.function(made.greedy_velocity)
    rng = np.random.default_rng(n)
    for force in 10.0 ** np.arange(-14, 13):
        along = rng.normal(size=n)
        along /= np.linalg.norm(along)
        speed = brentq(lambda s, f=force: s**3 + square * s - f, 0, 1e5, xtol=1e-300, rtol=1e-14)
        found = function(-force * along, 0).full().reshape(-1)
        np.testing.assert_allclose(found, speed * along, rtol=0, atol=1e-10 * max(1.0, speed))


def test_singular_metric_is_no_rest():
    v, rate = coordinates("v", 2)
    made = Lagrangian.from_cost(ca.sumsqr(v) / 2, rate[0] ** 2 / 2, v, rate)
    with pytest.raises(oc.errors.SimulationError, match="is nan"):
        oc.simulate(made.greedy(), initial=[1.0, 1.0], tf=1.0)
    whole = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.sumsqr(rate) / 2, v, rate)
    path = oc.simulate(whole.greedy(), initial=[1.0, 1.0], tf=1.0)
    found = descent(made, path)
    np.testing.assert_allclose(found.energy, np.exp(-2 * path.time), rtol=1e-6)
    assert np.isnan(found.rate).all()
    with pytest.raises(oc.errors.DataError, match="point 0 is not finite"):
        eigenvalue_range(made, [[1.0, 1.0]])


def test_metric_that_mixes_components():
    v, rate = coordinates("v", 3)
    M = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])
    made = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.bilin(ca.MX(ca.DM(M)), rate, rate) / 2, v, rate)
    assert made.road == "linear"
    at = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(velocity(made, at), -np.linalg.solve(M, at), rtol=0, atol=1e-13)


def test_solved_velocity_equals_the_known_one():
    T, h, rng = network(5, 4)
    v, _ = coordinates("v", 5)
    ready = steepest_descent(quadratic(v, T, h), v, bound=0.8)
    energy, movement = ready.parts
    solved = Lagrangian.from_cost(energy, movement, ready.q, ready.qdot)
    x = rng.normal(size=5)
    np.testing.assert_allclose(velocity(solved, x), velocity(ready, x), rtol=0, atol=1e-10)


def test_derivatives_of_a_solved_velocity():
    v, rate = coordinates("v", 2)
    made = Lagrangian.from_cost(ca.sum1(v**4) / 4, ca.sum1(rate**2 / 2 + rate**4 / 4), v, rate)
    jacobian = made.function(ca.jacobian(made.greedy_velocity, made.q))
    x = np.array([0.7, -1.3])
    r = made.function(made.greedy_velocity)(x, 0).full().reshape(-1)
    expected = -3 * x**2 / (1 + 3 * r**2)  # by the implicit function theorem
    np.testing.assert_allclose(jacobian(x, 0).full(), np.diag(expected), rtol=0, atol=1e-12)


def test_quartic_run_against_its_closed_form():
    v, rate = coordinates("v", 2)
    made = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.sum1(rate**4) / 4, v, rate)
    path = oc.simulate(made.greedy(), initial=[1.0, -2.0], tf=0.5)
    expected = np.array([1.0, -2.0]) * (1 - np.array([1.0, 2.0]) ** (-2 / 3) / 3) ** 1.5  # v̇ = −v^(1/3)
    np.testing.assert_allclose(path.state("v", 0.5), expected, atol=1e-9)


def test_velocity_out_of_reach_is_no_success():
    v, rate = coordinates("v")
    made = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.exp(rate) - rate, v, rate)  # e^v̇ − 1 > −1
    assert np.isnan(velocity(made, np.array([2.0]))[0])
    with pytest.raises(oc.errors.SimulationError, match="is nan"):
        oc.simulate(made.greedy(), initial=2.0, tf=1.0)


def test_general_lagrangian_and_parameters():
    q, rate = coordinates("q", 2)
    k = ca.MX.sym("k", 2, 2)
    general = Lagrangian(
        q, rate, ca.sumsqr(rate) / 2 + ca.dot(ca.mtimes(k, q), rate), parameters=[(k, np.diag([1.0, 2.0]))]
    )
    problem = general.greedy()
    path = oc.simulate(problem, initial=[1.0, 1.0], tf=0.5)
    np.testing.assert_allclose(path.state("q", 0.5), np.exp([-0.5, -1.0]), rtol=1e-9)
    path = oc.simulate(problem, initial=[1.0, 1.0], tf=0.5, parameters={"k": np.eye(2)})
    np.testing.assert_allclose(path.state("q", 0.5), np.exp([-0.5, -0.5]), rtol=1e-9)


# ---------------------------------------------------------------------- E falls, fixed points stay


@pytest.mark.parametrize("form", ["steepest", "hopfield", "w", "quartic"])
def test_objective_falls_on_random_runs(form):
    """Fifty runs of each form: 200 in all."""
    n = 4
    v, rate = coordinates("v", n)
    T, h = ca.MX.sym("T", n, n), ca.MX.sym("h", n)
    data = [(T, np.eye(n)), (h, np.zeros(n))]
    symmetric = (T + T.T) / 2
    energy = -ca.bilin(symmetric, v, v) / 2 - ca.dot(h, v)
    made = {
        "steepest": lambda: steepest_descent(energy + ca.sum1(v**4) / 4, v, bound=0.7, parameters=data),
        "hopfield": lambda: hopfield(energy, v, "logistic", parameters=data),
        "w": lambda: descent_in_w(energy, v, "tanh", parameters=data),
        "quartic": lambda: Lagrangian.from_cost(
            energy + ca.sum1(v**4) / 4, ca.sum1(rate**2 / 2 + rate**4), v, rate, parameters=data
        ),
    }[form]()
    problem, rng = made.greedy(), np.random.default_rng(7)
    energies = ca.Function("E", [made.q, T, h], [made.parts[0]])
    for _ in range(50):
        weights, inputs = rng.normal(size=(n, n)), rng.normal(size=n)
        path = oc.simulate(
            problem,
            initial=rng.uniform(-1, 1, n),
            tf=1.0,
            parameters={"T": weights, "h": inputs},
            rtol=1e-8,
            atol=1e-10,
        )
        q = path.states[made.q.name()]
        values = np.array([float(energies(x, weights, inputs)) for x in q])
        assert np.diff(values).max() <= 1e-9
        assert values[-1] < values[0]


def test_rate_of_the_objective():
    T, h, rng = network(4, 9)
    v, _ = coordinates("v", 4)
    made = hopfield(quadratic(v, T, h), v)
    path = oc.simulate(made.greedy(), initial=rng.normal(size=4), tf=2.0)
    found = descent(made, path)
    u = path.states["u"]
    force = np.tanh(u) @ T + h - u
    np.testing.assert_allclose(found.rate, -((1 - np.tanh(u) ** 2) * force**2).sum(axis=1), atol=1e-12)
    assert found.rate.max() <= 0
    middle = (path.time[1:] + path.time[:-1]) / 2
    mean = np.array([descent_rate(made, path.state("u", t)) for t in middle])
    steps = np.diff(path.time)
    simpson = steps * (found.rate[1:] + 4 * mean + found.rate[:-1]) / 6
    np.testing.assert_allclose(np.diff(found.energy), simpson, atol=1e-7)


def descent_rate(made, q):
    """DE/dt at one point."""
    slope = ca.dot(ca.gradient(made.parts[0], made.q), made.greedy_velocity)
    return float(made.function(slope)(q, 0))


def test_fixed_points_are_kept():
    T, h, rng = network(4, 5, scale=0.2)
    v, rate = coordinates("v", 4)
    made = hopfield(quadratic(v, T, h), v)
    points = rng.normal(size=(20, 4))
    assert fixed_point_shift(made, points) == 0.0
    u = oc.simulate(made.greedy(), initial=points[0], tf=60.0).state("u", 60.0)
    assert np.abs(velocity(made, u)).max() < 1e-9
    assert np.abs(velocity(descent_in_w(quadratic(v, T, h), v), arc_length.arc(u, "tanh"))).max() < 1e-9
    shifted = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.sum1((rate - 0.25) ** 2) / 2, v, rate)
    assert fixed_point_shift(shifted, points) == pytest.approx(0.25)


# ---------------------------------------------------------------------- what is refused


def test_bad_lagrangians_are_refused():
    v, rate = coordinates("v", 2)
    w, _ = coordinates("w", 3)
    cases = [
        (lambda: Lagrangian(v, rate, v), oc.errors.ShapeError, r"shape \(2, 1\); expected a scalar"),
        (lambda: Lagrangian(v, w, 0), oc.errors.ShapeError, "of the same length"),
        (lambda: Lagrangian(v + 1, rate, 0), oc.errors.SymbolError, "expected a symbol"),
        (lambda: Lagrangian(v, rate, ca.sumsqr(w)), oc.errors.SymbolError, "contains the symbol 'w'"),
        (lambda: Lagrangian(v, rate, float("nan")), oc.errors.DataError, "not finite"),
        (lambda: Lagrangian(v, rate, ca.sumsqr(v)).greedy(), oc.errors.ProblemError, "does not contain the"),
        (lambda: Lagrangian(v, rate, 0, parameters=[v]), oc.errors.DataError, "expected a pair"),
        (lambda: Lagrangian(v, rate, 0).parts, oc.errors.ProblemError, "no objective E"),
        (lambda: Lagrangian(v, rate, 0, name=""), oc.errors.ProblemError, "non-empty string"),
        (
            lambda: Lagrangian(v, rate, 0, parameters=[(ca.MX.sym("k"), np.nan)]),
            oc.errors.DataError,
            "parameter 'k'.*nan",
        ),
        (
            lambda: Lagrangian.from_cost(ca.sumsqr(rate), ca.sumsqr(rate), v, rate),
            oc.errors.SymbolError,
            "E contains velocities",
        ),
        (
            lambda: Lagrangian.from_cost(ca.sumsqr(v), -ca.sumsqr(rate), v, rate),
            oc.errors.ProblemError,
            "curvature -2",
        ),
        (
            lambda: Lagrangian.from_cost(ca.sumsqr(v), ca.sumsqr(rate), v, rate, velocity=v),
            oc.errors.ProblemError,
            "does not belong to this cost",
        ),
        (
            lambda: Lagrangian.from_cost(ca.sumsqr(v), ca.sumsqr(rate), v, rate, velocity=v[0]),
            oc.errors.ShapeError,
            r"expected \(2, 1\)",
        ),
        (lambda: quadratic(v, [[0.0, 1.0], [0.0, 0.0]]), oc.errors.DataError, "expected a symmetric matrix"),
        (lambda: quadratic(v, [[0.0, np.nan], [0.0, 0.0]]), oc.errors.DataError, r"\[0, 1\] is nan"),
        (lambda: quadratic(v, np.eye(3)), oc.errors.ShapeError, r"expected shape \(2, 2\)"),
        (lambda: steepest_descent(ca.sumsqr(v), v, bound=0.0), oc.errors.OptionError, "bound is 0.0"),
        (lambda: steepest_descent(ca.sumsqr(v), v, bound="x"), oc.errors.OptionError, "bound is 'x'"),
        (
            lambda: steepest_descent(ca.sumsqr(v), v, transfer="logistic"),
            oc.errors.ProblemError,
            "gives 0.5 at 0",
        ),
        (
            lambda: descent_in_w(ca.sumsqr(v), v, oc.networks.custom(ca.atan)),
            oc.errors.UnsupportedError,
            "no closed form",
        ),
        (
            lambda: eigenvalue_range(hopfield(ca.sumsqr(v), v), np.zeros((1, 2)), h=[0.0]),
            oc.errors.ProblemError,
            "got values for 'h'",
        ),
        (lambda: steepest_descent(v, v), oc.errors.ShapeError, r"E has shape \(2, 1\); expected a scalar"),
        (lambda: hopfield(v, v), oc.errors.ShapeError, "E has shape"),
        (lambda: steepest_descent(ca.sumsqr(v), v + 1), oc.errors.SymbolError, "expected the symbol"),
        (lambda: hopfield(0.0, np.zeros(2)), oc.errors.SymbolError, "expected the symbol"),
        (lambda: quadratic(v.T, np.eye(2)), oc.errors.SymbolError, "expected the symbol"),
        (lambda: weighted(ca.sumsqr(v), v, "tanh", 2.0), oc.errors.OptionError, "metric is 2.0"),
        (lambda: fixed_point_shift(hopfield(ca.sumsqr(v), v), np.zeros(3)), oc.errors.ShapeError, "points"),
        (lambda: fixed_point_shift(hopfield(ca.sumsqr(v), v), [np.nan, 0]), oc.errors.DataError, "NaN"),
    ]
    for case, error, pattern in cases:
        with pytest.raises(error, match=pattern):
            case()
