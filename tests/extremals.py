"""Problems whose extremals are known in closed form, as Solutions that no solver made."""

from itertools import pairwise

import casadi as ca
import numpy as np

import ocnet as oc
from ocnet.solution import Result, Solution, Status
from ocnet.trajectory import Interpolant

T = 1.0


def polynomials(function, breaks, nodes=9):
    """Interpolate a function of time (M,) -> (M, n) with nodes of their own on each interval."""
    breaks = np.asarray(breaks, dtype=float)
    s = (1 - np.cos(np.pi * np.arange(nodes) / (nodes - 1))) / 2
    values, times = [], []
    for a, b in pairwise(breaks):
        t = a + s * (b - a)
        inside = np.clip(t, a + 1e-12 * (b - a), b - 1e-12 * (b - a))  # the interval's own side of a jump
        times.append(t)
        values.append(np.asarray(function(inside), dtype=float).reshape(len(t), -1))
    first = nodes * np.arange(len(breaks) - 1)
    return Interpolant(np.concatenate(times), np.vstack(values), breaks, first, np.full(len(first), nodes))


def solution(problem, cost, x, u=None, p=None, q=(), **changes):
    """Put interpolants together to a Solution."""
    values = problem.parameter_values()
    parameters = problem.functions.pack(values, "parameter") if values else np.zeros(0)
    entries = {
        "status": Status.SOLVED, "message": "by hand", "cost": cost, "x": x, "u": u, "p": p,
        "q": np.asarray(q, dtype=float), "parameters": parameters, "mesh_error": 0.0, "method": "closed form",
    }  # fmt: skip
    return Solution(problem, Result(**(entries | changes)))


def integrator(a=0.0, final=T, growth=1.0):
    """ẋ = a x + u, x(0) = 1, cost ½∫ x² + u²: an unstable plant if a > 0."""
    problem = oc.Problem("integrator", horizon=oc.Finite(final))
    x = problem.state("x", initial=1.0)
    u = problem.control("u", lower=-10.0, upper=10.0)
    problem.dynamics(x, a * x + u)
    problem.minimize(stage=growth * (x**2 + u**2) / 2)
    return problem


def exact_integrator(breaks=None, x_shift=0.0, u_shift=0.0, p_shift=0.0, p_scale=1.0, **changes):
    """The extremal of the integrator, perturbed if asked for."""
    breaks = np.linspace(0, T, 6) if breaks is None else breaks
    return solution(
        integrator(), changes.pop("cost", np.tanh(T) / 2),
        polynomials(lambda t: np.cosh(T - t) / np.cosh(T) + x_shift, breaks),
        polynomials(lambda t: -np.sinh(T - t) / np.cosh(T) + u_shift, breaks),
        polynomials(lambda t: p_scale * np.sinh(T - t) / np.cosh(T) + p_shift, breaks), **changes,
    )  # fmt: skip


def discounted(rate=0.3, a=0.2, end=40.0):
    """The scalar regulator on the infinite horizon: p = P x with ρP = 1 − P² + 2aP."""
    problem = oc.Problem("discounted regulator", horizon=oc.Discounted(rate))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, a * x + u)
    problem.minimize(stage=(x**2 + u**2) / 2)
    P = ((2 * a - rate) + np.sqrt((2 * a - rate) ** 2 + 4)) / 2
    breaks = np.linspace(0, end, 41)
    path = polynomials(lambda t: np.exp((a - P) * t), breaks)
    cost = P / 2 * (1 - np.exp((2 * (a - P) - rate) * end))
    return solution(problem, cost, path, path.map(lambda x: -P * x), path.map(lambda x: P * x)), P


