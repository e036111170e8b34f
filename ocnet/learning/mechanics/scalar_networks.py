"""Networks that are an energy or a Lagrangian: scalars of coordinates and velocities or momenta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import OptionError, ShapeError


@dataclass(frozen=True)
class ScalarNetwork:
    """A scalar of dense layers, w·g(W x + b) with one hidden layer; callable as a `rule` of (q, p, θ).

    Parameters
    ----------
    inputs : int
        2n for n coordinates.
    hidden : sequence of int
        Widths of the hidden layers.
    activation : {"tanh", "log cosh"}
        g of the last hidden layer; the others have tanh. With log cosh, the integral of tanh, the forces are
        those of a tanh layer, and a bowl such as p²/2 takes few units.

    Attributes
    ----------
    parameters : int
        θ holds, layer after layer, W (outputs, inputs) in C order and b (outputs); the last layer has no b,
        since forces do not depend on it.

    Raises
    ------
    OptionError
        For sizes that are not whole positive numbers.
    """

    inputs: int
    hidden: Sequence[int]
    activation: str = "tanh"

    def __post_init__(self) -> None:
        hidden: Any = self.hidden
        if not isinstance(hidden, (Sequence, np.ndarray)) or isinstance(hidden, str):
            raise OptionError(
                f"ScalarNetwork: hidden is {hidden!r:.60}; expected a sequence of whole positive "
                "numbers, such as (8,)."
            )
        sizes = (self.inputs, *hidden)
        if len(sizes) < 2 or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes):
            raise OptionError(
                f"ScalarNetwork: sizes are {sizes!r:.60}; expected whole positive numbers, of the inputs and "
                "of at least one hidden layer."
            )
        if self.activation not in ("tanh", "log cosh"):
            raise OptionError(
                f"ScalarNetwork: activation is {self.activation!r:.60}; expected 'tanh' or 'log cosh'."
            )

    @property
    def parameters(self) -> int:
        """Length P of θ."""
        sizes = (self.inputs, *self.hidden)
        return sum((a + 1) * b for a, b in pairwise(sizes)) + sizes[-1]

    def __call__(self, q: Any, p: Any, theta: Any) -> Any:
        """Return the value at (q, p); ShapeError if θ has another length than `parameters`."""
        _check_length("ScalarNetwork", theta, self.parameters)
        v, at = ca.vertcat(q, p), 0
        last = self.parameters - self.hidden[-1]
        for fan_in, fan_out in pairwise((self.inputs, *self.hidden)):
            end = at + fan_in * fan_out
            u = ca.reshape(theta[at:end], fan_in, fan_out).T @ v + theta[end : end + fan_out]
            at = end + fan_out
            v = _log_cosh(u) if at == last and self.activation == "log cosh" else ca.tanh(u)
        return ca.dot(theta[at:], v)

    def draw(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Draw θ (P,): weights and biases normal, with variance scale²/inputs of their layer."""
        rng = np.random.default_rng(rng)
        parts: list[np.ndarray] = []
        for fan_in, fan_out in pairwise((self.inputs, *self.hidden)):
            parts.append(scale * rng.normal(size=(fan_in + 1) * fan_out) / np.sqrt(fan_in))
        parts.append(scale * rng.normal(size=self.hidden[-1]) / np.sqrt(self.hidden[-1]))
        return np.concatenate(parts)


@dataclass(frozen=True)
class NaturalLagrangian:
    """½q̇ᵀ(CᵀC + δ·1)q̇ − V with a triangle C(q) and V(q) from one network; callable as a `rule` of (q, q̇, θ).

    Its velocity Hessian is positive definite whatever θ is, so that no acceleration is singular, and δ keeps
    the scale that data leave open. It cannot state forces that depend on the velocity in other ways.

    Parameters
    ----------
    coordinates : int
        n.
    hidden : int
        Units of the tanh layer.
    periodic : bool
        The network sees cos q and sin q instead of q.
    floor : float
        δ > 0, in the unit of mass.

    Raises
    ------
    OptionError
        For sizes that are not whole positive numbers, or a floor that is not positive.
    """

    coordinates: int
    hidden: int
    periodic: bool = False
    floor: float = 0.1

    def __post_init__(self) -> None:
        sizes = (self.coordinates, self.hidden)
        if not all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes):
            raise OptionError(
                f"NaturalLagrangian: coordinates and hidden are {sizes!r:.60}; expected whole numbers > 0."
            )
        if not (np.isfinite(self.floor) and self.floor > 0):
            raise OptionError(
                f"NaturalLagrangian: floor is {self.floor!r:.60}; expected a finite number > 0."
            )

    @property
    def _sizes(self) -> tuple[int, int, int]:
        n = self.coordinates
        return (2 * n if self.periodic else n), self.hidden, n * (n + 1) // 2 + 1

    @property
    def parameters(self) -> int:
        """Length P of θ: of both layers, W (outputs, inputs) in C order and b."""
        return sum((a + 1) * b for a, b in pairwise(self._sizes))

    def __call__(self, q: Any, qdot: Any, theta: Any) -> Any:
        """Return L at (q, q̇); ShapeError if θ has another length than `parameters`."""
        _check_length("NaturalLagrangian", theta, self.parameters)
        inputs, width, outputs = self._sizes
        u = ca.vertcat(ca.cos(q), ca.sin(q)) if self.periodic else q
        first, bias, second, last = (inputs + 1) * width, inputs * width, outputs * width, self.parameters
        h = ca.tanh(ca.reshape(theta[:bias], inputs, width).T @ u + theta[bias:first])
        weights = ca.reshape(theta[first : first + second], width, outputs).T
        values, at, speed = weights @ h + theta[first + second : last], 0, self.floor * ca.sumsqr(qdot)
        for i in range(self.coordinates):
            speed += ca.dot(values[at : at + i + 1], qdot[: i + 1]) ** 2
            at += i + 1
        return speed / 2 - values[at]

    def draw(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Draw θ (P,): normal with variance scale²/inputs of each layer, and C near the unit matrix."""
        rng = np.random.default_rng(rng)
        parts = [scale * rng.normal(size=(a + 1) * b) / np.sqrt(a) for a, b in pairwise(self._sizes)]
        rows = np.arange(self.coordinates)
        offset = np.zeros(self._sizes[-1])
        offset[rows * (rows + 3) // 2] = 1.0
        parts[-1][-len(offset) :] = offset
        return np.concatenate(parts)


def _check_length(where: str, theta: Any, expected: int) -> None:
    if theta.shape[0] != expected:
        raise ShapeError(
            f"{where}: θ has {theta.shape[0]} components; expected {expected}, its `parameters`. If "
            "other parts of the rule have parameters too, give it its slice of θ."
        )


def _log_cosh(u: Any) -> Any:
    """Return log cosh u, smooth to every order; it overflows for u below −350."""
    return u + ca.log1p(ca.exp(-2 * u)) - np.log(2)
