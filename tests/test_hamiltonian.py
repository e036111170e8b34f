import casadi as ca
import numpy as np
import pytest
from scipy.optimize import minimize

import ocnet as oc
from ocnet.errors import ProblemError, ShapeError, SolveError, UnsupportedError
from ocnet.hamiltonian import DerivedHamiltonian
from problems import synaptic_control

RNG = np.random.default_rng(5)
X, P = RNG.standard_normal((2, 40, 2)) * 1.5


def problem_with(stage, control=2, lower=-1.0, upper=0.7, horizon=None, **more):
    """Two states that the controls push, with a stage cost of x and u (functions of both)."""
    problem = oc.Problem("pushed", horizon=horizon or oc.Finite(1.0))
    x = problem.state("x", 2)
    u = problem.control("u", control, lower=lower, upper=upper)
    push = u if control == 2 else ca.vertcat(u[0], u[0])
    problem.dynamics(x, ca.vertcat(x[1], -ca.sin(x[0])) + push * (1 + x[0] ** 2) + more.get("drift", 0))
    problem.minimize(stage=stage(x, u))
    return problem


def brute_force(h, x, p, low, high):
    """Minimise H by a general solver, from several starts."""
    size = len(low)
    best = np.inf
    for start in np.random.default_rng(0).uniform(np.fmax(low, -3), np.fmin(high, 3), (4, size)):
        found = minimize(
            lambda u: float(h.value(0.0, x, p, u)), start, bounds=list(zip(low, high, strict=True)), tol=1e-13
        )
        best = min(best, found.fun)
    return best


COSTS = {
    "separable": lambda x, u: x[0] ** 2 + u[0] ** 2 / 2 + (1 + x[1] ** 2) * u[1] ** 2,
    "coupled": lambda x, u: ca.sumsqr(x) + u[0] ** 2 + u[0] * u[1] + u[1] ** 2,
    "not quadratic": lambda x, u: ca.sumsqr(x) + ca.cosh(2 * u[0] + u[1]) + u[1] ** 4 + u[0] ** 2,
    "half linear": lambda x, u: ca.sumsqr(x) + u[0] ** 2,
    "linear": lambda x, u: ca.sumsqr(x) + x[0] * u[1],
    "semidefinite": lambda x, u: (u[0] + u[1] - 0.3) ** 2,
}


@pytest.mark.parametrize("name", COSTS)
def test_control_is_the_minimiser(name):
    h = DerivedHamiltonian(problem_with(COSTS[name]))
    u = h.control(0.0, X, P)
    assert u.shape == (40, 2)
    assert ((u >= -1) & (u <= 0.7)).all()
    low, high = np.full(2, -1.0), np.full(2, 0.7)
    for i in range(0, 40, 4):
        assert h.value(0.0, X[i], P[i], u[i]) <= brute_force(h, X[i], P[i], low, high) + 1e-9
    assert np.allclose(h.value(0.0, X, P), h.value(0.0, X, P, u))


def test_closed_form_is_exact():
    h = DerivedHamiltonian(problem_with(COSTS["separable"]))
    push = P * (1 + X[:, :1] ** 2)
    expected = np.clip(-push / np.column_stack([np.ones(40), 2 + 2 * X[:, 1] ** 2]), -1, 0.7)
    assert np.abs(h.control(0.0, X, P) - expected).max() < 1e-14


@pytest.mark.parametrize("name", ["separable", "coupled", "not quadratic"])
def test_derivatives_of_the_minimised_hamiltonian(name):
    h = DerivedHamiltonian(problem_with(COSTS[name]))
    H_x, H_p = h.gradient(0.3, X, P)
    e = 1e-5
    for i in range(2):
        d = e * np.eye(2)[i]
        assert np.abs((h.value(0.3, X + d, P) - h.value(0.3, X - d, P)) / (2 * e) - H_x[:, i]).max() < 1e-6
        assert np.abs((h.value(0.3, X, P + d) - h.value(0.3, X, P - d)) / (2 * e) - H_p[:, i]).max() < 1e-6
    for point in (0, 1, 2, 3):
        x, p = X[point] / 4, P[point] / 4
        H_xx, H_xp, H_pp = h.hessian(0.3, x, p)
        for i in range(2):
            d = e * np.eye(2)[i]
            by_x = [
                (a - b) / (2 * e)
                for a, b in zip(h.gradient(0.3, x + d, p), h.gradient(0.3, x - d, p), strict=True)
            ]
            by_p = [
                (a - b) / (2 * e)
                for a, b in zip(h.gradient(0.3, x, p + d), h.gradient(0.3, x, p - d), strict=True)
            ]
            assert np.allclose(by_x[0], H_xx[:, i], atol=1e-5)
            assert np.allclose(by_p[0], H_xp[:, i], atol=1e-5)
            assert np.allclose(by_p[1], H_pp[:, i], atol=1e-5)


