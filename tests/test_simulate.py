import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SimulationError
from ocnet.simulate import simulate
from ocnet.trajectory import Interpolant, Trajectory
from tests.extremals import exact_integrator, steps


def oscillator(horizon=None, controls=True):
    problem = oc.Problem("oscillator", horizon=horizon or oc.Finite(10.0))
    x = problem.state("x", 2)
    force = problem.control("force") if controls else 0.0
    problem.dynamics(x, ca.vertcat(x[1], -x[0] + force))
    return problem


def network(horizon=None):
    """Two states and two controls, one of them a matrix; no cost."""
    problem = oc.Problem("network", horizon=horizon or oc.Finite(2.0))
    z = problem.state("z", 3)
    load = problem.state("load")
    W = problem.control("W", (3, 3))
    b = problem.control("b", 3)
    gain = problem.parameter("gain", value=0.5)
    leak = problem.unknown("leak", guess=1.0)
    problem.dynamics(z, -leak * z + gain * ca.mtimes(W, ca.tanh(z)) + b)
    problem.dynamics(load, ca.sumsqr(b))
    return problem


DENSE = np.linspace(0, 10, 777)


# ---------------------------------------------------------------------- accuracy


@pytest.mark.parametrize(("integrator", "tolerance"), [("DOP853", 2e-9), ("LSODA", 1e-8), ("Radau", 1e-7)])
def test_free_motion_is_accurate_everywhere(integrator, tolerance):
    rtol = 1e-8 if integrator == "Radau" else 1e-10
    path = simulate(oscillator(controls=False), initial=[1.0, 0.0], integrator=integrator, rtol=rtol)
    assert path.u is None
    assert np.abs(path.state("x", DENSE) - np.column_stack([np.cos(DENSE), -np.sin(DENSE)])).max() < tolerance
    assert path.time[0] == 0
    assert path.time[-1] == 10


def test_jumps_of_the_schedule_cost_no_accuracy():
    problem = oc.Problem("integrator", horizon=oc.Finite(3.0))
    x = problem.state("x")
    problem.dynamics(x, problem.control("u"))
    breaks = np.array([0.0, 0.7, 1.9, 3.0])
    held = Interpolant(
        breaks[:-1], np.array([[1.0], [-2.0], [5.0]]), breaks, np.arange(3), np.ones(3, dtype=int)
    )
    schedule = Trajectory("any", "", held, held, [], [("u", (1,))])
    path = simulate(problem, schedule=schedule, initial=0.0)
    assert path.state("x", 0.7)[0] == pytest.approx(0.7, abs=1e-14)
    assert path.state("x", 1.9)[0] == pytest.approx(0.7 - 2.4, abs=1e-13)
    assert path.state("x", 3.0)[0] == pytest.approx(0.7 - 2.4 + 5.5, abs=1e-13)
    assert path.control("u", [0.69, 0.71, 1.89, 1.91])[:, 0] == pytest.approx([1, -2, -2, 5], abs=1e-12)
    assert list(path.control_time).count(0.7) == 2  # the moment of a jump is there with both values


def test_schedule_of_a_solution_follows_its_states():
    exact = exact_integrator()
    path = simulate(exact.problem, schedule=exact, initial=1.0)
    t = np.linspace(0, 1, 101)
    assert np.abs(path.state("x", t) - exact.state("x", t)).max() < 1e-9
    again = simulate(exact.problem, schedule=path, initial=1.0)  # a trajectory can drive another simulation
    assert np.abs(again.state("x", t) - path.state("x", t)).max() < 1e-9


def test_stiff_dynamics():
    problem = oc.Problem("stiff", horizon=oc.Finite(2.0))
    x = problem.state("x", initial=0.0)
    problem.dynamics(x, -1e6 * (x - ca.cos(problem.time)))
    path = simulate(problem, initial=0.0, integrator="Radau", rtol=1e-8, atol=1e-10)
    assert path.state("x", 2.0)[0] == pytest.approx(np.cos(2.0), abs=2e-6)
    assert len(path.time) < 3000


# ---------------------------------------------------------------------- schedules and policies


def test_forms_of_a_schedule_agree():
    t = np.linspace(0, 10, 41)
    linear = np.interp(t, [0, 4, 10], [0.0, 2.0, -1.0])
    ends = [
        simulate(oscillator(), schedule=schedule, initial=[1.0, 0.0]).state("x", 10.0)
        for schedule in (
            {"force": ([0, 4, 10], [0.0, 2.0, -1.0])},
            {"force": (t, linear[:, None])},
            {"force": lambda t: np.interp(t, [0, 4, 10], [0.0, 2.0, -1.0])},
        )
    ]
    assert np.abs(ends[0] - ends[1]).max() < 1e-9
    assert np.abs(ends[0] - ends[2]).max() < 1e-6  # a kink that nobody told the integrator about


