"""Deterministic annealing: one relaxation after the other while the gain rises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ocnet.attention.counters import Counters
from ocnet.attention.network import Network, check_network
from ocnet.attention.relaxation import Attention, Relaxation, Status, relax
from ocnet.errors import OptionError
from ocnet.interruption import Wish, interruptible


def anneal(
    network: Network,
    gains: Iterable[float],
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
    gains : iterable of float
        γ, usually increasing: E loses its convexity gradually.
    attention, initial, **options
        As for :func:`relax`; its limit on phases holds for each gain.

    Returns
    -------
    Relaxation
        Of the last gain, with the counters and histories of all. It is "converged" if the last one is.
    """
    check_network("anneal", network)
    try:
        stages = [network.with_gain(gain) for gain in gains]
    except TypeError:
        raise OptionError(
            f"anneal: gains is {gains!r:.60}; expected a sequence of positive numbers."
        ) from None
    if not stages:
        raise OptionError("anneal: gains is empty; expected at least one positive number.")
    parts: list[Relaxation] = []
    wish = Wish()
    with interruptible(wish):  # between two gains; a relaxation sees to itself
        for stage in stages:
            parts.append(relax(stage, attention, initial=parts[-1].u if parts else initial, **options))
            if wish.stop or parts[-1].status == "interrupted":
                break
    return _joined(parts, "interrupted" if wish.stop else parts[-1].status)


def _joined(parts: list[Relaxation], status: Status) -> Relaxation:
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
    places = np.concatenate([part.places for part in parts if len(part.places)] or [last.places])
    return Relaxation(status, last.u, last.v, last.energy, last.residual, counters, history, places)
