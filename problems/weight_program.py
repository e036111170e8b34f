"""The weight program: one W(t) that carries L inputs of a network to L desired outputs, and its closed form.

O. Farotimi, A. Dembo and T. Kailath, "Neural Network Weight Matrix Synthesis Using Optimal Control
Techniques", NIPS 1989, pages 348-354; equation numbers are theirs. All quantities are dimensionless; the unit
of time is the time constant of a neuron (one iteration in discrete time).

With Θ the targets (n, L), Z = (x(1), ..., x(L)) the activations, G = g(Z) and an index of performance φ(Z),

    minimise  −φ(Z(t1)) + ∫ ( −∇φ·Z + ½β‖D‖² + ½β⁻¹‖W‖² ) dt,   Ż = −Z + W G,   D = ∇φ Gᵀ     (2), (3)

For φ = Z·Θ, the paper's own, D = ΘGᵀ and ‖D‖² is its Q. Along every schedule W(t) the cost is

    J(W) = −φ(Z(t0)) + (1/2β) ∫ ‖W − βD‖² dt,

so that W* = βD (10) is the only optimum, the costate is −∇φ (9), and the integral is the exact gap.
"""

from __future__ import annotations

import time
from typing import cast, get_args

import casadi as ca
import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import (
    DataError,
    OptionError,
    ProblemError,
    ShapeError,
    UnsupportedError,
)
from ocnet.horizon import Discounted, Finite, Steps
from ocnet.methods.result import Result, Status
from ocnet.networks import Activation, WeightProgramHamiltonian, additive, recall
from ocnet.networks import activation as resolve
from ocnet.networks.activations import ActivationLike
from ocnet.networks.arguments import checked_number as number
from ocnet.networks.weights import Index
from ocnet.problem import Problem
from ocnet.solution import Solution
from ocnet.trajectory import Interpolant, Trajectory
from ocnet.verify import verify
from problems.checked import array
from problems.optimal_weights import (
    LearningCurve,
    Rule,
    WeightProgram,
    flat,
    iterate,
    learning_curve,
    matrices,
    optimal_path,
    optimal_sequence,
    rollout,
)

PAIRS = " (n neurons, L pairs)"
SOURCE = "Farotimi, Dembo and Kailath, NIPS 1989, equations (2), (3) and (10)"


