"""Paths between the nodes: cubics, orders of convergence, and the estimates of their errors."""

from types import SimpleNamespace

import numpy as np
import pytest

import ocnet as oc
from ocnet.methods.extremal import hermite
from ocnet.solution import Status
from problems import synaptic_control


def network(n, seed, bounds=(0.1, 1.0), **options):
    rng = np.random.default_rng([seed, n])
    A = rng.normal(size=n * n) * 1.2 / np.sqrt(n)
    A[rng.permutation(n * n)[: n * n // 2]] = 0.0
    options = {"discount": 0.5, **options}
    return synaptic_control.problem(A.reshape(n, n), rng.uniform(-1.5, 1.5, n), bounds=bounds, **options)


def fixed(problem, K):
    solution = oc.solve(problem, oc.Pontryagin(intervals=K, refine_to=None), tolerance=1e-12)
    assert solution.status is Status.NOT_VERIFIED
    return solution


def test_hermite_reproduces_cubics():
    rng = np.random.default_rng(0)
    c, times = rng.normal(size=(4, 3)), np.array([0.0, 0.4, 1.1, 3.0])
    value = lambda t: np.stack([t**k for k in range(4)], axis=-1) @ c  # noqa: E731
    slope = lambda t: np.stack([0 * t, 1 + 0 * t, 2 * t, 3 * t**2], axis=-1) @ c  # noqa: E731
    found = hermite(times, value(times), slope(times))
    t = np.linspace(0, 3, 57)
    np.testing.assert_allclose(found(t), value(t), atol=1e-12)
    np.testing.assert_allclose(found(t, derivative=True), slope(t), atol=1e-12)


def test_hermite_is_smooth_at_the_nodes():
    rng = np.random.default_rng(1)
    times, y, f = np.array([0.0, 1.0, 1.5]), rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    found = hermite(times, y, f)
    np.testing.assert_allclose(found(times), y, atol=1e-14)
    for t in (1.0 - 1e-9, 1.0 + 1e-9):
        np.testing.assert_allclose(found(t, derivative=True), f[1], atol=1e-6)


@pytest.mark.parametrize("bounds", [(np.inf, np.inf), (20.0, 20.0)])
def test_orders_where_nothing_is_clipped(bounds):
    problem = network(3, 0, bounds=bounds, tf=4.0)
    exact = fixed(problem, 512)
    errors = {"x": [], "p": [], "cost": []}
    for K in (8, 16, 32, 64):
        s = fixed(problem, K)
        nodes = np.linspace(0, 4, K + 1)
        errors["x"].append(np.abs(s.x(nodes) - exact.x(nodes)).max())
        errors["p"].append(np.abs(s.p(nodes) - exact.p(nodes)).max())
        errors["cost"].append(abs(s.cost - exact.cost) / abs(exact.cost))
    print(errors)
    orders = {name: np.log2(np.array(e[:-1]) / e[1:]) for name, e in errors.items()}
    print("orders", orders)
    assert orders["x"][-2:].min() >= 3.9
    assert orders["p"][-2:].min() >= 3.9
    cost = np.array(errors["cost"])  # changes its sign near K = 24, so that single orders say little
    assert orders["cost"].min() >= 4
    assert np.log2(cost[0] / cost[-1]) / 3 >= 5.5
    assert cost[-1] < 1e-12


@pytest.mark.parametrize("discount", [0.0, 0.7])
def test_a_horizon_that_does_not_begin_at_zero(discount):
    """Times, discount and cost are counted from t0."""

    def statement(t0):
        problem = oc.Problem("shifted", horizon=oc.Finite(t0 + 2.0, t0=t0, discount=discount))
        x = problem.state("x", initial=1.0)
        u = problem.control("u", lower=-0.4, upper=0.4)
        problem.dynamics(x, 0.3 * x + u)
        problem.minimize(stage=x**2 + u**2, terminal=x**2)
        return oc.solve(problem, oc.Pontryagin(refine_to=1e-8))

    here, there = statement(0.0), statement(5.0)
    assert there.cost == pytest.approx(here.cost, rel=1e-12)
    t = np.linspace(0, 2, 23)
    np.testing.assert_allclose(there.state("x", 5 + t), here.state("x", t), atol=1e-10)
    np.testing.assert_allclose(there.costate("x", 5 + t), here.costate("x", t), atol=1e-10)
    np.testing.assert_allclose(there.control("u", 5 + t), here.control("u", t), atol=1e-10)


def compared(problem, exact, **options):
    """True and estimated errors of one solve."""
    solution = oc.solve(problem, oc.Pontryagin(**options), throw=False)
    t = np.linspace(0, 20, 2001)
    true = [
        np.abs(f(t) - g(t)).max(axis=0) / (1 + np.abs(g.values).max(axis=0))
        for f, g in ((solution.x, exact.x), (solution.p, exact.p))
    ]
    return SimpleNamespace(
        states=true[0].max(), both=np.max(true), mesh=solution.mesh_error,
        worst=solution.stats["meshes"][-1]["error"], status=solution.status,
        cost=abs(solution.cost - exact.cost) / abs(exact.cost), estimate=solution.errors["cost"],
    )  # fmt: skip


CASES = [pytest.param(2, 0), pytest.param(3, 1, marks=pytest.mark.slow), pytest.param(4, 2),
         pytest.param(6, 3, marks=pytest.mark.slow), pytest.param(8, 4, marks=pytest.mark.slow)]  # fmt: skip
ROUNDING = 1e-13  # relative, of the cost


@pytest.mark.parametrize(("n", "seed"), CASES)
def test_refinement_where_controls_are_clipped(n, seed):
    """The true error follows the demand, and estimates are right within the factors here."""
    problem = network(n, seed)
    exact = oc.solve(problem, oc.Pontryagin(refine_to=1e-10, max_refinements=30))
    assert exact.status is Status.SOLVED
    demands = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
    found = [compared(problem, exact, refine_to=demand) for demand in demands]
    for demand, e in zip(demands, found, strict=True):
        print(
            f"{demand:.0e}: states {e.states:.1e} ({e.states / e.mesh:.2f}), both {e.both:.1e} "
            f"({e.both / e.worst:.2f}), cost {e.cost:.1e} ({e.cost / e.estimate:.2g})"
        )
        assert e.status is Status.SOLVED
        assert max(e.mesh, e.worst) <= demand
        assert e.states <= 3 * demand
        assert e.both <= 3 * demand
        assert e.states <= 3 * e.mesh
        assert e.cost <= 10 * e.estimate + ROUNDING
    assert found[-1].states < 1e-2 * found[0].states
    assert max(e.cost for e in found[3:]) < 1e-2 * found[0].cost
    assert found[-1].cost < 1e-12
    # the estimate of the cost is not far too large either, where it can be told
    told = [e.cost / e.estimate for e in found if e.estimate > 1e-12]
    assert np.median(told) > 0.01


@pytest.mark.parametrize(("n", "seed"), CASES)
def test_estimates_on_meshes_that_know_nothing_of_the_bounds(n, seed):
    problem = network(n, seed)
    exact = oc.solve(problem, oc.Pontryagin(refine_to=1e-10, max_refinements=30))
    ratios = []
    for K in (8, 12, 16, 24, 32, 64):
        e = compared(problem, exact, refine_to=None, intervals=K)
        assert e.status is Status.NOT_VERIFIED
        ratios.append(e.cost / e.estimate)
        assert e.states <= 3 * e.mesh
        assert e.cost <= 30 * e.estimate + ROUNDING
    print("cost, true/estimated:", np.round(ratios, 3))
    assert np.median(ratios) < 3