def test_matrices_names_parameters_and_unknowns():
    W, b = np.arange(9.0).reshape(3, 3) / 10, np.array([0.1, 0.2, 0.3])
    initial = {"load": 2.0, "z": [1.0, -1.0, 0.5]}
    path = simulate(network(), schedule={"b": b, "W": W}, initial=initial)
    assert path.states["z"].shape == (len(path.time), 3)
    assert path.controls["W"].shape == (len(path.control_time), 3, 3)
    assert np.allclose(path.control("W", 1.0), W)
    assert path.state("load", 2.0) == pytest.approx(2.0 + 2 * b @ b)
    h = 1e-5
    slope = (path.state("z", h) - path.state("z", 0.0)) / h
    assert slope == pytest.approx(-path.states["z"][0] + 0.5 * W @ np.tanh(path.states["z"][0]) + b, abs=1e-4)
    other = simulate(
        network(),
        schedule={"W": W, "b": b},
        initial=initial,
        parameters={"gain": 0.0},
        unknowns={"leak": 0.0},
    )
    assert other.state("z", 2.0) == pytest.approx(np.array([1.0, -1.0, 0.5]) + 2 * b)


def test_controls_are_found_by_name_in_a_larger_schedule():
    source = simulate(
        network(), schedule={"W": np.eye(3), "b": np.ones(3)}, initial={"z": np.zeros(3), "load": 0}
    )
    problem = oc.Problem("recall", horizon=oc.Finite(5.0))
    y = problem.state("y", 3)
    problem.dynamics(y, ca.mtimes(problem.control("W", (3, 3)), y))
    path = simulate(problem, schedule=source, initial=[1.0, 2.0, 3.0])
    assert path.time[-1] == 2.0  # the schedule ends before the horizon does
    assert path.state("y", 2.0) == pytest.approx(np.exp(2) * np.array([1, 2, 3]), rel=1e-9)


@pytest.mark.parametrize(
    "policy",
    [
        lambda t, x: -x[1:],
        lambda t, x: -float(x[1]),
        lambda t, x: {"force": -x[1]},
        lambda t, x: ca.DM([-x[1]]),
    ],
)
def test_policies(policy):
    path = simulate(oscillator(), policy=policy, initial=[1.0, 0.0])
    w = np.sqrt(0.75)
    x = np.exp(-DENSE / 2) * (np.cos(w * DENSE) + np.sin(w * DENSE) / (2 * w))
    assert np.abs(path.state("x", DENSE)[:, 0] - x).max() < 1e-8
    assert np.abs(path.control("force", DENSE)[:, 0] + path.state("x", DENSE)[:, 1]).max() < 1e-8
    assert len(path.control_time) == len(path.time)


def test_policy_may_return_a_matrix_of_the_only_control():
    problem = oc.Problem("matrix", horizon=oc.Finite(1.0))
    y = problem.state("y", 2)
    problem.dynamics(y, ca.mtimes(problem.control("W", (2, 2)), y))
    path = simulate(problem, policy=lambda t, x: np.array([[0.0, 1.0], [-1.0, 0.0]]), initial=[1.0, 0.0])
    assert path.state("y", 1.0) == pytest.approx([np.cos(1), -np.sin(1)])


# ---------------------------------------------------------------------- steps


def test_steps_repeat_the_map_exactly():
    exact = steps()
    path = simulate(exact.problem, schedule=exact, initial=1.0)
    assert np.array_equal(path.time, np.arange(13.0))
    assert np.allclose(path.states["x"], exact.states["x"], rtol=0, atol=1e-13)
    assert np.array_equal(path.controls["u"], exact.controls["u"])
    assert path.discrete
    short = simulate(exact.problem, schedule=exact, initial=1.0, tf=5)
    assert len(short.time) == 6
    policy = simulate(exact.problem, policy=lambda k, x: -x, initial=1.0)
    assert policy.states["x"][:, 0] == pytest.approx(0.3 ** np.arange(13.0))
    number = simulate(exact.problem, schedule={"u": lambda k: k}, initial=0.0)
    assert number.controls["u"][:, 0] == pytest.approx(np.arange(12.0))


