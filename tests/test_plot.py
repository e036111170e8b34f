"""Figures drawn from trajectories whose values are known in closed form."""

import io
import warnings

import casadi as ca
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.quiver import Quiver

import ocnet as oc
from ocnet import plot
from ocnet.errors import ProblemError
from ocnet.solution import Result, Solution, Status
from ocnet.trajectory import Interpolant, Trajectory

BREAKS = np.array([0.0, 0.1, 0.3, 0.6, 1.0])


def polynomials(function, degree=6, breaks=BREAKS, ends=True):
    """Interpolate function(t) -> (T, n) on each interval; without nodes at the left ends if not `ends`."""
    nodes = (breaks[:-1, None] + np.diff(breaks)[:, None] * np.arange(1, degree + 1) / degree).ravel()
    time = np.append(breaks[0], nodes) if ends else nodes
    first, count = degree * np.arange(len(breaks) - 1), np.full(len(breaks) - 1, degree + ends)
    return Interpolant(time, function(time), breaks, first, count)


def columns(*functions):
    return lambda t: np.stack([f(t) for f in functions], axis=-1)


def solved(problem, x, u=None, p=None, *, cost=1.0, status=Status.SOLVED, stats=None, parameters=()):
    result = Result(
        status=status, message="made by hand", cost=cost, x=x, u=u, p=p, q=np.zeros(problem.functions.nq),
        parameters=np.asarray(parameters, dtype=float), mesh_error=1e-9, method="none", stats=stats or {},
    )  # fmt: skip
    return Solution(problem, result)


# min ½∫x² + ẋ², ẋ = u, x(0) = 1 on [0, 1]: x = cosh(1 − t)/cosh 1, p = −u = sinh(1 − t)/cosh 1 and
# H = ½/cosh² 1.
def x_exact(t):
    return np.cosh(1 - t) / np.cosh(1)


def p_exact(t):
    return np.sinh(1 - t) / np.cosh(1)


