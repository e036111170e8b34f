"""The Hamilton-Jacobi-Bellman road: time against error for one to five neurons, and plain value iteration.

All ratios are between runs of one session, in CPU seconds, with compiled kernels.
"""

import resource
import time

import numpy as np
import pytest

import ocnet as oc
from tests.hjb_problems import best_of_starts, ring

pytestmark = pytest.mark.bench


def timed(problem, grid, **options):
    """CPU seconds of one solve with compiled kernels, and its value function."""
    oc.solve_hjb(problem, grid.resized(9), **options)
    start = time.process_time()
    value = oc.solve_hjb(problem, grid, **options)
    return time.process_time() - start, value


def references(problem, n, points, side=2.0):
    """Random states from which open-loop solves succeed, and their best costs."""
    coarse = oc.solve_hjb(problem, oc.Grid([-3] * n, [3] * n, (401, 121, 41, 21, 13)[n - 1]), tolerance=1e-6)
    solver = oc.prepare(problem, oc.Pontryagin())
    x = np.random.default_rng(n).uniform(-side, side, (points, n))
    found = [best_of_starts(solver, point, coarse, starts=2) for point in x]
    solved = [k for k, costs in enumerate(found) if len(costs)]
    print(f"N = {n}: open-loop references at {len(solved)} of {points} states")
    return x[solved], np.array([found[k][0] for k in solved])


def box(n, m):
    return oc.Grid([-3] * n, [3] * n, m)


def memory():
    """Gigabytes that the process has held at its peak."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def test_time_against_error():
    two = ring(2)
    x, best = references(two, 2, 20)
    plain, slow = timed(two, box(2, 161), scheme="value-iteration", tolerance=1e-5)
    plain_error = np.abs(slow(x) - best).max()
    print(f"\nN = 2, plain value iteration, 161²: {plain:.1f} s, error {plain_error:.1e}")
    reached = {}
    for n, sizes, demand in (
        (1, (401, 2001, 8001), 1e-7),
        (2, (121, 241, 481), 1e-6),
        (3, (41, 61, 81, 91, 101), 1e-4),
        (4, (21, 31, 41), 3e-3),
    ):
        problem = ring(n)
        x, best = references(problem, n, 20)
        for m in sizes:
            seconds, value = timed(problem, box(n, m), tolerance=1e-5 if n > 2 else 1e-9)
            error, estimate = np.abs(value(x) - best), value.error_at(x)
            rms = np.sqrt(np.mean(error**2))
            print(
                f"N = {n}, {m}^{n}: {seconds:7.2f} s, error {error.max():.1e}, "
                f"median {np.median(error):.1e}; "
                f"estimate covers {np.mean(estimate >= error):.0%}, its median is "
                f"{np.median(estimate) / rms:.1f} rms errors; {memory():.2f} GiB",
                flush=True,
            )
            if error.max() <= demand and n not in reached:
                reached[n] = seconds
    print("to the demand:", reached)
    assert reached[2] < 0.1 * plain
    assert reached[3] < plain
    assert 4 in reached


def test_five_neurons():
    seconds, value = timed(ring(5), box(5, 17), tolerance=1e-5)
    print(f"\nN = 5, 17⁵: {seconds:.0f} s, {memory():.2f} GiB\n{value}")
    assert memory() < 24
    assert np.isfinite(value.error_estimate)
