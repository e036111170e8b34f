"""Elimination by blocks against dense linear algebra, and its second-order test against the Hessian."""

from types import SimpleNamespace

import numpy as np
import pytest

import ocnet as oc
from ocnet.methods.canonical import Ends, HermiteSimpson, Recursion
from ocnet.methods.elimination import Blocks, Defects, Riccati, Sparse


def random_intervals(n, K, rng, diagonal=False):
    """Blocks near the identity, from the first interval to the last."""
    one, zero = np.eye(n), np.zeros((n, n))
    parts = []
    for _ in range(K):
        a = [base + 0.3 / np.sqrt(n) * rng.normal(size=(n, n)) for base in (one, zero, zero, one)]
        b = [base + 0.3 / np.sqrt(n) * rng.normal(size=(n, n)) for base in (one, zero, zero, one)]
        parts.append(Blocks(*a, *b, np.ones(n) if diagonal else one))
    return parts


def random_defects(n, K, rng):
    return Defects(rng.normal(size=(K, n)), rng.normal(size=(K, n)), rng.normal(size=n), rng.normal(size=n))


def dense_solution(intervals, terminal, free, loose, defects):
    """The same equations, one by one, in one matrix."""
    n, K = len(free), len(intervals)
    M, r = np.zeros((2 * n * (K + 1),) * 2), np.zeros(2 * n * (K + 1))
    row = 0
    for i in range(n):  # at the start
        M[row, i + n * free[i]], r[row] = 1.0, -defects.start[i]
        row += 1
    for k, b in enumerate(intervals):
        here, there = slice(2 * n * k, 2 * n * (k + 1)), slice(2 * n * (k + 1), 2 * n * (k + 2))
        M[row : row + 2 * n, here] = -np.block([[b.a_xx, b.a_xp], [b.a_px, b.a_pp]])
        M[row : row + 2 * n, there] = np.block([[b.b_xx, b.b_xp], [b.b_px, b.b_pp]])
        r[row : row + 2 * n] = -np.append(defects.x[k], defects.p[k])
        row += 2 * n
    last = 2 * n * K
    for i in range(n):  # at the end: p − S x, or x
        if loose[i]:
            M[row, last : last + n], M[row, last + n + i] = -terminal[i], 1.0
        else:
            M[row, last + i] = 1.0
        r[row] = -defects.end[i]
        row += 1
    y = np.linalg.solve(M, r).reshape(K + 1, 2, n)
    return y[:, 0], y[:, 1]


STARTS = {"fixed": [0, 0, 0, 0, 0], "one free": [0, 0, 1, 0, 0], "all free": [1, 1, 1, 1, 1]}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("seed", range(3))
def test_riccati_against_dense(start, seed):
    rng, n, K = np.random.default_rng(seed), 5, 7
    intervals, free = random_intervals(n, K, rng, diagonal=seed == 1), np.array(STARTS[start], bool)
    root = rng.normal(size=(n, n))
    terminal, defects = root @ root.T / n, random_defects(n, K, rng)
    wanted = dense_solution(intervals, terminal, free, np.ones(n, bool), defects)
    found = Riccati(reversed(intervals), terminal, free)
    for a, b in zip(found.solve(defects), wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10 * np.abs(b).max())
    again = random_defects(n, K, rng)  # the factors serve any right-hand side
    for a, b in zip(
        found.solve(again), dense_solution(intervals, terminal, free, np.ones(n, bool), again), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-10 * np.abs(b).max())


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("end", ["loose", "one fixed", "all fixed"])
def test_sparse_against_dense(start, end):
    rng, n, K = np.random.default_rng(7), 5, 6
    intervals, free = random_intervals(n, K, rng), np.array(STARTS[start], bool)
    loose = np.ones(n, bool)
    loose[{"loose": [], "one fixed": [1], "all fixed": list(range(n))}[end]] = False
    root = rng.normal(size=(n, n))
    terminal, defects = root @ root.T / n, random_defects(n, K, rng)
    wanted = dense_solution(intervals, terminal, free, loose, defects)
    found = Sparse(reversed(intervals), terminal, free, loose).solve(defects)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9 * np.abs(b).max())


