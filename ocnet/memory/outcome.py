"""Outcome: what became of a pattern, and the figures that say so."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

NAN = float("nan")
Name = Literal["recognised", "recorded", "association", "wandering", "undecided"]

_MEANINGS = {
    "residual": "how far the solution is from being stationary: the worst figure of its certificate",
    "allowed": "what it may be",
    "horizon": "where the solution ends (its rate of discount: below)",
    "discount": "per unit of time (step)",
    "tail": "from when on the path is judged (to the moment of the judgement: below)",
    "moment": "when the controls are taken as those that are kept",
    "tolerance": "below which distances, relative to 1 + |x|, count as none",
    "distance_free": "of the state from the nearest equilibrium without control",
    "growth_free": "of perturbations there, in a unit of time (a step); below 1: stable",
    "distance_held": "of the state from the nearest equilibrium under the controls kept",
    "growth_held": "of perturbations there",
    "shift": "between these two equilibria",
    "control": "largest control kept",
    "peak": "largest control of all",
    "motion": "how far the state moves in the tail, relative to 1 + |x|",
    "lifetime": "in which the state would reach the equilibrium without control, at its pace in the tail",
    "period": "after which the path comes back in the tail",
    "recurrence": "by how much it then misses itself, relative to its extent",
    "period_frozen": "of the limit cycle under the mean controls of the tail",
    "distance_cycle": "of the state from that cycle, relative to 1 + |x|",
    "multiplier": "largest Floquet multiplier of that cycle but the trivial one; below 1: stable",
    "exponent": "largest Lyapunov exponent of the tail, per unit of time (step)",
}


@dataclass(frozen=True)
class Outcome:
    """The class of a controlled path (F. Cardin et al., arXiv 2305.14360), with its evidence.

    All figures are dimensionless; NaN means that a figure was not needed, infinity that there is no such
    equilibrium. Distances are max |x − x*| / (1 + max |x*|).

    Attributes
    ----------
    name : {"recognised", "recorded", "association", "wandering", "undecided"}
    reason : str
        The rule that decided, in words.
    residual, allowed : float
        Of stationarity: above what is allowed nothing is decided.
    horizon, discount : float
        A class holds for this horizon.
    tail, moment : float
        Times between which the path is judged.
    equilibrium_free, equilibrium_held : ndarray (nx,) or None
        Nearest to the state at `moment`, without control and under the controls of that moment.
    figures : dict of str to float
        The evidence by name: what the printed table shows.
    certificate : dict of str to float
        The figures of which `residual` is the largest.
    """

    name: Name
    reason: str
    problem_name: str
    figures: dict[str, float]
    state: np.ndarray
    equilibrium_free: np.ndarray | None = None
    equilibrium_held: np.ndarray | None = None
    certificate: dict[str, float] = field(default_factory=dict)

    def __getattr__(self, name: str) -> float:
        """Return a figure by its name, NaN if it was not needed."""
        if name in _MEANINGS:
            return self.__dict__.get("figures", {}).get(name, NAN)
        raise AttributeError(f"an Outcome has no attribute '{name}'; its figures are {list(_MEANINGS)}.")

    @property
    def metastable(self) -> bool:
        """Whether a recorded memory still drifts: with a price of control it returns on longer horizons."""
        return self.name == "recorded" and bool(np.isfinite(self.lifetime))

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (figure, value, meaning) of the evidence."""
        return [
            (name.replace("_", " "), f"{self.figures[name]:.4g}", meaning)
            for name, meaning in _MEANINGS.items()
            if name in self.figures and not np.isnan(self.figures[name])
        ]

    def __str__(self) -> str:
        head = f"Outcome of '{self.problem_name}': {self.name}"
        lines = [head, textwrap.fill(self.reason, 106, initial_indent="  ", subsequent_indent="  "), ""]
        lines += [f"  {name:<15} {value:>10}  {meaning}" for name, value, meaning in self.rows()]
        return "\n".join(lines)
