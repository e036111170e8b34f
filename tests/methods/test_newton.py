"""The damped Newton iteration: contraction, damping, and how it ends."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import UnsupportedError
from ocnet.methods.canonical import Canonical, Ends, HermiteSimpson
from ocnet.methods.conditions import Conditions
from ocnet.methods.continuation import extremal
from ocnet.methods.elimination import Defects
from ocnet.methods.newton import newton
from ocnet.solution import Status
from problems import synaptic_control


class Scalar:
    """A single equation f(x₀) = 0, dressed up as a canonical system of one interval."""

    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def defects(self, x, p):
        return Defects(x[1:] - x[:1], p[1:] - p[:1], self.f(x[0]), p[1])

    def eliminate(self, x, p):
        slope = self.slope(x[0])

        class Factors:
            def solve(self, d):
                dx = -d.start / slope
                return np.array([dx, dx - d.x[0]]), np.array([-d.end + d.p[0], -d.end])

        return Factors()


def solve_scalar(f, slope, start, **options):
    x = np.full((2, 1), float(start))
    return newton(Scalar(f, slope), x, np.zeros((2, 1)), options.pop("tolerance", 1e-12), **options)


@pytest.mark.parametrize("start", [2.0, 10.0, 100.0])
def test_damping_where_full_steps_diverge(start):
    x = start
    for _ in range(4):  # what full steps do
        x -= np.arctan(x) * (1 + x**2)
    assert abs(x) > 1e3 * start
    found = solve_scalar(np.arctan, lambda x: 1 / (1 + x**2), start)
    assert found.status is Status.SOLVED
    assert abs(found.x[0, 0]) < 1e-12
    assert found.residual <= 1e-12
    assert found.steps <= 15


def test_what_is_counted():
    found = solve_scalar(lambda x: x - 3.0, lambda x: 1.0, 0.0)
    assert (found.status, found.steps, found.corrections) == (Status.SOLVED, 1, 1)
    assert found.history[0] == 3.0
    assert len(found.history) == 2
    reported = []
    solve_scalar(lambda x: x - 3.0, lambda x: 1.0, 0.0, report=lambda k, r: reported.append((k, r)))
    assert reported == [(0, 3.0), (1, 0.0)]


def test_a_factorisation_is_kept_while_it_serves():
    """A slope that is wrong by one per cent contracts by 0.01: one factorisation is enough."""
    found = solve_scalar(lambda x: x - 3.0, lambda x: 1.01, 0.0)
    assert found.status is Status.SOLVED
    assert found.steps == 1
    assert found.corrections > 3
    again = solve_scalar(
        lambda x: x - 3.1, lambda x: 1 / 0, 3.0, elimination=Scalar(None, lambda x: 1.01).eliminate([1.0], 0)
    )  # given, and so no new one is made
    assert (again.status, again.steps) == (Status.SOLVED, 0)


def test_a_factorisation_that_no_longer_serves_is_replaced():
    old = Scalar(None, lambda x: -1.0).eliminate([1.0], 0)
    found = solve_scalar(lambda x: x - 3.0, lambda x: 1.0, 0.0, elimination=old)
    assert (found.status, found.steps) == (Status.SOLVED, 1)


@pytest.mark.parametrize(("f", "slope", "status"), [
    (lambda x: x**2 + 1, lambda x: 2 * x, Status.DIVERGED),  # no root
    (lambda x: x * np.nan, lambda x: 1.0, Status.NOT_FINITE),
    (lambda x: x - 3.0, lambda x: np.nan, Status.DIVERGED),
])  # fmt: skip
def test_how_it_fails(f, slope, status):
    found = solve_scalar(f, slope, 1.0)
    assert found.status in (status, Status.ITERATION_LIMIT)
    assert not found.status.success
    assert np.isfinite(found.x).all()


def test_no_minimum_of_the_hamiltonian_ends_as_divergence():
    class Broken(Scalar):
        def eliminate(self, x, p):
            raise UnsupportedError("no minimum there")

    found = newton(Broken(np.arctan, None), np.ones((2, 1)), np.zeros((2, 1)), 1e-12)
    assert found.status is Status.DIVERGED
    np.testing.assert_array_equal(found.x, 1.0)


# ---------------------------------------------------------------------- on extremals


def smooth(tf=1.5):
    problem = oc.Problem("smooth", horizon=oc.Finite(tf))
    x = problem.state("x", 2, initial=[1.0, -0.5])
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[1] + ca.sin(x[0]), -x[0] * x[1] + u * ca.exp(-x[0] / 2)))
    problem.minimize(stage=ca.sumsqr(x) + u**2 + 0.2 * u**4, terminal=ca.sumsqr(x) / 2)
    return problem


def smooth_system(K=12):
    ends = Ends(np.array([1.0, -0.5]), np.full(2, np.nan), lambda x: (x, np.eye(2)))
    return HermiteSimpson(smooth().hamiltonian, np.linspace(0, 1.5, K + 1), ends, 0.0)


def test_quadratic_contraction():
    system = smooth_system()
    start = np.tile([1.0, -0.5], (13, 1)), np.zeros((13, 2))
    exact = newton(system, *start, 1e-13)
    assert exact.status is Status.SOLVED
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(2, 13, 2))
    left = []
    for size in (0.04, 0.02, 0.01, 0.005):
        x, p = exact.x + size * direction[0], exact.p + size * direction[1]
        dx, dp = system.eliminate(x, p).solve(system.defects(x, p))
        left.append(max(np.abs(x + dx - exact.x).max(), np.abs(p + dp - exact.p).max()))
    orders = np.log2(np.array(left[:-1]) / left[1:])
    print("orders of one Newton step", orders)
    assert (np.abs(orders - 2) < 0.15).all()


def test_an_interrupt_keeps_the_last_iterate():
    system = smooth_system()
    start = np.tile([1.0, -0.5], (13, 1)), np.zeros((13, 2))
    seen = []

    def report(correction, residual):
        seen.append(residual)
        if correction == 2:
            raise KeyboardInterrupt

    found = newton(system, *start, 1e-13, report)
    assert found.status is Status.INTERRUPTED
    assert found.corrections == 2
    assert found.residual == seen[-1] < seen[0]
    d = system.defects(found.x, found.p)
    assert max(np.abs(part).max() for part in d) > 1e-13


@pytest.mark.parametrize("calls", [1, 2, 4, 9])
def test_an_interrupted_solve(monkeypatch, calls):
    original, count = Canonical.defects, [0]

    def defects(self, x, p):
        count[0] += 1
        if count[0] == calls:
            raise KeyboardInterrupt
        return original(self, x, p)

    monkeypatch.setattr(Canonical, "defects", defects)
    solution = oc.solve(smooth(), oc.Pontryagin(refine_to=1e-9), throw=False)
    assert solution.status is Status.INTERRUPTED
    assert not solution.success
    assert "interrupted" in solution.message
    assert np.isfinite(solution.states["x"]).all()
    np.testing.assert_allclose(solution.state("x", 0.0), [1.0, -0.5], atol=1e-9)
    monkeypatch.undo()
    again = oc.solve(smooth(), oc.Pontryagin(), guess=solution)  # and it is a start
    assert again.cost == pytest.approx(oc.solve(smooth(), oc.Pontryagin()).cost, rel=1e-9)


def strong(n=4, seed=7, gain=4.0, effort=0.1):
    """Strong synapses: from costates 0 the plain iteration diverges."""
    rng = np.random.default_rng([seed, n])
    A = rng.normal(size=n * n) * gain / np.sqrt(n)
    A[rng.permutation(n * n)[: n * n // 2]] = 0
    initial = rng.uniform(-1.5, 1.5, n)
    return synaptic_control.problem(A.reshape(n, n), initial, bounds=(0.1, 1.0), discount=0.5, effort=effort)


def test_continuation_where_the_plain_iteration_diverges():
    problem = strong()
    conditions = Conditions(problem, None)
    s = np.arange(12) / 12  # a coarse mesh
    times = np.append(-6 * np.log1p(-s * (1 - np.exp(-6.14))), 36.84)
    x, p = conditions.rollout(times)
    plain = newton(conditions.system(times), x, p, 1e-9)
    assert plain.status is Status.DIVERGED
    found = extremal(conditions, times, x, p, 1e-9, lambda correction, residual: None)
    assert found.status is Status.SOLVED
    assert found.residual <= 1e-9
    assert found.steps > plain.steps  # all that was tried counts
    solution = oc.solve(problem, oc.Pontryagin())
    assert solution.status is Status.SOLVED
    assert solution.stats["residual"] <= 1e-9
    other = oc.solve(problem, oc.Collocation(refine_to=1e-7))
    assert solution.cost == pytest.approx(other.cost, rel=1e-7)
