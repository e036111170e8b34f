"""What the elimination yields for free: gains, policies, the second-order condition; and sensitivities."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import ProblemError
from problems import synaptic_control


def unstable(x0=1.0, tf=8.0):
    problem = oc.Problem("unstable", oc.Finite(tf))
    x = problem.state("x", 2, initial=[x0, 0.0])
    u = problem.control("u", lower=-50.0, upper=50.0)
    problem.dynamics(x, ca.vertcat(x[1], 4 * ca.sin(x[0]) + u))
    problem.minimize(stage=ca.sumsqr(x) + 0.1 * u**2)
    return problem


def test_the_gain_is_the_derivative_of_the_costate():
    solution = oc.solve(unstable(), oc.Pontryagin(refine_to=1e-8))
    step = 1e-4
    near = [
        oc.solve(unstable(1.0 + s), oc.Pontryagin(refine_to=1e-8)).costate("x", 0.0) for s in (step, -step)
    ]
    np.testing.assert_allclose(solution.gain(0.0)[:, 0], (near[0] - near[1]) / (2 * step), rtol=1e-5)
    assert solution.gain([0.0, 1.0]).shape == (2, 2, 2)


def test_the_policy_holds_a_path_that_its_schedule_loses():
    problem = unstable()
    solution = oc.solve(problem, oc.Pontryagin(refine_to=1e-7))
    start = np.array([1.0 + 1e-3, 0.0])
    open_loop = oc.simulate(problem, schedule=solution, initial=start)
    closed_loop = oc.simulate(problem, policy=solution.policy, initial=start)
    assert np.abs(open_loop.states["x"][-1]).max() > 1.0
    assert np.abs(closed_loop.states["x"][-1]).max() < 1e-3


def test_the_policy_of_steps_is_optimal_to_first_order():
    rng = np.random.default_rng(3)
    A, initial = rng.standard_normal((4, 4)), rng.uniform(-1, 1, 4)

    def solve(u0):
        problem = synaptic_control.problem(A, u0, bounds=(0.1, 1.0), discount=0.1, steps=15)
        return problem, oc.solve(problem, oc.Pontryagin())

    problem, solution = solve(initial)
    errors = []
    for size in (1e-2, 1e-3):
        _, exact = solve(initial + size)
        follow = oc.simulate(problem, policy=solution.policy, initial=initial + size)
        errors.append(np.abs(follow.states["u"] - exact.states["u"]).max())
    assert errors[0] < 0.05
    assert errors[1] < 0.05 * errors[0]


def test_solutions_without_a_gain_say_so(tmp_path):
    problem = unstable()
    solution = oc.solve(problem, oc.Pontryagin())
    solution.save(tmp_path / "saved.nc")
    for other in (oc.load(tmp_path / "saved.nc", problem), oc.solve(problem)):
        with pytest.raises(ProblemError, match="no feedback gain"):
            other.policy(0.0, np.zeros(2))


@pytest.mark.parametrize("steps", [None, 15])
def test_sensitivities_against_differences(steps):
    horizon = oc.Finite(3.0, discount=0.2) if steps is None else oc.Steps(steps, discount=0.1)
    problem = oc.Problem("sensitive", horizon)
    values = {"start": 1.5, "a": 0.7, "b": 0.6}
    start, a, b = (problem.parameter(name, value=value) for name, value in values.items())
    x = problem.state("x", initial=start)
    u = problem.control("u", lower=-b, upper=2 * b)
    rate = a * ca.sin(x) + u
    problem.dynamics(x, rate if steps is None else x + 0.2 * rate)
    problem.minimize(stage=x**2 + 0.3 * a * u**2, terminal=a * x**2)
    method = oc.Pontryagin(refine_to=1e-9)
    solution = oc.solve(problem, method)
    for name, value in values.items():
        costs = [oc.solve(problem, method, parameters={name: value + s}).cost for s in (1e-4, -1e-4)]
        assert solution.sensitivity(name)[0] == pytest.approx((costs[0] - costs[1]) / 2e-4, rel=1e-6)


def test_a_path_outside_the_bounds_of_a_state_is_no_success():
    def problem(lower):
        made = oc.Problem("bounded state", oc.Finite(1.0))
        x = made.state("x", initial=1.0, lower=lower)
        u = made.control("u")
        made.dynamics(x, u)
        made.minimize(stage=10 * (x + 1) ** 2 + u**2)
        return made

    found = oc.solve(problem(0.0), oc.Pontryagin(), throw=False)
    assert found.status is oc.Status.INFEASIBLE
    assert "misses a bound of x" in found.message
    assert oc.solve(problem(-3.0), oc.Pontryagin()).success


def test_an_extremal_past_a_conjugate_point_is_no_success():
    def problem(tf):
        made = oc.Problem("oscillator", oc.Finite(tf))
        x = made.state("x", initial=0.0)
        u = made.control("u")
        made.dynamics(x, u)
        made.minimize(stage=u**2 - x**2)
        return made

    assert oc.solve(problem(1.5), oc.Pontryagin()).success
    found = oc.solve(problem(2.0), oc.Pontryagin(), throw=False)
    assert found.status is oc.Status.NOT_MINIMAL
    assert found.result.second_order is False


def test_refinement_stops_before_a_mesh_that_does_not_fit():
    K, n = 8, 2  # room for the first mesh, and for little more
    found = oc.solve(unstable(), oc.Pontryagin(memory=(8 * (K + 2) + 24) * n**2 * 8), throw=False)
    assert found.status is oc.Status.REFINEMENT_LIMIT
    assert found.errors["mesh"] > 1e-6
    assert found.cost == pytest.approx(oc.solve(unstable(), oc.Pontryagin()).cost, rel=0.05)
