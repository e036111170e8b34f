"""Learning: gradients by adjoints at the price of one solve, and what learns by them."""

from ocnet.learning.adam import Adam
from ocnet.learning.additive import AdditiveNetwork, EnergyGradient
from ocnet.learning.all_at_once import AllAtOnce
from ocnet.learning.fit import Fit, load
from ocnet.learning.fixed_point import FixedPoint, Sensitivity
from ocnet.learning.gauss_newton import GaussNewton
from ocnet.learning.gradient_check import GradientCheck, check_gradient
from ocnet.learning.learned import Learned
from ocnet.learning.learning_flow import learn
from ocnet.learning.mechanics import LearnedHamiltonian, LearnedLagrangian, derivative_samples
from ocnet.learning.neural_ode import NeuralODE
from ocnet.learning.quasi_newton import LBFGS
from ocnet.learning.response import AdjointGradient, ResponseGradient, gradient
from ocnet.learning.samples import Samples
from ocnet.learning.scalar_networks import NaturalLagrangian, ScalarNetwork
from ocnet.learning.training import fit
from ocnet.learning.vector_field import VectorField, expression, layers

__all__ = [
    "LBFGS",
    "Adam",
    "AdditiveNetwork",
    "AdjointGradient",
    "AllAtOnce",
    "EnergyGradient",
    "Fit",
    "FixedPoint",
    "GaussNewton",
    "GradientCheck",
    "Learned",
    "LearnedHamiltonian",
    "LearnedLagrangian",
    "NaturalLagrangian",
    "NeuralODE",
    "ResponseGradient",
    "Samples",
    "ScalarNetwork",
    "Sensitivity",
    "VectorField",
    "check_gradient",
    "derivative_samples",
    "expression",
    "fit",
    "gradient",
    "layers",
    "learn",
    "load",
]
