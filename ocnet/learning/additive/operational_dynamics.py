"""The operational dynamics (3.4) of the additive network, integrated implicitly until they are at rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import BDF, Radau

from ocnet.errors import SimulationError

AT_REST = 1e-8  # |u̇| at which the dynamics count as at rest
MOST_STEPS = 20_000


def follow_to_rest(
    velocity: Callable[[np.ndarray], np.ndarray],
    jacobian: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    method: str,
    tf: float,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate u̇ = φ(u) from `start` until |u̇| is below 1e-8 or the time is tf.

    Parameters
    ----------
    velocity, jacobian : callable
        u (N,) -> φ (N,), and -> ∂φ/∂u (N, N), whose entries may be infinite at an attractor.
    start : ndarray (N,)
    method : {"BDF", "Radau"}
    tf : float
        In time constants.
    rtol, atol : float
        Of the integrator.
    where : str
        Opens the messages.

    Returns
    -------
    t : ndarray (M,)
    u : ndarray (M, N)

    Raises
    ------
    SimulationError
        If the integrator stops, or the dynamics are not at rest at tf.
    """
    largest = 1e15  # in place of an infinite slope: the implicit step then stays where it is

    def slope(_: float, u: np.ndarray) -> np.ndarray:
        return np.clip(jacobian(u), -largest, largest)

    solver: Any = (BDF if method == "BDF" else Radau)(
        lambda _, u: velocity(u), 0.0, start, tf, rtol=rtol, atol=atol, jac=slope
    )
    t, path = [0.0], [start]
    while solver.status == "running" and len(t) < MOST_STEPS:
        message = solver.step()
        if message is not None:
            raise SimulationError(f"{where}: {method} stopped at t = {solver.t:.6g}: {message}")
        t.append(float(solver.t))
        path.append(np.array(solver.y))
        if np.abs(velocity(path[-1])).max() < AT_REST:
            return np.array(t), np.array(path)
    speed = np.abs(velocity(path[-1]))
    n = int(np.argmax(speed))
    raise SimulationError(
        f"{where}: not at rest after {t[-1]:.6g} time constants: unit {n} still moves at {speed[n]:.2g} per "
        "time constant. It may approach slowly (give a larger tf), or oscillate: then there is no fixed "
        "point to learn from; make the synapses or gains smaller."
    )
