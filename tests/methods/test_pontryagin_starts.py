"""Where Pontryagin's road starts from: earlier solutions, files, other methods, chance."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.solution import Status
from problems import synaptic_control


def network(n=6, seed=3, **options):
    rng = np.random.default_rng([seed, n])
    A = rng.normal(size=n * n) * 1.2 / np.sqrt(n)
    A[rng.permutation(n * n)[: n * n // 2]] = 0.0
    initial = rng.uniform(-1.5, 1.5, n)
    return synaptic_control.problem(A.reshape(n, n), initial, bounds=(0.1, 1.0), discount=0.5, **options)


@pytest.fixture(scope="module")
def cold():
    return oc.solve(network(), oc.Pontryagin())


def test_a_warm_start_takes_fewer_steps(cold):
    warm = oc.solve(cold.problem, oc.Pontryagin(), guess=cold)
    assert warm.status is Status.SOLVED
    assert warm.stats["newton_steps"] <= 1 < cold.stats["newton_steps"]
    assert warm.cost == pytest.approx(cold.cost, rel=1e-10)
    assert warm.result.second_order is True


def test_a_start_from_a_file(cold, tmp_path):
    cold.save(tmp_path / "cold.nc")
    loaded = oc.load(tmp_path / "cold.nc")
    warm = oc.solve(cold.problem, oc.Pontryagin(), guess=loaded)
    assert warm.stats["newton_steps"] <= 1
    assert warm.cost == pytest.approx(cold.cost, rel=1e-10)


def test_a_warm_start_for_another_initial_state(cold):
    moved = {"initial": cold.parameters["initial"] + 0.05}
    warm = oc.solve(cold.problem, oc.Pontryagin(), guess=cold, parameters=moved)
    fresh = oc.solve(cold.problem, oc.Pontryagin(), parameters=moved)
    np.testing.assert_allclose(warm.state("u", 0.0), moved["initial"], atol=1e-10)
    assert warm.cost == pytest.approx(fresh.cost, rel=1e-9)
    assert warm.stats["newton_steps"] <= fresh.stats["newton_steps"]


def test_a_start_from_a_fixed_mesh(cold):
    rough = oc.solve(cold.problem, oc.Pontryagin(refine_to=None, intervals=20))
    assert rough.status is Status.NOT_VERIFIED
    fine = oc.solve(cold.problem, oc.Pontryagin(), guess=rough)
    assert fine.status is Status.SOLVED
    assert fine.cost == pytest.approx(cold.cost, rel=1e-9)


def test_roads_start_from_one_another():
    problem = network(3, 1, tf=3.0)
    direct = oc.solve(problem)
    indirect = oc.solve(problem, oc.Pontryagin(), guess=direct)
    assert indirect.status is Status.SOLVED
    assert indirect.cost == pytest.approx(direct.cost, rel=1e-6)
    assert indirect.stats["newton_steps"] <= oc.solve(problem, oc.Pontryagin()).stats["newton_steps"]
    back = oc.solve(problem, guess=indirect)
    assert back.cost == pytest.approx(indirect.cost, rel=1e-6)


@pytest.mark.parametrize("guess", [
    {"u": np.zeros(6)},
    {"u": lambda t: np.exp(-t) * np.ones(6)},
    {"u": ([0.0, 5.0], np.ones((2, 6)))},
    {"xi": np.zeros((6, 6))},
])  # fmt: skip
def test_guesses_by_name(cold, guess):
    found = oc.solve(cold.problem, oc.Pontryagin(), guess=guess)
    assert found.cost == pytest.approx(cold.cost, rel=1e-9)


def test_one_solver_for_many_initial_states(cold):
    solver = oc.prepare(cold.problem, oc.Pontryagin())
    rng = np.random.default_rng(0)
    costs = []
    for _ in range(4):
        initial = rng.uniform(-1.5, 1.5, 6)
        solution = solver.solve(parameters={"initial": initial})
        np.testing.assert_allclose(solution.state("u", 0.0), initial, atol=1e-10)
        np.testing.assert_allclose(solution.sensitivity("initial"), solution.costate("u", 0.0), rtol=1e-12)
        costs.append(solution.cost)
    assert len(set(costs)) == 4
    assert solver.solve().cost == pytest.approx(cold.cost, rel=1e-12)  # nothing is left behind


def test_costates_are_what_another_initial_state_would_cost(cold):
    solver = oc.prepare(cold.problem, oc.Pontryagin(refine_to=1e-9))
    initial, step = cold.parameters["initial"], 1e-4
    p = solver.solve().costate("u", 0.0)
    for i in range(2):
        e = step * np.eye(6)[i]
        up, down = (solver.solve(parameters={"initial": initial + s}).cost for s in (e, -e))
        assert p[i] == pytest.approx((up - down) / (2 * step), rel=1e-5)


# ---------------------------------------------------------------------- several starts


def double_well():
    """Two valleys at x = ±1; from x = 0.05 both are local optima."""
    problem = oc.Problem("double well", horizon=oc.Finite(4.0))
    x = problem.state("x", initial=0.05)
    u = problem.control("u", lower=-2.0, upper=2.0)
    problem.dynamics(x, u)
    problem.minimize(stage=(x**2 - 1) ** 2 + 0.1 * x + u**2 / 4)
    return problem


def test_several_starts_find_the_better_optimum():
    best = oc.solve(double_well(), oc.Pontryagin(), guess={"x": -1.0})
    worse = oc.solve(double_well(), oc.Pontryagin(), guess={"x": 1.0})
    assert best.state("x", 2.0) == pytest.approx(-1, abs=0.1)
    assert worse.state("x", 2.0) == pytest.approx(1, abs=0.1)
    assert best.cost < worse.cost - 0.1
    found = oc.solve(double_well(), oc.Pontryagin(), multistart=4, rng=1)
    assert found.stats["starts"] == 4
    assert found.cost == pytest.approx(best.cost, rel=1e-7)
    assert found.optima[0] == found.cost
    assert (np.diff(found.optima) > 0).all()
    assert found.result.second_order is True


def test_several_starts_of_a_network(cold):
    found = oc.solve(cold.problem, oc.Pontryagin(), multistart=5, rng=0)
    again = oc.solve(cold.problem, oc.Pontryagin(), multistart=5, rng=0)
    assert again.optima == found.optima
    assert found.cost == pytest.approx(min(found.optima), rel=1e-12)
    assert found.cost <= cold.cost * (1 + 1e-9)
    assert found.stats["starts"] == 5


def test_several_starts_with_steps():
    problem = network(3, 1, steps=15)
    plain = oc.solve(problem, oc.Pontryagin())
    found = oc.solve(problem, oc.Pontryagin(), multistart=5, rng=0)
    assert found.cost <= plain.cost * (1 + 1e-9)


def test_the_guess_of_the_problem_is_used():
    problem = double_well()
    problem.guess = {"x": 1.0}
    assert oc.solve(problem, oc.Pontryagin()).state("x", 2.0) == pytest.approx(1, abs=0.1)


def test_progress_reports(capsys):
    problem = oc.Problem("reported", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, -ca.sin(x) + u)
    problem.minimize(stage=x**2 + u**2)
    assert oc.solve(problem, oc.Pontryagin(), progress=True).success
    assert oc.solve(problem, oc.Pontryagin(), progress=False).success
    capsys.readouterr()
