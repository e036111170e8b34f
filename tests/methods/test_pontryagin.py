"""Pontryagin's road against closed forms, Riccati equations and collocation."""

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_are

import ocnet as oc
from ocnet.solution import Status

A, B = np.array([[0.3, 1.0], [-0.8, 0.1]]), np.array([[0.2], [1.0]])
Q, R, S = np.diag([1.0, 0.5]), np.array([[0.7]]), np.array([[0.4, 0.1], [0.1, 0.9]])
X0 = np.array([1.0, -0.6])
SHARP = oc.Pontryagin(refine_to=1e-9)


def regulator(horizon, speed=False, initial=X0, final=None, terminal=S):
    problem = oc.Problem("regulator", horizon=horizon)
    x = problem.state("x", 2, initial=initial, final=final)
    u = problem.control("u")
    flow = ca.DM(A) @ x + ca.DM(B) @ u
    problem.dynamics(x, flow)
    stage = ca.bilin(ca.DM(Q), x, x) + R[0, 0] * u**2
    if speed:
        stage = stage + ca.sumsqr(problem.derivative(x))
    end = 0 if isinstance(horizon, oc.Discounted) else ca.bilin(ca.DM(terminal), x, x)
    problem.minimize(stage=stage, terminal=end)
    return problem


def riccati(tf, rate, speed, times):
    """Value matrices P(t) and states; V = xᵀPx."""
    on = float(speed)
    q, r, n = Q + on * A.T @ A, R + on * B.T @ B, on * A.T @ B

    def gain(P):
        return np.linalg.solve(r, B.T @ P + n.T)

    def back(s, flat):
        P = flat.reshape(2, 2)
        return (q + A.T @ P + P @ A - (P @ B + n) @ gain(P) - rate * P).ravel()

    exact = {"rtol": 1e-12, "atol": 1e-13, "dense_output": True, "method": "DOP853"}
    run = solve_ivp(back, (0, tf), S.ravel(), **exact).sol
    path = solve_ivp(lambda t, x: (A - B @ gain(run(tf - t).reshape(2, 2))) @ x, (0, tf), X0, **exact).sol
    return np.array([run(tf - t).reshape(2, 2) for t in times]), path(times).T


@pytest.mark.parametrize("rate", [0.0, 0.6])
@pytest.mark.parametrize("speed", [False, True])
def test_regulator_against_the_riccati_equation(speed, rate):
    solution = oc.solve(regulator(oc.Finite(3.0, discount=rate), speed), SHARP)
    times = solution.x.breaks
    P, x = riccati(3.0, rate, speed, times)
    assert solution.status is Status.SOLVED
    assert solution.cost == pytest.approx(X0 @ P[0] @ X0, rel=1e-11)
    assert solution.result.second_order is True
    np.testing.assert_allclose(solution.state("x", times), x, atol=1e-8)
    np.testing.assert_allclose(solution.costate("x", times), 2 * np.einsum("tij,tj->ti", P, x), atol=1e-8)
    # the elimination's matrices are ∂p/∂x = 2P
    np.testing.assert_allclose(solution.gain(times), 2 * P, atol=1e-7)
    between = np.linspace(0, 3, 77)
    P, x = riccati(3.0, rate, speed, between)
    np.testing.assert_allclose(solution.state("x", between), x, atol=1e-8)
    on = float(speed)
    u = -np.linalg.solve(R + on * B.T @ B, np.einsum("ji,tjk,tk->it", B, P, x) + on * B.T @ A @ x.T)
    np.testing.assert_allclose(solution.control("u", between), u.T, atol=1e-7)


def test_infinite_horizon_against_the_algebraic_riccati_equation():
    rate = 0.5
    solution = oc.solve(regulator(oc.Discounted(rate)), SHARP)
    P = solve_continuous_are(A - rate / 2 * np.eye(2), B, Q, R)
    assert solution.cost == pytest.approx(X0 @ P @ X0, rel=1e-9)
    assert solution.errors["tail"] < 1e-9
    times = np.linspace(0, 12, 30)
    x = solution.state("x", times)
    np.testing.assert_allclose(solution.costate("x", times), 2 * x @ P, atol=1e-7)
    np.testing.assert_allclose(solution.gain(0.0), 2 * P, atol=1e-5)
    np.testing.assert_allclose(solution.control("u", times), -x @ P @ B / R, atol=1e-7)


