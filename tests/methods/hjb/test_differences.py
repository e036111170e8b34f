import numpy as np
import pytest

from ocnet.methods.hjb.differences import Differences
from ocnet.methods.hjb.grid import Grid


@pytest.mark.parametrize("order", [1, 3, 5])
@pytest.mark.parametrize("grading", [0.0, 1.5])
def test_order_on_even_and_graded_axes(order, grading):
    errors = []
    for n in (49, 97):
        grid = Grid([-1, 0], [1, 2], (n, n + 2), grading)
        x = grid.points()
        v, p = (
            np.sin(2 * x[:, 0]) * np.exp(x[:, 1]),
            np.stack(
                [2 * np.cos(2 * x[:, 0]) * np.exp(x[:, 1]), np.sin(2 * x[:, 0]) * np.exp(x[:, 1])], axis=1
            ),
        )
        sides = Differences(grid, order).sides(v, 0, grid.size, False)
        errors.append(max(np.abs(side - p).max() for side in sides))
    assert np.log2(errors[0] / errors[1]) > order - 0.5


def test_walls_and_plain_nodes():
    grid = Grid([-1, -1], [1, 1], (9, 9))
    v = np.cos(grid.points()).sum(axis=1)
    first, third = Differences(grid, 1), Differences(grid, 3)
    minus, plus = third.sides(v, 0, grid.size, True)
    assert np.isneginf(minus.reshape(9, 9, 2)[0, :, 0]).all()
    assert np.isposinf(plus.reshape(9, 9, 2)[:, -1, 1]).all()
    third.plain[:] = True
    for a, b in zip(third.sides(v, 0, grid.size, False), first.sides(v, 0, grid.size, False), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


def test_residual_takes_the_side_of_the_drift():
    rng = np.random.default_rng(0)
    grid = Grid([-1, -1], [1, 1], (9, 11))
    v, drift, stage = rng.normal(size=99), rng.normal(size=(99, 2)), rng.normal(size=99)
    differences = Differences(grid, 3)
    minus, plus = differences.sides(v, 0, 99, False)
    wanted = stage + np.where(drift > 0, drift * plus, drift * minus).sum(axis=1) - 0.7 * v
    np.testing.assert_allclose(differences.residual(v, drift, stage, 0.7), wanted, atol=1e-12)
