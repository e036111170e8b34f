"""Extremals of a linear regulator, whose value function is known."""

import numpy as np
import pytest
from scipy.linalg import expm

import ocnet as oc
from ocnet.methods.hjb.shooting import Shooting
from tests.hjb_problems import RATE, regulator

TIME = np.array([0.3, 1.0, 2.5])
X = np.array([[0.6, -0.2], [-0.4, 0.7], [0.1, 0.1]])


@pytest.fixture(scope="module")
def exact():
    problem, P, K = regulator(2)
    A, B = np.array([[-0.3, 0.8], [-0.7, -0.5]]), np.array([[0.3], [1.0]])

    def at(x):
        return np.einsum("ij,jk,ik->i", x, P, x), 2 * x @ P

    return problem.hamiltonian, oc.Grid([-1, -1], [1, 1], 21), at, A - B @ K


def guess(loop):
    """Return ends of paths without control."""
    return np.array([expm((loop + 0.3 * np.eye(2)) * t) @ x for t, x in zip(TIME, X, strict=True)])


def test_ends_costates_and_costs(exact):
    hamiltonian, grid, at, loop = exact
    tool = Shooting(hamiltonian, grid, at)
    end, start = tool.ends(X, guess(loop), TIME)
    followed = np.array([expm(loop * t) @ x for t, x in zip(TIME, X, strict=True)])
    np.testing.assert_allclose(end, followed, atol=1e-6)  # Newton's method stops at 1e-6 cells
    np.testing.assert_allclose(start[:, :2], X, atol=1e-7)
    np.testing.assert_allclose(start[:, 2:], at(X)[1], atol=1e-6)
    np.testing.assert_allclose(tool.cost(X, end, start, TIME), at(X)[0], atol=1e-8)
    np.testing.assert_allclose(tool.followed(X, TIME), followed, atol=1e-4)


def test_an_error_of_the_value_is_discounted_and_one_of_the_gradient_squared(exact):
    hamiltonian, grid, at, loop = exact

    def cost(size, wrong):
        tool = Shooting(
            hamiltonian, grid, lambda x: tuple(a + size * b for a, b in zip(at(x), wrong(x), strict=True))
        )
        return tool.cost(X, *tool.ends(X, guess(loop), TIME), TIME) - at(X)[0]

    def of_value(x):
        return np.ones(len(x)), np.zeros_like(x)

    def of_gradient(x):
        return np.zeros(len(x)), np.column_stack([np.cos(3 * x[:, 0]), 1 + x[:, 1]])

    np.testing.assert_allclose(cost(1e-3, of_value), 1e-3 * np.exp(-RATE * TIME), rtol=1e-4)
    large, small = cost(0.02, of_gradient), cost(0.01, of_gradient)
    assert (small > 0).all()  # a control that is not the best one
    np.testing.assert_allclose(large / small, 4, rtol=0.1)


def test_extremals_that_leave_the_grid_are_none(exact):
    hamiltonian, _, at, loop = exact
    narrow = Shooting(hamiltonian, oc.Grid([-1, -0.4], [1, 1], 21), at)
    x = np.array([[0.9, -0.2], [0.2, 0.6]])
    time = np.array([2.0, 0.3])
    paths = [np.array([expm(loop * t) @ x[k] for t in np.linspace(0, time[k], 40)]) for k in (0, 1)]
    assert paths[0][:, 1].min() < -0.4 < paths[1][:, 1].min()
    start = narrow.ends(x, np.array([path[-1] for path in paths]), time)[1]
    assert np.isnan(start[0]).all()
    assert np.isfinite(start[1]).all()


def test_states_and_guesses_on_the_faces(exact):
    hamiltonian, _, at, loop = exact
    x = np.array([[0.5, 0.1], [-0.5, 0.3], [0.2, 0.4 - 1e-9]])
    time, face = np.full(3, 0.4), np.array([[0.5, -0.1], [-0.3, 0.4], [0.3, 0.2]])
    tool = Shooting(hamiltonian, oc.Grid([-0.5, -0.5], [0.5, 0.4], 21), at)
    end, start = tool.ends(x, face, time)
    followed = np.array([expm(loop * 0.4) @ point for point in x])
    inside = (np.abs(followed) < [0.5, 0.4]).all(axis=1)
    assert inside.sum() >= 2
    np.testing.assert_allclose(end[inside], followed[inside], atol=1e-6)
    assert np.isfinite(start[inside]).all()
