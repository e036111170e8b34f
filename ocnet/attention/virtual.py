"""The state of all virtual neurons, and one phase in which those that are attended to move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ocnet.attention import kernels
from ocnet.attention.network import Network
from ocnet.attention.shared import shared_sweeps


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
    """

    neurons: np.ndarray | None
    weights: np.ndarray | None = None
    groups: np.ndarray | None = None
    place: np.ndarray | None = None
    benefit: tuple[float, float] = (float("nan"), float("nan"))


class Phase(NamedTuple):
    """What one phase of neurons did: counts, bytes of the real neurons' working set, change of E.

    The change is None where all neurons were active: E is then evaluated anew.
    """

    connection_updates: int
    neuron_updates: int
    active: int
    real: int
    bytes: int
    energy_change: float | None


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
        self.connection_updates = 0
        self.refresh()

    def refresh(self) -> None:
        """Evaluate outputs and net inputs anew, which costs every connection once."""
        T = self.network.weights
        self.v = kernels.outputs(self.network.kind, self.network.gain, self.u)
        self.net = T @ self.v + self.network.inputs
        self.connection_updates += int(T.nnz)

    @property
    def energy(self) -> float:
        """E(v)."""
        kind, gain = self.network.kind, self.network.gain
        cost = kernels.total_gain_cost(kind, gain, self.u, self.v)
        return float(-self.v @ (self.net + self.network.inputs) / 2 + cost)

    @property
    def bytes(self) -> int:
        """What the whole network takes: synapses and the state of every virtual neuron."""
        T = self.network.weights
        arrays = (T.data, T.indices, T.indptr, self.network.inputs, self.u, self.v, self.net, self.local)
        return int(sum(a.nbytes for a in arrays))

    def scores(self, measure: int, which: np.ndarray | None = None) -> np.ndarray:
        """Return g'(∂E/∂v)² (0), |∂E/∂v| (1) or the squared change due (2) of some or all neurons.

        They are 0 where the neuron rests because its force is small; the last one wherever it rests.
        """
        u, v, net = (a if which is None else a[which] for a in (self.u, self.v, self.net))
        result = np.empty(len(u))
        kernels.scores(self.network.kind, self.network.gain, u, v, net, measure, self.tolerance, result)
        return result

    def residual(self) -> float:
        """Return the largest change that the output of a neuron is due, |g(γ(Tv + h)) − v|."""
        result = np.empty(self.network.size)
        kernels.scores(self.network.kind, self.network.gain, self.u, self.v, self.net, 2, 0.0, result)
        return float(np.sqrt(result.max()))

    def move(self, attended: Attended, step: float, most: int) -> Phase:
        """Let the attended neurons move for a phase, and tell their inactive neighbours at its end."""
        network, T, tolerance = self.network, self.network.weights, self.tolerance
        kind, gain = network.kind, network.gain
        if attended.neurons is None:
            updates, changed = kernels.sweeps(
                T.indptr, T.indices, T.data, network.feedback, self.u, self.v, self.net,
                kind, gain, step, most, tolerance,
            )  # fmt: skip
            self.connection_updates += updates
            n = network.size
            return Phase(updates, changed, n, n, self.bytes, None)
        active = attended.neurons
        self.local[active] = np.arange(len(active), dtype=np.int32)
        rows = kernels.restrict(T.indptr, T.indices, T.data, active, self.local)
        u, v, net = self.u[active], self.v[active], self.net[active]
        old_u, old_v, old_net = u.copy(), v.copy(), net.copy()
        feedback = network.feedback[active]
        state = (*rows, feedback, u, v, net)
        if attended.weights is None or attended.groups is None:
            updates, changed = kernels.sweeps(*state, kind, gain, step, most, tolerance)
            real = len(active)
        else:
            held = (attended.weights, attended.groups)
            updates, changed = shared_sweeps(*state, *held, kind, gain, step, most, tolerance)
            real = len(attended.groups) - 1
        change = v - old_v
        updates += kernels.spread(T.indptr, T.indices, T.data, active, change, self.local, self.net)
        self.u[active], self.v[active], self.net[active] = u, v, net
        self.local[active] = -1
        self.connection_updates += updates
        cost = kernels.total_gain_cost(kind, gain, u, v) - kernels.total_gain_cost(kind, gain, old_u, old_v)
        fall = float(cost - change @ (net + old_net) / 2)
        working = int(sum(a.nbytes for a in (*state, active, old_v)))
        return Phase(updates, changed, len(active), real, working, fall)
