import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.methods.polish import Polisher

LOW, HIGH, CAP = np.array([-0.4, -0.4]), np.array([0.3, 0.2]), 0.03


def network(horizon, cap=False):
    """Two neurons whose controls reach their bounds, and a path constraint if asked for."""
    problem = oc.Problem("bounded", horizon=horizon)
    x = problem.state("x", 2, initial=[-1.0, 1.2])
    u = problem.control("u", 2, lower=LOW, upper=HIGH)
    flow = ca.vertcat(ca.tanh(x[1]) - x[0] / 2 + u[0], -ca.tanh(x[0]) - x[1] + u[1])
    step = 0.25 if isinstance(horizon, oc.Steps) else None
    problem.dynamics(x, flow if step is None else x + step * flow)
    if cap:
        problem.constrain(x[0] + 0.1 * u[0], upper=CAP, name="cap")
    problem.minimize(stage=ca.sumsqr(x) + 0.3 * ca.sumsqr(u))
    return problem


def pair(problem, tolerance, **options):
    """The same problem with and without the last steps, on a fixed mesh."""
    methods = (oc.Collocation(intervals=16, refine_to=None, polish=p, **options) for p in (True, False))
    return [oc.solve(problem, m, tolerance=tolerance) for m in methods]


@pytest.mark.parametrize("scheme", ["radau", "gauss"])
@pytest.mark.parametrize(
    "horizon", [oc.Finite(4.0), oc.Finite(4.0, discount=0.5), oc.Discounted(1.0), oc.Steps(16)], ids=str
)
@pytest.mark.parametrize("tolerance", [1e-5, 1e-8])
def test_bounds_are_met_exactly(horizon, scheme, tolerance):
    exact, rough = pair(network(horizon), tolerance, scheme=scheme)
    u, near = exact.controls["u"], rough.controls["u"]
    at = (u == LOW) | (u == HIGH)
    assert 4 <= at.sum() < u.size
    assert (u >= LOW).all()
    assert (u <= HIGH).all()
    assert ((near > LOW) & (near < HIGH)).all()  # an interior point
    inside = np.fmin(u - LOW, HIGH - u)[~at]
    assert inside.min() > 1e-6
    assert exact.errors["barrier"] < 1e-12
    assert exact.stats["meshes"][0]["newton_steps"] > 0
    assert rough.stats["meshes"][0]["newton_steps"] == 0
    # what the barrier may have cost is said, and it is not said to be more than tenfold
    difference = (rough.cost - exact.cost) / abs(exact.cost)
    assert 0 <= difference <= rough.errors["barrier"] * 1.05 + 1e-14
    assert rough.errors["barrier"] < 10 * difference + 1e-12


def test_path_constraints_are_met_exactly():
    exact, rough = pair(network(oc.Finite(4.0), cap=True), 1e-6)
    t = exact.control_time
    held = exact.state("x", t)[:, 0] + 0.1 * exact.controls["u"][:, 0]
    active = np.abs(held - CAP) < 1e-12
    assert 3 <= active.sum() < len(t)
    assert held.max() <= CAP + 1e-13
    assert exact.errors["barrier"] < 1e-12
    assert 0 < rough.cost - exact.cost <= rough.errors["barrier"] * abs(rough.cost) * 1.05


def test_the_polished_answer_does_not_depend_on_the_tolerance():
    costs = [pair(network(oc.Finite(4.0), cap=True), 10.0**-k)[0].cost for k in (4, 6, 8)]
    np.testing.assert_allclose(costs, costs[-1], rtol=1e-13)


def test_a_problem_without_bounds_is_not_polished():
    problem = oc.Problem("free", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, u - x)
    problem.minimize(stage=x**2 + u**2)
    solution = oc.solve(problem, oc.Collocation(refine_to=None))
    assert solution.stats["meshes"][0]["newton_steps"] == 0
    assert solution.errors["barrier"] == 0


