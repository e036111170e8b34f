"""Fixed points φ(u, p) = 0 and the gradient of a response R(u, p) by one transposed solve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OcnetError, OptionError, ShapeError, SolveError
from ocnet.learning.fixed_points.adjoint_relaxation import relax_adjoint
from ocnet.learning.fixed_points.derivatives import CasadiDerivatives, ComplexStep, Values
from ocnet.learning.fixed_points.factors import Factors

Method = Literal["auto", "dense", "sparse", "relaxation"]

AT_REST = 1e-6  # |φ| relative to 1 + |u| above which u is no fixed point


@dataclass(frozen=True)
class Sensitivity:
    """A response and its total derivative with respect to all parameters.

    Attributes
    ----------
    response : float
        R(u, p).
    gradient : dict of ndarray
        dR/dp by name, each of its parameter's shape; in units of R per unit of p.
    adjoint : ndarray (n,) or None
        The v with Aᵀv = ∂R/∂u; None from forward sensitivities.
    states : dict of ndarray (n, *shape) or None
        du/dp, from forward sensitivities alone.
    method : str
        How the linear equations were solved.
    residual : float
        |Aᵀv − ∂R/∂u| (A du/dp + ∂φ/∂p forward), relative to the right-hand side, largest component.
    iterations : int
        Steps of the relaxation; 0 for factorisations.
    """

    response: float
    gradient: dict[str, np.ndarray]
    adjoint: np.ndarray | None
    states: dict[str, np.ndarray] | None
    method: str
    residual: float
    iterations: int = 0


class FixedPoint:
    """A system at rest, φ(u, p) = 0, and what is asked of it, R(u, p), with their derivatives.

    Give numpy functions with their derivatives here; :meth:`from_casadi` takes expressions and derives,
    :meth:`from_complex_step` takes numpy functions alone.

    Parameters
    ----------
    residual : callable
        (u (n,), p) -> φ (n,); p maps the names of the parameters to arrays of floats.
    response : callable
        (u, p) -> R, a number.
    jacobian : callable
        (u, p) -> A = ∂φ/∂u (n, n): an array, a scipy sparse matrix, or (for the relaxation alone) a
        ``LinearOperator`` that knows its transpose.
    pullback : callable
        (u, p, v (n,)) -> mapping of names to v·∂φ/∂p, each of its parameter's shape. A tenth of the work of
        the Jacobian ∂φ/∂p, which is never needed.
    response_gradient : callable
        (u, p) -> (∂R/∂u (n,), mapping of names to ∂R/∂p; names left out count as 0).
    name : str
        How messages call it.

    Raises
    ------
    OptionError
        If a derivative is missing or is no function. Finite differences are not taken in silence: half of
        the digits would be lost.

    Notes
    -----
    J. Barhen, N. Toomarian and S. Gulati, Adjoint operator algorithms for faster learning in dynamical
    neural networks (NIPS 1989), equations 2.1 to 2.10: Aᵀv = ∂R/∂u, then dR/dp = ∂R/∂p − v·∂φ/∂p for all
    parameters at once. A has to be regular, and u is held to be an isolated fixed point.

    Examples
    --------
    >>> import casadi as ca
    >>> from ocnet.learning import FixedPoint
    >>> u, a = ca.SX.sym("u"), ca.SX.sym("a")
    >>> root = FixedPoint.from_casadi(u**2 - a, u, u, {"a": a})
    >>> at = root.solve({"a": 2.0}, guess=[1.0])
    >>> print(root.gradient(at, {"a": 2.0}).gradient["a"])  # 1/(2√2)
    [0.35355339]
    """

    def __init__(
        self,
        residual: Callable[[np.ndarray, Values], Any],
        response: Callable[[np.ndarray, Values], Any],
        *,
        jacobian: Callable[[np.ndarray, Values], Any] | None = None,
        pullback: Callable[[np.ndarray, Values, np.ndarray], Mapping[str, Any]] | None = None,
        response_gradient: Callable[[np.ndarray, Values], tuple[Any, Mapping[str, Any]]] | None = None,
        name: str = "fixed point",
    ) -> None:
        given = {
            "residual": residual,
            "response": response,
            "jacobian": jacobian,
            "pullback": pullback,
            "response_gradient": response_gradient,
        }
        for what, function in given.items():
            if not callable(function):
                raise OptionError(
                    f"{name}: {what} is {function!r:.60}; expected a function. Derivatives are needed: give "
                    "them, state φ and R in CasADi (FixedPoint.from_casadi), or, for functions that carry "
                    "complex numbers, take FixedPoint.from_complex_step. Finite differences are refused: "
                    "they lose half of the digits."
                )
        self.name = name
        self._residual, self._response = residual, response
        self._jacobian: Any = jacobian
        self._pullback: Any = pullback
        self._response_gradient: Any = response_gradient

    @classmethod
    def from_casadi(
        cls, residual: Any, response: Any, u: Any, p: Mapping[str, Any], *, name: str = "fixed point"
    ) -> FixedPoint:
        """State φ and R as CasADi expressions.

        Parameters
        ----------
        residual : expression (n, 1)
            φ in the symbols `u` and `p`.
        response : scalar expression
            R in the same symbols.
        u : symbol (n, 1)
        p : mapping of names to symbols
            Of any shapes.
        name : str
            How messages call it.

        Raises
        ------
        ShapeError, SymbolError
            For other shapes, or expressions in other symbols.
        """
        d = CasadiDerivatives(residual, response, u, p, name)
        return cls(
            d.residual,
            d.response,
            jacobian=d.jacobian,
            pullback=d.pullback,
            response_gradient=d.response_gradient,
            name=name,
        )

    @classmethod
    def from_complex_step(
        cls,
        residual: Callable[[np.ndarray, Values], Any],
        response: Callable[[np.ndarray, Values], Any],
        *,
        name: str = "fixed point",
    ) -> FixedPoint:
        """Derive numpy functions by complex steps, exact to rounding, at n + m evaluations for a gradient.

        Parameters
        ----------
        residual, response : callable
            As for the class, made of analytic operations that carry complex numbers: no ``abs``, ``real``,
            ``conj``, ``vdot``, comparisons or casts to float.
        name : str
            How messages call it.

        Raises
        ------
        OptionError
            When derivatives are asked for, if a function drops the imaginary part or fails on it, or if its
            slope in one random direction is not that of central differences, as where it conjugates. Only
            the first derivative of each function is compared, to three digits.
        """
        d = ComplexStep(residual, response, name)
        return cls(
            residual,
            response,
            jacobian=d.jacobian,
            pullback=d.pullback,
            response_gradient=d.response_gradient,
            name=name,
        )

    def residual(self, u: ArrayLike, p: Mapping[str, ArrayLike]) -> np.ndarray:
        """Return φ(u, p) (n,); DataError where it is not finite."""
        state = _state(u, self.name)
        return self._phi(state, _values(p, self.name))

    def response(self, u: ArrayLike, p: Mapping[str, ArrayLike]) -> float:
        """Return R(u, p); DataError where it is not finite."""
        return self._number(_state(u, self.name), _values(p, self.name))

    def _number(self, u: np.ndarray, values: Values) -> float:
        value = float(np.asarray(self._response(u, values)).reshape(()))
        if not np.isfinite(value):
            raise DataError(f"{self.name}: the response is {value}; expected a finite number.")
        return value

    def solve(
        self,
        p: Mapping[str, ArrayLike],
        guess: ArrayLike,
        *,
        tolerance: float = 1e-12,
        iterations: int = 60,
    ) -> np.ndarray:
        """Find a fixed point by Newton's method with damped steps.

        Parameters
        ----------
        p : mapping of names to arrays
        guess : array_like (n,)
            Where it starts. Which of several fixed points is found depends on it.
        tolerance : float
            Demand on the last step, relative to 1 + |u|.
        iterations : int
            After which it gives up.

        Returns
        -------
        ndarray (n,)

        Raises
        ------
        ShapeError
            If the guess has another length than φ.
        SolveError
            If it does not converge, with the least residual that was reached.
        """
        values, u = _values(p, self.name), _state(guess, self.name).copy()
        phi = self._phi(u, values)
        if phi.shape != u.shape:
            raise ShapeError(f"{self.name}: φ has shape {phi.shape}; expected that of u, {u.shape}.")
        for _ in range(iterations):
            step = Factors(self._jacobian(u, values), "auto", self.name).solve(-phi, transposed=False)
            size, norm = 1.0, float(np.linalg.norm(phi))
            while True:
                new = u + size * step
                with np.errstate(all="ignore"):
                    trial = np.asarray(self._residual(new, values), dtype=float)
                better = np.isfinite(trial).all() and np.linalg.norm(trial) <= (1 - 1e-4 * size) * norm
                if better or size < 1e-8:
                    break
                size /= 2
            done = size * np.abs(step).max() <= tolerance * (1 + np.abs(u).max())
            if better:
                u, phi = new, trial
            if done or norm == 0:
                return u
            if not better:
                break
        raise SolveError(
            f"{self.name}: Newton's method stopped with |φ| = {np.abs(phi).max():.3g} at the guess given; "
            "try another guess, or follow the dynamics to rest first."
        )

    def gradient(
        self,
        u: ArrayLike,
        p: Mapping[str, ArrayLike],
        *,
        method: Method = "auto",
        tolerance: float = 1e-12,
        iterations: int = 20_000,
    ) -> Sensitivity:
        """Return dR/dp for all parameters by one transposed solve.

        Parameters
        ----------
        u : array_like (n,)
            A fixed point for these parameters.
        p : mapping of names to arrays
        method : {"auto", "dense", "sparse", "relaxation"}
            LU factors of A, sparse ones, or the adjoint dynamics (3.15) followed to rest, which takes
            products with Aᵀ alone and converges exactly where the fixed point is stable for u̇ = φ.
        tolerance : float
            Of the relaxation: |Aᵀv − ∂R/∂u| relative to |∂R/∂u|.
        iterations : int
            Products with Aᵀ after which the relaxation gives up.

        Returns
        -------
        Sensitivity

        Raises
        ------
        DataError
            If u is not a fixed point.
        SolveError
            If A is singular to working accuracy (a fold, where u is no function of p), or the relaxation
            does not converge.
        """
        if method not in ("auto", "dense", "sparse", "relaxation"):
            raise OptionError(
                f"{self.name}: method is {method!r}; expected 'auto', 'dense', 'sparse' or 'relaxation'."
            )
        state, values = self._at_rest(u, p)
        A = self._jacobian(state, values)
        source, direct = self._sources(state, values)
        count = 0
        if method == "relaxation":
            v, count, residual = relax_adjoint(A, source, tolerance, iterations, self.name)
            done = "relaxation"
        else:
            factors = Factors(A, method, self.name)
            v, done = factors.solve(source, transposed=True), factors.kind
            scale = float(np.abs(source).max())
            residual = float(np.abs(A.T @ v - source).max()) / scale if scale else 0.0
        gradient: dict[str, np.ndarray] = {}
        pulled = self._pullback(state, values, v)
        for key, value in values.items():
            part = _shaped(pulled, key, value, f"{self.name}, pullback", needed=True)
            own = _shaped(direct, key, value, f"{self.name}, response_gradient") if key in direct else 0.0
            gradient[key] = own - part
        return Sensitivity(self._number(state, values), gradient, v, None, done, residual, count)

    def forward(self, u: ArrayLike, p: Mapping[str, ArrayLike]) -> Sensitivity:
        """Return dR/dp by forward sensitivities, A du/dp = −∂φ/∂p: one solve with m columns, to compare.

        Parameters, errors as for :meth:`gradient`. It holds n·m numbers.
        """
        state, values = self._at_rest(u, p)
        source, direct = self._sources(state, values)
        n = len(state)
        columns = {key: np.empty((n, *value.shape)) for key, value in values.items()}
        for i in range(n):
            row = np.zeros(n)
            row[i] = 1.0
            pulled = self._pullback(state, values, row)
            for key, value in values.items():
                columns[key][i] = -_shaped(pulled, key, value, f"{self.name}, pullback", needed=True)
        right = np.concatenate([column.reshape(n, -1) for column in columns.values()], axis=1)
        A = self._jacobian(state, values)
        factors = Factors(A, "auto", self.name)
        moved = factors.solve(right, transposed=False)
        scale = np.abs(right).max(initial=0.0)
        residual = float(np.abs(A @ moved - right).max()) / scale if scale else 0.0
        total = source @ moved
        gradient: dict[str, np.ndarray] = {}
        states: dict[str, np.ndarray] = {}
        start = 0
        for key, value in values.items():
            piece = slice(start, start + value.size)
            states[key] = moved[:, piece].reshape(n, *value.shape)
            gradient[key] = total[piece].reshape(value.shape) + _shaped(direct, key, value, self.name)
            start += value.size
        return Sensitivity(self._number(state, values), gradient, None, states, "forward", residual)

    def _phi(self, u: np.ndarray, values: Values) -> np.ndarray:
        try:
            phi = np.asarray(self._residual(u, values), dtype=float)
        except OcnetError:
            raise
        except (ValueError, IndexError) as error:  # what numpy says of shapes
            shapes = ", ".join(f"'{key}' {value.shape}" for key, value in values.items())
            raise ShapeError(
                f"{self.name}: φ fails ({error}) for u of shape {u.shape} and {shapes}; expected shapes that "
                "belong together."
            ) from error
        if not np.isfinite(phi).all():
            i = int(np.flatnonzero(~np.isfinite(phi.reshape(-1)))[0])
            raise DataError(
                f"{self.name}: φ[{i}] is {phi.reshape(-1)[i]}; expected finite numbers. Check u and p."
            )
        return phi

    def _at_rest(self, u: ArrayLike, p: Mapping[str, ArrayLike]) -> tuple[np.ndarray, Values]:
        state, values = _state(u, self.name), _values(p, self.name)
        phi = self._phi(state, values)
        if phi.shape != state.shape:
            raise ShapeError(f"{self.name}: φ has shape {phi.shape}; expected that of u, {state.shape}.")
        worst = int(np.argmax(np.abs(phi)))
        if np.abs(phi[worst]) > AT_REST * (1 + np.abs(state).max()):
            raise DataError(
                f"{self.name}: u is not a fixed point: φ[{worst}] = {phi[worst]:.3g}; expected 0. A gradient "
                "there has no meaning: call solve first."
            )
        return state, values

    def _sources(self, u: np.ndarray, values: Values) -> tuple[np.ndarray, Mapping[str, Any]]:
        R_u, R_p = self._response_gradient(u, values)
        source = np.asarray(R_u, dtype=float).reshape(-1)
        if source.shape != u.shape:
            raise ShapeError(
                f"{self.name}, response_gradient: ∂R/∂u has {source.size} components; expected {u.size}."
            )
        if not np.isfinite(source).all():
            raise DataError(f"{self.name}, response_gradient: ∂R/∂u is not finite at this fixed point.")
        return source, R_p


def _state(u: ArrayLike, name: str) -> np.ndarray:
    state = np.asarray(u, dtype=float)
    if state.ndim != 1 or not state.size:
        raise ShapeError(f"{name}: u has shape {state.shape}; expected (n,) with n > 0.")
    if not np.isfinite(state).all():
        i = int(np.flatnonzero(~np.isfinite(state))[0])
        raise DataError(f"{name}: u[{i}] is {state[i]}; expected finite numbers.")
    return state


def _values(p: Mapping[str, ArrayLike], name: str) -> Values:
    if not isinstance(p, Mapping) or not p:
        raise DataError(f"{name}: p is {p!r:.60}; expected a mapping of names to arrays, not empty.")
    values = {key: np.atleast_1d(np.asarray(value, dtype=float)) for key, value in p.items()}
    for key, value in values.items():
        if not np.isfinite(value).all():
            raise DataError(f"{name}: the parameter '{key}' has entries that are not finite.")
    return values


def _shaped(
    parts: Mapping[str, Any], key: str, value: np.ndarray, where: str, needed: bool = False
) -> np.ndarray:
    if key not in parts:
        if needed:
            raise DataError(f"{where}: it gives {list(parts)} and lacks the parameter '{key}'.")
        return np.zeros(value.shape)
    part = np.asarray(parts[key], dtype=float)
    if part.size != value.size:
        raise ShapeError(f"{where}, '{key}': shape {part.shape}; expected {value.shape}.")
    return part.reshape(value.shape)
