"""What the feedback of a value function costs when it is applied: an upper bound of the optimal cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from ocnet.hamiltonian import Hamiltonian

RELATIVE, ABSOLUTE = 1e-9, 1e-11

Costate = Callable[[float, np.ndarray], np.ndarray]  # (t, x (points, n)) -> p (points, n)


class Paths(NamedTuple):
    """Closed-loop paths of some points side by side.

    Times (M,), states (M, points, n), and the discounted cost so far (M, points).
    """

    time: np.ndarray
    x: np.ndarray
    cost: np.ndarray


def paths(
    hamiltonian: Hamiltonian,
    costate: Costate,
    x: np.ndarray,
    span: tuple[float, float],
    at: Any = None,
) -> Paths:
    """Follow the optimal flow ẋ = H_p(x, ∇v(x)) of a value function.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    costate : callable
        ∇v, defined for every x (the caller projects points that leave the box).
    x : ndarray (points, n)
    span : (float, float)
        From when until when.
    at : array_like, optional
        Times at which to store; those of the integrator if left out.
    """
    points, n = x.shape
    t0, rate = span[0], hamiltonian.rate

    def flow(t: float, y: np.ndarray) -> np.ndarray:
        u = np.ascontiguousarray(y.reshape(points, n + 1)[:, :n])
        p = costate(t, u)
        f = hamiltonian.gradient(t, u, p)[1]
        stage = hamiltonian.value(t, u, p) - np.einsum("ij,ij->i", p, f)
        return np.hstack([f, np.exp(-rate * (t - t0)) * stage[:, None]]).reshape(-1)

    start = np.hstack([x, np.zeros((points, 1))]).reshape(-1)
    found = solve_ivp(flow, span, start, method="RK45", rtol=RELATIVE, atol=ABSOLUTE, t_eval=at)
    y = found.y.T.reshape(-1, points, n + 1)
    return Paths(found.t, y[:, :, :n], y[:, :, n])