def test_bang_and_ties():
    h = DerivedHamiltonian(problem_with(COSTS["linear"]))
    u = h.control(0.0, np.zeros((3, 2)), np.array([[1.0, -1.0], [-2.0, 3.0], [0.0, 0.0]]))
    assert u.tolist() == [[-1.0, 0.7], [0.7, -1.0], [0.0, 0.0]]  # a tie: the admissible value nearest to 0
    away = DerivedHamiltonian(problem_with(COSTS["linear"], lower=0.25))
    assert away.control(0.0, np.zeros(2), np.zeros(2)).tolist() == [0.25, 0.25]


def test_bounds_that_are_infinite():
    h = DerivedHamiltonian(problem_with(COSTS["coupled"], lower=-np.inf, upper=np.inf))
    u = h.control(0.0, X, P)
    push = P * (1 + X[:, :1] ** 2)
    assert np.abs(u @ np.array([[2.0, 1.0], [1.0, 2.0]]) + push).max() < 1e-8


def test_synaptic_control_is_the_clipped_rank_one_matrix():
    A = RNG.standard_normal((3, 3))
    problem = synaptic_control.problem(A, np.zeros(3), bounds=(0.05, 0.5), discount=0.5)
    bounds = synaptic_control.bound_matrix(A, (0.05, 0.5))
    x, p = RNG.standard_normal((2, 50, 3))
    xi = problem.hamiltonian.control(0.0, x, p).reshape(-1, 3, 3)
    g = np.tanh(x)
    q = np.einsum("kij,kj->ki", A + xi, g) - x + p / 2
    assert np.abs(xi - np.clip(-q[:, :, None] * g[:, None, :], -bounds, bounds)).max() < 1e-9
    H_x, H_p = problem.hamiltonian.gradient(0.0, x, p)
    assert np.allclose(H_p, q - p / 2)  # u̇
    by_x = -2 * q + 2 * (1 - g**2) * np.einsum("kji,kj->ki", A + xi, q)  # ρp − ṗ
    assert np.allclose(H_x, by_x)
    assert problem.hamiltonian.rate == 0.5


def test_steps_take_the_next_state():
    problem = oc.Problem("steps", horizon=oc.Steps(5, discount=0.1))
    x = problem.state("x")
    u = problem.control("u")
    problem.dynamics(x, 1.5 * x + u)
    problem.minimize(stage=problem.derivative(x) ** 2 + u**2)
    h = problem.hamiltonian  # H = (½x + u)² + u² + p̂ (1.5 x + u)
    value, costate = np.array([[2.0]]), np.array([[0.5]])
    assert h.control(3, value, costate)[0, 0] == pytest.approx(-(2 * 1.0 + 0.5) / 4)
    assert h.gradient(3, value, costate)[1][0, 0] == pytest.approx(3.0 - 0.625)


def test_parameters_unknowns_and_time():
    problem = oc.Problem("data", horizon=oc.Finite(1.0))
    x = problem.state("x")
    limit = problem.parameter("limit", value=1.0)
    price = problem.unknown("price", guess=1.0)
    u = problem.control("u", upper=limit)
    problem.dynamics(x, problem.time * u)
    problem.minimize(stage=price * u**2 / 2)
    point = np.zeros((3, 1)), -np.ones((3, 1))
    t = np.array([0.5, 1.0, 2.0])
    assert DerivedHamiltonian(problem).control(t, *point)[:, 0] == pytest.approx([0.5, 1.0, 1.0])
    h = DerivedHamiltonian(problem, {"limit": 3.0}, {"price": 0.5})
    assert h.control(t, *point)[:, 0] == pytest.approx([1.0, 2.0, 3.0])
    with pytest.raises(ProblemError, match="cost"):
        DerivedHamiltonian(problem, unknowns={"cost": 1}).control(t, *point)