def problem(
    inputs: ArrayLike | None,
    targets: ArrayLike,
    *,
    beta: float = 0.5,
    tf: float = 1.0,
    activation: ActivationLike = "tanh",
    index: Index = "activation",
    steps: int | None = None,
    start: ArrayLike | None = None,
) -> WeightProgram:
    """Return the problem of finding the weight program.

    Parameters
    ----------
    inputs : array_like (n, L) or None
        Outputs at t0, one training pair a column, strictly inside the range of the activation:
        z(t0) = g⁻¹(inputs).
    targets : array_like (n, L)
        Desired outputs Θ.
    beta : float
        β > 0.
    tf : float
        Final time, in time constants of a neuron; not used when `steps` is given.
    activation : str or Activation
        See :mod:`ocnet.networks`.
    index : {"activation", "output", "both"}
        φ = z·Θ (the paper's), g(z)·Θ or (z + g(z))·Θ.
    steps : int, optional
        Discrete time x(k+1) = W(k) g(x(k)) with that many weight matrices, for the index "activation".
    start : array_like (n, L), optional
        Activations at t0, finite; they take the place of g⁻¹(inputs), and `inputs` may be None.

    Returns
    -------
    WeightProgram
        State "z" (n, L), control "W" (n, n). `reference` is the exact optimal cost, the Hamiltonian is
        ocnet.networks.WeightProgramHamiltonian. The guess is constant, halfway between W*(t0) and the
        diagonal of the outer-product rule, with what the network does under it.

    Raises
    ------
    ShapeError, DataError, ProblemError
        For shapes that differ, empty or non-finite data, inputs outside the range of the activation, or a
        `beta`, `tf` or `steps` that is not positive.
    OptionError
        For an unknown activation or index.
    UnsupportedError
        For `steps` with another index than "activation".

    Notes
    -----
    Equations (2), (3) of the paper; its discrete-time form has the cost
    −x_K·Θ + Σ_k ( −x_k·Θ + ½βQ_k + ½β⁻¹‖W_k‖² ).
    """
    theta, z0, g = _data(inputs, targets, activation, start)
    if index not in get_args(Index):
        raise OptionError(f"weight_program: index is {index!r:.40}; expected one of {list(get_args(Index))}.")
    beta = number(beta, "weight_program: beta", positive=True)
    if steps is not None and index != "activation":
        raise UnsupportedError(
            f"weight_program: steps={steps} with index={index!r}: in discrete time the optimum is known only "
            "where φ of the next value is linear in W; use index='activation', or continuous time."
        )
    n, pairs = theta.shape
    made = WeightProgram(
        f"weight program (n = {n}, L = {pairs})",
        Finite(tf) if steps is None else Steps(steps),
        source=SOURCE,
        targets=theta,
        start=z0,
        beta=beta,
        g=g,
        index=index,
    )
    made.reference = -made.index_value(z0)
    z = made.state("z", (n, pairs), initial=z0)
    W = made.control("W", (n, n))
    gradient = made.index_gradient(z)
    D = ca.mtimes(gradient, g(z).T)
    made.dynamics(z, additive(z, W, g) if steps is None else recall(z, W, g))
    phi = {"activation": z, "output": g(z), "both": z + g(z)}[index]
    made.minimize(
        stage=-ca.dot(gradient, z) + beta / 2 * ca.sumsqr(D) + ca.sumsqr(W) / (2 * beta),
        terminal=-ca.dot(ca.DM(theta), phi),
    )
    made.hamiltonian = WeightProgramHamiltonian(
        theta, beta=beta, activation=g, index=index, discrete=steps is not None
    )
    made.guess = rollout(made)
    return made


def optimal_cost(
    inputs: ArrayLike | None,
    targets: ArrayLike,
    *,
    activation: ActivationLike = "tanh",
    index: Index = "activation",
    start: ArrayLike | None = None,
) -> float:
    """Return the exact minimum −φ(z(t0)); it depends neither on β nor on the horizon.

    Parameters and errors are those of :func:`problem`.
    """
    made = problem(inputs, targets, activation=activation, index=index, start=start)
    return cast(float, made.reference)


def closed_form(
    inputs: ArrayLike | None,
    targets: ArrayLike,
    *,
    beta: float = 0.5,
    tf: float = 1.0,
    activation: ActivationLike = "tanh",
    index: Index = "activation",
    steps: int | None = None,
    start: ArrayLike | None = None,
) -> Solution:
    """Return the optimal weight program from equation (10), without any optimisation.

    The network is integrated under its own W* = βD (DOP853, tolerance 1e-13) to the nodes of polynomials of
    degree 8, on so many intervals that interpolation between the nodes is as exact; in discrete time it is
    iterated. Parameters and errors are those of :func:`problem`; an activation without bounds may lead to a
    SimulationError.

    Returns
    -------
    Solution
        States "z" (M, n, L), controls "W" (M, n, n), costates −∇φ, cost −φ(z(t0)); `mesh_error` estimates
        the error of the interpolation, relative to 1 + |x|.
    """
    began = time.perf_counter()
    made = problem(
        inputs, targets, beta=beta, tf=tf, activation=activation, index=index, steps=steps, start=start
    )
    z, error = optimal_path(made, float(tf)) if steps is None else (optimal_sequence(made, steps), 0.0)
    costates = z.map(lambda values: -flat(made.index_gradient(matrices(values, made))))
    weights = z.map(lambda values: flat(made.optimal_weights(matrices(values, made))))
    if steps is not None:
        weights = Interpolant.sequence(z.time[:-1], weights.values[:-1])
    exact = error < 1e-11
    result = Result(
        status=Status.SOLVED if exact else Status.REFINEMENT_LIMIT,
        message="integrated under the optimal weights W* = βD (equation 10); nothing was optimised",
        cost=cast(float, made.reference),
        x=z,
        u=weights,
        p=costates,
        q=np.zeros(0),
        parameters=np.zeros(0),
        mesh_error=error,
        method="closed form",
        stats={"build": 0.0, "solve": time.perf_counter() - began, "iterations": 0},
    )
    return Solution(made, result, certify=verify)


