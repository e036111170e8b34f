"""What closed loops cost: on regulators that are known, and beside a Skiba point."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, SolveError
from ocnet.methods.hjb.shooting import Shooting
from tests.hjb_problems import RATE, regulator, steps, two_wells

X = np.array([[-0.05], [-0.005], [0.01], [0.08], [0.6]])


@pytest.fixture(scope="module")
def wells():
    made, exact = two_wells()
    return oc.solve_hjb(made, oc.Grid(-1.7, 1.9, 61)), exact


def test_beside_a_skiba_point_refined_paths_go_the_right_way(wells):
    value, exact = wells
    assert (value.upper_bound(X) - exact(X)).max() > 1e-3
    cost = value.upper_bound(X, 1e-4)
    np.testing.assert_allclose(cost, exact(X), atol=1e-6)
    assert (cost - exact(X)).min() > -1e-9  # a bound
    assert value.upper_bound(X[0], 1e-4) == pytest.approx(cost[0], abs=1e-9)


@pytest.mark.parametrize("rate", [0.1, 0.02])
def test_a_small_discount_does_no_harm(rate):
    """Extremals go past the barrier into a saddle there, where neighbours part fast."""
    made, exact = two_wells(rate=rate)
    value = oc.solve_hjb(made, oc.Grid(-1.7, 1.9, 121))
    x = X[[1, 2, 4]]
    cost = value.upper_bound(x, 1e-3)
    assert (cost <= value.upper_bound(x)).all()
    np.testing.assert_allclose(cost, exact(x), atol=1e-4)


def test_costs_are_integrated_and_not_those_of_the_refined_values(wells, monkeypatch):
    value, exact = wells
    right = Shooting.cost
    monkeypatch.setattr(Shooting, "cost", lambda *arguments: right(*arguments) - 0.01)
    assert (value.refined(X[:4], 1e-4).value < exact(X[:4]) - 5e-3).all()
    np.testing.assert_allclose(value.upper_bound(X[:4], 1e-4), exact(X[:4]), atol=1e-6)


def test_the_closed_loop_counts_where_it_costs_less(wells, monkeypatch):
    value, _ = wells

    def dear(self, end, time):
        return np.zeros((len(end), 2)), np.full(len(end), 9.0)

    monkeypatch.setattr(Shooting, "spent", dear)
    np.testing.assert_allclose(value.upper_bound(X, 1e-4), value.upper_bound(X), rtol=1e-9)


def test_where_the_grid_is_good_enough_nothing_changes(wells):
    value, _ = wells
    loose = float(value.errors.max()) + 1.0
    np.testing.assert_allclose(value.upper_bound(X, loose), value.upper_bound(X), rtol=1e-9)


def test_gaps_of_refined_values(wells):
    value, _ = wells
    assert np.abs(value.gaps(20)).max() > 1e-4
    assert np.abs(value.gaps(20, tolerance=1e-4)).max() < 1e-5


@pytest.mark.parametrize("horizon", [oc.Finite(1.5, discount=0.7), oc.Finite(1.7, t0=0.6, discount=0.7)])
def test_finite_horizons_with_a_discount(horizon):
    value = oc.solve_hjb(regulator(1, horizon=horizon)[0], oc.Grid(-1, 1, 61))
    assert np.abs(value.gaps(4)).max() < 1e-6
    start, end = value.time[[0, -1]]
    gap = value.dynamic_programming_gap([[0.5], [-0.2]], np.linspace(start, end, 4))
    assert np.abs(gap).max() < 1e-6
    with pytest.raises(DataError, match=r"got the end 2; expected a time in"):
        value.closed_loop([0.5], 2.0)
    with pytest.raises(DataError, match=r"got the end 2; expected a time in"):
        value.dynamic_programming_gap([[0.5]], [1.0, 2.0])


def test_times_may_be_off_by_rounding():
    horizon = oc.Finite(0.9, t0=0.3)
    value = oc.solve_hjb(regulator(1, horizon=horizon)[0], oc.Grid(-1, 1, 31))
    found = value.closed_loop([0.5], at=[0.3 - 1e-16, 0.3 + (0.9 - 0.3)])
    np.testing.assert_allclose(found.time, [0.3, 0.9])
    assert found.x.shape == (2, 1, 1)


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
        (None, [[0.0, 1.0]], r"got the times \[\[0. 1.\]\]"),
        (0.0, None, "got the end 0; expected a time after 0"),
        (np.nan, None, "got the end nan"),
        (np.inf, None, "got the end inf"),
    ],
)
def test_times_that_are_refused(wells, tf, at, words):
    with pytest.raises(DataError, match=words):
        wells[0].closed_loop([0.5], tf, at)


def test_tolerances_that_are_refused(wells):
    for wrong in (0.0, -1.0, np.nan, np.inf, "small", [1e-3]):
        with pytest.raises(OptionError, match="expected a number above 0"):
            wells[0].upper_bound([0.1], wrong)
    finite = oc.solve_hjb(regulator(1, horizon=oc.Finite(1.0))[0], oc.Grid(-1, 1, 21))
    discrete = oc.solve_hjb(steps(1)[0], oc.Grid(-1, 1, 21))
    for value in (finite, discrete):
        with pytest.raises(ProblemError, match="refined values are for continuous time and an infinite"):
            value.upper_bound([0.1], 1e-3)
    with pytest.raises(ProblemError, match="closed_loop is for continuous time"):
        discrete.upper_bound([0.1])


def rooted(drift, box):
    """Return the value function of a problem whose cost is not a number below 0."""
    problem = oc.Problem("root", oc.Discounted(RATE))
    x, u = problem.state("x"), problem.control("u", lower=-0.5, upper=0.5)
    problem.dynamics(x, drift(x) + u)
    problem.minimize(stage=ca.sqrt(x) + u**2)
    return oc.solve_hjb(problem, oc.Grid(0, box, 41))


def test_a_path_that_breaks_off_is_an_error_that_names_its_state():
    value = rooted(lambda x: -1.0, 1.0)
    with pytest.raises(SolveError, match=r"path from \[0\.3\] cannot be followed until .*stay where"):
        value.upper_bound([[0.3], [0.4]])


def test_one_path_that_breaks_off_does_not_spoil_the_others():
    value = rooted(lambda x: x - 0.8, 1.2)
    alone = value.refined([[0.9]], 1e-6).value
    np.testing.assert_allclose(value.refined([[0.9], [0.5], [0.2]], 1e-6).value[0], alone[0], rtol=1e-9)


def test_an_exact_value_has_a_default_tolerance():
    problem = oc.Problem("nothing to do", oc.Discounted(RATE))
    x, u = problem.state("x"), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, u - x)
    problem.minimize(stage=u**2)
    assert oc.solve_hjb(problem, oc.Grid(-1, 1, 21)).refined([0.3]).value == pytest.approx(0, abs=1e-10)