def test_problem_without_controls():
    problem = oc.Problem("free", horizon=oc.Finite(1.0))
    x = problem.state("x", 2)
    problem.dynamics(x, -x)
    problem.minimize(stage=ca.sumsqr(x))
    h = problem.hamiltonian
    assert h.control(0.0, X, P).shape == (40, 0)
    assert np.allclose(h.value(0.0, X, P), (X**2).sum(1) - (X * P).sum(1))
    H_xx, H_xp, H_pp = h.hessian(0.0, X[0], P[0])
    assert np.allclose(H_xx, 2 * np.eye(2))
    assert np.allclose(H_xp, -np.eye(2))
    assert not H_pp.any()


def test_one_point_and_many():
    h = DerivedHamiltonian(problem_with(COSTS["coupled"]))
    assert np.allclose(h.control(0.0, X[3], P[3]), h.control(0.0, X, P)[3], atol=1e-9)
    assert np.ndim(h.value(0.0, X[3], P[3])) == 0
    assert h.gradient(0.0, X[3], P[3])[0].shape == (2,)
    with pytest.raises(ShapeError, match="expected both"):
        h.control(0.0, X, P[:3])
    with pytest.raises(ShapeError, match="got t"):
        h.control(np.zeros(7), X, P)
    with pytest.raises(ShapeError, match="got u"):
        h.value(0.0, X, P, np.zeros((40, 3)))
    for one, many in zip(h.hessian(0.0, X[3], P[3]), h.hessian(0.0, X, P), strict=True):
        np.testing.assert_allclose(one, many[3], atol=1e-12)


# ---------------------------------------------------------------------- what it refuses, and why


def test_controls_in_path_constraints():
    problem = problem_with(COSTS["separable"])
    mixed = oc.Problem("mixed", horizon=oc.Finite(1.0))
    x = mixed.state("x")
    u = mixed.control("u", lower=-1, upper=1)
    mixed.dynamics(x, u)
    mixed.minimize(stage=u**2)
    mixed.constrain(x + u, upper=1.0)
    with pytest.raises(UnsupportedError, match="path constraint contains controls"):
        mixed.hamiltonian.control(0.0, [[0.0]], [[0.0]])
    assert problem.hamiltonian.control(0.0, X, P).shape == (40, 2)


@pytest.mark.parametrize(
    "stage",
    [
        lambda x, u: -(u[0] ** 2) + u[1] ** 2,
        lambda x, u: u[0] ** 2 + 3 * u[0] * u[1] + u[1] ** 2,
        lambda x, u: ca.cos(3 * u[0]) + u[1] ** 2,
    ],
)
def test_hamiltonians_that_are_not_convex(stage):
    with pytest.raises(UnsupportedError, match="not convex in the controls at t = 0"):
        DerivedHamiltonian(problem_with(stage)).control(0.0, X, P)


def test_hamiltonians_without_a_minimum():
    h = DerivedHamiltonian(problem_with(COSTS["linear"], upper=np.inf))
    assert h.control(0.0, np.zeros(2), np.ones(2)).tolist() == [-1.0, -1.0]
    with pytest.raises(UnsupportedError, match=r"u\[0\].*no bound on that side"):
        h.control(0.0, np.zeros(2), -np.ones(2))


def test_values_that_are_not_finite():
    h = DerivedHamiltonian(problem_with(COSTS["separable"]))
    with pytest.raises(SolveError, match="expected a finite number"):
        h.control(0.0, np.array([[np.nan, 0.0]]), np.zeros((1, 2)))


def test_a_problem_without_a_cost():
    problem = oc.Problem("no cost", horizon=oc.Finite(1.0))
    problem.dynamics(problem.state("x"), problem.control("u"))
    with pytest.raises(ProblemError, match="has no cost"):
        problem.hamiltonian.control(0.0, [[0.0]], [[0.0]])
