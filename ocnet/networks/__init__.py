"""Neural networks: activations, the right-hand sides built from them, and exact Hamiltonians."""

from ocnet.networks.activations import Activation, activation, arctan, custom
from ocnet.networks.dynamics import additive, recall
from ocnet.networks.synaptic import SynapticHamiltonian
from ocnet.networks.weights import WeightProgramHamiltonian

__all__ = [
    "Activation",
    "SynapticHamiltonian",
    "WeightProgramHamiltonian",
    "activation",
    "additive",
    "arctan",
    "custom",
    "recall",
]
