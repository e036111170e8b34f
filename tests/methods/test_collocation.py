import os
import signal
import threading

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_are
from scipy.optimize import minimize

import ocnet as oc
from ocnet.errors import SolveError
from ocnet.methods import guess as guesses
from ocnet.methods.ipopt import Monitor
from ocnet.solution import Status

A, B = np.array([[0.3, 1.0], [-0.8, 0.1]]), np.array([[0.2], [1.0]])
Q, R, S = np.diag([1.0, 0.5]), np.array([[0.7]]), np.diag([0.4, 0.9])
X0 = np.array([1.0, -0.6])


def fixed(intervals=10, degree=3, **options):
    return oc.Collocation(intervals=intervals, degree=degree, refine_to=None, **options)


def regulator(horizon, speed=None):
    """x'Qx + u'Ru, plus |ẋ|² stated with the derivative symbol or with the right-hand side."""
    problem = oc.Problem("regulator", horizon=horizon)
    x = problem.state("x", 2, initial=X0)
    u = problem.control("u")
    flow = ca.DM(A) @ x + ca.DM(B) @ u
    problem.dynamics(x, flow)
    moved = {None: 0, "derivative": problem.derivative(x), "right-hand side": flow}[speed]
    terminal = 0 if isinstance(horizon, oc.Discounted) else ca.bilin(ca.DM(S), x, x)
    problem.minimize(stage=ca.bilin(ca.DM(Q), x, x) + R[0, 0] * u**2 + ca.sumsqr(moved), terminal=terminal)
    return problem


def riccati(tf, rate, speed, times):
    """Value matrices P(t), states and controls of the regulator; cross terms come from |Ax + Bu|²."""
    on = float(speed is not None)
    q, r, n = Q + on * A.T @ A, R + on * B.T @ B, on * A.T @ B

    def gain(P):
        return np.linalg.solve(r, B.T @ P + n.T)

    def back(s, flat):
        P = flat.reshape(2, 2)
        return (q + A.T @ P + P @ A - (P @ B + n) @ gain(P) - rate * P).ravel()

    exact = {"rtol": 1e-12, "atol": 1e-13, "dense_output": True, "method": "DOP853"}
    run = solve_ivp(back, (0, tf), S.ravel(), **exact).sol
    path = solve_ivp(lambda t, x: (A - B @ gain(run(tf - t).reshape(2, 2))) @ x, (0, tf), X0, **exact).sol
    P, x = np.array([run(tf - t).reshape(2, 2) for t in times]), path(times).T
    return P, x, np.array([-gain(a) @ b for a, b in zip(P, x, strict=True)])


@pytest.mark.parametrize("scheme", ["radau", "gauss"])
@pytest.mark.parametrize("rate", [0.0, 0.6])
@pytest.mark.parametrize("speed", [None, "derivative", "right-hand side"])
def test_regulator_against_the_riccati_equation(speed, rate, scheme):
    solution = oc.solve(
        regulator(oc.Finite(3.0, discount=rate), speed), oc.Collocation(scheme=scheme, refine_to=1e-8)
    )
    times = np.linspace(0, 3.0, 38)
    P, x, u = riccati(3.0, rate, speed, times)
    p = 2 * np.einsum("tij,tj->ti", P, x)
    assert solution.status is Status.SOLVED
    assert solution.cost == pytest.approx(X0 @ P[0] @ X0, rel=1e-9)
    np.testing.assert_allclose(solution.state("x", times), x, atol=1e-7)
    np.testing.assert_allclose(solution.control("u", times), u, atol=1e-5)
    np.testing.assert_allclose(solution.costate("x", times), p, atol=2e-6)
    np.testing.assert_allclose(solution.costate("x", [0.0, 3.0]), p[[0, -1]], atol=1e-7)
    if rate == 0:  # an autonomous problem: H = stage + p·f is constant
        own = solution.state("x", times), solution.control("u", times), solution.costate("x", times)
        moved = own[0] @ A.T + own[1] @ B.T
        stage = np.einsum("ti,ij,tj->t", own[0], Q, own[0]) + R[0, 0] * own[1][:, 0] ** 2
        h = stage + (speed is not None) * (moved**2).sum(axis=1) + (own[2] * moved).sum(axis=1)
        assert np.ptp(h) < 2e-5 * (1 + np.abs(stage).max())


