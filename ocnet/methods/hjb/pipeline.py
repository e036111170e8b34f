"""Gauss-Seidel sweeps on several threads that give what one thread gives, to the last bit.

The first axis is cut into a slab for each thread, the second one into columns. A node needs the new values of
the neighbours that the sweep has passed and the old ones of those before it; across slabs these are in the
same column. So a slab may sweep a column as soon as the slab before it (along the sweep) has swept it, and
the slab behind has swept it in the sweep before: slabs follow each other a column apart, also from one
direction to the next.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

import numpy as np

from ocnet.methods.hjb.sweeps import sweep
from ocnet.methods.hjb.threads import each

COLUMNS = 8
FEWEST = 150_000  # nodes of a sweep that are worth a second thread
PATIENCE = 0.2  # seconds between two looks whether another thread has failed


class _HaltError(Exception):
    """Another thread has failed; its exception is the one that counts."""


def sweep_round(
    values: np.ndarray,
    weights: np.ndarray,
    source: np.ndarray,
    shape: np.ndarray,
    ways: np.ndarray,
    mirrored: bool,
    threads: int,
) -> float:
    """Sweep once in each of the directions, in place, and return the largest change.

    Parameters
    ----------
    values, weights, source, mirrored
        As for :func:`ocnet.methods.hjb.sweeps.sweep`.
    shape : ndarray of int (n,)
    ways : ndarray of bool (directions, n)
    threads : int
        At most so many; the result does not depend on it.
    """
    n, count = len(shape), len(source)
    strides = tuple(int(np.prod(shape[d + 1 :])) for d in range(n))
    planes = -(-count // strides[0])
    slabs = min(threads, planes // 2) if n > 1 and count >= FEWEST else 1

    def swept(way: np.ndarray, first: tuple[int, int], second: tuple[int, int] | None = None) -> float:
        lower, upper = np.zeros(n, dtype=np.int64), shape.copy()
        lower[0], upper[0] = first
        if second is not None:
            lower[1], upper[1] = second
        return sweep(values, weights, source, strides, lower, upper, way, mirrored)

    if slabs < 2:
        return _largest([swept(way, (0, planes)) for way in ways])

    cuts = np.linspace(0, planes, slabs + 1).astype(int).tolist()
    edges = np.linspace(0, shape[1], COLUMNS + 1).astype(int).tolist()
    halted = threading.Event()
    passed: list[dict[int, SimpleQueue[None]]] = [
        {j: SimpleQueue() for j in (i - 1, i + 1) if 0 <= j < slabs} for i in range(slabs)
    ]
    changes: list[list[float]] = [[] for _ in range(slabs)]

    def run(i: int) -> None:
        # The mirror image of the last plane is its own neighbour: it is swept as a whole, by the last slab.
        alone = mirrored and i == slabs - 1
        planes_here = (cuts[i], cuts[i + 1] - alone)
        seen = dict.fromkeys(passed[i], 0)

        def wait(j: int, columns: int) -> None:
            while j in seen and seen[j] < columns:
                try:
                    passed[i][j].get(timeout=PATIENCE)
                    seen[j] += 1
                except Empty:
                    if halted.is_set():
                        raise _HaltError from None

        for turn, way in enumerate(ways):
            ahead, behind = (i + 1, i - 1) if way[0] else (i - 1, i + 1)
            if alone and way[0]:
                changes[i].append(swept(way, (planes - 1, planes)))
            for place in range(COLUMNS):
                column = COLUMNS - 1 - place if way[1] else place
                wait(ahead, turn * COLUMNS + place + 1)
                if turn:
                    before = COLUMNS - 1 - column if ways[turn - 1][1] else column
                    wait(behind, (turn - 1) * COLUMNS + before + 1)
                changes[i].append(swept(way, planes_here, (edges[column], edges[column + 1])))
                for j in passed[i]:
                    passed[j][i].put(None)
            if alone and not way[0]:
                changes[i].append(swept(way, (planes - 1, planes)))

    each(run, slabs, slabs, halted)
    return _largest([change for slab in changes for change in slab])


def _largest(changes: list[float]) -> float:
    """Return the largest change; NaN if there is one."""
    return float(np.max(changes))
