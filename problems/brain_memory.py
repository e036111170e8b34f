"""The experiments of Cardin, Lovison, Maritan and Megighian: two neurons in discrete time.

F. Cardin, A. Lovison, A. Maritan and A. Megighian, "Brain memory working. Optimal control behavior for
improved Hopfield-like models", arXiv 2305.14360. Everything is dimensionless.

Two neurons that excite each other, u_{k+1} = (A + ξ_k) g(u_k) with A = [[0, 1], [1, 0]] and
g(s) = arctan(s/0.1)/π + ½, have one equilibrium, (0.9672, 0.9672). Controls off the diagonal, |ξ| ≤ ½, are
applied for M = 50 steps from u_0 = (−1, ½). What they cost decides whether the network recognises its old
memory or records one that is nearer:

* E1: six prices α of motion, β = 1 − α of control, no discount;
* E2: α = 0.9995 six times from the same u_0, each time with the synapses A + ξ_49 of the time before;
* E3: α = 0.9995 from a 5 × 5 grid of starts on [−1.5, 1.5]²;
* E4: α = β = ½ and a discount of λ = ¼ per step, "wandering".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ocnet.networks import arctan
from ocnet.problem import Problem
from problems import synaptic_control

SYNAPSES = np.array([[0.0, 1.0], [1.0, 0.0]])
START = (-1.0, 0.5)
WIDTH, BOUND, STEPS = 0.1, 0.5, 50
PRICES = (0.0, 0.95, 0.995, 0.9995, 0.99995, 1.0)  # α of E1
OPTIMAL_COSTS = (0.0, 2.5362212, 2.5609113, 2.5447175, 2.5379940, 2.5369318)  # of E1, by both roads
EQUILIBRIUM = 0.9672062817  # of either neuron, without control: s = g(s)


def problem(
    motion: float = 0.9995,
    effort: float | None = None,
    *,
    A: ArrayLike = SYNAPSES,
    initial: ArrayLike = START,
    discount: float = 0.0,
    steps: int = STEPS,
) -> Problem:
    """Return one experiment; the defaults are those of E2.

    Parameters
    ----------
    motion : float
        Price α of motion, at least 0.
    effort : float, optional
        Price β of control; 1 − α if left out.
    A : array_like (2, 2)
        Fixed synapses.
    initial : array_like (2,)
        u_0, the default of the parameter "initial".
    discount : float
        λ per step, at least 0.
    steps : int
        M, the number of controls.

    Returns
    -------
    Problem
        That of :func:`problems.synaptic_control.problem`: state "u" (2), control "xi" (2, 2).

    Raises
    ------
    ProblemError, ShapeError, DataError
        As there.
    """
    price = round(1.0 - motion, 12) if effort is None else effort
    made = synaptic_control.problem(
        A, initial, bounds=(BOUND, BOUND), mask=~np.eye(2, dtype=bool), discount=discount, motion=motion,
        effort=price, activation=arctan(WIDTH), steps=steps,
    )  # fmt: skip
    made.name = f"brain memory (α = {motion:g}, M = {steps})"
    return made


def guess(rng: np.random.Generator, steps: int = STEPS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return random controls, uniform within their bounds, for ``solve(..., guess=...)``."""
    xi = rng.uniform(-BOUND, BOUND, size=(steps, 2, 2)) * ~np.eye(2, dtype=bool)
    return {"xi": (np.arange(float(steps)), xi)}
