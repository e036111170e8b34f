"""Pontryagin's road against collocation, against solve_bvp, and its growth up to two thousand neurons.

All ratios are between runs of one session, with one BLAS thread everywhere.
"""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.integrate import solve_bvp
from threadpoolctl import threadpool_limits

import ocnet as oc
from problems import synaptic_control

RATE = 0.5
pytestmark = pytest.mark.bench


def random_network(n, seed):
    """Return A, normal of spectral radius about 0.85 with half of its entries 0, and an initial state."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n)) * 1.2 / np.sqrt(n)
    A[rng.permutation(n * n).reshape(n, n) < n * n // 2] = 0
    return A, rng.uniform(-1.5, 1.5, n)


def state(n, seed=0):
    A, initial = random_network(n, seed)
    return synaptic_control.problem(A, initial, bounds=(0.1, 1.0), discount=RATE)


def product_seconds():
    """Time of one dense product of 1000 × 1000 matrices in double precision."""
    a = np.random.default_rng(0).standard_normal((1000, 1000))
    best = np.inf
    for _ in range(10):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return best


def timed(problem_of, method, runs):
    """Shortest CPU time to solve a newly stated problem, and the solution."""
    best = np.inf
    for _ in range(runs):
        problem = problem_of()
        start = time.process_time()
        solution = oc.solve(problem, method)
        best = min(best, time.process_time() - start)
    return best, solution


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        oc.solve(state(2), oc.Pontryagin())  # compiles the kernels
        yield


def test_equal_accuracy_with_32_neurons():
    exact = oc.solve(state(32), oc.Pontryagin(refine_to=1e-8)).cost
    demand = 1e-6
    mine, fast = timed(lambda: state(32), oc.Pontryagin(refine_to=1e-3), 5)
    assert abs(fast.cost / exact - 1) < demand
    for refine_to in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):  # the loosest that is accurate enough
        theirs, slow = timed(lambda: state(32), oc.Collocation(refine_to=refine_to), 1)
        error = abs(slow.cost / exact - 1)
        if error < demand:
            break
    print(
        f"\nn = 32, J to {demand:g}: Pontryagin {mine:.3f} s (error {abs(fast.cost / exact - 1):.1e}), "
        f"collocation {theirs:.2f} s (refine_to {refine_to:g}, error {error:.1e}): {theirs / mine:.0f} times"
    )
    assert error < demand
    assert theirs > 10 * mine


def test_128_neurons_against_16():
    intervals = 40
    mine, large = timed(lambda: state(128), oc.Pontryagin(intervals=intervals, refine_to=None), 3)
    theirs, small = timed(lambda: state(16), oc.Collocation(intervals=intervals, refine_to=None), 3)
    print(f"\n{intervals} intervals: Pontryagin, n = 128: {mine:.2f} s; collocation, n = 16: {theirs:.2f} s")
    assert large.success
    assert small.success
    assert mine < theirs


GROWTH = """
import json, resource, sys, time
import numpy as np
sys.path.insert(0, {here!r})
from test_pontryagin_speed import oc, product_seconds, state
from threadpoolctl import threadpool_limits
n = {n}
with threadpool_limits(1):
    oc.solve(state(2), oc.Pontryagin())
    unit = product_seconds()
    problem = state(n)
    start = time.process_time()
    s = oc.solve(problem, oc.Pontryagin(refine_to=1e-3))
    seconds = time.process_time() - start
    unit = min(unit, product_seconds())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
better = None
if {check}:
    better = oc.solve(problem, oc.Pontryagin(refine_to=1e-5)).cost
print(json.dumps(dict(n=n, seconds=seconds, unit=unit, peak=peak, cost=s.cost, better=better,
    estimate=s.errors["cost"], tail=s.errors["tail"], residual=s.stats["residual"],
    steps=s.stats["newton_steps"], intervals=s.stats["intervals"], success=s.success)))
"""


def test_growth():
    from pathlib import Path

    here = str(Path(__file__).parent)
    rows = []
    for n in (100, 200, 500, 1000, 2000):
        script = GROWTH.format(here=here, n=n, check=n <= 500)
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        rows.append(json.loads(found.stdout.splitlines()[-1]))
    names = "N,synapses,seconds,products,peak GiB,intervals,Newton steps,estimated error of J,residual"
    print("\n| " + names.replace(",", " | ") + " |\n" + "|---" * 9 + "|")
    for r in rows:
        products = r["seconds"] / r["unit"]
        print(
            f"| {r['n']} | {r['n'] ** 2:,} | {r['seconds']:.1f} | {products:.0f} | {r['peak'] / 2**30:.2f} | "
            f"{r['intervals']} | {r['steps']} | {r['estimate']:.0e} | {r['residual']:.0e} |"
        )
        assert r["success"]
        assert r["residual"] <= 1e-8
        assert r["estimate"] <= 1e-6
        assert r["tail"] <= 1e-6
        if r["better"] is not None:
            assert abs(r["cost"] / r["better"] - 1) < 1e-6
    n, seconds = (np.array([r[key] for r in rows], float) for key in ("n", "seconds"))
    print("growth exponents between sizes:", np.round(np.diff(np.log(seconds)) / np.diff(np.log(n)), 2))
    thousand, two_thousand = rows[-2], rows[-1]
    assert thousand["seconds"] < 2500 * thousand["unit"]
    assert thousand["peak"] < 8 * 2**30
    assert two_thousand["peak"] < 16 * 2**30


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_against_solve_bvp(n):
    """The same canonical equations, on the same horizon, solved by scipy from the same rollout."""
    lines, ratios = [], []
    for seed in range(3):
        mine, s = timed(lambda seed=seed: state(n, seed), oc.Pontryagin(refine_to=1e-8), 2)
        H, times = state(n, seed).hamiltonian, s.x.breaks[[0, -1]]
        x0 = s.x.values[0]

        def flow(t, y, H=H):
            H_x, H_p = H.gradient(t, y[:n].T, y[n:].T)
            return np.vstack([H_p.T, (RATE * y[n:].T - H_x).T])

        def ends(a, b, x0=x0):
            return np.concatenate([a[:n] - x0, b[n:]])

        grid = np.linspace(*times, 40) ** 2 / times[-1]
        guess = np.vstack([np.tile(x0[:, None], grid.size) * np.exp(-grid), np.zeros((n, grid.size))])
        start = time.process_time()
        found = solve_bvp(flow, ends, grid, guess, tol=1e-8, max_nodes=20000)
        theirs = time.process_time() - start
        agree = np.abs(found.sol(s.x.time)[:n].T - s.x.values).max() if found.success else np.nan
        ratios.append(theirs / mine)
        end = f"states differ by {agree:.0e}" if found.success else found.message
        lines.append(f"seed {seed}: {mine:.2f} s, solve_bvp {theirs:.2f} s, {end}")
    print(f"\nn = {n}, tolerance 1e-8: {'; '.join(lines)}; ratio {min(ratios):.1f} to {max(ratios):.1f}")
