"""Derivatives of a fixed-point system and its response: by CasADi, or by complex steps through numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import casadi as ca
import numpy as np
import scipy.sparse as sparse

from ocnet.errors import OptionError, ShapeError, SymbolError
from ocnet.symbols import unflat

Values = dict[str, np.ndarray]
STEP = 1e-30  # of the complex step: any number whose square vanishes beside 1
DIFFERENCES = (
    1e-5,
    1e-7,
)  # steps of the differences that complex steps are compared with, relative to u and p


class CasadiDerivatives:
    """φ and R from expressions; parameters are flattened in C order inside.

    Parameters
    ----------
    residual, response : expression
    u : symbol (n, 1)
    p : mapping of names to symbols
    name : str
        Opens the messages.
    """

    def __init__(self, residual: Any, response: Any, u: Any, p: Mapping[str, Any], name: str) -> None:
        kind: Any = ca.SX if isinstance(u, ca.SX) else ca.MX
        symbols = {"u": u, **dict(p)}
        for key, value in symbols.items():
            if not isinstance(value, kind) or not value.is_valid_input():
                raise SymbolError(
                    f"{name}: '{key}' is {value!r:.60}; expected a CasADi symbol of the type of u."
                )
        if not u.is_column():
            raise ShapeError(f"{name}: u has shape {u.shape}; expected a column (n, 1).")
        self._shapes = {key: (v.shape[0],) if v.is_column() else v.shape for key, v in p.items()}
        residual, response = ca.densify(kind(residual)), ca.densify(kind(response))
        if residual.shape != u.shape:
            raise ShapeError(f"{name}: φ has shape {residual.shape}; expected that of u, {u.shape}.")
        if not response.is_scalar():
            raise ShapeError(f"{name}: the response has shape {response.shape}; expected a scalar.")
        self._sizes = np.cumsum([int(np.prod(shape)) for shape in self._shapes.values()])
        try:
            whole = ca.Function("whole", list(symbols.values()), [residual, response])
        except RuntimeError:
            free = {str(s) for s in ca.symvar(ca.veccat(residual, response))}
            known = {str(s) for v in symbols.values() for s in ca.symvar(v)}
            raise SymbolError(
                f"{name}: φ or R contain {sorted(free - known)}, which are neither u nor parameters "
                f"({list(p)}); add them to p, or put numbers in their place."
            ) from None
        x, q, v = kind.sym("u", u.shape[0]), kind.sym("p", int(self._sizes[-1])), kind.sym("v", u.shape[0])
        edges = [0, *self._sizes.tolist()]
        pieces = [
            unflat(piece, shape)
            for piece, shape in zip(ca.vertsplit(q, edges), self._shapes.values(), strict=True)
        ]
        phi, R = whole.call([x, *pieces], True, False)
        A = ca.jacobian(phi, x)
        self._phi = ca.Function("phi", [x, q], [phi])
        self._R = ca.Function("R", [x, q], [R])
        self._A = ca.Function("A", [x, q], [A])
        self._pull = ca.Function("pullback", [x, q, v], [ca.densify(ca.jtimes(phi, q, v, True))])
        R_u, R_q = ca.densify(ca.gradient(R, x)), ca.densify(ca.gradient(R, q))
        self._R_gradient = ca.Function("R_gradient", [x, q], [R_u, R_q])
        starts, rows = A.sparsity().get_ccs()
        self._pattern = (np.array(rows), np.array(starts))
        self._name = name

    def _pack(self, u: np.ndarray, p: Values) -> np.ndarray:
        n = self._phi.size1_in(0)
        if u.shape != (n,):
            raise ShapeError(f"{self._name}: u has shape {u.shape}; expected ({n},).")
        if set(p) != set(self._shapes):
            raise OptionError(
                f"{self._name}: values were given for {list(p)}; the parameters are {list(self._shapes)}."
            )
        for key, shape in self._shapes.items():
            if p[key].shape != shape:
                raise ShapeError(f"{self._name}: '{key}' has shape {p[key].shape}; expected {shape}.")
        return np.concatenate([p[key].reshape(-1) for key in self._shapes])

    def _unpack(self, flat_values: Any) -> Values:
        parts = np.split(np.asarray(flat_values).reshape(-1), self._sizes[:-1])
        return {k: part.reshape(s) for part, (k, s) in zip(parts, self._shapes.items(), strict=True)}

    def residual(self, u: np.ndarray, p: Values) -> np.ndarray:
        """φ (n,)."""
        return np.asarray(self._phi(u, self._pack(u, p))).reshape(-1)

    def response(self, u: np.ndarray, p: Values) -> float:
        """R."""
        return float(self._R(u, self._pack(u, p)))

    def jacobian(self, u: np.ndarray, p: Values) -> Any:
        """∂φ/∂u (n, n), sparse; its pattern is that of the expressions."""
        entries = np.array(self._A(u, self._pack(u, p)).nonzeros())
        return sparse.csc_matrix((entries, *self._pattern), shape=(len(u), len(u)))

    def pullback(self, u: np.ndarray, p: Values, v: np.ndarray) -> Values:
        """v·∂φ/∂p by one reverse sweep."""
        return self._unpack(self._pull(u, self._pack(u, p), v))

    def response_gradient(self, u: np.ndarray, p: Values) -> tuple[np.ndarray, Values]:
        """∂R/∂u and ∂R/∂p."""
        R_u, R_p = self._R_gradient(u, self._pack(u, p))
        return np.asarray(R_u).reshape(-1), self._unpack(R_p)


class ComplexStep:
    """Derivatives Im f(x + ih)/h of analytic numpy functions, exact to rounding.

    Parameters
    ----------
    residual, response : callable
        (u, p) -> φ and R.
    name : str
        Opens the messages.
    """

    def __init__(self, residual: Callable[..., Any], response: Callable[..., Any], name: str) -> None:
        self._residual, self._response, self._name = residual, response, name
        self._compared: set[str] = set()

    def _slope(self, function: Callable[..., Any], u: np.ndarray, p: Values, what: str) -> np.ndarray:
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(function(u, p))
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"{self._name}: {what} fails on complex numbers ({error}); give its derivatives, or state it "
                "in CasADi."
            ) from error
        if not np.iscomplexobj(value):
            raise OptionError(
                f"{self._name}: {what} drops the imaginary part (by abs, real, maximum, float, ... or by "
                "filling an array of floats), so complex steps cannot derive it; give its derivatives, or "
                "state it in CasADi."
            )
        return np.imag(value) / STEP

    def jacobian(self, u: np.ndarray, p: Values) -> np.ndarray:
        """∂φ/∂u (n, n)."""
        rows = [self._slope(self._residual, moved, p, "φ").reshape(-1) for moved in _steps(u)]
        self._compare(self._residual, u, p, "φ")
        return np.array(rows).T

    def pullback(self, u: np.ndarray, p: Values, v: np.ndarray) -> Values:
        """v·∂φ/∂p, from all columns of ∂φ/∂p."""
        return self._by_parameter(self._residual, u, p, "φ", lambda slope: float(v @ slope.reshape(-1)))

    def response_gradient(self, u: np.ndarray, p: Values) -> tuple[np.ndarray, Values]:
        """∂R/∂u and ∂R/∂p."""
        R_u = [float(self._slope(self._response, moved, p, "R").reshape(())) for moved in _steps(u)]
        R_p = self._by_parameter(self._response, u, p, "R", lambda slope: float(slope.reshape(())))
        self._compare(self._response, u, p, "R")
        return np.array(R_u), R_p

    def _compare(self, function: Callable[..., Any], u: np.ndarray, p: Values, what: str) -> None:
        """Compare the slope along one random direction in (u, p) with central differences, once.

        A function that conjugates stays complex and gives a wrong slope. The bound leaves room for curvature
        and for rounding, in the values and, where the slope is nearly 0, in u and p.
        """
        if what in self._compared:
            return
        rng = np.random.default_rng(0)
        at = {"": u, **{f"p {key}": value for key, value in p.items()}}
        along = {
            key: rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.0, x.shape) * _size(x)
            for key, x in at.items()
        }

        def value(step: complex) -> tuple[np.ndarray, Values]:
            moved = {key: x + step * along[key] for key, x in at.items()}
            return moved[""], {key: moved[f"p {key}"] for key in p}

        slope = self._slope(function, *value(1j * STEP), what)
        difference, wrong = slope, np.ones(slope.shape, dtype=bool)
        for step in DIFFERENCES:
            points = (step, -step, 0.0)
            with np.errstate(all="ignore"):
                after, before, here = (np.asarray(function(*value(s)), dtype=float) for s in points)
                difference = (after - before) / (2 * step)
                bound = 1e-3 * (np.abs(difference) + np.abs(slope))
                bound += 1e-8 * np.maximum(np.abs(after), np.abs(before))
                bound += 1e-12 * np.abs(after + before - 2 * here) / step**2
                wrong &= np.abs(difference - slope) > bound
            if not np.isfinite(difference).all():
                return  # the edge of where the function is defined: nothing can be said
        if wrong.any():
            i = tuple(int(k) for k in np.argwhere(wrong)[0])
            raise OptionError(
                f"{self._name}: the slope of {what}{list(i) if i else ''} in a random direction is "
                f"{slope[i]:.6g} by complex steps and {difference[i]:.6g} by differences, so that it is not "
                "analytic, most likely by abs, conj or vdot; take sum(u * u) in place of vdot(u, u), give "
                "its derivatives, or state it in CasADi."
            )
        self._compared.add(what)

    def _by_parameter(
        self, function: Any, u: np.ndarray, p: Values, what: str, take: Callable[[np.ndarray], float]
    ) -> Values:
        # Complex u keeps a function that ignores one parameter from looking as if it dropped the step.
        u = u.astype(complex)
        result: Values = {}
        for key, value in p.items():
            slopes = [
                take(self._slope(function, u, {**p, key: moved.reshape(value.shape)}, what))
                for moved in _steps(value.reshape(-1))
            ]
            result[key] = np.array(slopes).reshape(value.shape)
        return result


def _size(x: np.ndarray) -> np.ndarray:
    """|x| of each component; where that is 0, of the largest, or 1."""
    return np.where(x == 0, np.abs(x).max(initial=0.0) or 1.0, np.abs(x))


def _steps(x: np.ndarray) -> list[np.ndarray]:
    return list(x.astype(complex) + 1j * STEP * np.eye(len(x)))
