"""The value function against Riccati, open-loop optima, closed forms, and itself on other grids."""

import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import (
    OptionError,
    ProblemError,
    ShapeError,
    SolveError,
    StorageError,
    UnsupportedError,
)
from ocnet.hamiltonian import DerivedHamiltonian
from ocnet.methods.hjb.checkpoint import Checkpoint
from ocnet.solve_hjb import is_mirrored
from problems import weight_program
from tests.hjb_problems import RATE, random_network, regulator, ring, steps


def quadratic(P, x):
    return np.einsum("ki,ij,kj->k", x, P, x)


@pytest.mark.parametrize("n", [1, 2])
def test_regulator_against_riccati(n):
    problem, P, K = regulator(n)
    value = oc.solve_hjb(problem, oc.Grid([-1] * n, [1] * n, 401 if n == 1 else 61), tolerance=1e-10)
    x = np.random.default_rng(0).uniform(-0.6, 0.6, (50, n))
    # a quadratic has no error of order 3; what is left comes from the walls and the tolerance
    np.testing.assert_allclose(value(x), quadratic(P, x), atol=1e-7)
    np.testing.assert_allclose(value.policy(0.0, x), -x @ K.T, atol=1e-6)
    assert value.settled
    assert value.stats["mirrored"]
    assert value.domain.leak == 0


def smooth(n=2):
    """A problem with the value function v = Σ (cosh x_i − 1) and its stage cost, made to measure."""
    problem = oc.Problem("made to measure", oc.Discounted(RATE))
    x, u = problem.state("x", n), problem.control("u", n, lower=-20, upper=20)
    problem.dynamics(x, -x + u)
    v, p = ca.sum1(ca.cosh(x) - 1), ca.sinh(x)
    problem.minimize(stage=RATE * v + ca.dot(p, x) + ca.sumsqr(p) / 4 + ca.sumsqr(u))
    return problem, lambda x: (np.cosh(x) - 1).sum(axis=1)


def test_order_of_each_scheme():
    problem, exact = smooth()
    errors = []
    for m in (17, 33, 65):
        value = oc.solve_hjb(problem, oc.Grid([-1, -1], [1, 1], m), tolerance=1e-11)
        x = value.grid.points()
        inner = (np.abs(x) < 0.8).all(axis=1)
        errors.append([np.abs(v - exact(x))[inner].max() for v in (value.monotone, value.values)])
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert 0.8 < orders[-1, 0] < 1.3
    assert orders[-1, 1] > 2.7


def test_value_iteration_has_order_one_and_agrees():
    problem, exact = smooth(1)
    errors = []
    for m in (41, 81):
        value = oc.solve_hjb(problem, oc.Grid(-1, 1, m), scheme="value-iteration", tolerance=1e-7)
        assert not value.stats["mirrored"]  # all nodes were swept
        x = value.grid.points()
        errors.append(np.abs(value.values - exact(x)).max())
        assert value.error_estimate > 0.3 * errors[-1]
    assert 0.8 < np.log2(errors[0] / errors[1]) < 1.2


def test_a_derived_hamiltonian_gives_the_same_value():
    _, problem, _ = random_network(2, 1)
    grid = oc.Grid([-3, -3], [3, 3], 41)
    exact = oc.solve_hjb(problem, grid)
    problem.hamiltonian = DerivedHamiltonian(problem)
    derived = oc.solve_hjb(problem, grid)
    np.testing.assert_allclose(derived.values, exact.values, atol=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 7])
def test_two_neurons_against_pontryagin(seed):
    _, problem, rng = random_network(2, seed)
    value = oc.solve_hjb(problem, oc.Grid([-3, -3], [3, 3], 241))
    solver = oc.prepare(problem, oc.Pontryagin())
    x = rng.uniform(-2, 2, (5, 2))
    costs = np.array([solver.solve(parameters={"initial": point}).cost for point in x])
    error = np.abs(value(x) - costs)
    assert error.max() < 1e-6
    assert (value.error_at(x) >= error).mean() >= 0.8
    assert np.abs(value.upper_bound(x) - costs).max() < 1e-8