def smooth(horizon=None):
    """A nonlinear problem without bounds."""
    problem = oc.Problem("smooth", horizon=horizon or oc.Finite(1.5))
    x = problem.state("x", 2, initial=[1.0, -0.5])
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[1] + ca.sin(x[0]), -x[0] * x[1] + u * ca.exp(-x[0] / 2)))
    problem.minimize(stage=ca.sumsqr(x) + u**2 + 0.2 * u**4, terminal=ca.sumsqr(x) / 2)
    return problem


def test_infinite_horizon_against_the_algebraic_riccati_equation():
    rate = 0.5
    solution = oc.solve(regulator(oc.Discounted(rate)))
    P = solve_continuous_are(A - rate / 2 * np.eye(2), B, Q, R)
    assert solution.cost == pytest.approx(X0 @ P @ X0, rel=1e-8)
    times = np.linspace(0, 12, 30)
    x = solution.state("x", times)
    np.testing.assert_allclose(solution.costate("x", times), 2 * x @ P, atol=1e-5)
    np.testing.assert_allclose(solution.control("u", times), -x @ P @ B / R, atol=1e-4)
    np.testing.assert_allclose(solution.costate("x", 0.0), 2 * P @ X0, atol=1e-7)
    assert solution.errors["tail"] < 1e-9


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_doubling_an_infinite_horizon_moves_nothing(drift):
    """Also where the states settle at a cost that is not zero, so that the tail decides the horizon."""

    def problem(horizon):
        problem = oc.Problem("saturating", horizon=horizon)
        x = problem.state("x", initial=1.0)
        u = problem.control("u", lower=-1.0, upper=1.0)
        problem.dynamics(x, -x + ca.tanh(2 * x) * u + drift)
        problem.minimize(stage=x**2 + u**2 / 2)
        return problem

    method = oc.Collocation(refine_to=1e-8)
    solution = oc.solve(problem(oc.Discounted(0.5)), method)
    long = oc.solve(problem(oc.Finite(2 * solution.time[-1], discount=0.5)), method)
    assert solution.status is long.status is Status.SOLVED
    assert solution.cost == pytest.approx(long.cost, rel=1e-8)


@pytest.mark.parametrize("how", ["stage", "terminal"])
def test_free_final_time(how):
    """From 0 to 1 at the least T + ∫ u²: T = 1, u = 1, J = 2, H = 0."""
    problem = oc.Problem("walk", horizon=oc.FreeTime(0.2, 9.0, 4.0))
    x = problem.state("x", initial=0.0, final=1.0)
    u = problem.control("u")
    problem.dynamics(x, u)
    stage, terminal = (1 + u**2, 0) if how == "stage" else (u**2, problem.time)
    problem.minimize(stage=stage, terminal=terminal)
    solution = oc.solve(problem)
    assert solution.time[-1] == pytest.approx(1.0, abs=1e-7)
    assert solution.cost == pytest.approx(2.0, rel=1e-10)
    np.testing.assert_allclose(solution.states["x"][:, 0], solution.time, atol=1e-7)
    np.testing.assert_allclose(solution.costates["x"], -2.0, atol=1e-6)
    again = oc.solve(problem, guess={"time": 0.5})
    assert again.time[-1] == pytest.approx(1.0, abs=1e-7)


def test_the_fastest_way_from_rest_to_rest():
    """|u| <= 1, distance 1: T = 2, full push and full brake."""
    problem = oc.Problem("rest to rest", horizon=oc.FreeTime(0.5, 5.0, 3.0))
    x = problem.state("x", 2, initial=0.0, final=[1.0, 0.0])
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, ca.vertcat(x[1], u))
    problem.minimize(terminal=problem.time)
    solution = oc.solve(problem)
    assert solution.cost == pytest.approx(2.0, abs=1e-6)
    np.testing.assert_allclose(solution.control("u", [0.3, 0.7, 1.3, 1.9])[:, 0], [1, 1, -1, -1], atol=1e-5)
    np.testing.assert_allclose(solution.costate("x", 0.0), [-1.0, -1.0], atol=2e-3)  # the switch's interval