def regulator(horizon=None, lower=-1.0, upper=50.0):
    problem = oc.Problem("regulator", horizon=horizon or oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u", lower=lower, upper=upper)
    problem.dynamics(x, u)
    problem.minimize(stage=0.5 * (x**2 + problem.derivative(x) ** 2))
    return problem


def regulated(problem=None, **more):
    x, p = polynomials(columns(x_exact)), polynomials(columns(p_exact))
    return solved(
        problem or regulator(), x, polynomials(columns(lambda t: -p_exact(t)), ends=False), p, **more
    )


# u̇ = 0 for two neurons; the entries of the 2 × 3 matrix W are m·t for m = 0, …, 5, within own bounds.
# The entries of the 2 × 3 control W are m·t for m = 0, …, 5; the state u rests.
def layered():
    u = polynomials(lambda t: np.ones((len(t), 2)))
    W = polynomials(lambda t: t[:, None] * np.arange(6.0), ends=False)
    return Trajectory("layers", "", u, W, [("u", (2,))], [("W", (2, 3))])


# z_{k+1} = z_k/2 + v_k, ℓ = z² + v² + (z_{k+1} − z_k)²; Z and V satisfy the dynamics, P is arbitrary.
V = np.array([0.5, -1.0, 0.25, 0.0])
Z = np.array([2.0, 1.5, -0.25, 0.125, 0.0625])
P = np.array([4.0, 3.0, 2.0, 1.0, 0.5])


def counted(n=1):
    problem = oc.Problem("counted", horizon=oc.Steps(4, discount=0.1))
    z, v = problem.state("z", n, initial=np.full(n, 2.0)), problem.control("v", n, lower=-1.0, upper=1.0)
    problem.dynamics(z, z / 2 + v)
    problem.minimize(stage=ca.sumsqr(z) + ca.sumsqr(v) + ca.sumsqr(problem.derivative(z)))
    z, v, p = (Interpolant.sequence(np.arange(len(a)), np.outer(a, np.arange(1, n + 1))) for a in (Z, V, P))
    return solved(problem, z, v, p)


# N(0, …) many curves: entry m of the state is m·(1 + t).
def crowd(n, shape=None):
    x = polynomials(lambda t: (1 + t[:, None]) * np.arange(float(n)), degree=2)
    return Trajectory("crowd", "", x, None, [("S", shape or (n,))], [])


# A circle, run through once: a = cos t, b = sin t, and a third state that falls from 1 to 0.
def circled(**control):
    problem = oc.Problem("circle", horizon=oc.Finite(2 * np.pi))
    s, w = problem.state("s", 2), problem.state("w")
    f = problem.control("f", **control)
    problem.dynamics(s, ca.vertcat(-s[1] + f, s[0]))
    problem.dynamics(w, -1 / (2 * ca.pi) + 0 * w)
    problem.minimize(stage=f**2)
    breaks = np.linspace(0, 2 * np.pi, 9)
    x = polynomials(columns(np.cos, np.sin, lambda t: 1 - t / (2 * np.pi)), degree=7, breaks=breaks)
    return solved(problem, x, polynomials(columns(lambda t: 0 * t), breaks=breaks))


def lines(axes):
    """The lines of axes that are over time: without strokes of the mesh, bounds and marks."""
    return [a for a in axes.lines if len(a.get_xdata()) > 2 and a.get_marker() != 2]


def ylabels(figure):
    return [axes.get_ylabel().split("\n")[0] for axes in figure.axes]


# ---------------------------------------------------------------------- trajectories


def test_trajectories_draw_the_polynomials():
    figure = plot.trajectories(regulated(cost=0.380797078))
    assert ylabels(figure) == ["state x", "costate of x", "control u"]
    for axes, exact in zip(figure.axes, (x_exact, p_exact, lambda t: -p_exact(t)), strict=True):
        (line,) = lines(axes)
        t, y = line.get_data()
        assert len(t) > 590
        assert (t[0], t[-1]) == (0.0, 1.0)
        assert np.all(np.diff(t) > 0)
        np.testing.assert_allclose(y, exact(t), atol=2e-6)
        strokes = next(line for line in axes.lines if line.get_marker() == 2)
        np.testing.assert_array_equal(strokes.get_xdata(), BREAKS)
        assert axes.get_xlabel() == "time t (dimensionless)"
        assert axes.get_ylabel().endswith("(dimensionless)")
        assert axes.get_legend() is None
        np.testing.assert_allclose(axes.get_xlim(), (0, 1))
    assert figure.get_suptitle() == "regulator: cost 0.3807971"


def test_steps_are_held_and_dotted():
    figure = plot.trajectories(counted())
    for axes, values in zip(figure.axes, (Z, P, V), strict=True):
        (line,) = lines(axes)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(values)))
        np.testing.assert_array_equal(line.get_ydata(), values)
        assert (line.get_drawstyle(), line.get_marker()) == ("steps-post", "o")
        assert axes.get_xlabel() == "step k"
    across = [line.get_ydata()[0] for line in figure.axes[2].lines if list(line.get_xdata()) == [0, 1]]
    assert across == [-1.0, 1.0]  # the bounds


def test_title_says_what_failed():
    title = plot.trajectories(regulated(status=Status.ITERATION_LIMIT)).get_suptitle()
    assert title == "regulator: cost 1 (iteration limit)"
    assert plot.trajectories(regulated(cost=-1.5e-9)).get_suptitle() == "regulator: cost −1.5e−09"


# ---------------------------------------------------------------------- compare


def test_compare_overlays_all():
    figure = plot.compare({"a": regulated(cost=0.5), "b": regulated()})
    assert ylabels(figure) == ["state x", "costate of x", "control u"]
    for axes in figure.axes:
        a, b = lines(axes)
        np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())
        assert (a.get_color(), a.get_linestyle()) != (b.get_color(), b.get_linestyle())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a: cost 0.5", "b: cost 1"]


def test_compare_draws_what_all_have():
    solution, bare = regulated(), regulated()
    trajectory = Trajectory("simulation", "", bare.x, None, [("x", (1,))], [])
    figure = plot.compare({"solution": solution, "simulation": trajectory})
    assert ylabels(figure) == ["state x"]
    assert figure.get_suptitle() == "regulator and simulation"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["solution: cost 1", "simulation"]
    with pytest.raises(ProblemError, match=r"'simulation'.*no state or control 'u'"):
        plot.compare({"solution": solution, "simulation": trajectory}, "u")


