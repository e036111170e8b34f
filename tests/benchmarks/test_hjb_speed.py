"""The Hamilton-Jacobi-Bellman road: time against error for one to five neurons, value iteration, threads.

All ratios are between runs of one session with compiled kernels: CPU seconds on one thread, except where two
threads are compared with one, in turn. Rows that are printed are those of results/hjb.md.
"""

import resource
import time

import numpy as np
import pytest

import ocnet as oc
from tests.hjb_problems import best_of_starts, ring

pytestmark = pytest.mark.bench


def timed(problem, grid, **options):
    """CPU seconds of a solve on one thread with compiled kernels (the fastest of three), and its values."""
    oc.solve_hjb(problem, grid.resized(9), threads=1, **options)
    seconds = []
    while len(seconds) < 3 and sum(seconds) < 10:  # long solves are run once
        start = time.process_time()
        value = oc.solve_hjb(problem, grid, threads=1, **options)
        seconds.append(time.process_time() - start)
    return min(seconds), value


def references(problem, n, points, side=2.0):
    """Random states from which open-loop solves succeed, and their best costs."""
    coarse = oc.solve_hjb(problem, oc.Grid([-3] * n, [3] * n, (401, 121, 41, 21, 13)[n - 1]), tolerance=1e-6)
    solver = oc.prepare(problem, oc.Pontryagin())
    x = np.random.default_rng(n).uniform(-side, side, (points, n))
    found = [best_of_starts(solver, point, coarse, starts=2) for point in x]
    solved = [k for k, costs in enumerate(found) if len(costs)]
    print(f"N = {n}: open-loop references at {len(solved)} of {points} states", flush=True)
    return x[solved], np.array([found[k][0] for k in solved])


def box(n, m):
    return oc.Grid([-3] * n, [3] * n, m)


def peak():
    """Gigabytes that the process has held at its peak."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def row(n, m, seconds, value, error, estimate, growth):
    rms, megabytes = np.sqrt(np.mean(error**2)), value.stats["bytes"] / 1e6
    print(
        f"| {n} | {m} | {seconds:.2f} | {growth} | {error.max():.1e} | {np.median(error):.1e} | "
        f"{np.mean(estimate >= error):.0%} | {np.median(estimate) / rms:.1f} | {megabytes:.1f} |",
        flush=True,
    )


@pytest.fixture(scope="module")
def plain():
    """CPU seconds of plain value iteration for two neurons on 161²."""
    problem = ring(2)
    x, best = references(problem, 2, 10)
    seconds, value = timed(problem, box(2, 161), scheme="value-iteration", tolerance=1e-5)
    error = np.abs(value(x) - best).max()
    print(f"\nN = 2, plain value iteration, 161²: {seconds:.2f} s, largest error {error:.1e}", flush=True)
    return seconds


@pytest.mark.parametrize(
    ("n", "sizes", "points", "demand", "share"),
    [
        (1, (401, 2001, 8001), 20, 1e-7, np.inf),
        (2, (121, 241, 481), 20, 1e-6, 0.1),
        (3, (41, 61, 81, 91, 101), 8, 1e-4, 1.0),
        (4, (21, 31, 41), 6, 3e-3, np.inf),
    ],
)
def test_time_against_error(plain, n, sizes, points, demand, share):
    problem = ring(n)
    x, best = references(problem, n, points)
    last, reached = None, np.inf
    for m in sizes:
        seconds, value = timed(problem, box(n, m), tolerance=1e-5 if n > 2 else 1e-9)
        error, estimate = np.abs(value(x) - best), value.error_at(x)
        size = value.grid.size
        growth = "" if last is None else f"{np.log(seconds / last[0]) / np.log(size / last[1]):.2f}"
        row(n, m, seconds, value, error, estimate, growth)
        last = seconds, size
        if error.max() <= demand:
            reached = min(reached, seconds)
    print(f"N = {n}: {demand:.0e} after {reached:.2f} s, {reached / plain:.3f} of value iteration's time")
    print(f"{peak():.2f} GiB at the peak of the process")
    assert np.isfinite(reached)
    assert reached < share * plain


def test_five_neurons():
    seconds, value = timed(ring(5), box(5, 17), tolerance=1e-5)
    print(f"\nN = 5, 17⁵: {seconds:.0f} s, {peak():.2f} GiB at the peak of the process\n{value}")
    assert peak() < 24
    assert np.isfinite(value.error_estimate)


@pytest.mark.parametrize(("n", "m"), [(2, 481), (3, 91), (4, 33)])
def test_two_threads_against_one(n, m):
    """Wall-clock ratio in alternating runs; the answers are the same to the last bit."""
    problem, tolerance = ring(n), 1e-9 if n == 2 else 1e-5
    oc.solve_hjb(problem, box(n, 9), threads=2, tolerance=tolerance)
    wall, cpu, values = {1: [], 2: []}, {1: [], 2: []}, {}
    for _ in range(5 if n < 4 else 3):
        for threads in (1, 2):
            start = time.perf_counter(), time.process_time()
            values[threads] = oc.solve_hjb(problem, box(n, m), threads=threads, tolerance=tolerance).values
            wall[threads].append(time.perf_counter() - start[0])
            cpu[threads].append(time.process_time() - start[1])
    fastest = {threads: min(times) for threads, times in wall.items()}
    work = {threads: min(times) for threads, times in cpu.items()}
    print(
        f"\n| {n} | {m} | {fastest[1]:.2f} | {fastest[2]:.2f} | {fastest[1] / fastest[2]:.2f} | "
        f"{work[2] / work[1]:.2f} |"
    )
    np.testing.assert_array_equal(values[1], values[2])
