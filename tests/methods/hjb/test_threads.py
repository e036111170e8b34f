"""Work on several threads: the same results to the last bit, and nothing left behind by a failure."""

import threading
import time

import numpy as np
import pytest

import ocnet as oc
from ocnet.methods.hjb import pipeline
from ocnet.methods.hjb.interpolation import Interpolation
from ocnet.methods.hjb.levels import PolicyIteration
from ocnet.methods.hjb.sweeps import directions, rates
from ocnet.methods.hjb.threads import each
from tests.hjb_problems import ring


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_part_is_done_once(threads):
    done = []
    each(done.append, 100, threads)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_ends_the_work_and_leaves_no_thread(error):
    before, done = threading.active_count(), []

    def task(part):
        if part == 3:
            raise error("part 3")
        time.sleep(0.001)
        done.append(part)

    with pytest.raises(error, match="part 3"):
        each(task, 10_000, 3)
    assert threading.active_count() == before
    assert len(done) < 100


@pytest.mark.parametrize("shape", [(12, 9), (13, 8), (9, 8, 7), (8, 7, 9), (7, 7, 8, 7)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_sweeps_do_not_depend_on_the_number_of_threads(shape, mirrored, monkeypatch):
    monkeypatch.setattr(pipeline, "FEWEST", 0)
    rng = np.random.default_rng(0)
    n, size = len(shape), int(np.prod(shape))
    count = (size + 1) // 2 if mirrored else size
    index = np.stack(np.unravel_index(np.arange(count), shape), axis=1)
    drift = rng.normal(size=(count, n))
    drift = np.where(index == 0, np.abs(drift), np.where(index == np.array(shape) - 1, -np.abs(drift), drift))
    spacing = rng.uniform(1, 2, (n, max(shape)))
    lengths = np.array(shape)
    weights, inverse = rates(drift, lengths, spacing, 0.5, 0)
    source = (rng.normal(size=count) * inverse).astype(np.float32)
    found = []
    for threads in (1, 2, 3):
        values = np.zeros(size, dtype=np.float32)
        rounds = [
            pipeline.sweep_round(values, weights, source, lengths, directions(n), mirrored, threads)
            for _ in range(3)
        ]
        found.append((values, rounds))
    for values, rounds in found[1:]:
        np.testing.assert_array_equal(values, found[0][0])
        assert rounds == found[0][1]


def test_a_solve_does_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(pipeline, "FEWEST", 0)
    grid = oc.Grid([-3] * 3, [3] * 3, 31)
    one, two = (
        PolicyIteration(ring(3).hamiltonian, grid, 1e-6, True, threads=threads).run() for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.done[-1][1], two.done[-1][1])
    assert one.history == two.history


def test_an_interrupted_solve_leaves_no_thread(monkeypatch):
    monkeypatch.setattr(pipeline, "FEWEST", 0)
    before, calls = threading.active_count(), []

    def report(iteration, value, change):
        calls.append(iteration)
        if len(calls) == 5:
            raise KeyboardInterrupt

    grid = oc.Grid([-3] * 3, [3] * 3, 31)
    with pytest.raises(KeyboardInterrupt):
        PolicyIteration(ring(3).hamiltonian, grid, 1e-6, True, report, threads=2).run()
    assert threading.active_count() == before


def test_interpolation_does_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    grid = oc.Grid([-1, -1], [1, 1], 21)
    values, x = rng.normal(size=grid.size), rng.uniform(-1, 1, (50_000, 2))
    one, two = (Interpolation(grid, threads)(values, x) for threads in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
