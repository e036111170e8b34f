"""Hopfield's first network: neurons of two values ±1, updated all at once or one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError
from ocnet.networks.arguments import checked_matrix
from ocnet.symbols import as_data

Update = Literal["synchronous", "asynchronous"]


@dataclass(frozen=True)
class BinaryPath:
    """What a binary network did.

    Attributes
    ----------
    states : ndarray (M + 1, N)
        ±1; the start, and what followed each update (each round of N updates, if asynchronous).
    period : int
        1 if the last state stays, m if the last m states repeat for ever, 0 if neither was seen.
    """

    states: np.ndarray
    period: int

    @property
    def converged(self) -> bool:
        """Whether the last state stays."""
        return self.period == 1

    def __str__(self) -> str:
        ends = {0: "undecided", 1: "a fixed point"}
        return (
            f"{len(self.states) - 1} updates to {ends.get(self.period, f'a cycle of {self.period} states')}"
        )


class BinaryHopfield:
    """The network V ← step(T V), with step(h) = 1 where h ≥ a and −1 elsewhere.

    Parameters
    ----------
    T : array_like (N, N)
        Synapses, dimensionless; T[i, j] leads from neuron j to neuron i.
    threshold : array_like (N,) or float
        a, dimensionless.

    Raises
    ------
    ShapeError, DataError
        If T is no finite square matrix, or the threshold does not fit it.

    Notes
    -----
    J. J. Hopfield, PNAS 79 (1982). For symmetric T the synchronous network ends in a fixed point or in a
    cycle of two states; the asynchronous one in a fixed point, if no diagonal entry is negative.

    Examples
    --------
    >>> from ocnet.networks import BinaryHopfield
    >>> network = BinaryHopfield([[0.0, 1.0], [1.0, 0.0]])
    >>> print(network.run([1.0, -1.0]))
    2 updates to a cycle of 2 states
    >>> print(network.run([1.0, -1.0], update="asynchronous").states)
    [[ 1. -1.]
     [-1. -1.]]
    """

    def __init__(self, T: ArrayLike, *, threshold: ArrayLike = 0.0) -> None:
        self.T = checked_matrix(T, "BinaryHopfield: T", expected="a square matrix (N, N)")
        self.n = len(self.T)
        if self.T.shape != (self.n, self.n):
            raise ShapeError(f"BinaryHopfield: T has shape {self.T.shape}; expected a square matrix (N, N).")
        self.threshold = as_data(threshold, (self.n,), "BinaryHopfield: threshold")

    def step(self, V: ArrayLike) -> np.ndarray:
        """Return the next states of networks (…, N) that are updated all at once."""
        return np.where(self._checked(V) @ self.T.T >= self.threshold, 1.0, -1.0)

    def stays(self, V: ArrayLike) -> np.ndarray:
        """Return for states (…, N) whether they are fixed points, an array of bool (…)."""
        return np.all(self.step(V) == self._checked(V), axis=-1)

    def energy(self, V: ArrayLike) -> np.ndarray:
        """Return −½VᵀTV + a·V (…) of states (…, N); ProblemError if T is not symmetric.

        It never rises when one neuron after the other is updated and no T_ii is negative.
        """
        gap = np.abs(self.T - self.T.T)
        if gap.max() > 1e-12 * np.abs(self.T).max():
            i, j = np.unravel_index(int(gap.argmax()), gap.shape)
            raise ProblemError(
                f"BinaryHopfield: T is not symmetric: T[{i}, {j}] is {self.T[i, j]:.6g} and T[{j}, {i}] is "
                f"{self.T[j, i]:.6g}; only a symmetric network has an energy."
            )
        states = self._checked(V)
        return np.sum(states * (self.threshold - states @ self.T.T / 2), axis=-1)

    def run(
        self,
        start: ArrayLike,
        *,
        update: Update = "synchronous",
        rng: np.random.Generator | None = None,
        most: int = 1000,
    ) -> BinaryPath:
        """Update a state until it stays or repeats itself.

        Parameters
        ----------
        start : array_like (N,)
            ±1.
        update : {"synchronous", "asynchronous"}
            All neurons at once, or one after the other, each seeing what the others became.
        rng : numpy.random.Generator, optional
            Draws a new order of the neurons for each asynchronous round. Without it they take turns in the
            order of their numbers. In a random order a cycle cannot be told, only a fixed point.
        most : int
            Updates (rounds) after which to give up.

        Returns
        -------
        BinaryPath

        Raises
        ------
        ShapeError, DataError
            If the start is no vector of N values ±1.
        OptionError
            For an unknown update, an `rng` without asynchronous updates, or `most` below 1.
        """
        if update not in get_args(Update):
            raise OptionError(
                f"BinaryHopfield.run: update is {update!r:.40}; expected one of {list(get_args(Update))}."
            )
        if rng is not None and update == "synchronous":
            raise OptionError(
                "BinaryHopfield.run: rng orders asynchronous updates; got it with synchronous ones."
            )
        if most < 1:
            raise OptionError(f"BinaryHopfield.run: most is {most}; expected at least 1.")
        first = self._checked(start)
        if first.ndim != 1:
            raise ShapeError(f"BinaryHopfield.run: start has shape {first.shape}; expected ({self.n},).")
        states, seen = [first], {first.tobytes(): 0}
        for k in range(1, most + 1):
            last = states[-1]
            state = self.step(last) if update == "synchronous" else self._round(last, rng)
            if np.array_equal(state, last):
                return BinaryPath(np.array(states), 1)
            states.append(state)
            before = seen.setdefault(state.tobytes(), k)
            if before < k and rng is None:
                return BinaryPath(np.array(states), k - before)
        return BinaryPath(np.array(states), 0)

    def _round(self, state: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        state = state.copy()
        for i in range(self.n) if rng is None else rng.permutation(self.n):
            state[i] = 1.0 if self.T[i] @ state >= self.threshold[i] else -1.0
        return state

    def _checked(self, V: Any) -> np.ndarray:
        states = np.array(V, dtype=float)
        if states.ndim == 0 or states.shape[-1] != self.n:
            raise ShapeError(f"BinaryHopfield: got states of shape {states.shape}; expected (..., {self.n}).")
        wrong = np.abs(states) != 1
        if wrong.any():
            raise DataError(f"BinaryHopfield: got the value {states[wrong][0]}; expected -1 or 1.")
        return states
