"""Pareto fronts against Riccati's recursion, and where the front jumps."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import OptionError, ProblemError, SolveError, StorageError
from ocnet.pareto import pareto_front
from ocnet.path_cost import path_cost
from problems import brain_memory

STEPS, GROWTH = 12, 1.2


def regulator():
    problem = oc.Problem("regulator", horizon=oc.Steps(STEPS, discount=0.1))
    mu = problem.parameter("mu", value=0.5)
    x, u = problem.state("x", initial=1.0), problem.control("u")
    problem.dynamics(x, GROWTH * x + u)
    problem.minimize(stage=(1 - mu) * x**2 + mu * u**2, terminal=(1 - mu) * x**2)
    return problem


def exact(mu):
    """J₁ and J₂ of the regulator by Riccati's recursion."""
    beta, P, gains = np.exp(-0.1), 1 - mu, []
    for _ in range(STEPS):
        gain = beta * P * GROWTH / (mu + beta * P)
        P = (1 - mu) + mu * gain**2 + beta * P * (GROWTH - gain) ** 2
        gains.append(gain)
    x, first, second = 1.0, 0.0, 0.0
    for k, gain in enumerate(reversed(gains)):
        first, second = first + beta**k * x**2, second + beta**k * (gain * x) ** 2
        x = (GROWTH - gain) * x
    return first + beta**STEPS * x**2, second


@pytest.fixture(scope="module")
def front():
    return pareto_front(regulator(), 11, ends=(0.01, 0.99), names=("state", "control"))


def test_front_of_a_regulator(front):
    np.testing.assert_allclose(front.costs, [exact(mu) for mu in front.weights], rtol=1e-8)
    assert len(front.weights) == 11
    assert front.weights[[0, -1]] == pytest.approx([0.01, 0.99])
    assert np.all(np.diff(front.costs[:, 0]) > 0)
    assert np.all(np.diff(front.costs[:, 1]) < 0)
    assert front.complete
    assert not front.gaps
    assert front.solves < 60


def test_points_are_evenly_spaced_along_the_front(front):
    fine = np.array(
        [exact(1 / (1 + np.exp(-z))) for z in np.linspace(np.log(0.01 / 0.99), np.log(99), 20001)]
    )
    scaled = fine / np.ptp(fine, axis=0)
    length = np.append(0, np.cumsum(np.linalg.norm(np.diff(scaled, axis=0), axis=1)))
    at = [length[np.abs(fine[:, 0] - cost).argmin()] for cost in front.costs[:, 0]]
    steps = np.diff(at)
    assert np.abs(steps / steps.mean() - 1).max() < 0.08
    assert front.unevenness < 0.06
    uniform = np.diff([length[i] for i in np.linspace(0, 20000, 11).astype(int)])
    assert uniform.max() / uniform.mean() > 1.3  # even steps of log μ/(1 − μ) would not do


def test_a_function_of_the_weight_gives_the_same_front(front):
    def build(mu):
        problem = oc.Problem("regulator", horizon=oc.Steps(STEPS, discount=0.1))
        x, u = problem.state("x", initial=1.0), problem.control("u")
        problem.dynamics(x, GROWTH * x + u)
        problem.minimize(stage=(1 - mu) * x**2 + mu * u**2, terminal=(1 - mu) * x**2)
        return problem

    other = pareto_front(build, 11, ends=(0.01, 0.99))
    np.testing.assert_allclose(other.costs, front.costs, rtol=1e-8)


def arc():
    """J₁ = u and J₂ = √(1.01 − u²), 0 ≤ u ≤ 1: a front that bulges out, of which only the ends are found."""
    problem = oc.Problem("arc", horizon=oc.Steps(1))
    mu = problem.parameter("mu", value=0.5)
    x, u = problem.state("x", initial=0.0), problem.control("u", lower=0.0, upper=1.0)
    problem.dynamics(x, u)
    problem.minimize(stage=(1 - mu) * u + mu * ca.sqrt(1.01 - u**2))
    return problem


def test_a_front_that_is_not_convex_jumps():
    front = pareto_front(arc(), 9, ends=(0.05, 0.95))
    (low, high) = front.gaps[0]
    jump = 1 / (np.sqrt(1.01) + 0.9)
    assert len(front.gaps) == 1
    assert low <= jump <= high
    assert high - low < 1e-6
    costs = {tuple(np.round(cost, 6)) for cost in front.costs}
    assert costs == {(0.0, round(np.sqrt(1.01), 6)), (1.0, 0.1)}
    assert "jumps between the weights" in str(front)


