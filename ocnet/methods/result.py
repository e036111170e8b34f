"""What a road returns: arrays, figures and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from ocnet.control_law import ControlLaw
from ocnet.trajectory import Interpolant


class Status(str, Enum):
    """How a solve ended. Only the first two are successes."""

    SOLVED = "solved: the estimated error of the states is below the demand"
    NOT_VERIFIED = "solved on a fixed mesh: the error was estimated but not brought below a demand"
    REFINEMENT_LIMIT = "the mesh reached its limit before the error demand was met"
    ITERATION_LIMIT = "the iteration limit was reached"
    INFEASIBLE = "no point that satisfies the constraints was found"
    DIVERGED = "the iterates diverged"
    INTERRUPTED = "interrupted; the last iterate is kept"
    NOT_MINIMAL = "the conditions of first order hold, but the second variation is not positive: no minimum"
    FAILED = "the nonlinear solver failed"
    NOT_FINITE = "the answer is not finite"

    @property
    def success(self) -> bool:
        """Whether the conditions of optimality hold to the tolerance."""
        return self in (Status.SOLVED, Status.NOT_VERIFIED)


@dataclass
class Result:
    """What a road returns: arrays and figures, no names.

    Attributes
    ----------
    x : Interpolant
        States (nx,), flat.
    u : Interpolant, ControlLaw or None
        Controls (nu,), flat, stored or computed when asked for; None if the problem has none.
    p : Interpolant or None
        Costates dV/dx (nx,), current value, flat; None if the road has none. In continuous time they live on
        nodes of their own: each interval has both of its ends as nodes, so that a break holds two values and
        jumps (at data terms, at bounds of the states) are kept. With Steps the nodes are those of `x`.
    q : ndarray (nq,)
        Unknown constants.
    parameters : ndarray (np,)
        Parameter vector of this solve.
    mesh_error : float
        Estimated largest error of the states, relative to 1 + |x|.
    errors : dict of str to float
        Estimates by source: "mesh", "barrier", "control shape", "tail".
    sensitivity : callable or None
        () -> dJ/dp as a flat array.
    optima : list of float
        Distinct local optima that several starts found.
    second_order_by : str
        Where this was looked at.
    gain : Interpolant or None
        ∂p/∂x along the path, flat (nx·nx): the Riccati matrix. With steps, of e^{−ρ}p_{k+1} by x_k.
    hamiltonian : Hamiltonian or None
        What the controls come from, for a feedback policy.
    second_order : bool or None
        Whether the last iterate is a strict local minimum of the discrete problem; None where unknown.
    """

    status: Status
    message: str
    cost: float
    x: Interpolant
    u: Interpolant | ControlLaw | None
    p: Interpolant | None
    q: np.ndarray
    parameters: np.ndarray
    mesh_error: float
    method: str
    errors: dict[str, float] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    sensitivity: Any = None
    optima: list[float] = field(default_factory=list)
    second_order: bool | None = None
    second_order_by: str = "at the last interior-point iteration"
    gain: Interpolant | None = None
    hamiltonian: Any = None