@pytest.mark.parametrize("rate", [0.0, 0.15])
def test_steps_against_the_riccati_recursion(rate):
    n, beta = 12, np.exp(-rate)
    problem = oc.Problem("steps", horizon=oc.Steps(n, discount=rate))
    x = problem.state("x", 2, initial=X0)
    u = problem.control("u")
    F, G = np.eye(2) + 0.3 * A, 0.3 * B
    problem.dynamics(x, ca.DM(F) @ x + ca.DM(G) @ u)
    problem.minimize(stage=ca.bilin(ca.DM(Q), x, x) + R[0, 0] * u**2, terminal=ca.bilin(ca.DM(S), x, x))
    solution = oc.solve(problem, oc.Pontryagin())
    P, gains = [S], []
    for _ in range(n):
        later = beta * P[0]
        gains.insert(0, np.linalg.solve(R + G.T @ later @ G, G.T @ later @ F))
        P.insert(0, Q + F.T @ later @ (F - G @ gains[0]))
    states = [X0]
    for gain in gains:
        states.append((F - G @ gain) @ states[-1])
    assert solution.status is Status.SOLVED
    assert solution.stats["newton_steps"] == 1
    assert solution.cost == pytest.approx(X0 @ P[0] @ X0, rel=1e-13)
    np.testing.assert_allclose(solution.states["x"], states, atol=1e-12)
    np.testing.assert_allclose(
        solution.controls["u"], [-k @ s for k, s in zip(gains, states[:-1], strict=True)], atol=1e-12
    )
    np.testing.assert_allclose(
        solution.costates["x"], [2 * a @ b for a, b in zip(P, states, strict=True)], atol=1e-12
    )
    wanted = [2 * beta * P[k + 1] @ (F - G @ gains[k]) for k in range(n)]
    np.testing.assert_allclose(solution.gain(np.arange(float(n))), wanted, atol=1e-12)


def test_one_step():
    problem = oc.Problem("one step", horizon=oc.Steps(1))
    x = problem.state("x", initial=1.0)
    u = problem.control("u", lower=-0.25, upper=5.0)
    problem.dynamics(x, x + u)
    problem.minimize(stage=u**2, terminal=x**2)
    solution = oc.solve(problem, oc.Pontryagin())
    assert solution.cost == pytest.approx(0.25**2 + 0.75**2, rel=1e-13)
    assert solution.control("u", 0.0) == pytest.approx(-0.25)


# ---------------------------------------------------------------------- ends


def double_integrator(place, speed, terminal=0.0):
    """From rest at 0 in unit time to a place and a speed, which may be None."""
    problem = oc.Problem("double integrator", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=0.0, final=place)
    v = problem.state("v", initial=0.0, final=speed)
    u = problem.control("u")
    problem.dynamics(x, v)
    problem.dynamics(v, u)
    problem.minimize(stage=u**2 / 2, terminal=terminal * v**2 / 2)
    return problem


def test_minimum_energy_to_a_fixed_state():
    """From rest at 0 to rest at 1 in unit time: u = 6 − 12 t, J = 6."""
    solution = oc.solve(double_integrator(1.0, 0.0), oc.Pontryagin())
    assert solution.cost == pytest.approx(6.0, rel=1e-12)
    assert solution.result.gain is None  # no Riccati matrix exists there
    t = np.linspace(0, 1, 21)
    np.testing.assert_allclose(solution.control("u", t)[:, 0], 6 - 12 * t, atol=1e-10)
    np.testing.assert_allclose(solution.state("x", t)[:, 0], 3 * t**2 - 2 * t**3, atol=1e-11)
    np.testing.assert_allclose(solution.costate("x", t), -12.0, atol=1e-10)
    np.testing.assert_allclose(solution.costate("v", t)[:, 0], 12 * t - 6, atol=1e-10)


def test_a_final_state_that_is_fixed_in_part():
    """To position 1 at any speed: u = 3(1 − t), J = 3/2."""
    solution = oc.solve(double_integrator(1.0, None), oc.Pontryagin())
    assert solution.cost == pytest.approx(1.5, rel=1e-12)
    t = np.linspace(0, 1, 21)
    np.testing.assert_allclose(solution.control("u", t)[:, 0], 3 * (1 - t), atol=1e-10)
    assert abs(solution.costate("v", 1.0)[0]) < 1e-10


def test_a_final_state_that_is_fixed_in_part_with_a_price_on_the_rest():
    """To position 1 with cost c·v²/2 on the speed: a quadratic programme in the coefficients of u."""
    c = 3.0
    solution = oc.solve(double_integrator(1.0, None, c), oc.Pontryagin())
    # u = a + b t: x(1) = a/2 + b/6, v(1) = a + b/2, ∫u² = a² + ab + b²/3
    M = np.array([[1 + c, 0.5 + c / 2], [0.5 + c / 2, 1 / 3 + c / 4]])
    e = np.array([0.5, 1 / 6])
    ab = np.linalg.solve(M, e)
    ab /= e @ ab
    assert solution.cost == pytest.approx(ab @ M @ ab / 2, rel=1e-11)
    t = np.linspace(0, 1, 11)
    np.testing.assert_allclose(solution.control("u", t)[:, 0], ab[0] + ab[1] * t, atol=1e-9)


