"""ocnet: optimal control of the dynamics of neural networks."""

from ocnet import errors, networks, plot
from ocnet.horizon import Discounted, Finite, FreeTime, Steps
from ocnet.methods.collocation import Collocation
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.pontryagin import Pontryagin
from ocnet.methods.result import Status
from ocnet.problem import Problem
from ocnet.simulate import simulate
from ocnet.solution import Solution
from ocnet.solve import prepare, solve
from ocnet.solve_hjb import solve_hjb
from ocnet.storage import load
from ocnet.trajectory import Trajectory
from ocnet.value_function import ValueFunction
from ocnet.verify import verify

__all__ = [
    "Collocation",
    "Discounted",
    "Finite",
    "FreeTime",
    "Grid",
    "Pontryagin",
    "Problem",
    "Solution",
    "Status",
    "Steps",
    "Trajectory",
    "ValueFunction",
    "errors",
    "load",
    "networks",
    "plot",
    "prepare",
    "simulate",
    "solve",
    "solve_hjb",
    "verify",
]