def test_the_estimate_counts_nodes_of_order_one():
    problem = oc.Problem("bang-bang", oc.Discounted(RATE))  # the feedback jumps: all nodes go back to order 1
    x, u = problem.state("x"), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, u - x)
    problem.minimize(stage=x**2)
    value = oc.solve_hjb(problem, oc.Grid(-1, 1, 81))
    x = np.linspace(0.05, 1, 20)[:, None]
    exact = []
    for start in x[:, 0]:  # x(t) = (1 + x) e^{-t} - 1 until it is 0
        t = np.linspace(0, np.log1p(start), 20_001)
        exact.append(np.trapezoid(np.exp(-RATE * t) * ((1 + start) * np.exp(-t) - 1) ** 2, t))
    error = np.abs(value(x) - exact)
    assert error.max() > 1e-4
    assert (value.error_at(x) >= error).all()


def test_closed_loop_cost_and_dynamic_programming():
    for problem in (ring(2), *(random_network(2, seed)[1] for seed in (1, 2, 7))):
        value = oc.solve_hjb(problem, oc.Grid([-3, -3], [3, 3], 241, 2.0))
        assert np.abs(value.gaps(50)).max() < 1e-5
    x = [[1.0, -0.8], [2.0, 1.0]]
    gap = value.dynamic_programming_gap(x, [0.1, 1.0, 3.0])
    assert gap.shape == (3, 2)
    assert np.abs(gap).max() < 1e-5


def test_half_of_the_nodes_is_enough_where_the_value_is_even():
    problem = ring(2)
    assert is_mirrored(problem.hamiltonian, oc.Grid([-3, -3], [3, 3], 21))
    assert not is_mirrored(problem.hamiltonian, oc.Grid([-3, -3], [3, 2.9], 21))
    half = oc.solve_hjb(problem, oc.Grid([-3, -3], [3, 3], (41, 40)), tolerance=1e-10)
    np.testing.assert_allclose(half.values, half.values[::-1])
    lop = oc.solve_hjb(problem, oc.Grid([-3, -3], [3, 3.0001], (41, 40)), tolerance=1e-10)
    x = np.random.default_rng(0).uniform(-2, 2, (20, 2))
    np.testing.assert_allclose(half(x), lop(x), atol=2e-4)


def test_the_wall_of_a_small_box_is_noticed():
    problem = oc.Problem("pushed out", oc.Discounted(RATE))
    x, u = problem.state("x"), problem.control("u", lower=-0.5, upper=0.5)
    problem.dynamics(x, 1 + u)
    problem.minimize(stage=u**2)
    value = oc.solve_hjb(problem, oc.Grid(-1, 1, 41))
    assert value.domain.leak == pytest.approx(0.5, abs=1e-6)
    problem = oc.Problem("wants out", oc.Discounted(RATE))
    x, u = problem.state("x"), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, u)
    problem.minimize(stage=(x - 3) ** 2)
    value = oc.solve_hjb(problem, oc.Grid(-1, 1, 41))
    assert value.domain.leak == 0
    assert value.domain.active == 0.5
    assert "the walls change the values" in str(value)


# ---------------------------------------------------------------------- discrete time, finite horizon


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("scheme", ["policy-iteration", "value-iteration"])
def test_steps_against_riccati(n, scheme):
    problem, P, K = steps(n)
    value = oc.solve_hjb(problem, oc.Grid([-1] * n, [1] * n, 41 if n == 1 else 25), scheme=scheme)
    x = np.random.default_rng(0).uniform(-0.6, 0.6, (30, n))
    np.testing.assert_allclose(value(x), quadratic(P, x), atol=2e-6)
    np.testing.assert_allclose(value.policy(0, x), -x @ K.T, atol=1e-4)
    path = oc.simulate(problem, policy=value.policy, initial=x[0], tf=5)
    assert np.abs(path.states["x"][-1]).max() < np.abs(x[0]).max()


