"""Vector fields f(x, t; θ) that can be learned: dense layers, or any CasADi expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import OcnetError, OptionError, ShapeError, SymbolError, UnsupportedError
from ocnet.learning.neural_odes.field import AFFINE, Field
from ocnet.learning.neural_odes.translation import Program
from ocnet.networks.activations import Activation, ActivationLike, activation

Rule = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True, eq=False)
class VectorField:
    """f(x, t; θ): made by :func:`layers` or :func:`expression`.

    Attributes
    ----------
    states, parameters : int
        Numbers of states n and of parameters P.
    rule : callable
        (x (n), t, θ (P)) -> f (n), all CasADi expressions: f in a problem that collocation or CVODES solves.
    kernel : Field
        The same f as instructions for the compiled loops.
    constants : ndarray
        What follows θ in the fixed vector of the instructions.
    sizes : tuple of int
        Widths of the layers from the first input to the output; empty for an expression.
    activation : str
        Name of the hidden layers' activation; empty for an expression.
    time : bool
        Whether time is the last input of the first layer.
    """

    states: int
    parameters: int
    rule: Rule
    kernel: Field
    constants: np.ndarray
    sizes: tuple[int, ...] = ()
    activation: str = ""
    time: bool = False

    def draw(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Draw parameters θ (P,) at random.

        Weights of layers are normal with variance scale²/inputs and biases are 0, so that no layer saturates
        at the start; the parameters of an expression are normal with deviation `scale`.
        """
        rng = np.random.default_rng(rng)
        if not self.sizes:
            return scale * rng.normal(size=self.parameters)
        parts: list[np.ndarray] = []
        for fan_in, fan_out in pairwise(self.sizes):
            parts += [scale * rng.normal(size=fan_in * fan_out) / np.sqrt(fan_in), np.zeros(fan_out)]
        return np.concatenate(parts)

    def matrices(self, theta: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return W (outputs, inputs) and b (outputs,) of every layer; empty for an expression."""
        result, at = [], 0
        for fan_in, fan_out in pairwise(self.sizes):
            end = at + fan_in * fan_out
            result.append((theta[at:end].reshape(fan_out, fan_in), theta[end : end + fan_out]))
            at = end + fan_out
        return result

    def __str__(self) -> str:
        if not self.sizes:
            return f"expression with {self.states} states and {self.parameters} parameters"
        shape = "-".join(map(str, self.sizes))
        return f"{shape} {self.activation}{' of states and time' if self.time else ''}"


def layers(sizes: Sequence[int], activation: ActivationLike = "tanh", *, time: bool = False) -> VectorField:
    """Return dense layers as a vector field; the last layer is linear.

    Parameters
    ----------
    sizes : sequence of int
        Number of states, widths of the hidden layers, number of states again.
    activation : str or Activation
        Of the hidden layers, as :func:`ocnet.networks.activation` takes it.
    time : bool
        Give the time to the first layer as one more input.

    Returns
    -------
    VectorField
        θ holds, layer after layer, W (outputs, inputs) in C order and b (outputs).

    Raises
    ------
    OptionError
        For sizes that are not whole positive numbers, or whose ends differ, and unknown activations.

    Examples
    --------
    >>> from ocnet import learning
    >>> field = learning.layers((2, 16, 2))
    >>> field.parameters
    82
    """
    g = _activation(activation)
    try:
        widths = [int(s) for s in sizes]
        whole = len(widths) >= 2 and all(w == s and w > 0 for w, s in zip(widths, sizes, strict=True))
    except (TypeError, ValueError):
        widths, whole = [], False
    if not whole or widths[0] != widths[-1]:
        raise OptionError(
            f"layers: sizes is {sizes!r:.60}; expected at least two whole positive numbers, the first and "
            "the last of them the number of states."
        )
    n = widths[0]
    full = (n + int(time), *widths[1:])

    def rule(x: Any, t: Any, theta: Any) -> Any:
        v, at = ca.vertcat(x, t) if time else x, 0
        for fan_in, fan_out in pairwise(full):
            end = at + fan_in * fan_out
            W = ca.reshape(theta[at:end], fan_in, fan_out).T
            v = W @ v + theta[end : end + fan_out]
            at = end + fan_out
            if at < parameters:
                v = g(v)
        return v

    parameters = sum((a + 1) * b for a, b in pairwise(full))
    program = Program(n, parameters)
    s = ca.SX.sym("s")
    function = ca.Function("g", [s], [g(s)])
    at, start = 0, 0
    for fan_in, fan_out in pairwise(full):
        start = program.add(AFFINE, start, -1 - at, fan_out, fan_in)
        at += (fan_in + 1) * fan_out
        if at < parameters:
            start = program.translate(function, [[start]], fan_out, "layers")[0]
    kernel = program.field(range(start, start + n))
    constants = np.array(program.constants)
    return VectorField(n, parameters, rule, kernel, constants, full, g.name, time)


def expression(rule: Rule, *, states: int, parameters: int) -> VectorField:
    """Return a CasADi expression as a vector field.

    Parameters
    ----------
    rule : callable
        (x, t, θ) -> f. It is called with CasADi ``SX`` symbols of `states`, 1 and `parameters` components, of
        which gradients may be taken (``ca.gradient(L, x)``), and returns `states` components.
    states, parameters : int
        Numbers of states and of parameters.

    Returns
    -------
    VectorField

    Raises
    ------
    OptionError, ShapeError, SymbolError
        For sizes below 1, a rule that fails or that returns something else.
    UnsupportedError
        For an operation that the compiled interpreter does not know.

    Examples
    --------
    >>> from ocnet import learning
    >>> pendulum = learning.expression(lambda x, t, theta: ca.vertcat(x[1], -theta[0] * ca.sin(x[0])),
    ...                                states=2, parameters=1)
    """
    for name, value in (("states", states), ("parameters", parameters)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise OptionError(f"expression: {name} is {value!r:.60}; expected a whole positive number.")
    x, t, theta = ca.SX.sym("x", states), ca.SX.sym("t"), ca.SX.sym("theta", parameters)
    try:
        value = rule(x, t, theta)
        value = ca.SX(ca.vertcat(*value) if isinstance(value, (list, tuple)) else value)
    except OcnetError:
        raise
    except Exception as error:  # whatever a person's function raises
        raise SymbolError(
            f"expression: the rule fails on CasADi symbols ({type(error).__name__}: {error}); write it with "
            "ca.tanh, ca.if_else, ca.vertcat, ..."
        ) from error
    if value.shape != (states, 1):
        raise ShapeError(f"expression: the rule returned shape {value.shape}; expected ({states}, 1).")
    function = ca.Function("f", [x, t, theta], [ca.densify(value)], {"allow_free": True})
    if function.get_free():
        raise SymbolError(
            f"expression: the rule contains the foreign symbols {function.get_free()}; expected x, t and θ."
        )
    program = Program(states, parameters)
    places = [range(states), [states], range(-1, -1 - parameters, -1)]
    kernel = program.field(program.translate(function, places, 1, "expression"))
    return VectorField(states, parameters, rule, kernel, np.array(program.constants))


def _activation(name_or_object: ActivationLike) -> Activation:
    g = activation(name_or_object)
    if not np.isfinite(float(g(0.0))):
        raise UnsupportedError(f"layers: the activation '{g.name}' is not finite at 0.")
    return g
