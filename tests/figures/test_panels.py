"""Panels: names, bounds, curves and time axes of the figures."""

import io

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

import ocnet as oc
from ocnet import plot
from ocnet.errors import ProblemError
from ocnet.figures import panels
from ocnet.solution import Result, Solution, Status
from ocnet.trajectory import Interpolant, Trajectory


def polynomials(function, degree=2, breaks=(0.0, 0.1, 0.3, 1.0)):
    """Interpolate function(t) -> (T, n) on each interval."""
    breaks = np.asarray(breaks)
    nodes = breaks[:-1, None] + np.diff(breaks)[:, None] * np.arange(1, degree + 1) / degree
    first, count = degree * np.arange(len(breaks) - 1), np.full(len(breaks) - 1, degree + 1)
    time = np.append(breaks[0], nodes)
    return Interpolant(time, function(time), breaks, first, count)


def solved(problem, x, u=None, parameters=()):
    result = Result(
        Status.SOLVED, "made by hand", cost=1.0, x=x, u=u, p=None, q=np.zeros(0),
        parameters=np.array(parameters), mesh_error=0.0, method="none",
    )  # fmt: skip
    return Solution(problem, result)


# u̇ = 0 for two neurons; the entries of the 2 × 3 matrix W are m·t for m = 0, …, 5.
def layered(lower=0.0, upper=None):
    upper = np.arange(6.0).reshape(2, 3) if upper is None else upper
    problem = oc.Problem("layers", horizon=oc.Finite(1.0))
    u, W = problem.state("u", 2, lower=-0.5), problem.control("W", (2, 3), lower=lower, upper=upper)
    problem.dynamics(u, 0 * W[:, 0])
    problem.minimize(stage=W[0, 0] ** 2)
    x = polynomials(lambda t: np.ones((len(t), 1)) * [1.0, -0.25])
    return solved(problem, x, polynomials(lambda t: t[:, None] * np.arange(6.0)))


# n curves: entry m of the state is m·(1 + t).
def crowd(n, shape=None):
    x = polynomials(lambda t: (1 + t[:, None]) * np.arange(float(n)), degree=2)
    return Trajectory("crowd", "", x, None, [("S", shape or (n,))], [])


def lines(axes):
    """The lines over time: without strokes of the mesh, bounds and marks."""
    return [line for line in axes.lines if len(line.get_xdata()) > 2 and line.get_marker() != 2]


def levels(axes):
    """Height and colour of the horizontal lines."""
    return [
        (line.get_ydata()[0], to_hex(line.get_color()))
        for line in axes.lines
        if list(line.get_xdata()) == [0, 1]
    ]


def ylabels(figure):
    return [axes.get_ylabel().split("\n")[0] for axes in figure.axes]


# ---------------------------------------------------------------------- names


def test_matrices_are_flattened_with_labels():
    axes = plot.trajectories(layered(), "W").axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["W[0, 0]", "W[0, 1]", "W[0, 2]", "W[1, 0]", "W[1, 1]", "W[1, 2]"]
    for m, line in enumerate(lines(axes)):
        np.testing.assert_allclose(line.get_ydata(), m * line.get_xdata(), atol=1e-12)


def test_names_choose_variables_and_components():
    assert ylabels(plot.trajectories(layered(), ["W", "u"])) == ["state u", "control W"]
    assert ylabels(plot.trajectories(layered(), "u[1]")) == ["state u[1]"]
    (axes,) = plot.trajectories(layered(), ["W[1,2]", "W[0, 1]"]).axes
    assert [line.get_label() for line in lines(axes)] == ["W[1, 2]", "W[0, 1]"]
    for m, line in zip((5, 1), lines(axes), strict=True):
        np.testing.assert_allclose(line.get_ydata(), m * line.get_xdata(), atol=1e-12)


def test_long_names_are_said_once():
    x = polynomials(lambda t: np.ones((len(t), 4)))
    layout = [("firing rate of the inhibitory cells", (4,))]
    axes = plot.trajectories(Trajectory("long", "", x, None, layout, [])).axes[0]
    assert axes.get_ylabel() == "state firing rate of the\ninhibitory cells\n(dimensionless)"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["[0]", "[1]", "[2]", "[3]"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("y", r"no state or control 'y'; it has \['u', 'W'\]"),
        (["W", 3], r"no state or control 3; it has \['u', 'W'\]"),
        ("W[2, 0]", r"no 'W\[2, 0\]'; 'W' has shape \(2, 3\)"),
        ("W[1]", r"'W' has shape \(2, 3\)"),
        ("W[-1, 0]", "no state or control"),
        ([], "empty"),
    ],
)
def test_unknown_names(names, message):
    with pytest.raises(ProblemError, match=message):
        plot.trajectories(layered(), names)


