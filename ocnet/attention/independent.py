"""Independent virtual neurons: the A that promise most are the active ones.

Sections 3.1 and 3.2 of Mjolsness and Miranker (NIPS 1990), equations (16) and (20) to (25).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ocnet.attention.control import (
    MEASURES,
    Benefit,
    Clock,
    ControlCosts,
    Score,
    check_count,
    check_instance,
    check_score,
    flow,
)
from ocnet.attention.network import Network
from ocnet.attention.virtual import Attended, Virtual
from ocnet.errors import OptionError
from ocnet.networks.activations import activation

MOST_ASSIGNMENTS = 1000  # N·A up to which the dynamics of r_ia are integrated


@dataclass(frozen=True)
class IndependentSelection:
    """A real neurons for the virtual ones with the largest scores.

    Parameters
    ----------
    active : int
        A, at most N.
    score : {"benefit", "gradient"}
        g'(∂E/∂v)², or |∂E/∂v|.
    benefit : Benefit
    costs : ControlCosts
        Both matter only where the clock gives control a finite time.
    """

    active: int
    score: Score = "benefit"
    benefit: Benefit = field(default_factory=Benefit)
    costs: ControlCosts = field(default_factory=ControlCosts)

    def __post_init__(self) -> None:
        check_count("IndependentSelection", "active", self.active)
        check_score("IndependentSelection", self.score)
        check_instance("IndependentSelection", "benefit", self.benefit, Benefit)
        check_instance("IndependentSelection", "costs", self.costs, ControlCosts)

    def begin(self, network: Network, clock: Clock, rng: np.random.Generator) -> _Selecting:
        """Check the choice against a network, and return what attends during one relaxation."""
        check_count(
            "IndependentSelection", "active", self.active, network.size, "the number of virtual neurons"
        )
        if clock.control is not None and network.size * self.active > MOST_ASSIGNMENTS:
            raise OptionError(
                f"IndependentSelection: {network.size} virtual and {self.active} real neurons have "
                f"{network.size * self.active} assignments; expected at most {MOST_ASSIGNMENTS} for their "
                "dynamics: Clock(control=None) sorts instead."
            )
        return _Selecting(self, network, clock, rng)


class _Selecting:
    def __init__(
        self, choice: IndependentSelection, network: Network, clock: Clock, rng: np.random.Generator
    ) -> None:
        self.choice, self.clock = choice, clock
        shape = (network.size, choice.active)
        self.rho = None if clock.control is None else 1e-3 * rng.normal(size=shape)

    def attend(self, state: Virtual, measure: int | None = None) -> Attended:
        scores = state.scores(MEASURES[self.choice.score] if measure is None else measure)
        if self.rho is None or self.clock.control is None or measure is not None:
            chosen = largest(scores, self.choice.active)
        else:
            self.rho = assignment(
                scores, self.rho, self.clock.control, self.choice.benefit, self.choice.costs
            )
            r = output(self.rho, self.choice.costs)
            chosen = largest(r.sum(axis=1), self.choice.active)
        total = float(scores[chosen].sum())
        return Attended(chosen, benefit=(total, total))


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the `count` largest scores in ascending order; of equal ones the first."""
    if count == len(scores):
        return np.arange(count)
    threshold = np.partition(scores, -count)[-count]
    above = np.flatnonzero(scores > threshold)
    equal = np.flatnonzero(scores == threshold)[: count - len(above)]
    return np.sort(np.concatenate([above, equal]))


def assignment(
    scores: np.ndarray, rho: np.ndarray, duration: float, benefit: Benefit, costs: ControlCosts
) -> np.ndarray:
    """Run dρ_ia/dτ = −∂(E_benefit + E_cost)/∂r_ia with r = g(γρ).

    Parameters
    ----------
    scores : ndarray (N,)
        s_i, at least 0.
    rho : ndarray (N, A)
        Where the dynamics begin.
    duration : float
        In units of τ.

    Returns
    -------
    ndarray (N, A)
        ρ at the end.

    Notes
    -----
    E_benefit = −b(Σ_ia r_ia s_i)  (22), E_cost = (c₁/2)Σ_a(Σ_i r_ia − 1)² + (c₂/2)Σ_i[Σ_a r_ia − 1]₊²
    + (c₃/2)Σ r_ia(1 − r_ia) + Σφ(r_ia)/γ  (23). The scores are divided by their largest, so that the
    coefficients are dimensionless; without a scale of its own, b has the one of A such scores. For c₃ = 0
    the total cost is convex and Σ_a r_ia at the fixed point grows with s_i: sorting.
    """
    n, count = rho.shape
    top = float(scores.max())
    s = scores / top if top > 0 else scores
    scale = benefit.scaled(float(count)) if benefit.scale is None else benefit.scale / max(top, 1e-300)

    def rate(y: np.ndarray) -> np.ndarray:
        held = y.reshape(n, count)
        r = output(held, costs)
        pull = float(benefit.g.derivative(r.sum(axis=1) @ s / scale))  # b', in units of 1/scale
        force = (pull * s)[:, None] - costs.sum_to_one * (r.sum(axis=0) - 1)[None, :]
        force = force - costs.at_most_one * np.maximum(r.sum(axis=1) - 1, 0)[:, None]
        return (force - costs.binary * (0.5 - r) - held).reshape(-1)

    return flow(rate, rho.reshape(-1), duration).reshape(n, count)


def output(rho: np.ndarray, costs: ControlCosts) -> np.ndarray:
    """Return r = g(γρ) in [0, 1]."""
    return np.asarray(activation("logistic")(costs.gain * rho))


def assignment_benefits(scores: np.ndarray, roots: np.ndarray, r: np.ndarray) -> tuple[float, float]:
    """Return the arguments of b in (21), Σ_a(Σ_i r_ia √g' ∂E/∂v)², and in (22), Σ_ia r_ia g'(∂E/∂v)².

    Parameters
    ----------
    scores, roots : ndarray (N,)
        g'(∂E/∂v)² and √g' ∂E/∂v.
    r : ndarray (N, A)
        They are equal where r is binary with one virtual neuron for each real one.
    """
    return float(((r.T @ roots) ** 2).sum()), float(scores @ r.sum(axis=1))