def test_compare_refuses_what_cannot_be_compared():
    with pytest.raises(ProblemError, match="an empty mapping"):
        plot.compare({})
    with pytest.raises(ProblemError, match="got list"):
        plot.compare([regulated()])
    with pytest.raises(ProblemError, match=r"'b'.*got int"):
        plot.compare({"a": regulated(), "b": 3})
    with pytest.raises(ProblemError, match="count steps"):
        plot.compare({"a": regulated(), "b": counted()})
    with pytest.raises(ProblemError, match="share no variable"):
        plot.compare({"a": regulated(), "b": layered()})


# ---------------------------------------------------------------------- weights


def test_weights_have_curves_and_heat_maps():
    figure = plot.weights(layered(), "W")
    curves, *maps, bar = figure.axes
    assert len(lines(curves)) == 6
    assert len(maps) == 5
    for axes, t in zip(maps, (0, 0.25, 0.5, 0.75, 1), strict=True):
        image = axes.images[0]
        np.testing.assert_allclose(image.get_array(), t * np.arange(6).reshape(2, 3), atol=1e-12)
        assert image.get_clim() == pytest.approx((-5, 5))
        assert axes.get_title() == f"t = {t:g}"
    marked = [line.get_xdata()[0] for line in curves.lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(marked, [0, 0.25, 0.5, 0.75, 1])
    assert bar.get_ylabel() == "control W\n(dimensionless)"


def test_weights_at_given_times_and_of_a_state():
    figure = plot.weights(crowd(12, (3, 4)), "S", times=[0.2])
    images = [axes.images[0] for axes in figure.axes if axes.images]
    np.testing.assert_allclose(images[0].get_array(), 1.2 * np.arange(12).reshape(3, 4))
    assert len(images) == 1


def test_weights_refuse():
    with pytest.raises(ProblemError, match=r"'u' of 'layers' is no matrix \('u' has shape \(2,\)\)"):
        plot.weights(layered(), "u")
    with pytest.raises(ProblemError, match="is no matrix"):
        plot.weights(layered(), "W[0, 0]")
    with pytest.raises(ProblemError, match=r"it has \['u', 'W'\]"):
        plot.weights(layered(), "V")
    with pytest.raises(ProblemError, match=r"time 1.5 lies outside"):
        plot.weights(layered(), "W", times=[0.5, 1.5])
    with pytest.raises(ProblemError, match="expected 1 to 8 times"):
        plot.weights(layered(), "W", times=[])
    with pytest.raises(ProblemError, match=r"shape \(9,\)"):
        plot.weights(layered(), "W", times=np.linspace(0, 1, 9))


# ---------------------------------------------------------------------- hamiltonian


def test_hamiltonian_of_an_autonomous_problem_is_constant():
    value = 0.5 / np.cosh(1) ** 2
    solution = regulated()
    above, below = plot.hamiltonian(solution).axes
    dense, nodes = lines(above)
    np.testing.assert_allclose(dense.get_ydata(), value, atol=1e-6)
    np.testing.assert_allclose(nodes.get_ydata(), value, atol=1e-14)
    np.testing.assert_array_equal(nodes.get_xdata(), solution.control_time)
    assert np.ptp(above.get_ylim()) > 0.1 * value
    assert below.get_yscale() == "log"
    assert np.nanmax(lines(below)[0].get_ydata()) < 1e-6
    assert not np.any(lines(below)[1].get_ydata() <= 0)


@pytest.mark.parametrize("change", ["discount", "time", "sample"])
def test_hamiltonian_need_not_be_constant(change):
    problem = oc.Problem("moving", horizon=oc.Finite(1.0, discount=0.5 * (change == "discount")))
    x, u = problem.state("x", initial=1.0), problem.control("u")
    problem.dynamics(x, u * (1 + problem.time) if change == "time" else u)
    problem.minimize(stage=0.5 * (x**2 + u**2))
    if change == "sample":
        problem.cost_at(0.5, x**2)
    (axes,) = plot.hamiltonian(regulated(problem)).axes
    t, h = lines(axes)[1].get_data()
    speed = 1 + t if change == "time" else 1.0
    np.testing.assert_allclose(
        h, 0.5 * (x_exact(t) ** 2 + p_exact(t) ** 2) - speed * p_exact(t) ** 2, atol=1e-14
    )


def test_hamiltonian_where_the_control_jumps():
    u = polynomials(columns(lambda t: np.where(t <= 0.3, -1.0, 2.0)), ends=False)
    solution = solved(regulator(), polynomials(columns(x_exact)), u, polynomials(columns(p_exact)))
    t, h = lines(plot.hamiltonian(solution).axes[0])[1].get_data()
    u = np.where(t <= 0.3, -1.0, 2.0)  # the node at 0.3 belongs to the interval before
    np.testing.assert_allclose(h, 0.5 * (x_exact(t) ** 2 + u**2) + p_exact(t) * u, atol=1e-12)


def test_hamiltonian_in_discrete_time():
    (axes,) = plot.hamiltonian(counted()).axes
    stage = Z[:-1] ** 2 + V**2 + np.diff(Z) ** 2
    for line in lines(axes):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(4))
        np.testing.assert_allclose(line.get_ydata(), stage + np.exp(-0.1) * P[1:] * Z[1:], rtol=1e-14)


