"""Attention: networks of N virtual neurons, of which A real ones are simulated at a time.

Source: Mjolsness and Miranker, A Lagrangian approach to fixed points (NIPS 1990), section 3.
"""

from ocnet.attention.annealing import anneal
from ocnet.attention.control import Benefit, Clock, ControlCosts
from ocnet.attention.counters import Counters
from ocnet.attention.independent import IndependentSelection
from ocnet.attention.jumping import JumpingWindow
from ocnet.attention.network import Network
from ocnet.attention.relaxation import Everything, Relaxation, relax
from ocnet.attention.rolling import RollingWindow

__all__ = [
    "Benefit",
    "Clock",
    "ControlCosts",
    "Counters",
    "Everything",
    "IndependentSelection",
    "JumpingWindow",
    "Network",
    "Relaxation",
    "RollingWindow",
    "anneal",
    "relax",
]
