"""Deterministic annealing: one relaxation after the other while the gain rises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ocnet.attention.counters import Counters
from ocnet.attention.network import Network
from ocnet.attention.relaxation import Attention, Relaxation, relax
from ocnet.errors import OptionError


def anneal(
    network: Network,
    gains: Sequence[float],
    attention: Attention | None = None,
    *,
    initial: Any = None,
    **options: Any,
) -> Relaxation:
    """Relax at one gain after the other, each from where the last one ended (deterministic annealing).

    Parameters
    ----------
    network : Network
        Its own gain is replaced.
    gains : sequence of float
        γ, usually increasing: E loses its convexity gradually.
    attention, initial, **options
        As for :func:`relax`; its limit on phases holds for each gain.

    Returns
    -------
    Relaxation
        Of the last gain, with the counters and histories of all. It is "converged" if the last one is.
    """
    if len(gains) == 0:
        raise OptionError("anneal: gains is empty; expected at least one positive number.")
    parts: list[Relaxation] = []
    state = initial
    for gain in gains:
        part = relax(network.with_gain(gain), attention, initial=state, **options)
        parts.append(part)
        if part.status == "interrupted":
            break
        state = part.u
    return _joined(parts)


def _joined(parts: list[Relaxation]) -> Relaxation:
    last, counters = parts[-1], Counters()
    updates = [0, *np.cumsum([part.counters.connection_updates for part in parts])]
    for part in parts:
        counters = counters + part.counters
    history = {name: np.concatenate([part.history[name] for part in parts]) for name in last.history}
    history["connection_updates"] = np.concatenate(
        [
            part.history["connection_updates"] + before
            for part, before in zip(parts, updates[:-1], strict=True)
        ]
    )
    places = np.concatenate([part.places for part in parts])
    return Relaxation(last.status, last.u, last.v, last.energy, last.residual, counters, history, places)
