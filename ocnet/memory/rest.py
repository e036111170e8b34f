"""Where a network with held controls comes to rest: the memory that a state is near to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from ocnet.landscapes.field import Field

NEWTON_STEPS, HALVINGS = 60, 30
ROUNDING = 1e-13  # of an equilibrium's residual, relative to 1 + |x|
SLOW = 1e-7  # speed, relative to 1 + |x|, at which a network is taken to be near its equilibrium
SPAN = 20.0  # units of time between two looks at whether a network rests


class Rest(NamedTuple):
    """An equilibrium x (nx,), and the factor by which perturbations change in a unit of time (a step)."""

    x: np.ndarray
    growth: float

    @property
    def stable(self) -> bool:
        """Whether small perturbations die out."""
        return self.growth < 1


def equilibrium(field: Field, near: np.ndarray) -> Rest | None:
    """Return the equilibrium to which Newton's method leads from a point, None if it leads nowhere.

    A step is halved until the residual falls; from a point close to an equilibrium it is that one.

    Parameters
    ----------
    field : Field
    near : ndarray (nx,)
    """
    x, r = near.astype(float), field(near)
    for _ in range(NEWTON_STEPS):
        size = float(np.abs(r).max())
        if size <= ROUNDING * (1 + np.abs(x).max()):
            break
        step = np.linalg.lstsq(field.jacobian(x), r, rcond=None)[0]
        for halving in range(HALVINGS):
            trial = x - step / 2**halving
            left = field(trial)
            if np.isfinite(left).all() and np.abs(left).max() < size:
                x, r = trial, left
                break
        else:
            break
    if not np.abs(r).max() <= 1e-10 * (1 + np.abs(x).max()):
        return None
    eigenvalues = field.spectrum(x)
    growth = np.abs(eigenvalues) if field.discrete else np.exp(np.real(eigenvalues))
    return Rest(x, float(growth.max()))


def settled(field: Field, start: np.ndarray, time: float | None = None) -> Rest | None:
    """Return the equilibrium in which a network that is left alone comes to rest, None if it does not.

    Parameters
    ----------
    field : Field
    start : ndarray (nx,)
    time : float, optional
        For how long it is watched; by default 120 units of time, or 2000 steps.

    Returns
    -------
    Rest or None
        Only asymptotically stable equilibria are returned: a path may pass a saddle slowly.
    """
    x, elapsed = start.astype(float), 0.0
    time = (2000.0 if field.discrete else 120.0) if time is None else time
    while elapsed < time and np.isfinite(x).all():
        r = field(x)
        if np.abs(r).max() <= SLOW * (1 + np.abs(x).max()):
            found = equilibrium(field, x)
            if found is not None and found.stable and distance(x, found.x) < 1e-3:
                return found
        if field.discrete:
            x, elapsed = x + r, elapsed + 1.0
        else:
            run = solve_ivp(lambda _, y: field(y), (0.0, SPAN), x, method="LSODA", rtol=1e-9, atol=1e-11)
            x, elapsed = run.y[:, -1], elapsed + SPAN
    return None


def nearest(field: Field, x: np.ndarray) -> tuple[Rest | None, float]:
    """Return the equilibrium nearest to a state, and its distance.

    Two are compared: that of Newton's method, and that in which the network left alone comes to rest.

    Parameters
    ----------
    field : Field
    x : ndarray (nx,)

    Returns
    -------
    equilibrium : Rest or None
    distance : float
        As in :func:`distance`; infinite if there is no equilibrium.
    """
    candidates = [found for found in (equilibrium(field, x), settled(field, x)) if found is not None]
    best = min(candidates, key=lambda found: distance(x, found.x), default=None)
    return best, float("inf") if best is None else distance(x, best.x)


def distance(x: np.ndarray, reference: np.ndarray) -> float:
    """Return max |x − reference| / (1 + max |reference|), dimensionless."""
    return float(np.abs(x - reference).max() / (1 + np.abs(reference).max()))
