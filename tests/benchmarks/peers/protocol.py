"""How a peer is run: ``python rockit_peer.py FAMILY N KNOB SEED [LIMIT]`` prints one JSON line.

A peer is a file with ``LADDERS`` (name -> settings of rising accuracy), ``SAME_MESH`` (settings, but for the
number of intervals, that give three new collocation points per interval) and
``solve(family, n, accuracy_knob, seed) -> dict(cost, cpu, wall, note)``. It imports its package inside
`solve`, before the clock starts, so that the driver can read the ladders without it.
"""

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MEMORY = 10 * 2**30  # bytes of address space that a peer may use


def _cpu_seconds():
    """Return user and system time of this process and of the programs that it has run."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class Stopwatch:
    """CPU and wall seconds since it was made; `result` adds them to the answer."""

    def __init__(self):
        self.cpu, self.wall = _cpu_seconds(), time.perf_counter()

    def result(self, cost, note=""):
        """Return the dictionary that `solve` has to return."""
        cpu, wall = _cpu_seconds() - self.cpu, time.perf_counter() - self.wall
        return {"cost": float(cost), "cpu": round(cpu, 3), "wall": round(wall, 3), "note": str(note)}


def main(solve):
    """Run one case given on the command line; the answer is the last line of standard output."""
    family, n, knob, seed = sys.argv[1:5]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if len(sys.argv) > 5:
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[5]), int(sys.argv[5])))
    try:
        answer = solve(family, int(n), json.loads(knob), int(seed))
    except Exception as error:  # the table wants every failure, whatever a package raises
        answer = {"cost": None, "cpu": None, "wall": None, "note": f"{type(error).__name__}: {error}"[:300]}
    print("\n" + json.dumps(answer), flush=True)
