"""Figures of value functions whose values, flows and rest points are known."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet

import ocnet as oc
from ocnet import plot
from ocnet.errors import DataError, ProblemError, ShapeError
from ocnet.figures import value as plot_value
from ocnet.value_rest import rest_points
from problems import synaptic_control
from tests.hjb_problems import regulator, ring, steps

A = np.array([[1.6, 0.3], [0.3, 1.5]])


@pytest.fixture(scope="module")
def value():
    """A regulator: v = xᵀPx, one sink at 0, no ridge."""
    return oc.solve_hjb(regulator(2)[0], oc.Grid([-1, -1], [1, 1], 41))


@pytest.fixture(scope="module")
def network():
    """Two neurons with a ridge between the basins of their four sinks."""
    problem = synaptic_control.problem(A, np.zeros(2), bounds=(0.1, 0.3), discount=0.5)
    return oc.solve_hjb(problem, oc.Grid([-3, -3], [3, 3], 121))


def labels(axes):
    return axes.get_legend_handles_labels()[1]


def test_contours_of_a_regulator(value):
    figure = plot.contours(value, [[0.5, -0.5], [-0.8, 0.1]])
    panel, bar = figure.axes
    assert panel.get_xlabel().startswith("x[0]")
    assert bar.get_ylabel().startswith("optimal cost v")
    assert labels(panel) == ["optimal path, from its dot", "sink"]
    filled = next(c for c in panel.collections if isinstance(c, QuadContourSet))
    assert filled.levels[0] <= value.values.min()
    assert filled.levels[-1] >= value([1.0, 1.0])
    paths = [line for line in panel.lines if len(line.get_xdata()) > 10]
    np.testing.assert_allclose([line.get_xydata()[0] for line in paths], [[0.5, -0.5], [-0.8, 0.1]])
    np.testing.assert_allclose([line.get_xydata()[-1] for line in paths], 0, atol=1e-3)
    sink = next(line for line in panel.lines if line.get_label() == "sink")
    np.testing.assert_allclose(sink.get_xydata(), [[0, 0]], atol=1e-6)
    assert sink.get_color() == plot_value.LOOKS["sink"][1]
    assert not plt.get_fignums()


def test_without_the_field_there_is_no_flow(value):
    with_field, without = (len(plot.contours(value, field=f).axes[0].patches) for f in (True, False))
    assert with_field > without == 0


def test_ridges_and_rest_points_of_a_network(network):
    found = rest_points(network)
    kinds = [point.kind for point in found]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"sink": 4, "source": 1, "saddle": 2}
    for point in found:
        np.testing.assert_allclose(plot_value.flow(network, point.x[None, :]), 0, atol=1e-6)
        mirrored = [np.abs(point.x + other.x).max() for other in found if other.kind == point.kind]
        assert min(mirrored) < 1e-4
    source = next(point for point in found if point.kind == "source")
    np.testing.assert_allclose(source.x, 0, atol=1e-8)
    free = next(
        point for point in found if point.kind == "sink"
    )  # ξ = 0, and nothing moves: it costs nothing
    np.testing.assert_allclose(A @ np.tanh(free.x), free.x, atol=1e-3)
    assert network(free.x) < 1e-6
    first, second, x = plot_value.section(network)
    sharp = plot_value.ridges(network, network.gradient(x).reshape(len(first), len(second), 2)) > 1
    upper = sharp[:, second > 1]
    assert sharp.mean() < 0.03
    assert upper.any(axis=0).all()  # the ridge runs up to the wall near u[0] = 0
    assert (np.abs(first[upper.any(axis=1)]) < 0.3).all()
    np.testing.assert_array_equal(sharp, sharp[::-1, ::-1])
    panel = plot.contours(network).axes[0]
    assert set(labels(panel)) == {"ridge: two ways cost the same", "sink", "source", "saddle"}


def test_surface_and_its_floor(value):
    figure = plot.surface(value)
    panel = figure.axes[0]
    assert panel.name == "3d"
    assert panel.get_zlim()[0] < value.values.min()
    assert panel.get_zlim()[1] == pytest.approx(value([1.0, 1.0]), rel=0.2)
    assert min(panel.get_zticks()) >= -1e-9
    assert panel.get_zlabel().startswith("optimal cost v")


def test_slices_share_their_colours():
    value = oc.solve_hjb(ring(3), oc.Grid([-3] * 3, [3] * 3, 13), tolerance=1e-4)
    figure = plot.slices(value, axis=1, positions=[-1.0, 0.0, 2.0])
    panels = figure.axes[:3]
    assert [panel.get_title() for panel in panels] == ["u[1] = -1", "u[1] = 0", "u[1] = 2"]
    assert panels[0].get_ylabel().startswith("u[2]")
    assert panels[0].get_xlabel().startswith("u[0]")
    levels = [next(c for c in p.collections if isinstance(c, QuadContourSet)).levels for p in panels]
    np.testing.assert_array_equal(levels[0], levels[1])
    assert len(plot.slices(value).axes) == 5
    _, _, x = plot_value.section(value, (0, 2), [0, 2.0, 0], 5)
    np.testing.assert_array_equal(x[:, 1], 2.0)
    for arguments, error, words in (
        ({"axis": 3}, ProblemError, "axis is 3"),
        ({"positions": []}, ProblemError, "1 to 6"),
        ({"positions": [9.0]}, DataError, "outside"),
        ({"at": [0.0, 0.0]}, ShapeError, r"expected \(3,\)"),
    ):
        with pytest.raises(error, match=words):
            plot.slices(value, **arguments)


def test_convergence_draws_errors_and_estimates(value):
    values = [oc.solve_hjb(regulator(2)[0], oc.Grid([-1, -1], [1, 1], m)) for m in (11, 21)]
    P = regulator(2)[1]
    x = np.random.default_rng(0).uniform(-0.6, 0.6, (20, 2))
    exact = np.einsum("ki,ij,kj->k", x, P, x)
    left, right = plot.convergence([*values[::-1], value], x, exact).axes
    largest = next(line for line in left.lines if line.get_label() == "error, largest")
    np.testing.assert_allclose(largest.get_xdata(), [11, 21, 41])
    np.testing.assert_allclose(largest.get_ydata()[0], np.abs(values[0](x) - exact).max())
    estimate = next(line for line in right.lines if line.get_label() == "its estimate, median")
    np.testing.assert_allclose(estimate.get_ydata()[1], np.median(values[1].error_at(x)))
    np.testing.assert_allclose(estimate.get_xdata()[0], values[0].stats["seconds"])
    shorter = plot.convergence([*values, value], x).axes[0].lines[0]
    np.testing.assert_allclose(shorter.get_xdata(), [11, 21])
    with pytest.raises(ProblemError, match="at least two"):
        plot.convergence([value], x, exact)
    with pytest.raises(ProblemError, match="at least two"):
        plot.convergence([values[0], value], x)
    with pytest.raises(ShapeError, match=r"exact has shape \(3,\)"):
        plot.convergence([values[0], value], x, exact[:3])


@pytest.mark.parametrize(
    "draw", [plot.contours, plot.surface, plot.slices, lambda v: plot.convergence(v, [0])]
)
def test_what_is_no_value_function_is_refused(draw):
    with pytest.raises(ProblemError, match="expected a ValueFunction"):
        draw("v")


def test_what_has_no_plane_or_no_flow_is_refused(value, tmp_path):
    with pytest.raises(ProblemError, match=r"axes are \(0, 2\)"):
        plot.contours(value, axes=(0, 2))
    with pytest.raises(ProblemError, match="at least three states"):
        plot.slices(value)
    with pytest.raises(ShapeError, match="at has shape"):
        plot.surface(value, at=[0.0])
    with pytest.raises(DataError, match="outside"):
        plot.contours(value, [[2.0, 0.0]])
    stepped = oc.solve_hjb(steps(2)[0], oc.Grid([-1, -1], [1, 1], 11), tolerance=1e-4)
    assert len(plot.contours(stepped).axes) == 2
    with pytest.raises(ProblemError, match="discrete time"):
        plot.contours(stepped, [[0.1, 0.1]])
    with pytest.raises(ProblemError, match="a discrete horizon"):
        rest_points(stepped)
    value.save(tmp_path / "value.nc")
    alone = oc.ValueFunction.load(tmp_path / "value.nc")
    assert plot.contours(alone, field=False).axes[0].get_xlabel().startswith("x[0]")
    with pytest.raises(ProblemError, match="without its problem"):
        plot.contours(alone)
