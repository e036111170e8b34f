"""Krotov's networks: synapses that are the second derivatives of one function of the outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import OptionError, ShapeError
from ocnet.networks.arguments import checked_matrix, checked_number
from ocnet.pointwise import evaluate, scalar_operations
from ocnet.symbols import Expression, as_expression


class Krotov:
    """The synapses T(V) = ∇²Φ(V); to be given to :func:`hopfield`, :func:`energy` and :func:`closure`.

    Parameters
    ----------
    phi : callable
        V -> Φ(V), a scalar, written with CasADi functions for a column V of n outputs.
    n : int
        Number of neurons.

    Raises
    ------
    OptionError
        If phi cannot be called on CasADi symbols, or n is no positive whole number.
    ShapeError
        If its value is no scalar.

    Notes
    -----
    Cardin, Lovison, Maritan and Megighian (arXiv 2305.14360), after D. Krotov and J. J. Hopfield, ICLR 2021.
    u̇ = ∇²Φ(V) V − u with V = g(u) is −∂E/∂V for the energy E = −(∇Φ·V − Φ − Σ∫g⁻¹).

    Examples
    --------
    >>> import casadi as ca
    >>> import numpy as np
    >>> from ocnet.networks import Krotov
    >>> T = Krotov(lambda V: (V[0] * V[1]) ** 2 / 2, n=2)
    >>> print(T.at([1.0, 3.0]))
    [[9. 6.]
     [6. 1.]]
    """

    def __init__(self, phi: Callable[[Any], Any], n: int) -> None:
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
            raise OptionError(f"Krotov: n is {n!r:.40}; expected a positive number of neurons.")
        self.n = int(n)
        V = ca.MX.sym("V", self.n)
        try:
            value = as_expression(phi(Expression(V)), "Krotov: Φ(V)")
        except Exception as error:  # whatever a person's function raises
            raise OptionError(
                f"Krotov: Φ(V) fails on CasADi symbols ({type(error).__name__}: {error}); write it with "
                "ca.tanh, ca.logsumexp, ca.sumsqr, ..."
            ) from error
        if value.shape != (1, 1):
            raise ShapeError(f"Krotov: Φ(V) has shape {value.shape}; expected a scalar.")
        hessian, gradient = ca.hessian(value, V)
        legendre = ca.dot(V, gradient) - value
        self._phi, self._legendre, self._hessian = (
            scalar_operations(ca.Function(name, [V], [ca.densify(e)]))
            for name, e in (("phi", value), ("legendre", legendre), ("hessian", hessian))
        )

    def __call__(self, V: Any) -> Any:
        """Return T(V) (n, n) of a CasADi expression (n, 1)."""
        return self._hessian(V)

    def at(self, V: ArrayLike) -> np.ndarray:
        """Return T(V) (…, n, n) at outputs (…, n)."""
        points = self._checked(V)
        flat = evaluate(self._hessian, points.reshape(-1, self.n))[0]
        return flat.reshape(*points.shape[:-1], self.n, self.n)  # symmetric: the order does not matter

    def phi(self, V: ArrayLike) -> np.ndarray:
        """Return Φ(V) (…) at outputs (…, n)."""
        points = self._checked(V)
        return evaluate(self._phi, points.reshape(-1, self.n))[0].reshape(points.shape[:-1])

    def legendre(self, V: ArrayLike) -> np.ndarray:
        """Return ∇Φ·V − Φ (…) at outputs (…, n); its gradient is T(V) V."""
        points = self._checked(V)
        return evaluate(self._legendre, points.reshape(-1, self.n))[0].reshape(points.shape[:-1])

    def _checked(self, V: Any) -> np.ndarray:
        points = np.asarray(V, dtype=float)
        if points.ndim == 0 or points.shape[-1] != self.n:
            raise ShapeError(f"Krotov: got outputs of shape {points.shape}; expected (..., {self.n}).")
        return points


class Softmax(Krotov):
    """The modern Hopfield network as one of Krotov's: T(V) V = P softmax(β PᵀV) − P·1/L.

    With F(V) = β⁻¹ ln Σ_r exp(β p_r·V), whose gradient is P softmax(β PᵀV), the function

        Φ(V) = ∫_0^1 ( F(λV) − F(0) − λ ∇F(0)·V ) / λ² dλ

    has the Hessian T(V) = ∫_0^1 ∇²F(λV) dλ, so that T(V) V = ∇F(V) − ∇F(0). The constant ∇F(0), the mean
    pattern, comes back as a threshold: ``hopfield(T, n, activation=..., threshold=T.threshold)`` is
    ṡ = P softmax(β PᵀV) − s with V = g(s), in terms of s = u − a.

    Parameters
    ----------
    patterns : array_like (N, L)
        P, with a pattern in each column. Dimensionless.
    sharpness : float
        β, positive.
    points : int
        Of the Gauss rule for the integral; more for a large β |PᵀV|.

    Attributes
    ----------
    threshold : ndarray (N,)
        a, minus the mean pattern.

    Raises
    ------
    ShapeError, DataError, ProblemError, OptionError
        For patterns that are no finite matrix, a sharpness that is not positive, or fewer than two points.

    Notes
    -----
    H. Ramsauer et al., "Hopfield networks is all you need", ICLR 2021, whose energy −F(V) + ½|V|² this has
    (but for a constant) with the identity as activation. The energy and the synapses are the derivatives of
    one and the same Φ, with its integral by the Gauss rule: the energy falls exactly, whatever the rule's
    error.
    """

    def __init__(self, patterns: ArrayLike, sharpness: float = 1.0, *, points: int = 32) -> None:
        P = checked_matrix(patterns, "Softmax: patterns", expected="(N, L)")
        beta = checked_number(sharpness, "Softmax: sharpness", positive=True)
        if not isinstance(points, (int, np.integer)) or points < 2:
            raise OptionError(f"Softmax: points is {points!r:.40}; expected a whole number from 2 on.")
        self.threshold = -P.mean(axis=1)
        nodes, weights = np.polynomial.legendre.leggauss(int(points))

        def phi(V: Any) -> Any:
            overlap, total = beta * ca.mtimes(ca.DM(P.T), V), 0.0
            for s, w in zip((1 + nodes) / 2, weights / 2, strict=True):
                F = (ca.logsumexp(s * overlap) - np.log(P.shape[1])) / beta
                total = total + w * (F + s * ca.dot(ca.DM(self.threshold), V)) / s**2
            return total

        super().__init__(phi, len(P))