@pytest.mark.parametrize("n", [1, 2])
def test_weight_program_is_exact(n):
    rng = np.random.default_rng(0)
    targets = rng.choice([-1.0, 1.0], size=(1, n))
    inputs = 0.4 * targets
    problem = weight_program.problem(inputs, targets, beta=0.5, tf=0.5, index="both")
    value = oc.solve_hjb(problem, oc.Grid([-1] * n, [1] * n, 81 if n == 1 else 25))
    z = rng.uniform(-0.7, 0.7, (30, n))
    exact = -((z + np.tanh(z)) @ targets[0])
    assert np.abs(value(z) - exact).max() < (1e-5 if n == 1 else 5e-4)
    assert np.abs(value(z, 0.25) - exact).max() < (1e-5 if n == 1 else 5e-4)


def test_finite_horizon_regulator():
    problem, _, _ = regulator(1, horizon=oc.Finite(1.0))
    value = oc.solve_hjb(problem, oc.Grid(-1, 1, 81))
    P, h = 0.0, 1e-4
    for _ in range(10_000):  # Riccati backwards: P' = 1 − 0.8 P − P²

        def slope(P):
            return 1 - 0.8 * P - P * P

        k = slope(P + 0.5 * h * slope(P))
        P += h * k
    x = np.linspace(-0.6, 0.6, 7)[:, None]
    np.testing.assert_allclose(value(x), P * x[:, 0] ** 2, atol=1e-6)
    np.testing.assert_allclose(value(x, 1.0), 0, atol=1e-12)
    np.testing.assert_allclose(value.policy(0.0, x)[:, 0], -P * x[:, 0], atol=1e-5)


# ---------------------------------------------------------------------- files


def test_save_and_load(tmp_path):
    problem = ring(2)
    value = oc.solve_hjb(problem, oc.Grid([-3, -3], [3, 3], 31))
    value.save(tmp_path / "value.nc")
    again = oc.ValueFunction.load(tmp_path / "value.nc", problem)
    x = np.random.default_rng(0).uniform(-2, 2, (10, 2))
    np.testing.assert_array_equal(again(x), value(x))
    np.testing.assert_array_equal(again.policy(0.0, x), value.policy(0.0, x))
    np.testing.assert_array_equal(again.error_at(x), value.error_at(x))
    assert str(again) == str(value)
    assert again.domain == value.domain
    assert again.stats["bytes"] == value.stats["bytes"]
    alone = oc.ValueFunction.load(tmp_path / "value.nc")
    np.testing.assert_array_equal(alone.gradient(x), value.gradient(x))
    with pytest.raises(ProblemError, match="without its problem"):
        alone.policy(0.0, x)
    with pytest.raises(StorageError, match="2 states"):
        oc.ValueFunction.load(tmp_path / "value.nc", ring(3))
    with pytest.raises(StorageError, match="no file"):
        oc.ValueFunction.load(tmp_path / "nothing.nc")


SCRIPT = """
import ocnet as oc
from tests.hjb_problems import ring
value = oc.solve_hjb(ring(3), oc.Grid([-3] * 3, [3] * 3, 41), checkpoint=r"{path}", interval=0.0)
value.save(r"{path}.nc")
"""


@pytest.mark.slow
def test_killed_and_resumed(tmp_path):
    path = tmp_path / "checkpoint.npz"
    command = [sys.executable, "-c", SCRIPT.format(path=path)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()})
    deadline = time.monotonic() + 120
    while not path.exists() or path.stat().st_size < 500_000:
        assert process.poll() is None, "the solve ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    problem, grid = ring(3), oc.Grid([-3] * 3, [3] * 3, 41)
    with pytest.raises(StorageError, match="another problem"):
        oc.solve_hjb(problem, oc.Grid([-3] * 3, [3] * 3, 39), checkpoint=path)
    resumed = oc.solve_hjb(problem, grid, checkpoint=path)
    assert not path.exists()
    whole = oc.solve_hjb(problem, grid)
    np.testing.assert_allclose(resumed.values, whole.values, atol=1e-12, rtol=0)
    np.testing.assert_array_equal(resumed.history, whole.history)


