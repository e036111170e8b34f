"""Where nodes are put: at the moments where controls meet their bounds, and by halving."""

import numpy as np
import pytest

from ocnet.control_law import ControlLaw
from ocnet.methods.switching import MOST_PIECES, refined

TIMES = np.array([0.0, 1.0, 2.0, 4.0])
INF = np.inf


def law(function, limits, times=TIMES):
    """The controls clip(function(t)), with nodes at the times."""
    K = len(times) - 1

    def clipped(t):
        return np.clip(np.reshape(function(t), (len(limits[0]), len(t))).T, *limits)

    return ControlLaw(clipped, times, times, np.arange(K), np.full(K, 2), limits=limits)


def box(*widths):
    b = np.array(widths, dtype=float)
    return -b, b


def test_nothing_is_done_where_the_error_is_small():
    found = refined(TIMES, np.array([1e-7, 1e-6, 0.0]), 1e-6, None, box(1))
    np.testing.assert_array_equal(found, TIMES)


@pytest.mark.parametrize("ratio", [1.01, 10.0, 100.0, 1e4, 1e9])
def test_smooth_intervals_are_divided_evenly(ratio):
    found = refined(TIMES, np.array([0.0, ratio * 1e-6, 0.0]), 1e-6, None, box(1))
    assert set(TIMES) <= set(found)
    inside = found[(found > 1) & (found < 2)]
    pieces = len(inside) + 1
    np.testing.assert_allclose(inside, 1 + np.arange(1, pieces) / pieces)
    assert pieces == MOST_PIECES or ratio / pieces**4 < 1  # of order four
    assert pieces >= 2


@pytest.mark.parametrize("moment", [2.1, 2.5, np.e, 3.9])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_moment_at_which_a_control_meets_its_bound_becomes_a_node(moment, sign):
    limits = box(1.0, 1.0)
    u = law(lambda t: [sign * (1 + moment - t), 0 * t], limits)  # leaves the bound at the moment
    found = refined(TIMES, np.array([0.0, 0.0, 2e-6]), 1e-6, u, limits)
    assert np.abs(found - moment).min() < 1e-9
    assert set(TIMES) <= set(found)
    assert (np.diff(found) > 0).all()


def test_a_jump_from_bound_to_bound_is_found_too():
    limits = box(0.5)
    u = law(lambda t: np.where(t < 2.7, 1.0, -1.0), limits)
    assert np.abs(refined(TIMES, np.array([0.0, 0.0, 1.0]), 1e-6, u, limits) - 2.7).min() < 1e-9


def test_only_intervals_with_large_errors_get_nodes():
    limits = box(1.0)
    u = law(lambda t: 1.5 - t, limits)  # leaves its bound at 0.5
    np.testing.assert_array_equal(refined(TIMES, np.array([1e-7, 1e-7, 1e-7]), 1e-6, u, limits), TIMES)
    assert np.abs(refined(TIMES, np.array([1e-3, 0, 0]), 1e-6, u, limits) - 0.5).min() < 1e-9


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_few_moments_are_nodes_and_many_are_not(count):
    leaving = 2.1 + 1.8 * np.arange(count) / 30 + 0.01
    limits = box(*np.ones(count))
    u = law(lambda t: 1 + leaving[:, None] - t, limits)
    found = refined(TIMES, np.array([0.0, 0.0, 2e-6]), 1e-6, u, limits)
    near = np.array([np.abs(found - m).min() < 1e-9 for m in leaving])
    assert near.all() if count <= 3 else near.sum() <= 1
    assert len(found) <= 4 + max(count + 1, 2) if count <= 3 else len(found) == 5


def test_moments_at_a_node_add_nothing():
    limits = box(1.0)
    u = law(lambda t: 2.0 + 1 - t + 1e-9, limits)  # leaves the bound at the node 2, nearly
    found = refined(TIMES, np.array([0.0, 0.0, 2e-6]), 1e-6, u, limits)
    assert np.diff(found).min() > 0.1


@pytest.mark.parametrize("error", [2e-6, 1e-5, 1e-4, 1e-3])
def test_a_moment_next_to_an_even_division_makes_no_tiny_interval(error):
    limits = box(1.0)
    for moment in (2.5, 2 + 2 / 3, 3.0, 3.5):
        u = law(lambda t, m=moment: 1.0 + m - t, limits)
        found = refined(TIMES, np.array([0.0, 0.0, error]), 1e-6, u, limits)
        assert np.diff(found).min() > 1e-3


@pytest.mark.parametrize("limits", [box(INF), (np.array([-INF]), np.array([INF])), box(0.0)])
def test_controls_without_bounds_or_without_freedom_have_no_moments(limits):
    u = law(lambda t: np.sin(5 * t), limits)
    found = refined(TIMES, np.array([0.0, 0.0, 2e-6]), 1e-6, u, limits)
    np.testing.assert_allclose(found, [0, 1, 2, 3, 4])


def test_one_sided_bounds():
    limits = (np.array([-INF]), np.array([0.5]))
    u = law(lambda t: t - 2.0, limits)
    assert np.abs(refined(TIMES, np.array([0.0, 0.0, 1.0]), 1e-6, u, limits) - 2.5).min() < 1e-9