def test_hamiltonian_without_controls():
    problem = oc.Problem("free", horizon=oc.Finite(1.0))
    x = problem.state("x", 2, initial=[1.0, 0.0])
    problem.dynamics(x, ca.vertcat(0.0, 2.0))
    problem.minimize(stage=x[0])
    curve = polynomials(columns(lambda t: 0 * t + 1, lambda t: 2 * t))
    figure = plot.hamiltonian(
        solved(problem, curve, None, polynomials(columns(lambda t: 1 - t, lambda t: 0 * t + 3)))
    )
    np.testing.assert_allclose(lines(figure.axes[0])[1].get_ydata(), 7.0)


def test_hamiltonian_needs_costates_and_the_problem():
    solution = regulated()
    solution.p = None
    with pytest.raises(ProblemError, match="'regulator' has no costates"):
        plot.hamiltonian(solution)
    solution.problem = None
    with pytest.raises(ProblemError, match="problem="):
        plot.hamiltonian(solution)
    with pytest.raises(ProblemError, match="got Trajectory; expected a Solution"):
        plot.hamiltonian(crowd(2))


# ---------------------------------------------------------------------- mesh


def test_mesh_shows_lengths_errors_and_degrees():
    errors = [1e-3, 1e-5, 1e-7, 0.0]
    figure = plot.mesh(regulated(stats={"interval_errors": errors}))
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "interval length\n(dimensionless)", "error estimate\n(relative)", "degree\nof the states"
    ]  # fmt: skip
    for axes, expected in zip(figure.axes, (np.diff(BREAKS), errors, [6, 6, 6, 6]), strict=True):
        data = axes.patches[0].get_data()
        np.testing.assert_allclose(data.values, expected)
        np.testing.assert_array_equal(data.edges, BREAKS)
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log", "linear"]
    assert figure.get_suptitle() == "regulator: cost 1, intervals: 4"


def test_mesh_without_estimates_and_with_a_layer():
    breaks = np.array([0.0, 1e-4, 1.0])
    x = polynomials(columns(lambda t: t), degree=3, breaks=breaks)
    figure = plot.mesh(Trajectory("layer", "", x, None, [("x", (1,))], []))
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear"]


def test_mesh_refuses():
    with pytest.raises(ProblemError, match="'counted' counts steps"):
        plot.mesh(counted())
    with pytest.raises(
        ProblemError, match=r"shape \(3,\); expected one estimate for each of its 4 intervals"
    ):
        plot.mesh(regulated(stats={"interval_errors": [1, 2, 3]}))


# ---------------------------------------------------------------------- phase


def test_phase_draws_one_component_against_another():
    (axes,) = plot.phase(circled(), "s[0]", "s[1]").axes
    path, start, end = axes.lines
    np.testing.assert_allclose(np.hypot(*path.get_data()), 1.0, atol=1e-6)
    assert len(path.get_xdata()) > 590
    np.testing.assert_allclose([*start.get_data(), *end.get_data()], [[1], [0], [1], [0]], atol=1e-12)
    assert axes.get_xlabel() == "state s[0] (dimensionless)"
    assert axes.get_ylabel() == "state s[1] (dimensionless)"


def test_phase_of_a_control_uses_its_steps():
    (axes,) = plot.phase(counted(), "z", "v").axes
    np.testing.assert_array_equal(axes.lines[0].get_data(), [Z[:-1], V])


