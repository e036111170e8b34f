"""The acceleration that the Euler-Lagrange equation gives, in symbols of CasADi's SX or MX kind."""

from __future__ import annotations

from typing import Any

import casadi as ca

SINGULAR = 1e13  # condition number of ∂²L/∂q̇² beyond which double precision keeps hardly three digits


def velocity_hessian(expression: Any, qdot: Any) -> Any:
    """Return M = ∂²L/∂q̇² (n, n)."""
    return ca.densify(ca.hessian(expression, qdot)[0])


def acceleration(expression: Any, q: Any, qdot: Any, regularization: float = 0.0) -> Any:
    """Return q̈ = M⁻¹(∂L/∂q − J q̇), with M = ∂²L/∂q̇² and J_ij = ∂²L/∂q̇_i∂q_j.

    Parameters
    ----------
    expression : scalar casadi.MX or casadi.SX
        L(q, q̇).
    q, qdot : symbols (n, 1) of the same kind
    regularization : float
        ε ≥ 0, in the unit of M: q̈ minimises |M q̈ − right|² + ε²|q̈|², which has one solution for ε > 0
        whatever M is, and differs from M⁻¹·right by a relative ε²/(σ² + ε²) along a singular value σ of M.

    Returns
    -------
    casadi.MX or casadi.SX (n, 1)
        Without regularization it is NaN or infinite where the condition number of M (in the Frobenius norm)
        is above 1e13: there the equation does not determine the acceleration.

    Notes
    -----
    Liuzzo (2024), section 3.2. J is no symmetric matrix where L has gyroscopic terms, and its transpose
    would turn their forces around.
    """
    momentum = ca.densify(ca.gradient(expression, qdot))
    M = velocity_hessian(expression, qdot)
    right = ca.densify(ca.gradient(expression, q)) - ca.densify(ca.jacobian(momentum, q)) @ qdot
    n = qdot.shape[0]
    if regularization > 0:
        return ca.solve(M.T @ M + regularization**2 * type(M).eye(n), M.T @ right)
    if n == 1:
        return right / M
    # In MX a singular M must not end the evaluation: what then comes out is judged below.
    inverse: Any = ca.inv(M) if isinstance(M, ca.SX) else ca.solve(M, ca.MX.eye(n), "qr", {"eps": 0.0})
    regular = ca.norm_fro(M) * ca.norm_fro(inverse) < SINGULAR
    return inverse @ right / regular  # a division by 0 or 1


def total_energy(expression: Any, qdot: Any) -> Any:
    """Return q̇·∂L/∂q̇ − L, which motion keeps where L does not contain the time."""
    return ca.dot(qdot, ca.densify(ca.gradient(expression, qdot))) - expression
