"""Discrete time: the search for the best step, kinks, and iterations that do not settle."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import SolveError
from ocnet.methods.hjb import discrete
from ocnet.methods.hjb.discrete import around, best_move
from ocnet.methods.hjb.interpolation import Interpolation
from tests.hjb_problems import steps

BOX = {"lower": -1.5, "upper": 1.5}


def double_well():
    """A value function with a kink at 0 and a policy that saturates; the total is far from a parabola."""
    problem = oc.Problem("double well", oc.Steps(None, discount=0.1))
    x, u = problem.state("x"), problem.control("u", lower=-0.3, upper=0.3)
    problem.dynamics(x, x + 0.2 * (x - x**3) + u)
    problem.minimize(stage=(x**2 - 1) ** 2 + u**2)
    return problem


def tried_out(x, nodes=2001, controls=1201, iterations=250):
    """Return values at x by trying all controls on a fine grid, linear between its nodes."""
    grid, u = np.linspace(-1.5, 1.5, nodes), np.linspace(-0.3, 0.3, controls)
    following = np.clip((grid + 0.2 * (grid - grid**3))[:, None] + u, -1.5, 1.5)
    stage, values = ((grid**2 - 1) ** 2)[:, None] + u**2, np.zeros(nodes)
    best = None
    for iteration in range(iterations):
        if iteration % 10 == 0:  # the policy is improved now and then
            best = np.argmin(stage + np.exp(-0.1) * np.interp(following, grid, values), axis=1)
        rows = np.arange(nodes)
        values = stage[rows, best] + np.exp(-0.1) * np.interp(following[rows, best], grid, values)
    return np.interp(x, grid, values)


def test_a_double_well_is_solved_and_its_error_known():
    x = np.linspace(-1.3, 1.3, 201)[:, None]
    exact = tried_out(x[:, 0])
    assert exact[np.abs(x[:, 0] - 0.5).argmin()] == pytest.approx(0.70728, abs=0.05)
    for nodes in (41, 81, 161, 401):
        value = oc.solve_hjb(double_well(), oc.Grid(**BOX, shape=nodes), tolerance=1e-6)
        error = np.abs(value(x) - exact)
        assert (error <= value.error_at(x) + 3e-5).all()  # of the reference
        assert len(value.history) < 40
        if nodes >= 81:
            assert value([0.5]) == pytest.approx(0.707264, abs=5e-5)
    assert error[np.abs(x[:, 0]) > 0.02].max() < 5e-5  # the kink is at 0
    assert error.max() < 5e-4
    np.testing.assert_allclose(value.policy(0, [[0.9], [1.2]])[:, 0], [0.0521, -0.0754], atol=3e-4)


def test_policy_and_value_iteration_agree():
    grid, x = oc.Grid(**BOX, shape=81), np.linspace(-1.3, 1.3, 101)[:, None]
    first = oc.solve_hjb(double_well(), grid, tolerance=1e-6)
    second = oc.solve_hjb(double_well(), grid, tolerance=1e-6, scheme="value-iteration")
    gap = np.abs(first(x) - second(x))
    assert np.median(gap) < 1e-5
    assert (gap <= first.error_at(x) + second.error_at(x)).all()


@pytest.mark.parametrize("n", [1, 2])
def test_smooth_problems_converge_as_fast_as_ever(n):
    problem, P, K = steps(n)
    value = oc.solve_hjb(problem, oc.Grid([-1] * n, [1] * n, 41 if n == 1 else 21), tolerance=1e-10)
    x = np.random.default_rng(0).uniform(-0.6, 0.6, (30, n))
    np.testing.assert_allclose(value(x), np.einsum("ki,ij,kj->k", x, P, x), atol=1e-10)
    np.testing.assert_allclose(value.policy(0, x), -x @ K.T, atol=7e-7)
    assert len(value.history) < 12


def test_the_best_step_is_found_where_plain_iteration_would_swing():
    """With v = 5 (x − 1)² a fixed-point step towards the best p̂ overshoots by a factor of 4.5."""
    grid = oc.Grid(**BOX, shape=61)
    values, x = 5 * (grid.points()[:, 0] - 1) ** 2, np.linspace(0.65, 1.3, 40)[:, None]
    best = best_move(double_well().hamiltonian, Interpolation(grid), values, x, [np.full_like(x, -3.0)])
    free, slope = x[:, 0] + 0.2 * (x[:, 0] - x[:, 0] ** 3), 5 * np.exp(-0.1)
    u = np.clip(slope * (1 - free) / (1 + slope), -0.3, 0.3)
    np.testing.assert_allclose(best.following[:, 0] - free, u, atol=1e-6)
    np.testing.assert_allclose(best.total, (x[:, 0] ** 2 - 1) ** 2 + u**2 + slope * (free + u - 1) ** 2)


def test_neighbours_along_each_axis():
    p = np.arange(6.0)[:, None]
    found = np.hstack(around(p, (2, 3)))
    np.testing.assert_array_equal(found[0], [0, 0, 3, 0, 1])
    np.testing.assert_array_equal(found[4], [4, 1, 4, 3, 5])


def test_a_value_that_does_not_settle_is_no_success(monkeypatch):
    monkeypatch.setattr(discrete, "MOST", 3)
    with pytest.raises(SolveError, match="did not settle in 3 iterations"):
        oc.solve_hjb(double_well(), oc.Grid(**BOX, shape=15), tolerance=1e-8)


def test_policies_that_do_not_settle_give_way_to_value_iteration(monkeypatch):
    grid = oc.Grid(**BOX, shape=15)
    exact = oc.solve_hjb(double_well(), grid, tolerance=1e-6)
    monkeypatch.setattr(discrete, "STALLED", 0)  # none may settle
    value = oc.solve_hjb(double_well(), grid, tolerance=1e-6)
    assert len(value.history) > 2 * len(exact.history)
    np.testing.assert_allclose(value.values, exact.values, atol=1e-4)


def test_a_box_that_leaks_is_named():
    problem = oc.Problem("leaks", oc.Steps(None, discount=0.3))
    x, u = problem.state("x"), problem.control("u", lower=-0.1, upper=0.1)
    problem.dynamics(x, 1.5 * x + u)
    problem.minimize(stage=x**2 + u**2)
    value = oc.solve_hjb(problem, oc.Grid(-1, 1, 41))
    assert value.stats["leak"] == pytest.approx(0.5, abs=0.11)
    assert "next states leave the box by up to" in str(value)
    tight = oc.solve_hjb(double_well(), oc.Grid(**BOX, shape=21))
    assert tight.stats["leak"] == 0
    assert "leave the box" not in str(tight)