def test_infinitely_many_steps_need_an_end():
    problem = oc.Problem("forever", horizon=oc.Steps(None, discount=0.1))
    x = problem.state("x")
    problem.dynamics(x, x / 2)
    with pytest.raises(ProblemError, match="no end"):
        simulate(problem, initial=1.0)
    assert simulate(problem, initial=1.0, tf=3).states["x"][:, 0] == pytest.approx([1, 0.5, 0.25, 0.125])


# ---------------------------------------------------------------------- ends


def test_where_a_simulation_ends():
    free = oscillator(oc.Finite(3.0, t0=1.0))
    path = simulate(free, schedule={"force": 0.0}, initial=[1.0, 0.0])
    assert (path.time[0], path.time[-1]) == (1.0, 3.0)
    assert simulate(free, schedule={"force": 0.0}, initial=[1.0, 0.0], tf=7.0).time[-1] == 7.0
    discounted = oscillator(oc.Discounted(0.1))
    with pytest.raises(ProblemError, match="tf="):
        simulate(discounted, schedule={"force": 0.0}, initial=[1.0, 0.0])
    assert simulate(discounted, schedule={"force": ([0, 4], [0, 1])}, initial=[1.0, 0.0]).time[-1] == 4.0
    assert (
        simulate(oscillator(oc.FreeTime(1, 5, 2)), schedule={"force": 0}, initial=[1, 0], tf=2).time[-1] == 2
    )


@pytest.mark.parametrize("tf", [0.0, -1.0, np.inf, np.nan])
def test_impossible_ends(tf):
    with pytest.raises(ProblemError):
        simulate(oscillator(), schedule={"force": 0.0}, initial=[1.0, 0.0], tf=tf)


def test_a_schedule_has_to_cover_the_time():
    schedule = {"force": ([0, 4], [0.0, 1.0])}
    with pytest.raises(ProblemError, match=r"holds on \[0, 4\]"):
        simulate(oscillator(), schedule=schedule, initial=[1.0, 0.0], tf=5.0)
    with pytest.raises(ProblemError, match="cover"):
        simulate(oscillator(), schedule={"force": ([1, 40], [0.0, 1.0])}, initial=[1.0, 0.0])


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ProblemError, "have no values"),
        ({"schedule": {"force": 0}, "policy": lambda t, x: 0}, ProblemError, "both"),
        ({"schedule": {"power": 0}}, ProblemError, "lacks"),
        ({"schedule": {"force": 0, "power": 0}}, ProblemError, "power"),
        ({"schedule": 3.0}, ProblemError, "expected a Trajectory"),
        ({"schedule": {"force": [1.0, 2.0]}}, ShapeError, "schedule of 'force'"),
        ({"schedule": {"force": np.nan}}, DataError, "finite"),
        ({"schedule": {"force": ([0, 1], [1.0, np.nan])}}, DataError, "time 1"),
        ({"schedule": {"force": ([1, 0], [1.0, 2.0])}}, DataError, "increasing"),
        ({"schedule": {"force": ([0, 1, 2], [1.0, 2.0])}}, ShapeError, "values have shape"),
        ({"schedule": {"force": 0}, "initial": [1.0]}, ShapeError, "initial of 'x'"),
        ({"schedule": {"force": 0}, "initial": None}, ProblemError, "initial is None"),
        ({"schedule": {"force": 0}, "initial": {"y": 0}}, ProblemError, "lacks"),
        ({"schedule": {"force": 0}, "initial": [np.nan, 0]}, DataError, "finite"),
        ({"schedule": {"force": 0}, "integrator": "Euler"}, OptionError, "Euler"),
        ({"schedule": {"force": 0}, "parameters": {"a": 1}}, ProblemError, "unknown"),
        ({"policy": lambda t, x: [1.0, 2.0]}, ShapeError, "policy at t = 0"),
        ({"policy": lambda t, x: {"power": 1.0}}, ProblemError, "missing"),
        ({"policy": lambda t, x: np.nan}, SimulationError, "policy gives force = nan"),
    ],
)
def test_refusals(arguments, error, words):
    with pytest.raises(error, match=words):
        simulate(oscillator(), **({"initial": [1.0, 0.0]} | arguments))


def test_trajectories_that_do_not_fit():
    sequence = steps()
    with pytest.raises(ProblemError, match="control 'force'"):
        simulate(oscillator(), schedule=sequence, initial=[1.0, 0.0])
    continuous = exact_integrator()
    with pytest.raises(ProblemError, match="continuous time, the problem in steps"):
        simulate(sequence.problem, schedule=continuous, initial=1.0)
    with pytest.raises(ProblemError, match="one array"):
        simulate(network(), schedule={"W": 0, "b": 0}, initial=[1.0, 2.0, 3.0])


