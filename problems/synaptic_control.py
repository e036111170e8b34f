"""Synaptic control: the synapses of a Hopfield-like network move, within bounds and at a price.

F. Cardin, A. Lovison, A. Maritan and A. Megighian, "Brain memory working. Optimal control behavior for
improved Hopfield-like models", arXiv 2305.14360. All quantities are dimensionless; the unit of time is the
time constant of a neuron (one step in discrete time).

A network with fixed, in general asymmetric synapses A is given a control ξ(t) on each of them,

    u̇ = X(u, ξ) = (A + ξ) g(u) − u,   |ξ_ij| ≤ b_ij,
    minimise  J = ∫ e^{−λt} ( α|X|² + β|ξ|² ) dt,

with b_ij = K where there is a synapse (A_ij ≠ 0) and k ≪ K where there is none (a silent one). The price α of
motion is called `motion` here, the price β of control `effort`, the discount rate λ `discount`.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, ProblemError, ShapeError
from ocnet.horizon import Discounted, Finite, Horizon, Steps, rate
from ocnet.networks import SynapticHamiltonian, additive, recall
from ocnet.networks import activation as resolve
from ocnet.networks.activations import ActivationLike
from ocnet.networks.arguments import checked_number as number
from ocnet.problem import Problem
from problems.checked import array

SOURCE = "Cardin, Lovison, Maritan and Megighian, arXiv 2305.14360"


def problem(
    A: ArrayLike,
    initial: ArrayLike,
    *,
    bounds: ArrayLike,
    discount: float,
    motion: float = 1.0,
    effort: float = 1.0,
    activation: ActivationLike = "tanh",
    mask: ArrayLike | None = None,
    tf: float | None = None,
    steps: int | None = None,
) -> Problem:
    """Return the problem of controlling the synapses A from an initial state.

    Parameters
    ----------
    A : array_like (N, N)
        Fixed synapses; A[i, j] leads from neuron j to neuron i.
    initial : array_like (N,)
        u(0). It is the default of the parameter "initial", so that a prepared solver can be called for other
        initial states.
    bounds : (float, float) or array_like (N, N)
        Bounds b of |ξ|: a pair (k, K), k for the silent synapses (A_ij = 0, the diagonal included) and K for
        those that are present, or a bound for each synapse. At least 0; infinity means unbounded.
    discount : float
        Rate λ per unit of time (per step), at least 0, and positive on the infinite horizon.
    motion, effort : float
        Prices α and β, at least 0 and not both 0.
    activation : str or Activation
        See :mod:`ocnet.networks`.
    mask : array_like of bool (N, N), optional
        Where it is False, ξ is zero.
    tf : float, optional
        Final time, for a finite horizon with a free end.
    steps : int, optional
        Number of steps M of the authors' discrete system; see Notes.

    Returns
    -------
    Problem
        State "u" (N), control "xi" (N, N), parameter "initial" (N). Without `tf` and `steps` the horizon is
        infinite and discounted. Its Hamiltonian is the exact one, ocnet.networks.SynapticHamiltonian.

    Raises
    ------
    ShapeError, DataError, ProblemError
        For wrong shapes, data that are not finite, negative bounds, prices or rates, both prices 0, both `tf`
        and `steps`, or an infinite horizon without discount.
    OptionError
        For an unknown activation.

    Notes
    -----
    With `steps` the system is u_{k+1} = (A + ξ_k) g(u_k) for k = 0 … M − 1, and the cost is the authors',

        J = α|u_1 − u_0|² + Σ_{k=0}^{M−2} e^{−λk} α|u_{k+2} − u_{k+1}|² + Σ_{k=0}^{M−1} e^{−λk} β|ξ_k|²,

    in which the first two moves carry the same weight: as a sum Σ e^{−λk} ℓ_k the price of the move from u_k
    to u_{k+1} is α at k = 0 and α e^λ afterwards.

    The motion is stated with the derivative of the trajectory (see :meth:`ocnet.Problem.derivative`), which
    is X on every solution and keeps the Hessian of the discretised problem sparse.
    """
    synapses = array(A, "synaptic_control: A", (None, None), " (N, N)")
    n = len(synapses)
    if synapses.shape != (n, n):
        raise ShapeError(f"synaptic_control: A has shape {synapses.shape}; expected a square matrix (N, N).")
    start = array(initial, "synaptic_control: initial", (n,), f" for a network A of {n} neurons")
    b = bound_matrix(synapses, bounds, mask)
    motion = number(motion, "synaptic_control: motion")
    effort = number(effort, "synaptic_control: effort")
    if motion == 0 and effort == 0:
        raise ProblemError(
            "synaptic_control: motion and effort are both 0; expected at least one positive price."
        )
    g = resolve(activation)

    made = Problem(f"synaptic control (N = {n})", _horizon(discount, tf, steps), source=SOURCE)
    u0 = made.parameter("initial", n, value=start)
    u = made.state("u", n, initial=u0)
    xi = made.control("xi", (n, n), lower=-b, upper=b)
    made.dynamics(u, additive(u, synapses + xi, g) if steps is None else recall(u, synapses + xi, g))
    growing = steps is not None and discount > 0 and motion > 0
    later = motion * np.exp(discount) if growing else motion
    stage: Any = effort * ca.sumsqr(xi)
    if motion > 0:
        price = ca.if_else(made.time < 0.5, motion, later) if growing else motion
        stage = stage + price * ca.sumsqr(made.derivative(u))
    made.minimize(stage=stage)
    made.hamiltonian = SynapticHamiltonian(
        synapses,
        b,
        rate(made.horizon),
        motion=(lambda k: np.where(k < 0.5, motion, later)) if growing else motion,
        effort=effort,
        activation=g,
        discrete=steps is not None,
    )
    return made


def bound_matrix(A: ArrayLike, bounds: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Return the bounds b (N, N) of |ξ|; the parameters are those of :func:`problem`.

    Raises
    ------
    ShapeError, DataError
        For a wrong shape, bounds that are negative or NaN, or a mask that is not boolean.
    """
    synapses = np.asarray(A, dtype=float)
    shape = synapses.shape
    try:
        given = np.array(bounds, dtype=float)
    except (TypeError, ValueError):
        raise DataError(
            f"synaptic_control: bounds are {bounds!r:.60}; expected a pair (silent, present) or {shape}."
        ) from None
    if given.shape not in ((2,), shape):
        raise ShapeError(
            f"synaptic_control: bounds have shape {given.shape}; expected a pair (k for silent synapses, K "
            f"for present ones) or an array of shape {shape}."
        )
    if not (given >= 0).all():
        bad = given[~(given >= 0)][0]
        raise DataError(f"synaptic_control: a bound of |xi| is {bad}; expected values of at least 0.")
    b = np.where(synapses == 0, given[0], given[1]) if given.shape == (2,) else given
    if mask is None:
        return b
    keep = np.asarray(mask)
    if keep.shape != shape:
        raise ShapeError(f"synaptic_control: mask has shape {keep.shape}; expected {shape}.")
    if keep.dtype != bool:
        raise DataError(
            f"synaptic_control: mask has the type {keep.dtype}; expected booleans (mask=A != 0, for example)."
        )
    return np.where(keep, b, 0.0)


def _horizon(discount: float, tf: float | None, steps: int | None) -> Horizon:
    rate = number(discount, "synaptic_control: discount")
    if tf is not None and steps is not None:
        raise ProblemError(f"synaptic_control: got tf={tf} and steps={steps}; expected one of them at most.")
    if steps is not None:
        return Steps(steps, discount=rate)
    if tf is not None:
        return Finite(tf, discount=rate)
    if rate == 0:
        raise ProblemError(
            "synaptic_control: discount is 0 on an infinite horizon, where the cost need not be finite; give "
            "a positive discount, or a finite horizon (tf= or steps=)."
        )
    return Discounted(rate)
