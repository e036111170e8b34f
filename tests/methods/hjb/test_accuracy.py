"""Estimated errors of made-up values on nested grids, whose true errors are known."""

import numpy as np
import pytest

from ocnet.methods.hjb.accuracy import between, extrapolated, plain
from ocnet.methods.hjb.grid import Grid


def levels(error, sizes=(21, 41, 81, 161)):
    """Return grids, values of sin x1 + cos x2 with an error, and the exact values on the finest grid."""
    grids = [Grid([-1, -1], [1, 1], m) for m in sizes]
    exact = [np.sin(g.points()[:, 0]) + np.cos(g.points()[:, 1]) for g in grids]
    wrong = [v + error(g.points(), 2 / (g.shape[0] - 1)) for g, v in zip(grids, exact, strict=True)]
    return grids, wrong, exact


@pytest.mark.parametrize("order", [1, 3])
def test_smooth_errors_are_extrapolated_and_bounded(order):
    grids, values, exact = levels(lambda x, h: h**order * np.exp(x[:, 0]) + h ** (order + 1) * x[:, 1] ** 2)
    accuracy = extrapolated(grids, values, order)
    left = np.abs(accuracy.values - exact[-1])
    assert left.max() < 0.1 * np.abs(values[-1] - exact[-1]).max()
    on_coarse = left.reshape(161, 161)[::2, ::2].reshape(-1)
    assert (accuracy.error >= on_coarse).mean() > 0.95
    assert np.median(accuracy.error) < 10 * np.sqrt(np.mean(on_coarse**2))


def test_values_that_improve_slowly_are_left_and_their_estimate_grows():
    grids, values, exact = levels(lambda x, h: h * np.sign(x[:, 0]))  # order 1 where 3 is expected
    accuracy = extrapolated(grids, values, 3)
    left = np.abs(accuracy.values - exact[-1]).reshape(161, 161)[::2, ::2].reshape(-1)
    assert (accuracy.error >= 0.99 * left).all()


def test_nodes_of_order_one_are_never_counted_as_better():
    """Errors that happen to vanish on the coarser grids look like a high order."""

    def lucky(x, h):
        return (x[:, 0] > 0) * {0.05: 3.0, 0.025: 1.0, 0.0125: 0.5}.get(round(h, 4), 60.0) * 1e-2

    grids, values, exact = levels(lucky)
    of_order_one = grids[-1].points()[:, 0] > -0.05
    naive = extrapolated(grids, values, 3)
    known = extrapolated(grids, values, 3, of_order_one)
    np.testing.assert_array_equal(known.values, naive.values)
    there = known.grid.points()[:, 0] > 0.1
    left = np.abs(known.values - exact[-1]).reshape(161, 161)[::2, ::2].reshape(-1)
    assert (known.error >= naive.error).all()
    assert (known.error[there] >= left[there]).all()
    assert not (naive.error[there] > left[there]).any()


def test_two_kinds_of_values_on_one_grid():
    grids, values, exact = levels(lambda x, h: h * x[:, 0])
    accuracy = between(exact[-1], values[-1], grids[-1])
    assert (accuracy.error >= np.abs(values[-1] - exact[-1])).all()
    coarse = plain(values[-2:], grids[-2:])
    np.testing.assert_array_equal(coarse.values, values[-1])
    left = np.abs(values[-1] - exact[-1]).reshape(161, 161)[::2, ::2].reshape(-1)
    assert (coarse.error >= 0.99 * left).all()
