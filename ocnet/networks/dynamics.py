"""Right-hand sides that the families of controlled networks share."""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np

from ocnet.networks.activations import ActivationLike, activation


def additive(state: Any, weights: Any, g: ActivationLike) -> Any:
    """Return −u + W g(u), the right-hand side of the additive (Hopfield) network in continuous time.

    It is ẋ = −x + W(t) g(x) of Farotimi, Dembo and Kailath (NIPS 1989, equation 1) with W the control, and
    u̇ = (A + ξ) g(u) − u of Cardin et al. (arXiv 2305.14360) with W = A + ξ.

    Parameters
    ----------
    state : casadi expression or ndarray, (n,) or (n, L)
        Activations u, dimensionless; the columns of a matrix are L copies of the network.
    weights : casadi expression or ndarray (n, n)
        Synapses W; W[i, j] leads from neuron j to neuron i.
    g : str or Activation

    Returns
    -------
    casadi expression or ndarray of the shape of the state
        Per unit of time, the unit being the time constant of a neuron.
    """
    return recall(state, weights, g) - state


def recall(state: Any, weights: Any, g: ActivationLike) -> Any:
    """Return W g(u), the next value of u in discrete time; parameters as in :func:`additive`."""
    output = activation(g)(state)
    if all(isinstance(factor, np.ndarray) for factor in (weights, output)):
        return weights @ output
    return ca.mtimes([weights, output])
