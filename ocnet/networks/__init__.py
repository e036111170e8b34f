"""Neural networks: activations, Hopfield's and Krotov's networks, their energies, and exact Hamiltonians."""

from ocnet.networks.activations import Activation, activation, arctan, custom
from ocnet.networks.binary import BinaryHopfield, BinaryPath
from ocnet.networks.closure import Closure, closure
from ocnet.networks.dynamics import additive, recall
from ocnet.networks.energy import Energy, EnergyAlong, energy
from ocnet.networks.hebb import hebbian, saturation
from ocnet.networks.hopfield import hopfield
from ocnet.networks.krotov import Krotov, Softmax
from ocnet.networks.synaptic import SynapticHamiltonian
from ocnet.networks.weights import WeightProgramHamiltonian

__all__ = [
    "Activation",
    "BinaryHopfield",
    "BinaryPath",
    "Closure",
    "Energy",
    "EnergyAlong",
    "Krotov",
    "Softmax",
    "SynapticHamiltonian",
    "WeightProgramHamiltonian",
    "activation",
    "additive",
    "arctan",
    "closure",
    "custom",
    "energy",
    "hebbian",
    "hopfield",
    "recall",
    "saturation",
]
