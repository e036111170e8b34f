"""ocnet: optimal control of the dynamics of neural networks."""

from ocnet import attention, errors, learning, memory, networks, plot
from ocnet.dynamic_programming import dynamic_programming, final_value
from ocnet.horizon import Discounted, Finite, FreeTime, Steps
from ocnet.lagrangian import Lagrangian
from ocnet.lagrangians import descent
from ocnet.landscapes.cycles import LimitCycle, limit_cycle
from ocnet.landscapes.equilibria import Equilibrium, Landscape, landscape
from ocnet.methods.collocation import Collocation
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.zoom import Zoom
from ocnet.methods.pontryagin import Pontryagin
from ocnet.methods.result import Status
from ocnet.pareto import ParetoFront, pareto_front
from ocnet.problem import Problem
from ocnet.replay import replay
from ocnet.simulate import simulate
from ocnet.solution import Solution
from ocnet.solve import prepare, solve
from ocnet.solve_hjb import solve_hjb
from ocnet.storage import load
from ocnet.sweep import sweep
from ocnet.trajectory import Trajectory
from ocnet.value_function import ValueFunction
from ocnet.verify import verify

__all__ = [
    "Collocation",
    "Discounted",
    "Equilibrium",
    "Finite",
    "FreeTime",
    "Grid",
    "Lagrangian",
    "Landscape",
    "LimitCycle",
    "ParetoFront",
    "Pontryagin",
    "Problem",
    "Solution",
    "Status",
    "Steps",
    "Trajectory",
    "ValueFunction",
    "Zoom",
    "attention",
    "descent",
    "dynamic_programming",
    "errors",
    "final_value",
    "landscape",
    "learning",
    "limit_cycle",
    "load",
    "memory",
    "networks",
    "pareto_front",
    "plot",
    "prepare",
    "replay",
    "simulate",
    "solve",
    "solve_hjb",
    "sweep",
    "verify",
]
