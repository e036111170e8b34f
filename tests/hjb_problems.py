"""Problems whose value functions are known, and open-loop references for those whose are not."""

import casadi as ca
import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_are, solve_discrete_are

import ocnet as oc
from problems import synaptic_control

RATE = 0.5


def regulator(n, bound=20.0, horizon=None):
    """Return a linear regulator with quadratic cost, discounted, and Riccati's P and gain K (u = −K x)."""
    A = np.array([[-0.4]]) if n == 1 else np.array([[-0.3, 0.8], [-0.7, -0.5]])
    B = np.array([[1.0]]) if n == 1 else np.array([[0.3], [1.0]])
    problem = oc.Problem("regulator", oc.Discounted(RATE) if horizon is None else horizon)
    x, u = problem.state("x", n), problem.control("u", lower=-bound, upper=bound)
    problem.dynamics(x, ca.DM(A) @ x + ca.DM(B) @ u)
    problem.minimize(stage=ca.sumsqr(x) + ca.sumsqr(u))
    P = solve_continuous_are(A - 0.5 * RATE * np.eye(n), B, np.eye(n), np.eye(1))
    return problem, P, B.T @ P


def steps(n, rate=0.3):
    """Return a linear regulator in infinitely many steps, Riccati's P and the gain K."""
    A = np.array([[0.8]]) if n == 1 else np.array([[0.7, 0.3], [-0.3, 0.6]])
    B = np.array([[1.0]]) if n == 1 else np.array([[0.2], [0.8]])
    problem = oc.Problem("regulator in steps", oc.Steps(None, discount=rate))
    x, u = problem.state("x", n), problem.control("u", lower=-20, upper=20)
    problem.dynamics(x, ca.DM(A) @ x + ca.DM(B) @ u)
    problem.minimize(stage=ca.sumsqr(x) + ca.sumsqr(u))
    s = np.exp(-0.5 * rate)
    P = solve_discrete_are(s * A, s * B, np.eye(n), np.eye(1))
    K = np.linalg.solve(np.eye(1) + s * s * B.T @ P @ B, s * s * B.T @ P @ A)
    return problem, P, K


def random_network(n, seed):
    """Return the matrix of a random network and its problem, K = 1 at every synapse."""
    rng = np.random.default_rng(1000 * n + seed)
    A = rng.normal(size=(n, n)) * 1.2 / np.sqrt(n) + 0.8 * np.eye(n)
    return A, synaptic_control.problem(A, np.zeros(n), bounds=(0.1, 1.0), discount=RATE), rng


def ring(n):
    """Return 1.5·I with an antisymmetric ring of strength 0.6 (n = 2) or 0.3."""
    A = 1.5 * np.eye(n)
    if n == 2:
        A[0, 1], A[1, 0] = 0.6, -0.6
    elif n > 2:
        for i in range(n):
            A[i, (i + 1) % n] += 0.3
            A[(i + 1) % n, i] -= 0.3
    return synaptic_control.problem(A, np.zeros(n), bounds=(0.1, 1.0), discount=RATE)


def best_of_starts(solver, x, value, starts=4):
    """Return the least cost from x, by random starts and by rollouts of the feedback from around x."""
    n = len(x)
    found = []
    times = np.concatenate([np.linspace(0, 10, 41), np.linspace(11, 25, 15)])
    low, high = np.array(value.grid.lower), np.array(value.grid.upper)
    near = np.clip(x + 0.15 * np.vstack([np.zeros(n), np.eye(n), -np.eye(n)]), low, high)
    loop = value.closed_loop(near, 25.0, at=times).x
    seen = []
    guesses = []
    for j in range(len(near)):
        if all(np.abs(loop[:, j] - loop[:, i]).max() > 0.5 for i in seen):
            seen.append(j)
            path = loop[:, j].copy()
            xi = value.policy(0.0, np.clip(path, low, high)).reshape(-1, n, n)
            path[0] = x
            guesses.append({"u": (times, path), "xi": (times, xi)})
    for guess, multistart in [(None, starts), *((guess, 1) for guess in guesses)]:
        try:
            solution = solver.solve(parameters={"initial": x}, guess=guess, multistart=multistart, rng=1)
        except oc.errors.SolveError:
            continue
        found += [solution.cost, *solution.optima]
    return np.array(sorted(found))


def two_wells(initial=None, rate=RATE):
    """Return ẋ = u with rest points at ±1 and a barrier between them, and its value function on [−1.9, 1.9].

    The Skiba point is 0. From 1 down, v' = −√(2 ((x² − 1)² − ρv)), with v = a (x − 1)² near 1.
    """
    problem = oc.Problem("two wells", oc.Discounted(rate))
    x, u = problem.state("x", initial=initial), problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=0.5 * u**2 + (x**2 - 1) ** 2)
    a, near = (np.sqrt(rate**2 + 32) - rate) / 4, 1e-4
    parts = [
        solve_ivp(
            lambda s, v, way=way: np.sqrt(2 * (((1 + way * s) ** 2 - 1) ** 2 - rate * v)),
            (near, 1.0), [a * near**2], rtol=1e-11, atol=1e-13, dense_output=True,
        ).sol
        for way in (1, -1)
    ]  # fmt: skip

    def exact(points):
        away = np.abs(points[:, 0]) - 1
        outer, inner = (part(np.fmax(np.abs(away), near))[0] for part in parts)
        return np.where(away > 0, outer, inner)

    return problem, exact
