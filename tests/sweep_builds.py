"""What the tests of sweeps build: in a module, where worker processes find it."""

import functools
import os
import signal
import time
from pathlib import Path

import numpy as np

import ocnet as oc


def decay(rate=1.0, start=1.0):
    """x' = u − rate x, minimise ∫ x² + u² over [0, 1]: J = P(0) start², with P in closed form."""
    problem = oc.Problem("decay", horizon=oc.Finite(1.0))
    x, u = problem.state("x", initial=start), problem.control("u")
    problem.dynamics(x, u - rate * x)
    problem.minimize(stage=x**2 + u**2)
    return problem


def cost(rate, start=1.0):
    """P' = 2 rate P + P² − 1, P(1) = 0: P(0) = tanh(r) / (r + rate tanh(r)), r = √(rate² + 1)."""
    r = np.sqrt(rate**2 + 1)
    return start**2 * np.tanh(r) / (r + rate * np.tanh(r))


def logged(log, rate, start=1.0):
    """Note down each case that is begun, in one write; while a file "<log>.hold" exists, none ends late."""
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{rate!r}\n")
    while rate > 1.5 and Path(f"{log}.hold").exists():
        time.sleep(0.01)
    return decay(rate, start)


def failing(rate):
    """Raise for rate 2, exit for 3, return nothing for 4."""
    if rate == 2:
        raise ValueError("two is not to my liking")
    if rate == 3:
        raise SystemExit("three neither")
    return None if rate == 4 else decay(rate)


def deadly(marks, rate, always=(), once=()):
    """Kill the worker at certain rates, always or the first time only."""
    mark = Path(marks) / f"died-{rate}"
    mark.touch(exist_ok=True)
    with open(mark, "a", encoding="utf-8") as file:
        file.write("x")
    if rate in always or (rate in once and mark.stat().st_size == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return decay(rate)


@functools.cache
def solver():
    """Prepare once in each worker."""
    problem = oc.Problem("decay", horizon=oc.Finite(1.0))
    rate = problem.parameter("rate", value=1.0)
    x, u = problem.state("x", initial=1.0), problem.control("u")
    problem.dynamics(x, u - rate * x)
    problem.minimize(stage=x**2 + u**2)
    return oc.prepare(problem)


def warm(rate):
    """Solve with the solver that the worker keeps."""
    return solver().solve(parameters={"rate": rate}, throw=False)


def kept(solution):
    """A scalar, a string, an array, and what depends on the case."""
    x = solution.states["x"]
    return {"end": x[-1, 0], "worker": os.getpid(), "name": solution.problem_name, "path": x[:3, 0]}


def deadly_after_a_while(rate):
    """Kill the worker at rate 1, later than the loop waits in one go."""
    if rate == 1.0:
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return decay(rate)
