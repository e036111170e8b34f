import numpy as np
import pytest

from ocnet.methods.hjb.differences import AHEAD, FULL, PLAIN, Differences
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
    third.stencils[:] = PLAIN
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


def test_stencils_that_look_ahead_do_not_feel_the_other_side_of_a_kink():
    grid = Grid(-1, 1, 81)
    x = grid.axes[0]
    v = np.minimum(np.sin(x), 0.3 * x**2 - 0.1)  # the branches meet in a concave kink
    slope = np.where(np.sin(x) < 0.3 * x**2 - 0.1, np.cos(x), 0.6 * x)
    third = Differences(grid, 3)
    third.stencils[:] = third.kinks(v, 1e-7, 0, grid.size)
    kink = int(np.flatnonzero(np.diff(slope) < -0.5)[0])  # between this node and the next
    assert third.stencils[[kink, kink + 1]].tolist() == [AHEAD, AHEAD]
    assert (third.stencils == AHEAD).sum() <= 6
    assert (third.stencils[np.abs(np.arange(81) - kink) > 3] == FULL).all()
    minus, plus = third.sides(v, 0, grid.size, False)
    assert np.abs(minus[: kink + 1, 0] - slope[: kink + 1]).max() < 1e-3  # paths leave to the left of it
    assert np.abs(plus[kink + 1 :, 0] - slope[kink + 1 :]).max() < 1e-3
    assert (third.kinks(-v, 1e-7, 0, grid.size) == FULL).all()  # convex: paths meet there
    assert (third.kinks(np.exp(x), 1e-7, 0, grid.size) == FULL).all()


def test_looking_ahead_has_order_two():
    errors = []
    for n in (49, 97):
        grid = Grid([-1, 0], [1, 2], (n, n + 2), 1.5)
        x = grid.points()
        differences = Differences(grid, 3)
        differences.stencils[:] = AHEAD
        p = np.stack([np.cos(x[:, 0]), np.exp(x[:, 1])], axis=1)
        sides = differences.sides(np.sin(x[:, 0]) + np.exp(x[:, 1]), 0, grid.size, False)
        errors.append(max(np.abs(side - p).max() for side in sides))
    assert np.log2(errors[0] / errors[1]) > 1.7
