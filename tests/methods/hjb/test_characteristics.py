"""Refined values beside kinks, against exact ones and Pontryagin's road."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SolveError
from ocnet.methods.hjb.characteristics import Characteristics
from tests.hjb_problems import regulator, steps, two_wells
from tests.hjb_references import problem, stored


@pytest.fixture(scope="module")
def wells():
    made, exact = two_wells()
    return oc.solve_hjb(made, oc.Grid(-1.7, 1.9, 61)), exact


@pytest.fixture(scope="module")
def network():
    """A network of two neurons, seven of whose paths end in a saddle, on a coarse grid; states and optima."""
    data, number = stored(2), 6
    made, kept = problem(data["A"][number]), ~data["left out"][number]
    side = np.fmax(3.0, oc.Grid.suggest(made, 41).upper)
    value = oc.solve_hjb(made, oc.Grid(-side, side, 121, 1.5, [oc.Zoom([0, 0], side / 3, 12, 49)]))
    return value, data["x"][number][kept], data["best"][number][kept]


def characteristics(value):
    def at(x):
        return value(x), value.gradient(x)

    return Characteristics(value.hamiltonian, value.grid, at, value.error_at, value.upper_bound)


def test_beside_a_skiba_point_values_are_as_good_as_elsewhere(wells):
    value, exact = wells
    x = np.array([[-0.05], [-0.005], [0.01], [0.08], [0.6]])
    assert np.abs(value(x) - exact(x)).max() > 1e-2
    found = value.refined(x)
    error = np.abs(found.value - exact(x))
    assert error.max() < 2e-5
    assert (found.error >= error).all()
    assert found.error.max() < 2e-4
    d = 1e-4
    slope = (exact(x + d) - exact(x - d))[[0, 3, 4]] / (2 * d)
    np.testing.assert_allclose(found.gradient[[0, 3, 4], 0], slope, atol=3e-4)
    assert np.sign(found.gradient[:3, 0]).tolist() == [1, 1, -1]


def test_a_smaller_tolerance_takes_longer_paths(wells):
    value, exact = wells
    x = np.array([[0.02]])
    rough, fine = value.refined(x, 1e-3), value.refined(x, 1e-5)
    assert np.abs(fine.value - exact(x))[0] < 1e-6
    assert fine.error[0] < rough.error[0]
    assert np.abs(rough.value - exact(x))[0] <= rough.error[0]


def test_states_of_a_network_beside_kinks_of_every_kind(network):
    value, x, best = network
    before = np.abs(value(x) - best)
    assert (before > 1e-4).sum() >= 5
    found = value.refined(x, 1e-5)
    error = np.abs(found.value - best)
    assert error.max() < before.max() / 50
    assert np.median(error) < 1e-6
    assert (found.error >= error).mean() >= 0.95


def test_where_the_grid_is_good_enough_its_values_stay(network):
    value, x = network[0], network[1][:8]
    good = value.error_at(x) <= 1e-4
    assert 0 < good.sum() < len(x)
    found = value.refined(x, 1e-4)
    np.testing.assert_array_equal(found.value[good], value(x)[good])
    np.testing.assert_array_equal(found.error[good], value.error_at(x)[good])
    np.testing.assert_array_equal(found.gradient[good], value.gradient(x)[good])


def test_without_extremals_the_closed_loop_counts_and_the_error_says_so(network):
    value, x, best = network
    x, best = x[:4], best[:4]
    tool = characteristics(value)
    found = tool.refined(x, np.full(4, 1e-12), legs=0)
    np.testing.assert_allclose(found.value, value.upper_bound(x), rtol=1e-8)
    assert (found.error >= np.abs(found.value - value(x)) * (1 - 1e-6)).all()
    assert (found.error >= np.abs(found.value - best)).all()


def test_the_gradient_is_that_of_the_path_which_counts(wells, monkeypatch):
    """Where the closed loop is cheaper than an extremal, value and gradient are those of the closed loop."""
    value, _ = wells
    x = np.array([[0.3]])
    tool = characteristics(value)
    number, found = tool._branches(x, np.array([1e-3]))
    dear = found._replace(cost=found.cost + 5.0, costate=np.full_like(found.costate, 777.0))
    monkeypatch.setattr(tool, "_branches", lambda *_: (number, dear))
    answer = tool.refined(x, np.array([1e-9]), legs=1)
    assert answer.value[0] == pytest.approx(value.upper_bound(x)[0])
    np.testing.assert_array_equal(answer.gradient, value.gradient(x))


def test_where_all_paths_leave_the_grid_there_is_no_value(monkeypatch):
    """The feedback of this box drives over its edge, which is an error that says where, without extremals."""
    value = oc.solve_hjb(problem(stored(2)["A"][6]), oc.Grid([-3, -3], [3, 3], 61, 1.5))
    x = stored(2)["x"][6, 2:3]
    with pytest.raises(SolveError, match="the feedback leaves the grid at t = "):
        value.upper_bound(x)
    assert np.isfinite(value.refined(x, 1e-3).value).all()  # an extremal stays inside
    monkeypatch.setattr("ocnet.methods.hjb.shooting.STEPS", 0)  # none is found
    with pytest.raises(SolveError, match="the feedback leaves the grid at t = "):
        value.refined(x, 1e-3)


def test_one_state_or_many(wells):
    value, _ = wells
    one, many = value.refined([0.05]), value.refined([[0.05]])
    assert isinstance(one.value, float)
    assert isinstance(one.error, float)
    assert one.gradient.shape == (1,)
    assert many.value.shape == many.error.shape == (1,)
    assert many.gradient.shape == (1, 1)
    assert one.value == many.value[0]
    assert value.refined(np.zeros((0, 1))).value.shape == (0,)


def test_what_is_refused(wells, tmp_path):
    value, _ = wells
    for wrong in (0.0, -1.0, np.nan, np.inf, "small", [1e-3]):
        with pytest.raises(OptionError, match="expected a number above 0"):
            value.refined([0.1], wrong)
    with pytest.raises(DataError, match="outside the grid"):
        value.refined([5.0])
    with pytest.raises(ShapeError, match="expected"):
        value.refined([0.1, 0.2])
    with pytest.raises(ProblemError, match="continuous time and an infinite horizon"):
        oc.solve_hjb(steps(1)[0], oc.Grid(-1, 1, 21)).refined([0.1])
    finite = oc.solve_hjb(regulator(1, horizon=oc.Finite(1.0))[0], oc.Grid(-1, 1, 21))
    with pytest.raises(ProblemError, match="continuous time and an infinite horizon"):
        finite.refined([0.1])
    value.save(tmp_path / "value.nc")
    with pytest.raises(ProblemError, match="loaded without its problem"):
        oc.ValueFunction.load(tmp_path / "value.nc").refined([0.1])