# ---------------------------------------------------------------------- bounds


@pytest.mark.parametrize(("upper", "expected"), [(6.0, [-1.0, 6.0]), (50.0, [-1.0])])
def test_near_bounds_are_drawn_and_far_ones_are_not(upper, expected):
    axes = plot.trajectories(layered(lower=-1.0, upper=upper), "W").axes[0]
    assert levels(axes) == [(value, to_hex("0.45")) for value in expected]


def test_bounds_of_single_components_have_their_colour():
    figure = plot.trajectories(layered())
    assert ylabels(figure) == ["state u", "control W"]
    assert levels(figure.axes[0]) == [(-0.5, to_hex("0.45"))]
    shared, *own = levels(figure.axes[1])  # W[0, 0] is held at 0: that is no bound
    assert shared == (0.0, to_hex("0.45"))
    assert own == [(float(m), panels.COLOURS[m].lower()) for m in range(1, 6)]


def test_bounds_follow_the_parameters_of_the_solve():
    problem = oc.Problem("limited", horizon=oc.Finite(1.0))
    x, limit = problem.state("x"), problem.parameter("limit", value=1.0)
    u = problem.control("u", upper=limit)
    problem.dynamics(x, u)
    problem.minimize(stage=u**2)
    ramp = polynomials(lambda t: t[:, None])
    assert (
        levels(plot.trajectories(solved(problem, ramp, ramp, parameters=[1.25]), "u").axes[0])[0][0] == 1.25
    )


def test_bounds_need_the_problem():
    solution = layered()
    solution.problem = None
    assert all(levels(axes) == [] for axes in plot.trajectories(solution).axes)


# ---------------------------------------------------------------------- curves


def test_jumps_between_intervals_are_upright():
    x = polynomials(lambda t: t[:, None], breaks=[0.0, 1.0, 2.0])
    u = Interpolant(np.array([0.5, 1.5]), np.array([[1.0], [3.0]]), x.breaks, np.arange(2), np.ones(2, int))
    trajectory = Trajectory("jump", "", x, u, [("x", (1,))], [("u", (1,))])
    t, y = lines(plot.trajectories(trajectory, "u").axes[0])[0].get_data()
    np.testing.assert_array_equal(y, [1, 1, 3, 3])
    np.testing.assert_allclose(t, [0, 1, 1, 2], rtol=1e-15)


def test_many_components_are_coloured_by_index():
    figure = plot.trajectories(crowd(12, (3, 4)))
    panel, bar = figure.axes
    (collection,) = [c for c in panel.collections if isinstance(c, LineCollection)]
    assert panel.get_legend() is None
    np.testing.assert_array_equal(collection.get_array(), np.arange(12))
    for m, segment in enumerate(collection.get_segments()):
        np.testing.assert_allclose(segment[:, 1], m * (1 + segment[:, 0]), atol=1e-12)
    assert panel.get_ylim()[1] >= 22
    assert [text.get_text() for text in bar.get_yticklabels()][::4] == ["S[0, 0]", "S[2, 3]"]


def test_very_many_components_are_thinned_out_and_it_is_said():
    panel, bar = plot.trajectories(crowd(1000)).axes
    (collection,) = [c for c in panel.collections if isinstance(c, LineCollection)]
    starts = [segment[0, 1] for segment in collection.get_segments()]
    assert len(starts) == panels.MOST_LINES
    assert (starts[0], starts[-1]) == (0.0, 999.0)
    assert bar.get_ylabel() == "400 of 1000 components"


def test_steps_of_many_components():
    v = Interpolant.sequence(np.arange(3), np.outer([0.5, -1.0, 0.25], np.arange(12)))
    axes = plot.trajectories(Trajectory("steps", "", v, None, [("v", (12,))], [])).axes[0]
    for m, segment in enumerate(axes.collections[0].get_segments()):
        np.testing.assert_array_equal(segment[:, 0], [0, 1, 1, 2, 2])
        np.testing.assert_array_equal(segment[:, 1], m * np.array([0.5, 0.5, -1.0, -1.0, 0.25]))