def test_single_precision_is_as_exact_as_it_can_be():
    rng, n, K = np.random.default_rng(3), 20, 15
    double = random_intervals(n, K, rng)
    single = [Blocks(*(part.astype(np.float32) for part in b)) for b in double]
    free, defects = np.zeros(n, bool), random_defects(n, K, rng)
    terminal = np.eye(n)
    wanted = Riccati(reversed(double), terminal, free).solve(defects)
    found = Riccati(reversed(single), terminal.astype(np.float32), free)
    assert all(S.dtype == np.float32 for S in found.S)
    condition = max(np.abs(y).max() for y in wanted)
    for a, b in zip(found.solve(defects), wanted, strict=True):
        assert a.dtype == np.float64
        assert 0 < np.abs(a - b).max() < 5e-3 * condition  # rounding depends on the processor


def test_transition_moves_the_next_state():
    rng, n, K = np.random.default_rng(5), 4, 6
    intervals = random_intervals(n, K, rng)
    found = Riccati(reversed(intervals), np.eye(n), np.zeros(n, bool))
    nothing = Defects(np.zeros((K, n)), np.zeros((K, n)), -rng.normal(size=n), np.zeros(n))
    x, p = found.solve(nothing)
    for k in range(K):
        np.testing.assert_allclose(found.transition(k) @ x[k], x[k + 1], atol=1e-12)
        np.testing.assert_allclose(found.S[k] @ x[k], p[k], atol=1e-11)


# ---------------------------------------------------------------------- second order


def quadratic(horizon, A, B, Q, R, terminal, free=False, initial=1.0):
    """Minimise ½(xᵀQx + uᵀRu) and ½xᵀSx at the end; Q need not be positive."""
    n = len(A)

    def control(t, x, p):
        return -np.linalg.solve(R, B.T @ p.T).T

    def gradient(t, x, p):
        return x @ Q + p @ A, x @ A.T + control(t, x, p) @ B.T

    slopes = Q, A.T, -B @ np.linalg.solve(R, B.T)
    hamiltonian = SimpleNamespace(
        rate=getattr(horizon, "discount", 0.0),
        gradient=gradient,
        hessian=lambda t, x, p: tuple(np.tile(a, (len(x), 1, 1)) for a in slopes),
    )
    start = np.full(n, np.nan) if free else np.full(n, initial)
    ends = Ends(start, np.full(n, np.nan), lambda x: (terminal @ x, terminal))
    return hamiltonian, ends


def eliminated(kind, times, hamiltonian, ends):
    n = len(ends.initial)
    system = kind(hamiltonian, times, ends, hamiltonian.rate)
    found = system.eliminate(np.zeros((len(times), n)), np.zeros((len(times), n)))
    assert isinstance(found, Riccati)
    return found


def hessian_of_steps(A, B, Q, R, terminal, K, rate, free):
    """Second derivative of the cost by all controls (and by the first state if it is free)."""
    n, m = B.shape
    size = n * free + m * K
    state = np.zeros((n, size))
    if free:
        state[:, :n] = np.eye(n)
    total = np.zeros((size, size))
    for k in range(K):
        u = np.zeros((m, size))
        u[:, n * free + m * k : n * free + m * (k + 1)] = np.eye(m)
        total += np.exp(-rate * k) * (state.T @ Q @ state + u.T @ R @ u)
        state = A @ state + B @ u
    return total + np.exp(-rate * K) * state.T @ terminal @ state


def random_steps(seed):
    rng = np.random.default_rng(seed)
    n, m, K = rng.integers(1, 4), rng.integers(1, 3), rng.integers(1, 6)
    A, B = rng.normal(size=(n, n)), rng.normal(size=(n, m))
    shift = rng.choice([0.0, 0.5, 1.5, 3.0])
    Q, terminal = (
        a @ a.T - shift * np.eye(n) * rng.uniform() for a in (rng.normal(size=(n, n)) for _ in "ab")
    )
    root = rng.normal(size=(m, m))
    return A, B, Q, root @ root.T + 0.5 * np.eye(m), terminal, int(K), float(rng.choice([0.0, 0.3]))


