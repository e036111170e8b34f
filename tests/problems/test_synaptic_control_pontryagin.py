"""Synaptic control on Pontryagin's road: the acceptance sweep, the authors' figures, other horizons."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.networks import arctan
from ocnet.solution import Status
from problems import synaptic_control

SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
OFF_DIAGONAL = ~np.eye(2, dtype=bool)
SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
MOST_STEPS = 15


def network(n, seed, **options):
    """Half of the synapses silent, spectral radius about 0.85 (the family of the benchmarks)."""
    rng = np.random.default_rng([seed, n])
    A = rng.normal(size=n * n) * 1.2 / np.sqrt(n)
    A[rng.permutation(n * n)[: n * n // 2]] = 0.0
    options = {"bounds": (0.1, 1.0), "discount": 0.5, **options}
    return synaptic_control.problem(A.reshape(n, n), rng.uniform(-1.5, 1.5, n), **options)


def check(n, seed):
    solution = oc.solve(network(n, seed), oc.Pontryagin())
    assert solution.status is Status.SOLVED
    assert solution.stats["residual"] <= 1e-9
    assert solution.result.second_order is True
    assert solution.errors["tail"] < 1e-8
    return solution


@pytest.mark.parametrize("n", [2, 4, 8])
def test_a_few_networks(n):
    assert check(n, 0).stats["newton_steps"] <= MOST_STEPS


def test_small_networks_against_collocation():
    other = oc.solve(network(2, 1), oc.Collocation(refine_to=1e-7))
    assert check(2, 1).cost == pytest.approx(other.cost, rel=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
def test_acceptance(n):
    steps = [check(n, seed).stats["newton_steps"] for seed in range(5)]
    print(f"N = {n}: Newton steps {steps}, most {max(steps)}")
    assert max(steps) <= MOST_STEPS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [n for n in SIZES if n <= 16])
def test_costs_against_collocation(n, seed):
    cost = check(n, seed).cost
    for demand in (1e-6, 1e-7, 1e-8):
        other = oc.solve(network(n, seed), oc.Collocation(refine_to=demand), throw=False)
        if other.cost == pytest.approx(cost, rel=1e-7):
            break
    assert other.cost == pytest.approx(cost, rel=1e-7)
    print(f"N = {n}, seed {seed}: {abs(cost - other.cost) / cost:.1e} at refine_to={demand:g}")


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {"tf": 3.0}, {"tf": 3.0, "discount": 0.0}, {"activation": "logistic"}, {"activation": arctan(0.5)},
    {"bounds": (np.inf, np.inf)}, {"effort": 0.05}, {"motion": 0.2},
], ids=str)  # fmt: skip
def test_variants(options):
    problem = network(3, 1, **options)
    solution = oc.solve(problem, oc.Pontryagin())
    assert solution.status is Status.SOLVED
    c = solution.certificate
    assert c.resimulation_error <= 5e-6
    assert c.hamiltonian_gap < 1e-9
    assert c.bound_violation == 0
    assert c.costate_residual < 2e-5
    assert c.cost_error < 1e-8


@pytest.mark.parametrize(
    "options", [{"tf": 3.0}, {"steps": 10}, {"bounds": (np.inf, np.inf), "tf": 2.0}], ids=str
)
def test_against_collocation(options):
    problem = network(2, 3, **options)
    a, b = oc.solve(problem, oc.Pontryagin()), oc.solve(problem, oc.Collocation(refine_to=1e-7))
    assert a.cost == pytest.approx(b.cost, rel=1e-8)


# The authors' first experiment: alpha, J*, u_50, (xi_12, xi_21) at step 49.
E1 = [
    (0.95, 2.53622, (0.9672, 0.9672), (0.0, 0.0)),
    (0.995, 2.56091, (0.9370, 0.9352), (-0.0301, -0.0320)),
    (0.9995, 2.54472, (0.6697, 0.6635), (-0.2968, -0.3037)),
    (0.99995, 2.53799, (0.4976, 0.4946), (-0.4687, -0.4721)),
]


@pytest.mark.parametrize("row", E1, ids=lambda row: f"alpha={row[0]}")
def test_E1_of_the_authors(row):
    alpha, cost, end, last = row
    problem = synaptic_control.problem(
        SWAP, [-1.0, 0.5], bounds=0.5 * OFF_DIAGONAL, discount=0.0,
        motion=alpha, effort=round(1 - alpha, 10), activation=arctan(0.1), steps=50,
    )  # fmt: skip
    solution = oc.solve(problem, oc.Pontryagin(), multistart=8, rng=1)
    assert solution.cost == pytest.approx(cost, abs=1e-5)
    np.testing.assert_allclose(solution.states["u"][-1], end, atol=1e-3)
    final = solution.controls["xi"][-1]
    np.testing.assert_allclose([final[0, 1], final[1, 0]], last, atol=1e-3)
    np.testing.assert_array_equal(np.diag(final), 0.0)
    other = oc.solve(problem, guess=solution)
    assert solution.cost == pytest.approx(other.cost, rel=1e-7)
