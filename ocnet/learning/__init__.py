"""Learning: gradients by adjoints at the price of one solve, and what learns by them."""

from ocnet.learning.additive.learned import Learned
from ocnet.learning.additive.learning_flow import learn
from ocnet.learning.additive.network import AdditiveNetwork, EnergyGradient
from ocnet.learning.fixed_points.fixed_point import FixedPoint, Sensitivity
from ocnet.learning.gradient_check import GradientCheck, check_gradient
from ocnet.learning.mechanics.learned import LearnedHamiltonian, LearnedLagrangian, derivative_samples
from ocnet.learning.mechanics.scalar_networks import NaturalLagrangian, ScalarNetwork
from ocnet.learning.neural_odes.neural_ode import NeuralODE
from ocnet.learning.neural_odes.samples import Samples
from ocnet.learning.neural_odes.vector_field import VectorField, expression, layers
from ocnet.learning.paths.response import AdjointGradient, ResponseGradient, gradient
from ocnet.learning.training.adam import Adam
from ocnet.learning.training.all_at_once import AllAtOnce
from ocnet.learning.training.fit import Fit, load
from ocnet.learning.training.gauss_newton import GaussNewton
from ocnet.learning.training.optax_steps import Optax
from ocnet.learning.training.quasi_newton import LBFGS
from ocnet.learning.training.train import fit

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
    "Optax",
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