@pytest.mark.parametrize("rate", [0.0, 0.15])
def test_steps_against_the_riccati_recursion(rate):
    n, beta = 12, np.exp(-rate)
    problem = oc.Problem("steps", horizon=oc.Steps(n, discount=rate))
    x = problem.state("x", 2, initial=X0)
    u = problem.control("u")
    F, G = np.eye(2) + 0.3 * A, 0.3 * B
    problem.dynamics(x, ca.DM(F) @ x + ca.DM(G) @ u)
    problem.minimize(stage=ca.bilin(ca.DM(Q), x, x) + R[0, 0] * u**2, terminal=ca.bilin(ca.DM(S), x, x))
    solution = oc.solve(problem)
    P, gains = [S], []
    for _ in range(n):
        later = beta * P[0]
        gains.insert(0, np.linalg.solve(R + G.T @ later @ G, G.T @ later @ F))
        P.insert(0, Q + F.T @ later @ (F - G @ gains[0]))
    states = [X0]
    for gain in gains:
        states.append((F - G @ gain) @ states[-1])
    assert solution.status is Status.SOLVED
    assert solution.cost == pytest.approx(X0 @ P[0] @ X0, rel=1e-12)
    np.testing.assert_allclose(solution.states["x"], states, atol=1e-9)
    np.testing.assert_allclose(
        solution.controls["u"], [-k @ s for k, s in zip(gains, states[:-1], strict=True)], atol=1e-8
    )
    np.testing.assert_allclose(
        solution.costates["x"], [2 * a @ b for a, b in zip(P, states, strict=True)], atol=1e-8
    )


def test_nonlinear_steps_with_bounds_against_direct_search():
    problem = oc.Problem("steps", horizon=oc.Steps(4, discount=0.1))
    x = problem.state("x", initial=0.8)
    u = problem.control("u", lower=-0.3, upper=0.3)
    problem.dynamics(x, ca.sin(2 * x) + u * x)
    problem.minimize(stage=x**2 + u**2 / 2 + problem.derivative(x) ** 2, terminal=x**4)

    def cost(controls):
        total, x = 0.0, 0.8
        for k, u in enumerate(controls):
            new = np.sin(2 * x) + u * x
            total, x = total + np.exp(-0.1 * k) * (x**2 + u**2 / 2 + (new - x) ** 2), new
        return total + np.exp(-0.4) * x**4

    best = minimize(cost, np.zeros(4), bounds=[(-0.3, 0.3)] * 4, tol=1e-13)
    solution = oc.solve(problem)
    assert solution.cost == pytest.approx(best.fun, rel=1e-9)
    np.testing.assert_allclose(solution.controls["u"][:, 0], best.x, atol=1e-5)
    assert cost(solution.controls["u"][:, 0]) == pytest.approx(solution.cost, rel=1e-12)


def parametric():
    """Every place where a parameter may stand; with the values given all bounds are active somewhere."""
    problem = oc.Problem("parametric", horizon=oc.Finite(2.0, discount=0.2))
    gain = problem.parameter("gain", (2, 2), value=[[0.1, 1.0], [-0.5, -0.3]])
    weight = problem.parameter("weight", value=2.0)
    start = problem.parameter("start", 2, value=[0.5, -0.5])
    push, cap, top = (problem.parameter(n, value=v) for n, v in (("push", 1.5), ("cap", 0.2), ("top", 0.91)))
    goal, least, end = (
        problem.parameter(n, value=v) for n, v in (("goal", 0.9), ("least", 0.6), ("end", 0.05))
    )
    x = problem.state("x", 2, initial=start, upper=ca.vertcat(top, 5), final=ca.vertcat(goal, np.nan))
    u = problem.control("u", 2, lower=-push, upper=push)
    q = problem.unknown("q", lower=least, upper=2.0, guess=1.0)
    problem.dynamics(x, gain @ x + ca.vertcat(0.3 * u[0], u[1]) + q * ca.vertcat(-0.2, ca.sin(x[0])))
    problem.constrain(x[1] + 0.1 * u[1], upper=cap, name="cap")
    problem.constrain(x[1], upper=end, at="final", name="end")
    stage = (
        weight * (x[0] - 1) ** 2 + 0.05 * ca.sumsqr(u) + q**2 / 9 + 0.02 * ca.sumsqr(problem.derivative(x))
    )
    problem.minimize(stage=stage, terminal=weight * (x[1] - 1) ** 2)
    return problem


def test_sensitivities_against_finite_differences():
    """To parameters in the dynamics, the cost, both ends, and the bounds of everything that has bounds."""
    solver = oc.prepare(parametric(), fixed(8))
    solution = solver.solve(tolerance=1e-10)
    for name, value in solution.parameters.items():
        differences = np.zeros(value.shape)
        for i in np.ndindex(value.shape):
            step = np.zeros(value.shape)
            step[i] = 1e-4
            up, down = (solver.solve(parameters={name: value + s}, tolerance=1e-10) for s in (step, -step))
            differences[i] = (up.cost - down.cost) / 2e-4
        found = solution.sensitivity(name)
        assert found.shape == value.shape
        np.testing.assert_allclose(found, differences, atol=2e-7, err_msg=name)
        assert np.abs(found).min() > 1e-4, f"{name} does not matter"
    # parameters change without anything being built again
    assert len(solver._solver._transcriptions) == 1
    assert up.stats["build"] == 0


