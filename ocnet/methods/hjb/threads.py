"""Threads for compiled loops, which hold no lock of the interpreter.

The parts that work is cut into do not depend on the number of threads, and each writes only what is its own:
results are the same to the last bit on one thread and on many.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

from numba import config


def available() -> int:
    """Return how many threads to use: the cores of this process, or what NUMBA_NUM_THREADS says."""
    return int(getattr(config, "NUMBA_NUM_THREADS"))  # noqa: B009 (the module has no stub)


def each(
    task: Callable[[int], None], parts: int, threads: int, halted: threading.Event | None = None
) -> None:
    """Call task(0) … task(parts − 1), in any order, on this thread and on `threads` − 1 others.

    The first exception, an interrupt by the keyboard among them, ends the work: parts that run are finished,
    no further ones are begun, and no thread is left when it is raised here.

    Parameters
    ----------
    task : callable
    parts, threads : int
    halted : threading.Event, optional
        Set when a part has failed, for parts that wait for others.
    """
    if min(parts, threads) < 2:
        for part in range(parts):
            task(part)
        return
    number, failures = count(), list[BaseException]()
    stop = threading.Event() if halted is None else halted

    def work() -> None:
        try:
            while not stop.is_set() and (part := next(number)) < parts:  # next() of a count is atomic
                task(part)
        except BaseException as error:
            failures.append(error)
            stop.set()

    others = [threading.Thread(target=work, daemon=True) for _ in range(min(parts, threads) - 1)]
    started = list[threading.Thread]()
    try:
        for thread in others:
            thread.start()
            started.append(thread)
        work()
        for thread in started:
            thread.join()
    except BaseException as error:  # while this thread waits for the others
        failures.insert(0, error)
        stop.set()
        for thread in started:
            thread.join()
    if failures:
        raise failures[0]
