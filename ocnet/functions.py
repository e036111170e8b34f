"""A Problem as CasADi functions of flat vectors: what every method, check and simulation evaluates.

Vectors hold the variables in the order of their statement, each flattened in C order: x (states), dx (their
derivatives, or differences for Steps), u (controls), q (unknowns), p (parameters). Every function takes
(t, x, dx, u, q, p) so that points can be mapped over without caring what depends on what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError
from ocnet.symbols import flat, unflat

if TYPE_CHECKING:
    from ocnet.problem import Constraint, Kind, Problem, Variable

PLACES = ("path", "initial", "final")


@dataclass(frozen=True)
class Bounds:
    """Numeric bounds of every flat vector, for given parameters (−inf and inf where there are none)."""

    x_lower: np.ndarray
    x_upper: np.ndarray
    u_lower: np.ndarray
    u_upper: np.ndarray
    q_lower: np.ndarray
    q_upper: np.ndarray
    initial: np.ndarray  # NaN where free
    final: np.ndarray  # NaN where free
    constraints: dict[str, tuple[np.ndarray, np.ndarray]]  # by place: path, initial, final


class Functions:
    """The functions of a problem.

    Attributes
    ----------
    nx, nu, nq, np : int
        Lengths of the flat vectors.
    dynamics : casadi.Function
        (t, x, dx, u, q, p) -> right-hand side (nx); it does not depend on dx.
    stage, terminal : casadi.Function
        The same arguments -> scalar cost.
    path, initial, final : casadi.Function
        The same arguments -> constraint expressions of that place, in the order of their statement.
    samples : list of casadi.Function
        One scalar cost for each data term.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.states = problem.of_kind("state")
        self.controls = problem.of_kind("control")
        self.parameters = problem.of_kind("parameter")
        self.unknowns = problem.of_kind("unknown")
        self.nx, self.nu, self.nq, self.np = (
            sum(v.size for v in group)
            for group in (self.states, self.controls, self.unknowns, self.parameters)
        )
        self.dynamics = self.function("dynamics", [_flat_all([v.dynamics for v in self.states], self.states)])
        self.has_cost = problem.stage is not None or bool(problem.samples)
        zero = ca.MX(0)
        self.stage = self.function("stage", [problem.stage if problem.stage is not None else zero])
        self.terminal = self.function(
            "terminal", [problem.terminal if problem.terminal is not None else zero]
        )
        self.path, self.initial, self.final = (
            self.function(at, [_flat_all([c.expression for c in self.at(at)], self.at(at))]) for at in PLACES
        )
        self.samples = [self.function(f"sample_{i}", [s.expression]) for i, s in enumerate(problem.samples)]
        self._bounds = self._bound_function()
        self._last_bounds: tuple[bytes, Bounds] | None = None

    def at(self, place: str) -> list[Constraint]:
        """Return the constraints of one place."""
        return [c for c in self.problem.constraints if c.at == place]

    def arguments(self) -> list[ca.MX]:
        """Return fresh flat symbols (t, x, dx, u, q, p)."""
        sizes = (1, self.nx, self.nx, self.nu, self.nq, self.np)
        return [ca.MX.sym(n, s) for n, s in zip(("t", "x", "dx", "u", "q", "p"), sizes, strict=True)]

    def function(self, name: str, outputs: Sequence[ca.MX]) -> ca.Function:
        """Turn expressions in the problem's own symbols into a function of (t, x, dx, u, q, p)."""
        problem = self.problem
        if all(e.is_constant() for e in outputs):
            return self._constant(name, outputs)
        t, x, dx, u, q, p = self.arguments()
        symbols: list[Any] = [problem.time]
        values: list[Any] = [t]
        for group, vector in ((self.states, x), (self.controls, u), (self.unknowns, q), (self.parameters, p)):
            for variable, piece in zip(group, _pieces(vector, group), strict=True):
                symbols.append(variable.symbol)
                values.append(piece)
        for variable, piece in zip(self.states, _pieces(dx, self.states), strict=True):
            if variable.derivative is not None:
                symbols.append(variable.derivative)
                values.append(piece)
        own = ca.Function(name, [ca.MX(s) for s in symbols], [ca.densify(e) for e in outputs])
        names = ["t", "x", "dx", "u", "q", "p"]
        lowered = ca.Function(
            name, [t, x, dx, u, q, p], own.call(values), names, [f"{name}_{i}" for i in range(len(outputs))]
        )
        try:
            return lowered.expand()
        except RuntimeError:  # a user's external function or interpolant: CasADi cannot expand it
            return lowered

    def _constant(self, name: str, outputs: Sequence[ca.MX]) -> ca.Function:
        sizes = (1, self.nx, self.nx, self.nu, self.nq, self.np)
        names = ["t", "x", "dx", "u", "q", "p"]
        inputs = [ca.SX.sym(n, size) for n, size in zip(names, sizes, strict=True)]
        values = [ca.SX(ca.densify(e.to_DM())) for e in outputs]
        return ca.Function(name, inputs, values, names, [f"{name}_{i}" for i in range(len(outputs))])

    def pack(self, values: dict[str, Any], kind: Kind) -> np.ndarray:
        """Flatten named arrays (…, *shape) of all variables of one kind into (…, n)."""
        group = self.problem.of_kind(kind)
        parts = [np.asarray(values[v.name], dtype=float) for v in group]
        parts = [a.reshape(*a.shape[: a.ndim - len(v.shape)], -1) for a, v in zip(parts, group, strict=True)]
        return np.concatenate(parts, axis=-1) if parts else np.zeros(0)

    def unpack(self, array: np.ndarray, kind: Kind) -> dict[str, np.ndarray]:
        """Split (…, n) into named arrays (…, *shape): the inverse of :meth:`pack`."""
        array, result, start = np.asarray(array), {}, 0
        for v in self.problem.of_kind(kind):
            result[v.name] = array[..., start : start + v.size].reshape(*array.shape[:-1], *v.shape)
            start += v.size
        return result

    def labels(self, kind: Kind) -> list[str]:
        """Return a name such as ``W[0, 3]`` for each component of a flat vector."""
        return [label for v in self.problem.of_kind(kind) for label in component_labels(v.name, v.shape)]

    def constraint_labels(self, place: str) -> list[str]:
        """Return a name for each component of the constraints of one place."""
        return [label for c in self.at(place) for label in component_labels(c.name, c.shape)]

    def bounds(self, p: np.ndarray) -> Bounds:
        """Evaluate and check all bounds and prescribed ends for the parameter vector p."""
        key = np.asarray(p, dtype=float).tobytes()
        if self._last_bounds is None or self._last_bounds[0] != key:
            self._last_bounds = (key, self._evaluate_bounds(p))
        return self._last_bounds[1]

    def _evaluate_bounds(self, p: np.ndarray) -> Bounds:
        values = [np.array(v.full()).reshape(-1) for v in self._bounds.call([ca.DM(p)])]
        xl, xu, ul, uu, ql, qu, x0, xf = values[:8]
        ends = zip(values[8::2], values[9::2], strict=True)
        places: dict[str, tuple[np.ndarray, np.ndarray]] = dict(zip(PLACES, ends, strict=True))
        name = self.problem.name
        checks = [
            (xl, xu, self.labels("state")),
            (ul, uu, self.labels("control")),
            (ql, qu, self.labels("unknown")),
        ]
        checks += [(low, high, self.constraint_labels(place)) for place, (low, high) in places.items()]
        for low, high, labels in checks:
            for i in np.flatnonzero(~(low <= high) | (low == np.inf) | (high == -np.inf)):
                raise DataError(
                    f"Problem '{name}', {labels[i]}: lower bound {low[i]} and upper bound {high[i]} "
                    "for these parameters; expected lower <= upper."
                )
        for end, value in (("initial", x0), ("final", xf)):
            for i in np.flatnonzero((value < xl) | (value > xu) | np.isinf(value)):
                raise DataError(
                    f"Problem '{name}', {self.labels('state')[i]}, {end}: got {value[i]}; expected a finite "
                    f"value in [{xl[i]}, {xu[i]}] for these parameters."
                )
        return Bounds(xl, xu, ul, uu, ql, qu, x0, xf, places)

    @property
    def bound_function(self) -> ca.Function:
        """CasADi function of p whose outputs are, in this order, all that :class:`Bounds` holds.

        They are x_lower, x_upper, u_lower, u_upper, q_lower, q_upper, initial, final, then the lower and
        upper bounds of the path, the initial and the final constraints.
        """
        return self._bounds

    def _bound_function(self) -> ca.Function:
        outputs = []
        for group in (self.states, self.controls, self.unknowns):
            outputs += [
                _flat_data([v.lower for v in group], group),
                _flat_data([v.upper for v in group], group),
            ]
        for end in ("initial", "final"):
            outputs.append(_flat_data([getattr(v, end) for v in self.states], self.states))
        for place in PLACES:
            group = self.at(place)
            outputs += [
                _flat_data([c.lower for c in group], group),
                _flat_data([c.upper for c in group], group),
            ]
        own = ca.Function("bounds", [ca.MX(v.symbol) for v in self.parameters], outputs)
        p = ca.MX.sym("p", self.np)
        return ca.Function("bounds", [p], own.call(list(_pieces(p, self.parameters))))


def component_labels(name: str, shape: tuple[int, ...]) -> list[str]:
    """Return ``name`` for a scalar, else ``name[i]`` or ``name[i, j]`` for each component in C order."""
    if shape == (1,):
        return [name]
    return [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)]


def _pieces(vector: ca.MX, group: Sequence[Variable]) -> list[ca.MX]:
    edges = np.cumsum([0] + [v.size for v in group])
    return [
        unflat(vector[int(a) : int(b)], v.shape) for v, a, b in zip(group, edges[:-1], edges[1:], strict=True)
    ]


def _flat_all(expressions: Sequence[Any], group: Sequence[Any]) -> ca.MX:
    return (
        ca.vertcat(*(flat(e, g.shape) for e, g in zip(expressions, group, strict=True)))
        if group
        else ca.MX(0, 1)
    )


def _flat_data(values: Sequence[Any], group: Sequence[Any]) -> ca.MX:
    parts = []
    for value, owner in zip(values, group, strict=True):
        if value is None:
            value = np.full(owner.shape, np.nan)
        parts.append(
            flat(value, owner.shape) if isinstance(value, ca.MX) else ca.MX(ca.DM(value.reshape(-1)))
        )
    return ca.vertcat(*parts) if parts else ca.MX(0, 1)
