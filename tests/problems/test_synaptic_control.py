"""Synaptic control: its statement against plain numpy, and its solutions against other roads."""

import numpy as np
import pytest
from scipy.integrate import solve_bvp, solve_ivp

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError
from ocnet.networks import activation, arctan
from problems import synaptic_control

A = np.array([[0.2, 1.4], [-0.9, 0.0]])
SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
OFF_DIAGONAL = ~np.eye(2, dtype=bool)


def stated(A=A, initial=(1.0, -0.8), bounds=(0.05, 0.5), discount=0.5, **options):
    return synaptic_control.problem(A, initial, bounds=bounds, discount=discount, **options)


# ---------------------------------------------------------------------- the statement


@pytest.mark.parametrize("g", ["tanh", "logistic", arctan(0.1)])
def test_stage_and_dynamics_are_those_of_the_paper(g):
    rng = np.random.default_rng(0)
    u, du, xi = rng.normal(size=2), rng.normal(size=2), rng.normal(size=(2, 2))
    output = activation(g)(u)
    for options in ({}, {"tf": 3.0}):
        f = stated(motion=0.7, effort=0.3, activation=g, **options).functions
        stage = float(f.stage(1.2, u, du, xi.ravel(), [], [0, 0]))
        assert stage == pytest.approx(0.7 * du @ du + 0.3 * np.sum(xi**2), rel=1e-14)
        rate = f.dynamics(1.2, u, du, xi.ravel(), [], [0, 0]).full()[:, 0]
        np.testing.assert_allclose(rate, (A + xi) @ output - u, atol=1e-14)
    f = stated(activation=g, steps=4).functions
    following = f.dynamics(1, u, du, xi.ravel(), [], [0, 0]).full()[:, 0]
    np.testing.assert_allclose(following, (A + xi) @ output, atol=1e-14)


def test_horizons():
    assert stated().horizon == oc.Discounted(0.5)
    assert stated(tf=4.0).horizon == oc.Finite(4.0, discount=0.5)
    assert stated(tf=4.0, discount=0.0).horizon == oc.Finite(4.0)
    assert stated(steps=50).horizon == oc.Steps(50, discount=0.5)


def authors_cost(xi, initial, alpha, beta, rate):
    """Their program, line by line: J for controls xi (M, 2, 2)."""
    states = [np.array(initial)]
    for control in xi:
        states.append((SWAP + control) @ (np.arctan(states[-1] / 0.1) / np.pi + 0.5))
    M = len(xi)
    J = alpha * np.sum((states[1] - states[0]) ** 2)
    for k in range(M - 1):
        J += np.exp(-rate * k) * alpha * np.sum((states[k + 2] - states[k + 1]) ** 2)
    for k in range(M):
        J += np.exp(-rate * k) * beta * np.sum(xi[k] ** 2)
    return J, np.array(states)


@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_discrete_cost_is_that_of_the_authors(rate):
    xi = np.random.default_rng(1).uniform(-0.5, 0.5, size=(6, 2, 2)) * OFF_DIAGONAL
    expected, states = authors_cost(xi, [-1.0, 0.5], 0.95, 0.05, rate)
    problem = stated(
        SWAP, [-1, 0.5], 0.5 * OFF_DIAGONAL, rate, motion=0.95, effort=0.05, activation=arctan(0.1), steps=6
    )
    f, cost = problem.functions, 0.0
    for k in range(6):
        du = states[k + 1] - states[k]
        cost += np.exp(-rate * k) * float(f.stage(k, states[k], du, xi[k].ravel(), [], [0, 0]))
    assert cost == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("motion", "effort"), [(0.0, 1.0), (1.0, 0.0)])
def test_one_price_may_be_zero(motion, effort):
    f = stated(motion=motion, effort=effort, tf=1.0).functions
    assert float(f.stage(0, [1, 2], [3, 4], [1, 1, 1, 2], [], [0, 0])) == 25 * motion + 7 * effort