def test_an_escape_says_when_and_where():
    problem = oc.Problem("escape", horizon=oc.Finite(2.0))
    x = problem.state("x", 2)
    problem.dynamics(x, ca.vertcat(-x[0], x[1] ** 2))
    with pytest.raises(SimulationError, match=r"stopped at t = 1 before tf = 2.*x\[1\]"):
        simulate(problem, initial=[1.0, 1.0])


def test_an_undefined_right_hand_side_says_so():
    problem = oc.Problem("root", horizon=oc.Finite(2.0))
    x = problem.state("x")
    problem.dynamics(x, ca.sqrt(x - 1))
    with pytest.raises(SimulationError, match="right-hand side of x is nan at t = 0"):
        simulate(problem, initial=0.5)


def test_a_diverging_sequence_says_at_which_step():
    problem = oc.Problem("doubling", horizon=oc.Steps(2000))
    x = problem.state("x")
    problem.dynamics(x, 2 * x)
    with pytest.raises(SimulationError, match="x becomes inf at step 1024"):
        simulate(problem, initial=1.0)


# ---------------------------------------------------------------------- until


def decay(horizon=None):
    problem = oc.Problem("decay", horizon=horizon or oc.Discounted(1.0))
    x = problem.state("x", 2)
    discrete = isinstance(horizon, oc.Steps)
    problem.dynamics(x, ca.vertcat(0.5 * x[0], -0.5 * x[1]) if discrete else -ca.DM([1.0, 2.0]) * x)
    return problem


def test_until_rest_stops_where_the_fastest_state_is_slow_enough():
    path = simulate(decay(), initial=[1.0, 1.0], tf=100.0, until=1e-3)
    assert path.time[-1] == pytest.approx(np.log(1e3), abs=1e-8)  # |ẋ| = max(e^−t, 2e^−2t)
    assert path.state("x", path.time[-1]) == pytest.approx([1e-3, 1e-6], abs=1e-9)


def test_until_a_function_falls_to_zero():
    path = simulate(decay(), initial=[1.0, 1.0], tf=100.0, until=lambda t, x: x[1] - 0.5)
    assert path.time[-1] == pytest.approx(np.log(2) / 2, abs=1e-9)


def test_until_that_never_holds_ends_at_tf():
    assert simulate(decay(), initial=[1.0, 1.0], tf=2.0, until=1e-3).time[-1] == 2.0
    assert simulate(decay(), initial=[0.0, 0.0], tf=2.0, until=1e-3).time[-1] == 2.0  # at rest from the start


def test_until_ends_a_path_between_jumps_of_the_schedule():
    problem = oc.Problem("integrator", horizon=oc.Finite(3.0))
    problem.dynamics(problem.state("x"), problem.control("u"))
    steps_of_control = Interpolant(
        np.array([0.0, 1.0]),
        np.array([[1.0], [-1.0]]),
        np.array([0.0, 1.0, 3.0]),
        np.arange(2),
        np.ones(2, int),
    )
    schedule = Trajectory("any", "", steps_of_control, steps_of_control, [], [("u", (1,))])
    path = simulate(problem, schedule=schedule, initial=0.0, until=lambda t, x: x[0] - 0.25)
    assert path.time[-1] == pytest.approx(1.75, abs=1e-9)
    assert path.control_time[-1] == path.time[-1]


def test_until_in_steps():
    path = simulate(decay(oc.Steps(None, discount=1.0)), initial=[1.0, 1.0], tf=100, until=0.1)
    assert path.time[-1] == 5  # the second component alternates: its last change is 1.5·2^−4 = 0.094
    path = simulate(decay(oc.Steps(50)), initial=[1.0, 1.0], until=lambda k, x: x[0] - 0.3)
    assert path.time.tolist() == [0, 1, 2]
    assert path.x.values[-1, 0] == 0.25


@pytest.mark.parametrize("until", [0.0, -1.0, np.nan, np.inf, "rest"])
def test_until_is_checked(until):
    with pytest.raises(OptionError, match=r"until is .*; expected a positive number or a function"):
        simulate(decay(), initial=[1.0, 1.0], tf=1.0, until=until)


def test_until_that_is_undefined_is_refused():
    with pytest.raises(SimulationError, match="until gives NaN at t = "):
        simulate(decay(), initial=[1.0, 1.0], tf=1.0, until=lambda t, x: np.nan)
