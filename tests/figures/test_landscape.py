"""What the figures of landscapes show: the right marks in the right places, and where control acts."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

import ocnet as oc
from ocnet.errors import ProblemError, ShapeError
from ocnet.figures.landscape import ACTIVE, CYCLE, LOOKS
from ocnet.networks import energy, hopfield
from problems import synaptic_control

T = np.array([[1.6, 0.6], [0.6, 1.9]])
TURNING = hopfield([[2.0, -2.0], [2.0, 2.0]])
FOUND = oc.landscape(hopfield(T), -3, 3)
TURN = oc.landscape(TURNING, -3, 3)


def marks(axes, kind):
    """Places of the marks of one kind of equilibrium."""
    look = LOOKS[kind]
    return sorted(
        tuple(float(v) for v in np.concatenate([line.get_xdata(), line.get_ydata()]))
        for line in axes.lines
        if line.get_marker() == look["marker"] and line.get_markerfacecolor() == look["markerfacecolor"]
    )


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_equilibria_are_marked_by_kind():
    figure = oc.plot.landscape(FOUND)
    axes = figure.axes[0]
    for kind in ("sink", "source", "saddle"):
        assert marks(axes, kind) == sorted(tuple(e.x) for e in FOUND.of_kind(kind))
    assert legend(figure) == ["sink", "source", "saddle"]
    assert LOOKS["sink"]["markerfacecolor"] == "#C8171D"  # red
    assert LOOKS["source"]["markerfacecolor"] == "#0F5FB5"  # blue
    assert axes.get_xlim() == (-3, 3)
    assert axes.get_xlabel() == "state u[0] (dimensionless)"
    assert axes.get_ylabel() == "state u[1] (dimensionless)"


def test_trajectories_and_energy():
    paths = [oc.simulate(hopfield(T), initial=s, tf=30.0) for s in ([0.2, -2.2], [-2.0, 1.9])]
    figure = oc.plot.landscape(FOUND, paths, energy=energy(T))
    axes, bar = figure.axes
    assert bar.get_ylabel() == "energy E (dimensionless)"
    ends = [line for line in axes.lines if line.get_marker() == "s"]
    assert [(*e.get_xdata(), *e.get_ydata()) for e in ends] == [tuple(p.states["u"][-1]) for p in paths]
    assert not any(isinstance(c, LineCollection) and c.get_zorder() == 3 for c in axes.collections)
    assert "trajectory" in legend(figure)


def test_where_control_acts():
    """A control that is on from t = 1 to t = 2 colours that stretch and no other."""
    problem = synaptic_control.problem(T, [0.1, 0.1], bounds=(1.0, 1.0), discount=0.5)

    def xi(t):
        return np.where(1 <= t < 2, 0.5, 0.001) * np.eye(2)

    path = oc.simulate(problem, schedule={"xi": xi}, initial=[0.1, 0.1], tf=5.0)
    figure = oc.plot.landscape(oc.landscape(problem, -3, 3, controls={"xi": 0.0}), path)
    (band,) = [c for c in figure.axes[0].collections if isinstance(c, LineCollection) and c.get_zorder() == 3]
    assert band.get_colors()[0] == pytest.approx(np.append(np.array([0xE6, 0x9F, 0x00]) / 255, 1))
    assert ACTIVE == "#E69F00"
    points = np.concatenate(band.get_segments())
    assert points.min(axis=0) == pytest.approx(path.state("u", 1.0), abs=0.03)
    assert points.max(axis=0) == pytest.approx(path.state("u", 2.0), abs=0.03)
    assert "control acts (above 2% of its largest)" in legend(figure)
    everywhere = oc.plot.landscape(oc.landscape(problem, -3, 3, controls={"xi": 0.0}), path, active=0.0)
    (band,) = [
        c for c in everywhere.axes[0].collections if isinstance(c, LineCollection) and c.get_zorder() == 3
    ]
    assert np.concatenate(band.get_segments()).min(axis=0) == pytest.approx([0.1, 0.1])


def test_the_same_field_under_two_controls_side_by_side():
    problem = synaptic_control.problem(
        np.array([[0.2, 2.0], [-0.5, 1.6]]), [0.3, -1.8], bounds=(1, 1), discount=0.1
    )
    bare, held = (oc.landscape(problem, -3, 3, controls={"xi": c * np.eye(2)}) for c in (0.0, 0.9))
    figure = oc.plot.landscape({"under A": bare, "under A + ξ": held})
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["under A", "under A + ξ"]
    assert len(marks(left, "sink")) == len(bare.sinks)
    assert len(marks(right, "sink")) == len(held.sinks)
    assert left.get_shared_x_axes().joined(left, right)


def test_limit_cycles_are_drawn():
    cycle = oc.limit_cycle(TURNING, [0.1, 0.0])
    figure = oc.plot.landscape(TURN, cycles=[cycle])
    (line,) = [line for line in figure.axes[0].lines if line.get_color() == CYCLE]
    assert line.get_linestyle() == "-"
    x = np.column_stack([line.get_xdata(), line.get_ydata()])
    assert np.abs(x[0] - x[-1]).max() < 1e-8
    assert np.ptp(x, axis=0) == pytest.approx(cycle.extent, abs=1e-3)
    assert "limit cycle (stable)" in legend(figure)
    both = oc.plot.landscape({"a": TURN, "b": TURN}, cycles={"b": [cycle]})
    assert [sum(line.get_color() == CYCLE for line in axes.lines) for axes in both.axes] == [0, 1]


def test_planes_of_larger_networks_and_maps():
    network = hopfield(2 * np.eye(3))
    found = oc.landscape(network, -3, 3)
    figure = oc.plot.landscape(found, axes=(2, 0), at=[0.0, 1.0, 0.0])
    assert figure.axes[0].get_xlabel().startswith("state u[2]")
    assert figure.axes[0].get_ylabel().startswith("state u[0]")
    steps = hopfield(2 * np.eye(2), discrete=True)
    path = oc.simulate(steps, initial=[0.1, -0.2], tf=10)
    exchange = hopfield([[0, 2], [2, 0]], discrete=True)
    cycle = oc.limit_cycle(exchange, [1.0, -0.1])
    figure = oc.plot.landscape(oc.landscape(steps, -3, 3), path, cycles=[cycle])
    assert any(type(c).__name__ == "Quiver" for c in figure.axes[0].collections)
    assert any(line.get_marker() == "." for line in figure.axes[0].lines)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: oc.plot.landscape("field"),
            ProblemError,
            "got str; expected a Landscape, which ocnet.landscape",
        ),
        (lambda: oc.plot.landscape({}), ProblemError, "got an empty dict; expected a Landscape"),
        (
            lambda: oc.plot.landscape(FOUND, axes=(0, 0)),
            ProblemError,
            r"axes are \(0, 0\); expected two different",
        ),
        (
            lambda: oc.plot.landscape(FOUND, axes=(0, 2)),
            ProblemError,
            r"axes are \(0, 2\); expected two different",
        ),
        (lambda: oc.plot.landscape(FOUND, at=[1.0]), ShapeError, r"got states of shape \(1,\)"),
        (
            lambda: oc.plot.landscape(FOUND, at=[[1.0, 2.0]]),
            ShapeError,
            r"at has shape \(1, 2\); expected \(2,\)",
        ),
        (
            lambda: oc.plot.landscape(FOUND, [1.0]),
            ProblemError,
            "plot.landscape: got float; expected a Solution",
        ),
        (
            lambda: oc.plot.landscape(FOUND, oc.simulate(hopfield([[1.0]]), initial=[1.0], tf=1.0)),
            ShapeError,
            r"has 1 states; expected 2",
        ),
        (lambda: oc.plot.landscape(FOUND, cycles=[1.0]), ProblemError, "got float among the cycles"),
        (lambda: oc.plot.landscape({"a": FOUND}, cycles={"b": []}), ProblemError, r"cycles for \['b'\]"),
        (
            lambda: oc.plot.landscape({"a": FOUND, "b": oc.landscape(hopfield(np.eye(3) / 2), -1, 1)}),
            ShapeError,
            "'b' has 3 states; expected 2",
        ),
        (
            lambda: oc.plot.landscape(oc.landscape(hopfield([[2.0]]), -3, 3)),
            ProblemError,
            "expected two different ones of the 1 states",
        ),
    ],
)
def test_what_cannot_be_drawn(call, error, message):
    with pytest.raises(error, match=message):
        call()
