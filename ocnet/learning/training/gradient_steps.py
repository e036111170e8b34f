"""Steps along gradients by a rule with a memory: the loop that Adam and optax share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ocnet.learning.training.gauss_newton import Report, State
from ocnet.learning.training.objective import Objective

# (gradient, state with the rule's memory, share of the iterations that are done) -> (step, new memory)
Rule = Callable[[np.ndarray, State, float], tuple[np.ndarray, State]]


def follow(objective: Objective, state: State, total: int, rule: Rule, report: Report) -> State:
    """Take `total` steps on one horizon, or what is left of them; return the state of the last point.

    What is reported is a point and the memory with which the rule came there: going on from it evaluates the
    point again ("again" counts the reports that come twice) and leaves nothing out. A model that cannot be
    integrated, or has no derivative, is left halfway back towards the last one that could.
    """
    z = good = state["z"]
    memory: State = {}
    for here in range(int(state.get("here", 0)), total):
        cost, slope = objective.gradient(z)
        if not np.isfinite(cost):
            if np.array_equal(z, good):
                break
            z = (z + good) / 2
            continue
        good = z
        state = state | memory | {"z": z, "here": np.array(here), "again": np.array(1)}
        report(state, cost)
        step, memory = rule(slope, state, here / total)
        z = z + step
    return state | {"here": np.array(0), "again": np.array(0)}
