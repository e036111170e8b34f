import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import OcnetError
from problems import synaptic_control


def test_nodes_are_even_or_closer_in_the_middle():
    even, graded = oc.Grid(-1, 3, 9), oc.Grid(-1, 3, 9, grading=2)
    np.testing.assert_allclose(even.axes[0], np.linspace(-1, 3, 9))
    steps = np.diff(graded.axes[0])
    assert graded.axes[0][[0, 4, 8]].tolist() == [-1, 1, 3]
    assert steps[3] < 0.6 * steps[0]


def test_points_run_in_c_order_and_mirror_each_other():
    grid = oc.Grid([-1, -2], [1, 2], (9, 11))
    points = grid.points()
    assert grid.symmetric
    assert grid.size == 99
    np.testing.assert_array_equal(points[::-1], -points)
    np.testing.assert_array_equal(grid.points(5), points[:5])


def test_halving_keeps_the_node_in_the_middle():
    shapes = []
    grid = oc.Grid([-1, -1], [1, 1], (121, 50))
    while grid is not None:
        shapes.append(grid.shape)
        grid = grid.halved()
    assert shapes == [(121, 50), (61, 25), (31, 13)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0, 0], [1], 9), "one number each"),
        (([0], [0], 9), "lower < upper"),
        (([0], [np.nan], 9), "finite"),
        (([0], [1], 3), "at least 7"),
        (([0], [1], 9.5), "integers"),
        (([0, 0], [1, 1], [9, 9, 9]), "2 integers"),
        (([0], [1], 9, -1), "grading"),
        ((["a"], [1], 9), "Grid"),
    ],
)
def test_wrong_grids_are_refused(arguments, words):
    with pytest.raises(OcnetError, match=words):
        oc.Grid(*arguments)


def test_a_suggested_box_holds_the_free_network():
    A = np.array([[1.5, 0.6], [-0.6, 1.5]])
    problem = synaptic_control.problem(A, [0, 0], bounds=(0.1, 1.0), discount=0.5)
    grid = oc.Grid.suggest(problem, 41)
    assert grid.shape == (41, 41)
    assert grid.grading == (2.0, 2.0)
    rng = np.random.default_rng(0)
    start = rng.uniform(-1, 1, 2) * grid.upper
    path = oc.simulate(problem, schedule={"xi": np.zeros((2, 2))}, initial=start, tf=30.0)
    assert grid.contains(path.states["u"]).all()
