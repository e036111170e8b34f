"""Spirals as data for learning: samples with noise of a curve that a vector field has to reproduce."""

from __future__ import annotations

import casadi as ca
import numpy as np

from ocnet.errors import OptionError
from ocnet.horizon import Finite
from ocnet.learning import Samples
from ocnet.problem import Problem
from ocnet.simulate import simulate

MATRIX = np.array([[-0.1, 2.0], [-2.0, -0.1]])
INITIAL = np.array([2.0, 0.0])


def problem(tf: float = 25.0) -> Problem:
    """Return the cubic spiral ẋ = A x³ (componentwise cube, A = [[−0.1, 2], [−2, −0.1]]) from (2, 0).

    It has no cost: it is there to be simulated. The example of R. T. Q. Chen, Y. Rubanova, J. Bettencourt and
    D. Duvenaud, Neural Ordinary Differential Equations, NeurIPS 2018. It turns about twenty times as fast at
    the beginning as at t = 25.

    Parameters
    ----------
    tf : float
        End of the horizon, dimensionless.
    """
    spiral = Problem("cubic spiral", horizon=Finite(tf), source="Chen et al., NeurIPS 2018")
    x = spiral.state("x", 2, initial=INITIAL)
    spiral.dynamics(x, ca.DM(MATRIX) @ x**3)
    return spiral


def samples(
    rng: np.random.Generator | int,
    *,
    count: int = 100,
    noise: float = 0.05,
    tf: float = 25.0,
    irregular: bool = False,
) -> tuple[Samples, float]:
    """Return noisy samples of the cubic spiral and the realised noise.

    Parameters
    ----------
    rng : numpy.random.Generator or int
    count : int
        Number of samples on (0, tf].
    noise : float
        Standard deviation of the normal noise of each component, in the unit of the states.
    tf : float
    irregular : bool
        Draw the times uniformly; otherwise they are equidistant.

    Returns
    -------
    samples : Samples
        The initial state is exact.
    realised : float
        Root mean square of the noise that was added: what the error of a perfect model would be.

    Raises
    ------
    OptionError
        For a count below 1 or a noise that is not a number ≥ 0.
    """
    if not isinstance(count, (int, np.integer)) or count < 1:
        raise OptionError(f"spirals.samples: count is {count!r:.60}; expected a whole positive number.")
    if not (np.isfinite(noise) and noise >= 0):
        raise OptionError(f"spirals.samples: noise is {noise!r:.60}; expected a finite number ≥ 0.")
    rng = np.random.default_rng(rng)
    times = np.sort(rng.uniform(0, tf, count)) if irregular else np.linspace(0, tf, count + 1)[1:]
    exact = simulate(problem(tf), initial=INITIAL).state("x", times)
    added = noise * rng.normal(size=exact.shape)
    return Samples(times, exact + added, INITIAL), float(np.sqrt(np.mean(added**2)))