def test_interrupted_and_resumed(tmp_path, monkeypatch):
    """An interrupt by the keyboard leaves the last checkpoint and no thread."""
    path, grid, problem = tmp_path / "checkpoint.npz", oc.Grid([-3, -3], [3, 3], 61), ring(2)
    keep, calls = Checkpoint.keep, []

    def interrupted(self, state):
        keep(self, state)
        calls.append(state.level)
        if len(calls) == 12:
            raise KeyboardInterrupt

    threads = threading.active_count()
    monkeypatch.setattr(Checkpoint, "keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        oc.solve_hjb(problem, grid, checkpoint=path, interval=0.0, threads=2)
    monkeypatch.undo()
    assert threading.active_count() == threads
    resumed = oc.solve_hjb(problem, grid, checkpoint=path, threads=1)
    whole = oc.solve_hjb(problem, grid)
    np.testing.assert_array_equal(resumed.values, whole.values)
    assert len(resumed.history) == len(whole.history)
    assert not path.exists()


def test_what_a_solve_took():
    problem, grid = ring(3), oc.Grid([-3] * 3, [3] * 3, 41)
    one = oc.solve_hjb(problem, grid, tolerance=1e-4, threads=1)
    tracemalloc.start()
    two = oc.solve_hjb(problem, grid, tolerance=1e-4, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(one.values, two.values)
    assert (one.stats["threads"], two.stats["threads"]) == (1, 2)
    assert 0.8 * peak < two.stats["bytes"] < 2 * peak
    assert "on 2 threads, about" in str(two)


# ---------------------------------------------------------------------- what is refused


def stated(horizon=None, **state):
    problem = oc.Problem("refused", horizon or oc.Discounted(0.5))
    x, u = problem.state("x", **state), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, u - x)
    return problem, x, u


def with_unknown():
    problem = oc.Problem("refused", oc.Discounted(0.5))
    x, q = problem.state("x"), problem.unknown("q", lower=0, upper=1, guess=0.5)
    problem.dynamics(x, q - x)
    problem.minimize(stage=x**2)
    return problem


def with_constraint():
    problem, x, u = stated()
    problem.minimize(stage=x**2 + u**2)
    problem.constrain(x + u, upper=1)
    return problem


def of_time():
    problem, x, u = stated()
    problem.minimize(stage=x**2 + u**2 * (1 + ca.sin(problem.time)))
    return problem


def simple(horizon=None, **state):
    problem, x, u = stated(horizon, **state)
    problem.minimize(stage=ca.sumsqr(x) + u**2)
    return problem


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (with_unknown, "unknown constants"),
        (with_constraint, "constraints"),
        (of_time, "depend on time"),
        (lambda: simple(oc.FreeTime(0.1, 2, 1)), "free final time"),
        (lambda: simple(oc.Steps(5)), "finite number of steps"),
        (lambda: simple(oc.Finite(1.0), final=0.0), "final states"),
        (lambda: simple(lower=-0.5, upper=0.5), "walls of the grid"),
    ],
)
def test_unsupported(problem, words):
    with pytest.raises(UnsupportedError, match=words):
        oc.solve_hjb(problem(), oc.Grid(-1, 1, 21))