def test_the_same_refinement_is_built_once():
    solver = oc.prepare(smooth())
    first = solver.solve()
    count = len(solver._solver._transcriptions)
    second = oc.solve(solver.problem)  # the same problem and method: the same solver
    assert len(solver._solver._transcriptions) == count
    assert first.stats["build"] > 0
    assert second.stats["build"] == 0
    assert second.cost == first.cost


def bounded(final=None):
    """A van der Pol oscillator with a bounded force."""
    problem = oc.Problem("van der Pol", horizon=oc.Finite(6.0))
    x = problem.state("x", 2, initial=[0.0, 1.0], final=final)
    u = problem.control("u", lower=-0.3, upper=1.0)
    problem.dynamics(x, ca.vertcat((1 - x[1] ** 2) * x[0] - x[1] + u, x[0]))
    problem.minimize(stage=ca.sumsqr(x) + u**2)
    return problem


def test_a_warm_start_takes_fewer_iterations():
    cold = oc.solve(bounded(), fixed(20))
    same = oc.solve(bounded(), fixed(20), guess=cold)
    finer = oc.solve(bounded(), fixed(31), guess=cold)
    plain = oc.solve(bounded(), fixed(31))
    assert same.stats["iterations"] < cold.stats["iterations"]
    assert finer.stats["iterations"] < plain.stats["iterations"]
    assert same.cost == pytest.approx(cold.cost, rel=1e-9)
    assert finer.cost == pytest.approx(plain.cost, rel=1e-9)


