"""How the optimal cost answers to parameters: the envelope theorem along an extremal."""

from __future__ import annotations

import casadi as ca
import numpy as np

from ocnet.control_law import ControlLaw
from ocnet.functions import Functions
from ocnet.horizon import Steps, rate
from ocnet.methods.scheme import probe
from ocnet.pointwise import evaluate
from ocnet.trajectory import Interpolant

_PROBE, _WEIGHTS, _ = probe(1)


def sensitivity(
    functions: Functions, parameters: np.ndarray, x: Interpolant, p: Interpolant, u: ControlLaw | None
) -> np.ndarray:
    """Return dJ/dθ of the optimal cost.

    With the Hamiltonian H = ℓ + p·f it is

        ∫ e^{−ρt} (∂H/∂θ + Σ ∂H/∂u_j ∂b_j/∂θ) dt + e^{−ρT} ∂φ/∂θ + p(0)·∂x₀/∂θ − e^{−ρT} p(T)·∂x_T/∂θ,

    the sum being over the controls at a bound b_j; with steps, sums take the place of the integral, and
    p̂ = e^{−ρ}p_{k+1} that of p.

    Parameters
    ----------
    functions : Functions
        Of a problem without unknowns, constraints and data terms.
    parameters : ndarray (np,)
    x, p : Interpolant
        States and current-value costates.
    u : ControlLaw or None

    Returns
    -------
    ndarray (np,)
        In cost per unit of the parameters.
    """
    f = functions
    bounds = f.bound_function
    slopes = bounds.jacobian()(parameters, bounds(parameters)).sparse().tocsr()
    slopes.data = np.nan_to_num(slopes.data)
    edges = np.cumsum([0, f.nx, f.nx, f.nu, f.nu, f.nq, f.nq, f.nx, f.nx])
    u_lower, u_upper, initial, final = (slopes[edges[i] : edges[i + 1]] for i in (2, 3, 6, 7))
    horizon = f.problem.horizon
    rho = rate(horizon)
    start = x.time[0]
    end = np.exp(-rho * (x.time[-1] - start))
    last = [x.time[-1], x.values[-1], np.zeros(f.nx), np.zeros(f.nu), np.zeros(0), parameters]
    symbols = f.arguments()
    terminal = ca.Function("phi_p", symbols, [ca.densify(ca.gradient(f.terminal(*symbols), symbols[5]))])
    total = end * terminal(*last).full().ravel()
    total += initial.T @ p.values[0] - end * (final.T @ p.values[-1])
    held = bool(u_lower.nnz + u_upper.nnz)
    if not held and not _depends(f):
        return total
    slope, low, high = _slope(f), *(f.bounds(parameters).u_lower, f.bounds(parameters).u_upper)
    for k, (a, b) in enumerate(zip(x.breaks[:-1], x.breaks[1:], strict=True)):
        if isinstance(horizon, Steps):
            t, weight, costates = x.time[k : k + 1], np.ones(1), np.exp(-rho) * p.values[k + 1 : k + 2]
        else:
            t, weight = a + (b - a) * _PROBE, (b - a) * _WEIGHTS
            costates = p(t)
        weight = weight * np.exp(-rho * (t - start))
        controls = u(t) if u is not None else np.zeros((len(t), 0))
        by_p, by_u = evaluate(slope, t, x(t), controls, costates, parameters)
        total += weight @ by_p
        if held:
            total += u_lower.T @ (weight @ (by_u * (controls <= low)))
            total += u_upper.T @ (weight @ (by_u * (controls >= high) * (high > low)))
    return total


def _depends(f: Functions) -> bool:
    """Whether dynamics or stage cost contain parameters."""
    return any(bool(g.nnz_out(0)) and bool(g.jac_sparsity(0, 5).nnz()) for g in (f.dynamics, f.stage))


def _slope(f: Functions) -> ca.Function:
    """(t, x, u, costates, parameters) -> ∂H/∂θ, ∂H/∂u."""
    t, x, _, u, q, p = f.arguments()
    costate = ca.MX.sym("costate", f.nx)
    flow = f.dynamics(t, x, ca.DM.zeros(f.nx), u, q, p)
    dx = flow - x if isinstance(f.problem.horizon, Steps) else flow
    H = f.stage(t, x, dx, u, q, p) + ca.dot(costate, flow)
    slopes = [ca.densify(ca.gradient(H, p)), ca.densify(ca.gradient(H, u))]
    return ca.Function(
        "slope", [t, x, u, costate, p], [ca.substitute(s, q, ca.DM.zeros(f.nq)) for s in slopes]
    )
