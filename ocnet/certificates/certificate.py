"""Certificate: what was found when a solution was checked, and how it prints."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

import numpy as np

NAN = float("nan")

_MEANINGS = {
    "resimulation_error": "states computed again over each interval or step, relative to 1 + |x|",
    "path_error": "states computed again over the whole path, relative to 1 + |x|",
    "path_growth": "by how much the whole path magnifies a small error at its start",
    "bound_violation": "of bounds, ends and constraints, between points too, relative to 1 + |bound|",
    "point_violation": "the same at the points where states and controls are stored",
    "cost_error": "the cost of these controls computed again, relative to the sum of the sizes of its parts",
    "hamiltonian_gap": "largest gain in H by another admissible control, at the control's points",
    "cost_gap": "this gain, discounted and integrated over the horizon, between points too",
    "stationarity": "largest |dH/du| of controls (|dJ/dq| of unknowns) inside their bounds",
    "costate_residual": "costates computed backwards over each interval or step, relative to 1 + |p|",
    "transversality": "end conditions of the costates, relative to 1 + |p|",
    "legendre_clebsch": "least eigenvalue of d²H/du² on controls inside their bounds; >= 0 at a minimum",
    "value_gap": "the cost minus the value function at the initial state; > 0 beyond its error: not the best",
    "tail_bound": "discounted cost of carrying on from the last state with a plain control",
}


@dataclass(frozen=True)
class Certificate:
    """How far a solution can be trusted, by checks that share no code with the method that made it.

    Everything is dimensionless except `cost_gap`, `value_gap` and `tail_bound`, with the unit of the cost,
    and `hamiltonian_gap`, `stationarity` and `legendre_clebsch`, which have the unit of H (per control, per
    control squared). NaN means that a figure does not apply or could not be had; `notes` then says why.

    Attributes
    ----------
    resimulation_error : float
        Largest |x̂ − x| / (1 + |x|), where x̂ starts from x at the beginning of each interval and follows the
        dynamics under the solution's own control; along the interval, at its end, and at the seam to the
        next.
    path_error : float
        The same with one start only, at t0. It grows on unstable paths, where it says little.
    path_growth : float
        Growth of a small change of the initial state along the path (at least 1): an unstable path magnifies
        any error of a correct solution by about as much.
    hamiltonian_gap : float
        Largest H(u) − min H over the box of the controls, at the points where the control is known. An upper
        bound of it if H is convex in the controls: H_u·u − min over the box of H_u·v, sharpened by a
        curvature that does not depend on u.
    cost_gap : float
        ∫ e^{−ρ(t−t0)} gap dt, between the points too: to first order, what a better control would still gain.
    stationarity : float
        Largest |H_u| over controls strictly inside their bounds, and |dJ/dq| over unknown constants.
    costate_residual : float
        Largest relative difference between p and the solution of ṗ = ρp − H_x that starts at each interval's
        end; for steps, between p_k and ∂H_k/∂x.
    transversality : float
        Largest relative violation of the costates' conditions at free ends.
    legendre_clebsch : float
        Smallest eigenvalue of H_uu on controls strictly inside their bounds (a second-order necessary
        condition).
    bound_violation : float
        Worst violation of a bound, a prescribed end or a constraint, relative to 1 + |bound|.
    point_violation : float
        The same at the stored points only: where a control jumps inside an interval, the polynomial through
        them overshoots, and `bound_violation` is that overshoot.
    cost_error : float
        Difference between the stated cost and that of these controls: the integral along the stored path,
        corrected by the residual of the dynamics times the costates (which leaves an error of second order).
    tail_bound : float or None
        Infinite horizons: an upper bound (for stage costs that are never negative) of what lies beyond the
        last stored time; None on a finite horizon.
    value_gap : float or None
        J − v(x₀) for the value function that was given to compare with, refined where it is doubtful; None
        without one.
    where : dict of str to str
        At which time and in which component a figure is attained.
    notes : list of str
        What was skipped, and what qualifies a figure.
    """

    problem_name: str
    method: str
    resimulation_error: float = NAN
    path_error: float = NAN
    path_growth: float = NAN
    bound_violation: float = NAN
    point_violation: float = NAN
    cost_error: float = NAN
    hamiltonian_gap: float = NAN
    cost_gap: float = NAN
    stationarity: float = NAN
    costate_residual: float = NAN
    transversality: float = NAN
    legendre_clebsch: float = NAN
    tail_bound: float | None = None
    value_gap: float | None = None
    where: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (quantity, value, meaning) of each figure that was asked for."""
        result: list[tuple[str, str, str]] = []
        for name, meaning in _MEANINGS.items():
            value = getattr(self, name)
            if value is None:
                continue
            place = ""
            if name in self.where and value != 0 and not np.isnan(value):
                place = f"; {'here' if name == 'tail_bound' else 'worst:'} {self.where[name]}"
            shown = "no figure" if np.isnan(value) else f"{value:.2e}"
            result.append((name.replace("_", " "), shown, meaning + place))
        return result

    def __str__(self) -> str:
        rows = self.rows()
        first = max(len(name) for name, _, _ in rows)
        lines = [f"Certificate of '{self.problem_name}' ({self.method})", ""]
        lines += [
            textwrap.fill(
                f"  {name:<{first}}  {value:>9}  {meaning}", 110, subsequent_indent=" " * (first + 15)
            )
            for name, value, meaning in rows
        ]
        if self.notes:
            lines += ["", "Notes"]
            lines += [textwrap.fill(f"  - {note}", 110, subsequent_indent="    ") for note in self.notes]
        return "\n".join(lines)
