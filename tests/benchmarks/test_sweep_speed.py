"""What two workers gain over one on a thousand small problems.

On a machine that others use the wall clock says little. Linux tells for each thread how long it ran and how
long it waited for a core; what is left of the wall clock is idleness, a worker that has nothing to do. Run
and idle time together are what a worker would have taken on a core of its own (give or take the caches and
hidden threads that neighbours share with it, some 10 %).
"""

import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import ocnet as oc
from tests.sweep_builds import cost, decay

pytestmark = pytest.mark.bench
COUNT = 1000
RATES = np.linspace(0.1, 2.0, COUNT)
SCHEDULER = Path("/proc/thread-self/schedstat")


def clocks(_solution):
    """Seconds of this worker's thread at the end of a case: wall clock, run, waited for a core."""
    run, waited, _ = (int(word) * 1e-9 for word in SCHEDULER.read_text().split())
    return {"worker": psutil.Process().pid, "clocks": np.array([time.monotonic(), run, waited])}


def rate(found):
    """Cases a second that the workers would do on cores of their own, and the share of idle time."""
    total, idle, all_of = 0.0, 0.0, 0.0
    for worker in np.unique(found.worker):
        own = found.clocks.values[found.worker.values == worker]
        own = own[np.argsort(own[:, 0])]
        wall, run, waited = own[-1] - own[0]
        total += (len(own) - 1) / (wall - waited)
        idle, all_of = idle + wall - waited - run, all_of + wall - waited
    return total, idle / all_of


@pytest.mark.skipif(not SCHEDULER.exists(), reason="only Linux tells how long a thread waited for a core")
def test_two_workers_against_one(tmp_path):
    rates = {}
    print(f"\n{COUNT} problems")
    for workers in (1, 2):
        begin, others = time.perf_counter(), psutil.cpu_percent(1.0)
        grid = {"rate": RATES}
        found = oc.sweep(decay, grid, executor=workers, store=tmp_path / f"{workers}.nc", reduce=clocks)
        seconds = time.perf_counter() - begin
        np.testing.assert_allclose(found.cost, cost(RATES), rtol=1e-7)
        rates[workers], idle = rate(found)
        print(
            f"{workers} workers: {rates[workers]:.1f} cases/s on cores of their own, idle {idle:.1%}; "
            f"wall clock {seconds:.1f} s beside others that used {others:.0f} % of the cores",
            flush=True,
        )
    print(f"throughput of 2 workers over 1: {rates[2] / rates[1]:.2f}")