@pytest.mark.parametrize("which", ["y", "z", "yz"])
def test_a_free_initial_state(which):
    """Where the start is free its costate vanishes."""
    problem = oc.Problem("free start", horizon=oc.Finite(2.0))
    parts = [problem.state(n, initial=None if n in which else v) for n, v in (("y", 1.0), ("z", -0.6))]
    u = problem.control("u")
    x = ca.vertcat(*parts)
    flow = ca.DM(A) @ x + ca.DM(B) @ u
    for i, part in enumerate(parts):
        problem.dynamics(part, flow[i])
    goal = ca.DM([0.5, 0.2])
    problem.minimize(stage=ca.bilin(ca.DM(Q), x - goal, x - goal) + R[0, 0] * u**2, terminal=ca.sumsqr(x))
    solution = oc.solve(problem, SHARP)
    assert solution.result.second_order is True
    for name, value in (("y", 1.0), ("z", -0.6)):
        if name in which:
            assert abs(solution.costate(name, 0.0)[0]) < 1e-10
        else:
            assert solution.state(name, 0.0)[0] == pytest.approx(value, abs=1e-12)
    other = oc.solve(problem, oc.Collocation(refine_to=1e-8))
    assert solution.cost == pytest.approx(other.cost, rel=1e-9)
    for name in "yz":
        assert solution.state(name, 0.0)[0] == pytest.approx(other.state(name, 0.0)[0], abs=1e-6)


@pytest.mark.parametrize("steps", [False, True])
def test_a_terminal_cost_that_is_not_quadratic(steps):
    problem = oc.Problem("terminal", horizon=oc.Steps(8) if steps else oc.Finite(2.0))
    x = problem.state("x", 2, initial=[1.0, -0.5])
    u = problem.control("u", lower=-0.3, upper=0.3)
    flow = ca.vertcat(x[1], -ca.sin(x[0]) + u)
    problem.dynamics(x, x + 0.25 * flow if steps else flow)
    problem.minimize(stage=u**2 / 2, terminal=ca.exp(x[0] + x[1]) + x[0] ** 4 + ca.cosh(x[1]))
    solution = oc.solve(problem, SHARP)
    end = solution.states["x"][-1]
    slope = np.exp(end.sum()) + [4 * end[0] ** 3, np.sinh(end[1])]
    np.testing.assert_allclose(solution.costates["x"][-1], slope, atol=1e-8)
    other = oc.solve(problem, oc.Collocation(refine_to=1e-8))
    assert solution.cost == pytest.approx(other.cost, rel=1e-8)


# ---------------------------------------------------------------------- time and parameters


def test_explicit_time():
    problem = oc.Problem("driven", horizon=oc.Finite(3.0, t0=1.0, discount=0.2))
    x = problem.state("x", initial=0.5)
    u = problem.control("u", lower=-0.8, upper=0.8)
    t = problem.time
    problem.dynamics(x, -x + t / 2 + u * (1 + ca.sin(3 * t)))
    problem.minimize(stage=(x - ca.cos(t)) ** 2 * t + u**2, terminal=t * x**2)
    solution = oc.solve(problem, oc.Pontryagin())
    assert solution.cost == pytest.approx(oc.solve(problem).cost, rel=1e-7)
    certificate = solution.certificate
    assert certificate.resimulation_error < 5e-6
    assert certificate.costate_residual < 1e-5
    assert certificate.hamiltonian_gap < 1e-9
    assert certificate.bound_violation == 0


@pytest.mark.parametrize("changes", [{"weight": 5.0}, {"push": 0.2}, {"start": [-0.5, 0.3]}], ids=str)
def test_a_parameter_means_what_it_says(changes):
    """The same as a problem whose default it is."""
    method = oc.Pontryagin(refine_to=1e-4)
    found = oc.solve(parametric(), method, parameters=changes)
    assert found.cost == pytest.approx(oc.solve(parametric(**changes), method).cost, rel=1e-10)
    assert abs(found.cost - oc.solve(parametric(), method).cost) > 1e-3


def parametric(steps=False, weight=2.0, start=(0.5, -0.5), push=1.0):
    """A parameter in every place that this road allows."""
    problem = oc.Problem("parametric", horizon=oc.Steps(6) if steps else oc.Finite(2.0, discount=0.2))
    gain = problem.parameter("gain", (2, 2), value=[[0.1, 1.0], [-0.5, -0.3]])
    weight = problem.parameter("weight", value=weight)
    start = problem.parameter("start", 2, value=start)
    push = problem.parameter("push", value=push)
    end = problem.parameter("end", value=0.7)
    x = problem.state("x", 2, initial=start)
    u = problem.control("u", 2, lower=-push, upper=push)
    flow = gain @ x + ca.vertcat(0.3 * u[0], u[1])
    problem.dynamics(x, x + 0.3 * flow if steps else flow)
    problem.minimize(stage=weight * (x[0] - 1) ** 2 + 0.2 * ca.sumsqr(u), terminal=end * ca.sumsqr(x - 1))
    return problem