def outer_product(targets: ArrayLike, beta: float) -> np.ndarray:
    """Return the outer-product rule W⁰ = β ΘΘᵀ (n, n): what (10) becomes where all outputs are right (11)."""
    theta = array(targets, "weight_program: targets", (None, None), PAIRS)
    return number(beta, "weight_program: beta", positive=True) * theta @ theta.T


def corrupt(targets: ArrayLike, *, errors: int, rng: np.random.Generator | int) -> np.ndarray:
    """Return a copy of the targets in which the signs of some entries are wrong.

    Parameters
    ----------
    targets : array_like (n, L)
        Without zeros.
    errors : int
        How many entries of the whole array are flipped (21 in the paper), all different.
    rng : numpy.random.Generator or int
        Source of the choice, or its seed.

    Returns
    -------
    ndarray (n, L)
    """
    theta = array(targets, "weight_program: targets", (None, None), PAIRS)
    if isinstance(errors, bool) or not isinstance(errors, (int, np.integer)) or not 0 <= errors <= theta.size:
        raise ProblemError(f"corrupt: errors is {errors!r}; expected a whole number from 0 to {theta.size}.")
    if not theta.all():
        raise DataError(
            "corrupt: targets contain zeros, which have no sign to flip; expected nonzero entries."
        )
    signs = np.ones(theta.size)
    signs[np.random.default_rng(rng).permutation(theta.size)[:errors]] = -1.0
    return theta * signs.reshape(theta.shape)


def network(n: int, activation: ActivationLike = "tanh", *, discrete: bool = False) -> Problem:
    """Return the network N of equation (1), to be run under a recorded weight program.

    Parameters
    ----------
    n : int
        Number of neurons.
    activation : str or Activation
        See :mod:`ocnet.networks`.
    discrete : bool
        Whether the network is that of discrete time, x(k+1) = W(k) g(x(k)).

    Returns
    -------
    Problem
        State "x" (n), control "W" (n, n). It has no cost, no initial value and no end of its own (its horizon
        is infinite, at a rate without meaning): it is there to be simulated for as long as a schedule lasts.
    """
    g = resolve(activation)
    made = Problem(
        f"network (n = {n})", Steps(None, discount=1.0) if discrete else Discounted(1.0), source=SOURCE
    )
    x = made.state("x", n)
    W = made.control("W", (n, n))
    made.dynamics(x, recall(x, W, g) if discrete else additive(x, W, g))
    return made


