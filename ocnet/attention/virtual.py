"""The state of all virtual neurons, and one phase in which those that are attended to move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ocnet.attention import kernels
from ocnet.attention.network import Network
from ocnet.attention.shared import shared_sweeps
from ocnet.attention.sweeps import CHANGED, leave, restrict, spread, sweeps


@dataclass(frozen=True)
class Attended:
    """Which virtual neurons the real ones stand for.

    Attributes
    ----------
    neurons : ndarray of int (M,) or None
        Virtual neurons; None stands for all of them.
    weights : ndarray (M,) or None
        r of each of them; None where it is 1.
    groups : ndarray of int (A + 1,) or None
        Virtual neurons groups[a]:groups[a + 1] belong to real neuron a; None where each has its own.
    place : ndarray
        Where the window is: the block, the position, or nothing.
    benefit : (float, float)
        What the control sought, before and after it moved.
    rows : (ndarray, ndarray) or None
        Where the neurons are consecutive, pointers (N,) to the first synapse in each row of T that leads to
        one of them, and behind the last.
    """

    neurons: np.ndarray | None
    weights: np.ndarray | None = None
    groups: np.ndarray | None = None
    place: np.ndarray | None = None
    benefit: tuple[float, float] = (float("nan"), float("nan"))
    rows: tuple[np.ndarray, np.ndarray] | None = None


class Phase(NamedTuple):
    """What one phase of neurons did: counts, bytes of the real neurons' working set, changes.

    `path` is the sum of the squared changes of outputs; infinite where all neurons were active. The change of
    E is then None: E is evaluated anew.
    """

    connection_updates: int
    neuron_updates: int
    active: int
    real: int
    bytes: int
    energy_change: float | None
    path: float


class Virtual:
    """Activations, outputs and net inputs of all virtual neurons.

    Attributes
    ----------
    u, v, net : ndarray (N,)
        Activations, outputs g(γu), and Tv + h, which is kept up to date.
    tolerance : float
        A neuron rests when its output is due a change of no more than this.
    connection_updates : int
        Products added to net inputs so far, the first evaluation of Tv included.
    """

    def __init__(self, network: Network, u: np.ndarray, tolerance: float) -> None:
        self.network, self.tolerance = network, tolerance
        self.u = np.ascontiguousarray(u, dtype=float)
        self.local = np.full(network.size, -1, np.int32)
        self.flags = np.empty(network.size, np.uint8)
        own = network.feedback
        self.feedback = own if len(own) and own.min() < 0 else own[:0]  # only negative ones slow a neuron
        self.connection_updates = 0
        self.before: tuple[np.ndarray, ...] = (np.empty(0),) * 3  # of a block, kept to be used again
        self._energy: float | None = None
        self.refresh()

    def refresh(self) -> None:
        """Evaluate outputs and net inputs anew, which costs every connection once."""
        T = self.network.weights
        self.v = kernels.outputs(self.network.kind, self.network.gain, self.u)
        self.net = T @ self.v + self.network.inputs
        self.connection_updates += int(T.nnz)
        self.flags[:], self._energy = CHANGED, None

    @property
    def energy(self) -> float:
        """E(v)."""
        if self._energy is None:
            network = self.network
            state = (self.u, self.v, self.net, network.inputs)
            self._energy = float(kernels.energy(network.kind, network.gain, *state))
        return self._energy

    @property
    def bytes(self) -> int:
        """What the whole network takes: synapses and the state of every virtual neuron."""
        T = self.network.weights
        state = (self.network.inputs, self.u, self.v, self.net, self.local, self.flags)
        return int(sum(a.nbytes for a in (T.data, T.indices, T.indptr, *state)))

    def scores(self, measure: int, which: np.ndarray | None = None) -> np.ndarray:
        """Return g'(∂E/∂v)² (0), |∂E/∂v| (1) or the squared change due (2) of some or all neurons.

        They are 0 for neurons at rest.
        """
        u, v, net = (a if which is None else a[which] for a in (self.u, self.v, self.net))
        result = np.empty(len(u))
        kernels.scores(self.network.kind, self.network.gain, u, v, net, measure, self.tolerance, result)
        return result

    def block_scores(
        self, measure: int, order: np.ndarray | None, bounds: np.ndarray, sums: np.ndarray
    ) -> None:
        """Bring the sums of scores over blocks (blocks,) up to date, of those in which something changed.

        Block a has the neurons order[bounds[a]:bounds[a + 1]]; None is the order of their numbers. Whoever
        calls this is the only one, with the same blocks and measure each time.
        """
        network = self.network
        kernels.block_scores(
            network.kind, network.gain, self.u, self.v, self.net, self.flags,
            measure, self.tolerance, order, bounds, sums,
        )  # fmt: skip

    def residual(self) -> float:
        """Return the largest change that the output of a neuron is due, |g(γ(Tv + h)) − v|."""
        return kernels.largest_due(self.network.kind, self.network.gain, self.u, self.v, self.net)

    def move(self, attended: Attended, step: float, most: int) -> Phase:
        """Let the attended neurons move for a phase, and tell their inactive neighbours at its end."""
        network, T = self.network, self.network.weights
        how = (network.kind, network.gain, step, most, self.tolerance)
        if attended.neurons is None:
            rows = (T.indptr[:-1], T.indptr[1:], T.indices, T.data)
            state = (self.feedback, self.u, self.v, self.net)
            updates, changed = sweeps(*rows, *state, 0, network.size, network.stride, *how)
            phase = Phase(updates, changed, network.size, network.size, self.bytes, None, np.inf)
            self.flags[:] = CHANGED
        elif attended.rows is not None:
            phase = self._move_block(attended.neurons, attended.rows, how)
        else:
            phase = self._move_some(attended, attended.neurons, how)
        self.connection_updates += phase.connection_updates
        if phase.neuron_updates:
            self._energy = None
        return phase

    def _move_block(
        self, active: np.ndarray, rows: tuple[np.ndarray, np.ndarray], how: tuple[Any, ...]
    ) -> Phase:
        """Move consecutive neurons where they are."""
        T, first, last = self.network.weights, int(active[0]), int(active[-1]) + 1
        part = slice(first, last)
        now = self.u[part], self.v[part], self.net[part]
        if len(self.before[0]) < len(active):
            self.before = tuple(np.empty(len(active)) for _ in now)
        old = tuple(b[: len(active)] for b in self.before)
        for b, a in zip(old, now, strict=True):
            np.copyto(b, a)
        state = (self.feedback, self.u, self.v, self.net)
        updates, changed = sweeps(
            *rows, T.indices, T.data, *state, first, last, self.network.stride or len(active), *how
        )
        fall = path = 0.0
        if changed:
            fall = kernels.energy_change(*how[:2], *now, *old)
            change = now[1] - old[1]
            path = float(change @ change)
            told = (now[1], old[1], self.net, self.flags)
            updates += leave(T.indptr, *rows, T.indices, T.data, first, *told)
        synapses = int(rows[1][part].sum() - rows[0][part].sum())
        held = self._bytes(len(active), synapses)
        return Phase(updates, changed, len(active), len(active), held, fall, path)

    def _move_some(self, attended: Attended, active: np.ndarray, how: tuple[Any, ...]) -> Phase:
        """Move any neurons, with copies of their state and of the synapses between them."""
        T = self.network.weights
        self.local[active] = np.arange(len(active), dtype=np.int32)
        indptr, indices, data = restrict(T.indptr, T.indices, T.data, active, self.local)
        u, v, net = self.u[active], self.v[active], self.net[active]
        old = u.copy(), v.copy(), net.copy()
        if attended.weights is None or attended.groups is None:
            state = (self.feedback[active] if len(self.feedback) else self.feedback, u, v, net)
            rows = (indptr[:-1], indptr[1:], indices, data)
            updates, changed = sweeps(*rows, *state, 0, len(active), len(active), *how)
            real = len(active)
        else:
            state = (self.network.feedback[active], u, v, net)
            held = (attended.weights, attended.groups)
            updates, changed = shared_sweeps(indptr, indices, data, *state, *held, *how)
            real = len(attended.groups) - 1
        change = v - old[1]
        updates += spread(T.indptr, T.indices, T.data, active, change, self.local, self.net, self.flags)
        fall = kernels.energy_change(*how[:2], u, v, net, *old)
        self.u[active], self.v[active], self.net[active] = u, v, net
        self.local[active] = -1
        held = self._bytes(len(active), len(data))
        return Phase(updates, changed, len(active), real, held, fall, float(change @ change))

    def _bytes(self, active: int, synapses: int) -> int:
        """Return the bytes of synapses between active neurons, of their state, and of the one before."""
        T = self.network.weights
        each = T.indptr.itemsize + self.flags.itemsize + 8 * 8
        return int(synapses * (T.data.itemsize + T.indices.itemsize) + active * each)