GUESSES = {
    "constants": ({"x": [0.5, -0.2], "u": 0.3}, lambda t: [0.5 + 0 * t, -0.2 + 0 * t], lambda t: 0.3 + 0 * t),
    "functions": (
        {"x": lambda t: [np.sin(t), t], "u": lambda t: t / 2}, lambda t: [np.sin(t), t], lambda t: t / 2,
    ),
    "arrays": (
        {"x": ([0, 1, 2], [[0, 1], [1, 0], [3, 1]]), "u": ([0.0, 1.5], [1.0, 2.5])},
        lambda t: [np.interp(t, [0, 1, 2], [0, 1, 3]), np.abs(1 - t)], lambda t: 1 + t,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", GUESSES)
def test_guesses_are_where_the_solver_starts(form):
    guess, x, u = GUESSES[form]
    problem = smooth()
    start = oc.solve(problem, fixed(6, options={"max_iter": 0}), guess=guess, throw=False)
    assert start.status is Status.ITERATION_LIMIT
    np.testing.assert_allclose(start.states["x"][1:], np.transpose(x(start.time[1:])), atol=1e-6)
    np.testing.assert_allclose(start.controls["u"][:, 0], u(start.control_time), atol=1e-6)
    np.testing.assert_array_equal(start.states["x"][0], [1.0, -0.5])  # prescribed
    done = oc.solve(problem, guess=guess)
    again = oc.solve(problem, guess=done)
    assert done.cost == pytest.approx(5.31063258902, rel=1e-8)
    assert again.cost == pytest.approx(done.cost, rel=1e-10)


def test_rollouts_stay_finite_where_the_dynamics_explode():
    problem = oc.Problem("explosive", horizon=oc.Finite(3.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, x**3 + u)
    problem.minimize(stage=x**2 + u**2)
    f = problem.functions
    start = guesses.start(f, f.bounds(np.zeros(0)), np.zeros(0), (0.0, 3.0))
    t = np.linspace(0, 3, 100)
    assert np.isfinite(start.x(t)).all()
    assert np.abs(start.x(t)).max() <= 2.1e3
    solution = oc.solve(problem)
    # the value function of this problem: V' = 2 (x³ + sqrt(x⁶ + x²))
    s = np.linspace(0, 1, 20001)
    value = np.trapezoid(2 * (s**3 + np.sqrt(s**6 + s**2)), s)
    assert solution.cost == pytest.approx(value, abs=2e-2)


def wells():
    """Two valleys at the end, at −1 and 1; the second one is deeper by 0.4."""
    problem = oc.Problem("wells", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=0.0)
    u = problem.control("u", lower=-3.0, upper=3.0)
    problem.dynamics(x, u)
    problem.minimize(stage=u**2 / 50, terminal=(x**2 - 1) ** 2 - x / 5)
    return problem


def test_several_starts_find_the_better_optimum():
    problem, worse = wells(), {"u": -1.0}
    one = oc.solve(problem, guess=worse)
    many = oc.solve(problem, guess=worse, multistart=5, rng=3)
    assert one.states["x"][-1] < -0.9
    assert many.states["x"][-1] > 0.9
    assert many.cost < one.cost - 0.3
    np.testing.assert_allclose(many.optima, [many.cost, one.cost], rtol=1e-8)
    assert many.stats["starts"] == 5
    for rng in (3, np.random.default_rng(3)):
        again = oc.solve(problem, guess=worse, multistart=5, rng=rng)
        assert again.cost == many.cost
        assert again.optima == many.optima


def test_what_the_mesh_allows_is_said():
    solution = oc.solve(smooth(), fixed())
    assert solution.status is Status.NOT_VERIFIED
    assert solution.success
    short = oc.Collocation(intervals=2, degree=2, refine_to=1e-12, max_refinements=1)
    with pytest.raises(
        SolveError, match=r"'smooth': the mesh reached its limit.*error of the states is"
    ) as e:
        oc.solve(smooth(), short)
    assert e.value.solution.status is Status.REFINEMENT_LIMIT
    assert len(e.value.solution.stats["meshes"]) == 2
    few = oc.Collocation(intervals=2, degree=2, refine_to=1e-12, max_points=10)
    assert oc.solve(smooth(), few, throw=False).status is Status.REFINEMENT_LIMIT


def test_badly_scaled_units_change_nothing():
    def problem(unit_x, unit_u):
        problem = oc.Problem("units", horizon=oc.Finite(2.0))
        x = problem.state("x", 2, initial=X0 * unit_x)
        u = problem.control("u", lower=-0.5 * unit_u, upper=0.5 * unit_u)
        y, v = x / unit_x, u / unit_u
        problem.dynamics(x, unit_x * ca.vertcat(y[1], ca.sin(y[0]) + v))
        problem.minimize(stage=ca.sumsqr(y) + v**2)
        return problem

    t = np.linspace(0, 2, 30)
    for method, accuracy in ((fixed(), 1e-12), (oc.Collocation(), 1e-6)):
        plain, odd = oc.solve(problem(1.0, 1.0), method), oc.solve(problem(1e5, 1e-4), method)
        assert odd.cost == pytest.approx(plain.cost, rel=accuracy)
        if method.refine_to is None:  # the same mesh: the same numbers, to rounding
            np.testing.assert_allclose(odd.state("x", t) / 1e5, plain.state("x", t), atol=1e-10)
            np.testing.assert_allclose(odd.control("u", t) / 1e-4, plain.control("u", t), atol=1e-9)
            np.testing.assert_allclose(odd.costate("x", t) * 1e5, plain.costate("x", t), atol=1e-9)
            assert odd.stats["iterations"] <= plain.stats["iterations"] + 2


def test_an_interrupt_keeps_the_last_iterate(monkeypatch):
    plain, sent = Monitor.eval, []

    def evaluate(self, arg):
        if self.iteration == 3:
            timer = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
            timer.start()
            timer.join()
            sent.append(self.iteration)
        return plain(self, arg)

    monkeypatch.setattr(Monitor, "eval", evaluate)
    before = signal.getsignal(signal.SIGINT)
    solution = oc.solve(bounded(), fixed(20), multistart=3, throw=False)
    assert solution.status is Status.INTERRUPTED
    assert not solution.success
    assert len(sent) == 1  # the other starts are not tried
    assert 2 <= solution.stats["iterations"] <= 5
    assert np.isfinite(solution.x.values).all()
    assert np.ptp(solution.controls["u"]) > 0  # not the guess
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    assert oc.solve(bounded(), fixed(20), guess=solution).success


def test_progress_is_shown_when_asked_for_only(capfd):
    oc.solve(smooth(), fixed(4), progress=True)
    shown = capfd.readouterr()
    assert "smooth: iteration " in shown.out + shown.err
    assert "cost 5.3" in shown.out + shown.err
    oc.solve(smooth(), fixed(4))
    quiet = capfd.readouterr()
    assert (quiet.out, quiet.err) == ("", "")