CHANGES = {
    "gain": {"gain": [[0.4, 0.8], [-0.2, 0.1]]},
    "weight": {"weight": 5.0},
    "start": {"start": [-0.5, 0.3]},
    "push": {"push": 0.2},
    "end": {"end": 3.0},
    "all": {
        "gain": [[0.4, 0.8], [-0.2, 0.1]], "weight": 5.0, "start": [-0.5, 0.3], "push": 0.2, "end": 3.0
    },
}  # fmt: skip


@pytest.mark.parametrize("steps", [pytest.param(False, marks=pytest.mark.slow), True])
def test_parameters_change_without_building_again(steps):
    problem = parametric(steps)
    solver, judge = oc.prepare(problem, SHARP), oc.prepare(problem, oc.Collocation(refine_to=1e-7))
    plain = solver.solve()
    for name, values in CHANGES.items():
        solution = solver.solve(parameters=values)
        other = judge.solve(parameters=values)
        assert solution.cost == pytest.approx(other.cost, rel=1e-7), name
        assert abs(solution.cost - plain.cost) > 1e-3, f"{name} does not matter"
        for key, value in values.items():
            np.testing.assert_allclose(solution.parameters[key], value)
        assert solution.certificate.hamiltonian_gap < 1e-8, name
        assert solution.certificate.resimulation_error < 1e-7, name
    assert solver.solve().cost == pytest.approx(plain.cost, rel=1e-12)


@pytest.mark.parametrize("steps", [pytest.param(False, marks=pytest.mark.slow), True])
def test_sensitivities_against_finite_differences(steps):
    problem = parametric(steps)
    solver = oc.prepare(problem, oc.Pontryagin(refine_to=1e-7))
    solution = solver.solve(tolerance=1e-11)
    for name, value in solution.parameters.items():
        differences = np.zeros(value.shape)
        for i in np.ndindex(value.shape):
            step = np.zeros(value.shape)
            step[i] = 1e-4
            up, down = (solver.solve(parameters={name: value + s}, tolerance=1e-11) for s in (step, -step))
            differences[i] = (up.cost - down.cost) / 2e-4
        found = solution.sensitivity(name)
        assert found.shape == value.shape
        np.testing.assert_allclose(found, differences, atol=1e-6, err_msg=name)


# ---------------------------------------------------------------------- controls that meet their bounds


def test_a_clipped_control_in_closed_form():
    """ẋ = u, |u| ≤ 1, cost ∫ x + u²/2 over T: p = T − t, u = −min(p, 1)."""
    problem = oc.Problem("ramp", horizon=oc.Finite(3.2))
    x = problem.state("x", initial=1.0)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, u)
    problem.minimize(stage=x + u**2 / 2)
    solution = oc.solve(problem, oc.Pontryagin())
    t = np.linspace(0, 3.2, 65)
    np.testing.assert_allclose(solution.costate("x", t)[:, 0], 3.2 - t, atol=1e-11)
    np.testing.assert_allclose(solution.control("u", t)[:, 0], -np.fmin(3.2 - t, 1), atol=1e-11)
    T = 3.2  # J = T − ∫ min(p, 1)·p + ∫ min(p, 1)²/2
    assert solution.cost == pytest.approx(T - (T**2 - 1) / 2 - 1 / 3 + (T - 1) / 2 + 1 / 6, rel=1e-12)


def test_against_collocation_on_the_path():
    problem = oc.Problem("pendulum", horizon=oc.Finite(3.0))
    x = problem.state("x", 2, initial=[1.0, 0.0])
    u = problem.control("u", lower=-0.5, upper=0.2)
    problem.dynamics(x, ca.vertcat(x[1], -ca.sin(x[0]) + u))
    problem.minimize(stage=ca.sumsqr(x) + u**2)
    a, b = oc.solve(problem, oc.Pontryagin(refine_to=1e-8)), oc.solve(problem, oc.Collocation(refine_to=1e-8))
    assert a.cost == pytest.approx(b.cost, rel=1e-9)
    t = np.linspace(0, 3, 61)
    np.testing.assert_allclose(a.state("x", t), b.state("x", t), atol=1e-6)
    np.testing.assert_allclose(a.costate("x", t), b.costate("x", t), atol=1e-5)
    np.testing.assert_allclose(a.control("u", t), b.control("u", t), atol=1e-4)
