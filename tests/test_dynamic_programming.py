"""Bellman's principle and the final value theorem on problems whose values are known."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import OptionError, ProblemError
from problems import brain_memory, synaptic_control

RATE = 0.5


def regulator(rate=RATE, drift=0.0):
    """ẋ = u + drift, ∫ e^{−λt}(x² + u²): V = P x² with P² + λP − 1 = 0 if there is no drift."""
    problem = oc.Problem("regulator", horizon=oc.Discounted(rate))
    start = problem.parameter("start", value=1.0)
    x, u = problem.state("x", initial=start), problem.control("u")
    problem.dynamics(x, u + drift)
    problem.minimize(stage=x**2 + u**2)
    return problem


def test_the_rest_of_an_optimal_path_is_optimal():
    P = (-RATE + np.sqrt(RATE**2 + 4)) / 2
    solution = oc.solve(regulator())
    check = oc.dynamic_programming(solution, [0.3, 1.0, 2.5])
    assert check.cost == pytest.approx(P, rel=1e-6)
    np.testing.assert_allclose(check.after, P * np.exp(-RATE * check.times - 2 * P * check.times), rtol=1e-5)
    assert np.abs(check.residuals).max() < 1e-6
    assert "V(x₀) = 0.78" in str(check)


def test_a_path_that_is_not_optimal_is_found_out():
    problem = brain_memory.problem(0.5, 0.5, steps=8)
    xi = oc.solve(problem).controls["xi"].copy()
    xi[5:, 0, 1] += 0.1
    worse = oc.replay(problem, {"xi": xi})

    def rest(t, x):
        return brain_memory.problem(0.5, 0.5, steps=8 - int(t), initial=x)

    check = oc.dynamic_programming(worse, [0, 5, 7], restart=rest)
    assert check.residuals[0] > 1e-3
    assert check.residuals[1] > 1e-3
    best = oc.dynamic_programming(oc.solve(problem), [0, 3, 7], restart=rest)
    assert np.abs(best.residuals).max() < 1e-12


def test_final_value_of_a_network_that_comes_to_rest():
    def build(rate):
        return synaptic_control.problem(
            [[0.2, 1.4], [-0.9, 0.0]], [1, -0.8], bounds=(0.05, 0.5), discount=rate
        )

    found = oc.final_value(build, [0.4, 0.2, 0.1], method=oc.Pontryagin())
    np.testing.assert_allclose(found.products, found.rates * found.costs)
    assert np.all(np.diff(found.products) < 0)
    assert np.all(np.diff(found.costs) > 0)
    assert found.late.max() < 1e-10


def test_final_value_of_a_cost_that_stays():
    # ẋ = u + 1 is held by u = −1, p = 2 and, with λp = 2x, at x = λ: the stage cost there is 1 + λ².
    found = oc.final_value(lambda rate: regulator(rate, drift=1.0), [0.4, 0.1, 0.025], method=oc.Pontryagin())
    np.testing.assert_allclose(found.late, 1 + found.rates**2, rtol=1e-4)
    P = (np.sqrt(found.rates**2 + 4) - found.rates) / 2  # λV = x² − V'²/4 + V' for V = Px² + sx + c
    s = 2 * P / (found.rates + P)
    np.testing.assert_allclose(found.products, found.rates * (P + s) + s - s**2 / 4, rtol=1e-5)
    assert np.all(np.diff(np.abs(found.products - 1)) < 0)


def test_what_is_refused():
    with pytest.raises(ProblemError, match="expected a Solution"):
        oc.dynamic_programming({}, [1.0])
    with pytest.raises(ProblemError, match="give restart="):
        oc.dynamic_programming(oc.solve(brain_memory.problem(0.5)), [1.0])
    for rates in ([0.1, 0.2], [0.0], [], [np.nan]):
        with pytest.raises(OptionError, match="positive numbers that decrease"):
            oc.final_value(regulator, rates)
    with pytest.raises(ProblemError, match="expected an infinite one with that rate"):
        oc.final_value(lambda rate: brain_memory.problem(0.5), [0.1])
