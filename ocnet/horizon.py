"""Horizons: over which time a control problem is asked."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from ocnet.errors import DataError, ProblemError


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ProblemError(f"{where} is {value!r}; expected a real number.")
    number = float(value)
    if not np.isfinite(number):
        raise DataError(f"{where} is {number}; expected a finite number.")
    return number


def _discount(value: object, where: str) -> float:
    rate = _number(value, where)
    if rate < 0:
        raise ProblemError(f"{where} is {rate}; expected a discount rate of at least 0.")
    return rate


@dataclass(frozen=True)
class Finite:
    """A fixed interval of time [t0, tf].

    Parameters
    ----------
    tf : float
        Final time, larger than `t0`, in the problem's own unit of time.
    t0 : float
        Initial time.
    discount : float
        Rate ρ ≥ 0 of the weights e^{−ρ(t−t0)} on the stage and the terminal cost, per unit of time.

    Raises
    ------
    ProblemError
        If `tf` does not exceed `t0` or the discount is negative.
    """

    tf: float
    t0: float = 0.0
    discount: float = 0.0

    def __post_init__(self) -> None:
        tf, t0 = _number(self.tf, "Finite: tf"), _number(self.t0, "Finite: t0")
        if tf <= t0:
            raise ProblemError(f"Finite: tf is {tf} and t0 is {t0}; expected tf > t0.")
        _discount(self.discount, "Finite: discount")


@dataclass(frozen=True)
class FreeTime:
    """An interval [0, tf] whose end is optimised too.

    Parameters
    ----------
    lower, upper : float
        Bounds of the final time, 0 < lower < upper.
    guess : float
        Where the search for the final time starts, between the bounds.

    Raises
    ------
    ProblemError
        If the three numbers are not ordered 0 < lower ≤ guess ≤ upper, lower < upper.
    """

    lower: float
    upper: float
    guess: float

    def __post_init__(self) -> None:
        lower, upper = _number(self.lower, "FreeTime: lower"), _number(self.upper, "FreeTime: upper")
        guess = _number(self.guess, "FreeTime: guess")
        if not 0 < lower < upper:
            raise ProblemError(f"FreeTime: bounds are ({lower}, {upper}); expected 0 < lower < upper.")
        if not lower <= guess <= upper:
            raise ProblemError(f"FreeTime: guess is {guess}; expected a value in [{lower}, {upper}].")


@dataclass(frozen=True)
class Discounted:
    """The infinite horizon [0, ∞) with weights e^{−ρt} on the stage cost.

    Parameters
    ----------
    rate : float
        Discount rate ρ > 0, per unit of time.

    Raises
    ------
    ProblemError
        If the rate is not positive.
    """

    rate: float

    def __post_init__(self) -> None:
        rate = _number(self.rate, "Discounted: rate")
        if rate <= 0:
            raise ProblemError(
                f"Discounted: rate is {rate}; an infinite horizon needs a positive discount rate."
            )


@dataclass(frozen=True)
class Steps:
    """Discrete time k = 0, 1, …, n; the dynamics give the next value of each state.

    Parameters
    ----------
    n : int or None
        Number of steps, which is also the number of controls; None means infinitely many.
    discount : float
        Rate ρ ≥ 0 of the weights e^{−ρk}, per step; positive if `n` is None.

    Raises
    ------
    ProblemError
        If `n` is not a positive integer or None, or the discount is out of range.
    """

    n: int | None
    discount: float = 0.0

    def __post_init__(self) -> None:
        if self.n is not None and (
            isinstance(self.n, bool) or not isinstance(self.n, Integral) or self.n < 1
        ):
            raise ProblemError(
                f"Steps: n is {self.n!r}; expected a positive integer, or None for infinitely many."
            )
        rate = _discount(self.discount, "Steps: discount")
        if self.n is None and rate <= 0:
            raise ProblemError(
                f"Steps: discount is {rate}; infinitely many steps need a positive discount rate."
            )


Horizon = Finite | FreeTime | Discounted | Steps


def rate(horizon: Horizon) -> float:
    """Return the discount rate ρ of any horizon (0 where there is none)."""
    if isinstance(horizon, Discounted):
        return float(horizon.rate)
    return 0.0 if isinstance(horizon, FreeTime) else float(horizon.discount)
