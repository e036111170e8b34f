"""The adjoint dynamics (3.15) followed to rest: a transposed solve by products with Aᵀ alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.errors import OptionError, SolveError

PATIENCE = 40  # steps without progress after which the step of pseudo-time is reduced
LEAST = 1e-4  # step of pseudo-time, in units of the fastest decay, at which it gives up


def relax_adjoint(
    A: Any, source: np.ndarray, tolerance: float, iterations: int, name: str = "adjoint"
) -> tuple[np.ndarray, int, float]:
    """Solve Aᵀv = s by v̇ = Aᵀv − s, implicit in the decay and explicit in the coupling.

    With A = B − D, D the decay rates on the diagonal, one step is v⁺ = (v + h(Bᵀv − s))/(1 + hD). Its rest
    is the solution for every h; h = ∞ (Jacobi's iteration) is tried first, and shorter steps where it does
    not converge. For h → 0 it converges exactly where v̇ = Aᵀv − s is stable, that is where the fixed point
    is stable under u̇ = φ(u).

    Parameters
    ----------
    A : array, scipy sparse matrix or LinearOperator, (n, n)
        ∂φ/∂u. Of an operator the decay rates are taken as 1.
    source : ndarray (n,)
        s = ∂R/∂u.
    tolerance : float
        Demand on |Aᵀv − s| relative to |s|, largest components.
    iterations : int
        Products with Aᵀ after which it gives up.
    name : str
        Opens the messages.

    Returns
    -------
    v : ndarray (n,)
    count : int
        Products with Aᵀ.
    residual : float
        As the tolerance.

    Raises
    ------
    OptionError
        For a matrix without products, or a tolerance that is not positive.
    SolveError
        If it does not converge, with the residual reached.

    Notes
    -----
    Barhen, Toomarian and Gulati (NIPS 1989), equation 3.15; D is their η.
    """
    if not tolerance > 0 or not iterations > 0:
        raise OptionError(
            f"{name}, relaxation: tolerance is {tolerance} and iterations {iterations}; expected positive "
            "numbers."
        )
    if not hasattr(A, "T") or not hasattr(A, "__matmul__"):
        raise OptionError(
            f"{name}, relaxation: the Jacobian is a {type(A).__name__}; expected an array, a sparse matrix "
            "or a LinearOperator with a transpose."
        )
    transposed = A.T
    decay = -np.asarray(A.diagonal(), dtype=float) if hasattr(A, "diagonal") else np.ones(len(source))
    decay = np.where(decay > 0, decay, 0.0)
    scale = float(np.abs(source).max())
    v = np.zeros(len(source))
    if scale == 0:
        return v, 0, 0.0
    # One step is v + gain·(Aᵀv − s): the gain is h/(1 + hD), and 1/D for h = ∞.
    step = np.inf if (decay > 0).all() else 1.0 / max(float(decay.max()), 1.0)
    best, best_v, last_gain = np.inf, v, 0
    gain = _gain(decay, step)
    for count in range(1, iterations + 1):
        gap = transposed @ v - source
        size = float(np.abs(gap).max()) / scale
        if size <= tolerance:
            return v, count, size
        if size < 0.99 * best:
            best, best_v, last_gain = size, v, count
        elif not np.isfinite(size) or size > 1e3 * best or count - last_gain > PATIENCE:
            step = 0.5 / max(float(decay.max()), 1e-300) if np.isinf(step) else step / 4
            if step * max(float(decay.max()), 1.0) < LEAST:
                break
            gain, v, last_gain = _gain(decay, step), best_v, count
            continue
        v = v + gain * gap
    raise SolveError(
        f"{name}, relaxation: Aᵀv = ∂R/∂u was solved to {best:.1e} only (wanted {tolerance:.1e}). The "
        "adjoint dynamics come to rest only where the fixed point is exponentially stable under u̇ = φ(u), "
        "and slowly where it is nearly not: take method='dense' or 'sparse', a stable fixed "
        "point, or more iterations."
    )


def _gain(decay: np.ndarray, step: float) -> np.ndarray:
    return 1 / decay if np.isinf(step) else step / (1 + step * decay)