@pytest.mark.parametrize("units", [(1e5, 1e-4), (1e-3, 1e3)])
def test_units_do_not_matter(units):
    """Steps in the solver's own units: exact also where states and controls are very large or small."""
    costs = []
    for big, small in ((1.0, 1.0), units):
        problem = oc.Problem("units", horizon=oc.Finite(2.0))
        x = problem.state("x", 2, initial=np.array([1.0, -0.6]) * big)
        u = problem.control("u", lower=-0.5 * small, upper=0.5 * small)
        y, v = x / big, u / small
        problem.dynamics(x, big * ca.vertcat(y[1], ca.sin(y[0]) + v))
        problem.minimize(stage=ca.sumsqr(y) + v**2)
        solution = oc.solve(problem, oc.Collocation(intervals=10, refine_to=None))
        costs.append(solution.cost)
        assert 0 < solution.stats["meshes"][0]["newton_steps"] <= 5
        assert (np.abs(solution.controls["u"]) == 0.5 * small).sum() > 3
    assert costs[1] == pytest.approx(costs[0], rel=1e-13)


# ---------------------------------------------------------------------- the steps alone


def polisher(cost, constraints, n):
    """Of min cost(w), constraints(w), in the form that the assembled programs have."""
    w, p = ca.MX.sym("w", n), ca.MX.sym("p", 0)
    f, g = cost(w), constraints(w)
    sigma, lam = ca.MX.sym("sigma"), ca.MX.sym("lam", g.numel())
    hessian = ca.triu(ca.hessian(sigma * f + ca.dot(lam, g), w)[0])
    return Polisher(
        {
            "grad_f": ca.Function("grad_f", [w, p], [f, ca.densify(ca.gradient(f, w))]),
            "jac_g": ca.Function("jac_g", [w, p], [g, ca.jacobian(g, w)]),
            "hess_lag": ca.Function("hess_lag", [w, p, sigma, lam], [hessian]),
        }
    )


CENTRE = np.array([2.0, 0.3, -1.0, 0.6])
UNIT = (np.zeros(4), np.ones(4))


def nearest(start, most=12):
    """The point of the unit cube nearest to CENTRE with w1 + w3 <= 0.7."""
    p = polisher(lambda w: ca.sumsqr(w - CENTRE) / 2, lambda w: w[1] + w[3], 4)
    limits = (*UNIT, np.array([-np.inf]), np.array([0.7]))
    return p.run(np.array(start), np.zeros(4), np.zeros(1), limits, np.zeros(0), np.ones(4), most)


@pytest.mark.parametrize("start", [[0.5] * 4, [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
def test_the_active_set_is_found_from_any_start(start):
    answer = nearest(start)
    np.testing.assert_allclose(answer.w, [1.0, 0.2, 0.0, 0.5], atol=1e-15)
    np.testing.assert_allclose(answer.lam_w, [1.0, 0.0, -1.0, 0.0], atol=1e-14)
    np.testing.assert_allclose(answer.lam_g, [0.1], atol=1e-14)
    assert answer.cost == pytest.approx(1.01)
    assert answer.residual < 1e-14


def test_no_answer_where_the_steps_do_not_suffice():
    assert nearest([0.5] * 4, most=1) is None


def test_no_answer_where_the_system_is_singular():
    p = polisher(lambda w: w[0] ** 2 + w[1], lambda w: ca.MX(0, 1), 2)  # nothing holds w[1]
    wide = (np.full(2, -np.inf), np.full(2, np.inf), np.zeros(0), np.zeros(0))
    assert p.run(np.ones(2), np.zeros(2), np.zeros(0), wide, np.zeros(0), np.ones(2)) is None


def test_no_answer_where_bounds_leave_nothing_to_meet_the_constraints():
    p = polisher(lambda w: ca.sumsqr(w), lambda w: w[0] + w[1], 2)
    limits = (np.zeros(2), np.zeros(2), np.ones(1), np.ones(1))
    assert p.run(np.zeros(2), np.zeros(2), np.zeros(1), limits, np.zeros(0), np.ones(2)) is None
