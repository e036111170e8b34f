"""The authors' experiments with converged costs: no random start finds a better one."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.memory import classify, consolidate
from problems import brain_memory

STARTS = 12


def settled(problem, seed):
    """The optimum without a guess, and the costs of random starts."""
    solver, rng = oc.prepare(problem), np.random.default_rng(seed)
    return solver.solve(), [solver.solve(guess=brain_memory.guess(rng)).cost for _ in range(STARTS)]


def test_equilibrium_of_the_plain_map():
    u = brain_memory.EQUILIBRIUM
    assert np.arctan(u / brain_memory.WIDTH) / np.pi + 0.5 == pytest.approx(u, abs=1e-9)
    # and it is the only one
    found = oc.landscape(brain_memory.problem(), [-3, -3], [3, 3], controls={"xi": np.zeros((2, 2))})
    assert found.proved
    assert len(found) == 1


@pytest.mark.parametrize(
    ("alpha", "cost"), list(zip(brain_memory.PRICES, brain_memory.OPTIMAL_COSTS, strict=True))
)
def test_costs_of_the_first_experiment_by_both_roads(alpha, cost):
    assert oc.solve(brain_memory.problem(alpha)).cost == pytest.approx(cost, abs=6e-8)
    if 0 < alpha < 1:
        assert oc.solve(brain_memory.problem(alpha), oc.Pontryagin()).cost == pytest.approx(cost, abs=6e-8)


def test_no_random_start_is_cheaper_in_the_first_experiment():
    best, costs = settled(brain_memory.problem(0.9995), seed=1)
    assert best.cost - min(costs) < 1e-8
    assert np.ptp(costs) < 1e-8


def test_the_fourth_experiment_is_recognition():
    solver, rng = oc.prepare(brain_memory.problem(0.5, 0.5, discount=0.25)), np.random.default_rng(4)
    found = [solver.solve(guess=brain_memory.guess(rng)) for _ in range(STARTS)]
    outcomes = [classify(solution) for solution in found]
    assert np.ptp([solution.cost for solution in found]) <= 1e-6
    assert {outcome.name for outcome in outcomes} == {"recognised"}
    assert max(outcome.residual for outcome in outcomes) < 1e-8


@pytest.mark.slow
def test_no_random_start_is_cheaper_anywhere():
    problems = [brain_memory.problem(alpha) for alpha in brain_memory.PRICES]
    A = brain_memory.SYNAPSES
    for _ in range(6):
        problems.append(brain_memory.problem(A=A))
        A = consolidate(A, oc.solve(problems[-1]))
    grid = np.linspace(-1.5, 1.5, 5)
    problems += [brain_memory.problem(initial=(u1, u2)) for u1 in grid for u2 in grid]
    for seed, problem in enumerate(problems):
        best, costs = settled(problem, seed)
        assert best.cost - min(costs) < 1e-8
        assert best.certificate.stationarity < 1e-8


@pytest.mark.slow
def test_cycle_and_chaos_under_control():
    from problems import synaptic_control

    rotation = synaptic_control.problem(
        [[1.5, -2.5], [2.5, 1.5]],
        [0.4, 0.2],
        bounds=(0.1, 0.1),
        discount=0.0,
        motion=0.1,
        effort=0.9,
        tf=24.0,
    )
    outcome = classify(oc.solve(rotation, oc.Pontryagin()), window=(6.0, 18.0))
    assert outcome.name == "association"
    assert outcome.multiplier < 0.5
    assert outcome.residual < 1e-5
