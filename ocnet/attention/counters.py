"""What a relaxation took: connection updates, neurons active at a time, bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """Counts that do not depend on how fast the machine is.

    Attributes
    ----------
    connection_updates : int
        Products T_ij Δv_j added to net inputs, the first evaluation of Tv included.
    neuron_updates : int
        Steps of real neurons.
    phases : int
        Phases of neurons.
    peak_active : int
        Most virtual neurons with r > 0 at a time.
    peak_real : int
        Most real neurons at a time, A.
    bytes_network : int
        Synapses and the state of all virtual neurons.
    bytes_active : int
        Most bytes of the real neurons' own synapses and state at a time.
    rescues : int
        Phases in which attention went where outputs were due the largest change, because what its own score
        had chosen was at rest, or hardly moved any more while another output was due a large change.
    """

    connection_updates: int = 0
    neuron_updates: int = 0
    phases: int = 0
    peak_active: int = 0
    peak_real: int = 0
    bytes_network: int = 0
    bytes_active: int = 0
    rescues: int = 0

    def __add__(self, other: Counters) -> Counters:
        """Return the counts of two relaxations one after the other: sums, and the larger of peaks."""
        return Counters(
            self.connection_updates + other.connection_updates,
            self.neuron_updates + other.neuron_updates,
            self.phases + other.phases,
            max(self.peak_active, other.peak_active),
            max(self.peak_real, other.peak_real),
            max(self.bytes_network, other.bytes_network),
            max(self.bytes_active, other.bytes_active),
            self.rescues + other.rescues,
        )
