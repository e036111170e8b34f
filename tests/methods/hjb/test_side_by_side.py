import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ocnet.methods.hjb.side_by_side import integrate


def test_paths_of_different_lengths_and_speeds():
    speeds, time = np.array([1.0, 30.0, 0.01, 5.0]), np.array([2.0, 1.0, 0.0, 7.0])
    start = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0], [1.0, 1.0]])

    def rate(y, rows):
        return speeds[rows, None] * np.column_stack([-y[:, 1], y[:, 0]])

    turn = speeds * time
    exact = np.column_stack(
        [
            np.cos(turn) * start[:, 0] - np.sin(turn) * start[:, 1],
            np.sin(turn) * start[:, 0] + np.cos(turn) * start[:, 1],
        ]
    )
    coarse, fine = (integrate(rate, start, time, tol, tol) for tol in (1e-6, 1e-10))
    assert np.abs(coarse - exact).max() < 3e-5
    assert np.abs(fine - exact).max() < 3e-9
    np.testing.assert_array_equal(fine[2], start[2])


def test_no_path_feels_the_others():
    """Kinks at different moments, as solve_ivp sees them one by one; and each row is the same when alone."""
    start = np.random.default_rng(0).uniform(0.1, 1.0, (20, 1))

    def rate(y, rows):
        return -2 * np.sign(y - 0.05) * (1 + y)

    calls = []

    def counted(y, rows):
        calls.append(len(rows))
        return rate(y, rows)

    together = integrate(counted, start, np.full(20, 0.02), 1e-9, 1e-11)
    for k in range(20):
        alone = integrate(rate, start[k : k + 1], np.array([0.02]), 1e-9, 1e-11)
        np.testing.assert_allclose(alone[0], together[k], rtol=1e-14)
        found = solve_ivp(lambda _, y: rate(y, None), (0, 0.02), start[k], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(together[k], found.y[:, -1], atol=1e-8)
    assert len(calls) < 200


def test_paths_that_leave_or_explode_are_given_up():
    start = np.array([[0.5], [2.0], [-1.0]])
    answer = integrate(lambda y, rows: y**2, start, np.ones(3), 1e-8, 1e-10)
    np.testing.assert_allclose(answer[[0, 2], 0], [1.0, -0.5], rtol=1e-6)
    assert np.isnan(answer[1, 0])  # infinite at t = 1/2
    held = integrate(lambda y, rows: y**2, start, np.ones(3), 1e-8, 1e-10, lambda y: y[:, 0] < 0.7)
    assert np.isnan(held[:2]).all()
    assert held[2, 0] == pytest.approx(-0.5)


def test_a_rate_that_is_no_number_beyond_a_point_shortens_the_step():
    with np.errstate(invalid="ignore"):
        answer = integrate(lambda y, rows: -np.sqrt(y), np.ones((1, 1)), np.array([1.999]), 1e-7, 1e-9)
    assert answer[0, 0] == pytest.approx((1 - 1.999 / 2) ** 2, abs=1e-7)


def test_rates_are_asked_at_finite_states_only():
    def rate(y, rows):
        assert np.isfinite(y).all()
        with np.errstate(over="ignore"):
            return y**9

    answer = integrate(rate, np.array([[3.0], [0.5]]), np.ones(2), 1e-6, 1e-8)
    assert np.isnan(answer[0, 0])
    assert answer[1, 0] == pytest.approx((0.5**-8 - 8) ** -0.125, rel=1e-5)


def test_nothing_to_do():
    assert integrate(lambda y, rows: y, np.zeros((0, 2)), np.zeros(0), 1e-6, 1e-6).shape == (0, 2)
