import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation, Transfer


def wave(x):
    return np.sin(x @ np.arange(1, x.shape[1] + 1))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_values_of_order_four_and_gradients_of_order_three(n):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1.5, (300, n))
    slope = np.cos(x @ np.arange(1, n + 1))[:, None] * np.arange(1, n + 1)
    errors = []
    for m in (15, 29):
        grid = Grid([-1] * n, [1.5] * n, [m, m + 2, m + 1, m][:n], 0.4)
        value, gradient = Interpolation(grid)(wave(grid.points()), x)
        errors.append((np.abs(value - wave(x)).max(), np.abs(gradient - slope).max()))
    orders = np.log2(np.array(errors[0]) / errors[1])
    assert orders[0] > 3.4
    assert orders[1] > 2.5


def test_the_gradient_is_that_of_the_value_and_continuous():
    rng = np.random.default_rng(1)
    grid = Grid([-1, -1], [1, 1], (9, 12))
    table, values = Interpolation(grid), rng.normal(size=grid.size)
    x, h = rng.uniform(-0.9, 0.9, (40, 2)), 1e-6
    for d, step in enumerate(h * np.eye(2)):
        difference = (table(values, x + step)[0] - table(values, x - step)[0]) / (2 * h)
        np.testing.assert_allclose(table(values, x)[1][:, d], difference, atol=1e-4)
    node = np.array([[grid.axes[0][3], 0.21]])
    left, right = (table(values, node + np.array([s, 0]))[1] for s in (-1e-9, 1e-9))
    np.testing.assert_allclose(left, right, atol=1e-5)


def test_cubics_are_reproduced_onto_another_grid():
    grid = Grid([0, 0], [1, 2], (9, 8))

    def cubic(x):
        return 1 + x[:, 0] ** 3 - 2 * x[:, 0] * x[:, 1] ** 3

    finer = grid.resized((17, 30))
    np.testing.assert_allclose(
        Interpolation(grid).onto(cubic(grid.points()), finer), cubic(finer.points()), atol=1e-12
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_transfers_between_grids_interpolate(n):
    rng = np.random.default_rng(0)
    source = Grid([-2] * n, [2] * n, [9, 12, 9, 8][:n], 0.5)
    target = Grid([-1] * n, [1.5] * n, [8, 7, 9, 7][:n])
    nodes = np.sort(rng.choice(target.size, target.size // 2, replace=False))
    values, x = rng.normal(size=source.size), target.points()[nodes]
    cubic = Transfer(source, target, nodes, linear=False)
    np.testing.assert_allclose(cubic(values), Interpolation(source)(values, x)[0], rtol=0, atol=1e-13)
    linear = Transfer(source, target, nodes, linear=True)
    between = RegularGridInterpolator(source.axes, values.reshape(source.shape))
    np.testing.assert_allclose(linear(values), between(x), rtol=0, atol=1e-13)
    single = linear(values.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, between(x), rtol=0, atol=1e-5)


def test_nodes_that_coincide_have_one_weight():
    source = Grid([-1, -1], [1, 1], (21, 21))
    nodes = np.arange(81)
    for linear in (True, False):
        transfer = Transfer(source, Grid([-0.4, -0.4], [0.4, 0.4], 9), nodes, linear)
        assert (transfer.count == 1).all()
        values = np.random.default_rng(0).normal(size=source.size)
        np.testing.assert_allclose(transfer(values), values.reshape(21, 21)[6:15, 6:15].ravel(), atol=1e-13)
