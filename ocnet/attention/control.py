"""When and how attention moves: two clocks that take turns, and the benefit that moves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
from scipy.integrate import solve_ivp

from ocnet.errors import OptionError, SimulationError
from ocnet.networks.activations import Activation, ActivationLike, activation

Score = Literal["benefit", "gradient"]
MEASURES: dict[str, int] = {"benefit": 0, "gradient": 1}


@dataclass(frozen=True)
class Clock:
    """Two phases that do not overlap: the neurons' time t runs in one, the control's time τ in the other.

    Parameters
    ----------
    step : float
        Length dt of one update of a neuron, in time constants of a neuron. Large steps are stable.
    neurons : int
        Steps of a phase of neurons; it ends sooner once all active ones rest.
    control : float or None
        Length of a phase of control in units of τ, in which the control's own dynamics run. None jumps to
        their fixed point: sorting, the largest score, the nearest summit.

    Raises
    ------
    OptionError
        For values that are not positive.

    Notes
    -----
    Figure 1b of Mjolsness and Miranker (NIPS 1990): t = ∫φ₁dT and τ = ∫φ₂dT.
    """

    step: float = 1.0
    neurons: int = 10
    control: float | None = None

    def __post_init__(self) -> None:
        check_positive("Clock", "step", self.step)
        if self.control is not None:
            check_positive("Clock", "control", self.control)
        check_count("Clock", "neurons", self.neurons)


@dataclass(frozen=True)
class Benefit:
    """b(x) = g(x/scale), monotone, odd and bounded: it limits how hard the benefit pulls.

    Parameters
    ----------
    function : str or Activation
        g with g(−x) = −g(x) and a finite range.
    scale : float or None
        In units of dE/dt. None takes the value at the beginning of each phase of control.

    Raises
    ------
    OptionError
        If g is unbounded or not odd, or the scale is not positive.

    Notes
    -----
    Equation (20) of Mjolsness and Miranker (NIPS 1990).
    """

    function: ActivationLike = "tanh"
    scale: float | None = None

    def __post_init__(self) -> None:
        g = activation(self.function)
        if not (np.isfinite(g.lower) and np.isfinite(g.upper)):
            raise OptionError(
                f"Benefit: function is '{g}' with the range ({g.lower}, {g.upper}); expected a bounded one, "
                "such as 'tanh': b limits the pull of the benefit."
            )
        points = np.array([0.0, 0.3, 1.0, 4.0])
        values, mirrored = np.asarray(g(points)), np.asarray(g(-points))
        if not np.allclose(values, -mirrored, atol=1e-12) or not np.all(np.diff(values) > 0):
            raise OptionError(
                f"Benefit: function is '{g}'; expected an odd, increasing one, g(−x) = −g(x), such as 'tanh'."
            )
        if self.scale is not None:
            check_positive("Benefit", "scale", self.scale)

    @property
    def g(self) -> Activation:
        """The function as an activation."""
        return activation(self.function)

    def scaled(self, largest: float) -> float:
        """Return the scale: the given one, or `largest` where that is positive."""
        return float(self.scale if self.scale is not None else (largest if largest > 0 else 1.0))


@dataclass(frozen=True)
class ControlCosts:
    """Coefficients of E_cost (equation 23 of Mjolsness and Miranker, illegible in every copy).

    Parameters
    ----------
    sum_to_one : float
        c₁ of (c₁/2)(Σ r − 1)² for each real neuron, or over the blocks.
    at_most_one : float
        c₂ of (c₂/2)[Σ_a r_ia − 1]₊² for each virtual neuron.
    binary : float
        c₃ of (c₃/2) Σ r(1 − r); 0 keeps E_cost convex.
    gain : float
        γ of r = g(γρ) with the logistic g, in Σφ(r)/γ.

    Raises
    ------
    OptionError
        For values that are negative, or a gain of 0.
    """

    sum_to_one: float = 10.0
    at_most_one: float = 10.0
    binary: float = 0.0
    gain: float = 100.0

    def __post_init__(self) -> None:
        for name in ("sum_to_one", "at_most_one", "binary"):
            check_positive("ControlCosts", name, getattr(self, name), zero=True)
        check_positive("ControlCosts", "gain", self.gain)


def check_positive(owner: str, name: str, value: Any, *, zero: bool = False) -> None:
    """Refuse what is not a positive (or nonnegative) finite number."""
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else np.nan
    if not (np.isfinite(number) and (number > 0 or (zero and number == 0))):
        wanted = "a number of at least 0" if zero else "a positive finite number"
        raise OptionError(f"{owner}: {name} is {value!r:.60}; expected {wanted}.")


def check_count(owner: str, name: str, value: Any, most: int | None = None, of: str = "") -> None:
    """Refuse what is not an integer of at least 1 (and at most `most`)."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 1:
        raise OptionError(f"{owner}: {name} is {value!r:.60}; expected a positive integer.")
    if most is not None and value > most:
        raise OptionError(f"{owner}: {name} is {value}; expected at most {most}, {of}.")


def check_score(owner: str, score: Any) -> None:
    """Refuse an unknown score."""
    if not isinstance(score, str) or score not in MEASURES:
        raise OptionError(
            f"{owner}: score is {score!r:.60}; expected 'benefit' (g'(∂E/∂v)²) or 'gradient' (|∂E/∂v|)."
        )


def check_instance(owner: str, name: str, value: Any, kind: type) -> None:
    """Refuse what is not an object of a class."""
    if not isinstance(value, kind):
        raise OptionError(f"{owner}: {name} is {value!r:.60}; expected {kind.__name__}(...).")


def flow(rate: Callable[[np.ndarray], np.ndarray], start: np.ndarray, duration: float) -> np.ndarray:
    """Return where the control's dynamics (n,) -> (n,) lead in a time τ."""
    found = solve_ivp(lambda _, y: rate(y), (0.0, duration), start, method="LSODA", rtol=1e-8, atol=1e-10)
    if not found.success:
        raise SimulationError(f"attention: the dynamics of control stopped: {found.message}")
    return found.y[:, -1]