def test_one_step():
    x, u = (Interpolant.sequence(np.arange(n), np.ones((n, 1))) for n in (2, 1))
    figure = plot.trajectories(Trajectory("one", "", x, u, [("x", (1,))], [("u", (1,))]))
    assert [len(axes.lines[0].get_xdata()) for axes in figure.axes] == [2, 1]


def test_rounding_errors_of_a_constant_do_not_fill_the_panel():
    x = polynomials(lambda t: 2.0 + 1e-13 * np.sin(40 * t[:, None]))
    low, high = plot.trajectories(Trajectory("still", "", x, None, [("x", (1,))], [])).axes[0].get_ylim()
    assert low < 1.9
    assert high > 2.1


def test_heat_maps_of_zeros_and_of_what_is_not_finite():
    zeros = Trajectory("zeros", "", polynomials(lambda t: np.zeros((len(t), 4))), None, [("M", (2, 2))], [])
    assert plot.weights(zeros, "M").axes[1].images[0].get_clim() == (-1, 1)
    broken = Trajectory(
        "nan", "", polynomials(lambda t: np.full((len(t), 4), np.nan)), None, [("M", (2, 2))], []
    )
    plot.weights(broken, "M").savefig(io.BytesIO())


# ---------------------------------------------------------------------- time


# A state and a 1 × 2 control that go from 1 to 0 in the first tenth of [0, 100].
def fading(horizon):
    problem = oc.Problem("fading", horizon=horizon)
    x, W = problem.state("x"), problem.control("W", (1, 2))
    problem.dynamics(x, -x + 0 * W[0, 0])
    problem.minimize(stage=x**2)
    breaks = np.array([0.0, 10.0, 100.0])
    x, W = (
        polynomials(lambda t, n=n: np.maximum(1 - t / 10, 0)[:, None] * np.ones(n), degree=1, breaks=breaks)
        for n in (1, 2)
    )
    return solved(problem, x, W)


@pytest.mark.parametrize(("horizon", "end"), [(oc.Discounted(0.5), 15.0), (oc.Finite(100.0), 100.0)])
def test_infinite_horizons_end_where_nothing_moves(horizon, end):
    solution = fading(horizon)
    for figure in (plot.trajectories(solution), plot.weights(solution, "W"), plot.compare({"a": solution})):
        np.testing.assert_allclose(figure.axes[0].get_xlim(), (0.0, end), rtol=0.02)
        assert lines(figure.axes[0])[0].get_xdata()[-1] == 100.0


def test_infinitely_many_steps_that_rest_at_once():
    problem = oc.Problem("at once", horizon=oc.Steps(None, discount=0.1))
    z = problem.state("z", initial=1.0)
    problem.dynamics(z, 0 * z)
    problem.minimize(stage=z**2)
    solution = solved(problem, Interpolant.sequence(np.arange(9), np.eye(9)[:, :1]))
    assert plot.trajectories(solution).axes[0].get_xlim()[1] == 1.5


def test_heat_maps_are_closer_where_the_matrix_moves_more():
    titles = [axes.get_title() for axes in plot.weights(fading(oc.Finite(100.0)), "W").axes]
    times = [float(title[4:]) for title in titles if title]
    # t/10 of the movement until 10, and t/100 of the time: a quarter of their sum each
    np.testing.assert_allclose(times, [0.0, 0.5 / 0.11, 1.0 / 0.11, 50.0, 100.0], rtol=1e-3)


def test_heat_maps_show_what_holds_at_a_step():
    z = Interpolant.sequence(np.arange(9), np.arange(9.0)[:, None] * np.ones(4))
    trajectory = Trajectory("steps", "", z, None, [("M", (2, 2))], [])
    figure = plot.weights(trajectory, "M")
    found = [(axes.get_title(), axes.images[0].get_array().max()) for axes in figure.axes if axes.images]
    assert found == [("k = 0", 0), ("k = 2", 2), ("k = 4", 4), ("k = 6", 6), ("k = 8", 8)]
    given = [axes.get_title() for axes in plot.weights(trajectory, "M", times=[1, 2.5]).axes if axes.images]
    assert given == ["k = 1", "k = 2"]
