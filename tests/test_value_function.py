import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, ProblemError, ShapeError, SolveError
from tests.hjb_problems import regulator, ring


@pytest.fixture(scope="module")
def value():
    return oc.solve_hjb(ring(2), oc.Grid([-3, -3], [3, 3], 61))


def test_one_state_or_many(value):
    x = np.array([[0.5, 1.0], [-1.0, 0.25]])
    assert isinstance(value(x[0]), float)
    assert value(x).shape == (2,)
    assert value.gradient(x[0]).shape == (2,)
    assert value.gradient(x).shape == (2, 2)
    assert value.policy(0.0, x[0]).shape == (4,)
    assert value.policy(0.0, x).shape == (2, 4)
    assert value(x[1]) == value(x)[1]
    assert isinstance(value.error_at(x[0]), float)
    assert (np.abs(value.policy(0.0, x)) <= 1).all()


def test_outside_is_an_error_that_says_where(value):
    with pytest.raises(DataError, match=r"state \[3\.5 0\.\s*\] is outside the grid"):
        value([3.5, 0.0])
    with pytest.raises(DataError, match="outside"):
        value([[0.0, 0.0], [np.nan, 0.0]])
    with pytest.raises(ShapeError, match=r"expected \(2,\)"):
        value([0.0, 0.0, 0.0])
    assert np.isfinite(value([3.0, -3.0]))


def test_it_prints_what_is_known(value):
    text = str(value)
    for words in ("61 × 61", "error estimate", "settled", "walls"):
        assert words in text
    assert "ValueFunction" in repr(value)


def test_both_value_functions_are_kept(value):
    assert value.monotone.shape == value.values.shape == (61 * 61,)
    difference = np.abs(value.monotone - value.values)
    assert 1e-3 < difference.max() < 1
    assert value.history.shape[1] == 4
    assert value.residual < 1e-6


def test_closed_loops_run_up_the_value(value):
    loop = value.closed_loop([[1.0, 1.0], [0.5, -2.0]], 30.0, at=[0, 1, 30.0])
    assert loop.x.shape == (3, 2, 2)
    assert loop.cost.shape == (3, 2)
    assert (np.diff(loop.cost, axis=0) > 0).all()
    np.testing.assert_allclose(loop.cost[-1], value([[1.0, 1.0], [0.5, -2.0]]), atol=2e-3)


def test_the_estimate_can_count_the_closed_loop(value):
    x = np.random.default_rng(0).uniform(-2, 2, (10, 2))
    both = value.error_at(x, closed_loop=True)
    np.testing.assert_array_equal(both, np.fmax(value.error_at(x), np.abs(value.upper_bound(x) - value(x))))


def test_paths_that_leave_are_an_error():
    problem = oc.Problem("pushed out", oc.Discounted(0.5))
    x, u = problem.state("x"), problem.control("u", lower=-0.5, upper=0.5)
    problem.dynamics(x, 1 + u)
    problem.minimize(stage=u**2)
    value = oc.solve_hjb(problem, oc.Grid(-1, 1, 41))
    with pytest.raises(SolveError, match="leaves the grid"):
        value.closed_loop([[0.0]])


def test_times_of_a_finite_horizon():
    problem, _, _ = regulator(1, horizon=oc.Finite(1.0))
    value = oc.solve_hjb(problem, oc.Grid(-1, 1, 31))
    assert value([0.5]) > value([0.5], 0.5) > value([0.5], 0.9)
    with pytest.raises(DataError, match=r"t is 1\.5"):
        value([0.5], 1.5)


def test_closed_loops_are_for_continuous_time():
    from tests.hjb_problems import steps

    value = oc.solve_hjb(steps(1)[0], oc.Grid(-1, 1, 21))
    with pytest.raises(ProblemError, match="continuous time"):
        value.closed_loop([[0.5]])