def steps(n=12, rate=0.1, a=1.3):
    """The scalar regulator in discrete time, by its Riccati recursion."""
    problem = oc.Problem("discrete regulator", horizon=oc.Steps(n, discount=rate))
    x = problem.state("x", initial=1.0)
    u = problem.control("u", lower=-5.0, upper=5.0)
    problem.dynamics(x, a * x + u)
    problem.minimize(stage=(x**2 + u**2) / 2, terminal=x**2)
    gamma, P = np.exp(-rate), np.empty(n + 1)
    P[n] = 2.0
    for k in range(n - 1, -1, -1):
        P[k] = 1 + a**2 * gamma * P[k + 1] / (1 + gamma * P[k + 1])
    states, controls = np.empty((n + 1, 1)), np.empty((n, 1))
    states[0] = 1.0
    for k in range(n):
        controls[k] = -a * gamma * P[k + 1] / (1 + gamma * P[k + 1]) * states[k]
        states[k + 1] = a * states[k] + controls[k]
    time = np.arange(n + 1.0)
    return solution(
        problem, P[0] / 2, Interpolant.sequence(time, states), Interpolant.sequence(time[:-1], controls),
        Interpolant.sequence(time, P[:, None] * states),
    )  # fmt: skip


def bang():
    """ẋ = u, |u| ≤ 1, cost ∫ x: u = −1, p = 1 − t, and H is linear in u."""
    problem = oc.Problem("bang", horizon=oc.Finite(T))
    x = problem.state("x", initial=1.0)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, u)
    problem.minimize(stage=x)
    breaks = np.linspace(0, T, 4)
    path = polynomials(lambda t: 1 - t, breaks)
    return solution(problem, 0.5, path, path.map(lambda x: -np.ones_like(x)), path)


def held_at_bound():
    """The same with x ≥ 0 over [0, 2]: on the bound from t = 1 on, where p = 0."""
    problem = oc.Problem("held at a bound", horizon=oc.Finite(2.0))
    x = problem.state("x", initial=1.0, lower=0.0)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, u)
    problem.minimize(stage=x)
    breaks = np.linspace(0, 2, 5)
    path = polynomials(lambda t: np.fmax(1 - t, 0), breaks)
    return solution(problem, 0.5, path, polynomials(lambda t: np.where(t < 1, -1.0, 0.0), breaks), path)


def sampled():
    """ẋ = u, cost ½∫u² + ½x(½)²: p and −u are 2/3 before the sample and 0 after it."""
    problem = oc.Problem("sampled", horizon=oc.Finite(T))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=u**2 / 2)
    problem.cost_at(0.5, x**2 / 2)
    breaks = [0, 0.25, 0.5, 1.0]
    p = polynomials(lambda t: np.where(t < 0.5, 2 / 3, 0.0), breaks)
    path = polynomials(lambda t: 1 - np.fmin(t, 0.5) * 2 / 3, breaks)
    return solution(problem, 1 / 9 + 2 / 9, path, p.map(lambda v: -v), p)


def free_time():
    """To the origin with |u| ≤ 1 in least time: T = 1, u = −1, p = 1."""
    problem = oc.Problem("least time", horizon=oc.FreeTime(0.1, 5.0, 2.0))
    x = problem.state("x", initial=1.0, final=0.0)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, u)
    problem.minimize(terminal=problem.time)
    path = polynomials(lambda t: 1 - t, [0, 0.5, 1.0])
    return solution(problem, 1.0, path, path.map(lambda x: -np.ones_like(x)), path.map(np.ones_like))


def unknown_constant(q=0.5):
    """ẋ = q, x(0) = 0, cost ½∫q² + ½(x(1) − 1)²: q = ½, p = q − 1."""
    problem = oc.Problem("unknown", horizon=oc.Finite(T))
    x = problem.state("x", initial=0.0)
    slope = problem.unknown("slope", lower=-5.0, upper=5.0, guess=0.0)
    problem.dynamics(x, slope)
    problem.minimize(stage=slope**2 / 2, terminal=(x - 1) ** 2 / 2)
    path = polynomials(lambda t: q * t, [0, 1.0])
    return solution(
        problem, q**2 / 2 + (q - 1) ** 2 / 2, path, None, path.map(lambda x: np.full_like(x, q - 1)), q=[q]
    )


def coupled():
    """Two controls that are priced together, in an intermediate state of a plant that does not matter."""
    problem = oc.Problem("coupled", horizon=oc.Finite(T))
    x = problem.state("x", 2, initial=[0.0, 0.0])
    u = problem.control("u", 2, lower=-1.0, upper=[1.0, 0.25])
    problem.dynamics(x, u)
    price = np.array([[2.0, 1.0], [1.0, 1.0]])
    problem.minimize(stage=ca.bilin(ca.DM(price), u, u) / 2, terminal=-x[0] - x[1])
    return problem, price
