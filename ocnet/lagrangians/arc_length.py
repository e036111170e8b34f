"""Coordinates w of a neuron in which the metric of its activation is flat: dw/du = dv/dw = √g'(u), v = g(u).

Equation (15) of Mjolsness and Miranker (NIPS 1990). For tanh, v = sin w; for the logistic function
v = ½(1 + sin w). Everything is dimensionless and acts componentwise.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import UnsupportedError
from ocnet.networks.activations import Activation, ActivationLike, Arctan, Logistic, Tanh, activation


def arc(u: Any, g: ActivationLike) -> Any:
    """Return w = ∫_0^u √g'(s) ds.

    Parameters
    ----------
    u : casadi expression or array_like, any shape
        Activations.
    g : str or Activation
        "tanh", "logistic" or an arctan.

    Returns
    -------
    casadi expression or ndarray of the same shape
        Within ±π/2 for tanh and the logistic function.

    Raises
    ------
    UnsupportedError
        For other activations, whose integral has no closed form here.
    """
    g, lib, s = _known(g), _library(u), _value(u)
    if isinstance(g, Arctan):
        return np.sqrt(g.width / np.pi) * lib.arcsinh(s / g.width)
    scaled = s / 4 if isinstance(g, Logistic) else s / 2
    return 2 * lib.arctan(lib.tanh(scaled))


def from_arc(w: Any, g: ActivationLike) -> Any:
    """Return the activation u at w, the inverse of :func:`arc`; infinite at the ends ±π/2 of its range."""
    g, lib, s = _known(g), _library(w), _value(w)
    if isinstance(g, Arctan):
        return g.width * lib.sinh(s * np.sqrt(np.pi / g.width))
    with np.errstate(divide="ignore"):
        u = 2 * lib.arctanh(lib.tan(s / 2))
    return 2 * u if isinstance(g, Logistic) else u


def output(w: Any, g: ActivationLike) -> Any:
    """Return v = g(u(w)); for tanh and the logistic function without u, exact up to the ends."""
    g, lib, s = _known(g), _library(w), _value(w)
    if isinstance(g, Tanh):
        return lib.sin(s)
    return (1 + lib.sin(s)) / 2 if isinstance(g, Logistic) else g(from_arc(w, g))


def root_slope(w: Any, g: ActivationLike) -> Any:
    """Return dv/dw = √g'(u(w))."""
    g, lib, s = _known(g), _library(w), _value(w)
    if isinstance(g, Tanh):
        return lib.cos(s)
    if isinstance(g, Logistic):
        return lib.cos(s) / 2
    return 1 / (np.sqrt(np.pi * g.width) * lib.cosh(s * np.sqrt(np.pi / g.width)))


def _known(g: ActivationLike) -> Tanh | Logistic | Arctan:
    found: Activation = activation(g)
    if isinstance(found, (Tanh, Logistic, Arctan)):
        return found
    raise UnsupportedError(
        f"arc length of the activation '{found}': it has no closed form here; expected 'tanh', 'logistic' or "
        "networks.arctan(width)."
    )


def _library(s: Any) -> Any:
    return ca if isinstance(s, (ca.MX, ca.SX, ca.DM)) else np


def _value(s: Any) -> Any:
    return s if isinstance(s, (ca.MX, ca.SX, ca.DM)) else np.asarray(s, dtype=float)
