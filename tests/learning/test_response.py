"""Gradients of time-dependent costs: against tangent-linear equations, stiff cases included."""

import functools

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import ocnet as oc
from ocnet.errors import OptionError, ProblemError, SimulationError, UnsupportedError
from ocnet.learning import AdjointGradient, check_gradient, gradient
from ocnet.learning.paths.response import ReverseTimeWarning

KINDS = ("running", "terminal", "samples", "first", "all")
MOMENTS = (0.0, 0.5, 1.234)


def stated(k0, kind):
    """ẋ = −k(x − cos t), ẏ = x − d·y², x(0) = c², y(0) = k/(2 k0), with every cost."""
    problem = oc.Problem("relaxation", horizon=oc.Finite(2.0, discount=0.3))
    k = problem.parameter("k", value=k0)
    d, c = problem.unknown("d", guess=0.7), problem.unknown("c", guess=1.0)
    x, y = problem.state("x"), problem.state("y", initial=k / (2 * k0))
    problem.dynamics(x, -k * (x - ca.cos(problem.time)))
    problem.dynamics(y, x - d * y**2)
    problem.constrain(x - c**2, lower=0, upper=0, at="initial")
    every = kind == "all"
    problem.minimize(
        stage=x**2 * d + y * problem.derivative(x) / k0 if kind == "running" or every else 0,
        terminal=y**2 * c + x if kind == "terminal" or every else 0,
    )
    if kind == "samples" or every:
        problem.cost_at(MOMENTS[2], y**3)
        problem.cost_at(MOMENTS[1], (x - 1) ** 2 + y * k / k0)
    if kind == "first" or every:
        problem.cost_at(MOMENTS[0], x * y * c + x**2)
    return problem


def exact(k0, kind):
    """dC/d(k, d, c) by the tangent-linear equations, integrated to rounding."""
    terms = tangent(k0)
    return sum(terms.values()) if kind == "all" else terms[kind]


@functools.cache
def tangent(k0):
    d, c, discount = 0.7, 1.0, 0.3

    def rate(t, z):
        (x, y), S, w = z[:2], z[2:8].reshape(2, 3), np.exp(-discount * t)
        f_theta = np.array([[-(x - np.cos(t)), 0, 0], [0, -(y**2), 0]])
        f = np.array([-k0 * (x - np.cos(t)), x - d * y**2])
        dS = np.array([[-k0, 0], [1, -2 * d * y]]) @ S + f_theta
        stage = 2 * x * d * S[0] + np.array([0, x**2, 0]) + (S[1] * f[0] + y * dS[0]) / k0
        return np.concatenate([f, dS.ravel(), w * stage])

    start = np.concatenate([[c**2, 0.5], [0, 0, 2 * c], [0.5 / k0, 0, 0], np.zeros(3)])
    run = solve_ivp(rate, (0, 2), start, method="DOP853", rtol=3e-14, atol=1e-17, t_eval=[*MOMENTS, 2.0])
    x, y = run.y[:2]
    Sx, Sy = run.y[2:5].T, run.y[5:8].T
    w = np.exp(-discount * 2)
    return {
        "running": run.y[8:, -1],
        "terminal": w * (2 * y[3] * c * Sy[3] + [0, 0, y[3] ** 2] + Sx[3]),
        "samples": 3 * y[2] ** 2 * Sy[2] + 2 * (x[1] - 1) * Sx[1] + Sy[1] + [y[1] / k0, 0, 0],
        "first": x[0] * c * Sy[0] + y[0] * c * Sx[0] + [0, 0, x[0] * y[0]] + 2 * x[0] * Sx[0],
    }


