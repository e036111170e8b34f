"""A jumping window: blocks compete, and the winner is active.

Section 3.3 of Mjolsness and Miranker (NIPS 1990), equations (26) to (29); the score "gradient" is the one of
their simulations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
from ocnet.attention.sweeps import within
from ocnet.attention.virtual import Attended, Virtual
from ocnet.errors import OptionError
from ocnet.networks.activations import activation

PIECE = 4096  # neurons of a block whose scores are summed together


@dataclass(frozen=True)
class JumpingWindow:
    """One block of neurons active at a time, the one with the largest sum of scores.

    Parameters
    ----------
    blocks : int or array_like of int (N,)
        How many blocks of neighbouring indices (equal up to one neuron), or the block of each neuron.
    score : {"benefit", "gradient"}
        Σ_a g'(∂E/∂v)², or Σ_a |∂E/∂v| over a block.
    benefit : Benefit
    costs : ControlCosts
        Both matter only where the clock gives control a finite time.
    """

    blocks: Any
    score: Score = "benefit"
    benefit: Benefit = field(default_factory=Benefit)
    costs: ControlCosts = field(default_factory=ControlCosts)

    def __post_init__(self) -> None:
        check_score("JumpingWindow", self.score)
        check_instance("JumpingWindow", "benefit", self.benefit, Benefit)
        check_instance("JumpingWindow", "costs", self.costs, ControlCosts)

    def begin(self, network: Network, clock: Clock, rng: np.random.Generator) -> _Jumping:
        """Check the blocks against a network, and return what attends during one relaxation."""
        return _Jumping(self, network, _labels(self.blocks, network.size), clock, rng)


class _Jumping:
    def __init__(
        self,
        choice: JumpingWindow,
        network: Network,
        labels: np.ndarray,
        clock: Clock,
        rng: np.random.Generator,
    ) -> None:
        self.choice, self.clock, self.labels = choice, clock, labels
        sizes = np.bincount(labels)
        self.count, bounds = len(sizes), np.cumsum([0, *sizes])
        self.pieces = np.union1d(bounds, np.arange(0, len(labels), PIECE))
        self.first = np.searchsorted(self.pieces, bounds[:-1])
        self.scores, self.sums = np.zeros(len(self.pieces) - 1), np.zeros(self.count)
        consecutive = bool((labels[1:] >= labels[:-1]).all())
        order = np.arange(len(labels)) if consecutive else np.argsort(labels, kind="stable")
        self.members = np.split(order, bounds[1:-1])
        self.order, self.rows = (None if consecutive else order), None
        if consecutive:
            T = network.weights
            self.rows = within(T.indptr, T.indices, bounds)
        self.rho = None if clock.control is None else 1e-3 * rng.normal(size=self.count)

    def attend(self, state: Virtual, measure: int | None = None) -> Attended:
        if measure is None:
            state.block_scores(MEASURES[self.choice.score], self.order, self.pieces, self.scores)
            sums = self.sums = np.add.reduceat(self.scores, self.first)
        else:
            sums = np.bincount(self.labels, weights=state.scores(measure), minlength=self.count)
        if self.rho is None or self.clock.control is None or measure is not None:
            block = int(np.argmax(sums))
        else:
            self.rho = competition(sums, self.rho, self.clock.control, self.choice.benefit, self.choice.costs)
            block = int(np.argmax(self.rho))
        total = float(sums[block])
        return Attended(
            self.members[block], place=np.array([float(block)]), rows=self.rows, benefit=(total, total)
        )


def competition(
    sums: np.ndarray, rho: np.ndarray, duration: float, benefit: Benefit, costs: ControlCosts
) -> np.ndarray:
    """Run the winner-take-all dynamics dρ_α/dτ = −∂E/∂χ_α with χ = g(γρ).

    Parameters
    ----------
    sums : ndarray (blocks,)
        Scores of the blocks, at least 0.
    rho : ndarray (blocks,)
        Where the dynamics begin.
    duration : float
        In units of τ.

    Returns
    -------
    ndarray (blocks,)
        ρ at the end.

    Notes
    -----
    E = −Σ_α χ_α b(s_α) + (c₁/2)(Σ_α χ_α − 1)² + (c₃/2)Σ χ_α(1 − χ_α) + Σφ(χ_α)/γ  (29); without a scale of
    its own, b has that of the largest sum. For c₃ = 0, χ_α at the fixed point grows with s_α: argmax.
    """
    b = np.asarray(benefit.g(sums / benefit.scaled(float(sums.max()))))
    g = activation("logistic")

    def rate(y: np.ndarray) -> np.ndarray:
        chi = np.asarray(g(costs.gain * y))
        return b - costs.sum_to_one * (chi.sum() - 1) - costs.binary * (0.5 - chi) - y

    return flow(rate, rho, duration)


def _labels(blocks: Any, n: int) -> np.ndarray:
    where = "JumpingWindow"
    if isinstance(blocks, (int, np.integer)) and not isinstance(blocks, bool):
        check_count(where, "blocks", blocks, n, "the number of virtual neurons")
        return np.arange(n) * int(blocks) // n
    try:
        labels = np.asarray(blocks)
    except ValueError:  # lists of different lengths
        labels = np.empty(0)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise OptionError(
            f"{where}: blocks is {blocks!r:.60}; expected a positive integer, or the block of each of the "
            f"{n} neurons as an integer array."
        )
    known = np.unique(labels)
    if known[0] != 0 or known[-1] != len(known) - 1:
        raise OptionError(
            f"{where}: the blocks have the numbers {known.tolist()!s:.60}; expected 0, 1, … without gaps."
        )
    return labels.astype(np.int64)