def test_wrong_arguments():
    problem, grid = simple(), oc.Grid(-1, 1, 21)
    with pytest.raises(ShapeError, match="2 axes"):
        oc.solve_hjb(problem, oc.Grid([-1, -1], [1, 1], 21))
    with pytest.raises(OptionError, match="scheme"):
        oc.solve_hjb(problem, grid, scheme="magic")
    with pytest.raises(OptionError, match="tolerance"):
        oc.solve_hjb(problem, grid, tolerance=1.0)
    for threads in (0, 1.5, True):
        with pytest.raises(OptionError, match="integer of at least 1"):
            oc.solve_hjb(problem, grid, threads=threads)
    with pytest.raises(OptionError, match="Grid"):
        oc.solve_hjb(problem, (-1, 1))
    with pytest.raises(ProblemError, match="no cost"):
        oc.solve_hjb(stated()[0], grid)
    with pytest.raises(UnsupportedError, match=r"bytes .* may be used"):
        oc.solve_hjb(problem, grid, memory=1e3)
    four = oc.Problem("four", oc.Finite(1.0))
    x = four.state("x", 4)
    four.dynamics(x, -x)
    four.minimize(stage=ca.sumsqr(x))
    with pytest.raises(UnsupportedError, match="three states"):
        oc.solve_hjb(four, oc.Grid([-1] * 4, [1] * 4, 9))


@pytest.mark.parametrize("scheme", ["value-iteration", "discrete", "finite"])
def test_a_checkpoint_is_refused_where_it_would_not_be_used(scheme, tmp_path):
    others = {"discrete": steps(1)[0], "finite": regulator(1, horizon=oc.Finite(1.0))[0]}
    problem = others.get(scheme, simple())
    options = {"scheme": scheme} if scheme == "value-iteration" else {}
    with pytest.raises(OptionError, match="checkpoint is given; expected only for policy iteration"):
        oc.solve_hjb(problem, oc.Grid(-1, 1, 21), checkpoint=tmp_path / "kept.npz", **options)


def test_an_unbounded_control_without_a_price():
    problem = oc.Problem("free of charge", oc.Discounted(0.5))
    x, u = problem.state("x"), problem.control("u")
    problem.dynamics(x, u - x)
    problem.minimize(stage=x**2)
    with pytest.raises(UnsupportedError, match="no bound"):
        oc.solve_hjb(problem, oc.Grid(-1, 1, 21))


def pushed(strength):
    """ẋ = 1 + u has to stay below 1, at a price of 1000 u²."""
    problem = oc.Problem("pushed", oc.Discounted(0.5))
    x = problem.state("x", lower=-1, upper=1)
    u = problem.control("u", lower=-strength, upper=strength)
    problem.dynamics(x, 1 + u)
    problem.minimize(stage=1000 * u**2)
    return problem


def test_a_correction_that_does_not_settle_on_one_grid_has_no_estimate():
    value = oc.solve_hjb(regulator(1)[0], oc.Grid(-1, 1, 9), tolerance=1e-17)
    assert not value.settled
    assert np.isinf(value.errors).all()
    assert "inf at most" in str(value)
    assert value.error_estimate == value.error_at([0.1]) == np.inf


def test_a_wall_is_held_however_dear():
    """With v = 2000 (1 − w²) the equation v/2 = v' − v'²/4000 is integrated by 2w + 2 ln(1 − w) = x − 1."""
    value = oc.solve_hjb(pushed(2.0), oc.Grid(-1, 1, 321))
    w = np.linspace(0, 0.75, 40)
    x = 1 + 2 * w + 2 * np.log(1 - w)
    inside = x >= -1
    exact = 2000 * (1 - w[inside] ** 2)
    assert np.abs(value(x[inside, None]) / exact - 1).max() < 1e-3
    assert value.domain.leak == 0


def test_walls_that_do_not_hold_the_bounds_of_states_are_no_success():
    with pytest.raises(SolveError, match="let paths through"):
        oc.solve_hjb(pushed(0.5), oc.Grid(-1, 1, 81))


@pytest.mark.parametrize("horizon", [oc.Finite(1.0), oc.Steps(None, discount=0.2)])
def test_bounds_of_states_are_refused_where_they_would_not_hold(horizon):
    problem = oc.Problem("bounded", horizon)
    x = problem.state("x", lower=-0.5, upper=0.5)
    u = problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, u)
    problem.minimize(stage=(x - 2) ** 2 + u**2)
    with pytest.raises(UnsupportedError, match="has bounds, which hold only in continuous"):
        oc.solve_hjb(problem, oc.Grid(-0.5, 0.5, 41))