@pytest.mark.parametrize("free", [False, True])
def test_second_order_of_steps_is_that_of_the_hessian(free):
    verdicts = []
    for seed in range(120):
        A, B, Q, R, terminal, K, rate = random_steps(seed)
        least = np.linalg.eigvalsh(hessian_of_steps(A, B, Q, R, terminal, K, rate, free))[0]
        if abs(least) < 1e-6:
            continue
        horizon = SimpleNamespace(discount=rate)
        found = eliminated(Recursion, np.arange(K + 1.0), *quadratic(horizon, A, B, Q, R, terminal, free))
        assert found.minimal() is bool(least > 0), f"seed {seed}: least eigenvalue {least}"
        verdicts.append(least > 0)
    assert min(np.mean(verdicts), 1 - np.mean(verdicts)) > 0.15  # both kinds were tried


@pytest.mark.parametrize("K", [12, 60])
@pytest.mark.parametrize(("final", "free", "limit"), [
    (0.0, False, np.pi / 2),  # the conjugate point of ½∫ u² − x² with a free end
    (1.0, False, np.pi / 2 + np.pi / 4),
    (1.0, True, np.pi / 4),  # a free start has to be a minimum too
])  # fmt: skip
@pytest.mark.parametrize("n", [1, 2])
def test_conjugate_points(K, final, free, limit, n):
    """Minimise ½∫ u² − x² and ½·final·x²: S = tan(atan(final) − (T − t))."""
    Q, terminal = -np.diag([1.0, 0.25][:n]), final * np.diag([1.0, 4.0][:n])
    for part, verdict in ((0.5, True), (0.97, True), (1.03, False), (1.6, False), (2.5, False)):
        horizon = SimpleNamespace(discount=0.0)
        statement = quadratic(horizon, np.zeros((n, n)), np.eye(n), Q, np.eye(n), terminal, free)
        found = eliminated(HermiteSimpson, np.linspace(0, part * limit, K + 1), *statement)
        assert found.minimal() is verdict, (part, found.S[0])
        if part < 0.9:
            np.testing.assert_allclose(found.S[0][0, 0], np.tan(np.arctan(final) - part * limit), rtol=1e-3)


@pytest.mark.parametrize(("T", "verdict"), [(1.5, True), (1.65, False)])
def test_a_diagonal_weight_says_the_same_as_a_matrix(T, verdict):
    statement = quadratic(
        SimpleNamespace(discount=0.0), np.zeros((2, 2)), np.eye(2), -np.eye(2), np.eye(2), np.zeros((2, 2))
    )
    times = np.linspace(0, T, 21)
    matrix = eliminated(HermiteSimpson, times, *statement)
    full = statement[0].hessian

    def hessian(t, x, p):
        H_xx, H_xp, H_pp = full(t, x, p)
        return H_xx, H_xp, np.diagonal(H_pp, axis1=1, axis2=2)

    statement[0].hessian = hessian
    diagonal = eliminated(HermiteSimpson, times, *statement)
    assert matrix.minimal() is diagonal.minimal() is verdict
    np.testing.assert_allclose(diagonal.S, matrix.S, rtol=1e-12)


@pytest.mark.parametrize(("T", "minimal"), [(1.4, True), (1.75, False), (4.0, False)])
def test_solve_says_when_an_extremal_is_no_minimum(T, minimal):
    problem = oc.Problem("saddle", horizon=oc.Finite(T))
    x = problem.state("x", initial=0.0)
    u = problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=(u**2 - x**2) / 2)
    solution = oc.solve(problem, oc.Pontryagin(), throw=False)
    assert solution.cost == pytest.approx(0.0, abs=1e-12)
    assert solution.result.second_order is minimal
    assert ("minimum" in solution.message) is not minimal
    assert solution.success is minimal
