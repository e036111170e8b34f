"""Controls found elsewhere: their cost, costates and stationarity."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import ProblemError, ShapeError, UnsupportedError
from problems import brain_memory, synaptic_control


def cost(problem, xi, initial):
    """The cost with the system run by hand."""
    f, u, total = problem.functions, np.asarray(initial, dtype=complex), 0.0
    for k in range(len(xi)):
        following = (brain_memory.SYNAPSES + xi[k]) @ (np.arctan(u / 0.1) / np.pi + 0.5)
        motion = f.stage(k, [0, 0], [1, 0], np.zeros(4), [], [0, 0])
        total += np.exp(-0.25 * k) * (float(motion) * np.sum((following - u) ** 2) + 0.5 * np.sum(xi[k] ** 2))
        u = following
    return total


@pytest.fixture(scope="module")
def problem():
    return brain_memory.problem(0.5, 0.5, discount=0.25, steps=8)


def test_cost_and_costates_of_any_controls(problem):
    _, xi = brain_memory.guess(np.random.default_rng(3), steps=8)["xi"]
    found = oc.replay(problem, {"xi": xi})
    assert found.cost == pytest.approx(cost(problem, xi, brain_memory.START).real, rel=1e-12)
    assert not found.success
    assert "stationary to" in found.message
    for i in range(2):  # p_0 is the derivative of the cost by the initial state
        start = np.array(brain_memory.START, dtype=complex)
        start[i] += 1e-30j
        assert found.costates["u"][0, i] == pytest.approx(cost(problem, xi, start).imag / 1e-30, rel=1e-10)
    assert found.certificate.costate_residual < 1e-12
    assert found.certificate.resimulation_error < 1e-12


def test_an_optimum_found_elsewhere_is_one(problem):
    solution = oc.solve(problem)
    found = oc.replay(problem, solution.controls)
    assert found.success
    assert found.cost == pytest.approx(solution.cost, rel=1e-13)
    np.testing.assert_allclose(found.costates["u"], solution.costates["u"], atol=1e-9)
    again = oc.replay(problem, solution.controls, initial=[0.5, 0.5], parameters={"initial": [0.5, 0.5]})
    np.testing.assert_allclose(again.states["u"][0], 0.5)


def test_what_is_refused(problem):
    with pytest.raises(UnsupportedError, match="expected Steps"):
        oc.replay(synaptic_control.problem([[0.0]], [1.0], bounds=(1, 1), discount=0.0, tf=1.0), {})
    bounded = oc.Problem("bounded", horizon=oc.Steps(3))
    x, u = bounded.state("x", initial=0.0, upper=2.0), bounded.control("u")
    bounded.dynamics(x, x + u)
    bounded.minimize(stage=u**2)
    with pytest.raises(UnsupportedError, match="bounds of its states"):
        oc.replay(bounded, {"u": np.zeros(3)})
    with pytest.raises((ProblemError, ShapeError)):
        oc.replay(problem, {"xi": np.zeros((8, 3, 3))})
    with pytest.raises(ProblemError):
        oc.replay(problem, {"zeta": np.zeros((8, 2, 2))})