def test_cost_of_a_path_in_parts():
    solution = oc.solve(regulator(), parameters={"mu": 0.3})
    problem, p = solution.problem, np.array([0.3])
    assert path_cost(solution, problem, p) == pytest.approx(solution.cost, rel=1e-13)
    first = exact(0.3)[0]
    assert path_cost(solution, problem, np.array([0.0])) == pytest.approx(first, rel=1e-9)
    x, u = solution.states["x"][:3, 0], solution.controls["u"][:3, 0]
    partial = np.sum(np.exp(-0.1 * np.arange(3)) * (0.7 * x**2 + 0.3 * u**2))
    assert path_cost(solution, problem, p, until=3.0) == pytest.approx(partial, rel=1e-13)


def test_cost_of_a_path_in_continuous_time():
    problem = oc.Problem("decay", horizon=oc.Finite(2.0, discount=0.5))
    x, u = problem.state("x", initial=1.0), problem.control("u")
    problem.dynamics(x, u - x)
    problem.minimize(stage=x**2 + u**2 + problem.derivative(x) ** 2, terminal=3 * x**2)
    problem.cost_at(1.0, x**2)
    solution = oc.solve(problem)
    assert path_cost(solution, problem, np.zeros(0)) == pytest.approx(solution.cost, rel=1e-7)


def test_conservative_and_innovative_ends_of_the_authors_network():
    front = pareto_front(lambda mu: brain_memory.problem(1 - mu, mu), 7, ends=(1e-4, 0.99))
    assert np.abs(front.solutions[0].controls["xi"][-1]).max() > 0.4  # innovative: it records
    assert np.abs(front.solutions[-1].controls["xi"][-1]).max() < 1e-6  # conservative: it recognises
    assert front.unevenness < 0.1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"problem": 3.0}, ProblemError, "got a float; expected a Problem, or a function"),
        ({"weight": "nu"}, ProblemError, r"no parameter 'nu' that is a number; it has \['mu'\]"),
        ({"points": 2}, OptionError, "points is 2; expected a whole number of at least 3"),
        ({"ends": (0.0, 0.5)}, OptionError, "expected two weights, 0 < first < last < 1"),
        ({"ends": (0.6, 0.5)}, OptionError, "ends are"),
        ({"ends": (np.nan, 0.5)}, OptionError, "ends are"),
        ({"names": ("one",)}, OptionError, "expected two names"),
        ({"evenness": 0.0}, OptionError, "evenness is 0.0"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        pareto_front(**({"problem": arc()} | options))


def test_a_cost_of_another_form_is_refused():
    problem = oc.Problem("squares", horizon=oc.Steps(2))
    mu = problem.parameter("mu", value=0.5)
    x, u = problem.state("x", initial=1.0), problem.control("u")
    problem.dynamics(x, x + u)
    problem.minimize(stage=(1 - mu) ** 2 * x**2 + mu * u**2)
    with pytest.raises(ProblemError, match="expected a cost of that form"):
        pareto_front(problem, 5)


def test_a_weight_without_optimum_is_an_error():
    problem = oc.Problem("impossible", horizon=oc.Steps(2))
    mu = problem.parameter("mu", value=0.5)
    x, u = problem.state("x", initial=1.0, final=5.0), problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, x + u)
    problem.minimize(stage=(1 - mu) * x**2 + mu * u**2)
    with pytest.raises(SolveError, match="no optimum was found at the weight"):
        pareto_front(problem, 5)


def test_a_front_that_was_stopped_goes_on(front, tmp_path, monkeypatch):
    asked = {"problem": regulator(), "points": 11, "ends": (0.01, 0.99), "names": ("state", "control")}
    solver = type(oc.prepare(regulator()))
    solves = []

    def stop_after(most, solve=solver.solve):
        solves.clear()

        def counted(self, **options):
            if len(solves) == most:
                raise RuntimeError("the power failed")
            solves.append(options["parameters"])
            return solve(self, **options)

        monkeypatch.setattr(solver, "solve", counted)

    stop_after(9)
    with pytest.raises(RuntimeError, match="the power failed"):
        pareto_front(**asked, store=tmp_path / "front")
    stop_after(1000)
    again = pareto_front(**asked, store=tmp_path / "front")
    assert len(solves) == front.solves - 9, "what was kept is not solved again"
    np.testing.assert_allclose(again.costs, front.costs, rtol=1e-12)
    with pytest.raises(StorageError, match="belongs to another series: its points is 11, not 5"):
        pareto_front(**asked | {"points": 5}, store=tmp_path / "front")