def test_field_without_control_is_the_rotation():
    (axes,) = plot.phase(circled(lower=-1.0), "s[0]", "s[1]", field=True).axes
    streams = next(c for c in axes.collections if isinstance(c, LineCollection))
    pieces = np.concatenate([np.stack([s[:-1], s[1:]], axis=1) for s in streams.get_segments()])
    steps = pieces[np.hypot(*pieces.mean(axis=1).T) > 0.2]
    middle, direction = steps.mean(axis=1), np.diff(steps, axis=1)[:, 0]
    radial = np.sum(middle * direction, axis=1) / np.hypot(*middle.T)
    assert len(steps) > 100
    assert np.abs(radial).sum() < 1e-2 * np.hypot(*direction.T).sum()  # streams keep their distance
    assert axes.get_title() == "grey: flow with controls at zero, other states as at the end"


def test_field_takes_the_admissible_control_nearest_zero():
    problem = oc.Problem("pushed", horizon=oc.Steps(4))
    z, v = problem.state("z", 2), problem.control("v", lower=0.5, upper=1.0)
    problem.dynamics(z, ca.vertcat(z[0] / 2, z[1] + v))
    problem.minimize(stage=v**2)
    z = Interpolant.sequence(np.arange(5), np.stack([Z, -Z], axis=1))
    solution = solved(problem, z, Interpolant.sequence(np.arange(4), np.ones((4, 1))))
    (axes,) = plot.phase(solution, "z[0]", "z[1]", field=True).axes
    arrows = next(c for c in axes.collections if isinstance(c, Quiver))
    np.testing.assert_allclose(arrows.U, -arrows.X / 2)
    np.testing.assert_allclose(arrows.V, 0.5)
    assert axes.get_title() == "grey: flow with controls at the bounds nearest zero"


def test_phase_refuses():
    with pytest.raises(ProblemError, match=r"'s' has shape \(2,\); expected one component, such as 's\[0\]'"):
        plot.phase(circled(), "s", "w")
    with pytest.raises(ProblemError, match=r"it has \['s', 'w', 'f'\]"):
        plot.phase(circled(), "s[0]", "q")
    with pytest.raises(ProblemError, match="a field needs two states"):
        plot.phase(circled(), "s[0]", "f", field=True)
    with pytest.raises(ProblemError, match="got Trajectory; expected a Solution"):
        plot.phase(crowd(2), "S[0]", "S[1]", field=True)


def test_failed_solutions_are_drawn_too():
    x = polynomials(columns(lambda t: np.nan * t))
    broken = solved(regulator(), x, x, x, cost=np.nan, status=Status.NOT_FINITE)
    for draw in (plot.trajectories, plot.hamiltonian, plot.mesh, lambda s: plot.phase(s, "x", "u")):
        draw(broken).savefig(io.BytesIO())
    with pytest.raises(ProblemError, match="no finite values"):
        plot.phase(broken, "x", "x", field=True)


# ---------------------------------------------------------------------- all

FIGURES = {
    "scalar": lambda **size: plot.trajectories(regulated(), **size),
    "matrix": lambda **size: plot.trajectories(layered(), **size),
    "steps": lambda **size: plot.trajectories(counted(3), **size),
    "crowd": lambda **size: plot.trajectories(crowd(120), **size),
    "legend": lambda **size: plot.trajectories(crowd(10, (2, 5)), **size),
    "compare": lambda **size: plot.compare(dict.fromkeys(["one", "two", "three"], regulated()), **size),
    "weights": lambda **size: plot.weights(crowd(12, (3, 4)), "S", **size),
    "hamiltonian": lambda **size: plot.hamiltonian(regulated(), **size),
    "mesh": lambda **size: plot.mesh(regulated(stats={"interval_errors": [1e-3, 1e-5, 1e-7, 0.0]}), **size),
    "phase": lambda **size: plot.phase(circled(), "s[0]", "s[1]", field=True, **size),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_whole_and_leave_nothing_behind(name):
    figure = FIGURES[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # of old releases of matplotlib
        figure.savefig(io.BytesIO(), format="png")
    assert plt.get_fignums() == []
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > 0, "something reaches beyond the paper"
    labels = [axis.label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    assert len({label.get_fontsize() for label in labels if label.get_text()}) == 1


@pytest.mark.parametrize("name", FIGURES)
def test_figsize(name):
    np.testing.assert_array_equal(FIGURES[name](figsize=(9.0, 6.5)).get_size_inches(), [9.0, 6.5])