def sub_optimality(trajectory: Trajectory, problem: Problem | None = None) -> float:
    """Return by how much a schedule costs more than the optimum, exactly: (1/2β) ∫ ‖W − βD‖² dt.

    It holds for every schedule, optimised or not, as long as the states follow the dynamics from z(t0).

    Parameters
    ----------
    trajectory : Trajectory or Solution
        With state "z" (n, L) and control "W" (n, n).
    problem : WeightProgram, optional
        What :func:`problem` returned; needed where the trajectory does not know it (simulated or loaded).

    Returns
    -------
    float
        Dimensionless, at least 0; a sum over the steps in discrete time.

    Raises
    ------
    ProblemError
        If no weight program is known.

    Notes
    -----
    Follows from completing the square in the Hamiltonian (4); the integral is taken by 16 Gauss points on
    each interval of the mesh, on which both W and z are polynomials.
    """
    made = problem if problem is not None else getattr(trajectory, "problem", None)
    if not isinstance(made, WeightProgram):
        raise ProblemError(
            f"sub_optimality: the problem of '{trajectory.problem_name}' is {made!r:.60}; expected what "
            "weight_program.problem returned: give it as the second argument."
        )
    if trajectory.discrete:
        moments = trajectory.control_time
        weights = np.ones(len(moments))
    else:
        pieces = [trajectory.x.breaks] + ([trajectory.u.breaks] if trajectory.u is not None else [])
        breaks = np.unique(np.concatenate(pieces))
        points, areas = np.polynomial.legendre.leggauss(16)
        half = np.diff(breaks)[:, None] / 2
        moments = (breaks[:-1, None] + half * (1 + points)).reshape(-1)
        weights = (half * areas).reshape(-1)
    W = trajectory.control("W", moments)
    excess = np.sum((W - made.optimal_weights(trajectory.state("z", moments))) ** 2, axis=(1, 2))
    return float(weights @ excess) / (2 * made.beta)


def learning_curves(
    inputs: ArrayLike | None,
    targets: ArrayLike,
    *,
    beta: float = 0.5,
    steps: int = 4,
    activation: ActivationLike = "tanh",
    start: ArrayLike | None = None,
) -> dict[str, LearningCurve]:
    """Return the learning curves of the optimal and of the outer-product rule in discrete time.

    Both rules start from the same activations and iterate x(k+1) = W(k) g(x(k)) for all L pairs at once, one
    with W(k) = β Θ G(k)ᵀ (10), the other with W = β ΘΘᵀ (11). Parameters and errors are those of
    :func:`problem`.

    Returns
    -------
    dict
        "optimal" and "outer product", each a :class:`~problems.optimal_weights.LearningCurve`.
    """
    made = problem(inputs, targets, beta=beta, activation=activation, steps=steps, start=start)
    fixed = outer_product(made.targets, made.beta)
    rules: dict[str, Rule] = {"optimal": made.optimal_weights, "outer product": lambda z: fixed}
    return {name: learning_curve(made, iterate(made, rule, steps)) for name, rule in rules.items()}


# ---------------------------------------------------------------------- what is refused


def _data(
    inputs: ArrayLike | None, targets: ArrayLike, activation: ActivationLike, start: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, Activation]:
    """Check the data; return the targets, the activations at t0 and the activation."""
    g, theta = resolve(activation), array(targets, "weight_program: targets", (None, None), PAIRS)
    if inputs is None and start is None:
        raise DataError("weight_program: neither inputs nor start was given; expected one of them.")
    given = {"inputs": inputs, "start": start}
    arrays = {
        name: array(value, f"weight_program: {name}", (None, None), PAIRS)
        for name, value in given.items()
        if value is not None
    }
    for name, values in arrays.items():
        if values.shape != theta.shape:
            raise ShapeError(
                f"weight_program: {name} have shape {values.shape} and targets {theta.shape}; expected equal "
                "shapes (n neurons, L pairs)."
            )
    if "start" in arrays:
        return theta, arrays["start"], g
    outputs = arrays["inputs"]
    outside = np.argwhere((outputs <= g.lower) | (outputs >= g.upper))
    if outside.size:
        i, r = (int(k) for k in outside[0])
        raise DataError(
            f"weight_program: inputs[{i}, {r}] is {outputs[i, r]:g}; expected values strictly inside the "
            f"range ({g.lower:g}, {g.upper:g}) of {g}, because z(t0) = g⁻¹(inputs) is not finite elsewhere. "
            "Scale the inputs (inputs=0.9*inputs), or give finite activations instead (start=2*inputs)."
        )
    return theta, g.inverse(outputs), g
