"""Derivatives of an activation beyond the first, by CasADi."""

from __future__ import annotations

from collections.abc import Callable

import casadi as ca
import numpy as np

from ocnet.networks.activations import Activation


def higher_derivative(g: Activation, order: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the derivative of g of an order of at least 2, componentwise on arrays of any shape.

    Examples
    --------
    >>> from ocnet.networks import activation
    >>> from ocnet.networks.slopes import higher_derivative
    >>> float(higher_derivative(activation("tanh"), 3)(0.0))
    -2.0
    """
    s = ca.MX.sym("s")
    value = g.derivative(s)
    for _ in range(order - 1):
        value = ca.gradient(value, s)
    function = ca.Function(f"derivative_{order}", [s], [ca.densify(value)])

    def evaluate(at: np.ndarray) -> np.ndarray:
        points = np.asarray(at, dtype=float)
        if not points.size:
            return points.copy()
        return function(points.reshape(1, -1)).full().reshape(points.shape)

    return evaluate
