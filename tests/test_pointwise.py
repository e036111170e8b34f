"""CasADi functions at many points: what is evaluated, and what CasADi gives up."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import casadi as ca
import numpy as np

from ocnet.pointwise import PREPARED, SMALL, Pointwise, evaluate
from ocnet.pointwise import _prepared as prepared

x, b = ca.MX.sym("x", 2), ca.MX.sym("b", 2)
MATRIX = ca.vertcat(ca.horzcat(x[0], 1), ca.horzcat(1, x[1]))
SOLVED = ca.Function("solved", [x, b], [ca.solve(MATRIX, b)])


def test_values_at_many_points():
    points = np.random.default_rng(0).normal(size=(50, 2))
    found = evaluate(SOLVED, points, np.array([1.0, 2.0]))[0]
    for at, value in zip(points, found, strict=True):
        np.testing.assert_allclose([[at[0], 1], [1, at[1]]] @ value, [1, 2], atol=1e-10)


def test_a_singular_matrix_gives_nan_at_its_own_point_only():
    points = np.array([[2.0, 1.0], [1.0, 1.0], [1.0, 2.0], [0.5, 2.0], [1.0, 3.0]])
    found = evaluate(SOLVED, points, np.array([1.0, 2.0]))[0]
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), [False, True, False, True, False])
    np.testing.assert_allclose(found[4], [0.5, 0.5])


def test_a_failed_call_does_not_spoil_the_next_one():
    at = Pointwise(SOLVED, 1, {1: np.array([1.0, 2.0])})
    for point in ([2.0, 1.0], [1.0, 1.0], [1.0, 3.0]):
        found = at(np.array([point]))[0]
    np.testing.assert_allclose(found[0], [0.5, 0.5])
    assert np.isnan(at(np.array([[1.0, 1.0]]))[0]).all()


def test_answers_are_not_overwritten_by_later_calls():
    b = np.array([1.0, 2.0])
    first = evaluate(SOLVED, np.array([[2.0, 1.0]]), b)[0]
    kept = first.copy()
    assert not np.array_equal(evaluate(SOLVED, np.array([[3.0, 1.0]]), b)[0], kept)
    np.testing.assert_array_equal(first, kept)


def test_few_points_and_many_have_the_same_answers():
    points = np.random.default_rng(0).normal(size=(SMALL, 2))
    b = np.array([1.0, 2.0])
    many = evaluate(SOLVED, points, b)[0]
    np.testing.assert_array_equal(many[:7], evaluate(SOLVED, points[:7], b)[0])
    assert evaluate(SOLVED, points[:0], b)[0].shape == (0, 2)


def test_threads_have_memory_of_their_own():
    def differs(seed):
        points = np.random.default_rng(seed).normal(size=(3, 2))
        first = evaluate(SOLVED, points, points)[0]
        return sum(not np.array_equal(first, evaluate(SOLVED, points, points)[0]) for _ in range(500))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(differs, range(8))) == 0


def test_what_is_prepared_goes_with_its_function_and_is_bounded():
    function = ca.Function("double", [x], [2 * x])
    for points in range(1, PREPARED + 9):
        assert evaluate(function, np.ones((points, 2)))[0].sum() == 4 * points
    assert 0 < len(prepared[function]._ready) <= PREPARED
    gone = weakref.ref(function)
    del function
    gc.collect()
    assert gone() is None


def test_a_function_may_call_itself():
    class Inner(ca.Callback):
        def __init__(self):
            super().__init__()
            self.outer = None
            self.construct("inner")

        def eval(self, arguments):
            value = float(arguments[0])
            return [value if value > 5 else evaluate(self.outer, np.array([[value + 5]]))[0][0, 0]]

    inner, y = Inner(), ca.MX.sym("y")
    inner.outer = ca.Function("outer", [y], [10 * y + inner(y)])
    assert evaluate(inner.outer, np.array([[1.0]]))[0][0, 0] == 76.0
    assert evaluate(inner.outer, np.array([[2.0]]))[0][0, 0] == 97.0
