"""Finite horizons against Riccati's differential equation, at their start and at all later times."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import ocnet as oc
from ocnet.errors import OptionError, SolveError
from ocnet.methods.hjb import finite_horizon
from ocnet.methods.hjb.finite_horizon import SLICES, slice_times, trial_times

X = np.array([[0.5], [-0.3], [0.8]])


def regulator(tf, a=-0.3, b=0.3, end=2.0, rate=0.0, bound=20.0):
    """ẋ = a x + b u with stage cost x² + u² and terminal cost end · x²."""
    problem = oc.Problem("regulator", oc.Finite(tf, discount=rate))
    x, u = problem.state("x"), problem.control("u", lower=-bound, upper=bound)
    problem.dynamics(x, a * x + b * u)
    problem.minimize(stage=x**2 + u**2, terminal=end * x**2)
    return problem


def riccati(left, a=-0.3, b=0.3, end=2.0, rate=0.0):
    """Return P at ascending times (M,) before the end."""

    def slope(_, P):
        return (2 * a - rate) * P + 1 - b * b * P * P

    found = solve_ivp(slope, (0, left[-1]), [end], "DOP853", t_eval=left, rtol=1e-12, atol=1e-13)
    return found.y[0]


def at_all_times(value, tf, **numbers):
    """Return errors and estimates (M, points) at the stored times and between them, the start first."""
    time = value.time
    near = time[-9:] - 0.01 * (time[-1] - time[-2])
    times = np.unique(np.concatenate([time, 0.5 * (time[1:] + time[:-1]), near]))
    P = riccati(np.unique(tf - times), **numbers)[::-1]
    error = np.array([np.abs(value(X, t) - p * X[:, 0] ** 2) for t, p in zip(times, P, strict=True)])
    return error, np.array([value.error_at(X, t=t) for t in times])


@pytest.mark.parametrize(("tf", "rate", "exact"), [(40.0, 3.0, 0.0833324), (400.0, 0.3, 0.83241)])
def test_steps_are_short_enough_for_the_discount(tf, rate, exact):
    value = oc.solve_hjb(regulator(tf, 0.0, 0.01, 1.0, rate, bound=1.0), oc.Grid(-1, 1, 21))
    assert value([0.5]) == pytest.approx(exact, abs=5e-6)
    P = riccati(np.array([0.0, tf]), 0.0, 0.01, 1.0, rate)[-1]
    assert value([0.5]) == pytest.approx(0.25 * P, abs=1e-8)


@pytest.mark.parametrize("nodes", [21, 41, pytest.param(81, marks=pytest.mark.slow)])
def test_the_estimate_holds_the_errors_of_the_steps(nodes):
    value = oc.solve_hjb(regulator(1.0), oc.Grid(-1, 1, nodes))
    error = np.abs(value(X) - riccati(np.array([0.0, 1.0]))[-1] * X[:, 0] ** 2)
    estimate = value.error_at(X)
    assert error.max() < 3e-8
    assert (estimate >= error).all()
    assert (estimate <= 100 * error + 1e-8).all()


@pytest.mark.parametrize(
    ("tf", "nodes", "numbers"),
    [
        (4.0, 21, {}),
        (20.0, 41, {}),
        (20.0, 15, {"a": -0.4, "b": 1.0, "end": 0.0}),  # begins at rest
        pytest.param(100.0, 21, {"a": -0.4, "b": 1.0, "end": 0.0}, marks=pytest.mark.slow),
        (4.0, 15, {"rate": 1.0}),  # no coarser grid
    ],
)
def test_values_and_estimates_at_all_times(tf, nodes, numbers):
    value = oc.solve_hjb(regulator(tf, **numbers), oc.Grid(-1, 1, nodes))
    error, estimate = at_all_times(value, tf, **numbers)
    assert error.max() < 3e-5
    assert (estimate >= error - 1e-10).all()  # Riccati's integrator is no better than that
    np.testing.assert_array_equal(estimate[0], value.error_at(X))


def test_the_policy_follows_the_terminal_layer():
    tf = 40.0
    value = oc.solve_hjb(regulator(tf), oc.Grid(-1, 1, 15))
    for left in (0.5, 1.0, 3.0):
        P = riccati(np.array([0.0, left]))[-1]
        np.testing.assert_allclose(value.policy(tf - left, X)[:, 0], -0.3 * P * X[:, 0], atol=1e-5)


def test_slices_are_where_the_value_bends():
    trial = trial_times((0.0, 100.0))
    assert (np.diff(trial) > 0).all()
    times = slice_times(trial, np.exp(0.8 * (trial[1:] - 100.0)))
    assert len(times) == SLICES
    assert (np.diff(times) > 0).all()
    assert (times[0], times[-1]) == (0.0, 100.0)
    assert 20 < (times > 90.0).sum() < 35
    even = slice_times(trial, np.zeros(len(trial) - 1))
    np.testing.assert_allclose(np.diff(even), 100.0 / (SLICES - 1))


def test_the_closed_loop_begins_at_the_start():
    value = oc.solve_hjb(regulator(1.0), oc.Grid(-1, 1, 21))
    assert (value.error_at(X, True) >= value.error_at(X)).all()
    assert (value.error_at(X, True, t=0.0) == value.error_at(X, True)).all()
    with pytest.raises(OptionError, match="expected the start"):
        value.error_at(X, closed_loop=True, t=0.5)


def test_too_many_steps_are_refused(monkeypatch):
    monkeypatch.setattr(finite_horizon, "MOST", 100)
    problem = oc.Problem("fast", oc.Finite(1.0))
    x, u = problem.state("x"), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, 1e4 * x + u)
    problem.minimize(stage=x**2 + u**2, terminal=x**2)
    with pytest.raises(SolveError, match="marched backwards"):
        oc.solve_hjb(problem, oc.Grid(-1, 1, 21))
