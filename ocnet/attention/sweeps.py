"""Compiled sweeps: neurons one after the other, each change of an output sent at once to whoever listens.

T is in CSR form. Which synapses of neuron i count is given by two pointers, starts[i] and stops[i].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.attention.kernels import AWAKE, UNSCORED, compiled, moved, output, rests
from ocnet.attention.prefetch import prefetch

CHANGED = AWAKE | UNSCORED
AHEAD = 256  # neurons whose synapses are asked for at once
DEPTH = 8  # sweeps that follow one another part by part
LATER = 128  # synapses further on, whose target is asked for
FEW = 0.4  # as many of the neurons moved, or fewer: those that move next are far apart


@compiled
def send(
    indices: np.ndarray, data: np.ndarray, start: int, stop: int, change: float, net: np.ndarray
) -> None:
    """Add the change of an output to the net inputs of its neighbours, entries start:stop of T."""
    for e in range(np.uintp(start), np.uintp(stop)):  # unsigned indices do not wrap
        net[np.uintp(indices[e])] += data[e] * change


@compiled
def send_far(
    indices: np.ndarray, data: np.ndarray, start: int, stop: int, change: float, net: np.ndarray
) -> None:
    """Do what :func:`send` does, and ask for net inputs that the synapses of the next neurons lead to."""
    end = np.uintp(len(indices) - 1)
    for e in range(np.uintp(start), np.uintp(stop)):
        prefetch(net, np.uintp(indices[min(e + np.uintp(LATER), end)]))
        net[np.uintp(indices[e])] += data[e] * change


@compiled
def step(
    kind: int,
    gain: float,
    feedback: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    i: int,
    dt: float,
    plain: float,
) -> float:
    """Move neuron i and return the change of its output; without feedback none of it is negative."""
    own = feedback[i] if len(feedback) else 0.0
    u[i] = moved(kind, gain, own, u[i], v[i], net[i] - u[i], dt, plain)
    after = output(kind, gain * u[i])
    change = after - v[i]
    v[i] = after
    return change


@compiled
def sweeps(
    starts: np.ndarray,
    stops: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    feedback: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    first: int,
    last: int,
    stride: int,
    kind: int,
    gain: float,
    dt: float,
    most: int,
    tolerance: float,
) -> Any:
    """Sweep over the neurons first:last, in place, at most `most` times.

    `net` is Tv + h. A neuron whose output would change by no more than the tolerance rests; a sweep in which
    all of them rest is the last.

    If no synapse reaches further than `stride`, parts of so many neurons take turns: one sweep of a part is
    followed by the next sweep of the part before it, whose synapses are still in the cache. Each neuron meets
    the same net input, to rounding, as if sweeps followed one another. A part at rest between parts at rest
    is left out. A stride of 0 says that synapses reach anywhere.

    Returns
    -------
    (int, int)
        Connection updates (products added to `net`) and neuron updates.
    """
    updates, changed, plain = 0, 0, -np.expm1(-dt)
    size = stride if stride else last - first
    parts = -(-(last - first) // size)
    counts = np.full(parts, -1)  # neurons that moved in the last sweep of each part
    moving, rows, state = np.empty(AHEAD, np.int64), (starts, stops, indices, data), (feedback, u, v, net)
    depth = DEPTH if parts > 1 else 1
    for done in range(0, most, depth):
        before, deep = changed, min(depth, most - done)
        for turn in range((parts + deep - 1) * deep):
            p = turn // deep - turn % deep
            if p < 0 or p >= parts:
                continue
            left, right = counts[max(p - 1, 0)], counts[min(p + 1, parts - 1)]
            if counts[p] == 0 and left == 0 and right == 0:
                continue
            begin, end = first + p * size, min(first + (p + 1) * size, last)
            guess = counts[p] if counts[p] >= 0 else left
            if 0 <= guess < FEW * (end - begin):
                more, counts[p] = few(
                    rows, state, begin, end, stride, kind, gain, dt, plain, tolerance, moving
                )
            else:
                more, counts[p] = many(rows, state, begin, end, stride, kind, gain, dt, plain, tolerance)
            updates += more
            changed += counts[p]
        if changed == before:
            break
    return updates, changed


@compiled
def many(
    rows: Any,
    state: Any,
    first: int,
    last: int,
    stride: int,
    kind: int,
    gain: float,
    dt: float,
    plain: float,
    tolerance: float,
) -> Any:
    """Sweep once over neurons of which many move; return connection updates and neuron updates."""
    starts, stops, indices, data = rows
    feedback, u, v, net = state
    updates, changed = 0, 0
    for i in range(np.uintp(first), np.uintp(last)):
        if not rests(kind, gain, u[i], v[i], net[i], tolerance):
            change = step(kind, gain, feedback, u, v, net, i, dt, plain)
            if change != 0.0:
                if stride:
                    send(indices, data, starts[i], stops[i], change, net)
                else:
                    send_far(indices, data, starts[i], stops[i], change, net)
                updates += stops[i] - starts[i]
            changed += 1
    return updates, changed


@compiled
def few(
    rows: Any,
    state: Any,
    first: int,
    last: int,
    stride: int,
    kind: int,
    gain: float,
    dt: float,
    plain: float,
    tolerance: float,
    moving: np.ndarray,
) -> Any:
    """Do what :func:`many` does where few move: ask for the synapses of several of them at once."""
    starts, stops, indices, data = rows
    feedback, u, v, net = state
    updates, changed, one = 0, 0, np.uintp(1)
    for begin in range(first, last, AHEAD):
        count = 0
        for i in range(np.uintp(begin), np.uintp(min(begin + AHEAD, last))):
            moving[count] = i
            count += not rests(kind, gain, u[i], v[i], net[i], tolerance)
        for k in range(count):
            i = np.uintp(moving[k])
            if stops[i] > starts[i]:
                a, b = np.uintp(starts[i]), np.uintp(stops[i]) - one
                for e in (a, b):
                    prefetch(indices, e)
                for e in (a, (a + b) >> one, b):
                    prefetch(data, e)
        if not stride:
            for k in range(count):
                i = np.uintp(moving[k])
                for e in range(np.uintp(starts[i]), np.uintp(stops[i])):
                    prefetch(net, np.uintp(indices[e]))
        for k in range(count):
            i = np.uintp(moving[k])
            change = step(kind, gain, feedback, u, v, net, i, dt, plain)
            if change != 0.0:
                send(indices, data, starts[i], stops[i], change, net)
                updates += stops[i] - starts[i]
        changed += count
    return updates, changed


@compiled
def within(indptr: np.ndarray, indices: np.ndarray, bounds: np.ndarray) -> Any:
    """Return starts and stops of the synapses that stay within blocks bounds[a]:bounds[a + 1]."""
    n = len(indptr) - 1
    starts, stops = np.empty(n, indptr.dtype), np.empty(n, indptr.dtype)
    for a in range(len(bounds) - 1):
        for i in range(np.uintp(bounds[a]), np.uintp(bounds[a + 1])):
            e, end = np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])
            while e < end and indices[e] < bounds[a]:
                e += np.uintp(1)
            starts[i] = e
            while end > e and indices[end - np.uintp(1)] >= bounds[a + 1]:
                end -= np.uintp(1)
            stops[i] = end
    return starts, stops


@compiled
def leave(
    indptr: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    first: int,
    v: np.ndarray,
    old: np.ndarray,
    net: np.ndarray,
    flags: np.ndarray,
) -> int:
    """Tell neurons outside how the outputs (M,) from `first` on changed; return the connection updates."""
    updates, end = 0, np.uintp(len(indices) - 1)
    for k in range(len(v)):
        i, change = np.uintp(first + k), v[k] - old[k]
        flags[i] = CHANGED
        if change != 0.0:
            for a, b in ((indptr[i], starts[i]), (stops[i], indptr[i + np.uintp(1)])):
                for e in range(np.uintp(a), np.uintp(b)):
                    later = np.uintp(indices[min(e + np.uintp(LATER), end)])
                    prefetch(net, later)
                    prefetch(flags, later)
                    j = np.uintp(indices[e])
                    net[j] += data[e] * change
                    flags[j] = CHANGED
                updates += b - a
    return updates


@compiled
def restrict(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, active: np.ndarray, local: np.ndarray
) -> Any:
    """Return the CSR arrays of T between the active neurons; `local` holds their places, −1 elsewhere."""
    count, most = len(active), 0
    pointers = np.zeros(count + 1, np.int64)
    for k in range(count):
        most += indptr[active[k] + 1] - indptr[active[k]]
    columns, values = np.empty(most, np.int32), np.empty(most)
    at = 0
    for k in range(count):
        i = active[k]
        for e in range(indptr[i], indptr[i + 1]):
            j = local[np.uintp(indices[e])]
            if j >= 0:
                columns[at] = j
                values[at] = data[e]
                at += 1
        pointers[k + 1] = at
    return pointers, columns[:at], values[:at]


@compiled
def spread(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    active: np.ndarray,
    change: np.ndarray,
    local: np.ndarray,
    net: np.ndarray,
    flags: np.ndarray,
) -> int:
    """Tell the inactive neighbours what the active neurons changed (M,); return the connection updates."""
    updates = 0
    for k in range(len(active)):
        i = active[k]
        flags[i] = CHANGED
        if change[k] != 0.0:
            for e in range(indptr[i], indptr[i + 1]):
                j = np.uintp(indices[e])
                if local[j] < 0:
                    net[j] += data[e] * change[k]
                    flags[j] = CHANGED
                    updates += 1
    return updates
