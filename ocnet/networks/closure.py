"""Closure conditions: whether synapses T(V) that depend on the outputs give a gradient field V ↦ T(V) V."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Literal

import casadi as ca
import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError
from ocnet.networks.hopfield import Weights, checked_weights
from ocnet.pointwise import evaluate, scalar_operations
from ocnet.symbols import as_data

How = Literal["symbolic", "numeric"]

MOST_POINTS = 100_000  # that it may take to decide about a polynomial


@dataclass(frozen=True)
class Condition:
    """Whether an expression vanishes.

    Attributes
    ----------
    holds : bool
    how : {"symbolic", "numeric"}
        As an identity: it is a polynomial, by its operations, and vanishes on points that decide about all
        polynomials of its degree. Or at random points.
    residual : float
        The largest value that was seen, relative to the terms that should cancel in it.
    """

    holds: bool
    how: How
    residual: float

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'fails'} ({self.how}, residual {self.residual:.1e})"


@dataclass(frozen=True)
class Closure:
    """What the closure conditions say about synapses T(V).

    Attributes
    ----------
    symmetric : Condition
        T_ij = T_ji.
    diamond : Condition
        (◇) T_kj,i = T_ki,j: with the symmetry, T = ∇²Φ for some Φ.
    star : Condition
        (⋆) Σ_k (T_kj,i − T_ki,j) V_k = 0: with the symmetry, V ↦ T(V) V is a gradient.
    gradient : Condition
        ∂_i (T(V)V)_j = ∂_j (T(V)V)_i, which says that V ↦ T(V) V is a gradient whether T is symmetric or not.
    """

    symmetric: Condition
    diamond: Condition
    star: Condition
    gradient: Condition

    @property
    def kind(self) -> Literal["◇", "⋆", "none"]:
        """Which kind: ◇ if T = ∇²Φ for some Φ, ⋆ if only T(V) V is a gradient, "none" if not even that."""
        if not self.gradient.holds:
            return "none"
        return "◇" if self.symmetric.holds and self.diamond.holds else "⋆"

    def __str__(self) -> str:
        meaning = {
            "◇": "T = ∇²Φ for some Φ: a Krotov network, with an energy",
            "⋆": "T is no matrix of second derivatives, but T(V) V is a gradient: there is an energy",
            "none": "T(V) V is no gradient: there is no energy −W + Σ∫g⁻¹",
        }
        rows = (("T symmetric", self.symmetric), ("(◇)", self.diamond), ("(⋆)", self.star))
        lines = [
            f"  {name:<16} {condition}" for name, condition in (*rows, ("T(V) V gradient", self.gradient))
        ]
        return "\n".join([meaning[self.kind], *lines])


def closure(
    T: ArrayLike | Weights,
    n: int | None = None,
    *,
    lower: ArrayLike = -1.0,
    upper: ArrayLike = 1.0,
    points: int = 200,
    tolerance: float = 1e-9,
    rng: np.random.Generator | None = None,
) -> Closure:
    """Test the closure conditions of synapses T(V).

    Parameters
    ----------
    T : array_like (N, N) or callable
        V -> T(V), written with CasADi functions for a column V of n outputs.
    n : int, optional
        Number of neurons; needed if T is callable.
    lower, upper : array_like (n,) or float
        The box of outputs from which points are drawn, where an identity is neither proved nor refuted.
    points : int
        How many.
    tolerance : float
        Residuals up to it, relative to the terms that cancel, count as zero.
    rng : numpy.random.Generator, optional
        Where the points come from; always the same ones if left out.

    Returns
    -------
    Closure

    Raises
    ------
    ShapeError, DataError, OptionError
        For a T that is no square matrix of expressions, an empty box, or T that is not finite in it.

    Notes
    -----
    Conditions (⋆) and (◇) of Cardin, Lovison, Maritan and Megighian (arXiv 2305.14360). On a simply connected
    domain and for symmetric T, (⋆) is equivalent to an energy, and (◇) to T = ∇²Φ. (◇) implies (⋆), the
    converse is false. Synapses that are polynomials are decided as identities, up to rounding: their degree d
    is read from the operations, and values on the lattice of C(n + d, d) points of a simplex decide about
    all polynomials of degree d. Others are tried at random points, which refute but do not prove.

    Examples
    --------
    >>> import casadi as ca
    >>> from ocnet.networks import closure
    >>> closure(lambda V: ca.diag(V**2), n=2).kind
    '◇'
    >>> turn = lambda V: ca.vertcat(-V[1], V[0])
    >>> closure(lambda V: ca.mtimes(turn(V), turn(V).T), n=2).kind
    '⋆'
    """
    weights, n = checked_weights(T, n, "closure")
    low, high = (as_data(end, (n,), f"closure: {name}") for name, end in (("lower", lower), ("upper", upper)))
    if not np.all(low < high):
        raise DataError(f"closure: lower is {low!s:.40} and upper {high!s:.40}; expected lower < upper.")
    if points < 1 or not 0 < tolerance < 1:
        raise OptionError(
            f"closure: points is {points} and tolerance {tolerance}; expected at least one point and a "
            "tolerance between 0 and 1."
        )
    V = ca.MX.sym("V", n)
    matrix = ca.densify(ca.MX(weights(V)))
    slopes = [ca.reshape(ca.jacobian(matrix[:, j], V), n, n) for j in range(n)]  # slopes[j][k, i] = T_kj,i
    field = ca.jacobian(ca.mtimes(matrix, V), V)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    tensor = [slopes[j][:, i] - slopes[i][:, j] for i, j in pairs]
    sizes = [ca.fabs(slopes[j][:, i]) + ca.fabs(slopes[i][:, j]) for i, j in pairs]
    expressions = {
        "symmetric": ([matrix[i, j] - matrix[j, i] for i, j in pairs], [ca.fabs(matrix)]),
        "diamond": (tensor, sizes),
        "star": ([ca.dot(d, V) for d in tensor], [ca.dot(s, ca.fabs(V)) for s in sizes]),
        "gradient": ([field[j, i] - field[i, j] for i, j in pairs], [ca.fabs(field)]),
    }
    sample = (rng or np.random.default_rng(0)).uniform(low, high, (points, n))
    found = {
        name: _condition(V, ca.vertcat(*difference), ca.vertcat(*map(ca.vec, size)), sample, tolerance)
        for name, (difference, size) in expressions.items()
    }
    return Closure(**found)


def _condition(V: ca.MX, difference: ca.MX, size: ca.MX, sample: np.ndarray, tolerance: float) -> Condition:
    """Decide whether `difference` (m, 1) vanishes; `size` are those of the terms which should cancel."""
    if difference.is_empty():  # one neuron
        return Condition(True, "symbolic", 0.0)
    function = scalar_operations(ca.Function("difference", [V], [ca.densify(difference)]))
    degree, how = total_degree(function), "numeric"
    if degree is not None and comb(V.numel() + degree, degree) <= MOST_POINTS:
        sample, how = _lattice(degree, sample.min(axis=0), sample.max(axis=0)), "symbolic"
    values = evaluate(function, sample)[0]
    sizes = evaluate(ca.Function("size", [V], [ca.densify(size)]), sample)[0]
    if not (np.isfinite(values).all() and np.isfinite(sizes).all()):
        k = int(np.argmin(np.isfinite(values).all(axis=1) & np.isfinite(sizes).all(axis=1)))
        raise DataError(
            f"closure: T(V) or a derivative is not finite at V = {sample[k].round(6)}; choose lower=... and "
            "upper=... where it is."
        )
    residual = float(np.abs(values).max() / (float(sizes.max()) or 1.0))
    return Condition(residual <= tolerance, how, residual)


def total_degree(function: ca.Function) -> int | None:
    """Return a bound of the degree of a function's polynomials, read from its operations.

    Parameters
    ----------
    function : casadi.Function
        With one output.

    Returns
    -------
    int or None
        None if there are other operations than those of polynomials.
    """
    if not function.is_a("SXFunction"):
        return None
    degrees, constants, highest = [0] * function.sz_w(), dict[int, float](), 0
    for k in range(function.n_instructions()):
        operation, inputs = function.instruction_id(k), function.instruction_input(k)
        outputs = function.instruction_output(k)
        if operation == ca.OP_OUTPUT:
            highest = max(highest, degrees[inputs[0]])
            continue
        number: float | None = None
        if operation == ca.OP_CONST:
            degree, number = 0, function.instruction_constant(k)
        elif operation == ca.OP_INPUT:
            degree = 1
        elif operation in (ca.OP_ASSIGN, ca.OP_NEG, ca.OP_TWICE):
            degree = degrees[inputs[0]]
        elif operation in (ca.OP_ADD, ca.OP_SUB):
            degree = max(degrees[i] for i in inputs)
        elif operation == ca.OP_MUL:
            degree = sum(degrees[i] for i in inputs)
        elif operation == ca.OP_SQ:
            degree = 2 * degrees[inputs[0]]
        elif operation == ca.OP_DIV and degrees[inputs[1]] == 0:
            degree = degrees[inputs[0]]
        elif operation in (ca.OP_POW, ca.OP_CONSTPOW) and _whole(constants.get(inputs[1])):
            degree = degrees[inputs[0]] * int(constants[inputs[1]])
        elif all(degrees[i] == 0 for i in inputs):
            degree = 0
        else:
            return None
        degrees[outputs[0]] = degree
        constants.pop(outputs[0], None)
        if number is not None:
            constants[outputs[0]] = number
    return highest


def _whole(exponent: float | None) -> bool:
    return exponent is not None and exponent >= 0 and exponent == round(exponent)


def _lattice(degree: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return points (k, n) on which a polynomial of that total degree vanishes only if it is zero."""
    n, steps = len(low), max(degree, 1)
    places = [
        np.bincount(np.array(chosen, dtype=int), minlength=n + 1)[:n]
        for chosen in combinations_with_replacement(range(n + 1), degree)
    ]
    return low + (high - low) * np.array(places).reshape(-1, n) / steps
