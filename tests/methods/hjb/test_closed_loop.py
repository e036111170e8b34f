"""Closed loops with costates of their own, on a regulator that is known and beside a Skiba point."""

import casadi as ca
import numpy as np
import pytest
from scipy.linalg import expm

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, SolveError
from ocnet.methods.hjb.closed_loop import LONGEST, SHORTEST, ClosedLoop
from ocnet.methods.hjb.slices import Slices
from tests.hjb_problems import RATE, regulator, steps, two_wells

X = np.array([[0.6, -0.2], [-0.4, 0.7]])
A, B = np.array([[-0.3, 0.8], [-0.7, -0.5]]), np.array([[0.3], [1.0]])


@pytest.fixture(scope="module")
def wells():
    made, exact = two_wells()
    return oc.solve_hjb(made, oc.Grid(-1.7, 1.9, 61)), exact


def without_value(hamiltonian, end=12.0):
    """Return a closed loop whose value function is zero: its own feedback does nothing."""
    grid = oc.Grid([-1, -1], [1, 1], 7)
    return ClosedLoop(hamiltonian, Slices(grid, np.zeros((1, grid.total))), (0.0, end))


def test_sampled_costates_are_followed_and_others_come_from_the_gradient():
    problem, P, K = regulator(2)
    loop, asked = without_value(problem.hamiltonian), []

    def sample(t, x):
        asked.append(t)
        return np.where([[True], [False]], 2 * x @ P, np.nan)

    at = [0.0, 0.4, 2.0, 12.0]
    found = loop.paths(X, at=at, sample=sample)
    np.testing.assert_array_equal(found.time, at)
    for k, t in enumerate(at):
        np.testing.assert_allclose(found.x[k, 0], expm((A - B @ K) * t) @ X[0], atol=1e-7)
        np.testing.assert_allclose(found.x[k, 1], expm(A * t) @ X[1], atol=1e-7)
    assert loop.total(found)[0] == pytest.approx(X[0] @ P @ X[0], abs=1e-7)
    np.testing.assert_allclose(asked, np.arange(24) * LONGEST / RATE)
    assert found.x.shape == loop.paths(X, at=at).x.shape
    everywhere = loop.paths(X, sample=sample)
    assert (np.diff(everywhere.time) > 0).all()
    np.testing.assert_allclose(everywhere.x[-1], found.x[-1], atol=1e-9)


@pytest.mark.parametrize("speed", [0.5, 3.0, 1e4])
def test_costates_are_sampled_as_often_as_extremals_part(speed):
    problem = oc.Problem("fast", oc.Discounted(RATE))
    x, u = problem.state("x"), problem.control("u", lower=-20, upper=20)
    problem.dynamics(x, speed * u)
    problem.minimize(stage=x**2 + u**2)
    grid, asked = oc.Grid(-1, 1, 7), []

    def sample(t, x):
        asked.append(t)
        return np.zeros_like(x)

    ClosedLoop(problem.hamiltonian, Slices(grid, np.zeros((1, 7))), (0.0, 1.0)).paths(
        np.array([[1e-3]]), sample=sample
    )
    growth = 0.5 * RATE + np.sqrt(0.25 * RATE**2 + speed**2)  # of ẋ = −s² p/2, ṗ = ρp − 2x
    assert asked[1] == pytest.approx(np.clip(1 / growth, SHORTEST / RATE, LONGEST / RATE), rel=1e-4)


def test_beside_a_skiba_point_the_refined_feedback_goes_the_right_way(wells):
    value, exact = wells
    x = np.array([[-0.05], [-0.005], [0.01], [0.08], [0.6]])
    assert (value.upper_bound(x) - exact(x)).max() > 1e-3
    cost = value.upper_bound(x, 1e-4)
    np.testing.assert_allclose(cost, exact(x), atol=1e-7)
    assert (cost - exact(x)).min() > -1e-9
    ends = value.closed_loop(x, tolerance=1e-4).x[-1, :, 0]
    np.testing.assert_allclose(ends, [-1, -1, 1, 1, 1], atol=1e-3)
    assert value.upper_bound(x[0], 1e-4) == pytest.approx(cost[0], abs=1e-8)


def test_where_the_grid_is_good_enough_nothing_changes(wells):
    value, _ = wells
    x = np.array([[0.5], [1.5]])
    loose = float(value.errors.max()) + 1.0
    np.testing.assert_allclose(value.upper_bound(x, loose), value.upper_bound(x), rtol=1e-9)


def test_gaps_of_refined_values(wells):
    value, _ = wells
    assert np.abs(value.gaps(20)).max() > 1e-4
    assert np.abs(value.gaps(20, tolerance=1e-4)).max() < 1e-5


def test_no_states_have_no_paths(wells):
    value, _ = wells
    assert value.closed_loop(np.zeros((0, 1)), at=[0.0, 1.0]).x.shape == (2, 0, 1)
    assert value.upper_bound(np.zeros((0, 1)), 1e-3).shape == (0,)


@pytest.mark.parametrize(
    ("tf", "at", "words"),
    [
        (None, [1.0, 0.5], r"got the times \[1.  0.5\]; expected ascending ones in \[0, 23.0259\]"),
        (2.0, [1.0, 3.0], r"expected ascending ones in \[0, 2\]"),
        (None, [np.nan], r"got the times \[nan\]"),
        (None, [-1.0], r"got the times \[-1.\]"),
        (None, [], r"got the times \[\]"),
        (0.0, None, "got the end 0.0; expected a time after 0"),
        (np.nan, None, "got the end nan"),
        (np.inf, None, "got the end inf"),
    ],
)
def test_times_that_are_refused(wells, tf, at, words):
    with pytest.raises(DataError, match=words):
        wells[0].closed_loop([0.5], tf, at)


def test_tolerances_that_are_refused(wells):
    for wrong in (0.0, -1.0, np.nan, np.inf, "small", [1e-3]):
        for method in (wells[0].upper_bound, wells[0].closed_loop):
            with pytest.raises(OptionError, match="expected a number above 0"):
                method([0.1], tolerance=wrong)
    finite = oc.solve_hjb(regulator(1, horizon=oc.Finite(1.0))[0], oc.Grid(-1, 1, 21))
    with pytest.raises(ProblemError, match="without a tolerance"):
        finite.upper_bound([0.1], 1e-3)
    with pytest.raises(ProblemError, match="closed_loop is for continuous time"):
        oc.solve_hjb(steps(1)[0], oc.Grid(-1, 1, 21)).upper_bound([0.1], 1e-3)


def test_a_path_that_cannot_be_followed_is_an_error():
    """Below the box the cost is not a number; the path stops there and has no cost."""
    problem = oc.Problem("no root", oc.Discounted(RATE))
    x, u = problem.state("x"), problem.control("u", lower=-0.5, upper=0.5)
    problem.dynamics(x, u - 1)
    problem.minimize(stage=ca.sqrt(x) + u**2)
    value = oc.solve_hjb(problem, oc.Grid(0, 1, 41))
    with pytest.raises(SolveError, match=r"the integration stopped after t = 0\. .*stay where"):
        value.upper_bound([0.3])