def together(found):
    return np.concatenate([found.gradient[name] for name in "kdc"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("k0", "integrator"), [(2.0, "DOP853"), (2.0, "Radau"), (200.0, "LSODA")])
def test_every_cost_against_tangent_linear_equations(kind, k0, integrator):
    found, reference = together(gradient(stated(k0, kind), integrator=integrator)), exact(k0, kind)
    # Small components count relative to a tenth of the largest.
    assert found == pytest.approx(reference, rel=1e-8, abs=1e-9 * np.abs(reference).max())


@pytest.mark.parametrize(
    ("k0", "integrator"), [(200.0, "BDF"), pytest.param(200.0, "DOP853", marks=pytest.mark.slow)]
)
def test_stiff_by_other_integrators(k0, integrator):
    found, reference = together(gradient(stated(k0, "all"), integrator=integrator)), exact(k0, "all")
    assert found == pytest.approx(reference, rel=1e-8)


@pytest.mark.parametrize("k0", [2.0, 200.0])
@pytest.mark.parametrize("steps", [20, 1000])
def test_checkpoints_of_cvodes(k0, steps):
    found = AdjointGradient(stated(k0, "all"), mode="checkpointed", steps_per_checkpoint=steps)()
    reference = exact(k0, "all")
    assert together(found) == pytest.approx(reference, abs=1e-8 * np.abs(reference).max())


def test_reverse_time_warns_with_its_drift():
    with pytest.warns(ReverseTimeWarning, match=r"drift of \d"):
        found = gradient(stated(2.0, "all"), mode="reverse-time")
    assert 0 < found.drift < 1e-9
    assert together(found) == pytest.approx(exact(2.0, "all"), rel=1e-8)


def test_reverse_time_is_refused_where_it_drifts():
    with pytest.raises(SimulationError, match=r"larger than largest_drift"):
        gradient(stated(16.0, "all"), mode="reverse-time")


def test_modes_agree_on_the_cost_with_simulation():
    problem = stated(2.0, "samples")
    found = [gradient(problem, mode=mode).cost for mode in ("stored", "checkpointed")]
    path = oc.simulate(problem, initial={"x": 1.0, "y": 0.5}, unknowns={"d": 0.7, "c": 1.0})
    x, y = (lambda t, n=n: float(path.state(n, t)[0]) for n in "xy")
    cost = y(MOMENTS[2]) ** 3 + (x(MOMENTS[1]) - 1) ** 2 + y(MOMENTS[1])
    assert found == pytest.approx([cost, cost], rel=1e-8)


def test_costate_is_the_derivative_in_a_first_state_that_is_a_parameter():
    problem = oc.Problem("pair", horizon=oc.Finite(1.0))
    start = problem.parameter("start", 2, value=[1.0, -0.5])
    W = problem.unknown("W", (2, 2), guess=[[0.1, 0.9], [-0.4, 0.2]])
    x = problem.state("x", 2, initial=start)
    problem.dynamics(x, W @ ca.tanh(x) - x)
    problem.minimize(stage=ca.sumsqr(x))
    found = gradient(problem)
    assert found.gradient["start"] == pytest.approx(found.initial_costate)
    assert found.gradient["W"].shape == (2, 2)
    values = {"start": [1.0, -0.5], "W": [[0.1, 0.9], [-0.4, 0.2]]}
    check = check_gradient(lambda p: gradient(problem, p).cost, values, found.gradient)
    assert check.passed, check
    assert check.worst < 1e-8


def test_values_replace_guesses():
    problem = stated(2.0, "terminal")
    prepared = AdjointGradient(problem)
    assert prepared({"d": 0.9}).cost != prepared().cost
    with pytest.raises(ProblemError, match=r"values is \[1\.0\]; expected values by name in a dict"):
        prepared([1.0])
    with pytest.raises(ProblemError, match=r"'e', which is no unknown"):
        prepared({"e": 1.0})


def simple(**options):
    problem = oc.Problem("decay", horizon=options.pop("horizon", oc.Finite(1.0)))
    x = problem.state("x", **options)
    k = problem.unknown("k", guess=1.0)
    problem.dynamics(x, -k * x)
    return problem, x


def test_refusals():
    problem, x = simple()
    problem.minimize(stage=x**2)
    with pytest.raises(ProblemError, match=r"free: \['x'\].*Give initial=|prescribed values and 0 equations"):
        gradient(problem)
    problem, _ = simple(initial=1.0)
    with pytest.raises(ProblemError, match=r"no cost"):
        gradient(problem)
    problem, x = simple(horizon=oc.Discounted(0.1), initial=1.0)
    problem.minimize(stage=x**2)
    with pytest.raises(UnsupportedError, match=r"fixed interval"):
        gradient(problem)
    problem, x = simple(initial=1.0)
    problem.minimize(terminal=x)
    for options, match in (
        ({"mode": "tape"}, r"mode is 'tape'"),
        ({"integrator": "RK45"}, r"integrator is 'RK45'"),
        ({"tolerance": 0.0}, r"tolerance is 0"),
        ({"tolerance": "a"}, r"tolerance is 'a'"),
        ({"steps_per_checkpoint": 0}, r"steps_per_checkpoint is 0"),
        (
            {"mode": "checkpointed", "steps_per_checkpoint": 0.5},
            r"steps_per_checkpoint is 0.5; expected a whole",
        ),
        ({"largest_drift": None}, r"largest_drift is None"),
    ):
        with pytest.raises(OptionError, match=match):
            gradient(problem, **options)


def test_controls_and_missing_constants_are_refused():
    problem = oc.Problem("driven", horizon=oc.Finite(1.0))
    x, u = problem.state("x", initial=1.0), problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=u**2)
    with pytest.raises(UnsupportedError, match=r"controls \['u'\]"):
        gradient(problem)
    problem = oc.Problem("fixed", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    problem.dynamics(x, -x)
    problem.minimize(terminal=x)
    with pytest.raises(ProblemError, match=r"no unknown and no parameter"):
        gradient(problem)


def test_blow_up_is_told():
    problem = oc.Problem("explosion", horizon=oc.Finite(2.0))
    x, k = problem.state("x", initial=1.0), problem.unknown("k", guess=1.0)
    problem.dynamics(x, k * x**2)
    problem.minimize(terminal=x)
    with pytest.raises(SimulationError, match=r"forward integration stopped at t = 1"):
        gradient(problem)
