import numpy as np
import pytest

from ocnet.methods.hjb.branches import Branches
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation
from ocnet.methods.hjb.slices import Slices


def branches(x):
    """Two smooth functions of points (points, n) that meet in a slanted surface, and their gradients."""
    n = x.shape[1]
    slope = np.array([0.9, -0.4, 0.3])[:n]
    a, b = np.sin(x @ slope), 0.3 * np.cos(2 * x).sum(axis=1) - 0.2
    return np.stack([a, b]), np.stack([np.cos(x @ slope)[:, None] * slope, -0.6 * np.sin(2 * x)])


def least(x):
    values, gradients = branches(x)
    number = values.argmin(axis=0)
    return values.min(axis=0), gradients[number, np.arange(len(x))]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("grading", [0.0, 1.0])
def test_most_values_do_not_feel_a_concave_kink_that_stands_clear(n, grading):
    grid = Grid([-1.0] * n, [1.2] * n, 41, grading)
    values = least(grid.points())[0]
    x = np.random.default_rng(0).uniform(-0.9, 1.1, (2000, n))
    two = branches(x)[0]
    x = x[np.abs(two[0] - two[1]) < 0.1]  # the kink and a few cells on both sides
    exact, slope = least(x)
    smooth, _ = Interpolation(grid)(values, x)
    value, gradient = Slices(grid, values[None]).at(0.0, x)
    before, after = np.abs(smooth - exact), np.abs(value - exact)
    assert np.median(before) > 3e-4
    assert np.median(after) < 5e-6
    assert after.mean() < before.mean() / 4
    assert after.max() <= before.max()  # where nothing is told, the polynomial stays
    assert np.median(np.abs(gradient - slope)) < 1e-4


def test_smooth_functions_convex_kinks_and_noise_stay_as_they_were():
    grid = Grid([-1, -1], [1, 1], 33)
    y = grid.points()
    x = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    noise = 1e-9 * np.random.default_rng(1).normal(size=grid.size)
    for values in (np.exp(y.sum(axis=1)), np.maximum(y[:, 0], y[:, 1] ** 2), 1 + noise):
        value, gradient = Interpolation(grid)(values, x)
        v, p = value.copy(), gradient.copy()
        Branches(grid, values).improve(x, v, p)
        np.testing.assert_array_equal(v, value)
        np.testing.assert_array_equal(p, gradient)


def test_where_kinks_crowd_no_value_is_far_off():
    """No branch is told from the nodes of a wedge that is narrower than a cubic is wide."""
    grid = Grid(-1, 1, 41)
    y = grid.axes[0]
    for width in (1.0, 1.5, 2.0, 3.0):
        values = np.minimum(np.exp(y), 0.9 + np.abs(y - 0.3) / (width * (y[1] - y[0])))
        x = np.linspace(0.1, 0.5, 81)[:, None]
        value, gradient = Interpolation(grid)(values, x)
        v, p = value.copy(), gradient.copy()
        Branches(grid, values).improve(x, v, p)
        exact = np.minimum(np.exp(x[:, 0]), 0.9 + np.abs(x[:, 0] - 0.3) / (width * (y[1] - y[0])))
        assert np.abs(v - exact).max() <= np.abs(value - exact).max()


@pytest.mark.parametrize("n", [2, 3])
def test_beside_the_tip_of_a_concave_cone_nothing_gets_much_worse(n):
    """A cone has no branches; beyond some cells from its tip it is smooth."""
    grid = Grid([-1.0] * n, [1.0] * n, 31)
    h = grid.axes[0][1] - grid.axes[0][0]

    def cone(x):
        return np.cos(2 * np.hypot(0.1 * h, np.linalg.norm(x, axis=1))) - np.linalg.norm(x, axis=1)

    values = cone(grid.points())
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (3000, n))
    before = np.abs(Interpolation(grid)(values, x)[0] - cone(x))
    after = np.abs(Slices(grid, values[None]).at(0.0, x)[0] - cone(x))
    assert after.max() <= 2 * before.max()
    assert after.mean() <= 1.1 * before.mean()
    far = np.linalg.norm(x, axis=1) > 3 * h
    assert (after - before)[far].max() < 0.1 * before.max()


def test_states_outside_are_not_numbers():
    grid = Grid([-1, -1], [1, 1], 9)
    slices = Slices(grid, np.ones((1, grid.size)))
    assert np.isnan(slices.at(0.0, np.array([[np.nan, 0.0]]))[0]).all()
