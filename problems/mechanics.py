"""Mechanical systems as Lagrangians, and noisy observations of their motion to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import OptionError, ProblemError
from ocnet.lagrangian import Lagrangian, coordinates
from ocnet.learning import Samples
from ocnet.problem import Problem
from ocnet.simulate import simulate
from problems.checked import array


def mass_spring(stiffness: float = 1.0) -> Lagrangian:
    """Return q̇²/4 − stiffness·q², so that H = p² + stiffness·q².

    With stiffness 1 it is the mass on a spring in the code of S. Greydanus, M. Dzamba and J. Yosinski,
    Hamiltonian Neural Networks, NeurIPS 2019. It turns with the angular frequency 2√stiffness.
    """
    q, rate = coordinates("q")
    return Lagrangian(q, rate, rate**2 / 4 - stiffness * q**2, name="mass on a spring")


def pendulum() -> Lagrangian:
    """Return q̇²/4 − 3(1 − cos q), so that H = p² + 3(1 − cos q), q in rad: that of Greydanus et al."""
    q, rate = coordinates("q")
    return Lagrangian(q, rate, rate**2 / 4 - 3 * (1 - ca.cos(q)), name="pendulum")


def oscillator() -> Lagrangian:
    """Return q̇²/2 − 25q²/2, the motion q̈ = −25q of Liuzzo (2024)."""
    q, rate = coordinates("q")
    return Lagrangian(q, rate, rate**2 / 2 - 25 * q**2 / 2, name="oscillator")


def double_pendulum(gravity: float = 9.8) -> Lagrangian:
    """Return the double pendulum with masses and lengths 1, angles in rad from hanging down.

    The test of M. Cranmer, S. Greydanus, S. Hoyer, P. Battaglia, D. Spergel and S. Ho, Lagrangian Neural
    Networks, 2020, who take gravity = 9.8.
    """
    q, rate = coordinates("q", 2)
    kinetic = rate[0] ** 2 + rate[1] ** 2 / 2 + rate[0] * rate[1] * ca.cos(q[0] - q[1])
    potential = -gravity * (2 * ca.cos(q[0]) + ca.cos(q[1]))
    return Lagrangian(q, rate, kinetic - potential, name="double pendulum")


def two_body() -> Lagrangian:
    """Return two bodies of mass 1 in a plane, q = (x₁, y₁, x₂, y₂), whose potential is −1/distance."""
    q, rate = coordinates("q", 4)
    return Lagrangian(q, rate, ca.sumsqr(rate) / 2 + 1 / ca.norm_2(q[:2] - q[2:]), name="two bodies")


@dataclass(frozen=True, eq=False)
class Observations:
    """Observed motion of a system with two states, such as (q, q̇) or (q, p).

    Attributes
    ----------
    samples : Samples
        With noise; the initial states are the first observations.
    exact : ndarray (trajectories, samples, 2n)
        The same without noise.
    rates : ndarray (trajectories, samples, 2n)
        Exact time derivatives at the exact states.
    """

    samples: Samples
    exact: np.ndarray
    rates: np.ndarray


def observe(
    motion: Problem, initial: Any, times: Any, *, noise: float, rng: np.random.Generator | int
) -> Observations:
    """Simulate and add normal noise to every component.

    Parameters
    ----------
    motion : Problem
        From ``euler_lagrange()`` of a Lagrangian or ``problem()`` of a HamiltonianSystem.
    initial : array_like (trajectories, 2n)
        Coordinates, then velocities or momenta.
    times : array_like (samples,)
        The first is the initial time 0.
    noise : float
        Standard deviation, in the unit of the states.
    rng : numpy.random.Generator or int

    Raises
    ------
    ProblemError
        For a problem that is no motion of coordinates and velocities or momenta.
    ShapeError, DataError, OptionError
        For data of the wrong shape or that are not finite, times that do not grow from 0, negative noise.
    """
    functions = motion.functions
    if [v.shape for v in functions.states] != 2 * [(functions.nx // 2,)] or functions.nu:
        raise ProblemError(
            f"observe: '{motion.name}' has the states {[(v.name, v.shape) for v in functions.states]} and "
            f"{functions.nu} controls; expected coordinates and as many velocities or momenta: the "
            "euler_lagrange() of a Lagrangian or the problem() of a HamiltonianSystem."
        )
    starts = array(initial, "observe, initial", (None, functions.nx), " (trajectories, 2n)")
    moments = array(times, "observe, times", (None,))
    if not (np.isfinite(noise) and noise >= 0):
        raise OptionError(f"observe: noise is {noise!r:.60}; expected a finite number ≥ 0.")
    if moments[0] != 0 or len(moments) < 2 or (np.diff(moments) <= 0).any():
        raise OptionError(f"observe: times are {moments}; expected at least two that grow from 0.")
    first, second = (v.name for v in functions.states)
    n = functions.nx // 2
    p = functions.pack(motion.parameter_values(), "parameter")
    rate = ca.Function("rate", [x := ca.MX.sym("x", 2 * n)], [functions.dynamics(0, x, [], [], [], p)])
    paths: list[np.ndarray] = []
    for start in starts:
        path = simulate(motion, initial={first: start[:n], second: start[n:]}, tf=float(moments[-1]))
        paths.append(np.column_stack([path.state(first, moments), path.state(second, moments)]))
    exact = np.array(paths)
    rates = rate.map(exact.shape[0] * exact.shape[1])(exact.reshape(-1, 2 * n).T).full().T
    values = exact + noise * np.random.default_rng(rng).normal(size=exact.shape)
    return Observations(Samples(moments, values, values[:, 0]), exact, rates.reshape(exact.shape))


def ring(count: int, inner: float, outer: float, rng: np.random.Generator | int) -> np.ndarray:
    """Draw points (count, 2) of all directions with distances from 0 uniform between two radii."""
    rng = np.random.default_rng(rng)
    radius, angle = rng.uniform(inner, outer, count), rng.uniform(0, 2 * np.pi, count)
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def near_circles(
    count: int, inner: float, outer: float, rng: np.random.Generator | int, *, perturbation: float = 0.05
) -> np.ndarray:
    """Draw starts (count, 8) of :func:`two_body`, positions then momenta, on nearly circular orbits about 0.

    The bodies are opposite to each other at a distance 2r, where the orbit is a circle for speeds ½/√r and
    its period 4π·r^{3/2}.

    Parameters
    ----------
    count : int
    inner, outer : float
        r is uniform between them, dimensionless.
    rng : numpy.random.Generator or int
    perturbation : float
        Standard deviation of the relative change of the two components of the momentum.
    """
    rng = np.random.default_rng(rng)
    radius, angle = rng.uniform(inner, outer, count), rng.uniform(0, 2 * np.pi, count)
    outwards = np.column_stack([np.cos(angle), np.sin(angle)])
    along = np.column_stack([-np.sin(angle), np.cos(angle)])
    speed = 0.5 / np.sqrt(radius)[:, None]
    change = perturbation * rng.normal(size=(2, count, 1))
    place, momentum = radius[:, None] * outwards, speed * ((1 + change[0]) * along + change[1] * outwards)
    return np.column_stack([place, -place, momentum, -momentum])
