"""Neural networks: activations and the right-hand sides built from them."""

from ocnet.networks.activations import Activation, activation, arctan, custom
from ocnet.networks.dynamics import additive, recall

__all__ = ["Activation", "activation", "additive", "arctan", "custom", "recall"]