def test_bounds():
    silent, present = 0.05, 0.5
    b = synaptic_control.bound_matrix(A, (silent, present))
    np.testing.assert_array_equal(b, [[present, present], [present, silent]])
    np.testing.assert_array_equal(
        synaptic_control.bound_matrix(SWAP, (silent, present), OFF_DIAGONAL), present * SWAP
    )
    each = np.array([[0.1, np.inf], [0.0, 0.4]])
    np.testing.assert_array_equal(synaptic_control.bound_matrix(A, each), each)
    found = stated(bounds=each).functions.bounds(np.zeros(2))
    np.testing.assert_array_equal(found.u_upper, each.ravel())
    np.testing.assert_array_equal(found.u_lower, -each.ravel())


def test_the_initial_state_is_a_parameter():
    problem = stated()
    np.testing.assert_array_equal(problem.parameter_values()["initial"], [1.0, -0.8])
    np.testing.assert_array_equal(problem.functions.bounds(np.array([3.0, 4.0])).initial, [3.0, 4.0])
    assert problem.reference is None
    assert "2305.14360" in problem.source


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"A": np.ones((2, 3))}, ShapeError, "square matrix"),
        ({"A": [1.0, 2.0]}, ShapeError, r"A: got an array of shape \(2,\)"),
        ({"A": [[np.nan, 1.0], [1.0, 0.0]]}, DataError, r"A: component \[0, 0\] is nan"),
        ({"A": [["a", "b"], ["c", "d"]]}, DataError, "array of numbers"),
        ({"initial": [1.0, 2.0, 3.0]}, ShapeError, "for a network A of 2 neurons"),
        ({"initial": [1.0, np.inf]}, DataError, r"initial: component \[1\] is inf"),
        ({"bounds": (0.1, -0.5)}, DataError, "a bound of .xi. is -0.5"),
        ({"bounds": (np.nan, 0.5)}, DataError, "a bound of .xi. is nan"),
        ({"bounds": 0.5}, ShapeError, "expected a pair"),
        ({"bounds": np.ones((3, 3))}, ShapeError, r"shape \(2, 2\)"),
        ({"bounds": "wide"}, DataError, "expected a pair"),
        ({"mask": np.ones((3, 3), bool)}, ShapeError, "mask has shape"),
        ({"mask": np.ones((2, 2))}, DataError, "expected booleans"),
        ({"discount": -0.1}, ProblemError, "discount: got -0.1"),
        ({"discount": 0.0}, ProblemError, "infinite horizon"),
        ({"motion": -1.0}, ProblemError, "motion: got -1.0"),
        ({"effort": np.nan}, ProblemError, "effort: got nan"),
        ({"motion": 0.0, "effort": 0.0}, ProblemError, "both 0"),
        ({"tf": 2.0, "steps": 3}, ProblemError, "tf=2.0 and steps=3"),
        ({"tf": 0.0}, ProblemError, "expected tf > t0"),
        ({"steps": 0}, ProblemError, "positive integer"),
        ({"activation": "relu"}, OptionError, "expected one of"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        stated(**changes)


# ---------------------------------------------------------------------- solved: discrete time

# The authors' first experiment: alpha, J*, u_50, (xi_12, xi_21) at step 49.
E1 = [
    (0.0, 0.0, (0.9672, 0.9672), (0.0, 0.0)),
    (0.95, 2.53622, (0.9672, 0.9672), (0.0, 0.0)),
    (0.995, 2.56091, (0.9370, 0.9352), (-0.0301, -0.0320)),
    (0.9995, 2.54472, (0.6697, 0.6635), (-0.2968, -0.3037)),
    (0.99995, 2.53799, (0.4976, 0.4946), (-0.4687, -0.4721)),
    (1.0, 2.53693, (0.4686, 0.4665), (-0.4977, -0.5)),
]


def check_E1(row, starts):
    alpha, cost, end, last = row
    problem = stated(
        SWAP, [-1.0, 0.5], 0.5 * OFF_DIAGONAL, 0.0,
        motion=alpha, effort=round(1 - alpha, 10), activation=arctan(0.1), steps=50,
    )  # fmt: skip
    solver = oc.prepare(problem)
    rng = np.random.default_rng(2305)
    for _ in range(starts):
        xi = rng.uniform(-0.5, 0.5, size=(50, 2, 2)) * OFF_DIAGONAL
        solution = solver.solve(guess={"xi": (np.arange(50.0), xi)})
        assert solution.cost == pytest.approx(cost, abs=1e-5)
        np.testing.assert_allclose(solution.states["u"][-1], end, atol=1e-3)
        final = solution.controls["xi"][-1]
        assert final[0, 0] == pytest.approx(0.0, abs=1e-7)
        assert final[1, 1] == pytest.approx(0.0, abs=1e-7)
        again, states = authors_cost(solution.controls["xi"], [-1.0, 0.5], alpha, round(1 - alpha, 10), 0.0)
        assert solution.cost == pytest.approx(again, abs=1e-7)
        np.testing.assert_allclose(solution.states["u"], states, atol=1e-6)
        if alpha < 1:  # without a price of control the last one is not determined well
            np.testing.assert_allclose([final[0, 1], final[1, 0]], last, atol=1e-3)


@pytest.mark.parametrize("row", E1, ids=lambda row: f"alpha={row[0]}")
def test_E1_of_the_authors(row):
    check_E1(row, starts=2)


@pytest.mark.slow
@pytest.mark.parametrize("row", E1, ids=lambda row: f"alpha={row[0]}")
def test_E1_from_twelve_random_starts(row):
    check_E1(row, starts=12)


# ---------------------------------------------------------------------- solved: infinite horizon


def minimiser(A, bound, u, p, width):
    """Multipliers q and optimal controls xi at the columns of u and p (N, m), both prices 1.

    q_i = a_i + p_i/2 + sum_j g_j xi_ij(q_i), xi_ij = clip(-q_i g_j, -b_ij, b_ij): one increasing equation for
    each neuron, solved by Newton's method inside a bracket. A positive width rounds the corners of clip.
    """
    g = np.tanh(u)
    c, b = A @ g - u + p / 2, bound[:, :, None]

    def clip(x):
        if width == 0:
            return np.clip(x, -b, b), np.abs(x) < b
        above, below = np.hypot(x + b, width), np.hypot(x - b, width)
        return (above - below) / 2, ((x + b) / above - (x - b) / below) / 2

    reach = (b * np.abs(g)).sum(1) + 1e-12
    low, high = c - reach, c + reach
    q = np.clip(c / (1 + (g**2).sum(0)), low, high)
    for _ in range(60):
        xi, slope = clip(-q[:, None] * g)
        value = q - c - (xi * g).sum(1)
        if np.abs(value).max() < 1e-14:
            break
        low, high = np.where(value <= 0, q, low), np.where(value >= 0, q, high)
        step = q - value / (1 + (slope * g**2).sum(1))
        q = np.where((step > low) & (step < high), step, (low + high) / 2)
    return q, xi


def extremal_cost(A, bound, rate, initial, end=40.0):
    """J of the extremal with p(end) = 0 by scipy's solve_bvp; the discount hides what is beyond the end."""
    n = len(A)
    mesh = end * np.linspace(0, 1, 201) ** 2
    free = solve_ivp(lambda t, u: A @ np.tanh(u) - u, (0, end), initial, t_eval=mesh, rtol=1e-8)
    y = np.vstack([free.y, np.zeros_like(free.y)])
    for width, tolerance in ((0.1, 1e-2), (0.01, 1e-3), (0.001, 1e-3), (0, 1e-3), (0, 1e-5), (0, 1e-7)):

        def flow(_, y, width=width):
            q, xi = minimiser(A, bound, y[:n], y[n:], width)
            pull = np.einsum("ijm,im->jm", A[:, :, None] + xi, q)
            return np.vstack([q - y[n:] / 2, rate * y[n:] + 2 * q - 2 * (1 - np.tanh(y[:n]) ** 2) * pull])

        found = solve_bvp(
            flow,
            lambda first, last: np.append(first[:n] - initial, last[n:]),
            mesh,
            y,
            tol=tolerance,
            max_nodes=9000,
        )
        assert found.success, found.message
        mesh, y = found.x, found.y
    points, weights = np.polynomial.legendre.leggauss(6)
    half = np.diff(mesh)[:, None] / 2
    t = (mesh[:-1, None] + half * (1 + points)).ravel()
    y = found.sol(t)
    q, xi = minimiser(A, bound, y[:n], y[n:], 0)
    stage = ((q - y[n:] / 2) ** 2).sum(0) + (xi**2).sum((0, 1))
    return ((half * weights).ravel() * np.exp(-rate * t)) @ stage


def random_network(n, seed):
    """Half of the synapses silent, spectral radius about 0.85 (the family of the benchmarks)."""
    rng = np.random.default_rng([seed, n])
    A = rng.normal(size=n * n) * 1.2 / np.sqrt(n)
    A[rng.permutation(n * n)[: n * n // 2]] = 0.0
    return A.reshape(n, n), rng.normal(size=n)


def few_and_many(few, many):
    return [pytest.param(*case, marks=() if case in few else pytest.mark.slow) for case in many]


CASES = [(n, seed) for n in range(2, 9) for seed in range(10)]


@pytest.mark.parametrize(("n", "seed"), few_and_many([(2, 0), (2, 6), (3, 1)], CASES))
def test_infinite_horizon_against_the_boundary_value_problem(n, seed):
    A, initial = random_network(n, seed)
    problem = stated(A, initial, bounds=(0.1, 1.0), discount=0.5)
    solution = oc.solve(problem, oc.Collocation(refine_to=1e-7))
    bound = synaptic_control.bound_matrix(A, (0.1, 1.0))
    assert solution.cost == pytest.approx(extremal_cost(A, bound, 0.5, initial), rel=1e-7)
    certificate = solution.certificate
    assert certificate.hamiltonian_gap < 1e-5
    assert certificate.resimulation_error < 1e-6
    assert certificate.tail_bound < 1e-7 * solution.cost


# ---------------------------------------------------------------------- solved: what else can be asked


def test_the_infinite_horizon_is_the_limit_of_finite_ones():
    infinite = oc.solve(stated()).cost
    finite = [oc.solve(stated(tf=tf)).cost for tf in (2.0, 8.0, 40.0)]
    assert finite[0] < finite[1] < infinite * (1 + 1e-7)
    assert finite[2] == pytest.approx(infinite, rel=1e-6)


def test_one_solver_for_many_initial_states():
    problem = stated(tf=5.0)
    solver = oc.prepare(problem)
    for initial in ([1.0, -0.8], [-0.3, 0.6]):
        solution = solver.solve(parameters={"initial": initial})
        again = oc.solve(stated(initial=initial, tf=5.0))
        np.testing.assert_allclose(solution.state("u", 0.0), initial, atol=1e-9)
        assert solution.cost == pytest.approx(again.cost, rel=1e-7)
        # the multipliers know what another initial state would cost
        np.testing.assert_allclose(solution.sensitivity("initial"), solution.costate("u", 0.0), atol=1e-5)


def test_fixed_synapses_stay_fixed():
    problem = stated(SWAP, [-1.0, 0.5], (0.5, 0.5), 0.3, mask=OFF_DIAGONAL, tf=4.0)
    solution = oc.solve(problem)
    xi = solution.controls["xi"]
    np.testing.assert_allclose(xi[:, [0, 1], [0, 1]], 0.0, atol=1e-9)
    assert np.abs(xi).max() > 1e-3


def test_without_effort_the_cheapest_control_is_found():
    """With no price of control and wide bounds the network can be held where it is, at no cost."""
    solution = oc.solve(stated(bounds=(3.0, 3.0), effort=0.0, discount=0.0, tf=2.0))
    assert solution.cost == pytest.approx(0.0, abs=1e-7)
    np.testing.assert_allclose(solution.state("u", 2.0), [1.0, -0.8], atol=1e-3)


def test_without_motion_nothing_is_done():
    solution = oc.solve(stated(motion=0.0, tf=3.0))
    assert solution.cost == pytest.approx(0.0, abs=1e-10)
    free = solve_ivp(lambda t, u: A @ np.tanh(u) - u, (0, 3), [1.0, -0.8], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(solution.state("u", 3.0), free.y[:, -1], atol=1e-5)
